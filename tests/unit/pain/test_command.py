"""``endplate score`` with the rules of pain."""

from __future__ import annotations

import json

import pytest

from endplate.cli.main import main

IDS = ["red_flags", "neupsig", "iasp_nociplastic", "peripheral_sensitisation",
       "central_sensitisation", "pain_mechanism", "yellow_flags", "pain_treatments"]  # fmt: skip


def score(capsys, *words):
    code = main(["score", *words, "--json"])
    text = capsys.readouterr().out
    return code, json.loads(text)["findings"] if code == 0 else None


@pytest.mark.parametrize("id", IDS)
def test_nothing_given_is_no_error_and_names_what_is_missing(id, capsys):
    code, found = score(capsys, id)
    assert code == 0
    assert found[0].get("value") is None and found[0]["missing"]


@pytest.mark.parametrize("id", IDS)
def test_every_input_is_told_in_plain_words(id, capsys):
    assert main(["score", id, "--inputs", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["inputs"]
    assert all(one["name"] and one["key"] for one in found)


@pytest.mark.parametrize(
    "words",
    [
        ("neupsig", "history_of_relevant_lesion=perhaps"),
        ("neupsig", "no_such_input=yes"),
        ("iasp_nociplastic", "duration=-1"),
        ("red_flags", "post_void_residual=5000"),
        ("pain_treatments", "presentation=headache"),
        ("central_sensitisation", "csi=101"),
    ],
)
def test_what_cannot_be_is_refused(words, capsys):
    assert score(capsys, *words)[0] == 2


def test_words_that_a_clinician_would_type(capsys):
    found = score(capsys, "neupsig", "history=yes", "plausible_distribution=yes",
                  "sensory_signs=no", "diagnostic_test=yes")[1]  # fmt: skip
    assert found[0]["category"] == "probable"
    found = score(capsys, "red_flags", "saddle_anaesthesia=yes", "fever=no")[1]
    assert found[0]["category"] == "emergency"
    assert found[1]["action"].startswith("Send for an emergency MRI")
    found = score(capsys, "yellow_flags", "pcs=30", "tsk17=30")[1]
    assert found[0]["parts"]["flags"] == 1
    answers = [f"fabq.item{n}=6" for n in (2, 3, 4, 5)]
    assert (
        score(capsys, "yellow_flags", *answers)[1][0]["parts"]["fabq_physical_activity"] == "high"
    )


def test_a_duration_in_weeks_is_one_in_months(capsys):
    words = ("pain_treatments", "presentation=low_back_pain")
    assert score(capsys, *words, "duration=13 wk")[1][0]["about"] == "low_back_pain_acute"
    assert score(capsys, *words, "duration=14 weeks")[1][0]["about"] == "low_back_pain_chronic"


def test_scores_of_scales_count_where_their_items_were_not_noted(capsys):
    parts = score(capsys, "yellow_flags", "start_back=4", "start_back_psych=4", "fabq_pa=15",
                  "fabq_w=29")[1][0]["parts"]  # fmt: skip
    assert parts["start_back"] == "high" and parts["flags"] == 2
    assert (parts["fabq_physical_activity"], parts["fabq_work"]) == ("high", "low")
    assert score(capsys, "start_back", "score=4", "psych=3")[1][0]["category"] == "medium"
    alone = score(capsys, "yellow_flags", "start_back=4")[1][0]
    assert alone["category"] is None and "open: STarT Back" in alone["says"]
    assert "questionnaire.start_back.psychosocial" in alone["missing"]
