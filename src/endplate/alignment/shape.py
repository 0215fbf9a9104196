"""The shape of the standing lordosis: Roussouly's types."""

from __future__ import annotations

from endplate.alignment.standing import (
    PELVIC_INCIDENCE,
    PELVIC_TILT,
    POSTURE,
    SACRAL_SLOPE,
    Standing,
    contradiction,
    not_answered,
    standing,
)
from endplate.evidence import Evidence
from endplate.findings import Finding, Status
from endplate.record import Patient
from endplate.rules import rule

_ASKED = (SACRAL_SLOPE, PELVIC_INCIDENCE, PELVIC_TILT)
_LORDOTIC = "spine.lordotic_vertebrae"
_OR = "|"


@rule(
    "alignment.roussouly",
    reads=(*_ASKED, _LORDOTIC, POSTURE),
    scores="roussouly",
    needs=(SACRAL_SLOPE,),
)
def roussouly(patient: Patient, evidence: Evidence) -> Finding | None:
    """Roussouly's type of the standing lordosis, and the type that the incidence belongs to.

    Source      Roussouly 2005 and Laouissat 2018 as a public program computes them, ideal type by
                the logic of Bari 2020 there (alignment.roussouly.*)
    Population  adults; described in healthy people, standing radiographs
    Not for     supine images; the morphology itself (apex, inflection), which is to be looked at
    """
    measured = standing(patient, (*_ASKED, _LORDOTIC))
    if measured.nothing:
        return None
    rows = evidence.under("alignment.roussouly.")
    if (against := contradiction(measured, evidence)) is not None:
        return against
    if not measured.has(SACRAL_SLOPE):
        told = not_answered("Roussouly's type", measured, evidence)
        return Finding(
            says=told.says,
            status=Status.UNKNOWN,
            because=told.because,
            missing=(SACRAL_SLOPE,),
            rests_on=(*rows, *told.rests_on),
        )
    kind, missing = _type(measured, evidence)
    ideal, ideal_missing = _ideal(kind, measured, evidence)
    open_ = f" The types are told apart by {_what_tells(missing)}." if missing else ""
    return Finding(
        says=f"Roussouly type {kind.replace(_OR, ' or ')}; the type that belongs to the incidence "
        f"{'is ' + ideal.replace(_OR, ' or ') if ideal else 'is not known'}.{open_}",
        category=kind,
        parts={"ideal_type": ideal},
        because=measured.because,
        missing=tuple(dict.fromkeys((*missing, *ideal_missing))),
        rests_on=rows,
    )


def _what_tells(missing: tuple[str, ...]) -> str:
    return "the number of lordotic vertebrae" if _LORDOTIC in missing else "incidence and tilt"


def _type(measured: Standing, evidence: Evidence) -> tuple[str, tuple[str, ...]]:
    """The type, or the types between which something missing decides, and what that is."""
    slope = measured.number(SACRAL_SLOPE)
    if evidence.row("alignment.roussouly.low_slope").met(slope):
        if not measured.has(_LORDOTIC):
            return "1|2", (_LORDOTIC,)
        few = evidence.row("alignment.roussouly.few_lordotic_vertebrae")
        return ("1" if few.met(measured.number(_LORDOTIC)) else "2"), ()
    if evidence.row("alignment.roussouly.high_slope").met(slope):
        return "4", ()
    low = _low_incidence(measured, evidence), _low_tilt(measured, evidence)
    if False in low:
        return "3", ()
    if None in low:
        return "3|3AP", tuple(w for w in (PELVIC_INCIDENCE, PELVIC_TILT) if not measured.has(w))
    return "3AP", ()


def _low_incidence(measured: Standing, evidence: Evidence) -> bool | None:
    if not measured.has(PELVIC_INCIDENCE):
        return None
    row = evidence.row("alignment.roussouly.low_incidence")
    return row.met(measured.number(PELVIC_INCIDENCE))


def _low_tilt(measured: Standing, evidence: Evidence) -> bool | None:
    if not measured.has(PELVIC_TILT):
        return None
    return evidence.row("alignment.roussouly.low_tilt").met(measured.number(PELVIC_TILT))


def _ideal(kind: str, measured: Standing, evidence: Evidence) -> tuple[str | None, tuple[str, ...]]:
    """The type that belongs to the incidence, and what is missing to know it."""
    if kind == "4":
        return "4", ()
    low = _low_incidence(measured, evidence)
    if low is None:
        return None, (PELVIC_INCIDENCE,)
    if kind in ("1", "2", "1|2"):
        return (kind if low else "3|4"), ()
    if not measured.has(PELVIC_TILT):
        return None, (PELVIC_TILT,)
    if low:
        return ("3AP" if _low_tilt(measured, evidence) else "1|2"), ()
    retroverted = evidence.row("alignment.roussouly.high_tilt")
    return ("4" if retroverted.met(measured.number(PELVIC_TILT)) else "3"), ()
