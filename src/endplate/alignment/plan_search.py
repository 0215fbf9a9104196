"""The smallest sets of actions that bring the targets into range under the user's limits.

Each place where something could be done is a whole number of degrees. Near a spine the parameters
are almost linear in these, so that the smallest set is found by integer programming, applied to the
landmarks exactly, and found again from there until the exact values are in range.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from endplate.alignment import actions as acts
from endplate.alignment import compensation, model, planning
from endplate.alignment.actions import Action, Approach, Cage, Fusion, Osteotomy
from endplate.alignment.compensation import Reciprocal
from endplate.alignment.landmarks import Floats
from endplate.alignment.model import Spine
from endplate.alignment.planning import Case, Plan
from endplate.alignment.standing import PELVIC_TILT
from endplate.evidence import Evidence
from endplate.facts import Defect, InputProblem, Problem
from endplate.levels import Column, Level, Span
from endplate.levels import span as span_of

# What outweighs what: to come into range, then few actions, then small ones, then low grades.
_IN_RANGE, _FEW, _LOW_GRADE = 1e6, 1e3, 1e-2
# So often is the spine made linear anew.
_TURNS = 6
# By so much inside a range is aimed, so that rounding does not lead out of it.
_MARGIN = 1e-3
_WIDEST = "T1-S1"
_ENDS = ("low", "high")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a plan may do.

    Attributes
    ----------
    levels
        Discs and vertebrae at which it may act.
    approaches
        By which a cage may be placed; osteotomies need the posterior one.
    grade
        The highest osteotomy grade, 0 for none.
    most
        The most degrees at one level; None: what each action typically corrects.
    upper, lower
        Upper and lower instrumented vertebra, where they are fixed.
    """

    levels: Span
    approaches: tuple[Approach, ...] = ("anterior", "lateral", "posterior")
    grade: int = 0
    most: float | None = None
    upper: Level | None = None
    lower: Level | None = None


def usual(evidence: Evidence) -> Limits:
    """The limits where the user sets none."""
    return Limits(
        levels=span_of(str(evidence.row("alignment.plan.search.levels").table[0]["levels"])),
        grade=int(evidence.row("alignment.plan.search.grade").number),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Site:
    """One thing that could be done: x whole degrees, of which `base` are there already."""

    kind: Cage | Osteotomy
    base: float
    low: int
    high: int

    @property
    def family(self) -> str:
        if isinstance(self.kind, Cage):
            return "cage"
        return "facets" if self.kind.grade in acts.FACETS else f"body {self.kind.grade}"

    def action(self, x: float) -> Action:
        if isinstance(self.kind, Cage):
            return replace(self.kind, lordosis=float(x))
        return replace(self.kind, angle=float(x))


def plans(case: Case, limits: Limits) -> tuple[tuple[Plan, ...], tuple[Problem, ...]]:
    """Plans within the limits, the smallest first, and what is in the way if none reaches.

    Raises
    ------
    InputProblem
        If nothing can be done within the limits at all.
    """
    sites = _sites(case, limits)
    if not sites:
        raise InputProblem(
            f"{case.lateral.film.name}: nothing can be planned. Levels with both endplates marked, "
            f"at which the limits allow an action, are needed; there is none. Mark them, or widen "
            f"--levels, --approach or --grade."
        )
    fusion = _fusion(limits)
    found = _found(case, sites, fusion)
    reached = [s for s in found if s.off <= 0]
    number = int(case.evidence.row("alignment.plan.search.plans").number)
    # Of those that do not reach: the nearest, and one more to compare it with.
    kept = reached[:number] if reached else found[:2]
    made = tuple(
        planning.plan(f"plan {n}", (*s.actions, *fusion), case) for n, s in enumerate(kept, 1)
    )
    return made, () if reached else tuple(_in_the_way(case, limits, kept[0]))


def _fusion(limits: Limits) -> tuple[Action, ...]:
    if limits.upper is None:
        return ()
    return (Fusion(level=Span(limits.upper, limits.lower or Level.S1)),)


# -- what could be done -----------------------------------------------------------------------


def _sites(case: Case, limits: Limits) -> list[_Site]:
    """Everything that could be done within the limits, where the landmarks for it are there."""
    spine, evidence = case.lateral, case.evidence
    least = evidence.row("alignment.plan.search.least").number
    column = Column.of(model.marked(spine.names))
    found: list[_Site] = []
    for kind in _kinds(column, limits):
        level = kind.level
        disc = isinstance(kind, Cage) or kind.grade in acts.FACETS
        there = spine.has_disc(level.first, level.last) if disc else spine.has_body(level.first)
        if not there or _takes_a_target(kind, case):
            continue
        end, _ = planning.most(kind, evidence)
        if limits.most is not None:
            end = limits.most
        if end is None:
            continue
        base = float(acts.disc_angle(spine, kind)[0]) if isinstance(kind, Cage) else 0.0
        low, high = math.ceil(base + least), math.floor(base + end)
        if isinstance(kind, Osteotomy) and kind.grade in acts.BODIES:
            wedge = _widest(spine, kind, evidence)
            if kind.grade == min(acts.BODIES):
                high = min(high, wedge)
            # A larger operation is not planned for what a smaller one does.
            smaller, _ = planning.most(replace(kind, grade=kind.grade - 1), evidence)
            low = max(low, math.floor(min(smaller or 0.0, wedge)) + 1)
        if low <= high:
            found.append(_Site(kind=kind, base=base, low=low, high=high))
    return found


def _kinds(column: Column, limits: Limits) -> Iterator[Cage | Osteotomy]:
    inside = limits.levels
    if limits.upper is not None:
        lower = limits.lower or Level.S1
        first, last = max(inside.first, limits.upper), min(inside.last, lower)
        if last < first:
            return
        inside = Span(first, last)
    if not {inside.first, inside.last} <= set(column.levels):
        return
    # Where several approaches are open, which of them a cage takes is left open too; of the two
    # grades of facets the higher one stands for both.
    approach = limits.approaches[0] if len(limits.approaches) == 1 else None
    facets = [g for g in acts.FACETS if g <= limits.grade]
    for disc in column.segments(inside):
        if limits.approaches:
            yield Cage(level=disc, lordosis=0.0, approach=approach)
        if "posterior" in limits.approaches and facets:
            yield Osteotomy(level=disc, grade=max(facets), angle=0.0)
    if "posterior" not in limits.approaches:
        return
    for level in column.within(inside):
        # It is held from above and from below.
        held = level not in (limits.upper, limits.lower, Level.S1)
        for grade in (g for g in acts.BODIES if g <= limits.grade and held):
            yield Osteotomy(level=Span(level, level), grade=grade, angle=0.0)


def _takes_a_target(kind: Cage | Osteotomy, case: Case) -> bool:
    """Whether a grade 4 could take out an endplate on which a target is measured."""
    if not isinstance(kind, Osteotomy) or kind.grade != max(acts.BODIES):
        return False
    without = case.lateral.without(
        *(n for n in model.names_of(case.lateral, kind.level.first) if model.UPPER in n)
    )
    return any(target.value(without) is None for target in case.targets)


def _widest(spine: Spine, kind: Osteotomy, evidence: Evidence) -> int:
    """The angle at which a wedge about the front wall takes the whole back wall."""
    hinge = acts.body_hinge(kind, spine, evidence)[0]
    upper, lower = (spine.plate(kind.level.first, plate) for plate in (model.UPPER, model.LOWER))
    if upper is None or lower is None:
        return 0
    a, b = upper[0, 1] - hinge, lower[0, 1] - hinge
    between = math.degrees(math.acos(a @ b / (np.linalg.norm(a) * np.linalg.norm(b))))
    return math.floor(between) - 1


# -- the smallest set -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Solution:
    """Whole degrees for some sites, what they come to exactly, and how far they are off."""

    x: dict[int, int]
    actions: tuple[Action, ...]
    size: float
    off: float


def _found(case: Case, sites: Sequence[_Site], fusion: tuple[Action, ...]) -> list[_Solution]:
    """The smallest set of each family of actions, and further ones of all of them."""
    linear = _Linear(case, sites, fusion)
    families = {site.family for site in sites}
    grades = sorted(f for f in families if f.startswith("body"))
    subsets = [{"cage"}, {"facets"}, {"cage", "facets"}, *({g} for g in grades), families]
    found: dict[tuple[str, ...], _Solution] = {}
    for subset in subsets:
        allowed = [n for n, site in enumerate(sites) if site.family in subset]
        if not allowed or not subset <= families:
            continue
        solution = linear.smallest(allowed, [])
        found.setdefault(tuple(acts.written(a) for a in solution.actions), solution)
    number = int(case.evidence.row("alignment.plan.search.plans").number)
    excluded = [set(s.x) for s in found.values() if s.off <= 0 and s.x]
    everything = list(range(len(sites)))
    while excluded and len(excluded) < number:
        solution = linear.smallest(everything, excluded)
        if solution.off > 0 or not solution.x:
            break
        found.setdefault(tuple(acts.written(a) for a in solution.actions), solution)
        excluded.append(set(solution.x))
    return sorted(found.values(), key=lambda s: (s.off, len(s.actions), s.size))


class _Linear:
    """A case and its sites, made linear where the last solution lies."""

    def __init__(self, case: Case, sites: Sequence[_Site], fusion: tuple[Action, ...]) -> None:
        self.case, self.sites, self.fusion = case, sites, fusion
        self.base = np.array([site.base for site in sites])
        self.order = sorted(range(len(sites)), key=lambda n: sites[n].kind.level.first)

    def smallest(self, allowed: Sequence[int], excluded: Sequence[set[int]]) -> _Solution:
        """The smallest set of the allowed sites that comes into range, or nearest to it.

        Which sites those are is asked once of every spine that was found, and their degrees are
        then found again from there, which is quick.
        """
        x: dict[int, int] = {}
        best: _Solution | None = None
        tried: list[set[int]] = []
        for _ in range(_TURNS):
            values, slopes = self._around(x)
            taken = set(self._programme(x, values, slopes, allowed, excluded, whole=False))
            if taken in tried:
                break
            tried.append(taken)
            for _ in range(_TURNS):
                solved = self._programme(x, values, slopes, list(taken), (), whole=True)
                solution = self._exact(solved)
                if best is None or _better(solution, best):
                    best = solution
                if solved == x:
                    break
                x = solved
                values, slopes = self._around(x)
            if best is not None and best.off <= 0:
                break
        return best if best is not None else self._exact({})

    def _corrections(self, x: dict[int, int]) -> Floats:
        found = np.zeros(len(self.sites))
        for n, degrees in x.items():
            found[n] = degrees - self.base[n]
        return found

    def _values(self, corrections: Floats, change: Reciprocal | None) -> Floats:
        """Every target's value for each row of corrections (variants, sites)."""
        case = self.case
        spine = case.lateral.times(len(corrections))
        for n in self.order:
            degrees = corrections[:, n]
            if not degrees.any():
                continue
            kind = self.sites[n].kind
            level = kind.level.first
            if isinstance(kind, Cage) or kind.grade in acts.FACETS:
                hinge = acts.disc_hinge(kind, spine, case.evidence)
                spine = spine.turned(model.below(level), hinge, degrees)
            else:
                hinge = acts.body_hinge(kind, spine, case.evidence)
                spine = spine.turned(model.through(level), hinge, degrees)
        if change is not None:
            spine = compensation.bent(spine, change)
        spine = compensation.followed(spine, case.lateral, case.how, case.evidence)
        found = [target.value(spine) for target in case.targets]
        return np.stack([np.full(len(corrections), np.nan) if v is None else v for v in found])

    def _change(self, x: dict[int, int]) -> Reciprocal | None:
        if self.case.how.thorax == "rigid":
            return None
        actions = [*(self.sites[n].action(v) for n, v in x.items()), *self.fusion]
        return compensation.reciprocal(actions, self.case.lateral, self.case.evidence)

    def _around(self, x: dict[int, int]) -> tuple[Floats, Floats]:
        """The targets' values at a solution, and what a degree at each site does to them."""
        at = self._corrections(x)
        stack = np.vstack([at, at + np.eye(len(at))])
        values = self._values(stack, self._change(x))
        return values[:, 0], values[:, 1:] - values[:, :1]

    def _exact(self, x: dict[int, int]) -> _Solution:
        at = self._corrections(x)
        values = self._values(at[None], self._change(x))[:, 0]
        off = 0.0
        for target, value in zip(self.case.targets, values, strict=True):
            away = abs(target.off(float(value))) or (
                0.0 if target.reached(float(value)) else _MARGIN
            )
            off += away * _weight(target.unit, self.case.evidence)
        return _Solution(
            x=x,
            actions=tuple(self.sites[n].action(v) for n, v in sorted(x.items())),
            size=float(at.sum()),
            off=off,
        )

    def _programme(
        self,
        x: dict[int, int],
        values: Floats,
        slopes: Floats,
        allowed: Sequence[int],
        excluded: Sequence[set[int]],
        *,
        whole: bool,
    ) -> dict[int, int]:
        """The best [degrees, taken or not, out of range] of the sites that are allowed."""
        from scipy import optimize  # noqa: PLC0415 - slow to import, and for searching alone

        chosen = sorted(allowed)
        if not chosen:
            return {}
        count, goals = len(chosen), len(self.case.targets)
        base, slope = self.base[chosen], slopes[:, chosen]
        low, high = (np.array([getattr(self.sites[n], end) for n in chosen]) for end in _ENDS)
        # Whole degrees between the ends of a site that is taken, and none of one that is not.
        unit, none = np.eye(count), np.zeros((count, goals))
        rows = [np.hstack([unit, -np.diag(low), none]), np.hstack([-unit, np.diag(high), none])]
        lows, highs = [np.zeros(2 * count)], [np.full(2 * count, np.inf)]

        def add(row: Floats, least: float, most: float) -> None:
            rows.append(row[None])
            lows.append(np.array([least]))
            highs.append(np.array([most]))

        start = values - slopes @ self._corrections(x)
        effect = np.hstack([slope, -slope * base])
        for n, target in enumerate(self.case.targets):
            slack = np.zeros(goals)
            slack[n] = 1 / _weight(target.unit, self.case.evidence)
            if target.low is not None:
                row = np.concatenate([effect[n], slack])
                add(row, target.low + _MARGIN - start[n], np.inf)
            if target.high is not None:
                row = np.concatenate([effect[n], -slack])
                add(row, -np.inf, target.high - _MARGIN - start[n])
        for together, most in (
            *((rivals, 1) for rivals in self._rivals()),
            *((taken, len(taken) - 1) for taken in excluded),
        ):
            row = np.zeros(2 * count + goals)
            row[count : 2 * count] = [n in together for n in chosen]
            add(row, -np.inf, most)
        grade = np.array([getattr(self.sites[n].kind, "grade", 0) for n in chosen])
        cost = np.concatenate([
            np.ones(count), _FEW - base + _LOW_GRADE * grade, np.full(goals, _IN_RANGE),
        ])  # fmt: skip
        solved = optimize.milp(
            cost,
            constraints=optimize.LinearConstraint(
                np.vstack(rows), np.concatenate(lows), np.concatenate(highs)
            ),
            integrality=np.repeat([float(whole), 1.0, 0.0], [count, count, goals]),
            bounds=optimize.Bounds(
                np.concatenate([np.full(count, -np.inf), np.zeros(count + goals)]),
                np.concatenate([np.full(count, np.inf), np.ones(count), np.full(goals, np.inf)]),
            ),
            options={"mip_rel_gap": 0.0},
        )
        if solved.x is None:
            if excluded:  # nothing is left beside it
                return {}
            raise Defect(f"The search for a plan ended without one: {solved.message}")
        return {
            n: round(solved.x[at]) for at, n in enumerate(chosen) if solved.x[count + at] > 1 / 2
        }

    def _rivals(self) -> Iterator[list[int]]:
        """Sites that act at one place, where only one may."""
        by_place: dict[str, list[int]] = {}
        for n, site in enumerate(self.sites):
            for place in acts.places(site.kind):
                by_place.setdefault(place, []).append(n)
        return (several for several in by_place.values() if len(several) > 1)


def _better(one: _Solution, other: _Solution) -> bool:
    """Whether a solution is nearer to the targets, or as near with fewer or smaller actions."""
    return (one.off, len(one.x), one.size) < (other.off, len(other.x), other.size)


def _weight(unit: str, evidence: Evidence) -> float:
    """As how many degrees a unit counts, where several are out of range."""
    if unit != "mm":
        return 1.0
    return evidence.row("alignment.plan.search.degrees_per_mm").number


# -- what is in the way -----------------------------------------------------------------------


def _in_the_way(case: Case, limits: Limits, best: _Solution) -> Iterator[Problem]:
    """Which targets are missed by how much, and which limit would have to give."""
    film = case.lateral.film.name
    done = planning.settled((*best.actions, *_fusion(limits)), case.lateral, case)
    missed = []
    for target in case.targets:
        value = target.value(done)
        if value is not None and not target.reached(float(value[0])):
            missed.append(f"{target.says} would be {value[0]:.1f}, wanted {target.range_says}")
    helps: dict[str, str] = {}
    for (limit, then), wider in _wider(limits):
        if limit not in helps and _reaches(case, wider):
            helps[limit] = then
    tilt = _tilt_is_kept(case, best)
    yield Problem(
        problem="alignment.plan.out_of_reach", where=film,
        says=f"Within the limits the targets cannot all be reached: {'; '.join(missed)}. "
        + (f"In the way: {'; '.join(helps)}." if helps else _without_limits(case, best)),
        try_=(*helps.values(), *tilt) or (
            "Name other targets, or plan actions of your own with --action.",),
    )  # fmt: skip


def _without_limits(case: Case, best: _Solution) -> str:
    """What is told where no limit, given up alone, would do."""
    if not best.actions:
        return "Only gains of lordosis are searched for, and none brings them nearer."
    if _reaches(case, Limits(levels=span_of(_WIDEST), grade=max(acts.BODIES))):
        return "No limit is in the way alone; several, given up together, would do."
    return "They are not reached without any of the limits either."


def _wider(limits: Limits) -> Iterator[tuple[tuple[str, str], Limits]]:
    """Each limit given up in turn, with what is said of it."""
    wide = span_of(_WIDEST)
    if limits.levels != wide:
        yield ("the levels", f"Allow --levels {wide}."), replace(limits, levels=wide)
    for grade in (g for g in (*acts.FACETS, *acts.BODIES) if g > limits.grade):
        yield (
            ("the highest grade", f"Allow --grade {grade}."),
            replace(limits, grade=grade),
        )
    if set(limits.approaches) != set(acts.APPROACHES):
        every: tuple[Approach, ...] = ("anterior", "lateral", "posterior")
        yield ("the approaches", "Allow every --approach."), replace(limits, approaches=every)
    if limits.most is not None:
        yield (
            ("the most at one level", f"Allow more than --most {limits.most:g}."),
            replace(limits, most=None),
        )
    if limits.upper is not None:
        yield (
            ("the instrumented vertebrae", "Move --upper or --lower."),
            replace(limits, upper=None, lower=None),
        )


def _reaches(case: Case, limits: Limits) -> bool:
    sites = _sites(case, limits)
    if not sites:
        return False
    return _Linear(case, sites, _fusion(limits)).smallest(range(len(sites)), []).off <= 0


def _tilt_is_kept(case: Case, best: _Solution) -> Iterable[str]:
    """That a target of tilt cannot be reached by actions where tilt is taken to stay."""
    if case.how.model not in ("current", "set"):
        return ()
    if not any(what == PELVIC_TILT for t in case.targets for what, _, _ in t.of):
        return ()
    return ("Pelvic tilt does not follow under this --compensation: choose regression or c2.",)
