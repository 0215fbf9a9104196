"""Units: the conversions that laboratories need, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from endplate import units
from endplate.units import UnitProblem

# value, unit, unit, substance, converted value, tolerance of the printed source
KNOWN = [
    (75, "nmol/L", "ng/mL", "25-hydroxyvitamin D3", 30.0, 0.1),
    (40, "g/L", "g/dL", "", 4.0, 1e-9),
    (1, "mg/dL", "umol/L", "creatinine", 88.4, 0.05),
    (5.5, "mmol/L", "mg/dL", "glucose", 99.1, 0.1),
    (1, "mmol/L", "mg/dL", "cholesterol", 38.67, 0.01),
    (2.5, "mmol/L", "mg/dL", "calcium", 10.02, 0.01),
    (48, "mmol/mol", "%", "hba1c", 6.5, 0.05),
    (7.0, "%", "mmol/mol", "hba1c", 53.0, 0.1),
    (20, "nmol/L", "ng/dL", "testosterone", 577, 1),
    (200, "[lb_av]", "kg", "", 90.72, 0.01),
    (65, "[in_i]", "cm", "", 165.1, 1e-9),
    (850, "mg/cm2", "g/cm2", "", 0.85, 1e-9),
    (98.6, "[degF]", "Cel", "", 37.0, 1e-6),
]


@pytest.mark.parametrize("value, unit, to, substance, expected, tolerance", KNOWN)
def test_a_laboratory_conversion(value, unit, to, substance, expected, tolerance):
    assert units.convert(value, unit, to, substance) == pytest.approx(expected, abs=tolerance)


@pytest.mark.parametrize("value, unit, to, substance, expected, tolerance", KNOWN)
def test_there_and_back(value, unit, to, substance, expected, tolerance):
    there = units.convert(value, unit, to, substance)
    assert units.convert(there, to, unit, substance) == pytest.approx(value)


@pytest.mark.parametrize(
    "written, meant",
    [("IU/L", "U/L"), ("mcg/dL", "ug/dL"), ("µmol/l", "umol/L"),
     ("mL/min/1.73 m2", "mL/min/{1.73_m2}"),
     ("K/uL", "10*3/uL"), ("HU", "[hnsf'U]"), ("kg/m²", "kg/m2")],
)  # fmt: skip
def test_a_usual_spelling_is_understood(written, meant):
    assert units.convert(3.5, written, meant) == pytest.approx(3.5)


@pytest.mark.parametrize("unit", ["", "  ", "bogus", "mg per cup", "(score)"])
def test_a_missing_or_unknown_unit_is_a_problem_and_never_a_guess(unit):
    with pytest.raises(UnitProblem):
        units.convert(1.0, unit, "mg/dL")


def test_percent_and_mmol_per_mol_are_not_the_same_ratio():
    # A units library that sees two dimensionless ratios would make 7 % into 70 mmol/mol.
    assert units.convert(7, "%", "mmol/mol", "hba1c") == pytest.approx(53, abs=0.1)
    with pytest.raises(UnitProblem):
        units.convert(7, "g/L", "%", "hba1c")


@pytest.mark.parametrize("unit, to", [("mg/dL", "mmol/L"), ("kg", "m"), ("mg", "mg/dL")])
def test_what_measures_another_thing_does_not_convert(unit, to):
    with pytest.raises(UnitProblem, match="does not convert"):
        units.convert(1.0, unit, to)


@given(st.floats(0.1, 1e4))
def test_conversion_is_linear(value):
    one = units.convert(1.0, "mmol/L", "mg/dL", "glucose")
    assert units.convert(value, "mmol/L", "mg/dL", "glucose") == pytest.approx(value * one)
