"""The bone next to the endplates on MR: endplate bone quality, and signals against the marrow.

Endplate bone quality (T1) is that of the two endplates of one disc over the fluid's signal. The
signals of the 10 mm below an endplate over those of the same body's marrow, on T1 and T2, are what
Modic's types are told by; no type is named, as no cut-off of a ratio was found.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from endplate.evidence import Evidence
from endplate.images.bone_quality_score import Signal, ratio, signal_of
from endplate.images.frame import Bools
from endplate.images.hounsfield import Interior
from endplate.images.result import Missing, Result
from endplate.images.vertebra import Estimate, NotMeasurable, Vertebra
from endplate.images.volume import Volume
from endplate.levels import Column, Level, Span

_QUALITY = "endplate.mr.endplate_bone_quality/1"
_BAND = "endplate.mr.endplate_band/1"
# Just inside the surface: the band of endplate bone quality begins at the endplate itself.
_SURFACE = 0.01
_ENDS = {"superior": 1.0, "inferior": -1.0}
_TRY = "Use an image with finer voxels, and look at the labels of these vertebrae."


def endplate_quality(
    image: Volume,
    vertebrae: Mapping[str, Vertebra],
    usable: Mapping[str, tuple[str, ...]],
    reference: Signal,
    evidence: Evidence,
    doubts: tuple[str, ...],
) -> Iterator[Result | Missing]:
    """Endplate bone quality of each disc between two vertebrae that can be used.

    Parameters
    ----------
    usable
        The levels that may be used, with what is doubtful about each.
    reference
        The fluid's signal.
    """
    column = Column.of([Level(n) for n in vertebrae])
    for name in usable:
        below = column.below(Level(name))
        if below is None or below.value not in usable:
            continue
        level = str(Span(Level(name), below))
        try:
            both = [
                _under_endplate(vertebrae[n], end, image, evidence)
                for n, end in ((name, "inferior"), (below.value, "superior"))
            ]
            mean = Estimate(
                float(np.mean([s.estimate.value for s in both])),
                float(np.hypot(both[0].estimate.error, both[1].estimate.error)) / 2,
            )
            value = ratio(mean, reference.estimate)
        except NotMeasurable as problem:
            yield Missing(
                what=f"{level}: endplate bone quality", reason=str(problem),
                code="endplate_bone_quality", try_=_TRY,
            )  # fmt: skip
            continue
        own = (f"{n}: {d}" for n in (name, below.value) for d in usable[n])
        yield Result(
            what="mr.endplate_bone_quality", method=_QUALITY, level=level, value=value,
            doubts=(*reference.doubts, *doubts, *own),
            details={
                "csf_level": reference.level, "voxels": float(sum(s.voxels for s in both)),
                "above": round(both[0].estimate.value, 1),
                "below": round(both[1].estimate.value, 1),
            },
        )  # fmt: skip


def _under_endplate(vertebra: Vertebra, end: str, image: Volume, evidence: Evidence) -> Signal:
    """The signal of the bone within the band's width of one endplate, midsagittal."""
    interior = Interior(vertebra, image, evidence, margin=_SURFACE)
    width = evidence.row("measurement.endplate_quality.band").number
    near = vertebra.inside.at(interior.local) <= width
    near &= interior.local[:, 2] * _ENDS[end] > 0
    return signal_of(interior, near & _midsagittal(interior, evidence), evidence)


def _midsagittal(interior: Interior, evidence: Evidence) -> Bools:
    """The voxels of the midsagittal band, front to back within the ellipse of attenuation."""
    vertebra, sizes = interior.vertebra, interior.sizes
    across = np.abs(vertebra.frame.axes[:, 0] @ interior.image.affine[:3, :3])
    band = max(evidence.row("measurement.vbq.band").number, float(across.max()))
    u, v = interior.local[:, 0], interior.local[:, 1]
    inside = np.abs(u - (vertebra.left + vertebra.right) / 2) <= band / 2
    middle = vertebra.back - sizes.ellipse_centre * vertebra.depth
    return np.asarray(inside & (np.abs(v - middle) <= sizes.ellipse_depth * vertebra.depth / 2))


def signal_ratios(
    images: Mapping[str, Volume],
    vertebrae: Mapping[str, Vertebra],
    evidence: Evidence,
    doubts: Mapping[str, tuple[str, ...]],
) -> Iterator[Result | Missing]:
    """The signal of each endplate's band over the marrow of the same body, on T1 and on T2.

    Parameters
    ----------
    images
        ``T1`` and ``T2``, registered: on the same voxels.
    doubts
        By level.
    """
    depth = evidence.row("measurement.endplate_band.depth").number
    margin = evidence.row("measurement.endplate_band.margin").number
    for name, vertebra in vertebrae.items():
        for weighting, image in images.items():
            interior = Interior(vertebra, image, evidence, margin=margin)
            below = {end: _below(interior, end) for end in _ENDS}
            deep = np.minimum(below["superior"], below["inferior"]) > depth
            try:
                marrow = signal_of(interior, deep, evidence)
                for end in _ENDS:
                    band = signal_of(interior, below[end] <= depth, evidence)
                    yield Result(
                        what=f"mr.{end}_endplate_band.{weighting.lower()}", method=_BAND,
                        level=name, value=ratio(band.estimate, marrow.estimate),
                        doubts=doubts.get(name, ()),
                        details={
                            "endplate": end, "voxels": float(band.voxels),
                            "band": round(band.estimate.value, 1),
                            "marrow": round(marrow.estimate.value, 1),
                        },
                    )  # fmt: skip
            except NotMeasurable as problem:
                yield Missing(
                    what=f"{name}: the signal of its endplates on {weighting}",
                    reason=str(problem), code="endplate_band", try_=_TRY,
                )  # fmt: skip


def _below(interior: Interior, end: str) -> np.ndarray:
    """How far each voxel lies from the plane of an endplate, into the body, mm."""
    vertebra = interior.vertebra
    plane = vertebra.superior if end == "superior" else vertebra.inferior
    normal = plane.normal @ vertebra.frame.axes
    offset = float(normal @ vertebra.frame.to_local(plane.centre))
    return np.asarray(_ENDS[end] * (offset - interior.local @ normal))
