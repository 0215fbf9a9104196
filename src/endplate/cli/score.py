"""``endplate score``: one rule applied to values typed on the command line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from pathlib import Path

from msgspec.structs import replace

from endplate import evidence, rules, vocabulary
from endplate.cli.main import print_json
from endplate.cli.output import console, overrides_table, table
from endplate.exchange.intake import Intake
from endplate.facts import Fact, InputProblem
from endplate.findings import Finding, Status
from endplate.posture import Posture
from endplate.record import PatientRecord
from endplate.rules import Rule
from endplate.vocabulary import Concept

_POSTURE = "imaging.posture"
_SOURCE = "typed"


def list_all(*, as_json: bool) -> None:
    """Print the ids of all scores and rules."""
    found = rules.find()
    if as_json:
        print_json(
            scores=[{"id": r.scores or r.id, "rule": r.id, "says": r.summary} for r in found]
        )
        return
    rows = [
        (r.scores or r.id, r.summary) for r in sorted(found, key=lambda r: (not r.scores, r.id))
    ]
    console().print(table("Scores and rules", ("id", "what it says"), rows))


def inputs(id: str, *, as_json: bool) -> None:
    """Print what a score reads: key, name, unit, range or choices, and whether it is required."""
    rule = _rule(id)
    found = [vocabulary.concept(what) for what in rule.reads]
    if as_json:
        print_json(
            inputs=[
                {
                    "key": c.id,
                    "name": c.name,
                    "kind": c.kind,
                    "unit": c.unit,
                    "plausible": c.plausible,
                    "step": c.step,
                    "choices": c.choices,
                    "required": c.id in rule.needs,
                }
                for c in found
            ]
        )
        return
    rows = [(c.id, c.name, _allowed(c), "yes" if c.id in rule.needs else "") for c in found]
    console().print(table(f"Inputs of {id}", ("key", "name", "value", "required"), rows))


def _allowed(concept: Concept) -> str:
    if concept.kind == "number":
        low, high = concept.plausible or (float("-inf"), float("inf"))
        unit = "" if concept.unit == "1" and concept.step else f" {concept.unit}"
        steps = f" in steps of {concept.step:g}" if concept.step else ""
        return f"{low:g} to {high:g}{unit}{steps}"
    return {"yes_no": "yes or no", "date": "a date", "levels": "levels like L4-S1"}.get(
        concept.kind, " | ".join(concept.choices) or "text"
    )


def score(id: str, given: list[str], on: date, clinic_file: Path | None, *, as_json: bool) -> None:
    """Print what a score or rule says of the values given."""
    rule = _rule(id)
    intake = Intake(today=on)
    for pair in _items(rule, given):
        _take(rule, pair, on, intake)
    understood = intake.understood()
    if understood.problems:
        first = understood.problems[0]
        raise InputProblem(
            f"{id}: cannot be scored. {first.says} See 'endplate score {id} --inputs'."
        )
    _refuse_twice(id, intake.facts)
    grounds = evidence.shipped()
    if clinic_file is not None:
        grounds = evidence.with_clinic_file(grounds, clinic_file)
    record = PatientRecord.of(understood.facts)
    assumed = _standing(rule, record.facts, on)
    asked = record.with_facts(assumed).known_on(on)
    findings = rule(asked, grounds) or (_nothing_to_score(rule, record.facts),)
    if assumed:
        findings = tuple(replace(f, assumed=(*f.assumed, *assumed)) for f in findings)
    if as_json:
        print_json(facts=record.facts, findings=findings, overrides=grounds.overrides)
        return
    out = console()
    for finding in findings:
        out.print(finding.says, markup=False)
        for name, value in finding.parts.items():
            out.print(f"  {name}: {value}", markup=False)
        if finding.missing:
            out.print(f"  missing: {', '.join(finding.missing)}", markup=False)
        for assumed in finding.assumed:
            out.print(f"  assumed: {assumed.what} = {assumed.value}", markup=False)
        for name in finding.overrides:
            out.print(f"  the clinic's own: {name}", markup=False)
    if grounds.overrides:
        out.print(overrides_table(grounds))


def _standing(rule: Rule, given: Iterable[Fact], on: date) -> tuple[Fact, ...]:
    """For a score of standing radiographs: that they are such, where nobody typed a posture.

    Who types an angle into such a score means a standing one; it is assumed in plain sight.
    """
    if _POSTURE not in rule.reads or not given or any(f.what == _POSTURE for f in given):
        return ()
    return (Fact(what=_POSTURE, value=Posture.STANDING.value, on=on, source=_SOURCE),)


def _nothing_to_score(rule: Rule, given: Iterable[Fact]) -> Finding:
    there = {f.what for f in given}
    lacking = [what for what in rule.needs if what not in there]
    return Finding(
        rule=rule.id,
        says="Cannot be answered: "
        + ("what it needs besides was not given." if there else "nothing was given."),
        status=Status.UNKNOWN,
        missing=tuple(lacking or (w for w in rule.reads if w not in there)) or rule.reads,
    )


def _rule(id: str) -> Rule:
    found = {r.id: r for r in rules.find()} | {r.scores: r for r in rules.find() if r.scores}
    plain = re.sub(r"[^a-z0-9.]+", "_", id.lower())  # GAP, SRS-Schwab
    if plain in found:
        return found[plain]
    words = set(plain.split("_"))
    alike = [r.scores for r in found.values() if r.scores and words & set(r.scores.split("_"))]
    near = *alike, *vocabulary.nearest(plain, found)
    hint = f" Nearest: {', '.join(dict.fromkeys(near))}." if near else ""
    raise InputProblem(
        f"{id}: is no score or rule.{hint} 'endplate score --list' shows all ids; choose one."
    )


def _items(rule: Rule, given: list[str]) -> list[str]:
    """The pairs given, with ``answers=1,0,,3`` as the items of a questionnaire; blanks stay out."""
    items = sum(what.rpartition(".")[2].startswith("item") for what in rule.reads)
    found = []
    for pair in given:
        if not items or not pair.startswith("answers="):
            found.append(pair)
            continue
        answers = pair.removeprefix("answers=").split(",")
        if len(answers) > items:
            raise InputProblem(
                f"{rule.scores}: cannot be scored. It has {items} items; {len(answers)} answers "
                f"were given. Leave a blank between commas for an item without an answer."
            )
        found += [f"item{n}={answer}" for n, answer in enumerate(answers, 1)]
    return found


def _refuse_twice(id: str, facts: Iterable[Fact]) -> None:
    """Of two values of one input neither may be dropped in silence."""
    seen: set[tuple[str, object, object]] = set()
    for fact in facts:
        key = fact.what, fact.level, fact.side
        if key in seen:
            raise InputProblem(
                f"{id}: cannot be scored. Each input is given once; {fact.what} was given twice. "
                f"Keep one of them."
            )
        seen.add(key)


def _take(rule: Rule, pair: str, on: date, intake: Intake) -> None:
    """One ``key=value``: a concept's id, its last word or a name, with ``@L1`` for a level."""
    key, equals, text = pair.partition("=")
    if not equals:
        raise InputProblem(
            f"{pair}: is not understood. Inputs are written key=value; there is no '='. See "
            f"'endplate score {rule.scores or rule.id} --inputs'."
        )
    name, _, level = key.partition("@")
    matching = [name] if name in rule.reads else vocabulary.ids_named(name, rule.reads)
    if len(matching) != 1:
        near = ", ".join(matching or vocabulary.nearest(name, rule.reads)) or ", ".join(rule.reads)
        raise InputProblem(
            f"{name}: is {'ambiguous' if matching else 'no input'} of {rule.scores or rule.id}. "
            f"It reads {near}. Write one of these."
        )
    concept = vocabulary.concept(matching[0])
    value, unit = text.strip(), concept.unit
    if concept.kind == "number" and " " in value:
        value, unit = value.split(None, 1)
    if not value:
        return  # left blank: missing, and never a value
    intake.take(
        concept, value, unit=unit, on=None if concept.kind == "date" else on,
        level=level or None, source=_SOURCE,
    )  # fmt: skip
