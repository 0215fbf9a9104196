"""The T4-L1-hip axis: the pelvic angles of L1 and T4 against the incidence and each other."""

from __future__ import annotations

from endplate.alignment.standing import (
    PELVIC_INCIDENCE,
    POSTURE,
    not_answered,
    off_by,
    standing,
    told,
)
from endplate.evidence import Evidence
from endplate.findings import Finding, PartValue
from endplate.record import Patient
from endplate.rules import rule

_L1 = "spine.l1_pelvic_angle"
_T4 = "spine.t4_pelvic_angle"
_ASKED = (PELVIC_INCIDENCE, _L1, _T4)


@rule("alignment.t4_l1_hip_axis", reads=(*_ASKED, POSTURE), scores="t4_l1_hip_axis", needs=_ASKED)
def t4_l1_hip_axis(patient: Patient, evidence: Evidence) -> Finding | None:
    """T4-L1-hip axis: T4 and L1 lie on one line with the hips, at an angle that incidence sets.

    Source      Hills 2022 and 2024 (alignment.t4_l1_hip_axis.*)
    Population  adults; 320 healthy volunteers, and patients after deformity surgery
    Not for     supine images; the chance of a failure in one person
    Differs     a narrower band (L1PA 0.5 PI - 19 ± 2, T4PA - L1PA from -3 to +1) was not read and
                is not used; a public program has a second band, up to 8 degrees
    """
    measured = standing(patient, _ASKED)
    if measured.nothing:
        return None
    name = "alignment.t4_l1_hip_axis"
    rows = evidence.under(f"{name}.")
    parts: dict[str, PartValue] = {
        "target_l1_pelvic_angle": None,
        "l1_less_target": None,
        "t4_less_l1": None,
        "t4_l1": None,
        "t4_l1_band": None,
        "expected_lumbar_lordosis": None,
    }
    if measured.has(PELVIC_INCIDENCE):
        incidence = measured.number(PELVIC_INCIDENCE)
        slope = evidence.row(f"{name}.l1.slope").number
        target = slope * incidence + evidence.row(f"{name}.l1.offset").number
        parts["target_l1_pelvic_angle"] = target
        parts["expected_lumbar_lordosis"] = (
            evidence.row(f"{name}.lordosis.per_incidence").number * incidence
            + evidence.row(f"{name}.lordosis.per_l1").number * target
            + evidence.row(f"{name}.lordosis.offset").number
        )
        if measured.has(_L1):
            parts["l1_less_target"] = measured.number(_L1) - target
    if measured.has(_T4, _L1):
        mismatch = measured.number(_T4) - measured.number(_L1)
        parts["t4_less_l1"] = mismatch
        within = evidence.row(f"{name}.aligned").met(abs(mismatch))
        parts["t4_l1"] = "aligned" if within else "mismatched"
        parts["t4_l1_band"] = _band(abs(mismatch), evidence)
    if measured.missing:
        return not_answered("The T4-L1-hip axis", measured, evidence, rows=rows, parts=parts)
    off = measured.number(_L1) - target
    bands = (evidence.row(f"{name}.aligned"), evidence.row(f"{name}.wider"))
    size = f"{'-' if mismatch < 0 else ''}{told(abs(mismatch), bands, 1)}"
    parts = {n: round(x, 6) if isinstance(x, float) else x for n, x in parts.items()}
    category = str(parts["t4_l1"])
    return Finding(
        says=f"T4-L1-hip axis: T4PA less L1PA {size}°, {category}; L1PA "
        f"{measured.number(_L1):.1f}° is {off_by(off)} the {target:.1f}° that the incidence sets.",
        value=round(mismatch, 6),
        unit="deg",
        category=category,
        parts=parts,
        because=measured.because,
        rests_on=rows,
    )


def _band(mismatch: float, evidence: Evidence) -> str:
    """The band of a mismatch, in either direction, as a public program names them."""
    inner = evidence.row("alignment.t4_l1_hip_axis.aligned")
    outer = evidence.row("alignment.t4_l1_hip_axis.wider")
    if inner.met(mismatch):
        return f"up to {inner.number:g}"
    beyond = "up to" if outer.met(mismatch) else "above"
    return f"{beyond} {outer.number:g}"
