"""Genes of pain that are research: what studies found, and that none of it changes a dose."""

from __future__ import annotations

from collections.abc import Iterator

from endplate import vocabulary
from endplate.evidence import Evidence, Row
from endplate.findings import Finding, Position, Stage
from endplate.record import Patient
from endplate.rules import rule

_ROWS = "medicines.research."
# Which studies speak of which variant.
_STUDIES = {
    "gene.comt.rs4680": (
        "comt.activity", "comt.stenosis", "comt.back_pain", "comt.radicular",
    ),
    "gene.comt.diplotype": ("comt.haplotypes", "comt.not_replicated"),
    "gene.oprm1.rs1799971": ("oprm1.morphine", "comt.back_pain", "comt.radicular"),
    "gene.gch1.rs8007267": ("gch1.discectomy",),
    "gene.gch1.rs3783641": ("gch1.discectomy",),
    "gene.gch1.rs10483639": ("gch1.discectomy",),
    "gene.gch1.rs998259": ("gch1.degeneration",),
    "gene.npy.rs16147": ("npy.stenosis",),
    "gene.abcb1.rs1045642": ("abcb1.morphine",),
}  # fmt: skip


@rule("medicines.research_genes", reads=_STUDIES)
def research_genes(patient: Patient, evidence: Evidence) -> Iterator[Finding]:
    """Variants of genes of pain are a research association and change no dose.

    Source      medicines.research.*
    Population  people with spinal pain in association studies, mostly small
    Not for     choosing or dosing a medicine: no guideline acts on any of these variants
    Differs     studies of one variant contradict each other; each is shown
    """
    no_action = evidence.row(f"{_ROWS}no_action")
    for what, names in _STUDIES.items():
        fact = patient.latest(what)
        if fact is None:
            continue
        studies = [evidence.row(_ROWS + name) for name in names]
        concept = vocabulary.concept(what)
        only = studies[0] if len(studies) == 1 else None
        yield Finding(
            about=what.removeprefix("gene."),
            says=f"{concept.name} {fact.value}: a research association; no dose changes"
            + (f". {_sentence(only)}" if only else "; studies are shown beside each other."),
            category="research",
            because=(fact,),
            rests_on=(no_action, *((only,) if only else ())),
            positions=() if only else tuple(
                Position(holder=_holder(row, evidence), says=row.says, rests_on=(row,))
                for row in studies
            ),
            stage=Stage.BACKGROUND,
        )  # fmt: skip


def _sentence(row: Row) -> str:
    return f"{row.says[0].upper()}{row.says[1:]}."


def _holder(row: Row, evidence: Evidence) -> str:
    """Whose finding it is: its source, by its title."""
    return evidence.references[row.cites[0].key].title
