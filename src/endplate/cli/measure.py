"""``endplate measure``: bone on one image with its mask."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date
from pathlib import Path

from endplate import evidence, levels, rules
from endplate.cli.main import print_json
from endplate.cli.output import console, envelope, problems_table, table
from endplate.exchange.case import CaseImage, paired
from endplate.exchange.dicom.series import find_series
from endplate.exchange.files import write_files
from endplate.exchange.masks import read_image, read_mask
from endplate.facts import InputProblem, Problem
from endplate.findings import AnyFinding
from endplate.images.measure import Measured
from endplate.images.measure import measure as measured
from endplate.images.volume import Volume
from endplate.levels import Level
from endplate.posture import Posture
from endplate.record import PatientRecord
from endplate.report.html import fact_value


def measure(
    image: Path,
    mask_paths: Sequence[Path],
    labels: str,
    posture: str | None,
    modality: str | None,
    only: str | None,
    out: Path | None,
    *,
    levels_confirmed: bool,
    as_json: bool,
) -> None:
    """Measure, print, and write the JSON and the pictures if a folder is given."""
    _known(posture, set(Posture), "--posture")
    _known(modality, {"CT", "MR"}, "--modality")
    volume, problems = _image(image)
    masks = []
    for path in mask_paths:
        mask, noted = read_mask(_existing(path), labels)
        masks.append(mask)
        problems += noted
    whole = CaseImage(volume.name, volume.acquisition, volume.uid, lambda: volume)
    pairs, noted = paired([whole], masks)
    (volume, mask) = pairs[0]
    found = measured(
        volume,
        mask,
        levels=_levels(only),
        posture=posture,
        modality=modality,
        levels_confirmed=levels_confirmed,
    )
    problems = [*problems, *noted, *found.problems]
    findings = _findings(found)
    if out is not None:
        files = {
            "measurements.json": envelope(facts=found.facts, findings=findings, problems=problems)
        }
        write_files(out, files | {p.name: p.content for p in found.pictures})
    if as_json:
        print_json(facts=found.facts, findings=findings, problems=problems)
        return
    rows = [
        (f.what, " ".join(p for p in (f.level, f.side) if p), fact_value(f), "; ".join(f.doubts))
        for f in found.facts
    ]
    text = console()
    text.print(table(f"{len(rows)} measurements", ("what", "where", "value", "doubt"), rows))
    for finding in findings:
        text.print(f"- {finding.says}", markup=False, highlight=False)
    if problems:
        text.print(problems_table("Problems", problems))


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


def _image(path: Path) -> tuple[Volume, list[Problem]]:
    """The image at a path: a NIfTI or NRRD file, a DICOM file, or a folder with one series."""
    _existing(path)
    if path.is_file() and not path.name.lower().endswith((".dcm", ".ima")):
        try:
            volume, problems = read_image(path)
        except InputProblem:
            if path.suffix:
                raise
        else:
            return volume, list(problems)
    listed = find_series(path)
    usable = [s for s in listed.series if not s.unusable]
    if len(usable) == 1:
        return usable[0].volume(), list(listed.understood.problems)
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
