"""Segmenting by programs that are not part of Endplate, with stand-ins that a test makes.

The last test runs TotalSegmentator itself, where it is installed, on weights made here.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from endplate.cli.main import main
from endplate.demo.phantom import Scan, Spine, phantom
from endplate.exchange import nifti, segment, segmenters
from endplate.exchange.masks import read_mask
from exchange.made_segmenters import SPINEPS, TOTALSEGMENTATOR, lay, lay_models, lay_weights

SOURCE = Path(segment.__file__).parents[2]


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    """One vertebra in air, which a threshold segments."""
    made = phantom(
        Spine(first="L3", last="L3", pelvis=None),
        Scan(spacing=(1.5, 1.5, 1.5), soft_tissue=False, noise=2.0),
    )
    path = tmp_path_factory.mktemp("scan") / "ct.nii.gz"
    nifti.write(made.image, path)
    return made, path


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A place where nothing but the stand-ins is installed, with a folder for leftovers."""
    for module in [m for m in sys.modules if m.split(".")[0] in ("totalsegmentator", "spineps")]:
        monkeypatch.delitem(sys.modules, module)
    packages, leftovers = tmp_path / "packages", tmp_path / "leftovers"
    packages.mkdir()
    leftovers.mkdir()
    monkeypatch.syspath_prepend(str(packages))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(packages), str(SOURCE))))
    monkeypatch.setenv("TMPDIR", str(leftovers))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(tmp_path / "weights"))
    monkeypatch.setenv("SPINEPS_SEGMENTOR_MODELS", str(tmp_path / "models"))
    monkeypatch.setenv("STAND_IN_TELLS", str(tmp_path / "told.json"))
    yield tmp_path
    for module in [m for m in sys.modules if m.split(".")[0] in ("totalsegmentator", "spineps")]:
        del sys.modules[module]


@pytest.fixture
def totalsegmentator(place):
    lay(TOTALSEGMENTATOR, place / "packages")
    lay_weights(place / "weights", "Dataset291_made", "Dataset292_made", "Dataset297_made")
    return place


@pytest.fixture
def spineps(place):
    lay(SPINEPS, place / "packages")
    lay_models(
        place / "models", "CT_semantic_v1.9.0", "CT_semantic_v1.10.0", "CT_instance_v2.0.0",
        "CT_labeling_v1.4.0", "CT_semantic_old",
    )  # fmt: skip
    return place


def run(capfd, *arguments):
    """A command's exit code, and what it printed on either way."""
    code = main([str(a) for a in arguments])
    printed = capfd.readouterr()
    return code, printed.out, printed.err


def segmented(capfd, scan, place, *more, by="totalsegmentator"):
    out = place / "out" / "mask.nii.gz"
    options = ["--image", scan[1], "--modality", "CT", "--with", by, "--out", out, "--json"]
    return (*run(capfd, "segment", *options, *more), out)


def nothing_is_left(place):
    return not (place / "out").exists() and list((place / "leftovers").iterdir()) == []


# -- a run that goes well -------------------------------------------------------------------------


def test_a_mask_is_written_that_says_what_drew_it_and_json_stays_clean(
    capfd, scan, totalsegmentator
):
    code, out, err, path = segmented(capfd, scan, totalsegmentator)
    assert (code, err) == (0, "")
    algorithm = "TotalSegmentator 2.18.0, total (Dataset291_made, Dataset292_made)"
    (told,) = json.loads(out)["masks"]
    assert told["file"] == str(path) and told["algorithm"] == algorithm
    assert told["structures"] == {"29": "L3"}
    mask, _ = read_mask(path, "totalsegmentator")
    assert mask.algorithm == algorithm
    made = scan[0]
    assert np.array_equal(mask.volume.array == 29, made.image.array > 70)
    assert mask.volume.same_grid(made.image)
    assert list((totalsegmentator / "leftovers").iterdir()) == []


def test_the_program_gets_no_network_reports_nothing_and_stays_in_its_folder(
    capfd, scan, totalsegmentator
):
    assert segmented(capfd, scan, totalsegmentator, "--fast")[0] == 0
    told = json.loads((totalsegmentator / "told.json").read_text())
    assert told["https_proxy"] == told["HTTP_PROXY"] == "http://127.0.0.1:9"
    assert told["config"]["send_usage_stats"] is False
    leftovers = str(totalsegmentator / "leftovers")
    assert told["TMPDIR"].startswith(leftovers) and told["TOTALSEG_HOME_DIR"].startswith(leftovers)
    assert "--fast" in told["arguments"]


def test_measuring_takes_the_mask_of_the_program_and_says_so(capfd, scan, totalsegmentator):
    out = totalsegmentator / "out"
    code, printed, _ = run(
        capfd, "measure", "--image", scan[1], "--modality", "CT", "--segment", "totalsegmentator",
        "--out", out, "--json",
    )  # fmt: skip
    assert code == 0
    facts = json.loads(printed)["facts"]
    heights = {f["what"]: f for f in facts if f["what"].startswith("vertebra.height")}
    true = scan[0].truth.vertebrae["L3"]
    for which in ("anterior", "middle", "posterior"):
        fact = heights[f"vertebra.height.{which}"]
        assert fact["value"] == pytest.approx(getattr(true, which), abs=1.5)
        assert "of TotalSegmentator 2.18.0, total (Dataset291_made" in fact["source"]
    assert {"mask.nii.gz", "points.poi.json", "measurements.json"} <= {
        p.name for p in out.iterdir()
    }


def test_spineps_gives_levels_and_parts_by_its_newest_models(capfd, scan, spineps):
    code, out, err, path = segmented(capfd, scan, spineps, by="spineps")
    assert (code, err) == (0, "")
    whole, parts = json.loads(out)["masks"]
    assert whole["structures"] == {"22": "L3"} and parts["structures"] == {"49": "corpus"}
    assert whole["algorithm"] == (
        "spineps 2.1.3, ct (CT_semantic_v1.10.0, CT_instance_v2.0.0, CT_labeling_v1.4.0)"
    )
    assert parts["file"] == str(path.with_name("mask.parts.nii.gz"))
    assert read_mask(path.with_name("mask.parts.nii.gz"))[0].algorithm == whole["algorithm"]


def test_spineps_masks_are_measured_together(capfd, scan, spineps):
    code, out, _ = run(
        capfd, "measure", "--image", scan[1], "--modality", "CT", "--segment", "spineps", "--json"
    )
    assert code == 0
    assert any(f["what"] == "vertebra.height.middle" for f in json.loads(out)["facts"])


# -- what is refused before a run -----------------------------------------------------------------


def test_an_absent_program_is_said_to_be_absent(capfd, scan, place, monkeypatch):
    monkeypatch.setattr(segmenters.TotalSegmentator, "installed", "")
    code, out, err, _ = segmented(capfd, scan, place)
    assert code == 2 and out == "" and err.count("\n") == 1
    assert err.startswith("TotalSegmentator: cannot segment. It must be installed beside Endplate")


def test_absent_weights_are_named_and_never_fetched(capfd, scan, totalsegmentator):
    checkpoint = next((totalsegmentator / "weights" / "Dataset292_made").rglob("*.pth"))
    checkpoint.unlink()
    code, out, err, _ = segmented(capfd, scan, totalsegmentator)
    assert code == 2 and out == ""
    assert "Dataset292_made is missing" in err and "totalseg_download_weights -t total'" in err
    assert not (totalsegmentator / "told.json").exists(), "the program was not even begun"
    assert nothing_is_left(totalsegmentator)


def test_absent_models_of_spineps_are_named(capfd, scan, spineps):
    code, _, err, _ = segmented(capfd, scan, spineps, "--task", "t1w", by="spineps")
    assert code == 2 and "T1w_semantic, instance_sagittal, T2w_labeling is missing" in err
    assert nothing_is_left(spineps)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--task", "tissue_types"], "its weights need a licence of their owner"),
        (["--task", "lung_vessels"], "Endplate does not know it"),
        (["--task", "vertebrae_pp", "--fast"], "has no fast model"),
    ],
)
def test_tasks_that_are_not_run_are_refused_with_the_reason(
    capfd, scan, totalsegmentator, more, says
):
    code, out, err, _ = segmented(capfd, scan, totalsegmentator, *more)
    assert code == 2 and out == "" and says in err
    assert nothing_is_left(totalsegmentator)


def test_a_version_without_a_table_of_weights_is_too_old(capfd, scan, totalsegmentator):
    (totalsegmentator / "packages" / "totalsegmentator" / "map_tasks_config.py").unlink()
    code, _, err, _ = segmented(capfd, scan, totalsegmentator)
    assert code == 2 and "Version 2.18 or newer is needed; 2.18.0 is installed" in err


def test_the_model_must_be_named_where_the_image_does_not_tell_it(capfd, totalsegmentator, scan):
    made = scan[0]
    image = made.image.array - made.image.array.min()  # no air below -500, no header: CT or MR?
    path = totalsegmentator / "image.nii.gz"
    nifti.write(type(made.image)(image, made.image.affine), path)
    out = totalsegmentator / "out" / "m.nii.gz"
    options = ["--image", path, "--with", "totalsegmentator", "--out", out]
    code, _, err = run(capfd, "segment", *options)
    assert code == 2 and "Name it with --task" in err
    assert run(capfd, "segment", *options, "--task", "total")[0] == 0


def test_out_must_be_a_compressed_nifti_and_measure_takes_one_kind_of_mask(capfd, scan):
    options = ["--image", scan[1], "--with", "totalsegmentator"]
    code, _, err = run(capfd, "segment", *options, "--out", "mask.nrrd")
    assert code == 2 and "Let it end with .nii.gz" in err
    for more in ([], ["--mask", scan[1], "--segment", "spineps"]):
        code, _, err = run(capfd, "measure", "--image", scan[1], *more)
        assert code == 2 and "Either --mask or --segment is needed" in err
    code, _, err = run(capfd, "segment", *options[:2], "--with", "x", "--out", "m.nii.gz")
    assert code == 2 and "'x' is not understood" in err


# -- a run that goes wrong ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("fails", "exit code 1, and its last words were: RuntimeError: not enough of something."),
        ("killed", "SIGKILL, which is often too little memory"),
        ("writes nothing", "it has written no mask"),
        ("writes nonsense", "mask.nii.gz: cannot be used"),
    ],
)
def test_a_run_that_fails_gives_one_message_and_leaves_nothing(
    capfd, scan, totalsegmentator, monkeypatch, how, says
):
    monkeypatch.setenv("STAND_IN", how)
    code, out, err, _ = segmented(capfd, scan, totalsegmentator)
    assert code == 2 and out == "" and says in err and err.count("\n") == 1
    assert nothing_is_left(totalsegmentator)


@pytest.mark.parametrize(
    ("how", "says"), [("is empty", "SPINEPS ended with EMPTY"), ("fails", "not enough of")]
)
def test_a_failing_spineps_says_why(capfd, scan, spineps, monkeypatch, how, says):
    if how == "is empty":
        lay({"spineps/made.py": "def run(*all): pass\n"}, spineps / "packages")
    monkeypatch.setenv("STAND_IN", how)
    code, out, err, _ = segmented(capfd, scan, spineps, by="spineps")
    assert code == 2 and out == "" and says in err
    assert nothing_is_left(spineps)


def test_an_existing_mask_survives_a_run_that_fails(capfd, scan, totalsegmentator, monkeypatch):
    path = totalsegmentator / "out" / "mask.nii.gz"
    path.parent.mkdir()
    path.write_bytes(b"of before")
    monkeypatch.setenv("STAND_IN", "fails")
    assert segmented(capfd, scan, totalsegmentator)[0] == 2
    assert path.read_bytes() == b"of before" and list(path.parent.iterdir()) == [path]


def test_ctrl_c_stops_the_program_and_leaves_nothing(scan, totalsegmentator):
    out = totalsegmentator / "out" / "mask.nii.gz"
    command = [
        sys.executable, "-m", "endplate.cli.main", "segment", "--image", str(scan[1]),
        "--modality", "CT", "--with", "totalsegmentator", "--out", str(out),
    ]  # fmt: skip
    ours = subprocess.Popen(
        command, env=os.environ | {"STAND_IN": "hangs"}, stderr=subprocess.PIPE, text=True
    )
    told = totalsegmentator / "told.json"
    for _ in range(600):
        if told.exists():
            break
        time.sleep(0.05)
    theirs = json.loads(told.read_text())["pid"]
    ours.send_signal(signal.SIGINT)
    _, err = ours.communicate(timeout=30)
    assert ours.returncode == 130 and "Nothing was left half-written" in err
    with pytest.raises(ProcessLookupError):
        os.kill(theirs, 0)
    assert nothing_is_left(totalsegmentator)


# -- doctor ---------------------------------------------------------------------------------------


def states(capfd):
    checks = json.loads(run(capfd, "doctor", "--json")[1])["checks"]
    return {c["what"].split(":")[0]: (c["version"], c["state"]) for c in checks}


def test_doctor_says_which_program_is_here_and_which_weights(capfd, totalsegmentator, monkeypatch):
    monkeypatch.setattr(segmenters.Spineps, "installed", "")
    found = states(capfd)
    assert found["TotalSegmentator"] == ("2.18.0", "ok; weights are here for total, total --fast")
    assert found["spineps"] == ("", "not installed; everything else works without it")
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(totalsegmentator / "nowhere"))
    version, state = states(capfd)["TotalSegmentator"]
    assert version == "2.18.0" and state.startswith("no weights; fetch them once")


def test_doctor_says_which_models_of_spineps_are_here(capfd, spineps):
    assert states(capfd)["spineps"] == ("2.1.3", "ok; weights are here for ct")


# -- the programs themselves ----------------------------------------------------------------------


@pytest.mark.peer
def test_totalsegmentator_itself_runs_on_weights_that_we_made(capfd, scan, tmp_path, monkeypatch):
    pytest.importorskip("totalsegmentator", reason="needs pip install 'endplate[segment]'")
    from exchange.made_weights import THRESHOLD, threshold_model

    threshold_model(tmp_path / "weights")
    monkeypatch.setenv("TOTALSEG_WEIGHTS_PATH", str(tmp_path / "weights"))
    code, _, _, path = segmented(capfd, scan, tmp_path, "--fast")
    assert code == 0
    mask, _ = read_mask(path)
    assert mask.structures == {29: "L3"} and mask.system == "totalsegmentator"
    # Its model has voxels of 3 mm, the image of 1.5 mm; a mask turned about would not fit so.
    bright = scan[0].image.array > THRESHOLD
    both = ((mask.volume.array == 29) & bright).sum()
    assert 2 * both / ((mask.volume.array == 29).sum() + bright.sum()) > 0.85


@pytest.mark.peer
def test_spineps_itself_has_the_functions_that_we_call():
    spineps = pytest.importorskip("spineps", reason="needs pip install 'endplate[segment]'")
    import inspect

    from spineps.get_models import get_actual_model
    from spineps.seg_enums import ErrCode
    from TPTBox import BIDS_FILE

    asked = {"img_ref", "model_semantic", "model_instance", "model_labeling", "auto_crop_to_spine"}
    assert asked <= set(inspect.signature(spineps.segment_image).parameters)
    assert "use_cpu" in inspect.signature(get_actual_model).parameters
    assert {"file", "dataset"} <= set(inspect.signature(BIDS_FILE).parameters)
    assert ErrCode.OK.name == "OK"
