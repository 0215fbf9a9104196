"""The glucocorticoid table as it was reproduced, column by column, and how it is applied."""

from __future__ import annotations

import pytest

from endplate import evidence
from endplate.bone.fracture_risk import frax_glucocorticoid

from patients import patient

SHIPPED = evidence.shipped()
AGES = (40, 50, 60, 70, 80, 90)
# Table 7 of the reproduction (kanis2011_table): relative change in percent by age, then all ages.
PRINTED = {
    ("low", "hip"): (-40, -40, -40, -40, -30, -30, -35),
    ("medium", "hip"): (0, 0, 0, 0, 0, 0, 0),
    ("high", "hip"): (25, 25, 25, 20, 10, 10, 20),
    ("low", "major"): (-20, -20, -15, -20, -20, -20, -20),
    ("medium", "major"): (0, 0, 0, 0, 0, 0, 0),
    ("high", "major"): (20, 20, 15, 15, 10, 10, 15),
}
LINES = {
    (line["dose"], line["outcome"]): line
    for line in SHIPPED.row("bone.frax.glucocorticoid.change").table
}


def test_every_dose_and_outcome_is_there_once():
    assert set(LINES) == set(PRINTED)
    assert len(SHIPPED.row("bone.frax.glucocorticoid.change").table) == len(PRINTED)


@pytest.mark.parametrize("dose, outcome", list(PRINTED))
def test_a_line_is_as_printed(dose, outcome):
    line = LINES[dose, outcome]
    assert tuple(line[f"age_{age}"] for age in AGES) == PRINTED[dose, outcome][:-1]
    assert line["all"] == PRINTED[dose, outcome][-1]


@pytest.mark.parametrize("dose, band", [(1, "low"), (5, "medium"), (40, "high")])
@pytest.mark.parametrize("age", AGES)
def test_the_column_for_all_ages_is_applied_at_every_age(dose, band, age):
    known = patient().woman(age).having("bone.frax_major", 10).having("bone.frax_hip", 10)
    known.having("bone.frax_glucocorticoids_entered")
    known.having("person.glucocorticoid_daily_dose", dose)
    found = frax_glucocorticoid.one(known.known_on(), SHIPPED)
    assert found.category == band
    for outcome in ("major", "hip"):
        change = PRINTED[band, outcome][-1]
        assert found.parts[outcome] == pytest.approx(10 * (1 + change / 100), abs=0.05)
