"""What stands beside the mechanism with its level of evidence, and never decides it."""

from __future__ import annotations

from collections.abc import Iterator

from endplate.evidence import Evidence, Row
from endplate.facts import Fact
from endplate.findings import Finding, Status
from endplate.questionnaires.screening import answered, answers_to
from endplate.record import Patient
from endplate.rules import rule
from endplate.vocabulary import concept, concepts

SCREENING = ("dn4", "pain_detect", "lanss", "s_lanss")
INVENTORY = "csi"
_NEVER_DECISIVE = "Context only: it is never decisive for a mechanism."
_BLOOD = ("lab.c_reactive_protein", "lab.interleukin_6", "lab.tumour_necrosis_factor_alpha")
_MODIC = "pain.modic"
# Genes of which the room of medicines may hold a result, and the row that says what it is worth.
_GENES = {
    what: row
    for what, row in (
        ("gene.comt.diplotype", "pain.context.comt"),
        ("gene.oprm1.rs1799971", "pain.context.oprm1"),
        ("gene.npy.rs16147", "pain.context.npy"),
    )
    if what in concepts()
}


@rule(
    "pain.context",
    reads=(_MODIC, *_BLOOD, *_GENES, *answers_to(*SCREENING)),
    begins=("pain.",),
)
def context(patient: Patient, evidence: Evidence) -> Iterator[Finding]:
    """Screening scores, Modic changes, blood and genes beside the mechanism, with their evidence.

    Source      reviews and single studies (pain.context.*)
    Population  spinal pain
    Not for     deciding which mechanism a pain has: none of these has a validated rule for it
    Differs     reviews disagree on blood, studies on genes and on what Modic changes mean
    """
    yield from _screening(patient, evidence)
    modic = [f for f in patient.facts(_MODIC) if f.value != "none"]
    if modic:
        places = [f"type {f.value}{f' at {f.level}' if f.level else ''}" for f in modic]
        yield _beside(
            "modic", f"Modic change {', '.join(places)}: may support a vertebral source of "
            f"nociceptive pain", modic, evidence.under("pain.context.modic"),
        )  # fmt: skip
    blood = [f for f in (patient.latest(what) for what in _BLOOD) if f is not None]
    if blood:
        told = ", ".join(f"{concept(f.what).name} {f.number:g} {f.unit}" for f in blood)
        row = evidence.row("pain.context.biomarkers")
        yield _beside("biomarkers", f"{told}: no cut-off tells mechanisms apart", blood, (row,))
    for what, name in _GENES.items():
        gene = patient.latest(what)
        if gene is not None:
            row = evidence.row(name)
            told = f"{concept(what).name} {gene.value}: an association of research"
            yield _beside(what.split(".")[1], told, [gene], (row,))


def _screening(patient: Patient, evidence: Evidence) -> Iterator[Finding]:
    rows = (evidence.row("pain.context.screening"),)
    for form in SCREENING:
        found = answered(form, patient, evidence)
        if found is None:
            continue
        if found.score is None:
            says, status = f"{found.name} has no score, as answers are missing", Status.UNKNOWN
        else:
            band = (found.band or "").replace("_", " ")
            says, status = f"{found.name} {found.score:g} ({band})", Status.ANSWERED
        yield Finding(
            says=f"{says}; an input to NeuPSIG, never alone.", about=form, status=status,
            category=found.band, because=found.finding.because, missing=found.finding.missing,
            rests_on=(*rows, *found.finding.rests_on), limits=(_NEVER_DECISIVE,),
        )  # fmt: skip


def _beside(about: str, told: str, facts: list[Fact], rows: tuple[Row, ...]) -> Finding:
    return Finding(
        says=f"{told}. {rows[0].says}", about=about, category="context", because=tuple(facts),
        rests_on=rows, limits=(_NEVER_DECISIVE,),
    )  # fmt: skip
