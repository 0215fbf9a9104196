"""Conditions, procedures, allergies and the family."""

from __future__ import annotations

from datetime import date

import pytest

from endplate.record import PatientRecord
from unit.exchange.made_fhir import (
    CLINICAL,
    SNOMED,
    TODAY,
    allergy,
    coded,
    condition,
    family,
    ignored,
    patient,
    problems,
    procedure,
    read,
    values,
)


def one(*resources):
    (fact,) = read(*resources).facts
    return fact


def asked(*resources):
    return PatientRecord.of(read(*resources).facts).known_on(TODAY)


# -- conditions -------------------------------------------------------------------------------


def test_an_active_condition_is_true_from_its_onset():
    fact = one(condition())
    assert (fact.what, fact.value, fact.on, fact.until) == (
        "condition.osteoporosis", True, date(2020, 3, 1), None,
    )  # fmt: skip
    assert fact.quality == "ok"
    assert asked(condition()).has("condition.osteoporosis").yes


@pytest.mark.parametrize("status", ["inactive", "remission", "resolved"])
@pytest.mark.parametrize(
    "dates, until",
    [
        ({"abatementDateTime": "2022-06-01"}, date(2022, 6, 1)),
        ({"abatementDateTime": "2027-06-01", "recordedDate": "2021-01-01"}, date(2021, 1, 1)),
        ({"recordedDate": "2021-01-01"}, date(2021, 1, 1)),
        ({}, date(2020, 3, 1)),
        ({"onsetDateTime": ..., "meta": {"lastUpdated": "2023-02-02T00:00:00Z"}}, date(2023, 2, 2)),
        ({"onsetDateTime": ...}, TODAY),
    ],
)
def test_what_has_ended_never_counts_as_present(status, dates, until):
    ended = condition(clinicalStatus=coded(status, CLINICAL), **dates)
    fact = one(ended)
    assert fact.until == until and fact.details["clinical_status"] == status
    assert (fact.quality == "doubtful") == (until != date(2022, 6, 1))
    assert asked(ended).has("condition.osteoporosis").no
    assert asked(ended).ever("condition.osteoporosis").yes


def test_an_incomplete_end_in_this_year_is_in_the_past():
    fact = one(condition(clinicalStatus=coded("resolved", CLINICAL), abatementDateTime="2026"))
    assert fact.until == TODAY and fact.quality == "doubtful"


def test_active_and_ended_at_once_is_doubtful():
    fact = one(condition(abatementDateTime="2022-06-01"))
    assert fact.until == date(2022, 6, 1) and fact.quality == "doubtful"


@pytest.mark.parametrize("status", [..., coded("strange", CLINICAL)])
def test_without_a_clinical_status_it_is_doubtful(status):
    fact = one(condition(clinicalStatus=status))
    assert fact.until is None and fact.quality == "doubtful"


def test_an_end_before_the_onset_is_refused():
    reading = read(condition(abatementDateTime="2019-01-01"))
    assert reading.facts == () and problems(reading) == ["fact.not_valid"]


@pytest.mark.parametrize("status", ["refuted", "entered-in-error"])
def test_what_was_ruled_out_or_entered_in_error_is_listed_only(status):
    reading = read(condition(verificationStatus=coded(status)))
    assert reading.facts == () and len(reading.ignored) == 1 and reading.problems == ()


@pytest.mark.parametrize(
    "status, answer",
    [("confirmed", "yes"), ("unconfirmed", "unknown"), ("provisional", "unknown"),
     ("differential", "unknown")],
)  # fmt: skip
def test_a_diagnosis_that_is_not_confirmed_is_not_taken_for_one(status, answer):
    reading = read(condition(verificationStatus=coded(status)))
    known = PatientRecord.of(reading.facts).known_on(TODAY)
    assert known.has("condition.osteoporosis").answer == answer


@pytest.mark.parametrize("onset, answer", [("2025", "unknown"), ("2024", "no"), ("2025-12", "yes")])
def test_a_year_alone_does_not_say_that_it_was_long_ago(onset, answer):
    reading = read(condition("condition.stroke", onsetDateTime=onset))
    known = PatientRecord.of(reading.facts).known_on(date(2026, 6, 1))
    assert known.within("condition.stroke", 365).answer == answer


@pytest.mark.parametrize("status", ["unconfirmed", "provisional", "differential", "strange"])
def test_what_is_not_confirmed_is_doubtful(status):
    assert one(condition(verificationStatus=coded(status))).quality == "doubtful"


@pytest.mark.parametrize(
    "onset, on, doubtful",
    [
        ({"onsetPeriod": {"start": "2018-01-01", "end": "2019-01-01"}}, date(2018, 1, 1), False),
        ({"onsetDateTime": "2018"}, date(2018, 1, 1), True),
        ({"onsetAge": {"value": 66, "code": "a"}}, date(2016, 5, 1), True),
        ({"onsetRange": {"low": {"value": 60, "unit": "years"}}}, date(2010, 5, 1), True),
        ({"onsetString": "in her sixties", "recordedDate": "2019-01-01"}, date(2019, 1, 1), True),
        ({"recordedDate": "2019-01-01"}, date(2019, 1, 1), True),
        ({}, None, False),
    ],
)
def test_the_onset_of_a_condition(onset, on, doubtful):
    facts = read(condition(**{"onsetDateTime": ..., **onset}), patient()).facts
    (fact,) = (f for f in facts if f.what == "condition.osteoporosis")
    assert fact.on == on and (fact.quality == "doubtful") is doubtful


def test_an_age_without_a_birth_date_gives_no_day():
    aged = condition(onsetDateTime=..., onsetAge={"value": 66, "code": "a"})
    assert one(aged).on is None


def test_an_unknown_condition_is_kept_in_its_own_words():
    fact = one(condition(code=coded("444814009", SNOMED, "Viral sinusitis (disorder)")))
    assert fact.what == "condition.other" and fact.value == "Viral sinusitis (disorder)"
    assert fact.details["code"] == f"{SNOMED} 444814009"


def test_a_condition_is_recognised_by_its_exact_name_only():
    fact = one(condition(code={"text": "Osteoporosis"}))
    assert fact.what == "condition.osteoporosis" and fact.quality == "doubtful"
    assert one(condition(code={"text": "No osteoporosis"})).what == "condition.other"


def test_the_code_of_a_measurement_is_no_condition():
    fact = one(condition(code=coded("38483-4", "http://loinc.org", "Creatinine raised")))
    assert fact.what == "condition.other"


@pytest.mark.parametrize(
    "code",
    [
        coded("160245001", SNOMED, "No current problems or disability"),
        {"text": "No known problems"},
    ],
)
def test_nothing_known_is_neither_a_condition_nor_its_absence(code):
    reading = read(condition(code=code))
    assert reading.facts == () and ignored(reading) == ["fhir.nothing_known"]


def test_a_fracture_is_placed_by_its_body_sites():
    sites = [coded("66794005", SNOMED), coded("36470004", SNOMED)]
    reading = read(condition("fracture.low_trauma", bodySite=sites))
    assert [(f.what, f.level) for f in reading.facts] == [
        ("fracture.vertebral.low_trauma", "L1"),
        ("fracture.vertebral.low_trauma", "L3"),
    ]


def test_an_osteoporotic_fracture_keeps_the_disease_and_gains_the_site():
    site = {"text": "left femoral neck"}
    reading = read(condition("condition.osteoporotic_fracture", bodySite=[site]))
    assert [(f.what, f.side) for f in reading.facts] == [
        ("condition.osteoporotic_fracture", "left"),
        ("fracture.hip.low_trauma", "left"),
    ]


def test_a_fracture_elsewhere_stays_without_a_site():
    fact = one(condition("fracture.any", bodySite=[{"text": "clavicle"}]))
    assert fact.what == "fracture.any" and fact.details["site"] == "clavicle"


def test_a_level_in_the_words_is_doubtful():
    code = coded("fracture.vertebral", text="Compression fracture of L1")
    fact = one(condition(code=code))
    assert fact.level == "L1" and fact.quality == "doubtful"


def test_an_operation_or_history_among_the_conditions_does_not_end():
    resolved = {"clinicalStatus": coded("resolved", CLINICAL)}
    assert one(condition("procedure.spinal_fusion", **resolved)).until is None
    assert one(condition("condition.stroke_history", **resolved)).until is None


# -- procedures -------------------------------------------------------------------------------


def test_a_procedure_is_true_from_its_day():
    fact = one(procedure(bodySite=[{"text": "L4-L5"}]))
    assert (fact.what, fact.value, fact.level) == ("procedure.spinal_fusion", True, "L4-L5")
    assert (fact.on, fact.until) == (date(2021, 4, 5), None)


@pytest.mark.parametrize("status", ["not-done", "preparation", "on-hold", "entered-in-error"])
def test_what_was_not_done_is_listed_and_is_not_never(status):
    reading = read(procedure(status=status))
    assert reading.facts == () and len(reading.ignored) == 1


@pytest.mark.parametrize("status", ["in-progress", "stopped", "unknown", ...])
def test_what_may_not_have_been_finished_is_doubtful(status):
    assert one(procedure(status=status)).quality == "doubtful"


@pytest.mark.parametrize(
    "performed, on",
    [
        ({"performedPeriod": {"start": "2020-01-01", "end": "2020-01-02"}}, date(2020, 1, 1)),
        ({"performedPeriod": {"end": "2020-01-02"}}, date(2020, 1, 2)),
        ({"performedString": "as a child"}, None),
        ({}, None),
    ],
)
def test_the_day_of_a_procedure(performed, on):
    assert one(procedure(**{"performedDateTime": ..., **performed})).on == on


def test_an_unknown_procedure_is_kept_in_its_own_words():
    fact = one(procedure(code={"text": "Appendectomy"}))
    assert (fact.what, fact.value) == ("procedure.other", "Appendectomy")


# -- allergies --------------------------------------------------------------------------------


def test_an_allergy_is_kept_in_words_with_the_medicine_and_its_class():
    fact = one(allergy("Alendronic acid", criticality="high"))
    assert (fact.what, fact.value) == ("allergy.other", "Alendronic acid")
    assert fact.details["medicine"] == "medicine.alendronate"
    assert "medicine.bisphosphonate" in fact.details["medicine_class"]
    assert fact.details["criticality"] == "high"


def test_an_allergy_to_no_medicine_names_none():
    assert "medicine" not in one(allergy("Latex")).details


def test_a_substance_of_the_reaction_stands_in_for_the_code():
    fact = one(allergy(code=..., reaction=[{"substance": {"text": "Bone cement"}}]))
    assert fact.value == "Bone cement"


def test_an_allergy_that_the_vocabulary_knows_is_a_condition_too():
    reading = read(allergy(code=coded("condition.bone_cement_allergy", text="Bone cement")))
    assert values(reading)["condition.bone_cement_allergy"] is True


@pytest.mark.parametrize("status", ["refuted", "entered-in-error"])
def test_a_refuted_allergy_is_listed_only(status):
    reading = read(allergy(verificationStatus=coded(status)))
    assert reading.facts == () and len(reading.ignored) == 1


def test_an_unconfirmed_allergy_is_doubtful_and_a_resolved_one_ends():
    assert one(allergy(verificationStatus=coded("unconfirmed"))).quality == "doubtful"
    assert one(allergy(clinicalStatus=coded("resolved", CLINICAL))).until == date(2019, 1, 1)


def test_no_known_allergy_is_no_allergy():
    reading = read(allergy(code=coded("716186003", SNOMED, "No known allergy")))
    assert reading.facts == () and ignored(reading) == ["fhir.nothing_known"]


# -- family -----------------------------------------------------------------------------------


def test_a_parents_hip_fracture():
    for relation in ("MTH", "FTH", "NMTH", "PRN"):
        assert values(read(family(relation))) == {"person.parent_hip_fracture": True}


@pytest.mark.parametrize(
    "onset, what",
    [
        ({"onsetAge": {"value": 71, "code": "a"}}, "person.mother_hip_fracture_after_50"),
        (
            {"onsetRange": {"low": {"value": 60, "code": "a"}}},
            "person.mother_hip_fracture_after_50",
        ),
        ({"onsetAge": {"value": 50, "code": "a"}}, "person.parent_hip_fracture"),
        ({"onsetAge": {"value": 71, "code": "mo"}}, "person.parent_hip_fracture"),
        ({"onsetString": "old"}, "person.parent_hip_fracture"),
    ],
)
def test_the_mothers_age_counts_where_it_is_given_in_years(onset, what):
    broken = [{"code": coded("fracture.hip.low_trauma"), **onset}]
    assert values(read(family("MTH", condition=broken))) == {what: True}
    father = values(read(family("FTH", condition=broken)))
    assert father == {"person.parent_hip_fracture": True}


@pytest.mark.parametrize(
    "resource",
    [
        family("GRMTH"),
        family("MTHFOST"),
        family("MTH", "fracture.vertebral"),
        family(status="entered-in-error"),
        family(status="health-unknown"),
    ],
)
def test_other_relatives_and_other_conditions_are_left_aside(resource):
    reading = read(resource)
    assert reading.facts == () and len(reading.ignored) == 1
