"""What a folder of single structures, and a search for a mask's image, hold in memory."""

import tracemalloc

import numpy as np
import pytest

from endplate.exchange.case import CaseImage, paired
from endplate.exchange.masks import read_masks
from endplate.facts import InputProblem
from endplate.images.volume import Acquisition, Mask, Volume
from label_maps import ct_of, nifti, spine

SHAPE = (160, 160, 160)


def peak(work):
    """The most bytes that were held while working, and what came out."""
    tracemalloc.start()
    try:
        made = work()
        return tracemalloc.get_traced_memory()[1], made
    finally:
        tracemalloc.stop()


def test_a_folder_of_structures_is_read_file_by_file(tmp_path):
    names = [f"rib_{side}_{n}" for side in ("left", "right") for n in range(1, 13)]
    for name in names:
        nifti(Volume(np.zeros(SHAPE, np.uint8), np.eye(4)), tmp_path / f"{name}.nii.gz")
    for n, name in enumerate(("vertebrae_L3", "vertebrae_L4")):
        array = np.zeros(SHAPE, np.uint8)
        array[60:100, 60:90, 100 - 40 * n : 128 - 40 * n] = 1
        nifti(Volume(array, np.eye(4)), tmp_path / f"{name}.nii.gz")
    held, (mask, _) = peak(lambda: read_masks(tmp_path.iterdir()))
    assert sorted(mask.structures.values()) == ["L3", "L4"]
    assert held < 12 * np.prod(SHAPE)


def test_more_structures_than_a_byte_has_numbers(tmp_path):
    from endplate.exchange.nrrd import Merged

    merged = Merged()
    for n in range(300):
        merged.add(np.arange(300).reshape(3, 10, 10) == n, f"segment {n}", "m")
    assert np.array_equal(merged.array.ravel(), np.arange(1, 301)) and not merged.problems


# ---------------------------------------------------------------- the image of a mask


def images(count, loads, *, step=600.0, uid=""):
    """Cases of one spine, `step` mm apart, and as many megabytes of empty space beside it."""

    def image(n):
        def load():
            loads.append(n)
            volume = ct_of(spine([1, 2, 3], whole=True))
            array = np.full((40, 40, 2000), -1000, np.int16)
            array[..., : volume.array.shape[2]] = volume.array
            affine = volume.affine.copy()
            affine[0, 3] += n * step
            return Volume(array, affine, name=f"image {n}", uid=f"{uid}{n}")

        return CaseImage(f"image {n}", Acquisition(modality="CT"), f"{uid}{n}", load)

    return [image(n) for n in range(count)]


def mask(**of):
    volume = spine([1, 2, 3], whole=True)
    names = {1: "L5", 2: "L4", 3: "L3"}
    return Mask(Volume(volume.array, volume.affine, name="mask", **of), names)


def test_images_that_a_mask_does_not_fit_are_not_kept():
    loads: list[int] = []
    held, (pairs, _) = peak(lambda: paired(images(8, loads), [mask()]))
    ((volume, _),) = pairs
    assert volume.name == "image 0" and loads == list(range(8))
    assert held < 4 * volume.array.nbytes


def test_an_image_that_the_mask_names_is_the_only_one_loaded():
    loads: list[int] = []
    ((volume, _),), _ = paired(images(3, loads, step=0, uid="1.2."), [mask(uid="1.2.1")])
    assert volume.name == "image 1" and loads == [1]


def test_the_image_with_the_grid_of_the_mask_is_preferred():
    loads: list[int] = []
    others = images(2, loads, step=0)
    same = CaseImage("same", Acquisition(), "", lambda: ct_of(mask().volume))
    for order in ([same, *others], [*others, same]):
        ((volume, _),), _ = paired(order, [mask()])
        assert volume.array.shape == mask().volume.array.shape
    with pytest.raises(InputProblem, match="fits 2 images"):
        paired(others, [mask()])
    with pytest.raises(InputProblem, match="inside the image"):
        paired(images(3, loads)[1:], [mask()])


def test_two_masks_of_one_image_are_joined_on_it():
    loads: list[int] = []
    sac = np.zeros_like(mask().volume.array)
    sac[18:21, 22:25, 8:40] = 1
    csf = Mask(Volume(sac, mask().volume.affine, name="csf"), {1: "csf"})
    pairs, _ = paired(images(2, loads), [mask(), csf])
    assert len(pairs) == 1 and set(pairs[0][1].structures.values()) == {"L5", "L4", "L3", "csf"}
    assert loads == [0, 1]
