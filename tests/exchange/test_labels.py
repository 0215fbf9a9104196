import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from endplate.facts import InputProblem
from endplate.images.labels import (
    bodies,
    codes,
    filling,
    own_system,
    recognise,
    structure_named,
    system,
    systems,
)
from endplate.images.volume import Mask
from endplate.levels import USUAL
from label_maps import spine


def ids(problems):
    return [problem.problem for problem in problems]


# ---------------------------------------------------------------- the systems themselves


@pytest.mark.parametrize(
    "name, label, structure",
    [
        ("totalsegmentator", 27, "L5"),
        ("totalsegmentator", 31, "L1"),
        ("totalsegmentator", 32, "T12"),
        ("totalsegmentator", 50, "C1"),
        ("totalsegmentator", 77, "hip_left"),
        ("totalsegmentator_v1", 18, "L5"),
        ("totalsegmentator_v1", 41, "C1"),
        ("totalsegmentator_vertebrae_pp", 24, "L5"),
        ("totalsegmentator_vertebrae_mr", 2, "L5"),
        ("verse", 1, "C1"),
        ("verse", 8, "T1"),
        ("verse", 19, "T12"),
        ("verse", 28, "T13"),
        ("verse", 20, "L1"),
        ("verse", 25, "L6"),
        ("tptbox", 26, "S1"),
        ("spineps", 60, "spinal_cord"),
        ("spineps", 49, "corpus"),
    ],
)
def test_numbers_as_read_at_their_source(name, label, structure):
    assert system(name).labels[label] == structure


def test_every_system_states_its_source_and_each_level_once():
    for one in systems().values():
        assert one.source
        vertebrae = [s for s in one.labels.values() if s in [*USUAL.levels, "T13", "L6"]]
        assert len(set(vertebrae)) == len(vertebrae)
        assert not set(one.labels) & one.others


def test_discs_and_endplates_of_verse_lie_below_their_vertebra():
    found = system("verse").structures([19, 28, 119, 128, 24, 26, 124, 223])
    assert found[119] == "disc_T12-T13" and found[128] == "disc_T13-L1"
    assert found[124] == "disc_L5-S1" and found[223] == "endplate_L4-L5"
    assert system("verse").structures([19, 119])[119] == "disc_T12-L1"
    assert system("verse").structures([24, 125])[125] == "disc_L6-S1"  # L6 itself is outside


def test_snomed_codes_are_those_of_pydicom():
    concepts = pytest.importorskip("pydicom.sr._concepts_dict").concepts["SCT"]
    for level in USUAL.levels[:-1]:
        assert codes()[level] in concepts[f"{level}Vertebra"]


def test_an_unknown_system_is_named_with_the_known_ones():
    with pytest.raises(InputProblem, match="Known are totalsegmentator"):
        system("vertebrae")


def test_a_map_of_ones_own():
    own = own_system("mine.toml", {"labels": {"7": "vertebrae_L3", "9": "left femur"}})
    assert own.labels == {7: "L3", 9: "femur_left"}
    for wrong in ({"labels": {"x": "L3"}}, {"labels": {"0": "L3"}}, {}, {"labels": {"1": 5}}):
        with pytest.raises(InputProblem, match=r"mine\.toml"):
            own_system("mine.toml", wrong)


# ---------------------------------------------------------------- names


@pytest.mark.parametrize(
    "text, structure",
    [
        ("vertebrae_L5", "L5"),
        ("vertebrae_S1", "S1"),
        ("L3 vertebra", "L3"),
        ("Third lumbar vertebra", "L3"),
        ("Structure of twelfth thoracic vertebra", "T12"),
        ("Vertebral body of Th5", "T5"),
        ("L03", "L3"),
        ("T13", "T13"),
        ("sacrum", "sacrum"),
        ("femur_left", "femur_left"),
        ("Right hip bone", "hip_right"),
        ("rib_left_7", "rib_left_7"),
        ("disc_L4-L5", "disc_L4-L5"),
        ("IVD L4/L5", "disc_L4-L5"),
        ("intervertebral_discs", "disc"),
        ("spinal_cord", "spinal_cord"),
        ("Vertebral canal", "spinal_canal"),
        ("vertebrae_body", "corpus"),
        ("liver", "liver"),
        ("kidney_left", "kidney_left"),
    ],
)
def test_names_that_mean_a_structure(text, structure):
    assert structure_named(text) == structure


@pytest.mark.parametrize(
    "text",
    [
        "L3 pedicle screw", "L3 metastasis", "left L3 nerve root", "T12 rib", "L3 spinous process",
        "femur", "hip", "left right femur", "L9", "L3 L4", "Segment_1", "", "gallbladder",
        "L3 fracture", "kidney_cyst_left", "kidney", "disc herniation L4-L5", "L5-L4 disc",
        "C8 nerve",
    ],
)  # fmt: skip
def test_names_that_mean_no_whole_structure(text):
    assert structure_named(text) is None


@given(st.sampled_from(USUAL.levels), st.sampled_from(["vertebrae_{}", "{}", "{} vertebra"]))
def test_every_level_is_understood(level, form):
    assert structure_named(form.format(level)) == level


# ---------------------------------------------------------------- recognising by geometry


@pytest.mark.parametrize(
    "labels, name, lowest",
    [
        ([27, 28, 29, 30, 31], "totalsegmentator", "L5"),
        ([18, 19, 20, 21, 22], "totalsegmentator_v1", "L5"),
        ([24, 23, 22, 21, 20], "totalsegmentator_vertebrae_pp or verse", "L5"),
        ([2, 3, 4, 5, 6], "totalsegmentator_vertebrae_mr", "L5"),
        ([25, 24, 23, 22], "verse", "L6"),
        ([26, 24, 23, 22], "verse", "S1"),
    ],
)
def test_a_lumbar_spine_is_recognised_by_the_run_of_its_numbers(labels, name, lowest):
    mask, problems = recognise(spine(labels, whole=True))
    assert mask.system == name and problems == ()
    assert mask.structures[labels[0]] == lowest


def test_several_fitting_systems_are_a_question_and_no_guess():
    """Two medium vertebrae 30 mm apart: T12-T11 in version 2, T3-T2 in version 1."""
    small = spine([32, 33], step=30)
    array = small.array.copy()
    array[:20][array[:20] > 0] = 0  # half of each: 20 mL
    with pytest.raises(InputProblem, match="would fit totalsegmentator and totalsegmentator_v1"):
        recognise(type(small)(array, small.affine, name="m"))


@pytest.mark.parametrize(
    "labels",
    [[22], [1], [27, 31, 29, 30, 28], [5, 5], [200, 201], [7, 6, 5], [1, 2, 3, 4]],
    ids=[
        "one vertebra",
        "a single 1",
        "no order",
        "one label",
        "no system",
        "wrong sizes",
        "counted from 1",
    ],
)
def test_what_cannot_be_named_is_refused_and_says_what_to_do(labels):
    with pytest.raises(InputProblem, match="--labels"):
        recognise(spine(labels))


def test_the_numbers_of_a_mask_of_parts_alone_tell_it():
    parts = spine([49, 49, 49], extra=[(41, np.s_[18:20, 22:24, 10:40]), (100, np.s_[20, 12, 17])])
    mask, _ = recognise(parts)
    assert mask.system == "spineps" and mask.structures[49] == "corpus"


def test_an_empty_mask_is_refused():
    with pytest.raises(InputProblem, match="all are 0"):
        recognise(spine([]))


# ---------------------------------------------------------------- stated or named


def test_names_in_the_file_come_first():
    """By their numbers these would be L1-L3 of VerSe."""
    mask, problems = recognise(
        spine([22, 21, 20]),
        names={20: "vertebrae_L2", 21: "vertebrae_L3", 22: "vertebrae_L4", 23: "vertebrae_L5"},
    )
    assert dict(mask.structures) == {20: "L2", 21: "L3", 22: "L4"}
    assert mask.system == "names in the file" and problems == ()


def test_names_that_agree_with_a_system_name_it():
    names = {n: f"vertebrae_{s}" for n, s in system("totalsegmentator").labels.items()}
    assert recognise(spine([27, 28, 29]), names=names)[0].system == "totalsegmentator"


def test_names_that_mean_nothing_forbid_a_guess():
    with pytest.raises(InputProblem, match="mean no vertebra"):
        recognise(spine([27, 28, 29]), names={27: "one", 28: "two", 29: "three"})


def test_labels_without_a_name_are_told():
    problems = recognise(spine([20, 21, 22]), names={20: "L4", 21: "L3"})[1]
    assert ids(problems) == ["mask.unnamed_label"]


def test_levels_that_run_upwards_are_refused_even_when_stated():
    with pytest.raises(InputProblem, match="from the head down"):
        recognise(spine([18, 19, 20, 21]), by=system("verse"))
    with pytest.raises(InputProblem, match="from the head down"):
        recognise(spine([1, 2, 3]), names={1: "L1", 2: "L2", 3: "L3"})


def test_a_stated_system_with_implausible_sizes_is_doubted():
    """Lumbar-sized vertebrae named C7-C5, as a segmenter does that counts from 1 at the top."""
    mask, problems = recognise(spine([7, 6, 5], whole=True), by=system("verse"))
    assert ids(problems) == ["mask.implausible_levels"]
    assert mask.structures[7] == "C7"


def test_two_labels_of_one_vertebra_are_refused():
    with pytest.raises(InputProblem, match="L3 has several"):
        recognise(spine([1, 2]), names={1: "L3", 2: "vertebrae_L3"})


def test_a_mirrored_mask_is_refused():
    """Left lies at greater x; here the left hip is on the right."""
    hips = [(77, np.s_[0:5, 5:9, 0:5]), (78, np.s_[30:35, 5:9, 0:5])]
    with pytest.raises(InputProblem, match="mirrored"):
        recognise(spine([27, 28, 29], extra=hips), by=system("totalsegmentator"))
    right = [(78, hips[0][1]), (77, hips[1][1])]
    mask, _ = recognise(spine([27, 28, 29], extra=right))
    assert mask.structures[77] == "hip_left"


def test_a_spleen_is_no_vertebra_that_is_counted_from_one():
    """Label 1 is the spleen of TotalSegmentator: its mask is recognised all the same."""
    organs = [(1, np.s_[30:35, 5:9, 0:5]), (5, np.s_[0:5, 5:9, 0:5])]
    mask, _ = recognise(spine([27, 28, 29], extra=organs))
    assert mask.system == "totalsegmentator" and mask.structures[1] == "spleen"


def test_unknown_labels_of_a_stated_system_are_told():
    stray = [(200, np.s_[0, 0, 0])]
    problems = recognise(spine([27, 28, 29], extra=stray), by=system("totalsegmentator"))[1]
    assert "mask.unknown_label" in ids(problems)


# ---------------------------------------------------------------- whole or body


def test_the_shape_tells_bodies_from_whole_vertebrae():
    assert recognise(spine([24, 23, 22]))[0].parts == "body"
    assert recognise(spine([24, 23, 22], whole=True))[0].parts == "whole"


def test_a_shape_that_contradicts_its_system_is_believed_and_said():
    mask, problems = recognise(spine([27, 28, 29]))
    assert mask.parts == "body" and ids(problems) == ["mask.parts_by_shape"]


def test_how_much_of_its_hull_a_shape_fills():
    ball = np.indices((21, 21, 21)) - 10
    assert filling((ball**2).sum(axis=0) <= 90) > 0.85
    assert filling(np.ones((3, 4, 5), bool)) == pytest.approx(1)
    corner = np.zeros((10, 10, 1), bool)
    corner[0] = corner[:, 0] = True
    assert filling(corner) < 0.4


def test_bodies_from_a_mask_of_levels_and_a_mask_of_parts():
    levels = recognise(spine([24, 23, 22], whole=True))[0]
    parts = spine([50, 50, 50])
    parts.array[(levels.volume.array > 0) & (parts.array == 0)] = 41
    found = bodies(levels, recognise(parts)[0])
    assert found.parts == "whole" and dict(found.structures) == {24: "L5", 23: "L4", 22: "L3"}
    assert np.array_equal(found.volume.array, levels.volume.array)  # the arches stay
    assert np.array_equal(found.bodies, spine([24, 23, 22]).array > 0)


def test_bodies_need_both_masks_on_one_grid_and_of_one_scan():
    levels = recognise(spine([24, 23, 22], whole=True))[0]
    parts = recognise(spine([50, 50, 50]))[0]
    smaller = Mask(parts.volume.cropped((0, 0, 0), (20, 20, 20)), parts.structures)
    with pytest.raises(InputProblem, match="same voxels"):
        bodies(levels, smaller)
    empty = Mask(parts.volume, {50: "disc"})
    with pytest.raises(InputProblem, match="marks none there"):
        bodies(levels, empty)


# ---------------------------------------------------------------- real data


def test_real_masks_by_geometry_alone(shared_data):
    import nibabel

    for name, system_id, first in [
        ("totalsegmentator/example_seg_fast_force_split", "totalsegmentator", (27, "L5")),
        ("totalsegmentator/spine_report/totalseg_vertebrae_pp_refined", "or verse", (24, "L5")),
        ("tptbox/sub-ct_seg-vert_label-22_msk", "or verse", (22, "L3")),
        ("tptbox/sub-ct_seg-subreg_label-22_msk", "spineps", (50, "corpus")),
    ]:
        image = nibabel.load(shared_data / "imaging" / f"{name}.nii.gz")
        affine = np.diag([-1.0, -1, 1, 1]) @ image.affine
        volume = type(spine([]))(np.asanyarray(image.dataobj), affine, name=name)
        mask, problems = recognise(volume)
        assert system_id in mask.system and problems == ()
        assert mask.structures[first[0]] == first[1]
        assert mask.parts == ("body" if "refined" in name else "whole")
