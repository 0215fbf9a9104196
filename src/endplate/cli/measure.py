"""``endplate measure``: the bone, the geometry and the muscle on one image with its mask."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

from endplate import evidence, levels, rules
from endplate.cli import change
from endplate.cli.change import Study
from endplate.cli.main import print_json
from endplate.cli.output import console, envelope, problems_table, progress, table
from endplate.exchange import masks as masks_of
from endplate.exchange import points, segment
from endplate.exchange.case import CaseImage, paired
from endplate.exchange.dicom.series import Series, find_series
from endplate.exchange.disc_calibration import read_calibration
from endplate.exchange.files import write_files
from endplate.exchange.masks import read_mask
from endplate.facts import InputProblem, Problem
from endplate.findings import AnyFinding
from endplate.images.landmarks import landmarks
from endplate.images.measure import EVERYTHING, ROLES, STEPS, Measured
from endplate.images.measure import measure as measured
from endplate.images.volume import Volume
from endplate.levels import Level
from endplate.posture import Posture
from endplate.record import PatientRecord
from endplate.report.values import fact_value
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One image with its masks, and how it is to be measured, as it was typed.

    Attributes
    ----------
    image, masks
        Where they lie.
    segmenter
        The program that makes the mask, where none is given.
    labels
        The masks' label system.
    posture, modality
        Where the image does not say.
    levels
        Such as ``L1-L4``; None for all.
    levels_confirmed
        Whether a person has counted the vertebrae on the image.
    tissue
        What muscles and discs are measured with besides.
    quantities
        Which of `EVERYTHING`.
    """

    image: Path
    masks: Sequence[Path] = ()
    segmenter: str | None = None
    labels: str = "auto"
    posture: str | None = None
    modality: str | None = None
    levels: str | None = None
    levels_confirmed: bool = False
    tissue: Tissue = field(default_factory=Tissue)
    quantities: Collection[str] = EVERYTHING


def earlier_study(
    request: Request,
    image: Path | None,
    masks: Sequence[Path],
    posture: str | None,
    labels: str | None,
) -> Request | None:
    """The request for an earlier study, measured as the later one; None where none is given."""
    known(posture, set(Posture), "--earlier-posture")
    if image is None and not masks and posture is None and labels is None:
        return None
    if image is None or not masks:
        missing = "--earlier-image" if image is None else "--earlier-mask"
        raise InputProblem(
            f"Earlier study: cannot be compared. An image and its mask are needed; {missing} is "
            f"missing. Give both."
        )
    return replace(
        request, image=image, masks=masks, segmenter=None, posture=posture,
        labels=labels or request.labels, tissue=Tissue(request.tissue.height),
    )  # fmt: skip


def measure(
    request: Request, out: Path | None, *, earlier: Request | None = None, as_json: bool
) -> None:
    """Measure, print, and write all that a folder takes if one is given.

    Parameters
    ----------
    earlier
        An earlier study of the same person, to be compared with.
    """
    steps = [*_STEPS, "writing"]
    if earlier is not None:
        steps = [*(_EARLIER + step for step in _STEPS), *_STEPS, "comparing", "writing"]
    with progress(steps, is_wanted=not as_json) as begin:
        before = None
        if earlier is not None:
            before = study(earlier, lambda step: begin(_EARLIER + step))
        later = study(request, begin)
        found, problems = later.found, later.problems
        findings = measurement_findings(found)
        changed = None
        if before is not None:
            begin("comparing")
            changed = change.changed(before, later)
            findings = [*findings, *changed.findings]
            problems += [replaced_says(p, f"Earlier study: {p.says}") for p in before.problems]
            problems += changed.problems
        if out is not None:
            begin("writing")
            _write(out, later, findings, changed)
    more = {} if changed is None else changed.parts()
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


_STEPS, _EARLIER = ("reading", *STEPS), "earlier study: "
# What this command writes: beside a new result an older one would be taken for its own.
_OURS = (
    "measurements.json", "measurements.dcm", "regions.dcm", "changes.json", "points.poi.json",
    "points.mrk.json", "sagittal.png", "planes.png", "curve.png", "changed_*.png",
)  # fmt: skip


def _write(
    out: Path, later: Study, findings: Sequence[AnyFinding], changed: change.Changed | None
) -> None:
    """All that a folder takes, at once."""
    found, problems = later.found, later.problems
    files = dict(later.drawn) | points.files(landmarks(found), later.image)
    if later.series is not None:
        files |= _report_files(later.series, later)
    files["measurements.json"] = envelope(facts=found.facts, findings=findings, problems=problems)
    if changed is not None:
        files["changes.json"] = envelope(
            facts=found.facts, findings=changed.findings, problems=changed.problems,
            **changed.parts(),
        )  # fmt: skip
    pictures = (*found.pictures, *(() if changed is None else changed.pictures))
    files |= {p.name: p.content for p in pictures}
    again = (out / "measurements.json").exists()
    write_files(out, files)
    if again:
        _remove_older(out, files)


def _remove_older(out: Path, written: Collection[str]) -> None:
    """Take away what an earlier run of this command left in the folder."""
    for pattern in _OURS:
        for path in out.glob(pattern):
            if path.name not in written:
                path.unlink()


def study(request: Request, begin: Callable[[str], None] = lambda step: None) -> Study:
    """One image with its masks, measured, with what was met on the way.

    Parameters
    ----------
    begin
        Told which step begins.

    Raises
    ------
    InputProblem
        If an option is not understood, or image or mask cannot be used.
    """
    known(request.posture, set(Posture), "--posture")
    known(request.modality, {"CT", "MR"}, "--modality")
    if bool(request.masks) == bool(request.segmenter):
        raise InputProblem(
            "endplate measure: cannot tell what to measure. Either --mask or --segment is needed; "
            f"{'both were' if request.segmenter else 'neither was'} given. Give one of them."
        )
    only = _levels(request.levels)
    more = request.tissue.given()
    if not request.segmenter:  # which shows its own progress
        begin("reading")
    volume, problems, series = _image(request.image)
    volume = _with_modality(volume, request.modality)
    problems = [*problems, *_other_posture(volume, request.posture)]
    masks = []
    drawn: Mapping[str, bytes] = {}
    if request.segmenter:
        by_program = segment.segment(volume, request.segmenter)
        masks, problems = [*by_program.masks], [*problems, *by_program.problems]
        drawn = segment.named(Path("mask.nii.gz"), by_program.files)
    for path in request.masks:
        mask, noted = read_mask(_existing(path), request.labels)
        masks.append(mask)
        problems += noted
    whole = CaseImage(volume.name, volume.acquisition, volume.uid, lambda: volume)
    pairs, noted = paired([whole], masks)
    (volume, mask) = pairs[0]
    found = measured(
        volume, mask, levels=only, posture=request.posture, modality=request.modality,
        quantities=request.quantities, levels_confirmed=request.levels_confirmed,
        on_step=begin, **more,
    )  # fmt: skip
    if not found.facts:
        why = next((p.says for p in (*found.problems, *noted)), "The mask holds no vertebra.")
        raise InputProblem(
            f"endplate measure: nothing could be measured. A labelled vertebra is needed; {why} "
            f"Check the mask, its label system and the levels asked for."
        )
    return Study(
        path=request.image, image=volume, mask=mask, found=found, series=series, drawn=drawn,
        problems=[*problems, *noted, *found.problems],
    )  # fmt: skip


def measurement_findings(found: Measured) -> list[AnyFinding]:
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


def replaced_says(problem: Problem, says: str) -> Problem:
    """The problem in other words."""
    return Problem(problem=problem.problem, says=says, where=problem.where, try_=problem.try_)


def _report_files(series: Series, later: Study) -> dict[str, bytes]:
    """The measurements as DICOM objects; none, and a problem noted, where they cannot be made."""
    from endplate.exchange.dicom.report import report_files

    try:
        return report_files(series, later.mask, later.found.facts, later.found.vertebrae)
    except InputProblem as problem:
        later.problems.append(
            Problem(problem="dicom.report_not_written", says=str(problem), where=series.source)
        )
        return {}


def read_image(path: Path, modality: str | None = None) -> tuple[Volume, list[Problem]]:
    """The image at a path, and what is doubtful about it.

    Parameters
    ----------
    path
        A NIfTI or NRRD file, a DICOM file, or a folder with one series.
    modality
        ``CT`` or ``MR``, for a file that does not say it.
    """
    volume, problems, _ = _image(path)
    return _with_modality(volume, modality), problems


def _other_posture(volume: Volume, stated: str | None) -> list[Problem]:
    """That the posture stated is not that of the header; upright scanners have no word there."""
    header = volume.acquisition.posture
    if not stated or Posture.UNKNOWN in (header, stated) or header == stated:
        return []
    return [
        Problem(
            problem="measurement.posture_said_otherwise",
            where=volume.name,
            says=f"The image's header says {header}; it was measured as {stated}, which was said.",
            try_=("Leave --posture out if the header is right.",),
        )
    ]


def _with_modality(volume: Volume, modality: str | None) -> Volume:
    """The image with the modality that was stated for it, where its header says none."""
    said = volume.acquisition.modality
    if modality and said and modality != said:
        raise InputProblem(
            f"--modality: cannot be used for this image. It says what the image's header does not; "
            f"got {modality}, and the header says {said}. Leave it out, or give another image."
        )
    if modality and not said:
        return replace(volume, acquisition=replace(volume.acquisition, modality=modality))
    return volume


def _image(path: Path) -> tuple[Volume, list[Problem], Series | None]:
    """The image at a path, its problems, and its series where it is DICOM."""
    _existing(path)
    if path.is_file() and not path.name.lower().endswith((".dcm", ".ima")):
        try:
            volume, problems = masks_of.read_image(path)
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


def chosen(only: str | None) -> Collection[str]:
    """The quantities that an option such as ``geometry,canal`` names; all by default."""
    if only is None:
        return EVERYTHING
    words = {word.strip() for word in only.split(",") if word.strip()}
    for word in sorted(words) or [""]:
        known(word, EVERYTHING, "--only")
    return words


def known(given: str | None, words: Collection[str], option: str) -> None:
    """Refuse a typed word that is none of those understood."""
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
