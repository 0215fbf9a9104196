"""One resource on its way into the record: whose it is, where it stands, what is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, NamedTuple, Protocol

from endplate.exchange.fhir.forms import Forms
from endplate.exchange.fhir.read import elements
from endplate.exchange.fhir.read.elements import Json, Reference, Target, When
from endplate.exchange.fhir.read.site import Place, place
from endplate.exchange.intake import Intake
from endplate.facts import Fact, Side, Value
from endplate.posture import Posture


class Left(Exception):
    """A resource, or a part of one, that is left aside on purpose: id and reason."""

    def __init__(self, id: str, says: str) -> None:
        super().__init__(says)
        self.id = id
        self.says = says


class Later(Exception):
    """A resource that needs another one which has not been met yet."""


class Person:
    """One subject: where the facts go, and what is known of the person so far."""

    __slots__ = ("bases", "born", "intake", "key", "resources")

    def __init__(self, key: str, intake: Intake) -> None:
        self.key = key
        self.intake = intake
        self.resources = 0
        self.bases: dict[str, int] = {}  # how often each server's address was named
        self.born: date | None = None


class Reader(Protocol):
    """What a resource may ask of the reader that met it."""

    today: date
    last_pass: bool
    forms: Forms

    def referred(self, reference: Reference) -> Json | None:
        """The resource outside this one that a reference points to, if it has been met."""

    def read_inside(self, json: Json, parent: Resource) -> None:
        """Read a resource that stands inside another one."""

    def count_unmapped(self, kind: str, code: Any) -> None:
        """Count the code of a resource that is not in the vocabulary."""

    def expect(self, reference: Reference) -> None:
        """Note that a resource is referred to and should be there."""


class Resource:
    """One resource, its place in the file and the person it is about."""

    __slots__ = ("json", "kind", "parent", "person", "reader", "source", "where")

    def __init__(
        self, json: Json, kind: str, source: str, where: str, person: Person, reader: Reader
    ) -> None:
        self.json = json
        self.kind = kind
        self.source = source
        self.where = where
        self.person = person
        self.reader = reader
        self.parent: Resource | None = None

    # -- what comes out -------------------------------------------------------------------

    def take(
        self,
        target: Target,
        value: Value,
        *,
        unit: str = "",
        on: date | None = None,
        until: date | None = None,
        level: str | None = None,
        side: Side | None = None,
        doubts: tuple[str, ...] = (),
        details: Mapping[str, float | str] | None = None,
        interval: tuple[float, float] | None = None,
        posture: Posture | None = None,
    ) -> Fact | None:
        """One fact, through the intake."""
        if target.doubts:
            doubts += target.doubts
        if not self.person.key:
            doubts += (NOBODY_NAMED,)
        if target.side and side is None:
            side = "left" if target.side == "left" else "right"
        return self.person.intake.take(
            target.concept, value, source=self.source, unit=unit, on=on, until=until,
            level=level, side=side, doubts=doubts, details=details, interval=interval,
            posture=posture, where=self.where,
        )  # fmt: skip

    def leave(self, id: str, says: str) -> None:
        """Note what was left aside on purpose."""
        self.person.intake.ignore(id, says, self.where)

    def problem(self, id: str, says: str, *try_: str) -> None:
        """Note what could not be used although it was meant to be."""
        self.person.intake.problem(id, says, self.where, try_)

    # -- what goes in ---------------------------------------------------------------------

    def referred(self, name: str) -> tuple[Json | None, str]:
        """The resource that the reference `name` points to, and the words beside it.

        Raises
        ------
        Later
            If it was not met yet, and more is to come.
        """
        pointing = elements.reference(self.json, name)
        there = self.json.get(name)
        words = elements.word(there, "display") if there.__class__ is dict else ""
        if pointing is None:
            return None, words
        found = self.found(pointing)
        if found is None:
            self.wait()
        return found, words

    def wait(self) -> None:
        """Put the resource off until everything else was met; on the last pass, go on."""
        if not self.reader.last_pass:
            raise Later

    def found(self, pointing: Reference) -> Json | None:
        """The resource that a reference points to, inside this one or elsewhere."""
        if not pointing.text.startswith("#"):
            return self.reader.referred(pointing)
        root = self
        while root.parent is not None:
            root = root.parent
        for one in elements.items(root.json, "contained"):
            if elements.word(one, "id") == pointing.text[1:]:
                return one
        return None

    def places(self, name: str = "bodySite") -> tuple[Place, ...]:
        """The body sites named by the element `name`."""
        value = self.json.get(name)
        if value is None:
            return ()
        return tuple(place(site) for site in elements.coded_items(self.json, name))


# -- status -----------------------------------------------------------------------------------


NOBODY_NAMED = "the record does not say whom it is about"


class Statuses(NamedTuple):
    """What each status of one kind of resource means for its use."""

    fine: frozenset[str]
    doubtful: Mapping[str, str]
    left: Mapping[str, str]


NO_STATUS = "its status is not given"
STRANGE_STATUS = "its status is not one that FHIR knows"


def judged(resource: Resource, name: str, statuses: Statuses) -> tuple[str, ...]:
    """The doubts that follow from the status `name`.

    Raises
    ------
    Left
        If a resource with this status says nothing that holds of the person.
    """
    status = resource.json.get(name)
    if status.__class__ is not str:
        status = elements.code(resource.json, name)
    if status in statuses.fine:
        return ()
    status = status.strip().lower()
    if status in statuses.fine:
        return ()
    if status in statuses.left:
        id = "fhir.entered_in_error" if status == "entered-in-error" else "fhir.status"
        raise Left(id, f"{resource.kind}: {statuses.left[status]}; it is not used.")
    if status in statuses.doubtful:
        return (statuses.doubtful[status],)
    return (STRANGE_STATUS if status else NO_STATUS,)


ENTERED_IN_ERROR = {"entered-in-error": "was entered in error"}


# -- dates ------------------------------------------------------------------------------------


class Span(NamedTuple):
    """When something held: first and last day as far as known, and what is doubtful of them."""

    on: date | None = None
    until: date | None = None
    doubts: tuple[str, ...] = ()


def begins(found: When | None) -> tuple[date | None, tuple[str, ...]]:
    """The first day that a date may mean, with the doubts that an incomplete date brings."""
    return (found.first, found.doubts) if found else (None, ())


def latest_day(found: When | None) -> dict[str, float | str]:
    """The last day that an incomplete date may mean, as a detail of the fact that it dates."""
    return {"on_latest": found.last.isoformat()} if found and found.last != found.first else {}


def ends(found: When | None, today: date) -> tuple[date | None, tuple[str, ...]]:
    """The last day that a date may mean; an incomplete one does not reach beyond today."""
    if found is None:
        return None, ()
    last = found.last
    return (min(last, max(today, found.first)) if found.doubts else last), found.doubts
