"""Cases for the journeys: the demonstration once, and a small quick one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from endplate.cli.main import main
from endplate.demo import person
from endplate.demo.case import _as_totalsegmentator
from endplate.demo.phantom import Scan, Spine, phantom
from endplate.exchange import nifti
from endplate.exchange.dicom.series import Identity
from endplate.exchange.dicom.write import write_series


@pytest.fixture(scope="session")
def demonstration(tmp_path_factory) -> Path:
    """The demonstration as ``endplate demo`` writes it: ``case`` and ``plan``."""
    folder = tmp_path_factory.mktemp("demonstration") / "demo"
    assert main(["demo", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def _small(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("small")
    made = phantom(Spine(first="L1", last="L5", hounsfield=95.0), Scan(spacing=(2.0, 2.0, 2.0)))
    identity = Identity("DEMONSTRATION", "", f"{person.BORN:%Y%m%d}", "F")
    write_series(made.image, folder / "ct", seed="small", identity=identity, is_synthetic=True)
    nifti.write(_as_totalsegmentator(made.mask), folder / "mask.nii.gz")
    (folder / "record.json").write_bytes(person.record_json())
    (folder / "case.toml").write_text(person.case_toml())
    return folder


@pytest.fixture
def small_case(_small, tmp_path) -> Path:
    """A fresh copy of a small whole case, to be damaged."""
    return Path(shutil.copytree(_small, tmp_path / "case"))
