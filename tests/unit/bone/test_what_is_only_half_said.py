"""Results of which only a bound is known, diagnoses not confirmed, dates without their day."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from endplate import evidence, rules
from endplate.facts import Bounded
from endplate.findings import Status

from patients import patient

SHIPPED = evidence.shipped()
RULES = {r.id: r for r in rules.find()}


def bounded(what, value, sign, **more):
    """A person with one result that is reported as beyond a value."""
    known = patient().woman(70).having("condition.osteoporosis")
    known.having("condition.hypocalcaemia", False)
    return known.having(what, value, details={"comparator": sign}, quality="doubtful",
                        doubts=("reported as a bound",), **more).known_on()  # fmt: skip


def said(rule, known, about=""):
    return next(f for f in RULES[rule](known, SHIPPED) if f.about == about)


@given(
    st.sampled_from(("<", "<=", ">", ">=")),
    st.sampled_from(("below", "at_most", "above", "at_least")),
    st.sampled_from((19.0, 20.0, 21.0)),
)
def test_a_bound_compares_as_a_number_just_beyond_it(sign, compare, cut):
    value = 20.0
    beyond = {"<": value - 1e-9, ">": value + 1e-9}.get(sign, value)
    wanted = {"below": beyond < cut, "at_most": beyond <= cut,
              "above": beyond > cut, "at_least": beyond >= cut}[compare]  # fmt: skip
    assert Bounded(value, sign).compared(compare, cut) is wanted


def test_below_a_cut_off_is_below_it_and_prints_so():
    found = said("bone.vitamin_d", bounded("lab.vitamin_d", 20, "<"))
    assert found.category == "low" and "<20.0 ng/mL" in found.says


@pytest.mark.parametrize(
    "sign, value, category",
    [("<", 35, "contraindicated"), ("<", 36, None), (">", 60, "possible"), (">", 20, None)],
)
def test_a_bound_decides_only_where_everything_beyond_it_agrees(sign, value, category):
    found = said("bone.agent", bounded("lab.egfr", value, sign), "zoledronate")
    assert found.category == category
    assert (found.status is Status.UNKNOWN) == (category is None)
    if category is None:
        assert "lab.egfr" in found.missing and "known only as" in found.says


def test_a_probability_below_its_threshold_reaches_none():
    known = patient().woman(70)
    for what, value in (("bone.frax_major", 20), ("bone.frax_hip", 3)):
        known.having(what, value, details={"comparator": "<"}, quality="doubtful", doubts=("b",))
    assert said("bone.frax_threshold", known.known_on()).category == "below"


def test_a_diagnosis_that_was_only_considered_is_neither_yes_nor_no():
    known = patient().woman(70).having(
        "condition.osteoporosis", details={"certainty": "possible"}, quality="doubtful",
        doubts=("one of several possible diagnoses",),
    ).known_on()  # fmt: skip
    assert known.ever("condition.osteoporosis").unknown
    assert known.has("condition.osteoporosis").unknown
    assert known.within("condition.osteoporosis", 365).unknown
    assert said("bone.osteoporosis", known).status is Status.UNKNOWN


def test_an_express_no_stays_no_beside_a_possibility():
    known = patient().having("condition.osteoporosis", False).having(
        "condition.osteoporosis", details={"certainty": "possible"}, quality="doubtful",
        doubts=("provisional",),
    ).known_on()  # fmt: skip
    assert known.has("condition.osteoporosis").no


@pytest.mark.parametrize(
    "latest, answer", [("2025-12-31", "unknown"), ("2025-05-31", "no"), ("2025-06-01", "unknown")]
)
def test_a_date_that_may_lie_within_the_time_asked_for(latest, answer):
    known = patient().having(
        "condition.stroke", on=date(2025, 1, 1), details={"on_latest": latest},
        quality="doubtful", doubts=("only the year is known",),
    ).known_on()  # fmt: skip
    assert known.within("condition.stroke", 365).answer == answer


def test_not_taken_at_present_is_not_never():
    known = patient().having(
        "medicine.denosumab", False, details={"denied": "at_present"}
    ).known_on()  # fmt: skip
    assert known.has("medicine.denosumab").no
    assert known.ever("medicine.denosumab").unknown


@pytest.mark.parametrize(
    "medicine, against",
    [
        ("medicine.alendronate", {"alendronate"}),
        ("medicine.bisphosphonate", {"alendronate", "risedronate", "zoledronate"}),
        ("medicine.denosumab", {"denosumab"}),
        ("medicine.raloxifene", set()),
    ],
)
def test_an_allergy_speaks_against_the_medicine_or_its_class(medicine, against):
    known = patient().woman(70).having("condition.osteoporosis")
    known.having("allergy.other", "as it is called", details={"medicine": medicine})
    found = RULES["bone.agent"](known.known_on(), SHIPPED)
    assert {f.about for f in found if f.category == "contraindicated"} == against


def test_the_lumbar_spine_that_is_to_be_analysed_anew_rules_nothing_out():
    known = patient().woman(70).with_dxa(
        lumbar_spine=-0.4, total_hip=-0.5, femoral_neck=-0.9, distal_radius=-0.5
    )  # fmt: skip
    assert said("bone.diagnosis.nbha", known.known_on()).parts["T-score ≤ -2.5"] == "no"
    known.having("bone.vertebra_excluded", "L1-L2")
    found = said("bone.osteoporosis_by_dxa", known.known_on())
    assert "bone.t_score.lumbar_spine" in found.missing and "analysed anew" in found.says
    assert said("bone.diagnosis.nbha", known.known_on()).parts["T-score ≤ -2.5"] == "unknown"


def test_a_monthly_dose_counts_until_the_next_is_due():
    known = patient().woman(70).having("condition.osteoporosis")
    known.wanting("fusion", "L4-S1", date(2026, 12, 1)).having("intent.elective")
    for day in (date(2026, 4, 20), date(2026, 5, 20)):
        known.having("medicine.romosozumab", on=day, until=day)
    found = said("bone.time_before_surgery", known.known_on())
    assert found.category == "under_way" and "since 2026-04-20" in found.says
    assert said("bone.follow_on", known.known_on()).category == "plan"


def test_a_course_whose_earlier_end_is_unknown_leaves_its_length_open():
    known = patient().woman(70).having("condition.osteoporosis")
    known.wanting("fusion", "L4-S1", date(2026, 7, 1)).having("intent.elective")
    known.having("medicine.teriparatide", on=date(2025, 6, 1), until=date(2025, 6, 1),
                 quality="doubtful", doubts=("the end given is the last day noted",))  # fmt: skip
    known.having("medicine.teriparatide", on=date(2026, 5, 20))
    assert said("bone.time_before_surgery", known.known_on()).status is Status.UNKNOWN
