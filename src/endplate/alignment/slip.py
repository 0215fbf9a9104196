"""Spondylolisthesis: how far a vertebra has slipped on the one below."""

from __future__ import annotations

from collections.abc import Iterator

from endplate.alignment.standing import PELVIC_INCIDENCE, POSTURE, posture_of, standing, told
from endplate.evidence import Evidence, first_met
from endplate.facts import Fact, replaced
from endplate.findings import Finding, Status
from endplate.posture import Posture
from endplate.record import Patient
from endplate.rules import rule

_SLIP = "segment.listhesis_percent"


@rule("alignment.meyerding", reads=(_SLIP, POSTURE), scores="meyerding", needs=(_SLIP,))
def meyerding(patient: Patient, evidence: Evidence) -> Iterator[Finding]:
    """Meyerding's grade of a forward slip, by its part of the endplate below.

    Source      Meyerding's grades as restated (alignment.meyerding.*)
    Population  adults and adolescents with spondylolisthesis, lateral radiographs
    Not for     a slip backwards; a measured slip that is within its own error, or small
                (alignment.least_measured_slip)
    """
    grades = evidence.under("alignment.meyerding.")
    seen: set[str | None] = set()
    for slip in patient.facts(_SLIP):
        if slip.level in seen or slip.details.get("usable") == "no":
            continue
        seen.add(slip.level)
        if _within_error(slip, evidence):
            continue  # a slip that may be none at all; the measurement stands with its error
        met = first_met(grades, slip.number)
        where = f" at {slip.level}" if slip.level else ""
        if met is None:
            yield Finding(
                says=f"No forward slip{where}: Meyerding's grades do not apply.",
                about=slip.level or "",
                status=Status.NOT_APPLICABLE,
                because=(slip,),
                rests_on=grades,
            )
            continue
        grade = str(met.table[0]["grade"])
        yield Finding(
            says=f"Slip of {told(slip.number, grades)} %{where}: Meyerding grade {grade}"
            f"{_how(patient, slip)}.",
            about=slip.level or "",
            value=slip.number,
            unit="%",
            category=grade,
            because=(slip,),
            missing=_posture_missing(patient, slip),
            rests_on=grades,
        )


def _how(patient: Patient, slip: Fact) -> str:
    posture = posture_of(patient, slip)
    if posture is Posture.STANDING:
        return ""
    if posture is Posture.UNKNOWN:
        return "; the posture is not stated"
    return f"; measured {posture.value}, and standing it may be another"


def _posture_missing(patient: Patient, slip: Fact) -> tuple[str, ...]:
    return (POSTURE,) if posture_of(patient, slip) is Posture.UNKNOWN else ()


# -- types of the Spinal Deformity Study Group ----------------------------------------------------

_PELVIS = "pelvis.sdsg_balance"
_SPINE = "spine.sdsg_balance"
_LEVEL = "L5-S1"


@rule(
    "alignment.sdsg",
    reads=(_SLIP, PELVIC_INCIDENCE, _PELVIS, _SPINE, POSTURE),
    scores="sdsg",
    needs=(_SLIP, PELVIC_INCIDENCE),
)
def sdsg(patient: Patient, evidence: Evidence) -> Finding | None:
    """SDSG type of a slip at L5-S1: by incidence where it is low, by balance where it is high.

    Source      types 1 to 3 in a public specification, 4 to 6 not read with their limits
                (alignment.sdsg.*, alignment.least_measured_slip)
    Population  spondylolisthesis at L5-S1
    Not for     another level; a slip backwards; saying whether pelvis or spine are balanced, which
                is judged on the radiograph
    Differs     an earlier version of 2008 has five types
    """
    slip = next((f for f in patient.facts(_SLIP) if f.level in (None, _LEVEL)), None)
    if slip is None or slip.details.get("usable") == "no" or _within_error(slip, evidence):
        return None
    rows = evidence.under("alignment.sdsg.")
    assumed = () if slip.level else (replaced(slip, level=_LEVEL),)
    if slip.number <= 0:
        return Finding(
            says="No forward slip: the SDSG types do not apply.",
            status=Status.NOT_APPLICABLE,
            because=(slip,),
            assumed=assumed,
            rests_on=rows,
        )
    limit = evidence.row("alignment.sdsg.high_grade")
    is_high = limit.met(slip.number)
    kinds, because, missing = (_high if is_high else _low)(patient, evidence)
    grade = "high" if is_high else "low"
    said = "|".join(kinds)
    if not kinds:
        return Finding(
            says=f"The SDSG type of a {grade}-grade slip cannot be given: pelvic incidence not "
            f"known.",
            status=Status.UNKNOWN,
            parts={"grade": grade},
            because=(slip,),
            missing=missing,
            assumed=assumed,
            rests_on=rows,
        )
    open_ = "" if len(kinds) == 1 else "; the balance of pelvis and spine decides"
    return Finding(
        says=f"SDSG type {said.replace('|', ' or ')}: slip of {told(slip.number, (limit,))} % at "
        f"{_LEVEL}, {grade} grade{open_}{_how(patient, slip)}.",
        category=said,
        parts={"grade": grade},
        because=(slip, *because),
        missing=(*missing, *_posture_missing(patient, slip)),
        assumed=assumed,
        rests_on=rows,
    )


Types = tuple[tuple[str, ...], tuple[Fact, ...], tuple[str, ...]]


def _low(patient: Patient, evidence: Evidence) -> Types:
    """Types 1 to 3, by the incidence, which counts from every posture."""
    incidence = standing(patient, (PELVIC_INCIDENCE,)).used.get(PELVIC_INCIDENCE)
    if incidence is None:
        return (), (), (PELVIC_INCIDENCE,)
    if evidence.row("alignment.sdsg.low_incidence").met(incidence.number):
        return ("1",), (incidence,), ()
    high = evidence.row("alignment.sdsg.high_incidence").met(incidence.number)
    return ("3" if high else "2",), (incidence,), ()


def _high(patient: Patient, evidence: Evidence) -> Types:
    """Types 4 to 6, by what somebody judged of pelvis and spine."""
    pelvis, spine = patient.latest(_PELVIS), patient.latest(_SPINE)
    because = tuple(f for f in (pelvis, spine) if f is not None)
    if pelvis and pelvis.value == "balanced":
        return ("4",), because, ()
    behind = ("5", "6") if spine is None else ("5",) if spine.value == "balanced" else ("6",)
    missing = (*(() if pelvis else (_PELVIS,)), *(() if spine else (_SPINE,)))
    return (behind if pelvis else ("4", *behind)), because, missing


def _within_error(slip: Fact, evidence: Evidence) -> bool:
    """Whether a measured slip may be none at all, or is too small to be told from none."""
    least = evidence.row("alignment.least_measured_slip")
    return slip.interval is not None and (slip.interval[0] <= 0 or least.met(slip.number))
