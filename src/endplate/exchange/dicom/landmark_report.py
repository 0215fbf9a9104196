"""Alignment measurements as a DICOM structured report, in the study of the radiograph.

The landmarks stand in it as points on the image, each under its name and the code of its level;
every measurement refers to those that it rests on. What was said of the radiograph, its scale
among it, goes along: read back, the report gives the same landmarks and the same measurements.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np
from pydicom.sr.coding import Code

from endplate import codec, levels
from endplate.alignment.geometry import rests_on
from endplate.exchange.dicom import report_codes as named
from endplate.exchange.dicom import report_parts as parts
from endplate.exchange.dicom.radiograph import Film
from endplate.exchange.dicom.regions import SERIES_NUMBER
from endplate.exchange.dicom.write import as_it_was, encoded, sources, uid
from endplate.exchange.landmarks import Marked
from endplate.facts import Fact, InputProblem, Side, in_order
from endplate.levels import Level

_PIXEL = Code("{pixel}", "UCUM", "pixel")


def report_file(marked: Marked, facts: Sequence[Fact]) -> bytes:
    """The report of what was measured on one radiograph.

    Raises
    ------
    InputProblem
        If the landmarks have no image, do not lie on it, or it does not say what a DICOM object
        about it has to refer to.
    """
    image = _image(marked)
    facts = in_order(facts)
    film, name = marked.film, marked.film.name
    reference: parts.Image = (image.file.kind, image.uid, None)
    modality = image.file.text("Modality")
    seed = uid(image.uid, codec.encode(facts), codec.encode([*map(list, marked.pixels.items())]))
    with as_it_was():
        groups = [
            parts.group(
                list(together),
                lambda fact: _points(marked, rests_on(fact, film.points, film.view), reference),
                images=[reference],
                tracked=uid(seed, *place),
            )
            for place, together in groupby(sorted(facts, key=_order), _place)
        ]
        groups += [_landmark(point, marked, reference, seed) for point in marked.pixels]
        about = [
            parts.code_item(named.IMAGE_VIEW, named.VIEWS[film.view], "HAS ACQ CONTEXT"),
            parts.text_item(named.RADIOGRAPH, _said(marked), "HAS ACQ CONTEXT"),
        ]
        return encoded(
            parts.document(
                groups,
                parts.library([reference], modality, film.on, about),
                _evidence(name, image),
                is_3d=False,
                modality=modality,
                on=film.on,
                seed=seed,
                number=SERIES_NUMBER + 2,
                description="Endplate: alignment",
            )
        )


def _image(marked: Marked) -> Film:
    name, image = marked.film.name, marked.image
    if image is None:
        raise _refused(name, "the image that it was marked on is needed, and is not there",
                       "Give it with --sr")  # fmt: skip
    if not all(image.file.text(k) for k in _UIDS):
        raise _refused(name, "a report refers to its image by UID, and a study, series or image "
                       "has none", "Export the image again")  # fmt: skip
    if image.file.kind.type != "SOP Class":
        raise _refused(name, "an image of a kind that DICOM names is needed, and it is of none",
                       "Export the image again")  # fmt: skip
    if (image.file.integer("NumberOfFrames") or 1) > 1:
        raise _refused(name, "an image of one frame is needed, and it has several",
                       "Export the frame that was marked")  # fmt: skip
    columns, rows = image.size
    inside = [0 <= x <= columns and 0 <= y <= rows for x, y, _ in marked.pixels.values()]
    if not inside or not all(inside):
        raise _refused(name, "landmarks in pixels of the image are needed, and some lie beside it "
                       "or are in mm", "Check whether it is this image")  # fmt: skip
    return image


def _evidence(name: str, image: Film) -> list[Any]:
    """The image's whole header, from which the report takes person and study."""
    try:
        return [*sources([image.file.path])]
    except Exception as problem:  # pydicom answers broken bytes with many kinds of exceptions
        why = f"the image's header is needed whole, and it is broken ({type(problem).__name__})"
        raise _refused(name, why, "Export the image again") from None


_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID")


def _refused(name: str, why: str, then: str) -> InputProblem:
    return InputProblem(
        f"{name}: cannot be written as a DICOM report. Of its measurements, {why}. {then}."
    )


def _order(fact: Fact) -> tuple[tuple[int, int], str]:
    return levels.order(fact.level), fact.side or ""


def _place(fact: Fact) -> tuple[str | None, Side | None]:
    """What the facts of a group share."""
    return fact.level, fact.side


def _said(marked: Marked) -> str:
    """What was said of the radiograph, as it is said in a file of landmarks."""
    said = dict(marked.said)
    if isinstance(pair := said.get("pixel_spacing"), tuple):
        said["pixel_spacing"] = [pair[1], pair[0]]
    if "landmark_error" in said:
        size, unit = said["landmark_error"]
        said["landmark_error"] = f"{size!r} {unit}"
    return codec.encode(said).decode()


def _points(marked: Marked, names: Sequence[str], image: parts.Image) -> list[Any]:
    """The landmarks that a measurement rests on, as coordinates on the image."""
    from highdicom import sr  # noqa: PLC0415 - slow to import

    at = np.array([marked.pixels[name][:2] for name in names])
    kind = "POINT" if len(at) == 1 else "MULTIPOINT"
    return [sr.CoordinatesForMeasurement(kind, at, sr.SourceImageForRegion(*image))]


def _landmark(name: str, marked: Marked, image: parts.Image, seed: Any) -> Any:
    """One landmark: its point on the image, its name, its anatomy, and its own error."""
    from highdicom import sr  # noqa: PLC0415 - slow to import

    x, y, error = marked.pixels[name]
    first = name.split(" ", maxsplit=1)[0]
    side: Side | None = "left" if first == "left" else "right" if first == "right" else None
    sites = named.site(first) if first in Level.__members__ else ()
    if name.endswith("femoral_head.centre"):
        sites = (named.HIP_JOINT,)
    made = sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=uid(seed, name), identifier=name),
        referenced_region=sr.ImageRegion(
            "POINT", np.array([[x, y]]), sr.SourceImageForRegion(*image)
        ),
        finding_type=named.LANDMARK,
        finding_sites=parts.finding_sites(sites, side),
        measurements=None
        if error is None
        else [sr.Measurement(name=named.LANDMARK_ERROR, value=error, unit=_PIXEL)],
    )
    if side and not sites:
        made[0].ContentSequence.append(
            parts.code_item(named.LATERALITY, named.SIDES[side], "HAS CONCEPT MOD")
        )
    return made
