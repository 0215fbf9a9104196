"""Landmarks of radiographs in a case folder: text files, points of 3D Slicer, DICOM objects.

A file that cannot be used is a problem of that file, and the rest of the case goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from endplate.alignment.films import measure, operations_of
from endplate.alignment.geometry import METHOD
from endplate.alignment.landmarks import Radiograph
from endplate.evidence import Evidence
from endplate.exchange import landmarks, points, points_slicer, typed
from endplate.exchange.dicom import landmarks as dicom_landmarks
from endplate.exchange.dicom.files import Unreadable
from endplate.exchange.dicom.landmarks import Marks
from endplate.exchange.dicom.radiograph import Film, film
from endplate.exchange.dicom.report_reading import Report
from endplate.exchange.dicom.series import Found, person, source_of
from endplate.exchange.intake import Intake, Understood
from endplate.exchange.landmarks import Marked
from endplate.facts import Fact, InputProblem, Problem
from endplate.posture import Posture

# Points of one film as two files hold them differ by the rounding of single floats, in pixels.
_SAME = 0.01
_SET_ASIDE = ("dicom.not_an_image", "dicom.other_modality")
_STATE = "1.2.840.10008.5.1.4.1.1.11."


class CaseLandmarks:
    """The case's films: read one by one, then measured together.

    Attributes
    ----------
    films
        What was measured, to be drawn.
    files
        Name, kind and content of each file.
    """

    def __init__(self, intake: Intake, said: Mapping[str, Any], folder: Path) -> None:
        self.films: tuple[Radiograph, ...] = ()
        self.files: list[tuple[str, str, str]] = []
        self._intake, self._said, self._folder = intake, said, folder
        self._mentioned: set[str] = set()
        self._read: list[Marked] = []
        self._whose: list[Report] = []
        self._paths: dict[str, list[Path]] = {}  # name of a film → the files that it stands in
        self._again: dict[Path, list[Fact]] = {}
        self._used: set[Path] = set()

    # -- reading --

    def takes_points(self, path: Path) -> bool:
        """Read points in mm as a radiograph's, where they are one's; else nothing was done.

        Of a file of 3D Slicer somebody must have said so, or they must lie in one plane.
        """
        program, found, _ = points.read(path)
        if program != points_slicer.NAME:
            return False
        if self._of(path) is None and not landmarks.lie_in_one_plane(found):
            return False
        self.read(path)
        return True

    def read(self, path: Path) -> None:
        """Read one file of text, or note why it cannot be used."""
        self._take(path, self._name(path))

    def read_dicom(self, listed: Found) -> None:
        """Read the landmarks of reports and presentation states, where they mark any."""
        states = [h.path for h in listed.others if h.kind.startswith(_STATE)]
        pictures = {h.text("SOPInstanceUID"): h.path for h in listed.others if "Rows" in h.data}
        for path in (*listed.reports, *states):
            try:
                marks = dicom_landmarks.read(path)
            except Unreadable as problem:
                if path in states:  # of a report its reader says why
                    self._refuse(path, self._name(path), f"{problem.says} Export it again.")
                continue
            if marks.on:
                self._read_marks(path, marks, pictures)
            elif path in states:
                says = "no mark on an image that is named as a landmark"
                self.files.append((self._name(path), "presentation state, not used", says))

    def _read_marks(self, path: Path, marks: Marks, pictures: Mapping[str, Path]) -> None:
        """One film for each image that is marked, as far as the case holds several."""
        name = self._name(path)
        self._whose.append(Report(name, marks.identity, Understood()))
        known: list[Film] = []
        for uid in marks.on:
            if uid not in pictures:
                continue
            try:
                known.append(film(pictures[uid]))
            except InputProblem as problem:
                self._refuse(path, name, str(problem))
                return
            where = self._name(pictures[uid])
            self._whose.append(Report(where, known[-1].identity, Understood()))
        if len(known) < 2:
            self._take(path, name, known, marks)
            return
        for image in known:
            self._take(path, f"{name} on {image.file.path.name}", [image], marks)

    def _take(
        self, path: Path, name: str, images: Sequence[Film] = (), marks: Marks | None = None
    ) -> None:
        given = self._of(path) or {}
        try:
            odd = sorted(set(given) - set(landmarks.SETTINGS))
            if odd:
                raise InputProblem(
                    f"{path.name}: cannot be used as landmarks. In case.toml it needs no other "
                    f"keys than {', '.join(landmarks.SETTINGS)}; it has {odd[0]!r}. Correct it."
                )
            found = landmarks.marked(path, given, images, marks=marks)
        except InputProblem as problem:
            self._refuse(path, name, str(problem))
            return
        for p in found.problems:
            self._intake.problem(p.problem, p.says, p.where, p.try_)
        if found.identity is not None:
            self._whose.append(Report(name, found.identity, Understood()))
        if found.film.on and self._intake.today and found.film.on > self._intake.today:
            self._refuse(
                path, name,
                "It is dated in the future and was not used. Correct the date, or plan for a "
                "later day.",
            )  # fmt: skip
            return
        self._read.append(replace(found, film=replace(found.film, name=name)))
        self._paths[name] = [path]
        self._used.add(path.resolve())
        for picture in (found.scan, found.image and found.image.file.path):
            if picture is not None:
                self._list_picture(picture, name)

    def _list_picture(self, picture: Path, name: str) -> None:
        """Name a picture whose header was read, once, unless it lies outside the case."""
        picture = picture.resolve()
        mine = self._folder.resolve()
        if picture in self._used or not picture.is_relative_to(mine):
            return
        self._used.add(picture)
        says = f"its header was read for {name}"
        self.files.append((picture.relative_to(mine).as_posix(), "radiograph (DICOM)", says))

    def _name(self, path: Path) -> str:
        return path.relative_to(self._folder).as_posix()

    def _of(self, path: Path) -> Mapping[str, Any] | None:
        """What case.toml says of a file, by its place in the folder or by its name alone."""
        for known in (self._name(path), path.name):
            if known in self._said:
                self._mentioned.add(known)
                said: Mapping[str, Any] = self._said[known]
                return said
        return None

    def _refuse(self, path: Path, name: str, says: str) -> None:
        says = says.removeprefix(f"{name}: ").removeprefix(f"{path.name}: ")
        says = says[:1].upper() + says[1:]
        where = (
            f'What it does not say itself is said in case.toml, under [landmarks."{path.name}"].'
        )
        self._intake.problem("alignment.landmarks_not_used", says, name, (where,))
        self.files.append((name, "landmarks, not used", says))

    # -- what was read --

    @property
    def whose(self) -> tuple[Report, ...]:
        """Whose the DICOM objects and pictures are that were read."""
        return tuple(self._whose)

    def left_aside(self, listed: Found) -> tuple[Problem, ...]:
        """What listing DICOM files left aside, without those that landmarks were read of."""
        used = Counter(
            source_of(h.text("SeriesInstanceUID"))
            for h in listed.others
            if h.path.resolve() in self._used
        )
        found = []
        for noted in listed.understood.ignored:
            times = min(noted.count, used[noted.where]) if noted.problem in _SET_ASIDE else 0
            used[noted.where] -= times
            if noted.count > times:
                found.append(Problem(
                    problem=noted.problem, says=noted.says, where=noted.where,
                    count=noted.count - times,
                ))  # fmt: skip
        return tuple(found)

    # -- measuring --

    def measure(self, evidence: Evidence) -> None:
        """Measure what was read; of two films that nothing tells apart neither is taken."""
        for name in sorted(set(self._said) - self._mentioned):
            self._intake.problem(
                "alignment.no_such_file",
                "Names a file of landmarks that is not there, or is none; nothing was done.",
                f"{typed.CASE_FILE}: landmarks.{name}",
                ("Write the file's name as it stands in the folder.",),
            )
        films = list(self._told_apart(self._without_copies()))
        found = measure(films, evidence, operations_of(self._intake.facts))
        drawn = []
        for one, facts in zip(films, found.of_film, strict=True):
            if isinstance(facts, InputProblem):
                self._refuse(self._paths[one.name][0], one.name, str(facts))
                continue
            says = f"{len(facts)} facts from {len(one.points)} landmarks, {one.posture}"
            self.files.append((one.name, f"landmarks ({one.view} radiograph)", says))
            self._again |= {path: [*facts] for path in self._paths[one.name]}
            drawn += [one] if facts else []
        for names in found.spaces:
            count = sum(f.source == names for f in found.facts)
            self.files.append((names, "landmarks (pair in space)", f"{count} facts"))
        self._intake.add(Understood(facts=found.facts, problems=found.problems))
        self.films = tuple(drawn)

    def say_whose(self) -> None:
        """Take in the birth date and sex that nothing but the films says."""
        measured = {one.name for one in self.films}
        for one in self._read:
            if one.identity is None or one.film.name not in measured:
                continue
            said = Intake(self._intake.today)
            person(one.identity, one.film.name, said)
            known = {(f.what, f.value) for f in self._intake.facts}
            new = tuple(f for f in said.facts if (f.what, f.value) not in known)
            self._intake.add(Understood(facts=new, problems=said.understood().problems))

    def _without_copies(self) -> Iterator[Marked]:
        """Each film once: a report of ours holds the landmarks of the file that it was made of."""
        left = sorted(self._read, key=_how_much_it_says, reverse=True)
        kept: list[Marked] = []
        for one in left:
            first = next((k for k in kept if _is_copy(k, one)), None)
            if first is None:
                kept.append(one)
                continue
            name = first.film.name
            self._paths[name] += self._paths[one.film.name]
            self.files.append(
                (one.film.name, "landmarks, not read again", f"the same points as in {name}")
            )
        yield from (one for one in self._read if one in kept)

    def _told_apart(self, read: Iterable[Marked]) -> Iterator[Radiograph]:
        alike: dict[tuple[Any, ...], list[Radiograph]] = {}
        for one in (marked.film for marked in read):
            alike.setdefault((one.view, one.posture, one.on), []).append(one)
        for films in alike.values():
            if len(films) == 1:
                yield films[0]
                continue
            for one in films:
                others = ", ".join(f.name for f in films if f is not one)
                says = (
                    f"Is not the only {one.view} radiograph of its day and posture, and nothing "
                    f"tells which to use; none was used. Leave one of them and take out {others}, "
                    f"or write their days."
                )
                self._refuse(self._paths[one.name][0], one.name, says)

    def not_measured_again(self, path: Path, facts: Iterable[Fact]) -> tuple[Fact, ...]:
        """Of a report's facts those that its landmarks, measured again, did not give anew."""
        again = {(f.what, f.level, f.side) for f in self._again.get(path, ())}
        return tuple(
            f for f in facts if f.method != METHOD or (f.what, f.level, f.side) not in again
        )

    def were_read(self, path: Path) -> bool:
        """Whether landmarks were read of a file."""
        return path.resolve() in self._used


def _how_much_it_says(one: Marked) -> tuple[bool, ...]:
    film = one.film
    return (
        film.on is not None, film.posture is not Posture.UNKNOWN, film.calibrated,
        film.fan is not None,
    )  # fmt: skip


def _is_copy(one: Marked, other: Marked) -> bool:
    """Whether two files hold the same points of one film, and say nothing that tells them apart."""
    first, second = one.film, other.film
    if first.view != second.view or first.points.keys() != second.points.keys():
        return False
    if None not in (first.on, second.on) and first.on != second.on:
        return False
    if Posture.UNKNOWN not in (first.posture, second.posture) and first.posture != second.posture:
        return False
    held = [m.pixels if one.pixels and other.pixels else m.film.points for m in (one, other)]
    apart = [np.subtract(held[0][n][:2], held[1][n][:2]) for n in first.points]
    return bool(np.abs(apart).max() <= _SAME)
