"""``endplate measure --earlier-image``: two studies of one person, and what stops the run."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date

import pytest

from endplate.cli.main import main
from endplate.demo.case import _as_totalsegmentator
from endplate.demo.phantom import Fracture, Scan, Spine, phantom
from endplate.exchange import nifti
from endplate.exchange.dicom.series import Identity
from endplate.exchange.dicom.write import write_series

PERSON = Identity("4711", "", "19500101", "F", "Smith^Anna")
SPINE = Spine(first="T12", last="L2", pelvis=None)


@pytest.fixture(scope="module")
def studies(tmp_path_factory):
    """An earlier and a later CT of one person, as DICOM; L1 fractured in between."""
    folder = tmp_path_factory.mktemp("studies")
    broken = replace(SPINE, fractures={"L1": Fracture(kind="wedge", loss=28)})
    for name, spine, on in (("earlier", SPINE, 2023), ("later", broken, 2025)):
        made = phantom(spine, Scan(spacing=(2, 2, 2), noise=5), seed=on)
        write(folder / name, made, date(on, 5, 1), PERSON)
        nifti.write(_as_totalsegmentator(made.mask), folder / f"{name}.nii.gz")
    return folder


def write(folder, made, on, person):
    taken = replace(made.image.acquisition, on=on)
    image = replace(made.image, acquisition=taken)
    write_series(image, folder, seed=f"{folder}", identity=person, name=person.name)


def measure(folder, *more, earlier="earlier", later="later"):
    return main([
        "measure", "--image", str(folder / later), "--mask", str(folder / f"{later}.nii.gz"),
        "--earlier-image", str(folder / earlier),
        "--earlier-mask", str(folder / f"{'later' if earlier == 'later' else 'earlier'}.nii.gz"),
        *more,
    ])  # fmt: skip


def test_what_changed_is_written_and_printed(studies, tmp_path, capsysbinary):
    assert measure(studies, "--out", str(tmp_path / "out"), "--json") == 0
    said = json.loads(capsysbinary.readouterr().out)
    written = json.loads((tmp_path / "out" / "changes.json").read_bytes())
    assert written["changes"] == said["changes"] and written["earlier_facts"]
    files = {p.name for p in (tmp_path / "out").iterdir()}
    assert {"measurements.json", "changed_L1.png"} <= files and "changed_L2.png" not in files
    height = next(
        c for c in said["changes"]
        if (c["what"], c["level"]) == ("vertebra.height.anterior", "L1")
    )  # fmt: skip
    assert height["verdict"] == "changed" and height["change"] < -3
    assert (height["earlier_on"], height["later_on"]) == ("2023-05-01", "2025-05-01")
    finding = {f["about"]: f for f in said["findings"] if f["rule"] == "measurement.new_deformity"}
    assert finding["L1"]["category"] == "new" and finding["L2"]["category"] == "none"
    assert {r["level"] for r in said["registrations"]} == {"T12", "L1", "L2"}
    assert not any(p["problem"].startswith("change.") for p in said["problems"])


def test_the_table_is_readable(studies, capsys):
    assert measure(studies) == 0
    said = capsys.readouterr().out
    assert "L1 anterior vertebral body height" in said and " -> " in said
    assert "new deformity" in said and "changed by no more than their error" in said


def test_the_wrong_order_is_refused(studies, capsys):
    code = main([
        "measure", "--image", str(studies / "earlier"), "--mask", str(studies / "earlier.nii.gz"),
        "--earlier-image", str(studies / "later"), "--earlier-mask", str(studies / "later.nii.gz"),
    ])  # fmt: skip
    assert code == 2
    assert "is the later study" in capsys.readouterr().err


def test_the_same_image_twice_is_refused(studies, capsys):
    assert measure(studies, earlier="later") == 2
    assert "it is the image that is given with --image" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change, word",
    [
        ({"patient_id": "4712"}, "patient identifier"),
        ({"birth_date": "19500102"}, "birth date"),
        ({"sex": "M"}, "sex"),
        ({"patient_id": "", "birth_date": "", "name": "Jones^Mary"}, "name"),
    ],
)
def test_two_persons_stop_the_run(studies, tmp_path, capsys, change, word):
    made = phantom(SPINE, Scan(spacing=(2, 2, 2), noise=5), seed=2023)
    write(studies / f"other-{word}", made, date(2023, 5, 1), replace(PERSON, **change))
    out = tmp_path / "out"
    assert measure(studies, "--out", str(out), earlier=f"other-{word}") == 2
    said = capsys.readouterr().err
    assert word in said and "Smith" not in said and "Jones" not in said and "4712" not in said
    assert not out.exists()


def test_a_new_name_with_the_same_birth_date_goes_on_and_is_said(studies, capsys):
    made = phantom(SPINE, Scan(spacing=(2, 2, 2), noise=5), seed=2023)
    write(studies / "married", made, date(2023, 5, 1), replace(PERSON, name="Jones^Mary"))
    assert measure(studies, "--json", earlier="married") == 0
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert [p for p in problems if p["problem"] == "change.names_differ"]


def test_an_image_without_its_mask_is_refused(studies, capsys):
    code = main([
        "measure", "--image", str(studies / "later"), "--mask", str(studies / "later.nii.gz"),
        "--earlier-image", str(studies / "earlier"),
    ])  # fmt: skip
    assert code == 2
    assert "--earlier-mask is missing" in capsys.readouterr().err


def test_an_older_result_does_not_stay_beside_a_newer_one(studies, tmp_path, capsys):
    out = tmp_path / "out"
    assert measure(studies, "--out", str(out)) == 0
    (out / "mine.txt").write_text("kept")
    assert {"changes.json", "changed_L1.png", "measurements.dcm"} <= {p.name for p in out.iterdir()}
    alone = ["--image", str(studies / "later"), "--mask", str(studies / "later.nii.gz")]
    assert main(["measure", *alone, "--only", "heights", "--out", str(out)]) == 0
    left = {p.name for p in out.iterdir()}
    assert not {n for n in left if n.startswith(("change", "curve", "sagittal"))}
    assert {"mine.txt", "measurements.json", "measurements.dcm"} <= left
    assert main(["measure", *alone, "--only", "hights"]) == 2
    assert main(["measure", *alone, "--levels", "C3"]) == 2
    assert main(["measure", *alone, "--earlier-posture", "supine"]) == 2
    assert "nothing could be measured" in capsys.readouterr().err
