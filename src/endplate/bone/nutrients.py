"""Vitamin D, calcium, and what everybody with poor bone is advised."""

from __future__ import annotations

from datetime import timedelta

from endplate.evidence import Evidence, Row
from endplate.findings import Finding, Position, Recommendation, Stage, Status, Urgency
from endplate.record import Patient
from endplate.rules import rule

_IN_WORDS = {
    "low": "low",
    "insufficient": "below target",
    "on_target": "on target",
    "above_target": "above target",
    "high": "above the safe upper limit",
    "toxic": "in the range in which toxicity is to be expected",
}


def vitamin_d_category(level: float, evidence: Evidence) -> str:
    """The category of a 25-hydroxyvitamin D level in ng/mL."""
    if evidence.row("bone.vitamin_d.low").met(level):
        return "low"
    if not _target_from(evidence).met(level):
        return "insufficient"
    if evidence.chosen("bone.vitamin_d_target").met(level):
        return "on_target"
    for category in ("toxic", "high"):
        if evidence.row(f"bone.vitamin_d.{category}").met(level):
            return category
    return "above_target"


def _target_from(evidence: Evidence) -> Row:
    """The lower end of the target, of the source whose upper end was chosen."""
    chosen = evidence.choice("bone.vitamin_d_target").use
    return evidence.row(chosen.replace(".target_to.", ".target_from."))


@rule(
    "bone.vitamin_d",
    reads=("lab.vitamin_d", "intent.procedure", "intent.date"),
    headline=8,
)
def vitamin_d(patient: Patient, evidence: Evidence) -> Finding | Recommendation:
    """What a 25-hydroxyvitamin D level calls for before spine surgery.

    Source      CNS 2021 (below 20), BHOF 2022 (30 to 50), patel2024 (35 to 60): bone.vitamin_d.*
    Population  adults undergoing spinal instrumentation
    Not for     hypercalcaemia, granulomatous disease, kidney stones: a physician decides there
    Differs     the upper end of the target is a choice; the Endocrine Society names none any more
    """
    level = patient.latest("lab.vitamin_d")
    targets = _target_positions(evidence)
    low = evidence.row("bone.vitamin_d.low")
    if level is None and patient.intent.is_instrumented.no:
        return Finding(
            says="The 25-hydroxyvitamin D level is unknown.",
            status=Status.UNKNOWN,
            missing=("lab.vitamin_d",),
            rests_on=(low,),
            positions=targets,
        )
    if level is None:
        return Recommendation(
            says="The 25-hydroxyvitamin D level is unknown.",
            status=Status.UNKNOWN,
            action="Order 25-hydroxyvitamin D.",
            who="surgeon or general practitioner",
            missing=("lab.vitamin_d",),
            rests_on=(low,),
            positions=targets,
            stage=Stage.NOW,
            urgency=Urgency.ROUTINE,
        )
    category = vitamin_d_category(level.number, evidence)
    rows = [low, _target_from(evidence)]
    rows.append(evidence.chosen("bone.vitamin_d_target"))
    says = f"25-hydroxyvitamin D {level.number:.1f} ng/mL: {_IN_WORDS[category]}."
    if category in ("on_target", "above_target"):
        return Finding(
            says=says,
            value=level.number,
            unit="ng/mL",
            category=category,
            because=(level,),
            rests_on=tuple(rows),
            positions=targets,
        )
    recheck = evidence.row("bone.vitamin_d.recheck_weeks")
    if category == "low":
        repletion = evidence.row("bone.vitamin_d.repletion")
        rows += [repletion, recheck, evidence.row("bone.vitamin_d.fusion")]
        action = "Replete vitamin D and check the level again"
        fused = not patient.intent.is_instrumented.no
        action += " before an elective fusion." if fused else "."
    elif category == "insufficient":
        rows.append(evidence.row("bone.vitamin_d.daily"))
        action = "Supplement vitamin D."
    else:
        rows.append(evidence.row(f"bone.vitamin_d.{category}"))
        action = "Stop vitamin D and check calcium; consider toxicity."
    day = patient.intent.day
    by = None
    if category == "low" and day is not None and day >= patient.on:
        by = max(day - timedelta(weeks=recheck.number), patient.on)
    return Recommendation(
        says=says,
        action=action,
        who="surgeon or general practitioner",
        by=by,
        value=level.number,
        unit="ng/mL",
        category=category,
        because=(level, *patient.intent.because),
        rests_on=tuple(rows),
        positions=targets,
        would_change=("A newer level.",),
        stage=Stage.BEFORE_SURGERY if category in ("low", "insufficient") else Stage.NOW,
        urgency=Urgency.SOON if category in ("low", "high", "toxic") else Urgency.ROUTINE,
    )


def _target_positions(evidence: Evidence) -> tuple[Position, ...]:
    """Each source's target for vitamin D, the one chosen marked."""
    row = evidence.row
    used = evidence.choice("bone.vitamin_d_target").use
    bhof, review = row("bone.vitamin_d.target_to.bhof"), row("bone.vitamin_d.target_to.review")
    from_bhof = row("bone.vitamin_d.target_from.bhof")
    from_review = row("bone.vitamin_d.target_from.review")
    return (
        Position(
            holder="BHOF 2022",
            says=f"{from_bhof.number:g} to {bhof.number:g} ng/mL",
            rests_on=(from_bhof, bhof),
            default=used == bhof.name,
        ),
        Position(
            holder="Patel 2024",
            says=f"{from_review.number:g} to {review.number:g} ng/mL",
            rests_on=(from_review, review),
            default=used == review.name,
        ),
        Position(
            holder="Endocrine Society 2024",
            says="names no target, and does not speak for people with osteoporosis",
            rests_on=(row("bone.vitamin_d.endocrine2024"),),
        ),
    )


@rule("bone.calcium_intake", reads=("person.sex", "person.age"))
def calcium_intake(patient: Patient, evidence: Evidence) -> Finding:
    """The recommended daily intake of calcium for age and sex, from food and supplements.

    Source      IOM 2011 as restated by BHOF 2022 (bone.calcium_intake)
    Population  adults
    Not for     kidney stones, hypercalcaemia, advanced kidney disease
    """
    row = evidence.row("bone.calcium_intake")
    age, sex = patient.age, patient.sex
    asked = (("person.age", age), ("person.sex", sex))
    amounts = {
        str(line["sex"]): float(line["mg"])
        for line in row.table
        if age is not None and age.number >= line["from"]
    }
    amount = amounts.get(sex or "")
    if amount is None and len(amounts) == len(_BOTH) and len(set(amounts.values())) == 1:
        amount = next(iter(amounts.values()))  # the same for both sexes at this age
    if amount is None:
        missing = tuple(what for what, known in asked if known is None)
        return Finding(
            says="The recommended calcium intake depends on age and sex."
            if missing
            else "The recommended calcium intake held here is for adults.",
            status=Status.UNKNOWN if missing else Status.NOT_APPLICABLE,
            because=(age,) if age else (),
            missing=missing,
            rests_on=(row,),
        )
    return Finding(
        says=f"Recommended calcium intake {amount:,.0f} mg a day, from food and supplements.",
        value=amount,
        unit="mg/d",
        because=tuple(f for f in (age, patient.latest("person.sex")) if f is not None),
        rests_on=(row,),
        stage=Stage.WITHOUT_SURGERY,
    )


_BOTH = ("female", "male")


@rule(
    "bone.corrected_calcium",
    reads=("lab.calcium", "lab.albumin"),
    scores="corrected_calcium",
    needs=("lab.calcium", "lab.albumin"),
)
def corrected_calcium(patient: Patient, evidence: Evidence) -> Finding | None:
    """Total calcium corrected for albumin.

    Source      the usual formula (bone.corrected_calcium.*)
    Population  adults
    Not for     chronic kidney disease, where ionised calcium is measured
    """
    calcium, albumin = patient.latest("lab.calcium"), patient.latest("lab.albumin")
    if calcium is None and albumin is None:
        return None
    rows = evidence.under("bone.corrected_calcium.")
    given = tuple(f for f in (calcium, albumin) if f is not None)
    if calcium is None or albumin is None:
        missing = ("lab.calcium",) if calcium is None else ("lab.albumin",)
        return Finding(
            says="Calcium cannot be corrected for albumin yet.",
            status=Status.UNKNOWN,
            because=given,
            missing=missing,
            rests_on=rows,
        )
    per = evidence.row("bone.corrected_calcium.per_albumin").number
    reference = evidence.row("bone.corrected_calcium.albumin").number
    corrected = calcium.number + per * (reference - albumin.number)
    return Finding(
        says=f"Calcium corrected for albumin {corrected:.1f} mg/dL.",
        value=round(corrected, 2),
        unit="mg/dL",
        because=given,
        rests_on=rows,
    )


@rule("bone.lifestyle", reads=("person.age",))
def lifestyle(patient: Patient, evidence: Evidence) -> Recommendation | None:
    """Exercise, no smoking, little alcohol and enough protein, for every adult.

    Source      Epocrates digest, patel2024 (bone.lifestyle)
    Population  adults
    Not for     an unstable spine: loading is decided by the surgeon
    """
    age = patient.age
    if age is not None and not evidence.row("bone.t_score.adult_from_age").met(age.number):
        return None
    return Recommendation(
        says="Exercise, not smoking, little alcohol and enough protein help bone, whatever its "
        "density.",
        action="Advise weight-bearing exercise as tolerated, no smoking, at most two units of "
        "alcohol a day, and enough protein.",
        who="surgeon, general practitioner or physiotherapist",
        rests_on=(evidence.row("bone.lifestyle"),),
        stage=Stage.WITHOUT_SURGERY,
    )
