"""The value sets as they stand here, against the collection that they were taken from."""

from __future__ import annotations

import csv

import pytest

from endplate.questionnaires.instrument import value_sets

# Names of terms there, where ours are not the same in small letters.
OURS = {
    "StartValue": "start", "Intercept": "any_above_1", "N4": "any_4_or_5", "N5": "any_5",
    "Num45sq": "further_4_or_5_squared", "MOAD": "mo_x_ad", "PDAD": "pd_x_ad",
    "FullHealth": "start", "AtLeastOne2Or3": "any_above_1", "AtLeastOne3": "any_3",
    "D1": "further_above_1", "I2": "further_2", "I2square": "further_2_squared",
    "I3": "further_3", "I3square": "further_3_squared", "O2": "worst_is_2",
    "O3": "some_3_none_2", "Z2": "some_2_some_3", "Z3": "count_2_if_any_3",
    "C2square": "count_2_squared", "C3square": "count_3_squared", "X5": "none_at_1",
}  # fmt: skip


@pytest.mark.shared_data
@pytest.mark.parametrize(
    "id, file, count", [("eq5d5l", "eq5d5l_VT.csv", 49), ("eq5d3l", "eq5d3l_TTO.csv", 33)]
)
def test_every_term_of_every_set_is_that_of_the_collection(shared_data, id, file, count):
    with (shared_data / "outcomes" / file).open(encoding="utf-8") as lines:
        header, *rows = list(csv.reader(lines))
    theirs = {country: {} for country in header[1:]}
    for term, *cells in rows:
        for country, cell in zip(header[1:], cells, strict=True):
            if cell not in ("", "NA"):
                theirs[country][OURS.get(term, term.lower())] = float(cell)
    ours = {name.replace("_", ""): dict(terms) for name, terms in value_sets(id).items()}
    assert len(ours) == count
    assert ours == {country.replace("_", "").lower(): t for country, t in theirs.items()}
