"""Units by UCUM: what a unit text means, and the conversions that laboratory results need.

Parsing and plain conversions are done by `ucumvert` and `pint`. Added here: spellings that
laboratories use and UCUM does not know, conversions between mass and amount of a named
substance, and HbA1c, whose percent and mmol/mol are not the same ratio. Molar masses and the
HbA1c equation stand in ``evidence/units.toml``.
"""

from __future__ import annotations

import tomllib
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

from endplate import evidence
from endplate.facts import InputProblem


class UnitProblem(InputProblem):
    """A unit that is missing, unknown, or cannot be converted to the one that is needed."""


@cache
def _spellings() -> dict[str, str]:
    text = (files("endplate.evidence") / "units.toml").read_text(encoding="utf-8")
    table: dict[str, str] = tomllib.loads(text)["spelling"]
    return table


@cache
def _registry() -> Any:
    """The UCUM registry; imported on first need, as most records never need it."""
    import warnings  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import ucumvert  # noqa: PLC0415

        return ucumvert.PintUcumRegistry()


def ucum(text: str) -> str:
    """The UCUM code for a unit as a laboratory writes it (``IU/L``, ``mcg/dL``, ``µmol/l``).

    A text that is not among the known spellings is returned as it is; whether it is UCUM
    shows when it is converted.
    """
    written = text.strip().replace("µ", "u").replace("μ", "u").replace(" ", "")
    return _spellings().get(written) or _spellings().get(written.lower()) or written


@lru_cache(maxsize=4096)
def conversion(unit: str, to: str, substance: str = "") -> tuple[float, float]:
    """Factor and offset that turn a value in `unit` into one in `to`.

    Parameters
    ----------
    unit, to
        UCUM codes, or spellings that `ucum` knows.
    substance
        Whose molar mass converts between mass and amount; ``hba1c`` selects the NGSP-IFCC
        equation.

    Returns
    -------
    (factor, offset)
        ``value_in_to = factor * value + offset``.

    Raises
    ------
    UnitProblem
        If a unit is empty or unknown, or the two measure different things.

    Examples
    --------
    >>> factor, offset = conversion("nmol/L", "ng/mL", "25-hydroxyvitamin D3")
    >>> round(75 * factor + offset, 1)
    30.0
    """
    if not unit.strip():
        raise UnitProblem(
            f"Unit: is missing. This value needs a unit that converts to {to}; none was given. "
            f"Add the unit at the source."
        )
    unit, to = ucum(unit), ucum(to)
    if unit == to:
        return 1.0, 0.0
    if substance == "hba1c" and {unit, to} == {"%", "mmol/mol"}:
        slope = evidence.shipped().row("unit.hba1c.slope").number
        intercept = evidence.shipped().row("unit.hba1c.intercept").number
        return (slope, intercept) if to == "%" else (1 / slope, -intercept / slope)
    if substance == "hba1c":
        raise _different(unit, to)
    source, target = _parsed(unit), _parsed(to)
    if source.dimensionality != target.dimensionality:
        source = _through_molar_mass(source, target, substance)
    if source is None:
        raise _different(unit, to)
    quantity = _registry().Quantity
    zero = quantity(0.0, source.units).to(target.units).magnitude
    one = quantity(1.0, source.units).to(target.units).magnitude
    scale = (one - zero) * source.magnitude / target.magnitude
    return float(scale), float(zero / target.magnitude)


def convert(value: float, unit: str, to: str, substance: str = "") -> float:
    """A value in another unit; see `conversion`."""
    factor, offset = conversion(unit, to, substance)
    return factor * value + offset


def is_known(text: str) -> bool:
    """Whether a text is a unit that can be understood."""
    try:
        _parsed(ucum(text))
    except UnitProblem:
        return False
    return True


@lru_cache(maxsize=4096)
def _parsed(unit: str) -> Any:
    """The unit as a quantity of one; annotations such as ``{score}`` count as a plain ratio."""
    if unit == "1" or (unit.startswith("{") and unit.endswith("}") and unit.count("{") == 1):
        return _registry().Quantity(1.0, "")
    try:
        quantity = _registry().from_ucum(unit)
        return _registry().Quantity(float(quantity.magnitude), quantity.units)
    except Exception as problem:  # the parser has no one base class for what it cannot parse
        raise UnitProblem(
            f"Unit {unit!r}: is not understood. It must be a UCUM code or a usual laboratory "
            f"spelling; this is neither. Correct the unit at the source."
        ) from problem


def _through_molar_mass(source: Any, target: Any, substance: str) -> Any:
    """`source` turned from amount to mass or back, so that it measures what `target` does."""
    name = f"unit.molar_mass.{substance}"
    if name not in evidence.shipped().rows:
        return None
    molar_mass = _registry().Quantity(evidence.shipped().row(name).number, "gram/mol")
    for turned in (source * molar_mass, source / molar_mass):
        if turned.dimensionality == target.dimensionality:
            return turned
    return None


def _different(unit: str, to: str) -> UnitProblem:
    return UnitProblem(
        f"Unit {unit!r}: does not convert to {to}. The two measure different things here; the "
        f"value was not used. Check whether the unit or the code of the result is wrong."
    )
