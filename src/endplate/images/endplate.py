"""An endplate from the voxels of a mask, with all the planes that it could also be.

A mask says of each column of voxels between which two of them its surface runs, and no more. A
smooth surface (a plane with a shallow bowl) that runs through all of these gaps is as good as any
other; how steep those surfaces are is what is known of the endplate's angle, and how much they
differ is its error. They are drawn by sequential Monte Carlo from the likelihood of the gaps,
with the roughness of the mask as one of the unknowns.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from endplate.images.frame import CRANIAL, LEFT, POSTERIOR, Block, Bools, Floats, Frame
from endplate.images.vertebra import NotMeasurable
from endplate.images.volume import Points

# The rim with its osteophytes is left out: this part of the outline counts.
_FOOTPRINT = 0.9
# The outline is looked for this far under the plane (mm), in strips of this half width through
# its middle, and no farther out than this.
_UNDER = (-4.0, -1.0)
# Where there is no bone in the middle, so much deeper (mm).
_DEEPER = (0.0, 3.0, 6.0)
# A body is waisted: seen deeper it is no broader than by this part of it.
_AS_BROAD = 0.92
_STRIP = 5.0
_FARTHEST = 38.0
# Its middle, half-way between two edges, is known to about this part of a voxel.
_EDGE = 0.1
# So many surfaces are drawn; so many columns are looked at, which is enough for 0.1 degrees.
_DRAWS = 192
# Products are taken in so many parts: for larger ones the linear algebra would start threads,
# which on a busy machine wait for each other many times longer than they compute.
_PARTS = 4
_COLUMNS = 400
# One column in so many leads the draws at first.
_FEW = 4
# A surface is looked for within this of where it is expected, along the column (mm), and within
# this many voxels at least.
_REACH = 4.0
_REACH_VOXELS = 2
_LEAST_COLUMNS = 12
# What is known of a surface before: within about so many voxels of the least squares fit; a mask
# is rough by about so many voxels, within a factor of e.
_WIDE = 1.0
# No endplate is exactly a bowl: by so much its rim may lie higher or lower (mm).
_SHAPE = 0.02
# A broken one is less of a bowl the deeper it is: beyond the usual depth (mm) by this part of it.
_USUAL_BOWL, _NO_BOWL = 3.0, 0.12
# An endplate that lies along the voxels shows one step or none, and where that runs depends on the
# shape as much as on the slope: its slope is known worse by this, in voxels over half its width.
# Steps are counted over this part of its columns.
_ONE_STEP = 0.17
# On phantoms, surfaces that fit differ by somewhat more than the fitted ones are off.
_AS_WIDE = 0.8
_MOST = (3, 97)
_ROUGH = 0.1
# No mask is known to be smoother than this, in voxels.
_SMOOTHEST = 1 / 120
# Moves of the draws between two temperatures, as parts of their own spread; each is followed by a
# move to anywhere, drawn this much wider than they lie.
_FIRST_MOVES = (0.5,)
_MOVES = (0.7, 0.3)
_LAST_MOVES = (0.6, 0.3, 0.15) * 2
_WIDER = 1.1
# The next temperature is looked for among such parts of what is left.
_STEPS = np.geomspace(1e-6, 1, 64)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Endplate:
    """An endplate: its plane, its outline, and the other planes that fit the mask as well.

    Attributes
    ----------
    frame
        Origin in the middle of the outline on the plane; axes to the left, the back and along
        the plane's normal, which points to the head.
    width, depth
        Left to right and front to back, mm.
    normals, offsets
        Other planes that fit as well: unit normals (n, 3), and how far each lies above the plane
        at its middle, mm (n,).
    rim, middle
        How far the rim, and the deepest part, lie from the plane, mm; out of the bone is
        positive.
    roughness
        How far the surface is from smooth, mm.
    edge_error
        Standard error of the middle of the outline within the plane, mm.
    """

    frame: Frame
    width: float
    depth: float
    normals: Points
    offsets: Points
    rim: float
    middle: float
    roughness: float
    edge_error: float

    @property
    def normal(self) -> Points:
        """Unit normal, to the head."""
        return np.asarray(self.frame.axes[:, CRANIAL])

    @property
    def centre(self) -> Points:
        """The middle of the outline, LPS mm."""
        return self.frame.centre

    @property
    def concavity(self) -> float:
        """How deep the endplate is hollowed against its rim, mm; negative where it is domed."""
        return self.rim - self.middle


def endplate(block: Block, frame: Frame, *, superior: bool, waisted: bool = True) -> Endplate:
    """An endplate near a first frame on it.

    Parameters
    ----------
    frame
        Its origin roughly in the middle of the endplate, w along its normal to the head.
    superior
        Whether the bone lies below it (a superior endplate) or above it.
    waisted
        Whether the bone is no broader away from it, as a vertebral body is and a sacrum not.

    Raises
    ------
    NotMeasurable
        If it has no edges, or too few columns of voxels show its surface.
    """
    across, along = edges(block, frame, superior=superior, waisted=waisted)
    middle = frame.to_world([sum(across) / 2, sum(along) / 2, 0.0])
    frame = Frame(middle, frame.axes)
    width, depth = across[1] - across[0], along[1] - along[0]

    def within(points: Points) -> Bools:
        local = frame.to_local(points)
        reach = np.array([width, depth]) * _FOOTPRINT / 2
        return np.asarray(np.square(local[..., :2] / reach).sum(axis=-1) <= 1)

    columns = _Columns.of(block, frame, within, superior=superior)
    found = columns.described(_drawn(columns.design, columns.gap))
    normal = found.normal
    on_plane = normal * float((found.centre - middle) @ normal)
    # A first plane that was tilted has cut the outline: it is looked at anew under this one.
    frame = Frame.of(middle + on_plane, normal, frame.axes[:, POSTERIOR])
    across, along = edges(block, frame, superior=superior, waisted=waisted)
    frame = Frame(frame.to_world([sum(across) / 2, sum(along) / 2, 0.0]), frame.axes)
    voxel = np.linalg.norm(block.volume.affine[:3, :3].T @ frame.axes[:, POSTERIOR])
    return Endplate(
        frame=frame,
        width=across[1] - across[0],
        depth=along[1] - along[0],
        normals=found.normals,
        offsets=found.offsets,
        rim=found.rim,
        middle=found.middle,
        roughness=found.roughness,
        edge_error=_EDGE * float(voxel),
    )


def edges(
    block: Block, frame: Frame, *, superior: bool, waisted: bool
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Where the bone just under an endplate ends: right and left, front and back; mm from its
    frame's origin, which must lie in it.

    Raises
    ------
    NotMeasurable
        If there is no bone at the origin.
    """
    seen = []
    for deeper in _DEEPER:
        low, high = (depth - deeper for depth in _UNDER)
        try:
            seen.append(_edges(block, frame, (low, high) if superior else (-high, -low)))
        except NotMeasurable:
            continue  # a deeply hollowed endplate has no bone so near to its plane
        if not waisted:
            break
    sizes = [np.ptp(ends, axis=1) for ends in seen]
    for ends, size in zip(seen, sizes, strict=True):
        # The hollow of a deep one, or a plane that was tilted, ends the bone before its edge.
        if (size >= _AS_BROAD * np.max(sizes, axis=0)).all():
            return ends
    raise NotMeasurable("there is no bone under the middle of an endplate, or no clear edge to it")


def _edges(
    block: Block, frame: Frame, under: tuple[float, float]
) -> tuple[tuple[float, float], tuple[float, float]]:
    step = float(np.clip(block.volume.spacing.min(), 0.5, 1.5))
    found = []
    for axis in (LEFT, POSTERIOR):
        low, high = np.full(3, -_STRIP), np.full(3, _STRIP)
        low[axis], high[axis] = -_FARTHEST, _FARTHEST
        low[CRANIAL], high[CRANIAL] = under
        seen = block.seen(frame, low, high, step)
        line = seen.values.mean(axis=tuple(n for n in range(3) if n != axis))
        along = (seen.u, seen.v)[axis]
        start = int(np.argmin(np.abs(along)))
        found.append((_end(line[start::-1], along[start::-1]), _end(line[start:], along[start:])))
    return found[0], found[1]


def _end(values: Floats, along: Points) -> float:
    """Where a line of samples, which begins in bone, first leaves it."""
    out = np.flatnonzero(values < 0.5)
    if len(out) and out[0] == 0:
        raise NotMeasurable("there is no bone where the middle of an endplate should be")
    if not len(out):
        return float(along[-1])
    n = int(out[0])
    share = (values[n - 1] - 0.5) / max(float(values[n - 1] - values[n]), 1e-6)
    return float(along[n - 1] + share * (along[n] - along[n - 1]))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class _Found:
    """What the drawn surfaces are together: their mean plane, and the bowl against it."""

    centre: Points
    normal: Points
    normals: Points
    offsets: Points
    rim: float
    middle: float
    roughness: float


@dataclass(frozen=True, slots=True, eq=False)
class _Columns:
    """The columns of voxels along the array axis nearest to a plane's normal.

    `across` are the columns' places on the other two axes, from their middle and scaled to -1..1;
    the surface runs between `gap` and `gap` + 1 voxels out along `out` (an axis and its sign).
    """

    block: Block
    axis: int
    sign: int
    others: tuple[int, int]
    middle: Points
    scale: Points
    across: Points
    gap: Points
    facing: int

    @classmethod
    def of(
        cls, block: Block, frame: Frame, within: Callable[[Points], Bools], *, superior: bool
    ) -> _Columns:
        volume = block.volume
        facing = 1 if superior else -1
        outwards = facing * frame.axes[:, CRANIAL]
        normal = volume.affine[:3, :3].T @ outwards
        axis = int(np.argmax(np.abs(normal)))
        sign = 1 if normal[axis] > 0 else -1
        others = tuple(n for n in range(3) if n != axis)
        shape = np.array(block.inside.shape)
        grid = np.indices([int(shape[n]) for n in others]).reshape(2, -1).T
        centre = volume.to_index(frame.centre) - block.start
        flat = (grid - centre[list(others)]) @ normal[list(others)]
        expected = centre[axis] - flat / normal[axis]
        index = np.empty((len(grid), 3))
        index[:, list(others)] = grid
        index[:, axis] = expected
        near = (expected >= 0) & (expected <= shape[axis] - 1)
        near[near] = within(block.to_world(index[near]))
        gap, there = _gaps(block, axis, sign, others, grid[near], expected[near])
        if np.count_nonzero(there) < _LEAST_COLUMNS:
            raise NotMeasurable("too little of one of its endplates is to be seen")
        places = grid[near][there].astype(float)
        low, high = places.min(axis=0), places.max(axis=0)
        scale = np.maximum((high - low) / 2, 1.0)
        middle = (low + high) / 2
        return cls(
            block, axis, sign, (others[0], others[1]), middle, scale,
            (places - middle) / scale, gap[there] * sign, facing,
        )  # fmt: skip

    @property
    def design(self) -> Points:
        x, y = self.across.T
        return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=1)

    def described(self, draws: Points) -> _Found:
        """The mean of the drawn surfaces as a plane, and each of them."""
        coefficients, rough = draws[:, :-1], np.exp(draws[:, -1])
        # The plane nearest to a bowl over these columns is linear in the bowl's coefficients.
        flat = np.linalg.lstsq(self.design[:, :3], self.design, rcond=None)[0]
        planes = coefficients @ flat.T
        volume = self.block.volume
        # What is not known of one endplate has nothing to do with that of another.
        rng = np.random.default_rng((len(self.gap), self.facing + 1))
        planes = rng.permutation(planes)
        planes = planes.mean(axis=0) + _AS_WIDE * (planes - planes.mean(axis=0))
        extra = rng.standard_normal((len(planes), 2))
        extra -= extra.mean(axis=0)
        bowl = coefficients.mean(axis=0)[3:]
        rim = float(bowl[0] + bowl[2]) / 2 / _FOOTPRINT**2
        deep = max(abs(rim) - _USUAL_BOWL / volume.spacing[self.axis], 0.0)
        shape = np.hypot(_SHAPE / volume.spacing[self.axis], _NO_BOWL * deep)
        steps = float(np.ptp(np.percentile(self.gap, _MOST)))
        planes[:, 1:] += extra * np.hypot(shape, _ONE_STEP if steps < 2 else 0.0)
        mean = planes.mean(axis=0)
        normal = self._normals(mean[None])[0]
        centre = self._world(mean)
        along = abs(float(volume.affine[:3, self.axis] @ normal))
        lifted = float(flat[0, 3:] @ bowl)
        return _Found(
            centre=centre,
            normal=normal * self.facing,
            normals=self._normals(planes) * self.facing,
            offsets=(self._world(planes) - centre) @ normal * self.facing,
            rim=(rim - lifted) * along,
            middle=-lifted * along,
            roughness=float(rough.mean() * along),
        )

    def _world(self, planes: Points) -> Points:
        """Where planes, given by their coefficients, pass the middle; LPS mm."""
        index = np.empty((*planes.shape[:-1], 3))
        index[..., list(self.others)] = self.middle
        index[..., self.axis] = planes[..., 0] * self.sign
        return self.block.to_world(index)

    def _normals(self, planes: Points) -> Points:
        """Unit normals that point out of the bone, LPS."""
        index = np.empty((len(planes), 3))
        index[:, self.axis] = self.sign
        index[:, list(self.others)] = -planes[:, 1:] / self.scale
        world = index @ np.linalg.inv(self.block.volume.affine[:3, :3])
        return np.asarray(world / np.linalg.norm(world, axis=1, keepdims=True))


def _gaps(
    block: Block,
    axis: int,
    sign: int,
    others: tuple[int, ...],
    places: Points,
    expected: Points,
) -> tuple[Points, Bools]:
    """The last voxel of bone of each column, nearest to where it is expected; if there is one."""
    spacing = float(block.volume.spacing[axis])
    reach = max(int(np.ceil(_REACH / spacing)), _REACH_VOXELS)
    steps = np.arange(-reach, reach + 2)
    at = np.rint(expected).astype(int)[:, None] + steps * sign
    size = block.inside.shape[axis]
    index: list[Floats] = [np.empty(0)] * 3
    index[others[0]], index[others[1]] = places[:, :1], places[:, 1:]
    index[axis] = np.clip(at, 0, size - 1)
    bone = block.inside[tuple(index)] & (at >= 0) & (at < size)
    ends = bone[:, :-1] & ~bone[:, 1:]
    far = np.abs(at[:, :-1] + 0.5 * sign - expected[:, None])
    best = np.argmin(np.where(ends, far, np.inf), axis=1)
    return at[np.arange(len(at)), best].astype(float), np.asarray(ends.any(axis=1))


# -- the surfaces that fit ---------------------------------------------------------------------


def _drawn(design: Points, gap: Points) -> Points:
    """Coefficients and log roughness of surfaces between `gap` and `gap` + 1, shape (n, p + 1)."""
    rng = np.random.default_rng(0)  # the same mask gives the same planes
    start = np.append(np.linalg.lstsq(design, gap + 0.5, rcond=None)[0], np.log(_ROUGH))
    spread = np.append(np.full(design.shape[1], _WIDE), 1.0)
    chosen = rng.permutation(len(gap))[:_COLUMNS]
    columns = np.column_stack([design, -gap - 0.5])[chosen].astype(np.float32).T
    draws = start + spread * rng.standard_normal((_DRAWS, len(start)))
    # A few columns lead the draws most of the way, at a fraction of the work of all.
    few, rest = columns[:, : len(chosen) // _FEW], columns[:, len(chosen) // _FEW :]

    def before(draws: Points) -> Points:
        return np.asarray(-0.5 * np.square((draws - start) / spread).sum(axis=1))

    draws = _led(draws, few, before, (_FIRST_MOVES, _FIRST_MOVES), rng)
    return _led(draws, rest, lambda x: before(x) + _fit(x, few), (_MOVES, _LAST_MOVES), rng)


def _led(
    draws: Points,
    columns: Floats,
    before: Callable[[Points], Points],
    moves: tuple[Sequence[float], Sequence[float]],
    rng: np.random.Generator,
) -> Points:
    """The draws led from what was known before to what these columns tell besides.

    Parameters
    ----------
    draws
        As likely as they are by `before`, the log likelihood by what was known before.
    columns
        What is new; it is made to count little by little.
    moves
        Those on the way, and those at its end.
    """
    known = before(draws)
    fits = _fit(draws, columns)
    temperature = 0.0
    while temperature < 1:
        temperature, weights = _next(temperature, fits)
        mean = weights @ draws
        away = draws - mean
        step = np.asarray(np.linalg.cholesky((away.T * weights) @ away + 1e-10 * np.eye(len(mean))))
        back = np.linalg.inv(step)
        ladder = (np.arange(_DRAWS) + rng.uniform()) / _DRAWS
        kept = np.minimum(np.searchsorted(np.cumsum(weights), ladder), _DRAWS - 1)
        draws, fits, known = draws[kept], fits[kept], known[kept]
        for length in moves[temperature == 1]:
            for far in (False, True):
                moved, chance = _moved(draws, mean, step, back, 0.0 if far else length, rng)
                fit, there = _fit(moved, columns), before(moved)
                chance = chance + temperature * (fit - fits) + there - known
                taken = np.log(rng.uniform(size=_DRAWS)) < chance
                draws[taken], fits[taken], known[taken] = moved[taken], fit[taken], there[taken]
    return draws


def _moved(
    draws: Points, mean: Points, step: Points, back: Points, length: float, rng: np.random.Generator
) -> tuple[Points, Points]:
    """Where each draw could go, `length` steps from where it is or, for 0, anywhere near the mean;
    and the log of how much more often such a move leads back than there.

    `step` turns independent noise into the draws' own spread, `back` does the opposite.
    """
    noise = rng.standard_normal(draws.shape)
    if length:
        return draws + length * noise @ step.T, np.zeros(len(draws))
    here = (draws - mean) @ back.T / _WIDER
    there = mean + _WIDER * noise @ step.T
    return there, 0.5 * (np.square(noise).sum(axis=1) - np.square(here).sum(axis=1))


def _fit(draws: Points, columns: Floats) -> Points:
    """Log likelihood of each draw: its surface runs through the gap in every column.

    Roughness is taken as logistic: much like normal, but a few columns far off cannot turn it.
    """
    rough = np.maximum(np.exp(draws[:, -1:]), _SMOOTHEST)
    half = 0.5 / rough
    surfaces = np.column_stack([draws[:, :-1], np.ones(len(draws))]) / rough
    parts = surfaces.astype(np.float32).reshape(_PARTS, -1, surfaces.shape[1])
    off = np.abs(parts @ columns).reshape(len(draws), -1)
    near = np.exp(-off)
    # What is missed on the near and the far side of the gap, (1 + near e^half) (1 + near e^-half).
    missed = near + (2 * np.cosh(half)).astype(np.float32)
    missed *= near
    missed += 1
    cost = np.log(missed, out=missed)
    cost += off
    each = (half + np.log(-np.expm1(-2 * half)))[:, 0]
    return np.asarray(columns.shape[1] * each - cost.sum(axis=1, dtype=float))


def _next(temperature: float, fits: Points) -> tuple[float, Points]:
    """The next temperature, at which half of the draws still count, and their weights."""
    steps = (1 - temperature) * _STEPS
    weights = np.exp(steps[:, None] * (fits - fits.max()))
    weights /= weights.sum(axis=1, keepdims=True)
    enough = 1 / np.square(weights).sum(axis=1) >= _DRAWS / 2
    last = max(int(np.count_nonzero(enough)) - 1, 0)  # the farther, the fewer count
    return (1.0 if last == len(steps) - 1 else temperature + float(steps[last])), np.asarray(
        weights[last]
    )
