"""CYP2D6 diplotypes to phenotypes: all of CPIC's list in one call, and some beside PyPGx.

The list is made anew from the alleles: every pair of the 173 that CPIC lists, duplications among
them. "From cold tables" means that each call reads them again. PyPGx looks up a diplotype at a
time; it goes by an older edition of CPIC's activity values, so the two differ, and the line says
in how many pairs of alleles and why. Its own table is asked for that, allele by allele.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from functools import cache
from itertools import combinations_with_replacement
from pathlib import Path

from bench.timing import Line, timed

HERE = "bench.phenotypes"
PEER = Path(__file__).parents[1] / ".venv-bench" / "bin" / "python"
# The duplications in CPIC's list of 2024-08-27.
COPIES = (
    "*1x2", "*1x≥3", "*2x2", "*2x≥3", "*3x2", "*4x2", "*4x≥3", "*6x2", "*9x2", "*10x2", "*17x2",
    "*27x2", "*28x2", "*29x2", "*35x2", "*36x2", "*41x2", "*41x3", "*43x2", "*45x2", "*146x2",
)  # fmt: skip
FEW = ("*1", "*2", "*3", "*4", "*5", "*10", "*17", "*29", "*36", "*35")
PAIRS = [f"{one}/{other}" for one, other in combinations_with_replacement(FEW, 2)]


def _alleles() -> list[str]:
    from endplate.medicines.phenotype import functions

    return [row["allele"] for row in functions("CYP2D6").rows]


@cache
def diplotypes() -> tuple[str, ...]:
    every = (*_alleles(), *COPIES)
    return tuple(f"{one}/{other}" for one, other in combinations_with_replacement(every, 2))


def ours() -> list[str]:
    from endplate.medicines.phenotype import phenotypes

    return list(phenotypes("CYP2D6", diplotypes()).phenotype)


def ours_from_cold_tables() -> list[str]:
    from endplate.medicines import phenotype
    from endplate.medicines.tables import table

    for kept in (table, phenotype._by_allele, phenotype._bands, phenotype._least_step):
        kept.cache_clear()
    return ours()


def ours_of_few() -> list[str]:
    from endplate.medicines.phenotype import phenotypes

    return list(phenotypes("CYP2D6", PAIRS).phenotype)


def pypgx_of_few() -> list[str]:
    from pypgx.api.core import predict_phenotype

    return [predict_phenotype("CYP2D6", *pair.split("/")) for pair in PAIRS]


_ASK = """
import json, sys
from pypgx.api.core import list_alleles, predict_phenotype, predict_score
scores = {a: predict_score("CYP2D6", a) for a in list_alleles("CYP2D6")}
scores = {a: None if s != s else s for a, s in scores.items()}
one = {s: a for a, s in scores.items()}
said = [[s, t, predict_phenotype("CYP2D6", one[s], one[t])] for s in one for t in one]
print(json.dumps([scores, said]))
"""


def differences() -> str:
    """In how many pairs of simple alleles the phenotypes differ, and by which alleles."""
    from endplate.medicines.phenotype import INDETERMINATE, calls, functions

    done = subprocess.run([str(PEER), "-c", _ASK], capture_output=True, text=True, check=True)
    theirs, said = json.loads(done.stdout.strip().splitlines()[-1])
    by_score = {(s, t): p.split()[0].lower() for s, t, p in said}
    values = {
        row["allele"]: float(row["activity_value"]) if row["activity_value"] else None
        for row in functions("CYP2D6").rows
    }
    shared = [allele for allele in values if allele in theirs]
    changed = {a: (theirs[a], values[a]) for a in shared if theirs[a] != values[a]}
    pairs = list(combinations_with_replacement(shared, 2))
    different, unexplained = 0, []
    for pair in pairs:
        (call,) = calls("CYP2D6", "/".join(pair))
        mine = call.phenotypes[0].replace("_metaboliser", "")
        other = by_score[theirs[pair[0]], theirs[pair[1]]]
        if mine != (INDETERMINATE if other == "indeterminate" else other):
            different += 1
            if not set(pair) & set(changed):
                unexplained.append(pair)
    assert not unexplained, unexplained
    listed = ", ".join(f"{a} {_value(was)} now {_value(now)}" for a, (was, now) in changed.items())
    return (
        f"{different:,} of {len(pairs):,} pairs differ, all by alleles whose value CPIC changed in "
        f"2023 or later: {listed}"
    )


def _value(value: float | None) -> str:
    return "none" if value is None else f"{value:g}"


def lines() -> Iterator[Line]:
    count = len(diplotypes())
    for what, call in (("", "ours"), (", from cold tables", "ours_from_cold_tables")):
        yield Line(
            f"phenotypes of {count:,} CYP2D6 diplotypes{what}", timed(f"{HERE}:{call}"),
            aim="at most 0.05 s", count=count, things="diplotypes",
        )  # fmt: skip
    if not PEER.exists():
        raise FileNotFoundError("PyPGx is not installed; run make bench, which installs it.")
    yield Line(
        f"phenotypes of {len(PAIRS)} CYP2D6 diplotypes", timed(f"{HERE}:ours_of_few"),
        "PyPGx 0.27.0", timed(f"{HERE}:pypgx_of_few", python=str(PEER)),
        count=len(PAIRS), things="diplotypes", note=differences(),
    )  # fmt: skip
