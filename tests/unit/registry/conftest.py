"""A model of made people, trained once."""

from __future__ import annotations

from datetime import date

import pytest

from endplate.registry.cohort_table import read_cohort
from endplate.registry.training import Plan, trained
from unit.registry.people import COLUMNS, table


@pytest.fixture(scope="session")
def cohort(tmp_path_factory):
    path = table(tmp_path_factory.mktemp("people") / "people.csv")
    return read_cohort(path, "group", COLUMNS)


@pytest.fixture(scope="session")
def model(cohort):
    plan = Plan(folds=5, repeats=1, seed=3, permutations=2)
    return trained(
        cohort, plan, title="made people", version="2", describes="made", on=date(2026, 6, 1)
    )
