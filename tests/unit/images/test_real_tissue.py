"""Muscle and discs on real scans, against what was measured on them by other means."""

import numpy as np
import pytest

from endplate.images.measure import measure
from endplate.images.volume import Acquisition, Mask
from unit.images.spines import one
from unit.images.test_real_data import WHOLE, nifti

MUSCLES = {86: "autochthon_left", 87: "autochthon_right", 88: "iliopsoas_left",
           89: "iliopsoas_right"}  # fmt: skip


def total(facts, what):
    return sum(f.number for f in facts if f.what.endswith(what) and f.side)


@pytest.mark.shared_data
def test_single_muscles_at_l3_of_a_ct(shared_data):
    """By hand: 63 cm² of psoas and back muscle, 59 cm² of it in the range, at 21 HU."""
    folder = shared_data / "imaging" / "totalsegmentator"
    image = nifti(folder / "example_ct.nii.gz")
    mask = Mask(nifti(folder / "example_seg_fast_force_split.nii.gz"), {**WHOLE, **MUSCLES})
    facts = measure(image, mask, quantities={"muscle"}, body_height=175.0).facts
    assert total(facts, ".labelled_area") == pytest.approx(63, abs=1.5)
    assert total(facts, ".area") == pytest.approx(59, abs=1.5)
    areas = [f for f in facts if f.what.endswith((".paraspinal.area", ".psoas.area"))]
    densities = [one_side(facts, a.what.replace("area", "density"), a.side) for a in areas]
    weighted = np.average([d.number for d in densities], weights=[a.number for a in areas])
    assert weighted == pytest.approx(21, abs=3)
    assert {f.level for f in areas} == {"L3"} and len(areas) == 4
    assert not [f for f in facts if f.what.startswith("muscle.skeletal")]


def one_side(facts, what, side):
    (found,) = (f for f in facts if f.what == what and f.side == side)
    return found


@pytest.mark.shared_data
def test_discs_of_a_ct_between_their_endplates(shared_data):
    folder = shared_data / "imaging" / "totalsegmentator"
    mask = Mask(nifti(folder / "example_seg_fast_force_split.nii.gz"), WHOLE)
    facts = measure(None, mask, quantities={"discs"}).facts
    indices = {f.level: f.number for f in facts if f.what == "disc.height_index"}
    assert set(indices) == {"L1-L2", "L2-L3", "L3-L4", "L4-L5", "L5-S1"}
    assert all(0.25 < x < 0.5 for x in indices.values())


@pytest.mark.shared_data
def test_a_labelled_disc_of_the_neck_on_t2(shared_data):
    folder = shared_data / "imaging" / "tptbox"
    image = nifti(folder / "sub-mri_label-6_T2w.nii.gz")
    vertebrae = nifti(folder / "sub-mri_seg-vert_label-6_msk.nii.gz")
    parts = nifti(folder / "sub-mri_seg-subreg_label-6_msk.nii.gz")
    labels = vertebrae.array.astype(np.uint16)
    labels[(parts.array == 61) & (labels == 0)] = 300
    names = {5: "C5", 6: "C6", 7: "C7", 105: "disc_C5-C6", 106: "disc_C6-C7", 300: "spinal_canal"}
    taken = Acquisition(modality="MR", echo_time=100.0)
    image = type(image)(image.array, image.affine, taken, "t2")
    facts = measure(
        image, Mask(type(image)(labels, image.affine), names), quantities={"discs"}
    ).facts
    index = one(facts, "disc.height_index", "C6-C7")
    assert 0.35 < index.number < 0.6 and index.details["from"] == "disc label"
    ratio = one(facts, "mr.disc_signal_ratio", "C6-C7")
    inside = image.array[vertebrae.array == 106].mean() / image.array[parts.array == 61].mean()
    assert ratio.number == pytest.approx(inside, rel=0.2)
    assert any("canal" in d for d in ratio.doubts)
