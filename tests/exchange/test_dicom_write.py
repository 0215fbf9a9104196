import shutil
import subprocess
from datetime import date

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless

from endplate.exchange.dicom.series import Identity, facts, find_series
from endplate.exchange.dicom.write import write_segmentation, write_series
from endplate.exchange.masks import on_grid, read_mask
from endplate.images.volume import Acquisition, Mask, Volume
from endplate.posture import Posture
from label_maps import ct_of, nifti, spine

SHAPE = (6, 5, 4)
TAKEN = Acquisition(
    modality="CT", on=date(2025, 3, 1), patient_position="HFS", tube_voltage=120, kernel="Br38"
)


def values(shape=SHAPE):
    return np.arange(np.prod(shape), dtype=np.int16).reshape(shape) - 60


def turned(x, y, z):
    """Rotation about the three axes, degrees."""
    a, b, c = np.radians([x, y, z])
    about_x = [[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]]
    about_y = [[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]]
    about_z = [[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]]
    return np.array(about_x) @ about_y @ about_z


def affine(directions, spacing, origin):
    found = np.eye(4)
    found[:3, :3] = directions * spacing
    found[:3, 3] = origin
    return found


def same_world(one: Volume, other: Volume, tolerance=1e-3):
    """Whether both volumes have the same values in the same places."""
    index = np.indices(one.array.shape).reshape(3, -1).T
    there = other.to_index(one.to_world(index))
    nearest = np.rint(there).astype(int)
    apart = np.abs(other.to_world(nearest) - one.to_world(index)).max()
    equal = one.array.reshape(-1) == other.array[tuple(nearest.T)]
    return one.array.size == other.array.size and apart < tolerance and bool(equal.all())


def back(folder):
    (series,) = find_series(folder).series
    return series.volume()


AXIAL = np.eye(3)
SAGITTAL = np.array([[0, 0, 1.0], [1, 0, 0], [0, -1, 0]])
TILTED = np.array([[1, 0, 0], [0, 1, np.sin(np.radians(12))], [0, 0, np.cos(np.radians(12))]])


@pytest.mark.parametrize(
    "directions",
    [AXIAL, SAGITTAL, TILTED, turned(20, -35, 50), AXIAL * [-1, 1, 1], AXIAL * [1, 1, -1]],
    ids=["axial", "sagittal", "tilted", "oblique", "mirrored", "feet first"],
)
def test_every_voxel_comes_back_to_its_place(tmp_path, directions):
    made = Volume(values(), affine(directions, (0.7, 0.8, 2.5), (-120.25, 33.1, 840.7)), TAKEN)
    write_series(made, tmp_path, seed="x")
    assert same_world(made, back(tmp_path))


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.tuples(*[st.floats(-180, 180)] * 3),
    st.tuples(*[st.floats(0.2, 6)] * 3),
    st.tuples(*[st.floats(-1500, 1500)] * 3),
    st.tuples(st.floats(-0.4, 0.4), st.floats(-0.4, 0.4)),
    st.sampled_from([-1, 1]),
)
def test_every_geometry_comes_back(tmp_path, angles, spacing, origin, lean, mirror):
    directions = turned(*angles)
    directions[:, 2] = mirror * (directions[:, 2] + directions[:, :2] @ lean)
    made = Volume(values(), affine(directions, spacing, origin), TAKEN)
    shutil.rmtree(tmp_path / "ct", ignore_errors=True)
    write_series(made, tmp_path / "ct", seed="x")
    assert same_world(made, back(tmp_path / "ct"))


def test_left_stays_left_in_every_format(tmp_path):
    """One bright voxel 50 mm to the patient's left, in DICOM, NIfTI and a segmentation."""
    image = ct_of(spine([1, 2, 3], whole=True))
    array = spine([1, 2, 3], whole=True).array
    array[38, 20, 20] = 4
    mask = Mask(Volume(array, image.affine), {1: "L5", 2: "L4", 3: "L3", 4: "femur_left"})
    left = image.to_world((38, 20, 20))
    assert left[0] > 50
    write_series(image, tmp_path / "ct", seed="x")
    (series,) = find_series(tmp_path / "ct").series
    for path in (
        write_segmentation(mask, series, tmp_path / "seg.dcm", seed="x"),
        write_segmentation(mask, series, tmp_path / "map.dcm", seed="x", is_label_map=True),
        nifti(mask.volume, tmp_path / "m.nii.gz", names=dict(mask.structures)),
    ):
        found, _ = read_mask(path)
        (number,) = (n for n, s in found.structures.items() if s == "femur_left")
        (index,) = np.argwhere(found.volume.array == number)
        assert found.volume.to_world(index) == pytest.approx(left, abs=1e-3)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless, JPEGLSLossless])
def test_compressed_series_hold_the_same_values(tmp_path, syntax):
    made = Volume(values((40, 33, 3)), affine(AXIAL, (1, 1, 2), (0, 0, 0)), TAKEN)
    paths = write_series(made, tmp_path, seed="x", syntax=syntax)
    assert dcmread(paths[0]).file_meta.TransferSyntaxUID == syntax
    assert same_world(made, back(tmp_path))


def test_equal_arguments_give_equal_bytes(tmp_path):
    made = Volume(values(), np.eye(4), TAKEN)
    mask = Mask(Volume((values() > 0).astype(np.uint8), np.eye(4)), {1: "L3"})
    for name in ("a", "b"):
        write_series(made, tmp_path / name, seed="x")
        (series,) = find_series(tmp_path / name).series
        write_segmentation(mask, series, tmp_path / name / "seg.dcm", seed="x")
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert len(files) == 5
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    write_series(made, tmp_path / "c", seed="y")
    other = dcmread(tmp_path / "c" / "IM00001.dcm")
    assert other.SOPInstanceUID != dcmread(tmp_path / "a" / "IM00001.dcm").SOPInstanceUID


def test_what_was_known_comes_back(tmp_path):
    made = Volume(values(), np.eye(4), TAKEN)
    person = Identity("D1", "", "1957-02-03", "female")
    write_series(made, tmp_path, seed="x", name="Case", identity=person, is_synthetic=True)
    (series,) = find_series(tmp_path).series
    how = series.acquisition
    assert (how.tube_voltage, how.kernel, how.contrast) == (120, "Br38", None)
    assert (how.posture, how.on) == (Posture.SUPINE, date(2025, 3, 1))
    told = {fact.what: fact.value for fact in facts(series).facts}
    assert told["person.birth_date"] == "1957-02-03" and told["person.sex"] == "female"
    data = dcmread(tmp_path / "IM00001.dcm")
    assert str(data.PatientName).startswith("SYNTHETIC^") and "DERIVED" in data.ImageType


@pytest.mark.parametrize("contrast", [True, False, None])
def test_contrast_comes_back_as_it_was_known(tmp_path, contrast):
    made = Volume(values(), np.eye(4), Acquisition(modality="CT", contrast=contrast))
    write_series(made, tmp_path, seed="x")
    assert find_series(tmp_path).series[0].acquisition.contrast is contrast


def test_an_mr_series(tmp_path):
    taken = Acquisition(
        modality="MR", repetition_time=500, echo_time=10, field_strength=1.5, sequence="T1 TSE"
    )
    made = Volume(values() + 60, affine(SAGITTAL, (1, 1, 4), (0, 0, 0)), taken)
    write_series(made, tmp_path, seed="x")
    (series,) = find_series(tmp_path).series
    how = series.acquisition
    assert (how.repetition_time, how.echo_time, how.field_strength) == (500, 10, 1.5)
    assert "T1 TSE" in how.sequence
    assert same_world(made, series.volume())


def test_what_cannot_be_written_is_refused(tmp_path):
    with pytest.raises(ValueError, match="whole numbers"):
        write_series(Volume(values() * 0.5, np.eye(4)), tmp_path, seed="x")
    with pytest.raises(ValueError, match="16 bits"):
        write_series(Volume(values().astype(int) * 10000, np.eye(4)), tmp_path, seed="x")
    skew = np.eye(4)
    skew[0, 1] = 0.3
    with pytest.raises(ValueError, match="right angle"):
        write_series(Volume(values(), skew), tmp_path, seed="x")


# ---------------------------------------------------------------- segmentations


def written(tmp_path, **options):
    image = ct_of(spine([1, 2, 3], whole=True))
    mask = Mask(spine([1, 2, 3], whole=True), {1: "L5", 2: "L4", 3: "L3"}, "whole", "test")
    write_series(image, tmp_path / "ct", seed="x")
    (series,) = find_series(tmp_path / "ct").series
    path = write_segmentation(mask, series, tmp_path / "seg.dcm", seed="x", **options)
    return mask, series, path


@pytest.mark.parametrize("is_label_map", [False, True])
def test_a_segmentation_comes_back(tmp_path, is_label_map):
    mask, series, path = written(tmp_path, is_label_map=is_label_map)
    found, problems = read_mask(path)
    assert problems == () and dict(found.structures) == dict(mask.structures)
    assert found.volume.uid == series.uid
    assert found.volume.frame_of_reference == series.frame_of_reference
    placed, problems = on_grid(found, series.volume())
    assert problems == () and np.array_equal(placed.volume.array, mask.volume.array)
    assert find_series(tmp_path).segmentations == (path,)


def test_levels_are_coded(tmp_path):
    path = written(tmp_path)[2]
    codes = [
        s.SegmentedPropertyTypeCodeSequence[0].CodeValue for s in dcmread(path).SegmentSequence
    ]
    assert codes == ["49668003", "11994002", "36470004"]


def test_a_mask_on_another_grid_is_not_written(tmp_path):
    mask, series, _ = written(tmp_path)
    shifted = Mask(mask.volume.cropped((0, 0, 0), (9, 9, 9)), mask.structures)
    with pytest.raises(ValueError, match="not on the grid"):
        write_segmentation(shifted, series, tmp_path / "no.dcm", seed="x")


@pytest.mark.peer
@pytest.mark.parametrize("modality", ["CT", "MR"])
def test_dciodvfy_finds_no_error(tmp_path, modality):
    if shutil.which("dciodvfy") is None:
        pytest.skip("needs dciodvfy: apt-get install dicom3tools")
    taken = Acquisition(modality=modality, on=date(2025, 3, 1), patient_position="HFS")
    image = ct_of(spine([1, 2], whole=True))
    image = Volume(np.maximum(image.array, 0), image.affine, taken)
    mask = Mask(spine([1, 2], whole=True), {1: "L5", 2: "femur_left"})
    paths = list(write_series(image, tmp_path / "s", seed="x", name="Case", is_synthetic=True))
    (series,) = find_series(tmp_path / "s").series
    paths.append(write_segmentation(mask, series, tmp_path / "seg.dcm", seed="x"))
    for path in (paths[0], paths[-1]):
        done = subprocess.run(["dciodvfy", path], capture_output=True, text=True, check=False)
        told = (done.stdout + done.stderr).splitlines()
        assert [line for line in told if line.startswith("Error")] == []
        assert any("Image" in line or "Segmentation" in line for line in told)


@pytest.mark.peer
def test_highdicom_reads_the_same_segmentation(tmp_path):
    highdicom = pytest.importorskip("highdicom")
    path = written(tmp_path)[2]
    theirs = highdicom.seg.segread(path).get_volume(combine_segments=True)
    ours = read_mask(path)[0].volume
    assert theirs.array.sum() == ours.array.sum() > 0
    labelled = np.argwhere(theirs.array > 0)
    world = labelled @ theirs.affine[:3, :3].T + theirs.affine[:3, 3]
    at = ours.to_index(world)
    assert np.abs(at - np.rint(at)).max() < 1e-3
    assert (ours.array[tuple(np.rint(at).astype(int).T)] == theirs.array[theirs.array > 0]).all()


@pytest.mark.peer
@pytest.mark.parametrize("directions", [AXIAL, SAGITTAL, turned(20, -35, 50)])
def test_simpleitk_puts_every_voxel_in_the_same_place(tmp_path, directions):
    sitk = pytest.importorskip("SimpleITK")
    made = Volume(values(), affine(directions, (0.7, 0.8, 2.5), (-120.25, 33.1, 840.7)), TAKEN)
    write_series(made, tmp_path, seed="x")
    ours = back(tmp_path)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    theirs = reader.Execute()
    assert np.array_equal(sitk.GetArrayFromImage(theirs).transpose(2, 1, 0), ours.array)
    for index in ((0, 0, 0), (5, 4, 3), (2, 0, 1)):
        there = theirs.TransformIndexToPhysicalPoint(index)
        assert ours.to_world(index) == pytest.approx(there, abs=1e-3)
