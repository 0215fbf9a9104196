"""Spoiled masks: each fault is called by its name, and gives no confident wrong number."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from functools import cache
from itertools import pairwise
from time import perf_counter

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from endplate.demo.phantom import Fracture, Phantom, Scan, Scoliosis, Spine, phantom
from endplate.facts import Fact
from endplate.images import mask_gates
from endplate.images.frame import blocks
from endplate.images.gates import levels
from endplate.images.measure import Measured, measure
from endplate.images.volume import Mask, Volume
from endplate.levels import Column, is_vertebra
from endplate.record import PatientRecord
from unit.images import corrupted
from unit.images.spines import EVIDENCE, one

QUANTITIES = {"geometry", "canal", "heights", "attenuation", "metal"}
SPINES = {
    "usual": Spine(first="T11"),
    "six lumbar": Spine(first="T12", last="L6", column=Column(12, 6)),
    "scoliosis": Spine(first="T11", scoliosis=Scoliosis(upper="T11", cobb=45)),
    "crush": Spine(first="T11", fractures={"L1": Fracture(kind="crush", loss=45)}),
}
KINDS = [(spine, parts) for spine in SPINES for parts in ("whole", "body")]


@cache
def made(spine: str) -> Phantom:
    return phantom(SPINES[spine], Scan(spacing=(2.0, 2.0, 2.5)))


@cache
def sound(spine: str, parts: str) -> tuple[Volume, Mask, Measured]:
    the = made(spine)
    mask = the.mask if parts == "whole" else the.body_mask
    return the.image, mask, measure(the.image, mask, quantities=QUANTITIES)


def named(found: Measured) -> set[str]:
    """The faults of the mask, and what was cut or could not be measured."""
    return {p.problem for p in found.problems}


def look(mask: Mask, image: Volume | None = None, **more) -> mask_gates.Gates:
    return mask_gates.looked_at(mask, blocks(mask), image, EVIDENCE, **more)


def faults(gates: mask_gates.Gates) -> set[str]:
    return {f.name for f in gates.faults}


def confident(found: Measured) -> list:
    return [
        f
        for f in found.facts
        if not isinstance(f.value, bool | str)
        and f.quality == "ok"
        and f.details.get("level_confirmed") != "no"
    ]


# The largest of what there is, between whichever levels it is.
SEARCHED = ("spine.coronal_cobb_angle", "spine.coronal_centroid_angle", "spine.largest_lordosis",
            "spine.largest_kyphosis")  # fmt: skip


def agrees(found: Measured, truth: Measured) -> None:
    """Every number without a doubt is the one that the sound mask gave."""
    known = {(f.what, f.level, f.side): f for f in truth.facts}
    for fact in confident(found):
        if fact.what in SEARCHED and (fact.what, fact.level, fact.side) not in known:
            continue
        other = known[fact.what, fact.level, fact.side]
        low, high = other.interval or (0.98 * other.number, 1.02 * other.number)
        # A crush is a loss against others than before, where those cannot be used any more.
        off = 3.0 if fact.what == "vertebra.crush" else 0.3
        assert low - off <= fact.number <= high + off, (fact.what, fact.level)


# -- controls -------------------------------------------------------------------------------------

CONTROLS = {
    "fine": (Spine(first="L3"), Scan(spacing=(0.7, 0.7, 0.7), reach=("L3", "L5"))),
    "thick slices": (Spine(first="T10"), Scan(spacing=(1.0, 1.0, 5.0))),
    "sagittal slices": (Spine(first="T10"), Scan(spacing=(4.0, 1.0, 1.0))),
    "coarse": (Spine(first="T10"), Scan(spacing=(3.0, 3.0, 3.0))),
    "whole spine": (Spine(first="T1"), Scan(spacing=(2.5, 2.5, 2.5))),
    "chest": (Spine(first="T1", last="T12", pelvis=None), Scan(spacing=(2.0, 2.0, 2.0))),
    "short field": (Spine(first="T4"), Scan(spacing=(2.0, 2.0, 2.0), reach=("T11", "L3"))),
    "scoliosis": (
        Spine(first="T4", scoliosis=Scoliosis(upper="T5", lower="L3", cobb=60, rotation=25)),
        Scan(spacing=(2.0, 2.0, 2.0)),
    ),
    "three crushed": (
        Spine(
            first="T10",
            fractures={
                "T12": Fracture(kind="crush", loss=55),
                "L1": Fracture(kind="crush", loss=60),
                "L2": Fracture(kind="biconcave", loss=50),
            },
        ),
        Scan(spacing=(2.0, 2.0, 2.0)),
    ),
    "oblique": (
        Spine(first="T10"),
        Scan(
            spacing=(1.5, 1.5, 2.0),
            directions=Rotation.from_euler("xyz", [20, -15, 25], degrees=True).as_matrix(),
        ),
    ),
    "much lordosis": (Spine(first="T12", lordosis=80), Scan(spacing=(2.0, 2.0, 2.0))),
    "bodies alone": (Spine(first="T10", arches=False), Scan(spacing=(1.0, 1.0, 3.0))),
}


@pytest.mark.parametrize("control", CONTROLS)
def test_a_sound_mask_has_no_fault(control):
    the = phantom(*CONTROLS[control])
    for mask in (the.mask, the.body_mask):
        gates = look(mask, the.image)
        assert gates.faults == ()
        has_sacrum = "S1" in {
            s for n, s in mask.structures.items() if (mask.volume.array == n).any()
        }
        assert set(gates.confirmed.values()) == {"counted" if has_sacrum else "no"}
        found = measure(the.image, mask, quantities={"heights"})
        assert not [p for p in named(found) if p.startswith("mask.")]


@pytest.mark.parametrize("spine, parts", KINDS)
def test_the_phantoms_that_are_spoiled_below_are_sound(spine, parts):
    _, _, found = sound(spine, parts)
    told = {"mask.transitional_vertebra"} if spine == "six lumbar" else set()
    assert {p for p in named(found) if p.startswith("mask.")} == told
    assert confident(found) or spine == "six lumbar"


# -- one fault each -------------------------------------------------------------------------------

SPOILED = {
    "swapped": (lambda m: corrupted.relabelled(m, {"L2": "L3", "L3": "L2"}), "mask.swapped_levels"),
    "swapped afar": (
        lambda m: corrupted.relabelled(m, {"L1": "L4", "L4": "L1"}),
        "mask.swapped_levels",
    ),
    "turned round": (
        lambda m: corrupted.relabelled(m, {"L1": "L5", "L2": "L4", "L4": "L2", "L5": "L1"}),
        "mask.out_of_order",
    ),
    "merged": (lambda m: corrupted.relabelled(m, {"L3": "L2"}), "mask.merged_levels"),
    "doubled": (lambda m: corrupted.relabelled(m, {"L4": "L1"}), "mask.doubled_level"),
    "dropped": (lambda m: corrupted.relabelled(m, {"L2": None}), "mask.level_gap"),
    "lowest dropped": (lambda m: corrupted.relabelled(m, {"L5": None}), "mask.level_gap"),
    "split": (lambda m: corrupted.split(m, "L2", "L3"), "mask.split_level"),
    "hole of 4 mm": (lambda m: corrupted.drilled(m, "L3", 4.0), "mask.holes"),
    "hole of 9 mm": (lambda m: corrupted.drilled(m, "L3", 9.0), "mask.holes"),
    "tunnel across": (lambda m: corrupted.drilled(m, "L3", 5.0, along=0), "mask.holes"),
    "tunnel backwards": (lambda m: corrupted.drilled(m, "L3", 6.0, along=1), "mask.holes"),
    "tunnel upwards": (lambda m: corrupted.drilled(m, "L3", 6.0, along=2), "mask.holes"),
    "small island": (lambda m: corrupted.with_island(m, "L3", 3.0), "mask.islands"),
    "island": (lambda m: corrupted.with_island(m, "L3", 6.0), "mask.islands"),
    "small fragment": (
        lambda m: corrupted.with_fragment(m, "L2", "L3", 0.15),
        "mask.neighbour_fragment",
    ),
    "fragment": (
        lambda m: corrupted.with_fragment(m, "L2", "L3", 0.3),
        "mask.neighbour_fragment",
    ),
    "cut from the side": (
        lambda m: corrupted.cut_inside(m, "L2", 0, upper=True),
        "mask.cut_inside_the_image",
    ),
    "cut from above": (
        lambda m: corrupted.cut_inside(m, "L2", 2, upper=True),
        "mask.cut_inside_the_image",
    ),
    "one slice up": (lambda m: corrupted.moved(m, 2, 1), "mask.off_the_image"),
    "one slice down": (lambda m: corrupted.moved(m, 2, -1), "mask.off_the_image"),
    "one voxel aside": (lambda m: corrupted.moved(m, 0, 1), "mask.off_the_image"),
    "one voxel back": (lambda m: corrupted.moved(m, 1, 1), "mask.off_the_image"),
}


# All of them on the usual spine; on the others those that their shape may hide or feign.
EVERYWHERE = ("swapped", "merged", "doubled", "dropped", "split", "fragment", "tunnel backwards")


@pytest.mark.parametrize(
    "spine, parts, spoiled",
    [
        (spine, parts, spoiled)
        for spine, parts in KINDS
        for spoiled in (SPOILED if spine == "usual" else EVERYWHERE)
    ],
)
def test_a_spoiled_mask_is_called_by_its_fault_and_gives_no_confident_wrong_number(
    spine, parts, spoiled
):
    image, mask, truth = sound(spine, parts)
    spoil, name = SPOILED[spoiled]
    found = measure(image, spoil(mask), quantities=QUANTITIES)
    assert named(found) & {name, *OR_ELSE.get(name, ())}, named(found)
    agrees(found, truth)


# A large fragment is a second body of its label.
OR_ELSE = {"mask.neighbour_fragment": ("mask.doubled_level", "mask.merged_levels")}


def test_what_is_known_of_the_rest_stays():
    """Above a swapped pair, which fills its room, the count from the sacrum goes on."""
    image, mask, _ = sound("usual", "whole")
    found = measure(
        image, corrupted.relabelled(mask, {"L2": "L3", "L3": "L2"}), quantities={"heights"}
    )
    known = {f.level: f.details["level_confirmed"] for f in found.facts if is_vertebra(f.level)}
    assert known["L2"] == known["L3"] == "no"
    assert {known[n] for n in ("T11", "T12", "L1", "L4", "L5")} == {"counted"}
    height = one(found.facts, "vertebra.height.middle", "L2")
    assert height.doubts[0] == "the labels of L2 and L3 are swapped"
    # L1 may be held against what is called L2, and then says so.
    crush = one(found.facts, "vertebra.crush", "L1")
    assert ("L2" in crush.details["reference"]) == (crush.quality == "doubtful")


def test_a_label_over_two_vertebrae_is_not_measured():
    image, mask, _ = sound("usual", "whole")
    found = measure(image, corrupted.relabelled(mask, {"L3": "L2"}), quantities=QUANTITIES)
    fact = one(found.facts, "vertebra.not_measured", "L2")
    assert fact.value == "its label covers two vertebrae"
    assert "L2" not in found.vertebrae
    assert not [f for f in found.facts if f.level == "L2" and f.what.startswith("vertebra.height")]


def test_above_a_gap_nobody_can_count():
    _, mask, _ = sound("usual", "whole")
    gates = look(corrupted.relabelled(mask, {"L2": None}))
    above = {"T11", "T12", "L1"}
    assert {n for n, how in gates.confirmed.items() if how == "no"} == above
    (gap,) = gates.faults
    assert set(gap.levels) == above and gap.says == "L2 has no label, between L1 and L3."


def test_a_person_who_has_counted_settles_a_count_and_no_swap():
    _, mask, _ = sound("usual", "whole")
    gap = look(corrupted.relabelled(mask, {"L2": None}), levels_confirmed=True)
    assert set(gap.confirmed.values()) == {"yes"} and faults(gap) == {"level_gap"}
    swapped = look(corrupted.relabelled(mask, {"L2": "L3", "L3": "L2"}), levels_confirmed=True)
    assert swapped.confirmed["L2"] == "no" and swapped.confirmed["L1"] == "yes"


# -- numbered one off -----------------------------------------------------------------------------


def test_a_vertebra_on_the_sacrum_that_is_no_lowest_one():
    image, mask, truth = sound("usual", "whole")
    found = measure(image, corrupted.renamed(mask, -1), quantities=QUANTITIES)
    assert "mask.level_shift" in named(found)
    assert [f.what for f in confident(found) if f.level is not None] == []
    heights = [f for f in found.facts if f.what == "vertebra.height.middle"]
    assert heights and all("its level may be off" in f.doubts[0] for f in heights)
    confirmed = measure(
        image, corrupted.renamed(mask, -1), quantities={"heights"}, levels_confirmed=True
    )
    assert {f.quality for f in confirmed.facts if f.what == "vertebra.height.middle"} == {"ok"}
    assert truth.facts


def test_six_lumbar_vertebrae_are_told_and_need_ribs_or_a_person():
    image, mask, _ = sound("six lumbar", "whole")
    off = measure(sound("usual", "whole")[0], corrupted.renamed(sound("usual", "whole")[1], 1))
    for found in (measure(image, mask, quantities=QUANTITIES), off):
        assert "mask.transitional_vertebra" in named(found)
        # Hips and sacrum are what they are, whatever the vertebrae above are called.
        assert [f.what for f in confident(found) if f.level is not None] == []
    ribs = look(corrupted.with_ribs(made("six lumbar"), mask, ("T12",)))
    assert set(ribs.confirmed.values()) == {"counted"}
    assert faults(ribs) == {"transitional_vertebra"}


@pytest.mark.parametrize("spine", ["usual", "scoliosis", "crush"])
def test_ribs_are_counted_from_and_contradict_a_count_that_is_one_off(spine):
    _, mask, _ = sound(spine, "whole")
    ribs = corrupted.with_ribs(made(spine), mask)
    assert set(look(ribs).confirmed.values()) == {"counted"} and look(ribs).faults == ()
    without = corrupted.relabelled(ribs, {"S1": None, "sacrum": None, "L5": None})
    assert {look(without).confirmed[n] for n in ("T11", "T12", "L1", "L4")} == {"counted"}
    for by in (-1, 1):
        off = look(corrupted.renamed(without, by))
        assert faults(off) == {"level_shift"} and set(off.confirmed.values()) == {"no"}


# -- sides ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("spine, parts", KINDS)
def test_a_header_that_exchanges_left_and_right(spine, parts):
    image, mask, _ = sound(spine, parts)
    turned = replace(mask, volume=corrupted.mirrored(mask.volume))
    found = measure(corrupted.mirrored(image), turned, quantities=QUANTITIES)
    assert "mask.wrong_side" in named(found)
    assert confident(found) == []


def test_organs_and_single_structures_tell_the_side():
    _, mask, _ = sound("usual", "whole")
    bare = replace(mask, structures={n: s for n, s in mask.structures.items() if is_vertebra(s)})
    assert look(bare).side == "untold"
    middle = blocks(mask)["L2"].bulk()
    for name, sign in (("liver", -1), ("spleen", 1), ("kidney_left", 1), ("iliopsoas_right", -1)):
        number = max(mask.structures) + 1
        there = replace(bare, structures={**bare.structures, number: name})
        there = corrupted.with_ball(there, number, middle + np.array([sign * 60, -20, 0]), 15)
        assert look(there).side == "told" and look(there).faults == ()
        turned = replace(there, volume=corrupted.mirrored(there.volume))
        assert faults(look(turned)) == {"wrong_side"}


def test_exchanged_labels_of_one_pair_leave_the_vertebrae_alone():
    image, mask, _ = sound("usual", "whole")
    middle = blocks(mask)["L2"].bulk()
    for side, sign in (("left", 1), ("right", -1)):
        number = max(mask.structures) + 1
        mask = replace(mask, structures={**mask.structures, number: f"kidney_{side}"})
        mask = corrupted.with_ball(mask, number, middle + np.array([-60 * sign, 0, 0]), 12)
    gates = look(mask, image)
    assert [(f.name, f.kind) for f in gates.faults] == [("wrong_side", "sides")]


def test_a_side_that_nothing_tells_is_doubtful():
    _, mask, _ = sound("usual", "whole")
    metal = Fact(what="imaging.metal", value="L2", level="L2", side="left")
    bare = replace(mask, structures={n: s for n, s in mask.structures.items() if is_vertebra(s)})
    assert "left from right" in look(bare).marked(metal).doubts[0]
    assert look(mask).marked(metal).quality == "ok"
    curve = Fact(what="imaging.scanner", value="convex to the left")
    assert look(bare).marked(curve).quality == "doubtful"


# -- the image ------------------------------------------------------------------------------------


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (1.0, 1.0, 3.0), (3.0, 3.0, 3.0)])
def test_a_mask_one_slice_beside_its_image_is_found_at_every_spacing(spacing):
    the = phantom(Spine(first="L2", last="L4", pelvis=None), Scan(spacing=spacing, noise=25.0))
    for mask in (the.mask, the.body_mask):
        assert faults(look(mask, the.image)) == set()
        for axis in range(3):
            for by in (-1, 1):
                assert "off_the_image" in faults(look(corrupted.moved(mask, axis, by), the.image))


@pytest.mark.parametrize("axis", range(3))
def test_a_border_through_a_vertebra(axis):
    image, mask, truth = sound("usual", "whole")
    found = measure(*corrupted.cropped(image, mask, "L2", axis), quantities=QUANTITIES)
    assert "measurement.cut_by_field_of_view" in named(found)
    agrees(found, truth)


def test_a_stack_that_its_reader_found_uneven():
    image, mask, _ = sound("usual", "whole")
    uneven = replace(image, problems=("irregular_spacing",))
    found = measure(uneven, mask, quantities=QUANTITIES)
    assert "mask.uneven_stack" in named(found) and confident(found) == []


# -- both sides of the cut-offs, cost -------------------------------------------------------------


def test_a_label_much_larger_or_smaller_than_its_neighbours():
    _, mask, _ = sound("usual", "body")
    assert faults(look(mask)) == set()
    index, world = corrupted.voxels(mask, "L2")
    for part, expected in ((0.5, False), (0.8, True)):
        array = mask.volume.array.copy()
        away = np.linalg.norm(world - blocks(mask)["L2"].bulk(), axis=1)
        array[tuple(index[away > np.quantile(away, 1 - part)].T)] = 0
        small = faults(look(corrupted.with_array(mask, array)))
        assert ("volume_out_of_range" in small) == expected
    big = corrupted.with_ball(mask, corrupted.label(mask, "L2"), blocks(mask)["L2"].bulk(), 32)
    assert "volume_out_of_range" in faults(look(big))


def test_a_label_larger_on_one_side():
    image, mask, _ = sound("usual", "whole")
    index, world = corrupted.voxels(mask, "L2")
    array = mask.volume.array.copy()
    array[tuple(index[world[:, 0] > blocks(mask)["L2"].bulk()[0] + 6].T)] = 0
    found = measure(image, corrupted.with_array(mask, array), quantities={"heights"})
    assert "mask.asymmetry" in named(found)
    assert one(found.facts, "vertebra.height.middle", "L2").quality == "doubtful"


def seconds(the: Phantom) -> float:
    there = blocks(the.mask)
    start = perf_counter()
    mask_gates.looked_at(the.mask, there, the.image, EVIDENCE)
    return perf_counter() - start


def test_the_cost_grows_no_faster_than_the_voxels():
    """Per voxel, a finer grid costs no more; a generous bound, as clocks of test machines are."""
    each = []
    for spacing in (3.0, 2.0, 1.5):
        the = phantom(Spine(first="T11"), Scan(spacing=(spacing,) * 3))
        each.append(min(seconds(the) for _ in range(3)) / the.mask.volume.array.size)
    assert all(finer < 3 * coarser for coarser, finer in pairwise(each))


def test_a_reader_that_found_the_names_implausible_leaves_no_level_sure_until_a_person_does():
    image, mask, _ = sound("usual", "whole")
    doubted = replace(mask, levels_doubtful=True)
    found = measure(image, doubted, quantities={"heights"})
    assert "mask.implausible_levels" in named(found)
    assert [f for f in confident(found) if f.level is not None] == []
    sure = measure(image, doubted, quantities={"heights"}, levels_confirmed=True)
    assert confident(sure)


def test_a_name_in_doubt_is_marked_and_each_thing_is_said_once():
    image, mask, _ = sound("usual", "whole")
    spoiled = corrupted.relabelled(mask, {"L2": "L3", "L3": "L2"})
    found = measure(image, corrupted.with_island(spoiled, "T12", 12.0), quantities={"heights"})
    doubted = {f.level for f in found.facts if f.details.get("level_in_doubt") == "yes"}
    assert doubted == {"L2", "L3"}
    (finding,) = levels(PatientRecord.of(found.facts).known_on(date(2026, 1, 1)), EVIDENCE)
    assert finding.category == "doubtful" and "in doubt: L2, L3." in finding.says
    assert "swapped" in next(p.says for p in found.problems if p.problem == "mask.swapped_levels")
    assert "swapped" not in finding.says
    pieces = one(found.facts, "vertebra.height.middle", "T12").doubts
    assert len([doubt for doubt in pieces if "pieces" in doubt]) == 1


def test_two_labels_in_one_vertebra_that_do_not_touch():
    _, mask, _ = sound("usual", "body")
    free = corrupted.relabelled(mask, {"L5": None, "S1": None, "sacrum": None})
    assert faults(look(free)) == set()
    halves = corrupted.split(free, "L4", "L5")
    middle = blocks(mask)["L4"].bulk()
    index, world = corrupted.voxels(mask, "L4")
    array = halves.volume.array.copy()
    array[tuple(index[np.abs(world[:, 2] - middle[2]) < 2].T)] = 0
    (fault,) = look(corrupted.with_array(halves, array)).faults
    assert fault.name == "miscounted_levels" and "L4 and L5 are nearer" in fault.says


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_round_sides_that_fill_the_same_voxels_are_not_cut(share):
    made = phantom(
        Spine(first="T1", last="T8", pelvis=None),
        Scan(spacing=(3.0, 3.0, 3.0), offset=(share, share / 1.25, share / 0.75),
             soft_tissue=False, noise=0),
    )  # fmt: skip
    problems = measure(None, made.body_mask, quantities={"heights"}).problems
    assert "mask.cut_inside_the_image" not in {p.problem for p in problems}
