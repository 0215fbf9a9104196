"""``endplate score`` with questionnaires: items, answers in a row, blanks, and what is refused."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from endplate.cli.main import app

RUN = CliRunner()


def score(*arguments, code=0):
    done = RUN.invoke(app, ["score", *arguments, "--json"])
    assert (done.exit_code != 0) == bool(code), done.output
    return json.loads(done.stdout)["findings"][0] if not code else done


def test_items_and_answers_in_a_row_say_the_same():
    row = score("odi", "answers=2,2,2,2,2,2,2,,2,2")
    each = score("odi", *[f"item{n}=2" for n in range(1, 11) if n != 8], "item8=")
    assert row == each
    assert (row["value"], row["category"], row["parts"]["prorated"]) == (40, "moderate", True)
    assert row["missing"] == ["questionnaire.odi.item8"]


def test_answers_that_stop_early_leave_the_rest_missing():
    found = score("odi", "answers=1,0,,3")
    assert found["value"] is None and len(found["missing"]) == 7


@pytest.mark.parametrize(
    "arguments",
    [
        ("odi", "item1=6"),
        ("odi", "item1=-1"),
        ("odi", "item1=2.5"),
        ("odi", "item1=often"),
        ("odi", "item11=1"),
        ("odi", "answers=" + ",".join("1" * 11)),
        ("odi", "answers=1,2", "item1=1"),
        ("comi", "item3=3"),
        ("dn4", "item1=2"),
        ("eq5d5l", "answers=1,1,1,1,1", "country=atlantis"),
        ("eq5d5l", "answers=1,1,1,1,1", "country=japan"),
        ("ort", "sex=neither"),
    ],
)
def test_what_a_form_has_not_is_refused(arguments):
    done = RUN.invoke(app, ["score", *arguments])
    assert done.exit_code != 0 and "Traceback" not in done.output


@pytest.mark.parametrize("country", ["USA", "usa", "us", "United_States"])
def test_a_country_is_named_as_people_name_it(country):
    assert score("eq5d5l", "answers=2,1,2,3,2", f"country={country}")["value"] == 0.681


def test_inputs_are_listed_with_their_ranges():
    done = RUN.invoke(app, ["score", "comi", "--inputs", "--json"])
    found = {i["key"]: i for i in json.loads(done.stdout)["inputs"]}
    assert found["questionnaire.comi.item1"]["plausible"] == [0, 10]
    assert found["questionnaire.comi.item3"]["step"] == 2.5
    assert found["questionnaire.comi.item3"]["required"]
    text = RUN.invoke(app, ["score", "comi", "--inputs"]).output
    assert "0 to 10 in steps of 2.5" in text


def test_every_questionnaire_is_listed():
    from endplate.questionnaires.instrument import instruments

    done = RUN.invoke(app, ["score", "--list", "--json"])
    ids = {s["id"] for s in json.loads(done.stdout)["scores"]}
    assert set(instruments()) <= ids and len(instruments()) == 34
