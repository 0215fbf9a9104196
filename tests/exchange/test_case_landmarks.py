"""Landmarks in DICOM objects of a case folder, beside their images and CT; damaged files."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from dicom_radiographs import graphic, group, length, presentation, radiograph, region, report, text
from endplate.alignment.geometry import METHOD
from endplate.cli.main import DONE, UNUSABLE, main
from endplate.exchange import points_slicer
from endplate.images.landmarks import Landmark
from unit.alignment import spines

from dicom_series import hounsfield, saved, slices

POINTS = spines.one(spines.lateral(np.random.default_rng(11)))
SOME = {n: p for n, p in POINTS.items() if n.startswith(("L1", "L4", "S1", "C7", "left", "right"))}
ROWS, COLUMNS = 1500, 1000
SAID = '[landmarks."NAME"]\nposture = "standing"\n'


def pixels(points=SOME):
    """Where points lie on a picture of 1.6 mm and magnification 1.25, as single floats."""
    there = np.array(list(points.values()))
    middle = (there.min(axis=0) + there.max(axis=0)) / 2
    at = (there - middle) * [1.25 / 1.6, -1.25 / 1.6] + [COLUMNS / 2, ROWS / 2]
    return {n: tuple(map(float, np.float32(p))) for n, p in zip(points, at, strict=True)}


def film(folder, **more):
    return radiograph(folder / "film.dcm", rows=ROWS, columns=COLUMNS, **more)


def marked_as_report(folder, image, at):
    groups = [group(region("POINT", xy, image), name) for name, xy in at.items()]
    return report(folder / "marks.dcm", groups, image)


def marked_as_state(folder, image, at):
    pairs = [([text(name, xy)], [graphic("POINT", xy)]) for name, xy in at.items()]
    return presentation(folder / "marks.dcm", pairs, image)


WAYS = pytest.mark.parametrize("write", [marked_as_report, marked_as_state])


@pytest.fixture
def case(tmp_path):
    folder = tmp_path / "case"
    folder.mkdir()
    (folder / "case.toml").write_text(SAID.replace("NAME", "marks.dcm"))
    return folder


def read(case, capfd):
    assert main(["read", str(case), "--on", "2026-06-01", "--json"]) == DONE
    return json.loads(capfd.readouterr().out)


def refused(case, capfd):
    assert main(["read", str(case), "--on", "2026-06-01"]) == UNUSABLE
    return capfd.readouterr().err


def measured(found):
    return {(f["what"], f.get("level"), f.get("side")): f for f in found["facts"]
            if f.get("method") == METHOD}  # fmt: skip


def unusual(found):
    """Problems but those of landmarks that are not marked."""
    return {p["problem"] for p in found["problems"]} - {"alignment.landmark_missing"}


def kinds(found):
    return {(f["name"], f["kind"]): f["says"] for f in found["files"]}


def json_file(folder, name="points.json", at=None, **said):
    points = {n: list(p) for n, p in (at or pixels()).items()}
    usual = {"view": "lateral", "posture": "standing", "pixel_spacing": 1.6, "magnification": 1.25}
    (folder / name).write_text(json.dumps({**usual, **said, "points": points}))
    return folder / name


# -- marks ------------------------------------------------------------------------------------


@WAYS
@pytest.mark.parametrize("where", ["", "images"])
def test_marks_and_their_image_give_what_the_command_gives(case, capfd, write, where):
    image = film(case / where)
    path = write(case, image, pixels())
    found = read(case, capfd)
    options = ["--sr", str(image), "--posture", "standing", "--out", str(case.parent / "out")]
    assert main(["alignment", "measure", str(path), *options, "--json"]) == DONE
    alone = measured(json.loads(capfd.readouterr().out))
    facts = measured(found)
    assert facts == alone and facts["pelvis.pelvic_tilt", None, None]["on"] == "2026-01-31"
    assert ("marks.dcm", "landmarks (lateral radiograph)") in kinds(found)
    assert found["ignored"] == [] and unusual(found) == set()
    # and what the image says of its person
    people = [(f["what"], f["value"]) for f in found["facts"] if f["what"].startswith("person.")]
    assert sorted(people) == [("person.birth_date", "1957-02-03"), ("person.sex", "female")]


@WAYS
def test_a_ct_series_beside_pictures_and_marks_is_read_as_before(case, capfd, write):
    saved(slices(hounsfield()), case / "ct")
    before = read(case, capfd)
    image = film(case)
    radiograph(case / "chest.dcm", name="chest", ViewPosition="AP", Modality="CR")
    seen = read(case, capfd)
    assert seen["images"] == before["images"] and seen["facts"] == before["facts"]
    assert len(seen["ignored"]) == 2  # two radiographs that nobody marked
    write(case, image, pixels())
    found = read(case, capfd)
    assert found["images"] == before["images"] and measured(found)
    assert [f for f in found["facts"] if f.get("method") != METHOD] == before["facts"]
    assert len(found["ignored"]) == 1


def test_our_own_report_is_not_read_twice(case, capfd):
    """Beside the file that it was made of, beside its image, and alone."""
    image = film(case)
    path = json_file(case)
    out = case.parent / "out"
    arguments = ["alignment", "measure", str(path), "--sr", str(image), "--out", str(out)]
    assert main([*arguments, "--json"]) == DONE
    first = measured(json.loads(capfd.readouterr().out))
    (case / "case.toml").unlink()
    (out / "alignment_lateral.dcm").rename(case / "sr.dcm")
    for left in ("points.json", "film.dcm", None):
        found = read(case, capfd)
        facts = [f for f in found["facts"] if f.get("method") == METHOD]
        assert len(facts) == len(measured(found)) == len(first)
        for key, fact in measured(found).items():
            assert fact["value"] == pytest.approx(first[key]["value"], abs=2e-3), key
            assert fact["on"] == "2026-01-31" and fact["posture"] == "standing"
        assert unusual(found) == set()
        assert kinds(found)["sr.dcm", "DICOM report"] == f"2 facts; {len(first)} measured anew"
        if left:
            (case / left).unlink()


def test_numbers_of_a_report_that_its_landmarks_do_not_give_stay(case, capfd):
    image = film(case)
    path = json_file(case, at=pixels(POINTS))
    out = case.parent / "out"
    arguments = ["--sr", str(image), "--out", str(out), "--upper-instrumented", "T10"]
    assert main(["alignment", "measure", str(path), *arguments]) == DONE
    (out / "alignment_lateral.dcm").rename(case / "sr.dcm")
    path.unlink()
    (case / "case.toml").unlink()
    capfd.readouterr()
    found = read(case, capfd)  # no operation is known there, and the report tells of one
    angle = measured(found)["junction.pja", "T8-T10", None]
    assert angle["source"].startswith("SOPInstanceUID") and angle["on"] == "2026-01-31"
    assert measured(found)["pelvis.pelvic_tilt", None, None]["source"] == "sr.dcm"


def test_points_that_were_moved_since_are_another_film_of_the_same_day(case, capfd):
    image = film(case)
    path = json_file(case, on="2026-01-31")
    out = case.parent / "out"
    assert main(["alignment", "measure", str(path), "--sr", str(image), "--out", str(out)]) == DONE
    (out / "alignment_lateral.dcm").rename(case / "sr.dcm")
    at = pixels()
    at["L1 superior_endplate.anterior"] = (at["L1 superior_endplate.anterior"][0], 700.0)
    json_file(case, at={n: (x + 1, y) for n, (x, y) in pixels().items()}, on="2026-01-31")
    (case / "case.toml").unlink()
    capfd.readouterr()
    found = read(case, capfd)
    where = {p["where"] for p in found["problems"]
             if p["problem"] == "alignment.landmarks_not_used"}  # fmt: skip
    assert where == {"points.json", "sr.dcm"}


def test_marks_on_several_images_are_a_film_each(case, capfd):
    side = film(case)
    front = radiograph(
        case / "front.dcm", name="front", rows=ROWS, columns=COLUMNS, ViewPosition="AP",
        PatientOrientation=["L", "F"],
    )  # fmt: skip
    frontal = pixels(spines.one(spines.frontal(np.random.default_rng(11))))
    groups = [group(region("POINT", xy, side), name) for name, xy in pixels().items()]
    groups += [group(region("POINT", xy, front), name) for name, xy in frontal.items()]
    report(case / "marks.dcm", groups, side, front)
    found = read(case, capfd)
    assert {name for name, kind in kinds(found) if kind.startswith("landmarks (")} == {
        "marks.dcm on film.dcm", "marks.dcm on front.dcm"
    }  # fmt: skip
    assert {f["source"] for f in measured(found).values()} == {
        "marks.dcm on film.dcm", "marks.dcm on front.dcm"
    }  # fmt: skip


def test_a_report_without_landmarks_is_an_ordinary_one(case, capfd):
    image = film(case)
    json_file(case)
    report(case / "marks.dcm", [length("something", [[1, 2], [3, 4]], image)], image)
    (case / "case.toml").unlink()
    found = read(case, capfd)
    assert unusual(found) == set() and ("marks.dcm", "DICOM report") in kinds(found)
    assert not any(n == "marks.dcm" and k.startswith("landmarks") for n, k in kinds(found))


# -- whose it is ------------------------------------------------------------------------------


@WAYS
@pytest.mark.parametrize(
    "changed", [{"PatientID": "TEST-2"}, {"PatientBirthDate": "19580203"}, {"PatientSex": "M"}]
)
def test_films_of_another_person_than_the_images_end_the_run(case, capfd, write, changed):
    saved(slices(hounsfield()), case / "ct")
    write(case, film(case, **changed), pixels())
    assert "more than one person" in refused(case, capfd)


@WAYS
def test_marks_of_another_person_than_their_image_end_the_run(case, capfd, write):
    write(case, film(case), pixels())
    film(case, PatientID="TEST-2")
    assert "more than one person" in refused(case, capfd)


# -- what cannot be used ----------------------------------------------------------------------


@WAYS
def test_marks_that_lack_something_are_a_problem_of_their_file(case, capfd, write):
    json_file(case, on="2020-01-01")
    write(case, film(case, ViewPosition=None, PatientOrientation=None), pixels())
    found = read(case, capfd)
    (problem,) = [p for p in found["problems"] if p["problem"] == "alignment.landmarks_not_used"]
    assert problem["where"] == "marks.dcm" and "lateral or a frontal" in problem["says"]
    assert {f["source"] for f in measured(found).values()} == {"points.json"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One file of each kind that holds landmarks, and the image of two of them."""
    folder = tmp_path_factory.mktemp("made")
    image = film(folder)
    marked_as_report(folder, image, pixels()).rename(folder / "report.dcm")
    marked_as_state(folder, image, pixels()).rename(folder / "state.dcm")
    json_file(folder)
    lines = "".join(f"{n},{x},{y}\n" for n, (x, y) in pixels().items())
    head = "# view: lateral\n# calibration: uncalibrated\npoint,x,y\n"
    (folder / "points.csv").write_text(head + lines)
    slicer = [
        Landmark.at(n.split(" ", 1)[-1], [0.0, -x, y], level=n.split()[0])
        for n, (x, y) in SOME.items() if n[0] in "CLS"
    ]  # fmt: skip
    (folder / "side.mrk.json").write_bytes(points_slicer.written(slicer))
    return sorted(folder.iterdir())


def damaged(content, rng):
    content = bytearray(content)
    for _ in range(rng.randint(1, 6)):
        content[rng.randrange(min(len(content), 20000))] = rng.randrange(256)
    if rng.random() < 0.4:
        content = content[: rng.randrange(len(content))]
    return bytes(content * 2 if rng.random() < 0.1 else content)


@pytest.mark.parametrize("seed", range(25))
def test_damaged_files_of_every_kind_are_problems_of_their_own(case, capfd, made, seed):
    """Bytes exchanged, cut off, doubled: no defect, and what is whole is measured."""
    rng = random.Random(seed)
    (case / "case.toml").unlink()
    whole = json_file(case, "whole.json", on="2019-01-01")
    for path in made:
        content = path.read_bytes()
        keep = path.name == "film.dcm" and seed % 2
        (case / path.name).write_bytes(content if keep else damaged(content, rng))
    code = main(["read", str(case), "--on", "2026-06-01", "--json"])
    printed = capfd.readouterr()
    if code == UNUSABLE:  # an identifier that was changed is another person's
        assert "more than one person" in printed.err
        return
    assert code == DONE, printed.err
    found = json.loads(printed.out)
    assert any(f["source"] == whole.name for f in measured(found).values())
    told = [p["where"] for p in (*found["problems"], *found["ignored"])]
    told += [f["name"] for f in found["files"]]
    for name in (path.name for path in made):  # a DICOM object goes by its series at least
        by_series = name.endswith(".dcm") and any(where.startswith("Series") for where in told)
        assert by_series or name in told, (name, told)
    for problem in found["problems"]:
        assert problem["says"].endswith(".") and problem["where"]


@pytest.mark.parametrize("content", ["{", '{"points": {"L1 superior_endplate.anterior": [1, 2'])
def test_landmarks_that_are_no_json_any_more_do_not_end_a_run(case, capfd, content):
    saved(slices(hounsfield()), case / "ct")
    (case / "case.toml").unlink()
    (case / "points.json").write_text(content)
    if content == "{":  # it may have been the record
        assert "the only record cannot be read" in refused(case, capfd)
        return
    (problem,) = [p for p in read(case, capfd)["problems"] if p["where"] == "points.json"]
    assert problem["problem"] == "alignment.landmarks_not_used"
