"""Findings: the one kind of answer that every page, card, command and file renders."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from types import MappingProxyType

from msgspec import Struct, field
from msgspec.structs import force_setattr

from endplate.evidence import Citation, Row
from endplate.facts import NOTHING, Fact, plain

PartValue = float | str | bool | None


class Stage(StrEnum):
    """Where in a person's care a finding belongs; in the order in which it is shown."""

    RED_FLAGS = "red_flags"
    NOW = "now"
    BEFORE_SURGERY = "before_surgery"
    DURING_SURGERY = "during_surgery"
    AFTER_SURGERY = "after_surgery"
    WITHOUT_SURGERY = "without_surgery"
    BACKGROUND = "background"


class Urgency(StrEnum):
    """How soon somebody has to look at it."""

    EMERGENCY = "emergency"
    SOON = "soon"
    ROUTINE = "routine"
    INFORMATION = "information"


class Status(StrEnum):
    """Whether a rule could answer."""

    ANSWERED = "answered"
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "not_applicable"


class Position(Struct, frozen=True, kw_only=True):
    """What one source holds where several speak, or disagree; none of them is averaged away."""

    holder: str
    says: str
    rests_on: tuple[Row, ...] = ()
    default: bool = False


class Finding(Struct, frozen=True, kw_only=True, gc=False, tag_field="kind", tag="finding"):
    """A true sentence about one person, with its reasons.

    Attributes
    ----------
    rule, about
        The rule's stable id, and what the sentence is about where the rule speaks more than
        once (a level, a site, an agent). Together they are the finding's `key`.
    says
        One plain sentence, true as printed.
    status, value, unit, category, parts
        Whether the rule could answer; its number; its class; named components.
    because, missing, assumed
        The facts it rests on; concept ids that would change or firm up the answer; facts that
        nobody gave and that were taken as true, always shown.
    rests_on, cites, edition, strength, verified
        The evidence rows applied, and what follows from them. Verified means that every
        number was read in its source; a choice of ours has no source to be read in.
    positions
        Where several sources speak, or disagree: each of them.
    limits
        Whom or what it is not for.
    stage, urgency
        Where in care it belongs, how soon.
    overrides
        Names of rows or choices in it that are a clinic's own.
    """

    says: str
    rule: str = ""
    about: str = ""
    status: Status = Status.ANSWERED
    value: float | None = None
    unit: str = ""
    category: str | None = None
    parts: Mapping[str, PartValue] = field(default_factory=dict)
    because: tuple[Fact, ...] = ()
    missing: tuple[str, ...] = ()
    assumed: tuple[Fact, ...] = ()
    rests_on: tuple[Row, ...] = ()
    cites: tuple[Citation, ...] = ()
    edition: str = ""
    strength: str = ""
    verified: bool = True
    positions: tuple[Position, ...] = ()
    limits: tuple[str, ...] = ()
    stage: Stage = Stage.BACKGROUND
    urgency: Urgency = Urgency.INFORMATION
    overrides: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.says.strip():
            raise ValueError("Finding: says nothing.")
        if self.value is not None and not self.unit:
            raise ValueError(f"{self.rule}: a value needs a unit ('1' for a ratio).")
        if self.status is Status.UNKNOWN and not self.missing:
            raise ValueError(f"{self.rule}: an unknown answer names what is missing.")
        force_setattr(self, "value", plain(self.value))
        parts = {name: plain(part) for name, part in self.parts.items()} if self.parts else {}
        force_setattr(self, "parts", MappingProxyType(parts) if parts else NOTHING)

    @property
    def key(self) -> str:
        """``rule`` or ``rule@about``: the same in page, audit trail and JSON."""
        return f"{self.rule}@{self.about}" if self.about else self.rule


class Check(Struct, frozen=True, kw_only=True):
    """One contraindication or condition that was looked for, and what was found."""

    what: str
    answer: str
    says: str
    because: tuple[Fact, ...] = ()


class Recommendation(
    Finding, frozen=True, kw_only=True, gc=False, tag_field="kind", tag="recommendation"
):
    """A finding that proposes an action to a clinician.

    Attributes
    ----------
    action
        What is proposed, as an instruction that begins with a verb.
    who, by
        Who would do it, and the latest useful day where the operation date is known.
    alternatives
        What else could be done.
    checked
        The contraindications looked for: ``yes``, ``no`` or ``unknown`` each.
    would_change
        What would turn it round.
    """

    action: str
    who: str = ""
    by: date | None = None
    alternatives: tuple[str, ...] = ()
    checked: tuple[Check, ...] = ()
    would_change: tuple[str, ...] = ()


AnyFinding = Finding | Recommendation
