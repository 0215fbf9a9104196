"""What the rooms without pictures show as tables: pain, medicines and genes, answers, risk.

The tables are made of facts and findings and add nothing to them; each finding stands in full,
with its reasons, at its stage of care.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from endplate import vocabulary
from endplate.findings import AnyFinding, Finding, PartValue, Status
from endplate.record import Patient
from endplate.report.geometry import Table

_MECHANISMS = ("neuropathic", "nociplastic", "nociceptive")
_MEDICINE, _OTHER = "medicine.", "medicine.other"
_GENES = ("CYP2B6", "CYP2C9", "CYP2C19", "CYP2D6", "CYP3A4", "CYP3A5")
_BY_GENE = (
    "medicines.opioid_genes", "medicines.nsaid_genes", "medicines.antidepressant_genes",
    "medicines.carbamazepine_hla",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Room:
    """A part of the report: its heading, how it is to be read, and its tables."""

    key: str
    heading: str
    how: str
    tables: tuple[Table, ...]


def rooms(patient: Patient, findings: Sequence[AnyFinding]) -> tuple[Room, ...]:
    """The rooms that have something to show, in the order in which they are read."""
    by_key = {f.key: f for f in findings}
    found = (
        Room(
            "pain", "Pain",
            "Research and support for a decision, never a diagnosis. What nobody asked is unknown, "
            "and no sign that it is not there.",
            _kept(_mechanism(by_key.get("pain.mechanism"))),
        ),
        Room(
            "medicines", "Medicines and genes",
            "As the record has them, which need not be as they are taken. A genotype alone changes "
            "no dose; rare variants are not tested.",
            _kept(_medicines(patient), _genes(by_key), _advice(findings)),
        ),
        Room(
            "answers", "Questionnaires",
            "Scores of what the person answered. Change is told in numbers, in percent and as a "
            "state, since none of the three tells it alone.",
            _kept(_answers(findings)),
        ),
        Room(
            "risk", "Scores of risk",
            "Published scores, each for the people in whom it was made. None of them decides about "
            "an operation.",
            _kept(_risk(findings)),
        ),
    )  # fmt: skip
    return tuple(room for room in found if room.tables)


def _kept(*tables: Table) -> tuple[Table, ...]:
    return tuple(t for t in tables if t.lines)


def _plain(text: object) -> str:
    return str(text).replace("_", " ")


# -- pain -----------------------------------------------------------------------------------------


def _mechanism(finding: Finding | None) -> Table:
    """For each mechanism its grade, and what speaks for it and against it."""
    lines = []
    parts = finding.parts if finding is not None else {}
    for name in _MECHANISMS if parts else ():
        grade = parts.get(f"{name}_still_possible") or parts.get(name) or ""
        told = (_plain(grade), parts.get(f"for_{name}"), parts.get(f"against_{name}"))
        if any(told):
            lines.append((name, *(str(t or "") for t in told)))
    return Table("Mechanism of the pain", ("Mechanism", "Grade", "For", "Against"), tuple(lines))


# -- medicines and genes --------------------------------------------------------------------------


def _medicines(patient: Patient) -> Table:
    """What is taken on the day of the plan, with its doses as they were understood."""
    lines = []
    for fact in patient.under(_MEDICINE):
        details = fact.details
        taken = fact.what == _OTHER or fact.value is True
        if not taken or (fact.until is not None and fact.until <= patient.on):
            continue
        if not details:
            continue  # an answer about a class, such as "no inhibitor", is no medicine
        name = str(fact.value) if fact.what == _OTHER else vocabulary.concept(fact.what).name
        day = _dose(details.get("daily_dose"), details)
        least = _dose(details.get("daily_dose_least"), details)
        doubt = details.get("dose_assumed") or details.get("dose_not_understood") or ""
        lines.append((
            name, str(details.get("dosage", "")), f"{least} to {day}" if least else day,
            str(doubt), str(fact.on or "no date"),
        ))  # fmt: skip
    headings = ("Medicine", "As written", "A day, at the highest", "Assumed or not understood",
                "Since")  # fmt: skip
    return Table("Medicines on record", headings, tuple(dict.fromkeys(lines)))


def _dose(amount: float | str | None, details: Mapping[str, float | str]) -> str:
    if not isinstance(amount, float | int):
        return ""
    return f"{amount:g} {details.get('daily_dose_unit', '')}".strip()


def _genes(by_key: Mapping[str, AnyFinding]) -> Table:
    """Each gene's diplotype, score and phenotype; CYP2D6 also with the medicines that are taken."""
    lines = []
    for gene in _GENES:
        finding = by_key.get(f"medicines.{gene.lower()}")
        if finding is None:
            continue
        parts = finding.parts
        beside = by_key.get("medicines.phenoconversion") if gene == "CYP2D6" else None
        with_medicines = beside.parts.get("phenotype_with_medicines") if beside else None
        lines.append((
            gene, _told(parts, "diplotype"), _told(parts, "source"),
            _told(parts, "activity_score"), _told(parts, "phenotype"),
            _plain(with_medicines or ""),
        ))  # fmt: skip
    headings = ("Gene", "Diplotype", "Called from", "Activity score", "Phenotype",
                "With the medicines taken")  # fmt: skip
    return Table("Genes of medicines", headings, tuple(lines))


def _told(parts: Mapping[str, PartValue], name: str) -> str:
    value = parts.get(name)
    return "" if value is None else _plain(value)


def _advice(findings: Iterable[AnyFinding]) -> Table:
    """What each guideline advises on a medicine by a gene, side by side."""
    lines = []
    for finding in findings:
        if finding.rule not in _BY_GENE:
            continue
        held = {p.holder: p.says for p in finding.positions}
        says = " ".join(f"{who}: {what}" for who, what in held.items()) or finding.says
        lines.append((_plain(finding.about), says))
    return Table("Advice by genes", ("Medicine", "What the guidelines hold"), tuple(lines))


# -- answers and risk -----------------------------------------------------------------------------


def _answers(findings: Sequence[AnyFinding]) -> Table:
    """Each form's newest score, its band, and what changed since the one before."""
    by_key = {f.key: f for f in findings if f.rule.startswith("questionnaires.")}
    lines = []
    for key, finding in by_key.items():
        if finding.about or finding.status is not Status.ANSWERED:
            continue
        days = [fact.on for fact in finding.because if fact.on]
        score = "" if finding.value is None else f"{finding.value:.3g} {_unit(finding)}".strip()
        change = by_key.get(f"{key}@change")
        lines.append((
            _form(finding), str(max(days)) if days else "no date", score,
            _plain(finding.category or ""), change.says if change else "",
        ))  # fmt: skip
    headings = ("Form", "Answered", "Score", "Band", "Change")
    return Table("What the answers say", headings, tuple(sorted(lines)))


def _unit(finding: Finding) -> str:
    return "" if finding.unit == "1" else finding.unit


def _form(finding: Finding) -> str:
    """The form's own name."""
    id = finding.rule.partition(".")[2]
    known = vocabulary.concepts().get(f"questionnaire.{id}.score")
    return known.name.removeprefix("score of ") if known else _plain(id)


def _risk(findings: Sequence[AnyFinding]) -> Table:
    lines = []
    for finding in findings:
        if not finding.rule.startswith("risk.") or finding.status is not Status.ANSWERED:
            continue
        sources = ", ".join(dict.fromkeys(c.key for c in finding.cites))
        verified = "" if finding.verified else "; not all numbers verified"
        name = _plain(finding.key.removeprefix("risk.")).replace("@", ", ").replace(".", ", ")
        lines.append((name, finding.says, f"{sources}{verified}"))
    return Table("What the scores say", ("Score", "Answer", "Source"), tuple(sorted(lines)))
