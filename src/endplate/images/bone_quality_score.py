"""Vertebral bone quality (VBQ) on T1 MR: marrow signal of L1-L4 over that of cerebrospinal fluid.

The number depends on the scanner and its field strength; it is given with both and is never a
diagnosis. Whether the acquisition has norms is asked in `endplate.images.gates`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from endplate.evidence import Evidence
from endplate.images.frame import CRANIAL, Block, Bools, Frame, Plane
from endplate.images.hounsfield import Interior
from endplate.images.vertebra import Estimate, NotMeasurable, Vertebra
from endplate.images.volume import Acquisition, Points, Volume

MARROW_LEVELS = ("L1", "L2", "L3", "L4")
# Fluid is measured this far (mm) inside its label, and a whole voxel at least.
_CLEAR = 1.5
FLUID_LEVELS = ("L3", "L2", "L4")  # L3 by definition; its neighbours where it cannot be used


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """The mean signal of a region with its standard error, and how it was found."""

    estimate: Estimate
    voxels: int
    level: str
    doubts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The score, with the signals that it is made of."""

    estimate: Estimate
    marrow: Mapping[str, Signal]
    fluid: Signal


def weighting(taken: Acquisition, evidence: Evidence) -> str:
    """``T1``, ``T2``, ``other`` or ``unknown``: how an MR was weighted, by its times."""
    if taken.echo_time is None:
        return "unknown"
    if evidence.row("measurement.disc.echo_time_from").met(taken.echo_time):
        return "T2"
    times = {"echo_time": taken.echo_time, "repetition_time": taken.repetition_time}
    short = all(
        x is not None and evidence.row(f"measurement.vbq.{n}_to").met(x) for n, x in times.items()
    )
    return "T1" if short else "other"


def marrow(interior: Interior, evidence: Evidence) -> Signal:
    """The marrow signal of one body: midsagittal, inside the cortex, before the veins.

    Raises
    ------
    NotMeasurable
        If the region holds too few voxels.
    """
    vertebra, sizes = interior.vertebra, interior.sizes
    across = np.abs(vertebra.frame.axes[:, 0] @ interior.image.affine[:3, :3])
    band = max(evidence.row("measurement.vbq.band").number, float(across.max()))
    middle_u = (vertebra.left + vertebra.right) / 2
    middle_v = vertebra.back - sizes.ellipse_centre * vertebra.depth
    inside = np.abs(interior.local[:, 0] - middle_u) <= band / 2
    inside &= np.abs(interior.local[:, 1] - middle_v) <= sizes.ellipse_depth * vertebra.depth / 2
    return signal_of(interior, inside, evidence)


def signal_of(interior: Interior, region: Bools, evidence: Evidence) -> Signal:
    """The mean signal of a part of a body's interior.

    Raises
    ------
    NotMeasurable
        If it holds too few voxels.
    """
    level = interior.vertebra.level
    return _signal(interior.values[region], level, interior.inflation, evidence, ())


def fluid(
    image: Volume,
    blocks: Mapping[str, Block],
    vertebrae: Mapping[str, Vertebra],
    usable: Sequence[str],
    evidence: Evidence,
    levels: Sequence[str] = FLUID_LEVELS,
) -> Signal:
    """The signal of cerebrospinal fluid behind L3, or L2 or L4 where L3 cannot be used.

    Parameters
    ----------
    levels
        Where it is looked for, the right place first.

    Raises
    ------
    NotMeasurable
        If no fluid is found behind any of them.
    """
    for level in levels:
        if level not in usable or level not in vertebrae:
            continue
        for values, doubts in _fluids(image, blocks, vertebrae[level], evidence):
            try:
                found = _signal(values, level, 1.0, evidence, doubts)
            except NotMeasurable:
                continue
            if level != levels[0]:
                more = f"the fluid was measured at {level}, as {levels[0]} cannot be used"
                return Signal(
                    estimate=found.estimate, voxels=found.voxels, level=level,
                    doubts=(*found.doubts, more),
                )  # fmt: skip
            return found
    raise NotMeasurable(f"no cerebrospinal fluid was found behind {' or '.join(sorted(levels))}")


def _fluids(
    image: Volume, blocks: Mapping[str, Block], vertebra: Vertebra, evidence: Evidence
) -> list[tuple[np.ndarray, tuple[str, ...]]]:
    """Signals of the fluid behind one vertebra, from the surest way of finding it to the least."""
    found = []
    for name, doubts in (
        ("csf", ()),
        ("spinal_canal", ("the fluid was taken from the labelled canal, roots included",)),
    ):
        if name in blocks:
            block = blocks[name]
            reach = np.ceil(_CLEAR / image.spacing).astype(int)
            core = ndimage.binary_erosion(block.inside, structure=np.ones(2 * reach + 1))
            for region, more in (
                (core, ()),
                (block.inside, ("the fluid's label is so thin that its border was measured too",)),
            ):
                values = _behind(image, block, region, vertebra)
                found.append((values, (*doubts, *more)))
    if vertebra.canal is not None:
        radius = evidence.row("measurement.vbq.csf_radius").number
        values = _around(image, vertebra, radius)
        found.append((values, ("no fluid is labelled: it was looked for in the canal's middle",)))
    return found


def _behind(image: Volume, block: Block, region: Bools, vertebra: Vertebra) -> np.ndarray:
    """The image in a region, between the planes of one vertebra's endplates."""
    index = np.argwhere(region)
    local = vertebra.frame.to_local(block.to_world(index))
    half = vertebra.height / 2
    near = (np.abs(local[:, 2]) <= half) & (np.abs(local[:, 1] - vertebra.back) <= vertebra.depth)
    return _values(image, (index + block.start)[near])


def _around(image: Volume, vertebra: Vertebra, radius: float) -> np.ndarray:
    """The image within a radius of the middle of the canal, between the endplates' planes."""
    assert vertebra.canal is not None
    middle = vertebra.frame.to_local(vertebra.canal)
    half = vertebra.height / 2
    steps = [np.arange(-radius, radius + 0.25, 0.5)] * 2 + [np.arange(-half, half + 0.25, 0.5)]
    grid = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
    grid = grid[np.hypot(grid[:, 0], grid[:, 1]) <= radius] + middle
    index = np.unique(np.round(image.to_index(vertebra.frame.to_world(grid))).astype(int), axis=0)
    inside = ((index >= 0) & (index < image.array.shape)).all(axis=1)
    return _values(image, index[inside])


def _values(image: Volume, index: Points) -> np.ndarray:
    return np.asarray(image.array[tuple(index.T)], np.float64)


def _signal(
    values: np.ndarray, level: str, inflation: float, evidence: Evidence, doubts: tuple[str, ...]
) -> Signal:
    values = values[np.isfinite(values)]
    if evidence.row("measurement.hounsfield.least_voxels").met(len(values)):
        raise NotMeasurable(f"a region of the signal holds only {len(values)} voxels")
    error = float(values.std(ddof=1) * np.sqrt(inflation / len(values)))
    return Signal(
        estimate=Estimate(float(values.mean()), error),
        voxels=len(values),
        level=level,
        doubts=doubts,
    )


def score(marrows: Mapping[str, Signal], fluid_signal: Signal) -> Score:
    """The vertebral bone quality score: median marrow signal over the fluid's.

    Raises
    ------
    NotMeasurable
        If there is no marrow signal, or the fluid has none.

    Examples
    --------
    >>> def signal(x):
    ...     return Signal(estimate=Estimate(x, 0.0), voxels=50, level="L3")
    >>> bodies = {f"L{n}": signal(x) for n, x in enumerate((300.0, 310.0, 330.0, 400.0), 1)}
    >>> score(bodies, signal(128.0)).estimate.value
    2.5
    """
    if not marrows or fluid_signal.estimate.value <= 0:
        raise NotMeasurable("there is no marrow or no fluid to compare")
    ordered = sorted((m.estimate for m in marrows.values()), key=lambda e: e.value)
    half = len(ordered) // 2
    middle = ordered[half : half + 1] if len(ordered) % 2 else ordered[half - 1 : half + 1]
    value = float(np.mean([e.value for e in middle]))
    error = float(np.sqrt(sum(e.error**2 for e in middle))) / len(middle)
    return Score(
        estimate=ratio(Estimate(value, error), fluid_signal.estimate),
        marrow=dict(marrows),
        fluid=fluid_signal,
    )


def ratio(of: Estimate, to: Estimate) -> Estimate:
    """One signal over another, with its standard error.

    Raises
    ------
    NotMeasurable
        If the other is not above zero.
    """
    if to.value <= 0:
        raise NotMeasurable("the signal to compare with is not above zero")
    value = of.value / to.value
    return Estimate(value, float(np.hypot(of.error / to.value, value * to.error / to.value)))


# -- cervical ---------------------------------------------------------------------------------

CERVICAL = ("C3", "C4", "C5", "C6")
CERVICAL_FLUID = ("C2", "C5", "T1")  # one score for each place of the fluid
# C2 has no two endplates: its level is this high (mm), about the middle of its label.
_HEIGHT_OF_C2 = 10.0


def cervical(
    image: Volume,
    blocks: Mapping[str, Block],
    vertebrae: Mapping[str, Vertebra],
    marrows: Mapping[str, Signal],
    usable: Sequence[str],
    evidence: Evidence,
) -> dict[str, Score | str]:
    """The three cervical scores by where their fluid is; the reason where one cannot be had.

    Parameters
    ----------
    marrows
        The signals of the vertebrae that may be used.
    usable
        Where the fluid may be measured.
    """
    bodies = {n: marrows[n] for n in CERVICAL if n in marrows}
    if len(bodies) < evidence.row("measurement.vbq.least_levels").number:
        return dict.fromkeys(CERVICAL_FLUID, "fewer than two of C3 to C6 can be used")
    known = dict(vertebrae)
    if "C2" in blocks and "C3" in vertebrae:
        known["C2"] = _at_c2(blocks["C2"], vertebrae["C3"])
    found: dict[str, Score | str] = {}
    for place in CERVICAL_FLUID:
        try:
            behind = fluid(image, blocks, known, usable, evidence, (place,))
            found[place] = score(bodies, behind)
        except NotMeasurable as problem:
            found[place] = str(problem)
    return found


def _at_c2(block: Block, below: Vertebra) -> Vertebra:
    """C2's level, seen from C3: its middle is that of its label, its axes are C3's."""
    away = below.frame.to_local(block.bulk())[CRANIAL]
    frame = Frame(below.frame.to_world([0.0, 0.0, away]), below.frame.axes)
    half = frame.axes[:, CRANIAL] * _HEIGHT_OF_C2 / 2
    return replace(
        below, level="C2", frame=frame, canal=None,
        superior=Plane(frame.centre + half, below.superior.normal),
        inferior=Plane(frame.centre - half, below.inferior.normal),
    )  # fmt: skip
