"""Quantitative sensory testing: one result in standard deviations of a reference that was typed."""

from __future__ import annotations

from math import log10

from endplate.evidence import Evidence
from endplate.facts import Fact
from endplate.findings import Finding, Status
from endplate.record import Patient
from endplate.rules import rule

_RESULT, _MEAN, _SPREAD = (f"pain.qst.{n}" for n in ("result", "reference_mean", "reference_sd"))
_LOGARITHM, _LOW_IS_GAIN = "pain.qst.logarithm", "pain.qst.low_is_gain"
_NEEDED = (_RESULT, _MEAN, _SPREAD)
_SLACK = 9  # decimals of a z-score that count, against rounding at the limit


@rule(
    "pain.qst_z",
    reads=(*_NEEDED, _LOGARITHM, _LOW_IS_GAIN),
    scores="qst_z",
    needs=_NEEDED,
)
def qst_z(patient: Patient, evidence: Evidence) -> Finding | None:
    """Quantitative sensory testing: how far a result lies from its reference, as gain or loss.

    Source      work that goes by Rolke 2006, and Magerl 2010 (pain.qst.*); no table of references
                is public
    Population  whom the typed reference is for: the same place, sex and decade of age
    Not for     a reference of another place, sex or decade; a diagnosis by one test
    """
    given = [patient.latest(what) for what in _NEEDED]
    there = [f for f in given if f is not None]
    if not there:
        return None
    rows = evidence.under("pain.qst.")
    lacking = tuple(what for what, f in zip(_NEEDED, given, strict=True) if f is None)
    if lacking:
        return _without("it needs the result and its reference", there, lacking, evidence)
    result, mean, spread = (f.number for f in there)
    taken = patient.has(_LOGARITHM)
    if taken.yes and result <= 0:
        return _without("a result of zero or less has no logarithm", there, (), evidence)
    z = ((log10(result) if taken.yes else result) - mean) / spread
    low_is_gain = patient.has(_LOW_IS_GAIN)
    z = round(-z if low_is_gain.yes else z, _SLACK)
    outside = evidence.row("pain.qst.limit").met(abs(z))
    way = "outside" if low_is_gain.unknown else "gain" if z > 0 else "loss"
    category = way if outside else "within"
    said = {
        "gain": "a gain of function", "loss": "a loss of function", "within": "within the limits",
        "outside": "outside the limits; gain or loss, by whether a low result is a gain",
    }[category]  # fmt: skip
    return Finding(
        says=f"Sensory test: z {z:.2f}, {said}.",
        value=round(z, 2),
        unit="1",
        category=category,
        because=(*there, *taken.because, *low_is_gain.because),
        missing=(_LOW_IS_GAIN,) if low_is_gain.unknown else (),
        assumed=(_no_logarithm(patient),) if taken.unknown else (),
        rests_on=rows,
    )


def _no_logarithm(patient: Patient) -> Fact:
    return Fact(what=_LOGARITHM, value=False, on=patient.on, source="not stated")


def _without(why: str, there: list[Fact], missing: tuple[str, ...], evidence: Evidence) -> Finding:
    return Finding(
        says=f"The sensory test has no z-score: {why}.",
        status=Status.UNKNOWN,
        because=tuple(there),
        missing=missing,
        rests_on=evidence.under("pain.qst."),
    )
