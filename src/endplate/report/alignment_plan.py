"""Plans of a correction for a reader: a picture and a strip of each, and one page to compare them.

Nothing is computed here that the plans do not say; what the page leaves out stands in their JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from markupsafe import Markup

from endplate import __version__
from endplate.alignment.actions import Osteotomy
from endplate.alignment.geometry import derived, lean
from endplate.alignment.landmarks import Floats, Radiograph
from endplate.alignment.osteotomy_angle import Arithmetic
from endplate.alignment.plan_targets import Target as Aim
from endplate.alignment.planning import Case, Plan, Planned, patient
from endplate.evidence import Evidence
from endplate.facts import Fact, Problem
from endplate.findings import AnyFinding, Status
from endplate.report.alignment import (
    COBB,
    MAIN,
    Figure,
    blank,
    norms_beside,
    outline,
    pairs,
    row,
    strip_figure,
)
from endplate.report.geometry import Table
from endplate.report.html import template
from endplate.report.outline import Outline, Wedge, coronal, sagittal, sagittal_table
from endplate.report.strip import Row, Target

INTENDED_USE = (
    "It shows a clinician what a list of actions would do to points that somebody marked, under "
    "assumptions that are named. Each plan is the closest to the targets within the limits that "
    "were set, or what the user's own actions do: a proposal to look at. It does not decide, it "
    "does not foretell a result, and it is no cleared medical device."
)
_L1, _T4 = ("spine.l1_pelvic_angle", "L1"), ("spine.t4_pelvic_angle", "T4")
_BESIDE = 3  # plans that stand in columns
_MOVED = 0.05  # a change that is less is not printed


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """All that a page of plans tells.

    Attributes
    ----------
    films, facts
        View → the radiograph, and what was measured on all.
    findings
        What the rules say of the spine as it stands, and of its bone.
    searched
        Within which limits the plans were searched; nothing where the actions were given.
    osteotomies
        What an osteotomy at each vertebra would have to be, for the spine as it stands.
    """

    plans: Sequence[Plan]
    case: Case
    films: Mapping[str, Radiograph]
    facts: Sequence[Fact]
    findings: Sequence[AnyFinding]
    problems: Sequence[Problem]
    searched: str
    osteotomies: Sequence[Arithmetic] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Plans that stand beside each other, with the tables that compare them."""

    plans: tuple[tuple[Plan, tuple[tuple[str, str], ...], tuple[Figure, ...]], ...]
    targets: Table
    parameters: Table
    classes: Table
    pelvis: Table
    thorax: tuple[str, ...]


def files(made: Made) -> dict[str, bytes]:
    """The page and its pictures by file name."""
    drawn = {plan.name: tuple(_figures(plan, made)) for plan in made.plans}
    found = {figure.name: figure.svg.encode() for of_it in drawn.values() for figure in of_it}
    return {**found, "alignment-plan.html": _page(made, drawn).encode()}


def stem(plan: Plan) -> str:
    """By what the names of a plan's files begin."""
    return plan.name.replace(" ", "-")


# -- pictures -------------------------------------------------------------------------------------


def _figures(plan: Plan, made: Made) -> Iterator[Figure]:
    lateral = made.films["lateral"]
    own, then = (_without_legs(o) for o in (outline(lateral), _planned(plan, lateral)))
    yield Figure(
        name=f"{stem(plan)}.svg",
        svg=sagittal(
            (own, then), calibrated=lateral.calibrated,
            wedges=tuple(_wedges(made.case.targets, then)),
            title=f"{plan.name.capitalize()} from the side", key=stem(plan),
        ),
        heading="From the side",
        how="Grey and solid: now. Vermillion with hollow corners: after the plan. The front is to "
        "the right.",
        table=Table(
            "Inclination of the endplates in degrees, facing forwards is positive",
            ("Endplate", "Now", plan.name.capitalize()), tuple(sagittal_table((own, then))),
        ),
    )  # fmt: skip
    if "frontal" in plan.landmarks:
        yield _frontal(plan, made)
    yield strip_figure(
        list(_rows(plan, made)), f"{stem(plan)}.parameters.svg", f"{stem(plan)}-strip"
    )


def _planned(plan: Plan, film: Radiograph) -> Outline:
    """The plan's landmarks as an outline, in the frame of the film's own."""
    told: Any = plan.landmarks[film.view]
    right = told["anterior" if film.view == "lateral" else "patient_left"] == "right"
    points = {
        name: np.array([at[0] if right else -at[0], -at[1]]) for name, at in told["points"].items()
    }
    number = plan.name.removeprefix("plan ")
    return Outline(points=points, role="plan", name=number, upright=outline(film).upright)


def _without_legs(spine: Outline) -> Outline:
    """A spine as large as the picture allows: no plan moves knees and ankles."""
    points = {n: at for n, at in spine.points.items() if n.split()[-1] not in ("knee", "ankle")}
    return replace(spine, points=points)


def _frontal(plan: Plan, made: Made) -> Figure:
    film = made.films["frontal"]
    curves = [f for f in made.facts if f.what == COBB and f.source == film.name]
    then = _planned(plan, film)
    after = {(f.what, f.level): f for f in plan.predicted}
    lines = tuple(
        (str(f.level), f"{f.number:.1f}°", f"{other.number:.1f}°" if other else "not measured")
        for f in curves
        for other in (after.get((COBB, f.level)),)
    )
    return Figure(
        name=f"{stem(plan)}.frontal.svg",
        svg=coronal(
            outline(film), pairs(curves), calibrated=film.calibrated,
            plans=(then,), title=f"{plan.name.capitalize()} from the front",
            key=f"{stem(plan)}-frontal",
        ),
        heading="From the front" if _moves(film, then) else _AS_NOW,
        how="As a radiograph is viewed. Only wedges to one side are planned here; the curves named "
        "are those of now.",
        table=Table("Frontal curves", ("Curve", "Now", plan.name.capitalize()), lines),
    )  # fmt: skip


_AS_NOW = "From the front: as it is now"


def _moves(film: Radiograph, then: Outline) -> bool:
    """Whether a plan changes anything in a view."""
    now = outline(film).points
    return any(not np.allclose(now[name], at, atol=_MOVED) for name, at in then.points.items())


def _wedges(aims: Sequence[Aim], then: Outline) -> Iterator[Wedge]:
    """Where L1 and T4 are wanted over the hips, for the pelvis as it stands in the plan.

    Nothing else has a target that is a place: other parameters can come to be in many shapes.
    """
    shape = derived(then.points, "lateral")
    needed = ("hip axis", "S1 superior endplate", "L1 body")
    if any(name not in shape for name in needed):
        return
    hips, sacrum, l1 = (shape[name] for name in needed)
    first = float(np.linalg.norm(l1 - hips)) * 1.05
    for aim in aims:
        if aim.low is None or aim.high is None:
            continue
        ends = f"{aim.low:.1f}° to {aim.high:.1f}°".replace("-", "−")
        if aim.of == ((*_L1, 1),):
            base = _forwards(hips, sacrum.mean(axis=0))
            yield Wedge(
                apex=hips, held=l1, first=base + aim.low, last=base + aim.high, near=0.0,
                far=first, name="L1 wanted", says=f"L1 wanted here: L1PA {ends}",
            )  # fmt: skip
        elif aim.of == ((*_T4, 1), (*_L1, -1)) and "T4 body" in shape:
            base = _forwards(hips, l1)
            yield Wedge(
                apex=hips, held=shape["T4 body"], first=base + aim.low, last=base + aim.high,
                near=first, far=float(np.linalg.norm(shape["T4 body"] - hips)) * 1.04,
                name="T4 wanted", says=f"T4 wanted here: T4PA less L1PA {ends}",
            )  # fmt: skip


def _forwards(below: Floats, above: Floats) -> float:
    return float(lean(below, above))


def _rows(plan: Plan, made: Made) -> Iterator[Row]:
    """What is aimed at, and of the main parameters what the plan changes."""
    person = patient(made.facts, made.case.age, made.case.on)
    then = _predicted(plan)
    aims = {aim.of[0][:2]: aim for aim in made.case.targets if _is_one(aim)}
    main = list(_main(made.facts))
    main += [f for f in made.facts if (f.what, f.level) in aims and f not in main]
    for fact in main:
        key = fact.what, fact.level
        planned, aim = then.get(key), aims.get(key)
        if aim is None and (planned is None or abs(planned - fact.number) < _MOVED):
            continue
        beside = norms_beside(fact, person, made.case.evidence)
        targets = () if aim is None else (_target(aim),)
        yield replace(row(fact, beside, ()), plan=planned, targets=targets)
    for aim, residual in zip(made.case.targets, plan.residuals, strict=True):
        if not _is_one(aim):
            one = replace(blank(*aim.of[0][:2]), name=aim.says)
            yield replace(
                one, value=residual.current, plan=residual.planned, targets=(_target(aim),)
            )


def _is_one(aim: Aim) -> bool:
    """Whether a target is of one parameter, and not of the difference of two."""
    return len(aim.of) == 1 and aim.of[0][2] == 1


def _target(aim: Aim) -> Target:
    name = _called(aim.name) if aim.rests_on else "set by the user"
    return Target(name=name, low=aim.low, high=aim.high, below=aim.open_end)


def _main(facts: Sequence[Fact]) -> Iterator[Fact]:
    """Of every parameter of the strip the first span that was measured."""
    known = {(f.what, f.level): f for f in facts if f.side is None}
    for what, spans in MAIN:
        found = next((known[what, s] for s in spans if (what, s) in known), None)
        if found is not None:
            yield found


# -- comparing ------------------------------------------------------------------------------------


def residual_table(plans: Sequence[Plan], aims: Sequence[Aim]) -> Table:
    """Every target, where it is now, and where each plan comes to lie against it."""
    lines = []
    for n, aim in enumerate(aims):
        of_plans = [plan.residuals[n] for plan in plans]
        one = blank(*aim.of[0][:2])
        cells = [
            "cannot be measured" if r.planned is None or r.off is None
            else f"{one.text(r.planned)} ✓ in range" if r.reached
            else f"{one.text(r.planned)} {'▲' if r.off > 0 else '▼'} {one.text(abs(r.off))} "
            f"{'above' if r.off > 0 else 'below'}" if r.off
            else f"{one.text(r.planned)} at the open end"
            for r in of_plans
        ]  # fmt: skip
        lines.append(
            (_capital(aim.says), one.text(of_plans[0].current), one.wanted(_target(aim)), *cells)
        )
    headings = ("Target", "Now", "Wanted", *(p.name.capitalize() for p in plans))
    return Table("Targets", headings, tuple(lines))


def parameter_table(plans: Sequence[Plan], facts: Sequence[Fact]) -> Table:
    """The main parameters now, and in each plan with the change."""
    lines = []
    predicted = [_predicted(plan) for plan in plans]
    for fact in _main(facts):
        one = blank(fact.what, fact.level)
        key = fact.what, fact.level
        now = one.text(fact.number)
        if fact.interval:
            now += f" ± {(fact.interval[1] - fact.interval[0]) / 2:.{one.decimals}f}"
        cells = [_changed(one, fact.number, then.get(key)) for then in predicted]
        lines.append((_capital(one.name), now, *cells))
    headings = ("Parameter", "Now", *(p.name.capitalize() for p in plans))
    return Table("Main parameters", headings, tuple(lines))


def change_table(plans: Sequence[Plan], facts: Sequence[Fact]) -> tuple[Table, tuple[str, ...]]:
    """Those of the main parameters that a plan changes, in few words, and the names of the rest."""
    lines, same = [], []
    predicted = [_predicted(plan) for plan in plans]
    for fact in _main(facts):
        one, key = blank(fact.what, fact.level), (fact.what, fact.level)
        values = [then.get(key) for then in predicted]
        if all(v is not None and abs(v - fact.number) < _MOVED for v in values):
            same.append(one.name)
            continue
        cells = ["–" if v is None else one.text(v) for v in values]
        lines.append((one.name, one.text(fact.number), *cells))
    headings = ("what changes", "current", *(p.name for p in plans))
    return Table("Main parameters", headings, tuple(lines)), tuple(same)


def _predicted(plan: Plan) -> dict[tuple[str, str | None], float]:
    return {(f.what, f.level): f.number for f in plan.predicted if f.side is None}


def _changed(one: Row, now: float, then: float | None) -> str:
    if then is None:
        return "not measured"
    by = then - now
    if abs(by) < _MOVED:
        return f"{one.text(then)} (same)"
    return f"{one.text(then)} ({'+' if by > 0 else ''}{one.text(by)})"


def _pelvis_table(plans: Sequence[Plan]) -> Table:
    """What each assumption about the pelvis makes of each plan."""
    lines = []
    for n, first in enumerate(plans[0].alternatives):
        cells = []
        for plan in plans:
            other = plan.alternatives[n]
            tilt, axis = other.assumed.pelvic_tilt, other.sagittal_vertical_axis
            parts = [] if tilt is None else [f"PT {tilt:.1f}°"]
            if other.assumed.between:
                low, high = other.assumed.between
                parts[0] += f" ({low:.1f}° to {high:.1f}°: {other.assumed.covers})"
            parts += [] if axis is None else [f"SVA {axis:.0f} mm"]
            used = " (used here)" if other.assumed.model == plan.compensation.model else ""
            cells.append((", ".join(parts) or other.assumed.says).replace("-", "−") + used)
        lines.append((_ASSUMED.get(first.assumed.model, first.assumed.model), *cells))
    headings = ("What the pelvis does", *(p.name.capitalize() for p in plans))
    return Table("What the pelvis may do afterwards", headings, tuple(lines))


_ASSUMED = {
    "current": "It stays as it is",
    "set": "Its tilt becomes a value that is set",
    "regression": "It falls with the lordosis L4-S1 that is gained",
    "c2_over_hips": "C2 comes to stand over the hips",
}


def _class_table(plans: Sequence[Plan], findings: Sequence[AnyFinding]) -> Table:
    """What the classes and scores say of the spine now, and of that of each plan."""
    answered = {
        f.rule for f in (*findings, *(f for plan in plans for f in plan.findings))
        if f.status is Status.ANSWERED
    }  # fmt: skip
    own = [f for f in findings if f.rule.startswith("alignment.") and f.rule in answered]
    said = [{f.rule: f.says for f in plan.findings} for plan in plans]
    lines = tuple((
        _called(f.rule.removeprefix("alignment.")), f.says,
        *(of_it.get(f.rule, "") for of_it in said),
    ) for f in own)  # fmt: skip
    headings = ("Class or score", "Now", *(p.name.capitalize() for p in plans))
    return Table("Classes and scores: they describe a shape", headings, lines)


_NAMES = {
    "t4_l1_hip_axis": "T4-L1-hip axis", "srs_schwab": "SRS-Schwab", "gap": "GAP",
    "age_adjusted": "Age-adjusted", "ideal_lordosis": "Ideal lordosis",
}  # fmt: skip


def _called(name: str) -> str:
    """What a clinician calls a rule or a target; of a target its formula too."""
    first, _, formula = name.partition("=")
    called = _NAMES.get(first, _capital(first.replace("_", " ")))
    return f"{called} by {formula.replace('_', ' ').capitalize()}" if formula else called


def _aimed(aims: Sequence[Aim]) -> list[str]:
    """What is aimed at, in words, with whose target it is."""
    return [
        f"{_capital(aim.says)} {blank(*aim.of[0][:2]).wanted(_target(aim))} ({_target(aim).name})"
        for aim in aims
    ]


def warnings(plans: Sequence[Plan]) -> list[tuple[str, str, str]]:
    """What to know of the plans: of which, about what, and what; what holds for all first.

    Notes that differ by their first sentence alone stand together.
    """
    of: dict[tuple[str, str], dict[str, list[str]]] = {}
    for plan in plans:
        for note in plan.warnings:
            first, dot, rest = note.says.partition(". ")
            rest += "" if note.verified else " Not all numbers of this are verified."
            same = of.setdefault((note.about, rest.strip()), {})
            same.setdefault(f"{first}{dot}".strip(), []).append(plan.name)
    found = []
    for (about, rest), firsts in of.items():
        named = dict.fromkeys(name for each in firsts.values() for name in each)
        names = _listed(list(named), len(plans))
        says = " ".join(
            first
            if len(firsts) == 1 or len(named) == 1
            else f"{_listed(each, 0).capitalize()}: {first}"
            for first, each in firsts.items()
        )
        found.append((names, about.replace("_", " "), f"{says} {rest}".strip()))
    return sorted(found, key=lambda one: one[0] != _EVERY)


_EVERY = "every plan"


def _listed(names: Sequence[str], count: int) -> str:
    if len(names) == count > 1:
        return _EVERY
    return ", ".join([names[0], *(n.removeprefix("plan ") for n in names[1:])])


def thorax(plan: Plan) -> str:
    """What the unfused thoracic spine may do, and what that would make of the parameters."""
    says = plan.reciprocal.says
    moved = []
    for one in plan.reciprocal.with_it:
        row = blank(str(one["what"]), None if one["level"] is None else str(one["level"]))
        then, planned = float(one["if_it_follows"] or 0), float(one["planned"] or 0)
        if abs(then - planned) >= _MOVED:
            moved.append(f"{row.name} {row.text(then)} instead of {row.text(planned)}")
    return (
        f"{says} {plan.name.capitalize()} would then have: {', '.join(moved)}." if moved else says
    )


def in_words(action: Planned, evidence: Evidence) -> tuple[str, str]:
    """An action's name with its level, and its numbers."""
    given, numbers = action.action, action.numbers
    name = {"cage": "Cage", "fuse": "Fusion", "reduce": "Reduction of a slip"}.get(action.kind, "")
    if isinstance(given, Osteotomy):
        says = evidence.row(f"alignment.plan.osteotomy.grade_{given.grade}").says
        name = f"{_capital(says.partition(':')[0])} (Schwab grade {given.grade})"
    parts = []
    for key, text in _NUMBERS.items():
        value = numbers.get(key)
        if isinstance(value, int | float) and (value or key not in ("coronal", "shortening")):
            parts.append(text.format(value).replace("-", "−"))
    discs = numbers.get("discs")
    if isinstance(discs, tuple):
        parts.append("discs from the head down " + ", ".join(f"{d:g}°" for d in discs))
    if action.kind == "cage":
        parts.append(f"{action.approach} approach" if action.approach else "by any approach")
    if action.hinge:
        parts.append(f"turning about the {action.hinge} edge")
    if action.correction is not None and action.kind != "osteotomy":
        parts.append(f"lordosis there {action.correction:+.1f}°".replace("-", "−"))
    return f"{name} {'of' if action.kind == 'fuse' else 'at'} {action.level}", "; ".join(parts)


_NUMBERS = {
    "lordosis": "{:g}° of lordosis afterwards", "angle": "adds {:g}° of lordosis",
    "height": "{:g} mm high in the middle", "shortening": "shortens by {:g} mm",
    "coronal": "opens the left side by {:g}°", "mm": "moved back by {:g} mm",
    "percent": "moved back by {:g} % of the endplate",
}  # fmt: skip


def _capital(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"


# -- page -----------------------------------------------------------------------------------------


def _page(made: Made, drawn: Mapping[str, tuple[Figure, ...]]) -> str:
    age = made.case.age
    films = [
        f"{film.name} ({film.view}, {film.posture}, {film.on or 'no date'}"
        f"{'' if film.calibrated else ', uncalibrated: angles alone'})"
        for film in made.films.values()
    ]
    return template("alignment_plan.html.j2").render(
        version=__version__,
        title="Alignment plans" if len(made.plans) > 1 else "Alignment plan",
        banner={
            "Radiographs": "; ".join(films),
            "Age": f"{age.number:g} years" if age else "unknown",
            "Made on": str(made.case.on),
        },
        made=made,
        taken=list(dict.fromkeys(plan.compensation.says for plan in made.plans)),
        unreached=[p for p in made.problems if p.problem == "alignment.plan.out_of_reach"],
        aims=_aimed(made.case.targets),
        groups=[
            _group(made.plans[n : n + _BESIDE], made, drawn)
            for n in range(0, len(made.plans), _BESIDE)
        ],
        svg={f.name: Markup(f.svg) for of_it in drawn.values() for f in of_it},
        warnings=warnings(made.plans),
        bone=[f for f in made.findings if f.rule.startswith("bone.")],
        intended_use=INTENDED_USE,
        sources=_sources(made),
    )


def _group(plans: Sequence[Plan], made: Made, drawn: Mapping[str, tuple[Figure, ...]]) -> _Group:
    evidence = made.case.evidence
    return _Group(
        plans=tuple(
            (plan, tuple(in_words(a, evidence) for a in plan.actions), drawn[plan.name])
            for plan in plans
        ),
        targets=residual_table(plans, made.case.targets),
        parameters=parameter_table(plans, made.facts),
        classes=_class_table(plans, made.findings),
        pelvis=_pelvis_table(plans),
        thorax=tuple(dict.fromkeys(thorax(plan) for plan in plans)),
    )


def _sources(made: Made) -> list[tuple[str, Any]]:
    """Every reference that the targets, the plans' residuals, warnings and arithmetic rest on."""
    rows = [r for aim in made.case.targets for r in aim.rests_on]
    for plan in made.plans:
        rows += [r for note in plan.warnings for r in note.rests_on]
        rows += [r for a in plan.osteotomies for r in a.rests_on]
        rows += [r for a in plan.alternatives for r in a.assumed.rests_on]
        rows += plan.reciprocal.rests_on
    keys = sorted({c.key for r in rows for c in r.cites})
    return [(key, made.case.evidence.references.get(key)) for key in keys]
