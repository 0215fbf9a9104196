"""Discs on phantoms with known gaps and T2 signals, and grades by a calibration made here."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from endplate.demo.phantom import Scan, Spine, phantom
from endplate.images.disc_grade import Calibration, suggestion
from endplate.images.measure import measure
from endplate.images.result import Missing, Result
from endplate.images.vertebra import Estimate
from endplate.images.volume import Mask
from unit.images.spines import one

QUANTITIES = {"discs", "heights"}
SIGNALS = {"L3": 700.0, "L4": 420.0, "L5": 150.0}
INDEX, RATIO, SIGNAL = "disc.height_index", "mr.disc_signal_ratio", "mr.disc_signal"
MADE = Calibration(
    name="made for this test", population="nobody", on=date(2026, 1, 31),
    coefficients={"signal_ratio": -10.0, "height_index": -2.0}, thresholds=(-9.0, -5.5, -3.5, -1.0),
    ranges={"signal_ratio": (0.1, 0.8)},
)  # fmt: skip


def with_fluid(made, mask=None):
    """The fluid in place of canal and cord."""
    mask = mask or made.mask
    array = mask.volume.array.copy()
    array[made.csf_mask.volume.array == 1] = 200
    structures = {k: n for k, n in mask.structures.items() if not n.startswith("spinal")}
    return Mask(replace(mask.volume, array=array), {**structures, 200: "csf"}, mask.parts)


def without(mask, *names):
    structures = {k: n for k, n in mask.structures.items() if n not in names}
    return replace(mask, structures=structures)


@pytest.fixture(scope="module")
def made():
    spine = Spine(first="L3", discs=SIGNALS)
    oblique = Rotation.from_rotvec([0.25, 0.15, 0.1]).as_matrix()  # no endplate along the voxels
    scan = Scan(spacing=(1.3, 1.3, 1.3), directions=oblique, modality="MR", weighting="T2",
                reach=("L3", "L5"), noise=8, margin=25)  # fmt: skip
    return phantom(spine, scan)


@pytest.fixture(scope="module")
def found(made):
    return measure(made.image, with_fluid(made), quantities=QUANTITIES, calibration=MADE).facts


def true_index(made, level):
    return np.mean(made.truth.discs[level].heights) / made.truth.vertebrae[level].middle


@pytest.mark.parametrize("level, below", [("L3", "L4"), ("L4", "L5"), ("L5", "S1")])
def test_height_and_signal_of_each_disc(made, found, level, below):
    index = one(found, INDEX, f"{level}-{below}")
    assert index.number == pytest.approx(true_index(made, level), abs=0.02)
    assert index.interval[0] < true_index(made, level) < index.interval[1]
    assert index.details["from"] == "disc label" and index.quality == "ok"
    heights = [index.details[n] for n in ("anterior", "middle", "posterior")]
    assert heights == pytest.approx(made.truth.discs[level].heights, abs=0.4)
    ratio = one(found, RATIO, f"{level}-{below}")
    assert ratio.number == pytest.approx(SIGNALS[level] / made.truth.csf, rel=0.02)
    assert ratio.details["csf_level"] == "L3" and ratio.quality == "ok"
    assert one(found, SIGNAL, f"{level}-{below}").number == pytest.approx(SIGNALS[level], rel=0.02)


def test_without_disc_labels_the_space_between_the_endplates_is_measured(made, found):
    bare = measure(made.image, without(with_fluid(made), "disc"), quantities=QUANTITIES).facts
    for level in ("L3-L4", "L4-L5", "L5-S1"):
        index = one(bare, INDEX, level)
        assert index.details["from"] == "endplates"
        assert index.number == pytest.approx(one(found, INDEX, level).number, abs=0.02)
        ratio = one(bare, RATIO, level)
        assert ratio.number == pytest.approx(one(found, RATIO, level).number, rel=0.03)
        assert any("no disc is labelled" in d for d in ratio.doubts)


def test_discs_with_levels_in_their_labels_are_taken_by_level(made, found):
    mask = with_fluid(made)
    number = {n: k for k, n in mask.structures.items()}["disc"]
    renamed = replace(mask, structures={**mask.structures, number: "disc_L3-L4"})
    facts = measure(made.image, renamed, quantities=QUANTITIES).facts
    assert one(facts, INDEX, "L3-L4").number == one(found, INDEX, "L3-L4").number
    assert one(facts, INDEX, "L4-L5").details["from"] == "endplates"


def test_no_fluid_gives_the_signal_with_a_doubt_and_no_ratio(made):
    names = ("spinal_canal", "spinal_cord")
    vertebrae = replace(without(made.body_mask, *names))
    facts = measure(made.image, vertebrae, quantities=QUANTITIES, calibration=MADE)
    assert any("no cerebrospinal fluid" in d for d in one(facts.facts, SIGNAL, "L4-L5").doubts)
    assert not [f for f in facts.facts if f.what in (RATIO, "disc.pfirrmann_suggestion")]
    assert any("asks for the signal ratio" in p.says for p in facts.problems)


def test_the_mask_alone_gives_the_height_index(made, found):
    facts = measure(None, made.mask, quantities=QUANTITIES).facts
    assert one(facts, INDEX, "L4-L5").number == one(found, INDEX, "L4-L5").number
    assert not [f for f in facts if f.what.startswith("mr.")]


def test_a_t1_image_has_no_disc_signal_and_an_unknown_one_is_doubted(made):
    for change, said in (({"echo_time": 10.0, "repetition_time": 600.0}, None),
                         ({"echo_time": None}, "unknown"),
                         ({"echo_time": 59.0}, "not T2-weighted"),
                         ({"echo_time": 60.0}, "")):  # fmt: skip
        image = replace(made.image, acquisition=replace(made.image.acquisition, **change))
        facts = measure(image, with_fluid(made), quantities=QUANTITIES).facts
        ratios = [f for f in facts if f.what == RATIO and f.level == "L4-L5"]
        if said is None:
            assert not ratios
        elif said:
            assert any(said in d for d in ratios[0].doubts)
        else:
            assert ratios[0].quality == "ok"


def test_a_t2_image_beside_a_t1_is_the_one_whose_discs_are_measured(made, found):
    times = replace(made.image.acquisition, echo_time=10.0, repetition_time=600.0)
    t1 = replace(made.image, array=made.image.array // 2, acquisition=times, name="t1")
    facts = measure(t1, with_fluid(made), quantities=QUANTITIES, also={"T2": made.image}).facts
    ratio = one(facts, RATIO, "L4-L5")
    assert ratio.number == one(found, RATIO, "L4-L5").number and ratio.quality == "ok"
    assert ratio.details["echo_time"] == 100.0 and ratio.details["image"] == "phantom"
    assert one(facts, "mr.superior_endplate_band.t1", "L4").details["echo_time"] == 10.0
    assert one(facts, "mr.superior_endplate_band.t2", "L4").details["echo_time"] == 100.0


def test_a_ct_has_heights_and_no_signal():
    ct = phantom(Spine(first="L4", last="L5", pelvis=None), Scan(spacing=(1.5, 1.5, 1.5)))
    found = measure(ct.image, ct.mask, quantities=QUANTITIES, calibration=MADE)
    assert {f.what for f in found.facts if f.what.startswith(("disc", "mr."))} == {INDEX}
    assert not [p for p in found.problems if "Pfirrmann" in p.says]


@pytest.mark.parametrize("seed", range(6))
def test_a_turned_person_and_a_turned_acquisition_change_nothing(seed):
    rng = np.random.default_rng(seed)
    turns = [Rotation.from_rotvec(rng.normal(size=3) * 0.25).as_matrix() for _ in range(2)]
    spine = Spine(first="L3", last="L4", pelvis=None, turned=turns[0], mirrored=bool(seed % 2))
    spacing = (1.0, 1.0, 1.0) if seed % 3 else (1.5, 1.5, 3.0)
    tilted = phantom(spine, Scan(spacing=spacing, directions=turns[1], offset=tuple(rng.random(3))))
    fact = one(measure(None, tilted.mask, quantities=QUANTITIES).facts, INDEX, "L3-L4")
    true = true_index(tilted, "L3")
    half = (fact.interval[1] - fact.interval[0]) / 2
    assert abs(fact.number - true) < max(1.6 * half, 0.01) and half < 0.06


def test_endplates_that_touch_have_no_disc():
    made = phantom(Spine(first="L3", last="L4", pelvis=None), Scan(spacing=(1.5, 1.5, 1.5)))
    array = made.mask.volume.array.copy()
    names = {n: k for k, n in made.mask.structures.items()}
    array[array == names["disc"]] = names["L4"]
    mask = without(replace(made.mask, volume=replace(made.mask.volume, array=array)), "disc")
    found = measure(made.image, mask, quantities=QUANTITIES)
    assert not [f for f in found.facts if f.what == INDEX]
    assert any("disc height index was not measured" in p.says for p in found.problems)


# -- grades -----------------------------------------------------------------------------------


def test_no_grade_is_suggested_without_a_calibration(made):
    facts = measure(made.image, with_fluid(made), quantities=QUANTITIES).facts
    assert [f for f in facts if f.what == RATIO]
    assert not [f for f in facts if f.what == "disc.pfirrmann_suggestion"]


def test_a_calibration_suggests_grades_with_their_probabilities(made, found):
    grades = [one(found, "disc.pfirrmann_suggestion", n) for n in ("L3-L4", "L4-L5", "L5-S1")]
    assert [g.value for g in grades] == ["2", "3", "4"]
    for grade in grades:
        chances = [grade.details[f"probability_{n}"] for n in range(1, 6)]
        assert sum(chances) == pytest.approx(1, abs=1e-3) and max(chances) < 1
        assert int(grade.value) == 1 + int(np.argmax(chances))
        assert grade.details["calibration"] == "made for this test"
        assert grade.details["population"] == "nobody"
        assert grade.details["calibrated_on"] == "2026-01-31"


def test_the_probabilities_are_those_of_the_ordinal_logistic_model():
    chances = MADE.probabilities({"signal_ratio": 0.4, "height_index": 0.3})
    predictor = -10 * 0.4 - 2 * 0.3
    below = [1 / (1 + np.exp(-(t - predictor))) for t in MADE.thresholds]
    assert chances == pytest.approx(np.diff([0, *below, 1]))
    brighter = MADE.probabilities({"signal_ratio": 0.7, "height_index": 0.3})
    assert np.cumsum(brighter)[:-1].min() > 0 and brighter[0] > chances[0]
    far = MADE.probabilities({"signal_ratio": -1e6, "height_index": 0.0})
    assert far == pytest.approx((0, 0, 0, 0, 1))


def result(what, value, error, *doubts):
    return Result(what=what, value=Estimate(value, error), method="m", level="L4-L5", doubts=doubts)


def test_what_speaks_against_a_suggestion_is_said():
    height = result(INDEX, 0.35, 0.001)
    sure = suggestion("L4-L5", [result(RATIO, 0.40, 0.001), height], MADE)
    assert isinstance(sure, Result) and sure.doubts == ()
    vague = suggestion("L4-L5", [result(RATIO, 0.40, 0.08), height], MADE)
    assert any("reaches from grade" in d for d in vague.doubts)
    beyond = suggestion("L4-L5", [result(RATIO, 0.81, 0.001), height], MADE)
    assert any("outside what the calibration knows" in d for d in beyond.doubts)
    doubted = suggestion("L4-L5", [result(RATIO, 0.40, 0.001, "roots included"), height], MADE)
    assert "roots included" in doubted.doubts
    assert isinstance(suggestion("L4-L5", [height], MADE), Missing)
    assert isinstance(suggestion("L3-L4", [height], MADE), Missing)
