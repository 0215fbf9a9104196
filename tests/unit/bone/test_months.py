"""Months as a clinician counts them."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from endplate.bone.perioperative import months_from


@pytest.mark.parametrize(
    "day, months, then",
    [
        (date(2026, 6, 1), 6, date(2026, 12, 1)),
        (date(2026, 6, 1), -2, date(2026, 4, 1)),
        (date(2026, 1, 31), 1, date(2026, 2, 28)),
        (date(2028, 1, 31), 1, date(2028, 2, 29)),
        (date(2026, 8, 31), 6, date(2027, 2, 28)),
        (date(2026, 12, 31), 2, date(2027, 2, 28)),
        (date(2026, 2, 28), -6, date(2025, 8, 28)),
        (date(2026, 1, 15), -1, date(2025, 12, 15)),
        (date(2026, 12, 15), 1, date(2027, 1, 15)),
        (date(2024, 2, 29), 12, date(2025, 2, 28)),
        (date(2024, 2, 29), -12, date(2023, 2, 28)),
        (date(2026, 6, 1), 0, date(2026, 6, 1)),
    ],
)
def test_months_from(day, months, then):
    assert months_from(day, months) == then


DAYS = st.dates(date(1990, 1, 1), date(2080, 1, 1))


@given(DAYS, st.integers(-24, 24))
def test_the_day_stays_or_is_the_months_last(day, months):
    then = months_from(day, months)
    assert (then.year * 12 + then.month) - (day.year * 12 + day.month) == months
    assert then.day == day.day or (then.day < day.day and then.day >= 28)


@given(DAYS, DAYS, st.integers(0, 12))
def test_a_later_day_never_leads_to_an_earlier_one(one, other, months):
    first, second = sorted((one, other))
    assert months_from(first, months) <= months_from(second, months)
