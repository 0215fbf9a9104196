"""Measuring bone on a real CT of 3 mm voxels, L1-L5: ours, and TotalSegmentator's spine report.

Both start from the files (CT, and the mask of bodies that TotalSegmentator's own report uses)
and end with numbers. "The same quantities" are heights at 15, 50 and 85 %, their greatest loss,
volume, and mean and median HU of the eroded body; both sides' mean, median and volume are equal,
which the tests hold. "Everything" adds what the peer does not do: frames from the vertebra
itself, attenuation by three more definitions, errors, metal, doubts.

The peer lives in an environment of its own, because it pins other versions.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from bench.timing import SHARED, Line, Timed, timed

ROOT = Path(__file__).parents[1]
PEER = ROOT / ".venv-bench" / "bin" / "python"
DATA = SHARED / "imaging" / "totalsegmentator"
CT = DATA / "example_ct.nii.gz"
BODIES = DATA / "spine_report" / "totalseg_vertebrae_pp_refined.nii.gz"
WHOLE = DATA / "example_seg_fast_force_split.nii.gz"
NAMES = {19: "T12", 20: "L1", 21: "L2", 22: "L3", 23: "L4", 24: "L5"}
LUMBAR = ("L1", "L2", "L3", "L4", "L5")


def absent() -> str:
    """What is to be done before this benchmark can run; empty if nothing."""
    if not DATA.is_dir():
        return f"the real CT is not there ({DATA})"
    if not PEER.exists():
        return (
            "TotalSegmentator is not installed; run: python3 -m venv .venv-bench && "
            ".venv-bench/bin/pip install --no-deps -r requirements/bench.txt"
        )
    return ""


def _measure(quantities: set[str]) -> None:
    from endplate.exchange.masks import read_image, read_mask
    from endplate.images.measure import measure

    image, _ = read_image(CT)
    mask, _ = read_mask(BODIES, "totalsegmentator_vertebrae_pp")
    found = measure(image, mask, levels=LUMBAR, quantities=quantities, modality="CT")
    assert set(found.vertebrae) == set(LUMBAR)


def same() -> None:
    _measure({"heights", "totalsegmentator"})


def everything() -> None:
    _measure({"heights", "totalsegmentator", "attenuation", "metal"})


def peer() -> None:
    import contextlib
    import io
    import tempfile
    import warnings

    import nibabel
    from totalsegmentator.spine_report.measure_verte_height import get_verte_height

    with (
        contextlib.redirect_stdout(io.StringIO()),  # it prints each step
        tempfile.TemporaryDirectory() as folder,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        image = nibabel.as_closest_canonical(nibabel.load(CT))
        bodies = nibabel.as_closest_canonical(nibabel.load(BODIES))
        names = {number: f"vertebrae_{level}" for number, level in NAMES.items()}
        get_verte_height(
            image, bodies, names, bodies, {}, None, None, f"{folder}/out.json", False,
            horizontal_mask_type="raw", spine_range="lumbar",
        )  # fmt: skip


def whole_case() -> None:
    """The real CT with all structures: bone, geometry with pelvis, muscle, discs, pictures."""
    from endplate.exchange.masks import read_image, read_mask
    from endplate.images.measure import measure

    image, _ = read_image(CT)
    mask, _ = read_mask(WHOLE)
    found = measure(image, mask, modality="CT")
    assert any(f.what == "pelvis.pelvic_incidence" for f in found.facts)


@cache
def _made() -> Any:
    from endplate.demo.phantom import Scan, Spine, phantom

    return phantom(Spine(first="T12"), Scan(spacing=(1.0, 1.0, 1.0)))


def phantom_case() -> None:
    """T12 to the sacrum at 1 mm; made in the warm-up, so that only the measuring is timed."""
    from endplate.images.measure import measure

    measure(_made().image, _made().mask)


def lines() -> Iterator[Line]:
    why = absent()
    if not why:
        theirs: Timed | None = timed("bench.measure_ct:peer", python=str(PEER))
        name = "TotalSegmentator 2.18.0, spine report"
        yield Line(
            "CT at 3 mm, L1-L5: heights, losses, volume, mean and median HU, from the files",
            timed("bench.measure_ct:same"), name, theirs, aim="ours / peer at most 1",
        )  # fmt: skip
        yield Line(
            "the same, everything: frames, four attenuations, errors, metal, doubts",
            timed("bench.measure_ct:everything"), name, theirs, aim="ours / peer at most 3",
        )  # fmt: skip
    if DATA.is_dir():
        yield Line(
            "CT at 3 mm, all structures: bone, geometry, pelvis, muscle, discs, gates, pictures",
            timed("bench.measure_ct:whole_case"), aim="at most 1.5 s",
        )  # fmt: skip
    yield Line(
        "CT at 1 mm, T12-S1 of the phantom with its pelvis: everything, with pictures",
        timed("bench.measure_ct:phantom_case", runs=3), aim="at most 15 s and 3 GB",
        note=why and f"no peer: {why}",
    )  # fmt: skip
