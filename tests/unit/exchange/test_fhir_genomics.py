"""Genetic results from FHIR: what is called, what is left aside, and what is never guessed."""

from __future__ import annotations

import pytest

from endplate import vocabulary
from endplate.exchange.fhir import genes
from unit.exchange.made_fhir import LOINC, coded, observation, problems, quantity, read

HGNC = "http://www.genenames.org"
TBD = "http://hl7.org/fhir/uv/genomics-reporting/CodeSystem/tbd-codes-cs"


def studied(code="", symbol="", text="", system=HGNC):
    value = {"coding": [{"system": system, "code": code, "display": symbol}]} if code else {}
    value |= {"text": text} if text else {}
    return {"code": coded("48018-6", LOINC), "valueCodeableConcept": value}


def genotype(text="", gene=None, *parts, **more):
    """A genotype as Genomics Reporting has it: the gene in a component."""
    value = {"valueCodeableConcept": {"text": text}} if text else {}
    gene = [] if gene is None else [gene]
    made = observation(code=coded("84413-4", LOINC), component=[*gene, *parts], **value)
    return {k: v for k, v in (made | more).items() if v is not ... and v != []}


def found(*resources):
    return {f.what: f.value for f in read(*resources).facts if f.what.startswith("gene.")}


def aside(*resources):
    return {line.problem for line in read(*resources).ignored}


CYP2D6 = studied("HGNC:2625", "CYP2D6")
HLA_B = studied("HGNC:4932", "HLA-B")


@pytest.mark.parametrize(
    "text, called",
    [
        ("CYP2D6*1/*4", "*1/*4"),
        ("CYP2D6 *1/*4", "*1/*4"),
        ("*1/*4", "*1/*4"),
        ("CYP2D6*7.001 / CYP2D6*1.001", "*7/*1"),
        ("CYP2D6_*1/*1", "*1/*1"),
        ("*1/*2x2", "*1/*2x2"),
        ("CYP2D6 *10/*36+*10", "*10/*36+*10"),
        ("*1/*4 or *4/*68+*4", "*1/*4 or *4/*68+*4"),
        ("*1/*1x≥3", "*1/*1x>=3"),
    ],
)
def test_a_diplotype_is_read_in_the_ways_in_which_it_is_written(text, called):
    assert found(genotype(text, CYP2D6)) == {"gene.cyp2d6.diplotype": called}


@pytest.mark.parametrize(
    "gene",
    [
        CYP2D6,
        studied("HGNC:2625"),
        studied("HGNC:2625", system=f"{HGNC}/geneId"),
        studied("CYP2D6"),
        studied(text="CYP2D6"),
        {"code": coded("48018-6", LOINC), "valueString": "CYP2D6"},
    ],
)
def test_the_gene_is_known_by_its_id_or_its_symbol(gene):
    assert found(genotype("*1/*4", gene)) == {"gene.cyp2d6.diplotype": "*1/*4"}


def test_the_gene_may_stand_in_the_value_alone():
    assert found(genotype("CYP2C19*2/*2")) == {"gene.cyp2c19.diplotype": "*2/*2"}


def test_the_diplotype_may_be_the_display_of_a_code_or_a_plain_text():
    by_code = genotype(gene=CYP2D6) | {
        "valueCodeableConcept": {"coding": [{"system": "http://www.ncbi.nlm.nih.gov/clinvar",
                                             "code": "1", "display": "CYP2D6*1/*4"}]}
    }  # fmt: skip
    by_text = genotype(gene=CYP2D6) | {"valueString": "*1/*4"}
    assert found(by_code) == found(by_text) == {"gene.cyp2d6.diplotype": "*1/*4"}


def test_a_laboratorys_own_code_is_known_by_its_name():
    own = observation(code={"text": "CYP2D6 genotype"}, valueString="*1/*4")
    assert found({k: v for k, v in own.items() if k != "valueQuantity"}) == {
        "gene.cyp2d6.diplotype": "*1/*4"
    }


@pytest.mark.parametrize(
    "text", ["*1", "see report", "*1/*4/*5", "*1/*4 heterozygous", "rs3892097"]
)
def test_what_is_no_diplotype_is_a_problem_and_no_fact(text):
    assert found(genotype(text, CYP2D6)) == {}
    assert problems(read(genotype(text, CYP2D6))) == ["fhir.genotype_not_understood"]


def test_two_diplotypes_that_differ_are_damage():
    both = genotype("*1/*4", CYP2D6)
    both["valueCodeableConcept"]["coding"] = [{"display": "CYP2D6*1/*5"}]
    assert found(both) == {} and len(problems(read(both))) == 1


@pytest.mark.parametrize(
    "words, phenotype",
    [
        ("Poor metabolizer", "poor_metaboliser"),
        ("CYP2D6 Ultrarapid Metabolizer", "ultrarapid_metaboliser"),
        ("ultra-rapid metaboliser", "ultrarapid_metaboliser"),
        ("Extensive metabolizer", "normal_metaboliser"),
        ("Rapid metabolizer", None),  # CYP2D6 has no such phenotype
        ("Responsive", None),
    ],
)
def test_a_phenotype_is_read_from_a_value_or_a_component(words, phenotype):
    wanted = {"gene.cyp2d6.phenotype": phenotype} if phenotype else {}
    by_value = genotype(words, CYP2D6, code=coded("53040-2", LOINC))
    implied = {
        "code": coded("therapeutic-implication", TBD),
        "valueCodeableConcept": {"text": words},
    }
    by_part = genotype("", CYP2D6, implied, code=coded("therapeutic-implication", TBD))
    by_part.pop("valueQuantity", None)
    assert found(by_value) == found(by_part) == wanted


def test_an_activity_score_is_read_from_a_component_with_its_bound():
    score = {"code": {"text": "Activity score"}, "valueQuantity": quantity(2.25, "1") | {
        "comparator": ">="}}  # fmt: skip
    reading = read(genotype("*1/*2", CYP2D6, score))
    (fact,) = [f for f in reading.facts if f.what == "gene.cyp2d6.activity_score"]
    assert (fact.value, fact.details["comparator"]) == (2.25, ">=")


@pytest.mark.parametrize(
    "text, carried",
    [
        ("HLA-B*15:02", True),
        ("HLA-B*15:02:01+HLA-B*40:01", True),
        ("HLA-B*40:01+HLA-B*57:01", False),
        ("HLA-B*15:02 negative", False),
        ("HLA-B*40:01", None),  # of the other allele nothing is said
        ("HLA-B*15+HLA-B*57:01", None),  # too coarse
        ("HLA-B*15:01/HLA-B*15:02+HLA-B*57:01", None),  # open which
        ("HLA-B*40:01+HLA-B*57:01|HLA-B*15:02+HLA-B*57:01", None),
    ],
)
def test_an_hla_allele_is_carried_not_carried_or_unknown(text, carried):
    wanted = {} if carried is None else {"gene.hla_b_15_02": carried}
    assert found(genotype(text, HLA_B)) == wanted
    assert problems(read(genotype(text, HLA_B))) == []


@pytest.mark.parametrize(
    "words, carried", [("Present", True), ("Negative", False), ("Not detected", False)]
)
def test_loincs_code_of_an_allele_asks_whether_it_is_there(words, carried):
    one = observation(code=coded("57979-7", LOINC), valueCodeableConcept={"text": words})
    one.pop("valueQuantity", None)
    assert found(one) == {"gene.hla_b_15_02": carried}


def test_an_unclear_word_is_not_taken_for_an_answer():
    one = observation(code=coded("57979-7", LOINC), valueCodeableConcept={"text": "see report"})
    one.pop("valueQuantity", None)
    assert found(one) == {}


def test_genes_that_no_rule_reads_and_variants_are_left_aside_and_said():
    other = genotype("C/T", studied("HGNC:23663", "VKORC1"))
    variant = genotype("", CYP2D6, code=coded("69548-6", LOINC))
    variant |= {"valueCodeableConcept": coded("LA9633-4", LOINC, "Present")}
    sequence = {"resourceType": "MolecularSequence", "id": "s", "coordinateSystem": 0}
    assert found(other, variant, sequence) == {}
    assert {"fhir.gene_not_used", "fhir.variant_not_read", "fhir.kind_not_used"} <= aside(
        other, variant, sequence
    )


def test_a_result_of_several_genes_is_not_one_of_them():
    both = genotype("*1/*4", CYP2D6, studied("HGNC:2623", "CYP2C9"))
    assert found(both) == {} and "fhir.several_genes" in aside(both)


def test_every_gene_of_the_pharmacogenes_has_an_id_and_every_code_a_source():
    shared = vocabulary.genomic_codes()
    assert {g for use, g in shared if use == "gene"} >= {*genes.GENES, "HLA-A", "HLA-B"}
    assert all(code.source and code.display for code in shared.values())
