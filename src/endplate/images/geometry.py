"""The geometry of a measured spine, quantity by quantity, each with its error.

Vertebrae are measured first (`endplate.images.vertebra`); here their endplates are fitted with
all the planes that fit as well, and from these follow the discs, the segments, the canal, the
pelvis and the whole curve.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from functools import cached_property
from itertools import pairwise
from types import MappingProxyType

import numpy as np

from endplate.evidence import Evidence
from endplate.facts import Side
from endplate.images import canal, curve, pelvis, segment
from endplate.images.curve import Leans
from endplate.images.cut_vertebra import CutVertebra, cut_vertebra
from endplate.images.endplate import Endplate, endplate
from endplate.images.frame import LEFT, POSTERIOR, Block, Frame, Plane
from endplate.images.pelvis import Head, Pelvis
from endplate.images.result import Missing, Result
from endplate.images.segment import Surface, estimate
from endplate.images.vertebra import METHOD as VERTEBRA
from endplate.images.vertebra import Estimate, NotMeasurable, Vertebra
from endplate.levels import Column, Level
from endplate.planes import Reference, turn, unit
from endplate.posture import UPRIGHT, Posture

# The sides and the walls of a body are known to about these parts of a voxel: sides may be parallel
# to the voxels, both alike.
_SIDE, _WALL = 0.22, 0.14
# How deep an endplate is hollowed depends on how far out its rim is taken.
_CONCAVITY = 0.3
# By these spans is thoracic and thoracolumbar kyphosis named; which one is always said.
_THORACIC = (("T1", "T12"), ("T2", "T12"), ("T4", "T12"), ("T5", "T12"))
_THORACOLUMBAR = ("T10", "L2")
_PELVIC_ANGLES = ("T1", "T4", "L1")
_HEIGHTS = ("anterior", "middle", "posterior")
# The quantities that it yields, by the names that a user asks for them.
QUANTITIES = frozenset({"geometry", "canal"})


class Geometry:
    """All that is measured between and beyond the single vertebrae.

    Parameters
    ----------
    vertebrae
        Level → vertebra, those that were measured.
    blocks
        All structures of the mask.
    posture
        Without an upright posture nothing is measured against the plumb line.
    with_arches
        Whether the labels cover the arches, so that there is a canal to be measured.
    with_pelvis
        Whether hips and sacrum are looked for too.
    cut
        Level → the bone of a vertebra whose body the image cuts.

    Attributes
    ----------
    plates
        Level → superior and inferior endplate, None where one could not be fitted; with S1.
    cut
        Level → a cut vertebra of which one endplate lies wholly inside the image.
    """

    def __init__(
        self,
        vertebrae: Mapping[str, Vertebra],
        blocks: Mapping[str, Block],
        evidence: Evidence,
        posture: Posture | None = None,
        *,
        with_arches: bool = True,
        with_pelvis: bool = True,
        cut: Mapping[str, Block] = MappingProxyType({}),
    ) -> None:
        self.vertebrae = {n: vertebrae[n] for n in sorted(vertebrae, key=Level)}
        self.blocks = blocks
        self.evidence = evidence
        self.posture = posture
        self.with_arches = with_arches
        self.with_pelvis = with_pelvis
        self._gaps: dict[tuple[str, str], list[str]] = {}
        self.plates: dict[str, tuple[Endplate | None, Endplate | None]] = {
            name: (self._plate(v, v.superior, True), self._plate(v, v.inferior, False))
            for name, v in self.vertebrae.items()
        }
        sacrum = self.pelvis.sacrum
        if sacrum is not None:
            self.plates["S1"] = (sacrum, None)
        self.cut = dict(self._cut(cut))
        for name, one in self.cut.items():
            self.plates[name] = (one.plate, None) if one.superior else (None, one.plate)
        self.plates = {n: self.plates[n] for n in sorted(self.plates, key=Level)}

    def _cut(self, cut: Mapping[str, Block]) -> Iterator[tuple[str, CutVertebra]]:
        """What cut vertebrae show beside a measured one, with what could not be seen of them."""
        column = Column.of([Level(n) for n in (*self.plates, *cut)])
        for name, block in cut.items():
            for superior in (True, False):
                beside = column.above(Level(name)) if superior else column.below(Level(name))
                facing = self.plates.get(str(beside), (None, None))[1 if superior else 0]
                if facing is None:
                    continue
                try:
                    found = cut_vertebra(name, block, facing, superior=superior)
                except NotMeasurable as problem:
                    which = "superior" if superior else "inferior"
                    self._cannot(name, f"its {which} endplate", problem)
                    continue
                yield name, found
                break  # with both whole ends of it, its side is cut

    def _plate(self, vertebra: Vertebra, plane: Plane, superior: bool) -> Endplate | None:
        frame = Frame.of(plane.centre, plane.normal, vertebra.frame.axes[:, POSTERIOR])
        try:
            return endplate(vertebra.block.body, frame, superior=superior)
        except NotMeasurable as problem:
            which = "superior" if superior else "inferior"
            self._cannot(vertebra.level, f"its {which} endplate", problem)
            return None

    def _cannot(self, where: str, what: str, reason: object) -> None:
        self._gaps.setdefault((what, str(reason)), []).append(where)

    @cached_property
    def pelvis(self) -> Pelvis:
        """Hips and sacral endplate, as far as they are labelled."""
        heads: dict[Side, Head] = {}
        if not self.with_pelvis:
            return Pelvis(heads=heads, sacrum=None)
        sides: tuple[Side, ...] = ("left", "right")
        for side in sides:
            if not {f"femur_{side}", f"hip_{side}"} & set(self.blocks):
                continue
            try:
                heads[side] = pelvis.head(side, self.blocks)
            except NotMeasurable as problem:
                self._cannot("pelvis", f"the {side} femoral head", problem)
        if len(heads) == 2 and self.vertebrae:
            across = heads["left"].sphere.centre - heads["right"].sphere.centre
            own = np.sum([v.frame.axes[:, LEFT] for v in self.vertebrae.values()], axis=0)
            if across @ own <= 0:
                reason = "left and right of the hips contradict the vertebrae"
                self._cannot("pelvis", "the hip axis", reason)
                heads = {}
        sacrum = None
        if {"sacrum", "S1"} & set(self.blocks):
            lowest = list(self.vertebrae.values())[-1] if self.vertebrae else None
            try:
                sacrum = pelvis.sacral_endplate(self.blocks, lowest)
            except NotMeasurable as problem:
                self._cannot("S1", "its endplate", problem)
        return Pelvis(heads=heads, sacrum=sacrum)

    @cached_property
    def planes(self) -> Reference | None:
        """The person's own sagittal and frontal planes."""
        if not self.vertebrae:
            return None
        return curve.reference(list(self.vertebrae.values()), self.pelvis.axis)

    @cached_property
    def segments(self) -> dict[tuple[str, str], tuple[Surface, Surface]]:
        """The two endplates of each disc space whose vertebrae are both measured."""
        shares = {n: self.evidence.row(f"measurement.height.{n}_position").number for n in _HEIGHTS}
        found = {}
        column = Column.of([Level(n) for n in (*self.vertebrae, *self.cut)])

        def surface(plate: Endplate, name: str, *, superior: bool) -> Surface:
            whole = self.vertebrae.get(name)
            if whole is None:
                return Surface.alone(plate, shares, superior=superior)
            return Surface.of(plate, whole, superior=superior)

        for upper, lower in pairwise(self.plates):
            above, below = self.plates[upper][1], self.plates[lower][0]
            if above is None or below is None:
                continue
            near = np.linalg.norm(above.centre - below.centre) <= pelvis.FARTHEST_DISC
            # The lowest lumbar vertebra need not be L5.
            adjacent = lower == "S1" or column.adjacent(Level(upper), Level(lower))
            if not near or not adjacent:
                continue
            found[upper, lower] = (
                surface(above, upper, superior=False), surface(below, lower, superior=True)
            )  # fmt: skip
        return found

    def results(
        self, wanted: Set[str] = QUANTITIES, on_step: Callable[[str], None] = lambda step: None
    ) -> Iterator[Result | Missing]:
        """All quantities, from the single vertebra to the whole curve; then what is missing.

        Parameters
        ----------
        wanted
            The canal with the foramina, all other geometry, or both.
        on_step
            Told where the canal begins, which takes long.
        """
        if "geometry" in wanted:
            yield from self._of_vertebrae()
            yield from self._of_segments()
        if "canal" in wanted:
            on_step("canal")
            yield from self._of_canal()
        if "geometry" in wanted:
            yield from self._of_pelvis()
            if self.planes is not None:
                yield from self._of_curve(self.planes)
        for (what, reason), where in self._gaps.items():
            yield Missing(
                what=f"{', '.join(where)}: {what}", reason=reason, code="not_measured",
                try_="Check this part of the mask on the image.",
            )  # fmt: skip

    # -- single vertebrae --

    def _of_vertebrae(self) -> Iterator[Result]:
        for vertebra in self.vertebrae.values():
            yield from self._of_vertebra(vertebra)
        for one in self.cut.values():
            which = "superior" if one.superior else "inferior"
            yield self._concavity(one.level, which, one.plate)

    def _of_vertebra(self, vertebra: Vertebra) -> Iterator[Result]:
        name, axes = vertebra.level, vertebra.frame.axes
        voxel = vertebra.block.volume.affine[:3, :3]

        def of(what: str, estimate: Estimate) -> Result:
            return Result(
                what=f"vertebra.{what}", value=estimate, method=VERTEBRA, level=name, of=(name,)
            )

        for what, value, axis, part in (
            ("width", vertebra.width, LEFT, _SIDE),
            ("depth", vertebra.depth, POSTERIOR, _WALL),
        ):
            error = part * float(np.linalg.norm(voxel.T @ axes[:, axis])) * float(np.sqrt(2))
            yield of(what, Estimate(value, error))
        superior, inferior = self.plates[name]
        for which, plate in (("superior", superior), ("inferior", inferior)):
            if plate is not None:
                yield self._concavity(name, which, plate)
        if superior is not None and inferior is not None:
            normals = segment.all_normals(superior), segment.all_normals(inferior)
            yield of("sagittal_angle", estimate(turn(*normals, axes[:, LEFT])))
            yield of("coronal_angle", estimate(turn(*normals, axes[:, POSTERIOR])))
        # The outline of a body alone does not tell well where it faces.
        if self.planes is not None and vertebra.canal is not None and self.with_arches:
            yield of("axial_rotation", curve.axial_rotation(vertebra, self.planes))

    def _concavity(self, name: str, which: str, plate: Endplate) -> Result:
        voxel = self.blocks[name].volume.affine[:3, :3]
        along = float(np.linalg.norm(voxel.T @ plate.normal))
        error = float(np.hypot(plate.roughness, _CONCAVITY * along))
        return Result(
            what=f"vertebra.{which}_endplate_concavity", value=Estimate(plate.concavity, error),
            method=VERTEBRA, level=name, of=(name,),
        )  # fmt: skip

    # -- between two --

    def _of_segments(self) -> Iterator[Result]:
        for (upper, lower), surfaces in self.segments.items():
            found = segment.between(*surfaces)
            values = {
                **{f"disc.height.{n}": e for n, e in found.disc_heights.items()},
                "disc.angle": found.disc_angle,
                "disc.coronal_angle": found.disc_angle_coronal,
                "segment.listhesis": found.slip,
                "segment.listhesis_percent": found.slip_percent,
                "segment.lateral_listhesis": found.lateral_slip,
            }
            for what, value in values.items():
                yield Result(
                    what=what, value=value, method=segment.METHOD, level=f"{upper}-{lower}",
                    of=(upper, lower), details=_direction(what, value),
                )  # fmt: skip
            top, bottom = self.plates[upper][0], self.plates[lower][0 if lower == "S1" else 1]
            if top is None or bottom is None:
                continue
            left = unit(top.frame.axes[:, LEFT] + bottom.frame.axes[:, LEFT])
            normals = segment.all_normals(top), segment.all_normals(bottom)
            yield Result(
                what="segment.lordosis", value=estimate(turn(*normals, left)),
                method=segment.METHOD, level=f"{upper}-{lower}", of=(upper, lower),
            )  # fmt: skip

    def _of_canal(self) -> Iterator[Result]:
        walls = {}
        for name, vertebra in self.vertebrae.items():
            if vertebra.canal is None or not self.with_arches:
                continue
            walls[name] = canal.pedicles(vertebra)
            try:
                found = canal.canal(vertebra)
            except NotMeasurable as problem:
                self._cannot(name, "its canal", problem)
                continue
            for what, value in (
                ("area", found.area),
                ("anteroposterior_diameter", found.depth),
                ("transverse_diameter", found.width),
            ):
                yield Result(
                    what=f"canal.{what}", value=value, method=canal.METHOD, level=name,
                    of=(name,),
                )  # fmt: skip
        for upper, lower in self.segments:
            if upper not in walls or lower not in walls:
                continue
            above, below = (s.plate.normal for s in self.segments[upper, lower])
            heights = canal.foramina(walls[upper], walls[lower], above + below)
            for side, value in heights.items():
                yield Result(
                    what="foramen.height", value=value, method=canal.METHOD, side=side,
                    level=f"{upper}-{lower}", of=(upper, lower),
                )  # fmt: skip

    # -- pelvis --

    def _of_pelvis(self) -> Iterator[Result]:
        found = self.pelvis
        for side, head in found.heads.items():
            centre = dict(
                zip(("centre_x", "centre_y", "centre_z"), head.sphere.centre, strict=True)
            )
            yield Result(
                what="pelvis.acetabular_radius" if head.socket else "pelvis.femoral_head_radius",
                value=Estimate(head.sphere.radius, head.sphere.error), method=pelvis.METHOD,
                side=side, doubts=head.doubts,
                details={k: round(float(x), 1) for k, x in centre.items()},
            )  # fmt: skip
        doubts = tuple(d for head in found.heads.values() for d in head.doubts)
        ends = "acetabula" if any(h.socket for h in found.heads.values()) else "femoral heads"
        for what, value in pelvis.angles(found).items():
            yield Result(
                what=f"pelvis.{what}", value=value, method=pelvis.METHOD, doubts=doubts,
                details={"hip_axis": ends},
            )  # fmt: skip

    # -- the whole curve --

    def _of_curve(self, planes: Reference) -> Iterator[Result]:
        leans = Leans(self.plates, planes)

        def of(what: str, angle: curve.Angle, **more: float | str) -> Result:
            return Result(
                what=f"spine.{what}", value=angle.estimate, method=curve.METHOD,
                level=f"{angle.first}-{angle.last}", side=angle.side,
                of=self._between(angle.first, angle.last),
                details={"lateral_axis": planes.by, **more},
            )  # fmt: skip

        lumbar = leans.lordosis("L1", "S1")
        lower = leans.lordosis("L4", "S1")
        if lumbar is not None:
            yield of("lumbar_lordosis", lumbar)
        elif (without := leans.lordosis("L1", "L5")) is not None:
            yield of("lumbar_lordosis", without)
        if lower is not None:
            yield of("lower_lumbar_lordosis", lower)
        if lumbar is not None and lower is not None and lumbar.estimate.value > 0:
            yield of("lordosis_distribution_index", _part(lower, lumbar))
        for first, last in _THORACIC:
            angle = leans.lordosis(first, last)
            if angle is not None:
                yield of("thoracic_kyphosis", _negative(angle))
        angle = leans.lordosis(*_THORACOLUMBAR)
        if angle is not None:
            yield of("thoracolumbar_kyphosis", _negative(angle))
        for what, kyphosis in (("largest_lordosis", False), ("largest_kyphosis", True)):
            angle = leans.extreme(kyphosis=kyphosis)
            if angle is not None:
                yield of(what, angle)
        yield from self._of_frontal_curves(leans, planes)
        yield from self._against_the_pelvis()

    def _of_frontal_curves(self, leans: Leans, planes: Reference) -> Iterator[Result]:
        least = self.evidence.row("measurement.curve.least").number
        curves = leans.curves(least)
        largest = max((c.estimate.value for c in curves), default=0.0)
        for angle in curves:
            details: dict[str, float | str] = {
                "lateral_axis": planes.by,
                "largest": "yes" if angle.estimate.value == largest else "no",
            }
            found = curve.apex(self.vertebrae, angle, planes)
            if found is not None:
                details |= {"apex": found.level, "apex_offset": round(found.offset, 1)}
                turned = curve.axial_rotation(self.vertebrae[found.level], planes)
                if self.vertebrae[found.level].canal is not None and self.with_arches:
                    details["apex_rotation"] = round(turned.value, 1)
                details["plane_of_maximum_curvature"] = round(found.plane, 1)
            yield Result(
                what="spine.coronal_cobb_angle", value=angle.estimate, method=curve.METHOD,
                level=f"{angle.first}-{angle.last}", side=angle.side,
                of=self._between(angle.first, angle.last), details=details,
            )  # fmt: skip
        line = curve.centroid_curve(self.vertebrae, planes)
        if line is not None:
            first, last, value, side = line
            yield Result(
                what="spine.coronal_centroid_angle", value=value, method=curve.METHOD,
                level=f"{first}-{last}", side=side, of=self._between(first, last),
                details={"lateral_axis": planes.by},
            )  # fmt: skip

    def _against_the_pelvis(self) -> Iterator[Result]:
        axis, sacrum = self.pelvis.axis, self.pelvis.sacrum
        if axis is None or sacrum is None:
            return
        heads = self.pelvis.heads
        hips = np.mean([h.sphere.centre for h in heads.values()], axis=0)
        shake = float(np.linalg.norm([h.sphere.error for h in heads.values()])) / 2
        ends = "acetabula" if any(h.socket for h in heads.values()) else "femoral heads"
        for name in _PELVIC_ANGLES:
            vertebra = self.vertebrae.get(name)
            if vertebra is None:
                continue
            to_sacrum, to_vertebra = sacrum.centre - hips, vertebra.frame.centre - hips
            value = float(turn(to_sacrum[None], to_vertebra[None], axis)[0])
            size = vertebra.block.volume.voxel_volume ** (1 / 3)
            errors = [
                np.hypot(e, shake) / np.linalg.norm(x)
                for e, x in ((sacrum.edge_error, to_sacrum), (curve.CENTRE * size, to_vertebra))
            ]
            yield Result(
                what=f"spine.{name.lower()}_pelvic_angle",
                value=Estimate(value, float(np.degrees(np.hypot(*errors)))),
                method=curve.METHOD, level=name, of=(name,), details={"hip_axis": ends},
            )  # fmt: skip
        top = self.vertebrae.get("C7")
        if top is not None and self.posture in UPRIGHT:
            corner = sacrum.frame.to_world([0.0, sacrum.depth / 2, 0.0])
            size = top.block.volume.voxel_volume ** (1 / 3)
            error = float(np.hypot(sacrum.edge_error, curve.CENTRE * size))
            forward = float(corner[1] - top.frame.centre[1])
            sideways = float(top.frame.centre[0] - sacrum.centre[0])
            for what, value in (
                ("sagittal_vertical_axis", forward),
                ("coronal_balance", sideways),
            ):
                yield Result(
                    what=f"spine.{what}", value=Estimate(value, error), method=curve.METHOD,
                    level="C7-S1", of=("C7",),
                )  # fmt: skip

    def _between(self, first: str, last: str) -> tuple[str, ...]:
        """The end vertebrae of a span, whose doubts count."""
        return tuple(n for n in (first, last) if n in self.vertebrae)


def _direction(what: str, value: Estimate) -> dict[str, float | str]:
    """Which way a vertebra slipped, in words, where it did beyond the error."""
    words = {
        "segment.listhesis": ("anterior", "posterior"),
        "segment.lateral_listhesis": ("left", "right"),
    }.get(what)
    if words is None:
        return {}
    low, high = value.interval
    return {"direction": "none beyond its error" if low <= 0 <= high else words[value.value < 0]}


def _negative(angle: curve.Angle) -> curve.Angle:
    value = Estimate(-angle.estimate.value, angle.estimate.error)
    return curve.Angle(first=angle.first, last=angle.last, estimate=value)


def _part(part: curve.Angle, whole: curve.Angle) -> curve.Angle:
    """The part that one angle has in another, in percent."""
    a, b = part.estimate, whole.estimate
    share = 100 * a.value / b.value
    error = 100 / b.value * float(np.hypot(a.error, share / 100 * b.error))
    return curve.Angle(first=whole.first, last=whole.last, estimate=Estimate(share, error))
