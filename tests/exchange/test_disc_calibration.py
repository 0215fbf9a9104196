"""A calibration file is read whole or refused with what is wrong in it."""

import json
from datetime import date

import pytest

from endplate.exchange.disc_calibration import read_calibration
from endplate.facts import InputProblem

GOOD = """
name = "made for this test"
population = "nobody"
on = 2026-01-31
thresholds = [-8.0, -5.5, -3.5, -1]

[coefficients]
signal_ratio = -10.0
height_index = -2

[ranges]
signal_ratio = [0.1, 0.8]
"""


def written(tmp_path, text, name="calibration.toml"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_toml_and_json_say_the_same(tmp_path):
    toml = read_calibration(written(tmp_path, GOOD))
    cells = {
        "name": "made for this test", "population": "nobody", "on": "2026-01-31",
        "thresholds": [-8.0, -5.5, -3.5, -1.0],
        "coefficients": {"signal_ratio": -10.0, "height_index": -2.0},
        "ranges": {"signal_ratio": [0.1, 0.8]},
    }  # fmt: skip
    assert toml == read_calibration(written(tmp_path, json.dumps(cells), "calibration.json"))
    assert toml.on == date(2026, 1, 31) and toml.thresholds == (-8.0, -5.5, -3.5, -1.0)
    assert toml.coefficients == {"signal_ratio": -10.0, "height_index": -2.0}


@pytest.mark.parametrize(
    "old, new, words",
    [
        ('name = "made for this test"', "", "name"),
        ('population = "nobody"', 'population = " "', "population"),
        ("on = 2026-01-31", "", "day"),
        ("on = 2026-01-31", 'on = "last year"', "day"),
        ("[-8.0, -5.5, -3.5, -1]", "[-8.0, -5.5, -3.5]", "4 thresholds"),
        ("[-8.0, -5.5, -3.5, -1]", "[-8.0, -5.5, -5.5, -1]", "do not grow"),
        ("[-8.0, -5.5, -3.5, -1]", "[-8.0, -5.5, nan, -1]", "thresholds"),
        ("[-8.0, -5.5, -3.5, -1]", '"-8"', "thresholds"),
        ("signal_ratio = -10.0\nheight_index = -2", "", "coefficients"),
        ("signal_ratio = -10.0", "age = -10.0", "coefficients"),
        ("signal_ratio = -10.0", "signal_ratio = true", "coefficients"),
        ("signal_ratio = -10.0", "signal_ratio = inf", "coefficients"),
        ("[0.1, 0.8]", "[0.8, 0.1]", "wrong way round"),
        ("[0.1, 0.8]", "0.8", "ranges"),
        ("thresholds", "threshold", "threshold"),
        ("name =", "name", "TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, old, new, words):
    assert old in GOOD
    with pytest.raises(InputProblem, match=words):
        read_calibration(written(tmp_path, GOOD.replace(old, new, 1)))


@pytest.mark.parametrize("text", ["[1, 2]", "{", '"text"', "\x00"])
def test_other_json_is_refused(tmp_path, text):
    with pytest.raises(InputProblem, match="calibration"):
        read_calibration(written(tmp_path, text, "calibration.json"))


def test_no_file_is_refused(tmp_path):
    with pytest.raises(InputProblem, match="cannot be read"):
        read_calibration(tmp_path / "nothing.toml")
