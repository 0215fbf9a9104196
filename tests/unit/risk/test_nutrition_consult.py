"""The dietitian's recommendation: the protein that is named, and where it is not."""

from __future__ import annotations

import pytest

from endplate import evidence
from endplate.risk.nutrition import consult

from patients import patient

SHIPPED = evidence.shipped()


def asked(known):
    return consult.one(known.having("lab.albumin", 3.1).known_on(), SHIPPED)


def test_protein_is_in_grams_where_the_weight_is_known():
    assert "84 to 140 g a day" in asked(patient().having("person.weight", 70)).action
    assert "g a day" not in asked(patient()).action


@pytest.mark.parametrize("stage", [4, 5])
def test_with_advanced_kidney_disease_no_protein_is_named(stage):
    kidney = patient().having(f"condition.chronic_kidney_disease_{stage}")
    found = asked(kidney.having("person.weight", 70))
    assert "physician sets" in found.action and "1.2" not in found.action
    assert found.checked[0].answer == "yes"


def test_kidney_disease_that_nobody_asked_for_is_unknown():
    assert asked(patient()).checked[0].answer == "unknown"
    well = patient()
    for stage in (4, 5):
        well.having(f"condition.chronic_kidney_disease_{stage}", False)
    assert asked(well).checked[0].answer == "no"
