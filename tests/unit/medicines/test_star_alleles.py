"""Star alleles: every pair of named alleles is found again in the variants that it makes."""

from __future__ import annotations

import random

import pytest

from endplate.medicines import star_alleles
from endplate.medicines.star_alleles import called, definition

from vcf_files import carried, genotypes

GENES = star_alleles.GENES
REFERENCE = {gene: definition(gene).alleles[0].name for gene in GENES}


def names(gene: str) -> list[str]:
    return [allele.name for allele in definition(gene).alleles]


def pair(one: str, other: str) -> set[str]:
    return {f"{one}/{other}", f"{other}/{one}"}


@pytest.mark.parametrize("gene", GENES)
def test_every_allele_twice_is_called(gene):
    chance = random.Random(1)
    for name in names(gene):
        copy = carried(gene, name, chance)
        found = called(gene, genotypes(copy, copy, phased=False))
        assert f"{name}/{name}" in found.diplotypes, name
        assert found.is_phased and not found.not_tested


@pytest.mark.parametrize("phased", [True, False])
@pytest.mark.parametrize("gene", GENES)
def test_every_allele_beside_the_reference_is_called(gene, phased):
    chance = random.Random(2)
    usual = carried(gene, REFERENCE[gene], chance)
    for name in names(gene):
        found = called(gene, genotypes(usual, carried(gene, name, chance), phased=phased))
        assert pair(REFERENCE[gene], name) & set(found.diplotypes), name


@pytest.mark.parametrize("phased", [True, False])
@pytest.mark.parametrize("gene", GENES)
def test_any_two_alleles_are_called_or_listed(gene, phased):
    chance = random.Random(3)
    for _ in range(300):
        one, other = chance.choice(names(gene)), chance.choice(names(gene))
        found = called(
            gene,
            genotypes(carried(gene, one, chance), carried(gene, other, chance), phased=phased),
        )
        listed = found.diplotypes if phased else (*found.diplotypes, *found.less_likely)
        assert pair(one, other) & set(listed), (one, other)


@pytest.mark.parametrize("gene", GENES)
def test_which_copy_stands_first_does_not_matter(gene):
    chance = random.Random(4)
    for _ in range(50):
        one, other = (carried(gene, chance.choice(names(gene)), chance) for _ in range(2))
        for phased in (True, False):
            there = called(gene, genotypes(one, other, phased=phased))
            assert there == called(gene, genotypes(other, one, phased=phased))


@pytest.mark.parametrize("gene", GENES)
def test_less_tested_never_excludes_what_is_there(gene):
    """A dropped position can add pairs; the true one stays, or is named as not excluded."""
    chance = random.Random(5)
    for _ in range(60):
        one, other = chance.choice(names(gene)), chance.choice(names(gene))
        whole = genotypes(carried(gene, one, chance), carried(gene, other, chance), phased=True)
        kept = tuple(None if chance.random() < 0.3 else g for g in whole)
        found = called(gene, kept)
        fits = pair(one, other) & {*found.diplotypes, *found.less_likely}
        assert fits or {one, other} & set(found.not_excluded) or not found.tested, (one, other)


def at(gene: str, **states: tuple[str, str]):
    """Genotypes with the reference at all sites but those named."""
    return tuple(
        None if states.get(s.name) == () else (*states.get(s.name, (s.reference,) * 2), None)
        for s in definition(gene).sites
    )


def test_two_phases_are_both_shown_and_the_better_defined_one_leads():
    variants = {"rs3745274": ("G", "T"), "rs2279343": ("A", "G")}
    found = called("CYP2B6", at("CYP2B6", **variants))
    assert found.diplotypes == ("*1/*6",)
    assert found.less_likely == ("*4/*9",)
    assert not found.is_phased


def test_pairs_that_fit_equally_are_all_listed():
    found = called("CYP2C19", at("CYP2C19", rs4244285=("G", "A"), rs12769205=("A", "G"),
                                 rs3758581=()))  # fmt: skip
    assert found.diplotypes == ("*1/*2", "*2/*38")
    assert "rs3758581" in found.not_tested


def test_an_allele_at_a_position_that_was_not_tested_is_not_excluded():
    found = called("CYP3A5", at("CYP3A5", rs776746=()))
    assert found.diplotypes == ("*1/*1",)
    assert found.not_excluded == ("*3",)


def test_variants_of_two_alleles_on_one_copy_are_in_brackets():
    found = called("CYP2C9", at("CYP2C9", rs1799853=("C", "T"), rs749060448=("A", "A")))
    assert found.diplotypes == ("*24/[*2 + *24]",)


def test_half_of_an_allele_makes_no_pair():
    found = called("CYP2C19", at("CYP2C19", rs4244285=("A", "A"), rs12769205=("A", "G"),
                                 rs3758581=()))  # fmt: skip
    assert found.diplotypes == () and found.unexplained == ()


def test_what_no_table_has_makes_no_pair():
    found = called("CYP2C9", at("CYP2C9", rs1799853=("C", "?")))
    assert found.diplotypes == () and found.unexplained == ("rs1799853",)


def test_nothing_tested_calls_nothing():
    found = called("CYP2D6", (None,) * len(definition("CYP2D6").sites))
    assert found.diplotypes == () and found.tested == 0


def test_phase_sets_hold_within_themselves_alone():
    sites = definition("CYP2B6").sites
    order = {s.name: n for n, s in enumerate(sites)}
    made = list(at("CYP2B6"))
    made[order["rs3745274"]], made[order["rs2279343"]] = ("G", "T", 7), ("G", "A", 7)
    assert called("CYP2B6", tuple(made)).diplotypes == ("*4/*9",)
    made[order["rs2279343"]] = ("G", "A", 8)
    assert called("CYP2B6", tuple(made)).diplotypes == ("*1/*6",)
