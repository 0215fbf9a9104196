"""Facts typed by a person: ``case.toml`` and tables of concept, value, unit, date.

In ``case.toml`` a table's name and its keys make the concept's id: ``[intent]`` with
``procedure = "fusion"`` is ``intent.procedure``. A value that needs a unit, a date, a level or a
side is written as ``{ value = 18, unit = "ng/mL", on = 2026-02-01 }``; several values of one
concept as a list of such. ``on`` at the top of the file or of a section dates every value below it
that has no date of its own.
"""

from __future__ import annotations

import csv
import io
import tomllib
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, Literal

from endplate import levels, vocabulary
from endplate.exchange.intake import Intake, lookup
from endplate.facts import InputProblem, Side
from endplate.levels import Column, Span
from endplate.vocabulary import Concept

CASE_FILE = "case.toml"
_DETAILS = frozenset({"value", "unit", "on", "date", "until", "level", "side"})
_SETTINGS = frozenset(
    {"posture", "on", "labels", "title", "modality", "levels_confirmed", "landmarks", "genes"}
)
_DATES = ("on", "date", "until")
_LONGEST_HEAD = 1 << 16
_WRITE_A_DATE = "Write the date as YYYY-MM-DD, such as 2026-01-31."
# A list of levels is one operation's span; a list of these is as many facts.
_A_SPAN = "intent.levels"
_A_LIST = frozenset({"bone.vertebra_excluded"})

# A day, none, or something that is written where a day belongs and is none.
Day = date | Literal["wrong"] | None


def read_case_file(path: Path, intake: Intake) -> dict[str, Any]:
    """Take in the facts of a ``case.toml``; its settings (``labels``, ``title``) are returned.

    Of these ``landmarks`` is a table for each file of landmarks, of what is said of it, and
    ``genes`` says which sample of a VCF is the person's, and its assembly.

    Raises
    ------
    InputProblem
        If the file is no TOML: a typing error there must not be passed over.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as problem:
        raise InputProblem(
            f"{path.name}: cannot be read. It must be a text file in UTF-8; "
            f"{type(problem).__name__}. Save it again as UTF-8."
        ) from None
    except tomllib.TOMLDecodeError as problem:
        raise InputProblem(
            f"{path.name}: cannot be read. It must be TOML, as in key = value; {problem}. "
            f"Correct that line."
        ) from None
    on = _default_day(data, "on", None, path.name, intake)
    if "posture" in data:
        _take(intake, "imaging.posture", {"value": data["posture"]}, on, path.name)
    facts = {key: value for key, value in data.items() if key not in _SETTINGS}
    for name, value, day in _leaves(facts, "", on, path.name, intake):
        for cells in _each(intake, name, value, path.name):
            _take(intake, name, cells, day, path.name)
    if data.get("modality", "CT") not in ("CT", "MR"):
        raise InputProblem(
            f"{path.name}: modality is not understood. It is CT or MR; got something else. Write "
            f"one of these, or leave it out."
        )
    if not isinstance(data.get("levels_confirmed", False), bool):
        raise InputProblem(
            f"{path.name}: levels_confirmed is not understood. It is true or false; got something "
            f"else. Write true once a person has counted the vertebrae on the image."
        )
    landmarks = data.get("landmarks", {})
    if not isinstance(landmarks, dict) or not all(isinstance(t, dict) for t in landmarks.values()):
        raise InputProblem(
            f"{path.name}: landmarks is not understood. It is a table for each file of landmarks; "
            f'got something else. Write [landmarks."lateral.mrk.json"] and below it view = '
            f'"lateral".'
        )
    genes = data.get("genes", {})
    if not isinstance(genes, dict) or set(genes) - {"sample", "assembly"}:
        raise InputProblem(
            f"{path.name}: genes is not understood. It is a table with sample and assembly; got "
            f'something else. Write [genes] and below it assembly = "GRCh38".'
        )
    said = ("labels", "title", "modality", "posture")
    found: dict[str, Any] = {k: str(data[k]) for k in said if k in data}
    if data.get("levels_confirmed"):
        found["levels_confirmed"] = "true"
    found |= {"genes": {key: str(value) for key, value in genes.items()}} if genes else {}
    return found | ({"landmarks": landmarks} if landmarks else {})


def _default_day(table: Mapping[str, Any], name: str, outer: Day, file: str, intake: Intake) -> Day:
    """The day of a table's values that have none of their own."""
    if "on" not in table:
        return outer
    day = _day(table["on"])
    if day == "wrong":
        intake.problem(
            "typed.date",
            f"{name!r} is no date like YYYY-MM-DD; the values that have no date of their own were "
            f"not used.",
            f"{file}: {name}",
            (_WRITE_A_DATE,),
        )
    return day


def _leaves(
    table: Mapping[str, Any], prefix: str, on: Day, file: str, intake: Intake
) -> Iterator[tuple[str, Any, Day]]:
    """Each concept id of a nested table with its value and the day that holds there.

    ``[facts]`` adds nothing to the id.
    """
    for key, value in table.items():
        name = key if not prefix and key != "facts" else f"{prefix}{key}"
        if not isinstance(value, dict) or "value" in value:
            yield name, value, on
            continue
        inner, day = value, on
        if "on" in value and lookup(name) is None:  # else a value's own table, without its value
            day = _default_day(value, f"{name}.on", on, file, intake)
            inner = {k: v for k, v in value.items() if k != "on"}
        below = "" if key == "facts" and not prefix else f"{name}."
        yield from _leaves(inner, below, day, file, intake)


def _each(intake: Intake, name: str, value: Any, file: str) -> list[Mapping[str, Any]]:
    """The values of one concept, one by one; several of which only one can be so are refused."""
    concept = lookup(name)
    listed = value if isinstance(value, list) else [value]
    tables = [one for one in listed if isinstance(one, dict)]
    if concept is not None and concept.id == _A_SPAN and not tables:
        return [{"value": value}]
    every: list[Mapping[str, Any]] = [
        one if isinstance(one, dict) else {"value": one} for one in listed
    ]
    if concept is None or concept.kind == "text" or concept.id in _A_LIST:
        return every
    times = Counter(_place(one) for one in every)
    used = [one for one in every if not _place(one) or times[_place(one)] == 1]
    if len(used) < len(every):
        _several(intake, concept, f"{file}: {name}")
    return used


def _place(cells: Mapping[str, Any]) -> str:
    """What tells a value apart from others without a date; empty for a value with one."""
    if any(cells.get(key) for key in _DATES):
        return ""
    return f"{cells.get('level')} {cells.get('side')}"


def _several(intake: Intake, concept: Concept, where: str) -> None:
    intake.problem(
        "typed.several_values",
        f"{concept.name}: takes one value and has several that nothing tells apart; none of them "
        f"was used.",
        where,
        ("Give one, or give each its own date, level or side.",),
    )


def _run(written: list[Any]) -> str:
    """The one span that a list of neighbouring levels makes up, in whatever order it is.

    Raises
    ------
    ValueError
        If one of them is no level, or if there is a gap. L3-L4 and L5-S1 have one: the segment
        between them.
    """
    spans = sorted((levels.span(str(one)) for one in written), key=lambda s: levels.order(str(s)))
    if not spans:
        raise ValueError("No level is given.")
    column = Column.of({end for span in spans for end in (span.first, span.last)})
    whole = spans[0]
    for span in spans[1:]:
        is_next = column.below(whole.last) == span.first
        has_single = any(s.first == s.last for s in (whole, span))
        if span.first > whole.last and not (is_next and has_single):
            raise ValueError("There is a gap.")
        whole = Span(whole.first, max(whole.last, span.last))
    return str(whole)


def _take(intake: Intake, name: str, cells: Mapping[str, Any], on: Day, file: str) -> None:
    concept = lookup(name)
    where = f"{file}: {name}"
    if concept is None:
        near = vocabulary.nearest(name)
        hint = f" Nearest: {', '.join(near)}." if near else ""
        intake.problem(
            "typed.unknown_concept",
            f"{name!r}: is no concept that Endplate knows; the value was not used.{hint}",
            file,
            (
                f"Write {near[0]!r} if that is meant."
                if near
                else "See 'endplate rules --concepts'.",
            ),
        )
        return
    odd = sorted(set(cells) - _DETAILS)
    if odd:
        intake.problem(
            "typed.unknown_key",
            f"{name}: the key {odd[0]!r} is not understood; the value was not used.",
            where,
            (f"Use {', '.join(sorted(_DETAILS))}.",),
        )
        return
    side = cells.get("side")
    if side not in (None, "left", "right"):
        intake.problem("typed.side", f"{name}: side must be left or right; not used.", where)
        return
    days = _days(intake, name, cells, where)
    if days is None:
        return
    day = days["on"] or days["date"] or on
    if isinstance(day, str):
        return  # said where it is written
    value = cells.get("value")
    if isinstance(value, list):
        value = _one_value(intake, concept, value, where)
        if value is None:
            return
    intake.take(
        concept,
        _plain(value),
        unit=str(cells.get("unit") or ""),
        on=day,
        until=days["until"],
        level=str(cells["level"]) if cells.get("level") else None,
        side=_side(side),
        source=file,
    )


def _days(
    intake: Intake, name: str, cells: Mapping[str, Any], where: str
) -> dict[str, date | None] | None:
    """The dates of a value; None, and a problem noted, where one of them is no date."""
    days: dict[str, date | None] = {}
    for key in _DATES:
        day = _day(cells.get(key))
        if isinstance(day, str):
            says = f"{name}: {key!r} is no date like YYYY-MM-DD; the value was not used."
            intake.problem("typed.date", says, where, (_WRITE_A_DATE,))
            return None
        days[key] = day
    return days


def _one_value(intake: Intake, concept: Concept, value: list[Any], where: str) -> str | None:
    """A list in the place of a value: levels as the span that they make up, and nothing else."""
    if concept.id != _A_SPAN:
        _several(intake, concept, where)
        return None
    try:
        return _run(value)
    except ValueError:
        says = f"{concept.name}: a list must be of neighbouring levels, without a gap; not used."
        intake.problem("typed.levels", says, where, ("Write one span such as L3-L5.",))
        return None


def _side(side: Any) -> Side | None:
    return "left" if side == "left" else "right" if side == "right" else None


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date | datetime) else value


def _day(value: Any) -> Day:
    if isinstance(value, datetime):
        return value.date()
    if value is None or value == "" or isinstance(value, date):
        return value or None
    try:
        return date.fromisoformat(str(value).strip())
    except ValueError:
        return "wrong"


def is_table_of_facts(path: Path) -> bool:
    """Whether a CSV or TSV file has the columns of typed facts, in whatever encoding it is."""
    try:
        with path.open("rb") as file:
            start = file.read(_LONGEST_HEAD)
    except OSError:
        return False
    text = start.decode(encoding(start), errors="replace").replace("\0", "")
    head = next(iter(text.splitlines()), "").lower()
    columns = {c.strip().strip('"') for c in head.replace(";", ",").replace("\t", ",").split(",")}
    return {"concept", "value"} <= columns


def encoding(start: bytes) -> str:
    """How a table's text is written: UTF-8, or UTF-16 where its first bytes say so."""
    return "utf-16" if start.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else "utf-8-sig"


def read_table(path: Path, intake: Intake) -> None:
    """Take in a CSV or TSV of facts: columns concept, value, unit, date, level, side.

    The separator is a comma, semicolon or tab. A number is written with a point; a decimal
    comma is refused, as it cannot be told from a separator. The text is UTF-8, or UTF-16 with
    a byte order mark.
    """
    content = path.read_bytes()
    try:
        text = content.decode(encoding(content))
    except UnicodeDecodeError:
        text = ""
    first = next(iter(text.splitlines()), "")
    if "concept" not in first.lower():  # it was there when any encoding would do
        intake.problem(
            "typed.encoding",
            f"{path.name}: is no text in UTF-8; none of its values was used.",
            path.name,
            ("Save it again as CSV UTF-8; in Excel: Save As, CSV UTF-8 (Comma delimited).",),
        )
        return
    separator = max("\t;,", key=first.count)
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        for number, row in enumerate(rows, 2):
            _take_row(intake, row, f"{path.name}:{number}")
    except csv.Error:
        intake.problem(
            "typed.field_too_long",
            "From this line on the table was not used: a field is longer than "
            f"{csv.field_size_limit()} characters.",
            f"{path.name}:{rows.line_num + 1}",
            ("Look for a quotation mark that is not closed, or shorten the text.",),
        )


def _take_row(intake: Intake, row: Mapping[str | None, Any], where: str) -> None:
    cells = {(k or "").strip().lower(): (v or "").strip() for k, v in row.items() if k}
    name = cells.pop("concept", "")
    if name or any(cells.values()):
        known = {k: v for k, v in cells.items() if k in _DETAILS and v}
        _take(intake, name, known, None, where)
