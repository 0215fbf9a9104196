"""A vertebra that the border of the image cuts: its whole endplate counts, nothing else of it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from endplate.demo.phantom import Scan, Spine, phantom
from endplate.exchange.case import joined
from endplate.images.landmarks import landmarks
from endplate.images.measure import measure
from endplate.images.volume import Mask, Volume
from unit.images.spines import EVIDENCE, a_scan

SPINE = Spine(first="L2", last="L4", pelvis=None, slips={"L3": (4.0, 0.0)})
DISCS = {"L2": "L2-L3", "L4": "L3-L4"}
HEIGHTS = ("anterior", "middle", "posterior")
QUANTITIES = {"heights", "geometry", "canal", "discs"}


@cache
def made(spacing=1.5, seed=0):
    scan = Scan(spacing=(spacing,) * 3)
    if seed:
        scan = a_scan(np.random.default_rng(seed), (spacing,) * 3, tilt=12, noise=0.0)
    return phantom(SPINE, scan)


def _facing(true, level):
    """The endplate towards L3, and which way out of the bone it faces along its vertebra."""
    return (true[level].inferior, -1) if level == "L2" else (true[level].superior, 1)


def cut(mask, true, level, under):
    """The mask as an image shows it that ends so far (mm) under a whole endplate's rim."""
    bone = true[level]
    plate, out = _facing(true, level)
    turn = np.linspace(0, 2 * np.pi, 60)
    ring = np.stack([np.cos(turn) * bone.width / 2, np.sin(turn) * bone.depth / 2, 0 * turn], 1)
    rim = plate.centre + ring @ bone.axes.T - out * under * bone.axes[:, 2]
    volume = mask.volume
    along = volume.directions.T @ bone.axes[:, 2]
    axis = int(np.argmax(np.abs(along)))
    into = -out * np.sign(along[axis])  # towards the cut, along the array
    at = volume.to_index(rim)[:, axis]
    low, high = np.zeros(3, int), np.array(volume.array.shape)
    if into > 0:
        high[axis] = int(np.ceil(at.max())) + 1
    else:
        low[axis] = int(np.floor(at.min()))
    return replace(mask, volume=volume.cropped(low, high))


def by_name(found):
    return {(f.what, f.level): f for f in found.facts}


def true_gap(true, upper, lower, name):
    """The height of the column between two of a height line's ends, by the phantom's planes."""
    above, below = true[upper], true[lower]
    left = above.axes[:, 0] + below.axes[:, 0]
    left /= np.linalg.norm(left)
    up = above.inferior.normal + below.superior.normal
    up = up - left * (up @ left)
    up /= np.linalg.norm(up)
    share = EVIDENCE.row(f"measurement.height.{name}_position").number - 0.5
    ends = [
        b.centre + b.axes @ [0, share * b.depth, sign * getattr(b, name) / 2]
        for b, sign in ((above, -1), (below, 1))
    ]
    middle = (ends[0] + ends[1]) / 2
    top, bottom = (
        (end - middle) @ p.normal / (up @ p.normal)
        for end, p in zip(ends, (above.inferior, below.superior), strict=True)
    )
    return top - bottom


@pytest.mark.parametrize("level", ["L2", "L4"])
@pytest.mark.parametrize("under", [6.0, 14.0])
@pytest.mark.parametrize(("spacing", "seed"), [(1.0, 0), (1.5, 3), (3.0, 0)])
def test_the_disc_beside_a_cut_body_is_measured_as_if_it_were_whole(level, under, spacing, seed):
    whole = made(spacing, seed)
    true = whole.truth.vertebrae
    full = by_name(measure(None, whole.mask, quantities=QUANTITIES))
    found = measure(None, cut(whole.mask, true, level, under), quantities=QUANTITIES)
    got, disc = by_name(found), DISCS[level]
    assert level not in found.vertebrae and "L3" in found.vertebrae
    for name in HEIGHTS:
        fact = got[f"disc.height.{name}", disc]
        off = fact.number - true_gap(true, *disc.split("-"), name)
        # Off the bowl a lone endplate is known a little less well than the surface itself.
        assert abs(off) < 4 * fact.details["standard_error"] + 0.3
    for what in ("disc.angle", "disc.coronal_angle", "segment.listhesis",
                 "segment.lateral_listhesis"):  # fmt: skip
        a, b = got[what, disc], full[what, disc]
        error = np.hypot(a.details["standard_error"], b.details["standard_error"])
        assert abs(a.number - b.number) < 3 * error
        assert a.doubts == (f"{level}: the field of view cuts its body",)
    if level == "L4":  # over the height of the vertebra above
        index = got["disc.height_index", disc]
        assert index.number == pytest.approx(full["disc.height_index", disc].number, rel=0.05)
        assert index.doubts == ("L4: the field of view cuts its body",)
    which = "inferior" if level == "L2" else "superior"
    hollow = f"vertebra.{which}_endplate_concavity", level
    error = got[hollow].details["standard_error"]
    assert abs(got[hollow].number - full[hollow].number) < 2 * error
    assert got["vertebra.cut_by_field_of_view", level].details["measured"] == f"{which} endplate"


@pytest.mark.parametrize("level", ["L2", "L4"])
def test_nothing_that_needs_the_whole_body_is_told_of_a_cut_one(level):
    whole = made()
    found = measure(whole.image, whole.mask)
    part = cut(whole.mask, whole.truth.vertebrae, level, 15.0)
    image = cut(replace(whole.mask, volume=whole.image), whole.truth.vertebrae, level, 15.0).volume
    cut_one = measure(image, part)
    told = {f.what for f in found.facts if f.level == level}
    assert {"vertebra.height.middle", "vertebra.genant_grade", "ct.hounsfield.axial"} <= told
    which = "inferior" if level == "L2" else "superior"
    assert {f.what for f in cut_one.facts if f.level == level} == {
        "vertebra.cut_by_field_of_view", f"vertebra.{which}_endplate_concavity",
    }  # fmt: skip
    assert not [f for f in cut_one.facts if f.what == "segment.lordosis" and level in f.level]
    assert any(f"{level}: is cut" in p.says and f"only its {which} endplate" in p.says
               for p in cut_one.problems)  # fmt: skip
    points = {p.name for p in landmarks(cut_one) if p.level == level}
    assert points == {f"{which}_endplate.{n}" for n in ("centre", "anterior", "posterior")}


@pytest.mark.parametrize("level", ["L2", "L4"])
@pytest.mark.parametrize("under", [-3.0, -1.0, 0.5, 2.0])
def test_a_cut_at_or_through_the_endplate_gives_no_number(level, under):
    whole = made()
    part = cut(whole.mask, whole.truth.vertebrae, level, under)
    found = measure(None, part, quantities=QUANTITIES)
    assert not [f for f in found.facts if f.level == DISCS[level]]
    assert {f.what for f in found.facts if f.level == level} <= {
        "vertebra.cut_by_field_of_view", "vertebra.not_measured"
    }  # fmt: skip
    assert any(level in p.says and "endplate was not measured" in p.says for p in found.problems)


@pytest.mark.parametrize("side", [-1, 1])
def test_a_body_that_is_cut_from_the_side_has_no_whole_endplate(side):
    """L3 ends beside the cut and is whole; L4 stands out to it."""
    spine = replace(SPINE, slips={"L3": (0.0, 14.0 * side)})
    whole = phantom(spine, Scan(spacing=(1.5, 1.5, 1.5)))
    volume, true = whole.body_mask.volume, whole.truth.vertebrae
    edge = true["L4"].centre + true["L4"].axes @ [-side * (true["L4"].width / 2 - 3), 0, 0]
    axis = int(np.argmax(np.abs(volume.directions[0])))
    at = round(float(volume.to_index(edge)[axis]))
    low, high = np.zeros(3, int), np.array(volume.array.shape)
    if volume.directions[0, axis] * side > 0:
        low[axis] = at
    else:
        high[axis] = at
    found = measure(
        None, replace(whole.body_mask, volume=volume.cropped(low, high)), quantities=QUANTITIES
    )
    assert "L4" not in found.vertebrae and "L3" in found.vertebrae
    assert not [f for f in found.facts if f.level == "L3-L4"]


def test_with_a_mask_of_parts_the_arch_stays_and_the_body_is_the_labelled_one():
    whole = made()
    labels = whole.mask.volume
    body = whole.body_mask.volume.array > 0
    kept = np.where(body, 49, np.where(labels.array > 0, 41, 0)).astype(np.uint8)
    parts = Mask(Volume(kept, labels.affine), {41: "arch", 49: "corpus"}, system="spineps")
    both = joined([whole.mask, parts])
    found, alone = (measure(None, m, quantities=QUANTITIES) for m in (both, whole.mask))
    got, plain = by_name(found), by_name(alone)
    for what in ("canal.area", "canal.transverse_diameter", "vertebra.axial_rotation"):
        assert got[what, "L3"].number == pytest.approx(plain[what, "L3"].number, rel=0.03, abs=0.5)
    assert {s for f in found.facts if f.what == "foramen.height" for s in (f.side,)} == {
        "left", "right"
    }  # fmt: skip
    number = next(n for n, s in both.structures.items() if s == "L3")
    volume = np.count_nonzero(body & (labels.array == number)) * labels.voxel_volume / 1000
    assert got["vertebra.body_volume", "L3"].number == pytest.approx(volume, abs=0.001)
    assert plain["vertebra.body_volume", "L3"].number != pytest.approx(volume, abs=0.001)
    for name in HEIGHTS:
        a, b = (one[f"vertebra.height.{name}", "L3"] for one in (got, plain))
        assert a.number == pytest.approx(b.number, abs=2 * a.details["standard_error"])


def test_a_label_without_a_body_in_the_mask_of_parts_is_not_measured_as_one():
    whole = made()
    labels = whole.mask.volume
    number = next(n for n, s in whole.mask.structures.items() if s == "L3")
    body = (whole.body_mask.volume.array > 0) & (labels.array != number)
    found = measure(None, replace(whole.mask, bodies=body), quantities=QUANTITIES)
    assert "L3" not in found.vertebrae
    assert any("L3" in p.says and "labelled as its body" in p.says for p in found.problems)


@pytest.mark.shared_data
def test_the_crop_of_a_real_ct_gives_both_discs_and_the_canal(shared_data):
    from endplate.exchange.masks import read_mask

    folder = shared_data / "imaging" / "tptbox"
    masks = [
        read_mask(folder / f"sub-ct_seg-{kind}_label-22_msk.nii.gz")[0]
        for kind in ("vert", "subreg")
    ]
    with_parts, alone = (
        by_name(measure(None, m, quantities=QUANTITIES)) for m in (joined(masks), masks[0])
    )
    for got in (with_parts, alone):
        for disc in ("L2-L3", "L3-L4"):
            assert 7 < got["disc.height.anterior", disc].number < 16
            assert -5 < got["disc.angle", disc].number < 15
            assert abs(got["segment.listhesis", disc].number) < 4
        assert got["canal.area", "L3"].number == pytest.approx(408, abs=20)
        assert not {n for n in got if n[1] in ("L2", "L4") and "height" in n[0]}
    for name in [n for n in with_parts if n[0].startswith(("disc.", "segment."))]:
        assert with_parts[name].number == pytest.approx(alone[name].number, abs=0.5)
