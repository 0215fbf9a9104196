"""How long the program takes to start, as a person waits for it, and how large it is on disk.

The peer of a start is Python itself doing nothing: nothing that is written in Python can be
faster. The size is that of the distributions in requirements/base.lock as they are installed
here, by the files that each lists in its RECORD, compiled files included.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from bench.timing import Line, Timed, started

ROOT = Path(__file__).parents[1]
COMMAND = Path(sys.executable).parent / "endplate"
# A program that plans needs the rules; they import the rooms, the evidence and the vocabulary.
_ALL_RULES = "from endplate import evidence, rules; rules.find(); evidence.shipped()"


def locked() -> list[Distribution]:
    """The distributions of the lock file that this machine needs, as they are installed."""
    from packaging.requirements import Requirement

    lines = re.findall(r"(?m)^[A-Za-z0-9][^\\\n]*", (ROOT / "requirements/base.lock").read_text())
    needed = [Requirement(line) for line in lines]
    return [distribution(r.name) for r in needed if r.marker is None or r.marker.evaluate()]


def megabytes(one: Distribution) -> float:
    """The size of a distribution's files."""
    paths = {Path(str(one.locate_file(file))) for file in one.files or ()}
    return sum(path.stat().st_size for path in paths if path.is_file()) / 1e6


def size() -> str:
    """One sentence on the base install."""
    try:
        sizes = {one.name: megabytes(one) for one in locked()}
    except PackageNotFoundError as missing:
        return f"the base install cannot be measured here: {missing} is not installed"
    largest = sorted(sizes, key=sizes.__getitem__, reverse=True)[:4]
    named = ", ".join(f"{name} {sizes[name]:.0f}" for name in largest)
    return f"base install: {len(sizes)} packages, {sum(sizes.values()):.0f} MB (largest: {named})"


def _started(*command: str) -> Timed:
    return started(list(command), runs=15)  # a start is short, and its neighbours are noisy


def lines() -> Iterator[Line]:
    nothing = _started(sys.executable, "-c", "pass")
    peer = "Python that does nothing"
    yield Line(
        "endplate --help", _started(str(COMMAND), "--help"), peer, nothing,
        aim="under 0.3 s", note=size(),
    )  # fmt: skip
    for what, code, aim in (
        ("import endplate", "import endplate", "under 0.2 s"),
        ("all rules and the evidence, ready to be asked", _ALL_RULES, ""),
    ):
        yield Line(what, _started(sys.executable, "-c", code), peer, nothing, aim=aim)
    yield Line(
        "endplate rules bone.osteoporosis_by_dxa",
        _started(str(COMMAND), "rules", "bone.osteoporosis_by_dxa"), peer, nothing,
    )  # fmt: skip
