"""What every resource of ours is built from: codes, quantities, places, references and ids.

An id follows from what the resource says (UUID version 5 over its JSON), so that the same facts
and findings always give the same bytes and nothing needs a clock or chance.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import date
from functools import cache
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import orjson

from endplate import units, vocabulary
from endplate.exchange.fhir.write.codes import written_codes
from endplate.facts import Fact, Side
from endplate.vocabulary import CODE_SYSTEMS, LOCAL_SYSTEM, Code

Json = dict[str, Any]

OURS = LOCAL_SYSTEM.removesuffix("/CodeSystem/concept")
VALUE_SYSTEM = f"{OURS}/CodeSystem/value"  # the words of categories
METHOD_SYSTEM = f"{OURS}/CodeSystem/method"
USE_SYSTEM = f"{OURS}/CodeSystem/use"
SOURCE_SYSTEM = f"{OURS}/NamingSystem/source"
STAGE_EXTENSION = f"{OURS}/StructureDefinition/stage"
BODY_SITE_EXTENSION = "http://hl7.org/fhir/StructureDefinition/bodySite"
UCUM = "http://unitsofmeasure.org"

_NAMESPACE = uuid5(NAMESPACE_URL, OURS)
_SNOMED = CODE_SYSTEMS["snomed"]
# DICOM PS3.16, CID 244; the reader takes the same two.
_SIDES: Mapping[Side, tuple[str, str]] = {
    "left": ("7771000", "Left"),
    "right": ("24028007", "Right"),
}


def digest(value: Any) -> str:
    """The id that follows from a JSON value: equal values, equal ids."""
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return str(uuid5(_NAMESPACE, text.decode()))


def present(elements: Mapping[str, Any]) -> Json:
    """The elements that say something: FHIR allows no empty text, list or object."""
    return {k: v for k, v in elements.items() if v is not None and v not in ("", [], {}, ())}


class Draft:
    """The resources of one bundle, each once, in the order in which they were added.

    Attributes
    ----------
    on
        The day for which the plan holds; all resources of ours are dated by it.
    meta
        What each of them says of itself: the intended use, and whether it is test data.
    patient, device
        References to the person, and to this software as the author.
    """

    def __init__(self, on: date, meta: Json) -> None:
        self.on = on
        self.patient: Json = {}
        self.device: Json = {}
        self.meta = meta
        self._resources: dict[str, Json] = {}

    def add(self, kind: str, *, told_apart_by: str = "", **elements: Any) -> Json:
        """Add a resource and return the reference to it.

        Parameters
        ----------
        kind
            Its type.
        told_apart_by
            Goes into the id beside the content, where the content alone does not tell two
            resources apart (two people of one sex and birth date).
        """
        resource = {"resourceType": kind, "meta": self.meta, **present(elements)}
        id = digest([resource, told_apart_by] if told_apart_by else resource)
        self._resources.setdefault(id, {**resource, "id": id})
        return {"reference": f"urn:uuid:{id}", "type": kind}

    @property
    def resources(self) -> tuple[Json, ...]:
        """Everything that was added so far."""
        return tuple(self._resources.values())

    @property
    def references(self) -> list[Json]:
        """References to everything that was added so far."""
        return [
            {"reference": f"urn:uuid:{id}", "type": resource["resourceType"]}
            for id, resource in self._resources.items()
        ]


def of_type(references: Iterable[Json], *kinds: str) -> list[Json]:
    """Those references that point to resources of these types, each once."""
    found = {r["reference"]: r for r in references if r.get("type") in kinds}
    return list(found.values())


# -- codes ------------------------------------------------------------------------------------


def name_of(what: str) -> str:
    """What a clinician calls a concept; the id itself where the vocabulary has no such concept."""
    known = vocabulary.concepts().get(what)
    return known.name if known else what


def concept_code(what: str, codes: Iterable[Code] = ()) -> Json:
    """A concept with these standard codes, if any, and with its own id."""
    codings = [_standard(code) for code in codes]
    codings.append({"system": LOCAL_SYSTEM, "code": what, "display": name_of(what)})
    return {"coding": codings, "text": name_of(what)}


def fact_code(fact: Fact) -> Json:
    """What a fact is about, in every code that says just that."""
    return concept_code(fact.what, written_codes(fact.what, fact.side))


def _standard(code: Code) -> Json:
    coding = {"system": CODE_SYSTEMS[code.system], "code": code.code}
    if code.system in ("loinc", "snomed", "icd10", "icd10cm"):
        coding["display"] = code.display.replace("\u200b", "")
    return coding


def coded_word(system: str, code: str, text: str = "") -> Json:
    """A word of ours as a code, with the words for a reader."""
    words = text or code.replace("_", " ")
    return {"coding": [{"system": system, "code": code}], "text": words}


# -- quantities -------------------------------------------------------------------------------


def quantity(value: float, unit: str, comparator: str = "") -> Json:
    """A number with its unit, coded in UCUM where that knows it, and else in words alone."""
    code = _ucum(unit)
    system = UCUM if code else ""
    return present(
        {"value": value, "comparator": comparator, "unit": unit, "system": system, "code": code}
    )


@cache
def _ucum(unit: str) -> str:
    """The UCUM code of a unit; empty where there is none."""
    if unit in _vocabulary_units():  # these are UCUM, and asking takes most of a second
        return unit
    return units.ucum(unit) if unit and units.is_known(unit) else ""


@cache
def _vocabulary_units() -> frozenset[str]:
    return frozenset(c.unit for c in vocabulary.concepts().values() if c.unit)


# -- places -----------------------------------------------------------------------------------


def body_site(draft: Draft, fact: Fact) -> Json | None:
    """The level, disc or densitometry site of a fact, with its side.

    The side stands in the words, and coded in a BodyStructure, by the standard extension for a
    site that one code cannot name.
    """
    site = fact.level or _densitometry_site(fact.what)
    coding = next(
        (
            {"system": CODE_SYSTEMS[b.system], "code": b.code, "display": b.display}
            for b in vocabulary.body_sites().values()
            if b.site == site
        ),
        None,
    )
    text = ", ".join(w for w in (fact.level or site.replace("_", " "), fact.side) if w)
    if not text:
        return None
    place = present({"coding": [coding] if coding else [], "text": text})
    if fact.side is None:
        return place
    code, display = _SIDES[fact.side]
    structure = draft.add(
        "BodyStructure",
        patient=draft.patient,
        location=place if site else None,
        locationQualifier=[
            {"coding": [{"system": _SNOMED, "code": code, "display": display}], "text": fact.side}
        ],
    )
    return {"extension": [{"url": BODY_SITE_EXTENSION, "valueReference": structure}], **place}


def _densitometry_site(what: str) -> str:
    family, _, site = what.rpartition(".")
    is_site = family in ("bone.t_score", "bone.z_score", "bone.mineral_density")
    return site if is_site and any(b.site == site for b in vocabulary.body_sites().values()) else ""


# -- notes ------------------------------------------------------------------------------------


def notes(*texts: str) -> list[Json]:
    """Each text that says something as an annotation."""
    return [{"text": text} for text in texts if text.strip()]


# A resource, an image, what somebody typed, what a rule took as given.
_NAMELESS = re.compile(
    r"[A-Z][A-Za-z]{1,60}/[A-Za-z0-9.\-]{1,64}|SOP [0-9.]+( frame \d+)?"
    r"|SeriesInstanceUID [0-9.]+(, volume \w+)?|typed|case\.toml|assumed from [a-z ]+"
)


def nameless(source: str) -> str:
    """A fact's source without the names that people give to files.

    A reference to a resource, an image's UID and what was typed stay as they are. Anything else
    may be a file named after the person, and is told apart by a digest of its name.
    """
    if not source or _NAMELESS.fullmatch(source):
        return source
    return f"file {hashlib.sha256(source.encode()).hexdigest()[:12]}"
