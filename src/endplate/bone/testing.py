"""Who should have bone density tested: each guideline's answer, side by side."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from endplate.bone.attenuation import REGIONS, attenuation_meets, screening_attenuation
from endplate.bone.bone_quality_score import score_band, sequence_fits
from endplate.bone.densitometry import (
    HIP_AND_RADIUS,
    T_SCORES,
    WHO_ASKS,
    classified_by_t_score,
)
from endplate.bone.fracture_risk import trabecular_category
from endplate.evidence import Evidence, Row
from endplate.facts import Fact
from endplate.findings import Finding, Position, Recommendation, Stage, Status, Urgency
from endplate.record import Known, Patient, any_of
from endplate.rules import rule
from endplate.vocabulary import concept

_IN_WORDS = {
    "test": "bone density testing is advised",
    "not_covered": "does not advise testing on what is known",
    "insufficient_evidence": "finds the evidence insufficient to advise for or against testing",
    "recent": "asks for a DXA only if there was none in two years, and there is one",
    "assess_risk": "asks for an assessment of fracture risk, and for testing if it is high",
}


class Advice(Struct, frozen=True, kw_only=True):
    """What one guideline says of one person, before it is put into words."""

    answer: str
    rests_on: tuple[Row, ...]
    because: tuple[Fact, ...] = ()
    missing: tuple[str, ...] = ()
    positions: tuple[Position, ...] = ()


def _finding(guideline: str, advice: Advice) -> Finding:
    if advice.answer == "unknown":
        says = f"{guideline}: cannot be answered yet."
    elif advice.answer == "not_applicable":
        says = f"{guideline}: does not apply to this person."
    else:
        says = f"{guideline}: {_IN_WORDS[advice.answer]}."
    status = {"unknown": Status.UNKNOWN, "not_applicable": Status.NOT_APPLICABLE}
    return Finding(
        says=says,
        status=status.get(advice.answer, Status.ANSWERED),
        category=advice.answer if advice.answer in _IN_WORDS else None,
        because=advice.because,
        missing=advice.missing,
        rests_on=advice.rests_on,
        positions=advice.positions,
    )


def _child(patient: Patient, evidence: Evidence) -> Advice | None:
    """That a guideline for adults does not speak of a child."""
    adult, age = evidence.row("bone.t_score.adult_from_age"), patient.age
    if age is None or adult.met(age.number):
        return None
    return Advice(answer="not_applicable", rests_on=(adult,), because=(age,))


def _factors(patient: Patient, *rows: Row) -> tuple[Known, tuple[str, ...]]:
    """Whether a guideline's risk factors are present, and which of them nobody wrote down."""
    asked = [str(line["asks"]) for row in rows for line in row.table]
    answers = {what: _ever_or_now(patient, what) for what in asked}
    return any_of(answers.values()), tuple(w for w, a in answers.items() if a.unknown)


def _ever_or_now(patient: Patient, what: str) -> Known:
    """Fractures count for life; what can pass counts while it is there."""
    return patient.ever(what) if what.startswith("fracture.") else patient.has(what)


def _by_age_or_factor(
    patient: Patient, limit: Row, factors: tuple[Row, ...], *, younger_from: Row | None = None
) -> Advice:
    """Test from an age on, and younger people (from another age on) with a risk factor."""
    rows = tuple(r for r in (limit, younger_from, *factors) if r is not None)
    age = patient.age
    if age is not None and limit.met(age.number):
        return Advice(answer="test", rests_on=rows, because=(age,))
    present, unknown = _factors(patient, *factors)
    too_young = age is not None and younger_from is not None and not younger_from.met(age.number)
    if too_young and age is not None:
        return Advice(answer="not_covered", rests_on=rows, because=(age,))
    if age is None and (younger_from is not None or not present.yes):
        missing = ("person.age", *(unknown if not present.yes else ()))
        return Advice(answer="unknown", rests_on=rows, because=present.because, missing=missing)
    known_age = (age,) if age is not None else ()
    if present.yes:
        return Advice(
            answer="test", rests_on=rows, because=(*known_age, *present.because),
            missing=() if known_age else ("person.age",),
        )  # fmt: skip
    if present.no:
        because = (*known_age, *present.because)
        return Advice(answer="not_covered", rests_on=rows, because=because)
    return Advice(answer="unknown", rests_on=rows, because=known_age, missing=unknown)


def _uspstf(patient: Patient, evidence: Evidence, edition: str) -> Advice:
    """Women from 65; younger postmenopausal women at increased risk; men: no advice."""
    child = _child(patient, evidence)
    if child is not None:
        return child
    limit = evidence.row("bone.test.uspstf.women_from_age")
    men = evidence.row("bone.test.uspstf.men")
    benefit = evidence.row("bone.test.uspstf.benefit")
    younger = evidence.row(f"bone.test.uspstf{edition}.younger")
    outside = any_of(patient.ever(what) for what in _OUTSIDE_SCREENING)
    if outside.yes:
        return Advice(
            answer="not_applicable", rests_on=(limit, men, younger), because=outside.because
        )
    advice = _uspstf_by_sex_and_age(patient, evidence, limit, men, younger)
    unknown = tuple(w for w in _OUTSIDE_SCREENING if patient.ever(w).unknown)
    rows = (*advice.rests_on, *((benefit,) if edition == "2025" else ()))
    return replace(advice, missing=(*advice.missing, *unknown), rests_on=rows)


_OUTSIDE_SCREENING = ("fracture.low_trauma", "condition.osteoporosis")


def _uspstf_by_sex_and_age(
    patient: Patient, evidence: Evidence, limit: Row, men: Row, younger: Row
) -> Advice:
    sex = tuple(f for f in (patient.latest("person.sex"),) if f is not None)
    if patient.sex == "male":
        return Advice(answer="insufficient_evidence", rests_on=(men,), because=sex)
    if patient.sex is None:
        return Advice(answer="unknown", rests_on=(limit, men), missing=("person.sex",))
    age = patient.age
    rows = (limit, younger)
    if age is None:
        return Advice(answer="unknown", rests_on=rows, because=sex, missing=("person.age",))
    if limit.met(age.number):
        return Advice(answer="test", rests_on=rows, because=(*sex, age))
    passed = patient.ever("person.postmenopausal")
    because = (*sex, age, *passed.because)
    if passed.no:
        return Advice(answer="not_covered", rests_on=rows, because=because)
    if passed.unknown:
        return Advice(
            answer="unknown", rests_on=rows, because=because, missing=("person.postmenopausal",)
        )
    return _uspstf_risk(patient, evidence, younger, because)


def _uspstf_risk(
    patient: Patient, evidence: Evidence, younger: Row, because: tuple[Fact, ...]
) -> Advice:
    """Increased risk by a named tool, FRAX without density or OST; in 2025 after a risk factor."""
    limit = evidence.row("bone.screening.frax_without_bmd")
    ost_limit, divisor = evidence.row("bone.ost.women"), evidence.row("bone.ost.divisor")
    rows = (younger, limit, ost_limit, divisor)
    frax, weight, age = (
        patient.latest("bone.frax_major"),
        patient.latest("person.weight"),
        patient.age,
    )
    with_density = patient.has("bone.frax_with_bmd")
    present, unknown = _factors(patient, younger)
    if younger.table and present.no:  # the tool comes after a risk factor
        return Advice(answer="not_covered", rests_on=rows, because=(*because, *present.because))
    if frax is not None and not with_density.yes and limit.met(frax.number):
        how_run = ("bone.frax_with_bmd",) if with_density.unknown else ()
        asked = (*how_run, *(() if present.yes else unknown))
        return Advice(answer="test", rests_on=rows, because=(*because, frax), missing=asked)
    if weight is not None and age is not None:
        score = int((weight.number - age.number) / divisor.number)
        if ost_limit.met(score):
            asked = () if present.yes else unknown
            return Advice(answer="test", rests_on=rows, because=(*because, weight), missing=asked)
    # A FRAX result that may have been run with density is none of the tools named.
    tools = tuple(
        f for f in (frax if with_density.no else None, weight) if f is not None
    )  # fmt: skip
    if tools:
        return Advice(answer="not_covered", rests_on=rows, because=(*because, *tools))
    if present.yes:
        return Advice(
            answer="assess_risk",
            rests_on=rows,
            because=(*because, *present.because),
            missing=("person.weight", "bone.frax_major"),
        )
    tool = "bone.frax_major" if frax is None else "bone.frax_with_bmd"
    return Advice(
        answer="unknown", rests_on=rows, because=because,
        missing=("person.weight", tool, *unknown),
    )  # fmt: skip


_USPSTF_READS = (
    "person.sex", "person.age", "person.postmenopausal", "fracture.low_trauma",
    "condition.osteoporosis", "bone.frax_major", "bone.frax_with_bmd", "person.weight",
)  # fmt: skip


@rule("bone.testing.uspstf_2018", reads=_USPSTF_READS)
def uspstf_2018(patient: Patient, evidence: Evidence) -> Finding:
    """Whether the US Preventive Services Task Force of 2018 advises screening.

    Source      USPSTF 2018 (bone.test.uspstf*), risk tools as restated in CMS249v6
    Population  adults without known osteoporosis, fragility fracture or secondary cause
    Not for     people with a fragility fracture or secondary osteoporosis
    """
    return _finding("USPSTF 2018", _uspstf(patient, evidence, "2018"))


@rule(
    "bone.testing.uspstf_2025",
    reads=(
        *_USPSTF_READS,
        "person.parent_hip_fracture",
        "person.smoker",
        "condition.alcohol_dependence",
    ),
)
def uspstf_2025(patient: Patient, evidence: Evidence) -> Finding:
    """Whether the US Preventive Services Task Force of 2025 advises screening.

    Source      USPSTF 14 January 2025 (bone.test.uspstf*)
    Population  adults without known osteoporosis, fragility fracture or secondary cause
    Not for     people with a fragility fracture or secondary osteoporosis
    """
    return _finding("USPSTF 2025", _uspstf(patient, evidence, "2025"))


_ISCD_FACTORS = (
    "fracture.any", "fracture.low_trauma", "medicine.glucocorticoid",
    "medicine.hormone_deprivation", "medicine.enzyme_inducing_anticonvulsant",
    "condition.rheumatoid_arthritis", "condition.hyperparathyroidism", "condition.malabsorption",
    "medicine.bone_active",
)  # fmt: skip


@rule("bone.testing.iscd_2023", reads=(*WHO_ASKS, *_ISCD_FACTORS))
def iscd_2023(patient: Patient, evidence: Evidence) -> Finding:
    """Whether the ISCD of 2023 advises bone density testing.

    Source      ISCD official positions 2023 (bone.test.iscd.*)
    Population  adults
    Not for     children
    Differs     advises men from 70 to be tested, which USPSTF leaves open
    """
    child = _child(patient, evidence)
    if child is not None:
        return _finding("ISCD 2023", child)
    limits = {s: evidence.row(f"bone.test.iscd.{n}_from_age") for s, n in _SEXES.items()}
    factors: tuple[Row, ...] = (evidence.row("bone.test.iscd.factors"),)
    prior = evidence.row("bone.test.iscd.prior_fracture")
    group = classified_by_t_score(patient, evidence)
    counts = patient.sex == "male" or group.answer == "yes"
    if counts:
        factors = (*factors, prior)  # any prior fracture counts in men, and after the menopause
    advice = _by_sex(patient, limits, factors)
    fracture, unknown = _factors(patient, prior)
    turns = not counts and group.answer == "unknown" and not fracture.no
    if turns and advice.answer in ("not_covered", "unknown"):
        missing = (*advice.missing, *group.missing, *unknown)
        advice = replace(
            advice,
            answer="unknown",
            rests_on=(*advice.rests_on, prior),
            missing=tuple(dict.fromkeys(missing)),
        )
    return _finding("ISCD 2023", advice)


_SEXES = {"female": "women", "male": "men"}


def _by_sex(patient: Patient, limits: dict[str, Row], factors: tuple[Row, ...]) -> Advice:
    """As `_by_age_or_factor`, with an age for each sex."""
    if patient.sex in limits:
        return _by_age_or_factor(patient, limits[patient.sex], factors)
    # Without the sex, only an age that both limits accept answers.
    later = max(limits.values(), key=lambda row: row.number)
    advice = _by_age_or_factor(patient, later, factors)
    if advice.answer == "not_covered":
        return replace(advice, answer="unknown", missing=("person.sex",))
    if advice.answer == "unknown":
        return replace(advice, missing=("person.sex", *advice.missing))
    return advice


_SARDAR_UNREAD = (
    "person.smoker", "condition.diabetes", "condition.inflammatory_arthritis",
    "condition.chronic_kidney_disease_3_or_worse", "condition.vitamin_d_deficiency",
    "condition.malabsorption", "medicine.hormone_deprivation", "condition.alcohol_dependence",
)  # fmt: skip


@rule(
    "bone.testing.sardar_2022",
    reads=("person.age", "medicine.glucocorticoid", "fracture.low_trauma",
           "person.limited_mobility", "intent.procedure", "intent.elective", *_SARDAR_UNREAD),
)  # fmt: skip
def sardar_2022(patient: Patient, evidence: Evidence) -> Finding:
    """Whether the best-practice guideline for spinal reconstruction asks for an evaluation.

    Source      Sardar 2022 and its author's summary (bone.test.sardar.*)
    Population  adults before elective spinal reconstruction
    Not for     emergencies; eight further factors of the paper could not be read
    """
    instrumented, elective = patient.intent.is_instrumented, patient.has("intent.elective")
    limit, factors = (
        evidence.row("bone.test.sardar.from_age"),
        evidence.row("bone.test.sardar.factors"),
    )
    if instrumented.no or elective.no:
        because = (*(instrumented.because if instrumented.no else ()), *elective.because)
        return _finding(
            "Sardar 2022",
            Advice(answer="not_applicable", rests_on=(limit, factors), because=because),
        )
    advice = _child(patient, evidence) or _by_age_or_factor(
        patient, limit, (factors,), younger_from=evidence.row("bone.test.sardar.younger_from_age")
    )
    if instrumented.unknown and advice.answer != "not_applicable":
        advice = replace(
            advice, answer="unknown", missing=("intent.procedure", *advice.missing)
        )  # fmt: skip
    if elective.unknown and advice.answer != "not_applicable":
        advice = replace(advice, missing=(*advice.missing, "intent.elective"))
    unread = evidence.row("bone.test.sardar.unread_factors")
    there, _ = _factors(patient, unread)
    if there.yes and advice.answer in ("not_covered", "unknown"):
        names = ", ".join(dict.fromkeys(concept(f.what).name for f in there.because))
        perhaps = Position(
            holder="Sardar 2022",
            says=f"eight further factors could not be read; perhaps among them: {names}",
            rests_on=(unread,),
        )
        advice = replace(advice, positions=(perhaps,))
    return _finding("Sardar 2022", advice)


@rule("bone.testing.aoa_2019", reads=("person.age",))
def aoa_2019(patient: Patient, evidence: Evidence) -> Finding:
    """Whether the American Orthopaedic Association of 2019 asks for a risk assessment.

    Source      AOA, Beyond Own the Bone (bone.test.aoa.from_age)
    Population  adults before elective orthopaedic surgery
    Not for     people under 50
    """
    limit = evidence.row("bone.test.aoa.from_age")
    age = patient.age
    if age is None:
        advice = Advice(answer="unknown", rests_on=(limit,), missing=("person.age",))
    else:
        answer = "assess_risk" if limit.met(age.number) else "not_covered"
        advice = Advice(answer=answer, rests_on=(limit,), because=(age,))
    return _finding("AOA 2019", advice)


@rule(
    "bone.testing.jbjs_reviews_2023",
    reads=("person.sex", "person.age", "fracture.low_trauma", *T_SCORES),
)
def jbjs_reviews_2023(patient: Patient, evidence: Evidence) -> Finding:
    """Whether JBJS Reviews of 2023 asks for a DXA, if there was none in two years.

    Source      JBJS Reviews 2023 (bone.test.jbjs.*)
    Population  adult orthopaedic patients
    Not for     people with a DXA in the last two years; its risk factors could not be read
    """
    recent = recent_density(patient, evidence)
    fracture = evidence.row("bone.test.jbjs.fracture")
    advice = _child(patient, evidence)
    if advice is None and recent:
        advice = Advice(answer="recent", rests_on=(fracture,), because=recent)
    if advice is None:
        limits = {s: evidence.row(f"bone.test.jbjs.{n}_from_age") for s, n in _SEXES.items()}
        advice = _by_sex(patient, limits, (fracture,))
    if advice.answer == "test":  # a DXA of which nothing is known here would change it
        missing = ("bone.t_score.total_hip", "bone.t_score.femoral_neck")
        advice = replace(advice, missing=(*advice.missing, *missing))
    return _finding("JBJS Reviews 2023", advice)


def recent_density(patient: Patient, evidence: Evidence) -> tuple[Fact, ...]:
    """The T-scores that are recent enough to answer the question of testing."""
    days = int(evidence.row("bone.dxa.valid_days").number)
    return tuple(f for what in T_SCORES for f in patient.facts(what, within_days=days))


@rule(
    "bone.order_dxa",
    reads=tuple(
        dict.fromkeys(
            (*_USPSTF_READS, *_ISCD_FACTORS, *T_SCORES, "bone.t_score.site_unknown",
             "person.parent_hip_fracture", "person.smoker", "condition.alcohol_dependence",
             "person.limited_mobility", *_SARDAR_UNREAD, "intent.procedure", "intent.elective",
             *REGIONS, "bone.trabecular_bone_score", "mr.vertebral_bone_quality",
             "bone.quantitative_ct_density")
        )
    ),
    headline=3,
)  # fmt: skip
def order_dxa(patient: Patient, evidence: Evidence) -> Recommendation | Finding | None:
    """Order a three-site DXA where there is no recent one and a guideline or an image asks for it.

    Source      bone.test.*, bone.hounsfield.likely, bone.tbs.*, bone.vbq.possible
    Population  adults before spine surgery
    Not for     people with a DXA of hip or radius in the last two years
    Differs     USPSTF leaves men open where ISCD tests them from 70; each answer is shown
    """
    recent = recent_density(patient, evidence)
    if any(f.what == f"bone.t_score.{site}" for f in recent for site in HIP_AND_RADIUS):
        return None
    answers = _answers(patient, evidence)
    followed = _followed(answers, evidence)
    asking = {name: a.because for name, a in followed.items() if a.category == "test"}
    signs = _signs_on_images(patient, evidence)
    rows = (
        evidence.row("bone.dxa.three_sites_for_spine_surgery"),
        evidence.row("bone.dxa.radius"),
        evidence.row("bone.dxa.valid_days"),
        *(r for _, rs, _ in signs for r in rs),
    )
    lacking = "There is no DXA of the last two years"
    unplaced = patient.latest("bone.t_score.site_unknown")
    if recent:
        lacking = "The DXA of the last two years has neither hip nor radius"
    elif unplaced is not None:
        lacking = "There is no DXA of the last two years whose site is known"
    if not asking and not signs:
        open_ones = [a for a in followed.values() if a.status is Status.UNKNOWN]
        undecided = tuple(dict.fromkeys(what for a in open_ones for what in a.missing))
        if not undecided:
            return None
        return Finding(
            says=f"{lacking}; whether one is called for cannot be said yet.",
            status=Status.UNKNOWN,
            missing=undecided,
            rests_on=rows,
            positions=_positions(answers, evidence),
            stage=Stage.NOW,
        )
    reasons = [*asking, *(name for name, _, _ in signs)]
    because = (*(f for fs in asking.values() for f in fs), *(f for _, _, fs in signs for f in fs))
    return Recommendation(
        says=f"{lacking}, and it is called for by {_listed(reasons)}.",
        action="Order a DXA of hip (total and neck), L1-L4 and distal third of the radius.",
        who="surgeon or general practitioner",
        category="order",
        because=tuple(dict.fromkeys((*because, *recent))),
        missing=("bone.t_score.total_hip", "bone.t_score.femoral_neck"),
        rests_on=rows,
        positions=_positions(answers, evidence),
        alternatives=("Hip and radius only, where the lumbar spine cannot be interpreted.",),
        would_change=("A DXA of the last two years from elsewhere.",),
        stage=Stage.NOW,
        urgency=Urgency.SOON if patient.intent.is_instrumented.yes else Urgency.ROUTINE,
    )


# AOA asks for an assessment of risk first, and so does not itself call for a DXA.
_ASKING = {
    "USPSTF 2018": uspstf_2018,
    "USPSTF 2025": uspstf_2025,
    "ISCD 2023": iscd_2023,
    "Sardar 2022": sardar_2022,
    "JBJS Reviews 2023": jbjs_reviews_2023,
}


def _answers(patient: Patient, evidence: Evidence) -> dict[str, Finding]:
    """The answer of each guideline that can ask for a DXA."""
    return {name: guideline.one(patient, evidence) for name, guideline in _ASKING.items()}


def _followed(answers: dict[str, Finding], evidence: Evidence) -> dict[str, Finding]:
    """The answers that lead to an order: by choice those of any guideline, or of one."""
    use = evidence.choice("bone.testing_guideline").use
    return {name: answer for name, answer in answers.items() if use in ("any", name)}


def _positions(answers: dict[str, Finding], evidence: Evidence) -> tuple[Position, ...]:
    """Each guideline's answer beside the others, where not all of them are the same."""
    if len({answer.category for answer in answers.values()}) == 1:
        return ()
    followed = _followed(answers, evidence)
    alone = len(followed) == 1
    return tuple(
        Position(
            holder=name,
            says=answer.says.removeprefix(f"{name}: "),
            rests_on=answer.rests_on,
            default=alone and name in followed,
        )
        for name, answer in answers.items()
    )


def _signs_on_images(
    patient: Patient, evidence: Evidence
) -> list[tuple[str, tuple[Row, ...], tuple[Fact, ...]]]:
    """What on CT, DXA texture or MR points to poor bone: its name, its rows, its facts."""
    found: list[tuple[str, tuple[Row, ...], tuple[Fact, ...]]] = []
    if _child(patient, evidence) is not None:
        return found
    attenuation, limit = screening_attenuation(patient), evidence.row("bone.hounsfield.likely")
    if attenuation is not None and attenuation_meets(attenuation, limit, evidence).yes:
        found.append((f"attenuation below {limit.number:g} HU", (limit,), (attenuation,)))
    texture = trabecular_category(patient, evidence)
    if texture is not None and texture[0] == "degraded":
        found.append(("a degraded trabecular bone score", (texture[2],), (texture[1],)))
    score = patient.latest("mr.vertebral_bone_quality")
    fits = score is not None and sequence_fits(score, evidence)[0] != "no"
    if score is not None and fits and score_band(score.number, evidence) == "possible":
        row = evidence.row("bone.vbq.possible")
        found.append(("the vertebral bone quality score", (row,), (score,)))
    density = patient.latest("bone.quantitative_ct_density")
    low = evidence.row("bone.quantitative_ct.osteoporosis")
    if density is not None and low.met(density.number):
        found.append(("quantitative CT", (low,), (density,)))
    return found


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]
