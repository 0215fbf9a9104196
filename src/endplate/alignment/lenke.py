"""Lenke's classification of adolescent idiopathic scoliosis."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

from msgspec.structs import replace

from endplate.alignment.maturity import is_adolescent, not_adolescent
from endplate.alignment.standing import (
    CURVE,
    POSTURE,
    in_span,
    not_answered,
    standing,
    standing_curves,
    told,
)
from endplate.evidence import Evidence
from endplate.facts import Fact
from endplate.findings import Finding, PartValue, Status
from endplate.levels import Level
from endplate.record import Patient
from endplate.rules import rule

REGIONS = ("proximal_thoracic", "main_thoracic", "thoracolumbar_lumbar")
_PROXIMAL, _MAIN, _LUMBAR = REGIONS
_CURVES = {region: f"spine.lenke_curve.{region}" for region in REGIONS}
_BENDING = {region: f"spine.lenke_bending.{region}" for region in REGIONS}
_UPPER_KYPHOSIS = "spine.proximal_thoracic_kyphosis"
_JUNCTION = "spine.thoracolumbar_kyphosis"
_KYPHOSIS = {_PROXIMAL: _UPPER_KYPHOSIS, _MAIN: _JUNCTION, _LUMBAR: _JUNCTION}
_SAGITTAL = "spine.thoracic_kyphosis"
_SAGITTAL_SPAN = "T5-T12"
_LUMBAR_MODIFIER = "spine.lenke_lumbar_modifier"
# Which curves are structural, by the region of the major curve: proximal, main, lower.
_TYPES: Mapping[tuple[object, ...], str] = {
    (_MAIN, False, True, False): "1",
    (_MAIN, True, True, False): "2",
    (_MAIN, False, True, True): "3",
    (_MAIN, True, True, True): "4",
    (_LUMBAR, True, True, True): "4",
    (_LUMBAR, False, False, True): "5",
    (_LUMBAR, False, True, True): "6",
}
_NONE = "none"
_LOWER_TYPES = {"5", "6"}
# The lowest apex of each region; above the first no curve has a name.
_HIGHEST_APEX = Level.T3
_LOWEST_APEX = {_PROXIMAL: Level.T5, _MAIN: Level.T11, _LUMBAR: Level.L4}


@rule(
    "alignment.lenke",
    reads=(
        *_CURVES.values(), *_BENDING.values(), _UPPER_KYPHOSIS, _JUNCTION, _SAGITTAL,
        _LUMBAR_MODIFIER, CURVE, "person.age", POSTURE,
    ),
    scores="lenke",
    needs=tuple(_CURVES.values()),
)  # fmt: skip
def lenke(patient: Patient, evidence: Evidence) -> Finding | None:
    """Lenke type of an adolescent idiopathic scoliosis, with its lumbar and sagittal modifiers.

    Source      Lenke 2001 as restated (alignment.lenke.*, alignment.scoliosis.*,
                alignment.adolescent.*)
    Population  adolescent idiopathic scoliosis; standing frontal and lateral radiographs and
                supine side-bending ones
    Not for     adults, scoliosis of another cause; a choice of levels to fuse by itself
    Differs     the apex of a main thoracic curve is from T6 by one source and from T2 by another
    """
    measured = standing(patient, (*_CURVES.values(), _UPPER_KYPHOSIS, _JUNCTION))
    stated = any(patient.facts(what) for what in _CURVES.values())
    adolescent = is_adolescent(patient, evidence)
    if not stated and not adolescent:  # a curve of an adult, or of who knows whom
        return None
    curves = _by_apex(patient)
    if not stated and not curves:
        return None
    curves |= {r: measured.used[w] for r, w in _CURVES.items() if measured.has(w)}
    kyphosis = {w: measured.used.get(w) for w in (_UPPER_KYPHOSIS, _JUNCTION)}
    rows = (*evidence.under("alignment.lenke."), *evidence.under("alignment.scoliosis."))
    if adolescent is False:
        return not_adolescent("Lenke's classification", patient, evidence)
    if len(curves) < len(REGIONS):
        asked = standing(patient, _CURVES.values())
        lacking = tuple(w for r, w in _CURVES.items() if r not in curves)
        return not_answered("The Lenke type", replace(asked, missing=lacking), evidence, rows=rows)
    largest = max(curves.values(), key=lambda f: f.number)
    least = evidence.row("alignment.scoliosis.least")
    if not least.met(largest.number):
        return Finding(
            says=f"The largest curve, of {told(largest.number, (least,))}°, is no scoliosis.",
            status=Status.NOT_APPLICABLE,
            because=tuple(curves.values()),
            rests_on=rows,
        )
    bending = {r: patient.latest(w) for r, w in _BENDING.items()}
    majors = _majors(curves)
    structural, missing = _criteria(majors, curves, bending, kyphosis, evidence)
    types = _possible(majors, structural)
    sagittal, sagittal_fact = _sagittal(patient, evidence)
    lumbar = patient.latest(_LUMBAR_MODIFIER)
    letter = str(lumbar.value).upper() if lumbar else None
    missing += [] if sagittal else [_SAGITTAL]
    missing += [] if patient.age else ["person.age"]
    against = ""
    if set(types) <= _LOWER_TYPES:
        if letter not in (None, "C"):
            against = f" Types 5 and 6 are C by definition, and {letter} was given: look again."
            missing.append(_LUMBAR_MODIFIER)
        letter = None if against else "C"
    elif letter is None:
        missing.append(_LUMBAR_MODIFIER)
    because = tuple(
        f
        for f in (*curves.values(), *bending.values(), *kyphosis.values(), sagittal_fact, lumbar)
        if f is not None
    )
    parts: dict[str, PartValue] = {
        "type": "|".join(types),
        "lumbar_modifier": letter,
        "sagittal_modifier": sagittal,
        **{f"{region}_structural": yes for region, yes in structural.items()},
    }
    if types == (_NONE,):
        return Finding(
            says="This pattern of structural curves is none of Lenke's six types.",
            status=Status.NOT_APPLICABLE,
            parts=parts,
            because=because,
            rests_on=rows,
        )
    category = f"{'|'.join(types)}{letter or '?'}{sagittal or '?'}"
    return Finding(
        says=f"Lenke {' or '.join(types)}, lumbar modifier {letter or 'not known'}, sagittal "
        f"modifier {sagittal or 'not known'}.{against}",
        category=category,
        parts=parts,
        because=because,
        missing=tuple(dict.fromkeys(missing)),
        assumed=in_span(sagittal_fact, _SAGITTAL_SPAN),
        rests_on=rows,
    )


def _by_apex(patient: Patient) -> dict[str, Fact]:
    """The largest measured curve of each region, by the vertebra at its apex."""
    found: dict[str, Fact] = {}
    for curve in standing_curves(patient):
        apex = curve.details.get("apex")
        if apex not in list(Level) or Level(str(apex)) < _HIGHEST_APEX:
            continue
        lowest = (r for r, last in _LOWEST_APEX.items() if Level(str(apex)) <= last)
        region = next(lowest, None)
        if region and (region not in found or curve.number > found[region].number):
            found[region] = curve
    return found


def _majors(curves: dict[str, Fact]) -> tuple[str, ...]:
    """The region of the major curve: the larger of main thoracic and lower; both where equal.

    A proximal curve is never called major, even where it is the largest.
    """
    main, lower = curves[_MAIN].number, curves[_LUMBAR].number
    if main == lower:
        return (_MAIN, _LUMBAR)
    return (_MAIN,) if main > lower else (_LUMBAR,)


def _criteria(
    majors: tuple[str, ...],
    curves: Mapping[str, Fact],
    bending: Mapping[str, Fact | None],
    kyphosis: Mapping[str, Fact | None],
    evidence: Evidence,
) -> tuple[dict[str, bool | None], list[str]]:
    """Which curves are structural, and what is missing to know it of the others."""
    structural: dict[str, bool | None] = {}
    missing: list[str] = []
    for region in REGIONS:
        if majors == (region,):
            structural[region] = True
            continue
        if curves[region].number == 0:
            structural[region] = False  # there is no curve
            continue
        stays, bent = bending[region], kyphosis[_KYPHOSIS[region]]
        structural[region] = _structural(stays, bent, evidence)
        if structural[region] is None:
            missing += [] if stays else [_BENDING[region]]
            missing += [] if bent else [_KYPHOSIS[region]]
    return structural, missing


def _structural(bending: Fact | None, kyphosis: Fact | None, evidence: Evidence) -> bool | None:
    """Whether a minor curve is structural; no only where both criteria are known not to be met."""
    stays = bending and evidence.row("alignment.lenke.bending").met(bending.number)
    bent = kyphosis and evidence.row("alignment.lenke.kyphosis").met(kyphosis.number)
    if stays or bent:
        return True
    return None if bending is None or kyphosis is None else False


def _possible(majors: tuple[str, ...], structural: Mapping[str, bool | None]) -> tuple[str, ...]:
    """Every type that what is known allows, in order; `_NONE` for a pattern that has no type."""
    found: set[str] = set()
    for major in majors:
        either = [
            (True,) if region == major else (True, False) if yes is None else (yes,)
            for region, yes in structural.items()
        ]
        found |= {_TYPES.get((major, *pattern), _NONE) for pattern in product(*either)}
    return tuple(sorted(found))


def _sagittal(patient: Patient, evidence: Evidence) -> tuple[str | None, Fact | None]:
    """The sagittal modifier, from a standing kyphosis of T5-T12 or of no stated span."""
    fact = standing(patient, (_SAGITTAL,), {_SAGITTAL: _SAGITTAL_SPAN}).used.get(_SAGITTAL)
    if fact is None:
        return None, None
    if evidence.row("alignment.lenke.sagittal.low").met(fact.number):
        return "-", fact
    return ("+" if evidence.row("alignment.lenke.sagittal.high").met(fact.number) else "N"), fact
