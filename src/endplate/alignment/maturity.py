"""How far a growing person's skeleton is: Risser's grade, Sanders' stage, and what follows."""

from __future__ import annotations

from endplate.evidence import Evidence
from endplate.facts import Fact
from endplate.findings import Finding, PartValue, Status
from endplate.record import Patient
from endplate.rules import rule

RISSER = "growth.risser"
SANDERS = "growth.sanders"
MATURE = "growth.skeletally_mature"
_EXCURSION = "growth.iliac_apophysis_excursion"
_FUSED = "growth.iliac_apophysis_fused"
READS = (RISSER, SANDERS, MATURE, _EXCURSION, _FUSED)


def is_adolescent(patient: Patient, evidence: Evidence) -> bool | None:
    """Whether the age is that of adolescent scoliosis; None where it is not known."""
    age = patient.age
    if age is None:
        return None
    first, last = evidence.under("alignment.adolescent.")
    return first.met(age.number) and last.met(age.number)


def not_adolescent(name: str, patient: Patient, evidence: Evidence) -> Finding:
    """That something of adolescent scoliosis is asked of somebody of another age."""
    first, last = rows = evidence.under("alignment.adolescent.")
    return Finding(
        says=f"{name} is for scoliosis of adolescents, from {first.number:g} to "
        f"{last.number:g} years.",
        status=Status.NOT_APPLICABLE,
        because=(patient.age,) if patient.age else (),
        rests_on=rows,
    )


@rule("alignment.risser", reads=(_EXCURSION, _FUSED, RISSER), scores="risser")
def risser(patient: Patient, evidence: Evidence) -> Finding | None:
    """Risser's grade, from how far the iliac apophysis has come and whether it is fused.

    Source      United States grading, not read in a source (alignment.risser.*)
    Population  growing people
    Not for     the European grading, which counts otherwise; the age of the skeleton by itself
    """
    rows = evidence.under("alignment.risser.")
    excursion, fused = patient.latest(_EXCURSION), patient.has(_FUSED)
    stated = patient.latest(RISSER)
    because = tuple(f for f in (excursion, *fused.because, stated) if f is not None)
    if not because:
        return None
    grades, missing = _grades(patient, evidence)
    if not grades and not missing:
        return Finding(
            says="An apophysis that has not come all the way cannot be fused: excursion and fusion "
            "contradict each other.",
            status=Status.UNKNOWN,
            because=because,
            missing=(_EXCURSION, _FUSED),
            rests_on=rows,
        )
    if not grades:
        return Finding(
            says="Risser's grade cannot be given: how far the apophysis has come is not known.",
            status=Status.UNKNOWN,
            because=because,
            missing=missing,
            rests_on=rows,
        )
    if stated and (excursion or fused.yes) and _int(stated) not in grades:
        return Finding(
            says=f"A Risser grade of {stated.value} was stated, and the apophysis says "
            f"{' or '.join(map(str, grades))}: one of them is wrong.",
            status=Status.UNKNOWN,
            because=because,
            missing=(RISSER, _EXCURSION),
            rests_on=rows,
        )
    said = "|".join(map(str, grades))
    only = grades[0] if len(grades) == 1 else None
    return Finding(
        says=f"Risser grade {said.replace('|', ' or ')} by the United States grading.",
        value=None if only is None else float(only),
        unit="" if only is None else "1",
        category=said,
        because=because,
        missing=missing,
        rests_on=rows,
    )


def _grades(patient: Patient, evidence: Evidence) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """The grades that are possible and what decides between them; neither: a contradiction."""
    excursion, fused = patient.latest(_EXCURSION), patient.has(_FUSED)
    complete = evidence.row("alignment.risser.complete")
    last = int(complete.table[0]["grade"])
    if excursion is None:
        stated = patient.latest(RISSER)
        if fused.yes:
            return (last,), ()
        return ((_int(stated),), ()) if stated else ((), (_EXCURSION,))
    is_complete = complete.met(excursion.number)
    if fused.yes:
        return ((last,), ()) if is_complete else ((), ())
    tried = [r for r in evidence.under("alignment.risser.grade_") if r.met(excursion.number)]
    grade = int(tried[0].table[0]["grade"]) if tried else 0
    if is_complete and not fused.no:
        return (grade, last), (_FUSED,)
    return (grade,), ()


def risser_grade(patient: Patient, evidence: Evidence) -> tuple[int | None, tuple[Fact, ...]]:
    """The one Risser grade that is known, and the facts that say it."""
    (found,) = risser(patient, evidence) or (None,)
    if found is None or found.value is None:
        return None, ()
    return int(found.value), found.because


def sanders_stage(patient: Patient) -> tuple[int | None, tuple[Fact, ...]]:
    """The Sanders stage as somebody read it."""
    stated = patient.latest(SANDERS)
    return (_int(stated), (stated,)) if stated else (None, ())


def _int(fact: Fact) -> int:
    return int(str(fact.value))


@rule("alignment.sanders", reads=(SANDERS,), scores="sanders", needs=(SANDERS,))
def sanders(patient: Patient, evidence: Evidence) -> Finding | None:
    """What a Sanders stage of skeletal maturity, read by a clinician on the hand, means.

    Source      stages not read in a source, their relation to Risser in an abstract
                (alignment.sanders.*)
    Population  growing people with scoliosis
    Not for     reading the stage: that is done on the radiograph of the hand
    """
    stage, because = sanders_stage(patient)
    if stage is None:
        return None
    rows = evidence.under("alignment.sanders.")
    lines = evidence.row("alignment.sanders.stages").table
    name = next(str(line["name"]) for line in lines if line["stage"] == stage)
    phase = evidence.row("alignment.sanders.acceleration")
    fastest = stage == phase.table[0]["stage"]
    parts: dict[str, PartValue] = {"name": name, "curve_acceleration_phase": fastest}
    return Finding(
        says=f"Sanders stage {stage}, {name}"
        + (": the phase in which curves grow fastest." if fastest else "."),
        value=float(stage),
        unit="1",
        category=str(stage),
        parts=parts,
        because=because,
        rests_on=rows,
    )


def is_mature(patient: Patient, evidence: Evidence) -> tuple[bool | None, tuple[Fact, ...]]:
    """Whether the skeleton is mature: as stated, else by grade and stage where they agree."""
    stated = patient.has(MATURE)
    if not stated.unknown:
        return stated.yes, stated.because
    signs: dict[bool, tuple[Fact, ...]] = {}
    known = {"risser": risser_grade(patient, evidence), "sanders": sanders_stage(patient)}
    for name, (value, because) in known.items():
        for mature in (True, False):
            row = evidence.row(f"alignment.maturity.{name}_{'mature' if mature else 'immature'}")
            if value is not None and row.met(value):
                signs[mature] = (*signs.get(mature, ()), *because)
    if len(signs) == 1:
        return next(iter(signs.items()))
    return None, tuple(f for because in signs.values() for f in because)
