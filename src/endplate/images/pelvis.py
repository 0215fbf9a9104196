"""The pelvis: femoral heads, the endplate of S1, and the angles between them.

Pelvic incidence is the angle between the sacral endplate's normal and the line from its middle to
the middle of the hip axis, seen along the hip axis itself: how the pelvis lies in the scanner
does not change it. Tilt and slope are against the patient's long axis and hold for the posture of
the scan only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from endplate.facts import Side
from endplate.images.endplate import Endplate, edges, endplate
from endplate.images.frame import CRANIAL, POSTERIOR, Block, Bools, Floats, Frame, Seen
from endplate.images.segment import estimate
from endplate.images.sphere import Sphere, sphere
from endplate.images.vertebra import (
    Estimate,
    NotMeasurable,
    Vertebra,
    outermost,
    plane_through,
    shrunk,
)
from endplate.images.volume import Points
from endplate.planes import turn

METHOD = "endplate.pelvis_from_mask/1"

# A femoral head has a radius in this range; its socket is larger by the cartilage (mm).
_HEAD = (17.0, 31.0)
_SOCKET = (19.0, 35.0)
_AT_LIMIT = 0.1
# Of a sphere that much must be there, or it is no head; below the second part it is doubted.
_LEAST_COVERED, _WELL_COVERED = 0.25, 0.5
# The sacral endplate is looked for this far below the lowest endplate (mm), and within this box.
_BELOW = 45.0
_LOW = np.array([-40.0, -32.0, -25.0])
_HIGH = np.array([40.0, 32.0, 14.0])
# Two vertebrae whose endplates are farther apart than this (mm) have no disc between them: a
# vertebra between them is not labelled, or not measured.
FARTHEST_DISC = 26.0
# What lies farther from the plane than this is no endplate (mm): at first, and at last.
_NEAR = (6.0, 2.5)
_ROUNDS = 8
_STEP = (0.75, 1.5)  # mm
# So near to its middle (mm) the face is the endplate's, and this part of the face is fitted.
_CENTRAL = 8.0
_FOOTPRINT = 0.8
# What ends so near to the image's border (voxels) may have been cut by it.
_BORDER = 1.5
_SETTLED = float(np.cos(np.radians(0.1)))
# The face is looked for level with the endplate above it, and leaning forwards and backwards by so
# many degrees: under a steep lumbosacral angle the back of the sacrum is as near.
_LEANING = (0.0, 25.0, -25.0, 45.0)
# A face of less than this part of the depth and width of the endplate above is none of S1.
_LEAST_FACE = 0.6
# Faces whose sizes fit that endplate as well as this (a part of it) are taken for one and the same.
_AS_ALIKE = 0.25


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Head:
    """One end of the hip axis: a femoral head, or the socket where there is no head."""

    side: Side
    sphere: Sphere
    socket: bool
    doubts: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Pelvis:
    """What is known of a pelvis; nothing in it is measured where it is not there."""

    heads: Mapping[Side, Head]
    sacrum: Endplate | None

    @property
    def axis(self) -> Points | None:
        """The hip axis, from right to left, unit vector; None without both ends."""
        if len(self.heads) < 2:
            return None
        across = self.heads["left"].sphere.centre - self.heads["right"].sphere.centre
        return np.asarray(across / np.linalg.norm(across))


# -- femoral heads ----------------------------------------------------------------------------


def head(side: Side, blocks: Mapping[str, Block]) -> Head:
    """A femoral head from the femur; from the hip bone's socket where the femur has none.

    Raises
    ------
    NotMeasurable
        If neither is labelled, or neither shows enough of a sphere.
    """
    reason = f"neither femur nor hip bone is labelled on the {side}"
    poor: Head | None = None
    for name, radii, socket in (("femur", _HEAD, False), ("hip", _SOCKET, True)):
        block = blocks.get(f"{name}_{side}")
        if block is None:
            continue
        try:
            found = sphere(block, radii, hollow=socket)
        except NotMeasurable as problem:
            reason = str(problem)
            continue
        if found.covered < _LEAST_COVERED:
            reason = "too little of it is round"
            continue
        doubts = []
        if socket:
            doubts.append(
                f"taken from the {side} socket, which is wider than the femoral head by the "
                f"cartilage and need not have its centre"
            )
        if found.covered < _WELL_COVERED and not socket:
            doubts.append(f"little of the {side} femoral head is labelled")
        around = found.centre + found.radius * np.vstack([np.eye(3), -np.eye(3)])
        if not inside(block, around).all():
            doubts.append(f"the field of view cuts the {side} hip")
        if not radii[0] + _AT_LIMIT < found.radius < radii[1] - _AT_LIMIT:
            doubts.append(f"the {side} hip is as small or as large as it was looked for")
        one = Head(side=side, sphere=found, socket=socket, doubts=tuple(doubts))
        if found.covered >= _WELL_COVERED:
            return one
        poor = poor or one  # the stump of a femur is no head where there is a socket
    if poor is not None:
        return poor
    raise NotMeasurable(reason)


# -- the endplate of S1 -----------------------------------------------------------------------


def sacral_endplate(blocks: Mapping[str, Block], above: Vertebra | None) -> Endplate:
    """The endplate of S1, looked for below the lowest vertebra.

    Parameters
    ----------
    above
        The vertebra on it, from which the search starts downwards.

    Raises
    ------
    NotMeasurable
        If there is no sacrum, no vertebra above it, or no endplate on it.
    """
    there = [blocks[n] for n in ("S1", "sacrum") if n in blocks]
    if not there:
        raise NotMeasurable("neither S1 nor the sacrum is labelled")
    if above is None:
        raise NotMeasurable("no vertebra above it was measured, from which to look for it")
    block = Block.joined(*there)
    below = _below(block, above)
    size = np.array([above.width, above.depth])
    seen: list[tuple[float, Frame]] = []
    problems: list[NotMeasurable] = []
    for degrees in _LEANING:
        try:
            face, across, along = _face(block, _leaning(below, degrees))
        except NotMeasurable as problem:
            problems.append(problem)
            continue
        ratios = np.array([np.ptp(across), np.ptp(along)]) / size
        if ratios.min() >= _LEAST_FACE:
            seen.append((float(np.abs(np.log(ratios)).sum()), face))
            if seen[0][0] <= _AS_ALIKE:
                break  # none that follows would be taken
    if not seen:
        alike = f"no face below {above.level} is as large as an endplate"
        raise problems[0] if problems else NotMeasurable(alike)
    best = min(unlike for unlike, _ in seen)
    face = next(face for unlike, face in seen if unlike <= best + _AS_ALIKE)
    found = endplate(block, face, superior=True, waisted=False)
    ends = [(x, y, 0.0) for x in (-0.5, 0.5) for y in (-0.5, 0.5)]
    corners = found.frame.to_world(np.array(ends) * [found.width, found.depth, 0.0])
    if not inside(block, corners).all():
        raise NotMeasurable("the field of view cuts it")
    if np.linalg.norm(found.centre - above.inferior.centre) > FARTHEST_DISC:
        raise NotMeasurable(f"the bone below {above.level} is too far off to be the top of S1")
    return found


_Span = tuple[float, float]


def _face(block: Block, frame: Frame) -> tuple[Frame, _Span, _Span]:
    """The flat face that is found from a first frame on the bone, and its ends across and along."""
    step = float(np.clip(block.volume.voxel_volume ** (1 / 3), *_STEP))
    for near in np.maximum(_NEAR[0] * 0.75 ** np.arange(_ROUNDS), _NEAR[1]):
        plane = _flat(block.seen(frame, _LOW, _HIGH, step), float(near))
        normal = frame.axes @ [-plane[1], -plane[2], 1.0]
        turned = Frame.of(frame.to_world([0, 0, plane[0]]), normal, frame.axes[:, POSTERIOR])
        across, along = edges(block, turned, superior=True, waisted=False)
        settled = turned.axes[:, CRANIAL] @ frame.axes[:, CRANIAL] > _SETTLED
        frame = Frame(turned.to_world([sum(across) / 2, sum(along) / 2, 0.0]), turned.axes)
        if settled and near == _NEAR[1]:
            break
    return frame, across, along


def _leaning(frame: Frame, degrees: float) -> Frame:
    """The frame leaning forwards about its axis to the left."""
    angle = np.radians(degrees)
    cranial = np.cos(angle) * frame.axes[:, CRANIAL] - np.sin(angle) * frame.axes[:, POSTERIOR]
    return Frame.of(frame.centre, cranial, frame.axes[:, POSTERIOR])


def inside(block: Block, points: Points) -> Bools:
    """Whether points (LPS mm) lie in the field of view, and not at its border."""
    index = block.volume.to_index(points)
    last = np.array(block.volume.array.shape) - 1
    return np.asarray(((index >= _BORDER) & (index <= last - _BORDER)).all(axis=-1))


def _below(block: Block, above: Vertebra) -> Frame:
    """A frame on the bone below a vertebra's inferior endplate."""
    down = np.arange(0.0, _BELOW, 0.5)[:, None] * -above.inferior.normal
    bone = block.at(above.inferior.centre + down) >= 0.5
    if not bone.any():
        raise NotMeasurable(f"there is no sacrum below {above.level}")
    place = above.inferior.centre + down[int(np.argmax(bone))]
    return Frame.of(place, above.inferior.normal, above.frame.axes[:, POSTERIOR])


def _flat(seen: Seen, near: float) -> Floats:
    """The plane w = a + b u + c v of the flat face around the middle."""
    top, _, there = outermost(seen.values, seen.w, seen.step)
    flat = there & (np.abs(top) < near)
    u, v = np.meshgrid(seen.u, seen.v, indexing="ij")
    parts, _ = ndimage.label(flat)
    here = np.bincount(parts[flat & (np.hypot(u, v) < _CENTRAL)], minlength=2)
    here[0] = 0
    if not here.any():
        raise NotMeasurable("there is no flat face where the endplate of S1 should be")
    # Opened, so that what hangs on by a bridge falls off; filled, for a mask may have holes.
    thick = max(1, round(2 / seen.step))
    outline = ndimage.binary_opening(parts == int(np.argmax(here)), iterations=thick)
    inner = shrunk(ndimage.binary_fill_holes(outline), _FOOTPRINT)
    return plane_through(seen, top, inner & flat)[0]


# -- angles -----------------------------------------------------------------------------------


def angles(pelvis: Pelvis) -> dict[str, Estimate]:
    """Incidence, tilt, slope, obliquity and rotation in degrees, of what is there.

    Incidence equals tilt plus slope. Tilt is positive where the sacrum lies behind the hip axis,
    slope where its endplate faces forwards, obliquity where the left hip is the higher one,
    rotation where the left hip is farther forward.
    """
    rng = np.random.default_rng(0)
    found: dict[str, Estimate] = {}
    if pelvis.axis is None:
        return found
    ends = {}
    for side, one in pelvis.heads.items():
        count = 192
        shaken = one.sphere.error * rng.standard_normal((count, 3))
        ends[side] = np.concatenate([[one.sphere.centre], one.sphere.centre + shaken])
    left, right = ends["left"], ends["right"]
    axis = (left - right) / np.linalg.norm(left - right, axis=1, keepdims=True)
    found["pelvic_obliquity"] = estimate(
        np.degrees(np.arctan2(axis[:, 2], np.hypot(*axis[:, :2].T)))
    )
    found["pelvic_rotation"] = estimate(np.degrees(np.arctan2(-axis[:, 1], axis[:, 0])))
    if pelvis.sacrum is None:
        return found
    plate = pelvis.sacrum
    normal = np.concatenate([[plate.normal], plate.normals])
    shift = plate.edge_error * rng.standard_normal(len(plate.normals))
    away = np.outer(plate.offsets, plate.normal) + np.outer(shift, plate.frame.axes[:, POSTERIOR])
    centre = np.concatenate([[plate.centre], plate.centre + away])
    up = np.broadcast_to([0.0, 0.0, 1.0], axis.shape)
    to_sacrum = centre - (left + right) / 2
    found["pelvic_incidence"] = estimate(turn(to_sacrum, normal, axis))
    found["pelvic_tilt"] = estimate(turn(to_sacrum, up, axis))
    found["sacral_slope"] = estimate(turn(up, normal, axis))
    return found
