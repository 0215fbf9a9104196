"""What the bone ladder shows of a record."""

from __future__ import annotations

from datetime import date

from endplate import evidence
from endplate.facts import Fact
from endplate.record import PatientRecord
from endplate.report.bone import bone_panels

TODAY = date(2026, 11, 20)


def hip(value: float, on: date, side: str | None = None) -> Fact:
    return Fact(what="bone.t_score.total_hip", value=value, unit="1", on=on, side=side)


def shown(*facts: Fact) -> list[tuple[str, str]]:
    panels = bone_panels(PatientRecord.of(facts).known_on(TODAY), evidence.shipped())
    return [(point.name, point.text) for panel in panels for point in panel.points]


def test_two_hips_of_one_day_without_sides_are_both_shown():
    day = date(2026, 5, 1)
    assert sorted(shown(hip(-2.6, day), hip(-1.2, day))) == [
        ("total hip", "-1.2"),
        ("total hip", "-2.6"),
    ]


def test_of_each_side_the_newest_is_shown():
    old, new = date(2025, 5, 1), date(2026, 5, 1)
    facts = hip(-2.6, old, "left"), hip(-1.9, new, "left"), hip(-1.2, old, "right")
    assert sorted(shown(*facts)) == [("total hip, left", "-1.9"), ("total hip, right", "-1.2")]


def test_nothing_known_is_nothing_shown():
    assert shown() == []
