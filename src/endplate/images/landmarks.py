"""Landmarks: the named points of a measured spine, in patient coordinates.

They are what other programs exchange: a name, a level, a side, a place and how well it is known.
Whoever measures something new adds a function that yields its landmarks to `landmarks`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from endplate import levels
from endplate.facts import Side
from endplate.images.endplate import Endplate
from endplate.images.frame import CRANIAL, Frame, Plane
from endplate.images.measure import Measured
from endplate.images.pelvis import Pelvis
from endplate.images.vertebra import Vertebra
from endplate.levels import Level

# A place is kept to this many decimals of a millimetre: finer than anything is measured, and
# coarse enough that a file in voxel coordinates gives back the very same number.
_DECIMALS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Landmark:
    """One named point.

    Attributes
    ----------
    name
        The structure and the place on it: ``superior_endplate.anterior``.
    position
        LPS mm.
    level, side
        Where it has them; a point of a disc has the level of the vertebra above.
    error
        Its standard error in mm, where known.
    """

    name: str
    position: tuple[float, float, float]
    level: Level | None = None
    side: Side | None = None
    error: float | None = None

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise ValueError("Landmark: has no name.")
        if len(self.position) != 3 or not all(map(math.isfinite, self.position)):
            raise ValueError(f"{self.name}: needs three finite coordinates.")
        if self.error is not None and not 0 <= self.error < math.inf:
            raise ValueError(f"{self.name}: its standard error must be a number from 0 up.")

    @classmethod
    def at(
        cls,
        name: str,
        position: npt.ArrayLike,
        *,
        level: Level | None = None,
        side: Side | None = None,
        error: float | None = None,
    ) -> Landmark:
        """The landmark at a point of an array, rounded as all landmarks are."""
        x, y, z = (round(float(n), _DECIMALS) + 0.0 for n in np.asarray(position, dtype=float))
        return cls(name=name, position=(x, y, z), level=level, side=side, error=error)


def landmarks(found: Measured) -> tuple[Landmark, ...]:
    """All landmarks of a measured spine: vertebra by vertebra from the head down, the pelvis."""
    by_level = sorted(found.vertebrae.values(), key=lambda v: levels.order(v.level))
    points = [point for vertebra in by_level for point in _of_vertebra(vertebra)]
    if found.geometry is not None:
        for one in found.geometry.cut.values():
            which = "superior" if one.superior else "inferior"
            points += _of_endplate(one.plate, f"{which}_endplate", Level(one.level))
        points += _of_pelvis(found.geometry.pelvis)
    return tuple(points)


def _of_endplate(plate: Endplate, name: str, level: Level) -> Iterator[Landmark]:
    """The points of an endplate that is known without its body: ends and middle of its outline."""
    for place, along in (("centre", 0.0), ("anterior", -0.5), ("posterior", 0.5)):
        point = plate.frame.to_world([0.0, along * plate.depth, 0.0])
        yield Landmark.at(f"{name}.{place}", point, level=level, error=plate.edge_error)


def _of_vertebra(vertebra: Vertebra) -> Iterator[Landmark]:
    """The landmarks of one vertebra.

    ``anterior`` and ``posterior`` of an endplate lie in the midsagittal plane where the endplate's
    plane meets the front and the back of the body, as these run at mid-height: a rim or an
    osteophyte that stands out farther is left aside. The ends of a height line are the surface
    itself, each the mean over the line's window. How well they are known is not worked out.
    """
    level = Level(vertebra.level)
    yield Landmark.at("vertebral_body.centre", vertebra.frame.centre, level=level)
    for which, plane in (("superior", vertebra.superior), ("inferior", vertebra.inferior)):
        name = f"{which}_endplate"
        yield Landmark.at(f"{name}.centre", plane.centre, level=level)
        for end, v in (("anterior", vertebra.front), ("posterior", vertebra.back)):
            yield Landmark.at(f"{name}.{end}", _on(plane, vertebra.frame, v), level=level)
    for place, ends in vertebra.lines.items():
        for which, point in zip(("superior", "inferior"), ends, strict=True):
            yield Landmark.at(f"height_line.{place}.{which}", point, level=level)
    if vertebra.canal is not None:
        yield Landmark.at("spinal_canal.centre", vertebra.canal, level=level)


def _of_pelvis(pelvis: Pelvis) -> Iterator[Landmark]:
    """The endplate of S1 and the ends of the hip axis; sockets under a name of their own."""
    if pelvis.sacrum is not None:
        yield from _of_endplate(pelvis.sacrum, "superior_endplate", Level.S1)
    for side in sorted(pelvis.heads):
        head = pelvis.heads[side]
        name = "acetabulum.centre" if head.socket else "femoral_head.centre"
        yield Landmark.at(name, head.sphere.centre, side=side, error=head.sphere.error)


def _on(plane: Plane, frame: Frame, v: float) -> npt.NDArray[np.float64]:
    """The point of a plane in a frame's midsagittal plane, `v` mm behind the frame's origin."""
    centre, normal = frame.to_local(plane.centre), plane.normal @ frame.axes
    point = np.array([0.0, v, 0.0])
    point[CRANIAL] = normal @ (centre - point) / normal[CRANIAL]
    return frame.to_world(point)
