"""The demonstration person: a FHIR R4 record and typed facts, generated, and nobody's.

She is a woman of 68 who needs this software. Her hip T-score says osteopenia and her spine's,
raised by degeneration, says normal; her CT, taken for the operation, says otherwise. A vertebra
is deformed and nobody wrote it down. Prednisolone lifts her fracture risk over the threshold
that her FRAX result stays below. Her alendronate, a heart attack seven months ago, a kidney that
is not quite well and an operation in eleven weeks decide what can be done, and her vitamin D was
measured in the other unit. She takes tramadol with duloxetine and gabapentin, and her genes say how
well two of her enzymes work. Her leg hurts, and her answers say how she is.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid5

import orjson

from endplate import vocabulary
from endplate.vocabulary import CODE_SYSTEMS, LOCAL_SYSTEM

SYNTHETIC = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ActReason",
    "code": "HTEST",
    "display": "test health data",
}
BORN = date(1958, 3, 14)
SCANNED = date(2026, 5, 18)
PLAN_FOR = date(2026, 6, 1)
OPERATION = date(2026, 8, 17)
_NAMESPACE = UUID("6a0f3f0c-52f5-4f3e-9d0b-5b6f5e8a2c11")

# Concept, value, unit as her laboratories wrote it, days before the plan.
_RESULTS: tuple[tuple[str, float, str, int], ...] = (
    ("person.weight", 57.5, "kg", 20),
    ("person.height", 161, "cm", 20),
    ("lab.vitamin_d", 41, "nmol/L", 24),
    ("lab.calcium", 2.31, "mmol/L", 24),
    ("lab.albumin", 38, "g/L", 24),
    ("lab.phosphate", 1.05, "mmol/L", 24),
    ("lab.creatinine", 104, "umol/L", 24),
    ("lab.egfr", 49, "mL/min/{1.73_m2}", 24),
    ("lab.alkaline_phosphatase", 71, "U/L", 24),
    ("lab.haemoglobin", 11.6, "g/dL", 24),
    ("lab.thyrotropin", 1.8, "m[IU]/L", 24),
    ("lab.hba1c", 41, "mmol/mol", 24),
    ("bone.frax_major", 18.2, "%", 40),
    ("bone.frax_hip", 2.7, "%", 40),
    ("bone.trabecular_bone_score", 1.215, "1", 40),
)
_T_SCORES = (
    ("bone.t_score.femoral_neck", -2.2, "left"),
    ("bone.t_score.total_hip", -1.9, "left"),
    ("bone.t_score.lumbar_spine", -0.6, ""),
)
# Concept, days before the plan from which it is true.
_CONDITIONS = (
    ("condition.rheumatoid_arthritis", 4000),
    ("condition.myocardial_infarction", 215),
    ("condition.hyperlipidaemia", 2900),
    ("condition.lumbar_spinal_stenosis", 600),
    ("condition.spondylolisthesis", 600),
)
# Product text as a pharmacy writes it, days before the plan, and how it is taken.
_MEDICINES = (
    ("Alendronic acid 70 MG Oral Tablet", 900, "1 tablet once a week"),
    ("Prednisolone 5 MG Oral Tablet", 1500, "2 tablets once daily"),
    ("Atorvastatin 40 MG Oral Tablet", 210, "1 tablet once daily"),
    ("Cholecalciferol 800 UNT Oral Capsule", 300, "1 capsule once daily"),
    ("Tramadol 50 MG Oral Capsule", 120, "1-2 capsules every 6 hours as needed"),
    ("Duloxetine 60 MG Delayed Release Oral Capsule", 200, "1 capsule once daily"),
    ("Gabapentin 300 MG Oral Capsule", 120, "1 capsule three times daily"),
)
# Instrument, days before the plan, answers in the order of its items; None is left blank.
_FORMS: tuple[tuple[str, int, tuple[float | bool | None, ...]], ...] = (
    ("odi", 380, (2, 1, 2, 3, 2, 3, 2, None, 2, 2)),
    ("odi", 20, (3, 1, 3, 4, 2, 4, 2, None, 3, 3)),
    ("start_back", 20, (True, True, True, True, False, False, True, False, True)),
    ("phq9", 20, (1, 1, 2, 2, 1, 0, 1, 0, 0)),
    ("gad7", 20, (1, 1, 1, 0, 0, 0, 1)),
    ("dn4", 20, (True, False, True, True, False, True, False, True, False, False)),
    ("eq5d5l", 20, (3, 2, 3, 4, 2)),
)
# What she answered: linkId (a concept's id) and answer.
_ANSWERS: tuple[tuple[str, Any], ...] = (
    ("person.postmenopausal", True),
    ("person.smoker", False),
    ("person.parent_hip_fracture", False),
    ("person.fracture_after_50", False),
    ("person.needs_arms_to_rise", True),
    ("person.can_sit_upright_30_minutes", True),
    ("person.glucocorticoid_daily_dose", 10.0),
    ("bone.frax_glucocorticoids_entered", True),
    ("condition.paget_disease", False),
    ("condition.malignancy", False),
    ("condition.hereditary_osteosarcoma_risk", False),
    ("procedure.radiotherapy", False),
    ("condition.oesophageal_disease", False),
    ("pain.presentation", "sciatica"),
    ("pain.duration", 78.0),
    ("pain.red_flag.cauda_equina", False),
    ("pain.red_flag.spinal_infection", False),
    ("pain.neuropathic.history_of_relevant_lesion", True),
    ("pain.neuropathic.plausible_distribution", True),
    ("pain.neuropathic.sensory_signs", True),
    ("pain.nociplastic.regional", False),
    ("pain.nociceptive.contribution", True),
    ("questionnaire.eq5d5l.country", "england"),
)


def bundle() -> dict[str, Any]:
    """Her record as a FHIR R4 Bundle; the same on every call."""
    resources = [_patient(), *_observations(), *_conditions(), *_medicines(), _answers(), *_forms()]
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "meta": {"security": [SYNTHETIC]},
        "entry": [
            {"fullUrl": f"urn:uuid:{resource['id']}", "resource": resource}
            for resource in resources
        ],
    }


def record_json() -> bytes:
    """Her record as JSON text."""
    return orjson.dumps(bundle(), option=orjson.OPT_INDENT_2)


def case_toml() -> str:
    """What the clinic typed: posture of the scan, and the operation it has in mind."""
    return f"""\
# SYNTHETIC: the demonstration case. This person does not exist.
title = "Demonstration case"
posture = "supine"

[intent]
procedure = "interbody_fusion"
levels = "L3-L5"
date = {OPERATION.isoformat()}
approach = "transforaminal"
elective = true
"""


def _id(*words: object) -> str:
    return str(uuid5(_NAMESPACE, "/".join(str(w) for w in words)))


def _resource(kind: str, key: object, **fields: Any) -> dict[str, Any]:
    subject = {} if kind == "Patient" else {"subject": {"reference": f"urn:uuid:{_id('Patient')}"}}
    return {
        "resourceType": kind,
        "id": _id(kind, key) if kind != "Patient" else _id("Patient"),
        "meta": {"security": [SYNTHETIC]},
        **subject,
        **fields,
    }


def _code(concept: str) -> dict[str, Any]:
    """The concept's first verified code, or its own id under the local code system."""
    name = vocabulary.concept(concept).name
    exact = [c for c in vocabulary.codes_of(concept) if c.match == "exact" and not c.side]
    coding = [
        {"system": CODE_SYSTEMS[c.system], "code": c.code, "display": c.display} for c in exact[:1]
    ]
    local = {"system": LOCAL_SYSTEM, "code": concept, "display": name}
    return {"coding": coding or [local], "text": name}


def _ago(days: int) -> str:
    return (PLAN_FOR - timedelta(days=days)).isoformat()


def _patient() -> dict[str, Any]:
    return _resource(
        "Patient",
        "",
        active=True,
        name=[{"use": "official", "text": "SYNTHETIC Person", "family": "Synthetic"}],
        gender="female",
        birthDate=BORN.isoformat(),
    )


def _observations() -> Iterable[dict[str, Any]]:
    for concept, value, unit, days in _RESULTS:
        yield _resource(
            "Observation",
            concept,
            status="final",
            code=_code(concept),
            effectiveDateTime=_ago(days),
            valueQuantity=_quantity(value, unit),
        )
    for concept, value, side in _T_SCORES:
        local = {"system": LOCAL_SYSTEM, "code": concept}
        where = {"bodySite": {"text": side}} if side else {}
        yield _resource(
            "Observation",
            concept,
            status="final",
            code={"coding": [local], "text": vocabulary.concept(concept).name},
            effectiveDateTime=_ago(40),
            valueQuantity=_quantity(value, "{T-score}"),
            **where,
        )


def _quantity(value: float, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit}


def _conditions() -> Iterable[dict[str, Any]]:
    active = "http://terminology.hl7.org/CodeSystem/condition-clinical"
    confirmed = "http://terminology.hl7.org/CodeSystem/condition-ver-status"
    for concept, days in _CONDITIONS:
        yield _resource(
            "Condition",
            concept,
            clinicalStatus={"coding": [{"system": active, "code": "active"}]},
            verificationStatus={"coding": [{"system": confirmed, "code": "confirmed"}]},
            code=_code(concept),
            onsetDateTime=_ago(days),
        )


def _medicines() -> Iterable[dict[str, Any]]:
    for text, days, dosage in _MEDICINES:
        yield _resource(
            "MedicationStatement",
            text,
            status="active",
            medicationCodeableConcept={"text": text},
            effectivePeriod={"start": _ago(days)},
            dosage=[{"text": dosage}],
        )


def _answers() -> dict[str, Any]:
    items = []
    for link, answer in _ANSWERS:
        name = vocabulary.concept(link).name
        value: dict[str, Any]
        if isinstance(answer, bool):
            value = {"valueBoolean": answer}
        elif isinstance(answer, str):
            value = {"valueString": answer}
        else:
            value = {"valueQuantity": _quantity(answer, vocabulary.concept(link).unit)}
        items.append({"linkId": link, "text": name, "answer": [value]})
    return _resource(
        "QuestionnaireResponse",
        "intake",
        questionnaire=LOCAL_SYSTEM,
        status="completed",
        authored=_ago(20),
        item=items,
    )


def _forms() -> Iterable[dict[str, Any]]:
    """Her answers to questionnaires, by the items' numbers; no form's wording."""
    for instrument, days, answers in _FORMS:
        items = [
            {
                "linkId": f"questionnaire.{instrument}.item{n}",
                "answer": [{"valueBoolean" if isinstance(a, bool) else "valueDecimal": a}],
            }
            for n, a in enumerate(answers, 1)
            if a is not None
        ]
        yield _resource(
            "QuestionnaireResponse",
            f"{instrument} {days}",
            questionnaire=LOCAL_SYSTEM,
            status="completed",
            authored=_ago(days),
            item=items,
        )
