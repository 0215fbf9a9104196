"""CT and MR series from folders of DICOM files.

Listing reads headers only; pixels are decoded when `Series.volume` is asked. What is wrong with
a series is found while listing, and has a stable id:

=============================== ==============================================================
not read at all                 ``dicom.no_such_file`` ``dicom.cannot_open`` ``dicom.empty_file``
                                ``dicom.not_dicom`` ``dicom.unreadable``
                                ``dicom.deflated`` ``dicom.no_pixels`` ``dicom.too_large``
                                ``dicom.pixel_format`` ``dicom.frames_without_place``
set aside on purpose            ``dicom.not_an_image`` ``dicom.localizer`` ``dicom.projection``
                                ``dicom.colour`` ``dicom.other_modality``
one series, several volumes     ``dicom.mixed_orientation`` ``dicom.mixed_matrix``
(each is read as its own)       ``dicom.mixed_frame_of_reference`` ``dicom.several_phases``
                                ``dicom.interleaved_acquisitions``
slices left out                 ``dicom.duplicate_slice`` (equal copies),
                                ``dicom.truncated_slice`` ``dicom.no_position``
the series cannot be used       ``dicom.missing_slice`` ``dicom.irregular_spacing``
                                ``dicom.contradicting_slices`` (one place, different pixels)
                                ``dicom.single_slice`` ``dicom.two_persons``
                                ``dicom.no_decoder`` ``dicom.not_hounsfield``
                                ``dicom.no_volume`` (no slice is left)
                                ``dicom.monochrome1`` (MR: the zero of its signal is unknown)
used, and said                  ``dicom.gantry_tilt`` ``dicom.no_series_uid``
                                ``dicom.mixed_acquisition`` ``dicom.contrast_perhaps``
                                ``dicom.localizer_perhaps`` ``dicom.field_strength_unit``
                                ``dicom.unit_unstated`` ``dicom.virtual_monoenergetic``
=============================== ==============================================================

A slice that is left out in the middle leaves a gap, and the series cannot be used; at an end the
volume is shorter by it. A tilted gantry is kept exactly: the affine is then a shear.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from pydicom.config import disable_value_validation

from endplate import vocabulary
from endplate.exchange.dicom import stack
from endplate.exchange.dicom.acquisition import acquisition, iso_day
from endplate.exchange.dicom.files import Header, Unreadable, dicom_files, header
from endplate.exchange.dicom.frames import Frame, frames
from endplate.exchange.dicom.parts import Faults, doubles, parts, positions, usable
from endplate.exchange.dicom.pixels import form, has_table, is_decodable, voxels
from endplate.exchange.intake import Intake, Understood
from endplate.facts import InputProblem, Problem
from endplate.images.volume import Acquisition, Slice, Volume
from endplate.posture import Posture

# A volume above this is no spine CT (1024 x 1024 x 2000 is half of it) but a wrong header.
MOST_VOXELS = 2**32
_STORAGE = "1.2.840.10008.5.1.4.1.1."
_IMAGES = {_STORAGE + n for n in ("2", "2.1", "2.2", "4", "4.1", "4.4")}
_SEGMENTATIONS = {_STORAGE + n for n in ("66.4", "66.7")}
# Structured reports that can hold measurements: Enhanced, Comprehensive, Comprehensive 3D,
# Extensible.
_REPORTS = {_STORAGE + n for n in ("88.22", "88.33", "88.34", "88.35")}
_GREY = ("MONOCHROME1", "MONOCHROME2", "")


@dataclass(frozen=True, slots=True, repr=False)
class Identity:
    """Whose images these are, to compare and never to print."""

    patient_id: str = ""
    issuer: str = ""
    birth_date: str = ""
    sex: str = ""
    name: str = ""

    def contradicts(self, other: Identity) -> tuple[str, ...]:
        """By what two identities cannot be one person's; what is empty contradicts nothing."""
        found = []
        if self.issuer == other.issuer and _differ(self.patient_id, other.patient_id):
            found.append("patient identifier")
        if _differ(self.birth_date, other.birth_date):
            found.append("birth date")
        if _differ(self.sex, other.sex):
            found.append("sex")
        return tuple(found)


def _differ(one: str, other: str) -> bool:
    return bool(one and other) and one.casefold() != other.casefold()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Series:
    """One volume of a DICOM series, ready to be read, or the reason why it is not.

    Attributes
    ----------
    uid, study_uid, frame_of_reference
        DICOM UIDs; empty where the files have none.
    part
        Which of several volumes in one series: ``2 of 3``; empty where there is one.
    shape
        Columns, rows, planes.
    affine
        From (column, row, plane) index to LPS mm; None where the series cannot be used.
    tilt
        Degrees by which the planes are sheared against their normal (a tilted gantry).
    problems
        What was found wrong with it.
    unusable
        One sentence that says why it cannot be used; empty if it can.
    """

    uid: str
    study_uid: str
    description: str = field(repr=False)
    part: str
    frame_of_reference: str
    acquisition: Acquisition
    shape: tuple[int, int, int]
    affine: npt.NDArray[np.float64] | None
    tilt: float = 0.0
    identity: Identity = field(default_factory=Identity, repr=False)
    problems: tuple[Problem, ...] = ()
    unusable: str = ""
    planes: tuple[Frame, ...] = field(default=(), repr=False)

    @property
    def source(self) -> str:
        """How facts and problems name this series."""
        return source_of(self.uid, self.part)

    @property
    def slice_spacing(self) -> float | None:
        """The distance between neighbouring planes along their normal, mm."""
        if self.affine is None:
            return None
        normal = np.cross(self.affine[:3, 0], self.affine[:3, 1])
        return float(abs(self.affine[:3, 2] @ normal) / np.linalg.norm(normal))

    def volume(self) -> Volume:
        """The voxels, decoded now: array axes are column, row, plane.

        Raises
        ------
        InputProblem
            If the series cannot be used, or a slice cannot be decoded.
        """
        if self.unusable or self.affine is None:
            raise InputProblem(f"{self.source}: cannot be used. {self.unusable}")
        try:
            planes = voxels(self.planes)
        except (Unreadable, OSError, MemoryError) as problem:
            why = problem.says if isinstance(problem, Unreadable) else type(problem).__name__
            raise InputProblem(
                f"{self.source}: cannot be used. All slices must be readable; {why} "
                f"Export the series again."
            ) from None
        return Volume(
            planes.transpose(2, 1, 0),
            self.affine,
            self.acquisition,
            self.description or self.source,
            self.frame_of_reference,
            self.uid,
            tuple(dict.fromkeys(problem.problem for problem in self.problems)),
            tuple(Slice(p.text("SOPInstanceUID"), p.frame_number) for p in self.planes),
        )


class Found(NamedTuple):
    """What lies in some folders.

    Attributes
    ----------
    series
        CT and MR volumes, usable or not.
    segmentations, reports
        Files that hold a DICOM segmentation, or a structured report.
    others
        What was set aside as no CT or MR image: radiographs and presentation states among it.
    understood
        Problems with files and series, and what was set aside on purpose.
    """

    series: tuple[Series, ...]
    segmentations: tuple[Path, ...]
    understood: Understood
    reports: tuple[Path, ...] = ()
    others: tuple[Header, ...] = ()


def find_series(paths: Iterable[Path] | Path) -> Found:
    """List the CT and MR series in files and folders, reading headers only.

    Problems of single series are in `Found.understood` and in the series as well.
    """
    paths = [paths] if isinstance(paths, Path) else list(paths)
    intake = Intake()
    groups: dict[tuple[Any, ...], list[Frame]] = {}
    segmentations, reports, others = [], [], []
    for path in paths:
        if not path.exists():
            intake.problem("dicom.no_such_file", "There is no such file or folder.", path.name)
    with disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's warnings print values
        for path, name in dicom_files(paths):
            try:
                file = header(path)
                if file.kind in _SEGMENTATIONS:
                    segmentations.append(path)
                elif file.kind in _REPORTS:
                    reports.append(path)
                elif _set_aside(file, intake):
                    others.append(file)
                else:
                    form(file)
                    planes = frames(file)
                    groups.setdefault(_group(file), []).extend(planes)
            except Unreadable as problem:
                intake.problem(
                    problem.problem,
                    f"{problem.says} It was left out.",
                    name,
                    ("Export or copy the file again.",),
                )
        series = tuple(one for group in groups.values() for one in _volumes(group))
    for noted in dict.fromkeys(problem for one in series for problem in one.problems):
        intake.problem(noted.problem, noted.says, noted.where, noted.try_)
    return Found(series, tuple(segmentations), intake.understood(), tuple(reports), tuple(others))


def _group(file: Header) -> tuple[Any, ...]:
    """Files with the same key are one series; without a Series Instance UID, one folder's are."""
    uid = file.text("SeriesInstanceUID")
    if uid:
        return (uid,)
    keys = ("StudyInstanceUID", "Modality", "SeriesNumber", "SeriesDescription")
    return ("", file.path.parent, *(file.text(key) for key in keys))


def _set_aside(file: Header, intake: Intake) -> bool:
    """Whether a file is no image for measuring; if so, it is noted why."""
    kind, modality = file.kind, file.text("Modality")
    source = source_of(file.text("SeriesInstanceUID"))
    if kind not in _IMAGES:
        if kind or modality not in ("CT", "MR"):
            name = kind.name if kind else modality or "unknown object"
            intake.ignore("dicom.not_an_image", f"{name}: is no CT or MR image.", source)
            return True
    elif modality and modality not in ("CT", "MR"):
        intake.ignore("dicom.other_modality", f"{modality}: is neither CT nor MR.", source)
        return True
    types = {word.strip().upper() for word in file.text("ImageType").split("\\")}
    if types & {"LOCALIZER", "SCOUT"}:
        intake.ignore("dicom.localizer", "A localizer is no basis for measuring.", source)
        return True
    if types & {"MIP", "MINIP"}:
        says = "A maximum or minimum projection holds no measured values."
        intake.ignore("dicom.projection", says, source)
        return True
    samples, colours = file.integer("SamplesPerPixel"), file.text("PhotometricInterpretation")
    if samples not in (None, 1) or colours not in _GREY:
        intake.ignore("dicom.colour", "A colour image holds no measured values.", source)
        return True
    return False


def source_of(uid: str, part: str = "") -> str:
    """How facts and problems name a series, or one of its volumes."""
    text = f"SeriesInstanceUID {uid}" if uid else "Series without a UID"
    return f"{text}, volume {part}" if part else text


def _volumes(planes: list[Frame]) -> list[Series]:
    """The volumes that the planes of one series make up, in the order of their first files."""
    uid = planes[0].text("SeriesInstanceUID")
    faults = Faults(source_of(uid))
    if not uid:
        faults.say(
            "dicom.no_series_uid",
            "The files have no series UID; those of one folder are taken as one series.",
        )
    left = usable(planes, faults)
    found = parts(left, faults) if left else [planes]
    return [
        _series(part, f"{n} of {len(found)}" if len(found) > 1 else "", faults.problems, bool(left))
        for n, part in enumerate(found, 1)
    ]


def _series(planes: list[Frame], part: str, known: list[Problem], is_placed: bool) -> Series:
    """One volume: checked, ordered, with its affine; or with the reason why it is none."""
    first = planes[0]
    uid = first.text("SeriesInstanceUID")
    faults = Faults(source_of(uid, part), known)
    _check_persons(planes, faults)
    _check_values(planes, faults)
    how, doubtful = acquisition(planes, faults.source)
    faults.problems += doubtful
    grid = _grid(planes, faults) if is_placed else None
    if grid is None:
        faults.refuse("dicom.no_volume", "None of its slices can be used.")
        grid = stack.Grid(tuple(range(len(planes))))
    return Series(
        uid=uid,
        study_uid=first.text("StudyInstanceUID"),
        description=str(first.header.converted("SeriesDescription") or "").strip(),
        part=part,
        frame_of_reference=first.text("FrameOfReferenceUID"),
        acquisition=how,
        shape=(first.columns, first.rows, len(planes)),
        affine=None if faults.unusable else grid.affine,
        tilt=grid.tilt,
        identity=_identity(first.header),
        problems=tuple(faults.problems),
        unusable=faults.unusable,
        planes=tuple(planes[i] for i in grid.order),
    )


def _check_persons(planes: list[Frame], faults: Faults) -> None:
    elements = ("PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex")
    if len({tuple(p.text(element) for element in elements) for p in planes}) > 1:
        faults.refuse(
            "dicom.two_persons",
            "Its slices name more than one person.",
            "Find out at the source whose images these are.",
        )


def _check_values(planes: list[Frame], faults: Faults) -> None:
    """Refuse what cannot be decoded, and values that are neither HU nor a signal from zero."""
    first = planes[0]
    for syntax in {p.header.syntax for p in planes}:
        if not is_decodable(syntax):
            faults.refuse(
                "dicom.no_decoder",
                f"Its pixels are compressed as {syntax.name}, for which no decoder is installed.",
                "Install one with: pip install python-gdcm",
                "Or export the series uncompressed, or as JPEG 2000, JPEG-LS or RLE.",
            )
    if len(planes) * first.rows * first.columns > MOST_VOXELS:
        faults.refuse("dicom.too_large", "It claims more voxels than any spine CT has.")
    if first.text("Modality") == "MR":
        if any(p.text("PhotometricInterpretation") == "MONOCHROME1" for p in planes):
            faults.refuse(
                "dicom.monochrome1",
                "Its signal is stored inverted (MONOCHROME1), so that its zero is unknown.",
                "Export the series as MONOCHROME2.",
            )
        return
    types = {p.text("RescaleType").upper() for p in planes}
    rescaled = all(p.slope is not None and p.intercept is not None for p in planes)
    if not types <= {"", "HU", "US"} or not (rescaled or all(has_table(p.header) for p in planes)):
        faults.refuse(
            "dicom.not_hounsfield",
            "Its values are not Hounsfield units as far as the header tells.",
            "Export the original CT series instead of a derived one.",
        )
    elif "US" in types:
        faults.say(
            "dicom.unit_unstated",
            "The header does not state the unit of its values; they are taken as Hounsfield units.",
        )


def _grid(planes: list[Frame], faults: Faults) -> stack.Grid | None:
    """The grid of placed planes of one orientation; what is wrong with it goes to `faults`."""
    first = planes[0]
    again = "Export the whole series again."
    if len(planes) < 2:
        faults.refuse(
            "dicom.single_slice", "It is a single slice; a volume needs two or more.", again
        )
        return stack.Grid((0,))
    if doubles(planes):
        faults.refuse(
            "dicom.contradicting_slices",
            f"{len(doubles(planes))} places hold several slices with different pixels.",
            "Export each acquisition as a series of its own.",
        )
        return stack.Grid(tuple(range(len(planes))))
    grid = stack.grid(positions(planes), first.orientation or (), first.spacing or (0.0, 0.0))
    if grid.fault == "dicom.missing_slice":
        places = ", ".join(str(i) for i in grid.missing[:5])
        faults.refuse(
            grid.fault,
            f"Slices are missing in {len(grid.missing)} places (after slice {places} of "
            f"{len(planes)}, counted along the stack).",
            again,
        )
    elif grid.fault:
        faults.refuse(grid.fault, "The distances between its slices are uneven.", again)
    elif grid.tilt:
        faults.say(
            "dicom.gantry_tilt",
            f"The slices are sheared by {grid.tilt:.1f} degrees (tilted gantry); the volume is "
            f"kept in its true, sheared place.",
        )
    return grid


def identity(path: Path) -> Identity:
    """Whose a DICOM file of any kind is, such as a segmentation; empty if it cannot be read."""
    try:
        return _identity(header(path))
    except Unreadable:
        return Identity()


def _identity(file: Header) -> Identity:
    removed = file.text("PatientIdentityRemoved").upper() == "YES"
    return Identity(
        file.text("PatientID"),
        file.text("IssuerOfPatientID"),
        file.text("PatientBirthDate"),
        file.text("PatientSex"),
        "" if removed else str(file.converted("PatientName") or ""),
    )


# ---------------------------------------------------------------- what it says about the person


_SEX = {"M": "male", "F": "female", "O": "other"}


def facts(series: Series, today: date | None = None) -> Understood:
    """What a series tells: how it was taken, and the person's birth date and sex.

    Parameters
    ----------
    today
        Facts dated after this day are refused; None accepts every date.
    """
    intake = Intake(today)
    how = series.acquisition
    columns, rows, planes = series.shape
    spacing = series.slice_spacing
    summary = f"{how.modality or 'image'}, {planes} slices of {columns} x {rows}"
    posture = None if how.posture is Posture.UNKNOWN else how.posture
    is_mr = how.modality == "MR"
    found: list[tuple[str, Any, str]] = [
        ("imaging.series", summary, ""),
        ("imaging.posture", posture and posture.value, ""),
        ("imaging.patient_position", how.patient_position, ""),
        ("imaging.scanner", how.scanner, ""),
        ("imaging.slice_spacing", spacing, "mm"),
        ("imaging.ct.tube_voltage", how.tube_voltage, "kV"),
        ("imaging.ct.kernel", how.kernel, ""),
        ("imaging.mr.contrast" if is_mr else "imaging.ct.contrast", how.contrast, ""),
        ("imaging.mr.field_strength", how.field_strength, "T"),
        ("imaging.mr.repetition_time", how.repetition_time if is_mr else None, "ms"),
        ("imaging.mr.echo_time", how.echo_time if is_mr else None, "ms"),
        ("imaging.mr.sequence", how.sequence, ""),
    ]
    for name, value, unit in found:
        if value is not None:
            intake.take(
                vocabulary.concept(name),
                value,
                source=series.source,
                unit=unit,
                on=how.on,
                posture=posture,
            )
    person(series.identity, series.source, intake)
    return intake.understood()


def person(identity: Identity, source: str, intake: Intake) -> None:
    """Take in the birth date and sex that a DICOM object gives its person."""
    born = iso_day(identity.birth_date)
    if born is not None:
        concept = vocabulary.concept("person.birth_date")
        intake.take(concept, born.isoformat(), source=source)
    if identity.sex in _SEX:
        intake.take(vocabulary.concept("person.sex"), _SEX[identity.sex], source=source)
