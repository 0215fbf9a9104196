"""Stored pixels to modality values: HU for CT, signal for MR.

Uncompressed planes are read from their place in the file straight into the array; compressed
ones go through pydicom's decoders, after their own header has been held against the file's.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_modality_lut
from pydicom.uid import UID, ExplicitVRBigEndian, RLELossless

from endplate.exchange.dicom.files import Header, Unreadable
from endplate.exchange.dicom.frames import Frame
from endplate.exchange.dicom.padding import certain, empty, stored_padding, within

Voxels = npt.NDArray[Any]  # int16 or float32
_INT16 = np.iinfo(np.int16)
# Reading waits for the disk, and numpy and the decoders let go of the interpreter in part.
_READERS = max(2, min(4, os.cpu_count() or 2))


class _Format(NamedTuple):
    """How one file stores a pixel."""

    allocated: int
    stored: int
    high: int
    is_signed: bool
    is_big_endian: bool

    @property
    def dtype(self) -> np.dtype[Any]:
        order, sign = ">" if self.is_big_endian else "<", "i" if self.is_signed else "u"
        return np.dtype(f"{order}{sign}{self.allocated // 8}")

    def fits_int16(self, shift: int) -> bool:
        """Whether any value that can be stored is an int16 after `shift` was added."""
        low, high = (-(2 ** (self.stored - 1)), 2 ** (self.stored - 1) - 1)
        if not self.is_signed:
            low, high = 0, 2**self.stored - 1
        return bool(_INT16.min <= low + shift and high + shift <= _INT16.max)


class _TooLargeForInt16(Exception):
    """A value that int16 does not hold: the volume is read as float32 instead."""


def form(header: Header) -> _Format:
    """How a file stores its pixels; `Unreadable` where that is no form of a CT or MR image."""
    allocated = header.integer("BitsAllocated") or 0
    stored = header.integer("BitsStored") or allocated
    high = header.integer("HighBit")
    high = stored - 1 if high is None else high
    if allocated not in (8, 16, 32) or not stored <= high + 1 <= allocated:
        raise Unreadable(
            "dicom.pixel_format", f"Its pixels are stored in an unusual form ({allocated} bits)."
        )
    signed = header.integer("PixelRepresentation") == 1
    return _Format(allocated, stored, high, signed, header.syntax == ExplicitVRBigEndian)


def is_whole(frame: Frame) -> bool:
    """Whether the file holds all of a plane's pixels; nothing is decoded."""
    pixels = frame.header.pixels
    if pixels is None or frame.header.syntax.is_encapsulated:
        return pixels is not None and pixels.available > 0
    size = frame.rows * frame.columns * form(frame.header).allocated // 8
    return (frame.index + 1) * size <= pixels.available


def is_decodable(syntax: UID) -> bool:
    """Whether pixels of this transfer syntax can be read with what is installed."""
    if not syntax.is_encapsulated:
        return True
    try:
        return bool(get_decoder(syntax).is_available)
    except NotImplementedError:
        return False


def voxels(frames: Sequence[Frame]) -> Voxels:
    """Modality values of planes of one size, shape (planes, rows, columns).

    int16 where every plane has a slope of 1 and a whole-number intercept and all values fit;
    float32 otherwise. Bits above Bits Stored are cleared (old overlays lie there), and padding
    becomes air or no signal (see `endplate.exchange.dicom.padding`).

    Raises
    ------
    Unreadable
        If a plane cannot be decoded.
    """
    shape = (len(frames), frames[0].rows, frames[0].columns)
    whole = all(_is_whole(frame) for frame in frames)
    try:
        return _filled(np.empty(shape, np.int16 if whole else np.float32), frames)
    except _TooLargeForInt16:
        return _filled(np.empty(shape, np.float32), frames)


def _is_whole(frame: Frame) -> bool:
    return (
        frame.slope in (None, 1.0)
        and float(frame.intercept or 0.0).is_integer()
        and not has_table(frame.header)
    )


def _filled(out: Voxels, frames: Sequence[Frame]) -> Voxels:
    files: dict[int, list[tuple[int, Frame]]] = {}
    for place, frame in enumerate(frames):
        files.setdefault(id(frame.header), []).append((place, frame))
    with ThreadPoolExecutor(_READERS) as readers:
        for _ in readers.map(lambda places: _fill(out, places), files.values()):
            pass
    return out


def _fill(out: Voxels, places: Sequence[tuple[int, Frame]]) -> None:
    """Put the planes of one file into their places in the array."""
    header = places[0][1].header
    how = form(header)
    encapsulated = header.syntax.is_encapsulated
    if encapsulated and header.syntax != RLELossless:  # the JPEG family drops unused bits
        how = how._replace(high=how.stored - 1)
    planes = _decoded(places, how) if encapsulated else _native(out, places, how)
    for (place, frame), plane in zip(places, planes, strict=True):
        _modality(plane, frame, how, out[place])


def _native(
    out: Voxels, places: Sequence[tuple[int, Frame]], how: _Format
) -> Iterator[npt.NDArray[Any]]:
    """The uncompressed planes of one file, where possible read straight into their places."""
    header = places[0][1].header
    pixels = header.pixels
    if pixels is None:
        raise Unreadable("dicom.no_pixels", "The image holds no pixels.")
    size = out[0].size * how.allocated // 8
    in_place = out.dtype == np.int16 and how.allocated == 16 and not how.is_big_endian
    with header.path.open("rb", buffering=0) as file:
        for place, frame in places:
            plane = out[place].view(how.dtype) if in_place else np.empty(out[0].shape, how.dtype)
            file.seek(pixels.offset + frame.index * size)
            if file.readinto(plane.data) != size:
                raise Unreadable("dicom.truncated_slice", "The file ends within its pixels.")
            yield plane


def _modality(plane: npt.NDArray[Any], frame: Frame, how: _Format, out: Voxels) -> None:
    """Stored values of one plane as modality values, written to `out`; they may be one memory."""
    if plane.dtype.byteorder == ">":
        plane = plane.astype(plane.dtype.newbyteorder("="))
    blank = _padded(plane, frame, how)
    slope, intercept = frame.slope or 1.0, frame.intercept or 0.0
    if has_table(frame.header):
        out[...] = _looked_up(plane, frame.header)
    elif out.dtype == np.float32:
        np.multiply(plane, slope, out=out, casting="unsafe")
        out += np.float32(intercept)
    else:
        shift = int(intercept)
        if not how.fits_int16(shift) and not _fits_int16(plane, shift):
            raise _TooLargeForInt16
        if plane.itemsize == out.itemsize:  # modulo 2**16 the sum is right for both signs
            np.add(plane.view(np.uint16), np.uint16(shift % 2**16), out=out.view(np.uint16))
        else:
            np.add(plane, shift, out=out, casting="unsafe", dtype=np.int64)
    if blank is not None:
        out[blank] = empty(frame)


def _padded(plane: npt.NDArray[Any], frame: Frame, how: _Format) -> npt.NDArray[np.bool_] | None:
    """Clear unused bits, and padding, which is returned; None where there is none.

    Padding that needs the unused bits, such as -2000 in 12 of them, is seen before they go.
    """
    padding = stored_padding(frame, is_signed=how.is_signed)
    found = [within(plane, padding)] if padding else []
    if how.stored < how.allocated:
        _clear_unused_bits(plane, how)
        found += [within(plane, padding)] if padding else []
    seen = [one for one in found if one is not None]
    if padding is None or not seen:
        return None
    either = np.logical_or(seen[0], seen[-1])
    blank = certain(either, frame, padding, has_table=has_table(frame.header))
    plane[blank] = 0  # a value that always fits
    return blank


def has_table(header: Header) -> bool:
    """Whether a Modality LUT Sequence takes the place of slope and intercept."""
    return header.value("ModalityLUTSequence") is not None


def _looked_up(plane: npt.NDArray[Any], header: Header) -> npt.NDArray[Any]:
    try:
        return apply_modality_lut(plane, header.data)
    except Exception:  # a table that is none
        raise Unreadable(
            "dicom.broken_lookup_table", "Its table of values (Modality LUT) is broken."
        ) from None


def _fits_int16(plane: npt.NDArray[Any], shift: int) -> bool:
    return bool(int(plane.min()) + shift >= _INT16.min and int(plane.max()) + shift <= _INT16.max)


def _clear_unused_bits(plane: npt.NDArray[Any], how: _Format) -> None:
    """Take the bits from High Bit downwards, with their sign; the shifts are in place."""
    bits = 8 * plane.itemsize
    plane <<= bits - 1 - how.high
    plane >>= bits - how.stored  # arithmetic for signed values


def _decoded(places: Sequence[tuple[int, Frame]], how: _Format) -> Iterator[npt.NDArray[Any]]:
    """The compressed planes of one file; what each claims about itself is checked first."""
    try:
        streams = _streams(places)
        for _, frame in places:
            yield _decompressed(streams.pop(frame.index), frame, how)
    except Unreadable:
        raise
    except Exception:  # every decoder has its own errors
        syntax = places[0][1].header.syntax.name
        raise Unreadable(
            "dicom.cannot_decode", f"A slice could not be decoded ({syntax})."
        ) from None


def _streams(places: Sequence[tuple[int, Frame]]) -> dict[int, bytes]:
    """The compressed bytes of the planes of one file, by frame number."""
    header, frame = places[0][1].header, places[0][1]
    if header.pixels is None:
        raise Unreadable("dicom.no_pixels", "The image holds no pixels.")
    wanted = {frame.index for _, frame in places}
    with header.path.open("rb") as file:
        file.seek(header.pixels.offset)
        count = int(frame.number("NumberOfFrames") or 1)
        streams = enumerate(generate_frames(file, number_of_frames=count))
        return {index: stream for index, stream in streams if index in wanted}


def _decompressed(stream: bytes, frame: Frame, how: _Format) -> npt.NDArray[Any]:
    """One compressed plane as stored values."""
    if claimed_size(stream) not in (None, (frame.rows, frame.columns, 1)):
        raise Unreadable(
            "dicom.contradicting_size", "A compressed slice claims another size than its header."
        )
    described: Any = {
        "rows": frame.rows,
        "columns": frame.columns,
        "bits_allocated": how.allocated,
        "bits_stored": how.stored,
        "samples_per_pixel": 1,
        "number_of_frames": 1,
        "photometric_interpretation": "MONOCHROME2",
        "pixel_representation": int(how.is_signed),
        "pixel_keyword": "PixelData",
    }
    decoder = get_decoder(frame.header.syntax)
    alone = encapsulate([stream], has_bot=False)
    decoded, _ = decoder.as_array(alone, index=0, raw=True, **described)
    return np.array(decoded.reshape(frame.rows, frame.columns))  # it may be read-only


def claimed_size(stream: bytes) -> tuple[int, int, int] | None:
    """Rows, columns and components that a JPEG, JPEG-LS or JPEG 2000 stream claims, if it is one.

    A decoder allocates what the stream claims, whatever the DICOM header says.
    """
    at = stream.find(b"\xff\x4f\xff\x51", 0, 4096)  # JPEG 2000: start of codestream, SIZ
    if at >= 0 and len(stream) >= at + 42:
        x1, y1, x0, y0 = struct.unpack(">4I", stream[at + 8 : at + 24])
        return y1 - y0, x1 - x0, struct.unpack(">H", stream[at + 40 : at + 42])[0]
    if stream[:2] != b"\xff\xd8":
        return None
    at = 2
    while at + 9 <= len(stream) and stream[at] == 0xFF:
        marker, length = stream[at + 1], int.from_bytes(stream[at + 2 : at + 4], "big")
        # C0-CF are the frame headers of JPEG but for tables (C4, C8, CC); F7 is that of JPEG-LS
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            rows, columns = struct.unpack(">HH", stream[at + 5 : at + 9])
            return rows, columns, stream[at + 9]
        at += 1 if marker == 0xFF else 2 + length
    return None
