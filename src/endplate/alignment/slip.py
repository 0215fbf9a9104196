"""Spondylolisthesis: how far a vertebra has slipped on the one below."""

from __future__ import annotations

from collections.abc import Iterator

from endplate.alignment.standing import POSTURE, posture_of
from endplate.evidence import Evidence
from endplate.facts import Fact
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
    least = evidence.row("alignment.least_measured_slip")
    seen: set[str | None] = set()
    for slip in patient.facts(_SLIP):
        if slip.level in seen or slip.details.get("usable") == "no":
            continue
        seen.add(slip.level)
        if slip.interval is not None and (slip.interval[0] <= 0 or least.met(slip.number)):
            continue  # a slip that may be none at all; the measurement stands with its error
        met = next((row for row in grades if row.met(slip.number)), None)
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
            says=f"Slip of {slip.number:.0f} %{where}: Meyerding grade {grade}"
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
