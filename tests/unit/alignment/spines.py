"""Spines made of landmarks: built from the sacrum up, each vertebra on the one below.

In the person's own frame: x forwards (or to the patient's left), y up, mm. All sizes are arrays of
one length, so that many spines are made at once.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from endplate.levels import Level

LEVELS = [v for v in Level if Level.C2 <= v <= Level.L5 and v != Level.T13]
PLATES = ("superior_endplate", "inferior_endplate")


def direction(degrees):
    """The unit vector that leans so far forwards from the vertical."""
    angle = np.radians(degrees)
    return np.stack([np.sin(angle), np.cos(angle)], axis=-1)


def endplate(middle, inclination, depth):
    """Its front and back end: facing forwards, the front is the lower one."""
    along = direction(90.0 + np.asarray(inclination))
    half = np.asarray(depth)[..., None] / 2
    return middle + along * half, middle - along * half


def lateral(rng: np.random.Generator, count: int = 1) -> dict[str, np.ndarray]:
    """Random lateral spines with every landmark: name → (count, 2)."""
    slope, tilt = rng.normal(40, 9, count), rng.normal(14, 9, count)
    sacrum = rng.normal(0, 300, (count, 2))
    found = {}

    def put(name, ends):
        found[f"{name}.anterior"], found[f"{name}.posterior"] = ends

    put("S1 superior_endplate", endplate(sacrum, slope, rng.uniform(28, 40, count)))
    hips = sacrum - direction(-tilt) * rng.uniform(80, 130, count)[:, None]
    apart = rng.normal(0, 8, (count, 2))
    found["left femoral_head.centre"] = hips + apart
    found["right femoral_head.centre"] = hips - apart
    lordosis, kyphosis = rng.normal(55, 10, count), rng.normal(40, 10, count)
    top = slope - lordosis
    leans = {"L": (slope, top), "T": (top, top + kyphosis), "C": (top + kyphosis, 10.0)}
    counts = {"L": 5, "T": 12, "C": 7}
    at = sacrum
    for level in reversed(LEVELS):
        region, number = level[0], int(level[1:])
        low, high = leans[region]
        part = (counts[region] - number + 0.5) / counts[region]
        lean = low + (high - low) * part + rng.normal(0, 1.5, count)
        depth = rng.uniform(0.9, 1.1, count) * {"L": 34, "T": 28, "C": 17}[region]
        height = {"L": 27, "T": 20, "C": 14}[region] * rng.uniform(0.9, 1.1, count)
        at = at + direction(lean) * (0.25 * height)[:, None]
        wedge = rng.normal(0, 2, count)
        lower, upper = at, at + direction(lean) * height[:, None]
        put(f"{level} superior_endplate", endplate(upper, lean - wedge, depth))
        put(f"{level} inferior_endplate", endplate(lower, lean + wedge, depth))
        at = upper
    found["dens.tip"] = at + direction(rng.normal(0, 5, count)) * 15
    found["external_auditory_meatus"] = found["dens.tip"] + np.array([2.0, 20.0])
    found["chin"] = at + np.array([60.0, 0.0])
    found["brow"] = found["chin"] + direction(rng.normal(0, 8, count)) * 120
    flexion = rng.normal(10, 8, count)
    found["knee"] = hips + direction(180 - flexion / 2) * 420
    found["ankle"] = found["knee"] + direction(180 + flexion / 2) * 400
    return found


def frontal(rng: np.random.Generator, count: int = 1) -> dict[str, np.ndarray]:
    """Random frontal spines: the line bends to either side, its endplates square to it."""
    sacrum = rng.normal(0, 300, (count, 2))
    found = {}

    def put(name, ends):
        found[f"{name}.left"], found[f"{name}.right"] = ends

    put("S1 superior_endplate", endplate(sacrum, rng.normal(0, 4, count), np.full(count, 50.0)))
    for side, x in (("left", 90.0), ("right", -90.0)):
        off = np.array([x, -80.0]) + rng.normal(0, 6, (count, 2))
        found[f"{side} femoral_head.centre"] = sacrum + off
    size, phase = rng.normal(0, 20, count), rng.uniform(0, 2 * np.pi, count)
    at = sacrum
    for n, level in enumerate(reversed(LEVELS)):
        lean = size * np.sin(phase + n / 3)
        at = at + direction(lean) * 5
        lower, at = at, at + direction(lean) * 20
        put(f"{level} superior_endplate", endplate(at, lean, np.full(count, 35.0)))
        put(f"{level} inferior_endplate", endplate(lower, lean, np.full(count, 35.0)))
    return found


def one(points: Mapping[str, np.ndarray], n: int = 0) -> dict[str, tuple[float, float]]:
    """One of many spines, as a radiograph's points that face to the right."""
    return {name: (float(at[n, 0]), float(at[n, 1])) for name, at in points.items()}
