"""How a person keeps upright in spite of a deformity: pelvis, knees, thoracic spine."""

from __future__ import annotations

from endplate.alignment.standing import (
    PELVIC_TILT,
    POSTURE,
    Standing,
    in_span,
    not_answered,
    standing,
)
from endplate.evidence import Evidence
from endplate.facts import Fact
from endplate.findings import Finding, PartValue, Position
from endplate.record import Patient
from endplate.rules import rule

_KYPHOSIS = "spine.thoracic_kyphosis"
_SPAN = "T5-T12"
_KNEES = "lower_limb.knee_flexion_angle"
_SIGNS = {"retroversion": "pelvic retroversion", "hypokyphosis": "thoracic hypokyphosis"}


@rule(
    "alignment.compensation_signs",
    reads=(PELVIC_TILT, _KYPHOSIS, _KNEES, POSTURE),
    scores="compensation_signs",
    needs=(PELVIC_TILT, _KYPHOSIS),
)
def compensation_signs(patient: Patient, evidence: Evidence) -> Finding | None:
    """Signs that a standing person compensates: retroverted pelvis, flat thoracic spine, knees.

    Source      limits of SRS-Schwab for the pelvis and of Lenke for the thoracic spine; none that
                was read for the knees (alignment.compensation.*)
    Population  adults, standing radiographs; the limit of kyphosis is one of adolescents
    Not for     supine images; saying what is compensated; a verdict on the knees
    """
    measured = standing(patient, (PELVIC_TILT, _KNEES))
    kyphosis = standing(patient, (_KYPHOSIS,), {_KYPHOSIS: _SPAN})
    if measured.nothing and kyphosis.nothing:
        return None
    rows = evidence.under("alignment.compensation.")
    flat = kyphosis.used.get(_KYPHOSIS)
    values = {
        "retroversion": measured.used.get(PELVIC_TILT),
        "hypokyphosis": flat,
    }
    parts: dict[str, PartValue] = {
        sign: evidence.row(f"alignment.compensation.{sign}").met(fact.number) if fact else None
        for sign, fact in values.items()
    }
    knees = measured.used.get(_KNEES)
    parts["knee_flexion_angle"] = round(knees.number, 6) if knees else None
    because = tuple(f for f in (*values.values(), knees) if f is not None)
    known = {f.what for f in because}
    missing = tuple(w for w in (PELVIC_TILT, _KYPHOSIS) if w not in known)
    assumed = in_span(flat, _SPAN)
    positions = _of_the_knees(knees, evidence)
    there = [_SIGNS[sign] for sign in _SIGNS if parts[sign]]
    if there:
        return Finding(
            says=f"Signs of compensation: {' and '.join(there)}.",
            category="|".join(sign for sign in _SIGNS if parts[sign]),
            parts=parts,
            because=because,
            missing=missing,
            assumed=assumed,
            rests_on=rows[:-1],
            positions=positions,
        )
    if missing:
        return not_answered(
            "Whether there are signs of compensation", _together(measured, kyphosis, missing),
            evidence, rows=rows[:-1], parts=parts,
        )  # fmt: skip
    return Finding(
        says="Neither pelvis nor thoracic spine shows a sign of compensation.",
        category="none",
        parts=parts,
        because=because,
        assumed=assumed,
        rests_on=rows[:-1],
        positions=positions,
    )


def _of_the_knees(knees: Fact | None, evidence: Evidence) -> tuple[Position, ...]:
    """The flexion of the knees beside what is passed on about it, which nothing rests on."""
    if knees is None:
        return ()
    row = evidence.row("alignment.compensation.knees")
    says = f"{round(knees.number, 1):g}°; {row.says}"
    return (Position(holder="flexion of the knees", says=says, rests_on=(row,)),)


def _together(first: Standing, second: Standing, missing: tuple[str, ...]) -> Standing:
    return Standing(
        used={**first.used, **second.used},
        refused=(*first.refused, *second.refused),
        earlier=(*first.earlier, *second.earlier),
        missing=missing,
    )
