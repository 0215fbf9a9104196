"""``endplate alignment``: how a whole spine stands over the hips, from landmarks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from endplate import evidence, levels
from endplate.alignment import films as together
from endplate.alignment.films import Operation
from endplate.alignment.geometry import METHOD
from endplate.alignment.landmarks import Radiograph
from endplate.cli.main import print_json
from endplate.cli.output import console, envelope, problems_table, table
from endplate.exchange.files import write_files
from endplate.exchange.landmarks import Marked, marked
from endplate.facts import Fact, InputProblem, Problem
from endplate.levels import Level
from endplate.report.values import fact_value
from endplate.vocabulary import concept


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What was said of films beside their files.

    Attributes
    ----------
    said
        Whichever of `endplate.exchange.landmarks.SETTINGS` was said.
    images
        The radiographs as DICOM files.
    scans
        View → the slot scanner's DICOM picture.
    upper
        The upper instrumented vertebra that is seen on them.
    """

    said: Mapping[str, Any] = field(default_factory=dict)
    images: Sequence[Path] = ()
    scans: Mapping[str, Path] = field(default_factory=dict)
    upper: str | None = None


@dataclass(slots=True)
class Films:
    """One person's radiographs, one of each view, and what they give.

    Attributes
    ----------
    of_view
        What each view gives alone.
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


def measure(files: Sequence[Path], given: Given, out: Path | None, *, as_json: bool) -> None:
    """Measure the landmarks of one person's radiographs, one file per view, and print.

    Of the images that are given the measurements are written as DICOM reports as well.

    Raises
    ------
    InputProblem
        If a file cannot be used, two are of one view, or their landmarks give nothing.
    """
    if given.images and out is None:
        raise InputProblem(
            "--sr: cannot be written. A folder for the DICOM report is needed; --out is not there. "
            "Give --out DIR."
        )
    found = of_films(files, given)
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


def of_films(files: Sequence[Path], given: Given) -> Films:
    """Everything that the landmarks of one person's radiographs give, and what they do not.

    Raises
    ------
    InputProblem
        If a file cannot be used, two are of one view, or their landmarks give nothing.
    """
    operations = ()
    if given.upper is not None:
        operations = (Operation(upper=_instrumented(given.upper), undated="after"),)
    found = Films()
    for one in _marked(files, given.said, given.images, given.scans):
        film = one.film
        if film.view in found.marked:
            raise InputProblem(
                f"{film.name}: cannot be used beside {found.marked[film.view].film.name}. One "
                f"file of each view is needed; both are {film.view}. Take one at a time."
            )
        found.marked[film.view] = one
        found.problems += one.problems
    measured = together.measure(found.films, evidence.shipped(), operations)
    for film, facts in zip(found.films, measured.of_film, strict=True):
        if isinstance(facts, InputProblem):
            raise facts
        found.of_view[film.view] = facts
    found.problems += measured.problems
    if not measured.facts:
        why = next((p.says for p in found.problems), "No landmark that is needed is there.")
        raise InputProblem(
            f"{', '.join(film.name for film in found.films)}: nothing could be measured. The "
            f"landmarks of at least one parameter are needed; {why[0].lower()}{why[1:]} Mark more "
            f"of them."
        )
    found.facts = measured.facts
    if measured.spaces:
        from endplate.alignment.biplanar import described

        (space,) = measured.spaces.values()  # of one film of each view there is one pair
        found.more = {"biplanar": described(space)}
    return found


def _instrumented(text: str) -> Level:
    found = level_given("--upper-instrumented", text)
    if not Level.C3 <= found < Level.S1:  # landmarks begin at C2
        raise InputProblem(
            "--upper-instrumented: cannot be used. A vertebra from C3 to L6 is needed; got "
            "another. Correct it."
        )
    return found


def level_given(option: str, text: str) -> Level:
    """The vertebra that an option names.

    Raises
    ------
    InputProblem
        If it names none.
    """
    try:
        return levels.level(text)
    except ValueError:
        raise InputProblem(
            f"{option}: is not understood. One level such as T10 is needed; got another. Correct "
            f"it."
        ) from None


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
                f"{path.name}: cannot be matched with an image. Where images are given with --sr, "
                f"each file of landmarks needs that of its view; there is none for it. Give one "
                f"--sr for each file."
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
