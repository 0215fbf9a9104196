"""The ring of the GAP score: five parts with their points, the total in the middle.

A part's field is cut into as many cells as it can have points; filled cells, from inside out, are
the points that it has. A part that cannot be computed is hatched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, radians, sin

from endplate.report.charts import GREY, INK, RULE, VERMILLION
from endplate.report.drawing import LINE, Drawing, wrapped

WIDTH, HEIGHT = 760, 440
_MIDDLE = (WIDTH / 2, HEIGHT / 2 + 18)
_INNER, _OUTER = 58.0, 136.0
_APART = 4.0  # degrees between two parts
_AWAY = 12.0  # from the ring to its words
_SIZE = 12.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of the score: what it is, its value in words, its points of how many at most.

    `points` is None where it cannot be computed, and `says` then tells why.
    """

    name: str
    says: str
    points: int | None
    most: int


def ring(
    parts: Sequence[Part],
    total: str,
    category: str,
    title: str = "Global Alignment and Proportion score",
    key: str = "gap",
) -> str:
    """The ring as SVG text.

    Parameters
    ----------
    total, category
        What stands in the middle: the number or that there is none, and its class.
    """
    drawing = Drawing(WIDTH, HEIGHT)
    wide = 360 / len(parts)
    for n, part in enumerate(parts):
        middle = -90 + wide * n
        start, end = middle - (wide - _APART) / 2, middle + (wide - _APART) / 2
        thick = (_OUTER - _INNER) / part.most
        for cell in range(part.most):
            near, far = _INNER + thick * cell, _INNER + thick * (cell + 1)
            fill = "#ffffff"
            if part.points is None:
                fill = f"url(#{key}-unknown)"
            elif cell < part.points:
                fill = VERMILLION
            drawing.parts.append(
                f'<path d="{_cell(start, end, near, far)}" fill="{fill}" stroke="{INK}" '
                f'stroke-width="1.2"/>'
            )
        _name(drawing, part, middle)
    drawing.write((_MIDDLE[0], _MIDDLE[1] + 2), total, 26, "middle", bold=True)
    for n, text in enumerate(wrapped(category, 10.5, 2 * _INNER - 16)):
        drawing.write((_MIDDLE[0], _MIDDLE[1] + 19 + 13 * n), text, 10.5, "middle", GREY)
    told = "; ".join(f"{p.name}: {p.says}, {_points(p)}" for p in parts)
    pattern = (
        f'<defs><pattern id="{key}-unknown" width="8" height="8" patternUnits="userSpaceOnUse" '
        f'patternTransform="rotate(45)"><rect width="8" height="8" fill="#ffffff"/>'
        f'<line x1="0" y1="0" x2="0" y2="8" stroke="{RULE}" stroke-width="3"/></pattern></defs>'
    )
    return drawing.svg(key, title, f"Total {total}: {category}. {told}.", pattern)


def ring_table(parts: Sequence[Part]) -> list[tuple[str, str, str]]:
    """The ring as lines of a table: part, what it is, points."""
    return [(p.name, p.says, _points(p)) for p in parts]


def _points(part: Part) -> str:
    if part.points is None:
        return "not computable"
    return f"{part.points} of {part.most} {'point' if part.most == 1 else 'points'}"


def _name(drawing: Drawing, part: Part, angle: float) -> None:
    """The words of a part outside the ring, turned away from it."""
    x, y = cos(radians(angle)), sin(radians(angle))
    anchor = "middle" if abs(x) < 0.3 else "start" if x > 0 else "end"
    room = 300.0 if anchor == "middle" else WIDTH / 2 - _OUTER - _AWAY
    named = wrapped(part.name, _SIZE, room / 1.08)
    lines = [*named, *wrapped(part.says, _SIZE, room), _points(part)]
    tall = LINE * _SIZE * len(lines)
    reach = _OUTER + _AWAY
    top = y * reach - (tall if anchor == "middle" else tall / 2)
    # Beside the ring where it is widest over the height of the words.
    nearest = max(0.0, top, -(top + tall))
    aside = 0.0 if anchor == "middle" else (max(reach**2 - nearest**2, 0) ** 0.5)
    at = (_MIDDLE[0] + (aside if x > 0 else -aside), _MIDDLE[1] + top)
    for n, text in enumerate(lines):
        down = (n + 0.8) * LINE * _SIZE
        drawing.write((at[0], at[1] + down), text, _SIZE, anchor, bold=n < len(named))


def _cell(start: float, end: float, near: float, far: float) -> str:
    """The outline of a part of a ring between two angles (degrees) and two radii."""

    def at(angle: float, radius: float) -> str:
        x = _MIDDLE[0] + radius * cos(radians(angle))
        y = _MIDDLE[1] + radius * sin(radians(angle))
        return f"{x:.1f} {y:.1f}"

    return (
        f"M{at(start, near)}L{at(start, far)}A{far:.1f} {far:.1f} 0 0 1 {at(end, far)}"
        f"L{at(end, near)}A{near:.1f} {near:.1f} 0 0 0 {at(start, near)}Z"
    )
