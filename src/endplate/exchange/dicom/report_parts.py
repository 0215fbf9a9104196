"""The parts of a measurement report (DICOM TID 1500), whatever it was that was measured on.

A level is a finding site. A quantity that DICOM has a name for bears that name, with our concept
as its method; any other bears our concept under the private scheme `report_codes.SCHEME`. What a
fact has besides its value stands with it: the interval as upper and lower uncertainty, the method
as algorithm name and version, doubts, posture and details as texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from pydicom.dataset import Dataset
from pydicom.sr.coding import Code
from pydicom.uid import UID

from endplate import __version__, codec, vocabulary
from endplate.exchange.dicom import report_codes as named
from endplate.exchange.dicom.write import settle, uid
from endplate.facts import Fact, Side

_DEVICE = uid("endplate", "device")
# SOP class, SOP instance and, in a file of several frames, their numbers.
Image = tuple[UID, str, list[int] | None]


def document(
    groups: Sequence[Any],
    library: Any,
    evidence: Sequence[Dataset],
    *,
    is_3d: bool,
    modality: str,
    on: date | None,
    seed: UID,
    number: int,
    description: str,
) -> Dataset:
    """A report of these measurement groups, in the study of the images that are its evidence."""
    import highdicom  # noqa: PLC0415 - slow to import, and only needed here

    sr = highdicom.sr
    device = sr.ObserverContext(
        observer_type=named.DEVICE,
        observer_identifying_attributes=sr.DeviceObserverIdentifyingAttributes(
            uid=_DEVICE, name="Endplate", manufacturer_name="Endplate", model_name=__version__
        ),
    )
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=device),
        procedure_reported=named.PROCEDURES.get(modality, named.IMAGING),
        imaging_measurements=groups,
    )
    content[0].ContentSequence.insert(-1, library)
    made: Dataset = (sr.Comprehensive3DSR if is_3d else sr.ComprehensiveSR)(
        evidence=evidence,
        content=content[0],
        series_instance_uid=uid(seed, "series"),
        series_number=number,
        sop_instance_uid=uid(seed, "report"),
        instance_number=1,
        manufacturer="Endplate",
        is_complete=True,
    )
    made.SeriesDescription = description
    made.ManufacturerModelName, made.SoftwareVersions = "Endplate", __version__
    made.DeviceSerialNumber = "0"
    scheme = Dataset()
    scheme.CodingSchemeDesignator = named.SCHEME
    scheme.CodingSchemeName = "Vocabulary of Endplate"
    scheme.CodingSchemeResponsibleOrganization = "Endplate"
    made.CodingSchemeIdentificationSequence = [scheme]
    settle(made, on)
    return made


def library(
    images: Iterable[Image], modality: str, on: date | None, besides: Iterable[Any] = ()
) -> Any:
    """The images that the report refers to, when they were taken, and what else (TID 1600)."""
    from highdicom.sr import (  # noqa: PLC0415
        CodedConcept,
        ContainerContentItem,
        ContentSequence,
        DateContentItem,
        ImageContentItem,
    )

    acquired, contains = "HAS ACQ CONTEXT", "CONTAINS"
    items: list[Any] = []
    if modality in named.MODALITIES:
        items.append(code_item(named.MODALITY, named.MODALITIES[modality], acquired))
    if on is not None:
        items.append(DateContentItem(named.ACQUISITION_DATE, on, relationship_type=acquired))
    items += besides
    for kind, instance, frames in images:
        source = CodedConcept.from_code(named.SOURCE)
        items.append(ImageContentItem(source, kind, instance, frames, relationship_type=contains))
    group = ContainerContentItem(named.IMAGE_LIBRARY_GROUP, relationship_type=contains)
    group.ContentSequence = ContentSequence(items)
    found = ContainerContentItem(named.IMAGE_LIBRARY, relationship_type=contains)
    found.ContentSequence = ContentSequence([group])
    return found


def group(
    facts: Sequence[Fact],
    references: Callable[[Fact], Sequence[Any]],
    *,
    images: Iterable[Image] = (),
    segment: Any = None,
    tracked: UID,
) -> Any:
    """The facts about one level and side, with the images or the segment that hold it.

    Parameters
    ----------
    references
        To what a fact refers besides.
    segment
        The region that all of them are measured in, if they have one.
    """
    from highdicom import sr  # noqa: PLC0415

    level, side = facts[0].level, facts[0].side
    laterality = named.SIDES[side] if side else None
    sites = named.site(level) if level else ()
    if side and not level and all(fact.what.startswith("pelvis.") for fact in facts):
        sites = (named.HIP_JOINT,)
    about: dict[str, Any] = {
        "tracking_identifier": sr.TrackingIdentifier(
            uid=tracked, identifier=" ".join(w for w in (level, side) if w) or "spine"
        ),
        "finding_sites": finding_sites(sites, side),
        "measurements": [
            _measurement(fact, references(fact))
            for fact in facts
            if vocabulary.concept(fact.what).kind == "number"
        ],
    }
    made: Any
    if segment is not None:
        made = sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
            referenced_segment=segment, **about
        )
    else:
        held = [sr.SourceImageForMeasurementGroup(*one) for one in images]
        made = sr.MeasurementsAndQualitativeEvaluations(source_images=held or None, **about)
    content = made[0].ContentSequence
    if len(sites) > 1:
        content.append(text_item(named.SPAN, str(level), "HAS CONCEPT MOD"))
    if laterality and not sites:
        content.append(code_item(named.LATERALITY, laterality, "HAS CONCEPT MOD"))
    for fact in facts:
        if vocabulary.concept(fact.what).kind != "number":
            content.append(_evaluation(fact, references(fact)))
    return made


def finding_sites(sites: Sequence[Code], side: Side | None) -> list[Any] | None:
    """Anatomy with its side; None where there is none."""
    from highdicom.sr import FindingSite  # noqa: PLC0415

    return [FindingSite(site, named.SIDES[side] if side else None) for site in sites] or None


# -- one fact ----------------------------------------------------------------------------------


def _measurement(fact: Fact, references: Sequence[Any]) -> Any:
    """A number: value, unit, interval, method, to what it refers, and what else the fact has."""
    from highdicom import sr  # noqa: PLC0415

    concept = named.own(fact.what, vocabulary.concept(fact.what).name)
    wider = vocabulary.measurement_names().get(fact.what)
    unit = named.unit(fact.unit)
    known = concept if wider is None else Code(wider.code, wider.scheme, wider.meaning)
    made = sr.Measurement(name=known, value=float(fact.number), unit=unit)
    children: list[Any] = []
    if wider is not None:
        children.append(code_item(named.METHOD, concept, "HAS CONCEPT MOD"))
    if wider is not None and wider.derivation:
        derived = named.DERIVED[wider.derivation]
        children.append(code_item(named.DERIVATION, derived, "HAS CONCEPT MOD"))
    if fact.interval is not None:
        low, high = fact.interval
        for name, apart in (
            (named.UPPER, _decimal(high) - _decimal(fact.number)),
            (named.LOWER, _decimal(fact.number) - _decimal(low)),
        ):
            children.append(
                sr.NumContentItem(name, float(apart), unit, relationship_type="HAS PROPERTIES")
            )
    made[0].ContentSequence = sr.ContentSequence([*children, *references, *_besides(fact)])
    return made


def _decimal(number: float) -> Decimal:
    """A number as it is written: the difference of two such is exact and small."""
    return Decimal(repr(float(number)))


def _evaluation(fact: Fact, references: Sequence[Any]) -> Any:
    """A yes or no, a category or a text."""
    from highdicom import sr  # noqa: PLC0415

    concept = vocabulary.concept(fact.what)
    name = named.own(fact.what, concept.name)
    if isinstance(fact.value, bool):
        made = code_item(name, named.YES_NO[fact.value], "CONTAINS")
    elif concept.kind == "category":
        word = str(fact.value)
        made = code_item(name, named.own(f"{fact.what}:{word}", word.replace("_", " ")), "CONTAINS")
    else:
        made = text_item(name, str(fact.value), "CONTAINS")
    if besides := [*references, *_besides(fact)]:
        made.ContentSequence = sr.ContentSequence(besides)
    return made


def _besides(fact: Fact) -> list[Any]:
    """Method, posture, doubts and details."""
    from highdicom import sr  # noqa: PLC0415

    found = []
    if fact.posture is not None:
        found.append(text_item(named.POSTURE, str(fact.posture), "HAS PROPERTIES"))
    found += [text_item(named.DOUBT, doubt, "HAS PROPERTIES") for doubt in fact.doubts]
    if fact.details:
        details = codec.encode(fact.details).decode()
        found.append(text_item(named.DETAILS, details, "HAS PROPERTIES"))
    if fact.method:
        method, _, version = fact.method.rpartition("/")
        name_of, version = (method, version) if method else (version, named.NO_VERSION)
        found += sr.AlgorithmIdentification(name_of, version)
    return found


def text_item(name: Code, value: str, relation: str) -> Any:
    """A text under another item."""
    from highdicom.sr import TextContentItem  # noqa: PLC0415

    return TextContentItem(name, value, relation)


def code_item(name: Code, value: Code, relation: str) -> Any:
    """A coded value under another item."""
    from highdicom.sr import CodeContentItem  # noqa: PLC0415

    return CodeContentItem(name, value, relation)
