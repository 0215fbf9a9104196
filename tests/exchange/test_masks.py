import nrrd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from endplate.exchange.masks import on_grid, read_image, read_mask, read_masks
from endplate.facts import InputProblem
from endplate.images.volume import Acquisition, Mask, Volume
from label_maps import ct_of, nifti, spine

LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def seg_nrrd(path, layers, segments, affine, *, space="left-posterior-superior", **more):
    """A segmentation as 3D Slicer writes it; `segments` are (layer, label, name)."""
    directions = [row.tolist() for row in affine[:3, :3].T]
    data, kinds = layers[0], ["domain"] * 3
    if len(layers) > 1:
        data, kinds = np.stack(layers), ["list", *kinds]
        directions = np.array([[np.nan] * 3, *directions])
    header = {
        "space": space,
        "space directions": directions,
        "space origin": affine[:3, 3],
        "kinds": kinds,
        "encoding": "gzip",
        **more,
    }
    for n, (layer, label, name) in enumerate(segments):
        header[f"Segment{n}_Name"] = name
        header[f"Segment{n}_LabelValue"] = str(label)
        header[f"Segment{n}_Layer"] = str(layer)
    nrrd.write(str(path), data, header)
    return path


NAMES = {1: "L5", 2: "L4", 3: "L3"}


def named(tmp_path, name="m.nii.gz", **options):
    """A named mask as it is read from a file."""
    volume = spine([1, 2, 3], whole=True)
    return read_mask(nifti(volume, tmp_path / name, names=NAMES, **options))[0]


# ---------------------------------------------------------------- NRRD


@pytest.mark.parametrize(
    "space, turn",
    [
        ("left-posterior-superior", np.eye(4)),
        ("RAS", LPS),
        ("left-anterior-superior", np.diag([1.0, -1, 1, 1])),
    ],
)
def test_every_space_leads_to_the_same_place(tmp_path, space, turn):
    volume = spine([1, 2, 3])
    path = seg_nrrd(tmp_path / "m.seg.nrrd", [volume.array], [], turn @ volume.affine, space=space)
    image, _ = read_image(path)
    assert image.affine == pytest.approx(volume.affine)
    assert np.array_equal(image.array, volume.array)


def test_names_of_slicers_segments(tmp_path):
    volume = spine([1, 2, 3])
    segments = [(0, 1, "L5 vertebra"), (0, 2, "L4"), (0, 3, "Segment_3")]
    tags = "Segmentation category and type~SCT^123037004^Anatomical Structure~SCT^36470004^L3"
    path = seg_nrrd(
        tmp_path / "m.seg.nrrd", [volume.array], segments, volume.affine, Segment2_Tags=tags
    )
    assert dict(read_mask(path)[0].structures) == {1: "L5", 2: "L4", 3: "L3"}


def test_layers_that_overlap_are_told_and_the_first_keeps_its_voxels(tmp_path):
    volume = spine([1, 2, 3])
    late = np.where(volume.array == 1, 0, volume.array)
    early = np.where(volume.array == 1, 1, 0).astype(np.uint8)
    early[late == 2] = 1  # the first layer's L5 claims all of L4's voxels but one
    early[tuple(np.argwhere(late == 2)[0])] = 0
    segments = [(0, 1, "L5"), (1, 2, "L4"), (1, 3, "L3")]
    path = seg_nrrd(tmp_path / "m.seg.nrrd", [early, late], segments, volume.affine)
    mask, problems = read_mask(path)
    overlap = [p for p in problems if p.problem == "mask.overlapping_segments"]
    assert len(overlap) == 1 and "L4 overlaps with L5" in overlap[0].says
    assert (mask.volume.array == 2).sum() == 1


@pytest.mark.parametrize(
    "change, what",
    [
        ({"space": None}, "space"),
        ({"data file": "/etc/passwd"}, "same file"),
        ({"byte skip": 5}, "same file"),
        ({"sizes": [90000, 90000, 90000]}, "claims"),
        ({"encoding": "hex"}, "gzip"),
        ({"type": "block"}, "plain numbers"),
        ({"space units": '"m" "m" "m"'}, "mm"),
    ],
)
def test_a_nrrd_file_that_cannot_be_placed_or_trusted(tmp_path, change, what):
    path = tmp_path / "m.nrrd"
    seg_nrrd(path, [spine([1]).array], [], np.eye(4))
    head, data = path.read_bytes().split(b"\n\n", 1)
    ((key, value),) = change.items()
    if isinstance(value, list):
        value = " ".join(map(str, value))
    lines = [line for line in head.split(b"\n") if not line.startswith(f"{key}:".encode())]
    if value is not None:
        lines.append(f"{key}: {value}".encode())
    path.write_bytes(b"\n".join(lines) + b"\n\n" + data)
    with pytest.raises(InputProblem, match=what):
        read_image(path)


@pytest.mark.parametrize("left", [0, 20, 400, 600])
def test_a_shortened_nrrd_file(tmp_path, left):
    path = seg_nrrd(tmp_path / "m.nrrd", [np.random.default_rng(0).integers(0, 9, (9, 9, 9))], [],
                    np.eye(4))  # fmt: skip
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(InputProblem, match=r"m\.nrrd"):
        read_image(path)


def test_a_bomb_is_inflated_no_further_than_claimed(tmp_path):
    import zlib

    path = seg_nrrd(tmp_path / "m.nrrd", [np.zeros((4, 4, 4), np.uint8)], [], np.eye(4))
    head = path.read_bytes().split(b"\n\n", 1)[0]
    deflate = zlib.compressobj(9, zlib.DEFLATED, 31)
    path.write_bytes(head + b"\n\n" + deflate.compress(bytes(2**26)) + deflate.flush())
    assert read_image(path)[0].array.shape == (4, 4, 4)


# ---------------------------------------------------------------- systems, own maps, folders


def test_a_stated_system_and_a_map_of_ones_own(tmp_path):
    path = nifti(spine([1, 2, 3], whole=True), tmp_path / "m.nii.gz")
    with pytest.raises(InputProblem, match="--labels"):
        read_mask(path)
    own = tmp_path / "mine.toml"
    own.write_text('parts = "whole"\n[labels]\n1 = "L5"\n2 = "L4"\n3 = "L3"\n')
    mask, problems = read_mask(path, str(own))
    assert dict(mask.structures) == NAMES and mask.system == "mine.toml" and problems == ()
    own.write_text("no toml [")
    with pytest.raises(InputProblem, match=r"mine\.toml"):
        read_mask(path, str(own))


def test_one_file_per_structure(tmp_path):
    volume = spine([1, 2, 3], whole=True)
    for label, name in {1: "vertebrae_L5", 2: "vertebrae_L4", 3: "vertebrae_L3"}.items():
        one = Volume((volume.array == label).astype(np.uint8), volume.affine)
        nifti(one, tmp_path / f"{name}.nii.gz")
    nifti(one, tmp_path / "colon.nii.gz")
    mask, problems = read_masks(tmp_path.iterdir())
    assert sorted(mask.structures.values()) == ["L3", "L4", "L5"] and problems == ()
    assert np.array_equal(mask.volume.array > 0, volume.array > 0)
    (tmp_path / "notes.txt").write_text("not a mask")
    assert np.array_equal(read_mask(tmp_path)[0].volume.array, mask.volume.array)
    single, _ = read_mask(tmp_path / "vertebrae_L4.nii.gz")
    assert dict(single.structures) == {1: "L4"}


def test_files_of_two_scans_are_not_joined(tmp_path):
    volume = spine([1, 2, 3])
    nifti(volume, tmp_path / "vertebrae_L5.nii.gz")
    nifti(volume.cropped((1, 1, 1), (30, 30, 30)), tmp_path / "vertebrae_L4.nii.gz")
    with pytest.raises(InputProblem, match="cannot be joined"):
        read_masks(tmp_path.iterdir())
    with pytest.raises(InputProblem, match="holds no mask"):
        read_masks([])


# ---------------------------------------------------------------- onto the image


def test_equal_grids_are_copied(tmp_path):
    mask = named(tmp_path)
    placed, problems = on_grid(mask, ct_of(mask.volume))
    assert np.array_equal(placed.volume.array, mask.volume.array) and problems == ()


@settings(max_examples=25, deadline=None)
@given(
    st.permutations([0, 1, 2]),
    st.lists(st.sampled_from([-1, 1]), min_size=3, max_size=3),
    st.lists(st.integers(0, 2), min_size=3, max_size=3),
)
def test_flips_axis_orders_and_crops_are_exact(order, signs, cut):
    mask = Mask(spine([1, 2, 3], whole=True), NAMES)
    image = ct_of(mask.volume)
    array = mask.volume.array.transpose(order)
    affine = mask.volume.affine[:, [*order, 3]].copy()
    for axis, sign in enumerate(signs):
        if sign < 0:
            affine[:, 3] += affine[:, axis] * (array.shape[axis] - 1)
            affine[:, axis] *= -1
            array = np.flip(array, axis)
    turned = Volume(array, affine).cropped(cut, array.shape)
    placed, _ = on_grid(Mask(turned, NAMES), image)
    assert np.array_equal(placed.volume.array, mask.volume.array)


@settings(max_examples=15, deadline=None)
@given(st.floats(-20, 20), st.floats(-20, 20), st.floats(0.5, 0.8))
def test_a_turned_grid_keeps_every_structure_in_its_place(around_x, around_z, scale):
    """A finer, turned copy of the image's grid brings each label's centre back within a voxel."""
    image = ct_of(spine([1, 2, 3], whole=True))
    a, b = np.radians([around_x, around_z])
    turn = np.array([[np.cos(b), -np.sin(b), 0], [np.sin(b), np.cos(b), 0], [0, 0, 1]]) @ np.array(
        [[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]]
    )
    affine = np.eye(4)
    affine[:3, :3] = turn * 3 * scale
    shape = (110, 110, 110)
    middle = image.to_world((np.array(image.array.shape) - 1) / 2)
    affine[:3, 3] = middle - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    fine = Volume(np.zeros(shape, np.uint8), affine)
    index = np.rint(image.to_index(fine.to_world(np.indices(shape).reshape(3, -1).T))).astype(int)
    inside = ((index >= 0) & (index < image.array.shape)).all(axis=1)
    labels = spine([1, 2, 3], whole=True).array
    fine.array.reshape(-1)[inside] = labels[tuple(index[inside].T)]
    placed, _ = on_grid(Mask(fine, NAMES), image)
    for label in NAMES:
        centre = [np.argwhere(a == label).mean(axis=0) for a in (placed.volume.array, labels)]
        assert np.abs(centre[0] - centre[1]).max() < 0.5
    assert (placed.volume.array != labels).mean() < 0.05


def test_another_frame_of_reference_is_refused(tmp_path):
    mask = named(tmp_path)
    there = Volume(mask.volume.array, mask.volume.affine, frame_of_reference="1.2")
    image = ct_of(mask.volume)
    here = Volume(image.array, image.affine, frame_of_reference="1.3")
    with pytest.raises(InputProblem, match="frames of reference"):
        on_grid(Mask(there, NAMES), here)
    same = Volume(image.array, image.affine, frame_of_reference="1.2")
    assert on_grid(Mask(there, NAMES), same)[1] == ()


@pytest.mark.parametrize("shift, what", [(500, "0%"), (120, "of the labelled voxels")])
def test_a_mask_outside_the_image_is_refused(shift, what):
    volume = spine([1, 2, 3])
    affine = volume.affine.copy()
    affine[0, 3] += shift
    with pytest.raises(InputProblem, match=what):
        on_grid(Mask(Volume(volume.array, affine, name="m"), NAMES), ct_of(volume))


def test_a_mask_that_reaches_beyond_the_image_is_told():
    volume = spine([1, 2, 3], whole=True)
    image = ct_of(volume).cropped((0, 0, 14), volume.array.shape)
    placed, problems = on_grid(Mask(volume, NAMES), image)
    assert [p.problem for p in problems] == ["mask.partly_outside"]
    assert placed.volume.same_grid(image)


@pytest.mark.parametrize("parts, whole", [("whole", True), ("body", False)])
def test_a_mask_of_another_scan_with_the_same_grid_is_refused_on_ct(parts, whole):
    """The bones are elsewhere: turned upside down, from the front to the back."""
    volume = spine([1, 2, 3], whole=whole)
    other = Volume(volume.array[:, ::-1].copy(), volume.affine)
    image = ct_of(other)
    image.array[other.array == 0] = 40
    image.array[:, :, 0] = -1000
    with pytest.raises(InputProblem, match="do not lie on bone"):
        on_grid(Mask(volume, NAMES, parts), image)


def test_a_mask_that_lies_on_bone_only_in_part_is_doubted():
    volume = spine([1, 2, 3], whole=True)
    image = ct_of(volume, marrow=40, cortex=40)
    bright = np.random.default_rng(0).random(volume.array.shape) < 0.18
    image.array[bright & (volume.array > 0)] = 300
    placed, problems = on_grid(Mask(volume, NAMES), image)
    assert [p.problem for p in problems] == ["mask.doubtful_fit"] and placed.structures


def test_a_soft_bone_is_still_bone():
    """Marrow of 20 HU with a thin cortex, as in severe osteoporosis."""
    for parts, whole in (("whole", True), ("body", False)):
        volume = spine([1, 2, 3], whole=whole)
        assert on_grid(Mask(volume, NAMES, parts), ct_of(volume, marrow=20))[1] == ()


def test_an_mr_is_not_checked_for_bone():
    volume = spine([1, 2, 3])
    taken = Acquisition(modality="MR")
    image = Volume(np.full(volume.array.shape, 300, np.int16), volume.affine, taken)
    assert on_grid(Mask(volume, NAMES), image)[1] == ()


def test_structures_that_are_left_outside_are_not_promised():
    volume = spine([1, 2, 3])
    image = ct_of(volume).cropped((0, 0, 18), volume.array.shape)
    assert set(on_grid(Mask(volume, NAMES), image)[0].structures) == {2, 3}


# ---------------------------------------------------------------- real data


def test_a_real_mask_lies_on_the_bone_of_its_dicom_series(shared_data):
    from endplate.exchange.dicom.series import find_series

    folder = shared_data / "imaging" / "totalsegmentator"
    image = find_series(folder / "example_ct_dicom").series[0].volume()
    mask, problems = read_mask(folder / "example_seg_dicom.nii.gz")
    assert problems == () and mask.system == "totalsegmentator"
    placed, problems = on_grid(mask, image)
    assert problems == ()
    for label in (32, 33):  # T12 and T11
        assert image.array[placed.volume.array == label].mean() > 200
    cord = image.array[placed.volume.array == 79].mean()
    assert 0 < cord < 60  # HU of the spinal cord: the mask is not shifted


def test_a_real_mask_of_a_part_whose_file_places_it_wrongly_is_refused(shared_data):
    """The 30-slice part was saved with the place of the whole scan; on the part itself it fits."""
    folder = shared_data / "imaging" / "totalsegmentator"
    mask, _ = read_mask(folder / "example_seg.nii.gz")
    assert on_grid(mask, read_image(folder / "example_ct_sm.nii.gz")[0])[1] == ()
    with pytest.raises(InputProblem, match="do not lie on bone"):
        on_grid(mask, read_image(folder / "example_ct.nii.gz")[0])


def test_real_masks_fit_their_images(shared_data):
    folder = shared_data / "imaging"
    for mask, image in [
        ("totalsegmentator/example_seg_fast_force_split", "totalsegmentator/example_ct"),
        (
            "totalsegmentator/spine_report/totalseg_vertebrae_pp_refined",
            "totalsegmentator/example_ct",
        ),
        ("tptbox/sub-ct_seg-vert_label-22_msk", "tptbox/sub-ct_label-22_ct"),
        ("totalsegmentator/aorta_report/vertebrae_T12", "totalsegmentator/aorta_report/ct_cropped"),
    ]:
        read, problems = read_mask(folder / f"{mask}.nii.gz")
        assert problems == ()
        assert on_grid(read, read_image(folder / f"{image}.nii.gz")[0])[1] == ()


def test_real_slicer_segmentations_are_read(shared_data):
    folder = shared_data / "imaging" / "dcmqi" / "segmentations"
    volume, _ = read_image(folder / "spine_seg.nrrd")
    assert volume.affine[:3, 3] == pytest.approx((-235.2, -226.8, -128.69))
