"""A table of many people: one outcome, the predictors, and blanks that stay blanks."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from endplate import vocabulary
from endplate.evidence.model import Numbers
from endplate.facts import InputProblem
from endplate.vocabulary import Concept

_BLANK = {"", "na", "nan", "null", "n/a"}
# Names of columns that number people, or lines. In a table sorted by outcome such a number alone
# tells the outcome, in the people left out as well.
_NAMES_PEOPLE = re.compile(
    r"(patient|person|subject|participant)s?(_?(id|identifier|no|nr|num|number))?|mrn"
)
_NUMBERING = re.compile(
    _NAMES_PEOPLE.pattern + r"||index|row|unnamed.*|(.*_)?(id|identifier|mrn)|records?"
    r"|(record|case|row|line)_?(no|nr|num|number)"
)
_WORDS = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}


@dataclass(frozen=True, slots=True)
class Cohort:
    """People with a known outcome: their class, and their predictors with NaN for a blank.

    `without_outcome` were left out; `unused` are columns that nothing was asked of; `again` counts
    lines of a person who stands in an earlier one, where a column names people.
    """

    file: str
    sha256: str
    outcome: str
    classes: tuple[str, ...]
    of_class: NDArray[np.intp]
    columns: tuple[str, ...]
    concepts: tuple[str, ...]
    values: Numbers
    without_outcome: int = 0
    unused: tuple[str, ...] = ()
    again: int = 0

    @property
    def blanks(self) -> int:
        """How many cells have no value."""
        return int(np.isnan(self.values).sum())

    @property
    def counts(self) -> dict[str, int]:
        """People in each class."""
        found = np.bincount(self.of_class, minlength=len(self.classes))
        return {name: int(n) for name, n in zip(self.classes, found, strict=True)}


def read_cohort(
    path: Path,
    outcome: str,
    concept_of: Mapping[str, str] | None = None,
    *,
    classes: Sequence[str] = (),
) -> Cohort:
    """The people of a CSV table.

    Parameters
    ----------
    path
        A CSV file with a head line; yes_no columns hold yes, no, 1 or 0, and a blank is blank.
    outcome
        The column of the class; its words are written in snake case.
    concept_of
        The concept of each predictor's column; else every column is one, by its own name, but the
        outcome and what numbers people or lines; a model of it serves where it was made.
    classes
        The classes that there may be, in order; else those of the table, in that of the alphabet.

    Raises
    ------
    InputProblem
        If a column is not there or a cell cannot be what its concept allows.
    """
    content = _content(path)
    try:
        lines = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))
    except (UnicodeDecodeError, csv.Error):
        raise _wrong(path, "it must be a CSV table in UTF-8") from None
    head = lines[0] if lines else []
    numbered = [(n, line) for n, line in enumerate(lines[1:], 2) if line]
    rows = [line for _, line in numbered]
    if len(set(head)) < len(head):
        raise _wrong(path, "each column needs a name of its own, and one is there twice")
    asked = dict(
        concept_of
        or {c: c for n, c in enumerate(head) if c != outcome and not _numbers(c, n, numbered)}
    )
    lacking = [c for c in (outcome, *asked) if c not in head]
    if lacking or not asked:
        raise _wrong(path, f"it needs the columns {', '.join(lacking) or 'of its predictors'}")
    short = next((n for n, row in numbered if len(row) != len(head)), None)
    if short is not None:
        raise _wrong(path, f"line {short} has not as many cells as the head")
    at = {name: n for n, name in enumerate(head)}
    words = [_word(row[at[outcome]]) for row in rows]
    _check_words(path, {row[at[outcome]].strip().lower() for row in rows})
    kept = [(word, row) for word, row in zip(words, rows, strict=True) if word]
    there = tuple(classes) or tuple(sorted({word for word, _ in kept}))
    other = sorted({word for word, _ in kept} - set(there))
    if other:
        raise _wrong(path, f"the outcome is one of {', '.join(there)}; {len(other)} others came")
    values = np.array(
        [[_value(path, n, c, row[at[c]], _concept(asked[c])) for c in asked]
         for n, row in numbered if _word(row[at[outcome]])],
        dtype=np.float64,
    ).reshape(len(kept), len(asked))  # fmt: skip
    unused = tuple(c for c in head if c != outcome and c not in asked)
    people = [[row[at[c]] for _, row in kept] for c in unused if _NAMES_PEOPLE.fullmatch(_plain(c))]
    return Cohort(
        file=path.name,
        sha256=hashlib.sha256(content).hexdigest(),
        outcome=outcome,
        classes=there,
        of_class=np.array([there.index(word) for word, _ in kept], dtype=np.intp),
        columns=tuple(asked),
        concepts=tuple(asked.values()),
        values=values,
        without_outcome=len(rows) - len(kept),
        unused=unused,
        again=max((len(ids) - len(set(ids)) for ids in people if all(ids)), default=0),
    )


def _numbers(name: str, at: int, numbered: list[tuple[int, list[str]]]) -> bool:
    """Whether a column numbers people or lines, by its name, or as it counts up line by line."""
    if _NUMBERING.fullmatch(_plain(name)):
        return True
    cells = [_number(line[at].strip()) if at < len(line) else None for _, line in numbered]
    steps = np.diff([np.nan if cell is None else cell for cell in cells])
    return len(steps) > 1 and bool((steps == 1).all())


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def read_map(path: Path) -> dict[str, str]:
    """Which concept each column of a table holds: a CSV table with ``column`` and ``concept``."""
    try:
        lines = list(csv.DictReader(io.StringIO(_content(path).decode("utf-8-sig"))))
        found = {line["column"].strip(): line["concept"].strip() for line in lines}
    except (UnicodeDecodeError, csv.Error, KeyError, AttributeError):
        raise _wrong(path, "a map is a CSV table with the columns column and concept") from None
    unknown = [c for c in found.values() if c not in vocabulary.concepts()]
    if unknown:
        near = ", ".join(vocabulary.nearest(unknown[0], vocabulary.concepts()))
        raise _wrong(path, f"{unknown[0]!r} is no concept{f'; nearest: {near}' if near else ''}")
    if not found or len(found) < len(lines) or len(set(found.values())) < len(found):
        raise _wrong(path, "it names each column and each concept once")
    odd = [c for c in found.values() if vocabulary.concept(c).kind not in ("yes_no", "number")]
    if odd:
        raise _wrong(path, f"a predictor is a number or yes or no; {odd[0]} is neither")
    return found


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise _wrong(path, "there is no such file that can be read") from None


def _word(cell: str) -> str:
    """A class as a word in snake case: ``Central Neuropathic``, ``-1.0``; empty for a blank."""
    plain = cell.strip().lower()
    if plain in _BLANK:
        return ""
    number = _number(plain)
    plain = plain if number is None else f"{number:g}".replace("-", "minus ")
    return re.sub(r"[^\w]+", "_", plain).strip("_") or "other"


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None


def _check_words(path: Path, cells: set[str]) -> None:
    """Refuse outcomes that only signs tell apart, such as A+ and A-: they would be one class."""
    first: dict[str, str] = {}
    for cell in sorted(cells - _BLANK):
        other = first.setdefault(_word(cell), cell)
        if other != cell and (_number(cell) is None or _number(cell) != _number(other)):
            raise _wrong(path, "two outcomes differ by signs alone; give them names that differ")


def _concept(name: str) -> Concept:
    """The concept of that id; a number without limits for a column that is none."""
    found = vocabulary.concepts().get(name)
    return found or Concept(id=name, name=name, unit="1")


def _value(path: Path, line: int, column: str, cell: str, concept: Concept) -> float:
    """A cell as a number; a code for "missing" such as 999 is no value, and is refused."""
    plain = cell.strip().lower()
    if plain in _BLANK:
        return float("nan")
    number = _WORDS.get(plain, _number(plain))
    low, high = (0.0, 1.0) if concept.kind == "yes_no" else concept.plausible or (-1e9, 1e9)
    whole = concept.kind != "yes_no" or number in (0.0, 1.0)
    if number is None or not (whole and low <= number <= high):
        limits = f"a number, {low:g} to {high:g}"
        allowed = "yes, no, 1 or 0" if concept.kind == "yes_no" else limits
        raise _wrong(path, f"{column} in line {line} must be {allowed}, or blank if not known")
    return number


def _wrong(path: Path, what: str) -> InputProblem:
    return InputProblem(
        f"{path.name}: cannot be used as a table of people. It is a CSV file of a person a line: "
        f"{what}. Correct it and try again; nothing was written."
    )
