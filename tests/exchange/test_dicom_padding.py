"""Padding is no measured value: it becomes air, and what was measured stays."""

import numpy as np
import pytest

from endplate.exchange.dicom.padding import AIR_HU
from endplate.exchange.dicom.series import find_series

from dicom_series import hounsfield, saved, slices

CORNER = (slice(None), slice(0, 3), slice(0, 2))
PLACE = (slice(0, 2), slice(0, 3))  # the same in (column, row) of the volume


def read(folder, stored, *, signed, edit=None, **elements):
    """The volume of a series whose stored values are given as they lie in the file."""
    made = slices(hounsfield(), signed=signed, **elements)
    for data, plane in zip(made, stored, strict=True):
        data.PixelData = plane.astype("<u2").tobytes()  # modulo 2**16
        if edit:
            edit(data)
    saved(made, folder)
    (series,) = find_series(folder).series
    assert series.unusable == ""
    return series.volume().array


@pytest.mark.parametrize(
    "signed, intercept, padding",
    [
        (False, -1024, 63536),
        (True, 0, 32767),
        (True, 0, -2000),
        (True, 0, 3071),
        (False, -1024, 0),
        (False, -1024, 4095),
    ],
)
@pytest.mark.parametrize("slope", [1, 2])
def test_padding_is_air_and_nothing_else_is_changed(tmp_path, signed, intercept, padding, slope):
    stored = hounsfield() - intercept
    stored[CORNER] = padding
    vr = "US" if padding > 32767 else "SS" if padding < 0 or signed else "US"

    def edit(data):
        data.add_new("PixelPaddingValue", vr, padding)

    found = read(tmp_path, stored, signed=signed, intercept=intercept, edit=edit,
                 RescaleSlope=slope)  # fmt: skip
    expected = ((hounsfield() - intercept) * slope + intercept).transpose(2, 1, 0)
    expected[PLACE] = AIR_HU
    assert np.array_equal(found, expected)
    assert found.dtype == (np.int16 if slope == 1 else np.float32)


def test_a_range_of_padding(tmp_path):
    stored = hounsfield()
    stored[CORNER] = np.array([[-2000, -1990], [-1950, -1999], [-2001, -2000]])
    found = read(tmp_path, stored, signed=True, intercept=0, PixelPaddingValue=-2000,
                 PixelPaddingRangeLimit=-1950)  # fmt: skip
    assert (found[:2, :2] == AIR_HU).all()
    assert (found[0, 2] == -2001).all() and (found[1, 2] == AIR_HU).all()


def test_padding_in_the_bits_that_are_not_stored(tmp_path):
    """-2000 in a file of 12 bits without a sign: only all 16 bits tell it from a value."""
    stored = hounsfield() + 1024
    stored[CORNER] = 63536

    def edit(data):
        data.BitsStored, data.HighBit = 12, 11
        data.add_new("PixelPaddingValue", "US", 63536)

    found = read(tmp_path, stored, signed=False, edit=edit)
    assert (found[PLACE] == AIR_HU).all() and (found[3:] == hounsfield().T[3:]).all()


def test_a_measured_value_that_equals_the_padding_stays(tmp_path):
    """Zero is padding at the edge, and water within the body."""
    values = np.full((3, 8, 8), 50)
    values[:, 0] = values[:, :, 0] = 0
    values[:, 4, 4] = 0
    made = slices(values, signed=True, intercept=0, PixelPaddingValue=0)
    saved(made, tmp_path)
    found = find_series(tmp_path).series[0].volume().array
    assert (found[0] == AIR_HU).all() and (found[:, 0] == AIR_HU).all()
    assert (found[4, 4] == 0).all() and (found[1:, 1:] == values.T[1:, 1:]).all()


def test_padding_of_an_mr_is_no_signal(tmp_path):
    values = np.full((3, 8, 8), 50)
    values[:, 0] = 4095
    saved(slices(values, signed=True, intercept=0, Modality="MR", PixelPaddingValue=4095), tmp_path)
    found = find_series(tmp_path).series[0].volume().array
    assert (found[:, 0] == 0).all() and (found[:, 1:] == 50).all()
