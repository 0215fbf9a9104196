"""The vertebral bone quality score on T1 phantoms with known signals."""

from dataclasses import replace

import numpy as np
import pytest

from endplate.demo.phantom import Fracture, Scan, Spine, phantom
from endplate.images.bone_quality_score import Signal, score
from endplate.images.measure import measure
from endplate.images.vertebra import Estimate, NotMeasurable
from endplate.images.volume import Mask, Volume
from unit.images.spines import one

VBQ = "mr.vertebral_bone_quality"
MARROW = {"L1": 400, "L2": 420, "L3": 450, "L4": 520, "L5": 900}
SAGITTAL = [[0, 0, 1], [1, 0, 0], [0, 1, 0]]  # slices from right to left, as spines are imaged


def spine(**more):
    return Spine(first="L1", pelvis=None, marrow=MARROW, **more)


@pytest.fixture(scope="module")
def made():
    directions = np.array(SAGITTAL, float)
    return phantom(
        spine(), Scan(spacing=(0.9, 0.9, 4.0), directions=directions, modality="MR", noise=12)
    )


def with_csf(made, mask=None):
    """The bodies, and the fluid in place of canal and cord."""
    mask = mask or made.body_mask
    array = mask.volume.array.copy()
    named = {name: number for number, name in mask.structures.items()}
    array[np.isin(array, [named.get("spinal_canal", 0), named.get("spinal_cord", 0)])] = 0
    array[made.csf_mask.volume.array == 1] = 200
    structures = {k: n for k, n in mask.structures.items() if not n.startswith("spinal")}
    return Mask(replace(mask.volume, array=array), {**structures, 200: "csf"}, mask.parts)


def test_the_score_is_the_median_marrow_over_the_fluid(made):
    found = measure(made.image, with_csf(made))
    fact = one(found.facts, VBQ, "L1-L4")
    true = np.median([MARROW[n] for n in ("L1", "L2", "L3", "L4")]) / made.truth.csf
    assert fact.number == pytest.approx(true, rel=0.02)
    assert fact.interval[0] < true < fact.interval[1]
    assert fact.details["csf_level"] == "L3" and fact.details["levels"] == "L1, L2, L3, L4"
    assert fact.details["field_strength"] == 1.5 and fact.quality == "ok"
    for name, signal in MARROW.items():
        assert one(found.facts, "mr.marrow_signal", name).number == pytest.approx(signal, rel=0.02)
    assert one(found.facts, "mr.csf_signal", "L3").number == pytest.approx(made.truth.csf, rel=0.05)
    assert not [f for f in found.facts if f.what.startswith("ct.")]
    assert [p.name for p in found.pictures] == ["sagittal.png", "curve.png"]


def test_without_a_fluid_label_the_canal_is_used_and_doubted(made):
    found = measure(made.image, made.mask)
    fact = one(found.facts, VBQ, "L1-L4")
    assert any("canal" in d for d in fact.doubts)
    assert fact.number == pytest.approx(435 / made.truth.csf, rel=0.06)


def test_without_any_label_of_the_canal_it_is_looked_for(made):
    structures = {k: n for k, n in made.mask.structures.items() if not n.startswith("spinal")}
    found = measure(made.image, replace(made.mask, structures=structures))
    fact = one(found.facts, VBQ, "L1-L4")
    assert any("no fluid is labelled" in d for d in fact.doubts)
    assert fact.number == pytest.approx(435 / made.truth.csf, rel=0.1)


def test_bodies_alone_give_no_score_and_say_so(made):
    structures = {k: n for k, n in made.body_mask.structures.items() if not n.startswith("spinal")}
    found = measure(made.image, replace(made.body_mask, structures=structures))
    assert not [f for f in found.facts if f.what == VBQ]
    assert any("fluid" in p.says for p in found.problems)


def test_the_neighbour_stands_in_where_l3_cannot_be_used(made):
    found = measure(made.image, with_csf(made), instrumented=["L3"])
    fact = one(found.facts, VBQ, "L1-L4")
    assert fact.details["csf_level"] == "L2" and fact.details["levels"] == "L1, L2, L4"
    assert fact.number == pytest.approx(420 / made.truth.csf, rel=0.03)
    assert any("measured at L2" in d for d in fact.doubts)
    assert any("L3 could not be used" in d for d in fact.doubts)


def test_a_fractured_body_is_left_out():
    broken = spine(fractures={"L2": Fracture(kind="wedge", loss=35)})
    made = phantom(broken, Scan(spacing=(1.2, 1.2, 2), modality="MR", noise=8))
    fact = one(measure(made.image, with_csf(made)).facts, VBQ, "L1-L4")
    assert fact.details["left_out"] == "L2"
    assert fact.number == pytest.approx(450 / made.truth.csf, rel=0.03)


@pytest.mark.parametrize(
    "change, words",
    [({"repetition_time": 2500.0}, "repetition time"), ({"echo_time": 100.0}, "echo time"),
     ({"repetition_time": None}, "unknown"), ({"contrast": True}, "contrast")],
)  # fmt: skip
def test_another_acquisition_is_doubted(made, change, words):
    image = replace(made.image, acquisition=replace(made.image.acquisition, **change))
    fact = one(measure(image, with_csf(made)).facts, VBQ, "L1-L4")
    assert any(words in d for d in fact.doubts)


def test_no_marrow_or_no_fluid_is_no_score():
    def signal(value):
        return Signal(estimate=Estimate(value, 1.0), voxels=50, level="L3")

    with pytest.raises(NotMeasurable):
        score({}, signal(100.0))
    with pytest.raises(NotMeasurable):
        score({"L1": signal(300.0)}, signal(0.0))
    three = score(
        {f"L{n}": signal(x) for n, x in enumerate((200.0, 300.0, 500.0), 1)}, signal(100.0)
    )
    assert three.estimate.value == pytest.approx(3.0)


def test_a_volume_of_nothing_but_background_gives_no_score(made):
    image = Volume(np.zeros_like(made.image.array), made.image.affine, made.image.acquisition, "m")
    found = measure(image, with_csf(made))
    assert not [f for f in found.facts if f.what == VBQ] and found.problems


def test_one_vertebra_alone_gives_no_score(made):
    found = measure(made.image, with_csf(made), instrumented=("L1", "L2", "L3"))
    assert not [f for f in found.facts if f.what == VBQ]
    assert any("1 of L1 to L4 can be used" in p.says for p in found.problems)
