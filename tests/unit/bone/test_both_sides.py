"""Both sides of the cut-offs that no single fact of a case table can be held against."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from endplate import evidence
from endplate.bone.bone_quality_score import vertebral_bone_quality
from endplate.bone.densitometry import spine_vertebrae
from endplate.bone.fracture_risk import fracture_index, ost, trabecular_bone_score
from endplate.bone.nutrients import vitamin_d
from endplate.bone.perioperative import time_before_surgery
from endplate.findings import Status

from patients import patient

SHIPPED = evidence.shipped()


@pytest.mark.parametrize("difference, left_out", [(0.9, "none"), (1.0, "none"), (1.1, "L2")])
def test_a_vertebra_above_its_neighbour(difference, left_out):
    scanned = patient().having("bone.t_score.vertebra", -1.0, level="L1")
    scanned.having("bone.t_score.vertebra", -1.0 + difference, level="L2")
    assert spine_vertebrae.one(scanned.known_on(), SHIPPED).parts["left_out"] == left_out


@pytest.mark.parametrize(
    "excluded, category",
    [
        ("L1", "re_analyse"),
        ("L1-L2", "re_analyse"),
        ("L1-L3", "not_usable"),
        ("L1-L4", "not_usable"),
    ],
)
def test_vertebrae_that_remain(excluded, category):
    known = patient().having("bone.vertebra_excluded", excluded).known_on()
    assert spine_vertebrae.one(known, SHIPPED).category == category


# (weight - 60) / 5 gives the score at 60 years; cut off towards zero.
@pytest.mark.parametrize(
    "sex, weight, category",
    [
        ("woman", 65, "increased_risk"),
        ("woman", 69.9, "increased_risk"),
        ("woman", 70, "not_increased"),
        ("woman", 75, "not_increased"),
        ("man", 75, "increased_risk"),
        ("man", 79.9, "increased_risk"),
        ("man", 80, "not_increased"),
        ("man", 85, "not_increased"),
    ],
)
def test_self_assessment_tool(sex, weight, category):
    known = getattr(patient(), sex)(60).having("person.weight", weight)
    known.having("person.postmenopausal", sex == "woman")
    assert ost.one(known.known_on(), SHIPPED).category == category


@pytest.mark.parametrize("weight, score", [(56, 0), (51, -1), (55.1, 0), (50.1, -1), (50, -2)])
def test_self_assessment_tool_cuts_off_towards_zero(weight, score):
    known = patient().woman(60).having("person.postmenopausal").having("person.weight", weight)
    assert ost.one(known.known_on(), SHIPPED).value == score


def _asked(age, hip=None, **yes):
    known = patient().woman(age).having("person.weight", 70)
    for item in ("fracture_after_50", "mother_hip_fracture_after_50", "smoker",
                 "needs_arms_to_rise"):  # fmt: skip
        known.having(f"person.{item}", yes.get(item, False))
    return (known.with_dxa(total_hip=hip) if hip is not None else known).known_on()


@pytest.mark.parametrize(
    "age, fracture, total, category",
    [(75, False, 3, "below"), (75, True, 4, "reached"), (80, True, 5, "reached")],
)
def test_fracture_index_without_density(age, fracture, total, category):
    found = fracture_index.one(_asked(age, fracture_after_50=fracture), SHIPPED)
    assert (found.value, found.category) == (total, category)
    assert "bone.t_score.total_hip" in found.missing


@pytest.mark.parametrize(
    "age, hip, total, category",
    [(70, -2.1, 5, "below"), (75, -2.1, 6, "reached"), (80, -2.1, 7, "reached")],
)
def test_fracture_index_with_density(age, hip, total, category):
    found = fracture_index.one(_asked(age, hip), SHIPPED)
    assert (found.value, found.category) == (total, category)


@pytest.mark.parametrize(
    "age, points",
    [(65, 1), (69, 1), (70, 2), (74, 2), (75, 3), (79, 3), (80, 4), (84, 4), (85, 5), (99, 5)],
)
def test_fracture_index_by_age(age, points):
    assert fracture_index.one(_asked(age), SHIPPED).parts["age"] == points


@pytest.mark.parametrize(
    "hip, points",
    [(-0.9, 0), (-1.0, 0), (-1.1, 2), (-2.0, 2), (-2.1, 3), (-2.5, 3), (-2.6, 4), (-4.0, 4)],
)
def test_fracture_index_by_density(hip, points):
    found = fracture_index.one(_asked(70, hip), SHIPPED)
    assert found.parts["total_hip_t_score"] == points


@pytest.mark.parametrize(
    "score, category",
    [
        (1.199, "degraded"),
        (1.200, "degraded"),
        (1.201, "partially_degraded"),
        (1.349, "partially_degraded"),
        (1.350, "normal"),
        (1.351, "normal"),
    ],
)
def test_original_scheme_by_a_clinics_choice(score, category, clinic):
    theirs = clinic(
        '[choice."bone.trabecular_bone_score_scheme"]\nuse = "original"\nreason = "our software"',
    )
    known = patient().having("bone.trabecular_bone_score", score).known_on()
    found = trabecular_bone_score.one(known, theirs)
    assert found.category == category
    default = [p.holder for p in found.positions if p.default]
    assert default in ([], ["original scheme"])


@pytest.mark.parametrize(
    "score, review",
    # Below 1.23 the chosen scheme and the review agree that it is degraded, but the original
    # scheme does not; above 1.23 all three agree that it is not.
    [(1.229, "degraded microarchitecture"), (1.230, "not degraded"), (1.231, None)],
)
def test_the_reviews_cut_off_is_shown_where_it_differs(score, review):
    known = patient().having("bone.trabecular_bone_score", score).known_on()
    positions = trabecular_bone_score.one(known, SHIPPED).positions
    assert {p.holder: p.says for p in positions}.get("Patel 2024") == review


def test_positions_are_not_shown_where_all_agree():
    known = patient().having("bone.trabecular_bone_score", 1.1).known_on()
    assert trabecular_bone_score.one(known, SHIPPED).positions == ()


@pytest.mark.parametrize(
    "level, category",
    [
        (34.9, "insufficient"),
        (35.0, "on_target"),
        (35.1, "on_target"),
        (59.9, "on_target"),
        (60.0, "on_target"),
        (60.1, "above_target"),
    ],
)
def test_the_reviews_vitamin_d_target_by_a_clinics_choice(level, category, clinic):
    theirs = clinic(
        '[choice."bone.vitamin_d_target"]\nuse = "bone.vitamin_d.target_to.review"\n'
        'reason = "the practice of our endocrinologists"',
    )
    known = patient().having("lab.vitamin_d", level).known_on()
    found = vitamin_d.one(known, theirs)
    assert found.category == category
    assert [p.holder for p in found.positions if p.default] == ["Patel 2024"]


# Two courses of teriparatide; the first ends so many days before the second begins.
@pytest.mark.parametrize("days, category", [(44, "under_way"), (45, "under_way"),
                                            (46, "under_way_too_short")])  # fmt: skip
def test_a_break_between_two_courses(days, category):
    begun = date(2026, 5, 20)
    known = patient().woman(70).having("condition.osteoporosis")
    known.wanting("fusion", "L4-S1", date(2026, 7, 1)).having("intent.elective")
    known.having("medicine.teriparatide", on=date(2025, 6, 1), until=begun - timedelta(days=days))
    known.having("medicine.teriparatide", on=begun)
    assert time_before_surgery.one(known.known_on(), SHIPPED).category == category


_NORMAL = {"repetition_time": 600.0, "echo_time": 12.0, "contrast": "no"}


@pytest.mark.parametrize(
    "name, value, classified",
    [
        ("repetition_time", 399.0, False),
        ("repetition_time", 400.0, True),
        ("repetition_time", 850.0, True),
        ("repetition_time", 851.0, False),
        ("echo_time", 7.9, False),
        ("echo_time", 8.0, True),
        ("echo_time", 20.0, True),
        ("echo_time", 20.1, False),
    ],
)
def test_the_sequence_of_the_norms(name, value, classified):
    scanned = patient().having("mr.vertebral_bone_quality", 3.2, details={**_NORMAL, name: value})
    found = vertebral_bone_quality.one(scanned.known_on(), SHIPPED)
    assert (found.status is not Status.NOT_APPLICABLE) == classified


@pytest.mark.parametrize(
    "score, met",
    [
        (2.17, []),
        (2.18, ["≥ 2.18"]),
        (2.95, ["≥ 2.18"]),
        (2.96, ["> 2.95", "≥ 2.18"]),
        (3.04, ["> 2.95", "≥ 2.18"]),
        (3.05, ["> 2.95", "≥ 2.18", "≥ 3.05"]),
        (3.06, ["> 2.95", "≥ 2.18", "≥ 3.05", "≥ 3.06"]),
    ],
)
def test_each_published_cut_off_of_the_vertebral_bone_quality_score(score, met):
    known = patient().having("mr.vertebral_bone_quality", score, details=_NORMAL).known_on()
    found = vertebral_bone_quality.one(known, SHIPPED)
    assert sorted(p.holder for p in found.positions if p.says.startswith("met")) == met
    assert [p.holder for p in found.positions if p.default] == ["≥ 3.05"]
