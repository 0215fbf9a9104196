"""Which state of which site each allele of a VCF's line is, on whichever assembly it is written.

A site is found by its position, or by its rsID where its position on the assembly is not known.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from functools import lru_cache

from endplate.exchange.vcf_header import GRCH37
from endplate.medicines.star_alleles import Site

# Stand for "any other allele", or for a base that another variant of the same copy took away.
_NO_ALLELE = frozenset({"<NON_REF>", "<*>", "<X>", "*", "."})
# An insertion or deletion in a repeat can be written at each of its units.
_WITHIN_A_REPEAT = 50
UNKNOWN = "?"
_END = re.compile(rb"[\t;]END=(\d+)")

_Edit = tuple[str, int, str]  # "base", "insertion" or "deletion"; where; what


class Places:
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


class Record:
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

    def may_touch(self, places: Places) -> bool:
        """Whether a site lies at it, or has its rsID."""
        first = self.position - (0 if self.is_block else _WITHIN_A_REPEAT)
        last = self.end + (0 if self.is_block else _WITHIN_A_REPEAT)
        return bool(places.between(self.chromosome, first, last)) or any(
            id in places.by_rsid for id in self.ids
        )

    def states(self, places: Places) -> dict[Site, list[str]]:
        """For each site that it tests, the state of each of its alleles, the reference's first."""
        found: dict[Site, list[str]] = {}
        if self.is_block:
            self._covered(places, found)
        else:
            self._changed(places, found)
        return found

    def _covered(self, places: Places, found: dict[Site, list[str]]) -> None:
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

    def _changed(self, places: Places, found: dict[Site, list[str]]) -> None:
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
        places: Places,
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

    def _indel(self, n: int, edit: _Edit, places: Places, found: dict[Site, list[str]]) -> None:
        """A site of an insertion or deletion that an allele is, or lies at."""
        match = places.by_edit.get((self.chromosome, edit)) or self._same_in_repeat(edit, places)
        here = places.at[self.chromosome].get(edit[1] - 1, ())
        for site in [match[0]] if match else [s for s in here if not _of_bases(s)]:
            states = found.setdefault(site, [site.reference] * (len(self.alleles) + 1))
            states[n + 1] = match[1] if match else UNKNOWN

    def _same_in_repeat(self, edit: _Edit, places: Places) -> tuple[Site, str] | None:
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

    def _named(self, places: Places) -> Iterator[Site]:
        for id in self.ids:
            site = places.by_rsid.get(id)
            if site is not None and site.chromosome == self.chromosome:
                yield site

    def _by_rsid(self, places: Places) -> Iterator[Site]:
        """Sites of its rsIDs whose position on this assembly is not known."""
        return (site for site in self._named(places) if places.position[site] is None)
