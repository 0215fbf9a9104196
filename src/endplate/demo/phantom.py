"""A phantom spine: a CT or T1 MR image with its masks, made from formulas, with its truth known.

Nothing in it is a patient. It is the ruler of the tests (every height, angle, density and side
is known exactly) and the image of the demonstration case.

A vertebra is built in its own frame, ``u`` to the left, ``v`` to the back, ``w`` to the head,
with the origin in the middle of its body. The body is a superelliptic cylinder of degree 3 with
a waist; its endplates are planes that enclose the wedge angle, each with a parabolic dip. Heights
are known at the very positions, and over the very windows, at which `endplate.images` measures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from endplate import evidence, levels
from endplate.images import gates
from endplate.images.frame import Frame, Plane
from endplate.images.volume import Acquisition, Mask, Volume
from endplate.levels import USUAL, Column, Level
from endplate.posture import Posture

Vector = npt.NDArray[np.float64]
Grid = npt.NDArray[Any]
Solid = Callable[[Grid, Grid, Grid], npt.NDArray[np.uint8]]

# Width, depth and height of the bodies in mm, their wedge angle (anterior taller is positive) and
# the height and angle of the disc below: plausible, and nobody's.
SHAPES: Mapping[str, tuple[float, float, float, float, float, float]] = {
    "C2": (18, 16, 20, 0, 5.0, 2),
    "C3": (17, 15.5, 14, -1, 5.0, 3),
    "C4": (17.5, 15.5, 13.5, -1, 5.0, 3),
    "C5": (18, 15.5, 13, -1, 5.0, 3),
    "C6": (20, 16, 13, -1, 5.5, 3),
    "C7": (23, 16.5, 14, -1, 5.0, 0),
    "T1": (29, 18, 16, -2, 4.5, -3),
    "T2": (28, 19, 17, -2, 4.0, -3),
    "T3": (27, 20, 17.5, -3, 4.0, -2),
    "T4": (26, 21, 18, -3, 4.0, -2),
    "T5": (26, 22, 18.5, -3, 4.0, -2),
    "T6": (27, 24, 19, -4, 4.5, -2),
    "T7": (28, 25, 19.5, -4, 4.5, -1),
    "T8": (29, 26, 20, -4, 4.5, -1),
    "T9": (30, 27, 21, -3, 5.0, 0),
    "T10": (32, 28, 22, -3, 5.5, 0),
    "T11": (34, 29, 23, -3, 6.0, 1),
    "T12": (37, 30, 24.5, -2, 6.5, 2),
    "T13": (38, 30, 25, -2, 7.0, 3),
    "L1": (40, 31, 26, -2, 7.5, 5),
    "L2": (42, 32, 26.5, 0, 8.5, 7),
    "L3": (44, 33, 27, 1, 9.5, 9),
    "L4": (47, 34, 27, 2, 10.5, 12),
    "L5": (49, 34.5, 26.5, 8, 10.0, 15),
    "L6": (50, 34.5, 26, 9, 9.5, 15),
}

TISSUES_CT: Mapping[str, float] = {
    "air": -1000, "fat": -100, "soft": 45, "vessel": 45, "vessel_enhanced": 230, "disc": 85,
    "csf": 8, "cord": 38, "cortex": 420, "arch": 330, "pelvis": 260, "femur": 240, "metal": 3071,
    "muscle": 52,
}  # fmt: skip
TISSUES_T1: Mapping[str, float] = {
    "air": 0, "fat": 900, "soft": 300, "vessel": 120, "vessel_enhanced": 800, "disc": 260,
    "csf": 150, "cord": 330, "cortex": 60, "arch": 320, "pelvis": 450, "femur": 480, "metal": 0,
    "muscle": 250,
}  # fmt: skip
TISSUES_T2: Mapping[str, float] = {
    "air": 0, "fat": 700, "soft": 220, "vessel": 30, "vessel_enhanced": 30, "disc": 380,
    "csf": 1000, "cord": 330, "cortex": 40, "arch": 260, "pelvis": 300, "femur": 310, "metal": 0,
    "muscle": 140,
}  # fmt: skip
# What a fat and a water image show: all signal of fat in the one, of the rest in the other.
TISSUES_FAT: Mapping[str, float] = {
    **dict.fromkeys(TISSUES_T1, 0.0), "fat": 500, "arch": 200, "pelvis": 250, "femur": 250,
}  # fmt: skip
TISSUES_WATER: Mapping[str, float] = {
    **dict.fromkeys(TISSUES_T1, 500.0), "air": 0, "fat": 0, "cortex": 20, "arch": 200,
    "metal": 0,
}  # fmt: skip
_WEIGHTED = {"T1": TISSUES_T1, "T2": TISSUES_T2, "fat": TISSUES_FAT, "water": TISSUES_WATER}
# Repetition and echo time in ms, and the sequence's name.
_TIMES = {
    "T1": (600.0, 10.0, "T1 spin echo"), "T2": (3500.0, 100.0, "T2 turbo spin echo"),
    "fat": (6.0, 2.4, "Dixon, fat"), "water": (6.0, 2.4, "Dixon, water"),
}  # fmt: skip
_SKIN_SEMI_AXES = (170.0, 120.0)  # of the trunk's outline, mm
_FAT_THICKNESS = 18.0
_TRUNK_MIDDLE = -28.0  # of that outline, along P
_WALL = ((148.0, 98.0), (138.0, 88.0))  # semi-axes of the abdominal wall, outside and inside, mm
_SUBVOXEL = 0.6  # mm: how finely a voxel is divided where a surface runs through it


# -- what is asked for ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """The shape of one vertebral body and what it is filled with.

    Attributes
    ----------
    width, depth, height
        Left to right and front to back at the endplates; height in the middle of the flat
        planes; mm.
    wedge
        Angle between the endplates in degrees, positive where the front is taller.
    dip
        Depth of each endplate's hollow, mm.
    waist
        By which part the body is narrower at mid-height.
    cortex
        Thickness of the shell and of the endplates, mm.
    hounsfield, marrow
        What the trabecular interior measures on CT (HU) and on T1 MR.
    """

    width: float
    depth: float
    height: float
    wedge: float = 0.0
    dip: float = 1.0
    waist: float = 0.08
    cortex: float = 1.0
    hounsfield: float = 140.0
    marrow: float = 400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fracture:
    """One fractured vertebra: the kind, and the loss of height in percent, as it is measured."""

    kind: Literal["wedge", "biconcave", "crush"]
    loss: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Scoliosis:
    """A coronal curve between two end vertebrae, with rotation of the apex towards its side."""

    upper: str = "T11"
    lower: str = "L4"
    cobb: float = 30.0
    rotation: float = 15.0
    convex: Literal["left", "right"] = "left"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pelvis:
    """Pelvic incidence and sacral slope in degrees, hip axis and femoral heads in mm."""

    incidence: float = 52.0
    sacral_slope: float = 38.0
    hip_to_sacrum: float = 112.0
    hip_distance: float = 168.0
    head_radius: float = 23.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Muscles:
    """Psoas and paraspinal muscles as elliptic columns beside one vertebra, and a wall of muscle.

    Attributes
    ----------
    level
        The vertebra that they stand beside, square to the person's long axis.
    psoas, paraspinal
        Semi-axes (mm): from left to right and from front to back, of the right muscle.
    left
        The left muscles' size in parts of the right ones'.
    fat
        Which part of each muscle's area is fat: a core of it.
    wall
        Whether there is an abdominal wall of muscle.
    reach
        How far they go up and down from the middle of the vertebra, mm.
    """

    level: str = "L3"
    psoas: tuple[float, float] = (16.0, 21.0)
    paraspinal: tuple[float, float] = (22.0, 12.0)
    left: float = 0.9
    fat: float = 0.1
    wall: bool = False
    reach: float = 32.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Spine:
    """The anatomy that is asked for.

    Attributes
    ----------
    first, last
        The vertebrae from head to foot that there are above the sacrum.
    column
        How many thoracic and lumbar vertebrae the person has.
    bodies
        Changes to single bodies: level → names and values of `Body`.
    hounsfield, marrow
        Level → trabecular HU, level → T1 signal; or one number for all.
    fractures
        Level → fracture.
    slips
        Level → how far it, and all above it, stands forwards and to the left on the one below, mm.
    scoliosis, lordosis
        A coronal curve; L1-S1 lordosis in degrees where the usual one is not wanted.
    pelvis
        None leaves out sacrum, hips and femurs.
    arches
        Whether vertebrae have arches, or are bodies alone.
    screws, hip_metal
        Levels with a pedicle screw on either side; the side of a hip prosthesis.
    turned
        Rotation matrix by which the whole person is turned in patient coordinates.
    mirrored
        Left and right exchanged.
    muscles
        None leaves them out.
    discs
        Level above a disc → its signal, where it is not the tissue's.
    """

    first: str = "T10"
    last: str = "L5"
    column: Column = USUAL
    bodies: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    hounsfield: float | Mapping[str, float] = field(default_factory=dict)
    marrow: float | Mapping[str, float] = field(default_factory=dict)
    fractures: Mapping[str, Fracture] = field(default_factory=dict)
    slips: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    scoliosis: Scoliosis | None = None
    lordosis: float | None = None
    pelvis: Pelvis | None = field(default_factory=Pelvis)
    arches: bool = True
    screws: tuple[str, ...] = ()
    hip_metal: Literal["left", "right"] | None = None
    turned: npt.ArrayLike | None = None
    mirrored: bool = False
    muscles: Muscles | None = None
    discs: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """The acquisition that is asked for.

    Attributes
    ----------
    spacing
        Voxel size along the three array axes, mm.
    directions
        The array axes in LPS, one per column; any invertible matrix of unit columns, so oblique,
        flipped and sheared (gantry tilt) ones too. None: along L, P and S.
    reach
        The levels that the field of view goes from and to; None for everything there is.
    margin
        Room around them, mm; one number or one per array axis. Negative cuts.
    offset
        Shift of the voxel grid against the anatomy, in voxels.
    modality, contrast
        ``CT`` or ``MR``; whether contrast was given.
    weighting
        What an MR shows: ``T1``, ``T2``, or the ``fat`` or ``water`` image of a Dixon sequence.
    noise, noise_length
        Standard deviation, and length over which noise is correlated (mm; 0 for white noise).
    blur
        Standard deviation of the scanner's point spread, mm.
    soft_tissue
        Whether there is a trunk around the spine, or nothing (air).
    """

    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)
    directions: npt.ArrayLike | None = None
    reach: tuple[str, str] | None = None
    margin: float | tuple[float, float, float] = 10.0
    offset: tuple[float, float, float] = (0.0, 0.0, 0.0)
    modality: Literal["CT", "MR"] = "CT"
    contrast: bool = False
    weighting: Literal["T1", "T2", "fat", "water"] = "T1"
    noise: float = 12.0
    noise_length: float = 0.0
    blur: float = 0.0
    soft_tissue: bool = True


# -- what is known ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TrueVertebra:
    """All that is known of one vertebra.

    Attributes
    ----------
    centre, axes
        The body's middle (LPS mm); unit vectors to the left, back and head, one per column.
    superior, inferior
        The flat planes of the endplates, without their dips.
    anterior, middle, posterior
        Heights in mm at the positions and over the windows of the measurement.
    wedge, biconcavity, crush
        Losses in percent, by the definitions of the measurement; `crush` is None where it has
        no neighbour to be measured against.
    grade
        Genant grade of the worst of them: ``none``, ``mild``, ``moderate``, ``severe``; None
        where Genant does not grade.
    hounsfield, marrow
        The trabecular interior on CT and T1 MR.
    width, depth
        At mid-height, mm.
    canal
        The middle of the spinal canal at mid-body, LPS mm.
    """

    level: str
    centre: Vector
    axes: Vector
    superior: Plane
    inferior: Plane
    anterior: float
    middle: float
    posterior: float
    wedge: float
    biconcavity: float
    crush: float | None
    grade: str | None
    hounsfield: float
    marrow: float
    width: float
    depth: float
    canal: Vector


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TruePelvis:
    """Pelvic parameters in degrees and the points they come from (LPS mm).

    Tilt and slope are against the patient's z axis, in the plane square to the hip axis.
    """

    incidence: float
    tilt: float
    sacral_slope: float
    sacral_endplate: Plane
    hip_left: Vector
    hip_right: Vector
    head_radius: float


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TrueMuscle:
    """One muscle: its area in a plane square to the person's long axis (cm²), its part of fat."""

    area: float
    fat: float


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TrueDisc:
    """One disc: its heights at the places of the measurement (mm), and its signal."""

    heights: tuple[float, float, float]
    signal: float


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Truth:
    """What is known about a phantom: its vertebrae from the head down, its pelvis, its metal.

    Attributes
    ----------
    muscles
        By structure, such as ``iliopsoas_left``.
    discs
        By the vertebra above.
    """

    vertebrae: Mapping[str, TrueVertebra]
    pelvis: TruePelvis | None
    metal: tuple[tuple[str, str, Vector], ...]
    csf: float
    muscles: Mapping[str, TrueMuscle] = field(default_factory=dict)
    discs: Mapping[str, TrueDisc] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Phantom:
    """An image, its masks on the same grid, and the truth.

    Attributes
    ----------
    mask
        Whole vertebrae, sacrum, hips, femurs, discs, canal and cord.
    body_mask
        Bodies of the vertebrae alone, with the other structures.
    csf_mask
        Cerebrospinal fluid alone.
    """

    image: Volume
    mask: Mask
    body_mask: Mask
    csf_mask: Mask
    truth: Truth


# -- building ---------------------------------------------------------------------------------


def phantom(spine: Spine | None = None, scan: Scan | None = None, *, seed: int = 0) -> Phantom:
    """Build the phantom: equal arguments give equal voxels.

    Raises
    ------
    ValueError
        If a level is asked for that this column has not.
    """
    spine, scan = spine or Spine(), scan or Scan()
    anatomy = _Anatomy(spine)
    canvas = _Canvas(scan, *anatomy.bounds(scan.reach))
    tissue = TISSUES_CT if scan.modality == "CT" else _WEIGHTED[scan.weighting]
    if scan.soft_tissue:
        anatomy.paint_trunk(canvas, tissue, enhanced=scan.contrast)
    else:
        canvas.image[...] = tissue["air"]
    anatomy.paint(canvas, tissue, scan.modality)
    canvas.finish(np.random.default_rng(seed), scan)
    return canvas.phantom(anatomy, scan, tissue)


def demonstration(seed: int = 0) -> Phantom:
    """The CT of the demonstration case: T10 to the femoral heads, low density, a mild wedge."""
    density = {"T10": 96, "T11": 93, "T12": 90, "L1": 84, "L2": 86, "L3": 81, "L4": 88, "L5": 97}
    spine = Spine(hounsfield=density, fractures={"T12": Fracture(kind="wedge", loss=22.0)})
    return phantom(spine, Scan(spacing=(0.8, 0.8, 1.5), noise=18.0, noise_length=0.8), seed=seed)


class _Shape:
    """One body in its own frame: whether points are in it, and its true heights."""

    def __init__(self, body: Body) -> None:
        self.body = body
        self.slope = 2 * np.tan(np.radians(body.wedge) / 2)  # of the full height over v
        self.wall = body.depth / 2 * (1 - body.waist)  # half depth at mid-height

    def height(self, u: Grid, v: Grid) -> Grid:
        """The distance between the endplates along w, shape as `u` and `v` broadcast."""
        b = self.body
        hollow = np.maximum(1 - (u / (b.width / 2)) ** 2, 0) * np.maximum(
            1 - (v / (b.depth / 2)) ** 2, 0
        )
        return np.asarray(b.height - self.slope * v - 2 * b.dip * hollow)

    def edges(self) -> tuple[float, float]:
        """Heights at the front and the back edge, as Genant's grades go by."""
        anterior, _, posterior = self.heights()
        known = {"anterior": anterior, "posterior": posterior}
        return gates.at_edges(known, evidence.shipped())

    def heights(self) -> tuple[float, float, float]:
        """Anterior, middle, posterior: means over the windows of the measurement."""
        rows = evidence.shipped()
        number = {n: rows.row(f"measurement.height.{n}").number for n in ("band", "window")}
        across = _midpoints(number["band"], 40)[:, None]
        along = _midpoints(number["window"], 40)[None, :]
        found = []
        for name in ("anterior", "middle", "posterior"):
            part = rows.row(f"measurement.height.{name}_position").number
            v = along - self.wall + part * 2 * self.wall
            found.append(float(self.height(across, v).mean()))
        return found[0], found[1], found[2]

    def codes(self, u: Grid, v: Grid, w: Grid) -> npt.NDArray[np.uint8]:
        """0 outside, 1 in shell and endplates, 2 in the trabecular interior."""
        b = self.body
        half = self.height(u, v) / 2
        narrow = 1 - b.waist * np.maximum(1 - (2 * w / b.height) ** 2, 0)
        code = np.zeros(np.broadcast_shapes(u.shape, v.shape, w.shape), np.uint8)
        for inset, value in ((0.0, 1), (b.cortex, 2)):
            across = np.abs(u) / ((b.width / 2) * narrow - inset)
            along = np.abs(v) / ((b.depth / 2) * narrow - inset)
            inside = (across * across * across + along * along * along <= 1) & (
                np.abs(w) <= half - inset
            )
            code[inside] = value
        return code


def _along(
    frame: Frame, points: Vector, pose: tuple[Vector, Vector], shape: _Shape | None, end: float
) -> Vector:
    """How far along a frame's w an endplate lies from some points; without a shape it is flat."""
    local = (frame.to_world(points) - pose[0]) @ pose[1]
    rise = frame.axes[:, 2] @ pose[1]
    w = np.zeros(points.shape[:-1])
    for _ in range(6):  # the hollow is shallow: each round leaves a small part of the error
        at = local + w[..., None] * rise
        surface = end * shape.height(at[..., 0], at[..., 1]) / 2 if shape else 0.0
        w = (surface - local[..., 2]) / rise[2]
    return np.asarray(w)


def _midpoints(length: float, count: int) -> Vector:
    return np.asarray((np.arange(count) + 0.5) / count * length - length / 2)


def _fractured(body: Body, fracture: Fracture, reference: float | None) -> Body:
    """The body changed so that the asked-for loss is what its true heights show."""
    kept = 1 - fracture.loss / 100
    if fracture.kind == "crush":
        posterior = _Shape(body).edges()[1]
        target = kept * (reference if reference is not None else posterior)
        return replace(body, height=body.height - posterior + target)

    def missing(amount: float) -> float:
        shape = _Shape(_with(amount))
        front, back = shape.edges()
        return (front if fracture.kind == "wedge" else shape.heights()[1]) / back - kept

    def _with(amount: float) -> Body:
        if fracture.kind == "biconcave":
            return replace(body, dip=amount)
        # The back keeps its height: what the front loses, the middle loses by half.
        tilt = np.tan(np.radians(amount) / 2) - np.tan(np.radians(body.wedge) / 2)
        return replace(body, wedge=amount, height=body.height + tilt * 2 * 0.35 * body.depth)

    low, high = (-40.0, 20.0) if fracture.kind == "wedge" else (body.height / 2, -2.0)
    for _ in range(60):  # bisection: `missing` grows from `low` to `high`
        middle = (low + high) / 2
        low, high = (middle, high) if missing(middle) < 0 else (low, middle)
    return _with((low + high) / 2)


def _turn(pitch: float, roll: float, yaw: float) -> Vector:
    """Axes of a vertebra that leans forward, to the left, and is turned about z; degrees."""
    p, r, y = np.radians([pitch, roll, yaw])
    forward = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    left = np.array([[np.cos(r), 0, np.sin(r)], [0, 1, 0], [-np.sin(r), 0, np.cos(r)]])
    about = np.array([[np.cos(y), -np.sin(y), 0], [np.sin(y), np.cos(y), 0], [0, 0, 1]])
    return np.asarray(about @ left @ forward)


@dataclass(slots=True, eq=False)
class _Part:
    """One solid in its frame: where it is, the box around it, and what its codes stand for."""

    name: str
    solid: Solid
    centre: Vector
    axes: Vector
    low: tuple[float, float, float]
    high: tuple[float, float, float]
    tissues: tuple[str, ...]
    over: bool = False  # whether it replaces what is there already (metal)
    above: str = ""  # the vertebra above, of a disc

    def corners(self) -> Vector:
        """The corners of its box, LPS mm, shape (8, 3)."""
        grid = np.meshgrid(*zip(self.low, self.high, strict=True))
        return np.asarray(np.reshape(grid, (3, -1)).T @ self.axes.T + self.centre)


class _Anatomy:
    """All solids of a spine in place, and their truth."""

    def __init__(self, spine: Spine) -> None:
        self.spine = spine
        self.names = self._levels()
        self.bodies = self._bodies()
        self.shapes = {n: _Shape(b) for n, b in self.bodies.items()}
        self.poses = self._poses()
        stands = spine.column.below(Level(self.names[-1])) == Level.S1
        self.pelvis = self._true_pelvis(spine.pelvis) if spine.pelvis and stands else None
        self.metal: list[tuple[str, str, Vector]] = []
        soft = [p for n in self.names for p in self._soft_parts(n)]
        self.parts = [*self._vertebrae(), *self._below(), *soft, *self._muscles(), *self._metal()]

    def _levels(self) -> tuple[str, ...]:
        there = self.spine.column.levels
        for asked in (self.spine.first, self.spine.last):
            if Level(asked) not in there:
                raise ValueError(f"{asked}: this column has no such vertebra.")
        run = levels.Span(Level(self.spine.first), Level(self.spine.last))
        return tuple(v.value for v in self.spine.column.within(run))

    def _bodies(self) -> dict[str, Body]:
        def of(given: float | Mapping[str, float], name: str, usual: float) -> float:
            return given.get(name, usual) if isinstance(given, Mapping) else given

        bodies = {}
        for name in self.names:
            width, depth, height, wedge, _, _ = SHAPES[name]
            body = Body(
                width=width, depth=depth, height=height, wedge=wedge,
                hounsfield=of(self.spine.hounsfield, name, 140.0),
                marrow=of(self.spine.marrow, name, 400.0),
            )  # fmt: skip
            bodies[name] = replace(body, **self.spine.bodies.get(name, {}))
        whole = {n: _Shape(b).edges()[1] for n, b in bodies.items()}
        for name, fracture in self.spine.fractures.items():
            near = [whole[n] for n in self._beside(name)]
            bodies[name] = _fractured(
                bodies[name], fracture, float(np.mean(near)) if near else None
            )
        return bodies

    def _beside(self, name: str) -> list[str]:
        """The vertebrae that a crush is measured against."""
        whole = [Level(n) for n in self.names if n not in self.spine.fractures]
        rows = evidence.shipped()
        near = gates.crush_references(Level(name), whole, self.spine.column, rows)
        return [v.value for v in near]

    def _poses(self) -> dict[str, tuple[Vector, Vector]]:
        """Centre and axes of each body, stacked up from the sacral endplate at the origin."""
        tilt = self._tilts()
        slope = self.spine.pelvis.sacral_slope if self.spine.pelvis else 38.0
        pitch, below = slope, np.zeros(3)
        axes = _turn(slope, 0, 0)
        self.sacrum_axes = axes.copy()
        stretch = self._disc_stretch(slope)
        poses = {}
        for name in reversed(self.names):
            _, _, _, _, disc_height, disc_angle = SHAPES[name]
            body = self.bodies[name]
            pitch -= disc_angle * stretch + body.wedge / 2
            roll, yaw = tilt.get(name, (0.0, 0.0))
            here = _turn(pitch, roll, yaw)
            up = axes[:, 2] + here[:, 2]
            forward, left = self.spine.slips.get(name, (0.0, 0.0))
            below = below - axes[:, 1] * forward + axes[:, 0] * left
            centre = below + disc_height * up / np.linalg.norm(up) + here[:, 2] * body.height / 2
            poses[name] = (centre, here)
            below, axes = centre + here[:, 2] * body.height / 2, here
            pitch -= body.wedge / 2
        self.turned = np.asarray(np.eye(3) if self.spine.turned is None else self.spine.turned)
        self.sacrum_axes = self.turned @ self.sacrum_axes
        return {n: (self.turned @ c, self.turned @ a) for n, (c, a) in poses.items()}

    def _disc_stretch(self, slope: float) -> float:
        """The factor on the lumbar discs' angles that gives the asked-for L1-S1 lordosis."""
        if self.spine.lordosis is None:
            return 1.0
        lumbar = [n for n in self.names if n.startswith("L")]
        bone = sum(self.bodies[n].wedge for n in lumbar)
        discs = sum(SHAPES[n][5] for n in lumbar)
        return float((self.spine.lordosis - bone) / discs)

    def _tilts(self) -> dict[str, tuple[float, float]]:
        """Lean to the left and rotation of each level under the scoliosis, in degrees."""
        curve = self.spine.scoliosis
        if curve is None:
            return {}
        side = 1.0 if curve.convex == "left" else -1.0
        names = list(self.spine.column.within(levels.span(f"{curve.upper}-{curve.lower}")))
        found = {}
        for at, level in enumerate(names):
            phase = np.pi * at / (len(names) - 1)  # 0 at the upper end vertebra, pi at the lower
            lean = -side * curve.cobb / 2 * np.cos(phase)
            found[level.value] = (float(lean), float(side * curve.rotation * np.sin(phase)))
        for name in self.names:  # beyond the curve the spine keeps straight on
            if Level(name) < names[0]:
                found[name] = found[names[0].value]
        return found

    def _canal(self, name: str) -> tuple[float, float, float]:
        """Middle of the canal along v, and its half width and half depth, in the own frame."""
        body = self.bodies[name]
        half_width = 11.0 if Level(name) <= Level.C7 else 0.26 * body.width
        half_depth = 8.0
        return body.depth / 2 + half_depth, half_width, half_depth

    # -- solids --

    def _vertebrae(self) -> list[_Part]:
        parts = []
        for name in self.names:
            centre, axes = self.poses[name]
            body = self.bodies[name]
            canal_v, canal_u, canal_d = self._canal(name)
            reach = (canal_u + 36.0, canal_v + canal_d + 34.0)
            box_u = reach[0] if self.spine.arches else body.width / 2 + 1
            box_v = reach[1] if self.spine.arches else body.depth / 2 + 1
            tall = body.height / 2 + 3
            low_w, high_w = (-tall - 15, tall + 8) if self.spine.arches else (-tall, tall)
            parts.append(
                _Part(
                    name, self._vertebra(name), centre, axes,
                    (-box_u, -body.depth / 2 - 1, low_w), (box_u, box_v, high_w),
                    ("", "cortex", "trabecular", "arch"),
                )
            )  # fmt: skip
        return parts

    def _vertebra(self, name: str) -> Solid:
        shape = self.shapes[name]
        body = shape.body
        if not self.spine.arches:
            return shape.codes
        canal = self._canal(name)
        whole = SHAPES[name][2]  # a fracture leaves the arch as it was

        def solid(u: Grid, v: Grid, w: Grid) -> npt.NDArray[np.uint8]:
            code = shape.codes(u, v, w)
            bone = _arch((u, v, w), body, whole, canal)
            code[bone & (code == 0)] = 3
            return code

        return solid

    def _soft_parts(self, name: str) -> list[_Part]:
        """The disc below a vertebra, and the piece of canal from it to the next one down."""
        at = self.names.index(name)
        below = self.names[at + 1] if at + 1 < len(self.names) else None
        centre, axes = self.poses[name]
        body = self.bodies[name]
        parts = []
        if below is not None or self.pelvis:
            parts.append(self._disc(name, below))
        canal_v, canal_u, canal_d = self._canal(name)
        top = centre + axes @ [0, canal_v, body.height / 2 + 4 if at == 0 else 0]
        if at > 0:
            over_centre, over_axes = self.poses[self.names[at - 1]]
            top = over_centre + over_axes @ [0, self._canal(self.names[at - 1])[0], 0]
        bottom = centre + axes @ [0, canal_v, -body.height / 2 - 8 if below is None else 0]
        length = float(np.linalg.norm(top - bottom))
        along = (top - bottom) / length
        left = np.cross(axes[:, 1], along)
        left /= np.linalg.norm(left)
        frame = np.stack([left, np.cross(along, left), along], axis=1)
        cord = Level(name) <= Level.L1

        def solid(u: Grid, v: Grid, w: Grid) -> npt.NDArray[np.uint8]:
            within = (u / (canal_u - 1)) ** 2 + (v / (canal_d - 1)) ** 2
            code = np.where((within <= 1) & (np.abs(w) <= reach), 1, 0).astype(np.uint8)
            if cord:
                code[(code == 1) & ((u / 6.0) ** 2 + (v / 4.5) ** 2 <= 1)] = 2
            return code

        reach = length / 2 + 2  # pieces overlap, so that their joints leave no gap
        parts.append(
            _Part("canal", solid, (top + bottom) / 2, frame,
                  (-canal_u, -canal_d, -reach), (canal_u, canal_d, reach), ("", "csf", "cord"))
        )  # fmt: skip
        return parts

    def _disc(self, name: str, below: str | None) -> _Part:
        """What lies between two bodies' endplates."""
        centre, axes = self.poses[name]
        upper, body = self.shapes[name], self.bodies[name]
        disc_height = SHAPES[name][4]
        down = self.poses[below] if below else (self.turned @ np.zeros(3), self.sacrum_axes)
        turn = down[1].T @ axes
        shift = down[1].T @ (centre - down[0])
        lower = self.shapes[below] if below else None

        def solid(u: Grid, v: Grid, w: Grid) -> npt.NDArray[np.uint8]:
            round_u, round_v = np.abs(u) / (body.width / 2), np.abs(v) / (body.depth / 2)
            inside = (round_u**3 + round_v**3 <= 1) & (w < -upper.height(u, v) / 2)
            p, q, r = (
                turn[i, 0] * u + turn[i, 1] * v + turn[i, 2] * w + shift[i] for i in range(3)
            )
            floor = lower.height(p, q) / 2 if lower else 0.0
            return np.where(inside & (r > floor), 1, 0).astype(np.uint8)

        half = body.height / 2
        return _Part(
            "disc", solid, centre, axes,
            (-body.width / 2, -body.depth / 2, -half - disc_height - 12),
            (body.width / 2, body.depth / 2, -half + abs(body.dip) + 8), ("", "disc"), above=name,
        )  # fmt: skip

    def _below(self) -> list[_Part]:
        """Sacrum, hips, femurs."""
        if self.pelvis is None:
            return []
        pelvis, origin = self.pelvis, np.zeros(3)
        parts = [
            _Part("S1", _sacrum(0, 30), origin, self.sacrum_axes,
                  (-56, -20, -31), (56, 50, 1), ("", "cortex", "pelvis")),
            _Part("sacrum", _sacrum(30, 110), origin, self.sacrum_axes,
                  (-56, -20, -111), (56, 70, -29), ("", "cortex", "pelvis")),
        ]  # fmt: skip
        for side, sign, hip in (("left", 1.0, pelvis.hip_left), ("right", -1.0, pelvis.hip_right)):
            parts.append(
                _Part(f"femur_{side}", _femur(sign, pelvis.head_radius), hip, self.turned,
                      (min(-26, sign * 62), -26, -100), (max(26, sign * 62), 26, 26),
                      ("", "cortex", "femur"))
            )  # fmt: skip
            to_sacrum = self.turned.T @ (self.sacrum_axes @ [sign * 44, 12, -25] - hip)
            parts.append(
                _Part(f"hip_{side}", _hip(sign, pelvis.head_radius, to_sacrum), hip, self.turned,
                      (-38, -48, -66), (38, 96, 140), ("", "cortex", "pelvis"))
            )  # fmt: skip
        return parts

    def _muscles(self) -> list[_Part]:
        """Columns of muscle with a core of fat along the person's long axis, and the wall."""
        asked = self.spine.muscles
        self.true_muscles: dict[str, TrueMuscle] = {}
        if asked is None:
            return []
        centre, _ = self.poses[asked.level]
        depth = self.bodies[asked.level].depth
        parts = []
        for stem, (a, b), (u, v) in (
            ("iliopsoas", asked.psoas, (45.0, 0.0)),
            ("autochthon", asked.paraspinal, (31.0, depth / 2 + 39)),
        ):
            for side, sign, size in (("left", 1.0, asked.left), ("right", -1.0, 1.0)):
                semi = a * size, b * size
                at = centre + self.turned @ [sign * u, v, 0.0]
                low = (-semi[0], -semi[1], -asked.reach)
                high = (semi[0], semi[1], asked.reach)
                name = f"{stem}_{side}"
                solid = _column(semi, asked.fat, asked.reach)
                parts.append(_Part(name, solid, at, self.turned, low, high, ("", "muscle", "fat")))
                area = float(np.pi * semi[0] * semi[1] / 100)
                self.true_muscles[name] = TrueMuscle(area=area, fat=asked.fat)
        if asked.wall:
            at = self.turned @ [0.0, _TRUNK_MIDDLE, (self.turned.T @ centre)[2]]
            (a, b), (c, d) = _WALL
            ring = _ring(_WALL, asked.reach)
            parts.append(
                _Part("skeletal_muscle", ring, at, self.turned, (-a, -b, -asked.reach),
                      (a, b, asked.reach), ("", "muscle"))
            )  # fmt: skip
            wall = float(np.pi * (a * b - c * d) / 100)
            whole = wall + sum(m.area for m in self.true_muscles.values())
            fat = asked.fat * (whole - wall) / whole
            self.true_muscles["skeletal_muscle"] = TrueMuscle(area=whole, fat=fat)
        return parts

    def _metal(self) -> list[_Part]:
        parts = []
        for name in self.spine.screws:
            centre, axes = self.poses[name]
            body = self.bodies[name]
            canal_v, canal_u, canal_d = self._canal(name)
            for side, sign in (("left", 1.0), ("right", -1.0)):
                tip = np.array([sign * 8.0, -body.depth * 0.2, body.height * 0.2])
                head = np.array([sign * (canal_u + 6), canal_v + canal_d + 8, body.height * 0.2])
                parts.append(
                    _Part("metal", _capsule(tip, head, 3.0), centre, axes,
                          (-45, -30, -5), (45, 60, 16), ("", "metal"), over=True)
                )  # fmt: skip
                self.metal.append((name, side, centre + axes @ ((tip + head) / 2)))
        if self.spine.hip_metal and self.pelvis:
            side = self.spine.hip_metal
            hip = self.pelvis.hip_left if side == "left" else self.pelvis.hip_right
            ball = _capsule(np.zeros(3), np.zeros(3), self.pelvis.head_radius)
            parts.append(
                _Part("metal", ball, hip, self.turned,
                      (-30, -30, -30), (30, 30, 30), ("", "metal"), over=True)
            )  # fmt: skip
            self.metal.append(("hip", side, hip))
        return parts

    # -- painting --

    def bounds(self, reach: tuple[str, str] | None) -> tuple[Vector, Vector]:
        """Corners of the boxes in view, and the centres they belong to, LPS mm."""
        shown = [p for p in self.parts if p.name not in ("canal", "disc", "metal")]
        if reach is not None:
            run = levels.Span(Level(reach[0]), Level(reach[1]))
            shown = [p for p in shown if p.name in self.names and p.name in run]
        if not shown:
            raise ValueError(f"{reach}: nothing of this spine lies in that field of view.")
        corners = np.concatenate([p.corners() for p in shown])
        return corners, np.array([p.centre for p in shown])

    def paint(self, canvas: _Canvas, tissue: Mapping[str, float], modality: str) -> None:
        """Draw all solids, later ones over earlier ones only where they say so."""
        for part in self.parts:
            values = [tissue.get(t, 0.0) for t in part.tissues]
            if part.name in self.bodies:
                body = self.bodies[part.name]
                values[2] = body.hounsfield if modality == "CT" else body.marrow
            if part.name == "disc":
                values[1] = self.spine.discs.get(part.above, values[1])
            canvas.draw(part, np.array(values, np.float32))

    def paint_trunk(self, canvas: _Canvas, tissue: Mapping[str, float], *, enhanced: bool) -> None:
        """Air, fat and soft tissue by an elliptic outline, and the aorta in front of the spine."""
        middle = self.turned @ np.array([0.0, _TRUNK_MIDDLE, 0.0])
        u, v, _ = canvas.local(middle, self.turned)
        image = canvas.image
        image[...] = tissue["soft"]
        for shrink, name in ((_FAT_THICKNESS, "fat"), (0.0, "air")):
            a, b = (s - shrink for s in _SKIN_SEMI_AXES)
            image[np.broadcast_to((u / a) ** 2 + (v / b) ** 2 > 1, image.shape)] = tissue[name]
        vessel = "vessel_enhanced" if enhanced else "vessel"
        if tissue[vessel] != tissue["soft"]:
            for name in self.names:
                centre, axes = self.poses[name]
                front = centre + axes @ [8.0, -self.bodies[name].depth / 2 - 16, 0]
                tube = _capsule(np.array([0, 0, -20.0]), np.array([0, 0, 20.0]), 10.0)
                part = _Part(
                    "vessel", tube, front, axes, (-12, -12, -32), (12, 12, 32), ("", vessel)
                )
                canvas.draw(part, np.array([0, tissue[vessel]], np.float32))

    # -- truth --

    def _true_pelvis(self, asked: Pelvis) -> TruePelvis:
        tilt = np.radians(asked.incidence - asked.sacral_slope)
        middle = -asked.hip_to_sacrum * np.array([0, np.sin(tilt), np.cos(tilt)])
        half = np.array([asked.hip_distance / 2, 0, 0])
        left, right = self.turned @ (middle + half), self.turned @ (middle - half)
        normal = self.sacrum_axes[:, 2]
        axis = (left - right) / np.linalg.norm(left - right)
        up = np.array([0, 0, 1.0])

        def angle(a: Vector, b: Vector) -> float:
            """From a to b about the hip axis, degrees, positive where b leans forward."""
            a, b = a - axis * (a @ axis), b - axis * (b @ axis)
            return float(np.degrees(np.arctan2(np.cross(a, b) @ axis, a @ b)))

        to_sacrum = -(left + right) / 2
        return TruePelvis(
            incidence=asked.incidence,
            tilt=angle(to_sacrum, up),
            sacral_slope=angle(up, normal),
            sacral_endplate=Plane(np.zeros(3), normal),
            hip_left=left,
            hip_right=right,
            head_radius=asked.head_radius,
        )

    def truth(self, tissue: Mapping[str, float]) -> Truth:
        """The truth of every vertebra, disc and muscle, the pelvis and the metal."""
        found = {}
        for name in self.names:
            near = [self.shapes[n].edges()[1] for n in self._beside(name)]
            found[name] = self._true_vertebra(name, self.shapes[name].heights(), near)
        discs = {
            p.above: self._true_disc(p.above, tissue["disc"])
            for p in self.parts
            if p.name == "disc"
        }
        return Truth(
            vertebrae=found, pelvis=self.pelvis, metal=tuple(self.metal), csf=tissue["csf"],
            muscles=self.true_muscles, discs=discs,
        )  # fmt: skip

    def _true_disc(self, name: str, usual: float) -> TrueDisc:
        """The gap along its own axis at the places, and over the windows, of the heights."""
        at = self.names.index(name) + 1
        below = self.names[at] if at < len(self.names) else None
        upper, lower = self.shapes[name], self.shapes[below] if below else None
        down = self.poses[below] if below else (self.turned @ np.zeros(3), self.sacrum_axes)
        floor = self._plane(below, 1.0) if below else Plane(down[0], down[1][:, 2])
        roof = self._plane(name, -1.0)
        axes = self.poses[name][1]
        middle = (roof.centre + floor.centre) / 2
        frame = Frame.of(middle, roof.normal + floor.normal, axes[:, 1])
        rows = evidence.shipped()
        number = {n: rows.row(f"measurement.height.{n}").number for n in ("band", "window")}
        grid = np.meshgrid(_midpoints(number["band"], 12), _midpoints(number["window"], 6))
        heights = []
        for position in ("anterior", "middle", "posterior"):
            part = rows.row(f"measurement.height.{position}_position").number
            wall = self.poses[name][0] + axes @ [0, (2 * part - 1) * upper.wall, 0]
            v = frame.to_local(wall)[1]
            points = np.stack([grid[0], v + grid[1], np.zeros_like(grid[0])], axis=-1)
            ends = [
                _along(frame, points, pose, shape, end)
                for pose, shape, end in ((self.poses[name], upper, -1.0), (down, lower, 1.0))
            ]
            heights.append(float((ends[0] - ends[1]).mean()))
        signal = self.spine.discs.get(name, usual)
        return TrueDisc(heights=(heights[0], heights[1], heights[2]), signal=signal)

    def _plane(self, name: str, end: float) -> Plane:
        """The flat plane of an endplate: the superior one (end 1) or the inferior one (-1)."""
        centre, axes = self.poses[name]
        body = self.bodies[name]
        tilt = np.radians(body.wedge / 2)
        return Plane(
            centre + axes @ [0, 0, end * body.height / 2],
            axes @ [0, end * np.sin(tilt), np.cos(tilt)],
        )

    def _true_vertebra(
        self, name: str, heights: tuple[float, float, float], near: list[float]
    ) -> TrueVertebra:
        centre, axes = self.poses[name]
        body = self.bodies[name]
        anterior, middle, posterior = heights
        front, back = self.shapes[name].edges()
        wedge, biconcavity = (100 * (1 - h / back) for h in (front, middle))
        graded = near and name in gates.GRADED
        crush = 100 * (1 - back / float(np.mean(near))) if graded else None
        return TrueVertebra(
            level=name,
            centre=centre,
            axes=axes,
            superior=self._plane(name, 1.0),
            inferior=self._plane(name, -1.0),
            anterior=anterior,
            middle=middle,
            posterior=posterior,
            wedge=wedge,
            biconcavity=biconcavity,
            crush=crush,
            grade=self._grade(name, wedge, biconcavity, crush),
            hounsfield=body.hounsfield,
            marrow=body.marrow,
            width=body.width * (1 - body.waist),
            depth=body.depth * (1 - body.waist),
            canal=centre + axes @ [0, self._canal(name)[0], 0],
        )

    def _grade(self, name: str, *losses: float | None) -> str | None:
        if name not in gates.GRADED:
            return None
        worst = max(x for x in losses if x is not None)
        return gates.genant_grade(worst, evidence.shipped())[0]


# -- simple solids ----------------------------------------------------------------------------


def _in_capsule(
    points: tuple[Grid, Grid, Grid], a: Iterable[float], b: Iterable[float], radius: float
) -> Grid:
    """Whether points are nearer than `radius` to the segment from a to b."""
    start = [float(x) for x in a]  # plain numbers, so that single precision stays single
    along = [float(x) - s for x, s in zip(b, start, strict=True)]
    length = max(sum(d * d for d in along), 1e-9)
    from_start = [x - s for x, s in zip(points, start, strict=True)]
    part = np.clip(sum(x * (d / length) for x, d in zip(from_start, along, strict=True)), 0, 1)
    square = sum((x - part * d) ** 2 for x, d in zip(from_start, along, strict=True))
    return np.asarray(square <= radius * radius)


def _capsule(a: Iterable[float], b: Iterable[float], radius: float) -> Solid:
    def solid(u: Grid, v: Grid, w: Grid) -> npt.NDArray[np.uint8]:
        return _in_capsule((u, v, w), a, b, radius).astype(np.uint8)

    return solid


def _column(semi: tuple[float, float], fat: float, reach: float) -> Solid:
    """An elliptic column along w: code 1, and 2 in a core that has the part `fat` of its area."""

    def solid(u: Grid, v: Grid, w: Grid) -> npt.NDArray[np.uint8]:
        out = (u / semi[0]) ** 2 + (v / semi[1]) ** 2
        code = np.where(out <= 1, np.where(out <= fat, 2, 1), 0)
        return np.where(np.abs(w) <= reach, code, 0).astype(np.uint8)

    return solid


def _ring(semi: tuple[tuple[float, float], tuple[float, float]], reach: float) -> Solid:
    def solid(u: Grid, v: Grid, w: Grid) -> npt.NDArray[np.uint8]:
        outer, inner = ((u / a) ** 2 + (v / b) ** 2 for a, b in semi)
        return ((outer <= 1) & (inner > 1) & (np.abs(w) <= reach)).astype(np.uint8)

    return solid


def _arch(
    points: tuple[Grid, Grid, Grid], body: Body, height: float, canal: tuple[float, float, float]
) -> Grid:
    """Pedicles, laminae and processes around a canal that stays open."""
    u, v, w = points
    canal_v, canal_u, canal_d = canal
    across, behind = np.abs(u), v - canal_v
    ring = (u / (canal_u + 6)) ** 2 + (behind / (canal_d + 6)) ** 2
    hollow = (u / canal_u) ** 2 + (behind / canal_d) ** 2
    sinking = w + 0.35 * (behind - 2)  # laminae run down and back
    bone = (ring <= 1) & (behind > 1) & (np.abs(sinking) <= 0.36 * height)
    thick, tall = 0.11 * body.width, 0.27 * height
    pedicle = ((across - canal_u - thick) / thick) ** 2 + ((w - 0.16 * height) / tall) ** 2
    bone |= (pedicle <= 1) & (v > body.depth * 0.3) & (behind < 5)
    spinous = (across <= 3.2) & (behind > canal_d) & (behind < canal_d + 30)
    bone |= spinous & (np.abs(w + 0.2 * height + 0.25 * (behind - canal_d)) <= 0.3 * height)
    side, back, h = canal_u, canal_v, height
    transverse = (side + 5, back + 4, 0.12 * h), (side + 30, back + 9, 0.16 * h), 4.5
    superior = (side + 7, back + 4, 0.1 * h), (side + 7, back + 4, 0.5 * h), 5.0
    inferior = (side - 1, back + 13, 0.0), (side - 1, back + 14, -0.75 * h), 4.5
    for start, stop, radius in (transverse, superior, inferior):
        bone |= _in_capsule((across, v, w), start, stop, radius)
    return np.asarray(bone & (hollow > 1))


def _sacrum(top: float, bottom: float) -> Solid:
    """The sacrum between two depths below its endplate, in the frame of that endplate."""

    def solid(u: Grid, v: Grid, w: Grid) -> npt.NDArray[np.uint8]:
        depth = -w
        taper = 1 - 0.55 * depth / 110
        back = v - 0.0035 * depth * depth
        code = np.zeros(np.broadcast_shapes(u.shape, v.shape, w.shape), np.uint8)
        for inset, value in ((0.0, 1), (1.2, 2)):
            across = np.abs(u) / (25 * taper - inset)
            along = np.abs(back) / (17 * taper - inset)
            inside = (across**3 + along**3 <= 1) & (depth >= inset) & (depth <= 110 - inset)
            ala = (
                ((np.abs(u) - 34) / (19 - inset)) ** 2
                + ((v - 12) / (17 - inset)) ** 2
                + ((depth - 28) / (24 - inset)) ** 2
            )
            code[inside | (ala <= 1)] = value
        code[np.broadcast_to((depth < top) | (depth >= bottom), code.shape)] = 0
        return code

    return solid


def _femur(sign: float, radius: float) -> Solid:
    head, neck, shaft = (0, 0, 0), (sign * 42, 6, -32), (sign * 44, 6, -200)

    def solid(u: Grid, v: Grid, w: Grid) -> npt.NDArray[np.uint8]:
        code = np.zeros(np.broadcast_shapes(u.shape, v.shape, w.shape), np.uint8)
        for inset, value in ((0.0, 1), (1.5, 2)):
            inside = _in_capsule((u, v, w), head, head, radius - inset)
            inside |= _in_capsule((u, v, w), head, neck, 13 - inset)
            inside |= _in_capsule((u, v, w), neck, shaft, 15 - inset)
            code[inside] = value
        return code

    return solid


def _hip(sign: float, radius: float, to_sacrum: Vector) -> Solid:
    """A socket over the femoral head, a wing towards the sacrum, and the ischium."""
    inner, outer = radius + 3.0, radius + 12.0
    root = (-sign * 12, 12, outer - 2)
    joint = [float(x) for x in to_sacrum + np.array([sign * 21, 0, 4])]
    crest = [float(x) for x in to_sacrum + np.array([sign * 26, -6, 10])]

    def solid(u: Grid, v: Grid, w: Grid) -> npt.NDArray[np.uint8]:
        from_head = u * u + v * v + w * w
        covered = -sign * 0.7 * u + 0.25 * v + 0.65 * w > -4
        bone = (from_head <= outer**2) & covered
        bone |= _in_capsule((u, v, w), root, joint, 9)
        bone |= ((u - crest[0]) / 7) ** 2 + ((v - crest[1]) / 45) ** 2 + (
            (w - crest[2]) / 42
        ) ** 2 <= 1
        bone |= _in_capsule((u, v, w), (-sign * 22, 24, -12), (-sign * 18, 26, -52), 11)
        return np.where(bone & (from_head >= inner**2), 2, 0).astype(np.uint8)

    return solid


# -- voxels -----------------------------------------------------------------------------------


class _Canvas:
    """The voxels that are drawn on: image values and one label per structure."""

    def __init__(self, scan: Scan, corners: Vector, centres: Vector) -> None:
        directions = np.eye(3) if scan.directions is None else np.asarray(scan.directions, float)
        self.spacing = np.asarray(scan.spacing, float)
        linear = directions * self.spacing
        margin = np.broadcast_to(np.asarray(scan.margin, float), (3,)) / self.spacing
        index = corners @ np.linalg.inv(linear).T
        low, high = index.min(axis=0) - margin, index.max(axis=0) + margin
        shape = np.maximum(np.ceil(high - low).astype(int), 1)
        self.affine = np.eye(4)
        self.affine[:3, :3] = linear
        self.affine[:3, 3] = linear @ (low + np.asarray(scan.offset, float))
        self.image = np.zeros(tuple(shape), np.float32)
        self.labels = np.zeros(tuple(shape), np.uint8)
        self.body_labels = np.zeros(tuple(shape), np.uint8)
        self.numbers: dict[str, int] = {}
        self.inverse = np.linalg.inv(linear)

    def local(
        self,
        centre: Vector,
        axes: Vector,
        box: tuple[slice, slice, slice] | None = None,
    ) -> tuple[Grid, Grid, Grid]:
        """Coordinates of voxel centres in a solid's frame; each broadcasts to (i, j, k)."""
        spans = [
            np.arange(n)[s] if box else np.arange(n)
            for n, s in zip(self.image.shape, box or (slice(None),) * 3, strict=True)
        ]
        turn = (axes.T @ self.affine[:3, :3]).astype(np.float32)
        start = axes.T @ (self.affine[:3, 3] - centre)
        i, j, k = (s.astype(np.float32) for s in spans)
        along = (i[:, None, None], j[:, None], k)
        found = []
        for n in range(3):  # an axis that does not count is left out: far fewer numbers
            steps = [turn[n, m] * along[m] for m in range(3) if abs(turn[n, m]) > 1e-6]
            found.append(sum(steps[1:], steps[0] + np.float32(start[n])))
        return found[0], found[1], found[2]

    def draw(self, part: _Part, values: npt.NDArray[np.float32]) -> None:
        """Draw a solid: whole voxels from their centres, divided ones where a surface runs."""
        index = (part.corners() - self.affine[:3, 3]) @ self.inverse.T
        low = np.maximum(np.floor(index.min(axis=0)).astype(int), 0)
        high = np.minimum(np.ceil(index.max(axis=0)).astype(int) + 1, self.image.shape)
        if (low >= high).any():
            return
        box = (slice(low[0], high[0]), slice(low[1], high[1]), slice(low[2], high[2]))
        shape = tuple(high - low)
        code = np.broadcast_to(part.solid(*self.local(part.centre, part.axes, box)), shape)
        edge = ndimage.maximum_filter(code, 3) != ndimage.minimum_filter(code, 3)
        within = np.where(code > 0, np.float32(1), np.float32(0))
        value = values[code]
        where = np.nonzero(edge)
        counts = self._divided(part, np.stack(where, axis=1) + low, len(values))
        within[where] = 1 - counts[:, 0]
        value[where] = counts @ values
        image, labels, bodies = self.image[box], self.labels[box], self.body_labels[box]
        free = labels == 0
        if part.name == "canal":  # its pieces join without a seam
            free |= np.isin(labels, [self._number(n) for n in ("spinal_canal", "spinal_cord")])
        if part.over:
            free = np.ones_like(free)
        image[free] = (image * (1 - within) + value)[free]
        if part.name in ("metal", "vessel"):
            return
        free &= within >= 0.5
        if part.name == "canal":  # two structures, told apart by their code
            for structure, number in (("spinal_canal", 1), ("spinal_cord", 2)):
                labels[free & (code == number)] = self._number(structure)
                bodies[free & (code == number)] = self._number(structure)
            return
        labels[free] = self._number(part.name)
        if len(part.tissues) == 4:  # a vertebra: its codes 1 and 2 are the body
            within = ((code == 1) | (code == 2)).astype(np.float32)
            within[where] = counts[:, 1] + counts[:, 2]
        bodies[free & (within >= 0.5)] = self._number(part.name)

    def _number(self, structure: str) -> int:
        return self.numbers.setdefault(structure, len(self.numbers) + 1)

    def _divided(self, part: _Part, voxels: Grid, codes: int) -> npt.NDArray[np.float32]:
        """The share of each code in some voxels, from evenly spaced points inside them."""
        counts = (
            2 * np.clip(np.round(self.spacing / _SUBVOXEL / 2).astype(int), 1, 4) + 1
        )  # odd: no ties
        steps = [(np.arange(n) + 0.5) / n - 0.5 for n in counts]
        inner = np.stack(np.meshgrid(*steps, indexing="ij"), axis=-1).reshape(-1, 3)
        turn = part.axes.T @ self.affine[:3, :3]
        start = part.axes.T @ (self.affine[:3, 3] - part.centre)
        centres = (voxels @ turn.T + start).astype(np.float32)
        offsets = (inner @ turn.T).astype(np.float32)
        share = np.empty((len(voxels), codes), np.float32)
        chunk = max(1, 2_000_000 // len(inner))  # keeps the points of one step in a few MB
        for at in range(0, len(voxels), chunk):
            points = centres[at : at + chunk, None, :] + offsets[None]
            code = part.solid(points[..., 0], points[..., 1], points[..., 2])
            for value in range(codes):
                share[at : at + chunk, value] = (code == value).mean(axis=1)
        return share

    def finish(self, rng: np.random.Generator, scan: Scan) -> None:
        """Blur, add noise, round to whole numbers."""
        if scan.blur > 0:
            ndimage.gaussian_filter(self.image, scan.blur / self.spacing, output=self.image)
        if scan.noise > 0:
            noise: Grid = np.asarray(rng.standard_normal(self.image.shape, np.float32))
            if scan.noise_length > 0:
                sigma = scan.noise_length / self.spacing
                ndimage.gaussian_filter(noise, sigma, output=noise, truncate=3)
                noise /= noise.std()
            noise *= np.float32(scan.noise)
            self.image += noise
        np.rint(self.image, out=self.image)
        self.image = np.clip(self.image, -1024, 3071)  # what 12 bits hold

    def phantom(self, anatomy: _Anatomy, scan: Scan, tissue: Mapping[str, float]) -> Phantom:
        """Everything as volumes; mirrored at the end, where that is asked for."""
        taken = Acquisition(
            modality=scan.modality, source="phantom", posture=Posture.SUPINE,
            patient_position="HFS", scanner="Endplate phantom", contrast=scan.contrast,
            slice_thickness=float(max(scan.spacing)),
        )  # fmt: skip
        if scan.modality == "CT":
            taken = replace(taken, tube_voltage=120.0, kernel="phantom")
        else:
            repetition, echo, sequence = _TIMES[scan.weighting]
            taken = replace(taken, field_strength=1.5, repetition_time=repetition,
                            echo_time=echo, sequence=sequence)  # fmt: skip
        truth = anatomy.truth(tissue)
        numbers = self.numbers
        if anatomy.spine.mirrored:
            self.affine = np.diag([-1.0, 1, 1, 1]) @ self.affine
            truth = _mirrored(truth)
            other = {"left": "right", "right": "left"}
            numbers = {
                f"{a}_{other[b]}" if b in other else name: n
                for name, n in numbers.items()
                for a, _, b in [name.rpartition("_")]
            }
        structures = {n: name for name, n in numbers.items()}
        volume = Volume(self.image.astype(np.int16), self.affine, taken, "phantom")
        whole = Volume(self.labels, self.affine, name="phantom mask")
        bodies = Volume(self.body_labels, self.affine, name="phantom body mask")
        canal = self.numbers.get("spinal_canal", 255)  # 255: there is none
        fluid = (self.labels == canal).astype(np.uint8)
        return Phantom(
            image=volume,
            mask=Mask(whole, structures, "whole", "phantom"),
            body_mask=Mask(bodies, structures, "body", "phantom"),
            csf_mask=Mask(Volume(fluid, self.affine, name="phantom csf"), {1: "csf"}),
            truth=truth,
        )


def _mirrored(truth: Truth) -> Truth:
    """The truth of the mirror image: x turned round, and with it left and right."""
    flip = np.array([-1.0, 1, 1])

    def plane(p: Plane) -> Plane:
        return Plane(p.centre * flip, p.normal * flip)

    vertebrae = {
        n: replace(
            v,
            centre=v.centre * flip,
            axes=v.axes * flip[:, None] * flip[None, :],  # "left" is the mirrored "right"
            superior=plane(v.superior),
            inferior=plane(v.inferior),
            canal=v.canal * flip,
        )
        for n, v in truth.vertebrae.items()
    }
    other = {"left": "right", "right": "left"}
    pelvis = truth.pelvis and replace(
        truth.pelvis,
        hip_left=truth.pelvis.hip_right * flip,
        hip_right=truth.pelvis.hip_left * flip,
        sacral_endplate=plane(truth.pelvis.sacral_endplate),
    )
    metal = tuple((n, other[s], at * flip) for n, s, at in truth.metal)
    muscles = {
        f"{stem}_{other[side]}" if side in other else name: muscle
        for name, muscle in truth.muscles.items()
        for stem, _, side in [name.rpartition("_")]
    }
    return replace(truth, vertebrae=vertebrae, pelvis=pelvis, metal=metal, muscles=muscles)
