"""Whether a mask is what it says: what is wrong with its labels, by name, and what follows.

A mask is the only thing that says which vertebra is which, and what of the image belongs to it.
Here all its structures are looked at together: how the vertebrae follow each other, what they
stand on, which ribs they bear, how large they are, on which side the sided structures lie, and
whether the labels lie on the bone of the image. Each fault has a name. One label over two
vertebrae is not measured; where a name is in doubt, so is every number under it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np
from scipy import ndimage

from endplate import levels
from endplate.evidence import Evidence
from endplate.facts import Fact, Problem, replaced
from endplate.images.frame import Block
from endplate.images.vertebra import Vertebra
from endplate.images.volume import Mask, Points, Volume
from endplate.levels import Column, Level

# ``refused``: not measured. ``name``: which vertebra it is, is in doubt. ``count``: the same, as
# long as nobody has counted. ``shape``: what is labelled of it is in doubt. ``all``: everything
# of this mask is in doubt. ``sides``: left and right are. ``told``: nothing is, but worth knowing.
Kind = Literal["refused", "name", "count", "shape", "all", "sides", "told"]
Confirmed = Literal["yes", "counted", "no"]

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
_BESIDE = 5.0
# Structures are looked at on a grid that need be no finer than this (mm) to know where they lie.
_COARSE = 3.0
# The mask is moved by whole voxels, at least so far (mm): less is within what any mask is off.
_LEAST_SHIFT = 1.0
# So many voxels of the vertebrae tell how bright the mask is; attenuation beyond this range (HU)
# is metal, air or fat, which must not outweigh the bone's border.
_ENOUGH = 40_000
_BONE_RANGE = (0.0, 400.0)
# A label ends in a plane of the voxels where its section there is so much of the widest, and of
# that a little farther in (mm).
_BROAD, _STEADY, _ABRUPT, _FARTHER_IN = 0.3, 0.5, 0.85, 3.0
# So far (mm) from its densest part even a crushed body is solid, and no canal is near: it has a
# hole where more than this part of that is empty.
_MIDDLE, _HOLLOW = 3.0, 0.5
# All bodies reach so far (mm) from the line of their middles.
_CORE = 10.0
# Two labels that together are no larger than so many vertebrae are parts of one.
_ONE_AND_A_HALF = 1.5
_NO_BODY = frozenset({Level.S1, Level.C1, Level.C2})
_AXES = ("first", "second", "third")
_SIDED = re.compile(r"_(left|right)(?:_\d+)?$")
_ON_A_SIDE = {"liver": "right", "spleen": "left", "heart": "left"}
_RIB = re.compile(r"rib_(?:left|right)_(\d+)$")
_LISTED = re.compile(r"[CTLS]\d{1,2}(?:-[CTLS]\d{1,2})?(?:, [CTLS]\d{1,2}(?:-[CTLS]\d{1,2})?)*")
_A_SIDE = re.compile(r"\b(?:left|right)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that is wrong with a mask.

    Attributes
    ----------
    name
        What it is called; its problem is ``mask.<name>``.
    levels
        The vertebrae whose facts it touches.
    says
        A sentence for whoever gave the mask.
    doubt
        What is said beside each fact that it touches.
    """

    name: str
    kind: Kind
    says: str
    doubt: str = ""
    levels: tuple[str, ...] = ()
    try_: str = "Look at the labels on the image, correct them, and measure again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """What the look at a mask found.

    Attributes
    ----------
    confirmed
        For each labelled vertebra, how its name is known: a person said so (``yes``), it was
        ``counted`` from the sacrum or the ribs, or ``no``.
    side
        What tells left from right: ``told`` by sided structures or by DICOM, or ``untold``.
    """

    faults: tuple[Fault, ...]
    confirmed: Mapping[str, Confirmed]
    side: Literal["told", "untold"]

    def refusal(self, level: str) -> str:
        """Why this label is not measured; empty where it may be."""
        return next((f.doubt for f in self.faults if f.kind == "refused" and level in f.levels), "")

    def problems(self, where: str) -> Iterator[Problem]:
        """The faults as the user is told them."""
        for f in self.faults:
            yield Problem(problem=f"mask.{f.name}", says=f.says, where=where, try_=(f.try_,))

    def marked(self, fact: Fact) -> Fact:
        """The fact with how its level is known, and with what speaks against it put first."""
        own = [] if fact.level is None else self._labelled(fact.level)
        listed = [n for text in _level_lists(fact) for n in self._labelled(text)]
        doubts = [
            f.doubt
            for f in self.faults
            if f.kind == "all"
            or (f.kind in ("refused", "name", "count", "shape") and {*own, *listed} & {*f.levels})
            or (f.kind == "sides" and _has_side(fact))
        ]
        if self.side == "untold" and _has_side(fact):
            doubts.append("nothing in the mask tells left from right")
        details = dict(fact.details)
        if fact.level is not None:
            known = {self.confirmed[n] for n in own} or {"no"}
            details["level_confirmed"] = next(c for c in ("no", "counted", "yes") if c in known)
        if not doubts and details == fact.details:
            return fact
        doubts = list(dict.fromkeys([*doubts, *fact.doubts]))
        quality = "doubtful" if doubts else "ok"
        return replaced(fact, details=details, doubts=tuple(doubts), quality=quality)

    def _labelled(self, text: str) -> list[str]:
        span = levels.span(text)
        return [n for n in self.confirmed if n in span]

    def with_bodies(
        self,
        vertebrae: Mapping[str, Vertebra],
        unmeasured: Mapping[str, Block],
        evidence: Evidence,
        *,
        cut: frozenset[str],
    ) -> Gates:
        """The same, with what is wrong inside the bodies, once their frames were looked for.

        Parameters
        ----------
        vertebrae
            Those whose frames were found.
        unmeasured
            The labels of those that had none.
        cut
            Those whose arch the image cuts: their sides need not be alike.
        """
        found = [f for n, v in vertebrae.items() if n not in cut for f in _inside(n, v, evidence)]
        found += [_holes(n, "shape") for n, b in unmeasured.items() if _is_hollow(b)]
        return replace(self, faults=(*self.faults, *found))


def _level_lists(fact: Fact) -> Iterator[str]:
    """Levels that a fact without them in its place was made from."""
    for name, value in fact.details.items():
        if isinstance(value, str) and name != "left_out" and _LISTED.fullmatch(value):
            yield from value.split(", ")


def _has_side(fact: Fact) -> bool:
    if fact.side is not None:
        return True
    texts = [fact.value, *fact.details.values()]
    return any(isinstance(text, str) and _A_SIDE.search(text) for text in texts)


def looked_at(
    mask: Mask,
    blocks: Mapping[str, Block],
    image: Volume | None,
    evidence: Evidence,
    *,
    levels_confirmed: bool = False,
) -> Gates:
    """Look at all structures of a mask together.

    Parameters
    ----------
    blocks
        The structures of the mask.
    image
        On the mask's grid; a CT tells whether the labels lie on bone.
    levels_confirmed
        Whether a person has confirmed which label is which vertebra.
    """
    spine = _Spine(blocks, evidence)
    faults = [*spine.faults()]
    if mask.levels_doubtful:
        faults.append(
            Fault(
                name="implausible_levels",
                kind="count",
                levels=tuple(spine.names),
                says="Vertebrae of these names do not look so: the label system may be another.",
                doubt="vertebrae of these names do not look so",
                try_="Check --labels; " + _CONFIRM[0].lower() + _CONFIRM[1:],
            )
        )
    if levels_confirmed:
        faults = [f if f.kind != "count" else replace(f, kind="told") for f in faults]
    faults += spine.shapes()
    ends = _cut_inside(mask, blocks, spine.names)
    faults += [ends] if ends else []
    wrong, side = _sides(blocks, spine)
    faults += wrong
    if image is not None:
        faults += _off_the_image(image, blocks, spine.names, evidence)
        side = "told" if image.uid else side
    faults += _uneven(mask.volume, image)
    in_doubt = {n for f in faults if f.kind in ("refused", "name", "count") for n in f.levels}
    confirmed: dict[str, Confirmed] = {}
    for name in spine.names:
        known: Confirmed = "counted" if name in spine.counted else "no"
        confirmed[name] = "no" if name in in_doubt else "yes" if levels_confirmed else known
    return Gates(faults=tuple(faults), confirmed=confirmed, side=side)


# -- how the vertebrae follow each other ------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Node:
    """The middle of one body as labelled."""

    level: Level
    at: Points


class _Spine:
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

    def _in_order(self, seen: Sequence[Level]) -> list[_Node]:
        """All bodies from the head down by where they lie, whatever their labels say."""
        firsts = np.array([self.blocks[v].bulk() if len(self.parts[v]) < 2 else self.parts[v][0]
                           for v in seen]).reshape(-1, 3)  # fmt: skip
        if not len(firsts):
            return []
        down = _direction(firsts)
        places = [_Node(v, at) for v, at in zip(seen, firsts, strict=True)]
        for v in seen:
            # The sacrum has wings, the atlas is a ring: neither has one densest part.
            if v in _NO_BODY:
                continue
            own = [self.parts[v][0]]
            for at in self.parts[v][1:]:
                local = self._direction_at(at, own[0], firsts, down)
                if all(_is_along(at - other, local) for other in own):
                    own.append(at)
            places += [_Node(v, at) for at in own[1:]]
        return sorted(places, key=lambda n: float(n.at @ down))

    def _direction_at(self, a: Points, b: Points, firsts: Points, down: Points) -> Points:
        """Which way the spine runs near two points: the line of the bodies around them."""
        away = np.minimum(np.linalg.norm(firsts - a, axis=1), np.linalg.norm(firsts - b, axis=1))
        near = firsts[np.argsort(away)[:4]]
        return _direction(near) if len(near) > 2 else down

    # -- distances --

    def _is_mostly_there(self, node: _Node) -> bool:
        sizes = [self.blocks[v].count for v in self.parts if v != Level.S1]
        return self.blocks[node.level].count >= _MOSTLY_THERE * float(np.median(sizes))

    def _near(self, at: int) -> list[float]:
        """The distances from body to body near this place in the order, itself left out."""
        near = []
        for n in range(max(at - 3, 0), min(at + 4, len(self.nodes) - 1)):
            a, b = self.nodes[n], self.nodes[n + 1]
            ends = {a.level, b.level} & _NO_BODY
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
            near = [] if {*pair} & _NO_BODY else self._near(at)
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
                yield _fragment(*names)

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

    def _runs(self, good: Sequence[_Node]) -> tuple[list[list[str]], list[tuple[int, Fault]]]:
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

    def _between(self, upper: _Node, lower: _Node) -> Fault | None:
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
        known = not {upper.level, lower.level} & _NO_BODY and all(
            self._is_mostly_there(n) for n in (upper, lower)
        )
        away = float(np.linalg.norm(upper.at - lower.at)) if known and near else None
        if apart > 1 or others:
            between = self.column.levels[self.index[upper.level] + 1 :][: apart - 1]
            off = self._row("fills_the_gap")
            # Crushed neighbours are near to each other: the room is held against all that is near.
            fits = away is None or away / near[-1] - off <= apart <= away / near[0] + off
            if fits and not others:
                return _gap(f"{_listed(between)} no label, between {pair}")
            return _miscounted(f"{pair} are numbered {apart} apart, and do not lie so far apart")
        if away is None:
            return None
        if self.evidence.row("measurement.level_gap").met(away / near[-1]):
            return _miscounted(f"{pair} are farther apart than neighbours: a vertebra is missing")
        return None

    def _place(self, node: _Node) -> int:
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
        away = float(np.linalg.norm(_points(base) - lowest.at, axis=1).min()) / usual
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
            try_=_CONFIRM,
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
                try_=_CONFIRM,
            )
        return {n for n, run in enumerate(runs) if {*borne} & {*run}}, None

    def _rib_off(self, block: Block, level: Level, nodes: Sequence[_Node]) -> float | None:
        """How many vertebrae below the one of its number a rib's head lies; None if it is cut off.

        The head is the point nearest to the line of the bodies.
        """
        points = _points(block)
        middles = np.array([n.at for n in nodes])
        away = np.linalg.norm(points[:, None] - middles, axis=2)
        head = points[int(np.argmin(away.min(axis=1)))]
        if away.min() > _LUMBAR_STEP + _BESIDE:
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
                    try_=_CONFIRM,
                )

    # -- shapes --

    def shapes(self) -> Iterator[Fault]:
        """Labels in pieces, and labels larger or smaller than their neighbours allow."""
        few, speck = (self.evidence.row(f"measurement.mask.{n}") for n in ("islands", "speck"))
        for level in self.parts:
            if level in self.several:
                continue
            block = self.blocks[level]
            loose = block.fragments * block.count * block.volume.voxel_volume / 1000
            if not speck.met(loose) and not block.main_touches:
                kind: Kind = "shape" if few.met(block.fragments) else "told"
                fault = self._in_pieces(level, block, kind)
                if fault not in self.bordering:
                    yield fault
        yield from self._sizes()

    def _in_pieces(self, level: Level, block: Block, kind: Kind) -> Fault:
        """Pieces that lie on a neighbour, or somewhere else."""
        owner = self._neighbour_touched(block)
        if owner:
            return _fragment(level.value, owner)
        return Fault(
            name="islands",
            kind=kind,
            levels=(level.value,),
            says=f"The label of {level} has pieces apart from the vertebra.",
            doubt="its label has pieces apart from the vertebra",
        )

    def _neighbour_touched(self, block: Block) -> str:
        """The vertebra that the largest loose piece of a label touches."""
        parts, sizes = block.pieces
        main = int(np.argmax(sizes))
        largest = int(np.argmax(np.where(np.arange(len(sizes)) == main, 0, sizes)))
        boxes = ndimage.find_objects(parts, largest)
        box = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in boxes[largest - 1])
        around = ndimage.binary_dilation(parts[box] == largest)
        starts = [s.start + int(o) for s, o in zip(box, block.start, strict=True)]
        shape = block.volume.array.shape
        keep = tuple(
            slice(max(-a, 0), min(n - a, m))
            for a, n, m in zip(starts, shape, around.shape, strict=True)
        )
        there = tuple(slice(a + k.start, a + k.stop) for a, k in zip(starts, keep, strict=True))
        touched = block.volume.array[there][around[keep]]
        names = {self.blocks[v].label: v.value for v in self.parts if self.blocks[v] is not block}
        counts = {
            names[n]: int(c)
            for n, c in zip(*np.unique(touched, return_counts=True), strict=True)
            if n in names
        }
        return max(counts, key=counts.__getitem__, default="")

    def _sizes(self) -> Iterator[Fault]:
        large, small = (self.evidence.row(f"measurement.mask.too_{n}") for n in ("large", "small"))
        whole = [
            v for v in sorted(self.parts)
            if v not in _NO_BODY and not self.blocks[v].touches and v not in self.several
        ]  # fmt: skip
        for at, level in enumerate(whole):
            near = [self.blocks[v].count for v in whole[max(at - 2, 0) : at + 3] if v != level]
            if len(near) < 2:
                continue
            # A crushed neighbour is small without making this one large.
            over, under = (self.blocks[level].count / end for end in (max(near), min(near)))
            if large.met(over) or small.met(under):
                size = "larger" if large.met(over) else "smaller"
                yield Fault(
                    name="volume_out_of_range",
                    kind="shape",
                    levels=(level.value,),
                    says=f"The label of {level} is {size} than its neighbours allow.",
                    doubt=f"its label is {size} than its neighbours allow",
                )


_CONFIRM = (
    "Count the vertebrae on the image; if the labels are right, measure with --confirm-levels or "
    "write levels_confirmed = true into case.toml."
)


def _fragment(*names: str) -> Fault:
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
    return Fault(name="level_gap", kind="count", says=f"{what}.", doubt=what, try_=_CONFIRM)


def _miscounted(what: str) -> Fault:
    return Fault(
        name="miscounted_levels", kind="count", says=f"{what}: the count of the levels is broken.",
        doubt=what, try_=_CONFIRM,
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


def _points(block: Block) -> Points:
    """A label's voxels on a coarse grid, LPS mm; at least one of them."""
    stride = np.maximum((_COARSE / block.volume.spacing).astype(int), 1)
    index = np.argwhere(block.inside[:: stride[0], :: stride[1], :: stride[2]])
    if not len(index):
        return block.to_world(np.argwhere(block.inside)[:1])
    return block.to_world(index * stride)


# -- inside a body ----------------------------------------------------------------------------


def _holes(name: str, kind: Kind) -> Fault:
    return Fault(
        name="holes",
        kind=kind,
        levels=(name,),
        says=f"The label of {name} has holes in the body.",
        doubt="its label has holes in the body",
    )


def _is_hollow(block: Block) -> bool:
    """Whether the middle of a body is empty, with bone on either side along two of the axes.

    It needs no frame, which a wide hole can mislead: the middle is the densest part of the label
    as smoothed, and a hole does not move that.
    """
    spacing = block.volume.spacing
    at = np.rint(block.volume.to_index(block.bulk()) - block.start).astype(int)
    reach = np.maximum(np.round(_MIDDLE / spacing), 1).astype(int)
    box = tuple(slice(max(a - n, 0), a + n + 1) for a, n in zip(at, reach, strict=True))
    empty = ~block.inside[box]
    walls = np.zeros(empty.shape, int)
    for axis in range(3):
        around = [slice(None) if n == axis else part for n, part in enumerate(box)]
        line = block.inside[tuple(around)]
        after = np.logical_or.accumulate(line, axis)
        before = np.flip(np.logical_or.accumulate(np.flip(line, axis), axis), axis)
        walled = (after & before)[tuple(box[n] if n == axis else slice(None) for n in range(3))]
        walls += walled
    return float((empty & (walls >= 2)).mean()) > _HOLLOW


def _inside(name: str, vertebra: Vertebra, evidence: Evidence) -> Iterator[Fault]:
    """Holes in a body, and a label that is not alike on both sides of its own middle."""
    part, volume = vertebra.inside.hollow
    large = evidence.row("measurement.mask.hollow").met(part) or _is_hollow(vertebra.block)
    if large or not evidence.row("measurement.mask.speck").met(volume):
        yield _holes(name, "shape" if large else "told")
    block, across = vertebra.block, vertebra.frame.axes[:, 0]
    per_voxel = across @ block.volume.affine[:3, :3]
    start = across @ (block.to_world(np.zeros(3)) - vertebra.frame.centre)
    i, j, k = (np.arange(n) * d for n, d in zip(block.inside.shape, per_voxel, strict=True))
    left = np.count_nonzero(block.inside & (i[:, None, None] + j[:, None] + k + start > 0))
    uneven = abs(2 * left - block.count) / block.count
    if evidence.row("measurement.mask.asymmetry").met(uneven):
        yield Fault(
            name="asymmetry",
            kind="shape",
            levels=(name,),
            says=f"The label of {name} is larger on one side than on the other.",
            doubt="its label is larger on one side than on the other",
        )


# -- sides ------------------------------------------------------------------------------------


def _sides(
    blocks: Mapping[str, Block], spine: _Spine
) -> tuple[list[Fault], Literal["told", "untold"]]:
    """Whether sided structures lie on their side of the spine, or of their partner."""
    right_side: list[str] = []
    wrong_side: list[str] = []
    middles = np.array([n.at for n in spine.nodes]).reshape(-1, 3)
    for name, block in blocks.items():
        sided = _SIDED.search(name)
        side = sided[1] if sided else _ON_A_SIDE.get(name)
        if side is None:
            continue
        at = _points(block).mean(axis=0)
        other = blocks.get(name.replace(f"_{side}", f"_{_OTHER[side]}")) if sided else None
        if other is not None:
            beside = float(at[0] - _points(other).mean(axis=0)[0]) / 2
        elif len(middles):
            nearest = int(np.argmin(np.abs(middles[:, 2] - at[2])))
            beside = float(at[0] - middles[nearest, 0])
        else:
            continue
        if abs(beside) < _BESIDE:
            continue
        (right_side if (beside > 0) == (side == "left") else wrong_side).append(name)
    if not wrong_side:
        return [], "told" if right_side else "untold"
    listed = ", ".join(wrong_side[:4]) + (" and others" if len(wrong_side) > 4 else "")
    all_wrong = len(wrong_side) > len(right_side)
    return [
        Fault(
            name="wrong_side",
            kind="all" if all_wrong else "sides",
            says=f"{listed}: lie on the wrong side of the spine. "
            + (
                "The image or the mask is mirrored, or the organs of this person are."
                if all_wrong
                else "Their labels are exchanged."
            ),
            doubt="left and right contradict the labels: the image or the mask may be mirrored",
            try_="Check how the files were written, and look for the liver on the patient's right.",
        )
    ], "told"


_OTHER = {"left": "right", "right": "left"}


# -- against the image ------------------------------------------------------------------------


def _off_the_image(
    image: Volume, blocks: Mapping[str, Block], names: Sequence[str], evidence: Evidence
) -> Iterator[Fault]:
    """Whether moving the mask by whole voxels would put it better on the bone of a CT."""
    if image.acquisition.modality != "CT" or not names:
        return
    least = evidence.row("measurement.mask.image_shift")
    flat = _some_voxels(blocks, names, image.array.shape)
    if not len(flat):
        return
    found = []
    for axis in range(3):
        by = max(round(_LEAST_SHIFT / image.spacing[axis]), 1)
        bright = {n: _brightness(image.array, flat, axis, n * by) for n in (-3, -2, -1, 0, 1, 2, 3)}
        best = max(bright, key=bright.__getitem__)
        if not best:
            continue
        towards = 1 if best > 0 else -1
        gain, loss = bright[towards] - bright[0], bright[0] - bright[-towards]
        # Marrow without its shell grows brighter whichever way it is moved: loss is below 0.
        if gain > 0 and loss > 0 and least.met(gain / loss):
            found.append((axis, best * by * image.spacing[axis]))
    if found:
        listed = " and ".join(
            f"{abs(mm):.1f} mm along the {_AXES[axis]} axis" for axis, mm in found
        )
        yield Fault(
            name="off_the_image",
            kind="all",
            says=f"The labels lie beside the bone of the image, by about {listed}.",
            doubt=f"the labels lie beside the bone of the image, by about {listed}",
            try_="Write image and mask on one grid again, or segment the image anew.",
        )


def _some_voxels(
    blocks: Mapping[str, Block], names: Sequence[str], shape: tuple[int, ...]
) -> Points:
    """Index coordinates of voxels spread over all vertebrae."""
    total = sum(blocks[n].count for n in names)
    every = max(total // _ENOUGH, 1)
    picked = []
    for name in names:
        block = blocks[name]
        at = np.flatnonzero(block.inside)[::every]
        picked.append(np.stack(np.unravel_index(at, block.inside.shape), axis=1) + block.start)
    return np.concatenate(picked) if picked else np.empty((0, 3), int)


def _brightness(array: Points, index: Points, axis: int, by: int) -> float:
    """How bright the image is where the mask would lie if it were moved."""
    moved = index.copy()
    moved[:, axis] = np.clip(moved[:, axis] + by, 0, array.shape[axis] - 1)
    return float(np.clip(array[tuple(moved.T)], *_BONE_RANGE).mean(dtype=float))


def _cut_inside(mask: Mask, blocks: Mapping[str, Block], names: Sequence[str]) -> Fault | None:
    """Whether labels end together in a plane of the voxels, where the image goes on."""
    cut: set[str] = set()
    vertebrae = [blocks[n] for n in names if n not in mask.cut]
    for plane in {plane for block in vertebrae for plane in _inner_ends(block)}:
        here = [b for b in vertebrae if plane in _inner_ends(b)]
        # Two bodies may end side by side in one plane of coarse voxels, but not as abruptly.
        several = sum(_ends_flat(b, *plane, _ABRUPT) for b in here) > 1
        if several or (
            any(_ends_flat(b, *plane, _STEADY) for b in here)
            and any(
                _ends_flat(b, *plane, _ABRUPT)
                for n, b in blocks.items()
                if n not in names and plane in _inner_ends(b)
            )
        ):
            cut |= {n for n in names if plane in _inner_ends(blocks[n])}
    touched = sorted(cut, key=Level)
    if not touched:
        return None
    return Fault(
        name="cut_inside_the_image",
        kind="shape",
        levels=tuple(touched),
        says=f"The labels end in a plane across {', '.join(touched)}, where the image goes on: the "
        f"mask was cut.",
        doubt="its label ends in a plane of the image's voxels, as a cut mask does",
        try_="Segment the whole image, or a part of it that holds whole vertebrae.",
    )


def _inner_ends(block: Block) -> list[tuple[int, int, int]]:
    """Where a label ends inside the volume: axis, towards which end, voxel."""
    shape = block.volume.array.shape
    ends = [(axis, -1, part.start) for axis, part in enumerate(block.box) if part.start > 0]
    return ends + [
        (axis, 1, part.stop) for axis, part in enumerate(block.box) if part.stop < shape[axis]
    ]


def _ends_flat(block: Block, axis: int, towards: int, _: int, steady: float) -> bool:
    """Whether a label ends there with a section as broad as farther in."""
    sections = block.inside.sum(axis=tuple({0, 1, 2} - {axis}))[1:-1][::-towards]
    in_ = max(round(_FARTHER_IN / block.volume.spacing[axis]), 1)
    farther = sections[min(in_, len(sections) - 1)]
    return bool(sections[0] >= max(_BROAD * sections.max(), steady * farther))


def _uneven(volume: Volume, image: Volume | None) -> Iterator[Fault]:
    """A stack whose slices are not evenly spaced, as its reader found."""
    codes = {*volume.problems, *(image.problems if image is not None else ())}
    wrong = sorted(c for c in codes if "spacing" in c or "slice" in c)
    if wrong:
        said = ", ".join(c.split(".")[-1].replace("_", " ") for c in wrong)
        yield Fault(
            name="uneven_stack",
            kind="all",
            says=f"The slices are not one even stack ({said}): lengths along it are wrong.",
            doubt=f"its slices are not one even stack ({said})",
            try_="Export the series again, whole and evenly spaced.",
        )
