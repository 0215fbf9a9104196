"""Vertebrae, sacrum and hips in space, from the landmarks of both pictures of a slot scanner.

Of an endplate the lateral view shows the two ends of its midsagittal line, the frontal view those
of its transverse line. Both lines halve each other and are square to one another; what is then
still open is how far the vertebra is turned about its own axis, and its pedicles tell that.

Every array is (draws, 3) or (draws,): the first is as marked, the others with every coordinate
drawn anew by its standard error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from endplate.alignment.fan import Floats, Pair
from endplate.alignment.geometry import derived, standard_errors
from endplate.alignment.landmarks import (
    BODY,
    ENDS,
    HEAD,
    PEDICLE,
    PLATES,
    SECOND,
    SIDES,
    Radiograph,
)  # fmt: skip
from endplate.evidence import Evidence
from endplate.facts import Side
from endplate.levels import Level
from endplate.planes import Reference, dot, square_to, unit

# Pairs of draws to either side: what is uneven in them cancels.
_PAIRS = 192
# Each point's depth is known by the others: so often they are placed anew. Every round leaves
# about a thirtieth (a point's distance from the isocentre in that of the source) of the error.
_ROUNDS = 6
HIPS_OF = "hips"
_LEVELS = tuple(v.value for v in Level if v >= Level.C2)

BOTH, MIDDLE, FRONTAL = (
    "pedicles of both views",
    "pedicles of the frontal view and their middle on the lateral one",
    "pedicles of the frontal view, at an assumed depth",
)
UNMARKED = "no pedicles: taken to face as the pelvis does"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Face:
    """An endplate: its middle, and from there to its posterior and to its left end."""

    centre: Floats
    back: Floats
    left: Floats

    @property
    def normal(self) -> Floats:
        """Unit vectors to the head."""
        return unit(np.cross(self.left, self.back))

    def end(self, name: str) -> Floats:
        """One of its four ends."""
        half = self.back if name in ENDS["lateral"] else self.left
        return np.asarray(self.centre + (half if name in ("posterior", "left") else -half))


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Body:
    """A vertebra: its middle, and its endplates where all their ends were marked.

    Attributes
    ----------
    axes
        Unit vectors to the left, back and head, one per column (draws, 3, 3); None without an
        endplate.
    turned_by
        What tells how far it is turned about its own axis.
    pedicles
        By side, where both views show them.
    """

    level: str
    centre: Floats
    faces: Mapping[str, Face]
    axes: Floats | None = None
    turned_by: str = UNMARKED
    pedicles: Mapping[Side, Floats]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """How much higher one landmark lies on the lateral than on the frontal view, mm.

    Attributes
    ----------
    of
        The level that it belongs to, or ``hips``.
    """

    name: str
    of: str
    apart: float
    error: float


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Space:
    """All that could be placed.

    Attributes
    ----------
    bodies
        Level → vertebra, from the head down.
    planes
        The person's own: by the hip axis, else by the vertebrae whose pedicles were marked.
    rows
        What both views show, with how far it lies apart in height.
    heads_unsided
        Whether the femoral heads of the lateral view could not be told apart.
    """

    bodies: Mapping[str, Body]
    sacrum: Face | None
    heads: Mapping[Side, Floats]
    planes: Reference | None
    rows: tuple[Rows, ...]
    heads_unsided: bool

    @property
    def hips(self) -> Floats | None:
        """The middle of the hip axis."""
        return (self.heads["left"] + self.heads["right"]) / 2 if self.heads else None

    def faces(self) -> dict[str, tuple[Face | None, Face | None]]:
        """Level → superior and inferior endplate, with S1, from the head down."""
        upper, lower = PLATES
        found = {n: (b.faces.get(upper), b.faces.get(lower)) for n, b in self.bodies.items()}
        found = {n: pair for n, pair in found.items() if any(pair)}
        return found | ({"S1": (self.sacrum, None)} if self.sacrum else {})

    def places(self) -> Iterator[tuple[str, Floats]]:
        """Every landmark that was placed, by its name."""
        for level, body in self.bodies.items():
            yield f"{level} {BODY}", body.centre
            for side, at in body.pedicles.items():
                yield f"{level} {side} {PEDICLE}", at
            for plate, face in body.faces.items():
                yield from _ends(level, plate, face)
        if self.sacrum is not None:
            yield from _ends("S1", PLATES[0], self.sacrum)
        for side, at in self.heads.items():
            yield f"{side} {HEAD}", at


def _ends(level: str, plate: str, face: Face) -> Iterator[tuple[str, Floats]]:
    for end in (*ENDS["lateral"], *ENDS["frontal"]):
        yield f"{level} {plate}.{end}", face.end(end)


class _View:
    """One picture's points about its isocentre, drawn, with their errors."""

    def __init__(self, film: Radiograph, evidence: Evidence, rng: np.random.Generator) -> None:
        assert film.fan is not None
        fan = film.fan
        moved = {n: (x - fan.isocentre, y - fan.top) for n, (x, y) in film.points.items()}
        errors = standard_errors(film, evidence)
        self.film = film
        self.errors = {name: errors.get(name, 0.0) for name in moved}
        self.points = {
            name: at + self.errors[name] * _drawn(rng, 2)
            for name, at in replace(film, points=moved).oriented().items()
        }

    def check_sides(self, left: str, right: str) -> None:
        """Refuse a left end that does not lie to the left: nothing can be placed by it."""
        if self.points[left][0, 0] <= self.points[right][0, 0]:
            raise self.film.contradiction(f"{left} does not lie to the left of {right}.")

    def mean(self, *names: str) -> tuple[Floats, float] | None:
        """The middle of some points and its standard error; None unless all are marked."""
        if any(name not in self.points for name in names):
            return None
        at = np.mean([self.points[name] for name in names], axis=0)
        return at, float(np.linalg.norm([self.errors[name] for name in names])) / len(names)


_Seen = tuple[tuple[Floats, float], tuple[Floats, float]]


def _drawn(rng: np.random.Generator, *shape: int) -> Floats:
    """Draws of the normal distribution with a zero first, in pairs to either side."""
    half = rng.standard_normal((_PAIRS, *shape))
    return np.concatenate([np.zeros((1, *shape)), half, -half])


def built(lateral: Radiograph, frontal: Radiograph, evidence: Evidence) -> Space:
    """Everything that both pictures show together.

    Raises
    ------
    InputProblem
        If the landmarks of a picture contradict one another.
    """
    return _Builder(lateral, frontal, evidence).space()


class _Builder:
    def __init__(self, lateral: Radiograph, frontal: Radiograph, evidence: Evidence) -> None:
        assert lateral.fan is not None and frontal.fan is not None
        self.rng = np.random.default_rng(0)
        self.evidence = evidence
        self.pair = Pair(lateral=lateral.fan, frontal=frontal.fan)
        self.lateral = _View(lateral, evidence, self.rng)
        self.frontal = _View(frontal, evidence, self.rng)
        self.rows: list[Rows] = []
        self.unsided = False

    def space(self) -> Space:
        heads = self._heads()
        # The hip axis's direction in the horizontal plane: how far back the left lies, per mm.
        self.pelvis = np.zeros(2 * _PAIRS + 1)
        if heads:
            axis = heads["left"] - heads["right"]
            self.pelvis = axis[:, 1] / axis[:, 0]
        sacrum = self._sacrum(known=bool(heads))
        found = {n: body for n in _LEVELS if n != "S1" and (body := self._body(n)) is not None}
        return Space(
            bodies=found, sacrum=sacrum, heads=heads, planes=self._planes(heads, sacrum, found),
            rows=tuple(self.rows), heads_unsided=self.unsided,
        )  # fmt: skip

    # -- the pelvis --

    def _heads(self) -> dict[Side, Floats]:
        there = [f"{side} {HEAD}" for side in SIDES]
        if any(name not in self.frontal.points for name in there):
            return {}
        names = [n for n in (HEAD, HEAD + SECOND) if n in self.lateral.points]
        if all(name in self.lateral.points for name in there):
            names = there
        elif len(names) == 2:
            names = self._told_apart(names)
        if len(names) != 2:
            return {}
        found: dict[Side, Floats] = {}
        sides: tuple[Side, Side] = ("left", "right")
        for side, name in zip(sides, names, strict=True):
            seen = self._seen((name,), (f"{side} {HEAD}",))
            found[side] = self._placed(f"the {side} femoral head", HIPS_OF, seen)
        return found

    def _told_apart(self, names: list[str]) -> list[str]:
        """The lateral heads in the order left, right, by their heights; none where these agree."""
        apart = []
        for order in (names, names[::-1]):
            off = [
                (self.lateral.points[a][0, 1] - self.frontal.points[f"{side} {HEAD}"][0, 1])
                / np.hypot(self.lateral.errors[a], self.frontal.errors[f"{side} {HEAD}"])
                for a, side in zip(order, SIDES, strict=True)
            ]
            apart.append(float(np.square(off).sum()))
        limit = self.evidence.row("alignment.biplanar.rows_apart").number ** 2
        if abs(apart[0] - apart[1]) < limit:
            self.unsided = True
            return []
        return names if apart[0] < apart[1] else names[::-1]

    def _sacrum(self, *, known: bool) -> Face | None:
        ends = self._marked("S1", PLATES[0])
        if ends is None:
            return None
        turn = self.pelvis if known else self.pelvis + self._unmarked()
        face = None
        for _ in range(_ROUNDS):
            face = self._face(ends, turn, face)
        return face

    # -- vertebrae --

    def _body(self, level: str) -> Body | None:
        ends = {p: e for p in PLATES if (e := self._marked(level, p)) is not None}
        own = f"{level} {BODY}"
        seen = self._seen((own,), (own,))
        marked = self._placed(level, level, seen) if seen else None
        if not ends:
            centre = marked if marked is not None else self._middle(level)
            if centre is None:
                return None
            return Body(level=level, centre=centre, faces={}, pedicles={})
        by = self._pedicles_marked(level)
        turn = self.pelvis if by != UNMARKED else self.pelvis + self._unmarked()
        depth = self._depth() if by == FRONTAL else None
        faces: dict[str, Face] = {}
        pedicles: dict[Side, Floats] = {}
        if by == BOTH:
            pedicles = self._pedicles(level)
            across = pedicles["left"] - pedicles["right"]
            turn = across[:, 1] / across[:, 0]
        for _ in range(_ROUNDS):
            faces = {p: self._face(e, turn, faces.get(p)) for p, e in ends.items()}
            if by in (MIDDLE, FRONTAL):
                turn = self._turn(level, faces, turn, depth)
        middle = np.mean([f.centre for f in faces.values()], axis=0)
        if len(faces) < len(PLATES):
            middle = self._middle(level)
        centre = marked if marked is not None else middle
        if centre is None:
            return None
        return Body(
            level=level, centre=centre, faces=faces, axes=_axes(faces), turned_by=by,
            pedicles=pedicles,
        )  # fmt: skip

    def _marked(self, level: str, plate: str) -> tuple[str, str, str, str] | None:
        """The names of an endplate's ends, if all four are marked; its rows are noted."""
        front, back = (f"{level} {plate}.{end}" for end in ENDS["lateral"])
        left, right = (f"{level} {plate}.{end}" for end in ENDS["frontal"])
        seen = self._seen((front, back), (left, right))
        if seen is None:
            return None
        self.frontal.check_sides(left, right)
        self._noted(f"{level} {plate.replace('_', ' ')}", level, seen)
        return front, back, left, right

    def _face(self, ends: tuple[str, str, str, str], turn: Floats, before: Face | None) -> Face:
        """An endplate from its four ends, turned so far, with each end's depth as it was before."""
        a, p = (self.lateral.points[n] for n in ends[:2])
        l, r = (self.frontal.points[n] for n in ends[2:])  # noqa: E741 - left, beside r, a and p
        seen = self._seen(ends[:2], ends[2:])
        assert seen is not None
        middle = self._of(seen)
        if before is None:
            before = Face(centre=middle, back=np.zeros_like(middle), left=np.zeros_like(middle))
        deep = {n: before.end(n) for n in (*ENDS["lateral"], *ENDS["frontal"])}
        front = self.pair.lateral.widened(-a[:, 0], deep["anterior"][:, 0])
        rear = self.pair.lateral.widened(-p[:, 0], deep["posterior"][:, 0])
        left = self.pair.frontal.widened(l[:, 0], deep["left"][:, 1])
        right = self.pair.frontal.widened(r[:, 0], deep["right"][:, 1])
        across = np.stack([left - right, turn * (left - right), l[:, 1] - r[:, 1]], axis=1) / 2
        y, z = (rear - front) / 2, (p[:, 1] - a[:, 1]) / 2
        x = -(y * across[:, 1] + z * across[:, 2]) / across[:, 0]  # square to the transverse line
        centre = np.stack([(left + right) / 2, (front + rear) / 2, middle[:, 2]], axis=1)
        return Face(centre=centre, back=np.stack([x, y, z], axis=1), left=across)

    def _middle(self, level: str) -> Floats | None:
        """A body's middle from whatever tells it on each view."""
        name = f"{level} body"
        sides = [derived(v.points, v.film.view).get(name) for v in (self.lateral, self.frontal)]
        if sides[0] is None or sides[1] is None:
            return None
        return self.pair.placed(sides[0], sides[1])

    # -- how far a vertebra is turned --

    def _pedicles_marked(self, level: str) -> str:
        both = [f"{level} {side} {PEDICLE}" for side in SIDES]
        if not all(name in self.frontal.points for name in both):
            return UNMARKED
        self.frontal.check_sides(*both)
        if all(name in self.lateral.points for name in both):
            return BOTH
        return MIDDLE if f"{level} {PEDICLE}" in self.lateral.points else FRONTAL

    def _pedicles(self, level: str) -> dict[Side, Floats]:
        found: dict[Side, Floats] = {}
        for side in ("left", "right"):
            name = f"{level} {side} {PEDICLE}"
            seen = self._seen((name,), (name,))
            found[side] = self._placed(f"the {side} pedicle of {level}", level, seen)
        return found

    def _turn(
        self, level: str, faces: Mapping[str, Face], turn: Floats, depth: Floats | None
    ) -> Floats:
        """How far a vertebra is turned: the middle of its pedicles lies straight behind its own.

        Parameters
        ----------
        depth
            How far behind, in parts of the body's depth, where the lateral view does not show it.
        """
        centre = np.mean([f.centre for f in faces.values()], axis=0)
        slope = np.mean([f.left[:, 2] / f.left[:, 0] for f in faces.values()], axis=0)
        back = np.mean([f.back for f in faces.values()], axis=0)
        left, right = (self.frontal.points[f"{level} {side} {PEDICLE}"] for side in SIDES)
        half = (left[:, 0] - right[:, 0]) / 2
        z = (left[:, 1] + right[:, 1]) / 2

        def across(behind: Floats) -> Floats:
            y = centre[:, 1] + behind
            widened = self.pair.frontal.widened
            to_left = widened(left[:, 0], y + half * turn)
            return (to_left + widened(right[:, 0], y - half * turn)) / 2

        if depth is None:
            seen, x = self.lateral.points[f"{level} {PEDICLE}"], centre[:, 0]
            for _ in range(_ROUNDS):
                behind = self.pair.lateral.widened(-seen[:, 0], x) - centre[:, 1]
                x = across(behind)
        else:
            # So far along the body's depth, then along its height to where they are seen.
            up = np.sum([f.normal for f in faces.values()], axis=0)
            over = (z - centre[:, 2] - 2 * depth * back[:, 2]) / up[:, 2]
            behind = 2 * depth * back[:, 1] + over * up[:, 1]
            x = across(behind)
        return np.asarray(-(x - centre[:, 0] + slope * (z - centre[:, 2])) / behind)

    def _depth(self) -> Floats:
        row = self.evidence.row
        error = row("alignment.biplanar.pedicle_depth_error").number
        usual = row("alignment.biplanar.pedicle_depth").number
        return np.asarray(usual + error * _drawn(self.rng))

    def _unmarked(self) -> Floats:
        error = self.evidence.row("alignment.biplanar.unmarked_rotation").number
        return np.asarray(np.tan(np.radians(error)) * _drawn(self.rng))

    # -- points --

    def _placed(self, name: str, of: str, seen: _Seen | None) -> Floats:
        assert seen is not None
        self._noted(name, of, seen)
        return self._of(seen)

    def _seen(self, lateral: Sequence[str], frontal: Sequence[str]) -> _Seen | None:
        """The middle of some points on each view, with its error; None unless all are marked."""
        a, b = self.lateral.mean(*lateral), self.frontal.mean(*frontal)
        return None if a is None or b is None else (a, b)

    def _of(self, seen: _Seen) -> Floats:
        (a, a_error), (b, b_error) = seen
        return self.pair.placed(a, b, (a_error, b_error))

    def _noted(self, name: str, of: str, seen: _Seen) -> None:
        a, b = seen
        apart = float(a[0][0, 1] - b[0][0, 1])
        self.rows.append(Rows(name=name, of=of, apart=apart, error=float(np.hypot(a[1], b[1]))))

    def _planes(
        self, heads: Mapping[Side, Floats], sacrum: Face | None, bodies: Mapping[str, Body]
    ) -> Reference | None:
        """The person's own planes."""
        line = [b.centre for b in bodies.values()] + ([sacrum.centre] if sacrum else [])
        if len(line) < 2:  # the pelvis alone: against the vertical
            line = [np.array([[0.0, 0.0, 1.0]]), np.array([[0.0, 0.0, 0.0]])]
        if heads:
            return Reference.of(
                unit(heads["left"] - heads["right"]), line[0] - line[-1], "hip axis"
            )
        turned = [b.axes[:, :, 0] for b in bodies.values()
                  if b.axes is not None and b.turned_by != UNMARKED]  # fmt: skip
        if not turned:
            return None
        return Reference.of(unit(np.sum(turned, axis=0)), line[0] - line[-1], "the vertebrae")


def _axes(faces: Mapping[str, Face]) -> Floats:
    up = unit(np.sum([f.normal for f in faces.values()], axis=0))
    left = unit(square_to(np.sum([unit(f.left) for f in faces.values()], axis=0), up))
    return np.stack([left, np.cross(up, left), up], axis=-1)


def turned_off(axes: Floats) -> Floats:
    """Standard error of a vertebra's directions, degrees: about its left, back and head axis."""
    own, drawn = axes[0], axes[1:]
    # A small turn about an axis shows as how far the other two have moved towards one another.
    pairs = ((1, 2), (2, 0), (0, 1))
    small = [dot(drawn[:, :, a], own[:, b]) - dot(drawn[:, :, b], own[:, a]) for a, b in pairs]
    return np.asarray(np.degrees(np.sqrt(np.square(small).mean(axis=1)) / 2))
