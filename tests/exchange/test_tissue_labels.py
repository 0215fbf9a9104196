"""Masks of tissues: by file names, by a stated system, and joined with a mask of vertebrae."""

import numpy as np
import pytest

from endplate.exchange.case import joined
from endplate.exchange.masks import read_mask
from endplate.facts import InputProblem
from endplate.images.labels import structure_named
from endplate.images.volume import Mask, Volume
from label_maps import nifti, spine


@pytest.mark.parametrize("name", ["skeletal_muscle", "subcutaneous_fat", "torso_fat"])
def test_tissues_are_known_by_name(name):
    assert structure_named(name) == name


@pytest.mark.parametrize("name", ["muscle", "skeletal_muscle_left", "intermuscular_fat"])
def test_a_part_of_the_muscle_is_not_taken_for_all_of_it(name):
    assert structure_named(name) is None


def test_a_folder_of_tissues_needs_no_system(tmp_path):
    base = spine([1])
    for number, name in enumerate(("skeletal_muscle", "torso_fat"), 1):
        array = np.zeros_like(base.array)
        array[number * 5 : number * 5 + 3, 2:6, 4:9] = 1
        nifti(Volume(array, base.affine), tmp_path / f"{name}.nii.gz")
    mask, _ = read_mask(tmp_path)
    assert set(mask.structures.values()) == {"skeletal_muscle", "torso_fat"}


def test_numbers_of_tissues_are_taken_only_where_the_system_is_stated(tmp_path):
    base = spine([1])
    array = np.zeros_like(base.array)
    array[2:30, 2:6, 4:9], array[2:30, 8:12, 4:9] = 1, 3
    path = nifti(Volume(array, base.affine), tmp_path / "tissues.nii.gz")
    with pytest.raises(InputProblem):
        read_mask(path)
    mask, _ = read_mask(path, "totalsegmentator_tissue_types")
    assert mask.structures == {1: "subcutaneous_fat", 3: "skeletal_muscle"}


def test_a_wall_joined_with_single_muscles_keeps_both():
    base = spine([1, 2], extra=[(9, (slice(2, 8), slice(20, 26), slice(8, 20)))])
    wall = np.zeros_like(base.array)
    wall[1:10, 18:30, 8:20] = 1
    found = joined([
        Mask(base, {1: "L4", 2: "L3", 9: "iliopsoas_right"}),
        Mask(Volume(wall, base.affine), {1: "skeletal_muscle"}),
    ])  # fmt: skip
    numbers = {s: n for n, s in found.structures.items()}
    together = np.isin(found.volume.array, [numbers["skeletal_muscle"], numbers["iliopsoas_right"]])
    assert np.array_equal(together, (wall == 1) & ~np.isin(base.array, (1, 2)))
