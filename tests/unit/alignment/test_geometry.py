"""Alignment parameters: against another construction, under moves, by hand, and their errors."""

from __future__ import annotations

import numpy as np
import pytest

from endplate import evidence
from endplate.alignment import geometry
from endplate.alignment.geometry import PARAMETERS, derived, measure
from endplate.alignment.landmarks import Radiograph
from endplate.posture import Posture
from unit.alignment import spines

GROUNDS = evidence.shipped()


def values(points, view="lateral"):
    """Every parameter of a stack of spines in the person's own frame, by concept, level, side."""
    there = derived(points, view)
    return {
        (p.what, p.level, p.side): p.of(*(there[n] for n in p.needs))
        for p in PARAMETERS[view]
        if all(n in there for n in p.needs)
    }


def film(points, **more):
    more = {"view": "lateral", "posture": Posture.STANDING, "calibrated": True, **more}
    return Radiograph(name="a.json", points=points, **more)


def measured(points, **more):
    facts, _ = measure(film(points, **more), GROUNDS)
    return {(f.what, f.level, f.side): f for f in facts}


# -- another construction: points as complex numbers, angles of quotients -----------------------


class Constructed:
    """The same angles by turning: a quotient of complex numbers turns one direction into another.

    Nothing is shared with the formulas under test.
    """

    def __init__(self, points):
        self.z = {name: at[:, 0] + 1j * at[:, 1] for name, at in points.items()}
        self.hips = (self.z["left femoral_head.centre"] + self.z["right femoral_head.centre"]) / 2
        front, back = self.plate("S1")
        self.sacrum = (front + back) / 2

    def plate(self, level, which="superior"):
        name = f"{level} {which}_endplate"
        return self.z[f"{name}.anterior"], self.z[f"{name}.posterior"]

    def body(self, level):
        return sum(sum(self.plate(level, w)) for w in ("superior", "inferior")) / 4

    def normal(self, level, which="superior"):
        """The direction to the head, square to an endplate."""
        front, back = self.plate(level, which)
        return (front - back) * 1j

    def between(self, upper, lower):
        """Lordosis: by how much the lower normal turns clockwise of the upper one."""
        return np.degrees(np.angle(upper / lower))

    def forwards(self, line):
        """How far a line leans clockwise of straight up."""
        return np.degrees(np.angle(1j / line))

    def at(self, corner, first, second):
        """The angle at a corner from the first point clockwise to the second."""
        return np.degrees(np.angle((first - corner) / (second - corner)))

    def all(self):
        s1, hips, sacrum = self.normal("S1"), self.hips, self.sacrum
        incidence = np.degrees(np.angle((hips - sacrum) / -s1))
        lumbar, lower = self.between(self.normal("L1"), s1), self.between(self.normal("L4"), s1)
        neck = self.between(self.normal("C2", "inferior"), self.normal("C7", "inferior"))
        slope = self.forwards(self.normal("T1"))
        knee, ankle = self.z["knee"], self.z["ankle"]
        found = {
            ("pelvis.pelvic_incidence", None): incidence,
            ("pelvis.pelvic_tilt", None): np.degrees(np.angle((sacrum - hips) / 1j)),
            ("pelvis.sacral_slope", None): self.forwards(s1),
            ("spine.lumbar_lordosis", "L1-S1"): lumbar,
            ("spine.lower_lumbar_lordosis", "L4-S1"): lower,
            ("spine.lordosis_distribution_index", "L1-S1"): 100 * lower / lumbar,
            ("spine.pelvic_incidence_lumbar_lordosis_mismatch", "L1-S1"): incidence - lumbar,
            ("spine.thoracolumbar_kyphosis", "T10-L2"): -self.between(
                self.normal("T10"), self.normal("L2", "inferior")
            ),
            ("spine.global_tilt", "C7-S1"): self.at(sacrum, 2 * sacrum - hips, self.body("C7")),
            ("spine.sagittal_vertical_axis", "C7-S1"): (self.body("C7") - self.plate("S1")[1]).real,
            ("spine.c2_sagittal_vertical_axis", "C2-S1"): (
                self.body("C2") - self.plate("S1")[1]
            ).real,
            ("spine.t1_slope", "T1"): slope,
            ("spine.cervical_lordosis", "C2-C7"): neck,
            ("spine.t1_slope_cervical_lordosis_mismatch", "C2-T1"): slope - neck,
            ("spine.cervical_sagittal_vertical_axis", "C2-C7"): (
                self.body("C2") - self.plate("C7")[1]
            ).real,
            ("spine.chin_brow_vertical_angle", None): self.forwards(
                self.z["brow"] - self.z["chin"]
            ),
            ("spine.odontoid_hip_axis_angle", None): self.at(hips, hips + 1j, self.z["dens.tip"]),
            ("spine.auditory_meatus_hip_axis_angle", None): self.at(
                hips, hips + 1j, self.z["external_auditory_meatus"]
            ),
            ("lower_limb.knee_flexion_angle", None): self.at(knee, 2 * knee - hips, ankle),
            ("lower_limb.sacrofemoral_angle", None): self.at(hips, sacrum, knee) % 360,
        }
        for first, last in (("T1", "T12"), ("T2", "T12"), ("T4", "T12"), ("T5", "T12"),
                            ("T2", "T5")):  # fmt: skip
            turn = self.between(self.normal(first), self.normal(last, "inferior"))
            found["spine.thoracic_kyphosis", f"{first}-{last}"] = -turn
        for level in spines.LEVELS:
            name = {"T1": "t1_", "T4": "t4_", "L1": "l1_"}.get(level, "vertebral_")
            body = self.body(level)
            found[f"spine.{name}pelvic_angle", level] = self.at(hips, sacrum, body)
            name = {"T1": "t1_spinopelvic_inclination", "T9": "t9_spinopelvic_inclination"}
            found[f"spine.{name.get(level, 'vertebral_tilt')}", level] = self.at(
                hips, hips + 1j, body
            )
        return found


def test_every_parameter_is_what_another_construction_gives_on_ten_thousand_spines():
    points = spines.lateral(np.random.default_rng(0), 10_000)
    ours, other = values(points), Constructed(points).all()
    assert {key[:2] for key in ours} == set(other)
    for (what, level, _), value in ours.items():
        off = value - other[what, level]
        if "distribution_index" in what:
            off = off[other["spine.lumbar_lordosis", "L1-S1"] > 5]
        assert np.abs(off).max() < 1e-9, (what, level)


def test_incidence_is_tilt_and_slope_and_the_angle_between_the_normal_and_the_hips():
    points = spines.lateral(np.random.default_rng(1), 10_000)
    found, there = values(points), derived(points, "lateral")
    incidence = found["pelvis.pelvic_incidence", None, None]
    parts = found["pelvis.pelvic_tilt", None, None] + found["pelvis.sacral_slope", None, None]
    assert np.array_equal(incidence, parts)
    plate = there["S1 superior endplate"]
    across = plate[:, 0] - plate[:, 1]
    caudal = np.stack([across[:, 1], -across[:, 0]], axis=1)
    to_hips = there["hip axis"] - plate.mean(axis=1)
    caudal, to_hips = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (caudal, to_hips))
    plain = np.degrees(np.arccos(np.clip((caudal * to_hips).sum(axis=1), -1, 1)))
    assert np.abs(np.abs(incidence) - plain).max() < 1e-5  # as well as an arc cosine can be known


# -- moves ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("view", "made"), [("lateral", spines.lateral), ("frontal", spines.frontal)]
)
def test_where_the_person_stands_and_faces_does_not_count(view, made):
    points = spines.one(made(np.random.default_rng(2)))
    plain = measured(points, view=view)
    moved = {name: (x - 512.5, y + 77.25) for name, (x, y) in points.items()}
    mirrored = {name: (-x, y) for name, (x, y) in points.items()}
    assert len(plain) >= (70 if view == "lateral" else 2)
    for other in (measured(moved, view=view), measured(mirrored, view=view)):
        assert other.keys() == plain.keys()
        for key, fact in plain.items():
            assert other[key].number == pytest.approx(fact.number, abs=1e-9), key
            assert other[key].interval == pytest.approx(fact.interval, abs=1e-9), key


def test_a_larger_picture_has_the_same_angles_and_larger_lengths():
    points = spines.one(spines.lateral(np.random.default_rng(3)))
    larger = {name: (1.5 * x, 1.5 * y) for name, (x, y) in points.items()}
    plain, other = measured(points), measured(larger)
    lengths = {key for key, fact in plain.items() if fact.unit == "mm"}
    assert len(lengths) == 3
    for key, fact in plain.items():
        factor = 1.5 if key in lengths else 1.0
        assert other[key].number == pytest.approx(factor * fact.number, abs=1e-9), key


# -- by hand ----------------------------------------------------------------------------------

# Hips below and in front of an endplate of S1 that leans by atan(30/40); all by 3-4-5 triangles.
HAND = {
    "S1 superior_endplate.anterior": (20.0, -15.0),
    "S1 superior_endplate.posterior": (-20.0, 15.0),
    "left femoral_head.centre": (25.0, -110.0),
    "right femoral_head.centre": (35.0, -130.0),
    "C7 vertebral_body.centre": (30.0, 480.0),
    "T1 vertebral_body.centre": (-20.0, 450.0),
    "L1 superior_endplate.anterior": (20.0, 187.5),
    "L1 superior_endplate.posterior": (-20.0, 157.5),
}  # fmt: skip
SLOPE = float(np.degrees(np.arctan2(3, 4)))
TILT = float(np.degrees(np.arctan2(1, 4)))


@pytest.mark.parametrize(
    ("what", "level", "value"),
    [
        ("pelvis.sacral_slope", None, SLOPE),
        ("pelvis.pelvic_tilt", None, TILT),
        ("pelvis.pelvic_incidence", None, SLOPE + TILT),
        ("spine.lumbar_lordosis", "L1-S1", 2 * SLOPE),
        ("spine.pelvic_incidence_lumbar_lordosis_mismatch", "L1-S1", TILT - SLOPE),
        ("spine.sagittal_vertical_axis", "C7-S1", 50.0),
        ("spine.global_tilt", "C7-S1", TILT + float(np.degrees(np.arctan2(1, 16)))),
        ("spine.t1_spinopelvic_inclination", "T1", -float(np.degrees(np.arctan2(50, 570)))),
        ("spine.t1_pelvic_angle", "T1", TILT - float(np.degrees(np.arctan2(50, 570)))),
    ],
)
def test_a_case_drawn_by_hand(what, level, value):
    assert measured(HAND)[what, level, None].number == pytest.approx(value, abs=1e-12)


def test_signs_of_head_knee_and_front():
    found = measured(
        HAND
        | {"chin": (100.0, 600.0), "brow": (110.0, 700.0), "dens.tip": (80.0, 560.0),
           "knee": (130.0, -520.0), "ankle": (30.0, -920.0)}
    )  # fmt: skip
    ten = float(np.degrees(np.arctan2(1, 10)))
    bent = float(np.degrees(np.arctan2(1, 4)))
    assert found["spine.chin_brow_vertical_angle", None, None].number == pytest.approx(ten)
    assert found["spine.odontoid_hip_axis_angle", None, None].number > 0
    assert found["lower_limb.knee_flexion_angle", None, None].number == pytest.approx(2 * bent)
    # The thigh leans forwards as much as the pelvis tilts back: a straight line over the front.
    assert found["lower_limb.sacrofemoral_angle", None, None].number == pytest.approx(180.0)


def test_frontal_offset_and_obliquity_are_positive_to_the_left():
    points = {
        "S1 superior_endplate.left": (25.0, 0.0),
        "S1 superior_endplate.right": (-25.0, 0.0),
        "C7 vertebral_body.centre": (18.0, 480.0),
        "left femoral_head.centre": (100.0, -70.0),
        "right femoral_head.centre": (-100.0, -90.0),
    }
    for picture in (points, {n: (-x, y) for n, (x, y) in points.items()}):  # PA and AP
        found = measured(picture, view="frontal")
        assert found["spine.coronal_balance", "C7-S1", None].number == pytest.approx(18.0)
        oblique = found["pelvis.pelvic_obliquity", None, None].number
        assert oblique == pytest.approx(np.degrees(np.arctan2(1, 10)))


# -- what is left out, and doubted --------------------------------------------------------------


def problems(points, **more):
    return {p.problem: p for p in measure(film(points, **more), GROUNDS)[1]}


def test_without_a_scale_there_are_angles_alone_and_without_an_error_no_interval():
    found = measured(HAND, calibrated=False)
    assert {f.unit for f in found.values()} == {"deg"}
    assert all(f.interval is None for f in found.values())
    assert (
        "sagittal vertical axis"
        in problems(HAND, calibrated=False)["alignment.not_calibrated"].says
    )
    assert "alignment.error_unknown" in problems(HAND, calibrated=False)
    assert "alignment.error_unknown" not in problems(HAND)
    with_error = measured(HAND, calibrated=False, errors=dict.fromkeys(HAND, 1.0))
    plain = measured(HAND)
    for key, fact in with_error.items():
        assert fact.interval == pytest.approx(plain[key].interval)


@pytest.mark.parametrize("posture", [Posture.SUPINE, Posture.UNKNOWN])
def test_nothing_is_measured_against_the_plumb_line_unless_upright(posture):
    found = measured(HAND, posture=posture)
    assert ("pelvis.pelvic_incidence", None, None) in found
    assert ("spine.t1_pelvic_angle", "T1", None) in found
    assert not {key[0] for key in found} & {
        "spine.sagittal_vertical_axis", "spine.t1_spinopelvic_inclination", "spine.vertebral_tilt"
    }  # fmt: skip
    assert {f.posture for f in found.values()} == {posture}
    assert "alignment.not_upright" in problems(HAND, posture=posture)


def test_one_femoral_head_is_doubted_and_a_marked_hip_axis_is_not():
    one = {n: at for n, at in HAND.items() if n != "left femoral_head.centre"}
    doubted = {k[0] for k, f in measured(one).items() if f.quality == "doubtful"}
    assert {"pelvis.pelvic_incidence", "pelvis.pelvic_tilt", "spine.t1_pelvic_angle"} <= doubted
    assert not {"pelvis.sacral_slope", "spine.lumbar_lordosis"} & doubted
    assert "alignment.one_femoral_head" in problems(one)
    axis = one | {"hip_axis.centre": (30.0, -120.0)}
    assert all(f.quality == "ok" for f in measured(axis).values())
    assert "alignment.one_femoral_head" not in problems(axis)


def test_no_lordosis_has_no_distribution():
    flat = spines.one(spines.lateral(np.random.default_rng(4)))
    for end in ("anterior", "posterior"):
        x = flat[f"S1 superior_endplate.{end}"]
        lift = {"anterior": 60.0, "posterior": 0.0}[end]
        flat[f"S1 superior_endplate.{end}"] = (x[0], x[1] + lift)
    low = {"S1 superior_endplate.anterior", "S1 superior_endplate.posterior"} | {
        n for n in flat if n.startswith(("L1", "L4")) and "superior" in n
    }
    found = measured({n: flat[n] for n in low})
    assert found["spine.lumbar_lordosis", "L1-S1", None].number < 0
    assert ("spine.lordosis_distribution_index", "L1-S1", None) not in found


@pytest.mark.parametrize(("lumbar", "computed"), [(0.5, False), (-0.5, False), (40.0, True)])
def test_a_lordosis_that_may_be_none_has_no_distribution_either(lumbar, computed):
    points = {n: HAND[n] for n in HAND if n.startswith("S1")}
    for level, lean, y in (("L1", SLOPE - lumbar, 180.0), ("L4", SLOPE - 20.0, 60.0)):
        ends = spines.endplate(np.array([0.0, y]), np.array(lean), np.array(35.0))
        for end, at in zip(("anterior", "posterior"), ends, strict=True):
            points[f"{level} superior_endplate.{end}"] = tuple(at)
    found = measured(points)
    assert found["spine.lumbar_lordosis", "L1-S1", None].number == pytest.approx(lumbar)
    assert (("spine.lordosis_distribution_index", "L1-S1", None) in found) == computed
    assert ("alignment.not_computable" in problems(points)) != computed


def test_one_head_on_a_frontal_view_is_no_matter_of_the_hip_axis():
    points = spines.one(spines.frontal(np.random.default_rng(6)))
    del points["right femoral_head.centre"]
    assert "alignment.one_femoral_head" not in problems(points, view="frontal")


def test_what_a_missing_point_would_give_is_said():
    without = {n: at for n, at in HAND.items() if not n.startswith("C7")}
    found = {p.says for p in measure(film(without), GROUNDS)[1]}
    assert any(s.startswith("Without C7 body") and "global tilt" in s for s in found)


def test_an_implausible_value_is_doubted():
    leaning = HAND | {"C7 vertebral_body.centre": (700.0, 480.0)}
    fact = measured(leaning)["spine.sagittal_vertical_axis", "C7-S1", None]
    assert fact.quality == "doubtful"


# -- the errors -------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [0.3, 1.0])
@pytest.mark.parametrize(
    ("view", "made"), [("lateral", spines.lateral), ("frontal", spines.frontal)]
)
def test_the_error_is_the_scatter_of_marking_again(view, made, error):
    rng = np.random.default_rng(5)
    points = spines.one(made(rng))
    count = 4000
    again = {n: np.array(at) + error * rng.standard_normal((count, 2)) for n, at in points.items()}
    scatter = {key: v.std() for key, v in values(again, view).items()}
    facts = measured(points, view=view, errors=dict.fromkeys(points, error))
    # Frontal curves are the largest of many: test_curves.py.
    assert {key for key in facts if "cobb" not in key[0]} == scatter.keys()
    for key, expected in scatter.items():
        fact = facts[key]
        stated = fact.details["standard_error"]
        # Four standard errors of a standard deviation from so many draws, and 2 % for the curve.
        assert expected == pytest.approx(stated, rel=4 / np.sqrt(2 * count) + 0.02), key
        assert fact.interval[1] - fact.interval[0] == pytest.approx(2 * 1.959964 * stated)


def test_the_usual_error_is_that_of_the_evidence_and_each_point_may_have_its_own():
    usual = GROUNDS.row("alignment.landmark_error").number
    plain = measured(HAND)
    same = measured(HAND, errors=dict.fromkeys(HAND, usual))
    assert {k: f.interval for k, f in plain.items()} == {k: f.interval for k, f in same.items()}
    key = ("spine.sagittal_vertical_axis", "C7-S1", None)
    assert plain[key].details["standard_error"] == pytest.approx(np.sqrt(2) * usual)
    worse = measured(HAND, errors={"C7 vertebral_body.centre": 3.0})
    assert worse[key].details["standard_error"] == pytest.approx(np.hypot(3.0, usual))


def test_the_method_is_named():
    assert {f.method for f in measured(HAND).values()} == {geometry.METHOD}
