"""The parameter strip: one row per parameter, its bands and targets, its value now and planned.

Every parameter has its own axis. Nothing is told by the picture alone: value, interval, plan, and
whether it lies in its band are printed beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from endplate.report.charts import BLUE, GREY, INK, RULE, VERMILLION
from endplate.report.drawing import Drawing, wrapped

WIDTH = 860
_LEFT, _RIGHT = 200, 300  # room for the names, and for what is printed
_PLOT = WIDTH - _LEFT - _RIGHT
_LINE, _PAD, _SIZE = 15.5, 12.0, 12.0
_TICKS = 3.0  # so many steps of an axis, or a few more
# An axis is so long at least, or small differences would look large.
_LEAST = {"°": 40.0, "mm": 60.0, "%": 60.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """A range that a source gives as a reference, as mean ± SD or as limits."""

    low: float
    high: float
    name: str
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A value that a source would have this person aim at."""

    value: float
    name: str
    source: str = ""
    population: str = ""
    verified: bool = True


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
    heights = [max(_LINE * len(_printed(r)), _LINE * len(_names(r)), 44) + 2 * _PAD for r in rows]
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
                f"({', '.join(p for p in (b.name, b.source) if p)})"
                for b in row.bands
            ),
            "; ".join(f"{row.text(t.value)} ({t.name})" for t in row.targets),
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
        lines += [row.judged(row.value, band) for band in row.bands[:1]]
    if row.plan is not None:
        judged = "".join(f", {row.judged(row.plan, band)}" for band in row.bands[:1])
        lines.append(f"◆ plan {row.text(row.plan)}")
        lines += [f"plan{judged}".replace("plan, ", "plan ")] if judged else []
    aims = sorted(t.value for t in row.targets)
    if len(aims) == 1:
        lines.append(f"target {row.text(aims[0])}")
    elif aims:
        lines.append(f"{len(aims)} targets, {row.text(aims[0])} to {row.text(aims[-1])}")
    return lines


def _axis(row: Row) -> tuple[float, float, list[float]]:
    """Ends and ticks of a row's axis: round numbers that hold all that is drawn."""
    numbers = [row.value, row.plan, *(row.interval or ()), *(t.value for t in row.targets)]
    numbers += [end for band in row.bands for end in (band.low, band.high)]
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
    for n, band in enumerate(row.bands):
        lane = (floor_at - top - 10) / len(row.bands)
        at = top + 6 + lane * n
        drawing.parts.append(
            f'<rect x="{across(band.low):.1f}" y="{at:.1f}" '
            f'width="{across(band.high) - across(band.low):.1f}" height="{lane - 1:.1f}" '
            f'fill="url(#band)" stroke="{GREY}" stroke-width="1"/>'
        )
    drawing.line((_LEFT, floor_at), (_LEFT + _PLOT, floor_at), RULE, 0.8)
    for tick in ticks:
        x = across(tick)
        drawing.line((x, floor_at), (x, floor_at + 4), RULE, 0.8)
        text = f"{tick:.{max(row.decimals - 1, 0)}f}".replace("-", "−")
        drawing.write((x, floor_at + 15), "0" if text == "−0" else text, 10.5, "middle", GREY)
    for target in row.targets:
        x = across(target.value)
        drawing.line((x, top + 4), (x, floor_at + 2), BLUE, 1.8, "4 2.5")
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
        "target": any(r.targets for r in rows),
    }
    words = {
        "value": "now, with the 95 % interval of the measurement",
        "doubt": "now, doubtful: see the remark in the table",
        "plan": "plan",
        "band": "reference range; its source stands in the table",
        "target": "what a source would aim at; which one stands in the table",
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
        drawing.parts.append(
            f'<rect x="{x - 14:.1f}" y="{y - 7:.1f}" width="28" height="14" fill="url(#band)" '
            f'stroke="{GREY}"/>'
        )
    else:
        drawing.line((x, y - 8), (x, y + 8), BLUE, 1.8, "4 2.5")


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
