"""Landmarks of one radiograph: which there are, which way the person faces, what contradicts.

A point is named as `endplate.images.landmarks` names it, with its level or side before it:
``L1 superior_endplate.anterior``, ``left femoral_head.centre``. On a lateral view endplates end
``anterior`` and ``posterior``, on a frontal one ``left`` and ``right`` (the patient's).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from endplate.alignment.fan import Fan
from endplate.facts import InputProblem
from endplate.levels import Level
from endplate.posture import Posture

Floats = npt.NDArray[np.float64]
View = Literal["lateral", "frontal"]
VIEWS: tuple[str, ...] = get_args(View)
Towards = Literal["left", "right"]

# The two ends of an endplate in each view, that to which x grows first.
ENDS: Mapping[str, tuple[str, str]] = {
    "lateral": ("anterior", "posterior"),
    "frontal": ("left", "right"),
}
PLATES = ("superior_endplate", "inferior_endplate")
BODY = "vertebral_body.centre"
HEAD = "femoral_head.centre"
HIPS = "hip_axis.centre"
SECOND = " 2"  # a second femoral head of which nobody said whose side it is
SIDES = ("left", "right")
PEDICLE = "pedicle.centre"
_LEVELS = tuple(v for v in Level if v >= Level.C2)
_LATERAL = ("dens.tip", "external_auditory_meatus", "chin", "brow", "knee", "ankle")
_SIDED = ("external_auditory_meatus", "knee", "ankle")

# Neighbouring endplates are taken for exchanged ones beyond 120 degrees (this is its cosine): no
# healthy or deformed neighbours lie so, and exchanged ones do even where they lean 60 degrees.
_TURNED = -0.5
# The side that endplates face is certain if their ends lie so far to it in the mean, as parts of
# their length.
_CERTAIN = 0.5


def names(view: str) -> frozenset[str]:
    """Every point that is understood on a view."""
    ends = ENDS[view]
    found = {f"{level} {BODY}" for level in _LEVELS if level != Level.S1}
    for level in _LEVELS:
        plates = PLATES[:1] if level == Level.S1 else PLATES
        found |= {f"{level} {plate}.{end}" for plate in plates for end in ends}
    found |= {HEAD, HEAD + SECOND, HIPS} | {f"{side} {HEAD}" for side in SIDES}
    found |= {f"{level} {side} {PEDICLE}" for level in _LEVELS[:-1] for side in SIDES}
    if view == "lateral":
        found |= {*_LATERAL, *(f"{side} {name}" for side in SIDES for name in _SIDED)}
        found |= {f"{level} {PEDICLE}" for level in _LEVELS[:-1]}  # the middle of both
    return frozenset(found)


_SPACES = re.compile(r"\s+")


def canonical(label: str) -> str:
    """A point's name in its one written form: the level in capitals, all else in small letters."""
    first, _, rest = _SPACES.sub(" ", label.strip()).partition(" ")
    if rest and first.upper() in Level.__members__:
        return f"{first.upper()} {rest.lower()}"
    return f"{first} {rest}".strip().lower()


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Radiograph:
    """The points that were marked on one radiograph.

    Attributes
    ----------
    name
        What the user knows it by: its file's name.
    view, posture, on
        How, and on which day, it was taken.
    points
        Name → x to the right of the picture, y up. In mm of the patient's own plane where the
        radiograph is calibrated, else in pixels.
    calibrated
        Whether lengths can be known.
    errors
        Name → standard error of either coordinate, in the unit of the points; what is not in it
        has the one that all have by default.
    towards
        To which side of the picture the person faces (lateral), or on which side the patient's
        left is (frontal), where that was said; None: it is found from the endplates.
    fan
        How a slot scanner took it, where it did; the points are then at the isocentre's scale.
    """

    name: str
    view: View
    points: Mapping[str, tuple[float, float]]
    posture: Posture = Posture.UNKNOWN
    on: date | None = None
    calibrated: bool = False
    errors: Mapping[str, float] = field(default_factory=dict)
    towards: Towards | None = None
    fan: Fan | None = None

    def __post_init__(self) -> None:
        odd = sorted(set(self.points) - names(self.view))
        if odd:
            raise ValueError(f"{odd[0]}: is no landmark of a {self.view} radiograph.")
        if not all(math.isfinite(c) for point in self.points.values() for c in point):
            raise ValueError("Radiograph: a point is not finite.")

    def oriented(self) -> dict[str, Floats]:
        """The points with x to the front (lateral) or to the patient's left (frontal), y up.

        Raises
        ------
        InputProblem
            If it cannot be known which way that is, or if points contradict one another.
        """
        self._each_has_its_own_place()
        sign = 1.0 if self._towards() == "right" else -1.0
        found = {name: np.array([sign * x, y]) for name, (x, y) in self.points.items()}
        for says in _contradictions(found, self.view):
            raise self.contradiction(says)
        return found

    def contradiction(self, says: str, then: str = "Mark these points again.") -> InputProblem:
        """What is told of points that cannot all be right."""
        return InputProblem(
            f"{self.name}: cannot be measured. Landmarks that agree with one another are needed; "
            f"{says} {then}"
        )

    def _each_has_its_own_place(self) -> None:
        """Refuse two landmarks at one place, unless they are both sides of one structure."""
        seen: dict[tuple[float, float], str] = {}
        for name, at in self.points.items():
            other = seen.setdefault(at, name)
            if _structure(other) != _structure(name):
                raise self.contradiction(f"{other} and {name} lie at the same place.")

    def _towards(self) -> Towards:
        first, second = ENDS[self.view]
        runs = [(name, (a - b) / np.linalg.norm(a - b)) for name, a, b in self._ends()]
        turned = [float(a @ b) < _TURNED for (_, a), (_, b) in pairwise(runs)]
        if any(turned):
            raise self.contradiction(
                f"the {first} and {second} points of {_exchanged([n for n, _ in runs], turned)} "
                f"lie the other way round than those beside it."
            )
        mean = float(np.mean([v[0] for _, v in runs])) if runs else 0.0
        seen: Towards | None = None
        if abs(mean) >= _CERTAIN:
            seen = "right" if mean > 0 else "left"
        if self.towards and seen and self.towards != seen:
            raise self.contradiction(
                f"the {first} end is said to be on the {self.towards} of the picture, and the "
                f"{first} points of the endplates lie on the {seen}.",
                "Correct whichever is wrong.",
            )
        found = self.towards or seen
        if found is None:
            key = "anterior" if self.view == "lateral" else "patient_left"
            raise InputProblem(
                f"{self.name}: cannot be measured. On which side of the picture {key} lies must "
                f"be known; the endplates that were marked do not tell it. Give it as "
                f"--{key.replace('_', '-')} left or right, or as {key} in the file."
            )
        return found

    def _ends(self) -> Iterator[tuple[str, Floats, Floats]]:
        """Whatever has two named ends, from the head down: endplates, and heads of known sides."""
        first, second = ENDS[self.view]
        pairs = [
            (f"{level} {plate}", f"{level} {plate}.{first}", f"{level} {plate}.{second}")
            for level in _LEVELS
            for plate in PLATES
        ]
        if self.view == "frontal":
            pairs.append(("the femoral heads", f"left {HEAD}", f"right {HEAD}"))
        for name, a, b in pairs:
            if a in self.points and b in self.points:
                yield name, np.array(self.points[a]), np.array(self.points[b])


def _structure(name: str) -> str:
    """What a point belongs to, whichever its side; femoral heads and their middle are one."""
    bare = name.removesuffix(SECOND).removeprefix("left ").removeprefix("right ")
    bare = bare.replace(" left ", " ").replace(" right ", " ")
    return HEAD if bare == HIPS else bare


def _exchanged(runs: list[str], turned: list[bool]) -> str:
    """Which of a run of endplates lies the other way round than its neighbours."""
    beside = [turned[max(0, n - 1) : n + 1] for n in range(len(runs))]
    # One with two neighbours tells more than the first or the last.
    for n in sorted(range(len(runs)), key=lambda n: -len(beside[n])):
        if len(turned) > 1 and all(beside[n]):
            return runs[n]
    n = turned.index(True)
    return f"{runs[n]} or {runs[n + 1]}"


def _contradictions(points: Mapping[str, Floats], view: str) -> Iterator[str]:
    """What cannot be so within and between bodies, sentence by sentence."""
    bodies: list[tuple[Level, Floats, Floats]] = []  # level, middle, direction to the head
    for level in _LEVELS[:-1]:  # a vertebra that slipped off S1 lies below its endplate
        plates = {
            plate: there
            for plate in PLATES
            if len(there := _plate(points, level, plate, view)) == len(ENDS[view])
        }
        across = sum((first - second for first, second in plates.values()), np.zeros(2))
        up = np.array([-across[1], across[0]]) if plates else np.array([0.0, 1.0])
        if len(plates) == len(PLATES):
            for end, upper, lower in zip(ENDS[view], *plates.values(), strict=True):
                if (upper - lower) @ up <= 0:
                    yield (
                        f"of {level} the {end} point of the superior endplate does not lie above "
                        f"that of the inferior one."
                    )
        middle = points.get(f"{level} {BODY}")
        if middle is None and plates:
            middle = np.mean([point for plate in plates.values() for point in plate], axis=0)
        if middle is not None:
            bodies.append((level, middle, up))
    for (upper_level, above, _), (lower_level, below, up) in pairwise(bodies):
        if (above - below) @ up <= 0:
            yield f"{upper_level} does not lie above {lower_level}."


def _plate(points: Mapping[str, Floats], level: str, plate: str, view: str) -> list[Floats]:
    """The points of an endplate that were marked."""
    every = (points.get(f"{level} {plate}.{end}") for end in ENDS[view])
    return [point for point in every if point is not None]
