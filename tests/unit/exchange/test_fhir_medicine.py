"""Medicines: what counts as taken, and from when to when."""

from __future__ import annotations

from datetime import date

import pytest

from endplate.record import PatientRecord
from unit.exchange.made_fhir import (
    TODAY,
    administration,
    bundle,
    coded,
    ignored,
    problems,
    read,
    request,
    statement,
    values,
)

RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
ALENDRONATE = "medicine.alendronate"


def one(*resources):
    (fact,) = read(*resources).facts
    return fact


def taken(*resources):
    return PatientRecord.of(read(*resources).facts).known_on(TODAY).has(ALENDRONATE)


# -- which medicine ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "concept",
    [
        coded("46041", RXNORM, "alendronate"),
        coded("904419", RXNORM, "Alendronic acid 10 MG Oral Tablet"),
        coded("M05BA04", "http://www.whocc.no/atc"),
        coded(ALENDRONATE),
        {"text": "Fosamax 70 mg"},
    ],
)
def test_a_medicine_is_recognised_by_code_or_ingredient(concept):
    fact = one(request(medicationCodeableConcept=concept))
    assert (fact.what, fact.value, fact.quality) == (ALENDRONATE, True, "ok")


def test_the_ingredient_is_more_precise_than_the_class():
    concept = coded("M05BA", "http://www.whocc.no/atc", text="risedronic acid 35 mg")
    assert one(request(medicationCodeableConcept=concept)).what == "medicine.risedronate"


def test_each_ingredient_of_a_combination_counts():
    product = "Alendronic acid 70 MG / cholecalciferol 5600 UNT Oral Tablet"
    assert set(values(read(request(product)))) == {ALENDRONATE, "medicine.cholecalciferol"}


@pytest.mark.parametrize("product", ["Xgeva", "denosumab 120 MG in 1.7 ML", "Denosumab 120mg"])
def test_denosumab_in_the_dose_of_oncology_is_another_medicine(product):
    assert set(values(read(request(product)))) == {"medicine.denosumab_oncology"}
    assert set(values(read(request("denosumab 60 MG/ML")))) == {"medicine.denosumab"}


def test_not_taken_now_does_not_say_never():
    known = PatientRecord.of(read(statement(status="not-taken")).facts).known_on(TODAY)
    assert known.has(ALENDRONATE).no and known.ever(ALENDRONATE).unknown


def test_an_unknown_medicine_is_kept_in_its_own_words():
    fact = one(request("Simvastatin 20 MG"))
    assert (fact.what, fact.value) == ("medicine.other", "Simvastatin 20 MG")


@pytest.mark.parametrize(
    "product",
    ["Hydrocortisone 10 MG/ML Topical Cream", "Prednisolone 1 % ophthalmic suspension"],
)
def test_a_local_glucocorticoid_is_not_a_systemic_one(product):
    assert one(request(product)).what == "medicine.other"


def test_the_route_says_that_it_is_local():
    dosage = [{"route": {"text": "Inhalation"}}]
    assert one(request("Dexamethasone", dosageInstruction=dosage)).what == "medicine.other"
    assert one(request("Dexamethasone 4 mg tablet")).what == "medicine.dexamethasone"


def test_ethinylestradiol_is_not_estradiol():
    assert one(request("Ethinyl Estradiol 0.03 MG")).what == "medicine.ethinylestradiol"


def test_the_dosage_is_kept_in_its_own_words():
    fact = one(request(dosageInstruction=[{"text": "once a week, fasting"}]))
    assert fact.details["dosage"] == "once a week, fasting"
    assert fact.details["product"] == "Alendronic acid 70 MG Oral Tablet"


# -- references -------------------------------------------------------------------------------

MEDICATION = {"resourceType": "Medication", "id": "m1", "code": {"text": "Alendronic acid 70 mg"}}
REFERRING = {
    "medicationCodeableConcept": ...,
    "medicationReference": {"reference": "Medication/m1"},
}


def test_a_medication_is_found_in_any_order_in_another_line_or_inside():
    order = request(**REFERRING)
    assert one(order, MEDICATION).what == ALENDRONATE
    assert one(MEDICATION, order).what == ALENDRONATE
    assert one(bundle(order, MEDICATION)).what == ALENDRONATE
    inside = request(
        contained=[MEDICATION],
        medicationCodeableConcept=...,
        medicationReference={"reference": "#m1"},
    )
    assert one(inside).what == ALENDRONATE


def test_a_medication_is_known_by_its_ingredients():
    parts = [{"itemCodeableConcept": {"text": name}} for name in ("teriparatide", "water")]
    medication = {"resourceType": "Medication", "id": "m1", "ingredient": parts}
    assert one(request(**REFERRING), medication).what == "medicine.teriparatide"


def test_a_medication_that_is_not_there_is_a_problem_unless_it_is_named_or_over():
    reading = read(request(**REFERRING))
    assert reading.facts == () and problems(reading) == ["fhir.medication_not_found"]
    over = read(request(**REFERRING, status="stopped"))
    assert over.facts == () and ignored(over) == ["fhir.medication_not_found"]
    named = {"reference": "Medication/m1", "display": "alendronic acid"}
    fact = one(request(medicationCodeableConcept=..., medicationReference=named))
    assert fact.what == ALENDRONATE


def test_an_order_of_nothing_is_a_problem():
    reading = read(request(medicationCodeableConcept=...))
    assert problems(reading) == ["fhir.element_not_usable"]


# -- orders -----------------------------------------------------------------------------------


def test_an_active_order_counts_from_its_day_until_now():
    fact = one(request())
    assert (fact.on, fact.until) == (date(2025, 2, 1), None)
    assert taken(request()).yes


@pytest.mark.parametrize("status", ["completed", "stopped"])
def test_an_order_that_is_over_never_counts_as_taken_now(status):
    over = request(status=status)
    assert one(over).until == date(2025, 2, 1) and one(over).quality == "doubtful"
    assert taken(over).no
    undated = request(status=status, authoredOn=...)
    assert one(undated).until == TODAY and taken(undated).no


def test_an_order_that_is_over_has_no_end_in_the_future():
    valid = {"validityPeriod": {"start": "2025-03-01", "end": "2027-03-01"}}
    assert taken(request(status="stopped", dispenseRequest=valid)).no
    period = {"effectivePeriod": {"start": "2025-01-01", "end": "2027-01-01"}}
    assert taken(statement(status="stopped", **period)).no
    assert taken(request(dispenseRequest=valid)).yes


def test_the_validity_or_the_dosage_gives_the_end():
    valid = {"validityPeriod": {"start": "2025-03-01", "end": "2025-09-01"}}
    fact = one(request(status="completed", dispenseRequest=valid))
    assert fact.until == date(2025, 9, 1) and fact.quality == "ok"
    active = request(dispenseRequest=valid)  # the prescription ends, the course need not
    assert taken(active).yes and one(active).quality == "doubtful"
    assert one(request(authoredOn=..., dispenseRequest=valid)).on == date(2025, 3, 1)
    bounds = [{"timing": {"repeat": {"boundsPeriod": {"end": "2025-04-01"}}}}]
    assert one(request(dosageInstruction=bounds)).until == date(2025, 4, 1)


@pytest.mark.parametrize("status", ["cancelled", "draft", "entered-in-error"])
def test_an_order_that_was_never_carried_out_is_listed_only(status):
    reading = read(request(status=status))
    assert reading.facts == () and len(reading.ignored) == 1


@pytest.mark.parametrize("status", ["on-hold", "unknown", "strange", ...])
def test_an_order_of_uncertain_status_is_doubtful(status):
    assert one(request(status=status)).quality == "doubtful"


@pytest.mark.parametrize("intent", ["proposal", "plan", "option"])
def test_a_proposal_is_no_order(intent):
    reading = read(request(intent=intent))
    assert reading.facts == () and ignored(reading) == ["fhir.no_order"]


def test_an_order_not_to_give_is_a_no_on_that_day_and_doubtful():
    fact = one(request(doNotPerform=True))
    assert fact.value is False and fact.on == date(2025, 2, 1) and fact.quality == "doubtful"
    assert read(request("Simvastatin", doNotPerform=True)).facts == ()


# -- statements, administrations, supplies ----------------------------------------------------


@pytest.mark.parametrize(
    "dates, on, until",
    [
        ({"effectivePeriod": {"start": "2024-01-01"}}, date(2024, 1, 1), None),
        (
            {"effectivePeriod": {"start": "2024-01-01", "end": "2024-06-01"}},
            date(2024, 1, 1),
            date(2024, 6, 1),
        ),
        ({"effectiveDateTime": "2024-01-01"}, date(2024, 1, 1), None),
        ({"dateAsserted": "2024-01-01"}, date(2024, 1, 1), None),
        ({}, None, None),
    ],
)
def test_the_course_of_a_statement(dates, on, until):
    fact = one(statement(**dates))
    assert (fact.value, fact.on, fact.until) == (True, on, until)


def test_not_taken_is_a_no_on_that_day():
    fact = one(statement(status="not-taken", effectiveDateTime="2026-01-01"))
    assert fact.value is False and fact.on == date(2026, 1, 1)
    assert taken(statement(status="not-taken", effectiveDateTime="2026-01-01")).no


@pytest.mark.parametrize("status", ["intended", "entered-in-error"])
def test_a_statement_of_what_did_not_happen_is_listed_only(status):
    assert read(statement(status=status)).facts == ()


def test_a_completed_statement_has_an_end():
    assert taken(statement(status="completed", effectiveDateTime="2024-01-01")).no


def test_an_administration_of_denosumab_gives_the_last_dose():
    reading = read(administration())
    assert values(reading) == {
        "medicine.denosumab": True,
        "medicine.denosumab.last_dose": "2026-06-01",
    }
    assert {f.on for f in reading.facts} == {date(2026, 6, 1)}


@pytest.mark.parametrize("status", ["not-done", "on-hold", "entered-in-error"])
def test_what_was_not_given_is_listed_and_is_not_never(status):
    reading = read(administration(status=status))
    assert reading.facts == () and len(reading.ignored) == 1


def test_a_broken_off_administration_is_doubtful():
    assert all(f.quality == "doubtful" for f in read(administration(status="stopped")).facts)


def test_a_supply_lasts_for_its_days():
    handed_out = {
        "resourceType": "MedicationDispense",
        "id": "1",
        "subject": {"reference": "Patient/p1"},
        "status": "completed",
        "medicationCodeableConcept": {"text": "Alendronic acid"},
        "whenHandedOver": "2026-11-01",
    }
    assert one(handed_out | {"daysSupply": {"value": 28}}).until == date(2026, 11, 29)
    assert one(handed_out).until == date(2026, 11, 1)
    assert read(handed_out | {"status": "cancelled"}).facts == ()
    reading = read(handed_out | {"daysSupply": {"value": 1e18}})
    assert problems(reading) == ["fhir.element_not_usable"]
