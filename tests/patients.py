"""Patients for tests, said as a clinician would say them.

``patient().woman(67).with_dxa(total_hip=-2.7).wanting("fusion", "L4-S1")`` is a record.
"""

from __future__ import annotations

from datetime import date
from typing import Any

from endplate import vocabulary
from endplate.facts import Fact
from endplate.record import Patient, PatientRecord

ON = date(2026, 6, 1)
RECENT = date(2026, 5, 1)


def fact(what: str, value: Any = True, **more: Any) -> Fact:
    """A fact in its concept's own unit, dated a month before `ON` unless told otherwise."""
    concept = vocabulary.concept(what)
    if concept.kind == "number":
        value = float(value)
        more.setdefault("unit", concept.unit)
    elif isinstance(value, date):
        value = value.isoformat()
    more.setdefault("source", "test")
    if not what.startswith(("person.sex", "person.birth_date", "intent.")):
        more.setdefault("on", RECENT)
    return Fact(what=what, value=value, **more)


def facts_from(table: dict[str, Any]) -> list[Fact]:
    """Facts from a case table: ``{"bone.t_score.total_hip" = -2.5}`` or tables or lists of them.

    ``"questionnaire.odi.answers" = "2,,3"`` stands for the items of a form, with blanks.
    """
    found = []
    for what, given in table.items():
        form, _, answers = what.rpartition(".")
        if answers == "answers":
            for number, answer in enumerate(given.split(","), 1):
                item = vocabulary.concept(f"{form}.item{number}")
                if answer:
                    value = float(answer) if item.kind == "number" else answer == "1"
                    found.append(fact(item.id, value))
            continue
        for cells in given if isinstance(given, list) else [given]:
            if isinstance(cells, dict):
                cells = dict(cells)
                found.append(fact(what, cells.pop("value", True), **cells))
            else:
                found.append(fact(what, cells))
    return found


class PatientBuilder:
    """Adds facts one after the other; `record` and `known_on` give the result."""

    def __init__(self) -> None:
        self.facts: list[Fact] = []

    def having(self, what: str, value: Any = True, **more: Any) -> PatientBuilder:
        self.facts.append(fact(what, value, **more))
        return self

    def woman(self, age: int) -> PatientBuilder:
        return self.having("person.sex", "female").having("person.age", age)

    def man(self, age: int) -> PatientBuilder:
        return self.having("person.sex", "male").having("person.age", age)

    def with_dxa(self, **sites: float) -> PatientBuilder:
        for site, t in sites.items():
            self.having(f"bone.t_score.{site}", t)
        return self

    def with_attenuation(
        self, kilovolts: float = 120, contrast: str = "no", **levels: float
    ) -> PatientBuilder:
        details = {"tube_voltage": float(kilovolts), "contrast": contrast}
        for level, hounsfield in levels.items():
            level = level.replace("_", "-")
            self.having("ct.hounsfield.three_location", hounsfield, level=level, details=details)
        return self

    def wanting(self, procedure: str, levels: str, on: date | None = None) -> PatientBuilder:
        self.having("intent.procedure", procedure).having("intent.levels", levels)
        return self.having("intent.date", on) if on else self

    @property
    def record(self) -> PatientRecord:
        return PatientRecord.of(self.facts)

    def known_on(self, on: date = ON) -> Patient:
        return self.record.known_on(on)


def patient() -> PatientBuilder:
    return PatientBuilder()
