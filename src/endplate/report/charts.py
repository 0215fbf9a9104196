"""Charts: pure functions from data to SVG text, each with a title, a description and a table.

The bone ladder puts every modality on its own scale, one panel below the other, so turned that
poorer bone is always to the left. Zones carry their source's cut-off as a range with a pattern
and a word; nothing is told by colour alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

BLUE, VERMILLION, INK, GREY, RULE = "#0072B2", "#D55E00", "#1a1a1a", "#595959", "#8c8c8c"
WIDTH = 860
_LEFT, _RIGHT = 190, 150  # room for the names, and for the printed values
_ROW, _HEAD, _FOOT, _GAP = 26, 50, 26, 16


@dataclass(frozen=True, slots=True)
class Point:
    """One measured value: its name, number, 95 % interval, and whether to trust it.

    `text` is the value as printed; `doubt` says why it is not to be trusted, if so; `struck`
    says why it is left out, if so.
    """

    name: str
    value: float
    text: str
    low: float | None = None
    high: float | None = None
    doubt: str = ""
    struck: str = ""


@dataclass(frozen=True, slots=True)
class Zone:
    """A range on a scale that a source gives a meaning to; None leaves it open at that end.

    `low_in` and `high_in` say whether the end itself belongs to it.
    """

    name: str
    low: float | None
    high: float | None
    source: str
    poor: bool = True
    low_in: bool = True
    high_in: bool = True

    def holds(self, value: float) -> bool:
        """Whether a value lies in the range."""
        above = self.low is None or value > self.low or (self.low_in and value == self.low)
        below = self.high is None or value < self.high or (self.high_in and value == self.high)
        return above and below


@dataclass(frozen=True, slots=True)
class Panel:
    """One modality of the ladder.

    `poorer_is_higher` turns the axis round, so that poorer bone is to the left all the same.
    """

    title: str
    unit: str
    axis: tuple[float, float]
    ticks: tuple[float, ...]
    zones: tuple[Zone, ...]
    points: tuple[Point, ...]
    poorer_is_higher: bool = False
    note: str = ""


def ladder(panels: tuple[Panel, ...], title: str = "Bone ladder") -> str:
    """The bone ladder as SVG text; see the module for how it is read."""
    top, parts = 8.0, []
    for panel in panels:
        parts.append(_panel(panel, top))
        top += _height(panel) + _GAP
    takeaway = "; ".join(
        f"{p.title}: " + ", ".join(f"{q.name} {q.text}" for q in p.points) for p in panels
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top:.0f}" role="img" '
        f'aria-labelledby="ladder-title ladder-desc" font-family="system-ui, sans-serif">'
        f'<title id="ladder-title">{escape(title)}</title>'
        f'<desc id="ladder-desc">Poorer bone is to the left in every panel. '
        f"{escape(takeaway)}.</desc>{_patterns()}{''.join(parts)}</svg>"
    )


def _patterns() -> str:
    """Hatching for poor zones, dots for the others: the meaning survives without colour."""
    return (
        '<defs><pattern id="poor" width="8" height="8" patternUnits="userSpaceOnUse" '
        f'patternTransform="rotate(45)"><rect width="8" height="8" fill="{VERMILLION}" '
        f'fill-opacity="0.10"/><line x1="0" y1="0" x2="0" y2="8" stroke="{VERMILLION}" '
        'stroke-opacity="0.55" stroke-width="2"/></pattern>'
        '<pattern id="middle" width="8" height="8" patternUnits="userSpaceOnUse">'
        f'<rect width="8" height="8" fill="{BLUE}" fill-opacity="0.06"/>'
        f'<circle cx="2" cy="2" r="1" fill="{BLUE}" fill-opacity="0.5"/></pattern></defs>'
    )


def _height(panel: Panel) -> float:
    return _HEAD + _ROW * len(panel.points) + _FOOT


def _place(panel: Panel, value: float) -> float:
    """Where a value stands across the picture; values off the scale stand at its end."""
    low, high = panel.axis
    share = min(max((value - low) / (high - low), 0.0), 1.0)
    share = 1 - share if panel.poorer_is_higher else share
    return _LEFT + share * (WIDTH - _LEFT - _RIGHT)


def _panel(panel: Panel, top: float) -> str:
    bottom = top + _HEAD + _ROW * len(panel.points)
    unit = f" ({panel.unit})" if panel.unit else ""
    out = [
        f'<text x="0" y="{top + 16:.0f}" font-size="15" font-weight="600" fill="{INK}">'
        f"{escape(panel.title + unit)}</text>"
    ]
    if panel.note:
        out.append(
            f'<text x="{WIDTH}" y="{top + 16:.0f}" font-size="12" fill="{GREY}" '
            f'text-anchor="end">{escape(panel.note)}</text>'
        )
    for zone in panel.zones:
        out.append(_zone(panel, zone, top, bottom))
    for tick in panel.ticks:
        x = _place(panel, tick)
        out.append(
            f'<line x1="{x:.1f}" y1="{top + _HEAD - 6:.1f}" x2="{x:.1f}" y2="{bottom:.1f}" '
            f'stroke="{RULE}" stroke-width="0.6"/>'
            f'<text x="{x:.1f}" y="{bottom + 16:.1f}" font-size="12" fill="{GREY}" '
            f'text-anchor="middle">{tick:g}</text>'
        )
    for number, point in enumerate(panel.points):
        out.append(_point(panel, point, top + _HEAD + _ROW * (number + 0.5)))
    return "".join(out)


def _zone(panel: Panel, zone: Zone, top: float, bottom: float) -> str:
    low = panel.axis[0] if zone.low is None else zone.low
    high = panel.axis[1] if zone.high is None else zone.high
    left, right = sorted((_place(panel, low), _place(panel, high)))
    fill = "poor" if zone.poor else "middle"
    return (
        f'<rect x="{left:.1f}" y="{top + _HEAD - 6:.1f}" width="{max(right - left, 1):.1f}" '
        f'height="{bottom - top - _HEAD + 6:.1f}" fill="url(#{fill})" stroke="{RULE}" '
        f'stroke-width="0.5"><title>{escape(zone.name)}: {escape(zone.source)}</title></rect>'
        f'<text x="{(left + right) / 2:.1f}" y="{top + _HEAD - 12:.1f}" font-size="11.5" '
        f'fill="{INK}" text-anchor="middle">{escape(zone.name)}</text>'
    )


def _point(panel: Panel, point: Point, y: float) -> str:
    x = _place(panel, point.value)
    hollow = bool(point.doubt or point.struck)
    fill = "#ffffff" if hollow else BLUE
    name = escape(point.name)
    style = ' text-decoration="line-through"' if point.struck else ""
    out = [f'<text x="0" y="{y + 4.5:.1f}" font-size="13" fill="{INK}"{style}>{name}</text>']
    if point.low is not None and point.high is not None:
        a, b = sorted((_place(panel, point.low), _place(panel, point.high)))
        out.append(
            f'<line x1="{a:.1f}" y1="{y:.1f}" x2="{b:.1f}" y2="{y:.1f}" stroke="{BLUE}" '
            f'stroke-width="2"/>'
        )
    word = point.struck or point.doubt
    out.append(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="{fill}" stroke="{BLUE}" '
        f'stroke-width="2.5"><title>{name}: {escape(point.text)}'
        f"{' - ' + escape(word) if word else ''}</title></circle>"
        f'<text x="{WIDTH - _RIGHT + 12}" y="{y + 4.5:.1f}" font-size="13" fill="{INK}">'
        f"{escape(point.text)}{' ?' if hollow else ''}</text>"
    )
    return "".join(out)


def ladder_table(panels: tuple[Panel, ...]) -> list[tuple[str, str, str, str]]:
    """The ladder as lines of a table: measure, value, zone that it lies in, remark."""
    lines = []
    for panel in panels:
        for point in panel.points:
            zones = [z.name for z in panel.zones if z.holds(point.value)]
            remark = point.struck or point.doubt
            unit = f" {panel.unit}" if panel.unit else ""
            lines.append(
                (f"{panel.title}, {point.name}", f"{point.text}{unit}", ", ".join(zones), remark)
            )
    return lines
