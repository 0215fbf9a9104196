"""From a diplotype to its activity score and its phenotype, for one person or for a registry.

What a single allele does stands in a table per gene; copies multiply its activity value, alleles
in tandem add theirs. CYP2D6 and CYP2C9 go by the sum of both sides, the other genes by the pair
of functions. An allele whose function nobody knows makes the phenotype indeterminate.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from operator import ge, gt

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from endplate.medicines.tables import Table, table

GENES = ("CYP2B6", "CYP2C19", "CYP2C9", "CYP2D6", "CYP3A4", "CYP3A5")
BY_SCORE = ("CYP2C9", "CYP2D6")
COPIED = "CYP2D6"  # the one gene whose copies CPIC counts
INDETERMINATE = "indeterminate"

_OR = re.compile(r"\s+or\s+|\s*[,;]\s*", re.IGNORECASE)
_ALLELE = re.compile(r"^(\*\d+)(?:\.\d+)?(?:x(>=)?([1-9]\d*))?$")
_SOME_COPIES = re.compile(r"xN\b", re.IGNORECASE)
_COMPARED = {"at_least": ge, "above": gt}


class Side(Struct, frozen=True, kw_only=True):
    """What stands on one of the two chromosomes: an allele, its copies, or several in tandem.

    Attributes
    ----------
    function
        As CPIC words it; empty where several alleles stand together.
    value, at_least
        What it adds to the activity score; None where that is not known. `at_least`: it may be
        more, as the number of copies is open.
    unlisted
        Alleles that CPIC's table does not hold.
    """

    function: str = ""
    value: float | None = None
    at_least: bool = False
    unlisted: tuple[str, ...] = ()


class Call(Struct, frozen=True, kw_only=True):
    """One diplotype, or a laboratory's own result, and what follows from it.

    Attributes
    ----------
    diplotype
        As it was written; empty for a laboratory's score or phenotype.
    score, at_least
        The activity score; `at_least`: a lower bound.
    phenotypes
        One; more where the number of copies decides.
    sides
        Both sides of the diplotype.
    """

    diplotype: str = ""
    score: float | None = None
    at_least: bool = False
    phenotypes: tuple[str, ...] = (INDETERMINATE,)
    sides: tuple[Side, ...] = ()


class Many(Struct, frozen=True, kw_only=True):
    """Scores and phenotypes of a column of diplotypes.

    `score` is NaN where there is none; `at_least` marks lower bounds; where the phenotype is not
    one and the same for all that a text may stand for, it is indeterminate.
    """

    score: NDArray[np.float64]
    at_least: NDArray[np.bool_]
    phenotype: NDArray[np.object_]


def functions(gene: str) -> Table:
    """The table of what each allele of a gene does."""
    return table(f"functions_{gene.lower()}")


@cache
def _by_allele(gene: str) -> dict[str, tuple[str, float | None]]:
    return {
        row["allele"]: (
            row["function"],
            float(row["activity_value"]) if row["activity_value"] else None,
        )
        for row in functions(gene).rows
    }


@cache
def _by_pair(gene: str) -> dict[tuple[str, str], str]:
    pairs = [row for row in table("function_phenotypes").rows if row["gene"] == gene]
    found = {(row["function_1"], row["function_2"]): row["phenotype"] for row in pairs}
    return found | {(second, first): said for (first, second), said in found.items()}


@cache
def _bands(gene: str) -> tuple[tuple[str, str, float], ...]:
    """The phenotypes by score, lowest first: name, how its lower end is compared, lower end."""
    return tuple(
        (row["phenotype"], row["compare"], float(row["score"]))
        for row in table("score_phenotypes").rows
        if row["gene"] == gene
    )


@cache
def _least_step(gene: str) -> float:
    """The least that an allele can add: scores lie no closer than this."""
    return min(value for _, value in _by_allele(gene).values() if value)


# -- one person -----------------------------------------------------------------------------------


def calls(gene: str, text: str) -> tuple[Call, ...]:
    """What each diplotype says that a text may stand for; empty where one cannot be read.

    ``or`` lists several; ``xN`` stands for two copies or for more.
    """
    found = []
    for one in _OR.split(text.strip()):
        for copies in ("x2", "x>=3") if _SOME_COPIES.search(one) else ("",):
            call = _call(gene, _SOME_COPIES.sub(copies, one))
            if call is None:
                return ()
            found.append(call)
    return tuple(dict.fromkeys(found))


def _call(gene: str, text: str) -> Call | None:
    """One diplotype; None where the text is not two sides of alleles."""
    sides = [side_of(gene, part) for part in _plain(gene, text).split("/")]
    first, *others = sides
    if first is None or len(others) != 1 or others[0] is None:
        return None
    both = (first, others[0])
    written = text.strip()
    if gene not in BY_SCORE:
        said = _by_pair(gene).get((first.function, both[1].function), INDETERMINATE)
        return Call(diplotype=written, phenotypes=(said,), sides=both)
    if first.value is None or both[1].value is None:
        return Call(diplotype=written, sides=both)
    score, at_least = first.value + both[1].value, first.at_least or both[1].at_least
    return Call(
        diplotype=written, score=score, at_least=at_least,
        phenotypes=by_score(gene, score, at_least=at_least), sides=both,
    )  # fmt: skip


def _plain(gene: str, text: str) -> str:
    """A diplotype as CPIC writes it, without the gene's name, spaces and brackets."""
    plain = re.sub(rf"{gene}|[\s\[\]]", "", text, flags=re.IGNORECASE)
    plain = plain.replace("\u2265", ">=").replace("\u00d7", "x")
    # What is copied as a whole cannot be told from a copied last allele without its brackets.
    return plain if ")x" in plain else plain.replace("(", "").replace(")", "")


def side_of(gene: str, text: str) -> Side | None:
    """One side of a diplotype; None where the text is no allele."""
    parts = text.split("+")
    found = [match for part in parts if (match := _ALLELE.match(part))]
    if len(found) < len(parts):
        return None
    values: list[float | None] = []
    at_least, unlisted = False, []
    for match in found:
        name, or_more, count = match.groups()
        if name not in _by_allele(gene):
            unlisted.append(name)
        value = _by_allele(gene).get(name, ("", None))[1]
        if gene != COPIED and (count is not None or len(found) > 1):
            value = None  # what stands together there are variants of one copy
        values.append(None if value is None else value * int(count or 1))
        at_least |= bool(or_more and value)
    total = None if None in values else sum(v for v in values if v is not None)
    single = found[0] if len(found) == 1 else None
    function = "" if single is None else _by_allele(gene).get(single[1], ("", None))[0]
    if single is not None and single[3] and gene not in BY_SCORE:
        function = ""
    return Side(
        function=function, value=total, at_least=at_least and total is not None,
        unlisted=tuple(unlisted),
    )  # fmt: skip


def by_score(gene: str, score: float, *, at_least: bool = False) -> tuple[str, ...]:
    """The phenotypes that a score may stand for: one, unless it is a lower bound."""
    bands = _bands(gene)
    met = [n for n, (_, compare, lower) in enumerate(bands) if _COMPARED[compare](score, lower)]
    return tuple(name for name, _, _ in bands[met[-1] :]) if at_least else (bands[met[-1]][0],)


def of_score(gene: str, score: float, *, at_least: bool = False) -> Call:
    """What a laboratory's activity score says."""
    return Call(score=score, at_least=at_least, phenotypes=by_score(gene, score, at_least=at_least))


def scaled(gene: str, call: Call, factor: float) -> Call:
    """The same with every activity multiplied, as by a medicine that inhibits the enzyme.

    Where only the phenotype is known its lowest and highest score are taken, and all between.
    """
    if call.score is not None:
        at_least = call.at_least and factor > 0
        score = call.score * factor
        phenotypes = by_score(gene, score, at_least=at_least)
        return Call(diplotype=call.diplotype, score=score, at_least=at_least,
                    phenotypes=phenotypes, sides=call.sides)  # fmt: skip
    if factor == 0:
        return Call(diplotype=call.diplotype, score=0.0, phenotypes=by_score(gene, 0.0),
                    sides=call.sides)  # fmt: skip
    if factor == 1 or INDETERMINATE in call.phenotypes:
        return call
    names = [name for name, _, _ in _bands(gene)]
    possible = set()
    for said in call.phenotypes:
        low, high = _ends(gene, said)
        lowest = by_score(gene, low * factor, at_least=high is None)
        highest = lowest if high is None else by_score(gene, high * factor)
        first, last = names.index(lowest[0]), names.index(highest[-1])
        possible |= set(names[first : last + 1])
    return Call(phenotypes=tuple(name for name in names if name in possible))


def _ends(gene: str, phenotype: str) -> tuple[float, float | None]:
    """The lowest and highest score of a phenotype; the highest one has no upper end."""
    step = _least_step(gene)
    lows = [lower if compare == "at_least" else lower + step
            for _, compare, lower in _bands(gene)]  # fmt: skip
    place = [name for name, _, _ in _bands(gene)].index(phenotype)
    return lows[place], lows[place + 1] - step if place + 1 < len(lows) else None


# -- a registry -----------------------------------------------------------------------------------


def phenotypes(gene: str, diplotypes: Sequence[str] | NDArray[np.object_]) -> Many:
    """Score and phenotype of each of many diplotypes.

    Parameters
    ----------
    gene
        One of `GENES`.
    diplotypes
        As in `calls`. A text that cannot be read is indeterminate.
    """
    given = np.asarray(diplotypes, dtype=object).tolist()
    odd = [n for n, text in enumerate(given) if text.count("/") != 1 or "N" in text]
    for n in odd:
        given[n] = "/"
    parts = "/".join(given).split("/") if given else []
    names = dict.fromkeys(parts)
    place = {name: n for n, name in enumerate(names)}
    at = np.fromiter((place[part] for part in parts), np.intp, len(parts)).reshape(-1, 2)
    sides = [side_of(gene, _plain(gene, name)) or Side() for name in names]
    made = _of_sides(gene, sides, at)
    for n in odd:
        _put(made, n, calls(gene, diplotypes[n]))
    return made


def _of_sides(gene: str, sides: list[Side], at: NDArray[np.intp]) -> Many:
    """Scores and phenotypes where `at` names the sides of each diplotype by their places."""
    if gene not in BY_SCORE:
        said = [[_by_pair(gene).get((a.function, b.function), INDETERMINATE) for b in sides]
                for a in sides]  # fmt: skip
        known = np.array(said, dtype=object).reshape(len(sides), len(sides))
        return Many(
            score=np.full(len(at), np.nan), at_least=np.zeros(len(at), bool),
            phenotype=known[at[:, 0], at[:, 1]],
        )  # fmt: skip
    values = np.array([np.nan if s.value is None else s.value for s in sides])[at]
    score = values.sum(axis=1)
    bound = np.array([s.at_least for s in sides], dtype=bool)[at].any(axis=1) & ~np.isnan(score)
    code = np.zeros(len(at), dtype=np.intp)
    for n, (_, compare, lower) in enumerate(_bands(gene), 1):
        code[_COMPARED[compare](score, lower)] = n
    code[bound & (code < len(_bands(gene)))] = 0
    names = np.array([INDETERMINATE, *(name for name, _, _ in _bands(gene))], dtype=object)
    return Many(score=score, at_least=bound, phenotype=names[code])


def _put(made: Many, n: int, said: Iterable[Call]) -> None:
    """In one place what several calls have in common."""
    there = list(said)
    phenotype = {p for call in there for p in call.phenotypes}
    score = {(call.score, call.at_least) for call in there}
    made.phenotype[n] = phenotype.pop() if len(phenotype) == 1 else INDETERMINATE
    made.score[n], made.at_least[n] = np.nan, False
    if len(score) == 1:
        ((one, bound),) = score
        made.score[n], made.at_least[n] = (np.nan if one is None else one), bound
