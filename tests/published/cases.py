"""The case tables beside this file, and how one case is held against its rule.

Each ``<rule id>.toml`` has ``rule`` and any of:

``[[case]]``
    ``title`` (a sentence), ``kind`` (quoted, derived, independent, invented), ``cites``,
    ``where``, ``how`` (what was done by hand, or the command), ``facts``, ``expect``, and
    where needed ``about``, ``on``, ``tolerance``.
``[[boundary]]``
    ``row`` (a cut-off of the evidence), ``vary`` (the concept), ``step``, ``facts``, and what is
    expected where the cut-off is ``met`` and where it is ``unmet``. ``plus``: what is added to
    the varied fact, where the cut-off is held against a difference.

``expect`` names fields of the finding: ``status``, ``category``, ``value``, ``parts``
(those given), ``missing`` (these at least), ``says`` (contained), ``absent = true`` (no finding).
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from endplate import evidence, rules
from endplate.evidence import Row
from endplate.facts import Fact
from endplate.findings import AnyFinding
from endplate.record import PatientRecord

from patients import ON

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Table:
    """One file: its rule and its cases."""

    rule: str
    cases: tuple[dict[str, Any], ...]
    boundaries: tuple[dict[str, Any], ...]


def tables() -> list[Table]:
    found = []
    for path in sorted(FOLDER.glob("*.toml")):
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        assert data["rule"] == path.stem, f"{path.name}: is named after another rule"
        found.append(
            Table(data["rule"], tuple(data.get("case", ())), tuple(data.get("boundary", ())))
        )
    return found


def rule_of(id: str) -> rules.Rule:
    return next(r for r in rules.find() if r.id == id)


def answer(id: str, facts: list[Fact], about: str = "", on: date = ON) -> AnyFinding | None:
    """What a rule says of these facts (about one thing), or None."""
    patient = PatientRecord.of(facts).known_on(on)
    found = rule_of(id)(patient, evidence.shipped())
    matching = [f for f in found if f.about == about]
    assert len(matching) <= 1, f"{id}: speaks twice about {about!r}"
    return matching[0] if matching else None


def check(finding: AnyFinding | None, expect: dict[str, Any], tolerance: float = 0.0) -> None:
    """Hold a finding against what is expected of it."""
    if expect.get("absent"):
        assert finding is None, f"expected no finding, got {finding.says!r}"
        return
    assert finding is not None, "expected a finding, got none"
    for name, wanted in expect.items():
        got = getattr(finding, name)
        if name == "value":
            assert got is not None and abs(got - wanted) <= tolerance + 1e-9, f"value {got}"
        elif name == "parts":
            for part, value in wanted.items():
                have = finding.parts[part]
                if isinstance(value, float) and isinstance(have, int | float):
                    assert abs(have - value) <= tolerance + 1e-9, f"{part}: {have}"
                else:
                    assert have == value, f"{part}: {have!r}, not {value!r}"
        elif name == "missing":
            assert set(wanted) <= set(got), f"missing {got}"
        elif name == "says":
            assert wanted in got, f"says {got!r}"
        else:
            assert (got.value if hasattr(got, "value") else got) == wanted, (
                f"{name}: {got!r}, not {wanted!r} ({finding.says})"
            )


def both_sides(boundary: dict[str, Any]) -> list[tuple[float, bool]]:
    """Values on, just below and just above a cut-off, each with whether it meets it."""
    row: Row = evidence.shipped().row(boundary["row"])
    step, cut = boundary["step"], row.number
    values = [round(cut - step, 10), cut, round(cut + step, 10)]
    return [(v, _meets(row, v)) for v in values]


def _meets(row: Row, value: float) -> bool:
    # Written out here as well, so that a slip in Row.met is not its own judge.
    return {
        "at_most": value <= row.number,
        "below": value < row.number,
        "at_least": value >= row.number,
        "above": value > row.number,
    }[row.compare or ""]
