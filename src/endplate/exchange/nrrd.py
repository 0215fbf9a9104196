"""NRRD files, and the segmentations that 3D Slicer writes as .seg.nrrd.

Slicer's segments may overlap: overlapping ones lie in layers, a fourth axis. A voxel that
several segments claim stays with the first of them, and a problem says so.
"""

from __future__ import annotations

import bz2
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import nrrd
import numpy as np
import numpy.typing as npt
from pydicom.sr.coding import Code

from endplate.exchange.dicom.segment_codes import Coded, coded, not_the_structure
from endplate.exchange.nifti import MOST_VOXELS
from endplate.facts import InputProblem, Problem
from endplate.images.labels import structure_named
from endplate.images.volume import Volume

SUFFIXES = (".nrrd", ".nhdr")
# Signs that lead from a NRRD space to LPS.
_SPACES = {
    "left-posterior-superior": (1, 1, 1),
    "lps": (1, 1, 1),
    "right-anterior-superior": (-1, -1, 1),
    "ras": (-1, -1, 1),
    "left-anterior-superior": (1, -1, 1),
    "las": (1, -1, 1),
}
_TYPES = {
    "int8": "signed char,int8,int8_t",
    "uint8": "uchar,unsigned char,uint8,uint8_t",
    "int16": "short,short int,signed short,signed short int,int16,int16_t",
    "uint16": "ushort,unsigned short,unsigned short int,uint16,uint16_t",
    "int32": "int,signed int,int32,int32_t",
    "uint32": "uint,unsigned int,uint32,uint32_t",
    "float32": "float",
    "float64": "double",
}
_DTYPE = {name: dtype for dtype, names in _TYPES.items() for name in names.split(",")}
_MOST_LAYERS = 256


def read(path: Path) -> tuple[Volume, dict[int, str], tuple[Problem, ...]]:
    """The voxels as stored, names of segments by label, and problems.

    Raises
    ------
    InputProblem
        If the file cannot be read, or does not say where in the patient it lies.
    """
    try:
        with path.open("rb") as file:
            header: dict[str, Any] = nrrd.read_header(file)
            sizes = [int(n) for n in header["sizes"]]
            affine, spatial = _affine(path, header, sizes)
            data = _data(path, file, header, sizes)
            segments, not_structures = _segments(path, header)
    except InputProblem:
        raise
    except Exception as problem:  # pynrrd has many kinds of exceptions for a broken file
        got = f"a broken or shortened file ({type(problem).__name__})"
        raise _bad(path, "It must be a NRRD file", got) from None
    layers = np.moveaxis(data, spatial, (-3, -2, -1)).reshape(
        -1, *[sizes[axis] for axis in spatial]
    )
    array, names, problems = _flattened(path, layers, segments)
    try:
        volume = Volume(array, affine, name=path.name)
    except ValueError as problem:
        raise _bad(path, "Its voxels must have a place", str(problem)) from None
    return volume, names, (*not_structures, *problems)


def _bad(path: Path, needed: str, got: str) -> InputProblem:
    return InputProblem(
        f"{path.name}: cannot be used. {needed}; got {got.rstrip('.')}. Write the file again with "
        f"the program that made it."
    )


def _affine(
    path: Path, header: dict[str, Any], sizes: list[int]
) -> tuple[npt.NDArray[np.float64], list[int]]:
    """From voxel index to LPS mm, and which axes of the data are spatial."""
    signs = _SPACES.get(str(header.get("space", "")).lower())
    if signs is None or "space directions" not in header or "space origin" not in header:
        got = f"the space {header.get('space', 'none')!r}"
        raise _bad(path, "It must say where its voxels lie (space, directions, origin)", got)
    if set(header.get("space units", ["mm"])) != {"mm"}:
        raise _bad(path, "Its lengths must be in mm", "another unit")
    directions = [
        np.full(3, np.nan) if one is None else np.asarray(one, dtype=float)
        for one in header["space directions"]
    ]
    spatial = [axis for axis, one in enumerate(directions) if np.isfinite(one).all()]
    further = [n for axis, n in enumerate(sizes) if axis not in spatial]
    if len(spatial) != 3 or len(further) > 1 or len(directions) != len(sizes):
        raise _bad(path, "It must hold one volume, or one with layers", f"{len(sizes)} axes")
    claimed = int(np.prod(sizes, dtype=object))
    if min(sizes) < 1 or claimed > MOST_VOXELS or (further and further[0] > _MOST_LAYERS):
        raise _bad(path, "It must hold as many voxels as it claims", "a header that claims more")
    affine = np.eye(4)
    affine[:3, :3] = np.array([directions[axis] for axis in spatial]).T
    affine[:3, 3] = header["space origin"]
    return np.diag([*signs, 1.0]) @ affine, spatial


def _data(path: Path, file: BinaryIO, header: dict[str, Any], sizes: list[int]) -> npt.NDArray[Any]:
    """The data after the header; no more is inflated than the header claims."""
    skips = any(int(header.get(key, 0)) for key in ("line skip", "byte skip"))
    if "data file" in header or "datafile" in header or skips:
        raise _bad(path, "Its data must follow its header in the same file", "another place")
    kind = _DTYPE.get(str(header["type"]).lower())
    encoding = str(header.get("encoding", "")).lower()
    if kind is None or encoding not in ("raw", "gzip", "gz", "bzip2", "bz2"):
        raise _bad(path, "It must hold plain numbers, raw or gzip", f"{header['type']}, {encoding}")
    is_big = str(header.get("endian", "little")).lower() == "big"
    dtype = np.dtype(kind).newbyteorder(">" if is_big else "<")
    size = int(np.prod(sizes, dtype=object)) * dtype.itemsize
    if encoding == "raw":
        raw = file.read(size)
    elif encoding.startswith("g"):
        raw = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(file.read(), size)
    else:
        raw = bz2.BZ2Decompressor().decompress(file.read(), size)
    if len(raw) != size:
        raise _bad(path, "It must hold as many voxels as it claims", "fewer")
    return np.frombuffer(raw, dtype).astype(np.dtype(kind), copy=False).reshape(sizes, order="F")


def _segments(
    path: Path, header: dict[str, Any]
) -> tuple[list[tuple[int, int, str]], tuple[Problem, ...]]:
    """Layer, label and name of each of Slicer's segments, in their order; and problems."""
    found, problems = [], []
    for n in range(1000):
        if f"Segment{n}_LabelValue" not in header:
            break
        name = str(header.get(f"Segment{n}_Name", ""))
        told = _coded(str(header.get(f"Segment{n}_Tags", "")), name)
        if told.instead:
            problems.append(not_the_structure(told.instead, path.name))
        if structure_named(name) is None:
            name = told.structure or name
        elif told.instead:
            name = told.instead
        layer = int(header.get(f"Segment{n}_Layer", 0))
        found.append((layer, int(header[f"Segment{n}_LabelValue"]), name))
    return found, tuple(problems)


def _coded(tags: str, name: str) -> Coded:
    """What a segment's terminology says: parted by ~, lists of terms and the terms in them.

    The terms are category, type, its modifier, then after another list's name region and its
    modifier; a term is ``SCT^36470004^L3 vertebra``.
    """
    entry = next((tag for tag in tags.split("|") if tag.count("~") >= 2), "")
    terms = [[term] if term.value else [] for term in map(_term, entry.split("~"))]
    _, category, type_, modifier, _, region, side = (terms + [[]] * 7)[:7]
    return coded(category, type_, region, modifier + side, label=name)


def _term(text: str) -> Code:
    scheme, value, meaning = (*text.split("^"), "", "", "")[:3]
    return Code(value, scheme, meaning)


def _flattened(
    path: Path, layers: npt.NDArray[Any], segments: list[tuple[int, int, str]]
) -> tuple[npt.NDArray[Any], dict[int, str], tuple[Problem, ...]]:
    """One label map of all layers; a voxel stays with the first segment that claims it."""
    if len(layers) == 1:
        return layers[0], {label: name for _, label, name in segments}, ()
    if not segments:
        raise _bad(path, "It must hold one volume", f"{len(layers)} of them")
    merged = Merged()
    for layer, label, name in segments:
        merged.add(layers[layer] == label, name, path.name)
    return merged.array, merged.names, tuple(merged.problems)


class Merged:
    """Segments numbered from 1 in one label map; where they overlap, the first keeps the voxel.

    They are added one by one, so that no more than one of them is held beside the map.
    """

    def __init__(self) -> None:
        self.array: npt.NDArray[np.unsignedinteger[Any]] = np.zeros((0, 0, 0), np.uint8)
        self.names: dict[int, str] = {}
        self.problems: list[Problem] = []

    def add(self, inside: npt.NDArray[np.bool_], name: str, where: str) -> None:
        """Add the next segment; a problem with it is said of the file `where`."""
        if not self.names:
            self.array = np.zeros_like(inside, np.uint8)
        number = len(self.names) + 1
        if number > np.iinfo(self.array.dtype).max:
            self.array = self.array.astype(np.uint16)
        self.names[number] = name
        taken = self.array[inside]
        count = int((taken > 0).sum())
        if count:
            others = [self.names[n] or f"segment {n}" for n in np.unique(taken[taken > 0]).tolist()]
            says = (
                f"The segment {name or number} overlaps with {', '.join(others)} in {count} "
                f"voxels; they stay with the one that comes first."
            )
            self.problems.append(
                Problem(problem="mask.overlapping_segments", says=says, where=where)
            )
            self.array[inside] = np.where(taken > 0, taken, number)
        else:
            self.array[inside] = number
