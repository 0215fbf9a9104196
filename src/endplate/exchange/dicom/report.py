"""Measurements on CT and MR as a DICOM structured report, in the study of the image they are of.

A group of measurements refers to its segment and to the images that hold it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID

from endplate import codec, levels
from endplate.exchange.dicom import report_codes as named
from endplate.exchange.dicom import report_parts as parts
from endplate.exchange.dicom.regions import SERIES_NUMBER, Regions, regions
from endplate.exchange.dicom.series import Series
from endplate.exchange.dicom.write import as_it_was, encoded, sources, uid
from endplate.facts import Fact, InputProblem, Side, in_order
from endplate.images.labels import is_vertebra
from endplate.images.measure import MEASURABLE
from endplate.images.measured_on import Ground
from endplate.images.volume import Mask

# The concepts whose region is their vertebra's own label; others lie beside or inside another.
_OF_THE_VERTEBRA = ("vertebra.", "ct.hounsfield.", "mr.marrow_signal")


def report_files(
    series: Series, mask: Mask, facts: Iterable[Fact], measured: Collection[str]
) -> dict[str, bytes]:
    """``measurements.dcm`` and, where any structure was measured whole, ``regions.dcm``.

    Parameters
    ----------
    series
        The image that was measured.
    mask
        On its grid, with the images of its slices.
    facts
        What was measured on it.
    measured
        The vertebrae that were measured whole.

    Raises
    ------
    InputProblem
        If the series does not say what a DICOM object about it has to refer to.
    """
    facts = in_order(facts)
    if not facts:
        return {}
    _check(series)
    structures = set(mask.structures.values())
    cut = {s for s in structures if is_vertebra(s) and s in MEASURABLE} - {*measured}
    ground = Ground(facts, structures - cut)
    grounds = {structure for fact in facts for structure in ground.of(fact)}
    where = regions(mask, series, grounds | {*measured})
    found = {"measurements.dcm": encoded(report(series, where, facts))}
    if where.segmentation is not None:
        found["regions.dcm"] = encoded(where.segmentation)
    return found


def _check(series: Series) -> None:
    instances = [plane.text("SOPInstanceUID") for plane in series.planes]
    files = {plane.header.path for plane in series.planes}
    why = ""
    if not (series.uid and series.study_uid and series.frame_of_reference and all(instances)):
        why = "a study, series, image or frame of reference has no UID"
    elif len(set(instances)) < len(files):
        why = "several of its images have one UID"
    elif 1 < len(files) < len(instances):
        why = "it is spread over several files of several frames"
    if why:
        raise InputProblem(
            f"{series.source}: measurements.dcm and regions.dcm cannot be written. They refer to "
            f"each image by its UID; {why}. Use measurements.json, or export the series again."
        )


def report(series: Series, where: Regions, facts: Sequence[Fact]) -> Dataset:
    """The structured report of facts that were measured on one series.

    Raises
    ------
    ValueError
        If a fact has another date than the series.
    """
    from highdicom.sr import UIDRefContentItem  # noqa: PLC0415 - slow to import

    if {fact.on for fact in facts} - {series.acquisition.on}:
        raise ValueError("A report holds what was measured on one image, with its date.")
    seed = uid(series.uid, series.part, _segmentation_uid(where), codec.encode(facts))
    kinds = {p.text("SOPInstanceUID"): p.header.kind for p in series.planes}
    held = _Held(where, Ground(facts, where.slices), kinds)
    evidence = sources(plane.header.path for plane in series.planes)
    if where.segmentation is not None:
        evidence.append(where.segmentation)
    modality, on = series.acquisition.modality, series.acquisition.on
    with as_it_was():
        frame = UIDRefContentItem(
            named.FRAME_OF_REFERENCE, series.frame_of_reference, "HAS ACQ CONTEXT"
        )
        groups = [
            _group(list(together), held, seed)
            for _, together in groupby(sorted(facts, key=_order), _place)
        ]
        return parts.document(
            groups,
            parts.library(held.images(held.where.slices), modality, on, [frame]),
            evidence,
            is_3d=True,
            modality=modality,
            on=on,
            seed=seed,
            number=SERIES_NUMBER + 1,
            description="Endplate: measurements",
        )


def _segmentation_uid(where: Regions) -> str:
    return "" if where.segmentation is None else str(where.segmentation.SOPInstanceUID)


def _order(fact: Fact) -> tuple[tuple[int, int], str, bool]:
    return levels.order(fact.level), fact.side or "", _is_of_vertebra(fact)


def _place(fact: Fact) -> tuple[str | None, Side | None, bool]:
    """What the facts of a group share: level, side, and whether its label is their region."""
    return fact.level, fact.side, _is_of_vertebra(fact)


def _is_of_vertebra(fact: Fact) -> bool:
    return levels.is_vertebra(fact.level) and fact.what.startswith(_OF_THE_VERTEBRA)


# -- what a fact was measured on -----------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """The structures by fact, as segments and in the images.

    Attributes
    ----------
    kinds
        SOP instance → SOP class of the images.
    """

    where: Regions
    ground: Ground
    kinds: Mapping[str, UID]

    def images(self, structures: Iterable[str]) -> list[parts.Image]:
        """The images that hold some structures."""
        found: dict[str, list[int]] = {}
        for one in dict.fromkeys(s for n in structures for s in self.where.slices.get(n, ())):
            found.setdefault(one.instance, []).append(one.frame)
        return [
            (self.kinds[instance], instance, sorted(frames) if any(frames) else None)
            for instance, frames in found.items()
        ]

    def segments(self, fact: Fact, but: str | None) -> list[Any]:
        """A reference to the segments of a fact; none where they are the one of its group."""
        from highdicom.sr import ImageContentItem  # noqa: PLC0415

        made = self.where.segmentation
        found = [n for n in self.ground.of(fact) if n in self.where.segments]
        if made is None or not found or found == [but]:
            return []
        numbers = sorted(self.where.segments[n] for n in found)
        return [
            ImageContentItem(
                named.SOURCE_OF_MEASUREMENT, made.SOPClassUID, made.SOPInstanceUID,
                referenced_segment_numbers=numbers, relationship_type="INFERRED FROM",
            )
        ]  # fmt: skip


# -- a group of measurements: one place --------------------------------------------------------


def _group(facts: Sequence[Fact], held: _Held, seed: UID) -> Any:
    """The facts about one level and side, with the images and the segment that hold it."""
    from highdicom import sr  # noqa: PLC0415

    level, side, is_of_vertebra = _place(facts[0])
    made = held.where.segmentation
    region = level if is_of_vertebra and level in held.where.segments else None
    segment = None
    if made is not None and region is not None:
        segment = sr.ReferencedSegment(
            made.SOPClassUID,
            made.SOPInstanceUID,
            held.where.segments[region],
            source_images=[sr.SourceImageForSegmentation(*one) for one in held.images([region])],
        )
    grounds = [n for fact in facts for n in held.ground.of(fact)]
    return parts.group(
        facts,
        lambda fact: held.segments(fact, region),
        images=held.images(_vertebrae(level) or grounds),
        segment=segment,
        tracked=uid(seed, level, side, is_of_vertebra),
    )


def _vertebrae(level: str | None) -> Sequence[str]:
    if level is None:
        return ()
    run = levels.span(level)
    return [v.value for v in levels.Column.of({run.first, run.last}).within(run)]
