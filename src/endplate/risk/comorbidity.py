"""Other illness: the Charlson index, and the class that an anaesthetist gave."""

from __future__ import annotations

import math

from endplate.evidence import Evidence
from endplate.findings import Finding, PartValue, Status
from endplate.record import Patient
from endplate.risk.points import any_known, by_fact, listed, rows_of, scored
from endplate.rules import rule

_ALONE = (
    "condition.myocardial_infarction_history", "condition.heart_failure",
    "condition.peripheral_vascular_disease", "condition.stroke_or_tia", "condition.dementia",
    "condition.copd", "condition.connective_tissue_disease", "condition.peptic_ulcer",
    "condition.hemiplegia", "condition.kidney_disease_moderate_or_severe",
    "condition.leukaemia", "condition.lymphoma", "condition.aids",
)  # fmt: skip
_PAIRS = (
    "condition.diabetes", "condition.diabetes_with_end_organ_damage",
    "condition.mild_liver_disease", "condition.liver_disease_moderate_or_severe",
    "condition.solid_tumour", "condition.metastatic_solid_tumour",
)  # fmt: skip


@rule(
    "risk.charlson",
    reads=(*_ALONE, *_PAIRS, "person.age"),
    scores="charlson",
    needs=(*_ALONE, "person.age"),  # of a pair the worse one answers for both
)
def charlson(patient: Patient, evidence: Evidence) -> Finding | None:
    """Charlson comorbidity index with the points of age, and the survival of ten years with it.

    Source      three pages that agree (risk.charlson.*)
    Population  adults
    Not for     the risk of one operation; reflux, which is no peptic ulcer
    Differs     of two forms of one illness the worse alone counts; some programs add both
    """
    if not any_known(patient, (*_ALONE, *_PAIRS)):
        return None
    items = listed(evidence.row("risk.charlson.items"), patient)
    age = by_fact("age", "person.age", patient.age, rows_of("risk.charlson", "age", evidence))
    every = [*items, age]
    known = not any(i.missing for i in items)
    parts: dict[str, PartValue] = {
        "points_without_age": sum(i.least for i in items) if known else None,
        "ten_year_survival_percent": None,
    }
    if known and age.points is not None:
        parts["ten_year_survival_percent"] = _survival(sum(i.least for i in every), evidence)
    rows = evidence.under("risk.charlson.survival.")
    return scored(
        "Charlson index with age", "risk.charlson", every, evidence, parts=parts, rows=rows
    )


def _survival(points: float, evidence: Evidence) -> float:
    """Of a hundred people with so many points, those alive after ten years."""
    base = evidence.row("risk.charlson.survival.base").number
    factor = evidence.row("risk.charlson.survival.factor").number
    return float(round(100 * base ** math.exp(factor * points), 2))


_CLASS, _EMERGENCY = "person.asa_class", "person.asa_emergency"


@rule("risk.asa", reads=(_CLASS, _EMERGENCY), scores="asa", needs=(_CLASS,))
def asa(patient: Patient, evidence: Evidence) -> Finding | None:
    """ASA class as an anaesthetist gave it; it is taken, and never computed.

    Source      the classification, not read in a source (risk.asa.classes)
    Population  people before an operation
    Not for     being guessed from illnesses: it is a clinician's judgement
    """
    given, emergency = patient.latest(_CLASS), patient.has(_EMERGENCY)
    row = evidence.row("risk.asa.classes")
    if given is None:
        if emergency.unknown:
            return None
        return Finding(
            says="The ASA class is not known; a clinician gives it.",
            status=Status.UNKNOWN, because=emergency.because, missing=(_CLASS,), rests_on=(row,),
        )  # fmt: skip
    place, line = next((n, x) for n, x in enumerate(row.table, 1) if given.value in x["is"])
    name = f"{line['class']}{'E' if emergency.yes else ''}"
    return Finding(
        says=f"ASA class {name}: {line['name']}.",
        value=float(place),
        unit="1",
        category=name,
        parts={"emergency": None if emergency.unknown else emergency.yes},
        because=(given, *emergency.because),
        missing=(_EMERGENCY,) if emergency.unknown else (),
        rests_on=(row,),
    )
