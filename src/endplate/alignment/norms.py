"""Where a measured value lies among people without complaints, in every population known.

A norm holds for what it was measured on: its own levels, its own posture. One population is never
put in the place of another; all that fit are given side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from endplate.alignment.standing import posture_of
from endplate.evidence import Citation, Evidence, Row
from endplate.facts import Fact
from endplate.posture import Posture
from endplate.record import Patient

_ANY = "any"
OF_THE_MEAN = "95 % interval of the mean"
Place = Literal["below", "within", "above"]


class Norm(Struct, frozen=True, kw_only=True):
    """A measured value beside one population.

    Attributes
    ----------
    what, level, value
        The measurement, and the levels over which it was taken.
    row, population, cites, verified
        The evidence, and in whom it was found.
    mean, sd, low, high, band
        What was printed of them; `band` says what `low` and `high` are the ends of.
    z
        How many standard deviations the value lies above the mean; only where mean and standard
        deviation were printed.
    place
        Where the value lies against `low` and `high`.
    unlike
        How the person differs from the population: of another age.
    """

    what: str
    value: float
    unit: str
    row: str
    says: str
    population: str
    cites: tuple[Citation, ...]
    verified: bool
    level: str | None = None
    mean: float | None = None
    sd: float | None = None
    low: float | None = None
    high: float | None = None
    band: str = ""
    z: float | None = None
    place: Place | None = None
    unlike: str = ""


def norms_of(fact: Fact, patient: Patient, evidence: Evidence) -> tuple[Norm, ...]:
    """Every norm that is one of this very measurement, for such a person."""
    if fact.details.get("usable") == "no":
        return ()
    posture = posture_of(patient, fact)
    return tuple(
        _placed(fact, row, patient)
        for row in evidence.under("alignment.norm.")
        if _fits(row.table[0], fact, posture, patient.sex)
    )


def _fits(line: Mapping[str, Any], fact: Fact, posture: Posture, sex: str | None) -> bool:
    """Whether a norm is of the same quantity, levels and posture, and not of the other sex.

    Where a kyphosis or lordosis does not say its levels, no norm is one of it; a value that is
    always of the same levels need not say them.
    """
    if line["asks"] != fact.what:
        return False
    level = line.get("level")
    if level is not None and fact.level != level and (fact.level or _has_spans(fact.what)):
        return False
    if line["posture"] != _ANY and line["posture"] != posture.value:
        return False
    return line.get("sex") in (None, sex) or sex in (None, "other")


# Quantities that are taken over different levels, or at different ones.
_SPANNED = ("spine.thoracic_kyphosis", "spine.lumbar_lordosis", "spine.vertebral_tilt")


def _has_spans(what: str) -> bool:
    return what in _SPANNED


def _placed(fact: Fact, row: Row, patient: Patient) -> Norm:
    line = row.table[0]
    sd, low, high = line.get("sd"), line.get("low"), line.get("high")
    value = fact.number
    place: Place | None = None
    if low is not None and high is not None:
        place = "below" if value < low else "above" if value > high else "within"
    return Norm(
        what=fact.what,
        level=fact.level,
        value=value,
        unit=fact.unit,
        row=row.name,
        says=row.says,
        population=row.population,
        cites=row.cites,
        verified=row.verified,
        mean=row.value,
        sd=sd,
        low=line.get("mean_low", low),
        high=line.get("mean_high", high),
        band=OF_THE_MEAN if "mean_low" in line else line.get("band", ""),
        z=None if sd is None or row.value is None else round((value - row.value) / sd, 6),
        place=place,
        unlike=_unlike(line, patient.age),
    )


def _unlike(line: Mapping[str, Any], age: Fact | None) -> str:
    """That the person is younger or older than all of a population whose ages are known."""
    if age is None or "age_from" not in line:
        return ""
    if line["age_from"] <= age.number <= line["age_to"]:
        return ""
    return f"{age.number:g} years, and they were {line['age_from']} to {line['age_to']}"
