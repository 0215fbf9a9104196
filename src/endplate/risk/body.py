"""The body mass index, as stated or from weight and height, and the bands it is shown in."""

from __future__ import annotations

from datetime import date

from endplate.evidence import Evidence, first_met
from endplate.facts import Fact
from endplate.findings import Finding, Status
from endplate.record import UNKNOWN, Known, Patient
from endplate.risk.points import category_of
from endplate.rules import rule

BODY_MASS_INDEX, WEIGHT, HEIGHT = "person.body_mass_index", "person.weight", "person.height"
BODY = (BODY_MASS_INDEX, WEIGHT, HEIGHT)


def body_mass_index(patient: Patient) -> Fact | None:
    """The index that was stated, or that of a weight which is newer than it."""
    stated = patient.latest(BODY_MASS_INDEX)
    weight, height = patient.latest(WEIGHT), patient.latest(HEIGHT)
    if weight is None or height is None:
        return stated
    if stated is not None and (stated.on or date.min) >= (weight.on or date.min):
        return stated
    metres = height.number / 100
    return Fact(
        what=BODY_MASS_INDEX, value=float(weight.number / metres**2), unit="kg/m2", on=weight.on,
        source=weight.source, method="endplate.body_mass_index/1",
    )  # fmt: skip


def outside(fact: Fact | None, rows: tuple[str, str], evidence: Evidence) -> Known:
    """Whether the index meets one of two limits."""
    if fact is None:
        return UNKNOWN
    met = any(evidence.row(name).met(fact.number) for name in rows)
    return Known("yes" if met else "no", (fact,))


def of_a_child(patient: Patient, evidence: Evidence) -> bool:
    """Whether the person is known to be too young for limits of adults."""
    age = patient.age
    return age is not None and not evidence.row("risk.adult_from_age").met(age.number)


def age_asked(patient: Patient) -> tuple[str, ...]:
    """The age, where it is not known and limits of adults are used."""
    return () if patient.age else ("person.age",)


def not_for_children(name: str, patient: Patient, evidence: Evidence) -> Finding:
    """That limits of adults were asked for a child."""
    return Finding(
        says=f"{name}: the limits are for adults.",
        status=Status.NOT_APPLICABLE,
        because=(patient.age,) if patient.age else (),
        rests_on=(evidence.row("risk.adult_from_age"),),
    )


@rule("risk.bmi", reads=(*BODY, "person.age"), scores="bmi")
def bmi(patient: Patient, evidence: Evidence) -> Finding | None:
    """Body mass index, and in which band it lies.

    Source      bands of ours; CNS 2021 calls the evidence conflicting (risk.bmi.*,
                risk.adult_from_age)
    Population  adults before spine surgery
    Not for     refusing an operation by itself; children
    """
    found = body_mass_index(patient)
    if found is None:
        asked = [patient.latest(what) for what in (WEIGHT, HEIGHT)]
        if not any(asked):
            return None
        return Finding(
            says="The body mass index needs both weight and height.",
            status=Status.UNKNOWN,
            because=tuple(f for f in asked if f is not None),
            missing=tuple(w for w, f in zip((WEIGHT, HEIGHT), asked, strict=True) if f is None),
            rests_on=(evidence.row("risk.bmi.conflict"),),
        )
    if of_a_child(patient, evidence):
        return not_for_children("Body mass index", patient, evidence)
    bands = evidence.under("risk.bmi.band.")
    category = category_of(first_met(bands, found.number))
    told = {"underweight": "underweight", None: "between the bands that are shown"}
    named = told.get(category) or "obese"
    says = f"Body mass index {found.number:.1f} kg/m2: {named}."
    if named == "obese":
        says += " Whether it bears on infection and on reoperations is conflicting."
    return Finding(
        says=says,
        value=round(found.number, 2),
        unit="kg/m2",
        category=category or "no_band",
        because=(found,),
        missing=age_asked(patient),
        rests_on=(*bands, evidence.row("risk.bmi.conflict")),
    )
