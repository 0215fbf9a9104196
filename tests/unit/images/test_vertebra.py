"""Frames, endplates and heights against the phantom's truth, and on shapes that are not its own."""

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.transform import Rotation

from endplate.demo.phantom import Fracture, Scan, Scoliosis, Spine, phantom
from endplate.images.frame import blocks
from endplate.images.vertebra import NotMeasurable, starts
from endplate.images.volume import Mask, Volume
from endplate.levels import Column
from unit.images.spines import angle, solid, vertebrae

HEIGHTS = ("anterior", "middle", "posterior")


@pytest.fixture(scope="module")
def lumbar():
    """L1-L4 at 1.5 mm with all kinds of fractures, whole and as bodies."""
    spine = Spine(
        first="T12", last="L5", pelvis=None,
        fractures={
            "T12": Fracture(kind="wedge", loss=32), "L2": Fracture(kind="biconcave", loss=45),
            "L4": Fracture(kind="crush", loss=22),
        },
    )  # fmt: skip
    return phantom(spine, Scan(spacing=(1.5, 1.5, 1.5)))


def test_frame_planes_and_heights_are_those_of_the_phantom(lumbar):
    for name, found in vertebrae(lumbar.mask).items():
        true = lumbar.truth.vertebrae[name]
        assert angle(found.frame.axes[:, 2], true.axes[:, 2]) < 2.0, name
        assert angle(found.frame.axes[:, 1], true.axes[:, 1]) < 2.5, name
        assert np.abs(found.frame.centre - true.centre).max() < 0.75, name
        if name != "L2":  # a deep hollow has no one plane; a flat one is known to a voxel
            assert angle(found.superior.normal, true.superior.normal) < 3.0, name
            assert angle(found.inferior.normal, true.inferior.normal) < 3.0, name
        for height in HEIGHTS:
            off = found.heights[height].value - getattr(true, height)
            assert abs(off) <= 0.75, (name, height)  # half a voxel
        assert found.width == pytest.approx(true.width, abs=0.75)
        assert found.depth == pytest.approx(true.depth, abs=0.75)
        assert found.canal is not None
        across = true.axes.T @ (found.canal - true.canal)
        assert abs(across[0]) < 0.75 and found.doubts == ()


def test_axes_are_right_handed_and_point_left_back_and_up(lumbar):
    for found in vertebrae(lumbar.mask).values():
        left, back, up = found.frame.axes.T
        assert np.linalg.det(found.frame.axes) == pytest.approx(1)
        assert left[0] > 0.8 and back[1] > 0.8 and up[2] > 0.7
        assert np.allclose(left, np.cross(up, -back))  # left = cranial x anterior


def test_bodies_alone_give_the_same_as_whole_vertebrae(lumbar):
    whole, bodies = vertebrae(lumbar.mask), vertebrae(lumbar.body_mask)
    for name in whole:
        for height in HEIGHTS:
            one, other = (v[name].heights[height].value for v in (whole, bodies))
            assert one == pytest.approx(other, abs=0.3), (name, height)
        assert angle(whole[name].frame.axes[:, 2], bodies[name].frame.axes[:, 2]) < 0.7


@pytest.mark.parametrize("lumbar_count", [4, 6])
def test_columns_with_four_or_six_lumbar_vertebrae(lumbar_count):
    last = f"L{lumbar_count}"
    spine = Spine(first="L2", last=last, column=Column(12, lumbar_count))
    made = phantom(spine, Scan(spacing=(2, 2, 2)))
    found = vertebrae(made.mask, list(made.truth.vertebrae))
    assert list(found) == [f"L{n}" for n in range(2, lumbar_count + 1)]
    for name, vertebra in found.items():
        true = made.truth.vertebrae[name]
        assert angle(vertebra.frame.axes[:, 2], true.axes[:, 2]) < 1.5, name
        assert vertebra.heights["middle"].value == pytest.approx(true.middle, abs=1.0)


def test_a_scoliotic_spine_is_measured_in_each_vertebras_own_planes():
    curve = Scoliosis(upper="L1", lower="L5", cobb=50, rotation=25, convex="right")
    spine = Spine(first="L1", last="L5", pelvis=None, scoliosis=curve)
    made = phantom(spine, Scan(spacing=(1.5, 1.5, 1.5)))
    for name, found in vertebrae(made.mask).items():
        true = made.truth.vertebrae[name]
        assert angle(found.frame.axes[:, 2], true.axes[:, 2]) < 1.0, name
        assert angle(found.frame.axes[:, 1], true.axes[:, 1]) < 2.0, name
        assert found.heights["posterior"].value == pytest.approx(true.posterior, abs=0.75)


def test_a_lone_vertebra_is_found_by_its_own_faces_however_it_lies():
    for seed, (tilt, axis) in enumerate([(35, [1, 0, 0]), (30, [0, 1, 0]), (40, [1, 1, 0.3])]):
        turn = Rotation.from_rotvec(np.radians(tilt) * np.array(axis) / np.linalg.norm(axis))
        spine = Spine(first="L3", last="L3", pelvis=None, turned=turn.as_matrix())
        made = phantom(spine, Scan(spacing=(1.5, 1.5, 1.5)), seed=seed)
        true = made.truth.vertebrae["L3"]
        for mask in (made.mask, made.body_mask):
            found = vertebrae(mask, ["L3"])["L3"]
            assert angle(found.frame.axes[:, 2], true.axes[:, 2]) < 1.0, (tilt, mask.parts)
            assert found.heights["anterior"].value == pytest.approx(true.anterior, abs=0.75)


def box(x, y, z):
    return (np.abs(x) <= 22) & (np.abs(y) <= 16) & (np.abs(z) <= 13)


def elliptic_cylinder(x, y, z):
    return ((x / 23) ** 2 + (y / 16) ** 2 <= 1) & (np.abs(z) <= 12)


@pytest.mark.parametrize("shape, height, width", [(box, 26, 44), (elliptic_cylinder, 24, 46)])
@pytest.mark.parametrize("turn", [0, 20])
def test_plain_shapes_without_an_arch(shape, height, width, turn):
    axes = Rotation.from_euler("xyz", [turn, turn / 2, turn], degrees=True).as_matrix()
    found = vertebrae(solid(shape, axes=axes), ["L3"])["L3"]
    assert found.heights["middle"].value == pytest.approx(height, abs=1.0)
    assert found.width == pytest.approx(width, abs=1.0)
    assert found.frame.axes[2, 2] > 0.99 and found.frame.axes[0, 0] > 0.99


def test_a_cylinder_that_is_round_says_that_its_front_was_taken_from_the_patient():
    def round_one(x, y, z):
        return (x**2 + y**2 <= 18**2) & (np.abs(z) <= 12)

    found = vertebrae(solid(round_one), ["L3"])["L3"]
    assert any("patient's axes" in d for d in found.doubts)


def with_array(mask, array):
    return Mask(Volume(array, mask.volume.affine, name="x"), mask.structures, mask.parts)


def test_holes_and_islands_in_a_mask_do_not_move_the_heights(lumbar):
    rng = np.random.default_rng(3)
    array = lumbar.mask.volume.array.copy()
    number = {n: k for k, n in lumbar.mask.structures.items()}["L3"]
    inside = np.argwhere(array == number)
    true = lumbar.truth.vertebrae["L3"]
    middle = np.round(lumbar.image.to_index(true.centre)).astype(int)
    for place in [middle, middle + np.array([3, 2, -2]), *inside[rng.integers(0, len(inside), 4)]]:
        array[tuple(slice(max(p - 2, 0), p + 3) for p in place)] = 0
    other = np.round(lumbar.image.to_index(lumbar.truth.vertebrae["L1"].centre)).astype(int)
    array[tuple(slice(p - 3, p + 4) for p in other)] = number  # a piece of L3's label inside L1
    found = vertebrae(with_array(lumbar.mask, array), ["T12", "L1", "L2", "L3", "L4", "L5"])["L3"]
    for height in HEIGHTS:
        assert found.heights[height].value == pytest.approx(getattr(true, height), abs=1.0)


@pytest.mark.parametrize("turn", [None, [30, -20, 140]])
def test_the_search_begins_in_the_body_be_the_arch_ever_so_massive(turn):
    """Small cervical bodies, and fractures that leave less of a body than its arch has."""
    broken = {
        "T2": Fracture(kind="crush", loss=75), "T5": Fracture(kind="biconcave", loss=70),
        "T6": Fracture(kind="crush", loss=75), "T9": Fracture(kind="crush", loss=70),
    }  # fmt: skip
    turned = None if turn is None else Rotation.from_euler("xyz", turn, degrees=True).as_matrix()
    spine = Spine(first="C3", last="T11", pelvis=None, fractures=broken, turned=turned)
    made = phantom(spine, Scan(spacing=(2.0, 2.0, 2.0), noise=0))
    names = list(made.truth.vertebrae)
    found = starts(blocks(made.mask), names, whole=True)
    for name, true in made.truth.vertebrae.items():
        local = (found[name].centre - true.centre) @ true.axes
        assert abs(local[0]) < 6 and abs(local[1]) < true.depth / 2 and abs(local[2]) < 6, name


def test_a_vertebra_without_a_closed_arch_says_so():
    """The arch alone taken away in front of the spinous process: nothing closes the canal."""
    made = phantom(Spine(first="L3", last="L3", pelvis=None), Scan(spacing=(1.5, 1.5, 1.5)))
    array = made.mask.volume.array.copy()
    index = np.argwhere(array == 1)
    true = made.truth.vertebrae["L3"]
    local = (made.mask.volume.to_world(index) - true.centre) @ true.axes
    cut = index[(np.abs(local[:, 0]) < 6) & (local[:, 1] > true.depth / 2 + 6)]
    array[tuple(cut.T)] = 0
    structures = {k: n for k, n in made.mask.structures.items() if n == "L3"}
    mask = Mask(Volume(array, made.mask.volume.affine, name="x"), structures, "whole")
    found = vertebrae(mask, ["L3"])["L3"]
    assert any("no canal" in d for d in found.doubts)
    assert found.heights["middle"].value == pytest.approx(true.middle, abs=0.75)
    assert found.depth == pytest.approx(true.depth, abs=2)


def test_a_label_that_fills_the_canal_is_refused_with_the_reason():
    made = phantom(Spine(first="L3", last="L3", pelvis=None), Scan(spacing=(1.5, 1.5, 1.5)))
    inside = made.mask.volume.array > 0  # with the canal, and what is between it and the bone
    array = ndimage.binary_closing(np.pad(inside, 4), iterations=3)[4:-4, 4:-4, 4:-4]
    array = array.astype(np.uint8)
    mask = Mask(Volume(array, made.mask.volume.affine, name="x"), {1: "L3"}, "whole")
    with pytest.raises(NotMeasurable, match="no gap"):
        vertebrae(mask, ["L3"])


def test_what_has_no_two_endplates_is_not_measured():
    def sphere(x, y, z):
        return x**2 + y**2 + z**2 <= 3**2

    with pytest.raises(NotMeasurable):
        vertebrae(solid(sphere), ["L3"])
