"""``endplate measure --earlier-image``: what changed since an earlier study of the same person."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import Struct

from endplate import evidence
from endplate.cli.output import console, table
from endplate.exchange.dicom.series import Identity, Series, identity
from endplate.exchange.one_person import same_person
from endplate.facts import Fact, InputProblem, Problem
from endplate.findings import AnyFinding
from endplate.images.change import Compared, compare
from endplate.images.comparison import HEIGHTS, Change, new_deformity
from endplate.images.gates import DEFORMITIES
from endplate.images.measure import Measured
from endplate.images.picture import Picture, overlaid
from endplate.images.registration import METHOD, Registration
from endplate.images.volume import Mask, Volume

# What shows that a body has another shape; single angles of many stand out by chance.
_SHAPE = (*HEIGHTS, *DEFORMITIES, "vertebra.surface_change.body")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Study:
    """One measured study.

    Attributes
    ----------
    path, image, mask, found
        Where its image lies; the image with its mask; what came out.
    series
        The DICOM series that it is, where it is one.
    drawn
        Files of a mask that was made on the way, by name.
    problems
        All that was met in reading and measuring it.
    """

    path: Path
    image: Volume
    mask: Mask
    found: Measured
    series: Series | None = None
    drawn: Mapping[str, bytes] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


class Registered(Struct, frozen=True, kw_only=True):
    """How one vertebra was laid onto itself, as it is written.

    Attributes
    ----------
    motion
        4 x 4, from LPS mm of the earlier to LPS mm of the later study.
    rotation_error, shift_error
        Standard errors about and along the vertebra's axes to the left, back and head; degrees, mm.
    residual
        Root mean square distance of the two surfaces, mm.
    excess, used, determined
        How many times farther apart the surfaces lie than voxels explain; which part of them
        fitted; how well the shape holds the motion, 0 to 1.
    """

    level: str
    motion: list[list[float]]
    rotation_error: list[float]
    shift_error: list[float]
    residual: float
    excess: float
    used: float
    determined: float
    method: str


@dataclass(frozen=True, slots=True, eq=False)
class Changed:
    """What is printed and written of a comparison."""

    changes: tuple[Change, ...]
    registrations: tuple[Registered, ...]
    findings: tuple[AnyFinding, ...]
    problems: tuple[Problem, ...]
    earlier_facts: tuple[Fact, ...]
    pictures: tuple[Picture, ...]

    def parts(self) -> dict[str, Any]:
        """Named as in the JSON, beside facts, findings and problems."""
        return {
            "changes": self.changes,
            "registrations": self.registrations,
            "earlier_facts": self.earlier_facts,
        }


def changed(earlier: Study, later: Study) -> Changed:
    """Compare two studies, once it is sure that they can be.

    Raises
    ------
    InputProblem
        If they are of two persons, the same image, or in the wrong order.
    """
    problems = [*_persons(earlier.path, later.path), *_order(earlier.image, later.image)]
    grounds = evidence.shipped()
    found: Compared = compare(
        earlier.found, later.found, earlier.mask, later.mask, evidence=grounds
    )
    if not found.changes:
        says = "The two studies have no measured vertebra in common; nothing was compared."
        problems.append(
            Problem(problem="change.nothing_common", says=says, where=later.image.name,
                    try_=("Check --labels and --earlier-labels.",))
        )  # fmt: skip
    return Changed(
        changes=found.changes,
        registrations=tuple(_written(r) for r in found.registrations.values()),
        findings=new_deformity.completed(found.findings),
        problems=(*problems, *found.problems),
        earlier_facts=earlier.found.facts,
        pictures=tuple(_pictures(found, earlier, later)),
    )


def _pictures(found: Compared, earlier: Study, later: Study) -> Iterator[Picture]:
    """Each vertebra whose shape has changed, then and now."""
    levels = {c.level for c in found.changes if c.verdict == "changed" and c.what in _SHAPE}
    for level, one in found.registrations.items():
        then, now = (s.found.vertebrae.get(level) for s in (earlier, later))
        if level in levels and then is not None and now is not None:
            yield overlaid(later.image, now, then, one.motion.inverse)


def _persons(earlier: Path, later: Path) -> list[Problem]:
    whose = [_whose(path) for path in (earlier, later)]
    if same_person(*whose):
        if Identity() in whose:
            says = "Whether both studies are of one person cannot be seen in their files."
            return [Problem(problem="change.persons_unknown", says=says, where=later.name)]
        return []
    says = (
        "The two studies agree in birth date or identifier and have no word of the name in common."
    )
    return [Problem(problem="change.names_differ", says=says, where=later.name)]


def _whose(path: Path) -> Identity:
    """Whose a study is, from the first of its files that tells."""
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    nobody = Identity()
    return next((found for p in files if (found := identity(p)) != nobody), nobody)


def _order(earlier: Volume, later: Volume) -> list[Problem]:
    if _same_image(earlier, later):
        raise InputProblem(
            "--earlier-image: cannot be compared. An earlier study is needed; it is the image "
            "that is given with --image. Give the study before it."
        )
    days: list[date | None] = [v.acquisition.on for v in (earlier, later)]
    if days[0] is None or days[1] is None:
        says = "The images do not both say when they were taken; their order is taken as given."
        return [Problem(problem="change.order_unknown", says=says, where=later.name)]
    if days[0] > days[1]:
        raise InputProblem(
            f"--earlier-image: is the later study. It must be of the same day or before the one "
            f"given with --image, {days[1]}; it is of {days[0]}. Exchange the two."
        )
    if days[0] == days[1]:
        says = "Both studies are of one day; their order is taken as given."
        return [Problem(problem="change.one_day", says=says, where=later.name)]
    return []


def _same_image(one: Volume, other: Volume) -> bool:
    if one.uid and other.uid:
        return one.uid == other.uid
    return one.same_grid(other) and bool(np.array_equal(one.array, other.array))


def _written(one: Registration) -> Registered:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = one.motion.turn, one.motion.shift
    turned, moved = one.errors()
    return Registered(
        level=one.level,
        motion=np.round(matrix, 6).tolist(),
        rotation_error=np.round(turned, 3).tolist(),
        shift_error=np.round(moved, 3).tolist(),
        residual=round(one.residual, 3),
        excess=round(one.excess, 2),
        used=round(one.used, 3),
        determined=round(one.determined, 3),
        method=METHOD,
    )


def show(found: Changed) -> None:
    """Print what changed, what did not, and what cannot tell."""
    text = console()
    rows = [_row(c) for c in found.changes if c.verdict == "changed"]
    if rows:
        columns = ("what changed (±95 %)", "from this on a change counts", "doubt")
        text.print(table(f"{len(rows)} changes", columns, rows))
    alike = sum(c.verdict == "within error" for c in found.changes)
    text.print(f"{alike} measurements have changed by no more than their error.")
    for verdict in ("not comparable", "unknown error"):
        of = [c for c in found.changes if c.verdict == verdict]
        for reason, count in _counted(of).items():
            text.print(f"{count} {verdict}: {reason}", markup=False, highlight=False)


def _row(change: Change) -> Sequence[str]:
    least = change.smallest_detectable
    unit = {"1": "", "[hnsf'U]": "HU", "deg": "°"}.get(change.unit, change.unit)
    counts = "" if least is None else f"{least:.2g} {unit}".strip()
    return change.says.removesuffix(": changed"), counts, "; ".join(change.doubts)


def _counted(changes: Collection[Change]) -> dict[str, int]:
    """How many changes have each set of reasons, most first."""
    found: dict[str, int] = {}
    for change in changes:
        said = "; ".join(change.reasons)
        found[said] = found.get(said, 0) + 1
    return dict(sorted(found.items(), key=lambda item: -item[1]))
