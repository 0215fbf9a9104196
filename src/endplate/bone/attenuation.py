"""Bone on CT: what attenuation (Hounsfield units) says, and when it says nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from endplate.evidence import Evidence, Row
from endplate.facts import Fact
from endplate.findings import Finding, Stage, Status, Urgency
from endplate.levels import Level, Span
from endplate.record import Patient
from endplate.rules import rule

# The protocols whose regions published cut-offs were found with; the whole eroded body is
# another method and is never held against them.
REGIONS = ("ct.hounsfield.three_location", "ct.hounsfield.axial")
L1_TO_L4 = "L1-L4"
IN_WORDS = {
    "very_likely": "osteoporosis very likely",
    "likely": "osteoporosis likely",
    "low_density": "low density likely",
    "indeterminate": "indeterminate",
    "unlikely": "osteoporosis unlikely",
}


def attenuation_at(patient: Patient, level: str) -> Fact | None:
    """The newest attenuation of one level, by a protocol that cut-offs can be held against."""
    for what in REGIONS:
        fact = patient.latest(what, level=level)
        if fact is not None:
            return fact
    return None


def screening_attenuation(patient: Patient) -> Fact | None:
    """The attenuation that screening goes by: L1, or the mean of L1-L4 where L1 is not known.

    A level that is fractured or beside metal is not screened by.
    """
    for level in ("L1", L1_TO_L4):
        fact = attenuation_at(patient, level)
        if fact is not None and fact.details.get("usable") != "no":
            return fact
    return None


def attenuation_is_comparable(fact: Fact, evidence: Evidence) -> str:
    """Whether an attenuation may be held against cut-offs: ``yes``, ``rough``, ``no``, ``unknown``.

    Rough means another tube voltage for which a crude factor exists, or contrast.
    """
    voltage, contrast = fact.details.get("tube_voltage"), fact.details.get("contrast")
    valid = evidence.row("bone.hounsfield.tube_voltage.valid").number
    if isinstance(voltage, float | int) and voltage != valid:
        return "rough" if _voltage_factor(voltage, evidence) is not None else "no"
    if contrast == "yes":
        return "rough"
    if not isinstance(voltage, float | int) or contrast not in ("yes", "no"):
        return "unknown"
    return "yes"


def _voltage_factor(voltage: float, evidence: Evidence) -> Row | None:
    return evidence.rows.get(f"bone.hounsfield.tube_voltage.factor.{voltage:.0f}")


def band_of(hounsfield: float, evidence: Evidence) -> tuple[str, Row]:
    """The screening band of an attenuation, and the row that decides it."""
    for band in ("very_likely", "likely", "low_density"):
        row = evidence.row(f"bone.hounsfield.{band}")
        if row.met(hounsfield):
            return band, row
    row = evidence.row("bone.hounsfield.unlikely")
    return ("unlikely" if row.met(hounsfield) else "indeterminate"), row


@rule("bone.hounsfield", reads=REGIONS)
def hounsfield(patient: Patient, evidence: Evidence) -> Finding:
    """What the attenuation of L1 (or of L1-L4) says about osteoporosis; DXA is still needed.

    Source      Pickhardt 2013, St Jeor 2020, Anderson's review (bone.hounsfield.*)
    Population  adults; non-contrast CT at 120 kV
    Not for     a diagnosis; other tube voltages; contrast without a wider band
    Differs     cut-offs from 73 to 202 HU are published; all that fire are listed
    """
    fact = screening_attenuation(patient)
    if fact is None:
        return Finding(
            says="The attenuation of the lumbar vertebrae is unknown.",
            status=Status.UNKNOWN,
            missing=("ct.hounsfield.three_location",),
            rests_on=(evidence.row("bone.hounsfield.range_in_literature"),),
        )
    comparable = attenuation_is_comparable(fact, evidence)
    if comparable == "no":
        return _at_another_voltage(fact, evidence)
    if fact.details.get("contrast") == "yes":
        return _with_contrast(fact, evidence)
    if comparable == "rough":
        return _at_another_voltage(fact, evidence)
    band, row = band_of(fact.number, evidence)
    missing = tuple(
        name
        for name, known in (
            ("imaging.ct.tube_voltage", isinstance(fact.details.get("tube_voltage"), float | int)),
            ("imaging.ct.contrast", fact.details.get("contrast") in ("yes", "no")),
        )
        if not known
    )
    if fact.level != "L1":
        missing = ("ct.hounsfield.three_location", *missing)
    caveat = (
        "; tube voltage or contrast is unknown, which can shift it"
        if comparable == "unknown"
        else ""
    )
    return Finding(
        says=f"Attenuation {fact.number:.0f} HU at {fact.level}: {IN_WORDS[band]}{caveat}.",
        value=fact.number,
        unit="[hnsf'U]",
        category=band,
        because=(fact,),
        missing=missing,
        rests_on=(row, evidence.row("bone.hounsfield.range_in_literature")),
        stage=_stage(band),
        urgency=Urgency.ROUTINE if band != "unlikely" else Urgency.INFORMATION,
    )


def _stage(band: str) -> Stage:
    return Stage.NOW if band in ("very_likely", "likely", "low_density") else Stage.BACKGROUND


def _at_another_voltage(fact: Fact, evidence: Evidence) -> Finding:
    voltage = float(fact.details["tube_voltage"])
    valid = evidence.row("bone.hounsfield.tube_voltage.valid")
    factor = _voltage_factor(voltage, evidence)
    if factor is None:
        return Finding(
            says=f"Attenuation {fact.number:.0f} HU at {fact.level} was taken at {voltage:.0f} kV "
            f"and cannot be classified.",
            status=Status.NOT_APPLICABLE,
            value=fact.number,
            unit="[hnsf'U]",
            because=(fact,),
            rests_on=(valid, evidence.row("bone.hounsfield.tube_voltage.none_at_80")),
        )
    rough = fact.number * factor.number
    raw_band, row = band_of(fact.number, evidence)
    rough_band, rough_row = band_of(rough, evidence)
    agreed = raw_band == rough_band
    says = (
        f"Attenuation {fact.number:.0f} HU at {fact.level} was taken at {voltage:.0f} kV; at "
        f"{valid.number:.0f} kV it would be roughly {rough:.0f} HU: "
    )
    says += IN_WORDS[raw_band] if agreed else f"{IN_WORDS[raw_band]} or {IN_WORDS[rough_band]}"
    return Finding(
        says=says + ".",
        value=fact.number,
        unit="[hnsf'U]",
        category=raw_band if agreed else "indeterminate",
        parts={"roughly_at_120_kv": round(rough, 1), "band_as_measured": raw_band},
        because=(fact,),
        rests_on=(valid, factor, row, rough_row),
        stage=_stage(raw_band),
        urgency=Urgency.ROUTINE,
    )


def _with_contrast(fact: Fact, evidence: Evidence) -> Finding:
    rise = evidence.row("bone.hounsfield.contrast.venous_rise")
    wide = evidence.row("bone.hounsfield.contrast.widening")
    guard = evidence.row("bone.hounsfield.contrast.guard")
    unlikely = evidence.row("bone.hounsfield.unlikely")
    low, _ = band_of(fact.number - wide.number, evidence)
    high, row = band_of(fact.number + wide.number, evidence)
    if "unlikely" in (low, high) and not unlikely.met(fact.number - guard.number):
        low, high = (b if b != "unlikely" else "indeterminate" for b in (low, high))
    said = IN_WORDS[low] if low == high else f"between {IN_WORDS[low]} and {IN_WORDS[high]}"
    return Finding(
        says=f"Attenuation {fact.number:.0f} HU at {fact.level} was taken with contrast, which "
        f"raises it: {said}.",
        value=fact.number,
        unit="[hnsf'U]",
        category=low if low == high else f"{low}_to_{high}",
        parts={
            "less_the_mean_rise": round(fact.number - rise.number, 1),
            "band_low": low,
            "band_high": high,
        },
        because=(fact,),
        rests_on=(
            row, rise, wide, guard, unlikely, evidence.row("bone.hounsfield.contrast.phases"),
        ),
        stage=_stage(low),
        urgency=Urgency.ROUTINE,
    )  # fmt: skip


@rule("bone.hounsfield_published", reads=REGIONS)
def hounsfield_published(patient: Patient, evidence: Evidence) -> Finding | None:
    """Which published screening cut-offs this attenuation meets, side by side.

    Source      bone.hounsfield.published.*, each with its own population
    Population  as each source says
    Not for     counting: the cut-offs answer different questions
    """
    fact = screening_attenuation(patient)
    if fact is None:
        return None
    rows = evidence.under("bone.hounsfield.published.")
    met = {row.name.rsplit(".", 1)[-1]: row.met(fact.number) for row in rows}
    return Finding(
        says=f"Of {len(rows)} published cut-offs, {fact.number:.0f} HU at {fact.level} meets "
        f"{sum(met.values())}.",
        parts=met,
        because=(fact,),
        rests_on=(*rows, evidence.row("bone.hounsfield.range_in_literature")),
    )


@rule("bone.hounsfield_t_score", reads=REGIONS, scores="hu_t_score")
def hounsfield_t_score(patient: Patient, evidence: Evidence) -> Iterable[Finding]:
    """Attenuation in standard deviations of young women; not a T-score of WHO.

    Source      Hendrickson 2018 (bone.hounsfield.young_*)
    Population  190 women aged 20-30; L1 and L3
    Not for     the WHO categories: on average it reads 1.6 lower than DXA
    """
    for level in ("L1", "L3"):
        fact = attenuation_at(patient, level)
        if fact is None:
            continue
        mean = evidence.row(f"bone.hounsfield.young_mean.{level}")
        sd = evidence.row(f"bone.hounsfield.young_sd.{level}")
        score = (fact.number - mean.number) / sd.number
        yield Finding(
            about=level,
            says=f"Attenuation of {level} lies {abs(score):.1f} standard deviations "
            f"{'below' if score < 0 else 'above'} that of young women (not a WHO T-score).",
            value=round(score, 2),
            unit="1",
            because=(fact,),
            rests_on=(mean, sd),
        )


# -- what poor attenuation was associated with ---------------------------------------------------


@rule(
    "bone.hounsfield_at_implants",
    reads=(*REGIONS, "intent.procedure", "intent.levels"),
)
def hounsfield_at_implants(patient: Patient, evidence: Evidence) -> Iterable[Finding]:
    """The alert tier of each level that would carry an implant, with the studies behind it.

    Source      bone.hounsfield.tier.*, bone.hounsfield.complication.*
    Population  retrospective series, each with its own method
    Not for     this person's probability of a complication
    Differs     cut-offs from 89 to 198 HU are published for similar events
    """
    intent = patient.intent
    if intent.span is None or not intent.is_instrumented.yes:
        return
    for level in _levels_of_interest(patient, intent.span):
        fact = attenuation_at(patient, level)
        if fact is None:
            yield Finding(
                about=level,
                says=f"The attenuation of {level}, a level of the intended operation, is unknown.",
                status=Status.UNKNOWN,
                because=intent.because,
                missing=("ct.hounsfield.three_location",),
                rests_on=(evidence.row("bone.hounsfield.tier.high"),),
                stage=Stage.BEFORE_SURGERY,
            )
            continue
        tier, row = _tier(fact.number, evidence)
        matching = tuple(r for r, _ in _matching(patient, evidence, level, fact))
        yield Finding(
            about=level,
            says=_tier_sentence(level, fact, tier, len(matching)),
            value=fact.number,
            unit="[hnsf'U]",
            category=tier,
            parts={r.name.rsplit(".", 1)[-1]: True for r in matching},
            because=(fact, *intent.because),
            rests_on=(row, *matching),
            limits=("A published association in other people, not this person's probability.",),
            stage=Stage.BEFORE_SURGERY,
            urgency=Urgency.SOON if tier == "high" else Urgency.ROUTINE,
        )


def _levels_of_interest(patient: Patient, span: Span) -> tuple[Level, ...]:
    """The levels that would carry implants, and the one above the uppermost."""
    column = patient.column
    above = column.above(span.first)
    return (*((above,) if above else ()), *(v for v in column.within(span) if v != Level.S1))


def _tier(hounsfield: float, evidence: Evidence) -> tuple[str, Row]:
    row = evidence.row("bone.hounsfield.tier.mildly_elevated")
    for tier in ("high", "elevated", "mildly_elevated"):
        row = evidence.row(f"bone.hounsfield.tier.{tier}")
        if row.met(hounsfield):
            return tier, row
    return "none", row


def _tier_sentence(level: str, fact: Fact, tier: str, count: int) -> str:
    said = f"Attenuation {fact.number:.0f} HU at {level}"
    if tier == "none":
        return f"{said}: above the cut-offs that were tied to complications at such levels."
    tier_words = tier.replace("_", " ")
    studies = f"{count} published cut-off{'s' if count != 1 else ''}"
    return f"{said}: {tier_words} alert tier; it lies below {studies} for this operation."


def _matching(
    patient: Patient, evidence: Evidence, level: str, fact: Fact
) -> Iterable[tuple[Row, Fact]]:
    """The published complication cut-offs that apply to this level and operation and are met."""
    for row in evidence.under("bone.hounsfield.complication."):
        for line in row.table:
            measured = _measured_where(patient, line, level, fact)
            if measured is not None and row.met(measured.number):
                yield row, measured
                break


def _measured_where(patient: Patient, line: Any, level: str, fact: Fact) -> Fact | None:
    """The attenuation that a publication speaks of, if it speaks of this level and operation."""
    intent = patient.intent
    span = intent.span
    if span is None or intent.procedure not in str(line["procedures"]).split():
        return None
    if len(patient.column.segments(span)) < int(line.get("segments", 0)):
        return None
    at = line["at"]
    above = patient.column.above(span.first)
    if at == "implant":
        return fact if level in span and level.startswith(str(line["region"])) else None
    if at == "uiv":
        return fact if level == span.first else None
    if at == "uiv_plus_1":
        return fact if level == above else None
    if level != span.first:  # what is measured once per person is reported once, at the top
        return None
    return attenuation_at(patient, "L1" if at == "L1" else L1_TO_L4)


@rule("bone.quantitative_ct", reads=("bone.quantitative_ct_density",))
def quantitative_ct(patient: Patient, evidence: Evidence) -> Finding | None:
    """The category of a volumetric density by quantitative CT.

    Source      Chinese guideline, after ACR (bone.quantitative_ct.*)
    Population  postmenopausal women, elderly men; mean of two lumbar vertebrae
    Not for     T-scores; scans without calibration
    """
    density = patient.latest("bone.quantitative_ct_density")
    if density is None:
        return None
    low = evidence.row("bone.quantitative_ct.osteoporosis")
    normal = evidence.row("bone.quantitative_ct.normal")
    category = "low_bone_mass"
    if low.met(density.number):
        category = "osteoporosis"
    elif normal.met(density.number):
        category = "normal"
    return Finding(
        says=f"Quantitative CT {density.number:.0f} mg/cm³: {category.replace('_', ' ')}.",
        value=density.number,
        unit="mg/cm3",
        category=category,
        because=(density,),
        rests_on=(low, normal),
        stage=Stage.NOW if category == "osteoporosis" else Stage.BACKGROUND,
        urgency=Urgency.SOON if category == "osteoporosis" else Urgency.INFORMATION,
    )
