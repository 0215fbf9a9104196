"""From a file of landmarks to plans, and from a plan's own landmarks back to its numbers."""

from __future__ import annotations

import json

import pytest

from endplate.cli.main import DONE, UNUSABLE, main
from journeys.test_alignment import FRONTAL, LATERAL, written

SAID = {"posture": "standing", "pixel_spacing": 0.5, "magnification": 1.25}
PSO = "osteotomy L3 grade=3 angle=25"
CAGE = "cage L4-L5 lordosis=12 height=10"


def scaled(points):
    """Millimetres as pixels of such a picture."""
    return {n: (x / 0.4, y / 0.4) for n, (x, y) in points.items()}


@pytest.fixture
def lateral(tmp_path):
    return written(tmp_path / "lateral.json", "lateral", scaled(LATERAL), **SAID, on="2026-01-31")


@pytest.fixture
def frontal(tmp_path):
    return written(tmp_path / "frontal.json", "frontal", scaled(FRONTAL), **SAID)


def answer(capfd, *arguments):
    assert main(["alignment", "plan", *arguments, "--json"]) == DONE
    return json.loads(capfd.readouterr().out)


def by_name(facts):
    return {(f["what"], f.get("level"), f.get("side")): f["value"] for f in facts}


def test_a_plan_measured_again_has_the_numbers_that_were_predicted(
    lateral, frontal, tmp_path, capfd
):
    out = tmp_path / "out"
    given = ["--action", PSO, "--action", f"{CAGE} coronal=4", "--compensation", "pt=20"]
    told = answer(capfd, lateral, frontal, *given, "--age", "66", "--out", str(out))
    assert {"endplate", "facts", "findings", "problems", "plans", "targets"} <= set(told)
    (plan,) = told["plans"]
    files = sorted(p.name for p in out.iterdir())
    assert files == [
        "alignment-plan.html", "alignment-plan.json", "plan-1.frontal.json", "plan-1.frontal.svg",
        "plan-1.lateral.json", "plan-1.parameters.svg", "plan-1.svg",
    ]  # fmt: skip
    planned = [str(out / f"plan-1.{view}.json") for view in ("frontal", "lateral")]
    assert main(["alignment", "measure", *planned, "--json"]) == DONE
    again = json.loads(capfd.readouterr().out)
    assert by_name(again["facts"]) == by_name(plan["predicted"])
    now = by_name(told["facts"])
    assert {k for k in now if "cobb" not in k[0]} <= set(by_name(plan["predicted"]))
    key = ("spine.lumbar_lordosis", "L1-S1", None)
    by = sum(a["correction"] for a in plan["actions"])
    assert by_name(plan["predicted"])[key] - now[key] == pytest.approx(by)
    assert json.loads((out / "alignment-plan.json").read_text())["plans"] == told["plans"]
    assert json.loads((out / "plan-1.lateral.json").read_text()) == plan["landmarks"]["lateral"]


def test_the_search_names_actions_that_give_the_same_plan_again(lateral, capfd):
    told = answer(capfd, lateral, "--target", "LL=60..64", "--levels", "L2-S1", "--grade", "3")
    assert told["plans"]
    for plan in told["plans"][:2]:
        assert "every target is in range." in plan["says"]
        given = [x for a in plan["actions"] for x in ("--action", a["text"])]
        assert given
        (again,) = answer(capfd, lateral, "--target", "LL=60..64", *given)["plans"]
        assert by_name(again["predicted"]) == pytest.approx(by_name(plan["predicted"]), abs=1e-9)
    assert "optimal" not in json.dumps(told).lower()


def test_the_terminal_compares_plans_in_few_columns_and_says_what_to_know(lateral, tmp_path, capfd):
    given = ["--age", "70", "--target", "LL=60..64", "--levels", "L2-S1", "--grade", "3"]
    assert main(["alignment", "plan", lateral, *given]) == DONE
    text = capfd.readouterr().out
    assert max(map(len, text.splitlines())) <= 96
    told = answer(capfd, lateral, *given)
    for plan in told["plans"]:
        assert f"{plan['name']}: every target is in range" in text
        assert all(f"- {a['text']}" in text for a in plan["actions"])
    assert text.count("Targets") == text.count("Main parameters") == 1
    for word in ("current", "lumbar lordosis", "Unchanged", "pelvis:", "thorax:", "--out DIR"):
        assert word in text
    assert "optimal" not in text.lower()
    assert (
        main(["alignment", "plan", lateral, "--action", PSO, "--out", str(tmp_path / "o")]) == DONE
    )
    text = capfd.readouterr().out
    assert "osteotomy of L3: Exact" in text and "Full balance" in text
    assert str(tmp_path / "o" / "alignment-plan.html") in text


def test_what_cannot_be_reached_ends_well_and_says_why(lateral, capfd):
    told = answer(capfd, lateral, "--target", "LL=100..101", "--levels", "L4-S1", "--grade", "0")
    (problem,) = [p for p in told["problems"] if p["problem"] == "alignment.plan.out_of_reach"]
    assert "lumbar lordosis" in problem["says"] and problem["try"]
    assert "out of range" in told["plans"][0]["says"]


def test_angles_alone_of_an_uncalibrated_picture(tmp_path, capfd):
    path = written(tmp_path / "a.json", "lateral", LATERAL, posture="standing")
    told = answer(capfd, path, "--uncalibrated", "--action", PSO)
    (plan,) = told["plans"]
    assert {f["unit"] for f in plan["predicted"]} <= {"deg", "%"}
    assert plan["landmarks"]["lateral"]["calibration"] == "uncalibrated"


def test_the_bone_at_the_top_of_a_plan_where_its_density_is_known(lateral, tmp_path, capfd):
    facts = tmp_path / "case.toml"
    facts.write_text(
        "".join(
            f"[[ct.hounsfield.three_location]]\nvalue = {value}\nunit = 'HU'\nlevel = '{level}'\n"
            for level, value in (("T10", 95), ("T9", 110))
        )
    )
    given = ["--action", PSO, "--action", "fuse T10-S1", "--facts", str(facts)]
    told = answer(capfd, lateral, "--age", "66", "--on", "2026-02-01", *given)
    bone = {f.get("about"): f for f in told["findings"] if f["rule"].startswith("bone.")}
    assert {"T9", "T10", "not_measured"} <= set(bone)
    assert bone["T10"]["category"] == "high"
    without = answer(capfd, lateral, *given[:4])
    assert not any(f["rule"].startswith("bone.") for f in without["findings"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--levels", "L9"], "--levels"),
        (["--levels", "L3"], "--levels"),
        (["--approach", "top"], "--approach"),
        (["--grade", "7"], "--grade"),
        (["--most", "0"], "--most"),
        (["--lower", "S1"], "--upper"),
        (["--upper", "S1"], "--upper"),
        (["--upper", "X"], "--upper"),
        (["--age", "-3"], "--age"),
        (["--age", "nan"], "--age"),
        (["--target", "best"], "--target"),
        (["--compensation", "none"], "compensation"),
        (["--thorax", "soft"], "compensation"),
        (["--action", "wedge L3"], "wedge L3"),
        (["--action", "osteotomy L3 grade=3 angle=85"], "back wall"),
        (["--facts", "nowhere.toml"], "nowhere.toml"),
    ],
)
def test_what_is_not_understood_is_said_and_nothing_is_written(
    lateral, tmp_path, capfd, arguments, says
):
    out = tmp_path / "out"
    assert main(["alignment", "plan", lateral, *arguments, "--out", str(out)]) == UNUSABLE
    error = capfd.readouterr().err
    assert says in error and "Traceback" not in error
    assert not out.exists()


def test_a_lateral_view_is_needed_and_one_alone(lateral, frontal, tmp_path, capfd):
    second = written(tmp_path / "b.json", "lateral", scaled(LATERAL), **SAID)
    for files in ([frontal], [lateral, second]):
        assert main(["alignment", "plan", *files]) == UNUSABLE
        assert "lateral" in capfd.readouterr().err


def test_limits_are_not_ignored_beside_actions(lateral, capfd):
    assert main(["alignment", "plan", lateral, "--action", PSO, "--grade", "2"]) == UNUSABLE
    assert "--grade: cannot be given beside --action." in capfd.readouterr().err
