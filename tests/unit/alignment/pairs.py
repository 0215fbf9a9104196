"""Phantom spines seen by a slot scanner: their landmarks on both pictures, and their truth."""

from __future__ import annotations

import numpy as np

from endplate.alignment.fan import Fan, Pair
from endplate.alignment.landmarks import Radiograph
from endplate.demo.phantom import Pelvis, Scan, Scoliosis, Spine, phantom
from endplate.posture import Posture

PIXEL = 0.18  # mm in the isocentre's plane
# A coarse grid and bones alone: of a phantom only its truth is asked for.
COARSE = Scan(spacing=(40.0, 40.0, 40.0), soft_tissue=False)
# Where pedicles lie in a body's frame, in parts of its width, depth and height.
PEDICLE = np.array([0.34, 0.68, 0.16])
ISOCENTRE = {"lateral": 210.0, "frontal": 190.0}


def about(degrees, axis=2):
    """The rotation about the vertical, or about another axis."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turned = np.eye(3)
    i, j = [n for n in range(3) if n != axis]
    turned[[i, i, j, j], [i, j, i, j]] = c, -s, s, c
    return turned


def truth(rng, **more):
    """The truth of a random spine with a curve, C7 to the hips, that stands somewhat askew."""
    levels = [("T5", "T12"), ("T10", "L3"), ("T11", "L4")][rng.integers(3)]
    spine = {
        "first": "C7",
        "scoliosis": Scoliosis(
            upper=levels[0], lower=levels[1], cobb=rng.uniform(10, 60),
            rotation=rng.uniform(0, 25), convex=("left", "right")[rng.integers(2)],
        ),
        "pelvis": Pelvis(incidence=rng.uniform(38, 70), sacral_slope=rng.uniform(28, 48)),
        "turned": about(rng.normal(0, 6)) @ about(rng.normal(0, 2), axis=1),
    }  # fmt: skip
    return phantom(Spine(**{**spine, **more}), COARSE).truth


def points(found, move=(0.0, 0.0, 0.0), pedicle=PEDICLE):
    """Every landmark of a truth in space, by its name."""
    there = {}

    def face(name, centre, normal, left, half_depth, half_width):
        back = np.cross(normal, left)
        for end, at in (("anterior", -half_depth * back), ("posterior", half_depth * back),
                        ("left", half_width * left), ("right", -half_width * left)):  # fmt: skip
            there[f"{name}.{end}"] = centre + at

    for level, v in found.vertebrae.items():
        left = v.axes[:, 0]
        for plate, plane in (("superior", v.superior), ("inferior", v.inferior)):
            face(f"{level} {plate}_endplate", plane.centre, plane.normal, left,
                 v.depth / 2, v.width / 2)  # fmt: skip
        height = np.linalg.norm(v.superior.centre - v.inferior.centre)
        for side, sign in (("left", 1), ("right", -1)):
            at = pedicle * [sign * v.width, v.depth, height]
            there[f"{level} {side} pedicle.centre"] = v.centre + v.axes @ at
    hips = found.pelvis
    axis = hips.hip_left - hips.hip_right
    plate = hips.sacral_endplate
    face(
        "S1 superior_endplate", plate.centre, plate.normal, axis / np.linalg.norm(axis), 17.0, 25.0
    )
    there["left femoral_head.centre"] = hips.hip_left
    there["right femoral_head.centre"] = hips.hip_right
    return {name: at + np.array(move) for name, at in there.items()}


def pair(sources=("right", "anterior")):
    """Both fans, with places about the isocentre."""
    return Pair(
        lateral=Fan(source_to_isocentre=918.0, source=sources[0], isocentre=0.0),
        frontal=Fan(source_to_isocentre=987.0, source=sources[1], isocentre=0.0),
    )


def on(view, name, pedicles="both"):
    """Whether a landmark is marked on a view."""
    if "pedicle" in name:
        return view == "frontal" or pedicles == "both"
    ends = {"lateral": ("left", "right"), "frontal": ("anterior", "posterior")}[view]
    return name.rpartition(".")[2] not in ends


def films(
    there,
    fans=None,
    rng=None,
    error=PIXEL,
    pedicles="both",
    mirrored=False,
    move=(0.0, 0.0, 0.0),
    **more,
):
    """The two pictures of points in space, marked with some error.

    Parameters
    ----------
    pedicles
        ``both`` views, their ``middle`` on the lateral one, the ``frontal`` one alone, or ``none``.
    mirrored
        Whether the pictures show the person's back to the right and left to the left.
    """
    fans = fans or pair()
    names = list(there)
    seen = dict(
        zip(
            ("lateral", "frontal"),
            fans.projected(np.array([there[n] for n in names]) + np.array(move)),
            strict=True,
        )
    )
    made = []
    for view, places in seen.items():
        marked = {
            n: at for n, at in zip(names, places, strict=True)
            if on(view, n, pedicles) and not (pedicles == "none" and "pedicle" in n)
        }  # fmt: skip
        if view == "lateral" and pedicles == "middle":
            for level in {n.split()[0] for n in names if "pedicle" in n}:
                at = [places[names.index(f"{level} {s} pedicle.centre")] for s in ("left", "right")]
                marked[f"{level} pedicle.centre"] = np.mean(at, axis=0)
        if rng is not None:
            marked = {n: at + error * rng.standard_normal(2) for n, at in marked.items()}
        sign = -1 if mirrored else 1
        at = ISOCENTRE[view]
        fan = getattr(fans, view)
        made.append(
            Radiograph(
                name=f"{view}.json", view=view, posture=Posture.STANDING, calibrated=True,
                points={n: (float(sign * x + at), float(y)) for n, (x, y) in marked.items()},
                errors=dict.fromkeys(marked, error),
                fan=Fan(source_to_isocentre=fan.source_to_isocentre, source=fan.source,
                        isocentre=at),
                **more,
            )
        )  # fmt: skip
    return made
