"""Acquisitions of one series that take turns from slice to slice."""

import numpy as np
import pytest

from endplate.exchange.dicom.series import find_series

from dicom_series import hounsfield, saved, slices


def series(folder, values, keyword="AcquisitionNumber", count=8, **elements):
    made = slices(hounsfield(count), **elements)
    for data, value in zip(made, values, strict=True):
        setattr(data, keyword, value)
    saved(made, folder)
    return find_series(folder)


@pytest.mark.parametrize(
    "keyword, values",
    [
        ("AcquisitionNumber", (1, 2)),
        ("KVP", (80, 140)),
        ("ContrastBolusAgent", ("", "Omnipaque")),
        ("ConvolutionKernel", ("B30f", "B70f")),
    ],
)
def test_acquisitions_that_take_turns_are_volumes_of_their_own(tmp_path, keyword, values):
    found = series(tmp_path, values * 4, keyword)
    assert [p.problem for p in found.understood.problems] == ["dicom.interleaved_acquisitions"]
    assert [one.part for one in found.series] == ["1 of 2", "2 of 2"]
    for n, one in enumerate(found.series):
        assert one.unusable == "" and one.slice_spacing == pytest.approx(4)
        assert np.array_equal(one.volume().array, hounsfield(8)[n::2].transpose(2, 1, 0))


@pytest.mark.parametrize(
    "numbers",
    [
        (1, 1, 1, 1, 2, 2, 2, 2),  # one after the other
        (1, 2, 3, 4, 5, 6, 7, 8),  # one each
        (1, 1, 2, 2, 3, 3, 4, 4),  # one each rotation
        (1, 1, 1, 2, 1, 2, 2, 2),  # overlapping where they meet
        (1, 1, 1, 2, 1, 1, 1, 1),  # one that differs
    ],
)
def test_acquisitions_one_after_the_other_are_one_volume(tmp_path, numbers):
    found = series(tmp_path, numbers)
    assert len(found.series) == 1 and found.understood.problems == ()


def test_an_mr_is_acquired_in_turns_by_right(tmp_path):
    found = series(tmp_path, (1, 2) * 4, Modality="MR")
    assert len(found.series) == 1 and found.understood.problems == ()
