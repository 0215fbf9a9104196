"""The project speaks of itself alone: no machine's paths, no registry hosts, nothing left over."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FORBIDDEN = {
    "a path of somebody's machine": r"/(?:home|root|work|Users)/[a-z]",
    "a registry's host": r"registry\.npmjs\.org|files\.pythonhosted\.org|pypi\.org/simple",
    "left for later": r"\b(?:TODO|FIXME|XXX)\b|NotImplementedError\(\)",
}
TEXT = {".py", ".toml", ".md", ".txt", ".csv", ".json", ".css", ".j2", ".lock", ".yml", ""}


def files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / f for f in listed.stdout.splitlines() if (ROOT / f).suffix in TEXT]


@pytest.mark.parametrize("what", FORBIDDEN)
def test_nothing_that_does_not_belong(what):
    here = Path(__file__)
    found = []
    for path in files():
        if path == here or not path.is_file():
            continue
        for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), 1):
            if re.search(FORBIDDEN[what], line):
                found.append(f"{path.relative_to(ROOT)}:{number}")
    assert found == [], what
