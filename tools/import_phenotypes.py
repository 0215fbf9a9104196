"""Make the tables of allele functions and of phenotypes anew from PharmCAT's copies of CPIC's.

    python tools/import_phenotypes.py FOLDER

FOLDER holds PharmCAT's ``phenotype/<GENE>*.json``. Written are, beside the room's code,
``functions_<gene>.csv`` (what each single allele does) and ``function_phenotypes.csv`` (what two
functions make together). No line per diplotype: where CPIC's list holds duplications, or a
diplotype that does not follow from its two alleles, nothing is written and the script says which.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
from datetime import date
from itertools import combinations_with_replacement
from pathlib import Path
from typing import Any

ROOM = Path(__file__).parents[1] / "src" / "endplate" / "medicines"
BY_SCORE = ("CYP2C9", "CYP2D6")
BY_FUNCTIONS = ("CYP2B6", "CYP2C19", "CYP3A4", "CYP3A5")
OPEN = {"uncertain", "unknown"}
COPIES = re.compile(r"^(\*\d+)x(≥?)(\d+)$")
LICENCE = "CC0 (CPIC)"


def main() -> None:
    """Read the folder that is named and write the tables."""
    ask = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    ask.add_argument("folder", type=Path)
    folder = ask.parse_args().folder
    pairs: list[tuple[str, str, str, str]] = []
    editions = []
    for gene in (*BY_SCORE, *BY_FUNCTIONS):
        source = next(iter(sorted(folder.glob(f"{gene}*.json"))), None)
        if source is None:
            raise SystemExit(f"{gene}: there is no {gene}*.json in that folder.")
        read = json.loads(source.read_text(encoding="utf-8"))
        editions.append(edition(read))
        alleles = functions(read)
        if gene in BY_SCORE:
            check_copies(read, alleles)
        else:
            pairs += [(gene, *pair) for pair in function_pairs(read, alleles)]
        write(
            f"functions_{gene.lower()}", f"what each {gene} allele does",
            f"CPIC, as in PharmCAT's {gene} phenotypes of {read['version']}", editions[-1],
            ("allele", "function", "activity_value"),
            [(name, *cells) for name, cells in alleles.items()],
        )  # fmt: skip
    write(
        "function_phenotypes", "which phenotype two allele functions make together",
        "CPIC, as in PharmCAT's phenotypes; pairs that are not listed are indeterminate",
        min(editions[len(BY_SCORE) :]), ("gene", "function_1", "function_2", "phenotype"), pairs,
    )  # fmt: skip


def edition(read: dict[str, Any]) -> str:
    """The day of an edition, out of ``2025-11-05-00-25``."""
    return date.fromisoformat(read["version"][:10]).isoformat()


def functions(read: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Function and activity value of each single allele; copies follow from these."""
    return {
        one["name"]: (
            one["functionValue"].removesuffix(" function").lower(),
            "" if one["activityValue"] in (None, "n/a") else f"{float(one['activityValue']):g}",
        )
        for one in read["namedAlleles"]
        if not COPIES.match(one["name"])
    }


def check_copies(read: dict[str, Any], alleles: dict[str, tuple[str, str]]) -> None:
    """That each duplication in the list counts as its allele, times its copies."""
    for one in read["namedAlleles"]:
        found = COPIES.match(one["name"])
        if not found:
            continue
        single, copies = alleles[found[1]][1], int(found[3])
        wanted = f"{float(single) * copies}" if single else "n/a"
        if found[2] and single and float(single):
            wanted = f"≥{wanted}"
        if one["activityValue"] != wanted:
            raise SystemExit(f"{one['name']}: counts {one['activityValue']}, not {wanted}.")


def function_pairs(
    read: dict[str, Any], alleles: dict[str, tuple[str, str]]
) -> list[tuple[str, str, str]]:
    """The phenotype of each pair of functions, those left out that are indeterminate as a rule."""
    found: dict[tuple[str, str], set[str]] = {}
    for one in read["diplotypes"]:
        pair = sorted(alleles[name][0] for name in one["diplotype"].split("/"))
        found.setdefault((pair[0], pair[1]), set()).add(phenotype(one["phenotype"]))
    kinds = sorted({cells[0] for cells in alleles.values()})
    listed = []
    for first, second in combinations_with_replacement(kinds, 2):
        said = found.get((first, second), set())
        if len(said) > 1:
            raise SystemExit(f"{read['gene']}: {first} with {second} is {' and '.join(said)}.")
        if said and said != {"indeterminate"}:
            listed.append((first, second, said.pop()))
        elif said and not OPEN & {first, second}:
            raise SystemExit(f"{read['gene']}: {first} with {second} is indeterminate.")
    return listed


def phenotype(words: str) -> str:
    """``Likely Poor Metabolizer`` as the vocabulary writes it."""
    return words.lower().replace("metabolizer", "metaboliser").replace(" ", "_")


def write(
    name: str, says: str, source: str, dated: str, columns: tuple[str, ...],
    rows: list[tuple[str, ...]],
) -> None:  # fmt: skip
    """One table with its head."""
    with (ROOM / f"{name}.csv").open("w", encoding="utf-8", newline="") as out:
        out.write(f"# says: {says}\n# source: {source}\n# licence: {LICENCE}\n# dated: {dated}\n")
        lines = csv.writer(out, lineterminator="\n")
        lines.writerow(columns)
        lines.writerows(rows)


if __name__ == "__main__":
    main()
