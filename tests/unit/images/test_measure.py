"""A whole measurement: facts, what is left out and why, doubts, odd input, pictures."""

from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from endplate import vocabulary
from endplate.demo.phantom import Fracture, Scan, Spine, phantom
from endplate.facts import InputProblem
from endplate.images.measure import EVERYTHING, measure
from endplate.images.volume import Acquisition, Mask, Volume
from endplate.posture import Posture
from unit.images.spines import a_ct, one, solid

NUMBERS = EVERYTHING - {"pictures"}
THREE = "ct.hounsfield.three_location"


@pytest.fixture(scope="module")
def made():
    density = {"T12": 150, "L1": 140, "L2": 100, "L3": 120, "L4": 90, "L5": 130}
    spine = Spine(
        first="T12", hounsfield=density, fractures={"L2": Fracture(kind="wedge", loss=34)},
        hip_metal="left",
    )  # fmt: skip
    return phantom(spine, Scan(spacing=(1.5, 1.5, 1.5), noise=10))


@pytest.fixture(scope="module")
def result(made):
    return measure(made.image, made.mask)


def taken(image, **changes):
    return replace(image, acquisition=replace(image.acquisition, **changes))


def test_every_fact_says_what_it_is_where_from_and_how(result):
    assert result.facts
    for fact in result.facts:
        concept = vocabulary.concept(fact.what)
        assert fact.source == "phantom, mask phantom mask"
        assert fact.method and fact.posture is Posture.SUPINE
        if concept.kind == "number":
            assert fact.unit == concept.unit
        if fact.what.startswith(("ct.hounsfield.t", "ct.hounsfield.a", "vertebra.height")):
            assert fact.details["slice_spacing"] == 1.5
    for level in ("T12", "L1", "L3", "L4", "L5"):
        fact = one(result.facts, THREE, level)
        low, high = fact.interval
        assert low < fact.number < high and fact.details["contrast"] == "no"
        assert fact.details["tube_voltage"] == 120 and fact.details["kernel"] == "phantom"
        assert {"mean", "median", "sd", "voxels"} <= set(fact.details)
        assert fact.quality == "ok" and fact.method == "endplate.ct.three_location/1"


def test_the_numbers_are_those_of_the_phantom(made, result):
    for name, true in made.truth.vertebrae.items():
        found = one(result.facts, THREE, name)
        assert found.number == pytest.approx(true.hounsfield, abs=max(2, 3 * error(found)))
        for height in ("anterior", "middle", "posterior"):
            fact = one(result.facts, f"vertebra.height.{height}", name)
            off = abs(fact.number - getattr(true, height))
            assert off <= max(0.75, 3 * error(fact)), (name, height)


def error(fact):
    return fact.details["standard_error"]


def test_a_fractured_level_is_graded_doubted_and_left_out_of_the_mean(made, result):
    grade = one(result.facts, "vertebra.genant_grade", "L2")
    assert grade.value == "moderate" and grade.details["worst"] == "vertebra.wedge"
    density = one(result.facts, THREE, "L2")
    assert density.details["usable"] == "no" and any("deformed" in d for d in density.doubts)
    mean = one(result.facts, THREE, "L1-L4")
    assert mean.details["levels"] == "L1, L3, L4" and mean.details["left_out"] == "L2"
    assert mean.number == pytest.approx(np.mean([140, 120, 90]), abs=2)
    parts = [one(result.facts, THREE, n) for n in ("L1", "L3", "L4")]
    assert mean.number == pytest.approx(np.mean([p.number for p in parts]), abs=0.01)
    assert error(mean) == pytest.approx(np.sqrt(sum(error(p) ** 2 for p in parts)) / 3, rel=0.01)


def test_the_other_levels_are_no_fractures(result):
    for name in ("T12", "L1", "L3", "L4"):
        assert one(result.facts, "vertebra.genant_grade", name).value == "none"
    assert [f for f in result.facts if f.what == "vertebra.genant_grade" and f.level == "L5"] == []


@pytest.mark.parametrize(
    "kind, loss, grade",
    [("biconcave", 30, "moderate"), ("crush", 47, "severe"), ("wedge", 22.5, "mild")],
)
def test_each_kind_of_fracture_gets_its_grade(kind, loss, grade):
    spine = Spine(first="L1", last="L3", pelvis=None, arches=False,
                  fractures={"L2": Fracture(kind=kind, loss=loss)})  # fmt: skip
    made = phantom(spine, Scan(spacing=(1, 1, 1)))
    found = measure(made.image, made.body_mask, quantities={"heights"})
    fact = one(found.facts, "vertebra.genant_grade", "L2")
    concept = {"biconcave": "biconcavity"}.get(kind, kind)
    assert fact.value == grade == made.truth.vertebrae["L2"].grade
    assert one(found.facts, f"vertebra.{concept}", "L2").number == pytest.approx(loss, abs=2)


GRADES = ("none", "mild", "moderate", "severe")


@pytest.mark.parametrize("spacing", [1.0, 3.0])
@pytest.mark.parametrize("kind", ["wedge", "biconcave", "crush"])
def test_fractures_of_all_degrees_are_graded_or_say_within_what(kind, spacing):
    """On both sides of every cut-off, in whole vertebrae, whose arch may outweigh their body."""
    concept = {"biconcave": "biconcavity"}.get(kind, kind)
    fractured = dict(zip(("T7", "T9", "T11", "L1", "L3"), (70, 15, 47, 22.5, 32), strict=True))
    spine = Spine(
        first="T5", last="L5", pelvis=None,
        fractures={n: Fracture(kind=kind, loss=loss) for n, loss in fractured.items()},
    )  # fmt: skip
    made = phantom(spine, Scan(spacing=(spacing,) * 3, noise=0))
    found = measure(None, made.mask, quantities={"heights"})
    assert [p for p in found.problems if p.problem.startswith("mask.")] == []
    for name, true in made.truth.vertebrae.items():
        if name not in fractured:
            continue
        loss = one(found.facts, f"vertebra.{concept}", name)
        assert abs(loss.number - fractured[name]) < 1 + 3 * error(loss)
        grade = one(found.facts, "vertebra.genant_grade", name)
        ends = [GRADES.index(str(grade.details[f"grade_{n}"])) for n in ("low", "high")]
        assert ends[0] <= GRADES.index(true.grade) <= ends[1]
        if ends[0] != ends[1]:
            assert grade.quality == "doubtful"
        if fractured[name] > 60 or spacing == 1.0:
            assert grade.value == true.grade


def test_metal_is_named_by_bone_and_side_and_spares_the_far_levels(result):
    fact = one(result.facts, "imaging.metal")
    assert (fact.value, fact.side) == ("left hip", "left") and fact.details["voxels"] > 1000
    assert one(result.facts, THREE, "L4").details["metal"] == "none"


def test_screws_take_a_level_out():
    spine = Spine(first="L1", last="L4", pelvis=None, screws=("L3",))
    made = phantom(spine, Scan(spacing=(1.5, 1.5, 1.5), noise=5))
    found = measure(made.image, made.mask, quantities=NUMBERS)
    places = [f for f in found.facts if f.what == "imaging.metal"]
    assert max(places, key=lambda f: f.details["voxels"]).level == "L3"
    density = one(found.facts, THREE, "L3")
    assert density.details["metal"] == "near" and density.details["usable"] == "no"
    # The screws run near L3's upper endplate, less than 20 mm from the body of L2.
    assert one(found.facts, THREE, "L1-L4").details["left_out"] == "L2, L3"
    assert any("20 mm" in d for d in one(found.facts, THREE, "L2").doubts)
    assert one(found.facts, THREE, "L4").quality == "ok"


def test_a_level_known_to_be_instrumented_is_left_out(made):
    found = measure(made.image, made.mask, quantities=NUMBERS, instrumented=["l4"])
    assert one(found.facts, THREE, "L4").details["usable"] == "no"
    assert one(found.facts, THREE, "L1-L4").details["levels"] == "L1, L3"


def test_what_the_field_of_view_cuts_is_said_and_not_measured():
    spine = Spine(first="T12", last="L3", pelvis=None)
    made = phantom(spine, Scan(spacing=(1.5, 1.5, 1.5), noise=5))
    top, bottom = (
        int(made.image.to_index(made.truth.vertebrae[n].centre)[2]) for n in ("T12", "L3")
    )
    low, high = [0, 0, bottom], [10**6, 10**6, top]
    mask = replace(made.mask, volume=made.mask.volume.cropped(low, high))
    found = measure(made.image.cropped(low, high), mask)
    cut = {f.level: f.value for f in found.facts if f.what == "vertebra.cut_by_field_of_view"}
    assert cut == {"T12": True, "L1": False, "L2": False, "L3": True}
    assert "T12" not in found.vertebrae
    assert [f for f in found.facts if f.level == "T12" and f.what.startswith("ct.")] == []
    said = [p.says for p in found.problems]
    assert any("T12" in s and "cut" in s for s in said)


def test_a_cut_arch_leaves_the_body_measured_and_doubted():
    made = phantom(Spine(first="L2", last="L4", pelvis=None), Scan(spacing=(1.5, 1.5, 1.5)))
    true = made.truth.vertebrae["L3"]
    keep = int(made.image.to_index(true.centre + true.axes @ [0, 44, 0])[1])  # behind the canal
    image = made.image.cropped([0, 0, 0], [10**6, keep, 10**6])
    mask = replace(made.mask, volume=made.mask.volume.cropped([0, 0, 0], [10**6, keep, 10**6]))
    found = measure(image, mask, quantities=NUMBERS)
    fact = one(found.facts, "vertebra.cut_by_field_of_view", "L3")
    assert fact.value is True and fact.details["part"] == "arch"
    height = one(found.facts, "vertebra.height.middle", "L3")
    assert any("arch" in d for d in height.doubts)
    assert height.number == pytest.approx(true.middle, abs=0.75)


@pytest.mark.parametrize(
    "change, words",
    [({"contrast": True}, "contrast"), ({"tube_voltage": 100.0}, "100 kV"),
     ({"kernel": "B70f"}, "sharp")],
)  # fmt: skip
def test_a_scan_that_is_not_as_it_should_be_doubts_its_attenuation(made, change, words):
    image = taken(made.image, **change)
    found = measure(image, made.mask, levels=["L3"], quantities={"attenuation"})
    fact = one(found.facts, THREE, "L3")
    assert fact.quality == "doubtful" and any(words in d for d in fact.doubts)


def test_what_is_unknown_of_a_scan_stays_unknown(made):
    image = taken(made.image, tube_voltage=None, kernel=None, contrast=None)
    found = measure(image, made.mask, levels=["L3"], quantities={"attenuation"})
    details = one(found.facts, THREE, "L3").details
    assert (details["contrast"], details["tube_voltage"], details["kernel"]) == ("unknown",) * 3
    assert details["metal"] == "unknown"  # nobody looked


def test_posture_comes_from_the_header_or_the_caller(made):
    image = taken(made.image, posture=Posture.UNKNOWN)
    found = measure(image, made.mask, levels=["L3"], posture="standing", quantities={"heights"})
    assert {f.posture for f in found.facts} == {Posture.STANDING}


def test_levels_that_are_asked_for_and_are_not_there_are_said(made):
    found = measure(made.image, made.mask, levels=["L3", "T5", "S1"], quantities={"heights"})
    assert set(found.vertebrae) == {"L3"}
    said = " ".join(p.says for p in found.problems)
    assert "T5: has no label" in said and "S1: is not measured" in said


def test_geometry_needs_no_image(made):
    found = measure(None, made.mask, levels=["L3"])
    rooms = {f.what.split(".")[0] for f in found.facts}
    assert rooms == {"vertebra", "canal", "disc"}


# -- odd input --


def test_a_mask_of_another_grid_is_refused(made):
    other = replace(made.mask, volume=made.mask.volume.cropped([1, 0, 0], [10**6] * 3))
    with pytest.raises(InputProblem, match="Resample the mask"):
        measure(made.image, other)
    moved = made.mask.volume.affine.copy()
    moved[0, 3] += 5
    shifted = replace(made.mask, volume=replace(made.mask.volume, affine=moved))
    with pytest.raises(InputProblem, match="in the same place"):
        measure(made.image, shifted)


def test_a_mask_of_fractions_is_refused_and_whole_floats_are_not(made):
    floats = made.mask.volume.array.astype(float)
    whole = replace(made.mask, volume=replace(made.mask.volume, array=floats))
    assert "L3" in measure(None, whole, levels=["L3"]).vertebrae
    parts = replace(made.mask, volume=replace(made.mask.volume, array=floats * 0.5))
    with pytest.raises(InputProblem, match="whole numbers"):
        measure(made.image, parts)


def empty(shape, structures=None):
    return Mask(Volume(np.zeros(shape, np.uint8), np.eye(4), name="m"), structures or {1: "L3"})


def test_an_empty_mask_gives_no_facts_and_one_reason():
    image = Volume(np.zeros((20, 20, 20), np.int16), np.eye(4), Acquisition(modality="CT"), "i")
    found = measure(image, empty((20, 20, 20)))
    assert found.facts == () and [p.problem for p in found.problems] == ["measurement.no_vertebra"]


@pytest.mark.parametrize("shape", [(30, 30, 2), (2, 30, 30), (1, 1, 1)])
def test_volumes_of_few_slices_are_answered(shape):
    array = np.ones(shape, np.uint8)
    mask = Mask(Volume(array, np.eye(4), name="m"), {1: "L3"})
    image = Volume(array.astype(np.int16), np.eye(4), Acquisition(modality="CT"), "i")
    found = measure(image, mask)
    assert one(found.facts, "vertebra.cut_by_field_of_view", "L3").value is True
    assert found.vertebrae == {} and found.problems


def test_a_vertebra_of_one_voxel_is_said_to_be_too_small():
    mask = empty((20, 20, 20))
    mask.volume.array[10, 10, 10] = 1
    found = measure(None, mask)
    fact = one(found.facts, "vertebra.not_measured", "L3")
    assert fact.details["reason"] == "too_few_voxels" and "1 voxels" in fact.value


def test_scattered_voxels_are_no_vertebra():
    rng = np.random.default_rng(0)
    mask = empty((60, 60, 60))
    mask.volume.array[1:-1, 1:-1, 1:-1] = rng.random((58, 58, 58)) < 0.01
    found = measure(None, mask)
    assert found.vertebrae == {}
    assert one(found.facts, "vertebra.not_measured", "L3").details["reason"] == "no_body"


def test_an_image_without_any_number_is_measured_for_its_shape_alone(made):
    image = replace(made.image, array=np.full(made.image.array.shape, np.nan, np.float32))
    found = measure(image, made.mask, levels=["L3"])
    assert one(found.facts, "vertebra.height.middle", "L3").number > 20
    assert [f for f in found.facts if f.what.startswith("ct.")] == []
    assert any("0 voxels" in p.says for p in found.problems)


def test_an_image_that_may_be_anything_is_refused_until_it_is_said():
    body = solid(lambda x, y, z: (np.abs(x) < 22) & (np.abs(y) < 16) & (np.abs(z) < 13))
    image = a_ct(body, modality="")
    with pytest.raises(InputProblem, match="CT or a T1 MR"):
        measure(image, body)
    found = measure(image, body, modality="CT", quantities={"attenuation"})
    assert one(found.facts, THREE, "L3").number == 120


def test_air_tells_a_ct(made):
    found = measure(taken(made.image, modality=""), made.mask, levels=["L3"],
                    quantities={"attenuation"})  # fmt: skip
    assert one(found.facts, THREE, "L3").details["modality"] == "CT"


def test_no_message_holds_a_value_of_the_patient(made):
    found = measure(made.image, made.mask)
    for problem in found.problems:
        assert problem.says.endswith(".") and problem.try_


# -- pictures --


def test_pictures_show_the_levels_and_say_what_they_show(result):
    names = [p.name for p in result.pictures]
    assert names == ["sagittal.png", "planes.png", "curve.png"]
    for picture in result.pictures:
        pixels = np.asarray(Image.open(BytesIO(picture.content)).convert("RGB"))
        assert min(pixels.shape[:2]) > 300
        colours = {tuple(c) for c in pixels.reshape(-1, 3)}
        assert (0xE6, 0x9F, 0x00) in colours  # the measured regions
        assert "L5" in picture.alt and picture.caption
        assert ("HU" in picture.alt) == (picture.name != "curve.png")


def test_the_picture_has_anterior_on_the_left(made, result):
    """The back, where there is air behind the skin, is dark at the viewer's right."""
    sagittal = result.pictures[0]
    pixels = np.asarray(Image.open(BytesIO(sagittal.content)).convert("L")).astype(float)
    height = pixels.shape[0]
    rows = pixels[int(height * 0.2) : int(height * 0.45)]
    wide = rows.shape[1]
    assert rows[:, : wide // 3].mean() > rows[:, -wide // 6 :].mean()
