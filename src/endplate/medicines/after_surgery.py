"""Pain medicines that may be needed after an operation, by the genes that are known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from endplate.evidence import Evidence, Row
from endplate.findings import Finding, Position, Stage, Status, Urgency
from endplate.medicines.gene_advice import (
    ANTI_INFLAMMATORIES,
    INERT,
    OPIOIDS,
    Advised,
    State,
    advised,
    either,
    row_of,
    state,
)
from endplate.medicines.metaboliser import RARE, concepts
from endplate.medicines.phenoconversion import ANY, GENE, INHIBITORS
from endplate.medicines.phenotype import INDETERMINATE
from endplate.medicines.tables import table
from endplate.record import Patient
from endplate.rules import rule
from endplate.vocabulary import concept

_DRUGS = {GENE: OPIOIDS, "CYP2C9": ANTI_INFLAMMATORIES}
_NOT_BY = {GENE: "medicines.advice.not_by_cyp2d6", "CYP2C9": "medicines.advice.not_by_cyp2c9"}


@rule(
    "medicines.genes_after_surgery",
    reads=(*(what for gene in _DRUGS for what in concepts(gene)), *INHIBITORS, ANY),
)
def genes_after_surgery(patient: Patient, evidence: Evidence) -> Iterator[Finding]:
    """Which opioids and anti-inflammatory medicines to avoid or prefer by the genes.

    Source      CPIC and DPWG (medicines.advice.cpic_opioids, medicines.advice.dpwg_opioids,
                medicines.advice.cpic_nsaids), and what does not hang on the gene
                (medicines.advice.not_by_cyp2d6, medicines.advice.not_by_cyp2c9)
    Population  adults with a result of CYP2D6 or CYP2C9
    Not for     whether such a medicine may be given at all; children under 12
    """
    for gene in _DRUGS:
        known = state(gene, patient, evidence)
        if known is not None:
            yield _of_gene(known, patient, evidence)


def _of_gene(known: State, patient: Patient, evidence: Evidence) -> Finding:
    gene = known.gene
    other = evidence.row(_NOT_BY[gene])
    outdated = table("gene_advice").outdated(patient.on)
    limits = tuple(text for text in (RARE, outdated) if text)
    taken = known.with_medicines.taken if known.with_medicines is not None else ()
    because = (known.genetic.fact, *(one.fact for one in taken))
    found = [advised(drug, (known,), evidence) for drug in _DRUGS[gene]]
    said = [one for one in found if one.lines]
    if not said:
        reason = "indeterminate" if INDETERMINATE in dict(known.readings) else "open"
        return Finding(
            says=f"{known.said}: as it is {reason}, no advice on pain medicines follows from it.",
            about=gene, status=Status.UNKNOWN, because=because,
            missing=(concepts(gene)[0], *known.missing), rests_on=(other,), limits=limits,
            stage=Stage.AFTER_SURGERY,
        )  # fmt: skip
    settled = all(len(one.actions) == 1 for one in said)
    special = [one for one in said if set(one.all_actions) - set(INERT)]
    copies = (
        " Copy number is unknown: a deletion or duplication could change it."
        if known.genetic.copies_unknown
        else ""
    )
    return Finding(
        says=f"For pain after surgery, {known.said}: {_grouped(said)} (CPIC). "
        f"{other.says[0].upper()}{other.says[1:]}.{copies}",
        about=gene,
        status=Status.ANSWERED if settled else Status.UNKNOWN,
        category=("choose" if special else "as_usual") if settled else None,
        parts={one.drug: " or ".join(one.actions) for one in said},
        because=because,
        missing=known.missing if settled else (concepts(gene)[0], *known.missing),
        rests_on=(*_rows(said, evidence), other),
        positions=tuple(_positions(found, evidence)),
        limits=limits,
        stage=Stage.AFTER_SURGERY,
        urgency=Urgency.ROUTINE if special else Urgency.INFORMATION,
    )


def _grouped(found: Iterable[Advised]) -> str:
    """The medicines by what is advised on them, the most pressing first."""
    groups: dict[str, list[str]] = {}
    for one in found:
        groups.setdefault(either(one.actions), []).append(concept(f"medicine.{one.drug}").name)
    return "; ".join(f"{what}: {', '.join(names)}" for what, names in groups.items())


def _rows(found: Iterable[Advised], evidence: Evidence) -> tuple[Row, ...]:
    rows = (row_of(line, one.drug, evidence) for one in found for line in one.lines)
    return tuple(dict.fromkeys(rows))


def _positions(found: list[Advised], evidence: Evidence) -> Iterator[Position]:
    holders = dict.fromkeys(holder for one in found for holder in one.by_holder)
    for holder in holders:
        there = [(one, one.by_holder[holder]) for one in found if holder in one.by_holder]
        groups: dict[str, list[str]] = {}
        for one, lines in there:
            said = either(dict.fromkeys(line["action"] for line in lines))
            groups.setdefault(said, []).append(concept(f"medicine.{one.drug}").name)
        yield Position(
            holder=holder,
            says="; ".join(f"{what}: {', '.join(names)}" for what, names in groups.items()),
            rests_on=tuple(dict.fromkeys(
                row_of(line, one.drug, evidence) for one, lines in there for line in lines
            )),
            default=any(one.default == holder for one, _ in there),
        )  # fmt: skip
