"""From an image to DICOM objects, and from these to a plan: nothing is lost on the way."""

from __future__ import annotations

import json
import shutil
import sys

import pydicom
import pytest

from endplate.cli.main import main
from terminal import in_a_terminal

ON = "2026-06-01"


@pytest.fixture(scope="session")
def measured(_small, tmp_path_factory):
    """What ``endplate measure`` writes for the small case."""
    out = tmp_path_factory.mktemp("measured") / "out"
    arguments = ["--image", str(_small / "ct"), "--mask", str(_small / "mask.nii.gz")]
    assert main(["measure", *arguments, "--out", str(out)]) == 0
    return out


def facts(text):
    """Facts as they are printed, but for where they came from."""
    found = [{k: v for k, v in f.items() if k != "source"} for f in json.loads(text)["facts"]]
    return sorted((f for f in found if f["what"][:6] != "person"), key=json.dumps)


def test_a_report_alone_gives_all_that_was_measured(measured, tmp_path, capsys):
    shutil.copy(measured / "measurements.dcm", tmp_path)
    capsys.readouterr()
    assert main(["read", str(tmp_path), "--on", ON, "--json"]) == 0
    read = capsys.readouterr().out
    assert facts(read) == facts((measured / "measurements.json").read_text())
    assert json.loads(read)["problems"] == []
    born = [f["value"] for f in json.loads(read)["facts"] if f["what"] == "person.birth_date"]
    assert born == ["1958-03-14"]


def test_regions_measured_again_are_the_same_levels(_small, measured, capsys):
    arguments = ["--image", str(_small / "ct"), "--mask", str(measured / "regions.dcm")]
    capsys.readouterr()
    assert main(["measure", *arguments, "--json"]) == 0
    again = json.loads(capsys.readouterr().out)["facts"]
    first = json.loads((measured / "measurements.json").read_text())["facts"]

    def heights(found):
        return {f["level"]: f["value"] for f in found if f["what"] == "vertebra.height.middle"}

    assert heights(again) == pytest.approx(heights(first), abs=0.3)


def test_a_report_beside_its_image_doubles_nothing(small_case, measured, tmp_path):
    def planned(out):
        assert main(["plan", str(small_case), "--out", str(out), "--on", ON]) == 0
        return facts((out / "plan.json").read_text())

    without = planned(tmp_path / "without")
    shutil.copy(measured / "measurements.dcm", small_case)
    with_it = planned(tmp_path / "with")
    measurements = ("ct.hounsfield", "vertebra.height", "vertebra.wedge")
    assert [f for f in with_it if f["what"].startswith(measurements)] == [
        f for f in without if f["what"].startswith(measurements)
    ]


def test_a_report_stands_in_for_its_image(small_case, measured, tmp_path):
    shutil.rmtree(small_case / "ct")
    (small_case / "mask.nii.gz").unlink()
    shutil.copy(measured / "measurements.dcm", small_case)
    assert main(["plan", str(small_case), "--out", str(tmp_path / "out"), "--on", ON]) == 0
    plan = json.loads((tmp_path / "out" / "plan.json").read_text())
    known = [f for f in plan["findings"] if f["rule"] == "bone.hounsfield"]
    assert known and any(
        b["source"].startswith("SOPInstanceUID") for f in known for b in f["because"]
    )


def test_a_report_of_another_person_ends_the_run(small_case, measured, tmp_path, capsys):
    data = pydicom.dcmread(measured / "measurements.dcm")
    data.PatientBirthDate = "19400101"
    data.save_as(small_case / "report.dcm")
    assert main(["plan", str(small_case), "--out", str(tmp_path / "out"), "--on", ON]) == 2
    assert "more than one person" in capsys.readouterr().err


@pytest.mark.parametrize("part", [0.11, 0.5, 0.93, 0.999])
def test_a_report_that_is_cut_off_is_said_and_the_rest_is_read(small_case, measured, capsys, part):
    # A reader of DICOM takes what there is of a sequence, and says nothing of the rest.
    whole = (measured / "measurements.dcm").read_bytes()
    (small_case / "report.dcm").write_bytes(whole[: int(len(whole) * part)])
    assert main(["read", str(small_case), "--on", ON, "--json"]) == 0
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert [p["where"] for p in problems if p["problem"] == "dicom.report_unreadable"] == [
        "report.dcm"
    ]


def test_an_image_that_is_no_dicom_series_gets_no_objects(small_case, tmp_path, capsys):
    from endplate.exchange import nifti
    from endplate.exchange.dicom.series import find_series

    (series,) = find_series(small_case / "ct").series
    nifti.write(series.volume(), tmp_path / "ct.nii.gz")
    arguments = ["--image", str(tmp_path / "ct.nii.gz"), "--mask", str(small_case / "mask.nii.gz")]
    out = tmp_path / "out"
    assert main(["measure", *arguments, "--out", str(out), "--modality", "CT"]) == 0
    assert {p.suffix for p in out.iterdir()} == {".json", ".png"}
    assert "dicom" not in capsys.readouterr().out


def test_a_series_without_a_study_is_measured_all_the_same(small_case, tmp_path, capsys):
    for path in (small_case / "ct").iterdir():
        data = pydicom.dcmread(path)
        data.StudyInstanceUID = ""
        data.save_as(path)
    arguments = ["--image", str(small_case / "ct"), "--mask", str(small_case / "mask.nii.gz")]
    out = tmp_path / "out"
    assert main(["measure", *arguments, "--out", str(out), "--json"]) == 0
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert any(p["problem"] == "dicom.report_not_written" for p in problems)
    assert (out / "measurements.json").exists() and not list(out.glob("*.dcm"))


def test_a_terminal_sees_what_is_being_done_and_json_does_not(_small, tmp_path):
    image, mask, out = (str(p) for p in (_small / "ct", _small / "mask.nii.gz", tmp_path / "out"))
    command = [sys.executable, "-m", "endplate.cli.main", "measure", "--image", image]
    code, text = in_a_terminal([*command, "--mask", mask, "--out", out])
    assert code == 0
    bar, _, rest = text.partition("measurements")
    assert "0/10" in bar and "reading" in bar and "vertebrae" in bar and "writing" in bar
    assert "writing" not in rest and "/10" not in rest
    code, text = in_a_terminal([*command, "--mask", mask, "--json"])
    assert code == 0 and json.loads(text)["facts"] and "\x1b" not in text
    code, text = in_a_terminal([*command, "--mask", str(tmp_path / "none.nii.gz")])
    assert code == 2 and text.rstrip().endswith("Check the path.")
