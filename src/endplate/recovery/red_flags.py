"""Red flags after an operation on the spine: what is an emergency, and what a call the same day."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from endplate import vocabulary
from endplate.evidence import Evidence, Row
from endplate.findings import (
    AnyFinding,
    Finding,
    PartValue,
    Position,
    Recommendation,
    Stage,
    Status,
    Urgency,
)
from endplate.record import UNKNOWN, Known, Patient
from endplate.rules import rule
from endplate.vocabulary import concept

_TEMPERATURE, _DAY = "after_surgery.temperature", "after_surgery.day"
_AFTER = " after the operation"  # in the names of reports, and once in a sentence
_REPORTS = tuple(c for c in vocabulary.concepts() if c.startswith("after_surgery."))


class Flag(Struct, frozen=True, kw_only=True):
    """One flag: whether it is there, what would tell, and the cut-off it was held against."""

    what: str
    known: Known
    missing: tuple[str, ...]
    rows: tuple[Row, ...]

    @property
    def name(self) -> str:
        """What a clinician calls it, with its number where it has one."""
        named = concept(self.what)
        short = named.name.replace(_AFTER, "")
        number = [f for f in self.known.because if f.what == self.what]
        if named.kind != "number" or not number:
            return short
        unit = {"Cel": " °C", "d": " days"}.get(named.unit, "")
        return f"{short.partition(',')[0]} {number[0].number:g}{unit}"


def _flag(line: Mapping[str, Any], patient: Patient, evidence: Evidence) -> Flag:
    what, beside = str(line["asks"]), str(line.get("with", ""))
    rows: tuple[Row, ...] = ()
    if "cut" in line:
        rows = (evidence.row(str(line["cut"])),)
        fact = patient.latest(what)
        known = UNKNOWN
        if fact is not None:
            known = Known("yes" if rows[0].met(fact.number) else "no", (fact,))
    else:
        known = patient.has(what)
    missing = (what,) if known.unknown else ()
    if beside and not known.no:
        other = patient.has(beside)
        missing = (*missing, *((beside,) if other.unknown else ()))
        if other.no:
            known, missing = other, ()
        elif known.yes:
            known = Known(other.answer, (*known.because, *other.because))
    return Flag(what=what, known=known, missing=missing, rows=rows)


@rule(
    "recovery.red_flags",
    reads=_REPORTS,
    scores="post_operative_red_flags",
)
def red_flags(patient: Patient, evidence: Evidence) -> Iterator[AnyFinding]:
    """Red flags after spine surgery: what was found, denied, never asked, and how soon to act.

    Source      usual advice, not read in a source (recovery.red_flags.*, recovery.red_flag.*);
                waits for a clinician's signature
    Population  adults after spine surgery
    Not for     telling a person at home that nothing is wrong: ask, look, and see in doubt
    Differs     fever counts from 38.0 °C on any day; another reading is shown beside it
    """
    tables = {n: evidence.row(f"recovery.red_flags.{n}") for n in ("emergency", "same_day")}
    flags = {n: [_flag(x, patient, evidence) for x in row.table] for n, row in tables.items()}
    every = [f for found in flags.values() for f in found]
    if all(f.known.unknown and not f.known.because for f in every) and not _reported(patient):
        return
    there = {n: [f for f in found if f.known.yes] for n, found in flags.items()}
    rows = (*tables.values(), *(r for f in every for r in f.rows))
    yield _summary(every, there, rows)
    if there["emergency"]:
        yield _act(
            "emergency", there["emergency"], (), (tables["emergency"],), (),
            "Send the person to the emergency department at once, by ambulance where breathing, "
            "chest or neck are concerned, and tell the operating team.", Urgency.EMERGENCY,
        )  # fmt: skip
    if there["same_day"]:
        missing = tuple(w for f in flags["emergency"] for w in f.missing)
        yield _act(
            "same_day", there["same_day"], missing, (tables["same_day"],),
            _other_reading(there["same_day"], patient, evidence),
            "See the person today, or have the operating team call today.", Urgency.SOON,
        )  # fmt: skip


def _reported(patient: Patient) -> bool:
    """Whether something is known of what counts only beside another, such as more opioid."""
    return any(patient.facts(what) for what in _REPORTS if what != _DAY)


def _summary(every: list[Flag], there: Mapping[str, list[Flag]], rows: tuple[Row, ...]) -> Finding:
    missing = tuple(dict.fromkeys(w for f in every for w in f.missing))
    category = next((name for name, found in there.items() if found), None)
    found = [f.name for flags in there.values() for f in flags]
    unasked = [concept(w).name.replace(_AFTER, "") for w in missing]
    says = f"found {', '.join(found)}" if found else "none found"
    left = f". Not asked: {', '.join(unasked)}" if unasked else ""
    parts: dict[str, PartValue] = {
        f.what.rpartition(".")[2]: None if f.missing else f.known.yes for f in every
    }
    return Finding(
        says=f"Red flags after the operation: {says}{left}.",
        status=Status.ANSWERED if category or not missing else Status.UNKNOWN,
        category=category or ("not_all_asked" if missing else "none_found"),
        parts=parts,
        because=tuple(dict.fromkeys(x for f in every for x in f.known.because)),
        missing=missing,
        rests_on=rows,
        stage=Stage.RED_FLAGS,
    )


def _act(
    name: str, flags: list[Flag], missing: tuple[str, ...], rows: tuple[Row, ...],
    positions: tuple[Position, ...], action: str, urgency: Urgency,
) -> Recommendation:  # fmt: skip
    soon = "an emergency" if urgency is Urgency.EMERGENCY else "a matter of today"
    return Recommendation(
        says=f"After the operation, {soon}: {', '.join(f.name for f in flags)}.",
        about=name,
        action=action,
        who="whoever hears of it",
        category=name,
        because=tuple(dict.fromkeys(x for f in flags for x in f.known.because)),
        missing=missing,
        rests_on=(*rows, *(r for f in flags for r in f.rows)),
        positions=positions,
        stage=Stage.RED_FLAGS,
        urgency=urgency,
    )


def _other_reading(flags: list[Flag], patient: Patient, evidence: Evidence) -> tuple[Position, ...]:
    """The other reading of fever, shown beside where fever is found."""
    if not any(f.what == _TEMPERATURE for f in flags):
        return ()
    row, day = evidence.row("recovery.red_flag.temperature_later"), patient.latest(_DAY)
    when = f"; this is day {day.number:g}" if day else "; the day is not known"
    return (Position(holder="another reading", says=f"{row.says}{when}", rests_on=(row,)),)
