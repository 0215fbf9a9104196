"""Real-shaped records planned and written: valid, and nothing read back that was not there."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date

import pytest

from endplate import evidence
from endplate.exchange.fhir.read import read_fhir, read_population
from endplate.exchange.fhir.write import bundle
from endplate.plan.care_plan import arranged, findings_of
from endplate.record import PatientRecord

TODAY = date(2026, 11, 20)

pytestmark = pytest.mark.shared_data


@pytest.fixture(scope="module")
def planned(shared_data):
    """Records of a bulk export, every sixth of its 615 persons, each with its bundle."""
    folder = shared_data / "registry" / "fhir_r4_synthea617"
    if not folder.is_dir():
        pytest.skip("needs fhir_r4_synthea617 beside the checkout")
    grounds = evidence.shipped()
    found = []
    for _, person in sorted(read_population(sorted(folder.iterdir()), TODAY).items())[::6]:
        record = PatientRecord.of(person.facts)
        findings = findings_of(record, TODAY, grounds)
        plan = arranged(findings, TODAY, grounds)
        found.append((record, bundle(record, findings, plan, on=TODAY, version="0")))
    return found


@pytest.mark.peer
@pytest.mark.parametrize("validator", ["R4 schema", "lantana", "fhir.resources"])
def test_every_resource_is_valid(fhir_validators, planned, validator):
    made = [b for _, b in planned]
    assert sum(len(b["entry"]) for b in made) > 1000
    assert [e for found in fhir_validators[validator](made) for e in found] == []


def test_what_is_read_back_was_there(planned, tmp_path):
    def essence(facts):
        return Counter((f.what, f.value, f.unit, f.on, f.until, f.level, f.side) for f in facts)

    compared = 0
    for record, made in planned:
        path = tmp_path / "bundle.json"
        path.write_text(json.dumps(made))
        back = read_fhir([path], TODAY).facts
        assert essence(back) - essence(record.facts) == Counter()
        compared += len(back)
    assert compared > 200
