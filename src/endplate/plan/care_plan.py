"""The care plan: every rule over one record, arranged by when it matters in a person's care."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date

from msgspec import Struct

from endplate import rules, vocabulary
from endplate.alignment.together import told_once
from endplate.evidence import Evidence, Override
from endplate.findings import AnyFinding, Finding, Stage, Status, Urgency
from endplate.pain.red_flags import first_things_first
from endplate.record import Patient, PatientRecord
from endplate.rules import Rule

INTENDED_USE = (
    "Guideline support: shows a clinician what published guidance says about the facts on "
    "record, with its sources. It does not decide, and it is no cleared medical device."
)

_STAGES = tuple(Stage)
_URGENCIES = tuple(Urgency)


class OpenQuestion(Struct, frozen=True, kw_only=True):
    """A fact that nobody has, and what hangs on it.

    Attributes
    ----------
    asks, name
        The concept, and what a clinician calls it.
    blocks
        Keys of the findings that cannot be answered without it.
    could_turn
        Keys of the findings that are answered and could change with it.
    """

    asks: str
    name: str
    blocks: tuple[str, ...] = ()
    could_turn: tuple[str, ...] = ()


class CarePlan(Struct, frozen=True, kw_only=True):
    """The findings' arrangement: red flags, now, before, during and after surgery, and without.

    Attributes
    ----------
    on
        The day for which it holds.
    summary
        The most urgent sentences, each the sentence of a finding.
    stages
        Keys of the findings at each stage, most urgent first.
    open_questions
        What is not known, by how many findings hang on it.
    overrides
        Where a clinic's own evidence was used instead of what is shipped.
    """

    on: date
    summary: tuple[str, ...]
    stages: Mapping[str, tuple[str, ...]]
    open_questions: tuple[OpenQuestion, ...]
    overrides: tuple[Override, ...] = ()
    clinic: str = ""
    intended_use: str = INTENDED_USE


def findings_of(record: PatientRecord, on: date, evidence: Evidence) -> tuple[AnyFinding, ...]:
    """What every rule says of this record on a day, in the order in which it is shown."""
    patient = record.known_on(on)
    found = told_once(
        f
        for rule in rules.find()
        if _is_asked(rule, patient)
        for f in rule(patient, evidence)
        if not _hardly_begun(f)
    )
    found = first_things_first(_told_by_one(tuple(found)))
    keys = [f.key for f in found]
    if len(set(keys)) != len(keys):
        twice = sorted({k for k in keys if keys.count(k) > 1})
        raise ValueError(f"{twice[0]}: a rule spoke twice about the same thing.")
    place = _headlines()

    def order(finding: Finding) -> tuple[int, int, float, str]:
        stage, urgency = _STAGES.index(finding.stage), _URGENCIES.index(finding.urgency)
        return (stage, urgency, place.get(finding.rule, math.inf), finding.key)

    return tuple(sorted(found, key=order))


def _told_by_one(found: tuple[AnyFinding, ...]) -> tuple[AnyFinding, ...]:
    """The findings without those of rules whose matter another rule has told."""
    speak = {f.rule for f in found}
    silent = {rule.id for rule in rules.find() if rule.unless in speak}
    return tuple(f for f in found if f.rule not in silent)


def _is_asked(rule: Rule, patient: Patient) -> bool:
    """Whether what has to be on record first, for a rule that needs that, is."""
    return not rule.begins or patient.tells_of(rule.begins)


# The room of such scores, and the two of them that stand with the medicines.
_SCORES_OF_RISK = ("risk.", "medicines.riosord")


def _hardly_begun(finding: Finding) -> bool:
    """Whether it is a score of risk of which less is on record than is missing.

    Such scores share items with every record, and would ask everybody for all their others.
    """
    return (
        finding.rule.startswith(_SCORES_OF_RISK)
        and finding.status is Status.UNKNOWN
        and len(finding.missing) >= len(finding.because)
    )


def _headlines() -> dict[str, int]:
    """The place in a summary of each rule that has one."""
    return {rule.id: rule.headline for rule in rules.find() if rule.headline is not None}


def arranged(findings: tuple[AnyFinding, ...], on: date, evidence: Evidence) -> CarePlan:
    """The care plan that these findings make."""
    return CarePlan(
        on=on,
        summary=_summary(findings),
        stages={s.value: tuple(f.key for f in findings if f.stage is s) for s in Stage},
        open_questions=_open_questions(findings),
        overrides=evidence.overrides,
        clinic=evidence.clinic,
    )


_SUMMARY_LENGTH, _OF_ONE_ROOM = 8, 5


def _summary(findings: tuple[AnyFinding, ...]) -> tuple[str, ...]:
    """The sentences that a surgeon with one minute should read.

    Emergencies come first, then what its rule calls a headline, in the rules' order; the first
    headline, the verdict, is there whatever its urgency. No room takes the whole of it.
    """
    place = _headlines()
    emergencies = [f for f in findings if f.urgency is Urgency.EMERGENCY]
    headlines = sorted((f for f in findings if f.rule in place), key=lambda f: place[f.rule])
    pressing = [f for f in headlines if f.urgency is Urgency.SOON or place[f.rule] == 1]
    told: dict[str, str] = {}  # a sentence and its room
    for finding in (*emergencies, *pressing):
        room = finding.rule.partition(".")[0]
        if finding in emergencies or [*told.values()].count(room) < _OF_ONE_ROOM:
            told.setdefault(finding.says, room)
    return tuple(told)[:_SUMMARY_LENGTH]


def _open_questions(findings: tuple[AnyFinding, ...]) -> tuple[OpenQuestion, ...]:
    blocks: dict[str, list[str]] = {}
    turns: dict[str, list[str]] = {}
    for finding in findings:
        into = blocks if finding.status is Status.UNKNOWN else turns
        for what in dict.fromkeys(finding.missing):
            into.setdefault(what, []).append(finding.key)
    questions = [
        OpenQuestion(
            asks=what,
            name=vocabulary.concept(what).name,
            blocks=tuple(blocks.get(what, ())),
            could_turn=tuple(turns.get(what, ())),
        )
        for what in {**blocks, **turns}
    ]
    return tuple(
        sorted(
            questions,
            key=lambda q: (-len(q.blocks) - len(q.could_turn), -len(q.blocks), q.asks),
        )
    )
