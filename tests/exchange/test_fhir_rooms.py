"""FHIR out and in for genes, medicines, answers and red flags: valid, and the same read back."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest

from endplate import evidence
from endplate.cli.main import main
from endplate.exchange.fhir.read import read_fhir
from endplate.exchange.fhir.write import bundle
from endplate.plan.care_plan import arranged, findings_of
from endplate.record import PatientRecord
from endplate.vocabulary import FINDING_SYSTEM, LOCAL_SYSTEM

from patients import ON, PatientBuilder, fact, patient

Json = dict[str, Any]
LOINC = "http://loinc.org"


def dose(mg: float, **more: Any) -> dict[str, Any]:
    return {"daily_dose": float(mg), "daily_dose_unit": "mg", **more}


def person() -> PatientBuilder:
    """Genes, medicines with doses, answers and red flags, of one person."""
    made = (
        patient()
        .woman(71)
        .having(
            "gene.cyp2d6.diplotype", "*4/*4", method="endplate.star_alleles/1", source="genes.vcf",
            details={"called_from": "variants", "copy_number": "unknown", "phased": "no"},
        )
        .having("gene.cyp2c19.diplotype", "*1/*17")
        .having("gene.cyp2c9.diplotype", "*2/*3 or *1/*2")
        .having("gene.cyp3a5.phenotype", "poor_metaboliser")
        .having("gene.cyp2b6.diplotype", "*1/*6")
        .having("gene.hla_b_15_02")
        .having("gene.hla_a_31_01", False)
        .having("gene.comt.rs4680", "A/G")
        .having("medicine.codeine", details=dose(120, dose=30.0, times_per_day=4.0, dose_unit="mg"))
        .having("medicine.morphine", details=dose(
            60, product="Morphine sulfate 10 MG Oral Tablet", dosage="1-2 tablets every 8 hours",
            daily_dose_least=30.0))
        .having("medicine.tramadol", details=dose(400, as_needed="yes", daily_dose_least=0.0))
        .having("medicine.fentanyl", details={
            "daily_dose": 25.0, "daily_dose_unit": "ug/h", "dose": 25.0, "dose_form": "patch",
            "product": "Fentanyl 25 MCG/HR Transdermal Patch"})
        .having("medicine.gabapentin", details=dose(
            2400, dose=800.0, times_per_day=3.0, dosage="1 tablet three times a day"))
        .having("medicine.diazepam")
        .having("medicine.ibuprofen", details=dose(1200, dose=600.0, times_per_day=2.0))
        .having("medicine.naproxen")
        .having("medicine.duloxetine")
        .having("medicine.phenelzine")
        .having("medicine.fluoxetine")
        .having("medicine.carbamazepine")
        .having("medicine.amitriptyline", details=dose(50))
        .having("lab.creatinine", 2.4)
        .having("person.weight", 50)
        .having("person.height", 160)
        .having("condition.sleep_apnoea")
        .having("pain.red_flag.saddle_sensory_change")
        .having("pain.red_flag.bladder_dysfunction", False)
        .having("pain.red_flag.fever")
        .having("after_surgery.temperature", 38.7, on=ON)
    )  # fmt: skip
    for form, items, answer in (("phq9", 9, 2), ("gad7", 7, 1), ("odi", 10, 3)):
        for n in range(1, items + 1):
            made.having(f"questionnaire.{form}.item{n}", answer)
    return made


def injured() -> PatientBuilder:
    made = patient().man(40).having("cord_injury.exam_days", 5).having("cord_injury.ais_grade", "d")
    for what, grade in (("l3_motor", 4), ("s1_motor", 4), ("l3_light_touch", 2),
                        ("s1_light_touch", 1)):  # fmt: skip
        made.having(f"cord_injury.{what}", grade)
    return made


@cache
def written(which: Any = person) -> Json:
    record = which().record
    findings = findings_of(record, ON, evidence.shipped())
    plan = arranged(findings, ON, evidence.shipped())
    return bundle(record, findings, plan, on=ON, version="0")


def resources(made: Json, kind: str) -> list[Json]:
    return [e["resource"] for e in made["entry"] if e["resource"]["resourceType"] == kind]


def by_key(made: Json, kind: str) -> dict[str, Json]:
    """Resources of findings by the finding's key."""
    found = {}
    for one in resources(made, kind):
        code = one.get("code") or one.get("method") or {}
        for coding in code.get("coding", []):
            if coding.get("system") == FINDING_SYSTEM:
                found[coding["code"]] = one
    return found


def codes(one: Json, system: str = LOINC) -> list[str]:
    return [c["code"] for c in one.get("coding", []) if c["system"] == system]


def part(one: Json, name: str) -> Json:
    """The value of one component of a finding."""
    (found,) = [
        c for c in one["component"] for code in codes(c["code"], FINDING_SYSTEM)
        if code.endswith(f"#{name}")
    ]  # fmt: skip
    return {key: value for key, value in found.items() if key != "code"}


# -- out --------------------------------------------------------------------------------------


@pytest.mark.peer
@pytest.mark.parametrize("validator", ["R4 schema", "lantana", "fhir.resources"])
@pytest.mark.parametrize("which", [person, injured])
def test_the_case_is_valid(fhir_validators, validator, which):
    assert [e for found in fhir_validators[validator]([written(which)]) for e in found] == []


HAZARDS = {
    "pain.red_flags@cauda_equina": ("high", ""),
    "pain.red_flags@spinal_infection": (None, ""),
    "questionnaires.phq9@safety": ("high", ""),
    "recovery.red_flags@same_day": (None, ""),
    "medicines.opioid_with_sedatives@benzodiazepine": ("high", "DRG"),
    "medicines.opioid_with_sedatives@gabapentinoid": (None, "DRG"),
    "medicines.serotonergic": ("high", "DRG"),
    "medicines.interactions@medicine.codeine CYP2D6 inhibitor": (None, "DRG"),
    "medicines.duplicates@nsaid": (None, "DUPTHPY"),
    "medicines.renal_dosing@morphine": (None, "COND"),
    "medicines.renal_dosing@gabapentin": (None, "DOSEH"),
    "medicines.opioid_genes@codeine": (None, "GEN"),
    "medicines.nsaid_genes@ibuprofen": (None, "GEN"),
    "medicines.carbamazepine_hla@carbamazepine": (None, "GEN"),
}


@pytest.mark.parametrize("key", HAZARDS)
def test_a_hazard_is_an_issue_with_what_it_is_about(key):
    issue = by_key(written(), "DetectedIssue")[key]
    severity, alert = HAZARDS[key]
    assert issue.get("severity") == severity
    assert codes(issue["code"], "http://terminology.hl7.org/CodeSystem/v3-ActCode") == (
        [alert] if alert else []
    )
    if key.startswith("medicines."):
        there = {f"urn:uuid:{r['id']}" for r in resources(written(), "MedicationStatement")}
        assert issue["implicated"] and {r["reference"] for r in issue["implicated"]} <= there
    else:
        assert issue["evidence"][0]["detail"]


def test_advice_that_is_open_and_may_be_to_reduce_is_an_issue_and_stays_undecided():
    issue = by_key(written(), "DetectedIssue")["medicines.nsaid_genes@ibuprofen"]
    assert "open" in issue["detail"]
    (activity,) = [
        a["detail"] for a in resources(written(), "CarePlan")[0]["activity"]
        if codes(a.get("detail", {}).get("code", {}), FINDING_SYSTEM)
        == ["medicines.nsaid_genes@ibuprofen"]
    ]  # fmt: skip
    assert "Not decided" in activity["statusReason"]["text"]


@pytest.mark.parametrize(
    "key",
    [
        "pain.red_flags",
        "recovery.red_flags",
        "medicines.nsaid_genes@naproxen",
        "medicines.interactions@medicine.morphine UGT2B7 inhibitor",
    ],
)
def test_what_asks_for_no_change_is_no_issue(key):
    assert key not in by_key(written(), "DetectedIssue")
    record = person().record
    assert key in {f.key for f in findings_of(record, ON, evidence.shipped())}


def test_no_finding_is_lost():
    record = person().record
    text = json.dumps([e["resource"] for e in written()["entry"][:-1]])  # but for the provenance
    for finding in findings_of(record, ON, evidence.shipped()):
        if finding.status != "unknown":
            assert f'"{finding.key}"' in text or f"({finding.key})" in text, finding.key


def test_a_genotype_names_its_gene_and_says_that_copies_are_unknown():
    (one,) = [o for o in resources(written(), "Observation")
              if codes(o["code"], LOCAL_SYSTEM) == ["gene.cyp2d6.diplotype"]]  # fmt: skip
    assert codes(one["code"]) == ["84413-4"]
    assert one["valueCodeableConcept"] == {"text": "CYP2D6 *4/*4"}
    studied = one["component"][0]
    assert codes(studied["code"]) == ["48018-6"]
    assert codes(studied["valueCodeableConcept"], "http://www.genenames.org") == ["HGNC:2625"]
    assert any("Copy number" in n["text"] for n in one["note"])
    assert one["method"]["coding"][0]["code"] == "endplate.star_alleles/1"


def test_a_gene_of_research_says_so_and_has_no_id_that_nobody_verified():
    (one,) = [o for o in resources(written(), "Observation")
              if codes(o["code"], LOCAL_SYSTEM) == ["gene.comt.rs4680"]]  # fmt: skip
    assert any(n["text"].startswith("Research") for n in one["note"])
    assert one["component"][0]["valueCodeableConcept"] == {"text": "COMT"}


def test_a_phenotype_has_the_activity_score_as_a_component():
    one = by_key(written(), "Observation")["medicines.cyp2d6"]
    assert codes(one["code"]) == ["53040-2"]
    assert codes(one["valueCodeableConcept"]) == ["LA9657-3"]
    assert part(one, "activity_score") == {"valueString": "0"}


def test_gene_advice_names_the_medicine():
    one = by_key(written(), "Observation")["medicines.opioid_genes@codeine"]
    assert codes(one["component"][0]["code"]) == ["51963-7"]
    assert "medicine.codeine" in codes(one["component"][0]["valueCodeableConcept"], LOCAL_SYSTEM)
    assert one["derivedFrom"]


def test_scores_carry_the_codes_of_loinc_that_are_verified():
    there = by_key(written(), "Observation")
    assert codes(there["questionnaires.phq9"]["code"]) == ["44261-6"]
    assert codes(there["questionnaires.gad7"]["code"]) == ["70274-6"]
    assert codes(there["questionnaires.odi"]["code"]) == []
    assert there["questionnaires.phq9"]["valueQuantity"]["value"] == 18
    assert there["medicines.mme"]["valueQuantity"]["value"] == pytest.approx(
        120 * 0.15 + 60 * 1 + 400 * 0.2 + 25 * 2.4
    )


def test_a_chance_to_walk_is_a_risk_with_its_time_and_its_points_a_score():
    made = written(injured)
    risks, scores = by_key(made, "RiskAssessment"), by_key(made, "Observation")
    (one,) = risks["risk.van_middendorp"]["prediction"]
    points = scores["risk.van_middendorp"]
    chance = part(points, "probability")["valueQuantity"]["value"]
    assert one["probabilityDecimal"] == pytest.approx(100 * chance, abs=1e-3)
    assert one["whenPeriod"] == {"start": "2026-04-26", "end": "2027-04-26"}
    (other,) = risks["risk.hicks"]["prediction"]
    assert "whenPeriod" not in other and "12 months" in other["outcome"]["text"]


def test_a_chance_from_a_case_control_study_is_no_risk():
    assert not [k for k in by_key(written(), "RiskAssessment") if "riosord" in k]


# -- there and back ---------------------------------------------------------------------------

NUMBERS = ("daily_dose", "daily_dose_unit", "as_needed", "copy_number", "called_from", "phased")


def read_back(made: Json, tmp_path: Any) -> PatientRecord:
    path = tmp_path / "record.json"
    path.write_text(json.dumps(made))
    reading = read_fhir([path], ON)
    assert reading.problems == ()
    return PatientRecord.of(reading.facts)


def test_what_is_read_back_is_what_was_written(tmp_path):
    def essence(record):
        return {
            (f.what, f.value, f.unit, f.on,
             f.details.get("daily_dose_least", f.details.get("daily_dose")),
             *(f.details.get(n) for n in NUMBERS))
            for f in record.facts if f.what.startswith(("gene.", "medicine.", "questionnaire."))
        }  # fmt: skip

    assert essence(read_back(written(), tmp_path)) == essence(person().record)


def test_the_findings_of_what_is_read_back_are_the_same(tmp_path):
    def answers(record):
        rooms = ("medicines.", "questionnaires.", "pain.red_flags", "recovery.red_flags")
        found = findings_of(record, ON, evidence.shipped())
        return {(f.key, f.category, f.value) for f in found if f.rule.startswith(rooms)}

    assert answers(read_back(written(), tmp_path)) == answers(person().record)


def test_what_was_computed_is_computed_anew(tmp_path):
    """An index that came back as a fact would outlive a change of what it was computed from."""
    (one,) = [o for o in resources(written(), "Observation")
              if "person.body_mass_index" in codes(o["code"], LOCAL_SYSTEM)]  # fmt: skip
    assert one["status"] == "preliminary"
    there = {f.what for f in read_back(written(), tmp_path).facts}
    assert there.isdisjoint({"opioid.mme_per_day", "person.body_mass_index"})


@pytest.mark.parametrize(
    "details, wanted",
    [
        (dose(120, dose=30.0, times_per_day=4.0), ("elements", 120, 120)),
        (dose(70, dose=70.0, times_per_day=1 / 7, dosage="70 mg weekly"), ("elements", 70, 70)),
        (dose(120), ("text", 120, 120)),
        (dose(40, daily_dose_least=20.0), ("text", 40, 20)),
        (dose(60, daily_dose_least=0.0, as_needed="yes", dose=10.0, times_per_day=6.0),
         ("elements", 60, 0)),
        (dose(60, daily_dose_least=40.0, dose=10.0, times_per_day=6.0,
              dosage="10 mg every 4-6 hours"), ("text", 60, 40)),
        (dose(60, daily_dose_least=0.0, as_needed="yes", dose=10.0, times_per_day=6.0,
              product="Morphine 5 MG Oral Tablet",
              dosage="1-2 tablets every 4 hours as needed"), ("text", 60, 0)),
        ({"dosage": "as before"}, ("text", None, None)),
        ({}, (None, None, None)),
    ],
)  # fmt: skip
def test_a_dose_is_written_so_that_it_reads_back(tmp_path, details, wanted):
    record = PatientRecord.of([fact("medicine.morphine", details=details)])
    findings = findings_of(record, ON, evidence.shipped())
    made = bundle(record, findings, arranged(findings, ON, evidence.shipped()), on=ON, version="0")
    (one,) = resources(made, "MedicationStatement")
    form, high, least = wanted
    (dosage,) = one.get("dosage", [{}])
    assert ("timing" in dosage) == (form == "elements")
    assert bool(dosage) == bool(form)
    path = tmp_path / "record.json"
    path.write_text(json.dumps(made))
    (back,) = [f for f in read_fhir([path], ON).facts if f.what == "medicine.morphine"]
    assert back.details.get("daily_dose") == high
    assert back.details.get("daily_dose_least", back.details.get("daily_dose")) == least


# -- what a person is told --------------------------------------------------------------------


def test_read_tells_genes_doses_and_answers(tmp_path, capsys, monkeypatch):
    made = json.loads(json.dumps(written()))
    kinds = ("Patient", "Observation", "MedicationStatement", "QuestionnaireResponse")
    made["entry"] = [e for e in made["entry"] if e["resource"]["resourceType"] in kinds]
    for one in (made, *(e["resource"] for e in made["entry"])):
        one.pop("meta")  # else it is known as an output of ours
    (tmp_path / "record.json").write_text(json.dumps(made))
    monkeypatch.setenv("COLUMNS", "400")
    assert main(["read", str(tmp_path), "--on", ON.isoformat()]) == 0
    said = capsys.readouterr().out
    for words in (
        "*4/*4, copy number unknown", "yes, 120 mg a day", "yes, 25 µg/h as a patch",
        "yes, 0 to 400 mg a day as needed", "yes, 30 to 60 mg a day",
        "yes, dose not known", "PHQ-9, 9 answers", "1: 2, 2: 2, 3: 2",
    ):  # fmt: skip
        assert words in said, words
