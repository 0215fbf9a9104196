"""FHIR R4 out: valid by three validators, nothing lost, nothing turned into its opposite."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from endplate import evidence, rules, vocabulary
from endplate.exchange.fhir.read import read_fhir
from endplate.exchange.fhir.write import bundle, bundle_bytes
from endplate.exchange.fhir.write import codes as write_codes
from endplate.exchange.fhir.write import findings as write_findings
from endplate.facts import Fact, InputProblem
from endplate.findings import AnyFinding, Finding, Recommendation, Stage, Status, Urgency
from endplate.plan.care_plan import INTENDED_USE, CarePlan, arranged, findings_of
from endplate.posture import Posture
from endplate.record import PatientRecord
from endplate.vocabulary import FINDING_SYSTEM

from patients import ON, PatientBuilder, fact, patient

Json = dict[str, Any]
LOCAL = vocabulary.LOCAL_SYSTEM
VERSION = "0.0.0"


# -- patients ---------------------------------------------------------------------------------


def planned(record: PatientRecord, **more: Any) -> Json:
    """The bundle of a record with all of its findings."""
    findings, plan = findings_and_plan(record)
    return bundle(record, findings, plan, on=ON, version=VERSION, **more)


def findings_and_plan(record: PatientRecord) -> tuple[tuple[AnyFinding, ...], CarePlan]:
    findings = findings_of(record, ON, evidence.shipped())
    return findings, arranged(findings, ON, evidence.shipped())


def with_only(*findings: AnyFinding, record: PatientRecord | None = None, **more: Any) -> Json:
    """A bundle of these findings alone."""
    plan = arranged(findings, ON, evidence.shipped())
    record = record or patient().woman(67).record
    return bundle(record, findings, plan, on=ON, version=VERSION, **more)


def osteoporotic() -> PatientBuilder:
    return (
        patient()
        .having("person.sex", "female")
        .having("person.birth_date", "1958-03-04")
        .with_dxa(total_hip=-2.8, lumbar_spine=-1.0)
        .with_attenuation(L1=95)
        .wanting("fusion", "L3-S1", date(2026, 8, 20))
    )


# What is measured on an image holds for its day, and does not end.
_MEASURED = ("ct.", "mr.", "vertebra.")


@cache
def generated() -> tuple[PatientRecord, ...]:
    """Records with every concept there is, again and again, in every shape a fact can have."""
    chance = random.Random(20260601)
    concepts = [c for c in vocabulary.concepts() if c not in ("person.sex", "person.birth_date")]
    records = []
    for _ in range(40):
        facts = [
            fact("person.sex", chance.choice(["female", "male", "other", "unknown"])),
            fact("person.birth_date", f"{chance.randint(1935, 2000)}-07-01"),
        ]
        for what in chance.sample(concepts, 90):
            facts += [_any_fact(what, chance) for _ in range(chance.choice([1, 1, 2]))]
        records.append(PatientRecord.of(facts))
    return tuple(records)


def _any_fact(what: str, chance: random.Random) -> Fact:
    concept = vocabulary.concept(what)
    more: dict[str, Any] = {"source": f"Observation/{chance.randint(1, 999)}"}
    if what.startswith("intent."):
        more["on"] = None
    else:
        more["on"] = ON - timedelta(days=chance.randint(1, 400))
    value: Any = chance.choice([True, True, False])
    if concept.kind == "number":
        low, high = concept.usual or concept.plausible or (1, 9)
        value = round(chance.uniform(low, high), 2)
        if concept.step:  # an item of a form has these answers and no others
            value = low + concept.step * chance.randint(0, round((high - low) / concept.step))
        if chance.random() < 0.3:
            more["interval"] = (value - 0.5, value + 0.5)
    elif concept.kind == "category":
        value = chance.choice(concept.choices)
    elif concept.kind == "date":
        value = str(ON - timedelta(days=chance.randint(1, 400)))
    elif concept.kind == "levels":
        value = chance.choice(["L3", "L4-S1"])
    elif concept.kind == "text":
        value = chance.choice(["some words", "weitere Wörter"])
    elif value and chance.random() < 0.2 and not what.startswith(_MEASURED):
        more["until"] = ON - timedelta(days=chance.choice([-30, 0, 1]))
    measured = what.startswith(_MEASURED)
    if measured:
        more["level"] = chance.choice(["L1", "L6", "T13", "L4-L5", "T10-L2"])
        more["side"] = chance.choice([None, "left", "right"])
        more["method"] = "endplate.test/1"
        more["posture"] = chance.choice([None, Posture.SUPINE, Posture.UNKNOWN])
        more["details"] = {"sd": 12.5, "voxels": 420.0, "tube_voltage": 120.0, "contrast": "no"}
    elif what.startswith("bone.t_score."):
        more["side"] = chance.choice([None, "left", "right"])
    if chance.random() < 0.2:
        more |= {"quality": "doubtful", "doubts": ("for a reason",)}
    return fact(what, value, **more)


@cache
def bundles() -> tuple[Json, ...]:
    """The bundles of all generated records and of some patients with a story."""
    stories = [
        osteoporotic(),
        osteoporotic().having("condition.malignancy").having("condition.paget_disease", False),
        osteoporotic()
        .having("medicine.denosumab")
        .having("medicine.denosumab.last_dose", "2025-06-01"),
        osteoporotic()
        .having("bone.frax_major", 18.2)
        .having("bone.frax_hip", 2.7)
        .having("person.glucocorticoid_daily_dose", 10)
        .having("bone.frax_glucocorticoids_entered"),
        PatientBuilder(),
    ]
    return tuple(planned(r) for r in (*generated(), *(story.record for story in stories)))


# -- looking into a bundle --------------------------------------------------------------------


def resources(made: Json, kind: str = "") -> list[Json]:
    found = [entry["resource"] for entry in made["entry"]]
    return [r for r in found if not kind or r["resourceType"] == kind]


def one(made: Json, kind: str) -> Json:
    (only,) = resources(made, kind)
    return only


def walk(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every element of a resource with its path, lists without their positions."""
    yield path, value
    if isinstance(value, dict):
        for name, inside in value.items():
            yield from walk(inside, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for inside in value:
            yield from walk(inside, path)


def coded(resource: Json, system: str) -> set[str]:
    """The codes of one system anywhere in a resource."""
    return {
        v["code"]
        for _, v in walk(resource)
        if isinstance(v, dict) and v.get("system") == system and "code" in v
    }


def about(made: Json, what: str, kind: str = "Observation") -> Json:
    """The one resource about a concept."""
    element = {"MedicationStatement": "medicationCodeableConcept"}.get(kind, "code")
    (only,) = [r for r in resources(made, kind) if what in coded(r[element], LOCAL)]
    return only


# -- validity ---------------------------------------------------------------------------------


@pytest.mark.peer
@pytest.mark.parametrize("validator", ["R4 schema", "lantana", "fhir.resources"])
def test_every_resource_is_valid(fhir_validators, validator):
    made = list(bundles())
    assert sum(len(b["entry"]) for b in made) > 2000
    errors = [e for found in fhir_validators[validator](made) for e in found]
    assert errors == []


@pytest.mark.peer
@pytest.mark.parametrize(
    "kind, change, seen_by",
    [
        ("Observation", {"status": "nope"}, {"R4 schema", "lantana"}),
        ("Observation", {"code": None}, {"R4 schema", "lantana", "fhir.resources"}),
        ("CarePlan", {"intent": "nope"}, {"lantana"}),
        ("CarePlan", {"colour": "red"}, {"R4 schema", "lantana", "fhir.resources"}),
        ("RiskAssessment", {"status": "nope"}, {"lantana"}),
        ("DetectedIssue", {"severity": "nope"}, {"R4 schema", "lantana"}),
    ],
)
def test_the_validators_see_a_fault(fhir_validators, kind, change, seen_by):
    right = next(r for b in bundles() for r in resources(b, kind))
    wrong = {k: v for k, v in (right | change).items() if v is not None}
    seen = {name for name, validate in fhir_validators.items() if validate([wrong])[0]}
    assert seen >= seen_by


# Required bindings of R4 (hl7.org/fhir/R4), for the elements that we write. Two of the three
# validators do not look at all of them.
REQUIRED = {
    "Bundle.type": {"collection", "transaction"},
    "CarePlan.activity.detail.kind": {"MedicationRequest", "Task"},
    "CarePlan.activity.detail.status": {"not-started"},
    "CarePlan.intent": {"proposal"},
    "CarePlan.status": {"draft"},
    "ClinicalImpression.status": {"in-progress", "completed"},
    "Condition.clinicalStatus.coding.code": {"active", "inactive"},
    "Condition.verificationStatus.coding.code": {"unconfirmed", "refuted"},
    "DetectedIssue.severity": {"high", "moderate", "low"},
    "DetectedIssue.status": {"preliminary"},
    "Device.deviceName.type": {"user-friendly-name"},
    "Device.status": {"active"},
    "MedicationStatement.status": {"active", "completed", "not-taken"},
    "Observation.status": {"preliminary", "final"},
    "Observation.valueQuantity.comparator": {"<", "<=", ">", ">="},
    "Patient.gender": {"female", "male", "other", "unknown"},
    "Procedure.status": {"completed", "not-done"},
    "Provenance.entity.role": {"source"},
    "RiskAssessment.status": {"preliminary"},
    "ServiceRequest.intent": {"proposal"},
    "ServiceRequest.status": {"draft"},
}


def test_required_codes_are_those_of_r4():
    met = Counter()
    for made in bundles():
        for resource in (made, *resources(made)):
            kind = resource["resourceType"]
            for path, value in walk({k: v for k, v in resource.items() if k != "entry"}):
                allowed = REQUIRED.get(f"{kind}.{path}")
                if allowed is not None and isinstance(value, str):
                    met[f"{kind}.{path}"] += 1
                    assert value in allowed, f"{kind}.{path}"
    assert set(REQUIRED) - set(met) <= {"Observation.valueQuantity.comparator"}


def test_the_invariants_that_no_validator_looks_at():
    for made in bundles():
        urls = [entry["fullUrl"] for entry in made["entry"]]
        assert len(urls) == len(set(urls))
        for r in resources(made):
            _empty = [p for p, v in walk(r) if v is None or v in ("", [], {})]
            assert _empty == []
            values = [name for name in r if name.startswith("value")]
            assert len(values) <= 1
            if r["resourceType"] == "Condition":
                refuted = "refuted" in json.dumps(r.get("verificationStatus", {}))
                assert refuted != ("clinicalStatus" in r)
                if "abatementDateTime" in r:
                    assert r["clinicalStatus"]["coding"][0]["code"] == "inactive"
            for activity in r.get("activity", ()) if r["resourceType"] == "CarePlan" else ():
                assert ("reference" in activity) != ("detail" in activity)
            for prediction in r.get("prediction", ()):
                assert 0 <= prediction["probabilityDecimal"] <= 100
                assert prediction["whenPeriod"]["start"] < prediction["whenPeriod"]["end"]


def test_references_lead_to_a_resource_of_that_kind_in_the_bundle():
    for made in bundles():
        there = {e["fullUrl"]: e["resource"]["resourceType"] for e in made["entry"]}
        for path, value in walk(made):
            if path.endswith(".reference") and isinstance(value, str):
                assert value in there
            if isinstance(value, dict) and "reference" in value and "type" in value:
                assert there[value["reference"]] == value["type"]


# References whose kind R4 narrows, where more than one kind could get there by mistake.
NARROWED = {
    "CarePlan.addresses": {"Condition"},
    "CarePlan.activity.detail.reasonReference": {"Condition", "Observation"},
    "CarePlan.activity.reference": {"ServiceRequest"},
    "ClinicalImpression.problem": {"Condition"},
    "ClinicalImpression.investigation.item": {"Observation"},
    "Observation.derivedFrom": {"Observation"},
}


def test_references_are_of_the_kinds_that_r4_allows():
    for made in bundles():
        for resource in resources(made):
            for path, value in walk(resource):
                allowed = NARROWED.get(f"{resource['resourceType']}.{path}")
                if allowed and isinstance(value, dict):
                    assert value["type"] in allowed


# -- nothing lost -----------------------------------------------------------------------------


def test_no_finding_is_lost():
    for record in generated()[:10]:
        findings, plan = findings_and_plan(record)
        made = bundle(record, findings, plan, on=ON, version=VERSION)
        without = [r for r in resources(made) if r["resourceType"] != "Provenance"]
        keys = set().union(*(coded(r, FINDING_SYSTEM) for r in without))
        notes = json.dumps([r.get("note") for r in resources(made, "ClinicalImpression")])
        lost = [f.key for f in findings if f.key not in keys and f"({f.key})" not in notes]
        assert lost == []
        arranged_keys = {key for keys in plan.stages.values() for key in keys}
        named = {e["what"]["identifier"]["value"] for e in one(made, "Provenance")["entity"]}
        assert arranged_keys <= named


def test_every_sentence_is_there_as_it_was_said():
    record = osteoporotic().record
    findings, _ = findings_and_plan(record)
    text = json.dumps(planned(record), ensure_ascii=False)
    assert [
        f.key for f in findings if json.dumps(f.says, ensure_ascii=False)[1:-1] not in text
    ] == []


def test_activities_follow_the_stages_of_the_plan():
    record = osteoporotic().record
    findings, plan = findings_and_plan(record)
    proposed = {f.key for f in findings if isinstance(f, Recommendation)}
    expected = [k for keys in plan.stages.values() for k in keys if k in proposed]
    details = [a["detail"] for a in one(planned(record), "CarePlan")["activity"] if "detail" in a]
    written = [d["code"]["coding"][0]["code"] for d in details if d.get("kind") != "Task"]
    assert written == expected


def test_provenance_names_everything_with_rule_and_edition():
    made = planned(osteoporotic().record)
    provenance = one(made, "Provenance")
    targets = {t["reference"] for t in provenance["target"]}
    others = {e["fullUrl"] for e in made["entry"] if e["resource"] is not provenance}
    assert targets == others
    said = {e["what"]["identifier"]["value"]: e["what"]["display"] for e in provenance["entity"]}
    assert said["bone.osteoporosis_by_dxa"].startswith("Rule bone.osteoporosis_by_dxa, edition WHO")


def test_a_clinics_own_evidence_is_named(tmp_path):
    own = tmp_path / "clinic.toml"
    own.write_text(
        'clinic = "Ours"\n[row."bone.t_score.osteoporosis"]\nvalue = -2.4\nreason = "because"\n'
    )
    grounds = evidence.with_clinic_file(evidence.shipped(), own)
    record = osteoporotic().record
    findings = findings_of(record, ON, grounds)
    plan = arranged(findings, ON, grounds)
    made = bundle(record, findings, plan, on=ON, version=VERSION)
    entities = {e["what"]["identifier"]["value"]: e["what"]["display"]
                for e in one(made, "Provenance")["entity"]}  # fmt: skip
    assert "overridden: bone.t_score.osteoporosis" in entities["bone.osteoporosis_by_dxa"]
    assert "because" in entities["bone.t_score.osteoporosis"]
    assert any("Ours uses" in n["text"] for n in one(made, "CarePlan")["note"])


# -- nothing turned round ---------------------------------------------------------------------


def test_what_is_unknown_is_a_question_and_no_finding():
    record = osteoporotic().record
    findings, plan = findings_and_plan(record)
    made = planned(record)
    unknown = {f.key for f in findings if f.status is Status.UNKNOWN}
    assert unknown
    answered = {"finding": one(made, "ClinicalImpression")["finding"]}
    assert unknown.isdisjoint(coded(answered, FINDING_SYSTEM))
    there = {f.what for f in record.facts}
    for question in plan.open_questions:
        if question.asks not in there:
            facts = [r for r in resources(made) if r["resourceType"] in
                     ("Observation", "Condition", "MedicationStatement", "Procedure")]  # fmt: skip
            assert all(question.asks not in coded(r.get("code", {}), LOCAL) for r in facts)
    asked = {d["code"]["coding"][-1]["code"] for a in one(made, "CarePlan")["activity"]
             if (d := a.get("detail", {})).get("kind") == "Task"}  # fmt: skip
    ordered = {c for r in resources(made, "ServiceRequest") for c in coded(r["code"], LOCAL)}
    assert {q.asks for q in plan.open_questions} <= asked | ordered | {"bone.t_score.vertebra"}


def test_a_missing_test_is_a_draft_of_a_proposal_with_its_code():
    made = planned(osteoporotic().record)
    creatinine = about(made, "lab.creatinine", "ServiceRequest")
    assert (creatinine["status"], creatinine["intent"]) == ("draft", "proposal")
    assert "2160-0" in coded(creatinine["code"], "http://loinc.org")


def test_a_dxa_is_proposed_only_where_the_rule_on_it_orders_one():
    with_dxa = planned(osteoporotic().record)
    assert [r for r in resources(with_dxa, "ServiceRequest")
            if "procedure.dxa" in coded(r["code"], LOCAL)] == []  # fmt: skip
    without = planned(patient().woman(67).wanting("fusion", "L3-S1").record)
    order = about(without, "procedure.dxa", "ServiceRequest")
    assert "241686001" in coded(order["code"], "http://snomed.info/sct")


def test_an_undecided_recommendation_says_what_it_waits_for():
    plan = one(planned(osteoporotic().record), "CarePlan")
    details = [a["detail"] for a in plan["activity"] if "detail" in a]
    (teriparatide,) = [d for d in details
                       if d["code"]["coding"][0]["code"] == "bone.agent@teriparatide"]  # fmt: skip
    assert "Paget disease" in teriparatide["statusReason"]["text"]
    assert "doNotPerform" not in teriparatide


def test_something_that_speaks_against_a_medicine_is_no_double_negation():
    record = (
        osteoporotic()
        .having("condition.skeletal_malignancy")
        .having("condition.paget_disease", False)
        .record
    )
    made = planned(record)
    details = [a["detail"] for a in one(made, "CarePlan")["activity"] if "detail" in a]
    against = [d for d in details if d.get("doNotPerform")]
    assert against
    for detail in against:
        assert not detail["description"].startswith("Do not")
        assert detail["productCodeableConcept"]["text"] in detail["description"].lower()
    issue = next(r for r in resources(made, "DetectedIssue")
                 if "bone.agent@teriparatide" in coded(r, FINDING_SYSTEM))  # fmt: skip
    evidence_of = {r["reference"] for e in issue["evidence"] for r in e["detail"]}
    tumour = about(made, "condition.skeletal_malignancy", "Condition")
    paget = about(made, "condition.paget_disease", "Condition")
    assert f"urn:uuid:{tumour['id']}" in evidence_of
    assert f"urn:uuid:{paget['id']}" not in evidence_of
    assert "mitigation" not in issue  # nobody has done anything yet


def test_a_denied_condition_is_refuted_and_not_addressed():
    record = (
        osteoporotic()
        .having("condition.paget_disease", False)
        .having("condition.hypercalcaemia")
        .record
    )
    made = planned(record)
    paget = about(made, "condition.paget_disease", "Condition")
    assert coded(paget["verificationStatus"], paget["verificationStatus"]["coding"][0]["system"]) \
        == {"refuted"}  # fmt: skip
    calcium = about(made, "condition.hypercalcaemia", "Condition")
    assert [r["reference"] for r in one(made, "CarePlan")["addresses"]] == [
        f"urn:uuid:{calcium['id']}"
    ]
    assert "not in" not in json.dumps(paget)


def test_a_medicine_not_taken_and_one_that_ended_say_so():
    because = (
        fact("medicine.teriparatide", False),
        fact("medicine.alendronate", until=date(2026, 5, 20)),
        fact("medicine.risedronate", until=date(2026, 7, 20)),
    )
    made = with_only(Finding(rule="x.y", says="So.", because=because))
    for what, status in (
        ("medicine.teriparatide", "not-taken"),
        ("medicine.alendronate", "completed"),
        ("medicine.risedronate", "active"),
    ):
        assert about(made, what, "MedicationStatement")["status"] == status


def test_a_yes_or_no_is_never_under_a_standard_code():
    made = with_only(
        Finding(rule="x.y", says="So.", because=(
            fact("person.smoker", False), fact("person.pregnant", True),
        ))
    )  # fmt: skip
    for what in ("person.smoker", "person.pregnant"):
        observation = about(made, what)
        assert {c["system"] for c in observation["code"]["coding"]} == {LOCAL}
        assert observation["valueBoolean"] is (what == "person.pregnant")


def test_what_ended_is_a_condition_as_an_observation_cannot_end():
    falls = fact("person.recurrent_falls", until=date(2026, 5, 10))
    made = with_only(Finding(rule="x.y", says="So.", because=(falls,)))
    assert about(made, "person.recurrent_falls", "Condition")["abatementDateTime"] == "2026-05-10"


def test_what_was_assumed_is_said_and_not_written_as_a_fact():
    made = planned(osteoporotic().record)
    assert "Assumed, as nobody gave it: postmenopausal yes" in json.dumps(made)
    assert "person.postmenopausal" not in {
        c for r in resources(made, "Observation") for c in coded(r["code"], LOCAL)
    }


def test_a_measurement_that_is_not_usable_has_no_value():
    measured = fact("ct.hounsfield.three_location", 95, level="L1", method="endplate.ct/1",
                    details={"usable": "no"}, quality="doubtful", doubts=("metal",))  # fmt: skip
    made = with_only(record=patient().woman(67).record.with_facts([measured]))
    observation = about(made, "ct.hounsfield.three_location")
    assert "valueQuantity" not in observation
    parts = {c["code"]["text"]: c for c in observation["component"]}
    assert parts["not usable"]["valueQuantity"]["value"] == 95
    assert "metal" in observation["note"][0]["text"]


def test_a_value_below_the_limit_of_detection_keeps_its_sign():
    low = fact("lab.vitamin_d", 4, details={"comparator": "<"}, quality="doubtful",
               doubts=("reported as below this value",))  # fmt: skip
    made = with_only(Finding(rule="x.y", says="So.", because=(low,)))
    assert about(made, "lab.vitamin_d")["valueQuantity"]["comparator"] == "<"
    assert "25-hydroxyvitamin D <4 ng/mL" in json.dumps(one(made, "ClinicalImpression"))


# -- what each finding becomes ----------------------------------------------------------------


def test_a_late_dose_is_a_detected_issue_and_implicates_the_medicine():
    record = (
        osteoporotic()
        .having("medicine.denosumab")
        .having("medicine.denosumab.last_dose", "2025-06-01")
        .record
    )
    made = planned(record)
    issue = one(made, "DetectedIssue")
    assert "bone.existing_denosumab" in coded(issue, FINDING_SYSTEM)
    assert issue["severity"] == "high"
    taken = about(made, "medicine.denosumab", "MedicationStatement")
    assert [r["reference"] for r in issue["implicated"]] == [f"urn:uuid:{taken['id']}"]
    in_time = osteoporotic().having("medicine.denosumab.last_dose", "2026-05-01").record
    assert resources(planned(in_time), "DetectedIssue") == []


def test_an_emergency_is_a_detected_issue_whatever_its_rule():
    alarm = Finding(rule="x.y", says="Look now.", urgency=Urgency.EMERGENCY, stage=Stage.RED_FLAGS)
    assert one(with_only(alarm), "DetectedIssue")["severity"] == "high"


def test_frax_is_a_risk_in_percent_over_ten_years():
    major = fact("bone.frax_major", 18.2, on=date(2024, 2, 29))
    hip = fact("bone.frax_hip", 2.7)
    reached = Finding(
        rule="bone.frax_threshold", says="So.", category="reached", because=(major, hip)
    )
    made = with_only(reached)
    risk = one(made, "RiskAssessment")
    predicted = {p["outcome"]["text"]: p for p in risk["prediction"]}
    fracture = predicted["major osteoporotic fracture"]
    assert fracture["probabilityDecimal"] == 18.2
    assert fracture["whenPeriod"] == {"start": "2024-02-29", "end": "2034-02-28"}
    assert predicted["hip fracture"]["probabilityDecimal"] == 2.7
    basis = {r["reference"] for r in risk["basis"]}
    assert f"urn:uuid:{about(made, 'bone.frax_major')['id']}" in basis


def test_more_than_certain_is_no_probability():
    beyond = Finding(rule="bone.frax_lumbar_spine", says="So.", value=103.6, unit="%")
    assert resources(with_only(beyond), "RiskAssessment") == []
    assert resources(with_only(beyond), "Observation")


def test_an_adjusted_risk_holds_the_adjusted_numbers():
    record = (
        osteoporotic()
        .having("bone.frax_major", 20)
        .having("bone.frax_hip", 4)
        .having("person.glucocorticoid_daily_dose", 10)
        .having("bone.frax_glucocorticoids_entered")
    ).record
    findings, _ = findings_and_plan(record)
    (adjusted,) = [f for f in findings if f.rule == "bone.frax_glucocorticoid"]
    risk = next(r for r in resources(planned(record), "RiskAssessment")
                if "bone.frax_glucocorticoid" in coded(r, FINDING_SYSTEM))  # fmt: skip
    written = {p["outcome"]["text"]: p["probabilityDecimal"] for p in risk["prediction"]}
    assert written == {
        "major osteoporotic fracture": adjusted.parts["major"],
        "hip fracture": adjusted.parts["hip"],
    }


def test_a_score_is_an_observation_derived_from_its_facts():
    made = planned(osteoporotic().record)
    (score,) = [r for r in resources(made, "Observation")
                if "bone.hounsfield_t_score@L1" in coded(r["code"], FINDING_SYSTEM)]  # fmt: skip
    attenuation = about(made, "ct.hounsfield.three_location")
    assert [r["reference"] for r in score["derivedFrom"]] == [f"urn:uuid:{attenuation['id']}"]


def test_an_advised_amount_is_no_result_of_the_person():
    made = planned(osteoporotic().record)
    assert any("bone.calcium_intake" in coded(f, FINDING_SYSTEM)
               for f in one(made, "ClinicalImpression")["finding"])  # fmt: skip
    assert all("bone.calcium_intake" not in coded(r["code"], FINDING_SYSTEM)
               for r in resources(made, "Observation"))  # fmt: skip


def test_what_does_not_apply_is_a_note():
    made = planned(osteoporotic().having("intent.elective", False).record)
    impression = one(made, "ClinicalImpression")
    assert any("bone.time_before_surgery" in n["text"] for n in impression["note"])
    assert all("bone.time_before_surgery" not in coded(f, FINDING_SYSTEM)
               for f in impression["finding"])  # fmt: skip


def test_an_interpretation_stands_with_the_value_that_it_is_about():
    made = planned(osteoporotic().record)
    (said,) = about(made, "bone.t_score.total_hip")["interpretation"]
    assert said["coding"][0]["code"] == "bone.osteoporosis_by_dxa"
    assert "interpretation" not in about(made, "bone.t_score.lumbar_spine")


def test_the_tables_of_rules_name_rules_that_exist():
    known = {rule.id for rule in rules.find()}
    assert {name.partition("@")[0] for name, _ in write_findings.HAZARDS} <= known
    assert {*write_findings.GENE_ADVICE, *write_findings.WALKING} <= known
    assert set(write_findings.PROBABILITIES) <= known


# -- facts ------------------------------------------------------------------------------------


def test_a_measurement_shows_level_side_error_posture_method_and_details():
    measured = fact(
        "ct.hounsfield.three_location", 95, level="L1", side="left", method="endplate.ct/1",
        interval=(90.0, 101.0), posture=Posture.SUPINE, source="SOP 1.2.3 frame 4",
        details={"median": 94.0, "voxels": 420.0, "tube_voltage": 120.0, "contrast": "no"},
    )  # fmt: skip
    made = with_only(record=patient().woman(67).record.with_facts([measured]))
    observation = about(made, "ct.hounsfield.three_location")
    assert observation["status"] == "preliminary"
    assert "66794005" in coded(observation["bodySite"], "http://snomed.info/sct")
    assert observation["bodySite"]["text"] == "L1, left"
    assert "7771000" in coded(one(made, "BodyStructure"), "http://snomed.info/sct")
    parts = {c["code"]["text"]: c for c in observation["component"]}
    assert parts["interval 95"]["valueRange"]["low"]["value"] == 90.0
    assert parts["posture"]["valueString"] == "supine"
    assert parts["median"]["valueQuantity"]["code"] == "[hnsf'U]"
    assert parts["tube voltage"]["valueQuantity"]["code"] == "kV"
    assert "unit" not in parts["voxels"]["valueQuantity"]
    assert parts["contrast"]["valueString"] == "no"
    assert "referenceRange" not in observation
    assert "SOP 1.2.3 frame 4" in observation["note"][0]["text"]


def test_a_doubt_is_a_note_and_the_result_preliminary():
    doubted = fact("lab.haemoglobin", 12, quality="doubtful", doubts=("a slip?",))
    made = with_only(Finding(rule="x.y", says="So.", because=(doubted,)))
    observation = about(made, "lab.haemoglobin")
    assert observation["status"] == "preliminary"
    assert observation["note"][0]["text"] == "Doubtful: a slip?."


@pytest.mark.peer
def test_an_unknown_unit_and_concept_are_still_valid(fhir_validators):
    strange = Fact(what="other.thing", value=3.5, unit="banana/L", source="typed")
    words = Fact(what="other.words", value="blue", source="typed")
    made = with_only(Finding(rule="x.y", says="So.", because=(strange, words)))
    assert about(made, "other.thing")["valueQuantity"] == {"value": 3.5, "unit": "banana/L"}
    assert about(made, "other.words")["valueString"] == "blue"
    for name, validate in fhir_validators.items():
        assert validate([made]) == [[]], name


def test_a_unit_is_written_as_ucum_has_it():
    spelled = Fact(what="other.thing", value=3.5, unit="IU/L", source="typed")
    made = with_only(Finding(rule="x.y", says="So.", because=(spelled,)))
    assert about(made, "other.thing")["valueQuantity"]["code"] == "U/L"


def test_every_code_that_is_written_stands_in_the_vocabulary_with_its_source():
    tables = [*write_codes.LOINC.items(), *write_codes.PRESENCE.items()]
    tables += [(what, (code,)) for what, code in write_codes.TO_ORDER.items()]
    for what, codes in tables:
        there = {c.code: c for c in vocabulary.codes_of(what)}
        assert set(codes) <= set(there), what
        assert all(there[code].source for code in codes)
    assert {c.code for c in vocabulary.codes()} >= write_codes.NOT_THE_MEDICINE


@pytest.mark.parametrize(
    "what, side, expected",
    [
        ("condition.malignancy", None, ["363346000"]),
        ("condition.osteoporosis", None, ["64859006"]),
        ("bone.t_score.total_hip", None, ["38264-8"]),
        ("bone.t_score.total_hip", "left", ["80946-7"]),
        ("bone.t_score.site_unknown", None, []),
        ("lab.calcium", None, []),
        ("medicine.alendronate", None, ["391730008", "46041", "M05BA04"]),
        ("medicine.bisphosphonate", None, ["M05BA"]),
        ("person.smoker", None, []),
    ],
)
def test_no_code_says_more_than_the_concept(what, side, expected):
    assert [c.code for c in write_codes.written_codes(what, side)] == expected


# -- the bundle -------------------------------------------------------------------------------


def test_the_same_input_gives_the_same_bytes_in_any_process():
    code = (
        "from patients import *; from endplate import evidence;"
        "from endplate.exchange.fhir.write import bundle_bytes;"
        "from endplate.plan.care_plan import arranged, findings_of;"
        "from hashlib import sha256;"
        "r = patient().woman(67).with_dxa(total_hip=-2.8).wanting('fusion', 'L3-S1').record;"
        "f = findings_of(r, ON, evidence.shipped()); p = arranged(f, ON, evidence.shipped());"
        "print(sha256(bundle_bytes(r, f, p, on=ON, version='0')).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code], check=True, capture_output=True,
            env={**os.environ, "PYTHONHASHSEED": seed,
                 "PYTHONPATH": str(Path(__file__).parents[1])},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(digests) == 1
    record = osteoporotic().record
    findings, plan = findings_and_plan(record)
    options = {"on": ON, "version": VERSION}
    assert bundle_bytes(record, findings, plan, **options) == bundle_bytes(
        record, findings, plan, **options
    )


def test_two_people_of_one_sex_and_birth_date_are_two_patients():
    base = patient().having("person.sex", "female").having("person.birth_date", "1958-03-04")
    first = with_only(record=base.record)
    second = with_only(record=base.having("person.weight", 70).record)
    assert one(first, "Patient")["id"] != one(second, "Patient")["id"]


def test_the_patient_holds_sex_and_birth_date_and_nothing_else():
    person = one(planned(osteoporotic().record), "Patient")
    assert set(person) == {"resourceType", "id", "meta", "gender", "birthDate"}
    assert set(one(with_only(record=PatientRecord()), "Patient")) == {"resourceType", "id", "meta"}


def test_a_file_that_bears_a_name_is_not_named():
    named = fact("lab.haemoglobin", 12, source="Mustermann_Erika.json Bundle.entry[3]")
    made = with_only(Finding(rule="x.y", says="So.", because=(named,)))
    assert "Mustermann" not in json.dumps(made)
    assert "file " in json.dumps(one(made, "Provenance"))


def test_a_transaction_names_the_person_on_the_server():
    record = osteoporotic().record
    with pytest.raises(InputProblem, match="must name the person"):
        planned(record, kind="transaction")
    with pytest.raises(InputProblem, match="reference to a Patient"):
        planned(record, kind="transaction", subject="Erika Mustermann")
    made = planned(record, kind="transaction", subject="Patient/123")
    assert resources(made, "Patient") == []
    for entry in made["entry"]:
        resource = entry["resource"]
        url = f"{resource['resourceType']}/{resource['id']}"
        assert entry["request"] == {"method": "PUT", "url": url}
    there = {e["fullUrl"] for e in made["entry"]} | {"Patient/123"}
    assert {v for p, v in walk(made) if p.endswith(".reference") and isinstance(v, str)} <= there


def test_sending_again_with_one_more_result_leaves_the_others_as_they_were():
    before = planned(osteoporotic().record, subject="Patient/1")
    after = planned(osteoporotic().having("lab.haemoglobin", 12).record, subject="Patient/1")
    kept = {r["id"] for r in resources(before, "Observation")}
    assert kept < {r["id"] for r in resources(after, "Observation")}
    other = planned(osteoporotic().record, subject="Patient/2")
    assert kept.isdisjoint(r["id"] for r in resources(other, "Observation"))


@pytest.mark.peer
def test_a_transaction_is_valid(fhir_validators):
    made = planned(osteoporotic().record, kind="transaction", subject="Patient/123")
    for name, validate in fhir_validators.items():
        assert validate([made]) == [[]], name


def test_every_resource_says_what_it_is_for_and_whether_it_is_test_data():
    record = osteoporotic().record
    for made, security in ((planned(record), []), (planned(record, synthetic=True), ["HTEST"])):
        for resource in (made, *resources(made)):
            assert resource["meta"]["tag"][0]["display"] == INTENDED_USE
            assert [s["code"] for s in resource["meta"].get("security", [])] == security


def test_no_date_but_those_of_the_facts_and_of_the_plan():
    record = osteoporotic().record
    allowed = {str(f.on) for f in record.facts} | {str(ON)} | {"1958-03-04", "2026-08-20"}
    made = planned(record)
    dated = {"effectiveDateTime", "created", "authoredOn", "date", "recorded", "timestamp",
             "occurrenceDateTime", "identifiedDateTime"}  # fmt: skip
    found = {v[:10] for p, v in walk(made) if p.rpartition(".")[2] in dated}
    assert found <= allowed


def test_a_plan_of_another_day_or_with_other_findings_is_refused():
    record = osteoporotic().record
    findings, plan = findings_and_plan(record)
    with pytest.raises(ValueError, match="another day"):
        bundle(record, findings, plan, on=ON + timedelta(days=1), version=VERSION)
    with pytest.raises(ValueError, match="not given"):
        bundle(record, findings[1:], plan, on=ON, version=VERSION)


# -- there and back ---------------------------------------------------------------------------


def read_back(made: Json, folder: Path) -> tuple[Fact, ...]:
    path = folder / "bundle.json"
    path.write_text(json.dumps(made))
    return read_fhir([path], ON).facts


def essence(facts: Any) -> Counter[Any]:
    return Counter(
        (f.what, f.value, f.unit, f.on, f.level, f.side, f.interval,
         None if f.posture is Posture.UNKNOWN else f.posture)
        for f in facts
    )  # fmt: skip


def _is_result(one: Fact) -> bool:
    """Whether a fact is one for an Observation; a sex that is unknown is no fact to read back."""
    presence = ("condition.", "fracture.", "procedure.", "medicine.")
    return not one.what.startswith(presence) and (one.what, one.value) != ("person.sex", "unknown")


def test_observations_read_back_as_the_same_facts(tmp_path):
    kinds: set[str] = set()
    for record in generated():
        made = with_only(
            Finding(rule="x.y", says="So.", because=tuple(
                f for f in record.facts if f.what not in ("person.sex", "person.birth_date")
            )),
            record=record,
        )  # fmt: skip
        kinds |= {vocabulary.concept(f.what).kind for f in record.facts}
        written = [f for f in record.facts if f.until is None and _is_result(f)]
        back = read_back(made, tmp_path)
        names = {f.what for f in written}
        assert essence(f for f in back if f.what in names) >= essence(written)
        assert essence(back) - essence(record.facts) == Counter()
    assert kinds == {"number", "yes_no", "category", "text", "date", "levels"}


def test_what_a_person_has_and_takes_reads_back_and_what_is_denied_does_not_turn(tmp_path):
    facts = (
        fact("condition.hypercalcaemia"),
        fact("condition.rheumatoid_arthritis", until=date(2026, 5, 20)),
        fact("fracture.vertebral", level="L2"),
        fact("medicine.alendronate", until=date(2026, 5, 20)),
        fact("medicine.denosumab"),
        fact("medicine.teriparatide", False),
        fact("procedure.laminectomy", level="L4"),
        fact("condition.paget_disease", False),
        fact("procedure.radiotherapy", False),
    )
    back = read_back(with_only(Finding(rule="x.y", says="So.", because=facts)), tmp_path)
    said = {(f.what, f.value, f.on, f.until, f.level) for f in back}
    for f in facts[:7]:
        assert (f.what, f.value, f.on, f.until, f.level) in said
    assert {f.what for f in back}.isdisjoint({"condition.paget_disease", "procedure.radiotherapy"})


@pytest.mark.parametrize("damage", [{"valueRange": 5}, {"valueString": "upside down"}, {}])
def test_a_damaged_error_or_posture_does_not_cost_the_measurement(tmp_path, damage):
    measured = Fact(
        what="ct.hounsfield.three_location", value=95.0, unit="[hnsf'U]", on=ON, level="L1",
        interval=(90.0, 101.0), posture=Posture.SUPINE, source="x", method="endplate.test 1",
    )  # fmt: skip
    record = patient().woman(67).record.with_facts([measured])
    made = with_only(Finding(rule="x.y", says="So.", because=(measured,)), record=record)
    for part in resources(made, "Observation")[0]["component"]:
        code = part.pop("code")
        part.clear()
        part.update(code=code, **damage)
    (back,) = (f for f in read_back(made, tmp_path) if f.what == measured.what)
    assert back.value == 95.0 and back.interval is None and back.posture is None


def test_no_resource_of_a_finding_is_read_back_as_a_fact(tmp_path):
    record = osteoporotic().record
    back = read_back(planned(record), tmp_path)
    assert essence(back) - essence(record.facts) == Counter()


def test_the_example_of_the_documentation_runs(tmp_path, monkeypatch):
    page = Path(__file__).parents[2] / "docs/how-to/send-the-plan-to-a-health-record.md"
    example = page.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    (tmp_path / "record.json").write_text(json.dumps(planned(osteoporotic().record)))
    monkeypatch.chdir(tmp_path)
    exec(compile(example, page.name, "exec"), {})
    written = json.loads((tmp_path / "to_send.json").read_text())
    assert written["type"] == "transaction"
    assert resources(written, "CarePlan")
