"""What a folder of single structures, and a search for a mask's image, hold in memory."""

import tracemalloc

import numpy as np

from endplate.exchange.masks import read_masks
from endplate.images.volume import Volume
from label_maps import nifti

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
