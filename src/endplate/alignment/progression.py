"""How scoliosis of adolescents may go on, and from where on it is treated."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from endplate.alignment.maturity import (
    MATURE,
    READS,
    RISSER,
    SANDERS,
    is_adolescent,
    is_mature,
    not_adolescent,
    risser_grade,
    sanders_stage,
)
from endplate.alignment.standing import (
    CURVE,
    POSTURE,
    called,
    not_answered,
    standing,
    standing_curves,
    told,
)
from endplate.evidence import Evidence, Row
from endplate.facts import Fact
from endplate.findings import Finding, PartValue, Position, Status
from endplate.record import Patient
from endplate.rules import rule

_MENARCHE = "growth.menarche"
_SINCE_MENARCHE = "growth.years_since_menarche"
_GREW = "growth.grew_in_6_months"


def _largest(patient: Patient) -> Fact | None:
    return max(standing_curves(patient), key=lambda f: f.number, default=None)


def _without_curve(name: str, patient: Patient, evidence: Evidence) -> Finding | None:
    """Why nothing is said without a standing curve; None where there is no curve at all."""
    measured = standing(patient, (CURVE,))
    return None if measured.nothing else not_answered(name, measured, evidence)


# -- Lonstein and Carlson -------------------------------------------------------------------------


@rule(
    "alignment.lonstein_carlson",
    reads=(CURVE, *READS, "person.age", POSTURE),
    scores="lonstein_carlson",
    needs=(CURVE, "person.age"),
)
def lonstein_carlson(patient: Patient, evidence: Evidence) -> Finding | None:
    """Progression factor of Lonstein and Carlson, and how often such curves progressed.

    Source      Lonstein 1984, formula and part of the shares not read in the paper
                (alignment.lonstein_carlson.*, alignment.maturity.*, alignment.adolescent.*)
    Population  727 people with untreated idiopathic scoliosis of 5 to 29 degrees
    Not for     the chance of one person, for which the factor's curve is not available; curves
                above 29 degrees; after maturity; scoliosis of another cause
    Differs     315 other people did not confirm it (R = 0.24)
    """
    name = "The Lonstein-Carlson factor"
    grade, graded = risser_grade(patient, evidence)
    age = patient.age
    if grade is None and is_adolescent(patient, evidence) is not True:
        return None
    curve = _largest(patient)
    if curve is None:
        return _without_curve(name, patient, evidence)
    rows = evidence.under("alignment.lonstein_carlson.")
    missing = (*(() if age else ("person.age",)), *((RISSER,) if grade is None else ()))
    because = tuple(f for f in (curve, *graded, age) if f is not None)
    if grade is None or age is None:
        return _lacking(name, missing, because, rows)
    if (reason := _outside(patient, curve, age, evidence)) is not None:
        return Finding(
            says=f"{name} does not hold {reason}.",
            status=Status.NOT_APPLICABLE,
            because=because,
            rests_on=rows,
        )
    per_grade = evidence.row("alignment.lonstein_carlson.per_risser").number
    factor = round((curve.number - per_grade * grade) / age.number, 6)
    positions = tuple(_shares(curve.number, grade, age.number, evidence))
    return Finding(
        says=f"Lonstein-Carlson progression factor {factor:.2f}; it gives no probability, and in "
        f"other people it hardly went with progression.",
        value=factor,
        unit="1",
        because=because,
        rests_on=rows,
        positions=positions,
    )


def _lacking(
    name: str, missing: tuple[str, ...], because: tuple[Fact, ...], rows: tuple[Row, ...]
) -> Finding:
    names = " and ".join(called(what) for what in missing)
    return Finding(
        says=f"{name} cannot be given: {names} not known.",
        status=Status.UNKNOWN,
        because=because,
        missing=missing,
        rests_on=rows,
    )


def _outside(patient: Patient, curve: Fact, age: Fact, evidence: Evidence) -> str | None:
    """Why a person is none of those in whom the factor was found."""
    name = "alignment.lonstein_carlson"
    least, largest = evidence.row(f"{name}.least_curve"), evidence.row(f"{name}.largest_curve")
    if not largest.met(curve.number):
        return f"for a curve above {largest.number:g}°"
    if not least.met(curve.number):
        return f"for a curve below {least.number:g}°"
    oldest = evidence.row("alignment.adolescent.to_age")
    if is_mature(patient, evidence)[0] or not oldest.met(age.number):
        return "after maturity"
    return None if age.number > 0 else "in the first year of life"


def _shares(cobb: float, grade: int, age: float, evidence: Evidence) -> Iterable[Position]:
    """How many progressed among those of the same printed stratum."""
    for which in ("by_risser", "by_risser_small", "by_age"):
        row = evidence.row(f"alignment.lonstein_carlson.{which}")
        for line in row.table:
            of_curve = line["from"] <= cobb <= line["to"]
            of_grade = line.get("risser_from", grade) <= grade <= line.get("risser_to", grade)
            of_age = line.get("age_from", age) <= age <= line.get("age_to", age)
            if of_curve and of_grade and of_age:
                yield Position(
                    holder=f"Lonstein 1984, {line['from']}° to {line['to']}°, {_stratum(line)}",
                    says=f"{line.get('about', '')}{line['percent']:g} % progressed",
                    rests_on=(row,),
                )


def _stratum(line: Mapping[str, Any]) -> str:
    if "risser_from" in line:
        return f"Risser {line['risser_from']} to {line['risser_to']}"
    if "age_from" not in line:
        return f"to {line['age_to']} years"
    if "age_to" not in line:
        return f"from {line['age_from']} years"
    return f"{line['age_from']} to {line['age_to']} years"


# -- Sitoula --------------------------------------------------------------------------------------

_NOT_IN_TABLE = "not_in_table"


@rule(
    "alignment.sitoula",
    reads=(CURVE, SANDERS, "person.age", POSTURE),
    scores="sitoula",
    needs=(CURVE, SANDERS),
)
def sitoula(patient: Patient, evidence: Evidence) -> Finding | None:
    """How often curves of this size progressed at this Sanders stage, where it is in the table.

    Source      Sitoula 2015 as restated (alignment.sitoula.*, alignment.adolescent.*)
    Population  idiopathic scoliosis of adolescents by Sanders stage and Cobb angle
    Not for     any cell that was not read: nothing is interpolated; adults; another cause
    """
    name = "Progression by Sanders stage"
    stage, staged = sanders_stage(patient)
    adolescent = is_adolescent(patient, evidence)
    if stage is None and adolescent is not True:
        return None
    curve = _largest(patient)
    if curve is None:
        return _without_curve(name, patient, evidence)
    rows = evidence.under("alignment.sitoula.")
    no_age = () if patient.age else ("person.age",)
    if stage is None:
        return _lacking(name, (SANDERS,), (curve,), rows)
    if adolescent is False:
        return not_adolescent(name, patient, evidence)
    says, category, percent = _cell(stage, curve.number, evidence)
    return Finding(
        says=f"Sanders stage {stage}, {told(curve.number, rows, 1).removesuffix('.0')}°: {says}.",
        value=percent,
        unit="" if percent is None else "%",
        category=category,
        because=(curve, *staged, *((patient.age,) if patient.age else ())),
        missing=no_age,
        rests_on=rows,
    )


def _cell(stage: int, cobb: float, evidence: Evidence) -> tuple[str, str, float | None]:
    """What the table says, its word, and the printed share where there is one."""
    rows = {
        name: evidence.row(f"alignment.sitoula.{name}")
        for name in ("stages", "cells", "none_to", "none_late_to", "all_from", "most_from")
    }
    nothing = "this cell of the table was not read, and nothing is interpolated"
    if not rows["stages"].met(stage):
        return nothing, _NOT_IN_TABLE, None
    for line in rows["cells"].table:
        if (line["stage"], line["cobb"]) == (stage, cobb):
            return f"{line['percent']} % progressed", "printed", float(line["percent"])
    late = rows["none_late_to"].table[0]
    is_late = late["stage_from"] <= stage <= late["stage_to"]
    if rows["none_to"].met(cobb) or (is_late and rows["none_late_to"].met(cobb)):
        return "none of them progressed", "none", None
    if rows["all_from"].met(cobb):
        if stage != rows["all_from"].table[0]["except"]:
            return "all of them progressed", "all", None
        return "most curves of this size progressed, at this stage not all", "most", None
    if rows["most_from"].met(cobb):
        return "most curves of this size progressed", "most", None
    return nothing, _NOT_IN_TABLE, None


# -- treatment ------------------------------------------------------------------------------------

_IN_WORDS = {
    "observe": "observation",
    "brace": "a brace",
    "surgery": "surgery",
    "none_printed": "nothing is printed for this size",
}


@rule(
    "alignment.ais_treatment",
    reads=(CURVE, *READS, _MENARCHE, _SINCE_MENARCHE, _GREW, "person.age", "person.sex", POSTURE),
    scores="ais_treatment",
    needs=(CURVE, "person.age"),
)
def ais_treatment(patient: Patient, evidence: Evidence) -> Finding | None:
    """What is usually considered for a curve of this size: observation, a brace, surgery.

    Source      thresholds as restated (alignment.ais_treatment.*, alignment.scoliosis.least),
                brace studies and weaning (alignment.brace_study.*, alignment.brace_weaning.*),
                what counts as mature (alignment.maturity.*, alignment.adolescent.*)
    Population  adolescent idiopathic scoliosis, 10 to 18 years
    Not for     a decision: where two limits are printed both stand; scoliosis of another cause;
                adults; the grades of SOSORT, whose table was not available
    """
    name = "What is considered for scoliosis of adolescents"
    curve, age = _largest(patient), patient.age
    adolescent = is_adolescent(patient, evidence)
    mature, because = is_mature(patient, evidence)
    if standing(patient, (CURVE,)).nothing:
        return None
    if adolescent is False:
        return not_adolescent(name, patient, evidence)
    if curve is None:
        return _without_curve(name, patient, evidence)
    limits = evidence.under("alignment.ais_treatment.")
    rows = (*limits, *evidence.under("alignment.maturity."))
    if age is None:
        return _lacking(name, ("person.age",), (curve, *because), rows)
    least = evidence.row("alignment.scoliosis.least")
    if not least.met(curve.number):
        return Finding(
            says=f"A curve of {told(curve.number, (least,))}° is no scoliosis.",
            status=Status.NOT_APPLICABLE,
            because=(curve,),
            rests_on=(least,),
        )
    study, in_study, study_missing = _brace_study(patient, curve, evidence)
    weaning, may_wean, _ = _weaning(patient, evidence)
    parts: dict[str, PartValue] = {
        "mature": mature,
        "if_immature": "|".join(_immature(curve.number, evidence)),
        "if_mature": "|".join(_mature(curve.number, evidence)),
        "brace_study_criteria": in_study,
        "weaning_criteria": may_wean,
    }
    both = parts["if_immature"] == parts["if_mature"]
    shown = "if_mature" if mature else "if_immature"
    rows = (*rows, *study, *weaning)
    facts = (curve, age, *because)
    size = told(curve.number, limits)
    if mature is None and not both:
        return Finding(
            says=f"Curve of {size}°: while growing, {_worded(parts['if_immature'])}; "
            f"once mature, {_worded(parts['if_mature'])}; which of the two holds is not known.",
            status=Status.UNKNOWN,
            parts=parts,
            because=facts,
            missing=tuple(w for w in (RISSER, SANDERS, MATURE) if not patient.facts(w))
            or (MATURE,),
            rests_on=rows,
        )
    grown = "" if both else " and mature" if mature else " and growing"
    study_says = {
        True: " The criteria of brace studies are met.",
        False: " The criteria of brace studies are not met.",
        None: "",
    }[in_study]
    return Finding(
        says=f"Curve of {size}°{grown}: {_worded(parts[shown])}.{study_says}"
        + (" The criteria for weaning from a brace are met." if may_wean else ""),
        category=str(parts[shown]),
        parts=parts,
        because=facts,
        missing=() if in_study is not None else study_missing,
        rests_on=rows,
    )


def _worded(options: PartValue) -> str:
    words = [_IN_WORDS[option] for option in str(options).split("|")]
    if len(words) == 1:
        return words[0] if words[0] == _IN_WORDS["none_printed"] else f"{words[0]} is considered"
    return f"{' or '.join(words)}, depending on which of two printed limits is used"


def _immature(cobb: float, evidence: Evidence) -> list[str]:
    name = "alignment.ais_treatment.immature"
    if not evidence.row(f"{name}.brace_from").met(cobb):
        return ["observe"]
    brace = [] if evidence.row(f"{name}.surgery_alone_from").met(cobb) else ["brace"]
    return brace + (["surgery"] if evidence.row(f"{name}.surgery_from").met(cobb) else [])


def _mature(cobb: float, evidence: Evidence) -> list[str]:
    name = "alignment.ais_treatment.mature"
    if evidence.row(f"{name}.observe_to").met(cobb):
        return ["observe"]
    if evidence.row(f"{name}.surgery_alone_from").met(cobb):
        return ["surgery"]
    if evidence.row(f"{name}.surgery_from").met(cobb):
        return ["observe", "surgery"]
    return ["none_printed"]


Criteria = tuple[tuple[Row, ...], bool | None, tuple[str, ...]]


def _all_of(rows: tuple[Row, ...], answers: Mapping[str, bool | None]) -> Criteria:
    """No if one is not met; yes if all are; else what is missing."""
    if False in answers.values():
        return rows, False, ()
    missing = tuple(what for what, yes in answers.items() if yes is None)
    return rows, (None if missing else True), missing


def _brace_study(patient: Patient, curve: Fact, evidence: Evidence) -> Criteria:
    """The criteria of the Scoliosis Research Society for studies of braces."""
    rows = {r.last_name: r for r in evidence.under("alignment.brace_study.")}
    grade, _ = risser_grade(patient, evidence)
    age = patient.age
    answers: dict[str, bool | None] = {
        "person.age": rows["from_age"].met(age.number) if age else None,
        CURVE: rows["least_curve"].met(curve.number) and rows["largest_curve"].met(curve.number),
        RISSER: None if grade is None else rows["risser"].met(grade),
    }
    answers |= _after_menarche(patient, rows["since_menarche"], before=True)
    return _all_of(tuple(rows.values()), answers)


def _weaning(patient: Patient, evidence: Evidence) -> Criteria:
    """The criteria for weaning from a brace."""
    rows = {r.last_name: r for r in evidence.under("alignment.brace_weaning.")}
    grade, _ = risser_grade(patient, evidence)
    grew = patient.has(_GREW)
    answers: dict[str, bool | None] = {
        RISSER: None if grade is None else rows["risser"].met(grade),
        _GREW: None if grew.unknown else grew.no,
    }
    answers |= _after_menarche(patient, rows["since_menarche"], before=False)
    return _all_of(tuple(rows.values()), answers)


def _after_menarche(patient: Patient, row: Row, *, before: bool) -> dict[str, bool | None]:
    """The criterion by menarche, which boys do not have; `before`: what holds before it."""
    if patient.sex == "male":
        return {}
    years, menarche = patient.latest(_SINCE_MENARCHE), patient.has(_MENARCHE)
    if years is not None:
        return {_SINCE_MENARCHE: row.met(years.number)}
    if menarche.no:
        return {_SINCE_MENARCHE: before}
    return {_SINCE_MENARCHE: None, **({} if patient.sex else {"person.sex": None})}
