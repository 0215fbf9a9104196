"""Reading a table of people: blanks stay blanks, and what cannot be a value is refused."""

from __future__ import annotations

import numpy as np
import pytest

from endplate.facts import InputProblem
from endplate.registry.cohort_table import read_cohort, read_map
from unit.registry.people import CLASSES, COLUMNS, map_of, table

HEAD = "A,B,group\n"
MAP = {"A": "pain.criterion.localised", "B": "person.age"}


def read(tmp_path, text, columns=MAP, **more):
    path = tmp_path / "people.csv"
    path.write_text(text, encoding="utf-8")
    return read_cohort(path, "group", columns, **more)


def test_a_table_is_read_by_its_map(tmp_path):
    found = read_cohort(table(tmp_path / "t.csv", rows=30), "group", COLUMNS)
    assert found.classes == CLASSES and found.counts == dict.fromkeys(CLASSES, 10)
    assert found.columns == tuple(COLUMNS) and found.concepts == tuple(COLUMNS.values())
    assert found.values.shape == (30, 4) and found.unused == ("note",) and found.blanks == 0


def test_a_blank_is_no_number_and_an_unknown_outcome_no_person(tmp_path):
    text = HEAD + "yes,60,One Thing\n0,,NA\nNA,71,two\n,NaN,two\n\n1.0,55,\n"
    found = read(tmp_path, text)
    assert found.classes == ("one_thing", "two") and found.without_outcome == 2
    assert found.blanks == 3
    np.testing.assert_array_equal(found.values, [[1.0, 60.0], [np.nan, 71.0], [np.nan, np.nan]])


def test_without_a_map_every_column_is_a_predictor(tmp_path):
    found = read(tmp_path, "person.age,group,Q1\n60,a,-3.5\n50,b,\n", None)
    assert found.concepts == found.columns == ("person.age", "Q1") and found.unused == ()
    np.testing.assert_array_equal(found.values, [[60, -3.5], [50, np.nan]])
    with pytest.raises(InputProblem, match="Q1 in line 2"):
        read(tmp_path, "Q1,group\n-9223372036854775808,a\n", None)


@pytest.mark.parametrize("name", ["patient_id", "ID", "", "Unnamed: 0", "MRN", "Subject No", "n"])
def test_what_numbers_people_is_no_predictor(tmp_path, name):
    """In a table sorted by outcome it would tell the outcome of people never seen."""
    text = f"{name},Q1,group\n" + "".join(f"{n},{n % 3},{'ab'[n > 3]}\n" for n in range(1, 8))
    found = read(tmp_path, text, None)
    assert found.columns == ("Q1",) and found.unused == (name,)
    named = read(tmp_path, text.replace(name, "opioid", 1) if name else text, {"Q1": "person.age"})
    assert named.columns == ("Q1",)


def test_people_in_several_lines_are_counted(tmp_path):
    text = "patient_id,Q1,group\nx,5,a\ny,2,a\nx,3,b\n"
    assert read(tmp_path, text, None).again == 1
    assert read(tmp_path, text.replace("\nx,3", "\nz,3"), None).again == 0
    assert read(tmp_path, text.replace("patient_id", "visit_id"), None).again == 0


@pytest.mark.parametrize("name", ["opioid", "steroid", "patient_age", "case_mix"])
def test_a_predictor_with_such_a_name_stays_one(tmp_path, name):
    assert read(tmp_path, f"{name},group\n3,a\n5,b\n4,b\n", None).columns == (name,)


def test_outcomes_may_be_numbers_and_words_of_any_language(tmp_path):
    found = read(tmp_path, HEAD + "1,60,-1\n1,60,1\n1,60,0\n1,60,1.0\n")
    assert found.counts == {"0": 1, "1": 2, "minus_1": 1}
    assert read(tmp_path, HEAD + "1,60,Gefäß\n").classes == ("gefäß",)
    assert read(tmp_path, HEAD + "1,60,Ab c\n1,60, ab C \n").classes == ("ab_c",)
    with pytest.raises(InputProblem, match="signs alone"):
        read(tmp_path, HEAD + "1,60,A+\n1,60,A-\n")


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "columns group"),
        ("A,group\nyes,a\n", "columns B"),
        ("A,A,group\nyes,1,a\n", "twice"),
        (HEAD + "yes,60\n", "line 2"),
        (HEAD + "yes,60,a\nmaybe,60,a\n", "A in line 3"),
        (HEAD + "2,60,a\n", "A in line 2"),
        (HEAD + "1,60,a\n\n2,60,a\n", "A in line 4"),
        (HEAD + "0.5,60,a\n", "A in line 2"),
        (HEAD + "yes,999,a\n", "B in line 2"),  # a code for "not known" is no age
        (HEAD + "yes,-9223372036854775808,a\n", "B in line 2"),  # a blank that was cast
        (HEAD + "yes,inf,a\n", "B in line 2"),
    ],
)
def test_what_cannot_be_used_is_refused_by_its_place(tmp_path, text, said):
    with pytest.raises(InputProblem, match="cannot be used as a table") as problem:
        read(tmp_path, text)
    assert said in str(problem.value)
    assert not any(v in str(problem.value) for v in ("999", "maybe", "9223372036854775808"))


def test_another_class_than_the_models_is_refused(tmp_path):
    with pytest.raises(InputProblem, match="one of a, b; 1 others came"):
        read(tmp_path, HEAD + "yes,60,c\n", classes=("a", "b"))


@pytest.mark.parametrize(
    "text, said",
    [
        ("column,concept\nA,pain.criterion.localized\n", "nearest: pain.criterion.localised"),
        ("column,concept\nA,person.sex\n", "person.sex is neither"),
        ("column,concept\nA,person.age\nA,person.age\n", "once"),
        ("column,concept\nA,person.age\nB,person.age\n", "once"),
        ("column,concept\n", "once"),
        ("columns;concept\nA;person.age\n", "column and concept"),
    ],
)
def test_a_map_that_cannot_be_used_is_refused(tmp_path, text, said):
    path = tmp_path / "map.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputProblem) as problem:
        read_map(path)
    assert said in str(problem.value)


def test_a_map_is_read(tmp_path):
    assert read_map(map_of(tmp_path / "map.csv")) == COLUMNS
