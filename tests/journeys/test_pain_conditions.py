"""A diagnosis in a record that is an emergency of the spine holds the mechanism back in a plan."""

from __future__ import annotations

import json

import pytest

from endplate.cli.main import main

LOCAL = "https://endplate.example/fhir/CodeSystem/concept"
NEUROPATHIC = ("history_of_relevant_lesion", "plausible_distribution", "sensory_signs")
ICD = "http://hl7.org/fhir/sid/icd-10-cm"
SNOMED = "http://snomed.info/sct"


def patient_and(*others):
    person = {"resourceType": "Patient", "id": "p", "gender": "female", "birthDate": "1970-01-01"}
    entry = [{"resource": r} for r in (person, *others)]
    return json.dumps({"resourceType": "Bundle", "type": "collection", "entry": entry})


def answer(name, value=True):
    return {
        "resourceType": "Observation", "id": name, "status": "final",
        "code": {"coding": [{"system": LOCAL, "code": f"pain.neuropathic.{name}"}]},
        "subject": {"reference": "Patient/p"}, "effectiveDateTime": "2026-11-10",
        "valueBoolean": value,
    }  # fmt: skip


def diagnosis(code, status="active"):
    system = "http://terminology.hl7.org/CodeSystem/condition-clinical"
    return {
        "resourceType": "Condition", "id": "c", "code": code, "onsetDateTime": "2026-11-15",
        "clinicalStatus": {"coding": [{"system": system, "code": status}]},
        "subject": {"reference": "Patient/p"},
    }  # fmt: skip


def planned(tmp_path, *resources):
    case = tmp_path / "case"
    case.mkdir()
    (case / "record.json").write_text(patient_and(*resources))
    code = main(["plan", str(case), "--out", str(tmp_path / "out"), "--on", "2026-11-21"])
    assert code == 0
    return json.loads((tmp_path / "out" / "plan.json").read_text())["findings"]


@pytest.mark.parametrize(
    "code",
    [
        {"text": "Cauda equina syndrome"},
        {"coding": [{"system": ICD, "code": "G83.4"}]},
        {"coding": [{"system": SNOMED, "code": "192970008"}]},
        {"text": "Retention of urine"},
    ],
)
def test_an_emergency_among_the_diagnoses_stands_first(tmp_path, code):
    found = planned(tmp_path, *map(answer, NEUROPATHIC), diagnosis(code))
    first = found[0]
    assert (first["rule"], first["about"]) == ("pain.red_flags", "cauda_equina")
    assert first["urgency"] == "emergency"
    by_rule = {f["rule"]: f for f in found}
    assert by_rule["pain.mechanism"]["status"] == "not_applicable"
    assert "pain.neupsig" not in by_rule


def test_one_that_was_over_counts_for_nothing(tmp_path):
    over = diagnosis({"text": "Cauda equina syndrome"}, "resolved")
    over["abatementDateTime"] = "2026-11-16"
    found = planned(tmp_path, *map(answer, NEUROPATHIC), over)
    assert {f["category"] for f in found if f["rule"] == "pain.neupsig"} == {"probable"}


def test_a_fever_without_pain_begins_no_questions_of_pain(tmp_path):
    found = planned(tmp_path, diagnosis({"text": "Fever"}))
    assert not [f for f in found if f["rule"].startswith("pain.")]
