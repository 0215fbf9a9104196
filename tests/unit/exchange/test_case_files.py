"""The tables of a batch: a row for each fact and each case, written in parts."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from endplate.cli.output import envelope
from endplate.exchange import case_files
from endplate.exchange.case_files import read_case_file, write_tables
from endplate.facts import Fact, InputProblem, Problem
from endplate.posture import Posture

FACTS = [
    Fact(what="ct.hounsfield.axial", value=120.5, unit="[hnsf'U]", on=date(2026, 1, 31),
         level="L3", side="left", method="m/1", interval=(110.0, 131.0), posture=Posture.SUPINE,
         quality="doubtful", doubts=("one; two", "three"), details={"standard_error": 5.25}),
    Fact(what="some.count", value=3, unit="1"),
    Fact(what="some.class", value="grade 1"),
    Fact(what="some.truth", value=True),
]  # fmt: skip
EMPTY = dict.fromkeys(
    ["level", "side", "value", "text", "unit", "low", "high", "standard_error", "method",
     "posture", "on"]
)  # fmt: skip
EMPTY |= {"quality": "ok", "doubts": []}


def write(folder, case, status="done", facts=(), problems=()):
    path = folder / f"{case}.json"
    more = {"case": case, "status": status, "fingerprint": "f", "seconds": 1.5}
    path.write_bytes(envelope(facts=facts, problems=problems, **more))
    return path


def test_a_row_for_each_fact_and_each_case(tmp_path):
    why = Problem(problem="case.unusable", says="It is broken.")
    note = Problem(problem="measurement.few", says="L1 was not measured.")
    files = [
        write(tmp_path, "a", facts=FACTS, problems=[note]),
        write(tmp_path, "b", "failed", problems=[why, note]),
    ]
    summary = write_tables(tmp_path, files)
    assert (summary.measured, summary.facts) == (1, 4)
    assert [(p.where, p.problem) for p in summary.failed] == [("b", "case.unusable")]
    facts = pq.read_table(tmp_path / "measurements.parquet")
    assert facts.to_pylist() == [
        {"case": "a", "what": "ct.hounsfield.axial", "level": "L3", "side": "left",
         "value": 120.5, "text": None, "unit": "[hnsf'U]", "low": 110.0, "high": 131.0,
         "standard_error": 5.25, "method": "m/1", "posture": "supine", "quality": "doubtful",
         "doubts": ["one; two", "three"], "on": date(2026, 1, 31)},
        {**EMPTY, "case": "a", "what": "some.count", "value": 3.0, "unit": "1"},
        {**EMPTY, "case": "a", "what": "some.class", "text": "grade 1"},
        {**EMPTY, "case": "a", "what": "some.truth", "text": "true"},
    ]  # fmt: skip
    cases = pq.read_table(tmp_path / "cases.parquet").to_pylist()
    assert [(c["case"], c["status"], c["problem"], c["says"], c["seconds"], c["facts"])
            for c in cases] == [
        ("a", "done", None, None, 1.5, 4),
        ("b", "failed", "case.unusable", "It is broken.", 1.5, 0),
    ]  # fmt: skip


def test_rows_are_written_in_parts_that_make_one_table(tmp_path, monkeypatch):
    files = [write(tmp_path, f"c{n}", facts=FACTS) for n in range(7)]
    write_tables(tmp_path, files)
    at_once = pq.read_table(tmp_path / "measurements.parquet")
    monkeypatch.setattr(case_files, "_ROWS_AT_ONCE", 5)
    held = []
    real = case_files._Rows.add
    monkeypatch.setattr(
        case_files._Rows, "add", lambda self, rows: (real(self, rows), held.append(len(self._rows)))
    )
    write_tables(tmp_path, files)
    in_parts = pq.ParquetFile(tmp_path / "measurements.parquet")
    assert in_parts.num_row_groups > 2 and in_parts.read().equals(at_once)
    assert max(held) <= 5, "memory does not grow with the number of cases"


def test_no_facts_at_all_still_make_a_table(tmp_path):
    write_tables(
        tmp_path, [write(tmp_path, "a", "failed", problems=[Problem(problem="p", says="s")])]
    )
    table = pq.read_table(tmp_path / "measurements.parquet")
    assert table.num_rows == 0 and table.schema.field("value").type == pa.float64()


@pytest.mark.parametrize("damage", ["gone", "cut", "other"])
def test_what_is_no_whole_result_counts_as_none(tmp_path, damage):
    path = write(tmp_path, "a", facts=FACTS)
    assert read_case_file(path).case == "a"
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(content[: len(content) // 2] if damage == "cut" else b'{"endplate": "1"}')
    assert read_case_file(path) is None
    with pytest.raises(InputProblem, match=r"a\.json: cannot be read"):
        write_tables(tmp_path, [path])
    assert [p.name for p in tmp_path.iterdir() if p.name.endswith((".parquet", ".part"))] == []
