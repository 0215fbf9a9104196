"""A registry's answers: ODI and two PROMIS forms for a million people, beside written-out NumPy.

The peer is what somebody who knows the three keys would write for this one table, without checking
that the answers are ones that the forms have. Both give equal scores, or the benchmark fails. The
plain loop over the ODI of a hundredth of the people shows what a form at a time costs.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from math import isnan

import numpy as np

from bench.timing import Line, timed

HERE = "bench.questionnaires"
PEOPLE = 1_000_000
LOOPED = PEOPLE // 100
FORMS = {
    "odi": (10, 0, 5),
    "promis_physical_function_4a": (4, 1, 5),
    "promis_pain_interference_4a": (4, 1, 5),
}
Columns = list[np.ndarray]


@cache
def answers() -> dict[str, Columns]:
    """Columns of numbers, three blanks in a hundred, the same on every run."""
    chance = np.random.default_rng(20)
    made = {}
    for id, (items, low, high) in FORMS.items():
        made[id] = [chance.integers(low, high + 1, PEOPLE).astype(float) for _ in range(items)]
        for column in made[id]:
            column[chance.random(PEOPLE) < 0.03] = np.nan
    return made


def ours() -> dict[str, np.ndarray]:
    from endplate.questionnaires.scoring import score

    return {id: score(id, columns).total for id, columns in answers().items()}


@cache
def _tables() -> dict[str, np.ndarray]:
    from endplate.questionnaires.instrument import key

    scales = {id: key(id).scale["total"] for id in FORMS if id != "odi"}
    return {id: np.array([*scale.t_score, np.nan]) for id, scale in scales.items()}


def numpy_by_hand() -> dict[str, np.ndarray]:
    total, given = np.zeros(PEOPLE), np.zeros(PEOPLE)
    for column in answers()["odi"]:
        there = ~np.isnan(column)
        given += there
        total += np.where(there, column, 0)
    found = {"odi": np.where(given >= 9, 100 * total / (5 * given), np.nan)}
    for id, table in _tables().items():
        one, two, three, four = answers()[id]
        raw = one + two + three + four
        found[id] = table[np.where(np.isnan(raw), 17, raw - 4).astype(np.intp)]
    return found


def plain_loop() -> list[float | None]:
    """The ODI of the first people, a form at a time."""
    rows = np.column_stack([column[:LOOPED] for column in answers()["odi"]]).tolist()
    found = []
    for row in rows:
        given = [x for x in row if not isnan(x)]
        found.append(100 * sum(given) / (5 * len(given)) if len(given) >= 9 else None)
    return found


def ours_of_the_looped() -> np.ndarray:
    from endplate.questionnaires.scoring import score

    return score("odi", [column[:LOOPED] for column in answers()["odi"]]).total


def lines() -> Iterator[Line]:
    mine, theirs = ours(), numpy_by_hand()
    for id in FORMS:
        np.testing.assert_allclose(mine[id], theirs[id], rtol=0, atol=1e-9)
    yield Line(
        "ODI and two PROMIS forms of a million people", timed(f"{HERE}:ours"),
        "NumPy written out for them, unchecked", timed(f"{HERE}:numpy_by_hand"),
        aim="at most 3 times", count=PEOPLE, things="people",
        note="equal scores; ours also refuses answers that a form has not",
    )  # fmt: skip
    yield Line(
        f"ODI of {LOOPED:,} people", timed(f"{HERE}:ours_of_the_looped"),
        "a plain Python loop", timed(f"{HERE}:plain_loop"), count=LOOPED, things="people",
    )  # fmt: skip
