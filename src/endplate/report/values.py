"""How a value is printed, on the report and in a terminal alike."""

from __future__ import annotations

from endplate import vocabulary
from endplate.facts import Fact


def fact_value(fact: Fact) -> str:
    """A fact's value as it is printed, with its unit and interval."""
    if isinstance(fact.value, bool):
        return "yes" if fact.value else "no"
    if isinstance(fact.value, str):
        return fact.value.replace("_", " ")
    known = vocabulary.concepts().get(fact.what)
    decimals = known.decimals if known else 1
    unit = {"1": "", "[hnsf'U]": " HU", "a": " years", "deg": "°", "mm2": " mm²"}.get(
        fact.unit, f" {fact.unit}"
    )
    text = f"{fact.value:.{decimals}f}{unit}"
    if fact.interval:
        low, high = fact.interval
        text += f" (95 % interval {low:.{decimals}f} to {high:.{decimals}f})"
    return text
