"""The room's tables: alleles, functions, advice, inhibitors, doses; each a dated CSV beside it.

A table begins with lines ``# name: value`` that say what it is (``says``), where it comes from
(``source``, ``licence``), and the day of its edition (``dated``). A table of more
than a year ago is still used, and what rests on it says how old it is.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import date
from functools import cache
from importlib.resources import files

from msgspec import Struct


class Table(Struct, frozen=True, kw_only=True):
    """One table with its provenance.

    Attributes
    ----------
    name
        The file's name without its ending.
    says, source, licence, dated
        What it holds, where it was taken from, under which licence, and the day of its edition.
    rows
        Its lines, each cell as text.
    """

    name: str
    says: str
    source: str
    licence: str
    dated: date
    rows: tuple[Mapping[str, str], ...]

    def outdated(self, on: date) -> str:
        """A sentence that says how old the table is, where that is more than a year; else empty."""
        dated = self.dated
        if (on.year - 1, on.month, on.day) <= (dated.year, dated.month, dated.day):
            return ""
        return (
            f"The table of {self.says} is of {dated.isoformat()}, more than a year old: check "
            f"whether there is a newer edition."
        )


def all_tables() -> tuple[Table, ...]:
    """Every table of the room, the oldest first."""
    beside = (one.name for one in files(__package__).iterdir())
    found = (table(name.removesuffix(".csv")) for name in beside if name.endswith(".csv"))
    return tuple(sorted(found, key=lambda one: (one.dated, one.name)))


@cache
def table(name: str) -> Table:
    """The table of that name."""
    lines = (files(__package__) / f"{name}.csv").read_text(encoding="utf-8").splitlines()
    head = dict(line[1:].strip().split(": ", 1) for line in lines if line.startswith("#"))
    rows = tuple(csv.DictReader(line for line in lines if not line.startswith("#")))
    return Table(
        name=name, says=head["says"], source=head["source"], licence=head["licence"],
        dated=date.fromisoformat(head["dated"]), rows=rows,
    )  # fmt: skip
