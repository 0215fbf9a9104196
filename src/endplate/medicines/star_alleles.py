"""Star alleles: which pairs of a gene's named alleles fit the variants that one person has.

As CPIC's own caller does: a position that was not tested counts for no allele; an allele that is
defined only at such positions is not considered; of all pairs that fit, those are given that
are defined at most tested positions, all of them where several are equal. None is picked. What
fits besides is kept as less likely. A gene copy that carries the variants of two named alleles at
once is written in brackets, `[*2 + *24]`; it is considered only where nothing simpler fits.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from functools import cache, lru_cache
from itertools import combinations, combinations_with_replacement, product

from msgspec import Struct

from endplate.medicines.tables import table

GENES = ("CYP2B6", "CYP2C19", "CYP2C9", "CYP2D6", "CYP3A4", "CYP3A5")
# Of this gene whole copies are deleted, doubled and joined with its neighbour, unseen by variants.
WITH_COPIES = "CYP2D6"
SNP_ONLY = "SNP-only, copy number unknown"
EVERYWHERE = "everywhere"
# How many named alleles' variants are looked for on one gene copy.
MOST_TOGETHER = 3
# The letters that stand for either of two bases.
EITHER = {"R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC"}

# The two alleles at a position, written as on the plus strand of GRCh38, and the phase set within
# which their order holds; None where it says nothing.
Genotype = tuple[str, str, int | None]


class Site(Struct, frozen=True, kw_only=True):
    """A position at which alleles differ, with what stands there on the plus strand.

    A position that is not known on an assembly is None there.
    """

    gene: str
    chromosome: str
    position: int | None
    reference: str
    alternatives: tuple[str, ...]
    rsid: str = ""
    position_grch37: int | None = None
    reference_grch37: str = ""

    @property
    def name(self) -> str:
        """How it is called: by its rsID, or by what it is."""
        changed = f"{self.reference}>{','.join(self.alternatives)}"
        return self.rsid or f"{self.chromosome}:{self.position}{changed}"


class Allele(Struct, frozen=True, kw_only=True):
    """A named allele in bits: of the states that it may have, the sites at which it is defined,
    and all states of those sites at which it carries a variant.
    """

    name: str
    fits: int
    defined: int
    carries: int


class Definition(Struct, frozen=True, kw_only=True):
    """A gene's sites and alleles; for each site the bit of every state and all of them together."""

    gene: str
    sites: tuple[Site, ...]
    bits: tuple[Mapping[str, int], ...]
    masks: tuple[int, ...]
    alleles: tuple[Allele, ...]


class Called(Struct, frozen=True, kw_only=True):
    """What fits the variants of one gene.

    Attributes
    ----------
    diplotypes, less_likely
        All pairs that fit best, and those that fit too but are defined at fewer positions, where
        all of their variants were tested: other phases of the same variants.
    tested, not_tested
        How many sites were tested, and which were not.
    not_excluded
        Alleles with a variant at a site that was not tested, which fit what was tested.
    unexplained
        Sites at which something stands that no allele of the table has.
    is_phased
        Whether it is known, as far as it matters, which variants lie on one gene copy.
    """

    gene: str
    diplotypes: tuple[str, ...]
    less_likely: tuple[str, ...] = ()
    tested: int = 0
    not_tested: tuple[str, ...] = ()
    not_excluded: tuple[str, ...] = ()
    unexplained: tuple[str, ...] = ()
    is_phased: bool = True


@cache
def sites(name: str = "gene_sites") -> tuple[Site, ...]:
    """All sites of a table, in its order."""
    return tuple(
        Site(
            gene=row["gene"], chromosome=row["chromosome"], position=_number(row["position"]),
            reference=row["reference"], alternatives=tuple(row["alternatives"].split()),
            rsid=row["rsid"], position_grch37=_number(row["position_grch37"]),
            reference_grch37=row["reference_grch37"],
        )
        for row in table(name).rows
    )  # fmt: skip


def _number(cell: str) -> int | None:
    return int(cell) if cell else None


@cache
def definition(gene: str) -> Definition:
    """The definition of a gene's star alleles."""
    return defined(gene, "gene_sites", "gene_alleles")


def defined(gene: str, sites_in: str, alleles_in: str) -> Definition:
    """The definition of a gene's alleles in two tables."""
    those = tuple(site for site in sites(sites_in) if site.gene == gene)
    bits: list[dict[str, int]] = []
    masks, bit = [], 1
    for site in those:
        states = {}
        for state in (site.reference, *site.alternatives):
            states[state] = bit
            bit <<= 1
        bits.append(states)
        masks.append(sum(states.values()))
    rows = [row for row in table(alleles_in).rows if row["gene"] == gene]
    return Definition(
        gene=gene, sites=those, bits=tuple(bits), masks=tuple(masks),
        alleles=tuple(_allele(row, those, bits, masks) for row in rows),
    )  # fmt: skip


def _allele(
    row: Mapping[str, str], those: Iterable[Site], bits: list[dict[str, int]], masks: list[int]
) -> Allele:
    at = dict(variant.split(":") for variant in row["variants"].split())
    fits = listed = carries = 0
    for n, site in enumerate(those):
        there = at.get(str(site.position))
        usual = bits[n][site.reference]
        if there is None:
            fits |= usual
            continue
        states = sum(bits[n][state] for state in EITHER.get(there, (there,)))
        fits |= states
        listed |= 1 << n
        if not states & usual:
            carries |= masks[n]
    everywhere = row["defined"] == EVERYWHERE
    return Allele(
        name=row["allele"], fits=fits, carries=carries,
        defined=(1 << len(masks)) - 1 if everywhere else listed,
    )  # fmt: skip


class _Seen(Struct, frozen=True, kw_only=True):
    """One person's genotypes in bits: where both copies are equal, and where they differ."""

    tested: int
    same: int
    differing: tuple[tuple[int, int], ...]
    units: tuple[tuple[tuple[int, int], ...], ...]

    def may_have(self, fits: int) -> bool:
        """Whether one gene copy can be of that kind, its partner left aside."""
        return self.same & ~fits == 0 and all(fits & (a | b) for a, b in self.differing)

    def explained_by(self, one: int, other: int) -> bool:
        """Whether two kinds of gene copy together give what was seen, in some possible phase."""
        return all(
            all(one & a and other & b for a, b in unit)
            or all(one & b and other & a for a, b in unit)
            for unit in self.units
        )


class _Copy(Struct, frozen=True, kw_only=True):
    """What one gene copy may be: a named allele, or several alleles' variants together."""

    name: str
    fits: int
    score: int


# The same few genotypes come back in many people.
@lru_cache(maxsize=1 << 14)
def called(gene: str, genotypes: tuple[Genotype | None, ...]) -> Called:
    """The pairs of star alleles that fit the genotypes at a gene's sites, in their order.

    A genotype is None where it was not tested.
    """
    # A plus between this gene's alleles joins copies; variants of two on one copy are not written.
    most = 1 if gene == WITH_COPIES else MOST_TOGETHER
    return fitting(definition(gene), genotypes, most)


def fitting(
    alleles: Definition, genotypes: tuple[Genotype | None, ...], most: int = MOST_TOGETHER
) -> Called:
    """The pairs of a definition's alleles that fit, with at most so many alleles on one copy."""
    seen, unexplained = _seen(alleles, genotypes)
    missing = [n for n, genotype in enumerate(genotypes) if genotype is None]
    untested = sum(alleles.masks[n] for n in missing)
    best: tuple[str, ...] = ()
    rest: tuple[str, ...] = ()
    if seen.tested and not unexplained:
        doubted = {a.name for a in alleles.alleles if a.carries & untested}
        best, rest = _ranked(_pairs(alleles, seen, most), doubted)
    return Called(
        gene=alleles.gene,
        diplotypes=best,
        less_likely=rest,
        tested=len(genotypes) - len(missing),
        not_tested=tuple(alleles.sites[n].name for n in missing),
        not_excluded=tuple(
            a.name for a in alleles.alleles if a.carries & untested and seen.may_have(a.fits)
        ),
        unexplained=unexplained,
        is_phased=len(seen.units) < 2,
    )


def _seen(
    alleles: Definition, genotypes: tuple[Genotype | None, ...]
) -> tuple[_Seen, tuple[str, ...]]:
    """The genotypes in bits, and the sites at which something unknown stands."""
    tested = same = 0
    units: dict[object, list[tuple[int, int]]] = {}
    unexplained = []
    for n, genotype in enumerate(genotypes):
        if genotype is None:
            continue
        tested |= 1 << n
        one, other, phase = genotype
        states = alleles.bits[n]
        if one not in states or other not in states:
            unexplained.append(alleles.sites[n].name)
        elif one == other:
            same |= states[one]
        else:
            unit = ("alone", n) if phase is None else ("phase", phase)
            units.setdefault(unit, []).append((states[one], states[other]))
    seen = _Seen(
        tested=tested, same=same, differing=tuple(pair for unit in units.values() for pair in unit),
        units=tuple(tuple(unit) for unit in units.values()),
    )  # fmt: skip
    return seen, tuple(unexplained)


Scored = tuple[int, tuple[str, str]]


def _pairs(alleles: Definition, seen: _Seen, most: int) -> list[Scored]:
    """Every pair that fits, with the number of positions at which it is defined."""
    known = [
        _Copy(name=a.name, fits=a.fits, score=score)
        for a in alleles.alleles
        if (score := (a.defined & seen.tested).bit_count()) and seen.may_have(a.fits)
    ]
    found = _of(combinations_with_replacement(known, 2), seen)
    joined: list[_Copy] = []
    for count in range(2, most + 1):
        if found:
            break
        joined += _together(alleles, seen, count)
        found = _of(product(known, joined), seen)
        found = found or _of(combinations_with_replacement(joined, 2), seen)
    return found


def _of(pairs: Iterable[tuple[_Copy, _Copy]], seen: _Seen) -> list[Scored]:
    return [
        (one.score + other.score, _in_order(one.name, other.name))
        for one, other in pairs
        if seen.explained_by(one.fits, other.fits)
    ]


def _together(alleles: Definition, seen: _Seen, count: int) -> Iterator[_Copy]:
    """Gene copies that would carry all variants of as many alleles."""
    there = seen.same | sum(a | b for a, b in seen.differing)
    tested = sum(mask for n, mask in enumerate(alleles.masks) if seen.tested >> n & 1)
    parts = [
        a for a in alleles.alleles
        if a.carries & tested
        and all(a.fits & there & m for m in _split(a.carries & tested, alleles.masks))
    ]  # fmt: skip
    met: set[int] = set()
    for some in combinations(parts, count):
        fits, carries = some[0].fits, some[0].carries
        for part in some[1:]:
            fits = _joined(fits, carries, part)
            carries |= part.carries
        is_one_of_them = any(carries == part.carries for part in some)
        if is_one_of_them or fits in met or not seen.may_have(fits):
            continue
        met.add(fits)
        names = sorted((part.name for part in some), key=_natural)
        score = sum((part.defined & seen.tested).bit_count() for part in some)
        yield _Copy(name=f"[{' + '.join(names)}]", fits=fits, score=score)


def _joined(fits: int, carries: int, part: Allele) -> int:
    """The states of a copy that has a further allele's variants as well."""
    either = carries | part.carries
    return (
        fits & carries & ~part.carries
        | part.fits & part.carries & ~carries
        | fits & part.fits & carries & part.carries
        | (fits | part.fits) & ~either
    )


def _split(states: int, masks: tuple[int, ...]) -> Iterator[int]:
    return (mask for mask in masks if mask & states)


def _ranked(
    found: list[Scored], doubted: Container[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The pairs with the highest score, and the others that need no variant that was not tested,
    each in order of their names.
    """
    most = max((score for score, _ in found), default=0)
    names = sorted(found, key=lambda pair: [*map(_natural, pair[1])])
    best = dict.fromkeys("/".join(pair) for score, pair in names if score == most)
    rest = dict.fromkeys("/".join(pair) for score, pair in names if score < most)
    return tuple(best), tuple(
        name
        for name in rest
        if name not in best and not any(one in doubted for one in name.split("/"))
    )


def _in_order(one: str, other: str) -> tuple[str, str]:
    return (one, other) if _natural(one) <= _natural(other) else (other, one)


def _natural(name: str) -> tuple[int, list[tuple[int, str]]]:
    """`*2` before `*10`, and what is in brackets last."""
    parts = re.findall(r"(\d+)|(\D+)", name)
    return name.startswith("["), [(int(digits or 0), text) for digits, text in parts]
