"""Bone on MR: what the vertebral bone quality score says, against its age norm."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

from endplate.evidence import Evidence, Row
from endplate.facts import Fact
from endplate.findings import Finding, Position, Stage, Status, Urgency
from endplate.record import Known, Patient, any_of
from endplate.rules import rule
from endplate.vocabulary import concept

_IN_WORDS = {
    "possible": "possible osteoporosis",
    "indeterminate": "indeterminate",
    "unlikely": "osteoporosis unlikely",
}


def score_band(score: float, evidence: Evidence) -> str:
    """``possible``, ``indeterminate`` or ``unlikely`` of one vertebral bone quality score."""
    if evidence.row("bone.vbq.possible").met(score):
        return "possible"
    return "indeterminate" if evidence.row("bone.vbq.indeterminate").met(score) else "unlikely"


def sequence_fits(score: Fact, evidence: Evidence) -> tuple[str, tuple[str, ...]]:
    """Whether a score was taken with a sequence as in its norms: ``yes``, ``no``, ``unknown``.

    Also the concepts of what nobody wrote down of the sequence.
    """
    missing = []
    for name in ("repetition_time", "echo_time"):
        value = score.details.get(name)
        if not isinstance(value, float | int):
            missing.append(f"imaging.mr.{name}")
            continue
        low, high = (evidence.row(f"measurement.vbq.{name}_{end}") for end in ("from", "to"))
        if not (low.met(value) and high.met(value)):
            return "no", ()
    contrast = score.details.get("contrast")
    if contrast == "yes":
        return "no", ()
    missing += [] if contrast == "no" else ["imaging.mr.contrast"]
    return ("unknown" if missing else "yes"), tuple(missing)


@rule(
    "bone.vertebral_bone_quality",
    reads=("mr.vertebral_bone_quality", "person.age", "condition.hyperlipidaemia",
           "fracture.vertebral", "condition.bone_metastasis", "procedure.spinal_instrumentation"),
)  # fmt: skip
def vertebral_bone_quality(patient: Patient, evidence: Evidence) -> Finding:
    """What the vertebral bone quality score of L1-L4 says, beside people of the same age.

    Source      cut-off and group means of one cohort, norms of another (bone.vbq.*,
                measurement.vbq.repetition_time_*, measurement.vbq.echo_time_*)
    Population  adults before lumbar surgery, T1-weighted MR without contrast
    Not for     a diagnosis; comparing field strengths; an alert on complications
    Differs     cut-offs from 2.18 to 3.06 are published, and most people over 50 exceed 3.0
    """
    notes = tuple(
        evidence.row(f"bone.vbq.{name}")
        for name in (
            "range_in_literature", "group_means", "field_strength", "no_alert_on_complications",
            "repeatability", "accuracy",
        )
    )  # fmt: skip
    score = patient.latest("mr.vertebral_bone_quality")
    if score is None:
        return Finding(
            says="The vertebral bone quality score is unknown.",
            status=Status.UNKNOWN,
            missing=("mr.vertebral_bone_quality",),
            rests_on=notes,
        )
    fits, sequence_missing = sequence_fits(score, evidence)
    if fits == "no":
        return Finding(
            says=f"Vertebral bone quality score {score.number:.2f}: cannot be classified; the "
            f"repetition time, the echo time or contrast is not as in its norms.",
            status=Status.NOT_APPLICABLE,
            value=score.number,
            unit="1",
            because=(score,),
            rests_on=_gate(evidence),
        )
    band = score_band(score.number, evidence)
    age = patient.age
    lipids = patient.has("condition.hyperlipidaemia")
    outside, outside_unknown = _outside_the_norms(patient, evidence)
    norm = _norm_at(age.number, evidence) if age and not outside.yes else None
    percentile = None
    if norm is not None:
        percentile = round(100 * NormalDist(norm["mean"], norm["sd"]).cdf(score.number))
    field_strength = score.details.get("field_strength")
    says = f"Vertebral bone quality score {score.number:.2f}"
    says += f" at {field_strength:g} T" if isinstance(field_strength, float | int) else ""
    says += f": {_IN_WORDS[band]}"
    if percentile is not None:
        says += f"; about the {_ordinal(percentile)} percentile for the age"
    if outside.yes:
        names = ", ".join(dict.fromkeys(concept(f.what).name for f in outside.because))
        says += f"; the norms for the age leave out people with {names}"
    says += "; hyperlipidaemia raises the score" if lipids.yes else ""
    says += "; scores differ between field strengths" if band == "unlikely" else ""
    left_out = score.details.get("left_out")
    says += f"; measured without {left_out}" if left_out else ""
    says += "".join(f"; doubtful, as {d}" for d in score.doubts if not _is_said(d))
    says += "; a DXA decides"
    rows = [evidence.row("bone.vbq.possible"), evidence.row("bone.vbq.indeterminate"), *notes]
    rows += [evidence.row("bone.vbq.norm")] if norm is not None else []
    rows += [evidence.row("bone.vbq.hyperlipidaemia")] if lipids.yes else []
    missing = [] if age else ["person.age"]
    missing += [] if isinstance(field_strength, float | int) else ["imaging.mr.field_strength"]
    missing += [*sequence_missing, *(outside_unknown if norm is not None else ())]
    rows += _gate(evidence)
    return Finding(
        says=says + ".",
        value=score.number,
        unit="1",
        category=band,
        parts={
            "percentile_for_age": None if percentile is None else float(percentile),
            "field_strength": field_strength if field_strength is not None else None,
            "raised_by_hyperlipidaemia": True if lipids.yes else None,
        },
        because=(score, *((age,) if age else ()), *lipids.because, *outside.because),
        missing=tuple(missing),
        rests_on=tuple(rows),
        positions=_by_every_cut_off(score.number, evidence),
        stage=Stage.NOW if band == "possible" else Stage.BACKGROUND,
        urgency=Urgency.ROUTINE if band == "possible" else Urgency.INFORMATION,
    )


def _by_every_cut_off(score: float, evidence: Evidence) -> tuple[Position, ...]:
    """Whether a score meets each published cut-off; the one that the band starts at is marked."""
    used = evidence.row("bone.vbq.possible")
    return tuple(
        Position(
            holder=row.text,
            says=f"{'met' if row.met(score) else 'not met'}; {row.says}",
            rests_on=(row,),
            default=row.number == used.number,
        )
        for row in evidence.under("bone.vbq.published.")
    )


def _outside_the_norms(patient: Patient, evidence: Evidence) -> tuple[Known, tuple[str, ...]]:
    """Whether a person is one of those whom the norms leave out, and what of it is not known."""
    asked = [str(line["asks"]) for line in evidence.row("bone.vbq.exclusions").table]
    answers = {what: patient.ever(what) for what in asked}
    return any_of(answers.values()), tuple(w for w, a in answers.items() if a.unknown)


def _is_said(doubt: str) -> bool:
    """Whether a doubt is about what the sentence, or what is missing, says anyway."""
    return doubt.endswith(("could not be used", "is unknown"))


def _gate(evidence: Evidence) -> tuple[Row, ...]:
    """The sequence in which the norms were measured, and what else was left out there."""
    return (
        *evidence.under("measurement.vbq.repetition_time_"),
        *evidence.under("measurement.vbq.echo_time_"),
        evidence.row("bone.vbq.exclusions"),
    )


def _norm_at(age: float, evidence: Evidence) -> Any:
    """The norm of the decade of an age, or None outside the ages that were studied."""
    for line in evidence.row("bone.vbq.norm").table:
        if line["from"] <= age < line["to"] + 1:
            return line
    return None


def _ordinal(number: int) -> str:
    number = min(max(number, 1), 99)  # a normal curve has no 0th or 100th percentile
    ending = {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{'th' if number // 10 == 1 else ending}"
