"""What changed between two dated scores of one instrument: absolutely, relatively, and in state.

No one of the three tells it all: a large drop from a high score can leave somebody badly off, and
a small one can bring somebody to a state that most accept. All three are always said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from msgspec import Struct

from endplate.evidence import Evidence, Row
from endplate.facts import Fact
from endplate.findings import Finding, PartValue, Position
from endplate.questionnaires.instrument import key


class Measured(Struct, frozen=True, kw_only=True):
    """The scales of one instrument on one day; None for one that could not be scored."""

    scales: Mapping[str, float | None]
    on: date | None
    because: tuple[Fact, ...] = ()


def change(
    id: str, name: str, before: Measured, after: Measured, evidence: Evidence
) -> Finding | None:
    """What changed, and which published sizes of change or states were reached.

    Parameters
    ----------
    id, name
        Of the instrument, and what it is called in a sentence.
    before, after
        The earlier and the later score.

    Returns
    -------
    Finding
        `value` is the later score less the earlier one; `parts` holds the change in percent and,
        for each published size or state, whether it was reached. None where no scale was scored
        both times.
    """
    lower = key(id).better == "lower"
    rows = evidence.under(f"questionnaires.{id}.change.")
    both = [s for s in after.scales if None not in (after.scales[s], before.scales.get(s))]
    if not both:
        return None
    parts: dict[str, PartValue] = {}
    for scale in both:
        one, other = _both(before, after, scale)
        tail = "" if scale == "total" else f"{scale}_"
        parts[f"{tail}before"], parts[f"{tail}after"] = round(one, 6), round(other, 6)
        parts[f"{tail}absolute"] = round(other - one, 6)
        parts[f"{tail}relative_percent"] = _percent(one, other)
    positions, category = [], None
    for row, line in _lines(rows):
        if line["scale"] not in both:
            continue
        one, other = _both(before, after, line["scale"])
        gained = one - other if lower else other - one
        reached = _reached(line, gained, one, other)
        parts[str(line["name"])] = reached
        default = bool(line.get("default"))
        positions.append(
            Position(
                holder=str(line["holder"]),
                says=_said(line, reached),
                rests_on=(row,),
                default=default,
            )
        )
        if default:
            category = "improved" if reached else _worse(line, gained, one)
    total = parts.get("absolute")
    return Finding(
        says=_sentence(name, before, after, both, parts, category),
        about="change",
        value=float(total) if isinstance(total, float) else None,
        unit="1" if isinstance(total, float) else "",
        category=category,
        parts=parts,
        because=(*before.because, *after.because),
        rests_on=(*evidence.under(f"questionnaires.{id}.scoring"), *rows),
        positions=tuple(positions),
    )


def _both(before: Measured, after: Measured, scale: str) -> tuple[float, float]:
    one, other = before.scales[scale], after.scales[scale]
    assert one is not None and other is not None  # its caller took only scales that are in both
    return one, other


def _lines(rows: tuple[Row, ...]) -> Iterator[tuple[Row, Mapping[str, Any]]]:
    for row in rows:
        for line in row.table:
            yield row, {"scale": "total", **line}


def _reached(line: Mapping[str, Any], gained: float, one: float, other: float) -> bool | None:
    """Whether a size of change or a state was reached; None where a percentage has no base."""
    if line["kind"] == "state":
        return bool(other <= line["at_most"] if "at_most" in line else other >= line["at_least"])
    if line["kind"] == "absolute":
        return _at_least(gained, line["by"])
    return _at_least(100 * gained / one, line["by"]) if one > 0 else None


def _percent(one: float, other: float) -> float | None:
    """The change in percent; a score of nothing or less (EQ-5D) is no base for one."""
    return round(100 * (other - one) / one, 6) if one > 0 else None


def _at_least(gained: float, by: float) -> bool:
    """Scores are sums of decimals: what is equal in print counts as equal."""
    return bool(round(gained, 9) >= by)


def _worse(line: Mapping[str, Any], gained: float, one: float) -> str:
    least = {**line, "by": line.get("worse_by", line["by"])}
    worse = _reached(least, -gained, one, one)
    return "worse" if worse else "no_important_change"


def _said(line: Mapping[str, Any], reached: bool | None) -> str:
    unit = " %" if line["kind"] == "relative" else ""
    size = {
        "state": lambda: f"a score of {_side(line)}",
        "absolute": lambda: f"a gain of {line['by']:g}",
        "relative": lambda: f"a gain of {line['by']:g}{unit}",
    }[line["kind"]]()
    answer = {
        True: "reached",
        False: "not reached",
        None: "cannot be said from a score of 0 or less",
    }
    scale = "" if line["scale"] == "total" else f" in {line['scale'].replace('_', ' ')}"
    return f"{size}{scale}: {answer[reached]}"


def _side(line: Mapping[str, Any]) -> str:
    if "at_most" in line:
        return f"at most {line['at_most']:g}"
    return f"at least {line['at_least']:g}"


def _sentence(
    name: str, before: Measured, after: Measured, both: list[str],
    parts: Mapping[str, PartValue], category: str | None,
) -> str:  # fmt: skip
    def day(one: Measured) -> str:
        return f" on {one.on.isoformat()}" if one.on else ""

    told = []
    for scale in ["total"] if "total" in both else both:
        tail = "" if scale == "total" else f"{scale}_"
        percent = parts[f"{tail}relative_percent"]
        relative = f" ({percent:+.0f} %)" if isinstance(percent, float) else ""
        said = "" if scale == "total" else f"{scale.replace('_', ' ')} "
        told.append(
            f"{said}from {parts[f'{tail}before']:.3g} to {parts[f'{tail}after']:.3g}{relative}"
        )
    verdict = f": {category.replace('_', ' ')}" if category else ""
    days = f"{day(before)} and{day(after)}" if before.on and after.on else ""
    between = f", between the answers{days}" if days else ""
    return f"{name} went {'; '.join(told)}{between}{verdict}."
