"""Damaged FHIR: never an exception, at most one line each, and the neighbours are still read."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endplate import units, vocabulary
from endplate.record import PatientRecord
from unit.exchange.made_fhir import (
    CLINICAL,
    LOINC,
    TODAY,
    UCUM,
    administration,
    allergy,
    bundle,
    coded,
    condition,
    family,
    imaging,
    observation,
    patient,
    problems,
    procedure,
    quantity,
    read,
    report,
    request,
    response,
    statement,
)

BEFORE = observation("lab.albumin", id="before", valueQuantity=quantity(4.1, "g/dL"))
AFTER = observation("lab.calcium", id="after", valueQuantity=quantity(9.1, "mg/dL"))
MEDICATION = {"resourceType": "Medication", "id": "m1", "code": {"text": "Alendronic acid"}}

VALID = {
    "patient": patient(
        identifier=[{"system": "urn:a", "value": "1"}],
        link=[{"other": {"reference": "Patient/p9"}, "type": "seealso"}],
        deceasedBoolean=False,
    ),
    "observation": observation(
        meta={"versionId": "1", "lastUpdated": "2026-02-01T00:00:00Z"},
        bodySite={"text": "left hip"},
        interpretation=[coded("N")],
        method={"text": "enzymatic"},
        component=[{"code": coded("lab.glucose"), "valueQuantity": quantity(90, "mg/dL")}],
        hasMember=[{"reference": "Observation/9"}],
        focus=[{"reference": "Patient/p1"}],
    ),
    "t-score": observation(
        "bone.t_score.site_unknown",
        valueQuantity=quantity(-2.6, "{T-score}", comparator="<"),
        bodySite=coded("29627003", "http://snomed.info/sct"),
        device={"display": "Hologic"},
    ),
    "smoking": observation(
        code=coded("72166-2", LOINC),
        valueCodeableConcept=coded("8517006", "http://snomed.info/sct", "Former smoker"),
        effectivePeriod={"start": "2026-01-01", "end": "2026-01-02"},
        effectiveDateTime=...,
    ),
    "genotype": observation(
        code=coded("84413-4", LOINC),
        valueQuantity=...,
        valueCodeableConcept={"text": "CYP2D6*1/*4"},
        component=[
            {
                "code": coded("48018-6", LOINC),
                "valueCodeableConcept": coded("HGNC:2625", "http://www.genenames.org", "CYP2D6"),
            },
            {"code": {"text": "Activity score"}, "valueQuantity": quantity(1, "1")},
        ],
    ),
    "text": observation("lab.vitamin_d", valueString="24 ng/mL", effectiveDateTime="2019-05"),
    "ratio": observation(
        valueRatio={"numerator": quantity(18, "mg"), "denominator": quantity(2, "dL")}
    ),
    "condition": condition(
        clinicalStatus=coded("resolved", CLINICAL),
        abatementDateTime="2022-06-01",
        recordedDate="2021-01-01",
        bodySite=[{"text": "L3"}],
    ),
    "condition by age": condition(onsetDateTime=..., onsetAge={"value": 66, "code": "a"}),
    "procedure": procedure(
        performedDateTime=..., performedPeriod={"start": "2020-01-01", "end": "2020-01-02"}
    ),
    "allergy": allergy("Alendronic acid", reaction=[{"substance": {"text": "x"}}]),
    "family": family(condition=[{"code": coded("fracture.hip"), "onsetAge": quantity(60, "a")}]),
    "request": request(
        medicationCodeableConcept=...,
        contained=[MEDICATION],
        medicationReference={"reference": "#m1", "display": "alendronic acid"},
        dosageInstruction=[
            {
                "text": "weekly",
                "route": {"text": "oral"},
                "timing": {"repeat": {"boundsPeriod": {"start": "2025-02-01"}}},
            }
        ],
        dispenseRequest={"validityPeriod": {"start": "2025-02-01", "end": "2026-12-01"}},
    ),
    "statement": statement(effectivePeriod={"start": "2024-01-01"}, dosage=[{"text": "weekly"}]),
    "administration": administration(dosage={"text": "once"}),
    "report": report(
        conclusion="Stenosis.",
        conclusionCode=[{"text": "Stenosis"}],
        contained=[observation(id="o1")],
        result=[{"reference": "#o1"}, {"reference": "Observation/2"}],
        presentedForm=[{"contentType": "application/pdf"}],
    ),
    "response": response(
        {"linkId": "1", "text": "?", "answer": [{"valueInteger": 3}]},
        {"linkId": "lab.creatinine", "answer": [{"valueQuantity": quantity(0.9, "mg/dL")}]},
    ),
    "imaging": imaging(),
    "device use": {
        "resourceType": "DeviceUseStatement",
        "id": "1",
        "status": "active",
        "subject": {"reference": "Patient/p1"},
        "contained": [{"resourceType": "Device", "id": "d", "type": {"text": "Pacemaker"}}],
        "device": {"reference": "#d"},
        "timingPeriod": {"start": "2020-01-01"},
    },
}

DROP = object()
DEEP: Any = "deep"
for _ in range(60):
    DEEP = [{"a": DEEP}]

DAMAGE: tuple[Any, ...] = (
    DROP, None, "", [], {}, 0, -1, 1e300, True, False, "x", "x" * 100_000, "2026-99-99", "\x00",
    "#", "urn:", "Patient/", [None], [[]], [1, 2], ["a", "b"], {"a": 1}, {"value": "x"},
    {"coding": 5}, {"coding": [5]}, {"coding": [{"code": [1], "system": {}}]}, {"reference": 5},
    {"start": 5, "end": []}, {"value": {"value": 1}}, [{}, {}], [{"a": 1}, 5], DEEP,
)  # fmt: skip


def paths(value: Any, so_far: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value below its root."""
    inside = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for name, child in inside:
        yield (*so_far, name)
        yield from paths(child, (*so_far, name))


def damaged(resource: Any, path: tuple[Any, ...], by: Any) -> Any:
    whole = copy.deepcopy(resource)
    at = whole
    for name in path[:-1]:
        at = at[name]
    if by is DROP:
        del at[path[-1]]
    else:
        at[path[-1]] = by
    return whole


def expect_harmless(resource: Any) -> None:
    """One damaged resource between two sound ones."""
    reading = read(BEFORE, resource, AFTER)
    sources = {fact.source for fact in reading.facts}
    assert {"Observation/before", "Observation/after"} <= sources
    assert len(reading.problems) <= 1
    assert problems(reading) != ["fhir.defect"]
    if reading.problems:
        assert reading.problems[0].where == "made.ndjson:2"


@pytest.mark.parametrize("name", VALID)
def test_the_undamaged_resource_is_read(name):
    reading = read(BEFORE, VALID[name], AFTER)
    assert len(reading.facts) > 2 and reading.problems == ()


@pytest.mark.parametrize("name", VALID)
def test_every_single_damage_costs_at_most_its_own_resource(name):
    resource = VALID[name]
    for path in paths(resource):
        for by in DAMAGE:
            expect_harmless(damaged(resource, path, by))


@st.composite
def much_damaged(draw: st.DrawFn) -> Any:
    resource = VALID[draw(st.sampled_from(sorted(VALID)))]
    for _ in range(draw(st.integers(2, 5))):
        there = list(paths(resource))
        if not there:
            break
        by = draw(st.sampled_from(DAMAGE) | st.recursive(
            st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
            lambda inside: st.lists(inside, max_size=3)
            | st.dictionaries(st.sampled_from(KEYS), inside, max_size=3),
            max_leaves=6,
        ))  # fmt: skip
        resource = damaged(resource, draw(st.sampled_from(there)), by)
    return resource


KEYS = sorted(
    {
        name
        for one in VALID.values()
        for path in paths(one)
        for name in path
        if isinstance(name, str)
    }
)


@settings(max_examples=250, deadline=None)
@given(much_damaged())
def test_many_damages_at_once(resource):
    expect_harmless(resource)


@settings(max_examples=100, deadline=None)
@given(st.lists(much_damaged(), max_size=4), st.integers(0, 4))
def test_damaged_entries_of_a_bundle(resources, at):
    whole = bundle(*resources[:at], BEFORE, *resources[at:], patient())
    reading = read(whole)
    assert "Observation/before" in {fact.source for fact in reading.facts}
    assert "fhir.defect" not in problems(reading)
    # A damaged "contained" or fullUrl cannot spread: one line for each entry at most.
    places = [p.where for p in reading.problems]
    assert len(places) == len(set(places)) <= len(resources)


# -- what damage must never do ----------------------------------------------------------------

_HIDES_A_STATUS = (DROP, None, "", [], {})

NOT_TRUE = {
    "entered in error": (observation(status="entered-in-error"), "status"),
    "cancelled": (request(status="cancelled"), "status"),
    "ruled out": (condition(verificationStatus=coded("refuted")), "verificationStatus"),
    "not done": (procedure(status="not-done"), "status"),
}


@pytest.mark.parametrize("name", NOT_TRUE)
def test_no_damage_makes_an_undoubted_fact_of_what_does_not_hold(name):
    resource, status = NOT_TRUE[name]
    for path in paths(resource):
        for by in DAMAGE:
            if path[0] == status and by in _HIDES_A_STATUS:
                continue  # an absent verification status is usual, and means confirmed
            reading = read(damaged(resource, path, by))
            assert all(fact.quality == "doubtful" for fact in reading.facts), (path, by)


def test_no_damage_makes_what_has_ended_present_without_doubt():
    resource = VALID["condition"]
    for path in paths(resource):
        for by in DAMAGE:
            facts = read(damaged(resource, path, by)).facts
            now = PatientRecord.of(facts).known_on(TODAY).has("condition.osteoporosis")
            assert not now.yes or all(f.quality == "doubtful" for f in now.because), (path, by)


def test_no_damage_changes_the_value():
    """What is read from a damaged quantity is the value that was given, or nothing."""
    resource = observation(valueQuantity=quantity(0.9, "mg/dL"))
    for path in paths(resource["valueQuantity"], ("valueQuantity",)):
        for by in DAMAGE:
            if path[-1] == "value" and by.__class__ in (int, float):
                continue
            for fact in read(damaged(resource, path, by)).facts:
                assert fact.number == 0.9, (path, by)


# -- units ------------------------------------------------------------------------------------

RELABELLED = [
    ("lab.creatinine", "mg/dL", "umol/L", 0.4, 8),
    ("lab.vitamin_d", "ng/mL", "nmol/L", 8, 90),
    ("lab.glucose", "mg/dL", "mmol/L", 40, 400),
    ("lab.cholesterol", "mg/dL", "mmol/L", 80, 400),
    ("lab.hba1c", "%", "mmol/mol", 4, 14),
    ("lab.albumin", "g/dL", "g/L", 1.5, 6),
    ("lab.thyrotropin", "m[IU]/L", "u[IU]/mL", 0.01, 90),
    ("person.weight", "kg", "[lb_av]", 40, 200),
    ("person.height", "cm", "[in_i]", 120, 210),
    ("bone.mineral_density.total_hip", "g/cm2", "kg/m2", 0.3, 1.8),
]


@pytest.mark.parametrize("what, unit, other, low, high", RELABELLED)
@settings(max_examples=25, deadline=None)
@given(st.data())
def test_another_unit_for_the_same_result_is_the_same_fact(what, unit, other, low, high, data):
    value = data.draw(st.floats(low, high))
    substance = vocabulary.concept(what).substance
    converted = units.convert(value, unit, other, substance)
    labels = [
        {"value": value, "unit": unit, "system": UCUM, "code": unit},
        {"value": converted, "unit": other, "system": UCUM, "code": other},
        {"value": converted, "unit": other},
        {"value": str(converted), "code": other, "system": UCUM},
    ]
    numbers = []
    for label in labels:
        (fact,) = read(observation(what, valueQuantity=label)).facts
        numbers.append(fact.number)
    assert numbers == pytest.approx([value] * len(labels), rel=1e-6)
