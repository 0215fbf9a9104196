"""What the record answers: yes, no, unknown; by day, by age of the fact, by wider concepts."""

from __future__ import annotations

from datetime import date

import pytest

from endplate.facts import Fact, InputProblem
from endplate.levels import Column, Level
from endplate.record import Known, PatientRecord, any_of

from patients import ON, fact, patient

DAY = date(2026, 5, 1)


def person(*facts: Fact):
    return PatientRecord.of(facts).known_on(ON)


def test_an_answer_refuses_to_be_a_plain_true_or_false():
    with pytest.raises(TypeError, match="unknown"):
        bool(person().has("condition.osteoporosis"))


def test_what_nobody_wrote_down_is_unknown():
    assert person().has("condition.osteoporosis").unknown
    assert person().ever("condition.osteoporosis").unknown
    assert person().within("condition.stroke", 365).unknown


def test_what_was_denied_is_no_and_so_is_what_is_narrower():
    denied = person(fact("condition.malignancy", False))
    assert denied.has("condition.malignancy").no
    assert denied.ever("condition.bone_metastasis").no


def test_what_is_narrower_makes_the_wider_true():
    assert person(fact("condition.bone_metastasis")).has("condition.malignancy").yes
    assert person(fact("fracture.hip.low_trauma")).ever("fracture.low_trauma").yes


def test_a_denial_of_the_narrower_says_nothing_of_the_wider():
    assert person(fact("condition.bone_metastasis", False)).has("condition.malignancy").unknown


def test_a_condition_that_ended_is_not_there_now_but_was():
    ended = person(fact("condition.hypercalcaemia", on=date(2020, 1, 1), until=date(2020, 2, 1)))
    assert ended.has("condition.hypercalcaemia").no
    assert ended.ever("condition.hypercalcaemia").yes


def test_the_newer_of_a_yes_and_a_no_counts():
    taken, stopped = date(2024, 1, 1), date(2026, 1, 1)
    what = "medicine.alendronate"
    assert person(fact(what, on=taken), fact(what, False, on=stopped)).has(what).no
    assert person(fact(what, False, on=taken), fact(what, on=stopped)).has(what).yes


def test_within_looks_back_so_many_days():
    what = "condition.stroke"
    assert person(fact(what, on=date(2025, 6, 1))).within(what, 365).yes
    assert person(fact(what, on=date(2025, 5, 31))).within(what, 365).no
    assert person(Fact(what=what, value=True)).within(what, 365).unknown


def test_a_fact_of_the_future_does_not_count():
    later = person(fact("lab.vitamin_d", 30, on=date(2026, 6, 2)))
    assert later.latest("lab.vitamin_d") is None


def test_a_fact_that_is_too_old_does_not_count_and_is_named_as_such():
    old = person(fact("bone.t_score.total_hip", -2.6, on=date(2024, 5, 31)))
    assert old.latest("bone.t_score.total_hip") is None
    assert old.outdated("bone.t_score.total_hip") is not None
    edge = person(fact("bone.t_score.total_hip", -2.6, on=date(2024, 6, 1)))
    assert edge.latest("bone.t_score.total_hip") is not None


def test_age_in_completed_years():
    born = fact("person.birth_date", "1958-06-02", on=None)
    assert person(born).age.number == 67
    assert PatientRecord.of([born]).known_on(date(2026, 6, 2)).age.number == 68


def test_two_birth_dates_are_two_persons():
    with pytest.raises(InputProblem, match="contradict"):
        PatientRecord.of([fact("person.sex", "male"), fact("person.sex", "female", source="x")])


def test_any_of_is_three_valued():
    yes, no, unknown = Known("yes"), Known("no"), Known("unknown")
    assert any_of([no, unknown, yes]).yes
    assert any_of([no, no]).no
    assert any_of([no, unknown]).unknown
    assert any_of([]).unknown


def test_the_intended_operation():
    intent = patient().wanting("fusion", "L3-S1", date(2026, 9, 1)).known_on().intent
    assert str(intent.span) == "L3-S1" and intent.is_instrumented.yes
    assert patient().wanting("decompression", "L4").known_on().intent.is_instrumented.no
    assert patient().known_on().intent.is_instrumented.unknown


def test_the_column_knows_a_sixth_lumbar_vertebra():
    assert person(fact("bone.t_score.vertebra", -1, level="L6")).column == Column(lumbar=6)
    assert Column(lumbar=6).below(Level.L5) == Level.L6
    assert Column().below(Level.L5) == Level.S1
    assert Column(thoracic=13).below(Level.T12) == Level.T13
    assert Column(thoracic=11).below(Level.T11) == Level.L1
