"""The codes of a measurement report (DICOM TID 1500), as its writer and its reader use them.

Those of schemes DCM and SCT are named as in pydicom's dictionary of PS3.16 and were seen there.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha256

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from endplate import levels, vocabulary
from endplate.facts import Side

# What has no standard code: a code value is a concept's id, or one of the words below. Values of
# more than 16 characters stand in another element than shorter ones, which not every program
# reads: an id or word that is longer is coded by its digest (see `own` and `meant`).
SCHEME = "99ENDPLATE"
_LONGEST = 16

DEVICE = codes.DCM.Device
MODALITY = codes.DCM.Modality
MODALITIES = {
    "CT": codes.cid29.ComputedTomography,
    "MR": codes.cid29.MagneticResonance,
    "CR": codes.cid29.ComputedRadiography,
    "DX": codes.cid29.DigitalRadiography,
    "XA": codes.cid29.XRayAngiography,
    "RF": codes.cid29.Radiofluoroscopy,
}
PROCEDURES = {
    "CT": codes.cid100.CTUnspecifiedBodyRegion,
    "MR": codes.cid100.MRIUnspecifiedBodyRegion,
    "CR": codes.cid100.XRUnspecifiedBodyRegion,
    "DX": codes.cid100.XRUnspecifiedBodyRegion,
}
IMAGING = codes.cid100.ImagingProcedure
FRAME_OF_REFERENCE = codes.DCM.FrameOfReferenceUID
SOURCE = codes.SCT.Source
SOURCE_OF_MEASUREMENT = codes.DCM.SourceOfMeasurement
MEASUREMENTS = codes.DCM.ImagingMeasurements
GROUP = codes.DCM.MeasurementGroup
IMAGE_LIBRARY = codes.DCM.ImageLibrary
IMAGE_LIBRARY_GROUP = codes.DCM.ImageLibraryGroup
ACQUISITION_DATE = codes.DCM.AcquisitionDate
STUDY_DATE = codes.DCM.StudyDate
TRACKING_IDENTIFIER = codes.DCM.TrackingIdentifier
IMAGE_VIEW = codes.DCM.ImageView
VIEWS = {"lateral": codes.cid4010.LateralProjection, "frontal": codes.cid4010.Frontal}
COMMENT = codes.DCM.Comment
FINDING = codes.DCM.Finding
FINDING_CATEGORY = Code("276214006", "SCT", "Finding category")
FINDING_SITE = codes.SCT.FindingSite
HIP_JOINT = codes.SCT.HipJoint
LATERALITY = codes.SCT.Laterality
METHOD = codes.SCT.MeasurementMethod
DERIVATION = codes.DCM.Derivation
DERIVED = {"mean": codes.SCT.Mean, "median": codes.SCT.Median}
ALGORITHM_NAME = codes.DCM.AlgorithmName
ALGORITHM_VERSION = codes.DCM.AlgorithmVersion
UPPER = codes.SCT.RangeOfUpperMeasurementUncertainty
LOWER = codes.SCT.RangeOfLowerMeasurementUncertainty
YES_NO = {True: codes.SCT.Yes, False: codes.SCT.No}
SIDES: dict[Side, Code] = {
    "left": Code("7771000", "SCT", "Left"),
    "right": Code("24028007", "SCT", "Right"),
}

# Of our own: what a fact has besides, and how a level without a code is written.
DOUBT = Code("doubt", SCHEME, "Doubt about the measurement")
POSTURE = Code("posture", SCHEME, "Posture")
SPAN = Code("span", SCHEME, "Run of vertebrae")
DETAILS = Code("details", SCHEME, "Details of the measurement, as JSON")
LANDMARK = Code("landmark", SCHEME, "Landmark of a radiograph")
LANDMARK_ERROR = Code("landmark_error", SCHEME, "Standard error of the landmark")
RADIOGRAPH = Code("radiograph", SCHEME, "What was said of the radiograph, as JSON")
LEVEL = "level:"
# What stands for the version of a method that names none.
NO_VERSION = "unstated"


def own(value: str, meaning: str) -> Code:
    """A code of our own; a meaning may have 64 characters."""
    short = meaning if len(meaning) <= 64 else meaning[:64].rpartition(" ")[0] or meaning[:64]
    return Code(_short(value), SCHEME, short)


def meant(value: str) -> str:
    """The id or word that a code value of ours stands for; itself where it is none of them."""
    return _coded().get(value, value)


def _short(value: str) -> str:
    if len(value) <= _LONGEST:
        return value
    return f"e{sha256(value.encode()).hexdigest()[: _LONGEST - 1]}"


@cache
def _coded() -> dict[str, str]:
    concepts = vocabulary.concepts().values()
    words = [c.id for c in concepts] + [f"{c.id}:{word}" for c in concepts for word in c.choices]
    return {_short(word): word for word in words}


@cache
def unit(ucum: str) -> Code:
    """A unit with the meaning that DICOM gives it, else with itself."""
    return Code(ucum, "UCUM", _meanings().get(ucum, ucum))


@cache
def _meanings() -> dict[str, str]:
    named = (getattr(codes.UCUM, word) for word in codes.UCUM.dir())
    return {one.value: one.meaning for one in named}


@cache
def site(level: str) -> tuple[Code, ...]:
    """The anatomy that a level or span is: a vertebra, a disc's level, or all its vertebrae."""
    for one in vocabulary.body_sites().values():
        if one.site == level and one.system == "snomed":
            return (Code(one.code, "SCT", one.display.removesuffix(" (body structure)")[:64]),)
    if levels.is_vertebra(level):
        return (own(LEVEL + level, f"Vertebra {level}"),)
    run = levels.span(level)
    there = levels.Column.of({run.first, run.last}).within(run)
    return tuple(code for vertebra in there for code in site(vertebra.value))
