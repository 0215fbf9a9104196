"""Scores of risk in a plan: those whose inputs are on record, and no others."""

from __future__ import annotations

from endplate import evidence
from endplate.plan.care_plan import findings_of
from endplate.record import PatientRecord

from patients import ON, facts_from

SHIPPED = evidence.shipped()


def said(table):
    found = findings_of(PatientRecord.of(facts_from(table)), ON, SHIPPED)
    return {f.key: f for f in found if f.rule.startswith("risk.")}


def test_one_illness_alone_does_not_ask_for_all_others():
    assert said({"condition.diabetes": True}) == {}


def test_the_blood_on_record_feeds_the_indices():
    found = said({"lab.albumin": 3.2, "lab.lymphocytes": 1.5, "lab.cholesterol": 150,
                  "lab.haemoglobin": 12.0, "person.sex": "male", "person.age": 70,
                  "person.weight": 60, "person.height": 170})  # fmt: skip
    assert found["risk.pni"].value == 39.5
    assert found["risk.conut"].value == 4
    assert found["risk.gnri"].category == "moderate_risk"
    assert found["risk.anaemia"].category == "anaemia"
    assert "GNRI" in found["risk.nutrition.consult"].says


def test_a_score_that_is_mostly_there_shows_what_is_missing():
    items = {"location": "l1", "pain": "mechanical", "lesion": "lytic", "alignment": "normal"}
    found = said({f"sins.{name}": value for name, value in items.items()})
    assert found["risk.sins"].value is None
    assert "risk.sins@consultation" in found
