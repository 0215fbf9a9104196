"""Landmarks that contradict one another, and which way a person faces."""

from __future__ import annotations

import numpy as np
import pytest

from endplate import evidence
from endplate.alignment.geometry import measure
from endplate.alignment.landmarks import Radiograph, canonical, names
from endplate.facts import InputProblem
from endplate.posture import Posture
from unit.alignment import spines

GROUNDS = evidence.shipped()
LATERAL = spines.one(spines.lateral(np.random.default_rng(7)))
FRONTAL = spines.one(spines.frontal(np.random.default_rng(7)))


def told(points, view="lateral", **more):
    """What the user is told; empty where there is nothing to tell."""
    film = Radiograph(name="a.json", view=view, points=points, posture=Posture.STANDING, **more)
    try:
        measure(film, GROUNDS)
    except InputProblem as problem:
        return str(problem)
    return ""


def exchanged(points, *pairs):
    found = dict(points)
    for a, b in pairs:
        found[a], found[b] = points[b], points[a]
    return found


def corners(level, which="superior", ends=("anterior", "posterior")):
    return tuple(f"{level} {which}_endplate.{end}" for end in ends)


def test_sound_landmarks_are_not_refused():
    many = spines.lateral(np.random.default_rng(8), 100)
    assert {told(spines.one(many, n)) for n in range(100)} == {""}
    assert told(FRONTAL, "frontal") == ""


@pytest.mark.parametrize(
    ("level", "which"), [("S1", "superior"), ("L3", "inferior"), ("T4", "superior"),
                         ("C2", "superior"), ("C7", "inferior")],
)  # fmt: skip
def test_one_endplate_with_its_ends_exchanged_is_named(level, which):
    says = told(exchanged(LATERAL, corners(level, which)))
    assert (
        f"the anterior and posterior points of {level} {which}_endplate lie the other way" in says
    )
    assert says.startswith("a.json: cannot be measured.")


def test_all_ends_exchanged_is_a_pelvis_that_nobody_has():
    every = [corners(v, w) for v in (*spines.LEVELS, "S1") for w in ("superior", "inferior")]
    says = told(exchanged(LATERAL, *(p for p in every if p[0] in LATERAL)))
    assert "does not lie above" in says or "pelvic incidence" in says
    few = {n: LATERAL[n] for n in LATERAL if n.startswith("S1") or "femoral" in n}
    assert "pelvic incidence" in told(exchanged(few, corners("S1")))
    assert told(few) == ""


def test_upper_and_lower_ends_exchanged_are_named():
    front = ("L2 superior_endplate.anterior", "L2 inferior_endplate.anterior")
    assert "of L2 the anterior point" in told(exchanged(LATERAL, front))
    whole = zip(corners("L2", "superior"), corners("L2", "inferior"), strict=True)
    assert "of L2 the" in told(exchanged(LATERAL, *whole))


@pytest.mark.parametrize("view", ["lateral", "frontal"])
def test_levels_out_of_order_are_named(view):
    points, ends = (LATERAL, ("anterior", "posterior")), (FRONTAL, ("left", "right"))
    points, ends = points if view == "lateral" else ends
    pairs = [
        (f"L1 {w}_endplate.{e}", f"L3 {w}_endplate.{e}")
        for w in ("superior", "inferior")
        for e in ends
    ]
    assert "does not lie above" in told(exchanged(points, *pairs), view)


def test_bodies_known_by_their_middles_alone_are_kept_in_order_too():
    few = {n: at for n, at in LATERAL.items() if n.startswith("S1") or "femoral" in n}
    middles = {"T1 vertebral_body.centre": (0.0, 900.0), "T9 vertebral_body.centre": (0.0, 700.0)}
    assert told(few | middles) == ""
    says = told(few | exchanged(middles, tuple(middles)))
    assert "T1 does not lie above T9." in says


def test_frontal_sides_exchanged_at_the_hips_are_named():
    heads = ("left femoral_head.centre", "right femoral_head.centre")
    assert "left and right points of the femoral heads" in told(
        exchanged(FRONTAL, heads), "frontal"
    )


def test_two_landmarks_at_one_place_are_refused_and_two_sides_are_not():
    a, b = corners("L1")
    assert f"{a} and {b} lie at the same place" in told(LATERAL | {b: LATERAL[a]})
    hips = {"hip_axis.centre": LATERAL["S1 superior_endplate.anterior"]}
    assert "hip_axis.centre lie at the same place" in told(LATERAL | hips)
    both = {"right femoral_head.centre": LATERAL["left femoral_head.centre"]}
    assert told(LATERAL | both) == ""
    assert told(LATERAL | {"left knee": (0.0, -9.0), "right knee": (0.0, -9.0)}) == ""


@pytest.mark.parametrize("view", ["lateral", "frontal"])
def test_a_scale_by_which_bones_are_none_is_refused(view):
    points = LATERAL if view == "lateral" else FRONTAL
    for factor in (0.1, 10.0):
        other = {n: (factor * x, factor * y) for n, (x, y) in points.items()}
        assert "pixel spacing and magnification are not those" in told(other, view, calibrated=True)
        assert told(other, view) == ""
    assert told(points, view, calibrated=True) == ""


# -- facing -----------------------------------------------------------------------------------

STEEP = {
    "S1 superior_endplate.anterior": (2.0, -20.0),
    "S1 superior_endplate.posterior": (-2.0, 20.0),
    "hip_axis.centre": (30.0, -100.0),
}


def test_a_side_that_the_endplates_do_not_tell_is_asked_for():
    says = told(STEEP)
    assert "--anterior left or right" in says and "anterior in the file" in says
    assert told(STEEP, towards="right") == ""
    centres = {"hip_axis.centre": (0.0, 0.0), "T1 vertebral_body.centre": (10.0, 500.0)}
    assert "--anterior" in told(centres)
    assert "--patient-left" in told({"C7 vertebral_body.centre": (0.0, 0.0)}, "frontal")


def test_what_was_said_and_what_is_seen_may_not_differ():
    assert told(LATERAL, towards="right") == ""
    says = told(LATERAL, towards="left")
    assert "said to be on the left of the picture" in says and "lie on the right" in says


# -- names ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("l1 Superior_Endplate.Anterior", "L1 superior_endplate.anterior"),
        ("  Left   femoral_head.centre ", "left femoral_head.centre"),
        ("Dens.tip", "dens.tip"),
        ("T5", "t5"),
    ],
)
def test_a_name_has_one_written_form(written, name):
    assert canonical(written) == name


def test_each_view_has_its_own_points():
    assert set(LATERAL) <= names("lateral") and set(FRONTAL) <= names("frontal")
    assert "S1 inferior_endplate.anterior" not in names("lateral")
    assert "L1 superior_endplate.left" not in names("lateral")
    assert "chin" not in names("frontal")
    with pytest.raises(ValueError, match="is no landmark"):
        Radiograph(name="a", view="frontal", points={"chin": (0.0, 0.0)})
