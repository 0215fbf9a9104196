"""Between two vertebrae: the disc space and its angle, and how one stands on the other.

The heights of a disc space are taken where the heights of the bodies are (anterior, middle,
posterior), from the endplate above to the endplate below, square to the middle between both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from endplate.images.endplate import Endplate
from endplate.images.frame import LEFT, POSTERIOR
from endplate.images.vertebra import Estimate, Vertebra
from endplate.images.volume import Points
from endplate.planes import turn, unit

METHOD = "endplate.segment_from_mask/1"

_NAMES = ("anterior", "middle", "posterior")
# An edge is known less well than the middle between two, by this factor.
_EDGES = float(np.sqrt(2))
# Of a body's height, one end is known this well, as a part of how well the height is: somewhat
# better than the half of it, for a height also depends on where along the body it is taken.
_OF_HEIGHT = 0.62


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Surface:
    """An endplate as its neighbour across the disc sees it.

    Attributes
    ----------
    plate
        Its plane and outline.
    points
        Where the heights are taken on it: ``anterior``, ``middle``, ``posterior``; LPS mm.
    errors
        Standard error of each along the normal, mm.
    """

    plate: Endplate
    points: Mapping[str, Points]
    errors: Mapping[str, float]

    @classmethod
    def of(cls, plate: Endplate, vertebra: Vertebra, *, superior: bool) -> Surface:
        """The superior or the inferior endplate of a measured vertebra."""
        end = 0 if superior else 1
        return cls(
            plate=plate,
            points={n: vertebra.lines[n][end] for n in _NAMES},
            errors={n: _OF_HEIGHT * vertebra.heights[n].error for n in _NAMES},
        )

    @classmethod
    def alone(cls, plate: Endplate, shares: Mapping[str, float], *, superior: bool) -> Surface:
        """An endplate without a body, as of S1: at the same parts of its depth as on a body."""
        out = 1.0 if superior else -1.0
        points, errors = {}, {}
        for name in _NAMES:
            along = shares[name] - 0.5
            # A bowl: as deep as its middle in the middle, and level with its rim at the rim.
            depth = plate.rim - plate.concavity * (1 - (2 * along) ** 2)
            place = plate.frame.to_world([0.0, along * plate.depth, 0.0])
            points[name] = place + out * depth * plate.normal
            across = plate.normals @ (plate.centre - place) + plate.offsets
            errors[name] = float(np.hypot(np.sqrt(np.mean(across**2)), plate.roughness / 2))
        return cls(plate=plate, points=points, errors=errors)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Segment:
    """Two neighbouring endplates: the inferior one above, the superior one below.

    Attributes
    ----------
    disc_heights
        ``anterior``, ``middle``, ``posterior``, mm.
    disc_angle
        Positive where the front is taller (lordotic), degrees.
    disc_angle_coronal
        Positive where the left side is taller, degrees.
    slip, slip_percent
        How far the vertebra above stands in front of the one below (behind is negative), mm, and
        in percent of the depth of the endplate below.
    lateral_slip
        How far the vertebra above stands to the left of the one below, mm.
    """

    disc_heights: Mapping[str, Estimate]
    disc_angle: Estimate
    disc_angle_coronal: Estimate
    slip: Estimate
    slip_percent: Estimate
    lateral_slip: Estimate


def between(above: Surface, below: Surface) -> Segment:
    """Measure the disc space between an inferior endplate and the superior one below it."""
    upper, lower = above.plate, below.plate
    left = unit(upper.frame.axes[:, LEFT] + lower.frame.axes[:, LEFT])
    up = upper.normal + lower.normal
    up = unit(up - left * (up @ left))
    heights = {}
    for name in _NAMES:
        gap = _column(above.points[name], upper.normal, below.points[name], lower.normal, up)
        heights[name] = Estimate(gap, float(np.hypot(above.errors[name], below.errors[name])))
    # Along a tilted plane an edge comes to lie elsewhere, by the height of the disc.
    leaning = [np.sqrt(np.mean((p.normals - p.normal) ** 2) * 3) for p in (upper, lower)]
    sway = float(np.hypot(*leaning)) * max(heights["middle"].value, 0.0)
    edge = float(np.hypot(_EDGES * np.hypot(upper.edge_error, lower.edge_error), sway))
    away = _back(upper) - _back(lower)
    forward = -float(away @ lower.frame.axes[:, POSTERIOR])
    sideways = float((upper.centre - lower.centre) @ lower.frame.axes[:, LEFT])
    normals = all_normals(upper), all_normals(lower)
    return Segment(
        disc_heights=heights,
        disc_angle=estimate(turn(*normals, left)),
        disc_angle_coronal=estimate(turn(*normals, np.cross(up, left))),
        slip=Estimate(forward, edge),
        slip_percent=Estimate(100 * forward / lower.depth, 100 * edge / lower.depth),
        lateral_slip=Estimate(sideways, edge),
    )


def _column(above: Points, upper: Points, below: Points, lower: Points, up: Points) -> float:
    """The height of the column midway between two points that need not face each other."""
    middle = (above + below) / 2
    top, bottom = (
        float((point - middle) @ normal / (up @ normal))
        for point, normal in ((above, upper), (below, lower))
    )
    return top - bottom


def _back(plate: Endplate) -> Points:
    """The middle of an endplate's posterior edge."""
    return plate.frame.to_world([0.0, plate.depth / 2, 0.0])


def all_normals(plate: Endplate) -> Points:
    """An endplate's normal, and after it those that fit as well; shape (n + 1, 3)."""
    return np.concatenate([plate.normal[None], plate.normals])


def estimate(values: Points) -> Estimate:
    """The first value, and how much the others scatter about it."""
    return Estimate(float(values[0]), float(np.sqrt(np.mean((values[1:] - values[0]) ** 2))))
