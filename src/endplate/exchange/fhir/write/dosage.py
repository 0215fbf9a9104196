"""The dose of a medicine as FHIR Dosage: what was ordered, so that it reads back as the same day.

The elements are written only where amount and frequency are known and make the day; a range or a
sum of a day stands in words. Each form is read back as it is written, and the first that comes to
the same dose is taken: no receiver finds another dose than the one that was found here.
"""

from __future__ import annotations

from collections.abc import Iterator

from endplate.exchange.dosage_text import ingredients_in, read_sig
from endplate.exchange.fhir.read import dosage as read_dosage
from endplate.exchange.fhir.write.elements import Json, present, quantity
from endplate.facts import Fact

_TOLD = ("daily_dose", "daily_dose_unit", "as_needed")
_LEAST = "daily_dose_least"
_PATCH = "ug/h"
_MOST_DAYS = 31


def dosage_elements(fact: Fact) -> list[Json] | None:
    """The dosage of a medicine that is taken; None where nothing is known of it."""
    text, route = (str(fact.details.get(name, "")) for name in ("dosage", "route"))
    for dosage in _forms(fact, text):
        if _reads_as(dosage, fact, route):
            return [present({**dosage, "route": {"text": route} if route else None})]
    kept = present({"text": text, "route": {"text": route} if route else None})
    return [kept] if kept else None


def _forms(fact: Fact, text: str) -> Iterator[Json]:
    """The dose in every form it can have, that which says most first."""
    if "daily_dose" not in fact.details:
        return
    structured = _structured(fact)
    if structured and not _is_range(text):
        if text:
            yield {"text": text, **structured}
        yield structured
    if text:
        yield {"text": text}
    yield {"text": _words(fact)}


def _is_range(text: str) -> bool:
    """Whether words give a range, of which the elements would hold the upper end alone."""
    said = read_sig(text)
    ends = (said.amount[:2] if said.amount else (0, 0), said.times or (0, 0))
    return any(low != high for low, high in ends)


def _structured(fact: Fact) -> Json:
    dose, times = _number(fact, "dose"), _number(fact, "times_per_day")
    unit, needed = str(fact.details.get("daily_dose_unit", "")), fact.details.get("as_needed")
    asked = {"asNeededBoolean": True} if needed == "yes" else {}
    if unit == _PATCH:
        rate = quantity(_number(fact, "daily_dose") or 0.0, _PATCH)
        return {**asked, "doseAndRate": [{"rateQuantity": rate}]}
    if dose is None or times is None:
        return {}
    if times >= 1 and times == int(times):
        repeat = {"frequency": int(times), "period": 1, "periodUnit": "d"}
    else:
        days = next((n for n in range(2, _MOST_DAYS) if abs(n * times - 1) < 1e-4), None)
        if days is None:
            return {}
        repeat = {"frequency": 1, "period": days, "periodUnit": "d"}
    amount = quantity(dose, unit)
    # As needed and without words: that it was a range cannot be told any more.
    most = bool(asked) and not fact.details.get("dosage")
    return {
        **asked,
        "timing": {"repeat": repeat},
        "doseAndRate": [{"doseRange": {"high": amount}} if most else {"doseQuantity": amount}],
    }


def _number(fact: Fact, name: str) -> float | None:
    value = fact.details.get(name)
    return None if value is None else float(value)


def _words(fact: Fact) -> str:
    high, least = _number(fact, "daily_dose"), _number(fact, _LEAST)
    unit = str(fact.details.get("daily_dose_unit", ""))
    needed = fact.details.get("as_needed") == "yes"
    span = f"{high:g}" if needed or least in (None, high) else f"{least:g} to {high:g}"
    if unit == _PATCH:
        return f"{span} mcg/hour patch{' as needed' if needed else ''}"
    return f"{span} {unit} in total daily{' as needed' if needed else ''}"


def _reads_as(dosage: Json, fact: Fact, route: str) -> bool:
    """Whether a dosage comes to the dose that the fact has."""
    product = str(fact.details.get("product", ""))
    product = product if ingredients_in(product) == (fact.what,) else ""
    read = read_dosage.read([dosage], product, fact.what, {}, f"{product} {route}")
    here, there = fact.details, read.details
    same = all(there.get(name) == here.get(name) for name in _TOLD)
    return same and there.get(_LEAST, there["daily_dose"]) == here.get(_LEAST, here["daily_dose"])
