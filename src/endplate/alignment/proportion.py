"""Global Alignment and Proportion: the standing spine against what its pelvis asks for."""

from __future__ import annotations

from endplate.alignment.standing import (
    LOWER_LORDOSIS,
    LUMBAR_LORDOSIS,
    PELVIC_INCIDENCE,
    PELVIC_TILT,
    POSTURE,
    SACRAL_SLOPE,
    Standing,
    contradicted,
    not_answered,
    of_a_minor,
    standing,
)
from endplate.evidence import Evidence, Row, first_met
from endplate.findings import Finding, PartValue, Status
from endplate.record import Patient
from endplate.rules import rule

GLOBAL_TILT = "spine.global_tilt"
_ANGLES = (PELVIC_INCIDENCE, SACRAL_SLOPE, LUMBAR_LORDOSIS, LOWER_LORDOSIS, GLOBAL_TILT)
# Each component that is a measurement less what the pelvic incidence predicts of it.
_RELATIVE = {
    "relative_pelvic_version": SACRAL_SLOPE,
    "relative_lumbar_lordosis": LUMBAR_LORDOSIS,
    "relative_spinopelvic_alignment": GLOBAL_TILT,
}
_DISTRIBUTION = "lordosis_distribution_index"
_CONTEXT = ("alignment.gap.derivation", "alignment.gap.validation", "alignment.gap.in_health")


def lordosis_distribution(measured: Standing, evidence: Evidence) -> float | None:
    """L4-S1 in percent of L1-S1; None where it cannot be computed, which a flat spine's cannot."""
    if not measured.has(LUMBAR_LORDOSIS, LOWER_LORDOSIS):
        return None
    whole = measured.number(LUMBAR_LORDOSIS)
    if not evidence.row("alignment.gap.least_lordosis").met(whole):
        return None
    return 100 * measured.number(LOWER_LORDOSIS) / whole


@rule(
    "alignment.gap",
    reads=(*_ANGLES, PELVIC_TILT, "person.age", POSTURE),
    scores="gap",
    needs=(*_ANGLES, "person.age"),
)
def gap(patient: Patient, evidence: Evidence) -> Finding | None:
    """Global Alignment and Proportion score: how far the standing spine is from its proportions.

    Source      Yilgor 2017 as three independent public programs compute it (alignment.gap.*,
                alignment.consistency.incidence, alignment.adult_from_age)
    Population  222 patients operated on for spinal deformity, standing radiographs
    Not for     the chance of a complication in one person: other cohorts did not confirm it;
                supine images; children
    Differs     0.54 PI + 27.6 is another formula of ideal lordosis and is not part of this score
    """
    measured = standing(patient, _ANGLES)
    if measured.nothing:
        return None
    refused = of_a_minor("The GAP score", patient, evidence) or contradicted(patient, evidence)
    if refused is not None:
        return refused
    age = patient.age
    parts: dict[str, PartValue] = {}
    points: list[float | None] = []
    rows: list[Row] = [*evidence.under("alignment.gap.ideal.")]
    for component, value in _components(measured, evidence).items():
        parts[component] = None if value is None else round(value, 6)
        points.append(_scored(component, value, parts, rows, evidence))
    points.append(_scored("age", age.number if age else None, parts, rows, evidence))
    no_age = () if age else ("person.age",)
    flat = measured.has(LUMBAR_LORDOSIS, LOWER_LORDOSIS) and parts[_DISTRIBUTION] is None
    if measured.missing or no_age:
        return not_answered(
            "The GAP score", measured, evidence, rows=tuple(rows), parts=parts,
            also_because=(age,) if age else (), also_missing=no_age,
        )  # fmt: skip
    because = (*measured.because, *((age,) if age else ()))
    if flat:
        least = evidence.row("alignment.gap.least_lordosis")
        return Finding(
            says=f"The GAP score cannot be computed: without a lumbar lordosis of more than "
            f"{least.number:g}° there is no lordosis distribution index.",
            status=Status.NOT_APPLICABLE,
            parts=parts,
            because=because,
            rests_on=(*rows, least),
        )
    total = sum(p for p in points if p is not None)
    category = _category(total, evidence)
    return Finding(
        says=f"GAP score {total:g}: {category.replace('_', ' ')}. It describes the shape; "
        f"it does not predict complications reliably.",
        value=float(total),
        unit="1",
        category=category,
        parts=parts,
        because=because,
        rests_on=(
            *rows,
            *evidence.under("alignment.gap.total."),
            *(evidence.row(name) for name in _CONTEXT),
        ),
    )


def _components(measured: Standing, evidence: Evidence) -> dict[str, float | None]:
    """The four angles of the score, each None where something is missing for it."""
    found: dict[str, float | None] = {}
    for component, what in _RELATIVE.items():
        found[component] = None
        if measured.has(PELVIC_INCIDENCE, what):
            slope = evidence.row(f"alignment.gap.ideal.{component}.slope").number
            offset = evidence.row(f"alignment.gap.ideal.{component}.offset").number
            ideal = slope * measured.number(PELVIC_INCIDENCE) + offset
            found[component] = measured.number(what) - ideal
    found[_DISTRIBUTION] = lordosis_distribution(measured, evidence)
    return found


def _scored(
    component: str,
    value: float | None,
    parts: dict[str, PartValue],
    rows: list[Row],
    evidence: Evidence,
) -> float | None:
    """The points of a component; its class and points go into `parts`, its rows into `rows`.

    The rows of a component stand in the order in which they are tried; the first that is met
    gives the class and the points.
    """
    tried = evidence.under(f"alignment.gap.{component}.")
    rows += tried
    if value is None:
        parts[f"{component}_class"] = parts[f"{component}_points"] = None
        return None
    met = first_met(tried, value)
    points = float(met.table[0]["points"]) if met else 0.0
    parts[f"{component}_class"] = met.last_name if met else "aligned"
    parts[f"{component}_points"] = points
    return points


def _category(total: float, evidence: Evidence) -> str:
    met = first_met(evidence.under("alignment.gap.total."), total)
    return met.last_name if met else "proportioned"
