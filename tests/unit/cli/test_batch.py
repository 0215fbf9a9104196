"""The batch command without workers: what is refused, what is kept, how it ends."""

from __future__ import annotations

import json
import subprocess
import sys

import locket
import pytest

from endplate.cli import batch
from endplate.cli.main import main

from many_cases import finished, write_list


@pytest.fixture
def listed(tmp_path):
    """A list of two cases whose files are not there."""
    return write_list(tmp_path / "list.csv", [("a", "i.nii", "m.nii"), ("b", "j.nii", "m.nii")])


def run(listed, *more):
    return main(["measure", "--batch", str(listed), *more])


@pytest.mark.parametrize(
    "more",
    [
        ["--batch", "LIST", "--image", "i", "--out", "OUT"],
        ["--batch", "LIST", "--mask", "i", "--out", "OUT"],
        ["--batch", "LIST", "--out", "OUT", "--workers", "2", "--scheduler", "tcp://127.0.0.1:1"],
        ["--batch", "LIST", "--out", "OUT", "--workers", "0"],
        ["--batch", "LIST"],
        ["--image", "i", "--mask", "m", "--workers", "2"],
        ["--image", "i"],
        [],
    ],
    ids=" ".join,
)
def test_a_slip_on_the_command_line(more, listed, tmp_path, capsys):
    words = [w.replace("LIST", str(listed)).replace("OUT", str(tmp_path / "out")) for w in more]
    assert main(["measure", *words]) == 2
    said = capsys.readouterr()
    assert said.out == "" and "Traceback" not in said.err and "--" in said.err
    assert not (tmp_path / "out").exists()


def test_a_list_that_is_refused_leaves_no_folder(tmp_path, capsys):
    listed = write_list(tmp_path / "list.csv", [("a", "i", "m")], ("case", "picture", "mask"))
    assert run(listed, "--out", str(tmp_path / "out")) == 2
    assert "'picture'" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_where_no_case_can_be_measured_the_input_is_at_fault(listed, tmp_path, capsys):
    assert run(listed, "--out", str(tmp_path / "out"), "--json") == 2
    said = capsys.readouterr()
    assert json.loads(said.out)["cases"] == {"measured": 0, "failed": 2, "finished_before": 0}
    assert "none of its 2 cases could be measured" in said.err
    assert (tmp_path / "out" / "cases.parquet").exists()
    assert run(listed, "--out", str(tmp_path / "out"), "--json") == 2
    assert json.loads(capsys.readouterr().out)["cases"]["finished_before"] == 2


def test_what_a_killed_run_left_half_written_is_removed(listed, tmp_path):
    out = tmp_path / "out"
    run(listed, "--out", str(out))
    half = [out / ".measurements.parquet.part", out / "cases" / ".a.json.part"]
    for path in half:
        path.write_text("{")
    (out / "notes.txt").write_text("mine")
    run(listed, "--out", str(out))
    assert not any(path.exists() for path in half) and (out / "notes.txt").exists()


def test_one_batch_at_a_time_writes_to_a_folder(listed, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    with locket.lock_file(str(out / ".lock")):
        other = subprocess.run(
            [sys.executable, "-m", "endplate.cli.main", "measure", "--batch", str(listed),
             "--out", str(out)], capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert other.returncode == 2 and "another is doing so" in other.stderr
    assert finished(out) == []


def test_a_file_in_the_place_of_the_folder(listed, tmp_path, capsys):
    (tmp_path / "out").write_text("x")
    assert run(listed, "--out", str(tmp_path / "out")) == 2
    assert "out: cannot be used for the results" in capsys.readouterr().err


def test_without_the_optional_part_it_is_said_what_to_install(
    listed, tmp_path, capsys, monkeypatch
):
    def without(name):
        if name == "pyarrow":
            raise ImportError

    monkeypatch.setattr(batch, "import_module", without)
    assert run(listed, "--out", str(tmp_path / "out")) == 2
    said = capsys.readouterr().err
    assert "pip install 'endplate[batch]'" in said and "pyarrow cannot be imported" in said
    assert not (tmp_path / "out").exists()


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from endplate.cli.main import main; main(['measure', '--help']); "
        "print(sorted({'dask', 'distributed', 'pyarrow', 'numpy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.rstrip().endswith("[]") and "--batch" in done.stdout


def test_the_doctor_knows_the_optional_parts(capsys):
    assert main(["doctor", "--json"]) == 0
    checks = {
        c["what"].split(":")[0]: c["state"] for c in json.loads(capsys.readouterr().out)["checks"]
    }
    assert checks["distributed"] == checks["pyarrow"] == "ok"
