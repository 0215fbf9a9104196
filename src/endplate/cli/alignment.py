"""``endplate alignment``: how a whole spine stands over the hips, from landmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from endplate import evidence
from endplate.alignment.geometry import measure as measured
from endplate.cli.main import print_json
from endplate.cli.output import console, envelope, problems_table, table
from endplate.exchange.files import write_files
from endplate.exchange.landmarks import read
from endplate.facts import Fact, InputProblem, Problem, in_order
from endplate.report.html import fact_value
from endplate.vocabulary import concept


def measure(
    files: Sequence[Path], given: Mapping[str, Any], out: Path | None, *, as_json: bool
) -> None:
    """Measure the landmarks of one person's radiographs, one file per view, and print.

    Parameters
    ----------
    given
        What was said beside the files (`endplate.exchange.landmarks.SETTINGS`).

    Raises
    ------
    InputProblem
        If a file cannot be used, two are of one view, or their landmarks give nothing.
    """
    facts, problems = of_films(files, given)
    if out is not None:
        write_files(out, {"alignment.json": envelope(facts=facts, problems=problems)})
    if as_json:
        print_json(facts=facts, problems=problems)
        return
    rows = [
        (
            concept(f.what).name, " ".join(p for p in (f.level, f.side) if p), fact_value(f),
            str(f.posture or ""), "; ".join(f.doubts),
        )
        for f in facts
    ]  # fmt: skip
    text = console()
    columns = ("what", "where", "value", "posture", "doubt")
    text.print(table(f"{len(rows)} measurements", columns, rows))
    if problems:
        text.print(problems_table("Problems", problems))


def of_films(files: Sequence[Path], given: Mapping[str, Any]) -> tuple[list[Fact], list[Problem]]:
    """Everything that the landmarks of one person's radiographs give, and what they do not.

    Raises
    ------
    InputProblem
        If a file cannot be used, two are of one view, or their landmarks give nothing.
    """
    facts: list[Fact] = []
    problems: list[Problem] = []
    views: dict[str, str] = {}
    for path in files:
        film, noted = read(path, given)
        if film.view in views:
            raise InputProblem(
                f"{path.name}: cannot be measured beside {views[film.view]}. One file of each view "
                f"is needed; both are {film.view}. Measure one at a time."
            )
        views[film.view] = path.name
        found, missing = measured(film, evidence.shipped())
        facts += found
        problems += [*noted, *missing]
    if not facts:
        why = next((p.says for p in problems), "No landmark that is needed is there.")
        raise InputProblem(
            f"{', '.join(views.values())}: nothing could be measured. The landmarks of at least "
            f"one parameter are needed; {why[0].lower()}{why[1:]} Mark more of them."
        )
    return [*in_order(facts)], problems
