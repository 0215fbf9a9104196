"""Points, angles, heights and widths from masks: ours, and TPTBox's; and how our cost grows.

Both start from the same files, masks of the phantom's T12 to sacrum at 1 mm. Endplate reads the
one of instances (which vertebra or disc a voxel is); TPTBox needs that of parts (body, arch and
processes) as well, which the truth of the phantom gives. No image is read: both measure here on
masks alone. Only the time is compared: the peer's heights and widths of a vertebra are of arch and
body together and not along the vertebra's own axis, ours are those of the body in its own frame.

The peer lives in an environment of its own, with that of bench/measure_ct.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from bench.timing import Line, timed

PEER = Path(__file__).parents[1] / ".venv-bench" / "bin" / "python"
PEER_NAME = "TPTBox 1.1.0"
FOLDER = Path(tempfile.gettempdir()) / "endplate-bench-geometry"
INSTANCES, PARTS = FOLDER / "instances.nii.gz", FOLDER / "parts.nii.gz"
LEVELS = ("T12", "L1", "L2", "L3", "L4", "L5")
# TPTBox's numbers: of these vertebrae, of the sacrum, and of the disc below a vertebra.
NUMBERS = {level: 19 + n for n, level in enumerate(LEVELS)}
SACRUM, DISC = 26, 100
# The first vertebra of spines down to L5, by their number; voxel sizes in mm.
FIRST = {2: "L4", 4: "L2", 8: "T10", 16: "T2"}
SPACINGS = (3.0, 2.0, 1.5, 1.0)
# A case too long to be timed five times.
FEWER = 3


def make() -> None:
    """Write both masks."""
    from dataclasses import replace

    from scipy import ndimage

    from endplate.demo.phantom import Scan, Spine, phantom
    from endplate.exchange.nifti import write

    made = phantom(Spine(first="T12"), Scan(reach=("T12", "S1"), soft_tissue=False))
    volume, bodies = made.mask.volume, made.body_mask.volume.array
    numbers = {name: n for n, name in made.mask.structures.items()}
    instances, parts = np.zeros_like(volume.array), np.zeros_like(volume.array)
    for level, number in NUMBERS.items():
        whole = volume.array == numbers[level]
        instances[whole] = number
        where = np.nonzero(whole & (bodies != numbers[level]))
        true = made.truth.vertebrae[level]
        own = (volume.to_world(np.stack(where, axis=1)) - true.centre) @ true.axes
        parts[where] = _part(own, float((true.canal - true.centre) @ true.axes[:, 1]))
        parts[bodies == numbers[level]] = 49
    for name in ("S1", "sacrum"):
        instances[volume.array == numbers[name]] = SACRUM
        parts[volume.array == numbers[name]] = SACRUM
    parts[volume.array == numbers["spinal_cord"]] = 60
    parts[volume.array == numbers["spinal_canal"]] = 61
    discs, count = ndimage.label(volume.array == numbers["disc"])
    heights = volume.to_world(ndimage.center_of_mass(discs > 0, discs, range(1, count + 1)))
    assert count == len(LEVELS), count
    for level, n in zip(LEVELS, np.argsort(-heights[:, 2]) + 1, strict=True):
        instances[discs == n] = DISC + NUMBERS[level]
        parts[discs == n] = DISC
    FOLDER.mkdir(exist_ok=True)
    for array, path in ((instances, INSTANCES), (parts, PARTS)):
        write(replace(volume, array=array), path)


def _part(own: Any, canal: float) -> Any:
    """TPTBox's number of each voxel of an arch, by where it lies in the vertebra's own frame."""
    left, back, up = own.T
    across, behind = np.abs(left), back - canal
    side = np.where(left > 0, 0, 1)  # of two numbers the left one comes first
    part = np.full(len(own), 41)
    part[(across < 5) & (behind > 10)] = 42
    part = np.where(across > 20, 43 + side, part)
    part = np.where((across > 5) & (across <= 20) & (up > 7), 45 + side, part)
    return np.where((across > 5) & (across <= 20) & (up < -7), 47 + side, part)


# -- ours and the peer ------------------------------------------------------------------------


def _measured(quantities: set[str]) -> Any:
    from endplate.exchange.masks import read_mask
    from endplate.images.measure import measure

    mask, _ = read_mask(INSTANCES, "verse")
    found = measure(None, mask, quantities=quantities)
    assert set(found.vertebrae) == set(LEVELS)
    return found


def ours_points() -> None:
    from endplate.images.landmarks import landmarks

    points = landmarks(_measured({"heights", "geometry"}))
    assert {p.level for p in points} >= set(LEVELS)


def ours_heights() -> None:
    found = _measured({"heights", "geometry", "discs"})
    assert sum(f.what == "disc.height.middle" for f in found.facts) == len(LEVELS)


def _loaded() -> tuple[Any, Any]:
    """Both masks in the order of axes that the peer measures in; it is told to say nothing."""
    import warnings

    from TPTBox import NII

    warnings.simplefilter("ignore")
    return NII.load(INSTANCES, True).reorient(), NII.load(PARTS, True).reorient()


def peer_points() -> None:
    import contextlib
    import io

    from TPTBox import Location, calc_poi_from_subreg_vert
    from TPTBox.spine.spinestats import angles, curvature
    from TPTBox.spine.spinestats.vertebra_anatomical_widths import distances_funs

    wanted = [
        Location.Vertebra_Corpus, Location.Vertebra_Direction_Inferior,
        Location.Vertebra_Direction_Posterior, Location.Vertebra_Direction_Right,
        Location.Vertebra_Disc, *(Location(n) for n in range(101, 105)),  # corners of the body
        *(end for ends in distances_funs.values() for end in ends),
    ]  # fmt: skip
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        points = calc_poi_from_subreg_vert(*_loaded(), subreg_id=wanted)
        for number in NUMBERS.values():  # its own loop over these distances fails in 1.1.0
            for one, other in distances_funs.values():
                apart = np.subtract(points[number, one], points[number, other]) * points.zoom
                assert np.linalg.norm(apart) > 1
        assert angles.compute_lordosis_and_kyphosis(points)["lumbar_lordosis"]
        angles.compute_max_cobb_angle_multi(points)
        assert len(curvature.compute_axial_rotation(points)) >= len(LEVELS)
        assert len(curvature.compute_segmental_endplate_angles(points)) >= len(LEVELS) - 1


def peer_heights() -> None:
    _peer_heights(list(NUMBERS.values()))


def peer_heights_of_one() -> None:
    """L3 and the disc below it, with the rays that trimesh casts where embreex is not there."""
    sys.modules["embreex"] = None
    _peer_heights([NUMBERS["L3"]])


def _peer_heights(numbers: list[int]) -> None:
    import contextlib
    import io

    from TPTBox.spine.spinestats import measure_ivd_and_vertebra_geometry

    with (
        tempfile.TemporaryDirectory() as folder,  # 1.1.0 fails without a file for its points
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        masks, points = _loaded(), Path(folder) / "points.json"
        for of in (0, DISC):  # vertebrae, discs
            wanted = [of + n for n in numbers if of + n != DISC + NUMBERS["L5"]]  # it fails on this
            found = measure_ivd_and_vertebra_geometry(
                None, *masks, points, structure_label=of, instance_labels=wanted
            )
            assert len(found) == len(wanted)
            assert all(f["height_center"] > 1 and f["width_lateral_x5"] > 1 for f in found.values())


# -- how our cost grows -----------------------------------------------------------------------


@cache
def _made(first: str, spacing: float, *, pelvis: bool) -> Any:
    from endplate.demo.phantom import Scan, Spine, phantom

    spine = Spine(first=first) if pelvis else Spine(first=first, pelvis=None)
    return phantom(spine, Scan(spacing=(spacing,) * 3))


def _everything(first: str, spacing: float, *, pelvis: bool) -> None:
    """Measure all of a phantom, which was made in the warm-up."""
    from endplate.images.measure import measure

    made = _made(first, spacing, pelvis=pelvis)
    measure(made.image, made.mask)


def sizes() -> None:
    """Print how many voxels the spine has at each spacing."""
    print(json.dumps([_made("T12", s, pelvis=True).image.array.size for s in SPACINGS]))


def _named(spacing: float) -> str:
    return f"spacing_{spacing:g}".replace(".", "_")


# What `timed` calls by name: `vertebrae_8`, `spacing_1_5`.
globals().update(
    {f"vertebrae_{n}": partial(_everything, v, 1.5, pelvis=False) for n, v in FIRST.items()}
)
globals().update({_named(s): partial(_everything, "T12", s, pelvis=True) for s in SPACINGS})


# -- the table --------------------------------------------------------------------------------


def _in_child(name: str) -> str:
    # a process of its own: a child's peak memory begins with that of its parent
    code = f"import bench.geometry as b; b.{name}()"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return done.stdout


def lines() -> Iterator[Line]:
    here = "bench.geometry"
    if PEER.exists():
        _in_child("make")
        peer = str(PEER)
        yield Line(
            "T12-S1 at 1 mm, masks from files: points, angles, mid heights and widths",
            timed(f"{here}:ours_points"), PEER_NAME, timed(f"{here}:peer_points", python=peer),
            aim="ours / peer at most 1",
            note="ours also measures discs, concavities and slips, all with their errors",
        )  # fmt: skip
        heights = timed(f"{here}:ours_heights")
        yield Line(
            "the same masks: heights and widths of vertebrae and discs, geometry, discs",
            heights, f"{PEER_NAME}, rays by embreex", timed(f"{here}:peer_heights", python=peer),
            aim="ours / peer at most 0.1",
        )  # fmt: skip
        yield Line(
            "the same, the peer as it is without embreex, and it does one vertebra and one disc",
            heights, f"{PEER_NAME}, rays by rtree, L3 alone",
            timed(f"{here}:peer_heights_of_one", python=peer, runs=1),
            aim="ours / peer at most 0.1",
            note="ours does six vertebrae and all discs between them",
        )  # fmt: skip
    for number in FIRST:
        mine = timed(f"{here}:vertebrae_{number}", runs=FEWER)
        yield Line(
            f"everything at 1.5 mm, {number} vertebrae without a pelvis", mine,
            aim="time grows as the number of vertebrae",
            note=f"{mine.median / number:.3f} s for each vertebra",
        )  # fmt: skip
    for spacing, size in zip(SPACINGS, json.loads(_in_child("sizes")), strict=True):
        mine = timed(f"{here}:{_named(spacing)}", runs=FEWER)
        yield Line(
            f"everything at {spacing:g} mm, T12-S1 with pelvis", mine,
            aim="time grows at most as the number of voxels",
            note=f"{size / 1e6:.2f} million voxels, {mine.median / size * 1e6:.3f} s per million",
        )  # fmt: skip
