"""Adult spinal deformity in the words of SRS-Schwab: curve type and sagittal modifiers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from endplate.alignment.standing import (
    CURVE,
    LUMBAR_LORDOSIS,
    MISMATCH,
    PELVIC_INCIDENCE,
    PELVIC_TILT,
    POSTURE,
    SACRAL_SLOPE,
    contradicted,
    in_space_first,
    is_upright,
    mismatch,
    not_answered,
    of_a_minor,
    standing_mismatch,
)
from endplate.evidence import Evidence, first_met
from endplate.facts import Fact
from endplate.findings import Finding, PartValue, Position, Status
from endplate.levels import Level, order
from endplate.record import Patient
from endplate.rules import rule

VERTICAL_AXIS = "spine.sagittal_vertical_axis"
_THORACIC = "spine.cobb_angle.thoracic"
_LUMBAR = "spine.cobb_angle.thoracolumbar_lumbar"
_ASKED = (PELVIC_INCIDENCE, LUMBAR_LORDOSIS, VERTICAL_AXIS, PELVIC_TILT)
_LOWEST_THORACIC_APEX = Level.T9
# Where all between these was marked, a region in which no curve was found has none to speak of.
_WHOLE = (Level.T2, Level.L5)
_TYPES = {
    (True, False): "T",
    (False, True): "L",
    (True, True): "D",
    (False, False): "N",
}


@rule(
    "alignment.srs_schwab",
    reads=(*_ASKED, MISMATCH, _THORACIC, _LUMBAR, CURVE, SACRAL_SLOPE, "person.age", POSTURE),
    scores="srs_schwab",
    needs=_ASKED,
)
def srs_schwab(patient: Patient, evidence: Evidence) -> Finding | None:
    """SRS-Schwab: the three sagittal modifiers of adult deformity, and the type of its curves.

    Source      Schwab 2012 and Terran 2013 as restated (alignment.srs_schwab.*,
                alignment.disability_thresholds.*, alignment.consistency.incidence,
                alignment.adult_from_age)
    Population  adults with spinal deformity, standing radiographs
    Not for     supine images; adolescents; targets at a given age, which differ
    Differs     for an Oswestry index above 40 other thresholds were published (22°, 47 mm, 11°),
                and are shown beside; older work took an SVA of 50 mm
    """
    measured = standing_mismatch(patient, _ASKED)
    curves, straight, curves_missing = _curves(patient)
    if measured.nothing and not curves:
        return None
    refused = of_a_minor("SRS-Schwab", patient, evidence) or contradicted(patient, evidence)
    if refused is not None:
        return refused
    given = {
        "pi_ll": mismatch(measured),
        "sva": measured.number(VERTICAL_AXIS) if measured.has(VERTICAL_AXIS) else None,
        "pt": measured.number(PELVIC_TILT) if measured.has(PELVIC_TILT) else None,
    }
    pi_ll = given["pi_ll"]
    kind = _curve_type(curves, straight, evidence)
    no_age = () if patient.age else ("person.age",)
    parts: dict[str, PartValue] = {
        "pelvic_incidence_minus_lumbar_lordosis": None if pi_ll is None else round(pi_ll, 6),
        **{f"{name}_modifier": _modifier(name, value, evidence) for name, value in given.items()},
        "coronal_type": kind,
        **{f"disability_{name}": _severe(name, value, evidence) for name, value in given.items()},
    }
    rows = (
        *evidence.under("alignment.srs_schwab.pi_ll."),
        *evidence.under("alignment.srs_schwab.sva."),
        *evidence.under("alignment.srs_schwab.pt."),
        *(evidence.under("alignment.srs_schwab.curve.") if kind else ()),
    )
    known = [f"{_NAMES[n]} {parts[f'{n}_modifier']}" for n, v in given.items() if v is not None]
    if measured.missing:
        told = not_answered("The set of SRS-Schwab modifiers", measured, evidence)
        known += [f"curve type {kind}"] if kind else []
        return Finding(
            says=told.says + (f" Known: {', '.join(known)}." if known else ""),
            status=Status.UNKNOWN,
            parts=parts,
            because=(*told.because, *curves.values()),
            missing=(*told.missing, *curves_missing, *no_age),
            rests_on=(*rows, *told.rests_on),
            positions=_other_thresholds(given, evidence),
        )
    category = ", ".join(known)
    return Finding(
        says=f"SRS-Schwab: {category}; curve type {kind or 'not known'}.",
        category=category,
        parts=parts,
        because=(*measured.because, *curves.values()),
        missing=(*(() if kind else curves_missing), *no_age),
        rests_on=rows,
        positions=_other_thresholds(given, evidence),
    )


_NAMES = {"pi_ll": "PI-LL", "sva": "SVA", "pt": "PT"}


def _other_thresholds(
    given: Mapping[str, float | None], evidence: Evidence
) -> tuple[Position, ...]:
    """Which of the thresholds that went with severe disability are met."""
    rows = {name: evidence.row(f"alignment.disability_thresholds.{name}") for name in given}
    told = [
        f"{_NAMES[name]} {row.text} {'met' if row.met(value) else 'not met'}"
        for name, row in rows.items()
        if (value := given[name]) is not None
    ]
    if not told:
        return ()
    return (
        Position(
            holder="Schwab 2013, for an Oswestry index above 40",
            says=", ".join(told),
            rests_on=tuple(rows.values()),
        ),
    )


def _severe(name: str, value: float | None, evidence: Evidence) -> bool | None:
    """Whether a value reaches the threshold that went with severe disability."""
    row = evidence.row(f"alignment.disability_thresholds.{name}")
    return None if value is None else row.met(value)


def _modifier(name: str, value: float | None, evidence: Evidence) -> str | None:
    """``++``, ``+`` or ``0``."""
    if value is None:
        return None
    met = first_met(evidence.under(f"alignment.srs_schwab.{name}."), value)
    return str(met.table[0]["modifier"]) if met else "0"


def _curves(patient: Patient) -> tuple[dict[str, Fact], frozenset[str], tuple[str, ...]]:
    """The largest standing curve of each region on the newest day; regions known to have none, as
    the whole spine was searched for curves on that day; and regions of which nothing is known.
    """
    every: dict[str, list[Fact]] = {}
    curves = in_space_first([f for f in patient.facts(CURVE) if is_upright(patient, f)])
    for region in (_THORACIC, _LUMBAR):
        stated = [f for f in patient.facts(region) if is_upright(patient, f)]
        every[region] = stated or [f for f in curves if _region(f) == region]
    day = max((f.on or date.min for known in every.values() for f in known), default=None)
    found: dict[str, Fact] = {}
    for region, known in every.items():
        of_the_day = [f for f in known if (f.on or date.min) == day]
        if of_the_day:
            found[region] = max(of_the_day, key=lambda f: f.number)
    searched = any(_is_of_the_whole(f) for f in curves if (f.on or date.min) == day)
    without = [region for region in every if region not in found]
    return found, frozenset(without if searched else ()), () if searched else tuple(without)


def _is_of_the_whole(curve: Fact) -> bool:
    """Whether a curve was the largest of a spine marked from the thorax to the last lumbar disc."""
    among = str(curve.details.get("among", ""))
    if curve.details.get("largest") != "yes" or not among:
        return False
    first, last = (Level(name) for name in among.split("-"))
    return first <= _WHOLE[0] and last >= _WHOLE[1]


def _region(curve: Fact) -> str | None:
    """Whether a measured curve is thoracic or below, by its apex; None where that is not known."""
    apex = curve.details.get("apex")
    if apex not in list(Level):
        return None
    return _THORACIC if order(str(apex)) <= order(_LOWEST_THORACIC_APEX) else _LUMBAR


def _curve_type(
    curves: dict[str, Fact], straight: frozenset[str], evidence: Evidence
) -> str | None:
    """T, L, D or N; None unless both regions are known."""
    major = evidence.row("alignment.srs_schwab.curve.major")
    are_major = []
    for region in (_THORACIC, _LUMBAR):
        if region not in curves and region not in straight:
            return None
        are_major.append(region in curves and major.met(curves[region].number))
    return _TYPES[are_major[0], are_major[1]]
