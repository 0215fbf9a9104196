"""The keys of the instruments: which items make which scale, and how many must be answered.

Each key is a file beside this one, read when the first answers come; the list of all instruments
with their licence state is ``instruments.csv``. What a score means (bands, important changes) is
evidence, in ``evidence/questionnaires.toml``.
"""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from itertools import count, takewhile
from typing import Literal

from msgspec import Struct, convert

from endplate import vocabulary

How = Literal["sum", "percent", "mean", "highest", "t_score"]


class Instrument(Struct, frozen=True, kw_only=True):
    """One line of the list: what an instrument is, whom it is for, and what of it may be shown.

    Attributes
    ----------
    needs
        Whether all items must be answered, most of them, or any.
    licence
        ``score_only``: the wording of the items is its owner's. ``text_may_ship``: said to be
        free, to be confirmed by a lawyer; we show no wording of these either.
    """

    id: str
    says: str
    population: str
    not_for: str
    needs: Literal["all", "most", "any"]
    licence: Literal["score_only", "text_may_ship"]
    licence_source: str

    @property
    def items(self) -> tuple[str, ...]:
        """The concepts of its items, in their order."""
        return _items(self.id)

    @property
    def title(self) -> str:
        """What it is called in a sentence: its name as the items have it."""
        return vocabulary.concept(self.items[0]).name.partition(", item")[0]

    @property
    def score(self) -> str:
        """The concept of its score, empty where it has no one score."""
        name = f"questionnaire.{self.id}.score"
        return name if name in vocabulary.concepts() else ""

    @property
    def noted(self) -> Mapping[str, str]:
        """The concepts under which its results may be noted without the items, by their scale."""
        return _noted(self.id)


class Scale(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One result of an instrument.

    Attributes
    ----------
    how
        What is made of the items: their sum, their mean, the percentage of the most that the
        answered ones could give, the highest, or T by a table of the sum.
    of, from_
        The items (all unless written), or the scales that it is made of.
    least
        How many of them must be answered: all unless written; under the name of each reading,
        the default first, where sources disagree.
    blank
        What an item without an answer is worth: the mean of the others, or nothing.
    reverse, points, points_by_sex
        Items that count the other way; what a yes is worth.
    t_from, t_score
        The lowest sum of a T table, and T of each sum from there on.
    """

    how: How
    of: tuple[int, ...] = ()
    from_: tuple[str, ...] = ()
    least: int | dict[str, int] | None = None
    blank: Literal["mean", "nothing"] = "mean"
    reverse: tuple[int, ...] = ()
    points: tuple[int, ...] = ()
    points_by_sex: dict[str, tuple[int, ...]] = {}
    t_from: int = 0
    t_score: tuple[float, ...] = ()


class Key(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an instrument is scored.

    Attributes
    ----------
    better
        Whether a lower or a higher score is the better one.
    scale
        Its results by name; ``total`` is the score itself.
    values, also_called, instead
        For EQ-5D: the file of value sets, further names of countries, single profiles whose value
        does not follow the model.
    safety_item
        The item of which any answer but the lowest asks for action at once.
    """

    better: Literal["lower", "higher"]
    scale: dict[str, Scale] = {}
    values: str = ""
    also_called: dict[str, str] = {}
    instead: dict[str, dict[str, float]] = {}
    safety_item: int | None = None

    @property
    def readings(self) -> tuple[str, ...]:
        """The names of the readings of the missing-item rule, the default first."""
        for scale in self.scale.values():
            if isinstance(scale.least, dict):
                return tuple(scale.least)
        return ()


@cache
def instruments() -> Mapping[str, Instrument]:
    """All instruments by id, in the order of their list."""
    lines = csv.DictReader(_text("instruments.csv").splitlines())
    return {line["id"]: convert(line, Instrument) for line in lines}


@cache
def key(id: str) -> Key:
    """The key of an instrument."""
    cells = tomllib.loads(_text(f"{id}.toml"))
    for scale in cells.get("scale", {}).values():
        if "from" in scale:
            scale["from_"] = scale.pop("from")
    return convert(cells, Key)


@cache
def value_sets(id: str) -> Mapping[str, Mapping[str, float]]:
    """The terms of each country's value set; a term that it has not is not there."""
    lines = csv.DictReader(_text(key(id).values).splitlines())
    return {
        line.pop("country"): {term: float(cell) for term, cell in line.items() if cell}
        for line in lines
    }


@cache
def _noted(id: str) -> Mapping[str, str]:
    start = f"questionnaire.{id}."
    names = (c.removeprefix(start) for c in vocabulary.concepts() if c.startswith(start))
    apart = ("item", "country")
    return {
        "total" if n == "score" else n: start + n for n in names if not n.startswith(apart)
    }  # fmt: skip


@cache
def _items(id: str) -> tuple[str, ...]:
    known = vocabulary.concepts()
    names = (f"questionnaire.{id}.item{number}" for number in count(1))
    return tuple(takewhile(known.__contains__, names))


def _text(name: str) -> str:
    return (files(__package__) / name).read_text(encoding="utf-8")
