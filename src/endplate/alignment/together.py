"""What several scores refuse for one and the same reason, told once."""

from __future__ import annotations

from collections.abc import Iterable

from endplate.alignment.compensation_signs import compensation_signs
from endplate.alignment.deformity import srs_schwab
from endplate.alignment.hip_axis import t4_l1_hip_axis
from endplate.alignment.lenke import lenke
from endplate.alignment.neck import ames, cervical_deformity
from endplate.alignment.progression import ais_treatment, lonstein_carlson, sitoula
from endplate.alignment.proportion import gap
from endplate.alignment.shape import roussouly
from endplate.alignment.targets import distribution
from endplate.evidence import Evidence
from endplate.facts import in_order
from endplate.findings import AnyFinding, Finding, Status
from endplate.posture import Posture
from endplate.record import Patient
from endplate.rules import rule

RULE = "alignment.not_standing"
_POSTURE_ROWS = "alignment.posture."
_ASKED = (
    gap, srs_schwab, roussouly, distribution, t4_l1_hip_axis, compensation_signs, ames,
    cervical_deformity, lenke, ais_treatment, lonstein_carlson, sitoula,
)  # fmt: skip
_NAMES = {
    "gap": "GAP score", "srs_schwab": "SRS-Schwab", "roussouly": "Roussouly's type",
    "ldi": "lordosis distribution index", "t4_l1_hip_axis": "T4-L1-hip axis",
    "compensation_signs": "signs of compensation", "ames": "Ames modifiers",
    "cervical_deformity": "cervical deformity", "lenke": "Lenke's type",
    "ais_treatment": "treatment of adolescents", "lonstein_carlson": "Lonstein-Carlson factor",
    "sitoula": "progression by Sanders stage",
}  # fmt: skip


def is_refused_for_posture(finding: AnyFinding) -> bool:
    """Whether a score could not be given as somebody was not, or may not have been, standing."""
    return finding.status is Status.UNKNOWN and any(
        row.name.startswith(_POSTURE_ROWS) for row in finding.rests_on
    )


@rule(RULE, reads=tuple(dict.fromkeys(w for asked in _ASKED for w in asked.reads)))
def not_standing(patient: Patient, evidence: Evidence) -> Finding | None:
    """Which classes and scores cannot be given as nobody was measured standing, all at once.

    Source      one lordosis does not stand for the other (alignment.posture.*)
    Population  everybody of whom something was measured that a standing score asks for
    Not for     one score by itself, which says in full what is in its way
    """
    refused = {
        asked.scores: finding
        for asked in _ASKED
        for finding in asked(patient, evidence)
        if is_refused_for_posture(finding)
    }
    if not refused:
        return None
    names = [_NAMES[score] for score in refused]
    postures = {f.posture for one in refused.values() for f in one.because if f.posture}
    words = sorted(
        "in a posture that is not stated" if posture is Posture.UNKNOWN else str(posture)
        for posture in postures - {Posture.STANDING}
    )
    how = f" What was measured was measured {' and '.join(words)}." if words else ""
    return Finding(
        says=f"Defined on standing radiographs, of which none is known: {', '.join(names)}.{how}",
        status=Status.UNKNOWN,
        parts={score: finding.says for score, finding in refused.items()},
        because=in_order(dict.fromkeys(f for one in refused.values() for f in one.because)),
        missing=tuple(dict.fromkeys(w for one in refused.values() for w in one.missing)),
        rests_on=evidence.under(_POSTURE_ROWS),
    )


def told_once(findings: Iterable[AnyFinding]) -> tuple[AnyFinding, ...]:
    """The findings without those that `not_standing` tells together, where there are several."""
    found = tuple(findings)
    refused = [f for f in found if is_refused_for_posture(f) and f.rule != RULE]
    if len(refused) < 2:
        return tuple(f for f in found if f.rule != RULE)
    return tuple(f for f in found if f not in refused)
