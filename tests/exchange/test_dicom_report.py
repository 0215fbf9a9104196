"""Measurements out as DICOM objects and in again: nothing is lost, and all refers to the image."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset
from scipy.spatial.transform import Rotation

from endplate import vocabulary
from endplate.exchange.dicom.regions import regions
from endplate.exchange.dicom.report import report, report_files
from endplate.exchange.dicom.report_codes import meant
from endplate.exchange.dicom.report_reading import read_report
from endplate.exchange.dicom.series import Identity, find_series
from endplate.exchange.dicom.write import encoded, write_series
from endplate.exchange.masks import on_grid, read_mask
from endplate.facts import Fact, InputProblem, in_order, replaced
from endplate.images.volume import Acquisition, Mask, Slice, Volume
from endplate.levels import Level
from endplate.posture import Posture
from label_maps import ct_of, spine

from dicom_series import enhanced, saved

DAY = date(2025, 3, 1)
TAKEN = Acquisition(modality="CT", on=DAY, patient_position="HFS", tube_voltage=120, kernel="Br38")
PERSON = Identity("P-1", "", "19570203", "F")
LEVELS = {1: "L5", 2: "L4", 3: "L3"}


def made(folder, *, taken=TAKEN, lay=None):
    """A CT of three vertebrae on disk, as a series, with its mask."""
    mask = spine([1, 2, 3])
    image = ct_of(mask)
    affine = image.affine if lay is None else lay @ image.affine
    image = Volume(image.array, affine, taken)
    write_series(image, folder, seed="x", name="Person^Test", identity=PERSON)
    (series,) = find_series(folder).series
    mask, _ = on_grid(Mask(replace(mask, affine=affine), LEVELS), series.volume())
    return series, mask


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    return made(tmp_path_factory.mktemp("report") / "ct")


@pytest.fixture(scope="module")
def where(measured):
    series, mask = measured
    return regions(mask, series, {"L4", "L5"})


def fact(what="ct.hounsfield.axial", value=150.5, **more):
    concept = vocabulary.concept(what)
    unit = concept.unit if concept.kind == "number" else ""
    return Fact(**({"what": what, "value": value, "unit": unit, "on": DAY, "level": "L4",
                    "source": "x", "method": "endplate.ct.axial/1"} | more))  # fmt: skip


def back(folder, files):
    """What is read from a report, but for the person and the source."""
    path = folder / "measurements.dcm"
    path.write_bytes(files["measurements.dcm"])
    found = read_report(path).understood
    assert found.problems == () and found.ignored == ()
    return [replaced(f, source="x") for f in found.facts if not f.what.startswith("person.")]


def errors(dciodvfy, path):
    done = subprocess.run([dciodvfy, path], capture_output=True, text=True, check=False)
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]


# -- out and in again ---------------------------------------------------------------------------

TEXT = st.text(
    st.characters(categories=("L", "N", "P", "S", "Zs"), max_codepoint=0x2FFF), min_size=1
).map(str.strip).filter(bool)  # fmt: skip
MEASURED = [
    c for c in vocabulary.concepts().values() if c.id.startswith(("ct.", "mr.", "vertebra."))
]
PLACES = [None, *(v.value for v in Level), "L1-L4", "L4-S1", "L4-L5", "T13-L1", "T12-L2", "L5-L6"]


@st.composite
def any_fact(draw):
    concept = draw(st.sampled_from(MEASURED))
    interval = None
    if concept.kind == "number":
        low, high = concept.plausible or (-1000.0, 5000.0)
        numbers = st.floats(low, high).map(lambda x: round(x, 3)).filter(lambda x: low <= x <= high)
        value = draw(numbers)
        apart = st.floats(0, 100).map(lambda x: round(x, 3))
        if draw(st.booleans()):
            interval = round(value - draw(apart), 3), round(value + draw(apart), 3)
    elif concept.kind == "yes_no":
        value = draw(st.booleans())
    else:
        value = draw(st.sampled_from(concept.choices) if concept.kind == "category" else TEXT)
    doubts = tuple(draw(st.lists(TEXT, max_size=2, unique=True)))
    words = st.text("abcdefghijklmnopqrstuvwxyz_.", min_size=1, max_size=30)
    return fact(
        concept.id,
        value,
        level=draw(st.sampled_from(PLACES)),
        side=draw(st.sampled_from([None, "left", "right"])),
        method=draw(st.none() | words | st.builds("{}/{}".format, words, st.integers(1, 9))),
        interval=interval,
        posture=draw(st.sampled_from([None, *Posture])),
        quality="doubtful" if doubts else "ok",
        doubts=doubts,
        details=draw(st.dictionaries(words, st.floats(-1e6, 1e6) | TEXT, max_size=4)),
    )


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(any_fact(), min_size=1, max_size=4))
def test_every_fact_comes_back_as_it_was(tmp_path, measured, where, facts):
    made = report(measured[0], where, facts)
    assert in_order(back(tmp_path, {"measurements.dcm": encoded(made)})) == in_order(facts)


def test_equal_measurements_are_equal_files(tmp_path, measured):
    first = report_files(*measured, [fact()], {"L4"})
    assert report_files(*measured, [fact()], {"L4"}) == first
    other = report_files(*measured, [fact(value=150.6)], {"L4"})
    assert other["regions.dcm"] == first["regions.dcm"]
    uids = {}
    for n, files in enumerate((first, other)):
        path = tmp_path / f"{n}.dcm"
        path.write_bytes(files["measurements.dcm"])
        uids[n] = dcmread(path).SOPInstanceUID
    assert uids[0] != uids[1]


def test_regions_are_a_mask_with_the_same_labels(tmp_path, measured):
    series, mask = measured
    path = tmp_path / "regions.dcm"
    path.write_bytes(report_files(series, mask, [fact()], {"L4", "L3"})["regions.dcm"])
    found, problems = read_mask(path)
    assert problems == () and sorted(found.structures.values()) == ["L3", "L4"]
    placed, _ = on_grid(found, series.volume())
    for label, level in LEVELS.items():
        theirs = next((n for n, s in placed.structures.items() if s == level), None)
        same = mask.volume.array == label
        assert theirs is None if level == "L5" else ((placed.volume.array == theirs) == same).all()


TURN = np.eye(4)
TURN[:3, :3] = Rotation.from_euler("xyz", (25, -40, 60), degrees=True).as_matrix()
SHEAR = np.eye(4)
SHEAR[1, 2] = 0.2  # a tilted gantry


@pytest.mark.parametrize("lay", [TURN, SHEAR, np.diag([-1.0, 1, 1, 1])])
def test_regions_lie_where_the_labels_do_in_any_orientation(tmp_path, peer, lay):
    series, mask = made(tmp_path / "ct", lay=lay)
    path = tmp_path / "regions.dcm"
    path.write_bytes(report_files(series, mask, [fact()], {"L4", "L3", "L5"})["regions.dcm"])
    placed, _ = on_grid(read_mask(path)[0], series.volume())
    names = np.array(["", *(placed.structures[n] for n in sorted(placed.structures))])
    theirs = names[np.searchsorted([0, *sorted(placed.structures)], placed.volume.array)]
    ours = np.array(["", *(LEVELS[n] for n in sorted(LEVELS))])[mask.volume.array]
    assert (theirs == ours).all()
    for name, content in report_files(series, mask, [fact()], {"L4"}).items():
        (tmp_path / name).write_bytes(content)
        assert errors(peer("dciodvfy", "dicom3tools"), tmp_path / name) == []


def test_what_was_not_measured_whole_is_no_region(measured):
    files = report_files(*measured, [fact("vertebra.not_measured", "cut")], ())
    assert set(files) == {"measurements.dcm"}


# -- what the objects refer to ------------------------------------------------------------------


def items(data):
    for item in data.get("ContentSequence") or ():
        yield item
        yield from items(item)


def test_objects_are_of_the_study_of_the_image(tmp_path, measured):
    series, mask = measured
    image = dcmread(series.planes[0].header.path)
    for name, content in report_files(series, mask, [fact()], {"L4"}).items():
        path = tmp_path / name
        path.write_bytes(content)
        data = dcmread(path)
        for keyword in ("StudyInstanceUID", "PatientID", "PatientName", "PatientBirthDate",
                        "PatientSex", "StudyDate", "AccessionNumber", "StudyID"):  # fmt: skip
            assert data[keyword].value == image[keyword].value, keyword
        assert data.SeriesInstanceUID != image.SeriesInstanceUID
        assert data.ContentDate == "20250301"
    assert dcmread(tmp_path / "regions.dcm").FrameOfReferenceUID == image.FrameOfReferenceUID


def test_a_level_refers_to_its_segment_and_to_the_slices_that_hold_it(tmp_path, measured):
    series, mask = measured
    for name, content in report_files(series, mask, [fact()], {"L4", "L3"}).items():
        (tmp_path / name).write_bytes(content)
    regions = dcmread(tmp_path / "regions.dcm")
    (number,) = [s.SegmentNumber for s in regions.SegmentSequence if s.SegmentLabel == "L4"]
    method = regions.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0]
    assert method.AlgorithmName and method.AlgorithmVersion
    found = list(items(dcmread(tmp_path / "measurements.dcm")))
    by_name = {}
    for item in found:
        if item.ValueType == "IMAGE":
            name = item.ConceptNameCodeSequence[0].CodeMeaning
            by_name.setdefault(name, []).append(item.ReferencedSOPSequence[0])
    (segment,) = by_name["Referenced Segment"]
    assert segment.ReferencedSOPInstanceUID == regions.SOPInstanceUID
    assert segment.ReferencedSegmentNumber == number
    holding = np.flatnonzero((mask.volume.array == 2).any(axis=(0, 1)))
    expected = {series.planes[k].text("SOPInstanceUID") for k in holding}
    referred = by_name["Source Image for Segmentation"]
    assert {one.ReferencedSOPInstanceUID for one in referred} == expected
    assert not any("ReferencedFrameNumber" in one for one in referred)


def test_a_level_is_coded_as_anatomy_with_its_side(tmp_path, measured):
    (tmp_path / "m.dcm").write_bytes(
        report_files(*measured, [fact(side="right")], ())["measurements.dcm"]
    )
    (site,) = [
        item for item in items(dcmread(tmp_path / "m.dcm"))
        if item.ConceptNameCodeSequence[0].CodeValue == "363698007"
    ]  # fmt: skip
    assert site.ConceptCodeSequence[0].CodeValue == "11994002"  # L4, PS3.16 by pydicom
    side = site.ContentSequence[0].ConceptCodeSequence[0]
    assert (side.CodeValue, side.CodingSchemeDesignator) == ("24028007", "SCT")


@pytest.mark.parametrize("is_reversed", [False, True])
def test_frames_of_a_multi_frame_image_are_named(tmp_path, is_reversed):
    mask = spine([1, 2, 3])
    image = ct_of(mask)
    values = image.array.transpose(2, 1, 0)
    origin = np.array(image.affine[:3, 3])
    step = image.affine[:3, 2]
    if is_reversed:
        values, origin, step = values[::-1], origin + (len(values) - 1) * step, -step
    data = enhanced(values, origin=origin, step=step, spacing=image.spacing[[1, 0]])
    data.PositionReferenceIndicator = ""
    saved([data], tmp_path / "ct")
    (series,) = find_series(tmp_path / "ct").series
    volume = series.volume()
    assert [s.instance for s in volume.slices] == [str(data.SOPInstanceUID)] * len(values)
    mask, _ = on_grid(Mask(mask, LEVELS), volume)
    facts = [fact(on=series.acquisition.on)]
    for name, content in report_files(series, mask, facts, {"L4"}).items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "ct").rename(tmp_path / "image")
    (source,) = [
        item.ReferencedSOPSequence[0] for item in items(dcmread(tmp_path / "measurements.dcm"))
        if item.ConceptNameCodeSequence[0].CodeMeaning == "Source Image for Segmentation"
    ]  # fmt: skip
    held = np.flatnonzero((mask.volume.array == 2).any(axis=(0, 1)))
    per_frame = data.PerFrameFunctionalGroupsSequence
    where = [float(per_frame[n - 1].PlanePositionSequence[0].ImagePositionPatient[2])
             for n in source.ReferencedFrameNumber]  # fmt: skip
    assert sorted(where) == pytest.approx([volume.to_world((0, 0, k))[2] for k in held])
    found, _ = read_mask(tmp_path / "regions.dcm")
    placed, _ = on_grid(found, volume)
    assert ((placed.volume.array > 0) == (mask.volume.array == 2)).all()


def test_a_cropped_volume_knows_its_slices(measured):
    volume = measured[0].volume()
    assert len(volume.slices) == volume.array.shape[2]
    part = volume.cropped((0, 0, 2), (4, 4, 5))
    assert part.slices == volume.slices[2:5]
    assert part.slices[0] == Slice(measured[0].planes[2].text("SOPInstanceUID"), 0)


# -- headers as they are ------------------------------------------------------------------------


def test_names_in_another_alphabet_stay_what_they_are(tmp_path):
    series, mask = made(tmp_path / "ct")
    for plane in series.planes:
        data = dcmread(plane.header.path)
        data.SpecificCharacterSet = "ISO_IR 100"
        data.PatientName = "Müller^Jürgen"
        data.save_as(plane.header.path)
    facts = [fact(doubts=("tilted by 3°",), quality="doubtful")]
    assert back(tmp_path, report_files(series, mask, facts, {"L4"})) == facts
    for name, content in report_files(series, mask, facts, {"L4"}).items():
        (tmp_path / name).write_bytes(content)
        assert dcmread(tmp_path / name).PatientName == "Müller^Jürgen"


def test_an_anonymous_header_is_enough(tmp_path, capfd):
    series, mask = made(tmp_path / "ct", taken=replace(TAKEN, on=None))
    for plane in series.planes:
        data = dcmread(plane.header.path)
        for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyTime",
                        "StudyDate", "StudyID", "AccessionNumber", "SeriesDate", "ContentDate",
                        "AcquisitionDate", "ReferringPhysicianName"):  # fmt: skip
            del data[keyword]
        data.save_as(plane.header.path)
    (series,) = find_series(tmp_path / "ct").series
    facts = [fact(on=None)]
    assert back(tmp_path, report_files(series, mask, facts, {"L4"})) == facts
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "FrameOfReferenceUID", "SOPInstanceUID"])
def test_a_series_without_uids_gets_no_objects(tmp_path, keyword):
    made(tmp_path / "ct")
    for path in (tmp_path / "ct").iterdir():
        data = dcmread(path)
        data[keyword].value = ""
        data.save_as(path, enforce_file_format=False)
    (series,) = find_series(tmp_path / "ct").series
    mask, _ = on_grid(Mask(spine([1, 2, 3]), LEVELS), series.volume())
    with pytest.raises(InputProblem, match="no UID"):
        report_files(series, mask, [fact()], {"L4"})


def test_a_report_has_one_day(measured):
    with pytest.raises(ValueError, match="date"):
        report_files(*measured, [fact(on=date(2025, 3, 2))], {"L4"})


# -- reports of others --------------------------------------------------------------------------


def rewritten(path, change):
    data = dcmread(path)
    for item in items(data):
        change(item)
    data.save_as(path)
    return read_report(path).understood


@pytest.fixture
def report_path(tmp_path, measured):
    path = tmp_path / "m.dcm"
    path.write_bytes(report_files(*measured, [fact(side="left")], {"L4"})["measurements.dcm"])
    return path


def recoded(item, scheme, value):
    """Give a measurement the name of another's."""
    if item.ValueType == "NUM" and item.RelationshipType == "CONTAINS":
        name = item.ConceptNameCodeSequence[0]
        name.CodingSchemeDesignator, name.CodeValue = scheme, value
        item.ContentSequence = []


def of_patients(understood):
    return [f for f in understood.facts if not f.what.startswith("person.")]


def test_a_measurement_of_others_is_read_where_its_code_is_known(report_path):
    known = vocabulary.codes_of("lab.vitamin_d")[0]

    def change(item):
        recoded(item, "LN", known.code)
        if item.ValueType == "NUM" and item.RelationshipType == "CONTAINS":
            value = item.MeasuredValueSequence[0]
            value.MeasurementUnitsCodeSequence[0].CodeValue = "ng/mL"
            value.FloatingPointValue = 31.5

    (found,) = of_patients(rewritten(report_path, change))
    assert (found.what, found.value, found.level, found.side, found.on, found.interval) == (
        "lab.vitamin_d", 31.5, "L4", "left", DAY, None
    )  # fmt: skip


def test_an_id_written_out_in_full_is_understood_too(tmp_path, measured):
    facts = [fact("vertebra.height.anterior", 25.5), fact("vertebra.genant_grade", "mild")]
    path = tmp_path / "m.dcm"
    path.write_bytes(report_files(*measured, facts, {"L4"})["measurements.dcm"])
    changed = []

    def change(item):
        for code in (*item.ConceptNameCodeSequence, *item.get("ConceptCodeSequence", ())):
            word = meant(code.CodeValue)
            if word != code.CodeValue:
                changed.append(word)
                code.LongCodeValue = word
                del code.CodeValue

    found = of_patients(rewritten(path, change))
    assert sorted((f.what, f.value) for f in found) == sorted((f.what, f.value) for f in facts)
    assert len(changed) == 3


def test_what_is_not_understood_is_one_line_for_its_reason(report_path):
    understood = rewritten(report_path, lambda item: recoded(item, "99OTHER", "x"))
    assert of_patients(understood) == []
    (line,) = understood.ignored
    assert line.problem == "dicom.report_not_understood"
    assert "no concept" in line.says and "Attenuation Coefficient" in line.says


def test_a_unit_that_cannot_be_converted_is_refused(report_path):
    def change(item):
        if item.ValueType == "NUM":
            unit = item.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0]
            unit.CodeValue = "mm"

    understood = rewritten(report_path, change)
    assert of_patients(understood) == []
    assert [p.problem for p in understood.problems] == ["fact.unit_not_usable"]


def test_two_sides_are_no_side(report_path):
    def change(item):
        if item.ConceptNameCodeSequence[0].CodeValue == "363698007":
            other = Dataset()
            other.update(item.ContentSequence[0])
            code = Dataset()
            code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = (
                "24028007", "SCT", "Right"
            )  # fmt: skip
            other.ConceptCodeSequence = [code]
            item.ContentSequence.append(other)

    understood = rewritten(report_path, change)
    assert of_patients(understood) == []
    assert "no one level or side" in understood.ignored[0].says


def test_older_codes_of_site_and_side_are_understood(report_path):
    old = {"363698007": "G-C0E3", "272741003": "G-C171", "7771000": "G-A101"}

    def change(item):
        codes = [item.ConceptNameCodeSequence[0], *item.get("ConceptCodeSequence", ())]
        for code in codes:
            if code.get("CodeValue") in old:
                code.CodeValue, code.CodingSchemeDesignator = old[code.CodeValue], "SRT"

    (found,) = of_patients(rewritten(report_path, change))
    assert (found.level, found.side) == ("L4", "left")


def test_a_document_without_measurements_is_left_aside(report_path):
    data = dcmread(report_path)
    del data.ContentSequence[-1]
    data.save_as(report_path)
    (line,) = read_report(report_path).understood.ignored
    assert line.problem == "dicom.report_without_measurements"


@pytest.mark.shared_data
@pytest.mark.parametrize(
    "name, aside", [("dcmqi/sr-example/sr.dcm", 22), ("highdicom/sr_document.dcm", 1)]
)
def test_reports_of_other_programs_are_read_and_what_is_left_is_said(shared_data, name, aside):
    understood = read_report(shared_data / "imaging" / name).understood
    assert understood.facts == () and understood.problems == ()
    (line,) = understood.ignored
    assert line.says.startswith(f"{aside} ")


@pytest.mark.shared_data
def test_a_real_series_gets_objects_that_dciodvfy_accepts(shared_data, tmp_path, peer):
    folder = shared_data / "imaging" / "dcmqi" / "segmentations"
    (series,) = find_series(folder / "ct-3slice").series
    volume = series.volume()
    labels = np.zeros(volume.array.shape, np.uint8)
    labels[200:300, 250:320] = 1
    mask = Mask(replace(volume, array=labels), {1: "T12"})
    facts = [fact(level="T12", on=series.acquisition.on)]
    files = report_files(series, mask, facts, {"T12"})
    assert back(tmp_path, files) == facts
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        assert errors(peer("dciodvfy", "dicom3tools"), tmp_path / name) == []


@pytest.mark.shared_data
def test_a_real_series_without_uids_is_said_to_get_none(shared_data):
    folder = shared_data / "imaging" / "totalsegmentator" / "example_ct_dicom"
    (series,) = find_series(folder).series
    mask = Mask(replace(series.volume(), array=np.zeros(series.shape, np.uint8)), {})
    with pytest.raises(InputProblem, match="no UID"):
        report_files(series, mask, [fact(on=series.acquisition.on)], ())
