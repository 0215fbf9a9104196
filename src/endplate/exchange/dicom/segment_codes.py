"""What a segment is, by its codes: for DICOM segmentations and for 3D Slicer's, coded alike.

A property type says what a segment is, an anatomic region only where. A tumour or a screw *in*
L3 has the region L3 and is not L3: a region names a segment only where the codes leave nothing
else for it to be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from pydicom.sr.coding import Code

from endplate.facts import Problem
from endplate.images.labels import codes, structure_named

_LATERALITY = {Code("7771000", "SCT", "Left"): "left", Code("24028007", "SCT", "Right"): "right"}
# Property categories (DICOM CID 7150) of what belongs to the body as it grew, and of what does not.
_GROWN = (
    Code("123037004", "SCT", "Anatomical Structure"),
    Code("91723000", "SCT", "Anatomical Structure"),
    Code("91772007", "SCT", "Organ"),
    Code("85756007", "SCT", "Tissue"),
)
_FOREIGN = (
    Code("49755003", "SCT", "Morphologically Abnormal Structure"),
    Code("260787004", "SCT", "Physical object"),
    Code("105590001", "SCT", "Substance"),
    Code("91720002", "SCT", "Body Substance"),
    Code("246464006", "SCT", "Function"),
    Code("309825002", "SCT", "Spatial and Relational Concept"),
)
# Structures whose code is that of either side.
_PAIRED = ("femur", "hip", "iliopsoas", "autochthon")
# Types that a vertebra or another bone also has, whose region then says which bone.
_ANY_BONE = (
    Code("51282000", "SCT", "Vertebra"),
    Code("272673000", "SCT", "Bone"),
    Code("3138006", "SCT", "Bone"),
)


@dataclass(frozen=True, slots=True)
class Coded:
    """What a segment's codes say.

    Attributes
    ----------
    structure
        The structure that they mean; None where they mean none that Endplate knows.
    instead
        What the segment is although its region or its label is a structure: a name such as
        ``Mass in L3``; empty where nothing speaks against its being that structure.
    """

    structure: str | None = None
    instead: str = ""


def coded(
    categories: Sequence[Code],
    types: Sequence[Code],
    regions: Sequence[Code],
    modifiers: Sequence[Code] = (),
    label: str = "",
) -> Coded:
    """What the codes of one segment say; a paired structure only with its side."""
    known = [s for s in (_structure(one, modifiers) for one in types) if s]
    own = next((s for s in known if s != "vertebrae"), None)
    if own:
        return Coded(own)
    where = next((s for s in (_structure(one, modifiers) for one in regions) if s), None)
    is_bone = all(one in _ANY_BONE for one in types)
    if where and is_bone and all(one in _GROWN for one in categories):
        return Coded(where)
    plain = all(one in (*_ANY_BONE, *_GROWN) for one in types)
    if any(one in _FOREIGN for one in categories) or (where and not plain):
        place = where or structure_named(label)
        what = types[0].meaning if types and types[0].meaning else "Something else"
        return Coded(None, f"{what} in {place}" if place else "")
    return Coded(known[0] if known else None)


def not_the_structure(name: str, where: str) -> Problem:
    """That a segment only lies in the structure which its region or label names."""
    return Problem(
        problem="mask.not_the_structure",
        says=f"A segment is coded as {name}: it lies there and is not that structure itself, and "
        f"was left aside.",
        where=where,
        try_=("If it is the structure itself, correct the segment's codes and save it again.",),
    )


def _structure(code: Code, modifiers: Sequence[Code]) -> str | None:
    found = _known().get(code)
    if found not in _PAIRED:
        return found
    sides = {_LATERALITY[m] for m in modifiers if m in _LATERALITY}
    return f"{found}_{sides.pop()}" if len(sides) == 1 else None


@cache
def _known() -> dict[Code, str]:
    return {Code(code, "SCT", structure): structure for structure, code in codes().items()}
