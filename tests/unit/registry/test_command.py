"""``endplate model``: what it prints and writes, and what a user can get wrong."""

from __future__ import annotations

import json

import pytest

from endplate.cli.main import main
from unit.registry.people import CLASSES, map_of, table


@pytest.fixture
def words(tmp_path):
    return [
        "model", "train", str(table(tmp_path / "t.csv", blank=0.02)), "--outcome", "group",
        "--map", str(map_of(tmp_path / "map.csv")), "--out", str(tmp_path / "out" / "m.toml"),
        "--folds", "5", "--repeats", "1", "--permutations", "1", "--on", "2026-06-01",
    ]  # fmt: skip


def test_training_and_validation_in_json(words, tmp_path, capsysbinary):
    assert main([*words, "--json"]) == 0
    said = json.loads(capsysbinary.readouterr().out)
    assert said["model"]["classes"] == list(CLASSES)
    assert said["model"]["trained_on"] == "2026-06-01"
    assert {p["problem"] for p in said["problems"]} == {
        "model.blanks_filled", "model.columns_unused",
    }  # fmt: skip
    assert said["facts"] == said["findings"] == []
    other = table(tmp_path / "other.csv", seed=8)
    model = str(tmp_path / "out" / "m.toml")
    assert main(["model", "validate", model, str(other), "--json"]) == 0
    said = json.loads(capsysbinary.readouterr().out)
    assert said["validation"]["rows"] == 240
    assert [len(line) for line in said["validation"]["confusion"]] == [3, 3, 3]


def test_training_in_words(words, capsys):
    assert main(words) == 0
    said = capsys.readouterr().out
    assert "not for diagnosis" in said and "dealt out by chance" in said
    assert all(name in said for name in CLASSES)


@pytest.mark.parametrize(
    "change, said",
    [
        (("--outcome", "grup"), "columns grup"),
        (("--map", "none.csv"), "no such file"),
        (("--folds", "200"), "people in each"),
    ],
)
def test_a_slip_ends_in_one_line_and_writes_nothing(words, tmp_path, capsys, change, said):
    assert main([*words, *change]) == 2
    error = capsys.readouterr().err
    assert said in error and len(error.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_folder_is_no_file_to_write(words, tmp_path, capsys):
    assert main([*words, "--out", str(tmp_path)]) == 2
    assert "it is a folder" in capsys.readouterr().err


def test_what_is_no_model_is_not_validated(words, tmp_path, capsys):
    for name in ("none.toml", "t.csv"):
        assert main(["model", "validate", str(tmp_path / name), str(tmp_path / "t.csv")]) == 2
        assert "a model" in capsys.readouterr().err
