"""The value of an Observation, of one of its components, or of an answer.

What comes out is a value with its unit as the record gives it. Nothing is guessed: a unit that
contradicts itself, a range, two values at once are refused, each with its reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any, NamedTuple, TypeGuard

from endplate import units, vocabulary
from endplate.exchange.fhir.read import elements
from endplate.exchange.fhir.read.elements import Codeable, Json, Odd
from endplate.exchange.fhir.read.resource import Left
from endplate.exchange.intake import NO, YES, conversion
from endplate.facts import Value
from endplate.vocabulary import Concept

UCUM = "http://unitsofmeasure.org"
_LONGEST_UNIT = 30
_BEYOND = {"<": "below", "<=": "at or below", ">": "above", ">=": "at or above"}
_WRITTEN = {"≤": "<=", "≥": ">=", **{sign: sign for sign in _BEYOND}}
_IN_TEXT = re.compile(
    r"^\s*(<=|>=|<|>|≤|≥)?\s*([-+−]?(?:\d{1,15}(?:[.,]\d{1,15})?|[.,]\d{1,15}))"
    r"(?![\d.,])\s*([^\d\s].*)?$",
    re.DOTALL,
)

FROM_TEXT = "read from a text"
UNIT_FROM_TEXT = "its unit code is not understood; the unit's text was used"
_BOTH = "has a value and a reason why there is none"


class Found(NamedTuple):
    """A value as the record gives it."""

    value: Value
    unit: str = ""
    doubts: tuple[str, ...] = ()
    details: Mapping[str, float | str] | None = None


class Refused(Exception):
    """A value that was meant to be used and cannot be: problem id and the end of a sentence."""

    def __init__(self, id: str, says: str) -> None:
        super().__init__(says)
        self.id = id
        self.says = says


def value_of(holder: Json, concept: Concept) -> Found | None:
    """The value[x] of an object; None where it has none.

    Raises
    ------
    Odd, Refused
        If the value is damaged, or not one value that can be compared.
    Left
        If its kind is one that is not read.
    """
    kinds = _KINDS.intersection(holder)
    if len(kinds) > 1:
        kinds = {kind for kind in kinds if holder[kind] is not None}
        if len(kinds) > 1:
            raise Odd("value[x]")
    if not kinds:
        return None
    kind = kinds.pop()
    reader = _READERS.get(kind)
    if reader is None:
        raise Left(
            "fhir.value_kind_not_read", f"{concept.name}: is given as {kind[5:]}; it is not read."
        )
    found: Found | None = reader(holder, kind, concept)
    if found is not None and holder.get("dataAbsentReason"):
        return found._replace(doubts=(*found.doubts, _BOTH))
    return found


# -- quantities -------------------------------------------------------------------------------


def _quantity(holder: Json, kind: str, concept: Concept) -> Found | None:
    there = elements.item(holder, kind)
    if there is None:
        return None
    value = elements.number(there, "value")
    if value is None:
        return None
    unit, doubts = _unit(there, concept)
    sign = there.get("comparator")
    if not sign:
        return Found(value, unit, doubts)
    return Found(value, unit, *_compared(str(sign), doubts))


def _compared(sign: str, doubts: tuple[str, ...]) -> tuple[tuple[str, ...], dict[str, str]]:
    sign = _WRITTEN.get(sign.strip(), "")
    if not sign:
        raise Odd("comparator")
    return (*doubts, f"reported as {_BEYOND[sign]} this value"), {"comparator": sign}


def _unit(quantity: Json, concept: Concept) -> tuple[str, tuple[str, ...]]:
    code, text = quantity.get("code"), quantity.get("unit")
    if code == text and is_plain_unit(code):
        return code, ()
    code, text = elements.word(quantity, "code"), elements.word(quantity, "unit")
    if code == text or not (code and text):
        return _readable(code or text), ()
    system = elements.word(quantity, "system")
    unit, doubts = _chosen(
        _readable(code), _readable(text), system in ("", UCUM), concept.unit, concept.substance
    )
    return unit, doubts


def is_plain_unit(code: Any) -> TypeGuard[str]:
    """Whether a unit code is a short word, which may be quoted as it is."""
    return code.__class__ is str and " " not in code and len(code) <= _LONGEST_UNIT


def _readable(unit: str) -> str:
    """A unit as given; a long or spaced one only if it is understood, as it is quoted elsewhere."""
    if (len(unit) > _LONGEST_UNIT or " " in unit) and not _is_known(unit):
        raise Refused("fhir.unit_not_usable", "its unit is not understood; it was not used.")
    return unit


@lru_cache(maxsize=4096)
def _chosen(
    code: str, text: str, is_ucum: bool, to: str, substance: str
) -> tuple[str, tuple[str, ...]]:
    """The unit of a quantity whose unit code and unit text differ."""
    by_code = _conversion(code, to, substance) if is_ucum else None
    by_text = _conversion(text, to, substance)
    if by_code is None:
        if by_text is None or (is_ucum and _is_known(code)):
            return code, ()
        return text, (UNIT_FROM_TEXT,)
    if by_text is not None and any(
        abs(a - b) > 1e-6 * max(abs(a), abs(b)) for a, b in zip(by_code, by_text, strict=True)
    ):
        raise Refused(
            "fhir.unit_contradicts_itself",
            "the code and the text of its unit are two different units; it was not used.",
        )
    return code, ()


def _conversion(unit: str, to: str, substance: str) -> tuple[float, float] | None:
    found = conversion(unit, to, substance)
    return found if isinstance(found, tuple) else None


@lru_cache(maxsize=4096)
def _is_known(unit: str) -> bool:
    return len(unit) <= _LONGEST_UNIT and units.is_known(unit)


def _ratio(holder: Json, kind: str, concept: Concept) -> Found | None:
    there = elements.item(holder, kind)
    above = elements.item(there, "numerator") if there else None
    below = elements.item(there, "denominator") if there else None
    if above is None or below is None:
        return None
    top, bottom = elements.number(above, "value"), elements.number(below, "value")
    if top is None or bottom is None:
        return None
    if bottom == 0 or above.get("comparator") or below.get("comparator"):
        raise Odd(kind)
    parts = [elements.word(q, "code") or elements.word(q, "unit") for q in (above, below)]
    over, under = (_readable(part) or "1" for part in parts)
    unit = over if under == "1" else f"{over}/{under}"
    return Found(top / bottom, unit)


def _range(holder: Json, kind: str, concept: Concept) -> Found | None:
    raise Refused(
        "fhir.value_is_a_range", "is given as a range and one number is needed; it was not used."
    )


# -- words ------------------------------------------------------------------------------------


def _text(holder: Json, kind: str, concept: Concept) -> Found | None:
    text = elements.word(holder, kind)
    if not text:
        return None
    if concept.kind == "number":
        return _number_in(text, kind)
    if concept.kind == "yes_no":
        return _yes_or_no(Codeable((), text), concept.id)
    return Found(elements.clipped(text))


def _number_in(text: str, kind: str) -> Found:
    """A number with its unit that was written as a text, such as ``< 24,5 ng/mL``."""
    match = _IN_TEXT.match(text) if len(text) <= 80 else None
    if match is None:
        raise Refused("fhir.value_is_a_text", "holds a text and no number; it was not used.")
    sign, digits, unit = match[1], match[2].replace("−", "-"), (match[3] or "").strip()
    whole, comma, decimals = digits.partition(",")
    if comma and len(decimals) == 3 and whole.lstrip("+-") not in ("", "0"):
        raise Refused(
            "fhir.value_ambiguous",
            "has a comma that may part thousands or decimals; it was not used.",
        )
    if unit and not _is_known(unit):
        raise Refused(
            "fhir.value_is_a_text",
            "holds a text whose unit is not understood; it was not used.",
        )
    number = float(digits.replace(",", "."))
    if sign:
        return Found(number, unit, *_compared(sign, (FROM_TEXT,)))
    return Found(number, unit, (FROM_TEXT,))


def _codeable(holder: Json, kind: str, concept: Concept) -> Found | None:
    spoken = elements.coded_item(holder, kind)
    if spoken == elements.NOTHING_CODED:
        return None
    if concept.kind == "yes_no":
        return _yes_or_no(spoken, concept.id)
    if concept.kind == "category":
        return Found(_choice(spoken, concept))
    if concept.kind == "number":
        return _number_in(spoken.words, kind)
    return Found(spoken.words)


def _choice(spoken: Codeable, concept: Concept) -> str:
    said = [*(c.code for c in spoken.codings), *spoken.texts]
    for one in said:
        if one.strip().lower().replace(" ", "_").replace("-", "_") in concept.choices:
            return one
    return spoken.words


# Yes and no in general: SNOMED as in DICOM PS3.16 CID 230, LOINC's answer list, HL7 v2 0136.
_PLAIN = {
    (vocabulary.CODE_SYSTEMS["snomed"], "373066001"): "yes",
    (vocabulary.CODE_SYSTEMS["snomed"], "373067005"): "no",
    (vocabulary.CODE_SYSTEMS["loinc"], "LA33-6"): "yes",
    (vocabulary.CODE_SYSTEMS["loinc"], "LA32-8"): "no",
    ("http://terminology.hl7.org/CodeSystem/v2-0136", "Y"): "yes",
    ("http://terminology.hl7.org/CodeSystem/v2-0136", "N"): "no",
}


# HL7's code systems for "there is no value", whatever their reason.
_NO_ANSWER = ("/data-absent-reason", "/v3-NullFlavor")
_NOT_KNOWN = frozenset({"unknown", "not known", "asked but unknown", "not asked", "declined"})


@cache
def _answers_in_words() -> dict[tuple[str, str], str]:
    return {
        (a.concept, a.display.removesuffix(" (finding)").lower()): a.value
        for a in vocabulary.answers().values()
    }


@lru_cache(maxsize=4096)
def _yes_or_no(spoken: Codeable, asked: str) -> Found:
    """Yes or no by the codes of an answer, or by its words; an unknown answer stays unknown."""
    answers: set[str] = set()
    for coding in spoken.codings:
        known = vocabulary.answers().get((coding.system, coding.code))
        if known is not None and known.concept == asked:
            # The same code is "smoker" in one list and "current status unknown" in another.
            answers.add("unknown" if "unknown" in coding.display.lower() else known.value)
        elif (coding.system, coding.code) in _PLAIN:
            answers.add(_PLAIN[coding.system, coding.code])
        elif coding.system.endswith(_NO_ANSWER):
            answers.add("unknown")
    doubts: tuple[str, ...] = ()
    if not answers:
        answers = {a for text in spoken.texts if (a := _in_words(text, asked))}
        doubts = (FROM_TEXT,)
    if len(answers) > 1:
        raise Odd("valueCodeableConcept")
    if "unknown" in answers:
        name = vocabulary.concept(asked).name
        raise Left("fhir.answer_unknown", f"{name}: the answer is that it is not known.")
    if not answers:
        raise Refused(
            "fhir.answer_not_understood",
            "has an answer that is neither yes nor no here; it was not used.",
        )
    return Found(answers.pop() == "yes", "", doubts)


def _in_words(text: str, asked: str) -> str:
    plain = text.strip().lower()
    if plain in _NOT_KNOWN:
        return "unknown"
    if plain in YES:
        return "yes"
    if plain in NO:
        return "no"
    return _answers_in_words().get((asked, plain), "")


def _flag(holder: Json, kind: str, concept: Concept) -> Found | None:
    value = elements.flag(holder, kind)
    return None if value is None else Found(value)


def _plain_number(holder: Json, kind: str, concept: Concept) -> Found | None:
    value = elements.number(holder, kind)
    return None if value is None else Found(value)


def _day(holder: Json, kind: str, concept: Concept) -> Found | None:
    if concept.kind != "date":
        raise Left("fhir.value_kind_not_read", f"{concept.name}: is given as a date; it is not.")
    found = elements.when(holder, kind)
    return None if found is None else Found(found.first.isoformat(), "", found.doubts)


_READERS: dict[str, Callable[[Json, str, Concept], Any]] = {
    "valueQuantity": _quantity,
    "valueCodeableConcept": _codeable,
    "valueCoding": _codeable,
    "valueString": _text,
    "valueBoolean": _flag,
    "valueInteger": _plain_number,
    "valueDecimal": _plain_number,
    "valueRange": _range,
    "valueRatio": _ratio,
    "valueDateTime": _day,
    "valueDate": _day,
}
_KINDS = {*_READERS} | {
    f"value{kind}" for kind in ("SampledData", "Time", "Period", "Uri", "Attachment", "Reference")
}
