"""No mask, however odd, breaks a measurement: it is measured, or it is said why not."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from scipy import ndimage

from endplate import codec
from endplate.facts import Fact
from endplate.images.measure import EVERYTHING, measure
from endplate.images.volume import Acquisition, Mask, Volume

KINDS = ("ellipsoid", "box", "dust", "sponge", "plate", "points", "shell")


def a_shape(rng, kind, shape):
    """A label's voxels: a few of them look like bodies, most like nothing."""
    centre = np.array(shape) / 2 + rng.normal(size=3) * [4, 4, 14]
    away = [i - c for i, c in zip(np.indices(shape).astype(float), centre, strict=True)]
    radii = rng.uniform(0.5, 25, 3)
    level = sum((x / r) ** 2 for x, r in zip(away, radii, strict=True))
    if kind == "ellipsoid":
        return level <= 1
    if kind == "box":
        return np.logical_and.reduce([np.abs(x) <= r for x, r in zip(away, radii, strict=True)])
    if kind == "dust":
        return rng.random(shape) < rng.uniform(0, 0.6)
    if kind == "sponge":
        return ndimage.gaussian_filter(rng.normal(size=shape), 2) > 0.02
    if kind == "plate":
        return np.abs(sum(x * n for x, n in zip(away, rng.normal(size=3), strict=True))) < 1
    if kind == "points":
        inside = np.zeros(shape, bool)
        inside[tuple(rng.integers(0, n, 200) for n in shape)] = True
        return inside
    return (level <= 1) & (level > 0.5)


@pytest.mark.parametrize("seed", range(84))
def test_an_odd_mask_is_answered(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 60, 3) if seed % 4 == 0 else rng.integers(20, 60, 3))
    labels = np.zeros(shape, np.uint8)
    for number in range(1, int(rng.integers(2, 5))):
        labels[a_shape(rng, KINDS[seed % len(KINDS)], shape)] = number
    affine = np.eye(4)
    skew = rng.normal(size=(3, 3)) if seed % 5 == 0 else np.diag(rng.choice([-1.0, 1.0], 3))
    affine[:3, :3] = skew / np.linalg.norm(skew, axis=0) * rng.uniform(0.4, 4, 3)
    affine[:3, 3] = rng.normal(size=3) * 100
    if abs(np.linalg.det(affine[:3, :3])) < 0.05:
        affine[:3, :3] = np.eye(3)
    values = rng.normal(100, 40, shape).astype(np.float32)
    if seed % 3 == 0:
        values[rng.random(shape) < 0.3] = np.nan
    if seed % 7 == 0:
        values[:] = rng.choice([0.0, np.nan, 5000.0])
    structures = {1: "L2", 2: "L3", 3: "L4", 4: ("csf", "spinal_canal", "sacrum")[seed % 3]}
    image = Volume(values, affine, Acquisition(modality=("CT", "MR")[seed % 2]), "image")
    mask = Mask(Volume(labels, affine, name="mask"), structures, ("whole", "body")[seed % 2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = measure(
            image, mask, quantities=EVERYTHING - {"pictures"} if seed % 2 else EVERYTHING
        )
    labelled = {structures[n] for n in np.unique(labels) if 0 < n < 4}
    said = {f.level for f in found.facts if f.what == "vertebra.cut_by_field_of_view"}
    assert labelled == said  # none is dropped in silence
    for level in labelled - set(found.vertebrae):
        assert any(level in p.says for p in found.problems)
    # Every fact can be written and read back.
    assert codec.decode(codec.encode(list(found.facts)), list[Fact]) == list(found.facts)
