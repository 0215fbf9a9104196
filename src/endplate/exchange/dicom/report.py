"""Measurements as a DICOM structured report: TID 1500, in the study of the image they are of.

A level is a finding site, and a group of measurements refers to its segment and to the images
that hold it. A quantity that DICOM has a name for bears that name, with our concept as its
method; any other bears our concept under the private scheme `report_codes.SCHEME`. What a fact
has besides its value stands with it: the interval as upper and lower uncertainty, the method as
algorithm name and version, doubts, posture and details as texts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import UID

from endplate import __version__, codec, levels, vocabulary
from endplate.exchange.dicom import report_codes as named
from endplate.exchange.dicom.regions import SERIES_NUMBER, Regions, regions
from endplate.exchange.dicom.series import Series
from endplate.exchange.dicom.write import as_it_was, encoded, settle, sources, uid
from endplate.facts import Fact, InputProblem, Side, in_order
from endplate.images.labels import is_vertebra
from endplate.images.measure import MEASURABLE
from endplate.images.measured_on import Ground
from endplate.images.volume import Mask

# The concepts whose region is their vertebra's own label; others lie beside or inside another.
_OF_THE_VERTEBRA = ("vertebra.", "ct.hounsfield.", "mr.marrow_signal")
_DEVICE = uid("endplate", "device")


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
    import highdicom  # noqa: PLC0415 - slow to import, and only needed here

    if {fact.on for fact in facts} - {series.acquisition.on}:
        raise ValueError("A report holds what was measured on one image, with its date.")
    sr = highdicom.sr
    seed = uid(series.uid, series.part, _segmentation_uid(where), codec.encode(facts))
    kinds = {p.text("SOPInstanceUID"): p.header.kind for p in series.planes}
    held = _Held(where, Ground(facts, where.slices), kinds)
    device = sr.ObserverContext(
        observer_type=named.DEVICE,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=_DEVICE, name="Endplate", manufacturer_name="Endplate", model_name=__version__
        ),
    )
    with as_it_was():
        content = sr.MeasurementReport(
            observation_context=sr.ObservationContext(observer_device_context=device),
            procedure_reported=named.PROCEDURES.get(series.acquisition.modality, named.IMAGING),
            imaging_measurements=[
                _group(place, list(together), held, seed)
                for place, together in groupby(sorted(facts, key=_order), _place)
            ],
        )
        content[0].ContentSequence.insert(-1, _library(series, held))
        evidence = sources(series)
        if where.segmentation is not None:
            evidence.append(where.segmentation)
        made: Dataset = sr.Comprehensive3DSR(
            evidence=evidence,
            content=content[0],
            series_instance_uid=uid(seed, "series"),
            series_number=SERIES_NUMBER + 1,
            sop_instance_uid=uid(seed, "report"),
            instance_number=1,
            manufacturer="Endplate",
            is_complete=True,
        )
        made.SeriesDescription = "Endplate: measurements"
        made.ManufacturerModelName, made.SoftwareVersions = "Endplate", __version__
        made.DeviceSerialNumber = "0"
        scheme = Dataset()
        scheme.CodingSchemeDesignator = named.SCHEME
        scheme.CodingSchemeName = "Vocabulary of Endplate"
        scheme.CodingSchemeResponsibleOrganization = "Endplate"
        made.CodingSchemeIdentificationSequence = [scheme]
        settle(made, series)
    return made


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

    def images(self, structures: Iterable[str]) -> list[tuple[UID, str, list[int] | None]]:
        """SOP class, SOP instance and, in a file of several frames, their numbers."""
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


def _group(
    place: tuple[str | None, Side | None, bool], facts: Sequence[Fact], held: _Held, seed: UID
) -> Any:
    """The facts about one level and side, with the images and the segment that hold it."""
    from highdicom import sr  # noqa: PLC0415

    level, side, is_of_vertebra = place
    where = held.where
    region = level if is_of_vertebra and level in where.segments else None
    laterality = named.SIDES[side] if side else None
    sites = named.site(level) if level else ()
    if side and not level and all(fact.what.startswith("pelvis.") for fact in facts):
        sites = (named.HIP_JOINT,)
    about: dict[str, Any] = {
        "tracking_identifier": sr.TrackingIdentifier(
            uid=uid(seed, *place), identifier=" ".join(w for w in (level, side) if w) or "spine"
        ),
        "finding_sites": [sr.FindingSite(code, laterality) for code in sites] or None,
        "measurements": [
            _measurement(fact, held.segments(fact, region))
            for fact in facts
            if vocabulary.concept(fact.what).kind == "number"
        ],
    }
    made: Any
    if region is not None:
        assert where.segmentation is not None
        made = sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
            referenced_segment=sr.ReferencedSegment(
                where.segmentation.SOPClassUID,
                where.segmentation.SOPInstanceUID,
                where.segments[region],
                source_images=[
                    sr.SourceImageForSegmentation(*one) for one in held.images([region])
                ],
            ),
            **about,
        )
    else:
        grounds = [n for fact in facts for n in held.ground.of(fact)]
        images = [
            sr.SourceImageForMeasurementGroup(*one)
            for one in held.images(_vertebrae(level) or grounds)
        ]
        made = sr.MeasurementsAndQualitativeEvaluations(source_images=images or None, **about)
    content = made[0].ContentSequence
    if len(sites) > 1:
        content.append(_text(named.SPAN, str(level), "HAS CONCEPT MOD"))
    if laterality and not sites:
        content.append(_code(named.LATERALITY, laterality, "HAS CONCEPT MOD"))
    for fact in facts:
        if vocabulary.concept(fact.what).kind != "number":
            content.append(_evaluation(fact, held.segments(fact, region)))
    return made


def _vertebrae(level: str | None) -> Sequence[str]:
    if level is None:
        return ()
    run = levels.span(level)
    return [v.value for v in levels.Column.of({run.first, run.last}).within(run)]


def _library(series: Series, held: _Held) -> Any:
    """The images that the report refers to, and when they were taken (TID 1600)."""
    from highdicom.sr import (  # noqa: PLC0415
        CodedConcept,
        ContainerContentItem,
        ContentSequence,
        DateContentItem,
        ImageContentItem,
        UIDRefContentItem,
    )

    acquired, contains = "HAS ACQ CONTEXT", "CONTAINS"
    items: list[Any] = []
    if series.acquisition.modality in named.MODALITIES:
        modality = named.MODALITIES[series.acquisition.modality]
        items.append(_code(named.MODALITY, modality, acquired))
    if series.acquisition.on is not None:
        day = series.acquisition.on
        items.append(DateContentItem(named.ACQUISITION_DATE, day, relationship_type=acquired))
    items.append(UIDRefContentItem(named.FRAME_OF_REFERENCE, series.frame_of_reference, acquired))
    for kind, instance, frames in held.images(held.where.slices):
        source = CodedConcept.from_code(named.SOURCE)
        items.append(ImageContentItem(source, kind, instance, frames, relationship_type=contains))
    group = ContainerContentItem(named.IMAGE_LIBRARY_GROUP, relationship_type=contains)
    group.ContentSequence = ContentSequence(items)
    library = ContainerContentItem(named.IMAGE_LIBRARY, relationship_type=contains)
    library.ContentSequence = ContentSequence([group])
    return library


# -- one fact ----------------------------------------------------------------------------------


def _measurement(fact: Fact, segments: Sequence[Any]) -> Any:
    """A number: value, unit, interval, method, segments, and what else the fact has."""
    from highdicom import sr  # noqa: PLC0415

    concept = named.own(fact.what, vocabulary.concept(fact.what).name)
    wider = vocabulary.measurement_names().get(fact.what)
    unit = named.unit(fact.unit)
    name = concept if wider is None else Code(wider.code, wider.scheme, wider.meaning)
    made = sr.Measurement(name=name, value=float(fact.number), unit=unit)
    children: list[Any] = []
    if wider is not None:
        children.append(_code(named.METHOD, concept, "HAS CONCEPT MOD"))
    if wider is not None and wider.derivation:
        derived = named.DERIVED[wider.derivation]
        children.append(_code(named.DERIVATION, derived, "HAS CONCEPT MOD"))
    if fact.interval is not None:
        low, high = fact.interval
        for code, apart in (
            (named.UPPER, _decimal(high) - _decimal(fact.number)),
            (named.LOWER, _decimal(fact.number) - _decimal(low)),
        ):
            children.append(
                sr.NumContentItem(code, float(apart), unit, relationship_type="HAS PROPERTIES")
            )
    made[0].ContentSequence = sr.ContentSequence([*children, *segments, *_besides(fact)])
    return made


def _decimal(number: float) -> Decimal:
    """A number as it is written: the difference of two such is exact and small."""
    return Decimal(repr(float(number)))


def _evaluation(fact: Fact, segments: Sequence[Any]) -> Any:
    """A yes or no, a category or a text."""
    from highdicom import sr  # noqa: PLC0415

    concept = vocabulary.concept(fact.what)
    name = named.own(fact.what, concept.name)
    if isinstance(fact.value, bool):
        made = _code(name, named.YES_NO[fact.value], "CONTAINS")
    elif concept.kind == "category":
        word = str(fact.value)
        made = _code(name, named.own(f"{fact.what}:{word}", word.replace("_", " ")), "CONTAINS")
    else:
        made = _text(name, str(fact.value), "CONTAINS")
    if besides := [*segments, *_besides(fact)]:
        made.ContentSequence = sr.ContentSequence(besides)
    return made


def _besides(fact: Fact) -> list[Any]:
    """Method, posture, doubts and details."""
    from highdicom import sr  # noqa: PLC0415

    found = []
    if fact.posture is not None:
        found.append(_text(named.POSTURE, str(fact.posture), "HAS PROPERTIES"))
    found += [_text(named.DOUBT, doubt, "HAS PROPERTIES") for doubt in fact.doubts]
    if fact.details:
        details = codec.encode(fact.details).decode()
        found.append(_text(named.DETAILS, details, "HAS PROPERTIES"))
    if fact.method:
        method, _, version = fact.method.rpartition("/")
        name_of, version = (method, version) if method else (version, named.NO_VERSION)
        found += sr.AlgorithmIdentification(name_of, version)
    return found


def _text(name: Code, value: str, relation: str) -> Any:
    from highdicom.sr import TextContentItem  # noqa: PLC0415

    return TextContentItem(name, value, relation)


def _code(name: Code, value: Code, relation: str) -> Any:
    from highdicom.sr import CodeContentItem  # noqa: PLC0415

    return CodeContentItem(name, value, relation)
