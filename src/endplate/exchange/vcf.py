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
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from typing import IO

from endplate.facts import InputProblem
from endplate.medicines.star_alleles import Genotype, Site

GRCH37, GRCH38 = "GRCh37", "GRCh38"
MAGIC = b"##fileformat=VCF"
GZIP = b"\x1f\x8b"
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
# Stand for "any other allele", or for a base that another variant of the same copy took away.
_NO_ALLELE = frozenset({"<NON_REF>", "<*>", "<X>", "*", "."})
# An insertion or deletion in a repeat can be written at each of its units.
_WITHIN_A_REPEAT = 50
UNKNOWN = "?"
_COLUMNS = 9

_Edit = tuple[str, int, str]  # "base", "insertion" or "deletion"; where; what


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


def _opened(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        packed = file.read(2) == GZIP
    return gzip.open(path, "rb") if packed else path.open("rb")  # type: ignore[return-value]


def _read(path: Path, file: IO[bytes], sites: Sequence[Site], told: str | None) -> Genotypes:
    head, samples = _head(path, file)
    assembly = _assembly(path, head, told)
    if assembly:
        found = Genotypes(assembly, samples)
        _take_records(path, file, _Places(sites, assembly), found)
        return found
    # The header does not say: the assembly on which rsIDs stand where they are known to stand.
    lines = list(file)
    fitting = {one: _known_positions(lines, _Places(sites, one)) for one in (GRCH37, GRCH38)}
    if bool(fitting[GRCH37]) == bool(fitting[GRCH38]):
        raise InputProblem(
            f"{path.name}: cannot be used. The reference assembly must be known, GRCh37 or GRCh38; "
            f"neither its header nor its rsIDs say which. Give --assembly GRCh37 or --assembly "
            f'GRCh38, or in case.toml [genes] with assembly = "GRCh38".'
        )
    assembly = GRCH37 if fitting[GRCH37] else GRCH38
    found = Genotypes(assembly, samples)
    _take_records(path, iter(lines), _Places(sites, assembly), found)
    return found


# -- header ---------------------------------------------------------------------------------------


def _head(path: Path, file: IO[bytes]) -> tuple[list[str], tuple[str, ...]]:
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
            samples = tuple(names[_COLUMNS:])
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


def _assembly(path: Path, head: Iterable[str], told: str | None) -> str:
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
        known = _LENGTHS.get(_chromosome(chromosome[1]), ())
        both = zip((GRCH37, GRCH38), known, strict=False)
        said |= {name for name, size in both if size == int(length[1])}
    return said


@cache
def _chromosome(name: str) -> str:
    """``22`` of ``chr22``, ``22`` or ``NC_000022.11``."""
    refseq = _REFSEQ.fullmatch(name)
    if refseq:
        return str(int(refseq[1]))
    return name[3:] if name[:3].lower() == "chr" else name


# -- records --------------------------------------------------------------------------------------


class _Places:
    """Where the sites lie on one assembly, and what each of their alleles looks like there.

    A site whose position on it is not known is found by its rsID alone.
    """

    def __init__(self, sites: Sequence[Site], assembly: str) -> None:
        self.by_edit: dict[tuple[str, _Edit], tuple[Site, str]] = {}
        self.at: dict[str, dict[int, list[Site]]] = {}
        self.by_rsid = {site.rsid: site for site in sites if site.rsid}
        self.position: dict[Site, int | None] = {}
        self.reference: dict[Site, str] = {}
        for site in sites:
            old = assembly == GRCH37
            position = site.position_grch37 if old else site.position
            self.position[site] = position
            self.reference[site] = site.reference_grch37 if old else site.reference
            here = self.at.setdefault(site.chromosome, {})
            if position is not None:
                here.setdefault(position, []).append(site)
                if not _of_bases(site):
                    for state in site.alternatives:
                        for edit in _edits(position, site.reference, state) or ():
                            self.by_edit[site.chromosome, edit] = (site, state)
        self.in_order = {chromosome: sorted(here) for chromosome, here in self.at.items()}

    def between(self, chromosome: str, first: int, last: int) -> list[int]:
        """The positions of sites from one to another."""
        order = self.in_order[chromosome]
        return order[bisect_left(order, first) : bisect_right(order, last)]


def _of_bases(site: Site) -> bool:
    return all(len(allele) == 1 for allele in (site.reference, *site.alternatives))


@lru_cache(maxsize=1 << 14)
def _edits(position: int, reference: str, allele: str) -> tuple[_Edit, ...] | None:
    """What an allele changes, in its shortest form; None where it cannot be taken apart."""
    if reference == allele:
        return ()
    while reference and allele and reference[-1] == allele[-1]:
        reference, allele = reference[:-1], allele[:-1]
    while reference and allele and reference[0] == allele[0]:
        reference, allele, position = reference[1:], allele[1:], position + 1
    if not reference:
        return (("insertion", position, allele),)
    if not allele:
        return (("deletion", position, reference),)
    if len(reference) != len(allele):
        return None
    changed = zip(reference, allele, strict=True)
    return tuple(("base", position + n, new) for n, (old, new) in enumerate(changed) if old != new)


_WANTED = re.compile(rb"([^\t]+)\t(\d+)\t([^\t]*)\t([^\t]+)\t([^\t]*)\t")
_END = re.compile(rb"[\t;]END=(\d+)")


def _known_positions(lines: Iterable[bytes], places: _Places) -> int:
    """How many records carry an rsID at the position where it is known to stand."""
    count = 0
    for line in lines:
        match = _WANTED.match(line)
        if match is not None:
            here = places.at.get(_chromosome(match[1].decode()), {}).get(int(match[2]), ())
            ids = match[3].decode().split(";")
            count += any(site.rsid in ids for site in here if site.rsid)
    return count


def _take_records(path: Path, lines: Iterable[bytes], places: _Places, found: Genotypes) -> None:
    chromosomes: dict[bytes, str] = {}
    for line in lines:
        tab = line.find(b"\t")
        name = line[:tab]
        chromosome = chromosomes.get(name)
        if chromosome is None:
            chromosome = chromosomes[name] = _chromosome(name.decode("utf-8", "replace"))
        if chromosome not in places.at:
            continue
        match = _WANTED.match(line)
        if match is None:
            raise _broken(path)
        record = _Record(chromosome, match)
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


class _Record:
    """One line up to its alleles, and which state of which site each allele is."""

    def __init__(self, chromosome: str, match: re.Match[bytes]) -> None:
        self.chromosome = chromosome
        self.position = int(match[2])
        self.ids = match[3].decode("utf-8", "replace").split(";")
        self.reference = match[4].decode("ascii", "replace").upper()
        alternatives = match[5].decode("ascii", "replace").upper()
        self.alleles = [a for a in alternatives.split(",") if a]
        self.is_block = all(a in _NO_ALLELE and a != "*" for a in self.alleles)
        self.end = self.position + len(self.reference) - 1
        self.mismatched: list[Site] = []
        if self.is_block and (end := _END.search(match.string, match.end() - 1)):
            self.end = int(end[1])

    def may_touch(self, places: _Places) -> bool:
        """Whether a site lies at it, or has its rsID."""
        first = self.position - (0 if self.is_block else _WITHIN_A_REPEAT)
        last = self.end + (0 if self.is_block else _WITHIN_A_REPEAT)
        return bool(places.between(self.chromosome, first, last)) or any(
            id in places.by_rsid for id in self.ids
        )

    def states(self, places: _Places) -> dict[Site, list[str]]:
        """For each site that it tests, the state of each of its alleles, the reference's first."""
        found: dict[Site, list[str]] = {}
        if self.is_block:
            self._covered(places, found)
        else:
            self._changed(places, found)
        return found

    def _covered(self, places: _Places, found: dict[Site, list[str]]) -> None:
        """Sites at which a block says that the reference stands."""
        others = [UNKNOWN] * len(self.alleles)
        here = places.at[self.chromosome]
        for position in places.between(self.chromosome, self.position, self.end):
            for site in here[position]:
                reference = places.reference[site]
                if position + len(reference) - 1 > self.end:
                    continue
                written = self.reference[position - self.position :][: len(reference)]
                if not reference.startswith(written):
                    self.mismatched.append(site)
                else:
                    found[site] = [reference, *others]
        for site in self._by_rsid(places):
            if _of_bases(site) and len(self.reference) == 1:
                found[site] = [self.reference, *others]

    def _changed(self, places: _Places, found: dict[Site, list[str]]) -> None:
        """Sites at which one of its alleles changes something, or that have its rsID."""
        each = [
            None if allele in _NO_ALLELE or allele.startswith("<")
            else _edits(self.position, self.reference, allele)
            for allele in self.alleles
        ]  # fmt: skip
        here = places.at[self.chromosome]
        for position in places.between(self.chromosome, self.position, self.end):
            if any(self._is_of_bases(edits, position) for edits in each):
                for site in filter(_of_bases, here[position]):
                    self._bases_at(site, position, each, places, found)
        for n, edits in enumerate(each):
            for edit in edits or ():
                if edit[0] != "base":
                    self._indel(n, edit, places, found)
        for site in self._by_rsid(places):
            if _of_bases(site) and len(self.reference) == 1:
                self._bases_at(site, self.position, each, places, found)

    def _is_of_bases(self, edits: tuple[_Edit, ...] | None, position: int) -> bool:
        """Whether an allele is one that tells the base there."""
        return edits is not None and any(e[0] == "base" and e[1] == position for e in edits)

    def _bases_at(
        self,
        site: Site,
        position: int,
        each: list[tuple[_Edit, ...] | None],
        places: _Places,
        found: dict[Site, list[str]],
    ) -> None:
        here = self.reference[position - self.position]
        if places.position[site] is not None and here != places.reference[site]:
            self.mismatched.append(site)
            return
        states = [here]
        for edits in each:
            if edits is None:
                states.append(UNKNOWN)
                continue
            new = [e[2] for e in edits if e[:2] == ("base", position)]
            gone = any(e[0] == "deletion" and e[1] <= position < e[1] + len(e[2]) for e in edits)
            states.append(UNKNOWN if gone else new[0] if new else here)
        found[site] = states

    def _indel(self, n: int, edit: _Edit, places: _Places, found: dict[Site, list[str]]) -> None:
        """A site of an insertion or deletion that an allele is, or lies at."""
        match = places.by_edit.get((self.chromosome, edit)) or self._same_in_repeat(edit, places)
        here = places.at[self.chromosome].get(edit[1] - 1, ())
        for site in [match[0]] if match else [s for s in here if not _of_bases(s)]:
            states = found.setdefault(site, [site.reference] * (len(self.alleles) + 1))
            states[n + 1] = match[1] if match else UNKNOWN

    def _same_in_repeat(self, edit: _Edit, places: _Places) -> tuple[Site, str] | None:
        """The site of its rsID with the same change, written at another unit of a repeat."""
        for site in self._named(places):
            position = places.position[site]
            for state in site.alternatives:
                for kind, at, what in _edits(position or 0, site.reference, state) or ():
                    is_turned = len(what) == len(edit[2]) and edit[2] in what * 2
                    is_near = position is None or abs(at - edit[1]) <= _WITHIN_A_REPEAT
                    if kind == edit[0] and kind != "base" and is_turned and is_near:
                        return site, state
        return None

    def _named(self, places: _Places) -> Iterator[Site]:
        for id in self.ids:
            site = places.by_rsid.get(id)
            if site is not None and site.chromosome == self.chromosome:
                yield site

    def _by_rsid(self, places: _Places) -> Iterator[Site]:
        """Sites of its rsIDs whose position on this assembly is not known."""
        return (site for site in self._named(places) if places.position[site] is None)


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
    record: _Record,
    found: Genotypes,
) -> None:
    cells = line.rstrip(b"\r\n").split(b"\t")
    if len(cells) != _COLUMNS + len(found.samples):
        raise _broken(path)
    form = cells[_COLUMNS - 1].split(b":")
    if form[0] != b"GT":
        return
    depth = form.index(b"DP") if b"DP" in form else None
    phase = form.index(b"PS") if b"PS" in form else None
    alone = len(form) == 1
    numbers = [
        _genotype(cell) if alone else _of_cell(cell, depth) for cell in cells[_COLUMNS:]
    ]  # fmt: skip
    sets = [_phase_set(cell, phase) for cell in cells[_COLUMNS:]] if phase is not None else None
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
