"""What a measurement gives: a value with its error and doubts, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from endplate.facts import Side
from endplate.images.vertebra import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One measured value on its way to becoming a fact.

    Attributes
    ----------
    what
        Concept id of the vocabulary.
    value
        A number with its standard error, or a word.
    level, side, doubts, details, method
        As in `endplate.facts.Fact`.
    of
        The vertebrae whose doubts are its doubts too.
    """

    what: str
    value: Estimate | str
    method: str
    level: str | None = None
    side: Side | None = None
    of: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    details: Mapping[str, float | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """What could not be measured, and why.

    Attributes
    ----------
    what
        What was to be measured, in words, with its level and side.
    reason
        Why it was not: the end of the sentence "... was not measured: ...".
    code
        The end of the problem's id, ``measurement.<code>``.
    try_
        What the user can do about it.
    """

    what: str
    reason: str
    code: str
    try_: str
