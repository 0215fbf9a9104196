"""Files of landmarks: points of interest of TPTBox, and markups of 3D Slicer.

A file is told by what it holds. Each reader gives landmarks in LPS mm and what it could not use;
what was written is read back the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from endplate.exchange import points_slicer, points_tptbox
from endplate.exchange.fhir.read import source
from endplate.facts import InputProblem, Problem
from endplate.images.landmarks import Landmark
from endplate.images.volume import Volume

# What a file's text must hold to be worth parsing: a case may hold large records as JSON.
TELLTALES = (b'"markups"', b'"direction"', b'"coordinate_system"', b'"vert_label"')


def files(landmarks: Sequence[Landmark], grid: Volume) -> dict[str, bytes]:
    """The landmarks in both formats, by file name; none if there are no landmarks."""
    if not landmarks:
        return {}
    return {
        "points.poi.json": points_tptbox.written(landmarks, grid),
        "points.mrk.json": points_slicer.written(landmarks),
    }


def kind(value: Any) -> str:
    """Whose file of landmarks a parsed JSON value is: its program's name, or empty if none's."""
    if points_slicer.is_markups(value):
        return points_slicer.NAME
    return points_tptbox.NAME if points_tptbox.is_points(value) else ""


def read(path: Path) -> tuple[str, tuple[Landmark, ...], tuple[Problem, ...]]:
    """Whose file it is, its landmarks (LPS mm), and what of it could not be used.

    Raises
    ------
    InputProblem
        If it is no file of landmarks of a known program.
    """
    try:
        value = source.parsed(source.document(path))
    except (source.Unreadable, source.NotJson):
        value = None
    program = kind(value)
    if not program:
        raise InputProblem(
            f"{path.name}: cannot be read as landmarks. A POI file of TPTBox or a markups file of "
            f"3D Slicer (.mrk.json) is needed; it is neither. Export the points again."
        )
    reader = points_slicer.read if program == points_slicer.NAME else points_tptbox.read
    return program, *reader(value, path.name)


def summary(landmarks: Sequence[Landmark]) -> str:
    """How many points at which levels, in one line."""
    found = sorted({p.level for p in landmarks if p.level is not None})
    where = f" at {', '.join(found)}" if found else ""
    loose = sum(p.level is None for p in landmarks)
    without = f", {loose} without a level" if loose else ""
    names = ", ".join(dict.fromkeys(p.name for p in landmarks))
    return f"{len(landmarks)} points{where}{without}" + (f": {names}" if names else "")
