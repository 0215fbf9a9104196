"""What a plan aims at: ranges of parameters, each with the source that sets it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from endplate import vocabulary
from endplate.alignment import hip_axis, targets
from endplate.alignment.geometry import PARAMETERS
from endplate.alignment.landmarks import Floats
from endplate.alignment.model import Spine
from endplate.alignment.proportion import GLOBAL_TILT
from endplate.alignment.standing import (
    LOWER_LORDOSIS,
    LUMBAR_LORDOSIS,
    PELVIC_INCIDENCE,
    PELVIC_TILT,
    SACRAL_SLOPE,
)
from endplate.evidence import Evidence, Row
from endplate.facts import Fact, InputProblem, Problem
from endplate.record import Patient

NAMES = ("t4_l1_hip_axis", "srs_schwab", "age_adjusted", "ideal_lordosis", "gap")
_MISMATCH = "spine.pelvic_incidence_lumbar_lordosis_mismatch"
_OFFSET = "spine.sagittal_vertical_axis"
_INDEX = "spine.lordosis_distribution_index"
_L1, _T4 = "spine.l1_pelvic_angle", "spine.t4_pelvic_angle"
_LEVELS = {
    LUMBAR_LORDOSIS: "L1-S1", LOWER_LORDOSIS: "L4-S1", _MISMATCH: "L1-S1", _OFFSET: "C7-S1",
    _INDEX: "L1-S1", _L1: "L1", _T4: "T4", GLOBAL_TILT: "C7-S1",
}  # fmt: skip
_RANGE = re.compile(r"(.+?)(?:@(\S+))?=(-?[\d.]+)?\.\.(-?[\d.]+)?")
# A value that is as near as this to the end of a range is in it: noise of arithmetic.
_NOISE = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A range in which a parameter, or a difference of two, is wanted.

    Attributes
    ----------
    of
        (concept, level, factor) of each part.
    low, high
        The ends, None where it is open; with `open_end` the end itself is outside.
    """

    name: str
    says: str
    of: tuple[tuple[str, str | None, int], ...]
    low: float | None = None
    high: float | None = None
    unit: str = "deg"
    open_end: bool = False
    rests_on: tuple[Row, ...] = ()

    def value(self, spine: Spine) -> Floats | None:
        """Its value on every variant of a spine; None without the landmarks."""
        total: Floats | None = None
        for what, level, factor in self.of:
            part = spine.values(what, level)
            if part is None:
                return None
            total = factor * part if total is None else total + factor * part
        return total

    def off(self, value: float) -> float:
        """How far a value lies outside, signed; 0 where it is in range."""
        if self.low is not None and value < self.low - _NOISE:
            return value - self.low
        if self.high is not None and value > self.high + _NOISE:
            return value - self.high
        return 0.0

    def reached(self, value: float) -> bool:
        """Whether a value is in range."""
        if self.off(value):
            return False
        return not (self.open_end and value in (self.low, self.high))

    @property
    def range_says(self) -> str:
        """The range as it is printed."""
        unit = {"deg": "°", "mm": " mm", "%": " %"}[self.unit]
        if self.low is None:
            return f"{'below' if self.open_end else 'at most'} {self.high:.1f}{unit}"
        if self.high is None:
            return f"{'above' if self.open_end else 'at least'} {self.low:.1f}{unit}"
        return f"{self.low:.1f} to {self.high:.1f}{unit}"


def chosen(
    names: Sequence[str], facts: Iterable[Fact], patient: Patient, film: str, evidence: Evidence
) -> tuple[tuple[Target, ...], tuple[Problem, ...]]:
    """The targets of these names that can be held against the radiograph, and what cannot.

    Parameters
    ----------
    names
        Of `NAMES` (``ideal_lordosis=FORMULA`` for another formula than the default), or ranges of
        parameters such as ``PT=10..20`` and ``TK@T4-T12=20..40``.

    Raises
    ------
    InputProblem
        If a name is not known, or nothing of what was asked for can be held against it.
    """
    measured = {(f.what, f.level): f for f in facts}
    kept: list[Target] = []
    problems: list[Problem] = []
    for name in names:
        for target in _named(name, measured, patient, film, evidence):
            lacking = [w for w, level, _ in target.of if (w, level) not in measured]
            if not lacking:
                kept.append(target)
                continue
            what = vocabulary.concept(lacking[0]).name
            problems.append(Problem(
                problem="alignment.plan.target_not_measured", where=film,
                says=f"{target.says} is not aimed at: {what} cannot be measured here.",
                try_=("The other problems say what it lacks.",),
            ))  # fmt: skip
    if not kept:
        raise InputProblem(
            f"{film}: there is nothing to aim at. A target whose parameters can be measured is "
            f"needed; none of {', '.join(names)} can. Mark more, or name another --target."
        )
    return tuple(kept), tuple(problems)


def _named(
    name: str,
    measured: dict[tuple[str, str | None], Fact],
    patient: Patient,
    film: str,
    evidence: Evidence,
) -> Iterator[Target]:
    if (match := _RANGE.fullmatch(name.strip())) is not None:
        yield _own(name, match)
        return
    key, _, formula = name.strip().lower().replace("-", "_").partition("=")
    if key not in NAMES or (formula and key != "ideal_lordosis"):
        raise InputProblem(
            f"--target {name[:40]!r}: is not known. It needs one of {', '.join(NAMES)}, or a range "
            f"such as PT=10..20; got another. Correct it."
        )
    if key == "age_adjusted" and patient.age is None:
        raise InputProblem(
            "--target age_adjusted: cannot be used. It needs the age; it is not known. Give --age."
        )
    incidence = measured.get((PELVIC_INCIDENCE, None))
    if incidence is None and key != "srs_schwab":
        raise InputProblem(
            f"{film}: {key} cannot be aimed at. It needs the pelvic incidence; it cannot be "
            f"measured. Mark both femoral heads and S1, or name a range as --target."
        )
    angle = incidence.number if incidence else math.nan
    if key == "t4_l1_hip_axis":
        yield from _hip_axis(patient, evidence)
    elif key == "srs_schwab":
        yield from _schwab(evidence)
    elif key == "age_adjusted":
        yield from _age_adjusted(patient, evidence)
    elif key == "gap":
        yield from _gap(angle, evidence)
    else:
        yield _ideal(formula, angle, patient, evidence)


def _part(what: str, factor: int = 1) -> tuple[str, str | None, int]:
    return what, _LEVELS.get(what), factor


def _hip_axis(patient: Patient, evidence: Evidence) -> Iterator[Target]:
    found = hip_axis.t4_l1_hip_axis.one(patient, evidence)
    middle = float(found.parts["target_l1_pelvic_angle"] or 0)
    within = evidence.row("alignment.plan.target.l1_pelvic_angle")
    aligned = evidence.row("alignment.t4_l1_hip_axis.aligned")
    yield Target(
        name="t4_l1_hip_axis", says="L1 pelvic angle", of=(_part(_L1),),
        low=middle - within.number, high=middle + within.number,
        rests_on=(*evidence.under("alignment.t4_l1_hip_axis.l1."), within),
    )  # fmt: skip
    yield Target(
        name="t4_l1_hip_axis", says="T4 pelvic angle less L1 pelvic angle",
        of=(_part(_T4), _part(_L1, -1)), low=-aligned.number, high=aligned.number,
        rests_on=(aligned,),
    )  # fmt: skip


def _schwab(evidence: Evidence) -> Iterator[Target]:
    for key, what, says in (
        ("pi_ll", _MISMATCH, "PI-LL"), ("pt", PELVIC_TILT, "pelvic tilt"),
        ("sva", _OFFSET, "sagittal vertical axis"),
    ):  # fmt: skip
        row = evidence.row(f"alignment.srs_schwab.{key}.moderate")
        yield Target(
            name="srs_schwab", says=says, of=(_part(what),), high=row.number, unit=row.unit,
            open_end=True, rests_on=(row,),
        )  # fmt: skip


def _age_adjusted(patient: Patient, evidence: Evidence) -> Iterator[Target]:
    found = targets.age_adjusted.one(patient, evidence)
    within = evidence.row("alignment.plan.target.within")
    for key, what, says in (
        ("target_pelvic_tilt", PELVIC_TILT, "pelvic tilt for the age"),
        ("target_pelvic_incidence_minus_lumbar_lordosis", _MISMATCH, "PI-LL for the age"),
    ):
        middle = found.parts.get(key)
        if isinstance(middle, float):
            yield Target(
                name="age_adjusted", says=says, of=(_part(what),), low=middle - within.number,
                high=middle + within.number, rests_on=(*found.rests_on, within),
            )  # fmt: skip


def _ideal(formula: str, incidence: float, patient: Patient, evidence: Evidence) -> Target:
    found = targets.ideal_lordosis.one(patient, evidence)
    key = formula or evidence.choice("alignment.ideal_lordosis").use
    middle = found.parts.get(key)
    known = [name for name, part in found.parts.items() if isinstance(part, float)]
    if not isinstance(middle, float):
        raise InputProblem(
            f"--target ideal_lordosis: {key[:40]!r} gives no lordosis here. It needs one of "
            f"{', '.join(known)}; got another, or its class or the age is missing. Name another."
        )
    schwab = key == "schwab"
    row = evidence.row(
        "alignment.ideal_lordosis.schwab" if schwab else "alignment.plan.target.within"
    )
    rows = evidence.under(f"alignment.ideal_lordosis.{key}")
    return Target(
        name=f"ideal_lordosis={key}", says="lumbar lordosis L1-S1", of=(_part(LUMBAR_LORDOSIS),),
        low=middle - row.number, high=middle + row.number, rests_on=tuple({*rows, row}),
    )  # fmt: skip


# The components of GAP as parameters: the classes that lie below and above the aligned one.
_COMPONENTS = (
    ("relative_pelvic_version", SACRAL_SLOPE, "sacral slope",
     "moderate_retroversion", "anteversion"),
    ("relative_lumbar_lordosis", LUMBAR_LORDOSIS, "lumbar lordosis L1-S1",
     "moderate_hypolordosis", "hyperlordosis"),
    ("lordosis_distribution_index", _INDEX, "lordosis distribution index",
     "moderate_hypolordotic", "hyperlordotic"),
    ("relative_spinopelvic_alignment", GLOBAL_TILT, "global tilt",
     "negative", "moderate_positive"),
)  # fmt: skip


def _gap(incidence: float, evidence: Evidence) -> Iterator[Target]:
    for component, what, says, below, above in _COMPONENTS:
        ideal, rows = 0.0, []
        if what != _INDEX:
            slope, offset = (
                evidence.row(f"alignment.gap.ideal.{component}.{n}") for n in ("slope", "offset")
            )
            ideal = slope.number * incidence + offset.number
            rows = [slope, offset]
        low, high = (evidence.row(f"alignment.gap.{component}.{n}") for n in (below, above))
        yield Target(
            name="gap", says=f"{says} that GAP calls aligned", of=(_part(what),),
            low=ideal + low.number, high=ideal + high.number, unit=low.unit,
            rests_on=(*rows, low, high),
        )  # fmt: skip


def _own(text: str, match: re.Match[str]) -> Target:
    """A range that the user set for a parameter."""
    name, level, low, high = match.groups()
    wanted = name.strip().lower()
    every = {(p.what, p.level): p for p in PARAMETERS["lateral"] if p.side is None}
    named = [
        key
        for key in every
        if wanted in (key[0], key[0].split(".")[-1])
        or wanted in (n.lower() for n in vocabulary.concept(key[0]).names)
    ]
    fitting = [key for key in named if level is None or key[1] == level.upper()]
    try:
        ends = [None if end is None else float(end) for end in (low, high)]
    except ValueError:
        ends = [None, None]
    if (
        len(fitting) != 1
        or ends == [None, None]
        or (ends[0] is not None and ends[1] is not None and ends[0] > ends[1])
    ):
        levels = ", ".join(f"{wanted}@{key[1]}" for key in named)
        raise InputProblem(
            f"--target {text[:40]!r}: is not understood. It needs one parameter and a range that "
            f"rises, such as PT=10..20 or SVA=..40; got another. "
            + (f"Name its levels, as one of {levels}." if len(fitting) > 1 else "Correct it.")
        )
    what, at = fitting[0]
    concept = vocabulary.concept(what)
    return Target(
        name=f"{concept.names[0] if concept.names else what}", says=concept.name.split(" (")[0],
        of=((what, at, 1),), low=ends[0], high=ends[1], unit=concept.unit,
    )  # fmt: skip
