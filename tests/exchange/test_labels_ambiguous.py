"""Numbers that two systems use: the one that fits nothing else is not taken without asking."""

import numpy as np
import pytest

from endplate.facts import InputProblem
from endplate.images.labels import recognise, system
from endplate.images.volume import Volume
from label_maps import spine


def cervical(labels, *, cut=False, scale=0.5):
    """Whole vertebrae of the neck from below upwards; the field cuts both ends or none."""
    volume = spine(labels, whole=True)
    if cut:
        filled = np.flatnonzero(volume.array.any(axis=(0, 1)))
        volume = volume.cropped((0, 0, filled[0] + 1), (40, 40, filled[-1]))
    return Volume(volume.array, volume.affine @ np.diag([scale] * 3 + [1]), name="mask")


@pytest.mark.parametrize("labels", [[46, 47], [44, 45], [42, 43], [41, 42]])
def test_numbers_of_levels_are_not_taken_for_parts(labels):
    """Cut by the field, so that no size tells; TotalSegmentator or SPINEPS."""
    with pytest.raises(InputProblem, match=r"totalsegmentator and spineps\. Say"):
        recognise(cervical(labels, cut=True))
    assert recognise(cervical(labels, cut=True), by=system("totalsegmentator"))[0].structures


@pytest.mark.parametrize("labels", [[46, 47], [41, 42, 43]])
def test_a_child_is_not_taken_for_parts(labels):
    """Entire, and smaller than an adult's vertebrae."""
    with pytest.raises(InputProblem, match="totalsegmentator and spineps"):
        recognise(cervical(labels, scale=0.2))


@pytest.mark.parametrize("label", [41, 49])
def test_a_single_number_is_not_taken_for_parts(label):
    with pytest.raises(InputProblem, match="and spineps"):
        recognise(cervical([label]))


def test_parts_that_follow_no_order_are_still_told_by_their_numbers():
    parts = spine([49, 49, 49], whole=False, extra=[
        (41, np.s_[18:20, 22:24, 10:40]), (42, np.s_[18:20, 26:30, 8:38]),
        (45, np.s_[14:16, 22:24, 14:44]), (47, np.s_[14:16, 24:26, 8:30]),
        (100, np.s_[20, 12, 17]),
    ])  # fmt: skip
    assert recognise(parts)[0].system == "spineps"
