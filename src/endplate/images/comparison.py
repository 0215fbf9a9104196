"""Two studies of one person, measurement against measurement: what changed, and what cannot tell.

A change counts against its own error, from the standard errors of both measurements. What must be
alike for two values to be compared depends on the quantity: the height of a body knows nothing
of contrast, attenuation all of it. Nothing here looks at voxels.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from statistics import NormalDist
from typing import Literal

from msgspec import Struct, field

from endplate import levels, vocabulary
from endplate.evidence import Evidence
from endplate.facts import NOTHING, Fact, Side, Value
from endplate.findings import Finding, Stage, Status, Urgency
from endplate.images.gates import DEFORMITIES, GRADED, GRADES, genant_grade, kernel_kind
from endplate.levels import Level, is_vertebra
from endplate.posture import Posture
from endplate.record import Patient
from endplate.rules import rule

Verdict = Literal["changed", "within error", "not comparable", "unknown error"]

METHOD = "endplate.change/1"
HEIGHTS = tuple(f"vertebra.height.{n}" for n in ("anterior", "middle", "posterior"))
_ORDER = ("none", *reversed(GRADES))
# What must be alike, by quantity: the first pattern that fits. The shape of one bone does not
# depend on how the person lay or what the scanner was set to; how bones stand to each other, and
# soft tissue, depend on the posture; brightness depends on how the image was made.
_BRIGHTNESS_CT = ("contrast", "tube_voltage", "kernel")
_BRIGHTNESS_MR = ("contrast", "field_strength", "sequence")
_MUST_AGREE: Mapping[str, tuple[str, ...]] = {
    "ct.*": _BRIGHTNESS_CT,
    "muscle.*density*": _BRIGHTNESS_CT,
    "mr.marrow_signal": ("scale",),
    "mr.csf_signal": ("scale",),
    "mr.*": _BRIGHTNESS_MR,
    "*fat_fraction*": _BRIGHTNESS_MR,
    "vertebra.axial_rotation": ("posture",),
    "vertebra.*": (),
    "canal.*": (),
    "pelvis.*_radius": (),
    "*pelvic_incidence*": (),
    "*": ("posture",),
}
# What does not forbid a comparison and is said where it differs, by the same patterns.
_SHOULD_AGREE: Mapping[str, tuple[str, ...]] = {
    "ct.*": ("scanner", "slice_spacing"),
    "muscle.*density*": ("scanner", "slice_spacing"),
    "mr.*": ("scanner", "repetition_time", "echo_time"),
    "*": (),
}
# Words of a value that decide what it is a mean of, or measured against.
_SAME_MEANING = {"levels": "means of different levels", "reference": "against different vertebrae"}


class Change(Struct, frozen=True, kw_only=True):
    """One quantity in two studies.

    Attributes
    ----------
    what, level, side, unit, method
        As in the facts; the method of both, where it is one.
    earlier, later
        The two values; None for what is only measured between studies, such as a motion.
    change
        Later minus earlier; None for words.
    standard_error, interval, smallest_detectable
        Of the change: its standard error, 95 % interval, and the least change that would have
        counted; None where an error is unknown.
    verdict, reasons
        ``changed``, ``within error``, ``not comparable`` or ``unknown error``, and why.
    doubts
        What speaks against either value.
    """

    what: str
    level: str | None
    side: Side | None = None
    unit: str
    method: str | None
    earlier: float | None = None
    later: float | None = None
    change: float
    standard_error: float | None
    interval: tuple[float, float] | None
    smallest_detectable: float | None
    verdict: Verdict
    reasons: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    earlier_on: date | None = None
    later_on: date | None = None
    earlier_source: str = ""
    later_source: str = ""
    details: Mapping[str, float | str] = field(default_factory=dict)

    @property
    def says(self) -> str:
        """One line: ``L1 anterior height 24.1 -> 19.8 mm, -4.3 (±0.6): changed``."""
        concept = vocabulary.concept(self.what)
        bound = None if self.interval is None else self.interval[1] - self.change
        # An error of less than one unit is not shown as none.
        digits = concept.decimals if bound is None else max(concept.decimals, int(bound < 1))
        unit = {"1": "", "[hnsf'U]": " HU", "deg": "°"}.get(self.unit, f" {self.unit}")
        where = " ".join(p for p in (self.level, self.side) if p)
        text = f"{where} {concept.name}".strip()
        moved = f"{self.change:+.{digits}f}"
        if self.earlier is not None and self.later is not None:
            text += f" {self.earlier:.{digits}f} -> {self.later:.{digits}f}{unit}, {moved}"
        else:
            text += f" {moved}{unit}"
        text += "" if bound is None else f" (±{bound:.{digits}f})"
        text += f": {self.verdict}"
        return text + (f" ({'; '.join(self.reasons)})" if self.reasons else "")


@dataclass(frozen=True, slots=True)
class Studies:
    """When the two studies were taken, and what their facts name as their source."""

    earlier_on: date | None
    later_on: date | None
    earlier_source: str
    later_source: str


def judged(
    what: str,
    change: float,
    error: float | None,
    studies: Studies,
    evidence: Evidence,
    *,
    level: str | None,
    side: Side | None = None,
    method: str | None = METHOD,
    values: tuple[float, float] | None = None,
    against: Sequence[str] = (),
    doubts: Sequence[str] = (),
    least: float = 0.0,
    least_because: str = "",
    details: Mapping[str, float | str] = NOTHING,
) -> Change:
    """A change with its limits and its verdict.

    Parameters
    ----------
    error
        Standard error of the change; None where one of the two is unknown.
    values
        Earlier and later, where it is a difference of two measurements.
    against
        Why the two cannot be compared.
    least, least_because
        A change smaller than this is none, whatever its error says, and why.
    """
    z = NormalDist().inv_cdf(1 - evidence.row("measurement.change.level").number / 200)
    verdict: Verdict = "unknown error"
    reasons: tuple[str, ...] = ("the error of one of the two values is unknown",)
    interval = smallest = None
    if error is not None:
        smallest = max(z * error, least)
        interval = (round(change - z * error, 3), round(change + z * error, 3))
        verdict = "changed" if abs(change) > smallest else "within error"
        alone = least_because and z * error < abs(change) <= least
        reasons = (least_because,) if alone else ()
    if against:
        verdict, reasons = "not comparable", tuple(dict.fromkeys(against))
    return Change(
        what=what,
        level=level,
        side=side,
        unit=vocabulary.concept(what).unit,
        method=method,
        earlier=values and values[0],
        later=values and values[1],
        change=round(change, 3),
        standard_error=None if error is None else round(error, 3),
        interval=interval,
        smallest_detectable=None if smallest is None else round(smallest, 3),
        verdict=verdict,
        reasons=reasons,
        doubts=tuple(dict.fromkeys(doubts)),
        earlier_on=studies.earlier_on,
        later_on=studies.later_on,
        earlier_source=studies.earlier_source,
        later_source=studies.later_source,
        details=details,
    )


def compared(
    earlier: Iterable[Fact],
    later: Iterable[Fact],
    evidence: Evidence,
    *,
    excess: float = 1.0,
) -> tuple[Change, ...]:
    """Every number that both studies have at the same level and side.

    Parameters
    ----------
    excess
        How many times more the two masks differ than their voxels explain: shapes are known that
        much worse.
    """
    before, after = _by_place(earlier), _by_place(later)
    found = [
        _compared(one, other, evidence, excess)
        for place, others in after.items()
        for one, other in _paired(before.get(place, []), others)
    ]
    return tuple(sorted(found, key=_place))


def _place(change: Change) -> tuple[object, ...]:
    return (levels.order(change.level), change.what, change.side or "", change.method or "")


def _by_place(facts: Iterable[Fact]) -> dict[tuple[str, str | None, str | None], list[Fact]]:
    found: dict[tuple[str, str | None, str | None], list[Fact]] = {}
    for fact in facts:
        concept = vocabulary.concepts().get(fact.what)
        if concept is not None and concept.kind == "number":
            found.setdefault((fact.what, fact.level, fact.side), []).append(fact)
    return found


def _paired(before: list[Fact], after: list[Fact]) -> Iterator[tuple[Fact, Fact]]:
    """Facts about one thing by their methods; one of each that has no partner goes together."""
    left = list(before)
    alone = []
    for fact in after:
        same = next((f for f in left if f.method == fact.method), None)
        if same is None:
            alone.append(fact)
        else:
            left.remove(same)
            yield same, fact
    yield from zip(left, alone, strict=False)


def _compared(one: Fact, other: Fact, evidence: Evidence, excess: float) -> Change:
    doubts = [f"{when}: {d}" for when, f in (("earlier", one), ("later", other)) for d in f.doubts]
    doubts += _other_than_before(one, other)
    errors = [standard_error(f) for f in (one, other)]
    error = None
    if errors[0] is not None and errors[1] is not None:
        error = math.hypot(errors[0], errors[1])
        if excess > 1 and not _first(_MUST_AGREE, one.what):
            error *= excess
            doubts.append(
                f"the two masks differ {excess:.1f} times as much as their voxels explain, and the "
                f"error is enlarged by that"
            )
    least = 0.0
    if one.what.startswith("ct.hounsfield."):
        least = evidence.row("measurement.hounsfield.least_significant_change").number
    return judged(
        one.what,
        other.number - one.number,
        error,
        Studies(one.on, other.on, one.source, other.source),
        evidence,
        level=one.level,
        side=one.side,
        method=one.method if one.method == other.method else None,
        values=(one.number, other.number),
        against=tuple(_against(one, other, evidence)),
        doubts=doubts,
        least=least,
        least_because=f"two scans within days differ by up to {least:g} HU",
    )


def standard_error(fact: Fact) -> float | None:
    """The standard error of a measured value, as stated or from its 95 % interval."""
    stated = fact.details.get("standard_error")
    if isinstance(stated, float | int):
        return float(stated)
    if fact.interval is None:
        return None
    return (fact.interval[1] - fact.interval[0]) / (2 * NormalDist().inv_cdf(0.975))


def _first(table: Mapping[str, tuple[str, ...]], what: str) -> tuple[str, ...]:
    return next(value for pattern, value in table.items() if fnmatchcase(what, pattern))


# -- what must be alike -------------------------------------------------------------------------


def _against(one: Fact, other: Fact, evidence: Evidence) -> Iterator[str]:
    """Why two values cannot be compared; nothing where they can."""
    if one.method != other.method:
        yield f"methods differ: {one.method or 'unknown'}, {other.method or 'unknown'}"
    if one.unit != other.unit:
        yield f"units differ: {one.unit}, {other.unit}"
    for name, says in _SAME_MEANING.items():
        first, second = (f.details.get(name) for f in (one, other))
        if first is not None and second is not None and first != second:
            yield f"{says}: {first or 'none'}; {second or 'none'}"
    for condition in _first(_MUST_AGREE, one.what):
        yield from _CONDITIONS[condition](one, other, evidence)


def posture_against(one: Posture | None, other: Posture | None) -> Iterator[str]:
    """Why how bones stand to each other cannot be compared."""
    if one is None or other is None or Posture.UNKNOWN in (one, other):
        yield "posture unknown"
    elif one != other:
        yield f"posture differs: {one}, {other}"


def _posture(one: Fact, other: Fact, evidence: Evidence) -> Iterator[str]:
    yield from posture_against(one.posture, other.posture)


def _scale(one: Fact, other: Fact, evidence: Evidence) -> Iterator[str]:
    yield "an MR signal has no scale that two images share"


def _detail(name: str) -> Callable[[Fact, Fact, Evidence], Iterator[str]]:
    said = name.replace("_", " ")

    def against(one: Fact, other: Fact, evidence: Evidence) -> Iterator[str]:
        first, second = (_known(f, name) for f in (one, other))
        if first is None or second is None:
            yield f"{said} unknown"
        elif first != second:
            yield f"{said} differs: {_shown(first)}, {_shown(second)}"

    return against


def _field_strength(one: Fact, other: Fact, evidence: Evidence) -> Iterator[str]:
    first, second = (_known(f, "field_strength") for f in (one, other))
    if not isinstance(first, float | int) or not isinstance(second, float | int):
        yield "field strength unknown"
    else:
        apart = 100 * abs(first - second) / max(first, second)
        if not evidence.row("measurement.change.field_strength").met(apart):
            yield f"field strength differs: {first:g}, {second:g} T"


def _kernel(one: Fact, other: Fact, evidence: Evidence) -> Iterator[str]:
    first, second = (_known(f, "kernel") for f in (one, other))
    if first is None or second is None:
        yield "kernel unknown"
    elif first != second:
        kinds = [kernel_kind(str(k), evidence) for k in (first, second)]
        if "unknown" in kinds:
            yield f"kernels {first} and {second}: how sharp one of them is, is unknown"
        elif kinds[0] != kinds[1]:
            yield f"kernel sharpness differs: {first} is {kinds[0]}, {second} is {kinds[1]}"


_CONDITIONS: Mapping[str, Callable[[Fact, Fact, Evidence], Iterator[str]]] = {
    "posture": _posture,
    "scale": _scale,
    "kernel": _kernel,
    "field_strength": _field_strength,
    **{n: _detail(n) for n in ("contrast", "tube_voltage", "sequence")},
}


def _other_than_before(one: Fact, other: Fact) -> Iterator[str]:
    """What differs and is no reason not to compare."""
    for name in _first(_SHOULD_AGREE, one.what):
        first, second = (_known(f, name) for f in (one, other))
        if first is not None and second is not None and first != second:
            yield f"{name.replace('_', ' ')} differs: {_shown(first)}, {_shown(second)}"


def _known(fact: Fact, name: str) -> float | str | None:
    value = fact.details.get(name)
    return None if value in (None, "unknown", "") else value


def _shown(value: Value) -> str:
    return f"{value:g}" if isinstance(value, float | int) else str(value)


# -- a new deformity ----------------------------------------------------------------------------


@rule("measurement.new_deformity", reads=(*DEFORMITIES, *HEIGHTS))
def new_deformity(patient: Patient, evidence: Evidence) -> Iterator[Finding]:
    """Whether a vertebra has become lower or more deformed from one study to the next.

    Source      measurement.change.heights_together, measurement.genant.mild,
                measurement.genant.moderate, measurement.genant.severe
    Population  T4-L4 for the grades; all measured vertebrae for the heights
    Not for     telling a fracture from a slip of a mask: that needs eyes
    Differs     the interval-change rules of radiography (a loss of 20 % or 4 mm) are not applied;
                none was read in its source
    """
    dated = [
        f for what in (*DEFORMITIES, *HEIGHTS) for f in patient.facts(what)
        if f.on is not None and is_vertebra(f.level)
    ]  # fmt: skip
    # Each vertebra's newest study against the one before it.
    pairs: dict[tuple[str, str], tuple[list[Fact], list[Fact]]] = {}
    for level in {f.level for f in dated}:
        here = [f for f in dated if f.level == level]
        studies = sorted({(f.on or date.min, f.source) for f in here}, reverse=True)
        before = [s for s in studies if s[0] < studies[0][0]]
        if before:
            both = pairs.setdefault((before[0][1], studies[0][1]), ([], []))
            for facts, study in zip(both, (before[0], studies[0]), strict=True):
                facts += [f for f in here if (f.on, f.source) == study]
    for _, (earlier, later) in sorted(pairs.items()):
        yield from deformities(earlier, later, evidence)


def deformities(
    earlier: Collection[Fact],
    later: Collection[Fact],
    evidence: Evidence,
    *,
    excess: float = 1.0,
) -> Iterator[Finding]:
    """What became of each vertebra's heights and grade between two studies, in their order."""
    changes = compared(
        [f for f in earlier if f.what in (*DEFORMITIES, *HEIGHTS)],
        [f for f in later if f.what in (*DEFORMITIES, *HEIGHTS)],
        evidence,
        excess=excess,
    )
    row = evidence.row("measurement.change.heights_together")
    usable = [c for c in changes if c.verdict in ("changed", "within error")]
    count = max(sum(c.what in HEIGHTS for c in usable), 1)
    limit = NormalDist().inv_cdf(1 - row.number / 100 / count)
    for level in sorted({str(c.level) for c in changes}, key=Level):
        facts = tuple(f for f in (*earlier, *later) if f.level == level and _is_shape(f))
        here = [c for c in changes if c.level == level]
        fallen = [
            c for c in here
            if c in usable and c.what in HEIGHTS and c.change < -limit * (c.standard_error or 0)
        ]  # fmt: skip
        yield _deformity(level, here, fallen, facts, evidence)


def _is_shape(fact: Fact) -> bool:
    return fact.what in DEFORMITIES or fact.what in HEIGHTS


def _deformity(
    level: str,
    changes: Sequence[Change],
    fallen: Sequence[Change],
    facts: tuple[Fact, ...],
    evidence: Evidence,
) -> Finding:
    losses = [c for c in changes if c.what in DEFORMITIES and c.verdict != "not comparable"]
    grades, rows = ["none", "none"], [evidence.row("measurement.change.heights_together")]
    grown = False
    if losses and level in GRADED:
        worst = [max(losses, key=value) for value in (_earlier, _later)]
        found = [
            genant_grade(value(c), evidence)
            for c, value in zip(worst, (_earlier, _later), strict=True)
        ]
        grades = [g for g, _ in found]
        rows += [r for _, r in found if r not in rows]
        grown = worst[1].verdict == "changed" and worst[1].change > 0
    up = _ORDER.index(grades[1]) > _ORDER.index(grades[0])
    real = bool(fallen) or grown
    category = "none"
    if up and real:
        category = "new" if grades[0] == "none" else "progressed"
    elif fallen:
        category = "progressed" if grades[1] != "none" else "height_loss"
    elif up:
        category = "within_error"
    if not any(c.standard_error is not None for c in changes if c.verdict != "not comparable"):
        return Finding(
            says=f"{level}: whether it has become lower is unknown: the heights of the two "
            f"studies cannot be compared.",
            about=level,
            status=Status.UNKNOWN,
            because=facts,
            missing=HEIGHTS,
            rests_on=tuple(rows),
        )
    graded = f"graded {grades[1]}, {grades[0]} before"
    says = {
        "new": f"{level}: new deformity, {graded}",
        "progressed": f"{level}: its deformity has progressed, {graded}",
        "height_loss": f"{level}: lower than before{f', {graded}' if level in GRADED else ''}",
        "within_error": f"{level}: {graded}; the change lies within the error of both studies",
        "none": f"{level}: no height fell by more than the error of both studies",
    }[category]
    if fallen:
        most = min(fallen, key=lambda c: c.change)
        says += f"; {most.says.removeprefix(level).strip().removesuffix(': changed')}"
    doubts = dict.fromkeys(d for c in (fallen or changes) for d in c.doubts)
    says += "".join(f"; doubtful, as {d}" for d in doubts) if category != "none" else ""
    is_worse = category in ("new", "progressed", "height_loss")
    if is_worse:
        says += ". Whether it is a fracture needs a radiologist's eye"
    return Finding(
        says=says + ".",
        about=level,
        category=category,
        parts={
            "grade_before": grades[0] if level in GRADED else None,
            "grade_now": grades[1] if level in GRADED else None,
            "largest_fall_mm": min((c.change for c in fallen), default=None),
        },
        because=facts,
        rests_on=tuple(rows),
        stage=Stage.NOW if is_worse else Stage.BACKGROUND,
        urgency=Urgency.SOON if is_worse else Urgency.INFORMATION,
    )


def _earlier(change: Change) -> float:
    return change.earlier if change.earlier is not None else -math.inf


def _later(change: Change) -> float:
    return change.later if change.later is not None else -math.inf
