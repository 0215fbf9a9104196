"""The regions that were measured: measured again they give the same; each fact names its own."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.sr.codedict import codes

from endplate import vocabulary
from endplate.demo.phantom import Muscles, Scan, Spine, phantom
from endplate.exchange.dicom import report_codes
from endplate.exchange.dicom.report import report_files
from endplate.exchange.dicom.segmentation import read
from endplate.exchange.dicom.series import Identity, find_series
from endplate.exchange.dicom.write import write_segmentation, write_series
from endplate.exchange.masks import on_grid, read_mask
from endplate.facts import InputProblem
from endplate.images.measure import measure
from endplate.images.volume import Acquisition, Mask, Volume

DAY = date(2025, 3, 1)
PERSON = Identity("P-1", "", "19570203", "F")
WITH_MUSCLES = Spine(first="L3", last="L5", muscles=Muscles(wall=True))
SIDES = {"7771000": "left", "24028007": "right"}


def on_disk(folder, made, modality="CT"):
    """A phantom's image as a series, and its mask on that."""
    taken = Acquisition(modality=modality, on=DAY, patient_position="HFS")
    values = made.image.array if modality == "CT" else abs(made.image.array)
    image = Volume(values.round().astype(np.int16), made.image.affine, taken, "phantom")
    write_series(image, folder, seed="x", name="Person^Test", identity=PERSON)
    (series,) = find_series(folder).series
    mask, _ = on_grid(made.mask, series.volume())
    return series, mask


def written(folder, series, mask):
    """What was measured, and the folder with the objects of it."""
    found = measure(series.volume(), mask, quantities=ALL)
    for name, content in report_files(series, mask, found.facts, found.vertebrae).items():
        (folder / name).write_bytes(content)
    return found


ALL = {"heights", "geometry", "canal", "attenuation", "bone_quality_score", "muscle", "discs"}


@pytest.fixture(scope="module", params=["CT", "MR"])
def objects(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    scan = Scan(spacing=(2.0, 2.0, 2.0), modality=request.param)
    series, mask = on_disk(folder / "image", phantom(WITH_MUSCLES, scan), request.param)
    return folder, series, written(folder, series, mask)


@pytest.fixture(scope="module")
def pelvis(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pelvis")
    made = phantom(Spine(first="L4", last="L5"), Scan(spacing=(2.5, 2.5, 2.5)))
    return (folder, *on_disk(folder / "image", made))


def told(facts):
    """The words of facts, and their numbers: the last digit can turn by how DICOM writes places."""
    words, numbers = [], []
    for one in facts:
        cells = {"value": one.value, **one.details}
        cells |= dict(zip(("low", "high"), one.interval or (), strict=False))
        sizes = {k: v for k, v in cells.items() if isinstance(v, float)}
        numbers += sizes.values()
        said = [(k, v) for k, v in cells.items() if k not in sizes]
        words.append((one.what, one.level, one.side, *sizes, *said, one.doubts, one.method))
    return words, numbers


def assert_alike(first, second):
    for one, other in zip(*map(told, (first, second)), strict=True):
        assert one == (
            other if isinstance(other[0], tuple) else pytest.approx(other, rel=1e-4, abs=0.002)
        )


def again(folder, series):
    """What is measured on the regions alone."""
    mask, _ = read_mask(folder / "regions.dcm")
    mask, problems = on_grid(mask, series.volume())
    assert problems == ()
    return measure(series.volume(), mask, quantities=ALL)


def labels(folder):
    return {s.SegmentLabel: s for s in dcmread(folder / "regions.dcm").SegmentSequence}


# -- the regions are enough ----------------------------------------------------------------------


def test_measured_again_on_its_regions_all_is_the_same(objects):
    folder, series, first = objects
    assert {f.what.partition(".")[0] for f in first.facts} >= {"pelvis", "spine", "muscle", "disc"}
    assert_alike(again(folder, series).facts, first.facts)


def test_the_regions_hold_what_was_measured_and_nothing_else(objects):
    folder, series, _ = objects
    expected = {"L3", "L4", "L5", "S1", "sacrum", "femur_left", "femur_right", "disc",
                "skeletal_muscle", "iliopsoas_left", "iliopsoas_right", "autochthon_left",
                "autochthon_right"}  # fmt: skip
    found = set(labels(folder))
    assert found - {"csf", "spinal_canal"} == expected
    assert bool(found & {"csf", "spinal_canal"}) == (series.acquisition.modality == "MR")


def test_hip_bones_are_regions_where_the_hip_axis_was_taken_from_them(pelvis, tmp_path):
    _, series, mask = pelvis
    kept = {n: s for n, s in mask.structures.items() if s != "femur_left"}
    first = written(tmp_path, series, replace(mask, structures=kept))
    found = set(labels(tmp_path))
    assert {"femur_right", "hip_left"} <= found and not found & {"femur_left", "hip_right"}
    assert_alike(*(
        [f for f in found.facts if f.what.startswith("pelvis.")]
        for found in (again(tmp_path, series), first)
    ))  # fmt: skip
    assert references(tmp_path)["pelvis.pelvic_obliquity", None] == {"femur_right", "hip_left"}


def test_a_side_is_a_modifier_of_the_type(objects):
    for label, segment in labels(objects[0]).items():
        (kind,) = segment.SegmentedPropertyTypeCodeSequence
        modifiers = kind.get("SegmentedPropertyTypeModifierCodeSequence") or ()
        sides = [SIDES[one.CodeValue] for one in modifiers]
        expected = [side for side in ("left", "right") if label.endswith(f"_{side}")]
        assert sides == expected
        assert segment.SegmentationAlgorithmIdentificationSequence[0].AlgorithmName


# -- a fact refers to its regions ----------------------------------------------------------------


def references(folder):
    """Concept and level of each measurement → labels of the segments it refers to."""
    names = {s.SegmentNumber: s.SegmentLabel for s in labels(folder).values()}
    concepts = {report_codes.own(c, "x").value: c for c in vocabulary.concepts()}
    found = {}
    for kind, group in groups(folder):
        own = set()
        if kind == "region":
            (number,) = group.referenced_segment[0].referenced_segment_numbers
            own = {names[number]}
        for one in group.get_measurements():
            code = one.method if one.name.scheme_designator != report_codes.SCHEME else one.name
            refers = own | {
                names[n]
                for item in one[0].ContentSequence
                if item.ValueType == "IMAGE"
                for n in np.atleast_1d(item.ReferencedSOPSequence[0].ReferencedSegmentNumber)
            }
            what = concepts[code.value]
            level = group.tracking_identifier if what.startswith("spine") else None
            found.setdefault((what, level), set()).update(refers)
    return found


def groups(folder):
    from highdicom.sr import Comprehensive3DSR

    content = Comprehensive3DSR.from_dataset(dcmread(folder / "measurements.dcm")).content
    assert content.get_planar_roi_measurement_groups() == []
    yield from (("region", g) for g in content.get_volumetric_roi_measurement_groups())
    yield from (("images", g) for g in content.get_image_measurement_groups())


def test_every_measurement_refers_to_the_regions_it_was_measured_on(objects):
    folder, _, first = objects
    found = references(folder)
    assert all(found.values())
    heads, plate = {"femur_left", "femur_right"}, {"S1", "sacrum"}
    assert found["pelvis.pelvic_incidence", None] == heads | plate
    assert found["pelvis.pelvic_tilt", None] == found["pelvis.sacral_slope", None] == heads | plate
    assert found["pelvis.pelvic_obliquity", None] == found["pelvis.femoral_head_radius", None]
    assert found["pelvis.pelvic_obliquity", None] == heads
    (curve,) = (v for (what, _), v in found.items() if what == "spine.lower_lumbar_lordosis")
    assert curve == {"L4", "L5"} | heads | plate
    assert "disc" in found["disc.height_index", None]
    if first.facts[0].details.get("modality") == "CT":
        assert "iliopsoas_left" in found["muscle.psoas.area", None]


def test_a_femoral_head_refers_to_the_femur_of_its_side(pelvis, tmp_path):
    _, series, mask = pelvis
    written(tmp_path, series, mask)
    numbers = {s.SegmentNumber: name for name, s in labels(tmp_path).items()}
    radius = report_codes.own("pelvis.femoral_head_radius", "x").value
    sides = {}
    for _, group in groups(tmp_path):
        for one in group.get_measurements():
            if one.name.value == radius:
                (image,) = one.referenced_images
                assert (
                    image.referenced_sop_instance_uid
                    == dcmread(tmp_path / "regions.dcm").SOPInstanceUID
                )
                number = image.ReferencedSOPSequence[0].ReferencedSegmentNumber
                sides[group.tracking_identifier] = numbers[int(number)]
    assert sides == {"left": "femur_left", "right": "femur_right"}


def test_highdicom_reads_every_group_whole(objects):
    folder, _, first = objects
    numbers, words, images = [], 0, set()
    for kind, group in groups(folder):
        for one in group.get_measurements():
            numbers.append((float(one.value), one.unit.value))
            assert one.name.meaning and (one.method is None or one.method.meaning)
            images |= {i.referenced_sop_instance_uid for i in one.referenced_images}
        words += len(group.get_qualitative_evaluations())
        if group.tracking_identifier in ("left", "right"):
            (site,) = group.finding_sites
            assert (site.value, site.laterality.meaning.lower()) == (
                codes.SCT.HipJoint, group.tracking_identifier
            )  # fmt: skip
        if kind == "region":
            referred = group.referenced_segment
            assert referred.has_source_images()
            assert len(referred.source_images_for_segmentation) > 1
        assert group.tracking_uid
    assert sorted(numbers) == sorted((float(f.value), f.unit) for f in first.facts if f.unit)
    assert words == sum(not f.unit for f in first.facts)
    assert images == {dcmread(folder / "regions.dcm").SOPInstanceUID}


@pytest.mark.peer
@pytest.mark.parametrize("name", ["measurements.dcm", "regions.dcm"])
def test_dciodvfy_finds_no_error_in_the_references(objects, peer, name):
    program = peer("dciodvfy", "dicom3tools")
    done = subprocess.run([program, objects[0] / name], capture_output=True, text=True, check=False)
    told = (done.stdout + done.stderr).splitlines()
    assert told and [line for line in told if line.startswith("Error")] == []


@pytest.mark.peer
def test_dsrdump_reads_the_same_references(objects, peer):
    folder = objects[0]
    options = ["-Ei", "+Pl", "+Pc"]
    done = subprocess.run(
        [peer("dsrdump", "dcmtk"), *options, folder / "measurements.dcm"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    names = {s.SegmentNumber: s.SegmentLabel for s in labels(folder).values()}
    code = report_codes.own("pelvis.pelvic_incidence", "x").value
    (incidence,) = re.findall(rf"<contains NUM:\({code},(.*?)<contains", done.stdout, re.DOTALL)
    (numbers,) = re.findall(r"inferred from IMAGE:.*?=\(SG image,,(.*?)\)", incidence)
    found = {names[int(n)] for n in numbers.split(",")}
    assert found == {"S1", "sacrum", "femur_left", "femur_right"}


def test_every_code_of_ours_is_short_and_of_one_thing():
    concepts = vocabulary.concepts().values()
    words = [c.id for c in concepts] + [f"{c.id}:{w}" for c in concepts for w in c.choices]
    values = [report_codes.own(word, "x").value for word in words]
    assert max(map(len, values)) <= 16 < max(map(len, words))
    assert len(set(values)) == len(values)
    assert [report_codes.meant(value) for value in values] == words
    assert report_codes.meant("level:L6") == "level:L6"


# -- left and right exchanged --------------------------------------------------------------------


def recoded(path, sided):
    """Give segments another side by code, and no name that tells one."""
    data = dcmread(path)
    for segment in data.SegmentSequence:
        stem = segment.SegmentLabel.rpartition("_")[0]
        (kind,) = segment.SegmentedPropertyTypeCodeSequence
        modifiers = kind.get("SegmentedPropertyTypeModifierCodeSequence")
        if not modifiers or not sided(segment.SegmentLabel):
            continue
        side = codes.SCT.Right if SIDES[modifiers[0].CodeValue] == "left" else codes.SCT.Left
        modifiers[0].CodeValue, modifiers[0].CodeMeaning = side.value, side.meaning
        segment.SegmentLabel = f"one {stem}"
    data.save_as(path)
    return path


@pytest.fixture
def segmented(pelvis, tmp_path):
    _, series, mask = pelvis
    return write_segmentation(mask, series, tmp_path / "seg.dcm", seed="x")


def test_sides_are_read_from_the_codes(segmented):
    data = dcmread(segmented)
    for segment in data.SegmentSequence:
        segment.SegmentLabel = f"segment {segment.SegmentNumber}"
    before = read(segmented)[1]
    data.save_as(segmented)
    after = read(segmented)[1]
    sided = {n: s for n, s in before.items() if s.endswith(("_left", "_right"))}
    assert len(sided) == 4 and {n: after[n] for n in sided} == sided


def test_a_side_can_be_that_of_the_region(segmented):
    data = dcmread(segmented)
    (segment,) = [s for s in data.SegmentSequence if s.SegmentLabel == "femur_left"]
    (region,) = segment.SegmentedPropertyTypeCodeSequence
    side = region.SegmentedPropertyTypeModifierCodeSequence
    del region.SegmentedPropertyTypeModifierCodeSequence
    region.AnatomicRegionModifierSequence = side
    kind = type(region)()
    kind.CodeValue, kind.CodingSchemeDesignator, kind.CodeMeaning = "272673000", "SCT", "Bone"
    segment.SegmentedPropertyTypeCodeSequence = [kind]
    segment.AnatomicRegionSequence = [region]
    segment.SegmentLabel = "bone"
    data.save_as(segmented)
    assert read(segmented)[1][segment.SegmentNumber] == "femur_left"


def test_exchanged_side_codes_are_refused_by_name(segmented):
    recoded(segmented, lambda label: label.startswith("femur"))
    with pytest.raises(InputProblem, match=r"exchanged in femur\. "):
        read_mask(segmented)


def test_all_exchanged_side_codes_are_refused_by_name(segmented):
    recoded(segmented, lambda label: True)
    with pytest.raises(InputProblem, match=r"exchanged in femur, hip\. "):
        read_mask(segmented)


def test_one_bone_with_the_code_of_the_other_side_is_found_by_name(pelvis, tmp_path):
    _, series, mask = pelvis
    kept = {n: s for n, s in mask.structures.items() if s not in ("femur_right", "hip_right")}
    alone = Mask(mask.volume, kept, mask.parts, mask.system)
    path = write_segmentation(alone, series, tmp_path / "seg.dcm", seed="x")
    recoded(path, lambda label: label == "femur_left")
    found, _ = on_grid(read_mask(path)[0], series.volume())
    problems = measure(series.volume(), found, quantities={"geometry"}).problems
    (said,) = [p for p in problems if "wrong_side" in p.problem]
    assert "femur_right" in said.says and "hip_left" not in said.says


def test_code_and_label_of_two_sides_are_refused(segmented):
    data = dcmread(segmented)
    for segment in data.SegmentSequence:
        if segment.SegmentLabel == "femur_left":
            segment.SegmentLabel = "Right femur"
    data.save_as(segmented)
    with pytest.raises(InputProblem, match="coded as femur_left and labelled femur_right"):
        read_mask(segmented)
