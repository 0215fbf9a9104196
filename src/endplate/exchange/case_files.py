"""The results of a batch: one JSON file for each case, and the tables that are made from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any, Literal

import msgspec

from endplate.exchange.files import output_file
from endplate.facts import Fact, InputProblem, Problem

FACTS, CASES = "measurements.parquet", "cases.parquet"
# Rows that are held in memory before they are written: some tens of megabytes.
_ROWS_AT_ONCE = 50_000


class CaseFile(msgspec.Struct, frozen=True, kw_only=True):
    """What a case's file tells: that of ``endplate measure --json``, and how the case went.

    Attributes
    ----------
    endplate
        The version that measured it.
    case, status, fingerprint, seconds
        Its id in the list, how it ended, what it was made from, and how long it took.
    problems
        Why it failed stands first.
    """

    endplate: str
    case: str
    status: Literal["done", "failed"]
    fingerprint: str
    seconds: float
    facts: tuple[Fact, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def why(self) -> Problem | None:
        """Why it failed."""
        return self.problems[0] if self.status == "failed" and self.problems else None


_decoder = msgspec.json.Decoder(CaseFile)


def read_case_file(path: Path) -> CaseFile | None:
    """The result in a file; None if there is none, or none that is whole."""
    try:
        return _decoder.decode(path.read_bytes())
    except (OSError, ValueError):  # msgspec's errors are ValueErrors
        return None


class Summary(msgspec.Struct):
    """How a batch went: the number of cases measured, of their facts, and why others failed."""

    measured: int = 0
    facts: int = 0
    failed: list[Problem] = []

    def add(self, found: CaseFile) -> None:
        """One case more."""
        self.facts += len(found.facts)
        if found.why is None:
            self.measured += 1
        else:
            self.failed.append(msgspec.structs.replace(found.why, where=found.case))


def write_tables(folder: Path, files: Iterable[Path]) -> Summary:
    """Write the two tables of a batch: a row for each fact, and a row for each case.

    The files are read one after another, so that memory does not grow with their number.

    Raises
    ------
    InputProblem
        If a case's file has gone, or a table cannot be written.
    """
    import pyarrow as pa  # noqa: PLC0415 - an optional part
    import pyarrow.parquet as pq  # noqa: PLC0415

    summary = Summary()
    schemas = [_schema(pa, _FACT_COLUMNS), _schema(pa, _CASE_COLUMNS)]
    with (
        output_file(folder / FACTS) as facts_at,
        output_file(folder / CASES) as cases_at,
        pq.ParquetWriter(facts_at, schemas[0]) as fact_table,
        pq.ParquetWriter(cases_at, schemas[1]) as case_table,
    ):
        facts = _Rows(pa, fact_table, schemas[0])
        cases = _Rows(pa, case_table, schemas[1])
        for path in files:
            found = read_case_file(path)
            if found is None:
                raise InputProblem(
                    f"{path.name}: cannot be read. The result of each case is needed for the "
                    f"table; this one was changed meanwhile. Run the same command again."
                )
            facts.add(_fact_row(found.case, fact) for fact in found.facts)
            cases.add([_case_row(found)])
            summary.add(found)
        facts.write()
        cases.write()
    return summary


class _Rows:
    """Rows on their way into a Parquet file, written when there are many."""

    def __init__(self, pyarrow: Any, writer: Any, schema: Any) -> None:
        self._pyarrow, self._writer, self._schema = pyarrow, writer, schema
        self._rows: list[Sequence[Any]] = []

    def add(self, rows: Iterable[Sequence[Any]]) -> None:
        self._rows += rows
        if len(self._rows) >= _ROWS_AT_ONCE:
            self.write()

    def write(self) -> None:
        columns = zip(*self._rows, strict=True) if self._rows else [()] * len(self._schema)
        arrays = [
            self._pyarrow.array(column, field.type)
            for column, field in zip(columns, self._schema, strict=True)
        ]
        self._writer.write_table(self._pyarrow.Table.from_arrays(arrays, schema=self._schema))
        self._rows = []


def _schema(pyarrow: Any, columns: dict[str, str]) -> Any:
    types = {
        "text": pyarrow.string(),
        "texts": pyarrow.list_(pyarrow.string()),
        "number": pyarrow.float64(),
        "count": pyarrow.int64(),
        "day": pyarrow.date32(),
    }
    return pyarrow.schema([(name, types[kind]) for name, kind in columns.items()])


_FACT_COLUMNS = {
    "case": "text", "what": "text", "level": "text", "side": "text", "value": "number",
    "text": "text", "unit": "text", "low": "number", "high": "number",
    "standard_error": "number", "method": "text", "posture": "text", "quality": "text",
    "doubts": "texts", "on": "day",
}  # fmt: skip
_CASE_COLUMNS = {
    "case": "text", "status": "text", "problem": "text", "says": "text", "seconds": "number",
    "facts": "count", "endplate": "text",
}  # fmt: skip


def _fact_row(case: str, fact: Fact) -> Sequence[str | float | date | Sequence[str] | None]:
    value = fact.value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    text = str(value).lower() if isinstance(value, bool) else value
    low, high = fact.interval or (None, None)
    return (
        case, fact.what, fact.level, fact.side, float(value) if is_number else None,
        None if is_number else str(text), fact.unit or None, low, high,
        fact.details.get("standard_error"), fact.method, fact.posture, fact.quality,
        fact.doubts, fact.on,
    )  # fmt: skip


def _case_row(found: CaseFile) -> Sequence[str | float | None]:
    why = found.why
    return (
        found.case, found.status, why.problem if why else None, why.says if why else None,
        found.seconds, len(found.facts), found.endplate,
    )  # fmt: skip
