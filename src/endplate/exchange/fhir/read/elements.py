"""FHIR elements as they really arrive: missing, empty, doubled, or of another type than agreed.

Every function takes an object and the name of one of its elements. What is absent, null or
empty is absent. A list of one stands for its item, an object for a list of one, a digit string
for its number, a plain string for a concept's text. Anything else that is there and cannot be
used raises `Odd`: it is never passed over as if it were absent, as it may have been the word
that turns the meaning round.
"""

from __future__ import annotations

import calendar
import math
import re
from collections.abc import Iterable, Iterator
from datetime import date
from functools import lru_cache
from typing import Any, NamedTuple

from endplate import vocabulary
from endplate.vocabulary import CODE_SYSTEMS, Concept

Json = dict[str, Any]

STANDARD = frozenset(CODE_SYSTEMS.values())
LONGEST_TEXT = 500  # characters kept of a text; a longer one is cut and ends with an ellipsis
_LONGEST_CODE = 200  # a longer code or address is damage, and is not kept in any table


class Odd(Exception):
    """An element that is there and cannot be used; the text is its name."""


_EXTENDED = frozenset({"id", "extension"})  # an element of these alone has no value


def _absent(value: Any) -> bool:
    return value is None or (not value and value.__class__ in (str, list, dict))


# -- plain elements ---------------------------------------------------------------------------


def item(holder: Json, name: str) -> Json | None:
    """The object `name`, or None where it is absent."""
    value = holder.get(name)
    if value.__class__ is dict:
        return value or None
    if _absent(value):
        return None
    if value.__class__ is list and len(value) == 1:
        return item({name: value[0]}, name)
    raise Odd(name)


def items(holder: Json, name: str) -> list[Json]:
    """The objects of the list `name`; empty where it is absent."""
    value = holder.get(name)
    if _absent(value):
        return []
    if value.__class__ is dict:
        return [value]
    if value.__class__ is not list:
        raise Odd(name)
    there = [one for one in value if not _absent(one)]
    if any(one.__class__ is not dict for one in there):
        raise Odd(name)
    return there


def word(holder: Json, name: str) -> str:
    """The text `name` without blanks around it; empty where it is absent."""
    value = holder.get(name)
    if value.__class__ is str:
        return str(value).strip()
    if _absent(value):
        return ""
    if value.__class__ in (int, float):
        return str(value)
    if value.__class__ is list and len(value) == 1:
        return word({name: value[0]}, name)
    raise Odd(name)


def code(holder: Json, name: str) -> str:
    """The code `name` in lower case, from a plain code, a Coding or a CodeableConcept."""
    value = holder.get(name)
    if value.__class__ is str:
        return str(value).strip().lower()
    if _absent(value):
        return ""
    spoken = codeable(value, name)
    said = next((c.code for c in spoken.codings if c.code), spoken.text)
    if not said and not (value.__class__ is dict and _EXTENDED.issuperset(value)):
        raise Odd(name)  # something is there that could have been the deciding word
    return said.lower()


def flag(holder: Json, name: str) -> bool | None:
    """The yes or no `name`, or None where it is absent."""
    value = holder.get(name)
    if value is True or value is False or value is None:
        return value
    if _absent(value):
        return None
    if value in ("true", "false"):
        return bool(value == "true")
    raise Odd(name)


def number(holder: Json, name: str) -> float | None:
    """The finite number `name`, or None where it is absent."""
    value = holder.get(name)
    if _absent(value):
        return None
    if value.__class__ is str:
        try:
            value = float(value)
        except ValueError:
            raise Odd(name) from None
    if value.__class__ not in (int, float) or not math.isfinite(value):
        raise Odd(name)
    return float(value)


def clipped(text: str, longest: int = LONGEST_TEXT) -> str:
    """A text cut to what is worth keeping of it."""
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


# -- codes ------------------------------------------------------------------------------------


class Coding(NamedTuple):
    """One code in one system, with the words that came with it."""

    system: str
    code: str
    display: str


class Codeable(NamedTuple):
    """A CodeableConcept: codes of the same thing, and its text."""

    codings: tuple[Coding, ...]
    text: str

    @property
    def words(self) -> str:
        """What a reader would call it: the text, else the first display, else the first code."""
        shown = self.text or next((c.display for c in self.codings if c.display), "")
        return clipped(shown or next((f"code {c.code}" for c in self.codings if c.code), ""))

    @property
    def texts(self) -> tuple[str, ...]:
        """Everything that is said of it in words."""
        return tuple(t for t in (self.text, *(c.display for c in self.codings)) if t)


NOTHING_CODED = Codeable((), "")


def codeable(value: Any, name: str) -> Codeable:
    """A CodeableConcept, a Coding, a list of one of them, or a plain text."""
    if _absent(value):
        return NOTHING_CODED
    if value.__class__ is str:
        return Codeable((), value.strip())
    if value.__class__ is list and len(value) == 1:
        return codeable(value[0], name)
    if value.__class__ is not dict:
        raise Odd(name)
    if "coding" not in value and "code" in value and "text" not in value:
        return Codeable((_coding(value, name),), "")
    codings = [_coding(one, name) for one in items(value, "coding")]
    return Codeable(tuple(c for c in codings if any(c)), word(value, "text"))


def coded_item(holder: Json, name: str) -> Codeable:
    """The CodeableConcept `name`; without codes and text where it is absent."""
    return codeable(holder.get(name), name)


def coded_items(holder: Json, name: str) -> tuple[Codeable, ...]:
    """The list of CodeableConcepts `name`; one alone counts as a list of one."""
    value = holder.get(name)
    there = value if value.__class__ is list else [value]
    return tuple(c for c in (codeable(one, name) for one in there) if c != NOTHING_CODED)


@lru_cache(maxsize=4096)
def _system(address: str) -> str:
    """A code system's address in its usual form: no version, edition or final slash."""
    plain = address.partition("|")[0].rstrip("/").replace("https://", "http://", 1)
    if plain.startswith(f"{CODE_SYSTEMS['snomed']}/"):
        plain = CODE_SYSTEMS["snomed"]
    return plain if plain in STANDARD else address


def _coding(value: Json, name: str) -> Coding:
    made = Coding(_system(word(value, "system")), word(value, "code"), word(value, "display"))
    if len(made.system) > _LONGEST_CODE or len(made.code) > _LONGEST_CODE:
        raise Odd(name)
    return made


class Target:
    """What a code stands for: a concept of the vocabulary, with the side that the code names."""

    __slots__ = ("concept", "doubts", "id", "side")

    def __init__(self, concept: Concept, side: str = "", doubts: tuple[str, ...] = ()) -> None:
        self.concept = concept
        self.id = concept.id
        self.side = side
        self.doubts = doubts


class _Targets(dict[tuple[Any, Any], Target | None]):
    """The target of each (system address, code) that was met, asked of the vocabulary once."""

    _MOST = 100_000  # forget everything rather than grow without end on a hostile record

    def __missing__(self, pair: tuple[Any, Any]) -> Target | None:
        system, value = pair
        if value.__class__ is int:
            value = str(value)
        if system.__class__ is not str or value.__class__ is not str or len(value) > _LONGEST_CODE:
            return None
        found = vocabulary.coded(_system(system), value.strip())
        target = Target(vocabulary.concept(found.concept), found.side) if found else None
        if len(self) >= self._MOST:
            self.clear()
        self[pair] = target
        return target


TARGETS = _Targets()
_UNLIKE = "its codes stand for different things"


def target(codings: Iterable[Coding]) -> Target | None:
    """The one concept that the codings stand for; the most precise where several fit."""
    found: dict[str, Target] = {}
    for one in codings:
        hit = TARGETS[one.system, one.code]
        if hit is not None:
            found.setdefault(hit.id, hit)
    if len(found) < 2:
        return next(iter(found.values()), None)
    wider = {parent for name in found for parent in vocabulary.ancestors(name)}
    precise = [hit for name, hit in found.items() if name not in wider]
    first = precise[0]
    return first if len(precise) == 1 else Target(first.concept, first.side, (_UNLIKE,))


BY_NAME = "recognised by its name, not by a code"
_KIND_OF_CODE = re.compile(r"\s*\((?:disorder|finding|situation|procedure|event|substance)\)$")


@lru_cache(maxsize=64)
def _names(prefixes: tuple[str, ...]) -> dict[str, Concept | None]:
    """Concepts under the prefixes by each of their names; None where two share a name."""
    found: dict[str, Concept | None] = {}
    for concept in vocabulary.concepts().values():
        if concept.id.startswith(prefixes):
            for name in {n.lower() for n in (concept.name, *concept.names)}:
                found[name] = None if name in found else concept
    return found


def named(spoken: Codeable, prefixes: tuple[str, ...], *, trust_codes: bool) -> Target | None:
    """The concept under one of `prefixes` that is named word for word, marked as doubtful.

    With `trust_codes`, a code of a standard system that is not in the vocabulary keeps its own
    meaning, whatever its words are (a "Glucose" may be that of urine).
    """
    if trust_codes and any(c.system in STANDARD for c in spoken.codings):
        return None
    for text in spoken.texts:
        plain = _KIND_OF_CODE.sub("", text).strip().lower()
        concept = _names(prefixes).get(plain)
        if concept is not None:
            return Target(concept, "", (BY_NAME,))
    return None


# -- dates ------------------------------------------------------------------------------------


class When(NamedTuple):
    """A FHIR date, dateTime or instant: the days it may be, first and last."""

    first: date
    last: date
    doubts: tuple[str, ...] = ()


_ONLY_YEAR = "only the year is known"
_ONLY_MONTH = "only the year and month are known"


@lru_cache(maxsize=50_000)
def days(text: str) -> When | None:
    """The days that a FHIR date without a time may be; None where it is none."""
    try:
        if len(text) == 10 and text[4] == "-" and text[7] == "-":
            day = date.fromisoformat(text)
            return When(day, day)
        if len(text) == 7 and text[4] == "-":
            year, month = int(text[:4]), int(text[5:])
            last = calendar.monthrange(year, month)[1]
            return When(date(year, month, 1), date(year, month, last), (_ONLY_MONTH,))
        if len(text) == 4 and text.isdecimal():
            return When(date(int(text), 1, 1), date(int(text), 12, 31), (_ONLY_YEAR,))
    except (ValueError, calendar.IllegalMonthError):
        pass
    return None


def when(holder: Json, name: str) -> When | None:
    """The date or time `name` as days, in the time zone in which it was written."""
    value = holder.get(name)
    if value.__class__ is str and value:
        text = str(value).strip()
        if len(text) > 10:
            text = text[:10] if text[10] in "T " else ""
        found = days(text)
        if found is None:
            raise Odd(name)
        return found
    if _absent(value):
        return None
    if value.__class__ is list and len(value) == 1:
        return when({name: value[0]}, name)
    raise Odd(name)


def period(holder: Json, name: str) -> tuple[When | None, When | None]:
    """The start and end of the Period `name`."""
    there = item(holder, name)
    return (when(there, "start"), when(there, "end")) if there else (None, None)


# -- references -------------------------------------------------------------------------------

_LOCAL = re.compile(r"^(?:(.*)/)?([A-Z][A-Za-z]{1,60})/([^/?#|\s]{1,200})(?:/_history/[^/]+)?$")


class Reference(NamedTuple):
    """Where a Reference points: the text as written, and its base, type and id if it has them."""

    text: str
    base: str = ""
    type: str = ""
    id: str = ""

    @property
    def key(self) -> str:
        """``Patient/1``, or the text itself (``urn:uuid:…``, ``#p1``)."""
        return f"{self.type}/{self.id}" if self.id else self.text


@lru_cache(maxsize=20_000)
def parted(text: str) -> Reference:
    """A reference's text in its parts; a version (``/_history/2``) is left out."""
    if text.startswith(("#", "urn:")):
        return Reference(text)
    match = _LOCAL.match(text)
    return Reference(text, match[1] or "", match[2], match[3]) if match else Reference(text)


def reference(holder: Json, name: str) -> Reference | None:
    """The reference `name`, or None where nothing is referred to."""
    value = holder.get(name)
    if value.__class__ is str and value:  # a plain text where an object belongs
        return parted(value.strip())
    there = item(holder, name)
    text = word(there, "reference") if there else ""
    return parted(text) if text else None


def identifiers(holder: Json) -> Iterator[str]:
    """The identifiers of a resource as ``system|value``."""
    for one in items(holder, "identifier"):
        value = word(one, "value")
        if value:
            yield f"{word(one, 'system')}|{value}"
