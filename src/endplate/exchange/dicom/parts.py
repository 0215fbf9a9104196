"""One DICOM series taken apart into the volumes that it really holds."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from functools import partial
from itertools import combinations, pairwise

import numpy as np
import numpy.typing as npt

from endplate.exchange.dicom import stack
from endplate.exchange.dicom.files import Unreadable
from endplate.exchange.dicom.frames import Frame
from endplate.exchange.dicom.pixels import is_whole, voxels
from endplate.facts import Problem

Planes = list[Frame]

# What can tell planes in one place from one another, most telling first.
_PHASES = {
    "ImageType": "image type",
    "EchoNumbers": "echo",
    "EchoTime": "echo time",
    "TemporalPositionIdentifier": "time point",
    "DiffusionBValue": "diffusion weighting",
    "AcquisitionNumber": "acquisition",
    "KVP": "tube voltage",
    "ConvolutionKernel": "kernel",
    "ContrastBolusAgent": "contrast agent",
    "TriggerTime": "trigger time",
}

# What tells acquisitions of a CT apart that take turns along one stack, and how often each must.
_TAKE_TURNS = ("AcquisitionNumber", "KVP", "ContrastBolusAgent", "ConvolutionKernel")
_LEAST_TURNS = 3


class Faults:
    """Collects the problems of a series or volume, and the first reason why it is unusable."""

    def __init__(self, source: str, known: Iterable[Problem] = ()) -> None:
        self.source = source
        self.problems = list(known)
        self.unusable = ""

    def say(self, id: str, says: str, *try_: str) -> None:
        """Note a problem that the result survives."""
        self.problems.append(Problem(problem=id, says=says, where=self.source, try_=try_))

    def refuse(self, id: str, says: str, *try_: str) -> None:
        """Note a problem for which nothing can be measured."""
        self.say(id, says, *try_)
        self.unusable = self.unusable or says


def usable(planes: Planes, faults: Faults) -> Planes:
    """The planes that have a place in the patient and all of their pixels."""
    placed = [p for p in planes if p.position and p.spacing and _is_oriented(p)]
    if len(placed) < len(planes):
        faults.say(
            "dicom.no_position",
            f"{len(planes) - len(placed)} of {len(planes)} slices do not say where in the patient "
            f"they lie (position, orientation, pixel spacing) and were left out.",
        )
    whole = [p for p in placed if is_whole(p)]
    if len(whole) < len(placed):
        faults.say(
            "dicom.truncated_slice",
            f"{len(placed) - len(whole)} of {len(placed)} slices end within their pixels and "
            f"were left out.",
            "Copy or export the series again.",
        )
    return whole


def _is_oriented(plane: Frame) -> bool:
    return plane.orientation is not None and stack.axes(plane.orientation) is not None


def parts(planes: Planes, faults: Faults) -> list[Planes]:
    """Planes of one series as volumes: of one size, frame of reference, orientation, phase."""
    found = _split(
        [planes],
        lambda p: (p.rows, p.columns, *np.round(p.spacing or (0, 0), 4)),
        faults,
        "dicom.mixed_matrix",
        "slices of {n} different sizes or pixel spacings",
    )
    found = _split(
        found,
        lambda p: p.text("FrameOfReferenceUID"),
        faults,
        "dicom.mixed_frame_of_reference",
        "slices in {n} different frames of reference",
    )
    stacks = [
        [group[i] for i in same]
        for group in found
        for same in stack.same_orientation(np.array([p.orientation for p in group]))
    ]
    if len(stacks) > len(found):
        _said(faults, "dicom.mixed_orientation", f"{len(stacks)} stacks of different orientation")
    return [phase for group in stacks for phase in _phases(without_copies(group, faults), faults)]


def _split(
    groups: list[Planes],
    key: Callable[[Frame], Hashable],
    faults: Faults,
    id: str,
    what: str,
) -> list[Planes]:
    found = [part for group in groups for part in _by(group, key)]
    if len(found) > len(groups):
        _said(faults, id, what.format(n=len(found)))
    return found


def _said(faults: Faults, id: str, what: str) -> None:
    faults.say(id, f"The series holds {what}; each is read as a volume of its own.")


def _by(planes: Planes, key: Callable[[Frame], Hashable]) -> list[Planes]:
    groups: dict[Hashable, Planes] = {}
    for plane in planes:
        groups.setdefault(key(plane), []).append(plane)
    return list(groups.values())


def doubles(planes: Planes) -> list[list[int]]:
    """Indices of planes of one orientation that lie in the same place."""
    directions = stack.axes(planes[0].orientation or ())
    if directions is None:
        raise ValueError("The planes have no orientation.")
    return stack.same_place(positions(planes), np.cross(directions[0], directions[1]))


def positions(planes: Planes) -> npt.NDArray[np.float64]:
    """Image Position (Patient) of each plane, (n, 3)."""
    return np.array([p.position for p in planes], dtype=float)


def without_copies(planes: Planes, faults: Faults) -> Planes:
    """The planes without those that equal another one in place, phase and every pixel."""
    copies: set[int] = set()
    for group in doubles(planes):
        kept: list[int] = []
        for i in group:
            if any(_is_copy(planes[i], planes[k]) for k in kept):
                copies.add(i)
            else:
                kept.append(i)
    if copies:
        faults.say(
            "dicom.duplicate_slice",
            f"{len(copies)} of {len(planes)} slices are exact copies of others and were left out.",
        )
    return [plane for i, plane in enumerate(planes) if i not in copies]


def _is_copy(one: Frame, other: Frame) -> bool:
    if _texts(tuple(_PHASES), one) != _texts(tuple(_PHASES), other):
        return False  # without decoding anything
    try:
        return bool(np.array_equal(voxels([one]), voxels([other])))
    except Unreadable:
        return False


def _texts(keywords: tuple[str, ...], plane: Frame) -> tuple[str, ...]:
    return tuple(plane.text(keyword) for keyword in keywords)


def _phases(planes: Planes, faults: Faults) -> list[Planes]:
    """Planes in the same places told apart by one or two elements, such as echo or time point."""
    if not doubles(planes):
        return _interleaved(planes, faults)
    tries: list[tuple[str, ...]] = [(keyword,) for keyword in _PHASES]
    for keywords in (*tries, *combinations(_PHASES, 2)):
        groups = _by(planes, partial(_texts, keywords))
        if 1 < len(groups) <= len(planes) // 2 and not any(doubles(group) for group in groups):
            names = " and ".join(_PHASES[keyword] for keyword in keywords)
            _said(faults, "dicom.several_phases", f"{len(groups)} volumes that differ in {names}")
            return groups
    return [planes]


def _interleaved(planes: Planes, faults: Faults) -> list[Planes]:
    """Planes of a CT told apart where acquisitions take turns from place to place.

    Together they look like one regular stack, of which every second slice may hold contrast.
    Acquisitions that follow each other along the stack are one volume, as are single slices
    that differ.
    """
    directions = stack.axes(planes[0].orientation or ())
    if directions is None or planes[0].text("Modality") != "CT":
        return [planes]
    order = np.argsort(positions(planes) @ np.cross(directions[0], directions[1]), kind="stable")
    for keyword in _TAKE_TURNS:
        groups = _by([planes[i] for i in order], partial(_texts, (keyword,)))
        if len(groups) == 1 or min(map(len, groups)) < _LEAST_TURNS:
            continue
        values = [planes[i].text(keyword) for i in order]
        turns = sum(one != other for one, other in pairwise(values))
        if 2 * turns >= len(planes) and all(_is_regular(group) for group in groups):
            what = f"{len(groups)} volumes whose slices take turns and differ in {_PHASES[keyword]}"
            _said(faults, "dicom.interleaved_acquisitions", what)
            return groups
    return [planes]


def _is_regular(planes: Planes) -> bool:
    first = planes[0]
    grid = stack.grid(positions(planes), first.orientation or (), first.spacing or (0.0, 0.0))
    return not grid.fault
