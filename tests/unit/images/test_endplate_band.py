"""Cervical and endplate bone quality on T1 phantoms, and endplate signals on painted bodies."""

from dataclasses import replace

import numpy as np
import pytest

from endplate.demo.phantom import Fracture, Scan, Spine, phantom
from endplate.images.measure import measure
from endplate.images.volume import Acquisition, Volume
from unit.images.spines import one, solid
from unit.images.test_disc import with_fluid

QUALITY = {"bone_quality_score"}
CERVICAL = {"C2": 520, "C3": 380, "C4": 400, "C5": 420, "C6": 460, "C7": 250}
VARIANTS = {place: f"mr.cervical_bone_quality.{place.lower()}" for place in ("C2", "C5", "T1")}
T1 = Acquisition(modality="MR", repetition_time=600.0, echo_time=10.0)
T2 = Acquisition(modality="MR", repetition_time=3500.0, echo_time=100.0)


@pytest.fixture(scope="module")
def neck():
    spine = Spine(first="C2", last="T1", pelvis=None, marrow=CERVICAL, arches=False)
    made = phantom(spine, Scan(spacing=(1, 1, 1), modality="MR", noise=8))
    # The fluid of each place has a signal of its own, so that the variants cannot be exchanged.
    image = made.image.array.copy()
    fluid = made.csf_mask.volume.array == 1
    places = made.image.to_world(np.argwhere(fluid))
    canals = np.array([v.canal for v in made.truth.vertebrae.values()])
    nearest = np.linalg.norm(places[:, None] - canals, axis=2).argmin(axis=1)  # C2 is 0, T1 is 6
    image[fluid] = np.array([120, 120, 160, 160, 160, 200, 200])[nearest]
    return replace(made, image=replace(made.image, array=image))


def test_three_cervical_scores_by_the_place_of_their_fluid(neck):
    facts = measure(neck.image, with_fluid(neck, neck.body_mask), quantities=QUALITY).facts
    for place, fluid in (("C2", 120), ("C5", 160), ("T1", 200)):
        score = one(facts, VARIANTS[place], "C3-C6")
        assert score.number == pytest.approx(410 / fluid, rel=0.02)  # the median of C3 to C6
        assert score.details["csf_level"] == place
        assert score.details["levels"] == "C3, C4, C5, C6"
    assert not [f for f in facts if f.what == "mr.vertebral_bone_quality"]


def test_without_c2_only_its_variant_is_missing(neck):
    mask = with_fluid(neck, neck.body_mask)
    structures = {k: n for k, n in mask.structures.items() if n != "C2"}
    found = measure(neck.image, replace(mask, structures=structures), quantities=QUALITY)
    scores = {f.what for f in found.facts if f.what.startswith("mr.cervical")}
    assert scores == {VARIANTS["C5"], VARIANTS["T1"]}
    assert any("fluid at C2" in p.says for p in found.problems)


def test_one_cervical_body_gives_no_score(neck):
    found = measure(
        neck.image, with_fluid(neck, neck.body_mask), quantities=QUALITY,
        instrumented=("C3", "C4", "C5"),
    )  # fmt: skip
    assert not [f for f in found.facts if f.what.startswith("mr.cervical")]
    assert any("fewer than two" in p.says for p in found.problems)


def test_no_fluid_is_measured_behind_an_implant(neck):
    found = measure(
        neck.image, with_fluid(neck, neck.body_mask), quantities=QUALITY, instrumented=("C5",)
    )
    scores = {f.what for f in found.facts if f.what.startswith("mr.cervical")}
    assert scores == {VARIANTS["C2"], VARIANTS["T1"]}
    assert one(found.facts, VARIANTS["C2"], "C3-C6").details["left_out"] == "C5"


def test_another_acquisition_of_the_neck_is_doubted(neck):
    image = replace(neck.image, acquisition=replace(neck.image.acquisition, echo_time=100.0))
    facts = measure(image, with_fluid(neck, neck.body_mask), quantities=QUALITY).facts
    assert any("echo time" in d for d in one(facts, VARIANTS["C5"], "C3-C6").doubts)


# -- endplate bone quality --------------------------------------------------------------------


@pytest.fixture(scope="module")
def back():
    marrow = {"L2": 300, "L3": 400, "L4": 500}
    spine = Spine(first="L2", last="L4", pelvis=None, marrow=marrow, arches=False)
    return phantom(spine, Scan(spacing=(1, 1, 1), modality="MR", noise=6))


def test_endplate_bone_quality_is_that_of_three_millimetres_over_the_fluid(back):
    facts = measure(back.image, with_fluid(back, back.body_mask), quantities=QUALITY).facts
    # One millimetre of bony endplate (60) and two of marrow on either side of the disc.
    for level, marrows in (("L2-L3", (300, 400)), ("L3-L4", (400, 500))):
        true = np.mean([(60 + 2 * m) / 3 for m in marrows]) / back.truth.csf
        score = one(facts, "mr.endplate_bone_quality", level)
        assert score.number == pytest.approx(true, rel=0.06)
        assert score.interval[0] < true < score.interval[1]
        assert score.details["above"] < score.details["below"]
        assert score.details["csf_level"] == "L3" and score.quality == "ok"


def test_a_fractured_vertebra_has_no_endplate_score():
    spine = Spine(first="L1", last="L4", pelvis=None, arches=False,
                  fractures={"L2": Fracture(kind="wedge", loss=35)})  # fmt: skip
    made = phantom(spine, Scan(spacing=(1.2, 1.2, 1.2), modality="MR", noise=6))
    facts = measure(made.image, with_fluid(made, made.body_mask), quantities=QUALITY).facts
    levels = {f.level for f in facts if f.what == "mr.endplate_bone_quality"}
    assert levels == {"L3-L4"}


def test_the_endplate_score_has_the_doubts_of_the_lumbar_one(back):
    image = replace(back.image, acquisition=replace(back.image.acquisition, contrast=True))
    facts = measure(image, with_fluid(back, back.body_mask), quantities=QUALITY).facts
    assert "contrast was given" in one(facts, "mr.endplate_bone_quality", "L2-L3").doubts


# -- signals of the endplates' bands ----------------------------------------------------------


@pytest.fixture(scope="module")
def painted():
    """A body of 30 mm whose upper and lower 10 mm have signals of their own on T1 and T2."""
    mask = solid(
        lambda x, y, z: (np.abs(x / 22) ** 3 + np.abs(y / 16) ** 3 <= 1) & (np.abs(z) <= 15),
        half=24.0,
    )
    index = np.indices(mask.volume.array.shape).reshape(3, -1).T
    z = mask.volume.to_world(index)[:, 2].reshape(mask.volume.array.shape)
    images = {}
    for weighting, taken, marrow, top, bottom in (
        ("T1", T1, 400.0, 200.0, 600.0), ("T2", T2, 300.0, 600.0, 330.0)
    ):  # fmt: skip
        array = np.where(z > 5, top, np.where(z < -5, bottom, marrow)).astype(np.float32)
        images[weighting] = Volume(array, mask.volume.affine, taken, weighting)
    return mask, images


def test_each_endplate_has_its_ratio_on_t1_and_on_t2(painted):
    mask, images = painted
    facts = measure(images["T1"], mask, quantities={"discs"}, also={"T2": images["T2"]}).facts
    for end, weighting, true in (
        ("superior", "t1", 0.5), ("inferior", "t1", 1.5), ("superior", "t2", 2.0),
        ("inferior", "t2", 1.1),
    ):  # fmt: skip
        fact = one(facts, f"mr.{end}_endplate_band.{weighting}", "L3")
        assert fact.number == pytest.approx(true, rel=0.04), (end, weighting)
        assert fact.details["endplate"] == end
    assert not [f for f in facts if "modic" in f.what]


def test_the_second_image_may_be_either_of_the_two(painted):
    mask, images = painted

    def ratios(image, **also):
        facts = measure(image, mask, quantities={"discs"}, also=also).facts
        return {f.what: f.value for f in facts if "endplate_band" in f.what}

    assert ratios(images["T1"], T2=images["T2"]) == ratios(images["T2"], T1=images["T1"]) != {}
    assert ratios(images["T1"]) == {} and ratios(images["T2"]) == {}


def test_a_low_body_has_no_marrow_of_its_own_to_compare_with():
    mask = solid(
        lambda x, y, z: (np.abs(x / 22) ** 3 + np.abs(y / 16) ** 3 <= 1) & (np.abs(z) <= 9),
        half=24.0,
    )
    images = [Volume(np.full(mask.volume.array.shape, 300.0), mask.volume.affine, t, "m")
              for t in (T1, T2)]  # fmt: skip
    found = measure(images[0], mask, quantities={"discs"}, also={"T2": images[1]})
    assert not [f for f in found.facts if "endplate_band" in f.what]
    assert any("signal of its endplates" in p.says for p in found.problems)
