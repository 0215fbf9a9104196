"""A clinic's own evidence file: what cannot be used in it ends the run and is named."""

from __future__ import annotations

import pytest

from endplate import evidence
from endplate.cli.main import main
from endplate.facts import InputProblem

ROW = '[row."bone.t_score.osteoporosis"]\nreason = "x"\n'
CHOICE = '[choice."bone.dxa_sites"]\nuse = "hip_and_radius"\nreason = "x"\n'


@pytest.mark.parametrize(
    "text, said",
    [
        ('[rows."bone.t_score.low_bone_mass"]\nvalue = -1.5\nreason = "x"', ("'rows'", "row.")),
        ('clinc = "Example"', ("'clinc'", "clinic.")),
        ("[choices]", ("'choices'", "choice.")),
        ("row = 3", ("'row'", "table")),
        ('choice = "hip"', ("'choice'", "table")),
        ('[row]\n"bone.t_score.osteoporosis" = -2', ("bone.t_score.osteoporosis", "table")),
        (ROW + "value = nan", ("bone.t_score.osteoporosis", "finite number")),
        (ROW + "value = -inf", ("finite number",)),
        (ROW + "value = true", ("finite number",)),
        (ROW + 'value = "-2"', ("finite number",)),
        (ROW + 'value = -2\nunit = "%"', ("'unit'", "bone.t_score.osteoporosis")),
        (ROW + "value = -2\ncites = 3", ("'cites'",)),
        (ROW + 'value = -2\ncites = ["a", "b"]\nwhere = ["p. 1"]', ("'where'",)),
        (CHOICE + "extra = 1", ("'extra'", "bone.dxa_sites")),
        (CHOICE.replace("reason", "raeson"), ("'raeson'", "Write reason.")),
    ],
)
def test_what_would_be_passed_over_is_refused(tmp_path, capsys, text, said):
    path = tmp_path / "clinic.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputProblem) as problem:
        evidence.with_clinic_file(evidence.shipped(), path)
    assert all(part in str(problem.value) for part in ("clinic.toml", *said))
    assert main(["rules", "--evidence", str(path)]) == 2
    error = capsys.readouterr().err
    assert "defect" not in error and len(error.strip().splitlines()) == 1


def test_a_statement_has_no_number_to_be_replaced(tmp_path):
    name = next(row.name for row in evidence.shipped().rows.values() if row.value is None)
    path = tmp_path / "clinic.toml"
    path.write_text(f'[row."{name}"]\nvalue = 1\nreason = "x"\n', encoding="utf-8")
    with pytest.raises(InputProblem, match="holds no number"):
        evidence.with_clinic_file(evidence.shipped(), path)


OWN = """
clinic = "Example Clinic [/b]"
[choice]
"bone.dxa_sites" = { use = "hip_and_radius", reason = "Our spines are degenerated." }
[row]
"bone.t_score.osteoporosis" = { value = -2.25, reason = "Our own series." }
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["score", "bone.osteoporosis_by_dxa", "total_hip=-2.3", "sex=male", "age=70"],
        ["rules"],
        ["rules", "bone.osteoporosis_by_dxa"],
    ],
    ids=" ".join,
)
def test_the_text_shows_what_the_clinic_put_in_place(tmp_path, capsys, arguments):
    path = tmp_path / "clinic.toml"
    path.write_text(OWN, encoding="utf-8")
    assert main([*arguments, "--evidence", str(path)]) == 0
    said = capsys.readouterr().out
    for part in ("Example Clinic", "bone.dxa_sites", "hip_and_radius", "Our own series.", "≤ -2.5"):
        assert part in said, part
    assert main([*arguments, "--evidence", str(path), "--json"]) == 0
    assert "Our spines are degenerated." in capsys.readouterr().out
    assert main(arguments) == 0
    assert "clinic's own" not in capsys.readouterr().out


def test_a_score_says_which_of_it_is_the_clinics(tmp_path, capsys):
    path = tmp_path / "clinic.toml"
    path.write_text(OWN, encoding="utf-8")
    given = ["total_hip=-2.3", "sex=male", "age=70"]
    assert main(["score", "bone.osteoporosis_by_dxa", *given, "--evidence", str(path)]) == 0
    assert "the clinic's own: bone.t_score.osteoporosis\n" in capsys.readouterr().out
