"""From a file of landmarks to a table, JSON and a folder, by the command."""

from __future__ import annotations

import json

import numpy as np
import pytest

from endplate.cli.main import DONE, UNUSABLE, main
from unit.alignment import spines

RNG = np.random.default_rng(13)
LATERAL = spines.one(spines.lateral(RNG))
FRONTAL = spines.one(spines.frontal(RNG))
CALIBRATED = {"posture": "standing", "pixel_spacing": 1, "magnification": 1}


def written(path, view, points, **said):
    path.write_text(
        json.dumps({"view": view, **said, "points": {n: [x, -y] for n, (x, y) in points.items()}})
    )
    return str(path)


@pytest.fixture
def both(tmp_path):
    return [
        written(tmp_path / "lateral.json", "lateral", LATERAL, **CALIBRATED),
        written(tmp_path / "frontal.json", "frontal", FRONTAL, **CALIBRATED),
    ]


def test_both_views_as_json_and_into_a_folder(both, tmp_path, capfd):
    out = tmp_path / "out"
    assert main(["alignment", "measure", *both, "--json", "--out", str(out)]) == DONE
    printed = capfd.readouterr().out
    assert printed.rstrip("\n").encode() == (out / "alignment.json").read_bytes()
    answer = json.loads(printed)
    assert {"endplate", "facts", "findings", "problems"} <= set(answer)
    facts = {(f["what"], f.get("level")): f for f in answer["facts"]}
    incidence = facts["pelvis.pelvic_incidence", None]
    assert incidence["unit"] == "deg" and incidence["posture"] == "standing"
    assert incidence["method"] == "endplate.alignment_from_landmarks/1"
    low, high = incidence["interval"]
    assert low < incidence["value"] < high
    assert facts["spine.coronal_balance", "C7-S1"]["source"] == "frontal.json"
    parts = facts["pelvis.pelvic_tilt", None]["value"] + facts["pelvis.sacral_slope", None]["value"]
    assert incidence["value"] == parts


def test_a_table_for_people(both, capfd):
    assert main(["alignment", "measure", both[0]]) == DONE
    text = capfd.readouterr().out
    assert "pelvic incidence" in text and "95 % interval" in text and "standing" in text


def test_the_same_numbers_from_a_mirrored_picture(both, tmp_path, capfd):
    mirrored = {n: (-x, y) for n, (x, y) in LATERAL.items()}
    path = written(tmp_path / "mirrored.json", "lateral", mirrored, **CALIBRATED)
    answers = []
    for file in (both[0], path):
        assert main(["alignment", "measure", file, "--json"]) == DONE
        answers.append(json.loads(capfd.readouterr().out)["facts"])
    for one, two in zip(*answers, strict=True):
        assert one["what"] == two["what"] and one["value"] == pytest.approx(two["value"], abs=1e-9)


def test_options_say_what_the_file_does_not(tmp_path, capfd):
    path = written(tmp_path / "a.json", "lateral", LATERAL)
    options = ["--posture", "standing", "--uncalibrated", "--landmark-error", "2 px"]
    assert main(["alignment", "measure", path, *options, "--json"]) == DONE
    answer = json.loads(capfd.readouterr().out)
    assert {f["unit"] for f in answer["facts"]} == {"deg", "%"}
    assert all("interval" in f for f in answer["facts"])
    assert "alignment.not_calibrated" in {p["problem"] for p in answer["problems"]}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "give --pixel-spacing"),
        (["--uncalibrated", "--posture", "upright"], "posture as one of"),
        (["--uncalibrated", "--anterior", "left"], "said to be on the left"),
        (["--uncalibrated", "--landmark-error", "2"], "landmark_error"),
    ],
)
def test_what_cannot_be_used_is_said_and_nothing_is_written(tmp_path, capfd, arguments, says):
    path = written(tmp_path / "a.json", "lateral", LATERAL)
    out = tmp_path / "out"
    assert main(["alignment", "measure", path, *arguments, "--out", str(out)]) == UNUSABLE
    assert says in capfd.readouterr().err.lower()
    assert not out.exists()


@pytest.mark.parametrize("level", ["C2", "S1", "T99", ""])
def test_an_upper_instrumented_vertebra_that_is_none_is_said(both, capfd, level):
    arguments = ["--upper-instrumented", level]
    assert main(["alignment", "measure", both[0], *arguments]) == UNUSABLE
    assert capfd.readouterr().err.startswith("--upper-instrumented: ")


def test_a_film_after_a_fusion_and_the_angle_typed_from_before_tell_of_kyphosis(both, capfd):
    arguments = ["--upper-instrumented", "T10", "pja_before=-40", "--on", "2026-06-01", "--json"]
    assert main(["alignment", "classify", both[0], *arguments]) == DONE
    answer = json.loads(capfd.readouterr().out)
    (pjk,) = [f for f in answer["findings"] if f["rule"] == "alignment.pjk"]
    (angle,) = [f["value"] for f in answer["facts"] if f["what"] == "junction.pja"]
    assert pjk["status"] == "answered"
    assert pjk["parts"]["change"] == pytest.approx(angle + 40)


def test_two_files_of_one_view_and_files_that_give_nothing(both, tmp_path, capfd):
    assert main(["alignment", "measure", both[0], both[0]]) == UNUSABLE
    assert "both are lateral" in capfd.readouterr().err
    chin = {"chin": LATERAL["chin"]}
    path = written(tmp_path / "few.json", "lateral", chin, anterior="right", **CALIBRATED)
    assert main(["alignment", "measure", path]) == UNUSABLE
    assert "nothing could be measured" in capfd.readouterr().err
