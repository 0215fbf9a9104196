"""Every rule says its source, its population and whom it is not for, and reads what it says."""

from __future__ import annotations

import pytest

from endplate import evidence, rules, vocabulary
from endplate.cli.rules import row_names
from endplate.record import Patient, PatientRecord

from patients import ON, facts_from
from published.cases import tables

RULES = [pytest.param(r, id=r.id) for r in rules.find()]


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_names_source_population_and_not_for(rule):
    assert rule.summary.endswith("."), "one sentence that a clinician would say"
    assert rule.source and rule.population and rule.not_for


@pytest.mark.parametrize("rule", RULES)
def test_the_rows_that_a_rule_names_exist(rule):
    # `endplate rules` prints these as its numbers.
    grounds = evidence.shipped()
    named = row_names(rule.source)
    assert named, "names no row"
    for name in named:
        if name.endswith("*"):
            assert grounds.under(name.rstrip("*")), f"no row is called {name}"
        else:
            assert name in grounds.rows, f"no row is called {name}"


@pytest.mark.parametrize("rule", RULES)
def test_what_a_rule_reads_is_in_the_vocabulary(rule):
    assert [w for w in rule.reads if w not in vocabulary.concepts()] == []


class Listening(Patient):
    """A patient who notes which concepts were asked for."""

    asked: set[str]

    def facts(self, what, **more):
        self.asked.add(what)
        return super().facts(what, **more)

    def has(self, what):
        self.asked.add(what)
        return super().has(what)

    def ever(self, what):
        self.asked.add(what)
        return super().ever(what)

    def within(self, what, days):
        self.asked.add(what)
        return super().within(what, days)


# Asked for on the way to something that is in `reads`.
ON_THE_WAY = {"person.birth_date", "person.age", "person.sex", "intent.procedure",
              "intent.levels", "intent.date", "intent.approach"}  # fmt: skip


@pytest.mark.parametrize("table", [pytest.param(t, id=t.rule) for t in tables()])
def test_a_rule_reads_only_what_it_says(table):
    rule = next(r for r in rules.find() if r.id == table.rule)
    asked: set[str] = set()
    for case in table.cases:
        patient = Listening(PatientRecord.of(facts_from(case.get("facts", {}))), case.get("on", ON))
        patient.asked = asked
        rule(patient, evidence.shipped())
    assert sorted(asked - set(rule.reads) - ON_THE_WAY) == []
