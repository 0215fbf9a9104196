"""Bone on CT: what attenuation (Hounsfield units) says, and when it says nothing."""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Any

from endplate.bone.densitometry import WHO_ASKS, classified_by_t_score
from endplate.evidence import Evidence, Row
from endplate.facts import Fact
from endplate.findings import Finding, Stage, Status, Urgency
from endplate.levels import Column, Level, Span
from endplate.record import Known, Patient
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
# For those in whom density alone never makes a diagnosis of osteoporosis.
_IN_WORDS_OF_DENSITY = {
    "very_likely": "very low",
    "likely": "low",
    "low_density": "low density likely",
    "indeterminate": "indeterminate",
    "unlikely": "not low",
}


def attenuation_at(patient: Patient, level: str) -> Fact | None:
    """The newest attenuation of one level, by a protocol that cut-offs can be held against.

    A level that is fractured or beside metal has none.
    """
    found = _measured_at(patient, level)
    return next((f for f in found if f.details.get("usable") != "no"), None)


def _measured_at(patient: Patient, level: str) -> list[Fact]:
    """The newest attenuation of one level by each protocol, whether it can be used or not."""
    return [f for what in REGIONS if (f := patient.latest(what, level=level)) is not None]


def screening_attenuation(patient: Patient) -> Fact | None:
    """The attenuation that screening goes by: L1, or the mean of L1-L4 where L1 is not known."""
    return attenuation_at(patient, "L1") or attenuation_at(patient, L1_TO_L4)


def lumbar_attenuation(patient: Patient) -> Fact | None:
    """The mean of L1-L4, of which many cut-offs speak; L1 where the mean is not known."""
    return attenuation_at(patient, L1_TO_L4) or attenuation_at(patient, "L1")


def _tube_voltage(fact: Fact) -> float | None:
    voltage = fact.details.get("tube_voltage")
    return float(voltage) if isinstance(voltage, float | int) else None


_SHORT = {"imaging.ct.tube_voltage": "tube voltage", "imaging.ct.contrast": "contrast"}


def acquisition_not_known(fact: Fact) -> tuple[str, ...]:
    """What of tube voltage and contrast nobody wrote down, as concepts to ask for."""
    voltage, contrast = _tube_voltage(fact), fact.details.get("contrast")
    return (
        *(("imaging.ct.tube_voltage",) if voltage is None else ()),
        *(("imaging.ct.contrast",) if contrast not in ("yes", "no") else ()),
    )


def attenuation_is_comparable(fact: Fact, evidence: Evidence) -> str:
    """Whether an attenuation may be held against cut-offs: ``yes``, ``rough``, ``no``, ``unknown``.

    Rough means another tube voltage for which a crude factor exists, or contrast; for both at
    once nothing is published.
    """
    voltage, contrast = _tube_voltage(fact), fact.details.get("contrast")
    valid = evidence.row("bone.hounsfield.tube_voltage.valid").number
    if voltage is not None and voltage != valid:
        known = _voltage_factor(voltage, evidence) is not None and contrast != "yes"
        return "rough" if known else "no"
    if contrast == "yes":
        return "rough"
    return "unknown" if acquisition_not_known(fact) else "yes"


def attenuation_meets(fact: Fact, row: Row, evidence: Evidence) -> Known:
    """Whether an attenuation meets a cut-off, however the scan was taken.

    Another or an unknown tube voltage and contrast shift it; where the answer could turn with
    what is not known, it is unknown.
    """
    low, high = _range_at_120_kv(fact, evidence)
    if row.met(low) == row.met(high):
        return Known("yes" if row.met(high) else "no", (fact,))
    return Known("unknown", (fact,))


def _range_at_120_kv(fact: Fact, evidence: Evidence) -> tuple[float, float]:
    """The lowest and highest attenuation that this would be at 120 kV without contrast.

    A lower voltage raises attenuation by an amount that nobody published, so that an unknown
    voltage leaves the lower end open.
    """
    if attenuation_is_comparable(fact, evidence) == "no":
        return -inf, inf
    voltage, contrast = _tube_voltage(fact), fact.details.get("contrast")
    if voltage is None:
        factors = [r.number for r in evidence.under("bone.hounsfield.tube_voltage.factor.")]
    else:
        factor = _voltage_factor(voltage, evidence)
        factors = [factor.number] if factor is not None else []
    possible = [fact.number, *(fact.number * f for f in factors)]
    low = min(possible) if voltage is not None else -inf
    if contrast != "no":
        low -= evidence.row("bone.hounsfield.contrast.guard").number
    return low, max(possible)


# Doubts of a measurement that the sentence says anyway, in its own words.
_OF_THE_SCAN = ("contrast was given", "it was taken at")


def _caveat(fact: Fact, evidence: Evidence) -> str:
    """What to add to a sentence on an attenuation that was not taken as the cut-offs were."""
    voltage, valid = _tube_voltage(fact), evidence.row("bone.hounsfield.tube_voltage.valid").number
    said = []
    if voltage is not None and voltage != valid:
        said.append(f"it was taken at {voltage:.0f} kV and not at {valid:.0f} kV")
    if fact.details.get("contrast") == "yes":
        said.append("contrast raises it")
    unknown = [_SHORT[what] for what in acquisition_not_known(fact)]
    if unknown:
        said.append(f"{' and '.join(unknown)} unknown, which can shift it")
    said += [f"doubtful, as {d}" for d in fact.doubts if not d.startswith(_OF_THE_SCAN)]
    return "".join(f"; {words}" for words in said)


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


@rule("bone.hounsfield", reads=(*REGIONS, *WHO_ASKS, "intent.procedure"))
def hounsfield(patient: Patient, evidence: Evidence) -> Finding:
    """What the attenuation of L1 (or of L1-L4) says about osteoporosis; DXA is still needed.

    Source      Pickhardt 2013, St Jeor 2020, Anderson's review (bone.hounsfield.*)
    Population  adults; non-contrast CT at 120 kV
    Not for     a diagnosis; other tube voltages; contrast without a wider band
    Differs     cut-offs from 73 to 202 HU are published; all that fire are listed
    """
    fact = screening_attenuation(patient)
    literature = [evidence.row("bone.hounsfield.range_in_literature")]
    if patient.intent.procedure == "deformity_correction":
        literature.append(evidence.row("bone.hounsfield.poor_surrogate_in_deformity"))
    if fact is None:
        return Finding(
            says="The attenuation of the lumbar vertebrae is unknown.",
            status=Status.UNKNOWN,
            missing=("ct.hounsfield.three_location",),
            rests_on=tuple(literature),
        )
    words = IN_WORDS
    if classified_by_t_score(patient, evidence).answer == "no":
        words = _IN_WORDS_OF_DENSITY
    comparable = attenuation_is_comparable(fact, evidence)
    if comparable == "no":
        return _not_classified(fact, evidence)
    if fact.details.get("contrast") == "yes":
        return _with_contrast(fact, evidence, words)
    if comparable == "rough":
        return _at_another_voltage(fact, evidence, words)
    band, row = band_of(fact.number, evidence)
    if band == "unlikely" and not attenuation_meets(fact, row, evidence).yes:
        band = "indeterminate"  # what is not known of the scan can have raised it
    missing = acquisition_not_known(fact)
    if fact.level != "L1":
        missing = ("ct.hounsfield.three_location", *missing)
    return Finding(
        says=f"Attenuation {fact.number:.0f} HU at {fact.level}: {words[band]}"
        f"{_caveat(fact, evidence)}; a DXA decides.",
        value=fact.number,
        unit="[hnsf'U]",
        category=band,
        because=(fact,),
        missing=missing,
        rests_on=(row, *literature),
        stage=_stage(band),
        urgency=Urgency.ROUTINE if band != "unlikely" else Urgency.INFORMATION,
    )


def _stage(band: str) -> Stage:
    return Stage.NOW if band in ("very_likely", "likely", "low_density") else Stage.BACKGROUND


def _not_classified(fact: Fact, evidence: Evidence) -> Finding:
    return Finding(
        says=f"Attenuation {fact.number:.0f} HU at {fact.level} cannot be classified"
        f"{_caveat(fact, evidence)}.",
        status=Status.NOT_APPLICABLE,
        value=fact.number,
        unit="[hnsf'U]",
        because=(fact,),
        rests_on=(
            evidence.row("bone.hounsfield.tube_voltage.valid"),
            evidence.row("bone.hounsfield.tube_voltage.none_at_80"),
        ),
    )


def _at_another_voltage(fact: Fact, evidence: Evidence, words: dict[str, str]) -> Finding:
    valid = evidence.row("bone.hounsfield.tube_voltage.valid")
    factor = _voltage_factor(_tube_voltage(fact) or 0.0, evidence)
    assert factor is not None  # the caller asked whether the scan is comparable
    rough = fact.number * factor.number
    low, high = sorted((fact.number, rough))
    (low_band, low_row), (high_band, high_row) = band_of(low, evidence), band_of(high, evidence)
    agreed = low_band == high_band
    said = words[low_band] if agreed else f"{words[low_band]} or {words[high_band]}"
    return Finding(
        says=f"Attenuation {fact.number:.0f} HU at {fact.level}{_caveat(fact, evidence)}; at "
        f"{valid.number:.0f} kV it would be roughly {rough:.0f} HU: {said}; a DXA decides.",
        value=fact.number,
        unit="[hnsf'U]",
        category=low_band if agreed else f"{low_band}_to_{high_band}",
        parts={
            "roughly_at_120_kv": round(rough, 1),
            "band_as_measured": band_of(fact.number, evidence)[0],
        },
        because=(fact,),
        missing=acquisition_not_known(fact),
        rests_on=(valid, factor, low_row, high_row),
        stage=_stage(low_band),
        urgency=Urgency.ROUTINE,
    )


def _with_contrast(fact: Fact, evidence: Evidence, words: dict[str, str]) -> Finding:
    rise = evidence.row("bone.hounsfield.contrast.venous_rise")
    wide = evidence.row("bone.hounsfield.contrast.widening")
    guard = evidence.row("bone.hounsfield.contrast.guard")
    unlikely = evidence.row("bone.hounsfield.unlikely")
    low, _ = band_of(fact.number - wide.number, evidence)
    high, row = band_of(fact.number + wide.number, evidence)
    if "unlikely" in (low, high) and not attenuation_meets(fact, unlikely, evidence).yes:
        low, high = (b if b != "unlikely" else "indeterminate" for b in (low, high))
    said = words[low] if low == high else f"between {words[low]} and {words[high]}"
    return Finding(
        says=f"Attenuation {fact.number:.0f} HU at {fact.level}{_caveat(fact, evidence)}: {said}; "
        f"a DXA decides.",
        value=fact.number,
        unit="[hnsf'U]",
        category=low if low == high else f"{low}_to_{high}",
        parts={
            "less_the_mean_rise": round(fact.number - rise.number, 1),
            "band_low": low,
            "band_high": high,
        },
        because=(fact,),
        missing=acquisition_not_known(fact),
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
    if fact is None or attenuation_is_comparable(fact, evidence) == "no":
        return None
    rows = evidence.under("bone.hounsfield.published.")
    met = {row.name.rsplit(".", 1)[-1]: row.met(fact.number) for row in rows}
    return Finding(
        says=f"Of {len(rows)} published cut-offs, {fact.number:.0f} HU at {fact.level} meets "
        f"{sum(met.values())}{_caveat(fact, evidence)}.",
        parts=met,
        because=(fact,),
        missing=acquisition_not_known(fact),
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
        if fact is None or attenuation_is_comparable(fact, evidence) == "no":
            continue
        mean = evidence.row(f"bone.hounsfield.young_mean.{level}")
        sd = evidence.row(f"bone.hounsfield.young_sd.{level}")
        score = (fact.number - mean.number) / sd.number
        yield Finding(
            about=level,
            says=f"Attenuation of {level} lies {abs(score):.1f} standard deviations "
            f"{'below' if score < 0 else 'above'} that of young women (not a WHO T-score)"
            f"{_caveat(fact, evidence)}.",
            value=round(score, 2),
            unit="1",
            because=(fact,),
            missing=acquisition_not_known(fact),
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
    intent, adult = patient.intent, evidence.row("bone.t_score.adult_from_age")
    if intent.span is None or not intent.is_instrumented.yes:
        return
    if patient.age is not None and not adult.met(patient.age.number):
        return
    unknown = []
    for level in _levels_of_interest(patient, intent.span):
        fact = attenuation_at(patient, level)
        if fact is None:
            unknown.append(level)
        elif attenuation_is_comparable(fact, evidence) == "no":
            yield Finding(
                about=level,
                says=f"Attenuation {fact.number:.0f} HU at {level} cannot be held against the "
                f"cut-offs{_caveat(fact, evidence)}.",
                status=Status.NOT_APPLICABLE,
                value=fact.number,
                unit="[hnsf'U]",
                because=(fact, *intent.because),
                rests_on=(evidence.row("bone.hounsfield.tube_voltage.valid"),),
                stage=Stage.BEFORE_SURGERY,
            )
        else:
            yield _alert(patient, evidence, level, fact)
    if unknown:
        measured = [f for v in unknown for f in _measured_at(patient, v)]
        cannot = ", ".join(dict.fromkeys(str(f.level) for f in measured))
        yield Finding(
            about="not_measured",
            says=f"The attenuation of {', '.join(unknown)}, at or above the intended operation, is "
            f"unknown{f' (not usable at {cannot})' if cannot else ''}.",
            status=Status.UNKNOWN,
            because=(*measured, *intent.because),
            missing=("ct.hounsfield.three_location",),
            rests_on=(evidence.row("bone.hounsfield.tier.high"),),
            stage=Stage.BEFORE_SURGERY,
        )


def _alert(patient: Patient, evidence: Evidence, level: Level, fact: Fact) -> Finding:
    """The alert tier of one level, and the publications whose cut-offs are met."""
    tier, row = _tier(_without_contrast(fact, evidence), evidence)
    matching = tuple(_matching(patient, evidence, level, fact))
    here = sum(f is fact for _, f in matching)
    elsewhere = [(r, f) for r, f in matching if f is not fact]
    says = f"Attenuation {fact.number:.0f} HU at {level}: "
    says += "no alert tier" if tier == "none" else f"{tier.replace('_', ' ')} alert tier"
    says += (
        f"; it meets {here or 'no'} published cut-off{'s' if here > 1 else ''} for this operation"
    )
    says += "".join(
        f"; {f.number:.0f} HU at {f.level} meets that for {r.says.split(':')[0]}"
        for r, f in elsewhere
    )
    return Finding(
        about=level,
        says=f"{says}{_caveat(fact, evidence)}.",
        value=fact.number,
        unit="[hnsf'U]",
        category=tier,
        parts={r.name.rsplit(".", 1)[-1]: True for r, _ in matching},
        because=tuple(dict.fromkeys((fact, *(f for _, f in elsewhere), *patient.intent.because))),
        missing=acquisition_not_known(fact),
        rests_on=(
            row,
            *(r for r, _ in matching),
            evidence.row("bone.hounsfield.complication.means_differ"),
            evidence.row("bone.hounsfield.complication.not_measured_here"),
        ),
        limits=("A published association in other people, not this person's probability.",),
        stage=Stage.BEFORE_SURGERY,
        urgency=Urgency.SOON if tier == "high" else Urgency.ROUTINE,
    )


def column_with(patient: Patient, span: Span) -> Column:
    """The person's column, with the vertebrae that the intended levels name."""
    return Column.of({*patient.column.levels, span.first, span.last})


def _levels_of_interest(patient: Patient, span: Span) -> tuple[Level, ...]:
    """The levels that would carry implants, and the one above the uppermost."""
    column = column_with(patient, span)
    above = column.above(span.first)
    there = (*((above,) if above else ()), *column.within(span))
    # The studies are of the thoracic and the lumbar spine; none of their cut-offs is for the neck.
    return tuple(v for v in there if v.region in "TL")


def _without_contrast(fact: Fact, evidence: Evidence) -> float:
    """The lowest that an attenuation would be without contrast: an alert errs to the safe side."""
    if fact.details.get("contrast") != "yes":
        return fact.number
    return fact.number - evidence.row("bone.hounsfield.contrast.guard").number


def _tier(hounsfield: float, evidence: Evidence) -> tuple[str, Row]:
    row = evidence.row("bone.hounsfield.tier.mildly_elevated")
    for tier in ("high", "elevated", "mildly_elevated"):
        row = evidence.row(f"bone.hounsfield.tier.{tier}")
        if row.met(hounsfield):
            return tier, row
    return "none", row


def _matching(
    patient: Patient, evidence: Evidence, level: str, fact: Fact
) -> Iterable[tuple[Row, Fact]]:
    """The published complication cut-offs that apply to this level and operation and are met."""
    for row in evidence.under("bone.hounsfield.complication."):
        for line in row.table:
            measured = _measured_where(patient, line, level, fact)
            if measured is not None and row.met(_without_contrast(measured, evidence)):
                yield row, measured
                break


def _measured_where(patient: Patient, line: Any, level: str, fact: Fact) -> Fact | None:
    """The attenuation that a publication speaks of, if it speaks of this level and operation."""
    intent = patient.intent
    span = intent.span
    if span is None or intent.procedure not in str(line["procedures"]).split():
        return None
    column = column_with(patient, span)
    if len(column.segments(span)) < int(line.get("segments", 0)):
        return None
    at = line["at"]
    above = column.above(span.first)
    if at == "implant":
        return fact if level in span and level.startswith(str(line["region"])) else None
    if at == "uiv":
        return fact if level == span.first else None
    if at == "uiv_plus_1":
        return fact if level == above else None
    # What is measured once per person is reported once: at the uppermost level that would carry
    # an implant, or the first one of those measured where that one is not.
    known = [v for v in _levels_of_interest(patient, span) if attenuation_at(patient, v)]
    if level != (span.first if span.first in known else known[0]):
        return None
    return attenuation_at(patient, "L1" if at == "L1" else L1_TO_L4)


@rule("bone.quantitative_ct", reads=("bone.quantitative_ct_density", *WHO_ASKS))
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
    group = classified_by_t_score(patient, evidence)
    if group.answer != "yes":
        unknown = group.answer == "unknown"
        return Finding(
            says=f"Quantitative CT {density.number:.0f} mg/cm³: "
            + ("whether its categories apply is unknown." if unknown
               else "its categories do not apply to this person."),
            status=Status.UNKNOWN if unknown else Status.NOT_APPLICABLE,
            value=density.number,
            unit="mg/cm3",
            because=(density, *group.because),
            missing=group.missing,
            rests_on=(low, normal, *group.rests_on),
        )  # fmt: skip
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
        because=(density, *group.because),
        assumed=group.assumed,
        rests_on=(
            low,
            normal,
            evidence.row("bone.quantitative_ct.fracture"),
            *group.rests_on,
        ),
        stage=Stage.NOW if category == "osteoporosis" else Stage.BACKGROUND,
        urgency=Urgency.SOON if category == "osteoporosis" else Urgency.INFORMATION,
    )
