"""``endplate alignment plan``: corrections of a spine from its landmarks, searched or evaluated."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
from endplate.report import alignment_plan
from endplate.vocabulary import concept

if TYPE_CHECKING:
    from endplate.alignment import plan_search


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

    @property
    def limit(self) -> str | None:
        """The first limit of a search that was given."""
        limits = {
            "--levels": self.levels, "--approach": self.approaches or None, "--grade": self.grade,
            "--most": self.most, "--upper": self.upper, "--lower": self.lower,
        }  # fmt: skip
        return next((name for name, value in limits.items() if value is not None), None)


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
    made, unreached, searched = _plans(case, request, grounds)
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
    told = alignment_plan.Made(
        plans=made, case=case, films=films, facts=facts, findings=findings, problems=problems,
        searched=searched, osteotomies=parts["osteotomy_angles"],
    )  # fmt: skip
    if out is not None:
        written = {"alignment-plan.json": envelope(**parts), **alignment_plan.files(told)}
        for one in made:
            for view, points in one.landmarks.items():
                name = f"{alignment_plan.stem(one)}.{view}.json"
                written[name] = codec.encode(points, indent=2) + b"\n"
        write_files(out, written)
    if as_json:
        print_json(**parts)
    else:
        _printed(told, out)


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
) -> tuple[tuple[Plan, ...], tuple[Problem, ...], str]:
    """The plans, what is in the way of the targets, and what was searched, if anything was."""
    if request.actions:
        if (limit := request.limit) is not None:
            raise InputProblem(
                f"{limit}: cannot be given beside --action. Limits are for searching, and actions "
                f"of your own are planned as they are; both are there. Leave one of them out."
            )
        given = [actions.read(text) for text in request.actions]
        return (planning.plan("plan 1", given, case),), (), ""
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
    made, unreached = plan_search.plans(case, limits)
    return made, unreached, _searched(limits)


def _searched(limits: plan_search.Limits) -> str:
    """The limits of a search in words."""
    osteotomies = f"osteotomies up to grade {limits.grade}" if limits.grade else "no osteotomies"
    most = "what it typically corrects" if limits.most is None else f"{limits.most:g}°"
    fixed = f"; instrumented from {limits.upper} to {limits.lower or Level.S1}"
    return (
        f"Searched within these limits: {limits.levels}, cages by {' or '.join(limits.approaches)} "
        f"approach, {osteotomies}, each action at most {most}{fixed if limits.upper else ''}."
    )


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

_WIDE = 96  # columns at most; a plan is read in a narrow window too


def _printed(told: alignment_plan.Made, out: Path | None) -> None:
    """The plans beside each other: what is done, what it would reach, and what to know of it."""
    text = console()
    text.width = min(text.width, _WIDE)
    for one in told.plans:
        verdict = "every target is in range" if one.reached else "not every target is in range"
        text.print(f"\n{one.name}: {verdict}", highlight=False)
        for action in one.actions:
            _item(text, action.text)
    text.print()
    wanted = alignment_plan.residual_table(told.plans, told.case.targets)
    changes, same = alignment_plan.change_table(told.plans, told.facts)
    for compared in (wanted, changes):
        text.print(table(compared.caption, compared.headings, compared.lines))
    if same:
        _item(text, f"Unchanged: {', '.join(same)}.")
    text.print()
    text.print("To know")
    pelvis = dict.fromkeys(one.compensation.says for one in told.plans)
    thorax = dict.fromkeys(alignment_plan.thorax(one) for one in told.plans)
    for about, each in (("pelvis", pelvis), ("thorax", thorax)):
        for says in each:
            _item(text, f"{about}: {says}")
    for one in told.plans:
        for angle in one.osteotomies:
            _item(text, f"{one.name}, osteotomy of {angle.level}: {angle.says}")
    for which, about, says in alignment_plan.warnings(told.plans):
        _item(text, f"{which}, {about}: {says}")
    if told.problems:
        text.print(problems_table("Problems", told.problems))
    where = f"Page to read: {out / 'alignment-plan.html'}" if out else (
        "With --out DIR: a page to read with pictures, and all parameters as JSON."
    )  # fmt: skip
    text.print(where, soft_wrap=True, highlight=False, markup=False)


def _item(text: Console, says: str) -> None:
    """One entry of a list, its further lines set in."""
    wrapped = textwrap.wrap(says, text.width - 4, break_on_hyphens=False)
    text.print("  - " + "\n    ".join(wrapped), markup=False, highlight=False)
