"""``endplate measure``: bone on one image with its mask."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from endplate import evidence, levels, rules
from endplate.cli import change
from endplate.cli.main import print_json
from endplate.cli.output import console, envelope, problems_table, table
from endplate.exchange.case import CaseImage, paired
from endplate.exchange.dicom.series import Series, find_series
from endplate.exchange.disc_calibration import read_calibration
from endplate.exchange.files import write_files
from endplate.exchange.masks import read_image, read_mask
from endplate.facts import InputProblem, Problem
from endplate.findings import AnyFinding
from endplate.images.measure import ROLES, Measured
from endplate.images.measure import measure as measured
from endplate.images.volume import Mask, Volume
from endplate.levels import Level
from endplate.posture import Posture
from endplate.record import PatientRecord
from endplate.report.html import fact_value
from endplate.vocabulary import concept


@dataclass(frozen=True, slots=True)
class Tissue:
    """What muscle and discs can need besides image and mask, as it was typed.

    Attributes
    ----------
    height
        Body height, cm.
    also
        ``fat=FILE`` and the like.
    calibration
        The file by which Pfirrmann grades are suggested.
    """

    height: float | None = None
    also: Sequence[str] = ()
    calibration: Path | None = None

    def given(self) -> dict[str, Any]:
        """As arguments of `endplate.images.measure.measure`."""
        limits = concept("person.height").plausible
        if self.height is not None and limits and not limits[0] <= self.height <= limits[1]:
            raise InputProblem(
                f"--height: is not understood. A body height in cm from {limits[0]:g} to "
                f"{limits[1]:g} is needed; it is outside. Write it like --height 172."
            )
        path = self.calibration
        calibration = None if path is None else read_calibration(_existing(path))
        return {"body_height": self.height, "also": self._images(), "calibration": calibration}

    def _images(self) -> dict[str, Volume]:
        found = {}
        for text in self.also:
            role, _, path = text.partition("=")
            if role not in ROLES or not path:
                raise InputProblem(
                    f"--also: is not understood. It is {', '.join(ROLES)} with a file, like "
                    f"fat=FILE; got {role!r}. Write it so."
                )
            found[role], _, _ = _image(Path(path))
        return found


def measure(
    image: Path,
    mask_paths: Sequence[Path],
    labels: str,
    posture: str | None,
    modality: str | None,
    only: str | None,
    out: Path | None,
    earlier: tuple[Path | None, Sequence[Path], str | None] = (None, (), None),
    *,
    tissue: Tissue | None = None,
    as_json: bool,
) -> None:
    """Measure, print, and write the JSON and the pictures if a folder is given.

    Parameters
    ----------
    earlier
        Image, masks and posture of an earlier study of the same person.
    tissue
        What muscles and discs are measured with besides.
    """
    _known(posture, set(Posture), "--posture")
    _known(modality, {"CT", "MR"}, "--modality")
    before = _before(*earlier, labels, modality, only)
    later, problems, series = _study(image, mask_paths, labels, posture, modality, only, tissue)
    found = later.found
    findings = _findings(found)
    changed = None if before is None else change.changed(before[0], later)
    if changed is not None and before is not None:
        findings = [*findings, *changed.findings]
        problems = [*problems, *before[1], *changed.problems]
    more = {} if changed is None else changed.parts()
    if out is not None:
        files = {} if series is None else _report_files(series, later.mask, found, problems)
        files["measurements.json"] = envelope(
            facts=found.facts, findings=findings, problems=problems
        )
        if changed is not None:
            files["changes.json"] = envelope(
                facts=found.facts, findings=changed.findings, problems=changed.problems, **more
            )
        pictures = (*found.pictures, *(() if changed is None else changed.pictures))
        write_files(out, files | {p.name: p.content for p in pictures})
    if as_json:
        print_json(facts=found.facts, findings=findings, problems=problems, **more)
        return
    rows = [
        (f.what, " ".join(p for p in (f.level, f.side) if p), fact_value(f), "; ".join(f.doubts))
        for f in found.facts
    ]
    text = console()
    text.print(table(f"{len(rows)} measurements", ("what", "where", "value", "doubt"), rows))
    if changed is not None:
        change.show(changed)
    for finding in findings:
        text.print(f"- {finding.says}", markup=False, highlight=False)
    if problems:
        text.print(problems_table("Problems", problems))


def _before(
    image: Path | None,
    mask_paths: Sequence[Path],
    posture: str | None,
    labels: str,
    modality: str | None,
    only: str | None,
) -> tuple[change.Study, list[Problem]] | None:
    """The earlier study and what was met in reading it, where one is given."""
    _known(posture, set(Posture), "--earlier-posture")
    if image is None and not mask_paths:
        return None
    if image is None or not mask_paths:
        missing = "--earlier-image" if image is None else "--earlier-mask"
        raise InputProblem(
            f"Earlier study: cannot be compared. An image and its mask are needed; {missing} is "
            f"missing. Give both."
        )
    study, problems, _ = _study(image, mask_paths, labels, posture, modality, only)
    return study, [
        Problem(problem=p.problem, says=f"Earlier study: {p.says}", where=p.where, try_=p.try_)
        for p in problems
    ]


def _study(
    image: Path,
    mask_paths: Sequence[Path],
    labels: str,
    posture: str | None,
    modality: str | None,
    only: str | None,
    tissue: Tissue | None = None,
) -> tuple[change.Study, list[Problem], Series | None]:
    """One image with its masks, measured; what was met on the way; its series if it is DICOM."""
    volume, problems, series = _image(image)
    masks = []
    for path in mask_paths:
        mask, noted = read_mask(_existing(path), labels)
        masks.append(mask)
        problems += noted
    whole = CaseImage(volume.name, volume.acquisition, volume.uid, lambda: volume)
    pairs, noted = paired([whole], masks)
    (volume, mask) = pairs[0]
    more = (tissue or Tissue()).given()
    found = measured(volume, mask, levels=_levels(only), posture=posture, modality=modality, **more)
    return change.Study(image, volume, mask, found), [*problems, *noted, *found.problems], series


def _findings(found: Measured) -> list[AnyFinding]:
    """What the rules on measuring say of the measured facts alone."""
    # The day does not matter here: what was just measured is known, whatever its date.
    latest = max((f.on for f in found.facts if f.on), default=date.today())
    patient = PatientRecord.of(found.facts).known_on(latest)
    grounds = evidence.shipped()
    return [
        finding
        for rule in rules.find()
        if rule.id.startswith("measurement.")
        for finding in rule(patient, grounds)
    ]


def _report_files(
    series: Series, mask: Mask, found: Measured, problems: list[Problem]
) -> dict[str, bytes]:
    """The measurements as DICOM objects; none, and a problem noted, where they cannot be made."""
    from endplate.exchange.dicom.report import report_files

    try:
        return report_files(series, mask, found.facts, found.vertebrae)
    except InputProblem as problem:
        problems.append(
            Problem(problem="dicom.report_not_written", says=str(problem), where=series.source)
        )
        return {}


def _image(path: Path) -> tuple[Volume, list[Problem], Series | None]:
    """The image at a path: a NIfTI or NRRD file, a DICOM file, or a folder with one series.

    The series where it is one, for the objects that refer to it.
    """
    _existing(path)
    if path.is_file() and not path.name.lower().endswith((".dcm", ".ima")):
        try:
            volume, problems = read_image(path)
        except InputProblem:
            if path.suffix:
                raise
        else:
            return volume, list(problems), None
    listed = find_series(path)
    usable = [s for s in listed.series if not s.unusable]
    if len(usable) == 1:
        return usable[0].volume(), list(listed.understood.problems), usable[0]
    if usable:
        names = ", ".join(s.source for s in usable)
        raise InputProblem(
            f"{path.name}: holds {len(usable)} series. One image is measured at a time; there are "
            f"{names}. Give the folder of one series."
        )
    why = listed.series[0].unusable if listed.series else "there is no CT or MR series in it."
    raise InputProblem(
        f"{path.name}: cannot be used as an image. A CT or MR as NIfTI, NRRD or DICOM series is "
        f"needed; {why} Export the series again."
    )


def _existing(path: Path) -> Path:
    if not path.exists():
        raise InputProblem(
            f"{path}: cannot be read. A file or folder is needed; there is none of that name. "
            f"Check the path."
        )
    return path


def _known(given: str | None, words: Collection[str], option: str) -> None:
    if given is not None and given not in words:
        raise InputProblem(
            f"{option}: is not understood. It is one of {', '.join(sorted(words))}; got {given!r}. "
            f"Write one of these, or leave it out."
        )


def _levels(only: str | None) -> set[Level] | None:
    """The levels that an option such as ``L1-L4`` or ``T12,L1`` names."""
    if only is None:
        return None
    try:
        spans = [levels.span(part) for part in only.split(",") if part.strip()]
    except ValueError as problem:
        raise InputProblem(
            f"--levels: is not understood. {problem} Write levels like L1-L4 or T12,L1."
        ) from None
    return {v for v in Level for s in spans if v in s}
