"""Conditions that opioid safety, kidney doses and red flags read: by code, and by name."""

from __future__ import annotations

import pytest

from endplate.record import PatientRecord
from unit.exchange.made_fhir import SNOMED, TODAY, coded, condition, read

ICD10 = "http://hl7.org/fhir/sid/icd-10"
ICD10CM = "http://hl7.org/fhir/sid/icd-10-cm"


def known(what, *resources):
    return PatientRecord.of(read(*resources).facts).known_on(TODAY).ever(what).answer


@pytest.mark.parametrize(
    "system, code, what",
    [
        (SNOMED, "78275009", "condition.sleep_apnoea"),
        (SNOMED, "78275009", "condition.sleep_disordered_breathing"),
        (ICD10CM, "G47.33", "condition.sleep_apnoea"),
        (SNOMED, "75544000", "condition.opioid_use_disorder"),
        (SNOMED, "75544000", "condition.substance_use_disorder"),
        (ICD10CM, "F11.20", "condition.opioid_use_disorder"),
        (ICD10CM, "T40.2X1A", "condition.opioid_overdose"),
        (ICD10, "T40.2", "condition.opioid_overdose"),
        (SNOMED, "13645005", "condition.copd"),
        (SNOMED, "13645005", "condition.lung_disease"),
        (SNOMED, "42399005", "condition.kidney_failure"),
        (SNOMED, "46177005", "condition.kidney_failure"),
        (ICD10CM, "N18.6", "condition.kidney_failure"),
        (SNOMED, "59927004", "condition.liver_failure"),
        (SNOMED, "19943007", "condition.liver_disease"),
        (ICD10, "Z51.5", "condition.end_of_life_care"),
        (SNOMED, "192970008", "pain.red_flag.cauda_equina"),
        (ICD10, "G83.4", "pain.red_flag.cauda_equina"),
        (ICD10CM, "M46.26", "pain.red_flag.spinal_infection"),
        (SNOMED, "233985008", "pain.red_flag.known_aortic_aneurysm"),
    ],
)
def test_a_code_is_the_condition_and_what_it_implies(system, code, what):
    assert known(what, condition(code=coded(code, system))) == "yes"


@pytest.mark.parametrize(
    "system, code, what",
    [
        (ICD10CM, "T40.2X5A", "condition.opioid_overdose"),  # an adverse effect of the right dose
        (ICD10CM, "T40.2X6A", "condition.opioid_overdose"),  # too little of it
        (ICD10CM, "F11.90", "condition.opioid_use_disorder"),  # use without a disorder
        (ICD10CM, "D57.3", "condition.sickle_cell_disease"),  # the trait
        (ICD10CM, "N18.4", "condition.kidney_failure"),
    ],
)
def test_a_code_beside_it_is_not(system, code, what):
    assert known(what, condition(code=coded(code, system))) == "unknown"


@pytest.mark.parametrize(
    "words, what",
    [
        ("End-stage renal disease", "condition.kidney_failure"),
        ("Renal failure", "condition.kidney_failure"),
        ("Obstructive sleep apnea", "condition.sleep_apnoea"),
    ],
)
def test_the_words_alone_are_known_too(words, what):
    assert known(what, condition(code={"text": words})) == "yes"
