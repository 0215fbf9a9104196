"""From landmarks to classes, norms and targets, by the command."""

from __future__ import annotations

import json

import pytest

from endplate.cli.main import DONE, UNUSABLE, main
from journeys.test_alignment import CALIBRATED, FRONTAL, LATERAL, written

ADULT = ["--age", "67", "--sex", "female"]


@pytest.fixture
def both(tmp_path):
    return [
        written(tmp_path / "lateral.json", "lateral", LATERAL, **CALIBRATED),
        written(tmp_path / "frontal.json", "frontal", FRONTAL, **CALIBRATED),
    ]


def answered(capfd, *arguments):
    assert main(["alignment", *arguments, "--json"]) == DONE
    return json.loads(capfd.readouterr().out)


def test_classes_of_both_views(both, capfd):
    found = answered(capfd, "classify", *both, *ADULT, "lordotic_vertebrae=5")
    by_rule = {f["rule"]: f for f in found["findings"]}
    for rule in ("gap", "srs_schwab", "roussouly", "t4_l1_hip_axis", "ames", "age_adjusted"):
        assert by_rule[f"alignment.{rule}"]["status"] == "answered", rule
    assert by_rule["alignment.gap"]["value"] is not None
    typed = next(f for f in found["facts"] if f["what"] == "spine.lordotic_vertebrae")
    assert typed["posture"] == "standing" and typed["source"] == "typed"
    assert len({f["rule"] + f["about"] for f in found["findings"]}) == len(found["findings"])


def test_what_cannot_be_given_is_there_with_what_it_needs(both, capfd):
    found = answered(capfd, "classify", both[0], *ADULT)
    hart = next(f for f in found["findings"] if f["rule"] == "alignment.hart_issg")
    assert hart["status"] == "unknown" and hart["value"] is None and hart["missing"]


def test_norms_are_of_the_same_levels_and_posture(both, capfd):
    found = answered(capfd, "classify", both[0], *ADULT)
    norms = found["norms"]
    assert {n["level"] for n in norms if n["what"] == "spine.thoracic_kyphosis"} == {"T2-T12"}
    assert not any("ct_men" in n["row"] for n in norms)
    assert any("ct_women" in n["row"] for n in norms)


def test_lying_down_it_is_said_once(both, tmp_path, capfd):
    said = {k: v for k, v in CALIBRATED.items() if k != "posture"}
    lying = written(tmp_path / "l.json", "lateral", LATERAL, posture="supine", **said)
    found = answered(capfd, "classify", lying, *ADULT)
    saying = [f for f in found["findings"] if f["says"].startswith("Defined on standing")]
    assert len(saying) == 1
    assert not any("cannot be given: it is defined" in f["says"] for f in found["findings"]
                   if f["rule"] != "alignment.age_adjusted")  # fmt: skip
    assert len({f["rule"] for f in found["findings"] if f["rule"] == "alignment.gap"}) == 0


def test_targets_side_by_side(both, capfd):
    found = answered(capfd, "targets", *both, "--age", "67")
    lordosis = [t for t in found["targets"] if t["what"] == "spine.lumbar_lordosis"]
    assert len(lordosis) == 9 and sum(t["default"] for t in lordosis) == 1
    for target in lordosis:
        assert target["population"] and target["cites"] and target["now"] is not None
    assert {f["rule"] for f in found["findings"]} >= {"alignment.age_adjusted", "alignment.gap"}


@pytest.mark.parametrize("command", ["classify", "targets"])
def test_text_fits_into_eighty_columns(both, capfd, command):
    assert main(["alignment", command, *both, *ADULT]) == DONE
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) > 20 and max(map(len, lines)) <= 80


@pytest.mark.parametrize(
    "more, expected",
    [
        (["pelvic_tilt=20"], "measured on the landmarks and typed"),
        (["nonsense=1"], "nonsense: is no input"),
        (["lordotic_vertebrae=many"], "needs a number"),
        (["lordotic_vertebrae=99"], "lies outside"),
        (["--age", "400"], "lies outside"),
        (["--sex", "x"], "cannot be used"),
        (["--on", "2001-01-01"], "its date lies after that"),
    ],
)
def test_what_cannot_be_used_is_one_message(tmp_path, capfd, more, expected):
    film = written(tmp_path / "a.json", "lateral", LATERAL, on="2026-01-31", **CALIBRATED)
    assert main(["alignment", "classify", film, *more]) == UNUSABLE
    said = capfd.readouterr()
    assert expected in said.err and not said.out and "Traceback" not in said.err


def test_values_without_a_film_are_for_the_score_command(capfd):
    assert main(["alignment", "classify", "pelvic_incidence=50"]) == UNUSABLE
    assert "endplate score" in capfd.readouterr().err


def test_what_is_known_is_not_among_what_a_class_lacks(both, capfd):
    found = answered(capfd, "classify", both[0], "--age", "14")
    known = {f["what"] for f in found["facts"]}
    unknown = [f for f in found["findings"] if f["says"].startswith("Cannot be given")]
    assert unknown and not any(known & set(f["missing"]) for f in unknown)
    ais = next(f for f in unknown if f["rule"] == "alignment.ais_treatment")
    assert ais["missing"] == ["spine.coronal_cobb_angle"]


def test_a_value_is_typed_by_the_name_that_the_field_uses(both, capfd):
    found = answered(capfd, "classify", both[0], *ADULT, "mJOA=15")
    ames = next(f for f in found["findings"] if f["rule"] == "alignment.ames")
    assert ames["parts"]["myelopathy_modifier"] == 1
