"""Real scans and bones: another program's numbers, and masks that nobody here has drawn."""

import json
from dataclasses import replace

import nibabel
import numpy as np
import pytest

from endplate.images import mask_gates
from endplate.images.frame import blocks
from endplate.images.measure import measure
from endplate.images.volume import Mask, Volume
from unit.images import corrupted
from unit.images.spines import EVIDENCE, angle, one, vertebrae

WHOLE = {
    25: "sacrum", 26: "S1", 27: "L5", 28: "L4", 29: "L3", 30: "L2", 31: "L1", 32: "T12",
    33: "T11", 75: "femur_left", 76: "femur_right", 77: "hip_left", 78: "hip_right",
    79: "spinal_cord",
}  # fmt: skip
BODIES = {19: "T12", 20: "L1", 21: "L2", 22: "L3", 23: "L4", 24: "L5"}
LUMBAR = ("L1", "L2", "L3", "L4", "L5")
QUANTITIES = {"heights", "attenuation", "totalsegmentator", "metal"}


def nifti(path):
    """A NIfTI volume in LPS, by nibabel and nothing of ours."""
    image = nibabel.load(path)
    return Volume(
        np.asanyarray(image.dataobj), np.diag([-1, -1, 1, 1]) @ image.affine, name=path.name
    )


@pytest.fixture(scope="module")
def totalsegmentator(shared_data):
    folder = shared_data / "imaging" / "totalsegmentator"
    report = folder / "spine_report"
    image = nifti(folder / "example_ct.nii.gz")
    whole = Mask(nifti(folder / "example_seg_fast_force_split.nii.gz"), WHOLE, "whole")
    bodies = Mask(nifti(report / "totalseg_vertebrae_pp_refined.nii.gz"), BODIES, "body")
    numbers = json.loads((report / "spine_report.json").read_text())["results"]
    return image, whole, bodies, numbers


@pytest.mark.shared_data
def test_mean_median_and_volume_are_those_of_the_spine_report(totalsegmentator):
    image, _, bodies, numbers = totalsegmentator
    facts = measure(image, bodies, quantities=QUANTITIES).facts
    for level in LUMBAR:
        for what, name, digits in (
            ("ct.hounsfield.totalsegmentator_mean", "intensity", 0.006),
            ("ct.hounsfield.totalsegmentator_median", "intensity_median", 0.006),
            ("vertebra.body_volume", "volume_ml", 0.006),
        ):
            fact = one(facts, what, level)
            assert fact.number == pytest.approx(numbers[f"vertebrae_{level}_{name}"], abs=digits)


@pytest.mark.shared_data
def test_heights_agree_with_the_spine_report_within_its_voxels(totalsegmentator):
    """It takes the sagittal slice of greatest difference and whole steps of half a voxel."""
    image, _, bodies, numbers = totalsegmentator
    facts = measure(image, bodies, quantities=QUANTITIES).facts
    off = [
        one(facts, f"vertebra.height.{h}", level).number
        - numbers[f"vertebrae_{level}_height_{h}_mm"]
        for level in LUMBAR
        for h in ("anterior", "middle", "posterior")
    ]
    assert np.abs(np.mean(off)) < 1.5 and np.abs(off).max() < 4.7


@pytest.mark.shared_data
def test_lumbar_levels_are_measured_and_those_at_the_border_are_said_to_be_cut(totalsegmentator):
    """The border of the image runs through the body of T12 (as the report finds, too)."""
    image, whole, _, _ = totalsegmentator
    found = measure(image, whole)
    assert set(found.vertebrae) == set(LUMBAR)
    cut = {f.level for f in found.facts
           if f.what == "vertebra.cut_by_field_of_view" and f.value is True}  # fmt: skip
    assert cut == {"T11", "T12"}
    said = " ".join(p.says for p in found.problems)
    assert "T11: is cut" in said and "T12: is cut" in said


@pytest.mark.shared_data
def test_the_prosthesis_is_found_at_the_left_hip_and_nowhere_else(totalsegmentator):
    image, whole, _, _ = totalsegmentator
    facts = measure(image, whole, quantities=QUANTITIES).facts
    metal = one(facts, "imaging.metal")
    assert metal.value == "left hip" and metal.side == "left"
    assert metal.details["centre_x"] > 60  # LPS: the patient's left
    assert {one(facts, "ct.hounsfield.three_location", n).details["metal"] for n in LUMBAR} == {
        "none"
    }


@pytest.mark.shared_data
def test_whole_vertebrae_and_bodies_of_one_scan_agree(totalsegmentator):
    image, whole, bodies, _ = totalsegmentator
    one_way = measure(image, whole, quantities=QUANTITIES)
    other = measure(image, bodies, quantities=QUANTITIES)
    for level in ("L2", "L3", "L4", "L5"):
        a, b = (one(r.facts, "ct.hounsfield.three_location", level) for r in (one_way, other))
        assert abs(a.number - b.number) < 6
        axes = [r.vertebrae[level].frame.axes[:, 2] for r in (one_way, other)]
        assert angle(*axes) < 5  # two different segmentations at 3 mm
        assert one_way.vertebrae[level].frame.axes[1, 1] > 0.8


@pytest.mark.shared_data
def test_the_real_masks_are_sound_and_spoiled_ones_are_named(totalsegmentator):
    image, whole, bodies, _ = totalsegmentator
    ct = replace(image, acquisition=replace(image.acquisition, modality="CT"))
    for mask, known in ((whole, "counted"), (bodies, "no")):
        gates = mask_gates.looked_at(mask, blocks(mask), ct, EVIDENCE)
        assert gates.faults == () and {gates.confirmed[n] for n in LUMBAR} == {known}
        for spoiled, name in (
            (corrupted.relabelled(mask, {"L2": "L3", "L3": "L2"}), "swapped_levels"),
            (corrupted.relabelled(mask, {"L3": "L2"}), "merged_levels"),
            (corrupted.relabelled(mask, {"L4": "L1"}), "doubled_level"),
            (corrupted.relabelled(mask, {"L3": None}), "level_gap"),
            (corrupted.split(mask, "L2", "L3"), "split_level"),
            (corrupted.with_fragment(mask, "L2", "L3", 0.2), "neighbour_fragment"),
            (corrupted.with_island(mask, "L3", 6.0), "islands"),
            (corrupted.cut_inside(mask, "L2", 0, upper=True), "cut_inside_the_image"),
            *((corrupted.moved(mask, axis, 1), "off_the_image") for axis in range(3)),
        ):
            found = mask_gates.looked_at(spoiled, blocks(spoiled), ct, EVIDENCE)
            assert name in {f.name for f in found.faults}
    turned = replace(whole, volume=corrupted.mirrored(whole.volume))
    found = mask_gates.looked_at(turned, blocks(turned), corrupted.mirrored(ct), EVIDENCE)
    assert "wrong_side" in {f.name for f in found.faults}
    shifted = corrupted.renamed(whole, -1)
    found = mask_gates.looked_at(shifted, blocks(shifted), ct, EVIDENCE)
    assert "level_shift" in {f.name for f in found.faults}


@pytest.mark.shared_data
def test_a_bone_island_takes_l1_out(totalsegmentator):
    image, whole, _, _ = totalsegmentator
    facts = measure(image, whole, quantities=QUANTITIES).facts
    assert one(facts, "ct.hounsfield.three_location", "L1").details["usable"] == "no"
    mean = one(facts, "ct.hounsfield.three_location", "L1-L4")
    assert mean.details["left_out"] == "L1" and 95 < mean.number < 120


@pytest.mark.shared_data
def test_a_second_scan_its_whole_vertebra_against_its_labelled_body(shared_data):
    folder = shared_data / "imaging" / "tptbox"
    image = nifti(folder / "sub-ct_label-22_ct.nii.gz")
    whole = nifti(folder / "sub-ct_seg-vert_label-22_msk.nii.gz")
    parts = nifti(folder / "sub-ct_seg-subreg_label-22_msk.nii.gz")
    names = {21: "L2", 22: "L3", 23: "L4"}
    only = Volume(
        np.where(np.isin(parts.array, (49, 50)), whole.array, 0), whole.affine, name="bodies"
    )
    results = [
        measure(image, Mask(volume, names, kind), modality="CT")
        for volume, kind in ((whole, "whole"), (only, "body"))
    ]
    for result in results:
        assert set(result.vertebrae) == {"L3"}  # the crop runs through its neighbours
        assert result.vertebrae["L3"].doubts == ()
    a, b = (r.vertebrae["L3"] for r in results)
    assert angle(a.frame.axes[:, 2], b.frame.axes[:, 2]) < 1
    for height in ("anterior", "middle", "posterior"):
        assert a.heights[height].value == pytest.approx(b.heights[height].value, abs=0.3)
    densities = [one(r.facts, "ct.hounsfield.three_location", "L3").number for r in results]
    assert densities[0] == pytest.approx(densities[1], abs=3)
    # The body that is cut from the whole vertebra is the labelled one to a few percent.
    volumes = [one(r.facts, "vertebra.body_volume", "L3").number for r in results]
    assert volumes[0] == pytest.approx(volumes[1], rel=0.06)


def triangles(path):
    """Corners of a binary STL's triangles, shape (n, 3, 3), turned to LPS."""
    raw = path.read_bytes()
    record = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("spare", "<u2")])
    corners = np.frombuffer(raw, record, count=int.from_bytes(raw[80:84], "little"), offset=84)
    x, y, z = np.moveaxis(corners["corners"].astype(float), -1, 0)  # anterior, left, up
    return np.stack([y, -x, z], axis=-1)


def voxelised(mesh, low, shape, spacing):
    """Which voxel centres lie inside a closed mesh: an odd number of crossings below them."""
    crossings = np.zeros((*shape[:2], shape[2] + 1), np.int32)
    grid = (mesh - low) / spacing
    for corners in grid:
        a, b, c = corners
        low_ij = np.maximum(np.ceil(corners[:, :2].min(axis=0)).astype(int), 0)
        high_ij = np.minimum(np.floor(corners[:, :2].max(axis=0)).astype(int), shape[:2] - 1)
        if (low_ij > high_ij).any():
            continue
        area = (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])
        if area == 0:
            continue
        i, j = np.mgrid[low_ij[0] : high_ij[0] + 1, low_ij[1] : high_ij[1] + 1]
        p = ((b[0] - i) * (c[1] - j) - (c[0] - i) * (b[1] - j)) / area
        q = ((c[0] - i) * (a[1] - j) - (a[0] - i) * (c[1] - j)) / area
        inside = (p >= 0) & (q >= 0) & (p + q <= 1)
        height = p * a[2] + q * b[2] + (1 - p - q) * c[2]
        k = np.clip(np.ceil(height[inside]).astype(int), 0, shape[2])
        np.add.at(crossings, (i[inside], j[inside], k), 1)
    return (np.cumsum(crossings, axis=2) % 2 == 1)[:, :, :-1]


@pytest.mark.shared_data
def test_bones_of_the_visible_human_whole_and_bodies_alone(shared_data):
    """The bodies' meshes are smoothed models of their own, up to 4 mm off the whole bones."""
    folder = shared_data / "imaging" / "artisynth_vhm"
    spacing, low, shape = 1.5, np.array([-52.0, -40.0, -5.0]), np.array([70, 72, 142])
    affine = np.diag([spacing, spacing, spacing, 1.0])
    affine[:3, 3] = low + 0.013  # voxel centres off the meshes' own corners
    masks = []
    for kind, part in (("full", "whole"), ("body", "body")):
        labels = np.zeros(shape, np.uint8)
        for number, level in enumerate(LUMBAR, 1):
            mesh = triangles(folder / f"{level}_{kind}.stl")
            labels[voxelised(mesh, affine[:3, 3], shape, spacing) & (labels == 0)] = number
        volume = Volume(labels, affine, name=f"visible human {kind}")
        masks.append(Mask(volume, dict(enumerate(LUMBAR, 1)), part))
    whole, bodies = (vertebrae(m, LUMBAR) for m in masks)
    for level in LUMBAR:
        a, b = whole[level], bodies[level]
        assert a.canal is not None, level
        assert a.frame.axes[0, 0] > 0.98, level  # its left is the patient's left
        assert angle(a.frame.axes[:, 2], b.frame.axes[:, 2]) < 3.5, level
        assert np.abs(a.frame.centre - b.frame.centre).max() < 3.5, level
        for height in ("anterior", "middle", "posterior"):
            pair = a.heights[height].value, b.heights[height].value
            assert pair[0] == pytest.approx(pair[1], abs=4.5), (level, height)
        assert a.doubts == ()
