"""Phantom spines and plain shapes for the tests of measuring."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.spatial.transform import Rotation

from endplate import evidence
from endplate.demo.phantom import Fracture, Phantom, Scan, Scoliosis, Spine, phantom
from endplate.facts import Fact
from endplate.images.frame import blocks
from endplate.images.vertebra import Vertebra, measured, starts
from endplate.images.volume import Acquisition, Mask, Volume

EVIDENCE = evidence.shipped()
LEVELS = ("T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5")
SPACINGS = (
    (0.7, 0.7, 0.7), (1.0, 1.0, 1.0), (1.5, 1.5, 1.5), (2.0, 2.0, 2.0), (3.0, 3.0, 3.0),
    (0.7, 0.7, 3.0),
)  # fmt: skip


def turned(rng: np.random.Generator, degrees: float) -> np.ndarray:
    """A rotation about a random axis by about so many degrees."""
    return Rotation.from_rotvec(rng.normal(size=3) * np.radians(degrees)).as_matrix()


def a_spine(rng: np.random.Generator, *, count: int = 3, fractures: bool = True) -> Spine:
    """Neighbouring vertebrae of random shape, density, curve and posture."""
    first = int(rng.integers(0, len(LEVELS) - count + 1))
    run = LEVELS[first : first + count]
    bodies = {
        n: {
            "wedge": rng.uniform(-6, 8), "dip": rng.uniform(0, 2.5),
            "waist": rng.uniform(0, 0.12), "cortex": rng.uniform(0.5, 1.2),
        }
        for n in run
    }  # fmt: skip
    broken = {}
    if fractures and rng.random() < 0.6:
        kind = str(rng.choice(["wedge", "biconcave", "crush"]))
        broken = {run[1]: Fracture(kind=kind, loss=rng.uniform(15, 45))}
    curve = None
    if rng.random() < 0.5:
        curve = Scoliosis(
            upper=run[0], lower=run[-1], cobb=rng.uniform(0, 20), rotation=rng.uniform(-10, 10)
        )
    return Spine(
        first=run[0], last=run[-1], pelvis=None, bodies=bodies, fractures=broken, scoliosis=curve,
        hounsfield={n: rng.uniform(40, 250) for n in run}, turned=turned(rng, 8),
    )  # fmt: skip


def a_scan(rng: np.random.Generator, spacing: Sequence[float], *, tilt: float = 20, **more) -> Scan:
    """An acquisition at a random angle, with axes in any order and direction."""
    directions = turned(rng, tilt) * rng.choice([-1.0, 1.0], 3)
    order = rng.permutation(3) if rng.random() < 0.3 else np.arange(3)
    return Scan(
        spacing=tuple(spacing), directions=directions[:, order], offset=tuple(rng.random(3)),
        **{"noise": 20.0, **more},
    )  # fmt: skip


def a_phantom(rng: np.random.Generator, spacing: Sequence[float], **more) -> Phantom:
    return phantom(
        a_spine(rng, **more), a_scan(rng, spacing), seed=int(rng.integers(1_000_000_000))
    )


def vertebrae(mask: Mask, levels: Sequence[str] | None = None) -> dict[str, Vertebra]:
    """The vertebrae of a mask, without the rest of a measurement."""
    there = blocks(mask)
    names = list(levels or [n for n in mask.structures.values() if n in LEVELS or n == "L6"])
    begin = starts(there, names, whole=mask.parts == "whole")
    return {n: measured(n, there[n], begin[n], EVIDENCE) for n in names}


def angle(a: np.ndarray, b: np.ndarray) -> float:
    """Degrees between two unit vectors."""
    return float(np.degrees(np.arccos(np.clip(a @ b, -1, 1))))


def solid(
    inside: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray],
    *,
    spacing: float = 1.0,
    half: float = 45.0,
    axes: np.ndarray | None = None,
    level: str = "L3",
) -> Mask:
    """A body given by a formula of x, y, z (mm, LPS), its middle near the origin."""
    directions = np.eye(3) if axes is None else axes
    count = int(2 * half / spacing)
    affine = np.eye(4)
    affine[:3, :3] = directions * spacing
    affine[:3, 3] = -directions @ np.full(3, half) + 0.3
    index = np.indices((count,) * 3).reshape(3, -1)
    points = affine[:3, :3] @ index + affine[:3, 3:]
    array = inside(*points).reshape((count,) * 3).astype(np.uint8)
    return Mask(Volume(array, affine, name="solid"), {1: level}, "body")


def a_ct(mask: Mask, value: float = 120.0, **more) -> Volume:
    """A CT on the mask's grid: `value` inside every label, soft tissue around."""
    array = np.where(mask.volume.array > 0, value, 40.0).astype(np.float32)
    taken = Acquisition(**{"modality": "CT", "tube_voltage": 120.0, "contrast": False, **more})
    return Volume(array, mask.volume.affine, taken, "ct")


def one(facts: Sequence[Fact], what: str, level: str | None = None) -> Fact:
    """The only fact about a concept at a level."""
    (found,) = (f for f in facts if f.what == what and f.level == level)
    return found
