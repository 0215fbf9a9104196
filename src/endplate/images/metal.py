"""Metal on CT: where in the image it is, named by the nearest bone, and how near to a body."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from endplate.evidence import Evidence
from endplate.facts import Side
from endplate.images.frame import Block, Floats
from endplate.images.volume import Points, Volume
from endplate.levels import Level

# Points that stand for one bone: enough that none lies more than a few mm from one of them.
_POINTS_OF_A_BONE = 2500
# One voxel stands for the metal in a cell of this size (mm).
_CELL = 2.0
# Metal farther than this from every labelled bone (mm) is named by no bone.
_BELONGS_WITHIN = 60.0
_BONES = {"sacrum": "sacrum", "femur": "hip", "hip": "hip"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Metal:
    """The metal at one bone.

    Attributes
    ----------
    place
        What it is called: ``left hip``, ``L4``, ``sacrum``.
    level, side
        The vertebra, or the patient's side, where there is one.
    voxels, highest
        How many voxels are above the threshold, and the highest attenuation among them.
    centre
        Their mean position, LPS mm.
    distance
        The median distance from them to that bone, mm.
    """

    place: str
    level: str | None
    side: Side | None
    voxels: int
    highest: float
    centre: Points
    distance: float


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """All metal of an image: by place, and the voxels' positions (LPS mm) for distances."""

    places: tuple[Metal, ...] = ()
    points: Points | None = None

    def distance(self, points: Points) -> float:
        """The least distance in mm from some points to any metal; infinite where there is none."""
        if self.points is None or not len(points):
            return float("inf")
        some = points[:: max(1, len(points) // _POINTS_OF_A_BONE)]
        return float(cKDTree(self.points).query(some)[0].min())


def metal(image: Volume, blocks: Mapping[str, Block], evidence: Evidence) -> Found:
    """Find metal in a CT: every voxel above the threshold, grouped by the nearest bone."""
    threshold = evidence.row("measurement.metal.threshold").number
    index = np.argwhere(image.array > threshold)
    if not len(index):
        return Found()
    values = image.array[tuple(index.T)].astype(float)
    keep, count, highest = _spread(index, values, image)
    points = image.to_world(index[keep])
    bones = {n: _points(b) for n, b in blocks.items() if _bone(n) is not None}
    places: list[Metal] = []
    if bones:
        names = list(bones)
        owner = np.repeat(np.arange(len(names)), [len(bones[n]) for n in names])
        away, nearest = cKDTree(np.concatenate([bones[n] for n in names])).query(points)
        labels = [_bone(names[owner[i]]) for i in nearest]
        labels = [
            label if far <= _BELONGS_WITHIN else None
            for label, far in zip(labels, away, strict=True)
        ]
    else:
        away = np.full(len(points), np.nan)
        labels = [None] * len(points)
    for label in dict.fromkeys(labels):
        there = np.array([one == label for one in labels])
        place, level, side = label or ("away from the labelled bones", None, None)
        places.append(
            Metal(
                place=place,
                level=level,
                side=side,
                voxels=int(count[there].sum()),
                highest=float(highest[there].max()),
                centre=np.average(points[there], axis=0, weights=count[there]),
                distance=float(np.median(away[there])),
            )
        )
    return Found(tuple(sorted(places, key=lambda m: m.place)), points)


def _spread(
    index: npt.NDArray[np.intp], values: Floats, image: Volume
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Floats]:
    """One voxel for each small cell that holds any, with their number and highest value.

    Large metal is thinned out by it; the smallest marker keeps its voxel.
    """
    cells = np.maximum(np.round(_CELL / image.spacing).astype(int), 1)
    shape = np.array(image.array.shape) // cells + 1
    flat = np.ravel_multi_index(tuple((index // cells).T), tuple(shape))
    _, first, own, count = np.unique(
        flat, return_index=True, return_inverse=True, return_counts=True
    )
    highest = np.full(len(first), -np.inf)
    np.maximum.at(highest, own, values)
    return first, count, highest


def _bone(structure: str) -> tuple[str, str | None, Side | None] | None:
    """What a structure is called in a sentence, its level and side; None if it is no bone."""
    if structure in Level.__members__:
        return structure, structure, None
    name, _, end = structure.partition("_")
    if name not in _BONES:
        return None
    if end in ("left", "right"):
        side: Side = "left" if end == "left" else "right"
        return f"{side} {_BONES[name]}", None, side
    return _BONES[name], None, None


def _points(block: Block) -> Points:
    index = np.argwhere(block.inside)
    return block.to_world(index[:: max(1, len(index) // _POINTS_OF_A_BONE)])
