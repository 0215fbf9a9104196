"""What a plan makes of a person's spine: its parameters, what it misses, and what to beware of.

A plan is a list of actions. They are applied to the landmarks, the pelvis follows as is assumed,
and the moved landmarks are measured like any others: what is predicted here is what measuring them
again gives. A plan is the closest to the targets within the limits that the user set, and no more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TypedDict

from msgspec import Struct

from endplate.alignment import actions as acts
from endplate.alignment import (
    compensation,
    deformity,
    hip_axis,
    osteotomy_angle,
    proportion,
    targets,
)
from endplate.alignment.actions import Action, Cage, Fusion, Osteotomy, Reduction
from endplate.alignment.compensation import Assumed, Compensation, Reciprocal
from endplate.alignment.geometry import measure
from endplate.alignment.landmarks import ENDS, Radiograph
from endplate.alignment.model import Spine, marked
from endplate.alignment.osteotomy_angle import Arithmetic
from endplate.alignment.plan_targets import Target
from endplate.alignment.standing import PELVIC_TILT
from endplate.evidence import Evidence, Row
from endplate.facts import Fact, InputProblem, Problem, replaced
from endplate.findings import AnyFinding
from endplate.levels import Level
from endplate.posture import UPRIGHT, Posture
from endplate.record import Patient, PatientRecord

METHOD = "endplate.alignment_plan/1"
_OFFSET = ("spine.sagittal_vertical_axis", "C7-S1")
_MISMATCH = ("spine.pelvic_incidence_lumbar_lordosis_mismatch", "L1-S1")
# What a change of the thoracic spine moves, where it is shown beside the plan.
_MOVED = (
    ("spine.thoracic_kyphosis", "T4-T12"), ("spine.t1_pelvic_angle", "T1"),
    ("spine.t4_pelvic_angle", "T4"), ("spine.global_tilt", "C7-S1"), _OFFSET, (PELVIC_TILT, None),
)  # fmt: skip
# The rules that describe the planned spine. None of them says how a person will do.
_DESCRIBE = (
    targets.age_adjusted, deformity.srs_schwab, hip_axis.t4_l1_hip_axis, proportion.gap,
    targets.distribution,
)  # fmt: skip


class Note(Struct, frozen=True, kw_only=True):
    """Something to know of a plan before it is followed, with its evidence."""

    about: str
    says: str
    rests_on: tuple[Row, ...] = ()
    verified: bool = True


class Residual(Struct, frozen=True, kw_only=True):
    """One target and where the plan comes to lie against it."""

    target: str
    says: str
    low: float | None
    high: float | None
    unit: str
    current: float
    planned: float | None
    off: float | None
    reached: bool
    rests_on: tuple[Row, ...] = ()


class Planned(Struct, frozen=True, kw_only=True):
    """One action of a plan, as text and in its parts.

    Attributes
    ----------
    text
        From which the action can be read again.
    kind, level, numbers, approach, hinge
        Its parts; the hinge is that about which it turned, also where nobody named one.
    correction
        By how many degrees it raises lordosis there; None of one that may not.
    """

    text: str
    kind: str
    level: str
    numbers: Mapping[str, float | tuple[float, ...]]
    approach: str | None = None
    hinge: str | None = None
    correction: float | None = None

    @property
    def action(self) -> Action:
        """The action itself."""
        return acts.read(self.text)


class Alternative(Struct, frozen=True, kw_only=True):
    """What another assumption about the pelvis would make of the same actions."""

    assumed: Assumed
    sagittal_vertical_axis: float | None = None


class Follows(Struct, frozen=True, kw_only=True):
    """What the unfused thoracic spine may do, and what that would make of the parameters."""

    says: str
    degrees: float | None = None
    is_planned: bool = False
    levels: tuple[str, ...] = ()
    with_it: tuple[Mapping[str, float | str | None], ...] = ()
    rests_on: tuple[Row, ...] = ()


class Plan(Struct, frozen=True, kw_only=True):
    """A list of actions and all that follows from it.

    Attributes
    ----------
    degrees, levels, grade
        How large it is: the degrees of its corrections together, at how many levels, and the
        highest grade of its osteotomies, 0 without one.
    predicted
        Facts of the planned spine, each with ``planned`` in its details and never to be used as
        measured.
    landmarks
        View → the moved points, in the form in which landmarks are read.
    """

    name: str
    says: str
    actions: tuple[Planned, ...]
    degrees: float
    levels: int
    grade: int
    residuals: tuple[Residual, ...]
    compensation: Assumed
    alternatives: tuple[Alternative, ...]
    reciprocal: Follows
    osteotomies: tuple[Arithmetic, ...]
    predicted: tuple[Fact, ...]
    findings: tuple[AnyFinding, ...]
    warnings: tuple[Note, ...]
    problems: tuple[Problem, ...]
    landmarks: Mapping[str, object]

    @property
    def reached(self) -> bool:
        """Whether every target is in range."""
        return all(r.reached for r in self.residuals)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Case:
    """One person's radiographs, and what is taken for granted of them."""

    lateral: Spine
    frontal: Spine | None
    how: Compensation
    targets: tuple[Target, ...]
    age: Fact | None
    on: date
    evidence: Evidence

    @property
    def spines(self) -> tuple[Spine, ...]:
        """The spines of both views, as far as they are there."""
        return (self.lateral, *((self.frontal,) if self.frontal else ()))


def patient(facts: Iterable[Fact], age: Fact | None, on: date) -> Patient:
    """The person whom the rules describe, from these facts."""
    return PatientRecord.of([*facts, *((age,) if age else ())]).known_on(on)


def described(person: Patient, evidence: Evidence) -> tuple[AnyFinding, ...]:
    """What the rules of this room say of a standing spine."""
    return tuple(f for rule in _DESCRIBE for f in rule(person, evidence))


def settled(
    actions: Sequence[Action], spine: Spine, case: Case, change: Reciprocal | None = None
) -> Spine:
    """The spine after these actions, once thorax and pelvis have followed as assumed."""
    changed = acts.applied(actions, spine, case.evidence)
    if change is not None:
        changed = compensation.bent(changed, change)
    return compensation.followed(changed, spine, case.how, case.evidence)


def plan(name: str, actions: Sequence[Action], case: Case) -> Plan:
    """All that follows from a list of actions.

    Raises
    ------
    InputProblem
        If an action cannot be taken on this spine, or leaves one that nobody could have.
    """
    evidence, before = case.evidence, case.lateral
    change = compensation.reciprocal(actions, before, evidence)
    is_bent = case.how.thorax == "reciprocal"
    changed = acts.applied(actions, before, evidence)
    if is_bent:
        changed = compensation.bent(changed, change)
    after = compensation.followed(changed, before, case.how, evidence)
    films = [after.radiograph(name)]
    if case.frontal is not None:
        films.append(settled(actions, case.frontal, case).radiograph(name))
    measured: list[Fact] = []
    problems: list[Problem] = []
    for film in films:
        found, missing = _measured(film, evidence)
        measured += found
        problems += missing
    person = patient([_planned(f) for f in measured], case.age, case.on)
    findings = described(person, evidence)
    residuals = tuple(_residual(target, before, after) for target in case.targets)
    assumed = compensation.assumed(changed, before, case.how, evidence)
    planned = tuple(_as_planned(a, case) for a in actions)
    size = _size(planned)
    return Plan(
        name=name,
        says=_says(actions, residuals, size),
        actions=planned,
        **size,
        residuals=residuals,
        compensation=assumed,
        alternatives=_alternatives(changed, case),
        reciprocal=_follows(actions, change, after, case, is_planned=is_bent),
        osteotomies=tuple(_arithmetic(actions, after, case)),
        predicted=tuple(replaced(
            f, method=METHOD, details={**f.details, "planned": "yes", "usable": "no"}
        ) for f in measured),
        findings=findings,
        warnings=(
            *_of_actions(actions, case), *_of_the_spine(case, findings, films, before, after)
        ),
        problems=tuple(problems),
        landmarks={film.view: landmarks(film) for film in films},
    )  # fmt: skip


def _measured(film: Radiograph, evidence: Evidence) -> tuple[Sequence[Fact], Sequence[Problem]]:
    try:
        return measure(film, evidence)
    except InputProblem as problem:
        raise InputProblem(
            f"{film.name}: cannot be drawn. Actions that leave a spine which can be measured are "
            f"needed; of these measuring says: {problem} Plan smaller ones, or fewer."
        ) from None


def _planned(fact: Fact) -> Fact:
    """A predicted fact for the rules of this room alone, and no one else."""
    return replaced(fact, method=METHOD, details={**fact.details, "planned": "yes"})


def landmarks(film: Radiograph) -> dict[str, object]:
    """A radiograph's points as a file of landmarks says them: y down, in mm where known."""
    key = "anterior" if film.view == "lateral" else "patient_left"
    scale: dict[str, object] = (
        {"pixel_spacing": 1, "magnification": 1}
        if film.calibrated
        else {"calibration": "uncalibrated"}
    )
    posture = {} if film.posture is Posture.UNKNOWN else {"posture": str(film.posture)}
    points = {
        name: [x, -y, *((film.errors[name],) if name in film.errors else ())]
        for name, (x, y) in film.points.items()
    }
    return {"view": film.view, **posture, **scale, key: film.towards, "points": points}


class _Size(TypedDict):
    degrees: float
    levels: int
    grade: int


def _size(planned: Sequence[Planned]) -> _Size:
    corrections = {p.level: p.correction for p in planned if p.correction is not None}
    grades = [a.grade for p in planned if isinstance(a := p.action, Osteotomy)]
    return {
        "degrees": sum(abs(c) for c in corrections.values()), "levels": len(corrections),
        "grade": max(grades, default=0),
    }  # fmt: skip


def _size_says(size: _Size) -> str:
    """How large a plan is, so that plans of as many actions are told apart."""
    if not size["levels"]:
        return ""
    where = "1 level" if size["levels"] == 1 else f"{size['levels']} levels"
    cut = f"; highest osteotomy grade {size['grade']}" if size["grade"] else "; no osteotomy"
    return f" In all {size['degrees']:.0f}° at {where}{cut}."


def _says(actions: Sequence[Action], residuals: Sequence[Residual], size: _Size) -> str:
    what = "; ".join(acts.written(a) for a in actions) or "no action"
    missed = [r for r in residuals if not r.reached]
    if not missed:
        return f"{what}: every target is in range.{_size_says(size)}"
    said = ", ".join(
        f"{r.says} {'cannot be measured afterwards' if r.off is None else _off(r)}" for r in missed
    )
    return (
        f"{what}: closest to the targets within the limits; out of range: {said}.{_size_says(size)}"
    )


def _off(residual: Residual) -> str:
    unit = {"deg": "°", "mm": " mm", "%": " %"}[residual.unit]
    off = residual.off or 0.0
    return f"{abs(off):.1f}{unit} {'above' if off >= 0 else 'below'}"


def _residual(target: Target, before: Spine, after: Spine) -> Residual:
    now, then = target.value(before), target.value(after)
    planned = None if then is None else float(then[0])
    return Residual(
        target=target.name, says=target.says, low=target.low, high=target.high, unit=target.unit,
        current=0.0 if now is None else float(now[0]), planned=planned,
        off=None if planned is None else target.off(planned),
        reached=planned is not None and target.reached(planned), rests_on=target.rests_on,
    )  # fmt: skip


def _as_planned(action: Action, case: Case) -> Planned:
    text = acts.written(action)
    return Planned(
        text=text,
        kind=text.split()[0],
        level=str(action.level),
        numbers={
            name: value
            for name in action.__slots__
            if isinstance(value := getattr(action, name), int | float | tuple) and value != ()
        },
        approach=action.approach if isinstance(action, Cage) else None,
        hinge=acts.hinge_of(action, case.evidence)
        if isinstance(action, Cage | Osteotomy)
        else None,
        correction=acts.correction(action, case.lateral),
    )


def _alternatives(changed: Spine, case: Case) -> tuple[Alternative, ...]:
    """What each of the assumptions that can be chosen makes of the same actions."""
    found = []
    for text in case.evidence.choice("alignment.plan.compensation").options:
        how = compensation.read(text)
        said = compensation.assumed(changed, case.lateral, how, case.evidence)
        offset = None
        if said.pelvic_tilt is not None and case.lateral.film.calibrated:
            then = compensation.followed(changed, case.lateral, how, case.evidence)
            value = then.values(*_OFFSET)
            offset = None if value is None else float(value[0])
        found.append(Alternative(assumed=said, sagittal_vertical_axis=offset))
    return tuple(found)


def _follows(
    actions: Sequence[Action], change: Reciprocal, after: Spine, case: Case, *, is_planned: bool
) -> Follows:
    """The unfused thoracic spine: as planned, and beside it as it would be the other way."""
    with_it: list[Mapping[str, float | str | None]] = []
    if change.degrees is not None and not is_planned:
        other = settled(actions, case.lateral, case, change)
        for what, level in _MOVED:
            if what == _OFFSET[0] and not case.lateral.film.calibrated:
                continue
            planned, then = after.values(what, level), other.values(what, level)
            if planned is not None and then is not None:
                with_it.append({
                    "what": what, "level": level, "planned": float(planned[0]),
                    "if_it_follows": float(then[0]),
                })  # fmt: skip
    return Follows(
        says=change.says, degrees=change.degrees,
        is_planned=is_planned and change.degrees is not None,
        levels=change.levels, with_it=tuple(with_it), rests_on=change.rests_on,
    )  # fmt: skip


def _arithmetic(actions: Sequence[Action], after: Spine, case: Case) -> Iterable[Arithmetic]:
    """For each osteotomy of a body: what it would have to be, given all else of the plan.

    The pelvis stands as it does in the plan, so that the exact angle is that of the model.
    """
    for action in actions:
        if not isinstance(action, Osteotomy) or action.grade not in acts.BODIES:
            continue
        others = acts.applied([a for a in actions if a is not action], case.lateral, case.evidence)
        now, then = others.values(PELVIC_TILT, None), after.values(PELVIC_TILT, None)
        if now is not None and then is not None:
            others = others.tilted(then - now)
        found = osteotomy_angle.at(action.level.first, others, case.evidence)
        if found is not None:
            yield found


# -- what to beware of ------------------------------------------------------------------------


def most(action: Cage | Osteotomy, evidence: Evidence) -> tuple[float | None, tuple[Row, ...]]:
    """The upper end of what such an action typically corrects; None where nothing was read."""
    if isinstance(action, Osteotomy):
        row = evidence.row(f"alignment.plan.osteotomy.grade_{action.grade}")
        return (float(row.table[0]["to"]) if row.table else None), (row,)
    names = (action.approach,) if action.approach else acts.APPROACHES
    rows = tuple(evidence.row(f"alignment.plan.cage.{name}") for name in names)
    ends = [float(r.table[0]["mean"]) + float(r.table[0]["deviation"]) for r in rows]
    return max(ends), rows


def _of_actions(actions: Sequence[Action], case: Case) -> Iterable[Note]:
    evidence = case.evidence
    for action in actions:
        text = acts.written(action)
        if isinstance(action, Cage | Osteotomy):
            by = acts.correction(action, case.lateral) or 0.0
            end, rows = most(action, evidence)
            if by < 0:
                yield Note(about=text, says=f"This lowers lordosis there by {-by:.1f}°.")
            elif end is not None and by > end:
                what = (
                    "mean and one standard deviation of what is gained with such a cage"
                    if isinstance(action, Cage)
                    else "the typical correction of this grade"
                )
                yield _note(
                    text,
                    f"{by:.1f}° are more than {end:.1f}°, {what}. It is planned as asked.",
                    rows,
                )
            elif end is None:
                yield _note(text, "What such a resection typically corrects was not read.", rows)
        if isinstance(action, Reduction):
            there = float(acts.slip(case.lateral, action)[0])
            by = _percent(action, case.lateral)
            if by > there:
                yield Note(
                    about=text,
                    says=f"The slip is {there:.0f} % of the endplate below, and {by:.0f} % are "
                    f"taken back: the vertebra would lie behind.",
                )
        yield from _closing(action, case)
        yield from _unseen(action, case)
    if any(isinstance(a, Cage) for a in actions):
        row = evidence.row("alignment.plan.cage.labelled")
        yield _note(
            "cages", f"A cage's printed lordosis is not what a disc gains: {row.says}.", (row,)
        )
    if any(isinstance(a, Fusion) and (a.lordosis is not None or a.discs) for a in actions):
        yield Note(
            about="rod",
            says="A rod's contour is taken over by the discs as planned; how far a rod springs "
            "back, and what a stiff disc allows, is not in it.",
        )


def _note(about: str, says: str, rows: tuple[Row, ...]) -> Note:
    return Note(about=about, says=says, rests_on=rows, verified=all(r.verified for r in rows))


def _percent(action: Reduction, spine: Spine) -> float:
    if action.percent is not None:
        return action.percent
    _, lower = acts.facing(spine, action)
    run = lower[0, 0] - lower[0, 1]
    return 100 * float(action.mm or 0.0) / float((run @ run) ** (1 / 2))


def _unseen(action: Action, case: Case) -> Iterable[Note]:
    """That a fusion ends where nothing was marked."""
    seen = {Level.S1, *marked(case.lateral.names)}
    ends = {action.level.first, action.level.last} - seen
    if isinstance(action, Fusion) and ends:
        yield Note(
            about=acts.written(action),
            says=f"{' and '.join(sorted(ends))} is not marked: how the spine lies at that end of "
            f"the fusion is not known.",
        )


def _closing(action: Action, case: Case) -> Iterable[Note]:
    """Whether the endplates of a disc would come to overlap at one of its edges."""
    at_disc = isinstance(action, Cage) or (
        isinstance(action, Osteotomy) and action.grade in acts.FACETS
    )
    if not at_disc:
        return
    after = acts.applied([action], case.lateral, case.evidence)
    upper, lower = acts.facing(after, action)
    run = lower[0, 0] - lower[0, 1]
    for n, end in enumerate(ENDS["lateral"]):
        away = upper[0, n] - lower[0, 1]
        if run[0] * away[1] - run[1] * away[0] < 0:
            yield Note(
                about=acts.written(action),
                says=f"The {end} edges of the disc would overlap: less, another hinge or more "
                f"height is needed.",
            )


def _of_the_spine(
    case: Case,
    findings: Sequence[AnyFinding],
    films: Sequence[Radiograph],
    before: Spine,
    after: Spine,
) -> Iterable[Note]:
    yield from _overcorrected(case, findings, before, after)
    yield from _behind(before, after)
    gone = sorted({n.split()[0] for n in set(before.names) - set(after.names)})
    if gone:
        yield Note(
            about="landmarks",
            says=f"Endplates of {', '.join(gone)} are taken out: what is measured on them has no "
            f"planned value.",
        )
    if not films[0].calibrated:
        yield Note(
            about="scale", says="The radiograph is not calibrated: angles alone are planned."
        )
    if len(films) > 1:
        yield Note(
            about="frontal",
            says="On the frontal radiograph only wedges to one side are planned; that a sagittal "
            "correction also foreshortens it is not.",
        )
    yield Note(
        about="model",
        says="Vertebrae are rigid; neck, head and legs are taken along or left as they stand, and "
        "do not follow on their own.",
    )


def _behind(before: Spine, after: Spine) -> Iterable[Note]:
    """That C7 is brought behind S1, by the spine that was upright when it was marked."""
    was, now = before.values(*_OFFSET), after.values(*_OFFSET)
    if was is None or now is None or now[0] >= min(was[0], 0.0):
        return
    if before.film.posture not in UPRIGHT:
        return
    far = f" by {-now[0]:.0f} mm" if before.film.calibrated else ""
    yield Note(
        about="sagittal vertical axis",
        says=f"C7 comes to stand behind the back corner of S1{far}, farther back than it is, if "
        f"pelvis, legs and neck do not give way: look whether less would do.",
    )


def _overcorrected(
    case: Case, findings: Sequence[AnyFinding], before: Spine, after: Spine
) -> Iterable[Note]:
    """Beyond the target of the age: less tilt, or less PI-LL, than people of that age have."""
    evidence = case.evidence
    found = next((f for f in findings if f.rule == "alignment.age_adjusted"), None)
    row = evidence.row("alignment.age_adjusted.overcorrection")
    if case.age is None:
        yield _note(
            "overcorrection", "Whether this is more than the age asks for is unknown without it.",
            (row,),
        )  # fmt: skip
        return
    if found is None:
        return
    within = evidence.row("alignment.plan.target.within")
    for part, what, of in (
        ("pelvic_tilt_less_target", "pelvic tilt", (PELVIC_TILT, None)),
        ("mismatch_less_target", "PI-LL", _MISMATCH),
    ):
        off, was, now = found.parts.get(part), before.values(*of), after.values(*of)
        if was is None or now is None or now[0] >= was[0]:
            continue  # nothing was taken off it
        if isinstance(off, float) and off < -within.number:
            yield _note(
                "overcorrection",
                f"Overcorrected for {case.age.number:g} years: {what} comes to lie {-off:.1f}° "
                f"below the target of that age. {row.says[0].upper()}{row.says[1:]}.",
                (row, within, *found.rests_on),
            )  # fmt: skip
