"""Single image planes: of classic files, one to a file, and of enhanced multi-frame files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from endplate.exchange.dicom.files import Header, Unreadable, as_numbers, as_text

_NONE: Mapping[str, Any] = MappingProxyType({})
# No CT or MR matrix is larger; a header that claims one is wrong or an attack on the memory.
MOST_SIDE = 4096
MOST_FRAMES = 65536
# What the functional groups of enhanced objects call the elements of classic ones.
_ALSO = {
    "EffectiveEchoTime": "EchoTime",
    "FrameType": "ImageType",
    "TemporalPositionIndex": "TemporalPositionIdentifier",
    "FrameAcquisitionNumber": "AcquisitionNumber",
}


class Frame:
    """One plane of pixels: its place in the patient and how its stored values are to be read.

    Attributes
    ----------
    header, index
        The file it is in, and its number there, counted from 0.
    position, orientation, spacing
        Image Position and Orientation (Patient), Pixel Spacing; None where absent or not finite.
    slope, intercept
        Of the rescale to modality values; None where the file does not say.
    """

    __slots__ = (
        "columns",
        "groups",
        "header",
        "index",
        "intercept",
        "orientation",
        "position",
        "rows",
        "slope",
        "spacing",
    )

    def __init__(self, header: Header, index: int = 0, groups: Mapping[str, Any] = _NONE) -> None:
        self.header = header
        self.index = index
        self.groups = groups
        self.position = self._finite("ImagePositionPatient", 3)
        self.orientation = self._finite("ImageOrientationPatient", 6)
        spacing = self._finite("PixelSpacing", 2)
        self.spacing = (spacing[0], spacing[1]) if spacing and min(spacing) > 0 else None
        self.rows = header.integer("Rows") or 0
        self.columns = header.integer("Columns") or 0
        slope, intercept = self.numbers("RescaleSlope"), self.numbers("RescaleIntercept")
        self.slope = slope[0] if slope and math.isfinite(slope[0]) and slope[0] else None
        self.intercept = intercept[0] if intercept and math.isfinite(intercept[0]) else None

    @property
    def frame_number(self) -> int:
        """Its number as a reference to it gives it, from 1; 0 in a file that holds one image."""
        return 0 if self.groups is _NONE else self.index + 1

    def value(self, keyword: str) -> Any:
        """An element's value for this plane, raw or converted; None where it is absent."""
        return self.groups[keyword] if keyword in self.groups else self.header.value(keyword)

    def text(self, keyword: str) -> str:
        """An element's value for this plane as text; empty where it is absent."""
        return as_text(self.value(keyword))

    def words(self, keyword: str) -> tuple[str, ...]:
        """The values of a text element that may have several."""
        text = self.text(keyword)
        return tuple(part.strip() for part in text.split("\\")) if text else ()

    def numbers(self, keyword: str) -> tuple[float, ...]:
        """An element's numbers for this plane; empty where it is absent or not all numbers."""
        return as_numbers(self.value(keyword))

    def number(self, keyword: str) -> float | None:
        """An element's first number for this plane."""
        numbers = self.numbers(keyword)
        return numbers[0] if numbers and math.isfinite(numbers[0]) else None

    def _finite(self, keyword: str, count: int) -> tuple[float, ...] | None:
        numbers = self.numbers(keyword)
        return numbers if len(numbers) == count and all(map(math.isfinite, numbers)) else None


def frames(header: Header) -> list[Frame]:
    """All planes of one image file.

    Raises
    ------
    Unreadable
        If the file claims sizes that no CT or MR has, or its planes cannot be told apart.
    """
    rows, columns = header.integer("Rows") or 0, header.integer("Columns") or 0
    if header.pixels is None or not rows or not columns:
        raise Unreadable("dicom.no_pixels", "The image holds no pixels.")
    if max(rows, columns) > MOST_SIDE:
        raise Unreadable(
            "dicom.too_large",
            f"The image claims {rows} x {columns} pixels; more than {MOST_SIDE} on a side are "
            f"not read.",
        )
    count = int((as_numbers(header.value("NumberOfFrames")) or (1,))[0])
    if not 0 < count <= MOST_FRAMES:
        raise Unreadable("dicom.too_large", f"The file claims {count} frames and was not read.")
    if "PerFrameFunctionalGroupsSequence" not in header.data:
        if count > 1:
            raise Unreadable(
                "dicom.frames_without_place",
                "The file holds several frames but not the place of each; it was not read.",
            )
        return [Frame(header)]
    each = header.converted("PerFrameFunctionalGroupsSequence") or ()
    if len(each) != count:
        raise Unreadable(
            "dicom.frames_without_place",
            "The file holds another number of frames than it describes; it was not read.",
        )
    try:
        shared = _flat(header.converted("SharedFunctionalGroupsSequence"))
        return [Frame(header, i, shared | _flat([item])) for i, item in enumerate(each)]
    except Exception:  # pydicom answers broken bytes with many kinds of exceptions
        raise Unreadable(
            "dicom.unreadable", "The file is broken: its frames' descriptions cannot be read."
        ) from None


def _flat(groups: Any) -> dict[str, Any]:
    """The elements of all functional groups of one frame, by keyword."""
    found: dict[str, Any] = {}
    for group in groups or ():
        for sequence in group:
            for item in sequence.value if sequence.VR == "SQ" else ():
                for element in item:
                    if element.VR != "SQ" and element.keyword:
                        found[_ALSO.get(element.keyword, element.keyword)] = element.value
    return found
