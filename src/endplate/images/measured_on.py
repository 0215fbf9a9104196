"""The structures of a mask that a measurement stands on, by name.

Whoever keeps a measurement keeps these with it, and can measure it again on them alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from endplate import levels
from endplate.facts import Fact, Side
from endplate.images.muscle import PAIRS, WALL
from endplate.levels import Level

_SACRUM = ("S1", "sacrum")
_FLUID = ("csf", "spinal_canal")
# The end of the hip axis that each of these was measured on.
_HEADS = {"pelvis.femoral_head_radius": "femur", "pelvis.acetabular_radius": "hip"}
# The hip axis alone; all else of the pelvis is measured against the endplate of S1 too.
_OF_THE_AXIS = ("pelvis.pelvic_obliquity", "pelvis.pelvic_rotation")
_OF_A_DISC = ("disc.", "mr.disc_signal")
_AGAINST_FLUID = (
    "mr.csf_signal", "mr.vertebral_bone_quality", "mr.cervical_bone_quality.",
    "mr.endplate_bone_quality", "mr.disc_signal_ratio",
)  # fmt: skip


class Ground:
    """What the facts of one image and mask were measured on.

    Parameters
    ----------
    facts
        All of them: the radii of the hips tell which bones the hip axis was taken from.
    there
        The structures that can have been measured.
    """

    def __init__(self, facts: Iterable[Fact], there: Collection[str]) -> None:
        self.there = frozenset(there)
        self.heads: Mapping[Side, str] = {
            f.side: f"{_HEADS[f.what]}_{f.side}" for f in facts if f.what in _HEADS and f.side
        }

    def of(self, fact: Fact) -> tuple[str, ...]:
        """The structures that one fact was measured on, those that are there."""
        if fact.what in ("vertebra.not_measured", "imaging.metal"):
            return ()
        named = [*self._bones(fact), *_tissue(fact)]
        kept = [name for name in dict.fromkeys(named) if name in self.there]
        if set(_FLUID) <= set(kept):  # the labelled canal stands in for fluid without a label
            kept.remove("spinal_canal")
        return tuple(kept)

    def _bones(self, fact: Fact) -> list[str]:
        if fact.what in _HEADS:
            return [f"{_HEADS[fact.what]}_{fact.side}"]
        found = _vertebrae(fact)
        if found and found[-1] == "S1":
            found[-1:] = _SACRUM
        is_of_pelvis = fact.what.startswith("pelvis.") or fact.what.endswith("_pelvic_angle")
        if is_of_pelvis and fact.what not in _OF_THE_AXIS:
            found += _SACRUM
        if is_of_pelvis or fact.details.get("lateral_axis") == "hip axis":
            found += self._hips()
        return found

    def _hips(self) -> list[str]:
        sides: tuple[Side, ...] = ("left", "right")
        return [n for s in sides for n in self._hip(s)]

    def _hip(self, side: Side) -> tuple[str, ...]:
        known = self.heads.get(side)
        return (known,) if known else (f"femur_{side}", f"hip_{side}")


def _vertebrae(fact: Fact) -> list[str]:
    """Those of a fact's level or mean, and those it says it was held against; downwards."""
    said = [str(fact.details.get(n, "")) for n in ("levels", "reference", "csf_level")]
    told, *others = ([w for w in words.split(", ") if w in Level.__members__] for words in said)
    if not told and fact.level is not None:
        run = levels.span(fact.level)
        told = [v.value for v in levels.Column.of({run.first, run.last}).within(run)]
    return sorted({*told, *(n for names in others for n in names)}, key=Level)


def _tissue(fact: Fact) -> list[str]:
    """The muscles, disc or fluid whose labels were measured."""
    found: list[str] = []
    kind, _, rest = fact.what.partition(".")
    if kind == "muscle":
        muscle, _, quantity = rest.partition(".")
        every = [f"{stem}_{side}" for stem in PAIRS.values() for side in ("left", "right")]
        if muscle not in PAIRS:
            found += [WALL, *every]
        elif quantity == "fat_by_threshold":  # the threshold is that of all muscles together
            found += every
        else:
            found.append(f"{PAIRS[muscle]}_{fact.side}")
    if fact.what.startswith(_OF_A_DISC):
        found += [f"disc_{fact.level}", "disc"]
    if fact.what.startswith(_AGAINST_FLUID):
        found += _FLUID
    return found
