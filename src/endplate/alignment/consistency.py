"""Identities that hold in every spine: values that break one cannot all be right."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from endplate.alignment.standing import (
    LUMBAR_LORDOSIS,
    MISMATCH,
    PELVIC_INCIDENCE,
    PELVIC_TILT,
    POSTURE,
    SACRAL_SLOPE,
    called,
)
from endplate.evidence import Evidence, Row
from endplate.facts import Fact
from endplate.findings import Finding, PartValue, Status
from endplate.record import Patient
from endplate.rules import rule

_TILT = "spine.vertebral_tilt"


class Identity(Struct, frozen=True):
    """A whole that is the sum of its parts; the second part is taken away where `less` is set."""

    whole: str
    first: str
    second: str
    level: str | None = None
    less: bool = False


_IDENTITIES = (
    Identity(PELVIC_INCIDENCE, PELVIC_TILT, SACRAL_SLOPE),
    Identity("spine.t1_pelvic_angle", PELVIC_TILT, "spine.t1_spinopelvic_inclination"),
    Identity("spine.t4_pelvic_angle", PELVIC_TILT, _TILT, "T4"),
    Identity("spine.l1_pelvic_angle", PELVIC_TILT, _TILT, "L1"),
    Identity("spine.global_tilt", PELVIC_TILT, "spine.c7_lean"),
    Identity(MISMATCH, PELVIC_INCIDENCE, LUMBAR_LORDOSIS, less=True),
    Identity(
        "spine.t1_slope_cervical_lordosis_mismatch", "spine.t1_slope", "spine.cervical_lordosis",
        less=True,
    ),
)  # fmt: skip
_READ = tuple(dict.fromkeys(w for i in _IDENTITIES for w in (i.whole, i.first, i.second)))


@rule("alignment.consistency", reads=(*_READ, POSTURE), scores="consistency")
def consistency(patient: Patient, evidence: Evidence) -> Iterator[Finding]:
    """Whether values of one radiograph that must add up do, such as tilt and slope to incidence.

    Source      identities of the definitions, confirmed numerically (alignment.consistency.*)
    Population  everybody
    Not for     values of different days or images, each of which has an error of its own
    """
    for identity in _IDENTITIES:
        three = _of_one_image(identity, patient)
        if three is None or all(f.method for f in three):  # measured together they add up
            continue
        yield _held(identity, three, evidence)


def _of_one_image(identity: Identity, patient: Patient) -> tuple[Fact, Fact, Fact] | None:
    """Newest values of the three that have one source, one day and one posture."""
    for whole in patient.facts(identity.whole):
        beside = [
            next((f for f in patient.facts(what, level=level) if _same(f, whole)), None)
            for what, level in ((identity.first, None), (identity.second, identity.level))
        ]
        if beside[0] is not None and beside[1] is not None:
            return whole, beside[0], beside[1]
    return None


def _same(one: Fact, other: Fact) -> bool:
    return (one.source, one.on, one.posture) == (other.source, other.on, other.posture)


def _held(identity: Identity, three: tuple[Fact, Fact, Fact], evidence: Evidence) -> Finding:
    whole, first, second = three
    total = first.number - second.number if identity.less else first.number + second.number
    gap = abs(whole.number - total)
    row = _row(identity, evidence)
    names = [called(f.what) for f in three]
    if identity.level:
        names[2] += f" at {identity.level}"
    parts: dict[str, PartValue] = {
        "given": round(whole.number, 6), "expected": round(total, 6), "gap": round(gap, 6),
    }  # fmt: skip
    about = identity.whole
    how = f"{names[1]} {'less' if identity.less else 'and'} {names[2]}"
    if row.met(gap):
        return Finding(
            says=f"{how[0].upper()}{how[1:]} make {total:.1f}°, and {names[0]} is given as "
            f"{whole.number:.1f}°: one of them is wrong.",
            about=about,
            status=Status.UNKNOWN,
            category="contradiction",
            parts=parts,
            because=three,
            missing=tuple(f.what for f in three),
            rests_on=(row,),
        )
    return Finding(
        says=f"{names[0][0].upper()}{names[0][1:]} agrees with {how}.",
        about=about,
        category="consistent",
        parts=parts,
        because=three,
        rests_on=(row,),
    )


def _row(identity: Identity, evidence: Evidence) -> Row:
    which = "incidence" if identity.whole == PELVIC_INCIDENCE else "others"
    return evidence.row(f"alignment.consistency.{which}")
