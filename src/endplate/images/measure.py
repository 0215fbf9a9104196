"""Measure a spine: every vertebra of a mask, and what the image holds inside it, as facts.

A vertebra that cannot be measured is said to be so, with the reason; nothing is left out in
silence. A doubtful result keeps its number and says what is doubtful.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from endplate import evidence as evidence_of
from endplate import vocabulary
from endplate.evidence import Evidence
from endplate.facts import Fact, InputProblem, Problem, Side, in_order
from endplate.images import (
    bone_quality_score,
    disc,
    disc_grade,
    endplate_band,
    gates,
    hounsfield,
    mask_gates,
    muscle,
    picture,
)
from endplate.images.frame import Block, Bools, blocks
from endplate.images.geometry import QUANTITIES, Geometry
from endplate.images.hounsfield import Density, Interior
from endplate.images.mask_gates import Gates
from endplate.images.metal import Found, metal
from endplate.images.picture import Picture, Shown
from endplate.images.result import Missing, Result
from endplate.images.vertebra import (
    METHOD,
    Estimate,
    NotMeasurable,
    Vertebra,
    measured,
    starts,
)
from endplate.images.volume import Mask, Points, Volume
from endplate.levels import Column, Level, Span
from endplate.levels import level as level_of
from endplate.posture import Posture

# The vertebrae that have a body with two free endplates.
MEASURABLE = Span(Level.C3, Level.L6)
L1_TO_L4 = Span(Level.L1, Level.L4)
EVERYTHING = frozenset(
    {"heights", "geometry", "canal", "attenuation", "totalsegmentator", "bone_quality_score",
     "metal", "pictures", "muscle", "discs"}
)  # fmt: skip
# What is done, in this order, as far as it was asked for.
STEPS = ("gates", "vertebrae", "geometry", "canal", "bone", "muscle", "discs", "pictures")
# What a further image of the same voxels can show.
ROLES = ("fat", "water", "T1", "T2")
# What is measured on the mask alone.
_WITHOUT_IMAGE = frozenset({"heights", "geometry", "canal", "discs"})
# One voxel of so many stands for a body where only its distance from metal is asked.
_EVERY = 7
# Air reads near -1000 HU; no MR has values as low as this.
_ONLY_CT = -500.0
_GRADED = tuple(v for v in Level if v in gates.GRADED)

_METHODS = {
    "ct.hounsfield.three_location": "endplate.ct.three_location/1",
    "ct.hounsfield.axial": "endplate.ct.axial/1",
    "ct.hounsfield.trabecular_volume": "endplate.ct.trabecular_volume/1",
    "ct.hounsfield.totalsegmentator_mean": "totalsegmentator.spine_report/2.18.0",
    "ct.hounsfield.totalsegmentator_median": "totalsegmentator.spine_report/2.18.0",
    "mr.vertebral_bone_quality": "endplate.mr.vertebral_bone_quality/1",
    **{
        f"mr.cervical_bone_quality.{place.lower()}": "endplate.mr.cervical_bone_quality/1"
        for place in bone_quality_score.CERVICAL_FLUID
    },
    "mr.marrow_signal": "endplate.mr.vertebral_bone_quality/1",
    "mr.csf_signal": "endplate.mr.vertebral_bone_quality/1",
}


class UnknownModality(InputProblem):
    """Neither header nor values tell whether an image is a CT or an MR."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Measured:
    """What came out of a measurement.

    Attributes
    ----------
    facts
        All that was measured, in the fixed order.
    pictures
        What was measured, drawn on the image.
    problems
        What could not be measured, and why.
    vertebrae
        The frames, planes and outlines by level, for what builds on them.
    geometry
        Endplates, discs, pelvis and curve, where they were asked for.
    """

    facts: tuple[Fact, ...]
    pictures: tuple[Picture, ...]
    problems: tuple[Problem, ...]
    vertebrae: Mapping[str, Vertebra]
    geometry: Geometry | None = None


def measure(
    image: Volume | None,
    mask: Mask,
    *,
    evidence: Evidence | None = None,
    levels: Collection[str] | None = None,
    posture: Posture | str | None = None,
    modality: str | None = None,
    instrumented: Collection[str] = (),
    quantities: Collection[str] = EVERYTHING,
    body_height: float | None = None,
    also: Mapping[str, Volume] | None = None,
    calibration: disc_grade.Calibration | None = None,
    levels_confirmed: bool = False,
    on_step: Callable[[str], None] = lambda step: None,
) -> Measured:
    """Measure all vertebrae of a mask, or those named.

    Parameters
    ----------
    image
        CT (HU) or T1 MR on the mask's grid; None measures geometry alone.
    mask
        Labels of whole vertebrae or of their bodies.
    levels
        Levels to be measured; by default all from C3 to L6 that are labelled.
    posture
        How the person lay or stood, where the image's header does not tell.
    modality
        ``CT`` or ``MR``, where the image's header does not tell.
    instrumented
        Levels that are known to hold implants; their density is not used.
    quantities
        Which of `EVERYTHING` is wanted.
    body_height
        In cm, for the muscle index.
    also
        Further images on the same voxels, by which of `ROLES` they show.
    calibration
        By which a Pfirrmann grade is suggested; without one none is.
    levels_confirmed
        Whether a person has confirmed on the image which label is which vertebra.
    on_step
        Told which of `STEPS` begins.

    Raises
    ------
    InputProblem
        If the mask does not fit the image, holds no whole-number labels, or the modality
        cannot be told.
    """
    unknown = set(quantities) - EVERYTHING
    if unknown:
        raise ValueError(f"{sorted(unknown)}: are no quantities. Known: {sorted(EVERYTHING)}.")
    posture = None if posture is None else Posture(posture)
    mask = _usable(mask, image)
    if image is not None:
        image = _with_known(image, modality, posture)
    wanted = frozenset(quantities) if image is not None else _WITHOUT_IMAGE & set(quantities)
    run = _Run(
        image=image,
        mask=mask,
        evidence=evidence or evidence_of.shipped(),
        wanted=wanted,
        posture=posture or (image.acquisition.posture if image is not None else None),
        instrumented=frozenset(level_of(n).value for n in instrumented),
        body_height=body_height,
        also=_on_same_grid(also or {}, mask),
        calibration=calibration,
        levels_confirmed=levels_confirmed,
        on_step=on_step,
    )
    return run.all(None if levels is None else [level_of(n).value for n in levels])


# -- what comes in ----------------------------------------------------------------------------


def _usable(mask: Mask, image: Volume | None) -> Mask:
    """The mask with whole-number labels, on the image's grid."""
    volume = mask.volume
    if image is not None and not volume.same_grid(image, float(image.spacing.min()) / 10):
        raise InputProblem(
            f"Mask: cannot be used with this image. It needs the image's grid of "
            f"{_size(image)} voxels in the same place; its own has {_size(volume)}. "
            f"Resample the mask onto the image, or give the image that it was made on."
        )
    if not np.issubdtype(volume.array.dtype, np.integer):
        whole = np.nan_to_num(volume.array)
        if not np.array_equal(whole, np.rint(whole)):
            raise InputProblem(
                "Mask: cannot be read as labels. It needs whole numbers; it holds fractions. "
                "Give the label map itself, not a probability map or an interpolated one."
            )
        volume = replace(volume, array=whole.astype(np.int32))
    return replace(mask, volume=volume)


def _on_same_grid(also: Mapping[str, Volume], mask: Mask) -> Mapping[str, Volume]:
    """The further images, if all of them are registered with the mask."""
    for role, image in also.items():
        if not image.same_grid(mask.volume, float(image.spacing.min()) / 10):
            raise InputProblem(
                f"Image given as {role}: cannot be used with the first image. It needs the same "
                f"grid of {_size(mask.volume)} voxels in the same place; its own has "
                f"{_size(image)}. Register it and resample it onto the first image."
            )
    return also


def _size(volume: Volume) -> str:
    return " x ".join(str(n) for n in volume.array.shape)


def _with_known(image: Volume, modality: str | None, posture: Posture | None) -> Volume:
    """The image with its modality settled."""
    taken = image.acquisition
    known = taken.modality or modality
    if not known:
        with np.errstate(invalid="ignore"):
            lowest = np.nanmin(image.array) if image.array.size else np.nan
        if lowest < _ONLY_CT:
            known = "CT"
    if known not in ("CT", "MR"):
        raise UnknownModality(
            "Image: cannot be measured. It needs to be a CT or a T1 MR; its header does not say "
            "which it is, and its values do not tell. Say which: --modality CT or MR, or "
            'modality = "CT" in case.toml.'
        )
    taken = replace(taken, modality=known, posture=posture or taken.posture)
    return replace(image, acquisition=taken)


# -- the run ----------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class _Run:
    """One measurement on its way: what came in, and what has come out so far."""

    image: Volume | None
    mask: Mask
    evidence: Evidence
    wanted: frozenset[str]
    posture: Posture | None
    instrumented: frozenset[str]
    body_height: float | None
    also: Mapping[str, Volume]
    calibration: disc_grade.Calibration | None
    levels_confirmed: bool
    on_step: Callable[[str], None]
    mask_gates: Gates = field(init=False)
    facts: list[Fact] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    vertebrae: dict[str, Vertebra] = field(default_factory=dict)
    interiors: dict[str, Interior] = field(default_factory=dict)
    bodies: dict[str, Bools] = field(default_factory=dict)
    densities: dict[str, Density] = field(default_factory=dict)
    anchor: str = "not labelled"
    deformity: dict[str, str] = field(default_factory=dict)
    cut: dict[str, Points] = field(default_factory=dict)
    doubts: dict[str, tuple[str, ...]] = field(default_factory=dict)
    geometry: Geometry | None = None

    @property
    def source(self) -> str:
        """Image and mask by name."""
        mask = f"mask {self.mask.volume.name or self.mask.system or 'without a name'}"
        if self.mask.algorithm:
            mask += f" of {self.mask.algorithm}"
        if self.image is None:
            return mask
        # Two scans may have one description: what tells them apart belongs to their source.
        names = dict.fromkeys(n for n in (self.image.name, self.image.uid) if n)
        return f"{' '.join(names) or 'image without a name'}, {mask}"

    def all(self, levels: list[str] | None) -> Measured:
        """Everything that was asked for."""
        self.on_step("gates")
        there = blocks(self.mask)
        names = self._levels(there, levels)
        looked = mask_gates.looked_at(
            self.mask, there, self.image, self.evidence, levels_confirmed=self.levels_confirmed
        )
        self.mask_gates = looked
        self.on_step("vertebrae")
        self._find_vertebrae(there, names)
        self.mask_gates = looked.with_bodies(
            self.vertebrae,
            {
                n: there[n]
                for n in names
                if not (n in self.vertebrae or n in self.cut or looked.refusal(n))
            },
            self.evidence,
            cut=frozenset(n for n in self.vertebrae if there[n].touches),
        )
        self.problems += self.mask_gates.problems(self.source)
        if "heights" in self.wanted:
            self._heights()
        else:
            self._grade_deformities()
        if QUANTITIES & self.wanted:
            self.on_step("geometry")
            self._geometry(there, with_pelvis=levels is None or Level.S1 in levels)
        self._cut_told(there)
        self.on_step("bone")
        found = Found()
        image = self.image
        if image is not None and image.acquisition.modality == "CT":
            if "metal" in self.wanted:
                found = metal(image, there, self.evidence)
                self._metal(found)
            self._attenuation(image, found)
        elif image is not None and "bone_quality_score" in self.wanted:
            self._bone_quality_score(image, there)
        if image is not None and "muscle" in self.wanted:
            self.on_step("muscle")
            self._muscle(image, there)
        if "discs" in self.wanted:
            self.on_step("discs")
            self._discs(image, there)
        return Measured(
            facts=in_order(self.mask_gates.marked(f) for f in self.facts),
            pictures=tuple(self._pictures()) if "pictures" in self.wanted else (),
            problems=tuple(sorted(self.problems)),
            vertebrae=self.vertebrae,
            geometry=self.geometry,
        )

    def _levels(self, there: Mapping[str, Block], asked: list[str] | None) -> list[str]:
        """The vertebrae to be measured, from the head down."""
        labelled = [n for n in there if n in Level.__members__ and n in MEASURABLE]
        if asked is not None:
            sacrum = {"S1"} if {"S1", "sacrum"} & set(there) and QUANTITIES & self.wanted else set()
            for name in sorted(set(asked) - set(labelled) - sacrum, key=Level):
                self._problem(
                    "measurement.level_not_labelled",
                    f"{name}: has no label in the mask"
                    if name in MEASURABLE
                    else f"{name}: is not measured; it has no two free endplates",
                    "Name levels that are labelled, or give a mask that has them.",
                )
        elif not labelled:
            self._problem(
                "measurement.no_vertebra",
                "The mask holds no vertebra from C3 to L6 that has any voxels.",
                "Check that the labels are read by the right label system.",
            )
        chosen = [n for n in labelled if asked is None or n in asked]
        return sorted(chosen, key=Level)

    # -- vertebrae --

    def _find_vertebrae(self, there: Mapping[str, Block], names: list[str]) -> None:
        """Measure each vertebra's frame, and say of each whether the image cuts it."""
        least = self.evidence.row("measurement.least_voxels")
        around = [n for n in there if n in Level.__members__ and (n in MEASURABLE or n == Level.S1)]
        # A stray voxel of a neighbour's label must not turn the line of the spine about.
        around = sorted((n for n in around if not least.met(there[n].count)), key=Level)
        begin = starts(there, around, whole=self.mask.parts != "body")
        self.anchor = "labelled" if {"sacrum", "S1"} & set(there) else "not labelled"
        for name in names:
            block = there[name]
            refused = self.mask_gates.refusal(name)
            part, reason, code = "", refused, "mask_fault" if refused else ""
            if least.met(block.count):
                reason, code = f"its label has only {block.count} voxels", "too_few_voxels"
            elif not refused:
                try:
                    vertebra = measured(name, block, begin[name], self.evidence)
                    part = "body" if name in self.mask.cut else _cut_part(vertebra)
                    if part != "body":
                        self.vertebrae[name] = vertebra
                except NotMeasurable as problem:
                    reason, code = str(problem), "no_body"
            if block.touches and name not in self.vertebrae and not refused:
                part, reason = "body", ""
            doubts = list(self.vertebrae[name].doubts) if name in self.vertebrae else []
            doubts += ["its arch is cut by the field of view"] if part == "arch" else []
            self.doubts[name] = tuple(doubts)
            centre = begin[name].centre if name in begin else block.bulk()
            if part == "body":
                self.cut[name] = centre
                self.doubts[name] = ("the field of view cuts its body",)
                continue  # told when its neighbours are known
            self._place(name, block, centre, part)
            if reason:
                self._not_measured(name, "the vertebra", reason, code)

    def _cut_told(self, there: Mapping[str, Block]) -> None:
        """Of each vertebra whose body the image cuts, what was measured of it and what was not."""
        for name, centre in self.cut.items():
            seen = None if self.geometry is None else self.geometry.cut.get(name)
            shown = "" if seen is None else seen.shown
            self._place(name, there[name], centre, "body", shown)
            self._problem(
                "measurement.cut_by_field_of_view",
                f"{name}: is cut by the field of view; "
                + (f"only its {shown} was measured" if shown else "it was not measured"),
                "Use an image that shows the whole vertebra.",
            )

    def _place(self, name: str, block: Block, centre: Points, part: str, shown: str = "") -> None:
        details: dict[str, float | str] = {
            **{f"centre_{a}": round(float(x), 1) for a, x in zip("xyz", centre, strict=True)},
            "voxels": float(block.count),
            "fragments": round(block.fragments, 3),
            "sacrum": self.anchor,
        }
        if part:
            details["part"] = part
        if shown:
            details["measured"] = shown
        self._fact("vertebra.cut_by_field_of_view", bool(part), level=name, details=details)

    # -- heights and deformity --

    def _heights(self) -> None:
        wide = self._slice_doubts()
        for name, vertebra in self.vertebrae.items():
            doubts = (*self.doubts[name], *wide)
            for which, estimate in vertebra.heights.items():
                self._estimate(
                    f"vertebra.height.{which}", estimate, name, doubts, self._taken(), METHOD
                )
            volume = np.count_nonzero(self._body(name)) * self.mask.volume.voxel_volume / 1000
            self._fact(
                "vertebra.body_volume", volume, level=name, method=METHOD, doubts=doubts,
                details={"width": round(vertebra.width, 2), "depth": round(vertebra.depth, 2)},
            )  # fmt: skip
        for name, (losses, reference) in self._grade_deformities().items():
            doubts = (*self.doubts[name], *wide)
            for what, estimate in losses.items():
                details = dict(self._taken())
                if what == "vertebra.crush":
                    details["reference"] = reference
                self._estimate(what, estimate, name, doubts, details, METHOD)
            if name in self.deformity:
                self._genant(name, losses, reference, doubts)

    def _genant(
        self,
        name: str,
        losses: Mapping[str, Estimate],
        reference: str,
        doubts: tuple[str, ...],
    ) -> None:
        worst = max(losses, key=lambda what: losses[what].value)
        low, high = losses[worst].interval
        grades = [gates.genant_grade(x, self.evidence)[0] for x in (low, high)]
        details: dict[str, float | str] = {
            "worst": worst,
            "loss": round(losses[worst].value, 1),
            "grade_low": grades[0],
            "grade_high": grades[1],
            "crush": f"against {reference}"
            if reference
            else "not assessed: too few sound vertebrae near it",
        }
        if grades[0] != grades[1]:
            doubts = (*doubts, f"the error of the heights reaches from {grades[0]} to {grades[1]}")
        self._fact(
            "vertebra.genant_grade", self.deformity[name], level=name, method=METHOD,
            doubts=doubts, details=details,
        )  # fmt: skip

    def _grade_deformities(self) -> dict[str, tuple[dict[str, Estimate], str]]:
        """Losses of height by level, and the neighbours that crush was measured against."""
        mild = self.evidence.row("measurement.genant.mild")
        edges = {name: self._edges(vertebra) for name, vertebra in self.vertebrae.items()}
        found: dict[str, tuple[dict[str, Estimate], str]] = {}
        for name, (front, back) in edges.items():
            losses = {
                "vertebra.wedge": _loss(front, back),
                "vertebra.biconcavity": _loss(self.vertebrae[name].heights["middle"], back),
            }
            found[name] = (losses, "")
        column = Column.of([Level(n) for n in self.vertebrae])
        sound = {
            Level(n)
            for n, (x, _) in found.items()
            if not any(mild.met(e.value) for e in x.values())
        }

        def crush(level: Level) -> tuple[Estimate, list[Level]] | None:
            near = gates.crush_references(level, sound, column, self.evidence)
            if not near:
                return None
            backs = [edges[n.value][1] for n in near]
            error = float(np.sqrt(sum(x.error**2 for x in backs))) / len(backs)
            reference = Estimate(float(np.mean([x.value for x in backs])), error)
            return _loss(edges[level.value][1], reference), near

        # Crushed vertebrae beside each other look sound against each other: the lowest one is
        # left out, and what is left is measured anew.
        while True:
            losses_of = {v: c[0].value for v in sound & set(_GRADED) if (c := crush(v)) is not None}
            worst = max(losses_of, key=lambda v: (losses_of[v], v), default=None)
            if worst is None or not mild.met(losses_of[worst]):
                break
            sound.discard(worst)
        for name, (losses, _) in list(found.items()):
            if Level(name) not in gates.GRADED:
                continue
            measured_against = crush(Level(name))
            if measured_against is not None:
                losses["vertebra.crush"], near = measured_against
                found[name] = (losses, ", ".join(near))
            greatest = max(e.value for e in losses.values())
            self.deformity[name] = gates.genant_grade(greatest, self.evidence)[0]
        return found

    def _edges(self, vertebra: Vertebra) -> tuple[Estimate, Estimate]:
        """The heights at the front and the back edge of a body."""
        heights = vertebra.heights
        values = gates.at_edges({n: e.value for n, e in heights.items()}, self.evidence)
        errors = gates.edge_errors({n: e.error for n, e in heights.items()}, self.evidence)
        return Estimate(values[0], errors[0]), Estimate(values[1], errors[1])

    # -- geometry --

    def _geometry(self, there: Mapping[str, Block], *, with_pelvis: bool) -> None:
        """Discs, canal, pelvis and curve, as far as they are there."""
        geometry = Geometry(
            self.vertebrae, there, self.evidence, self.posture,
            with_arches=self.mask.parts != "body", with_pelvis=with_pelvis,
            cut={n: there[n] for n in self.cut if n not in self.mask.cut},
        )  # fmt: skip
        self.geometry = geometry
        self._take(
            geometry.results(self.wanted, self.on_step), details={}, doubts=self._slice_doubts()
        )

    def _doubts_of(self, name: str, level: str | None) -> list[str]:
        """A vertebra's doubts, by its name where they are told of something larger."""
        return [d if level == name else f"{name}: {d}" for d in self.doubts.get(name, ())]

    # -- attenuation --

    def _attenuation(self, image: Volume, found: Found) -> None:
        taken = self._taken()
        usual = self._scan_doubts()
        if not self.wanted & {"attenuation", "totalsegmentator"}:
            return
        for name, vertebra in self.vertebrae.items():
            if "attenuation" in self.wanted:
                self.interiors[name] = Interior(vertebra, image, self.evidence)
            usable, reasons = self._usable_at(name, found)
            details = {**taken, **usable}
            doubts = (*self.doubts[name], *usual, *reasons)
            if "attenuation" in self.wanted:
                self._regions(name, details, doubts)
            if "totalsegmentator" in self.wanted:
                self._totalsegmentator(name, vertebra, image, details, doubts)
        if "attenuation" in self.wanted:
            for what in ("ct.hounsfield.three_location", "ct.hounsfield.axial"):
                self._lumbar_mean(what)

    def _usable_at(self, name: str, found: Found) -> tuple[dict[str, str], tuple[str, ...]]:
        """Whether a level's density may be used, and what speaks against it."""
        limit = self.evidence.row("measurement.metal.distance")
        searched = "metal" in self.wanted
        # To the body, where density is measured: a screw in the next level is farther off.
        near = bool(found.places) and limit.met(found.distance(self._body_points(name)))
        details = {"metal": ("near" if near else "none") if searched else "unknown"}
        reasons = [f"there is metal within {limit.number:g} mm"] if near else []
        if name in self.instrumented:
            details["metal"] = "near"
            reasons.append("it holds an implant")
        spot = self.evidence.row("measurement.hounsfield.focus")
        if name in self.interiors and spot.met(self.interiors[name].focus):
            reasons.append("a part of its trabecular bone is far from the density of the rest")
        grade = self.deformity.get(name, "none")
        if grade != "none":
            reasons.append(f"it is deformed ({grade})")
        details["usable"] = "no" if reasons else "yes"
        return details, tuple(reasons)

    def _body(self, name: str) -> Bools:
        if name not in self.bodies:
            whole = self.mask.parts != "body"
            self.bodies[name] = body_voxels(self.vertebrae[name], whole=whole)
        return self.bodies[name]

    def _body_points(self, name: str) -> Points:
        index = np.argwhere(self._body(name))[::_EVERY]
        return self.vertebrae[name].block.to_world(index)

    def _regions(
        self,
        name: str,
        details: Mapping[str, float | str],
        doubts: tuple[str, ...],
    ) -> None:
        """Attenuation by the three definitions of ours."""
        interior = self.interiors[name]
        for what, density_of in (
            ("ct.hounsfield.three_location", interior.three_location),
            ("ct.hounsfield.axial", interior.axial),
            ("ct.hounsfield.trabecular_volume", interior.trabecular_volume),
        ):
            try:
                density = density_of()
            except NotMeasurable as problem:
                concept = vocabulary.concept(what).name
                self._not_measured(name, concept, str(problem), "too_few_voxels")
                continue
            if what == "ct.hounsfield.three_location":
                self.densities[name] = density
            more: dict[str, float | str] = {
                "mean": round(density.mean, 2),
                "median": round(density.median, 2),
                "sd": round(density.sd, 2),
                "voxels": float(density.voxels),
                "margin_mm": round(interior.margin, 2),
                "noise_correlation": round(interior.inflation, 2),
                **{k: round(x, 2) for k, x in density.parts.items()},
            }
            self._estimate(
                what, density.estimate, name, (*doubts, *density.doubts), {**details, **more},
                _METHODS[what],
            )  # fmt: skip

    def _totalsegmentator(
        self,
        name: str,
        vertebra: Vertebra,
        image: Volume,
        details: Mapping[str, float | str],
        doubts: tuple[str, ...],
    ) -> None:
        whole = self.mask.parts != "body"
        try:
            mean, median, count = hounsfield.totalsegmentator(
                self._body(name), image, vertebra.block.start, self.evidence
            )
        except NotMeasurable as problem:
            self._not_measured(
                name, "attenuation by TotalSegmentator's definition", str(problem),
                "too_few_voxels",
            )  # fmt: skip
            return
        cut = "cut from the whole vertebra by Endplate" if whole else "as labelled"
        more: dict[str, float | str] = {"voxels": float(count), "body": cut}
        for statistic, value in (("mean", mean), ("median", median)):
            what = f"ct.hounsfield.totalsegmentator_{statistic}"
            self._fact(
                what, value, level=name, method=_METHODS[what], doubts=doubts,
                details={**details, **more},
            )  # fmt: skip

    def _lumbar_mean(self, what: str) -> None:
        """The mean of L1-L4, of the levels that may be used."""
        facts = {f.level: f for f in self.facts if f.what == what and f.level in L1_TO_L4}
        used = {n: f for n, f in facts.items() if f.details.get("usable") == "yes" and n}
        if len(used) < self.evidence.row("measurement.hounsfield.least_levels").number:
            return
        names = sorted((n for n in used if n), key=Level)
        errors = [_error(used[n]) for n in names]
        estimate = Estimate(
            float(np.mean([used[n].number for n in names])),
            float(np.sqrt(np.square(errors).sum())) / len(names),
        )
        every = [v.value for v in Column().within(L1_TO_L4)]
        out = [n for n in every if n not in used]
        details: dict[str, float | str] = {
            **self._taken(), "levels": ", ".join(names), "left_out": ", ".join(out),
            "usable": "yes", "metal": "none",
        }  # fmt: skip
        if self.wanted & {"metal"} == frozenset():
            details["metal"] = "unknown"
        doubts = tuple(dict.fromkeys(d for n in names for d in used[n].doubts))
        self._estimate(what, estimate, str(L1_TO_L4), doubts, details, _METHODS[what])

    def _metal(self, found: Found) -> None:
        for one in found.places:
            details: dict[str, float | str] = {
                "voxels": float(one.voxels),
                "highest": one.highest,
                "volume_ml": round(one.voxels * self.mask.volume.voxel_volume / 1000, 2),
                **{
                    f"centre_{a}": round(float(x), 1)
                    for a, x in zip("xyz", one.centre, strict=True)
                },
            }
            self._fact("imaging.metal", one.place, level=one.level, side=one.side, details=details)

    # -- bone quality score --

    def _bone_quality_score(self, image: Volume, there: Mapping[str, Block]) -> None:
        taken = self._taken()
        marrows: dict[str, bone_quality_score.Signal] = {}
        for name, vertebra in self.vertebrae.items():
            interior = self.interiors[name] = Interior(vertebra, image, self.evidence)
            try:
                signal = bone_quality_score.marrow(interior, self.evidence)
            except NotMeasurable as problem:
                self._not_measured(name, "its marrow signal", str(problem), "too_few_voxels")
                continue
            usable, reasons = self._usable_at(name, Found())
            if usable["usable"] == "yes":
                marrows[name] = signal
            details: dict[str, float | str] = {**taken, **usable, "voxels": float(signal.voxels)}
            doubts = (*self.doubts[name], *reasons)
            self._estimate("mr.marrow_signal", signal.estimate, name, doubts, details,
                           _METHODS["mr.marrow_signal"])  # fmt: skip
        if set(bone_quality_score.CERVICAL) & set(self.vertebrae):
            self._cervical_scores(image, there, marrows)
            if not set(bone_quality_score.MARROW_LEVELS) & set(there):
                return
        self._lumbar_score(image, there, marrows)

    def _cervical_scores(
        self,
        image: Volume,
        there: Mapping[str, Block],
        marrows: Mapping[str, bone_quality_score.Signal],
    ) -> None:
        usable = [n for n in ("C2", *self.vertebrae) if n not in self.instrumented]
        found = bone_quality_score.cervical(
            image, there, self.vertebrae, marrows, usable, self.evidence
        )
        for place, score in found.items():
            if not isinstance(score, str):
                what = f"mr.cervical_bone_quality.{place.lower()}"
                self._score(score, score.fluid, what, bone_quality_score.CERVICAL, "C3-C6")
        reasons = dict.fromkeys(s for s in found.values() if isinstance(s, str))
        for reason in reasons:
            places = ", ".join(p for p, s in found.items() if s == reason)
            self._problem(
                "measurement.cervical_bone_quality",
                f"The cervical bone quality score with the fluid at {places} was not measured: "
                f"{reason}",
                "Give a mask of C2 to T1 and of the fluid, on a T1 image.",
            )

    def _lumbar_score(
        self,
        image: Volume,
        there: Mapping[str, Block],
        usable_marrows: Mapping[str, bone_quality_score.Signal],
    ) -> None:
        taken = self._taken()
        lumbar = bone_quality_score.MARROW_LEVELS
        marrows = {n: s for n, s in usable_marrows.items() if n in lumbar}
        try:
            fewest = self.evidence.row("measurement.vbq.least_levels").number
            if len(marrows) < fewest:
                raise NotMeasurable(
                    f"{len(marrows) or 'none'} of L1 to L4 can be used, and {fewest:g} are needed"
                )
            usable_fluid = [n for n in self.vertebrae if n not in self.instrumented]
            fluid = bone_quality_score.fluid(
                image, there, self.vertebrae, usable_fluid, self.evidence
            )
            score = bone_quality_score.score(marrows, fluid)
        except NotMeasurable as problem:
            self._problem(
                "measurement.bone_quality_score",
                f"The vertebral bone quality score was not measured: {problem}",
                "Give a mask of the bodies of L1-L4 and of the fluid, on a T1 image.",
            )
            return
        self._estimate(
            "mr.csf_signal", fluid.estimate, fluid.level, fluid.doubts,
            {**taken, "voxels": float(fluid.voxels)}, _METHODS["mr.csf_signal"],
        )  # fmt: skip
        self._score(score, fluid, "mr.vertebral_bone_quality", lumbar, str(L1_TO_L4))
        known = {n: self.doubts[n] for n in self.vertebrae if n in usable_marrows}
        self._take(
            endplate_band.endplate_quality(
                image, self.vertebrae, known, fluid, self.evidence,
                tuple(self._acquisition_doubts()),
            )
        )  # fmt: skip

    def _score(
        self,
        score: bone_quality_score.Score,
        fluid: bone_quality_score.Signal,
        what: str,
        wanted: Sequence[str],
        level: str,
    ) -> None:
        names = sorted(score.marrow, key=Level)
        out = [n for n in wanted if n not in names]
        doubts = list(fluid.doubts)
        doubts += [f"{', '.join(out)} could not be used"] if out else []
        doubts += self._acquisition_doubts()
        for name in names:
            doubts += [f"{name}: {d}" for d in self.doubts.get(name, ())]
        details: dict[str, float | str] = {
            **self._taken(), "levels": ", ".join(names), "left_out": ", ".join(out),
            "csf_level": fluid.level,
        }  # fmt: skip
        self._estimate(what, score.estimate, level, tuple(doubts), details, _METHODS[what])

    def _acquisition_doubts(self) -> list[str]:
        assert self.image is not None
        taken = self.image.acquisition
        doubts = []
        for name, value in (
            ("repetition_time", taken.repetition_time),
            ("echo_time", taken.echo_time),
        ):
            said = name.replace("_", " ")
            rows = [self.evidence.row(f"measurement.vbq.{name}_{end}") for end in ("from", "to")]
            if value is None:
                doubts.append(f"its {said} is unknown")
            elif not all(row.met(value) for row in rows):
                doubts.append(f"its {said} of {value:g} ms is outside what norms exist for")
        if taken.contrast:
            doubts.append("contrast was given")
        return doubts

    # -- muscle --

    def _muscle(self, image: Volume, there: Mapping[str, Block]) -> None:
        known = (there, self.vertebrae, self.evidence)
        doubts = muscle.Doubts(area=self._slice_doubts(), density=self._scan_doubts())
        if image.acquisition.modality == "CT":
            self._take(muscle.on_ct(image, *known, doubts, self.body_height))
        else:
            weighting = bone_quality_score.weighting(image.acquisition, self.evidence)
            self._take(muscle.on_mr(image, *known, doubts, weighting))
        if {"fat", "water"} <= set(self.also):
            fat, water = self.also["fat"], self.also["water"]
            self._take(muscle.on_dixon(fat, water, *known), fat)

    # -- discs and endplates --

    def _discs(self, image: Volume | None, there: Mapping[str, Block]) -> None:
        slices = self._slice_doubts()
        # A cut vertebra bounds a disc where its endplate there is whole.
        shown = self.cut if self.geometry is None else self.geometry.cut
        bones = {n: b for n, b in there.items() if n not in self.cut or n in shown}
        known = list(disc.discs(bones, self.vertebrae))
        self._take(d for d in known if isinstance(d, Missing))
        every = [d for d in known if isinstance(d, disc.Disc)]
        heights = [disc.height_index(d, self.evidence, (*slices, *self._beside(d))) for d in every]
        self._take(heights)
        if image is None or image.acquisition.modality != "MR":
            return
        weighting = bone_quality_score.weighting(image.acquisition, self.evidence)
        images = {w: v for w, v in {weighting: image, **self.also}.items() if w in ("T1", "T2")}
        if "T2" in images or weighting != "T1":
            doubts = {"T2": (), "unknown": ("whether the image is T2-weighted is unknown",)}.get(
                "T2" if "T2" in images else weighting, ("the image is not T2-weighted",)
            )
            self._disc_signals(images.get("T2", image), there, every, heights, (*slices, *doubts))
        if len(images) == 2:
            for name, one in images.items():
                self._take(
                    endplate_band.signal_ratios(
                        {name: one}, self.vertebrae, self.evidence, self.doubts
                    ),
                    one,
                )

    def _disc_signals(
        self,
        image: Volume,
        there: Mapping[str, Block],
        every: Sequence[disc.Disc],
        heights: Sequence[Result | Missing],
        doubts: tuple[str, ...],
    ) -> None:
        """The signals of the discs, and what a calibration makes of them and the heights."""
        usable = [n for n in self.vertebrae if n not in self.instrumented]
        fluid = disc.reference_fluid(image, there, self.vertebrae, usable, self.evidence)
        found = [
            signal
            for one in every
            for signal in disc.signals(
                one, image, fluid, self.evidence, (*doubts, *self._beside(one))
            )
        ]
        self._take(found, image)
        if self.calibration is not None:
            ready = [r for r in (*heights, *found) if isinstance(r, Result)]
            self._take(
                [disc_grade.suggestion(d.level, ready, self.calibration) for d in every], image
            )

    def _beside(self, one: disc.Disc) -> list[str]:
        """What is doubtful about the vertebrae beside a disc."""
        return [f"{n}: {d}" for n in one.level.split("-") for d in self.doubts.get(n, ())]

    def _take(
        self,
        results: Iterable[Result | Missing],
        image: Volume | None = None,
        *,
        details: Mapping[str, float | str] | None = None,
        doubts: tuple[str, ...] = (),
    ) -> None:
        """Results as facts with what is known of the acquisition; what is missing as problems.

        Parameters
        ----------
        image
            The one that was measured, where it is not the first.
        details
            What is said instead of the acquisition, on which the shape of bone does not depend.
        doubts
            Of all of them.
        """
        taken = dict(self._taken(image) if details is None else details)
        if image is not None and image is not self.image:
            taken["image"] = image.name or "a further image"
        for one in results:
            if isinstance(one, Missing):
                says = f"{one.what} was not measured: {one.reason}"
                self._problem(f"measurement.{one.code}", says, one.try_)
                continue
            inherited = [d for name in one.of for d in self._doubts_of(name, one.level)]
            known, spoken = {**taken, **one.details}, (*one.doubts, *inherited, *doubts)
            if isinstance(one.value, Estimate):
                self._estimate(one.what, one.value, one.level, spoken, known, one.method, one.side)
            else:
                self._fact(
                    one.what, one.value, level=one.level, side=one.side, doubts=spoken,
                    details=known, method=one.method,
                )  # fmt: skip

    # -- pictures --

    def _pictures(self) -> Iterator[Picture]:
        if self.image is None or not self.vertebrae:
            return
        self.on_step("pictures")
        by_level = {
            f.level: f for f in self.facts if f.what in ("ct.hounsfield.three_location",
                                                         "mr.marrow_signal")
        }  # fmt: skip
        shown = []
        for name, vertebra in self.vertebrae.items():
            fact, density = by_level.get(name), self.densities.get(name)
            caption = "" if fact is None else f"{fact.number:.0f}"
            if fact is not None and fact.what.startswith("ct."):
                caption += " HU"
            lines = hounsfield.outlines(self.interiors[name]) if density is not None else []
            values = [f"{x:.0f} HU" for x in density.parts.values()] if density else []
            shown.append(Shown(vertebra=vertebra, caption=caption, outlines=lines, values=values))
        yield picture.sagittal(self.image, shown, cut=self.cut)
        if any(s.outlines for s in shown):
            yield picture.across(self.image, shown)
        if self.geometry is not None and len(self.vertebrae) > 1:
            yield picture.curve(self.image, self.geometry, self._cobb())

    def _cobb(self) -> list[dict[str, str]]:
        """The frontal curves that are large enough to be drawn."""
        least = self.evidence.row("measurement.curve.least")
        found = []
        for fact in self.facts:
            if fact.what == "spine.coronal_cobb_angle" and least.met(fact.number) and fact.level:
                first, last = fact.level.split("-")
                says = f"{fact.number:.0f}°" + (f" convex {fact.side}" if fact.side else "")
                found.append({"first": first, "last": last, "says": says})
        return found

    # -- facts --

    def _taken(self, image: Volume | None = None) -> dict[str, float | str]:
        """What is known of the acquisition, and what is not, for every density."""
        image = image or self.image
        if image is None:
            return {}
        taken = image.acquisition
        contrast = "unknown" if taken.contrast is None else "yes" if taken.contrast else "no"
        known: dict[str, float | str | None] = {
            "modality": taken.modality,
            "contrast": contrast,
            "slice_spacing": round(float(image.spacing[image.slice_axis]), 3),
            "spacing_smallest": round(float(image.spacing.min()), 3),
            "scanner": taken.scanner,
        }
        if taken.modality == "CT":
            known |= {"tube_voltage": taken.tube_voltage, "kernel": taken.kernel}
        else:
            known |= {
                "field_strength": taken.field_strength, "repetition_time": taken.repetition_time,
                "echo_time": taken.echo_time, "sequence": taken.sequence,
            }  # fmt: skip
        return {k: "unknown" if v is None else v for k, v in known.items()}

    def _slice_doubts(self) -> tuple[str, ...]:
        spacing = float(self.mask.volume.spacing.max())
        wide = self.evidence.row("measurement.slice_spacing").met(spacing)
        return (f"its slices are {spacing:.3g} mm apart",) if wide else ()

    def _scan_doubts(self) -> tuple[str, ...]:
        """What of the acquisition speaks against any attenuation measured on it."""
        assert self.image is not None
        taken = self.image.acquisition
        doubts = list(self._slice_doubts())
        valid = self.evidence.row("bone.hounsfield.tube_voltage.valid").number
        if taken.contrast:
            doubts.append("contrast was given")
        if taken.tube_voltage is not None and taken.tube_voltage != valid:
            doubts.append(f"it was taken at {taken.tube_voltage:g} kV, not {valid:g}")
        if taken.kernel and gates.kernel_kind(taken.kernel, self.evidence) == "sharp":
            doubts.append(f"its kernel {taken.kernel} is sharp")
        doubts += [
            f"the image was found to have {p.replace('_', ' ')}" for p in self.image.problems
        ]
        return tuple(doubts)

    def _estimate(
        self,
        what: str,
        estimate: Estimate,
        level: str | None,
        doubts: tuple[str, ...],
        details: Mapping[str, float | str],
        method: str,
        side: Side | None = None,
    ) -> None:
        """A fact with its interval; refused where no person can have such a value."""
        low, high = (float(x) for x in estimate.interval)
        self._fact(
            what, estimate.value, level=level, side=side, interval=(low, high), doubts=doubts,
            details={**details, "standard_error": round(float(estimate.error), 3)}, method=method,
        )  # fmt: skip

    def _fact(
        self,
        what: str,
        value: float | str | bool,
        *,
        level: str | None = None,
        side: Side | None = None,
        interval: tuple[float, float] | None = None,
        doubts: Sequence[str] = (),
        details: Mapping[str, float | str] | None = None,
        method: str | None = METHOD,
    ) -> None:
        concept = vocabulary.concept(what)
        if concept.kind == "number":
            number = float(value)
            if concept.plausible and not concept.plausible[0] <= number <= concept.plausible[1]:
                self._not_measured(
                    level, concept.name, "the value found is not one that a person can have",
                    "implausible",
                )  # fmt: skip
                return
            value = round(number, 3)
            if interval and concept.plausible:  # no share of less than nothing
                ends = concept.plausible
                interval = (max(interval[0], ends[0]), min(interval[1], ends[1]))
            interval = interval and (round(interval[0], 3), round(interval[1], 3))
        self.facts.append(
            Fact(
                what=what,
                value=value,
                unit=concept.unit if concept.kind == "number" else "",
                on=self.image.acquisition.on if self.image is not None else None,
                level=level,
                side=side,
                source=self.source,
                method=method,
                interval=interval,
                posture=self.posture,
                quality="doubtful" if doubts else "ok",
                doubts=tuple(dict.fromkeys(doubts)),
                details=details or {},
            )
        )

    def _not_measured(self, level: str | None, what: str, reason: str, code: str) -> None:
        if level is not None:
            self._fact(
                "vertebra.not_measured", reason, level=level, details={"what": what, "reason": code}
            )
        self._problem(
            f"measurement.{code}",
            f"{f'{level}: ' if level else ''}{what} was not measured: {reason}",
            "Check the labels on the image.",
        )

    def _problem(self, id: str, says: str, try_: str) -> None:
        self.problems.append(Problem(problem=id, says=says + ".", where=self.source, try_=(try_,)))


def _loss(height: Estimate, reference: Estimate) -> Estimate:
    """The loss of a height against a reference, in percent."""
    ratio = height.value / reference.value
    spread = np.hypot(height.error / height.value, reference.error / reference.value)
    return Estimate(100 * (1 - ratio), float(100 * ratio * spread))


def _error(fact: Fact) -> float:
    return float(fact.details["standard_error"])


def body_voxels(vertebra: Vertebra, *, whole: bool) -> Bools:
    """The body's voxels in its block: as labelled, or what lies before the posterior wall."""
    block = vertebra.block
    if not whole or block.body is not block:
        return block.body.inside
    # How far behind the wall a voxel lies is linear in its index, so it is added up by axes.
    across = vertebra.frame.axes @ np.array([0.0, 1.0, -vertebra.wall[1]])
    per_voxel = across @ block.volume.affine[:3, :3]
    start = across @ (block.to_world(np.zeros(3)) - vertebra.frame.centre)
    i, j, k = (np.arange(n) * d for n, d in zip(block.inside.shape, per_voxel, strict=True))
    behind = i[:, None, None] + j[:, None] + k + start
    return np.asarray(block.inside & (behind <= vertebra.wall[0]))


def _cut_part(vertebra: Vertebra) -> str:
    """Which part of a vertebra the border of the image cuts: ``body``, ``arch`` or nothing."""
    block = vertebra.block
    if not block.touches:
        return ""
    if block.body is not block:
        return "body" if block.body.touches else "arch"
    index = np.argwhere(block.inside)
    at = index + block.start
    last = np.array(block.volume.array.shape) - 1
    border = ((at == 0) | (at == last)).any(axis=1)
    local = vertebra.frame.to_local(block.to_world(index[border]))
    wall = vertebra.wall[0] + vertebra.wall[1] * local[:, 2]
    return "body" if (local[:, 1] <= wall).any() else "arch"
