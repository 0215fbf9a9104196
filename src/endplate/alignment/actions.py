"""What a surgeon can do to the shape of a spine, and what each of it does to the landmarks.

An action turns or moves all that lies above it, exactly about its hinge: a disc about a point in
the disc, a body about a point in the body, whose two endplates then belong to different pieces.
Actions are written as text, ``cage L4-L5 lordosis=12 height=10``, and read from it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np

from endplate.alignment import geometry, model
from endplate.alignment.landmarks import Floats
from endplate.alignment.model import LOWER, UPPER, Hinge, Spine
from endplate.evidence import Evidence
from endplate.facts import InputProblem
from endplate.levels import Column, Level, Span, span

Approach = Literal["anterior", "lateral", "posterior"]
APPROACHES: tuple[str, ...] = get_args(Approach)
HINGES: tuple[str, ...] = get_args(Hinge)
# Schwab's grades: of facets, of a body, and of whole vertebrae.
FACETS, BODIES, WHOLE = (1, 2), (3, 4), (5, 6)
GRADES = (*FACETS, *BODIES, *WHOLE)
_LOWEST = "S1"
# Beyond these is a slip of the pen: degrees at one place, mm of a cage, a gap or a slip.
_MOST_DEGREES, _MOST_MM = 90.0, 50.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cage:
    """A cage in a disc: the angle between its endplates afterwards, and its height in the middle.

    Attributes
    ----------
    lordosis
        The angle between the two endplates once the cage stands there, degrees.
    height
        The distance between their middles, mm; None leaves it to the hinge.
    coronal
        Degrees by which the left side of the disc is opened (frontal radiograph).
    """

    level: Span
    lordosis: float
    height: float | None = None
    approach: Approach | None = None
    hinge: Hinge | None = None
    coronal: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Osteotomy:
    """An osteotomy by Schwab's grade: 1-2 at a disc, 3-4 through a body, 5-6 of whole vertebrae.

    Attributes
    ----------
    angle
        By how much lordosis grows there, degrees.
    shortening
        Grades 5 and 6: by how much the gap is closed along the spine, mm.
    """

    level: Span
    grade: int
    angle: float
    hinge: Hinge | None = None
    coronal: float = 0.0
    shortening: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fusion:
    """Levels fused to a rod: as they are, to a lordosis of the span, or disc by disc.

    Attributes
    ----------
    lordosis
        Upper endplate of the first vertebra to lower endplate of the last (S1: its upper one),
        spread over the discs that nothing else is done at; negative is kyphosis.
    discs
        The angle of every disc of the span instead, from the head down.
    """

    level: Span
    lordosis: float | None = None
    discs: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduction:
    """A slipped vertebra moved back along the endplate below it, by mm or by percent of that."""

    level: Span
    mm: float | None = None
    percent: float | None = None


Action = Cage | Osteotomy | Fusion | Reduction
_KINDS: Mapping[str, type[Any]] = {
    "cage": Cage, "osteotomy": Osteotomy, "fuse": Fusion, "reduce": Reduction,
}  # fmt: skip
_WORDS: Mapping[str, tuple[str, ...]] = {"hinge": HINGES, "approach": APPROACHES}
_EXAMPLE = (
    "Write it like 'cage L4-L5 lordosis=12 height=10', 'osteotomy L3 grade=3 angle=25', "
    "'fuse T10-S1 lordosis=30' or 'reduce L5-S1 mm=6'."
)


# -- as text ----------------------------------------------------------------------------------


def read(text: str) -> Action:
    """The action that a text describes.

    Raises
    ------
    InputProblem
        If it is not understood, or does not make sense by itself.
    """
    words = re.sub(r"\s*=\s*", "=", text).split()
    kind = _KINDS.get(words[0].lower()) if words else None
    if kind is None or len(words) < 2:
        raise refused(text, f"one of {', '.join(_KINDS)} and a level", _EXAMPLE)
    try:
        level = span(words[1])
    except ValueError:
        raise refused(text, "a level like L3 or L4-L5 after its first word", _EXAMPLE) from None
    known = [n for n in kind.__slots__ if n != "level"]
    cells: dict[str, Any] = {}
    for word in words[2:]:
        name, equals, value = word.partition("=")
        if not equals or name not in known or name in cells:
            raise refused(text, f"each of {', '.join(known)} once at most, as name=value", _EXAMPLE)
        cells[name] = _cell(text, name, value)
    try:
        made: Action = kind(level=level, **cells)
    except TypeError:
        needed = {Cage: "lordosis", Osteotomy: "grade and angle"}[kind]
        raise refused(text, needed, _EXAMPLE) from None
    _sensible(text, made)
    return made


def _cell(text: str, name: str, value: str) -> Any:
    if name in _WORDS:
        if value in _WORDS[name]:
            return value
        raise refused(text, f"{name} as one of {', '.join(_WORDS[name])}", _EXAMPLE)
    try:
        numbers = [float(part) for part in value.split("/")]
    except ValueError:
        numbers = []
    if not numbers or not all(map(math.isfinite, numbers)) or (name != "discs" and numbers[1:]):
        raise refused(text, f"{name} as a number", _EXAMPLE)
    if name == "grade":
        if numbers[0] not in GRADES:
            raise refused(text, "grade from 1 to 6", _EXAMPLE)
        return int(numbers[0])
    return tuple(numbers) if name == "discs" else numbers[0]


def _sensible(text: str, action: Action) -> None:
    """Refuse what contradicts itself, whatever the spine."""
    level, last = action.level, Level(_LOWEST)
    one_disc = isinstance(action, Cage | Reduction) or (
        isinstance(action, Osteotomy) and action.grade in FACETS
    )
    if one_disc and not _is_disc(level):
        raise refused(text, "two neighbouring vertebrae, such as L4-L5", "Name the disc.")
    if isinstance(action, Osteotomy):
        if action.grade in BODIES and level.first != level.last:
            raise refused(text, "one vertebra, such as L3, for a grade of 3 or 4", "Name it.")
        if action.grade in WHOLE and (level.first != level.last) != (action.grade == max(WHOLE)):
            raise refused(text, "one vertebra for grade 5, several for grade 6", "Name them.")
        if action.grade not in FACETS and level.last == last:
            raise refused(text, "vertebrae above the sacrum", "Name another level.")
        if action.grade not in WHOLE and action.shortening:
            raise refused(
                text, "shortening only where whole vertebrae are taken out", "Leave it out."
            )
        if action.shortening < 0:
            raise refused(text, "a shortening of 0 mm or more", "Correct it.")
        if action.angle < 0:
            raise refused(
                text, "an angle of 0 or more: it is lordosis that is gained",
                "Lower lordosis by a cage or a rod's contour.", "it is less",
            )  # fmt: skip
        if action.grade not in WHOLE and not (action.angle or action.coronal):
            raise refused(text, "an angle above 0", "Correct it.")
    if isinstance(action, Cage) and action.height is not None and action.height <= 0:
        raise refused(text, "a height above 0 mm", "Correct it.")
    if isinstance(action, Fusion):
        discs = len(_column(level).segments(level))
        if discs == 0 or (action.lordosis is not None and action.discs):
            raise refused(text, "several vertebrae, and a lordosis or discs but not both", _EXAMPLE)
        if action.discs and len(action.discs) != discs:
            raise refused(text, f"the angles of all its {discs} discs, as discs=4/6/8", _EXAMPLE)
    if isinstance(action, Reduction) and (action.mm is None) == (action.percent is None):
        raise refused(text, "either mm or percent", _EXAMPLE)
    moved = (action.mm or action.percent or 0) if isinstance(action, Reduction) else 1
    if moved <= 0:
        raise refused(text, "an amount above 0", _EXAMPLE)
    _of_a_spine(text, action)


def _of_a_spine(text: str, action: Action) -> None:
    """Refuse numbers that no spine has."""
    degrees, mm, percent = "degrees at one place", "mm", "percent of an endplate"
    most = {
        "angle": (_MOST_DEGREES, degrees), "coronal": (_MOST_DEGREES, degrees),
        "discs": (_MOST_DEGREES, degrees), "lordosis": (_MOST_DEGREES, degrees),
        "height": (_MOST_MM, mm), "shortening": (_MOST_MM, mm), "mm": (_MOST_MM, mm),
        "percent": (100.0, percent),
    }  # fmt: skip
    if isinstance(action, Fusion):
        most["lordosis"] = (2 * _MOST_DEGREES, "degrees of a span")
    for name, (end, unit) in most.items():
        value = getattr(action, name, None)
        values = value if isinstance(value, tuple) else (value or 0.0,)
        if any(abs(v) > end for v in values):
            raise refused(text, f"{name} within {end:g} {unit}", "Correct it.", "it is more")


def written(action: Action) -> str:
    """The text of an action, from which it can be read again."""
    kind = next(name for name, made in _KINDS.items() if isinstance(action, made))
    parts = [kind, str(action.level)]
    for name in action.__slots__:
        value = getattr(action, name)
        if name == "level" or value is None or value == () or (value == 0 and name in _NOUGHT):
            continue
        if isinstance(value, tuple):
            value = "/".join(f"{v:.10g}" for v in value)
        parts.append(f"{name}={value:.10g}" if isinstance(value, float) else f"{name}={value}")
    return " ".join(parts)


_NOUGHT = ("coronal", "shortening")


def refused(text: str, needed: str, then: str, got: str = "it is another") -> InputProblem:
    """What is told of an action that cannot be taken."""
    return InputProblem(f"{text[:60]!r}: cannot be planned. It needs {needed}; {got}. {then}")


def _column(level: Span) -> Column:
    return Column.of((level.first, level.last))


def _is_disc(level: Span) -> bool:
    there = _column(level).levels
    return {level.first, level.last} <= set(there) and level.last == _column(level).below(
        level.first
    )


# -- what it does -----------------------------------------------------------------------------


def applied(actions: Iterable[Action], spine: Spine, evidence: Evidence) -> Spine:
    """The spine after all these actions, in whatever order they are named.

    Raises
    ------
    InputProblem
        If two of them act at one place, or a landmark or the scale that one needs is not there.
    """
    given = list(actions)
    _in_this_column(given, spine)
    taken = _places(given)
    # A fusion spreads over what the others left: it comes last. Reductions come before it.
    order: list[type[Any]] = [Cage, Osteotomy, Reduction, Fusion]
    for action in sorted(given, key=lambda a: (order.index(type(a)), a.level.first)):
        spine = _DO[type(action)](action, spine, evidence, taken)
    return spine


def _places(actions: Iterable[Action]) -> set[str]:
    """The discs and bodies that are acted on, each by one action alone; fusions left out."""
    seen: set[str] = set()
    moved: set[str] = set()
    for action in actions:
        if isinstance(action, Fusion):
            continue
        into = moved if isinstance(action, Reduction) else seen
        for place in places(action):
            if place in into:
                raise refused(written(action), f"{place} to itself", "Plan one of them.",
                              "another action is planned there")  # fmt: skip
            into.add(place)
    return seen


def _in_this_column(actions: Iterable[Action], spine: Spine) -> None:
    """Refuse neighbours that are none in a spine with a sixth lumbar or a thirteenth rib's one."""
    column = Column.of(model.marked(spine.names))
    for action in actions:
        level = action.level
        for disc in _column(level).segments(level):
            if not {disc.first, disc.last} <= set(column.levels) or (
                column.below(disc.first) != disc.last
            ):
                raise refused(
                    written(action), "neighbours of this spine",
                    "Name the levels as they are marked.", f"{disc} are none",
                )  # fmt: skip


def places(action: Action) -> tuple[str, ...]:
    """The discs and bodies that an action takes for itself."""
    level = action.level
    if isinstance(action, Osteotomy) and action.grade in WHOLE:
        column = _column(level)
        discs = [Span(a, b) for a, b in pairwise(_around(level))]
        return (*(str(d) for d in discs), *(str(v) for v in column.within(level)))
    if isinstance(action, Osteotomy) and action.grade == max(BODIES):
        upper = _column(level).above(level.first)
        return (str(level), *((str(Span(upper, level.first)),) if upper else ()))
    return (str(level),)


def _around(level: Span) -> list[Level]:
    """A run of vertebrae with its two neighbours."""
    column = _column(level)
    ends = (column.above(level.first), *column.within(level), column.below(level.last))
    return [v for v in ends if v is not None]


def hinge_of(action: Cage | Osteotomy, evidence: Evidence) -> Hinge:
    """About which point it turns, where the action itself does not say it."""
    if action.hinge is not None:
        return action.hinge
    kind = "cage" if isinstance(action, Cage) else f"grade_{action.grade}"
    lines = evidence.row("alignment.plan.hinge").table
    return next(line["hinge"] for line in lines if line["action"] == kind)


def _cage(action: Cage, spine: Spine, evidence: Evidence, taken: set[str]) -> Spine:
    if spine.film.view == "frontal":
        return _wedge(action, spine, model.below(action.level.first), _disc_middle)
    change = action.lordosis - disc_angle(spine, action)
    spine = spine.turned(
        model.below(action.level.first), disc_hinge(action, spine, evidence), change
    )
    if action.height is None:
        return spine
    if not spine.film.calibrated:
        raise refused(
            written(action), "a calibrated radiograph for its height", "Leave the height out.",
            "this one is not",
        )  # fmt: skip
    upper, lower = facing(spine, action)
    square = model.across(upper + lower)
    now = ((geometry.middle(upper) - geometry.middle(lower)) * square).sum(axis=-1)
    return spine.shifted(model.below(action.level.first), (action.height - now)[:, None] * square)


def disc_angle(spine: Spine, action: Action) -> Floats:
    """The angle between the endplates of a disc, lordosis positive."""
    upper, lower = facing(spine, action)
    return geometry.lordosis(upper, lower)


def facing(spine: Spine, action: Action) -> tuple[Floats, Floats]:
    """The endplates above and below a disc."""
    upper, lower = _plates(spine, action, (action.level.first, LOWER), (action.level.last, UPPER))
    return upper, lower


def disc_hinge(action: Cage | Osteotomy, spine: Spine, evidence: Evidence) -> Floats:
    """The point of a disc about which it turns: its front or back edge, or its middle."""
    upper, lower = facing(spine, action)
    return _of_the_depth((upper + lower) / 2, hinge_of(action, evidence))


def body_hinge(action: Osteotomy, spine: Spine, evidence: Evidence) -> Floats:
    """The point of a body about which it turns: half way up a wall, or its middle."""
    level = action.level.first
    upper, lower = _plates(spine, action, (level, UPPER), (level, LOWER))
    return _of_the_depth((upper + lower) / 2, hinge_of(action, evidence))


def _of_the_depth(run: Floats, hinge: Hinge) -> Floats:
    """A point of a line whose ends are front and back."""
    if hinge == "middle":
        return geometry.middle(run)
    return np.asarray(run[:, 0] if hinge == "anterior" else run[:, 1])


def _osteotomy(action: Osteotomy, spine: Spine, evidence: Evidence, taken: set[str]) -> Spine:
    if action.grade in WHOLE:
        return _resection(action, spine, evidence)
    level = action.level.first
    at_disc = action.grade in FACETS
    cut = model.below(level) if at_disc else model.through(level)
    if spine.film.view == "frontal":
        return _wedge(action, spine, cut, _disc_middle if at_disc else _body_middle)
    hinge = (disc_hinge if at_disc else body_hinge)(action, spine, evidence)
    spine = spine.turned(cut, hinge, action.angle)
    if not at_disc and back_wall(spine, level) <= 0:
        if action.grade == min(BODIES):
            raise refused(
                written(action), "a back wall that is higher than the wedge",
                "Plan less, or a grade 4, which takes the disc above as well.", "it is lower",
            )  # fmt: skip
        # The upper endplate is among what is taken out.
        spine = spine.without(*(n for n in model.names_of(spine, level) if UPPER in n))
    return spine


def back_wall(spine: Spine, level: Level) -> float:
    """How much of a body's back wall is left, along the direction of the spine there."""
    upper, lower = spine.plate(level, UPPER), spine.plate(level, LOWER)
    if upper is None or lower is None:
        return math.inf
    return float(((upper - lower)[:, 1] * model.across(upper + lower)).sum(axis=-1).min())


def _resection(action: Osteotomy, spine: Spine, evidence: Evidence) -> Spine:
    """Vertebrae taken out: what was above turns in the gap and comes down to close it."""
    level = action.level
    column = _column(level)
    gone = column.within(level)
    frontal = spine.film.view == "frontal"
    first, last = (_plates(spine, action, (v, p))[0] for v, p in (
        (level.first, UPPER), (level.last, LOWER)
    ))  # fmt: skip
    # The pieces above begin with the disc above the first vertebra that is taken out.
    cut = model.above(level.first)
    hinge = "middle" if frontal else hinge_of(action, evidence)
    about = _of_the_depth((first + last) / 2, hinge)
    square = model.across(last)
    spine = spine.turned(cut, about, action.coronal if frontal else action.angle)
    if action.shortening:
        if not spine.film.calibrated:
            raise refused(
                written(action), "a calibrated radiograph for its shortening", "Leave it out.",
                "this one is not",
            )  # fmt: skip
        spine = spine.shifted(cut, -action.shortening * square)
    names = [n for v in gone for n in model.names_of(spine, v)]
    return spine.without(*names)


def _fusion(action: Fusion, spine: Spine, evidence: Evidence, taken: set[str]) -> Spine:
    if spine.film.view == "frontal" or (action.lordosis is None and not action.discs):
        return spine
    discs = _column(action.level).segments(action.level)
    if action.discs:
        if clash := [str(d) for d in discs if str(d) in taken]:
            raise refused(written(action), f"{clash[0]} to itself", "Give the span's lordosis.",
                          "another action is planned there")  # fmt: skip
        for disc, angle in zip(discs, action.discs, strict=True):
            spine = _set(spine, action, disc, angle)
        return spine
    free = [d for d in discs if str(d) not in taken]
    end = (action.level.last, UPPER if action.level.last == _LOWEST else LOWER)
    upper, lower = _plates(spine, action, (action.level.first, UPPER), end)
    change = (action.lordosis or 0.0) - geometry.lordosis(upper, lower)
    if not free:
        raise refused(
            written(action), "a disc that no other action takes", "Leave out its lordosis.",
            "each is taken",
        )  # fmt: skip
    for disc in free:
        spine = _turned_by(spine, action, disc, change / len(free))
    return spine


def _set(spine: Spine, action: Action, disc: Span, angle: float) -> Spine:
    upper, lower = _plates(spine, action, (disc.first, LOWER), (disc.last, UPPER))
    return _turned_by(spine, action, disc, angle - geometry.lordosis(upper, lower))


def _turned_by(spine: Spine, action: Action, disc: Span, degrees: Floats) -> Spine:
    """A disc bent about its middle, as a rod does it."""
    upper, lower = _plates(spine, action, (disc.first, LOWER), (disc.last, UPPER))
    return spine.turned(model.below(disc.first), geometry.middle((upper + lower) / 2), degrees)


def _reduction(action: Reduction, spine: Spine, evidence: Evidence, taken: set[str]) -> Spine:
    if spine.film.view == "frontal":
        return spine
    _, lower = facing(spine, action)
    along = lower[:, 0] - lower[:, 1]
    length = np.linalg.norm(along, axis=-1, keepdims=True)
    if action.mm is not None and not spine.film.calibrated:
        raise refused(
            written(action), "a calibrated radiograph for mm", "Give percent instead.",
            "this one is not",
        )  # fmt: skip
    by = action.mm if action.mm is not None else (action.percent or 0.0) * length / 100
    return spine.shifted(model.below(action.level.first), -along / length * by)


def slip(spine: Spine, action: Action) -> Floats:
    """How far the upper vertebra of a disc has slipped forwards, in percent of the lower one."""
    upper, lower = facing(spine, action)
    along = lower[:, 0] - lower[:, 1]
    length = (along * along).sum(axis=-1)
    return np.asarray(100 * ((upper - lower)[:, 1] * along).sum(axis=-1) / length)


def _wedge(
    action: Cage | Osteotomy,
    spine: Spine,
    cut: float,
    about: Callable[[Action, Spine], Floats],
) -> Spine:
    """The frontal part of an action: its left side opened."""
    return spine.turned(cut, about(action, spine), action.coronal) if action.coronal else spine


def _disc_middle(action: Action, spine: Spine) -> Floats:
    upper, lower = facing(spine, action)
    return geometry.middle((upper + lower) / 2)


def _body_middle(action: Action, spine: Spine) -> Floats:
    level = action.level.first
    upper, lower = _plates(spine, action, (level, UPPER), (level, LOWER))
    return geometry.middle((upper + lower) / 2)


def _plates(spine: Spine, action: Action, *needed: tuple[Level, str]) -> tuple[Floats, ...]:
    """Endplates that an action needs.

    Raises
    ------
    InputProblem
        If one of them was not marked: what is not there is not guessed.
    """
    found = []
    for level, plate in needed:
        there = spine.plate(level, plate)
        if there is None:
            raise refused(
                written(action), f"both ends of the {plate.replace('_', ' ')} of {level}",
                "Mark them, or plan another level: a vertebra that is not marked is not guessed.",
                f"they are not marked on {spine.film.name}",
            )  # fmt: skip
        found.append(there)
    return tuple(found)


_DO: Mapping[type[Any], Callable[..., Spine]] = {
    Cage: _cage, Osteotomy: _osteotomy, Fusion: _fusion, Reduction: _reduction,
}  # fmt: skip


def correction(action: Action, spine: Spine) -> float | None:
    """By how many degrees an action raises lordosis where it acts; None of one that may not."""
    if isinstance(action, Osteotomy):
        return action.angle
    if isinstance(action, Cage):
        return action.lordosis - float(disc_angle(spine, action)[0])
    return None


def top_of(actions: Iterable[Action]) -> Level | None:
    """The uppermost vertebra that a plan's actions or fusions take hold of."""
    firsts = []
    for action in actions:
        first = action.level.first
        if isinstance(action, Osteotomy) and action.grade not in FACETS:
            first = _column(action.level).above(first) or first
        firsts.append(first)
    return min(firsts, default=None)
