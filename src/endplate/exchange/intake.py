"""The one door for values from outside: units, plausibility, dates; and what was refused, why.

Every reader hands what it found to an `Intake`. It comes out as a `Fact` or as a `Problem`,
never as a guess: a number without a unit that fits is refused, a value that no person can have
is refused as a slip, a date in the future is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import date
from functools import lru_cache
from typing import Any

from msgspec import Struct

from endplate import levels, units, vocabulary
from endplate.facts import NOTHING, Fact, Problem, Side, Value
from endplate.posture import Posture
from endplate.units import UnitProblem
from endplate.vocabulary import Concept

YES = frozenset({"yes", "true", "y", "1", "ja", "oui", "sí", "si", "present"})
NO = frozenset({"no", "false", "n", "0", "nein", "non", "absent"})


class Understood(Struct, frozen=True, kw_only=True):
    """What a reader made of its input: facts, problems, and what it left aside."""

    facts: tuple[Fact, ...] = ()
    problems: tuple[Problem, ...] = ()
    ignored: tuple[Problem, ...] = ()


class Intake:
    """Collects facts, problems and what was left aside, folding equal problems into one.

    Parameters
    ----------
    today
        Facts dated after this day are refused; None accepts every date.
    """

    def __init__(self, today: date | None = None) -> None:
        self.today = today
        self.facts: list[Fact] = []
        self._problems: dict[Problem, int] = {}
        self._ignored: dict[Problem, int] = {}

    def understood(self) -> Understood:
        """All that was taken in so far."""
        return Understood(
            facts=tuple(self.facts),
            problems=_folded(self._problems),
            ignored=_folded(self._ignored),
        )

    def problem(self, id: str, says: str, where: str = "", try_: Iterable[str] = ()) -> None:
        """Note something that could not be used although it was meant to be."""
        noted = Problem(problem=id, says=says, where=where, try_=tuple(try_))
        self._problems[noted] = self._problems.get(noted, 0) + 1

    def ignore(self, id: str, says: str, where: str = "", count: int = 1) -> None:
        """Note something that was left aside on purpose."""
        noted = Problem(problem=id, says=says, where=where)
        self._ignored[noted] = self._ignored.get(noted, 0) + count

    @property
    def problem_lines(self) -> int:
        """How many different problems were noted so far."""
        return len(self._problems)

    @property
    def ignored_lines(self) -> int:
        """How many different things were noted as left aside so far."""
        return len(self._ignored)

    def add(self, understood: Understood) -> None:
        """Take in what another reader understood."""
        self.facts.extend(understood.facts)
        for one in understood.problems:
            single = Problem(problem=one.problem, says=one.says, where=one.where, try_=one.try_)
            self._problems[single] = self._problems.get(single, 0) + one.count
        for one in understood.ignored:
            self.ignore(one.problem, one.says, one.where, one.count)

    def take(
        self,
        concept: Concept,
        value: Value,
        *,
        source: str,
        unit: str = "",
        on: date | None = None,
        until: date | None = None,
        level: str | None = None,
        side: Side | None = None,
        posture: Posture | None = None,
        doubts: tuple[str, ...] = (),
        details: Mapping[str, float | str] | None = None,
        method: str | None = None,
        interval: tuple[float, float] | None = None,
        where: str = "",
    ) -> Fact | None:
        """One value from outside as a fact; None, and a problem noted, where it is refused.

        Parameters
        ----------
        concept
            What the value is about; its kind decides how the value is read.
        value, unit
            As found: a number with its unit text, a word, a yes/no, an ISO date.
        interval
            95 % interval of the value, in the concept's own unit.
        where
            The place that a problem names, where that is another than `source`.
        """
        where = where or source
        if on is not None and self.today is not None and on > self.today:
            self.problem(
                "fact.date_in_the_future",
                f"{concept.name}: is dated in the future and was not used.",
                where,
                ("Correct the date at the source.",),
            )
            return None
        taken: Value | None
        if concept.kind == "number":
            taken, more = self._number(concept, value, unit, where)
            doubts = doubts + more
        else:
            taken = self._word(concept, value, where)
        if taken is None:
            return None
        try:
            fact = Fact(
                what=concept.id,
                value=taken,
                unit=concept.unit if concept.kind == "number" else "",
                on=on,
                until=until,
                level=level,
                side=side,
                source=source,
                method=method,
                interval=interval,
                posture=posture,
                quality="doubtful" if doubts else "ok",
                doubts=doubts,
                details=details or NOTHING,
            )
        except ValueError as problem:
            self.problem("fact.not_valid", f"{problem} It was not used.", where)
            return None
        self.facts.append(fact)
        return fact

    def _number(
        self, concept: Concept, value: Any, unit: str, where: str
    ) -> tuple[float | None, tuple[str, ...]]:
        number = _as_number(value)
        if number is None:
            self.problem(
                "fact.not_a_number", f"{concept.name}: needs a number and has none.", where
            )
            return None, ()
        if not (unit == concept.unit or unit in concept.also_written):
            if not unit and concept.unit == "1":
                pass  # a plain ratio has only one way to be written
            else:
                how = conversion(unit, concept.unit, concept.substance)
                if isinstance(how, tuple):
                    number = how[0] * number + how[1]
                else:
                    kind = "missing" if not unit.strip() else "not_usable"
                    self.problem(
                        f"fact.unit_{kind}",
                        f"{concept.name}: was not used. {how}",
                        where,
                        (f"Give the unit at the source; {concept.unit} or one that converts.",),
                    )
                    return None, ()
        if concept.plausible is not None:
            low, high = concept.plausible
            if not low <= number <= high:
                unit_said = "" if concept.unit == "1" else f" {concept.unit}"
                self.problem(
                    "fact.not_plausible",
                    f"{concept.name}: lies outside {low:g} to {high:g}{unit_said} and was "
                    f"not used; the {'unit or the ' if unit_said else ''}value is wrong.",
                    where,
                    (
                        "Check the unit first: a result in another unit is the usual cause.",
                        "If value and unit are right, it may need action at once: call for it.",
                    ),
                )
                return None, ()
        if concept.step is not None and concept.plausible is not None:
            low, high = concept.plausible
            steps = (number - low) / concept.step
            if steps != round(steps):
                self.problem(
                    "fact.not_a_step",
                    f"{concept.name}: has no such answer; it takes {low:g} to {high:g} in steps of "
                    f"{concept.step:g}. It was not used.",
                    where,
                    ("Check the value at the source.",),
                )
                return None, ()
        if concept.usual is not None:
            low, high = concept.usual
            if not low <= number <= high:
                return number, (
                    f"outside the usual {low:g} to {high:g} {concept.unit}: check value and unit",
                )
        return number, ()

    def _word(self, concept: Concept, value: Value, where: str) -> Value | None:
        wrong = ""
        taken: Value | None = None
        if concept.kind == "yes_no":
            word = str(value).strip().lower()
            word = vocabulary.choice_said(concept.id, word) or word
            taken = True if value is True or word in YES else None
            taken = False if value is False or word in NO else taken
            wrong = "needs yes or no"
        elif concept.kind == "category":
            word = str(value).strip().lower().replace(" ", "_").replace("-", "_")
            said = vocabulary.choice_said(concept.id, word)
            taken = word if word in concept.choices else said or None
            wrong = f"needs one of {', '.join(concept.choices)}"
        elif concept.kind == "date":
            taken = _iso(value)
            wrong = "needs a date like 2026-01-31"
        elif concept.kind == "levels":
            try:
                taken = levels.canonical(str(value))
            except ValueError:
                wrong = "needs vertebral levels like L4-S1"
        elif str(value).strip():
            taken = str(value).strip()
        if taken is None:
            self.problem(
                "fact.not_understood", f"{concept.name}: {wrong or 'is empty'}; not used.", where
            )
        return taken


@lru_cache(maxsize=4096)
def conversion(unit: str, to: str, substance: str) -> tuple[float, float] | UnitProblem:
    """Factor and offset between two units, or why there are none; both are remembered.

    A record that writes one unit wrongly writes it so a thousand times.
    """
    try:
        return units.conversion(unit, to, substance)
    except UnitProblem as problem:
        return problem


def _as_number(value: Any) -> float | None:
    if value.__class__ is float and math.isfinite(value):
        return float(value)
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        try:
            value = float(value.strip())
        except ValueError:
            return None
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _iso(value: Any) -> str | None:
    try:
        return date.fromisoformat(str(value)[:10]).isoformat()
    except ValueError:
        return None


def _folded(counted: Mapping[Problem, int]) -> tuple[Problem, ...]:
    return tuple(
        Problem(problem=p.problem, says=p.says, where=p.where, try_=p.try_, count=n)
        for p, n in sorted(counted.items())
    )


def lookup(name: str) -> Concept | None:
    """The concept with that id, or with exactly that name, if any."""
    known = vocabulary.concepts()
    if name in known:
        return known[name]
    wanted = name.strip().lower()
    for concept in known.values():
        if wanted == concept.name.lower() or wanted in (n.lower() for n in concept.names):
            return concept
    return None
