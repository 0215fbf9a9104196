"""The room's tables: each says where it comes from and how old it is."""

from __future__ import annotations

import json
from datetime import date

import pytest
from msgspec.structs import replace

from endplate.cli.main import main
from endplate.medicines.tables import all_tables, table


def test_every_table_says_what_it_is_and_where_it_comes_from():
    found = all_tables()
    assert {"gene_alleles", "functions_cyp2d6", "gene_advice", "inhibitors"} <= {
        t.name for t in found
    }
    assert [t.dated for t in found] == sorted(t.dated for t in found)
    for one in found:
        assert one.says and one.source and one.licence and one.rows, one.name


@pytest.mark.parametrize(
    "on, is_old",
    [
        (date(2025, 3, 1), False),
        (date(2026, 2, 28), False),
        (date(2026, 3, 1), False),  # a year to the day
        (date(2026, 3, 2), True),
        (date(2027, 1, 1), True),
    ],
)
def test_a_table_of_more_than_a_year_ago_says_so(on, is_old):
    one = replace(table("inhibitors"), dated=date(2025, 3, 1))
    assert bool(one.outdated(on)) == is_old
    if is_old:
        assert "2025-03-01" in one.outdated(on)


def test_doctor_tells_the_age_of_every_table(capfd):
    assert main(["doctor", "--json"]) == 0
    told = {c["what"]: c for c in json.loads(capfd.readouterr().out)["checks"]}
    for one in all_tables():
        check = told[f"table: {one.says}"]
        assert check["version"] == one.dated.isoformat()
        assert (check["state"] == "ok") == (not one.outdated(date.today()))
