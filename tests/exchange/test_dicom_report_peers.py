"""What other programs make of our measurement objects: each finds the same, and nothing wrong."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.sr.codedict import codes

from endplate.demo.phantom import Scan, Spine, phantom
from endplate.exchange.dicom.report import report_files
from endplate.exchange.dicom.series import Identity, find_series
from endplate.exchange.dicom.write import write_series
from endplate.exchange.masks import on_grid
from endplate.facts import Fact
from endplate.images.measure import measure
from endplate.images.volume import Acquisition, Volume

pytestmark = pytest.mark.peer
_ORTHANC = Path(__file__).parent / "orthanc.py"


@pytest.fixture(scope="module", params=["CT", "MR"])
def objects(request, tmp_path_factory):
    """A folder with an image and what was measured on it, and the facts."""
    folder = tmp_path_factory.mktemp(request.param)
    made = phantom(Spine(first="L2", last="L4", pelvis=None), Scan(spacing=(1.5, 1.5, 1.5)))
    taken = Acquisition(modality=request.param, on=date(2025, 3, 1), patient_position="HFS")
    array = made.image.array if request.param == "CT" else abs(made.image.array)
    image = Volume(array.round().astype("int16"), made.image.affine, taken, "phantom")
    person = Identity("P-1", "", "19570203", "F")
    write_series(image, folder / "image", seed="x", name="Person^Test", identity=person)
    (series,) = find_series(folder / "image").series
    volume = series.volume()
    mask, _ = on_grid(made.mask, volume)
    found = measure(volume, mask)
    side = Fact(what="imaging.metal", value="left pedicle", level="L3", side="left", source="x",
                on=date(2025, 3, 1))  # fmt: skip
    facts = (*found.facts, side)
    for name, content in report_files(series, mask, facts, found.vertebrae).items():
        (folder / name).write_bytes(content)
    return folder, facts


def numbers(facts):
    """Value and unit of all measurements."""
    return sorted((float(f.value), f.unit) for f in facts if f.unit)


@pytest.mark.parametrize("name", ["measurements.dcm", "regions.dcm"])
def test_dciodvfy_finds_no_error(objects, peer, name):
    program = peer("dciodvfy", "dicom3tools")
    done = subprocess.run([program, objects[0] / name], capture_output=True, text=True, check=False)
    told = (done.stdout + done.stderr).splitlines()
    assert [line for line in told if line.startswith("Error")] == []
    assert {"measurements.dcm": "Comprehensive3DSR", "regions.dcm": "Segmentation"}[name] in told


def test_dsrdump_reads_the_same_values(objects, peer):
    folder, facts = objects
    options = ["-Ei", "+Pl", "+Pc"]  # constraints are checked, texts whole, names with codes
    done = subprocess.run(
        [peer("dsrdump", "dcmtk"), *options, folder / "measurements.dcm"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    told = re.findall(r'<contains NUM:.*?="(.*?)" \((.*?),UCUM', done.stdout)
    assert sorted((float(value), unit) for value, unit in told) == numbers(facts)
    for level in {f.level for f in facts}:
        assert f'"Tracking Identifier")="{level}' in done.stdout
    upper = re.findall(r'<has properties NUM:\(371886008,SCT.*?="(.*?)"', done.stdout)
    apart = [f.interval[1] - float(f.value) for f in facts if f.interval]
    assert sorted(map(float, upper)) == pytest.approx(sorted(apart), abs=1e-9)


def test_highdicom_reads_the_same_values_and_levels(objects):
    from highdicom.sr import Comprehensive3DSR
    from highdicom.sr.utils import find_content_items

    folder, facts = objects
    document = Comprehensive3DSR.from_dataset(dcmread(folder / "measurements.dcm"))
    groups = document.content.get_volumetric_roi_measurement_groups()
    others = document.content.get_image_measurement_groups()
    found = [m for group in (*groups, *others) for m in group.get_measurements()]
    assert sorted((float(m.value), m.unit.value) for m in found) == numbers(facts)
    sites = {g.finding_sites[0].value.meaning for g in groups}
    assert sites == {f"Bone structure of {level}" for level in ("L2", "L3", "L4")}
    regions = dcmread(folder / "regions.dcm")
    segments = {s.SegmentNumber: s.SegmentLabel for s in regions.SegmentSequence}
    for group in groups:
        (referred,) = find_content_items(group[0], name=codes.DCM.ReferencedSegment)
        assert referred.referenced_sop_instance_uid == regions.SOPInstanceUID
        assert segments[referred.referenced_segment_numbers[0]] == group.tracking_identifier


def test_pydicom_reads_the_same_values(objects):
    folder, facts = objects

    def measured(item):
        for one in item.get("ContentSequence") or ():
            if one.ValueType == "NUM" and one.RelationshipType == "CONTAINS":
                value = one.MeasuredValueSequence[0]
                yield float(value.NumericValue), value.MeasurementUnitsCodeSequence[0].CodeValue
            yield from measured(one)

    assert sorted(measured(dcmread(folder / "measurements.dcm"))) == numbers(facts)


def test_an_archive_gives_them_back_unchanged(objects, peer, tmp_path):
    peer("Orthanc", "orthanc")
    peer("dcmsend", "dcmtk")
    given, fetched = tmp_path / "given", tmp_path / "fetched"
    given.mkdir()
    fetched.mkdir()
    folder, _ = objects
    for path in (*folder.glob("*.dcm"), *sorted((folder / "image").iterdir())[:2]):
        shutil.copy(path, given)
    alone = ["unshare", "--net"]  # a network of its own, where the machine allows it
    is_allowed = subprocess.run([*alone, "true"], capture_output=True, check=False).returncode == 0
    done = subprocess.run(
        [*(alone if is_allowed else []), sys.executable, _ORTHANC, given, fetched],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "patients": 1, "studies": 1, "series": 3, "instances": 4
    }  # fmt: skip
    for path in given.iterdir():
        stored = dcmread(path)
        assert dcmread(fetched / f"{stored.SOPInstanceUID}.dcm") == stored
