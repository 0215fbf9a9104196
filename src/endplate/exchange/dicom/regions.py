"""The regions that were measured, as a DICOM segmentation in the study of their image."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from endplate.exchange.dicom.series import Series
from endplate.exchange.dicom.write import segmentation
from endplate.images.labels import boxes
from endplate.images.volume import Mask, Slice

# The labels came from elsewhere, and no file tells by what kind of program: that is not guessed.
_FAMILY = Code("261665006", "SCT", "Unknown")
_ALGORITHM = "Labels as given, on the voxels of the image"
# Measurement objects stand behind the scanner's series.
SERIES_NUMBER = 9001


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """Where in the images the measured structures lie.

    Attributes
    ----------
    segmentation
        The DICOM object; None where no structure was measured whole.
    segments
        Structure → number of its segment.
    slices
        Structure → the images that hold it, in the order of the stack.
    """

    segmentation: Dataset | None
    segments: Mapping[str, int]
    slices: Mapping[str, tuple[Slice, ...]]


def regions(mask: Mask, series: Series, measured: Collection[str]) -> Regions:
    """The structures of a mask on the grid of its series, those that were measured as segments.

    A vertebra that was not measured whole is no segment: the border of the mask that cuts it
    could not be told from its end any more. Of several labels of one structure the first counts.
    """
    there = boxes(mask.volume.array)
    slices: dict[str, tuple[Slice, ...]] = {}
    for label, structure in mask.structures.items():
        if label in there:
            held = mask.volume.slices[there[label][2]]
            slices[structure] = tuple(dict.fromkeys((*slices.get(structure, ()), *held)))
    chosen: dict[int, str] = {}
    for label in sorted(mask.structures):
        structure = mask.structures[label]
        if label in there and structure in measured and structure not in chosen.values():
            chosen[label] = structure
    if not chosen:
        return Regions(None, {}, slices)
    made = segmentation(
        replace(mask, structures=chosen),
        series,
        seed=_seed(mask, series, chosen),
        number=SERIES_NUMBER,
        algorithm=_ALGORITHM,
        family=_FAMILY,
        parameters={"numbering": mask.system or "unknown", "parts": mask.parts},
        description="Measured regions of the spine",
    )
    made.SeriesDescription = "Endplate: measured regions"
    numbers = {chosen[label]: n for n, label in enumerate(sorted(chosen), 1)}
    return Regions(made, numbers, slices)


def _seed(mask: Mask, series: Series, chosen: Mapping[int, str]) -> str:
    """What all UIDs come from: equal regions of one image are the same object."""
    found = sha256(repr((series.uid, series.part, sorted(chosen.items()), mask.system)).encode())
    found.update(np.ascontiguousarray(mask.volume.array.transpose(2, 1, 0)).data)
    return found.hexdigest()
