"""Vertebral levels as values: C1 to S1 with T13 and L6, spans, neighbours, and the column.

A level is never an index. Most spines have 7 cervical, 12 thoracic and 5 lumbar vertebrae;
some have 11 or 13 ribs' vertebrae, 4 or 6 lumbar ones, or one at the border that is partly
sacrum. Which of them a person has is a `Column`, and "the level below" is asked of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from typing import Any, TypeGuard


class Level(StrEnum):
    """One vertebra by name, ordered from the head downwards (``Level.T12 < Level.L1``)."""

    C1, C2, C3, C4, C5, C6, C7 = (f"C{n}" for n in range(1, 8))
    T1, T2, T3, T4, T5, T6, T7, T8, T9, T10, T11, T12, T13 = (f"T{n}" for n in range(1, 14))
    L1, L2, L3, L4, L5, L6 = (f"L{n}" for n in range(1, 7))
    S1 = "S1"

    @property
    def region(self) -> str:
        """The first letter: C, T, L or S."""
        return self.value[0]

    def __lt__(self, other: Any) -> bool:
        return _POSITION[self] < _POSITION[Level(other)]

    def __le__(self, other: Any) -> bool:
        return _POSITION[self] <= _POSITION[Level(other)]

    def __gt__(self, other: Any) -> bool:
        return _POSITION[self] > _POSITION[Level(other)]

    def __ge__(self, other: Any) -> bool:
        return _POSITION[self] >= _POSITION[Level(other)]


_POSITION = {level: n for n, level in enumerate(Level)}
PATTERN = r"^[CTLS][0-9]{1,2}(-[CTLS][0-9]{1,2})?$"
_WRITTEN = re.compile(r"^\s*([CTDLS])\s*0?(\d{1,2})\s*$", re.IGNORECASE)
_BETWEEN = re.compile(r"\s*(?:-|–|/|\bto\b)\s*", re.IGNORECASE)


class Transition(StrEnum):
    """How the vertebra at the lumbosacral border deviates, where it does."""

    SACRALISED = "sacralised"
    LUMBARISED = "lumbarised"


@dataclass(frozen=True, slots=True)
class Span:
    """A run of vertebrae from `first` down to `last`, or the one vertebra if they are equal."""

    first: Level
    last: Level

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise ValueError(f"{self.first}-{self.last}: a span is written from the head down.")

    def __str__(self) -> str:
        return self.first.value if self.first == self.last else f"{self.first}-{self.last}"

    def __contains__(self, level: object) -> bool:
        return isinstance(level, str) and self.first <= Level(level) <= self.last


@dataclass(frozen=True, slots=True)
class Column:
    """Which vertebrae one person has, so that neighbours can be named.

    Attributes
    ----------
    thoracic, lumbar
        How many rib-bearing (11-13) and lumbar (4-6) vertebrae there are.
    transition
        Whether the vertebra at the lumbosacral border is a transitional one.
    """

    thoracic: int = 12
    lumbar: int = 5
    transition: Transition | None = None

    def __post_init__(self) -> None:
        if self.thoracic not in (11, 12, 13) or self.lumbar not in (4, 5, 6):
            raise ValueError("Column: needs 11-13 thoracic and 4-6 lumbar vertebrae.")

    @classmethod
    def of(cls, seen: list[Level] | tuple[Level, ...] | set[Level]) -> Column:
        """The usual column, with T13 or L6 where such a vertebra was seen."""
        return cls(13 if Level.T13 in seen else 12, 6 if Level.L6 in seen else 5)

    @property
    def levels(self) -> tuple[Level, ...]:
        """All vertebrae of this column from C1 to S1."""
        count = {"C": 7, "T": self.thoracic, "L": self.lumbar, "S": 1}
        return tuple(v for v in Level if int(v.value[1:]) <= count[v.region])

    def below(self, level: Level) -> Level | None:
        """The next vertebra towards the feet; None below S1."""
        return self._neighbour(level, +1)

    def above(self, level: Level) -> Level | None:
        """The next vertebra towards the head; None above C1."""
        return self._neighbour(level, -1)

    def _neighbour(self, level: Level, step: int) -> Level | None:
        there = self.levels
        if level not in there:
            raise ValueError(
                f"{level}: is not in a spine with {self.thoracic} thoracic and "
                f"{self.lumbar} lumbar vertebrae."
            )
        at = there.index(level) + step
        return there[at] if 0 <= at < len(there) else None

    def within(self, span: Span) -> tuple[Level, ...]:
        """The vertebrae of this column that a span runs over, from the head down."""
        return tuple(v for v in self.levels if span.first <= v <= span.last)

    def segments(self, span: Span) -> tuple[Span, ...]:
        """The motion segments inside a span: ``L4-S1`` holds ``L4-L5`` and ``L5-S1``."""
        there = self.within(span)
        return tuple(Span(a, b) for a, b in pairwise(there))

    def adjacent(self, upper: Level, lower: Level) -> bool:
        """Whether `lower` is the very next vertebra below `upper`."""
        return self.below(upper) == lower


USUAL = Column()


@lru_cache(maxsize=1024)
def level(text: str) -> Level:
    """The vertebra that a text such as ``L3``, ``l3``, ``D12`` or ``Th5`` names.

    Raises
    ------
    ValueError
        If it names no vertebra from C1 to S1 (T13 and L6 included).
    """
    match = _WRITTEN.match(text.replace("Th", "T").replace("TH", "T").replace("th", "t"))
    if match:
        region = match[1].upper().replace("D", "T")  # D for "dorsal" is usual in Europe
        try:
            return Level(f"{region}{int(match[2])}")
        except ValueError:
            pass
    raise ValueError(f"{text!r}: is no vertebral level. Levels are C1-C7, T1-T13, L1-L6 and S1.")


@lru_cache(maxsize=1024)
def span(text: str) -> Span:
    """The run of vertebrae that a text such as ``L4-S1``, ``L4/5`` or ``T10 to L2`` names."""
    parts = _BETWEEN.split(text.strip())
    first = level(parts[0])
    if len(parts) == 1:
        return Span(first, first)
    if len(parts) != 2:
        raise ValueError(f"{text!r}: is no span of levels. Write it like 'L4-S1'.")
    last = parts[1] if not parts[1].isdigit() else first.region + parts[1]
    return Span(first, level(last))


def canonical(text: str) -> str:
    """A level or span in its one written form, such as ``L3`` or ``L4-S1``."""
    return str(span(text))


def is_vertebra(text: str | None) -> TypeGuard[str]:
    """Whether a fact's level is one vertebra, not a span or nothing."""
    return text is not None and text in Level.__members__


def order(text: str | None) -> tuple[int, int]:
    """A sorting key that puts levels from the head down, and what has no level first."""
    if text is None:
        return (-1, -1)
    run = span(text)
    return (_POSITION[run.first], _POSITION[run.last])
