"""The shape of each label: pieces, size, holes, and whether it is alike on both sides."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from endplate.evidence import Evidence
from endplate.images.frame import POSTERIOR, Block
from endplate.images.mask_fault import Fault, Kind
from endplate.images.mask_order import NO_BODY, LabelledSpine, fragment
from endplate.images.vertebra import Vertebra
from endplate.images.volume import Points
from endplate.levels import Level

# So far (mm) from its densest part even a crushed body is solid, and no canal is near: it has a
# hole where more than this part of that is empty.
_MIDDLE, _HOLLOW = 3.0, 0.5
# Between deep endplates a body is solid that part of its height up and down from its middle.
_SOLID = 0.35


def shapes(spine: LabelledSpine) -> Iterator[Fault]:
    """Labels in pieces, and labels larger or smaller than their neighbours allow."""
    few, speck = (spine.evidence.row(f"measurement.mask.{n}") for n in ("islands", "speck"))
    for level in spine.parts:
        if level in spine.several:
            continue
        block = spine.blocks[level]
        loose = block.fragments * block.count * block.volume.voxel_volume / 1000
        if not speck.met(loose) and not block.main_touches:
            kind: Kind = "shape" if few.met(block.fragments) else "told"
            fault = _in_pieces(spine, level, block, kind)
            if fault not in spine.bordering:
                yield fault
    yield from _sizes(spine)


def _in_pieces(spine: LabelledSpine, level: Level, block: Block, kind: Kind) -> Fault:
    """Pieces that lie on a neighbour, or somewhere else."""
    owner = _neighbour_touched(spine, block)
    if owner:
        return fragment(level.value, owner)
    return Fault(
        name="islands",
        kind=kind,
        levels=(level.value,),
        says=f"The label of {level} has pieces apart from the vertebra.",
        doubt="its label has pieces apart from the vertebra",
    )


def _neighbour_touched(spine: LabelledSpine, block: Block) -> str:
    """The vertebra that the largest loose piece of a label touches."""
    parts, sizes = block.pieces
    main = int(np.argmax(sizes))
    largest = int(np.argmax(np.where(np.arange(len(sizes)) == main, 0, sizes)))
    boxes = ndimage.find_objects(parts, largest)
    box = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in boxes[largest - 1])
    around = ndimage.binary_dilation(parts[box] == largest)
    starts = [s.start + int(o) for s, o in zip(box, block.start, strict=True)]
    shape = block.volume.array.shape
    keep = tuple(
        slice(max(-a, 0), min(n - a, m))
        for a, n, m in zip(starts, shape, around.shape, strict=True)
    )
    there = tuple(slice(a + k.start, a + k.stop) for a, k in zip(starts, keep, strict=True))
    touched = block.volume.array[there][around[keep]]
    names = {spine.blocks[v].label: v.value for v in spine.parts if spine.blocks[v] is not block}
    counts = {
        names[n]: int(c)
        for n, c in zip(*np.unique(touched, return_counts=True), strict=True)
        if n in names
    }
    return max(counts, key=counts.__getitem__, default="")


def _sizes(spine: LabelledSpine) -> Iterator[Fault]:
    large, small = (spine.evidence.row(f"measurement.mask.too_{n}") for n in ("large", "small"))
    whole = [
        v for v in sorted(spine.parts)
        if v not in NO_BODY and not spine.blocks[v].touches and v not in spine.several
    ]  # fmt: skip
    for at, level in enumerate(whole):
        near = [spine.blocks[v].count for v in whole[max(at - 2, 0) : at + 3] if v != level]
        if len(near) < 2:
            continue
        # A crushed neighbour is small without making this one large.
        over, under = (spine.blocks[level].count / end for end in (max(near), min(near)))
        if large.met(over) or small.met(under):
            size = "larger" if large.met(over) else "smaller"
            yield Fault(
                name="volume_out_of_range",
                kind="shape",
                levels=(level.value,),
                says=f"The label of {level} is {size} than its neighbours allow.",
                doubt=f"its label is {size} than its neighbours allow",
            )


# -- inside a body ----------------------------------------------------------------------------


def holes(name: str, kind: Kind) -> Fault:
    """A label that leaves empty what lies inside the body."""
    return Fault(
        name="holes",
        kind=kind,
        levels=(name,),
        says=f"The label of {name} has holes in the body.",
        doubt="its label has holes in the body",
    )


def is_hollow(block: Block, middle: Points, reach_mm: float = _MIDDLE) -> bool:
    """Whether the middle of a body is empty, with bone on either side along two of the axes.

    It needs no frame, which a wide hole can mislead: the middle is that of the densest part of the
    label as smoothed, and a hole does not move that.
    """
    spacing = block.volume.spacing
    at = np.rint(block.volume.to_index(middle) - block.start).astype(int)
    reach = np.maximum(np.round(reach_mm / spacing), 1).astype(int)
    box = tuple(slice(max(a - n, 0), a + n + 1) for a, n in zip(at, reach, strict=True))
    empty = ~block.inside[box]
    walls = np.zeros(empty.shape, int)
    for axis in range(3):
        around = [slice(None) if n == axis else part for n, part in enumerate(box)]
        line = block.inside[tuple(around)]
        after = np.logical_or.accumulate(line, axis)
        before = np.flip(np.logical_or.accumulate(np.flip(line, axis), axis), axis)
        walled = (after & before)[tuple(box[n] if n == axis else slice(None) for n in range(3))]
        walls += walled
    return float((empty & (walls >= 2)).mean()) > _HOLLOW


def inside(name: str, vertebra: Vertebra, evidence: Evidence) -> Iterator[Fault]:
    """Holes in a body, and a label that is not alike on both sides of its own middle."""
    part, volume = vertebra.inside.hollow
    middle = vertebra.block.bulk()
    if vertebra.frame.to_local(middle)[POSTERIOR] > vertebra.back:
        middle = vertebra.frame.centre  # the arch of a crushed body may hold more than it
    large = evidence.row("measurement.mask.hollow").met(part) or is_hollow(
        vertebra.block, middle, min(_MIDDLE, vertebra.heights["middle"].value * _SOLID)
    )
    if large or not evidence.row("measurement.mask.speck").met(volume):
        yield holes(name, "shape" if large else "told")
    block, across = vertebra.block, vertebra.frame.axes[:, 0]
    per_voxel = across @ block.volume.affine[:3, :3]
    start = across @ (block.to_world(np.zeros(3)) - vertebra.frame.centre)
    i, j, k = (np.arange(n) * d for n, d in zip(block.inside.shape, per_voxel, strict=True))
    left = np.count_nonzero(block.inside & (i[:, None, None] + j[:, None] + k + start > 0))
    uneven = abs(2 * left - block.count) / block.count
    if evidence.row("measurement.mask.asymmetry").met(uneven):
        yield Fault(
            name="asymmetry",
            kind="shape",
            levels=(name,),
            says=f"The label of {name} is larger on one side than on the other.",
            doubt="its label is larger on one side than on the other",
        )
