"""Spheres in the surface of a mask: a femoral head in a femur, its socket in a hip bone.

A point of the surface, together with the direction it faces, votes for every centre that it could
belong to; most votes are where a large part of one sphere is. The sphere is then fitted to the
surface near it, and what does not lie on it (neck, rim, cement, a cup's edge) loses its weight.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from endplate.images.frame import Block, Bools, Floats, Frame, directions
from endplate.images.vertebra import NotMeasurable
from endplate.images.volume import Points

# The search for a first centre looks on a grid of this step (mm), smoothed over so many steps.
_GRID = 2.0
_SMOOTH = 1.0
# Votes within this distance of one another are taken together (mm).
_VOTE = 4.0
# A point belongs to the sphere where it is within this of it at first, and at last (mm).
_NEAR = (5.0, 1.5)
_ROUNDS = 12
# Parts of the sphere's surface are told apart by so many directions.
_DIRECTIONS = 256
# Neighbouring points of a surface of voxels err together: by this factor is the centre known less
# well than from points that err on their own.
_CORRELATED = 5.0


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Sphere:
    """A sphere found in a surface.

    Attributes
    ----------
    centre
        LPS mm.
    radius
        In mm.
    residual
        Root mean square distance of its surface points from it, mm.
    covered
        Which part of the sphere there is surface for, 0 to 1.
    error
        Standard error of the centre along each axis, mm.
    """

    centre: Points
    radius: float
    residual: float
    covered: float
    error: float


def sphere(block: Block, radii: tuple[float, float], *, hollow: bool = False) -> Sphere:
    """The sphere of which most of the surface is there.

    Parameters
    ----------
    radii
        The smallest and the largest radius that it may have, mm.
    hollow
        Whether it is a socket, which the bone surrounds, and not a head.

    Raises
    ------
    NotMeasurable
        If the label has no surface.
    """
    centre = _voted(block, radii, hollow)
    points, weights = _surface(block, centre, radii[1] + _NEAR[0], hollow)
    if len(points) < 16:
        raise NotMeasurable("its label is too small for a sphere")
    radius = float(np.mean(radii))
    for tolerance in np.geomspace(*_NEAR, _ROUNDS):
        centre, radius = _refined(points, weights, centre, radius, float(tolerance), radii)
    away = np.linalg.norm(points - centre, axis=1) - radius
    on = np.abs(away) <= _NEAR[1]
    if np.count_nonzero(on) < 16:
        raise NotMeasurable("no part of its surface is round")
    residual = float(np.sqrt(np.average(away[on] ** 2, weights=weights[on])))
    covered = _directions_covered((points[on] - centre) / radius, block, radius)
    return Sphere(
        centre=centre,
        radius=radius,
        residual=residual,
        covered=float(covered.mean()),
        error=_CORRELATED * residual * float(np.sqrt(3 / np.count_nonzero(on))),
    )


def _voted(block: Block, radii: tuple[float, float], hollow: bool) -> Points:
    """A first centre: where most of the lines square to the surface meet."""
    corners = block.to_world(_corners(np.array(block.inside.shape) - 1.0))
    low, high = corners.min(axis=0), corners.max(axis=0)
    seen = block.seen(Frame(low, np.eye(3)), np.zeros(3), high - low, _GRID)
    smooth = ndimage.gaussian_filter(seen.values, _SMOOTH)
    slope = np.stack(np.gradient(smooth), axis=-1)
    size = np.linalg.norm(slope, axis=-1)
    surface = size > 0.5 * size.max()
    if not surface.any():
        raise NotMeasurable("its label has no surface")
    at = np.argwhere(surface)
    # The slope points into the bone: towards the middle of a head, away from that of a socket.
    inwards = slope[surface] / size[surface][:, None] * (-1 if hollow else 1)
    steps = np.arange(radii[0], radii[1] + 1, 2.0) / _GRID
    pad = int(radii[1] / _GRID) + 2
    votes = np.zeros(np.array(smooth.shape) + 2 * pad, np.float32)
    for step in steps:
        np.add.at(votes, tuple(np.rint(at + inwards * step).astype(int).T + pad), 1 / step**2)
    votes = ndimage.gaussian_filter(votes, _VOTE / 2 / _GRID)
    best = np.unravel_index(int(np.argmax(votes)), votes.shape)
    return np.asarray(low + (np.array(best) - pad) * _GRID)


def _corners(last: Points) -> Points:
    return np.array([[i, j, k] for i in (0, last[0]) for j in (0, last[1]) for k in (0, last[2])])


def _surface(block: Block, centre: Points, reach: float, hollow: bool) -> tuple[Points, Floats]:
    """Points of the surface around a centre, facing away from it, and the area of each.

    A point is the middle of the face between two voxels; along each array axis such faces show
    the part of the surface that they are square to, so that their areas add up to the whole.
    """
    volume = block.volume
    middle = volume.to_index(centre) - block.start
    wide = np.ceil(reach / volume.spacing) + 1
    low = np.clip(np.floor(middle - wide).astype(int), 0, None)
    high = np.clip(np.ceil(middle + wide).astype(int), 0, None)
    part = block.inside[tuple(slice(a, b) for a, b in zip(low, high, strict=True))].view(np.int8)
    found, areas = [], []
    for axis, (index, outwards) in enumerate(_faces(part)):
        world = block.to_world(index + low)
        # Along an axis only the faces are used whose surface is more or less square to it.
        away = world - centre
        along = volume.directions[:, axis]
        cosine = (away @ along) / np.maximum(np.linalg.norm(away, axis=1), 1e-9)
        facing = cosine * outwards * (-1 if hollow else 1)
        keep = (facing > 0.3) & (np.linalg.norm(away, axis=1) <= reach)
        found.append(world[keep])
        area = volume.voxel_volume / volume.spacing[axis]
        areas.append(area * facing[keep])
    return np.concatenate(found), np.concatenate(areas)


def _faces(part: npt.NDArray[np.int8]) -> Iterator[tuple[Points, Floats]]:
    """Between which voxels the mask begins or ends along each axis, and towards where."""
    for axis in range(3):
        change = np.diff(part, axis=axis)
        at = np.nonzero(change)
        index = np.stack(at, axis=1).astype(float)
        index[:, axis] += 0.5
        yield index, -change[at].astype(float)


def _refined(
    points: Points,
    weights: Floats,
    centre: Points,
    radius: float,
    tolerance: float,
    radii: tuple[float, float],
) -> tuple[Points, float]:
    """One Gauss-Newton step; points farther off than the tolerance do not count."""
    away = points - centre
    length = np.linalg.norm(away, axis=1)
    rest = length - radius
    near = np.abs(rest) < tolerance
    if np.count_nonzero(near) < 16:
        radius = float(np.clip(np.median(length), *radii))
        return centre, radius
    weight = weights[near] * (1 - (rest[near] / tolerance) ** 2) ** 2
    design = np.concatenate([away[near] / length[near, None], np.ones((near.sum(), 1))], axis=1)
    normal = design.T * weight
    move = np.linalg.lstsq(normal @ design, normal @ rest[near], rcond=None)[0]
    return centre + move[:3], float(np.clip(radius + move[3], *radii))


def _directions_covered(unit: Points, block: Block, radius: float) -> Bools:
    """Which of the directions from the centre there is surface in."""
    gap = max(float(block.volume.spacing.max()) / radius, 2.2 / np.sqrt(_DIRECTIONS))
    best = np.array([float((unit @ d).max()) for d in directions(_DIRECTIONS)])
    return np.asarray(best >= np.cos(min(gap, 0.5)))
