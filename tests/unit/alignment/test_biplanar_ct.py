"""A real CT looked through as a slot scanner would: the landmarks of its own measurement, seen on
both digitally reconstructed radiographs, give its own parameters back.

It lies supine; it is called standing so that all is measured. The pictures show whether the fan
that places landmarks is the one that makes pictures: bone must end where endplates are seen.
"""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
from scipy import ndimage, sparse

from endplate import evidence
from endplate.alignment import biplanar
from endplate.images.measure import measure
from endplate.images.volume import Mask, Volume
from unit.alignment import pairs

pytestmark = pytest.mark.shared_data
WHOLE = {
    25: "sacrum", 26: "S1", 27: "L5", 28: "L4", 29: "L3", 30: "L2", 31: "L1", 32: "T12",
    75: "femur_left", 76: "femur_right", 77: "hip_left", 78: "hip_right", 79: "spinal_cord",
}  # fmt: skip
LUMBAR = ("L1", "L2", "L3", "L4", "L5")
STEP = 1.0  # mm between columns and rows of the pictures, and between samples along a ray
# Where the axis of the isocentre stands: in front of the lumbar spine, LPS mm; and off to a side.
ISOCENTRES = np.array([[0.0, -120.0, 260.0], [35.0, -70.0, 260.0]])
SOURCES = [("right", "anterior"), ("left", "posterior")]


def nifti(path):
    image = nibabel.load(path)
    return Volume(
        np.asanyarray(image.dataobj), np.diag([-1, -1, 1, 1]) @ image.affine, name=path.name
    )


@pytest.fixture(scope="module")
def scanned(shared_data):
    folder = shared_data / "imaging" / "totalsegmentator"
    image = nifti(folder / "example_ct.nii.gz")
    mask = Mask(nifti(folder / "example_seg_fast_force_split.nii.gz"), WHOLE, "whole")
    return image, measure(image, mask)


def landmarks(found):
    """Ends of endplates and femoral heads as they were measured; pedicles where they are usual."""
    there = {}
    for level, plates in found.geometry.plates.items():
        for which, plate in zip(("superior", "inferior"), plates, strict=True):
            if plate is None or level not in (*LUMBAR, "S1"):
                continue
            for end, at in (("anterior", [0, -0.5]), ("posterior", [0, 0.5]), ("left", [0.5, 0]),
                            ("right", [-0.5, 0])):  # fmt: skip
                local = [*(np.array(at) * [plate.width, plate.depth]), 0.0]
                there[f"{level} {which}_endplate.{end}"] = plate.frame.to_world(local)
    for level, v in found.vertebrae.items():
        for side, sign in (("left", 1), ("right", -1)):
            at = pairs.PEDICLE * [sign * v.width, v.depth, v.height]
            there[f"{level} {side} pedicle.centre"] = v.frame.to_world(at)
    for side, head in found.geometry.pelvis.heads.items():
        there[f"{side} femoral_head.centre"] = head.sphere.centre
    return there


@pytest.mark.parametrize(("isocentre", "sources"), list(zip(ISOCENTRES, SOURCES, strict=True)))
def test_seen_through_the_fans_it_gives_its_own_parameters(scanned, isocentre, sources):
    _, found = scanned
    films = pairs.films(landmarks(found), pairs.pair(sources), None, move=-isocentre)
    facts = {(f.what, f.level): f for f in biplanar.measure(*films, evidence.shipped()).facts}
    own = {(f.what, f.level): f for f in found.facts}
    shared = [k for k in own.keys() & facts.keys() if own[k].unit == "deg"]
    assert len(shared) >= 13
    for key in shared:
        assert facts[key].number == pytest.approx(own[key].number, abs=2.0), key
    cobb = next(f for f in facts.values() if f.details.get("largest") == "yes")
    direct = next(f for f in found.facts if f.details.get("largest") == "yes")
    assert cobb.number == pytest.approx(direct.number, abs=2.0)


# -- the pictures -----------------------------------------------------------------------------


def radiograph(image, view, fan, isocentre, half):
    """Attenuation along the rays of each row and column: rows from the head down, columns from the
    back to the front (lateral) or from right to left (frontal), about the isocentre.
    """
    across = np.arange(-half, half + STEP, STEP)
    far = fan.source_to_isocentre
    deep = np.arange(-200.0, 200.0, STEP)
    # A ray leaves the source, crosses the plane of the isocentre at `across`, and goes on.
    away = across[:, None] * (far + deep) / far
    sign = 1.0 if fan.source in ("anterior", "right") else -1.0
    along = np.broadcast_to(sign * deep, away.shape)
    x, y = (along, -away) if view == "lateral" else (away, along)
    z = np.zeros_like(x)
    place = image.to_index(np.stack([x, y, z], axis=-1) + isocentre)[..., :2]
    weights = bilinear(place, image.array.shape[:2])
    bone = np.clip(image.array.astype(float) + 1000.0, 0.0, 2500.0)  # air 0; metal is cut off
    columns = (weights @ bone.reshape(-1, bone.shape[2])).reshape(len(across), -1)
    heights = isocentre[2] + np.arange(160.0, -160.0, -STEP)
    rows = image.to_index(np.array([[0.0, 0.0, h] for h in heights]))[:, 2]
    at = np.meshgrid(np.arange(len(across)), rows, indexing="ij")
    picture = ndimage.map_coordinates(columns, at, order=1, mode="nearest")
    return picture.T, across, heights - isocentre[2]


def bilinear(place, shape):
    """The matrix that sums a plane's voxels along rays; each ray is a row."""
    low = np.floor(place).astype(int)
    part = place - low
    made = sparse.csr_matrix((len(place), shape[0] * shape[1]))
    ray = np.broadcast_to(np.arange(len(place))[:, None], place.shape[:2])
    for i in (0, 1):
        for j in (0, 1):
            at = low + np.array([i, j])
            weight = np.abs(1 - i - part[..., 0]) * np.abs(1 - j - part[..., 1])
            inside = ((at >= 0) & (at < shape)).all(axis=-1)
            cell = at[..., 0] * shape[1] + at[..., 1]
            made += sparse.csr_matrix(
                (weight[inside], (ray[inside], cell[inside])), shape=made.shape
            )
    return made


def seen_at(picture, places):
    """The picture's values at places (across, up) about the isocentre."""
    values, across, up = picture
    at = [(up[0] - places[..., 1]) / STEP, (places[..., 0] - across[0]) / STEP]
    return ndimage.map_coordinates(values, at, order=1, mode="nearest")


def step_into_bone(picture, first, second, outwards, reach=7.0):
    """How far outwards of a line between two landmarks the picture falls most steeply, mm."""
    along = np.linspace(0.25, 0.75, 21)[:, None, None]
    away = np.arange(-reach, reach + 0.5, 0.5)
    places = first + along * (second - first) + away[:, None] * outwards
    profile = ndimage.gaussian_filter1d(seen_at(picture, places).mean(axis=0), 2.0)
    return float(away[np.argmin(np.gradient(profile))])


def walls(vertebra):
    """The lower and upper end of the lines at which a body is seen to end, by view and way out."""
    v, high = vertebra, 0.4 * vertebra.height
    yield "lateral", 1.0, [v.frame.to_world([0.0, v.front, w]) for w in (-high, high)]
    for out, u in ((1.0, v.left), (-1.0, v.right)):
        yield "frontal", out, [v.frame.to_world([u, 0.0, w]) for w in (-high, high)]


@pytest.mark.parametrize(("isocentre", "sources"), list(zip(ISOCENTRES, SOURCES, strict=True)))
def test_bone_ends_on_the_pictures_where_its_landmarks_are_seen(scanned, isocentre, sources):
    image, found = scanned
    fans = pairs.pair(sources)
    there = landmarks(found)
    other = {"left": "right", "right": "left", "anterior": "posterior", "posterior": "anterior"}
    wrong = pairs.pair([other[s] for s in sources])
    pictures = {
        view: radiograph(image, view, getattr(fans, view), isocentre, half=190.0)
        for view in ("lateral", "frontal")
    }

    def seen(points, view, by=fans):
        return by.projected(np.array(points) - isocentre)[("lateral", "frontal").index(view)]

    # Rows: endplates, which the lateral view sees along their planes.
    for level in LUMBAR:
        for which, sign in (("superior", 1), ("inferior", -1)):
            ends = [there[f"{level} {which}_endplate.{e}"] for e in ("anterior", "posterior")]
            first, second = seen(ends, "lateral")
            run = (first - second) / np.linalg.norm(first - second)
            outwards = sign * np.array([-run[1], run[0]])
            assert abs(step_into_bone(pictures["lateral"], first, second, outwards)) <= 1.5
    # Columns: the walls of the bodies. Rays from the other side would bring them elsewhere.
    off, shifts = [], []
    for level in ("L2", "L3", "L4"):
        for view, out, ends in walls(found.vertebrae[level]):
            first, second = seen(ends, view)
            off.append(step_into_bone(pictures[view], first, second, np.array([out, 0.0])))
            shifts.append(out * (seen(ends, view, wrong) - seen(ends, view))[:, 0].mean())
    far = np.abs(shifts) > 4.0
    assert np.median(np.abs(off)) <= 1.5
    assert (np.abs(off)[far] < np.abs(shifts)[far] / 2).all()
    assert far.any() == bool(isocentre[0])  # only away from the isocentre do the sides differ
