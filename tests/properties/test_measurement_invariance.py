"""What must not change a measurement, and what must: turning, mirroring, cropping, relabelling."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from endplate.demo.phantom import Scan, Scoliosis, Spine, phantom
from endplate.images.measure import measure
from endplate.images.volume import Mask, Volume
from unit.images.spines import angle, one, turned, vertebrae

QUANTITIES = {"heights", "attenuation", "metal"}
CURVE = Scoliosis(upper="L1", lower="L4", cobb=24, rotation=12, convex="left")
SPINE = Spine(
    first="L1", last="L4", pelvis=None, scoliosis=CURVE,
    hounsfield={"L1": 90, "L2": 130, "L3": 110, "L4": 150},
)  # fmt: skip
LEVELS = ("L1", "L2", "L3", "L4")
SAME = (
    "ct.hounsfield.three_location", "ct.hounsfield.trabecular_volume", "vertebra.height.anterior",
    "vertebra.height.middle", "vertebra.height.posterior",
)  # fmt: skip


def made_with(**scan):
    return phantom(SPINE, Scan(**{"spacing": (1.5, 1.5, 1.5), "noise": 3.0, **scan}))


@pytest.fixture(scope="module")
def upright():
    made = made_with()
    return made, measure(made.image, made.mask, quantities=QUANTITIES)


def values(facts):
    return {(f.what, f.level): f.number for f in facts if f.what in SAME}


def alike(one_way, other, *, hounsfield=1.5, millimetres=0.75):
    assert one_way.keys() == other.keys()
    for key, value in one_way.items():
        slack = hounsfield if key[0].startswith("ct.") else millimetres
        assert value == pytest.approx(other[key], abs=slack), key


@pytest.mark.parametrize("seed", range(4))
def test_the_angle_of_the_acquisition_does_not_matter(upright, seed):
    rng = np.random.default_rng(seed)
    made = made_with(directions=turned(rng, 40), offset=tuple(rng.random(3)))
    alike(values(measure(made.image, made.mask, quantities=QUANTITIES).facts),
          values(upright[1].facts))  # fmt: skip


def test_a_sheared_grid_as_of_a_tilted_gantry_does_not_matter(upright):
    shear = np.array([[1, 0, 0], [0, 1, np.sin(np.radians(18))], [0, 0, np.cos(np.radians(18))]])
    made = made_with(directions=shear)
    alike(values(measure(made.image, made.mask, quantities=QUANTITIES).facts),
          values(upright[1].facts))  # fmt: skip
    for name, found in vertebrae(made.mask).items():
        assert angle(found.frame.axes[:, 2], made.truth.vertebrae[name].axes[:, 2]) < 1.5


@pytest.mark.parametrize("order", [(1, 2, 0), (2, 0, 1), (0, 2, 1)])
@pytest.mark.parametrize("flips", [(1, 1, -1), (-1, 1, 1), (-1, -1, -1)])
def test_the_order_and_direction_of_the_array_axes_change_nothing_at_all(upright, order, flips):
    """The same voxels, stored otherwise: the same numbers."""
    made, expected = upright

    def stored_otherwise(volume):
        array = volume.array.transpose(order)
        affine = volume.affine.copy()
        affine[:3, :3] = volume.affine[:3, list(order)]
        for axis, flip in enumerate(flips):
            if flip < 0:
                array = np.flip(array, axis)
                affine[:3, 3] += affine[:3, axis] * (array.shape[axis] - 1)
                affine[:3, axis] *= -1
        return Volume(np.ascontiguousarray(array), affine, volume.acquisition, volume.name)

    mask = Mask(stored_otherwise(made.mask.volume), made.mask.structures, made.mask.parts)
    found = measure(stored_otherwise(made.image), mask, quantities=QUANTITIES)
    alike(values(found.facts), values(expected.facts), hounsfield=0.5, millimetres=0.2)


def test_where_in_the_room_the_patient_lay_does_not_matter(upright):
    made, expected = upright

    def moved(volume):
        affine = volume.affine.copy()
        affine[:3, 3] += [137.0, -412.5, 88.25]
        return replace(volume, affine=affine)

    found = measure(moved(made.image), replace(made.mask, volume=moved(made.mask.volume)),
                    quantities=QUANTITIES)  # fmt: skip
    alike(values(found.facts), values(expected.facts), hounsfield=0.01, millimetres=0.01)


def test_cropping_what_is_not_measured_changes_nothing(upright):
    made, expected = upright
    low, high = [4, 5, 0], np.array(made.image.array.shape) - [3, 2, 0]
    mask = replace(made.mask, volume=made.mask.volume.cropped(low, high))
    found = measure(made.image.cropped(low, high), mask, quantities=QUANTITIES)
    alike(values(found.facts), values(expected.facts), hounsfield=0.01, millimetres=0.01)


def test_the_numbers_of_the_labels_do_not_matter(upright):
    made, expected = upright
    array = made.mask.volume.array.astype(np.int32) * 7
    structures = {7 * k: n for k, n in made.mask.structures.items()}
    found = measure(made.image, Mask(replace(made.mask.volume, array=array), structures, "whole"),
                    quantities=QUANTITIES)  # fmt: skip
    assert values(found.facts) == values(expected.facts)


def test_the_mirror_image_mirrors_sides_and_nothing_else():
    spine = replace(SPINE, last="L5", pelvis=Spine().pelvis, hip_metal="left")
    plain = phantom(spine, Scan(spacing=(2, 2, 2), noise=3))
    mirror = phantom(replace(spine, mirrored=True), Scan(spacing=(2, 2, 2), noise=3))
    a = measure(plain.image, plain.mask, quantities=QUANTITIES)
    b = measure(mirror.image, mirror.mask, quantities=QUANTITIES)
    alike(values(a.facts), values(b.facts), hounsfield=0.6, millimetres=0.3)
    assert one(a.facts, "imaging.metal").side == "left"
    assert one(b.facts, "imaging.metal").side == "right"
    flip = np.array([-1.0, 1, 1])
    for name in LEVELS:
        one_way, other = (r.vertebrae[name].frame for r in (a, b))
        assert np.allclose(one_way.centre * flip, other.centre, atol=0.4)
        assert other.axes[0, 0] > 0.8  # left stays left
        assert np.linalg.det(other.axes) == pytest.approx(1)
        assert angle(one_way.axes[:, 2] * flip, other.axes[:, 2]) < 0.7


def test_turning_the_patient_turns_the_frames_and_keeps_the_numbers():
    turn = Rotation.from_rotvec(np.radians(25) * np.array([0.2, 0.3, 1.0])).as_matrix()
    made = phantom(replace(SPINE, turned=turn), Scan(spacing=(1.5, 1.5, 1.5), noise=3))
    plain = made_with()
    found = measure(made.image, made.mask, quantities=QUANTITIES)
    alike(values(found.facts),
          values(measure(plain.image, plain.mask, quantities=QUANTITIES).facts))  # fmt: skip
    for name in LEVELS:
        true = made.truth.vertebrae[name]
        assert angle(found.vertebrae[name].frame.axes[:, 1], true.axes[:, 1]) < 2.5


def test_measuring_twice_gives_the_same(upright):
    made, expected = upright
    again = measure(made.image, made.mask, quantities=QUANTITIES)
    assert again.facts == expected.facts
