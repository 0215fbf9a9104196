"""Cervical deformity: the modifiers of Ames, and whether there is a deformity at all."""

from __future__ import annotations

from msgspec.structs import replace

from endplate.alignment.standing import POSTURE, Standing, not_answered, standing
from endplate.evidence import Evidence, first_met
from endplate.findings import Finding, PartValue, Status
from endplate.record import Patient
from endplate.rules import rule

_AXIS = "spine.cervical_sagittal_vertical_axis"
_GAZE = "spine.chin_brow_vertical_angle"
_MISMATCH = "spine.t1_slope_cervical_lordosis_mismatch"
_SLOPE = "spine.t1_slope"
_LORDOSIS = "spine.cervical_lordosis"
_MYELOPATHY = "questionnaire.mjoa"
_CORONAL = "spine.cobb_angle.cervical"
_MEASURED = (_AXIS, _GAZE, _MISMATCH, _SLOPE, _LORDOSIS)
_CRITERIA = {"translation": _AXIS, "gaze": _GAZE, "kyphosis": _LORDOSIS, "coronal": _CORONAL}
_SAGITTAL = (_AXIS, _GAZE, _LORDOSIS)


@rule(
    "alignment.ames",
    reads=(*_MEASURED, _MYELOPATHY, POSTURE),
    scores="ames",
    needs=(_AXIS, _GAZE, _SLOPE, _LORDOSIS),
)
def ames(patient: Patient, evidence: Evidence) -> Finding | None:
    """Ames modifiers of cervical deformity: translation, gaze, mismatch and myelopathy.

    Source      Ames 2015, values not read in the paper (alignment.ames.*)
    Population  adults with cervical deformity, standing radiographs
    Not for     people without deformity, most of whom have a modifier above 0; supine images
    """
    measured = standing(patient, _MEASURED)
    if measured.nothing:
        return None
    myelopathy = patient.latest(_MYELOPATHY)
    values = {
        "csva": measured.number(_AXIS) if measured.has(_AXIS) else None,
        "cbva": measured.number(_GAZE) if measured.has(_GAZE) else None,
        "ts_cl": _mismatch(measured),
        "myelopathy": myelopathy.number if myelopathy else None,
    }
    parts: dict[str, PartValue] = {"t1_slope_less_cervical_lordosis": values["ts_cl"]}
    for name, value in values.items():
        parts[f"{name}_modifier"] = None if value is None else _modifier(name, value, evidence)
    needed = _needed(measured)
    rows = evidence.under("alignment.ames.")
    no_score = () if myelopathy else (_MYELOPATHY,)
    known = ", ".join(
        f"{_NAMES[name]} {parts[f'{name}_modifier']:g}" for name in values
        if parts[f"{name}_modifier"] is not None
    )  # fmt: skip
    if needed:
        told = not_answered(
            "The set of Ames modifiers", replace(measured, missing=needed), evidence
        )
        return Finding(
            says=told.says + (f" Known: {known}." if known else ""),
            status=Status.UNKNOWN,
            parts=parts,
            because=(*told.because, *((myelopathy,) if myelopathy else ())),
            missing=(*needed, *no_score),
            rests_on=(*rows, *told.rests_on),
        )
    return Finding(
        says=f"Ames modifiers: {known}"
        + ("." if myelopathy else "; that of myelopathy is not known."),
        category=known,
        parts=parts,
        because=(*measured.because, *((myelopathy,) if myelopathy else ())),
        missing=no_score,
        rests_on=rows,
    )


_NAMES = {"csva": "cSVA", "cbva": "CBVA", "ts_cl": "TS-CL", "myelopathy": "mJOA"}


def _mismatch(measured: Standing) -> float | None:
    """T1 slope less cervical lordosis, as measured or from the two."""
    if measured.has(_MISMATCH):
        return measured.number(_MISMATCH)
    if measured.has(_SLOPE, _LORDOSIS):
        return measured.number(_SLOPE) - measured.number(_LORDOSIS)
    return None


def _needed(measured: Standing) -> tuple[str, ...]:
    """What is missing for the three radiographic modifiers."""
    needed = [what for what in (_AXIS, _GAZE) if not measured.has(what)]
    if _mismatch(measured) is None:
        needed += [what for what in (_SLOPE, _LORDOSIS) if not measured.has(what)]
    return tuple(needed)


def _modifier(name: str, value: float, evidence: Evidence) -> float:
    met = first_met(evidence.under(f"alignment.ames.{name}."), value)
    return float(met.table[0]["modifier"]) if met else 0.0


@rule(
    "alignment.cervical_deformity",
    reads=(*_SAGITTAL, _CORONAL, POSTURE),
    scores="cervical_deformity",
    needs=_SAGITTAL,
)
def cervical_deformity(patient: Patient, evidence: Evidence) -> Finding | None:
    """Whether the neck is deformed by the criteria of the International Spine Study Group.

    Source      ISSG criteria as restated (alignment.cervical_deformity.*)
    Population  adults, standing radiographs
    Not for     supine images
    """
    measured = standing(patient, _CRITERIA.values())
    if measured.nothing:
        return None
    name = "alignment.cervical_deformity"
    rows = evidence.under(f"{name}.")
    parts: dict[str, PartValue] = {
        criterion: evidence.row(f"{name}.{criterion}").met(measured.number(what))
        if measured.has(what)
        else None
        for criterion, what in _CRITERIA.items()
    }
    met = [evidence.row(f"{name}.{criterion}").says for criterion, yes in parts.items() if yes]
    if met:
        return Finding(
            says=f"Cervical deformity: {', '.join(met)}.",
            category="deformity",
            parts=parts,
            because=measured.because,
            missing=measured.missing,
            rests_on=rows,
        )
    if not measured.has(*_SAGITTAL):
        return not_answered("Cervical deformity", measured, evidence, rows=rows, parts=parts)
    known = measured.has(_CORONAL)
    return Finding(
        says="None of the criteria of cervical deformity is met."
        if known
        else "None of the sagittal criteria of cervical deformity is met; whether the neck has a "
        "coronal curve is not known.",
        category="no_deformity" if known else "no_sagittal_criterion",
        parts=parts,
        because=measured.because,
        missing=measured.missing,
        rests_on=rows,
    )
