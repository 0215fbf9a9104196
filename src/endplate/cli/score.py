"""``endplate score``: one rule applied to values typed on the command line."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from itertools import count
from pathlib import Path

from msgspec.structs import replace

from endplate import evidence, rules, vocabulary
from endplate.cli.main import print_json
from endplate.cli.output import console, overrides_table, table
from endplate.exchange.intake import Intake
from endplate.facts import Fact, InputProblem, Side
from endplate.findings import AnyFinding, Finding, Status
from endplate.posture import Posture
from endplate.record import PatientRecord
from endplate.rules import Rule
from endplate.vocabulary import Concept

_POSTURE = "imaging.posture"
_SOURCE = "typed"
# Scores by an abbreviation, or by a word that their id has not.
_ALSO_CALLED = {
    "cci": "charlson", "charlson_comorbidity_index": "charlson", "clin_asd_fi": "asd_fi_clinical",
    "hicks_short": "hicks", "roland_morris": "rmdq", "oswestry": "odi", "glucose": "risk.glucose",
    "nrs_back": "nrs_pain", "nrs_leg": "nrs_pain", "l3_smi": "sarcopenia",
    "skeletal_muscle_index": "sarcopenia",
}  # fmt: skip
# Units as they are written at the end of a name.
_UNITS = {
    "_g_l": "g/L", "_g_dl": "g/dL", "_mg_dl": "mg/dL", "_mmol_l": "mmol/L", "_percent": "%",
    "_kg": "kg", "_cm": "cm", "_m": "m", "_per_mm3": "/uL", "_per_ul": "/uL", "_years": "a",
    "_mg_l": "mg/L", "_umol_l": "umol/L", "_hu": "[hnsf'U]", "_mm": "mm", "_deg": "deg",
    "_ml": "mL", "_min": "min", "_minutes": "min", "_months": "mo",
}  # fmt: skip
_NOT_KNOWN = frozenset({"unknown", "not known", "not asked", "not done", "?"})
_FAR = 10  # so many times outside the usual a number alone is taken for one in another unit
_PROFILE = ("profile", "state", "health_state")  # answers without commas: 21232
_BEFORE = ("before", "baseline", "previous")
_SIDES: tuple[Side, ...] = ("left", "right")


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
                    "also": [
                        a.word for a in vocabulary.also_said() if a.concept == c.id and not a.choice
                    ],
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
    pairs = _items(rule, given)
    earlier = [
        pair for pair in pairs
        if (name := pair.partition("=")[0]) in _BEFORE
        and not vocabulary.ids_named(name, rule.reads)
    ]  # fmt: skip
    for pair in pairs:
        if pair not in earlier:
            _take(rule, pair, on, intake)
    understood = intake.understood()
    if understood.problems:
        first = understood.problems[0]
        hint = " Another unit is written behind the number." if "the unit or" in first.says else ""
        raise InputProblem(
            f"{id}: cannot be scored. {first.says}{hint} See 'endplate score {id} --inputs'."
        )
    _once(rule, intake.facts)
    grounds = evidence.shipped()
    if clinic_file is not None:
        grounds = evidence.with_clinic_file(grounds, clinic_file)
    record = PatientRecord.of(understood.facts)
    assumed = _standing(rule, record.facts, on)
    asked = record.with_facts(assumed).known_on(on)
    findings = rule(asked, grounds) or (_nothing_to_score(rule, record.facts),)
    _readable(rule, findings)
    if assumed:
        findings = tuple(replace(f, assumed=(*f.assumed, *assumed)) for f in findings)
    if earlier:
        findings += _changed(rule, earlier, findings[0], grounds)
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


def _readable(rule: Rule, findings: Iterable[AnyFinding]) -> None:
    """Refuse a text that the rule itself could not read: a slip of the pen, and no unknown."""
    for finding in findings:
        if "unreadable" in finding.parts:
            raise InputProblem(
                f"{rule.scores or rule.id}: cannot be scored. {finding.says} Correct it."
            )


def _changed(
    rule: Rule, earlier: list[str], now: AnyFinding, grounds: evidence.Evidence
) -> tuple[Finding, ...]:
    """What changed since an earlier score of the same instrument, which was typed as well."""
    from endplate.questionnaires.change import Measured, change
    from endplate.questionnaires.instrument import instruments

    instrument = instruments().get(rule.scores)
    name = earlier[0].partition("=")[0]
    if instrument is None or not instrument.score or len(earlier) > 1:
        raise InputProblem(
            f"{name}: is no input of {rule.scores or rule.id}. One earlier score is taken, by "
            f"instruments that have one. Leave {name} out."
        )
    concept = vocabulary.concept(instrument.score)
    intake = Intake()
    before = intake.take(
        concept, earlier[0].partition("=")[2], unit=concept.unit, source=_SOURCE
    )  # fmt: skip
    if before is None:
        says = intake.understood().problems[0].says
        raise InputProblem(f"{rule.scores}: the change cannot be said. {says} Correct {name}.")
    found = change(
        instrument.id, instrument.title,
        Measured(scales={"total": before.number}, on=None, because=(before,)),
        Measured(scales={"total": now.value}, on=None, because=now.because), grounds,
    )  # fmt: skip
    return () if found is None else (found,)


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
    plain = _ALSO_CALLED.get(plain, plain)
    if plain in found:
        return found[plain]
    words = set(plain.split("_"))
    alike = [r.scores for r in found.values() if r.scores and words & set(r.scores.split("_"))]
    # NRS-2002 is nrs2002; the modified Bauer score, or Bauer alone, is bauer_modified.
    joined = {r.scores for r in found.values() if plain.replace("_", "") == _without_gaps(r)}
    whole = joined or {name for name in alike if words <= set(name.split("_"))}
    if len(whole) == 1:
        return found[whole.pop()]
    cannot = next(
        (n for n in evidence.shipped().not_implementable if n.name.rstrip("0123456789") == plain),
        None,
    )
    if cannot is not None:
        instead = f" Instead: {cannot.instead}" if cannot.instead else ""
        raise InputProblem(f"{id}: is known and not built in. {cannot.reason}{instead}")
    near = *alike, *vocabulary.nearest(plain, found)
    hint = f" Nearest: {', '.join(dict.fromkeys(near))}." if near else ""
    raise InputProblem(
        f"{id}: is no score or rule.{hint} 'endplate score --list' shows all ids; choose one."
    )


def _without_gaps(rule: Rule) -> str:
    return rule.scores.replace("_", "")


def _items(rule: Rule, given: list[str]) -> list[str]:
    """The pairs given, with ``answers=1,0,,3`` as the items of a questionnaire; blanks stay out."""
    items = next(n for n in count() if not vocabulary.ids_named(f"item{n + 1}", rule.reads))
    found = []
    for pair in given:
        name, _, written = pair.partition("=")
        if not items or name not in ("answers", *_PROFILE):
            found.append(pair)
            continue
        answers = written.split(",") if name == "answers" else list(written)
        if len(answers) > items:
            raise InputProblem(
                f"{rule.scores}: cannot be scored. It has {items} items; {len(answers)} answers "
                f"were given. Leave a blank between commas for an item without an answer."
            )
        found += [f"item{n}={answer}" for n, answer in enumerate(answers, 1)]
    return found


def _once(rule: Rule, facts: Iterable[Fact]) -> None:
    """Refuse what was given twice, under one name or under two: one of them is a slip."""
    seen = set()
    for fact in facts:
        place = (fact.what, fact.level, fact.side)
        if place in seen:
            raise InputProblem(
                f"{rule.scores or rule.id}: cannot be scored. Each input is given once; "
                f"{fact.what} was given twice. Keep one of them."
            )
        seen.add(place)


def _take(rule: Rule, pair: str, on: date, intake: Intake) -> None:
    """One ``key=value``: a concept's id, its last word or a name, with ``@L1`` for a level.

    The unit may stand behind the value or the name (``albumin_g_l=35``), a side behind the name.
    """
    key, equals, text = pair.partition("=")
    if not equals:
        raise InputProblem(
            f"{pair}: is not understood. Inputs are written key=value; there is no '='. See "
            f"'endplate score {rule.scores or rule.id} --inputs'."
        )
    name, _, level = key.partition("@")
    value = text.strip()
    what, choice, unit, side = _meant(rule, name, value)
    concept = vocabulary.concept(what)
    value, unit = choice or value, unit or concept.unit
    if concept.kind == "number" and " " in value:
        value, unit = value.split(None, 1)
    if not value or _not_known(value, concept):
        return  # left blank, or said not to be known: missing, and never a value
    fact = intake.take(
        concept, value, unit=unit, on=None if concept.kind == "date" else on,
        level=level or None, side=side, source=_SOURCE,
    )  # fmt: skip
    if fact is not None and value == text.strip() and unit == concept.unit:
        _refuse_another_unit(key, fact, concept)


def _not_known(value: str, concept: Concept) -> bool:
    """Whether a word says that nobody knows; in a category it may stand for a choice.

    A tumour of unknown primary has a primary, which one must say.
    """
    return concept.kind != "category" and value.lower() in _NOT_KNOWN


def _refuse_another_unit(key: str, fact: Fact, concept: Concept) -> None:
    """Refuse a number typed without a unit that lies so far out that it has another one.

    Lymphocytes of 450, per cubic millimetre, would count as a high number of thousands.
    """
    if concept.usual is None:
        return
    low, high = concept.usual
    if not low / _FAR <= fact.number <= high * _FAR:
        raise InputProblem(
            f"{key}: cannot be taken without its unit. A number alone is in {concept.unit}, in "
            f"which this one would be very unusual. Write the unit behind it: "
            f"'{key}=NUMBER UNIT'."
        )


def _meant(rule: Rule, name: str, value: str) -> tuple[str, str, str, Side | None]:
    """The input that a name stands for; the choice, the unit and the side that it says as well."""
    if name in rule.reads:
        return name, "", "", None
    for what in rule.reads:
        choice = vocabulary.choice_said(what, f"{name}={value}")
        if choice:
            return what, choice, "", None
    found = vocabulary.ids_named(name, rule.reads)
    if len(found) == 1:
        return found[0], "", "", None
    for ending, unit in _UNITS.items():
        there = vocabulary.ids_named(name.removesuffix(ending), rule.reads)
        numbers = [what for what in there if vocabulary.concept(what).kind == "number"]
        if name.endswith(ending) and len(numbers) == 1:
            return numbers[0], "", unit, None
    for side in _SIDES:
        there = vocabulary.ids_named(name.removesuffix(f"_{side}"), rule.reads)
        if name.endswith(f"_{side}") and len(there) == 1:
            return there[0], "", "", side
    near = ", ".join(found or vocabulary.nearest(name, rule.reads)) or ", ".join(rule.reads)
    raise InputProblem(
        f"{name}: is {'ambiguous' if found else 'no input'} of {rule.scores or rule.id}. "
        f"It reads {near}. Write one of these."
    )
