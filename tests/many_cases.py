"""Many small cases on disk for the tests of batches, and the command run as a process."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil

from endplate.demo.case import _as_totalsegmentator
from endplate.demo.phantom import Scan, Spine, phantom
from endplate.exchange import nifti

PATIENCE = 90.0  # seconds: what a loaded machine may take to start some processes
# One vertebra alone does not tell who numbered it.
LABELS = ("--labels", "totalsegmentator")
BASES = (("L1", "L1"), ("L2", "L2"), ("T12", "L1"), ("L3", "L3"))


def write_cases(folder: Path, count: int) -> Path:
    """So many cases, each of another density, and their list."""
    made = []
    for first, last in BASES[:count]:
        spine = Spine(first=first, last=last, pelvis=None, arches=False, hounsfield=60.0)
        made.append(phantom(spine, Scan(spacing=(3.0, 3.0, 3.0))))
    folder.mkdir(parents=True)
    for n, one in enumerate(made):
        nifti.write(_as_totalsegmentator(one.mask), folder / f"mask{n}.nii.gz")
    for n in range(count):
        one = made[n % len(made)]
        array = np.where(one.mask.volume.array > 0, one.image.array + n, one.image.array)
        array[0] = -1000  # air, so that the image is known as CT
        nifti.write(replace(one.image, array=array), folder / f"ct{n:03d}.nii")
    rows = [(f"case{n:03d}", f"ct{n:03d}.nii", f"mask{n % len(made)}.nii.gz") for n in range(count)]
    return write_list(folder / "list.csv", rows)


def write_list(
    path: Path, rows: Iterable[Iterable[str]], columns: Iterable[str] = ("case", "image", "mask")
) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def command(listed: Path, out: Path, *more: str) -> list[str]:
    program = [sys.executable, "-m", "endplate.cli.main", "measure", "--batch", str(listed)]
    return [*program, "--out", str(out), *LABELS, *more]


def started(listed: Path, out: Path, *more: str, **env: str) -> subprocess.Popen:
    return subprocess.Popen(
        command(listed, out, *more), env={**os.environ, **env}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def ran(listed: Path, out: Path, *more: str, **env: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        command(listed, out, *more), env={**os.environ, **env}, text=True, check=False,
        capture_output=True, timeout=3 * PATIENCE,
    )  # fmt: skip


def finished(out: Path) -> list[Path]:
    return [path for path in (out / "cases").glob("*.json") if not path.name.startswith(".")]


def result(out: Path, case: str) -> dict:
    return json.loads((out / "cases" / f"{case}.json").read_bytes())


def until(true: Callable[[], object], what: str) -> None:
    start = time.monotonic()
    while not true():
        assert time.monotonic() - start < PATIENCE, f"waited in vain until {what}"
        time.sleep(0.02)


def family(pid: int) -> list[psutil.Process]:
    """A process and all below it."""
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
