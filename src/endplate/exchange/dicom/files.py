"""DICOM files as they lie on a disk: which files are DICOM, their headers, where their pixels are.

Nothing here decodes a pixel. A header is read with the elements that Endplate uses and no
others; whatever a broken or hostile file makes the parser do comes out as `Unreadable`.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from pydicom import dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.uid import (
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

# Names under which a file claims to be DICOM; any other file is DICOM only if its bytes say so.
SUFFIXES = (".dcm", ".dicom", ".ima", ".dic")
# The file meta information must lie in this many first bytes; it usually takes some hundred.
META_BYTES = 65536
_PIXEL_TAGS = (b"\xe0\x7f\x10\x00", b"\x7f\xe0\x00\x10")
_DEFLATED = b"1.2.840.10008.1.2.1.99"
_ITEM, _END = 0xFFFEE000, 0xFFFEE0DD
_ALL = 0xFFFFFFFF

_ELEMENTS = """
    SpecificCharacterSet ImageType SOPClassUID SOPInstanceUID StudyDate SeriesDate AcquisitionDate
    ContentDate AcquisitionDateTime AcquisitionTime Modality Manufacturer ManufacturerModelName
    SeriesDescription PatientName PatientIdentityRemoved PatientID IssuerOfPatientID
    PatientBirthDate PatientSex ContrastBolusAgent ContrastBolusAgentSequence ContrastBolusRoute
    ContrastBolusVolume ContrastBolusStartTime ContrastBolusTotalDose ScanningSequence
    SequenceVariant SequenceName PulseSequenceName ProtocolName KVP RepetitionTime EchoTime
    EchoNumbers MagneticFieldStrength SliceThickness TriggerTime ConvolutionKernel PatientPosition
    DiffusionBValue StudyInstanceUID SeriesInstanceUID SeriesNumber AcquisitionNumber InstanceNumber
    ImagePositionPatient ImageOrientationPatient FrameOfReferenceUID TemporalPositionIdentifier
    SamplesPerPixel PhotometricInterpretation NumberOfFrames Rows Columns PixelSpacing BitsAllocated
    BitsStored HighBit PixelRepresentation PixelPaddingValue PixelPaddingRangeLimit
    RescaleIntercept RescaleSlope RescaleType ModalityLUTSequence SharedFunctionalGroupsSequence
    PerFrameFunctionalGroupsSequence SegmentSequence SegmentationType MaximumFractionalValue
    ReferencedSeriesSequence ViewPosition ViewCodeSequence PatientOrientation ImagerPixelSpacing
    NominalScannedPixelSpacing PixelSpacingCalibrationType PixelAspectRatio
    EstimatedRadiographicMagnificationFactor DistanceSourceToDetector DistanceSourceToPatient
    PatientOrientationCodeSequence DistanceSourceToIsocenter PositionerType PositionerPrimaryAngle
"""
TAG = {keyword: int(tag_for_keyword(keyword) or 0) for keyword in _ELEMENTS.split()}
_TAGS: list[Any] = list(TAG.values())


class Unreadable(Exception):
    """A file that cannot be used, with the problem's id and one sentence that says why."""

    def __init__(self, problem: str, says: str) -> None:
        super().__init__(says)
        self.problem = problem
        self.says = says


@dataclass(frozen=True, slots=True)
class Pixels:
    """Where a file's pixel data begin, and how many bytes of them the file really holds.

    Compressed fragments have no length of their own: `available` is then 0 if one is cut off.
    """

    offset: int
    available: int


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Header:
    """The elements of one file that Endplate uses, as raw bytes until they are asked for.

    `kind` is the SOP Class UID, which says what the file is; it may be empty.
    """

    path: Path
    data: Dataset
    kind: UID
    syntax: UID
    pixels: Pixels | None

    def value(self, keyword: str) -> Any:
        """An element's value, as raw bytes where the file holds a short one; None if absent."""
        tag = TAG.get(keyword)
        element = None if tag is None else self.data.get_item(tag, keep_deferred=True)
        return None if element is None else element.value

    def converted(self, keyword: str) -> Any:
        """An element's value as pydicom converts it; None where it is absent or malformed."""
        try:
            return self.data.get(keyword)
        except Exception:  # pydicom answers broken bytes with many kinds of exceptions
            return None

    def text(self, keyword: str) -> str:
        """An element's value as text without padding; empty where it is absent."""
        return as_text(self.value(keyword))

    def numbers(self, keyword: str) -> tuple[float, ...]:
        """A decimal-string element's values; empty where it is absent or not all numbers."""
        return as_numbers(self.value(keyword))

    def integer(self, keyword: str) -> int | None:
        """An unsigned 16-bit element's value, such as Rows."""
        element = self.data.get_item(TAG[keyword], keep_deferred=True)
        value = None if element is None else element.value
        if isinstance(value, bytes):
            little = getattr(element, "is_little_endian", True)
            return int.from_bytes(value[:2], "little" if little else "big") if value else None
        numbers = as_numbers(value)
        return int(numbers[0]) if numbers else None


def as_text(value: Any) -> str:
    """A value, raw or converted, as text; several values with a backslash between them."""
    if value is None:
        return ""
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    elif _is_list(value):
        value = "\\".join(str(part) for part in value)
    return str(value).strip(" \0")


def as_numbers(value: Any) -> tuple[float, ...]:
    """A value, raw or converted, as numbers; empty where it is absent or not all numbers."""
    try:
        if isinstance(value, bytes):
            return tuple(float(part) for part in value.rstrip(b" \0").split(b"\\"))
        if value is None or (isinstance(value, str) and not value):
            return ()
        return tuple(float(v) for v in (value if _is_list(value) else [value]))
    except (TypeError, ValueError):
        return ()


def _is_list(value: Any) -> bool:
    return not isinstance(value, str | bytes) and hasattr(value, "__len__")


def dicom_files(paths: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    """Each file at or under `paths` that is DICOM or claims to be, with a short name for it.

    Links to folders are not followed, so that a loop ends. Other kinds of files are passed over.
    """
    seen: set[Path] = set()
    for given in paths:
        for path in _files(given):
            if path in seen or not (path.suffix.lower() in SUFFIXES or is_dicom(path)):
                continue
            seen.add(path)
            yield path, path.name if path == given else str(path.relative_to(given))


def _files(given: Path) -> Iterator[Path]:
    if not given.is_dir():
        yield given
        return
    for folder, inner, names in os.walk(given):
        inner.sort()
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_file():  # no pipe, socket or broken link
                yield path


def is_dicom(path: Path) -> bool:
    """Whether a file's first bytes are those of DICOM, with or without the usual preamble."""
    try:
        with path.open("rb") as file:
            start = file.read(132)
    except OSError:
        return False
    return start[128:] == b"DICM" or _begins_with_an_element(start)


def _begins_with_an_element(start: bytes) -> bool:
    """Whether these bytes are the first element of a headerless data set (group 0002 or 0008)."""
    if len(start) < 16:
        return False
    for order in "<>":
        group, element, length = struct.unpack(f"{order}HHI", start[:8])
        if group in (0x0002, 0x0008) and element <= 0x0018:
            explicit = start[4:6] in (b"UL", b"UI", b"CS", b"SH", b"OB", b"DA", b"TM")
            return explicit or length <= 64
    return False


def header(path: Path) -> Header:
    """The header of one DICOM file.

    Raises
    ------
    Unreadable
        If the file is empty, no DICOM, or broken before its pixels.
    """
    try:
        with path.open("rb") as file:
            return _header(path, file)
    except Unreadable:
        raise
    except OSError as problem:
        raise Unreadable(
            "dicom.cannot_open", f"The file cannot be opened ({problem.strerror})."
        ) from None
    except Exception:  # pydicom answers broken bytes with many kinds of exceptions
        raise Unreadable(
            "dicom.unreadable", "The file is broken: its DICOM header cannot be read."
        ) from None


def _header(path: Path, file: BinaryIO) -> Header:
    size = os.fstat(file.fileno()).st_size
    if size == 0:
        raise Unreadable("dicom.empty_file", "The file holds no bytes.")
    start = file.read(META_BYTES)
    if start[128:132] != b"DICM" and not _begins_with_an_element(start):
        raise Unreadable("dicom.not_dicom", "The file has a DICOM name but is no DICOM file.")
    refuse_deflated(start)
    file.seek(0)
    data = dcmread(file, stop_before_pixels=True, force=True, specific_tags=_TAGS)
    syntax = UID(str(data.file_meta.get("TransferSyntaxUID") or _guessed(data)))
    if not syntax.is_transfer_syntax:
        raise Unreadable("dicom.unreadable", "The file does not say how it is encoded.")
    kind = as_text(data.get("SOPClassUID") or data.file_meta.get("MediaStorageSOPClassUID"))
    return Header(path, data, UID(kind), syntax, _pixels(file, data, size))


def _guessed(data: Dataset) -> str:
    """The transfer syntax of a headerless file, by how the parser came through it."""
    implicit, little = data.original_encoding
    if not little:
        return ExplicitVRBigEndian
    return ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian


def refuse_deflated(start: bytes) -> None:
    """Refuse a file whose data set is deflated: pydicom would inflate it without any limit.

    Parameters
    ----------
    start
        The file's first `META_BYTES` bytes.

    Raises
    ------
    Unreadable
        If it is deflated, or its meta information does not end within `start`.
    """
    at = 132 if start[128:132] == b"DICM" else 0
    while start[at : at + 2] == b"\x02\x00" and at + 12 <= len(start):
        vr = start[at + 4 : at + 6]
        if vr in (b"OB", b"UN", b"OW", b"SQ", b"UT"):
            value, length = at + 12, int.from_bytes(start[at + 8 : at + 12], "little")
        elif vr.isalpha():
            value, length = at + 8, int.from_bytes(start[at + 6 : at + 8], "little")
        else:  # implicit, which is not allowed here but occurs
            value, length = at + 8, int.from_bytes(start[at + 4 : at + 8], "little")
        if start[at + 2 : at + 4] == b"\x10\x00" and _DEFLATED in start[value : value + length]:
            raise Unreadable(
                "dicom.deflated", "The file is deflated as a whole (a rare form) and was not read."
            )
        at = value + length
    if at + 12 > len(start) == META_BYTES:
        raise Unreadable("dicom.unreadable", "The file's meta information does not end.")


def _pixels(file: BinaryIO, data: Dataset, size: int) -> Pixels | None:
    """Where the pixel data begin; the parser has stopped right before them, if there are any."""
    head = file.read(12)
    if head[:4] not in _PIXEL_TAGS:
        return None
    implicit, little = data.original_encoding
    order = "<" if little else ">"
    at = file.tell() - len(head)
    if implicit:
        offset, (length,) = at + 8, struct.unpack(f"{order}I", head[4:8])
    else:
        offset, (length,) = at + 12, struct.unpack(f"{order}I", head[8:12])
    if length == _ALL:
        return Pixels(offset, size - offset if _fragments_are_whole(file, offset, size) else 0)
    return Pixels(offset, min(length, size - offset))


def _fragments_are_whole(file: BinaryIO, offset: int, size: int) -> bool:
    """Whether every compressed fragment lies within the file, up to the delimiter."""
    while offset + 8 <= size:
        file.seek(offset)
        group, element, length = struct.unpack("<HHI", file.read(8))
        tag = group << 16 | element
        if tag == _END:
            return True
        if tag != _ITEM:
            return False
        offset += 8 + length
    return False
