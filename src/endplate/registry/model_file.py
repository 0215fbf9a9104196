"""A model as a file, and a model held against people that it was not trained on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import to_builtins

from endplate.evidence.model import Model, Validation, model_from
from endplate.facts import InputProblem
from endplate.registry.cohort_table import Cohort, read_cohort
from endplate.registry.validation import validated

_HEAD = "# A model that a clinic trained: research, not for diagnosis. No person's data is in it.\n"


def text_of(model: Model) -> str:
    """The model as TOML."""
    return _HEAD + "\n".join(_lines(to_builtins(model, builtin_types=(date,)), ()))


def read_model(path: Path) -> Model:
    """The model of a file."""
    try:
        return model_from(path.read_text(encoding="utf-8"), path.name)
    except (OSError, UnicodeDecodeError):
        raise InputProblem(
            f"{path.name}: cannot be read as a model. A file that 'endplate model train' wrote is "
            f"needed; there is none that can be read. Check the path."
        ) from None


def held_against(
    model: Model, path: Path, outcome: str, seed: int = 1
) -> tuple[Cohort, Validation]:
    """A model's figures on the people of a table with the columns of its training data."""
    columns = {p.column: p.concept for p in model.predictor}
    cohort = read_cohort(path, outcome, columns, classes=model.classes)
    fewest = min(cohort.counts.values())
    if not fewest:
        raise InputProblem(
            f"{cohort.file}: the model cannot be validated. It needs people of every class; one "
            f"has none. Give a table with all of {', '.join(model.classes)}."
        )
    blank = np.isnan(cohort.values)
    fill = np.array([p.fill for p in model.predictor])
    given = model.probabilities(np.where(blank, fill, cohort.values))
    again = cohort.sha256 == model.data.sha256
    how = (
        "the very table that the model was trained on: this is no validation, and too good"
        if again
        else f"{len(cohort.of_class)} people of another table, as the model stands"
    )
    found = validated(
        how, cohort.of_class, [given], model.classes, filled=int(blank.any(axis=1).sum()),
        seed=seed,
    )  # fmt: skip
    return cohort, found


def _lines(table: Mapping[str, Any], under: tuple[str, ...]) -> Iterator[str]:
    """The lines of a table of TOML: its own cells first, then the tables in it."""
    inner = {k: v for k, v in table.items() if _is_table(v) or _are_tables(v)}
    yield from (
        f"{_key(k)} = {_cell(v)}" for k, v in table.items() if k not in inner and v is not None
    )
    for name, value in inner.items():
        path = (*under, name)
        dotted = ".".join(_key(part) for part in path)
        for one in value if _are_tables(value) else (value,):
            yield f"\n[[{dotted}]]" if _are_tables(value) else f"\n[{dotted}]"
            yield from _lines(one, path)


def _is_table(value: Any) -> bool:
    return isinstance(value, dict)


def _are_tables(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(map(_is_table, value))


def _key(name: str) -> str:
    return name if name.isidentifier() and name.isascii() else _cell(name)


def _cell(value: Any) -> str:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list | tuple):
        return f"[{', '.join(_cell(v) for v in value)}]"
    if isinstance(value, str):
        return json.dumps(value.replace("\x7f", ""), ensure_ascii=False)
    return repr(value)
