"""Landmarks of radiographs in a case folder: measured, judged, drawn; and bad ones beside good."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from endplate.cli.main import DONE, UNUSABLE, main
from endplate.demo import person, radiographs
from endplate.demo.phantom import Pelvis
from endplate.exchange import points_slicer
from endplate.images.landmarks import Landmark

LATERAL = radiographs.lateral()
BORN = {"resourceType": "Patient", "id": "p", "gender": "female", "birthDate": "1958-03-14"}


@pytest.fixture
def case(tmp_path):
    folder = tmp_path / "case"
    folder.mkdir()
    (folder / "record.json").write_text(json.dumps(BORN))
    for name, content in radiographs.files().items():
        (folder / name).write_bytes(content)
    return folder


def as_json(points, **said):
    said = {
        "view": "lateral",
        "posture": "standing",
        "pixel_spacing": 1,
        "magnification": 1,
        **said,
    }
    return json.dumps({**said, "points": {n: [x, -y] for n, (x, y) in points.items()}})


def read(case, capfd):
    assert main(["read", str(case), "--on", "2026-06-01", "--json"]) == DONE
    return json.loads(capfd.readouterr().out)


def planned(case, out, *more):
    arguments = ["plan", str(case), "--out", str(out), "--on", "2026-06-01", *more]
    assert main(arguments) == DONE
    return json.loads((out / "plan.json").read_text()), (out / "report.html").read_text()


def facts(found, name):
    return {(f["what"], f.get("level")): f for f in found["facts"] if f["source"] == name}


def problems(found):
    return {p["problem"]: p for p in found["problems"]}


# -- what a case with landmarks gives --------------------------------------------------------------


def test_landmarks_become_facts_with_source_day_and_posture(case, capfd):
    found = read(case, capfd)
    tilt = facts(found, "standing-lateral.csv")["pelvis.pelvic_tilt", None]
    assert tilt["posture"] == "standing" and tilt["on"] == "2026-05-11"
    kinds = {f["name"]: f["kind"] for f in found["files"]}
    assert kinds["standing-lateral.csv"] == "landmarks (lateral radiograph)"
    assert kinds["standing-frontal.csv"] == "landmarks (frontal radiograph)"


def test_the_plan_answers_by_them_and_the_report_draws_them(case, tmp_path, capfd):
    plan, report = planned(case, tmp_path / "out")
    answered = {f["rule"]: f for f in plan["findings"] if f["status"] == "answered"}
    assert {"alignment.gap", "alignment.srs_schwab", "alignment.ideal_lordosis"} <= set(answered)
    assert 'id="h-alignment"' in report and answered["alignment.gap"]["says"] in report
    assert "SVA now" in report and "Targets side by side" in report
    for name in ("sagittal", "coronal", "parameters", "gap"):
        svg = (tmp_path / "out" / "pictures" / f"alignment-{name}.svg").read_text()
        assert ElementTree.fromstring(svg).get("role") == "img" and svg in report


def test_without_landmarks_there_is_no_section(case, tmp_path):
    for name in radiographs.files():
        (case / name).unlink()
    assert 'id="h-alignment"' not in planned(case, tmp_path / "out")[1]


def test_a_file_is_known_by_what_it_holds(case, capfd):
    (case / "standing-lateral.csv").unlink()
    (case / "more").mkdir()
    (case / "more" / "fhir.json").write_text(as_json(LATERAL, on="2026-05-11"))
    found = read(case, capfd)
    assert ("pelvis.pelvic_tilt", None) in facts(found, "more/fhir.json")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("other.json", '{"points": {"a": [1, 2]}}'),
        ("other.json", '{"points": [1, 2], "view": "lateral"}'),
        ("other.csv", "point,x,y\n1,2,3\n"),
        ("other.csv", "name,x,y\nchin,2,3\n"),
        ("other.txt", "chin x y"),
    ],
)
def test_what_only_looks_like_landmarks_is_none(case, capfd, name, content):
    before = {json.dumps(f) for f in read(case, capfd)["facts"]}
    (case / name).write_text(content)
    found = read(case, capfd)
    assert {json.dumps(f) for f in found["facts"]} == before
    assert not any("landmarks" in f["kind"] for f in found["files"] if f["name"] == name)


def test_a_film_in_no_posture_answers_no_score_for_standing_people(case, tmp_path):
    (case / "standing-lateral.csv").unlink()
    (case / "lateral.json").write_text(as_json(LATERAL, posture="unknown"))
    plan, report = planned(case, tmp_path / "out")
    (told,) = [f for f in plan["findings"] if f["rule"] == "alignment.not_standing"]
    assert told["status"] == "unknown" and "GAP score" in told["says"]
    assert "in a posture that is not stated" in told["says"]
    assert not any(f["rule"] == "alignment.gap" for f in plan["findings"])
    assert "posture not stated" in report


def test_the_clinics_own_error_of_a_point_is_used(case, tmp_path):
    text = (case / "standing-lateral.csv").read_text()
    text = "\n".join(line for line in text.splitlines() if "landmark_error" not in line)
    (case / "standing-lateral.csv").write_text(text)
    clinic = tmp_path / "clinic.toml"
    clinic.write_text(
        '[row]\n"alignment.landmark_error" = { value = 5, reason = "Our readers." }\n'
    )
    wide = []
    for more in ((), ("--evidence", str(clinic))):
        plan, _ = planned(case, tmp_path / f"out{len(more)}", *more)
        tilt = facts(plan, "standing-lateral.csv")["pelvis.pelvic_tilt", None]
        wide.append(tilt["interval"][1] - tilt["interval"][0])
    assert wide[1] > 2 * wide[0]


# -- what cannot be used ---------------------------------------------------------------------------

EXCHANGED = {
    **LATERAL,
    "L3 superior_endplate.anterior": LATERAL["L3 superior_endplate.posterior"],
    "L3 superior_endplate.posterior": LATERAL["L3 superior_endplate.anterior"],
}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (as_json(EXCHANGED), "L3 superior_endplate"),
        (as_json(LATERAL, magnification=None), "magnification is not known"),
        (as_json(LATERAL, veiw="lateral"), "'veiw'"),
        (as_json(LATERAL, on="2027-01-01"), "dated in the future"),
        ('{"view": "lateral", "points": {"nose": [1, 2]}}', "none"),
        (as_json(LATERAL, pixel_spacing=9), "endplates come out outside"),
    ],
)
def test_a_bad_file_is_a_problem_of_its_own(case, tmp_path, content, says):
    (case / "standing-lateral.csv").unlink()
    (case / "bad.json").write_text(content)
    plan, report = planned(case, tmp_path / "out")
    problem = problems(plan)["alignment.landmarks_not_used"]
    assert problem["where"] == "bad.json" and says in problem["says"]
    assert not facts(plan, "bad.json") and facts(plan, "standing-frontal.csv")
    assert "From the front" in report and "From the side" not in report


def test_of_two_films_that_nothing_tells_apart_none_is_used(case, capfd):
    (case / "again.json").write_text(as_json(LATERAL, on="2026-05-11"))
    found = read(case, capfd)
    assert not facts(found, "again.json") and not facts(found, "standing-lateral.csv")
    where = {p["where"] for p in found["problems"]}
    assert {"again.json", "standing-lateral.csv"} <= where
    (case / "again.json").write_text(as_json(LATERAL, on="2025-05-11"))
    found = read(case, capfd)
    assert facts(found, "again.json") and facts(found, "standing-lateral.csv")


def test_a_bad_file_alone_is_said_to_be_what_is_wrong(tmp_path, capfd):
    (tmp_path / "case").mkdir()
    (tmp_path / "case" / "bad.json").write_text(as_json(EXCHANGED))
    assert main(["read", str(tmp_path / "case")]) == UNUSABLE
    assert "L3 superior_endplate" in capfd.readouterr().err


# -- 3D Slicer -------------------------------------------------------------------------------------


def markups(flat):
    """The lateral points in mm as 3D Slicer keeps them: in one plane, or filling space."""
    points = [
        Landmark.at(name.split(" ", 1)[-1], [0.0 if flat else n % 7, -x, y],
                    level=level if (level := name.split()[0])[0] in "CTLS" else None)
        for n, (name, (x, y)) in enumerate(LATERAL.items())
        if name[0] in "CTLS"
    ]  # fmt: skip
    points += [Landmark.at("femoral_head.centre", [0.0 if flat else s, 0.0, 0.0], side=side)
               for side, s in (("left", 84), ("right", -84))]  # fmt: skip
    return points_slicer.written(points)


SAID = '[landmarks."side.mrk.json"]\nview = "lateral"\nposture = "standing"\non = 2026-05-11\n'


@pytest.mark.parametrize("flat", [True, False])
def test_what_a_file_of_slicer_does_not_say_stands_in_the_cases_own_file(case, capfd, flat):
    (case / "standing-lateral.csv").unlink()
    (case / "side.mrk.json").write_bytes(markups(flat))
    (case / "case.toml").write_text(SAID + ("magnification = 1.0\n" if flat else ""))
    tilt = facts(read(case, capfd), "side.mrk.json")["pelvis.pelvic_tilt", None]
    assert tilt["value"] == pytest.approx(Pelvis().incidence - radiographs.SLOPE, abs=0.1)
    assert tilt["posture"] == "standing" and tilt["on"] == "2026-05-11"


def test_points_of_a_body_that_nobody_calls_a_radiograph_are_left_aside(case, capfd):
    (case / "points.mrk.json").write_bytes(markups(flat=False))
    found = read(case, capfd)
    assert not facts(found, "points.mrk.json")
    assert "alignment.landmarks_not_used" not in problems(found)
    assert {p["problem"] for p in found["ignored"]} == {"case.points_not_used"}


def test_points_in_a_plane_without_a_view_say_what_is_needed(case, capfd):
    (case / "side.mrk.json").write_bytes(markups(flat=True))
    problem = problems(read(case, capfd))["alignment.landmarks_not_used"]
    assert "lateral or a frontal" in problem["says"]
    assert any('[landmarks."side.mrk.json"]' in t for t in problem["try"])


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ('[landmarks."nowhere.json"]\nview = "lateral"\n', "alignment.no_such_file"),
        ('[landmarks."standing-lateral.csv"]\nveiw = "x"\n', "alignment.landmarks_not_used"),
        ('[landmarks."standing-lateral.csv"]\nview = "frontal"\n', "alignment.landmarks_not_used"),
    ],
)
def test_a_slip_in_the_cases_own_file_is_a_problem(case, capfd, toml, says):
    (case / "case.toml").write_text(toml)
    assert says in problems(read(case, capfd))


def test_landmarks_that_are_no_tables_end_the_run(case, capfd):
    (case / "case.toml").write_text('landmarks = "standing-lateral.csv"\n')
    assert main(["read", str(case)]) == UNUSABLE
    assert "landmarks is not understood" in capfd.readouterr().err


# -- pictures by the command, and the demonstration ------------------------------------------------


def test_the_command_writes_the_pictures_beside_the_numbers(case, tmp_path):
    files = [str(case / name) for name in radiographs.files()]
    out = tmp_path / "out"
    assert main(["alignment", "measure", *files, "--out", str(out)]) == DONE
    assert {p.name for p in out.iterdir()} == {"alignment.json", "sagittal.svg", "coronal.svg"}
    ElementTree.parse(out / "sagittal.svg")


def test_her_standing_spine_is_measured_as_it_was_made(demonstration):
    plan = json.loads((demonstration / "plan" / "plan.json").read_text())
    side, front = (facts(plan, f"standing-{view}.csv") for view in ("lateral", "frontal"))
    parts = {f"{a}-{b}": angle for (a, b), angle in radiographs.PARTS.items()}
    expected = {
        ("pelvis.pelvic_incidence", None): Pelvis().incidence,
        ("pelvis.sacral_slope", None): radiographs.SLOPE,
        ("spine.lumbar_lordosis", "L1-S1"): parts["L4-L5"] + parts["L1-L3"],
        ("spine.lower_lumbar_lordosis", "L4-S1"): parts["L4-L5"],
    }
    for key, angle in expected.items():
        assert side[key]["value"] == pytest.approx(angle, abs=0.3), key
    first, last = radiographs.CURVE
    curve = front["spine.coronal_cobb_angle", f"{first}-{last}"]
    assert curve["value"] == pytest.approx(radiographs.COBB, abs=0.3) and curve["side"] == "left"
    # Lying in the scanner and standing she has one pelvis.
    supine = [f for f in plan["facts"] if f["what"] == "pelvis.pelvic_incidence"
              and f["posture"] == "supine"]  # fmt: skip
    assert supine[0]["value"] == pytest.approx(Pelvis().incidence, abs=1)
    assert radiographs.TAKEN < person.PLAN_FOR
    for name in radiographs.files():
        assert "SYNTHETIC" in (demonstration / "case" / name).read_text()
