"""The short way through a usual result takes exactly what the patient way takes."""

from __future__ import annotations

from unittest import mock

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from endplate.exchange.fhir.read import observation as module
from unit.exchange.made_fhir import LOINC, coded, coding, observation, quantity, read

ELEMENTS = {
    "status": ["final", "amended", "FINAL", "preliminary", "entered-in-error", "", 7, ...],
    "code": [
        coded("lab.creatinine"),
        coded("38483-4", LOINC),
        coded("38483-4", LOINC, "Creatinine", "creatinine in blood"),
        coded("80946-7", LOINC),
        coded("bone.t_score.site_unknown", text="left femoral neck"),
        coded("person.postmenopausal"),
        coded("1234-5", LOINC),
        {"coding": [coding("lab.creatinine"), coding("lab.calcium")]},
        {"text": "creatinine"},
        {"coding": [{"system": LOINC, "code": 5}]},
        "creatinine",
        ...,
    ],
    "effectiveDateTime": [
        "2026-01-31",
        "2026-01-31T08:00:00Z",
        "2026-01-31 08:00",
        " 2026-01-31",
        "2026-01-31X",
        "2026-01",
        "2026",
        "2026-02-30",
        "2027-01-01",
        ["2026-01-31"],
        20260131,
        "",
        ...,
    ],
    "valueQuantity": [
        quantity(0.9, "mg/dL"),
        quantity(1, "mg/dL"),
        quantity(80, "umol/L"),
        quantity(-2.1, "1"),
        quantity(0.9, "mg/dL", comparator="<"),
        quantity(0.9, "mg/dL") | {"unit": "umol/L"},
        quantity(0.9, "milli gram"),
        quantity(0.9, "spoons"),
        quantity(900.0, "mg/dL"),
        quantity("0.9", "mg/dL"),
        quantity(True, "mg/dL"),
        quantity(1e400, "mg/dL"),
        {"value": 0.9},
        {"unit": "mg/dL", "code": "mg/dL"},
        [quantity(0.9, "mg/dL")],
        {},
        ...,
    ],
}  # fmt: skip
MORE = {
    "issued": "2026-01-01T00:00:00Z",
    "category": [coded("laboratory")],
    "bodySite": coded("L3", text="L3"),
    "interpretation": [coded("H")],
    "method": coded("dxa"),
    "component": [{"code": coded("lab.calcium"), "valueQuantity": quantity(9.4, "mg/dL")}],
    "dataAbsentReason": coded("unknown"),
    "valueBoolean": True,
    "focus": [{"reference": "Patient/p2"}],
    "modifierExtension": [{"url": "not"}],
}


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.fixed_dictionaries({name: st.sampled_from(those) for name, those in ELEMENTS.items()}),
    st.lists(st.sampled_from(sorted(MORE)), max_size=1),
)
@example(
    elements={
        "status": "final",
        "code": coded("person.postmenopausal"),  # a question of yes or no
        "effectiveDateTime": "2026-01-31",
        "valueQuantity": quantity(1, "mg/dL"),
    },
    more=[],
)
def test_both_ways_say_the_same(elements, more):
    made = observation(**elements, **{name: MORE[name] for name in more})
    usual = read(made)
    with mock.patch.object(module, "_taken_as_usual", return_value=False):
        patient = read(made)
    assert usual.facts == patient.facts
    assert usual.problems == patient.problems
    assert usual.ignored == patient.ignored


def test_a_usual_result_goes_the_short_way():
    with mock.patch.object(module, "judged", side_effect=AssertionError):
        assert len(read(observation()).facts) == 1
