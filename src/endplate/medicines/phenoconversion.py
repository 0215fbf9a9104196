"""What medicines that are taken now make of a CYP2D6 genotype.

An inhibitor multiplies the activity score; of several the strongest counts, and of several
sources on one medicine the strongest class. The genotype's own result is kept beside it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from msgspec import Struct

from endplate.evidence import Evidence, Row
from endplate.facts import Fact
from endplate.findings import Finding, Position, Stage, Status
from endplate.medicines.doses import LOCAL_WORDS
from endplate.medicines.metaboliser import Result, concepts, possible, result, score_text, words
from endplate.medicines.phenotype import INDETERMINATE, Call, scaled
from endplate.medicines.tables import table
from endplate.record import Patient
from endplate.rules import rule
from endplate.vocabulary import concept

GENE = "CYP2D6"
ANY = "medicine.cyp2d6_inhibitor"
STRENGTHS = ("strong", "moderate", "weak")  # the strongest first


def changers(enzyme: str, effect: str = "inhibitor") -> tuple[Mapping[str, str], ...]:
    """The lines of the table of inhibitors and inducers that are about one enzyme."""
    return tuple(
        line for line in table("inhibitors").rows
        if line["enzyme"] == enzyme and line["effect"] == effect
    )  # fmt: skip


INHIBITORS = tuple(dict.fromkeys(line["ingredient"] for line in changers(GENE)))


# What is put on the skin, into the eye or the airways changes no enzyme, and no enzyme changes it.
_LOCAL = re.compile(rf"\b({LOCAL_WORDS}|skin|spray|nail|lacquer|mouthwash)\b", re.IGNORECASE)


def systemic(patient: Patient, medicine: str) -> tuple[Fact, ...]:
    """The facts by which a medicine is taken now, those of a local form left out."""
    known = patient.has(medicine)
    if not known.yes:
        return ()
    return tuple(
        fact
        for fact in known.because
        if not _LOCAL.search(f"{fact.details.get('product', '')} {fact.details.get('route', '')}")
    )


class Taken(Struct, frozen=True, kw_only=True):
    """An inhibitor that is taken now: the fact, and every class that a source gives it."""

    fact: Fact
    lines: tuple[Mapping[str, str], ...]

    @property
    def name(self) -> str:
        """What it is called."""
        return concept(self.fact.what).name

    @property
    def strength(self) -> str:
        """The strongest of its classes."""
        return min((line["strength"] for line in self.lines), key=STRENGTHS.index)


class Converted(Struct, frozen=True, kw_only=True):
    """A CYP2D6 result as co-medicines leave it.

    Attributes
    ----------
    genetic
        The result of the genotype.
    taken
        The inhibitors that are taken, the strongest first.
    calls
        What is left of each reading.
    missing
        The question whether a (stronger) inhibitor is taken, where nobody answered it.
    row
        The factor that was applied.
    """

    genetic: Result
    taken: tuple[Taken, ...]
    calls: tuple[Call, ...]
    missing: tuple[str, ...] = ()
    row: Row | None = None

    @property
    def phenotypes(self) -> tuple[str, ...]:
        """Every phenotype that it may be."""
        return possible(self.calls)

    @property
    def changed(self) -> bool:
        """Whether the co-medicines make another phenotype of it."""
        return self.phenotypes != self.genetic.phenotypes


def converted(genetic: Result, patient: Patient, evidence: Evidence) -> Converted:
    """The result of CYP2D6 with the inhibitors that are taken now."""
    taken = sorted(_taken(patient), key=lambda one: STRENGTHS.index(one.strength))
    strongest = taken[0].strength if taken else ""
    missing = () if strongest == STRENGTHS[0] or patient.has(ANY).no else (ANY,)
    if not taken:
        return Converted(genetic=genetic, taken=(), calls=genetic.calls, missing=missing)
    row = evidence.row(f"medicines.phenoconversion.{strongest}")
    calls = tuple(dict.fromkeys(scaled(GENE, call, row.number) for call in genetic.calls))
    return Converted(genetic=genetic, taken=tuple(taken), calls=calls, missing=missing, row=row)


def _taken(patient: Patient) -> Iterator[Taken]:
    for ingredient in INHIBITORS:
        there = systemic(patient, ingredient)
        if there:
            lines = tuple(x for x in changers(GENE) if x["ingredient"] == ingredient)
            yield Taken(fact=there[0], lines=lines)


@rule(
    "medicines.phenoconversion",
    reads=(*concepts(GENE), *INHIBITORS, ANY),
    scores="phenoconversion",
)
def phenoconversion(patient: Patient, evidence: Evidence) -> Finding | None:
    """CYP2D6 as the genotype and the medicines taken now leave it.

    Source      lists of inhibitors (medicines.inhibitors.cyp2d6), factors not read in a source
                (medicines.phenoconversion.*), CPIC's limits (medicines.cyp2d6.phenotype)
    Population  adults with a CYP2D6 result
    Not for     inhibitors that were stopped: some, such as fluoxetine, act on for weeks
    Differs     sources class terbinafine, abiraterone, cimetidine and fluvoxamine differently:
                the strongest class counts and all are shown
    """
    genetic = result(GENE, patient)
    if genetic is None or not genetic.calls:
        return None
    known = converted(genetic, patient, evidence)
    agreed = known.phenotypes[0] if len(known.phenotypes) == 1 else None
    rows = tuple(r for r in (known.row, evidence.row("medicines.inhibitors.cyp2d6"),
                             evidence.row("medicines.cyp2d6.phenotype")) if r)  # fmt: skip
    scores = {(call.score, call.at_least) for call in known.calls}
    one = known.calls[0]
    outdated = table("inhibitors").outdated(patient.on)
    told = bool(known.taken) or not known.missing
    return Finding(
        says=_says(known, told=told),
        status=Status.ANSWERED if agreed and told else Status.UNKNOWN,
        value=one.score if len(scores) == 1 and told else None,
        unit="1" if len(scores) == 1 and one.score is not None and told else "",
        category=agreed if told else None,
        parts={
            "genetic_phenotype": " or ".join(genetic.phenotypes),
            "genetic_activity_score": " or ".join(score_text(c) for c in genetic.calls) or None,
            "phenotype_with_medicines": " or ".join(known.phenotypes) if told else None,
            "factor": known.row.number if known.row else None,
            **{t.fact.what.rpartition(".")[2]: t.strength for t in known.taken},
        },
        because=(genetic.fact, *(t.fact for t in known.taken)),
        missing=known.missing if agreed else (concepts(GENE)[0], *known.missing),
        rests_on=rows,
        positions=tuple(_positions(known, rows)),
        limits=(
            *((outdated,) if outdated else ()),
            "Not for: inhibitors that were stopped: some, such as fluoxetine, act on for weeks",
        ),
        stage=Stage.NOW if known.changed else Stage.BACKGROUND,
    )


def _says(known: Converted, *, told: bool) -> str:
    genetic = _told(known.genetic.phenotypes)
    if not told:
        return (
            f"Whether a medicine inhibits CYP2D6 is not known, as none on record does and nobody "
            f"said that none is taken: by the genotype {genetic}."
        )
    if not known.taken:
        return f"No CYP2D6 inhibitor is taken: as by the genotype, {genetic}."
    names = ", ".join(f"{t.name} ({t.strength})" for t in known.taken)
    verb = "inhibits" if len(known.taken) == 1 else "inhibit"
    if not known.changed:
        return f"{names[0].upper()}{names[1:]} {verb} CYP2D6; it stays {genetic}."
    return (
        f"{names[0].upper()}{names[1:]} {verb} CYP2D6: by the genotype {genetic}, so treated "
        f"{_told(known.phenotypes)}."
    )


def _told(phenotypes: tuple[str, ...]) -> str:
    return " or ".join(words(p) for p in phenotypes)


def _positions(known: Converted, rows: tuple[Row, ...]) -> Iterator[Position]:
    """Each source's class of a medicine on which sources differ."""
    for taken in known.taken:
        if len(taken.lines) == 1:
            continue
        for line in taken.lines:
            note = f"; {line['note']}" if line["note"] else ""
            yield Position(
                holder=f"{taken.name}: {line['source']}",
                says=f"{taken.name} is a {line['strength']} inhibitor of CYP2D6{note}",
                rests_on=rows[1:2],
                default=line["strength"] == taken.strength,
            )


def as_text(known: Converted) -> str:
    """The phenotype by the genotype, and where medicines change it, that with them."""
    genetic = f"{known.genetic.gene} {_told(known.genetic.phenotypes)}"
    if not known.changed:
        return genetic
    names = " and ".join(t.name for t in known.taken if t.strength != STRENGTHS[-1])
    return f"{genetic}, with {names} {_told(known.phenotypes)}"


def is_open(known: Converted) -> bool:
    """Whether nothing can be advised on it."""
    return not known.calls or INDETERMINATE in known.phenotypes
