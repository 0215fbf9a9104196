"""``endplate doctor``: versions, optional parts, ages of tables, whether the folder is writable."""

from __future__ import annotations

import importlib
import os
import platform
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from endplate import __version__
from endplate.cli.main import print_json
from endplate.cli.output import console, table
from endplate.exchange.segmenters import SEGMENTERS, Segmenter, state
from endplate.medicines.tables import Table, all_tables

_PARTS = (
    "numpy", "scipy", "nibabel", "pydicom", "highdicom", "pynrrd", "msgspec", "orjson", "pint",
    "ucumvert", "pillow", "jinja2",
)  # fmt: skip
_OPTIONAL = {
    "weasyprint": "PDF report (endplate[pdf])",
    "distributed": "many cases at once (endplate[batch])",
    "pyarrow": "the table of many cases (endplate[batch])",
    "sklearn": "training of models (endplate[registry])",
}


def doctor(*, as_json: bool) -> None:
    """Print what is installed and what works here."""
    rows = [("Endplate", __version__, "ok"), ("Python", platform.python_version(), "ok")]
    rows += [(name, *_installed(name)) for name in _PARTS]
    rows += [(f"{name}: {use}", *_optional(name)) for name, use in _OPTIONAL.items()]
    rows += [
        (f"{s.package}: segmentation (endplate[segment])", s.installed, _segmenter(s))
        for s in SEGMENTERS.values()
    ]
    rows += [(f"table: {t.says}", t.dated.isoformat(), _age(t)) for t in all_tables()]
    writable = os.access(Path.cwd(), os.W_OK)
    rows.append(("this folder", str(Path.cwd()), "can be written" if writable else "read only"))
    if as_json:
        print_json(checks=[{"what": a, "version": b, "state": c} for a, b, c in rows])
        return
    console().print(table("Endplate doctor", ("part", "version", "state"), rows))


def _installed(name: str) -> tuple[str, str]:
    try:
        return version(name), "ok"
    except PackageNotFoundError:
        return "", "missing: install endplate again"


def _age(table: Table) -> str:
    """Whether a newer edition should be looked for; findings that rest on the table say it too."""
    outdated = table.outdated(date.today())
    return "more than a year old: check for a newer edition" if outdated else "ok"


def _segmenter(segmenter: Segmenter) -> str:
    if not segmenter.installed:
        return "not installed; everything else works without it"
    return state(segmenter)


def _optional(name: str) -> tuple[str, str]:
    try:
        part = importlib.import_module(name)
    except (ImportError, OSError) as problem:
        return "", f"not usable ({type(problem).__name__}); everything else works without it"
    return str(part.__version__), "ok"
