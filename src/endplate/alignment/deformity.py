"""Adult spinal deformity in the words of SRS-Schwab: curve type and sagittal modifiers."""

from __future__ import annotations

from endplate.alignment.standing import (
    LUMBAR_LORDOSIS,
    PELVIC_INCIDENCE,
    PELVIC_TILT,
    POSTURE,
    not_answered,
    posture_of,
    standing,
)
from endplate.evidence import Evidence, Row
from endplate.facts import Fact
from endplate.findings import Finding, PartValue, Status
from endplate.levels import Level, order
from endplate.posture import Posture
from endplate.record import Patient
from endplate.rules import rule

VERTICAL_AXIS = "spine.sagittal_vertical_axis"
_CURVE = "spine.coronal_cobb_angle"
_THORACIC = "spine.cobb_angle.thoracic"
_LUMBAR = "spine.cobb_angle.thoracolumbar_lumbar"
_ASKED = (PELVIC_INCIDENCE, LUMBAR_LORDOSIS, VERTICAL_AXIS, PELVIC_TILT)
_LOWEST_THORACIC_APEX = Level.T9
_TYPES = {
    (True, False): "T",
    (False, True): "L",
    (True, True): "D",
    (False, False): "N",
}


@rule(
    "alignment.srs_schwab",
    reads=(*_ASKED, _THORACIC, _LUMBAR, _CURVE, POSTURE),
    scores="srs_schwab",
    needs=_ASKED,
)
def srs_schwab(patient: Patient, evidence: Evidence) -> Finding | None:
    """SRS-Schwab: the three sagittal modifiers of adult deformity, and the type of its curves.

    Source      Schwab 2012 and Terran 2013 as restated (alignment.srs_schwab.*)
    Population  adults with spinal deformity, standing radiographs
    Not for     supine images; adolescents; targets at a given age, which differ
    Differs     for an Oswestry index above 40 other thresholds were published (22°, 47 mm, 11°)
    """
    measured = standing(patient, _ASKED)
    if measured.nothing:
        return None
    parts: dict[str, PartValue] = {}
    rows: list[Row] = []
    mismatch = None
    if measured.has(PELVIC_INCIDENCE, LUMBAR_LORDOSIS):
        mismatch = measured.number(PELVIC_INCIDENCE) - measured.number(LUMBAR_LORDOSIS)
    parts["pelvic_incidence_minus_lumbar_lordosis"] = (
        None if mismatch is None else round(mismatch, 6)
    )
    given = {
        "pi_ll": mismatch,
        "sva": measured.number(VERTICAL_AXIS) if measured.has(VERTICAL_AXIS) else None,
        "pt": measured.number(PELVIC_TILT) if measured.has(PELVIC_TILT) else None,
    }
    for name, value in given.items():
        tried = evidence.under(f"alignment.srs_schwab.{name}.")
        rows += tried
        parts[f"{name}_modifier"] = None if value is None else _modifier(tried, value)
    curves, curves_missing = _curves(patient)
    kind = _curve_type(curves, evidence)
    parts["coronal_type"] = kind
    if measured.missing:
        told = not_answered("The set of SRS-Schwab modifiers", measured, evidence)
        known = [f"{_NAMES[n]} {parts[f'{n}_modifier']}" for n, v in given.items() if v is not None]
        return Finding(
            says=told.says + (f" Known: {', '.join(known)}." if known else ""),
            status=Status.UNKNOWN,
            parts=parts,
            because=(*told.because, *curves.values()),
            missing=(*told.missing, *curves_missing),
            rests_on=(*rows, *told.rests_on),
        )
    category = ", ".join(f"{_NAMES[name]} {parts[f'{name}_modifier']}" for name in given)
    return Finding(
        says=f"SRS-Schwab: {category}; curve type {kind or 'not known'}.",
        category=category,
        parts=parts,
        because=(*measured.because, *curves.values()),
        missing=() if kind else curves_missing,
        rests_on=(
            *rows,
            *(evidence.under("alignment.srs_schwab.curve.") if kind else ()),
            evidence.row("alignment.srs_schwab.other_thresholds"),
        ),
    )


_NAMES = {"pi_ll": "PI-LL", "sva": "SVA", "pt": "PT"}


def _modifier(tried: tuple[Row, ...], value: float) -> str:
    """``++``, ``+`` or ``0``: the rows stand in the order in which they are tried."""
    met = next((row for row in tried if row.met(value)), None)
    return str(met.table[0]["modifier"]) if met else "0"


def _curves(patient: Patient) -> tuple[dict[str, Fact], tuple[str, ...]]:
    """The largest standing curve of each region, and the regions of which none is known."""
    found: dict[str, Fact] = {}
    for region in (_THORACIC, _LUMBAR):
        known = [f for f in patient.facts(region) if _upright(patient, f)]
        known = known or [
            f for f in patient.facts(_CURVE) if _upright(patient, f) and _region(f) == region
        ]
        if known:
            newest = [f for f in known if f.on == known[0].on]
            found[region] = max(newest, key=lambda f: f.number)
    return found, tuple(region for region in (_THORACIC, _LUMBAR) if region not in found)


def _upright(patient: Patient, fact: Fact) -> bool:
    return posture_of(patient, fact) is Posture.STANDING and fact.details.get("usable") != "no"


def _region(curve: Fact) -> str | None:
    """Whether a measured curve is thoracic or below, by its apex; None where that is not known."""
    apex = curve.details.get("apex")
    if apex not in list(Level):
        return None
    return _THORACIC if order(str(apex)) <= order(_LOWEST_THORACIC_APEX) else _LUMBAR


def _curve_type(curves: dict[str, Fact], evidence: Evidence) -> str | None:
    """T, L, D or N; None unless both regions are known."""
    if not {_THORACIC, _LUMBAR} <= curves.keys():
        return None
    major = evidence.row("alignment.srs_schwab.curve.major")
    return _TYPES[major.met(curves[_THORACIC].number), major.met(curves[_LUMBAR].number)]
