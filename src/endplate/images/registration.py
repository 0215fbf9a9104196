"""One vertebra laid onto itself in another study: a rigid motion, its error, what fits no more.

The two surfaces come from the two masks, smoothed alike, finer than a voxel. Each point looks
for its partner on the other surface, in both directions, and is moved along the mean of the two
normals, which is exact to second order in the distance between partners. Partners that lie far
apart for what the rest shows count nothing: that is the fracture, the osteophyte, the slip of a
mask. How the voxels could have lain on the surface gives the error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation
from scipy.special import ndtri

from endplate.images.frame import Block, Bools, Floats, Frame
from endplate.images.vertebra import NotMeasurable, Vertebra
from endplate.images.volume import Points

METHOD = "endplate.registration/1"

Index = npt.NDArray[np.int64]

# Masks are smoothed by this part of the larger voxel side of both studies, and by no less than
# so many mm: enough to take the steps off a surface, alike in both, so that edges round alike.
_SMOOTHED, _LEAST_SMOOTHED = 0.6, 0.6
# The search goes on with so many points, and the last steps with so many.
_ROUGH, _FINE = 1200, 6000
_ROUGH_STEPS, _FINE_STEPS = 40, 8
# It has settled when a further step would turn it by less than this (radians) and move it by
# less than this (mm).
_SETTLED = (2e-4, 0.01)
# Partners must face the same way, to within this cosine.
_FACING = 0.6
# Tukey's weight: nothing counts that lies farther off than so many robust standard deviations,
# which are never taken to be smaller than this part of a voxel.
_TUKEY, _LEAST_SPREAD = 4.685, 0.15
# Surfaces are judged in patches of this size (mm), or so many voxels where these are large.
_PATCH, _PATCH_VOXELS = 9.0, 4.0
_PATCH_POINTS = 6
_BEND = 36.0
# What interpolating a mask of whole voxels leaves unknown of a patch, in voxels.
_INTERPOLATION = 0.05
# Fewer points than this are no surface to lay another on.
_LEAST_POINTS = 80
_PHASES = 16
# How much more surfaces differ than voxels explain is read where they differ least: in this part
# of the patches, which a fracture does not reach; there it is so many standard deviations.
_SOUND = 0.3
_SOUND_AT = float(ndtri((1 + _SOUND) / 2))
# A direction of motion that the shape holds this much less than the strongest is not held.
_SINGULAR = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Rigid:
    """A rigid motion in LPS mm: ``turn @ x + shift``."""

    turn: Points
    shift: Points

    def __call__(self, world: Points) -> Points:
        """Points of shape (..., 3), moved."""
        return np.asarray(world @ self.turn.T + self.shift)

    @property
    def inverse(self) -> Rigid:
        """The motion back."""
        return Rigid(self.turn.T, -self.turn.T @ self.shift)

    def after(self, first: Rigid) -> Rigid:
        """This motion after another."""
        return Rigid(self.turn @ first.turn, self.turn @ first.shift + self.shift)

    @classmethod
    def between(cls, one: Frame, other: Frame) -> Rigid:
        """The motion that carries one frame into another."""
        turn = other.axes @ one.axes.T
        return cls(turn, other.centre - turn @ one.centre)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Difference:
    """A place where two surfaces of one vertebra differ.

    Attributes
    ----------
    distance
        Of the later surface from the earlier one, mm; positive where it lies farther out.
    error, limit
        Its standard error, and the least distance that would stand out among all places that
        were looked at, if voxels alone explain how surfaces differ.
    at
        Where, LPS mm of the later study.
    local
        The same in the vertebra's frame: to the left, back and head of its middle.
    """

    distance: float
    error: float
    limit: float
    at: Points
    local: Points


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Registration:
    """How one vertebra lies in the later study against the earlier one.

    Attributes
    ----------
    motion
        From the earlier to the later study, LPS mm.
    centre
        About which point of the later study `covariance` is meant.
    covariance
        6 x 6, of rotation (radians) and translation (mm), LPS.
    residual
        Root mean square distance of the surfaces, mm, where both studies show them.
    excess
        How many times farther apart the surfaces lie than their voxels explain; at least 1.
    used
        Which part of the surface fitted, by area.
    determined
        How well the shape holds the motion in its weakest direction against its strongest,
        0 (a ball) to 1.
    differences
        The largest difference by part of the vertebra: ``body``, ``arch``.
    frame
        Of the vertebra in the earlier study.
    """

    level: str
    motion: Rigid
    centre: Points
    covariance: Points
    residual: float
    excess: float
    used: float
    determined: float
    differences: Mapping[str, Difference]
    frame: Frame

    def errors(self) -> tuple[Points, Points]:
        """Standard errors of rotation (degrees) and translation (mm) along its own axes."""
        axes = self.motion.turn @ self.frame.axes
        at = self.at(self.motion(self.frame.centre))
        turned, moved = axes.T @ at[:3, :3] @ axes, axes.T @ at[3:, 3:] @ axes
        return np.degrees(np.sqrt(np.diag(turned))), np.sqrt(np.diag(moved))

    def at(self, point: Points) -> Points:
        """The covariance about another point of the later study."""
        carry = np.eye(6)
        carry[3:, :3] = -_crossing(point - self.centre)
        return np.asarray(carry @ self.covariance @ carry.T)


def smoothing(*blocks: Block) -> float:
    """By how much (mm) the masks of some studies are smoothed to be compared."""
    widest = max(float(b.volume.spacing.max()) for b in blocks)
    return max(_SMOOTHED * widest, _LEAST_SMOOTHED)


# -- a surface --------------------------------------------------------------------------------


class Surface:
    """A mask's surface: one point per column of voxels that it crosses most squarely.

    Attributes
    ----------
    points, normals, areas
        LPS mm; unit vectors out of the bone; mm² that each point stands for.
    lift
        By how much a point moves along its normal (mm) for one voxel along its column.
    face
        Which of the six sides of the grid a point is seen from.
    """

    def __init__(self, block: Block, smooth: float) -> None:
        self.block = block
        volume = block.volume
        self._width = np.ceil(3 * smooth / volume.spacing).astype(int) + 1
        field = ndimage.gaussian_filter(
            self._padded(), smooth / volume.spacing, mode="nearest", truncate=3
        )
        slopes = np.gradient(field)
        linear = volume.affine[:3, :3]
        inverse = np.linalg.inv(linear)
        points, normals, areas, lift, face, columns = [], [], [], [], [], []
        for axis in range(3):
            at, ahead, part = _crossings(field, axis)
            slope = np.stack(
                [(1 - part) * s[tuple(at.T)] + part * s[tuple(ahead.T)] for s in slopes], axis=1
            )
            most = np.argmax(np.abs(slope / volume.spacing), axis=1) == axis
            at, part, slope = at[most].astype(float), part[most], slope[most]
            at[:, axis] += part
            world = slope @ inverse
            size = np.linalg.norm(world, axis=1)
            normal = -world / size[:, None]
            points.append(at)
            normals.append(normal)
            areas.append(volume.voxel_volume * size / np.abs(slope[:, axis]))
            lift.append(normal @ linear[:, axis])
            face.append(2 * axis + (slope[:, axis] > 0))
            columns.append(np.roll(at, -axis, axis=1))  # the column's own coordinate first
        index = np.concatenate(points) - self._width + [s.start for s in block.box]
        inner = self._away_from_borders(index)
        self.points = volume.to_world(index)[inner]
        self.normals = np.concatenate(normals)[inner]
        self.areas = np.concatenate(areas)[inner]
        self.lift = np.concatenate(lift)[inner]
        self.face = np.concatenate(face)[inner]
        self._columns = np.concatenate(columns)[inner]

    def _padded(self) -> Floats:
        """The label with room around it; where the image cuts it, it goes on as it is there."""
        block = self.block
        inside = (block.volume.array[block.box] == block.label).astype(np.float32)
        for axis, (box, size) in enumerate(zip(block.box, block.volume.array.shape, strict=True)):
            room = np.zeros((2, 3, 2), int)  # before and after, by axis
            room[0, axis, 0] = room[1, axis, 1] = self._width[axis]
            for side, is_cut in zip(room, (box.start == 0, box.stop == size), strict=True):
                inside = np.pad(inside, side, mode="edge" if is_cut else "constant")
        return np.asarray(inside)

    def _away_from_borders(self, index: Points) -> Bools:
        """Points that the border of the image does not make."""
        last = np.array(self.block.volume.array.shape) - 1
        return np.asarray(((index > 0) & (index < last)).all(axis=1))

    def keep(self, which: Bools) -> None:
        """Leave out all other points."""
        for name in ("points", "normals", "areas", "lift", "face", "_columns"):
            setattr(self, name, getattr(self, name)[which])

    @cached_property
    def tree(self) -> KDTree:
        """For nearest points."""
        return KDTree(self.points)

    @cached_property
    def patch(self) -> Index:
        """The number of each point's patch: neighbours that are seen from the same side."""
        return self._numbered(max(_PATCH, _PATCH_VOXELS * float(self.block.volume.spacing.min())))

    def _numbered(self, size: float) -> Index:
        cell = np.floor(self.points / size).astype(int)
        key = np.column_stack([self.face, cell - cell.min(axis=0)])
        return np.asarray(np.unique(key, axis=0, return_inverse=True)[1].reshape(-1))

    @cached_property
    def phases(self) -> Floats:
        """What the voxels' lying may have moved each point by (mm), for evenly spread offsets.

        Along its column a surface is known to half a voxel. How these errors go together over a
        patch follows from the plane through it: where it runs obliquely to the voxels they
        cancel, where it is parallel to them they are all the same.
        """
        return self._offsets(_bent(self._columns, self._numbered(_BEND)))

    def _offsets(self, height: Floats) -> Floats:
        """Errors along the normals (mm) for columns that end at these heights, if they did."""
        offsets = (np.arange(_PHASES) + 0.5) / _PHASES
        return np.asarray(((height[:, None] + offsets) % 1.0 - 0.5) * self.lift[:, None])

    def patch_error(self) -> Floats:
        """The standard error of each point's patch along its normal, mm."""
        here = self._offsets(_bent(self._columns, self.patch))
        count = np.bincount(self.patch, self.areas)
        means = np.stack([np.bincount(self.patch, self.areas * e) / count for e in here.T], axis=1)
        floor = _INTERPOLATION * np.bincount(self.patch, self.areas * np.abs(self.lift)) / count
        return np.asarray(np.hypot(np.sqrt(np.mean(means**2, axis=1)), floor)[self.patch])


def _crossings(field: Floats, axis: int) -> tuple[Index, Index, Floats]:
    """Where a field passes one half along an axis: voxel before, voxel after, part between."""
    inside = field >= 0.5
    here = [slice(None)] * 3
    there = [slice(None)] * 3
    here[axis], there[axis] = slice(None, -1), slice(1, None)
    at = np.argwhere(inside[tuple(here)] != inside[tuple(there)])
    ahead = at.copy()
    ahead[:, axis] += 1
    low, high = field[tuple(at.T)], field[tuple(ahead.T)]
    return at, ahead, np.asarray((0.5 - low) / (high - low))


def _bent(columns: Points, patch: Index) -> Floats:
    """The first coordinate of each point as the paraboloid through its patch has it."""
    count = np.bincount(patch).astype(float)
    middle = np.stack([np.bincount(patch, c) / count for c in columns.T], axis=1)
    height, one, two = (columns - middle[patch]).T
    terms = np.stack([np.ones_like(one), one, two, one * one, one * two, two * two])
    normal = np.empty((len(count), 6, 6))
    for i in range(6):
        for j in range(i, 6):
            normal[:, i, j] = normal[:, j, i] = np.bincount(patch, terms[i] * terms[j])
    right = np.stack([np.bincount(patch, t * height) for t in terms], axis=1)
    # A little is added on the diagonal: a patch of few points in a row has no slope across it.
    normal[:, range(1, 6), range(1, 6)] += [0.1, 0.1, 1.0, 1.0, 1.0]
    found = np.linalg.solve(normal, right[..., None])[..., 0]
    return np.asarray(middle[patch, 0] + (found[patch] * terms.T).sum(axis=1))


# -- laying one on the other ------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Pairs:
    """Partners on both surfaces: the earlier ones moved, and what each pair weighs."""

    moved: Points
    there: Points
    normals: Points
    normals_there: Points
    weight: Floats
    facing: Bools

    @property
    def apart(self) -> Floats:
        """Signed distance along the normal: how far the later surface lies outside."""
        return np.asarray(((self.there - self.moved) * self.normals).sum(axis=1))


def registered(
    level: str,
    earlier: Surface,
    later: Surface,
    begin: Rigid,
    frame: Frame,
    walls: tuple[Vertebra | None, Vertebra | None] = (None, None),
) -> Registration:
    """Lay the earlier surface on the later one.

    Parameters
    ----------
    begin
        Where to begin: the motion as the two frames or a neighbour have it.
    frame
        Of the vertebra in the earlier study.
    walls
        The vertebra in both studies, which part body from arch.

    Raises
    ------
    NotMeasurable
        If too little of the vertebra is there in both studies.
    """
    _keep_common(earlier, later, begin)
    if min(len(earlier.points), len(later.points)) < _LEAST_POINTS:
        raise NotMeasurable("too little of its surface is shown by both studies")
    motion = begin
    voxel = max(float(s.block.volume.spacing.max()) for s in (earlier, later))
    for most, steps in ((_ROUGH, _ROUGH_STEPS), (_FINE, _FINE_STEPS)):
        for _ in range(steps):
            pairs = _pairs(earlier, later, motion, most)
            centre = pairs.there.mean(axis=0)
            weight = pairs.weight * _trust(pairs, voxel)
            design = _design(pairs, centre)
            normal = (design * weight[:, None]).T @ design
            step = _solved(normal, (design * weight[:, None]).T @ pairs.apart)
            motion = _stepped(motion, step, centre)
            if (np.linalg.norm(step[:3]) < _SETTLED[0]) & (np.linalg.norm(step[3:]) < _SETTLED[1]):
                break
    pairs = _pairs(earlier, later, motion, max(len(earlier.points), len(later.points)))
    trust = _trust(pairs, voxel)
    differences, excess = _differences(earlier, later, motion, frame, walls)
    centre = motion(frame.centre)
    covariance = excess**2 * _covariance(earlier, later, motion, centre, voxel)
    area = pairs.weight.sum()
    return Registration(
        level=level,
        motion=motion,
        centre=centre,
        covariance=covariance,
        residual=float(np.sqrt((pairs.weight * pairs.apart**2).sum() / area)),
        excess=excess,
        used=float((pairs.weight * (trust > 0)).sum() / area),
        determined=_determined(pairs, centre, trust),
        differences=differences,
        frame=frame,
    )


def _keep_common(earlier: Surface, later: Surface, begin: Rigid) -> None:
    """Leave out what lies outside the other study's image."""
    for one, other, there in ((earlier, later, begin), (later, earlier, begin.inverse)):
        volume = other.block.volume
        index = volume.to_index(there(one.points))
        last = np.array(volume.array.shape) - 1
        one.keep(np.asarray(((index > 0) & (index < last)).all(axis=1)))


def _pairs(earlier: Surface, later: Surface, motion: Rigid, most: int) -> _Pairs:
    """Each point of either surface with its partner on the other; at most so many of each."""
    some, others = (slice(None, None, -(-len(s.points) // most)) for s in (earlier, later))
    moved, turned = motion(earlier.points), earlier.normals @ motion.turn.T
    forth = later.tree.query(moved[some])[1]
    back = earlier.tree.query(motion.inverse(later.points[others]))[1]
    at = np.concatenate([moved[some], moved[back]])
    there = np.concatenate([later.points[forth], later.points[others]])
    normals = np.concatenate([turned[some], turned[back]])
    normals_there = np.concatenate([later.normals[forth], later.normals[others]])
    facing = (normals * normals_there).sum(axis=1) > _FACING
    mean = normals + normals_there
    mean /= np.maximum(np.linalg.norm(mean, axis=1), 1e-6)[:, None]
    mean[~facing] = normals[~facing]
    weight = np.concatenate(
        [earlier.areas[some] / earlier.areas[some].sum(),
         later.areas[others] / later.areas[others].sum()]
    )  # fmt: skip
    return _Pairs(at, there, mean, normals_there, weight, facing)


def _trust(pairs: _Pairs, voxel: float) -> Floats:
    """Tukey's weights: 0 for pairs that lie too far apart for what the rest shows."""
    apart = pairs.apart
    spread = max(1.4826 * float(np.median(np.abs(apart[pairs.facing]))), _LEAST_SPREAD * voxel)
    part = np.clip(np.abs(apart) / (_TUKEY * spread), 0, 1)
    return np.asarray(np.where(pairs.facing, (1 - part**2) ** 2, 0.0))


def _design(pairs: _Pairs, centre: Points) -> Points:
    """By how much a small rotation and translation move each point along its normal."""
    return np.hstack([np.cross(pairs.moved - centre, pairs.normals), pairs.normals])


def _solved(normal: Points, right: Points) -> Points:
    """The least step: what the shape does not hold stays where it is."""
    return np.asarray(np.linalg.lstsq(normal, right, rcond=1e-9)[0])


def _stepped(motion: Rigid, step: Points, centre: Points) -> Rigid:
    turn = Rotation.from_rotvec(step[:3]).as_matrix()
    return Rigid(turn, centre - turn @ centre + step[3:]).after(motion)


def _crossing(v: Points) -> Points:
    """The matrix of ``v x``."""
    return np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])


# -- how well it is known ---------------------------------------------------------------------


def _partners(one: Surface, other: Surface, motion: Rigid) -> _Pairs:
    """Each point of `one`, moved, with its partner on `other`."""
    moved, turned = motion(one.points), one.normals @ motion.turn.T
    near = other.tree.query(moved)[1]
    normals_there = other.normals[near]
    facing = (turned * normals_there).sum(axis=1) > _FACING
    mean = np.where(facing[:, None], turned + normals_there, turned)
    mean /= np.linalg.norm(mean, axis=1)[:, None]
    return _Pairs(moved, other.points[near], mean, normals_there, one.areas, facing)


def _covariance(
    earlier: Surface, later: Surface, motion: Rigid, centre: Points, voxel: float
) -> Points:
    """What the lying of both studies' voxels leaves unknown of the motion.

    Rough normals would feign edges that hold a motion which the shape does not hold. Those of the
    two surfaces are rough independently, so what they say together does not have that.
    """
    total = np.zeros((6, 6))
    still = Rigid(np.eye(3), np.zeros(3))
    for one, other, across, own, theirs in (
        (earlier, later, motion, motion, still),
        (later, earlier, motion.inverse, still, motion),
    ):
        seen = _partners(one, other, across)
        weight = one.areas * _trust(seen, voxel)
        from_centre = own(one.points) - centre
        design, crossed = (
            np.hstack([np.cross(from_centre, n), n])
            for n in (one.normals @ own.turn.T, seen.normals_there @ theirs.turn.T)
        )
        inverse = _inverse((design * weight[:, None]).T @ crossed)
        pull = design * weight[:, None]
        for face in np.unique(one.face):
            of = one.face == face
            effect = inverse @ (pull[of].T @ one.phases[of])
            total += effect @ effect.T / _PHASES
        patches = np.stack(
            [np.bincount(one.patch, column * np.abs(one.lift)) for column in pull.T], axis=1
        )
        effect = inverse @ patches.T * _INTERPOLATION
        total += effect @ effect.T
    return total


def _inverse(normal: Points) -> Points:
    """The inverse of a matrix that is symmetric and positive but for chance."""
    size, axes = np.linalg.eigh((normal + normal.T) / 2)
    return np.asarray(axes / np.maximum(size, _SINGULAR * size[-1]) @ axes.T)


def _determined(pairs: _Pairs, centre: Points, trust: Floats) -> float:
    """The weakest against the strongest direction of motion, rotations at the rim."""
    design = _design(pairs, centre)
    radius = float(np.sqrt(np.mean(((pairs.moved - centre) ** 2).sum(axis=1))))
    design[:, :3] /= radius
    weight = pairs.weight * trust
    size = np.linalg.eigvalsh((design * weight[:, None]).T @ design)
    return float(np.sqrt(max(size[0], 0) / size[-1]))


def _differences(
    earlier: Surface,
    later: Surface,
    motion: Rigid,
    frame: Frame,
    walls: tuple[Vertebra | None, Vertebra | None],
) -> tuple[dict[str, Difference], float]:
    """The largest difference of body and arch, and how much more all differ than voxels explain."""
    pairs = _partners(earlier, later, motion)
    near = later.tree.query(pairs.moved)[1]
    patch, area = earlier.patch, earlier.areas * pairs.facing
    count = np.bincount(patch, pairs.facing)
    total = np.maximum(np.bincount(patch, area), 1e-9)
    means = np.bincount(patch, area * pairs.apart) / total
    error = np.hypot(earlier.patch_error(), later.patch_error()[near])
    errors = np.bincount(patch, area * error) / total
    known = count >= _PATCH_POINTS
    if np.count_nonzero(known) < 3:
        return {}, 1.0
    scores = means[known] / errors[known]
    excess = max(1.0, float(np.quantile(np.abs(scores), _SOUND)) / _SOUND_AT)
    middles = np.stack([np.bincount(patch, area * x) / total for x in pairs.there.T], axis=1)
    local = frame.to_local(motion.inverse(middles))
    vertebra = walls[0] or walls[1]
    behind = np.zeros(len(means), bool)
    if vertebra is not None:
        behind = local[:, 1] > vertebra.wall[0] + vertebra.wall[1] * local[:, 2]
    found = {}
    for part, of in (("body", known & ~behind), ("arch", known & behind)):
        if of.any():
            at = int(np.flatnonzero(of)[np.argmax(np.abs(means[of]))])
            limit = _standing_out(int(np.count_nonzero(known))) * errors[at]
            found[part] = Difference(
                distance=float(means[at]), error=float(errors[at]), limit=float(limit),
                at=middles[at], local=local[at],
            )  # fmt: skip
    return found, excess


def _standing_out(places: int) -> float:
    """How many standard errors the largest of so many places exceeds in 5 of 100 sound ones."""
    return float(-ndtri(0.025 / places))
