"""The docs: generated pages are current, links lead somewhere, and the README's commands exist."""

from __future__ import annotations

import importlib.util
import re
import shlex
from pathlib import Path

import pytest

from endplate.cli.main import app, main

ROOT = Path(__file__).parents[2]
PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def generator():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_pages_are_current():
    assert generator().main(["--check"]) == 0, "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    text = page.read_text(encoding="utf-8")
    broken = [
        target
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
        if not target.startswith(("http://", "https://")) and not (page.parent / target).exists()
    ]
    assert broken == []


def commands() -> list[str]:
    """Every ``endplate …`` line in a code block of any page."""
    found = []
    for page in PAGES:
        if page.parent.name == "reference":
            continue
        for block in re.findall(r"```[a-z]*\n(.*?)```", page.read_text("utf-8"), flags=re.S):
            found += [
                line.split("#")[0].strip()
                for line in block.splitlines()
                if line.startswith("endplate ")
            ]
    return sorted(set(found))


@pytest.mark.parametrize("line", commands())
def test_every_command_in_the_docs_exists(line, capsys):
    words = shlex.split(line)[1:]
    known = {c.name or c.callback.__name__ for c in app.registered_commands}
    groups = {group.name for group in app.registered_groups}
    assert words[0] in known | groups
    command = words[: 2 if words[0] in groups else 1]
    assert main([*command, "--help"]) == 0
    text = capsys.readouterr().out
    for option in (w for w in words if w.startswith("--")):
        assert option in text, f"{words[0]} has no option {option}"


@pytest.mark.parametrize(
    "line", [c for c in commands() if c.startswith(("endplate score", "endplate rules"))]
)
def test_commands_that_need_no_files_run(line, capsys):
    if ".toml" in line:
        pytest.skip("needs the clinic's file")
    assert main(shlex.split(line)[1:]) == 0


def test_make_targets_in_the_docs_exist():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), flags=re.M))
    named = {
        t
        for page in PAGES
        for t in re.findall(r"(?:`|^)make ([a-z]+)", page.read_text("utf-8"), flags=re.M)
    }
    assert named <= targets
