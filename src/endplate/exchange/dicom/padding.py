"""Pixels that were never measured: padding around the scanned field (PS3.3 section C.7.5.1.1.2).

Padding is a stored value, or a range of them, that a file names; it has no meaning as a
modality value, though rescaling would give it one: 63536 becomes metal.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from endplate.exchange.dicom.frames import Frame

# What padding becomes: the attenuation at which a CT's usual range begins, below that of air,
# and no signal in an MR.
AIR_HU = -1024
NO_SIGNAL = 0
# Modality values that tissue, metal and the signal of an MR can have. Some files name as padding
# a value that is measured as well (0, or the largest); padding lies at the edge of the plane.
_MEASURED = {"MR": (NO_SIGNAL, math.inf)}
_MEASURED_HU = (-900, 30710)  # from within air to the end of the extended range of HU


def empty(frame: Frame) -> int:
    """The modality value of a pixel that holds no measurement."""
    return NO_SIGNAL if frame.text("Modality") == "MR" else AIR_HU


def stored_padding(frame: Frame, *, is_signed: bool) -> tuple[int, int] | None:
    """The least and the largest stored value that are padding; None where the file names none."""
    value = frame.header.integer("PixelPaddingValue")
    if value is None or frame.text("Modality") == "SEG":  # of labels, 0 is background
        return None
    limit = frame.header.integer("PixelPaddingRangeLimit")
    # The element has 16 bits; its sign is that of the pixels, whatever type it was written as.
    ends = [n % 2**16 for n in (value, value if limit is None else limit)]
    if is_signed:
        ends = [n - 2**16 if n >= 2**15 else n for n in ends]
    return min(ends), max(ends)


def within(
    plane: npt.NDArray[np.integer], padding: tuple[int, int]
) -> npt.NDArray[np.bool_] | None:
    """Which stored values are padding; None where none is."""
    low, high = padding
    found = plane == low if low == high else (plane >= low) & (plane <= high)
    return found if found.any() else None


def certain(
    found: npt.NDArray[np.bool_], frame: Frame, padding: tuple[int, int], *, has_table: bool
) -> npt.NDArray[np.bool_]:
    """Of these pixels those that are padding for certain: no measured value, or at the edge."""
    slope, intercept = frame.slope or 1.0, frame.intercept or 0.0
    values = sorted(n * slope + intercept for n in padding)
    least, most = _MEASURED.get(frame.text("Modality"), _MEASURED_HU)
    if not has_table and (values[1] <= least or values[0] > most):
        return found
    areas, _ = ndimage.label(found)
    edges = np.concatenate([areas[0], areas[-1], areas[:, 0], areas[:, -1]])
    return np.isin(areas, np.unique(edges[edges > 0]))
