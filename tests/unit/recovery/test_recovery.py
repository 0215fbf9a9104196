"""What case tables cannot hold of recovery: old answers, the plan, and every flag in its place."""

from __future__ import annotations

from datetime import timedelta

import pytest

from endplate import evidence
from endplate.findings import Stage, Status, Urgency
from endplate.plan.care_plan import arranged, findings_of
from endplate.recovery.red_flags import red_flags
from endplate.recovery.screening import psychological_element, screening

from patients import ON, RECENT, fact, patient

SHIPPED = evidence.shipped()
SOON = RECENT + timedelta(days=2)  # reports count for a week
EMERGENCIES = [line["asks"] for line in SHIPPED.row("recovery.red_flags.emergency").table]
SAME_DAY = [line["asks"] for line in SHIPPED.row("recovery.red_flags.same_day").table]
NUMBERS = {"after_surgery.temperature": (36.8, 39.0), "after_surgery.pain": (3, 9),
           "after_surgery.days_without_stool": (1, 6)}  # fmt: skip


def reported(**changed):
    """Every report of a person who is well, but for what is changed; None leaves one out."""
    told = dict.fromkeys((*EMERGENCIES, *SAME_DAY), False)
    told |= {what: well for what, (well, _) in NUMBERS.items()} | {
        "after_surgery.more_opioid": False
    }
    told |= {f"after_surgery.{name}": value for name, value in changed.items()}
    known = patient()
    for what, value in told.items():
        if value is not None:
            known.having(what, value)
    return {f.about: f for f in red_flags(known.known_on(SOON), SHIPPED)}


def test_who_is_well_and_was_asked_everything_has_no_flag():
    found = reported()
    assert set(found) == {""}
    assert found[""].category == "none_found" and found[""].status is Status.ANSWERED
    assert not found[""].missing and set(found[""].parts.values()) == {False}


@pytest.mark.parametrize("what", EMERGENCIES)
def test_each_emergency_is_one_whatever_else_is_known(what):
    name = what.rpartition(".")[2]
    found = reported(**{name: True}, pus=True)
    assert found[""].category == "emergency" and found[""].parts[name] is True
    assert found["emergency"].urgency is Urgency.EMERGENCY
    assert found["emergency"].stage is Stage.RED_FLAGS
    assert found["same_day"].urgency is Urgency.SOON
    known = patient().having(what, True).known_on(SOON)
    assert {f.about for f in red_flags(known, SHIPPED)} == {"", "emergency"}


@pytest.mark.parametrize("what", SAME_DAY)
def test_each_other_flag_is_of_the_same_day(what):
    name = what.rpartition(".")[2]
    more = {"more_opioid": True} if name == "pain" else {}
    found = reported(**{name: NUMBERS[what][1] if what in NUMBERS else True}, **more)
    assert set(found) == {"", "same_day"} and found[""].category == "same_day"


@pytest.mark.parametrize("what", [*EMERGENCIES, *SAME_DAY])
def test_a_flag_that_nobody_asked_for_is_open_and_never_no(what):
    name = what.rpartition(".")[2]
    more = {"more_opioid": True} if name == "pain" else {}
    found = reported(**{name: None}, **more)
    assert found[""].status is Status.UNKNOWN and found[""].missing == (what,)
    assert found[""].parts[name] is None


@pytest.mark.parametrize(
    "pain, opioid, flag, missing",
    [
        (8, True, True, ()),
        (8, False, False, ()),
        (8, None, None, ("after_surgery.more_opioid",)),
        (3, None, False, ()),
        (None, False, False, ()),
        (None, True, None, ("after_surgery.pain",)),
        (None, None, None, ("after_surgery.pain", "after_surgery.more_opioid")),
    ],
)
def test_pain_counts_with_rising_opioid_alone(pain, opioid, flag, missing):
    found = reported(pain=pain, more_opioid=opioid)
    assert found[""].parts["pain"] is flag and found[""].missing == missing


def test_the_other_reading_of_fever_stands_beside():
    found = reported(temperature=38.2, day=6)["same_day"]
    assert "38.5" in found.positions[0].says and "day 6" in found.positions[0].says
    assert not reported(pus=True)["same_day"].positions


def test_a_report_of_last_month_does_not_count():
    known = patient().having("after_surgery.pus")
    last = RECENT + timedelta(days=7)
    assert red_flags(known.known_on(last), SHIPPED)
    assert red_flags(known.known_on(last + timedelta(days=1)), SHIPPED) == ()


def test_an_emergency_heads_the_plan():
    record = patient().having("after_surgery.chest_pain").having("after_surgery.pus").record
    plan = arranged(findings_of(record, SOON, SHIPPED), SOON, SHIPPED)
    assert "chest pain" in plan.summary[0]
    assert "recovery.red_flags@emergency" in plan.stages["red_flags"]


@pytest.mark.parametrize("days, counts", [(182, True), (183, True), (184, False)])
def test_an_old_form_is_asked_again(days, counts):
    known = patient().wanting("fusion", "L4-L5")
    known.facts.append(fact("questionnaire.phq9.score", 15, on=ON - timedelta(days=days)))
    assert bool(psychological_element(known.known_on(), SHIPPED)) is counts
    found = screening.one(known.known_on(), SHIPPED)
    assert ("questionnaire.phq9.score" in found.missing) is not counts
    assert found.parts["depression"] is (True if counts else None)


@pytest.mark.parametrize(
    "form, score, domain",
    [
        ("ompsq10", 50, "course"), ("phq9", 10, "depression"), ("phq2", 3, "depression"),
        ("gad7", 10, "anxiety"), ("gad2", 3, "anxiety"), ("tsk17", 38, "fear_of_movement"),
        ("pcs", 30, "catastrophising"),
    ],
)  # fmt: skip
def test_each_form_counts_from_its_own_limit_on(form, score, domain):
    for value, above in ((score, True), (score - 1, False)):
        known = patient().having(f"questionnaire.{form}.score", value).known_on()
        assert screening.one(known, SHIPPED).parts[domain] is above
        assert bool(psychological_element(known, SHIPPED)) is above


def test_a_form_with_blanks_leaves_its_domain_open():
    known = patient()
    for item in range(1, 9):  # the ninth is blank, and would decide
        known.having(f"questionnaire.start_back.item{item}", item in (1, 2, 3))
    found = screening.one(known.known_on(), SHIPPED)
    assert found.parts["course"] is None
    assert "questionnaire.start_back.item9" in found.missing


def test_a_limit_that_nobody_read_shows_as_not_verified():
    by = {"pcs": 40, "ompsq10": 60}
    found = {
        form: psychological_element.one(
            patient().having(f"questionnaire.{form}.score", value).known_on(), SHIPPED
        )
        for form, value in by.items()
    }
    assert not found["pcs"].verified
    assert all(r.mark != "U-M" or not r.compare for f in found.values() for r in f.rests_on)
