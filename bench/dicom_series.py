"""Reading a CT of 300 slices of 512 x 512: ours with all checks, and SimpleITK's series reader.

The series is written once into the temporary folder, uncompressed, with a header as full as
that of a real scanner. Both sides list the folder and read every voxel; ours also checks the
geometry of every slice, the person, and how the scan was taken.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from bench.timing import Line, timed

FOLDER = Path(tempfile.gettempdir()) / "endplate-bench-dicom-series"
SLICES = 300


def make() -> None:
    """Write the series, unless it is there already."""
    from pydicom import dcmread, dcmwrite
    from pydicom.dataset import Dataset

    from endplate.exchange.dicom.write import write_series
    from endplate.images.volume import Acquisition, Volume

    if len(list(FOLDER.glob("IM*.dcm"))) == SLICES:
        return
    rng = np.random.default_rng(0)
    array = rng.integers(-1024, 3071, (512, 512, SLICES), np.int16)
    affine = np.diag([0.8, 0.8, 1.0, 1.0])
    taken = Acquisition(modality="CT", patient_position="HFS", tube_voltage=120, kernel="B30")
    paths = write_series(Volume(array, affine, taken), FOLDER, seed="bench", name="Bench")
    for path in paths:  # real headers hold a hundred elements, private and nested ones among them
        data = dcmread(path)
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "1", "99X", "filler"
        for element in range(0x10, 0x60):
            data.add_new((0x0019, 0x1000 + element), "LO", f"filler {element}")
        data.add_new((0x0019, 0x0010), "LO", "BENCH")
        data.RequestAttributesSequence = [item] * 3
        dcmwrite(path, data)


def ours() -> None:
    from endplate.exchange.dicom.series import find_series

    (series,) = find_series(FOLDER).series
    assert series.volume().array.shape == (512, 512, SLICES)


def simpleitk() -> None:
    import SimpleITK

    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(FOLDER)))
    assert reader.Execute().GetSize() == (512, 512, SLICES)


def simpleitk_without_listing() -> None:
    import SimpleITK

    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames([str(path) for path in sorted(FOLDER.glob("*.dcm"))])
    assert reader.Execute().GetSize() == (512, 512, SLICES)


def lines() -> list[Line]:
    # in a process of its own: a child's peak memory begins with that of its parent
    subprocess.run([sys.executable, "-c", "import bench.dicom_series as b; b.make()"], check=True)
    here = "bench.dicom_series"
    mine = timed(f"{here}:ours")
    aim = "time at most that of SimpleITK, peak memory at most 1.2 times"
    return [
        Line(
            "CT series, 300 slices of 512 x 512, listed and read",
            mine,
            "SimpleITK ImageSeriesReader",
            timed(f"{here}:simpleitk"),
            aim,
        ),
        Line(
            "the same, against SimpleITK given the files in order (it lists and checks nothing)",
            mine,
            "SimpleITK without listing",
            timed(f"{here}:simpleitk_without_listing"),
        ),
    ]
