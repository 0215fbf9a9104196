"""Landmarks of radiographs: JSON, CSV, points of 3D Slicer, and marks in DICOM objects.

``docs/how-to/measure-alignment.md`` has the first two formats. In them x runs to the right and y
down the picture, in pixels from its upper left corner, as in DICOM. A file of 3D Slicer is in mm:
where it lies in one plane it is a radiograph's, at the size of the detector; where it does not, its
points are the patient's own. DICOM objects refer to their image, which says the rest.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from endplate import vocabulary
from endplate.alignment.fan import SOURCES, Fan
from endplate.alignment.landmarks import (
    HEAD,
    SECOND,
    VIEWS,
    Radiograph,
    canonical,
    names,
)  # fmt: skip
from endplate.exchange.fhir.read import source
from endplate.exchange.typed import encoding
from endplate.facts import InputProblem, Problem
from endplate.posture import Posture

if TYPE_CHECKING:
    from endplate.exchange.dicom.landmarks import Marks
    from endplate.exchange.dicom.radiograph import Film
    from endplate.exchange.dicom.series import Identity
    from endplate.images.landmarks import Landmark

# What can be said of a radiograph, in a file or beside it.
SETTINGS = (
    "view", "posture", "on", "pixel_spacing", "magnification", "calibration", "anterior",
    "patient_left", "landmark_error", "image", "eos",
)  # fmt: skip
# What is known of how a slot scanner took a picture, in a file's `eos`.
EOS = (
    "source_to_isocentre_mm", "source_to_detector_mm", "spacing_at", "source", "isocentre_column",
    "first_row",
)  # fmt: skip
SPACING_AT = ("isocentre", "detector")
UNCALIBRATED = "uncalibrated"
_SIDES = ("left", "right")
_WORDS: Mapping[str, tuple[str, ...]] = {
    "view": VIEWS,
    "posture": tuple(Posture),
    "calibration": (UNCALIBRATED,),
    "anterior": _SIDES,
    "patient_left": _SIDES,
}
_ERROR = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(mm|px)\s*")
# Points of a plane differ less than this across it, mm.
_FLAT = 1e-3
_ALWAYS_FLAT = 3
# No picture has more pixels a side, and no scale more or fewer mm in one.
_LARGEST, _SMALLEST = 1e6, 1e-6
_LONGEST_HEAD = 1 << 14
_EVERY = frozenset().union(*(names(view) for view in VIEWS))
_BESIDE = "what was given beside it"
_PAGE = "See docs/how-to/measure-alignment.md."


@dataclass(frozen=True, slots=True)
class _Point:
    """One point as it was written: where, and its own standard error in the same unit."""

    label: str
    at: tuple[float, ...]
    error: float | None = None


@dataclass(slots=True)
class _Read:
    """What a file holds: its points, what it says of itself, and what was left aside."""

    points: list[_Point]
    says: dict[str, Any] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    in_mm: bool = False
    lines: list[tuple[str, Sequence[tuple[float, float]]]] = field(default_factory=list)
    image: Film | None = None
    identity: Identity | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Marked:
    """A radiograph's landmarks with what is known of the picture that they were marked on.

    Attributes
    ----------
    pixels
        Name → column and row on the picture, and the standard error of either where the point
        has its own; empty where the file's points are not in pixels.
    said
        What was said of the radiograph, in the file, by its image, or beside them.
    image
        Its DICOM image, where there is one.
    scan
        The slot scanner's picture, where its header was read.
    identity
        Whose it is, by its picture or the object that marks it.
    """

    film: Radiograph
    problems: tuple[Problem, ...]
    pixels: Mapping[str, tuple[float, float, float | None]]
    said: Mapping[str, Any]
    image: Film | None = None
    scan: Path | None = None
    identity: Identity | None = field(default=None, repr=False)


def is_landmarks(value: Any) -> bool:
    """Whether a parsed JSON value holds a radiograph's landmarks, be they right or wrong."""
    if not isinstance(value, dict) or "resourceType" in value:
        return False
    points = value.get("points")
    return isinstance(points, dict) and (
        value.get("view") in VIEWS or any(canonical(str(label)) in _EVERY for label in points)
    )


def is_table_of_landmarks(path: Path) -> bool:
    """Whether a table has the columns point, x and y, and says a view or names a landmark."""
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST_HEAD)
        text = content.decode(encoding(content), errors="replace")
    except OSError:
        return False
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    body = [line for line in lines if not line.startswith("#")]
    separator = max("\t;,", key=(body[0] if body else "").count)
    rows = [[cell.strip(' "') for cell in line.split(separator)] for line in body]
    columns = [cell.lower() for cell in rows[0]] if rows else []
    if not {"point", "x", "y"} <= set(columns):
        return False
    at = columns.index("point")
    says_view = any(line.strip("#,;\t ").startswith("view:") for line in lines if line[0] == "#")
    return says_view or any(canonical(r[at]) in _EVERY for r in rows[1:] if len(r) > at)


def lie_in_one_plane(landmarks: Iterable[Landmark]) -> bool:
    """Whether points in mm are those of a picture, and not of a body that fills space."""
    places = np.array([p.position for p in landmarks])
    return len(places) > 0 and bool((np.ptp(places, axis=0) < _FLAT).any())


def read(
    path: Path, given: Mapping[str, Any] | None = None, scans: Mapping[str, Path] | None = None
) -> tuple[Radiograph, tuple[Problem, ...]]:
    """The radiograph's landmarks in a file, and what of it could not be used.

    Parameters
    ----------
    given
        Whichever of `SETTINGS` the user said beside the file; None for what was not said.
    scans
        View → the DICOM picture of a slot scanner that its points were marked on.

    Raises
    ------
    InputProblem
        If it cannot be read, says what cannot be, or leaves open what must be known.
    """
    found = marked(path, given, scans=scans)
    return found.film, found.problems


def marked(
    path: Path,
    given: Mapping[str, Any] | None = None,
    images: Sequence[Film] = (),
    scans: Mapping[str, Path] | None = None,
    marks: Marks | None = None,
) -> Marked:
    """The landmarks in a file, with the picture that they were marked on.

    Parameters
    ----------
    given
        Whichever of `SETTINGS` the user said beside the file; None for what was not said.
    images
        DICOM images of which one may be the picture. Of a DICOM object the picture is looked for
        beside it as well.
    scans
        View → the DICOM picture of a slot scanner that its points were marked on.
    marks
        What a DICOM object marks, where it was read already.

    Raises
    ------
    InputProblem
        If it cannot be read, says what cannot be, or leaves open what must be known.
    """
    given = given or {}
    found = _content(path, given, images) if marks is None else _marks(path, marks, given, images)
    said, problems = _said(path.name, found, given, is_slot=bool(scans))
    if "view" not in said:
        _refuse(path.name, "whether it is a lateral or a frontal radiograph", "it does not say",
                "Give --view, or view in the file.")  # fmt: skip
    scan = (scans or {}).get(said["view"])
    if scan is None and "image" in said:
        scan = path.parent / said["image"]
    if scan is None:
        return _radiograph(path.name, found, said, problems)
    said = _of_scan(path.name, said, scan)
    made = _radiograph(path.name, found, said, problems)
    return replace(made, scan=scan, identity=_whose(path.name, made.identity, scan))


# -- reading ----------------------------------------------------------------------------------


def _content(path: Path, given: Mapping[str, Any], images: Sequence[Film]) -> _Read:
    if not path.is_file():
        raise InputProblem(
            f"{path.name}: cannot be read. A file of landmarks is needed; there is none of that "
            f"name. Check the path."
        )
    if _is_dicom(path):
        return _of_dicom(path, given, images)
    found = _of_text(path)
    view = given.get("view") or found.says.get("view")
    found.image = next(
        (one for one in images if None in (view, there := one.says.get("view")) or there == view),
        None,
    )
    return found


def _of_text(path: Path) -> _Read:
    try:
        text = source.document(path)
    except source.Unreadable as problem:
        _refuse(path.name, "a file that can be read", problem.says, "Look at the file.")
    if path.suffix.lower() in (".csv", ".tsv", ".txt"):
        return _table(path.name, text)
    try:
        value = source.parsed(text)
    except source.NotJson:
        value = None
    if isinstance(value, dict) and isinstance(value.get("markups"), list):
        return _of_slicer(value, path.name)
    if not isinstance(value, dict) or not isinstance(value.get("points"), dict):
        _refuse(path.name, "JSON with points, a CSV, or points of 3D Slicer", "it is none of them",
                _PAGE)  # fmt: skip
    says = {name: cell for name, cell in value.items() if name != "points"}
    odd = sorted(set(says) - set(SETTINGS))
    if odd:
        _refuse(path.name, f"no other keys than points, {', '.join(SETTINGS)}",
                f"it has {odd[0]!r}", "Correct or remove it.")  # fmt: skip
    if (twice := _repeated(text)) is not None:
        _refuse(path.name, "each key once", f"it has {twice[:40]!r} twice", "Remove one of them.")
    return _Read(list(_of_json(path.name, value["points"])), says)


def _of_slicer(value: Mapping[str, Any], name: str) -> _Read:
    # It brings image labels with it, which are slow to import and seldom needed here.
    from endplate.exchange import points_slicer  # noqa: PLC0415

    marked, problems = points_slicer.read(value, name)
    points = [
        _Point(" ".join(p for p in (m.level, m.side, m.name) if p), m.position, m.error)
        for m in marked
    ]
    return _Read(points, {}, problems, in_mm=True)


def _of_json(name: str, points: Mapping[str, Any]) -> Iterator[_Point]:
    """The points of a JSON file: [x, y] or [x, y, error] each; of femoral heads also two."""
    for label, value in points.items():
        several = value if isinstance(value, list) and value and _are_lists(value) else [value]
        for one in several:
            yield _point(name, label, one if isinstance(one, list) else [])


def _are_lists(value: list[Any]) -> bool:
    return all(isinstance(one, list) for one in value)


def _repeated(text: bytes) -> str | None:
    """A key that stands twice in one object of JSON, of which any reader would take one."""
    found: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> None:
        keys = [key for key, _ in items]
        found.extend(key for n, key in enumerate(keys) if key in keys[:n])

    with suppress(ValueError, RecursionError):
        json.loads(text, object_pairs_hook=pairs)
    return found[0] if found else None


def _table(name: str, content: bytes) -> _Read:
    """A CSV: lines ``# key: value``, then columns point, x, y and, if wanted, error."""
    try:
        # A spreadsheet puts a setting with a comma into quotation marks, and may begin with "sep=".
        lines = [
            text.strip().strip('"') if text.lstrip().startswith('"#') else text
            for text in content.decode(encoding(content)).splitlines()
            if not text.startswith("sep=")
        ]
    except UnicodeDecodeError:
        _refuse(name, "text in UTF-8", "it is none", "Save it again as CSV UTF-8.")
    says: dict[str, Any] = {}
    for line in (text.strip() for text in lines):
        if not line.startswith("#"):
            continue
        key, colon, value = (part.strip() for part in line.strip('#,;\t "').partition(":"))
        if not colon:
            continue
        if key not in SETTINGS:
            _refuse(name, f"no other settings than {', '.join(SETTINGS)}", f"it has {key!r}",
                    "Correct or remove it.")  # fmt: skip
        if key in says:
            _refuse(name, "each setting once", f"it has {key!r} twice", "Remove one of them.")
        says[key] = _plain(value)
    body = [t for t in lines if t.strip(',;\t "') and not t.lstrip().startswith("#")]
    head = body[0] if body else ""
    separator = max("\t;,", key=head.count)
    rows = csv.DictReader(io.StringIO("\n".join(body), newline=""), delimiter=separator)
    rows.fieldnames = [cell.strip().lower() for cell in rows.fieldnames or ()]
    if not {"point", "x", "y"} <= set(rows.fieldnames):
        _refuse(name, "the columns point, x and y", "one of them is not there", _PAGE)
    points = []
    for row in _rows(name, rows):
        cells = [_plain((row.get(n) or "").strip()) for n in ("x", "y", "error")]
        points.append(_point(name, row["point"] or "", cells[:2] if cells[2] == "" else cells))
    return _Read(points, says)


def _rows(name: str, rows: csv.DictReader[str]) -> Iterator[dict[str, Any]]:
    try:
        yield from rows
    except csv.Error:
        _refuse(name, "lines of a point each", "one of its fields does not end",
                "Look for a quotation mark that is not closed.")  # fmt: skip


def _plain(text: str) -> Any:
    """A number, or a list of numbers, as such; anything else as it is."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _point(name: str, label: str, value: list[Any]) -> _Point:
    numbers = [float(n) for n in value if _is_number(n)]
    if len(numbers) != len(value) or len(value) not in (2, 3) or min(numbers[2:], default=1) <= 0:
        _refuse(name, "x and y of each point as numbers with a decimal point, and an error above "
                "0 where it is known",
                f"those of {canonical(label)[:40]!r} are not", "Correct them.")  # fmt: skip
    error = numbers[2] if len(numbers) > 2 else None
    return _Point(label, (numbers[0], numbers[1]), error)


def _is_number(value: Any) -> bool:
    """Whether it is a number that a place or a scale can have."""
    is_real = isinstance(value, int | float) and not isinstance(value, bool)
    return is_real and abs(value) <= _LARGEST


# -- DICOM -----------------------------------------------------------------------------------


def _is_dicom(path: Path) -> bool:
    """Whether a file is DICOM by its name or its first bytes."""
    try:
        with path.open("rb") as file:
            start = file.read(132)
    except OSError:
        return False  # the reader of text says why
    return path.suffix.lower() == ".dcm" or start[128:] == b"DICM"


def _of_dicom(path: Path, given: Mapping[str, Any], images: Sequence[Film]) -> _Read:
    from endplate.exchange.dicom import landmarks  # noqa: PLC0415 - slow to import
    from endplate.exchange.dicom.files import Unreadable  # noqa: PLC0415

    try:
        marks = landmarks.read(path)
    except Unreadable as problem:
        _refuse(path.name, "a structured report or a presentation state with landmarks",
                problem.says[0].lower() + problem.says[1:].rstrip("."),
                "Give the object that was made where they were marked.")  # fmt: skip
    return _marks(path, marks, given, images)


def _marks(path: Path, marks: Marks, given: Mapping[str, Any], images: Sequence[Film]) -> _Read:
    """The marks of a structured report or a presentation state on one image, with that image."""
    from endplate.exchange.dicom import radiograph  # noqa: PLC0415 - slow to import

    problems = tuple(
        Problem(
            problem="alignment.mark_left_aside", where=path.name, count=count,
            says=f"A mark was left aside: {why}.", try_=(_PAGE,),
        )
        for why, count in marks.left.items()
    )  # fmt: skip
    if not marks.on:
        why = "; ".join(f"{count} left aside: {why}" for why, count in marks.left.items())
        _refuse(path.name, "marks on an image that are named as landmarks",
                f"no landmark was found ({why or 'nothing is marked'})", _PAGE)  # fmt: skip
    known = [image for image in images if image.uid in marks.on]
    if images and not known:
        _refuse(path.name, "the image that it marks", "it marks another than was given",
                "Give the right one.")  # fmt: skip
    known = known or [radiograph.film(p) for p in radiograph.beside(path, marks.on).values()]
    uid = _image_of(path.name, marks, known, given)
    image = next((one for one in known if one.uid == uid), None)
    if image is not None:
        _check_image(path.name, marks, image, uid)
    found = _Read([], marks.says.get(uid, {}), problems, image=image, identity=marks.identity)
    for mark in dict.fromkeys(marks.on[uid]):
        if mark.kind == "line":
            found.lines.append((mark.name, mark.at))
        else:
            found.points.append(_Point(mark.name, mark.at[0], mark.error))
    return found


def _image_of(name: str, marks: Marks, known: Sequence[Film], given: Mapping[str, Any]) -> str:
    """The one image whose marks are meant: the one given, the only one, or that of the view."""
    if len(marks.on) == 1:
        return next(iter(marks.on))
    view = given.get("view")
    views = {one.uid: one.says.get("view") for one in known}
    views |= {uid: says["view"] for uid, says in marks.says.items() if "view" in says}
    meant = [uid for uid in marks.on if view and views.get(uid) == view]
    if len(known) == 1 and not meant:
        meant = [known[0].uid]
    if len(meant) != 1:
        _refuse(name, "the marks of one image", f"it marks {len(marks.on)} images",
                "Give the image that is meant with --sr, or its view with --view.")  # fmt: skip
    return meant[0]


def _check_image(name: str, marks: Marks, image: Film, uid: str) -> None:
    """Refuse another person's image, and marks beside the picture."""
    if why := marks.identity.contradicts(image.identity):
        raise InputProblem(
            f"{name}: cannot be used with its image. Both must be of one person; they have "
            f"different {' and '.join(why)}. Check whose they are."
        )
    columns, rows = image.size
    for mark in marks.on[uid]:
        if any(not (0 <= x <= columns and 0 <= y <= rows) for x, y in mark.at):
            _refuse(name, "marks within the picture", f"{mark.name} lies beside it",
                    "Check whether it is this picture.")  # fmt: skip


def _ends(name: str, found: _Read, view: str, towards: str | None) -> Iterator[Problem]:
    """Take in the ends of endplates that were marked as lines; say which cannot be told apart."""
    if not found.lines:
        return
    from endplate.exchange.dicom.landmarks import ends  # noqa: PLC0415

    if towards is None:
        key = "anterior" if view == "lateral" else "patient_left"
        _refuse(name, f"the side of the picture on which {key.replace('_', ' ')} lies, to tell the "
                "ends of lines apart", "nobody says it",
                f"Give --{key.replace('_', '-')} left or right.")  # fmt: skip
    axes = found.image.axes if found.image else None
    across = axes[0] if axes else (0, 1.0)
    for label, at in found.lines:
        both = ends(view, label, at, across, towards)
        found.points += [_Point(end, place) for end, place in (both or {}).items()]
        if both is None:
            yield Problem(
                problem="alignment.line_without_ends", where=name,
                says=f"The line {label} runs so steeply that its ends cannot be told apart; it "
                f"was left aside.",
                try_=("Mark its ends as points, each by its name.",),
            )  # fmt: skip


# -- what is said of it -----------------------------------------------------------------------


def _said(
    name: str, found: _Read, given: Mapping[str, Any], *, is_slot: bool
) -> tuple[dict[str, Any], tuple[Problem, ...]]:
    """What is said of a radiograph in its file, by its image or beside them, and what is doubtful.

    Whoever calls it uncalibrated need not deny what its image says of a scale; that of a slot
    scanner's picture is read with its geometry.
    """
    image = found.image
    if image is None:
        return _settled(name, {"the file": found.says, _BESIDE: given}), ()
    by_image = dict(image.says)
    is_slot = is_slot or bool({"eos", "image"} & set(found.says))
    if is_slot or UNCALIBRATED in (given.get("calibration"), found.says.get("calibration")):
        for key in ("pixel_spacing", "magnification"):
            by_image.pop(key, None)
    said = _settled(name, {"the file": found.says, "its image": by_image, _BESIDE: given})
    problems = image.problems
    scaled = is_slot or {"calibration", "magnification"} & set(said)
    if image.magnification and not scaled:
        said["magnification"] = image.magnification
        problems += (image.doubt,) if image.doubt else ()
    return said, problems


def _settled(name: str, says: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What is said of a radiograph here and there, checked; all may say the same."""
    found: dict[str, Any] = {}
    for key in SETTINGS:
        values = {w: _setting(name, key, s[key]) for w, s in says.items() if s.get(key) is not None}
        for (first, value), (second, other) in pairwise(values.items()):
            if not _same(value, other):
                _refuse(name, f"one answer to {key}", f"{first} says another than {second}",
                        "Give one of them.")  # fmt: skip
        if values:
            found[key] = next(iter(values.values()))
    if "calibration" in found and {"pixel_spacing", "magnification"} & set(found):
        _refuse(name, "either pixel spacing and magnification, or 'uncalibrated'",
                "both are there", "Remove one of them.")  # fmt: skip
    return found


def _same(value: Any, other: Any) -> bool:
    """Whether two answers are one; a square pixel has one size or the same twice."""
    square = {float, tuple} == {type(value), type(other)}
    return bool(np.all(np.equal(value, other)) if square else value == other)


def _setting(name: str, key: str, value: Any) -> Any:
    """One setting, read: a word, a date, a length per pixel (x, y), a factor, an error."""
    words = _WORDS.get(key)
    if words is not None:
        if value in words:
            return str(value)
        _refuse(name, f"{key} as one of {', '.join(words)}", "it is another", "Write one of them.")
    if key == "on":
        try:
            return value if isinstance(value, date) else date.fromisoformat(str(value))
        except ValueError:
            _refuse(name, "on as a date like 2026-01-31", "it is none", "Correct it.")
    if key == "image":
        if isinstance(value, str) and value:
            return value
        _refuse(name, "image as the name of a DICOM file", "it is none", "Correct it.")
    if key == "eos":
        return _eos(name, value)
    if key == "landmark_error":
        match = _ERROR.fullmatch(str(value))
        if match and float(match[1]) > 0:
            return float(match[1]), match[2]
        _refuse(name, "landmark_error as a length above 0 in mm or px, like '1.5 mm'",
                "it is none", "Correct it.")  # fmt: skip
    numbers = value if isinstance(value, list) else [value]
    is_pair = key == "pixel_spacing" and len(numbers) == 2
    if not (is_pair or len(numbers) == 1) or not all(
        _is_number(n) and n >= _SMALLEST for n in numbers
    ):
        _refuse(name, f"{key} as a number above 0", "it is none", "Correct it.")
    # As DICOM writes it: the distance between rows, which is along y, comes first.
    return tuple(map(float, reversed(numbers))) if is_pair else float(numbers[0])


def _eos(name: str, value: Any) -> dict[str, Any]:
    """How a slot scanner took the picture, checked; what is not said is not there."""
    if not isinstance(value, dict):
        _refuse(name, f"eos as an object with {', '.join(EOS)}", "it is none", _PAGE)
    found: dict[str, Any] = {}
    words = {"source": (*SOURCES["lateral"], *SOURCES["frontal"]), "spacing_at": SPACING_AT}
    for key, cell in value.items():
        if key not in EOS:
            _refuse(name, f"no other keys in eos than {', '.join(EOS)}", f"it has {key!r:.60}",
                    "Correct or remove it.")  # fmt: skip
        if key in words:
            if cell not in words[key]:
                _refuse(name, f"{key} in eos as one of {', '.join(words[key])}",
                        "it is another", "Write one of them.")  # fmt: skip
            found[key] = cell
        elif not _is_number(cell) or (key.endswith("_mm") and cell < _SMALLEST):
            _refuse(name, f"{key} in eos as a number", "it is none", "Correct it.")
        else:
            found[key] = float(cell)
    return found


def _of_scan(name: str, said: Mapping[str, Any], image: Path) -> dict[str, Any]:
    """What was said, with what the header of a slot scanner's picture adds and may not deny."""
    from endplate.exchange.dicom import eos  # noqa: PLC0415 - pydicom is slow to import

    header = eos.read(image, said["view"])
    own = said.get("eos", {})
    for where, theirs, ours in (("", header.settings, said), (" in eos", header.eos, own)):
        for key, value in theirs.items():
            if key in ours and key not in header.assumed and not _alike(ours[key], value):
                _refuse(name, f"{key}{where} as its image {image.name} has it", "it is another",
                        "Correct it, or leave it out.")  # fmt: skip
    return {
        **header.settings, **said, "eos": {**header.eos, **own},
        "assumed": [key for key in header.assumed if key not in own],
    }  # fmt: skip


def _whose(name: str, known: Identity | None, scan: Path) -> Identity:
    """Whose a slot scanner's picture is, which is nobody else's than what was marked on it."""
    from endplate.exchange.dicom.series import identity  # noqa: PLC0415 - slow to import

    found = identity(scan)
    if known is not None and (why := known.contradicts(found)):
        raise InputProblem(
            f"{name}: cannot be used with its image {scan.name}. Both must be of one person; they "
            f"have different {' and '.join(why)}. Check whose they are."
        )
    return found


def _alike(ours: Any, theirs: Any) -> bool:
    """Whether two say the same, numbers within a hundredth."""
    if isinstance(theirs, str | date):
        return bool(ours == theirs)
    return bool(np.allclose(ours, theirs, rtol=0.01, atol=0))


def _refuse(name: str, needed: str, got: str, then: str) -> NoReturn:
    raise InputProblem(f"{name}: cannot be used as landmarks. It needs {needed}; {got}. {then}")


# -- to a radiograph --------------------------------------------------------------------------


def _radiograph(
    name: str, found: _Read, said: Mapping[str, Any], doubts: tuple[Problem, ...]
) -> Marked:
    view = said["view"]
    facing = "anterior" if view == "lateral" else "patient_left"
    steep = list(_ends(name, found, view, said.get(facing)))
    points, problems = _understood(name, found, view)
    across, towards, is_body = _plane(name, found, list(points.values()), view)
    if "eos" in said:
        scales, calibrated = _slot_scale(name, found, said), True
    else:
        scales, calibrated = _scale(name, found, said, is_body=is_body)
    mean = sum(scales) / 2
    usual: float | None = None
    if "landmark_error" in said:
        size, unit = said["landmark_error"]
        known = calibrated or found.in_mm
        if (unit == "mm" and not known) or (unit == "px" and found.in_mm):
            _refuse(name, "landmark_error in px, or a calibration" if unit == "mm" else
                    "landmark_error in mm", f"it is in {unit}", "Give it so.")  # fmt: skip
        usual = size if unit == "mm" else size * mean
    (across_at, sign), (up_at, up_sign) = across
    per_axis = (*scales, scales[0])  # what has a third axis is in mm, with one scale for all
    places = {
        label: (
            sign * per_axis[across_at] * p.at[across_at],
            up_sign * per_axis[up_at] * p.at[up_at],
        )
        for label, p in points.items()
    }
    errors = {
        label: p.error * mean if p.error is not None else usual for label, p in points.items()
    }
    film = Radiograph(
        name=name, view=view, points=places, posture=Posture(said.get("posture", "unknown")),
        on=said.get("on"), calibrated=calibrated,
        errors={label: e for label, e in errors.items() if e is not None},
        towards=towards or said.get(facing),
        fan=_fan(name, said, scales) if "eos" in said else None,
    )  # fmt: skip
    return Marked(
        film=film,
        problems=(*found.problems, *doubts, *steep, *problems),
        pixels={} if found.in_mm else {n: (p.at[0], p.at[1], p.error) for n, p in points.items()},
        said=said,
        image=found.image,
        identity=found.image.identity if found.image else found.identity,
    )


def _understood(name: str, content: _Read, view: str) -> tuple[dict[str, _Point], list[Problem]]:
    """The points that are landmarks of the view; the others are named."""
    known, found, odd = names(view), dict[str, _Point](), []
    for point in content.points:
        label = canonical(point.label)
        if label == HEAD and label in found:
            label += SECOND
        if label not in known:
            odd.append(label[:40])
        elif label in found:
            _refuse(name, "each point once", f"{label} is there twice", "Remove one of them.")
        else:
            found[label] = point
    if not found:
        _refuse(name, f"landmarks of a {view} radiograph", "there is none", _PAGE)
    problems = []
    if odd:
        near = vocabulary.nearest(odd[0], known, 1)
        problems.append(Problem(
            problem="alignment.unknown_landmark", where=name, count=len(odd),
            says=f"Points that are no landmarks of a {view} radiograph were left aside, such as "
            f"{odd[0]!r}.",
            try_=(f"Write {near[0]!r} if that is meant." if near else _PAGE,),
        ))  # fmt: skip
    return found, problems


_Axis = tuple[int, float]


def _plane(
    name: str, found: _Read, points: Sequence[_Point], view: str
) -> tuple[tuple[_Axis, _Axis], Any, bool]:
    """Which coordinates run across and up the picture; whither it faces, where they tell it.

    Points of the patient's own space (LPS) tell it; those of a picture do not. The last is
    whether they are of the body itself, and not of its shadow on a detector.
    """
    if not found.in_mm:
        axes = found.image.axes if found.image else None
        return axes or ((0, 1.0), (1, -1.0)), None, False
    at = np.array([p.at for p in points])
    flat = np.ptp(at, axis=0) < _FLAT
    if flat[2]:
        return ((0, 1.0), (1, -1.0)), None, False
    if flat[{"lateral": 1, "frontal": 0}[view]]:
        _refuse(name, f"points of a {view} radiograph", "they lie in another plane",
                "Give the view they were marked on.")  # fmt: skip
    # A few points always lie in one plane; more do only if they were marked on a picture.
    depth = np.linalg.svd(at - at.mean(axis=0), compute_uv=False)[-1]
    if len(at) > _ALWAYS_FLAT and not flat.any() and depth < _FLAT:
        _refuse(name, "points of a picture, or of the body",
                "they lie in one plane, which is turned against the body's",
                "Give them in the picture's pixels.")  # fmt: skip
    across = (1, -1.0) if view == "lateral" else (0, 1.0)
    return (across, (2, 1.0)), "right", not flat.any()


def _scale(
    name: str, found: _Read, said: Mapping[str, Any], *, is_body: bool
) -> tuple[tuple[float, float], bool]:
    """Millimetres of the patient's plane for one unit of x and of y, and whether they are known."""
    if is_body:
        return (1.0, 1.0), True
    spacing = said.get("pixel_spacing", 1.0 if found.in_mm else None)
    x, y = spacing if isinstance(spacing, tuple) else (spacing, spacing)
    if "calibration" in said:
        return (1.0, found.image.aspect if found.image else 1.0), False
    if x is None or y is None or "magnification" not in said:
        missing = "pixel spacing" if x is None else "magnification"
        why = found.image.spacing_is if found.image and x is not None else ""
        _refuse(
            name,
            "pixel spacing and magnification (1 where the spacing is that in the patient's own "
            "plane), or to be called uncalibrated",
            f"the {missing} is not known{': ' if why else ''}{why}",
            "Give --pixel-spacing and --magnification, or --uncalibrated: then angles alone are "
            "measured.",
        )
    if found.in_mm and "pixel_spacing" in said:
        _refuse(name, "no pixel spacing", "its points are in mm already", "Leave it out.")
    return (x / said["magnification"], y / said["magnification"]), True


def _slot_scale(name: str, found: _Read, said: Mapping[str, Any]) -> tuple[float, float]:
    """Millimetres for a pixel in the plane of the isocentre, across and upright."""
    eos = said["eos"]
    if found.in_mm or "calibration" in said or "magnification" in said:
        _refuse(name, "points in pixels and no magnification beside eos, which tells it",
                "it has another scale", "Leave it out.")  # fmt: skip
    needed = ["source_to_isocentre_mm", "source", "isocentre_column", "spacing_at"]
    if eos.get("spacing_at") == "detector":
        needed.append("source_to_detector_mm")
    missing = [f"{key} in eos" for key in needed if key not in eos]
    if "pixel_spacing" not in said:  # what no header tells can be seen on an object of known size
        missing.append("pixel_spacing (from the header, or from an object of known size)")
    if missing:
        _refuse(name, ", ".join(missing), "neither it nor a DICOM image tells", _PAGE)
    spacing = said["pixel_spacing"]
    if eos["spacing_at"] == "isocentre":
        return spacing if isinstance(spacing, tuple) else (spacing, spacing)
    if not isinstance(spacing, tuple):
        _refuse(name, "pixel_spacing at the detector as two numbers, between rows and columns",
                "it is one, and upright a slot scanner does not magnify", "Give both.")  # fmt: skip
    x, y = spacing
    return x * eos["source_to_isocentre_mm"] / eos["source_to_detector_mm"], y


def _fan(name: str, said: Mapping[str, Any], scale: tuple[float, float]) -> Fan:
    eos, sides = said["eos"], SOURCES[said["view"]]
    if eos["source"] not in sides:
        _refuse(name, f"source in eos as {' or '.join(sides)} on a {said['view']} view",
                "it is another side", "Correct it, or the view.")  # fmt: skip
    near, far = eos["source_to_isocentre_mm"], eos.get("source_to_detector_mm")
    if far is not None and far <= near:
        _refuse(name, "source_to_detector_mm above source_to_isocentre_mm", "it is not",
                "Correct them.")  # fmt: skip
    return Fan(
        source_to_isocentre=near, source=eos["source"],
        isocentre=scale[0] * eos["isocentre_column"], top=scale[1] * eos.get("first_row", 0.0),
        is_assumed="isocentre_column" in said.get("assumed", ()),
    )  # fmt: skip
