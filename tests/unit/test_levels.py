"""Levels: how they are written, ordered, and neighboured."""

from __future__ import annotations

import pytest

from endplate import levels
from endplate.levels import Column, Level, Span


@pytest.mark.parametrize(
    "written, meant",
    [("L3", "L3"), (" l3 ", "L3"), ("Th5", "T5"), ("D12", "T12"), ("L03", "L3"), ("S1", "S1"),
     ("L4/5", "L4-L5"), ("L4-S1", "L4-S1"), ("T10 to L2", "T10-L2"), ("c5–c7", "C5-C7")],
)  # fmt: skip
def test_how_a_level_may_be_written(written, meant):
    assert levels.canonical(written) == meant


@pytest.mark.parametrize(
    "written", ["", "L7", "C8", "T14", "S2", "X1", "L", "3", "L5-L4", "L1-L2-L3"]
)
def test_what_is_no_level_is_refused(written):
    with pytest.raises(ValueError):
        levels.canonical(written)


def test_segments_of_a_span():
    column = Column()
    assert [str(s) for s in column.segments(levels.span("T12-L2"))] == ["T12-L1", "L1-L2"]
    assert [str(s) for s in Column(13, 6).segments(levels.span("T12-L1"))] == ["T12-T13", "T13-L1"]


def test_a_vertebra_that_a_column_has_not_has_no_neighbours():
    with pytest.raises(ValueError, match="L6"):
        Column().below(Level.L6)
    assert Column().below(Level.S1) is None and Column().above(Level.C1) is None


def test_the_column_is_what_was_seen():
    assert Column.of([Level.T13, Level.L6]) == Column(13, 6)
    assert Column.of([]) == Column(12, 5)
    with pytest.raises(ValueError):
        Column(lumbar=7)


def test_a_level_lies_in_a_span():
    span = Span(Level.T12, Level.L2)
    assert "L1" in span and Level.T12 in span and "L3" not in span
