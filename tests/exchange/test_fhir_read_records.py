"""Whole populations of real-shaped records: read without a crash, with the right counts."""

from __future__ import annotations

from collections import Counter
from datetime import date

import pytest

from endplate.exchange.fhir.read import read_fhir, read_population

TODAY = date(2026, 11, 20)

pytestmark = pytest.mark.shared_data


@pytest.fixture(scope="module")
def synthea(shared_data):
    folder = shared_data / "registry" / "fhir_r4_synthea617"
    if not folder.is_dir():
        pytest.skip("needs fhir_r4_synthea617 beside the checkout")
    return read_population(sorted(folder.iterdir()), TODAY)


@pytest.fixture(scope="module")
def concepts(synthea):
    return Counter(fact.what for person in synthea.values() for fact in person.facts)


def test_every_person_and_resource_is_met(synthea):
    assert len(synthea) == len(synthea.identities) == 615
    resources = {kind: count.resources for kind, count in synthea.totals().items()}
    assert resources == {
        "AllergyIntolerance": 374, "CarePlan": 1769, "Condition": 4546, "DiagnosticReport": 6262,
        "Encounter": 18098, "Goal": 1147, "ImagingStudy": 332, "Immunization": 7389,
        "MedicationRequest": 4712, "Observation": 88674, "Organization": 1093, "Patient": 615,
        "Practitioner": 1093, "Procedure": 14081,
    }  # fmt: skip


def test_osteoporosis_and_densitometry_are_facts(concepts):
    assert concepts["condition.osteoporosis"] == 41
    assert sum(n for what, n in concepts.items() if what.startswith("bone.t_score.")) == 58
    assert concepts["person.sex"] == concepts["person.birth_date"] == 615
    assert concepts["person.smoker"] == 5317
    assert concepts["person.deceased"] == 124


def test_nothing_is_lost_without_a_word(synthea):
    """Every Observation is a fact, a problem, or counted with the reason."""
    totals = synthea.totals()["Observation"]
    aside = sum(line.count for line in synthea.ignored if line.where == "Observation")
    assert totals.facts + totals.problems + aside == totals.resources
    for kind in ("Condition", "Procedure", "AllergyIntolerance", "ImagingStudy"):
        assert synthea.totals()[kind].facts == synthea.totals()[kind].resources


def test_the_problems_are_those_of_the_data(synthea):
    found = Counter(p.problem for person in synthea.values() for p in person.problems)
    assert set(found) == {"fact.not_plausible", "fhir.person_deceased"}
    assert synthea.problems == ()
    assert sum(count.problems for count in synthea.totals().values()) == found.total()


def test_what_has_ended_has_an_end(synthea):
    for person in synthea.values():
        for fact in person.facts:
            assert fact.until is None or fact.until <= TODAY


def test_one_person_at_a_time_and_all_together_agree(shared_data, tmp_path):
    folder = shared_data / "registry" / "fhir_bulk_10pt"
    if not folder.is_dir():
        pytest.skip("needs fhir_bulk_10pt beside the checkout")
    paths = sorted(folder.iterdir())
    population, mixed = read_population(paths, TODAY), read_fhir(paths, TODAY)
    assert len(population) == len(mixed.subjects) == len(mixed.identities) == 13
    assert sum(len(person.facts) for person in population.values()) == len(mixed.facts)
    totals = population.totals()
    assert {kind: count.resources for kind, count in totals.items()} == {
        "Condition": 555, "MedicationRequest": 1745, "Patient": 13, "Procedure": 2056,
    }  # fmt: skip
    assert totals["Condition"].facts == 555
    # "Take as needed." says neither how much nor how often.
    told = {"fhir.person_deceased", "fhir.dosage_not_understood"}
    assert {line.problem for line in mixed.problems} == told
