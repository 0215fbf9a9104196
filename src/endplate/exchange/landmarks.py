"""Landmarks of radiographs: JSON, CSV, and points of 3D Slicer.

``docs/how-to/measure-alignment.md`` has the two formats. In them x runs to the right and y down
the picture, in pixels. A file of 3D Slicer is in mm: where it lies in one plane it is a
radiograph's, at the size of the detector; where it does not, its points are the patient's own.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, NoReturn

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
from endplate.exchange import points_slicer
from endplate.exchange.fhir.read import source
from endplate.exchange.typed import encoding
from endplate.facts import InputProblem, Problem
from endplate.images.landmarks import Landmark
from endplate.posture import Posture

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
# No picture has more pixels a side, and no scale more or fewer mm in one.
_LARGEST, _SMALLEST = 1e6, 1e-6
_LONGEST_HEAD = 1 << 14
_EVERY = frozenset().union(*(names(view) for view in VIEWS))
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
    path: Path, given: Mapping[str, Any] | None = None, images: Mapping[str, Path] | None = None
) -> tuple[Radiograph, tuple[Problem, ...]]:
    """The radiograph's landmarks in a file, and what of it could not be used.

    Parameters
    ----------
    given
        Whichever of `SETTINGS` the user said beside the file; None for what was not said.
    images
        View → the DICOM picture of a slot scanner that its points were marked on.

    Raises
    ------
    InputProblem
        If it cannot be read, says what cannot be, or leaves open what must be known.
    """
    found = _content(path)
    said = _settled(path.name, found.says, given or {})
    if "view" not in said:
        _refuse(path.name, "whether it is a lateral or a frontal radiograph", "it does not say",
                "Give --view, or view in the file.")  # fmt: skip
    image = (images or {}).get(said["view"])
    if image is None and "image" in said:
        image = path.parent / said["image"]
    if image is not None:
        said = _of_image(path.name, said, image)
    return _radiograph(path.name, found, said)


# -- reading ----------------------------------------------------------------------------------


def _content(path: Path) -> _Read:
    if not path.is_file():
        raise InputProblem(
            f"{path.name}: cannot be read. A file of landmarks is needed; there is none of that "
            f"name. Check the path."
        )
    if path.suffix.lower() in (".csv", ".tsv", ".txt"):
        return _table(path)
    try:
        value = source.parsed(source.document(path))
    except (source.Unreadable, source.NotJson):
        value = None
    if points_slicer.is_markups(value):
        marked, problems = points_slicer.read(value, path.name)
        points = [
            _Point(
                " ".join(p for p in (m.level, m.side, m.name) if p), m.position, m.error
            )
            for m in marked
        ]  # fmt: skip
        return _Read(points, {}, problems, in_mm=True)
    if not isinstance(value, dict) or not isinstance(value.get("points"), dict):
        _refuse(path.name, "JSON with points, a CSV, or points of 3D Slicer", "it is none of them",
                _PAGE)  # fmt: skip
    says = {name: cell for name, cell in value.items() if name != "points"}
    odd = sorted(set(says) - set(SETTINGS))
    if odd:
        _refuse(path.name, f"no other keys than points, {', '.join(SETTINGS)}",
                f"it has {odd[0]!r}", "Correct or remove it.")  # fmt: skip
    return _Read(list(_of_json(path.name, value["points"])), says)


def _of_json(name: str, points: Mapping[str, Any]) -> Iterator[_Point]:
    """The points of a JSON file: [x, y] or [x, y, error] each; of femoral heads also two."""
    for label, value in points.items():
        several = value if isinstance(value, list) and value and _are_lists(value) else [value]
        for one in several:
            yield _point(name, label, one if isinstance(one, list) else [])


def _are_lists(value: list[Any]) -> bool:
    return all(isinstance(one, list) for one in value)


def _table(path: Path) -> _Read:
    """A CSV: lines ``# key: value``, then columns point, x, y and, if wanted, error."""
    content = path.read_bytes()
    try:
        lines = content.decode(encoding(content)).splitlines()
    except UnicodeDecodeError:
        _refuse(path.name, "text in UTF-8", "it is none", "Save it again as CSV UTF-8.")
    says: dict[str, Any] = {}
    for line in (text.strip() for text in lines):
        if line.startswith("#"):
            key, colon, value = line.strip("#,;\t ").partition(":")
            if colon and key.strip() not in SETTINGS:
                _refuse(path.name, f"no other settings than {', '.join(SETTINGS)}",
                        f"it has {key.strip()!r}", "Correct or remove it.")  # fmt: skip
            if colon:
                says[key.strip()] = _plain(value.strip())
    body = [text for text in lines if text.strip() and not text.lstrip().startswith("#")]
    head = body[0] if body else ""
    separator = max("\t;,", key=head.count)
    rows = csv.DictReader(io.StringIO("\n".join(body), newline=""), delimiter=separator)
    rows.fieldnames = [cell.strip().lower() for cell in rows.fieldnames or ()]
    if not {"point", "x", "y"} <= set(rows.fieldnames):
        _refuse(path.name, "the columns point, x and y", "one of them is not there", _PAGE)
    points = []
    for row in _rows(path.name, rows):
        cells = [_plain((row.get(n) or "").strip()) for n in ("x", "y", "error")]
        points.append(_point(path.name, row["point"] or "", cells[:2] if cells[2] == "" else cells))
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
        _refuse(name, "x and y of each point as numbers, and an error above 0 where it is known",
                f"those of {canonical(label)[:40]!r} are not", "Correct them.")  # fmt: skip
    error = numbers[2] if len(numbers) > 2 else None
    return _Point(label, (numbers[0], numbers[1]), error)


def _is_number(value: Any) -> bool:
    """Whether it is a number that a place or a scale can have."""
    is_real = isinstance(value, int | float) and not isinstance(value, bool)
    return is_real and abs(value) <= _LARGEST


# -- what is said of it -----------------------------------------------------------------------


def _settled(name: str, says: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """What is said of a radiograph in its file or beside it, checked; both may say the same."""
    found: dict[str, Any] = {}
    for key in SETTINGS:
        values = [_setting(name, key, s[key]) for s in (says, given) if s.get(key) is not None]
        if len(values) > 1 and values[0] != values[1]:
            _refuse(name, f"one answer to {key}", "the file says another than was given beside it",
                    "Give one of them.")  # fmt: skip
        if values:
            found[key] = values[0]
    if "calibration" in found and {"pixel_spacing", "magnification"} & set(found):
        _refuse(name, "either pixel spacing and magnification, or 'uncalibrated'",
                "both are there", "Remove one of them.")  # fmt: skip
    return found


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


def _of_image(name: str, said: Mapping[str, Any], image: Path) -> dict[str, Any]:
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


def _alike(ours: Any, theirs: Any) -> bool:
    """Whether two say the same, numbers within a hundredth."""
    if isinstance(theirs, str | date):
        return bool(ours == theirs)
    return bool(np.allclose(ours, theirs, rtol=0.01, atol=0))


def _refuse(name: str, needed: str, got: str, then: str) -> NoReturn:
    raise InputProblem(f"{name}: cannot be used as landmarks. It needs {needed}; {got}. {then}")


# -- to a radiograph --------------------------------------------------------------------------


def _radiograph(
    name: str, found: _Read, said: Mapping[str, Any]
) -> tuple[Radiograph, tuple[Problem, ...]]:
    view = said["view"]
    points, problems = _understood(name, found.points, view)
    across, towards, is_body = _plane(name, found, view)
    if "eos" in said:
        (x_scale, y_scale), calibrated = _slot_scale(name, found, said), True
    else:
        (x_scale, y_scale), calibrated = _scale(name, found, said, is_body=is_body)
    usual: float | None = None
    if "landmark_error" in said:
        size, unit = said["landmark_error"]
        known = calibrated or found.in_mm
        if (unit == "mm" and not known) or (unit == "px" and found.in_mm):
            _refuse(name, "landmark_error in px, or a calibration" if unit == "mm" else
                    "landmark_error in mm", f"it is in {unit}", "Give it so.")  # fmt: skip
        usual = size if unit == "mm" else size * (x_scale + y_scale) / 2
    (across_at, sign), (up_at, up_sign) = across
    places = {
        label: (sign * x_scale * p.at[across_at], up_sign * y_scale * p.at[up_at])
        for label, p in points.items()
    }
    errors = {
        label: p.error * (x_scale + y_scale) / 2 if p.error is not None else usual
        for label, p in points.items()
    }
    key = "anterior" if view == "lateral" else "patient_left"
    film = Radiograph(
        name=name, view=view, points=places, posture=Posture(said.get("posture", "unknown")),
        on=said.get("on"), calibrated=calibrated,
        errors={label: e for label, e in errors.items() if e is not None},
        towards=towards or said.get(key),
        fan=_fan(name, said, (x_scale, y_scale)) if "eos" in said else None,
    )  # fmt: skip
    return film, (*found.problems, *problems)


def _understood(
    name: str, points: Iterable[_Point], view: str
) -> tuple[dict[str, _Point], list[Problem]]:
    """The points that are landmarks of the view; the others are named."""
    known, found, odd = names(view), dict[str, _Point](), []
    for point in points:
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


def _plane(name: str, found: _Read, view: str) -> tuple[tuple[_Axis, _Axis], Any, bool]:
    """Which coordinates run across and up the picture; whither it faces, where they tell it.

    Points of the patient's own space (LPS) tell it; those of a picture do not. The last is
    whether they are of the body itself, and not of its shadow on a detector.
    """
    if not found.in_mm:
        return ((0, 1.0), (1, -1.0)), None, False
    flat = np.ptp(np.array([p.at for p in found.points]), axis=0) < _FLAT
    if flat[2]:
        return ((0, 1.0), (1, -1.0)), None, False
    if flat[{"lateral": 1, "frontal": 0}[view]]:
        _refuse(name, f"points of a {view} radiograph", "they lie in another plane",
                "Give the view they were marked on.")  # fmt: skip
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
        return (1.0, 1.0), False
    if x is None or y is None or "magnification" not in said:
        missing = "pixel spacing" if x is None else "magnification"
        _refuse(
            name,
            "pixel spacing and magnification (1 where the spacing is that in the patient's own "
            "plane), or to be called uncalibrated",
            f"the {missing} is not known",
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
