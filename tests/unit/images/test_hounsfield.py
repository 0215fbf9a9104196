"""Attenuation: what lies in the regions, what the numbers are, how large their errors are."""

import numpy as np
import pytest
from scipy import ndimage

from endplate.demo.phantom import Scan, Spine, phantom
from endplate.images.hounsfield import Interior, half_diagonal, totalsegmentator
from endplate.images.vertebra import NotMeasurable
from endplate.images.volume import Acquisition, Volume
from unit.images.spines import EVIDENCE, vertebrae

TRUE = 97.0


@pytest.fixture(scope="module")
def made():
    spine = Spine(first="L2", last="L4", pelvis=None, hounsfield=TRUE, bodies={
        "L3": {"wedge": 4, "dip": 2, "cortex": 1.2}})  # fmt: skip
    return phantom(spine, Scan(spacing=(1, 1, 1), noise=0))


@pytest.fixture(scope="module")
def l3(made):
    return vertebrae(made.mask)["L3"]


def with_values(volume, array):
    return Volume(array, volume.affine, volume.acquisition, volume.name)


@pytest.mark.parametrize("name", ["three_location", "axial", "trabecular_volume"])
def test_without_noise_the_density_is_exact(made, l3, name):
    density = getattr(Interior(l3, made.image, EVIDENCE), name)()
    assert density.estimate.value == pytest.approx(TRUE, abs=0.01)
    assert density.median == TRUE and density.sd == 0 and density.estimate.error < 0.01
    assert density.doubts == ()


def test_no_voxel_comes_nearer_to_the_surface_than_the_margin(made):
    """From the bodies' mask; in whole vertebrae the roots of the pedicles fill the corners."""
    interior = Interior(vertebrae(made.body_mask)["L3"], made.image, EVIDENCE)
    assert interior.margin == pytest.approx(3 + half_diagonal(made.image))
    number = {n: k for k, n in made.body_mask.structures.items()}["L3"]
    depth = ndimage.distance_transform_edt(made.body_mask.volume.array == number)
    assert depth[tuple(interior.index.T)].min() >= 3.0


def test_the_three_planes_lie_where_the_definition_says(made, l3):
    interior = Interior(l3, made.image, EVIDENCE)
    density = interior.three_location()
    assert list(density.parts) == ["superior", "middle", "inferior"]
    points = made.image.to_world(interior.index[density.region])
    local = l3.frame.to_local(points)
    below = -(points - l3.superior.centre) @ l3.superior.normal
    above = (points - l3.inferior.centre) @ l3.inferior.normal
    assert np.quantile(below, 0.01) > 3 and np.quantile(above, 0.01) > 3
    # an ellipse of 0.65 x 0.5 of the body, in front of its middle
    assert np.ptp(local[:, 0]) == pytest.approx(0.65 * l3.width, abs=1.5)
    assert np.ptp(local[:, 1]) == pytest.approx(0.5 * l3.depth, abs=1.5)
    assert local[:, 1].mean() == pytest.approx(l3.back - 0.58 * l3.depth, abs=0.7)


def test_voxels_are_used_as_they_are(made, l3):
    """A single voxel's value changes the mean by exactly its share."""
    interior = Interior(l3, made.image, EVIDENCE)
    before = interior.trabecular_volume()
    array = made.image.array.copy()
    array[tuple(interior.index[100])] += 1000
    after = Interior(l3, with_values(made.image, array), EVIDENCE).trabecular_volume()
    change = after.estimate.value - before.estimate.value
    assert change == pytest.approx(1000 / before.voxels, rel=1e-6)


def test_a_gradient_from_end_to_end_averages_out_over_the_three_planes(made, l3):
    index = np.indices(made.image.array.shape).reshape(3, -1).T
    w = l3.frame.to_local(made.image.to_world(index))[:, 2].reshape(made.image.array.shape)
    tilted = with_values(made.image, made.image.array + 3.0 * w)
    density = Interior(l3, tilted, EVIDENCE).three_location()
    # what is left is the shift of the planes against the middle of the body
    assert density.estimate.value == pytest.approx(TRUE, abs=2.0)
    assert density.parts["superior"] > density.parts["middle"] > density.parts["inferior"]
    assert density.estimate.error > 1.0  # placing it a millimetre higher would change it


def test_axial_takes_three_whole_slices(made, l3):
    interior = Interior(l3, made.image, EVIDENCE)
    density = interior.axial()
    slices = np.unique(interior.index[density.region][:, 2])
    assert len(slices) == 3


def test_correlated_noise_widens_the_error(made, l3):
    rng = np.random.default_rng(0)
    white = rng.normal(size=made.image.array.shape)
    smooth = ndimage.gaussian_filter(white, 1.2)
    errors = []
    for noise in (white, smooth):
        noisy = with_values(made.image, made.image.array + 20 * noise / noise.std())
        errors.append(Interior(l3, noisy, EVIDENCE).three_location().estimate.error)
    assert errors[1] > 2.5 * errors[0]


def test_numbers_that_are_none_are_left_out_and_said(made, l3):
    array = made.image.array.astype(float)
    interior = Interior(l3, made.image, EVIDENCE)
    array[tuple(interior.index[:50].T)] = np.nan
    density = Interior(l3, with_values(made.image, array), EVIDENCE).trabecular_volume()
    assert density.estimate.value == pytest.approx(TRUE, abs=0.01)
    assert any("no number" in d for d in density.doubts)
    assert density.voxels == len(interior.values) - 50


def test_too_few_voxels_are_refused(made, l3):
    array = made.image.array.astype(float)
    array[:] = np.nan
    with pytest.raises(NotMeasurable, match="0 voxels"):
        Interior(l3, with_values(made.image, array), EVIDENCE).three_location()


def test_a_bone_island_shows_as_a_spot(made, l3):
    rng = np.random.default_rng(0)
    noisy = made.image.array + rng.normal(0, 15, made.image.array.shape)
    limit = EVIDENCE.row("measurement.hounsfield.focus")
    plain = Interior(l3, with_values(made.image, noisy), EVIDENCE)
    assert not limit.met(plain.focus)
    dense = noisy.copy()
    near = np.abs(plain.local).max(axis=1) < 4
    dense[tuple(plain.index[near].T)] += 500
    assert limit.met(Interior(l3, with_values(made.image, dense), EVIDENCE).focus)


@pytest.mark.parametrize("spacing", [(3.0, 3.0, 3.0), (1.0, 1.0, 1.0), (0.8, 0.8, 2.5)])
def test_erosion_is_that_of_the_spine_report(spacing):
    """Against the element written out point by point, lopsided where the radius is no integer."""
    rng = np.random.default_rng(1)
    body = np.zeros((22, 20, 18), bool)
    body[3:19, 2:18, 2:16] = True
    body[10, 9, 8] = False  # a hole
    values = rng.normal(100, 20, body.shape)
    image = Volume(values, np.diag([*spacing, 1.0]), Acquisition(modality="CT"))
    mean, median, count = totalsegmentator(body, image, np.zeros(3, int), EVIDENCE)
    radii = 4.0 / np.array(spacing)
    sizes = [len(np.arange(-r, r + 1)) for r in radii]
    offsets = [
        np.array(o) - np.array(sizes) // 2
        for o in np.ndindex(*sizes)
        if sum(((o[i] - radii[i]) / radii[i]) ** 2 for i in range(3)) <= 1 + 1e-12
    ]
    inside = np.ones_like(body)
    padded = np.pad(body, 8)
    for offset in offsets:
        (a, b, c), (i, j, k) = offset + 8, body.shape
        inside &= padded[a : a + i, b : b + j, c : c + k]
    kept = np.argwhere(inside)
    expected = values[tuple(kept.T)]
    assert count == len(expected)
    assert mean == pytest.approx(expected.mean()) and median == pytest.approx(np.median(expected))


def test_an_erosion_that_leaves_nothing_is_refused():
    body = np.ones((3, 3, 3), bool)
    image = Volume(np.zeros((3, 3, 3)), np.eye(4))
    with pytest.raises(NotMeasurable):
        totalsegmentator(body, image, np.zeros(3, int), EVIDENCE)
