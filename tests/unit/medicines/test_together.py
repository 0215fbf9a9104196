"""Doses on the way to their findings: what drops out is said, and a label is a choice."""

from __future__ import annotations

import json
import random
from datetime import date

import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from endplate import evidence, rules
from endplate.cli.main import app
from endplate.exchange.dosage_text import typed_line
from endplate.facts import Fact, InputProblem
from endplate.findings import Status
from endplate.medicines.doses import taken
from endplate.record import PatientRecord

from patients import ON, fact

SHIPPED = evidence.shipped()
RULES = {r.id: r for r in rules.find() if r.id.startswith("medicines.")}
LINES = (
    "oxycodone 10 mg every 6 hours",
    "morphine 15 mg tablet, 1-2 tablets every 4-6 hours as needed",
    "fentanyl 25 mcg/h patch, change every 72 h",
    "buprenorphine 20 mcg/h patch weekly",
    "tramadol 100 mg four times a day",
    "codeine as directed",
    "gabapentin 600 mg three times a day",
    "pregabalin 150 mg bid",
    "diazepam 5 mg nightly",
    "paroxetine 20 mg daily",
    "ibuprofen 400 mg tid",
    "hydrocodone/acetaminophen 5/325 mg 1 tablet every 6 hours",
)


def typed(*lines: str) -> list[Fact]:
    return [
        fact(name, details={"product": line} | details)
        for line in lines
        for name, details, _ in typed_line(line)
    ]


def answers(facts, grounds=SHIPPED):
    patient = PatientRecord.of(facts).known_on(ON)
    return {f.key: f for r in RULES.values() for f in r(patient, grounds)}


def mme(*lines: str):
    return answers(typed(*lines))["medicines.mme"]


# -- equivalents ------------------------------------------------------------------------------


def test_a_range_counts_at_the_highest_and_is_shown_at_the_least():
    found = mme("oxycodone 5 mg tablet, 1-2 tablets every 4-6 hours")
    assert (found.value, found.parts["least"]) == (90, 30)


def test_as_needed_counts_at_the_highest_and_the_least_is_none():
    found = mme("oxycodone 10 mg every 6 hours as needed", "morphine 10 mg bid")
    assert (found.value, found.parts["least"]) == (80, 20)
    assert "80 a day at the highest, 20 at the least" in found.says


def test_the_wear_of_a_patch_changes_nothing():
    ways = ("every 72 hours", "every 48 hours", "every 10 days")
    assert {mme(f"fentanyl 25 mcg/h patch {way}").value for way in ways} == {60}


def test_it_is_never_for_changing_from_one_opioid_to_another():
    assert any("change from one opioid" in text for text in mme(LINES[0]).limits)


def test_the_same_order_on_two_papers_counts_once_and_another_product_adds_up():
    twice = [*typed(LINES[0]), fact("medicine.oxycodone", source="other",
             details=typed(LINES[0])[0].details)]  # fmt: skip
    assert answers(twice)["medicines.mme"].value == 60
    assert "one order" in str(answers(twice)["medicines.mme"].parts["oxycodone_assumed"])
    assert mme(LINES[0], "oxycodone ER 20 mg every 12 hours").value == 120


def test_a_paper_without_a_dose_joins_the_order_of_the_same_product():
    order = fact("medicine.oxycodone", details={"product": "Oxycodone 5 MG", "daily_dose": 20.0,
                                                "daily_dose_unit": "mg"})  # fmt: skip
    handed_out = fact("medicine.oxycodone", source="b", details={"product": "Oxycodone 5 MG"})
    other = fact("medicine.oxycodone", source="c", details={"product": "Oxycodone 10 MG"})
    assert answers([order, handed_out])["medicines.mme"].value == 30
    assert answers([order, other])["medicines.mme"].status is Status.UNKNOWN


def test_what_has_ended_is_not_taken():
    ended = fact("medicine.morphine", until=date(2026, 5, 15))
    patient = PatientRecord.of([ended]).known_on(ON)
    assert taken(patient, "medicine.opioid") == ()


# -- nothing drops out in silence -------------------------------------------------------------

PEOPLE = (
    fact("person.age", 70), fact("person.sex", "female"), fact("person.weight", 60),
    fact("lab.creatinine", 1.9), fact("condition.lung_disease"),
    fact("condition.kidney_failure", False), fact("intent.procedure", "fusion"),
)  # fmt: skip
DOSES = ("medicines.mme", "medicines.renal_dosing", "medicines.creatinine_clearance")


@pytest.mark.parametrize("seed", range(40))
def test_no_dose_changes_in_silence_when_one_fact_is_dropped(seed):
    rng = random.Random(seed)
    facts = [*typed(*rng.sample(LINES, rng.randrange(1, 6))),
             *rng.sample(PEOPLE, rng.randrange(len(PEOPLE) + 1))]  # fmt: skip
    whole = answers(facts)
    for dropped in facts:
        rest = answers([f for f in facts if f is not dropped])
        for key, before in whole.items():
            if not key.startswith(DOSES):
                continue
            after = rest.get(key)
            if after is None:  # gone with its own medicine, or with all that it rests on
                assert dropped in before.because
            elif (after.value, after.category) != (before.value, before.category):
                assert after.missing or any(
                    f.what == "person.medicine_list_complete" for f in after.assumed
                ), f"{key} without {dropped.what}"
                if not dropped.what.startswith("medicine."):
                    assert after.value is None and after.missing


def test_a_dose_that_is_not_understood_never_lowers_the_sum_in_silence():
    found = mme(LINES[0], "morphine as directed")
    assert found.status is Status.UNKNOWN and found.value is None
    assert found.parts["lowest_possible"] == 60
    assert "opioid_dose.morphine" in found.missing


# -- labels -----------------------------------------------------------------------------------


def with_label(label: str):
    choice = SHIPPED.choice("medicines.renal_label")
    return replace(
        SHIPPED, choices={**SHIPPED.choices, choice.name: replace(choice, use=label)}
    )  # fmt: skip


@pytest.mark.parametrize(
    "clearance, eu, us",
    [(80, None, 3600), (79.9, 1800, 3600), (60, 1800, 3600), (59.9, 1800, 1400), (50, 1800, 1400),
     (49.9, 900, 1400), (30, 900, 1400), (29.9, 600, 700), (15, 600, 700), (14.9, 300, 300)],
)  # fmt: skip
def test_the_bands_of_both_labels_on_both_sides(clearance, eu, us):
    facts = [*typed("gabapentin 100 mg daily"), fact("lab.creatinine_clearance", clearance)]
    for label, most in (("eu", eu), ("us", us)):
        found = answers(facts, with_label(label))["medicines.renal_dosing@gabapentin"]
        assert found.value == most
        assert [p.default for p in found.positions] == [label == "eu", label == "us"]


def test_both_sides_of_the_most_of_tramadol():
    def category(dose):
        facts = [*typed(f"tramadol {dose} mg daily"), fact("lab.creatinine_clearance", 20)]
        return answers(facts)["medicines.renal_dosing@tramadol"].category

    assert [category(d) for d in (199, 200, 201)] == ["within", "within", "above"]


def test_an_allergy_on_record_speaks_against_an_element():
    allergy = fact("allergy.other", "Naproxen", details={"medicine": "medicine.naproxen"})
    facts = [fact("intent.procedure", "fusion"), allergy]
    found = answers(facts)["medicines.multimodal_analgesia@nsaid"]
    assert found.category == "against"


def test_a_table_of_more_than_a_year_ago_says_so():
    facts = typed("tramadol 50 mg tid", "paroxetine 20 mg daily")
    patient = PatientRecord.of(facts).known_on(date(2028, 1, 1))
    found = RULES["medicines.interactions"](patient, SHIPPED)
    assert any("more than a year old" in text for f in found for text in f.limits)


# -- the command ------------------------------------------------------------------------------


def run(*arguments: str):
    return CliRunner().invoke(app, ["medicines", *arguments, "--on", "2026-06-01"])


def test_the_command_takes_lines_and_prints_the_envelope():
    given = ("oxycodone 10 mg every 6 hours", "gabapentin 600 mg tid", "creatinine=2.4 mg/dL",
             "age=72", "weight=70", "sex=male")  # fmt: skip
    done = run(*given, "--json")
    assert done.exit_code == 0
    found = json.loads(done.stdout)
    assert {"endplate", "facts", "findings", "problems"} <= set(found)
    by_rule = {f["rule"]: f for f in found["findings"]}
    assert by_rule["medicines.mme"]["value"] == 60
    assert by_rule["medicines.renal_dosing"]["value"] == 600
    us = json.loads(run(*given, "--locale", "us", "--json").stdout)
    assert {f["rule"]: f for f in us["findings"]}["medicines.renal_dosing"]["value"] == 700


def test_the_command_takes_a_case_and_a_file(tmp_path):
    case = tmp_path / "case"
    case.mkdir()
    (case / "case.toml").write_text(
        'on = 2026-05-01\n[medicine]\noxycodone = { dosage = "10 mg every 6 hours" }\n'
        'tramadol = { value = true, dosage = "as directed" }\n'
    )
    for path in (case, case / "case.toml"):
        done = run(str(path), "--json")
        assert done.exit_code == 0, done.stdout
        found = json.loads(done.stdout)
        mme_ = {f["rule"]: f for f in found["findings"]}["medicines.mme"]
        assert mme_["parts"]["lowest_possible"] == 60
        assert "typed.dosage_not_understood" in {p["problem"] for p in found["problems"]}


@pytest.mark.parametrize(
    "arguments",
    [("nosuchmedicine 10 mg",), ("oxycodone 10 mg bid", "--locale", "mars"), ("nosuch=3",),
     ("no/such/folder",), ("oxycodone 10 mg bid", "age=400"), ("nosuch",)],
)  # fmt: skip
def test_what_cannot_be_used_is_said_in_one_message(arguments):
    assert isinstance(run(*arguments).exception, InputProblem)


def test_the_text_names_doses_and_assumptions():
    done = run("oxycodone 5 mg tablet, 1-2 tablets every 4-6 hours as needed")
    assert done.exit_code == 0
    assert "60 mg" in done.stdout and "as needed" in done.stdout and "90 a day" in done.stdout


def test_a_line_that_says_it_is_not_taken_is_left_out_and_said():
    out = CliRunner().invoke(app, ["medicines", "stopped oxycodone 5 mg qid", "--json"])
    found = json.loads(out.stdout)
    assert [p["problem"] for p in found["problems"]] == ["typed.not_taken"]
    assert not any(f["what"] == "medicine.oxycodone" for f in found["facts"])


def person_with(*facts):
    return PatientRecord.of(facts).known_on(ON)


def test_an_opioid_that_is_named_is_the_opioid_that_is_taken():
    both = person_with(fact("medicine.opioid", True), fact("opioid_dose.morphine", 20.0))
    (found,) = RULES["medicines.mme"](both, SHIPPED)
    assert (found.status, found.value) == (Status.ANSWERED, 20)
    product = Fact(what="medicine.opioid", value=True, on=ON, details={"product": "an opioid"})
    (found,) = RULES["medicines.mme"](
        person_with(product, fact("opioid_dose.morphine", 20.0)), SHIPPED
    )
    assert found.status is Status.UNKNOWN and found.parts["lowest_possible"] == 20


def test_every_reason_for_naloxone_denied_is_an_answer():
    asked = [w for w in RULES["medicines.naloxone"].reads if w.startswith("condition.")]
    no = [fact(w, False) for w in asked if w not in _ABOUT_DOSES]
    no += [fact("medicine.benzodiazepine", False), fact("medicine.gabapentinoid", False)]
    no += [fact("person.age", 40.0), fact("opioid_dose.morphine", 20.0)]
    opioid = fact("medicine.morphine", True)
    (found,) = RULES["medicines.naloxone"](person_with(opioid, *no), SHIPPED)
    assert found.category == "no_reason"
    without = [f for f in no if f.what != "condition.alcohol_dependence"]
    (found,) = RULES["medicines.naloxone"](person_with(opioid, *without), SHIPPED)
    assert found.category == "no_reason"  # no substance use disorder is none of alcohol either


_ABOUT_DOSES = (
    "condition.sickle_cell_disease", "condition.malignancy", "condition.end_of_life_care",
)  # fmt: skip


@pytest.mark.parametrize(
    "clearance, shown",
    [(29.96, "29.96"), (29.9, "29.9"), (30.0, "30"), (30.4, "30"), (45.67, "45.7")],
)
def test_a_clearance_is_not_printed_at_a_limit_that_it_does_not_reach(clearance, shown):
    there = person_with(
        fact("medicine.morphine", True), fact("lab.creatinine_clearance", clearance)
    )
    (found,) = RULES["medicines.renal_dosing"](there, SHIPPED)
    assert f"clearance {shown} mL/min" in found.says
    assert (found.category == "avoid") is (clearance < 30)


def test_who_denies_a_long_acting_opioid_is_believed():
    row = SHIPPED.row("medicines.riosord.civilian.points")
    no = [fact(str(line["asks"]), str(line["asks"]) == "medicine.methadone") for line in row.table]
    (found,) = RULES["medicines.riosord"](
        person_with(*no, fact("opioid.mme_per_day", 20.0)), SHIPPED
    )
    assert found.value == 10
