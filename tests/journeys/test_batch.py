"""Many cases as a batch: killed and gone on with, bad ones among them, on another scheduler."""

from __future__ import annotations

import json
import os
import random
import signal
import socketserver
import subprocess
import sys
import threading

import psutil
import pyarrow.parquet as pq
import pytest

from endplate.cli.main import main
from terminal import in_a_terminal

from many_cases import (
    LABELS,
    PATIENCE,
    family,
    finished,
    is_alive,
    ran,
    result,
    started,
    until,
    write_cases,
    write_list,
)

# What a worker does on an image whose name begins so, in the place of reading it: faults that no
# file of ours has by itself. Python runs a module of this name when it starts.
STAND_IN = """
import importlib.machinery, os, signal, sys, time

class Finder:
    @staticmethod
    def find_spec(name, path, target=None):
        if name != "endplate.exchange.nifti":
            return None
        sys.meta_path.remove(Finder)
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        execute = spec.loader.exec_module
        def with_faults(module):
            execute(module)
            real = module.read
            def read(path):
                if path.name.startswith("killing"):
                    os.kill(os.getpid(), signal.SIGKILL)
                if path.name.startswith("sleeping"):
                    time.sleep(600)
                if path.name.startswith("defect"):
                    raise ZeroDivisionError("DOE^JANE")
                if path.name.startswith("large"):
                    raise MemoryError
                return real(path)
            module.read = read
        spec.loader.exec_module = with_faults
        return spec

sys.meta_path.insert(0, Finder)
"""


@pytest.fixture
def faults(tmp_path) -> dict[str, str]:
    """The environment in which images of certain names are faults."""
    folder = tmp_path / "stand_in"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(STAND_IN)
    return {"PYTHONPATH": str(folder)}


def rows(path):
    return pq.read_table(path).to_pylist()


def test_two_hundred_cases_killed_ten_times(tmp_path):
    listed, out = write_cases(tmp_path / "in", 200), tmp_path / "out"
    chance = random.Random(20)
    written: dict[str, int] = {}
    run = None
    for n in range(10):
        run = run or started(listed, out, "--workers", "2")
        wanted = len(finished(out)) + chance.randint(0, 18)
        until(lambda run=run, wanted=wanted: len(finished(out)) >= wanted, "some are finished")
        assert run.poll() is None, run.stderr.read()
        processes = family(run.pid)
        if n % 3 == 1 and len(processes) > 1:  # only one below it
            chance.choice(processes[1:]).kill()
            continue
        killed = processes if n % 3 == 2 else processes[:1]
        for process in killed:
            process.kill()
        run.communicate()
        run = None
        until(lambda all_=processes: not any(map(is_alive, all_)), "the workers have ended too")
        for path in finished(out):
            assert json.loads(path.read_bytes())["status"] == "done"
            assert written.setdefault(path.name, path.stat().st_mtime_ns) == path.stat().st_mtime_ns
    last = ran(listed, out, "--workers", "2")
    assert last.returncode == 0, last.stderr
    again = {name: (out / "cases" / name).stat().st_mtime_ns for name in written}
    assert written and again == written, "a finished case is not measured again"

    whole = tmp_path / "whole"
    assert ran(listed, whole, "--workers", "2").returncode == 0
    table = pq.read_table(out / "measurements.parquet")
    assert table.equals(pq.read_table(whole / "measurements.parquet")) and table.num_rows > 2000
    cases = rows(out / "cases.parquet")
    assert [c["case"] for c in cases] == [f"case{n:03d}" for n in range(200)]
    assert {c["status"] for c in cases} == {"done"}
    assert sum(c["facts"] for c in cases) == table.num_rows
    left = [p.name for p in [*out.iterdir(), *(out / "cases").iterdir()] if p.suffix == ".part"]
    assert left == []


def test_bad_cases_stop_no_other_and_are_named(tmp_path, faults, capsys):
    folder, out = tmp_path / "in", tmp_path / "out"
    write_cases(folder, 6)
    for name in ("killing", "defect", "large"):
        (folder / f"{name}.nii").write_bytes((folder / "ct000.nii").read_bytes())
    (folder / "broken.nii").write_bytes((folder / "ct000.nii").read_bytes()[:2000])
    (folder / "no_mask.nii.gz").write_bytes(b"")
    bad = {
        "killing": ("killing.nii", "mask0.nii.gz", "case.process_died"),
        "defect": ("defect.nii", "mask0.nii.gz", "case.defect"),
        "large": ("large.nii", "mask0.nii.gz", "case.no_memory"),
        "broken": ("broken.nii", "mask0.nii.gz", "case.unusable"),
        "no mask": ("ct000.nii", "no_mask.nii.gz", "case.unusable"),
        "absent": ("DOE_JANE/ct.nii", "mask0.nii.gz", "case.no_file"),
    }
    good = [(f"good{n}", f"ct{n:03d}.nii", f"mask{n % 4}.nii.gz") for n in range(6)]
    mixed = [row for pair in zip(good, [(c, *b[:2]) for c, b in bad.items()]) for row in pair]  # noqa: B905
    listed = write_list(folder / "list.csv", mixed)

    run = ran(listed, out, "--workers", "2", "--json", **faults)
    assert run.returncode == 1, "a defect and a process that died are no fault of the input"
    assert "Traceback" not in run.stdout + run.stderr and run.stderr == ""
    said = json.loads(run.stdout)
    assert {p["where"]: p["problem"] for p in said["problems"]} == {c: b[2] for c, b in bad.items()}
    assert said["cases"] == {"measured": 6, "failed": 6, "finished_before": 0}
    text = run.stdout + "".join(p.read_text() for p in finished(out))
    assert "DOE" not in text and "ZeroDivisionError" in text
    cases = {c["case"]: c for c in rows(out / "cases.parquet")}
    assert [cases[c]["status"] for c, *_ in good] == ["done"] * 6
    assert {c: cases[c]["problem"] for c in bad} == {c: b[2] for c, b in bad.items()}

    # The same JSON as the single command prints.
    assert main(["measure", "--image", str(folder / "ct001.nii"), "--mask",
                 str(folder / "mask1.nii.gz"), *LABELS, "--json"]) == 0  # fmt: skip
    single, of_batch = json.loads(capsys.readouterr().out), result(out, "good1")
    assert {k: of_batch[k] for k in single} == single
    assert set(of_batch) - set(single) == {"case", "status", "fingerprint", "seconds"}

    # What was no fault of the input is tried again, and what was mended; the rest is not.
    stands = {p.name: p.stat().st_mtime_ns for p in finished(out)}
    (folder / "broken.nii").write_bytes((folder / "ct000.nii").read_bytes())
    run = ran(listed, out, "--workers", "2")
    assert run.returncode == 0, "what failed is the input's fault, and some could be measured"
    assert (
        run.stderr == "" and "no mask" in run.stdout and "10 cases measured, 2 fail" in run.stdout
    )
    changed = {p.name for p in finished(out) if stands[p.name] != p.stat().st_mtime_ns}
    assert changed == {"killing.json", "defect.json", "large.json", "broken.json"}


def test_ctrl_c_says_how_to_go_on_and_leaves_nothing_behind(tmp_path, faults):
    folder, out = tmp_path / "in", tmp_path / "out"
    write_cases(folder, 2)
    (folder / "sleeping.nii").write_bytes((folder / "ct000.nii").read_bytes())
    rows_ = [("a", "ct000.nii", "mask0.nii.gz"), ("z", "sleeping.nii", "mask0.nii.gz")]
    listed = write_list(folder / "list.csv", rows_)
    seen: list[psutil.Process] = []

    def press(pid: int) -> bool:
        if not finished(out):
            return False
        seen.extend(family(pid))
        doors = [c.laddr.ip for p in seen for c in p.net_connections() if c.status == "LISTEN"]
        assert doors and set(doors) == {"127.0.0.1"}, "nobody outside can reach the workers"
        threads = [
            p.environ().get("OMP_NUM_THREADS") for p in seen if "spawn_main" in str(p.cmdline())
        ]
        assert threads == ["1", "1"], "workers do not fight for the processors"
        return True

    line = [sys.executable, "-m", "endplate.cli.main", "measure", "--batch", str(listed), *LABELS]
    code, text = in_a_terminal([*line, "--out", str(out), "--workers", "2"], faults, press)
    assert code == 130, text
    assert "Measuring" in text and "1/2" in text, "a terminal is shown how far it is"
    assert "1 of 2 cases are finished and kept. Run the same command again" in text
    assert "Traceback" not in text
    assert [p.name for p in (out / "cases").iterdir()] == ["a.json"]
    until(lambda: not any(map(is_alive, seen)), "all processes have ended")


@pytest.fixture
def scheduler(tmp_path, faults):
    """A Dask scheduler and a worker of it, started as a clinic would start them."""
    dask = [sys.executable, "-m", "dask"]
    place = tmp_path / "scheduler.json"
    common = ["--host", "127.0.0.1", "--no-dashboard", "--scheduler-file", str(place)]
    started_ = []

    def start(*words: str) -> subprocess.Popen:
        process = subprocess.Popen(
            [*dask, *words, *common], env={**os.environ, **faults}, cwd=tmp_path,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        started_.append(process)
        return process

    server = start("scheduler", "--port", "0")
    until(lambda: place.exists() and place.read_text().strip().endswith("}"), "it has started")
    start("worker", "--nthreads", "1")
    yield server, json.loads(place.read_text())["address"]
    for process in started_:
        for one in family(process.pid) if process.poll() is None else []:
            one.kill()
        process.wait(PATIENCE)


def test_a_scheduler_elsewhere_and_its_loss(tmp_path, faults, scheduler):
    server, address = scheduler
    folder, out, here = tmp_path / "in", tmp_path / "out", tmp_path / "here"
    listed = write_cases(folder, 4)
    run = ran(listed, out, "--scheduler", address)
    assert run.returncode == 0, run.stderr
    assert ran(listed, here, "--workers", "1").returncode == 0
    ours, theirs = (pq.read_table(o / "measurements.parquet") for o in (here, out))
    assert ours.equals(theirs) and ours.num_rows > 40

    (folder / "sleeping.nii").write_bytes((folder / "ct000.nii").read_bytes())
    more = [("new", "ct000.nii", "mask0.nii.gz"), ("z", "sleeping.nii", "mask0.nii.gz")]
    listed = write_list(folder / "more.csv", more)
    running = started(listed, out, "--scheduler", address)
    until(lambda: len(finished(out)) == 5, "the first is finished")
    server.send_signal(signal.SIGKILL)
    _, said = running.communicate(timeout=PATIENCE)
    assert running.returncode == 2 and "was lost" in said and "Traceback" not in said
    assert len(said.strip().splitlines()) == 1
    assert sorted(p.name for p in (out / "cases").iterdir())[-1] == "new.json"


@pytest.mark.parametrize(
    "address, why",
    [
        ("tcp://127.0.0.1:1", "nothing listens there (connection refused)"),
        ("carrier://pigeon", "this is no address of one"),
        ("tcp://no-such-machine.invalid:8786", "no machine of that name is known"),
    ],
)
def test_a_scheduler_that_does_not_answer(tmp_path, address, why):
    listed = write_cases(tmp_path / "in", 1)
    run = ran(listed, tmp_path / "out", "--scheduler", address)
    assert run.returncode == 2
    assert f"--scheduler {address}: cannot be used." in run.stderr
    assert f"A Dask scheduler that answers is needed; {why}. Check the address" in run.stderr
    assert "Traceback" not in run.stderr and len(run.stderr.strip().splitlines()) == 1


def test_what_answers_may_be_no_scheduler(tmp_path):
    class Other(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    listed = write_cases(tmp_path / "in", 1)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"tcp://127.0.0.1:{server.server_address[1]}"
        run = ran(listed, tmp_path / "out", "--scheduler", address)
        server.shutdown()
    assert run.returncode == 2 and "Traceback" not in run.stderr
    assert "is needed; what answers there is none. Check the address" in run.stderr
