"""Attenuation (Hounsfield units) of a vertebral body's trabecular bone, by four definitions.

Each definition is a region of its own and gives values of its own: on one and the same scan they
differ by 20 to 40 HU, so none is ever taken for another. Voxels count whole and as they are in
the image; nothing is interpolated, because interpolation would hide the noise that the error is
computed from. The sizes stand in evidence/measurement.toml.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise, product

import numpy as np
from scipy import ndimage

from endplate.evidence import Evidence
from endplate.images.frame import CRANIAL, Bools, Floats, Plane
from endplate.images.vertebra import Estimate, NotMeasurable, Vertebra
from endplate.images.volume import Points, Volume

# Noise of neighbouring voxels is correlated over about this distance on either side (mm).
_NOISE_REACH = 2.0
LOCATIONS = ("superior", "middle", "inferior")


@dataclass(frozen=True, slots=True, kw_only=True)
class Density:
    """One attenuation with its error and what its region held.

    Attributes
    ----------
    estimate
        The value and its standard error: noise, and where the region is placed.
    mean, median, sd, voxels
        Of all voxels in the region together.
    parts
        Means of the single locations, where there are several.
    doubts
        What may be wrong with this region.
    region
        Which of the interior's voxels it is, for drawing.
    """

    estimate: Estimate
    mean: float
    median: float
    sd: float
    voxels: int
    parts: Mapping[str, float] = field(default_factory=dict)
    doubts: tuple[str, ...] = ()
    region: Bools | None = None


class Interior:
    """The voxels inside one vertebral body that lie clear of its surface.

    Attributes
    ----------
    values, local, index
        Attenuation, coordinates in the vertebra's frame (mm), index in the image; one row each.
    margin
        How deep their centres lie at least, mm.
    """

    def __init__(
        self, vertebra: Vertebra, image: Volume, evidence: Evidence, margin: float | None = None
    ) -> None:
        self.vertebra = vertebra
        self.image = image
        self.sizes = _Sizes.of(evidence)
        self.margin = self.sizes.margin + half_diagonal(image) if margin is None else margin
        index, local = _voxels_around(vertebra, image)
        clear = vertebra.inside.at(local) >= self.margin
        self.index, self.local = index[clear], local[clear]
        values = image.array[tuple(self.index.T)].astype(np.float64)
        finite = np.isfinite(values)
        self.lost = int(np.count_nonzero(~finite))
        self.index, self.local, self.values = self.index[finite], self.local[finite], values[finite]
        self.inflation = self._inflation()

    @property
    def focus(self) -> float:
        """Which part of the voxels is far denser or less dense than the rest.

        Trabecular bone has none; a bone island, a cyst, a haemangioma or cement has.
        """
        if not len(self.values):
            return 0.0
        away = np.abs(self.values - np.median(self.values))
        spread = 1.4826 * float(np.median(away))  # the standard deviation of a normal spread
        return float(np.mean(away > self.sizes.focus_distance * spread)) if spread > 0 else 0.0

    def _inflation(self) -> float:
        """How much larger the variance of a mean is than with uncorrelated noise; at least 1."""
        if len(self.values) < 2:
            return 1.0
        low = self.index.min(axis=0)
        rest = np.zeros(self.index.max(axis=0) - low + 1)
        at = tuple((self.index - low).T)
        rest[at] = self.values - self.values.mean()
        reach = np.maximum(np.round(_NOISE_REACH / self.image.spacing).astype(int), 1)
        window = 2 * reach + 1
        around = ndimage.uniform_filter(rest, window, mode="constant") * window.prod()
        own = float((rest[at] ** 2).sum())
        return max(1.0, float((rest * around).sum()) / own) if own > 0 else 1.0

    # -- the definitions --

    def three_location(self) -> Density:
        """Mean of three planes parallel to the endplates, within an ellipse.

        Raises
        ------
        NotMeasurable
            If one of the planes holds too few voxels.
        """
        regions = _Planes(self).regions(self.local)
        self._enough(regions)
        values = [float(self.values[r].mean()) for r in regions]
        errors = [self._sampling(r) for r in regions]
        placed = self._placement(regions)
        total = float(np.sqrt(np.square(errors).sum() / len(errors) ** 2 + placed))
        doubts = () if _apart(regions) else ("the three planes overlap: the body is low",)
        return self._density(float(np.mean(values)), total, regions, values, doubts)

    def axial(self) -> Density:
        """Mean of three of the image's own slices, within the same ellipse.

        Raises
        ------
        NotMeasurable
            If one of the slices holds too few voxels.
        """
        axis = axial_axis(self.image)
        slices = np.round(self.image.to_index(_Planes(self).centres())[:, axis]).astype(int)
        inside = _Planes(self).ellipse(self.local)
        regions = [inside & (self.index[:, axis] == k) for k in slices]
        self._enough(regions)
        values = [float(self.values[r].mean()) for r in regions]
        noise = sum(self._sampling(r) ** 2 for r in regions) / len(regions) ** 2
        # Its slices cannot be moved by less than a slice: they are placed like the planes.
        placed = self._placement(_Planes(self).regions(self.local))
        distinct = len(set(slices.tolist())) == len(slices)
        doubts = () if distinct else ("the slices are so thick that two locations share one",)
        error = float(np.sqrt(noise + placed))
        return self._density(float(np.mean(values)), error, regions, values, doubts)

    def trabecular_volume(self) -> Density:
        """Mean of the whole body inside the margin.

        Raises
        ------
        NotMeasurable
            If it holds too few voxels.
        """
        everything = np.ones(len(self.values), bool)
        self._enough([everything])
        moved = []
        for shift in self._shifts():
            depth = self.vertebra.inside.at(self.local + shift)
            moved.append(depth >= self.margin)
        placed = self._scatter([everything], [[m] for m in moved if m.any()])
        error = float(np.sqrt(self._sampling(everything) ** 2 + placed))
        return self._density(float(self.values.mean()), error, [everything], [], ())

    # -- errors --

    def _sampling(self, region: Bools) -> float:
        """Standard error of a region's mean from noise."""
        count = int(np.count_nonzero(region))
        sd = float(self.values[region].std(ddof=1)) if count > 1 else 0.0
        return sd * float(np.sqrt(self.inflation / max(count, 1)))

    def _shifts(self) -> list[Points]:
        """Moves along each axis of the frame, both ways: by the shift, or by half a voxel.

        A slab of thick slices cannot be placed better than to half a slice.
        """
        along = np.abs(self.vertebra.frame.axes.T @ self.image.affine[:3, :3]).max(axis=1)
        steps = np.maximum(self.sizes.shift, along / 2)
        return [
            sign * step * axis
            for step, axis in zip(steps, np.eye(3), strict=True)
            for sign in (-1.0, 1.0)
        ]

    def _placement(self, regions: list[Bools]) -> float:
        """Variance that comes from where the planes are placed: moved and tilted, both ways."""
        planes = _Planes(self)
        moved = [planes.regions(self.local - shift) for shift in self._shifts()]
        for axis, sign in product((0, 1), (-1.0, 1.0)):
            moved.append(planes.regions(self.local, tilt=(axis, sign * self.sizes.tilt)))
        return self._scatter(regions, [m for m in moved if all(r.any() for r in m)])

    def _scatter(self, regions: list[Bools], moved: list[list[Bools]]) -> float:
        """Half the summed squares of what moving changes, less what noise alone would change."""
        base = float(np.mean([self.values[r].mean() for r in regions]))
        total = 0.0
        for changed in moved:
            value = float(np.mean([self.values[r].mean() for r in changed]))
            noise = 0.0
            for old, new in zip(regions, changed, strict=True):
                a, b = np.count_nonzero(old), np.count_nonzero(new)
                both = np.count_nonzero(old & new)
                noise += (1 / a + 1 / b - 2 * both / (a * b)) * float(self.values[old].var())
            total += (value - base) ** 2 - noise * self.inflation / len(regions) ** 2
        return max(total / 2, 0.0)

    def _enough(self, regions: list[Bools]) -> None:
        fewest = min(int(np.count_nonzero(r)) for r in regions)
        if fewest < self.sizes.least_voxels:
            raise NotMeasurable(f"a region of the trabecular bone holds only {fewest} voxels")

    def _density(
        self,
        value: float,
        error: float,
        regions: list[Bools],
        values: list[float],
        doubts: tuple[str, ...],
    ) -> Density:
        together = np.logical_or.reduce(regions)
        inside = self.values[together]
        lost = ("some voxels of the body hold no number",) if self.lost else ()
        return Density(
            estimate=Estimate(value, error),
            mean=float(inside.mean()),
            median=float(np.median(inside)),
            sd=float(inside.std(ddof=1)) if len(inside) > 1 else 0.0,
            voxels=len(inside),
            parts=dict(zip(LOCATIONS, values, strict=False)),
            doubts=(*doubts, *lost),
            region=together,
        )


@dataclass(frozen=True, slots=True)
class _Sizes:
    """The sizes of the regions, from the evidence."""

    location: float
    plane_thickness: float
    ellipse_width: float
    ellipse_depth: float
    ellipse_centre: float
    margin: float
    shift: float
    tilt: float
    least_voxels: float
    focus_distance: float

    @classmethod
    def of(cls, evidence: Evidence) -> _Sizes:
        names = (
            "location", "plane_thickness", "ellipse_width", "ellipse_depth", "ellipse_centre",
            "margin", "placement_shift", "placement_tilt", "least_voxels", "focus_distance",
        )  # fmt: skip
        return cls(*(evidence.row(f"measurement.hounsfield.{n}").number for n in names))


class _Planes:
    """The three planes and the ellipse of one body."""

    def __init__(self, interior: Interior) -> None:
        vertebra, sizes = interior.vertebra, interior.sizes
        self.frame = vertebra.frame
        top, bottom = self._plane(vertebra.superior), self._plane(vertebra.inferior)
        middle = top[1] + bottom[1]
        middle = middle / np.linalg.norm(middle)
        linear = interior.image.affine[:3, :3]
        layers = np.abs(linear.T @ (self.frame.axes[:, CRANIAL]))
        self.half = max(sizes.plane_thickness, float(layers.max())) / 2
        depth = max(sizes.location * vertebra.height, interior.margin + self.half)
        self.u = (vertebra.left + vertebra.right) / 2
        self.v = vertebra.back - sizes.ellipse_centre * vertebra.depth
        self.semi = (
            sizes.ellipse_width * vertebra.width / 2,
            sizes.ellipse_depth * vertebra.depth / 2,
        )
        halfway = (self._w(*top) + self._w(*bottom)) / 2
        self.planes: list[tuple[float, Points]] = [
            (top[0] - depth, top[1]),
            (float(middle @ [self.u, self.v, halfway]), middle),
            (bottom[0] + depth, bottom[1]),
        ]

    def _plane(self, plane: Plane) -> tuple[float, Points]:
        """Offset and normal in the frame: the plane is where normal @ point = offset."""
        normal = plane.normal @ self.frame.axes
        return float(normal @ self.frame.to_local(plane.centre)), normal

    def _w(self, offset: float, normal: Points) -> float:
        """Where a plane meets the axis through the middle of the ellipse."""
        return float((offset - normal[0] * self.u - normal[1] * self.v) / normal[2])

    def centres(self) -> Points:
        """The middle of the ellipse in each plane, LPS mm, shape (3, 3)."""
        local = [[self.u, self.v, self._w(*plane)] for plane in self.planes]
        return self.frame.to_world(local)

    def outlines(self) -> list[Points]:
        """The ellipse in each plane as a closed line of LPS points, for drawing."""
        turn = np.linspace(0, 2 * np.pi, 49)
        u = self.u + self.semi[0] * np.cos(turn)
        v = self.v + self.semi[1] * np.sin(turn)
        found = []
        for offset, n in self.planes:
            w = (offset - n[0] * u - n[1] * v) / n[2]
            found.append(self.frame.to_world(np.stack([u, v, w], axis=1)))
        return found

    def ellipse(self, local: Floats) -> Bools:
        """Which points lie within the ellipse, seen along the axis."""
        across = (local[:, 0] - self.u) / self.semi[0]
        along = (local[:, 1] - self.v) / self.semi[1]
        return np.asarray(across * across + along * along <= 1)

    def regions(self, local: Floats, tilt: tuple[int, float] | None = None) -> list[Bools]:
        """Which points lie in each plane and the ellipse; planes tilted about u or v (degrees)."""
        inside = self.ellipse(local)
        found = []
        for offset, normal in self.planes:
            n, at = normal, offset
            if tilt is not None:
                axis, degrees = tilt
                n = normal.copy()
                n[1 - axis] += np.tan(np.radians(degrees)) * (1 if axis else -1)
                n /= np.linalg.norm(n)
                at = float(n @ [self.u, self.v, self._w(offset, normal)])
            found.append(inside & (np.abs(local @ n - at) <= self.half))
        return found


def outlines(interior: Interior) -> list[Points]:
    """The ellipses of the three planes as closed lines of LPS points."""
    return _Planes(interior).outlines()


def _apart(regions: list[Bools]) -> bool:
    return not any((a & b).any() for a, b in pairwise(regions))


def half_diagonal(volume: Volume) -> float:
    """From a voxel's centre to its farthest corner, mm."""
    corners = np.array(list(product((-0.5, 0.5), repeat=3))) @ volume.affine[:3, :3].T
    return float(np.linalg.norm(corners, axis=1).max())


def axial_axis(volume: Volume) -> int:
    """The array axis that runs most nearly along the patient's z: across axial slices."""
    return int(np.argmax(np.abs(volume.directions[2])))


def _voxels_around(vertebra: Vertebra, image: Volume) -> tuple[Points, Points]:
    """Indices and local coordinates of all voxels in the box around a body."""
    low, high = vertebra.inside.low, vertebra.inside.high
    corners = np.array(list(product(*zip(low, high, strict=True))))
    index = image.to_index(vertebra.frame.to_world(corners))
    first = np.maximum(np.floor(index.min(axis=0)).astype(int), 0)
    last = np.minimum(np.ceil(index.max(axis=0)).astype(int), np.array(image.array.shape) - 1)
    spans = [np.arange(a, b + 1) for a, b in zip(first, last, strict=True)]
    turn = vertebra.frame.axes.T @ image.affine[:3, :3]
    start = vertebra.frame.to_local(image.affine[:3, 3])
    inside = np.ones([len(s) for s in spans], bool)
    for n in range(3):  # plane by plane: most of a tilted box lies outside
        steps = [turn[n, m] * spans[m] for m in range(3)]
        along = (steps[0] + start[n])[:, None, None] + steps[1][:, None] + steps[2]
        inside &= (along >= low[n]) & (along <= high[n])
    found = np.argwhere(inside) + first
    return found, found @ turn.T + start


def totalsegmentator(
    body: Bools, image: Volume, start: Points, evidence: Evidence
) -> tuple[float, float, int]:
    """Mean, median and voxel count by the definition of TotalSegmentator's spine report.

    Parameters
    ----------
    body
        The body's voxels, as a block cut out of the mask.
    start
        Index in the image of the block's first voxel.

    Raises
    ------
    NotMeasurable
        If the erosion leaves nothing.

    Notes
    -----
    The structuring element is built in voxel space from radii of 4 mm divided by the spacing, at
    offsets that begin at minus the radius: where the radius is no whole number it is lopsided.
    That is repeated here as it is, or the numbers would not be comparable.
    """
    erosion = evidence.row("measurement.hounsfield.totalsegmentator_erosion").number
    radii = erosion / image.spacing
    x, y, z = (np.arange(-r, r + 1) ** 2 / r**2 for r in radii)
    element = x[:, None, None] + y[:, None] + z <= 1
    kept = np.argwhere(ndimage.binary_erosion(body, structure=element)) + np.asarray(start)
    if not len(kept):
        raise NotMeasurable("the erosion by 4 mm leaves nothing of its body")
    values = image.array[tuple(kept.T)].astype(np.float64)
    values = values[np.isfinite(values)]
    if not len(values):
        raise NotMeasurable("its voxels hold no numbers")
    return float(values.mean()), float(np.median(values)), len(values)
