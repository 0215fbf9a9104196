"""FHIR resources of our own making, and reading them."""

from __future__ import annotations

import tempfile
from datetime import date
from pathlib import Path
from typing import Any

import orjson

from endplate.exchange.fhir.read import FhirReading, read_fhir
from endplate.vocabulary import LOCAL_SYSTEM

TODAY = date(2026, 11, 20)
LOINC, SNOMED = "http://loinc.org", "http://snomed.info/sct"
UCUM = "http://unitsofmeasure.org"
CLINICAL = "http://terminology.hl7.org/CodeSystem/condition-clinical"
Json = dict[str, Any]


def coding(code: str, system: str = LOCAL_SYSTEM, display: str = "") -> Json:
    return {"system": system, "code": code} | ({"display": display} if display else {})


def coded(code: str, system: str = LOCAL_SYSTEM, display: str = "", text: str = "") -> Json:
    return {"coding": [coding(code, system, display)]} | ({"text": text} if text else {})


def quantity(value: float, unit: str, **more: Any) -> Json:
    return {"value": value, "unit": unit, "system": UCUM, "code": unit} | more


def patient(**more: Any) -> Json:
    return {
        "resourceType": "Patient",
        "id": "p1",
        "gender": "female",
        "birthDate": "1950-05-01",
    } | (more)


def _of(kind: str, subject: str, basic: Json, more: Json) -> Json:
    whole = {"resourceType": kind, "id": "1", subject: {"reference": "Patient/p1"}} | basic | more
    return {name: value for name, value in whole.items() if value is not ...}


def observation(concept: str = "lab.creatinine", **more: Any) -> Json:
    """One Observation; an element given as ``...`` is left out."""
    basic: Json = {
        "status": "final",
        "code": coded(concept),
        "effectiveDateTime": "2026-01-31T08:00:00+01:00",
    }
    if not any(name.startswith("value") for name in more):
        basic["valueQuantity"] = quantity(0.9, "mg/dL")
    return _of("Observation", "subject", basic, more)


def condition(concept: str = "condition.osteoporosis", **more: Any) -> Json:
    basic = {
        "clinicalStatus": coded("active", CLINICAL),
        "verificationStatus": coded("confirmed"),
        "code": coded(concept),
        "onsetDateTime": "2020-03-01",
    }
    return _of("Condition", "subject", basic, more)


def procedure(concept: str = "procedure.spinal_fusion", **more: Any) -> Json:
    basic = {"status": "completed", "code": coded(concept), "performedDateTime": "2021-04-05"}
    return _of("Procedure", "subject", basic, more)


def request(product: str = "Alendronic acid 70 MG Oral Tablet", **more: Any) -> Json:
    basic = {
        "status": "active",
        "intent": "order",
        "medicationCodeableConcept": {"text": product},
        "authoredOn": "2025-02-01",
    }
    return _of("MedicationRequest", "subject", basic, more)


def statement(product: str = "Alendronic acid 70 MG Oral Tablet", **more: Any) -> Json:
    basic = {"status": "active", "medicationCodeableConcept": {"text": product}}
    return _of("MedicationStatement", "subject", basic, more)


def administration(product: str = "Denosumab 60 MG/ML", **more: Any) -> Json:
    basic = {
        "status": "completed",
        "medicationCodeableConcept": {"text": product},
        "effectiveDateTime": "2026-06-01",
    }
    return _of("MedicationAdministration", "subject", basic, more)


def allergy(text: str = "Latex", **more: Any) -> Json:
    basic = {
        "clinicalStatus": coded("active", CLINICAL),
        "verificationStatus": coded("confirmed"),
        "code": {"text": text},
        "recordedDate": "2019-01-01",
    }
    return _of("AllergyIntolerance", "patient", basic, more)


def family(relation: str = "MTH", concept: str = "fracture.hip", **more: Any) -> Json:
    role = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"
    basic = {
        "status": "completed",
        "relationship": coded(relation, role),
        "condition": [{"code": coded(concept)}],
        "date": "2024-01-01",
    }
    return _of("FamilyMemberHistory", "patient", basic, more)


def report(**more: Any) -> Json:
    basic = {
        "status": "final",
        "code": {"text": "MR lumbar spine"},
        "effectiveDateTime": "2026-02-01",
    }
    return _of("DiagnosticReport", "subject", basic, more)


def response(*items: Json, **more: Any) -> Json:
    basic = {
        "status": "completed",
        "questionnaire": "https://clinic.example/Questionnaire/spine|2",
        "authored": "2026-03-01",
        "item": list(items),
    }
    return _of("QuestionnaireResponse", "subject", basic, more)


def imaging(**more: Any) -> Json:
    basic = {
        "status": "available",
        "started": "2026-04-01",
        "identifier": [{"system": "urn:dicom:uid", "value": "urn:oid:1.2.3"}],
        "series": [
            {
                "uid": "1.2.3.4",
                "modality": {
                    "system": "http://dicom.nema.org/resources/ontology/DCM",
                    "code": "CT",
                },
                "bodySite": {"display": "Lumbar spine", "code": "122496007", "system": SNOMED},
                "numberOfInstances": 120,
            }
        ],
    }
    return _of("ImagingStudy", "subject", basic, more)


def bundle(*resources: Json, kind: str = "collection", **more: Any) -> Json:
    return {
        "resourceType": "Bundle",
        "type": kind,
        "entry": [{"resource": one} for one in resources],
    } | more


def read(*resources: Any) -> FhirReading:
    """What is made of resources that stand as lines in one file."""
    return read_text(b"\n".join(orjson.dumps(one) for one in resources), "made.ndjson")


def read_text(text: bytes, name: str) -> FhirReading:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(text)
        return read_fhir([path], TODAY)


def values(reading: FhirReading) -> dict[str, Any]:
    return {fact.what: fact.value for fact in reading.facts}


def problems(reading: FhirReading) -> list[str]:
    return [one.problem for one in reading.problems]


def ignored(reading: FhirReading) -> list[str]:
    return [one.problem for one in reading.ignored]
