"""How the labelled vertebrae follow each other: order, gaps, doubled and split names, the count.

What their names are counted from is the sacrum, or ribs that are labelled.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from endplate.evidence import Evidence
from endplate.images.frame import Block
from endplate.images.mask_fault import CONFIRM, Fault
from endplate.images.volume import Points
from endplate.levels import Column, Level

# Two parts of one label nearer than this (mm) are not told apart: less than from one cervical
# vertebra to the next.
_APART = 10.0
# A second part lies along the spine, not behind (an arch) or beside it, within this of the line.
_ALONG = float(np.cos(np.radians(45)))
# Where no other pair of vertebrae tells it: from one lumbar vertebra to the next (mm).
_LUMBAR_STEP = 37.0
# The lowest vertebra's middle is so many steps from the sacrum.
_TO_SACRUM = 0.65
# The head of a rib lies at the upper edge of the vertebra of its number, or at the disc above.
_RIB_ABOVE = 0.25
# A label that shows less than this part of its neighbours' bone has its middle elsewhere.
_MOSTLY_THERE = 0.5
# How far beside the spine (mm) a structure must lie to have a side.
BESIDE = 5.0
# Structures are looked at on a grid that need be no finer than this (mm) to know where they lie.
_COARSE = 3.0
# All bodies reach so far (mm) from the line of their middles.
_CORE = 10.0
# Two labels that together are no larger than so many vertebrae are parts of one.
_ONE_AND_A_HALF = 1.5
NO_BODY = frozenset({Level.S1, Level.C1, Level.C2})
_RIB = re.compile(r"rib_(?:left|right)_(\d+)$")


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """The middle of one body as labelled."""

    level: Level
    at: Points


class LabelledSpine:
    """The labelled vertebrae as they follow each other in the image, from the head down."""

    def __init__(self, blocks: Mapping[str, Block], evidence: Evidence) -> None:
        self.blocks = blocks
        self.evidence = evidence
        few = self.evidence.row("measurement.least_voxels")
        there = sorted(Level(n) for n in blocks if n in Level.__members__)
        self.names = [v.value for v in there]
        self.column = Column.of(set(there))
        self.index = {v: n for n, v in enumerate(self.column.levels)}
        # A stray voxel of a label must not stand for a vertebra.
        seen = [v for v in there if not few.met(blocks[v].count)]
        self.parts = {v: blocks[v].massive_parts(_APART, self._row("second_body")) for v in seen}
        self.nodes = self._in_order(seen)
        several = {n.level for n in self.nodes if self._times(n.level) > 1}
        self.several = sorted(several)
        self.bordering = [*self._bordering()]
        self.split = {
            v for fault in self.bordering if fault.kind == "refused" for v in fault.levels
        }
        self.single = [n for n in self.nodes if n.level not in several | self.split]
        self.counted: set[str] = set()

    def _row(self, name: str) -> float:
        return self.evidence.row(f"measurement.mask.{name}").number

    def _times(self, level: Level) -> int:
        return sum(n.level == level for n in self.nodes)

    def _in_order(self, seen: Sequence[Level]) -> list[Node]:
        """All bodies from the head down by where they lie, whatever their labels say."""
        firsts = np.array([self.blocks[v].bulk() if len(self.parts[v]) < 2 else self.parts[v][0]
                           for v in seen]).reshape(-1, 3)  # fmt: skip
        if not len(firsts):
            return []
        down = _direction(firsts)
        places = [
            Node(v, at)
            for v, first in zip(seen, firsts, strict=True)
            # The sacrum has wings, the atlas is a ring: neither has one densest part.
            for at in ([first] if v in NO_BODY else self._bodies(v, firsts, down))
        ]
        return sorted(places, key=lambda n: float(n.at @ down))

    def _bodies(self, level: Level, firsts: Points, down: Points) -> list[Points]:
        """The bodies under one label."""
        own = [self.parts[level][0]]
        for at in self.parts[level][1:]:
            local = self._direction_at(at, own[0], firsts, down)
            if all(_is_along(at - other, local) for other in own):
                own.append(at)
        if len(own) > 1:
            return own
        return [self.blocks[level].broad_middle(self._direction_at(own[0], own[0], firsts, down))]

    def _direction_at(self, a: Points, b: Points, firsts: Points, down: Points) -> Points:
        """Which way the spine runs near two points: the line of the bodies around them."""
        away = np.minimum(np.linalg.norm(firsts - a, axis=1), np.linalg.norm(firsts - b, axis=1))
        near = firsts[np.argsort(away)[:4]]
        return _direction(near) if len(near) > 2 else down

    # -- distances --

    def _is_mostly_there(self, node: Node) -> bool:
        sizes = [self.blocks[v].count for v in self.parts if v != Level.S1]
        return self.blocks[node.level].count >= _MOSTLY_THERE * float(np.median(sizes))

    def _near(self, at: int) -> list[float]:
        """The distances from body to body near this place in the order, itself left out."""
        near = []
        for n in range(max(at - 3, 0), min(at + 4, len(self.nodes) - 1)):
            a, b = self.nodes[n], self.nodes[n + 1]
            ends = {a.level, b.level} & NO_BODY
            if n != at and not ends and self._is_mostly_there(a) and self._is_mostly_there(b):
                near.append(float(np.linalg.norm(a.at - b.at)))
        return sorted(near)

    # -- what is wrong --

    def faults(self) -> Iterator[Fault]:
        """What is wrong with which label is which vertebra; notes what could be counted."""
        yield from self._over_two()
        yield from self.bordering
        displaced, fault = self._order()
        if fault is not None:
            yield fault
        good = [
            n for n in self.single if n.level not in displaced and n.level is not Level.S1
        ]  # how the lowest one stands on the sacrum is asked apart
        runs, breaks = self._runs(good)
        anchored, more = self._anchored(runs)
        for number, fault in breaks:
            touched = [v for at in (number, number + 1) if at not in anchored for v in runs[at]]
            yield replace(fault, levels=tuple(touched or runs[number]))
        yield from more
        self.counted = {v for at in anchored for v in runs[at]}
        if Level.S1 in {n.level for n in self.single} - displaced:
            self.counted.add(Level.S1.value)  # it is what is counted from
        yield from self._variants()

    def _over_two(self) -> Iterator[Fault]:
        for level in self.several:
            at = [n for n, node in enumerate(self.nodes) if node.level == level]
            beside = at[-1] - at[0] == len(at) - 1
            absent = self.column.below(level), self.column.above(level)
            merged = beside and any(v is not None and v not in self.parts for v in absent)
            many = {2: "two", 3: "three"}.get(len(at), str(len(at)))
            yield Fault(
                name="merged_levels" if merged else "doubled_level",
                kind="refused",
                levels=(level.value,),
                says=f"The label of {level} covers {many} vertebrae"
                + ("" if beside else ", with others between them")
                + "; it was not measured.",
                doubt=f"its label covers {many} vertebrae",
            )

    def _bordering(self) -> Iterator[Fault]:
        """Labels that share a broad border: two names within one vertebra."""
        broad = self.evidence.row("measurement.mask.border")
        crowded = self.evidence.row("measurement.level_crowding")
        for at, (upper, lower) in enumerate(pairwise(self.nodes)):
            pair = sorted((upper.level, lower.level))
            a, b = (self.blocks[v] for v in pair)
            if pair[0] == pair[1] or a.main_touches or b.main_touches:
                continue
            touching = broad.met(_border(a, b, (upper.at, lower.at)))
            if not touching:
                continue
            near = [] if {*pair} & NO_BODY else self._near(at)
            close = near and crowded.met(float(np.linalg.norm(upper.at - lower.at)) / near[0])
            names, both = tuple(v.value for v in pair), f"{pair[0]} and {pair[1]}"
            usual = [self.blocks[v].count for v in self.parts if v not in (*pair, Level.S1)]
            if close or (usual and a.count + b.count < _ONE_AND_A_HALF * np.median(usual)):
                yield Fault(
                    name="split_level",
                    kind="refused",
                    levels=names,
                    says=f"{both} are labels of one vertebra; neither was measured.",
                    doubt=f"{both} are labels of one vertebra",
                )
            else:
                yield fragment(*names)

    def _order(self) -> tuple[set[Level], Fault | None]:
        """The labels that do not lie where their names put them."""
        as_they_lie = [n.level for n in self.single]
        as_named = sorted(as_they_lie)
        moved = [a for a, b in zip(as_they_lie, as_named, strict=True) if a != b]
        if not moved:
            return set(), None
        names = tuple(v.value for v in sorted(moved))
        if len(moved) > 2 and as_they_lie == as_named[::-1]:
            says = "The labels run from the feet to the head: labels or orientation are wrong."
            doubt = "the labels run from the feet to the head"
            return {*moved}, Fault(
                name="upside_down", kind="name", levels=names, says=says, doubt=doubt
            )
        if len(moved) == 2:
            says = f"The labels of {names[0]} and {names[1]} are swapped: each lies at the other's."
            doubt = f"the labels of {names[0]} and {names[1]} are swapped"
            return {*moved}, Fault(
                name="swapped_levels", kind="name", levels=names, says=says, doubt=doubt
            )
        listed = ", ".join(names)
        return {*moved}, Fault(
            name="out_of_order",
            kind="name",
            levels=names,
            says=f"The labels of {listed} do not follow each other down the spine as named.",
            doubt="the labels do not follow each other down the spine",
        )

    def _runs(self, good: Sequence[Node]) -> tuple[list[list[str]], list[tuple[int, Fault]]]:
        """Vertebrae whose names follow each other without a break, and each break between runs."""
        runs: list[list[str]] = []
        breaks: list[tuple[int, Fault]] = []
        for number, node in enumerate(good):
            fault = self._between(good[number - 1], node) if number else None
            if fault is not None:
                breaks.append((len(runs) - 1, fault))
            if fault is not None or not number:
                runs.append([])
            runs[-1].append(node.level.value)
        return runs, breaks

    def _between(self, upper: Node, lower: Node) -> Fault | None:
        """What is wrong between two labels that lie next to each other, of those in order."""
        at, end = (self._place(n) for n in (upper, lower))
        others = end - at - 1
        apart = self.index[lower.level] - self.index[upper.level]
        pair = f"{upper.level} and {lower.level}"
        halves = [n for n in self.nodes[at + 1 : end] if n.level in self.split]
        others -= len(halves) // 2
        if others == apart - 1 and others:
            return None  # labels that are wrong by themselves fill the room
        near = self._near(at)
        bodies = not {upper.level, lower.level} & NO_BODY
        known = bodies and all(self._is_mostly_there(n) for n in (upper, lower))
        distance = float(np.linalg.norm(upper.at - lower.at))
        away = distance if known and near else None
        if apart > 1 or others:
            between = self.column.levels[self.index[upper.level] + 1 :][: apart - 1]
            off = self._row("fills_the_gap")
            # Crushed neighbours are near to each other: the room is held against all that is near.
            fits = away is None or away / near[-1] - off <= apart <= away / near[0] + off
            if fits and not others:
                return _gap(f"{_listed(between)} no label, between {pair}")
            return _miscounted(f"{pair} are numbered {apart} apart, and do not lie so far apart")
        if away is not None and self.evidence.row("measurement.level_gap").met(away / near[-1]):
            return _miscounted(f"{pair} are farther apart than neighbours: a vertebra is missing")
        crowded = self.evidence.row("measurement.level_crowding")
        if bodies and near and crowded.met(distance / near[len(near) // 2]):
            return _miscounted(f"{pair} are nearer than neighbours: two labels of one vertebra")
        return None

    def _place(self, node: Node) -> int:
        return next(n for n, other in enumerate(self.nodes) if other is node)

    # -- what the names are counted from --

    def _anchored(self, runs: Sequence[Sequence[str]]) -> tuple[set[int], list[Fault]]:
        """The runs that reach the sacrum or bear ribs as their names ask for."""
        by_sacrum, standing = self._sacrum(runs)
        by_ribs, borne = self._ribs(runs)
        found = [f for f in (standing, borne) if f is not None]
        if borne is not None:
            return set(), found
        # Six lumbar vertebrae on the sacrum may be five, and a count that is one off.
        six = by_sacrum is not None and Level.L6.value in runs[by_sacrum]
        if by_sacrum is None or six:
            return by_ribs, found
        return {by_sacrum} | by_ribs, found

    def _sacrum(self, runs: Sequence[Sequence[str]]) -> tuple[int | None, Fault | None]:
        """The run that stands on the sacrum, or what is wrong with how it stands."""
        base = self.blocks.get("S1") or self.blocks.get("sacrum")
        free = [n for n in self.nodes if n.level is not Level.S1]
        if base is None or not free or not runs:
            return None, None
        lowest = free[-1]
        if lowest.level not in {n.level for n in self.single} or not self._is_mostly_there(lowest):
            return None, None
        run = next((n for n, r in enumerate(runs) if lowest.level.value in r), None)
        if run is None:
            return None, None
        near = self._near(self._place(lowest))
        usual = near[-1] if near else _LUMBAR_STEP
        away = float(np.linalg.norm(coarse_points(base) - lowest.at, axis=1).min()) / usual
        missing = max(round(away - _TO_SACRUM), 0)
        if self.evidence.row("measurement.mask.on_the_sacrum").met(away):
            missing = 0
        last = Level.L6 if self.column.lumbar == 6 else Level.L5
        absent = self.index[last] - self.index[lowest.level]
        names = tuple(runs[run])
        if missing == absent == 0:
            return run, None
        if missing == absent:
            between = self.column.levels[self.index[lowest.level] + 1 :][:absent]
            says = f"{_listed(between)} no label, between {lowest.level} and the sacrum"
            return None, replace(_gap(says), levels=names)
        if missing:
            return None, replace(
                _miscounted(f"{lowest.level} lies farther from the sacrum than its name says"),
                levels=names,
            )
        return None, Fault(
            name="level_shift",
            kind="count",
            levels=names,
            says=f"The vertebra on the sacrum is called {lowest.level}: the labels are numbered "
            f"off by {absent}, or this person has fewer lumbar vertebrae.",
            doubt=f"the vertebra on the sacrum is called {lowest.level}: its level may be off",
            try_=CONFIRM,
        )

    def _ribs(self, runs: Sequence[Sequence[str]]) -> tuple[set[int], Fault | None]:
        """The runs whose vertebrae bear the ribs of their numbers, or by how much they are off."""
        nodes = [n for n in self.single if self._is_mostly_there(n) and n.level is not Level.S1]
        if len(nodes) < 2:
            return set(), None
        offs: list[float] = []
        borne: list[Level] = []
        for name, block in self.blocks.items():
            rib = _RIB.match(name)
            level = Level(f"T{rib[1]}") if rib else None
            if level is None or level not in {n.level for n in nodes}:
                continue
            off = self._rib_off(block, level, nodes)
            if off is not None:
                offs.append(off)
                borne.append(level)
        if not offs:
            return set(), None
        off = float(np.median(offs)) + _RIB_ABOVE
        if self.evidence.row("measurement.mask.rib_shift").met(abs(off)):
            by = max(round(abs(off)), 1)
            way = "above" if off < 0 else "below"
            return set(), Fault(
                name="level_shift",
                kind="count",
                levels=tuple(v for r in runs for v in r),
                says=f"The ribs begin {by} vertebra {way} those of their numbers: the vertebrae "
                f"or the ribs are numbered off, or this person has more or fewer ribs than twelve.",
                doubt="the ribs do not begin at the vertebrae of their numbers",
                try_=CONFIRM,
            )
        return {n for n, run in enumerate(runs) if {*borne} & {*run}}, None

    def _rib_off(self, block: Block, level: Level, nodes: Sequence[Node]) -> float | None:
        """How many vertebrae below the one of its number a rib's head lies; None if it is cut off.

        The head is the point nearest to the line of the bodies.
        """
        points = coarse_points(block)
        middles = np.array([n.at for n in nodes])
        away = np.linalg.norm(points[:, None] - middles, axis=2)
        head = points[int(np.argmin(away.min(axis=1)))]
        if away.min() > _LUMBAR_STEP + BESIDE:
            return None
        nearest = int(np.argmin(np.linalg.norm(middles - head, axis=1)))
        other = min(max(nearest, 0), len(nodes) - 2)
        a, b = nodes[other], nodes[other + 1]
        along = (b.at - a.at) / (self.index[b.level] - self.index[a.level])
        part = float((head - a.at) @ along / (along @ along))
        return self.index[a.level] + part - self.index[level]

    def _variants(self) -> Iterator[Fault]:
        for level in (Level.T13, Level.L6):
            if level in self.parts:
                yield Fault(
                    name="transitional_vertebra",
                    kind="told",
                    levels=(level.value,),
                    says=f"There is a vertebra {level}: a variant of the spine, or labels that are "
                    f"numbered one off.",
                    try_=CONFIRM,
                )


def fragment(*names: str) -> Fault:
    """A label of one of two neighbours that holds a piece of the other."""
    both = " and ".join(sorted(names, key=Level))
    return Fault(
        name="neighbour_fragment",
        kind="shape",
        levels=names,
        says=f"Of {both}, one label holds a piece of the other vertebra.",
        doubt=f"of {both}, one label holds a piece of the other vertebra",
    )


def _border(a: Block, b: Block, line: tuple[Points, Points]) -> float:
    """The border between two labels near the line of their bodies, against the line's section.

    Joints, where labels of neighbours may touch, lie well behind the bodies.
    """
    volume = a.volume
    box = tuple(
        slice(max(p.start, q.start, 1) - 1, min(p.stop, q.stop) + 1)
        for p, q in zip(a.box, b.box, strict=True)
    )
    part = volume.array[box]
    if not part.size:
        return 0.0
    is_a, is_b, border = part == a.label, part == b.label, 0.0
    along = (line[1] - line[0]) / max(float(np.linalg.norm(line[1] - line[0])), 1e-9)
    for axis in range(3):
        here, there = ([slice(None)] * 3 for _ in range(2))
        here[axis], there[axis] = slice(None, -1), slice(1, None)
        one, other = tuple(here), tuple(there)
        at = np.argwhere((is_a[one] & is_b[other]) | (is_b[one] & is_a[other]))
        away = volume.to_world(at + [s.start for s in box]) - line[0]
        away -= (away @ along)[:, None] * along
        faces = np.count_nonzero(np.linalg.norm(away, axis=1) <= _CORE)
        # As seen along the line, so that a staircase counts no more than a plane.
        face = volume.voxel_volume / volume.spacing[axis]
        border += faces * face * abs(float(volume.directions[:, axis] @ along))
    return border / (np.pi * _CORE**2)


def _listed(absent: Sequence[Level]) -> str:
    return f"{', '.join(absent)} {'has' if len(absent) == 1 else 'have'}"


def _gap(what: str) -> Fault:
    return Fault(name="level_gap", kind="count", says=f"{what}.", doubt=what, try_=CONFIRM)


def _miscounted(what: str) -> Fault:
    return Fault(
        name="miscounted_levels", kind="count", says=f"{what}: the count of the levels is broken.",
        doubt=what, try_=CONFIRM,
    )  # fmt: skip


def _direction(points: Points) -> Points:
    """The line through points, towards the feet."""
    if len(points) < 2:
        return np.array([0.0, 0.0, -1.0])
    along = np.linalg.svd(points - points.mean(axis=0))[2][0]
    return np.asarray(-along if along[2] > 0 else along)


def _is_along(step: Points, direction: Points) -> bool:
    length = float(np.linalg.norm(step))
    return length > _APART and abs(float(step @ direction)) >= _ALONG * length


def coarse_points(block: Block) -> Points:
    """A label's voxels on a coarse grid, LPS mm; at least one of them."""
    stride = np.maximum((_COARSE / block.volume.spacing).astype(int), 1)
    index = np.argwhere(block.inside[:: stride[0], :: stride[1], :: stride[2]])
    if not len(index):
        return block.to_world(np.argwhere(block.inside)[:1])
    return block.to_world(index * stride)
