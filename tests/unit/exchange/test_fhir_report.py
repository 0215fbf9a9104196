"""Reports, questionnaires, imaging and implants."""

from __future__ import annotations

from datetime import date

import pytest

from unit.exchange.made_fhir import (
    LOINC,
    bundle,
    coded,
    coding,
    ignored,
    imaging,
    observation,
    problems,
    quantity,
    read,
    report,
    response,
    values,
)


def one(*resources):
    (fact,) = read(*resources).facts
    return fact


# -- reports ----------------------------------------------------------------------------------


def test_a_conclusion_is_kept_in_its_own_words():
    fact = one(report(conclusion="Grade 1 listhesis at L4-L5."))
    assert (fact.what, fact.value) == ("report.conclusion", "Grade 1 listhesis at L4-L5.")
    assert fact.on == date(2026, 2, 1) and fact.details["report"] == "MR lumbar spine"
    coded_only = one(report(conclusionCode=[{"text": "Spondylolisthesis"}]))
    assert coded_only.value == "Spondylolisthesis"


def test_results_inside_a_report_are_read_as_the_same_persons():
    inside = observation(subject=..., effectiveDateTime=..., id="o1")
    reading = read(report(contained=[inside], result=[{"reference": "#o1"}]))
    (fact,) = reading.facts
    assert (fact.what, fact.on) == ("lab.creatinine", date(2026, 2, 1))
    assert fact.source == "DiagnosticReport/1#o1" and fact.quality == "doubtful"


def test_results_that_are_not_in_the_record_are_counted():
    two = [{"reference": "Observation/1"}, {"reference": "Observation/2"}]
    (line,) = read(report(result=two), observation()).ignored
    assert (line.problem, line.count) == ("fhir.result_not_there", 1)


def test_results_named_by_their_bundle_address_are_there():
    whole = bundle()
    whole["entry"] = [
        {"resource": report(result=[{"reference": "urn:uuid:7"}])},
        {"fullUrl": "urn:uuid:7", "resource": observation(id=...)},
    ]
    assert ignored(read(whole)) == []


def test_an_attached_document_is_left_aside_with_the_reason():
    reading = read(report(presentedForm=[{"contentType": "application/pdf", "data": "JVBERi0="}]))
    assert reading.facts == () and ignored(reading) == ["fhir.attachment"]


@pytest.mark.parametrize("status, count", [("cancelled", 0), ("entered-in-error", 0)])
def test_a_report_that_does_not_hold_is_listed_only(status, count):
    reading = read(report(status=status, conclusion="x"))
    assert len(reading.facts) == count and len(reading.ignored) == 1


@pytest.mark.parametrize("status", ["registered", "partial", "preliminary", ...])
def test_a_report_that_is_not_final_is_doubtful(status):
    assert one(report(status=status, conclusion="x")).quality == "doubtful"


# -- questionnaires ---------------------------------------------------------------------------


def test_all_answers_of_a_questionnaire_are_one_fact():
    fact = one(
        response(
            {"linkId": "1", "answer": [{"valueInteger": 3}]},
            {"linkId": "2", "item": [{"linkId": "2.1", "answer": [{"valueBoolean": True}]}]},
            {"linkId": "3", "answer": [{"valueString": "left"}, {"valueString": "leg"}]},
            {"linkId": "4", "answer": [{"valueCoding": coding("a", "urn:x", "often")}]},
            {"linkId": "5", "answer": [{"valueQuantity": quantity(2, "km")}]},
            {"linkId": "6"},
        )
    )
    assert fact.what == "questionnaire.response"
    assert fact.value == "https://clinic.example/Questionnaire/spine|2"
    assert fact.on == date(2026, 3, 1)
    assert dict(fact.details) == {
        "1": 3.0, "2.1": "true", "3": "left; leg", "4": "often", "5": "2 km",
    }  # fmt: skip


@pytest.mark.parametrize(
    "item",
    [
        {"linkId": "lab.creatinine"},
        {"linkId": "/38483-4"},
        {"linkId": "9", "definition": "http://loinc.org#38483-4"},
    ],
)
def test_a_known_question_gives_a_fact_of_its_own(item):
    asked = item | {"answer": [{"valueQuantity": quantity(0.9, "mg/dL")}]}
    assert values(read(response(asked)))["lab.creatinine"] == 0.9


def test_the_questionnaire_itself_says_what_a_question_asks():
    form = {
        "resourceType": "Questionnaire",
        "url": "https://clinic.example/Questionnaire/spine",
        "item": [{"linkId": "7", "item": [{"linkId": "7.1", "code": [coding("38483-4", LOINC)]}]}],
    }
    answered = response({"linkId": "7.1", "answer": [{"valueQuantity": quantity(0.9, "mg/dL")}]})
    assert values(read(form, answered))["lab.creatinine"] == 0.9
    assert "lab.creatinine" not in values(read(answered))


def test_an_answer_without_the_unit_is_no_guess():
    reading = read(response({"linkId": "person.weight", "answer": [{"valueDecimal": 70}]}))
    assert "person.weight" not in values(reading) and problems(reading) == ["fact.unit_missing"]


def test_an_answer_that_cannot_be_used_keeps_the_others():
    item = {"linkId": "person.smoker", "answer": [{"valueString": "sometimes"}]}
    reading = read(response(item))
    assert problems(reading) == ["fhir.answer_not_understood"] and len(reading.facts) == 1
    unknown = {"linkId": "person.smoker", "answer": [{"valueString": "unknown"}]}
    assert ignored(read(response(unknown))) == ["fhir.answer_unknown"]


@pytest.mark.parametrize("status", ["in-progress", "stopped", ...])
def test_an_unfinished_questionnaire_is_doubtful(status):
    assert one(response(status=status)).quality == "doubtful"


def test_a_questionnaire_entered_in_error_is_listed_only():
    assert read(response(status="entered-in-error")).facts == ()


# -- imaging ----------------------------------------------------------------------------------


def test_each_series_is_a_fact():
    fact = one(imaging())
    assert (fact.what, fact.value) == ("imaging.series", "CT, Lumbar spine")
    assert dict(fact.details) == {
        "study_uid": "1.2.3", "modality": "CT", "series_uid": "1.2.3.4", "instances": 120.0,
    }  # fmt: skip
    assert fact.on == date(2026, 4, 1)


def test_a_study_without_series_is_known_by_its_modality():
    study = imaging(series=..., modality=[coding("MR", "urn:x")], description="Lumbar spine")
    assert one(study).value == "MR, Lumbar spine"


@pytest.mark.parametrize("status", ["registered", "cancelled", "entered-in-error"])
def test_a_study_without_images_is_listed_only(status):
    assert read(imaging(status=status)).facts == ()


# -- implants ---------------------------------------------------------------------------------

SUBJECT = {"subject": {"reference": "Patient/p1"}}
DEVICE = {"resourceType": "Device", "id": "d1", "type": {"text": "Pacemaker"}}
USE = {
    "resourceType": "DeviceUseStatement",
    "id": "u1",
    "status": "active",
    "device": {"reference": "Device/d1"},
    "timingPeriod": {"start": "2020-01-01"},
    **SUBJECT,
}


def test_a_device_in_use_is_kept_in_its_own_words():
    fact = one(USE, DEVICE)
    assert (fact.what, fact.value, fact.on) == ("device.other", "Pacemaker", date(2020, 1, 1))


def test_a_coded_implant_is_what_its_code_says():
    screws = DEVICE | {"type": coded("procedure.spinal_instrumentation")}
    fact = one(USE | {"bodySite": {"text": "L4-S1"}}, screws)
    assert (fact.what, fact.value) == ("procedure.spinal_instrumentation", True)
    assert fact.level == "L4-S1"


def test_the_use_of_a_device_ends():
    assert one(USE | {"status": "stopped"}, DEVICE).until == date(2020, 1, 1)
    later = {"timingPeriod": {"start": "2020-01-01", "end": "2027-01-01"}}
    assert one(USE | {"status": "stopped", **later}, DEVICE).until == date(2020, 1, 1)
    ended = USE | {"timingPeriod": {"start": "2020-01-01", "end": "2021-01-01"}}
    assert one(ended, DEVICE).until == date(2021, 1, 1)
    assert read(USE | {"status": "intended"}, DEVICE).facts == ()


def test_a_device_of_the_person_is_a_fact_and_one_of_nobody_is_not():
    own = DEVICE | {"patient": {"reference": "Patient/p1"}, "deviceName": [{"name": "X"}]}
    assert one(own).value == "Pacemaker"
    assert read(DEVICE).facts == () and ignored(read(DEVICE)) == ["fhir.device_of_nobody"]


def test_the_use_of_an_unnamed_device_is_a_problem():
    assert problems(read(USE)) == ["fhir.element_not_usable"]
    assert one(USE | {"device": {"display": "TENS unit"}}).value == "TENS unit"
