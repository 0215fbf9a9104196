"""What a radiograph's header says of itself: view, posture, day, scale, and where the front is.

Nothing is guessed. A length per pixel counts as the patient's own only where the header calls it
corrected or calibrated; that of the detector needs a magnification.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from pydicom.config import disable_value_validation
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from endplate.exchange.dicom.acquisition import iso_day
from endplate.exchange.dicom.files import SUFFIXES, Header, Unreadable, header, is_dicom
from endplate.exchange.dicom.series import Identity, identity
from endplate.facts import InputProblem, Problem
from endplate.posture import Posture

# X-rays through a body: computed and digital radiography, angiography, fluoroscopy, and pictures
# of unstated kind, as scanned films are.
_MODALITIES = ("CR", "DX", "RG", "XA", "RF", "XC", "SC", "OT", "")
_VIEWS = {"AP": "frontal", "PA": "frontal", "LL": "lateral", "RL": "lateral"}
_FRONTAL, _LATERAL = (
    tuple(getattr(codes.cid4010, name) for name in names)
    for names in (
        ("AnteroPosterior", "PosteroAnterior", "Frontal"),
        ("LateralProjection", "LeftLateral", "RightLateral", "Sagittal"),
    )
)
_POSTURES = {
    codes.cid20.Standing: Posture.STANDING,
    codes.cid20.Sitting: Posture.SITTING,
    codes.cid20.Supine: Posture.SUPINE,
    codes.cid20.Prone: Posture.PRONE,
    codes.cid20.LateralDecubitus: Posture.LATERAL,
    codes.cid20.LeftLateralDecubitus: Posture.LATERAL,
    codes.cid20.RightLateralDecubitus: Posture.LATERAL,
}
_CALIBRATED = ("GEOMETRY", "FIDUCIAL")
# Two lengths per pixel are written alike if they differ by less than this part.
_ALIKE = 1e-3
# Along the body, along the depth of it, across it.
_BODY, _DEPTH, _WIDTH = "HF", "AP", "LR"
Axis = tuple[int, float]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Film:
    """One radiograph as its header describes it.

    Attributes
    ----------
    says
        What it says of itself, by the names of `endplate.exchange.landmarks.SETTINGS`.
    magnification, doubt
        One that may be taken where nobody says another, and what is then doubtful.
    spacing_is
        What its pixel spacing is, where that leaves its magnification open.
    axes
        The coordinates that run across the body and up it: number and sign. None: upright.
    aspect
        Height of a pixel in its widths.
    problems
        What holds for all that is measured on it.
    """

    file: Header = field(repr=False)
    identity: Identity = field(repr=False)
    says: Mapping[str, Any]
    magnification: float | None = None
    doubt: Problem | None = None
    spacing_is: str = ""
    axes: tuple[Axis, Axis] | None
    aspect: float
    problems: tuple[Problem, ...] = ()

    @property
    def uid(self) -> str:
        """Its SOP Instance UID."""
        return self.file.text("SOPInstanceUID")

    @property
    def size(self) -> tuple[int, int]:
        """Columns and rows."""
        return self.file.integer("Columns") or 0, self.file.integer("Rows") or 0


def film(path: Path) -> Film:
    """A radiograph's header.

    Raises
    ------
    InputProblem
        If the file is none.
    """
    try:
        file = header(path)
    except Unreadable as problem:
        raise _refused(path.name, problem.says) from None
    if "Rows" not in file.data or "Columns" not in file.data:
        raise _refused(path.name, "It holds no picture.")
    if file.text("Modality") not in _MODALITIES:
        raise _refused(path.name, "It is an image of another kind.")
    try:
        with disable_value_validation(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pydicom's warnings print values
            return _film(path, file)
    except InputProblem:
        raise
    except Exception as problem:  # pydicom answers broken bytes with many kinds of exceptions
        raise _refused(path.name, f"Its header is broken ({type(problem).__name__}).") from None


def _refused(name: str, says: str) -> InputProblem:
    return InputProblem(
        f"{name}: cannot be used as a radiograph. A DICOM image of one view is needed; "
        f"{says[0].lower()}{says[1:]} Give the image that was measured on."
    )


def _film(path: Path, file: Header) -> Film:
    view, axes, towards = _view_and_axes(path.name, file)
    says: dict[str, Any] = {"view": view, "posture": _posture(file), "on": _day(file)}
    if view is not None and towards is not None:
        says["anterior" if view == "lateral" else "patient_left"] = towards
    scale = _scale(path.name, file)
    return Film(
        file=file,
        identity=identity(path),
        says={name: value for name, value in (says | scale.says).items() if value is not None},
        magnification=scale.magnification,
        doubt=scale.doubt,
        spacing_is=scale.spacing_is,
        axes=axes,
        aspect=_aspect(file, scale.says),
        problems=scale.problems,
    )


def beside(path: Path, wanted: Iterable[str]) -> dict[str, Path]:
    """The images of these SOP Instance UIDs that lie in the same folder as a file: UID → file."""
    left, found = set(wanted), dict[str, Path]()
    for other in sorted(path.absolute().parent.iterdir()):
        if not left:
            break
        is_file = other.is_file() and other.name != path.name
        if not is_file or not (other.suffix.lower() in SUFFIXES or is_dicom(other)):
            continue
        try:
            file = header(other)
        except Unreadable:
            continue
        uid = file.text("SOPInstanceUID")
        if uid in left and "Rows" in file.data:
            left.remove(uid)
            found[uid] = other
    return found


# -- what the header says ---------------------------------------------------------------------


def _day(file: Header) -> date | None:
    for keyword in ("AcquisitionDate", "AcquisitionDateTime", "SeriesDate", "StudyDate"):
        if (day := iso_day(file.text(keyword))) is not None:
            return day
    return None


def _coded(file: Header, keyword: str) -> list[Any]:
    found = file.converted(keyword)
    return list(found) if found and not isinstance(found, str | bytes) else []


def _code(item: Any) -> Code:
    value, scheme = item.get("CodeValue") or "", item.get("CodingSchemeDesignator") or ""
    return Code(str(value), str(scheme), "")


def _posture(file: Header) -> str | None:
    """The one posture that the header's codes of patient orientation state."""
    found = set()
    for item in _coded(file, "PatientOrientationCodeSequence"):
        for one in (item, *(item.get("PatientOrientationModifierCodeSequence") or ())):
            found |= {p for known, p in _POSTURES.items() if known == _code(one)}
    return found.pop().value if len(found) == 1 else None


def _view_and_axes(
    name: str, file: Header
) -> tuple[str | None, tuple[Axis, Axis] | None, str | None]:
    """View, the coordinates across and up the body, and on which side the front or the left is.

    Raises
    ------
    InputProblem
        If its view and its orientation contradict each other.
    """
    views = {_VIEWS.get(file.text("ViewPosition").upper())}
    for item in _coded(file, "ViewCodeSequence"):
        views |= {"frontal" for known in _FRONTAL if known == _code(item)}
        views |= {"lateral" for known in _LATERAL if known == _code(item)}
    words = [word.strip().upper()[:1] for word in file.text("PatientOrientation").split("\\")]
    axes = towards = None
    if len(words) == 2:
        for across, up in ((0, 1), (1, 0)):
            if words[up] in _BODY and words[up] and words[across] in _DEPTH + _WIDTH:
                if not words[across]:
                    continue
                axes = (across, 1.0), (up, -1.0 if words[up] == "F" else 1.0)
                views.add("lateral" if words[across] in _DEPTH else "frontal")
                towards = "right" if words[across] in "AL" else "left"
    views -= {None}
    if len(views) > 1:
        raise InputProblem(
            f"{name}: cannot be used as a radiograph. View and patient orientation that agree are "
            f"needed; one is lateral and the other frontal. Have its header corrected."
        )
    return next(iter(views), None), axes, towards


def _pair(file: Header, keyword: str) -> list[float] | None:
    """Distance between rows and between columns."""
    numbers = file.numbers(keyword)
    usable = len(numbers) == 2 and all(math.isfinite(n) and n > 0 for n in numbers)
    return list(numbers) if usable else None


def _number(file: Header, keyword: str) -> float | None:
    numbers = file.numbers(keyword)
    return numbers[0] if numbers and math.isfinite(numbers[0]) and numbers[0] > 0 else None


@dataclass(frozen=True, slots=True)
class _Scale:
    says: dict[str, Any] = field(default_factory=dict)
    magnification: float | None = None
    doubt: Problem | None = None
    spacing_is: str = ""
    problems: tuple[Problem, ...] = ()


def _scale(name: str, file: Header) -> _Scale:
    """Pixel spacing and magnification: what is stated, what may be taken, what is doubtful."""
    own = _pair(file, "PixelSpacing")
    there = _pair(file, "ImagerPixelSpacing") or _pair(file, "NominalScannedPixelSpacing")
    is_calibrated = file.text("PixelSpacingCalibrationType").upper() in _CALIBRATED
    if own and (is_calibrated or (there and _is_smaller(own, there))):
        return _Scale({"pixel_spacing": own, "magnification": 1.0})
    if own and there and _is_smaller(there, own):
        says = "The image's pixel spacing is larger than that at its detector, which is where a " \
            "body is largest: neither was used."  # fmt: skip
        then = "Give --pixel-spacing and --magnification where they are known."
        return _Scale(problems=(_problem(name, "alignment.spacings_contradict", says, then),))
    if there is None:
        where = "its image does not say whether its pixel spacing is that of the patient"
        return _Scale({"pixel_spacing": own}, spacing_is=where) if own else _Scale()
    spacing: dict[str, Any] = {"pixel_spacing": there}
    if (stated := _number(file, "EstimatedRadiographicMagnificationFactor")) is not None:
        return _Scale(spacing | {"magnification": stated})
    detector = _number(file, "DistanceSourceToDetector")
    patient = _number(file, "DistanceSourceToPatient")
    if detector is None or patient is None or detector < patient:
        return _Scale(spacing, spacing_is="the pixel spacing of its image is that at the detector")
    says = "The magnification is the ratio of the image's distances from the source to the " \
        "detector and to the patient. Many devices give the latter to the support and not to the " \
        "spine: lengths may be too long."  # fmt: skip
    then = "Give --magnification where it is known."
    doubt = _problem(name, "alignment.magnification_by_distances", says, then)
    return _Scale(spacing, detector / patient, doubt)


def _is_smaller(one: list[float], other: list[float]) -> bool:
    """Whether a pixel is smaller by more than rounding, in either direction.

    By part 3 of the standard a pixel spacing other than the detector's was corrected or calibrated.
    """
    return any(a < b * (1 - _ALIKE) for a, b in zip(one, other, strict=True))


def _problem(name: str, id: str, says: str, then: str) -> Problem:
    return Problem(problem=id, where=name, says=says, try_=(then,))


def _aspect(file: Header, scale: Mapping[str, Any]) -> float:
    """Height of a pixel in its widths; 1 where nobody says it."""
    rows, columns = scale.get("pixel_spacing") or _pair(file, "PixelAspectRatio") or (1.0, 1.0)
    return float(rows / columns)
