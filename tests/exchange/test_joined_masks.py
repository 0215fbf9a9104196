import numpy as np

from endplate.exchange.case import joined
from endplate.images.volume import Mask, Volume
from label_maps import spine


def test_a_joined_structure_takes_the_number_of_no_label_that_is_there():
    """A label without a name lies in the base map, one above the highest that has one."""
    unnamed = (4, (slice(30, 33), slice(30, 33), slice(8, 12)))
    base = spine([1, 2, 3], whole=True, extra=[unnamed])
    sac = np.zeros_like(base.array)
    sac[18:21, 21:25] = 1
    sac[base.array > 0] = 0
    found = joined([
        Mask(base, {1: "L5", 2: "L4", 3: "L3"}),
        Mask(Volume(sac, base.affine), {1: "csf"}),
    ])  # fmt: skip
    (number,) = (label for label, structure in found.structures.items() if structure == "csf")
    assert np.array_equal(found.volume.array == number, sac == 1)
    assert np.array_equal(found.volume.array == 4, base.array == 4)


def test_a_doubt_about_the_levels_stays_when_masks_are_joined():
    base = spine([1, 2, 3], whole=True)
    doubtful = Mask(base, {1: "L5", 2: "L4", 3: "L3"}, levels_doubtful=True)
    cord = np.zeros_like(base.array)
    cord[:2] = 1
    assert joined([doubtful, Mask(Volume(cord, base.affine), {1: "spinal_cord"})]).levels_doubtful
