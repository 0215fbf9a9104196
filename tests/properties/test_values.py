"""Values round-trip through JSON, follow their schema, and cannot be made invalid."""

from __future__ import annotations

import json
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from endplate import codec, evidence, levels
from endplate.evidence import Row
from endplate.facts import Fact
from endplate.findings import Check, Finding, Position, Recommendation, Stage, Status, Urgency
from endplate.levels import Level, Span
from endplate.plan.care_plan import CarePlan, arranged, findings_of
from endplate.posture import Posture
from endplate.record import PatientRecord

DAYS = st.dates(date(1900, 1, 1), date(2100, 1, 1))
NUMBERS = st.floats(-1e12, 1e12, allow_nan=False).map(lambda x: x + 0.0)
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=20)


@st.composite
def spans(draw) -> str:
    first = draw(st.sampled_from(list(Level)))
    last = draw(st.sampled_from([v for v in Level if v >= first]))
    return str(Span(first, last))


@st.composite
def facts(draw) -> Fact:
    value = draw(st.one_of(NUMBERS, WORDS, st.booleans()))
    number = isinstance(value, float)
    on = draw(st.none() | DAYS)
    later = on is not None and draw(st.booleans())
    margin = draw(st.none() | st.floats(0, 100)) if number else None
    doubts = tuple(draw(st.lists(WORDS, max_size=2, unique=True)))
    return Fact(
        what=draw(WORDS),
        value=value,
        unit=draw(st.sampled_from(["1", "mg/dL", "[hnsf'U]"])) if number else "",
        on=on,
        until=on + timedelta(days=draw(st.integers(0, 900))) if later and on else None,
        level=draw(st.none() | spans()),
        side=draw(st.sampled_from([None, "left", "right"])),
        source=draw(st.text(max_size=10)),
        method=draw(st.none() | WORDS),
        interval=None if margin is None else (value - margin, value + margin),
        posture=draw(st.none() | st.sampled_from(list(Posture))),
        quality="doubtful" if doubts else "ok",
        doubts=doubts,
        details=draw(st.dictionaries(WORDS, NUMBERS | WORDS, max_size=3)),
    )


@st.composite
def findings(draw) -> Finding:
    common = {
        "says": draw(WORDS.filter(lambda w: w.strip())),
        "rule": "room.rule",
        "about": draw(st.text(max_size=5)),
        "category": draw(st.none() | WORDS),
        "parts": draw(
            st.dictionaries(WORDS, st.none() | NUMBERS | WORDS | st.booleans(), max_size=3)
        ),
        "because": tuple(draw(st.lists(facts(), max_size=2))),
        "missing": ("person.age",),
        "status": draw(st.sampled_from(list(Status))),
        "rests_on": draw(st.sampled_from([(), tuple(evidence.shipped().rows.values())[:2]])),
        "positions": (Position(holder="a", says="b"),),
        "stage": draw(st.sampled_from(list(Stage))),
        "urgency": draw(st.sampled_from(list(Urgency))),
    }
    if draw(st.booleans()):
        return Finding(**common)
    return Recommendation(
        **common,
        action=draw(WORDS),
        by=draw(st.none() | DAYS),
        checked=(Check(what="x", answer="unknown", says="y"),),
    )


@given(facts())
def test_a_fact_comes_back_from_json_as_it_was(fact):
    assert codec.decode(codec.encode(fact), Fact) == fact


@given(st.lists(facts(), max_size=5))
def test_a_record_comes_back_and_its_order_is_fixed(them):
    there = [f for f in them if not f.what.startswith("person.")]
    record = PatientRecord.of(there)
    assert codec.decode(codec.encode(record), PatientRecord) == record
    assert codec.encode(PatientRecord.of(reversed(there))) == codec.encode(record)


@given(findings())
def test_a_finding_or_recommendation_comes_back(finding):
    assert codec.decode(codec.encode(finding), Finding | Recommendation) == finding


@given(facts())
def test_a_fact_follows_its_schema(fact):
    Draft202012Validator(codec.schema(Fact)).validate(json.loads(codec.encode(fact)))


@given(findings())
def test_a_finding_follows_its_schema(finding):
    Draft202012Validator(codec.schema(type(finding))).validate(json.loads(codec.encode(finding)))


@given(st.lists(findings(), max_size=3, unique_by=lambda f: f.key))
def test_a_care_plan_comes_back_and_follows_its_schema(them):
    plan = arranged(tuple(them), date(2026, 1, 1), evidence.shipped())
    assert codec.decode(codec.encode(plan), CarePlan) == plan
    Draft202012Validator(codec.schema(CarePlan)).validate(json.loads(codec.encode(plan)))


def test_evidence_rows_come_back():
    for row in evidence.shipped().rows.values():
        assert codec.decode(codec.encode(row), Row) == row


@given(st.sampled_from([float("nan"), float("inf"), -float("inf")]))
def test_a_number_that_is_none_cannot_be_a_fact(value):
    with pytest.raises(ValueError, match="finite"):
        Fact(what="x", value=value, unit="1")


@given(spans())
def test_a_span_is_written_in_one_way(text):
    assert levels.canonical(text) == text
    assert str(levels.span(text.replace("-", " to ").lower())) == text


@given(st.permutations(list(Level)))
def test_levels_sort_from_the_head_down(shuffled):
    assert sorted(shuffled) == list(Level)


def test_the_same_record_gives_the_same_plan_byte_for_byte():
    from patients import ON, patient

    record = patient().woman(67).with_dxa(total_hip=-2.6).wanting("fusion", "L4-S1").record
    again = PatientRecord.of(reversed(record.facts))
    plans = [codec.encode(findings_of(r, ON, evidence.shipped())) for r in (record, again, record)]
    assert plans[0] == plans[1] == plans[2]
