"""Landmarks of a measured spine against the points that a phantom is known to have."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from endplate.demo.phantom import Scan, Spine, phantom
from endplate.images.landmarks import Landmark, landmarks
from endplate.images.measure import measure
from endplate.levels import Level

# Flat endplates, and not parallel to the voxels, so that half a voxel is no error of a plane.
SPINE = Spine(
    first="L1", last="L3", pelvis=None, bodies={n: {"dip": 0} for n in ("L1", "L2", "L3")},
    turned=Rotation.from_euler("xyz", [9, 7, 5], degrees=True).as_matrix(),
)  # fmt: skip


def measured(**scan):
    made = phantom(SPINE, Scan(spacing=(1.5, 1.5, 1.5), soft_tissue=False, **scan))
    return made.truth.vertebrae, landmarks(measure(None, made.mask))


@pytest.fixture(scope="module")
def spine():
    return measured()


def place(points, level, name):
    (found,) = (p for p in points if p.level == level and p.name == name)
    return np.array(found.position)


@pytest.mark.parametrize("level", ["L1", "L2", "L3"])
def test_centres_and_endplates_lie_where_the_phantom_has_them(spine, level):
    true, points = spine[0][level], spine[1]
    assert np.linalg.norm(place(points, level, "vertebral_body.centre") - true.centre) < 0.5
    for which, plane in (("superior", true.superior), ("inferior", true.inferior)):
        for end in ("centre", "anterior", "posterior"):
            off = (place(points, level, f"{which}_endplate.{end}") - plane.centre) @ plane.normal
            assert abs(off) < 0.5, f"{end} of the {which} endplate is off its plane"
        apart = place(points, level, f"{which}_endplate.posterior") - place(
            points, level, f"{which}_endplate.anterior"
        )
        assert apart @ true.axes[:, 1] == pytest.approx(true.depth, abs=0.5)
        assert abs(apart @ true.axes[:, 0]) < 1.0, "both lie in the midsagittal plane"
    canal = place(points, level, "spinal_canal.centre") - true.canal
    # The canal is seen as a hole along the whole vertebra, not at mid-body alone.
    assert abs(canal @ true.axes[:, 0]) < 0.5 and abs(canal @ true.axes[:, 1]) < 1.5


@pytest.mark.parametrize("level", ["L1", "L3"])
def test_the_ends_of_a_height_line_are_its_height_apart(spine, level):
    true, points = spine[0][level], spine[1]
    for which in ("anterior", "middle", "posterior"):
        ends = [place(points, level, f"height_line.{which}.{e}") for e in ("superior", "inferior")]
        assert np.linalg.norm(ends[0] - ends[1]) == pytest.approx(getattr(true, which), abs=0.5)
        assert (ends[0] - ends[1]) @ true.axes[:, 2] > 0, "superior is nearer to the head"


def test_flipped_and_oblique_acquisitions_give_the_same_points(spine):
    oblique = Rotation.from_euler("xyz", [25, -15, 10], degrees=True).as_matrix()
    flipped = oblique[:, [2, 0, 1]] * [-1.0, 1.0, 1.0]
    _, points = measured(directions=flipped)
    assert [(p.name, p.level) for p in points] == [(p.name, p.level) for p in spine[1]]
    for one, other in zip(points, spine[1], strict=True):
        assert np.linalg.norm(np.subtract(one.position, other.position)) < 1.5, one


def test_levels_come_from_the_head_down_and_each_point_once(spine):
    points = spine[1]
    found = [p.level for p in points]
    assert found == sorted(found) and set(found) == {"L1", "L2", "L3"}
    assert len({(p.name, p.level, p.side) for p in points}) == len(points) == 3 * 14


def test_a_landmark_is_valid_or_does_not_exist():
    with pytest.raises(ValueError, match="finite"):
        Landmark.at("femoral_head.centre", [1.0, np.nan, 0.0], side="left")
    with pytest.raises(ValueError, match="no name"):
        Landmark.at(" ", [0.0, 0.0, 0.0])
    with pytest.raises(ValueError, match="standard error"):
        Landmark.at("disc.centre", [0.0, 0.0, 0.0], level=Level.L4, error=-0.1)
    assert Landmark.at("disc.centre", [0.00004, -0.00004, 1.23456]).position == (0.0, 0.0, 1.2346)


def test_the_pelvis_has_its_points_and_how_well_they_are_known():
    made = phantom(Spine(first="L4"), Scan(spacing=(1.5, 1.5, 1.5), soft_tissue=False))
    points = landmarks(measure(None, made.mask))
    true = made.truth.pelvis
    for side, centre in (("left", true.hip_left), ("right", true.hip_right)):
        (head,) = (p for p in points if p.name == "femoral_head.centre" and p.side == side)
        assert np.linalg.norm(np.array(head.position) - centre) < 0.3 and head.error < 0.3
    plate = place(points, Level.S1, "superior_endplate.centre")
    assert abs((plate - true.sacral_endplate.centre) @ true.sacral_endplate.normal) < 0.3
    front, back = (place(points, Level.S1, f"superior_endplate.{e}") for e in
                   ("anterior", "posterior"))  # fmt: skip
    assert front[1] < plate[1] < back[1]
