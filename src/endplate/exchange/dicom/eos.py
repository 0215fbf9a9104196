"""The geometry of a slot scanner's picture (EOS) from its DICOM header; no pixel is read.

Two spacings are told apart (PS3.3, section 10.7.1): Imager Pixel Spacing is that at the detector,
Pixel Spacing one in the patient. Of which plane it is, is known where both are there and fit the
distances; alone it is taken, and the user has to say.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from endplate.exchange.dicom import files
from endplate.exchange.dicom.acquisition import iso_day
from endplate.facts import InputProblem

# Two spacings fit the distances within this part.
_FITS = 0.01
# A positioner's angle names a side within this many degrees.
_SIDE = 10.0
# Where the detector stands by the primary angle (PS3.3 C.8.7.5.1.2: at 0 the patient faces it, at
# +90 it is at the left hand); the rays come from the other side.
_SOURCES = {0: "posterior", 90: "right", -90: "left", 180: "anterior", -180: "anterior"}
# The lateral views' terms name the side of the patient, and do not say whether that of the tube.
_BY_VIEW = {"AP": "anterior", "PA": "posterior"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a header says, in the words of the landmark files.

    Attributes
    ----------
    settings
        Of the radiograph itself: ``pixel_spacing``, ``on``, which side of the picture is which.
    eos
        How it was taken; what the header does not say is not there.
    assumed
        What of it no header says and was taken to be so.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    eos: Mapping[str, Any] = field(default_factory=dict)
    assumed: tuple[str, ...] = ()


def read(path: Path, view: str) -> Header:
    """The geometry in the header of one picture.

    Raises
    ------
    InputProblem
        If it is no DICOM file, or what it says contradicts itself or the view.
    """
    data = _header(path)
    name = path.name
    near, far = _distances(name, data)
    eos: dict[str, Any] = {}
    if near is not None:
        eos["source_to_isocentre_mm"] = near
    if far is not None:
        eos["source_to_detector_mm"] = far
    spacing, is_known = _spacing(name, data, near, far)
    settings: dict[str, Any] = {}
    if spacing is not None:
        settings["pixel_spacing"] = spacing
    if is_known:
        eos["spacing_at"] = "isocentre"
    if (source := _source(name, data, view)) is not None:
        eos["source"] = source
    columns = data.integer("Columns")
    if columns is not None:
        # Points are counted from the middle of the first column. No element of a radiograph tells
        # where the isocentre stands.
        eos["isocentre_column"] = (columns - 1) / 2
    days = (iso_day(data.text(k)) for k in ("AcquisitionDate", "SeriesDate", "StudyDate"))
    if (day := next((d for d in days if d is not None), None)) is not None:
        settings["on"] = day
    settings |= _facing(data, view)
    return Header(settings=settings, eos=eos, assumed=("isocentre_column",) if columns else ())


def _header(path: Path) -> files.Header:
    if not path.is_file():
        _refuse(path.name, "A DICOM file", "there is none of that name", "Check the path.")
    if not files.is_dicom(path):
        _refuse(
            path.name, "A DICOM file", "it is none", "Give the picture as the scanner wrote it."
        )
    try:
        return files.header(path)
    except files.Unreadable as problem:
        _refuse(path.name, "A DICOM file that can be read", problem.says[:-1].lower(),
                "Export it again.")  # fmt: skip


def _refuse(name: str, needed: str, got: str, then: str) -> NoReturn:
    raise InputProblem(
        f"{name}: cannot be used as a slot scanner's picture. {needed} is needed; {got}. {then}"
    )


def _numbers(data: files.Header, keyword: str) -> tuple[float, ...]:
    """An element's values as finite numbers, whether it is text or binary."""
    found = files.as_numbers(data.converted(keyword))
    return found if all(map(math.isfinite, found)) else ()


def _length(data: files.Header, keyword: str) -> float | None:
    found = _numbers(data, keyword)
    return found[0] if len(found) == 1 and found[0] > 0 else None


def _distances(name: str, data: files.Header) -> tuple[float | None, float | None]:
    """From the source to the isocentre and to the detector, mm."""
    near = _length(data, "DistanceSourceToIsocenter") or _length(data, "DistanceSourceToPatient")
    far = _length(data, "DistanceSourceToDetector")
    if near is not None and far is not None and near >= far:
        _refuse(name, "A detector farther from the source than the patient is", "it is nearer",
                "Give the picture as the scanner wrote it.")  # fmt: skip
    return near, far


def _spacing(
    name: str, data: files.Header, near: float | None, far: float | None
) -> tuple[tuple[float, float] | None, bool]:
    """The patient's spacing between columns and between rows, and whether its plane is known."""
    own, at_detector = _pair(data, "PixelSpacing"), _pair(data, "ImagerPixelSpacing")
    if own is None or at_detector is None or near is None or far is None:
        return own, False
    patient = _length(data, "DistanceSourceToPatient") or near
    share = own[0] / at_detector[0]
    if not any(abs(share * far / plane - 1) <= _FITS for plane in (near, patient)):
        _refuse(
            name, "A pixel spacing that is the detector's in the plane of the isocentre",
            f"it is {share:.3f} of it where the distances tell {near / far:.3f}",
            "Give pixel_spacing and eos in the file of landmarks, without the image.",
        )  # fmt: skip
    # Across, the angle of a ray counts, whichever plane the spacing was written for.
    return (at_detector[0] * near / far, own[1]), True


def _pair(data: files.Header, keyword: str) -> tuple[float, float] | None:
    """Spacing between columns (x) and between rows (y)."""
    found = _numbers(data, keyword)
    if len(found) != 2 or min(found) <= 0:
        return None
    return found[1], found[0]


def _source(name: str, data: files.Header, view: str) -> str | None:
    """The side of the patient from which the rays came."""
    found = {_BY_VIEW.get(data.text("ViewPosition").upper())}
    angle = _numbers(data, "PositionerPrimaryAngle")
    if len(angle) == 1 and data.text("PositionerType").upper() in ("", "CARM"):
        near = round(angle[0] / 90) * 90
        if abs(angle[0] - near) <= _SIDE:
            found.add(_SOURCES.get(near))
    found.discard(None)
    if len(found) > 1:
        _refuse(name, "One side from which the rays came", "its view and its angle tell two",
                "Give source in eos in the file of landmarks, without the image.")  # fmt: skip
    source = next(iter(found), None)
    frontal = source in _BY_VIEW.values()
    if source is not None and frontal != (view == "frontal"):
        _refuse(name, f"A {view} picture", "its header tells another view",
                "Give each file of landmarks its own picture.")  # fmt: skip
    return source


def _facing(data: files.Header, view: str) -> dict[str, str]:
    """Which side of the picture the person faces, or the patient's left is on."""
    first = data.text("PatientOrientation").upper()
    along = first.split("\\")[0].strip()[:1]
    towards = {"lateral": {"A": "right", "P": "left"}, "frontal": {"L": "right", "R": "left"}}
    if (side := towards[view].get(along)) is None:
        return {}
    return {"anterior" if view == "lateral" else "patient_left": side}
