"""What was screened before a programme of recovery, what was not, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from endplate.evidence import Evidence, Row
from endplate.facts import Fact
from endplate.findings import (
    Finding,
    PartValue,
    Recommendation,
    Stage,
    Status,
    Urgency,
)
from endplate.questionnaires.screening import BANDS, DAYS, Answered, answers_to, screened
from endplate.record import Patient
from endplate.rules import rule

FORMS = ("start_back", "ompsq10", "phq9", "phq2", "gad7", "gad2", "tsk17", "fabq", "pcs")
_WITHOUT_RECOVERY = ("none", "injection")


def met(row: Row, patient: Patient, evidence: Evidence) -> list[Answered]:
    """The forms of a table that are unfavourable."""
    found = [screened(line, patient, evidence) for line in row.table]
    return [s for s in found if s is not None and s.unfavourable]


def is_planned(patient: Patient) -> bool:
    """Whether an operation after which somebody recovers is under consideration."""
    procedure = patient.intent.procedure
    return procedure is not None and procedure not in _WITHOUT_RECOVERY


def stage_of(patient: Patient) -> Stage:
    """After the operation that is considered, or without one."""
    return Stage.AFTER_SURGERY if is_planned(patient) else Stage.WITHOUT_SURGERY


def _answered(patient: Patient) -> bool:
    return any(patient.facts(what) for what in answers_to(*FORMS))


# -- which domains --------------------------------------------------------------------------------


class Domain(Struct, frozen=True, kw_only=True):
    """One domain: the form that screens it, whether that is above its limit, what is missing."""

    name: str
    by: Answered | None
    positive: bool | None
    missing: tuple[str, ...]


def domains(patient: Patient, evidence: Evidence) -> list[Domain]:
    """The domains of screening, each by those of its forms that were answered."""
    by_domain: dict[str, list[Mapping[str, Any]]] = {}
    for line in evidence.row("recovery.screening.forms").table:
        by_domain.setdefault(str(line["domain"]), []).append(line)
    found = []
    for name, lines in by_domain.items():
        filled = [s for line in lines if (s := screened(line, patient, evidence))]
        above = [s for s in filled if s.unfavourable]
        classed = [s for s in filled if s.band is not None]
        by = next(iter([*above, *classed, *filled]), None)
        asks = tuple(str(line["asks"]) for line in lines if "asks" in line)
        if by is None:
            found.append(Domain(name=name, by=None, positive=None, missing=asks))
        else:
            positive = None if by.band is None else bool(above)
            found.append(Domain(name=name, by=by, positive=positive, missing=by.finding.missing))
    # A scale about work is for who works: where nobody answered it, nothing is missing.
    return [d for d in found if d.by is not None or d.missing]


def not_screened(patient: Patient, evidence: Evidence) -> tuple[str, ...]:
    """What would have to be asked to have screened every domain."""
    return tuple(dict.fromkeys(w for d in domains(patient, evidence) for w in d.missing))


@rule(
    "recovery.screening",
    reads=(*answers_to(*FORMS), "intent.procedure"),
    unless="pain.yellow_flags",
)
def screening(patient: Patient, evidence: Evidence) -> Finding | None:
    """What was screened of what drives recovery: course, mood, fear, catastrophising.

    Source      the forms' own bands; which forms screen what is our choice (recovery.screening.*)
    Population  adults with low back pain or before spine surgery
    Not for     a diagnosis of depression or anxiety, which an interview makes
    """
    if not is_planned(patient) and not _answered(patient):
        return None
    every = domains(patient, evidence)
    known = [d for d in every if d.positive is not None and d.by is not None]
    above = [d for d in known if d.positive]
    parts: dict[str, PartValue] = {d.name: d.positive for d in every}
    told = [f"{_words(d.name)}: {d.by.says}" for d in known if d.by]
    open_ones = [_words(d.name) for d in every if d.positive is None]
    said = f"screened {'; '.join(told)}" if told else "nothing was screened"
    left = f". Not screened, which is not the same as not there: {', '.join(open_ones)}"
    missing = tuple(dict.fromkeys(w for d in every for w in d.missing))
    category = "above_limits" if above else None if open_ones else "within_limits"
    return Finding(
        says=f"What drives recovery: {said}{left if open_ones else ''}.",
        status=Status.ANSWERED if category else Status.UNKNOWN,
        category=category,
        parts=parts,
        because=facts_of(d.by for d in known if d.by),
        missing=missing,
        rests_on=(
            *evidence.under("recovery.screening."),
            *screening_rows(evidence),
            *rows_of(d.by for d in known if d.by),
        ),
        stage=stage_of(patient),
    )


def _words(domain: str) -> str:
    return domain.replace("_", " ")


def facts_of(found: Iterable[Answered]) -> tuple[Fact, ...]:
    """The answers that forms rest on, each once."""
    return tuple(dict.fromkeys(f for s in found for f in s.finding.because))


def screening_rows(evidence: Evidence) -> tuple[Row, ...]:
    """Which bands are unfavourable, and how long a form counts."""
    return evidence.row(BANDS), evidence.row(DAYS)


def rows_of(found: Iterable[Answered]) -> tuple[Row, ...]:
    """The evidence that forms rest on, each row once."""
    return tuple({r.name: r for s in found for r in s.finding.rests_on}.values())


# -- elements that follow -------------------------------------------------------------------------


@rule("recovery.psychological_element", reads=(*answers_to(*FORMS), "intent.procedure"))
def psychological_element(patient: Patient, evidence: Evidence) -> Recommendation | None:
    """A psychological element of the programme where screening asks for one.

    Source      the forms' own bands; that they call for the element is our choice
                (recovery.element.psychological, recovery.screening.*)
    Population  adults with low back pain or after spine surgery
    Not for     a crisis, which has a pathway of its own; treatment without an interview
    """
    return _element(
        "psychological", "A psychological element belongs in the programme",
        "Ask a psychologist or a psychologically trained physiotherapist for an assessment, and "
        "make their part one of the programme.",
        "surgeon, general practitioner or physiotherapist", patient, evidence,
    )  # fmt: skip


@rule("recovery.graded_activity", reads=(*answers_to(*FORMS), "intent.procedure"))
def graded_activity(patient: Patient, evidence: Evidence) -> Recommendation | None:
    """Graded activity where screening finds fear of movement or a raised risk.

    Source      the forms' own bands; that they call for the element is our choice
                (recovery.element.graded_activity, recovery.screening.*)
    Population  adults with low back pain or after spine surgery
    Not for     the time in which the surgeon restricts loading
    """
    return _element(
        "graded_activity", "Activity is raised step by step by a plan",
        "Refer to physiotherapy for graded activity: agree on a plan of steps, and keep to it on "
        "good and bad days.",
        "physiotherapist", patient, evidence,
    )  # fmt: skip


def _element(
    name: str, says: str, action: str, who: str, patient: Patient, evidence: Evidence
) -> Recommendation | None:
    row = evidence.row(f"recovery.element.{name}")
    yes = met(row, patient, evidence)
    if not yes:
        return None
    return Recommendation(
        says=f"{says}: {'; '.join(s.says for s in yes)}.",
        action=action,
        who=who,
        category=name,
        because=facts_of(yes),
        missing=not_screened(patient, evidence),
        rests_on=(row, evidence.row("recovery.screening.why"), *screening_rows(evidence),
                  *rows_of(yes)),
        would_change=("A newer answer to the same form.",),
        stage=stage_of(patient),
        urgency=Urgency.ROUTINE,
    )  # fmt: skip
