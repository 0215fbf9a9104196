"""Bone density by DXA: who is classified by T-score, which sites count, and what they say."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from msgspec import Struct

from endplate import levels
from endplate.evidence import Evidence, Row
from endplate.facts import Fact
from endplate.findings import Finding, PartValue, Position, Stage, Status, Urgency
from endplate.levels import Level
from endplate.record import Patient
from endplate.rules import rule
from endplate.vocabulary import concept

HIP = ("femoral_neck", "total_hip", "femur")
ISCD_SITES = (*HIP, "lumbar_spine", "distal_radius")
HIP_AND_RADIUS = (*HIP, "distal_radius")
T_SCORES = tuple(f"bone.t_score.{site}" for site in ISCD_SITES)
# What can show that vertebrae of the lumbar DXA are not to be trusted.
_ARTEFACTS = (
    "fracture.vertebral", "procedure.laminectomy", "procedure.spinal_instrumentation",
    "procedure.spinal_fusion", "procedure.vertebral_augmentation", "bone.vertebra_excluded",
)  # fmt: skip
# What can make `usable_sites` leave the lumbar spine out.
SPINE_ASKS = ("bone.t_score.vertebra", *_ARTEFACTS)
# What decides which sites are needed, besides the T-scores themselves.
SITES_ASK = (
    *SPINE_ASKS, "condition.hyperparathyroidism", "person.weight_above_table_limit",
)  # fmt: skip
WHO_ASKS = ("person.sex", "person.age", "person.postmenopausal")

SITE_NAMES = {
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

    From an age at which menopause has passed in nearly all, a woman of whom it is not on
    record is taken as postmenopausal, and that is returned as `assumed`.

    Source      WHO categories as restated by ISCD and NBHA (rows bone.t_score.*)
    Population  adults
    Not for     children and adolescents
    """
    age, sex = patient.age, patient.sex
    men_from = evidence.row("bone.t_score.men_from_age")
    assumed_from = evidence.row("bone.postmenopausal_assumed_from_age")
    adult = evidence.row("bone.t_score.adult_from_age")
    sex_fact = tuple(f for f in (patient.latest("person.sex"),) if f is not None)
    age_fact = (age,) if age is not None else ()
    if age is not None and not adult.met(age.number):
        return Group(answer="no", because=age_fact, rests_on=(adult,))
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
            because=(*sex_fact, *age_fact, *passed.because),
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


def lowest_of_newest(patient: Patient, what: str) -> Fact | None:
    """The lowest of the newest values of a concept, left and right; None where there is none.

    Several of one day and side all count: two hips may be reported without their sides.
    """
    found = patient.facts(what)
    if len(found) < 2:
        return found[0] if found else None
    newest: dict[str | None, Fact] = {}
    for fact in found:
        same_day = newest.setdefault(fact.side, fact)
        if fact.on == same_day.on and fact.number < same_day.number:
            newest[fact.side] = fact
    return min(newest.values(), key=lambda f: f.number) if newest else None


def t_score(patient: Patient, site: str) -> Fact | None:
    """The lowest of the newest T-scores of a site, left and right; None where there is none."""
    return lowest_of_newest(patient, f"bone.t_score.{site}")


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


def sites_still_needed(
    patient: Patient, evidence: Evidence, sites: Iterable[str] | None = None
) -> tuple[str, ...]:
    """The concepts of the sites that nobody has measured, or that have to be analysed anew.

    A lumbar T-score of which some vertebrae are to be left out may be too high: it can show low
    density and cannot rule it out.
    """
    asked = sites_needed(patient, evidence) if sites is None else tuple(sites)
    missing = sites_not_measured(patient, asked)
    spine = "bone.t_score.lumbar_spine"
    anew = spine_vertebrae.one(patient, evidence).category == "re_analyse"
    return (
        (*missing, spine) if anew and "lumbar_spine" in asked and spine not in missing else missing
    )


def usable_sites(patient: Patient, evidence: Evidence) -> tuple[str, ...]:
    """The sites on which osteoporosis is diagnosed here, by the evidence's choice.

    The lumbar spine is left out where too few of its vertebrae can be used.
    """
    if evidence.choice("bone.dxa_sites").use == "hip_and_radius":
        return HIP_AND_RADIUS
    if not spine_is_usable(patient, evidence):
        return tuple(s for s in ISCD_SITES if s != "lumbar_spine")
    return ISCD_SITES


def spine_is_usable(patient: Patient, evidence: Evidence) -> bool:
    """Whether nothing on record speaks against the lumbar spine's T-score as a whole."""
    return spine_vertebrae.one(patient, evidence).category != "not_usable"


def sites_needed(patient: Patient, evidence: Evidence) -> tuple[str, ...]:
    """The sites without which low density is not ruled out.

    The radius is among them where hip or spine cannot be measured or interpreted, in
    hyperparathyroidism, and above the weight limit of the table.
    """
    usable = usable_sites(patient, evidence)
    discordant = spine_hip_discordance(patient, evidence)
    radius = (
        "lumbar_spine" not in usable
        or any(f.category == "discordant" for f in discordant)
        or patient.has("condition.hyperparathyroidism").yes
        or patient.has("person.weight_above_table_limit").yes
    )
    return usable if radius else tuple(s for s in usable if s != "distal_radius")


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
    reads=(*T_SCORES, "bone.t_score.site_unknown", *WHO_ASKS, "fracture.low_trauma", *SITES_ASK),
)
def osteoporosis_by_dxa(patient: Patient, evidence: Evidence) -> Finding:
    """The WHO category of the lowest T-score at the sites that count.

    Source      WHO categories (bone.t_score.*), sites by ISCD (bone.dxa.sites)
    Population  postmenopausal women, men from 50 years
    Not for     premenopausal women, men under 50, children: their Z-score is read instead
    Differs     patel2024 leaves the spine out; where that changes the category both are shown
    """
    group = classified_by_t_score(patient, evidence)
    limit = evidence.row("bone.t_score.osteoporosis")
    rows = (
        limit,
        evidence.row("bone.t_score.low_bone_mass"),
        evidence.row("bone.dxa.sites"),
        evidence.row("bone.dxa.radius"),
    )
    lowest = lowest_t_score(patient, usable_sites(patient, evidence))
    if lowest is None:
        return _no_site(patient, group, rows)
    site, fact = lowest
    said = f"Lowest T-score {fact.number:.1f} at {SITE_NAMES[site]}"
    if group.answer != "yes":
        return _outside_the_group(said, fact, group, rows)
    category = category_of(fact.number, evidence)
    fracture = patient.ever("fracture.low_trauma")
    missing = sites_still_needed(patient, evidence)
    caveat = ""
    if category == "osteoporosis":
        missing = ("fracture.low_trauma",) if fracture.unknown else ()
        if fracture.yes:
            category = "severe_osteoporosis"
    elif lowest_t_score(patient, HIP) is None:
        caveat = "; the hip was not measured, so a lower T-score there is not ruled out"
    elif "bone.t_score.lumbar_spine" in missing and t_score(patient, "lumbar_spine") is not None:
        caveat = "; the lumbar spine has to be analysed anew, and may then be lower"
    return Finding(
        says=f"{said}: {_IN_WORDS[category]} by the WHO categories{caveat}.",
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


def _no_site(patient: Patient, group: Group, rows: tuple[Row, ...]) -> Finding:
    if group.answer == "no":
        return Finding(
            says="The WHO categories do not apply to this person; the Z-score is read instead.",
            status=Status.NOT_APPLICABLE,
            because=group.because,
            rests_on=(*rows, *group.rests_on),
        )
    missing = ("bone.t_score.total_hip", "bone.t_score.femoral_neck", "bone.t_score.lumbar_spine")
    unplaced = patient.latest("bone.t_score.site_unknown")
    old = [f for w in T_SCORES if (f := patient.outdated(w)) is not None]
    left_out = t_score(patient, "lumbar_spine")
    if left_out is not None:
        says = (
            f"Bone density is unknown: the lumbar spine's T-score of {left_out.number:.1f} does "
            f"not count here, and neither hip nor radius was measured."
        )
        missing = (*missing[:2], "bone.t_score.distal_radius")
        old = [left_out]
    elif unplaced is not None:
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
        because=(unplaced,) if unplaced and not left_out else tuple(old),
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
        value=fact.number if unknown else None,
        unit="1" if unknown else "",
        because=(fact, *group.because),
        missing=group.missing if unknown else (),
        rests_on=(*rows, *group.rests_on),
        stage=Stage.NOW,
        urgency=Urgency.ROUTINE,
    )


def _with_and_without_spine(patient: Patient, evidence: Evidence) -> tuple[Position, ...]:
    """Both views on the spine's T-score, where they lead to different categories."""
    both = lowest_t_score(patient, ISCD_SITES) if spine_is_usable(patient, evidence) else None
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


Z_ASKS = (*(f"bone.z_score.{s}" for s in (*ISCD_SITES, "site_unknown")), *WHO_ASKS)


@rule("bone.z_score", reads=Z_ASKS, headline=2)
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
    lowest = _lowest_z_score(patient)
    if lowest is None:
        return Finding(
            says="Density for age is unknown: there is no Z-score.",
            status=Status.UNKNOWN,
            because=group.because,
            missing=(*_Z_TO_ORDER, *group.missing),
            rests_on=(limit,),
        )
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


_Z_TO_ORDER = ("bone.z_score.total_hip", "bone.z_score.lumbar_spine")


def _lowest_z_score(patient: Patient) -> Fact | None:
    found = (
        lowest_of_newest(patient, f"bone.z_score.{s}") for s in (*ISCD_SITES, "site_unknown")
    )  # fmt: skip
    return min((f for f in found if f is not None), key=lambda f: f.number, default=None)


def density_is_low_for_age(patient: Patient, evidence: Evidence) -> tuple[Fact, ...]:
    """The facts by which density is below the range for age in a person judged by Z-score."""
    low = [f for f in z_score(patient, evidence) if f.category == "below_expected"]
    return low[0].because if low and low[0].status is Status.ANSWERED else ()


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
    changed, unplaced = _changed_vertebrae(patient)
    apart = _apart(scores, difference)
    out = sorted({*changed, *apart})
    if not scores and not changed and not unplaced:
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
    category = "all_usable" if scores else "not_checked"
    if out:
        category = "re_analyse" if usable else "not_usable"
    says = f"Vertebrae that may be left out of the lumbar DXA: {names}"
    if out:
        says += (
            f"; the remaining {', '.join(left)} are analysed anew"
            if usable
            else "; too few remain, and hip and distal radius are used"
        )
    if unplaced:
        named = ", ".join(dict.fromkeys(concept(f.what).name for f in unplaced))
        says += f"; on record without its levels, to be looked for in the scan: {named}"
    return Finding(
        says=says + ".",
        status=Status.ANSWERED if scores or changed else Status.UNKNOWN,
        category=category,
        parts={"left_out": names, "remaining": len(left)},
        because=(*scores.values(), *changed.values(), *unplaced),
        missing=() if len(scores) == len(_LUMBAR) else ("bone.t_score.vertebra",),
        rests_on=rows,
    )


def _changed_vertebrae(patient: Patient) -> tuple[dict[Level, Fact], tuple[Fact, ...]]:
    """The lumbar vertebrae with a change or an artefact, and what has no level on record."""
    changed: dict[Level, Fact] = {}
    unplaced = []
    for what in _ARTEFACTS:
        for fact in patient.facts(what):
            written = str(fact.value) if what == "bone.vertebra_excluded" else fact.level
            if fact.value is False:
                continue
            if written is None:
                unplaced.append(fact)
                continue
            run = levels.span(written)
            for vertebra in _LUMBAR:
                if vertebra in run:
                    changed.setdefault(vertebra, fact)
    return changed, tuple(unplaced)


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
            else f"The spine's T-score lies {-above:.1f} below the lowest hip T-score."
            if limit.met(-above)
            else f"Spine and hip T-scores agree (difference {above:.1f})."
        ),
        value=round(above, 1),
        unit="1",
        category="discordant" if discordant else "concordant",
        because=(spine, hip[1]),
        missing=sites_not_measured(patient, HIP),
        rests_on=rows,
        stage=Stage.NOW if discordant else Stage.BACKGROUND,
    )


_REFERENCE_SITES = ("femoral_neck", "total_hip")


@rule(
    "bone.t_score_from_density",
    reads=(*(f"bone.mineral_density.{s}" for s in _REFERENCE_SITES), "bone.dxa_manufacturer",
           *(f"bone.t_score.{s}" for s in _REFERENCE_SITES), *WHO_ASKS),
    scores="t_score_from_density",
    needs=("bone.dxa_manufacturer",),
)  # fmt: skip
def t_score_from_density(patient: Patient, evidence: Evidence) -> Iterable[Finding]:
    """The T-score that a Hologic density would have, where the device printed none.

    Source      NHANES III female reference (bone.reference.*), for women and men alike
    Population  adults
    Not for     other manufacturers' densities; a diagnosis: the printed T-score is preferred
    """
    maker = patient.latest("bone.dxa_manufacturer")
    asked = () if maker else ("bone.dxa_manufacturer",)
    group = classified_by_t_score(patient, evidence)
    for site in _REFERENCE_SITES:
        density = lowest_of_newest(patient, f"bone.mineral_density.{site}")
        if density is None or t_score(patient, site) is not None:
            continue
        mean = evidence.row(f"bone.reference.{site}.mean")
        sd = evidence.row(f"bone.reference.{site}.sd")
        if maker is None or maker.value != "hologic":
            yield Finding(
                about=site,
                says=f"Density at {SITE_NAMES[site]} has no printed T-score, and one is computed "
                f"for Hologic scanners only.",
                status=Status.UNKNOWN if maker is None else Status.NOT_APPLICABLE,
                because=(density, *((maker,) if maker else ())),
                missing=(*asked, f"bone.t_score.{site}"),
                rests_on=(mean, sd),
            )
            continue
        t = (density.number - mean.number) / sd.number
        yield Finding(
            about=site,
            says=f"Density {density.number:.3f} g/cm² at {SITE_NAMES[site]} corresponds to a "
            f"T-score of {t:.1f}.",
            value=round(t, 2),
            unit="1",
            category=category_of(t, evidence) if group.answer == "yes" else None,
            parts=_standardised(density, site, evidence),
            because=(density, maker, *group.because),
            assumed=group.assumed,
            missing=(f"bone.t_score.{site}", *group.missing),
            rests_on=(mean, sd, *evidence.under(f"bone.standardised.{site}.")),
        )


def _standardised(density: Fact, site: str, evidence: Evidence) -> dict[str, PartValue]:
    """The standardised density in mg/cm², at the one site whose equation was seen."""
    if not evidence.under(f"bone.standardised.{site}."):
        return {}
    slope = evidence.row(f"bone.standardised.{site}.slope").number
    offset = evidence.row(f"bone.standardised.{site}.offset").number
    return {"standardised_density": round(slope * density.number + offset, 1)}
