"""``endplate alignment plan``: corrections of a spine from its landmarks, searched or evaluated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import Console

from endplate import codec, evidence, levels
from endplate.alignment import actions, compensation, osteotomy_angle, plan_targets, planning
from endplate.alignment.landmarks import Radiograph
from endplate.alignment.model import Spine
from endplate.alignment.planning import Case, Plan
from endplate.cli.alignment import Given, level_given, of_films
from endplate.cli.main import print_json
from endplate.cli.output import console, envelope, problems_table, table
from endplate.evidence import Evidence
from endplate.exchange.files import write_files
from endplate.exchange.intake import Intake
from endplate.exchange.typed import read_case_file
from endplate.facts import Fact, InputProblem, Problem
from endplate.findings import AnyFinding
from endplate.levels import Level, Span
from endplate.report.html import fact_value
from endplate.vocabulary import concept


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was said on the command line, as it was said; None and () for what was not."""

    age: float | None = None
    targets: tuple[str, ...] = ()
    levels: str | None = None
    approaches: tuple[str, ...] = ()
    grade: int | None = None
    most: float | None = None
    upper: str | None = None
    lower: str | None = None
    compensation: str | None = None
    thorax: str | None = None
    actions: tuple[str, ...] = ()
    facts: Path | None = None


def plan(
    files: Sequence[Path],
    given: Given,
    request: Request,
    on: date,
    out: Path | None,
    *,
    as_json: bool,
) -> None:
    """Plan on the landmarks of one person's radiographs, and print.

    Raises
    ------
    InputProblem
        If a file cannot be used, a limit or an action is not understood, or nothing can be planned.
    """
    grounds = evidence.shipped()
    found = of_films(files, given)
    films = {view: one.film for view, one in found.marked.items()}
    if "lateral" not in films:
        raise InputProblem(
            f"{', '.join(p.name for p in files)}: cannot be planned on. The landmarks of a lateral "
            f"radiograph are needed; there are none. Give that file as well."
        )
    # The model moves in the plane of each picture, so that what was measured there is its start.
    facts = [f for of_one in found.of_view.values() for f in of_one]
    problems = [*found.problems]
    case, findings, more = _case(films, facts, request, on, grounds)
    problems += more
    made, unreached = _plans(case, request, grounds)
    problems += unreached
    findings += _of_the_bone(made, request, on, case, grounds)
    parts: dict[str, Any] = {
        "facts": found.facts, "findings": findings, "problems": problems,
        "targets": [{
            "target": t.name, "says": f"{t.says} {t.range_says}", "low": t.low, "high": t.high,
            "unit": t.unit, "rests_on": t.rests_on,
        } for t in case.targets],
        "osteotomy_angles": [a for v in Level if v.region == "L" and (
            a := osteotomy_angle.at(v, case.lateral, grounds)) is not None],
        "plans": made,
    }  # fmt: skip
    if out is not None:
        written = {"alignment-plan.json": envelope(**parts)}
        for one in made:
            for view, points in one.landmarks.items():
                name = f"{one.name.replace(' ', '-')}.{view}.json"
                written[name] = codec.encode(points, indent=2) + b"\n"
        write_files(out, written)
    if as_json:
        print_json(**parts)
    else:
        _printed(console(), facts, made, problems)


def _case(
    films: Mapping[str, Radiograph],
    facts: Sequence[Fact],
    request: Request,
    on: date,
    grounds: Evidence,
) -> tuple[Case, list[AnyFinding], tuple[Problem, ...]]:
    lateral = films["lateral"]
    age = None
    if request.age is not None:
        limits = concept("person.age").plausible
        if not (request.age >= 0 and (limits is None or limits[0] <= request.age <= limits[1])):
            raise InputProblem(
                "--age: cannot be used. An age in years is needed; got another. Correct it."
            )
        age = Fact(what="person.age", value=request.age, unit="a", source="typed")
    how = compensation.read(
        request.compensation or grounds.choice("alignment.plan.compensation").use,
        request.thorax or "rigid",
    )
    person = planning.patient(facts, age, on)
    spine = Spine.of(lateral)
    case = Case(
        lateral=spine,
        frontal=Spine.of(films["frontal"]) if "frontal" in films else None,
        how=how, targets=(), age=age, on=on, evidence=grounds,
    )  # fmt: skip
    names = request.targets or (grounds.choice("alignment.plan.target").use,)
    targets, problems = plan_targets.chosen(names, facts, person, lateral.name, grounds)
    findings = list(planning.described(person, grounds))
    return replace(case, targets=targets), findings, problems


def _plans(
    case: Case, request: Request, grounds: Evidence
) -> tuple[tuple[Plan, ...], tuple[Problem, ...]]:
    if request.actions:
        given = [actions.read(text) for text in request.actions]
        return (planning.plan("plan 1", given, case),), ()
    from endplate.alignment import plan_search

    usual = plan_search.usual(grounds)
    limits = plan_search.Limits(
        levels=_span(request.levels) if request.levels else usual.levels,
        approaches=_approaches(request.approaches) or usual.approaches,
        grade=usual.grade if request.grade is None else request.grade,
        most=request.most,
        upper=None if request.upper is None else level_given("--upper", request.upper),
        lower=None if request.lower is None else level_given("--lower", request.lower),
    )
    _agree(limits.upper, limits.lower, request)
    return plan_search.plans(case, limits)


def _agree(upper: Level | None, lower: Level | None, request: Request) -> None:
    if request.grade is not None and request.grade not in (0, *actions.GRADES):
        raise InputProblem("--grade: cannot be used. A grade from 0 to 6 is needed. Correct it.")
    if request.most is not None and not request.most > 0:
        raise InputProblem("--most: cannot be used. Degrees above 0 are needed. Correct it.")
    if lower is not None and upper is None:
        raise InputProblem("--lower: cannot be used alone. --upper is needed too. Give both.")
    if upper is not None and not upper < (lower or Level.S1):
        raise InputProblem(
            "--upper: cannot be used. It must lie above --lower (S1 if left out). Correct it."
        )


def _span(text: str) -> Span:
    try:
        found = levels.span(text)
    except ValueError:
        found = None
    if found is None or found.first == found.last:
        raise InputProblem(
            "--levels: are not understood. A span of several levels such as L1-S1 is needed; got "
            "another. Correct it."
        )
    return found


def _approaches(texts: Sequence[str]) -> tuple[Any, ...]:
    found = tuple(dict.fromkeys(w.strip().lower() for text in texts for w in text.split(",")))
    if odd := [w for w in found if w not in actions.APPROACHES]:
        raise InputProblem(
            f"--approach: {odd[0][:20]!r} is not known. It needs {', '.join(actions.APPROACHES)}, "
            f"several with commas; got another. Correct it."
        )
    return found


# -- the bone that would carry it -------------------------------------------------------------


def _of_the_bone(
    made: Sequence[Plan], request: Request, on: date, case: Case, grounds: Evidence
) -> list[AnyFinding]:
    """What the bone room says of the levels of each plan, where facts of the person were given."""
    if request.facts is None:
        return []
    from endplate.bone.attenuation import hounsfield_at_implants

    intake = Intake(today=on)
    read_case_file(request.facts, intake)
    known = [f for f in intake.understood().facts if not f.what.startswith("intent.")]
    found: dict[str, AnyFinding] = {}
    for one in made:
        given = [p.action for p in one.actions]
        top = actions.top_of(given)
        if top is None:
            continue
        span = Span(top, max(a.level.last for a in given))
        intent = [
            Fact(what="intent.procedure", value="deformity_correction", source=one.name),
            Fact(what="intent.levels", value=str(span), source=one.name),
        ]
        person = planning.patient([*known, *intent], case.age, on)
        for finding in hounsfield_at_implants(person, grounds):
            found.setdefault(f"{finding.key} {finding.says}", finding)
    return list(found.values())


# -- for people -------------------------------------------------------------------------------

# In the JSON alone: there is one of each vertebra.
_OF_EVERY_LEVEL = ("spine.vertebral_pelvic_angle", "spine.vertebral_tilt")


def _printed(
    text: Console, facts: Sequence[Fact], made: Sequence[Plan], problems: Sequence[Problem]
) -> None:
    now = {(f.what, f.level, f.side): f for f in facts}
    for one in made:
        text.print(f"\n{one.name}: {one.says}", markup=False)
        rows = [
            (r.says, _number(r.current, r.unit), _range(r), _number(r.planned, r.unit),
             "in range" if r.reached else "OUT OF RANGE")
            for r in one.residuals
        ]  # fmt: skip
        text.print(table("Targets", ("what", "current", "wanted", "planned", ""), rows))
        rows = [
            (concept(f.what).name, f.level or "", fact_value(now[key]), fact_value(f))
            for f in one.predicted
            if (key := (f.what, f.level, f.side)) in now
            and now[key].value != f.value
            and f.what not in _OF_EVERY_LEVEL
        ]
        text.print(table("What changes", ("what", "where", "current", "planned"), rows))
        rows = [("pelvis", one.compensation.says), ("thorax", one.reciprocal.says)]
        rows += [(f"osteotomy of {a.level}", a.says) for a in one.osteotomies]
        rows += [(w.about, w.says) for w in one.warnings]
        text.print(table("To know", ("about", "what"), rows))
    if problems:
        text.print(problems_table("Problems", problems))


def _number(value: float | None, unit: str) -> str:
    return "not measured" if value is None else f"{value:.1f} {unit}"


def _range(residual: Any) -> str:
    if residual.low is None:
        return f"up to {residual.high:.1f} {residual.unit}"
    if residual.high is None:
        return f"from {residual.low:.1f} {residual.unit}"
    return f"{residual.low:.1f} to {residual.high:.1f} {residual.unit}"
