"""The scorer: arrays as single forms, blanks, and what a form has not."""

from __future__ import annotations

import random
from math import isnan

import numpy as np
import pytest

from endplate import vocabulary
from endplate.facts import InputProblem
from endplate.questionnaires.instrument import instruments, key, value_sets
from endplate.questionnaires.scoring import score
from endplate.questionnaires.values import DIMENSIONS

IDS = list(instruments())
# More rows than are scored at once, so that the seams between blocks are seen.
ROWS = 9000
NAN = float("nan")


def taken(item):
    """Every answer that an item of a form takes."""
    concept = vocabulary.concept(item)
    low, high = concept.plausible or (0, 1)
    step = concept.step or 1
    return np.arange(low, high + step / 2, step)


def answers(id, rows, blanks, seed=7):
    chance = np.random.default_rng(seed)
    columns = []
    for item in instruments()[id].items:
        column = chance.choice(taken(item), rows)
        column[chance.random(rows) < blanks] = np.nan
        columns.append(column)
    return columns


def context(id, rows):
    if key(id).values:
        return {"country": "usa"}
    if id == "ort":
        return {"sex": np.random.default_rng(3).choice(["female", "male", "other"], rows)}
    return {}


def by_hand(id, form, sex=None, country=None):
    """Every scale of one form in plain Python, written without looking at the scorer."""
    of, items = key(id), instruments()[id].items
    if of.values:
        return {}
    low = [float(taken(item)[0]) for item in items]
    high = [float(taken(item)[-1]) for item in items]
    found = {}
    for name, scale in of.scale.items():
        if scale.from_:
            parts = [found[n] for n in scale.from_]
            if any(p is None for p in parts):
                found[name] = None
            elif scale.how == "t_score":
                found[name] = scale.t_score[int(parts[0]) - scale.t_from]
            else:
                found[name] = sum(parts) / len(parts)
            continue
        numbers = scale.of or range(1, len(items) + 1)
        worth = scale.points or scale.points_by_sex.get(sex, ())
        given = []
        for place, n in enumerate(numbers):
            x = form[n - 1]
            if isnan(x):
                continue
            x = low[n - 1] + high[n - 1] - x if n in scale.reverse else x
            given.append(x * worth[place] if worth else x)
        least = scale.least
        least = next(iter(least.values())) if isinstance(least, dict) else least
        least = len(numbers) if least is None else least
        if len(given) < least or (scale.points_by_sex and sex not in scale.points_by_sex):
            found[name] = None
        elif scale.how == "mean":
            found[name] = sum(given) / len(given)
        elif scale.how == "percent":
            found[name] = 100 * sum(given) / (5 * len(given))
        elif scale.how == "highest":
            found[name] = max(given)
        elif scale.blank == "nothing":
            found[name] = sum(given)
        else:
            found[name] = sum(given) * len(numbers) / len(given)
    return found


@pytest.mark.parametrize("id", IDS)
def test_many_forms_are_scored_as_each_of_them_by_hand(id):
    columns, more = answers(id, ROWS, 0.04), context(id, ROWS)
    whole = score(id, columns, **more)
    for row in [0, 1, 4095, 4096, ROWS - 1, *random.Random(5).sample(range(ROWS), 60)]:
        form = [float(c[row]) for c in columns]
        sex = more["sex"][row] if "sex" in more else None
        for name, wanted in by_hand(id, form, sex).items():
            got = whole.scales[name][row]
            assert (wanted is None and np.isnan(got)) or got == pytest.approx(wanted), (name, form)
        alone = score(id, form, **({**more, "sex": [sex]} if sex else more))
        for name in whole.scales:
            np.testing.assert_equal(alone.scales[name][0], whole.scales[name][row])
        assert alone.answered[0] == whole.answered[row] == sum(not isnan(x) for x in form)


@pytest.mark.parametrize("id", IDS)
def test_a_form_without_answers_has_no_score(id):
    empty = score(id, [NAN] * len(instruments()[id].items), **context(id, 1))
    assert all(np.isnan(column[0]) for column in empty.scales.values())
    assert empty.answered[0] == 0


@pytest.mark.parametrize("id", IDS)
def test_the_order_of_the_rows_does_not_matter(id):
    columns, more = answers(id, 50, 0.1), context(id, 50)
    back = {**more, "sex": more["sex"][::-1]} if "sex" in more else more
    one, other = score(id, columns, **more), score(id, [c[::-1] for c in columns], **back)
    for name in one.scales:
        np.testing.assert_array_equal(one.scales[name], other.scales[name][::-1])


@pytest.mark.parametrize("id", IDS)
def test_a_score_lies_in_the_range_that_the_vocabulary_gives(id):
    concept = vocabulary.concepts().get(f"questionnaire.{id}.score")
    if concept is None:
        return  # it has no one score
    total = score(id, answers(id, ROWS, 0.02), **context(id, ROWS)).total
    low, high = concept.plausible
    assert np.nanmin(total) >= low and np.nanmax(total) <= high
    if not key(id).values:
        ends = [
            score(id, [f(taken(i)) for i in instruments()[id].items], **context(id, 1)).total[0]
            for f in (min, max)
        ]
        plain = not any(s.reverse for s in key(id).scale.values()) and id != "ort"
        assert not plain or key(id).scale["total"].how == "t_score" or ends == [low, high]


@pytest.mark.parametrize("wrong", [-1.0, 6.0, 2.5, 256.0, 1e300, float("inf")])
@pytest.mark.parametrize("row", [0, ROWS - 1])
def test_an_answer_that_a_form_has_not_is_refused_wherever_it_stands(wrong, row):
    columns = answers("odi", ROWS, 0.1)
    columns[3][row] = wrong
    with pytest.raises(InputProblem, match="Item 4 takes 0 to 5"):
        score("odi", columns)


@pytest.mark.parametrize(
    "id, item, wrong", [("comi", 3, 3.0), ("zcq", 7, 2.0), ("pain_detect", 9, 1.0),
                        ("ompsq10", 1, 0.0), ("zcq", 8, 5.0), ("start_back", 1, 2.0)]
)  # fmt: skip
def test_items_that_differ_from_the_rest_have_answers_of_their_own(id, item, wrong):
    form = [float(taken(i)[-1]) for i in instruments()[id].items]
    score(id, form)
    form[item - 1] = wrong
    with pytest.raises(InputProblem, match=f"Item {item} takes"):
        score(id, form)


def test_arrays_of_different_lengths_or_too_few_are_refused():
    with pytest.raises(InputProblem, match="It has 10 items"):
        score("odi", [np.zeros(3)] * 9)
    with pytest.raises(InputProblem, match="each an array of one length"):
        score("odi", [*[np.zeros(3)] * 9, np.zeros(4)])


def test_integers_and_a_table_are_taken_as_well():
    table = np.full((10, 3), 2)
    assert score("odi", table).total.tolist() == [40.0] * 3


def test_no_rows_give_no_scores():
    assert len(score("odi", [np.empty(0)] * 10).total) == 0


# -- missing items: both sides of every least number ----------------------------------------------

LEAST = [
    (id, name, reading, least)
    for id in IDS
    for name, scale in key(id).scale.items()
    if not scale.from_
    for reading, least in (
        scale.least.items()
        if isinstance(scale.least, dict)
        else [("", scale.least or len(scale.of or instruments()[id].items))]
    )
]


@pytest.mark.parametrize("id, name, reading, least", LEAST)
def test_the_least_number_of_answers_is_enough_and_one_less_is_not(id, name, reading, least):
    scale, items = key(id).scale[name], instruments()[id].items
    used = [n - 1 for n in scale.of] or list(range(len(items)))
    more = {"sex": ["male"]} if id == "ort" else {}
    for count in {least, least - 1}:
        kept = used[:count]
        form = [float(taken(i)[0]) if n in kept else NAN for n, i in enumerate(items)]
        got = score(id, form, reading=reading, **more).scales[name][0]
        assert np.isnan(got) == (count < least)


# -- EQ-5D ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("id, levels", [("eq5d5l", 5), ("eq5d3l", 3)])
def test_full_health_is_worth_most_and_each_set_has_all_weights(id, levels):
    for country, terms in value_sets(id).items():
        best = score(id, [1.0] * 5, country=country).total[0]
        worst = score(id, [float(levels)] * 5, country=country).total[0]
        assert worst < best <= 1, country
        plain = [f"{d}{n}" for d in DIMENSIONS for n in range(2, levels + 1)]
        lacking = [t for t in plain if t not in terms]
        assert not lacking or (id, country) == ("eq5d3l", "germany"), (country, lacking)


def test_sets_without_further_terms_are_one_less_the_weights():
    plain = {f"{d}{n}" for d in DIMENSIONS for n in range(2, 6)} | {"start"}
    seen = 0
    profiles = answers("eq5d5l", 40, 0)
    for country, terms in value_sets("eq5d5l").items():
        if {t for t, w in terms.items() if w} <= plain:
            seen += 1
            for row, value in enumerate(score("eq5d5l", profiles, country=country).total):
                levels = [int(c[row]) for c in profiles]
                weights = [
                    terms[f"{d}{n}"] for d, n in zip(DIMENSIONS, levels, strict=True) if n > 1
                ]
                assert value == pytest.approx(terms["start"] + sum(weights), abs=0.00051)
    assert seen == 49 - 11  # eleven sets have a term for the profile as a whole


def test_the_country_is_never_guessed():
    assert np.isnan(score("eq5d5l", [1.0] * 5).total[0])
    for name in ("japan", "sweden", "peru", "atlantis"):
        with pytest.raises(InputProblem, match="country of the value set is needed"):
            score("eq5d5l", [1.0] * 5, country=name)
    assert score("eq5d5l", [2.0] * 5, country="United States").total[0] == pytest.approx(0.63)


def test_the_profiles_with_values_of_their_own_hold_for_australia_alone():
    for country in value_sets("eq5d3l"):
        value = score("eq5d3l", [3.0] * 5, country=country).total[0]
        assert (value == -0.217) == (country == "australia")
