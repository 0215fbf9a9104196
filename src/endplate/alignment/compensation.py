"""What the parts that are not operated on do afterwards: pelvis and unfused thoracic spine.

Nobody knows it of one person beforehand, so that it is an explicit assumption with its evidence:
pelvic tilt kept, set to a value, or predicted; the unfused thoracic spine kept rigid, or changed by
what was found in groups. The pelvis turns about the hip axis with all that stands on it: incidence
and the angles within the spine stay, tilt, slope and what is held against the plumb line follow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from endplate.alignment import actions as acts
from endplate.alignment import geometry, model
from endplate.alignment.actions import Action, Osteotomy
from endplate.alignment.landmarks import Floats
from endplate.alignment.model import LOWER, UPPER, Spine
from endplate.alignment.standing import LOWER_LORDOSIS, PELVIC_TILT
from endplate.evidence import Evidence, Row
from endplate.facts import InputProblem
from endplate.levels import USUAL as USUAL_COLUMN
from endplate.levels import Level, Span

Model = Literal["current", "set", "regression", "c2_over_hips"]
Thorax = Literal["rigid", "reciprocal"]
THORAX: tuple[str, ...] = ("rigid", "reciprocal")
_NAME = "alignment.plan.compensation"
_C2 = "C2 body"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compensation:
    """How pelvis and unfused thoracic spine are taken to follow.

    Attributes
    ----------
    model
        ``current``: pelvic tilt stays; ``set``: it becomes `pelvic_tilt`; ``regression``: it falls
        with the lordosis L4-S1 that is gained; ``c2_over_hips``: C2 comes to stand over the hips.
    """

    model: Model = "current"
    pelvic_tilt: float | None = None
    thorax: Thorax = "rigid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumed:
    """One assumption about pelvic tilt, what it makes of it, and what it rests on.

    Attributes
    ----------
    between, covers
        Between which values the tilt lies by the same source, and what that range is; None where
        the source gives none.
    """

    model: str
    says: str
    pelvic_tilt: float | None = None
    between: tuple[float, float] | None = None
    covers: str = ""
    rests_on: tuple[Row, ...] = ()
    verified: bool = False


def read(text: str, thorax: str = "rigid") -> Compensation:
    """The compensation that a text names: ``current``, ``pt=20``, ``regression``, ``c2``.

    Raises
    ------
    InputProblem
        If it names none.
    """
    name, equals, value = text.strip().lower().partition("=")
    found: Model | None = None
    tilt = None
    if name == "pt" and equals:
        try:
            tilt = float(value)
        except ValueError:
            tilt = math.nan
        if math.isfinite(tilt) and not geometry.outside(PELVIC_TILT, tilt):
            found = "set"
    elif not equals:
        names: dict[str, Model] = {
            "current": "current", "regression": "regression", "c2": "c2_over_hips",
            "c2_over_hips": "c2_over_hips",
        }  # fmt: skip
        found = names.get(name)
    if found is None or thorax not in THORAX:
        raise InputProblem(
            f"compensation: is not understood. It needs current, pt=VALUE in degrees, "
            f"regression or c2, and for the thorax {' or '.join(THORAX)}; got another. "
            f"Correct it and try again."
        )
    return Compensation(
        model=found, pelvic_tilt=tilt, thorax="reciprocal" if thorax == "reciprocal" else "rigid"
    )


def followed(changed: Spine, before: Spine, how: Compensation, evidence: Evidence) -> Spine:
    """A changed spine once the pelvis has followed; frontal ones stay as they are.

    Raises
    ------
    InputProblem
        If a landmark that the assumption rests on is not there.
    """
    if changed.film.view == "frontal" or how.model == "current":
        return changed
    now = _tilt(changed)
    return changed.tilted(_wanted(changed, before, how, evidence, now) - now)


def _wanted(
    changed: Spine, before: Spine, how: Compensation, evidence: Evidence, now: Floats
) -> Floats:
    if how.model == "set":
        return np.full(len(now), how.pelvic_tilt)
    if how.model == "c2_over_hips":
        points = changed.measured
        if _C2 not in points:
            raise _missing("C2 over the hips", "the middle of C2, or its four corners", changed)
        lean = geometry.lean(points["hip axis"], points[_C2])
        return now + lean - evidence.row(f"{_NAME}.c2.tilt").number
    return now - evidence.row(f"{_NAME}.distal.tilt").number * _gained(changed, before)


def _gained(changed: Spine, before: Spine) -> Floats:
    after, was = (s.values(LOWER_LORDOSIS, "L4-S1") for s in (changed, before))
    if after is None or was is None:
        raise _missing("the regression", "the upper endplates of L4 and S1", changed)
    return after - was


def _tilt(spine: Spine) -> Floats:
    tilt = spine.values(PELVIC_TILT, None)
    if tilt is None:
        raise _missing("pelvic tilt", "both femoral heads and the endplate of S1", spine)
    return tilt


def _missing(what: str, needed: str, spine: Spine) -> InputProblem:
    return InputProblem(
        f"{spine.film.name}: {what} cannot be followed. It needs {needed}; they are not marked (or "
        f"the plan takes them away). Mark them, or choose --compensation current."
    )


def assumed(changed: Spine, before: Spine, how: Compensation, evidence: Evidence) -> Assumed:
    """What the assumption says of one changed spine, before the pelvis has followed it."""
    rows = _rows(how, evidence)
    try:
        now = _tilt(changed)
        tilt = float((now if how.model == "current" else _wanted(
            changed, before, how, evidence, now
        ))[0])  # fmt: skip
    except InputProblem:
        return Assumed(
            model=how.model, says="Cannot be given: a landmark that it needs is not there.",
            rests_on=rows, verified=_verified(rows),
        )  # fmt: skip
    between, covers = None, ""
    if how.model == "regression":
        least = evidence.row(f"{_NAME}.distal.tilt_conclusion").number
        other = float((now - least * _gained(changed, before))[0])
        between, covers = (
            (min(tilt, other), max(tilt, other)),
            "the two slopes that its paper gives",
        )
    if how.model == "c2_over_hips":
        off = evidence.row(f"{_NAME}.c2.most").number
        between, covers = (tilt - off, tilt + off), "80 % of its people"
    return Assumed(
        model=how.model, says=_says(how, tilt), pelvic_tilt=tilt, between=between, covers=covers,
        rests_on=rows, verified=_verified(rows),
    )  # fmt: skip


def _verified(rows: Sequence[Row]) -> bool:
    return all(row.verified or row.mark == "choice" for row in rows)


def _rows(how: Compensation, evidence: Evidence) -> tuple[Row, ...]:
    groups = {"regression": ("distal", "proximal", "junction"), "c2_over_hips": ("c2",)}
    names = groups.get(how.model, (how.model,))
    return tuple(row for name in names for row in evidence.under(f"{_NAME}.{name}."))


def _says(how: Compensation, tilt: float) -> str:
    if how.model == "current":
        return f"Pelvic tilt is taken to stay at {tilt:.1f}°."
    if how.model == "set":
        return f"Pelvic tilt is taken to become {tilt:.1f}°, as was asked for."
    if how.model == "regression":
        return (
            f"Pelvic tilt is predicted as {tilt:.1f}°, from the lordosis L4-S1 that is gained; "
            f"what is gained higher up is taken to leave it as it is, as no number was read for it."
        )
    return f"Pelvic tilt is predicted as {tilt:.1f}°, so that C2 stands over the hips."


# -- the unfused thoracic spine ---------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Reciprocal:
    """What was seen in the unfused thoracic spine of people who had such an operation.

    Attributes
    ----------
    degrees
        Mean growth of thoracic kyphosis; None where nothing was read for such a plan.
    levels
        The discs that it is spread over evenly.
    """

    says: str
    degrees: float | None = None
    levels: tuple[str, ...] = ()
    rests_on: tuple[Row, ...] = ()


def reciprocal(given: Sequence[Action], before: Spine, evidence: Evidence) -> Reciprocal:
    """What may happen to the unfused thoracic spine after these actions."""
    name = "alignment.plan.reciprocal"
    lumbar = any(
        isinstance(a, Osteotomy) and a.grade not in acts.FACETS and a.level.first.region == "L"
        for a in given
    )
    top = acts.top_of(given)
    if not lumbar or top is None:
        return Reciprocal(
            says="No number was read for what the unfused thoracic spine does after such a plan; "
            "it is kept as it is. After lumbar three-column osteotomies its kyphosis grew.",
            rests_on=evidence.under(f"{name}.unfused"),
        )
    highest = evidence.row(f"{name}.unfused").table[0]["below"]
    short = top > Level(highest)
    row = evidence.row(f"{name}.unfused" if short else f"{name}.extended")
    discs = _free_discs(before, top)
    if not discs:
        return Reciprocal(
            says="No thoracic disc above the plan is marked: nothing can follow there.",
            rests_on=(row,),
        )
    return Reciprocal(
        says=f"In people with a lumbar three-column osteotomy and "
        f"a fusion that {'ended below' if short else 'went up to or above'} {highest}, "
        f"thoracic kyphosis grew by {row.number:g}° on average; in some not at all.",
        degrees=row.number,
        levels=tuple(str(d) for d in discs),
        rests_on=(row, *((evidence.row(f"{name}.unchanged"),) if short else ())),
    )


def _free_discs(spine: Spine, top: Level) -> list[Span]:
    discs = USUAL_COLUMN.segments(Span(Level.T1, Level.T12))
    return [d for d in discs if d.last <= top and spine.has_disc(d.first, d.last)]


def bent(spine: Spine, change: Reciprocal) -> Spine:
    """The spine with that growth of kyphosis, spread evenly over the free thoracic discs."""
    if change.degrees is None or spine.film.view == "frontal":
        return spine
    for text in change.levels:
        first, last = (Level(v) for v in text.split("-"))
        upper, lower = spine.plate(first, LOWER), spine.plate(last, UPPER)
        if upper is None or lower is None:
            continue
        about = geometry.middle((upper + lower) / 2)
        spine = spine.turned(model.below(first), about, -change.degrees / len(change.levels))
    return spine
