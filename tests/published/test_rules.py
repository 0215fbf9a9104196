"""Every case table, both sides of every cut-off, and what happens when an input is dropped."""

from __future__ import annotations

import pytest

from endplate.findings import Status

from patients import ON, facts_from
from published.cases import answer, both_sides, check, rule_of, tables

CASES = [
    pytest.param(t.rule, case, id=f"{t.rule}: {case['title']}")
    for t in tables()
    for case in t.cases
]
BOUNDARIES = [
    pytest.param(t.rule, b, value, met, id=f"{t.rule}: {b['row']} at {value:g}")
    for t in tables()
    for b in t.boundaries
    for value, met in both_sides(b)
]


@pytest.mark.parametrize("rule, case", CASES)
def test_agrees_with_its_source(rule, case):
    facts = facts_from(case.get("facts", {}))
    finding = answer(rule, facts, case.get("about", ""), case.get("on", ON))
    check(finding, case["expect"], case.get("tolerance", 0.0))


@pytest.mark.parametrize("rule, boundary, value, met", BOUNDARIES)
def test_both_sides_of_the_cut_off(rule, boundary, value, met):
    given = boundary["vary"]
    template = boundary.get("as", {})
    varied = round(value + boundary.get("plus", 0), 10)
    table = {**boundary.get("facts", {}), given: {**template, "value": varied}}
    finding = answer(rule, facts_from(table), boundary.get("about", ""), boundary.get("on", ON))
    check(finding, boundary["met" if met else "unmet"], boundary.get("tolerance", 0.0))


@pytest.mark.parametrize("rule, case", CASES)
def test_dropping_an_input_never_changes_an_answer_in_silence(rule, case):
    facts = facts_from(case.get("facts", {}))
    about, on = case.get("about", ""), case.get("on", ON)
    whole = answer(rule, facts, about, on)
    if whole is None:
        return
    concepts = [f.what for f in facts]
    for dropped in facts:
        if concepts.count(dropped.what) > 1:
            continue  # another fact about the same thing takes its place
        rest = answer(rule, [f for f in facts if f is not dropped], about, on)
        if rest is None:
            continue  # no finding is no answer
        same = (rest.status, rest.category, rest.value) == (
            whole.status,
            whole.category,
            whole.value,
        )
        said = rest.missing or rest.assumed or rest.status is Status.UNKNOWN
        assert same or said, (
            f"without {dropped.what} the answer changes from {whole.category} to "
            f"{rest.category}, and nothing says that something is missing"
        )


@pytest.mark.parametrize("rule, case", CASES)
def test_a_score_has_no_value_without_what_it_needs(rule, case):
    facts = facts_from(case.get("facts", {}))
    about, on = case.get("about", ""), case.get("on", ON)
    whole = answer(rule, facts, about, on)
    if whole is None or whole.value is None:
        return
    for needed in rule_of(rule).needs:
        names = {needed, "person.birth_date"} if needed == "person.age" else {needed}
        assert names & {f.what for f in facts}, f"{needed} is not needed"
        rest = answer(rule, [f for f in facts if f.what not in names], about, on)
        assert rest is None or (rest.value is None and needed in rest.missing)
