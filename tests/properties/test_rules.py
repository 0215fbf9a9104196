"""What holds for every rule and any person whom the vocabulary can describe."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from endplate import evidence, rules, units, vocabulary
from endplate.bone.densitometry import T_SCORES
from endplate.exchange.intake import Intake
from endplate.facts import Fact, replaced
from endplate.findings import Status
from endplate.record import PatientRecord
from endplate.vocabulary import Concept

from patients import ON

SHIPPED = evidence.shipped()
RULES = [r for r in rules.find() if r.id.startswith(("alignment.", "bone.", "risk.", "surgery."))]
READ = sorted({what for rule in RULES for what in rule.reads})
ONCE = ("person.sex", "person.birth_date")  # a record of two contradicts itself
QUICK = settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))

LEVELS = ("T9", "T10", "T12", "T13", "L1", "L2", "L3", "L4", "L5", "L6", "S1", "L1-L4", "L4-S1")
WITH_LEVEL = ("ct.", "vertebra.", "bone.t_score.vertebra", "fracture.vertebral", "procedure.")
DETAILS = st.fixed_dictionaries(
    {},
    optional={
        "tube_voltage": st.sampled_from([70.0, 80.0, 100.0, 120.0, 140.0]),
        "contrast": st.sampled_from(["yes", "no", "unknown"]),
        "usable": st.sampled_from(["yes", "no"]),
        "field_strength": st.sampled_from([1.5, 3.0]),
        "repetition_time": st.sampled_from([300.0, 600.0, 2000.0]),
        "echo_time": st.sampled_from([5.0, 12.0, 90.0]),
    },
)


@st.composite
def days(draw, latest=ON + timedelta(days=200)):
    return draw(st.none() | st.dates(date(2015, 1, 1), latest))


@st.composite
def values(draw, concept: Concept):
    if concept.kind == "yes_no":
        return draw(st.booleans())
    if concept.kind == "category":
        return draw(st.sampled_from(concept.choices))
    if concept.kind == "date":
        born = concept.id == "person.birth_date"
        first, last = (date(1925, 1, 1), ON) if born else (date(2024, 1, 1), date(2028, 1, 1))
        return draw(st.dates(first, last)).isoformat()
    if concept.kind == "levels":
        return draw(st.sampled_from(LEVELS))
    if concept.kind == "text":
        return draw(st.sampled_from(["a word", "another"]))
    low, high = concept.plausible or (0.0, 100.0)
    return draw(st.floats(low, high) | st.integers(round(low), round(high)).map(float))


@st.composite
def facts(draw, what=None, on=None):
    """One fact about one concept (or about any that a rule reads)."""
    concept = vocabulary.concept(draw(st.sampled_from(READ)) if what is None else what)
    begun = draw(days()) if on is None else on
    lasting = concept.kind == "yes_no" and begun is not None
    ends = st.none() | st.dates(begun, date(2028, 1, 1)) if lasting else st.none()
    placed = concept.id.startswith(WITH_LEVEL)
    return Fact(
        what=concept.id,
        value=draw(values(concept)),
        unit=concept.unit if concept.kind == "number" else "",
        on=begun,
        until=draw(ends),
        level=draw(st.none() | st.sampled_from(LEVELS)) if placed else None,
        side=draw(st.sampled_from([None, "left", "right"])),
        source=f"source {draw(st.integers(0, 10**9))}",
        details=draw(DETAILS) if concept.id.startswith(("ct.", "mr.", "vertebra.")) else {},
    )


def _one_person(found):
    """The facts without a second sex or birth date, as a record of one person has them."""
    seen: set[str] = set()
    kept = []
    for fact in found:
        if fact.what in ONCE and fact.what in seen:
            continue
        seen.add(fact.what)
        kept.append(fact)
    return kept


@st.composite
def people(draw):
    """The facts of a person: who it is, what is intended, and anything that a rule reads."""
    found = [
        draw(facts(what))
        for what in ("person.sex", "person.age", "person.birth_date", "person.postmenopausal",
                     "condition.osteoporosis", "intent.procedure", "intent.levels", "intent.date",
                     "intent.elective")
        if draw(st.booleans())
    ]  # fmt: skip
    return _one_person([*found, *draw(st.lists(facts(), max_size=12))])


def said(found, on=ON):
    """Everything that the rules say of these facts, by key."""
    patient = PatientRecord.of(found).known_on(on)
    return {f.key: f for rule in RULES for f in rule(patient, SHIPPED)}


def answer(finding):
    """What of a finding a reader acts on; the facts behind it may be told in another way."""
    return (
        finding.says, finding.status, finding.value, finding.category, dict(finding.parts),
        finding.missing, tuple(f.what for f in finding.assumed), finding.stage, finding.urgency,
        tuple(p.says for p in finding.positions),
    )  # fmt: skip


@given(people())
@QUICK
def test_no_rule_raises_and_every_finding_can_be_shown(person):
    patient = PatientRecord.of(person).known_on(ON)
    known = vocabulary.concepts()
    for rule in RULES:
        found = rule(patient, SHIPPED)
        assert len({f.key for f in found}) == len(found), f"{rule.id}: spoke twice"
        for f in found:
            assert f.says.endswith(".") and "  " not in f.says
            assert " None" not in f.says and "_" not in f.says and "()" not in f.says
            assert set(f.missing) <= set(known), f"{f.key}: asks for what has no name"
            assert len(set(f.missing)) == len(f.missing), f"{f.key}: asks twice"
            assert f.rests_on, f"{f.key}: rests on nothing"
            if f.status is Status.UNKNOWN:
                assert f.missing


@given(people(), st.randoms(use_true_random=False))
@QUICK
def test_the_order_of_the_facts_does_not_matter(person, chance):
    shuffled = list(person)
    chance.shuffle(shuffled)
    assert said(person) == said(shuffled)


@given(people(), facts())
@QUICK
def test_what_happens_later_does_not_matter_today(person, later):
    assume(later.what not in ONCE)
    later = replaced(later, on=ON + timedelta(days=1), until=None)
    assert said(person) == said([*person, later])


RANK = {None: 0, "normal": 1, "low_bone_mass": 2, "osteoporosis": 3, "severe_osteoporosis": 4}


@given(people(), st.sampled_from(T_SCORES), st.floats(-9, 9), st.floats(0, 9), st.data())
@QUICK
def test_a_lower_t_score_never_leads_away_from_osteoporosis(person, what, t, less, data):
    higher = replaced(data.draw(facts(what)), value=t)
    lower = replaced(higher, value=max(t - less, -9.0))
    before, after = said([*person, higher]), said([*person, lower])
    for rule in ("bone.osteoporosis_by_dxa", "bone.osteoporosis", "bone.diagnosis.nbha",
                 "bone.treatment_indication.bhof_2022"):  # fmt: skip
        one, other = before[rule].category, after[rule].category
        if one in RANK and other in RANK:
            assert RANK[other] >= RANK[one], rule
        else:
            assert one != "treatment_indicated" or other == "treatment_indicated"
    for proposed in ("bone.refer", "bone.first_choice_agent"):
        assert proposed not in before or proposed in after


@given(people(), st.floats(0, 300), st.floats(0, 300), DETAILS, st.data())
@QUICK
def test_a_lower_attenuation_never_leads_away_from_osteoporosis(person, hu, less, details, data):
    measured = data.draw(facts("ct.hounsfield.three_location"))
    higher = replaced(measured, value=hu, level="L1", details=details)
    lower = replaced(higher, value=hu - less)
    before, after = said([*person, higher]), said([*person, lower])
    one, other = (f["bone.osteoporosis"].parts for f in (before, after))
    for name, a in one.items():
        assert a != "yes" or other[name] == "yes", name


# Concepts, with another unit for the same thing.
OTHER_UNITS = {
    "lab.vitamin_d": "nmol/L",
    "lab.calcium": "mmol/L",
    "lab.albumin": "g/L",
    "person.weight": "g",
    "person.glucocorticoid_daily_dose": "ug/d",
    "bone.mineral_density.femoral_neck": "mg/cm2",
    "bone.quantitative_ct_density": "g/L",
    "bone.t_score.total_hip": "{T-score}",
    "bone.t_score.lumbar_spine": "SD",
    "ct.hounsfield.three_location": "HU",
    "lab.creatinine_clearance": "L/h",
}


@given(people(), st.sampled_from(sorted(OTHER_UNITS)), st.data())
@settings(QUICK, max_examples=80)
def test_relabelling_a_unit_never_changes_a_finding(person, what, data):
    concept, other = vocabulary.concept(what), OTHER_UNITS[what]
    low, high = concept.plausible
    # With the decimals that are printed, so that the cut-offs themselves are often met.
    value = round(data.draw(st.floats(low, high)), concept.decimals) + 0.0  # no minus zero
    low_side = {"bone.t_score": -2.5, "lab.vitamin_d": 20.0, "lab.creatinine": 35.0}
    cut = next((c for name, c in low_side.items() if what.startswith(name)), value)
    value = data.draw(st.sampled_from([value, cut]))
    written = units.convert(value, concept.unit, other, concept.substance) if (
        other not in concept.also_written
    ) else value  # fmt: skip
    both = []
    for amount, unit in ((value, concept.unit), (written, other)):
        intake = Intake(ON)
        level = "L1" if what.startswith("ct.") else None
        taken = intake.take(concept, amount, unit=unit, on=ON, source="unit", level=level)
        assume(taken is not None)
        both.append(said([*person, taken]))
    assert list(both[0]) == list(both[1])
    for key, finding in both[0].items():
        there = both[1][key]
        assert (finding.says, finding.status, finding.category, finding.missing) == (
            there.says, there.status, there.category, there.missing
        )  # fmt: skip
        assert finding.value == pytest.approx(there.value)


UNRELATED = sorted(
    c
    for c in vocabulary.concepts()
    if not c.startswith(("person.", "questionnaire."))  # hundreds of items would crowd out the rest
    and c not in READ
    and not set(vocabulary.ancestors(c)) & set(READ)
)


def _matters_to(rule, what):
    """Whether a rule says that it reads a concept, or one that is true with it."""
    reads = set(rule.reads)
    if what in ("person.birth_date", "person.age"):
        return "person.age" in reads
    # A denial of a wider concept denies those below it.
    below = {c for c in reads if what in vocabulary.ancestors(c)}
    return bool({what, *vocabulary.ancestors(what)} & reads or below)


@given(people(), st.sampled_from(UNRELATED), st.data())
@QUICK
def test_a_fact_that_no_rule_reads_changes_nothing(person, what, data):
    more = replaced(data.draw(facts(what)), level=None)
    before, after = said(person), said([*person, more])
    assert {k: answer(f) for k, f in before.items()} == {k: answer(f) for k, f in after.items()}


@given(people(), facts())
@settings(QUICK, max_examples=100)
def test_a_rule_changes_only_with_what_it_says_it_reads(person, more):
    assume(more.what not in ONCE)
    more = replaced(more, level=None if more.level in ("T13", "L6") else more.level)
    before = PatientRecord.of(person).known_on(ON)
    after = PatientRecord.of([*person, more]).known_on(ON)
    for rule in RULES:
        if not _matters_to(rule, more.what):
            one, other = rule(before, SHIPPED), rule(after, SHIPPED)
            assert [answer(f) for f in one] == [answer(f) for f in other], (rule.id, more.what)
