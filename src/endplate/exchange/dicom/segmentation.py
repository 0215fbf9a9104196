"""DICOM segmentations: binary, fractional and label-map objects of one or several segments.

Their planes are placed like those of an image, by position and orientation alone; planes
without any segment may be absent. A voxel that several segments claim stays with the first of
them, and a problem says so.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from endplate.exchange.dicom import stack
from endplate.exchange.dicom.files import Header, Unreadable, header
from endplate.exchange.dicom.frames import Frame, frames
from endplate.exchange.dicom.pixels import voxels
from endplate.exchange.dicom.segment_codes import Coded, coded, not_the_structure
from endplate.facts import InputProblem, Problem
from endplate.images.labels import is_vertebra, structure_named
from endplate.images.volume import Volume

MOST_VOXELS = 2**31
# A voxel belongs to a fractional segment from this share on.
FRACTION = 0.5


def read(path: Path) -> tuple[Volume, dict[int, str], tuple[Problem, ...]]:
    """The label map in its own grid, names by segment number, and problems.

    The volume's `frame_of_reference` is the segmentation's, its `uid` that of the series on
    which it was drawn.

    Raises
    ------
    InputProblem
        If it cannot be read, or its planes have no place in the patient.
    """
    try:
        with disable_value_validation(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings print values
            return _read(path)
    except Unreadable as problem:
        raise _bad(path, problem.says) from None
    except InputProblem:
        raise
    except Exception as problem:  # pydicom answers broken bytes with many kinds of exceptions
        raise _bad(path, f"It is broken ({type(problem).__name__}).") from None


def _bad(path: Path, why: str) -> InputProblem:
    return InputProblem(
        f"{path.name}: cannot be used as a segmentation. It must be a whole DICOM segmentation of "
        f"slices that say where they lie; {why.rstrip('.')}. Export it again."
    )


def _read(path: Path) -> tuple[Volume, dict[int, str], tuple[Problem, ...]]:
    head = header(path)
    kind = head.text("SegmentationType").upper()
    if kind not in ("BINARY", "FRACTIONAL", "LABELMAP"):
        raise Unreadable("dicom.not_a_segmentation", f"it is {head.kind.name or 'something else'}")
    planes = frames(head)
    places, affine, problems = _grid(path, planes)
    shape: tuple[int, ...] = (max(places) + 1, planes[0].rows, planes[0].columns)
    if int(np.prod(shape, dtype=object)) > MOST_VOXELS:
        raise Unreadable("dicom.too_large", "it claims more voxels than any spine image has")
    segments = head.data.get("SegmentSequence", ())
    names = {int(s.SegmentNumber): _name(path, s, problems) for s in segments}
    if kind == "FRACTIONAL":
        says = f"The segments are fractions; voxels count from {FRACTION:.0%} on."
        problems.append(Problem(problem="mask.fractional", says=says, where=path.name))
    array: npt.NDArray[np.uint16] = np.zeros(shape, np.uint16)
    overlaps: Counter[tuple[int, int]] = Counter()
    order = sorted(range(len(planes)), key=lambda i: (_segment(planes[i]), i))
    for i, values in zip(order, _values(head, [planes[i] for i in order], kind), strict=True):
        _lay(array[places[i]], values, _segment(planes[i]), kind, overlaps)
    problems += [
        Problem(
            problem="mask.overlapping_segments",
            says=f"The segment {names.get(late) or late} overlaps with {names.get(early) or early} "
            f"in {count} voxels; they stay with the one that comes first.",
            where=path.name,
        )
        for (early, late), count in sorted(overlaps.items())
    ]
    volume = Volume(
        array.transpose(2, 1, 0),
        affine,
        name=path.name,
        frame_of_reference=head.text("FrameOfReferenceUID"),
        uid=_referenced(head.data),
    )
    return volume, names, tuple(problems)


def _segment(plane: Frame) -> int:
    return int(plane.number("ReferencedSegmentNumber") or 0)


def _referenced(data: Dataset) -> str:
    series: Any = data.get("ReferencedSeriesSequence") or ()
    return "".join(str(one.get("SeriesInstanceUID", "")) for one in list(series)[:1])


def _lay(
    plane: npt.NDArray[np.uint16],
    values: npt.NDArray[Any],
    segment: int,
    kind: str,
    overlaps: Counter[tuple[int, int]],
) -> None:
    """Put one frame's segment, or its labels, into its plane."""
    if kind == "LABELMAP":
        plane[...] = values
        return
    inside = values.astype(bool)
    taken = plane[inside]
    if taken.any():
        numbers, counts = np.unique(taken[taken > 0], return_counts=True)
        for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
            overlaps[number, segment] += count
    plane[inside & (plane == 0)] = segment


def _grid(
    path: Path, planes: list[Frame]
) -> tuple[list[int], npt.NDArray[np.float64], list[Problem]]:
    """Each frame's place along the stack, and the affine; planes between them may be absent."""
    first = planes[0]
    directions = stack.axes(first.orientation or ())
    if directions is None or any(
        plane.position is None or plane.spacing is None or plane.orientation is None
        for plane in planes
    ):
        raise Unreadable("dicom.no_position", "its frames do not say where they lie")
    turned = len(stack.same_orientation(np.array([plane.orientation for plane in planes]))) > 1
    if turned or len({plane.spacing for plane in planes}) > 1:
        raise Unreadable("dicom.mixed_orientation", "its frames lie in different directions")
    normal = np.cross(directions[0], directions[1])
    positions = np.array([plane.position for plane in planes], dtype=float)
    along = positions @ normal
    low, high = int(along.argmin()), int(along.argmax())
    extent = float(along[high] - along[low])
    distance, problems = _distance(path, first, np.unique(np.round(along, 4)))
    count = round(extent / distance) if extent > distance / 2 else 0
    step = (positions[high] - positions[low]) / count if count else normal * distance
    place = np.rint((along - along[low]) / (step @ normal)).astype(int)
    off = np.linalg.norm(positions - (positions[low] + np.outer(place, step)), axis=1).max()
    if off > max(stack.OFF_GRID_MM, stack.OFF_GRID_SHARE * distance):
        raise Unreadable("dicom.irregular_spacing", "the distances between its slices are uneven")
    rows, columns = first.spacing or (0.0, 0.0)
    affine = np.eye(4)
    affine[:3, 0] = directions[0] * columns
    affine[:3, 1] = directions[1] * rows
    affine[:3, 2] = step
    affine[:3, 3] = positions[low]
    return place.tolist(), affine, problems


def _distance(
    path: Path, plane: Frame, along: npt.NDArray[np.float64]
) -> tuple[float, list[Problem]]:
    """The distance between neighbouring slices of the segmented image.

    Empty slices may be absent, so that the smallest gap can be too large. The spacing that the
    object states is taken where all gaps are whole multiples of it.
    """
    gaps = np.diff(along)
    gaps = gaps[gaps > stack.SAME_PLACE_MM]
    stated = plane.number("SpacingBetweenSlices") or 0.0
    if not len(gaps):
        thickness = stated or plane.number("SliceThickness") or 0.0
        if thickness <= 0:
            raise Unreadable("dicom.single_slice", "it has one slice of unknown thickness")
        says = f"It has one slice; it is taken as {thickness:g} mm thick, as it says itself."
        return thickness, [Problem(problem="mask.single_slice", says=says, where=path.name)]
    if stated > 0 and np.abs(gaps / stated - np.rint(gaps / stated)).max() < stack.WHOLE_GAP_SHARE:
        return stated, []
    return float(gaps.min()), []


def _values(head: Header, planes: list[Frame], kind: str) -> Iterator[npt.NDArray[Any]]:
    """Inside or not, or labels, of each frame."""
    if head.integer("BitsAllocated") == 1:
        yield from _bits(head, planes)
        return
    most = head.integer("MaximumFractionalValue") or 255
    for plane in planes:
        values = voxels([plane])[0]
        if kind == "LABELMAP":
            yield values
        else:
            yield values >= FRACTION * most if kind == "FRACTIONAL" else values > 0


def _bits(head: Header, planes: list[Frame]) -> Iterator[npt.NDArray[Any]]:
    """Frames of one bit a pixel, packed without a gap between frames (PS3.5 section 8.1.1)."""
    if head.syntax.is_encapsulated or head.pixels is None:
        raise Unreadable("dicom.no_decoder", f"its bits are compressed ({head.syntax.name})")
    size = planes[0].rows * planes[0].columns
    with head.path.open("rb") as file:
        for plane in planes:
            first, last = plane.index * size, (plane.index + 1) * size
            file.seek(head.pixels.offset + first // 8)
            raw = np.frombuffer(file.read((last + 7) // 8 - first // 8), np.uint8)
            bits = np.unpackbits(raw, bitorder="little")[first % 8 : first % 8 + size]
            if len(bits) != size or (last + 7) // 8 > head.pixels.available:
                raise Unreadable("dicom.truncated_slice", "it ends within its pixels")
            yield bits.reshape(plane.rows, plane.columns)


def _name(path: Path, segment: Dataset, problems: list[Problem]) -> str:
    """What a segment is: by its codes (property type, then region), else by its label.

    Raises
    ------
    InputProblem
        If code and label name two different vertebrae, or the two sides of one structure.
    """
    label = str(segment.get("SegmentLabel", ""))
    found = _coded(segment, label)
    if found.instead:
        problems.append(not_the_structure(found.instead, path.name))
        return label if structure_named(label) is None else found.instead
    named = structure_named(label)
    by_code = found.structure if found.structure and is_vertebra(found.structure) else None
    two_vertebrae = by_code and named and is_vertebra(named) and named != by_code
    if two_vertebrae or (named and named == _on_the_other_side(found.structure or "")):
        raise InputProblem(
            f"{path.name}: cannot be used. A segment's code and label must mean the same; one "
            f"is coded as {found.structure} and labelled {named}. Correct the segmentation."
        )
    if by_code or (named and is_vertebra(named)):
        return by_code or named or ""
    return found.structure or label


def _on_the_other_side(structure: str) -> str | None:
    """The same structure of the other side; None where it has no side."""
    stem, _, side = structure.rpartition("_")
    other = {"left": "right", "right": "left"}.get(side)
    return f"{stem}_{other}" if other else None


def _coded(segment: Dataset, label: str) -> Coded:
    types = list(segment.get("SegmentedPropertyTypeCodeSequence") or ())
    regions = list(segment.get("AnatomicRegionSequence") or ())
    modifiers = list(segment.get("SegmentedPropertyTypeModifierCodeSequence") or ())
    for item in (*types, *regions):
        modifiers += item.get("SegmentedPropertyTypeModifierCodeSequence") or ()
        modifiers += item.get("AnatomicRegionModifierSequence") or ()
    categories = segment.get("SegmentedPropertyCategoryCodeSequence") or ()
    return coded(
        [_code(item) for item in categories],
        [_code(item) for item in types],
        [_code(item) for item in regions],
        [_code(item) for item in modifiers],
        label,
    )


def _code(item: Dataset) -> Code:
    """A coded item; SNOMED's older identifiers (SRT) equal the present ones."""
    return Code(
        str(item.get("CodeValue", "")),
        str(item.get("CodingSchemeDesignator", "")),
        str(item.get("CodeMeaning", "")),
    )
