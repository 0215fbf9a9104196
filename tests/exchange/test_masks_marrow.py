"""Masks of the marrow alone: as dark as muscle in osteoporosis, and still within bone."""

import numpy as np
import pytest

from endplate.exchange.masks import on_grid
from endplate.facts import InputProblem
from endplate.images.volume import Acquisition, Mask, Volume

NAMES = {1: "L3", 2: "L4"}


def column(marrow, *, spacing=(1.0, 1.0, 1.0), cortex=300, gap=1.0, shift=(0.0, 0.0, 0.0)):
    """Two bodies of marrow in a shell of 1 mm in muscle, and a mask of marrow, `gap` mm within."""
    fine = 2  # parts of a voxel along each axis, so that thin bone is seen in part
    step = np.array(spacing) / fine
    shape = tuple((np.array([90, 70, 90]) / spacing).astype(int) * fine)
    x, y, z = np.moveaxis(np.moveaxis(np.indices(shape), 0, -1) * step, -1, 0)
    image = np.full(shape, 50.0)
    image[y < 4] = -1000
    labels = np.zeros(shape, np.uint8)
    for label, middle in ((1, 64), (2, 28)):

        def within(mm, by=(0, 0, 0), middle=middle):
            side = ((x - by[0] - 45) / (22 - mm)) ** 2 + ((y - by[1] - 35) / (16 - mm)) ** 2 < 1
            return side & (np.abs(z - by[2] - middle) < 14 - mm)

        image[within(0)] = cortex
        image[within(1)] = marrow
        labels[within(1 + gap, shift)] = label
    whole = tuple(n for side in shape for n in (side // fine, fine))
    image = image.reshape(whole).mean(axis=(1, 3, 5))
    labels = labels[::fine, ::fine, ::fine]
    image += np.random.default_rng(0).normal(0, 15, image.shape)
    affine = np.diag([*spacing, 1.0])
    taken = Acquisition(modality="CT")
    mask = Mask(Volume(labels, affine, name="mask"), NAMES, "body")
    return mask, Volume(image.astype(np.int16), affine, taken)


@pytest.mark.parametrize("marrow", [0, 30, 80, 110])
@pytest.mark.parametrize("spacing", [(1, 1, 1), (0.7, 0.7, 1.5)])
def test_marrow_without_its_cortex_lies_on_bone(marrow, spacing):
    mask, image = column(marrow, spacing=spacing)
    placed, problems = on_grid(mask, image)
    assert problems == () and set(placed.structures) == {1, 2}


@pytest.mark.parametrize("marrow", [30, 80])
def test_in_thick_slices_marrow_is_not_refused(marrow):
    _, problems = on_grid(*column(marrow, spacing=(0.5, 0.5, 3)))
    assert {p.problem for p in problems} <= {"mask.doubtful_fit"}


@pytest.mark.parametrize("shift", [(0, 40, 0), (35, 0, 0), (-40, 0, 0), (0, 28, 0)])
def test_a_mask_of_bodies_beside_the_spine_is_still_refused(shift):
    with pytest.raises(InputProblem, match="do not lie on bone"):
        on_grid(*column(80, shift=shift))


def test_muscle_without_any_bone_is_refused():
    with pytest.raises(InputProblem, match="do not lie on bone"):
        on_grid(*column(50, cortex=50))


@pytest.mark.parametrize("shift", [(8, 0, 0), (0, 0, 9), (0, 0, 18)])
def test_a_shifted_mask_is_still_doubted(shift):
    mask, image = column(80, shift=shift)
    assert [p.problem for p in on_grid(mask, image)[1]] == ["mask.doubtful_fit"]
