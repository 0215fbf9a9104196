"""A VCF file's header: its samples, and the assembly that it names."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import IO

from endplate.facts import InputProblem

GRCH37, GRCH38 = "GRCh37", "GRCh38"
MAGIC = b"##fileformat=VCF"
# How the assemblies are called in headers, and the lengths of some of their chromosomes.
_NAMES = {
    GRCH37: re.compile(r"grch37|hg19|hs37|b37|g1k_v37|hs37d5", re.IGNORECASE),
    GRCH38: re.compile(r"grch38|hg38|hs38", re.IGNORECASE),
}
_OTHER_NAMES = re.compile(r"chm13|t2t|hs1\b|grch36|ncbi36|hg18|grcm|mm10", re.IGNORECASE)
_LENGTHS = {
    "6": (171115067, 170805979), "7": (159138663, 159345973), "10": (135534747, 133797422),
    "14": (107349540, 107043718), "19": (59128983, 58617616), "22": (51304566, 50818468),
}  # fmt: skip
_REFSEQ = re.compile(r"NC_0000(\d\d)\.\d+", re.IGNORECASE)
COLUMNS = 9  # before the first sample


def read_head(path: Path, file: IO[bytes]) -> tuple[list[str], tuple[str, ...]]:
    """The header's lines and the samples."""
    first = file.readline()
    if first[: len(MAGIC)] != MAGIC:
        other = "BCF" if first[:3] == b"BCF" else "another kind of file"
        how = "Convert it with 'bcftools view'." if other == "BCF" else "Give the VCF."
        raise InputProblem(
            f"{path.name}: cannot be read as VCF. It must begin with ##fileformat=VCF; got "
            f"{other}. {how}"
        )
    lines = []
    for line in file:
        if not line.startswith(b"##"):
            names = line.decode("utf-8", "replace").rstrip("\r\n").split("\t")
            samples = tuple(names[COLUMNS:])
            if names[0] != "#CHROM" or not samples or len(set(samples)) < len(samples):
                what = "a sample twice" if samples and names[0] == "#CHROM" else "none"
                raise InputProblem(
                    f"{path.name}: cannot be used. A line #CHROM with at least one sample, each "
                    f"once, is needed; got {what}. Export the VCF with its genotypes."
                )
            return lines, samples
        lines.append(line.decode("utf-8", "replace"))
    raise InputProblem(
        f"{path.name}: cannot be used. A line #CHROM with samples is needed; the file ends before "
        f"it. Export the VCF with its genotypes."
    )


def named_assembly(path: Path, head: Iterable[str], told: str | None) -> str:
    """The assembly that the header names, checked against what was told; empty if neither says."""
    said: set[str] = set()
    other = False
    for line in head:
        if line.startswith(("##contig", "##reference", "##assembly")):
            said |= _said(line)
            other = other or bool(_OTHER_NAMES.search(line))
    if told is not None and said - {told}:
        raise InputProblem(
            f"{path.name}: cannot be used. Its assembly must be the one given; {told} was given "
            f"and the header says {' and '.join(sorted(said))}. Leave the assembly out, or give "
            f"the right file."
        )
    if len(said) > 1 or (other and not said):
        raise InputProblem(
            f"{path.name}: cannot be used. It must be on GRCh37 or GRCh38; its header names "
            f"{'both' if len(said) > 1 else 'another assembly'}. Export it on one of these."
        )
    return told or next(iter(said), "")


def _said(line: str) -> set[str]:
    """Which assembly a header line speaks of: by its name, or by a chromosome's length."""
    said = {name for name, pattern in _NAMES.items() if pattern.search(line)}
    length = re.search(r"length=(\d+)", line)
    chromosome = re.search(r"ID=([^,>]+)", line)
    if length and chromosome:
        known = _LENGTHS.get(plain_chromosome(chromosome[1]), ())
        both = zip((GRCH37, GRCH38), known, strict=False)
        said |= {name for name, size in both if size == int(length[1])}
    return said


@cache
def plain_chromosome(name: str) -> str:
    """``22`` of ``chr22``, ``22`` or ``NC_000022.11``."""
    refseq = _REFSEQ.fullmatch(name)
    if refseq:
        return str(int(refseq[1]))
    return name[3:] if name[:3].lower() == "chr" else name
