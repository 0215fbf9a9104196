"""Masks spoiled on purpose, each in one way that segmentations, exports and hands spoil them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from endplate.demo.phantom import Phantom
from endplate.images.frame import blocks
from endplate.images.volume import Mask, Volume
from endplate.levels import Level


def label(mask: Mask, name: str) -> int:
    return next(n for n, structure in mask.structures.items() if structure == name)


def with_array(mask: Mask, array: np.ndarray) -> Mask:
    return replace(mask, volume=replace(mask.volume, array=array))


def relabelled(mask: Mask, names: dict[str, str | None]) -> Mask:
    """The voxels of each label given to another, or to none."""
    array = mask.volume.array.copy()
    for old, new in names.items():
        here = mask.volume.array == label(mask, old)
        array[here] = label(mask, new) if new else 0
    return with_array(mask, array)


def renamed(mask: Mask, by: int) -> Mask:
    """All free vertebrae named by so many levels farther down; S1 and the rest as they were."""
    column = [v.value for v in Level if v not in (Level.T13, Level.S1)]
    names = {
        n: column[column.index(s) + by] if s in column else s for n, s in mask.structures.items()
    }
    return replace(mask, structures=names)


def split(mask: Mask, name: str, below: str) -> Mask:
    """The lower half of a vertebra under the label of the next one, which has none any more."""
    index, world = voxels(mask, name)
    array = relabelled(mask, {below: None}).volume.array
    array[tuple(index[world[:, 2] < blocks(mask)[name].bulk()[2]].T)] = label(mask, below)
    return with_array(mask, array)


def voxels(mask: Mask, name: str) -> tuple[np.ndarray, np.ndarray]:
    index = np.argwhere(mask.volume.array == label(mask, name))
    return index, mask.volume.to_world(index)


def moved(mask: Mask, axis: int, by: int) -> Mask:
    return with_array(mask, np.roll(mask.volume.array, by, axis))


def mirrored(volume: Volume) -> Volume:
    """The same voxels under a header that exchanges left and right."""
    return replace(volume, affine=np.diag([-1.0, 1, 1, 1]) @ volume.affine)


def drilled(mask: Mask, name: str, radius: float, along: int | None = None) -> Mask:
    """A round hole in the middle of a body, or a tunnel through the whole vertebra."""
    index, world = voxels(mask, name)
    away = world - blocks(mask)[name].bulk()
    if along is not None:
        away[:, along] = 0
    array = mask.volume.array.copy()
    array[tuple(index[np.linalg.norm(away, axis=1) < radius].T)] = 0
    return with_array(mask, array)


def with_ball(mask: Mask, number: int, centre: np.ndarray, radius: float) -> Mask:
    """A ball of a label wherever no other label is."""
    low, high = (mask.volume.to_index(centre + np.array(corner) * radius * 2)
                 for corner in ((-1, -1, -1), (1, 1, 1)))  # fmt: skip
    first = np.maximum(np.floor(np.minimum(low, high)).astype(int), 0)
    last = np.minimum(np.ceil(np.maximum(low, high)).astype(int) + 1, mask.volume.array.shape)
    grid = np.stack(
        np.meshgrid(*[np.arange(a, b) for a, b in zip(first, last, strict=True)], indexing="ij"),
        axis=-1,
    ).reshape(-1, 3)
    near = grid[np.linalg.norm(mask.volume.to_world(grid) - centre, axis=1) <= radius]
    array = mask.volume.array.copy()
    free = array[tuple(near.T)] == 0
    array[tuple(near[free].T)] = number
    return with_array(mask, array)


def with_island(mask: Mask, name: str, radius: float, at: Sequence[float] = (55, -45, 10)) -> Mask:
    return with_ball(mask, label(mask, name), blocks(mask)[name].bulk() + at, radius)


def with_fragment(mask: Mask, name: str, of: str, part: float) -> Mask:
    """The upper part of one vertebra under the label of another."""
    index, world = voxels(mask, of)
    array = mask.volume.array.copy()
    array[tuple(index[world[:, 2] > np.quantile(world[:, 2], 1 - part)].T)] = label(mask, name)
    return with_array(mask, array)


def cut_at(mask: Mask, name: str, axis: int) -> int:
    """The voxel half-way through a vertebra along an array axis."""
    index, _ = voxels(mask, name)
    return int((index[:, axis].min() + index[:, axis].max()) // 2)


def cut_inside(mask: Mask, name: str, axis: int, *, upper: bool) -> Mask:
    """The mask emptied beyond a plane through a vertebra; the image goes on."""
    array = mask.volume.array.copy()
    at = cut_at(mask, name, axis)
    part = [slice(None)] * 3
    part[axis] = slice(at, None) if upper else slice(0, at)
    array[tuple(part)] = 0
    return with_array(mask, array)


def cropped(image: Volume, mask: Mask, name: str, axis: int) -> tuple[Volume, Mask]:
    """Image and mask ending in a plane through a vertebra."""
    high = list(mask.volume.array.shape)
    high[axis] = cut_at(mask, name, axis)
    return image.cropped((0, 0, 0), high), replace(
        mask, volume=mask.volume.cropped((0, 0, 0), high)
    )


def with_ribs(made: Phantom, mask: Mask, names: Sequence[str] = ("T11", "T12")) -> Mask:
    """Ribs beside these vertebrae, from the upper edge of the body outwards and down."""
    structures = dict(mask.structures)
    for name in names:
        bone = made.truth.vertebrae[name]
        for side, sign in (("left", 1), ("right", -1)):
            number = max(structures) + 1
            structures[number] = f"rib_{side}_{name[1:]}"
            mask = replace(mask, structures=structures)
            for far in np.arange(0, 60, 2.5):
                local = [sign * (bone.width / 2 + 5 + far), bone.depth / 2, 8 - far / 2]
                mask = with_ball(mask, number, bone.centre + bone.axes @ local, 3.5)
    return mask
