"""Between two vertebrae: the disc space and its angle, and how one stands on the other.

The disc space is what lies between the endplate above and the endplate below; its heights are
measured at their rims and at their deepest parts, square to the middle between both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from endplate.images.endplate import Endplate
from endplate.images.frame import LEFT, POSTERIOR
from endplate.images.vertebra import Estimate
from endplate.images.volume import Points

METHOD = "endplate.segment_from_mask/1"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Segment:
    """Two neighbouring endplates: the inferior one above, the superior one below.

    Attributes
    ----------
    disc_heights
        ``anterior``, ``middle``, ``posterior``, mm.
    disc_angle
        Positive where the front is taller (lordotic), degrees.
    slip
        How far the vertebra above stands in front of the one below, mm; behind is negative.
    slip_percent
        The same in percent of the depth of the endplate below.
    lateral_slip
        How far the vertebra above stands to the left of the one below, mm.
    """

    disc_heights: dict[str, Estimate]
    disc_angle: Estimate
    slip: Estimate
    slip_percent: Estimate
    lateral_slip: Estimate


def between(upper: Endplate, lower: Endplate) -> Segment:
    """Measure the disc space between an inferior endplate and the superior one below it."""
    left = upper.frame.axes[:, LEFT] + lower.frame.axes[:, LEFT]
    left = left / np.linalg.norm(left)
    up = upper.normal + lower.normal
    up = up - left * (up @ left)
    up = up / np.linalg.norm(up)
    heights = {}
    for name, share in (("anterior", -0.5), ("middle", 0.0), ("posterior", 0.5)):
        above = _on(upper, share, facing=-1)
        below = _on(lower, share, facing=1)
        heights[name] = estimate((above - below) @ up)
    edge = 2 * float(np.hypot(upper.edge_error, lower.edge_error) / np.sqrt(2))
    away = _on(upper, 0.5, facing=-1)[0] - _on(lower, 0.5, facing=1)[0]
    forward = -float(away @ lower.frame.axes[:, POSTERIOR])
    sideways = float((upper.centre - lower.centre) @ lower.frame.axes[:, LEFT])
    return Segment(
        disc_heights=heights,
        disc_angle=estimate(turn(all_normals(upper), all_normals(lower), left)),
        slip=Estimate(forward, edge),
        slip_percent=Estimate(100 * forward / lower.depth, 100 * edge / lower.depth),
        lateral_slip=Estimate(sideways, edge),
    )


def all_normals(plate: Endplate) -> Points:
    """An endplate's normal, and after it those that fit as well; shape (n + 1, 3)."""
    return np.concatenate([plate.normal[None], plate.normals])


def _on(plate: Endplate, share: float, *, facing: int) -> Points:
    """A point of the endplate's midline on its plane, and on each plane that fits as well.

    Parameters
    ----------
    share
        From the middle (0) to the back (0.5) or the front (-0.5), of the depth.
    facing
        1 for a superior endplate, -1 for an inferior one.
    """
    out = facing * (plate.rim if share else plate.middle)
    place = plate.frame.to_world([0.0, share * plate.depth, 0.0])
    through = plate.centre + plate.offsets[:, None] * plate.normal
    across = np.einsum("ij,ij->i", through - place, plate.normals)
    lifted = np.concatenate([[0.0], across / (plate.normals @ plate.normal)])
    return np.asarray(place + (lifted + out)[:, None] * plate.normal)


def turn(start: Points, end: Points, axis: Points) -> Points:
    """From one direction to another about an axis, in degrees; positive leans forward about an
    axis that points to the left. Rows belong together.
    """
    axis = np.broadcast_to(axis, start.shape)
    a, b = (x - axis * np.einsum("ij,ij->i", x, axis)[:, None] for x in (start, end))
    sine = np.einsum("ij,ij->i", np.cross(a, b), axis)
    return np.asarray(np.degrees(np.arctan2(sine, np.einsum("ij,ij->i", a, b))))


def estimate(values: Points) -> Estimate:
    """The first value, and how much the others scatter about it."""
    return Estimate(float(values[0]), float(np.sqrt(np.mean((values[1:] - values[0]) ** 2))))
