"""Training: what it learns of made people is what they were made by, and chance gives nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

from endplate.evidence.model import model_from
from endplate.facts import InputProblem
from endplate.registry.cohort_table import read_cohort
from endplate.registry.model_file import held_against, read_model, text_of
from endplate.registry.training import Plan, cross_validated, fit, permuted, trained
from unit.registry.people import CLASSES, COLUMNS, SHARES, table


def bayes(values):
    """The true probability of each class, by which the people were made."""
    chance = np.prod(np.where(values[:, None, :] == 1, SHARES, 1 - SHARES), axis=2)
    return chance / chance.sum(axis=1, keepdims=True)


def test_a_model_of_many_gives_the_true_probabilities(tmp_path):
    people = read_cohort(table(tmp_path / "t.csv", rows=6000), "group", COLUMNS)
    given = fit(people.values, people.of_class, 1).probabilities(people.values)
    assert np.abs(given - bayes(people.values)).max() < 0.06
    assert np.abs(given.sum(axis=1) - 1).max() < 1e-12


def test_it_is_the_same_each_time(cohort):
    one, two = (cross_validated(cohort.values, cohort.of_class, 5, 3) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert np.isfinite(one).all() and (one > 0).all()


def test_nothing_of_the_unseen_is_learned(cohort):
    # Of one person all values are put far off: the others of the same part, who are classed by
    # the same model, must be given what they were; those of other parts are given something else.
    before = cross_validated(cohort.values, cohort.of_class, 5, 3)
    values = cohort.values.copy()
    values[0] = 50.0
    same = np.isclose(before, cross_validated(values, cohort.of_class, 5, 3), atol=1e-9).all(axis=1)
    parts = StratifiedKFold(5, shuffle=True, random_state=3).split(values, cohort.of_class)
    (with_it,) = [unseen for _, unseen in parts if 0 in unseen]
    assert same[with_it[1:]].all() and len(with_it) == 48
    assert not np.delete(same, with_it).any()


def test_dealt_out_by_chance_nothing_is_found(cohort):
    found = permuted(cohort, Plan(folds=5, permutations=4, seed=2))
    assert found.times == 4
    assert found.accuracy == pytest.approx(1 / 3, abs=0.08)
    assert found.auc == pytest.approx(0.5, abs=0.06)


def test_the_validation_is_honest_about_made_people(model, cohort):
    found = model.validation
    best = (bayes(cohort.values).argmax(axis=1) == cohort.of_class).mean()
    assert found.accuracy.value == pytest.approx(best, abs=0.05)
    assert found.majority == pytest.approx(1 / 3, abs=1e-4)
    assert sum(map(sum, found.confusion)) == found.rows == 240
    assert all(0.6 < c.slope < 1.6 for c in found.calibration.values())
    assert found.permuted.accuracy < found.accuracy.low


def test_a_file_gives_the_same_model_again(model, tmp_path):
    text = text_of(model)
    assert model_from(text, "m.toml") == model
    (tmp_path / "m.toml").write_text(text, encoding="utf-8")
    assert read_model(tmp_path / "m.toml") == model
    rng = np.random.default_rng(1)
    rows = rng.integers(0, 2, (50, 4)).astype(float)
    np.testing.assert_array_equal(
        read_model(tmp_path / "m.toml").probabilities(rows), model.probabilities(rows)
    )


@pytest.mark.parametrize("title", ['with "quotes" and \\', "two\nlines", "Rücken …", "a\x7fb"])
def test_any_words_survive_the_file(model, title):
    named = type(model)(
        **{n: getattr(model, n) for n in model.__struct_fields__} | {"title": title}
    )
    assert model_from(text_of(named), "m.toml").title == title.replace("\x7f", "")


def test_blanks_are_filled_and_counted(tmp_path):
    people = read_cohort(table(tmp_path / "t.csv", blank=0.1), "group", COLUMNS)
    plan = Plan(folds=5, repeats=1, permutations=0)
    model = trained(people, plan, title="t", version="1", describes="d", on=date(2026, 6, 1))
    assert model.data.blanks == people.blanks > 50
    assert 0 < model.validation.filled <= people.blanks
    assert model.validation.permuted is None
    assert {p.fill for p in model.predictor} <= {0.0, 1.0}


def test_other_people_validate_it(model, tmp_path):
    other = table(tmp_path / "other.csv", rows=900, seed=9)
    cohort, found = held_against(model, other, "group")
    assert found.rows == len(cohort.of_class) == 900 and found.permuted is None
    assert "another table" in found.how
    assert abs(found.accuracy.value - model.validation.accuracy.value) < 0.07


def test_its_own_people_are_known_again(model, tmp_path):
    _, found = held_against(model, table(tmp_path / "people.csv"), "group")
    assert "no validation" in found.how


def test_two_classes_are_enough_and_sum_to_one(cohort):
    two = cohort.of_class < 2
    few = replace(
        cohort, classes=CLASSES[:2], of_class=cohort.of_class[two], values=cohort.values[two]
    )
    plan = Plan(folds=5, repeats=1, permutations=0)
    model = trained(few, plan, title="t", version="1", describes="d", on=date(2026, 6, 1))
    given = model.probabilities(few.values)
    assert given.shape == (160, 2) and np.abs(given.sum(axis=1) - 1).max() < 1e-12
    assert (given.argmax(axis=1) == few.of_class).mean() > 0.85


@pytest.mark.parametrize("folds, rows", [(10, 27), (5, 18)])
def test_too_few_people_are_refused(tmp_path, folds, rows):
    people = read_cohort(table(tmp_path / "t.csv", rows=rows), "group", COLUMNS)
    with pytest.raises(InputProblem, match="people in each"):
        trained(people, Plan(folds=folds), title="", version="", describes="", on=date(2026, 6, 1))


def test_a_predictor_that_tells_nobody_apart_is_refused(cohort):
    values = cohort.values.copy()
    values[:, 3] = 1
    values[0, 3] = np.nan
    with pytest.raises(InputProblem, match="D is the same in everybody"):
        trained(
            replace(cohort, values=values), Plan(), title="", version="", describes="",
            on=date(2026, 6, 1),
        )  # fmt: skip


@pytest.mark.parametrize(
    "old, new, said",
    [
        ("intercepts = [", "intercepts = [0.5, ", "one for each"),
        ('version = "2"', "version = 2", "version"),
        (
            'concept = "pain.criterion.localised"',
            'concept = "pain.criterion.widespread"',
            "another",
        ),
        ("scale = 0.", "scale = -0.", "above 0"),
        ("penalty = ", "penalti = ", "penalti"),
        ("[data]", "[data", "cannot be used"),
        ('classes = ["central"', 'classes = ["nociceptive"', "name of its own"),
        ("penalty = ", "penalty = nan #", "possible ones"),
        ("[validation.accuracy]\nvalue = ", "[validation.accuracy]\nvalue = 9", "possible ones"),
    ],
)
def test_a_spoiled_file_is_no_model(model, old, new, said):
    text = text_of(model)
    assert old in text
    with pytest.raises(InputProblem, match="cannot be used as a model") as problem:
        model_from(text.replace(old, new, 1), "m.toml")
    assert said in str(problem.value)
