"""Frames of reference in the patient, and looking at a mask from within such a frame.

A vertebra's frame has its origin in the middle of the body and the axes u to the left, v to the
back, w to the head, in mm; it is right-handed, as LPS is (left = cranial x anterior).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from endplate.images.volume import Mask, Points, Volume
from endplate.levels import Level

Floats = npt.NDArray[np.floating[Any]]
Bools = npt.NDArray[np.bool_]
Box = tuple[slice, slice, slice]

LEFT, POSTERIOR, CRANIAL = 0, 1, 2

# The bulk of a vertebra is found after smoothing with about half a body's height (mm), on a grid
# that need be no finer than this (mm).
_BULK = 7.0
_COARSE = 2.5
# Faces are looked for in a cube of this half width around the bulk (mm); a surface belongs to a
# face where its normal is within this angle of the face's.
_FACE_REACH = 26.0
_FACE_COSINE = float(np.cos(np.radians(15.0)))
# A label's shadow is looked at this far around the bulk, square to the line of the spine and along
# it, every so often (mm): an arch reaches farther back from the body than that from the bulk.
_SHADOW_REACH = np.array([65.0, 65.0, 40.0])
_SHADOW_STEP = 2.5
# Where interpolating leaves this much of the label, there is some: a flat body at thick slices is
# one voxel high.
_SHADOW = 0.3
# A bulk farther than this (mm) from where the label is broadest lies in the arch.
_IN_ARCH = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """A plane by a point on it and its unit normal, which points to the head; LPS mm."""

    centre: Points
    normal: Points


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """An origin in LPS mm, and unit vectors to the left, back and head, one per column."""

    centre: Points
    axes: Points

    def to_local(self, world: npt.ArrayLike) -> Points:
        """(u, v, w) in mm of LPS mm points, shape (..., 3)."""
        return np.asarray((np.asarray(world) - self.centre) @ self.axes)

    def to_world(self, local: npt.ArrayLike) -> Points:
        """LPS mm of (u, v, w) points, shape (..., 3)."""
        return np.asarray(np.asarray(local) @ self.axes.T + self.centre)

    @classmethod
    def of(cls, centre: Points, cranial: Points, posterior: Points) -> Frame:
        """The frame whose w is `cranial` and whose v is nearest to `posterior`."""
        up = cranial / np.linalg.norm(cranial)
        back = posterior - up * (posterior @ up)
        if np.linalg.norm(back) < 1e-6 * max(float(np.linalg.norm(posterior)), 1.0):
            least = np.eye(3)[int(np.argmin(np.abs(up)))]  # along w: any other will do
            back = least - up * (least @ up)
        back = back / np.linalg.norm(back)
        return cls(centre, np.stack([np.cross(back, up), back, up], axis=1))


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A mask resampled on a frame's axes: values 0 to 1, and the coordinates of the samples, which
    lie `step` mm apart along u and v.
    """

    values: npt.NDArray[np.float32]
    u: Points
    v: Points
    w: Points
    step: float


class Block:
    """The voxels of one label, cut out with a border of empty ones around them.

    Attributes
    ----------
    inside
        Whether a voxel has the label.
    start
        Index in the volume of the block's first voxel; -1 where it lies outside.
    touches
        Whether the label reaches the border of the volume.
    """

    def __init__(self, volume: Volume, label: int, box: Box, bodies: Bools | None = None) -> None:
        self.bodies = bodies
        self.volume = volume
        self.label = label
        self.box = box
        self.start = np.array([s.start for s in box]) - 1
        self.touches = any(
            s.start == 0 or s.stop == n for s, n in zip(box, volume.array.shape, strict=True)
        )

    @cached_property
    def inside(self) -> Bools:
        """Cut out on first need: a mask may hold a hundred structures that nobody asks for."""
        return np.pad(self.volume.array[self.box] == self.label, 1)

    @cached_property
    def body(self) -> Block:
        """The vertebral body on the same voxels where a mask of parts tells it; else itself."""
        if self.bodies is None:
            return self
        alone = Block(self.volume, self.label, self.box)
        alone.inside = self.inside & np.pad(self.bodies[self.box], 1)
        at = np.argwhere(alone.inside) + self.start
        last = np.array(self.volume.array.shape) - 1
        alone.touches = bool(((at == 0) | (at == last)).any())
        return alone

    @cached_property
    def count(self) -> int:
        """How many voxels have the label."""
        return int(np.count_nonzero(self.inside))

    @cached_property
    def pieces(self) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """The label's pieces by number, and how many voxels each number has (0: none)."""
        parts, _ = ndimage.label(self.inside, structure=np.ones((3, 3, 3)))
        sizes = np.bincount(parts.ravel())
        sizes[0] = 0
        return parts, sizes

    @cached_property
    def fragments(self) -> float:
        """Which part of the label lies apart from its largest piece."""
        return 1 - float(self.pieces[1].max()) / max(self.count, 1)

    @cached_property
    def main_touches(self) -> bool:
        """Whether the label's largest piece reaches the border of the volume."""
        if not self.touches:
            return False
        parts, sizes = self.pieces
        box = ndimage.find_objects(parts)[int(np.argmax(sizes)) - 1]
        last = np.array(self.volume.array.shape)
        first = self.start + [part.start for part in box]
        return bool((first <= 0).any() or (self.start + [p.stop for p in box] >= last).any())

    @classmethod
    def joined(cls, *blocks: Block) -> Block:
        """Several labels of one volume as one structure."""
        first = blocks[0]
        if len(blocks) == 1:
            return first
        spans = zip(*(b.box for b in blocks), strict=True)
        low_high = [(min(s.start for s in n), max(s.stop for s in n)) for n in spans]
        box = (slice(*low_high[0]), slice(*low_high[1]), slice(*low_high[2]))
        both = cls(first.volume, first.label, box)
        both.inside = np.pad(np.isin(first.volume.array[box], [b.label for b in blocks]), 1)
        return both

    def to_world(self, index: npt.ArrayLike) -> Points:
        """LPS mm of index coordinates of the block."""
        return self.volume.to_world(np.asarray(index) + self.start)

    def seen(
        self, frame: Frame, low: Points, high: Points, step: float, cuts: float | None = None
    ) -> Seen:
        """The mask on the frame's axes from `low` to `high` (mm), every `step` mm; along w every
        `cuts` mm where they are given.
        """
        steps = np.array([step, step, cuts or step])
        shape = np.maximum(np.ceil((high - low) / steps).astype(int) + 1, 2)
        inverse = np.linalg.inv(self.volume.affine)
        linear = inverse[:3, :3] @ frame.axes
        offset = inverse[:3, :3] @ frame.to_world(low) + inverse[:3, 3] - self.start
        values = ndimage.affine_transform(
            self.inside.view(np.uint8),
            linear * steps,
            offset,
            tuple(shape),
            output=np.float32,
            order=1,
            prefilter=False,
        )
        u, v, w = (low[n] + steps[n] * np.arange(shape[n]) for n in range(3))
        return Seen(values, u, v, w, step)

    def at(self, world: Points) -> npt.NDArray[np.float32]:
        """The mask, between 0 and 1, at LPS mm points of shape (..., 3)."""
        index = self.volume.to_index(world) - self.start
        return np.asarray(
            ndimage.map_coordinates(
                self.inside.view(np.uint8),
                np.moveaxis(index, -1, 0),
                output=np.float32,
                order=1,
                prefilter=False,
            )
        )

    def bulk(self) -> Points:
        """The middle of its most massive part, LPS mm: inside the body, be there an arch or not.

        A smoothed mask is highest in the body even where a crushed body is no thicker than the
        pedicles, which the largest inscribed sphere would not tell apart.
        """
        smooth, stride = self._smoothed
        peak = np.argwhere(smooth >= 0.9 * smooth.max())
        return self.to_world(peak.mean(axis=0) * stride)

    def broad_middle(self, along: Points) -> Points:
        """The middle of its bulk, or of where it is broadest if the bulk is that of the arch.

        A fractured body may hold less bone than its arch, but seen from above it is broader.

        Parameters
        ----------
        along
            Roughly the line of the spine there, a unit vector.
        """
        bulk = self.bulk()
        step = self._broadest(bulk, along) - bulk
        across = float(np.linalg.norm(step - along * (step @ along)))
        # Not along the spine, where the body of another vertebra may lie under the same label.
        in_arch = across > max(_IN_ARCH, abs(float(step @ along)))
        return bulk + step if in_arch else bulk

    def _broadest(self, near: Points, along: Points) -> Points:
        """The middle of where it is broadest as seen along a direction, LPS mm."""
        frame = Frame.of(near, along, np.array([0.0, 1.0, 0.0]))
        seen = self.seen(frame, -_SHADOW_REACH, _SHADOW_REACH, _SHADOW_STEP)
        shadow = np.pad(seen.values.max(axis=2) >= _SHADOW, 1)
        depth = ndimage.distance_transform_edt(shadow)[1:-1, 1:-1]
        parts, _ = ndimage.label(depth >= 0.9 * depth.max())
        middle = np.argwhere(parts == parts[np.unravel_index(depth.argmax(), depth.shape)])
        u, v = np.rint(middle.mean(axis=0)).astype(int)
        there = seen.values[u, v] >= _SHADOW
        w = float(seen.w[there].mean()) if there.any() else 0.0
        return frame.to_world([seen.u[u], seen.v[v], w])

    def massive_parts(self, apart: float, least: float) -> Points:
        """The middles of its massive parts, LPS mm, shape (n, 3), the most massive first.

        Parameters
        ----------
        apart
            How near to each other (mm) no two parts are told apart.
        least
            How massive a part has to be against the first.
        """
        smooth, stride = self._smoothed
        around = 2 * np.round(apart / (self.volume.spacing * stride)).astype(int) + 1
        highest = ndimage.maximum_filter(smooth, tuple(around), mode="constant")
        at = np.argwhere((smooth == highest) & (smooth >= least * smooth.max()))
        order = np.argsort(-smooth[tuple(at.T)], kind="stable")
        return self.to_world(at[order] * stride)

    @cached_property
    def _smoothed(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """The label smoothed by about half a body's height, and of how many voxels one is left."""
        spacing = self.volume.spacing
        stride = np.maximum((_COARSE / spacing).astype(int), 1)
        part = self.inside[:: stride[0], :: stride[1], :: stride[2]].astype(np.float32)
        return ndimage.gaussian_filter(part, _BULK / (spacing * stride), mode="constant"), stride

    def centroid(self) -> Points:
        """The mean position of its voxels, LPS mm."""
        sums = [
            np.arange(n) @ self.inside.sum(axis=tuple(set(range(3)) - {axis}))
            for axis, n in enumerate(self.inside.shape)
        ]
        return self.to_world(np.array(sums) / max(self.count, 1))

    def facing(self, centre: Points) -> Points:
        """The axis across its two largest parallel faces near `centre`; unit vector, LPS.

        Each direction is voted for by the surface that faces it and the surface that faces the
        opposite way, whichever is the smaller; the endplates win. Its sign means nothing.
        """
        reach = np.full(3, _FACE_REACH)
        seen = self.seen(Frame(centre, np.eye(3)), -reach, reach, 2.0)
        smooth = ndimage.gaussian_filter(seen.values, 1.0)
        slope = np.stack(np.gradient(smooth), axis=-1).reshape(-1, 3)
        size = np.linalg.norm(slope, axis=1)
        steep = size > 0.4 * size.max()
        normals, weight = slope[steep] / size[steep, None], size[steep]
        ways = directions(400, half=True)
        along = normals @ ways.T
        votes = np.minimum(weight @ (along > _FACE_COSINE), weight @ (along < -_FACE_COSINE))
        best = ways[int(np.argmax(votes))]
        near = normals @ best
        axis = (weight * np.sign(near) * (np.abs(near) > _FACE_COSINE)) @ normals
        length = float(np.linalg.norm(axis))
        return axis / length if length > 0 else np.array([0.0, 0.0, 1.0])


def directions(count: int, *, half: bool = False) -> Points:
    """Directions spread evenly over a sphere or half of one (a Fibonacci lattice), (count, 3)."""
    at = (np.arange(count) + 0.5) / count
    up = at if half else 1 - 2 * at
    turn = np.pi * (1 + 5**0.5) * np.arange(count)
    flat = np.sqrt(1 - up**2)
    return np.stack([flat * np.cos(turn), flat * np.sin(turn), up], axis=1)


def blocks(mask: Mask) -> dict[str, Block]:
    """A block for every structure of the mask that has voxels, by name.

    Labels that stand for the same structure are not joined: the first one counts.
    """
    array = mask.volume.array
    if not array.size:
        return {}
    largest = max((n for n in mask.structures if n > 0), default=0)
    found: dict[str, Block] = {}
    for number, box in enumerate(ndimage.find_objects(array, largest), 1):
        name = mask.structures.get(number)
        if box is not None and name is not None and name not in found:
            bodies = mask.bodies if name in Level.__members__ else None
            found[name] = Block(mask.volume, number, box, bodies)
    return found
