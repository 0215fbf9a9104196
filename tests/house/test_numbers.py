"""A clinical number has one home: the evidence. None stands in a clinical room's code."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src" / "endplate"
ROOMS = ("alignment", "bone", "medicines", "pain", "questionnaires", "recovery", "risk", "surgery",
         "plan")  # fmt: skip
ALWAYS = {0, 1, 2, 100, -1}

# Literals that are no clinical numbers, each with the reason.
ALLOWED: dict[tuple[str, float], str] = {
    ("alignment/biplanar.py", 3): "levels named in a sentence, and decimals of a place: layout",
    ("alignment/biplanar.py", 5): "decimals of a direction: layout",
    ("alignment/space.py", 192): "draws for an error: method",
    ("alignment/space.py", 6): "rounds until the points have settled: method",
    ("alignment/geometry.py", 1.959964): "the normal distribution's 97.5 % point",
    ("alignment/geometry.py", 256): "draws for an error: method",
    ("alignment/geometry.py", 4): "steps for each landmark: two axes, there and back",
    **{("alignment/actions.py", n): "the names of osteotomy grades" for n in (3, 4, 5, 6)},
    ("alignment/actions.py", 90): "a right angle at one place: beyond is a slip of the pen",
    ("alignment/actions.py", 50): "mm of a cage or a gap: beyond is a slip of the pen",
    ("alignment/plan_search.py", 6): "turns of making linear: method",
    ("alignment/plan_search.py", 1e6): "what outweighs what in the search: method",
    ("alignment/plan_search.py", 1e3): "what outweighs what in the search: method",
    ("alignment/plan_search.py", 1e-2): "what outweighs what in the search: method",
    ("alignment/plan_search.py", 1e-3): "inside a range against rounding: method",
    ("alignment/plan_targets.py", 1e-9): "the floating-point slack of a range's end",
    (
        "alignment/landmarks.py",
        0.5,
    ): "which way endplates face, and whether they are turned about: method",
    ("bone/agents.py", 12): "months in a year",
    ("bone/fracture_risk.py", 10): "tenths, in rounding halves away from zero",
    ("bone/fracture_risk.py", 5): "half of ten, in rounding halves away from zero",
    ("bone/fracture_risk.py", 1e-9): "the floating-point slack of that rounding",
    ("bone/bone_quality_score.py", 99): "the highest percentile that a normal curve has",
    ("bone/bone_quality_score.py", 10): "the last digit, for the ending of an ordinal",
    ("bone/bone_quality_score.py", 3): "the ending of an ordinal: 3rd",
    ("medicines/star_alleles.py", 3): "alleles that are looked for on one gene copy: method",
    ("medicines/star_alleles.py", 14): "genotypes that are remembered, as a power of two: method",
    ("questionnaires/scoring.py", 4096): "rows that are scored at once: method",
    ("questionnaires/values.py", 3): "decimals to which the sets are published: layout",
    ("pain/sensory_testing.py", 9): "decimals of a z-score, against rounding at the limit",
    ("plan/care_plan.py", 8): "sentences in a summary: layout",
    ("plan/care_plan.py", 5): "sentences of one room in a summary: layout",
}


def literals(path: Path) -> list[tuple[float, int]]:
    """Numbers in code, array indices and `round`'s digits left out, with their lines."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skip: set[int] = set()
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript):
            skip |= {id(n) for n in ast.walk(node.slice)}
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "round":
            skip |= {id(a) for a in node.args[1:]}
        if isinstance(node, ast.keyword) and node.arg == "headline":
            skip.add(id(node.value))  # a place in the summary
        if isinstance(node, ast.FormattedValue) and node.format_spec is not None:
            skip |= {id(n) for n in ast.walk(node.format_spec)}
    for node in ast.walk(tree):
        is_number = isinstance(node, ast.Constant) and type(node.value) in (int, float)
        if is_number and id(node) not in skip:
            found.append((node.value, node.lineno))
    return found


FILES = [p for room in ROOMS for p in sorted((SRC / room).rglob("*.py"))]


@pytest.mark.parametrize("path", FILES, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_no_bare_number_in_a_clinical_room(path):
    name = f"{path.parent.name}/{path.name}"
    bare = [
        f"{name}:{line}: {number}"
        for number, line in literals(path)
        if number not in ALWAYS and (name, number) not in ALLOWED
    ]
    assert bare == []


def test_every_allowance_is_still_needed():
    there = {(f"{p.parent.name}/{p.name}", number) for p in FILES for number, _ in literals(p)}
    assert set(ALLOWED) <= there
