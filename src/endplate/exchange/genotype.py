"""A person's genes as facts: from VCF files, and from what a laboratory called by itself.

Where both speak of a gene, the laboratory's call is the fact: it may know of copies and hybrids
that variants cannot show.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from endplate import vocabulary
from endplate.exchange.intake import Intake
from endplate.exchange.vcf import Genotypes, read_vcf
from endplate.exchange.vcf_header import GRCH37, GRCH38
from endplate.facts import InputProblem
from endplate.medicines import star_alleles
from endplate.medicines.star_alleles import Called, Genotype, Site
from endplate.medicines.tables import table

CALLED_FROM = "variants"
RESEARCH, HAPLOTYPES, COMT = "research_sites", "research_haplotypes", "COMT"
_PARTNER = {"A": "T", "T": "A", "C": "G", "G": "C"}


@dataclass(frozen=True, slots=True)
class Files:
    """VCF files that were read, with their names."""

    read: tuple[tuple[str, Genotypes], ...]

    @property
    def samples(self) -> tuple[str, ...]:
        """Every sample, once."""
        return tuple(dict.fromkeys(s for _, found in self.read for s in found.samples))

    def of(self, sample: str) -> tuple[tuple[str, Genotypes], ...]:
        """The files that have a sample."""
        return tuple((name, found) for name, found in self.read if sample in found.samples)


def read_files(paths: Sequence[Path], assembly: str | None = None) -> Files:
    """Read VCF files at the positions that rules need.

    Raises
    ------
    InputProblem
        If one of them cannot be used.
    """
    wanted = (*star_alleles.sites(), *star_alleles.sites(RESEARCH))
    name = _assembly(assembly) if assembly else None
    return Files(tuple((path.name, read_vcf(path, wanted, name)) for path in paths))


def _assembly(text: str) -> str:
    """The assembly as it is called here."""
    known = {"grch37": GRCH37, "hg19": GRCH37, "grch38": GRCH38, "hg38": GRCH38}
    if text.lower() in known:
        return known[text.lower()]
    raise InputProblem(
        "assembly: cannot be used. It is GRCh37 or GRCh38; got something else. Write one of these, "
        "or leave it out where the file says it."
    )


def chosen(files: Files, sample: str | None) -> tuple[str, ...]:
    """The samples to go on with: the one named, all, or the only one.

    Raises
    ------
    InputProblem
        If there is none of that name, or several and none is named.
    """
    there = files.samples
    if sample is not None and sample in there:
        return (sample,)
    if sample == "all" or (sample is None and len(there) == 1):
        return there
    name = ", ".join(name for name, _ in files.read)
    what = "has no sample of that name" if sample else "has several samples"
    raise InputProblem(
        f"{name}: {what}. One person's sample is needed; there are {len(there)}. Give --sample "
        f"NAME as it stands in the line #CHROM, or --sample all; in case.toml write [genes] with "
        f'sample = "NAME".'
    )


def take(files: Files, sample: str, intake: Intake) -> None:
    """Take in one sample's genes; genes of which there already is a diplotype stay as they are."""
    those = files.of(sample)
    if not those:
        return
    _note_positions(those, intake)
    already = {fact.what for fact in intake.facts}
    for gene in star_alleles.GENES:
        definition = star_alleles.definition(gene)
        genotypes, sources = _joined(those, definition.sites, sample, intake)
        called = star_alleles.called(gene, genotypes)
        what = f"gene.{gene.lower()}.diplotype"
        if what in already:
            _beside(called, sources, intake)
        else:
            _take_called(what, called, sources, those, intake)
    _take_research(those, sample, intake)


def _joined(
    those: Sequence[tuple[str, Genotypes]], sites: Sequence[Site], sample: str, intake: Intake
) -> tuple[tuple[Genotype | None, ...], str]:
    """The genotypes at some sites from all files, and the names of the files they are from."""
    each = [found.of(sites, sample) for _, found in those]
    names = [name for (name, _), found in zip(those, each, strict=True) if any(found)]
    if len(each) == 1:
        return each[0], ", ".join(names)
    joined: list[Genotype | None] = []
    for site, here in zip(sites, zip(*each, strict=True), strict=True):
        known = {g[:2] if g[2] is not None else tuple(sorted(g[:2])): g for g in here if g}
        if len({tuple(sorted(pair)) for pair in known}) > 1:
            intake.problem(
                "genes.contradictory", f"{site.name}: the files contradict each other; it counts "
                "as not tested.", ", ".join(names),
            )  # fmt: skip
        joined.append(next(iter(known.values())) if len(known) == 1 else None)
    return tuple(joined), ", ".join(names)


def _note_positions(those: Sequence[tuple[str, Genotypes]], intake: Intake) -> None:
    """Positions that could not be used, by file."""
    for name, found in those:
        for id, sites, says in (
            ("genes.reference_differs", found.mismatched,
             f"another reference base than that of {found.assembly} stands here, so the position "
             "counts as not tested."),
            ("genes.contradictory", found.contradictory,
             "several lines contradict each other, so the position counts as not tested."),
        ):  # fmt: skip
            if sites:
                what = ", ".join(site.name for site in sites)
                intake.problem(id, f"{what}: {says}", name, ("Check the assembly of the file.",))


def _take_called(
    what: str,
    called: Called,
    sources: str,
    those: Sequence[tuple[str, Genotypes]],
    intake: Intake,
) -> None:
    gene = called.gene
    if not called.tested:
        says = f"{gene}: none of its positions was tested."
        intake.ignore("genes.not_tested", says, ", ".join(name for name, _ in those))
        return
    if not called.diplotypes:
        why = (
            f"at {', '.join(called.unexplained)} stands something that the table of alleles has not"
            if called.unexplained
            else "the variants make up no pair of named alleles"
        )
        intake.problem(
            "genes.no_diplotype", f"{gene}: no diplotype was called; {why}.", sources,
            ("Ask the laboratory for its own call, and give it as an outside call.",),
        )  # fmt: skip
        return
    all_sites = star_alleles.definition(gene).sites
    failed = [s.name for _, f in those for s in f.filtered if s.gene == gene]
    doubts = []
    if gene == star_alleles.WITH_COPIES:
        doubts.append(star_alleles.SNP_ONLY)
    if failed:
        doubts.append(f"did not pass the filters of the file: {', '.join(failed)}")
    details = {
        "called_from": CALLED_FROM,
        "phased": "yes" if called.is_phased else "no",
        "reference": ", ".join(dict.fromkeys(found.assembly for _, found in those)),
        "tested": f"{called.tested} of {len(all_sites)} positions",
        "alleles_dated": table("gene_alleles").dated.isoformat(),
    }
    if gene == star_alleles.WITH_COPIES:
        details["copy_number"] = "unknown"
    for name, words in (
        ("not_tested", called.not_tested),
        ("not_excluded", called.not_excluded),
        ("less_likely", called.less_likely),
    ):
        if words:
            details[name] = (" or " if name == "less_likely" else ", ").join(words)
    intake.take(
        vocabulary.concept(what), " or ".join(called.diplotypes), source=sources,
        details=details, doubts=tuple(doubts), method="endplate.star_alleles/1",
    )  # fmt: skip


def _beside(called: Called, sources: str, intake: Intake) -> None:
    """What the variants say where another call is the fact."""
    if called.diplotypes:
        said = " or ".join(called.diplotypes)
        intake.ignore(
            "genes.other_call", f"{called.gene}: the call that was given is used; the variants "
            f"alone make up {said}.", sources,
        )  # fmt: skip


# -- research -------------------------------------------------------------------------------------


def _take_research(those: Sequence[tuple[str, Genotypes]], sample: str, intake: Intake) -> None:
    """Single variants on the plus strand, and the haplotypes of COMT."""
    sites = star_alleles.sites(RESEARCH)
    genotypes, sources = _joined(those, sites, sample, intake)
    good: dict[Site, Genotype] = {}
    for site, genotype in zip(sites, genotypes, strict=True):
        if genotype is not None and _is_on_plus_strand(site, genotype, sources, intake):
            good[site] = genotype
            usual = (site.reference, *site.alternatives)
            details = {"called_from": CALLED_FROM, "strand": "plus"}
            if {_PARTNER[base] for base in usual} == set(usual):
                details["strand"] = (
                    "plus, as a VCF prescribes; its two alleles look the same on either strand"
                )
            intake.take(
                vocabulary.concept(f"gene.{site.gene.lower()}.{site.rsid}"),
                "/".join(sorted(genotype[:2])), source=sources, details=details,
            )  # fmt: skip
    comt = star_alleles.defined(COMT, RESEARCH, HAPLOTYPES)
    called = star_alleles.fitting(comt, tuple(good.get(site) for site in comt.sites), most=1)
    if called.diplotypes:
        details = {"called_from": CALLED_FROM, "phased": "yes" if called.is_phased else "no"}
        if called.not_tested:
            details["not_tested"] = ", ".join(called.not_tested)
        intake.take(
            vocabulary.concept("gene.comt.diplotype"), " or ".join(called.diplotypes),
            source=sources, details=details,
        )  # fmt: skip
    elif called.tested:
        intake.ignore("genes.no_haplotype", "COMT: none of the three haplotypes fits.", sources)


def _is_on_plus_strand(site: Site, genotype: Genotype, source: str, intake: Intake) -> bool:
    """Whether the alleles are those of the plus strand; a problem is noted where they are not."""
    usual = {site.reference, *site.alternatives}
    there = set(genotype[:2])
    if there <= usual:
        return True
    is_other = there <= {_PARTNER[base] for base in usual}
    says = (
        "its alleles are those of the other strand" if is_other
        else "an allele stands there that it is not known to have"
    )  # fmt: skip
    intake.problem(
        "genes.other_strand" if is_other else "genes.unknown_allele",
        f"{site.name}: {says}; not used.", source,
        ("Export the file with alleles on the plus strand.",),
    )  # fmt: skip
    return False


def summary(files: Iterable[tuple[str, Genotypes]]) -> Iterable[tuple[str, str]]:
    """Each file's name with how many positions of how many it tests."""
    for name, found in files:
        of = len(star_alleles.sites())
        tested = sum(site in found.at for site in star_alleles.sites())
        people = "one sample" if len(found.samples) == 1 else f"{len(found.samples)} samples"
        yield name, f"{people} on {found.assembly}, {tested} of {of} positions of six genes"
