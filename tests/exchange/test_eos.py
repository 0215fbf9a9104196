"""Landmarks of a slot scanner's pictures: the geometry from the file or the DICOM header."""

from __future__ import annotations

import json

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from endplate import evidence
from endplate.alignment import biplanar
from endplate.alignment.standing import IN_SPACE
from endplate.cli.main import DONE, UNUSABLE, main
from endplate.exchange.landmarks import EOS, SETTINGS, read
from endplate.facts import InputProblem
from unit.alignment import pairs

COLUMNS = 2301
MIDDLE = (COLUMNS - 1) / 2
FAR = 1300.0
DETECTOR = 0.254  # mm between columns at the detector
NEAR = {"lateral": 918.0, "frontal": 987.0}
SIDE = {"lateral": "right", "frontal": "anterior"}
ROWS = 0.18  # mm between rows: upright nothing is magnified


def spacing(view):
    return DETECTOR * NEAR[view] / FAR


@pytest.fixture(scope="module")
def seen():
    """The landmarks of both pictures in pixels, and what they give in space."""
    truth = pairs.truth(np.random.default_rng(5))
    films = pairs.films(pairs.points(truth), pairs.pair(("right", "anterior")))
    facts = {(f.what, f.level): f for f in biplanar.measure(*films, evidence.shipped()).facts}
    pixels = {
        f.view: {
            n: [(x - f.fan.isocentre) / spacing(f.view) + MIDDLE, (600 - y) / ROWS]
            for n, (x, y) in f.points.items()
        }
        for f in films
    }
    return pixels, facts


def eos(view, **more):
    said = {
        "source_to_isocentre_mm": NEAR[view], "source_to_detector_mm": FAR, "source": SIDE[view],
        "spacing_at": "isocentre", "isocentre_column": MIDDLE,
    }  # fmt: skip
    return {k: v for k, v in {**said, **more}.items() if v is not None}


def written(folder, view, points, **said):
    usual = {"view": view, "posture": "standing", "landmark_error": "1 px"}
    path = folder / f"{view}.json"
    path.write_text(json.dumps({**usual, **said, "points": points}))
    return path


def with_eos(folder, seen, **more):
    return [
        written(folder, v, seen[v], pixel_spacing=[ROWS, spacing(v)], eos=eos(v, **more))
        for v in ("lateral", "frontal")
    ]


def dicom(folder, view, **changed):
    """A header as a slot scanner writes it; None leaves an element out."""
    elements = {
        "Rows": 9000, "Columns": COLUMNS, "DistanceSourceToPatient": NEAR[view],
        "DistanceSourceToDetector": FAR, "ImagerPixelSpacing": [DETECTOR, DETECTOR],
        "PixelSpacing": [ROWS, spacing(view)], "PositionerType": "CARM",
        "PositionerPrimaryAngle": {"lateral": 90.0, "frontal": 180.0}[view],
        "ViewPosition": {"lateral": "LL", "frontal": "AP"}[view], "AcquisitionDate": "20260131",
        "PatientOrientation": {"lateral": ["A", "F"], "frontal": ["L", "F"]}[view],
    }  # fmt: skip
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = pydicom.uid.DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    path = folder / f"{view}.dcm"
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    for keyword, value in {**elements, **changed}.items():
        if value is not None:
            setattr(data, keyword, value)
    data.save_as(path, enforce_file_format=True)
    return path


def in_space(paths, images=None):
    films = [read(path, scans=images)[0] for path in paths]
    found = biplanar.measure(*films, evidence.shipped())
    return {(f.what, f.level): f for f in found.facts}, {p.problem for p in found.problems}


def same(found, facts):
    assert found.keys() == facts.keys()
    for key, fact in facts.items():
        assert found[key].number == pytest.approx(fact.number, abs=1e-4), key


def test_the_geometry_in_the_files_gives_the_points_in_space(tmp_path, seen):
    pixels, facts = seen
    found, told = in_space(with_eos(tmp_path, pixels))
    same(found, facts)
    assert "alignment.isocentre_assumed" not in told


def test_spacing_at_the_detector_is_taken_to_the_isocentre_across_alone(tmp_path, seen):
    pixels, facts = seen
    paths = [
        written(tmp_path, v, pixels[v], pixel_spacing=[ROWS, DETECTOR],
                eos=eos(v, spacing_at="detector"))
        for v in ("lateral", "frontal")
    ]  # fmt: skip
    same(in_space(paths)[0], facts)


def test_a_picture_that_was_cut_says_how_many_rows_are_missing(tmp_path, seen):
    pixels, facts = seen
    cut = {n: [x, y - 500] for n, (x, y) in pixels["frontal"].items()}
    lateral, _ = with_eos(tmp_path, pixels)
    frontal = written(tmp_path, "frontal", cut, pixel_spacing=[ROWS, spacing("frontal")],
                      eos=eos("frontal", first_row=500))  # fmt: skip
    same(in_space([lateral, frontal])[0], facts)


def test_a_distance_may_be_written_as_a_binary_number(tmp_path, seen):
    pixels, facts = seen
    binary = {"DistanceSourceToPatient": None}
    images = {
        v: dicom(tmp_path, v, **binary, DistanceSourceToIsocenter=NEAR[v])
        for v in ("lateral", "frontal")
    }
    same(in_space([written(tmp_path, v, pixels[v]) for v in images], images)[0], facts)


@pytest.mark.parametrize("how", ["beside", "in the file"])
def test_the_header_of_the_picture_gives_the_geometry(tmp_path, seen, how):
    pixels, facts = seen
    images = {v: dicom(tmp_path, v) for v in ("lateral", "frontal")}
    more = {} if how == "beside" else {"image": "{}.dcm"}
    paths = [
        written(tmp_path, v, pixels[v], **{k: s.format(v) for k, s in more.items()}) for v in images
    ]
    found, told = in_space(paths, images if how == "beside" else None)
    same(found, facts)
    assert "alignment.isocentre_assumed" in told  # no header tells it, and that is said
    assert {str(f.on) for f in found.values()} == {"2026-01-31"}


def test_what_a_header_lacks_is_asked_for_and_may_stand_in_the_file(tmp_path, seen):
    pixels, facts = seen
    lacking = {
        "DistanceSourceToPatient": "source_to_isocentre_mm", "PositionerPrimaryAngle": "source",
        "PixelSpacing": "pixel_spacing", "ImagerPixelSpacing": "spacing_at",
        "Columns": "isocentre_column",
    }  # fmt: skip
    _, frontal = with_eos(tmp_path, pixels)
    for element, key in lacking.items():
        image = dicom(tmp_path, "lateral", **{element: None})
        plain = written(tmp_path, "lateral", pixels["lateral"], image=image.name)
        with pytest.raises(InputProblem, match=r"It needs .*" + key.partition("_mm")[0]):
            read(plain)
        own = {k: v for k, v in eos("lateral").items() if k in (key, "spacing_at")}
        more = {"pixel_spacing": [ROWS, spacing("lateral")]} if key == "pixel_spacing" else {}
        whole = written(tmp_path, "lateral", pixels["lateral"], image=image.name, eos=own, **more)
        same(in_space([whole, frontal])[0], facts)


@pytest.mark.parametrize(
    ("view", "changed", "says"),
    [
        ("lateral", {"PixelSpacing": [0.254, 0.254]}, "pixel spacing that is the detector's"),
        ("lateral", {"DistanceSourceToDetector": 900.0}, "farther from the source"),
        ("lateral", {"PositionerPrimaryAngle": 0.0}, "a lateral picture"),
        ("frontal", {"PositionerPrimaryAngle": 0.0}, "one side from which"),
        ("frontal", {"PositionerPrimaryAngle": 90.0, "ViewPosition": None}, "a frontal picture"),
    ],
)
def test_a_header_that_contradicts_itself_or_the_view(tmp_path, seen, view, changed, says):
    image = dicom(tmp_path, view, **changed)
    path = written(tmp_path, view, seen[0][view], image=image.name)
    with pytest.raises(InputProblem, match=rf"(?i){image.name}: cannot be used.*{says}"):
        read(path)


@pytest.mark.parametrize(
    ("angle", "position", "source"),
    [(0.0, None, "posterior"), (180.0, None, "anterior"), (-180.0, "AP", "anterior"),
     (None, "PA", "posterior"), (5.0, "PA", "posterior")],
)  # fmt: skip
def test_the_side_of_the_source_is_that_opposite_to_the_detector(
    tmp_path, seen, angle, position, source
):
    image = dicom(tmp_path, "frontal", PositionerPrimaryAngle=angle, ViewPosition=position)
    film, _ = read(written(tmp_path, "frontal", seen[0]["frontal"], image=image.name))
    assert film.fan.source == source


@pytest.mark.parametrize(("angle", "source"), [(90.0, "right"), (-90.0, "left")])
def test_the_side_of_a_lateral_source(tmp_path, seen, angle, source):
    image = dicom(tmp_path, "lateral", PositionerPrimaryAngle=angle)
    film, _ = read(written(tmp_path, "lateral", seen[0]["lateral"], image=image.name))
    assert film.fan.source == source


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ({"eos": eos("lateral", source=None)}, "source in eos"),
        ({"eos": eos("lateral", source="anterior")}, "left or right on a lateral view"),
        ({"eos": eos("lateral", isocentre_column=None)}, "isocentre_column in eos"),
        ({"eos": eos("lateral", source_to_isocentre_mm=None)}, "source_to_isocentre_mm in eos"),
        ({"eos": eos("lateral", source_to_isocentre_mm="near")}, "as a number"),
        ({"eos": eos("lateral", source_to_isocentre_mm=-1)}, "as a number"),
        ({"eos": eos("lateral", source_to_isocentre_mm=1400)}, "above source_to_isocentre_mm"),
        ({"eos": eos("lateral", spacing_at=None)}, "spacing_at in eos"),
        ({"eos": eos("lateral", spacing_at="film")}, "spacing_at in eos as one of"),
        ({"eos": eos("lateral", spacing_at="detector")}, "as two numbers"),
        ({"eos": eos("lateral", colour="red")}, "no other keys in eos"),
        ({"eos": 7}, "eos as an object"),
        ({"eos": eos("lateral"), "magnification": 1.2}, "no magnification beside eos"),
        ({"eos": eos("lateral"), "pixel_spacing": None}, "pixel_spacing .from the header"),
        ({"image": 7}, "image as the name"),
        ({"image": "none.dcm"}, "none of that name"),
        ({"image": "lateral.json"}, "it is none"),
    ],
)
def test_a_geometry_that_is_none_or_not_whole(tmp_path, seen, said, says):
    said = {k: v for k, v in {"pixel_spacing": 0.18, **said}.items() if v is not None}
    path = written(tmp_path, "lateral", seen[0]["lateral"], **said)
    with pytest.raises(InputProblem, match=says) as told:
        read(path)
    assert str(told.value).count("cannot be used") == 1


def test_what_the_file_and_the_header_say_differently_is_told(tmp_path, seen):
    image = dicom(tmp_path, "lateral")
    for said, key in (
        ({"anterior": "left"}, "anterior"), ({"on": "2026-02-01"}, "on"),
        ({"eos": {"source": "left"}}, "source in eos"),
        ({"eos": {"source_to_isocentre_mm": 950}}, "source_to_isocentre_mm in eos"),
    ):  # fmt: skip
        path = written(tmp_path, "lateral", seen[0]["lateral"], image=image.name, **said)
        with pytest.raises(InputProblem, match=rf"{key}.* as its image lateral.dcm has it"):
            read(path)


def test_a_broken_header_is_told(tmp_path, seen):
    image = dicom(tmp_path, "lateral")
    image.write_bytes(image.read_bytes()[:200])
    path = written(tmp_path, "lateral", seen[0]["lateral"], image=image.name)
    with pytest.raises(InputProblem, match=r"cannot be used|It needs"):
        read(path)


def test_every_setting_of_eos_is_described():
    from pathlib import Path

    page = Path(__file__).parents[2] / "docs" / "how-to" / "measure-alignment.md"
    text = page.read_text()
    assert all(f"`{key}`" in text for key in (*EOS, "image", "eos"))
    assert {"image", "eos"} <= set(SETTINGS)


# -- the command ------------------------------------------------------------------------------


def test_the_command_gives_what_is_in_space_beside_what_each_view_gives(tmp_path, seen, capfd):
    pixels, _ = seen
    paths = [str(p) for p in with_eos(tmp_path, pixels)]
    out = tmp_path / "out"
    assert main(["alignment", "measure", *paths, "--json", "--out", str(out)]) == DONE
    answer = json.loads(capfd.readouterr().out)
    assert json.loads((out / "alignment.json").read_text()) == answer
    incidences = [f for f in answer["facts"] if f["what"] == "pelvis.pelvic_incidence"]
    assert {f["method"] for f in incidences} == {
        "endplate.alignment_from_landmarks/1", IN_SPACE
    }  # fmt: skip
    places = answer["biplanar"]["points"]
    assert len(places["left femoral_head.centre"]["position"]) == 3
    assert answer["biplanar"]["vertebrae"]["L3"]["turned_by"] == "pedicles of both views"
    axis = next(f for f in answer["facts"] if f["what"] == "spine.sagittal_vertical_axis"
                and f["method"] != IN_SPACE)  # fmt: skip
    assert axis["details"]["magnification"] == biplanar.CORRECTED
    assert main(["alignment", "measure", *paths]) == DONE
    assert "pelvic incidence, in space" in capfd.readouterr().out


def test_the_command_takes_the_pictures_beside_the_files(tmp_path, seen, capfd):
    pixels, facts = seen
    images = [f"--eos-{v}={dicom(tmp_path, v)}" for v in ("lateral", "frontal")]
    paths = [str(written(tmp_path, v, pixels[v])) for v in ("lateral", "frontal")]
    assert main(["alignment", "measure", *paths, *images, "--json"]) == DONE
    answer = json.loads(capfd.readouterr().out)
    found = {(f["what"], f.get("level")): f for f in answer["facts"]
             if f["method"] == IN_SPACE}  # fmt: skip
    assert found.keys() == facts.keys()
    assert main(["alignment", "measure", paths[0], *images]) == UNUSABLE
    assert "--eos-frontal: cannot be used" in capfd.readouterr().err


def test_pictures_of_two_people_are_refused(tmp_path, seen, capfd):
    images = [f"--eos-{v}={dicom(tmp_path, v, PatientID=v)}" for v in ("lateral", "frontal")]
    paths = [str(written(tmp_path, v, seen[0][v])) for v in ("lateral", "frontal")]
    assert main(["alignment", "measure", *paths, *images, "--json"]) == UNUSABLE
    assert "different patient identifier" in capfd.readouterr().err


def test_one_view_of_a_pair_is_measured_as_it_is(tmp_path, seen, capfd):
    path = with_eos(tmp_path, seen[0])[0]
    assert main(["alignment", "measure", str(path), "--json"]) == DONE
    answer = json.loads(capfd.readouterr().out)
    assert "biplanar" not in answer
    assert {f["method"] for f in answer["facts"]} == {"endplate.alignment_from_landmarks/1"}


# -- in a case --------------------------------------------------------------------------------


def of_case(folder, capfd):
    (folder / "case.toml").write_text(
        '[landmarks."lateral.json"]\non = 2026-01-31\n[landmarks."frontal.json"]\non = 2026-01-31\n'
    )
    assert main(["read", str(folder), "--on", "2026-06-01", "--json"]) == DONE
    return json.loads(capfd.readouterr().out)


def number(facts):
    return {(f["what"], f.get("level"), f["method"]): f["value"] for f in facts if "method" in f}


@pytest.mark.parametrize("with_images", [False, True])
def test_a_case_gives_of_a_pair_what_the_command_gives(tmp_path, seen, capfd, with_images):
    pixels, _ = seen
    if with_images:
        paths = [
            written(tmp_path, v, pixels[v], image=dicom(tmp_path, v).name)
            for v in ("lateral", "frontal")
        ]
    else:
        paths = with_eos(tmp_path, pixels)
    found = of_case(tmp_path, capfd)
    assert main(["alignment", "measure", *map(str, paths), "--json"]) == DONE
    assert number(found["facts"]) == number(json.loads(capfd.readouterr().out)["facts"])
    in_space = [f for f in found["facts"] if f.get("method") == IN_SPACE]
    assert {f["source"] for f in in_space} == {"lateral.json, frontal.json"}
    kinds = {f["name"]: f["kind"] for f in found["files"]}
    assert kinds["lateral.json, frontal.json"] == "landmarks (pair in space)"
    assert found["ignored"] == []  # the pictures were not left aside


def test_the_rules_of_a_case_take_what_was_measured_in_space(tmp_path, seen, capfd):
    case, out = tmp_path / "case", tmp_path / "out"
    case.mkdir()
    (case / "case.toml").write_text('[person]\nage = { value = 60, unit = "a" }\n')
    with_eos(case, seen[0])
    answers = []
    for _ in ("both", "lateral alone"):
        assert main(["plan", str(case), "--out", str(out), "--on", "2026-06-01", "--json"]) == DONE
        answers.append(json.loads(capfd.readouterr().out))
        (case / "frontal.json").unlink(missing_ok=True)
    for rule in ("alignment.gap", "alignment.srs_schwab", "alignment.ideal_lordosis"):
        methods = []
        for answer in answers:
            (one,) = [f for f in answer["findings"] if f["rule"] == rule]
            assert one["status"] == "answered"
            methods.append({
                f["method"] for f in one["because"]
                if f["what"] in ("pelvis.pelvic_incidence", "spine.lumbar_lordosis")
            })  # fmt: skip
        assert methods == [{IN_SPACE}, {"endplate.alignment_from_landmarks/1"}], rule


def test_a_scanner_s_picture_of_another_person_ends_the_run(tmp_path, seen, capfd):
    changed = ({"PatientBirthDate": "19570203"}, {"PatientBirthDate": "19580203"})
    for view, more in zip(("lateral", "frontal"), changed, strict=True):
        written(tmp_path, view, seen[0][view], image=dicom(tmp_path, view, **more).name)
    assert main(["read", str(tmp_path)]) == UNUSABLE
    assert "different birth date" in capfd.readouterr().err
    paths = [str(tmp_path / f"{v}.json") for v in ("lateral", "frontal")]
    assert main(["alignment", "measure", *paths]) == UNUSABLE
    assert "different birth date" in capfd.readouterr().err


@pytest.mark.parametrize("command", ["classify", "targets", "plan"])
def test_every_command_takes_a_pair(tmp_path, seen, capfd, command):
    images = [f"--eos-{v}={dicom(tmp_path, v)}" for v in ("lateral", "frontal")]
    paths = [str(written(tmp_path, v, seen[0][v])) for v in ("lateral", "frontal")]
    more = ["--age", "60", "--on", "2026-06-01"]
    assert main(["alignment", command, *paths, *images, *more, "--json"]) == DONE
    answer = json.loads(capfd.readouterr().out)
    assert IN_SPACE in {f.get("method") for f in answer["facts"]}
