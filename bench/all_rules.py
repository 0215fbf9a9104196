"""The whole set of rules: over records of a bulk export, and over the demonstration case.

What is timed is the plan, from facts to the arranged findings; the facts are read in the warm-up,
but for the row that times the reading. No peer has these rules: the aim of the second row is
that a person who waits for a plan does not notice its rules.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from bench.bone_patients import TODAY
from bench.timing import SHARED, Line, timed

HERE = "bench.all_rules"
RECORDS = SHARED / "registry" / "fhir_r4_synthea617"
PERSONS = 615
# What the demonstration case has besides is images, and what was made of them.
_IMAGES = ("ct", "mask.nii.gz")


# -- records of a bulk export -------------------------------------------------------------------


@cache
def _population() -> Any:
    from endplate.exchange.fhir.read import read_population

    return read_population(sorted(RECORDS.glob("*.ndjson.zst")), TODAY)


def read_records() -> None:
    _population.cache_clear()
    assert len(_population()) == PERSONS


def plan_records() -> None:
    from endplate.record import PatientRecord

    for understood in _population().values():
        _plan(PatientRecord.of(understood.facts), TODAY)


def write_records() -> None:
    """Every plan as a FHIR bundle besides."""
    from endplate.exchange.fhir.write import bundle_bytes
    from endplate.record import PatientRecord

    for understood in _population().values():
        record = PatientRecord.of(understood.facts)
        findings, plan = _plan(record, TODAY)
        bundle_bytes(record, findings, plan, on=TODAY, version="0")


def _plan(record: Any, on: Any) -> Any:
    from endplate import evidence
    from endplate.plan.care_plan import arranged, findings_of

    shipped = evidence.shipped()
    findings = findings_of(record, on, shipped)
    return findings, arranged(findings, on, shipped)


# -- the demonstration case ---------------------------------------------------------------------


@cache
def _demonstration() -> Any:
    from endplate.demo.case import write_case
    from endplate.exchange.case import read_case

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "case"
        write_case(folder)
        for image in _IMAGES:
            path = folder / image
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return read_case(folder, TODAY).record


def plan_demonstration() -> None:
    findings, _ = _plan(_demonstration(), TODAY)
    assert findings


def lines() -> Iterator[Line]:
    yield Line(
        "the demonstration case without imaging: all findings and the plan",
        timed(f"{HERE}:plan_demonstration"), aim="under 0.1 s", count=1, things="plans",
    )  # fmt: skip
    if not RECORDS.is_dir():
        print(f"skipped: needs {RECORDS.name} beside the checkout")
        return
    for name, call in (
        ("read from the export", "read_records"),
        ("every rule, and the plan", "plan_records"),
        ("the same, and written as FHIR", "write_records"),
    ):
        yield Line(
            f"{PERSONS} whole records: {name}", timed(f"{HERE}:{call}"),
            count=PERSONS, things="records",
        )  # fmt: skip
