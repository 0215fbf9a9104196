"""The rooms that are shown as tables: only what is on record, and nothing added to it."""

from __future__ import annotations

from datetime import date

from endplate import evidence
from endplate.facts import Fact
from endplate.plan.care_plan import findings_of
from endplate.record import PatientRecord
from endplate.report.rooms import rooms

ON = date(2026, 6, 1)


def shown(*facts: Fact) -> dict:
    """The rooms of a record by their key, each with its tables by caption."""
    record = PatientRecord.of(facts)
    found = rooms(record.known_on(ON), findings_of(record, ON, evidence.shipped()))
    return {room.key: {t.caption: t.lines for t in room.tables} for room in found}


def medicine(name: str, value: bool | str = True, *, until: date | None = None, **details) -> Fact:
    return Fact(
        what=f"medicine.{name}", value=value, on=date(2026, 1, 1), until=until, source="typed",
        details=details,
    )  # fmt: skip


def test_without_anything_of_them_no_room_is_shown():
    assert shown(Fact(what="person.sex", value="female", source="typed")) == {}


def test_only_medicines_that_are_taken_are_listed_each_once():
    tramadol = medicine("tramadol", dosage="50 mg", daily_dose=200.0, daily_dose_least=0.0,
                        daily_dose_unit="mg", dose_assumed="as needed")  # fmt: skip
    lines = shown(
        tramadol,
        medicine("other", "Vial of something", product="Vial of something"),
        medicine("gabapentin", until=date(2026, 5, 1), dosage="300 mg"),
        medicine("celecoxib", value=False, dosage="200 mg"),
        medicine("cyp2d6_inhibitor", value=True),  # an answer about a class
    )["medicines"]["Medicines on record"]
    assert lines == (
        ("Vial of something", "", "", "", "2026-01-01"),
        ("tramadol", "50 mg", "0 mg to 200 mg", "as needed", "2026-01-01"),
    )


def test_a_gene_is_shown_with_its_score_and_with_what_is_taken():
    facts = (
        Fact(what="gene.cyp2d6.diplotype", value="*1/*1", source="typed"),
        medicine("fluoxetine", dosage="20 mg"),
        medicine("tramadol", dosage="50 mg"),
    )
    room = shown(*facts)["medicines"]
    ((gene, diplotype, _, score, phenotype, with_medicines),) = room["Genes of medicines"]
    assert (gene, diplotype, score) == ("CYP2D6", "*1/*1", "2")
    assert (phenotype, with_medicines) == ("normal metaboliser", "poor metaboliser")
    advice = dict(room["Advice by genes"])
    assert "CPIC:" in advice["tramadol"] and "DPWG:" in advice["tramadol"]


def test_what_is_open_about_a_mechanism_is_shown_as_open():
    yes = ("history_of_relevant_lesion", "plausible_distribution")
    lines = shown(
        *(Fact(what=f"pain.neuropathic.{n}", value=True, source="typed") for n in yes)
    )["pain"]["Mechanism of the pain"]  # fmt: skip
    grades = {line[0]: line[1] for line in lines}
    assert grades["neuropathic"] == "possible or probable or definite"


def test_scores_that_could_not_be_given_stand_among_the_findings_alone():
    found = shown(
        Fact(what="questionnaire.odi.item1", value=3.0, unit="1", on=ON, source="typed"),
        Fact(what="person.weight", value=80.0, unit="kg", on=ON, source="typed"),
    )
    assert "answers" not in found and "risk" not in found
