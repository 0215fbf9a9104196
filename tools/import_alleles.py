"""Re-express published allele definitions as the dated tables of the room of medicines.

    python tools/import_alleles.py DEFINITIONS VARIANTS

DEFINITIONS is the folder of PharmCAT's ``*_translation.json``, which hold CPIC's definitions of
alleles on GRCh38; VARIANTS is PyPGx's ``variant-table.csv``, which gives the same positions on
both assemblies. A position that the second does not have stays empty on GRCh37: none is
calculated.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

GENES = ("CYP2B6", "CYP2C19", "CYP2C9", "CYP2D6", "CYP3A4", "CYP3A5")
ROOM = Path(__file__).parents[1] / "src" / "endplate" / "medicines"
SITES = ("gene", "chromosome", "position", "reference", "alternatives", "rsid",
         "position_grch37", "reference_grch37")  # fmt: skip
ALLELES = ("gene", "allele", "defined", "variants")
HEAD = """\
# says: {says}
# source: allele definitions of CPIC as published with PharmCAT, edition {edition}{more}
# licence: CPIC content CC0 1.0{licence}; facts re-expressed
# dated: {dated}
"""
Row = Mapping[str, str]


def main(definitions: Path, variants: Path) -> None:
    """Write both tables."""
    genes = [
        json.loads((definitions / f"{gene}_translation.json").read_text(encoding="utf-8"))
        for gene in GENES
    ]
    (edition,) = {gene["version"] for gene in genes}
    with variants.open(encoding="utf-8", newline="") as file:
        published = list(csv.DictReader(file))
    head = {"edition": edition, "dated": edition[:10]}
    write(
        "gene_sites", SITES, (row for gene in genes for row in sites(gene, published)),
        HEAD.format(
            says="positions at which alleles of genes of medicines differ",
            more="; positions on GRCh37 from PyPGx 0.26.0", licence=", PyPGx MIT", **head,
        ),
    )  # fmt: skip
    write(
        "gene_alleles", ALLELES, (row for gene in genes for row in alleles(gene)),
        HEAD.format(
            says="alleles of genes of medicines and the variants that make them", more="",
            licence="", **head,
        ),
    )  # fmt: skip


def write(name: str, columns: tuple[str, ...], rows: Iterator[Row], head: str) -> None:
    """One table with its head."""
    with (ROOM / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
        file.write(head)
        lines = csv.DictWriter(file, columns, lineterminator="\n")
        lines.writeheader()
        lines.writerows(rows)


def sites(gene: Mapping[str, Any], published: list[dict[str, str]]) -> Iterator[Row]:
    """The positions of one gene."""
    chromosome = gene["chromosome"].removeprefix("chr")
    by_name = dict(named(row for row in published if row["Gene"] == gene["gene"]))
    for site in gene["variants"]:
        older = on_grch37(site, chromosome, by_name)
        yield {
            "gene": gene["gene"],
            "chromosome": chromosome,
            "position": str(site["position"]),
            "reference": site["ref"],
            "alternatives": " ".join(site["alts"]),
            "rsid": site["rsid"] or "",
            "position_grch37": older[0],
            "reference_grch37": older[1],
        }


def named(published: Iterable[Row]) -> Iterator[tuple[str, Row]]:
    """Each published variant under its name on GRCh38, and each part of one under its own."""
    for row in published:
        yield row["GRCh38Name"], row
        if row["GRCh38Synonym"] == "N/A":
            continue
        parts = zip(row["GRCh38Synonym"].split(","), row["GRCh37Synonym"].split(","), strict=True)
        for name, older in parts:
            _, position, reference, _ = older.split("-")
            same = name.split("-")
            yield name, {"GRCh37Position": position, "GRCh37Allele": reference,
                         "GRCh38Position": same[1], "GRCh38Allele": same[2]}  # fmt: skip


def on_grch37(
    site: Mapping[str, Any], chromosome: str, by_name: Mapping[str, Row]
) -> tuple[str, str]:
    """Position and reference allele on GRCh37, as published; empty where they are not."""
    names = [f"{chromosome}-{site['position']}-{site['ref']}-{alt}" for alt in site["alts"]]
    row = next((by_name[name] for name in names if name in by_name), None)
    if row is not None:
        is_base = len(row["GRCh38Allele"]) == 1 and all(len(alt) == 1 for alt in site["alts"])
        reference = row["GRCh37Allele"] if is_base else site["ref"]
        return row["GRCh37Position"], reference
    if len(site["ref"]) == 1 and all(len(alt) == 1 for alt in site["alts"]):
        here = [row for row in by_name.values() if row["GRCh38Position"] == str(site["position"])]
        if here and here[0]["GRCh38Allele"] == site["ref"]:
            return here[0]["GRCh37Position"], here[0]["GRCh37Allele"]
    return "", ""


def alleles(gene: Mapping[str, Any]) -> Iterator[Row]:
    """The alleles of one gene: at which positions each is defined, and what it carries there.

    An allele that is defined at every position says so, and lists where it differs from the
    reference allele; for all others the positions listed are those at which they are defined.
    """
    (reference,) = [allele for allele in gene["namedAlleles"] if allele["reference"]]
    for allele in gene["namedAlleles"]:
        everywhere = None not in allele["alleles"]
        carried = [
            f"{site['position']}:{at}"
            for site, at, usual in zip(
                gene["variants"], allele["alleles"], reference["alleles"], strict=True
            )
            if at is not None and not (everywhere and at == usual)
        ]
        yield {
            "gene": gene["gene"],
            "allele": allele["name"],
            "defined": "everywhere" if everywhere else "",
            "variants": " ".join(carried),
        }


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
