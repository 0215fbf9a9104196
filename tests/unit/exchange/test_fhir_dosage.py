"""FHIR dosages: elements first, words where these are silent, no dose where the two differ."""

from __future__ import annotations

import copy

import pytest

from unit.exchange.made_fhir import administration, problems, read, request

TABLET = "Oxycodone Hydrochloride 5 MG Oral Tablet"


def q(value, unit):
    return {"value": value, "unit": unit, "code": unit}


def dose(value, unit="mg"):
    return {"doseAndRate": [{"doseQuantity": q(value, unit)}]}


def times(frequency=1, period=1, unit="d", **more):
    repeat = {"frequency": frequency, "period": period, "periodUnit": unit} | more
    return {"timing": {"repeat": repeat}}


def coded_time(code):
    return {"timing": {"code": {"coding": [{"code": code}]}}}


def details(product, *dosages, **more):
    facts = read(request(product, dosageInstruction=list(dosages), **more)).facts
    return facts[0].details


def day(product, *dosages, **more):
    found = details(product, *dosages, **more)
    return found.get("daily_dose"), found.get("daily_dose_least", found.get("daily_dose"))


@pytest.mark.parametrize(
    "dosage, expected",
    [
        (dose(10) | times(4), (40, 40)),
        (dose(10) | times(1, 6, "h"), (40, 40)),
        (dose(2, "{tablet}") | times(3), (30, 30)),
        (dose(2, "TAB") | times(3), (30, 30)),
        ({"doseAndRate": [{"doseQuantity": {"value": 1}}]} | times(3), (15, 15)),
        (dose(0.01, "g") | times(2), (20, 20)),
        (dose(10) | times(1, 4, "h", periodMax=6), (60, 40)),
        (dose(10) | times(1, 1, "d", frequencyMax=4), (40, 10)),
        (dose(10) | times(1, 6, "h") | {"asNeededBoolean": True}, (40, 0)),
        (dose(10) | times(1, 6, "h") | {"asNeededCodeableConcept": {"text": "pain"}}, (40, 0)),
        (dose(10) | {"timing": {"repeat": {"timeOfDay": ["08:00", "20:00"]}}}, (20, 20)),
        (dose(10) | times(1, when=["MORN", "NOON", "HS"]), (30, 30)),
        (dose(10) | times(1, 2, "d"), (10, 10)),
        (dose(5, "mg") | {"timing": {"code": {"text": "QID"}}}, (20, 20)),
        *[(dose(10) | coded_time(c), (10 * n, 10 * n))
          for c, n in (("BID", 2), ("TID", 3), ("QID", 4), ("Q4H", 6), ("QD", 1), ("Q6H", 4))],
        ({"doseAndRate": [{"doseRange": {"low": q(1, "{tablet}"), "high": q(2, "{tablet}")}}]}
         | times(1, 4, "h"), (60, 30)),
        (dose(10) | times(1, 4, "h")
         | {"maxDosePerPeriod": {"numerator": q(40, "mg"), "denominator": q(1, "d")}}, (40, 40)),
        (dose(10) | times(1, 4, "h")
         | {"maxDosePerPeriod": [{"numerator": q(40, "mg"), "denominator": q(24, "h")}]}, (40, 40)),
        ({"text": "1-2 tablets every 4-6 hours as needed, max 6 per day"}, (30, 0)),
        ({"text": "every 6 hours"} | dose(10), (40, 40)),
        (dose(10) | times(4) | {"text": "10 mg every 6 hours"}, (40, 40)),
    ],
)  # fmt: skip
def test_a_dosage_comes_to_a_day(dosage, expected):
    assert day(TABLET, dosage) == pytest.approx(expected)


def test_of_elements_and_words_that_agree_in_part_the_wider_counts():
    wider = dose(10) | times(4) | {"text": "Every four to six hours (qualifier value)"}
    assert day(TABLET, wider) == (60, 40)
    assert "wider" in details(TABLET, wider)["dose_assumed"]


def test_an_order_that_is_over_is_no_problem():
    over = request(TABLET, status="completed", dosageInstruction=[{"text": "Take as directed"}])
    assert not problems(read(over))


def test_a_patch_is_its_rate_and_is_not_divided():
    patch = "72 HR Fentanyl 0.025 MG/HR Transdermal System"
    every = dose(1, "{patch}") | times(1, 72, "h")
    assert details(patch, every)["daily_dose_unit"] == "ug/h"
    assert day(patch, every) == (25, 25)
    assert day(patch, dose(1, "{patch}") | times(1, 10, "d")) == (25, 25)
    assert day(patch, dose(2, "{patch}") | times(1, 72, "h")) == (50, 50)
    rate = {"doseAndRate": [{"rateQuantity": q(25, "ug/h")}], "route": {"text": "Transdermal"}}
    assert day("fentanyl", rate) == (25, 25)


def test_instructions_at_the_same_time_are_added_up_and_in_turn_they_are_not():
    regular, needed = dose(10) | times(2), dose(5) | times(1, 6, "h") | {"asNeededBoolean": True}
    assert day(TABLET, regular, needed) == (40, 20)
    first, second = regular | {"sequence": 1}, dose(5) | times(2) | {"sequence": 2}
    assert day(TABLET, first, second) == (20, 10)
    assert day(TABLET, first, second | {"sequence": 1}) == (30, 30)


def test_a_medication_gives_the_strength_as_elements():
    medication = {
        "resourceType": "Medication",
        "id": "m1",
        "code": {"text": "Analgesic tablet"},
        "ingredient": [
            {
                "itemCodeableConcept": {"text": "oxycodone"},
                "strength": {"numerator": q(20, "mg"), "denominator": q(1, "{tablet}")},
            }
        ],
    }
    medication["code"] = {"text": "oxycodone tablet"}
    order = request(
        medicationCodeableConcept=...,
        medicationReference={"reference": "Medication/m1"},
        dosageInstruction=[dose(1, "{tablet}") | times(2)],
    )
    (fact,) = read(order, medication).facts
    assert fact.details["daily_dose"] == 40


def test_each_ingredient_of_a_product_has_its_own_dose():
    product = "Acetaminophen 325 MG / Hydrocodone Bitartrate 5 MG Oral Tablet"
    reading = read(request(product, dosageInstruction=[dose(1, "{tablet}") | times(4)]))
    found = {f.what: f.details["daily_dose"] for f in reading.facts}
    assert found == {"medicine.paracetamol": 1300, "medicine.hydrocodone": 20}


@pytest.mark.parametrize(
    "dosage, why",
    [
        (dose(10) | times(4) | {"text": "5 mg every 6 hours"}, "different doses"),
        (dose(10), "how often"),
        (times(4), "how much"),
        ({"text": "Take as directed"}, "how much"),
        (dose(10, "[iU]") | times(4), "unit"),
        (dose(10) | times(4, 1, "fortnight"), "period"),
        ({"doseAndRate": "ten"}, "not as FHIR has it"),
        (dose(-1) | times(4), "no number"),
    ],
)
def test_what_is_not_clear_gives_no_dose_and_a_problem(dosage, why):
    reading = read(request(TABLET, dosageInstruction=[dosage]))
    (fact,) = reading.facts
    assert "daily_dose" not in fact.details
    assert why in fact.details["dose_not_understood"]
    (problem,) = problems(reading)
    assert problem == "fhir.dosage_not_understood"


def test_no_dosage_is_no_problem():
    for more in ({}, {"dosageInstruction": []}, {"dosageInstruction": [{"sequence": 1}]}):
        reading = read(request(TABLET, **more))
        assert not problems(reading)
        assert "daily_dose" not in reading.facts[0].details


def test_what_was_given_once_has_no_daily_dose_and_is_no_problem():
    one = administration(medicationCodeableConcept={"text": TABLET}, dosage={"dose": q(5, "mg")})
    reading = read(one)
    assert not problems(reading)
    assert "daily_dose" not in reading.facts[0].details


def test_an_anti_inflammatory_gel_is_not_a_systemic_one():
    (fact,) = read(request("Diclofenac 1 % Topical Gel")).facts
    assert fact.what == "medicine.other"


COMBINED = "Acetaminophen 325 MG / Oxycodone Hydrochloride 5 MG Oral Tablet"


@pytest.mark.parametrize(
    "milligrams, expected",
    [
        (5, {"medicine.oxycodone": 20, "medicine.paracetamol": 1300}),
        (10, {"medicine.oxycodone": 40, "medicine.paracetamol": 2600}),
        (650, {"medicine.oxycodone": 40, "medicine.paracetamol": 2600}),
        (330, {"medicine.oxycodone": None, "medicine.paracetamol": None}),  # of both
        (100, {"medicine.oxycodone": None, "medicine.paracetamol": None}),
    ],
)
def test_milligrams_of_a_combination_are_those_of_one_ingredient(milligrams, expected):
    order = request(COMBINED, dosageInstruction=[dose(milligrams) | times(4)])
    found = {f.what: f.details.get("daily_dose") for f in read(order).facts}
    assert found == expected


def test_the_most_of_a_combination_in_milligrams_lowers_nothing():
    most = {"maxDosePerPeriod": {"numerator": q(3000, "mg"), "denominator": q(1, "d")}}
    low = {"maxDosePerPeriod": {"numerator": q(10, "mg"), "denominator": q(1, "d")}}
    for limit in (most, low):
        order = request(COMBINED, dosageInstruction=[dose(1, "{tablet}") | times(4) | limit])
        assert {f.details["daily_dose"] for f in read(order).facts} == {20, 1300}


@pytest.mark.parametrize("frequency", [0, -1])
def test_a_frequency_of_none_is_no_frequency_of_one(frequency):
    found = details(TABLET, dose(10) | times(frequency))
    assert "daily_dose" not in found and "dose_not_understood" in found


def test_an_order_whose_days_are_over_is_doubtful():
    for days, doubtful in ((5, True), (400, False)):
        bounds = {"value": days, "code": "d"}
        order = request(
            TABLET, authoredOn="2026-01-10",
            dosageInstruction=[dose(10) | times(4, boundsDuration=bounds)],
        )  # fmt: skip
        (fact,) = read(order).facts
        assert fact.details["daily_dose"] == 40 and bool(fact.doubts) is doubtful


def test_a_code_that_is_not_known_is_a_problem_while_it_is_taken():
    coding = {"coding": [{"system": "http://www.nlm.nih.gov/research/umls/rxnorm", "code": "1"}]}
    order = request(medicationCodeableConcept=coding)
    assert "fhir.medicine_unknown" in problems(read(order))
    over = request(medicationCodeableConcept=coding, status="stopped")
    assert "fhir.medicine_unknown" not in problems(read(over))


def inside(value, at=()):
    """Every element below one, as the way to it."""
    for name in value if isinstance(value, dict) else range(len(value)):
        yield (*at, name)
        if isinstance(value[name], dict | list):
            yield from inside(value[name], (*at, name))


def without(value, way):
    kept = copy.deepcopy(value)
    there = kept
    for name in way[:-1]:
        there = there[name]
    del there[way[-1]]
    return kept


# What is no longer there to be read, and nothing tells that it was.
_NOT_TO_BE_MISSED = ("frequencyMax", 0, 1)


@pytest.mark.parametrize(
    "whole",
    [
        dose(10) | times(4),
        dose(10) | times(2, frequencyMax=4),
        dose(10) | times(1, 4, "h", periodMax=6) | {"asNeededBoolean": True},
        dose(2, "{tablet}") | times(4) | {"text": "2 tablets four times a day"},
        dose(10) | coded_time("QID"),
        {"doseAndRate": [{"doseRange": {"low": q(5, "mg"), "high": q(10, "mg")}}]} | times(4),
        dose(10) | times(6)
        | {"maxDosePerPeriod": {"numerator": q(30, "mg"), "denominator": q(1, "d")}},
        dose(25, "ug/h") | times(1, 72, "h"),
    ],
    ids=str,
)  # fmt: skip
def test_no_element_that_is_dropped_lowers_a_dose_in_silence(whole):
    product = "fentanyl patch" if "ug/h" in str(whole) else TABLET
    full = details(product, whole)
    for way in inside(whole):
        part = details(product, without(whole, way))
        lower = part.get("daily_dose", full["daily_dose"]) < full["daily_dose"]
        if lower and way[-1] not in _NOT_TO_BE_MISSED:
            assert part.get("dose_assumed") != full.get("dose_assumed"), way
        if "daily_dose" not in part and any(without(whole, way).values()):
            assert part["dose_not_understood"], way
