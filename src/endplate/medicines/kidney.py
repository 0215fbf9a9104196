"""Kidney function by Cockcroft and Gault, and the doses that follow from it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from msgspec import Struct

from endplate.evidence import Evidence, Row
from endplate.facts import Fact
from endplate.findings import (
    AnyFinding,
    Finding,
    Position,
    Recommendation,
    Stage,
    Status,
    Urgency,
)
from endplate.medicines.doses import Taken, facts_of, list_assumed, taken
from endplate.record import Patient
from endplate.rules import rule

_CREATININE, _WEIGHT, _AGE, _SEX = (
    "lab.creatinine", "person.weight", "person.age", "person.sex",
)  # fmt: skip
_NEEDED = (_CREATININE, _AGE, _WEIGHT, _SEX)
MEASURED, _ESTIMATED = "lab.creatinine_clearance", "lab.egfr"
_COMPLETE = "person.medicine_list_complete"
_FORMULA = "medicines.cockcroft_gault."


@rule(
    "medicines.creatinine_clearance",
    reads=(*_NEEDED, _ESTIMATED),
    scores="creatinine_clearance",
    needs=_NEEDED,
)
def creatinine_clearance(patient: Patient, evidence: Evidence) -> Finding | None:
    """Creatinine clearance by Cockcroft and Gault, with the actual body weight.

    Source      Cockcroft and Gault 1976, as restated: medicines.cockcroft_gault.*
    Population  adults with a stable creatinine
    Not for     acute kidney injury, dialysis, pregnancy; in marked overweight it gives too much
    """
    found = {what: patient.latest(what) for what in _NEEDED}
    found[_AGE] = patient.age
    rows = evidence.under(_FORMULA)
    estimated = patient.latest(_ESTIMATED)
    if found[_CREATININE] is None and estimated is None:
        return None
    facts = tuple(f for f in found.values() if f is not None)
    missing = tuple(what for what in _NEEDED if found[what] is None)
    sex = patient.sex
    if found[_SEX] is not None and sex not in ("female", "male"):
        missing = (*missing, _SEX)
    age = found[_AGE]
    if age is not None and not evidence.row(f"{_FORMULA}adult_from_age").met(age.number):
        return Finding(
            says="Creatinine clearance: the formula is for adults.",
            status=Status.NOT_APPLICABLE, because=(age,), rests_on=rows,
        )  # fmt: skip
    if missing:
        told = "Creatinine clearance by Cockcroft and Gault cannot be given: it needs creatinine, "
        told += "age, weight and sex. "
        if estimated is not None:
            told += "The estimated filtration rate is another quantity and does not stand for it."
        return Finding(
            says=told.strip(), status=Status.UNKNOWN, because=facts, missing=missing, rests_on=rows
        )
    creatinine, weight = found[_CREATININE], found[_WEIGHT]
    if creatinine is None or weight is None or age is None:  # then something was missing above
        return None
    row = {name: evidence.row(_FORMULA + name).number for name in ("age_from", "divisor", "female")}
    value = (row["age_from"] - age.number) * weight.number / (row["divisor"] * creatinine.number)
    value = round(max(0.0, value * (row["female"] if sex == "female" else 1)), 6)
    return Finding(
        says=f"Creatinine clearance {_shown(value)} mL/min by Cockcroft and Gault, with the actual "
        f"body weight.",
        value=value,
        unit="mL/min",
        parts={"weight": "actual", "formula": "cockcroft_gault"},
        because=facts,
        rests_on=rows,
    )


def _shown(clearance: float) -> str:
    """A clearance as it is printed: rounded, but never up to a whole number that may be a limit."""
    texts = (f"{clearance:.{places}f}" for places in count())
    return next(text for text in texts if float(text) <= clearance or not float(text).is_integer())


# -- doses ----------------------------------------------------------------------------------------


class _Kidney(Struct, frozen=True, kw_only=True):
    """The clearance, where it comes from, and what is missing for it."""

    clearance: float | None
    says: str
    because: tuple[Fact, ...] = ()
    missing: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()


def kidney(patient: Patient, evidence: Evidence) -> _Kidney:
    """The creatinine clearance: as measured, or by the formula."""
    measured = patient.latest(MEASURED)
    if measured is not None:
        return _Kidney(
            clearance=measured.number,
            because=(measured,),
            says=f"creatinine clearance {_shown(measured.number)} mL/min as stated",
        )
    by_formula = next(iter(creatinine_clearance(patient, evidence)), None)
    if by_formula is None:
        there = {_AGE} if patient.age else set()
        missing = [w for w in _NEEDED if w not in there and patient.latest(w) is None]
        return _Kidney(clearance=None, says="kidney function unknown", missing=tuple(missing))
    if by_formula.value is None:
        says = (
            "the person is no adult"
            if by_formula.status is Status.NOT_APPLICABLE
            else (
                "kidney function unknown; an eGFR is not used for doses"
                if patient.latest(_ESTIMATED)
                else "kidney function unknown"
            )
        )
        return _Kidney(clearance=None, says=says, because=by_formula.because,
                       missing=by_formula.missing or _NEEDED, rows=by_formula.rests_on)  # fmt: skip
    return _Kidney(
        clearance=by_formula.value, because=by_formula.because, rows=by_formula.rests_on,
        says=f"creatinine clearance {_shown(by_formula.value)} mL/min",
    )  # fmt: skip


_AVOIDED = {
    "codeine": "medicine.codeine", "pethidine": "medicine.pethidine",
    "morphine": "medicine.morphine", "nsaid": "medicine.nsaid", "duloxetine": "medicine.duloxetine",
}  # fmt: skip
_TRAMADOL = "medicine.tramadol"
_BANDED = ("gabapentin", "pregabalin")


@rule(
    "medicines.renal_dosing",
    reads=(
        *_AVOIDED.values(), _TRAMADOL, "medicine.gabapentin", "medicine.pregabalin",
        "medicine.baclofen", MEASURED, _COMPLETE, *creatinine_clearance.reads,
    ),
    headline=46,
)  # fmt: skip
def renal_dosing(patient: Patient, evidence: Evidence) -> Iterator[AnyFinding]:
    """Doses of pain medicines that hang on kidney function, each with its band.

    Source      labels and Fast Fact 161: medicines.renal.*
    Population  adults with a stable creatinine
    Not for     dialysis, acute kidney injury; starting doses
    Differs     gabapentin: the labels of the European Union and of the United States have
                different bands; a choice says which is used, and both are shown
    """
    function = kidney(patient, evidence)
    for name in _BANDED:
        for group in _by_ingredient(taken(patient, f"medicine.{name}")):
            yield _banded(name, group, function, patient, evidence)
    for name, what in _AVOIDED.items():
        for group in _by_ingredient(taken(patient, what)):
            row = evidence.row(f"medicines.renal.avoid_below.{name}")
            yield _avoided(group, row, function, patient, evidence)
    for group in _by_ingredient(taken(patient, _TRAMADOL)):
        yield _tramadol(group, function, patient, evidence)
    for group in _by_ingredient(taken(patient, "medicine.baclofen")):
        row = evidence.row("medicines.renal.caution")
        yield Finding(
            says=f"Baclofen with caution where kidney function is low: {function.says}.",
            about="baclofen", category="caution", because=(*facts_of(group), *function.because),
            missing=function.missing, rests_on=(row, *function.rows), stage=Stage.NOW,
        )  # fmt: skip


def _by_ingredient(every: tuple[Taken, ...]) -> list[tuple[Taken, ...]]:
    names = dict.fromkeys(one.ingredient for one in every)
    return [tuple(one for one in every if one.ingredient == name) for name in names]


def _unknown(
    group: tuple[Taken, ...], function: _Kidney, rows: tuple[Row, ...], told: str
) -> Finding:
    return Finding(
        says=f"{group[0].name.capitalize()}: {told}; {function.says}.",
        about=group[0].ingredient.rpartition(".")[2],
        status=Status.UNKNOWN,
        because=(*facts_of(group), *function.because),
        missing=function.missing,
        rests_on=(*rows, *function.rows),
        stage=Stage.NOW,
        urgency=Urgency.ROUTINE,
    )


def _avoided(
    group: tuple[Taken, ...], row: Row, function: _Kidney, patient: Patient, evidence: Evidence
) -> AnyFinding:
    name = group[0].name
    if function.clearance is None:
        return _unknown(group, function, (row,), f"below {row.number:g} mL/min {row.says}")
    about, because = group[0].ingredient.rpartition(".")[2], (*facts_of(group), *function.because)
    rows = (row, *function.rows)
    if not row.met(function.clearance):
        return Finding(
            says=f"{name.capitalize()}: nothing against it from the kidneys "
            f"({function.says}, limit {row.number:g}).",
            about=about, category="no_limit", because=because, assumed=list_assumed(patient),
            rests_on=rows,
        )  # fmt: skip
    prefer = evidence.row("medicines.renal.prefer")
    is_opioid = row.last_name in ("codeine", "pethidine", "morphine")
    return Recommendation(
        says=f"{name.capitalize()}: {function.says}; below {row.number:g} {row.says}.",
        action=f"Replace {name}, or ask whether it is needed.",
        about=about,
        who="prescriber",
        category="avoid",
        because=because,
        assumed=list_assumed(patient),
        rests_on=(*rows, prefer) if is_opioid else rows,
        alternatives=(f"{prefer.says.split(': ', 1)[1].capitalize()}.",) if is_opioid else (),
        would_change=("A newer creatinine.",),
        stage=Stage.NOW,
        urgency=Urgency.SOON,
    )


def _tramadol(
    group: tuple[Taken, ...], function: _Kidney, patient: Patient, evidence: Evidence
) -> AnyFinding:
    if any(one.form == "long_acting" for one in group):
        row = evidence.row("medicines.renal.avoid_below.tramadol_long_acting")
        return _avoided(group, row, function, patient, evidence)
    row, most = (evidence.row(f"medicines.renal.tramadol_{n}") for n in ("below", "most"))
    told = f"below {row.number:g} mL/min every 12 hours, {most.number:g} mg a day at the most"
    if function.clearance is None:
        return _unknown(group, function, (row, most), told)
    because, rows = (*facts_of(group), *function.because), (row, most, *function.rows)
    if not row.met(function.clearance):
        return Finding(
            says=f"Tramadol: nothing against it from the kidneys ({function.says}, limit "
            f"{row.number:g}).",
            about="tramadol", category="no_limit", because=because, assumed=list_assumed(patient),
            rests_on=rows,
        )  # fmt: skip
    day = _day(group)
    above = day is not None and most.met(day)
    said = "the dose is not known" if day is None else f"{day:g} mg a day are taken at the highest"
    return Recommendation(
        says=f"Tramadol: {function.says}; {told}; {said}.",
        action=f"Give tramadol every 12 hours, no more than {most.number:g} mg a day.",
        about="tramadol", who="prescriber",
        category="above" if above else "within" if day is not None else "dose_unknown",
        value=most.number, unit="mg/d", because=because,
        missing=() if day is not None else ("opioid_dose.tramadol",),
        assumed=list_assumed(patient), rests_on=rows, would_change=("A newer creatinine.",),
        stage=Stage.NOW, urgency=Urgency.SOON if above or day is None else Urgency.ROUTINE,
    )  # fmt: skip


def _day(group: tuple[Taken, ...]) -> float | None:
    doses = [one.high for one in group]
    known = [d for d in doses if d is not None]
    return sum(known) if len(known) == len(doses) else None


def _banded(
    name: str, group: tuple[Taken, ...], function: _Kidney, patient: Patient, evidence: Evidence
) -> AnyFinding:
    prefix = f"medicines.renal.{name}."
    label = evidence.choice("medicines.renal_label").use if name == "gabapentin" else "all"
    every = evidence.under(f"{prefix}{label}.")
    if function.clearance is None:
        return _unknown(group, function, every, "its dose hangs on the kidneys")
    band = _band(every, function.clearance)
    positions = _labels(prefix, label, function.clearance, evidence) if label != "all" else ()
    because = (*facts_of(group), *function.because)
    limits = (band.table[0]["from"], band.table[0]["to"]) if band.table else None
    day = _day(group)
    said = "the dose is not known" if day is None else f"{day:g} mg a day are taken at the highest"
    above = limits is not None and day is not None and day > float(limits[1])
    unknown = day is None and limits is not None
    told = f"{limits[0]:g} to {limits[1]:g} mg a day" if limits else "no reduction"
    parts = {"label": label} | (
        {"from": float(limits[0]), "to": float(limits[1])} if limits else {}
    )
    says = f"{name.capitalize()}: {function.says}; {told}; {said}."
    choice = evidence.choice("medicines.renal_label")
    missing = (f"medicine.{name}",) if unknown else ()
    if not above:
        return Finding(
            says=says, about=name, parts=parts, because=because, missing=missing,
            category="dose_unknown" if unknown else "within", value=_most(limits),
            unit="mg/d" if limits else "", assumed=list_assumed(patient),
            rests_on=(band, *function.rows), positions=positions, stage=Stage.NOW,
            urgency=Urgency.ROUTINE if unknown else Urgency.INFORMATION,
            overrides=(choice.name,) if positions and choice.overridden else (),
        )  # fmt: skip
    return Recommendation(
        says=says,
        action=f"Lower {name} step by step to no more than {_most(limits):g} mg a day.",
        about=name, who="prescriber", category="above", value=_most(limits), unit="mg/d",
        parts=parts, because=because, assumed=list_assumed(patient),
        rests_on=(band, *function.rows), positions=positions,
        would_change=("A newer creatinine.",), stage=Stage.NOW, urgency=Urgency.SOON,
    )  # fmt: skip


def _most(limits: tuple[object, object] | None) -> float | None:
    return float(str(limits[1])) if limits else None


def _band(rows: tuple[Row, ...], clearance: float) -> Row:
    return next(row for row in rows if row.met(clearance))


def _labels(prefix: str, used: str, clearance: float, evidence: Evidence) -> tuple[Position, ...]:
    found = []
    for label, holder in (("eu", "label of the European Union"),
                          ("us", "label of the United States")):  # fmt: skip
        band = _band(evidence.under(f"{prefix}{label}."), clearance)
        found.append(
            Position(holder=holder, says=f"{band.says}.", rests_on=(band,), default=label == used)
        )
    return tuple(found)
