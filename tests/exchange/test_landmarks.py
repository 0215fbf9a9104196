"""Landmarks of radiographs from JSON, CSV and 3D Slicer; scale, facing and settings; messages."""

from __future__ import annotations

import json
import re
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from endplate import evidence
from endplate.alignment.geometry import measure
from endplate.alignment.landmarks import HEAD, SECOND, Radiograph
from endplate.exchange import points_slicer
from endplate.exchange.landmarks import SETTINGS, read
from endplate.facts import InputProblem
from endplate.images.landmarks import Landmark
from endplate.levels import Level
from endplate.posture import Posture
from unit.alignment import spines

POINTS = spines.one(spines.lateral(np.random.default_rng(11)))
FRONTAL = spines.one(spines.frontal(np.random.default_rng(11)))
HEIGHT = 4000.0  # of the picture, pixels: in files y runs down from its upper edge
SPACING, MAGNIFICATION = 0.2, 1.25
SAID = {
    "view": "lateral", "posture": "standing", "on": "2026-01-31", "pixel_spacing": SPACING,
    "magnification": MAGNIFICATION,
}  # fmt: skip


def pixels(points, spacing=SPACING, magnification=MAGNIFICATION):
    """Where the points of a body lie on its picture."""
    scale = magnification / spacing
    return {n: [scale * x, HEIGHT - scale * y] for n, (x, y) in points.items()}


def as_json(folder, points=None, said=SAID):
    path = folder / "lateral.json"
    path.write_text(json.dumps({**said, "points": pixels(POINTS) if points is None else points}))
    return path


def as_csv(folder, points=None, said=SAID, separator=","):
    lines = [f"# {key}: {value}" for key, value in said.items()]
    lines.append(separator.join(("point", "x", "y")))
    places = pixels(POINTS) if points is None else points
    lines += [separator.join((n, repr(x), repr(y))) for n, (x, y) in places.items()]
    path = folder / "lateral.csv"
    path.write_text("\n".join(lines))
    return path


def landmark(name, at, error=None):
    first, _, rest = name.partition(" ")
    level = Level(first) if first in Level.__members__ else None
    side = first if first in ("left", "right") else None
    name = rest if level or side else name
    return Landmark(name=name, position=tuple(at), level=level, side=side, error=error)


def as_markups(folder, places, error=None):
    path = folder / "points.mrk.json"
    path.write_bytes(points_slicer.written([landmark(n, at, error) for n, at in places.items()]))
    return path


def facts(film):
    found, _ = measure(film, evidence.shipped())
    return {(f.what, f.level, f.side): f for f in found}


def truth(points=POINTS, view="lateral"):
    """The parameters of the points themselves."""
    film = Radiograph(
        name="truth", view=view, points=points, posture=Posture.STANDING, calibrated=True
    )
    return facts(film)


SLICER = 1e-3  # its points are kept to a tenth of a micrometre


def agree(found, expected, *, only_angles=False, within=1e-6):
    keys = {k for k, f in expected.items() if f.unit != "mm" or not only_angles}
    assert found.keys() == keys
    for key in keys:
        assert found[key].number == pytest.approx(expected[key].number, abs=within), key


# -- each reader ------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [as_json, as_csv])
def test_json_and_csv_give_the_body_s_own_parameters(tmp_path, write):
    film, problems = read(write(tmp_path))
    assert problems == () and film.posture == Posture.STANDING and film.on == date(2026, 1, 31)
    agree(facts(film), truth())


@pytest.mark.parametrize("separator", [";", "\t"])
def test_a_table_may_have_other_separators(tmp_path, separator):
    agree(facts(read(as_csv(tmp_path, separator=separator))[0]), truth())


@pytest.mark.parametrize("encoded", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_table_as_a_spreadsheet_writes_it(tmp_path, encoded):
    said = SAID | {"pixel_spacing": [SPACING, SPACING]}
    lines = ["sep=;"]
    for key, value in said.items():  # a cell with a comma stands in quotation marks
        cell = f"# {key}: {value}"
        lines.append(f'"{cell}";;' if "," in cell else f"{cell};;")
    lines += ["point;x;y"] + [f"{n};{x!r};{y!r}" for n, (x, y) in pixels(POINTS).items()] + [";;"]
    path = tmp_path / "lateral.csv"
    path.write_bytes("\r\n".join(lines).encode(encoded))
    agree(facts(read(path)[0]), truth())


def test_json_may_begin_with_a_byte_order_mark(tmp_path):
    path = as_json(tmp_path)
    path.write_bytes(path.read_text().encode("utf-8-sig"))
    agree(facts(read(path)[0]), truth())


def test_pixels_that_are_not_square_are_given_as_dicom_gives_them(tmp_path):
    wide = {n: [x / 2, y] for n, (x, y) in pixels(POINTS).items()}
    said = SAID | {"pixel_spacing": [SPACING, 2 * SPACING]}  # between rows, between columns
    agree(facts(read(as_json(tmp_path, wide, said))[0]), truth())


def test_markups_of_a_picture_are_at_the_detector_s_size(tmp_path):
    flat = {n: (x * SPACING, y * SPACING, 0.0) for n, (x, y) in pixels(POINTS).items()}
    path = as_markups(tmp_path, flat)
    given = {"view": "lateral", "posture": "standing"}
    film, problems = read(path, {**given, "magnification": MAGNIFICATION})
    assert problems == ()
    agree(facts(film), truth(), within=SLICER)
    film, _ = read(path, {**given, "calibration": "uncalibrated"})
    assert {f.unit for f in facts(film).values()} == {"deg", "%"}


@pytest.mark.parametrize("view", ["lateral", "frontal"])
def test_markups_of_a_body_are_in_its_own_space(tmp_path, view):
    """LPS: y to the back, x to the left, z to the head. Nobody has to say where the front is."""
    made = POINTS if view == "lateral" else FRONTAL
    bodies = {
        n: (7.0 * k, -x, y) if view == "lateral" else (x, 7.0 * k, y)
        for k, (n, (x, y)) in enumerate(made.items())
    }
    path = as_markups(tmp_path, bodies)
    film, _ = read(path, {"view": view, "posture": "standing"})
    assert film.calibrated
    agree(facts(film), truth(made, view), within=SLICER)


def test_markups_of_a_radiograph_placed_in_the_patient_still_need_its_magnification(tmp_path):
    placed = {n: (0.0, -x * MAGNIFICATION, y * MAGNIFICATION) for n, (x, y) in POINTS.items()}
    path = as_markups(tmp_path, placed)
    given = {"view": "lateral", "posture": "standing"}
    film, _ = read(path, {**given, "magnification": MAGNIFICATION})
    agree(facts(film), truth(), within=SLICER)
    with pytest.raises(InputProblem, match="the magnification is not known"):
        read(path, given)
    with pytest.raises(InputProblem, match="they lie in another plane"):
        read(as_markups(tmp_path, {n: (x, 0.0, y) for n, (x, y) in POINTS.items()}), given)


def test_a_stray_point_makes_no_body_of_a_picture(tmp_path):
    """Else its magnification would be taken for 1."""
    flat = {n: (x * SPACING, y * SPACING, 0.0) for n, (x, y) in pixels(POINTS).items()}
    path = as_markups(tmp_path, flat | {"calibration ball": (0.0, 0.0, 40.0)})
    given = {"view": "lateral", "posture": "standing"}
    with pytest.raises(InputProblem, match="the magnification is not known"):
        read(path, given)
    film, _ = read(path, {**given, "magnification": MAGNIFICATION})
    agree(facts(film), truth(), within=SLICER)


def test_a_picture_that_is_turned_in_space_is_not_a_body(tmp_path):
    turned = {n: (0.3 * x, -x, y) for n, (x, y) in POINTS.items()}
    with pytest.raises(InputProblem, match="turned against the body"):
        read(as_markups(tmp_path, turned), {"view": "lateral"})
    few = dict(list(turned.items())[:3])
    assert read(as_markups(tmp_path, few), {"view": "lateral"})[0].calibrated


def test_right_and_left_of_slicer_s_two_systems(tmp_path):
    bodies = {n: (x, 7.0 * k, y) for k, (n, (x, y)) in enumerate(FRONTAL.items())}
    path = as_markups(tmp_path, bodies)
    value = json.loads(path.read_text())
    (markup,) = value["markups"]
    markup["coordinateSystem"] = "RAS"
    for point in markup["controlPoints"]:
        x, y, z = point["position"]
        point["position"] = [-x, -y, z]
    path.write_text(json.dumps(value))
    film, _ = read(path, {"view": "frontal", "posture": "standing"})
    agree(facts(film), truth(FRONTAL, "frontal"), within=SLICER)


def test_an_error_of_a_point_of_slicer_is_taken(tmp_path):
    bodies = {n: (7.0 * k, -x, y) for k, (n, (x, y)) in enumerate(POINTS.items())}
    film, _ = read(as_markups(tmp_path, bodies, 2.0), {"view": "lateral"})
    assert set(film.errors.values()) == {2.0}


# -- scale, errors, facing --------------------------------------------------------------------


def test_the_scale_counts(tmp_path):
    """Without the magnification the lengths would be too large by just that."""
    key = ("spine.sagittal_vertical_axis", "C7-S1", None)
    right = facts(read(as_json(tmp_path))[0])[key].number
    path = as_json(tmp_path, None, {**SAID, "magnification": 1})
    assert facts(read(path)[0])[key].number == pytest.approx(MAGNIFICATION * right)


def test_an_uncalibrated_radiograph_gives_angles_alone(tmp_path):
    said = {"view": "lateral", "posture": "standing", "calibration": "uncalibrated"}
    agree(facts(read(as_json(tmp_path, None, said))[0]), truth(), only_angles=True)


@pytest.mark.parametrize(("given", "mm"), [("2 mm", 2.0), ("10px", 1.6), ("0.5 mm", 0.5)])
def test_the_user_s_own_error_is_in_mm_of_the_patient_or_in_pixels(tmp_path, given, mm):
    film, _ = read(as_json(tmp_path), {"landmark_error": given})
    assert set(film.errors) == set(film.points)
    assert list(film.errors.values()) == pytest.approx([mm] * len(film.points))


def test_a_point_may_have_its_own_error(tmp_path):
    points = pixels(POINTS)
    points["chin"] = [*points["chin"], 10]
    film, _ = read(as_json(tmp_path, points))
    assert film.errors == pytest.approx({"chin": 1.6})
    path = as_csv(tmp_path)
    lines = path.read_text().replace("point,x,y", "point,x,y,error").splitlines()
    path.write_text("\n".join(f"{li},10" if li.startswith("chin") else li for li in lines))
    assert read(path)[0].errors == pytest.approx({"chin": 1.6})


def test_two_femoral_heads_of_which_nobody_knows_the_side(tmp_path):
    points = pixels(POINTS)
    heads = [points.pop(f"{side} {HEAD}") for side in ("left", "right")]
    film, _ = read(as_json(tmp_path, {**points, HEAD: heads}))
    assert {HEAD, HEAD + SECOND} <= set(film.points)
    agree(facts(film), truth())


def test_facing_is_taken_from_the_file_or_from_beside_it(tmp_path):
    points = {n: pixels(POINTS)[n] for n in ("chin", "brow")}
    film, _ = read(as_json(tmp_path, points, SAID | {"anterior": "right"}))
    assert film.towards == "right"
    film, _ = read(as_json(tmp_path, points), {"anterior": "left"})
    assert film.towards == "left"


def test_what_is_no_landmark_is_left_aside_and_said(tmp_path):
    points = pixels(POINTS) | {"L1 superior_endplate.front": [1, 2], "L9": [3, 4]}
    film, problems = read(as_json(tmp_path, points))
    agree(facts(film), truth())
    (problem,) = problems
    assert problem.problem == "alignment.unknown_landmark" and problem.count == 2
    assert "'L1 superior_endplate.front'" in problem.says


# -- messages ---------------------------------------------------------------------------------


def refused(path, given=None):
    with pytest.raises(InputProblem) as problem:
        read(path, given)
    says = str(problem.value)
    assert re.fullmatch(r"[\w.]+: cannot be .+\. .+; .+\. .+\.?", says), says
    return says


def test_a_file_that_is_none(tmp_path):
    assert "there is none of that name" in refused(tmp_path / "nothing.json")
    for n, content in enumerate((b"", b"{", b"[]", b'{"points": []}', b"\xff\xfe\x00")):
        path = tmp_path / f"{n}.json"
        path.write_bytes(content)
        assert "it is none of them" in refused(path)
    path = tmp_path / "a.csv"
    path.write_bytes(b"point,x,y\nchin,1,\xff")
    assert "text in UTF-8" in refused(path)
    path.write_bytes(b"name,x,y\nchin,1,2")
    assert "columns point, x and y" in refused(path)
    path.write_bytes(b"")
    assert "columns point, x and y" in refused(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("view", "sagittal"), ("posture", "upright"), ("on", "31.1.2026"), ("on", 7),
        ("pixel_spacing", 0), ("pixel_spacing", [0.1, -1]), ("pixel_spacing", [1, 1, 1]),
        ("pixel_spacing", []), ("magnification", "big"), ("magnification", True),
        ("magnification", [1, 1]), ("calibration", "sphere"), ("anterior", "front"),
        ("anterior", ["left"]), ("patient_left", "L"), ("landmark_error", "2"),
        ("landmark_error", "0 mm"), ("landmark_error", "-1 mm"), ("landmark_error", "nan mm"),
    ],
)  # fmt: skip
def test_a_setting_that_is_not_understood(tmp_path, key, value):
    assert key in refused(as_json(tmp_path, None, SAID | {key: value}))


def test_settings_that_nobody_knows(tmp_path):
    assert "it has 'spacing'" in refused(as_json(tmp_path, None, SAID | {"spacing": 1}))
    assert "it has 'spacing'" in refused(as_csv(tmp_path, None, SAID | {"spacing": 1}))


def test_what_stands_twice_is_not_taken_once(tmp_path):
    path = tmp_path / "a.json"
    path.write_text(
        '{"view": "lateral", "points": {"chin": [1, 2], "brow": [3, 4], "chin": [5, 6]}}'
    )
    assert "it has 'chin' twice" in refused(path)
    path = tmp_path / "a.csv"
    path.write_text("# view: lateral\n# view: frontal\npoint,x,y\nchin,1,2\n")
    assert "it has 'view' twice" in refused(path)


def test_a_decimal_comma_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("# view: lateral\npoint;x;y\nchin;1,5;2\n")
    assert "with a decimal point" in refused(path)


def test_what_must_be_known(tmp_path):
    def without(*keys):
        return as_json(tmp_path, None, {k: v for k, v in SAID.items() if k not in keys})

    assert "whether it is a lateral or a frontal" in refused(without("view"))
    assert "the magnification is not known" in refused(without("magnification"))
    assert "the pixel spacing is not known" in refused(without("pixel_spacing"))
    assert "--uncalibrated" in refused(without("pixel_spacing", "magnification"))
    assert read(without("view"), {"view": "lateral"})[0].view == "lateral"


def test_what_contradicts_itself(tmp_path):
    both = as_json(tmp_path, None, SAID | {"calibration": "uncalibrated"})
    assert "both are there" in refused(both)
    path = as_json(tmp_path)
    assert read(path, {"posture": "standing"})[0].posture == Posture.STANDING
    assert "one answer to posture" in refused(path, {"posture": "sitting"})
    uncalibrated = {"view": "lateral", "calibration": "uncalibrated"}
    path = as_json(tmp_path, None, uncalibrated)
    assert "landmark_error in px" in refused(path, {"landmark_error": "1 mm"})
    flat = as_markups(tmp_path, {n: (x, -y, 0.0) for n, (x, y) in POINTS.items()})
    given = {"view": "lateral", "magnification": 1.1}
    assert "landmark_error in mm" in refused(flat, {**given, "landmark_error": "1 px"})
    assert "no pixel spacing" in refused(flat, {**given, "pixel_spacing": 0.2})


@pytest.mark.parametrize("value", [[1], ["a", 2], [1, 2, 0], [1, 2, 3, 4], None, [True, 1], 5, []])
def test_a_point_that_is_none(tmp_path, value):
    assert "those of 'chin' are not" in refused(as_json(tmp_path, {"chin": value}))


@pytest.mark.parametrize("cell", ["NaN", "1e400", "1" + 400 * "0", "[" * 10_000, "true", ""])
def test_a_table_with_a_number_that_is_none(tmp_path, cell):
    path = tmp_path / "a.csv"
    path.write_text(f"# view: lateral\npoint,x,y\nchin,{cell},1\n")
    assert "those of 'chin' are not" in refused(path)


def test_a_table_whose_field_does_not_end(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('# view: lateral\npoint,x,y\n"chin,1,2\n' + 200_000 * "a")
    assert "does not end" in refused(path)


@pytest.mark.parametrize("value", [1e300, 1e-300])
def test_a_scale_or_a_place_that_no_picture_has(tmp_path, value):
    assert "pixel_spacing" in refused(
        as_json(tmp_path, None, SAID | {"pixel_spacing": value}), None
    )
    if value != 1e-300:
        assert "'chin' are not" in refused(as_json(tmp_path, {"chin": [value, 0]}))


def test_points_that_are_there_twice_or_not_at_all(tmp_path):
    twice = {"chin": [1, 2], "Chin ": [3, 4]}
    assert "chin is there twice" in refused(as_json(tmp_path, twice))
    assert "there is none" in refused(as_json(tmp_path, {"T5": [1, 2]}))
    assert "there is none" in refused(as_json(tmp_path, {}))
    three = {HEAD: [[1, 2], [3, 4], [5, 6]]}
    assert "is there twice" in refused(as_json(tmp_path, three))


def test_every_setting_is_described():
    page = (Path(__file__).parents[2] / "docs/how-to/measure-alignment.md").read_text()
    assert [s for s in SETTINGS if f"`{s}`" not in page] == []


@pytest.mark.parametrize(("start", "suffix"), [("{", ".json"), ("# view", ".csv")])
def test_the_page_s_own_examples_are_read(tmp_path, start, suffix):
    page = (Path(__file__).parents[2] / "docs/how-to/measure-alignment.md").read_text()
    blocks = re.findall(r"```[a-z]*\n(.*?)```", page, flags=re.S)
    examples = [block for block in blocks if block.startswith(start)]
    assert examples
    for n, example in enumerate(examples):
        path = tmp_path / f"example{n}{suffix}"
        path.write_text(example)
        film, problems = read(path, {"anterior": "right"})
        assert problems == () and len(film.points) >= 2
