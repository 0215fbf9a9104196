"""Several films of one person: pairs in space, and the junction above a fusion before and after."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from endplate import evidence
from endplate.alignment.films import Operation, measure, operations_of
from endplate.alignment.geometry import NORMAL_95, rests_on
from endplate.alignment.junction import pjk
from endplate.alignment.landmarks import Radiograph
from endplate.alignment.standing import IN_SPACE
from endplate.facts import Fact, InputProblem
from endplate.levels import Level
from endplate.posture import Posture
from endplate.record import PatientRecord
from unit.alignment import pairs, spines

GROUNDS = evidence.shipped()
RNG = np.random.default_rng(29)
POINTS = spines.one(spines.lateral(RNG))
BEFORE, DAY, AFTER = date(2025, 3, 1), date(2025, 6, 1), date(2026, 1, 31)


def film(points=POINTS, name="lateral.json", **more):
    said = {"view": "lateral", "posture": Posture.STANDING, "calibrated": True, **more}
    return Radiograph(name=name, points=points, **said)


def bent(degrees, upper="T10", points=POINTS):
    """The spine with all that lies above a vertebra turned forwards about its lower endplate."""
    at = np.array(points[f"{upper} inferior_endplate.anterior"])
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turn = np.array([[c, s], [-s, c]])
    above = [v.value for v in Level if v < Level(upper)]
    return {
        n: tuple(map(float, turn @ (np.array(p) - at) + at)) if n.split()[0] in above else p
        for n, p in points.items()
    }


def facts(found):
    return {(f.what, f.level): f for f in found.facts}


def normal(points, plate):
    """An endplate's direction to the head, by its own corners."""
    front, back = (np.array(points[f"{plate}.{end}"]) for end in ("anterior", "posterior"))
    along = front - back
    return np.array([-along[1], along[0]]) / np.linalg.norm(along)


def angle(points, upper, above):
    """From the lower endplate of one vertebra to the upper one of another; bent forwards is +."""
    low = normal(points, f"{upper} inferior_endplate")
    high = normal(points, f"{above} superior_endplate")
    cross = low[0] * high[1] - low[1] * high[0]
    return -np.degrees(np.arctan2(cross, low @ high))


# -- the junction -----------------------------------------------------------------------------

SEEN = (Operation(upper=Level.T10, undated="after"),)


@pytest.mark.parametrize(
    ("upper", "levels"),
    [("T10", ("T9", "T8")), ("T1", ("C7", "C6")), ("L1", ("T12", "T11")), ("C4", ("C3", "C2"))],
)
@pytest.mark.parametrize("mirror", [1, -1])
def test_the_angle_is_that_between_the_endplates_whichever_way_the_person_faces(
    upper, levels, mirror
):
    points = {n: (mirror * x, y) for n, (x, y) in POINTS.items()}
    found = facts(
        measure([film(points)], GROUNDS, [Operation(upper=Level(upper), undated="after")])
    )
    for what, above in zip(("junction.pja_uiv1", "junction.pja"), levels, strict=True):
        fact = found[what, f"{above}-{upper}"]
        assert fact.number == pytest.approx(angle(POINTS, upper, above), abs=1e-9)
        assert fact.details["upper_instrumented"] == upper and fact.posture == Posture.STANDING


def test_bent_forwards_is_more_kyphosis_by_as_much():
    before, after = (
        facts(measure([film(p)], GROUNDS, SEEN))["junction.pja", "T8-T10"].number
        for p in (POINTS, bent(17))
    )
    assert after - before == pytest.approx(17, abs=1e-9)


def test_its_error_is_that_of_drawn_points():
    error = 1.5
    named = dict.fromkeys(POINTS, error)
    fact = facts(measure([film(errors=named)], GROUNDS, SEEN))["junction.pja", "T8-T10"]
    rng = np.random.default_rng(1)
    used = rests_on(fact, POINTS, "lateral")
    assert len(used) == 4
    drawn = []
    for _ in range(2000):
        moved = {n: np.array(POINTS[n]) + error * rng.standard_normal(2) for n in used}
        drawn.append(angle(moved, "T10", "T8"))
    assert fact.details["standard_error"] == pytest.approx(np.std(drawn), rel=0.1)
    low, high = fact.interval
    assert high - low == pytest.approx(2 * NORMAL_95 * fact.details["standard_error"])


def test_without_its_endplates_it_is_said():
    points = {n: p for n, p in POINTS.items() if not n.startswith("T8 superior")}
    found = measure([film(points)], GROUNDS, SEEN)
    assert ("junction.pja_uiv1", "T9-T10") in facts(found)
    assert ("junction.pja", "T8-T10") not in facts(found)
    assert any("Without T8 superior endplate" in p.says for p in found.problems)
    both = {n: p for n, p in points.items() if not n.startswith("T10 inferior")}
    says = [p.says for p in measure([film(both)], GROUNDS, SEEN).problems]
    assert any("T8 superior endplate and T10 inferior endplate" in s for s in says)


@pytest.mark.parametrize(("upper", "count"), [(Level.C2, 0), (Level.C3, 1), (Level.C4, 2)])
def test_at_the_top_of_the_spine_there_is_less_to_measure(upper, count):
    found = measure([film()], GROUNDS, [Operation(upper=upper, undated="after")])
    assert sum(f.what.startswith("junction.") for f in found.facts) == count
    assert "alignment.junction_undated" not in {p.problem for p in found.problems}


def test_a_thirteenth_rib_counts():
    points = {n.replace("T12 ", "T13 "): p for n, p in POINTS.items()}
    points |= {n.replace("T11 ", "T12 "): p for n, p in POINTS.items() if n.startswith("T11 ")}
    points = {n: p for n, p in points.items() if not n.startswith("T11 ")}
    found = facts(measure([film(points)], GROUNDS, [Operation(upper=Level.L1, undated="after")]))
    assert ("junction.pja", "T12-L1") in found and ("junction.pja_uiv1", "T13-L1") in found


def test_a_frontal_film_has_no_such_angle():
    points = spines.one(spines.frontal(RNG))
    found = measure([film(points, view="frontal")], GROUNDS, SEEN)
    assert not any(f.what.startswith("junction.") for f in found.facts)


# -- before and after -------------------------------------------------------------------------


def typed(what, value, **more):
    return Fact(what=what, value=value, source="case.toml", **more)


DONE = (typed("procedure.spinal_fusion", True, level="T10-S1", on=DAY),)
INTENDED = (
    typed("intent.procedure", "deformity_correction"), typed("intent.levels", "T10-S1"),
    typed("intent.date", DAY.isoformat()),
)  # fmt: skip


@pytest.mark.parametrize("known", [DONE, INTENDED])
@pytest.mark.parametrize(("degrees", "expected"), [(9.9, "no_pjk"), (10.1, "pjk")])
def test_films_of_both_days_give_the_change_that_the_definition_asks_for(known, degrees, expected):
    start = angle(POINTS, "T10", "T8")
    first = bent(12 - start)  # so that the angle after is always above the other limit
    films = [
        film(first, "before.json", on=BEFORE),
        film(bent(degrees, points=first), "after.json", on=AFTER),
    ]
    found = measure(films, GROUNDS, operations_of(known))
    sources = {f.what: f.source for f in found.facts if f.what.startswith("junction.")}
    assert sources == {
        "junction.pja": "after.json", "junction.pja_uiv1": "after.json",
        "junction.pja_before": "before.json", "junction.pja_uiv1_before": "before.json",
    }  # fmt: skip
    after = next(f for f in found.facts if f.what == "junction.pja")
    assert bool(after.doubts) == (known is INTENDED)
    (answer,) = pjk(PatientRecord.of([*found.facts, *known]).known_on(AFTER), GROUNDS)
    assert answer.category == expected
    assert answer.parts["change"] == pytest.approx(degrees, abs=1e-6)


def test_before_an_operation_without_a_day_nothing_is_asked_of_the_junction():
    found = measure([film(on=BEFORE)], GROUNDS, operations_of(INTENDED[:2]))
    assert {f.what for f in found.facts if f.what.startswith("junction.")} == {
        "junction.pja_before", "junction.pja_uiv1_before"
    }  # fmt: skip
    assert pjk(PatientRecord.of(found.facts).known_on(AFTER), GROUNDS) == ()


@pytest.mark.parametrize(
    ("on", "known"),
    [
        (DAY, DONE),
        (None, DONE),
        (AFTER, (typed("procedure.spinal_fusion", True, level="T10-S1"),)),
    ],
)
def test_where_the_days_do_not_tell_it_is_said(on, known):
    found = measure([film(on=on)], GROUNDS, operations_of(known))
    assert not any(f.what.startswith("junction.") for f in found.facts)
    assert [p.where for p in found.problems if p.problem == "alignment.junction_undated"] == [
        "lateral.json"
    ]


def test_between_two_operations_both_junctions_are_measured_and_not_compared():
    known = (
        *DONE, typed("intent.procedure", "fusion"), typed("intent.levels", "T4-S1"),
        typed("intent.date", "2026-03-01"),
    )  # fmt: skip
    found = measure([film(on=AFTER)], GROUNDS, operations_of(known))
    places = {f.what: f.level for f in found.facts if f.what.startswith("junction.pja")}
    assert places["junction.pja"] == "T8-T10" and places["junction.pja_before"] == "T2-T4"
    (answer,) = pjk(PatientRecord.of(found.facts).known_on(AFTER), GROUNDS)
    assert answer.parts["change"] is None


@pytest.mark.parametrize(
    "known",
    [
        (typed("intent.levels", "T10-S1"),),
        (typed("intent.procedure", "decompression"), typed("intent.levels", "L4-L5")),
        (typed("procedure.spinal_fusion", False, level="T10-S1", on=DAY),),
        (typed("procedure.spinal_fusion", True, on=DAY),),
        (typed("procedure.laminectomy", True, level="L4", on=DAY),),
    ],
)
def test_what_is_no_fusion_of_known_levels_asks_for_nothing(known):
    assert operations_of(known) == ()


# -- in space ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pair():
    return pairs.films(pairs.points(pairs.truth(np.random.default_rng(3))))


def in_space(found):
    return {f.on for f in found.facts if f.method == IN_SPACE}


def test_a_pair_is_known_by_its_day_among_others(pair):
    lateral, frontal = (replace(f, on=AFTER) for f in pair)
    older = replace(lateral, on=BEFORE, name="older.json")
    found = measure([older, frontal, lateral], GROUNDS)
    assert in_space(found) == {AFTER} and list(found.spaces) == ["lateral.json, frontal.json"]
    alone = measure([lateral], GROUNDS).of_film[0]
    assert found.of_film[2] == alone  # what one film gives alone stays as it is


def test_films_of_different_days_are_no_pair_and_of_two_it_is_said(pair):
    lateral, frontal = pair[0], replace(pair[1], on=BEFORE)
    apart = measure([replace(lateral, on=AFTER), frontal], GROUNDS)
    assert not in_space(apart)
    assert "alignment.no_pair" in {p.problem for p in apart.problems}
    plain = [replace(f, fan=None) for f in pair]
    assert "alignment.no_pair" not in {p.problem for p in measure(plain, GROUNDS).problems}


def test_a_film_that_is_refused_leaves_the_others(pair):
    lateral, frontal = pair
    ends = [f"L3 superior_endplate.{end}" for end in ("anterior", "posterior")]
    points = {**lateral.points, ends[0]: lateral.points[ends[1]], ends[1]: lateral.points[ends[0]]}
    found = measure([replace(lateral, points=points), frontal], GROUNDS)
    assert isinstance(found.of_film[0], InputProblem)
    assert found.of_film[1] and {f.source for f in found.facts} == {frontal.name}
