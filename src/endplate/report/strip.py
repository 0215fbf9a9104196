"""The parameter strip: one row per parameter, its bands and targets, its value now and planned.

Every parameter has its own axis. The reference band and each range that is aimed at lie in lanes of
their own, one below the other; a single value that is aimed at is a dashed line through all lanes.
Nothing is told by the picture alone: value, interval, plan, and whether it lies in its band are
printed beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from endplate.report.charts import BLUE, GREY, INK, RULE, VERMILLION
from endplate.report.drawing import Drawing, width, wrapped

WIDTH = 860
_LEFT, _RIGHT = 200, 300  # room for the names, and for what is printed
_PLOT = WIDTH - _LEFT - _RIGHT
_LINE, _PAD, _SIZE = 15.5, 12.0, 12.0
_TICKS = 3.0  # so many steps of an axis, or a few more
# An axis is so long at least, or small differences would look large.
_LEAST = {"°": 40.0, "mm": 60.0, "%": 60.0}


_LANE = 13.0  # no lane is lower


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """A range that a source gives as a reference; its name says what its ends are."""

    low: float
    high: float
    name: str
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a source would have this person aim at: a value, a range, or a value in its range.

    Attributes
    ----------
    low, high, below
        The ends, None where open; with `below` the upper end is itself too much.
    default
        Whether it is the one that is used where nobody chose another.
    """

    name: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    below: bool = False
    default: bool = False

    @property
    def is_range(self) -> bool:
        """Whether there is a range, open or not."""
        return self.low is not None or self.high is not None

    @property
    def numbers(self) -> tuple[float, ...]:
        """Its value; of a range without one, the ends."""
        found = (self.low, self.high) if self.value is None else (self.value,)
        return tuple(n for n in found if n is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One parameter.

    Attributes
    ----------
    name, unit, decimals
        How it is called, and how its numbers are printed.
    value, interval
        As measured, with its 95 % interval.
    bands, targets, plan
        References, the first of which decides what is printed; what could be aimed at; what a plan
        would make of it.
    doubt, posture
        Why it is not to be trusted, if so; in which posture it was measured.
    """

    name: str
    unit: str = "°"
    decimals: int = 1
    value: float | None = None
    interval: tuple[float, float] | None = None
    bands: tuple[Band, ...] = ()
    targets: tuple[Target, ...] = ()
    plan: float | None = None
    doubt: str = ""
    posture: str = ""

    def text(self, number: float) -> str:
        """A number of it as it is printed."""
        written = f"{number:.{self.decimals}f}".replace("-", "−")
        if not written.strip("−0."):
            written = written.replace("−", "")
        return written + (self.unit if self.unit in ("", "°") else f" {self.unit}")

    def wanted(self, target: Target) -> str:
        """A target as it is printed; nothing where it has no number."""
        ends = ""
        if target.low is not None and target.high is not None:
            ends = f"{self.text(target.low)} to {self.text(target.high)}"
        elif target.high is not None:
            ends = f"{'below' if target.below else 'up to'} {self.text(target.high)}"
        elif target.low is not None:
            ends = f"from {self.text(target.low)}"
        if target.value is None:
            return ends
        return self.text(target.value) + (f" ({ends})" if ends else "")

    def judged(self, number: float, band: Band) -> str:
        """Where a number lies against a band, sign and word."""
        limits = f"{self.text(band.low)} to {self.text(band.high)}"
        if number > band.high:
            return f"▲ above {limits}"
        if number < band.low:
            return f"▼ below {limits}"
        return f"within {limits}"


def strip(rows: Sequence[Row], title: str = "Alignment parameters", key: str = "strip") -> str:
    """The strip as SVG text."""
    heights = [
        max(_LINE * len(_printed(r)), _LINE * len(_names(r)), _LANE * len(_lanes(r)), 44) + 2 * _PAD
        for r in rows
    ]
    legend = _legend(rows)
    top = 20.0 * len(legend) + 12
    drawing = Drawing(WIDTH, top + sum(heights) + 4)
    for n, (mark, words) in enumerate(legend):
        _mark(drawing, mark, (16, 12 + 20.0 * n))
        drawing.write((44, 16 + 20.0 * n), words, _SIZE)
    for row, height in zip(rows, heights, strict=True):
        _row(drawing, row, top, height)
        top += height
    says = "; ".join(f"{r.name}: {', '.join(_printed(r)) or 'not known'}" for r in rows)
    return drawing.svg(key, title, f"One row for each parameter. {says}.", _pattern(key)).replace(
        "url(#band)", f"url(#{key}-band)"
    )


def strip_table(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """The strip as lines of a table: parameter, now, interval, plan, bands, targets, remark."""
    return [
        (
            row.name,
            "not known" if row.value is None else row.text(row.value),
            f"{row.text(row.interval[0])} to {row.text(row.interval[1])}" if row.interval else "",
            "" if row.plan is None else row.text(row.plan),
            "; ".join(
                f"{row.judged(row.value, b) if row.value is not None else _limits(row, b)} "
                f"({'; '.join(p for p in (b.name, b.source) if p)})"
                for b in row.bands[:1]
            ),
            "; ".join(
                f"{row.wanted(t)} ({t.name}{', default' if t.default else ''})"
                for t in row.targets
                if t.numbers
            ),
            "; ".join(p for p in (row.posture, row.doubt) if p),
        )
        for row in rows
    ]


def _limits(row: Row, band: Band) -> str:
    return f"{row.text(band.low)} to {row.text(band.high)}"


def _names(row: Row) -> list[str]:
    return wrapped(row.name, 13, _LEFT - 24)


def _printed(row: Row) -> list[str]:
    """What stands beside a row, line by line."""
    lines = []
    if row.value is not None:
        text = f"● {row.text(row.value)}"
        if row.interval:
            text += f" ({row.text(row.interval[0])} to {row.text(row.interval[1])})"
        lines.append(text + (" ? doubtful" if row.doubt else ""))
        lines += _told(row, row.value)
    if row.plan is not None:
        lines.append(f"◆ plan {row.text(row.plan)}")
        lines += [f"plan {text}" if n == 0 else text for n, text in enumerate(_told(row, row.plan))]
    aims = [t for t in row.targets if t.numbers]
    lines += [
        f"target {row.wanted(t)}{', default' if len(aims) > 1 else ''}"
        for t in aims
        if t.default or len(aims) == 1
    ]
    if len(aims) > 1:
        numbers = sorted(n for t in aims for n in t.numbers)
        first, last = row.text(numbers[0]), row.text(numbers[-1])
        lines.append(f"{len(aims)} targets, {first if first == last else f'{first} to {last}'}")
    return lines


def _told(row: Row, number: float) -> list[str]:
    """Where a number lies against the reference, in lines that fit beside the row."""
    lines = []
    for band in row.bands[:1]:
        judged, name = row.judged(number, band), f"({band.name})"
        fits = width(f"plan {judged} {name}", _SIZE) <= _RIGHT - 50
        lines += [f"{judged} {name}"] if fits else [judged, name]
    return lines


def _lanes(row: Row) -> list[Band | Target]:
    """What lies one below the other: the first reference, then each range that is aimed at."""
    ranges = {(t.low, t.high): t for t in reversed(row.targets) if t.is_range}
    return [*row.bands[:1], *reversed(ranges.values())]


def _axis(row: Row) -> tuple[float, float, list[float]]:
    """Ends and ticks of a row's axis: round numbers that hold all that is drawn."""
    numbers = [row.value, row.plan, *(row.interval or ()), *(t.value for t in row.targets)]
    numbers += [end for lane in _lanes(row) for end in (lane.low, lane.high)]
    known = [n for n in numbers if n is not None] or [0.0]
    low, high = min(known), max(known)
    reach = max((high - low) * 1.16, _LEAST.get(row.unit, 0.0), 4 * 10.0**-row.decimals)
    middle = (low + high) / 2
    rough = reach / _TICKS
    size = 10 ** floor(log10(rough))
    step = next(size * n for n in (1, 2, 5, 10) if size * n >= rough)
    start, end = floor((middle - reach / 2) / step), ceil((middle + reach / 2) / step)
    ticks = [step * n for n in range(start, end + 1)]
    return ticks[0], ticks[-1], ticks


def _row(drawing: Drawing, row: Row, top: float, height: float) -> None:
    low, high, ticks = _axis(row)

    def across(number: float) -> float:
        return _LEFT + (number - low) / (high - low) * _PLOT

    floor_at = top + height - 20
    middle = (top + 6 + floor_at) / 2
    drawing.line((0, top), (WIDTH, top), RULE, 0.6)
    for n, text in enumerate(_names(row)):
        drawing.write((0, top + _PAD + 9 + _LINE * n), text, 13)
    lanes = _lanes(row)
    for n, one in enumerate(lanes):
        tall = (floor_at - top - 10) / len(lanes)
        ends = [
            _LEFT + edge if end is None else across(end)
            for end, edge in ((one.low, 0.0), (one.high, float(_PLOT)))
        ]
        draw = _band if isinstance(one, Band) else _range
        at = top + 6 + tall * n
        is_open = one.low is None, one.high is None
        drawing.parts.append(draw(ends, (at + 1, at + tall - 1), is_open))
    drawing.line((_LEFT, floor_at), (_LEFT + _PLOT, floor_at), RULE, 0.8)
    for tick in ticks:
        x = across(tick)
        drawing.line((x, floor_at), (x, floor_at + 4), RULE, 0.8)
        text = f"{tick:.{max(row.decimals - 1, 0)}f}".replace("-", "−")
        drawing.write((x, floor_at + 15), "0" if text == "−0" else text, 10.5, "middle", GREY)
    for target in row.targets:
        if target.value is not None:
            x = across(target.value)
            thick = 2.6 if target.default else 1.4
            drawing.line((x, top + 4), (x, floor_at + 2), BLUE, thick, "4 2.5")
    for number, colour in ((row.value, INK), (row.plan, VERMILLION)):
        if number is not None and len(lanes) > 1:
            x = across(number)
            drawing.line((x, top + 4), (x, floor_at), colour, 0.7)
    if row.value is not None and row.interval:
        ends = [across(n) for n in row.interval]
        drawing.line((ends[0], middle), (ends[1], middle), INK, 2)
        for x in ends:
            drawing.line((x, middle - 5), (x, middle + 5), INK, 1.6)
    if row.value is not None:
        at = (across(row.value), middle)
        drawing.parts.append(_disc(at, hollow=bool(row.doubt)))
    if row.plan is not None:
        drawing.parts.append(_diamond((across(row.plan), middle)))
    for n, text in enumerate(_printed(row)):
        drawing.write((WIDTH - _RIGHT + 22, top + _PAD + 9 + _LINE * n), text, _SIZE)


def _legend(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """What the marks mean, of those that are there."""
    there = {
        "value": any(r.value is not None for r in rows),
        "doubt": any(r.doubt for r in rows),
        "plan": any(r.plan is not None for r in rows),
        "band": any(r.bands for r in rows),
        "target": any(t.value is not None for r in rows for t in r.targets),
        "range": any(t.is_range for r in rows for t in r.targets),
    }
    words = {
        "value": "now, with the 95 % interval of the measurement",
        "doubt": "now, doubtful: see the remark in the table",
        "plan": "plan",
        "band": "reference range; in whom it was found stands in the table",
        "target": "a value to aim at; whose it is stands in the table, the default is thicker",
        "range": "a range to aim at; whose it is stands in the table",
    }
    return [(mark, words[mark]) for mark, is_there in there.items() if is_there]


def _mark(drawing: Drawing, mark: str, at: tuple[float, float]) -> None:
    x, y = at
    if mark in ("value", "doubt"):
        drawing.line((x - 14, y), (x + 14, y), INK, 2)
        drawing.parts.append(_disc(at, hollow=mark == "doubt"))
    elif mark == "plan":
        drawing.parts.append(_diamond(at))
    elif mark == "band":
        drawing.parts.append(_band([x - 14, x + 14], (y - 7, y + 7), (False, False)))
    elif mark == "range":
        drawing.parts.append(_range([x - 14, x + 14], (y - 7, y + 7), (False, False)))
    else:
        drawing.line((x, y - 8), (x, y + 8), BLUE, 1.8, "4 2.5")


def _band(ends: Sequence[float], over: tuple[float, float], _: tuple[bool, bool]) -> str:
    """A reference range."""
    return (
        f'<rect x="{ends[0]:.1f}" y="{over[0]:.1f}" width="{ends[1] - ends[0]:.1f}" '
        f'height="{over[1] - over[0]:.1f}" fill="url(#band)" stroke="{GREY}" stroke-width="1"/>'
    )


def _range(ends: Sequence[float], over: tuple[float, float], is_open: tuple[bool, bool]) -> str:
    """A range that is aimed at; an open side has no edge."""
    (left, right), (top, low) = ends, over
    edges = "".join(
        f"M{x:.1f} {top:.1f}V{low:.1f}"
        for x, without in zip((left, right), is_open, strict=True)
        if not without
    )
    return (
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" '
        f'height="{low - top:.1f}" fill="{BLUE}" fill-opacity="0.13"/>'
        f'<path d="M{left:.1f} {top:.1f}H{right:.1f}M{left:.1f} {low:.1f}H{right:.1f}{edges}" '
        f'fill="none" stroke="{BLUE}" stroke-width="1.2" stroke-dasharray="4 2.5"/>'
    )


def _disc(at: tuple[float, float], *, hollow: bool) -> str:
    fill = "#ffffff" if hollow else INK
    return (
        f'<circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="5.5" fill="{fill}" stroke="{INK}" '
        f'stroke-width="2"/>'
    )


def _diamond(at: tuple[float, float]) -> str:
    x, y = at
    return (
        f'<path d="M{x:.1f} {y - 8:.1f}l7 8l-7 8l-7 -8z" fill="{VERMILLION}" stroke="#ffffff" '
        f'stroke-width="1"/>'
    )


def _pattern(key: str) -> str:
    return (
        f'<defs><pattern id="{key}-band" width="7" height="7" patternUnits="userSpaceOnUse" '
        f'patternTransform="rotate(45)"><rect width="7" height="7" fill="#f2f2f2"/>'
        f'<line x1="0" y1="0" x2="0" y2="7" stroke="{RULE}" stroke-width="1"/></pattern></defs>'
    )
