"""Published scores of the risk under opioids: RIOSORD in both forms, and SOS as it was scored."""

from __future__ import annotations

from collections.abc import Iterable

from endplate.evidence import Evidence, Row
from endplate.facts import Fact
from endplate.findings import Finding, PartValue, Status
from endplate.medicines.doses import taken
from endplate.medicines.opioids import OPIOID, listed_sum
from endplate.record import Known, Patient
from endplate.rules import rule
from endplate.vocabulary import concept

MME, SOS = "opioid.mme_per_day", "opioid.sos_score"
_LONG_ACTING = "medicine.long_acting_opioid"
_SHARED = (
    "condition.bipolar_or_schizophrenia", "condition.lung_disease", _LONG_ACTING,
    "medicine.methadone", "medicine.benzodiazepine", "medicine.antidepressant", MME,
)  # fmt: skip
_CIVILIAN = (
    "condition.substance_use_disorder", "condition.cerebrovascular_disease",
    "condition.kidney_impairment", "condition.heart_failure",
    "condition.non_malignant_pancreatic_disease", "condition.recurrent_headache",
    "medicine.fentanyl", "medicine.morphine", "medicine.hydromorphone",
)  # fmt: skip
_VETERANS = (
    "condition.opioid_use_disorder", "condition.chronic_hepatitis_or_cirrhosis",
    "condition.kidney_disease", "condition.active_injury", "condition.sleep_apnoea",
    "medicine.oxycodone", "condition.emergency_visit", "condition.hospital_stay",
)  # fmt: skip


@rule("medicines.riosord", reads=(*_CIVILIAN, *_SHARED, OPIOID), scores="riosord")
def riosord(patient: Patient, evidence: Evidence) -> Finding | None:
    """RIOSORD for civilians: a score of overdose or slowed breathing under opioids.

    Source      points not read in the paper: medicines.riosord.civilian.*,
                medicines.riosord.no_absolute_risk
    Population  civilians with opioids; facts of the last six months
    Not for     an absolute risk: it comes from cases and controls
    """
    row = evidence.row("medicines.riosord.civilian.points")
    from_ = evidence.row("medicines.riosord.civilian.high_dose_from")
    points = evidence.row("medicines.riosord.civilian.high_dose")
    return _score("RIOSORD", row, (from_,), points, patient, evidence)


@rule("medicines.riosord_vha", reads=(*_VETERANS, *_SHARED, OPIOID), scores="riosord_vha")
def riosord_vha(patient: Patient, evidence: Evidence) -> Finding | None:
    """RIOSORD for veterans: a score of overdose or slowed breathing under opioids.

    Source      points not read in the paper: medicines.riosord.vha.*,
                medicines.riosord.no_absolute_risk
    Population  veterans with opioids; facts of the last six months
    Not for     an absolute risk: it comes from cases and controls
    """
    row = evidence.row("medicines.riosord.vha.points")
    return _score(
        "RIOSORD (veterans)", row, evidence.under("medicines.riosord.vha.dose."), None, patient,
        evidence,
    )  # fmt: skip


def _score(
    title: str,
    row: Row,
    doses: tuple[Row, ...],
    dose_points: Row | None,
    patient: Patient,
    evidence: Evidence,
) -> Finding | None:
    """The sum of the points; where answers are missing, between what it lies."""
    asked = [str(line["asks"]) for line in row.table]
    known = {what: _known(patient, what) for what in asked}
    dose, of_dose = _dose(patient, evidence)
    parts: dict[str, PartValue] = {}
    least = most = 0.0
    missing: list[str] = []
    for line in row.table:
        what, points = str(line["asks"]), float(line["points"])
        name = what.rpartition(".")[2]
        if known[what].unknown:
            most += points
            missing.append(what)
            parts[f"{name}_points"] = None
            continue
        given = points if known[what].yes else 0.0
        least, most = least + given, most + given
        parts[f"{name}_points"] = given
    by_dose = [(r, float((dose_points or r).table[0]["points"])) for r in doses]
    if dose is None:
        most += max(points for _, points in by_dose)
        missing.append(MME)
        parts["dose_points"] = None
    else:
        given = next((points for r, points in by_dose if r.met(dose)), 0.0)
        least, most = least + given, most + given
        parts["dose_points"] = given
    because = (*(f for k in known.values() for f in k.because), *of_dose)
    caveat = evidence.row("medicines.riosord.no_absolute_risk")
    rests_on = (row, *doses, *((dose_points,) if dose_points else ()), caveat)
    limits = (f"{caveat.says[0].upper()}{caveat.says[1:]}.",)
    if missing and not patient.has(OPIOID).yes:
        return None
    if missing:
        names = ", ".join(concept(what).name for what in missing[:2])
        more = f" and {len(missing) - 2} more" if len(missing) > 2 else ""
        return Finding(
            says=f"{title} cannot be given: {names}{more} not known. From {least:g} to {most:g} "
            f"is still possible.",
            status=Status.UNKNOWN, because=tuple(dict.fromkeys(because)), missing=tuple(missing),
            parts=parts | {"lowest_possible": least, "highest_possible": most},
            rests_on=rests_on, limits=limits,
        )  # fmt: skip
    return Finding(
        says=f"{title} {least:g}; it ranks persons and is no absolute risk.", value=least,
        unit="1", parts=parts, because=tuple(dict.fromkeys(because)), rests_on=rests_on,
        limits=limits,
    )  # fmt: skip


def _known(patient: Patient, what: str) -> Known:
    """Whether it is so; a long-acting opioid also by what is taken, where nobody denied it."""
    denied = patient.latest(_LONG_ACTING) if what == _LONG_ACTING else None
    if denied is not None and denied.value is False:
        return Known("no", (denied,))
    found = patient.has(what)
    if what != _LONG_ACTING or not found.unknown:
        return found
    by_form: Iterable[Fact] = (
        f for one in taken(patient, OPIOID) if one.form in ("long_acting", "patch")
        for f in one.facts
    )  # fmt: skip
    facts = tuple(by_form)
    return Known("yes", facts) if facts else found


def _dose(patient: Patient, evidence: Evidence) -> tuple[float | None, tuple[Fact, ...]]:
    """The equivalents of a day, as given or by the list of medicines, and the facts behind."""
    given = patient.latest(MME)
    if given is not None:
        return given.number, (given,)
    return listed_sum(patient, evidence), patient.has(OPIOID).because


@rule("medicines.sos", reads=(SOS,), scores="sos", needs=(SOS,))
def sos(patient: Patient, evidence: Evidence) -> Finding | None:
    """The group of a score of sustained opioid use after surgery that was scored elsewhere.

    Source      JAMA Netw Open 2019, orthopaedic validation: medicines.sos.*
    Population  adults after surgery, without opioids before
    Not for     computing the score: the points of its items are not available
    """
    given = patient.latest(SOS)
    if given is None:
        return None
    groups = [evidence.row(f"medicines.sos.{name}") for name in ("low", "middle", "high")]
    row = next(row for row in groups if row.met(given.number))
    other = evidence.row("medicines.sos.orthopaedic")
    return Finding(
        says=f"SOS {given.number:g}: {row.says}; {other.says}.",
        value=given.number,
        unit="1",
        category=row.last_name,
        because=(given,),
        rests_on=(row, other),
    )
