"""The codes of genetic results, in the manner of HL7's Genomics Reporting; read and written alike.

A gene is named by its HGNC symbol, with its HGNC id where that is verified; a star allele, a
haplotype or a genotype by its words, as CPIC writes them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from endplate import vocabulary
from endplate.medicines.star_alleles import GENES
from endplate.vocabulary import GENOMIC_SYSTEMS

GENOTYPE, GENE_STUDIED, MEDICATION, METABOLISM, IMPLICATION, GENETICS = (
    "genotype", "gene_studied", "medication_assessed", "metabolism", "therapeutic_implication",
    "category",
)  # fmt: skip
_HLA = re.compile(r"gene\.hla_([a-z]+\d?)_\d")
# Older editions, and many servers, write the ids of HGNC under this address.
_HGNC_IDS = "http://www.genenames.org/geneId"


def pair(name: str) -> tuple[str, str]:
    """System address and code of one of the shared codes."""
    code = vocabulary.genomic_codes()["code", name]
    return GENOMIC_SYSTEMS[code.system], code.code


@cache
def shared_codes() -> frozenset[tuple[str, str]]:
    """System address and code by which a genetic result is known as one."""
    return frozenset(map(pair, (GENOTYPE, GENE_STUDIED, METABOLISM, IMPLICATION)))


def coding(use: str, what: str) -> dict[str, Any] | None:
    """The Coding of a gene, a phenotype or a shared code, where there is a verified one."""
    code = vocabulary.genomic_codes().get((use, what))
    if code is None:
        return None
    return {"system": GENOMIC_SYSTEMS[code.system], "code": code.code, "display": code.display}


def symbol_of(what: str) -> str:
    """The HGNC symbol of the gene that a concept is about."""
    hla = _HLA.match(what)
    return f"HLA-{hla[1].upper()}" if hla else what.split(".")[1].upper()


def _before(what: str) -> str:
    """What stands before a call: the gene, and of a single variant its name."""
    called = what.rpartition(".")[2]
    return f"{symbol_of(what)} " if called == "diplotype" else f"{symbol_of(what)} {called} "


def named(what: str, call: str) -> str:
    """A call as it is written: ``CYP2D6 *1/*4``, ``COMT rs4680 A/G``."""
    return f"{_before(what)}{call}"


def unnamed(what: str, text: str) -> str:
    """The call of a text as `named` writes it."""
    return text.removeprefix(_before(what))


def is_research(what: str) -> bool:
    """Whether a gene is one of research: no dose hangs on it."""
    symbol = symbol_of(what)
    return symbol not in GENES and not symbol.startswith("HLA-")


@cache
def concepts_by_gene() -> Mapping[str, tuple[str, ...]]:
    """What the vocabulary has of each gene, by its symbol."""
    found: dict[str, tuple[str, ...]] = {}
    for what in vocabulary.concepts():
        if what.startswith("gene."):
            symbol = symbol_of(what)
            found[symbol] = (*found.get(symbol, ()), what)
    return found


@cache
def _by_id() -> Mapping[str, str]:
    codes = vocabulary.genomic_codes().values()
    return {code.code: code.what for code in codes if code.use == "gene"}


def gene_named(system: str, code: str, words: str) -> str:
    """The symbol of a gene by its HGNC id, its code or its words; empty where it is none of ours.

    The id goes before the words.
    """
    if system in (GENOMIC_SYSTEMS["hgnc"], _HGNC_IDS) and code in _by_id():
        return _by_id()[code]
    return next((w for w in (code.upper(), words.strip().upper()) if w in concepts_by_gene()), "")
