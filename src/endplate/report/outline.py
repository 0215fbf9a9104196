"""The spine as it was marked: from the side with plumb lines, and from the front with its curves.

Line style carries the meaning and colour repeats it: what is now is solid and dark grey, a target
dashed and blue with its tolerance shaded, a plan dash-dotted and vermillion with hollow landmarks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from math import cos, hypot, radians, sin
from typing import Literal

import numpy as np

from endplate.alignment.geometry import ahead, derived, inclination
from endplate.alignment.landmarks import ENDS, HEAD, HIPS, SECOND, SIDES, Floats
from endplate.levels import Level
from endplate.report.charts import BLUE, GREY, INK, RULE, VERMILLION
from endplate.report.drawing import At, Drawing, shortened, width

Role = Literal["current", "target", "plan"]

WIDTH = 480
_TALLEST, _WITH_LEGS = 700.0, 960.0  # of what is drawn, where the film shows that much
_PLATE = 70.0  # and no endplate is longer than this
_BEFORE = 13  # so much nearer must a label's place be to stand before a body and not behind it
_ASKEW = 1.2  # and so much nearer for what it stands above or below its body
_ASIDE = 7.0  # farther up or down than this, a label has a line to its body
_LEVEL, _SMALL = 12, 12.5  # sizes of text
_BARS = (200, 100, 50, 20, 10, 5)  # mm that a scale bar may stand for
_HIP_AXIS, _SACRUM, _C7 = "hip axis", "S1 superior endplate", "C7 body"


@dataclass(frozen=True, slots=True)
class _Style:
    word: str
    colour: str
    thickness: float
    dash: str
    hollow: bool = False


_STYLES: Mapping[Role, _Style] = {
    "current": _Style("now", GREY, 2.6, ""),
    "target": _Style("target", BLUE, 1.9, "5 3"),
    "plan": _Style("plan", VERMILLION, 1.9, "11 2.5 2 2.5", hollow=True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """One spine of a picture, in the same frame as the others of it.

    Attributes
    ----------
    points
        Landmarks as `Radiograph.oriented` gives them: x to the front or the patient's left, y up.
    role
        What it is: as it is now, a target, or a plan.
    name
        What the reader knows it by.
    tolerance
        Of a target: how far off its line is still on it, in the unit of the points.
    upright
        Whether the person stood or sat, so that there is a plumb line.
    """

    points: Mapping[str, Floats]
    role: Role = "current"
    name: str = ""
    tolerance: float | None = None
    upright: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """The two end vertebrae of one frontal curve: its id, its lines of text, its convex side."""

    id: str
    first: str
    last: str
    says: tuple[str, ...]
    side: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Wedge:
    """Where a point of a planned spine is wanted, as seen from the hip axis.

    Attributes
    ----------
    apex, held
        The hip axis, and the point that is held against the wedge.
    first, last
        Its sides, in degrees forwards of the vertical.
    near, far
        From how far off the apex to how far it is drawn, in the unit of the points.
    name, says
        What stands in the picture, and what in its legend.
    """

    apex: Floats
    held: Floats
    first: float
    last: float
    near: float
    far: float
    name: str
    says: str

    @property
    def corners(self) -> list[Floats]:
        """Its outline, with as many points on its arcs as make them look round."""
        angles = [self.first + (self.last - self.first) * n / 8 for n in range(9)]
        ends = ((self.near, angles[::-1]), (self.far, angles))
        return [
            self.apex + reach * np.array([sin(radians(a)), cos(radians(a))])
            for reach, turned in ends
            for a in turned
        ]


# -- from the side --------------------------------------------------------------------------------


def sagittal(
    outlines: Sequence[Outline],
    *,
    calibrated: bool,
    wedges: Sequence[Wedge] = (),
    title: str = "Sagittal outline",
    key: str = "sagittal",
) -> str:
    """The spines from the side, the front to the right, one over the other, as SVG text.

    Parameters
    ----------
    calibrated
        Whether the points are in mm; else there is no scale bar and no length is printed.
    wedges
        Where points of a plan are wanted, shaded.
    key
        By what its ids begin, where a page has several.
    """
    found = [derived(o.points, "lateral") for o in outlines]
    marks = ("P posterior", "anterior A")
    sheet = _Sheet(outlines, found, calibrated=calibrated, marks=marks, wedges=wedges)
    for wedge in wedges:
        sheet.wedge(wedge)
    for outline, shape in zip(outlines, found, strict=True):
        if outline.tolerance:
            sheet.band(outline, shape)
    offsets = []
    for outline, shape in zip(outlines, found, strict=True):
        sheet.spine(outline, shape, "lateral")
        offsets.append(_plumb(sheet, outline, shape, calibrated=calibrated))
    for (outline, _), says in zip(zip(outlines, found, strict=True), offsets, strict=True):
        if says:
            sheet.plumb_label(says, _STYLES[outline.role])
    sheet.level_labels(outlines, found, "lateral")
    for wedge in wedges:
        sheet.wedge_label(wedge)
    told = [
        f"{_STYLES[o.role].word}: {_named_levels(shape)}{f', {says[0]}' if says else ''}"
        for o, shape, says in zip(outlines, found, offsets, strict=True)
    ]
    told += [wedge.says for wedge in wedges]
    says = f"Seen from the side, the front to the right. {_sentence(told)} {sheet.scale_says}."
    return sheet.drawing.svg(key, title, says)


def _plumb(
    sheet: _Sheet, outline: Outline, shape: Mapping[str, Floats], *, calibrated: bool
) -> tuple[str, At] | None:
    """Draw the plumb line of C7 down to the sacrum: what is said of it, and where."""
    if not outline.upright or _C7 not in shape or _SACRUM not in shape:
        return None
    style = _STYLES[outline.role]
    corner = sheet.at(shape[_SACRUM][1])
    top = sheet.at(shape[_C7])
    foot = (top[0], max(corner[1], top[1]))
    sheet.plumb_line(top, foot, style)
    sheet.drawing.line(corner, foot, style.colour, 1, style.dash)
    word = f"C7 plumb line, {style.word}"
    if calibrated:
        offset = float(ahead(shape[_C7], shape[_SACRUM][1]))
        word = f"SVA {style.word} {_signed(offset)} mm"
    return word, foot


def sagittal_table(outlines: Sequence[Outline]) -> list[tuple[str, ...]]:
    """The outlines as lines of a table: an endplate, and how far it faces forwards in each."""
    shapes = [derived(outline.points, "lateral") for outline in outlines]
    there = dict.fromkeys(name for shape in shapes for name, _ in _plates(shape))
    return [
        (
            name.removesuffix(" endplate"),
            *(f"{float(inclination(s[name])):.1f}" if name in s else "" for s in shapes),
        )
        for name in there
    ]


# -- from the front -------------------------------------------------------------------------------


def coronal(
    outline: Outline,
    pairs: Sequence[Pair],
    *,
    calibrated: bool,
    plans: Sequence[Outline] = (),
    title: str = "Coronal outline",
    key: str = "coronal",
) -> str:
    """The spine from the front, the patient's left to the right, its curves linked, as SVG text."""
    shape = derived(outline.points, "frontal")
    marks = ("R patient's right", "patient's left L")
    outlines = [outline, *plans]
    shapes = [shape, *(derived(p.points, "frontal") for p in plans)]
    sheet = _Sheet(outlines, shapes, calibrated=calibrated, marks=marks, beside=132.0)
    for one, of_it in zip(outlines, shapes, strict=True):
        sheet.spine(one, of_it, "frontal")
    offsets = [
        _central_line(sheet, one, of_it, calibrated=calibrated)
        for one, of_it in zip(outlines, shapes, strict=True)
    ]
    for pair in pairs:
        sheet.pair(pair, shape)
    for one, says in zip(outlines, offsets, strict=True):
        if says:
            sheet.plumb_label(says, _STYLES[one.role])
    sheet.level_labels(outlines, shapes, "frontal")
    told = [f"curve {p.id}: {' '.join(p.says)}" for p in pairs] or ["no curve was measured"]
    text = (
        f"Seen as a radiograph is, the patient's left to the right. {_named_levels(shape)}. "
        f"{_sentence(told)}{''.join(f' {s[0]}.' for s in offsets if s)} {sheet.scale_says}."
    )
    return sheet.drawing.svg(key, title, text)


def _central_line(
    sheet: _Sheet, outline: Outline, shape: Mapping[str, Floats], *, calibrated: bool
) -> tuple[str, At] | None:
    """Draw the vertical through the middle of S1, and the plumb line of C7 beside it."""
    if not outline.upright or _SACRUM not in shape:
        return None
    x, y = sheet.at(shape[_SACRUM].mean(axis=0))
    sheet.drawing.line((x, y), (x, sheet.top), RULE, 1, "2 3")
    if _C7 not in shape:
        return None
    top = sheet.at(shape[_C7])
    foot = (top[0], y)
    sheet.plumb_line(top, foot, _STYLES[outline.role])
    is_now, word = outline.role == "current", "C7 plumb line"
    if calibrated:
        offset = float(ahead(shape[_C7], shape[_SACRUM].mean(axis=0)))
        by = f"{abs(offset):.0f} mm to the {'left' if offset > 0 else 'right'}"
        word = f"C7 {by} of S1" if is_now else f"{_STYLES[outline.role].word} {by}"
    elif not is_now:
        word += f", {_STYLES[outline.role].word}"
    return word, foot


# -- the sheet that both are drawn on -------------------------------------------------------------


class _Sheet:
    """A drawing, and how its points come onto it: legend on top, scale at the bottom."""

    def __init__(
        self,
        outlines: Sequence[Outline],
        shapes: Sequence[Mapping[str, Floats]],
        *,
        calibrated: bool,
        marks: tuple[str, str],
        beside: float = 76.0,
        wedges: Sequence[Wedge] = (),
    ) -> None:
        points = np.array(
            [at for o in outlines for at in o.points.values()]
            + [c for w in wedges for c in w.corners]
        )
        low, high = points.min(axis=0), points.max(axis=0)
        size = np.maximum(high - low, 1e-9)
        tallest = _WITH_LEGS if any("ankle" in n for o in outlines for n in o.points) else _TALLEST
        longest = max((float(np.linalg.norm(p[0] - p[1])) for s in shapes for _, p in _plates(s)),
                      default=0.0)  # fmt: skip
        room = [(WIDTH - 2 * beside) / size[0], tallest / size[1]]
        self.scale = float(min(*room, _PLATE / longest if longest else np.inf))
        # So that the corners of a plan do not hide it where the vertebrae are small.
        self._corner = min(2.6, max(1.3, 0.05 * longest * self.scale))
        self.top = 62.0 + 20 * (len(outlines) + len(wedges))
        self.bottom = self.top + float(size[1]) * self.scale
        left = (WIDTH - float(size[0]) * self.scale) / 2
        self._origin = left - float(low[0]) * self.scale, self.top + float(high[1]) * self.scale
        self.drawing = Drawing(WIDTH, self.bottom + 76)
        self._legend(outlines, wedges)
        first, second = marks
        y = self.top - 26
        self.drawing.write((12, y), first, 14, bold=True)
        self.drawing.write((WIDTH - 12, y), second, 14, "end", bold=True)
        self.scale_says = self._scale_bar(calibrated=calibrated)

    def at(self, point: Floats) -> At:
        """Where a point comes to lie."""
        return (
            self._origin[0] + float(point[0]) * self.scale,
            self._origin[1] - float(point[1]) * self.scale,
        )

    def _legend(self, outlines: Sequence[Outline], wedges: Sequence[Wedge]) -> None:
        for n, outline in enumerate(outlines):
            style, y = _STYLES[outline.role], 16.0 + 20 * n
            ends = (12.0, y), (62.0, y)
            self.drawing.line(*ends, style.colour, style.thickness, style.dash)
            if style.hollow:
                for end in ends:
                    self.drawing.circle(end, 3.2, style.colour, hollow=True)
            text = shortened(_called(outline), 12, WIDTH - 90)
            self.drawing.write((72, y + 4), text)
        for n, wedge in enumerate(wedges, len(outlines)):
            y = 16.0 + 20 * n
            self._shade([(12, y - 7), (62, y - 7), (62, y + 7), (12, y + 7)])
            self.drawing.write((72, y + 4), shortened(wedge.says, 12, WIDTH - 90))

    def _scale_bar(self, *, calibrated: bool) -> str:
        y = self.bottom + 58
        if not calibrated:
            self.drawing.write((12, y), "not to scale: uncalibrated", 12)
            return "Not to scale: the radiograph is uncalibrated"
        # The longest that takes up a third of the picture at most.
        length = next((n for n in _BARS if n * self.scale <= WIDTH / 3), _BARS[-1])
        end = 12 + length * self.scale
        self.drawing.line((12, y), (end, y), INK, 2)
        for x in (12.0, end):
            self.drawing.line((x, y - 5), (x, y + 5), INK, 1.5)
        self.drawing.write((end + 8, y + 4), f"{length} mm", 12)
        return f"The scale bar is {length} mm"

    # -- lines --

    def band(self, outline: Outline, shape: Mapping[str, Floats]) -> None:
        """Shade what is within a target's tolerance, with edges that can be seen in print."""
        middles = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(self.at, _line(shape)))
        wide = 2 * float(outline.tolerance or 0) * self.scale
        for colour, opacity, thickness in (
            (BLUE, 1.0, wide), ("#ffffff", 1.0, wide - 1.6), (BLUE, 0.14, wide - 1.6),
        ):  # fmt: skip
            self.drawing.parts.append(
                f'<polyline points="{middles}" fill="none" stroke="{colour}" '
                f'stroke-width="{max(thickness, 0):.1f}" stroke-opacity="{opacity}" '
                f'stroke-linejoin="round"/>'
            )

    def wedge(self, wedge: Wedge) -> None:
        """Shade where a point is wanted, and mark where it would come to lie."""
        corners = [self.at(corner) for corner in wedge.corners]
        self._shade(corners)
        self.drawing.lines += [*pairwise(corners), (corners[-1], corners[0])]
        x, y = self.at(wedge.held)
        self.drawing.parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{VERMILLION}" stroke="#ffffff"/>'
        )

    def _shade(self, corners: Sequence[At]) -> None:
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
        self.drawing.parts.append(
            f'<polygon points="{points}" fill="{BLUE}" fill-opacity="0.13" stroke="{BLUE}" '
            f'stroke-width="1.1" stroke-dasharray="5 3"/>'
        )

    def wedge_label(self, wedge: Wedge) -> None:
        """Name a wedge beside its far end, where there is room; its legend says the rest."""
        corners = [self.at(c) for c in wedge.corners[9:]]
        half = width(wedge.name, _LEVEL) / 2
        edges = ((corners[0], -1.0, half + 4), (corners[-1], 1.0, WIDTH - half - 4))
        places: list[tuple[At, At | None]] = [
            ((x + side * (half + away), y + down), (x, y + 2) if away > 20 else None)
            for away in range(8, 90, 10)
            for (x, y), side, _ in edges
            for down in (8, 0, 24, -16, 40)
        ]
        # Else at the edge of the picture, with a line from there.
        places += [
            ((margin, y + down), (x, y + 2))
            for down in range(0, 200, 16)
            for (x, y), _, margin in edges
        ]
        self.drawing.label([wedge.name], places, _LEVEL, BLUE)

    def spine(self, outline: Outline, shape: Mapping[str, Floats], view: str) -> None:
        """Endplates, the line through the bodies, the walls of bodies, hips, head and legs."""
        style = _STYLES[outline.role]
        for start, end in _walls(shape):
            if outline.role == "current":
                self.drawing.line(self.at(start), self.at(end), RULE, 0.9)
            elif style.hollow:
                self.drawing.line(self.at(start), self.at(end), style.colour, 0.5)
        for start, end in pairwise(_line(shape)):
            self.drawing.line(self.at(start), self.at(end), style.colour, 0.9, style.dash)
        for start, end in _other_lines(shape, view, face=outline.role == "current"):
            self.drawing.line(self.at(start), self.at(end), style.colour, 1.1, style.dash)
        in_plates = set()
        for name, plate in _plates(shape):
            self.drawing.line(
                self.at(plate[0]), self.at(plate[1]), style.colour, style.thickness, style.dash
            )
            stem = f"{name.removesuffix(' endplate')}_endplate"
            in_plates |= {f"{stem}.{end}" for end in ENDS[view]}
            if style.hollow:
                for end in plate:
                    self.drawing.circle(self.at(end), self._corner, style.colour, hollow=True)
        for name, at in outline.points.items():
            is_hip = name in _HEADS
            if name in _OF_THE_HEAD and outline.role != "current":
                continue
            if is_hip or name not in in_plates:
                self.drawing.circle(
                    self.at(at), 6.5 if is_hip else 2.2, style.colour,
                    hollow=is_hip or style.hollow, dash=style.dash if is_hip else "",
                )  # fmt: skip

    def plumb_line(self, top: At, foot: At, style: _Style) -> None:
        """A plumb line with its bob."""
        self.drawing.line(top, foot, style.colour, 1, style.dash)
        x, y = foot
        fill = "#ffffff" if style.hollow else style.colour
        self.drawing.parts.append(
            f'<path d="M{x - 4:.1f} {y:.1f}h8l-4 9z" fill="{fill}" stroke="{style.colour}"/>'
        )
        self.drawing.lines.append(((x, y), (x, y + 9)))

    def pair(self, pair: Pair, shape: Mapping[str, Floats]) -> None:
        """Link the end plates of one curve on its convex side, and name it there."""
        last = "superior" if pair.last == "S1" else "inferior"
        named = (f"{pair.first} superior endplate", f"{pair.last} {last} endplate")
        if not all(name in shape for name in named):
            return
        plates = [shape[name] for name in named]
        sign, end = (-1.0, 1) if pair.side == "right" else (1.0, 0)
        outermost = [self.at(p) for name, at in shape.items() if "endplate" in name
                     for p in np.atleast_2d(at)]  # fmt: skip
        x = (max if sign > 0 else min)(p[0] for p in outermost) + sign * 34
        corners: list[At] = []
        for plate in plates:
            outer, inner = self.at(plate[end]), self.at(plate[1 - end])
            long = hypot(outer[0] - inner[0], outer[1] - inner[1]) or 1.0
            tip = (outer[0] + 18 * (outer[0] - inner[0]) / long,
                   outer[1] + 18 * (outer[1] - inner[1]) / long)  # fmt: skip
            self.drawing.line(outer, tip, INK, 1.6)
            corners += [tip, (x, tip[1])]
        tip, corner, other_tip, other_corner = corners
        for line in ((tip, corner), (corner, other_corner), (other_corner, other_tip)):
            self.drawing.line(*line, INK, 1.1, "4 3")
        middle = (corner[1] + other_corner[1]) / 2
        lines = [f"curve {pair.id}", *pair.says]
        half = max(width(t, _SMALL) for t in lines) / 2
        away = [0.0] + [s * n for n in range(12, 260, 12) for s in (1, -1)]
        places: list[tuple[At, At | None]] = [
            ((x + sign * (half + 6), middle + dy), (x, middle) if abs(dy) > 40 else None)
            for dy in away
        ]
        self.drawing.label(lines, places, _SMALL)

    # -- labels --

    def plumb_label(self, says: tuple[str, At], style: _Style) -> None:
        """Name a plumb line below its foot, or as near to it as there is room."""
        text, (foot, y) = says
        half = width(text, _SMALL) / 2 + 4
        x = min(max(foot, half), WIDTH - half)
        near: list[tuple[At, At | None]] = [
            ((foot + half + 8, y), None), ((foot - half - 8, y), None), ((x, y + 24), None),
        ]  # fmt: skip
        near += [
            ((x + dx, y + dy), (x, y + 2))
            for dy in (24, 40, 56, -18, 72, -34, 90)
            for dx in (-60, 60, -120, 120, 0, -180, 180)
        ]
        colour = INK if style.colour in (GREY, INK) else style.colour
        # Vermillion is too light for small text; its line style tells whose it is.
        self.drawing.label([text], near, _SMALL, INK if colour == VERMILLION else colour)

    def level_labels(
        self, outlines: Sequence[Outline], found: Sequence[Mapping[str, Floats]], view: str
    ) -> None:
        """Name the levels of what is now, or of the first spine if nothing is."""
        roles = [o.role for o in outlines]
        shape = found[roles.index("current") if "current" in roles else 0]
        for level in reversed(Level):
            place = _place(shape, level)
            if place is None:
                continue
            middle, away, half = place
            x, y = self.at(middle)
            if view == "frontal" and away[0] > 0:
                away = (-away[0], -away[1])
            places = list(_around((x, y), away, half * self.scale, width(level.value, _LEVEL)))
            column = [
                ((24.0 + 30 * n, self.top + row * 15), (x, y))
                for n in range(3)
                for row in range(int((self.bottom - self.top) / 15))
            ]
            column.sort(key=lambda p: abs(p[0][1] - y))
            self.drawing.label([level.value], [*places, *column], _LEVEL)
        for name, word in _HEAD_WORDS.items():
            if name in shape:
                x, y = self.at(shape[name])
                self.drawing.label([word], [*_around((x, y), (1, 0), 3, width(word, 11))], 11, GREY)


_HEAD_WORDS = {
    "dens.tip": "dens", "external_auditory_meatus": "ear", "chin": "chin", "brow": "brow",
    "knee": "knee", "ankle": "ankle",
}  # fmt: skip
_OF_THE_HEAD = frozenset({*_HEAD_WORDS} - {"knee", "ankle"})
_HEADS = (HEAD, HEAD + SECOND, HIPS, *(f"{side} {HEAD}" for side in SIDES))


def _around(at: At, away: At, half: float, wide: float) -> Iterator[tuple[At, At | None]]:
    """Places for a label round a body: behind it first, then before it, then farther off."""
    found: list[tuple[float, At, At | None]] = []
    for step in range(0, 120, 6):
        for side, turn in product((1.0, -1.0), (0, 20, -20, 40, -40)):
            c, s = cos(radians(turn)) * side, sin(radians(turn)) * side
            way = away[0] * c - away[1] * s, away[0] * s + away[1] * c
            reach = half + 5 + (abs(way[0]) * wide + abs(way[1]) * 15) / 2 + step
            aside = reach * abs(s)
            # Far off, or much above or below, it could be taken for a neighbour's.
            whence = (at[0] + way[0] * (half + 2), at[1] + way[1] * (half + 2))
            cost = step + (0 if side > 0 else _BEFORE) + aside * _ASKEW
            middle = at[0] + way[0] * reach, at[1] + way[1] * reach
            found.append((cost, middle, whence if step > 6 or aside > _ASIDE else None))
    for _, middle, leader in sorted(found, key=lambda one: one[0]):
        yield middle, leader


def _place(shape: Mapping[str, Floats], level: Level) -> tuple[Floats, At, float] | None:
    """A body's middle, the way to its back (picture, y down), and how far its edge is."""
    plates = [shape[n] for w in ("superior", "inferior") if (n := f"{level} {w} endplate") in shape]
    middle = shape.get(f"{level} body")
    if middle is None and plates:
        middle = np.mean([p.mean(axis=0) for p in plates], axis=0)
    if middle is None:
        return None
    run = np.sum([p[1] - p[0] for p in plates], axis=0) if plates else np.array([-1.0, 0.0])
    long = float(np.linalg.norm(run)) or 1.0
    half = max(float(np.linalg.norm(p[1] - p[0])) / 2 for p in plates) if plates else 0.0
    return middle, (float(run[0]) / long, -float(run[1]) / long), half


def _plates(shape: Mapping[str, Floats]) -> Iterator[tuple[str, Floats]]:
    """The endplates from the head down."""
    for level in Level:
        for which in ("superior", "inferior"):
            if (name := f"{level} {which} endplate") in shape:
                yield name, shape[name]


def _walls(shape: Mapping[str, Floats]) -> Iterator[tuple[Floats, Floats]]:
    for level in Level:
        upper, lower = (shape.get(f"{level} {w} endplate") for w in ("superior", "inferior"))
        if upper is not None and lower is not None:
            yield from zip(upper, lower, strict=True)


def _line(shape: Mapping[str, Floats]) -> list[Floats]:
    """The line of the spine: bodies' middles from the head down, and the middle of S1."""
    found = [shape[n] for level in Level if (n := f"{level} body") in shape]
    return found + ([shape[_SACRUM].mean(axis=0)] if _SACRUM in shape else [])


def _other_lines(
    shape: Mapping[str, Floats], view: str, *, face: bool
) -> Iterator[tuple[Floats, Floats]]:
    """Lines between other points: sacrum to hips, hips to each other, the face, the legs."""
    hips = shape.get(_HIP_AXIS)
    pairs = [("chin", "brow")] if face else []
    pairs += [(f"{side}knee", f"{side}ankle") for side in ("", "left ", "right ")]
    if view == "frontal":
        pairs.append((f"left {HEAD}", f"right {HEAD}"))
    for first, second in pairs:
        if first in shape and second in shape:
            yield shape[first], shape[second]
    if view == "lateral" and hips is not None:
        if _SACRUM in shape:
            yield shape[_SACRUM].mean(axis=0), hips
        for side in ("", "left ", "right "):
            if f"{side}knee" in shape:
                yield hips, shape[f"{side}knee"]


def _named_levels(shape: Mapping[str, Floats]) -> str:
    known = [level.value for level in Level if _place(shape, level)]
    hips = " and the hips" if _HIP_AXIS in shape else ""
    if not known:
        return f"no vertebra{hips}"
    span = f"{known[0]} to {known[-1]}" if len(known) > 1 else known[0]
    return f"{span}{hips}"


def _called(outline: Outline) -> str:
    word = _STYLES[outline.role].word
    return f"{word}: {outline.name}" if outline.name else word


def _sentence(parts: Sequence[str]) -> str:
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}."


def _signed(number: float) -> str:
    text = f"{number:+.0f}"
    return "0" if text in ("+0", "-0") else text.replace("-", "−")
