"""Alignment in space, from both pictures of a slot scanner (EOS): beside what each view gives.

Sagittal means in the plane square to the person's own hip axis, not that of the picture; lengths
have no magnification. The points are placed by `endplate.alignment.space`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from endplate import cobb, vocabulary
from endplate.alignment.fan import Floats
from endplate.alignment.geometry import (
    NORMAL_95,
    PARAMETERS,
    PELVIC_ANGLES,
    THORACIC,
    derived,
    outside,
    turned,
)
from endplate.alignment.geometry import measure as measured_on_one
from endplate.alignment.landmarks import Radiograph
from endplate.alignment.space import HIPS_OF, UNMARKED, Body, Face, Rows, Space, built, turned_off
from endplate.alignment.standing import IN_SPACE
from endplate.evidence import Evidence
from endplate.facts import Fact, Problem, Side, in_order, replaced
from endplate.planes import Reference, bulge, dot, lean, turn, unit
from endplate.posture import UPRIGHT

CORRECTED = "corrected by the place in space"

# Pictures of one scan that do not begin at one height: then most landmarks lie apart by the same.
_FEW = 3
_VERTICAL = np.array([0.0, 0.0, 1.0])
_STRANGERS = (
    "Most landmarks lie at another height on the lateral than on the frontal view, and not all by "
    "the same: the views are of two people or two scans, at two scales, or counted otherwise; "
    "nothing is measured in space.",
    "Look whether both are of one scan, and at pixel_spacing and the levels of each.",
)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Found:
    """What both views give together.

    Attributes
    ----------
    facts
        Those in space, and `lengths` of the single views with their magnification taken away.
    space
        None where nothing could be placed.
    """

    facts: tuple[Fact, ...] = ()
    lengths: tuple[Fact, ...] = ()
    problems: tuple[Problem, ...] = ()
    space: Space | None = None


def measure(lateral: Radiograph, frontal: Radiograph, evidence: Evidence) -> Found:
    """Everything that both views of one scan give together, and what they do not and why.

    Raises
    ------
    InputProblem
        If the landmarks of a picture contradict one another.
    """
    where = f"{lateral.name}, {frontal.name}"
    why = _not_a_pair(lateral, frontal)
    if why:
        return Found(problems=(_problem("alignment.no_pair", where, *why),))
    space = built(lateral, frontal, evidence)
    if not space.bodies and not space.heads and space.sacrum is None:
        says = "No landmark is marked on both views; nothing is measured in space."
        return Found(problems=(_problem("alignment.no_pair", where, says, "Mark some on both."),))
    limit = evidence.row("alignment.biplanar.rows_apart").number
    if _strangers(space.rows, limit):
        return Found(problems=(_problem("alignment.no_pair", where, *_STRANGERS),))
    apart, problems = _rows(space.rows, where, limit)
    facts = [
        fact.doubted("higher on one view than on the other") if rests & apart else fact
        for fact, rests in _Measured(space, (lateral, frontal), where, evidence).all()
    ]
    lengths = [f for film in (lateral, frontal) for f in _lengths(film, space, evidence)]
    return Found(
        facts=in_order(facts), lengths=tuple(lengths), space=space,
        problems=(*problems, *_missing(space, lateral, frontal, where)),
    )  # fmt: skip


def _not_a_pair(lateral: Radiograph, frontal: Radiograph) -> tuple[str, str] | None:
    """Why two radiographs are no pair, and what to do."""
    without = [film.name for film in (lateral, frontal) if film.fan is None]
    if without:
        return (
            f"How a slot scanner took it is known of one view alone, and not of {without[0]}; "
            "nothing is measured in space.",
            "Give eos in that file too, or its DICOM image.",
        )
    days = {film.on for film in (lateral, frontal)} - {None}
    if lateral.posture != frontal.posture or len(days) > 1:
        return (
            "Both views of a pair are taken at once, and these differ in posture or day; nothing "
            "is measured in space.",
            "Correct posture or on, or measure one at a time.",
        )
    return None


def _problem(problem: str, where: str, says: str, then: str) -> Problem:
    return Problem(problem=problem, where=where, says=says, try_=(then,))


# -- checks -----------------------------------------------------------------------------------


def _off(rows: Sequence[Rows], limit: float, start: float = 0.0) -> list[Rows]:
    """Those that lie apart by another height than that at which the pictures begin."""
    return [r for r in rows if abs(r.apart - start) > limit * r.error]


def _common(rows: Sequence[Rows]) -> float:
    return float(np.median([r.apart for r in rows])) if rows else 0.0


def _are_most(some: Sequence[Rows], rows: Sequence[Rows]) -> bool:
    return len(rows) > _FEW and len(some) > len(rows) / 2


def _strangers(rows: Sequence[Rows], limit: float) -> bool:
    """Whether the heights of both views have nothing to do with one another."""
    return all(_are_most(_off(rows, limit, start), rows) for start in (0.0, _common(rows)))


def _rows(rows: Sequence[Rows], where: str, limit: float) -> tuple[set[str], Iterator[Problem]]:
    """The levels whose landmarks lie higher on one view than on the other, and what is said."""
    off, common = _off(rows, limit), _common(rows)
    if _are_most(off, rows):
        says = (
            f"Most landmarks lie {abs(common):.0f} mm {'higher' if common > 0 else 'lower'} on the "
            "lateral than on the frontal view: the pictures do not begin at the same height."
        )
        then = "Give first_row in eos: how many rows are missing above a picture that was cut."
        return _levels(off), iter([_problem("alignment.rows_apart", where, says, then)])
    return _levels(off), (_one_apart(r, where) for r in _worst(off))


def _one_apart(row: Rows, where: str) -> Problem:
    higher = "lateral" if row.apart > 0 else "frontal"
    return _problem(
        "alignment.rows_apart", where,
        f"{row.name} lies {abs(row.apart):.0f} mm higher on the {higher} view than on the other, "
        f"beyond what the error of the landmarks explains ({row.error:.1f} mm): it may be marked "
        "on another level.",
        "Look at that level on both views.",
    )  # fmt: skip


def _levels(rows: Iterable[Rows]) -> set[str]:
    return {r.of for r in rows}


def _worst(rows: Iterable[Rows]) -> list[Rows]:
    """One of each level: that which lies farthest apart."""
    found: dict[str, Rows] = {}
    for row in rows:
        before = found.get(row.of)
        if before is None or abs(row.apart) > abs(before.apart):
            found[row.of] = row
    return list(found.values())


def _missing(
    space: Space, lateral: Radiograph, frontal: Radiograph, where: str
) -> Iterator[Problem]:
    """What could not be measured in space, and what was assumed for what was."""
    assumed = [f.name for f in (lateral, frontal) if f.fan is not None and f.fan.is_assumed]
    if assumed:
        yield _problem(
            "alignment.isocentre_assumed", ", ".join(assumed),
            "Where the isocentre stands is not said; it was put in the middle of the picture. If "
            "the picture was cut to one side, places and lengths in space are off.",
            "Give isocentre_column in eos where it is known.",
        )  # fmt: skip
    if space.heads_unsided:
        yield _problem(
            "alignment.heads_unsided", where,
            "Which femoral head of the lateral view is the left one cannot be told by their "
            "height; there is no hip axis in space.",
            "Mark left femoral_head.centre and right femoral_head.centre.",
        )  # fmt: skip
    elif not space.heads:
        yield _problem(
            "alignment.no_hip_axis", where,
            "The femoral heads are not all marked on both views: there is no hip axis in space, "
            "and no pelvic incidence against it.",
            "Mark both on both views.",
        )  # fmt: skip
    if space.planes is None and space.bodies:
        yield _problem(
            "alignment.no_planes", where,
            "With neither a hip axis nor pedicles the person's own planes are not known: no angles "
            "of the spine in space.",
            "Mark femoral heads or pedicles.",
        )  # fmt: skip
    plain = [n for n, b in space.bodies.items() if b.axes is not None and b.turned_by == UNMARKED]
    if plain:
        yield Problem(
            problem="alignment.rotation_unknown", where=where, count=len(plain),
            says=f"No pedicles are marked of {_run(plain)}: no axial rotation, and it is taken "
            "that they face as the pelvis does.",
            try_=("Mark left pedicle.centre and right pedicle.centre of them.",),
        )  # fmt: skip


def _run(levels: Sequence[str]) -> str:
    return ", ".join(levels) if len(levels) <= _FEW else f"{levels[0]} to {levels[-1]}"


# -- what is measured -------------------------------------------------------------------------

Rested = tuple[Fact, set[str]]


class _Measured:
    """The facts in space, each with the levels that it rests on."""

    def __init__(
        self, space: Space, films: tuple[Radiograph, Radiograph], where: str, evidence: Evidence
    ) -> None:
        self.space, self.where = space, where
        self.on, self.posture = films[0].on or films[1].on, films[0].posture
        self.least = evidence.row("measurement.curve.least").number
        self.upright = self.posture in UPRIGHT

    def all(self) -> Iterator[Rested]:
        yield from self._of_the_pelvis()
        planes = self.space.planes
        if planes is None:
            return
        yield from self._of_the_curves(planes)
        yield from self._frontal(planes)
        yield from self._rotations(planes)
        if self.upright:
            yield from self._offsets(planes)

    def _fact(
        self, what: str, values: Floats, rests: Iterable[str] = (), *, level: str | None = None,
        side: Side | None = None, error: float | None = None, **details: float | str,
    ) -> Rested:  # fmt: skip
        unit_of = vocabulary.concept(what).unit
        value = float(values[0])
        if error is None:
            off = values[1:] - value
            off = turned(off) if unit_of == "deg" else off
            error = float(np.sqrt(np.square(off).mean()))
        fact = Fact(
            what=what, value=value, unit=unit_of, on=self.on, level=level, side=side,
            source=self.where, method=IN_SPACE, posture=self.posture,
            interval=(value - NORMAL_95 * error, value + NORMAL_95 * error),
            details={**details, "standard_error": error},
        )  # fmt: skip
        if outside(what, value):
            fact = fact.doubted("outside what is plausible: look at its points again")
        return fact, set(rests)

    # -- the pelvis, against its own axis --

    def _of_the_pelvis(self) -> Iterator[Rested]:
        heads, sacrum, hips = self.space.heads, self.space.sacrum, self.space.hips
        if not heads or hips is None:
            return
        ends = {HIPS_OF}
        across = heads["left"] - heads["right"]
        level = np.hypot(across[:, 0], across[:, 1])
        if self.upright:
            oblique = np.degrees(np.arctan2(across[:, 2], level))
            yield self._fact("pelvis.pelvic_obliquity", oblique, ends)
        yield self._fact(
            "pelvis.pelvic_rotation", np.degrees(np.arctan2(-across[:, 1], across[:, 0])), ends
        )
        if sacrum is None:
            return
        axis, up, tail = (
            unit(across),
            np.broadcast_to(_VERTICAL, across.shape),
            sacrum.centre - hips,
        )
        both = {*ends, "S1"}
        for what, start, end in (
            ("pelvic_incidence", tail, sacrum.normal),
            ("pelvic_tilt", tail, up),
            ("sacral_slope", up, sacrum.normal),
        ):
            yield self._fact(f"pelvis.{what}", turn(start, end, axis), both)
        bodies = self.space.bodies
        for name in PELVIC_ANGLES:
            if name in bodies:
                angle = turn(tail, bodies[name].centre - hips, axis)
                what = f"spine.{name.lower()}_pelvic_angle"
                yield self._fact(what, angle, {*both, name}, level=name)
        if "C7" in bodies:
            angle = turn(tail, bodies["C7"].centre - sacrum.centre, axis)
            yield self._fact("spine.global_tilt", angle, {*both, "C7"}, level="C7-S1")
        lumbar = self._lordosis("L1", "S1", self.space.planes)
        if lumbar is not None:
            yield self._fact(
                "spine.pelvic_incidence_lumbar_lordosis_mismatch",
                turn(tail, sacrum.normal, axis) - lumbar, {*both, "L1"}, level="L1-S1",
            )  # fmt: skip

    # -- sagittal --

    def _lordosis(self, first: str, last: str, planes: Reference | None) -> Floats | None:
        """From the upper endplate of a level to the lower one of another; of S1 the upper one."""
        faces = self.space.faces()
        upper, lower = (
            faces.get(first, (None, None))[0], faces.get(last, (None, None))[last != "S1"]
        )  # fmt: skip
        if upper is None or lower is None or planes is None:
            return None
        return turned(self._forwards(lower, planes) - self._forwards(upper, planes))

    @staticmethod
    def _forwards(face: Face, planes: Reference) -> Floats:
        return lean(face.normal, -planes.posterior, planes.up)

    def _of_the_curves(self, planes: Reference) -> Iterator[Rested]:
        kyphoses = [("thoracic_kyphosis", *span) for span in THORACIC]
        kyphoses.append(("thoracolumbar_kyphosis", "T10", "L2"))
        for what, first, last in (
            ("lumbar_lordosis", "L1", "S1"), ("lower_lumbar_lordosis", "L4", "S1"), *kyphoses,
        ):  # fmt: skip
            angle = self._lordosis(first, last, planes)
            if angle is not None:
                yield self._fact(
                    f"spine.{what}", -angle if "kyphosis" in what else angle, {first, last},
                    level=f"{first}-{last}", lateral_axis=planes.by,
                )  # fmt: skip
        first_face = self.space.faces().get("T1", (None, None))[0]
        if first_face is not None and self.upright:
            up = np.broadcast_to(_VERTICAL, first_face.normal.shape)
            slope = turn(up, first_face.normal, planes.left)
            yield self._fact("spine.t1_slope", slope, {"T1"}, level="T1", lateral_axis=planes.by)

    # -- frontal, and the plane of each curve --

    def _frontal(self, planes: Reference) -> Iterator[Rested]:
        faces = self.space.faces()
        levels = list(faces)
        none = np.full(len(planes.left), np.nan)
        lower = [f if n != "S1" else u for n, (u, f) in faces.items()]
        upper, under = (
            np.array([none if f is None else lean(f.normal, planes.left, planes.up) for f in row])
            for row in ([u for u, _ in faces.values()], lower)
        )
        if not levels:
            return
        for curve in cobb.curves(levels, upper, under, self.least):
            rests, where = {curve.first, curve.last}, f"{curve.first}-{curve.last}"
            details: dict[str, Any] = {
                "largest": "yes" if curve.largest else "no", "lateral_axis": planes.by,
                "among": f"{levels[0]}-{levels[-1]}",
            }  # fmt: skip
            own: list[Rested] = []
            run = self._bodies(levels, curve)
            if run:
                found = bulge([b.centre for b in run], planes)
                apex = run[found.at]
                details |= {"apex": apex.level, "apex_offset": float(found.offset[0])}
                if apex.axes is not None and apex.turned_by != UNMARKED:
                    details["apex_rotation"] = float(self._rotation(apex, planes)[0])
                details["plane_of_maximum_curvature"] = float(found.plane[0])
                rests.add(apex.level)
                own.append(self._fact(
                    "spine.plane_of_maximum_curvature", found.plane, rests, level=where,
                    apex=apex.level,
                ))  # fmt: skip
                first, last = faces[curve.first][0], faces[curve.last][curve.last != "S1"]
                if first is not None and last is not None:
                    axis = unit(np.cross(found.direction, run[0].centre - run[-1].centre))
                    angle = turn(first.normal, last.normal, axis)
                    own.append(self._fact(
                        "spine.cobb_angle_in_plane_of_maximum_curvature",
                        angle * np.sign(angle[0]), rests, level=where,
                    ))  # fmt: skip
            yield self._fact(
                "spine.coronal_cobb_angle", np.array([curve.angle]), rests, level=where,
                side=curve.side, error=curve.error, **details,
            )  # fmt: skip
            yield from own

    def _bodies(self, levels: Sequence[str], curve: cobb.Curve) -> list[Body]:
        """The vertebrae of a curve, if enough are known and none between is missing."""
        run = levels[levels.index(curve.first) : levels.index(curve.last) + 1]
        run = [n for n in run if n != "S1"]
        bodies = [self.space.bodies[n] for n in run if n in self.space.bodies]
        return bodies if len(bodies) == len(run) >= cobb.LEAST_SPAN else []

    # -- about the own axis --

    @staticmethod
    def _rotation(body: Body, planes: Reference) -> Floats:
        assert body.axes is not None
        return planes.rotation(body.axes[:, :, 2], body.axes[:, :, 1])

    def _rotations(self, planes: Reference) -> Iterator[Rested]:
        for name, body in self.space.bodies.items():
            if body.axes is not None and body.turned_by != UNMARKED:
                yield self._fact(
                    "vertebra.axial_rotation", self._rotation(body, planes), {name}, level=name,
                    by=body.turned_by, lateral_axis=planes.by,
                )  # fmt: skip

    # -- against the plumb line --

    def _offsets(self, planes: Reference) -> Iterator[Rested]:
        """Along the horizontal lines of the person's own planes."""
        left = unit(planes.left * [1.0, 1.0, 0.0])
        front = np.cross(left, _VERTICAL)
        bodies, sacrum = self.space.bodies, self.space.sacrum
        seventh = self.space.faces().get("C7", (None, None))[0]
        ends: list[tuple[str, str, Floats, Floats | None]] = []
        if sacrum is not None:
            ends += [
                ("sagittal_vertical_axis", "C7-S1", front, sacrum.end("posterior")),
                ("c2_sagittal_vertical_axis", "C2-S1", front, sacrum.end("posterior")),
                ("coronal_balance", "C7-S1", left, sacrum.centre),
            ]
        if seventh is not None:
            ends.append(
                ("cervical_sagittal_vertical_axis", "C2-C7", front, seventh.end("posterior"))
            )
        for what, level, along, foot in ends:
            first, _, last = level.partition("-")
            if first in bodies and foot is not None:
                away = dot(bodies[first].centre - foot, along)
                yield self._fact(
                    f"spine.{what}", away, {first, last}, level=level, lateral_axis=planes.by
                )


# -- lengths of the single views --------------------------------------------------------------


def _lengths(film: Radiograph, space: Space, evidence: Evidence) -> Iterator[Fact]:
    """Those lengths of one view of which all points are placed, without their magnification."""
    known = {name: at[0] for name, at in space.places()}
    own = {
        name: ((-at[1] if film.view == "lateral" else at[0]), at[2])
        for name, at in known.items()
        if name in film.points
    }
    there = derived({n: np.array(at) for n, at in own.items()}, film.view)
    lengths = [
        p for p in PARAMETERS[film.view]
        if vocabulary.concept(p.what).unit == "mm" and all(n in there for n in p.needs)
    ]  # fmt: skip
    if not lengths:
        return
    seen = Radiograph(
        name=film.name, view=film.view, posture=film.posture, on=film.on, calibrated=True,
        points={n: (float(x), float(y)) for n, (x, y) in own.items()}, towards="right",
        errors={n: e for n, e in film.errors.items() if n in own},
    )  # fmt: skip
    wanted = {(p.what, p.level) for p in lengths}
    for fact in measured_on_one(seen, evidence)[0]:
        if (fact.what, fact.level) in wanted:
            yield replaced(fact, details={**fact.details, "magnification": CORRECTED})


def corrected(facts: Iterable[Fact], lengths: Iterable[Fact]) -> list[Fact]:
    """The facts of single views, those lengths in place of theirs that are among `lengths`."""
    by = {(f.what, f.level, f.source): f for f in lengths}
    return [by.get((f.what, f.level, f.source), f) for f in facts]


# -- for other programs -----------------------------------------------------------------------


def described(space: Space) -> dict[str, Any]:
    """The places in space with their standard errors, and how each vertebra lies; plain values."""
    return {
        "coordinates": "LPS mm about the axis of the isocentre, as the person was stood",
        "points": {
            name: {
                "position": _plain(at[0]),
                "standard_error": _plain(np.sqrt(np.square(at[1:] - at[0]).mean(axis=0))),
            }
            for name, at in space.places()
        },
        "vertebrae": {
            name: {
                "left": _plain(body.axes[0, :, 0], 5), "back": _plain(body.axes[0, :, 1], 5),
                "head": _plain(body.axes[0, :, 2], 5),
                "standard_error_about": dict(
                    zip(("left", "back", "head"), _plain(turned_off(body.axes)), strict=True)
                ),
                "turned_by": body.turned_by,
            }
            for name, body in space.bodies.items() if body.axes is not None
        },
    }  # fmt: skip


def _plain(values: Floats, decimals: int = 3) -> list[float]:
    return [round(float(v), decimals) + 0.0 for v in values]
