"""Muscle at the middle of a lumbar vertebra: area, attenuation and fat, from labels of muscles.

The area is that of one axial slice of the image itself, the one through the middle of the body,
as published areas are. All skeletal muscle of the slice, the psoas and the paraspinal muscles are
different measurements under names of their own: cut-offs for one hold for no other. A muscle is
measured as it was labelled; the 95 % interval covers what whole voxels and the place of the slice
leave unknown, not that somebody else would have drawn the label otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from endplate.evidence import Evidence
from endplate.facts import Side
from endplate.images.frame import Block, Bools, Floats
from endplate.images.hounsfield import axial_axis
from endplate.images.result import Missing, Result
from endplate.images.vertebra import Estimate, Vertebra
from endplate.images.volume import Volume

WALL = "skeletal_muscle"  # the structure of all skeletal muscle, the abdominal wall included
PAIRS = {"psoas": "iliopsoas", "paraspinal": "autochthon"}
# Where L3 is not in the image: the order in which measurement.muscle.level names the others.
LEVELS = ("L3", "L2", "L4", "L5", "L1", "T12", "T11", "T10")
LUMBAR = ("L1", "L2", "L3", "L4", "L5", "L6")
_SIDES: tuple[Side, ...] = ("left", "right")
_CT = "endplate.ct.muscle/1"
_MR = "endplate.mr.muscle/1"
# Air around the body and what scanners pad an image with are below this (HU).
_AIR = -500.0
# Counting the voxels of a region at a chance place misses its area by this part of a voxel
# (squared) for each of the voxel faces along its outline: simulated for discs, ellipses and rings
# of 5 to 40 voxels it was 0.03 to 0.08.
_PER_FACE = 0.07
# Noise of neighbouring voxels is correlated over about this distance on either side (mm).
_NOISE_REACH = 2.0
_TRY = "Look at the label of this muscle on the image."

Found = Iterator[Result | Missing]


@dataclass(frozen=True, slots=True, kw_only=True)
class Doubts:
    """What of the acquisition speaks against an area, and against an attenuation."""

    area: tuple[str, ...] = ()
    density: tuple[str, ...] = ()


class Slice:
    """The axial slice of an image's grid that runs nearest to the middle of one vertebra.

    Attributes
    ----------
    level
        That vertebra.
    pixel
        The area of one of its voxels within the slice, mm².
    tilt
        The angle between the slice's normal and the patient's long axis, degrees.
    """

    def __init__(self, vertebra: Vertebra, grid: Volume) -> None:
        self.level = vertebra.level
        self.vertebra = vertebra
        self.grid = grid
        self.axis = axial_axis(grid)
        self.index = round(float(grid.to_index(vertebra.frame.centre)[self.axis]))
        one, other = (grid.affine[:3, n] for n in range(3) if n != self.axis)
        normal = np.cross(one, other)
        self.pixel = float(np.linalg.norm(normal))
        self.spacing = np.delete(grid.spacing, self.axis)
        self.tilt = float(np.degrees(np.arccos(min(1.0, abs(normal[2]) / self.pixel))))

    def of(self, array: npt.NDArray[Any], step: int = 0) -> npt.NDArray[Any]:
        """An array's values in the slice, or `step` slices farther; empty beyond the image."""
        at = self.index + step
        if not 0 <= at < array.shape[self.axis]:
            return np.zeros((0, 0), array.dtype)
        return np.asarray(array.take(at, self.axis))

    def region(self, blocks: Mapping[str, Block], names: Sequence[str], step: int = 0) -> Bools:
        """Where any of some structures is in the slice."""
        labels = self.of(self.grid.array, step)
        return np.isin(labels, [blocks[n].label for n in names if n in blocks])

    def across(self, region: Bools) -> Floats:
        """How far to the left of the vertebra's middle each voxel of a region lies, mm."""
        index = np.insert(np.argwhere(region), self.axis, self.index, axis=1)
        return np.asarray(self.vertebra.frame.to_local(self.grid.to_world(index))[:, 0])


def on_ct(
    image: Volume,
    blocks: Mapping[str, Block],
    vertebrae: Mapping[str, Vertebra],
    evidence: Evidence,
    doubts: Doubts,
    body_height: float | None = None,
) -> Found:
    """Areas, attenuation and fat of all muscles that are labelled, at L3 or what stands for it.

    Parameters
    ----------
    body_height
        In cm, for the index.
    """
    wanted = _muscles(blocks)
    if not wanted:
        return
    level = next((n for n in LEVELS if n in vertebrae), None)
    if level is None:
        yield _no_level(LEVELS)
        return
    plane = Slice(vertebrae[level], _grid(blocks))
    more = () if level == LEVELS[0] else (f"measured at {level}, as {LEVELS[0]} was not measured",)
    more = (*more, *_slice_doubts(plane, evidence))
    values = np.asarray(plane.of(image.array), np.float64)
    limit = evidence.row("measurement.metal.threshold")
    if values.size and np.nanmax(values) > limit.number:
        more = (*more, "there is metal in the slice")
    trunk = _trunk(values)
    for muscle, side, names in wanted:
        said = _said(muscle, side, level)
        region = plane.region(blocks, names)
        inside = region & trunk
        own = list(more)
        if _count(region & ~trunk):
            own.append("muscle apart from the trunk, as of an arm, was left out")
        refused = _refused(said, plane, inside, side, evidence)
        if refused is not None:
            yield refused
            continue
        own += _region_doubts(muscle, plane, inside, trunk, evidence)
        neighbours = [plane.region(blocks, names, step) for step in (-1, 1)]
        around = [np.asarray(plane.of(image.array, step), np.float64) for step in (-1, 1)]
        if any(r.size and not r.any() for r in neighbours):
            own.append("its label ends at this slice")
        one = _OnCt(plane, values, inside, neighbours, around, evidence)
        yield from one.results(muscle, side, own, doubts, body_height)


def on_mr(
    image: Volume,
    blocks: Mapping[str, Block],
    vertebrae: Mapping[str, Vertebra],
    evidence: Evidence,
    doubts: Doubts,
    weighting: str,
) -> Found:
    """Labelled areas at each lumbar vertebra and, on T2, the share of bright (fat) voxels.

    Parameters
    ----------
    weighting
        As `endplate.images.bone_quality_score.weighting` says; fat is looked for on T2 alone.
    """
    if _muscles(blocks) and not set(LUMBAR) & set(vertebrae):
        yield _no_level(LUMBAR)
    for plane, more in _lumbar_slices(blocks, vertebrae, evidence):
        values = np.asarray(plane.of(image.array), np.float64)
        regions = {}
        for muscle, side, names in _muscles(blocks):
            inside = plane.region(blocks, names)
            refused = _refused(_said(muscle, side, plane.level), plane, inside, side, evidence)
            if refused is not None:
                yield refused
                continue
            regions[muscle, side] = inside
            near = [plane.region(blocks, names, step) for step in (-1, 1)]
            yield Result(
                what=f"muscle.{muscle}.labelled_area", method=_MR, level=plane.level, side=side,
                value=_area(plane, inside, near), doubts=(*more, *doubts.area),
                details=_details(plane, inside),
            )  # fmt: skip
        paired = {key: r for key, r in regions.items() if key[0] in PAIRS}
        if paired and weighting in ("T2", "unknown"):
            own = () if weighting == "T2" else ("whether the image is T2-weighted is unknown",)
            yield from _bright(
                plane, values, paired, plane.region(blocks, ["subcutaneous_fat"]), evidence,
                (*more, *own, *doubts.area),
            )  # fmt: skip


def on_dixon(
    fat: Volume,
    water: Volume,
    blocks: Mapping[str, Block],
    vertebrae: Mapping[str, Vertebra],
    evidence: Evidence,
) -> Found:
    """The fat fraction of each muscle at each lumbar vertebra, from a fat and a water image.

    The fraction is the fat signal over the sum of both, each added up over the region.
    """
    swapped = evidence.row("measurement.muscle.swapped_fat")
    for plane, more in _lumbar_slices(blocks, vertebrae, evidence):
        both = [np.asarray(plane.of(v.array), np.float64) for v in (fat, water)]
        for muscle, side, names in _muscles(blocks):
            inside = plane.region(blocks, names)
            said = _said(muscle, side, plane.level)
            refused = _refused(said, plane, inside, side, evidence)
            if refused is None and np.nansum(both[0][inside] + both[1][inside]) <= 0:
                refused = _missing(said, "its images hold no signal there", "no_signal")
            if refused is not None:
                yield refused
                continue

            fats, waters = (float(np.nansum(v[inside])) for v in both)
            value = 100 * fats / (fats + waters)
            own = list(more)
            if swapped.met(value):
                own.append("it reads so high that fat and water may be exchanged")
            total = both[0] + both[1]
            share = 100 * both[0] / np.where(total > 0, total, np.inf)
            error = _mean_error(plane, share, inside, inside)
            yield Result(
                what=f"muscle.{muscle}.fat_fraction", method="endplate.mr.fat_fraction.dixon/1",
                level=plane.level, side=side, value=Estimate(value, error), doubts=tuple(own),
                details={**_details(plane, inside), "region": "as labelled, border included"},
            )  # fmt: skip


# -- which muscles, in which slice ------------------------------------------------------------


def _muscles(blocks: Mapping[str, Block]) -> list[tuple[str, Side | None, list[str]]]:
    """The muscles that are labelled: name, side, structures.

    A mask of all skeletal muscle that was joined with one of single muscles has holes where
    these are: together they are all of it.
    """
    single = [f"{stem}_{side}" for stem in PAIRS.values() for side in _SIDES]
    found: list[tuple[str, Side | None, list[str]]] = []
    if WALL in blocks:
        found.append(("skeletal", None, [WALL, *single]))
    for muscle, stem in PAIRS.items():
        found += [(muscle, s, [f"{stem}_{s}"]) for s in _SIDES if f"{stem}_{s}" in blocks]
    return found


def _grid(blocks: Mapping[str, Block]) -> Volume:
    return next(iter(blocks.values())).volume


def _lumbar_slices(
    blocks: Mapping[str, Block], vertebrae: Mapping[str, Vertebra], evidence: Evidence
) -> Iterator[tuple[Slice, tuple[str, ...]]]:
    if _muscles(blocks):
        for level in (n for n in LUMBAR if n in vertebrae):
            plane = Slice(vertebrae[level], _grid(blocks))
            yield plane, _slice_doubts(plane, evidence)


def _slice_doubts(plane: Slice, evidence: Evidence) -> tuple[str, ...]:
    row = evidence.row("measurement.muscle.slice_tilt")
    if not row.met(plane.tilt):
        return ()
    return (f"its slices are tilted by {plane.tilt:.0f}° against the body's long axis",)


def _said(muscle: str, side: Side | None, level: str) -> str:
    name = {"skeletal": "all skeletal muscle", "psoas": "psoas", "paraspinal": "paraspinal muscle"}
    return f"{level}: {side + ' ' if side else ''}{name[muscle]}"


def _missing(said: str, reason: str, code: str, try_: str = _TRY) -> Missing:
    return Missing(what=said, reason=reason, code=f"muscle.{code}", try_=try_)


def _no_level(levels: Sequence[str]) -> Missing:
    return _missing(
        "The muscle", f"none of {', '.join(levels)} could be measured", "no_level",
        "Give a mask of the vertebrae, too.",
    )  # fmt: skip


def _refused(
    said: str, plane: Slice, inside: Bools, side: Side | None, evidence: Evidence
) -> Missing | None:
    """Why a region must not be measured."""
    if not inside.any():
        return _missing(said, "no voxel of the slice has its label", "not_in_slice")
    if evidence.row("measurement.hounsfield.least_voxels").met(_count(inside)):
        return _missing(said, "its label has too few voxels in the slice", "too_few_voxels")
    if any(inside.take(end, axis).any() for axis in (0, 1) for end in (0, -1)):
        return _missing(
            said, "the field of view cuts it", "cut_by_field_of_view",
            "Use an image that shows the whole muscle.",
        )  # fmt: skip
    if side is not None:
        middle = float(plane.across(inside).mean())
        if middle * (1 if side == "left" else -1) <= 0:
            return _missing(said, "it lies on the other side of the spine", "wrong_side")
    return None


def _region_doubts(
    muscle: str, plane: Slice, inside: Bools, trunk: Bools, evidence: Evidence
) -> list[str]:
    doubts = []
    rim = ndimage.binary_dilation(inside) & ~inside
    at_air = float(_count(rim & ~trunk)) / max(_count(rim), 1)
    if evidence.row("measurement.muscle.at_air").met(at_air):
        doubts.append("it meets air or the edge of the picture, and may be cut there")
    if muscle == "skeletal":
        left = float(np.mean(plane.across(inside) > 0))
        uneven = 100 * abs(2 * left - 1)
        if evidence.row("measurement.muscle.uneven").met(uneven):
            doubts.append("its left and right halves are far from equal: one may be unlabelled")
    return doubts


def _trunk(values: Floats) -> Bools:
    """The largest connected part of the slice that is no air, its gas included."""
    parts, count = ndimage.label(values > _AIR)
    if not count:
        return np.zeros(values.shape, bool)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return np.asarray(ndimage.binary_fill_holes(parts == int(np.argmax(sizes))))


# -- values -----------------------------------------------------------------------------------


def _details(plane: Slice, inside: Bools) -> dict[str, float | str]:
    return {
        "plane": "one axial slice of the image, through the middle of the body",
        "slice_tilt": round(plane.tilt, 1),
        "pixel_mm2": round(plane.pixel, 4),
        "voxels": float(_count(inside)),
    }


def _count(region: Bools) -> int:
    return int(np.count_nonzero(region))


def _counted(region: Bools) -> float:
    """Variance, in voxels squared, of a region's area when whole voxels are counted."""
    faces = sum(_count(np.diff(region, axis=n)) for n in (0, 1))
    return _PER_FACE * faces


def _area(plane: Slice, region: Bools, neighbours: Sequence[Bools]) -> Estimate:
    """The area in cm², with what voxels and the slice's place leave unknown of it."""
    counts = [_count(r) for r in neighbours if r.size]
    steepest = (max(counts) - min(counts)) / 2 if len(counts) == 2 else 0.0  # voxels per slice
    # A slice lies up to half a slice off the middle of the body: an even spread of one slice.
    variance = _counted(region) + steepest**2 / 12
    scale = plane.pixel / 100
    return Estimate(_count(region) * scale, float(np.sqrt(variance)) * scale)


def _inflation(plane: Slice, values: Floats, region: Bools) -> float:
    """How much larger the variance of a mean is than with uncorrelated noise; at least 1."""
    rest = np.where(region, values - values[region].mean(), 0.0)
    window = 2 * np.maximum(np.round(_NOISE_REACH / plane.spacing).astype(int), 1) + 1
    around = ndimage.uniform_filter(rest, tuple(window), mode="constant") * window.prod()
    own = float((rest**2).sum())
    return max(1.0, float((rest * around).sum()) / own) if own > 0 else 1.0


def _mean_error(plane: Slice, values: Floats, region: Bools, even: Bools) -> float:
    """Standard error of a region's mean: noise, and the blend with what lies beside it.

    Parameters
    ----------
    even
        The part of the region that is of one tissue: what varies there is noise.
    """
    known = np.nan_to_num(values)
    noise = 0.0
    if even.any():
        spread = _inflation(plane, known, even) / _count(region)
        noise = float(known[even].std()) * float(np.sqrt(spread))
    return float(np.hypot(noise, _blend(known, region)))


def _blend(values: Floats, region: Bools) -> float:
    """How far the outermost voxels, which hold a part of the neighbour, move a region's mean.

    They are held against the voxels next to them further in.
    """
    inner = ndimage.binary_erosion(region)
    outer, next_in = region & ~inner, inner & ~ndimage.binary_erosion(inner)
    if not next_in.any():
        return 0.0
    apart = float(values[outer].mean() - values[next_in].mean())
    return abs(apart) * _count(outer) / _count(region)


class _OnCt:
    """The values of one muscle in a CT slice."""

    def __init__(
        self,
        plane: Slice,
        values: Floats,
        inside: Bools,
        neighbours: Sequence[Bools],
        around: Sequence[Floats],
        evidence: Evidence,
    ) -> None:
        self.plane, self.values, self.inside = plane, values, inside & np.isfinite(values)
        self.neighbours, self.around, self.evidence = neighbours, around, evidence
        self.lean = self._within("lean", self.inside, values)
        self.fat = self._within("fat", self.inside, values)

    def _within(self, name: str, region: Bools, values: Floats) -> Bools:
        low, high = (self.evidence.row(f"measurement.muscle.{name}_{e}") for e in ("from", "to"))
        # The ranges are of whole numbers: -29 follows on -30, and no value lies between.
        whole = np.rint(values)
        return region & (whole >= low.number) & (whole <= high.number)

    def results(
        self,
        muscle: str,
        side: Side | None,
        own: Sequence[str],
        doubts: Doubts,
        body_height: float | None,
    ) -> Iterator[Result]:
        plane = self.plane
        details = _details(plane, self.inside)
        ranges = {
            "hounsfield_range": " to ".join(
                f"{self.evidence.row(f'measurement.muscle.lean_{e}').number:g}"
                for e in ("from", "to")
            )
        }

        def result(name: str, value: Estimate, more: tuple[str, ...], **extra: str) -> Result:
            return Result(
                what=f"muscle.{muscle}.{name}", method=_CT, level=plane.level, side=side,
                value=value, doubts=(*own, *more), details={**details, **extra},
            )  # fmt: skip

        near = [
            self._within("lean", r, v) if r.size else r
            for r, v in zip(self.neighbours, self.around, strict=True)
        ]
        area = _area(plane, self.lean, near)
        yield result("area", area, doubts.area, **ranges)
        yield result("labelled_area", _area(plane, self.inside, self.neighbours), doubts.area)
        if muscle == "skeletal" and body_height is not None:
            metres = (body_height / 100) ** 2
            index = Estimate(area.value / metres, area.error / metres)
            height = f"{body_height:g} cm"
            yield result("index", index, doubts.area, body_height=height, **ranges)
        if self.lean.any():
            mean = float(self.values[self.lean].mean())
            error = _mean_error(plane, self.values, self.lean, self.lean)
            yield result("density", Estimate(mean, error), doubts.density, **ranges)
        mean = float(self.values[self.inside].mean())
        error = _mean_error(plane, self.values, self.inside, self.lean)
        yield result("density_without_range", Estimate(mean, error), doubts.density)
        yield result("fat_share", self._fat_share(), doubts.density)

    def _fat_share(self) -> Estimate:
        count = _count(self.inside)
        blend = _blend(100.0 * self.fat, self.inside)
        counted = 100 * np.sqrt(_counted(self.fat) + 1) / count  # no less than one voxel
        return Estimate(100 * _count(self.fat) / count, float(np.hypot(blend, counted)))


# -- fat on T2 --------------------------------------------------------------------------------


def _bright(
    plane: Slice,
    values: Floats,
    regions: Mapping[tuple[str, Side | None], Bools],
    fat: Bools,
    evidence: Evidence,
    doubts: tuple[str, ...],
) -> Iterator[Result]:
    """The share of voxels above a threshold that all muscles of the slice have in common."""
    everywhere = values[np.logical_or.reduce(list(regions.values()))]
    everywhere = everywhere[np.isfinite(everywhere)]
    own: tuple[str, ...] = ()
    details: dict[str, float | str] = {}
    if _count(fat) > evidence.row("measurement.hounsfield.least_voxels").number:
        method = "endplate.mr.fat_by_threshold.subcutaneous/1"
        limit = (float(np.median(everywhere)) + float(np.nanmedian(values[fat]))) / 2
    else:
        method = "endplate.mr.fat_by_threshold.otsu/1"
        limit, parted = otsu(everywhere)
        details["separation"] = round(parted, 3)
        if evidence.row("measurement.muscle.separation").met(parted):
            own = ("its signals do not fall into two groups, so that no threshold parts them well",)
    for (muscle, side), region in regions.items():
        bright = region & (values > limit)
        count = _count(region)
        error = 100 * float(np.sqrt(_counted(bright))) / count
        yield Result(
            what=f"muscle.{muscle}.fat_by_threshold", method=method, level=plane.level, side=side,
            value=Estimate(100 * _count(bright) / count, error),
            doubts=(*doubts, *own),
            details={**_details(plane, region), **details, "threshold": round(limit, 1)},
        )  # fmt: skip


def otsu(values: Floats) -> tuple[float, float]:
    """The threshold that parts values best into two groups, and how well it does (0 to 1).

    How well: the variance between the groups over all variance. One even spread has 0.75 and
    one normal curve 0.64; two groups well apart come near to 1.
    """
    ordered = np.sort(np.asarray(values, np.float64))
    count = len(ordered)
    total = float(ordered.var())
    if count < 2 or total == 0:
        return (float(ordered[-1]) if count else 0.0), 0.0
    below = np.arange(1, count)
    sums = np.cumsum(ordered)
    apart = sums[:-1] / below - (sums[-1] - sums[:-1]) / (count - below)
    between = below * (count - below) / count**2 * apart**2
    at = int(np.argmax(between))
    return float(ordered[at] + ordered[at + 1]) / 2, float(between[at]) / total
