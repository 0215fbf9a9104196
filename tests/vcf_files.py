"""VCF files made from the tables of alleles: what a laboratory would send of a person."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping

from endplate.medicines import star_alleles
from endplate.medicines.star_alleles import EITHER, Genotype, Site
from endplate.medicines.tables import table

GRCH38 = "##contig=<ID=chr10,assembly=GRCh38.p14,length=133797422>"
GRCH37 = "##reference=file:///human_g1k_v37.fasta"
TITLES = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT"


def file(lines: Iterable[str], samples: Iterable[str] = ("one",), head: str = GRCH38) -> str:
    """A whole VCF."""
    titles = "\t".join((TITLES, *samples))
    return "\n".join(("##fileformat=VCFv4.2", head, titles, *lines)) + "\n"


def line(
    site: Site, *genotypes: str, alternatives: str = "", form: str = "GT", filter: str = "PASS"
) -> str:
    """A line of a site on GRCh38."""
    other = alternatives or ",".join(site.alternatives)
    return "\t".join(
        (f"chr{site.chromosome}", str(site.position), site.rsid or ".", site.reference, other,
         ".", filter, ".", form, *genotypes)
    )  # fmt: skip


def carried(gene: str, allele: str, chance: random.Random) -> dict[Site, str]:
    """What one gene copy of that allele carries at each site; either of two where it may."""
    (row,) = [r for r in table("gene_alleles").rows if (r["gene"], r["allele"]) == (gene, allele)]
    at = dict(v.split(":") for v in row["variants"].split())
    found = {}
    for site in star_alleles.definition(gene).sites:
        state = at.get(str(site.position), site.reference)
        found[site] = chance.choice(EITHER[state]) if state in EITHER else state
    return found


def genotypes(
    one: Mapping[Site, str], other: Mapping[Site, str], *, phased: bool
) -> tuple[Genotype, ...]:
    """The genotypes of two gene copies."""
    return tuple((one[s], other[s], 0 if phased else None) for s in one)


def person(one: Mapping[Site, str], other: Mapping[Site, str], *, phased: bool) -> list[str]:
    """The lines of a person with two gene copies; what the site's alleles are, in their order."""
    lines = []
    for site in one:
        order = (site.reference, *site.alternatives)
        mark = "|" if phased else "/"
        first, second = order.index(one[site]), order.index(other[site])
        lines.append(line(site, f"{first}{mark}{second}"))
    return lines


def usual(gene: str, *but: str) -> list[str]:
    """Lines with the reference at all sites of a gene but those named."""
    return [line(s, "0/0") for s in star_alleles.definition(gene).sites if s.name not in but]
