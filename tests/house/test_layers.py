"""The layering rule: facts flow one way, and the clinical rooms are pure."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "endplate"
CORE = {"facts", "findings", "record", "rules", "units", "levels", "posture", "vocabulary",
        "codec", "evidence", "cobb", "planes"}  # fmt: skip
ROOMS = {"alignment", "bone", "medicines", "pain", "questionnaires", "recovery", "risk", "surgery",
         "images"}  # fmt: skip
EDGES = {"exchange", "report", "registry", "store", "cli", "web", "demo"}
# A room may use another room only where this list says so.
ROOM_MAY_USE: dict[str, set[str]] = {
    "alignment": set(), "bone": set(), "images": set(), "questionnaires": set(),
    "medicines": set(), "pain": {"questionnaires"}, "recovery": {"questionnaires"}, "risk": set(),
    "surgery": {"bone"},
}  # fmt: skip
# What a pure layer must not import: files, clocks, randomness, logging, the network.
IMPURE = {"os", "io", "pathlib", "time", "random", "logging", "socket", "urllib", "subprocess",
          "tempfile", "shutil", "sys", "threading"}  # fmt: skip
# Pure modules that read their own package data through importlib.resources do not break this;
# a Path in a signature is data, not a file that is opened.
MAY_NAME_A_PATH = {"evidence/__init__.py"}


def imports(path: Path) -> list[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names += [f"{node.module}.{a.name}" for a in node.names]
    return names


def layer(path: Path) -> str:
    return path.relative_to(SRC).parts[0].removesuffix(".py")


def modules(layers: set[str]) -> list[Path]:
    return [p for p in sorted(SRC.rglob("*.py")) if layer(p) in layers]


def used(name: str) -> str:
    parts = name.split(".")
    return parts[1] if parts[0] == "endplate" and len(parts) > 1 else ""


def test_every_module_belongs_to_a_layer():
    known = CORE | ROOMS | EDGES | {"plan", "__init__"}
    assert {layer(p) for p in SRC.rglob("*.py")} <= known


def test_the_core_imports_nothing_above_it():
    above = ROOMS | EDGES | {"plan"}
    broken = [
        f"{p.name} imports {n}" for p in modules(CORE) for n in imports(p) if used(n) in above
    ]
    assert broken == []


def test_a_room_imports_the_core_and_the_rooms_it_may():
    broken = [
        f"{p.relative_to(SRC)} imports {n}"
        for p in modules(ROOMS)
        for n in imports(p)
        if used(n) in (ROOMS - {layer(p)} - ROOM_MAY_USE[layer(p)]) | EDGES | {"plan"}
    ]
    assert broken == []


def test_the_plan_imports_no_edge():
    broken = [
        f"{p.name} imports {n}" for p in modules({"plan"}) for n in imports(p) if used(n) in EDGES
    ]
    assert broken == []


@pytest.mark.parametrize("path", modules(CORE | ROOMS | {"plan"}), ids=lambda p: p.stem)
def test_a_pure_layer_touches_no_file_clock_or_chance(path):
    allowed = {"pathlib"} if str(path.relative_to(SRC)) in MAY_NAME_A_PATH else set()
    touched = {n.split(".")[0] for n in imports(path)} & (IMPURE - allowed)
    # Pictures are drawn into memory, which needs io.BytesIO and nothing else of io.
    if touched == {"io"} and {n for n in imports(path) if n.startswith("io")} == {"io.BytesIO"}:
        touched = set()
    assert touched == set()
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\bdate\.today\(|\bdatetime\.now\(|\bopen\(|\bprint\(", text)


def test_no_name_says_nothing():
    empty_words = {"utils", "util", "helpers", "helper", "common", "core", "manager", "service",
                   "services", "managers", "misc"}  # fmt: skip
    found = [
        str(p.relative_to(ROOT))
        for p in [*SRC.rglob("*"), *(ROOT / "tests").rglob("*.py")]
        if p.stem.lower() in empty_words
    ]
    assert found == []


def test_measuring_imports_no_slow_part_of_scipy_that_few_images_need():
    """They take longer to import than a lumbar spine takes to be measured."""
    asked = "import sys, endplate.images.measure; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", asked], capture_output=True, text=True, check=True
    )
    slow = {"scipy.interpolate", "scipy.optimize", "scipy.stats", "scipy.signal"}
    assert slow & set(loaded.stdout.split()) == set()
