"""Radiographs of one person measured together: each alone, and pairs of a slot scanner in space."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import TYPE_CHECKING, Literal

from endplate import levels
from endplate.alignment.geometry import Parameter, of_the_junction
from endplate.alignment.geometry import measure as measured_alone
from endplate.alignment.landmarks import Radiograph
from endplate.evidence import Evidence
from endplate.facts import Fact, InputProblem, Problem, in_order
from endplate.levels import Level

if TYPE_CHECKING:
    from endplate.alignment.space import Space

When = Literal["before", "after"]
_DONE = ("procedure.spinal_instrumentation", "procedure.spinal_fusion")
_INTENDED = ("fusion", "interbody_fusion", "deformity_correction", "fixation")
_NOT_RECORDED = "that the intended operation was done is not recorded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A fusion whose junction is looked at.

    Attributes
    ----------
    upper
        The upper instrumented vertebra.
    on
        The day of it, where known.
    undated
        What films are where that day is not known; None: it cannot be told.
    is_intended
        Whether nothing but an intention is known of it.
    """

    upper: Level
    on: date | None = None
    undated: When | None = None
    is_intended: bool = False

    def when(self, film: Radiograph) -> When | None:
        """Whether a film was taken before or after it; None where the days do not tell."""
        if self.on is None:
            return self.undated
        if film.on is None or film.on == self.on:
            return None
        return "before" if film.on < self.on else "after"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Measured:
    """What some films give.

    Attributes
    ----------
    of_film
        Of each film in the order given what it gives alone, or why it gives nothing.
    facts
        Of all films, alone and in space; lengths without magnification where places are known.
    spaces
        The names of two films → what they place in space.
    """

    of_film: tuple[tuple[Fact, ...] | InputProblem, ...]
    facts: tuple[Fact, ...]
    problems: tuple[Problem, ...]
    spaces: Mapping[str, Space]


def measure(
    films: Sequence[Radiograph], evidence: Evidence, operations: Sequence[Operation] = ()
) -> Measured:
    """Everything that radiographs of one person give, of whatever days, and what they do not."""
    of_film: list[tuple[Fact, ...] | InputProblem] = []
    facts: list[Fact] = []
    problems: list[Problem] = []
    usable: list[Radiograph] = []
    for film in films:
        asked, untold = _asked(film, operations)
        try:
            found, missing = measured_alone(film, evidence, asked)
        except InputProblem as refusal:
            of_film.append(refusal)
            continue
        of_film.append(found)
        facts += found
        problems += (*missing, *untold)
        usable.append(film)
    spaces: dict[str, Space] = {}
    for lateral, frontal in _pairs(usable):
        facts = _in_space(lateral, frontal, facts, problems, spaces, evidence)
    return Measured(
        of_film=tuple(of_film), facts=in_order(facts), problems=tuple(problems), spaces=spaces
    )


# -- in space ---------------------------------------------------------------------------------


def _pairs(films: Sequence[Radiograph]) -> Iterator[tuple[Radiograph, Radiograph]]:
    """Both views of one day and posture, where a slot scanner took one of them at least.

    Where there is one film of each view they are tried in any case: then it is said why not.
    """
    lateral, frontal = ([f for f in films if f.view == view] for view in ("lateral", "frontal"))
    if len(lateral) == len(frontal) == 1:
        together = [(lateral[0], frontal[0])]
    else:
        together = [
            (one, other) for one in lateral for other in frontal
            if (one.on, one.posture) == (other.on, other.posture)
        ]  # fmt: skip
    for one, other in together:
        if one.fan is not None or other.fan is not None:
            yield one, other


def _in_space(
    lateral: Radiograph,
    frontal: Radiograph,
    facts: Sequence[Fact],
    problems: list[Problem],
    spaces: dict[str, Space],
    evidence: Evidence,
) -> list[Fact]:
    """The facts with what both films of a slot scanner give together."""
    from endplate.alignment import biplanar  # noqa: PLC0415 - few films are a pair

    where = f"{lateral.name}, {frontal.name}"
    try:
        together = biplanar.measure(lateral, frontal, evidence)
    except InputProblem as refusal:  # placed in space the points contradict one another
        problems.append(Problem(problem="alignment.no_pair", says=str(refusal), where=where))
        return list(facts)
    problems += together.problems
    if together.space is not None:
        spaces[where] = together.space
    return [*biplanar.corrected(facts, together.lengths), *together.facts]


# -- the junction above a fusion --------------------------------------------------------------


def operations_of(facts: Iterable[Fact]) -> tuple[Operation, ...]:
    """The fusions that are recorded with their levels, and the one that is intended."""
    known = list(facts)
    done = [f for f in known if f.what in _DONE and f.value is True and f.level is not None]
    found = []
    for on, together in groupby(sorted(done, key=_day), lambda f: f.on):
        upper = min(levels.span(str(f.level)).first for f in together)
        found.append(Operation(upper=upper, on=on))
    intent = {f.what: f for f in sorted(known, key=_day) if f.what.startswith("intent.")}
    procedure, span = intent.get("intent.procedure"), intent.get("intent.levels")
    if procedure is not None and span is not None and procedure.value in _INTENDED:
        day = intent.get("intent.date")
        found.append(Operation(
            upper=levels.span(str(span.value)).first, undated="before", is_intended=True,
            on=date.fromisoformat(str(day.value)) if day else None,
        ))  # fmt: skip
    return tuple(one for one in found if one.upper < Level.S1)


def _day(fact: Fact) -> date:
    return fact.on or date.min


def _asked(
    film: Radiograph, operations: Sequence[Operation]
) -> tuple[list[Parameter], list[Problem]]:
    """What is asked of a film about junctions: those of the last operation and of the next."""
    if film.view != "lateral" or not operations:
        return [], []
    told = {one: when for one in operations if (when := one.when(film)) is not None}
    last = max((o for o, w in told.items() if w == "after"), key=_order, default=None)
    next_one = min((o for o, w in told.items() if w == "before"), key=_order, default=None)
    doubtful = last if last is not None and last.is_intended else None
    asked = [
        parameter
        for one in (last, next_one) if one is not None
        for parameter in of_the_junction(
            one.upper, told[one], film.points, (_NOT_RECORDED,) if one is doubtful else ()
        )
    ]  # fmt: skip
    if told:
        return asked, []
    return [], [Problem(
        problem="alignment.junction_undated", where=film.name,
        says="Whether the film was taken before or after the fusion cannot be told by their days: "
        "no proximal junctional angle.",
        try_=("Give the day of the film, and that of the operation.",),
    )]  # fmt: skip


def _order(operation: Operation) -> tuple[date, bool]:
    return operation.on or date.max, not operation.is_intended
