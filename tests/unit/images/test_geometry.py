"""Discs, canal, pelvis and the whole curve on phantoms whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from endplate import evidence
from endplate.demo.phantom import Fracture, Pelvis, Scan, Scoliosis, Spine, phantom
from endplate.images.measure import measure
from endplate.images.volume import Mask
from endplate.levels import Column
from endplate.posture import Posture

SHIPPED = evidence.shipped()
SPINE = Spine(
    first="T10",
    lordosis=52,
    pelvis=Pelvis(incidence=58, sacral_slope=41),
    scoliosis=Scoliosis(cobb=28, rotation=12, convex="left"),
    slips={"L4": (6.0, 0.0), "L2": (0.0, 3.0)},
)


def _unit(vector):
    return vector / np.linalg.norm(vector)


def _about(start, end, axis):
    """The angle from one direction to another about an axis, written out once more."""
    a, b = start - axis * (start @ axis), end - axis * (end @ axis)
    return np.degrees(np.arctan2(np.cross(a, b) @ axis, a @ b))


def truth(made):
    """What the quantities are by the phantom's own planes."""
    bones, pelvis = made.truth.vertebrae, made.truth.pelvis
    names = list(bones)
    left = _unit(pelvis.hip_left - pelvis.hip_right)
    hips = (pelvis.hip_left + pelvis.hip_right) / 2
    up = bones[names[0]].superior.centre - bones[names[-1]].inferior.centre
    up = _unit(up - left * (up @ left))
    sacrum = pelvis.sacral_endplate
    known = {
        ("pelvis.pelvic_incidence", None): pelvis.incidence,
        ("pelvis.pelvic_tilt", None): pelvis.tilt,
        ("pelvis.sacral_slope", None): pelvis.sacral_slope,
        ("spine.l1_pelvic_angle", "L1"): _about(
            sacrum.centre - hips, bones["L1"].centre - hips, left
        ),
    }
    for what, first in (("spine.lumbar_lordosis", "L1"), ("spine.lower_lumbar_lordosis", "L4")):
        angle = _about(bones[first].superior.normal, sacrum.normal, left)
        known[what, f"{first}-S1"] = angle
    known["spine.thoracolumbar_kyphosis", "T10-L2"] = -_about(
        bones["T10"].superior.normal, bones["L2"].inferior.normal, left
    )
    lean = {
        n: [
            np.degrees(np.arctan2(p.normal @ left, p.normal @ up)) for p in (b.superior, b.inferior)
        ]
        for n, b in bones.items()
    }
    pairs = [(a, b) for i, a in enumerate(names) for b in names[i + 2 :]]
    known["cobb"] = max(abs(lean[b][1] - lean[a][0]) for a, b in pairs)
    for name, bone in bones.items():
        known["vertebra.width", name], known["vertebra.depth", name] = bone.width, bone.depth
        known["vertebra.sagittal_angle", name] = _about(
            bone.superior.normal, bone.inferior.normal, bone.axes[:, 0]
        )
        axis = bone.axes[:, 2]
        back = _unit(np.cross(up, left))
        known["vertebra.axial_rotation", name] = _about(back, bone.axes[:, 1], axis)
    for upper, lower in pairwise(names):
        above, below = bones[upper], bones[lower]
        across = _unit(above.axes[:, 0] + below.axes[:, 0])
        along = above.inferior.normal + below.superior.normal
        along = _unit(along - across * (along @ across))
        level = f"{upper}-{lower}"
        known["disc.angle", level] = _about(above.inferior.normal, below.superior.normal, across)
        known["segment.lordosis", level] = _about(
            above.superior.normal, below.inferior.normal, across
        )
        for name in ("anterior", "middle", "posterior"):
            share = SHIPPED.row(f"measurement.height.{name}_position").number - 0.5
            ends = [
                b.centre + b.axes @ [0, share * b.depth, sign * getattr(b, name) / 2]
                for b, sign in ((above, -1), (below, 1))
            ]
            middle = (ends[0] + ends[1]) / 2  # of the column between the two
            top, bottom = (
                (end - middle) @ plane.normal / (along @ plane.normal)
                for end, plane in zip(ends, (above.inferior, below.superior), strict=True)
            )
            known[f"disc.height.{name}", level] = top - bottom
    return known


def numbers(found):
    return {
        (f.what, f.level, f.side): f
        for f in found.facts
        if f.what.startswith(("vertebra.", "disc.", "segment.", "canal.", "foramen.", "pelvis.",
                              "spine.")) and "standard_error" in f.details
    }  # fmt: skip


def largest(found):
    return next(
        f
        for f in found.facts
        if f.what == "spine.coronal_cobb_angle" and f.details["largest"] == "yes"
    )


@pytest.fixture(scope="module")
def made():
    return phantom(SPINE, Scan(spacing=(1, 1, 1), soft_tissue=False, noise=0))


@pytest.fixture(scope="module")
def found(made):
    return measure(None, made.mask)


def test_angles_within_half_a_degree_and_lengths_within_half_a_millimetre(made, found):
    known, got = truth(made), numbers(found)
    cobb = known.pop("cobb")
    for (what, level), value in known.items():
        fact = got[what, level, None]
        assert abs(fact.number - value) < (1.5 if what == "vertebra.axial_rotation" else 0.5), what
    curve = largest(found)
    assert abs(curve.number - cobb) < 0.5
    assert curve.side == "left" and curve.details["apex"] in ("L1", "T12", "L2")
    assert curve.details["apex_offset"] > 0 and curve.details["apex_rotation"] != 0


def test_incidence_is_tilt_and_slope(found):
    got = numbers(found)
    tilt, slope = (got[f"pelvis.{n}", None, None].number for n in ("pelvic_tilt", "sacral_slope"))
    assert abs(got["pelvis.pelvic_incidence", None, None].number - tilt - slope) < 0.1


def test_the_curve_is_the_sum_of_its_parts(found):
    straight = measure(None, phantom(
        replace(SPINE, scoliosis=None, slips={}), Scan(spacing=(1.5, 1.5, 1.5), soft_tissue=False)
    ).mask)  # fmt: skip
    got = numbers(straight)
    bodies = sum(got["vertebra.sagittal_angle", f"L{n}", None].number for n in range(1, 6))
    below = ("L2", "L3", "L4", "L5", "S1")
    discs = sum(
        got["disc.angle", f"L{n}-{b}", None].number for n, b in zip(range(1, 6), below, strict=True)
    )
    assert got["spine.lumbar_lordosis", "L1-S1", None].number == pytest.approx(
        bodies + discs, abs=0.3
    )


def test_a_slip_is_told_by_size_and_direction(found):
    got = numbers(found)
    # Bodies of different depth stand off a little even without a slip.
    forward = got["segment.listhesis", "L4-L5", None]
    others = got["segment.listhesis", "L3-L4", None]
    assert 5 < forward.number - others.number < 7
    assert forward.details["direction"] == "anterior"
    percent = got["segment.listhesis_percent", "L4-L5", None].number
    assert percent == pytest.approx(100 * forward.number / 34.5, rel=0.06)
    aside = got["segment.lateral_listhesis", "L2-L3", None]
    assert aside.details["direction"] == "left" and 2 < aside.number < 4.5


def test_the_canal_and_the_foramina(made, found):
    got = numbers(found)
    fine = phantom(
        Spine(first="L2", last="L3", pelvis=None),
        Scan(spacing=(0.4, 0.4, 0.4), soft_tissue=False, noise=0),
    )
    known = numbers(measure(None, fine.mask))
    for what in ("area", "anteroposterior_diameter", "transverse_diameter"):
        for level in ("L2", "L3"):
            key = (f"canal.{what}", level, None)
            assert abs(got[key].number - known[key].number) < 3 * got[key].details["standard_error"]
    left, right = (got["foramen.height", "L3-L4", side].number for side in ("left", "right"))
    assert 8 < left < 30 and 8 < right < 30
    straight = [known["foramen.height", "L2-L3", side].number for side in ("left", "right")]
    assert straight[0] == pytest.approx(straight[1], abs=0.3)


def test_the_canal_is_measured_without_the_rest_and_the_rest_without_it(made, found):
    rest, canal = (
        {f.what for f in measure(None, made.mask, quantities={q}).facts}
        for q in ("geometry", "canal")
    )
    assert {w.split(".")[0] for w in canal - rest} == {"canal", "foramen"}
    assert not {w for w in rest if w.startswith(("canal", "foramen"))}
    assert rest | canal == {
        f.what for f in measure(None, made.mask).facts if f.what in rest | canal
    }


# The axes of the patient do not matter but for what is measured against them.
_AGAINST_THE_SCANNER = (
    "pelvis.pelvic_tilt", "pelvis.sacral_slope", "pelvis.pelvic_obliquity", "pelvis.pelvic_rotation"
)  # fmt: skip


def test_a_turned_person_has_the_same_geometry(found):
    turned = Rotation.from_euler("xyz", [9, -7, 12], degrees=True).as_matrix()
    other = numbers(
        measure(None, phantom(replace(SPINE, turned=turned),
                              Scan(spacing=(1, 1, 1), soft_tissue=False, noise=0)).mask)
    )  # fmt: skip
    got = numbers(found)
    compared = 0
    for key, fact in got.items():
        if key[0] in _AGAINST_THE_SCANNER or key not in other:
            continue
        error = np.hypot(*(f.details["standard_error"] for f in (fact, other[key])))
        assert abs(fact.number - other[key].number) < max(4 * error, 0.3), key
        compared += 1
    assert compared > 0.9 * len(got)


def test_a_mirrored_person_changes_sides_and_nothing_else(made, found):
    volume = made.mask.volume
    flip = np.diag([-1.0, 1, 1, 1])
    swapped = {n: _other_side(s) for n, s in made.mask.structures.items()}
    mirrored = Mask(
        volume=replace(volume, affine=flip @ volume.affine), structures=swapped,
        parts=made.mask.parts, system=made.mask.system,
    )  # fmt: skip
    other, got = numbers(measure(None, mirrored)), numbers(found)
    signed = (
        "coronal_angle",
        "lateral_listhesis",
        "axial_rotation",
        "obliquity",
        "pelvic_rotation",
    )
    sides = {"left": "right", "right": "left", None: None}
    assert len(other) == len(got)
    for (what, level, side), fact in got.items():
        sign = -1 if what.endswith(signed) else 1
        there = other[what, level, sides[side]]
        tolerance = max(2 * fact.details["standard_error"], 0.05)
        assert abs(sign * fact.number - there.number) < tolerance, what


def _other_side(name):
    for a, b in (("left", "right"), ("right", "left")):
        if name.endswith(a):
            return name.removesuffix(a) + b
    return name


@pytest.mark.parametrize("spacing", [(3, 3, 3), (0.8, 0.8, 3)])
def test_wide_voxels_keep_to_the_stated_error(spacing):
    made = phantom(SPINE, Scan(spacing=spacing, soft_tissue=False, noise=0, offset=(0.3, 0.6, 0.1)))
    known, got = truth(made), numbers(measure(None, made.mask))
    known.pop("cobb")
    errors = np.array([
        (got[what, level, None].number - value) / got[what, level, None].details["standard_error"]
        for (what, level), value in known.items() if (what, level, None) in got
    ])  # fmt: skip
    assert len(errors) > 50
    assert (np.abs(errors) < 1.96).mean() > 0.88 and np.abs(errors).max() < 5


@pytest.mark.parametrize(
    "directions",
    [
        np.diag([-1.0, -1, 1]),
        [[0, 0, -1], [1, 0, 0], [0, -1, 0]],
        Rotation.from_euler("x", 18, degrees=True).as_matrix(),
        [[1, 0, 0], [0, 1, np.sin(0.25)], [0, 0, np.cos(0.25)]],
    ],
    ids=["RAS", "PIR", "oblique", "tilted"],
)
def test_however_the_image_is_laid_out(directions):
    spine = replace(SPINE, first="L2", scoliosis=None, slips={})
    scans = [Scan(spacing=(1.2, 1.2, 1.2), soft_tissue=False, directions=d)
             for d in (None, directions)]  # fmt: skip
    one, other = (numbers(measure(None, phantom(spine, s).mask)) for s in scans)
    curves = ("spine.coronal_cobb_angle", "spine.largest_kyphosis")  # the largest of nothing
    one, other = ({k: f for k, f in x.items() if k[0] not in curves} for x in (one, other))
    assert one.keys() == other.keys()
    for key, fact in one.items():
        error = np.hypot(*(f.details["standard_error"] for f in (fact, other[key])))
        assert abs(fact.number - other[key].number) < max(4 * error, 0.4), key


def test_without_femurs_the_sockets_are_taken_and_said():
    made = phantom(
        Spine(first="L4", pelvis=Pelvis(incidence=52)),
        Scan(spacing=(1.5, 1.5, 1.5), soft_tissue=False),
    )
    structures = {n: s for n, s in made.mask.structures.items() if not s.startswith("femur")}
    got = numbers(measure(None, replace(made.mask, structures=structures)))
    fact = got["pelvis.pelvic_incidence", None, None]
    assert fact.details["hip_axis"] == "acetabula"
    assert fact.quality == "doubtful" and "socket" in fact.doubts[0]
    assert abs(fact.number - 52) < 3


def test_a_chest_without_a_pelvis_has_no_pelvic_angle():
    made = phantom(
        Spine(first="T3", last="T9", pelvis=None), Scan(spacing=(2, 2, 2), soft_tissue=False)
    )
    found = measure(None, made.mask)
    what = {f.what for f in found.facts}
    assert "disc.angle" in what and not any(w.startswith("pelvis.") for w in what)
    assert "spine.lumbar_lordosis" not in what
    assert not [p for p in found.problems if "femoral" in p.says]


def test_six_lumbar_vertebrae_and_four():
    six = phantom(
        Spine(first="L3", last="L6", column=Column(lumbar=6)),
        Scan(spacing=(1.5, 1.5, 1.5), soft_tissue=False),
    )
    got = numbers(measure(None, six.mask))
    assert ("disc.angle", "L6-S1", None) in got and ("disc.angle", "L5-L6", None) in got
    four = phantom(
        Spine(first="L2", last="L4", column=Column(lumbar=4)),
        Scan(spacing=(1.5, 1.5, 1.5), soft_tissue=False),
    )
    assert ("disc.angle", "L4-S1", None) in numbers(measure(None, four.mask))


def test_a_missing_vertebra_leaves_a_gap_and_no_disc(made):
    structures = {n: s for n, s in made.mask.structures.items() if s != "L3"}
    got = numbers(measure(None, replace(made.mask, structures=structures)))
    levels = {level for what, level, _ in got if what == "disc.angle"}
    assert not {v for v in levels if "L3" in v} and "L2-L4" not in levels
    assert ("pelvis.pelvic_incidence", None, None) in got


def test_a_plumb_line_is_measured_only_in_those_who_are_upright():
    made = phantom(
        Spine(first="T1"),
        Scan(spacing=(2.5, 2.5, 2.5), soft_tissue=False),
    )
    lying = numbers(measure(None, made.mask, posture="supine"))
    assert not [k for k in lying if k[0] == "spine.sagittal_vertical_axis"]
    assert lying["spine.t1_pelvic_angle", "T1", None].posture is Posture.SUPINE
    kyphosis = {level for what, level, _ in lying if what == "spine.thoracic_kyphosis"}
    assert kyphosis == {"T1-T12", "T2-T12", "T4-T12", "T5-T12"}


def test_levels_asked_for_are_measured_without_the_pelvis(made):
    got = numbers(measure(None, made.mask, levels=["L3", "L4"]))
    assert ("disc.angle", "L3-L4", None) in got
    assert not [k for k in got if k[0].startswith("pelvis.")]
    with_sacrum = measure(None, made.mask, levels=["L5", "S1"])
    assert ("disc.angle", "L5-S1", None) in numbers(with_sacrum)
    assert not with_sacrum.problems


def test_a_sacrum_or_a_hip_that_the_field_of_view_cuts(made):
    volume = made.mask.volume
    sacrum = made.truth.pelvis.sacral_endplate.centre
    # Its endplate slopes: what lies below its middle is its front.
    part = volume.cropped((0, 0, round(float(volume.to_index(sacrum)[2])) - 4), volume.array.shape)
    found = measure(None, replace(made.mask, volume=part))
    assert not [f for f in found.facts if f.what == "pelvis.pelvic_incidence"]
    assert any("the field of view cuts it" in p.says for p in found.problems)
    hip = round(float(volume.to_index(made.truth.pelvis.hip_left)[0])) + 12
    part = volume.cropped((0, 0, 0), (hip, *volume.array.shape[1:]))
    got = numbers(measure(None, replace(made.mask, volume=part)))
    fact = got["pelvis.pelvic_incidence", None, None]
    assert fact.doubts == ("the field of view cuts the left hip",)
    assert abs(fact.number - 58) < 0.7


def test_endplates_along_the_voxels_say_how_little_they_show():
    """At 2 mm a slope of two degrees is one step in the mask, or none."""
    off = []
    for tilt in (-3.0, -1.5, 1.5, 3.0):
        spine = Spine(first="L3", last="L4", pelvis=None, lordosis=0)
        level = phantom(spine, Scan(spacing=(4, 4, 4), soft_tissue=False)).truth.vertebrae["L3"]
        flat = Rotation.align_vectors([[0, 0, 1]], [level.superior.normal])[0]
        turned = (Rotation.from_euler("x", tilt, degrees=True) * flat).as_matrix()
        made = phantom(
            replace(spine, turned=turned), Scan(spacing=(2, 2, 2), soft_tissue=False, noise=0)
        )
        fact = numbers(measure(None, made.mask, posture="supine"))["disc.angle", "L3-L4", None]
        upper, lower = (made.truth.vertebrae[n] for n in ("L3", "L4"))
        left = _unit(upper.axes[:, 0] + lower.axes[:, 0])
        true = _about(upper.inferior.normal, lower.superior.normal, left)
        off.append((fact.number - true) / fact.details["standard_error"])
    assert np.abs(off).max() < 3


def test_a_deeply_hollowed_vertebra_is_measured_with_its_error():
    made = phantom(
        Spine(first="T12", last="L2", pelvis=None,
              fractures={"L1": Fracture(kind="biconcave", loss=45)}),
        Scan(spacing=(1, 1, 1.5), soft_tissue=False),
    )  # fmt: skip
    got = numbers(measure(None, made.mask))
    bone = made.truth.vertebrae["L1"]
    true = _about(bone.superior.normal, bone.inferior.normal, bone.axes[:, 0])
    fact = got["vertebra.sagittal_angle", "L1", None]
    assert abs(fact.number - true) < 2.5 * fact.details["standard_error"]
    assert fact.details["standard_error"] > 1
    assert got["vertebra.superior_endplate_concavity", "L1", None].number > 4


@pytest.mark.parametrize(
    "sacral_slope, lordosis, turned", [(50, 68, 0.15), (56, 60, 0.0), (56, 76, 0.0)]
)
def test_the_back_of_a_steep_sacrum_is_not_taken_for_its_top(sacral_slope, lordosis, turned):
    pelvis = Pelvis(incidence=sacral_slope - 10, sacral_slope=sacral_slope)
    lying = Rotation.from_rotvec([turned, 0, 0]).as_matrix()
    steep = phantom(
        Spine(first="L4", lordosis=lordosis, pelvis=pelvis, turned=lying),
        Scan(spacing=(3, 3, 3), offset=(0.5, 0.9, 0.9), soft_tissue=False, noise=0.0),
    )
    seen = numbers(measure(None, steep.mask, quantities={"geometry"}))
    for what, true in (
        ("pelvis.pelvic_incidence", steep.truth.pelvis.incidence),
        ("pelvis.sacral_slope", steep.truth.pelvis.sacral_slope),
    ):
        fact = seen[what, None, None]
        assert abs(fact.number - true) < 3 * fact.details["standard_error"] < 6, what
