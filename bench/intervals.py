"""Whether the 95 % intervals hold the truth: ``python -m bench.intervals [PHANTOMS] [MM]``.

Random phantoms (lordosis, incidence, slope, scoliosis to 40 degrees, position, phase of the voxels)
are measured, and each value is held against the phantom's own planes. It prints for each quantity
how many values there were, how far off they were, the error that was stated, and which part of the
intervals held the truth. 500 phantoms take about a quarter of an hour.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from endplate import evidence
from endplate.demo.phantom import Pelvis, Phantom, Scan, Scoliosis, Spine, phantom
from endplate.facts import Fact, Side
from endplate.images.measure import measure

_PLACES = ("anterior", "middle", "posterior")
Truth = dict[tuple[str, str | None], float]


def a_phantom(rng: np.random.Generator, spacing: float) -> Phantom:
    """A random person in a random position, on voxels of random phase."""
    curve = None
    if rng.random() < 0.6:
        side: Side = "left" if rng.random() < 0.5 else "right"
        curve = Scoliosis(cobb=rng.uniform(5, 40), rotation=rng.uniform(0, 15), convex=side)
    spine = Spine(
        first=str(rng.choice(["T10", "T12", "L1"])),
        lordosis=rng.uniform(30, 70),
        scoliosis=curve,
        pelvis=Pelvis(incidence=rng.uniform(35, 70), sacral_slope=rng.uniform(25, 50)),
        turned=Rotation.from_rotvec(rng.normal(0, 0.12, 3)).as_matrix(),
    )
    phase = rng.uniform(0, 1, 3)
    voxels = (spacing, spacing, spacing)
    return phantom(
        spine,
        Scan(spacing=voxels, offset=(phase[0], phase[1], phase[2]), soft_tissue=False, noise=0.0),
    )


def truth(made: Phantom) -> Truth:
    """What the quantities are by the phantom's own planes."""
    bones, pelvis = made.truth.vertebrae, made.truth.pelvis
    assert pelvis is not None
    names = list(bones)
    left = _unit(pelvis.hip_left - pelvis.hip_right)
    up = bones[names[0]].superior.centre - bones[names[-1]].inferior.centre
    up = _unit(up - left * (up @ left))
    front = np.cross(left, up)
    lowest = {**{n: b.inferior for n, b in bones.items()}, "S1": pelvis.sacral_endplate}
    known: Truth = {
        ("pelvis.pelvic_incidence", None): pelvis.incidence,
        ("pelvis.pelvic_tilt", None): pelvis.tilt,
        ("pelvis.sacral_slope", None): pelvis.sacral_slope,
    }
    for what, first in (("lumbar_lordosis", "L1"), ("lower_lumbar_lordosis", "L4")):
        angle = _about(bones[first].superior.normal, lowest["S1"].normal, left)
        known[f"spine.{what}", f"{first}-S1"] = angle
    if "T10" in bones:
        angle = _about(bones["T10"].superior.normal, bones["L2"].inferior.normal, left)
        known["spine.thoracolumbar_kyphosis", "T10-L2"] = -angle

    def leaning(plane: Any) -> float:
        return float(np.degrees(np.arctan2(plane.normal @ left, plane.normal @ up)))

    leans = {n: leaning(p) for n, p in lowest.items()}
    for first, bone in bones.items():
        lean = leaning(bone.superior)
        for last in names[names.index(first) :]:
            known["spine.coronal_cobb_angle", f"{first}-{last}"] = abs(leans[last] - lean)
        known["vertebra.width", first], known["vertebra.depth", first] = bone.width, bone.depth
        for place in _PLACES:
            known[f"vertebra.height.{place}", first] = getattr(bone, place)
        known["vertebra.axial_rotation", first] = _about(-front, bone.axes[:, 1], bone.axes[:, 2])
        known["vertebra.sagittal_angle", first] = _about(
            bone.superior.normal, bone.inferior.normal, bone.axes[:, 0]
        )
    for upper, lower in pairwise(names):
        known |= _between(bones[upper], bones[lower], f"{upper}-{lower}")
    across = bones[names[-1]].axes[:, 0]
    last = f"{names[-1]}-S1"
    known["disc.angle", last] = _about(
        bones[names[-1]].inferior.normal, lowest["S1"].normal, _unit(across + left)
    )
    return known


def _between(above: Any, below: Any, level: str) -> Truth:
    across = _unit(above.axes[:, 0] + below.axes[:, 0])
    along = above.inferior.normal + below.superior.normal
    along = _unit(along - across * (along @ across))
    known: Truth = {
        ("disc.angle", level): _about(above.inferior.normal, below.superior.normal, across)
    }
    for place in _PLACES:
        share = evidence.shipped().row(f"measurement.height.{place}_position").number - 0.5
        ends = [
            b.centre + b.axes @ [0, share * b.depth, sign * getattr(b, place) / 2]
            for b, sign in ((above, -1), (below, 1))
        ]
        middle = (ends[0] + ends[1]) / 2
        top, bottom = (
            (end - middle) @ plane.normal / (along @ plane.normal)
            for end, plane in zip(ends, (above.inferior, below.superior), strict=True)
        )
        known[f"disc.height.{place}", level] = top - bottom
    (upper, _), (lower, back) = (
        _back(bone, plane) for bone, plane in ((above, above.inferior), (below, below.superior))
    )
    known["segment.listhesis", level] = -float((upper - lower) @ back)
    return known


def _back(bone: Any, plane: Any) -> tuple[Any, Any]:
    """The middle of an endplate's posterior edge, and the direction there."""
    along = _unit(bone.axes[:, 1] - plane.normal * (bone.axes[:, 1] @ plane.normal))
    return plane.centre + along * bone.depth / 2, along


def _unit(vector: Any) -> Any:
    return vector / np.linalg.norm(vector)


def _about(start: Any, end: Any, axis: Any) -> float:
    a, b = start - axis * (start @ axis), end - axis * (end @ axis)
    return float(np.degrees(np.arctan2(np.cross(a, b) @ axis, a @ b)))


def _named(fact: Fact) -> str:
    at_sacrum = str(fact.level).endswith("-S1") and fact.what.startswith("disc.")
    return f"{fact.what}{', above S1' if at_sacrum else ''}"


def _off(made: Phantom) -> Iterator[tuple[str, float, float]]:
    """Name of each measured quantity, how far off it is, and its stated standard error."""
    known = truth(made)
    for fact in measure(None, made.mask, quantities={"heights", "geometry"}).facts:
        if fact.what == "spine.coronal_cobb_angle" and fact.details.get("largest") != "yes":
            continue
        if (fact.what, fact.level) in known and fact.interval is not None:
            low, high = fact.interval
            yield _named(fact), fact.number - known[fact.what, fact.level], (high - low) / 3.92


def main(count: int, spacing: float) -> None:
    """Measure so many phantoms and print how well the intervals hold."""
    rng = np.random.default_rng(1)
    found: dict[str, list[tuple[float, float]]] = {}
    for _ in range(count):
        for name, off, error in _off(a_phantom(rng, spacing)):
            found.setdefault(name, []).append((off, error))
    print(f"{count} phantoms, {spacing:g} mm")
    print(f"{'quantity':44} {'values':>6} {'mean':>6} {'SD':>5} {'stated':>6} {'worst':>6} within")
    for name, pairs in sorted(found.items()):
        off, error = np.array(pairs).T
        within = np.mean(np.abs(off) <= 1.96 * error)
        print(
            f"{name:44} {len(off):6} {off.mean():6.2f} {off.std():5.2f} {error.mean():6.2f} "
            f"{np.abs(off).max():6.2f} {100 * within:5.1f} %",
            flush=True,
        )


if __name__ == "__main__":
    given = sys.argv[1:]
    main(int(given[0]) if given else 500, float(given[1]) if len(given) > 1 else 3.0)
