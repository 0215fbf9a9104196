"""Diplotype to score to phenotype: by hand, against all of CPIC's lists, one by one and in bulk."""

from __future__ import annotations

import importlib.util
import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from endplate.medicines import phenotype as ph
from endplate.medicines.tables import table

POOR, INTERMEDIATE, NORMAL, ULTRARAPID = (
    f"{word}_metaboliser" for word in ("poor", "intermediate", "normal", "ultrarapid")
)
CYP2D6_LIST = "CYP2D6_cpic_c8100ec8.json"


def only(gene: str, text: str) -> ph.Call:
    (call,) = ph.calls(gene, text)
    return call


@pytest.mark.parametrize(
    "diplotype, score, said",
    [
        ("*1/*1", 2.0, NORMAL), ("*1/*4", 1.0, INTERMEDIATE), ("*1/*10", 1.25, NORMAL),
        ("*1/*41", 1.25, NORMAL), ("*10/*10", 0.5, INTERMEDIATE), ("*4/*10", 0.25, INTERMEDIATE),
        ("*17/*41", 0.75, INTERMEDIATE), ("*1x2/*4", 2.0, NORMAL), ("*1x2/*10", 2.25, NORMAL),
        ("*2x2/*41", 2.25, NORMAL), ("*1/*2x2", 3.0, ULTRARAPID), ("*4/*5", 0.0, POOR),
        ("*1x2/*9", 2.25, NORMAL), ("*1x2/*17", 2.5, ULTRARAPID),
    ],
)  # fmt: skip
def test_known_scores_of_cyp2d6(diplotype, score, said):
    call = only("CYP2D6", diplotype)
    assert (call.score, call.at_least, call.phenotypes) == (score, False, (said,))


@pytest.mark.parametrize(
    "score, said",
    [
        (0.0, POOR), (1e-9, INTERMEDIATE), (0.25, INTERMEDIATE), (1.0, INTERMEDIATE),
        (1.249, INTERMEDIATE), (1.25, NORMAL), (2.25, NORMAL), (2.251, ULTRARAPID),
        (2.5, ULTRARAPID),
    ],
)  # fmt: skip
def test_both_sides_of_each_limit_of_cyp2d6(score, said):
    assert ph.by_score("CYP2D6", score) == (said,)


@pytest.mark.parametrize(
    "score, said",
    [(0.0, POOR), (0.5, POOR), (0.999, POOR), (1.0, INTERMEDIATE), (1.5, INTERMEDIATE),
     (1.999, INTERMEDIATE), (2.0, NORMAL)],
)  # fmt: skip
def test_both_sides_of_each_limit_of_cyp2c9(score, said):
    assert ph.by_score("CYP2C9", score) == (said,)


def test_a_tandem_adds_its_alleles_and_brackets_do_not_matter():
    for text in ("*36+*10/*10", "*10/*10+*36", "(*36+*10)/*10", "*10 / [*36 + *10]"):
        assert only("CYP2D6", text).score == 0.5
    assert only("CYP2D6", "*1/*36x2+*10").score == 1.25
    # Two copies of a whole tandem cannot be told from a tandem with a copied allele.
    assert ph.calls("CYP2D6", "*1/(*36+*10)x2") == ()


def test_copies_multiply_and_three_or_more_are_a_lower_bound():
    assert only("CYP2D6", "*41x3/*4").score == 0.75
    bound = only("CYP2D6", "*1x≥3/*4")
    assert (bound.score, bound.at_least, bound.phenotypes) == (3.0, True, (ULTRARAPID,))
    assert only("CYP2D6", "*1x>=3/*4").score == bound.score
    nothing = only("CYP2D6", "*4x>=3/*4")
    assert (nothing.score, nothing.at_least, nothing.phenotypes) == (0.0, False, (POOR,))
    open_still = only("CYP2D6", "*10x>=3/*4")
    assert open_still.phenotypes == (INTERMEDIATE, NORMAL, ULTRARAPID)


def test_copies_of_unknown_number_stand_for_two_and_for_more():
    assert [c.phenotypes for c in ph.calls("CYP2D6", "*1xN/*4")] == [(NORMAL,), (ULTRARAPID,)]
    assert {c.phenotypes for c in ph.calls("CYP2D6", "*1xN/*1")} == {(ULTRARAPID,)}


def test_copies_and_tandems_of_other_genes_are_not_counted():
    for gene, text in (("CYP2C9", "*1x2/*2"), ("CYP2C9", "*1/*2+*24"), ("CYP2C19", "*1x2/*2")):
        call = only(gene, text)
        assert (call.score, call.phenotypes) == (None, (ph.INDETERMINATE,))


def test_an_allele_that_nobody_listed_makes_it_indeterminate():
    call = only("CYP2D6", "*1/*9999")
    assert call.phenotypes == (ph.INDETERMINATE,) and call.score is None
    assert call.sides[1].unlisted == ("*9999",)


def test_a_suballele_has_the_function_of_its_allele():
    assert only("CYP2D6", "*1.001/*4.013").score == 1.0


def test_the_gene_may_stand_before_its_alleles():
    assert only("CYP2D6", "CYP2D6*1/CYP2D6*4").score == 1.0
    assert only("CYP2C19", "CYP2C19 *1/*17").phenotypes == ("rapid_metaboliser",)


def test_several_readings_are_all_kept():
    both = ph.calls("CYP2C19", "*1/*4 or *17/*2")
    assert [c.phenotypes for c in both] == [("intermediate_metaboliser",)] * 2
    assert len(ph.calls("CYP2D6", "*1/*4, *1/*1")) == 2


@pytest.mark.parametrize("text", ["", "*1", "wild type", "*1/*4/*5", "*1/", "1/4", "*1/*4 or"])
def test_what_is_no_diplotype_gives_nothing(text):
    assert ph.calls("CYP2D6", text) == ()


ALLELES = [row["allele"] for row in ph.functions("CYP2D6").rows]
SIDES = st.builds(
    "{}{}".format, st.sampled_from(ALLELES), st.sampled_from(["", "", "x2", "x3", "x>=3"])
)


@given(SIDES, SIDES)
def test_the_order_of_the_sides_does_not_matter(one, other):
    there, back = only("CYP2D6", f"{one}/{other}"), only("CYP2D6", f"{other}/{one}")
    assert (there.score, there.phenotypes) == (back.score, back.phenotypes)


@given(SIDES, SIDES)
def test_a_further_copy_never_lowers_the_score(one, other):
    before, after = only("CYP2D6", f"{one}/{other}"), only("CYP2D6", f"{one}+*1/{other}")
    assert before.score is None or after.score == before.score + 1


ODD = st.sampled_from(["*1xN/*4", "wild type", "", "*1/*4 or *1/*5"])


@given(st.lists(st.one_of(st.builds("{}/{}".format, SIDES, SIDES), ODD)))
def test_a_column_says_the_same_as_one_at_a_time(texts):
    made = ph.phenotypes("CYP2D6", texts)
    for n, text in enumerate(texts):
        said = {p for c in ph.calls("CYP2D6", text) for p in c.phenotypes}
        scores = {(c.score, c.at_least) for c in ph.calls("CYP2D6", text)}
        assert made.phenotype[n] == (said.pop() if len(said) == 1 else ph.INDETERMINATE)
        if len(scores) == 1 and None not in next(iter(scores)):
            assert (made.score[n], made.at_least[n]) == scores.pop()
        else:
            assert math.isnan(made.score[n]) and not made.at_least[n]


def test_an_array_of_numpy_is_taken_as_a_list_is():
    array = np.array(["*1/*1", "*4/*4"], dtype=object)
    assert list(ph.phenotypes("CYP2D6", array).phenotype) == [NORMAL, POOR]
    assert len(ph.phenotypes("CYP2D6", []).score) == 0


def test_half_of_an_activity_is_another_phenotype():
    for said, halved in (
        (POOR, (POOR,)), (INTERMEDIATE, (INTERMEDIATE,)), (NORMAL, (INTERMEDIATE,)),
        (ULTRARAPID, (NORMAL, ULTRARAPID)),
    ):  # fmt: skip
        assert ph.scaled("CYP2D6", ph.Call(phenotypes=(said,)), 0.5).phenotypes == halved
        assert ph.scaled("CYP2D6", ph.Call(phenotypes=(said,)), 0.0).phenotypes == (POOR,)


# -- CPIC's own lists -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lists(shared_data: Path) -> Path:
    folder = shared_data / "pgx" / "pharmcat" / "phenotype"
    if not folder.is_dir():
        pytest.skip("needs CPIC's lists beside the checkout")
    return folder


@pytest.mark.shared_data
@pytest.mark.parametrize(
    "gene, count",
    [("CYP2D6", 15051), ("CYP2C9", 2850), ("CYP2C19", 666), ("CYP2B6", 1176), ("CYP3A4", 78),
     ("CYP3A5", 21)],
)  # fmt: skip
def test_every_diplotype_of_cpic(gene, count, lists):
    path = lists / (CYP2D6_LIST if gene == "CYP2D6" else f"{gene}.json")
    rows = json.loads(path.read_text(encoding="utf-8"))["diplotypes"]
    assert len(rows) == count
    made = ph.phenotypes(gene, [row["diplotype"] for row in rows])
    wrong = []
    for n, row in enumerate(rows):
        said = row["phenotype"].lower().replace("metabolizer", "metaboliser").replace(" ", "_")
        score = row["activityScore"]
        none = score in (None, "n/a")
        number = math.isnan(made.score[n]) if none else made.score[n] == float(score.lstrip("≥"))
        bound = made.at_least[n] == (not none and score.startswith("≥"))
        one = only(gene, row["diplotype"])
        alike = (said,) == one.phenotypes and none == (one.score is None)
        if made.phenotype[n] != said or not number or not bound or not alike:
            wrong.append(row["diplotype"])
    assert wrong == []


@pytest.mark.shared_data
def test_the_tables_are_what_the_script_makes_of_cpics_lists(lists, tmp_path, monkeypatch):
    path = Path(__file__).parents[3] / "tools" / "import_phenotypes.py"
    spec = importlib.util.spec_from_file_location("import_phenotypes", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    room = script.ROOM
    monkeypatch.setattr(script, "ROOM", tmp_path)
    monkeypatch.setattr("sys.argv", ["import_phenotypes.py", str(lists)])
    script.main()
    made = sorted(p.name for p in tmp_path.iterdir())
    assert len(made) == 7
    assert [(tmp_path / name).read_bytes() for name in made] == [
        (room / name).read_bytes() for name in made
    ]


def test_the_changed_activity_values_are_in():
    values = {row["allele"]: row["activity_value"] for row in table("functions_cyp2d6").rows}
    for allele in ("*9", "*10", "*32", "*41", "*52", "*91", "*109", "*119", "*132"):
        assert values[allele] == "0.25"
