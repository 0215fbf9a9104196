"""Points of interest (POI) as TPTBox writes them in JSON.

A file is a list: a header, and the points by vertebra and by location, both numbered by TPTBox
(its classes ``Vertebra_Instance`` and ``Location``). Points are in voxels of the grid that the
header describes (format ``POI``, or a list of labelled points), or in mm of the patient (format
``POI_GLOBAL``), RAS (``nib``) or LPS (``itk``). The grid's own axes and origin are RAS.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, get_args

import nibabel
import numpy as np
import numpy.typing as npt

from endplate.facts import Problem, Side
from endplate.images import labels as label_systems
from endplate.images.landmarks import Landmark
from endplate.images.volume import Volume
from endplate.levels import Level

NAME = "TPTBox"
Matrix = npt.NDArray[np.float64]

# TPTBox 1.1.0 (PyPI), TPTBox/core/vert_constants.py, class Location: the numbers of places that
# have a name of ours. Its "costal process" is the transverse one of a lumbar vertebra.
_LOCATIONS = {
    41: "arch.centre",
    42: "spinous_process.centre",
    43: "transverse_process.centre left",
    44: "transverse_process.centre right",
    45: "superior_articular_process.centre left",
    46: "superior_articular_process.centre right",
    47: "inferior_articular_process.centre left",
    48: "inferior_articular_process.centre right",
    50: "vertebral_body.centre",
    51: "dens.centre",
    52: "superior_endplate.centre",
    53: "inferior_endplate.centre",
    60: "spinal_cord.centre",
    61: "spinal_canal.centre",
    90: "implant_entry left",
    91: "implant_entry right",
    92: "implant_target left",
    93: "implant_target right",
    100: "disc.centre",
    101: "superior_endplate.anterior",
    102: "superior_endplate.posterior",
    103: "inferior_endplate.anterior",
    104: "inferior_endplate.posterior",
    105: "superior_endplate.middle",
    106: "posterior_wall.middle",
    107: "inferior_endplate.middle",
    108: "anterior_wall.middle",
}
_NUMBERS = {name: number for number, name in _LOCATIONS.items()}
# Other places get numbers from here on, which TPTBox leaves free, and carry their name in the
# header; a point without a level stands under a number that is no vertebra's.
_FIRST_FREE, _NO_LEVEL = 200, 250
_LABEL_MAX = 256  # TPTBox: label = location * 256 + vertebra
_VERTEBRAE_BY = ("Vertebra_Instance", "Any")  # the numberings of the first index that are ours
_FLIP = np.array([-1.0, -1.0, 1.0])  # RAS to LPS and back
# How far a header's axes may be from square to each other, and how long a name may be.
_SQUARE = 1e-4
_LONGEST_NAME = 80


@cache
def _vertebrae() -> Mapping[int, Level]:
    """TPTBox's numbers of vertebrae."""
    named = label_systems.systems()["verse"].labels.items()
    return {number: Level(name) for number, name in named if name in Level.__members__}


# -- writing ----------------------------------------------------------------------------------


def written(landmarks: Sequence[Landmark], grid: Volume | None = None) -> bytes:
    """The landmarks as a POI file: in voxels of a grid, or in LPS mm without one.

    A grid with axes that are not square to each other (a tilted gantry) cannot be described in
    such a header; the points are then written in mm.

    Raises
    ------
    ValueError
        If two landmarks are the same place of the same level: the format holds one.
    """
    numbered = numbers(landmarks)
    if len(set(numbered)) < len(numbered):
        raise ValueError("Landmarks: two of them are the same place of the same level.")
    if grid is not None and _is_square(grid.directions):
        header = _grid_header(grid)
        places = grid.to_index([p.position for p in landmarks]).tolist()
    else:
        header = {"coordinate_system": "itk", "format": "POI_GLOBAL"}
        places = [list(p.position) for p in landmarks]
    header |= {"level_one_info": "Vertebra_Instance", "level_two_info": "Location"}
    points: dict[str, dict[str, list[float]]] = {}
    names: dict[str, dict[str, str]] = {}
    errors: dict[str, dict[str, float]] = {}
    for (region, place), point, position in zip(numbered, landmarks, places, strict=True):
        key = point.level.value if point.level else str(region)
        points.setdefault(key, {})[str(place)] = position
        if place not in _LOCATIONS:
            names.setdefault(str(region), {})[str(place)] = _full_name(point)
        if point.error is not None:
            errors.setdefault(key, {})[str(place)] = point.error
    if names:
        header["label_name"] = names
    if errors:
        header["standard_error_mm"] = errors
    return json.dumps([header, points], indent=1, allow_nan=False).encode()


def numbers(landmarks: Sequence[Landmark]) -> list[tuple[int, int]]:
    """TPTBox's number of the vertebra and of the place on it, for each landmark."""
    regions = {level: number for number, level in _vertebrae().items()}
    own = sorted({_full_name(p) for p in landmarks} - set(_NUMBERS))
    places = _NUMBERS | {name: _FIRST_FREE + n for n, name in enumerate(own)}
    return [(regions[p.level] if p.level else _NO_LEVEL, places[_full_name(p)]) for p in landmarks]


def _full_name(point: Landmark) -> str:
    return f"{point.name} {point.side}" if point.side else point.name


def _grid_header(grid: Volume) -> dict[str, Any]:
    rotation = _FLIP[:, None] * grid.directions
    return {
        "direction": _axis_codes(rotation),
        "zoom": grid.spacing.tolist(),
        "origin": (_FLIP * grid.affine[:3, 3]).tolist(),
        "rotation": rotation.tolist(),
        "shape": list(grid.array.shape),
        "format": "POI",
    }


def _axis_codes(rotation: Matrix) -> list[str]:
    """Where each axis of a grid leads to, as letters: ``["R", "A", "S"]``."""
    affine = np.eye(4)
    affine[:3, :3] = rotation
    return [str(code) for code in nibabel.aff2axcodes(affine)]


def _is_square(axes: Matrix) -> bool:
    return bool(np.abs(axes.T @ axes - np.eye(3)).max() <= _SQUARE)


# -- reading ----------------------------------------------------------------------------------


def is_points(value: Any) -> bool:
    """Whether a parsed JSON value is a POI file, be it one that can be used or not."""
    if not isinstance(value, list) or not value or not isinstance(value[0], dict):
        return False
    header = value[0]
    return "vert_label" in header or (
        ("direction" in header or "coordinate_system" in header) and "resourceType" not in header
    )


def read(value: Any, where: str) -> tuple[tuple[Landmark, ...], tuple[Problem, ...]]:
    """The landmarks of a POI file (LPS mm), and what of it could not be used."""
    header, rows = value[0], value[1:]
    problems: list[Problem] = []

    def problem(id: str, says: str, count: int = 1) -> None:
        problems.append(Problem(problem=f"points.{id}", says=says, where=where, count=count))

    try:
        to_lps = _placing(header)
    except _NoPlace as reason:
        problem("no_place", f"Its points have no place in the patient: {reason}. None was used.")
        return (), tuple(problems)
    found: list[Landmark] = []
    unusable = 0
    for region, place, position in _rows(rows):
        point = _point(region, place, position, to_lps, header)
        if point is None:
            unusable += 1
        else:
            found.append(point)
    if unusable:
        problem("not_a_point", "A point without three coordinates or a number was left out.",
                unusable)  # fmt: skip
    return tuple(found), tuple(problems)


class _NoPlace(Exception):
    """Why a file's points cannot be put into the patient."""


class _Placing:
    """From a file's coordinates to LPS mm."""

    def __init__(self, linear: Matrix, shift: Matrix) -> None:
        self.linear, self.shift = linear, shift

    def __call__(self, position: Sequence[float]) -> Matrix:
        return np.asarray(_FLIP * (self.linear @ np.asarray(position) + self.shift))


def _placing(header: Mapping[str, Any]) -> _Placing:
    if header.get("format") in ("POI_GLOBAL", "POINT_LIST"):
        system = header.get("coordinate_system", "nib")
        if system not in ("nib", "itk"):
            raise _NoPlace("its coordinate system is neither nib (RAS) nor itk (LPS)")
        return _Placing(np.diag(_FLIP if system == "itk" else np.ones(3)), np.zeros(3))
    if "vert_label" in header:
        raise _NoPlace("this older format does not say where the image lies")
    parts = {}
    for name, shape in (("zoom", (3,)), ("origin", (3,)), ("rotation", (3, 3))):
        if header.get(name) is None:
            raise _NoPlace(f"they are in voxels, and its header has no {name}")
        parts[name] = _numbers(header[name])
        if parts[name].shape != shape:
            raise _NoPlace(f"its header's {name} is not {' x '.join(map(str, shape))} numbers")
    if (parts["zoom"] <= 0).any() or not _is_square(parts["rotation"]):
        raise _NoPlace("its header's zoom or rotation cannot be that of an image")
    if list(header.get("direction", ())) != _axis_codes(parts["rotation"]):
        raise _NoPlace("its header's direction contradicts its rotation")
    return _Placing(parts["rotation"] * parts["zoom"], parts["origin"])


def _numbers(value: Any) -> Matrix:
    """A value as an array of finite numbers; an empty one if it is none."""
    try:
        array = np.array(value, dtype=float)
    except (TypeError, ValueError):
        return np.empty(0)
    return array if np.isfinite(array).all() else np.empty(0)


def _rows(rows: Sequence[Any]) -> Iterator[tuple[Any, Any, Any]]:
    """Vertebra, place and coordinates of each point: of a table, or of a list of labels."""
    for row in rows:
        if not isinstance(row, dict):
            yield None, None, None
        elif "label" in row:
            label = row["label"]
            whole = isinstance(label, int) and not isinstance(label, bool)
            # A label below 256 is of the time when every point was a body's centre.
            place = (label // _LABEL_MAX or _NUMBERS["vertebral_body.centre"]) if whole else None
            region = label % _LABEL_MAX if whole else None
            yield region, place, [row.get(axis) for axis in "XYZ"]
        else:
            for region, places in row.items():
                for place, position in places.items() if isinstance(places, dict) else ():
                    yield region, place, position


def _point(
    region: Any, place: Any, position: Any, to_lps: _Placing, header: Mapping[str, Any]
) -> Landmark | None:
    coordinates = _numbers(position)
    number = _whole(place)
    if coordinates.shape != (3,) or number is None or region is None:
        return None
    level = _level(region) if header.get("level_one_info", "Any") in _VERTEBRAE_BY else None
    given = _under(header, "label_name", _region_number(region, level), number)
    name = _LOCATIONS.get(number) or (given[:_LONGEST_NAME].strip() if _is_text(given) else "")
    if level is None and str(region) != str(_NO_LEVEL):
        name = f"tptbox.{region}.{name or number}"
    error = _under(header, "standard_error_mm", level.value if level else region, number)
    known = isinstance(error, int | float) and math.isfinite(error) and error >= 0
    name, side = _sided(name or f"tptbox.{number}")
    return Landmark.at(
        name, to_lps(coordinates.tolist()), level=level, side=side, error=error if known else None
    )


def _under(header: Mapping[str, Any], table: str, region: Any, place: int) -> Any:
    """What a table in the header says about one point; None if nothing."""
    found: Any = header.get(table)
    for key in (str(region), str(place)):
        found = found.get(key) if isinstance(found, dict) else None
    return found


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _sided(name: str) -> tuple[str, Side | None]:
    for side in get_args(Side):
        if name.endswith(f" {side}") and name.removesuffix(f" {side}").strip():
            return name.removesuffix(f" {side}"), side
    return name, None


def _whole(value: Any) -> int | None:
    text = str(value)
    return int(text) if text.isascii() and text.isdigit() else None


def _level(region: Any) -> Level | None:
    number = _whole(region)
    if number is not None:
        return _vertebrae().get(number)
    return Level(region) if region in Level.__members__ else None


def _region_number(region: Any, level: Level | None) -> Any:
    return {v: n for n, v in _vertebrae().items()}[level] if level else region


def named(region: int, place: int) -> tuple[str, Level | None, Side | None]:
    """Name, level and side of a point that TPTBox numbers so; the name is empty if unknown."""
    name, side = _sided(_LOCATIONS.get(place, ""))
    return name, _vertebrae().get(region), side
