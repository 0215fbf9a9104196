"""A drawing as SVG text: lines, and labels that are so placed that none lies on another.

The width of a text is not known before a browser sets it; it is taken from a wide typeface, so
that what does not collide here does not collide there.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from endplate.report.charts import GREY, INK

At = tuple[float, float]
Line = tuple[At, At]

# Widths in parts of the size: of narrow, wide and all other letters.
_NARROW, _WIDE = frozenset("fijlrtI.,:;!|()[]' -"), frozenset("mwMW@%●◆▲▼→←")
_WIDTHS = (0.42, 0.98, 0.66)
_ASCENT, _DESCENT, LINE = 0.80, 0.24, 1.25  # of a text, and from line to line; in parts of the size
_GAP = 1.5  # between two labels at least


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of the picture, y down."""

    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: Box) -> bool:
        """Whether the two lie on each other."""
        return (
            self.left < other.right + _GAP
            and other.left < self.right + _GAP
            and self.top < other.bottom + _GAP
            and other.top < self.bottom + _GAP
        )

    def holds(self, other: Box) -> bool:
        """Whether the other lies wholly inside."""
        return (
            self.left <= other.left
            and other.right <= self.right
            and self.top <= other.top
            and other.bottom <= self.bottom
        )

    def is_cut_by(self, line: Line) -> bool:
        """Whether a line runs through the box: what is left of it after each side's cut."""
        (x, y), (x_end, y_end) = line
        low, high = 0.0, 1.0
        for start, run, least, most in (
            (x, x_end - x, self.left, self.right),
            (y, y_end - y, self.top, self.bottom),
        ):
            if not run:
                if not least <= start <= most:
                    return False
                continue
            near, far = sorted(((least - start) / run, (most - start) / run))
            low, high = max(low, near), min(high, far)
        return low <= high


def width(text: str, size: float) -> float:
    """How wide a text can come out."""
    narrow, wide, other = _WIDTHS
    return size * sum(narrow if c in _NARROW else wide if c in _WIDE else other for c in text)


def wrapped(text: str, size: float, room: float) -> list[str]:
    """A text in lines that fit into a room; a single word that does not is left whole."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and width(longer, size) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def shortened(text: str, size: float, room: float) -> str:
    """A text that fits into a room, its middle left out if need be."""
    keep = len(text)
    short = text
    while width(short, size) > room and keep > 1:
        keep -= 1
        short = f"{text[: (keep + 1) // 2]}…{text[len(text) - keep // 2 :]}"
    return short


class Drawing:
    """What is drawn so far: its parts, the boxes of its texts, and the lines to keep clear of."""

    def __init__(self, picture_width: float, height: float) -> None:
        self.frame = Box(0, 0, picture_width, height)
        self.parts: list[str] = []
        self.texts: list[Box] = []
        self.lines: list[Line] = []

    def line(
        self,
        start: At,
        end: At,
        colour: str,
        thickness: float,
        dash: str = "",
        *,
        clear: bool = True,
    ) -> None:
        """A line; labels keep `clear` of it where they can."""
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<line x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}" '
            f'stroke="{colour}" stroke-width="{thickness:g}"{dashed}/>'
        )
        if clear:
            self.lines.append((start, end))

    def circle(self, at: At, radius: float, colour: str, *, hollow: bool, dash: str = "") -> None:
        """A round mark, hollow or filled."""
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="{radius:g}" '
            f'fill="{"#ffffff" if hollow else colour}" stroke="{colour}" stroke-width="1.4"'
            f"{dashed}/>"
        )
        self.lines.append(((at[0] - radius, at[1]), (at[0] + radius, at[1])))

    def write(
        self, at: At, text: str, size: float = 12, anchor: str = "start", colour: str = INK,
        *, bold: bool = False,
    ) -> Box:  # fmt: skip
        """A text at its own place, from which labels keep away."""
        box = box_of(at, [text], size, anchor, bold=bold)
        weight = ' font-weight="600"' if bold else ""
        self.parts.append(
            f'<text x="{at[0]:.1f}" y="{at[1]:.1f}" font-size="{size:g}" fill="{colour}" '
            f'text-anchor="{anchor}"{weight}>{escape(text)}</text>'
        )
        self.texts.append(box)
        return box

    def label(
        self, lines: list[str], places: Iterable[tuple[At, At | None]], size: float = 11,
        colour: str = INK,
    ) -> bool:  # fmt: skip
        """Lines of text, centred at the first of several places where they are in nobody's way.

        Parameters
        ----------
        places
            Where the middle of the label may be, best first; and whence a leader runs to it, if
            one does.

        Returns
        -------
        bool
            Whether there was a place.
        """
        tried = list(places)
        half = max(width(t, size) for t in lines) / 2, len(lines) * LINE * size / 2
        for avoided in (self.lines, []):
            for (x, y), whence in tried:
                box = Box(x - half[0], y - half[1], x + half[0], y + half[1])
                if not self.frame.holds(box) or any(box.meets(t) for t in self.texts):
                    continue
                if any(box.is_cut_by(line) for line in avoided):
                    continue
                leader = None if whence is None else (whence, _edge(box, whence))
                if leader and any(t.is_cut_by(leader) for t in self.texts):
                    continue
                if leader:
                    self.line(*leader, GREY, 0.6)
                for n, text in enumerate(lines):
                    base = box.top + (n + 0.5) * LINE * size + 0.28 * size
                    self.parts.append(
                        f'<text x="{x:.1f}" y="{base:.1f}" font-size="{size:g}" fill="{colour}" '
                        f'text-anchor="middle">{escape(text)}</text>'
                    )
                self.texts.append(box)
                return True
        return False

    def svg(self, key: str, title: str, says: str, definitions: str = "") -> str:
        """The picture; `key` keeps its ids apart from those of other pictures on a page."""
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.frame.right:.0f} '
            f'{self.frame.bottom:.0f}" role="img" aria-labelledby="{key}-title {key}-desc" '
            f'font-family="system-ui, sans-serif"><title id="{key}-title">{escape(title)}</title>'
            f'<desc id="{key}-desc">{escape(says)}</desc>{definitions}'
            f'<rect width="{self.frame.right:.0f}" height="{self.frame.bottom:.0f}" '
            f'fill="#ffffff"/>{"".join(self.parts)}</svg>'
        )


def box_of(at: At, lines: list[str], size: float, anchor: str, *, bold: bool = False) -> Box:
    """The box of lines of text, the first of which stands on `at`."""
    wide = max(width(t, size) for t in lines) * (1.08 if bold else 1)
    left = at[0] - {"start": 0.0, "middle": wide / 2, "end": wide}[anchor]
    low = at[1] + _DESCENT * size + (len(lines) - 1) * LINE * size
    return Box(left, at[1] - _ASCENT * size, left + wide, low)


def _edge(box: Box, whence: At) -> At:
    """Where a leader to the middle of a box meets it."""
    x, y = (box.left + box.right) / 2, (box.top + box.bottom) / 2
    run, rise = whence[0] - x, whence[1] - y
    parts = [
        half / abs(way)
        for half, way in (((box.right - box.left) / 2, run), ((box.bottom - box.top) / 2, rise))
        if way
    ]
    part = min([1.0, *parts])
    return x + run * part, y + rise * part
