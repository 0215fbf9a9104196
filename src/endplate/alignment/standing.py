"""Which measurements count for a score that is defined on standing radiographs.

A lordosis lying down is another lordosis than the same person's standing one, so that a score
takes measurements of standing people only, and all of one day. Pelvic incidence is the shape of
a bone and counts from every posture.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from types import MappingProxyType

from msgspec import Struct

from endplate.evidence import Evidence, Row
from endplate.facts import Fact, replaced
from endplate.findings import Finding, PartValue, Status
from endplate.posture import Posture
from endplate.record import Patient
from endplate.vocabulary import concept

POSTURE = "imaging.posture"
# The method by which a pair of radiographs of one scan is measured in space.
IN_SPACE = "endplate.biplanar_from_landmarks/1"
PELVIC_INCIDENCE = "pelvis.pelvic_incidence"
PELVIC_TILT = "pelvis.pelvic_tilt"
SACRAL_SLOPE = "pelvis.sacral_slope"
LUMBAR_LORDOSIS = "spine.lumbar_lordosis"
LOWER_LORDOSIS = "spine.lower_lumbar_lordosis"
MISMATCH = "spine.pelvic_incidence_lumbar_lordosis_mismatch"
CURVE = "spine.coronal_cobb_angle"

_ANY_POSTURE = (PELVIC_INCIDENCE,)
# What is meant where no span is stated; another span is another quantity.
_SPANS = {LUMBAR_LORDOSIS: "L1-S1", LOWER_LORDOSIS: "L4-S1"}


class Standing(Struct, frozen=True, kw_only=True):
    """What of the measurements that a score asks for can be used.

    Attributes
    ----------
    used
        The measurements of the newest day on which the person was measured standing.
    refused
        Measurements in another posture or in one that nobody stated, with that posture.
    earlier
        Standing measurements of another day than the others.
    missing
        Every concept that was asked for and is not among `used`.
    """

    used: Mapping[str, Fact]
    refused: tuple[tuple[Fact, Posture], ...]
    earlier: tuple[Fact, ...]
    missing: tuple[str, ...]

    @property
    def nothing(self) -> bool:
        """Whether nobody measured anything that was asked for, in any posture."""
        return not (self.used or self.refused or self.earlier)

    @property
    def because(self) -> tuple[Fact, ...]:
        """The measurements used."""
        return tuple(self.used.values())

    def number(self, what: str) -> float:
        """A measurement that is used."""
        return self.used[what].number

    def has(self, *asked: str) -> bool:
        """Whether all of these can be used."""
        return all(what in self.used for what in asked)


def standing(patient: Patient, asked: Iterable[str], spans: Mapping[str, str] = _SPANS) -> Standing:
    """The measurements among `asked` that were taken standing, of the newest such day.

    `spans`: over which levels each is to be taken; where none is stated, those are meant.
    """
    asked = tuple(asked)
    found = {what: _measured(patient, what, spans) for what in asked}
    upright = {
        what: [f for f in facts if posture_of(patient, f) is Posture.STANDING]
        for what, facts in found.items()
        if what not in _ANY_POSTURE
    }
    day = max((f.on or date.min for facts in upright.values() for f in facts), default=None)
    used: dict[str, Fact] = {}
    refused, earlier = [], []
    for what in asked:
        facts = found[what]
        if what in _ANY_POSTURE:
            used |= {what: facts[0]} if facts else {}
            continue
        of_the_day = [f for f in upright[what] if (f.on or date.min) == day]
        if of_the_day:
            used[what] = of_the_day[0]
        elif upright[what]:
            earlier.append(upright[what][0])
        elif facts:
            refused.append((facts[0], posture_of(patient, facts[0])))
    return Standing(
        used=used,
        refused=tuple(refused),
        earlier=tuple(earlier),
        missing=tuple(what for what in asked if what not in used),
    )


def standing_mismatch(patient: Patient, asked: Sequence[str]) -> Standing:
    """`standing`, with incidence less lordosis as somebody stated it where the two are not known.

    What needs the incidence by itself still has it where it is known.
    """
    measured = standing(patient, asked)
    if measured.has(PELVIC_INCIDENCE, LUMBAR_LORDOSIS):
        return measured
    kept = (w for w in asked if w not in (PELVIC_INCIDENCE, LUMBAR_LORDOSIS) or measured.has(w))
    stated = standing(patient, (MISMATCH, *kept))
    return stated if stated.has(MISMATCH) else measured


def mismatch(measured: Standing) -> float | None:
    """Incidence less lordosis, from the two or as stated."""
    if measured.has(PELVIC_INCIDENCE, LUMBAR_LORDOSIS):
        return measured.number(PELVIC_INCIDENCE) - measured.number(LUMBAR_LORDOSIS)
    return measured.number(MISMATCH) if measured.has(MISMATCH) else None


def _measured(patient: Patient, what: str, spans: Mapping[str, str]) -> list[Fact]:
    """All measurements of a quantity over its own span that are fit for use, newest first."""
    return in_space_first([
        f
        for f in patient.facts(what)
        if f.details.get("usable") != "no" and f.level in (None, spans.get(what, f.level))
    ])  # fmt: skip


def in_span(fact: Fact | None, span: str) -> tuple[Fact, ...]:
    """What is assumed of a measurement that does not say over which levels it was taken."""
    return (replaced(fact, level=span),) if fact and fact.level is None else ()


def in_space_first(facts: Sequence[Fact]) -> list[Fact]:
    """Of each day what was measured in space, where anything was: a shadow shows less."""
    days = {f.on for f in facts if f.method == IN_SPACE}
    return [f for f in facts if f.method == IN_SPACE or f.on not in days]


def posture_of(patient: Patient, fact: Fact) -> Posture:
    """The posture of a measurement: its own, or that stated by the same source for the same day."""
    if fact.posture is not None:
        return Posture(fact.posture)
    stated = {
        str(f.value) for f in patient.facts(POSTURE) if f.source == fact.source and f.on == fact.on
    }
    return Posture(stated.pop()) if len(stated) == 1 else Posture.UNKNOWN


def standing_curves(patient: Patient) -> tuple[Fact, ...]:
    """The frontal curves measured on the newest day on which the person stood for them."""
    upright = in_space_first([f for f in patient.facts(CURVE) if is_upright(patient, f)])
    return tuple(f for f in upright if f.on == upright[0].on)


def is_upright(patient: Patient, fact: Fact) -> bool:
    """Whether a measurement was taken standing and is fit for use."""
    return posture_of(patient, fact) is Posture.STANDING and fact.details.get("usable") != "no"


def contradiction(measured: Standing, evidence: Evidence) -> Finding | None:
    """That tilt and slope of one image do not add up to its incidence, so that one is wrong.

    An incidence from another image has an error of its own, and is not held against them.
    """
    three = (PELVIC_INCIDENCE, PELVIC_TILT, SACRAL_SLOPE)
    if not measured.has(*three):
        return None
    incidence, tilt, slope = (measured.used[what] for what in three)
    if (incidence.source, incidence.on) != (tilt.source, tilt.on):
        return None
    row = evidence.row("alignment.consistency.incidence")
    gap = abs(incidence.number - tilt.number - slope.number)
    if not row.met(gap):
        return None
    return Finding(
        says=f"Pelvic tilt and sacral slope add up to {tilt.number + slope.number:.1f}° and the "
        f"pelvic incidence is given as {incidence.number:.1f}°: one of them is wrong, and nothing "
        f"is classified by them.",
        status=Status.UNKNOWN,
        because=(incidence, tilt, slope),
        missing=three,
        rests_on=(row,),
    )


def contradicted(patient: Patient, evidence: Evidence) -> Finding | None:
    """`contradiction` for a score that asks for only some of incidence, tilt and slope."""
    three = standing(patient, (PELVIC_INCIDENCE, PELVIC_TILT, SACRAL_SLOPE))
    return contradiction(three, evidence)


def of_a_minor(name: str, patient: Patient, evidence: Evidence) -> Finding | None:
    """That a score of adults is asked of somebody who is known to be none."""
    adult, age = evidence.row("alignment.adult_from_age"), patient.age
    if age is None or adult.met(age.number):
        return None
    return Finding(
        says=f"{name} is for adults.",
        status=Status.NOT_APPLICABLE,
        because=(age,),
        rests_on=(adult,),
    )


def not_answered(
    name: str,
    measured: Standing,
    evidence: Evidence,
    *,
    rows: tuple[Row, ...] = (),
    parts: Mapping[str, PartValue] = MappingProxyType({}),
    also_because: tuple[Fact, ...] = (),
    also_missing: tuple[str, ...] = (),
) -> Finding:
    """That a score cannot be given, with the posture, the day or the lack that is in the way."""
    reasons = _of_another_posture(measured)
    if measured.earlier:
        names = _listed(called(f.what) for f in measured.earlier)
        many = len(measured.earlier) > 1
        reasons.append(
            f"{names} {'were' if many else 'was'} not measured on the same day as the others"
        )
    told = {f.what for f, _ in measured.refused} | {f.what for f in measured.earlier}
    lacking = [w for w in (*measured.missing, *also_missing) if w not in told]
    if lacking:
        reasons.append(f"{_listed(called(w) for w in lacking)} not known")
    if measured.refused:
        rows = (*rows, *evidence.under("alignment.posture."))
    return Finding(
        says=f"{name} cannot be given: {'; '.join(reasons)}.",
        status=Status.UNKNOWN,
        parts=dict(parts),
        because=(
            *measured.because,
            *(f for f, _ in measured.refused),
            *measured.earlier,
            *also_because,
        ),
        missing=(*measured.missing, *also_missing),
        rests_on=rows,
    )


def _of_another_posture(measured: Standing) -> list[str]:
    """What was measured in which other posture, and that the score is for standing people."""
    by_posture: dict[Posture, list[str]] = {}
    for fact, posture in measured.refused:
        by_posture.setdefault(posture, []).append(called(fact.what))
    if not by_posture:
        return []
    parts = [
        f"{_listed(names)} {'was' if len(names) == 1 else 'were'} measured "
        f"{_IN_WORDS.get(posture, 'in a posture that is not stated')}"
        for posture, names in by_posture.items()
    ]
    return [f"it is defined on standing radiographs, and {_listed(parts)}"]


_IN_WORDS = {
    Posture.SITTING: "sitting",
    Posture.SUPINE: "supine",
    Posture.PRONE: "prone",
    Posture.LATERAL: "lying on the side",
}


def called(what: str) -> str:
    """What a clinician calls a concept, without what its name explains in brackets."""
    return concept(what).name.split(" (")[0]


def told(value: float, cut_offs: Iterable[Row], decimals: int = 0) -> str:
    """A value with as few decimals as leave it on its side of each cut-off: 24.8, not 25."""
    rows = [row for row in cut_offs if row.compare]
    finest = max((row.decimals or 0 for row in rows), default=0)
    for count in range(decimals, finest):
        text = f"{value:.{count}f}"
        if all(row.met(float(text)) == row.met(value) for row in rows):
            return text
    return f"{value:.{max(decimals, finest)}f}"


def off_by(degrees: float) -> str:
    """How far a value lies from another: ``3.0° above``, ``at``."""
    size = f"{abs(degrees):.1f}"
    if float(size) == 0:
        return "at"
    return f"{size}° {'above' if degrees > 0 else 'below'}"


def _listed(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last
