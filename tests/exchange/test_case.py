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

from dicom_series import saved, slices

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


# -- whose it is -----------------------------------------------------------------------------------


def with_images(case, record=None, **elements):
    """The case with a record and a small CT series whose headers say this of the person."""
    patient = {k: v for k, v in {**PATIENT, **(record or {})}.items() if v is not None}
    (case / "record.json").write_text(json.dumps(patient))
    blank = {"PatientName": "", "PatientID": "", "PatientBirthDate": "", "PatientSex": ""}
    saved(slices(**{**blank, **elements}), case / "ct")
    return read_case(case, TODAY)


def name(**parts):
    return {"name": [parts]}


ONE_NAME = [
    (None, "Meier^Anna"),
    (None, "MEIER^A"),
    (None, "Huber^Anna"),  # married, or written otherwise: a word in common is enough
    (None, "Meier-Huber^A^^Dr."),
    (name(family="Müller", given=["Zoé"]), "MUELLER^X"),
    (name(family="Müller"), "Muller"),
    (name(family="O'Brien"), "OBRIEN^PAT"),
    (name(text="Sørensen, Pia"), "Soerensen^P"),
    ({"name": [{"family": "Huber", "use": "maiden"}, {"family": "Meier"}]}, "Huber^B"),
    (None, ""),
    ({"name": None}, "Huber^Bert"),
    (None, "M^A"),
    (None, "Wang^Anna=王^小明"),
    (name(text="Иванова"), "Huber^Bert"),  # another script: nothing to compare
]


@pytest.mark.parametrize("record, written", ONE_NAME, ids=str)
def test_a_name_in_common_or_none_to_compare_goes_on(case, record, written):
    utf_8 = "ISO_IR 192"
    found = with_images(case, record, PatientName=written, SpecificCharacterSet=utf_8)
    assert len(found.images) == 1 and found.problems == ()


@pytest.mark.parametrize(
    "elements",
    [
        {"PatientName": "BRAIN^0012", "PatientID": "BRAIN-0012"},
        {"PatientName": "0012", "PatientID": "0012"},
        {"PatientName": "ANON^0012", "PatientID": "0012"},
        {"PatientName": "Anonymized"},
        {"PatientName": "P-77"},
        {"PatientName": "Sparrow^Blue", "PatientIdentityRemoved": "YES"},
    ],
    ids=str,
)
def test_pseudonymised_images_go_on(case, elements):
    record = {"identifier": [{"system": "urn:hospital", "value": "P-77"}]}
    assert len(with_images(case, record, **elements).images) == 1


@pytest.mark.parametrize(
    "record, elements",
    [
        (None, {}),
        (None, {"PatientSex": "F"}),
        ({"birthDate": None}, {"PatientBirthDate": "19500303"}),
        (None, {"PatientName": "Huber^Bert^^Dr. Anna"}),
        (None, {"PatientName": "Müller^Zoé", "SpecificCharacterSet": "ISO_IR 192"}),
        (name(text="王小明"), {"PatientName": "=李^明", "SpecificCharacterSet": "ISO_IR 192"}),
    ],
    ids=str,
)
def test_different_names_without_birth_dates_end_the_run(case, record, elements):
    with pytest.raises(InputProblem) as problem:
        with_images(case, record, **{"PatientName": "Huber^Bert", **elements})
    said = str(problem.value)
    assert "more than one person" in said and "different names" in said
    assert not any(word in said for word in ("Huber", "Bert", "Meier", "Anna", "1950"))


@pytest.mark.parametrize("born", ["1950-03-03", "1950"])
def test_different_names_with_agreeing_birth_dates_are_said(case, born):
    elements = {"PatientName": "Huber^Bert", "PatientBirthDate": "19500303"}
    found = with_images(case, {"birthDate": born}, **elements)
    (problem,) = (p for p in found.problems if p.problem == "case.names_differ")
    assert len(found.images) == 1
    assert not any(word in str(problem) for word in ("Huber", "Bert", "Meier", "Anna", "1950"))


@pytest.mark.parametrize(
    "elements",
    [
        {"PatientName": "Meier^Anna", "PatientBirthDate": "19500304"},
        {"PatientName": "Meier^Anna", "PatientSex": "M"},
        {"PatientName": "Huber^Bert", "PatientBirthDate": "19500303", "PatientSex": "M"},
    ],
    ids=str,
)
def test_a_contradicting_birth_date_or_sex_ends_the_run_whatever_the_name(case, elements):
    with pytest.raises(InputProblem, match=r"with different (birth date|sex)"):
        with_images(case, **elements)


@pytest.mark.parametrize(
    "written",
    [
        lambda p: json.dumps([p]),
        lambda p: json.dumps({"resourceType": "Bundle", "entry": [{"resource": p}]}),
        lambda p: json.dumps(p) + "\n" + json.dumps({"resourceType": "Basic", "id": "b"}),
    ],
    ids=["list", "bundle", "lines"],
)
def test_the_name_is_found_in_every_form_of_record(case, written):
    (case / "record.json").write_text(written(PATIENT))
    saved(slices(PatientName="Huber^Bert", PatientBirthDate="", PatientSex=""), case / "ct")
    with pytest.raises(InputProblem, match="different names"):
        read_case(case, TODAY)
