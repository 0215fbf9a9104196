"""``endplate doctor``: versions, optional parts, and whether this folder can be written to."""

from __future__ import annotations

import importlib
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from endplate import __version__
from endplate.cli.main import print_json
from endplate.cli.output import console, table

_PARTS = (
    "numpy", "scipy", "nibabel", "pydicom", "highdicom", "pynrrd", "msgspec", "orjson", "pint",
    "ucumvert", "pillow", "jinja2",
)  # fmt: skip
_OPTIONAL = {
    "weasyprint": "PDF report (endplate[pdf])",
    "distributed": "many cases at once (endplate[batch])",
    "pyarrow": "the table of many cases (endplate[batch])",
}


def doctor(*, as_json: bool) -> None:
    """Print what is installed and what works here."""
    rows = [("Endplate", __version__, "ok"), ("Python", platform.python_version(), "ok")]
    rows += [(name, *_installed(name)) for name in _PARTS]
    rows += [(f"{name}: {use}", *_optional(name)) for name, use in _OPTIONAL.items()]
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


def _optional(name: str) -> tuple[str, str]:
    try:
        importlib.import_module(name)
    except (ImportError, OSError) as problem:
        return "", f"not usable ({type(problem).__name__}); everything else works without it"
    return version(name), "ok"
