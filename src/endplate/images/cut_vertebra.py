"""What a vertebra still shows that the border of the image cuts: the endplate of its whole end.

Its heights, its frame and its density need the whole body and are not measured. The endplate on
the other side of a disc is measured where all of it, and the bone next to it, lies inside the
image; where to look, and whether what is found can be that endplate, its neighbour tells.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from endplate.images.endplate import Endplate, endplate
from endplate.images.frame import CRANIAL, POSTERIOR, Block, Bools, Frame
from endplate.images.vertebra import NotMeasurable, outermost, plane_through

# The endplate is first seen within this half width of the middle of the one that faces it, and no
# farther from it than a disc is high (mm); so much of that patch must show bone.
_PATCH = 10.0
_FARTHEST = 26.0
_NEAREST = 3.0
_SHOWN = 0.5
# The image must show the bone to this depth under all of the endplate (mm): a little deeper than
# its outline is looked for. The outline is taken so much wider, as it ends where the image does.
_UNDER = 4.5
_AROUND = 2.0
# Endplates that face each other are of about one size, and do not enclose a larger angle.
_SIZES = (0.75, 1.33)
_FACING = float(np.cos(np.radians(35.0)))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class CutVertebra:
    """A vertebra of which one endplate could be measured.

    Attributes
    ----------
    level
        Its name.
    plate
        The endplate; its frame is all that is known of how the vertebra stands, and which way it
        faces is that of its neighbour.
    superior
        Whether it is the superior one.
    """

    level: str
    plate: Endplate
    superior: bool

    @property
    def shown(self) -> str:
        """Which endplate it is, in words."""
        return f"{'superior' if self.superior else 'inferior'} endplate"


def cut_vertebra(level: str, block: Block, facing: Endplate, *, superior: bool) -> CutVertebra:
    """The endplate of a cut vertebra that faces a measured one.

    Parameters
    ----------
    block
        The vertebra, as far as the image shows it.
    facing
        The endplate on the other side of the disc.
    superior
        Whether the superior endplate is asked for: its neighbour is the vertebra above.

    Raises
    ------
    NotMeasurable
        If the border of the image comes too near to it, or it does not look like the endplate
        that faces its neighbour.
    """
    bone = block.body
    frame = _seen_from(bone, facing.frame, superior=superior)
    # The second look is at all of it; the first one was at its middle.
    for _ in range(2):
        found = endplate(bone, frame, superior=superior)
        frame = found.frame
    if _is_near_the_border(bone, found, superior=superior):
        raise NotMeasurable("the border of the image runs through it or just beside it")
    _check(found, facing, superior=superior)
    return CutVertebra(level=level, plate=found, superior=superior)


def _seen_from(bone: Block, from_where: Frame, *, superior: bool) -> Frame:
    """A first frame on an endplate: where the bone begins as seen from the other side."""
    low, high = np.full(3, -_PATCH), np.full(3, _PATCH)
    ends = (-_FARTHEST, _NEAREST) if superior else (-_NEAREST, _FARTHEST)
    low[CRANIAL], high[CRANIAL] = ends
    step = 0.5 * float(bone.volume.spacing.min())
    seen = bone.seen(from_where, low, high, step)
    top, bottom, there = outermost(seen.values, seen.w, step)
    if there.mean() < _SHOWN:
        raise NotMeasurable("too little of it is to be seen opposite its neighbour")
    (height, du, dv), _ = plane_through(seen, top if superior else bottom, there)
    normal = from_where.axes @ np.array([-du, -dv, 1.0])
    back = from_where.axes[:, POSTERIOR]
    return Frame.of(from_where.to_world([0.0, 0.0, height]), normal, back)


def _is_near_the_border(bone: Block, plate: Endplate, *, superior: bool) -> bool:
    """Whether bone at the border of the volume lies in the endplate, or too near under it."""
    local = plate.frame.to_local(bone.to_world(np.argwhere(_at_border(bone))))
    reach = np.array([plate.width, plate.depth]) / 2 + _AROUND
    within = np.square(local[:, :2] / reach).sum(axis=1) <= 1
    out = local[:, CRANIAL] * (1 if superior else -1)
    return bool((within & (out > -_UNDER)).any())


def _at_border(bone: Block) -> Bools:
    """The voxels of bone that lie at the border of the volume."""
    at_border = np.zeros(bone.inside.shape, bool)
    for axis, (start, size) in enumerate(zip(bone.start, bone.volume.array.shape, strict=True)):
        index = np.arange(bone.inside.shape[axis]) + start
        along = np.ones(3, int)
        along[axis] = -1
        at_border |= ((index <= 0) | (index >= size - 1)).reshape(along)
    return np.asarray(bone.inside & at_border)


def _check(found: Endplate, facing: Endplate, *, superior: bool) -> None:
    """Refuse what cannot be the endplate opposite: a lamina, or the side of a body."""
    sizes = np.array([found.width / facing.width, found.depth / facing.depth])
    away = facing.centre - found.centre
    gap = float(away @ facing.normal) * (1 if superior else -1)
    alike = bool(((sizes >= _SIZES[0]) & (sizes <= _SIZES[1])).all())
    faces = float(found.normal @ facing.normal) >= _FACING
    if not (alike and faces and gap > 0 and np.linalg.norm(away) <= _FARTHEST):
        raise NotMeasurable("what is seen of it does not look like the endplate of a disc")
