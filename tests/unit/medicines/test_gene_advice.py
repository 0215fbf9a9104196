"""Advice by genes: every line reachable and cited, what is open said, both guidelines shown."""

from __future__ import annotations

from datetime import timedelta

import pytest

from endplate import evidence, rules, vocabulary
from endplate.evidence import Choice
from endplate.findings import Recommendation, Status, Urgency
from endplate.medicines import gene_advice as ga
from endplate.medicines.after_surgery import genes_after_surgery
from endplate.medicines.hla_advice import DRUGS, carbamazepine_hla
from endplate.medicines.metaboliser import result
from endplate.medicines.phenoconversion import STRENGTHS, phenoconversion
from endplate.medicines.tables import table

from patients import ON, patient

SHIPPED = evidence.shipped()
LINES = table("gene_advice").rows
DIPLOTYPE = "gene.cyp2d6.diplotype"


def said(rule, facts, about=""):
    built = patient()
    for what, value in facts.items():
        more = value if isinstance(value, dict) else {"value": value}
        built.having(what, **more)
    found = rule(built.known_on(), SHIPPED)
    return next((f for f in found if f.about == about), None)


def from_variants(diplotype):
    return {"value": diplotype, "details": {"called_from": "variants", "copy_number": "unknown"}}


# -- the tables -----------------------------------------------------------------------------------


@pytest.mark.parametrize("line", LINES, ids=lambda x: f"{x['drugs']}-{x['phenotype']}-{x['row']}")
def test_a_line_of_advice_is_whole(line):
    for drug in line["drugs"].split():
        assert f"medicine.{drug}" in vocabulary.concepts()
        assert ga.filled(line, drug) and "{" not in ga.filled(line, drug)
        row = ga.row_of(line, drug, SHIPPED)
        assert row.cites and row.edition and row.verified == (line["mark"] != "U-H")
    assert line["mark"] in ("V", "VC", "U-H")
    assert ga.either([line["action"]])


def test_every_medicine_of_the_table_has_a_rule():
    listed = {drug for line in LINES for drug in line["drugs"].split()}
    assert listed == {*ga.OPIOIDS, *ga.ANTI_INFLAMMATORIES, *ga.ANTIDEPRESSANTS, *DRUGS}


def test_a_line_of_the_inhibitors_is_whole():
    for line in table("inhibitors").rows:
        assert line["ingredient"] in vocabulary.concepts()
        assert line["source"] in SHIPPED.references
        assert line["effect"] in ("inhibitor", "inducer")
        assert line["strength"] in (*STRENGTHS, "not graded")
        assert line["mark"] in ("V", "U-H")


def test_whoever_inhibits_strongly_or_moderately_is_one_of_the_class():
    for line in table("inhibitors").rows:
        if line["enzyme"] == "CYP2D6" and line["strength"] in STRENGTHS[:2]:
            assert "medicine.cyp2d6_inhibitor" in vocabulary.ancestors(line["ingredient"])


# -- which result counts --------------------------------------------------------------------------


def test_a_laboratory_goes_before_variants_without_copy_number():
    there = patient().having(DIPLOTYPE, **from_variants("*1/*1"))
    there.having("gene.cyp2d6.activity_score", 0.0)
    known = result("CYP2D6", there.known_on())
    assert known.fact.what == "gene.cyp2d6.activity_score"
    assert known.others[0][0].what == DIPLOTYPE


def test_an_outside_call_goes_before_variants():
    there = patient().having(DIPLOTYPE, **from_variants("*10/*10"))
    there.having(DIPLOTYPE, "*10/*36x2", details={"called_from": "outside_call"})
    known = result("CYP2D6", there.known_on())
    assert [c.score for c in known.calls] == [0.25]


def test_two_results_of_one_day_that_differ_are_both_kept():
    there = patient().having(DIPLOTYPE, "*1/*1").having(DIPLOTYPE, "*4/*4")
    known = result("CYP2D6", there.known_on())
    assert set(known.phenotypes) == {"normal_metaboliser", "poor_metaboliser"}


def test_the_newer_of_two_results_counts_and_the_older_is_shown():
    there = patient().having(DIPLOTYPE, "*1/*1", on=ON - timedelta(days=9))
    there.having(DIPLOTYPE, "*4/*4", on=ON - timedelta(days=2))
    known = result("CYP2D6", there.known_on())
    assert known.phenotypes == ("poor_metaboliser",) and len(known.others) == 1


def test_what_the_call_could_not_exclude_is_said():
    details = {"called_from": "variants", "not_tested": "rs1, rs2", "not_excluded": "*9, *10",
               "less_likely": "*17/*2"}  # fmt: skip
    facts = {"gene.cyp2c19.diplotype": {"value": "*1/*17", "details": details}}
    rule = next(r for r in rules.find() if r.id == "medicines.cyp2c19")
    found = said(rule, facts)
    assert found.category == "rapid_metaboliser" and found.parts["less_likely"] == "*17/*2"
    for part in ("rs1, rs2", "*9, *10", "*17/*2 (intermediate metaboliser)"):
        assert any(part in text for text in found.limits)


# -- advice ---------------------------------------------------------------------------------------


def test_copy_number_unknown_says_what_would_change():
    found = said(
        ga.opioid_genes, {"medicine.tramadol": True, DIPLOTYPE: from_variants("*4/*4")}, "tramadol"
    )
    assert found.category == "avoid" and "would not change this" in found.says
    found = said(
        ga.opioid_genes,
        {"medicine.codeine": True, DIPLOTYPE: from_variants("*1/*4")}, "codeine",
    )  # fmt: skip
    assert isinstance(found, Recommendation)
    assert any("duplicated" in text and "normal" in text for text in found.would_change)


def test_a_duplication_that_would_forbid_codeine_is_named_even_at_the_usual_dose():
    found = said(
        ga.opioid_genes,
        {"medicine.codeine": True, DIPLOTYPE: from_variants("*1/*1")}, "codeine",
    )  # fmt: skip
    assert found.category == "usual_dose"
    assert any("duplicated" in text and "avoid" in text for text in found.limits)


def test_copies_count_beside_a_moderate_inhibitor_too():
    facts = {"medicine.codeine": True, "medicine.duloxetine": True,
             DIPLOTYPE: from_variants("*1/*1")}  # fmt: skip
    found = said(ga.opioid_genes, facts, "codeine")
    assert found.category == "usual_dose_then_switch"  # 2 times 0.5
    assert any("duplicated" in t and "normal" in t for t in found.would_change)  # 3 times 0.5


def test_a_strong_inhibitor_makes_copies_irrelevant():
    facts = {"medicine.codeine": True, "medicine.paroxetine": True,
             DIPLOTYPE: from_variants("*1/*1")}  # fmt: skip
    found = said(ga.opioid_genes, facts, "codeine")
    assert found.category == "avoid" and not any("duplicated" in t for t in found.would_change)
    assert found.parts["cyp2d6_phenotype"] == "normal_metaboliser"
    assert found.parts["cyp2d6_phenotype_with_medicines"] == "poor_metaboliser"


def test_readings_that_agree_on_the_action_settle_it():
    facts = {"medicine.hydrocodone": True, DIPLOTYPE: "*4/*4 or *1/*4"}
    found = said(ga.opioid_genes, facts, "hydrocodone")
    assert found.status is Status.ANSWERED and found.category == "usual_dose_then_switch"


def test_readings_that_disagree_leave_it_open_and_press():
    facts = {"medicine.codeine": True, DIPLOTYPE: "*4/*4 or *1/*1"}
    found = said(ga.opioid_genes, facts, "codeine")
    assert found.status is Status.UNKNOWN and found.category is None
    assert found.urgency is Urgency.SOON and DIPLOTYPE in found.missing
    assert "If CYP2D6 poor metaboliser" in found.action


def test_genes_of_research_change_no_dose():
    plain = {"medicine.oxycodone": True, DIPLOTYPE: "*4/*4"}
    more = {"gene.oprm1.rs1799971": "G/G", "gene.comt.rs4680": "A/A"}
    without = said(ga.opioid_genes, plain, "oxycodone")
    with_them = said(ga.opioid_genes, plain | more, "oxycodone")
    assert with_them == without and without.category == "no_recommendation"


def test_a_clinic_may_follow_the_dutch_guideline():
    choices = dict(SHIPPED.choices)
    old = choices["medicines.gene_guideline"]
    choices[old.name] = Choice(name=old.name, says=old.says, use="DPWG", options=old.options,
                               reason=old.reason, overridden="ours")  # fmt: skip
    grounds = evidence.Evidence(rows=SHIPPED.rows, choices=choices, references=SHIPPED.references)
    there = patient().having("medicine.tramadol").having(DIPLOTYPE, "*4/*4").known_on()
    (found,) = ga.opioid_genes(there, grounds)
    assert found.category == "usual_dose_then_switch"
    assert {p.holder: p.default for p in found.positions} == {"DPWG": True, "CPIC": False}
    assert found.urgency is Urgency.SOON  # what the other guideline forbids still presses
    # Where it is silent the other one speaks.
    there = patient().having("medicine.tramadol").having(DIPLOTYPE, "*1/*1").known_on()
    assert ga.opioid_genes(there, grounds)[0].category == "usual_dose"


def test_an_inhibitor_of_cyp2c9_is_named_and_changes_no_class():
    facts = {"medicine.meloxicam": True, "gene.cyp2c9.diplotype": "*1/*1"}
    found = said(ga.nsaid_genes, facts | {"medicine.fluconazole": True}, "meloxicam")
    assert found.category == "usual_dose" and any("Fluconazole" in t for t in found.limits)
    assert not any("Fluconazole" in t for t in said(ga.nsaid_genes, facts, "meloxicam").limits)


def test_likely_phenotypes_go_with_those_they_are_likely_to_be():
    facts = {"medicine.amitriptyline": True, "gene.cyp2c19.diplotype": "*2/*9",
             DIPLOTYPE: "*1/*1"}  # fmt: skip
    assert said(ga.antidepressant_genes, facts, "amitriptyline").category == "avoid_or_reduce"


def test_beside_an_indeterminate_gene_no_usual_dose_is_promised():
    facts = {"medicine.amitriptyline": True, "gene.cyp2c19.diplotype": "*1/*1",
             DIPLOTYPE: "*1/*22"}  # fmt: skip
    assert said(ga.antidepressant_genes, facts, "amitriptyline").status is Status.UNKNOWN
    facts["gene.cyp2c19.diplotype"] = "*2/*2"
    assert said(ga.antidepressant_genes, facts, "amitriptyline").category == "avoid_or_reduce"


def test_old_tables_say_so():
    there = patient().having("medicine.codeine").having(DIPLOTYPE, "*1/*1")
    on = table("gene_advice").dated.replace(year=table("gene_advice").dated.year + 2)
    (found,) = ga.opioid_genes(there.known_on(on), SHIPPED)
    assert any("more than a year old" in text for text in found.limits)


def test_what_is_put_on_the_skin_changes_nothing():
    cream = {"value": True, "details": {"product": "Terbinafine 1 % cream"}}
    tablet = {"value": True, "details": {"product": "Terbinafine 250 MG Oral Tablet"}}
    facts = {"medicine.codeine": True, DIPLOTYPE: "*1/*1"}
    found = said(ga.opioid_genes, facts | {"medicine.terbinafine": cream}, "codeine")
    assert found.category == "usual_dose" and "medicine.cyp2d6_inhibitor" in found.missing
    found = said(ga.opioid_genes, facts | {"medicine.terbinafine": tablet}, "codeine")
    assert found.category == "avoid"
    gel = {"value": True, "details": {"product": "Ibuprofen", "route": "Topical route"}}
    facts = {"medicine.ibuprofen": gel, "gene.cyp2c9.diplotype": "*3/*3"}
    assert said(ga.nsaid_genes, facts, "ibuprofen") is None


# -- carbamazepine --------------------------------------------------------------------------------


@pytest.mark.parametrize("days, category", [(92, "avoid"), (93, "caution")])
def test_three_months_of_carbamazepine(days, category):
    facts = {"medicine.carbamazepine": {"value": True, "on": ON - timedelta(days=days)},
             "gene.hla_b_15_02": True}  # fmt: skip
    assert said(carbamazepine_hla, facts, "carbamazepine").category == category


def test_carbamazepine_since_nobody_knows_when():
    facts = {"medicine.carbamazepine": {"value": True, "on": None}, "gene.hla_b_15_02": True}
    found = said(carbamazepine_hla, facts, "carbamazepine")
    assert found.category == "avoid" and "medicine.carbamazepine" in found.missing


def test_the_worse_allele_decides():
    facts = {"medicine.carbamazepine": True, "gene.hla_b_15_02": True, "gene.hla_a_31_01": False}
    assert said(carbamazepine_hla, facts, "carbamazepine").urgency is Urgency.SOON


# -- the rest -------------------------------------------------------------------------------------


def test_what_nobody_reads_gives_nothing():
    assert said(phenoconversion, {}) is None
    assert said(genes_after_surgery, {}, "CYP2D6") is None
    assert said(phenoconversion, {DIPLOTYPE: "wild type"}) is None


def test_a_conflict_between_sources_is_shown():
    found = said(phenoconversion, {DIPLOTYPE: "*1/*1", "medicine.terbinafine": True})
    assert {p.default for p in found.positions} == {True, False}
    assert found.parts["terbinafine"] == "strong"
