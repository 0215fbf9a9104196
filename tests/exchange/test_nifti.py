import gzip

import nibabel
import numpy as np
import pytest

from endplate.exchange.masks import read_image, read_mask
from endplate.facts import InputProblem
from endplate.images.volume import Volume
from label_maps import nifti, spine

AFFINE = np.array([[-0.8, 0, 0, 30], [0, 0.7, 0.1, -20], [0, -0.1, 2.0, 100], [0, 0, 0, 1.0]])


def written(tmp_path, array, *, sform=None, qform=None, unit="mm", name="x.nii.gz", scale=None):
    """A NIfTI file by nibabel alone; transforms in RAS."""
    image = nibabel.Nifti1Image(array, np.eye(4))
    image.set_sform(sform, code=int(sform is not None))
    image.set_qform(qform, code=int(qform is not None))
    image.header.set_xyzt_units(unit)
    if scale:
        image.header.set_slope_inter(*scale)
    nibabel.save(image, tmp_path / name)
    return tmp_path / name


def values(shape=(3, 4, 5)):
    return np.arange(np.prod(shape), dtype=np.int16).reshape(shape)


def test_left_stays_left(tmp_path):
    """RAS (10, 20, 30) is 10 mm to the right and 20 mm to the front: LPS (-10, -20, 30)."""
    affine = np.eye(4)
    affine[:3, 3] = (10, 20, 30)
    volume, problems = read_image(written(tmp_path, values(), sform=affine))
    assert volume.to_world((0, 0, 0)) == pytest.approx((-10, -20, 30))
    assert volume.to_world((1, 0, 0)) == pytest.approx((-11, -20, 30))  # to the right
    assert np.array_equal(volume.array, values()) and problems == ()


@pytest.mark.parametrize("form", ["sform", "qform"])
@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
def test_either_transform(tmp_path, form, name):
    rotation = np.linalg.qr(AFFINE[:3, :3])[0]
    affine = np.eye(4)
    affine[:3, :3] = rotation * np.sign(np.diag(rotation))
    affine[:3, 3] = AFFINE[:3, 3]
    volume, _ = read_image(written(tmp_path, values(), **{form: affine}, name=name))
    assert volume.affine == pytest.approx(np.diag([-1, -1, 1, 1]) @ affine, abs=1e-5)


def test_no_transform_is_no_place(tmp_path):
    with pytest.raises(InputProblem, match="sform or qform"):
        read_image(written(tmp_path, values()))


def test_two_transforms_that_contradict_each_other_are_refused(tmp_path):
    mirrored = np.diag([-1.0, 1, 1, 1])
    with pytest.raises(InputProblem, match="two contradicting places"):
        read_image(written(tmp_path, values(), sform=np.eye(4), qform=mirrored))


def test_two_transforms_that_differ_a_little_are_told(tmp_path):
    shifted = np.eye(4)
    shifted[0, 3] = 0.3
    volume, problems = read_image(written(tmp_path, values(), sform=np.eye(4), qform=shifted))
    assert [p.problem for p in problems] == ["nifti.two_transforms"]
    assert volume.affine[0, 3] == 0


def test_metres_become_millimetres(tmp_path):
    affine = np.diag([0.001, 0.001, 0.002, 1.0])
    volume, _ = read_image(written(tmp_path, values(), sform=affine, unit="meter"))
    assert volume.spacing == pytest.approx((1, 1, 2))


def test_scaling_is_applied(tmp_path):
    volume, _ = read_image(written(tmp_path, values(), sform=np.eye(4), scale=(2.0, -1000.0)))
    assert volume.array[2, 3, 4] == 2 * 59 - 1000


def test_one_frame_of_four_dimensions(tmp_path):
    volume, _ = read_image(written(tmp_path, values((3, 4, 5, 1)), sform=np.eye(4)))
    assert volume.array.shape == (3, 4, 5)
    with pytest.raises(InputProblem, match="one volume"):
        read_image(written(tmp_path, values((3, 4, 5, 2)), sform=np.eye(4)))


@pytest.mark.parametrize("dtype, kept", [(np.int32, np.int16), (np.float64, np.float32)])
def test_values_keep_a_small_type(tmp_path, dtype, kept):
    volume, _ = read_image(written(tmp_path, values().astype(dtype), sform=np.eye(4)))
    assert volume.array.dtype == kept and np.array_equal(volume.array, values())


def test_a_complex_or_colour_image_is_refused(tmp_path):
    with pytest.raises(InputProblem, match="plain numbers"):
        read_image(written(tmp_path, values().astype(np.complex64), sform=np.eye(4)))


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
@pytest.mark.parametrize("left", [0, 10, 300, 360])
def test_a_shortened_file_is_refused(tmp_path, name, left):
    noise = np.random.default_rng(0).integers(0, 99, (20, 20, 20), np.int16)
    path = written(tmp_path, noise, sform=AFFINE, name=name)
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(InputProblem, match=r"x\.nii"):
        read_image(path)


def test_a_header_that_claims_more_than_the_file_holds_is_not_believed(tmp_path):
    path = written(tmp_path, values(), sform=np.eye(4))
    header = bytearray(gzip.decompress(path.read_bytes()))
    header[42:48] = (30000).to_bytes(2, "little") * 3
    path.write_bytes(gzip.compress(header))
    with pytest.raises(InputProblem, match="claims"):
        read_image(path)


def test_a_file_that_is_no_nifti(tmp_path):
    (tmp_path / "x.nii").write_text("no image" * 100)
    with pytest.raises(InputProblem):
        read_image(tmp_path / "x.nii")
    (tmp_path / "x.txt").write_text("no image")
    with pytest.raises(InputProblem, match="NIfTI"):
        read_image(tmp_path / "x.txt")


def test_float_labels_are_taken_where_they_are_whole(tmp_path):
    path = nifti(spine([24, 23, 22]), tmp_path / "m.nii.gz", dtype=np.float32)
    mask, _ = read_mask(path)
    assert mask.volume.array.dtype == np.uint8
    half = spine([24, 23, 22])
    with pytest.raises(InputProblem, match="probability"):
        read_mask(nifti(Volume(half.array * 0.5, half.affine), tmp_path / "m.nii.gz"))


def test_names_of_labels_in_the_file(tmp_path):
    names = {20: "vertebrae_L4", 21: "vertebrae_L3", 22: "vertebrae_L2"}
    mask, _ = read_mask(nifti(spine([20, 21, 22]), tmp_path / "m.nii.gz", names=names))
    assert dict(mask.structures) == {20: "L4", 21: "L3", 22: "L2"}


def test_a_mask_is_no_image(tmp_path):
    path = nifti(spine([27, 28]), tmp_path / "m.nii.gz", names={27: "vertebrae_L5"})
    with pytest.raises(InputProblem, match="as a mask"):
        read_image(path)
