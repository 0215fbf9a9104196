"""``endplate alignment``: how a whole spine stands over the hips, from landmarks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from endplate import evidence
from endplate.alignment.geometry import measure as measured
from endplate.cli.main import print_json
from endplate.cli.output import console, envelope, problems_table, table
from endplate.exchange.files import write_files
from endplate.exchange.landmarks import Marked, marked
from endplate.facts import Fact, InputProblem, Problem, in_order
from endplate.report.html import fact_value
from endplate.vocabulary import concept


def measure(
    files: Sequence[Path],
    given: Mapping[str, Any],
    out: Path | None,
    images: Sequence[Path] = (),
    *,
    as_json: bool,
) -> None:
    """Measure the landmarks of one person's radiographs, one file per view, and print.

    Parameters
    ----------
    given
        What was said beside the files (`endplate.exchange.landmarks.SETTINGS`).
    images
        The radiographs, whose measurements are written as DICOM reports as well.

    Raises
    ------
    InputProblem
        If a file cannot be used, two are of one view, or their landmarks give nothing.
    """
    if images and out is None:
        raise InputProblem(
            "--sr: cannot be written. A folder for the DICOM report is needed; --out is not there. "
            "Give --out DIR."
        )
    facts: list[Fact] = []
    problems: list[Problem] = []
    views: dict[str, str] = {}
    reports: dict[str, bytes] = {}
    for one in _marked(files, given, images):
        film = one.film
        if film.view in views:
            raise InputProblem(
                f"{film.name}: cannot be measured beside {views[film.view]}. One file of each view "
                f"is needed; both are {film.view}. Measure one at a time."
            )
        views[film.view] = film.name
        found, missing = measured(film, evidence.shipped())
        facts += found
        problems += [*one.problems, *missing]
        if out is not None and found and one.image is not None:
            from endplate.exchange.dicom.landmark_report import report_file

            reports[f"alignment_{film.view}.dcm"] = report_file(one, found)
    if not facts:
        why = next((p.says for p in problems), "No landmark that is needed is there.")
        raise InputProblem(
            f"{', '.join(views.values())}: nothing could be measured. The landmarks of at least "
            f"one parameter are needed; {why[0].lower()}{why[1:]} Mark more of them."
        )
    facts = [*in_order(facts)]
    if out is not None:
        content = envelope(facts=facts, problems=problems)
        write_files(out, {"alignment.json": content, **reports})
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


def _marked(
    files: Sequence[Path], given: Mapping[str, Any], images: Sequence[Path]
) -> Iterator[Marked]:
    """Each file's landmarks with their picture, all of one person, and no picture left over."""
    left = []
    if images:
        from endplate.exchange.dicom.radiograph import film

        left = [film(path) for path in images]
    seen: list[Marked] = []
    for path in files:
        one = marked(path, given, left)
        if images and one.image is None:
            raise InputProblem(
                f"{path.name}: cannot be written as a DICOM report. Each file of landmarks needs "
                f"the image of its view; there is none for it. Give one --sr for each file."
            )
        left = [image for image in left if image is not one.image]
        _check_person(one, seen)
        seen.append(one)
        yield one
    if left:
        raise InputProblem(
            f"{left[0].file.path.name}: cannot be used. Each image given with --sr is that of one "
            f"file of landmarks; it is of none. Leave it out, or give its landmarks."
        )


def _check_person(one: Marked, seen: Sequence[Marked]) -> None:
    for other in seen:
        why = one.identity.contradicts(other.identity) if one.identity and other.identity else ()
        if why:
            raise InputProblem(
                f"{one.film.name}: cannot be measured beside {other.film.name}. Both must be of "
                f"one person; they have different {' and '.join(why)}. Check whose they are."
            )
