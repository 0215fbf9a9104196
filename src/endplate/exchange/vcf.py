"""Genotypes from a VCF file at the positions that are asked for, and at no others.

A position counts as tested only where the file says so: by a record with a genotype, or by a
reference block that covers it. A genotype that is missing (``./.``) and a position that is
absent are both "not tested", never "reference". Alleles are given as on the plus strand and as
GRCh38 writes them, whichever assembly the file is on. A file is read once, line by line.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO

from endplate.exchange.vcf_header import (
    COLUMNS,
    GRCH37,
    GRCH38,
    MAGIC,
    named_assembly,
    plain_chromosome,
    read_head,
)
from endplate.exchange.vcf_sites import Places, Record
from endplate.facts import InputProblem
from endplate.medicines.star_alleles import Genotype, Site

GZIP = b"\x1f\x8b"


@dataclass(slots=True)
class Genotypes:
    """What a file says of the sites, for each of its samples.

    Attributes
    ----------
    assembly
        ``GRCh37`` or ``GRCh38``; empty where it did not matter.
    samples
        The samples, in the file's order.
    at
        For each site its genotypes in the order of the samples; None is not tested. A site that
        the file does not have is not there.
    filtered
        Sites with a record that did not pass the file's own filters.
    contradictory, mismatched
        Sites at which records of the same sample exclude each other; at which the reference
        base is not that of the assembly.
    """

    assembly: str
    samples: tuple[str, ...]
    at: dict[Site, list[Genotype | None]] = field(default_factory=dict)
    filtered: list[Site] = field(default_factory=list)
    contradictory: list[Site] = field(default_factory=list)
    mismatched: list[Site] = field(default_factory=list)

    def of(self, sites: Iterable[Site], sample: str) -> tuple[Genotype | None, ...]:
        """One sample's genotypes at some sites."""
        n = self.samples.index(sample)
        return tuple(found[n] if (found := self.at.get(site)) else None for site in sites)


def is_vcf(path: Path) -> bool:
    """Whether a file is a VCF, plain or packed, whatever its name."""
    try:
        with _opened(path) as file:
            return file.read(len(MAGIC)) == MAGIC
    except (OSError, EOFError, zlib.error):
        return False


def read_vcf(path: Path, sites: Sequence[Site], assembly: str | None = None) -> Genotypes:
    """The genotypes of a file at the sites.

    Parameters
    ----------
    assembly
        ``GRCh37`` or ``GRCh38``, where the user says so; None to find it in the file.

    Raises
    ------
    InputProblem
        If it is no VCF with genotypes, is damaged, or is on another assembly or on one that cannot
        be known.
    """
    try:
        with _opened(path) as file:
            return _read(path, file, sites, assembly)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise InputProblem(
            f"{path.name}: cannot be read. A whole VCF is needed; this one breaks off or is "
            f"damaged. Copy or export it again."
        ) from None
    except OSError as problem:
        raise InputProblem(
            f"{path.name}: cannot be read. A VCF file is needed; {problem.strerror}. Check the "
            f"name of the file."
        ) from None


def _opened(path: Path) -> IO[bytes] | gzip.GzipFile:
    with path.open("rb") as file:
        packed = file.read(2) == GZIP
    return gzip.open(path, "rb") if packed else path.open("rb")


def _read(path: Path, file: IO[bytes], sites: Sequence[Site], told: str | None) -> Genotypes:
    head, samples = read_head(path, file)
    assembly = named_assembly(path, head, told)
    if assembly:
        found = Genotypes(assembly, samples)
        _take_records(path, file, Places(sites, assembly), found)
        return found
    # The header does not say: the assembly on which rsIDs stand where they are known to stand.
    lines = list(file)
    fitting = {one: _known_positions(lines, Places(sites, one)) for one in (GRCH37, GRCH38)}
    if bool(fitting[GRCH37]) == bool(fitting[GRCH38]):
        raise InputProblem(
            f"{path.name}: cannot be used. The reference assembly must be known, GRCh37 or GRCh38; "
            f"neither its header nor its rsIDs say which. Give --assembly GRCh37 or --assembly "
            f'GRCh38, or in case.toml [genes] with assembly = "GRCh38".'
        )
    assembly = GRCH37 if fitting[GRCH37] else GRCH38
    found = Genotypes(assembly, samples)
    _take_records(path, iter(lines), Places(sites, assembly), found)
    return found


# -- records ---------------------------------------------------------------------------------------

_WANTED = re.compile(rb"([^\t]+)\t(\d+)\t([^\t]*)\t([^\t]+)\t([^\t]*)\t")


def _known_positions(lines: Iterable[bytes], places: Places) -> int:
    """How many records carry an rsID at the position where it is known to stand."""
    count = 0
    for line in lines:
        match = _WANTED.match(line)
        if match is not None:
            here = places.at.get(plain_chromosome(match[1].decode()), {}).get(int(match[2]), ())
            ids = match[3].decode().split(";")
            count += any(site.rsid in ids for site in here if site.rsid)
    return count


def _take_records(path: Path, lines: Iterable[bytes], places: Places, found: Genotypes) -> None:
    chromosomes: dict[bytes, str] = {}
    for line in lines:
        tab = line.find(b"\t")
        name = line[:tab]
        chromosome = chromosomes.get(name)
        if chromosome is None:
            chromosome = chromosomes[name] = plain_chromosome(name.decode("utf-8", "replace"))
        if chromosome not in places.at:
            continue
        match = _WANTED.match(line)
        if match is None:
            raise _broken(path)
        record = Record(chromosome, match)
        if not record.may_touch(places):
            continue
        states = record.states(places)
        found.mismatched += [s for s in record.mismatched if s not in found.mismatched]
        if states:
            _take_genotypes(path, line, states, record, found)


def _broken(path: Path) -> InputProblem:
    return InputProblem(
        f"{path.name}: cannot be read. Each line must have the columns of its header, separated by "
        f"tabs, and genotypes of its own alleles; one has not. Export the VCF again."
    )


# -- genotypes ------------------------------------------------------------------------------------

_Called = tuple[int, int, bool]


@cache
def _genotype(text: bytes) -> _Called | None:
    """The two alleles' numbers and whether phased; None where there are not two known ones."""
    match = re.fullmatch(rb"(\d+)([/|])(\d+)", text)
    return (int(match[1]), int(match[3]), match[2] == b"|") if match else None


def _take_genotypes(
    path: Path,
    line: bytes,
    states: Mapping[Site, list[str]],
    record: Record,
    found: Genotypes,
) -> None:
    cells = line.rstrip(b"\r\n").split(b"\t")
    if len(cells) != COLUMNS + len(found.samples):
        raise _broken(path)
    form = cells[COLUMNS - 1].split(b":")
    if form[0] != b"GT":
        return
    depth = form.index(b"DP") if b"DP" in form else None
    phase = form.index(b"PS") if b"PS" in form else None
    alone = len(form) == 1
    numbers = [
        _genotype(cell) if alone else _of_cell(cell, depth) for cell in cells[COLUMNS:]
    ]  # fmt: skip
    sets = [_phase_set(cell, phase) for cell in cells[COLUMNS:]] if phase is not None else None
    most = len(record.alleles)
    passed = cells[6] in (b"PASS", b".", b"")
    for site, allele in states.items():
        cached: dict[tuple[_Called, int], Genotype] = {}
        here = found.at.get(site)
        if here is None:
            here = found.at[site] = [None] * len(found.samples)
        if not passed and site not in found.filtered:
            found.filtered.append(site)
        for n, number in enumerate(numbers):
            if number is None:
                continue
            if max(number[:2]) > most:
                raise _broken(path)
            key = number, sets[n] if sets else 0
            genotype = cached.get(key)
            if genotype is None:
                genotype = cached[key] = (
                    allele[number[0]], allele[number[1]], key[1] if number[2] else None,
                )  # fmt: skip
            before = here[n]
            if before is None or before == genotype:
                here[n] = genotype
            else:
                here[n] = _both(before, genotype, site, found)


def _of_cell(cell: bytes, depth: int | None) -> _Called | None:
    """The genotype in a sample's cell; none where no read at all stands behind a reference."""
    parts = cell.split(b":")
    called = _genotype(parts[0])
    if called is not None and depth is not None and called[:2] == (0, 0):
        return None if len(parts) > depth and parts[depth] == b"0" else called
    return called


def _phase_set(cell: bytes, place: int) -> int:
    parts = cell.split(b":")
    text = parts[place] if len(parts) > place else b""
    return int(text) if text.isdigit() else 0


def _both(before: Genotype, also: Genotype, site: Site, found: Genotypes) -> Genotype | None:
    """What two records of one site say together, such as those of a variant that was split up."""
    usual = _usual(site, found)
    changed = [g for g in (before, also) if g[:2] != (usual, usual)]
    if len(changed) < 2:
        return changed[0] if changed else before
    (one, other), (third, fourth) = before[:2], also[:2]
    phase = before[2] if before[2] == also[2] else None
    if phase is not None and usual in (one, third) and usual in (other, fourth):
        first = third if one == usual else one
        return first, fourth if other == usual else other, phase
    new = [state for state in (one, other, third, fourth) if state != usual]
    if phase is None and len(new) == 2:
        return new[0], new[1], None
    if site not in found.contradictory:
        found.contradictory.append(site)
    return None


def _usual(site: Site, found: Genotypes) -> str:
    return (found.assembly == GRCH37 and site.reference_grch37) or site.reference
