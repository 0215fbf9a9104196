"""Fracture risk beside density: trabecular bone score, FRAX results, and simple tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from endplate.bone.densitometry import (
    HIP,
    SPINE_ASKS,
    WHO_ASKS,
    classified_by_t_score,
    lowest_t_score,
    spine_hip_discordance,
    spine_is_usable,
    spine_vertebrae,
    t_score,
)
from endplate.evidence import Evidence, Row
from endplate.facts import Fact
from endplate.findings import Finding, PartValue, Position, Stage, Status, Urgency
from endplate.record import Known, Patient
from endplate.rules import rule

_OSTEOPENIA_SITES = ("femoral_neck", "total_hip", "femur", "lumbar_spine")
_TBS_IN_WORDS = {
    "degraded": "degraded microarchitecture",
    "partially_degraded": "partially degraded microarchitecture",
    "normal": "normal microarchitecture",
}


def trabecular_category(patient: Patient, evidence: Evidence) -> tuple[str, Fact, Row, Row] | None:
    """The category of the newest trabecular bone score by the chosen scheme, with its rows."""
    score = patient.latest("bone.trabecular_bone_score")
    if score is None:
        return None
    scheme = evidence.choice("bone.trabecular_bone_score_scheme").use
    category, degraded, normal = _by_scheme(score.number, scheme, evidence)
    return category, score, degraded, normal


def texture_is_valid(patient: Patient, evidence: Evidence) -> bool:
    """Whether the body mass index does not speak against a trabecular bone score."""
    body_mass_index = patient.latest("person.body_mass_index")
    low, high = (evidence.row(f"bone.tbs.body_mass_index_{end}") for end in ("from", "to"))
    return body_mass_index is None or (
        low.met(body_mass_index.number) and high.met(body_mass_index.number)
    )


def _by_scheme(score: float, scheme: str, evidence: Evidence) -> tuple[str, Row, Row]:
    degraded = evidence.row(f"bone.tbs.{scheme}.degraded")
    normal = evidence.row(f"bone.tbs.{scheme}.normal")
    if degraded.met(score):
        return "degraded", degraded, normal
    return ("normal" if normal.met(score) else "partially_degraded"), degraded, normal


def _by_every_scheme(score: float, evidence: Evidence) -> tuple[Position, ...]:
    """What each scheme and the review call a score, the one chosen marked."""
    choice = evidence.choice("bone.trabecular_bone_score_scheme")
    found = []
    for scheme, holder in (("mccloskey2016", "McCloskey 2016"), ("original", "original scheme")):
        category, *rows = _by_scheme(score, scheme, evidence)
        says = _TBS_IN_WORDS[category]
        found.append(
            Position(holder=holder, says=says, rests_on=tuple(rows), default=choice.use == scheme)
        )
    review = evidence.row("bone.tbs.review.degraded")
    says = _TBS_IN_WORDS["degraded"] if review.met(score) else "not degraded"
    found.append(Position(holder="Patel 2024", says=says, rests_on=(review,)))
    return tuple(found)


@rule(
    "bone.trabecular_bone_score",
    reads=(
        "bone.trabecular_bone_score",
        "person.body_mass_index",
        *(f"bone.t_score.{site}" for site in _OSTEOPENIA_SITES),
    ),
)
def trabecular_bone_score(patient: Patient, evidence: Evidence) -> Finding:
    """The category of a given trabecular bone score; the score itself is never computed here.

    Source      McCloskey 2016 or the original scheme, by choice (bone.tbs.*)
    Population  adults with a lumbar DXA
    Not for     deciding on treatment alone; a body mass index outside 15 to 37 kg/m²
    Differs     patel2024 counts below 1.23 as degraded, the chosen scheme 1.23 and below
    """
    use = evidence.row("bone.tbs.use")
    found = trabecular_category(patient, evidence)
    if found is None:
        return Finding(
            says="The trabecular bone score is unknown.",
            status=Status.UNKNOWN,
            missing=("bone.trabecular_bone_score",),
            rests_on=(use,),
        )
    category, score, *rows = found
    positions = _by_every_scheme(score.number, evidence)
    low = evidence.row("bone.tbs.body_mass_index_from")
    high = evidence.row("bone.tbs.body_mass_index_to")
    body_mass_index = patient.latest("person.body_mass_index")
    outside = not texture_is_valid(patient, evidence)
    says = f"Trabecular bone score {score.number:.3f}: {_TBS_IN_WORDS[category]}"
    if outside:
        says += ", but the body mass index lies outside the range for which it is valid"
    return Finding(
        says=says + ".",
        value=score.number,
        unit="1",
        category=category,
        parts={
            "valid_for_body_mass_index": None if body_mass_index is None else not outside,
            "t_score_near_a_threshold": _near_a_threshold(patient, evidence),
        },
        because=(score, *((body_mass_index,) if body_mass_index else ())),
        missing=() if body_mass_index else ("person.body_mass_index",),
        rests_on=(*rows, use, low, high),
        positions=positions if _disagree(positions) else (),
        stage=Stage.NOW if category == "degraded" else Stage.BACKGROUND,
        urgency=Urgency.ROUTINE if category == "degraded" else Urgency.INFORMATION,
    )


def _disagree(positions: tuple[Position, ...]) -> bool:
    """Whether sources differ; the review has one cut-off, and so only says degraded or not."""
    *schemes, review = (p.says for p in positions)
    degraded = _TBS_IN_WORDS["degraded"]
    return len(set(schemes)) > 1 or (review == degraded) != (schemes[0] == degraded)


# -- FRAX: a given result is read, adjusted by published arithmetic, and held to thresholds --------

_FRAX = {"major": "bone.frax_major", "hip": "bone.frax_hip"}
_OUTCOME = {"major": "major osteoporotic fracture", "hip": "hip fracture"}


def frax_reaches_threshold(patient: Patient, evidence: Evidence) -> Known:
    """Whether a given FRAX probability reaches a treatment threshold.

    No needs both probabilities: one of two below its threshold leaves the answer unknown.
    """
    given = {o: patient.latest(what) for o, what in _FRAX.items()}
    facts = tuple(f for f in given.values() if f is not None)
    for outcome, fact in given.items():
        if fact and evidence.row(f"bone.frax.{outcome}_threshold").met(fact.number):
            return Known("yes", (fact,))
    return Known("no", facts) if len(facts) == len(given) else Known("unknown", facts)


@rule(
    "bone.frax_threshold",
    reads=(*_FRAX.values(), *WHO_ASKS, "person.recurrent_falls"),
)
def frax_threshold(patient: Patient, evidence: Evidence) -> Finding:
    """Whether the given FRAX result reaches a treatment threshold.

    Source      NBHA 2014 (bone.frax.major_threshold, bone.frax.hip_threshold)
    Population  United States; postmenopausal women, men from 50 years
    Not for     countries with age-dependent thresholds; computing FRAX, which is not published
    Differs     the sentence of patel2024 on the thresholds is garbled
    """
    rows = (
        evidence.row("bone.frax.major_threshold"),
        evidence.row("bone.frax.hip_threshold"),
        evidence.row("bone.frax.review_sentence"),
        evidence.row("bone.frax.blank_is_no"),
    )
    given = {o: f for o, what in _FRAX.items() if (f := patient.latest(what)) is not None}
    missing = tuple(what for o, what in _FRAX.items() if o not in given)
    if not given:
        return Finding(
            says="The FRAX result is unknown; it cannot be computed here.",
            status=Status.UNKNOWN,
            missing=missing,
            rests_on=rows,
        )
    reached = frax_reaches_threshold(patient, evidence)
    group = classified_by_t_score(patient, evidence)
    verdict = {
        "yes": "reaches a treatment threshold",
        "no": "stays below the treatment thresholds",
        "unknown": "the one probability that is known stays below its threshold",
    }[reached.answer]
    status = Status.ANSWERED
    if group.answer == "no":
        status, verdict = Status.NOT_APPLICABLE, "the thresholds do not apply to this person"
    elif group.answer == "unknown" or reached.unknown:
        status = Status.UNKNOWN
    answered = status is Status.ANSWERED
    numbers = ", ".join(f"{_OUTCOME[o]} {f.number:.1f} %" for o, f in given.items())
    falls = patient.has("person.recurrent_falls")
    if falls.yes:
        verdict += "; recurrent falls raise the risk, and FRAX does not count them"
    falls_row = (evidence.row("bone.frax.falls"),) if falls.yes else ()
    ages = evidence.row("bone.frax.age_from"), evidence.row("bone.frax.age_to")
    outside = patient.age is not None and not all(row.met(patient.age.number) for row in ages)
    if outside:
        verdict += f"; FRAX is made for ages from {ages[0].number:g} to {ages[1].number:g}"
    return Finding(
        says=f"FRAX ({numbers} in 10 years): {verdict}.",
        status=status,
        category={"yes": "reached", "no": "below"}[reached.answer] if answered else None,
        because=(*given.values(), *group.because, *(falls.because if falls.yes else ())),
        assumed=group.assumed,
        missing=(*missing, *group.missing) if status is not Status.NOT_APPLICABLE else (),
        rests_on=(*rows, *falls_row, *(ages if outside else ()), *group.rests_on),
        stage=Stage.NOW if answered and reached.yes else Stage.BACKGROUND,
        urgency=Urgency.SOON if answered and reached.yes else Urgency.INFORMATION,
    )


@rule(
    "bone.frax_glucocorticoid",
    reads=(*_FRAX.values(), "bone.frax_glucocorticoids_entered",
           "person.glucocorticoid_daily_dose", "medicine.glucocorticoid", *WHO_ASKS),
    scores="frax_glucocorticoid",
    needs=("bone.frax_glucocorticoids_entered", "person.glucocorticoid_daily_dose"),
)  # fmt: skip
def frax_glucocorticoid(patient: Patient, evidence: Evidence) -> Finding | None:
    """FRAX adjusted for the glucocorticoid dose, which FRAX itself takes as medium.

    Source      Kanis 2011, all ages (bone.frax.glucocorticoid.*)
    Population  people whose FRAX was run with glucocorticoids = yes
    Not for     a FRAX run with glucocorticoids = no
    Differs     a dose of exactly 7.5 mg is medium (abstract), high in the reproduced table
    """
    dose = patient.latest("person.glucocorticoid_daily_dose")
    entered = patient.has("bone.frax_glucocorticoids_entered")
    taken = patient.has("medicine.glucocorticoid")
    if dose is None and not entered.yes and not taken.yes:
        return None
    if dose is not None and dose.number == 0:
        return None
    low = evidence.row("bone.frax.glucocorticoid.low_dose")
    high = evidence.row("bone.frax.glucocorticoid.high_dose")
    changes = evidence.row("bone.frax.glucocorticoid.change")
    rows = (low, high, changes)
    given = {o: f for o, what in _FRAX.items() if (f := patient.latest(what)) is not None}
    missing = [] if dose else ["person.glucocorticoid_daily_dose"]
    missing += [] if not entered.unknown else ["bone.frax_glucocorticoids_entered"]
    missing += [] if given else list(_FRAX.values())
    because = (*given.values(), *((dose,) if dose else ()), *entered.because, *taken.because)
    if entered.no:
        return Finding(
            says="FRAX was run without glucocorticoids and cannot be adjusted for their dose; "
            "run it again with glucocorticoids = yes.",
            status=Status.NOT_APPLICABLE,
            because=because,
            rests_on=rows,
        )
    if missing or dose is None:
        return Finding(
            says="FRAX cannot be adjusted for the glucocorticoid dose yet.",
            status=Status.UNKNOWN,
            because=because,
            missing=tuple(missing),
            rests_on=rows,
        )
    band = "medium"
    if low.met(dose.number):
        band = "low"
    elif high.met(dose.number):
        band = "high"
    change = {
        str(line["outcome"]): float(line["all"]) for line in changes.table if line["dose"] == band
    }
    adjusted = {o: _adjusted(f.number, change[o]) for o, f in given.items()}
    numbers = ", ".join(
        f"{_OUTCOME[o]} {given[o].number:.1f} % becomes {v:.1f} %" for o, v in adjusted.items()
    )
    main = "major" if "major" in adjusted else "hip"
    group = classified_by_t_score(patient, evidence)
    reached = group.answer != "no" and any(  # the thresholds are for the same people
        evidence.row(f"bone.frax.{o}_threshold").met(v) for o, v in adjusted.items()
    )
    return Finding(
        says=f"FRAX adjusted for a {band} glucocorticoid dose: {numbers}"
        f"{'; that reaches a treatment threshold' if reached else ''}.",
        value=adjusted[main],
        unit="%",
        category=band,
        parts={**adjusted, "reaches_threshold": reached},
        because=because,
        missing=tuple(_FRAX[o] for o in _FRAX if o not in given),
        rests_on=rows,
        stage=Stage.NOW,
        urgency=Urgency.SOON if reached else Urgency.ROUTINE,
    )


def _adjusted(probability: float, percent: float) -> float:
    """A probability in %, raised or lowered by a part of itself; it stays a probability."""
    return round(min(max(probability * (1 + percent / 100), 0.0), 100.0), 1)


@rule(
    "bone.frax_lumbar_spine",
    reads=("bone.frax_major", "bone.t_score.lumbar_spine",
           *(f"bone.t_score.{s}" for s in HIP), *SPINE_ASKS),
    scores="frax_lumbar_spine",
    needs=("bone.frax_major", "bone.t_score.lumbar_spine", "bone.t_score.femoral_neck"),
)  # fmt: skip
def frax_lumbar_spine(patient: Patient, evidence: Evidence) -> Finding | None:
    """The major-fracture probability adjusted for a spine T-score that differs from the neck's.

    Source      Leslie 2011 (bone.frax.lumbar_offset): one tenth per rounded T-score; not
                lowered for a spine raised by degeneration (bone.dxa.spine_above_hip)
    Population  women and men from 50 years, Manitoba
    Not for     the hip probability; a spine T-score raised by degenerative change
    """
    major = patient.latest("bone.frax_major")
    spine, neck = t_score(patient, "lumbar_spine"), t_score(patient, "femoral_neck")
    if spine is None or (major is None and neck is None) or not spine_is_usable(patient, evidence):
        return None
    offset = evidence.row("bone.frax.lumbar_offset")
    given = tuple(f for f in (major, spine, neck) if f is not None)
    if major is None or neck is None:
        return Finding(
            says="FRAX cannot be adjusted for the lumbar spine yet.",
            status=Status.UNKNOWN,
            because=given,
            missing=tuple(
                w for w, f in (("bone.frax_major", major), ("bone.t_score.femoral_neck", neck))
                if f is None
            ),
            rests_on=(offset,),
        )  # fmt: skip
    steps = _rounded_half_away(neck.number - spine.number)
    raised = any(f.category == "discordant" for f in spine_hip_discordance(patient, evidence))
    anew = spine_vertebrae.one(patient, evidence).category == "re_analyse"
    if steps < 0 and (raised or anew):
        return Finding(
            says="FRAX is not lowered for the lumbar spine: its T-score lies so far above the "
            "hip's that degenerative change probably raises it."
            if raised
            else "FRAX is not lowered for the lumbar spine: some of its vertebrae have to be left "
            "out, and its T-score may then be lower.",
            status=Status.NOT_APPLICABLE,
            because=given,
            rests_on=(offset, evidence.row("bone.dxa.spine_above_hip")),
        )
    adjusted = _adjusted(major.number, steps * offset.number)
    return Finding(
        says=f"FRAX adjusted for the lumbar spine: major osteoporotic fracture "
        f"{major.number:.1f} % becomes {adjusted:.1f} %.",
        value=adjusted,
        unit="%",
        category="unchanged" if steps == 0 else "raised" if steps > 0 else "lowered",
        parts={"steps": steps},
        because=given,
        rests_on=(offset,),
    )


def _rounded_half_away(number: float) -> int:
    """Rounded to a whole number, halves away from zero (2.5 is 3), as a person rounds."""
    tenths = round(abs(number) * 10 + 1e-9)
    whole = (tenths + 5) // 10
    return whole if number >= 0 else -whole


@rule("bone.frax_type_2_diabetes", reads=("condition.diabetes_type_2", *_FRAX.values()))
def frax_type_2_diabetes(patient: Patient, evidence: Evidence) -> Finding | None:
    """That FRAX underestimates in type 2 diabetes, and what was tried against it.

    Source      Leslie 2018 (bone.frax.type_2_diabetes)
    Population  type 2 diabetes, Manitoba
    Not for     an adjusted number: no method was best throughout
    """
    diabetes = patient.has("condition.diabetes_type_2")
    given = tuple(f for w in _FRAX.values() if (f := patient.latest(w)) is not None)
    if not diabetes.yes or not given:
        return None
    return Finding(
        says="FRAX probably underestimates this person's risk, because of type 2 diabetes.",
        category="underestimates",
        because=(*diabetes.because, *given),
        rests_on=(evidence.row("bone.frax.type_2_diabetes"),),
    )


# -- simple tools ---------------------------------------------------------------------------------


@rule(
    "bone.ost",
    reads=("person.weight", *WHO_ASKS),
    scores="ost",
    needs=("person.weight", "person.age"),
)
def ost(patient: Patient, evidence: Evidence) -> Finding:
    """Osteoporosis self-assessment tool: low weight for age means that testing is considered.

    Source      University of Washington; cut-offs as restated for USPSTF 2018 (bone.ost.*)
    Population  postmenopausal women under 65; men with a cut-off of their own
    Not for     a diagnosis; people already diagnosed; premenopausal women, children
    """
    divisor = evidence.row("bone.ost.divisor")
    weight, age = patient.latest("person.weight"), patient.age
    group = classified_by_t_score(patient, evidence)
    child = age is not None and not evidence.row("bone.t_score.adult_from_age").met(age.number)
    if group.answer == "no" and (child or patient.sex == "female"):
        return Finding(
            says="The osteoporosis self-assessment tool is for postmenopausal women and for men.",
            status=Status.NOT_APPLICABLE,
            because=group.because,
            rests_on=(divisor,),
        )
    limit = {"female": "bone.ost.women", "male": "bone.ost.men"}.get(patient.sex or "")
    asked = (("person.weight", weight), ("person.age", age), ("person.sex", limit))
    missing = tuple(what for what, known in asked if known is None)
    if weight is None or age is None:
        return Finding(
            says="The osteoporosis self-assessment tool cannot be scored yet.",
            status=Status.UNKNOWN,
            missing=missing,
            rests_on=(divisor,),
        )
    score = int((weight.number - age.number) / divisor.number)  # int() cuts off towards zero
    if limit is None:
        return Finding(
            says=f"Osteoporosis self-assessment tool {score}; its cut-off depends on the sex.",
            status=Status.UNKNOWN,
            value=float(score),
            unit="1",
            because=(weight, age),
            missing=missing,
            rests_on=(divisor,),
        )
    at_risk = evidence.row(limit).met(score)
    female = patient.sex == "female"
    return Finding(
        says=f"Osteoporosis self-assessment tool {score}: "
        f"{'at increased risk' if at_risk else 'not at increased risk'}.",
        value=float(score),
        unit="1",
        category="increased_risk" if at_risk else "not_increased",
        because=(weight, age),
        assumed=group.assumed if female else (),
        missing=group.missing if female else (),
        rests_on=(divisor, evidence.row(limit)),
    )


_FRACTURE_INDEX_ASKS = (
    "person.age", "person.fracture_after_50", "person.mother_hip_fracture_after_50",
    "person.weight", "person.smoker", "person.needs_arms_to_rise",
)  # fmt: skip


@rule(
    "bone.fracture_index",
    reads=(*_FRACTURE_INDEX_ASKS, "bone.t_score.total_hip", *WHO_ASKS),
    scores="fracture_index",
    needs=(*_FRACTURE_INDEX_ASKS, "person.sex"),
)
def fracture_index(patient: Patient, evidence: Evidence) -> Finding:
    """FRACTURE Index: points for the five-year risk of fracture after the menopause.

    Source      Black 2001 (bone.fracture_index.*); exactly T -2.5 scores 3
    Population  postmenopausal women
    Not for     men, premenopausal women
    """
    rows = evidence.under("bone.fracture_index.")
    group = classified_by_t_score(patient, evidence)
    if patient.sex == "male" or (patient.sex == "female" and group.answer == "no"):
        return Finding(
            says="The FRACTURE Index is for postmenopausal women.",
            status=Status.NOT_APPLICABLE,
            because=group.because,
            rests_on=rows,
        )
    parts, because, missing = _fracture_index_parts(patient, evidence)
    if patient.sex is None:
        missing.append("person.sex")
    missing += [what for what in group.missing if what not in missing]
    hip = t_score(patient, "total_hip")
    known = [v for v in parts.values() if v is not None]
    if missing:
        return Finding(
            says=f"The FRACTURE Index cannot be scored: {_counted(len(missing), 'answer')} "
            f"missing; those known give {_counted(int(sum(known)), 'point')}.",
            status=Status.UNKNOWN,
            parts=parts,
            because=tuple(because),
            missing=tuple(missing),
            rests_on=rows,
        )
    total = sum(known)
    limit = evidence.row(f"bone.fracture_index.act_with{'' if hip else 'out'}_density")
    reached = limit.met(total)
    return Finding(
        says=f"FRACTURE Index {total:g} {'with' if hip else 'without'} density: "
        f"{'at or above' if reached else 'below'} {limit.number:g}, the score at which to "
        f"{limit.says.split(',')[0]}.",
        value=total,
        unit="1",
        category="reached" if reached else "below",
        parts=parts,
        because=tuple(because),
        assumed=group.assumed,
        missing=() if hip else ("bone.t_score.total_hip",),
        rests_on=(*rows, *group.rests_on),
    )


def _fracture_index_parts(
    patient: Patient, evidence: Evidence
) -> tuple[dict[str, float | None], list[Fact], list[str]]:
    """Points by item (None where unknown), the facts behind them, and what is missing."""
    parts: dict[str, float | None] = {}
    because: list[Fact] = []
    missing: list[str] = []
    age, weight = patient.age, patient.latest("person.weight")
    light = evidence.row("bone.fracture_index.low_weight")
    if age is None:
        missing.append("person.age")
    else:
        because.append(age)
    parts["age"] = (
        None if age is None else _points(evidence.row("bone.fracture_index.age").table, age.number)
    )
    for line in evidence.row("bone.fracture_index.items").table:
        item, points = str(line["item"]), float(line["points"])
        if item == "low_weight":
            if weight is None:
                missing.append("person.weight")
                parts[item] = None
            else:
                because.append(weight)
                parts[item] = points if light.met(weight.number) else 0.0
            continue
        answer = patient.has(item)
        because += answer.because
        if answer.unknown:
            missing.append(item)
        parts[item.removeprefix("person.")] = {"yes": points, "no": 0.0}.get(answer.answer)
    hip = t_score(patient, "total_hip")
    if hip is not None:
        because.append(hip)
        parts["total_hip_t_score"] = next(
            float(line["points"])
            for line in evidence.row("bone.fracture_index.t_score").table
            if round(hip.number, 1) >= float(line["from"])
        )
    return parts, because, missing


def _counted(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"


def _points(table: tuple[Mapping[str, Any], ...], value: float) -> float:
    """The points of the last line whose `from` is reached."""
    return float([line["points"] for line in table if value >= line["from"]][-1])


def _near_a_threshold(patient: Patient, evidence: Evidence) -> PartValue:
    """Whether the lowest T-score is osteopenic, where a trabecular bone score helps most."""
    lowest = lowest_t_score(patient, _OSTEOPENIA_SITES)
    if lowest is None:
        return None
    t = lowest[1].number
    osteoporosis = evidence.row("bone.t_score.osteoporosis").met(t)
    return evidence.row("bone.t_score.low_bone_mass").met(t) and not osteoporosis
