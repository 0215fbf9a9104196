"""Made people: three classes that some criteria tell apart, and what is true of them is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np

COLUMNS = {
    "A": "pain.criterion.localised",
    "B": "pain.criterion.dermatomal",
    "C": "pain.criterion.widespread",
    "D": "pain.criterion.disturbs_sleep",
}
CLASSES = ("central", "nociceptive", "peripheral")
# The chance of each criterion in each class; the last tells nothing.
SHARES = np.array([[0.1, 0.1, 0.9, 0.5], [0.9, 0.1, 0.1, 0.5], [0.2, 0.9, 0.1, 0.5]])


def table(path: Path, rows: int = 240, seed: int = 5, blank: float = 0.0) -> Path:
    """A CSV table of made people, with a share of its cells blank."""
    rng = np.random.default_rng(seed)
    of_class = np.arange(rows) % 3
    cells = (rng.random((rows, 4)) < SHARES[of_class]).astype(int).astype(str)
    cells[rng.random(cells.shape) < blank] = ""
    lines = [",".join([*COLUMNS, "group", "note"])]
    lines += [
        ",".join([*line, CLASSES[k].title(), "x"]) for line, k in zip(cells, of_class, strict=True)
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def map_of(path: Path, columns: dict[str, str] = COLUMNS) -> Path:
    path.write_text(
        "column,concept\n" + "".join(f"{c},{w}\n" for c, w in columns.items()), encoding="utf-8"
    )
    return path
