"""The Observations of a bulk export, streamed into facts; the peer models each of them."""

from __future__ import annotations

from datetime import date

from bench.timing import SHARED, Line, timed

FILE = SHARED / "registry" / "fhir_r4_synthea617" / "Observation.ndjson.zst"
TODAY = date(2026, 11, 20)


def ours() -> None:
    from endplate.exchange.fhir.read import read_population

    population = read_population([FILE], TODAY)
    assert population.totals()["Observation"].resources == 88_674


def floor() -> None:
    """The least that any reader must do: unpack, parse, pick four values of each line."""
    import orjson

    from endplate.exchange.fhir.read.source import lines

    rows = []
    for _, line in lines(FILE):
        one = orjson.loads(line)
        value = one.get("valueQuantity")
        rows.append(
            (
                one["code"]["coding"][0]["code"],
                one["effectiveDateTime"],
                one["subject"]["reference"],
                value["value"] if value else None,
            )
        )
    assert len(rows) == 88_674


def peer() -> None:
    """fhir.resources, which has no R4: its R4B Observation reads these."""
    from fhir.resources.R4B.observation import Observation

    from endplate.exchange.fhir.read.source import lines

    count = 0
    for _, line in lines(FILE):
        Observation.model_validate_json(line)
        count += 1
    assert count == 88_674


def lines() -> list[Line]:
    if not FILE.exists():
        print(f"skipped: needs {FILE.name} beside the checkout")
        return []
    measured = timed("bench.fhir_observations:ours")
    return [
        Line(
            "88,674 Observations (NDJSON, zstd) into facts, one person each",
            measured,
            "fhir.resources R4B, model_validate_json",
            timed("bench.fhir_observations:peer", runs=2),
            aim="at most 1.0 s and 300 MB",
        ),
        Line(
            "the same against the floor",
            measured,
            "orjson to tuples",
            timed("bench.fhir_observations:floor"),
        ),
    ]
