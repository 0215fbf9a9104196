"""Carbamazepine and oxcarbazepine by HLA: who is at risk of a severe skin reaction.

The alleles come from a laboratory only. An allele that nobody tested for is unknown, never absent.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from endplate.evidence import Evidence
from endplate.facts import Fact
from endplate.findings import Finding, Position, Recommendation, Stage, Status, Urgency
from endplate.medicines.gene_advice import Line, either, filled, lines_of, row_of, sentence_of
from endplate.record import Known, Patient
from endplate.rules import rule
from endplate.vocabulary import concept

ALLELES = {"HLA-B*15:02": "gene.hla_b_15_02", "HLA-A*31:01": "gene.hla_a_31_01"}
# Of oxcarbazepine nothing is known by the second allele.
DRUGS = {"carbamazepine": tuple(ALLELES), "oxcarbazepine": ("HLA-B*15:02",)}


@rule(
    "medicines.carbamazepine_hla",
    reads=(*(f"medicine.{drug}" for drug in DRUGS), *ALLELES.values()),
)
def carbamazepine_hla(patient: Patient, evidence: Evidence) -> Iterator[Finding]:
    """What HLA-B*15:02 and HLA-A*31:01 mean for carbamazepine or oxcarbazepine that is taken.

    Source      CPIC and DPWG (medicines.advice.cpic_hla, medicines.advice.dpwg_hla,
                medicines.advice.tolerated_days)
    Population  people who take or are ordered either medicine
    Not for     other alleles with the same risk, such as HLA-B*15:11; people who had a reaction
    """
    for drug, alleles in DRUGS.items():
        taken = patient.has(f"medicine.{drug}")
        if taken.yes:
            yield _of_drug(drug, alleles, taken, patient, evidence)


def _of_drug(
    drug: str, alleles: tuple[str, ...], taken: Known, patient: Patient, evidence: Evidence
) -> Finding:
    known = {allele: patient.has(ALLELES[allele]) for allele in alleles}
    positive = [allele for allele in alleles if known[allele].yes]
    unknown = tuple(ALLELES[allele] for allele in alleles if known[allele].unknown)
    name = concept(f"medicine.{drug}").name
    because = (*taken.because, *(f for k in known.values() for f in k.because))
    guideline = evidence.row("medicines.advice.cpic_hla")
    limits = (
        "Not for: other alleles with the same risk, such as HLA-B*15:11; people who had a reaction",
    )
    if not positive and unknown:
        asked = " and ".join(allele for allele in alleles if known[allele].unknown)
        are = "are" if len(unknown) > 1 else "is"
        return Finding(
            says=f"{sentence_of(name)} is taken, and {asked} {are} not known: an allele that "
            f"nobody tested for is not absent.",
            about=drug, status=Status.UNKNOWN, because=because, missing=unknown,
            rests_on=(guideline,), limits=limits, stage=Stage.NOW, urgency=Urgency.ROUTINE,
        )  # fmt: skip
    lasting = evidence.row("medicines.advice.tolerated_days")
    days = _days(taken.because, patient)
    tolerated = days is not None and lasting.met(days)
    when = "tolerated" if tolerated else "naive"
    lines = [line for line in lines_of(drug) if _counts(line, positive, when)]
    cpic = [line for line in lines if line["holder"] == "CPIC"]
    action = cpic[0]["action"]
    missing = unknown
    unless = ""
    if positive and days is None:
        missing = (*unknown, f"medicine.{drug}")
        unless = (
            " Since when it is taken is not known: after more than three months without a skin "
            "reaction it may go on with caution."
        )
    carried = " and ".join(positive) if positive else f"without {' and '.join(alleles)}"
    shared: dict[str, Any] = {
        "says": f"{sentence_of(name)}, {carried}: {either([action])} (CPIC).{unless}",
        "about": drug,
        "category": action,
        "parts": {
            "drug": drug,
            **{ALLELES[a].removeprefix("gene."): k.answer for a, k in known.items()},
            "taken_days": None if days is None else float(days),
            "tolerated": tolerated if positive else None,
        },
        "because": because,
        "missing": missing,
        "rests_on": (*(row_of(line, drug, evidence) for line in cpic), lasting),
        "strength": cpic[0]["strength"],
        "positions": tuple(
            Position(
                holder=line["holder"], says=filled(line, drug),
                rests_on=(row_of(line, drug, evidence),), default=line is cpic[0],
            )
            for line in lines
        ),
        "limits": limits,
        "stage": Stage.NOW,
    }  # fmt: skip
    if not positive:
        return Finding(**shared)
    return Recommendation(
        **shared,
        urgency=Urgency.ROUTINE if tolerated else Urgency.SOON,
        action=filled(cpic[0], drug),
        who="the clinician who prescribes it",
    )


def _counts(line: Line, positive: list[str], when: str) -> bool:
    """Whether a line is for these alleles; HLA-B*15:02 decides whatever the other one is."""
    if not positive:
        return line["phenotype"] == "negative"
    return (
        line["phenotype"] == "positive"
        and line["gene"] == positive[0]
        and line["when"] in ("", when)
    )


def _days(because: tuple[Fact, ...], patient: Patient) -> int | None:
    """For how many days it has been taken, by the earliest day on record."""
    begun = [fact.on for fact in because if fact.on is not None]
    return (patient.on - min(begun)).days if begun else None
