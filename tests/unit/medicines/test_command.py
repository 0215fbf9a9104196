"""``endplate score`` with the genes, and a plan of somebody whose genes are known."""

from __future__ import annotations

import json

import pytest

from endplate.cli.main import main
from endplate.medicines.phenotype import GENES

IDS = [*(gene.lower() for gene in GENES), "phenoconversion"]


def score(capsys, *words):
    code = main(["score", *words, "--json"])
    text = capsys.readouterr().out
    return code, json.loads(text)["findings"][0] if code == 0 else None


@pytest.mark.parametrize("id", IDS)
def test_nothing_given_is_no_error_and_names_what_is_missing(id, capsys):
    code, found = score(capsys, id)
    assert code == 0 and found.get("value") is None and found["missing"]
    assert main(["score", id, "--inputs", "--json"]) == 0


def test_a_diplotype_is_typed_as_it_is_written(capsys):
    code, found = score(capsys, "cyp2d6", "diplotype=*1/*2x2")
    assert code == 0
    assert (found["value"], found["category"]) == (3.0, "ultrarapid_metaboliser")
    assert found["parts"]["diplotype"] == "*1/*2x2"


def test_a_phenotype_that_there_is_not_is_refused(capsys):
    assert score(capsys, "cyp2d6", "phenotype=fast")[0] == 2
    assert score(capsys, "cyp2d6", "activity_score=-1")[0] == 2


def test_an_input_given_twice_is_refused(capsys):
    assert score(capsys, "mme", "morphine=20", "opioid_dose.morphine=40")[0] == 2
    assert score(capsys, "mme", "morphine=20", "oxycodone=40")[0] == 0


@pytest.mark.parametrize("text", ["*1x0/*4", "*1/*99x", "*1", "wild type", "*1/*4/*5"])
def test_what_is_no_diplotype_is_refused(capsys, text):
    assert main(["score", "cyp2d6", f"diplotype={text}", "--json"]) == 2
    told = capsys.readouterr()
    assert told.out == "" and "two alleles such as *1/*4 are needed" in told.err


def test_an_allele_that_no_table_has_is_indeterminate(capsys):
    code, found = score(capsys, "cyp2d6", "diplotype=*1/*9999")
    assert (code, found["category"]) == (0, "indeterminate")


def test_a_plan_holds_genes_and_advice(tmp_path, capsys):
    case = tmp_path / "case"
    case.mkdir()
    (case / "case.toml").write_text(
        "on = 2026-11-21\n[facts]\n"
        '"gene.cyp2d6.diplotype" = "*4/*4"\n"medicine.tramadol" = true\n'
        '"gene.hla_b_15_02" = true\n"medicine.carbamazepine" = true\n',
        encoding="utf-8",
    )
    assert main(["plan", str(case), "--out", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    plan = json.loads((tmp_path / "out" / "plan.json").read_text(encoding="utf-8"))
    found = {(f["rule"], f["about"]): f for f in plan["findings"]}
    assert found["medicines.opioid_genes", "tramadol"]["category"] == "avoid"
    assert found["medicines.opioid_genes", "tramadol"]["urgency"] == "soon"
    assert found["medicines.carbamazepine_hla", "carbamazepine"]["kind"] == "recommendation"
    assert found["medicines.genes_after_surgery", "CYP2D6"]["stage"] == "after_surgery"
