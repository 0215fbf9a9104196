"""Scores made of points: what each item gives, the sum, and the band in which it lies.

Points and bands are rows of the evidence. Below ``<score>.points.`` an item is either one row (a
table of words and their points; the points of a yes; or the most that a number given as points
can be) or several cut-offs that are tried in order. Below ``<score>.total.`` stand the bands, tried
in order as well; their last words are the categories.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from endplate.evidence import Evidence, Row, first_met
from endplate.facts import Fact
from endplate.findings import Finding, PartValue, Position, Stage, Status, Urgency
from endplate.record import Known, Patient
from endplate.vocabulary import concept

_NAMED = 2  # how many missing items a sentence names before it counts the rest


class Item(Struct, frozen=True, kw_only=True):
    """One item of a score.

    Attributes
    ----------
    name
        As it stands in the finding's parts.
    points
        What it gives; None where it is not known.
    least, most
        Between what it can lie; the points themselves where they are known.
    because, missing, rows
        The facts, what would have to be known, and the evidence.
    """

    name: str
    points: float | None
    least: float
    most: float
    because: tuple[Fact, ...] = ()
    missing: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()


def worth(name: str, points: float, because: tuple[Fact, ...], rows: tuple[Row, ...]) -> Item:
    """An item whose points are known."""
    return Item(name=name, points=points, least=points, most=points, because=because, rows=rows)


def item(
    score: str, what: str, patient: Patient, evidence: Evidence, *, ever: bool = False
) -> Item:
    """The item of a score that one concept answers; `ever`: it counts even if it is over."""
    name = what.rpartition(".")[2]
    rows = rows_of(score, name, evidence)
    if concept(what).kind == "yes_no":
        return by_answer(name, what, patient.ever(what) if ever else patient.has(what), rows)
    return by_fact(name, what, patient.age if what == "person.age" else patient.latest(what), rows)


def rows_of(score: str, name: str, evidence: Evidence) -> tuple[Row, ...]:
    """The rows that give an item its points."""
    row = evidence.rows.get(f"{score}.points.{name}")
    return (row,) if row is not None else evidence.under(f"{score}.points.{name}.")


def by_answer(name: str, what: str, known: Known, rows: tuple[Row, ...]) -> Item:
    """An item that is there or not: the row's number for a yes, or what its table says."""
    (row,) = rows
    yes = row.number if row.value is not None else _in_table(True, row)
    no = 0.0 if row.value is not None else _in_table(False, row)
    if known.unknown:
        return Item(
            name=name, points=None, least=min(yes, no), most=max(yes, no), because=known.because,
            missing=(what,), rows=rows,
        )  # fmt: skip
    return worth(name, yes if known.yes else no, known.because, rows)


def listed(
    row: Row,
    patient: Patient,
    given: Mapping[str, Known] = MappingProxyType({}),
    *,
    without: str = "",
) -> list[Item]:
    """The items of a list of illnesses, each with the points of a yes.

    Parameters
    ----------
    row
        Its table's lines: ``asks`` a concept and gives ``points``; ``ever``: also where it is
        over; ``worse``: a worse form of the same illness, which then counts alone.
    given
        Answers that are no plain facts.
    without
        A column; lines that have it are left out.
    """
    found = []
    for line in row.table:
        if line.get(without):
            continue
        what, points = str(line["asks"]), float(line["points"])
        known = given.get(what)
        if known is None:
            known = patient.ever(what) if line.get("ever") else patient.has(what)
        if "worse" in line:
            found.append(_pair(what, points, known, line, patient, row))
        else:
            end = points if known.yes else 0.0
            found.append(
                Item(
                    name=what.rpartition(".")[2], points=None if known.unknown else end,
                    least=end, most=points if known.unknown else end, because=known.because,
                    missing=(what,) if known.unknown else (), rows=(row,),
                )
            )  # fmt: skip
    return found


def _pair(
    what: str, points: float, milder: Known, line: Mapping[str, Any], patient: Patient, row: Row
) -> Item:
    """Two forms of one illness, of which the worse alone counts."""
    asked, worst = str(line["worse"]), float(line["worse_points"])
    worse = patient.has(asked)
    possible = [] if worse.no else [worst]
    if not worse.yes:
        possible += [] if milder.no else [points]
        possible += [] if milder.yes else [0.0]
    least, most = min(possible), max(possible)
    open_ones = ((asked, worse), (what, milder))
    return Item(
        name=what.rpartition(".")[2],
        points=least if least == most else None,
        least=least,
        most=most,
        because=(*worse.because, *(milder.because if not worse.yes else ())),
        missing=() if least == most else tuple(w for w, known in open_ones if known.unknown),
        rows=(row,),
    )


def by_fact(name: str, what: str, fact: Fact | None, rows: tuple[Row, ...]) -> Item:
    """An item by its word or number."""
    if fact is None:
        possible = [float(line["points"]) for row in rows for line in row.table]
        if rows[0].compare is not None:
            possible.append(0.0)
        elif not rows[0].table:
            possible = [0.0, rows[0].number]
        return Item(
            name=name, points=None, least=min(possible), most=max(possible), missing=(what,),
            rows=rows,
        )  # fmt: skip
    return worth(name, points_of(fact, rows), (fact,), rows)


def points_of(fact: Fact, rows: Iterable[Row]) -> float:
    """The points of a word by a table, of a number by the first cut-off met, or as it is given."""
    tried = tuple(rows)
    if tried[0].compare is not None:
        met = first_met(tried, fact.number)
        return float(met.table[0]["points"]) if met else 0.0
    return _in_table(fact.value, tried[0]) if tried[0].table else fact.number


def _in_table(value: object, row: Row) -> float:
    lines = (x for x in row.table if value in (x["is"] if isinstance(x["is"], list) else [x["is"]]))
    return float(next(lines)["points"])


def band(score: str, total: float, evidence: Evidence) -> Row | None:
    """The band in which a sum lies."""
    return first_met(evidence.under(f"{score}.total."), total)


def category_of(row: Row | None) -> str | None:
    """The category that a band's name ends with."""
    return None if row is None else row.last_name


def named(missing: Sequence[str]) -> str:
    """What is missing, in words; where it is much, how much more."""
    first = [concept(what).name for what in missing[:_NAMED]]
    rest = len(missing) - len(first)
    if rest:
        return f"{', '.join(first)} and {rest} more"
    return " and ".join(first)


def scored(
    title: str,
    score: str,
    items: Sequence[Item],
    evidence: Evidence,
    *,
    divisor: float = 1.0,
    parts: Mapping[str, PartValue] | None = None,
    rows: tuple[Row, ...] = (),
    positions: tuple[Position, ...] = (),
    limits: tuple[str, ...] = (),
    also_missing: tuple[str, ...] = (),
    assumed: tuple[Fact, ...] = (),
    stage: Stage = Stage.BACKGROUND,
    urgency: Urgency = Urgency.INFORMATION,
) -> Finding:
    """The sum of the items and its band; where items are missing, what is still possible.

    Parameters
    ----------
    divisor
        What the sum is divided by, for an index.
    parts, rows, positions, limits, stage, urgency
        What the finding has beside the items and bands.
    also_missing
        What would firm up the answer without being one of its items.
    assumed
        What nobody said and is taken as true.
    """
    because = tuple(dict.fromkeys(f for i in items for f in i.because))
    missing = tuple(dict.fromkeys(what for i in items for what in i.missing))
    all_rows = tuple(
        {
            r.name: r
            for r in (*(r for i in items for r in i.rows), *evidence.under(f"{score}.total."),
                      *rows)
        }.values()
    )  # fmt: skip
    lowest = sum(i.least for i in items) / divisor
    highest = sum(i.most for i in items) / divisor
    there = {**{f"{i.name}_points": i.points for i in items}, **(parts or {})}
    low, high = band(score, lowest, evidence), band(score, highest, evidence)
    if missing:
        there |= {"lowest_possible": round(lowest, 6), "highest_possible": round(highest, 6)}
        told = f"{title.rstrip(':')} cannot be given: {named(missing)} not known. "
        told += f"From {lowest:g} to {highest:g} is still possible"
        if low is not None and low is high:
            there["category_either_way"] = category_of(low)
            told += f", and that is in any case {low.says}"
        return Finding(
            says=f"{told}.", status=Status.UNKNOWN, parts=there, because=because,
            missing=(*missing, *also_missing), rests_on=all_rows, positions=positions,
            limits=limits, assumed=assumed,
        )  # fmt: skip
    return Finding(
        says=f"{title} {lowest:g}{f': {low.says}' if low else ''}.",
        value=round(lowest, 6),
        unit="1",
        category=category_of(low),
        parts=there,
        because=because,
        missing=also_missing,
        assumed=assumed,
        rests_on=all_rows,
        positions=positions,
        limits=limits,
        stage=stage,
        urgency=urgency,
    )


def any_known(patient: Patient, concepts: Iterable[str]) -> bool:
    """Whether anything at all is known of these concepts."""
    return any(patient.facts(what) or not patient.has(what).unknown for what in concepts)
