"""A whole plan: from the landmarks of one lateral radiograph, T4 to pelvis, to ranked plans.

No peer: the programs that plan alignment are not open. Every plan is measured again by the
landmarks that it gives, and the benchmark fails if a number differs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Any

from bench.timing import Line, timed

HERE = "bench.alignment_plan"
# Of a flat back, from the sacrum up: inclination of each vertebra's lower and upper endplate.
_SLOPE, _STEP, _DEPTH = 30.0, 3.0, 34.0
_LEVELS = ("L5", "L4", "L3", "L2", "L1", *(f"T{n}" for n in range(12, 3, -1)))


def _film() -> Any:
    """A made-up flat back over a retroverted pelvis, mm."""
    from endplate.alignment.landmarks import Radiograph
    from endplate.posture import Posture

    points: dict[str, tuple[float, float]] = {}

    def put(name: str, x: float, y: float, lean: float) -> None:
        across, down = (_DEPTH / 2 * f(math.radians(lean)) for f in (math.cos, math.sin))
        points[f"{name}.anterior"] = (x + across, y - down)
        points[f"{name}.posterior"] = (x - across, y + down)

    x, y, lean = 0.0, 0.0, _SLOPE
    put("S1 superior_endplate", x, y, lean)
    for level in _LEVELS:
        for plate, height in (("inferior_endplate", 8.0), ("superior_endplate", 26.0)):
            lean += -_STEP / 2 if level.startswith("L") else _STEP / 2
            x += height * math.sin(math.radians(lean))
            y += height * math.cos(math.radians(lean))
            put(f"{level} {plate}", x, y, lean)
    for side, away in (("left", 4.0), ("right", -4.0)):
        points[f"{side} femoral_head.centre"] = (45.0 + away, -85.0)
    return Radiograph(
        name="made up", view="lateral", points=points, posture=Posture.STANDING, calibrated=True
    )


def plan() -> None:
    """Search and evaluate, and measure every plan's landmarks again."""
    from endplate import evidence
    from endplate.alignment import compensation, plan_search, plan_targets, planning
    from endplate.alignment.geometry import measure
    from endplate.alignment.model import Spine

    grounds, film = evidence.shipped(), _film()
    facts, _ = measure(film, grounds)
    person = planning.patient(facts, None, date(2026, 1, 31))
    targets, _ = plan_targets.chosen(["t4_l1_hip_axis"], facts, person, film.name, grounds)
    case = planning.Case(
        lateral=Spine.of(film), frontal=None, how=compensation.read("current"), targets=targets,
        age=None, on=date(2026, 1, 31), evidence=grounds,
    )  # fmt: skip
    limits = replace(plan_search.usual(grounds), grade=3)
    found, _ = plan_search.plans(case, limits)
    if not found or not all(p.reached for p in found):
        raise AssertionError("the targets are not reached")
    for one in found:
        after = planning.settled([p.action for p in one.actions], case.lateral, case)
        again, _ = measure(after.radiograph(one.name), grounds)
        if [f.value for f in again] != [f.value for f in one.predicted]:
            raise AssertionError("a plan measured again has other numbers")


def lines() -> Iterator[Line]:
    yield Line("plans from T4 to the pelvis", timed(f"{HERE}:plan"), aim="at most 2 s")
