"""What a laboratory called by itself, alone and beside a VCF, on the command line and in a case."""

from __future__ import annotations

import json
from datetime import date

import pytest

from endplate.cli.main import main
from endplate.exchange.case import read_case
from endplate.exchange.intake import Intake
from endplate.exchange.outside_calls import is_outside_calls, read_outside_calls
from endplate.facts import InputProblem
from endplate.medicines.star_alleles import sites

from vcf_files import file, line, usual

SITE = {site.name: site for site in sites()}
CYP2D6, CYP2C9 = "gene.cyp2d6.diplotype", "gene.cyp2c9.diplotype"


@pytest.fixture
def read(tmp_path):
    def read(text):
        path = tmp_path / "calls.tsv"
        path.write_text(text, encoding="utf-8")
        intake = Intake()
        read_outside_calls(path, intake)
        understood = intake.understood()
        return {f.what: f for f in understood.facts}, understood

    return read


@pytest.fixture
def variants(tmp_path):
    path = tmp_path / "one.vcf"
    path.write_text(file([line(SITE["rs776746"], "0/1"), *usual("CYP3A5", "rs776746"),
                          *usual("CYP2D6")]))  # fmt: skip
    return path


@pytest.mark.parametrize(
    "written, value",
    [
        ("*1/*4", "*1/*4"),
        ("*1/*2x2", "*1/*2x2"),
        ("*10/*36x2", "*10/*36x2"),
        ("*1/*36x2+*10", "*1/*36x2+*10"),
        ("*1/*1x≥3", "*1/*1x>=3"),
        ("*4/*68+*4", "*4/*68+*4"),
        ("CYP2D6*1/CYP2D6*4", "*1/*4"),
    ],
)
def test_a_diplotype_is_taken_as_cpic_writes_it(read, written, value):
    found, understood = read(f"# a comment\nCYP2D6\t{written}\n")
    assert found[CYP2D6].value == value
    assert found[CYP2D6].details == {"called_from": "outside_call", "copy_number": "known"}
    assert understood.problems == ()


@pytest.mark.parametrize("written", ["*1", "1/4", "A/G", "*1/*4/*5", "unknown"])
def test_what_is_no_diplotype_is_refused(read, written):
    found, understood = read(f"CYP2D6\t{written}\n")
    assert found == {}
    assert [p.problem for p in understood.problems] == ["genes.diplotype"]


@pytest.mark.parametrize("line", ["CYP2D6,*1/*4", "CYP2D6 *1/*4", "CYP2D6"])
def test_a_line_that_is_no_call_is_said(read, line):
    found, understood = read(f"CYP2C9\t*1/*2\n{line}\n")
    assert CYP2D6 not in found
    assert [p.problem for p in understood.problems] == ["genes.not_a_call"]
    with pytest.raises(InputProblem, match="separated by tabs"):
        read(f"{line}\n")


def test_two_lines_of_a_gene_are_two_possibilities(read):
    found, _ = read("CYP2C19\t*1/*2\nCYP2C19\t*2/*38\n")
    assert found["gene.cyp2c19.diplotype"].value == "*1/*2 or *2/*38"


def test_a_phenotype_and_a_score_stand_for_themselves(read):
    found, understood = read(
        "gene\tdiplotype\tphenotype\tactivity score\n"
        "CYP2C9\t\tIntermediate Metabolizer\t1.0\nCYP2D6\t*1/*1x>=3\t\t≥3.0\n"
        "CYP2C19\t*1/*2\tLikely Intermediate Metabolizer\nCYP3A5\t*1/*3\tNot available\n"
    )
    assert found["gene.cyp2c9.phenotype"].value == "intermediate_metaboliser"
    assert found["gene.cyp2c9.activity_score"].value == 1.0
    assert f"{found['gene.cyp2d6.activity_score'].number}" == ">=3.0"
    assert found["gene.cyp2c19.phenotype"].value == "likely_intermediate_metaboliser"
    assert "gene.cyp3a5.phenotype" not in found
    assert understood.problems == ()


@pytest.mark.parametrize(
    "written, carried",
    [
        ("*15:02/*57:01", True),
        ("*57:01/*15:02:01:01", True),
        ("*15:02", True),
        ("*57:01/*58:01", False),
        ("*57:01", None),  # the other copy is not known
        ("*15/*57:01", None),  # not told finely enough
        ("*15:02N/*57:01", None),
        ("\t*15:02 positive", True),
        ("\t*15:02 negative", False),
        ("\t*57:01 negative", None),
    ],
)
def test_hla_is_carried_not_carried_or_unknown(read, written, carried):
    found, _ = read(f"HLA-B\t{written}\n")
    there = found.get("gene.hla_b_15_02")
    assert (there.value if there else None) is carried


def test_a_gene_that_no_rule_reads_is_left_aside(read):
    _, understood = read("MT-RNR1\t1555A>G\n")
    assert [p.problem for p in understood.ignored] == ["genes.not_used"]


def test_an_empty_table_is_refused(read):
    with pytest.raises(InputProblem, match="there are none"):
        read("# nothing\n")


def test_calls_are_known_by_their_content(tmp_path):
    for name, text, is_one in (
        ("a.txt", "CYP2D6\t*1/*4\n#G6PD\t\tNot available", True),
        ("b.tsv", "concept\tvalue\nx\t1\n", False),
        ("c.tsv", "G6PD\tB/B\n", False),
        ("d.txt", "a letter about CYP2D6\n", False),
    ):
        path = tmp_path / name
        path.write_text(text)
        assert is_outside_calls(path) is is_one, name
    assert not is_outside_calls(tmp_path / "absent.tsv")


# -- the command line -----------------------------------------------------------------------------


def asked(capsys, *words):
    assert main(["genotype", *map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_envelope_of_one_sample(capsys, variants):
    found = asked(capsys, variants)
    assert {"endplate", "facts", "findings", "problems"} <= set(found)
    by_id = {fact["what"]: fact for fact in found["facts"]}
    assert by_id["gene.cyp3a5.diplotype"]["value"] == "*1/*3"
    assert by_id[CYP2D6]["details"]["copy_number"] == "unknown"
    assert by_id[CYP2D6]["doubts"] == ["SNP-only, copy number unknown"]


def test_a_laboratorys_call_comes_before_the_variants(capsys, tmp_path, variants):
    calls = tmp_path / "calls.tsv"
    calls.write_text("CYP2D6\t*4/*10\n")
    found = asked(capsys, variants, "--outside-calls", calls)
    (fact,) = [fact for fact in found["facts"] if fact["what"] == CYP2D6]
    assert fact["value"] == "*4/*10" and fact["details"]["called_from"] == "outside_call"
    assert any("the variants alone make up *1/*1" in p["says"] for p in found["ignored"])


def test_outside_calls_alone(capsys, tmp_path):
    calls = tmp_path / "calls.tsv"
    calls.write_text("CYP2D6\t*4/*10\nHLA-A\t*31:01/*02:01\n")
    found = asked(capsys, "--outside-calls", calls)
    values = {fact["what"]: fact["value"] for fact in found["facts"]}
    assert values == {CYP2D6: "*4/*10", "gene.hla_a_31_01": True}


def test_several_samples_are_a_list(capsys, tmp_path):
    path = tmp_path / "two.vcf"
    path.write_text(file([line(SITE["rs776746"], "0/0", "1/1")], samples=("a", "b")))
    found = asked(capsys, path, "--sample", "all")
    assert [one["sample"] for one in found["samples"]] == ["a", "b"]
    assert [one["facts"][0]["value"] for one in found["samples"]] == ["*1/*1", "*3/*3"]
    assert asked(capsys, path, "--sample", "b")["facts"][0]["value"] == "*3/*3"
    assert main(["genotype", str(path)]) == 2
    assert "several samples" in capsys.readouterr().err


def test_the_text_says_what_was_not_tested(capsys, tmp_path):
    path = tmp_path / "one.vcf"
    path.write_text(file([line(SITE["rs1799853"], "0/1")]))
    assert main(["genotype", str(path)]) == 0
    text = capsys.readouterr().out
    assert "*1/*2" in text and "more" in text and "Left aside" in text


@pytest.mark.parametrize(
    "words, says",
    [
        ((), "nothing to read"),
        (("absent.vcf",), "cannot be read"),
        (("one.vcf", "--assembly", "hg17"), "It is GRCh37 or GRCh38"),
    ],
)
def test_mistakes_of_a_user_end_with_one_message(capsys, tmp_path, monkeypatch, words, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.vcf").write_text(file([]))
    assert main(["genotype", *words]) == 2
    message = capsys.readouterr().err
    assert says in message and "Traceback" not in message


def test_a_research_variant_changes_no_dose(capsys, tmp_path):
    path = tmp_path / "one.vcf"
    path.write_text(file(["6\t154039662\trs1799971\tA\tG\t.\t.\t.\tGT\t0/1"]))
    (finding,) = [f for f in asked(capsys, path)["findings"]
                  if f["rule"] == "medicines.research_genes"]  # fmt: skip
    assert "no dose changes" in finding["says"] and finding["category"] == "research"
    assert len(finding["positions"]) == 3


# -- a case folder --------------------------------------------------------------------------------


def test_genes_in_a_case_folder(tmp_path, variants):
    (tmp_path / "calls.txt").write_text("CYP2D6\t*4/*10\n")
    (tmp_path / "case.toml").write_text('[facts]\n"gene.cyp3a5.diplotype" = "*3/*3"\n')
    case = read_case(tmp_path, date(2026, 11, 21))
    values = {fact.what: fact.value for fact in case.record.facts}
    assert values == {CYP2D6: "*4/*10", "gene.cyp3a5.diplotype": "*3/*3"}
    assert {f.kind for f in case.files} == {"VCF", "calls of genes", "typed facts"}
    (vcf,) = [f for f in case.files if f.kind == "VCF"]
    assert vcf.says == "one sample on GRCh38, 161 of 369 positions of six genes"


def test_which_sample_is_the_persons_stands_in_the_case_file(tmp_path):
    text = file([line(SITE["rs776746"], "0/0", "1/1")], samples=("a", "b"))
    (tmp_path / "two.vcf").write_text(text)
    with pytest.raises(InputProblem, match="has several samples"):
        read_case(tmp_path, date(2026, 11, 21))
    (tmp_path / "case.toml").write_text('[genes]\nsample = "b"\nassembly = "GRCh38"\n')
    (fact,) = read_case(tmp_path, date(2026, 11, 21)).record.facts
    assert fact.value == "*3/*3"
    (tmp_path / "case.toml").write_text('[genes]\nspecimen = "b"\n')
    with pytest.raises(InputProblem, match="genes is not understood"):
        read_case(tmp_path, date(2026, 11, 21))
