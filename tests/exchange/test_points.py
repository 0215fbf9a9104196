"""Landmarks as files of TPTBox and of 3D Slicer: out, back, and what others write."""

from __future__ import annotations

import json
from datetime import date

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from endplate.cli.main import main
from endplate.demo.phantom import Scan, Spine, phantom
from endplate.exchange import nifti, points, points_slicer, points_tptbox
from endplate.exchange.case import read_case
from endplate.exchange.masks import read_mask
from endplate.facts import InputProblem
from endplate.images.landmarks import Landmark, landmarks
from endplate.images.measure import measure
from endplate.images.volume import Volume
from endplate.levels import Level

RAS_TO_LPS = np.array([-1.0, -1.0, 1.0])
ORIENTATIONS = [("R", "A", "S"), ("L", "P", "S"), ("P", "I", "R"), ("S", "R", "A"), ("L", "A", "I")]


def a_grid(codes=("L", "P", "S"), turn=(0.0, 0.0, 0.0), zoom=(0.8, 0.9, 2.5)) -> Volume:
    """A grid whose axes run along `codes` of a patient turned by `turn` degrees."""
    axes = nibabel.orientations.inv_ornt_aff(nibabel.orientations.axcodes2ornt(codes), (1, 1, 1))[
        :3, :3
    ].T  # columns: where each axis leads, in RAS
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", turn, degrees=True).as_matrix() @ axes * zoom
    affine[:3, 3] = [12.5, -40.25, 310.125]
    affine[:2] *= -1  # LPS
    return Volume(np.zeros((20, 30, 40), np.uint8), affine)


def some_points() -> tuple[Landmark, ...]:
    return (
        Landmark.at("vertebral_body.centre", [1.5, -20.25, 30.125], level=Level.L3, error=0.25),
        Landmark.at("superior_endplate.anterior", [0.1, -40.7, 42.3], level=Level.L3),
        Landmark.at("height_line.middle.superior", [-3, 4, 5], level=Level.T13, error=0.1),
        Landmark.at("spinal_canal.centre", [1, 2, 3], level=Level.S1),
        Landmark.at("femoral_head.centre", [-83.8, 142.4, 126.7], side="right", error=0.4),
        Landmark.at("femoral_head.centre", [81.9, 144.3, 124.6], side="left"),
    )


def back(path, content):
    path.write_bytes(content)
    return points.read(path)


def in_any_order(points_):
    return sorted(points_, key=lambda p: (str(p.level), p.name, p.side or "", p.position))


# -- round trips ------------------------------------------------------------------------------


@pytest.mark.parametrize("codes", ORIENTATIONS, ids="".join)
@pytest.mark.parametrize("turn", [(0, 0, 0), (20, -10, 35)], ids=["straight", "oblique"])
def test_a_poi_file_gives_back_the_same_landmarks(tmp_path, codes, turn):
    content = points_tptbox.written(some_points(), a_grid(codes, turn))
    program, found, problems = back(tmp_path / "points.json", content)
    assert program == "TPTBox" and problems == ()
    assert in_any_order(found) == in_any_order(some_points())


def test_without_a_grid_and_on_a_tilted_one_points_are_written_in_mm(tmp_path):
    tilted = a_grid()
    tilted.affine[:3, 1] += [0.0, 0.0, 0.2]
    for grid in (None, tilted):
        content = points_tptbox.written(some_points(), grid)
        assert json.loads(content)[0]["format"] == "POI_GLOBAL"
        assert in_any_order(back(tmp_path / "p.json", content)[1]) == in_any_order(some_points())


def test_a_markups_file_gives_back_the_same_landmarks(tmp_path):
    program, found, problems = back(tmp_path / "p.mrk.json", points_slicer.written(some_points()))
    assert (program, found, problems) == ("3D Slicer", some_points(), ())


NAMES = st.from_regex(r"[a-z][a-z_]{2,12}(\.[a-z_]{3,9}){1,2}", fullmatch=True)
PLACES = st.tuples(*[st.floats(-2000, 2000, allow_nan=False)] * 3)
POINTS = st.lists(
    st.builds(
        Landmark.at, NAMES, PLACES, level=st.none() | st.sampled_from(list(Level)),
        side=st.sampled_from([None, "left", "right"]),
        error=st.none() | st.floats(0, 50, allow_nan=False),
    ),
    min_size=1, max_size=12, unique_by=lambda p: (p.name, p.level, p.side),
)  # fmt: skip
TURNS = st.tuples(*[st.floats(-180, 180)] * 3)


@settings(max_examples=60, deadline=None)
@given(POINTS, st.sampled_from(ORIENTATIONS), TURNS)
def test_any_landmarks_come_back_the_same_from_both(given_points, codes, turn):
    grid = a_grid(codes, turn)
    value = json.loads(points_tptbox.written(given_points, grid))
    found, problems = points_tptbox.read(value, "")
    assert problems == () and in_any_order(found) == in_any_order(given_points)
    found, problems = points_slicer.read(json.loads(points_slicer.written(given_points)), "")
    assert problems == () and list(found) == given_points


def test_two_points_in_one_place_of_a_poi_file_are_refused_and_not_lost():
    twice = [Landmark.at("disc.centre", [n, 0, 0], level=Level.L4) for n in (1, 2)]
    with pytest.raises(ValueError, match="same place of the same level"):
        points_tptbox.written(twice)


# -- places -----------------------------------------------------------------------------------


@pytest.mark.parametrize("codes", ORIENTATIONS, ids="".join)
def test_voxel_coordinates_are_those_of_nibabel(codes):
    """The file's points through the affine that nibabel has of the same image."""
    grid = a_grid(codes, (15, 25, -40))
    header, table = json.loads(points_tptbox.written(some_points(), grid))
    affine = RAS_TO_LPS[:, None] * grid.affine[:3]
    assert header["direction"] == list(nibabel.aff2axcodes(np.vstack([affine, [0, 0, 0, 1]])))
    for point in some_points():
        level = point.level or "250"
        places = table[level].values()
        ras = [affine[:, :3] @ index + affine[:, 3] for index in places]
        near = min(np.linalg.norm(RAS_TO_LPS * p - point.position) for p in ras)
        assert near < 1e-6


# Made by TPTBox 1.1.0 itself: POI(...).save in voxels, to_global().save in mm, on a grid with
# axes to P, S and L, turned by 12, -7 and 20 degrees.
GRID_OF_TPTBOX = {
    "direction": ["P", "S", "L"],
    "zoom": [0.9, 2.5, 0.8],
    "origin": [10.0, -20.0, 30.0],
    "rotation": [
        [0.3583561812679209, -0.04090720570102164, -0.9326882805886629],
        [-0.9104919792297734, -0.23614400524832022, -0.3394707719831971],
        [-0.20636195406913227, 0.9708566368455308, -0.12186934158915276],
    ],
    "shape": [40, 50, 20],
}
IN_VOXELS = {"L3": {"50": [10.5, 20.25, 7.0], "101": [3.0, 4.0, 5.0]}, "20": {"61": [1, 2, 3]}}
IN_RAS = {
    "22": {
        "50": [6.0924843, -42.4599758, 76.5170285],
        "101": [6.8277365, -26.1776515, 38.6639117],
    },
    "20": {"61": [7.8795327, -22.8148927, 34.376071]},
}
IN_LPS_MM = {
    ("L3", "vertebral_body.centre"): (-6.0925, 42.46, 76.517),
    ("L3", "superior_endplate.anterior"): (-6.8277, 26.1777, 38.6639),
    ("L1", "spinal_canal.centre"): (-7.8795, 22.8149, 34.3761),
}
AS_LIST = [
    {"label": sub * 256 + vertebra, "X": x, "Y": y, "Z": z}
    for vertebra, sub, (x, y, z) in (
        (22, 50, (10.5, 20.25, 7.0)), (22, 101, (3.0, 4.0, 5.0)), (20, 61, (1.0, 2.0, 3.0)),
    )
]  # fmt: skip


@pytest.mark.parametrize(
    "file",
    [
        [GRID_OF_TPTBOX | {"format": "POI", "level_one_info": "Vertebra_Instance"}, IN_VOXELS],
        [GRID_OF_TPTBOX | {"format": "docker", "level_one_info": "Any", "extra": [1]}, *AS_LIST],
        [GRID_OF_TPTBOX, *AS_LIST],
        [{"coordinate_system": "nib", "format": "POI_GLOBAL"}, IN_RAS],
        [{"format": "POI_GLOBAL", "level_one_info": "Any"}, IN_RAS],
        [
            {"coordinate_system": "itk", "format": "POI_GLOBAL"},
            {v: {s: [-p[0], -p[1], p[2]] for s, p in t.items()} for v, t in IN_RAS.items()},
        ],
    ],
    ids=["POI", "docker", "no format", "global RAS", "global, unsaid", "global LPS"],
)
def test_files_of_tptbox_are_read_at_their_places(file):
    found, problems = points_tptbox.read(file, "f")
    assert problems == ()
    assert {(p.level, p.name): p.position for p in found} == IN_LPS_MM


def test_an_old_label_without_a_place_is_the_body():
    found, _ = points_tptbox.read([GRID_OF_TPTBOX, {"label": 22, "X": 1, "Y": 2, "Z": 3}], "f")
    assert [(p.level, p.name) for p in found] == [("L3", "vertebral_body.centre")]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"origin": None}, "no origin"),
        ({"rotation": None}, "no rotation"),
        ({"zoom": [1, 1]}, "zoom is not"),
        ({"zoom": [0.9, -2.5, 0.8]}, "cannot be that of an image"),
        ({"rotation": [[2, 0, 0], [0, 1, 0], [0, 0, 1]]}, "cannot be that of an image"),
        ({"direction": ["A", "S", "L"]}, "contradicts"),
        ({"format": "POI_GLOBAL", "coordinate_system": "xyz"}, "neither nib"),
    ],
)
def test_points_without_a_certain_place_are_not_used(change, says):
    found, problems = points_tptbox.read([GRID_OF_TPTBOX | change, IN_VOXELS], "f")
    assert found == () and [p.problem for p in problems] == ["points.no_place"]
    assert says in problems[0].says


def test_what_is_no_point_is_left_out_and_counted():
    table = {
        "L3": {"50": [1, 2], "101": [1, 2, 3], "102": ["a", 2, 3], "103": [1, 2, float("nan")]}
    }
    found, problems = points_tptbox.read([GRID_OF_TPTBOX | {"format": "POI"}, table, 7], "f")
    assert [p.name for p in found] == ["superior_endplate.anterior"]
    assert [(p.problem, p.count) for p in problems] == [("points.not_a_point", 4)]


def test_places_and_levels_that_have_no_name_here_are_kept_under_their_numbers():
    table = {"29": {"50": [1, 2, 3]}, "L3": {"82": [1, 2, 3]}}
    header = {"coordinate_system": "itk", "format": "POI_GLOBAL"}
    found, _ = points_tptbox.read([header, table], "f")
    assert {(p.level, p.name) for p in found} == {
        (None, "tptbox.29.vertebral_body.centre"), ("L3", "tptbox.82"),
    }  # fmt: skip
    again, _ = points_tptbox.read(json.loads(points_tptbox.written(found)), "f")
    assert in_any_order(again) == in_any_order(found)


def test_other_numberings_of_tptbox_are_no_vertebrae():
    header = {"coordinate_system": "itk", "format": "POI_GLOBAL"}
    header |= {"level_one_info": "Full_Body_Instance"}
    ((point,), _) = points_tptbox.read([header, {"22": {"50": [1, 2, 3]}}], "f")
    assert point.level is None


@pytest.mark.peer
def test_tptbox_itself_reads_our_files_and_we_read_its(tmp_path):
    """Against the package, where it is installed (pip install TPTBox)."""
    tptbox = pytest.importorskip("TPTBox", reason="needs TPTBox (pip install TPTBox)")
    regions = {"L3": 22, "T13": 28, "S1": 26}
    places = {50, 101, 61}
    wanted = {(regions.get(p.level, 250), p.name): np.array(p.position) for p in some_points()}
    for codes in ORIENTATIONS:
        content = points_tptbox.written(some_points(), a_grid(codes, (15, 25, -40)))
        (tmp_path / "ours.json").write_bytes(content)
        theirs = tptbox.POI.load(tmp_path / "ours.json")
        for region, place, at in theirs.to_global(itk_coords=True).items():
            if place in places:
                name = points_tptbox._LOCATIONS[place]
                assert np.abs(wanted[region, name] - at).max() < 1e-4
        theirs.save(tmp_path / "theirs.json", verbose=False)
        found = points.read(tmp_path / "theirs.json")[1]
        assert {(p.level, p.name, p.side, p.position) for p in found} == {
            (p.level, p.name, p.side, p.position) for p in some_points()
        }
        theirs.to_global(itk_coords=True).save_mrk(tmp_path / "theirs.mrk.json")
        found = points.read(tmp_path / "theirs.mrk.json")[1]
        assert {p.position for p in found} == {p.position for p in some_points()}
    (tmp_path / "ours.mrk.json").write_bytes(points_slicer.written(some_points()))
    read = tptbox.POI_Global.load(tmp_path / "ours.mrk.json")
    assert read.itk_coords and len(read) == len(some_points())
    assert np.abs(np.array(read[22, 50]) - some_points()[0].position).max() < 1e-4


# -- 3D Slicer ------------------------------------------------------------------------------------


def a_list(*control_points, **more):
    markup = {"type": "Fiducial", "coordinateSystem": "LPS", "controlPoints": [*control_points]}
    schema = "https://raw.githubusercontent.com/slicer/slicer/master/x/markups-schema-v1.0.0.json#"
    return {"@schema": schema, "markups": [markup | more]}


def test_a_written_list_has_the_types_that_the_schema_asks_for():
    (markup,) = json.loads(points_slicer.written(some_points()))["markups"]
    assert markup["type"] == "Fiducial" and markup["coordinateSystem"] == "LPS"
    ids = [p["id"] for p in markup["controlPoints"]]
    assert len(set(ids)) == len(some_points())
    for point in markup["controlPoints"]:
        assert all(isinstance(point[n], str) for n in ("id", "label", "description"))
        assert len(point["position"]) == 3 and len(point["orientation"]) == 9
        assert point["positionStatus"] == "defined" and point["associatedNodeID"] == ""
    assert isinstance(markup["display"]["glyphScale"], float)


@pytest.mark.parametrize(
    ("system", "position"),
    [("LPS", (1.0, 2.0, 3.0)), ("RAS", (-1.0, -2.0, 3.0)), ("1", (1.0, 2.0, 3.0)),
     ("0", (-1.0, -2.0, 3.0)), (0, (-1.0, -2.0, 3.0))],
)  # fmt: skip
def test_both_coordinate_systems_are_read_also_as_older_versions_wrote_them(system, position):
    file = a_list({"label": "L4 disc", "position": [1, 2, 3]}, coordinateSystem=system)
    ((point,), problems) = points_slicer.read(file, "f")
    assert (point.position, point.level, point.name) == (position, "L4", "disc")
    assert problems == ()


def test_left_out_fields_extra_ones_and_unset_points_are_tolerated():
    file = a_list(
        {"position": [1, 2, 3]},
        {"position": [4, 5, 6], "label": "F-2", "selected": 1, "of_tomorrow": {}},
        {"position": [0, 0, 0], "label": "F-3", "positionStatus": "undefined"},
        {"label": "F-4"},
        "no point",
        measurements=[], of_tomorrow=3,
    )  # fmt: skip
    file["markups"] += [{"type": "Line", "controlPoints": [{"position": [1, 2, 3]}]}, None]
    found, problems = points_slicer.read(file, "f")
    assert [(p.name, p.level) for p in found] == [("point 1", None), ("F-2", None)]
    assert {p.problem: p.count for p in problems if p.problem == "points.not_a_point"} == {
        "points.not_a_point": 3
    }
    assert sum(p.problem == "points.not_a_list" for p in problems) == 2


def test_an_unsaid_system_is_lps_and_said_and_an_unknown_one_is_refused():
    file = a_list({"position": [1, 2, 3]})
    del file["markups"][0]["coordinateSystem"], file["@schema"]
    ((point,), problems) = points_slicer.read(file, "f")
    assert point.position == (1.0, 2.0, 3.0)
    assert [p.problem for p in problems] == ["points.other_schema", "points.no_coordinate_system"]
    for change in ({"coordinateSystem": "XYZ"}, {"coordinateUnits": "inch"}):
        found, problems = points_slicer.read(a_list({"position": [1, 2, 3]}, **change), "f")
        assert found == () and [p.problem for p in problems] == ["points.no_place"]


@pytest.mark.parametrize("unit", ["um", ["um", "UCUM", "micrometer"]])
def test_micrometres_become_millimetres(unit):
    ((point,), _) = points_slicer.read(a_list({"position": [1000, 0, 0]}, coordinateUnits=unit), "")
    assert point.position == (1.0, 0.0, 0.0)


def test_points_that_tptbox_put_into_a_markups_file_keep_their_level():
    file = a_list(
        {"id": "22-50", "label": "50", "description": "L3", "position": [1, 2, 3]},
        {"id": "22-201", "label": "of mine", "description": "L3", "position": [1, 2, 3]},
    )
    found, _ = points_slicer.read(file, "f")
    assert [(p.level, p.name) for p in found] == [
        ("L3", "vertebral_body.centre"),
        ("L3", "of mine"),
    ]


# -- files and commands ---------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"{}", b"[]", b"[1]", b"no JSON", b'{"resourceType": "x"}'])
def test_what_is_no_file_of_landmarks_is_refused_by_name(tmp_path, content):
    path = tmp_path / "x.json"
    path.write_bytes(content)
    with pytest.raises(InputProblem, match=r"x\.json: cannot be read as landmarks"):
        points.read(path)


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """A phantom measured by the command line, its output laid into its case."""
    folder = tmp_path_factory.mktemp("case")
    made = phantom(Spine(first="L2", last="L4", pelvis=None), Scan(spacing=(2.0, 2.0, 2.0)))
    nifti.write(made.image, folder / "ct.nii.gz")
    nifti.write(made.mask.volume, folder / "mask.nii.gz")
    (folder / "map.toml").write_text(
        "[labels]\n" + "\n".join(f'{n} = "{s}"' for n, s in made.mask.structures.items())
    )
    options = ["--image", str(folder / "ct.nii.gz"), "--mask", str(folder / "mask.nii.gz")]
    options += [
        "--labels",
        str(folder / "map.toml"),
        "--out",
        str(folder / "out"),
        "--modality",
        "CT",
    ]
    assert main(["measure", *options]) == 0
    return made, folder


def test_measuring_writes_both_files_with_the_points_of_the_phantom(case):
    made, folder = case
    for name, program in (("points.poi.json", "TPTBox"), ("points.mrk.json", "3D Slicer")):
        told, found, problems = points.read(folder / "out" / name)
        assert told == program and problems == ()
        centres = {p.level: p.position for p in found if p.name == "vertebral_body.centre"}
        assert set(centres) == {"L2", "L3", "L4"}
        for level, at in centres.items():
            assert np.linalg.norm(at - made.truth.vertebrae[level].centre) < 1.0


def test_a_case_says_what_points_it_holds_and_that_nothing_uses_them(case, tmp_path):
    _, folder = case
    for name in ("points.poi.json", "points.mrk.json"):
        (tmp_path / name).write_bytes((folder / "out" / name).read_bytes())
    (tmp_path / "lost.json").write_text(json.dumps([{"vert_label": "22", "50": "(1, 2, 3)"}]))
    (tmp_path / "case.toml").write_text('[facts]\n"person.sex" = { value = "female" }\n')
    found = read_case(tmp_path, date(2026, 6, 1))
    kinds = {f.name: (f.kind, f.says) for f in found.files}
    assert kinds["points.poi.json"][0] == "points (TPTBox)"
    assert kinds["points.mrk.json"][1].startswith("42 points at L2, L3, L4: vertebral_body.centre")
    assert {(p.problem, p.where) for p in found.ignored} == {
        ("case.points_not_used", "points.poi.json"), ("case.points_not_used", "points.mrk.json"),
    }  # fmt: skip
    assert [(p.problem, p.where) for p in found.problems] == [("points.no_place", "lost.json")]


def test_a_case_of_points_alone_says_why_it_cannot_be_used(case, tmp_path, capsys):
    _, folder = case
    (tmp_path / "points.poi.json").write_bytes((folder / "out" / "points.poi.json").read_bytes())
    capsys.readouterr()
    for command in (["read", str(tmp_path)], ["plan", str(tmp_path), "--out", str(tmp_path / "o")]):
        assert main(command) == 2
        said = capsys.readouterr().err
        assert "points.poi.json holds landmarks, which no measurement and no rule uses." in said
        assert "a case.toml is needed" in said and not (tmp_path / "o").exists()


# TPTBox 1.1.0 on its own CT crop: calc_poi_from_subreg_vert(vert, subreg, subreg_id=[...])
# .to_global(itk_coords=True). Its corners follow the rim, ours the plane; its centre is that of
# the body's voxels. So they are alike to some millimetres, and never mirrored or swapped.
BY_TPTBOX = {
    "vertebral_body.centre": (26.0, 161.6, -64.9),
    "superior_endplate.anterior": (27.2, 144.3, -49.7),
    "superior_endplate.posterior": (24.4, 177.4, -51.7),
    "inferior_endplate.anterior": (27.9, 142.5, -75.4),
    "inferior_endplate.posterior": (25.0, 175.7, -78.3),
}


@pytest.mark.shared_data
def test_points_of_a_real_vertebra_lie_where_tptbox_puts_them(shared_data):
    folder = shared_data / "imaging" / "tptbox"
    mask, _ = read_mask(folder / "sub-ct_seg-vert_label-22_msk.nii.gz", "verse")
    found = {p.name: p.position for p in landmarks(measure(None, mask)) if p.level == "L3"}
    for name, theirs in BY_TPTBOX.items():
        assert np.linalg.norm(np.subtract(found[name], theirs)) < 4.0, name
