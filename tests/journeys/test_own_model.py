"""A clinic trains a model, names it in its evidence file, and sees it in a plan as research."""

from __future__ import annotations

import json

from endplate.cli.main import main
from unit.registry.people import map_of, table

CASE = """
on = 2026-05-20
[facts]
"pain.criterion.localised" = true
"pain.criterion.dermatomal" = false
"pain.criterion.widespread" = false
"""


def test_a_clinic_supplies_its_own_model(tmp_path, capsys):
    model, clinic, case = (tmp_path / n for n in ("m.toml", "clinic.toml", "case"))
    words = ["--outcome", "group", "--map", str(map_of(tmp_path / "map.csv")), "--out", str(model)]
    quick = ["--folds", "5", "--repeats", "1", "--permutations", "0", "--title", "Our clinic"]
    assert main(["model", "train", str(table(tmp_path / "t.csv")), *words, *quick]) == 0
    clinic.write_text(
        '[model]\n"pain.mechanism_model" = { file = "m.toml", reason = "our own people" }\n'
    )
    case.mkdir()
    (case / "case.toml").write_text(CASE)
    capsys.readouterr()
    plan = ["plan", str(case), "--on", "2026-06-01", "--out"]
    assert main([*plan, str(tmp_path / "with"), "--evidence", str(clinic)]) == 0
    assert main([*plan, str(tmp_path / "without")]) == 0

    said = json.loads((tmp_path / "with" / "plan.json").read_text())
    (found,) = [f for f in said["findings"] if f["rule"] == "pain.mechanism_model"]
    assert found["category"] == "nociceptive" and found["status"] == "answered"
    assert found["missing"] == ["pain.criterion.disturbs_sleep"]
    assert found["overrides"] == ["pain.mechanism_model"] and not found["verified"]
    page = (tmp_path / "with" / "report.html").read_text()
    assert "Research, not for diagnosis" in page and "Our clinic" in page
    assert "our own people" in page

    said = json.loads((tmp_path / "without" / "plan.json").read_text())
    (found,) = [f for f in said["findings"] if f["rule"] == "pain.mechanism_model"]
    assert found["status"] == "not_applicable" and not found["parts"]
