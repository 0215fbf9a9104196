import contextlib

import numpy as np
import pytest
from pydicom import dcmread, dcmwrite
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from endplate.exchange.dicom.segmentation import read
from endplate.exchange.masks import read_mask
from endplate.facts import InputProblem

from dicom_series import uid

SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"


def code(value, meaning, scheme="SCT"):
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def segmentation(path, frames, segments, *, kind="BINARY", spacing=2.0, order=None, **elements):
    """A segmentation by hand; `frames` are (segment, slice place, plane of values)."""
    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID = SEGMENTATION, uid("seg")
    data.SeriesInstanceUID, data.FrameOfReferenceUID = uid("seg series"), uid("frame")
    data.Modality, data.SegmentationType = "SEG", kind
    data.Rows, data.Columns = frames[0][2].shape
    data.NumberOfFrames = len(frames)
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.PixelRepresentation = 0
    bits = 1 if kind == "BINARY" else 8
    data.BitsAllocated = data.BitsStored = bits
    data.HighBit = bits - 1
    if kind == "FRACTIONAL":
        data.MaximumFractionalValue = 200
    data.SegmentSequence = []
    for number, (label, coded) in enumerate(segments, 1):
        item = Dataset()
        item.SegmentNumber, item.SegmentLabel = number, label
        item.SegmentedPropertyTypeCodeSequence = [coded]
        data.SegmentSequence.append(item)
    shared, each = Dataset(), []
    orientation, measures = Dataset(), Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing = [0.9, 0.8]
    measures.SliceThickness = 5
    if spacing:
        measures.SpacingBetweenSlices = spacing
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    for segment, place, _ in frames:
        frame, position, number = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [-10, -20, 100 + 2 * place]
        number.ReferencedSegmentNumber = segment
        frame.PlanePositionSequence = [position]
        frame.SegmentIdentificationSequence = [number]
        each.append(frame)
    data.SharedFunctionalGroupsSequence = [shared]
    data.PerFrameFunctionalGroupsSequence = each
    planes = np.stack([plane for *_, plane in frames])
    if kind == "BINARY":
        raw = np.packbits(planes.reshape(-1).astype(np.uint8), bitorder="little").tobytes()
    else:
        raw = planes.astype(np.uint8).tobytes()
    data.PixelData = raw + b"\0" * (len(raw) % 2)
    data["PixelData"].VR = "OB"
    for keyword, value in elements.items():
        setattr(data, keyword, value)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = SEGMENTATION, uid("seg")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta = meta
    dcmwrite(path, data, enforce_file_format=True)
    return path


L3, L4 = code("36470004", "L3 vertebra"), code("11994002", "L4 vertebra")
VERTEBRA = code("51282000", "Vertebra")


def plane(*inside, shape=(3, 5)):
    found = np.zeros(shape, int)
    for row, column in inside:
        found[row, column] = 1
    return found


def ids(problems):
    return [problem.problem for problem in problems]


def test_frames_that_do_not_end_at_a_byte(tmp_path):
    """Fifteen pixels a frame: the second frame begins within a byte."""
    frames = [(1, 1, plane((0, 0), (2, 4))), (2, 0, plane((1, 3)))]
    volume, names, problems = read(segmentation(tmp_path / "s", frames, [("a", L3), ("b", L4)]))
    assert volume.array.shape == (5, 3, 2) and problems == ()
    assert names == {1: "L3", 2: "L4"}
    assert np.argwhere(volume.array == 1).tolist() == [[0, 0, 1], [4, 2, 1]]
    assert np.argwhere(volume.array == 2).tolist() == [[3, 1, 0]]
    assert volume.to_world((0, 0, 1)) == pytest.approx((-10, -20, 102))
    assert volume.spacing == pytest.approx((0.8, 0.9, 2))


@pytest.mark.parametrize("spacing, slices", [(2.0, 5), (None, 3)])
def test_empty_slices_may_be_absent(tmp_path, spacing, slices):
    """Slices 0, 2 and 4 are there; the object itself says that slices are 2 mm apart."""
    frames = [(1, place, plane((0, 0))) for place in (4, 0, 2)]
    path = segmentation(tmp_path / "s", frames, [("a", L3)], spacing=spacing)
    volume, _, _ = read(path)
    assert volume.array.shape[2] == slices
    assert volume.to_world((0, 0, slices - 1)) == pytest.approx((-10, -20, 108))


def test_overlapping_segments_are_told_and_the_first_keeps_its_voxels(tmp_path):
    both = plane((0, 0), (1, 1))
    frames = [(2, 0, both), (1, 0, plane((0, 0))), (1, 1, plane((2, 2)))]
    volume, _, problems = read(segmentation(tmp_path / "s", frames, [("a", L3), ("b", L4)]))
    assert ids(problems) == ["mask.overlapping_segments"]
    assert "L4 overlaps with L3 in 1 voxels" in problems[0].says
    assert volume.array[0, 0, 0] == 1 and volume.array[1, 1, 0] == 2


def test_fractions_count_from_a_half(tmp_path):
    values = np.array([[99, 100, 200, 0, 1]] * 3)
    frames = [(1, 0, values), (1, 1, values)]
    path = segmentation(tmp_path / "s", frames, [("a", L3)], kind="FRACTIONAL")
    volume, _, problems = read(path)
    assert ids(problems) == ["mask.fractional"]
    assert volume.array[:, 0, 0].tolist() == [0, 1, 1, 0, 0]


def test_a_label_map(tmp_path):
    values = np.array([[0, 1, 2, 2, 1]] * 3)
    frames = [(1, 0, values), (1, 1, values)]
    segments = [("a", L3), ("b", L4)]
    volume, names, _ = read(segmentation(tmp_path / "s", frames, segments, kind="LABELMAP"))
    assert volume.array[:, 0, 0].tolist() == [0, 1, 2, 2, 1] and names == {1: "L3", 2: "L4"}


def named(tmp_path, label, coded):
    frames = [(1, 0, plane((0, 0))), (1, 1, plane((0, 0)))]
    return read(segmentation(tmp_path / "s", frames, [(label, coded)]))[1][1]


def test_what_a_segment_is_called(tmp_path):
    assert named(tmp_path, "anything", L3) == "L3"
    assert named(tmp_path, "vertebrae_L4", VERTEBRA) == "L4"
    assert named(tmp_path, "S1", VERTEBRA) == "S1"
    assert named(tmp_path, "liver", code("10200004", "Liver")) == "liver"
    assert named(tmp_path, "x", code("T-11500", "not a code of ours", "SRT")) == "x"
    femur = code("71341001", "Femur")
    assert named(tmp_path, "bone", femur) == "bone"  # without a side it is neither
    femur.SegmentedPropertyTypeModifierCodeSequence = [code("24028007", "Right")]
    assert named(tmp_path, "bone", femur) == "femur_right"


def test_code_and_label_of_two_vertebrae_are_refused(tmp_path):
    with pytest.raises(InputProblem, match="coded as L3 and labelled L4"):
        named(tmp_path, "L4", L3)


def test_one_slice_is_as_thick_as_it_says(tmp_path):
    path = segmentation(tmp_path / "s", [(1, 0, plane((0, 0)))], [("a", L3)], spacing=None)
    volume, _, problems = read(path)
    assert ids(problems) == ["mask.single_slice"] and volume.spacing[2] == pytest.approx(5)


@pytest.mark.parametrize(
    "change, what",
    [
        ({"NumberOfFrames": 3}, "another number of frames"),
        ({"Rows": 4000}, "ends within"),
        ({"Rows": 60000}, "claims"),
        ({"SegmentationType": "OTHER"}, "Segmentation Storage"),
        ({"PixelData": b"\0\0"}, "ends within"),
    ],
)
def test_a_broken_segmentation_is_refused(tmp_path, change, what):
    frames = [(1, 0, plane((0, 0))), (1, 1, plane((0, 0)))]
    with pytest.raises(InputProblem, match=what):
        read(segmentation(tmp_path / "s", frames, [("a", L3)], **change))


def test_frames_far_apart_do_not_make_a_giant(tmp_path):
    frames = [(1, place, plane((0, 0))) for place in (0, 1, 10**9)]
    with pytest.raises(InputProblem, match="claims more voxels"):
        read(segmentation(tmp_path / "s", frames, [("a", L3)]))


def test_unevenly_spaced_planes_are_refused(tmp_path):
    frames = [(1, place, plane((0, 0))) for place in (0, 1, 2.4)]
    with pytest.raises(InputProblem, match="uneven"):
        read(segmentation(tmp_path / "s", frames, [("a", L3)]))


def test_garbage_is_refused(tmp_path):
    frames = [(1, 0, plane((0, 0))), (1, 1, plane((0, 0)))]
    good = segmentation(tmp_path / "s", frames, [("a", L3)]).read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(200):
        broken = bytearray(good[: rng.integers(140, len(good))])
        for at in rng.integers(132, len(broken), size=6):
            broken[at] = rng.integers(256)
        (tmp_path / "b").write_bytes(broken)
        with contextlib.suppress(InputProblem):
            read(tmp_path / "b")


# ---------------------------------------------------------------- real data


def test_real_segmentations(shared_data):
    folder = shared_data / "imaging"
    volume, names, problems = read(folder / "dcmqi/segmentations/liver.dcm")
    assert names == {1: "Liver"} and problems == () and volume.array.any()
    image = dcmread(folder / "dcmqi/segmentations/ct-3slice/01.dcm", stop_before_pixels=True)
    assert volume.frame_of_reference == image.FrameOfReferenceUID
    assert volume.uid == image.SeriesInstanceUID
    _, names, problems = read(folder / "dcmqi/segmentations/partial_overlaps.dcm")
    assert len(names) == 5 and ids(problems) == ["mask.overlapping_segments"] * 3
    _, _, problems = read(folder / "highdicom/seg_image_ct_binary_overlap.dcm")
    assert ids(problems) == ["mask.overlapping_segments"]
    assert read(folder / "highdicom/seg_image_ct_binary.dcm")[2] == ()
    with pytest.raises(InputProblem, match="where they lie"):
        read(folder / "highdicom/seg_image_cr_binary.dcm")
    with pytest.raises(InputProblem, match="mean no vertebra"):
        read_mask(folder / "dcmqi/segmentations/liver.dcm")


@pytest.mark.peer
def test_real_segmentations_as_highdicom_reads_them(shared_data):
    highdicom = pytest.importorskip("highdicom")
    for name in ("dcmqi/segmentations/liver.dcm", "highdicom/seg_image_ct_binary.dcm"):
        path = shared_data / "imaging" / name
        theirs = highdicom.seg.segread(path).get_volume(
            combine_segments=True, allow_missing_positions=True
        )
        ours, _, _ = read(path)
        assert theirs.array.sum() == ours.array.sum()
        for index in np.argwhere(theirs.array > 0)[::50]:
            world = theirs.affine[:3, :3] @ index + theirs.affine[:3, 3]
            at = np.rint(ours.to_index(world)).astype(int)
            assert ours.array[tuple(at)] == 1
