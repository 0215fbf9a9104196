"""NIfTI files: voxels, their place in the patient, and label names that a file carries.

A NIfTI affine leads to RAS; here everything becomes LPS. A file whose header does not say where
the voxels lie, or says it twice and differently, is refused: left and right would be a guess.
"""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import numpy.typing as npt
from nibabel.nifti1 import Nifti1Extension, Nifti1Image

from endplate.facts import InputProblem, Problem
from endplate.images.volume import Volume

SUFFIXES = (".nii", ".nii.gz")
# No spine image is larger (1024 x 1024 x 2048); a header that claims more is not believed.
MOST_VOXELS = 2**31
# deflate cannot shrink data further than this
_MOST_SHRUNK = 1040
# The two transforms of a header may differ by this share of a voxel: they are rounded.
_ROUNDING = 0.1
_MM_PER_UNIT = {"unknown": 1.0, "mm": 1.0, "meter": 1000.0, "micron": 0.001}
_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
# The label table of a Caret extension, as TotalSegmentator and Connectome Workbench write it;
# by pattern and not by an XML parser, because files come from outside.
_LABEL = re.compile(r'<Label Key="(\d{1,5})"[^>]{0,200}>\s*(?:<!\[CDATA\[)?([^<\]]{1,100})')
_MOST_EXTENSION = 2**20
# What drew a mask, as a comment in the file's header.
_ALGORITHM = re.compile(r"Segmented by ([^\x00\n]{1,300})")


def read(path: Path) -> tuple[Volume, dict[int, str], tuple[Problem, ...]]:
    """The voxels as stored (scaled where the header says so), label names, and problems.

    Raises
    ------
    InputProblem
        If the file cannot be read, has more than one frame, or does not say where it lies.
    """
    try:
        return _read(path)
    except InputProblem:
        raise
    except Exception as problem:  # nibabel has many kinds of exceptions for a broken file
        got = f"a broken or shortened file ({type(problem).__name__})"
        raise _bad(path, "It must be a whole NIfTI file", got) from None


def _read(path: Path) -> tuple[Volume, dict[int, str], tuple[Problem, ...]]:
    image = nibabel.load(path, mmap=False)  # the file may change or go away later
    if not isinstance(image, Nifti1Image):
        raise _bad(path, "It must be a NIfTI file", "another format")
    shape = _shape(path, image)
    problems: list[Problem] = []
    affine = _affine(path, image, problems)
    array = np.asanyarray(image.dataobj).reshape(shape)
    if array.dtype.kind not in "iuf":
        raise _bad(path, "It must hold plain numbers", f"voxels of type {array.dtype}")
    try:
        volume = Volume(array, affine, name=path.name)
    except ValueError as problem:
        raise _bad(path, "Its voxels must have a place", str(problem)) from None
    return volume, _names(image), tuple(problems)


def _bad(path: Path, needed: str, got: str) -> InputProblem:
    return InputProblem(
        f"{path.name}: cannot be used. {needed}; got {got.rstrip('.')}. Write the file again with "
        f"the program that made it."
    )


def _shape(path: Path, image: Nifti1Image) -> tuple[int, int, int]:
    """The three sizes; further ones must be 1. What the header claims must be in the file."""
    claimed = tuple(int(n) for n in image.shape)
    if len(claimed) < 3 or min(claimed) < 1 or any(n != 1 for n in claimed[3:]):
        raise _bad(path, "It must hold one volume", f"sizes of {' x '.join(map(str, claimed))}")
    voxels = claimed[0] * claimed[1] * claimed[2]
    header: Any = image.header
    stored, size = voxels * header.get_data_dtype().itemsize, path.stat().st_size
    most = size * (_MOST_SHRUNK if path.suffix == ".gz" else 1)
    if voxels > MOST_VOXELS or stored > most:
        raise _bad(path, "It must hold as many voxels as it claims", "a header that claims more")
    return claimed[0], claimed[1], claimed[2]


def _affine(path: Path, image: Nifti1Image, problems: list[Problem]) -> npt.NDArray[np.float64]:
    """From voxel index to LPS mm, by the sform or, if there is none, the qform."""
    header: Any = image.header
    sform, with_sform = header.get_sform(coded=True)
    try:
        qform, with_qform = header.get_qform(coded=True)
    except Exception:  # a quaternion that is none
        qform, with_qform = None, 0
    if not with_sform and not with_qform:
        raise _bad(path, "It must say where its voxels lie (sform or qform)", "neither")
    affine = sform if with_sform else qform
    if with_sform and with_qform:
        corners = np.array(np.meshgrid(*[(0, n - 1) for n in image.shape[:3]])).reshape(3, -1)
        apart = (sform - qform) @ np.vstack([corners, np.ones(corners.shape[1])])
        most = float(np.linalg.norm(apart[:3], axis=0).max())
        voxel = float(np.linalg.norm(sform[:3, :3], axis=0).min())
        if not most <= voxel:
            raise _bad(path, "It must say once where its voxels lie", "two contradicting places")
        if most > _ROUNDING * voxel:
            says = f"Its sform and qform differ by up to {most:.2g} mm; the sform was used."
            problems.append(Problem(problem="nifti.two_transforms", says=says, where=path.name))
    unit = header.get_xyzt_units()[0]
    if unit not in _MM_PER_UNIT:
        raise _bad(path, "Its lengths must be in mm, m or µm", "another unit")
    scale = np.diag([_MM_PER_UNIT[unit]] * 3 + [1.0])
    return np.asarray(_TO_LPS @ scale @ affine, dtype=float)


def _names(image: Nifti1Image) -> dict[int, str]:
    names: dict[int, str] = {}
    for text in _extensions(image):
        names.update({int(label): name.strip() for label, name in _LABEL.findall(text)})
    return names


def _extensions(image: Nifti1Image) -> Iterator[str]:
    header: Any = image.header
    for extension in header.extensions:
        content = extension.get_content()
        is_text = isinstance(content, str)
        yield content if is_text else bytes(content[:_MOST_EXTENSION]).decode("utf-8", "replace")


def algorithm(path: Path) -> str:
    """What drew a mask, where a file of ours says so; only the header is read."""
    image: Any = nibabel.load(path)
    said = [_ALGORITHM.match(text) for text in _extensions(image)]
    return next((match[1].strip() for match in said if match), "")


def with_algorithm(path: Path, algorithm: str) -> bytes:
    """A mask's file, compressed, that says what drew it."""
    image: Any = nibabel.load(path)
    comment = f"Segmented by {algorithm}".encode()
    image.header.extensions.append(Nifti1Extension("comment", comment))
    return gzip.compress(image.to_bytes(), mtime=0)


def write(volume: Volume, path: Path) -> None:
    """Write a volume as NIfTI, its place in both transforms; equal volumes give equal bytes."""
    array = volume.array.astype(np.uint8) if volume.array.dtype == bool else volume.array
    image = Nifti1Image(array, _TO_LPS @ volume.affine)  # the turn is its own inverse
    image.set_sform(image.affine, code="scanner")
    image.set_qform(image.affine, code="scanner")
    image.header.set_xyzt_units("mm")
    content = image.to_bytes()
    if path.name.lower().endswith(".gz"):
        content = gzip.compress(content, mtime=0)  # no clock in the file
    path.write_bytes(content)
