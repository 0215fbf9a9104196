"""Landmarks as markups of 3D Slicer (``.mrk.json``, schema 1.0.x).

One list of points ("Fiducial"). A point's label is its level, side and name; its id is TPTBox's
number of it, by which TPTBox tells points of such a file; its description holds the error.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from endplate.exchange import points_tptbox
from endplate.facts import Problem, Side
from endplate.images.landmarks import Landmark
from endplate.levels import Level

NAME = "3D Slicer"
_SCHEMA = (
    "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/"
    "Schema/markups-schema-v1.0.3.json#"
)
_KNOWN_SCHEMA = re.compile(r"markups-schema-v1\.0\.\d+\.json")
# "0" and "1" are how older versions wrote the coordinate system.
_SYSTEMS = {"LPS": (1.0, 1.0, 1.0), "RAS": (-1.0, -1.0, 1.0)}
_SYSTEMS |= {"1": _SYSTEMS["LPS"], "0": _SYSTEMS["RAS"]}
_MM_PER_UNIT = {"mm": 1.0, "um": 0.001}
# A point that is not turned: the axes of Slicer's own system, which is RAS, seen in LPS.
_NOT_TURNED = [-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0]
_ERROR = re.compile(r"standard error ([0-9.eE+-]+) mm")
_NUMBERED = re.compile(r"(\d{1,3})-(\d{1,3})")
_LONGEST_NAME = 80
_SIDES: Mapping[str, Side] = {"left": "left", "right": "right"}


# -- writing ----------------------------------------------------------------------------------


def written(landmarks: Sequence[Landmark]) -> bytes:
    """The landmarks as one list of points, LPS mm."""
    ids = [f"{region}-{place}" for region, place in points_tptbox.numbers(landmarks)]
    points = [_control_point(p, id) for p, id in zip(landmarks, ids, strict=True)]
    markup = {
        "type": "Fiducial",
        "name": "Endplate landmarks",
        "coordinateSystem": "LPS",
        "coordinateUnits": "mm",
        "locked": True,
        "labelFormat": "%N-%d",
        "controlPoints": points,
        # Slicer leaves out a display of which a number is no float.
        "display": {"visibility": True, "pointLabelsVisibility": False, "glyphScale": 1.5},
    }
    return json.dumps({"@schema": _SCHEMA, "markups": [markup]}, indent=1, allow_nan=False).encode()


def _control_point(point: Landmark, id: str) -> dict[str, Any]:
    return {
        "id": id,
        "label": " ".join(part for part in (point.level, point.side, point.name) if part),
        "description": "" if point.error is None else f"standard error {point.error!r} mm",
        "associatedNodeID": "",
        "position": list(point.position),
        "orientation": _NOT_TURNED,
        "selected": True,
        "locked": True,
        "visibility": True,
        "positionStatus": "defined",
    }


# -- reading ----------------------------------------------------------------------------------


def is_markups(value: Any) -> bool:
    """Whether a parsed JSON value is a markups file."""
    return isinstance(value, dict) and isinstance(value.get("markups"), list)


def read(value: Mapping[str, Any], where: str) -> tuple[tuple[Landmark, ...], tuple[Problem, ...]]:
    """The points of a markups file (LPS mm), and what of it could not be used."""
    said: dict[tuple[str, str], int] = {}

    def problem(id: str, says: str) -> None:
        said[f"points.{id}", says] = said.get((f"points.{id}", says), 0) + 1

    if not _KNOWN_SCHEMA.search(str(value.get("@schema", ""))):
        problem("other_schema", "The file does not name a schema 1.0.x of markups; it was read "
                "as if it did.")  # fmt: skip
    found: list[Landmark] = []
    for markup in value["markups"]:
        if not isinstance(markup, dict) or markup.get("type") != "Fiducial":
            kind = str(markup.get("type", "")) if isinstance(markup, dict) else ""
            what = kind if kind.isalpha() else "markup of no known type"
            problem("not_a_list", f"A {what} was left aside: lists of points are read.")
            continue
        to_lps = _to_lps(markup, problem)
        if to_lps is None:
            continue
        for point in _control_points(markup):
            landmark = _landmark(point, len(found) + 1, to_lps)
            if landmark is None:
                problem("not_a_point", "A point that is not set was left out.")
            else:
                found.append(landmark)
    problems = tuple(
        Problem(problem=id, says=says, where=where, count=count)
        for (id, says), count in said.items()
    )
    return tuple(found), problems


def _to_lps(markup: Mapping[str, Any], problem: Any) -> np.ndarray | None:
    """What a list's coordinates are multiplied by to be LPS mm; None if nobody can know."""
    system = markup.get("coordinateSystem")
    if system is None:
        problem("no_coordinate_system", "A list does not say whether it is LPS or RAS; LPS, which "
                "the schema takes, was taken.")  # fmt: skip
        system = "LPS"
    unit = markup.get("coordinateUnits", "mm")
    unit = unit[0] if isinstance(unit, list) and unit else unit
    if str(system) not in _SYSTEMS or unit not in _MM_PER_UNIT:
        problem("no_place", "A list of points has no place in the patient: its coordinates are "
                "neither LPS nor RAS, or not in mm. None of it was used.")  # fmt: skip
        return None
    return np.array(_SYSTEMS[str(system)]) * _MM_PER_UNIT[unit]


def _control_points(markup: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    points = markup.get("controlPoints")
    for point in points if isinstance(points, list) else ():
        yield point if isinstance(point, dict) else {}


def _landmark(point: Mapping[str, Any], number: int, to_lps: np.ndarray) -> Landmark | None:
    try:
        position = np.array(point.get("position"), dtype=float)
    except (TypeError, ValueError):
        return None
    is_set = point.get("positionStatus", "defined") == "defined"
    if not is_set or position.shape != (3,) or not np.isfinite(position).all():
        return None
    name, level, side = _named(point)
    error = _ERROR.search(str(point.get("description", "")))
    return Landmark.at(
        name or f"point {number}",
        to_lps * position,
        level=level,
        side=side,
        error=_number(error[1]) if error else None,
    )


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None


def _named(point: Mapping[str, Any]) -> tuple[str, Level | None, Side | None]:
    """Name, level and side of a point: by its label, else by TPTBox's numbers in its id."""
    words = str(point.get("label") or "").split()
    level = Level(words.pop(0)) if words and words[0] in Level.__members__ else None
    side: Side | None = None
    if len(words) > 1 and words[0] in _SIDES:
        side = _SIDES[words.pop(0)]
    name = " ".join(words)[:_LONGEST_NAME].strip()
    numbered = _NUMBERED.fullmatch(str(point.get("id", "")))
    if level is None and numbered:
        numbered_name, level, numbered_side = points_tptbox.named(*map(int, numbered.groups()))
        if level is not None and numbered_name:
            return numbered_name, level, numbered_side
    return name or (level.value if level else ""), level, side
