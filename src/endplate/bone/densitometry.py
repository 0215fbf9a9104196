"""Bone density by DXA: who is classified by T-score, which sites count, and what they say."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from msgspec import Struct

from endplate.evidence import Evidence, Row
from endplate.facts import Fact
from endplate.findings import Finding, Position, Stage, Status, Urgency
from endplate.levels import Level
from endplate.record import Patient
from endplate.rules import rule

HIP = ("femoral_neck", "total_hip", "femur")
ISCD_SITES = (*HIP, "lumbar_spine", "distal_radius")
HIP_AND_RADIUS = (*HIP, "distal_radius")
T_SCORES = tuple(f"bone.t_score.{site}" for site in ISCD_SITES)
_ARTEFACTS = (
    "fracture.vertebral", "procedure.laminectomy", "procedure.spinal_instrumentation",
    "procedure.spinal_fusion", "procedure.vertebral_augmentation", "bone.vertebra_excluded",
)  # fmt: skip
# What can make `usable_sites` leave the lumbar spine out.
SPINE_ASKS = ("bone.t_score.vertebra", *_ARTEFACTS)
WHO_ASKS = ("person.sex", "person.age", "person.postmenopausal")

_NAMES = {
    "femoral_neck": "the femoral neck",
    "total_hip": "the total hip",
    "femur": "the femur (region not stated)",
    "lumbar_spine": "the lumbar spine",
    "distal_radius": "the distal third of the radius",
}


class Group(Struct, frozen=True, kw_only=True):
    """Whether a person is classified by T-score, and on what that rests."""

    answer: str
    because: tuple[Fact, ...] = ()
    assumed: tuple[Fact, ...] = ()
    missing: tuple[str, ...] = ()
    rests_on: tuple[Row, ...] = ()


def classified_by_t_score(patient: Patient, evidence: Evidence) -> Group:
    """Whether WHO's T-score categories apply: postmenopausal women, and men from 50 years.

    A woman of an age at which menopause has passed in nearly all, whose status nobody wrote
    down, is taken as postmenopausal, and that is returned as `assumed`.

    Source      WHO categories as restated by ISCD and NBHA (rows bone.t_score.*)
    Population  adults
    Not for     children and adolescents
    """
    age, sex = patient.age, patient.sex
    men_from = evidence.row("bone.t_score.men_from_age")
    assumed_from = evidence.row("bone.postmenopausal_assumed_from_age")
    sex_fact = tuple(f for f in (patient.latest("person.sex"),) if f is not None)
    age_fact = (age,) if age is not None else ()
    if sex == "male":
        if age is None:
            return Group(answer="unknown", because=sex_fact, missing=("person.age",))
        applies = "yes" if men_from.met(age.number) else "no"
        return Group(answer=applies, because=(*sex_fact, *age_fact), rests_on=(men_from,))
    passed = patient.ever("person.postmenopausal")
    if sex == "female" and passed.yes:
        return Group(answer="yes", because=(*sex_fact, *passed.because))
    if age is not None and assumed_from.met(age.number):
        return Group(
            answer="yes",
            because=(*sex_fact, *age_fact),
            assumed=(_assumed_postmenopausal(patient),),
            rests_on=(assumed_from,),
        )
    if sex == "female" and passed.no:
        return Group(answer="no", because=(*sex_fact, *passed.because))
    missing = [what for what, known in (("person.sex", sex), ("person.age", age)) if known is None]
    if sex == "female":
        missing.append("person.postmenopausal")
    return Group(
        answer="unknown",
        because=(*sex_fact, *age_fact),
        missing=tuple(missing) or ("person.sex",),
        rests_on=(assumed_from,),
    )


def _assumed_postmenopausal(patient: Patient) -> Fact:
    return Fact(
        what="person.postmenopausal", value=True, on=patient.on, source="assumed from the age"
    )


def t_score(patient: Patient, site: str) -> Fact | None:
    """The lowest of the newest T-scores of a site, left and right; None where there is none."""
    newest: dict[str | None, Fact] = {}
    for fact in patient.facts(f"bone.t_score.{site}"):
        newest.setdefault(fact.side, fact)
    return min(newest.values(), key=lambda f: f.number) if newest else None


def lowest_t_score(patient: Patient, sites: Iterable[str]) -> tuple[str, Fact] | None:
    """The site with the lowest T-score among `sites`, and that T-score."""
    found = [(s, f) for s in sites if (f := t_score(patient, s)) is not None]
    return min(found, key=lambda pair: pair[1].number) if found else None


def sites_not_measured(patient: Patient, sites: Iterable[str]) -> tuple[str, ...]:
    """The concepts of those sites whose T-score nobody has; a T-score of the femur without its
    region stands for neck and total hip.
    """
    femur = t_score(patient, "femur") is not None
    return tuple(
        f"bone.t_score.{site}"
        for site in sites
        if site != "femur" and t_score(patient, site) is None and not (femur and site in HIP)
    )


def usable_sites(patient: Patient, evidence: Evidence) -> tuple[str, ...]:
    """The sites on which osteoporosis is diagnosed here, by the evidence's choice.

    The lumbar spine is left out where too few of its vertebrae can be used.
    """
    if evidence.choice("bone.dxa_sites").use == "hip_and_radius":
        return HIP_AND_RADIUS
    usable = spine_vertebrae.one(patient, evidence)
    if usable.category == "not_usable":
        return tuple(s for s in ISCD_SITES if s != "lumbar_spine")
    return ISCD_SITES


def category_of(t: float, evidence: Evidence) -> str:
    """``osteoporosis``, ``low_bone_mass`` or ``normal`` of one T-score."""
    if evidence.row("bone.t_score.osteoporosis").met(t):
        return "osteoporosis"
    if evidence.row("bone.t_score.low_bone_mass").met(t):
        return "low_bone_mass"
    return "normal"


_IN_WORDS = {
    "osteoporosis": "osteoporosis",
    "severe_osteoporosis": "severe osteoporosis",
    "low_bone_mass": "low bone mass (osteopenia)",
    "normal": "normal",
}


@rule(
    "bone.osteoporosis_by_dxa",
    reads=(*T_SCORES, "bone.t_score.site_unknown", *WHO_ASKS, "fracture.low_trauma",
           *SPINE_ASKS),
)  # fmt: skip
def osteoporosis_by_dxa(patient: Patient, evidence: Evidence) -> Finding:
    """The WHO category of the lowest T-score at the sites that count.

    Source      WHO categories (bone.t_score.*), sites by ISCD (bone.dxa.sites)
    Population  postmenopausal women, men from 50 years
    Not for     premenopausal women, men under 50, children: their Z-score is read instead
    Differs     patel2024 leaves the spine out; where that changes the category both are shown
    """
    group = classified_by_t_score(patient, evidence)
    limit = evidence.row("bone.t_score.osteoporosis")
    rows = (limit, evidence.row("bone.t_score.low_bone_mass"), evidence.row("bone.dxa.sites"))
    sites = usable_sites(patient, evidence)
    lowest = lowest_t_score(patient, sites)
    if lowest is None:
        return _no_site(patient, rows)
    site, fact = lowest
    said = f"Lowest T-score {fact.number:.1f} at {_NAMES[site]}"
    if group.answer != "yes":
        return _outside_the_group(said, fact, group, rows)
    category = category_of(fact.number, evidence)
    fracture = patient.ever("fracture.low_trauma")
    missing = sites_not_measured(patient, sites)
    if category == "osteoporosis":
        missing = ("fracture.low_trauma",) if fracture.unknown else ()
        if fracture.yes:
            category = "severe_osteoporosis"
    return Finding(
        says=f"{said}: {_IN_WORDS[category]} by the WHO categories.",
        value=fact.number,
        unit="1",
        category=category,
        parts={"site": site},
        because=(fact, *group.because, *(fracture.because if "osteo" in category else ())),
        assumed=group.assumed,
        missing=missing,
        rests_on=(*rows, *group.rests_on),
        positions=_with_and_without_spine(patient, evidence),
        stage=Stage.NOW,
        urgency=Urgency.SOON if limit.met(fact.number) else Urgency.ROUTINE,
    )


def _no_site(patient: Patient, rows: tuple[Row, ...]) -> Finding:
    missing = ("bone.t_score.total_hip", "bone.t_score.femoral_neck", "bone.t_score.lumbar_spine")
    unplaced = patient.latest("bone.t_score.site_unknown")
    old = [f for w in T_SCORES if (f := patient.outdated(w)) is not None]
    if unplaced is not None:
        says = (
            f"A T-score of {unplaced.number:.1f} is on record without its site; it cannot be "
            f"classified until the site is known."
        )
    elif old:
        says = (
            f"Bone density is unknown: the last DXA, of {max(str(f.on) for f in old)}, is too old."
        )
    else:
        says = "Bone density is unknown: there is no DXA of hip, spine or radius."
    return Finding(
        says=says,
        status=Status.UNKNOWN,
        because=(unplaced,) if unplaced else tuple(old),
        missing=missing,
        rests_on=rows,
        stage=Stage.NOW,
        urgency=Urgency.ROUTINE,
    )


def _outside_the_group(said: str, fact: Fact, group: Group, rows: tuple[Row, ...]) -> Finding:
    unknown = group.answer == "unknown"
    why = (
        "whether the WHO categories apply is unknown"
        if unknown
        else "the WHO categories do not apply; the Z-score is read instead"
    )
    return Finding(
        says=f"{said}; {why}.",
        status=Status.UNKNOWN if unknown else Status.NOT_APPLICABLE,
        value=fact.number,
        unit="1",
        because=(fact, *group.because),
        missing=group.missing if unknown else (),
        rests_on=(*rows, *group.rests_on),
        stage=Stage.NOW,
        urgency=Urgency.ROUTINE,
    )


def _with_and_without_spine(patient: Patient, evidence: Evidence) -> tuple[Position, ...]:
    """Both views on the spine's T-score, where they lead to different categories."""
    both = lowest_t_score(patient, ISCD_SITES)
    without = lowest_t_score(patient, HIP_AND_RADIUS)
    if both is None or both[0] != "lumbar_spine":
        return ()
    with_spine = category_of(both[1].number, evidence)
    without_spine = category_of(without[1].number, evidence) if without else None
    if with_spine == without_spine:
        return ()
    default = evidence.choice("bone.dxa_sites").use
    no_spine = (
        f"without it: {_IN_WORDS[without_spine]}" if without_spine else "nothing else measured"
    )
    return (
        Position(
            holder="ISCD",
            says=f"the spine counts: {_IN_WORDS[with_spine]}",
            rests_on=(evidence.row("bone.dxa.sites"),),
            default=default == "iscd",
        ),
        Position(
            holder="Patel 2024",
            says=f"the spine does not count; {no_spine}",
            rests_on=(evidence.row("bone.dxa.spine_not_advised"),),
            default=default == "hip_and_radius",
        ),
    )


@rule(
    "bone.z_score",
    reads=(*(f"bone.z_score.{s}" for s in (*ISCD_SITES, "site_unknown")), *WHO_ASKS),
)
def z_score(patient: Patient, evidence: Evidence) -> Finding | None:
    """Whether density is below the expected range for age, where the T-score does not apply.

    Source      ISCD positions (bone.z_score.below_expected)
    Population  premenopausal women, men under 50 years, children
    Not for     a diagnosis of osteoporosis on density alone
    """
    group = classified_by_t_score(patient, evidence)
    if group.answer == "yes":
        return None
    limit = evidence.row("bone.z_score.below_expected")
    found = [
        f for s in (*ISCD_SITES, "site_unknown")
        if (f := patient.latest(f"bone.z_score.{s}")) is not None
    ]  # fmt: skip
    if not found:
        return Finding(
            says="Density for age is unknown: there is no Z-score.",
            status=Status.UNKNOWN,
            because=group.because,
            missing=("bone.z_score.total_hip", "bone.z_score.lumbar_spine", *group.missing),
            rests_on=(limit,),
        )
    lowest = min(found, key=lambda f: f.number)
    below = limit.met(lowest.number)
    return Finding(
        says=f"Lowest Z-score {lowest.number:.1f}: "
        f"{'below' if below else 'within'} the expected range for age.",
        status=Status.ANSWERED if group.answer == "no" else Status.UNKNOWN,
        value=lowest.number,
        unit="1",
        category="below_expected" if below else "within_expected",
        because=(lowest, *group.because),
        missing=group.missing,
        rests_on=(limit, *group.rests_on),
        stage=Stage.NOW if below else Stage.BACKGROUND,
        urgency=Urgency.SOON if below else Urgency.INFORMATION,
    )


_LUMBAR = (Level.L1, Level.L2, Level.L3, Level.L4)
@rule("bone.spine_vertebrae", reads=SPINE_ASKS)
def spine_vertebrae(patient: Patient, evidence: Evidence) -> Finding:
    """Which of L1-L4 may be left out of the spine's DXA, and whether enough remain.

    Source      ISCD positions (bone.dxa.vertebra_*)
    Population  adults with a lumbar DXA
    Not for     recomputing the T-score: the remaining vertebrae are analysed anew
    """
    difference = evidence.row("bone.dxa.vertebra_difference")
    needed = evidence.row("bone.dxa.vertebrae_needed")
    rows = (difference, needed, evidence.row("bone.dxa.vertebra_reasons"))
    scores = {
        v: f for v in _LUMBAR if (f := patient.latest("bone.t_score.vertebra", level=v)) is not None
    }
    changed: dict[Level, Fact] = {}
    for what in _ARTEFACTS:
        for fact in patient.facts(what):
            level = str(fact.value) if what == "bone.vertebra_excluded" else fact.level
            if fact.value is not False and level in _LUMBAR:
                changed.setdefault(Level(level), fact)
    apart = _apart(scores, difference)
    out = sorted({*changed, *apart})
    if not scores and not changed:
        return Finding(
            says="Single vertebrae of the lumbar DXA are not known; none was left out.",
            status=Status.UNKNOWN,
            category="not_checked",
            missing=("bone.t_score.vertebra",),
            rests_on=rows,
        )
    left = [v for v in _LUMBAR if v not in out]
    usable = needed.met(len(left))
    names = ", ".join(out) or "none"
    says = f"Vertebrae that may be left out of the lumbar DXA: {names}."
    if out:
        says = says[:-1] + (
            f"; the remaining {', '.join(left)} are analysed anew."
            if usable
            else "; too few remain, and hip and distal radius are used."
        )
    return Finding(
        says=says,
        category=("re_analyse" if usable else "not_usable") if out else "all_usable",
        parts={"left_out": names, "remaining": len(left)},
        because=(*scores.values(), *changed.values()),
        missing=() if len(scores) == len(_LUMBAR) else ("bone.t_score.vertebra",),
        rests_on=rows,
    )


def _apart(scores: dict[Level, Fact], difference: Row) -> set[Level]:
    """Vertebrae whose T-score lies above a neighbour's by more than the rule allows.

    The higher of the two is left out: degeneration and artefacts raise a T-score.
    """
    found = set()
    for upper, lower in pairwise(_LUMBAR):
        if upper in scores and lower in scores:
            a, b = scores[upper].number, scores[lower].number
            if difference.met(abs(a - b)):
                found.add(upper if a > b else lower)
    return found


@rule(
    "bone.spine_hip_discordance",
    reads=("bone.t_score.lumbar_spine", *(f"bone.t_score.{s}" for s in HIP)),
)
def spine_hip_discordance(patient: Patient, evidence: Evidence) -> Finding | None:
    """Whether the spine's T-score lies so far above the hip's that degeneration explains it.

    Source      ISCD rule for neighbouring vertebrae, patel2024 (bone.dxa.spine_above_hip)
    Population  adults before spine surgery
    Not for     a diagnosis of spondylosis
    """
    spine = t_score(patient, "lumbar_spine")
    hip = lowest_t_score(patient, HIP)
    if spine is None:
        return None
    limit = evidence.row("bone.dxa.spine_above_hip")
    rows = (limit, evidence.row("bone.dxa.three_sites_for_spine_surgery"))
    if hip is None:
        return Finding(
            says="Whether degeneration raises the spine's T-score is unknown without the hip.",
            status=Status.UNKNOWN,
            because=(spine,),
            missing=("bone.t_score.total_hip", "bone.t_score.femoral_neck"),
            rests_on=rows,
        )
    above = spine.number - hip[1].number
    discordant = limit.met(above)
    return Finding(
        says=(
            f"The spine's T-score lies {above:.1f} above the lowest hip T-score: degenerative "
            f"change probably raises it, and the hip is the one to trust."
            if discordant
            else f"Spine and hip T-scores agree (difference {above:.1f})."
        ),
        value=round(above, 1),
        unit="1",
        category="discordant" if discordant else "concordant",
        because=(spine, hip[1]),
        rests_on=rows,
        stage=Stage.NOW if discordant else Stage.BACKGROUND,
    )


_REFERENCE_SITES = ("femoral_neck", "total_hip")


@rule(
    "bone.t_score_from_density",
    reads=(*(f"bone.mineral_density.{s}" for s in _REFERENCE_SITES), "bone.dxa_manufacturer",
           *(f"bone.t_score.{s}" for s in _REFERENCE_SITES)),
    scores="t_score_from_density",
)  # fmt: skip
def t_score_from_density(patient: Patient, evidence: Evidence) -> Iterable[Finding]:
    """The T-score that a Hologic density would have, where the device printed none.

    Source      NHANES III female reference (bone.reference.*), for women and men alike
    Population  adults
    Not for     other manufacturers' densities; a diagnosis: the printed T-score is preferred
    """
    maker = patient.latest("bone.dxa_manufacturer")
    for site in _REFERENCE_SITES:
        density = patient.latest(f"bone.mineral_density.{site}")
        if density is None or t_score(patient, site) is not None:
            continue
        mean = evidence.row(f"bone.reference.{site}.mean")
        sd = evidence.row(f"bone.reference.{site}.sd")
        if maker is None or maker.value != "hologic":
            yield Finding(
                about=site,
                says=f"Density at {_NAMES[site]} has no printed T-score, and one is computed for "
                f"Hologic scanners only.",
                status=Status.UNKNOWN if maker is None else Status.NOT_APPLICABLE,
                because=(density, *((maker,) if maker else ())),
                missing=("bone.dxa_manufacturer", f"bone.t_score.{site}"),
                rests_on=(mean, sd),
            )
            continue
        t = (density.number - mean.number) / sd.number
        yield Finding(
            about=site,
            says=f"Density {density.number:.3f} g/cm² at {_NAMES[site]} corresponds to a T-score "
            f"of {t:.1f}.",
            value=round(t, 2),
            unit="1",
            category=category_of(t, evidence),
            because=(density, maker),
            missing=(f"bone.t_score.{site}",),
            rests_on=(mean, sd),
        )
