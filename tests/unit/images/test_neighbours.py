"""What a vertebra's neighbours may and may not do to it: references, stray voxels, other scans."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from endplate.demo.phantom import Fracture, Scan, Spine, phantom
from endplate.images import gates
from endplate.images.measure import EVERYTHING, measure
from endplate.images.metal import metal
from endplate.images.volume import Volume
from endplate.levels import Column, Level
from unit.images.spines import EVIDENCE, one

HEIGHTS = {"heights"}


def test_the_edges_of_a_straight_wedge_are_those_of_its_faces():
    front, back = 20.0, 27.0
    at = {"anterior": front + 0.15 * (back - front), "posterior": front + 0.85 * (back - front)}
    assert gates.at_edges(at, EVIDENCE) == pytest.approx((front, back))


def test_errors_at_the_edges_are_those_of_the_lines():
    rng = np.random.default_rng(1)
    ends = rng.normal([24.0, 26.0], [0.3, 0.2], (20000, 2))
    drawn = [gates.at_edges({"anterior": a, "posterior": p}, EVIDENCE) for a, p in ends]
    wanted = np.std(drawn, axis=0)
    found = gates.edge_errors({"anterior": 0.3, "posterior": 0.2}, EVIDENCE)
    assert found == pytest.approx(tuple(wanted), rel=0.03)


@pytest.mark.parametrize(
    "level, sound, references",
    [
        ("L2", "L1 L3 L4", "L1 L3"),
        ("L2", "T12 L3", "T12 L3"),
        ("L2", "T11 L4", "T11 L4"),
        ("L2", "T10 L3 L4", "L3"),  # T10 is four levels off
        ("T12", "L3 L4", "L3"),
        ("L2", "L3", ""),  # of two alike nobody can say which is crushed
        ("L4", "L3 L5 L2", "L3"),  # L5 is not graded, and nothing is measured against it
    ],
)
def test_what_crush_is_measured_against(level, sound, references):
    found = gates.crush_references(
        Level(level), [Level(n) for n in sound.split()], Column(), EVIDENCE
    )
    assert [v.value for v in found] == references.split()


@pytest.mark.parametrize("crushed", [("L1",), ("L1", "L2"), ("T12", "L1", "L2")])
def test_crushed_vertebrae_beside_each_other_are_all_found(crushed):
    fractures = {name: Fracture(kind="crush", loss=50) for name in crushed}
    spine = Spine(first="T11", last="L4", pelvis=None, arches=False, fractures=fractures)
    made = phantom(spine, Scan(spacing=(1.5, 1.5, 1.5)))
    found = measure(None, made.body_mask, quantities=HEIGHTS).facts
    grades = {f.level: f.value for f in found if f.what == "vertebra.genant_grade"}
    for name in made.truth.vertebrae:
        assert grades[name] == ("severe" if name in crushed else "none"), name
        assert grades[name] == made.truth.vertebrae[name].grade


def test_two_vertebrae_alone_are_not_measured_against_each_other():
    spine = Spine(first="L1", last="L2", pelvis=None, arches=False)
    made = phantom(spine, Scan(spacing=(1.5, 1.5, 1.5)))
    found = measure(None, made.body_mask, quantities=HEIGHTS).facts
    assert [f for f in found if f.what == "vertebra.crush"] == []
    assert "not assessed" in one(found, "vertebra.genant_grade", "L1").details["crush"]


def test_a_stray_voxel_of_a_neighbour_turns_nothing_about():
    spine = Spine(first="L1", last="L4", pelvis=None)
    made = phantom(spine, Scan(spacing=(1.5, 1.5, 1.5)))
    array = made.mask.volume.array.copy()
    free = np.argwhere(array[:, :, 0] == 0)[0]
    array[free[0], free[1], 0] = 99  # below L4
    mask = replace(
        made.mask,
        volume=replace(made.mask.volume, array=array),
        structures={**made.mask.structures, 99: "T12"},
    )
    found = measure(None, mask, quantities=HEIGHTS)
    for name, vertebra in found.vertebrae.items():
        true = made.truth.vertebrae[name].axes
        assert (vertebra.frame.axes * true).sum(axis=0).min() > 0.98, name


def test_a_small_marker_is_seen_beside_a_large_prosthesis():
    array = np.full((120, 120, 60), 40, np.int16)
    array[5:75, 5:75, 2:58] = 3000
    array[100, 100, 30] = 3000
    image = Volume(array, np.diag([1.0, 1.0, 1.0, 1.0]))
    found = metal(image, {}, EVIDENCE)
    assert found.distance(np.array([[100.0, 100.0, 30.0]])) < 1
    assert sum(m.voxels for m in found.places) == 70 * 70 * 56 + 1


def test_two_scans_of_one_description_stay_two():
    spine = Spine(first="L1", last="L3", pelvis=None)
    made = phantom(spine, Scan(spacing=(2.0, 2.0, 2.0)))
    twice = [replace(made.image, uid=uid) for uid in ("1.2.3", "1.2.4")]
    sources = {
        measure(image, made.mask, quantities=EVERYTHING - {"pictures"}).facts[0].source
        for image in twice
    }
    assert len(sources) == 2


def test_thick_slices_widen_the_interval_where_density_changes_along_the_spine():
    spine = Spine(first="L2", last="L4", pelvis=None, hounsfield=140)
    made = phantom(spine, Scan(spacing=(1.0, 1.0, 5.0), noise=2))
    z = made.image.to_world(np.argwhere(np.ones((1, 1, made.image.array.shape[2]))))[:, 2]
    steep = replace(made.image, array=made.image.array + 3 * (z - z.mean())[None, None, :])
    numbers = EVERYTHING - {"pictures"}
    flat, sloped = (
        one(measure(i, made.mask, quantities=numbers).facts, "ct.hounsfield.three_location", "L3")
        for i in (made.image, steep)
    )
    assert sloped.details["standard_error"] > flat.details["standard_error"] + 2
