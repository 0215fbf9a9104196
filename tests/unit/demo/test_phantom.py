"""The phantom is the ruler of the image tests: here the ruler itself is checked."""

import numpy as np
import pytest

from endplate.demo.phantom import Fracture, Pelvis, Scan, Scoliosis, Spine, phantom
from endplate.levels import Column


def small(spine=None, **scan):
    """Two or three vertebrae without pelvis, quick to build."""
    spine = spine or Spine(first="L2", last="L3", pelvis=None)
    return phantom(spine, Scan(**{"spacing": (1.5, 1.5, 1.5), **scan}))


def label(mask, structure):
    (number,) = (n for n, name in mask.structures.items() if name == structure)
    return mask.volume.array == number


def test_equal_arguments_give_equal_voxels():
    one, two = small(), small()
    assert np.array_equal(one.image.array, two.image.array)
    assert np.array_equal(one.mask.volume.array, two.mask.volume.array)


def test_the_interior_holds_exactly_the_density_that_is_asked_for():
    made = small(Spine(first="L2", last="L3", pelvis=None, hounsfield={"L2": 77}), noise=0)
    for name, value in (("L2", 77), ("L3", 140)):
        true = made.truth.vertebrae[name]
        index = np.round(made.image.to_index(true.centre)).astype(int)
        around = made.image.array[tuple(slice(i - 2, i + 3) for i in index)]
        assert (around == value).all() and true.hounsfield == value


def test_what_lies_where_in_the_patient():
    made = phantom(Spine(first="L4"), Scan(spacing=(3, 3, 3)))
    where = {
        s: made.mask.volume.to_world(np.argwhere(label(made.mask, s))).mean(axis=0)
        for s in ("L4", "L5", "hip_left", "hip_right", "femur_left", "sacrum")
    }
    assert where["hip_left"][0] > 50 > -50 > where["hip_right"][0]
    assert where["L4"][2] > where["L5"][2] > where["sacrum"][2] > where["femur_left"][2]
    true = made.truth.vertebrae["L4"]
    assert true.canal[1] > true.centre[1]  # the canal is behind the body
    assert np.linalg.det(true.axes) == pytest.approx(1)


@pytest.mark.parametrize(
    "kind, loss, grade",
    [("wedge", 22, "mild"), ("wedge", 30, "moderate"), ("biconcave", 45, "severe"),
     ("crush", 32, "moderate")],
)  # fmt: skip
def test_a_fracture_loses_what_is_asked_for(kind, loss, grade):
    spine = Spine(
        first="L1", last="L3", pelvis=None, fractures={"L2": Fracture(kind=kind, loss=loss)}
    )
    true = small(spine).truth.vertebrae["L2"]
    found = {"wedge": true.wedge, "biconcave": true.biconcavity, "crush": true.crush}[kind]
    assert found == pytest.approx(loss, abs=0.01)
    assert true.grade == grade


def test_heights_are_those_of_the_mask_on_a_fine_grid():
    """A second implementation: rays through very small voxels."""
    spine = Spine(first="L2", last="L2", pelvis=None, arches=False,
                  bodies={"L2": {"wedge": 6, "dip": 2}})  # fmt: skip
    made = small(spine, spacing=(0.35, 0.35, 0.35), soft_tissue=False, noise=0)
    true = made.truth.vertebrae["L2"]
    inside = label(made.body_mask, "L2")
    for part, height in ((0.15, true.anterior), (0.5, true.middle), (0.85, true.posterior)):
        lengths = []
        for u in np.linspace(-4.9, 4.9, 15):
            for dv in np.linspace(-1.45, 1.45, 9):
                v = (part - 0.5) * true.depth + dv
                w = np.arange(-25, 25, 0.05)
                ray = true.centre + np.stack([u + 0 * w, v + 0 * w, w], axis=1) @ true.axes.T
                at = np.round(made.mask.volume.to_index(ray)).astype(int)
                at = np.clip(at, 0, np.array(inside.shape) - 1)
                lengths.append(inside[tuple(at.T)].sum() * 0.05)
        assert np.mean(lengths) == pytest.approx(height, abs=0.1)


def test_pelvic_parameters_follow_from_the_points():
    made = phantom(Spine(first="L5", pelvis=Pelvis(incidence=61, sacral_slope=44)),
                   Scan(spacing=(4, 4, 4)))  # fmt: skip
    pelvis = made.truth.pelvis
    assert pelvis.tilt == pytest.approx(17) and pelvis.sacral_slope == pytest.approx(44)
    to_sacrum = pelvis.sacral_endplate.centre - (pelvis.hip_left + pelvis.hip_right) / 2
    cosine = to_sacrum @ pelvis.sacral_endplate.normal / np.linalg.norm(to_sacrum)
    assert np.degrees(np.arccos(cosine)) == pytest.approx(61)
    head = label(made.mask, "femur_left")
    near = made.mask.volume.to_index(pelvis.hip_left).round().astype(int)
    assert head[tuple(near)]


def test_asked_for_lordosis_is_that_between_the_endplates():
    truth = phantom(Spine(first="L1", lordosis=45), Scan(spacing=(4, 4, 4))).truth
    above, below = truth.vertebrae["L1"].superior.normal, truth.pelvis.sacral_endplate.normal
    assert np.degrees(np.arccos(above @ below)) == pytest.approx(45, abs=0.01)


def test_scoliosis_leans_and_turns_to_its_side_and_the_mirror_image_to_the_other():
    curve = Scoliosis(upper="L1", lower="L5", cobb=40, rotation=20, convex="left")
    straight = Spine(first="L1", scoliosis=curve, pelvis=None)
    made = small(straight, spacing=(3, 3, 3)).truth.vertebrae
    left = np.mean([v.centre[0] for v in made.values()])
    assert made["L3"].centre[0] > made["L5"].centre[0] + 3
    up = np.array([made["L1"].axes[:, 2], made["L5"].axes[:, 2]])
    assert np.degrees(np.arctan2(up[:, 0], up[:, 2]) @ [1, -1]) == pytest.approx(-40, abs=3)
    mirrored = small(
        Spine(first="L1", scoliosis=curve, pelvis=None, mirrored=True), spacing=(3, 3, 3)
    ).truth.vertebrae
    assert np.mean([v.centre[0] for v in mirrored.values()]) == pytest.approx(-left)
    for v in mirrored.values():
        assert np.linalg.det(v.axes) == pytest.approx(1)


def test_the_mirror_image_keeps_left_on_the_left():
    made = phantom(Spine(first="L5", mirrored=True, hip_metal="left"), Scan(spacing=(4, 4, 4)))
    left = made.mask.volume.to_world(np.argwhere(label(made.mask, "femur_left")))
    assert left[:, 0].min() > 0
    assert made.truth.metal[0][1] == "right" and made.truth.metal[0][2][0] < 0


@pytest.mark.parametrize("lumbar", [4, 5, 6])
def test_columns_with_more_or_fewer_vertebrae(lumbar):
    spine = Spine(first="T12", last=f"L{lumbar}", column=Column(12, lumbar))
    made = phantom(spine, Scan(spacing=(4, 4, 4)))
    assert len(made.truth.vertebrae) == lumbar + 1 and made.truth.pelvis is not None
    assert f"L{lumbar}" in made.mask.structures.values()


def test_a_level_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="L6"):
        phantom(Spine(last="L6"))


def test_partial_volume_keeps_the_amount_of_bone():
    """The mean over a region does not depend on how finely it is cut into voxels."""
    totals = []
    for spacing in ((1, 1, 1), (2, 2, 2), (0.8, 0.8, 3)):
        made = small(spacing=spacing, soft_tissue=False, noise=0, margin=6)
        totals.append(np.float64(made.image.array + 1000).sum() * made.image.voxel_volume)
    assert np.ptp(totals) / np.mean(totals) < 0.01


def test_on_t1_the_marrow_and_the_fluid_have_their_signals():
    spine = Spine(first="L2", last="L4", pelvis=None, marrow={"L3": 520})
    made = small(spine, modality="MR", noise=0)
    index = np.round(made.image.to_index(made.truth.vertebrae["L3"].centre)).astype(int)
    assert made.image.array[tuple(index)] == 520
    fluid = made.csf_mask.volume.array == 1
    assert np.median(made.image.array[fluid]) == made.truth.csf == 150
