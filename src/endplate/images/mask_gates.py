"""Whether a mask is what it says: what is wrong with its labels, by name, and what follows.

A mask is the only thing that says which vertebra is which, and what of the image belongs to it.
Here all its structures are looked at together: how the vertebrae follow each other, what they
stand on, which ribs they bear (`mask_order`), how large they are (`mask_shape`), on which side the
sided structures lie, and whether the labels lie on the bone of the image (`mask_place`). Each fault
has a name. One label over two vertebrae is not measured; where a name is in doubt, so is every
number under it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from endplate import levels
from endplate.evidence import Evidence
from endplate.facts import Fact, Problem, replaced
from endplate.images import mask_place, mask_shape
from endplate.images.frame import Block
from endplate.images.mask_fault import CONFIRM, Fault
from endplate.images.mask_order import LabelledSpine
from endplate.images.vertebra import Vertebra
from endplate.images.volume import Mask, Volume

Confirmed = Literal["yes", "counted", "no"]

_LISTED = re.compile(r"[CTLS]\d{1,2}(?:-[CTLS]\d{1,2})?(?:, [CTLS]\d{1,2}(?:-[CTLS]\d{1,2})?)*")
_A_SIDE = re.compile(r"\b(?:left|right)\b")


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

    @property
    def in_doubt(self) -> frozenset[str]:
        """The vertebrae whose names something speaks against."""
        return _in_doubt(self.faults)

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
            if self.in_doubt & {*own}:
                details["level_in_doubt"] = "yes"
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
        found = [
            f
            for n, v in vertebrae.items()
            if n not in cut
            for f in mask_shape.inside(n, v, evidence)
        ]
        found += [
            mask_shape.holes(n, "shape")
            for n, b in unmeasured.items()
            if mask_shape.is_hollow(b, b.bulk())
        ]
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


def _in_doubt(faults: Iterable[Fault]) -> frozenset[str]:
    return frozenset(n for f in faults if f.kind in ("refused", "name", "count") for n in f.levels)


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
    spine = LabelledSpine(blocks, evidence)
    faults = [*spine.faults()]
    if mask.levels_doubtful:
        faults.append(
            Fault(
                name="implausible_levels",
                kind="count",
                levels=tuple(spine.names),
                says="Vertebrae of these names do not look so: the label system may be another.",
                doubt="vertebrae of these names do not look so",
                try_="Check --labels; " + CONFIRM[0].lower() + CONFIRM[1:],
            )
        )
    if levels_confirmed:
        faults = [f if f.kind != "count" else replace(f, kind="told") for f in faults]
    faults += mask_shape.shapes(spine)
    ends = mask_place.cut_inside(mask, blocks, spine.names)
    faults += [ends] if ends else []
    wrong, side = mask_place.sides(blocks, spine)
    faults += wrong
    if image is not None:
        faults += mask_place.off_the_image(image, blocks, spine.names, evidence)
        side = "told" if image.uid else side
    faults += mask_place.uneven(mask.volume, image)
    in_doubt = _in_doubt(faults)
    confirmed: dict[str, Confirmed] = {}
    for name in spine.names:
        known: Confirmed = "counted" if name in spine.counted else "no"
        confirmed[name] = "no" if name in in_doubt else "yes" if levels_confirmed else known
    return Gates(faults=tuple(faults), confirmed=confirmed, side=side)
