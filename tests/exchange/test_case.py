"""A case folder: what each file is told by, and whose the files are."""

from __future__ import annotations

import gzip
import json
import shutil
from datetime import date

import pytest

from endplate.cli.main import main
from endplate.exchange.case import read_case
from endplate.facts import InputProblem

TODAY = date(2026, 6, 1)
PATIENT = {
    "resourceType": "Patient",
    "id": "p",
    "gender": "female",
    "birthDate": "1950-03-03",
    "name": [{"family": "Meier", "given": ["Anna"]}],
}


@pytest.fixture
def case(tmp_path):
    folder = tmp_path / "case"
    folder.mkdir()
    (folder / "record.json").write_text(json.dumps(PATIENT))
    return folder


@pytest.fixture
def plan(case, tmp_path):
    out = tmp_path / "plan"
    assert main(["plan", str(case), "--out", str(out), "--on", str(TODAY)]) == 0
    return out


# -- our own output --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["fhir.json", "plan.json", "measurements.json"])
def test_a_record_is_read_whatever_its_name_is(case, name):
    (case / "record.json").rename(case / name)
    found = read_case(case, TODAY)
    assert {f.what for f in found.record.facts} == {"person.birth_date", "person.sex"}
    assert found.ignored == ()


@pytest.mark.parametrize("name", ["fhir.json", "plan.json"])
@pytest.mark.parametrize("put", ["as it is", "renamed", "indented", "packed"])
def test_our_own_output_is_known_by_its_content(case, plan, name, put):
    content = (plan / name).read_bytes()
    if put == "indented":
        content = json.dumps(json.loads(content), indent=4).encode()
    to = case / ("export.json" if put == "renamed" else name)
    if put == "packed":
        to, content = to.with_name(f"{name}.gz"), gzip.compress(content)
    to.write_bytes(content)
    found = read_case(case, TODAY)
    assert len(found.record.facts) == 2, "nothing of the plan became a fact"
    (left,) = found.ignored
    assert left.problem == "case.own_output" and left.where == to.name
    assert "output of Endplate" in left.says


def test_a_plan_written_beside_the_record_changes_nothing(case, plan):
    before = read_case(case, TODAY).record
    shutil.copytree(plan, case, dirs_exist_ok=True)
    assert read_case(case, TODAY).record == before


def test_a_folder_of_our_own_output_alone_is_said_to_be_that(plan, tmp_path):
    (tmp_path / "alone").mkdir()
    shutil.copy(plan / "plan.json", tmp_path / "alone")
    with pytest.raises(InputProblem, match=r"plan.json is an output of Endplate itself"):
        read_case(tmp_path / "alone", TODAY)


@pytest.mark.parametrize(
    "content",
    [
        {**PATIENT, "endplate": "1", "problems": []},
        {"resourceType": "Bundle", "meta": {"tag": "endplate"}, "entry": [{"resource": PATIENT}]},
        {"resourceType": "Bundle", "meta": ["endplate"], "entry": [{"resource": PATIENT}]},
        [{**PATIENT, "language": "endplate"}],
    ],
)
def test_what_only_looks_like_it_is_read_as_a_record(case, content):
    (case / "record.json").write_text(json.dumps(PATIENT))
    (case / "other.json").write_text(json.dumps(content))
    assert all(p.problem != "case.own_output" for p in read_case(case, TODAY).ignored)
