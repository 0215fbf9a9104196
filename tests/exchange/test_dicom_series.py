import os
import resource
import shutil
import subprocess
import sys

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from endplate.exchange.dicom.pixels import claimed_size
from endplate.exchange.dicom.series import Identity, facts, find_series, identity
from endplate.facts import InputProblem
from endplate.posture import Posture

from dicom_series import AXIAL, CORONAL, SAGITTAL, enhanced, hounsfield, saved, slices, uid


def only(folder):
    """The one series in a folder, which must be usable."""
    found = find_series(folder)
    (series,) = found.series
    assert series.unusable == ""
    return series


def ids(found):
    return [problem.problem for problem in found.understood.problems]


def ignored(found):
    return [problem.problem for problem in found.understood.ignored]


# ---------------------------------------------------------------- values and geometry


def test_positions_make_the_geometry_and_nothing_else(tmp_path):
    saved(slices(), tmp_path)
    series = only(tmp_path)
    expected = [[0.6, 0, 0, -10], [0, 0.8, 0, 20], [0, 0, 2, 300], [0, 0, 0, 1]]
    assert series.affine == pytest.approx(np.array(expected))
    assert series.slice_spacing == pytest.approx(2)
    assert series.shape == (6, 8, 5)
    volume = series.volume()
    assert volume.array.dtype == np.int16
    assert np.array_equal(volume.array, hounsfield().transpose(2, 1, 0))
    assert series.acquisition.slice_thickness == 9


@pytest.mark.parametrize("orientation", [AXIAL, CORONAL, SAGITTAL, (0.8, 0.6, 0, -0.6, 0.8, 0)])
@pytest.mark.parametrize("direction", [1, -1])
def test_each_voxel_lies_where_its_header_says(tmp_path, orientation, direction):
    values = hounsfield()
    normal = np.cross(orientation[:3], orientation[3:])
    saved(slices(values, orientation=orientation, step=direction * 2 * normal), tmp_path)
    volume = only(tmp_path).volume()
    for n, r, c in [(0, 0, 0), (4, 7, 5), (2, 3, 1)]:
        at = (
            np.array([-10.0, 20.0, 300.0])
            + n * direction * 2 * normal
            + c * 0.6 * np.array(orientation[:3])
            + r * 0.8 * np.array(orientation[3:])
        )
        index = volume.to_index(at)
        assert index == pytest.approx(np.round(index), abs=1e-6)
        assert volume.array[tuple(np.round(index).astype(int))] == values[n, r, c]


@pytest.mark.parametrize(
    "syntax",
    [
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        RLELossless,
        JPEG2000Lossless,
        JPEGLSLossless,
    ],
)
def test_every_transfer_syntax_gives_the_same_values(tmp_path, syntax):
    values = hounsfield(rows=32, columns=32)
    saved(slices(values), tmp_path, syntax=syntax)
    assert np.array_equal(only(tmp_path).volume().array, values.transpose(2, 1, 0))


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian]
)
def test_files_without_preamble_are_read(tmp_path, syntax):
    for path in saved(slices(), tmp_path, syntax=syntax, preamble=False):
        path.rename(path.with_suffix(""))
    assert np.array_equal(only(tmp_path).volume().array, hounsfield().transpose(2, 1, 0))


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless])
def test_signed_values_in_twelve_of_sixteen_bits(tmp_path, syntax):
    values = hounsfield(rows=32, columns=32) % 4096 - 2048
    made = slices(values, signed=True, intercept=0, BitsStored=12, HighBit=11)
    saved(made, tmp_path, syntax=syntax)
    assert np.array_equal(only(tmp_path).volume().array, values.transpose(2, 1, 0))


@pytest.mark.parametrize("signed", [False, True])
def test_old_overlays_in_unused_bits_are_cleared(tmp_path, signed):
    values = hounsfield()
    intercept = 0 if signed else -1024
    made = slices(values, signed=signed, intercept=intercept, BitsStored=12, HighBit=11)
    for data in made:
        stored = np.frombuffer(data.PixelData, "<u2")
        data.PixelData = ((stored & 0x0FFF) | 0x8000).astype("<u2").tobytes()
    saved(made, tmp_path)
    assert np.array_equal(only(tmp_path).volume().array, values.transpose(2, 1, 0))


def test_each_slice_has_its_own_rescale(tmp_path):
    values = np.full((3, 4, 4), 500.0)
    made = slices(values, intercept=0)
    for n, data in enumerate(made):
        data.RescaleSlope, data.RescaleIntercept = n + 1, -0.5 * n
    saved(made, tmp_path)
    array = only(tmp_path).volume().array
    assert array.dtype == np.float32
    assert array[0, 0] == pytest.approx([500, 999.5, 1499])


def test_values_beyond_int16_are_kept(tmp_path):
    values = np.full((2, 4, 4), 40000)
    saved(slices(values), tmp_path)
    array = only(tmp_path).volume().array
    assert array.dtype == np.float32 and (array == 40000).all()


def test_a_modality_lookup_table_is_applied(tmp_path):
    table = Dataset()
    table.LUTDescriptor = [4, 0, 16]
    table.ModalityLUTType = "HU"
    table.LUTData = np.array([10, 20, 30, 40], "<u2").tobytes()
    table["LUTData"].VR = "OW"
    made = slices(np.arange(8).reshape(2, 2, 2) % 4, intercept=0)
    for data in made:
        del data.RescaleSlope, data.RescaleIntercept
        data.ModalityLUTSequence = Sequence([table])
    saved(made, tmp_path)
    assert only(tmp_path).volume().array[:, :, 0].T.ravel().tolist() == [10, 20, 30, 40]


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless])
def test_enhanced_multiframe(tmp_path, syntax):
    values = hounsfield(rows=32, columns=32)
    saved([enhanced(values, orientation=SAGITTAL, series="e")], tmp_path, syntax=syntax)
    saved(slices(values, orientation=SAGITTAL), tmp_path / "classic", syntax=syntax)
    one, other = find_series(tmp_path).series
    assert np.array_equal(one.volume().array, other.volume().array)
    assert one.affine == pytest.approx(other.affine)
    assert one.acquisition.tube_voltage == 120


def test_a_tilted_gantry_is_kept_as_a_shear_and_said(tmp_path):
    lean = np.tan(np.radians(15)) * 2
    saved(slices(step=(0, lean, 2)), tmp_path)
    series = only(tmp_path)
    assert series.tilt == pytest.approx(15)
    assert series.slice_spacing == pytest.approx(2)
    assert ids(find_series(tmp_path)) == ["dicom.gantry_tilt"]
    world = series.volume().to_world((0, 0, 4))
    assert world == pytest.approx((-10, 20 + 4 * lean, 308))


def test_listing_decodes_no_pixels(tmp_path, monkeypatch):
    saved(slices(hounsfield(rows=32, columns=32)), tmp_path, syntax=JPEG2000Lossless)

    def decode(*_, **__):
        raise AssertionError("decoded")

    monkeypatch.setattr("endplate.exchange.dicom.parts.voxels", decode)
    monkeypatch.setattr("endplate.exchange.dicom.series.voxels", decode)
    assert only(tmp_path).shape == (32, 32, 5)


# ---------------------------------------------------------------- what can be wrong


@pytest.mark.parametrize("gone", [1, 2, 3])
def test_a_missing_slice_makes_the_series_unusable(tmp_path, gone):
    made = slices()
    del made[gone]
    saved(made, tmp_path)
    found = find_series(tmp_path)
    assert ids(found) == ["dicom.missing_slice"]
    assert f"after slice {gone} of 4" in found.series[0].unusable
    with pytest.raises(InputProblem, match="Slices are missing"):
        found.series[0].volume()


def test_uneven_spacing_makes_the_series_unusable(tmp_path):
    made = slices()
    made[2].ImagePositionPatient[2] += 0.7
    saved(made, tmp_path)
    found = find_series(tmp_path)
    assert ids(found) == ["dicom.irregular_spacing"] and found.series[0].unusable


def test_a_slice_shifted_sideways_makes_the_series_unusable(tmp_path):
    made = slices()
    made[2].ImagePositionPatient[0] += 1.5
    saved(made, tmp_path)
    assert ids(find_series(tmp_path)) == ["dicom.irregular_spacing"]


def test_positions_rounded_to_a_tenth_are_even_enough(tmp_path):
    made = slices(hounsfield(40), distance=0.625)
    for data in made:
        data.ImagePositionPatient[2] = round(data.ImagePositionPatient[2], 1)
    saved(made, tmp_path)
    assert only(tmp_path).slice_spacing == pytest.approx(0.625, abs=0.002)


def test_exact_copies_are_dropped_and_counted(tmp_path):
    saved(slices(), tmp_path / "a")
    saved(slices()[1:3], tmp_path / "b")
    found = find_series(tmp_path)
    assert ids(found) == ["dicom.duplicate_slice"]
    assert "2 of 7 slices" in found.understood.problems[0].says
    assert np.array_equal(found.series[0].volume().array, hounsfield().transpose(2, 1, 0))


def test_different_pixels_in_one_place_make_the_series_unusable(tmp_path):
    other = slices(hounsfield() + 1)[2]
    other.SOPInstanceUID = uid("other")
    saved([*slices(), other], tmp_path)
    found = find_series(tmp_path)
    assert ids(found) == ["dicom.contradicting_slices"] and found.series[0].unusable


def test_two_phases_in_one_series_are_two_volumes(tmp_path):
    late = slices(hounsfield() + 100, series="late", SeriesInstanceUID=uid("series"))
    for data in late:
        data.AcquisitionNumber = 2
    saved([*slices(AcquisitionNumber=1), *late], tmp_path)
    found = find_series(tmp_path)
    assert ids(found) == ["dicom.several_phases"]
    first, second = found.series
    assert first.part == "1 of 2" and second.part == "2 of 2"
    assert (second.volume().array - first.volume().array == 100).all()


def test_stacks_of_different_orientation_are_separate_volumes(tmp_path):
    sagittal = slices(orientation=SAGITTAL, SeriesInstanceUID=uid("series"), series="second")
    saved([*slices(), *sagittal], tmp_path)
    found = find_series(tmp_path)
    assert ids(found) == ["dicom.mixed_orientation"]
    assert [one.unusable for one in found.series] == ["", ""]
    assert found.series[1].volume().directions[:, 0] == pytest.approx([0, 1, 0])


def test_one_slice_of_another_size_leaves_a_gap(tmp_path):
    made = slices()
    made[2].PixelSpacing = [0.8, 0.7]
    saved(made, tmp_path)
    found = find_series(tmp_path)
    assert set(ids(found)) == {"dicom.mixed_matrix", "dicom.missing_slice", "dicom.single_slice"}
    assert all(one.unusable for one in found.series)


def test_two_frames_of_reference_are_two_volumes(tmp_path):
    made = slices(hounsfield(6))
    for data in made[3:]:
        data.FrameOfReferenceUID = uid("another")
    saved(made, tmp_path)
    found = find_series(tmp_path)
    assert ids(found) == ["dicom.mixed_frame_of_reference"]
    assert [one.shape[2] for one in found.series] == [3, 3]


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless])
@pytest.mark.parametrize("place, left", [(2, None), (4, 4), (0, 4)])
def test_a_truncated_slice_is_missing_in_the_middle_and_shortens_at_an_end(
    tmp_path, syntax, place, left
):
    path = saved(slices(), tmp_path, syntax=syntax)[place]
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 20)
    found = find_series(tmp_path)
    assert "dicom.truncated_slice" in ids(found)
    (series,) = found.series
    if left is None:
        assert "dicom.missing_slice" in ids(found) and series.unusable
    else:
        assert series.volume().array.shape[2] == left


def test_an_unreadable_slice_in_the_middle_is_a_missing_one(tmp_path):
    path = saved(slices(), tmp_path)[2]
    path.write_bytes(path.read_bytes()[:200])
    found = find_series(tmp_path)
    assert "dicom.missing_slice" in ids(found) and found.series[0].unusable


def test_a_slice_without_a_position_is_left_out(tmp_path):
    made = slices()
    del made[4].ImagePositionPatient
    saved(made, tmp_path)
    found = find_series(tmp_path)
    assert ids(found) == ["dicom.no_position"]
    assert found.series[0].volume().array.shape[2] == 4


@pytest.mark.parametrize("bad", [["nan", "0", "0"], ["1e999", "0", "0"], ["a", "b", "c"]])
def test_a_position_that_is_no_number_is_none(tmp_path, bad):
    made = slices()
    for data in made:
        data.ImagePositionPatient = None
    paths = saved(made, tmp_path)
    raw = "\\".join(bad).encode().ljust(12)
    for path in paths:
        text = path.read_bytes()
        at = text.index(b"\x20\x00\x32\x00DS")
        head = text[: at + 6] + len(raw).to_bytes(2, "little") + raw
        path.write_bytes(head + text[at + 8 :])
    found = find_series(tmp_path)
    assert "dicom.no_position" in ids(found) and found.series[0].unusable


def test_slices_of_two_persons_are_refused(tmp_path):
    made = slices()
    made[3].PatientID = "TEST-2"
    saved(made, tmp_path)
    found = find_series(tmp_path)
    assert ids(found) == ["dicom.two_persons"] and found.series[0].unusable
    assert "TEST" not in str(found) + repr(found.series)


def test_ct_without_hounsfield_units_is_refused(tmp_path):
    saved(slices(RescaleType="Z_EFF"), tmp_path / "a")
    made = slices(series="b")
    for data in made:
        del data.RescaleSlope
    saved(made, tmp_path / "b")
    assert [bool(one.unusable) for one in find_series(tmp_path).series] == [True, True]
    assert set(ids(find_series(tmp_path))) == {"dicom.not_hounsfield"}


def test_inverted_mr_is_refused_and_inverted_ct_is_not(tmp_path):
    saved(slices(Modality="MR", PhotometricInterpretation="MONOCHROME1"), tmp_path / "mr")
    saved(slices(series="ct", PhotometricInterpretation="MONOCHROME1"), tmp_path / "ct")
    ct, mr = find_series(tmp_path).series
    assert ct.unusable == "" and "inverted" in mr.unusable


def test_a_compression_without_decoder_is_named(tmp_path):
    saved(slices(), tmp_path)
    for path in tmp_path.iterdir():  # the claim is enough: nothing is decoded
        data = dcmread(path)
        data.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.70"
        data.PixelData = b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0\x04\0\0\0\xff\xd8\xff\xd9"
        data["PixelData"].is_undefined_length = True
        data.save_as(path)
    series = find_series(tmp_path).series[0]
    if series.unusable:  # python-gdcm may be there
        assert "JPEG Lossless" in series.unusable
        assert any("python-gdcm" in hint for p in series.problems for hint in p.try_)
    else:
        with pytest.raises(InputProblem):
            series.volume()


@pytest.mark.peer
def test_jpeg_lossless_where_its_decoder_is_installed(tmp_path):
    pytest.importorskip("gdcm", reason="needs a decoder: pip install python-gdcm")
    if shutil.which("dcmcjpeg") is None:
        pytest.skip("needs dcmcjpeg: apt-get install dcmtk")
    values = hounsfield(rows=32, columns=32)
    for path in saved(slices(values), tmp_path / "plain"):
        (tmp_path / "jpeg").mkdir(exist_ok=True)
        command = ["/usr/bin/dcmcjpeg", "+e1", str(path), str(tmp_path / "jpeg" / path.name)]
        subprocess.run(command, check=True)
    series = only(tmp_path / "jpeg")
    assert series.planes[0].header.syntax.name.startswith("JPEG Lossless")
    assert np.array_equal(series.volume().array, values.transpose(2, 1, 0))


def test_what_is_no_image_is_set_aside_with_its_reason(tmp_path):
    kinds = {
        "dose": {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.88.67", "Modality": "SR"},
        "pdf": {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.104.1", "Modality": "DOC"},
        "capture": {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7", "Modality": "CT"},
        "mip": {"ImageType": ["DERIVED", "SECONDARY", "AXIAL", "MIP"]},
        "scout": {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
        "colour": {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"},
        "pet": {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.128", "Modality": "PT"},
    }
    for name, elements in kinds.items():
        saved(slices(series=name, **elements), tmp_path / name)
    found = find_series(tmp_path)
    assert found.series == () and ids(found) == []
    assert sorted(ignored(found)) == sorted(
        ["dicom.not_an_image"] * 4 + ["dicom.localizer", "dicom.colour", "dicom.projection"]
    )
    assert all(one.count == 5 for one in found.understood.ignored)


def test_several_studies_in_one_tree(tmp_path):
    saved(slices(), tmp_path / "a" / "b")
    saved(slices(series="other", StudyInstanceUID=uid("study 2")), tmp_path / "a")
    (tmp_path / "notes.txt").write_text("not an image")
    found = find_series([tmp_path])
    assert len({one.study_uid for one in found.series}) == 2
    assert found.understood.problems == ()


# ---------------------------------------------------------------- hostile files


def test_broken_files_are_problems_and_nothing_else(tmp_path):
    good = saved(slices(), tmp_path / "good")[0].read_bytes()
    (tmp_path / "empty.dcm").write_bytes(b"")
    (tmp_path / "text.dcm").write_text("this is no DICOM file, whatever its name says" * 10)
    (tmp_path / "header.dcm").write_bytes(good[:132])
    rng = np.random.default_rng(0)
    for n in range(300):
        broken = bytearray(good[: rng.integers(140, len(good))])
        for at in rng.integers(132, len(broken), size=8):
            broken[at] = rng.integers(256)
        (tmp_path / f"{n}.dcm").write_bytes(broken)
    found = find_series(tmp_path)
    assert {"dicom.empty_file", "dicom.not_dicom"} <= set(ids(found))
    for series in found.series:
        if not series.unusable:
            series.volume()


@pytest.mark.parametrize("rows, columns", [(65535, 65535), (4097, 8), (0, 0)])
def test_absurd_sizes_are_refused(tmp_path, rows, columns):
    saved(slices(Rows=rows, Columns=columns), tmp_path)
    found = find_series(tmp_path)
    assert found.series == () and set(ids(found)) <= {"dicom.too_large", "dicom.no_pixels"}


def test_a_deflated_file_is_refused_without_inflating_it(tmp_path):
    data = slices()[0]
    data.PixelData = bytes(2**24)
    saved([data], tmp_path, syntax=DeflatedExplicitVRLittleEndian)
    assert ids(find_series(tmp_path)) == ["dicom.deflated"]


def test_a_bomb_takes_no_memory(tmp_path):
    """A header that claims 4096 x 4096 x 60000 voxels over a few bytes."""
    data = enhanced(hounsfield())
    data.Rows = data.Columns = 4096
    item = data.PerFrameFunctionalGroupsSequence[0]
    data.NumberOfFrames = 2000
    data.PerFrameFunctionalGroupsSequence = Sequence([item] * 2000)
    path = saved([data], tmp_path)[0]
    code = (
        "import resource, sys; from pathlib import Path\n"
        "from endplate.exchange.dicom.series import find_series\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        f"found = find_series(Path({str(path)!r}))\n"
        "assert all(one.unusable for one in found.series), found\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 200 * 1024  # KiB
    assert resource.RUSAGE_SELF == 0


def test_a_compressed_slice_that_claims_another_size_is_not_decoded(tmp_path):
    saved(slices(hounsfield(rows=32, columns=32)), tmp_path, syntax=JPEG2000Lossless)
    path = sorted(tmp_path.iterdir())[0]
    text = bytearray(path.read_bytes())
    at = text.index(b"\xff\x4f\xff\x51")
    text[at + 8 : at + 16] = (60000).to_bytes(4, "big") * 2
    path.write_bytes(text)
    with pytest.raises(InputProblem, match="another size"):
        only(tmp_path).volume()


def test_the_claimed_size_of_each_codec():
    assert claimed_size(b"RLE data") is None
    jpeg = b"\xff\xd8\xff\xdb\x00\x04\x00\x00\xff\xc0\x00\x0b\x08\x00\x10\x00\x20\x01"
    assert claimed_size(jpeg) == (16, 32, 1)
    assert claimed_size(jpeg[:9]) is None


def test_a_loop_of_links_ends(tmp_path):
    saved(slices(), tmp_path / "a")
    os.symlink(tmp_path, tmp_path / "a" / "loop")
    assert len(find_series(tmp_path).series) == 1


# ---------------------------------------------------------------- how it was taken, and whose it is


def acquisition(tmp_path, **elements):
    shutil.rmtree(tmp_path / "x", ignore_errors=True)
    saved(slices(**elements), tmp_path / "x")
    return only(tmp_path / "x").acquisition


def test_what_the_header_tells(tmp_path):
    how = acquisition(tmp_path, ConvolutionKernel=["Br38f", "3"], ContrastBolusAgent="APPLIED")
    assert (how.modality, how.tube_voltage, how.kernel) == ("CT", 120, "Br38f 3")
    assert (how.posture, how.scanner) == (Posture.SUPINE, "Maker Model")
    assert how.on.isoformat() == "2024-01-02"
    assert how.contrast is True


def test_contrast_is_never_assumed(tmp_path):
    assert acquisition(tmp_path).contrast is None
    assert acquisition(tmp_path, ContrastBolusAgent="").contrast is None
    assert acquisition(tmp_path, ContrastBolusAgent="none").contrast is False
    assert acquisition(tmp_path, ContrastBolusAgent="Omnipaque").contrast is True
    assert acquisition(tmp_path, ContrastBolusVolume=80).contrast is True
    oral = {"ContrastBolusAgent": "Omnipaque", "ContrastBolusRoute": "Oral"}
    assert acquisition(tmp_path, **oral).contrast is None
    both = {"ContrastBolusAgent": "Omnipaque", "ContrastBolusRoute": "Oral & IV"}
    assert acquisition(tmp_path, **both).contrast is True


def test_contrast_in_one_slice_is_contrast(tmp_path):
    made = slices(ContrastBolusAgent="none")
    made[2].ContrastBolusAgent = "Omnipaque"
    saved(made, tmp_path)
    assert only(tmp_path).acquisition.contrast is True


def test_a_description_is_a_doubt_and_no_fact(tmp_path):
    saved(slices(SeriesDescription="Abdomen venous"), tmp_path)
    assert only(tmp_path).acquisition.contrast is None
    assert ids(find_series(tmp_path)) == ["dicom.contrast_perhaps"]


def test_what_differs_between_slices_is_unknown(tmp_path):
    made = slices()
    made[1].KVP = 80
    made[2].PatientPosition = "HFP"
    saved(made, tmp_path)
    how = only(tmp_path).acquisition
    assert how.tube_voltage is None and how.posture is Posture.UNKNOWN
    assert ids(find_series(tmp_path)) == ["dicom.mixed_acquisition"] * 2


@pytest.mark.parametrize("written, tesla", [(1.5, 1.5), (15000, 1.5), (30000, 3.0), (1500, None)])
def test_field_strength_in_tesla_or_gauss(tmp_path, written, tesla):
    how = acquisition(tmp_path, Modality="MR", MagneticFieldStrength=written)
    assert how.field_strength == tesla


def test_facts_of_a_series(tmp_path):
    saved(slices(ConvolutionKernel="B30"), tmp_path)
    told = {fact.what: fact for fact in facts(only(tmp_path)).facts}
    assert told["imaging.slice_spacing"].number == pytest.approx(2)
    assert told["imaging.ct.kernel"].value == "B30"
    assert "imaging.ct.contrast" not in told
    assert told["person.birth_date"].value == "1957-02-03"
    assert told["person.sex"].value == "female"
    assert told["imaging.posture"].value == "supine"
    assert all(f.source == f"SeriesInstanceUID {uid('series')}" for f in told.values())


def test_the_identity_of_any_file(tmp_path):
    path = saved(slices(), tmp_path)[0]
    assert identity(path) == Identity("TEST-1", "", "19570203", "F")
    assert identity(tmp_path / "absent.dcm") == Identity()


def test_a_path_that_is_not_there_is_told(tmp_path):
    assert ids(find_series(tmp_path / "absent")) == ["dicom.no_such_file"]


def test_identities_contradict_or_do_not():
    one = Identity("A1", "", "19570203", "F")
    assert one.contradicts(Identity("a1", "", "", "")) == ()
    assert one.contradicts(Identity("B2", "clinic", "19570203", "F")) == ()
    other = Identity("B2", "", "19570204", "M")
    assert one.contradicts(other) == ("patient identifier", "birth date", "sex")
    assert "A1" not in repr(one)


# ---------------------------------------------------------------- real data


def test_a_real_ct_is_two_millimetres_apart_whatever_its_thickness(shared_data):
    series = only(shared_data / "imaging" / "totalsegmentator" / "example_ct_dicom")
    assert series.slice_spacing == pytest.approx(2.0)
    assert series.acquisition.slice_thickness == 3
    assert series.acquisition.contrast is True
    assert series.acquisition.kernel == "Br38f 3"
    assert series.planes[0].header.syntax == JPEG2000Lossless
    assert series.volume().array.shape == (512, 512, 20)


def test_a_real_ct_of_three_slices(shared_data):
    folder = shared_data / "imaging" / "dcmqi" / "segmentations" / "ct-3slice"
    assert only(folder).shape == (512, 512, 3)


# ---------------------------------------------------------------- further named faults


def test_a_series_without_a_uid_is_taken_by_folder(tmp_path):
    saved(slices(SeriesInstanceUID=""), tmp_path / "a")
    saved(slices(hounsfield() + 1, SeriesInstanceUID=""), tmp_path / "b")
    found = find_series(tmp_path)
    assert [one.shape[2] for one in found.series] == [5, 5]
    assert set(ids(found)) == {"dicom.no_series_uid"}


def test_a_series_of_which_nothing_is_left(tmp_path):
    saved(slices(ImagePositionPatient=None), tmp_path)
    found = find_series(tmp_path)
    assert ids(found) == ["dicom.no_position", "dicom.no_volume"] and found.series[0].unusable


def test_an_unstated_unit_is_taken_as_hounsfield_and_said(tmp_path):
    saved(slices(RescaleType="US"), tmp_path)
    assert ids(find_series(tmp_path)) == ["dicom.unit_unstated"]
    assert only(tmp_path).unusable == ""


def test_a_description_as_localizer_is_said(tmp_path):
    saved(slices(SeriesDescription="3-plane loc survey"), tmp_path)
    assert ids(find_series(tmp_path)) == ["dicom.localizer_perhaps"]


def test_another_modality_in_a_ct_object_is_set_aside(tmp_path):
    saved(slices(Modality="PT"), tmp_path)
    assert ignored(find_series(tmp_path)) == ["dicom.other_modality"]


@pytest.mark.parametrize("elements", [{"BitsAllocated": 12}, {"HighBit": 20}, {"BitsStored": 17}])
def test_an_unusual_form_of_pixels_is_refused(tmp_path, elements):
    saved(slices(**elements), tmp_path)
    assert set(ids(find_series(tmp_path))) == {"dicom.pixel_format"}


def test_frames_without_a_place_are_refused(tmp_path):
    plain = slices()[0]
    plain.NumberOfFrames = 2
    fewer = enhanced(hounsfield(), series="e")
    fewer.NumberOfFrames = 4
    saved([plain, fewer], tmp_path)
    assert ids(find_series(tmp_path)) == ["dicom.frames_without_place"] * 2


def test_a_broken_lookup_table_is_told(tmp_path):
    table = Dataset()
    table.LUTDescriptor = [4, 0, 16]
    table.LUTData = b"\0\0"
    table["LUTData"].VR = "OW"
    saved(slices(ModalityLUTSequence=Sequence([table])), tmp_path)
    with pytest.raises(InputProblem, match="Modality LUT"):
        only(tmp_path).volume()


def test_a_slice_that_cannot_be_decoded_is_told(tmp_path):
    for path in saved(slices(hounsfield(rows=32, columns=32)), tmp_path, syntax=JPEG2000Lossless):
        text = bytearray(path.read_bytes())
        at = text.index(b"\xff\x4f\xff\x51")
        text[at + 60 : at + 160] = bytes(100)
        path.write_bytes(text)
    with pytest.raises(InputProblem, match="could not be decoded"):
        only(tmp_path).volume()


def test_a_file_that_cannot_be_opened_is_told(tmp_path, monkeypatch):
    from pathlib import Path

    path = saved(slices(), tmp_path)[4]
    whole = Path.open

    def refuse(self, *arguments, **options):
        if self == path:
            raise PermissionError(13, "Permission denied")
        return whole(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    assert ids(find_series(tmp_path)) == ["dicom.cannot_open"]
