"""Pain in a plan: nothing where no pain is on record, red flags first, an emergency before all."""

from __future__ import annotations

from datetime import date

from endplate import evidence
from endplate.findings import Urgency
from endplate.plan.care_plan import arranged, findings_of
from endplate.record import PatientRecord

from patients import ON, facts_from

SHIPPED = evidence.shipped()
R = "pain.red_flag."
NEUROPATHIC = {f"pain.neuropathic.{n}": True for n in (
    "history_of_relevant_lesion", "plausible_distribution", "sensory_signs",
    "confirmatory_test")}  # fmt: skip


def said(table):
    found = findings_of(PatientRecord.of(facts_from(table)), ON, SHIPPED)
    return {f.key: f for f in found if f.rule.startswith("pain.")}, found


def test_a_case_of_bone_says_and_asks_nothing_of_pain():
    table = {"person.age": 80, "person.sex": "female", "condition.malignancy": True,
             "medicine.prednisone": True, "lab.c_reactive_protein": 30,
             "questionnaire.phq9.score": 20, "bone.t_score.total_hip": -2.7}  # fmt: skip
    found, every = said(table)
    assert found == {}
    asked = arranged(every, ON, SHIPPED).open_questions
    assert not [q.asks for q in asked if q.asks.startswith("pain.")]


def test_pain_without_red_flags_asked_makes_one_question_of_them():
    found, every = said({"pain.presentation": "sciatica", "pain.duration": 2})
    assert [key for key in found if key.startswith("pain.red_flags")] == ["pain.red_flags"]
    asked = [q.asks for q in arranged(every, ON, SHIPPED).open_questions]
    assert [a for a in asked if a.startswith(R)] == [R + "any"]
    assert "pain.mechanism" not in found, "a duration alone begins no mechanism"


def test_a_form_of_back_pain_begins_it_too():
    assert "pain.red_flags" in said({"questionnaire.start_back.score": 2})[0]


def test_a_diagnosis_of_chronic_back_pain_begins_it_too():
    found, every = said({"pain.chronic_low_back": True})
    assert "pain.red_flags" in found and "pain.treatments@low_back_pain_chronic" in found
    asked = [q.asks for q in arranged(every, ON, SHIPPED).open_questions]
    assert [a for a in asked if a.startswith("pain.")] == [R + "any"]


def test_the_mechanism_and_its_evidence_are_in_the_plan():
    found, _ = said(NEUROPATHIC | {"pain.chronic": False, "pain.presentation": "other"})
    assert found["pain.mechanism"].category == "neuropathic"
    assert found["pain.neupsig"].category == "definite"
    assert found["pain.treatments@neuropathic"].parts["duloxetine"] == "for"


def test_an_emergency_stands_first_and_holds_the_mechanism_back():
    table = NEUROPATHIC | {"pain.chronic": False, "pain.presentation": "low_back_pain",
                           R + "saddle_sensory_change": True}  # fmt: skip
    found, every = said(table)
    first = every[0]
    assert first.key == "pain.red_flags@cauda_equina" and first.urgency is Urgency.EMERGENCY
    assert arranged(every, ON, SHIPPED).summary[0] == first.says
    assert found["pain.mechanism"].status == "not_applicable"
    assert "emergency MRI" in found["pain.mechanism"].says
    held = ("pain.neupsig", "pain.iasp", "pain.central", "pain.peripheral", "pain.context")
    assert not [key for key in found if key.startswith(held)]
    assert [key for key in found if key.startswith("pain.treatments")] == ["pain.treatments"]


def test_what_forms_screen_is_told_once():
    def screens(table):
        found = findings_of(PatientRecord.of(facts_from(table)), ON, SHIPPED)
        rules_ = ("pain.yellow_flags", "recovery.screening")
        return [f.rule for f in found if f.rule in rules_]

    assert screens({"questionnaire.pcs.score": 31}) == ["pain.yellow_flags"]
    assert screens({"questionnaire.phq9.score": 12}) == ["recovery.screening"], "no pain begun"


def test_a_form_of_long_ago_is_no_yellow_flag():
    old = {"questionnaire.pcs.score": {"value": 31, "on": date(2024, 1, 1)}, "pain.duration": 5}
    assert "pain.yellow_flags" not in said(old)[0]
