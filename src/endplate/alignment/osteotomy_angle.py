"""How large an osteotomy has to be, by arithmetic: the exact angle, and full balance integrated.

Two methods of their own, which differ a little by what they turn about and what they leave aside;
neither is made to look like the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from endplate.alignment import actions, geometry
from endplate.alignment.actions import Osteotomy
from endplate.alignment.landmarks import SIDES, Floats
from endplate.alignment.model import LOWER, Spine
from endplate.alignment.standing import PELVIC_TILT
from endplate.evidence import Evidence, Row
from endplate.facts import InputProblem
from endplate.levels import Level, Span

_FULL = "alignment.plan.full_balance"


def exact(apex: Floats, c7: Floats, line: float) -> float | None:
    """The angle that brings C7 onto a vertical line by turning it about the apex, degrees.

    Parameters
    ----------
    apex, c7
        x forwards, y up.
    line
        x of the vertical line: that of the back corner of S1, more for an offset wanted there.

    Returns
    -------
    None where C7 cannot come so far forwards or back.
    """
    away = np.asarray(c7, dtype=float) - np.asarray(apex, dtype=float)
    part = (line - float(apex[0])) / float(np.hypot(*away))
    if abs(part) > 1:
        return None
    return math.degrees(math.atan2(away[0], away[1]) - math.asin(part))


def c7_translation(apex: Floats, c7: Floats, line: float) -> float:
    """The angle at the apex between C7 and its place straight behind it on a vertical line."""
    away = np.asarray(c7, dtype=float) - np.asarray(apex, dtype=float)
    return math.degrees(math.atan2(away[0], away[1]) - math.atan2(line - float(apex[0]), away[1]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Arithmetic:
    """What both methods ask for at one vertebra, for a C7 over the back corner of S1.

    Attributes
    ----------
    exact
        By turning the middle of C7 about the hinge; None where it cannot come there.
    c7_translation, femoral_obliquity, pelvic_tilt, full_balance
        The terms of full balance integrated and their sum; None where a landmark is missing.
    missing
        What is not there for a term.
    """

    level: str
    exact: float | None
    c7_translation: float | None
    femoral_obliquity: float | None
    pelvic_tilt: float | None
    full_balance: float | None
    missing: tuple[str, ...] = ()
    says: str = ""
    rests_on: tuple[Row, ...] = ()
    verified: bool = False


def at(level: Level, spine: Spine, evidence: Evidence) -> Arithmetic | None:
    """The arithmetic for an osteotomy of one vertebra; None without its corners, C7 or S1."""
    action = Osteotomy(level=Span(level, level), grade=min(actions.BODIES), angle=0.0)
    points = spine.measured
    if not {"C7 body", "S1 superior endplate"} <= points.keys():
        return None
    try:
        apex = actions.body_hinge(action, spine, evidence)[0]
    except InputProblem:
        return None
    line = float(points["S1 superior endplate"][0, 1, 0])
    plate = spine.plate(Level.C7, LOWER)
    translation = None if plate is None else c7_translation(apex, geometry.middle(plate)[0], line)
    femur, tilt = _femur(spine), _tilt(spine, evidence)
    terms = {"lower endplate of C7": translation, "knee": femur, "femoral heads": tilt}
    missing = tuple(name for name, term in terms.items() if term is None)
    found = [term for term in terms.values() if term is not None]
    total = None if missing else sum(found)
    turned = exact(apex, points["C7 body"][0], line)
    rows = (evidence.row("alignment.plan.exact_angle"), evidence.row(_FULL),
            *evidence.under(f"{_FULL}."))  # fmt: skip
    return Arithmetic(
        level=str(level), exact=turned, c7_translation=translation, femoral_obliquity=femur,
        pelvic_tilt=tilt, full_balance=total, missing=missing,
        says=_says(str(level), turned, terms, total), rests_on=rows,
        verified=all(row.verified for row in rows),
    )  # fmt: skip


def _says(
    level: str, turned: float | None, terms: dict[str, float | None], total: float | None
) -> str:
    first = (
        f"{turned:.1f}° about the front wall of {level} brings C7 over the back of S1"
        if turned is not None
        else f"no angle at {level} brings C7 over the back of S1"
    )
    written = " + ".join("not known" if t is None else f"{t:.1f}°" for t in terms.values())
    total_says = "not known" if total is None else f"{total:.1f}°"
    return (
        f"Exact: {first}. Full balance integrated: C7 translation + femur + tilt = {written} = "
        f"{total_says}. Its apex is taken half way up the front wall, as no pedicle is marked."
    )


def _femur(spine: Spine) -> float | None:
    """The angle of the femur to the vertical; of both, their mean."""
    points = spine.measured
    names = ["knee"] if "knee" in points else [f"{side} knee" for side in SIDES]
    knees = [points[name] for name in names if name in points]
    if "hip axis" not in points or not knees:
        return None
    leans = [float(abs(geometry.lean(knee, points["hip axis"]))[0]) for knee in knees]
    return float(np.mean(leans))


def _tilt(spine: Spine, evidence: Evidence) -> float | None:
    tilt = spine.values(PELVIC_TILT, None)
    if tilt is None:
        return None
    for name in ("tilt_above", "tilt_from"):
        row = evidence.row(f"{_FULL}.{name}")
        if row.met(float(tilt[0])):
            return float(row.table[0]["add"])
    return 0.0
