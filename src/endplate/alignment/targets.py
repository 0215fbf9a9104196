"""What a standing lordosis could be aimed at: by age, by incidence, and by which author."""

from __future__ import annotations

from collections.abc import Mapping

from endplate.alignment.proportion import lordosis_distribution
from endplate.alignment.standing import (
    LOWER_LORDOSIS,
    LUMBAR_LORDOSIS,
    MISMATCH,
    PELVIC_INCIDENCE,
    PELVIC_TILT,
    POSTURE,
    SACRAL_SLOPE,
    Standing,
    contradicted,
    mismatch,
    not_answered,
    of_a_minor,
    off_by,
    standing,
    standing_mismatch,
    told,
)
from endplate.evidence import Evidence, Row, first_met
from endplate.facts import Fact
from endplate.findings import Finding, PartValue, Position, Status
from endplate.posture import Posture
from endplate.record import Patient
from endplate.rules import rule

_LARGEST_KYPHOSIS = "spine.largest_kyphosis"
_AGED = (PELVIC_INCIDENCE, LUMBAR_LORDOSIS, PELVIC_TILT)


@rule(
    "alignment.age_adjusted",
    reads=(*_AGED, MISMATCH, SACRAL_SLOPE, "person.age", POSTURE),
    scores="age_adjusted",
    needs=("person.age",),
)
def age_adjusted(patient: Patient, evidence: Evidence) -> Finding | None:
    """Age-adjusted targets of pelvic tilt and of incidence less lordosis, and how far off one is.

    Source      Lafage 2016, formulas not read in the paper (alignment.age_adjusted.*,
                alignment.adult_from_age, alignment.consistency.incidence)
    Population  773 adults with spinal deformity; targets by the physical health of their age
    Not for     children; sagittal vertical axis and T1 pelvic angle, whose formulas are not
                known well enough; a target of its own beside the other schools
    """
    measured = standing_mismatch(patient, _AGED)
    if measured.nothing and not _was_standing(patient):
        return None
    rows = (*evidence.under("alignment.age_adjusted."), evidence.row("alignment.adult_from_age"))
    age = patient.age
    if age is None:
        return Finding(
            says="Age-adjusted targets cannot be given: the age is not known.",
            status=Status.UNKNOWN,
            because=measured.because,
            missing=("person.age",),
            rests_on=rows,
        )
    refused = of_a_minor("The age-adjusted target of alignment", patient, evidence)
    refused = refused or contradicted(patient, evidence)
    if refused is not None:
        return refused
    tilt = aged("pelvic_tilt", age, evidence)
    target = aged("mismatch", age, evidence)
    parts: dict[str, PartValue] = {
        "target_pelvic_tilt": tilt,
        "target_pelvic_incidence_minus_lumbar_lordosis": target,
        "target_lumbar_lordosis": None,
        "pelvic_tilt_less_target": None,
        "mismatch_less_target": None,
    }
    says = f"Targets at {age.number:g} years: pelvic tilt {tilt:.1f}°, PI-LL {target:.1f}°"
    if measured.has(PELVIC_INCIDENCE):
        lordosis = round(measured.number(PELVIC_INCIDENCE) - target, 6)
        parts["target_lumbar_lordosis"] = lordosis
        says += f", which is a lordosis of {lordosis:.1f}°"
    actual = []
    if measured.has(PELVIC_TILT):
        parts["pelvic_tilt_less_target"] = off = round(measured.number(PELVIC_TILT) - tilt, 6)
        actual.append(f"the tilt is {off_by(off)} it")
    if (now := mismatch(measured)) is not None:
        parts["mismatch_less_target"] = off = round(now - target, 6)
        actual.append(f"PI-LL is {off_by(off)} it")
    says += f"; {' and '.join(actual)}" if actual else ""
    against = not_answered("The comparison", measured, evidence) if measured.refused else None
    return Finding(
        says=f"{says}. The formulas were not read in the paper."
        + (f" {against.says}" if against else ""),
        parts=parts,
        because=(*measured.because, age),
        missing=measured.missing,
        rests_on=(*rows, *(against.rests_on if against else ())),
    )


def aged(what: str, age: Fact, evidence: Evidence) -> float:
    """A target that grows with the age from its value at the age where the line starts."""
    name = f"alignment.age_adjusted.{what}"
    years = age.number - evidence.row("alignment.age_adjusted.from_age").number
    target = years / evidence.row(f"{name}.years").number + evidence.row(f"{name}.start").number
    return round(target, 6)


def _was_standing(patient: Patient) -> bool:
    """Whether somebody was imaged standing: whom else these targets say nothing to."""
    return any(f.value == Posture.STANDING for f in patient.facts(POSTURE))


# -- ideal lordosis by every formula --------------------------------------------------------------


@rule(
    "alignment.ideal_lordosis",
    reads=(PELVIC_INCIDENCE, _LARGEST_KYPHOSIS, "person.age", POSTURE),
    scores="ideal_lordosis",
    needs=(PELVIC_INCIDENCE,),
)
def ideal_lordosis(patient: Patient, evidence: Evidence) -> Finding | None:
    """The lumbar lordosis that each published formula expects of this pelvic incidence.

    Source      every formula stands for itself (alignment.ideal_lordosis.*,
                alignment.gap.ideal.relative_lumbar_lordosis.*)
    Population  stated with each formula; healthy people but for Schwab and GAP
    Not for     one target: the formulas differ by more than the error of measuring
    Differs     in one person they spread by about ten degrees; the default is a choice
    """
    measured = standing(patient, (PELVIC_INCIDENCE, _LARGEST_KYPHOSIS))
    if not measured.has(PELVIC_INCIDENCE):
        return None
    incidence = measured.number(PELVIC_INCIDENCE)
    age = patient.age
    default = evidence.choice("alignment.ideal_lordosis").use
    expected = expected_lordosis(incidence, age, evidence)
    positions = tuple(
        Position(
            holder=HOLDERS[name],
            says=_said(name, value, age, evidence),
            rests_on=rows_of(name, evidence),
            default=name == default,
        )
        for name, value in expected.items()
    )
    parts: dict[str, PartValue] = {
        name: None if value is None else round(value, 6) for name, value in expected.items()
    }
    parts["incidence_classes_pelvic_tilt"] = class_of(incidence, evidence)["pelvic_tilt"]
    lower = lee_class(incidence, evidence)
    parts["lee_lower_lordosis"] = (
        None if lower is None else round(incidence + lower["lower_less_incidence"], 6)
    )
    parts["hyun_lower_lordosis"] = round(
        _line("alignment.ideal_lordosis.lower_hyun", incidence, evidence), 6
    )
    parts["largest_lordosis"] = None
    if measured.has(_LARGEST_KYPHOSIS):
        largest = _largest(incidence, measured, evidence)
        parts["largest_lordosis"] = round(largest, 6)
        row = evidence.under("alignment.ideal_lordosis.largest.")
        said = f"{largest:.1f}° as the largest lordosis of any span"
        positions += (Position(holder="Chinese adults", says=said, rests_on=row),)
    values = [v for v in expected.values() if v is not None]
    return Finding(
        says=f"Expected lumbar lordosis at an incidence of {incidence:.1f}°: from "
        f"{min(values):.1f}° to {max(values):.1f}° by {len(values)} formulas.",
        parts=parts,
        because=(*measured.because, *((age,) if age else ())),
        missing=() if age else ("person.age",),
        rests_on=(
            *evidence.under("alignment.ideal_lordosis.lower_hyun."),
            evidence.row("alignment.ideal_lordosis.weak"),
        ),
        positions=positions,
    )


def expected_lordosis(
    incidence: float, age: Fact | None, evidence: Evidence
) -> dict[str, float | None]:
    """The lordosis L1-S1 by each formula; None where one says nothing of such a person."""
    lee = lee_class(incidence, evidence)
    line = class_of(incidence, evidence)
    return {
        "schwab": incidence,
        **{
            name: _line(f"alignment.ideal_lordosis.{name}", incidence, evidence)
            for name in ("le_huec", "hyun")
        },
        "gap": _line("alignment.gap.ideal.relative_lumbar_lordosis", incidence, evidence),
        "hasegawa": _hasegawa(incidence, age, evidence),
        "incidence_classes": incidence + line["lordosis_less_incidence"],
        "lee": None if lee is None else incidence + lee["lordosis_less_incidence"],
    }


HOLDERS = {
    "schwab": "Schwab 2010",
    "le_huec": "Le Huec 2016",
    "hyun": "Hyun 2019",
    "gap": "Yilgor 2017, for the GAP score only",
    "hasegawa": "Hasegawa 2016",
    "incidence_classes": "theoretical values by class of incidence",
    "lee": "Lee 2013",
}


def _said(name: str, value: float | None, age: Fact | None, evidence: Evidence) -> str:
    """A formula's value, or why it has none, and what to know of it."""
    if value is None:
        return (
            "not given: the age is not known"
            if name == "hasegawa"
            else "not given: no class is printed for this incidence"
        )
    said = f"{value:.1f}°"
    if name == "schwab":
        return f"{said} ± {evidence.row('alignment.ideal_lordosis.schwab').number:g}°"
    if name == "hasegawa" and beyond_hasegawa(age, evidence):
        (ages,) = evidence.row("alignment.ideal_lordosis.hasegawa.ages").table
        return f"{said}, carried beyond its people of {ages['from']} to {ages['to']} years"
    return said


def beyond_hasegawa(age: Fact | None, evidence: Evidence) -> bool:
    """Whether somebody is younger or older than all in whom that formula was found."""
    (ages,) = evidence.row("alignment.ideal_lordosis.hasegawa.ages").table
    return age is not None and not ages["from"] <= age.number <= ages["to"]


def rows_of(name: str, evidence: Evidence) -> tuple[Row, ...]:
    """The evidence of one formula."""
    if name == "gap":
        return evidence.under("alignment.gap.ideal.relative_lumbar_lordosis.")
    return evidence.under(f"alignment.ideal_lordosis.{name}")


def _line(name: str, incidence: float, evidence: Evidence) -> float:
    slope, offset = evidence.row(f"{name}.slope"), evidence.row(f"{name}.offset")
    return slope.number * incidence + offset.number


def _hasegawa(incidence: float, age: Fact | None, evidence: Evidence) -> float | None:
    if age is None:
        return None
    per_year = evidence.row("alignment.ideal_lordosis.hasegawa.per_year").number
    return _line("alignment.ideal_lordosis.hasegawa", incidence, evidence) + per_year * age.number


def class_of(incidence: float, evidence: Evidence) -> Mapping[str, float]:
    """The class of the incidence in whole degrees, as its source prints the classes."""
    whole = round(incidence)
    lines = evidence.row("alignment.ideal_lordosis.incidence_classes").table
    return next(line for line in lines if whole <= line.get("to", whole))


def lee_class(incidence: float, evidence: Evidence) -> Mapping[str, float] | None:
    """The Korean class of the incidence; None between and beyond the printed ones."""
    lines = evidence.row("alignment.ideal_lordosis.lee").table
    return next((line for line in lines if line["from"] <= incidence <= line["to"]), None)


def _largest(incidence: float, measured: Standing, evidence: Evidence) -> float:
    name = "alignment.ideal_lordosis.largest"
    per_kyphosis = evidence.row(f"{name}.per_kyphosis").number
    kyphosis = measured.number(_LARGEST_KYPHOSIS)
    return _line(name, incidence, evidence) + per_kyphosis * kyphosis


# -- where the lordosis lies ----------------------------------------------------------------------


@rule(
    "alignment.lordosis_distribution",
    reads=(LUMBAR_LORDOSIS, LOWER_LORDOSIS, POSTURE),
    scores="ldi",
    needs=(LUMBAR_LORDOSIS, LOWER_LORDOSIS),
)
def distribution(patient: Patient, evidence: Evidence) -> Finding | None:
    """Lordosis distribution index: the part of the lordosis that lies between L4 and S1.

    Source      bands of the GAP score (alignment.gap.lordosis_distribution_index.*,
                alignment.gap.least_lordosis, alignment.distribution.*)
    Population  222 patients operated on for spinal deformity, standing radiographs
    Not for     supine images; a lumbar spine without lordosis
    """
    measured = standing(patient, (LUMBAR_LORDOSIS, LOWER_LORDOSIS))
    if measured.nothing:
        return None
    least = evidence.row("alignment.gap.least_lordosis")
    if measured.missing:
        return not_answered("The lordosis distribution index", measured, evidence, rows=(least,))
    index = lordosis_distribution(measured, evidence)
    if index is None:
        return Finding(
            says=f"The lordosis distribution index cannot be computed: the lumbar lordosis is not "
            f"more than {least.number:g}°.",
            status=Status.NOT_APPLICABLE,
            because=measured.because,
            rests_on=(least,),
        )
    bands = evidence.under("alignment.gap.lordosis_distribution_index.")
    met = first_met(bands, index)
    category = met.last_name if met else "aligned"
    return Finding(
        says=f"Lordosis distribution index {told(index, bands)} %: {category.replace('_', ' ')}.",
        value=index,
        unit="%",
        category=category,
        because=measured.because,
        rests_on=(*bands, least, *evidence.under("alignment.distribution.")),
    )
