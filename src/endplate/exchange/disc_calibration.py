"""A calibration of disc ratios against Pfirrmann grades, from a TOML or JSON file of the user's."""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from endplate.facts import InputProblem
from endplate.images.disc_grade import GRADES, INPUTS, Calibration

_KEYS = frozenset({"name", "population", "on", "coefficients", "thresholds", "ranges"})


def read_calibration(path: Path) -> Calibration:
    """The calibration in a file.

    Raises
    ------
    InputProblem
        If it cannot be read, lacks something, or holds what is not understood.
    """
    try:
        text = path.read_text(encoding="utf-8")
        cells = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except (OSError, UnicodeDecodeError, ValueError) as problem:
        kind = "JSON" if path.suffix.lower() == ".json" else "TOML"
        raise InputProblem(
            f"{path.name}: cannot be read as a calibration. It must be a {kind} file; "
            f"{type(problem).__name__}. Correct it, or name it by its format."
        ) from None
    if not isinstance(cells, dict):
        raise _wrong(path, "a table of names and values", "it holds something else")
    odd = sorted(set(cells) - _KEYS)
    if odd:
        raise _wrong(path, f"no other keys than {', '.join(sorted(_KEYS))}", f"it has {odd[0]!r}")
    words = {n: cells.get(n) for n in ("name", "population")}
    for name, word in words.items():
        if not isinstance(word, str) or not word.strip():
            raise _wrong(path, f"{name} as a text", "there is none")
    coefficients = _numbers(path, "coefficients", cells.get("coefficients"))
    if not coefficients:
        raise _wrong(path, f"coefficients for {' or '.join(INPUTS)}", "there are none")
    return Calibration(
        name=str(words["name"]),
        population=str(words["population"]),
        on=_day(path, cells.get("on")),
        coefficients=coefficients,
        thresholds=_thresholds(path, cells.get("thresholds")),
        ranges=_ranges(path, cells.get("ranges", {})),
    )


def _wrong(path: Path, needed: str, got: str) -> InputProblem:
    return InputProblem(
        f"{path.name}: cannot be used as a calibration. It needs {needed}; {got}. "
        f"See docs/how-to/measure-muscle-and-discs.md for an example."
    )


def _day(path: Path, value: Any) -> date:
    try:
        return value if isinstance(value, date) else date.fromisoformat(str(value))
    except ValueError:
        raise _wrong(
            path, "the day on which it was fitted as on = 2026-01-31", "it has none"
        ) from (None)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _known(path: Path, what: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict) or set(value) - set(INPUTS):
        raise _wrong(path, f"{what} for {' or '.join(INPUTS)} alone", "it has others")
    return value


def _numbers(path: Path, what: str, value: Any) -> dict[str, float]:
    table = _known(path, what, value or {})
    if not all(map(_is_number, table.values())):
        raise _wrong(path, f"{what} that are numbers", "one is none")
    return {name: float(number) for name, number in table.items()}


def _thresholds(path: Path, value: Any) -> tuple[float, float, float, float]:
    count = len(GRADES) - 1
    needed = f"{count} thresholds that are numbers and grow"
    if not isinstance(value, list) or len(value) != count or not all(map(_is_number, value)):
        raise _wrong(path, needed, "it has others")
    a, b, c, d = (float(x) for x in value)
    if not a < b < c < d:
        raise _wrong(path, needed, "they do not grow")
    return a, b, c, d


def _ranges(path: Path, value: Any) -> dict[str, tuple[float, float]]:
    found = {}
    for name, ends in _known(path, "ranges", value).items():
        if not isinstance(ends, list) or len(ends) != 2 or not all(map(_is_number, ends)):
            raise _wrong(path, "ranges like [0.1, 0.9]", "one is none")
        low, high = float(ends[0]), float(ends[1])
        if not low < high:
            raise _wrong(path, "ranges like [0.1, 0.9]", "one has its ends the wrong way round")
        found[name] = (low, high)
    return found
