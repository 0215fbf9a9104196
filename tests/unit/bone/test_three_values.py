"""Yes, no and unknown: what nobody wrote down never counts as a no."""

from __future__ import annotations

from datetime import date
from itertools import product

import pytest

from endplate import evidence
from endplate.bone import agents, attenuation, densitometry, diagnosis, perioperative
from endplate.bone.fracture_risk import frax_reaches_threshold
from endplate.evidence import Row
from endplate.facts import Fact
from endplate.findings import Status
from endplate.record import UNKNOWN, Known, PatientRecord

from patients import ON, fact, patient

SHIPPED = evidence.shipped()
YES, NO = Known("yes", (fact("fracture.hip"),)), Known("no", (fact("fracture.hip", False),))


@pytest.mark.parametrize("first, second", list(product((YES, NO, UNKNOWN), repeat=2)))
def test_both(first, second):
    answer = diagnosis.both(first, second).answer
    if first.no or second.no:
        assert answer == "no"
    elif first.yes and second.yes:
        assert answer == "yes"
    else:
        assert answer == "unknown"


def test_both_keeps_the_facts_that_decide():
    assert diagnosis.both(YES, YES).because == (*YES.because, *YES.because)
    assert diagnosis.both(YES, NO).because == NO.because
    assert diagnosis.both(UNKNOWN, NO).because == NO.because
    assert diagnosis.both(UNKNOWN, YES).because == ()


@pytest.mark.parametrize(
    "major, hip, answer",
    [
        (20, 0, "yes"),
        (None, 3, "yes"),
        (25, None, "yes"),
        (19.9, 2.9, "no"),
        (19.9, None, "unknown"),
        (None, 2.9, "unknown"),
        (None, None, "unknown"),
    ],
)
def test_frax_needs_both_to_be_a_no(major, hip, answer):
    known = patient()
    for outcome, value in (("major", major), ("hip", hip)):
        if value is not None:
            known.having(f"bone.frax_{outcome}", value)
    assert frax_reaches_threshold(known.known_on(), SHIPPED).answer == answer


def test_nbha_is_a_no_only_if_every_criterion_is():
    known = patient().woman(70).with_dxa(total_hip=0, femoral_neck=0, lumbar_spine=0)
    known.having("fracture.any", False).having("bone.frax_major", 5)
    assert diagnosis.meets_nbha(known.known_on(), SHIPPED).unknown
    known.having("bone.frax_hip", 1)
    assert diagnosis.meets_nbha(known.known_on(), SHIPPED).no


SCANS = [
    (105, {"tube_voltage": 120.0, "contrast": "no"}, "yes"),
    (115, {"tube_voltage": 120.0, "contrast": "no"}, "no"),
    (105, {"tube_voltage": 120.0, "contrast": "yes"}, "yes"),
    (115, {"tube_voltage": 120.0, "contrast": "yes"}, "unknown"),
    (134, {"tube_voltage": 120.0}, "unknown"),
    (135, {"tube_voltage": 120.0}, "no"),
    (109, {"tube_voltage": 100.0, "contrast": "no"}, "yes"),
    (112, {"tube_voltage": 100.0, "contrast": "no"}, "unknown"),
    (116, {"tube_voltage": 100.0, "contrast": "no"}, "no"),
    (102, {"tube_voltage": 140.0, "contrast": "no"}, "yes"),
    (105, {"tube_voltage": 140.0, "contrast": "no"}, "unknown"),
    (111, {"tube_voltage": 140.0, "contrast": "no"}, "no"),
    (102, {}, "yes"),
    (105, {}, "unknown"),
    (400, {}, "unknown"),
    (50, {"tube_voltage": 80.0, "contrast": "no"}, "unknown"),
    (50, {"tube_voltage": 140.0, "contrast": "yes"}, "unknown"),
    (-20, {}, "yes"),
    (-20, {"tube_voltage": 140.0, "contrast": "no"}, "yes"),
]


@pytest.mark.parametrize("hounsfield, details, answer", SCANS)
def test_an_attenuation_below_110_however_it_was_taken(hounsfield, details, answer):
    scanned = fact("ct.hounsfield.axial", hounsfield, level="L1", details=details)
    row = SHIPPED.row("bone.diagnosis.hounsfield")
    assert attenuation.attenuation_meets(scanned, row, SHIPPED).answer == answer


def test_an_undated_result_counts_and_an_old_one_does_not():
    undated = Fact(what="bone.t_score.total_hip", value=-2.7, unit="1", source="typed")
    man = patient().man(60).facts
    known = PatientRecord.of([*man, undated]).known_on(ON)
    assert densitometry.osteoporosis_by_dxa.one(known, SHIPPED).category == "osteoporosis"


def test_a_dated_result_comes_before_an_undated_one_of_the_same_hip():
    man = patient().man(60)
    man.having("bone.t_score.total_hip", -1.5, side="left")
    undated = Fact(what="bone.t_score.total_hip", value=-2.7, unit="1", side="left", source="typed")
    known = man.record.with_facts([undated]).known_on(ON)
    assert densitometry.t_score(known, "total_hip").number == -1.5


def test_an_infarction_without_its_date_leaves_the_year_open():
    undated = Fact(what="condition.myocardial_infarction", value=True, source="typed")
    row = SHIPPED.row("bone.agent.romosozumab.check.recent_cardiovascular_event")
    known = PatientRecord.of([undated]).known_on(ON)
    answer, asks = agents.answer_to(known, row, SHIPPED)
    assert answer.unknown and asks == ("condition.cardiovascular_event",)


def test_an_anabolic_without_its_first_day_leaves_the_time_open():
    known = patient().woman(70).having("condition.osteoporosis")
    known.wanting("fusion", "L4-L5", date(2026, 12, 1))
    undated = Fact(what="medicine.teriparatide", value=True, source="typed")
    found = perioperative.time_before_surgery.one(
        known.record.with_facts([undated]).known_on(ON), SHIPPED
    )
    assert found.status is Status.UNKNOWN
    assert found.missing == ("medicine.bone_anabolic",)


def test_a_question_that_no_rule_knows_is_a_defect_and_no_answer():
    row = Row(name="x", says="x", table=({"asks": "condition.malignancy", "how": "perhaps"},))
    with pytest.raises(KeyError, match="perhaps"):
        agents.answer_to(patient().known_on(), row, SHIPPED)


@pytest.mark.parametrize("age, sex, passed, answer", [
    (17, "female", True, "no"),
    (17, "male", None, "no"),
    (18, "female", None, "unknown"),
    (30, "female", False, "no"),
    (55, "female", True, "yes"),
    (64, "female", None, "unknown"),
    (65, "female", None, "yes"),
    (66, "female", False, "yes"),
    (49, "male", None, "no"),
    (50, "male", None, "yes"),
    (None, "male", None, "unknown"),
    (None, "female", None, "unknown"),
    (None, "female", True, "yes"),
    (40, None, None, "unknown"),
    (65, None, None, "yes"),
    (40, "other", None, "unknown"),
    (None, None, None, "unknown"),
])  # fmt: skip
def test_who_is_classified_by_t_score(age, sex, passed, answer):
    known = patient()
    if age is not None:
        known.having("person.age", age)
    if sex is not None:
        known.having("person.sex", sex)
    if passed is not None:
        known.having("person.postmenopausal", passed)
    group = densitometry.classified_by_t_score(known.known_on(), SHIPPED)
    assert group.answer == answer
    assert bool(group.missing) == (answer == "unknown")


def test_what_was_assumed_is_shown_and_only_then():
    woman = patient().woman(70)
    assert [f.what for f in densitometry.classified_by_t_score(woman.known_on(), SHIPPED).assumed]
    woman.having("person.postmenopausal")
    assert densitometry.classified_by_t_score(woman.known_on(), SHIPPED).assumed == ()
