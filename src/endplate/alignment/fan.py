"""The geometry of a slot scanner's pair of pictures (EOS): from points in space and back.

Both slots go down together, so each row of either picture is one horizontal plane at one height:
upright nothing is magnified. Across, the rays are a fan from the source, and the scale is true in
the plane of the isocentre alone.

Places on a picture are given at that scale, from the isocentre: (forwards, up) on the lateral
view, (to the patient's left, up) on the frontal one. Places in space are LPS about the axis of
the isocentre, as the patient was stood: x to the left, y to the back, z up; mm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
# The side of the patient from which the rays come, by view.
SOURCES = {"lateral": ("left", "right"), "frontal": ("anterior", "posterior")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fan:
    """How one picture of the pair was taken.

    Attributes
    ----------
    source_to_isocentre
        mm.
    source
        The side of the patient from which the rays come.
    isocentre
        Where the isocentre's axis stands on the picture, in the unit and from the origin of its
        points.
    top
        How far below the beginning of the scan the picture begins, mm.
    is_assumed
        Whether nobody said where the isocentre stands, and it was put in the middle of the picture.
    """

    source_to_isocentre: float
    source: Literal["anterior", "posterior", "left", "right"]
    isocentre: float
    top: float = 0.0
    is_assumed: bool = False

    @property
    def _growth(self) -> float:
        """By which part the picture shrinks for each mm to the left, or to the back."""
        sign = 1.0 if self.source in ("anterior", "right") else -1.0
        return sign / self.source_to_isocentre

    def widened(self, across: Floats, deep: Floats) -> Floats:
        """How far from the middle plane a point lies: its place across the picture, and how far
        to the left (lateral view) or to the back (frontal view) it lies.
        """
        return np.asarray(across * (1 + self._growth * deep))

    def narrowed(self, away: Floats, deep: Floats) -> Floats:
        """The place across the picture of a point; `widened` the other way round."""
        return np.asarray(away / (1 + self._growth * deep))


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Both pictures of one scan."""

    lateral: Fan
    frontal: Fan

    def projected(self, points: Floats) -> tuple[Floats, Floats]:
        """Where points (..., 3) are seen on the lateral and on the frontal picture, (..., 2)."""
        x, y, z = np.moveaxis(points, -1, 0)
        forwards, left = self.lateral.narrowed(-y, x), self.frontal.narrowed(x, y)
        return np.stack([forwards, z], axis=-1), np.stack([left, z], axis=-1)

    def placed(
        self, lateral: Floats, frontal: Floats, errors: tuple[float, float] = (1.0, 1.0)
    ) -> Floats:
        """The points (..., 3) that are seen at places (..., 2) of both pictures.

        The two rays are lines of one plane where the rows are equal. Where they are not, the
        height is the mean of both, weighted by the standard errors.
        """
        back, left = -lateral[..., 0], frontal[..., 0]
        turned = self.lateral.widened(np.ones_like(left), left) - 1
        ahead = self.frontal.widened(np.ones_like(back), back) - 1
        # Each ray tells how far out the point lies where the other tells how deep it lies.
        share = 1 - turned * ahead
        x, y = left * (1 + ahead) / share, back * (1 + turned) / share
        weight = errors[1] ** 2 / (errors[0] ** 2 + errors[1] ** 2)
        z = weight * lateral[..., 1] + (1 - weight) * frontal[..., 1]
        return np.stack([x, y, z], axis=-1)
