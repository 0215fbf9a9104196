"""Many persons' records: what could not be read is listed by kind, and nobody is named."""

from __future__ import annotations

import json

import pytest

from endplate.cli.main import main

UNITS = [f"furlong{n}" for n in range(25)]


def person(number: int) -> dict:
    return {
        "resourceType": "Patient",
        "id": f"secret-{number}",
        "gender": "female",
        "birthDate": "1950-03-03",
        "name": [{"family": "Huber"}],
    }


def result(number: int, unit: str) -> dict:
    return {
        "resourceType": "Observation",
        "id": f"secret-{number}-{unit}",
        "status": "final",
        "subject": {"reference": f"Patient/secret-{number}"},
        "code": {"coding": [{"system": "http://loinc.org", "code": "62292-8"}]},
        "effectiveDateTime": "2026-05-20",
        "valueQuantity": {"value": 30, "unit": unit},
    }


@pytest.fixture
def export(tmp_path):
    """Three persons, each in a file of their own; a result of each has a unit that is none."""
    folder = tmp_path / "export"
    folder.mkdir()
    for number in range(3):
        lines = [person(number), result(number, "furlong")]
        text = "\n".join(json.dumps(line) for line in lines)
        (folder / f"Huber-secret-{number}.ndjson").write_text(text)
    return folder


def read(folder, capsys, *more) -> str:
    assert main(["read", str(folder), "--population", "--on", "2026-06-01", *more]) == 0
    return capsys.readouterr().out


def test_each_problem_stands_once_with_its_count(export, capsys):
    said = read(export, capsys)
    assert said.count("furlong") == 1 and "3 persons" in said
    found = json.loads(read(export, capsys, "--json"))
    (problem,) = found["problems"]
    assert problem["count"] == 3 and "furlong" in problem["says"]
    assert "more kinds" not in said


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_nobody_is_named(export, capsys, more):
    said = read(export, capsys, *more)
    assert not any(private in said for private in ("secret", "Huber", "1950"))


def test_the_most_frequent_stand_first_and_the_rest_is_counted(export, capsys):
    lines = [json.dumps(person(9)), json.dumps(result(9, "mile"))]
    lines += [json.dumps(result(9, unit)) for unit in UNITS]
    (export / "more.ndjson").write_text("\n".join(lines))
    said = read(export, capsys)
    found = json.loads(read(export, capsys, "--json"))["problems"]
    assert [p["count"] for p in found] == sorted((p["count"] for p in found), reverse=True)
    assert "furlong" in found[0]["says"] and len(found) == 27
    shown = [line for line in said.splitlines() if "furlong" in line or "mile" in line]
    assert len(shown) == 20 and "and 7 more kinds" in said


def test_a_broken_file_keeps_its_place(export, capsys):
    (export / "broken.json").write_text("{")
    problems = json.loads(read(export, capsys, "--json"))["problems"]
    assert any(p["where"].startswith("broken.json") for p in problems)


@pytest.mark.parametrize("content", ["no json", "{}", '{"resourceType": "Basic"}', ""])
@pytest.mark.parametrize("more", [(), ("--json",)])
def test_a_folder_without_a_person_ends_with_one_message(tmp_path, capsys, content, more):
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "x.json").write_text(content)
    assert main(["read", str(folder), "--population", *more]) == 2
    said = capsys.readouterr()
    assert said.out == "" and len(said.err.strip().splitlines()) == 1
    assert "export: no person could be read" in said.err
