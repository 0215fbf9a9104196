"""A list of cases to be measured as a batch: one line for each case, in a CSV or TSV file."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from endplate import codec, vocabulary
from endplate.exchange.typed import encoding
from endplate.facts import InputProblem

NEEDED = ("case", "image", "mask")
OPTIONS = ("labels", "posture", "modality", "levels")
_BETWEEN_MASKS = ";"
_MAP_FILE = ".toml"
_EXAMPLE = "Write one like docs/how-to/measure-many-cases.md shows."

# A case id that is a file's name on every system as it stands; any other is spelt out in part and
# told apart by a digest after a sign that none of these has.
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?")
_SPELT_OUT, _DIGEST = 60, 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedCase:
    """One line of the list: what is to be measured, and how.

    Attributes
    ----------
    case
        The id; no two lines have the same.
    image, masks
        Where they lie.
    labels, posture, modality, levels
        As the options of ``endplate measure``.
    written
        The image and masks as the list names them: a folder that is moved as a whole stays the
        same.
    """

    case: str
    image: Path
    masks: tuple[Path, ...]
    labels: str = "auto"
    posture: str | None = None
    modality: str | None = None
    levels: str | None = None
    written: tuple[str, ...] = ()

    def missing(self) -> str:
        """Which of the files is not there: the list's column, or nothing."""
        if not os.path.exists(self.image):  # unlike Path.exists, no error where it cannot look
            return "image"
        return "" if all(map(os.path.exists, self.masks)) else "mask"

    def fingerprint(self, version: str) -> str:
        """What a result is made from: another fingerprint means that it is to be made anew.

        The inputs count by name, size and time of change, and are not read.
        """
        stands = [_stand(path) for path in (self.image, *self.masks)]
        if self.labels.endswith(_MAP_FILE):
            stands.append(_stand(Path(self.labels)))
        labels = Path(self.labels).name
        options = [labels, self.posture, self.modality, self.levels]
        made_from = codec.encode([version, options, self.written, stands])
        return hashlib.sha256(made_from).hexdigest()


def _stand(path: Path) -> list[tuple[str, int, int]]:
    """Name below `path`, size and time of change of a file, or of all files in a folder."""
    if not os.path.isdir(path):
        return [("", *_size_and_time(path))]
    files = [Path(folder, name) for folder, _, names in os.walk(path) for name in names]
    return sorted((f.relative_to(path).as_posix(), *_size_and_time(f)) for f in files)


def _size_and_time(file: Path) -> tuple[int, int]:
    try:
        found = os.stat(file)
    except (OSError, ValueError):  # not there, or no name that a file can have
        return -1, -1
    return found.st_size, found.st_mtime_ns


def file_names(cases: Sequence[ListedCase]) -> list[str]:
    """A file name for each case: its id where that is one on every system; no two are alike."""
    alike = Counter(case.case.casefold() for case in cases)
    return [_file_name(c.case, is_alone=alike[c.case.casefold()] == 1) for c in cases]


def _file_name(case: str, *, is_alone: bool) -> str:
    if is_alone and _PLAIN.fullmatch(case) and not _RESERVED.fullmatch(case):
        return f"{case}.json"
    spelt = re.sub(r"[^A-Za-z0-9._-]", "_", case).lstrip(".")[:_SPELT_OUT]
    digest = hashlib.sha256(case.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST]
    return f"{spelt}~{digest}.json"


def read_case_list(path: Path, defaults: Mapping[str, str | None]) -> list[ListedCase]:
    """The cases of a list; an option that a line leaves empty is that of `defaults`.

    The columns are case, image and mask (several separated by ``;``), and optionally labels,
    posture, modality and levels. Paths are relative to the list's folder. The separator is a
    comma, semicolon or tab; the text is UTF-8, or UTF-16 with a byte order mark.

    Raises
    ------
    InputProblem
        If it cannot be read, a column is missing or not known, a line does not fit the columns,
        an id stands twice, or there is no case. A line is named by its number alone, as its cells
        may tell who a person is.
    """
    rows = _rows(path)
    columns = _columns(path, next(rows, (0, []))[1])
    folder = path.absolute().parent
    cases: list[ListedCase] = []
    lines: dict[str, int] = {}
    for line, row in rows:
        if any(row[len(columns) :]):
            advice = "Put quotation marks around a cell that holds the separator"
            raise _bad_line(path, line, f"{len(columns)} cells at most", f"{len(row)}", advice)
        cells = dict(zip_longest(columns, row[: len(columns)], fillvalue=""))
        empty = [name for name in NEEDED if not cells[name].strip(f"{_BETWEEN_MASKS} ")]
        if empty:
            raise _bad_line(path, line, f"a cell for {empty[0]}", "an empty one", "Fill it in")
        first = lines.setdefault(cells["case"], line)
        if first != line:
            got = f"that of line {first}"
            raise _bad_line(path, line, "a case id of its own", got, "Give it another")
        cases.append(_case(cells, folder, defaults))
    if not cases:
        raise _bad(path, "There must be a line for each case", "none", _EXAMPLE)
    return cases


def _rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """The lines that are not empty, cut into cells, each with its number in the file."""
    try:
        content = path.read_bytes()
        text = content.decode(encoding(content))
    except OSError as problem:
        got = problem.strerror or type(problem).__name__
        raise _bad(path, "It must be a CSV or TSV file", got, "Check the path.") from None
    except UnicodeDecodeError:
        raise _bad(
            path, "It must be text in UTF-8", "other bytes", "Save it as CSV UTF-8."
        ) from None
    first = next((line for line in text.splitlines() if line.strip()), "")
    separator = max("\t,;", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any(cells):
                yield reader.line_num, cells
    except csv.Error:
        raise _bad_line(
            path,
            reader.line_num,
            "cells whose quotation marks are closed",
            "one that is not",
            "Correct it",
        ) from None


def _columns(path: Path, first: Sequence[str]) -> list[str]:
    columns = [name.lower() for name in first]
    while columns and not columns[-1]:  # a spreadsheet may end its lines with separators
        columns.pop()
    known = (*NEEDED, *OPTIONS)
    for name in columns:
        if name not in known:
            near = vocabulary.nearest(name, known, 1)
            hint = f" Nearest: {near[0]}." if near else ""
            needed = f"Its columns can be {', '.join(known)}"
            advice = f"{hint} Correct the name, or take the column out.".strip()
            raise _bad(path, needed, f"a column {name!r}", advice)
    twice = [name for name, count in Counter(columns).items() if count > 1]
    if twice:
        raise _bad(path, "Each column must be there once", f"{twice[0]} twice", "Take one out.")
    missing = [name for name in NEEDED if name not in columns]
    if missing:
        needed = f"Its first line must name the columns {', '.join(NEEDED)}"
        raise _bad(path, needed, f"none named {' or '.join(missing)}", _EXAMPLE)
    return columns


def _case(cells: Mapping[str, str], folder: Path, defaults: Mapping[str, str | None]) -> ListedCase:
    masks = [m.strip() for m in cells["mask"].split(_BETWEEN_MASKS) if m.strip()]
    options = {name: cells.get(name) or defaults.get(name) for name in OPTIONS}
    labels = options.pop("labels") or "auto"
    if cells.get("labels") and labels.endswith(_MAP_FILE):
        labels = str(folder / labels)
    elif labels.endswith(_MAP_FILE):
        labels = str(Path(labels).absolute())  # a worker may run in another folder
    return ListedCase(
        case=cells["case"],
        image=folder / cells["image"],
        masks=tuple(folder / mask for mask in masks),
        labels=labels,
        written=(cells["image"], *masks),
        **options,
    )


def _bad(path: Path, needed: str, got: str, advice: str) -> InputProblem:
    return InputProblem(
        f"{path.name}: cannot be used as a list of cases. {needed}; got {got}. {advice}"
    )


def _bad_line(path: Path, line: int, needed: str, got: str, advice: str) -> InputProblem:
    return InputProblem(
        f"{path.name}, line {line}: cannot be used. It needs {needed}; it has {got}. {advice}, and "
        f"start again."
    )
