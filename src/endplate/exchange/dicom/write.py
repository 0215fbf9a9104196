"""Write CT and MR series, and segmentations drawn on them.

Equal arguments give equal bytes: every UID comes from the seed, and no clock is read. Each file
is written beside its place and then renamed, so that a half-written one is never found.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import dcmread, dcmwrite
from pydicom.config import disable_value_validation
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.coding import Code
from pydicom.uid import (
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)
from pydicom.valuerep import DA, TM, format_number_as_ds

from endplate import __version__
from endplate.exchange.dicom.series import Identity, Series
from endplate.images.labels import codes, is_vertebra
from endplate.images.volume import Mask, Volume

_IMPLEMENTATION = generate_uid(entropy_srcs=["endplate", "implementation"])
# HU of the stored value 0, as most scanners write it.
_CT_INTERCEPT = -1024
# A row and a column of pixels must be at a right angle; this cosine is rounding.
_SQUARE = 1e-4
_UNICODE = "ISO_IR 192"
# Where a date is required and none is known.
_NO_DAY = "19000101"
_SEX = {"male": "M", "female": "F", "other": "O"}


def uid(*words: object) -> UID:
    """The UID that belongs to these words, the same every time."""
    return generate_uid(entropy_srcs=[str(word) for word in words])


def write_series(
    volume: Volume,
    folder: Path,
    *,
    seed: str,
    number: int = 1,
    name: str = "",
    identity: Identity | None = None,
    description: str = "",
    is_synthetic: bool = False,
    syntax: UID = ExplicitVRLittleEndian,
) -> tuple[Path, ...]:
    """Write a volume as CT or MR images, one file for each index of its last axis.

    Parameters
    ----------
    volume
        Whole-number HU or signal; columns, rows, slices. Its acquisition gives modality (CT
        where it names none), kVp, kernel, contrast, patient position, date and sequence.
    seed, number
        What all UIDs come from; series of one seed and different numbers are one study.
    name, identity
        The person. Where `is_synthetic`, the name begins with SYNTHETIC and the images say that
        they are derived.
    syntax
        Transfer syntax; RLE, JPEG 2000 lossless and JPEG-LS lossless compress.

    Raises
    ------
    ValueError
        If rows and columns are not at a right angle, or values are not whole numbers of 16 bits.
    """
    stored, intercept = _stored(volume)
    shared = _shared(volume, seed, number, name, identity or Identity(), is_synthetic)
    shared.SeriesDescription = description or volume.name
    orientation, spacing = _directions(volume)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for k in range(volume.array.shape[2]):
        data = Dataset(shared)
        data.SOPInstanceUID = uid(seed, number, "image", k)
        data.InstanceNumber = k + 1
        data.ImagePositionPatient = _ds(volume.to_world((0, 0, k)))
        data.ImageOrientationPatient = orientation
        data.PixelSpacing = spacing
        _set_pixels(data, stored[:, :, k].T, intercept)
        path = folder / f"IM{k + 1:05d}.dcm"
        _save(data, path, syntax)
        paths.append(path)
    return tuple(paths)


def _ds(numbers: npt.ArrayLike) -> list[str]:
    # What is left of a rounding, such as 6e-17, is no number that anybody measured.
    return [format_number_as_ds(float(n)) for n in np.round(np.asarray(numbers, float), 12)]


def _directions(volume: Volume) -> tuple[list[str], list[str]]:
    """Image Orientation (Patient) and Pixel Spacing of each plane."""
    row, column = volume.directions[:, 0], volume.directions[:, 1]
    if abs(row @ column) > _SQUARE:
        raise ValueError(f"{volume.name}: rows and columns are not at a right angle.")
    return _ds([*row, *column]), _ds(volume.spacing[[1, 0]])


def _stored(volume: Volume) -> tuple[npt.NDArray[np.uint16], int]:
    """Values as unsigned 16-bit numbers, and what is to be added to them."""
    array = volume.array
    whole = array if array.dtype.kind in "iu" else np.rint(array)
    if array.dtype.kind not in "iu" and not np.array_equal(whole, array):
        raise ValueError(f"{volume.name}: only whole numbers are written.")
    low, high = int(whole.min()), int(whole.max())
    intercept = 0 if volume.acquisition.modality == "MR" else min(_CT_INTERCEPT, low)
    if low < intercept or high - intercept > np.iinfo(np.uint16).max:
        raise ValueError(f"{volume.name}: its values do not fit into 16 bits.")
    return (whole.astype(np.int32) - intercept).astype(np.uint16), intercept


def _shared(
    volume: Volume, seed: str, number: int, name: str, identity: Identity, is_synthetic: bool
) -> Dataset:
    """The elements that all images of the series have in common."""
    how = volume.acquisition
    is_mr = how.modality == "MR"
    data = Dataset()
    data.SpecificCharacterSet = _UNICODE
    data.SOPClassUID = MRImageStorage if is_mr else CTImageStorage
    kind = ["DERIVED", "SECONDARY"] if is_synthetic else ["ORIGINAL", "PRIMARY"]
    data.ImageType = [*kind, "OTHER" if is_mr else "AXIAL"]
    data.StudyInstanceUID = uid(seed, "study")
    data.SeriesInstanceUID = uid(seed, number, "series")
    data.FrameOfReferenceUID = volume.frame_of_reference or uid(seed, number, "frame of reference")
    data.PatientName = f"SYNTHETIC^{name}" if is_synthetic else name
    data.PatientID = identity.patient_id
    if identity.issuer:
        data.IssuerOfPatientID = identity.issuer
    data.PatientBirthDate = identity.birth_date.replace("-", "")
    data.PatientSex = _SEX.get(identity.sex, identity.sex)
    day = _da(how.on)
    for element in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"):
        setattr(data, element, day)
    for element in ("StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime"):
        setattr(data, element, "000000" if day else "")
    data.AccessionNumber = data.ReferringPhysicianName = ""
    data.StudyID = "1"
    data.Modality = "MR" if is_mr else "CT"
    data.SeriesNumber = number
    data.AcquisitionNumber = 1
    data.PatientPosition = how.patient_position or ""
    data.PositionReferenceIndicator = ""
    if not how.patient_position:
        data.PatientOrientation = ""
    data.BodyPartExamined = "SPINE"
    data.Manufacturer = how.scanner or "Endplate"
    data.SoftwareVersions = __version__
    thickness = how.slice_thickness or volume.spacing[2]
    data.SliceThickness = format_number_as_ds(float(thickness))
    if is_synthetic:
        data.ImageComments = "Synthetic image made by Endplate; of no person."
    (_mr if is_mr else _ct)(data, volume)
    return data


def _da(day: date | None) -> str:
    return day.strftime("%Y%m%d") if day else ""


def _ct(data: Dataset, volume: Volume) -> None:
    how = volume.acquisition
    data.KVP = "" if how.tube_voltage is None else format_number_as_ds(float(how.tube_voltage))
    if how.kernel:
        data.ConvolutionKernel = how.kernel
    if how.contrast is not None:
        data.ContrastBolusAgent = "APPLIED" if how.contrast else "NONE"
    data.RescaleType = "HU"


def _mr(data: Dataset, volume: Volume) -> None:
    how = volume.acquisition
    data.ScanningSequence = "SE"
    data.SequenceVariant = "NONE"
    data.ScanOptions = ""
    data.MRAcquisitionType = "2D"
    data.EchoTrainLength = ""
    data.RepetitionTime = "" if how.repetition_time is None else _ds([how.repetition_time])[0]
    data.EchoTime = "" if how.echo_time is None else _ds([how.echo_time])[0]
    if how.field_strength is not None:
        data.MagneticFieldStrength = _ds([how.field_strength])[0]
    if how.sequence:
        data.SequenceName = how.sequence[:16]
    if how.contrast:
        data.ContrastBolusAgent = "APPLIED"


def _set_pixels(data: Dataset, plane: npt.NDArray[np.uint16], intercept: int) -> None:
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.Rows, data.Columns = plane.shape
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit = 15
    data.PixelRepresentation = 0
    if data.Modality == "CT":
        data.RescaleIntercept, data.RescaleSlope = str(intercept), "1"
    data.PixelData = np.ascontiguousarray(plane, "<u2").tobytes()
    data["PixelData"].VR = "OW"


def _save(data: Dataset, path: Path, syntax: UID) -> None:
    """Write one file whole: beside its place first."""
    _with_meta(data)
    if syntax.is_encapsulated:
        data.compress(syntax, generate_instance_uid=False)
    beside = path.with_name(f".{path.name}.part")
    dcmwrite(beside, data, enforce_file_format=True)
    os.replace(beside, path)


def encoded(data: Dataset) -> bytes:
    """One object as the bytes of its file, uncompressed."""
    _with_meta(data)
    file = BytesIO()
    with as_it_was():
        dcmwrite(file, data, enforce_file_format=True)
    return file.getvalue()


def _with_meta(data: Dataset) -> None:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = data.SOPClassUID
    meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = _IMPLEMENTATION
    meta.ImplementationVersionName = f"ENDPLATE_{__version__}"[:16]
    data.file_meta = meta


# ---------------------------------------------------------------- objects about a series

# What every object of a study states, known or not.
_STUDY = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber",
          "StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName")  # fmt: skip


@contextmanager
def as_it_was() -> Iterator[None]:
    """What the images' headers hold is passed on, valid or not, and never printed."""
    with disable_value_validation(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's and highdicom's warnings print values
        yield


def sources(files: Iterable[Path]) -> list[Dataset]:
    """The headers of images in their order, each file once.

    The first, of which an object takes person and study, is in Unicode, and whatever it does not
    tell of them, or not as a date or time can be told, is there and empty.
    """
    with as_it_was():
        found: list[Dataset] = [
            dcmread(path, stop_before_pixels=True) for path in dict.fromkeys(files)
        ]
        first = found[0]
        first.decode()
        first.SpecificCharacterSet = _UNICODE
        for keyword in _STUDY:
            if keyword not in first or not _is_usable(keyword, first[keyword].value):
                setattr(first, keyword, "")
    return found


def _is_usable(keyword: str, value: Any) -> bool:
    """Whether a value can be passed on: a date or time that is none cannot."""
    kind = {"StudyDate": DA, "StudyTime": TM}.get(keyword)
    try:
        return kind is None or not value or kind(str(value)) is not None
    except (ValueError, OverflowError):
        return False


def settle(made: Dataset, on: date | None, dimensions: UID | None = None) -> None:
    """Put the images' day in the place of the present moment, and a UID in that of a random one.

    Dates that may not be empty are `_NO_DAY` where the images have none.
    """
    day = _da(on) or _NO_DAY

    def one(data: Dataset, element: DataElement) -> None:
        if element.keyword in ("ContentDate", "InstanceCreationDate", "SeriesDate"):
            element.value = day
        elif element.keyword in ("ContentTime", "InstanceCreationTime", "SeriesTime"):
            element.value = "000000"
        elif element.keyword == "DimensionOrganizationUID" and dimensions:
            element.value = dimensions
        elif element.keyword == "ContributionDateTime":
            del data[element.tag]

    made.walk(one)


# ---------------------------------------------------------------- segmentations

_ANATOMY = Code("123037004", "SCT", "Anatomical Structure")
_SIDES = {
    "left": Code("7771000", "SCT", "Left"),
    "right": Code("24028007", "SCT", "Right"),
}
# What a structure without a code of its own is called: S1, T13 and L6 are vertebrae.
_VERTEBRA = Code("51282000", "SCT", "Vertebra")
_SPINE = Code("421060004", "SCT", "Spine")
# Any muscle has this code: read, it says nothing of which.
_MUSCLE = Code("127954009", "SCT", "Skeletal muscle")
_UNKNOWN = Code("261665006", "SCT", "Unknown")


def write_segmentation(mask: Mask, series: Series, path: Path, **how: Any) -> Path:
    """Write a mask as a DICOM segmentation drawn on a series; `how` is that of `segmentation`."""
    _save(segmentation(mask, series, **how), path, ExplicitVRLittleEndian)
    return path


def segmentation(
    mask: Mask,
    series: Series,
    *,
    seed: str,
    number: int = 100,
    is_label_map: bool = False,
    algorithm: str = "Endplate",
    family: Code | None = None,
    parameters: Mapping[str, str] | None = None,
    description: str = "Spine structures",
) -> Dataset:
    """A mask as a DICOM segmentation drawn on a series: a segment for each structure.

    Parameters
    ----------
    mask
        On the very grid of the series (see `endplate.exchange.masks.on_grid`).
    is_label_map
        One label map instead of one binary plane for each segment and slice.
    algorithm, family, parameters
        What made the mask, by name; where its family is given, it is identified in full.

    Raises
    ------
    ValueError
        If the mask is not on the series' grid, or holds nothing.
    """
    import highdicom  # noqa: PLC0415 - slow to import, and only needed here

    grid = Volume(
        np.broadcast_to(np.uint8(0), series.shape),
        np.eye(4) if series.affine is None else series.affine,
    )
    labels = sorted(mask.structures)
    if not labels or series.affine is None or not mask.volume.same_grid(grid):
        raise ValueError(f"{mask.volume.name}: is empty, or not on the grid of its series.")
    renumbered = np.zeros(
        int(mask.volume.array.max()) + 1, np.uint8 if len(labels) < 256 else np.uint16
    )
    renumbered[labels] = np.arange(1, len(labels) + 1)
    planes = renumbered[mask.volume.array].transpose(2, 1, 0)
    files = sources(plane.header.path for plane in series.planes)
    # Of a file of several frames each plane is named by its place: it may hold other frames.
    places = None if len(files) == len(series.planes) else _places(series)
    kinds = highdicom.seg.SegmentationTypeValues
    with as_it_was():
        made: Dataset = highdicom.seg.Segmentation(
            source_images=files,
            pixel_array=np.ascontiguousarray(planes),
            plane_positions=places,
            segmentation_type=kinds.LABELMAP if is_label_map else kinds.BINARY,
            segment_descriptions=[
                _segment(n, mask.structures[label], algorithm, family, parameters)
                for n, label in enumerate(labels, 1)
            ],
            series_instance_uid=uid(seed, number, "series"),
            series_number=number,
            sop_instance_uid=uid(seed, number, "segmentation"),
            instance_number=1,
            manufacturer="Endplate",
            manufacturer_model_name="Endplate",
            software_versions=__version__,
            device_serial_number="0",
            content_description=description,
            content_label="SPINE",
            content_creator_name="Endplate^",
        )
        if family is None:  # optional in DICOM; highdicom needs one
            for segment in made.SegmentSequence:
                segment.pop("SegmentationAlgorithmIdentificationSequence", None)
        settle(made, series.acquisition.on, uid(seed, number, "dimensions"))
    return made


def _places(series: Series) -> list[Any]:
    from highdicom import PlanePositionSequence  # noqa: PLC0415

    return [PlanePositionSequence("PATIENT", plane.position or ()) for plane in series.planes]


def _segment(
    number: int,
    structure: str,
    algorithm: str,
    family: Code | None,
    parameters: Mapping[str, str] | None,
) -> Any:
    import highdicom  # noqa: PLC0415

    stem, _, side = structure.rpartition("_")
    side = side if side in _SIDES else ""
    code = codes().get(structure) or (codes().get(stem) if side else None)
    if code:
        kind = Code(code, "SCT", stem if side else structure)
    elif structure == "skeletal_muscle":
        kind = _MUSCLE
    else:
        kind = _VERTEBRA if is_vertebra(structure) else _SPINE
    method = highdicom.AlgorithmIdentificationSequence(
        algorithm, family or _UNKNOWN, __version__, parameters=dict(parameters or {})
    )
    made = highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=structure,
        segmented_property_category=_ANATOMY,
        segmented_property_type=kind,
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=method,
    )
    if side:
        coded = highdicom.sr.CodedConcept.from_code(_SIDES[side])
        made.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [
            coded
        ]
    return made
