"""Cobb angles: the largest angle between any two endplates, and the frontal curves beside it.

On a radiograph and in a mask alike, once it is known how far each endplate leans.

Each is known by the draws of its endplates' inclinations, of which the first is as marked: the
largest of many angles is likely one that came out too large, and its error has that in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from endplate.facts import Side

Floats = npt.NDArray[np.float64]

# An angle between endplates spans so many vertebrae at least, or it is a disc's or a body's.
LEAST_SPAN = 3
# The largest of many pairs is never zero: a curve has a side beyond so many standard errors.
_CERTAIN = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One frontal curve.

    Attributes
    ----------
    angle, error
        Cobb angle and its standard error, degrees; no error where that of the points is unknown.
    side
        That of its convexity, where it is certain.
    """

    first: str
    last: str
    angle: float
    error: float | None
    side: Side | None
    largest: bool


def curves(levels: Sequence[str], upper: Floats, lower: Floats, least: float) -> list[Curve]:
    """The largest curve, and those beside it that bend the other way from its end vertebrae.

    Parameters
    ----------
    levels
        From the head down.
    upper, lower
        Inclination of each level's endplates, positive to the left; (levels, draws), nan where an
        endplate is not marked.
    least
        A further curve that is smaller is none, degrees.
    """
    bend = lower[None] - upper[:, None]  # positive where the spine bulges to the left
    found = largest(np.where(bend[..., :1] < 0, -bend, bend), 0, len(levels))
    if found is None:
        return []
    i, j = found[:2]
    sign = 1.0 if bend[i, j, 0] > 0 else -1.0
    made = [_curve(levels, found, sign, is_largest=True)]
    for low, high in ((0, i + 1), (j, len(levels))):
        further = largest(-sign * bend, low, high)
        if further is not None and further[2] >= least:
            made.append(_curve(levels, further, -sign, is_largest=False))
    return sorted(made, key=lambda curve: levels.index(curve.first))


Found = tuple[int, int, float, float | None]


def largest(bend: Floats, low: int, high: int) -> Found | None:
    """The pair of levels between two places with the largest angle, that angle and its error.

    Parameters
    ----------
    bend
        The angle from each level's upper endplate to each level's lower one; (levels, levels,
        draws), the first as measured; nan where an endplate is not known.
    """
    there = np.arange(len(bend))
    apart = there[None] - there[:, None] >= LEAST_SPAN - 1
    inside = (there >= low) & (there < high)
    pairs = np.argwhere(apart & inside[None] & inside[:, None] & ~np.isnan(bend).any(axis=2))
    if not len(pairs):
        return None
    sizes = bend[pairs[:, 0], pairs[:, 1]]
    best = sizes.argmax(axis=0)
    angle = float(sizes[best[0], 0])
    if not angle > 0:
        return None
    error = None
    if sizes.shape[1] > 1:
        # By how much the largest of a draw differs from what that pair was before it was shaken.
        off = sizes.max(axis=0)[1:] - sizes[best[1:], 0]
        error = float(np.sqrt(np.square(off).mean()))
    i, j = pairs[best[0]]
    return int(i), int(j), angle, error


def _curve(levels: Sequence[str], found: Found, sign: float, *, is_largest: bool) -> Curve:
    i, j, angle, error = found
    return Curve(
        first=levels[i], last=levels[j], angle=angle, error=error,
        side=None if error is None else side(angle, error, sign), largest=is_largest,
    )  # fmt: skip


def side(angle: float, error: float, sign: float) -> Side | None:
    """The side of a curve's convexity, where it is certain.

    Leaning to the right above and to the left below (positive), the spine bulges to the left.
    """
    if angle <= _CERTAIN * error:
        return None
    return "left" if sign > 0 else "right"
