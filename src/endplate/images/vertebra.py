"""One vertebra measured from its mask: its frame, its body, its endplates, its heights.

Everything is taken from the vertebra itself; how the image lies in the patient and how its
neighbours stand are only where the search begins. The method is told in
docs/explanation/how-bone-is-measured.md; its sizes stand in evidence/measurement.toml.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import ndimage

from endplate.evidence import Evidence
from endplate.images.frame import (
    CRANIAL,
    POSTERIOR,
    Block,
    Bools,
    Floats,
    Frame,
    Plane,
    Seen,
)
from endplate.images.volume import Points
from endplate.levels import Level

METHOD = "endplate.vertebra_from_mask/1"

# Where the search looks around the bulk of a vertebra, in its frame (mm): wide enough for the
# largest body at an oblique start, and back to the far side of the canal.
_REACH_LOW = np.array([-42.0, -32.0, -32.0])
_REACH_HIGH = np.array([42.0, 58.0, 32.0])
_REACH_BODY = np.array([42.0, 34.0, 32.0])
_SEARCH_STEP = 2.5
_SEARCH_ROUNDS, _FINE_ROUNDS = 4, 3
# A frame has settled when a further round would turn it by less than this, first on the coarse
# grid and then on the fine one.
_SETTLED = tuple(float(np.cos(np.radians(degrees))) for degrees in (3.0, 0.5))
_FINE_STEPS = (0.75, 1.5)  # mm: the fine grid follows the voxels between these
# The canal is looked for in the projection of a slab of this half height (mm); a hole must have
# this area (mm²) to be a canal and not a gap in the mask.
_CANAL_SLAB = 13.0
_CANAL_AREA = 40.0
# What interpolating a mask of whole voxels leaves unknown of a surface, in voxels: seen where
# the errors of many crossings cancel.
_INTERPOLATION = 0.03
# So near to its middle (mm) a body has no other structures.
_CENTRAL = 8.0
# No body reaches farther back from its middle than this (mm): where the midline of a whole vertebra
# goes on, the mask has no gap between body and arch.
_FARTHEST_BACK = 30.0
# The posterior wall is looked for in a strip of this half width (mm), narrower than any canal.
_MIDLINE = 5.0
# "At mid-height" is within this of the middle along w (mm).
_MID_HEIGHT = 3.0
# Two endplates that enclose a larger angle than this are no endplates.
_LARGEST_WEDGE = 50.0
# Least ratio of width to depth at which the outline of a body alone tells left from front.
_CLEARLY_WIDER = 1.12


class NotMeasurable(Exception):
    """Why a vertebra cannot be measured; becomes a problem that the user is told."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and its standard error, in the same unit."""

    value: float
    error: float

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval."""
        return (self.value - _NORMAL_95 * self.error, self.value + _NORMAL_95 * self.error)


_NORMAL_95 = 1.959964  # the normal distribution's 97.5 % point


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Vertebra:
    """A vertebra's frame and what was measured in it.

    Attributes
    ----------
    level
        Its name, such as ``L3``.
    frame
        Origin in the middle of the body; axes to the left, back and head.
    superior, inferior
        The endplate planes, fitted to the inner part of their outlines; LPS mm.
    residual
        How far the endplates are from being flat: root mean square, superior and inferior, mm.
    left, right, front, back
        Where the body ends at mid-height, along u and v from the origin, mm.
    wall
        The posterior wall: v at w = 0, and its slope along w.
    heights
        ``anterior``, ``middle``, ``posterior`` in mm.
    lines
        Ends of the height lines for drawing: name → two LPS points.
    inside
        How deep inside the body a point lies.
    canal
        The middle of the spinal canal behind the body, LPS mm, where one was found.
    doubts
        What may be wrong with the frame.
    """

    level: str
    frame: Frame
    superior: Plane
    inferior: Plane
    residual: tuple[float, float]
    left: float
    right: float
    front: float
    back: float
    wall: tuple[float, float]
    heights: Mapping[str, Estimate]
    lines: Mapping[str, Points]
    inside: Inside
    canal: Points | None
    doubts: tuple[str, ...]
    block: Block

    @property
    def width(self) -> float:
        """Left to right at mid-height, mm."""
        return self.left - self.right

    @property
    def depth(self) -> float:
        """Front to back at mid-height, mm."""
        return self.back - self.front

    @property
    def height(self) -> float:
        """Between the endplate planes on the axis, mm."""
        top, bottom = (self.frame.to_local(p.centre)[2] for p in (self.superior, self.inferior))
        return float(top - bottom)


class Inside:
    """How deep inside a body a point lies; worked out on first need.

    The body is taken without holes, and no wider than it is at mid-height.
    """

    def __init__(self, body: _Body) -> None:
        self._body = body
        seen = body.seen
        self.low = np.array([seen.u[0], seen.v[0], seen.w[0]]) - body.middle
        back = min(seen.v[-1], body.back + seen.step)
        self.high = np.array([seen.u[-1], back, seen.w[-1]]) - body.middle

    @cached_property
    def _depth(self) -> Floats:
        body, seen = self._body, self._body.seen
        middle = np.abs(seen.w - body.middle[2]) <= _MID_HEIGHT
        waist = seen.values[:, :, middle].mean(axis=2) >= 0.5
        parts, _ = ndimage.label(ndimage.binary_fill_holes(waist & body.footprint))
        sizes = np.bincount(parts.ravel(), minlength=2)
        sizes[0] = 0
        outline = parts == int(np.argmax(sizes))
        above, below = seen.w <= body.top[:, :, None], seen.w >= body.bottom[:, :, None]
        solid = np.pad(outline[:, :, None] & above & below, 1)
        depth = ndimage.distance_transform_edt(solid, seen.step)[1:-1, 1:-1, 1:-1]
        return np.asarray(np.maximum(depth - seen.step / 2, 0), np.float32)

    @cached_property
    def hollow(self) -> tuple[float, float]:
        """What the mask leaves empty well inside the body: the part of it, and the volume in mL."""
        body, seen = self._body, self._body.seen
        inner = ndimage.binary_erosion(body.inner, iterations=2)[:, :, None]
        above = seen.w <= body.top[:, :, None] - 2 * seen.step
        below = seen.w >= body.bottom[:, :, None] + 2 * seen.step
        wall = body.wall[0] + body.wall[1] * seen.w - 2 * seen.step
        inside = inner & above & below & (seen.v[:, None] <= wall)
        empty = int(np.count_nonzero(seen.values[inside] < 0.5))
        return empty / max(int(np.count_nonzero(inside)), 1), empty * seen.step**3 / 1000

    def at(self, local: Floats) -> Floats:
        """Distance in mm from points of the frame, shape (..., 3), to the surface; 0 outside."""
        index = np.moveaxis((np.asarray(local) - self.low) / self._body.seen.step, -1, 0)
        return np.asarray(
            ndimage.map_coordinates(self._depth, index, np.float32, order=1, prefilter=False)
        )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Start:
    """Where the search for one vertebra begins.

    Attributes
    ----------
    centre
        A point inside the body, LPS mm.
    cranial, posterior
        Roughly to the head and to the back, LPS.
    canal
        The middle of the labelled canal or cord behind this vertebra, if there is one.
    whole
        Whether the mask covers the arch too.
    """

    centre: Points
    cranial: Points
    posterior: Points
    canal: Points | None
    whole: bool


def measured(level: str, block: Block, start: Start, evidence: Evidence) -> Vertebra:
    """Find the frame, body, endplates and heights of one vertebra.

    Raises
    ------
    NotMeasurable
        If no body with two endplates can be made out.
    """
    if not block.body.count:
        raise NotMeasurable("no voxel of it is labelled as its body")
    sizes = _Sizes.of(evidence)
    frame = Frame.of(start.centre, start.cranial, start.posterior)
    frame, body = _settled(block, frame, start, sizes, _SEARCH_STEP)
    fine = float(np.clip(block.volume.voxel_volume ** (1 / 3), *_FINE_STEPS))
    frame, body = _settled(block, frame, start, sizes, fine, around=body)
    return _described(level, block, frame, body, start, sizes)


@dataclass(frozen=True, slots=True)
class _Sizes:
    """The sizes of the method, from the evidence."""

    footprint: float
    band: float
    window: float
    positions: Mapping[str, float]

    @classmethod
    def of(cls, evidence: Evidence) -> _Sizes:
        def number(name: str) -> float:
            return evidence.row(f"measurement.{name}").number

        positions = {n: number(f"height.{n}_position") for n in ("anterior", "middle", "posterior")}
        return cls(
            number("endplate.footprint"), number("height.band"), number("height.window"), positions
        )


# -- the search -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Body:
    """The body as seen from a frame; all in that frame's coordinates.

    `superior` and `inferior` are planes w = a + b u + c v, and their residuals.
    """

    seen: Seen
    footprint: Bools
    inner: Bools
    top: Floats
    bottom: Floats
    superior: tuple[Floats, float]
    inferior: tuple[Floats, float]
    left: float
    right: float
    front: float
    back: float
    wall: tuple[float, float]
    canal: tuple[float, float] | None

    @property
    def middle(self) -> Points:
        """The middle of the body: between its walls at mid-height, between its endplates."""
        u, v = (self.left + self.right) / 2, (self.front + self.back) / 2
        w = sum(float(p @ [1, u, v]) for p, _ in (self.superior, self.inferior)) / 2
        return np.array([u, v, w])

    def moved(self, old: Frame, new: Frame) -> _Body:
        """The same extents about a new origin; only the canal lies so far off that it turns."""
        u, v, _ = old.to_local(new.centre)
        canal = None
        if self.canal is not None:
            there = new.to_local(old.to_world([*self.canal, 0.0]))
            canal = (float(there[0]), float(there[1]))
        return _replaced(
            self,
            left=self.left - u, right=self.right - u, front=self.front - v, back=self.back - v,
            wall=(self.wall[0] - v, self.wall[1]), canal=canal,
        )  # fmt: skip


def _replaced(body: _Body, **changes: object) -> _Body:
    fields = {n: getattr(body, n) for n in body.__dataclass_fields__}
    return _Body(**{**fields, **changes})


def _settled(
    block: Block,
    frame: Frame,
    start: Start,
    sizes: _Sizes,
    step: float,
    around: _Body | None = None,
) -> tuple[Frame, _Body]:
    """Turn and move a frame until it fits the vertebra; on the coarse grid, one turn more."""
    fine = around is not None
    for left in reversed(range(_FINE_ROUNDS if fine else _SEARCH_ROUNDS)):
        body = _body(block, frame, start, sizes, step, around=around)
        turned = _refined(frame, body, start)
        settled = (turned.axes * frame.axes).sum(axis=0).min() > _SETTLED[fine]
        if fine and (settled or not left):
            return frame, body
        around_next = body.moved(frame, turned)
        frame, around = turned, around_next if fine else None
        if settled:
            break
    return frame, around_next


def _refined(frame: Frame, body: _Body, start: Start) -> Frame:
    """The frame put into the middle of the body, along its endplates, towards its canal."""
    normals = [_normal(plane) for plane, _ in (body.superior, body.inferior)]
    cranial = frame.axes @ (normals[0] + normals[1])
    to_canal = np.array([0.0, 1.0, 0.0])
    if body.canal is not None:
        to_canal = np.array([*body.canal, 0.0]) - body.middle * [1, 1, 0]
    posterior = frame.axes @ (to_canal if start.whole else _across(body, to_canal))
    return Frame.of(frame.to_world(body.middle), cranial, posterior)


def _normal(plane: Floats) -> Points:
    normal = np.array([-plane[1], -plane[2], 1.0])
    return np.asarray(normal / np.linalg.norm(normal))


def _across(body: _Body, roughly: Points) -> Points:
    """The shorter axis of the body's outline, towards `roughly`; `roughly` itself if it is round.

    A labelled canal is not used for more than that: a cord does not lie in its canal's middle.
    """
    u, v = np.meshgrid(body.seen.u, body.seen.v, indexing="ij")
    size, axes = np.linalg.eigh(np.cov(np.stack([u[body.footprint], v[body.footprint]])))
    if size[1] < size[0] * _CLEARLY_WIDER**2:
        return roughly
    nearest = axes[:, int(np.argmax(np.abs(roughly[:2] @ axes)))]
    return np.array([*(nearest * np.sign(nearest @ roughly[:2])), 0.0])


def _body(
    block: Block,
    frame: Frame,
    start: Start,
    sizes: _Sizes,
    step: float,
    *,
    around: _Body | None = None,
) -> _Body:
    """Cut the body out of the mask as seen from `frame`, and fit its endplates."""
    low, high = _reach(start, around)
    seen = block.seen(frame, low, high, step)
    canal = _canal(seen) if start.whole else None
    apart = block.body is not block
    if apart:
        seen = block.body.seen(frame, low, high, step)
    if canal is None and around is not None:
        canal = around.canal
    if canal is None and start.canal is not None:
        u, v, _ = frame.to_local(start.canal)
        canal = (float(u), float(v))
    wall = _posterior_wall(seen, canal, start.whole and not apart)
    beyond = seen.v[:, None] > wall[0] + wall[1] * seen.w[None, :] + step / 2
    seen.values[:, beyond] = 0
    _keep_the_body(seen)
    top, bottom, filled = outermost(seen.values, seen.w, step)
    footprint = _footprint(seen, top - bottom, filled)
    inner = shrunk(footprint, sizes.footprint)
    superior = plane_through(seen, top, inner)
    inferior = plane_through(seen, bottom, inner)
    middle_w = float(superior[0][0] + inferior[0][0]) / 2
    sides = _sides(seen, sizes.band, middle_w)
    back = min(sides[3], wall[0] + wall[1] * middle_w)
    return _Body(
        seen=seen, footprint=footprint, inner=inner, top=top, bottom=bottom, superior=superior,
        inferior=inferior, right=sides[0], left=sides[1], front=sides[2], back=back,
        wall=wall, canal=canal,
    )  # fmt: skip


def _reach(start: Start, around: _Body | None) -> tuple[Points, Points]:
    if around is None:
        return (_REACH_LOW, _REACH_HIGH) if start.whole else (-_REACH_BODY, _REACH_BODY)
    tall = (around.top - around.bottom)[around.footprint].max() / 2 + 6
    back = around.back + 5
    if around.canal is not None:  # to behind the laminae, so that the canal shows as a hole
        back = around.canal[1] + 18 if start.whole else around.canal[1] + 2
    return (
        np.array([around.right - 5, around.front - 5, -tall]),
        np.array([around.left + 5, back, tall]),
    )


def _canal(seen: Seen) -> tuple[float, float] | None:
    """The middle of the canal: the hole in the projection of the vertebra along its axis."""
    slab = np.abs(seen.w) <= _CANAL_SLAB
    shade = seen.values[:, :, slab].max(axis=2)
    shadow = shade >= 0.5
    holes, count = ndimage.label(ndimage.binary_fill_holes(shadow) & ~shadow)
    if not count:
        return None
    areas = np.bincount(holes.ravel())[1:] * seen.step**2
    best = int(np.argmax(areas))
    if areas[best] < _CANAL_AREA:
        return None
    # What is half in shadow at its border counts by half, so that it is placed finer than a voxel.
    around = ndimage.binary_dilation(holes == best + 1, np.ones((3, 3)))
    u, v = ndimage.center_of_mass(np.where(around, 1 - shade, 0))
    found = (float(seen.u[0] + u * seen.step), float(seen.v[0] + v * seen.step))
    return found if found[1] > 0 else None


def _posterior_wall(
    seen: Seen, canal: tuple[float, float] | None, whole: bool
) -> tuple[float, float]:
    """The body's back in the midline: v at w = 0, and its slope along w.

    From the canal one walks forwards to the first bone, so a hole in the body cannot stop the
    walk; without a canal, backwards from the middle of the body to where the bone ends.
    """
    near = np.abs(seen.u - (canal[0] if canal else 0.0)) <= _MIDLINE
    rows = np.abs(seen.w) <= _CENTRAL
    strip = np.moveaxis(seen.values[near][:, :, rows], 1, 2)  # u, w, v
    if canal is not None:
        strip = np.where(seen.v <= canal[1], strip, 0)
        ends = _last_crossing(strip, seen.v, seen.step)
        there = np.asarray((strip >= 0.5).any(axis=2))
    else:
        forward = seen.v >= 0
        empty = strip[:, :, forward] < 0.5
        there = empty.any(axis=2) & (strip[:, :, forward][:, :, 0] >= 0.5)
        first = np.argmax(empty, axis=2)
        ends = seen.v[forward][np.maximum(first - 1, 0)] + seen.step / 2
    if np.count_nonzero(there) < 3:
        if whole or canal is not None:
            raise NotMeasurable("its body cannot be told from its arch")
        return float(seen.v[-1]), 0.0
    w = np.broadcast_to(seen.w[rows][None, :], ends.shape)[there]
    slope, start = _line(w, ends[there])
    if whole and canal is None and start > _FARTHEST_BACK:
        raise NotMeasurable("no gap parts its body from its arch; the label may fill the canal")
    return start, slope


def outermost(values: Floats, along: Points, step: float) -> tuple[Floats, Floats, Bools]:
    """Where the mask ends and begins along the last axis (its outermost crossings of one half).

    Returns the far and the near end, and whether there is anything; holes between do not count.
    """
    far = _last_crossing(values, along, step)
    near = -_last_crossing(values[..., ::-1], -along[::-1], step)
    return far, near, np.asarray((values >= 0.5).any(axis=-1))


def _last_crossing(values: Floats, along: Points, step: float) -> Floats:
    count = values.shape[-1]
    last = count - 1 - np.argmax(values[..., ::-1] >= 0.5, axis=-1)
    inside = np.take_along_axis(values, last[..., None], axis=-1)[..., 0]
    next_one = np.minimum(last + 1, count - 1)
    outside = np.take_along_axis(values, next_one[..., None], axis=-1)[..., 0]
    drop = np.maximum(inside - outside, 1e-6)
    return np.asarray(along[last] + step * np.clip((inside - 0.5) / drop, 0, 1))


def _keep_the_body(seen: Seen) -> None:
    """Empty all that does not hang together with the middle: islands of a neighbour's label."""
    parts, count = ndimage.label(seen.values >= 0.5)
    if count <= 1:
        return
    near = tuple(np.abs(x) <= _CENTRAL for x in (seen.u, seen.v, seen.w))
    here = np.bincount(parts[np.ix_(*near)].ravel(), minlength=2)
    here[0] = 0
    seen.values[(parts > 0) & (parts != int(np.argmax(here)))] = 0


def _footprint(seen: Seen, span: Floats, filled: Bools) -> Bools:
    """The columns that run from endplate to endplate, without what hangs on at the side."""
    u, v = np.meshgrid(seen.u, seen.v, indexing="ij")
    central = filled & (np.hypot(u, v) <= _CENTRAL)
    if np.count_nonzero(central) < 3:
        raise NotMeasurable("there is no bone where its body should be")
    tall = filled & (span >= 0.5 * np.median(span[central]))
    parts, _ = ndimage.label(tall)
    here = np.bincount(parts[central & tall].ravel(), minlength=1)
    here[0] = 0
    return np.asarray(ndimage.binary_fill_holes(parts == int(np.argmax(here))))


def shrunk(outline: Bools, factor: float) -> Bools:
    """The outline shrunk towards its middle by `factor`."""
    places = np.argwhere(outline)
    middle = places.mean(axis=0)
    from_where = np.round(middle + (np.indices(outline.shape).T - middle) / factor).astype(int).T
    shape = np.array(outline.shape)[:, None, None]
    within = ((from_where >= 0) & (from_where < shape)).all(axis=0)
    clipped = np.clip(from_where, 0, shape - 1)
    inner = within & outline[clipped[0], clipped[1]] & outline
    if np.count_nonzero(inner) < 6:
        raise NotMeasurable("its body is too small for its endplates to be fitted")
    return np.asarray(inner)


def plane_through(seen: Seen, surface: Floats, where: Bools) -> tuple[Floats, float]:
    """The plane w = a + b u + c v through a surface (Huber weights), and its residual in mm."""
    u, v = np.meshgrid(seen.u, seen.v, indexing="ij")
    design = np.stack([np.ones(np.count_nonzero(where)), u[where], v[where]], axis=1)
    heights = surface[where]
    plane = _robust(design, heights)
    rest = heights - design @ plane
    return plane, float(np.sqrt(np.mean(rest**2)))


def _robust(design: Floats, values: Floats) -> Floats:
    """Least squares with Huber weights: far-off points count less, not nothing."""
    weighted = design
    answer: Floats = np.zeros(design.shape[1])
    for _ in range(5):
        before = answer
        try:
            answer = np.linalg.solve(weighted.T @ design, weighted.T @ values)
        except np.linalg.LinAlgError:
            raise NotMeasurable("one of its faces is a line and no endplate") from None
        if np.abs(answer - before).max() < 1e-3:
            break
        rest = np.abs(values - design @ answer)
        scale = max(1.4826 * float(np.median(rest)), 0.2)  # 0.2 mm: never trust it to be exact
        weighted = design * np.minimum(1.0, 1.345 * scale / np.maximum(rest, 1e-9))[:, None]
    return np.asarray(answer)


def _line(x: Floats, y: Floats) -> tuple[float, float]:
    """Slope and value at 0 of a robust line."""
    if np.ptp(x) < 1e-6:
        return 0.0, float(np.median(y))
    start, slope = _robust(np.stack([np.ones_like(x), x], axis=1), y)
    return float(slope), float(start)


def _sides(seen: Seen, band: float, middle: float) -> tuple[float, float, float, float]:
    """Right, left, front and back of the body at mid-height, in its two middle bands."""
    rows = np.abs(seen.w - middle) <= _MID_HEIGHT
    across = seen.values[:, np.abs(seen.v) <= 3.0][:, :, rows]
    left, right, there = outermost(np.moveaxis(across, 0, 2), seen.u, seen.step)
    along = seen.values[np.abs(seen.u) <= band / 2][:, :, rows]
    back, front, also = outermost(np.moveaxis(along, 1, 2), seen.v, seen.step)
    if not there.any() or not also.any():
        raise NotMeasurable("its body is empty at mid-height")
    return (
        float(np.median(right[there])), float(np.median(left[there])),
        float(np.mean(front[also])), float(np.mean(back[also])),
    )  # fmt: skip


# -- what is kept -----------------------------------------------------------------------------


def _described(
    level: str, block: Block, frame: Frame, body: _Body, start: Start, sizes: _Sizes
) -> Vertebra:
    """The vertebra with its planes, heights and the depth inside its body."""
    normals = [_normal(p) for p, _ in (body.superior, body.inferior)]
    wedge = np.degrees(np.arccos(np.clip(normals[0] @ normals[1], -1, 1)))
    if wedge > _LARGEST_WEDGE:
        raise NotMeasurable("the two faces found enclose too large an angle to be its endplates")
    planes = [
        Plane(frame.to_world([0.0, 0.0, plane[0]]), frame.axes @ normal)
        for (plane, _), normal in zip((body.superior, body.inferior), normals, strict=True)
    ]
    heights, lines = _heights(block, frame, body, sizes)
    u, v, w = middle = body.middle
    return Vertebra(
        level=level,
        frame=Frame(frame.to_world(middle), frame.axes),
        superior=planes[0],
        inferior=planes[1],
        residual=(body.superior[1], body.inferior[1]),
        left=body.left - u,
        right=body.right - u,
        front=body.front - v,
        back=body.back - v,
        wall=(body.wall[0] + body.wall[1] * w - v, body.wall[1]),
        heights=heights,
        lines=lines,
        inside=Inside(body),
        canal=None if body.canal is None else frame.to_world([*body.canal, 0.0]),
        doubts=_doubts(body, frame, start),
        block=block,
    )


def _doubts(body: _Body, frame: Frame, start: Start) -> tuple[str, ...]:
    doubts = []
    if start.whole and body.canal is None:
        doubts.append("no canal was found between body and arch in the mask")
    if not start.whole and start.canal is None:
        size = (body.left - body.right) / max(body.back - body.front, 1e-6)
        if size < _CLEARLY_WIDER:
            doubts.append("front and sides of the body could only be told by the patient's axes")
    if frame.axes[1, POSTERIOR] < 0:
        doubts.append("its back faces the patient's front: the image's orientation may be wrong")
    if frame.axes[:, CRANIAL] @ start.cranial < np.cos(np.radians(40)) * np.linalg.norm(
        start.cranial
    ):
        doubts.append("its endplates stand far from square to the line of its neighbours")
    return tuple(doubts)


def _heights(
    block: Block, frame: Frame, body: _Body, sizes: _Sizes
) -> tuple[dict[str, Estimate], dict[str, Points]]:
    """Height along w at the three positions, each a mean over its window, with its error."""
    u, dv = midpoints(sizes.band, 10), midpoints(sizes.window, 4)
    shares = np.array(list(sizes.positions.values()))
    places = body.front + shares * (body.back - body.front)
    tall = (body.top - body.bottom)[body.footprint].max() / 2 + 3
    step = 0.5 * float(block.volume.spacing.min())
    w = np.arange(-tall, tall, step) + body.middle[2]
    local = np.empty((len(places), len(u), len(dv), len(w), 3))
    local[..., 0] = u[:, None, None]
    local[..., 1] = (places[:, None] + dv)[:, None, :, None]
    local[..., 2] = w
    top, bottom, there = outermost(block.body.at(frame.to_world(local)), w, step)
    if not there.any(axis=(1, 2)).all():
        raise NotMeasurable("there is no bone where one of its heights is measured")
    ends = np.stack([top, bottom])
    ends[:, ~there] = np.nan
    levels = np.nanmean(ends, axis=(2, 3))  # (top or bottom, position)
    values = levels[0] - levels[1]
    surfaces = Patches(block, frame, CRANIAL, (sizes.band, sizes.window))
    middles = np.stack(np.broadcast_arrays(0.0, places, levels), axis=-1)
    error = surfaces.error(middles.reshape(-1, 3), tilts(ends, u, dv).reshape(-1, 2))
    walls = Patches(block, frame, POSTERIOR, (sizes.band, 2 * _MID_HEIGHT))
    fronts = np.array([[0.0, v, body.middle[2]] for v in (body.front, body.back)])
    wall_error = walls.error(fronts, np.array([[0.0, 0.0], [0.0, body.wall[1]]]))
    shift = np.hypot((1 - shares) * wall_error[0], shares * wall_error[1])
    total = np.sqrt(
        np.square(error.reshape(2, -1)).sum(axis=0) + (np.gradient(values, places) * shift) ** 2
    )
    heights, lines = {}, {}
    for at, name in enumerate(sizes.positions):
        heights[name] = Estimate(float(values[at]), float(total[at]))
        lines[name] = frame.to_world([[0.0, places[at], z] for z in levels[:, at]])
    return heights, lines


def midpoints(length: float, count: int) -> Points:
    """The middles of equal parts of a length, about its middle."""
    return np.asarray((np.arange(count) + 0.5) / count * length - length / 2)


def tilts(ends: Floats, u: Points, dv: Points) -> Floats:
    """Slopes along u and v of surfaces over patches of shape (..., u, v); nan where empty."""
    rest = ends - np.nanmean(ends, axis=(-2, -1), keepdims=True)
    known = np.isfinite(rest)
    slopes = [
        np.nansum(rest * x, axis=(-2, -1)) / np.maximum((known * x**2).sum(axis=(-2, -1)), 1e-9)
        for x in (u[:, None], dv[None, :])
    ]
    return np.stack(slopes, axis=-1)


class Patches:
    """How well the mean position of a surface over a patch is known from whole voxels.

    Along the array axis nearest to the one measured along, a surface is known to half a voxel
    at each crossing. Where it runs obliquely to the voxels these errors cancel, where it is
    parallel to them they are all the same. The mean error is worked out for the plane through
    the surface as it was found, for every offset that it could have against the voxels.

    Parameters
    ----------
    axis
        The frame's axis along which the surface is measured.
    lengths
        Of the patch along the frame's other two axes, mm.
    """

    def __init__(self, block: Block, frame: Frame, axis: int, lengths: tuple[float, float]) -> None:
        volume = block.volume
        inverse = np.linalg.inv(volume.affine[:3, :3])
        steps = inverse @ frame.axes  # voxels along each array axis per mm along the frame's
        nearest = int(np.argmax(np.abs(steps[:, axis]) * volume.spacing))
        others = [n for n in range(3) if n != axis]
        size = float(np.mean(np.delete(volume.spacing, nearest)))
        # Interpolation draws in half a voxel more on either side of the patch.
        wide = [length + size for length in lengths]
        grids = [midpoints(length, max(1, round(length / size))) for length in wide]
        self.across = np.stack(np.meshgrid(*grids, indexing="ij"), axis=-1).reshape(-1, 2)
        self.steps = steps[nearest]
        self.flat = self.across @ self.steps[others]
        self.axis = axis
        self.start = float(inverse[nearest] @ (frame.centre - volume.affine[:3, 3]))
        self.per_voxel = 1 / max(abs(float(self.steps[axis])), 1e-6)

    def error(self, middles: Floats, tilts: Floats) -> Floats:
        """Standard errors (mm) of surfaces through `middles` (n, 3) with slopes (n, 2)."""
        rise = tilts @ self.across.T * self.steps[self.axis]
        index = (middles @ self.steps + self.start)[:, None] + self.flat + rise
        phase = (index[:, None, :] + midpoints(1.0, 24)[:, None]) % 1.0 - 0.5
        error = np.sqrt(np.mean(phase.mean(axis=2) ** 2, axis=1))
        return np.asarray(np.hypot(error, _INTERPOLATION) * self.per_voxel)


# -- where to begin ---------------------------------------------------------------------------

# How near to a vertebra's middle a labelled canal must pass, along and across its axis (mm).
_CANAL_NEAR = (8.0, 60.0)
# The bodies and the line through them are looked for so often.
_ROUNDS = 3
# A vertebra whose centroid lies this near to the bulk of its body shows no arch (mm).
_NO_ARCH = 3.0


def starts(blocks: Mapping[str, Block], levels: Sequence[str], *, whole: bool) -> dict[str, Start]:
    """Where to begin with each vertebra: its bulk, its neighbours, its arch, the labelled canal.

    Parameters
    ----------
    blocks
        The structures of the mask.
    levels
        Names of the vertebrae from the head down.
    whole
        Whether the labels cover the arches too.
    """
    bodies = {name: blocks[name].body for name in levels}
    bulks = {name: body.bulk() for name, body in bodies.items()}
    lines = _lines(bodies, levels, bulks)
    for _ in range(_ROUNDS if whole else 0):
        # An arch in the place of a body puts the neighbours' lines off, too.
        middles = {n: bodies[n].broad_middle(lines[n]) for n in levels if n != Level.S1}
        if all(np.array_equal(at, bulks[name]) for name, at in middles.items()):
            break
        bulks |= middles
        lines = _lines(bodies, levels, bulks)
    tube = _tube(blocks)
    found = {}
    for name in levels:
        cranial = lines[name]
        canal = _passing(tube, bulks[name], cranial)
        back = np.array([0.0, 1.0, 0.0])
        if canal is not None:
            back = canal - bulks[name]
        elif whole:
            to_arch = blocks[name].centroid() - bulks[name]
            to_arch -= cranial * (to_arch @ cranial)
            back = to_arch if np.linalg.norm(to_arch) > _NO_ARCH else back
        found[name] = Start(
            centre=bulks[name], cranial=cranial, posterior=back, canal=canal, whole=whole
        )
    return found


def _lines(
    blocks: Mapping[str, Block], levels: Sequence[str], middles: Mapping[str, Points]
) -> dict[str, Points]:
    """The line of the spine at each vertebra, to the head; unit vectors."""
    if len(levels) == 1:
        (name,) = levels
        cranial = blocks[name].facing(middles[name])
        return {name: cranial if cranial[2] >= 0 else -cranial}
    lines = {}
    for at, name in enumerate(levels):
        cranial = middles[levels[max(at - 1, 0)]] - middles[levels[min(at + 1, len(levels) - 1)]]
        lines[name] = cranial / max(float(np.linalg.norm(cranial)), 1e-9)
    return lines


def _tube(blocks: Mapping[str, Block]) -> Points:
    """Points all along the labelled canal, or the cord, LPS mm; none if neither is labelled."""
    parts = [blocks[n] for n in ("spinal_canal", "csf", "spinal_cord") if n in blocks]
    points = [b.to_world(np.argwhere(b.inside)) for b in parts]
    return np.concatenate(points) if points else np.empty((0, 3))


def _passing(tube: Points, centre: Points, cranial: Points) -> Points | None:
    """The middle of the canal where it passes a vertebra."""
    if not len(tube):
        return None
    away = tube - centre
    along = away @ cranial
    near = (np.abs(along) <= _CANAL_NEAR[0]) & (np.linalg.norm(away, axis=1) <= _CANAL_NEAR[1])
    return tube[near].mean(axis=0) if np.count_nonzero(near) >= 10 else None
