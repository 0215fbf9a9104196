"""One thing that is wrong with a mask: what it is called, what it touches, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# ``refused``: not measured. ``name``: which vertebra it is, is in doubt. ``count``: the same, as
# long as nobody has counted. ``shape``: what is labelled of it is in doubt. ``all``: everything
# of this mask is in doubt. ``sides``: left and right are. ``told``: nothing is, but worth knowing.
Kind = Literal["refused", "name", "count", "shape", "all", "sides", "told"]
CONFIRM = (
    "Count the vertebrae on the image; if the labels are right, measure with --confirm-levels or "
    "write levels_confirmed = true into case.toml."
)


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
