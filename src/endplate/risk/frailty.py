"""Frailty: how much a person has in reserve for an operation."""

from __future__ import annotations

from endplate.evidence import Evidence
from endplate.findings import Finding, PartValue, Position, Status
from endplate.record import Patient
from endplate.risk.body import BODY, BODY_MASS_INDEX, body_mass_index, outside
from endplate.risk.points import Item, any_known, band, category_of, listed, named, scored
from endplate.rules import rule

_MFI5 = (
    "function.functional_dependence", "condition.diabetes", "condition.copd_or_pneumonia",
    "condition.recent_heart_failure", "condition.hypertension_on_medication",
)  # fmt: skip


@rule("risk.mfi5", reads=_MFI5, scores="mfi5", needs=_MFI5)
def mfi5(patient: Patient, evidence: Evidence) -> Finding | None:
    """Modified frailty index of five items: their count over five.

    Source      an article that lists the items, bands of Pierce (risk.mfi5.*)
    Population  adults before elective spine surgery
    Not for     children; frailty as seen at the bedside: it counts illnesses
    Differs     others use the count itself: none, one, two or more
    """
    return _index("mFI-5", "risk.mfi5", _MFI5, patient, evidence)


_MFI11 = (
    "function.functional_dependence", "condition.diabetes", "condition.copd_or_pneumonia",
    "condition.heart_failure", "condition.myocardial_infarction_history",
    "condition.cardiac_intervention_or_angina", "condition.hypertension",
    "condition.peripheral_vascular_disease", "condition.impaired_sensorium",
    "condition.tia_or_stroke_without_deficit", "condition.stroke_with_deficit",
)  # fmt: skip


@rule("risk.mfi11", reads=_MFI11, scores="mfi11", needs=_MFI11)
def mfi11(patient: Patient, evidence: Evidence) -> Finding | None:
    """Modified frailty index of eleven items: their count over eleven.

    Source      items and limit not read in a source (risk.mfi11.*)
    Population  adults operated on the spine
    Not for     children; frailty as seen at the bedside: it counts illnesses
    """
    return _index("mFI-11", "risk.mfi11", _MFI11, patient, evidence)


def _index(
    title: str, score: str, asked: tuple[str, ...], patient: Patient, evidence: Evidence
) -> Finding | None:
    """The items that are there over the number of items."""
    if not any_known(patient, asked):
        return None
    items = listed(evidence.row(f"{score}.items"), patient)
    parts: dict[str, PartValue] = {
        "count": None if any(i.missing for i in items) else sum(i.least for i in items)
    }
    return scored(title, score, items, evidence, divisor=float(len(items)), parts=parts)


# -- adult spinal deformity -----------------------------------------------------------------------

_OWN = tuple(
    f"asd_fi.{name}"
    for name in (
        "more_than_3_medical_problems", "bladder_incontinence", "bowel_incontinence",
        "health_deteriorating", "difficulty_climbing_one_flight", "difficulty_driving",
        "difficulty_dressing", "difficulty_getting_in_or_out_of_bed",
        "difficulty_sleeping_6_hours", "difficulty_walking_100_yards",
        "difficulty_light_activity", "downhearted", "tired", "worn_out",
        "general_health_fair_or_poor", "cannot_bathe_unaided", "cannot_cheer_up",
        "cannot_do_normal_work", "cannot_lift_heavy", "cannot_travel_one_hour",
        "cannot_walk_without_device", "loss_of_balance", "not_in_excellent_health",
        "dependent_in_personal_care", "restricted_activity", "restricted_social_life",
        "weakness",
    )
)  # fmt: skip
_ILLNESSES = (
    "condition.anaemia", "condition.malignancy", "condition.cardiac_disease",
    "person.on_disability", "condition.depression", "condition.diabetes",
    "condition.hypertension", "condition.kidney_disease", "condition.liver_disease",
    "condition.lung_disease", "condition.osteoporosis", "condition.peripheral_vascular_disease",
    "condition.thromboembolism_or_stroke", "condition.nervous_system_disorder", "person.smoker",
)  # fmt: skip
_BAND = ("risk.asd_fi.body_mass_index_from", "risk.asd_fi.body_mass_index_to")
_COUNTED = {"without_daggered": "daggered", "all_listed": ""}


@rule("risk.asd_fi", reads=(*_OWN, *_ILLNESSES, *BODY), scores="asd_fi")
def asd_fi(patient: Patient, evidence: Evidence) -> Finding | None:
    """Adult spinal deformity frailty index: items that are there over items answered.

    Source      Miller's items as a page lists them, bands of an abstract (risk.asd_fi.*)
    Population  adults with spinal deformity
    Not for     children; fewer answers than a choice of ours asks for
    Differs     the index has 40 items and the list 43: which are counted is a choice
    """
    if not any_known(patient, (*_OWN, "person.on_disability")):
        return None
    mass = {BODY_MASS_INDEX: outside(body_mass_index(patient), _BAND, evidence)}
    row = evidence.row("risk.asd_fi.items")
    chosen = evidence.choice("risk.asd_fi.items").use
    by_count = {use: listed(row, patient, mass, without=column) for use, column in _COUNTED.items()}
    parts: dict[str, PartValue] = {}
    positions = []
    for use, items in by_count.items():
        index = _of_answered(items, evidence)
        parts[f"index_{use}"] = index
        if index is not None:
            there = band("risk.asd_fi", index, evidence)
            told = f"{index:.3f} over the answered ones of {len(items)} items"
            told += f": {there.says}" if there else ""
            positions.append(
                Position(holder=use.replace("_", " "), says=told, rests_on=(row,),
                         default=use == chosen)
            )  # fmt: skip
    items = by_count[chosen]
    known = [i for i in items if i.points is not None]
    parts |= {
        "items_present": sum(i.least for i in known),
        "items_answered": len(known),
        "items_asked": len(items),
        **{i.name: i.points == 1 if i.points is not None else None for i in items},
    }
    because = tuple(dict.fromkeys(f for i in items for f in i.because))
    missing = tuple(what for i in items for what in i.missing)
    rows = (row, *evidence.under("risk.asd_fi.body_mass_index_"),
            evidence.row("risk.asd_fi.least_answered"), *evidence.under("risk.asd_fi.total."),
            evidence.row("risk.asd_fi.outcome"))  # fmt: skip
    value = _of_answered(items, evidence)
    if value is None:
        low = sum(i.least for i in items) / len(items)
        high = sum(i.most for i in items) / len(items)
        parts |= {"lowest_possible": round(low, 6), "highest_possible": round(high, 6)}
        least = evidence.row("risk.asd_fi.least_answered")
        return Finding(
            says=f"ASD-FI cannot be given: {len(known)} of {len(items)} items are answered, and "
            f"{least.number:g} are asked for. Not known: {named(missing)}.",
            status=Status.UNKNOWN, parts=parts, because=because, missing=missing, rests_on=rows,
        )  # fmt: skip
    found = band("risk.asd_fi", value, evidence)
    return Finding(
        says=f"ASD-FI {value:.3f}, over {len(known)} answered of {len(items)} items"
        f"{f': {found.says}' if found else ''}.",
        value=value,
        unit="1",
        category=category_of(found),
        parts=parts,
        because=because,
        missing=missing,
        rests_on=rows,
        positions=tuple(positions),
    )


def _of_answered(items: list[Item], evidence: Evidence) -> float | None:
    """Items that are there over items answered; None where too few are answered."""
    known = [i.points for i in items if i.points is not None]
    if not evidence.row("risk.asd_fi.least_answered").met(len(known)):
        return None
    return round(sum(known) / len(known), 6)


_CLINICAL = (
    "condition.cardiac_disease", "person.on_disability", "condition.diabetes",
    "condition.hypertension", "condition.osteoporosis", "condition.thromboembolism",
    "asd_fi.bowel_incontinence",
)  # fmt: skip


@rule(
    "risk.asd_fi_clinical",
    reads=(*_CLINICAL, *BODY),
    scores="asd_fi_clinical",
    needs=_CLINICAL,  # the body mass index may be stated, or follow from weight and height
)
def asd_fi_clinical(patient: Patient, evidence: Evidence) -> Finding | None:
    """Clinical form of the adult spinal deformity frailty index: the weights of eight items.

    Source      an abstract (risk.asd_fi_clinical.*, risk.asd_fi.body_mass_index_from,
                risk.asd_fi.body_mass_index_to)
    Population  adults operated on for spinal deformity
    Not for     children
    """
    if not any_known(patient, (*_CLINICAL, *BODY)):
        return None
    mass = {BODY_MASS_INDEX: outside(body_mass_index(patient), _BAND, evidence)}
    items = listed(evidence.row("risk.asd_fi_clinical.items"), patient, mass)
    rows = tuple(evidence.row(name) for name in _BAND)
    return scored("Clinical ASD-FI", "risk.asd_fi_clinical", items, evidence, rows=rows)
