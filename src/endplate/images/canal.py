"""The spinal canal and the foramina, from the bone around them.

Where the ring of body, pedicles and laminae is closed, what it encloses is the canal; it is
measured square to the vertebra's own axis. A foramen is measured from the lower border of the
pedicle above it to the upper border of the pedicle below it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from endplate.facts import Side
from endplate.images.frame import CRANIAL, LEFT, POSTERIOR, Bools, Floats, Seen
from endplate.images.vertebra import Estimate, NotMeasurable, Vertebra
from endplate.images.volume import Points
from endplate.planes import unit

METHOD = "endplate.canal_from_mask/1"

# The mask is looked at on a grid of this step (mm), as the voxels allow, out to this far from the
# middle of the canal to the sides and to the back, and up and down from the middle of the body.
_STEP = (0.5, 1.0)
# A cut across the canal is looked at every so many mm along it.
_CUTS = 1.0
_REACH = (32.0, 34.0, 16.0)
# A hole in one cut must have this area to be the canal (mm²) and not a gap in the mask.
_LEAST_AREA = 40.0
# So many cuts must be closed rings.
_LEAST_CUTS = 3
# The border of a hole is known to about this part of a voxel on either side, and errors along it
# go together over about so many mm.
_BORDER = 0.2
_TOGETHER = 6.0
# A pedicle is looked for this far behind the posterior wall (mm), beside the canal by at least
# this much of a body's width and by at most half of it.
_BEHIND = 3.0
_BESIDE = (0.2, 0.5)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Canal:
    """The canal at one vertebra: area in mm², depth (front to back) and width in mm."""

    area: Estimate
    depth: Estimate
    width: Estimate


def canal(vertebra: Vertebra) -> Canal:
    """The spinal canal at one vertebra: the middle one of all cuts in which its ring is closed.

    Raises
    ------
    NotMeasurable
        If there is no ring of bone: a mask of the body alone, or an arch that is open or cut.
    """
    if vertebra.canal is None:
        raise NotMeasurable("no ring of bone around the canal is labelled")
    u, v, _ = vertebra.frame.to_local(vertebra.canal)
    step = _step(vertebra)
    low = np.array([u - _REACH[0], vertebra.back - 2, -_REACH[2]])
    high = np.array([u + _REACH[0], v + _REACH[1], _REACH[2]])
    seen = vertebra.block.seen(vertebra.frame, low, high, step, _CUTS)
    cuts = _cuts(seen, (float(u), float(v)))
    if len(cuts) < _LEAST_CUTS:
        raise NotMeasurable("the ring of bone around the canal is not closed")
    area, depth, width = np.median(cuts, axis=0)
    across, along = (_border(vertebra, axis) for axis in (LEFT, POSTERIOR))
    around = float(np.pi * (depth + width) / 2)
    edges = float(np.hypot(across, along) / np.sqrt(2) * np.sqrt(around * _TOGETHER))
    return Canal(
        area=Estimate(float(area), edges),
        depth=Estimate(float(depth), along * float(np.sqrt(2))),
        width=Estimate(float(width), across * float(np.sqrt(2))),
    )


def _step(vertebra: Vertebra) -> float:
    return float(np.clip(vertebra.block.volume.voxel_volume ** (1 / 3) / 2, *_STEP))


def _border(vertebra: Vertebra, axis: int) -> float:
    """How well a border is known along an axis of the vertebra, mm."""
    voxel = vertebra.block.volume.affine[:3, :3]
    return _BORDER * float(np.linalg.norm(voxel.T @ vertebra.frame.axes[:, axis]))


def _cuts(seen: Seen, middle: tuple[float, float]) -> list[tuple[float, float, float]]:
    """Area, depth and width of the hole in each cut across the axis in which it is closed."""
    u, v = (int(np.argmin(np.abs(x - m))) for x, m in zip((seen.u, seen.v), middle, strict=True))
    found = []
    for n in range(len(seen.w)):
        cut = seen.values[:, :, n]
        hole = _hole(cut >= 0.5, (u, v))
        if hole is not None and np.count_nonzero(hole) * seen.step**2 >= _LEAST_AREA:
            found.append(_measures(cut, hole, seen.step))
    return found


def _hole(bone: Bools, at: tuple[int, int]) -> Bools | None:
    """The hole around a place, if bone closes it off."""
    if bone[at]:
        return None
    empty, _ = ndimage.label(~bone)
    hole = np.asarray(empty == empty[at])
    border = hole[0].any() or hole[-1].any() or hole[:, 0].any() or hole[:, -1].any()
    return None if border else hole


def _measures(cut: Floats, hole: Bools, step: float) -> tuple[float, float, float]:
    """Area, and the lengths of the two lines through the middle; half-empty edges count by half."""
    empty = np.where(ndimage.binary_dilation(hole, np.ones((3, 3))), 1 - cut, 0)
    u, v = (round(x) for x in ndimage.center_of_mass(hole))
    rows = slice(max(v - 1, 0), v + 2), slice(max(u - 1, 0), u + 2)
    width = empty[:, rows[0]].sum(axis=0).mean() * step
    depth = empty[rows[1], :].sum(axis=1).mean() * step
    return float(empty.sum()) * step**2, float(depth), float(width)


# -- foramina ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Pedicle:
    """The upper and the lower border of one pedicle just behind the body, LPS mm."""

    upper: Points
    lower: Points
    error: float


def pedicles(vertebra: Vertebra) -> dict[Side, Pedicle]:
    """The pedicles that the mask shows, by the patient's side."""
    if vertebra.canal is None:
        return {}
    step = _step(vertebra)
    half = vertebra.width / 2
    tall = max(vertebra.height, 20.0)
    behind = vertebra.back + _BEHIND
    low, high = np.array([-half - 4, behind - 1, -tall]), np.array([half + 4, behind + 1, tall])
    seen = vertebra.block.seen(vertebra.frame, low, high, step)
    wall = seen.values.mean(axis=1)
    found: dict[Side, Pedicle] = {}
    sides: tuple[tuple[Side, int], ...] = (("left", 1), ("right", -1))
    for side, sign in sides:
        beside = sign * seen.u / vertebra.width
        columns = np.flatnonzero((beside >= _BESIDE[0]) & (beside <= _BESIDE[1]))
        best = _tallest(wall[columns], seen.step)
        if best is None:
            continue
        column, bottom, top = best
        u = float(seen.u[columns[column]])
        ends = [[u, behind, seen.w[0] + seen.step * end] for end in (top, bottom)]
        upper, lower = vertebra.frame.to_world(ends)
        found[side] = Pedicle(upper=upper, lower=lower, error=_border(vertebra, CRANIAL))
    return found


def _tallest(columns: Floats, step: float) -> tuple[int, float, float] | None:
    """The column with the longest run of bone that has an end above and below it, and its ends."""
    best: tuple[int, float, float] | None = None
    for n, line in enumerate(columns):
        runs, count = ndimage.label(line >= 0.5)
        for run in range(1, count + 1):
            inside = np.flatnonzero(runs == run)
            first, last = int(inside[0]), int(inside[-1])
            if first == 0 or last == len(line) - 1:
                continue
            bottom = first - _share(line[first], line[first - 1])
            top = last + _share(line[last], line[last + 1])
            if best is None or top - bottom > best[2] - best[1]:
                best = (n, bottom, top)
    return best


def _share(inside: float, outside: float) -> float:
    """How far beyond a sample of bone its edge lies, in samples."""
    return float((inside - 0.5) / max(inside - outside, 1e-6))


def foramina(
    upper: Mapping[Side, Pedicle], lower: Mapping[Side, Pedicle], cranial: Points
) -> dict[Side, Estimate]:
    """Foraminal height by side, mm: from pedicle to pedicle along the segment's axis."""
    return {
        side: Estimate(
            float((upper[side].lower - lower[side].upper) @ unit(cranial)),
            float(np.hypot(upper[side].error, lower[side].error)),
        )
        for side in upper
        if side in lower
    }
