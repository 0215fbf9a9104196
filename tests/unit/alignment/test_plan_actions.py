"""What an action does to a spine: by identities, and by turning points with complex numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from endplate import evidence
from endplate.alignment import actions, geometry, osteotomy_angle
from endplate.alignment.geometry import measure
from endplate.alignment.landmarks import BODY, Radiograph
from endplate.alignment.model import LOWER, UPPER, Spine
from endplate.facts import InputProblem
from endplate.levels import Level
from endplate.posture import Posture
from unit.alignment import spines

GROUNDS = evidence.shipped()
DISCS = ("L5-S1", "L4-L5", "L3-L4", "L2-L3", "L1-L2", "T12-L1", "T8-T9")


def film(points, view="lateral", **said):
    said = {"calibrated": True, "posture": Posture.STANDING, **said}
    return Radiograph(name="x.json", view=view, points=points, **said)


def spine(seed=0, without=(), **said):
    points = spines.one(spines.lateral(np.random.default_rng(seed)))
    kept = {n: at for n, at in points.items() if not n.startswith(tuple(without) or "-")}
    return Spine.of(film(kept, **said))


def done(before, *texts):
    return actions.applied([actions.read(t) for t in texts], before, GROUNDS)


def parameters(one):
    facts, _ = measure(one.radiograph("y.json"), GROUNDS)
    return {(f.what, f.level, f.side): f.number for f in facts}


LORDOSIS = ("spine.lumbar_lordosis", "L1-S1", None)
LOWER_LORDOSIS = ("spine.lower_lumbar_lordosis", "L4-S1", None)
KYPHOSIS = ("spine.thoracic_kyphosis", "T4-T12", None)
OF_THE_PELVIS = ("pelvis.pelvic_incidence", "pelvis.pelvic_tilt", "pelvis.sacral_slope")


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    ("text", "lumbar", "lower"),
    [
        ("osteotomy L3 grade=3 angle=31", 31, 0),
        ("osteotomy L3 grade=4 angle=25", 25, 0),
        ("osteotomy L5 grade=3 angle=12.5", 12.5, 12.5),
        ("osteotomy L2-L3 grade=1 angle=7", 7, 0),
        ("osteotomy L4-L5 grade=2 angle=10", 10, 10),
        ("osteotomy L3 grade=5 angle=40", 40, 0),
        ("osteotomy L2-L3 grade=6 angle=40 shortening=20", 40, 0),
        ("osteotomy T10-T11 grade=2 angle=9", 0, 0),
        ("osteotomy L3 grade=3 angle=20 hinge=middle", 20, 0),
    ],
)
def test_an_osteotomy_changes_the_lordosis_it_lies_in_by_its_angle(seed, text, lumbar, lower):
    before = spine(seed)
    was, now = parameters(before), parameters(done(before, text))
    assert now[LORDOSIS] - was[LORDOSIS] == pytest.approx(lumbar, abs=1e-9)
    assert now[LOWER_LORDOSIS] - was[LOWER_LORDOSIS] == pytest.approx(lower, abs=1e-9)
    for what in OF_THE_PELVIS:
        assert now[what, None, None] == was[what, None, None]
    if not text.startswith("osteotomy T"):
        assert now[KYPHOSIS] == pytest.approx(was[KYPHOSIS], abs=1e-9)
    else:
        assert now[KYPHOSIS] == pytest.approx(was[KYPHOSIS] - 9, abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("hinge", actions.HINGES)
def test_what_lies_above_turns_about_the_hinge_and_what_lies_below_stands(seed, hinge):
    before = spine(seed)
    p = {n: complex(*at[0]) for n, at in before.points.items()}
    end = {
        "anterior": ["anterior"], "posterior": ["posterior"], "middle": ["anterior", "posterior"]
    }[hinge]  # fmt: skip
    corners = [p[f"L3 {plate}.{e}"] for plate in (UPPER, LOWER) for e in end]
    about = sum(corners) / len(corners)
    turn = complex(math.cos(math.radians(22)), math.sin(math.radians(22)))
    after = {n: complex(*at[0]) for n, at in done(
        before, f"osteotomy L3 grade=3 angle=22 hinge={hinge}"
    ).points.items()}  # fmt: skip
    moves = lambda n: n.startswith(  # noqa: E731
        ("L1 ", "L2 ", "T", "C", "dens", "chin", "brow", "external", "L3 sup")
    )
    assert len({moves(n) for n in p}) == 2
    for name, at in p.items():
        expected = about + (at - about) * turn if moves(name) else at
        assert after[name] == pytest.approx(expected, abs=1e-9), name


def test_the_identity_of_a_pelvic_angle_holds_after_any_actions():
    for seed in range(5):
        after = parameters(done(
            spine(seed).tilted(7), "osteotomy L4 grade=3 angle=20",
            "cage L2-L3 lordosis=14 height=9", "reduce L5-S1 mm=3",
            "osteotomy T12-L1 grade=2 angle=8",
        ))  # fmt: skip
        tilt = after["pelvis.pelvic_tilt", None, None]
        assert after["pelvis.pelvic_incidence", None, None] == pytest.approx(
            tilt + after["pelvis.sacral_slope", None, None], abs=1e-9
        )
        for level in ("T2", "T8", "L3", "C7"):
            assert after["spine.vertebral_pelvic_angle", level, None] == pytest.approx(
                after["spine.vertebral_tilt", level, None] + tilt, abs=1e-9
            )


@pytest.mark.parametrize("disc", DISCS)
@pytest.mark.parametrize("hinge", ["", " hinge=middle", " hinge=anterior"])
def test_a_cage_gives_the_disc_its_angle_and_its_height(disc, hinge):
    after = done(spine(4), f"cage {disc} lordosis=12 height=10{hinge}")
    upper, lower = actions.facing(after, actions.read(f"cage {disc} lordosis=12"))
    assert geometry.lordosis(upper, lower)[0] == pytest.approx(12, abs=1e-9)
    away = (upper - lower).mean(axis=1)[0]
    half = (upper[0] + lower[0]) / 2
    along = (half[0] - half[1]) / np.linalg.norm(half[0] - half[1])
    assert abs(along[0] * away[1] - along[1] * away[0]) == pytest.approx(10, abs=1e-9)


def test_the_hinge_of_a_cage_stays_where_it_is():
    before = spine(4)
    after = done(before, "cage L3-L4 lordosis=15")
    edge = [
        np.mean([s.points[f"L3 {LOWER}.posterior"], s.points[f"L4 {UPPER}.posterior"]], axis=0)
        for s in (before, after)
    ]
    # Half of it stands and half of it turns about the middle between the two back edges.
    assert np.linalg.norm(edge[0] - edge[1]) < 1
    upper, lower = actions.facing(before, actions.read("cage L3-L4 lordosis=15"))
    hinge = (upper[:, 1] + lower[:, 1])[0] / 2
    away = [np.linalg.norm(s.points[f"T4 {UPPER}.anterior"][0] - hinge) for s in (before, after)]
    assert away[0] == pytest.approx(away[1], abs=1e-9)


def test_a_rod_gives_the_span_its_lordosis_and_leaves_discs_that_others_take():
    before = spine(2)
    texts = ("cage L4-L5 lordosis=18", "fuse L1-S1 lordosis=55")
    after = done(before, *texts)
    assert parameters(after)[LORDOSIS] == pytest.approx(55, abs=1e-9)
    disc = actions.read("cage L4-L5 lordosis=0")
    assert actions.disc_angle(after, disc)[0] == pytest.approx(18, abs=1e-9)
    each = [
        float((actions.disc_angle(s, actions.read(f"cage {d} lordosis=0")))[0])
        for d in ("L1-L2", "L2-L3")
        for s in (before, after)
    ]
    assert each[1] - each[0] == pytest.approx(each[3] - each[2], abs=1e-9)
    kyphotic = done(before, "fuse T4-T12 lordosis=-25")
    assert parameters(kyphotic)[KYPHOSIS] == pytest.approx(25, abs=1e-9)
    by_disc = done(before, "fuse L2-S1 discs=4/6/8/12")
    angles = [
        float(actions.disc_angle(by_disc, actions.read(f"cage {d} lordosis=0"))[0])
        for d in ("L2-L3", "L3-L4", "L4-L5", "L5-S1")
    ]
    assert angles == pytest.approx([4, 6, 8, 12], abs=1e-9)
    same = done(before, "fuse T10-S1")
    assert np.array_equal(same.at, before.at)


@pytest.mark.parametrize("text", ["reduce L4-L5 percent=15", "reduce L4-L5 mm=5"])
def test_a_reduction_takes_back_just_that_much(text):
    before = spine(3)
    action = actions.read(text)
    after = done(before, text)
    _, lower = actions.facing(before, action)
    length = float(np.linalg.norm(lower[0, 0] - lower[0, 1]))
    by = 15 if "percent" in text else 500 / length
    away = float(actions.slip(before, action)[0] - actions.slip(after, action)[0])
    assert away == pytest.approx(by, abs=1e-9)
    was, now = parameters(before), parameters(after)
    assert now[LORDOSIS] == pytest.approx(was[LORDOSIS], abs=1e-9)


def test_the_order_in_which_actions_are_named_does_not_matter():
    texts = ["osteotomy L3 grade=3 angle=20", "cage L4-L5 lordosis=12 height=11",
             "reduce L4-L5 mm=2", "osteotomy T12-L1 grade=2 angle=8",
             "fuse T10-S1 lordosis=40"]  # fmt: skip
    one, other = (done(spine(1), *order).at for order in (texts, texts[::-1]))
    assert np.allclose(one, other, atol=1e-9)


def test_facing_left_or_right_is_the_same_plan():
    points = spines.one(spines.lateral(np.random.default_rng(9)))
    mirrored = {n: (-x, y) for n, (x, y) in points.items()}
    texts = ("osteotomy L3 grade=3 angle=20", "cage L4-L5 lordosis=12 height=11")
    right, left = (done(Spine.of(film(p)), *texts) for p in (points, mirrored))
    assert parameters(right) == pytest.approx(parameters(left), abs=1e-9)
    a, b = right.radiograph("a").points, left.radiograph("b").points
    for name, (x, y) in a.items():
        assert b[name] == pytest.approx((-x, y), abs=1e-9)


def test_a_marked_middle_of_a_body_goes_with_the_middle_of_its_corners():
    points = spines.one(spines.lateral(np.random.default_rng(5)))
    corners = [
        points[f"L3 {plate}.{e}"] for plate in (UPPER, LOWER) for e in ("anterior", "posterior")
    ]
    marked = points | {f"L3 {BODY}": tuple(np.mean(corners, axis=0))}
    text = "osteotomy L3 grade=3 angle=24"
    with_mark, without = (parameters(done(Spine.of(film(p)), text)) for p in (marked, points))
    assert with_mark == pytest.approx(without, abs=1e-9)
    alone = {n: at for n, at in marked.items() if not n.startswith("L2 ")}
    alone |= {f"L2 {BODY}": points["L2 superior_endplate.anterior"]}
    moved = done(Spine.of(film(alone)), text).points[f"L2 {BODY}"][0]
    assert np.linalg.norm(moved - alone[f"L2 {BODY}"]) > 1


def test_a_large_wedge_needs_more_than_the_back_wall():
    with pytest.raises(InputProblem, match="back wall"):
        done(spine(0), "osteotomy L3 grade=3 angle=60")
    after = done(spine(0), "osteotomy L3 grade=4 angle=60")
    assert after.plate(Level.L3, UPPER) is None and after.plate(Level.L3, LOWER) is not None
    was, now = parameters(spine(0)), parameters(after)
    assert now[LORDOSIS] - was[LORDOSIS] == pytest.approx(60, abs=1e-9)


def test_a_resection_takes_its_vertebra_out_and_closes_the_gap():
    before = spine(6)
    after = done(before, "osteotomy L2 grade=5 angle=0 shortening=20")
    assert not any(name.startswith("L2 ") for name in after.names)
    moved = (
        after.points["T4 superior_endplate.anterior"]
        - before.points["T4 superior_endplate.anterior"]
    )
    assert np.linalg.norm(moved) == pytest.approx(20, abs=1e-9)
    with pytest.raises(InputProblem, match="another action"):
        done(before, "osteotomy L2 grade=5 angle=30", "cage L1-L2 lordosis=4")


# -- the frontal view -------------------------------------------------------------------------


def test_a_wedge_to_the_left_tilts_all_above_to_the_right_and_the_lateral_view_not_at_all():
    points = spines.one(spines.frontal(np.random.default_rng(2)))
    before = Spine.of(film(points, "frontal"))
    text = "cage L3-L4 lordosis=8 height=10 coronal=6"
    after = done(before, text)
    for level, by in (("T5", 6), ("L3", 6), ("L4", 0), ("L5", 0)):
        was, now = (
            float(geometry.inclination(s.plate(Level(level), UPPER))[0]) for s in (before, after)
        )
        # The left end is the lower one where the inclination is positive.
        assert was - now == pytest.approx(by, abs=1e-9)
    lateral = spine(2)
    plain = done(lateral, "cage L3-L4 lordosis=8 height=10")
    assert np.array_equal(done(lateral, text).at, plain.at)
    assert np.array_equal(done(before, "cage L3-L4 lordosis=8").at, before.at)


# -- as text ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "cage L4-L5 lordosis=12 height=10 approach=lateral hinge=middle coronal=-3",
        "cage L5-S1 lordosis=-2.5",
        "osteotomy L3 grade=3 angle=25",
        "osteotomy T11-L1 grade=6 angle=45 shortening=12",
        "fuse T10-S1",
        "fuse L2-S1 discs=4/6/8.5/12",
        "reduce L5-S1 percent=20",
    ],
)
def test_what_was_written_is_read_again(text):
    action = actions.read(text)
    assert actions.read(actions.written(action)) == action
    assert actions.written(action).split()[:2] == text.split()[:2]


@pytest.mark.parametrize(
    "text",
    [
        "", "cage", "graft L4-L5 lordosis=3", "cage L4-L5", "cage L4 lordosis=12",
        "cage L3-L5 lordosis=12", "cage L4-L5 lordosis=x", "cage L4-L5 lordosis=nan",
        "cage L4-L5 lordosis=12 height=0", "cage L4-L5 lordosis=12 lordosis=13",
        "cage L4-L5 lordosis=12 hinge=back", "cage L4-L5 lordosis=12 approach=top",
        "cage L4-L5 lordosis=12 width=9", "cage X4-L5 lordosis=12", "osteotomy L3 angle=20",
        "osteotomy L3 grade=7 angle=20", "osteotomy L3 grade=2 angle=10",
        "osteotomy L3-L4 grade=3 angle=20", "osteotomy S1 grade=3 angle=20",
        "osteotomy L2-L3 grade=5 angle=20", "osteotomy L3 grade=6 angle=20",
        "osteotomy L3 grade=3 angle=20 shortening=5", "osteotomy L3 grade=5 angle=9 shortening=-1",
        "osteotomy L3 grade=3 angle=-5", "osteotomy L3 grade=3 angle=0",
        "osteotomy L3 grade=4 angle=91", "osteotomy L3 grade=3 angle=20 coronal=91",
        "cage L4-L5 lordosis=-91", "cage L4-L5 lordosis=9 height=51", "fuse L2-S1 discs=4/6/8/91",
        "osteotomy L3 grade=5 angle=20 shortening=51", "fuse L2-S1 lordosis=181",
        "reduce L5-S1 mm=51", "reduce L5-S1 percent=101",
        "fuse L4 lordosis=12", "fuse L2-S1 discs=4/6", "fuse L2-S1 lordosis=5 discs=4/6/8/9",
        "reduce L5-S1", "reduce L5-S1 mm=4 percent=9", "reduce L5-S1 mm=0", "reduce L5 mm=4",
    ],
)  # fmt: skip
def test_what_is_not_understood_is_refused_with_what_is_needed(text):
    with pytest.raises(InputProblem, match="It needs"):
        actions.read(text)


def test_two_actions_at_one_place_a_vertebra_that_is_not_marked_and_a_missing_scale():
    with pytest.raises(InputProblem, match="another action"):
        done(spine(0), "cage L4-L5 lordosis=9", "osteotomy L4-L5 grade=2 angle=8")
    with pytest.raises(InputProblem, match="another action"):
        done(spine(0), "cage L4-L5 lordosis=9", "fuse L4-S1 discs=4/6")
    gap = spine(0, without=["L3 "])
    for text in (
        "osteotomy L3 grade=3 angle=20",
        "cage L3-L4 lordosis=9",
        "fuse L2-S1 lordosis=30",
    ):
        with pytest.raises(InputProblem, match="not marked"):
            done(gap, text)
    # Elsewhere it is planned all the same, and the vertebra that is not marked is not made up.
    after = done(gap, "osteotomy L4 grade=3 angle=20")
    assert parameters(after)[LORDOSIS] == pytest.approx(parameters(gap)[LORDOSIS] + 20, abs=1e-9)
    assert not any(name.startswith("L3 ") for name in after.names)
    loose = spine(0, calibrated=False)
    for text in ("cage L4-L5 lordosis=9 height=10", "reduce L4-L5 mm=3",
                 "osteotomy L2 grade=5 angle=9 shortening=4"):  # fmt: skip
        with pytest.raises(InputProblem, match="calibrated"):
            done(loose, text)
    done(loose, "cage L4-L5 lordosis=9", "reduce L4-L5 percent=10")


def test_neighbours_are_those_of_this_person():
    points = spines.one(spines.lateral(np.random.default_rng(0)))
    low = {n: (x, y - 45) for n, (x, y) in points.items() if n.startswith(("S1", "left", "right"))}
    sixth = {
        n.replace("L5", "L6"): (x, y - 40) for n, (x, y) in points.items() if n.startswith("L5")
    }
    six = Spine.of(film(points | low | sixth))
    with pytest.raises(InputProblem, match="neighbours"):
        done(six, "cage L5-S1 lordosis=9")
    done(six, "cage L6-S1 lordosis=9")
    with pytest.raises(InputProblem, match="neighbours"):
        done(spine(0), "cage L6-S1 lordosis=9")


# -- the angle of an osteotomy ----------------------------------------------------------------


def test_the_exact_angle_of_the_checked_example():
    assert osteotomy_angle.exact(np.array([35, 60]), np.array([150, 420]), 0) == pytest.approx(
        23.0, abs=0.05
    )
    assert osteotomy_angle.exact(np.array([0, 0]), np.array([1, 1]), 9) is None


@pytest.mark.parametrize("seed", range(6))
def test_an_osteotomy_of_the_exact_angle_brings_c7_over_the_sacrum(seed):
    before = spine(seed)
    for level in (Level.L2, Level.L3, Level.L4):
        found = osteotomy_angle.at(level, before, GROUNDS)
        after = done(before, f"osteotomy {level} grade=4 angle={found.exact!r}")
        offset = after.values("spine.sagittal_vertical_axis", "C7-S1")
        assert offset[0] == pytest.approx(0, abs=1e-6)
        # The other method is another one: it moves C7 straight back, not on a circle.
        assert found.c7_translation != pytest.approx(found.exact, abs=1e-3)
        assert found.full_balance == pytest.approx(
            found.c7_translation + found.femoral_obliquity + found.pelvic_tilt
        )


def test_full_balance_is_not_known_without_the_knee_and_says_so():
    found = osteotomy_angle.at(Level.L4, spine(1, without=["knee"]), GROUNDS)
    assert found.full_balance is None and found.missing == ("knee",)
    assert found.exact is not None and "not known" in found.says
    assert osteotomy_angle.at(Level.L4, spine(1, without=["L4 "]), GROUNDS) is None


@pytest.mark.parametrize(("tilt", "adds"), [(14.9, 0), (15.0, 5), (25.0, 5), (25.1, 10)])
def test_the_term_of_full_balance_for_tilt_on_both_sides_of_its_bounds(tilt, adds):
    before = spine(1)
    now = before.values("pelvis.pelvic_tilt", None)
    stands = before.tilted(tilt - now)
    assert osteotomy_angle.at(Level.L4, stands, GROUNDS).pelvic_tilt == adds
