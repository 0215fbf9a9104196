"""``endplate alignment``: how a whole spine stands over the hips, from landmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from endplate import evidence
from endplate.alignment.geometry import METHOD
from endplate.alignment.geometry import measure as measured
from endplate.alignment.landmarks import Radiograph
from endplate.cli.main import print_json
from endplate.cli.output import console, envelope, problems_table, table
from endplate.exchange.files import write_files
from endplate.exchange.landmarks import read
from endplate.facts import Fact, InputProblem, Problem, in_order
from endplate.report.html import fact_value
from endplate.vocabulary import concept


def measure(
    files: Sequence[Path], given: Mapping[str, Any], out: Path | None,
    images: Mapping[str, Path] | None = None, *, as_json: bool,
) -> None:  # fmt: skip
    """Measure the landmarks of one person's radiographs, one file per view, and print.

    Parameters
    ----------
    given
        What was said beside the files (`endplate.exchange.landmarks.SETTINGS`).
    images
        View → the slot scanner's DICOM picture, where it was given.

    Raises
    ------
    InputProblem
        If a file cannot be used, two are of one view, or their landmarks give nothing.
    """
    facts: list[Fact] = []
    problems: list[Problem] = []
    films: dict[str, Radiograph] = {}
    for path in files:
        film, noted = read(path, given, images)
        if film.view in films:
            raise InputProblem(
                f"{path.name}: cannot be measured beside {films[film.view].name}. One file of each "
                f"view is needed; both are {film.view}. Measure one at a time."
            )
        films[film.view] = film
        found, missing = measured(film, evidence.shipped())
        facts += found
        problems += [*noted, *missing]
    for view in set(images or ()) - set(films):
        raise InputProblem(
            f"--eos-{view}: cannot be used. A file of {view} landmarks is needed beside it; there "
            f"is none. Give it, or leave the picture out."
        )
    more: dict[str, Any] = {}
    if len(films) > 1 and any(film.fan is not None for film in films.values()):
        more = _in_space(films, facts, problems)
    if not facts:
        why = next((p.says for p in problems), "No landmark that is needed is there.")
        names = ", ".join(film.name for film in films.values())
        raise InputProblem(
            f"{names}: nothing could be measured. The landmarks of at least one parameter are "
            f"needed; {why[0].lower()}{why[1:]} Mark more of them."
        )
    facts = [*in_order(facts)]
    if out is not None:
        from endplate.report.alignment import pictures

        drawn = {n: svg.encode() for n, svg in pictures([*films.values()], facts).items()}
        found = envelope(facts=facts, problems=problems, **more)
        write_files(out, {"alignment.json": found, **drawn})
    if as_json:
        print_json(facts=facts, problems=problems, **more)
        return
    spatial = {f.method for f in facts} - {METHOD}
    rows = [
        (
            concept(f.what).name + (", in space" if f.method in spatial else ""),
            " ".join(p for p in (f.level, f.side) if p), fact_value(f), str(f.posture or ""),
            "; ".join(f.doubts),
        )
        for f in facts
    ]  # fmt: skip
    text = console()
    columns = ("what", "where", "value", "posture", "doubt")
    text.print(table(f"{len(rows)} measurements", columns, rows))
    if problems:
        text.print(problems_table("Problems", problems))


def _in_space(
    films: Mapping[str, Radiograph], facts: list[Fact], problems: list[Problem]
) -> dict[str, Any]:
    """Add what both films of a slot scanner give together; the places of the points."""
    from endplate.alignment import biplanar

    found = biplanar.measure(films["lateral"], films["frontal"], evidence.shipped())
    facts[:] = [*biplanar.corrected(facts, found.lengths), *found.facts]
    problems += found.problems
    return {} if found.space is None else {"biplanar": biplanar.described(found.space)}
