"""Answers from FHIR: a clinic's forms by its own map, ordinal values, and what is refused."""

from __future__ import annotations

import itertools
import json

import pytest

from endplate import evidence, rules, vocabulary
from endplate.exchange.case import read_case
from endplate.exchange.fhir.forms import read_forms
from endplate.exchange.fhir.read import read_fhir
from endplate.facts import InputProblem
from endplate.record import PatientRecord
from endplate.report.html import fact_name
from endplate.vocabulary import LOCAL_SYSTEM

from patients import ON, fact

URL = "https://clinic.example/Questionnaire/back"
ORDINAL = "http://hl7.org/fhir/StructureDefinition/ordinalValue"
MAP = f"""
[[form]]
questionnaire = "{URL}"
instrument = "phq9"
items = {{ q1 = 1, q2 = 2, q3 = 3, q4 = 4, q5 = 5, q6 = 6, q7 = 7, q8 = 8, q9 = 9 }}
answers = {{ "LA6568-5" = 0, "http://loinc.org|LA6569-3" = 1 }}
"""


def response(answers, questionnaire=URL + "|1.2", day="2026-05-20"):
    return {
        "resourceType": "QuestionnaireResponse",
        "id": "r1",
        "status": "completed",
        "questionnaire": questionnaire,
        "subject": {"reference": "Patient/p"},
        "authored": day,
        "item": [{"linkId": link, "answer": given} for link, given in answers.items()],
    }


def coded(code, ordinal=None):
    coding = {"system": "http://loinc.org", "code": code, "display": "words without a number"}
    if ordinal is not None:
        coding["extension"] = [{"url": ORDINAL, "valueDecimal": ordinal}]
    return [{"valueCoding": coding}]


def written(folder, *resources):
    bundle = {"resourceType": "Bundle", "type": "collection",
              "entry": [{"resource": r} for r in resources]}  # fmt: skip
    path = folder / "record.json"
    path.write_text(json.dumps(bundle))
    return path


def items(facts):
    return {f.what.rpartition(".")[2]: f.value for f in facts if ".item" in f.what}


def test_a_clinics_form_is_read_by_its_map_and_scored(tmp_path):
    answers = {f"q{n}": coded("LA6569-3") for n in range(1, 9)} | {"q9": coded("LA6568-5")}
    written(tmp_path, {"resourceType": "Patient", "id": "p"}, response(answers))
    (tmp_path / "questionnaires.toml").write_text(MAP)
    case = read_case(tmp_path, ON)
    rule = next(r for r in rules.find() if r.scores == "phq9")
    (found,) = rule(PatientRecord.of(case.record.facts).known_on(ON), evidence.shipped())
    assert (found.value, found.category, found.missing) == (8, "mild", ())


def form(text):
    """A clinic's own form, with the wording of its first question."""
    return {
        "resourceType": "Questionnaire", "id": "back", "url": URL, "status": "active",
        "item": [{"linkId": "q1", "text": text, "type": "choice"},
                 {"linkId": "q2", "type": "choice"}],
    }  # fmt: skip


@pytest.mark.parametrize("own", ["", "as the answer has it"])
def test_the_wording_of_an_item_is_that_of_the_clinics_form(tmp_path, own):
    given = response({"q1": coded("LA6569-3"), "q2": coded("LA6569-3")})
    if own:
        given["item"][0]["text"] = own
    person = {"resourceType": "Patient", "id": "p"}
    written(tmp_path, person, given, form("As our form has it"))
    (tmp_path / "questionnaires.toml").write_text(MAP)
    facts = {f.what.rpartition(".")[2]: f for f in read_case(tmp_path, ON).record.facts}
    assert facts["item1"].details["question"] == (own or "As our form has it")
    assert "question" not in facts["item2"].details
    assert fact_name(facts["item1"]).endswith(f": {own or 'As our form has it'}")
    assert ":" not in fact_name(facts["item2"])


TEN = (
    "odi", "ndi", "rmdq", "phq9", "gad7", "peg", "start_back", "pcs", "dn4", "tsk17", "zcq",
    "promis_pain_interference_4a",
)  # fmt: skip


def answered(instrument):
    """Every item of a form with an answer that it has, neither all the same nor all the lowest."""
    items = []
    for n in itertools.count(1):
        asked = vocabulary.concepts().get(f"questionnaire.{instrument}.item{n}")
        if asked is None:
            return items
        low, high = asked.plausible or (0, 1)
        items.append((asked, low + (n % 2) * (high - low)))


@pytest.mark.parametrize("instrument", TEN)
@pytest.mark.parametrize("coding", ["number", "ordinal"])
def test_an_instrument_comes_through_from_the_clinics_form_to_its_score(
    tmp_path, instrument, coding
):
    items = answered(instrument)
    links = ", ".join(f'"/back/q{n}" = {n}' for n in range(1, len(items) + 1))
    (tmp_path / "questionnaires.toml").write_text(
        f'[[form]]\nquestionnaire = "{URL}"\ninstrument = "{instrument}"\nitems = {{ {links} }}\n'
    )
    given = {
        f"/back/q{n}": coded("any", value) if coding == "ordinal" else [{"valueDecimal": value}]
        for n, (_, value) in enumerate(items, 1)
    }
    written(tmp_path, {"resourceType": "Patient", "id": "p"}, response(given))
    case = read_case(tmp_path, ON)
    typed = [
        fact(asked.id, bool(value) if asked.kind == "yes_no" else value) for asked, value in items
    ]
    rule = next(r for r in rules.find() if r.id == f"questionnaires.{instrument}")
    through, direct = (
        list(rule(PatientRecord.of(facts).known_on(ON), evidence.shipped()))
        for facts in (case.record.facts, typed)
    )
    assert [(f.value, f.category) for f in through] == [(f.value, f.category) for f in direct]
    assert through[0].status == "answered" and not through[0].missing


def test_without_the_map_the_same_answers_are_no_items(tmp_path):
    answers = {f"q{n}": coded("LA6569-3") for n in range(1, 10)}
    assert items(read_fhir([written(tmp_path, response(answers))], ON).facts) == {}


@pytest.fixture
def forms(tmp_path):
    path = tmp_path / "map.toml"
    path.write_text(MAP)
    return read_forms(path)


@pytest.mark.parametrize(
    "given, number",
    [
        ([{"valueInteger": 2}], 2),
        ([{"valueDecimal": 3}], 3),
        (coded("anything", 2), 2),
        (coded("LA6568-5", 3), 0),  # the clinic's map goes before
        (coded("anything"), None),  # no number, and none is guessed
        ([{"valueInteger": 4}], None),  # the form has no such answer
        ([{"valueDecimal": 1.5}], None),
        ([{"valueInteger": 1}, {"valueInteger": 2}], None),  # answered twice
    ],
)
def test_an_answer_is_taken_by_its_number_or_not_at_all(tmp_path, forms, given, number):
    path = written(tmp_path, response({"q1": given}))
    found = items(read_fhir([path], ON, forms).facts)
    assert found == ({} if number is None else {"item1": number})


def test_a_link_of_ours_needs_no_map(tmp_path):
    own = {"questionnaire.peg.item1": [{"valueInteger": 7}],
           "questionnaire.dn4.item1": [{"valueInteger": 1}],
           "questionnaire.dn4.item2": [{"valueBoolean": False}]}  # fmt: skip
    found = read_fhir([written(tmp_path, response(own, LOCAL_SYSTEM))], ON).facts
    said = {f.what: f.value for f in found if ".item" in f.what}
    assert said == {"questionnaire.peg.item1": 7, "questionnaire.dn4.item1": True,
                    "questionnaire.dn4.item2": False}  # fmt: skip


@pytest.mark.parametrize("form, code", [("phq9", "44261-6"), ("gad7", "70274-6")])
def test_a_total_by_its_loinc_code_is_a_stated_score(tmp_path, form, code):
    total = {
        "resourceType": "Observation", "id": "o", "status": "final",
        "subject": {"reference": "Patient/p"}, "effectiveDateTime": "2026-05-01",
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "valueQuantity": {"value": 12, "unit": "{score}", "code": "{score}",
                          "system": "http://unitsofmeasure.org"},
    }  # fmt: skip
    found = [f for f in read_fhir([written(tmp_path, total)], ON).facts if form in f.what]
    assert [(f.what, f.value) for f in found] == [(f"questionnaire.{form}.score", 12)]


@pytest.mark.parametrize(
    "text, why",
    [
        ("[[form]]\nquestionnaire = 3", "questionnaire"),
        ("[[form", "TOML|Expected"),
        ('[[form]]\nquestionnaire = "a"\ninstrument = "oddi"\nitems = { a = 1 }', "'oddi' is no"),
        ('[[form]]\nquestionnaire = "a"\ninstrument = "odi"\nitems = { a = 11 }', "no item 11"),
        ('[[form]]\nquestionnaire = "a"\ninstrument = "odi"\nitems = { a = 1, b = 1 }', "two link"),
        (MAP + MAP, "there twice"),
    ],
)
def test_a_map_that_is_wrong_is_refused(tmp_path, text, why):
    path = tmp_path / "questionnaires.toml"
    path.write_text(text)
    with pytest.raises(InputProblem, match=why):
        read_forms(path)
