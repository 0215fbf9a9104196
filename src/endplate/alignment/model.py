"""A person's spine as rigid pieces on one chain, that can be cut, turned and moved.

What is moved are the landmarks themselves, so that every parameter of a changed spine comes from
the same formulas (`endplate.alignment.geometry`) as those of the measured one. The chain begins
with pelvis and sacrum, which stand still, and goes up to the head; each vertebra has a lower and an
upper part, which move together unless its body is cut. A vertebra that was not marked is no piece:
its neighbours are, and nothing can be done at it. x forwards (frontal: to the patient's left), y
up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np

from endplate.alignment.geometry import PARAMETERS, derived
from endplate.alignment.landmarks import (
    BODY,
    ENDS,
    PLATES,
    Floats,
    Radiograph,
)  # fmt: skip
from endplate.levels import Level

UPPER, LOWER = PLATES
Hinge = Literal["posterior", "middle", "anterior"]
_HEAD = ("dens.tip", "external_auditory_meatus", "chin", "brow")
_SIDED = ("left ", "right ")
_STILL = ("knee", "ankle", "femoral_head", "hip_axis")
_UPWARDS = tuple(reversed([v for v in Level if v < Level.S1]))
# Places on the chain: the pelvis is 0, the lower part of the n-th vertebra above it 2 n - 1, its
# upper part 2 n; a marked middle of a body lies between the two.
_RANK = {level: n for n, level in enumerate(_UPWARDS, 1)} | {Level.S1: 0}
_TOP = 2 * len(_UPWARDS) + 1
# The marked middle of a body belongs to both of its parts.
_BETWEEN = 1 / 2


@dataclass(frozen=True, eq=False)
class Spine:
    """The landmarks of one radiograph, or of many variants of it at once.

    Attributes
    ----------
    film
        The radiograph as it was marked.
    names, place
        The landmarks, and where on the chain each belongs.
    at
        (variants, landmarks, 2); x forwards, or to the patient's left, y up.
    """

    film: Radiograph
    names: tuple[str, ...]
    place: Floats
    at: Floats

    @classmethod
    def of(cls, film: Radiograph) -> Spine:
        """The spine as it was marked.

        Raises
        ------
        InputProblem
            If the landmarks contradict one another, or the facing is not known.
        """
        points = film.oriented()
        return cls(
            film,
            tuple(points),
            np.array([_place(name) for name in points]),
            np.array([list(points.values())], dtype=float),
        )

    def times(self, count: int) -> Spine:
        """So many variants of it, as yet all alike."""
        return replace(self, at=np.repeat(self.at[:1], count, axis=0))

    def one(self, n: int) -> Spine:
        """One of its variants."""
        return replace(self, at=self.at[n : n + 1])

    @property
    def points(self) -> dict[str, Floats]:
        """Name → (variants, 2)."""
        return {name: self.at[:, n] for n, name in enumerate(self.names)}

    @cached_property
    def measured(self) -> dict[str, Floats]:
        """The points with what is derived of them: endplates, bodies, hip axis."""
        return derived(self.points, self.film.view)

    def plate(self, level: Level, plate: str) -> Floats | None:
        """The two ends of an endplate (variants, end, 2), if both are marked."""
        ends = [f"{level} {plate}.{end}" for end in ENDS[self.film.view]]
        if not set(ends) <= set(self.names):
            return None
        return np.stack([self.at[:, self.names.index(end)] for end in ends], axis=1)

    def has_body(self, level: Level) -> bool:
        """Whether both endplates are marked with both ends."""
        return all(self.plate(level, plate) is not None for plate in PLATES)

    def has_disc(self, upper: Level, lower: Level) -> bool:
        """Whether the two endplates of a disc are marked with both ends."""
        return self.plate(upper, LOWER) is not None and self.plate(lower, UPPER) is not None

    # -- movements ----------------------------------------------------------------------------

    def turned(self, cut: float, about: Floats, degrees: Floats | float) -> Spine:
        """All above a cut of the chain turned backwards about a point (lordosis is positive)."""
        angle = np.radians(np.broadcast_to(np.asarray(degrees, dtype=float), len(self.at)))
        moves = self.place > cut
        at = self.at.copy()
        at[:, moves] = _rotated(self.at[:, moves], about, angle)
        self._middle_of_a_cut_body(at, cut, about, angle)
        return replace(self, at=at)

    def shifted(self, cut: float, by: Floats) -> Spine:
        """All above a cut of the chain moved by a vector (variants, 2)."""
        at = self.at.copy()
        at[:, self.place > cut] += by[:, None]
        return replace(self, at=at)

    def without(self, *names: str) -> Spine:
        """It without some of its landmarks, such as those of a vertebra that is taken out."""
        keep = [n for n, name in enumerate(self.names) if name not in names]
        return replace(
            self,
            names=tuple(self.names[n] for n in keep),
            place=self.place[keep],
            at=self.at[:, keep],
        )

    def tilted(self, degrees: Floats | float) -> Spine:
        """Pelvis and all above turned about the hip axis, so that pelvic tilt grows by so much.

        Legs and hip axis stand still: incidence and the angles within the spine stay as they are.
        """
        hips = self.measured["hip axis"]
        return self.turned(-1, hips, degrees)

    def _middle_of_a_cut_body(self, at: Floats, cut: float, about: Floats, angle: Floats) -> None:
        """Where a body is cut, its marked middle goes with the middle of its corners."""
        for n in np.flatnonzero(self.place == cut):
            name = self.names[n]
            if not name.endswith(BODY):
                continue
            level = Level(name.split()[0])
            half = angle / 2
            at[:, n] = _rotated(self.at[:, [n]], about, half)[:, 0]
            if self.has_body(level):
                middle = _corners(self, level)
                away = self.at[:, n] - middle
                moved = _corners(replace(self, at=at), level)
                at[:, n] = moved + _rotated(away[:, None], np.zeros_like(away), half)[:, 0]

    # -- what is measured of it ---------------------------------------------------------------

    def values(self, what: str, level: str | None) -> Floats | None:
        """A parameter of every variant, by the formula that measures it; None without its points.

        Whether it may be measured on this radiograph (posture, scale) is not asked here.
        """
        parameter = _PARAMETERS[self.film.view].get((what, level))
        points = self.measured
        if parameter is None or not set(parameter.needs) <= points.keys():
            return None
        return np.asarray(parameter.of(*(points[n] for n in parameter.needs)))

    def radiograph(self, name: str) -> Radiograph:
        """Its landmarks as a radiograph's, in the picture that they were marked on."""
        sign = 1.0 if self._faces_right() else -1.0
        points = {
            n: (sign * float(x), float(y)) for n, (x, y) in zip(self.names, self.at[0], strict=True)
        }
        return replace(
            self.film,
            name=name,
            points=points,
            on=None,
            errors={n: e for n, e in self.film.errors.items() if n in points},
            towards="right" if sign > 0 else "left",
        )

    def _faces_right(self) -> bool:
        """Whether x grows in the picture where it grows here."""
        oriented = self.film.oriented()
        return all(x == oriented[name][0] for name, (x, _) in self.film.points.items())


_PARAMETERS = {view: {(p.what, p.level): p for p in every} for view, every in PARAMETERS.items()}


def below(level: Level) -> float:
    """The cut of the chain through the disc below a vertebra."""
    return 2 * _RANK[level] - 1 - _BETWEEN


def through(level: Level) -> float:
    """The cut of the chain through the body of a vertebra."""
    return 2 * _RANK[level] - _BETWEEN


def above(level: Level) -> float:
    """The cut of the chain through the disc above a vertebra."""
    return 2 * _RANK[level] + _BETWEEN


def across(run: Floats) -> Floats:
    """The unit vector square to a line from back to front, towards the head."""
    along = run[:, 0] - run[:, 1]
    along = along / np.linalg.norm(along, axis=-1, keepdims=True)
    return np.stack([-along[:, 1], along[:, 0]], axis=-1)


def _place(name: str) -> float:
    bare = name
    for side in _SIDED:
        bare = bare.removeprefix(side)
    if bare in _HEAD:
        return _TOP
    first, _, part = name.partition(" ")
    if first not in Level.__members__:
        return -2 if bare.startswith(_STILL) else _TOP
    rank = _RANK[Level(first)]
    if rank == 0:
        return 0
    if part == BODY:
        return 2 * rank - _BETWEEN
    return 2 * rank if part.startswith(UPPER) else 2 * rank - 1


def _rotated(points: Floats, about: Floats, radians: Floats) -> Floats:
    """Points (variants, n, 2) turned from front to back over the top."""
    cos, sin = np.cos(radians)[:, None], np.sin(radians)[:, None]
    x, y = np.moveaxis(points - about[:, None], -1, 0)
    return np.asarray(about[:, None] + np.stack([x * cos - y * sin, x * sin + y * cos], axis=-1))


def _corners(spine: Spine, level: Level) -> Floats:
    """The middle of a body's four corners."""
    both = [spine.plate(level, plate) for plate in PLATES]
    ends = [end for plate in both if plate is not None for end in plate.swapaxes(0, 1)]
    return np.asarray(np.mean(ends, axis=0))


def names_of(spine: Spine, level: Level) -> tuple[str, ...]:
    """The landmarks of one vertebra."""
    return tuple(n for n in spine.names if n.split()[0] == level)


def marked(names: Iterable[str]) -> set[Level]:
    """The levels of which anything is marked."""
    firsts = {name.split()[0] for name in names}
    return {Level(first) for first in firsts if first in Level.__members__}
