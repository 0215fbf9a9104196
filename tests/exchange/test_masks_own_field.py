"""A mask drawn on a part of the image, which cuts through a vertebra."""

import numpy as np
import pytest

from endplate.exchange.case import joined
from endplate.exchange.masks import on_grid
from endplate.images.volume import Mask, Volume
from label_maps import ct_of, spine

NAMES = {1: "L5", 2: "L4", 3: "L3", 4: "spinal_canal"}
CANAL = (4, (slice(18, 21), slice(21, 26), slice(0, 52)))


def cropped(low, high=(40, 40, 52), *, array=None, **of):
    """A spine's image, and the mask of a part of it."""
    whole = spine([1, 2, 3], whole=True, extra=[CANAL])
    part = whole.cropped(low, high)
    array = part.array if array is None else array
    return ct_of(whole), Mask(Volume(array, part.affine, name="mask", **of), NAMES)


@pytest.mark.parametrize(
    "low, high, cut",
    [
        ((0, 0, 12), (40, 40, 52), "L5"),
        ((0, 0, 0), (40, 40, 36), "L3"),
        ((19, 0, 0), (40, 40, 52), "L5, L4, L3"),
    ],
)
@pytest.mark.parametrize("flip", [False, True])
def test_a_vertebra_cut_by_the_masks_own_field_is_told(low, high, cut, flip):
    image, mask = cropped(low, high)
    if flip:
        volume = mask.volume
        affine = volume.affine.copy()
        affine[:3, 3] = volume.to_world((volume.array.shape[0] - 1, 0, volume.array.shape[2] - 1))
        affine[:, [0, 2]] *= -1
        mask = Mask(Volume(volume.array[::-1, :, ::-1], affine, name="mask"), NAMES)
    placed, problems = on_grid(mask, image)
    assert [p.problem for p in problems] == ["mask.cut_by_its_own_field"]
    assert f"cuts {cut} where" in problems[0].says
    assert placed.cut == set(cut.split(", "))
    csf = Mask(Volume(np.zeros_like(placed.volume.array), image.affine), {1: "csf"})
    assert joined([placed, csf]).cut == placed.cut


def test_a_mask_that_ends_between_vertebrae_or_with_the_image_is_not_cut():
    image, mask = cropped((0, 0, 18))
    placed, problems = on_grid(mask, image)
    assert problems == () and placed.cut == frozenset()
    image, mask = cropped((0, 0, 12))
    short = image.cropped((0, 0, 12), (40, 40, 50))
    placed, problems = on_grid(mask, short)
    assert placed.cut == frozenset()


def test_a_mask_cropped_to_its_labels_is_not_cut():
    """A rounded body meets the border with the few voxels that are its outermost."""
    index = np.indices((40, 40, 40)) - 20
    whole = Volume((np.sqrt((index**2).sum(axis=0)) <= 12).astype(np.uint8), np.eye(4))
    image = ct_of(whole)
    image.array[0] = -1000
    part = whole.cropped((8, 8, 8), (33, 33, 33))
    placed, problems = on_grid(Mask(part, {1: "L3"}), image)
    assert placed.cut == frozenset() and problems == ()
    half = whole.cropped((8, 8, 20), (33, 33, 33))
    assert on_grid(Mask(half, {1: "L3"}), image)[0].cut == {"L3"}


def test_a_dicom_segmentation_without_its_empty_slices_is_not_cut():
    image, mask = cropped((0, 0, 8), (40, 40, 40), uid="1.2.3")
    assert on_grid(mask, image)[0].cut == frozenset()
