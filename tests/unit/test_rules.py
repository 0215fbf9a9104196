"""Every rule is found; its answer once for a person, and anew for another day or evidence."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import endplate
from endplate import evidence, rules
from endplate.evidence import Evidence, row_with
from endplate.facts import Fact
from endplate.findings import Finding
from endplate.record import PatientRecord
from endplate.rules import Rule

ADULT = "bone.t_score.adult_from_age"
RECORD = PatientRecord.of([Fact(what="person.birth_date", value="2008-06-01", source="typed")])


def _counted():
    asked = []

    def question(patient, evidence):
        asked.append(patient.on)
        limit = evidence.row(ADULT)
        says = "grown up" if limit.met(patient.age.number) else "a child"
        return Finding(says=says, because=(patient.age,), rests_on=(limit,))

    rule = Rule(
        id="test.counted", reads=("person.age",), question=question,
        summary="", source="", population="", not_for="",
    )  # fmt: skip
    return rule, asked


def _until(age: float) -> Evidence:
    shipped = evidence.shipped()
    row = row_with(shipped.row(ADULT), value=age, overridden="for a test")
    return Evidence(
        rows={**shipped.rows, ADULT: row}, choices=shipped.choices, references=shipped.references
    )


def test_a_person_is_asked_once():
    rule, asked = _counted()
    patient = RECORD.known_on(date(2026, 5, 31))
    first, second = (rule.one(patient, evidence.shipped()) for _ in range(2))
    assert first is second
    assert first.says == "a child"
    assert len(asked) == 1


def test_another_day_is_another_question():
    rule, _ = _counted()
    shipped = evidence.shipped()
    assert rule.one(RECORD.known_on(date(2026, 5, 31)), shipped).says == "a child"
    assert rule.one(RECORD.known_on(date(2026, 6, 1)), shipped).says == "grown up"


def test_other_evidence_is_another_question_whatever_was_asked_before():
    rule, _ = _counted()
    shipped, clinic = evidence.shipped(), _until(16)
    patient = RECORD.known_on(date(2026, 5, 31))
    assert [rule.one(patient, e).says for e in (shipped, clinic, shipped)] == [
        "a child", "grown up", "a child",
    ]  # fmt: skip
    assert rule.one(patient, clinic).overrides == (ADULT,)


def test_every_module_that_holds_rules_is_looked_in():
    source = Path(endplate.__file__).parent
    holding = {
        ".".join(("endplate", *path.relative_to(source).with_suffix("").parts))
        for path in source.rglob("*.py")
        if re.search(r"(?m)^ *@?rule\(", path.read_text(encoding="utf-8"))
    }
    assert {rule.question.__module__ for rule in rules.find()} == holding
