"""Facts: the dated, sourced values that every rule reads, and the problems met on the way."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import date
from operator import ge, gt, le, lt
from types import MappingProxyType, NoneType
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field
from msgspec.structs import force_setattr

from endplate import levels
from endplate.posture import Posture

Side = Literal["left", "right"]
Quality = Literal["ok", "doubtful"]
Value = float | str | bool
LevelText = Annotated[str, Meta(pattern=levels.PATTERN)]

_PLAIN = frozenset({float, int, str, bool, NoneType})
NOTHING: Mapping[str, float | str] = MappingProxyType({})


class InputProblem(ValueError):
    """Something that the user can mend: shown without a traceback, exit code 2, HTTP 422.

    Written as ``<thing>: <what cannot be done>. <needed>; <got>. <what to do next>.`` and
    never with a patient's name, identifier or value in it.
    """


class Defect(RuntimeError):
    """A fault of ours: exit code 1, and a reference to report it by."""


class Problem(Struct, frozen=True, kw_only=True, order=True):
    """One thing that was not understood or not used, and why.

    Attributes
    ----------
    problem
        Stable dotted id, such as ``fhir.unit_unknown``.
    says
        One sentence: what happened, and what it means for the result.
    where
        File, resource or field; never a patient's value.
    try_
        What the user can do, most useful first (``try`` in JSON).
    count
        How often it happened, where equal problems were folded into one line.
    """

    problem: str
    says: str
    where: str = ""
    try_: tuple[str, ...] = field(default=(), name="try")
    count: int = 1


class Bounded(float):
    """A number of which only a bound is known, such as a laboratory's "below 20".

    Comparing it with a cut-off gives what holds just beyond the bound; what holds farther out is
    asked separately (`Patient.extremes`). It prints with its sign.
    """

    sign: str

    def __new__(cls, value: float, sign: str) -> Bounded:
        """The bound, and on which side of it the number lies: ``<``, ``<=``, ``>`` or ``>=``."""
        made = super().__new__(cls, value)
        made.sign = sign
        return made

    def __format__(self, how: str) -> str:
        return f"{self.sign}{float(self):{how}}"

    def compared(self, compare: str, with_: float) -> bool:
        """Whether a number just beyond the bound lies on that side of a cut-off."""
        value = float(self)
        if value != with_ or self.sign in ("<=", ">="):
            return bool(_COMPARED[compare](value, with_))
        return (self.sign == "<") == (compare in ("below", "at_most"))


_COMPARED = {"below": lt, "at_most": le, "above": gt, "at_least": ge}


class Fact(Struct, frozen=True, kw_only=True, gc=False):
    """One dated, sourced value about one person.

    A fact is valid or it does not exist: building one from a value that is not finite, a
    level that is no level, or an interval that does not hold its value raises `ValueError`.

    Attributes
    ----------
    what
        Concept id of the vocabulary, such as ``bone.t_score.femoral_neck``.
    value
        A number in `unit`, a category or text, or true / false for "has" / "has not".
    unit
        UCUM; ``1`` for a ratio, empty where the value is not a number.
    on, until
        The day it was true from (or was measured), and the day it ended, where known.
    level, side
        ``L3`` or ``L4-L5``; the patient's left or right.
    source
        Where it came from: ``Observation/123``, ``SOP 1.2.3 frame 4``, ``case.toml``.
    method
        Id and version of the measuring method, for a measurement of ours.
    interval
        95 % interval of the value's error, where known.
    posture
        The posture in which it was measured, where that can matter.
    quality, doubts
        ``ok``, or ``doubtful`` with the reasons.
    details
        Further numbers of the same measurement (median, SD, voxel count) or words about it.
    """

    what: str
    value: Value
    unit: str = ""
    on: date | None = None
    until: date | None = None
    level: LevelText | None = None
    side: Side | None = None
    source: str = ""
    method: str | None = None
    interval: tuple[float, float] | None = None
    posture: Posture | None = None
    quality: Quality = "ok"
    doubts: tuple[str, ...] = ()
    details: Mapping[str, float | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        value = self.value
        if not self.what:
            raise ValueError("Fact: has no concept id.")
        if value.__class__ not in _PLAIN:
            value = plain(value)
            force_setattr(self, "value", value)
        if value.__class__ is float or value.__class__ is int:
            if not math.isfinite(value):
                raise ValueError(f"{self.what}: the value is not a finite number.")
            if not self.unit:
                raise ValueError(f"{self.what}: a number needs a unit ('1' for a ratio).")
        elif self.unit:
            raise ValueError(f"{self.what}: only a number has a unit.")
        if self.until is not None and self.on is not None and self.until < self.on:
            raise ValueError(f"{self.what}: ends before it begins.")
        if self.level is not None:
            force_setattr(self, "level", levels.canonical(self.level))
        if self.interval is not None:
            low, high = self.interval
            if not (math.isfinite(low) and math.isfinite(high) and low <= self.number <= high):
                raise ValueError(f"{self.what}: the interval does not hold the value.")
        if (self.quality == "doubtful") != bool(self.doubts):
            raise ValueError(f"{self.what}: a doubtful fact says why, and only a doubtful one.")
        if self.details is not NOTHING:
            details = {name: plain(detail) for name, detail in self.details.items()}
            force_setattr(self, "details", MappingProxyType(details) if details else NOTHING)

    def __hash__(self) -> int:
        return hash((self.what, self.value, self.on, self.level, self.side, self.source))

    @property
    def number(self) -> float:
        """The value as a number; `TypeError` where the fact holds a word or a yes/no."""
        value = self.value
        if self.details and "comparator" in self.details:
            return Bounded(float(value), str(self.details["comparator"]))
        if value.__class__ is float:
            return value
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError(f"{self.what}: holds no number.")
        return float(value)

    def doubted(self, *reasons: str) -> Fact:
        """The same fact, marked doubtful for `reasons` as well as for those it had."""
        doubts = (*self.doubts, *(r for r in reasons if r not in self.doubts))
        return replaced(self, doubts=doubts, quality="doubtful" if doubts else "ok")


def plain(value: Any) -> Any:
    """A number or truth value of numpy, or a bound, as Python's own; everything else as it is."""
    if value.__class__ is Bounded:
        return float(value)
    return value if value.__class__ in _PLAIN or not hasattr(value, "item") else value.item()


def replaced(fact: Fact, **changes: Any) -> Fact:
    """A copy of `fact` with some fields changed, checked like any other fact."""
    fields = {name: getattr(fact, name) for name in fact.__struct_fields__}
    return Fact(**{**fields, **changes})


def in_order(facts: Iterable[Fact]) -> tuple[Fact, ...]:
    """The facts in the one order in which they are always written out."""
    given = list(facts)
    places = [_place(fact) for fact in given]
    if len(set(places)) < len(places):
        places = [(*place, _all_of(fact)) for place, fact in zip(places, given, strict=True)]
    return tuple(given[n] for n in sorted(range(len(given)), key=places.__getitem__))


def _place(fact: Fact) -> tuple[object, ...]:
    on = fact.on or date.min
    return (fact.what, levels.order(fact.level), fact.side or "", on, fact.source, str(fact.value))


def _all_of(fact: Fact) -> str:
    """What tells two facts apart that are about the same thing on the same day: every field."""
    fields = {name: getattr(fact, name) for name in fact.__struct_fields__}
    return repr(fields | {"details": sorted(fact.details.items())})
