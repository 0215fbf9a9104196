"""The person's own planes, and the angles in them: of a scan and of a pair of radiographs alike.

LPS throughout. Everything works on stacks of vectors, (..., 3), whose first is as measured and
whose others are drawn anew from the errors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float64]


def dot(a: Vectors, b: Vectors) -> Vectors:
    """The products of vectors that belong together."""
    return np.asarray((a * b).sum(axis=-1))


def unit(vectors: Vectors) -> Vectors:
    """The directions of vectors."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))


def square_to(vectors: Vectors, axis: Vectors) -> Vectors:
    """What of vectors is square to a unit axis."""
    return np.asarray(vectors - axis * dot(vectors, axis)[..., None])


def turn(start: Vectors, end: Vectors, axis: Vectors) -> Vectors:
    """From one direction to another about a unit axis, in degrees; about an axis that points to
    the left, positive leans forward.
    """
    a, b = square_to(start, axis), square_to(end, axis)
    return np.asarray(np.degrees(np.arctan2(dot(np.cross(a, b), axis), dot(a, b))))


def lean(normals: Vectors, towards: Vectors, up: Vectors) -> Vectors:
    """How far normals lean from one direction towards another, degrees."""
    return np.asarray(np.degrees(np.arctan2(dot(normals, towards), dot(normals, up))))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Reference:
    """The person's own planes.

    Attributes
    ----------
    left, up
        Unit vectors; `up` runs along the spine and is square to `left`.
    by
        What they were taken from.
    """

    left: Vectors
    up: Vectors
    by: str

    @property
    def posterior(self) -> Vectors:
        """Unit vectors to the back."""
        return np.asarray(np.cross(self.up, self.left))

    @classmethod
    def of(cls, left: Vectors, along: Vectors, by: str) -> Reference:
        """From the lateral axis, a unit vector, and the line of the spine to the head."""
        return cls(left=left, up=unit(square_to(along, left)), by=by)

    def rotation(self, cranial: Vectors, posterior: Vectors) -> Vectors:
        """How far a vertebra is turned about its own axis, degrees: positive where its front
        faces left.
        """
        back = square_to(self.posterior, cranial)
        return np.asarray(
            np.degrees(np.arctan2(dot(np.cross(back, posterior), cranial), dot(back, posterior)))
        )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Bulge:
    """Where a run of bodies lies farthest to the side of the line between its ends.

    Attributes
    ----------
    at
        Which of the bodies that is, as measured.
    offset
        How far to the left of the line, mm.
    plane
        Angle of the plane through both ends and the apex against the sagittal plane, degrees: 0 in
        a spine without a frontal curve, 90 without a sagittal one.
    direction
        Unit vectors from the line to the apex, square to the line: they span that plane with it.
    """

    at: int
    offset: Vectors
    plane: Vectors
    direction: Vectors


def bulge(centres: Sequence[Vectors], planes: Reference) -> Bulge:
    """The apex of a run of bodies, from the head down."""
    line = unit(centres[0] - centres[-1])
    out = [square_to(centre - centres[-1], line) for centre in centres]
    sideways = np.array([dot(o, planes.left) for o in out])
    at = int(np.abs(sideways.reshape(len(out), -1)[:, 0]).argmax())
    forward = np.abs(dot(out[at], planes.posterior))
    plane = np.degrees(np.arctan2(np.abs(sideways[at]), forward))
    return Bulge(at=at, offset=sideways[at], plane=np.asarray(plane), direction=unit(out[at]))
