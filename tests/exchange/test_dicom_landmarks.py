"""Landmarks from DICOM reports and presentation states, and measurements out as a report."""

from __future__ import annotations

import json
import random
import re
import subprocess
from datetime import date

import numpy as np
import pytest
from highdicom import pr, sr
from pydicom import dcmread
from pydicom.config import disable_value_validation
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from dicom_radiographs import (
    SITES,
    graphic,
    group,
    length,
    presentation,
    radiograph,
    region,
    report,
    text,
)
from endplate import evidence
from endplate.alignment.geometry import measure, rests_on
from endplate.alignment.landmarks import HEAD, SECOND, Radiograph
from endplate.cli.main import DONE, UNUSABLE, main
from endplate.exchange.dicom.landmark_report import report_file
from endplate.exchange.dicom.landmarks import read as read_marks
from endplate.exchange.dicom.radiograph import film
from endplate.exchange.dicom.report_reading import read_report
from endplate.exchange.landmarks import marked, read
from endplate.facts import InputProblem, in_order, replaced
from endplate.posture import Posture
from unit.alignment import spines

POINTS = spines.one(spines.lateral(np.random.default_rng(11)))
FRONTAL = spines.one(spines.frontal(np.random.default_rng(11)))
# Enough for a parameter of each kind, and quickly written.
SOME = {n: p for n, p in POINTS.items() if n.startswith(("L1", "L4", "S1", "C7", "left", "right"))}
SPACING = 1.6
SCALE = 1.25 / SPACING  # pixels for a mm of the patient
ROWS, COLUMNS = 1500, 1000
STANDING = {"posture": "standing"}


def pixels(points, mirror=1.0, scale=SCALE):
    """Where the points of a body lie on its picture, as single floats as DICOM keeps them."""
    there = np.array(list(points.values()))
    middle = (there.min(axis=0) + there.max(axis=0)) / 2
    found = {}
    for name, (x, y) in points.items():
        at = (COLUMNS / 2 + mirror * scale * (x - middle[0]), ROWS / 2 - scale * (y - middle[1]))
        found[name] = tuple(float(np.float32(c)) for c in at)
    return found


def truth(points=SOME, view="lateral"):
    """The parameters of the points themselves."""
    made = Radiograph(
        name="truth", view=view, points=points, posture=Posture.STANDING, calibrated=True
    )
    return facts(made)


def facts(film):
    return {(f.what, f.level, f.side): f for f in measure(film, evidence.shipped())[0]}


def agree(found, expected, within=2e-3):
    """Single floats of some thousand pixels are a ten-thousandth of a pixel apart."""
    assert found.keys() == expected.keys()
    for key, fact in expected.items():
        assert found[key].number == pytest.approx(fact.number, abs=within), key


@pytest.fixture
def image(tmp_path):
    return radiograph(tmp_path / "lateral.dcm", rows=ROWS, columns=COLUMNS)


def marked_as_report(folder, image, at=None):
    at = pixels(SOME) if at is None else at
    groups = [group(region("POINT", xy, image), name) for name, xy in at.items()]
    return report(folder / "report.dcm", groups, image)


def marked_as_state(folder, image, at=None):
    at = pixels(SOME) if at is None else at
    pairs = [([text(name, xy)], [graphic("POINT", xy)]) for name, xy in at.items()]
    return presentation(folder / "state.dcm", pairs, image)


# -- in ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [marked_as_report, marked_as_state])
def test_marks_give_the_body_s_own_parameters(tmp_path, image, write):
    made, problems = read(write(tmp_path, image, pixels(POINTS)), STANDING)
    assert problems == ()
    assert (made.view, made.on, made.towards) == ("lateral", date(2026, 1, 31), "right")
    assert made.calibrated and made.posture == Posture.STANDING
    agree(facts(made), truth(POINTS))


def test_reports_and_states_count_pixels_alike_from_the_corner(tmp_path, image):
    """The upper left corner is (0, 0) in both, and the last corner (columns, rows)."""
    corners = {"chin": (0.0, 0.0), "brow": (float(COLUMNS), float(ROWS)), "dens.tip": (0.5, 0.5)}
    for write in (marked_as_report, marked_as_state):
        found = marked(write(tmp_path, image, corners), STANDING)
        assert {n: p[:2] for n, p in found.pixels.items()} == corners


def test_a_point_of_json_lies_where_it_lies_in_dicom(tmp_path, image):
    path = tmp_path / "points.json"
    path.write_text(json.dumps({"points": {n: list(p) for n, p in pixels(SOME).items()}}))
    found = marked(path, STANDING, [film(image)])
    theirs = marked(marked_as_report(tmp_path, image), STANDING)
    assert found.film.points == theirs.film.points and found.pixels == theirs.pixels


@pytest.mark.parametrize(("row", "mirror"), [("A", 1.0), ("P", -1.0)])
def test_lines_give_both_ends_by_the_side_that_the_image_states(tmp_path, row, mirror):
    image = radiograph(
        tmp_path / "i.dcm", rows=ROWS, columns=COLUMNS, PatientOrientation=[row, "F"]
    )
    at = pixels(SOME, mirror)
    plates = {name.rpartition(".")[0] for name in at if name.endswith(".anterior")}
    rng = random.Random(3)
    pairs, rest = [], {n: p for n, p in at.items() if not n.endswith(("terior",))}
    for plate in sorted(plates):
        both = [at[f"{plate}.anterior"], at[f"{plate}.posterior"]]
        rng.shuffle(both)  # in whatever order they were drawn
        name = plate.removesuffix("_endplate") if rng.random() < 0.5 else plate
        pairs.append(([text(name, both[0])], [graphic("POLYLINE", both)]))
    pairs += [([text(n, p)], [graphic("POINT", p)]) for n, p in rest.items()]
    made, problems = read(presentation(tmp_path / "s.dcm", pairs, image), STANDING)
    assert problems == () and made.towards == ("right" if row == "A" else "left")
    agree(facts(made), truth(SOME))


def test_lines_of_a_frontal_picture_end_on_the_patient_s_sides(tmp_path):
    image = radiograph(
        tmp_path / "i.dcm", rows=ROWS, columns=COLUMNS, PatientOrientation=["R", "F"],
        ViewPosition="PA",
    )  # fmt: skip
    at = pixels(FRONTAL, -1.0)
    plates = {name.rpartition(".")[0] for name in at if "endplate" in name}
    marks = [length(p, [at[f"{p}.right"], at[f"{p}.left"]], image) for p in sorted(plates)]
    marks += [group(region("POINT", xy, image), n) for n, xy in at.items() if "endplate" not in n]
    made, problems = read(report(tmp_path / "r.dcm", marks, image), STANDING)
    assert problems == () and (made.view, made.towards) == ("frontal", "left")
    agree(facts(made), truth(FRONTAL, "frontal"))


ORIENTATIONS = {
    "A\\H": lambda x, y: (x, ROWS - y),
    "P\\H": lambda x, y: (COLUMNS - x, ROWS - y),
    "F\\A": lambda x, y: (y, x),
    "H\\P": lambda x, y: (ROWS - y, COLUMNS - x),
}


@pytest.mark.parametrize("how", ORIENTATIONS)
def test_a_picture_may_be_upside_down_or_on_its_side(tmp_path, how):
    turn = ORIENTATIONS[how]
    image = radiograph(
        tmp_path / "i.dcm", rows=ROWS, columns=ROWS, PatientOrientation=how.split("\\")
    )
    at = {name: turn(*xy) for name, xy in pixels(SOME).items()}
    made, _ = read(marked_as_report(tmp_path, image, at), STANDING)
    agree(facts(made), truth(SOME))


def test_a_steep_line_has_no_sides(tmp_path, image):
    steep = ([text("L1 superior", (5, 5))], [graphic("POLYLINE", [(5, 5), (20, 205)])])
    slanting = ([text("L2 superior", (5, 300))], [graphic("POLYLINE", [(5, 300), (105, 400)])])
    path = presentation(tmp_path / "s.dcm", [steep, slanting], image)
    made, problems = read(path, STANDING)
    assert {n.split(" ")[0] for n in made.points} == {"L2"}
    assert [p.problem for p in problems] == ["alignment.line_without_ends"]


def test_round_marks_give_their_middle(tmp_path, image):
    circle = graphic("CIRCLE", [(300, 400), (350, 400)])
    ellipse = graphic("ELLIPSE", [(500, 400), (600, 440), (540, 440), (560, 400)])
    pairs = [([text("left femoral head", (300, 400))], [circle]),
             ([text("right femoral_head.centre", (550, 420))], [ellipse])]  # fmt: skip
    found = marked(presentation(tmp_path / "s.dcm", pairs, image), STANDING)
    assert {n: p[:2] for n, p in found.pixels.items()} == {
        f"left {HEAD}": (300, 400), f"right {HEAD}": (550, 420)
    }  # fmt: skip


def test_heads_of_unknown_sides_are_two(tmp_path, image):
    pairs = [([text(HEAD, xy)], [graphic("POINT", xy)]) for xy in ((10, 10), (20, 20))]
    made, _ = read(presentation(tmp_path / "s.dcm", pairs, image), STANDING)
    assert set(made.points) == {HEAD, HEAD + SECOND}


def test_texts_belong_to_graphics_by_anchor_group_or_alone(tmp_path, image):
    groups = [pr.GraphicGroup(n, f"g{n}") for n in (1, 2)]
    by_anchor = (
        [text("chin", (50, 50)), text("brow", (90, 20.6))],
        [graphic("POINT", (90, 20)), graphic("POINT", (50, 50))],
    )
    by_group = (
        [text("dens.tip", graphic_group=groups[0]), text("knee", graphic_group=groups[1])],
        [graphic("POINT", (7, 8), graphic_group=groups[1]),
         graphic("POINT", (5, 6), graphic_group=groups[0])],
    )  # fmt: skip
    only_one = [text("ankle")], [graphic("POINT", (1, 2))]
    alone = [text("hip_axis.centre", (3, 4))], []
    pairs = [by_anchor, by_group, only_one, alone]
    path = presentation(tmp_path / "s.dcm", pairs, image, groups=groups)
    found = marked(path, STANDING)
    assert {n: p[:2] for n, p in found.pixels.items()} == {
        "chin": (50, 50), "brow": (90, 20), "dens.tip": (5, 6), "knee": (7, 8), "ankle": (1, 2),
        "hip_axis.centre": (3, 4),
    }  # fmt: skip


def test_what_is_bound_to_the_display_is_left_aside(tmp_path, image):
    pairs = [
        ([text("chin")], [graphic("POINT", (0.5, 0.5), units="DISPLAY")]),
        ([text("brow")], []),
        ([text("dens.tip", (5, 6))], [graphic("POINT", (5, 6))]),
    ]
    made, problems = read(presentation(tmp_path / "s.dcm", pairs, image), STANDING)
    assert set(made.points) == {"dens.tip"}
    assert [(p.problem, p.count) for p in problems] == [("alignment.mark_left_aside", 2)]
    assert "bound to the display" in problems[0].says


def test_a_site_and_a_name_are_a_landmark(tmp_path, image):
    hip = (codes.SCT.HipJoint, Code("24028007", "SCT", "Right"))
    marks = [
        group(region("POINT", (10, 20), image), finding="superior endplate anterior",
              sites=[(SITES["L1"],)]),
        length("inferior endplate", [(10, 90), (60, 95)], image,
               finding_sites=[sr.FindingSite(SITES["L1"])]),
        group(region("POINT", (1, 2), image), "femoral head", sites=[hip]),
    ]  # fmt: skip
    found = marked(report(tmp_path / "r.dcm", marks, image), STANDING)
    assert {n: p[:2] for n, p in found.pixels.items()} == {
        "L1 superior_endplate.anterior": (10, 20),
        "L1 inferior_endplate.posterior": (10, 90),
        "L1 inferior_endplate.anterior": (60, 95),
        f"right {HEAD}": (1, 2),
    }


def test_what_is_ambiguous_or_unknown_is_left_aside_and_said(tmp_path, image):
    marks = [
        group(region("POINT", (10, 20), image), "chin", finding="brow"),
        group(region("POINT", (11, 20), image), "L2 superior_endplate.anterior",
              sites=[(SITES["L1"],)]),
        group(region("POINT", (12, 20), image), "SMITH^JOHN"),
        group(region("POLYLINE", [(1, 2), (3, 4)], image), "chin"),
        group(region("POLYLINE", [(1, 2), (3, 4), (9, 9)], image), "L3 superior"),
        group(region("POINT", (13, 20), image), "L3 superior"),
        group(region("POINT", (14, 20), image), "knee"),
    ]  # fmt: skip
    made, problems = read(report(tmp_path / "r.dcm", marks, image), STANDING)
    assert set(made.points) == {"knee"}
    counts = {p.says: p.count for p in problems}
    assert sum(counts.values()) == 6 and len(counts) == 4
    assert counts[next(s for s in counts if "several names" in s)] == 2
    assert "SMITH" not in repr(problems)


def test_a_mark_that_is_there_twice(tmp_path, image):
    same = [([text("chin", (5, 6))], [graphic("POINT", (5, 6))])] * 2
    made, _ = read(presentation(tmp_path / "s.dcm", same, image), STANDING)
    assert set(made.points) == {"chin"}
    other = [*same, ([text("chin", (7, 6))], [graphic("POINT", (7, 6))])]
    assert "chin is there twice" in refused(presentation(tmp_path / "t.dcm", other, image))


# -- the image --------------------------------------------------------------------------------


def refused(path, given=None, images=()):
    with pytest.raises(InputProblem) as problem:
        marked(path, STANDING | (given or {}), images)
    says = str(problem.value)
    assert re.fullmatch(r"[\w.]+: cannot be .+\. .+; .+\. .+\.?", says, re.DOTALL), says
    return says


def test_without_its_image_the_rest_must_be_given(tmp_path, image):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    path = marked_as_report(elsewhere, image)
    assert "lateral or a frontal" in refused(path)
    assert "pixel spacing is not known" in refused(path, {"view": "lateral"})
    given = STANDING | {"view": "lateral", "pixel_spacing": 1.6, "magnification": 1.25}
    agree(facts(read(path, given)[0]), truth(SOME))
    found = marked(path, STANDING, [film(image)])
    agree(facts(found.film), truth(SOME))
    other = film(radiograph(tmp_path / "o.dcm", name="other"))
    assert "another than was given" in refused(path, {}, [other])


CASES = [
    # header, spacing and magnification found (None: they must be given), problem
    ({}, (1.6, 1.25), None),
    ({"EstimatedRadiographicMagnificationFactor": None}, None, "that at the detector"),
    ({"ImagerPixelSpacing": None, "PixelSpacing": [1.6, 1.6]}, None, "does not say whether"),
    ({"ImagerPixelSpacing": None}, None, "pixel spacing is not known"),
    ({"PixelSpacing": [1.28, 1.28]}, (1.28, 1), None),
    ({"PixelSpacing": [1.6, 1.6], "PixelSpacingCalibrationType": "FIDUCIAL"}, (1.6, 1), None),
    ({"PixelSpacing": [1.6, 1.6], "PixelSpacingCalibrationType": "GEOMETRY"}, (1.6, 1), None),
    ({"PixelSpacing": [1.6, 1.6]}, (1.6, 1.25), None),
    ({"PixelSpacing": [2.0, 2.0]}, None, "pixel spacing is not known"),
    ({"EstimatedRadiographicMagnificationFactor": None, "DistanceSourceToDetector": 1500,
      "DistanceSourceToPatient": 1200}, (1.6, 1.25), "alignment.magnification_by_distances"),
    ({"EstimatedRadiographicMagnificationFactor": None, "DistanceSourceToDetector": 1500,
      "DistanceSourceToPatient": 0}, None, "that at the detector"),
    ({"DistanceSourceToDetector": 1500, "DistanceSourceToPatient": 1000}, (1.6, 1.25), None),
]  # fmt: skip


@pytest.mark.parametrize(("elements", "expected", "says"), CASES)
def test_the_scale_is_that_which_the_image_states(tmp_path, elements, expected, says):
    image = radiograph(tmp_path / "i.dcm", rows=ROWS, columns=COLUMNS, **elements)
    path = marked_as_report(tmp_path, image)
    if expected is None:
        assert says in refused(path)
        return
    found = marked(path, STANDING)
    spacing = np.ravel(found.said["pixel_spacing"])[0]
    assert (spacing, found.said["magnification"]) == pytest.approx(expected)
    assert [p.problem for p in found.problems] == ([says] if says else [])
    ratio = expected[0] / expected[1] * SCALE
    agree(facts(found.film), truth({n: (ratio * x, ratio * y) for n, (x, y) in SOME.items()}))


def test_a_magnification_by_distances_gives_way_to_a_known_one(tmp_path):
    image = radiograph(
        tmp_path / "i.dcm", rows=ROWS, columns=COLUMNS, DistanceSourceToDetector=1500,
        DistanceSourceToPatient=1400, EstimatedRadiographicMagnificationFactor=None,
    )  # fmt: skip
    found = marked(marked_as_report(tmp_path, image), STANDING | {"magnification": 1.25})
    assert found.problems == ()
    agree(facts(found.film), truth(SOME))


def test_an_uncalibrated_picture_keeps_the_shape_of_its_pixels(tmp_path):
    image = radiograph(
        tmp_path / "i.dcm", rows=ROWS, columns=COLUMNS, ImagerPixelSpacing=[0.8, 1.6],
        EstimatedRadiographicMagnificationFactor=None,
    )  # fmt: skip
    at = {n: (x, 2 * y - ROWS / 2) for n, (x, y) in pixels(SOME).items()}
    tall = marked_as_report(tmp_path, image, {n: p for n, p in at.items() if 0 <= p[1] <= ROWS})
    found = facts(read(tall, STANDING | {"calibration": "uncalibrated"})[0])
    assert {f.unit for f in found.values()} <= {"deg", "%"} and len(found) > 5
    for key, fact in found.items():
        assert fact.number == pytest.approx(truth()[key].number, abs=2e-3), key


CONTRADICTIONS = [
    ({}, {"view": "frontal"}, "one answer to view"),
    ({}, {"anterior": "left"}, "one answer to anterior"),
    ({}, {"pixel_spacing": 0.3}, "one answer to pixel_spacing"),
    ({}, {"magnification": 1.1}, "one answer to magnification"),
    ({"ViewPosition": "AP"}, {}, "one is lateral and the other frontal"),
    ({"Modality": "CT"}, {}, "image of another kind"),
    ({"Rows": None}, {}, "lateral or a frontal"),
    ({"PatientID": "TEST-2"}, {}, "different patient identifier"),
    ({"Rows": 100}, {}, "lies beside it"),
]


@pytest.mark.parametrize(("elements", "given", "says"), CONTRADICTIONS)
def test_what_contradicts_the_image(tmp_path, image, elements, given, says):
    path = marked_as_report(tmp_path, image)
    data = dcmread(image)
    for keyword, value in elements.items():
        if value is None:
            del data[keyword]
        else:
            setattr(data, keyword, value)
    data.save_as(image)
    assert says in refused(path, given)


def test_facing_that_the_landmarks_deny_is_refused(tmp_path):
    image = radiograph(
        tmp_path / "i.dcm", rows=ROWS, columns=COLUMNS, PatientOrientation=["P", "F"]
    )
    made, _ = read(marked_as_report(tmp_path, image), STANDING)
    with pytest.raises(InputProblem, match="said to be on the left"):
        facts(made)


def _code(value, scheme="SCT"):
    data = Dataset()
    data.CodeValue, data.CodingSchemeDesignator, data.CodeMeaning = value, scheme, "x"
    return data


@pytest.mark.parametrize(
    ("value", "posture"),
    [("10904000", "standing"), ("33586001", "sitting"), ("40199007", "supine"), ("1", "unknown")],
)
def test_the_posture_is_that_of_the_image_s_codes(tmp_path, value, posture):
    orientation = _code("C86043", "NCIt")
    orientation.PatientOrientationModifierCodeSequence = [_code(value)]
    image = radiograph(tmp_path / "i.dcm", PatientOrientationCodeSequence=[orientation])
    path = marked_as_report(tmp_path, image, {"chin": (1, 2)})
    assert read(path)[0].posture == posture
    if posture == "sitting":
        assert "one answer to posture" in refused(path)


def test_the_view_is_that_of_the_image_s_code(tmp_path):
    image = radiograph(
        tmp_path / "i.dcm", ViewPosition="", PatientOrientation=[], ViewCodeSequence=[
            _code("399348003")
        ],
    )  # fmt: skip
    path = marked_as_report(tmp_path, image, {"L1 superior_endplate.left": (1, 2)})
    assert read(path)[0].view == "frontal"


def test_of_several_images_one_must_be_meant(tmp_path, image):
    other = radiograph(
        tmp_path / "frontal.dcm", name="frontal", ViewPosition="AP", PatientOrientation=["L", "F"]
    )
    groups = [group(region("POINT", (10, 20), image), "chin"),
              group(region("POINT", (10, 20), other), "L1 superior_endplate.left")]  # fmt: skip
    path = report(tmp_path / "both.dcm", groups, image, other)
    assert "it marks 2 images" in refused(path)
    assert set(read(path, {"view": "lateral"})[0].points) == {"chin"}
    found = marked(path, {}, [film(other)])
    assert set(found.film.points) == {"L1 superior_endplate.left"}


# -- out, and in again ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """What was marked as JSON with errors of its own, and its report beside the image."""
    tmp_path = tmp_path_factory.mktemp("written")
    image = radiograph(tmp_path / "lateral.dcm", rows=ROWS, columns=COLUMNS)
    at = {n: list(p) for n, p in pixels(POINTS).items()}
    at["chin"] = [*at["chin"], 7.5]
    path = tmp_path / "points.json"
    path.write_text(json.dumps({**STANDING, "landmark_error": "3 px", "points": at}))
    found = marked(path, None, [film(image)])
    measured, _ = measure(found.film, evidence.shipped())
    out = tmp_path / "alignment_lateral.dcm"
    out.write_bytes(report_file(found, measured))
    return found, measured, out


def test_a_report_gives_the_same_landmarks_and_measurements(written):
    found, measured, out = written
    again = marked(out)
    assert again.problems == () and again.pixels == found.pixels
    assert again.film.points == found.film.points and again.film.errors == found.film.errors
    assert again.said == found.said
    there, _ = measure(again.film, evidence.shipped())
    assert [replaced(f, source="") for f in there] == [replaced(f, source="") for f in measured]
    assert (
        report_file(again, [replaced(f, source="points.json") for f in there]) == out.read_bytes()
    )


def test_the_facts_of_a_report_are_read_as_they_were_written(written):
    _, measured, out = written
    understood = read_report(out).understood
    assert understood.problems == () and understood.ignored == ()
    found = [f for f in understood.facts if not f.what.startswith("person.")]
    assert [bare(f) for f in in_order(found)] == [bare(f) for f in in_order(measured)]
    for there, here in zip(in_order(found), in_order(measured), strict=True):
        assert there.interval == pytest.approx(here.interval, abs=1e-9)


def bare(fact):
    return replaced(fact, source="", interval=None)


def test_a_report_without_its_image_still_says_what_was_said(written, tmp_path):
    found, _, written_ = written
    out = tmp_path / "alone.dcm"
    out.write_bytes(written_.read_bytes())
    again = marked(out)
    assert again.image is None and again.film.points == found.film.points
    assert "one answer to posture" in refused(out, {"posture": "sitting"})


def test_an_uncalibrated_report_stays_so(tmp_path, image):
    path = marked_as_state(tmp_path, image)
    found = marked(path, STANDING | {"calibration": "uncalibrated"})
    measured, _ = measure(found.film, evidence.shipped())
    out = tmp_path / "a.dcm"
    out.write_bytes(report_file(found, measured))
    again = marked(out)
    assert not again.film.calibrated and again.film.points == found.film.points


def test_every_measurement_refers_to_the_landmarks_it_rests_on(written):
    found, _, out = written
    for group_ in _items(dcmread(out)):
        if group_.ConceptNameCodeSequence[0].CodeMeaning != "Measurement Group":
            continue
        names = [i.TextValue for i in _items(group_) if "TextValue" in i]
        for item in group_.ContentSequence:
            if item.ValueType == "NUM" and "ContentSequence" in item and names[0] == "L1-S1":
                (coordinates,) = [i for i in item.ContentSequence if i.ValueType == "SCOORD"]
                (source,) = coordinates.ContentSequence
                assert source.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == found.image.uid
                at = np.reshape(coordinates.GraphicData, (-1, 2)).tolist()
                assert set(map(tuple, at)) <= {p[:2] for p in found.pixels.values()}


def _items(data):
    for item in data.get("ContentSequence") or ():
        yield item
        yield from _items(item)


@pytest.mark.parametrize(("points", "view"), [(POINTS, "lateral"), (FRONTAL, "frontal")])
def test_a_parameter_rests_on_all_points_that_move_it(points, view):
    """Found anew: a point belongs to it if moving that point alone changes the value."""
    base = truth(points, view)
    moved = {}
    for name, (x, y) in points.items():
        there = truth({**points, name: (x + 0.3, y + 0.2)}, view)
        for key, fact in base.items():
            if key in there and abs(there[key].number - fact.number) > 1e-9:
                moved.setdefault(key, set()).add(name)
    for key, fact in base.items():
        assert moved[key] <= set(rests_on(fact, points, view)), key


def test_a_report_needs_an_image_that_can_be_referred_to(tmp_path, image):
    path = tmp_path / "points.json"
    said = {**STANDING, "points": {n: list(p) for n, p in pixels(POINTS).items()}}
    path.write_text(json.dumps(said))
    for keyword in ("StudyInstanceUID", "SOPInstanceUID"):
        data = dcmread(image)
        value = data[keyword].value
        data[keyword].value = ""
        data.save_as(image, enforce_file_format=False)
        with pytest.raises(InputProblem, match="refers to its image by UID"):
            report_file(marked(path, None, [film(image)]), ())
        data[keyword].value = value
        data.save_as(image)
    small = radiograph(tmp_path / "small.dcm", rows=50, columns=50)
    with pytest.raises(InputProblem, match="lie beside it"):
        report_file(marked(path, None, [film(small)]), ())
    with pytest.raises(InputProblem, match="is not there"):
        report_file(marked(path, {"view": "lateral", "calibration": "uncalibrated"}), ())


# -- other programs ---------------------------------------------------------------------------


def test_dciodvfy_finds_no_error(written, peer):
    program = peer("dciodvfy", "dicom3tools")
    done = subprocess.run([program, written[2]], capture_output=True, text=True, check=False)
    told = (done.stdout + done.stderr).splitlines()
    assert [line for line in told if line.startswith("Error")] == []
    assert "ComprehensiveSR" in told


def agree_in_order(values, measured):
    expected = sorted((f.number, f.unit) for f in measured)
    assert [u for _, u in sorted(values)] == [u for _, u in expected]
    assert [v for v, _ in sorted(values)] == pytest.approx([v for v, _ in expected], abs=1e-9)


def test_dsrdump_reads_the_same_values_and_points(written, peer):
    found, measured, out = written
    options = ["-Ei", "+Pl", "+Pc"]  # constraints are checked, texts whole, names with codes
    done = subprocess.run(
        [peer("dsrdump", "dcmtk"), *options, out], capture_output=True, text=True, check=True
    )
    told = re.findall(r'<contains NUM:.*?="(.*?)" \((.*?),UCUM', done.stdout)
    values = [(float(v), u) for v, u in told if u != "{pixel}"]
    agree_in_order(values, measured)
    assert [(float(v), u) for v, u in told if u == "{pixel}"] == [(7.5, "{pixel}")]
    near = r'Tracking Identifier"\)="([^"]*)">\n.*\n(?:.*\n){1,3}?.*'
    where = r"SCOORD:\(111030,DCM.*POINT,([\d.]+)/([\d.]+)"
    points = re.findall(near + where, done.stdout)
    assert len(points) == len(found.pixels)
    for name, x, y in points:
        assert (float(x), float(y)) == pytest.approx(found.pixels[name][:2], rel=1e-5)


def test_highdicom_and_pydicom_read_the_same_values(written):
    found, measured, out = written
    document = sr.ComprehensiveSR.from_dataset(dcmread(out))
    groups = document.content.get_image_measurement_groups()
    values = [m for g in groups for m in g.get_measurements()]
    agree_in_order([(float(m.value), m.unit.value) for m in values], measured)
    points = document.content.get_planar_roi_measurement_groups()
    marked_at = {g.tracking_identifier: tuple(g.roi.value[0].tolist()) for g in points}
    assert marked_at == {n: p[:2] for n, p in found.pixels.items()}
    nums = [i for i in _items(dcmread(out)) if i.ValueType == "NUM"]
    plain = [
        (float(i.MeasuredValueSequence[0].NumericValue),
         i.MeasuredValueSequence[0].MeasurementUnitsCodeSequence[0].CodeValue)
        for i in nums if i.RelationshipType == "CONTAINS"
        and i.ConceptNameCodeSequence[0].CodeValue != "landmark_error"
    ]  # fmt: skip
    agree_in_order(plain, measured)


# -- the command ------------------------------------------------------------------------------


def run(capsys, *arguments):
    code = main(["alignment", "measure", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_command_writes_a_report_where_the_image_is(tmp_path, image, capsys):
    path = marked_as_state(tmp_path, image)
    out = tmp_path / "out"
    code, printed, _ = run(capsys, path, "--posture", "standing", "--json", "--out", out)
    assert code == DONE and sorted(p.name for p in out.iterdir()) == [
        "alignment.json", "alignment_lateral.dcm", "sagittal.svg"
    ]  # fmt: skip
    there = out / "alignment_lateral.dcm"
    code, again, err = run(capsys, there, "--sr", image, "--out", tmp_path / "o", "--json")
    assert code == DONE, err

    both = [json.loads(printed)["facts"], json.loads(again)["facts"]]
    assert [{**f, "source": ""} for f in both[0]] == [{**f, "source": ""} for f in both[1]]


def test_the_command_takes_an_image_for_each_view(tmp_path, image, capsys):
    frontal = radiograph(
        tmp_path / "frontal.dcm", name="frontal", rows=ROWS, columns=COLUMNS, ViewPosition="AP",
        PatientOrientation=["L", "F"],
    )  # fmt: skip
    files = []
    for view, points in (("lateral", POINTS), ("frontal", FRONTAL)):
        files.append(tmp_path / f"{view}.json")
        at = {n: list(p) for n, p in pixels(points).items()}
        files[-1].write_text(json.dumps({**STANDING, "view": view, "points": at}))
    out = tmp_path / "out"
    code, _, err = run(capsys, *files, "--sr", frontal, "--sr", image, "--out", out, "--json")
    assert code == DONE, err
    assert {p.name for p in out.glob("*.dcm")} == {"alignment_lateral.dcm", "alignment_frontal.dcm"}
    scale = ("--pixel-spacing", 1.6, "--magnification", 1.25)
    code, _, err = run(capsys, *files, *scale, "--sr", image, "--out", out)
    assert code == UNUSABLE and "Give one --sr for each file" in err
    code, _, err = run(capsys, files[0], "--sr", image, "--sr", frontal, "--out", out)
    assert code == UNUSABLE and "it is of none" in err
    code, _, err = run(capsys, files[0], "--sr", image)
    assert code == UNUSABLE and "--out is not there" in err
    data = dcmread(frontal)
    data.PatientID = "TEST-9"
    data.save_as(frontal)
    code, _, err = run(capsys, *files, "--sr", frontal, "--sr", image, "--out", tmp_path / "x")
    assert code == UNUSABLE and "different patient identifier" in err
    assert "TEST-9" not in err and not (tmp_path / "x").exists()


# -- broken and foreign files -----------------------------------------------------------------


@pytest.mark.shared_data
@pytest.mark.parametrize(
    "name",
    ["dcmqi/sr-example/sr.dcm", "highdicom/sr_document.dcm", "dcmqi/sr-example/seg.dcm",
     "highdicom/dx_image.dcm", "highdicom/ct_image.dcm"],
)  # fmt: skip
def test_samples_of_others_hold_no_landmarks(shared_data, name, capsys):
    code, out, err = run(capsys, shared_data / "imaging" / name)
    assert code == UNUSABLE and out == "" and err.count("\n") == 1
    assert "landmark" in err and "Traceback" not in err


@pytest.mark.parametrize("write", [marked_as_report, marked_as_state])
def test_damaged_files_are_refused_in_words(tmp_path, image, write):
    at = {n: p for n, p in pixels(POINTS).items() if n.startswith(("L1", "S1"))}
    content = write(tmp_path, image, at).read_bytes()
    path = tmp_path / "damaged.dcm"
    rng = random.Random(5)
    outcomes = {"read": 0, "refused": 0}
    for _ in range(120):
        damaged = bytearray(content)
        for _ in range(rng.choice([1, 3, 20])):
            damaged[rng.randrange(132, len(damaged))] = rng.randrange(256)
        if rng.random() < 0.3:
            damaged = damaged[: rng.randrange(len(damaged))]
        path.write_bytes(damaged)
        try:
            marked(path, STANDING)
            outcomes["read"] += 1
        except InputProblem as problem:
            assert str(problem).startswith("damaged.dcm: cannot be")
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 0


def test_a_damaged_image_is_refused_or_read(tmp_path, image):
    orientation = _code("C86043", "NCIt")
    orientation.PatientOrientationModifierCodeSequence = [_code("10904000")]
    radiograph(image, rows=ROWS, columns=COLUMNS, PatientOrientationCodeSequence=[orientation])
    path = marked_as_state(tmp_path, image, {"chin": (1, 2), "brow": (3, 4)})
    content = image.read_bytes()
    end = content.index(b"\xe0\x7f\x10\x00")
    rng = random.Random(6)
    outcomes = {"read": 0, "refused": 0}
    for _ in range(150):
        damaged = bytearray(content[: end + 20])
        for _ in range(rng.choice([1, 3, 20])):
            damaged[rng.randrange(132, end)] = rng.randrange(256)
        image.write_bytes(damaged)
        try:
            marked(path, STANDING)
            outcomes["read"] += 1
        except InputProblem:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 0


@pytest.mark.parametrize("elements", [{"StudyDate": "2026013x"}, {"StudyTime": "10150q"},
                                      {"StudyDate": "", "AcquisitionDate": ""}])  # fmt: skip
def test_a_date_that_is_none_is_left_empty_in_the_report(tmp_path, elements, peer):
    image = radiograph(tmp_path / "i.dcm", rows=ROWS, columns=COLUMNS)
    path = marked_as_state(tmp_path, image)
    data = dcmread(image)
    with disable_value_validation():
        for keyword, value in elements.items():
            setattr(data, keyword, value)
        data.save_as(image)
    found = marked(path, STANDING)
    measured, _ = measure(found.film, evidence.shipped())
    out = tmp_path / "o.dcm"
    out.write_bytes(report_file(found, measured))
    assert marked(out).film.points == found.film.points
    done = subprocess.run(
        [peer("dciodvfy", "dicom3tools"), out], capture_output=True, text=True, check=False
    )
    told = (done.stdout + done.stderr).splitlines()
    assert [line for line in told if line.startswith("Error")] == []


def test_a_file_that_only_claims_to_be_dicom(tmp_path):
    for content in (b"", b"{}", 132 * b"\0", 128 * b"\0" + b"DICM"):
        path = tmp_path / "x.dcm"
        path.write_bytes(content)
        assert "structured report or a presentation state" in refused(path)


@pytest.mark.parametrize("data", [None, [1.0], [1.0, 2.0, 3.0], [float("nan"), 1.0], [1e30, 1.0]])
def test_coordinates_that_are_none(tmp_path, image, data):
    path = marked_as_state(tmp_path, image, {"chin": (1, 2), "brow": (3, 4)})
    state = dcmread(path)
    state.GraphicAnnotationSequence[0].GraphicObjectSequence[0].GraphicData = data
    state.save_as(path)
    found = read_marks(path)
    assert [m.name for marks in found.on.values() for m in marks] in (["brow"], ["chin", "brow"])
    if data is not None:
        assert sum(found.left.values()) >= 1
