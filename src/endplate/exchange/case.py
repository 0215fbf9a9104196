"""A case folder: everything about one person, read by what each file holds and not by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs

from endplate.alignment.landmarks import Radiograph
from endplate.evidence import Evidence, shipped
from endplate.exchange import genotype as genes
from endplate.exchange import landmarks, nifti, nrrd, points, points_slicer, typed
from endplate.exchange import masks as mask_files
from endplate.exchange.case_landmarks import CaseLandmarks
from endplate.exchange.dicom import series as dicom
from endplate.exchange.dicom.files import Unreadable, is_dicom
from endplate.exchange.dicom.report_reading import Report, read_report
from endplate.exchange.dicom.series import Series
from endplate.exchange.fhir.forms import FORMS_FILE, Form, Forms, read_forms
from endplate.exchange.fhir.read import FhirReading, read_fhir, source
from endplate.exchange.fhir.write.elements import USE_SYSTEM
from endplate.exchange.intake import Intake, Understood
from endplate.exchange.one_person import one_person, two_persons
from endplate.exchange.outside_calls import is_outside_calls, read_outside_calls
from endplate.exchange.vcf import is_vcf
from endplate.facts import InputProblem, Problem
from endplate.images import labels as label_systems
from endplate.images.volume import Acquisition, Mask, Volume
from endplate.record import PatientRecord

_JSON = (".json", ".ndjson", ".jsonl")
_PACKED = ("", ".gz", ".zst")
_TABLES = (".csv", ".tsv")
_LANDMARKS = (*_TABLES, ".txt")
# A file that is no JSON any more was one of landmarks if it has one of these.
_OF_LANDMARKS = (b'"points"', b'"controlPoints"', b"_endplate.", b"femoral_head.")
_DAMAGED = object()
_OWN = "an output of Endplate itself, and no source of facts"


@dataclass(frozen=True, slots=True)
class FileRead:
    """One file, or one series of files, and what was made of it."""

    name: str
    kind: str
    says: str


@dataclass(frozen=True, slots=True)
class CaseImage:
    """One image of the case, listed and not yet loaded."""

    name: str
    acquisition: Acquisition
    uid: str
    load: Callable[[], Volume] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Case:
    """What was understood of a case folder.

    Attributes
    ----------
    record
        All facts.
    problems, ignored
        What could not be used although it was meant to be, and what was left aside.
    files
        Per file or series what was made of it.
    images, masks
        What can be measured; images are loaded when they are asked for.
    films
        The radiographs' landmarks that were measured, to be drawn.
    title
        What the clinic calls the case, if it says so.
    modality
        What the images are whose files do not say it: ``CT`` or ``MR``; empty if nobody said.
    posture
        How the person lay in the images whose files do not say it; empty if nobody said.
    levels_confirmed
        Whether a person has confirmed which label of the masks is which vertebra.
    """

    record: PatientRecord
    problems: tuple[Problem, ...] = ()
    ignored: tuple[Problem, ...] = ()
    files: tuple[FileRead, ...] = ()
    images: tuple[CaseImage, ...] = ()
    masks: tuple[Mask, ...] = ()
    films: tuple[Radiograph, ...] = ()
    title: str = ""
    modality: str = ""
    posture: str = ""
    levels_confirmed: bool = False


@dataclass(slots=True)
class _Sorted:
    """The files of a case by kind."""

    toml: list[Path] = field(default_factory=list)
    tables: list[Path] = field(default_factory=list)
    fhir: list[Path] = field(default_factory=list)
    forms: list[Path] = field(default_factory=list)
    dicom: list[Path] = field(default_factory=list)
    volumes: list[Path] = field(default_factory=list)
    points: list[Path] = field(default_factory=list)
    landmarks: list[Path] = field(default_factory=list)
    variants: list[Path] = field(default_factory=list)
    calls: list[Path] = field(default_factory=list)
    own: list[Path] = field(default_factory=list)
    other: list[Path] = field(default_factory=list)


def read_case(folder: Path, today: date, evidence: Evidence | None = None) -> Case:
    """Read everything in a case folder; landmarks of radiographs are measured at once.

    Parameters
    ----------
    evidence
        By which they are measured; None for what is shipped.

    Raises
    ------
    InputProblem
        If the folder is absent or empty; if it holds two persons' data; if nothing in it can be
        used; or if what was given to be used cannot be (the only record, the only series, a
        mask): going on in silence would hide that from whoever gave it.
    """
    found = _sorted(_files(folder), folder)
    intake = Intake(today)
    files: list[FileRead] = []
    settings: dict[str, Any] = {}
    for path in found.toml:
        before = len(intake.facts)
        settings |= typed.read_case_file(path, intake)
        files.append(
            FileRead(_name(path, folder), "typed facts", f"{len(intake.facts) - before} facts")
        )
    for path in found.tables:
        before = len(intake.facts)
        typed.read_table(path, intake)
        files.append(FileRead(_name(path, folder), "table", f"{len(intake.facts) - before} facts"))
    forms: dict[str, Form] = {}
    for path in found.forms:
        forms |= read_forms(path)
        files.append(FileRead(_name(path, folder), "map of forms", f"{len(forms)} forms"))
    reading = _fhir(found.fhir, folder, intake, files, today, forms)
    _genes(found, settings.get("genes", {}), folder, intake, files)
    listed = dicom.find_series(found.dicom)
    films = CaseLandmarks(intake, settings.get("landmarks", {}), folder)
    for path in found.points:
        if not films.takes_points(path):
            _points(path, intake, files, folder)
    for path in found.landmarks:
        films.read(path)
    films.read_dicom(listed)
    intake.add(structs.replace(listed.understood, ignored=films.left_aside(listed)))
    reports = _reports(listed.reports, intake, files, folder)
    one_person(reading, (*listed.series, *reports.values(), *films.whose), intake)
    films.measure(evidence or shipped())
    files += [FileRead(*one) for one in films.files]
    _facts_of_reports(reports, films, intake, files, folder)
    images = _series(listed.series, intake, files, today)
    films.say_whose()
    masks = [
        _mask([path], settings.get("labels", "auto"), intake, files, folder)
        for path in listed.segmentations
    ]
    images_and_masks = [(path, _is_mask(path)) for path in found.volumes]
    images += [_volume(p, intake, files, folder) for p, is_mask in images_and_masks if not is_mask]
    for paths in _by_segmentation([p for p, is_mask in images_and_masks if is_mask]):
        masks.append(_mask(paths, settings.get("labels", "auto"), intake, files, folder))
    for path in found.own:
        intake.ignore("case.own_output", f"is {_OWN}.", _name(path, folder))
        files.append(FileRead(_name(path, folder), "not read", _OWN))
    for path in found.other:
        intake.ignore("case.not_read", "is of no kind that Endplate reads.", _name(path, folder))
        files.append(FileRead(_name(path, folder), "not read", "of no kind that Endplate reads"))
    _one_birth_date(intake)
    understood = intake.understood()
    if not understood.facts and not images:
        raise _nothing(folder, understood)
    return Case(
        record=PatientRecord.of(understood.facts),
        problems=understood.problems,
        ignored=understood.ignored,
        files=tuple(files),
        images=tuple(images),
        masks=tuple(masks),
        films=films.films,
        title=settings.get("title", ""),
        modality=settings.get("modality", ""),
        posture=settings.get("posture", ""),
        levels_confirmed="levels_confirmed" in settings,
    )


# -- files ----------------------------------------------------------------------------------------


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise InputProblem(
            f"{folder.name or folder}: cannot be read as a case. A folder with one person's data "
            f"is needed; it {what}. Give the folder."
        )
    found = sorted(
        p for p in folder.rglob("*")
        if p.is_file() and not any(part.startswith(".") for part in p.relative_to(folder).parts)
    )  # fmt: skip
    if not found:
        raise InputProblem(
            f"{folder.name}: cannot be read as a case. Records, images, masks or a case.toml are "
            f"needed; the folder is empty. Put one person's files into it."
        )
    return found


def _sorted(paths: Iterable[Path], folder: Path) -> _Sorted:
    found = _Sorted()
    for path in paths:
        name = path.name.lower()
        if name == typed.CASE_FILE:
            found.toml.append(path)
        elif name == FORMS_FILE:
            found.forms.append(path)
        elif name.endswith((*nifti.SUFFIXES, *nrrd.SUFFIXES)):
            found.volumes.append(path)
        elif path.suffix.lower() in _TABLES and typed.is_table_of_facts(path):
            found.tables.append(path)
        elif path.suffix.lower() in _LANDMARKS and landmarks.is_table_of_landmarks(path):
            found.landmarks.append(path)
        elif path.suffix.lower() in _LANDMARKS and is_outside_calls(path):
            found.calls.append(path)
        elif is_vcf(path):
            found.variants.append(path)
        elif any(name.endswith(end + packed) for end in _JSON for packed in _PACKED):
            value = _telling(path)
            if value is _DAMAGED or landmarks.is_landmarks(value):
                found.landmarks.append(path)
                continue
            to = found.own if _is_own_output(value) else found.fhir
            (found.points if points.kind(value) else to).append(path)
        elif name.endswith(".dcm") or is_dicom(path):
            found.dicom.append(path)
        else:
            found.other.append(path)
    return found


def _name(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix()


def _telling(path: Path) -> Any:
    """What a JSON file holds, where it may be no record: its content tells, never its name."""
    if source.is_line_format(path):
        return None
    try:
        text = source.document(path)
        may_be = any(mark in text for mark in (b"endplate", b'"points"', *points.TELLTALES))
        return source.parsed(text) if may_be else None
    except source.Unreadable:
        return None  # the reader of records says why
    except source.NotJson:
        return _DAMAGED if any(mark in text for mark in _OF_LANDMARKS) else None


def _is_own_output(value: Any) -> bool:
    """Whether a JSON value was written by Endplate."""
    if not isinstance(value, dict):
        return False
    if "resourceType" not in value:
        return isinstance(value.get("endplate"), str) and "problems" in value
    meta = value.get("meta")
    tags = meta.get("tag") if isinstance(meta, dict) else None
    return value["resourceType"] == "Bundle" and any(
        isinstance(tag, dict) and tag.get("system") == USE_SYSTEM
        for tag in (tags if isinstance(tags, list) else ())
    )


def _nothing(folder: Path, understood: Understood) -> InputProblem:
    if understood.problems:
        first = understood.problems[0]
        got = " ".join((first.says, *first.try_))
    elif understood.ignored:
        one, more = understood.ignored[0], len({p.where for p in understood.ignored}) - 1
        got = f"{one.where} {one.says}" + (f" So it is with {more} more." if more else "")
    else:
        got = "a mask alone shows no image and no person."
    return InputProblem(
        f"{folder.name}: nothing in it can be used. A record, an image with its mask, a table of "
        f"facts or a case.toml is needed; {got} Add one of these to the folder."
    )


# -- records --------------------------------------------------------------------------------------


def _fhir(
    paths: list[Path],
    folder: Path,
    intake: Intake,
    files: list[FileRead],
    today: date,
    forms: Forms,
) -> FhirReading:
    reading = read_fhir(paths, today, forms)
    broken = [p for p in reading.problems if p.problem in ("json.invalid", "file.not_readable")]
    resources = sum(c.resources for counts in reading.counts.values() for c in counts.values())
    if broken and not resources:
        raise InputProblem(
            f"{broken[0].where or folder.name}: the only record cannot be read. FHIR R4 as JSON or "
            f"NDJSON is needed; {broken[0].says} Export it again, or take it out of the folder to "
            f"go on without a record."
        )
    intake.add(reading)
    for name, counts in reading.counts.items():
        kinds = ", ".join(f"{c.resources} {kind}" for kind, c in counts.items())
        facts = sum(c.facts for c in counts.values())
        files.append(FileRead(name, "FHIR", f"{facts} facts from {kinds}" if kinds else "no FHIR"))
    return reading


def _genes(
    found: _Sorted,
    settings: Mapping[str, str],
    folder: Path,
    intake: Intake,
    files: list[FileRead],
) -> None:
    """Take in outside calls, and then what variants say of genes that have no other call."""
    for path in found.calls:
        before = len(intake.facts)
        read_outside_calls(path, intake)
        says = f"{len(intake.facts) - before} facts"
        files.append(FileRead(_name(path, folder), "calls of genes", says))
    if not found.variants:
        return
    read = genes.read_files(found.variants, settings.get("assembly"))
    for path, (_, says) in zip(found.variants, genes.summary(read.read), strict=True):
        files.append(FileRead(_name(path, folder), "VCF", says))
    (sample,) = genes.chosen(read, settings.get("sample"))
    genes.take(read, sample, intake)


def _one_birth_date(intake: Intake) -> None:
    """As `PatientRecord.of`, but named as what it is before the record is made."""
    for what in ("person.birth_date", "person.sex"):
        if len({f.value for f in intake.facts if f.what == what}) > 1:
            raise two_persons("sources with different birth dates or sexes")


# -- points ---------------------------------------------------------------------------------------


def _points(path: Path, intake: Intake, files: list[FileRead], folder: Path) -> None:
    """Say what landmarks of a body a file holds; no rule reads them, so they are left aside."""
    name = _name(path, folder)
    program, found, problems = points.read(path)
    _note(intake, problems)
    if found:
        says = "holds landmarks, which no measurement and no rule uses."
        if program == points_slicer.NAME:
            says += " If they are a radiograph's, say so in case.toml under [landmarks]."
        intake.ignore("case.points_not_used", says, name)
    files.append(FileRead(name, f"points ({program})", points.summary(found)))


# -- images ---------------------------------------------------------------------------------------


def _series(
    series: Sequence[Series], intake: Intake, files: list[FileRead], today: date
) -> list[CaseImage]:
    images = []
    for one in series:
        columns, rows, planes = one.shape
        if one.unusable:
            files.append(FileRead(one.source, "DICOM, not used", one.unusable))
            continue
        intake.add(dicom.facts(one, today))
        modality = one.acquisition.modality
        says = f"{modality} {columns} x {rows} x {planes}, {one.slice_spacing or 0:.2f} mm apart"
        files.append(FileRead(one.source, "DICOM", says))
        name = one.description or one.source
        images.append(CaseImage(name, one.acquisition, one.uid, one.volume))
    if series and not images:
        raise InputProblem(
            f"{series[0].source}: the only images cannot be used. {series[0].unusable} Export the "
            f"series again, or take it out of the folder to go on without images."
        )
    return images


def _reports(
    paths: Sequence[Path], intake: Intake, files: list[FileRead], folder: Path
) -> dict[Path, Report]:
    """The structured reports that can be read."""
    found = {}
    for path in paths:
        try:
            found[path] = read_report(path, intake.today)
        except Unreadable as problem:
            name = _name(path, folder)
            says = f"{problem.says} It was left out."
            intake.problem(problem.problem, says, name, ("Export or copy the file again.",))
            files.append(FileRead(name, "DICOM report, not used", problem.says))
    return found


def _facts_of_reports(
    reports: Mapping[Path, Report],
    films: CaseLandmarks,
    intake: Intake,
    files: list[FileRead],
    folder: Path,
) -> None:
    """Take in the reports' facts, without those that were measured anew on their landmarks."""
    for path, report in reports.items():
        understood = report.understood
        facts, ignored = films.not_measured_again(path, understood.facts), understood.ignored
        if films.were_read(path):
            ignored = tuple(p for p in ignored if p.problem != "dicom.report_without_measurements")
        intake.add(structs.replace(understood, facts=facts, ignored=ignored))
        known = len(understood.facts) - len(facts)
        says = f"{len(facts)} facts" + (f"; {known} measured anew" if known else "")
        files.append(FileRead(_name(path, folder), "DICOM report", says))


def _volume(path: Path, intake: Intake, files: list[FileRead], folder: Path) -> CaseImage:
    volume, problems = mask_files.read_image(path)
    _note(intake, problems)
    shape = " x ".join(str(n) for n in volume.array.shape)
    files.append(FileRead(_name(path, folder), "image", shape))
    return CaseImage(path.name, volume.acquisition, volume.uid, lambda: volume)


def _by_segmentation(paths: Sequence[Path]) -> list[list[Path]]:
    """Mask files that belong together: one file each, or a folder of one file per structure.

    TotalSegmentator by default writes a folder of files named by their structures; of these the
    ones that mean something here are read as one mask, and the others are passed over.
    """
    found: list[list[Path]] = []
    folders = {path.parent: [p for p in paths if p.parent == path.parent] for path in paths}
    for together in folders.values():
        named = [p for p in together if label_systems.structure_named(p.name.split(".")[0])]
        found += [together] if len(named) > 1 else [[p] for p in together]
    return found


def _mask(
    paths: Sequence[Path], labels: str, intake: Intake, files: list[FileRead], folder: Path
) -> Mask:
    if len(paths) == 1:
        name = _name(paths[0], folder)
        mask, problems = mask_files.read_mask(paths[0], labels)
    else:
        name = f"{_name(paths[0].parent, folder)}: {len(paths)} files"
        mask, problems = mask_files.read_masks(paths)
    _note(intake, problems)
    named = ", ".join(dict.fromkeys(mask.structures.values()))
    files.append(FileRead(name, f"mask ({mask.system})", named))
    return mask


def _note(intake: Intake, problems: Iterable[Problem]) -> None:
    for p in problems:
        intake.problem(p.problem, p.says, p.where, p.try_)


# A mask is made of large areas of one label; an image, even of few grey values, is not.
_LABELS_AT_MOST, _ALIKE_AT_LEAST = 400, 0.9


def _is_mask(path: Path) -> bool:
    """Whether a NIfTI or NRRD file holds labels: few whole numbers, in large even areas."""
    try:
        volume, _ = mask_files.read_image(path)
    except InputProblem:
        return True  # it names labels, or cannot be read: reading it as a mask tells which
    array = volume.array
    if array.dtype.kind not in "iu" or not array.size or array.min() < 0:
        return False
    if len(np.unique(array)) > _LABELS_AT_MOST:
        return False
    alike = array[1:] == array[:-1]
    return bool(alike.mean() >= _ALIKE_AT_LEAST) if alike.size else False


# -- which mask is of which image -----------------------------------------------------------------


def paired(
    images: Sequence[CaseImage], masks: Sequence[Mask]
) -> tuple[list[tuple[Volume, Mask]], tuple[Problem, ...]]:
    """Each image that has masks, loaded, with its masks joined on its grid.

    Raises
    ------
    InputProblem
        If a mask is of none of the images, or could be of several.
    """
    if not masks or not images:
        return [], _unpaired(images, masks)
    tried = [_Fitting(mask, [i.uid for i in images]) for mask in masks]
    for n, image in enumerate(images):
        asking = [one for one in tried if n in one.among]
        if asking:
            volume = image.load()  # kept only while a mask fits it: a case may hold many series
            for one in asking:
                one.lay(n, volume)
    problems: list[Problem] = []
    loaded: dict[int, Volume] = {}
    laid: dict[int, list[Mask]] = {}
    for one in tried:
        at, loaded[at], on_image, noted = one.only()
        problems += noted
        laid.setdefault(at, []).append(on_image)
    pairs = [(loaded[at], joined(on_image)) for at, on_image in sorted(laid.items())]
    return pairs, tuple(problems)


def _unpaired(images: Sequence[CaseImage], masks: Sequence[Mask]) -> tuple[Problem, ...]:
    found = [
        Problem(
            problem="case.no_mask",
            says="The image was not measured: there is no mask for it.",
            where=image.name,
            try_=("Add a segmentation, for example TotalSegmentator's.",),
        )
        for image in images
    ]
    found += [
        Problem(
            problem="case.no_image",
            says="The mask was not used: there is no image for it.",
            where=mask.volume.name,
        )
        for mask in masks
    ]
    return tuple(found)


class _Fitting:
    """The images that one mask fits: those that it names, else those with its grid, else any."""

    def __init__(self, mask: Mask, uids: Sequence[str]) -> None:
        named = [n for n, uid in enumerate(uids) if mask.volume.uid and uid == mask.volume.uid]
        self.among = named or range(len(uids))
        self._mask = mask
        self._is_named = bool(named)
        self._has_same_grid = False
        self._found: list[tuple[int, Volume, Mask, tuple[Problem, ...]]] = []
        self._refusals: list[InputProblem] = []

    def lay(self, n: int, image: Volume) -> None:
        """Keep the image if the mask can be laid on it."""
        same = not self._is_named and image.same_grid(self._mask.volume)
        if self._has_same_grid and not same:
            return
        if same and not self._has_same_grid:
            self._has_same_grid = True
            self._found, self._refusals = [], []
        try:
            self._found.append((n, image, *mask_files.on_grid(self._mask, image)))
        except InputProblem as problem:
            self._refusals.append(problem.with_traceback(None))  # it would hold the image

    def only(self) -> tuple[int, Volume, Mask, tuple[Problem, ...]]:
        """The one image that fits: its index, itself, the mask on its grid, what was noted."""
        if len(self._found) == 1:
            return self._found[0]
        if not self._found:
            raise self._refusals[0]
        raise InputProblem(
            f"{self._mask.volume.name}: fits {len(self._found)} images of this case. It must be "
            f"clear which it was drawn on; it is not. Take out the images that it does not belong "
            f"to, or use 'endplate measure' with one image and its mask."
        )


def joined(masks: Sequence[Mask]) -> Mask:
    """One mask from several on the same grid.

    A mask of the vertebrae's parts tells which voxels of a mask of levels are bodies; other
    structures are added where no label stands yet.
    """
    levels = [m for m in masks if any(label_systems.is_vertebra(s) for s in m.structures.values())]
    parts = [m for m in masks if "corpus" in m.structures.values() and m not in levels]
    base = levels[0] if levels else masks[0]
    if levels and parts:
        base = label_systems.bodies(levels[0], parts[0])
    rest = [m for m in masks if m is not (levels[0] if levels else masks[0])]
    if not rest:
        return base
    array = base.volume.array.astype(np.uint16)
    structures, cut = dict(base.structures), set(base.cut)
    # Above every label that is there: the map may hold labels that have no name.
    number = max(int(array.max(initial=0)), *structures, 0)
    for mask in rest:
        for label, structure in mask.structures.items():
            if structure in structures.values():
                continue
            number += 1
            array[(mask.volume.array == label) & (array == 0)] = number
            structures[number] = structure
            cut |= {structure} & mask.cut
    whole = base.volume
    volume = Volume(
        array, whole.affine, whole.acquisition, whole.name, whole.frame_of_reference, whole.uid
    )
    return replace(base, volume=volume, structures=structures, cut=frozenset(cut))
