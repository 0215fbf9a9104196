"""The evidence: every row has a source, and says honestly whether it was read there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from endplate import evidence, rules, units, vocabulary

SHIPPED = evidence.shipped()
MARKS = {"V", "VC", "seed", "U-H", "U-M", "D", "choice"}
ROWS = [pytest.param(r, id=r.name) for r in SHIPPED.rows.values()]


@pytest.mark.parametrize("row", ROWS)
def test_a_row_has_a_source_a_mark_and_a_meaning(row):
    assert row.says
    assert row.mark in MARKS
    assert row.cites or row.mark == "choice", "a number that is no choice of ours has a source"
    for citation in row.cites:
        assert citation.key in SHIPPED.references, f"{citation.key} is no reference"
    if row.mark == "V":
        assert row.verified and any(
            SHIPPED.references[c.key].read != "not read" for c in row.cites
        ), "verified means that a source was read"
    if row.mark in ("U-H", "U-M", "choice"):
        assert not row.verified


@pytest.mark.parametrize("row", ROWS)
def test_a_number_has_a_unit_that_is_understood(row):
    if row.value is None:
        assert row.compare is None and row.unit == ""
    else:
        assert row.unit == "1" or "/" in row.unit or units.is_known(row.unit), row.unit


@pytest.mark.parametrize("row", ROWS)
def test_what_a_row_asks_for_is_in_the_vocabulary(row):
    for line in row.table:
        for column in ("asks", "stand_in"):
            if column in line:
                assert line[column] in vocabulary.concepts()


def test_an_unread_number_does_not_drive_a_finding():
    # U-M rows may be shown; none of them is a cut-off.
    assert [r.name for r in SHIPPED.rows.values() if r.mark == "U-M" and r.compare] == []


def test_every_reference_is_used():
    used = {c.key for r in SHIPPED.rows.values() for c in r.cites}
    used |= {c.key for n in SHIPPED.not_implementable for c in n.cites}
    used |= {
        str(line["cites"]) for r in SHIPPED.rows.values() for line in r.table if "cites" in line
    }
    assert sorted(set(SHIPPED.references) - used) == []


def test_every_choice_names_one_of_its_options():
    for choice in SHIPPED.choices.values():
        assert choice.use in choice.options and len(choice.options) > 1 and choice.reason


@pytest.mark.parametrize(
    "concept", [pytest.param(c, id=c.id) for c in vocabulary.concepts().values()]
)
def test_a_concept_is_well_formed(concept):
    if concept.kind == "number":
        assert concept.unit and units.is_known(concept.unit)
        if concept.plausible and concept.usual:
            assert (
                concept.plausible[0] <= concept.usual[0] < concept.usual[1] <= concept.plausible[1]
            )
    else:
        assert not concept.unit
    assert (concept.kind == "category") == bool(concept.choices)
    assert set(concept.implies) <= set(vocabulary.concepts())


def test_every_code_has_a_concept_and_a_source_that_can_be_named():
    seen = set()
    for code in vocabulary.codes():
        assert code.concept in vocabulary.concepts(), code
        assert code.source.strip() and code.display.strip(), code
        assert code.system in vocabulary.CODE_SYSTEMS, code
        assert (code.system, code.code) not in seen, f"{code.system} {code.code} is there twice"
        seen.add((code.system, code.code))


# The benchmarks need their peers and are not run with the tests; the names in them are.
BENCHMARKS = (Path(__file__).parents[2] / "bench").glob("*.py")
DOTTED = re.compile(r'"((?:bone|lab|person)\.[a-z0-9_.]*[a-z0-9])"')


@pytest.mark.parametrize(
    "name", sorted({n for b in BENCHMARKS for n in DOTTED.findall(b.read_text())})
)
def test_a_benchmark_names_what_there_is(name):
    known = {*SHIPPED.rows, *SHIPPED.choices, *vocabulary.concepts(), *(r.id for r in rules.find())}
    assert name in known
