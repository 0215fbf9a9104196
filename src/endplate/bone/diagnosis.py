"""Is it osteoporosis? Four routes to the diagnosis, all evaluated, and which of them fired."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from endplate import levels
from endplate.bone.attenuation import (
    REGIONS,
    acquisition_not_known,
    attenuation_meets,
    screening_attenuation,
)
from endplate.bone.densitometry import (
    SITES_ASK,
    WHO_ASKS,
    Z_ASKS,
    Group,
    category_of,
    classified_by_t_score,
    density_is_low_for_age,
    lowest_t_score,
    osteoporosis_by_dxa,
    sites_needed,
    sites_still_needed,
    usable_sites,
)
from endplate.bone.fracture_risk import (
    frax_reaches_threshold,
    texture_is_valid,
    trabecular_category,
)
from endplate.evidence import Evidence, Row
from endplate.facts import Fact
from endplate.findings import Finding, Position, Stage, Status, Urgency
from endplate.record import UNKNOWN, Known, Patient, any_of
from endplate.rules import rule

# What a definition asks, by name: its answer, and the concepts that would answer it.
Reasons = dict[str, tuple[Known, tuple[str, ...]]]

_NBHA_SITES = ("femoral_neck", "total_hip", "femur", "lumbar_spine")
_OSTEOPENIA_FRACTURES = ("vertebral", "proximal_humerus", "pelvis")
_T = tuple(f"bone.t_score.{s}" for s in (*_NBHA_SITES, "distal_radius"))
_FRACTURES = tuple(
    f"fracture.{s}.low_trauma"
    for s in ("hip", "vertebral", "proximal_humerus", "pelvis", "distal_forearm")
)
_READS = (*_T, *_FRACTURES, "bone.frax_major", "bone.frax_hip", *WHO_ASKS, *SITES_ASK)


def _fracture(patient: Patient, site: str) -> Known:
    """A low-trauma fracture of a site, ever; one of unknown force leaves it unknown."""
    return patient.ever(f"fracture.{site}.low_trauma")


def _t_score_is(
    patient: Patient, evidence: Evidence, category: str, sites: tuple[str, ...]
) -> Known:
    """Whether the lowest T-score at some sites is in a category or below it.

    Yes from one site; no only if all of the sites that can be used were measured.
    """
    sites = tuple(s for s in sites if s in usable_sites(patient, evidence))
    lowest = lowest_t_score(patient, sites)
    if lowest is None:
        return UNKNOWN
    if category_of(lowest[1].number, evidence) in ("osteoporosis", category):
        return Known("yes", (lowest[1],))
    open_sites = sites_still_needed(patient, evidence, _asked_of(patient, evidence, sites))
    return UNKNOWN if open_sites else Known("no", (lowest[1],))


def _asked_of(patient: Patient, evidence: Evidence, sites: Iterable[str]) -> tuple[str, ...]:
    """Those of some sites that have to be measured: the radius only where it is called for."""
    needed = sites_needed(patient, evidence)
    return tuple(s for s in sites if s != "distal_radius" or s in needed)


def both(first: Known, second: Known) -> Known:
    """Yes if both are yes; no if either is no; else unknown."""
    if first.no or second.no:
        return Known("no", tuple(f for a in (first, second) if a.no for f in a.because))
    if first.yes and second.yes:
        return Known("yes", (*first.because, *second.because))
    return UNKNOWN


def _named_missing(reasons: Reasons) -> tuple[str, ...]:
    """The concepts behind those reasons that nobody could answer."""
    return tuple(
        dict.fromkeys(w for answer, asks in reasons.values() if answer.unknown for w in asks)
    )


def _nbha_reasons(patient: Patient, evidence: Evidence) -> Reasons:
    """Each criterion of NBHA, its answer, and the concepts that would answer it."""
    osteopenia = _t_score_is(patient, evidence, "low_bone_mass", _NBHA_SITES)
    t = sites_still_needed(patient, evidence, _NBHA_SITES)
    osteopenic = any_of(_fracture(patient, s) for s in _OSTEOPENIA_FRACTURES)
    fractures = _unknown_fractures(patient, _OSTEOPENIA_FRACTURES)
    return {
        _low_enough(evidence): (_t_score_is(patient, evidence, "osteoporosis", _NBHA_SITES), t),
        "low-trauma hip fracture": (_fracture(patient, "hip"), ("fracture.hip.low_trauma",)),
        "osteopenia with a low-trauma fracture": (both(osteopenia, osteopenic), (*t, *fractures)),
        "FRAX at a threshold": (frax_reaches_threshold(patient, evidence), _unknown_frax(patient)),
    }


def _low_enough(evidence: Evidence) -> str:
    return f"T-score {evidence.row('bone.t_score.osteoporosis').text}"


def _unknown_fractures(patient: Patient, sites: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"fracture.{s}.low_trauma" for s in sites if _fracture(patient, s).unknown)


def _unknown_frax(patient: Patient) -> tuple[str, ...]:
    return tuple(w for w in ("bone.frax_major", "bone.frax_hip") if patient.latest(w) is None)


def meets_nbha(patient: Patient, evidence: Evidence) -> Known:
    """Whether any criterion of NBHA is met; no only if all are known not to be."""
    return any_of(answer for answer, _ in _nbha_reasons(patient, evidence).values())


@rule("bone.diagnosis.nbha", reads=_READS)
def diagnosis_nbha(patient: Patient, evidence: Evidence) -> Finding:
    """Whether it is osteoporosis by the criteria of the National Bone Health Alliance.

    Source      Siris 2014 (bone.diagnosis.nbha)
    Population  United States; postmenopausal women, men from 50 years
    Not for     premenopausal women, men under 50; fractures from high-energy trauma
    Differs     a distal forearm fracture counts "in some cases": it is shown, not counted
    """
    row = evidence.row("bone.diagnosis.nbha")
    forearm = both(
        _t_score_is(patient, evidence, "low_bone_mass", _NBHA_SITES),
        _fracture(patient, "distal_forearm"),
    )
    in_some_cases = Position(
        holder="NBHA",
        says="osteopenia with a forearm fracture counts in some cases",
        rests_on=(row,),
    )
    return _by_criteria(
        "NBHA",
        "osteoporosis",
        _nbha_reasons(patient, evidence),
        row,
        classified_by_t_score(patient, evidence),
        positions=(in_some_cases,) if forearm.yes else (),
    )


def _by_criteria(
    name: str,
    verdict: str,
    reasons: Reasons,
    row: Row,
    group: Group,
    positions: tuple[Position, ...] = (),
) -> Finding:
    """The finding of a definition that is met by any one of its criteria."""
    fired = [reason for reason, (answer, _) in reasons.items() if answer.yes]
    missing = (*(() if fired else _named_missing(reasons)), *group.missing)
    words = verdict.replace("_", " ")
    status, category = Status.ANSWERED, "not_met"
    if group.answer == "no":
        says, status, missing = "does not apply to this person", Status.NOT_APPLICABLE, ()
    elif group.answer == "unknown":
        says, status = "whether it applies to this person is unknown", Status.UNKNOWN
    elif fired:
        says, category = f"{words}, by {'; '.join(fired)}", verdict
    elif missing:
        says, status = "not met on what is known; more is needed", Status.UNKNOWN
    else:
        says = "not met"
    met = status is Status.ANSWERED and bool(fired)
    return Finding(
        says=f"{name}: {says}.",
        status=status,
        category=category if status is Status.ANSWERED else None,
        parts={reason: answer.answer for reason, (answer, _) in reasons.items()},
        because=tuple(
            dict.fromkeys(
                (*(f for a, _ in reasons.values() if a.yes for f in a.because), *group.because)
            )
        ),
        assumed=group.assumed,
        missing=missing,
        rests_on=(row, *group.rests_on),
        positions=positions,
        stage=Stage.NOW if met else Stage.BACKGROUND,
        urgency=Urgency.SOON if met else Urgency.INFORMATION,
    )


@rule("bone.treatment_indication.bhof_2022", reads=_READS)
def treatment_indication_bhof(patient: Patient, evidence: Evidence) -> Finding:
    """Whether the Bone Health and Osteoporosis Foundation of 2022 would treat.

    Source      BHOF 2022 by tables of earlier editions (bone.diagnosis.bhof), not verified
    Population  United States; postmenopausal women, men from 50 years
    Not for     premenopausal women, men under 50
    """
    row = evidence.row("bone.diagnosis.bhof")
    sites = (*_NBHA_SITES, "distal_radius")
    osteopenia = _t_score_is(patient, evidence, "low_bone_mass", sites)
    t = sites_still_needed(patient, evidence, _asked_of(patient, evidence, sites))
    with_osteopenia = ("proximal_humerus", "pelvis", "distal_forearm")
    reasons = {
        "hip or vertebral fracture": (
            any_of((_fracture(patient, "hip"), _fracture(patient, "vertebral"))),
            _unknown_fractures(patient, ("hip", "vertebral")),
        ),
        _low_enough(evidence): (_t_score_is(patient, evidence, "osteoporosis", sites), t),
        "osteopenia with FRAX at a threshold": (
            both(osteopenia, frax_reaches_threshold(patient, evidence)),
            (*t, *_unknown_frax(patient)),
        ),
        "low bone mass with a fracture": (
            both(osteopenia, any_of(_fracture(patient, s) for s in with_osteopenia)),
            (*t, *_unknown_fractures(patient, with_osteopenia)),
        ),
    }
    group = classified_by_t_score(patient, evidence)
    return _by_criteria("BHOF 2022", "treatment_indicated", reasons, row, group)


def _attenuation_below(
    patient: Patient, limit: Row, evidence: Evidence
) -> tuple[Known, tuple[str, ...]]:
    """Whether the attenuation is below a limit however the scan was taken, and what would say."""
    fact = screening_attenuation(patient)
    if fact is None:
        return UNKNOWN, ("ct.hounsfield.three_location",)
    answer = attenuation_meets(fact, limit, evidence)
    return answer, acquisition_not_known(fact) or ("ct.hounsfield.three_location",)


def _degraded_with_osteopenia(patient: Patient, evidence: Evidence) -> Known:
    texture = trabecular_category(patient, evidence)
    degraded = UNKNOWN
    if texture is not None and texture_is_valid(patient, evidence):
        degraded = Known("yes" if texture[0] == "degraded" else "no", (texture[1],))
    return both(degraded, _t_score_is(patient, evidence, "low_bone_mass", _NBHA_SITES))


@rule(
    "bone.osteoporosis",
    reads=(*_READS, *REGIONS, "bone.trabecular_bone_score", "bone.t_score.site_unknown",
           "fracture.low_trauma", "condition.osteoporosis", "person.body_mass_index", *SITES_ASK),
    headline=1,
)  # fmt: skip
def osteoporosis(patient: Patient, evidence: Evidence) -> Finding:
    """Whether it is osteoporosis by any of four routes, and which of them fired.

    Source      WHO by DXA (bone.t_score.*); attenuation below 110 HU, NBHA and the expanded
                criteria of St Jeor (bone.diagnosis.*)
    Population  adults before spine surgery
    Not for     premenopausal women, men under 50; children
    Differs     the routes find 25, 37, 75 and 82 % of spine-surgery patients
    """
    group = classified_by_t_score(patient, evidence)
    routes = routes_to_osteoporosis(patient, evidence)
    fired = [name for name, (answer, _) in routes.items() if answer.yes]
    recorded = patient.ever("condition.osteoporosis")
    rows = (
        evidence.row("bone.t_score.osteoporosis"),
        evidence.row("bone.diagnosis.hounsfield"),
        evidence.row("bone.diagnosis.nbha"),
        evidence.row("bone.diagnosis.expanded_spine"),
        evidence.row("bone.diagnosis.yield"),
        *group.rests_on,
    )
    if group.answer == "no" and not recorded.yes:
        return Finding(
            says="The routes to a diagnosis of osteoporosis do not apply to this person; density "
            "is judged by the Z-score.",
            status=Status.NOT_APPLICABLE,
            because=group.because,
            missing=("condition.osteoporosis",) if recorded.unknown else (),
            rests_on=rows,
            stage=Stage.BACKGROUND,
        )
    missing = tuple(
        dict.fromkeys(w for answer, asks in routes.values() if answer.unknown for w in asks)
    )
    because: tuple[Fact, ...] = tuple(
        dict.fromkeys(f for answer, _ in routes.values() if answer.yes for f in answer.because)
    )
    if fired:
        says = f"Osteoporosis by {len(fired)} of 4 routes: {', '.join(fired)}."
        if fired == ["expanded spine criteria"]:  # none of its other parts fired by itself
            says = says[:-1] + " (a degraded trabecular bone score with an osteopenic T-score)."
        if _is_attenuation_against_dxa(patient, evidence):
            says = says[:-1] + "; the DXA is normal, and decides on treatment."
        if recorded.yes:
            says = says[:-1] + "; the diagnosis is on record."
    elif recorded.yes:
        says = "Osteoporosis is on record as a diagnosis; " + (
            "the four routes do not apply to this person."
            if group.answer == "no"
            else "what is known is not enough to confirm it by one of the four routes."
            if missing
            else "none of the four routes confirms it today."
        )
        because = recorded.because
    elif missing:
        says = "Osteoporosis is neither shown nor ruled out on what is known."
    else:
        says = "Osteoporosis is not shown by any of the four routes."
    found = bool(fired) or recorded.yes
    return Finding(
        says=says,
        status=Status.UNKNOWN if missing and not found else Status.ANSWERED,
        category="osteoporosis" if found else None if missing else "not_shown",
        parts={name: answer.answer for name, (answer, _) in routes.items()},
        because=because,
        assumed=group.assumed,
        missing=missing,
        rests_on=rows,
        stage=Stage.NOW,
        urgency=Urgency.SOON if found else Urgency.ROUTINE,
    )


def routes_to_osteoporosis(patient: Patient, evidence: Evidence) -> Reasons:
    """Each of the four routes with its answer and the concepts that would answer it.

    None of them is for a person who is not classified by T-score; where that is unknown, so
    are they.
    """
    group = classified_by_t_score(patient, evidence)
    dxa = osteoporosis_by_dxa.one(patient, evidence)
    by_dxa = UNKNOWN
    if dxa.category is not None:
        met = dxa.category in ("osteoporosis", "severe_osteoporosis")
        if met or not dxa.missing:  # one site can show it, only all of them can rule it out
            by_dxa = Known("yes" if met else "no", dxa.because)
    nbha = meets_nbha(patient, evidence)
    limit = evidence.row("bone.diagnosis.hounsfield")
    attenuation, attenuation_asks = _attenuation_below(patient, limit, evidence)
    texture = _degraded_with_osteopenia(patient, evidence)
    texture_asks = ("bone.trabecular_bone_score",) if texture.unknown else ()
    hip = ("bone.t_score.total_hip", "bone.t_score.femoral_neck")
    nbha_asks = _named_missing(_nbha_reasons(patient, evidence))
    routes: Reasons = {
        "WHO by DXA": (by_dxa, dxa.missing or hip),
        f"attenuation below {limit.number:g} HU": (attenuation, attenuation_asks),
        "NBHA": (nbha, nbha_asks),
        "expanded spine criteria": (any_of((nbha, attenuation, texture)), texture_asks),
    }
    if group.answer == "yes":
        return routes
    outside = Known("no", group.because) if group.answer == "no" else UNKNOWN
    return {name: (outside, (*group.missing, *asks)) for name, (_, asks) in routes.items()}


class Need(Struct, frozen=True, kw_only=True):
    """Why a person's bone is looked after by a specialist, in words, facts and rows."""

    says: str
    because: tuple[Fact, ...]
    assumed: tuple[Fact, ...] = ()
    rests_on: tuple[Row, ...] = ()


NEED_READS = tuple(dict.fromkeys((*osteoporosis.reads, *_READS, *Z_ASKS)))


def need_of_care(patient: Patient, evidence: Evidence) -> Need | None:
    """Osteoporosis by a route or on record, what BHOF would treat, or density low for the age."""
    found = osteoporosis.one(patient, evidence)
    if found.category == "osteoporosis":
        return Need(says="Osteoporosis", because=found.because, assumed=found.assumed)
    treated = treatment_indication_bhof.one(patient, evidence)
    if treated.category == "treatment_indicated":
        return Need(
            says="Bone that BHOF 2022 would treat",
            because=treated.because,
            assumed=treated.assumed,
            rests_on=(evidence.row("bone.diagnosis.bhof"),),
        )
    low_for_age = density_is_low_for_age(patient, evidence)
    if not low_for_age:
        return None
    return Need(
        says="A density below the range for the age",
        because=low_for_age,
        rests_on=(evidence.row("bone.z_score.below_expected"),),
    )


TREATMENT_READS = tuple(dict.fromkeys((*osteoporosis.reads, *_READS)))


def need_of_treatment(patient: Patient, evidence: Evidence) -> Need | None:
    """Osteoporosis, or what BHOF would treat: where agents and their timing are spoken of.

    Attenuation alone does not decide against a whole DXA that is normal; a DXA decides.
    """
    found = osteoporosis.one(patient, evidence)
    treated = treatment_indication_bhof.one(patient, evidence)
    if treated.category != "treatment_indicated" and (
        found.category != "osteoporosis" or _is_attenuation_against_dxa(patient, evidence)
    ):
        return None
    return need_of_care(patient, evidence)


def _is_attenuation_against_dxa(patient: Patient, evidence: Evidence) -> bool:
    """Whether nothing but attenuation speaks for osteoporosis, and a whole DXA is normal."""
    dxa = osteoporosis_by_dxa.one(patient, evidence)
    if dxa.category != "normal" or dxa.missing or patient.ever("condition.osteoporosis").yes:
        return False
    others = (meets_nbha(patient, evidence), _degraded_with_osteopenia(patient, evidence))
    return not any(answer.yes for answer in others)


@rule(
    "bone.vertebral_deformity",
    reads=("vertebra.genant_grade", "fracture.vertebral", "fracture.vertebral.low_trauma"),
    headline=2,
)
def vertebral_deformity(patient: Patient, evidence: Evidence) -> Finding | None:
    """Whether a measured vertebral deformity is a fracture that nobody has written down.

    Source      NBHA 2014 (bone.diagnosis.nbha): a low-trauma vertebral fracture with osteopenia
    Population  adults with a measured spine image
    Not for     telling a fracture from a normal variant, Scheuermann disease or a tumour
    """
    deformed = [
        f for f in patient.facts("vertebra.genant_grade")
        if f.value != "none" and f.details.get("usable") != "no"
    ]  # fmt: skip
    if not deformed:
        return None
    known = patient.ever("fracture.vertebral.low_trauma")
    recorded = [levels.span(f.level) for f in known.because if known.yes and f.level]
    unexplained = [f for f in deformed if not any(_lies_in(f.level, run) for run in recorded)]
    where = ", ".join(
        f"{f.level or 'a vertebra not named'} ({f.value})" for f in unexplained or deformed
    )
    if not unexplained:
        says = f"Vertebral deformity at {where}; a low-trauma fracture is on record there."
    else:
        says = (
            f"Vertebral deformity at {where}: possibly a fracture. Whether it is one, and from "
            f"low trauma, is not on record, and would decide the diagnosis."
        )
    return Finding(
        says=says,
        category="possible_fracture" if unexplained else "known",
        because=(*deformed, *known.because),
        missing=("fracture.vertebral.low_trauma",) if unexplained else (),
        rests_on=(evidence.row("bone.diagnosis.nbha"),),
        stage=Stage.NOW,
        urgency=Urgency.SOON if unexplained else Urgency.ROUTINE,
    )


def _lies_in(level: str | None, run: levels.Span) -> bool:
    if level is None:
        return False
    one = levels.span(level)
    return one.first in run and one.last in run
