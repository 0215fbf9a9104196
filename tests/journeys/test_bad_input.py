"""Bad input: unusable ends with exit code 2, one message and no output; the rest is read."""

from __future__ import annotations

import errno
import gzip
import json
import os
import shutil
from datetime import date, timedelta
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest

from endplate.cli import batch
from endplate.cli.main import main
from endplate.demo.phantom import Scan, Spine, phantom
from endplate.exchange.case_list import read_case_list
from endplate.exchange.dicom.series import Identity
from endplate.exchange.dicom.write import write_series

ON = "2026-06-01"


def plan(case: Path, out: Path, *more: str) -> int:
    return main(["plan", str(case), "--out", str(out), "--on", ON, *more])


def remove_images(case: Path) -> None:
    shutil.rmtree(case / "ct")
    (case / "mask.nii.gz").unlink()


# -- unusable --------------------------------------------------------------------------------------


def absent(case: Path) -> None:
    shutil.rmtree(case)


def empty(case: Path) -> None:
    shutil.rmtree(case)
    case.mkdir()


def two_patients_in_the_record(case: Path) -> None:
    other = {"resourceType": "Patient", "id": "other", "gender": "male", "birthDate": "1990-01-01"}
    (case / "other.json").write_text(json.dumps(other))


def images_of_another_person(case: Path) -> None:
    for path in (case / "ct").iterdir():
        data = pydicom.dcmread(path)
        data.PatientBirthDate = "19900101"
        data.save_as(path)


def a_second_series_of_another_person(case: Path) -> None:
    made = phantom(Spine(first="L1", last="L2"), Scan(spacing=(4.0, 4.0, 4.0)))
    write_series(made.image, case / "ct2", seed="other", identity=Identity("SOMEBODY ELSE"))


def invalid_json_as_the_only_record(case: Path) -> None:
    remove_images(case)
    (case / "case.toml").unlink()
    text = (case / "record.json").read_text()
    (case / "record.json").write_text(text[: len(text) // 2])


def invalid_json_as_the_only_record_of_a_whole_case(case: Path) -> None:
    text = (case / "record.json").read_text()
    (case / "record.json").write_text(text[: len(text) // 2])


def a_truncated_image_file(case: Path) -> None:
    shutil.rmtree(case / "ct")
    image = nibabel.Nifti1Image(np.zeros((40, 40, 40), np.int16), np.diag([2.0, 2, 2, 1]))
    content = gzip.compress(image.to_bytes())
    (case / "ct.nii.gz").write_bytes(content[: len(content) // 2])


def a_mask_of_another_scan(case: Path) -> None:
    mask = nibabel.load(case / "mask.nii.gz")
    moved = mask.affine.copy()
    moved[:3, 3] += 400
    array = np.asarray(mask.dataobj)
    nibabel.save(nibabel.Nifti1Image(array, moved), case / "mask.nii.gz")


def an_empty_mask(case: Path) -> None:
    mask = nibabel.load(case / "mask.nii.gz")
    array = np.zeros(mask.shape, np.uint8)
    nibabel.save(nibabel.Nifti1Image(array, mask.affine), case / "mask.nii.gz")


def a_missing_slice_in_the_only_series(case: Path) -> None:
    slices = sorted((case / "ct").iterdir())
    slices[len(slices) // 2].unlink()


UNUSABLE = [
    absent,
    empty,
    two_patients_in_the_record,
    images_of_another_person,
    a_second_series_of_another_person,
    invalid_json_as_the_only_record,
    invalid_json_as_the_only_record_of_a_whole_case,
    a_truncated_image_file,
    a_mask_of_another_scan,
    an_empty_mask,
    a_missing_slice_in_the_only_series,
]


@pytest.mark.parametrize("damage", UNUSABLE, ids=lambda f: f.__name__)
def test_unusable_input_ends_with_one_message_and_no_output(damage, small_case, tmp_path, capsys):
    damage(small_case)
    out = tmp_path / "out"
    assert plan(small_case, out) == 2
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.strip().splitlines()
    assert len(lines) == 1 and "Traceback" not in said.err and lines[0].count(". ") >= 2
    assert not out.exists()
    assert [p.name for p in tmp_path.iterdir() if p != small_case] == []


def test_no_write_permission(small_case, tmp_path, capsys, monkeypatch):
    remove_images(small_case)
    out = tmp_path / "out"
    out.mkdir()
    real = os.access
    denied = lambda path, mode, **more: False if Path(path) == out else real(path, mode, **more)  # noqa: E731
    monkeypatch.setattr(os, "access", denied)  # the tests may run as root, whom nothing is denied
    assert plan(small_case, out) == 2
    assert "out: cannot be written to" in capsys.readouterr().err
    assert list(out.iterdir()) == []


def test_disk_full_in_the_middle_of_writing(small_case, tmp_path, capsys, monkeypatch):
    remove_images(small_case)
    real = Path.write_bytes

    def full(self, content):
        if self.name == "report.html":
            real(self, content[:100])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(self, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    assert plan(small_case, tmp_path / "out") == 2
    assert "No space left" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["case"]


def test_a_clinic_file_that_names_nothing_known(small_case, tmp_path, capsys):
    remove_images(small_case)
    clinic = tmp_path / "clinic.toml"
    clinic.write_text('[row]\n"bone.fixation.hounsfeld" = { value = 120, reason = "x" }\n')
    assert plan(small_case, tmp_path / "out", "--evidence", str(clinic)) == 2
    assert "bone.fixation.hounsfield" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["plan", "CASE", "--out", "OUT", "--on", "soon"],
        ["measure", "--image", "CASE/ct", "--mask", "CASE/nothing.nii.gz"],
        ["measure", "--image", "CASE/nothing", "--mask", "CASE/mask.nii.gz"],
        [
            "measure",
            "--image",
            "CASE/ct",
            "--mask",
            "CASE/mask.nii.gz",
            "--labels",
            "totalsegmenter",
        ],
        ["measure", "--image", "CASE/ct", "--mask", "CASE/mask.nii.gz", "--posture", "lying"],
        ["measure", "--image", "CASE/ct", "--mask", "CASE/mask.nii.gz", "--modality", "PET"],
        [
            "measure",
            "--image",
            "CASE/ct",
            "--mask",
            "CASE/mask.nii.gz",
            "--modality",
            "MR",
            "--out",
            "OUT",
        ],
        ["measure", "--image", "CASE/ct", "--mask", "CASE/mask.nii.gz", "--levels", "L9"],
        ["measure", "--image", "CASE/record.json", "--mask", "CASE/mask.nii.gz"],
        ["measure", "--image", "CASE/ct", "--mask", "CASE/record.json"],
        ["score", "osteo"],
        ["score", "ost", "weight"],
        ["score", "ost", "weight=heavy"],
        ["score", "ost", "weight=5000"],
        ["rules", "bone.osteoporos"],
        ["surgery", "screws"],
        ["read", "CASE/case.toml"],
        ["bogus"],
    ],
    ids=" ".join,
)
def test_a_slip_on_the_command_line(arguments, small_case, tmp_path, capsys):
    told = [
        a.replace("CASE", str(small_case)).replace("OUT", str(tmp_path / "out")) for a in arguments
    ]
    assert main(told) == 2
    said = capsys.readouterr()
    assert said.err.strip() and "Traceback" not in said.err and "defect" not in said.err
    assert not (tmp_path / "out").exists()


def test_a_modality_that_contradicts_the_header_is_refused(small_case, tmp_path, capsys):
    """It is never silently left aside: alone, as a case of many, and for an earlier study."""
    files = [str(small_case / "ct"), str(small_case / "mask.nii.gz")]
    refused = "got MR, and the header says CT. Leave it out"
    earlier = ["--earlier-image", files[0], "--earlier-mask", files[1]]
    for more in ([], earlier):
        command = ["measure", "--image", files[0], "--mask", files[1], *more, "--modality", "MR"]
        assert main([*command, "--out", str(tmp_path / "out")]) == 2
        assert refused in " ".join(capsys.readouterr().err.split())
        assert not (tmp_path / "out").exists()
    for modality, found in (("MR", "failed"), ("CT", "done")):
        listed = tmp_path / f"{modality}.csv"
        listed.write_text(f"case,image,mask,modality\na,{files[0]},{files[1]},{modality}\n")
        (case,) = read_case_list(listed, {})
        outcome = batch.measured_case(batch._Job(case, tmp_path / "a.json", ""))
        assert json.loads(outcome.content)["status"] == found
        assert (outcome.why is None) == (found == "done")
        assert found == "done" or refused in outcome.why.says


# -- partly usable ---------------------------------------------------------------------------------


def test_what_is_wrong_in_part_is_listed_and_the_rest_is_read(small_case, tmp_path, capsys):
    (small_case / "ct" / "notes.txt").write_text("not an image")
    (small_case / "ct" / "broken.dcm").write_bytes(b"not DICOM")
    observation = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"coding": [{"system": "http://loinc.org", "code": "62292-8"}]},
        "effectiveDateTime": "2026-05-20",
        "valueQuantity": {"value": 30, "unit": "furlong"},
    }
    lines = [json.dumps(observation)]
    implausible = {"value": 250, "unit": "ng/mL", "code": "ng/mL"}
    lines.append(json.dumps(observation | {"valueQuantity": implausible}))
    future = str(date.fromisoformat(ON) + timedelta(days=5))
    fine = {"value": 30, "unit": "ng/mL", "code": "ng/mL"}
    lines.append(json.dumps(observation | {"effectiveDateTime": future, "valueQuantity": fine}))
    error = {"status": "entered-in-error", "valueQuantity": {"value": 31, "unit": "ng/mL"}}
    lines.append(json.dumps(observation | error))
    lines.insert(2, '{"resourceType": "Observation", ')
    (small_case / "labs.ndjson").write_text("\n".join(lines))

    assert main(["read", str(small_case), "--on", ON, "--json"]) == 0
    read = json.loads(capsys.readouterr().out)
    levels = [f for f in read["facts"] if f["what"] == "lab.vitamin_d"]
    assert [round(f["value"], 1) for f in levels] == [16.4], "only the sound result is a fact"
    said = " ".join(p["says"] + p["where"] for p in [*read["problems"], *read["ignored"]])
    for trace in ("furlong", "lies outside", "future", "labs.ndjson", "entered", "broken.dcm"):
        assert trace in said, f"nothing is said of {trace}"
    assert "notes.txt" in said
    assert plan(small_case, tmp_path / "out") == 0
    report = (tmp_path / "out" / "report.html").read_text()
    assert "furlong" in report and "lies outside" in report


def test_one_unreadable_slice_in_one_of_several_series(small_case, tmp_path):
    shutil.copytree(small_case / "ct", small_case / "ct2")
    for n, path in enumerate(sorted((small_case / "ct2").iterdir())):
        data = pydicom.dcmread(path)
        data.SeriesInstanceUID = "1.2.3.4.5"
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.4.5.{n + 1}"
        data.save_as(path)
    broken = sorted((small_case / "ct2").iterdir())[10]
    broken.write_bytes(broken.read_bytes()[:2000])
    assert plan(small_case, tmp_path / "out") == 0
    plan_json = json.loads((tmp_path / "out" / "plan.json").read_text())
    assert any(f["what"] == "ct.hounsfield.three_location" for f in plan_json["facts"])
    assert any("slice" in p["says"].lower() for p in plan_json["problems"])


def test_images_without_a_record_are_planned_and_nothing_is_called_normal(small_case, tmp_path):
    (small_case / "record.json").unlink()
    (small_case / "case.toml").unlink()
    assert plan(small_case, tmp_path / "out") == 0
    found = json.loads((tmp_path / "out" / "plan.json").read_text())
    categories = {f["rule"]: f["category"] for f in found["findings"]}
    assert categories["bone.osteoporosis_by_dxa"] is None
    assert not [c for c in categories.values() if c in ("normal", "not_shown", "not_met")]


@pytest.mark.parametrize("rows", [1, 500])
def test_a_table_in_latin_1_as_the_only_input(tmp_path, capsys, rows):
    case = tmp_path / "case"
    case.mkdir()
    text = "concept,value\n" + "condition.other,Rückenschmerz\n" * rows
    (case / "facts.csv").write_bytes(text.encode("latin-1"))
    assert plan(case, tmp_path / "out") == 2
    said = capsys.readouterr().err
    assert "UTF-8" in said and "facts.csv" in said and "Save it again" in said
    assert not (tmp_path / "out").exists()


def test_an_image_of_unknown_modality_costs_only_itself(small_case, tmp_path, capsys):
    shutil.rmtree(small_case / "ct")
    made = phantom(Spine(first="L1", last="L3"), Scan(spacing=(3.0, 3.0, 3.0)))
    affine = np.diag([-1, -1, 1, 1]) @ made.image.affine
    bright = np.clip(made.image.array, -200, None).astype(np.float32)  # no air to tell a CT by
    nibabel.save(nibabel.Nifti1Image(bright, affine), small_case / "image.nii.gz")
    labels = np.zeros(made.mask.volume.array.shape, np.uint8)
    for number, name in made.mask.structures.items():
        code = {"L1": 31, "L2": 30, "L3": 29}.get(name)
        if code:
            labels[made.mask.volume.array == number] = code
    nibabel.save(nibabel.Nifti1Image(labels, affine), small_case / "mask.nii.gz")
    assert plan(small_case, tmp_path / "out") == 0
    found = json.loads((tmp_path / "out" / "plan.json").read_text())
    assert any(p["problem"] == "measurement.modality" for p in found["problems"])
    settings = small_case / "case.toml"
    settings.write_text('modality = "CT"\n' + settings.read_text())
    assert plan(small_case, tmp_path / "told") == 0
    found = json.loads((tmp_path / "told" / "plan.json").read_text())
    assert any(f["what"] == "ct.hounsfield.three_location" for f in found["facts"])
    assert "--confirm-levels" in levels_said(found)  # L1-L3 without sacrum or ribs
    settings.write_text("levels_confirmed = true\n" + settings.read_text())
    assert plan(small_case, tmp_path / "confirmed") == 0
    found = json.loads((tmp_path / "confirmed" / "plan.json").read_text())
    assert levels_said(found).endswith("A person has confirmed them.")
    files = [str(small_case / name) for name in ("image.nii.gz", "mask.nii.gz")]
    command = ["measure", "--image", files[0], "--mask", files[1], "--modality", "CT", "--json"]
    for more, known in (([], {"no"}), (["--confirm-levels"], {"yes"})):
        capsys.readouterr()
        assert main([*command, *more]) == 0
        facts = json.loads(capsys.readouterr().out)["facts"]
        assert {f["details"]["level_confirmed"] for f in facts if f.get("level")} == known


def levels_said(found):
    return next(f["says"] for f in found["findings"] if f["rule"] == "measurement.levels")


@pytest.mark.parametrize(
    "line, says",
    [
        ('posture = "standing"', "header says supine and case.toml standing"),
        ('modality = "MR"', "header says CT and case.toml MR"),
    ],
)
def test_a_header_that_disagrees_with_the_case_file_counts(small_case, tmp_path, line, says):
    (small_case / "case.toml").write_text(line + "\n")
    assert (
        main(["plan", str(small_case), "--out", str(tmp_path / "out"), "--on", "2026-11-01"]) == 0
    )
    plan = json.loads((tmp_path / "out" / "plan.json").read_text())
    assert any(says in problem["says"] for problem in plan["problems"])
    measured = [f for f in plan["facts"] if f["what"] == "pelvis.sacral_slope"]
    measured += [f for f in plan["facts"] if f["what"] == "spine.lumbar_lordosis"]
    measured += [f for f in plan["facts"] if f["what"] == "ct.hounsfield.three_location"]
    assert measured and {f["posture"] for f in measured} == {"supine"}


@pytest.mark.parametrize("posture, told", [("standing", True), ("supine", False)])
def test_a_posture_that_the_header_contradicts_is_said(small_case, capsys, posture, told):
    given = ["--image", str(small_case / "ct"), "--mask", str(small_case / "mask.nii.gz")]
    only = ["--only", "attenuation", "--levels", "L3", "--posture", posture, "--json"]
    assert main(["measure", *given, *only]) == 0
    said = json.loads(capsys.readouterr().out)
    assert {fact["posture"] for fact in said["facts"]} == {posture}
    noted = [p for p in said["problems"] if p["problem"] == "measurement.posture_said_otherwise"]
    assert bool(noted) == told
