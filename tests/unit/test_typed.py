"""Facts typed by a person, and the answer to a typing error."""

from __future__ import annotations

from datetime import date

import pytest

from endplate.exchange.intake import Intake
from endplate.exchange.typed import is_table_of_facts, read_case_file, read_table
from endplate.facts import InputProblem

TODAY = date(2026, 6, 1)


def taken(tmp_path, text: str, name: str = "case.toml"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    intake = Intake(TODAY)
    settings = read_case_file(path, intake) if name.endswith(".toml") else read_table(path, intake)
    found = intake.understood()
    return {f.what: f for f in found.facts}, [p.says for p in found.problems], settings


def test_a_case_file(tmp_path):
    facts, problems, settings = taken(
        tmp_path,
        """
        title = "X"
        labels = "verse"
        posture = "supine"
        levels_confirmed = true
        [intent]
        procedure = "fusion"
        levels = "L4/S1"
        date = 2026-09-01
        [facts]
        "bone.t_score.total_hip" = { value = -2.3, on = 2026-04-22, side = "left" }
        "lab.vitamin_d" = { value = 41, unit = "nmol/L" }
        "condition.paget_disease" = false
        [person]
        sex = "female"
        """,
    )
    assert problems == []
    assert settings == {
        "title": "X", "labels": "verse", "posture": "supine", "levels_confirmed": "true",
    }  # fmt: skip
    assert facts["intent.levels"].value == "L4-S1"
    assert facts["intent.date"].value == "2026-09-01"
    assert facts["bone.t_score.total_hip"].side == "left"
    assert facts["lab.vitamin_d"].number == pytest.approx(16.43, abs=0.01)
    assert facts["condition.paget_disease"].value is False
    assert facts["imaging.posture"].value == "supine" and facts["person.sex"].value == "female"


def test_levels_are_confirmed_by_true_and_nothing_else(tmp_path):
    assert "levels_confirmed" not in taken(tmp_path, "levels_confirmed = false")[2]
    with pytest.raises(InputProblem, match="levels_confirmed is not understood"):
        taken(tmp_path, 'levels_confirmed = "yes"')


@pytest.mark.parametrize(
    "line, said",
    [
        ('"bone.tscore.totalhip" = -2', "bone.t_score.total_hip"),
        ('"lab.vitamin_d" = 20', "unit"),
        ('"lab.vitamin_d" = { value = 20, unit = "furlong" }', "furlong"),
        ('"lab.vitamin_d" = { value = 400, unit = "ng/mL" }', "lies outside"),
        ('"lab.vitamin_d" = { value = 20, unit = "ng/mL", on = 2027-01-01 }', "future"),
        ('"lab.vitamin_d" = { value = 20, unti = "ng/mL" }', "unti"),
        ('"bone.t_score.total_hip" = { value = -2, side = "port" }', "side"),
        ('"condition.stroke" = "perhaps"', "yes or no"),
        ('"intent.levels" = "L9"', "levels"),
        ('"intent.levels" = ["L3", "L5"]', "without a gap"),
        ('"intent.levels" = ["L3-L4", "L5-S1"]', "without a gap"),
        ('"intent.levels" = ["L3", "hip"]', "without a gap"),
        ('"intent.levels" = []', "without a gap"),
        ('"intent.levels" = [{ value = "L3" }, { value = "L4" }]', "takes one value"),
        ('"intent.procedure" = ["fusion", "decompression"]', "takes one value"),
        ('"person.sex" = { value = ["female", "male"], on = 2026-01-01 }', "takes one value"),
        ('"bone.t_score.total_hip" = [-2.3, -2.5]', "takes one value"),
        ('"intent.procedure" = "fuse it"', "fusion"),
        ('"intent.date" = "soon"', "date"),
        ('"ct.hounsfield.three_location" = { value = 90, unit = "HU", level = "Q1" }', "Q1"),
    ],
)
def test_a_slip_is_answered_and_not_guessed(tmp_path, line, said):
    facts, problems, _ = taken(tmp_path, f"[facts]\n{line}\n")
    assert facts == {} and len(problems) == 1 and said in problems[0]


def test_several_values_of_one_concept(tmp_path):
    path = tmp_path / "case.toml"
    path.write_text(
        '[facts]\n"ct.hounsfield.three_location" = [\n'
        '  { value = 90, unit = "HU", level = "L1" },\n'
        '  { value = 95, unit = "HU", level = "L2" } ]\n'
    )
    intake = Intake(TODAY)
    read_case_file(path, intake)
    assert [(f.level, f.value) for f in intake.facts] == [("L1", 90.0), ("L2", 95.0)]


@pytest.mark.parametrize(
    "written, span",
    [
        ('["L3", "L4", "L5"]', "L3-L5"),
        ('["L5", "L4"]', "L4-L5"),
        ('["L4"]', "L4"),
        ('["T12", "L1"]', "T12-L1"),
        ('["T12", "T13", "L1"]', "T12-L1"),
        ('["L4-L5", "L5-S1"]', "L4-S1"),
        ('["L3", "L4-S1"]', "L3-S1"),
        ('{ value = ["L5", "S1"], on = 2026-05-01 }', "L5-S1"),
    ],
)
def test_neighbouring_levels_are_one_span(tmp_path, written, span):
    facts, problems, _ = taken(tmp_path, f"[intent]\nlevels = {written}\n")
    assert problems == [] and facts["intent.levels"].value == span


def test_what_a_date_a_level_or_a_side_tells_apart_is_taken_one_by_one(tmp_path):
    path = tmp_path / "case.toml"
    path.write_text(
        '[bone]\nvertebra_excluded = ["L1", "L3"]\n'
        't_score.total_hip = [{ value = -2.3, side = "left" }, { value = -2.1, side = "right" }]\n'
        "t_score.femoral_neck = [{ value = -2.0, on = 2024-01-01 }, -2.2]\n"
        '[condition]\nother = ["gout", "asthma"]\n'
    )
    intake = Intake(TODAY)
    read_case_file(path, intake)
    assert len(intake.facts) == 8 and intake.understood().problems == ()


@pytest.mark.parametrize("key", ["on", "date", "until"])
@pytest.mark.parametrize("wrong", ['"01.03.2025"', '"soon"', "7", "false"])
def test_a_wrong_date_of_a_value_is_named(tmp_path, key, wrong):
    other = "" if key == "on" else "on = 2024-01-01, "
    line = f"denosumab = {{ value = true, {other}{key} = {wrong} }}"
    facts, problems, _ = taken(tmp_path, f"[medicine]\n{line}\n")
    assert facts == {} and len(problems) == 1
    assert "medicine.denosumab" in problems[0]
    assert repr(key) in problems[0] and "YYYY-MM-DD" in problems[0]


def test_a_wrong_until_in_a_table_is_named(tmp_path):
    text = "concept,value,date,until\nmedicine.denosumab,yes,2024-01-01,01.03.2025\n"
    facts, problems, _ = taken(tmp_path, text, "facts.csv")
    assert facts == {} and len(problems) == 1 and "'until'" in problems[0]


def test_the_date_of_a_file_and_of_a_section(tmp_path):
    text = "on = 2026-05-01\n[lab]\non = 2026-04-01\n"
    text += 'calcium = { value = 9.5, unit = "mg/dL" }\n'
    text += 'vitamin_d = { value = 20, unit = "ng/mL", on = 2026-03-01 }\n'
    facts, problems, _ = taken(tmp_path, text + '[person]\nsex = "female"\n')
    days = {what: fact.on and fact.on.month for what, fact in facts.items()}
    assert problems == [] and days == {"lab.calcium": 4, "lab.vitamin_d": 3, "person.sex": 5}


@pytest.mark.parametrize(
    "text, named, used",
    [
        ('on = "01.05.2026"\n[person]\nsex = "female"\n', "'on'", set()),
        ('on = "01.05.2026"\nposture = "supine"\n', "'on'", set()),
        ('[lab]\non = "1.5.26"\ncalcium = { value = 9, unit = "mg/dL" }\n', "'lab.on'", set()),
        (
            'on = "x"\n[lab]\ncalcium = { value = 9, unit = "mg/dL", on = 2026-03-01 }\n',
            "'on'",
            {"lab.calcium"},
        ),
    ],
)
def test_a_wrong_date_of_a_file_or_section_leaves_its_values_unused(tmp_path, text, named, used):
    facts, problems, _ = taken(tmp_path, text)
    assert set(facts) == used and len(problems) == 1
    assert named in problems[0] and "YYYY-MM-DD" in problems[0]


def test_a_file_that_is_no_toml_ends_the_run(tmp_path):
    with pytest.raises(InputProblem, match=r"case.toml: cannot be read"):
        taken(tmp_path, "posture = \n")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table(tmp_path, separator):
    rows = [
        ("concept", "value", "unit", "date", "level"),
        ("ct.hounsfield.three_location", "92", "HU", "2026-05-20", "L1"),
        ("person.smoker", "no", "", "2026-05-20", ""),
        ("lab.calcium", "2,4", "mmol/L", "2026-05-20", ""),
        ("lab.unknown", "1", "g", "2026-05-20", ""),
    ]
    quoted = [[f'"{c}"' if separator in c else c for c in row] for row in rows]
    path = tmp_path / "facts.csv"
    path.write_text("\n".join(separator.join(row) for row in quoted), encoding="utf-8-sig")
    assert is_table_of_facts(path)
    facts, problems, _ = taken(tmp_path, path.read_text("utf-8-sig"), "facts.csv")
    assert facts["ct.hounsfield.three_location"].level == "L1"
    assert facts["person.smoker"].value is False
    assert len(problems) == 2  # a decimal comma, and a concept that does not exist


def test_another_table_is_not_taken_for_facts(tmp_path):
    (tmp_path / "steps.csv").write_text("time,x,y\n1,2,3\n")
    assert not is_table_of_facts(tmp_path / "steps.csv")


TABLE = "concept,value,unit,date\nlab.calcium,9.5,mg/dL,2026-05-20\ncondition.other,Grüße,,\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_table_in_utf_8_or_marked_utf_16_is_read(tmp_path, encoding, newline):
    path = tmp_path / "facts.csv"
    mark = "\ufeff" if encoding[-3:] in ("-le", "-be") else ""
    path.write_bytes((mark + TABLE.replace("\n", newline)).encode(encoding))
    intake = Intake(TODAY)
    assert is_table_of_facts(path)
    read_table(path, intake)
    assert [f.value for f in intake.facts] == [9.5, "Grüße"]
    assert intake.understood().problems == ()


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("times", [1, 500])
def test_a_table_in_another_encoding_is_said_and_not_used(tmp_path, encoding, times):
    path = tmp_path / "facts.csv"
    head, *rows = TABLE.splitlines(keepends=True)
    path.write_bytes((head + "".join(rows) * times).encode(encoding))
    intake = Intake(TODAY)
    assert is_table_of_facts(path)
    read_table(path, intake)
    (problem,) = intake.understood().problems
    assert intake.facts == [] and "UTF-8" in problem.says and "Save it again" in problem.try_[0]


@pytest.mark.parametrize(
    "field", ["x" * 200_000, '"' + "x,1\n" * 100_000], ids=["long", "quotation mark not closed"]
)
def test_a_field_without_end_is_one_problem(tmp_path, field):
    path = tmp_path / "facts.csv"
    path.write_text(TABLE + f"condition.other,{field},,\n", encoding="utf-8")
    intake = Intake(TODAY)
    read_table(path, intake)
    (problem,) = intake.understood().problems
    assert len(intake.facts) == 2, "what stands before it is used"
    assert problem.where == "facts.csv:4" and "longer than" in problem.says
