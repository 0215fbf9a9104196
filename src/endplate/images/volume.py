"""A volume of voxels with its place in the patient, and how it was acquired. No files here.

Index coordinates are floats ``(i, j, k)``; ``(0, 0, 0)`` is the centre of the first voxel.
Patient coordinates are LPS millimetres: x to the patient's left, y to the back, z to the head.
The array's axes may run in any direction, oblique ones included; only the affine says where
anything is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from endplate.posture import Posture

Points = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquisition:
    """How an image was taken, as far as its header tells. None means: it does not tell.

    Attributes
    ----------
    modality
        ``CT`` or ``MR``; empty where unknown (a NIfTI file does not say).
    tube_voltage, kernel, contrast
        CT: kilovolt peak, reconstruction kernel, whether contrast was given.
    field_strength, repetition_time, echo_time, sequence
        MR: tesla, milliseconds, the sequence's name.
    slice_thickness
        The nominal thickness; never used as the distance between slices.
    """

    modality: str = ""
    source: str = ""
    on: date | None = None
    posture: Posture = Posture.UNKNOWN
    patient_position: str | None = None
    scanner: str | None = None
    tube_voltage: float | None = None
    kernel: str | None = None
    contrast: bool | None = None
    field_strength: float | None = None
    repetition_time: float | None = None
    echo_time: float | None = None
    sequence: str | None = None
    slice_thickness: float | None = None


class Slice(NamedTuple):
    """The DICOM image that one slice is: SOP Instance UID, and frame number (0: the only one)."""

    instance: str
    frame: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """Voxels and where they are.

    Attributes
    ----------
    array
        Three-dimensional; modality values (HU for CT) or labels.
    affine
        4 x 4, from voxel index to LPS mm.
    acquisition
        How it was taken.
    name
        What the user calls it: a file name or a series' description.
    frame_of_reference, uid
        DICOM Frame of Reference UID and Series Instance UID, where there are any.
    problems
        What the reader found wrong with it, as codes such as ``irregular_spacing``.
    slices
        The image that each index of the last axis is; empty where the volume is of no DICOM series.
    """

    array: npt.NDArray[Any]
    affine: npt.NDArray[np.float64]
    acquisition: Acquisition = field(default_factory=Acquisition)
    name: str = ""
    frame_of_reference: str = ""
    uid: str = ""
    problems: tuple[str, ...] = ()
    slices: tuple[Slice, ...] = ()

    def __post_init__(self) -> None:
        if self.array.ndim != 3:
            raise ValueError(f"{self.name}: needs three dimensions, has {self.array.ndim}.")
        if self.affine.shape != (4, 4) or not np.isfinite(self.affine).all():
            raise ValueError(f"{self.name}: needs a finite 4 x 4 affine.")
        if abs(np.linalg.det(self.affine[:3, :3])) < 1e-9:
            raise ValueError(f"{self.name}: its voxels have no extent in some direction.")

    @property
    def spacing(self) -> Points:
        """The distance between neighbouring voxels along each array axis, in mm, shape (3,)."""
        return np.asarray(np.linalg.norm(self.affine[:3, :3], axis=0))

    @property
    def directions(self) -> Points:
        """Unit vectors of the array axes in LPS, one per column, shape (3, 3)."""
        return np.asarray(self.affine[:3, :3] / self.spacing)

    @property
    def voxel_volume(self) -> float:
        """The volume of one voxel in mm³."""
        return float(abs(np.linalg.det(self.affine[:3, :3])))

    @property
    def slice_axis(self) -> int:
        """The array axis across slices: the one with the largest spacing, the last if equal."""
        spacing = self.spacing
        largest = np.flatnonzero(spacing >= spacing.max() - 1e-3)
        return int(largest[-1])

    def to_world(self, index: npt.ArrayLike) -> Points:
        """LPS mm of index coordinates, shape (..., 3)."""
        return np.asarray(np.asarray(index) @ self.affine[:3, :3].T + self.affine[:3, 3])

    def to_index(self, world: npt.ArrayLike) -> Points:
        """Index coordinates of LPS mm points, shape (..., 3)."""
        inverse = np.linalg.inv(self.affine)
        return np.asarray(np.asarray(world) @ inverse[:3, :3].T + inverse[:3, 3])

    def cropped(self, low: npt.ArrayLike, high: npt.ArrayLike) -> Volume:
        """The part from index `low` up to but without `high`, in its own place."""
        start = np.maximum(np.asarray(low, dtype=int), 0)
        stop = np.minimum(np.asarray(high, dtype=int), self.array.shape)
        affine = self.affine.copy()
        affine[:3, 3] = self.to_world(start)
        part = self.array[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]
        return Volume(
            part, affine, self.acquisition, self.name, self.frame_of_reference, self.uid,
            slices=self.slices[start[2] : stop[2]],
        )  # fmt: skip

    def same_grid(self, other: Volume, tolerance_mm: float = 0.01) -> bool:
        """Whether both volumes have the same voxels in the same places."""
        if self.array.shape != other.array.shape:
            return False
        corners = np.array(np.meshgrid(*[(0, n - 1) for n in self.array.shape])).reshape(3, -1).T
        apart = self.to_world(corners) - other.to_world(corners)
        return bool(np.abs(apart).max() <= tolerance_mm)


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """A label map on its volume's grid, with what each label means.

    Attributes
    ----------
    volume
        Integer labels; 0 is background.
    structures
        label → structure: a vertebral level (``L3``), or a name such as ``sacrum``,
        ``femur_left``, ``hip_right``, ``spinal_cord``, ``spinal_canal``, ``csf``,
        ``iliopsoas_left``, ``autochthon_right``, ``skeletal_muscle`` (all of it), ``disc``.
    parts
        What of each vertebra the labels cover: ``whole`` or ``body``.
    system
        The label system by name, such as ``totalsegmentator``.
    cut
        Structures that the field of the mask cut off, where the image goes on: drawn on a part
        of the image, the mask holds a part of them alone.
    algorithm
        The program that drew it, with its version and model, where the mask says so.
    levels_doubtful
        Whether its reader found that vertebrae of these names would not look so.
    bodies
        Which voxels are vertebral bodies, on the volume's grid, where a mask of parts says so.
    """

    volume: Volume
    structures: Mapping[int, str]
    parts: str = "whole"
    system: str = ""
    cut: frozenset[str] = frozenset()
    algorithm: str = ""
    levels_doubtful: bool = False
    bodies: npt.NDArray[np.bool_] | None = None
