"""Injuries of the spine: whether an operation is advised."""

from __future__ import annotations

from endplate.evidence import Evidence
from endplate.findings import Finding, PartValue, Position
from endplate.record import UNKNOWN, Known, Patient
from endplate.risk.points import Item, any_known, band, by_answer, item, rows_of, scored
from endplate.rules import rule

_TLICS = ("tlics.morphology", "tlics.posterior_ligamentous_complex", "tlics.neurology")


@rule("risk.tlics", reads=_TLICS, scores="tlics", needs=_TLICS)
def tlics(patient: Patient, evidence: Evidence) -> Finding | None:
    """Thoracolumbar Injury Classification and Severity score: operate, or not.

    Source      Vaccaro 2005 as a table restates it (risk.tlics.*)
    Population  adults with an injury of the thoracolumbar spine
    Not for     the neck; several injured levels summed: the highest morphology alone counts
    Differs     one web table gives an injured root one point, two programs swap complete and
                incomplete
    """
    if not any_known(patient, _TLICS):
        return None
    items = [item("risk.tlics", what, patient, evidence) for what in _TLICS]
    return scored("TLICS", "risk.tlics", items, evidence)


_AOSIS = ("tl_aosis.morphology", "tl_aosis.neurology", "tl_aosis.modifier")


@rule("risk.tl_aosis", reads=_AOSIS, scores="tl_aosis", needs=_AOSIS)
def tl_aosis(patient: Patient, evidence: Evidence) -> Finding | None:
    """Thoracolumbar AO Spine injury score: operate, or not.

    Source      Kepler 2016 and Vaccaro 2016, in parts read (risk.tl_aosis.*)
    Population  adults with an injury of the thoracolumbar spine
    Not for     the neck and the sacrum, which have types of their own
    """
    if not any_known(patient, _AOSIS):
        return None
    items = [item("risk.tl_aosis", what, patient, evidence) for what in _AOSIS]
    return scored("TL AOSIS", "risk.tl_aosis", items, evidence)


_NEUROLOGY, _COMPRESSION = "slic.neurology", "slic.ongoing_compression"
_SLIC = ("slic.morphology", "slic.discoligamentous_complex", _NEUROLOGY)


@rule(
    "risk.slic",
    reads=(*_SLIC, _COMPRESSION),
    scores="slic",
    needs=_SLIC,  # compression counts only with a deficit
)
def slic(patient: Patient, evidence: Evidence) -> Finding | None:
    """Subaxial Injury Classification: operate on the neck, or not.

    Source      pages that restate it (risk.slic.*)
    Population  adults with an injury of the subaxial cervical spine
    Not for     C0 to C2; the thoracolumbar spine
    Differs     ongoing compression: one point with any deficit, or with an incomplete injury of
                the cord alone; the choice is shown, and both sums are
    """
    if not any_known(patient, (*_SLIC, _COMPRESSION)):
        return None
    chosen = evidence.choice("risk.slic.compression").use
    three = [item("risk.slic", what, patient, evidence) for what in _SLIC]
    by_reading = {
        reading: _compression(reading, patient, evidence)
        for reading in evidence.choice("risk.slic.compression").options
    }
    parts: dict[str, PartValue] = {}
    positions = []
    for reading, fourth in by_reading.items():
        every = [*three, fourth]
        row = evidence.row(f"risk.slic.compression.{reading}")
        total = None if any(i.missing for i in every) else sum(i.least for i in every)
        parts[f"total_{reading}"] = total
        group = None if total is None else band("risk.slic", total, evidence)
        says = row.says if group is None else f"{total:g}, {group.says}: {row.says}"
        positions.append(
            Position(
                holder=reading.replace("_", " "), says=says, rests_on=(row,),
                default=reading == chosen,
            )
        )  # fmt: skip
    differ = len({parts[f"total_{reading}"] for reading in by_reading}) > 1
    return scored(
        "SLIC", "risk.slic", [*three, by_reading[chosen]], evidence, parts=parts,
        positions=tuple(positions) if differ else (),
    )  # fmt: skip


def _compression(reading: str, patient: Patient, evidence: Evidence) -> Item:
    """The point for ongoing compression; without the deficit it goes with, there is none."""
    rows = rows_of("risk.slic", "ongoing_compression", evidence)
    neurology = patient.latest(_NEUROLOGY)
    there = patient.has(_COMPRESSION)
    if neurology is not None:
        goes_with = ("incomplete_cord",) if reading == "incomplete_only" else _DEFICITS
        if neurology.value not in goes_with:
            there = Known("no", (neurology,))
    elif there.yes:  # whether it counts is for the neurology to say, which is asked for already
        there = UNKNOWN
    return by_answer("ongoing_compression", _COMPRESSION, there, rows)


_DEFICITS = ("root", "complete_cord", "incomplete_cord")
