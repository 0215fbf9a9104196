"""Images and masks from files, and masks brought onto their image.

Every reader returns what it read and a tuple of problems; what cannot be used raises
`InputProblem`. A mask carries what its labels mean (see `endplate.images.labels`).
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from endplate.exchange import nifti, nrrd
from endplate.exchange.dicom.files import is_dicom
from endplate.facts import InputProblem, Problem
from endplate.images import labels as label_systems
from endplate.images.labels import LabelSystem, recognise, structure_named
from endplate.images.volume import Mask, Volume

Problems = tuple[Problem, ...]
Boxes = dict[int, tuple[slice, slice, slice]]

# Grids whose directions differ by less than this part of a voxel over their whole length are one.
_OFF_AXIS = 0.05
# Less of a mask than this inside the image: it is of another scan, or of another part of it.
_LEAST_INSIDE = 0.5
_ALL_INSIDE = 0.99
# A structure is cut by the mask's border if it meets it with this many voxels, this part of its
# largest section beside it, and this part of the section a little further in.
_FEW_TOUCH = 10
_BROAD = 0.15
_STEADY = 0.6
_NEAR_BORDER_MM = 2.0
# A vertebra with fewer voxels says nothing about its fit.
_FEW_VOXELS = 50
# Marrow without its cortex has this part of its surface next to bone; in thick slices, which do
# not show the endplates, this part. Beside the spine one side has. Choices of ours.
_ENCLOSED = 0.9
_PARTLY_ENCLOSED = 0.4
# The check for bone needs no finer voxels than this.
_FINE_ENOUGH_MM = 1.5
# No MR signal is this low; an image of unknown kind that is holds Hounsfield units of air.
_AIR = -500


def read_image(path: Path) -> tuple[Volume, Problems]:
    """The image in a NIfTI or NRRD file: int16 where all values are whole and fit, else float32."""
    volume, names, problems = _stored(path)
    if names:
        raise InputProblem(
            f"{path.name}: cannot be used as an image. Voxels must hold measured values; it names "
            f"labels. Give it as a mask."
        )
    return replace(volume, array=_as_values(volume.array)), problems


def read_mask(path: Path, labels: str = "auto") -> tuple[Mask, Problems]:
    """The mask in a NIfTI, NRRD or DICOM segmentation file, or in a folder of single structures.

    Parameters
    ----------
    path
        A file, or a folder with one NIfTI or NRRD file for each structure (see `read_masks`).
    labels
        ``auto``, a label system's name, or the path of a TOML file of one's own.

    Returns
    -------
    Mask
        In the file's own grid. For a DICOM segmentation its volume's `uid` is that of the series
        it was drawn on.

    Raises
    ------
    InputProblem
        If it cannot be read, is empty, or it is uncertain which label is which vertebra.
    """
    if path.is_dir():
        suffixes = (*nifti.SUFFIXES, *nrrd.SUFFIXES)
        return read_masks(p for p in path.iterdir() if p.name.lower().endswith(suffixes))
    if is_segmentation(path):
        from endplate.exchange.dicom.segmentation import read  # noqa: PLC0415 - only for these
    else:
        read = _stored
    volume, names, problems = read(path)
    volume = replace(volume, array=_as_labels(volume))
    if not names and structure_named(_stem(path)) and volume.array.max(initial=0) == 1:
        names = {1: _stem(path)}  # one file per structure, as TotalSegmentator writes by default
    mask, doubts = recognise(volume, names=names, by=_system(labels))
    if path.name.lower().endswith(nifti.SUFFIXES):
        mask = replace(mask, algorithm=nifti.algorithm(path))
    return mask, (*problems, *doubts)


def read_masks(paths: Iterable[Path]) -> tuple[Mask, Problems]:
    """One mask from files that hold one structure each and are named by it.

    Files whose names mean nothing to Endplate are passed over.

    Raises
    ------
    InputProblem
        If no file is left, or the files' grids differ.
    """
    merged = nrrd.Merged()
    first: Volume | None = None
    problems: Problems = ()
    for path in sorted(paths):
        if structure_named(_stem(path)) is None:
            continue
        volume, _, more = _stored(path)
        if first is not None and not first.same_grid(volume):
            raise InputProblem(
                f"{path.name}: cannot be joined with {first.name}. Files of one segmentation must "
                f"have the same voxels in the same places; they differ. Keep one scan's files in "
                f"a folder."
            )
        merged.add(volume.array > 0, _stem(path), (first or volume).name)
        first = first or replace(volume, array=merged.array)  # no file's voxels are kept
        problems += more
    if first is None:
        raise InputProblem(
            "Segmentation folder: holds no mask. Files must be named by their structure, such as "
            "vertebrae_L3.nii.gz; none is. Give one mask file instead."
        )
    mask, doubts = recognise(replace(first, array=merged.array), names=merged.names)
    return mask, (*problems, *merged.problems, *doubts)


def is_segmentation(path: Path) -> bool:
    """Whether a file is DICOM and not NIfTI or NRRD, by its first bytes."""
    return not path.name.lower().endswith((*nifti.SUFFIXES, *nrrd.SUFFIXES)) and is_dicom(path)


def _stored(path: Path) -> tuple[Volume, dict[int, str], Problems]:
    name = path.name.lower()
    if name.endswith(nifti.SUFFIXES):
        return nifti.read(path)
    if name.endswith(nrrd.SUFFIXES):
        return nrrd.read(path)
    raise InputProblem(
        f"{path.name}: cannot be read. An image or mask is NIfTI (.nii, .nii.gz), NRRD (.nrrd) or "
        f"DICOM; this name ends otherwise. Rename or convert the file."
    )


def _stem(path: Path) -> str:
    return path.name.split(".")[0]


def _system(labels: str) -> LabelSystem | None:
    if labels == "auto":
        return None
    if not labels.endswith(".toml"):
        return label_systems.system(labels)
    path = Path(labels)
    try:
        cells = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise InputProblem(
            f"{path.name}: cannot be read as a map of labels. It must be a TOML file; {problem}. "
            f"See docs/how-to/read-images-and-masks.md for an example."
        ) from None
    return label_systems.own_system(path.name, cells)


def _as_values(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if array.dtype.kind in "iu" and array.size:
        low, high = int(array.min()), int(array.max())
        if np.iinfo(np.int16).min <= low and high <= np.iinfo(np.int16).max:
            return array.astype(np.int16, copy=False)
    return array.astype(np.float32, copy=False)


def _as_labels(volume: Volume) -> npt.NDArray[Any]:
    """Labels as the smallest whole-number type; whole numbers written as floats are taken."""
    array = volume.array
    low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 0.0)
    if not 0 <= low <= high <= np.iinfo(np.uint16).max or (
        array.dtype.kind == "f" and not (array == np.round(array)).all()
    ):
        raise InputProblem(
            f"{volume.name}: cannot be used as a mask. Labels must be whole numbers from 0 to "
            f"65535; it holds others. Check that it is a mask and no image or probability map."
        )
    return array.astype(np.uint8 if high < 256 else np.uint16, copy=False)


# ---------------------------------------------------------------- onto the image


def on_grid(mask: Mask, image: Volume) -> tuple[Mask, Problems]:
    """The mask on the image's voxels, by place in the patient: the nearest label, none mixed.

    Equal grids, and those that differ by flips, axis order or whole voxels, are copied exactly.

    Raises
    ------
    InputProblem
        If the mask is not of this image: another frame of reference, another place, or, on a
        CT, vertebrae that do not lie on bone.
    """
    there = mask.volume
    frames = {there.frame_of_reference, image.frame_of_reference} - {""}
    if len(frames) > 1:
        raise _not_of(mask, image, "they have different DICOM frames of reference")
    problems: list[Problem] = []
    is_same = there.same_grid(image)
    drawn = {} if is_same else label_systems.boxes(there.array)
    share = 1.0 if is_same else _share_inside(mask, image, drawn)
    if share < _LEAST_INSIDE:
        raise _not_of(mask, image, f"{share:.0%} of the labelled voxels lie inside the image")
    if share < _ALL_INSIDE:
        says = f"Only {share:.0%} of the mask lies inside the image; structures are cut there."
        problems.append(Problem(problem="mask.partly_outside", says=says, where=there.name))
    cut = _cut_by_own_field(mask, image, drawn)
    if cut:
        says = (
            f"The mask was drawn on a part of the image, and its own field cuts {', '.join(cut)} "
            f"where the image goes on: only a part of each is in the mask."
        )
        try_ = ("Segment the whole image, or a part of it that holds whole vertebrae.",)
        problems.append(
            Problem(problem="mask.cut_by_its_own_field", says=says, where=there.name, try_=try_)
        )
    array = there.array if is_same else _nearest(there, image)
    volume = replace(
        image, array=array, acquisition=there.acquisition, name=there.name, problems=there.problems
    )
    left = label_systems.boxes(array)
    structures = {label: s for label, s in mask.structures.items() if label in left}
    placed = replace(
        mask, volume=volume, structures=MappingProxyType(structures), cut=mask.cut | {*cut}
    )
    _check_bone(placed, image, left, problems)
    return placed, tuple(problems)


def _not_of(mask: Mask, image: Volume, why: str) -> InputProblem:
    return InputProblem(
        f"{mask.volume.name}: cannot be laid on {image.name or 'the image'}. A mask must be drawn "
        f"on the very scan that is measured; {why}. Give the mask of this scan."
    )


def _share_inside(mask: Mask, image: Volume, boxes: Boxes) -> float:
    """The share of the named structures' voxels whose centres lie inside the image."""
    labels = mask.volume.array
    inside = total = 0
    for label, box in boxes.items():
        if label not in mask.structures:
            continue
        index = np.argwhere(labels[box] == label) + [part.start for part in box]
        at = image.to_index(mask.volume.to_world(index))
        within = (at > -0.5).all(axis=1) & (at < np.array(image.array.shape) - 0.5).all(axis=1)
        inside += int(within.sum())
        total += len(index)
    return inside / total if total else 0.0


def _cut_by_own_field(mask: Mask, image: Volume, boxes: Boxes) -> list[str]:
    """Vertebrae and sacrum that end flat at the mask's border, where the image goes on.

    The cord, the canal and the like run out of every field and are not looked at.
    """
    labels = mask.volume.array
    # A DICOM segmentation leaves out empty slices: its first and last one are no border.
    axes = (0, 1) if mask.volume.uid or mask.volume.frame_of_reference else (0, 1, 2)
    found = []
    for label, box in boxes.items():
        structure = mask.structures.get(label, "")
        if not (label_systems.is_vertebra(structure) or structure == "sacrum"):
            continue
        ends = [(axis, -1) for axis in axes if box[axis].start == 0]
        ends += [(axis, 1) for axis in axes if box[axis].stop == labels.shape[axis]]
        inside = labels[box] == label if ends else labels[:0]
        if any(_ends_flat(inside, box, mask.volume, image, *end) for end in ends):
            found.append(structure)
    return found


def _ends_flat(
    inside: npt.NDArray[np.bool_],
    box: tuple[slice, ...],
    there: Volume,
    image: Volume,
    axis: int,
    towards: int,
) -> bool:
    """Whether one label meets the mask's border with a broad, steady section inside the image.

    A mask cropped to its labels meets its border with their outermost voxels alone: the section
    there is small, and much smaller than that a little further in.
    """
    sections = inside.sum(axis=tuple({0, 1, 2} - {axis}))[::-towards]
    deeper = sections[min(max(round(_NEAR_BORDER_MM / there.spacing[axis]), 1), len(sections) - 1)]
    touch = sections[0]
    if touch < max(_FEW_TOUCH, _BROAD * sections.max()) or touch < _STEADY * deeper:
        return False
    last = 0 if towards < 0 else inside.shape[axis] - 1
    index = np.insert(np.argwhere(inside.take(last, axis)), axis, last + towards, axis=1)
    index += [part.start for part in box]
    at = image.to_index(there.to_world(index))
    beyond = (at > -0.5).all(axis=1) & (at < np.array(image.array.shape) - 0.5).all(axis=1)
    return bool(beyond.mean() > 0.5)


def _nearest(there: Volume, image: Volume) -> npt.NDArray[Any]:
    """Labels of the image's voxel centres; 0 outside the mask's grid."""
    lead = np.linalg.inv(there.affine) @ image.affine
    turn, shift = lead[:3, :3], lead[:3, 3]
    out = np.zeros(image.array.shape, there.array.dtype, order="F")
    grid = _reach(there, image)
    from_axis = np.abs(turn).argmax(axis=1)
    aside = np.abs(turn) * (np.array(image.array.shape) - 1)
    aside[range(3), from_axis] = 0
    if sorted(from_axis) == [0, 1, 2] and aside.max() < _OFF_AXIS:
        _along_axes(out, there.array, grid, turn, shift)
        return out
    for k in grid[2]:  # one plane at a time: the memory stays that of a plane
        i, j = np.meshgrid(grid[0], grid[1], indexing="ij")
        at = np.rint(np.stack([i, j, np.full_like(i, k)], axis=-1) @ turn.T + shift).astype(int)
        inside = ((at >= 0) & (at < there.array.shape)).all(axis=-1)
        out[i[inside], j[inside], k] = there.array[tuple(at[inside].T)]
    return out


def _along_axes(
    out: npt.NDArray[Any],
    labels: npt.NDArray[Any],
    grid: list[npt.NDArray[np.int64]],
    turn: npt.NDArray[np.float64],
    shift: npt.NDArray[np.float64],
) -> None:
    """Nearest labels where each mask axis runs along one image axis: three index lists do it."""
    from_axis = np.abs(turn).argmax(axis=1)
    pick, place = [], list(grid)
    for axis, source in enumerate(from_axis):
        at = np.rint(turn[axis, source] * grid[source] + shift[axis]).astype(int)
        inside = (at >= 0) & (at < labels.shape[axis])
        pick.append(at[inside])
        place[source] = grid[source][inside]
    out[np.ix_(*place)] = labels[np.ix_(*pick)].transpose(np.argsort(from_axis))


def _reach(there: Volume, image: Volume) -> list[npt.NDArray[np.int64]]:
    """Indices along each image axis that the labelled part of the mask can reach."""
    all_boxes = list(label_systems.boxes(there.array).values())
    low = [min(box[axis].start for box in all_boxes) - 1 for axis in range(3)]
    high = [max(box[axis].stop for box in all_boxes) for axis in range(3)]
    corners = np.array(np.meshgrid(*zip(low, high, strict=True))).reshape(3, -1).T
    at = image.to_index(there.to_world(corners))
    first = np.clip(np.floor(at.min(axis=0)), 0, image.array.shape).astype(int)
    last = np.clip(np.ceil(at.max(axis=0)) + 1, 0, image.array.shape).astype(int)
    return [np.arange(a, b) for a, b in zip(first, last, strict=True)]


def _check_bone(mask: Mask, image: Volume, boxes: Boxes, problems: list[Problem]) -> None:
    """On a CT, refuse vertebrae that do not lie on bone; an MR has no such check."""
    modality = image.acquisition.modality
    if modality != "CT" and (modality or float(image.array.min()) > _AIR):
        return
    kind = "share" if mask.parts == "body" else "more_than_around"
    limits = label_systems.on_bone()
    found = [
        _brightness(mask, image, label, boxes[label], kind)
        for label, structure in mask.structures.items()
        if label_systems.is_vertebra(structure)
    ]
    told = [value for value in found if value is not None]
    if not told:
        return
    median = float(np.median(told))
    shell = 0.0
    if kind == "share" and median < limits[kind]["doubted"]:
        vertebrae = [n for n, s in mask.structures.items() if label_systems.is_vertebra(s)]
        shell = float(np.median([_enclosed(mask, image, n, boxes[n]) for n in vertebrae]))
    if shell >= _ENCLOSED:
        return  # the marrow alone, which thin bone may leave as dark as muscle
    if median < limits[kind]["refused"] and shell < _PARTLY_ENCLOSED:
        raise _not_of(mask, image, "its vertebrae do not lie on bone")
    if median < limits[kind]["doubted"]:
        says = "The mask lies only in part on bone; it may be of another scan or shifted."
        problems.append(Problem(problem="mask.doubtful_fit", says=says, where=mask.volume.name))


def _with_around(image: Volume, box: tuple[slice, ...], every: Any = 1) -> tuple[slice, ...]:
    """A box and what lies around it, in steps."""
    margin = np.ceil(label_systems.on_bone()["around_mm"] / image.spacing).astype(int) + 1
    return tuple(
        slice(max(part.start - more, 0), part.stop + more, step)
        for part, more, step in zip(box, margin, np.broadcast_to(every, 3).tolist(), strict=True)
    )


def _enclosed(mask: Mask, image: Volume, label: int, box: tuple[slice, ...]) -> float:
    """The share of a body's surface next to voxels as bright as bone: its shell, on all sides."""
    limits = label_systems.on_bone()
    around = _with_around(image, box)
    inside, bright = mask.volume.array[around] == label, image.array[around] > limits["bone"]
    if not bright.any():
        return 0.0
    surface = inside & ~ndimage.binary_erosion(inside)
    distance = ndimage.distance_transform_edt(~bright, sampling=image.spacing)
    near = distance[surface] <= max(limits["around_mm"], image.spacing.max())
    return float(near.mean())


def _brightness(
    mask: Mask, image: Volume, label: int, box: tuple[slice, ...], kind: str
) -> float | None:
    """The share of a vertebra's voxels as bright as bone, or by how much it exceeds the rim's."""
    limits = label_systems.on_bone()
    every = np.maximum(_FINE_ENOUGH_MM // image.spacing, 1).astype(int)
    around = _with_around(image, box, every)
    labels, bright = mask.volume.array[around], image.array[around] > limits["bone"]
    inside = labels == label
    if inside.sum() < _FEW_VOXELS:
        return None
    share = float(bright[inside].mean())
    if kind == "share":
        return share
    distance = ndimage.distance_transform_edt(~inside, sampling=image.spacing * every)
    rim = (distance > 0) & (distance <= limits["around_mm"]) & (labels == 0)
    return share - float(bright[rim].mean()) if rim.any() else None
