"""Doses in words: what they come to, what is taken for granted, and what gives no dose."""

from __future__ import annotations

import random

import pytest

from endplate.exchange.dosage_text import (
    form_of,
    ingredients_in,
    is_meant,
    is_not_taken,
    read_sig,
    strength_of,
    typed_line,
)

# Line, highest and least in a day, unit.
UNDERSTOOD = [
    ("oxycodone 10 mg every 6 hours", 40, 40, "mg"),
    ("oxycodone 10mg q6h", 40, 40, "mg"),
    ("oxycodone 10 mg BID", 20, 20, "mg"),
    ("oxycodone ER 10 mg twice daily", 20, 20, "mg"),
    ("oxycodone 5 mg tablet, 1-2 tablets every 4-6 hours as needed", 60, 0, "mg"),
    ("oxycodone 5 mg tablet, 1-2 tablets every 4-6 hours", 60, 20, "mg"),
    ("oxycodone 5 mg tablets, 1-2 tabs q4-6h prn, max 6 per day", 30, 0, "mg"),
    ("Oxycodone 5 to 10 mg every 4 to 6 hours prn pain (max 40 mg/day)", 40, 0, "mg"),
    ("oxycodone 10mg tab 1 po qid", 40, 40, "mg"),
    ("Take one tablet (10 mg) of oxycodone every 6 hours if needed for pain", 40, 0, "mg"),
    ("Take 2 tablets (10 mg total) oxycodone every 4 (four) hours", 60, 60, "mg"),
    ("oxycodone 2 tablets of 5 mg every 6 hours", 40, 40, "mg"),
    ("oxycodone 2 x 5 mg every 6 hours", 40, 40, "mg"),
    ("Oxycodone Hydrochloride 5 MG Oral Tablet, 2 tablets every 6 hours", 40, 40, "mg"),
    ("oxycodone 10 mg (2 tablets) every 6 hours", 40, 40, "mg"),
    ("oxycodone 10 mg every 6 hours and 5 mg every 6 hours as needed", 60, 40, "mg"),
    ("oxycodone 5 mg tablets, 1 tablet every 4 hours, up to 5 tablets daily", 25, 25, "mg"),
    ("tramadol 50 mg up to 4 times a day", 200, 0, "mg"),
    ("tramadol 50 mg 1-2 tabs q6h prn max 6/day", 300, 0, "mg"),
    ("gabapentin 300 mg three times daily", 900, 900, "mg"),
    ("gabapentin 600 mg in the morning and 300 mg at night", 900, 900, "mg"),
    ("gabapentin 300 mg 1-1-2", 1200, 1200, "mg"),
    ("gabapentin 1,200 mg daily", 1200, 1200, "mg"),
    ("gabapentin 300 mg capsule, 2 capsules tid", 1800, 1800, "mg"),
    ("paracetamol 1 g four times a day", 4000, 4000, "mg"),
    ("methadone 2,5 mg 2x daily", 5, 5, "mg"),
    ("morphine 10 mg/5 ml, 5 ml every 4 hours", 60, 60, "mg"),
    ("morphine 15 mg once daily at bedtime", 15, 15, "mg"),
    ("diazepam 5 mg half a tablet nightly", 2.5, 2.5, "mg"),
    ("hydromorphone 2 mg every 12 hours for 7 days", 4, 4, "mg"),
    ("codeine 30 mg every other day", 30, 30, "mg"),
    ("morphine 2 mg every hour", 48, 48, "mg"),
    ("oxycodone 20 mg per day in 4 divided doses", 20, 20, "mg"),
    ("oxycodone 10 mg bid, do not take with alcohol", 20, 20, "mg"),
    ("oxycodone 10 mg bid, stop if drowsy", 20, 20, "mg"),
    ("fentanyl 25 mcg/h patch, change every 72 h", 25, 25, "ug/h"),
    ("fentanyl patch 25 µg/hour every 3 days", 25, 25, "ug/h"),
    ("72 HR Fentanyl 0.025 MG/HR Transdermal System, 2 patches every 72 hours", 50, 50, "ug/h"),
    ("buprenorphine 20 mcg/h patch weekly", 20, 20, "ug/h"),
]


@pytest.mark.parametrize("line, high, least, unit", UNDERSTOOD, ids=str)
def test_a_line_comes_to_a_day(line, high, least, unit):
    ((_, details, why),) = typed_line(line)
    assert why == ""
    assert details["daily_dose"] == pytest.approx(high)
    assert details.get("daily_dose_least", details["daily_dose"]) == pytest.approx(least)
    assert details["daily_dose_unit"] == unit


@pytest.mark.parametrize(
    "line",
    [
        "oxycodone",
        "oxycodone as directed",
        "oxycodone 10 mg",
        "oxycodone 10 mg once",
        "oxycodone 10 mg as needed",
        "oxycodone every 6 hours",
        "oxycodone 1-2 tablets every 6 hours",  # of what strength
        "oxycodone 10 mg daily then 5 mg daily",
        "oxycodone 10 mg every 6 hours, taper by 5 mg",
        "oxycodone twice daily and at bedtime 5 mg",  # twice, or three times
        "oxycodone 2 tablets (10 mg) every 6 hours",  # of each, or of both
        "oxycodone 10 mg every 6 hours 3",
        "oxycodone 10 IU every 6 hours",
        "fentanyl patch 2 mg every 72 hours",  # a patch is known by its rate
        "Percocet 5/325 1 tablet every 6 hours",
        "morphine 10 mg/kg every 6 hours",  # by body weight
        "morphine 0.1 mg per kg every 4 hours",
        "methadone 5 mg/m2 daily",
        "oxycodone 5 mg qid, was 10 mg qid",
        "oxycodone 5 mg qid, do not take",
        "oxycodone 5 mg qid, no longer taken",
        "Tylenol #3 1 tablet every 6 hours",  # of what strength
    ],
)
def test_what_is_not_clear_gives_no_dose(line):
    ((_, details, why),) = typed_line(line)
    assert why and "daily_dose" not in details
    assert details["dose_not_understood"] == why


def test_every_assumption_is_said():
    def assumed(line):
        return str(typed_line(line)[0][1].get("dose_assumed", ""))

    assert assumed("oxycodone 10 mg every 6 hours") == ""
    assert "as needed" in assumed("oxycodone 10 mg every 6 hours as needed")
    assert "range" in assumed("oxycodone 5-10 mg every 6 hours")
    assert "not divided" in assumed("fentanyl 25 mcg/h patch every 72 hours")
    assert "most that is allowed" in assumed("oxycodone 10 mg every 4 hours, max 40 mg a day")
    assert "pieces" in assumed("oxycodone 10mg tab 1 po qid")
    assert "thousands" in assumed("gabapentin 1,200 mg daily")
    assert "rate" in assumed("fentanyl 25 mcg/h")


@pytest.mark.parametrize(
    "line",
    [
        "acetaminophen 325 MG / hydrocodone 5 MG, 1 tablet every 6 hours",
        "hydrocodone/acetaminophen 5/325 mg 1 tablet every 6 hours",
        "HYDROcodone-acetaminophen 5-325 MG per tablet, 1 tablet every 6 hours",
        "hydrocodone-acetaminophen 5 mg-325 mg 1 tab every 6 hours",
        "hydrocodone 5 mg/acetaminophen 325 mg 1 tablet every 6 hours",
        "hydrocodone and acetaminophen 5/325, 1 tablet every 6 hours",
    ],
)
def test_each_part_of_a_combination_has_its_own_dose(line):
    found = {name: details["daily_dose"] for name, details, _ in typed_line(line)}
    assert found == {"medicine.hydrocodone": 20, "medicine.paracetamol": 1300}


@pytest.mark.parametrize(
    "product, ingredient, expected",
    [
        ("Oxycodone Hydrochloride 5 MG Oral Tablet", "oxycodone", (5, "mg", "piece")),
        ("12 HR Oxycodone Hydrochloride 10 MG Extended Release Oral Tablet", "oxycodone",
         (10, "mg", "piece")),
        ("1 ML Morphine Sulfate 5 MG/ML Injection", "morphine", (5, "mg", "mL")),
        ("72 HR Fentanyl 0.025 MG/HR Transdermal System", "fentanyl", (25, "ug/h", "piece")),
        ("fentanyl 25 mcg patch", "fentanyl", (25, "ug/h", "piece")),
        ("Acetaminophen 325 MG / Hydrocodone 5 MG", "hydrocodone", (5, "mg", "piece")),
        ("Percocet 5-325", "oxycodone", None),
        ("oxycodone", "oxycodone", None),
    ],
)  # fmt: skip
def test_the_strength_stands_in_the_product(product, ingredient, expected):
    found = strength_of(product, f"medicine.{ingredient}")
    assert (None if found is None else tuple(found)) == expected


@pytest.mark.parametrize(
    "words, form",
    [
        ("Oxycodone 10 MG Extended Release Oral Tablet", "long_acting"),
        ("OxyContin 10 mg", "long_acting"),
        ("Fentanyl 0.025 MG/HR Transdermal System", "patch"),
        ("Morphine Sulfate 5 MG/ML Injection", "injection"),
        ("Oxycodone 5 MG Oral Tablet", ""),
    ],
)
def test_the_form_stands_in_the_product(words, form):
    assert form_of(words) == form


def test_a_brand_of_a_combination_is_not_passed_over():
    assert "medicine.oxycodone" in ingredients_in("Percocet 5-325")
    assert ingredients_in("romosozumab-aqqg") == ("medicine.romosozumab",)


def test_a_daily_dose_does_not_grow_when_a_limit_is_added():
    without = read_sig("10 mg every 4 hours")
    assert read_sig("10 mg every 4 hours, max 40 mg per day").amount == without.amount


_PIECES = """take 1 2 5 10 1-2 2.5 0 1/2 mg mcg/h tablet tablets (10 mg) (2 tablets) every 4 6
    hours 4-6 as needed prn max per day bid TID q6h daily twice bedtime and , ; fentanyl patch 325
    MG / - x up to for 7 days then 1-0-1 ml mg/5 1,000 of each total weekly ½ one half a"""


def test_no_text_is_an_error_and_the_least_is_never_above_the_highest():
    rng = random.Random(0)
    for _ in range(4000):
        line = " ".join(rng.choice(_PIECES.split()) for _ in range(rng.randrange(12)))
        for _, details, why in typed_line(f"oxycodone {line}"):
            assert ("daily_dose" in details) != bool(why)
            high = details.get("daily_dose", 0.0)
            assert 0 <= details.get("daily_dose_least", 0.0) <= high


@pytest.mark.parametrize(
    "line, denied",
    [
        ("stopped oxycodone 5 mg qid", True),
        ("do not take oxycodone 5 mg qid", True),
        ("no oxycodone", True),
        ("oxycodone 5 mg qid (discontinued 2026-05)", True),
        ("allergic to codeine", True),
        ("oxycodone 5 mg qid", False),
        ("oxycodone 5 mg qid, do not take with alcohol", False),
        ("oxycodone 5 mg qid, stop if drowsy", False),
    ],
)
def test_a_line_may_say_that_it_is_not_taken(line, denied):
    assert is_not_taken(line) is denied


def test_a_gel_is_no_anti_inflammatory_medicine_and_still_an_opioid():
    assert not is_meant("medicine.diclofenac", "diclofenac 1 % gel")
    assert is_meant("medicine.diclofenac", "diclofenac 50 mg tablet")
    assert is_meant("medicine.fentanyl", "fentanyl nasal spray")
