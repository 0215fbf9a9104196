"""Small DICOM series for tests, written with pydicom alone, so that readers are not tested
against our own writer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    generate_uid,
)

AXIAL = (1, 0, 0, 0, 1, 0)
CORONAL = (1, 0, 0, 0, 0, -1)
SAGITTAL = (0, 1, 0, 0, 0, -1)


def uid(*words) -> str:
    """A UID that is the same for the same words."""
    return generate_uid(entropy_srcs=[str(word) for word in words])


def hounsfield(count=5, rows=8, columns=6) -> np.ndarray:
    """HU of (slice, row, column), every voxel different."""
    return np.arange(count * rows * columns).reshape(count, rows, columns) - 200


def slices(
    values: np.ndarray | None = None,
    *,
    orientation=AXIAL,
    origin=(-10.0, 20.0, 300.0),
    spacing=(0.8, 0.6),
    step=None,
    distance=2.0,
    series="series",
    signed=False,
    intercept=-1024,
    **elements,
) -> list[Dataset]:
    """A CT series as data sets, one per slice along the normal; `elements` go to each.

    `values` are modality values; `step` is the way from slice to slice, by default `distance`
    along the normal.
    """
    values = hounsfield() if values is None else values
    if step is None:
        step = distance * np.cross(orientation[:3], orientation[3:])
    found = []
    for n, plane in enumerate(values):
        data = Dataset()
        data.SOPClassUID = CTImageStorage
        data.SOPInstanceUID = uid(series, n)
        data.StudyInstanceUID = uid("study")
        data.SeriesInstanceUID = uid(series)
        data.FrameOfReferenceUID = uid("frame of reference")
        data.Modality = "CT"
        data.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        data.PatientID = "TEST-1"
        data.PatientBirthDate = "19570203"
        data.PatientSex = "F"
        data.StudyDate = "20240101"
        data.AcquisitionDate = "20240102"
        data.Manufacturer = "Maker"
        data.ManufacturerModelName = "Model"
        data.PatientPosition = "HFS"
        data.KVP = 120
        data.SliceThickness = 9.0  # never to be used as the distance between slices
        data.SpacingBetweenSlices = 7.0
        data.SliceLocation = 1000.0 - n
        data.InstanceNumber = n + 1
        data.ImagePositionPatient = [_ds(v) for v in np.asarray(origin) + n * np.asarray(step)]
        data.ImageOrientationPatient = [_ds(v) for v in orientation]
        data.PixelSpacing = [_ds(v) for v in spacing]
        data.SamplesPerPixel = 1
        data.PhotometricInterpretation = "MONOCHROME2"
        data.Rows, data.Columns = plane.shape
        data.BitsAllocated, data.BitsStored, data.HighBit = 16, 16, 15
        data.PixelRepresentation = int(signed)
        data.RescaleSlope, data.RescaleIntercept = 1, intercept
        stored = plane - intercept
        data.PixelData = stored.astype("<i2" if signed else "<u2").tobytes()
        data["PixelData"].VR = "OW"
        for keyword, value in elements.items():
            setattr(data, keyword, value)
        found.append(data)
    return found


def _ds(number: float) -> str:
    return f"{number:.12g}"[:16]


def saved(
    datasets: list[Dataset], folder: Path, *, syntax=ExplicitVRLittleEndian, preamble=True
) -> list[Path]:
    """Write each data set to its own file, named so that names say nothing about the order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for n, data in enumerate(datasets):
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = data.get("SOPClassUID", CTImageStorage)
        meta.MediaStorageSOPInstanceUID = data.get("SOPInstanceUID", uid(folder, n))
        meta.TransferSyntaxUID = syntax
        path = folder / f"{(n * 7919) % 1000:03d}-{n}.dcm"
        file = Dataset(data)
        if syntax.is_compressed and syntax.is_encapsulated:
            file.file_meta = FileMetaDataset()
            file.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            file.compress(syntax, generate_instance_uid=False)
        if syntax == ExplicitVRBigEndian:
            file.PixelData = np.frombuffer(file.PixelData, "<u2").astype(">u2").tobytes()
        if preamble:
            file.file_meta = meta
        dcmwrite(
            path,
            file,
            implicit_vr=syntax == ImplicitVRLittleEndian,
            little_endian=syntax != ExplicitVRBigEndian,
            enforce_file_format=preamble,
        )
        paths.append(path)
    return paths


def enhanced(values: np.ndarray, **elements) -> Dataset:
    """The same series as one enhanced multi-frame CT."""
    classic = slices(values, **elements)
    data = classic[0]
    data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.2.1"
    data.NumberOfFrames = len(classic)
    data.PixelData = b"".join(one.PixelData for one in classic)
    shared, each = Dataset(), []
    shared.PlaneOrientationSequence = [_only(data, "ImageOrientationPatient")]
    shared.PixelMeasuresSequence = [_only(data, "PixelSpacing", "SliceThickness")]
    rescale = ("RescaleSlope", "RescaleIntercept")
    shared.PixelValueTransformationSequence = [_only(data, *rescale)]
    shared.PixelValueTransformationSequence[0].RescaleType = "HU"
    shared.CTXRayDetailsSequence = [_only(data, "KVP")]
    for one in classic:
        frame = Dataset()
        frame.PlanePositionSequence = [_only(one, "ImagePositionPatient")]
        each.append(frame)
    data.SharedFunctionalGroupsSequence = [shared]
    data.PerFrameFunctionalGroupsSequence = each
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "KVP"):
        delattr(data, keyword)
    del data.RescaleSlope, data.RescaleIntercept
    return data


def _only(data: Dataset, *keywords: str) -> Dataset:
    found = Dataset()
    for keyword in keywords:
        setattr(found, keyword, data[keyword].value)
    return found
