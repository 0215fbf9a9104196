"""FHIR Dosage: what its elements, or else its words, come to in a day.

The elements come first. Where they and the words both give a dose and these differ, there is no
dose: one of the two is wrong, and nobody knows which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from endplate.exchange import dosage_text
from endplate.exchange.dosage_text import Amount, Day, Details, Sig, Strength
from endplate.exchange.fhir.read import elements
from endplate.exchange.fhir.read.elements import Json, Odd

_MASS = {"mg": 1.0, "ug": 1e-3, "mcg": 1e-3, "g": 1e3, "kg": 1e6, "ng": 1e-6}
_VOLUME = {"ml": 1.0, "l": 1e3}
_RATES = {"ug/h": 1.0, "mcg/h": 1.0, "ug/hr": 1.0, "mcg/hr": 1.0, "mg/h": 1e3, "mg/hr": 1e3}
_PIECES = (
    "tab", "tbl", "cap", "pill", "patch", "plaster", "system", "each", "ea", "piece", "unit",
    "dose", "film", "lozenge", "supp", "stück", "stuck",
)  # fmt: skip
_DAYS = {"s": 1 / 86400, "min": 1 / 1440, "h": 1 / 24, "d": 1.0, "wk": 7.0, "mo": 30.0, "a": 365.0}
_CODED_TIMES = {
    "bid": 2.0, "tid": 3.0, "qid": 4.0, "am": 1.0, "pm": 1.0, "qd": 1.0, "qod": 0.5, "bed": 1.0,
    "wk": 1 / 7, "mo": 1 / 30, "q1h": 24.0, "q2h": 12.0, "q3h": 8.0, "q4h": 6.0, "q6h": 4.0,
    "q8h": 3.0, "q12h": 2.0, "q24h": 1.0,
}  # fmt: skip
_SAME = 1e-6  # what two ways of saying one dose may differ by: rounding
_ODD = "an element of it is not as FHIR has it"


class _Unclear(Exception):
    """Why a dosage gives no dose."""


class Ordered(NamedTuple):
    """What a list of dosages says: the details of each medicine's fact, and what was unclear."""

    details: Details
    why: str = ""


def read(
    dosages: list[Json],
    product: str,
    ingredient: str,
    strengths: Mapping[str, Strength],
    words: str,
) -> Ordered:
    """The dose of one ingredient of a product by all its dosages together.

    Parameters
    ----------
    dosages
        The order's instructions.
    product
        The product's words, in which its strength stands.
    ingredient
        Whose dose is asked for.
    strengths
        Strengths by ingredient, where a Medication gives them as elements.
    words
        All words that may tell the form: a patch, an injection, a long-acting one.
    """
    form = dosage_text.form_of(words)
    details: Details = {"dose_form": form} if form else {}
    strength = strengths.get(ingredient) or dosage_text.strength_of(product, ingredient)
    of_product = tuple(strengths.values()) if len(strengths) > 1 else ()
    of_product = of_product or dosage_text.strengths_in(product)
    days: list[Day] = []
    try:
        there = [one for one in dosages if _says_anything(one)]
        for one in there:
            days.append(_day(one, strength, of_product, is_patch=form == "patch"))
        if not days:
            return Ordered(details)
        numbers = {elements.number(one, "sequence") for one in there}
        found = dosage_text.whole(days, in_turn=len(numbers) == len(there) > 1)
    except _Unclear as unclear:
        found = str(unclear)
    except Odd:
        found = _ODD
    if isinstance(found, str):
        return Ordered(details | {"dose_not_understood": found}, found)
    return Ordered(details | dosage_text.details_of(found))


def _says_anything(dosage: Json) -> bool:
    told = ("text", "patientInstruction", "timing", "doseAndRate", "doseQuantity", "doseRange",
            "maxDosePerPeriod", "dose")  # fmt: skip
    return any(dosage.get(name) for name in told)


def _day(
    dosage: Json,
    strength: Strength | None,
    of_product: Sequence[Strength | None],
    *,
    is_patch: bool,
) -> Day:
    """The day of one instruction, by its elements and by its words where there are both."""
    structured = _structured(dosage)
    text = elements.word(dosage, "text") or elements.word(dosage, "patientInstruction")
    said = dosage_text.read_sig(elements.clipped(text)) if text else None
    if said is not None:
        said = _completed(said, structured)
    found = [
        dosage_text.day_of(sig, strength, is_patch=is_patch, of_product=of_product)
        for sig in (structured, said)
        if sig is not None
    ]
    days = [day for day in found if isinstance(day, Day)]
    if not days:
        raise _Unclear(next((str(why) for why in found), "it does not say how much"))
    if len(days) == 1 or structured is None or said is None:
        return days[0]
    always = [
        dosage_text.day_of(
            sig._replace(as_needed=False), strength, is_patch=is_patch, of_product=of_product
        )
        for sig in (structured, said)
    ]
    spans = [(day.least, day.high) for day in always if isinstance(day, Day)]
    if max(low for low, _ in spans) > min(high for _, high in spans) + _SAME:
        raise _Unclear("its elements and its words give different doses")
    highest = max(days, key=lambda day: day.high)
    least = min(day.least for day in days)
    if (highest.high, highest.least) == (days[0].high, least):
        return days[0]
    said_so = "of elements and words the wider counts"
    return highest._replace(least=least, assumed=(*highest.assumed, said_so))


def _completed(said: Sig, structured: Sig | None) -> Sig:
    """Words that lack the amount or the frequency which the elements have, and the reverse."""
    if structured is None or said.unclear:
        return said
    return said._replace(
        amount=said.amount or structured.amount,
        times=said.times or structured.times,
        as_needed=said.as_needed or structured.as_needed,
        most=said.most or structured.most,
    )


def _structured(dosage: Json) -> Sig | None:
    """What the elements say, or None where they give neither an amount nor a time."""
    amount, times = _amount(dosage), _times(dosage)
    most = _most(dosage)
    if amount is None and times is None and most is None:
        return None
    return Sig(amount, times, _needed(dosage), most, assumed=_granted(dosage))


def _granted(dosage: Json) -> tuple[str, ...]:
    """What an incomplete frequency leaves to be taken for granted."""
    timing = elements.item(dosage, "timing")
    repeat = elements.item(timing, "repeat") if timing else None
    if not repeat or not repeat.get("periodUnit"):
        return ()
    assumed = []
    if elements.number(repeat, "frequency") is None:
        assumed.append("no frequency is given: once in its period")
    if elements.number(repeat, "period") is None:
        assumed.append("no length of its period is given: one")
    return tuple(assumed)


def _needed(dosage: Json) -> bool:
    if elements.flag(dosage, "asNeededBoolean") or elements.flag(dosage, "asNeeded"):
        return True
    return bool(dosage.get("asNeededCodeableConcept") or dosage.get("asNeededFor"))


# -- how much ---------------------------------------------------------------------------------


def _amount(dosage: Json) -> Amount | None:
    rates = elements.items(dosage, "doseAndRate")
    ordered = [r for r in rates if "calculated" not in elements.coded_item(r, "type").words.lower()]
    holders = ordered or rates or [dosage]
    found = [a for a in map(_one_amount, holders) if a is not None]
    if len({*found}) > 1:
        raise _Unclear("it gives several amounts")
    return found[0] if found else None


def _one_amount(holder: Json) -> Amount | None:
    for name in ("doseQuantity", "rateQuantity", "dose"):
        if holder.get(name):
            quantity = elements.item(holder, name)
            return _quantity(quantity, quantity) if quantity else None
    for name in ("doseRange", "rateRange"):
        if span := elements.item(holder, name):
            low, high = elements.item(span, "low"), elements.item(span, "high")
            if high is None:
                raise _Unclear("its range has no upper end")
            return _quantity(low or high, high, low_is_open=low is None)
    if ratio := elements.item(holder, "rateRatio"):
        return _rate(ratio)
    return None


def _rate(ratio: Json) -> Amount:
    amount, per = elements.item(ratio, "numerator"), elements.item(ratio, "denominator")
    if amount is None or per is None or _unit(per) not in ("h", "hr", "hour"):
        raise _Unclear("its rate is not one in an hour")
    found = _quantity(amount, amount)
    hours = elements.number(per, "value") or 1.0
    if found.unit != "mg":
        raise _Unclear("its rate is not a mass in an hour")
    return Amount(found.low * 1e3 / hours, found.high * 1e3 / hours, "ug/h")


def _quantity(low: Json, high: Json, *, low_is_open: bool = False) -> Amount:
    """An amount in mg, ug/h, mL or pieces; with no unit at all it is of pieces."""
    least, most = elements.number(low, "value"), elements.number(high, "value")
    if least is None or most is None or most <= 0 or least < 0:
        raise _Unclear("an amount has no number")
    if elements.word(high, "comparator") or elements.word(low, "comparator"):
        raise _Unclear("an amount is only a bound")
    if low_is_open:
        least = 0.0
    units = {_unit(high), _unit(low)} - {""}
    if len(units) > 1:
        raise _Unclear("its range has two units")
    factor, unit = _kind(units.pop() if units else "")
    return Amount(least * factor, most * factor, unit)


def _unit(quantity: Json) -> str:
    return (elements.word(quantity, "code") or elements.word(quantity, "unit")).lower()


@lru_cache(maxsize=1024)
def _kind(unit: str) -> tuple[float, str]:
    plain = unit.replace("µ", "u").replace("μ", "u").strip("{}[] ").replace("hour", "h")
    if plain in _MASS:
        return _MASS[plain], "mg"
    if plain in _RATES:
        return _RATES[plain], "ug/h"
    if plain in _VOLUME:
        return _VOLUME[plain], "mL"
    if plain in ("", "1") or plain.startswith(_PIECES):
        return 1.0, "piece"
    return _worded(plain)


def _worded(unit: str) -> tuple[float, str]:
    for words, kind in (("milligram", (1.0, "mg")), ("microgram", (1e-3, "mg")),
                        ("gram", (1e3, "mg")), ("millilit", (1.0, "mL"))):  # fmt: skip
        if unit.startswith(words):
            return kind
    raise _Unclear("the unit of an amount is not understood")


# -- how often --------------------------------------------------------------------------------


def _times(dosage: Json) -> tuple[float, float] | None:
    timing = elements.item(dosage, "timing")
    if timing is None:
        return None
    repeat = elements.item(timing, "repeat")
    found = _repeated(repeat) if repeat else None
    return found or _coded(timing)


def _coded(timing: Json) -> tuple[float, float] | None:
    spoken = elements.coded_item(timing, "code")
    for coding in spoken.codings:
        if (times := _CODED_TIMES.get(coding.code.lower().replace(" ", ""))) is not None:
            return times, times
    if not spoken.words:
        return None
    if (times := _CODED_TIMES.get(spoken.words.lower().replace(" ", ""))) is not None:
        return times, times
    return dosage_text.read_sig(spoken.words).times


def _repeated(repeat: Json) -> tuple[float, float] | None:
    """Frequency over period; hours of the day and times such as "at breakfast" are counted."""
    of_day = max(_counted(repeat, "timeOfDay"), _counted(repeat, "when"))
    frequency, period = elements.number(repeat, "frequency"), elements.number(repeat, "period")
    if frequency is None and period is None and not elements.word(repeat, "periodUnit"):
        return (float(of_day), float(of_day)) if of_day else None
    unit = elements.word(repeat, "periodUnit").lower()
    if unit not in _DAYS:
        raise _Unclear("the unit of its period is not understood")
    each = (1.0 if period is None else period) * _DAYS[unit]
    longest = elements.number(repeat, "periodMax")
    if each <= 0 or (longest is not None and longest <= 0):
        raise _Unclear("its period is none")
    fewest = 1.0 if frequency is None else frequency
    most = elements.number(repeat, "frequencyMax")
    if fewest < 0 or max(fewest, most or 0.0) <= 0:
        raise _Unclear("its frequency is none")
    if of_day > 1 and unit == "d" and fewest == 1 and most is None and each == 1:
        fewest = float(of_day)
    high = (fewest if most is None else max(most, fewest)) / each
    low = fewest / (longest * _DAYS[unit] if longest is not None else each)
    return min(low, high), high


def _counted(repeat: Json, name: str) -> int:
    value = repeat.get(name)
    return len(value) if isinstance(value, list) else int(bool(value))


def _most(dosage: Json) -> Amount | None:
    ratios = elements.items(dosage, "maxDosePerPeriod")
    if not ratios:
        return None
    found = []
    for ratio in ratios:
        amount, per = elements.item(ratio, "numerator"), elements.item(ratio, "denominator")
        if amount is None or per is None:
            raise _Unclear("its most in a period is incomplete")
        days = days_of(per)
        if not days:
            raise _Unclear("the period of its most is not understood")
        one = _quantity(amount, amount)
        found.append(Amount(one.low / days, one.high / days, one.unit))
    return min(found, key=lambda a: a.high) if len({a.unit for a in found}) == 1 else None


def days_of(duration: Json) -> float | None:
    """A duration in days; None where its unit is not understood or it is none."""
    unit = _unit(duration)
    unit = {"day": "d", "days": "d", "hour": "h", "hours": "h", "hr": "h"}.get(unit, unit)
    value = elements.number(duration, "value")
    days = (1.0 if value is None else value) * _DAYS.get(unit, 0.0)
    return days if days > 0 else None


# -- what is in a product ---------------------------------------------------------------------


def strengths(medication: Json | None) -> dict[str, Strength]:
    """The strengths that a Medication gives as elements, by ingredient."""
    found: dict[str, Strength] = {}
    for part in elements.items(medication, "ingredient") if medication else []:
        spoken = elements.coded_item(part, "itemCodeableConcept")
        coded = (elements.TARGETS[c.system, c.code] for c in spoken.codings)
        names = [t.id for t in coded if t is not None]
        names += [n for text in spoken.texts for n in dosage_text.ingredients_in(text)]
        ratio = elements.item(part, "strength")
        strength = _strength(ratio) if ratio else None
        if names and strength:
            found[names[0]] = strength
    return found


def _strength(ratio: Json) -> Strength | None:
    amount, per = elements.item(ratio, "numerator"), elements.item(ratio, "denominator")
    if amount is None:
        return None
    try:
        mass = _quantity(amount, amount)
        if per is None:
            return Strength(mass.high, mass.unit, "piece")
        if mass.unit == "mg" and _unit(per) in ("h", "hr", "hour"):
            hours = elements.number(per, "value") or 1.0
            return Strength(mass.high * 1e3 / hours, "ug/h", "piece")
        whole = _quantity(per, per)
    except _Unclear:
        return None
    if mass.unit not in ("mg", "ug/h") or whole.unit not in ("piece", "mL"):
        return None
    return Strength(mass.high / whole.high, mass.unit, whole.unit)
