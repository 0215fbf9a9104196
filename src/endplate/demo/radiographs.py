"""The demonstration person's standing radiographs: the landmarks of a lateral and a frontal one.

Her pelvis and her vertebrae, one of them deformed, are those of her CT. The curves are her own
standing ones: a flat lumbar spine, a pelvis that leans back to hold her up, and a lumbar curve.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date

import numpy as np
import numpy.typing as npt

from endplate.demo.phantom import SHAPES, Pelvis
from endplate.levels import USUAL, Level

TAKEN = date(2026, 5, 11)
# Degrees, standing: the slope of the sacrum; what each part of the spine adds up to, lordosis
# positive, from the upper endplate of its first vertebra to that of the one below its last.
SLOPE = 28.0
PARTS: Mapping[tuple[Level, Level], float] = {
    (Level.L4, Level.L5): 23.0,
    (Level.L1, Level.L3): 12.0,
    (Level.T1, Level.T12): -41.0,
    (Level.C2, Level.C7): 30.0,
}
DEFORMED, LOSS = Level.T12, 0.22  # by which part its front is lower than its back
COBB, CURVE = 17.0, (Level.T12, Level.L4)  # convex to the left
_SPACING = 0.16  # mm from pixel to pixel in the patient's own plane
_ERROR = 0.8  # standard error of her readers' points, mm
_HIPS = (1400.0, 5200.0)  # where in the picture their middle is, px

Vector = npt.NDArray[np.float64]


def files() -> dict[str, bytes]:
    """The two files of landmarks by name; the same on every call."""
    return {
        "standing-lateral.csv": _written("lateral", lateral()),
        "standing-frontal.csv": _written("frontal", frontal()),
    }


def _written(view: str, points: Mapping[str, Vector]) -> bytes:
    lines = [
        "# SYNTHETIC, the demonstration case. This person does not exist.",
        f"# view: {view}",
        "# posture: standing",
        f"# on: {TAKEN}",
        f"# pixel_spacing: {_SPACING}",
        "# magnification: 1",
        f"# landmark_error: {_ERROR} mm",
        "point,x,y",
        *(
            f"{name},{_HIPS[0] + x / _SPACING:.1f},{_HIPS[1] - y / _SPACING:.1f}"
            for name, (x, y) in points.items()
        ),
    ]
    return "\n".join([*lines, ""]).encode()


def lateral() -> dict[str, Vector]:
    """Landmarks from the side: x to the front, y up, mm from the middle of the hips."""
    pelvis = Pelvis()
    sacrum = pelvis.hip_to_sacrum * _up(SLOPE - pelvis.incidence)
    found = _endplate("S1 superior", sacrum, SLOPE, SHAPES["L5"][1], ("anterior", "posterior"))
    at, lean = sacrum, SLOPE
    for level, disc_angle, wedge in _joints():
        _, depth, height, _, disc, _ = SHAPES[level]
        for name, gap, angle in (("inferior", disc, disc_angle), ("superior", height, wedge)):
            at = at + gap * _up(lean - angle / 2)
            lean -= angle
            found |= _endplate(f"{level} {name}", at, lean, depth, ("anterior", "posterior"))
    chin = at + np.array([74.0, -8.0])
    found |= {
        "left femoral_head.centre": np.array([4.0, 2.0]),
        "right femoral_head.centre": np.array([-4.0, -2.0]),
        "dens.tip": at + 16 * _up(lean),
        "external_auditory_meatus": at + np.array([6.0, 34.0]),
        "chin": chin,
        "brow": chin + 118 * _up(3),
    }
    return found


def _joints() -> Iterator[tuple[Level, float, float]]:
    """Each vertebra from L5 up, the angle of the disc below it, and its own; lordosis positive."""
    added: dict[Level, float] = {}
    wedges = {v: float(SHAPES[v][3]) for v in USUAL.levels if v in SHAPES}
    _, depth, height, *_ = SHAPES[DEFORMED]
    wedges[DEFORMED] = -float(np.degrees(np.arctan(LOSS * height / depth)))
    for (first, last), angle in PARTS.items():
        run = [v for v in wedges if first <= v <= last]
        known = sum(wedges[v] + SHAPES[v][5] for v in run)
        added |= dict.fromkeys(run, (angle - known) / len(run))
    for level in sorted(added, reverse=True):
        yield level, SHAPES[level][5] + added[level], wedges[level]


def frontal() -> dict[str, Vector]:
    """Landmarks from the front: x to the patient's left, y up, mm from the middle of the hips."""
    pelvis = Pelvis()
    at = np.array([0.0, pelvis.hip_to_sacrum * np.cos(np.radians(SLOPE - pelvis.incidence))])
    found = _endplate("S1 superior", at, 0.0, SHAPES["L5"][0], ("left", "right"))
    half = pelvis.hip_distance / 2
    found |= {"left femoral_head.centre": np.array([half, 0.0]),
              "right femoral_head.centre": np.array([-half, 0.0])}  # fmt: skip
    below = 0.0
    first, last = CURVE
    run = sorted(v for v in Level if first <= v <= last and v in USUAL.levels)
    for level in sorted((v for v in USUAL.levels if v in SHAPES), reverse=True):
        width, _, height, _, disc, _ = SHAPES[level]
        here = 0.0
        if level in run:  # leaning to the left at the lower end and to the right at the upper one
            here = COBB / 2 * (1 - 2 * (run[::-1].index(level)) / (len(run) - 1))
        at = at + disc * _up((below + here) / 2)
        found |= _endplate(f"{level} inferior", at, here, width, ("left", "right"))
        at = at + height * _up(here)
        found |= _endplate(f"{level} superior", at, here, width, ("left", "right"))
        below = here
    return found


def _up(lean: float) -> Vector:
    """The unit vector that leans so many degrees to the front (to the left) from upright."""
    return np.array([np.sin(np.radians(lean)), np.cos(np.radians(lean))])


def _endplate(
    name: str, middle: Vector, lean: float, size: float, ends: tuple[str, str]
) -> dict[str, Vector]:
    half = _up(lean + 90) * size / 2
    return {
        f"{name}_endplate.{end}": middle + s * half for end, s in zip(ends, (1, -1), strict=True)
    }
