"""The geometry of the spine as tables: the whole curve and the pelvis, the segments, the bodies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from endplate import levels, vocabulary
from endplate.alignment.geometry import METHOD
from endplate.facts import Fact
from endplate.posture import Posture
from endplate.record import Patient

_WHOLE = (
    "pelvis.pelvic_incidence", "pelvis.pelvic_tilt", "pelvis.sacral_slope",
    "pelvis.pelvic_obliquity", "spine.lumbar_lordosis", "spine.lower_lumbar_lordosis",
    "spine.lordosis_distribution_index", "spine.thoracic_kyphosis",
    "spine.thoracolumbar_kyphosis", "spine.t1_pelvic_angle", "spine.t4_pelvic_angle",
    "spine.l1_pelvic_angle", "spine.sagittal_vertical_axis", "spine.coronal_balance",
    "spine.coronal_cobb_angle", "spine.coronal_centroid_angle",
)  # fmt: skip
# A column's heading, and the concepts that stand in it, one below a slash or one per side.
_SEGMENTS = (
    ("Disc height, front / middle / back, mm",
     ("disc.height.anterior", "disc.height.middle", "disc.height.posterior")),
    ("Disc angle, °", ("disc.angle",)),
    ("Lordosis of the segment, °", ("segment.lordosis",)),
    ("Slip forwards, mm", ("segment.listhesis",)),
    ("Slip, %", ("segment.listhesis_percent",)),
    ("Slip to the left, mm", ("segment.lateral_listhesis",)),
    ("Foramen, left / right, mm", ("foramen.height",)),
)  # fmt: skip
_BODIES = (
    ("Width × depth, mm", ("vertebra.width", "vertebra.depth")),
    ("Angle between endplates, °", ("vertebra.sagittal_angle",)),
    ("Frontal angle, °", ("vertebra.coronal_angle",)),
    ("Axial rotation, °", ("vertebra.axial_rotation",)),
    ("Canal, mm²", ("canal.area",)),
    ("Canal depth × width, mm",
     ("canal.anteroposterior_diameter", "canal.transverse_diameter")),
)  # fmt: skip
_SIDED = ("foramen.height",)


@dataclass(frozen=True, slots=True)
class Table:
    """A table of the report: its caption, its headings and its lines of text."""

    caption: str
    headings: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]


def geometry_tables(patient: Patient) -> tuple[Table, ...]:
    """The tables that have something to show; a value's half 95 % interval stands after ±."""
    found = [_newest(patient, what) for what in _WHOLE]
    whole = [f for facts in found for f in facts]
    tables = []
    if whole:
        lines = tuple(
            (vocabulary.concept(f.what).name, _where(f), _number(f, unit=True), "; ".join(f.doubts))
            for f in whole
        )
        caption = f"Pelvis and whole curve, measured {_posture(whole)}"
        tables.append(Table(caption, ("Quantity", "Where", "Value", "Doubt"), lines))
    for caption, columns in (("Segments", _SEGMENTS), ("Vertebrae", _BODIES)):
        table = _by_level(patient, caption, columns)
        if table is not None:
            tables.append(table)
    return tuple(tables)


def _by_level(
    patient: Patient, caption: str, columns: Sequence[tuple[str, Sequence[str]]]
) -> Table | None:
    facts = {what: _newest(patient, what) for _, whats in columns for what in whats}
    there = {f.level for found in facts.values() for f in found if f.level}
    if not there:
        return None
    doubts = {
        level: "; ".join(
            dict.fromkeys(d for fs in facts.values() for f in fs if f.level == level
                          for d in f.doubts)
        )
        for level in there
    }  # fmt: skip
    lines = [
        (level, *(_cell(facts, level, whats) for _, whats in columns), doubts[level])
        for level in sorted(there, key=levels.order)
    ]
    return Table(caption, ("Level", *(h for h, _ in columns), "Doubt"), tuple(lines))


def _cell(facts: dict[str, list[Fact]], level: str, whats: Sequence[str]) -> str:
    parts = []
    for what in whats:
        here = [f for f in facts[what] if f.level == level]
        if what in _SIDED:
            by_side = {f.side: _number(f) for f in here}
            parts += [by_side.get("left", "–"), by_side.get("right", "–")]
        else:
            parts.append(_number(here[0]) if here else "–")
    return "" if set(parts) == {"–"} else " / ".join(parts)


def _newest(patient: Patient, what: str) -> list[Fact]:
    """The newest fact at each level and side."""
    found: dict[tuple[str | None, str | None], Fact] = {}
    for fact in patient.facts(what):
        if fact.method != METHOD:  # what was marked on radiographs has its own section
            found.setdefault((fact.level, fact.side), fact)
    return sorted(found.values(), key=lambda f: levels.order(f.level))


def _where(fact: Fact) -> str:
    """Level, and of a curve the side of its convexity."""
    place = fact.level or ""
    return f"{place}, convex {fact.side}" if fact.side else place


def _number(fact: Fact, *, unit: bool = False) -> str:
    text = f"{fact.number:.1f}"
    if unit:
        text += {"deg": "°", "%": " %"}.get(fact.unit, f" {fact.unit}")
    if fact.interval:
        low, high = fact.interval
        text += f" ± {(high - low) / 2:.1f}"
    return text


def _posture(facts: Iterable[Fact]) -> str:
    """In which posture, in words that nobody can take for standing."""
    postures = {f.posture or Posture.UNKNOWN for f in facts}
    words = ", ".join(sorted(p.value for p in postures))
    standing = postures <= {Posture.STANDING}
    return words if standing else f"{words}: only pelvic incidence holds for standing"
