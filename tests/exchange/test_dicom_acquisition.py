import pytest

from endplate.exchange.dicom.series import find_series

from dicom_series import saved, slices


def read(folder, **elements):
    saved(slices(**elements), folder)
    (series,) = find_series(folder).series
    return series


@pytest.mark.parametrize(
    "text, contrast",
    [
        ("NO CONTRAST", False),
        ("without contrast", False),
        ("w/o", False),
        ("W/O IV CONTRAST", False),
        ("no contrast given", False),
        ("Non-contrast", False),
        ("native", False),
        ("NONE ", False),
        ("unenhanced CT", False),
        ("N/A", None),
        ("n.a.", None),
        ("Unknown", None),
        ("?", None),
        ("no oral contrast", None),
        ("APPLIED", True),
        ("IV CONTRAST", True),
        ("NONIONIC", True),
        ("Non-ionic contrast", True),
        ("Omnipaque 350", True),
        ("350", True),
    ],
)
def test_words_that_deny_contrast_are_no_agent(tmp_path, text, contrast):
    assert read(tmp_path, ContrastBolusAgent=text).acquisition.contrast is contrast


def test_a_denial_beside_a_volume_is_no_denial(tmp_path):
    how = read(tmp_path, ContrastBolusAgent="none", ContrastBolusVolume=80).acquisition
    assert how.contrast is True


@pytest.mark.parametrize(
    "elements",
    [
        {"ImageType": ["DERIVED", "SECONDARY", "AXIAL", "MONOENERG_70KEV"]},
        {"ImageType": ["DERIVED", "SECONDARY", "AXIAL", "MONOENERGETIC"]},
        {"ImageType": ["DERIVED", "SECONDARY", "AXIAL", "VMI"]},
        {"SeriesDescription": "Mono 70 keV"},
        {"SeriesDescription": "Spine MonoE 1.0"},
        {"SeriesDescription": "Mono+ 50"},
        {"SeriesDescription": "LSP_mono_e_70"},
        {"SeriesDescription": "monoenergetic"},
        {"SeriesDescription": "70keV sagittal"},
        {"ProtocolName": "GSI monochromatic"},
    ],
)
def test_a_virtual_monoenergetic_ct_has_no_tube_voltage(tmp_path, elements):
    series = read(tmp_path, **elements)
    assert series.acquisition.tube_voltage is None
    assert "dicom.virtual_monoenergetic" in series.volume().problems
    assert [p.problem for p in series.problems] == ["dicom.virtual_monoenergetic"]


@pytest.mark.parametrize("text", ["Spine 120 kV", "monosegmental L4", "harmonoe", "mono phase"])
def test_other_descriptions_leave_the_tube_voltage(tmp_path, text):
    series = read(tmp_path, SeriesDescription=text)
    assert series.acquisition.tube_voltage == 120 and series.problems == ()
