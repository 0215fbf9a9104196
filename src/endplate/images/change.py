"""Two measured studies of one person: each vertebra laid onto itself, and what changed.

Registration of every vertebra tells how neighbours have moved against each other and where a
surface has changed; `endplate.images.comparison` sets measurement against measurement.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from itertools import pairwise
from statistics import median_low

import numpy as np
from scipy.spatial.transform import Rotation

from endplate import evidence as evidence_of
from endplate.evidence import Evidence
from endplate.facts import Fact, Problem
from endplate.findings import Finding
from endplate.images.comparison import (
    Change,
    Studies,
    compared,
    deformities,
    judged,
    posture_against,
)
from endplate.images.frame import Bools, Frame, blocks
from endplate.images.measure import MEASURABLE, Measured
from endplate.images.registration import (
    METHOD,
    Difference,
    Registration,
    Rigid,
    Surface,
    registered,
    smoothing,
)
from endplate.images.vertebra import NotMeasurable, Vertebra
from endplate.images.volume import Mask, Points
from endplate.levels import Column, Level
from endplate.posture import Posture

# Where one mask shows bodies alone, both are compared this far in front of the posterior wall
# (mm): clear of the pedicles' roots.
_BEFORE_WALL = 1.5
# So many times more than voxels explain, surfaces differ by chance in how they are judged.
_BY_CHANCE = 1.25
_ROTATIONS = ("motion.flexion", "motion.bending_to_left", "motion.turning_to_left")
_SHIFTS = ("motion.shift_to_left", "motion.shift_to_back", "motion.shift_to_head")
_THIRDS = (("right", "middle", "left"), ("anterior", "middle", "posterior"),
           ("inferior", "middle", "superior"))  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Compared:
    """What came out of comparing two studies.

    Attributes
    ----------
    changes
        Measurements, motions of neighbours and local changes of surfaces, from the head down.
    registrations
        How each vertebra was laid onto itself, by level.
    findings
        What became of each vertebra's heights and grade, without the rule's citations.
    problems
        What could not be compared as a whole, and why.
    """

    changes: tuple[Change, ...]
    registrations: Mapping[str, Registration]
    findings: tuple[Finding, ...]
    problems: tuple[Problem, ...]


def compare(
    earlier: Measured,
    later: Measured,
    earlier_mask: Mask,
    later_mask: Mask,
    *,
    evidence: Evidence | None = None,
) -> Compared:
    """Compare two studies of one person, in this order.

    Parameters
    ----------
    earlier, later
        What was measured in each.
    earlier_mask, later_mask
        The masks that they were measured with.
    """
    rows = evidence or evidence_of.shipped()
    studies = (_Study(earlier, earlier_mask), _Study(later, later_mask))
    found, problems = _registrations(*studies)
    excess = _excess(found)
    changes = [
        *compared(earlier.facts, later.facts, rows, excess=excess),
        *_motions(found, studies, rows),
        *(c for r in found.values() for c in _surfaces(r, studies, rows, excess)),
    ]
    return Compared(
        changes=tuple(changes),
        registrations=found,
        findings=tuple(deformities(earlier.facts, later.facts, rows, excess=excess)),
        problems=tuple(problems),
    )


class _Study:
    """One side of a comparison."""

    def __init__(self, measured: Measured, mask: Mask) -> None:
        self.vertebrae = measured.vertebrae
        self.blocks = blocks(mask)
        self.whole = mask.parts != "body"
        first: Fact | None = next(iter(measured.facts), None)
        self.posture: Posture | None = first.posture if first else None
        self.on: date | None = first.on if first else None
        self.source = first.source if first else mask.volume.name


def _between(earlier: _Study, later: _Study) -> Studies:
    return Studies(earlier.on, later.on, earlier.source, later.source)


def _excess(found: Mapping[str, Registration]) -> float:
    """How many times more the two masks differ than their voxels explain, at least 1.

    It is taken from the middle one of all vertebrae: a fractured vertebra differs in earnest, and
    must not make its own change look like a rough mask. One vertebra alone cannot tell the two.
    """
    if len(found) < 2:
        return 1.0
    middle = median_low(r.excess for r in found.values())
    return middle if middle > _BY_CHANCE else 1.0


# -- registration -----------------------------------------------------------------------------


def _registrations(earlier: _Study, later: _Study) -> tuple[dict[str, Registration], list[Problem]]:
    """Each vertebra that both masks have, those measured in both first.

    One that a field of view cuts has no frame in one study: it begins as its neighbour lies.
    """
    both = [
        n for n in earlier.blocks
        if n in later.blocks and n in Level.__members__ and n in MEASURABLE
    ]  # fmt: skip
    both.sort(key=lambda n: (not _framed(n, earlier, later), Level(n)))
    found: dict[str, Registration] = {}
    problems = []
    for name in both:
        try:
            found[name] = _registration(name, earlier, later, found)
        except NotMeasurable as problem:
            problems.append(
                Problem(
                    problem="change.not_registered",
                    says=f"{name}: was not laid onto itself in the other study: {problem}.",
                    where=later.source,
                    try_=("Check this vertebra's label in both masks.",),
                )
            )
    return dict(sorted(found.items(), key=lambda item: Level(item[0]))), problems


def _framed(name: str, *studies: _Study) -> bool:
    return all(name in s.vertebrae for s in studies)


def _registration(
    name: str, earlier: _Study, later: _Study, found: Mapping[str, Registration]
) -> Registration:
    one, other = earlier.vertebrae.get(name), later.vertebrae.get(name)
    if one is not None and other is not None:
        begin, frame = Rigid.between(one.frame, other.frame), one.frame
    else:
        begin = _as_neighbour(name, found)
        frame = _frame(one, other, begin)
    pair = (earlier.blocks[name], later.blocks[name])
    smooth = smoothing(*pair)
    first, second = (Surface(block, smooth) for block in pair)
    if not (earlier.whole and later.whole):
        # Bodies alone: seen from the study that has the vertebra's frame and wall.
        seen = (first.points, begin.inverse(second.points))
        if one is None:
            seen = (begin(first.points), second.points)
        for surface, points in zip((first, second), seen, strict=True):
            surface.keep(_before_wall(points, one or other))
    return registered(name, first, second, begin, frame, (one, other))


def _carried(frame: Frame, motion: Rigid) -> Frame:
    return Frame(motion(frame.centre), motion.turn @ frame.axes)


def _frame(one: Vertebra | None, other: Vertebra | None, begin: Rigid) -> Frame:
    """The vertebra's frame in the earlier study, from the study that has one."""
    if one is not None:
        return one.frame
    if other is not None:
        return _carried(other.frame, begin.inverse)
    raise NotMeasurable("it was measured in neither study")


def _as_neighbour(name: str, found: Mapping[str, Registration]) -> Rigid:
    order = list(Level)
    at = order.index(Level(name))
    near = min(found, key=lambda n: abs(order.index(Level(n)) - at), default=None)
    if near is None:
        raise NotMeasurable("it was not measured in both studies, nor was a neighbour")
    return found[near].motion


def _before_wall(points: Points, vertebra: Vertebra | None) -> Bools:
    assert vertebra is not None  # else there would be no frame to begin with
    local = vertebra.frame.to_local(points)
    start, slope = vertebra.wall
    return np.asarray(local[:, 1] < start + slope * local[:, 2] - _BEFORE_WALL)


# -- what registration tells --------------------------------------------------------------------


def _motions(
    found: Mapping[str, Registration], studies: tuple[_Study, _Study], evidence: Evidence
) -> Iterator[Change]:
    """How each vertebra has moved over the next one down."""
    names = sorted(found, key=Level)
    column = Column.of([Level(n) for n in names])
    reasons = tuple(posture_against(studies[0].posture, studies[1].posture))
    for upper, lower in pairwise(names):
        if not column.adjacent(Level(upper), Level(lower)):
            continue
        values, errors = motion(found[upper], found[lower], _below(found[upper], studies[0]))
        for what, value, error in zip((*_ROTATIONS, *_SHIFTS), values, errors, strict=True):
            yield judged(
                what, float(value), float(error), _between(*studies), evidence,
                level=f"{upper}-{lower}", method=METHOD, against=reasons,
            )  # fmt: skip


def _below(upper: Registration, study: _Study) -> Points:
    """The middle of a vertebra's inferior endplate in the earlier study, LPS mm."""
    vertebra = study.vertebrae.get(upper.level)
    return upper.frame.centre if vertebra is None else vertebra.inferior.centre


def motion(upper: Registration, lower: Registration, at: Points) -> tuple[Points, Points]:
    """How the upper vertebra has moved as seen from the lower one, along the lower one's axes.

    Parameters
    ----------
    at
        The point of the upper vertebra whose shift is wanted, LPS mm of the earlier study.

    Returns
    -------
    tuple
        Rotation about the axes to the left, back and head (degrees; forwards, to the left, front
        to the left) and shift along them (mm), six numbers; and their standard errors.
    """
    relative = lower.motion.inverse.after(upper.motion)
    axes = lower.frame.axes
    turned = axes.T @ Rotation.from_matrix(relative.turn).as_rotvec(degrees=True)
    moved = axes.T @ (relative(at) - at)
    there = upper.motion(at)
    into = axes.T @ lower.motion.turn.T
    total = upper.at(there) + lower.at(there)
    errors = [np.sqrt(np.diag(into @ total[p, p] @ into.T)) for p in (slice(0, 3), slice(3, 6))]
    return np.concatenate([turned, moved]), np.concatenate([np.degrees(errors[0]), errors[1]])


def _surfaces(
    one: Registration, studies: tuple[_Study, _Study], evidence: Evidence, excess: float
) -> Iterator[Change]:
    """Where the surface of body and arch has changed most."""
    vertebra = studies[0].vertebrae.get(one.level) or studies[1].vertebrae.get(one.level)
    for part, at in one.differences.items():
        details: dict[str, float | str] = {
            **{f"at_{a}": round(float(x), 1) for a, x in zip("xyz", at.at, strict=True)},
            "residual": round(one.residual, 3),
        }
        if part == "body" and vertebra is not None:
            details["place"] = place(at, vertebra)
        yield judged(
            f"vertebra.surface_change.{part}", at.distance, excess * at.error, _between(*studies),
            evidence, level=one.level, method=METHOD, least=excess * at.limit, details=details,
        )  # fmt: skip


def place(at: Difference, vertebra: Vertebra) -> str:
    """Where on a body something lies, in thirds: ``anterior superior right``."""
    ends = (
        (vertebra.right, vertebra.left),
        (vertebra.front, vertebra.back),
        (-vertebra.height / 2, vertebra.height / 2),
    )
    words = []
    for names, x, (low, high) in zip(_THIRDS, at.local, ends, strict=True):
        words.append(names[int(np.clip(3 * (x - low) / (high - low), 0, 2))])
    return " ".join(w for w in (words[1], words[2], words[0]) if w != "middle") or "middle"
