"""Morphine milligram equivalents of a day by the factors of CDC 2022, each opioid in parts."""

from __future__ import annotations

from endplate.evidence import Evidence, Row
from endplate.facts import Fact
from endplate.findings import Finding, PartValue, Stage, Status, Urgency
from endplate.medicines.doses import Taken, list_assumed, taken
from endplate.record import Patient
from endplate.rules import rule

OPIOID, BUPRENORPHINE, FENTANYL = (
    "medicine.opioid", "medicine.buprenorphine", "medicine.fentanyl",
)  # fmt: skip
_FACTOR = "medicines.mme.factor."
_TYPED = tuple(
    f"opioid_dose.{name}"
    for name in (
        "codeine", "fentanyl_patch", "hydrocodone", "hydromorphone", "methadone", "morphine",
        "oxycodone", "oxymorphone", "tapentadol", "tramadol", "buprenorphine",
    )
)  # fmt: skip
_NEVER = "Never use it to change from one opioid to another: the new dose would be too high."
_NOT_MEANT = (
    "condition.sickle_cell_disease", "condition.malignancy", "condition.end_of_life_care",
)  # fmt: skip


class _Line:
    """One opioid in the sum: its equivalents at the highest and at the least, or why none."""

    def __init__(self, name: str, because: tuple[Fact, ...]) -> None:
        self.name = name
        self.because = because
        self.high: float | None = None
        self.least = 0.0
        self.told = ""
        self.missing = ""
        self.rows: tuple[Row, ...] = ()
        self.excluded = False
        self.assumed: tuple[str, ...] = ()


@rule(
    "medicines.mme",
    reads=(OPIOID, *_TYPED, *_NOT_MEANT, "person.medicine_list_complete", "person.age"),
    scores="mme",
    headline=40,
)
def mme(patient: Patient, evidence: Evidence) -> Finding | None:
    """Morphine milligram equivalents of a day, at the highest dose that may be taken.

    Source      CDC 2022: medicines.mme.*
    Population  adults with prescribed opioids by mouth, or as patches of fentanyl
    Not for     changing from one opioid to another; injected opioids; sickle cell disease, active
                cancer, care at the end of life; below 18 years
    Differs     the factors of 2016 (hydromorphone 4, methadone 4 to 12) are not used; the limit of
                90 of 2016 was dropped
    """
    lines = [*_typed(patient, evidence), *_listed(patient, evidence)]
    threshold = evidence.row("medicines.mme.reassess")
    if not lines:
        denied = patient.has(OPIOID)
        if not denied.no:
            return None
        return Finding(
            says="No opioid is taken: 0 morphine milligram equivalents a day.", value=0.0,
            unit="mg/d", category="none", because=denied.because, rests_on=(threshold,),
        )  # fmt: skip
    counted = [line for line in lines if not line.excluded]
    open_ones = [line for line in counted if line.high is None]
    high = round(sum(line.high or 0.0 for line in counted), 6)
    least = round(sum(line.least for line in counted), 6)
    rows = tuple({r.name: r for line in lines for r in line.rows}.values())
    parts = _parts(lines)
    limits, asked, grounds = _limits(patient, evidence)
    because = tuple(dict.fromkeys((*(f for line in lines for f in line.because), *grounds)))
    rests_on = (*rows, threshold, evidence.row("medicines.mme.not_meant_for"),
                evidence.row("medicines.mme.adult_from_age"))  # fmt: skip
    reached, limit = threshold.met(high), f"{threshold.number:g}"
    band = f"{'from' if reached else 'below'}_{limit}"
    if not counted:
        return Finding(
            says="Morphine milligram equivalents are not given: buprenorphine is not converted.",
            status=Status.NOT_APPLICABLE, parts=parts, because=because, rests_on=rests_on,
            limits=limits, assumed=list_assumed(patient),
        )  # fmt: skip
    if open_ones:
        parts |= {"lowest_possible": high, "least": least}
        told = f"Morphine milligram equivalents cannot be given: {_why(open_ones)}"
        if len(open_ones) < len(counted):
            told += f". At the highest it is at least {high:g} a day{_of(counted)}"
        if reached:
            parts["category_either_way"] = band
            told += f", and so in any case at or above {limit}"
        return Finding(
            says=f"{told}.{_excluded(lines)}", status=Status.UNKNOWN, parts=parts,
            because=because, missing=(*dict.fromkeys(line.missing for line in open_ones), *asked),
            assumed=list_assumed(patient), rests_on=rests_on, limits=limits,
            stage=Stage.NOW, urgency=Urgency.SOON if reached else Urgency.ROUTINE,
        )  # fmt: skip
    parts["least"] = least
    span = f" at the highest, {least:g} at the least" if least != high else ""
    side = "at or above" if reached else "below"
    return Finding(
        says=f"Morphine milligram equivalents: {high:g} a day{span}, {side} {limit}{_of(counted)}."
        f"{_excluded(lines)}",
        value=high,
        unit="mg/d",
        category=band,
        parts=parts,
        because=because,
        missing=asked,
        assumed=list_assumed(patient),
        rests_on=rests_on,
        limits=limits,
        stage=Stage.NOW,
        urgency=Urgency.SOON if reached else Urgency.INFORMATION,
    )


def _why(lines: list[_Line]) -> str:
    return "; ".join(f"{line.name}: {line.told}" for line in lines)


def _of(lines: list[_Line]) -> str:
    told = [line.told for line in lines if line.high is not None]
    return f" ({', '.join(told)})" if told else ""


def _excluded(lines: list[_Line]) -> str:
    out = any(line.excluded for line in lines)
    return " Buprenorphine is taken besides; it is not converted and not in the sum." if out else ""


def _parts(lines: list[_Line]) -> dict[str, PartValue]:
    found: dict[str, PartValue] = {}
    for line in lines:
        name, number = line.name.replace(" ", "_"), 2
        while name in found:
            name, number = f"{line.name.replace(' ', '_')}_{number}", number + 1
        found[name] = "excluded" if line.excluded else line.high
        if line.told:
            found[f"{name}_from"] = line.told
        if line.assumed:
            found[f"{name}_assumed"] = "; ".join(line.assumed)
    return found


def _limits(
    patient: Patient, evidence: Evidence
) -> tuple[tuple[str, ...], tuple[str, ...], tuple[Fact, ...]]:
    """Whom it is not meant for, and which of these this person is known to be."""
    row, adult = evidence.row("medicines.mme.not_meant_for"), "medicines.mme.adult_from_age"
    said: list[str] = [_NEVER]
    because: list[Fact] = []
    for line in row.table:
        known = patient.has(str(line["asks"]))
        if known.yes:
            said.append(f"The guideline is not meant for {line['name']}, which is on record.")
            because += known.because
    age = patient.age
    if age is not None and not evidence.row(adult).met(age.number):
        said.append("The guideline is for adults.")
        because.append(age)
    return tuple(said), (() if age else ("person.age",)), tuple(because)


# -- the lines --------------------------------------------------------------------------------


def _typed(patient: Patient, evidence: Evidence) -> list[_Line]:
    """Opioids of which the daily dose itself was given."""
    found = []
    for what in _TYPED:
        fact = patient.latest(what)
        if fact is None:
            continue
        name = what.rpartition(".")[2]
        line = _Line(name.replace("_", " "), (fact,))
        if name == "buprenorphine":
            _exclude(line, evidence)
        else:
            unit = "µg/h" if name == "fentanyl_patch" else "mg a day"
            _count(line, fact.number, fact.number, unit, evidence.row(_FACTOR + name))
        found.append(line)
    return found


def _listed(patient: Patient, evidence: Evidence) -> list[_Line]:
    """Opioids of the list of medicines, but for those whose daily dose was given besides."""
    given = {
        what.rpartition(".")[2].removesuffix("_patch")
        for what in _TYPED
        if patient.latest(what) is not None
    }
    found = []
    there = taken(patient, OPIOID)
    # That an opioid is taken, said of no product, is of one that is named besides.
    named = bool(given) or any(one.ingredient != OPIOID for one in there)
    for one in there:
        if named and one.ingredient == OPIOID and not one.is_product:
            continue
        name = one.ingredient.rpartition(".")[2]
        if name not in given:
            found.append(_line(one, name, evidence))
    for line in found:
        if [other.name for other in found].count(line.name) > 1:
            line.assumed += ("its products are taken beside each other, and add up",)
    return found


def listed_sum(patient: Patient, evidence: Evidence) -> float | None:
    """The equivalents of the list of medicines alone; None where one of them has none."""
    lines = [
        _line(one, one.ingredient.rpartition(".")[2], evidence) for one in taken(patient, OPIOID)
    ]
    highest = [line.high for line in lines if not line.excluded]
    known = [h for h in highest if h is not None]
    return sum(known) if known and len(known) == len(highest) else None


def _line(one: Taken, name: str, evidence: Evidence) -> _Line:
    line = _Line(one.name, one.facts)
    line.assumed = one.assumed
    is_fentanyl = one.ingredient == FENTANYL
    row = evidence.rows.get(f"{_FACTOR}{name}{'_patch' if is_fentanyl else ''}")
    if one.ingredient == BUPRENORPHINE:
        _exclude(line, evidence)
    elif row is None:
        _open(line, "the factors of 2022 have none for it", one.ingredient)
    elif one.form == "injection":
        line.rows = (evidence.row("medicines.mme.by_mouth"),)
        _open(line, "injected, for which there is no factor", one.ingredient)
    elif one.high is None or one.least is None:
        _open(line, "its dose is not known", f"opioid_dose.{row.name.rpartition('.')[2]}")
    elif is_fentanyl and one.unit != "ug/h":
        _open(line, "only patches have a factor", "opioid_dose.fentanyl_patch")
    else:
        unit = "µg/h" if is_fentanyl else "mg a day"
        _count(line, one.high, one.least, unit, row)
    return line


def _count(line: _Line, high: float, least: float, unit: str, row: Row) -> None:
    line.high, line.least = round(high * row.number, 6), round(least * row.number, 6)
    line.told = f"{line.name} {high:g} {unit} x {row.number:g}"
    line.rows = (row,)


def _open(line: _Line, why: str, missing: str) -> None:
    line.told, line.missing = why, missing


def _exclude(line: _Line, evidence: Evidence) -> None:
    line.excluded, line.rows = True, (evidence.row("medicines.mme.excluded"),)
