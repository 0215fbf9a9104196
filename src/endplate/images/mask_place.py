"""Where the labels lie: on which side, on the bone of the image, and how far the mask goes on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import numpy as np

from endplate.evidence import Evidence
from endplate.images.frame import Block
from endplate.images.mask_fault import Fault
from endplate.images.mask_order import BESIDE, LabelledSpine, coarse_points
from endplate.images.volume import Mask, Points, Volume
from endplate.levels import Level

# The mask is moved by whole voxels, at least so far (mm): less is within what any mask is off.
_LEAST_SHIFT = 1.0
# So many voxels of the vertebrae tell how bright the mask is; attenuation beyond this range (HU)
# is metal, air or fat, which must not outweigh the bone's border.
_ENOUGH = 40_000
_BONE_RANGE = (0.0, 400.0)
# A label ends in a plane of the voxels where its section there is so much of the widest, and of
# that a little farther in (mm).
_BROAD, _STEADY, _ABRUPT, _FARTHER_IN = 0.3, 0.5, 0.85, 3.0
# But at least so many voxels: the round side of a body may fill its last two by chance.
_LEAST_IN = 2
_AXES = ("first", "second", "third")
_SIDED = re.compile(r"_(left|right)(?:_\d+)?$")
_ON_A_SIDE = {"liver": "right", "spleen": "left", "heart": "left"}

# -- sides ------------------------------------------------------------------------------------


def sides(
    blocks: Mapping[str, Block], spine: LabelledSpine
) -> tuple[list[Fault], Literal["told", "untold"]]:
    """Whether sided structures lie on their side of the spine, or of their partner."""
    right_side: list[str] = []
    wrong_side: list[str] = []
    middles = np.array([n.at for n in spine.nodes]).reshape(-1, 3)
    for name, block in blocks.items():
        sided = _SIDED.search(name)
        side = sided[1] if sided else _ON_A_SIDE.get(name)
        if side is None:
            continue
        at = coarse_points(block).mean(axis=0)
        other = blocks.get(name.replace(f"_{side}", f"_{_OTHER[side]}")) if sided else None
        if other is not None:
            beside = float(at[0] - coarse_points(other).mean(axis=0)[0]) / 2
        elif len(middles):
            nearest = int(np.argmin(np.abs(middles[:, 2] - at[2])))
            beside = float(at[0] - middles[nearest, 0])
        else:
            continue
        if abs(beside) < BESIDE:
            continue
        (right_side if (beside > 0) == (side == "left") else wrong_side).append(name)
    if not wrong_side:
        return [], "told" if right_side else "untold"
    listed = ", ".join(wrong_side[:4]) + (" and others" if len(wrong_side) > 4 else "")
    all_wrong = len(wrong_side) > len(right_side)
    return [
        Fault(
            name="wrong_side",
            kind="all" if all_wrong else "sides",
            says=f"{listed}: lie on the wrong side of the spine. "
            + (
                "The image or the mask is mirrored, or the organs of this person are."
                if all_wrong
                else "Their labels are exchanged."
            ),
            doubt="left and right contradict the labels: the image or the mask may be mirrored",
            try_="Check how the files were written, and look for the liver on the patient's right.",
        )
    ], "told"


_OTHER = {"left": "right", "right": "left"}


# -- against the image ------------------------------------------------------------------------


def off_the_image(
    image: Volume, blocks: Mapping[str, Block], names: Sequence[str], evidence: Evidence
) -> Iterator[Fault]:
    """Whether moving the mask by whole voxels would put it better on the bone of a CT."""
    if image.acquisition.modality != "CT" or not names:
        return
    least = evidence.row("measurement.mask.image_shift")
    flat = _some_voxels(blocks, names, image.array.shape)
    if not len(flat):
        return
    found = []
    for axis in range(3):
        by = max(round(_LEAST_SHIFT / image.spacing[axis]), 1)
        bright = {n: _brightness(image.array, flat, axis, n * by) for n in (-3, -2, -1, 0, 1, 2, 3)}
        best = max(bright, key=bright.__getitem__)
        if not best:
            continue
        towards = 1 if best > 0 else -1
        gain, loss = bright[towards] - bright[0], bright[0] - bright[-towards]
        # Marrow without its shell grows brighter whichever way it is moved: loss is below 0.
        if gain > 0 and loss > 0 and least.met(gain / loss):
            found.append((axis, best * by * image.spacing[axis]))
    if found:
        listed = " and ".join(
            f"{abs(mm):.1f} mm along the {_AXES[axis]} axis" for axis, mm in found
        )
        yield Fault(
            name="off_the_image",
            kind="all",
            says=f"The labels lie beside the bone of the image, by about {listed}.",
            doubt=f"the labels lie beside the bone of the image, by about {listed}",
            try_="Write image and mask on one grid again, or segment the image anew.",
        )


def _some_voxels(
    blocks: Mapping[str, Block], names: Sequence[str], shape: tuple[int, ...]
) -> Points:
    """Index coordinates of voxels spread over all vertebrae."""
    total = sum(blocks[n].count for n in names)
    every = max(total // _ENOUGH, 1)
    picked = []
    for name in names:
        block = blocks[name]
        at = np.flatnonzero(block.inside)[::every]
        picked.append(np.stack(np.unravel_index(at, block.inside.shape), axis=1) + block.start)
    return np.concatenate(picked) if picked else np.empty((0, 3), int)


def _brightness(array: Points, index: Points, axis: int, by: int) -> float:
    """How bright the image is where the mask would lie if it were moved."""
    moved = index.copy()
    moved[:, axis] = np.clip(moved[:, axis] + by, 0, array.shape[axis] - 1)
    return float(np.clip(array[tuple(moved.T)], *_BONE_RANGE).mean(dtype=float))


def cut_inside(mask: Mask, blocks: Mapping[str, Block], names: Sequence[str]) -> Fault | None:
    """Whether labels end together in a plane of the voxels, where the image goes on."""
    cut: set[str] = set()
    vertebrae = [blocks[n] for n in names if n not in mask.cut]
    for plane in {plane for block in vertebrae for plane in _inner_ends(block)}:
        here = [b for b in vertebrae if plane in _inner_ends(b)]
        # Two bodies may end side by side in one plane of coarse voxels, but not as abruptly.
        several = sum(_ends_flat(b, *plane, _ABRUPT) for b in here) > 1
        if several or (
            any(_ends_flat(b, *plane, _STEADY) for b in here)
            and any(
                _ends_flat(b, *plane, _ABRUPT)
                for n, b in blocks.items()
                if n not in names and plane in _inner_ends(b)
            )
        ):
            cut |= {n for n in names if plane in _inner_ends(blocks[n])}
    touched = sorted(cut, key=Level)
    if not touched:
        return None
    return Fault(
        name="cut_inside_the_image",
        kind="shape",
        levels=tuple(touched),
        says=f"The labels end in a plane across {', '.join(touched)}, where the image goes on: the "
        f"mask was cut.",
        doubt="its label ends in a plane of the image's voxels, as a cut mask does",
        try_="Segment the whole image, or a part of it that holds whole vertebrae.",
    )


def _inner_ends(block: Block) -> list[tuple[int, int, int]]:
    """Where a label ends inside the volume: axis, towards which end, voxel."""
    shape = block.volume.array.shape
    ends = [(axis, -1, part.start) for axis, part in enumerate(block.box) if part.start > 0]
    return ends + [
        (axis, 1, part.stop) for axis, part in enumerate(block.box) if part.stop < shape[axis]
    ]


def _ends_flat(block: Block, axis: int, towards: int, _: int, steady: float) -> bool:
    """Whether a label ends there with a section as broad as farther in."""
    sections = block.inside.sum(axis=tuple({0, 1, 2} - {axis}))[1:-1][::-towards]
    in_ = max(round(_FARTHER_IN / block.volume.spacing[axis]), _LEAST_IN)
    farther = sections[min(in_, len(sections) - 1)]
    return bool(sections[0] >= max(_BROAD * sections.max(), steady * farther))


def uneven(volume: Volume, image: Volume | None) -> Iterator[Fault]:
    """A stack whose slices are not evenly spaced, as its reader found."""
    codes = {*volume.problems, *(image.problems if image is not None else ())}
    wrong = sorted(c for c in codes if "spacing" in c or "slice" in c)
    if wrong:
        said = ", ".join(c.split(".")[-1].replace("_", " ") for c in wrong)
        yield Fault(
            name="uneven_stack",
            kind="all",
            says=f"The slices are not one even stack ({said}): lengths along it are wrong.",
            doubt=f"its slices are not one even stack ({said})",
            try_="Export the series again, whole and evenly spaced.",
        )
