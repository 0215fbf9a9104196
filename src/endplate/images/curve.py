"""The whole curve: how the endplates of a spine lean against one another, and where it bends.

Angles are taken in the person's own sagittal and frontal planes, not in those of the scanner: the
lateral axis is the hip axis where it is known, else the mean of the vertebrae's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from endplate import cobb
from endplate.facts import Side
from endplate.images.endplate import Endplate
from endplate.images.frame import CRANIAL, LEFT, POSTERIOR, Floats
from endplate.images.segment import all_normals, estimate
from endplate.images.vertebra import Estimate, Vertebra
from endplate.images.volume import Points
from endplate.planes import Reference, bulge, lean, unit

METHOD = "endplate.curve_from_mask/1"

# The centroid curve: a spline with a knot for every so many vertebrae; the middle of a body is
# known to about this part of a voxel, and drawn so often.
_PER_KNOT = 3
_LEAST_CENTRES = 6
CENTRE = 0.15
_DRAWS = 64
# How well the turn of a vertebra about its own axis is known: by about this part of a voxel at
# this distance (mm), that of the canal from the middle of the body.
_CANAL_MIDDLE = 0.2
_ARM = 25.0


def reference(vertebrae: Sequence[Vertebra], hips: Points | None) -> Reference:
    """From the hip axis (from right to left), or from the vertebrae where there is none."""
    left = hips
    if left is None:
        left = unit(np.sum([v.frame.axes[:, LEFT] for v in vertebrae], axis=0))
    along = vertebrae[0].superior.centre - vertebrae[-1].inferior.centre
    return Reference.of(left, along, "hip axis" if hips is not None else "the vertebrae")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Angle:
    """An angle between two endplates, from a level down to a level.

    Sagittal: lordosis is positive. Frontal: positive, with the side of its convexity.
    """

    first: str
    last: str
    estimate: Estimate
    side: Side | None = None


class Leans:
    """How far each endplate leans forwards and to the left, with all that fit as well.

    Parameters
    ----------
    plates
        Level → superior and inferior endplate, from the head down; S1 has a superior one alone.
    """

    def __init__(
        self, plates: Mapping[str, tuple[Endplate | None, Endplate | None]], planes: Reference
    ) -> None:
        self.levels = list(plates)
        ends = list(plates.values())
        forward = -planes.posterior
        self.forward = [_lean([e[n] for e in ends], forward, planes.up) for n in (0, 1)]
        self.left = [_lean([e[n] for e in ends], planes.left, planes.up) for n in (0, 1)]

    def lordosis(self, first: str, last: str) -> Angle | None:
        """From the superior endplate of a level to the inferior one of another; S1: superior."""
        if first not in self.levels or last not in self.levels:
            return None
        lower = self.forward[0 if last == "S1" else 1][self.levels.index(last)]
        values = lower - self.forward[0][self.levels.index(first)]
        if np.isnan(values).any():
            return None
        return Angle(first=first, last=last, estimate=estimate(values))

    def extreme(self, *, kyphosis: bool) -> Angle | None:
        """The largest lordosis, or kyphosis (positive too), of all pairs of endplates."""
        bend = self._lowers(self.forward)[None] - self.forward[0][:, None]
        found = cobb.largest(-bend if kyphosis else bend, 0, len(self.levels))
        if found is None:
            return None
        i, j, angle, error = found
        return Angle(first=self.levels[i], last=self.levels[j], estimate=_estimate(angle, error))

    def curves(self, least: float) -> list[Angle]:
        """The frontal curves: the largest of all pairs, and those above and below it.

        Each further one shares an end vertebra with the one before and bends the other way.

        Parameters
        ----------
        least
            Smaller ones are no curves, degrees; the largest is told whatever it is.
        """
        found = cobb.curves(self.levels, self.left[0], self._lowers(self.left), least)
        return [
            Angle(first=c.first, last=c.last, estimate=_estimate(c.angle, c.error), side=c.side)
            for c in found
        ]

    def _lowers(self, leans: list[Points]) -> Points:
        """The lower end of each level: its inferior endplate, of S1 the superior one."""
        lower = leans[1].copy()
        if self.levels[-1] == "S1":
            lower[-1] = leans[0][-1]
        return lower


def _estimate(angle: float, error: float | None) -> Estimate:
    assert error is not None, "endplates are always drawn"
    return Estimate(angle, error)


def _lean(plates: Sequence[Endplate | None], towards: Points, up: Points) -> Points:
    """Lean of each endplate's normal, degrees; shape (plates, draws + 1), nan where it is not."""
    count = next((len(p.normals) + 1 for p in plates if p is not None), 1)
    found = np.full((len(plates), count), np.nan)
    for at, plate in enumerate(plates):
        if plate is not None:
            found[at] = lean(all_normals(plate), towards, up)
    return found


# -- where it bends ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Apex:
    """The vertebra farthest out of the line between a curve's end vertebrae.

    Attributes
    ----------
    offset
        How far out, mm.
    plane
        Angle of the plane through both end vertebrae and the apex against the sagittal plane,
        degrees: 0 in a spine without a frontal curve, 90 without a sagittal one.
    """

    level: str
    offset: float
    plane: float


def apex(vertebrae: Mapping[str, Vertebra], curve: Angle, planes: Reference) -> Apex | None:
    """The apex of a frontal curve; None where its end vertebrae are not measured."""
    names = list(vertebrae)
    if curve.first not in names:
        return None
    last = names.index(curve.last) if curve.last in names else len(names) - 1
    run = names[names.index(curve.first) : last + 1]
    if len(run) < cobb.LEAST_SPAN:
        return None
    found = bulge([vertebrae[n].frame.centre for n in run], planes)
    return Apex(level=run[found.at], offset=float(found.offset), plane=float(found.plane))


def axial_rotation(vertebra: Vertebra, planes: Reference) -> Estimate:
    """How far a vertebra is turned about its own axis: positive where its front faces left."""
    value = float(
        planes.rotation(vertebra.frame.axes[:, CRANIAL], vertebra.frame.axes[:, POSTERIOR])
    )
    voxel = vertebra.block.volume.affine[:3, :3]
    size = float(np.linalg.norm(voxel.T @ vertebra.frame.axes[:, LEFT]))
    return Estimate(value, float(np.degrees(_CANAL_MIDDLE * size / _ARM)))


def centroid_curve(
    vertebrae: Mapping[str, Vertebra], planes: Reference
) -> tuple[str, str, Estimate, Side | None] | None:
    """The frontal Cobb angle of the smooth line through the middles of the bodies.

    It lies between the two places where the line leans most to either side; their vertebrae, the
    angle and the side of the convexity. None where there are too few vertebrae for a line.
    """
    names = list(vertebrae)
    if len(names) < _LEAST_CENTRES:
        return None
    centres = np.array([v.frame.centre for v in vertebrae.values()])
    height = (centres - centres[-1]) @ planes.up
    if (np.diff(height) >= 0).any():
        return None
    voxel = float(np.mean([v.block.volume.voxel_volume ** (1 / 3) for v in vertebrae.values()]))
    noise = np.random.default_rng(0).standard_normal((len(names), _DRAWS)) * CENTRE * voxel
    sideways = (centres @ planes.left)[:, None] + np.hstack([np.zeros((len(names), 1)), noise])
    lean = _leans_of_line(height[::-1], sideways[::-1])
    high, low = lean[:, 0].argmax(), lean[:, 0].argmin()
    upper, lower = max(high, low), min(high, low)  # rows run from the foot up
    values = lean[lower] - lean[upper]
    sign = 1.0 if values[0] > 0 else -1.0
    size = estimate(sign * values)
    at = np.linspace(height[-1], height[0], len(lean))
    first, last = (names[int(np.argmin(np.abs(height - at[n])))] for n in (upper, lower))
    return first, last, size, cobb.side(size.value, size.error, sign)


def _leans_of_line(height: Floats, sideways: Floats) -> Points:
    """Lean to the left all along the line, degrees; heights rise."""
    from scipy.interpolate import make_lsq_spline  # noqa: PLC0415 - slow to import, seldom needed

    inner = max(0, len(height) // _PER_KNOT - 2)
    knots = np.concatenate(
        [[height[0]] * 4, np.linspace(height[0], height[-1], inner + 2)[1:-1], [height[-1]] * 4]
    )
    slope = make_lsq_spline(height, sideways, knots).derivative()
    return np.asarray(np.degrees(np.arctan(slope(np.linspace(height[0], height[-1], 200)))))
