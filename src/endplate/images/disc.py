"""Intervertebral discs: height against the vertebra above, and T2 signal against the fluid.

A disc is looked at in a frame of its own, half-way between the two endplates that face it. Where
discs are labelled their labels are measured, otherwise what lies between the endplates.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from endplate.evidence import Evidence
from endplate.images.bone_quality_score import FLUID_LEVELS, Signal, fluid, ratio
from endplate.images.frame import CRANIAL, Block, Bools, Floats, Frame, Plane
from endplate.images.hounsfield import half_diagonal
from endplate.images.result import Missing, Result
from endplate.images.vertebra import (
    Estimate,
    NotMeasurable,
    Patches,
    Vertebra,
    midpoints,
    outermost,
    tilts,
)
from endplate.images.volume import Points, Volume
from endplate.levels import Column, Level, Span

_HEIGHT = "endplate.disc.height_index/1"
_SIGNAL = "endplate.mr.disc_signal/1"
# How far beyond the endplates' planes a disc and its endplates are looked for (mm): less than any
# vertebra is high, so that no other disc comes into view.
_BEYOND = 8.0
# The upper face of a sacrum is looked for so far below the last vertebra (mm).
_DEEPEST = 25.0
# A disc's label must fill this part of each place where its height is measured.
_FILLED = 0.5
# The outer part of a disc's depth that is left out where no disc is labelled: its rim bulges.
_RIM = 0.1
_PLACES = ("anterior", "middle", "posterior")
_TRY = "Look at the labels of this disc and of the vertebrae beside it on the image."


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Disc:
    """One disc: the bones beside it, its frame, and its label if there is one.

    Attributes
    ----------
    frame
        In the middle between the endplates, w square to their bisecting plane, v to the back.
    gap
        The distance of the two planes in the middle, mm.
    lower
        The vertebra below where it was measured; `floor` is its label, or the sacrum's.
    """

    level: str
    upper: Vertebra
    lower: Vertebra | None
    floor: Block
    frame: Frame
    gap: float
    label: Block | None


def discs(
    blocks: Mapping[str, Block], vertebrae: Mapping[str, Vertebra]
) -> Iterator[Disc | Missing]:
    """The discs below the measured vertebrae that have a labelled bone below them."""
    column = Column.of([Level(n) for n in blocks if n in Level.__members__])
    for name, upper in vertebrae.items():
        below = column.below(Level(name))
        under = "sacrum" if below == Level.S1 and "S1" not in blocks else str(below)
        if below is None or under not in blocks:
            continue
        level = str(Span(Level(name), below))
        lower = vertebrae.get(under)
        try:
            floor = lower.superior if lower else _top_of(blocks[under], upper)
        except NotMeasurable as problem:
            yield Missing(what=f"{level}: the disc", reason=str(problem), code="disc", try_=_TRY)
            continue
        roof = upper.inferior
        middle = (roof.centre + floor.centre) / 2
        frame = Frame.of(middle, roof.normal + floor.normal, upper.frame.axes[:, 1])
        gap = float((roof.centre - floor.centre) @ frame.axes[:, CRANIAL])
        label = blocks.get(f"disc_{level}", blocks.get("disc"))
        yield Disc(
            level=level, upper=upper, lower=lower, floor=blocks[under], frame=frame, gap=gap,
            label=label,
        )  # fmt: skip


def _top_of(block: Block, upper: Vertebra) -> Plane:
    """The plane of a bone's upper face, opposite the inner part of the endplate above it."""
    start = Frame.of(upper.inferior.centre, upper.inferior.normal, upper.frame.axes[:, 1])
    step = 0.5 * float(block.volume.spacing.min())
    u, v = midpoints(0.6 * upper.width, 12), midpoints(0.6 * upper.depth, 12)
    w = np.arange(-_DEEPEST, 3.0, step)
    grid = np.stack(np.meshgrid(u, v, w, indexing="ij"), axis=-1)
    top, _, there = outermost(block.at(start.to_world(grid)), w, step)
    if there.mean() < _FILLED:
        raise NotMeasurable("no upper face of the bone below it was found")
    across = np.stack(np.meshgrid(u, v, indexing="ij"), axis=-1)[there]
    design = np.column_stack([np.ones(len(across)), across])
    (height, du, dv), *_ = np.linalg.lstsq(design, top[there], rcond=None)
    normal = start.axes @ np.array([-du, -dv, 1.0])
    return Plane(start.to_world([0.0, 0.0, height]), normal / np.linalg.norm(normal))


# -- height -----------------------------------------------------------------------------------


def height_index(disc: Disc, evidence: Evidence, doubts: tuple[str, ...]) -> Result | Missing:
    """Mean height of a disc over the middle height of the vertebra above it."""
    said = f"{disc.level}: the disc height index"
    own: tuple[str, ...] = ()
    try:
        found = None if disc.label is None else _heights(disc, disc.label, disc.label, evidence)
        source = "disc label"
        if found is None:
            source = "endplates"
            if disc.label is not None:
                own = ("its label does not fill the disc: the endplates were measured",)
            found = _heights(disc, disc.upper.block, disc.floor, evidence)
        if found is None or found[0].value <= 0:
            raise NotMeasurable("there is no gap between its endplates in the mask")
    except NotMeasurable as problem:
        return Missing(what=said, reason=str(problem), code="disc", try_=_TRY)
    mean, places = found
    above = disc.upper.heights["middle"]
    details: dict[str, float | str] = {
        "from": source, "mean_height": round(mean.value, 2),
        "height_above": round(above.value, 2),
        **{n: round(x, 2) for n, x in zip(_PLACES, places, strict=True)},
    }  # fmt: skip
    if disc.lower is not None:
        both = (above.value + disc.lower.heights["middle"].value) / 2
        details["over_mean_of_both"] = round(mean.value / both, 3)
    value = mean.value / above.value
    error = value * float(np.hypot(mean.error / mean.value, above.error / above.value))
    return Result(
        what="disc.height_index", method=_HEIGHT, level=disc.level,
        value=Estimate(value, error), doubts=(*doubts, *own), details=details,
    )  # fmt: skip


def _heights(
    disc: Disc, roof: Block, floor: Block, evidence: Evidence
) -> tuple[Estimate, Floats] | None:
    """The mean height of the disc, and its three heights; None where too little is labelled.

    The disc itself is both `roof` and `floor` where its label is measured.
    """
    u, dv, places = _windows(disc, evidence)
    reach = disc.gap / 2 + _BEYOND
    step = 0.5 * float(roof.volume.spacing.min())
    w = np.arange(-reach, reach, step)
    local = np.empty((3, len(u), len(dv), len(w), 3))
    local[..., 0] = u[:, None, None]
    local[..., 1] = (places[:, None] + dv)[:, None, :, None]
    local[..., 2] = w
    world = disc.frame.to_world(local)
    if roof is floor:
        top, bottom, there = outermost(roof.at(world), w, step)
    else:
        _, top, there = outermost(roof.at(world), w, step)
        bottom, _, also = outermost(floor.at(world), w, step)
        there &= also
    if (there.mean(axis=(1, 2)) < _FILLED).any():
        return None
    ends = np.stack([top, bottom])
    ends[:, ~there] = np.nan
    levels = np.nanmean(ends, axis=(2, 3))
    heights = levels[0] - levels[1]
    error = _height_error(disc, (roof, floor), ends, (u, dv, places), evidence)
    return Estimate(float(heights.mean()), error), heights


def _height_error(
    disc: Disc,
    surfaces: tuple[Block, Block],
    ends: Floats,
    at: tuple[Points, Points, Points],
    evidence: Evidence,
) -> float:
    """Standard error of the mean height: both surfaces, over all of the length that is measured."""
    u, dv, places = at
    band, window = (evidence.row(f"measurement.height.{n}").number for n in ("band", "window"))
    length = float(places[-1] - places[0]) + window
    variance = 0.0
    for block, surface in zip(surfaces, ends, strict=True):
        levels = np.nanmean(surface, axis=(1, 2))
        slope_v = float(levels[-1] - levels[0]) / float(places[-1] - places[0])
        slope_u = float(tilts(surface, u, dv)[:, 0].mean())
        patches = Patches(block, disc.frame, CRANIAL, (band, length))
        middle = np.array([[0.0, float(places.mean()), float(levels.mean())]])
        variance += float(patches.error(middle, np.array([[slope_u, slope_v]]))[0]) ** 2
    return float(np.sqrt(variance))


def _windows(disc: Disc, evidence: Evidence) -> tuple[Points, Points, Points]:
    """Across the midline, along the window, and where along v the three places lie; mm."""

    def number(name: str) -> float:
        return evidence.row(f"measurement.height.{name}").number

    upper = disc.upper
    shares = np.array([number(f"{n}_position") for n in _PLACES])
    walls = np.zeros((3, 3))
    walls[:, 1] = upper.front + shares * upper.depth
    places = disc.frame.to_local(upper.frame.to_world(walls))[:, 1]
    return midpoints(number("band"), 10), midpoints(number("window"), 4), np.asarray(places)


# -- signal -----------------------------------------------------------------------------------


def reference_fluid(
    image: Volume,
    blocks: Mapping[str, Block],
    vertebrae: Mapping[str, Vertebra],
    usable: list[str],
    evidence: Evidence,
) -> Signal | None:
    """The fluid that discs are held against: at L3 or beside it, else in the middle of the image.

    None where there is none.
    """
    levels: tuple[str, ...] = FLUID_LEVELS
    if not set(levels) & set(vertebrae):
        middle = len(vertebrae) // 2
        levels = tuple(sorted(vertebrae, key=lambda n: abs(list(vertebrae).index(n) - middle)))
    try:
        return fluid(image, blocks, vertebrae, usable, evidence, levels)
    except NotMeasurable:
        return None


def signals(
    disc: Disc,
    image: Volume,
    reference: Signal | None,
    evidence: Evidence,
    doubts: tuple[str, ...],
) -> list[Result | Missing]:
    """The midsagittal T2 signal of a disc, and its ratio to the fluid's."""
    values, own = _signal_region(disc, image, evidence)
    values = values[np.isfinite(values)]
    if evidence.row("measurement.hounsfield.least_voxels").met(len(values)):
        reason = f"its region holds only {len(values)} voxels"
        return [
            Missing(what=f"{disc.level}: the disc signal", reason=reason, code="disc", try_=_TRY)
        ]
    signal = Estimate(float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))))
    details: dict[str, float | str] = {"voxels": float(len(values))}
    if reference is None or reference.estimate.value <= 0:
        own = (*own, "no cerebrospinal fluid was found to hold the signal against")
    raw = Result(
        what="mr.disc_signal", method=_SIGNAL, level=disc.level, value=signal,
        doubts=(*doubts, *own), details=details,
    )  # fmt: skip
    if reference is None or reference.estimate.value <= 0:
        return [raw]
    more: dict[str, float | str] = {
        "csf_level": reference.level,
        "csf_signal": round(reference.estimate.value, 1),
    }
    return [
        raw,
        Result(
            what="mr.disc_signal_ratio", method=_SIGNAL, level=disc.level,
            value=ratio(signal, reference.estimate), doubts=(*doubts, *own, *reference.doubts),
            details={**details, **more},
        ),
    ]  # fmt: skip


def _signal_region(disc: Disc, image: Volume, evidence: Evidence) -> tuple[Floats, tuple[str, ...]]:
    """The voxels of a disc in the midsagittal band, clear of their border where that leaves any."""
    across = np.abs(disc.frame.axes[:, 0] @ image.affine[:3, :3])
    band = max(evidence.row("measurement.vbq.band").number, float(across.max()))
    least = evidence.row("measurement.hounsfield.least_voxels")
    if disc.label is not None:
        block = disc.label
        doubt = "its label is so thin that its border was measured too"
        for inside, doubts in (
            (ndimage.binary_erosion(block.inside), ()),
            (block.inside, (doubt,)),
        ):
            index = np.argwhere(inside)
            local = disc.frame.to_local(block.to_world(index))
            near = (np.abs(local[:, 0]) <= band / 2) & _between(disc, local, -_BEYOND)
            if not least.met(int(np.count_nonzero(near))):
                return _values(image, (index + block.start)[near]), doubts
    around, place = _around(disc, image, band)
    front, back = disc.upper.front, disc.upper.back
    depth = disc.frame.to_local(disc.upper.frame.to_world([[0, front, 0], [0, back, 0]]))[:, 1]
    rim = _RIM * (depth[1] - depth[0])
    within = (place[:, 1] >= depth[0] + rim) & (place[:, 1] <= depth[1] - rim)
    within &= _between(disc, place, half_diagonal(image))
    return _values(image, around[within]), ("no disc is labelled: the space was measured",)


def _between(disc: Disc, local: Points, margin: float) -> Bools:
    """Which points lie between the endplates, so far clear of them (mm)."""
    return np.asarray(np.abs(local[:, 2]) <= disc.gap / 2 - margin)


def _around(disc: Disc, image: Volume, band: float) -> tuple[Points, Points]:
    """Indices and coordinates in the disc's frame of the voxels near the midline."""
    half = np.array([band / 2, disc.upper.depth, disc.gap / 2])
    corners = np.array(np.meshgrid(*np.stack([-half, half], axis=1))).reshape(3, -1).T
    at = image.to_index(disc.frame.to_world(corners))
    low = np.maximum(np.floor(at.min(axis=0)).astype(int), 0)
    high = np.minimum(np.ceil(at.max(axis=0)).astype(int) + 1, image.array.shape)
    size = np.maximum(high - low, 0)
    found = np.indices(tuple(size)).reshape(3, -1).T + low
    local = disc.frame.to_local(image.to_world(found))
    near = np.abs(local[:, 0]) <= band / 2
    return found[near], local[near]


def _values(image: Volume, index: Points) -> Floats:
    return np.asarray(image.array[tuple(index.T)], np.float64)
