"""``endplate alignment``: how a whole spine stands over the hips, from landmarks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from endplate import evidence
from endplate.alignment.geometry import METHOD
from endplate.alignment.geometry import measure as measured
from endplate.alignment.landmarks import Radiograph
from endplate.cli.main import print_json
from endplate.cli.output import console, envelope, problems_table, table
from endplate.exchange.files import write_files
from endplate.exchange.landmarks import Marked, marked
from endplate.facts import Fact, InputProblem, Problem, in_order
from endplate.report.values import fact_value
from endplate.vocabulary import concept


@dataclass(slots=True)
class Films:
    """One person's radiographs, one of each view, and what they give.

    Attributes
    ----------
    facts
        Of each view alone, and of both in space where a slot scanner took them.
    more
        What JSON says besides: the places in space.
    """

    marked: dict[str, Marked] = field(default_factory=dict)
    of_view: dict[str, Sequence[Fact]] = field(default_factory=dict)
    facts: Sequence[Fact] = ()
    problems: list[Problem] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)

    @property
    def films(self) -> list[Radiograph]:
        """The radiographs themselves."""
        return [one.film for one in self.marked.values()]


def measure(
    files: Sequence[Path],
    given: Mapping[str, Any],
    out: Path | None,
    images: Sequence[Path] = (),
    scans: Mapping[str, Path] | None = None,
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
    scans
        View → the slot scanner's DICOM picture, where it was given.

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
    found = of_films(files, given, images, scans)
    if out is not None:
        content = envelope(facts=found.facts, problems=found.problems, **found.more)
        write_files(out, {"alignment.json": content, **_pictures(found), **_reports(found)})
    if as_json:
        print_json(facts=found.facts, problems=found.problems, **found.more)
        return
    spatial = {f.method for f in found.facts} - {METHOD}
    rows = [
        (
            concept(f.what).name + (", in space" if f.method in spatial else ""),
            " ".join(p for p in (f.level, f.side) if p), fact_value(f), str(f.posture or ""),
            "; ".join(f.doubts),
        )
        for f in found.facts
    ]  # fmt: skip
    text = console()
    columns = ("what", "where", "value", "posture", "doubt")
    text.print(table(f"{len(rows)} measurements", columns, rows))
    if found.problems:
        text.print(problems_table("Problems", found.problems))


def _pictures(found: Films) -> dict[str, bytes]:
    from endplate.report.alignment import pictures

    return {name: svg.encode() for name, svg in pictures(found.films, found.facts).items()}


def _reports(found: Films) -> dict[str, bytes]:
    """The measurements of each view whose image is there, as a DICOM report."""
    seen = {v: one for v, one in found.marked.items() if one.image is not None and found.of_view[v]}
    if not seen:
        return {}
    from endplate.exchange.dicom.landmark_report import report_file

    return {
        f"alignment_{view}.dcm": report_file(one, found.of_view[view]) for view, one in seen.items()
    }


def of_films(
    files: Sequence[Path],
    given: Mapping[str, Any],
    images: Sequence[Path] = (),
    scans: Mapping[str, Path] | None = None,
) -> Films:
    """Everything that the landmarks of one person's radiographs give, and what they do not.

    Raises
    ------
    InputProblem
        If a file cannot be used, two are of one view, or their landmarks give nothing.
    """
    grounds = evidence.shipped()
    found = Films()
    for one in _marked(files, given, images, scans or {}):
        film = one.film
        if film.view in found.marked:
            raise InputProblem(
                f"{film.name}: cannot be measured beside {found.marked[film.view].film.name}. One "
                f"file of each view is needed; both are {film.view}. Measure one at a time."
            )
        facts, missing = measured(film, grounds)
        found.marked[film.view], found.of_view[film.view] = one, facts
        found.problems += [*one.problems, *missing]
    facts = [f for of_one in found.of_view.values() for f in of_one]
    if len(found.marked) > 1 and any(film.fan is not None for film in found.films):
        facts = _in_space(found, facts)
    if not facts:
        why = next((p.says for p in found.problems), "No landmark that is needed is there.")
        raise InputProblem(
            f"{', '.join(film.name for film in found.films)}: nothing could be measured. The "
            f"landmarks of at least one parameter are needed; {why[0].lower()}{why[1:]} Mark more "
            f"of them."
        )
    found.facts = in_order(facts)
    return found


def _in_space(found: Films, facts: Sequence[Fact]) -> list[Fact]:
    """The facts with what both films of a slot scanner give together."""
    from endplate.alignment import biplanar

    lateral, frontal = (found.marked[view].film for view in ("lateral", "frontal"))
    together = biplanar.measure(lateral, frontal, evidence.shipped())
    found.problems += together.problems
    if together.space is not None:
        found.more = {"biplanar": biplanar.described(together.space)}
    return [*biplanar.corrected(facts, together.lengths), *together.facts]


def _marked(
    files: Sequence[Path],
    given: Mapping[str, Any],
    images: Sequence[Path],
    scans: Mapping[str, Path],
) -> Iterator[Marked]:
    """Each file's landmarks with their picture, all of one person, and no picture left over."""
    left = []
    if images:
        from endplate.exchange.dicom.radiograph import film

        left = [film(path) for path in images]
    seen: list[Marked] = []
    for path in files:
        one = marked(path, given, left, scans)
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
    for view in set(scans) - {one.film.view for one in seen}:
        raise InputProblem(
            f"--eos-{view}: cannot be used. A file of {view} landmarks is needed beside it; there "
            f"is none. Give it, or leave the picture out."
        )


def _check_person(one: Marked, seen: Sequence[Marked]) -> None:
    for other in seen:
        why = one.identity.contradicts(other.identity) if one.identity and other.identity else ()
        if why:
            raise InputProblem(
                f"{one.film.name}: cannot be measured beside {other.film.name}. Both must be of "
                f"one person; they have different {' and '.join(why)}. Check whose they are."
            )
