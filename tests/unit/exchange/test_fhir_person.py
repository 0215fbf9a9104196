"""Patients: facts about the person, and what tells two people apart."""

from __future__ import annotations

from datetime import date

import pytest

from endplate.exchange.fhir.read import read_population
from endplate.record import PatientRecord
from unit.exchange.made_fhir import (
    TODAY,
    bundle,
    ignored,
    observation,
    patient,
    problems,
    read,
    values,
)

BIRTH_SEX = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-birthsex"


def test_sex_and_birth_date():
    assert values(read(patient())) == {"person.sex": "female", "person.birth_date": "1950-05-01"}


@pytest.mark.parametrize("gender", ["unknown", ..., "strange"])
def test_an_unknown_sex_is_no_fact(gender):
    one = {k: v for k, v in patient(gender=gender).items() if v is not ...}
    assert "person.sex" not in values(read(one))


def test_the_sex_at_birth_fills_a_gap_and_doubts_a_contradiction():
    at_birth = [{"url": BIRTH_SEX, "valueCode": "M"}]
    for gender, sex in (("unknown", "male"), ("female", "female")):
        facts = read(patient(gender=gender, extension=at_birth)).facts
        (fact,) = (f for f in facts if f.what == "person.sex")
        assert fact.value == sex and fact.quality == "doubtful"


@pytest.mark.parametrize(
    "written, ages", [("1950", (75, 76)), ("1950-05", (76, 76)), ("1950-11", (75, 76))]
)
def test_an_incomplete_birth_date_gives_the_age_within_a_year(written, ages):
    reading = read(patient(birthDate=written))
    assert "person.birth_date" not in values(reading)
    assert problems(reading) == ["fhir.birth_date_incomplete"]
    (age,) = (f for f in reading.facts if f.what == "person.age")
    assert age.interval == ages and age.number == ages[0] and age.quality == "doubtful"
    assert PatientRecord.of(reading.facts).known_on(TODAY).age.number == ages[0]


def test_a_death_is_a_fact_and_is_said():
    reading = read(patient(deceasedDateTime="2025-01-01"))
    (fact,) = (f for f in reading.facts if f.what == "person.deceased")
    assert fact.value is True and fact.on == date(2025, 1, 1)
    assert problems(reading) == ["fhir.person_deceased"]
    alive = read(patient(deceasedBoolean=False))
    assert values(alive)["person.deceased"] is False and alive.problems == ()


# -- two people -------------------------------------------------------------------------------


def test_an_identity_holds_what_tells_people_apart():
    ids = [{"system": "urn:a", "value": "1"}, {"value": "2"}]
    link = [{"other": {"reference": "Patient/p9"}, "type": "replaces"}]
    (identity,) = read(patient(identifier=ids, link=link)).identities
    assert identity.subject == "p1" and identity.identifiers == ("urn:a|1", "|2")
    assert (identity.birth_date, identity.sex) == ("1950-05-01", "female")
    assert identity.same_as == ("p9",) and identity.where == "made.ndjson:1"


def test_subjects_are_counted_over_all_kinds_of_resources():
    other = {"reference": "Patient/p2"}
    visit = {"resourceType": "Encounter", "subject": other}
    reading = read(patient(), observation(), observation(id="2", subject=other), visit)
    assert reading.subjects == {"p1": 2, "p2": 2}


@pytest.mark.parametrize(
    "reference",
    [
        "Patient/p1",
        "https://a.example/fhir/Patient/p1",
        "Patient/p1/_history/3",
        "https://a.example/fhir/Patient/p1/_history/1",
        "Patient?identifier=urn:a|1",
    ],
)
def test_all_ways_to_refer_to_one_person_are_one_subject(reference):
    ids = [{"system": "urn:a", "value": "1"}]
    about = observation(subject={"reference": reference})
    assert read(patient(identifier=ids), about).subjects == {"p1": 2}


def test_a_reference_by_identifier_alone():
    ids = [{"system": "urn:a", "value": "1"}]
    about = observation(subject={"identifier": ids[0]})
    assert read(patient(identifier=ids), about).subjects == {"p1": 2}
    assert read(about).subjects == {"urn:a|1": 1}


def test_a_reference_by_the_address_in_a_bundle_or_inside():
    whole = bundle()
    whole["entry"] = [
        {"resource": observation(subject={"reference": "urn:uuid:77"})},
        {"fullUrl": "urn:uuid:77", "resource": patient()},
    ]
    assert read(whole).subjects == {"p1": 2}
    without_id = {k: v for k, v in patient().items() if k != "id"}
    whole["entry"][1]["resource"] = without_id
    assert read(whole).subjects == {"77": 2}
    inside = observation(
        contained=[patient(id="x", identifier=[{"system": "urn:a", "value": "1"}])],
        subject={"reference": "#x"},
    )
    reading = read(inside)
    assert reading.subjects == {"urn:a|1": 1} and reading.identities[0].sex == "female"


def test_one_id_on_two_servers_is_two_subjects():
    on = [f"https://{name}.example/fhir/Patient/1" for name in "ab"]
    reading = read(
        *(observation(id=str(n), subject={"reference": ref}) for n, ref in enumerate(on))
    )
    assert set(reading.subjects) == set(on)


@pytest.mark.parametrize("kind", ["Group", "Device", "Location", "RelatedPerson"])
def test_what_is_about_no_patient_is_left_aside(kind):
    reading = read(observation(subject={"reference": f"{kind}/1"}))
    assert reading.facts == () and ignored(reading) == ["fhir.not_the_person"]


def test_without_a_subject_it_is_the_persons_and_doubtful():
    reading = read(observation(subject=...), patient())
    (fact,) = (f for f in reading.facts if f.what == "lab.creatinine")
    assert "whom it is about" in fact.doubts[0] and reading.subjects == {"p1": 1}


def test_a_subject_that_cannot_be_understood_costs_the_resource():
    reading = read(observation(subject={"reference": "somebody"}), observation(id="2"))
    assert len(reading.facts) == 1 and problems(reading) == ["fhir.element_not_usable"]


# -- many people ------------------------------------------------------------------------------


def test_a_population_keeps_people_apart(tmp_path):
    import orjson

    lines = [
        patient(),
        patient(id="p2", gender="male"),
        observation(),
        observation(id="2", subject={"reference": "Patient/p2"}),
        observation(id="3", subject=...),
        observation(id="4", valueQuantity={"value": 1}),
    ]
    path = tmp_path / "all.ndjson"
    path.write_bytes(b"\n".join(orjson.dumps(one) for one in lines))
    population = read_population([path], TODAY)
    assert {key: len(one.facts) for key, one in population.items()} == {"p1": 3, "p2": 3}
    assert [one.problem for one in population["p1"].problems] == ["fact.unit_missing"]
    assert [one.problem for one in population.problems] == ["fhir.no_subject"]
    total = population.totals()["Observation"]
    assert (total.resources, total.facts, total.problems) == (4, 2, 2)
