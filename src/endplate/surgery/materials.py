"""Implant materials: what they are made of decides stiffness, artefact and use."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from endplate.evidence import Evidence

MATERIALS: Mapping[str, str] = {
    "stainless_steel": "316L stainless steel",
    "titanium": "Ti-6Al-4V",
    "cobalt_chromium": "cobalt-chromium",
    "peek": "PEEK",
    "carbon_fibre_peek": "carbon-fibre PEEK",
    "pmma": "PMMA cement",
    "cortical_bone": "cortical bone",
}


class Property(Struct, frozen=True, kw_only=True):
    """One published value of one property of one material.

    Attributes
    ----------
    material, property
        What was measured, and what of it, with its unit.
    value
        The printed number, range or word.
    cites, verified
        The key of its source, and whether it was read there.
    """

    material: str
    property: str
    value: str
    cites: str
    verified: bool


def properties(evidence: Evidence) -> tuple[Property, ...]:
    """The published properties of implant materials, by material; ranges are not merged.

    Source      rows surgery.material.* (collected; Table 1 of patel2024 was not available)
    Population  materials as delivered, not implants
    Not for     computing with: different alloys and tests stand side by side
    """
    found = [
        Property(
            material=MATERIALS[str(line["material"])],
            property=row.says,
            value=str(line["value"]),
            cites=str(line["cites"]),
            verified=bool(line["verified"]),
        )
        for row in evidence.under("surgery.material.")
        for line in row.table
    ]
    order = list(MATERIALS.values())
    return tuple(sorted(found, key=lambda p: order.index(p.material)))
