"""Which label of a mask is which vertebra.

Segmentation programs number the same vertebra differently: 20 is L1, L3, S1's neighbour or a
bowel. A wrong system is a wrong level in every later step, so a system is never guessed: names
in the file decide, or the one system whose levels follow each other down the spine at distances
and sizes that vertebrae have; if several systems or none would do, the user is asked.

The systems stand in ``evidence/label_systems.toml``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import ConvexHull

from endplate import levels
from endplate.facts import InputProblem, Problem
from endplate.images.volume import Mask, Points, Volume
from endplate.levels import Column, Level, Span

Labels = npt.NDArray[np.integer[Any]]

# A body fills most of its convex hull; a whole vertebra, with its canal and between its
# processes, about half or less. Measured: bodies 0.70-0.79 at 3 mm voxels and 0.99 as meshes,
# whole vertebrae 0.29-0.52.
BODY_FILLS = 0.6
# Vertebrae looked at to tell bodies from whole vertebrae; more would tell the same.
_LOOKED_AT = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSystem:
    """What the numbers of one segmentation program mean.

    Attributes
    ----------
    id, name, source
        How it is called on the command line and in a report, and where the numbers were read.
    parts
        ``whole`` or ``body`` vertebrae; ``shape`` where the mask's own shape decides.
    labels
        label → structure.
    others
        Labels of structures that Endplate does not use.
    disc_offset, endplate_offset
        What is added to a vertebra's label for the disc below it, and that disc's endplates.
    by_numbers
        Whether its numbers alone tell it, where they could be the vertebrae of no other system.
    """

    id: str
    name: str
    parts: str = "shape"
    source: str = ""
    labels: Mapping[int, str] = field(default_factory=dict)
    others: frozenset[int] = frozenset()
    disc_offset: int = 0
    endplate_offset: int = 0
    by_numbers: bool = False

    def knows(self, label: int) -> bool:
        """Whether the program uses that number at all."""
        return label in self.labels or label in self.others or self._vertebra(label) is not None

    def has_discs(self, present: Iterable[int]) -> bool:
        """Whether discs and endplates are there, each numbered after a vertebra that is there."""
        labels = set(present)
        return all(
            offset and any(n - offset in labels for n in labels if n not in self.labels)
            for offset in (self.disc_offset, self.endplate_offset)
        )

    def structures(self, present: Iterable[int]) -> dict[int, str]:
        """The structures of the labels that are present and have a name."""
        labels = sorted(present)
        found = {label: self.labels[label] for label in labels if label in self.labels}
        under = {label: self._vertebra(label) for label in labels if label not in found}
        seen = {v for v in map(_level, found.values()) if v is not None}
        column = Column.of(seen | {kind[1] for kind in under.values() if kind is not None})
        for label, kind in under.items():
            if kind is not None:
                below = column.below(kind[1])
                found[label] = f"{kind[0]}_{kind[1]}-{below}" if below else kind[0]
        return found

    def _vertebra(self, label: int) -> tuple[str, Level] | None:
        """What lies below which vertebra, for the label of a disc or of its endplates."""
        for kind, offset in (("disc", self.disc_offset), ("endplate", self.endplate_offset)):
            level = _level(self.labels.get(label - offset, "")) if offset else None
            if level is not None and level is not Level.S1:
                return kind, level
        return None


@cache
def systems() -> Mapping[str, LabelSystem]:
    """All label systems that come with Endplate, by id."""
    return MappingProxyType(
        {name: own_system(name, cells) for name, cells in _tables()["system"].items()}
    )


@cache
def _tables() -> dict[str, Any]:
    path = files("endplate.evidence") / "label_systems.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


def own_system(id: str, cells: Mapping[str, Any]) -> LabelSystem:
    """A label system from a table with `labels` (number = structure) and, if given, `parts`.

    Raises
    ------
    InputProblem
        If a label is no whole number above 0, or a structure has no name.
    """
    labels: dict[int, str] = {}
    for number, structure in cells.get("labels", {}).items():
        named = isinstance(structure, str) and structure
        if not str(number).isdecimal() or int(number) == 0 or not named:
            raise _bad_map(id, str(number))
        labels[int(number)] = structure_named(structure) or structure
    parts = cells.get("parts", "shape")
    if not labels or parts not in ("whole", "body", "shape"):
        raise _bad_map(id, "labels" if not labels else "parts")
    runs = cells.get("others", ())
    return LabelSystem(
        id=id,
        name=cells.get("name", id),
        parts=parts,
        source=cells.get("source", ""),
        labels=MappingProxyType(labels),
        others=frozenset(n for first, last in runs for n in range(first, last + 1)),
        disc_offset=cells.get("disc_offset", 0),
        endplate_offset=cells.get("endplate_offset", 0),
        by_numbers=cells.get("by_numbers", False),
    )


def _bad_map(id: str, what: str) -> InputProblem:
    return InputProblem(
        f"{id}: cannot be used as a map of labels. It needs lines like '22 = \"L3\"' under "
        f'[labels], and parts = "whole" or "body" if given; {what!r} is not so. Correct it.'
    )


def system(name: str) -> LabelSystem:
    """The label system of that name.

    Raises
    ------
    InputProblem
        If there is none.
    """
    for id, cells in _tables()["system"].items():
        if name.lower() in (id, *cells.get("also", ())):
            return systems()[id]
    raise InputProblem(
        f"--labels {name}: is no known label system. Known are {', '.join(systems())}; a map of "
        f"your own is a file ending in .toml. Choose one of them."
    )


@cache
def codes() -> Mapping[str, str]:
    """structure → SNOMED CT code, for DICOM segmentations; ``femur`` and ``hip`` without side."""
    return MappingProxyType(dict(_tables()["snomed"]))


@cache
def on_bone() -> Mapping[str, Any]:
    """By what share of bright voxels a mask of vertebrae can lie on bone in a CT."""
    return MappingProxyType(_tables()["on_bone"])


def is_vertebra(structure: str) -> bool:
    """Whether a structure is a vertebra by level, S1 among them."""
    return _level(structure) is not None


# ---------------------------------------------------------------- names

_LEVEL_TOKEN = re.compile(r"(?<![a-z0-9])(?:th|[ctdls])\s?0?\d{1,2}(?![a-z0-9])")
_ORDINALS = {
    word: n
    for n, word in enumerate(
        ["first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth",
         "tenth", "eleventh", "twelfth"], 1)
}  # fmt: skip
_REGIONS = {"cervical": "C", "thoracic": "T", "dorsal": "T", "lumbar": "L", "sacral": "S"}
# With a level, these words still mean the vertebra; any other word means a part, a lesion or a
# screw of it, and the label is not taken for the vertebra.
_STILL_THE_VERTEBRA = frozenset(
    (
        "vertebra", "vertebrae", "vertebral", "body", "corpus", "bone", "whole", "full", "level",
        "structure", "of", "the", "spine", *_REGIONS, *_ORDINALS,
    )
)  # fmt: skip
_DISC = frozenset({"disc", "discs", "disk", "disks", "ivd", "intervertebral"})
_PLAIN = {
    "sacrum": "sacrum",
    "sacral bone": "sacrum",
    "os sacrum": "sacrum",
    "coccyx": "coccyx",
    "spinal cord": "spinal_cord",
    "spinal canal": "spinal_canal",
    "vertebral canal": "spinal_canal",
    "csf": "csf",
    "cerebrospinal fluid": "csf",
    "aorta": "aorta",
    "skeletal muscle": "skeletal_muscle",
    "subcutaneous fat": "subcutaneous_fat",
    "torso fat": "torso_fat",
    "liver": "liver",
    "spleen": "spleen",
    "heart": "heart",
    "vertebrae": "vertebrae",
    "vertebra": "vertebrae",
    "corpus": "corpus",
    "vertebral body": "corpus",
    "vertebrae body": "corpus",
    "endplate": "endplate",
    "metal": "metal",
}
_SIDED = {
    "femur": "femur",
    "hip": "hip",
    "hip bone": "hip",
    "innominate bone": "hip",
    "humerus": "humerus",
    "kidney": "kidney",
    "iliopsoas": "iliopsoas",
    "psoas": "iliopsoas",
    "autochthon": "autochthon",
}
# They tell left from right; alone they are nothing to measure.
_ORGANS = frozenset({"liver", "spleen", "heart", "kidney_left", "kidney_right"})
_RIB = re.compile(r"^rib (left|right) (\d{1,2})$")


def structure_named(text: str) -> str | None:
    """The structure that a label's name means: ``vertebrae_L3`` is ``L3``; None if unknown.

    A name with a side word gives a structure of that side; a femur without a side is None.
    """
    plain = " ".join(re.sub(r"[_,;()\[\]]+", " ", text.lower()).split())
    rib = _RIB.match(plain)
    if rib:
        return f"rib_{rib[1]}_{rib[2]}"
    found = _LEVEL_TOKEN.findall(plain.replace("/", " "))
    words = re.findall(r"[a-z]+", _LEVEL_TOKEN.sub(" ", plain))
    sides = [word for word in words if word in ("left", "right")]
    rest = " ".join(word for word in words if word not in ("left", "right"))
    if set(words) & _DISC:
        only_disc = set(words) <= _DISC | {"of", "level", "the", "structure"}
        return _disc(found) if only_disc else None
    if plain in _PLAIN:
        return _PLAIN[plain]
    if rest in _SIDED:
        return f"{_SIDED[rest]}_{sides[0]}" if len(set(sides)) == 1 else None
    if not set(words) <= _STILL_THE_VERTEBRA:
        return None
    ordinals = [_ORDINALS[word] for word in words if word in _ORDINALS]
    regions = [_REGIONS[word] for word in words if word in _REGIONS]
    if not found and len(ordinals) == 1 and len(regions) == 1:
        found = [f"{regions[0]}{ordinals[0]}"]
    level = _level(found[0].replace(" ", "")) if len(found) == 1 else None
    return level.value if level else None


def _disc(found: list[str]) -> str | None:
    ends = [_level(text.replace(" ", "")) for text in found]
    if not ends:
        return "disc"
    if len(ends) == 2 and ends[0] and ends[1] and ends[0] < ends[1]:
        return f"disc_{Span(ends[0], ends[1])}"
    return None


def _level(structure: str) -> Level | None:
    try:
        return levels.level(structure)
    except ValueError:
        return None


# ---------------------------------------------------------------- what lies where


def boxes(labels: Labels) -> dict[int, tuple[slice, slice, slice]]:
    """The smallest box around each label that is there."""
    turned = labels.flags.f_contiguous  # scanned in the order in which it lies in memory
    found = ndimage.find_objects(labels.T if turned else labels)
    return {
        label: box[::-1] if turned else box for label, box in enumerate(found, 1) if box is not None
    }


@dataclass(frozen=True, slots=True)
class _Blob:
    """One label: its voxels' centre (LPS mm), volume (mL), box, and whether the edge cuts it."""

    centre: Points
    volume: float
    box: tuple[slice, ...]
    is_cut: bool


def _blobs(volume: Volume) -> dict[int, _Blob]:
    labels = volume.array
    if labels.dtype.kind not in "iu":
        raise ValueError(f"{volume.name}: labels must be whole numbers.")
    if labels.size and labels.min() < 0:
        raise InputProblem(
            f"{volume.name}: cannot be used as a mask. Labels must be 0 or above; it holds "
            f"negative ones. Check that it is a mask and no image."
        )
    found: dict[int, _Blob] = {}
    for label, box in boxes(labels).items():
        inside = labels[box] == label
        count = inside.sum()
        along = [inside.sum(axis=tuple({0, 1, 2} - {axis})) for axis in range(3)]
        index = [
            part.start + n @ np.arange(len(n)) / count for part, n in zip(box, along, strict=True)
        ]
        edge = any(p.start == 0 or p.stop == n for p, n in zip(box, labels.shape, strict=True))
        millilitres = float(count * volume.voxel_volume / 1000)
        found[label] = _Blob(volume.to_world(index), millilitres, box, edge)
    if not found:
        raise InputProblem(
            f"{volume.name}: cannot be used as a mask. At least one voxel must have a label; all "
            f"are 0. Check that the segmentation ran to its end."
        )
    return found


def _misfits(structures: Mapping[int, str], blobs: Mapping[int, _Blob]) -> set[str]:
    """In what the structures cannot be so: ``order``, ``upwards``, ``step``, ``size``, ``side``."""
    found = {"side"} if _exchanged(structures, blobs) else set()
    seen = {
        level: blobs[label]
        for label, structure in structures.items()
        if (level := _level(structure)) is not None
    }
    column = Column.of(set(seen)).levels
    chain = sorted(seen.items(), key=lambda item: column.index(item[0]))
    upwards = 0
    for (upper, above), (lower, below) in pairwise(chain):
        if above.centre[2] <= below.centre[2]:
            upwards += 1
            found.add("order")
        if not (above.is_cut or below.is_cut):
            count = column.index(lower) - column.index(upper)
            step = float(np.linalg.norm(above.centre - below.centre)) / count
            low = min(_plausible(upper)["step"][0], _plausible(lower)["step"][0])
            high = max(_plausible(upper)["step"][1], _plausible(lower)["step"][1])
            if not low <= step <= high:
                found.add("step")
    if upwards and 2 * upwards > len(chain) - 1:
        found.add("upwards")
    for level, blob in seen.items():
        least, most = _plausible(level)["volume"]
        if blob.volume > most or (blob.volume < least and not blob.is_cut):
            found.add("size")
    centres = {structure: blobs[label].centre for label, structure in structures.items()}
    lowest = min((blob.centre[2] for blob in seen.values()), default=np.inf)
    if "sacrum" in centres and lowest <= centres["sacrum"][2]:
        found.add("order")
    return found


def _exchanged(structures: Mapping[int, str], blobs: Mapping[int, _Blob]) -> list[str]:
    """The pairs, without their side, whose left one does not lie to the left of the right one."""
    centres = {structure: blobs[label].centre for label, structure in structures.items()}
    pairs = [(s, s.replace("_left", "_right")) for s in centres if "_left" in s]
    return [
        left.replace("_left", "")
        for left, right in pairs
        if right in centres
        and centres[left][0] <= centres[right][0]  # x runs to the patient's left
    ]


def _plausible(level: Level) -> Mapping[str, tuple[float, float]]:
    for cells in _tables()["plausible"].values():
        if level in Span(levels.level(cells["first"]), levels.level(cells["last"])):
            return {"step": tuple(cells["step"]), "volume": tuple(cells["volume"])}
    raise KeyError(f"{level}: has no plausible sizes in label_systems.toml.")


# ---------------------------------------------------------------- recognising


def recognise(
    volume: Volume,
    *,
    names: Mapping[int, str] | None = None,
    by: LabelSystem | None = None,
) -> tuple[Mask, tuple[Problem, ...]]:
    """The mask with what each of its labels means, and what is doubtful about it.

    Parameters
    ----------
    volume
        Whole-number labels in their place in the patient (LPS mm); 0 is background.
    names
        Names of labels that stand in the file itself.
    by
        The system that the user states; it is taken even where sizes are implausible.

    Raises
    ------
    InputProblem
        If the mask is empty, no system or more than one fits, the levels run upwards, or a
        left structure lies to the right.
    """
    blobs = _blobs(volume)
    problems: list[Problem] = []
    if by is not None:
        structures, id, parts = by.structures(blobs), by.id, by.parts
        unknown = sum(not by.knows(label) for label in blobs)
        if unknown:
            says = f"{unknown} labels are unknown in {by.id} and were left aside."
            problems.append(_said("mask.unknown_label", says, volume))
    elif names and (named := _by_names(names, blobs)):
        structures, (id, parts) = named, _agreeing(named)
        unnamed = len(set(blobs) - set(names))
        if unnamed:
            problems.append(_said("mask.unnamed_label", f"{unnamed} labels have no name.", volume))
    else:
        structures, id, parts = _by_geometry(volume, blobs, names)
    _check(volume, structures, blobs, problems)
    parts = _parts(volume, structures, blobs, parts, problems)
    doubtful = any(p.problem == _IMPLAUSIBLE for p in problems)
    made = Mask(volume, MappingProxyType(structures), parts, id, levels_doubtful=doubtful)
    return made, tuple(problems)


_IMPLAUSIBLE = "mask.implausible_levels"


def _said(id: str, says: str, volume: Volume) -> Problem:
    return Problem(problem=id, says=says, where=volume.name)


def _by_names(names: Mapping[int, str], blobs: Mapping[int, _Blob]) -> dict[int, str]:
    known = {label: structure_named(names[label]) for label in sorted(blobs) if label in names}
    named = {label: structure for label, structure in known.items() if structure}
    return named if {*named.values()} - _ORGANS else {}


def _agreeing(structures: Mapping[int, str]) -> tuple[str, str]:
    """The system that numbers these structures so, with its parts; else that names decided."""
    for one in systems().values():
        if one.structures(structures) == structures:
            return one.id, one.parts
    return "names in the file", "shape"


def _by_geometry(
    volume: Volume, blobs: Mapping[int, _Blob], names: Mapping[int, str] | None
) -> tuple[dict[int, str], str, str]:
    """The structures by the one system that fits; systems that mean the same are one."""
    fitting: dict[tuple[tuple[int, str], ...], list[LabelSystem]] = {}
    if not names:  # names that mean nothing to us rule out a guess by numbers
        for one in systems().values():
            if all(one.knows(label) for label in blobs):
                structures = one.structures(blobs)
                if _can_tell(structures, blobs) and not _misfits(structures, blobs):
                    fitting.setdefault(tuple(structures.items()), []).append(one)
        if not fitting:
            known = [one for one in systems().values() if all(map(one.knows, blobs))]
            told = [one for one in known if one.by_numbers or one.has_discs(blobs)]
            if told:
                for one in known:
                    structures = one.structures(blobs)
                    if one in told or _could_be(structures, blobs):
                        fitting.setdefault(tuple(structures.items()), []).append(one)
    if len(fitting) == 1:
        ((same, alike),) = fitting.items()
        parts = alike[0].parts if len({one.parts for one in alike}) == 1 else "shape"
        return dict(same), " or ".join(one.id for one in alike), parts
    if fitting:
        got = "its numbers would fit " + " and ".join(
            one.id for alike in fitting.values() for one in alike
        )
    elif names:
        got = "the names in the file mean no vertebra"
    else:
        got = "no known system fits its labels " + _listed(blobs)
    raise InputProblem(
        f"{volume.name}: its vertebrae cannot be named. It must be certain which label is which "
        f"vertebra; {got}. Say which program wrote it with --labels (one of "
        f"{', '.join(systems())}, or a .toml file of your own)."
    )


def _listed(labels: Iterable[int]) -> str:
    some = sorted(labels)
    return ", ".join(map(str, some[:8])) + (" ..." if len(some) > 8 else "")


def _can_tell(structures: Mapping[int, str], blobs: Mapping[int, _Blob]) -> bool:
    """Whether there is an order to see and a size: two vertebrae, one of them entire.

    Numbers that start at 1 tell nothing: people and programs also count so from wherever the
    image begins (where 1 is the spleen, it is no vertebra that is counted).
    """
    vertebrae = [label for label, structure in structures.items() if _level(structure)]
    entire = [label for label in vertebrae if not blobs[label].is_cut]
    return len(vertebrae) > 1 and bool(entire) and structures.get(1, "spleen") == "spleen"


def _could_be(structures: Mapping[int, str], blobs: Mapping[int, _Blob]) -> bool:
    """Whether labels could be vertebrae at all: in their order, and none larger than any is.

    Small or close ones could be a child's, or cut by the edge. A single one among other
    structures has no order that could tell.
    """
    volumes = {
        level: blobs[label].volume for label, s in structures.items() if (level := _level(s))
    }
    too_large = any(mL > _plausible(level)["volume"][1] for level, mL in volumes.items())
    some = len(volumes) > 1 or len(volumes) == len(blobs)
    return some and not too_large and not _misfits(structures, blobs) - {"step", "size"}


def _check(
    volume: Volume,
    structures: Mapping[int, str],
    blobs: Mapping[int, _Blob],
    problems: list[Problem],
) -> None:
    """Refuse what cannot be so, and doubt what is unlikely."""
    if not {*structures.values()} - _ORGANS:
        raise InputProblem(
            f"{volume.name}: holds nothing to measure. A vertebra or another structure of the "
            f"spine is needed; its labels {_listed(blobs)} mean none. Check --labels."
        )
    vertebrae = [structure for structure in structures.values() if _level(structure)]
    twice = {structure for structure in vertebrae if vertebrae.count(structure) > 1}
    if twice:
        raise InputProblem(
            f"{volume.name}: cannot be used. Each vertebra must have one label; "
            f"{', '.join(sorted(twice))} has several. Correct the names of the labels."
        )
    wrong = _misfits(structures, blobs)
    if "side" in wrong:
        raise InputProblem(
            f"{volume.name}: cannot be used. Left structures must lie to the patient's left; left "
            f"and right are exchanged in {', '.join(_exchanged(structures, blobs))}. The mask is "
            f"mirrored, or its labels are of another system: check --labels, the codes of its "
            f"segments and how the file was written."
        )
    if "upwards" in wrong:
        raise InputProblem(
            f"{volume.name}: cannot be used. Vertebrae must follow each other from the head down; "
            f"with these labels they do not. Check --labels and how the file was written."
        )
    if wrong:
        says = (
            "The vertebrae have an order, sizes or distances that vertebrae of these names do not "
            "have; the names of the levels are doubtful."
        )
        problems.append(_said(_IMPLAUSIBLE, says, volume))


def _parts(
    volume: Volume,
    structures: Mapping[int, str],
    blobs: Mapping[int, _Blob],
    stated: str,
    problems: list[Problem],
) -> str:
    """Whether the labels cover whole vertebrae or bodies: by their shape where it can be seen."""
    vertebrae = [label for label, structure in structures.items() if _level(structure)]
    vertebrae = [n for n in vertebrae if structures[n] not in ("S1", "C1", "C2")]
    entire = [label for label in vertebrae if not blobs[label].is_cut] or vertebrae
    if not entire:
        return stated if stated != "shape" else "whole"
    largest = sorted(entire, key=lambda label: -blobs[label].volume)[:_LOOKED_AT]
    fills = np.median([filling(volume.array[blobs[n].box] == n) for n in largest])
    seen = "body" if fills >= BODY_FILLS else "whole"
    if stated not in ("shape", seen):
        says = (
            f"By its label system the mask covers {_PARTS[stated]}, by its shape {_PARTS[seen]}; "
            f"the shape was believed."
        )
        problems.append(_said("mask.parts_by_shape", says, volume))
    return seen


_PARTS = {"whole": "whole vertebrae", "body": "vertebral bodies alone"}


def filling(inside: npt.NDArray[np.bool_]) -> float:
    """The share of its convex hull that a shape fills; independent of spacing and direction."""
    index = np.argwhere(inside.any(axis=0))
    first = inside.argmax(axis=0)[tuple(index.T)]
    last = inside.shape[0] - 1 - inside[::-1].argmax(axis=0)[tuple(index.T)]
    ends = np.concatenate([np.c_[first - 0.5, index], np.c_[last + 0.5, index]])
    sides = np.array([[0, x, y] for x in (-0.5, 0.5) for y in (-0.5, 0.5)])
    hull = ConvexHull((ends[:, None] + sides).reshape(-1, 3))
    return float(inside.sum() / hull.volume)


# ---------------------------------------------------------------- two masks


def bodies(instance: Mask, subregion: Mask) -> Mask:
    """Vertebrae by level with their bodies told apart, from masks of levels and of parts.

    The rest of each vertebra stays with it: its arch closes the canal.

    Parameters
    ----------
    instance
        Whole vertebrae by level.
    subregion
        Parts of vertebrae without levels, of which ``corpus`` is the body.

    Raises
    ------
    InputProblem
        If the grids differ, or the second mask holds no bodies where the first has vertebrae.
    """
    if not instance.volume.same_grid(subregion.volume):
        raise InputProblem(
            f"{subregion.volume.name}: cannot be joined with {instance.volume.name}. Both masks "
            f"must have the same voxels in the same places; they differ. Write both on one grid."
        )
    numbers = [label for label, structure in subregion.structures.items() if structure == "corpus"]
    vertebrae = [label for label, s in instance.structures.items() if _level(s)]
    inside = np.isin(subregion.volume.array, numbers) & np.isin(instance.volume.array, vertebrae)
    if not inside.any():
        raise InputProblem(
            f"{subregion.volume.name}: cannot be joined with {instance.volume.name}. It must mark "
            f"vertebral bodies where the other has vertebrae; it marks none there. Check that "
            f"both are of the same scan."
        )
    system = f"{instance.system} with bodies of {subregion.system}"
    return replace(instance, system=system, bodies=inside)
