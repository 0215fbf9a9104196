"""Frontal curves: side, ends, apex, further curves, and how honest their error is."""

from __future__ import annotations

import numpy as np
import pytest

from endplate import evidence
from endplate.alignment.geometry import measure
from endplate.alignment.landmarks import Radiograph
from endplate.posture import Posture
from unit.alignment import spines

GROUNDS = evidence.shipped()
LEAST = GROUNDS.row("measurement.curve.least").number


def bent(*leans):
    """Points of a spine, T5 to L4, of which each body leans so far to the left, from T5 down."""
    levels = [v for v in spines.LEVELS if "T5" <= v <= "T9" or v in ("T10", "T11", "T12", "L1")]
    found, at = {}, np.zeros(2)
    levels = levels[: len(leans)]
    for level, lean in reversed(list(zip(levels, leans, strict=True))):
        for which in ("inferior", "superior"):
            left, right = spines.endplate(at, np.array(float(lean)), np.array(35.0))
            found[f"{level} {which}_endplate.left"] = tuple(left)
            found[f"{level} {which}_endplate.right"] = tuple(right)
            at = at + spines.direction(lean) * (20 if which == "inferior" else 5)
    return found


def cobb(points, error=0.05, **more):
    film = Radiograph(
        name="a", view="frontal", points=points, posture=Posture.STANDING, calibrated=True,
        errors=dict.fromkeys(points, error), **more,
    )  # fmt: skip
    facts, _ = measure(film, GROUNDS)
    return [f for f in facts if f.what == "spine.coronal_cobb_angle"]


def test_one_curve_by_hand():
    """Leaning left below and right above, the spine bulges to the left, farthest in the middle."""
    points = bent(-20, -13, -6, 0, 6, 13, 20)
    (curve,) = cobb(points)
    assert curve.number == pytest.approx(40.0)
    assert (curve.level, curve.side, curve.details["apex"]) == ("T5-T11", "left", "T8")
    mirrored = {
        n.replace(".left", ".r").replace(".right", ".left").replace(".r", ".right"): (-x, y)
        for n, (x, y) in points.items()
    }
    (other,) = cobb(mirrored)
    assert other.number == pytest.approx(40.0) and other.side == "right"


def test_a_curve_above_and_one_below_bend_the_other_way():
    found = cobb(bent(10, 0, -10, -15, 0, 15, 25, 5, -5))
    assert [(c.level, c.side) for c in found] == [
        ("T5-T8", "right"), ("T8-T11", "left"), ("T11-L1", "right")
    ]  # fmt: skip
    assert [c.number for c in found] == pytest.approx([25, 40, 30])
    assert [c.details["largest"] for c in found] == ["no", "yes", "no"]


@pytest.mark.parametrize(("off", "count"), [(-0.1, 1), (0.1, 2)])
def test_a_further_curve_smaller_than_the_least_is_none(off, count):
    top = -20 + LEAST + off
    assert len(cobb(bent(top, top, -20, 0, 20, 20))) == count


def test_a_side_that_is_not_certain_is_none():
    points = bent(-3, -2, -1, 0, 1, 2, 3)
    assert cobb(points, 0.05)[0].side == "left"
    assert cobb(points, 1.0)[0].side is None


def test_without_an_error_there_is_an_angle_without_interval_and_side():
    points = bent(-20, -13, -6, 0, 6, 13, 20)
    film = Radiograph(name="a", view="frontal", points=points, posture=Posture.STANDING)
    (curve,) = [f for f in measure(film, GROUNDS)[0] if "cobb" in f.what]
    assert curve.interval is None and curve.side is None
    assert curve.number == pytest.approx(40.0)


def test_too_few_levels_have_no_curve():
    assert cobb(bent(-10, 10)) == []


def test_nine_of_ten_intervals_and_more_hold_what_the_pair_really_is():
    """The angle between the endplates that were picked, as they are and as they were marked."""
    rng = np.random.default_rng(3)
    error, held = 0.6, []
    for _ in range(150):
        points = spines.one(spines.frontal(rng))
        shaken = {
            n: tuple(np.array(at) + error * rng.standard_normal(2)) for n, at in points.items()
        }
        for curve in cobb(shaken, error):
            first, last = curve.level.split("-")
            true = abs(lean(points, first, "superior") - lean(points, last, "inferior"))
            held.append(curve.interval[0] <= true <= curve.interval[1])
    assert len(held) > 150 and 0.9 <= np.mean(held) <= 1.0


def lean(points, level, which):
    which = "superior" if level == "S1" else which
    left, right = (np.array(points[f"{level} {which}_endplate.{s}"]) for s in ("left", "right"))
    run = left - right
    return np.degrees(np.arctan2(-run[1], run[0]))
