"""Muscle and discs from the command line: files in, facts out."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from endplate.cli.main import main
from endplate.demo.phantom import Muscles, Scan, Spine, phantom
from endplate.exchange import nifti
from endplate.images.volume import Mask

MADE = Spine(first="L3", last="L4", pelvis=None, muscles=Muscles(wall=True))
# TotalSegmentator's own numbers for what the phantom has, and its name of the whole wall.
NUMBERS = {
    "L4": 28, "L3": 29, "spinal_cord": 79, "autochthon_left": 86, "autochthon_right": 87,
    "iliopsoas_left": 88, "iliopsoas_right": 89,
}  # fmt: skip
CALIBRATION = """
name = "made"
population = "nobody"
on = 2026-01-31
thresholds = [-8.0, -5.5, -3.5, -1.0]
[coefficients]
signal_ratio = -10.0
height_index = -2.0
"""


def write_mask(mask: Mask, folder: Path, numbers: dict[str, int], name: str) -> Path:
    array = np.zeros_like(mask.volume.array)
    for label, structure in mask.structures.items():
        if structure in numbers:
            array[mask.volume.array == label] = numbers[structure]
    path = folder / name
    nifti.write(replace(mask.volume, array=array), path)
    return path


@pytest.fixture(scope="module")
def ct(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("ct")
    made = phantom(MADE, Scan(spacing=(2.0, 2.0, 3.0)))
    nifti.write(made.image, folder / "ct.nii.gz")
    write_mask(made.mask, folder, NUMBERS, "total.nii.gz")
    (folder / "tissue").mkdir()
    write_mask(made.mask, folder / "tissue", {"skeletal_muscle": 1}, "skeletal_muscle.nii.gz")
    fat = {"iliopsoas_left": 1}  # any voxels will do: the name is what is read
    write_mask(made.mask, folder / "tissue", fat, "subcutaneous_fat.nii.gz")
    return folder


def measured(capsys, *arguments: str) -> dict[tuple[str, str | None], dict]:
    assert main(["measure", *arguments, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)["facts"]
    return {
        (f["what"], f.get("side")): f
        for f in facts
        if f["what"].startswith(("muscle", "disc", "mr."))
    }


def test_the_index_needs_the_whole_wall_and_the_height(ct, capsys):
    image, total = str(ct / "ct.nii.gz"), str(ct / "total.nii.gz")
    alone = measured(capsys, "--image", image, "--mask", total, "--height", "170")
    assert ("muscle.psoas.area", "left") in alone and ("disc.height_index", None) in alone
    assert not [what for what, _ in alone if what.startswith("muscle.skeletal")]
    both = measured(
        capsys, "--image", image, "--mask", total, "--mask", str(ct / "tissue"), "--height", "170"
    )
    area = both["muscle.skeletal.area", None]
    assert both["muscle.skeletal.index", None]["value"] == pytest.approx(
        area["value"] / 1.7**2, rel=1e-3
    )
    assert area["level"] == "L3" and area["unit"] == "cm2"


@pytest.mark.parametrize(
    "more, words",
    [
        (["--height", "1.72"], "--height"),
        (["--also", "oil=ct.nii.gz"], "--also"),
        (["--also", "fat"], "--also"),
        (["--also", "fat=nothing.nii.gz"], "nothing.nii.gz"),
        (["--disc-calibration", "nothing.toml"], "nothing.toml"),
    ],
)
def test_a_slip_in_an_option_is_said(ct, capsys, more, words):
    told = ["measure", "--image", str(ct / "ct.nii.gz"), "--mask", str(ct / "total.nii.gz"), *more]
    assert main(told) == 2
    said = capsys.readouterr().err
    assert words in said and "Traceback" not in said


def test_fat_water_t1_and_a_calibration_go_with_an_mr(tmp_path, capsys):
    made = {
        w: phantom(replace(MADE, muscles=Muscles(fat=0.2)),
                   Scan(spacing=(2.0, 2.0, 2.0), modality="MR", weighting=w))
        for w in ("T1", "T2", "fat", "water")
    }  # fmt: skip
    for weighting, one in made.items():
        nifti.write(one.image, tmp_path / f"{weighting}.nii.gz")
    write_mask(made["T2"].mask, tmp_path, NUMBERS, "total.nii.gz")
    (tmp_path / "calibration.toml").write_text(CALIBRATION)
    facts = measured(
        capsys, "--image", str(tmp_path / "T2.nii.gz"), "--mask", str(tmp_path / "total.nii.gz"),
        "--modality", "MR", "--disc-calibration", str(tmp_path / "calibration.toml"),
        *(f"--also={w}={tmp_path / w}.nii.gz" for w in ("fat", "water", "T1")),
    )  # fmt: skip
    fraction = facts["muscle.psoas.fat_fraction", "left"]
    assert fraction["value"] == pytest.approx(20, abs=2)
    # A NIfTI file does not say how the image was weighted: without --also T2 that stays unknown.
    assert any("unknown" in d for d in facts["mr.disc_signal", None]["doubts"])
    both = measured(
        capsys, "--image", str(tmp_path / "T2.nii.gz"), "--mask", str(tmp_path / "total.nii.gz"),
        "--modality", "MR", *(f"--also={w}={tmp_path / w}.nii.gz" for w in ("T1", "T2")),
    )  # fmt: skip
    assert ("mr.superior_endplate_band.t1", None) in both
    assert ("mr.superior_endplate_band.t2", None) in both


def test_a_case_takes_the_height_from_the_record(ct, tmp_path):
    case = tmp_path / "case"
    shutil.copytree(ct, case)
    (case / "case.toml").write_text(
        'labels = "totalsegmentator"\nmodality = "CT"\non = 2026-01-31\n'
        '[person]\nheight = { value = 170, unit = "cm" }\n'
    )
    assert main(["plan", str(case), "--out", str(tmp_path / "out"), "--on", "2026-02-01"]) == 0
    facts = json.loads((tmp_path / "out" / "plan.json").read_text())["facts"]
    (index,) = (f for f in facts if f["what"] == "muscle.skeletal.index")
    (area,) = (f for f in facts if f["what"] == "muscle.skeletal.area")
    assert index["value"] == pytest.approx(area["value"] / 1.7**2, rel=1e-3)
