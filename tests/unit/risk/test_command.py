"""``endplate score`` with scores of risk: what is missing, what is impossible, other units."""

from __future__ import annotations

import json

import pytest

from endplate.cli.main import main

IDS = [
    "sins", "tokuhashi_revised", "tomita", "bauer_modified", "nesms", "tlics", "tl_aosis", "slic",
    "mjoa", "mfi5", "mfi11", "asd_fi", "asd_fi_clinical", "charlson", "asa", "nrs2002", "must",
    "gnri", "pni", "conut", "sarcopenia", "anaemia", "hba1c", "smoking", "bmi", "van_middendorp",
    "hicks", "s1_pinprick",
]  # fmt: skip


def score(capsys, *words):
    code = main(["score", *words, "--json"])
    text = capsys.readouterr().out
    return code, json.loads(text)["findings"][0] if code == 0 else None


def test_every_score_is_listed(capsys):
    assert main(["score", "--list", "--json"]) == 0
    there = {s["id"] for s in json.loads(capsys.readouterr().out)["scores"]}
    assert set(IDS) <= there


@pytest.mark.parametrize("id", IDS)
def test_nothing_given_is_no_error_and_names_what_is_missing(id, capsys):
    code, found = score(capsys, id)
    assert code == 0
    assert found.get("value") is None and found["missing"]


@pytest.mark.parametrize("id", IDS)
def test_every_input_is_told(id, capsys):
    assert main(["score", id, "--inputs", "--json"]) == 0
    for one in json.loads(capsys.readouterr().out)["inputs"]:
        assert one["name"]
        assert one["kind"] != "number" or one["plausible"]
        assert one["kind"] != "category" or one["choices"]


@pytest.mark.parametrize(
    "words",
    [
        ("sins", "location=T13"),
        ("sins", "lesion=unknown"),
        ("sins", "collapse=101"),
        ("tokuhashi_revised", "karnofsky=85"),
        ("tokuhashi_revised", "vertebral_metastases=1.5"),
        ("tokuhashi_revised", "vertebral_metastases=0"),
        ("mjoa", "upper_limb_motor=6"),
        ("mjoa", "upper_limb_sensory=2.5"),
        ("van_middendorp", "l3_light_touch=3"),
        ("s1_pinprick", "s1_pinprick_left=-1"),
        ("tl_aosis", "morphology=b4"),
        ("gnri", "albumin=35"),
        ("pni", "lymphocytes=1500"),
        ("asa", "asa_class=7"),
        ("must", "weight_loss=-1"),
        ("charlson", "age=130"),
    ],
)
def test_what_cannot_be_is_refused(words, capsys):
    assert score(capsys, *words)[0] == 2


def test_other_units_give_the_same(capsys):
    one = score(capsys, "pni", "albumin=35 g/L", "lymphocytes=1500 /uL")[1]
    other = score(capsys, "pni", "albumin=3.5", "lymphocytes=1.5")[1]
    assert one["value"] == other["value"] == 42.5


def test_an_item_left_blank_is_missing(capsys):
    code, found = score(capsys, "tlics", "morphology=burst", "neurology=", "--on", "2026-06-01")
    assert code == 0
    assert set(found["missing"]) == {"tlics.posterior_ligamentous_complex", "tlics.neurology"}
    assert found["parts"]["lowest_possible"] == 2 and found["parts"]["highest_possible"] == 8


def test_the_form_of_the_mjoa_that_is_taken_is_shown(capsys):
    words = ["mjoa", "lower_limb_motor=7", "upper_limb_sensory=3", "sphincter=3"]
    assumed = score(capsys, *words, "upper_limb_motor=4")[1]["assumed"]
    assert [f["what"] for f in assumed] == ["mjoa.form"]
    # The form of 17 points ends at 4: a 5 says which it is.
    assert not score(capsys, *words, "upper_limb_motor=5")[1].get("assumed")
