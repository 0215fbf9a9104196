"""The Patient: sex, birth date, death, and what tells two people apart."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

from msgspec import Struct

from endplate.exchange.fhir.read import elements
from endplate.exchange.fhir.read.elements import Json, Target, When
from endplate.exchange.fhir.read.resource import Resource
from endplate.vocabulary import concept

SEX = Target(concept("person.sex"))
BIRTH_DATE = Target(concept("person.birth_date"))
AGE = Target(concept("person.age"))
DECEASED = Target(concept("person.deceased"))
_BIRTH_SEX = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex"
_SEXES = {"f": "female", "m": "male", "female": "female", "male": "male", "other": "other"}
_UNLIKE = "the sex at birth is recorded as another one"
_AT_BIRTH = "the sex recorded at birth"


class Identity(Struct, frozen=True, kw_only=True):
    """Who a record says that the person is; two of them that disagree are two people.

    Attributes
    ----------
    subject
        The logical id under which the other resources refer to the person.
    identifiers
        Each as ``system|value``.
    birth_date
        As written: ``1950``, ``1950-05`` or ``1950-05-01``; None where it is not given.
    sex
        ``female``, ``male``, ``other``; None where it is unknown.
    names
        Every part of every name, to compare and never to print.
    same_as
        Ids of other Patient resources that the record says are the same person.
    where
        File and line or entry.
    """

    subject: str
    identifiers: tuple[str, ...] = ()
    birth_date: str | None = None
    sex: str | None = None
    names: tuple[str, ...] = ()
    same_as: tuple[str, ...] = ()
    where: str = ""


def _names(json: Json) -> Iterator[str]:
    given = json.get("name")
    for name in given if isinstance(given, list) else [given]:
        if isinstance(name, dict):
            many = name.get("given")
            parts = [
                name.get("family"),
                name.get("text"),
                *(many if isinstance(many, list) else []),
            ]
            yield from (part for part in parts if isinstance(part, str))


def identity(json: Json, subject: str, where: str) -> Identity:
    """What a Patient resource says of who the person is."""
    linked = (elements.reference(one, "other") for one in elements.items(json, "link"))
    return Identity(
        subject=subject,
        identifiers=tuple(sorted(set(elements.identifiers(json)))),
        birth_date=elements.word(json, "birthDate") or None,
        sex=_SEXES.get(elements.code(json, "gender")),
        names=tuple(_names(json)),
        same_as=tuple(sorted({one.id or one.text for one in linked if one is not None})),
        where=where,
    )


def patient(resource: Resource) -> None:
    """The facts of one Patient."""
    json = resource.json
    _sex(resource)
    born = elements.when(json, "birthDate")
    if born is not None and not born.doubts:
        resource.person.born = born.first
        resource.take(BIRTH_DATE, born.first.isoformat())
    elif born is not None:
        _about(resource, born)
    _death(resource)


def _sex(resource: Resource) -> None:
    given = _SEXES.get(elements.code(resource.json, "gender"))
    at_birth = _SEXES.get(_birth_sex(resource.json))
    if given is None and at_birth is not None:
        resource.take(SEX, at_birth, doubts=(_AT_BIRTH,))
    elif given is not None:
        unlike = at_birth is not None and at_birth != given
        resource.take(SEX, given, doubts=(_UNLIKE,) if unlike else ())


def _birth_sex(json: Json) -> str:
    for one in elements.items(json, "extension"):
        if one.get("url") == _BIRTH_SEX:
            return elements.code(one, "valueCode")
    return ""


def _about(resource: Resource, born: When) -> None:
    """An incomplete birth date: no birth date, and the age only within a year."""
    resource.problem(
        "fhir.birth_date_incomplete",
        "The birth date holds no day: it was not used, and the age is known only within a year.",
        "Complete the birth date at the source, or give it in case.toml.",
    )
    today = resource.reader.today
    least, most = _years(born.last, today), _years(born.first, today)
    if 0 <= least <= most:
        doubt = f"from an incomplete birth date: {least} or {most} years"
        resource.take(
            AGE, least, unit="a", on=today, doubts=(doubt,), interval=(float(least), float(most))
        )


def _years(born: date, today: date) -> int:
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def _death(resource: Resource) -> None:
    json = resource.json
    day = elements.when(json, "deceasedDateTime")
    said: Any = elements.flag(json, "deceasedBoolean")
    if day is not None:
        resource.take(DECEASED, True, on=day.first, doubts=day.doubts)
    elif said is not None:
        resource.take(DECEASED, said)
    if day is not None or said:
        resource.problem(
            "fhir.person_deceased",
            "The record says that this person has died.",
            "Check that this is the record that was meant.",
        )
