"""Files, bundles and versions: how resources are found, and what a bad one costs."""

from __future__ import annotations

import gzip

import orjson
import pytest
import zstandard

from endplate.exchange.fhir.read import read_fhir
from endplate.exchange.fhir.read import source as read_source
from endplate.exchange.fhir.read import stream as read_stream
from unit.exchange.made_fhir import (
    SNOMED,
    TODAY,
    bundle,
    coded,
    condition,
    ignored,
    observation,
    patient,
    problems,
    quantity,
    read,
    read_text,
    values,
)

ONE = orjson.dumps(observation())
TWO = orjson.dumps(observation(id="2"))
PRETTY = orjson.dumps(observation(), option=orjson.OPT_INDENT_2)


# -- files ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, name",
    [
        (ONE, "a.json"),
        (PRETTY, "a.json"),
        (b"\xef\xbb\xbf" + PRETTY, "a.json"),
        (PRETTY.decode().encode("utf-16"), "a.json"),
        (ONE, "a.ndjson"),
        (b"\xef\xbb\xbf" + ONE + b"\r\n\r\n", "a.ndjson"),
        (PRETTY, "a.ndjson"),
        (b"[" + ONE + b"]", "a.json"),
        (gzip.compress(ONE), "a.ndjson.gz"),
        (gzip.compress(PRETTY), "a.json.gz"),
        (zstandard.compress(ONE), "a.ndjson.zst"),
        (zstandard.compress(PRETTY), "a.json.zst"),
        (gzip.compress(ONE), "not-named-so.json"),
    ],
)
def test_every_form_of_file_gives_the_same_fact(text, name):
    reading = read_text(text, name)
    assert values(reading) == {"lab.creatinine": 0.9} and reading.problems == ()


@pytest.mark.parametrize("name", ["a.ndjson", "a.json", "a.jsonl"])
def test_lines_are_read_as_lines_whatever_the_file_is_called(name):
    assert len(read_text(ONE + b"\n" + TWO, name).facts) == 2


@pytest.mark.parametrize("bad", [b"{", b"not json", b'{"a": NaN}', b"\xff\xff", b"[" * 5000])
def test_one_bad_line_costs_itself(bad):
    for lines in ([bad, ONE, TWO], [ONE, bad, TWO], [ONE, TWO, bad]):
        reading = read_text(b"\n".join(lines), "a.ndjson")
        assert len(reading.facts) == 2 and problems(reading) == ["json.invalid"]
        assert reading.problems[0].where == f"a.ndjson:{lines.index(bad) + 1}"


@pytest.mark.parametrize("bad", [b"3", b"null", b"[]", b"{}", b'{"resourceType": 7}'])
def test_a_line_that_is_no_resource_costs_itself(bad):
    for lines in ([bad, ONE], [ONE, bad]):
        reading = read_text(b"\n".join(lines), "a.ndjson")
        assert len(reading.facts) == 1 and problems(reading) == ["fhir.no_resource_type"]


@pytest.mark.parametrize("text", [b"", b"{", b"hello"])
def test_a_single_file_that_is_no_json(text):
    assert problems(read_text(text, "a.json")) == ["json.invalid"]


def test_an_empty_export_is_nothing():
    reading = read_text(b"", "a.ndjson")
    assert reading.problems == () and reading.ignored == () and reading.counts == {}


@pytest.mark.parametrize("name", ["a.json", "a.ndjson"])
@pytest.mark.parametrize("text", [b'{"a": 1}', b"[1, 2]", b'{"resourceType": 3}'])
def test_json_that_is_no_fhir_is_left_aside_with_the_reason(text, name):
    reading = read_text(text, name)
    assert reading.problems == () and ignored(reading) == ["fhir.not_fhir"]


def test_a_cut_off_or_missing_file_keeps_what_was_read(tmp_path):
    path = tmp_path / "a.ndjson.gz"
    path.write_bytes(gzip.compress(ONE + b"\n" + bytes(range(1, 9)) * 500_000)[:-100])
    reading = read_fhir([path, tmp_path / "b.json"], TODAY)
    assert problems(reading).count("file.not_readable") == 2
    assert values(reading) == {"lab.creatinine": 0.9}


def test_a_bomb_is_refused_in_little_memory(tmp_path):
    path = tmp_path / "a.ndjson.zst"
    path.write_bytes(zstandard.compress(b" " * (1 << 30)))
    assert path.stat().st_size < 200_000
    reading = read_fhir([path], TODAY)
    assert problems(reading) == ["file.expands_without_end"]


def test_a_line_that_is_too_long_costs_itself(monkeypatch):
    monkeypatch.setattr(read_source, "LONGEST_LINE", 10_000)
    monkeypatch.setattr(read_source, "CHUNK", 1_000)
    long = orjson.dumps(observation(id="9", note=[{"text": "x" * 20_000}]))
    for lines in ([long, ONE, TWO], [ONE, long, TWO], [ONE, TWO, long]):
        reading = read_text(b"\n".join(lines), "a.ndjson")
        assert len(reading.facts) == 2 and problems(reading) == ["json.line_too_long"]
        assert reading.problems[0].where == f"a.ndjson:{lines.index(long) + 1}"


def test_a_document_that_is_too_long_is_refused(monkeypatch):
    monkeypatch.setattr(read_source, "LONGEST_DOCUMENT", 100)
    assert problems(read_text(PRETTY, "a.json")) == ["json.too_long"]


def test_lines_across_pieces_of_a_file_are_whole(monkeypatch):
    monkeypatch.setattr(read_source, "CHUNK", 7)
    assert len(read_text(ONE + b"\n\n" + TWO + b"\n", "a.ndjson").facts) == 2


def test_counts_are_by_file_and_kind(tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.ndjson").write_bytes(ONE + b"\n" + orjson.dumps(patient()))
    reading = read_fhir(tmp_path.rglob("*.ndjson"), TODAY)
    assert set(reading.counts) == {"x/a.ndjson", "y/a.ndjson"}
    count = reading.counts["x/a.ndjson"]
    assert (count["Patient"].resources, count["Patient"].facts) == (1, 2)


def test_problems_without_end_share_a_line(monkeypatch):
    monkeypatch.setattr(read_stream, "_MOST_LINES", 3)
    unitless = orjson.dumps(observation(valueQuantity={"value": 1}, id=...))
    reading = read_text(b"\n".join([unitless] * 10 + [b"{"] * 10), "a.ndjson")
    assert len(reading.problems) == 5 and sum(p.count for p in reading.problems) == 20
    shared = {p.where for p in reading.problems if p.count > 1}
    assert shared == {read_stream.FURTHER}


# -- bundles ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind",
    ["collection", "searchset", "document", "message", "transaction", "batch",
     "transaction-response", "batch-response", "history", "strange"],
)  # fmt: skip
def test_all_kinds_of_bundles_are_read(kind):
    reading = read(bundle(observation(), patient(), kind=kind))
    assert values(reading)["lab.creatinine"] == 0.9 and reading.problems == ()


def test_a_problem_in_a_bundle_names_the_entry():
    bad = observation(id="2", valueQuantity={"value": 1})
    whole = bundle(observation(), bad)
    whole["entry"] += [None, {"resource": 5}, {"response": {"status": "204"}}]
    reading = read_text(orjson.dumps(whole), "a.json")
    assert [p.where for p in reading.problems] == [
        "a.json Bundle.entry[1]", "a.json Bundle.entry[2]", "a.json Bundle.entry[3]",
    ]  # fmt: skip
    assert "fhir.entry_without_resource" in ignored(reading)
    assert len(reading.facts) == 1


@pytest.mark.parametrize("entry", ["x", 5, {"resource": observation()}, [], None])
def test_a_bundle_with_odd_entries(entry):
    whole = bundle() | {"entry": entry}
    reading = read(whole)
    assert len(reading.facts) == (entry.__class__ is dict)
    assert len(reading.problems) == (entry in ("x", 5))


def test_bundles_within_bundles():
    reading = read(bundle(bundle(observation())))
    assert len(reading.facts) == 1
    deep = observation()
    for _ in range(30):
        deep = bundle(deep)
    assert problems(read(deep)) == ["fhir.element_not_usable"]


def test_a_missing_page_is_said():
    first = bundle(observation(), kind="searchset", link=[{"relation": "next", "url": "u:2"}])
    assert problems(read(first)) == ["fhir.page_missing"]
    second = bundle(kind="searchset", link=[{"relation": "self", "url": "u:2"}])
    assert problems(read(first, second)) == []


def test_of_a_history_the_newest_counts_and_what_was_deleted_does_not():
    newest = observation(valueQuantity=quantity(1.2, "mg/dL"))
    history = bundle(newest, observation(), kind="history")
    assert values(read(history)) == {"lab.creatinine": 1.2}
    deleted = {"request": {"method": "DELETE", "url": "Observation/1"}}
    history["entry"].insert(0, deleted)
    assert read(history).facts == ()


# -- the same resource twice ------------------------------------------------------------------


def version(n: int, **more):
    return observation(meta={"versionId": str(n), "lastUpdated": f"2026-02-0{n}T00:00:00Z"}, **more)


def test_the_newer_version_counts_in_any_order():
    old, new = version(1), version(2, valueQuantity=quantity(1.2, "mg/dL"))
    for order in ((old, new), (new, old)):
        reading = read(*order)
        assert values(reading) == {"lab.creatinine": 1.2} and len(reading.facts) == 1
        assert reading.facts[0].quality == "ok"


def test_a_newer_version_that_was_entered_in_error_takes_the_fact_back():
    assert read(version(1), version(2, status="entered-in-error")).facts == ()


def test_the_same_version_twice_is_one_fact():
    reading = read(version(1), version(1))
    assert len(reading.facts) == 1 and ignored(reading) == ["fhir.older_version"]
    assert len(read(observation(), observation()).facts) == 1


def test_two_contents_without_a_version_are_both_kept_and_doubtful():
    reading = read(observation(), observation(valueQuantity=quantity(1.2, "mg/dL")))
    assert sorted(f.number for f in reading.facts) == [0.9, 1.2]
    assert all("more than once" in f.doubts[0] for f in reading.facts)


def test_two_different_resources_under_one_id_are_both_kept():
    albumin = {"code": coded("lab.albumin"), "valueQuantity": quantity(4, "g/dL")}
    reading = read(version(1), version(2, **albumin))
    assert set(values(reading)) == {"lab.creatinine", "lab.albumin"}


# -- what is left aside -----------------------------------------------------------------------


def test_other_kinds_are_counted_with_the_reason():
    visits = [{"resourceType": "Encounter", "id": str(n)} for n in range(3)]
    reading = read(*visits, {"resourceType": "Claim"}, {"resourceType": "VisionPrescription"})
    lines = {line.says.split(":")[0]: line for line in reading.ignored}
    assert lines["Encounter"].count == 3 and "billing" in lines["Claim"].says
    assert "VisionPrescription" in lines and reading.problems == ()


def test_several_problems_of_one_resource_are_one_line():
    panel = observation(
        component=[
            {"code": coded("lab.calcium"), "valueQuantity": {"value": 9}},
            {"code": coded("lab.albumin"), "valueQuantity": {"value": 4}},
        ]
    )
    (line,) = read(panel).problems
    assert "calcium" in line.says and "albumin" in line.says


def test_a_fault_of_ours_costs_one_resource_and_is_called_a_fault(monkeypatch):
    def broken(resource):
        raise ZeroDivisionError

    monkeypatch.setattr(read_stream, "HANDLERS", {**read_stream.HANDLERS, "Condition": broken})
    reading = read(condition(), observation())
    assert len(reading.facts) == 1 and problems(reading) == ["fhir.defect"]


def test_no_problem_quotes_the_person():
    smith = {"family": "Smith-Planted", "given": ["Ada"]}
    lines = [
        patient(id="Planted", name=[smith], birthDate="Planted", identifier="Planted"),
        observation(valueQuantity={"value": "Planted", "unit": "mg/dL"}),
        observation(id="Planted", valueString="Planted", valueQuantity=...),
        observation(id="3", valueQuantity={"value": 1, "unit": "Planted Smith"}),
        observation(id="4", code={"text": "Planted"}),
        condition(id="5", onsetDateTime="Planted"),
        condition(
            id="6", code=coded("x", SNOMED), clinicalStatus=coded("resolved"), subject="Planted"
        ),
    ]
    reading = read(*lines)
    said = repr((reading.problems, reading.ignored))
    assert reading.problems and "Planted" not in said
