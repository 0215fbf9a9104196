"""Radiographs, presentation states and reports for tests, written with pydicom and highdicom alone,
so that readers are not tested against our own writer. Their pixels show nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from highdicom import pr, sr
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian

from dicom_series import uid

DX = "1.2.840.10008.5.1.4.1.1.1.1"


def radiograph(path: Path, *, name="film", rows=1500, columns=1000, **elements) -> Path:
    """A digital radiograph; `elements` go over what it has, None removes one."""
    data = Dataset()
    data.SOPClassUID = DX
    data.SOPInstanceUID = uid(name, "image")
    data.StudyInstanceUID = uid("study")
    data.SeriesInstanceUID = uid(name, "series")
    data.Modality = "DX"
    data.PresentationIntentType = "FOR PRESENTATION"
    data.ImageType = ["DERIVED", "PRIMARY"]
    data.PatientName, data.PatientID = "Person^Test", "TEST-1"
    data.PatientBirthDate, data.PatientSex = "19570203", "F"
    data.StudyDate = data.AcquisitionDate = "20260131"
    data.StudyTime, data.StudyID = "101500", "7"
    data.AccessionNumber = data.ReferringPhysicianName = data.Manufacturer = ""
    data.SeriesNumber = data.InstanceNumber = 1
    data.PatientOrientation = ["A", "F"]
    data.ViewPosition = "LL"
    data.ImagerPixelSpacing = [1.6, 1.6]
    data.EstimatedRadiographicMagnificationFactor = 1.25
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.Rows, data.Columns = rows, columns
    data.BitsAllocated, data.BitsStored, data.HighBit = 8, 8, 7
    data.PixelRepresentation = 0
    for keyword, value in elements.items():
        if value is None:
            del data[keyword]
        else:
            setattr(data, keyword, value)
    data.PixelData = bytes(rows * columns)
    data["PixelData"].VR = "OB"
    return written(data, path)


def written(data: Dataset, path: Path) -> Path:
    """One file of a data set."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = data.SOPClassUID
    meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta = meta
    path.parent.mkdir(parents=True, exist_ok=True)
    dcmwrite(path, data, enforce_file_format=True)
    return path


def graphic(kind, at, **more):
    """A graphic of a presentation state, in pixels."""
    at = np.array(at, dtype=float)
    return pr.GraphicObject(kind, at.reshape(-1, 2), more.pop("units", "PIXEL"), **more)


def text(words, anchor=None, **more):
    """A text of a presentation state, with an anchor on the image if wanted."""
    if anchor is None:  # somewhere in a corner of the display
        return pr.TextObject(words, "DISPLAY", bounding_box=(0.1, 0.1, 0.2, 0.2), **more)
    return pr.TextObject(words, more.pop("units", "PIXEL"), anchor_point=tuple(anchor), **more)


def presentation(path: Path, annotations, *images: Path, groups=None, **elements) -> Path:
    """A grayscale presentation state: each annotation is its texts and its graphics."""
    files = [dcmread(image) for image in images]
    layer = pr.GraphicLayer("MARKS", 1)
    made = pr.GrayscaleSoftcopyPresentationState(
        referenced_images=files, series_instance_uid=uid(path.name, "series"), series_number=2,
        sop_instance_uid=uid(path.name), instance_number=1, manufacturer="Other",
        manufacturer_model_name="Other", software_versions="1", device_serial_number="1",
        content_label="MARKS", graphic_layers=[layer], graphic_groups=groups,
        graphic_annotations=[
            pr.GraphicAnnotation(files, layer, graphic_objects=graphics or None,
                                 text_objects=texts or None)
            for texts, graphics in annotations
        ],
    )  # fmt: skip
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    made.save_as(path)
    return path


# As pydicom's dictionary of PS3.16 has it.
SITES = {"L1": Code("66794005", "SCT", "Bone structure of L1")}


def region(kind, at, image: Path):
    """A region on an image, as a report holds it."""
    data = dcmread(image, stop_before_pixels=True)
    source = sr.SourceImageForRegion(data.SOPClassUID, data.SOPInstanceUID)
    return sr.ImageRegion(kind, np.array(at, dtype=float).reshape(-1, 2), source)


def group(region, tracked="1", *, finding=None, sites=(), measurements=()):
    """A planar region with what names it."""
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=uid(tracked, region), identifier=tracked),
        referenced_region=region,
        finding_type=finding and Code(finding[:16], "99OTHER", finding),
        finding_sites=[sr.FindingSite(*site) for site in sites] or None,
        measurements=list(measurements),
    )


def length(name, at, image: Path, **more):
    """A group with a length along a line, as viewers write their rulers."""
    data = dcmread(image, stop_before_pixels=True)
    source = sr.SourceImageForRegion(data.SOPClassUID, data.SOPInstanceUID)
    line = sr.CoordinatesForMeasurement("POLYLINE", np.array(at, dtype=float), source)
    one = sr.Measurement(
        name=codes.SCT.Length, value=10.0, unit=codes.UCUM.Millimeter, referenced_coordinates=[line]
    )
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=uid(name), identifier="Viewer:Length"),
        finding_type=Code("FREETEXT", "99OTHER", name),
        measurements=[one],
        **more,
    )


def report(path: Path, groups, *images: Path, **elements) -> Path:
    """A comprehensive structured report by TID 1500."""
    observer = sr.ObserverContext(
        codes.DCM.Device, sr.DeviceObserverIdentifyingAttributes(uid=uid("viewer"))
    )
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=observer),
        procedure_reported=codes.cid100.XRUnspecifiedBodyRegion,
        imaging_measurements=list(groups),
    )
    made = sr.ComprehensiveSR(
        evidence=[dcmread(image) for image in images], content=content[0],
        series_instance_uid=uid(path.name, "series"), series_number=3,
        sop_instance_uid=uid(path.name), instance_number=1, manufacturer="Other",
    )  # fmt: skip
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    made.save_as(path)
    return path
