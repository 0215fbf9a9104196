"""The patient record: all facts about one person, and the questions that rules ask of it.

A question about presence answers yes, no or unknown, and the answer refuses to be used as a
plain true or false: what nobody wrote down is unknown, and unknown is never no.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from functools import cached_property

from msgspec import Struct

from endplate import levels, vocabulary
from endplate.evidence import Evidence
from endplate.facts import Fact, InputProblem, in_order, replaced
from endplate.findings import AnyFinding
from endplate.levels import Column, Level, Span


class Known(Struct, frozen=True, gc=False):
    """The answer to "is it so?": yes, no or unknown, with the facts that say it."""

    answer: str
    because: tuple[Fact, ...] = ()

    @property
    def yes(self) -> bool:
        """Whether it is known to be so."""
        return self.answer == "yes"

    @property
    def no(self) -> bool:
        """Whether it is known not to be so."""
        return self.answer == "no"

    @property
    def unknown(self) -> bool:
        """Whether nothing is known of it."""
        return self.answer == "unknown"

    def __bool__(self) -> bool:
        raise TypeError("An answer can be unknown: ask .yes, .no or .unknown.")


UNKNOWN = Known("unknown")


def any_of(answers: Iterable[Known]) -> Known:
    """Yes if one is yes; no only if all are no; else unknown."""
    there = list(answers)
    yes = [a for a in there if a.yes]
    if yes:
        return Known("yes", tuple(dict.fromkeys(f for a in yes for f in a.because)))
    if there and all(a.no for a in there):
        return Known("no", tuple(f for a in there for f in a.because))
    return UNKNOWN


class Intent(Struct, frozen=True, kw_only=True):
    """The operation that is being considered, as far as it is known."""

    procedure: str | None = None
    span: Span | None = None
    day: date | None = None
    approach: str | None = None
    because: tuple[Fact, ...] = ()

    @property
    def is_instrumented(self) -> Known:
        """Whether screws or cages are planned, which the procedure's name decides."""
        if self.procedure is None:
            return UNKNOWN
        return Known("no" if self.procedure in _WITHOUT_IMPLANTS else "yes", self.because)


# Cement and an artificial disc are no implants in the sense of screws, rods and fusion.
_WITHOUT_IMPLANTS = (
    "decompression", "discectomy", "injection", "vertebral_augmentation", "disc_replacement",
    "none",
)  # fmt: skip


def _latest_day(fact: Fact) -> date:
    """The last day on which a fact may have begun: of some only the year or month is known."""
    said = fact.details.get("on_latest") if fact.details else None
    return date.fromisoformat(str(said)) if said else fact.on or date.max


def _farthest(fact: Fact) -> float:
    """The end of what is plausible on the open side of a bound."""
    down = str(fact.details["comparator"]).startswith("<")
    plausible = vocabulary.concept(fact.what).plausible
    if plausible:
        return plausible[0] if down else plausible[1]
    return 0.0 if down else 10 * abs(float(fact.number))


class PatientRecord(Struct, frozen=True, kw_only=True, dict=True):
    """Everything that is known about one person, as facts in one fixed order."""

    facts: tuple[Fact, ...] = ()

    @classmethod
    def of(cls, facts: Iterable[Fact]) -> PatientRecord:
        """A record of these facts, without doubles, in the fixed order.

        Raises
        ------
        InputProblem
            If the facts give one person two birth dates or two sexes.
        """
        record = cls(facts=tuple(dict.fromkeys(in_order(facts))))
        for what in ("person.birth_date", "person.sex"):
            values = {f.value for f in record.facts if f.what == what}
            if len(values) > 1:
                raise InputProblem(
                    f"{vocabulary.concept(what).name}: the sources contradict each other. One "
                    f"person has one; {len(values)} different ones were given. Check that all "
                    f"files are of the same person, and correct the one that is wrong."
                )
        return record

    def with_facts(self, facts: Iterable[Fact]) -> PatientRecord:
        """This record with further facts."""
        return PatientRecord.of((*self.facts, *facts))

    def known_on(self, on: date) -> Patient:
        """The person as known on a day: what was written after it does not count."""
        return Patient(self, on)


class Patient:
    """The person as the record knows them on one day; what every rule is given.

    Parameters
    ----------
    record
        All facts.
    on
        The day of the question. Facts dated later are left out; a fact without a date counts
        as known.

    Attributes
    ----------
    answered
        What each rule that was asked so far says of this person, and under which evidence.
    """

    __slots__ = (
        "__dict__",
        "_bounded",
        "_by_concept",
        "_counting",
        "_possible",
        "answered",
        "on",
        "record",
    )

    def __init__(self, record: PatientRecord, on: date) -> None:
        self.record = record
        self.on = on
        self.answered: dict[object, tuple[Evidence, tuple[AnyFinding, ...]]] = {}
        by_concept: dict[str, list[Fact]] = {}
        possible: dict[str, list[Fact]] = {}
        bounded: list[Fact] = []
        for fact in record.facts:
            if fact.on is not None and fact.on > on:
                continue
            if fact.details:
                if "comparator" in fact.details:
                    bounded.append(fact)
                if fact.details.get("certainty") == "possible":
                    for named in (fact.what, *vocabulary.ancestors(fact.what)):
                        possible.setdefault(named, []).append(fact)
                    continue
            by_concept.setdefault(fact.what, []).append(fact)
            if fact.value is True:
                for parent in vocabulary.ancestors(fact.what):
                    by_concept.setdefault(parent, []).append(fact)
        for facts in by_concept.values():
            if len(facts) > 1:
                facts.sort(key=lambda f: f.on or date.min, reverse=True)
        self._by_concept = by_concept
        self._possible = possible
        self._bounded = bounded
        self._counting: dict[str, tuple[Fact, ...]] = {}

    # -- values ---------------------------------------------------------------------------

    def facts(
        self, what: str, *, level: str | None = None, within_days: int | None = None
    ) -> tuple[Fact, ...]:
        """All facts about a concept, newest first; at one level where that is given.

        Facts older than `within_days` (by default the concept's own maximum age) are left
        out; a fact without a date is kept.
        """
        if within_days is not None:
            found = self._since(self._by_concept.get(what, ()), within_days)
        else:
            found = self._recent(what)
        return found if level is None else tuple(f for f in found if f.level == level)

    def _recent(self, what: str) -> tuple[Fact, ...]:
        """The facts about a concept that are not too old to count."""
        counting = self._counting.get(what)  # many rules ask for the same
        if counting is None:
            found = self._by_concept.get(what, ())
            known = vocabulary.concepts().get(what) if found else None
            days = known.max_age_days if known else None
            counting = tuple(found) if days is None else self._since(found, days)
            self._counting[what] = counting
        return counting

    def _since(self, found: Iterable[Fact], days: int) -> tuple[Fact, ...]:
        oldest = self.on - timedelta(days=days)
        return tuple(f for f in found if f.on is None or f.on >= oldest)

    def latest(
        self, what: str, *, level: str | None = None, within_days: int | None = None
    ) -> Fact | None:
        """The newest fact about a concept that is not too old to count, or None."""
        found = self.facts(what, level=level, within_days=within_days)
        return found[0] if found else None

    def outdated(self, what: str) -> Fact | None:
        """The newest fact about a concept if all of them are too old to count, else None."""
        if self.latest(what) is not None:
            return None
        every = self._by_concept.get(what)
        return every[0] if every else None

    def under(self, prefix: str) -> tuple[Fact, ...]:
        """All facts that count whose concepts begin with `prefix`, in the record's order."""
        return tuple(
            f
            for what in sorted(self._by_concept)
            if what.startswith(prefix)
            for f in self.facts(what)
            if f.what == what
        )

    def tells_of(self, beginnings: tuple[str, ...]) -> bool:
        """Whether anything was ever on record of a concept that begins in one of these ways."""
        return any(what.startswith(beginnings) for what in self._by_concept)

    # -- presence -------------------------------------------------------------------------

    def ever(self, what: str) -> Known:
        """Whether a condition, medicine or procedure is known to have been there at any time."""
        found = self._by_concept.get(what, [])
        yes = tuple(f for f in found if f.value is True)
        if yes:
            return Known("yes", yes)
        return self._unless_possible(what, self._denied(what))

    def has(self, what: str) -> Known:
        """Whether a condition is known to be there, or a medicine to be taken, on the day.

        What is older than its concept's maximum age says nothing of the day, neither yes nor no.
        """
        found = self._recent(what)
        now = tuple(f for f in found if f.value is True and (f.until is None or f.until > self.on))
        denied = self._denied(what, still=True)
        if now:
            newest_denial = denied.because[0].on if denied.because else None
            newer = [f for f in now if not (newest_denial and f.on and f.on < newest_denial)]
            return Known("yes", tuple(newer)) if newer else denied
        if any(f.value is True for f in found):
            ended = Known("no", tuple(f for f in found if f.value is True))
            return self._unless_possible(what, ended)
        return self._unless_possible(what, denied)

    def within(self, what: str, days: int) -> Known:
        """Whether something is known to have been there within the last `days` days.

        A fact without a date cannot say when, and one of which only the year is known may be of
        the end of that year; they leave the answer unknown, not no.
        """
        found = [f for f in self._by_concept.get(what, []) if f.value is True]
        oldest = self.on - timedelta(days=days)
        recent = tuple(
            f
            for f in found
            if (f.on is not None and f.on >= oldest) or (f.until is not None and f.until >= oldest)
        )
        if recent:
            return Known("yes", recent)
        perhaps = tuple(f for f in found if f.on is None or _latest_day(f) >= oldest)
        if perhaps:
            return Known("unknown", perhaps)
        known = Known("no", tuple(found)) if found else self._denied(what)
        return self._unless_possible(what, known)

    def _denied(self, what: str, *, still: bool = False) -> Known:
        """No, where the concept or a wider one was expressly denied, and not too long ago.

        `still`: that it is not there at present is enough; it may have been there before.
        """
        for asked in (what, *vocabulary.ancestors(what)):
            no = tuple(
                f
                for f in self._recent(asked)
                if f.value is False and (still or f.details.get("denied") != "at_present")
            )
            if no:
                return Known("no", no)
        return UNKNOWN

    def _unless_possible(self, what: str, known: Known) -> Known:
        """Unknown where a diagnosis was considered and not confirmed; an express no stays one."""
        possible = self._possible.get(what)
        if not possible or any(f.value is False for f in known.because):
            return known
        return Known("unknown", tuple(possible))

    # -- bounds ---------------------------------------------------------------------------

    @cached_property
    def extremes(self) -> tuple[tuple[Fact, Patient], ...]:
        """For each result of which only a bound is known: the person with it at its farthest.

        The farthest is the end of what is plausible for the concept.
        """
        found = []
        for fact in self._bounded:
            rest = {k: x for k, x in fact.details.items() if k != "comparator"}
            changed = replaced(fact, value=_farthest(fact), interval=None, details=rest)
            facts = [changed if f is fact else f for f in self.record.facts]
            found.append((fact, Patient(PatientRecord.of(facts), self.on)))
        return tuple(found)

    # -- the person -----------------------------------------------------------------------

    @cached_property
    def sex(self) -> str | None:
        """``female``, ``male``, ``other``, or None where it is not known."""
        fact = self.latest("person.sex")
        return None if fact is None or fact.value == "unknown" else str(fact.value)

    @cached_property
    def age(self) -> Fact | None:
        """The age in completed years on the day, as a fact; None where it is not known."""
        born = self.latest("person.birth_date")
        if born is None:
            return self.latest("person.age")
        birth = date.fromisoformat(str(born.value))
        before_birthday = (self.on.month, self.on.day) < (birth.month, birth.day)
        years = self.on.year - birth.year - before_birthday
        return Fact(
            what="person.age", value=float(years), unit="a", on=self.on, source=born.source,
            method="endplate.age_from_birth_date/1",
        )  # fmt: skip

    @cached_property
    def intent(self) -> Intent:
        """The operation under consideration, empty where none was given."""
        procedure = self.latest("intent.procedure")
        span = self.latest("intent.levels")
        day = self.latest("intent.date")
        approach = self.latest("intent.approach")
        given = (procedure, span, day, approach)
        return Intent(
            procedure=str(procedure.value) if procedure else None,
            span=levels.span(str(span.value)) if span else None,
            day=date.fromisoformat(str(day.value)) if day else None,
            approach=str(approach.value) if approach else None,
            because=tuple(f for f in given if f is not None),
        )

    @cached_property
    def column(self) -> Column:
        """Which vertebrae the person has, as far as labelled and intended levels tell."""
        named = [f.level for f in self.record.facts if f.level is not None]
        named += [str(self.intent.span)] if self.intent.span else []
        return Column.of({Level(part) for levels in named for part in levels.split("-")})
