"""Alignment parameters from the landmarks of one radiograph, each with its error.

x to the front (frontal view: to the patient's left), y up. An endplate's inclination is positive
where it faces forwards (frontal: where its left end is the lower one). Every formula works
on stacks of points, so that the errors of the landmarks are carried through the very same formulas:
each coordinate in turn is moved by its standard error to either side.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from endplate import vocabulary
from endplate.alignment.landmarks import (
    BODY,
    ENDS,
    HEAD,
    HIPS,
    PLATES,
    SECOND,
    SIDES,
    Floats,
    Radiograph,
)  # fmt: skip
from endplate.cobb import LEAST_SPAN, Curve, curves
from endplate.evidence import Evidence
from endplate.facts import Fact, Problem, Side, in_order
from endplate.levels import Column, Level
from endplate.posture import UPRIGHT

METHOD = "endplate.alignment_from_landmarks/1"
NORMAL_95 = 1.959964  # the normal distribution's 97.5 % point
# By these spans is thoracic kyphosis named; which one is always said.
THORACIC = (("T1", "T12"), ("T2", "T12"), ("T4", "T12"), ("T5", "T12"), ("T2", "T5"))
PELVIC_ANGLES = ("T1", "T4", "L1")
_INCLINATIONS = ("T1", "T9")
# So often is a frontal curve drawn anew, to know how far the largest of many angles may be off.
_DRAWS = 256
_HIPS, _SACRUM = "hip axis", "S1 superior endplate"
_ONE_HEAD = "only one femoral head was marked; the hip axis runs through the middle of both"


# -- formulas ---------------------------------------------------------------------------------


def lean(start: Floats, end: Floats) -> Floats:
    """Angle of the line from `start` up to `end` against the vertical, degrees; forwards is +."""
    run = end - start
    return np.asarray(np.degrees(np.arctan2(run[..., 0], run[..., 1])))


def inclination(plate: Floats) -> Floats:
    """Inclination of an endplate against the horizontal, degrees; facing forwards is positive."""
    run = plate[..., 0, :] - plate[..., 1, :]
    return np.asarray(np.degrees(np.arctan2(-run[..., 1], run[..., 0])))


def turned(degrees: Floats) -> Floats:
    """The same angle between -180 and 180 degrees; one that lies there stays as it is."""
    half = np.degrees(np.pi)
    return np.asarray(degrees - 2 * half * np.round(degrees / (2 * half)))


def middle(plate: Floats) -> Floats:
    """The middle of an endplate."""
    return np.asarray(plate.mean(axis=-2))


def pelvic_tilt(hips: Floats, sacrum: Floats) -> Floats:
    """Angle between the vertical and the line from the hip axis to the middle of S1."""
    return -lean(hips, middle(sacrum))


def pelvic_incidence(hips: Floats, sacrum: Floats) -> Floats:
    """Angle between the normal of S1's endplate and the line from its middle to the hip axis."""
    return turned(pelvic_tilt(hips, sacrum) + inclination(sacrum))


def vertebral_pelvic_angle(hips: Floats, sacrum: Floats, body: Floats) -> Floats:
    """Angle at the hip axis between the middle of S1 and the middle of a vertebra."""
    return turned(lean(hips, body) + pelvic_tilt(hips, sacrum))


def global_tilt(hips: Floats, sacrum: Floats, body: Floats) -> Floats:
    """Angle at the middle of S1 between the line to C7 and that from the hip axis, prolonged."""
    return turned(pelvic_tilt(hips, sacrum) + lean(middle(sacrum), body))


def lordosis(upper: Floats, lower: Floats) -> Floats:
    """Angle between two endplates, lordosis positive."""
    return turned(inclination(lower) - inclination(upper))


def kyphosis(upper: Floats, lower: Floats) -> Floats:
    """Angle between two endplates, kyphosis positive."""
    return -lordosis(upper, lower)


def knee_flexion(hips: Floats, knee: Floats, ankle: Floats) -> Floats:
    """Angle between the axes of thigh and shank, flexion positive."""
    return turned(lean(ankle, knee) - lean(knee, hips))


def sacrofemoral_angle(hips: Floats, sacrum: Floats, knee: Floats) -> Floats:
    """Angle at the hip axis from the middle of S1 over the front to the knee, 0 to 360 degrees."""
    angle = lean(hips, knee) + pelvic_tilt(hips, sacrum)
    full = np.degrees(2 * np.pi)
    return np.asarray(angle - full * np.floor(angle / full))


def ahead(point: Floats, of: Floats) -> Floats:
    """How far one point lies in front of another, or to the left of it."""
    return np.asarray(point[..., 0] - of[..., 0])


# -- what is measured of which points ---------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter: its concept, what it is measured on, and its formula.

    Attributes
    ----------
    needs
        The derived points (`derived`) that are the formula's arguments, in order.
    plumb
        Whether it is taken against the plumb line, which only an upright person has.
    details, doubts
        Words about it, and why it is doubtful whoever measures it.
    """

    what: str
    needs: tuple[str, ...]
    of: Callable[..., Floats]
    level: str | None = None
    side: Side | None = None
    plumb: bool = False
    details: Mapping[str, float | str] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()


def _plate(level: str, which: str = "superior") -> str:
    return f"{level} {which} endplate"


def _lower(level: str) -> str:
    """The endplate on which an angle down to a level ends: of S1 the upper one."""
    return _plate(level, "superior" if level == "S1" else "inferior")


def _lateral() -> Iterator[Parameter]:
    yield from _of_the_pelvis()
    yield from _of_the_curves()
    yield from _over_the_hips()
    yield from _of_head_and_neck()
    yield from _of_the_legs()


def _of_the_pelvis() -> Iterator[Parameter]:
    both = (_HIPS, _SACRUM)
    yield Parameter(what="pelvis.pelvic_incidence", needs=both, of=pelvic_incidence)
    yield Parameter(what="pelvis.pelvic_tilt", needs=both, of=pelvic_tilt)
    yield Parameter(what="pelvis.sacral_slope", needs=(_SACRUM,), of=inclination)


def _of_the_curves() -> Iterator[Parameter]:
    lumbar, lower = (_plate("L1"), _SACRUM), (_plate("L4"), _SACRUM)

    def mismatch(hips: Floats, sacrum: Floats, upper: Floats) -> Floats:
        return pelvic_incidence(hips, sacrum) - lordosis(upper, sacrum)

    def index(upper: Floats, fourth: Floats, sacrum: Floats) -> Floats:
        whole = lordosis(upper, sacrum)
        # Of no lordosis there is no part.
        return 100 * lordosis(fourth, sacrum) / np.where(whole > 0, whole, np.nan)

    yield Parameter(what="spine.lumbar_lordosis", needs=lumbar, of=lordosis, level="L1-S1")
    yield Parameter(what="spine.lower_lumbar_lordosis", needs=lower, of=lordosis, level="L4-S1")
    yield Parameter(
        what="spine.lordosis_distribution_index", level="L1-S1", of=index,
        needs=(_plate("L1"), _plate("L4"), _SACRUM),
    )  # fmt: skip
    yield Parameter(
        what="spine.pelvic_incidence_lumbar_lordosis_mismatch", level="L1-S1", of=mismatch,
        needs=(_HIPS, _SACRUM, _plate("L1")),
    )  # fmt: skip
    spans = [("thoracic_kyphosis", span) for span in THORACIC]
    for what, (first, last) in (*spans, ("thoracolumbar_kyphosis", ("T10", "L2"))):
        yield Parameter(
            what=f"spine.{what}", needs=(_plate(first), _lower(last)), of=kyphosis,
            level=f"{first}-{last}",
        )  # fmt: skip


def _over_the_hips() -> Iterator[Parameter]:
    for level in (v.value for v in Level if Level.C2 <= v < Level.S1):
        body = f"{level} body"
        name = level.lower()
        named = level in PELVIC_ANGLES
        yield Parameter(
            what=f"spine.{name}_pelvic_angle" if named else "spine.vertebral_pelvic_angle",
            needs=(_HIPS, _SACRUM, body), of=vertebral_pelvic_angle, level=level,
        )  # fmt: skip
        named = level in _INCLINATIONS
        yield Parameter(
            what=f"spine.{name}_spinopelvic_inclination" if named else "spine.vertebral_tilt",
            needs=(_HIPS, body), of=lean, level=level, plumb=True,
        )  # fmt: skip
    yield Parameter(
        what="spine.global_tilt", needs=(_HIPS, _SACRUM, "C7 body"), of=global_tilt, level="C7-S1"
    )
    for level, what in (("C7", "sagittal_vertical_axis"), ("C2", "c2_sagittal_vertical_axis")):
        yield Parameter(
            what=f"spine.{what}", needs=(f"{level} body", _SACRUM), level=f"{level}-S1",
            of=lambda body, sacrum: ahead(body, sacrum[..., 1, :]), plumb=True,
        )  # fmt: skip


def _of_head_and_neck() -> Iterator[Parameter]:
    first, neck = _plate("T1"), (_plate("C2", "inferior"), _plate("C7", "inferior"))
    ends: dict[str, float | str] = {"from": neck[0], "to": neck[1]}

    def mismatch(slope: Floats, upper: Floats, lower: Floats) -> Floats:
        return inclination(slope) - lordosis(upper, lower)

    yield Parameter(what="spine.t1_slope", needs=(first,), of=inclination, level="T1", plumb=True)
    yield Parameter(
        what="spine.cervical_lordosis", needs=neck, of=lordosis, level="C2-C7", details=ends
    )
    yield Parameter(
        what="spine.t1_slope_cervical_lordosis_mismatch", needs=(first, *neck), of=mismatch,
        level="C2-T1", plumb=True, details=ends,
    )  # fmt: skip
    yield Parameter(
        what="spine.cervical_sagittal_vertical_axis", needs=("C2 body", _plate("C7")),
        of=lambda body, plate: ahead(body, plate[..., 1, :]), level="C2-C7", plumb=True,
    )  # fmt: skip
    yield Parameter(
        what="spine.chin_brow_vertical_angle", needs=("chin", "brow"), of=lean, plumb=True
    )
    for what, point in (
        ("odontoid_hip_axis_angle", "dens.tip"),
        ("auditory_meatus_hip_axis_angle", "external_auditory_meatus"),
    ):
        yield Parameter(what=f"spine.{what}", needs=(_HIPS, point), of=lean, plumb=True)


def _of_the_legs() -> Iterator[Parameter]:
    sides: tuple[Side | None, ...] = (None, "left", "right")
    for side in sides:
        word = f"{side} " if side else ""
        knee, ankle = f"{word}knee", f"{word}ankle"
        yield Parameter(
            what="lower_limb.knee_flexion_angle", needs=(_HIPS, knee, ankle), of=knee_flexion,
            side=side,
        )  # fmt: skip
        yield Parameter(
            what="lower_limb.sacrofemoral_angle", needs=(_HIPS, _SACRUM, knee),
            of=sacrofemoral_angle, side=side, details={"measured": "over the front"},
        )  # fmt: skip


def _frontal() -> Iterator[Parameter]:
    yield Parameter(
        what="spine.coronal_balance", needs=("C7 body", _SACRUM), level="C7-S1", plumb=True,
        of=lambda body, sacrum: ahead(body, middle(sacrum)),
    )  # fmt: skip
    yield Parameter(
        what="pelvis.pelvic_obliquity", needs=(f"left {HEAD}", f"right {HEAD}"), plumb=True,
        of=lambda left, right: -inclination(np.stack([left, right], axis=-2)),
    )  # fmt: skip


PARAMETERS = {"lateral": tuple(_lateral()), "frontal": tuple(_frontal())}
JUNCTION = "junction."


def of_the_junction(
    upper: Level,
    when: Literal["before", "after"],
    points: Collection[str],
    doubts: tuple[str, ...] = (),
) -> Iterator[Parameter]:
    """The angles above an upper instrumented vertebra, before an operation or after it.

    From the lower endplate of that vertebra to the upper one of the first and second above it.
    """
    seen = {Level(first) for p in points if (first := p.split(" ")[0]) in Level.__members__}
    column, above = Column.of({upper, *seen}), upper
    for what in ("pja_uiv1", "pja"):
        if (found := column.above(above)) is None:
            return
        above = found
        yield Parameter(
            what=f"{JUNCTION}{what}{'_before' if when == 'before' else ''}", of=kyphosis,
            needs=(_plate(above), _plate(upper, "inferior")), level=f"{above}-{upper}",
            details={"upper_instrumented": upper.value}, doubts=doubts,
        )  # fmt: skip


def derived(points: Mapping[str, Floats], view: str) -> dict[str, Floats]:
    """The points themselves, the endplates (..., end, coordinate), bodies, and the hip axis.

    The middle of a body is the point marked there, or that of its four corners.
    """
    found = dict(points)
    ends = ENDS[view]
    for level in Level:
        plates = [[points.get(f"{level} {plate}.{end}") for end in ends] for plate in PLATES]
        whole = [[e for e in plate if e is not None] for plate in plates]
        for plate, there in zip(PLATES, whole, strict=True):
            if len(there) == len(ends):
                found[f"{level} {plate.replace('_', ' ')}"] = np.stack(there, axis=-2)
        if (centre := points.get(f"{level} {BODY}")) is not None:
            found[f"{level} body"] = centre
        elif all(len(there) == len(ends) for there in whole):
            found[f"{level} body"] = np.mean([e for there in whole for e in there], axis=0)
    heads = [points[h] for h in _heads(points)]
    if HIPS in points:
        found[_HIPS] = points[HIPS]
    elif heads:
        found[_HIPS] = np.mean(heads, axis=0)
    return found


def _heads(points: Collection[str]) -> list[str]:
    every = (HEAD, HEAD + SECOND, *(f"{side} {HEAD}" for side in SIDES))
    return [name for name in every if name in points]


def rests_on(fact: Fact, points: Collection[str], view: str) -> tuple[str, ...]:
    """The marked points that a parameter of one radiograph was measured on."""
    if fact.what == "spine.coronal_cobb_angle" or fact.what.startswith(JUNCTION):
        first, last = str(fact.level).split("-")
        needs: tuple[str, ...] = (_plate(first), _lower(last))
    else:
        needs = next(
            p.needs
            for p in PARAMETERS[view]
            if (p.what, p.level, p.side) == (fact.what, fact.level, fact.side)
        )
    found = (name for need in needs for name in _marked(need, points, view))
    return tuple(dict.fromkeys(name for name in found if name in points))


def _marked(need: str, points: Collection[str], view: str) -> Sequence[str]:
    """The points of which a derived one is made, as `derived` does it."""
    if need == _HIPS:
        return (HIPS,) if HIPS in points else _heads(points)
    level, _, part = need.partition(" ")
    if part == "body" and f"{level} {BODY}" in points:
        return (f"{level} {BODY}",)
    plates = PLATES if part == "body" else (part.replace(" ", "_"),)
    if plates[0] in PLATES:
        return [f"{level} {plate}.{end}" for plate in plates for end in ENDS[view]]
    return (need,)


# -- measuring --------------------------------------------------------------------------------


def measure(
    film: Radiograph, evidence: Evidence, more: Sequence[Parameter] = ()
) -> tuple[tuple[Fact, ...], tuple[Problem, ...]]:
    """Every parameter that the landmarks of a radiograph give, and what they do not and why.

    Parameters
    ----------
    more
        What is asked for beside `PARAMETERS`.

    Raises
    ------
    InputProblem
        If the landmarks contradict one another, or it cannot be known which way the person faces.
    """
    points = film.oriented()
    errors = standard_errors(film, evidence)
    stack = derived(_moved(points, errors), film.view)
    one_head = film.view == "lateral" and HIPS not in points and len(_heads(points)) == 1
    facts, without = [], _Without()
    for parameter in (*PARAMETERS[film.view], *more):
        if missing := [n for n in parameter.needs if n not in stack]:
            without.points(parameter, missing, is_asked=parameter in more)
            continue
        if parameter.plumb and film.posture not in UPRIGHT:
            without.upright.append(parameter.what)
            continue
        unit = vocabulary.concept(parameter.what).unit
        if unit == "mm" and not film.calibrated:
            without.scale.append(parameter.what)
            continue
        values = parameter.of(*(stack[n] for n in parameter.needs))
        if not np.isfinite(values).all():
            without.ratio.append(parameter.what)
            continue
        fact = _fact(parameter, film, values, unit, with_error=bool(errors))
        fact = fact.doubted(*parameter.doubts)
        facts.append(fact.doubted(_ONE_HEAD) if one_head and _HIPS in parameter.needs else fact)
    _believable(film, facts, stack)
    if film.view == "frontal":
        facts += _frontal_curves(film, points, errors, evidence)
    problems = [*without.problems(film, points)]
    if not errors:
        problems.append(
            Problem(
                problem="alignment.error_unknown",
                where=film.name,
                says="How well the points are known is not known for all of them, and without a "
                "calibration there is no usual error: the values have no interval.",
                try_=("Give the error of a point, as --landmark-error '3 px'.",),
            )
        )
    if one_head:
        problems.append(Problem(
            problem="alignment.one_femoral_head", where=film.name,
            says="Only one femoral head is marked; what rests on the hip axis is doubtful.",
            try_=("Mark the other femoral head too, or hip_axis.centre where it is known.",),
        ))  # fmt: skip
    return in_order(facts), tuple(problems)


def standard_errors(film: Radiograph, evidence: Evidence) -> dict[str, float]:
    """The standard error of each point; none of any where nobody can know it."""
    if film.calibrated:
        usual = evidence.row("alignment.landmark_error").number
        return {name: film.errors.get(name, usual) for name in film.points}
    return dict(film.errors) if set(film.errors) == set(film.points) else {}


def _moved(points: Mapping[str, Floats], errors: Mapping[str, float]) -> dict[str, Floats]:
    """The points as they are, and then with each coordinate in turn moved by its error: + and -.

    Only what is marked is moved, and of one and the same stack all parameters are taken.
    """
    count = 1 + 4 * len(errors)
    found = {name: np.tile(at, (count, 1)) for name, at in points.items()}
    for n, (name, error) in enumerate(errors.items()):
        for axis in (0, 1):
            at = 1 + 4 * n + 2 * axis
            found[name][at, axis] += error
            found[name][at + 1, axis] -= error
    return found


def _fact(
    parameter: Parameter, film: Radiograph, values: Floats, unit: str, *, with_error: bool
) -> Fact:
    value = float(values[0])
    details = dict(parameter.details)
    interval = None
    if with_error:
        there_and_back = values[1::2] - values[2::2]
        if unit == "deg":
            there_and_back = turned(there_and_back)
        error = float(np.sqrt(np.square(there_and_back / 2).sum()))
        interval = (value - NORMAL_95 * error, value + NORMAL_95 * error)
        details["standard_error"] = error
    fact = Fact(
        what=parameter.what, value=value, unit=unit, on=film.on, level=parameter.level,
        side=parameter.side, source=film.name, method=METHOD, interval=interval,
        posture=film.posture, details=details,
    )  # fmt: skip
    if outside(parameter.what, value):
        return fact.doubted("outside what is plausible: look at its points again")
    return fact


def _frontal_curves(
    film: Radiograph, points: Mapping[str, Floats], errors: Mapping[str, float], evidence: Evidence
) -> Iterator[Fact]:
    """The frontal Cobb angles, with the level of their ends and their apex."""
    rng = np.random.default_rng(0)
    count = _DRAWS if errors else 0
    drawn = derived(
        {
            name: at
            + errors.get(name, 0.0) * np.vstack([[[0, 0]], rng.standard_normal((count, 2))])
            for name, at in points.items()
        },
        film.view,
    )
    levels = [v.value for v in Level if {_plate(v), _lower(v)} & drawn.keys()]
    none = np.full(count + 1, np.nan)
    upper, lower = (
        [inclination(drawn[name]) if (name := of(level)) in drawn else none for level in levels]
        for of in (_plate, _lower)
    )
    least = evidence.row("measurement.curve.least").number
    bodies = {level: drawn[f"{level} body"][0] for level in levels if f"{level} body" in drawn}
    for curve in curves(levels, np.array(upper), np.array(lower), least):
        details: dict[str, float | str] = {
            "largest": "yes" if curve.largest else "no", "among": f"{levels[0]}-{levels[-1]}",
        }  # fmt: skip
        interval = None
        if curve.error is not None:
            away = NORMAL_95 * curve.error
            interval = (curve.angle - away, curve.angle + away)
            details["standard_error"] = curve.error
        if (farthest := _apex(bodies, levels, curve)) is not None:
            details["apex"] = farthest
        yield Fact(
            what="spine.coronal_cobb_angle", value=curve.angle, unit="deg", on=film.on,
            level=f"{curve.first}-{curve.last}", side=curve.side, source=film.name, method=METHOD,
            interval=interval, posture=film.posture, details=details,
        )  # fmt: skip


def _apex(bodies: Mapping[str, Floats], levels: Sequence[str], curve: Curve) -> str | None:
    """The vertebra farthest out of the line between a curve's end vertebrae, if all are marked."""
    run = levels[levels.index(curve.first) : levels.index(curve.last) + 1]
    if curve.last == "S1":
        run = run[:-1]
    if len(run) < LEAST_SPAN or any(level not in bodies for level in run):
        return None
    middles = np.array([bodies[level] for level in run])
    along = middles[0] - middles[-1]
    out = middles - middles[-1]
    across = np.abs(out[:, 0] * along[1] - out[:, 1] * along[0])
    return run[int(across.argmax())]


def _believable(film: Radiograph, facts: list[Fact], stack: Mapping[str, Floats]) -> None:
    """Refuse what no person has, whatever the posture: of the pelvis, and in the size of bones."""
    incidence = next((f for f in facts if f.what == "pelvis.pelvic_incidence"), None)
    if incidence is not None and (limits := outside(incidence.what, incidence.number)):
        raise film.contradiction(
            f"pelvic incidence comes out outside {limits} degrees: the anterior and posterior "
            f"points are exchanged, or the femoral heads are not those of this picture."
        )
    plates = [at[0] for name, at in stack.items() if name.endswith(" endplate")]
    if film.calibrated and plates:
        length = float(np.median([np.linalg.norm(plate[0] - plate[1]) for plate in plates]))
        size = "vertebra.depth" if film.view == "lateral" else "vertebra.width"
        if limits := outside(size, length):
            raise film.contradiction(
                f"the endplates come out outside {limits} mm: pixel spacing and magnification are "
                f"not those of this picture, or the points are not in its pixels.",
                "Correct them, or call the picture uncalibrated.",
            )


def outside(what: str, value: float) -> str:
    """The plausible limits of a concept where a value lies beyond them, else nothing."""
    limits = vocabulary.concept(what).plausible
    if limits is None or limits[0] <= value <= limits[1]:
        return ""
    return f"{limits[0]:g} to {limits[1]:g}"


class _Without:
    """What was not measured, gathered by what would have to be there."""

    def __init__(self) -> None:
        self.upright: list[str] = []
        self.scale: list[str] = []
        self.ratio: list[str] = []
        self.by_point: dict[str, list[str]] = {}

    def points(self, parameter: Parameter, missing: list[str], *, is_asked: bool) -> None:
        """One parameter that lacks points. Of sides, and of levels in general, none need be."""
        if is_asked:
            self.by_point.setdefault(" and ".join(missing), []).append(parameter.what)
            return
        general = parameter.what in ("spine.vertebral_tilt", "spine.vertebral_pelvic_angle")
        if not general and parameter.side is None and len(missing) == 1:
            self.by_point.setdefault(missing[0], []).append(parameter.what)

    def problems(self, film: Radiograph, points: Mapping[str, Floats]) -> Iterator[Problem]:
        """Each reason with all that was not measured for it."""
        for missing, what in self.by_point.items():
            beside = [f"{side} {missing}" for side in SIDES]
            if any(name in points for name in beside):
                continue
            yield Problem(
                problem="alignment.landmark_missing", where=film.name,
                says=f"Without {missing} there is no {_named(what)}.",
                try_=(f"Mark {missing}.",),
            )  # fmt: skip
        if self.upright:
            yield Problem(
                problem="alignment.not_upright", where=film.name,
                says=f"Against the plumb line nothing is measured unless the person stands or "
                f"sits: no {_named(self.upright)}.",
                try_=("Give the posture, as --posture standing.",),
            )  # fmt: skip
        if self.ratio:
            yield Problem(
                problem="alignment.not_computable", where=film.name,
                says=f"A part can only be given of a lordosis that is one beyond its error: no "
                f"{_named(self.ratio)}.",
                try_=("Look at the lordosis L1-S1 instead.",),
            )  # fmt: skip
        if self.scale:
            yield Problem(
                problem="alignment.not_calibrated", where=film.name,
                says=f"The radiograph is not calibrated; angles alone are measured: no "
                f"{_named(self.scale)}.",
                try_=("Give pixel spacing and magnification where they are known.",),
            )  # fmt: skip


def _named(what: list[str]) -> str:
    return ", ".join(dict.fromkeys(vocabulary.concept(w).name.split(" (")[0] for w in what))
