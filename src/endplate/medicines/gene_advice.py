"""What CPIC and DPWG advise on a medicine that is taken, by the person's genes.

The advice stands in a table: a line per medicine, guideline and phenotype, or activity score where
that decides. Both guidelines are shown; a choice says whose advice gives the finding its category.
What co-medicines make of CYP2D6 counts, and the genotype's own phenotype stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import product
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from endplate.evidence import Evidence, Row, row_with
from endplate.findings import (
    Finding,
    PartValue,
    Position,
    Recommendation,
    Stage,
    Status,
    Urgency,
)
from endplate.medicines.metaboliser import (
    RARE,
    Result,
    concepts,
    other_copies,
    possible,
    result,
    score_text,
    words,
)
from endplate.medicines.phenoconversion import (
    ANY,
    GENE,
    INHIBITORS,
    Converted,
    as_text,
    changers,
    converted,
    systemic,
)
from endplate.medicines.phenotype import INDETERMINATE, Call, scaled
from endplate.medicines.tables import table
from endplate.record import Patient
from endplate.rules import rule
from endplate.vocabulary import concept

OPIOIDS = ("codeine", "tramadol", "hydrocodone", "oxycodone", "methadone")
ANTI_INFLAMMATORIES = (
    "celecoxib", "ibuprofen", "flurbiprofen", "lornoxicam", "meloxicam", "piroxicam", "tenoxicam",
    "acetylsalicylic_acid", "ketorolac", "naproxen", "sulindac", "diclofenac", "indometacin",
)  # fmt: skip
TRICYCLICS = (
    "amitriptyline", "nortriptyline", "clomipramine", "desipramine", "doxepin", "imipramine",
    "trimipramine",
)  # fmt: skip
ANTIDEPRESSANTS = (*TRICYCLICS, "venlafaxine", "duloxetine")

_OTHER_GENE = "CYP2C19"
_SLOW = "CYP2C9"
_SLOWED_BY = tuple(line["ingredient"] for line in changers(_SLOW))
INERT = ("usual_dose", "no_recommendation", "no_action")
_SOON = ("avoid", "avoid_or_reduce", "avoid_above_dose")
_INTO_WORDS = {
    "usual_dose": "usual dose",
    "usual_dose_then_switch": "usual dose, and another if it does not work",
    "avoid": "avoid",
    "avoid_or_reduce": "avoid, or a much lower dose",
    "avoid_above_dose": "not above a low dose",
    "alternative": "another medicine",
    "alternative_or_reduce": "another medicine, or a much lower dose",
    "reduce_or_alternative": "a much lower dose, or another medicine",
    "reduce": "a lower dose",
    "lowest_dose": "the lowest dose to start with",
    "raise": "a higher dose",
    "caution": "with caution",
    "no_recommendation": "no recommendation",
    "no_action": "no change",
}
Line = Mapping[str, str]


class State(Struct, frozen=True, kw_only=True):
    """What counts of one gene for advice: each reading, with co-medicines taken into account."""

    gene: str
    genetic: Result
    calls: tuple[Call, ...]
    said: str
    missing: tuple[str, ...] = ()
    with_medicines: Converted | None = None

    @property
    def readings(self) -> tuple[tuple[str, float | None], ...]:
        """Each phenotype that it may be, with its score where that is known."""
        found = [(p, c.score) for c in self.calls for p in c.phenotypes]
        return tuple(dict.fromkeys(found)) or ((INDETERMINATE, None),)


def state(gene: str, patient: Patient, evidence: Evidence) -> State | None:
    """What counts of one gene; None where there is no result."""
    genetic = result(gene, patient)
    if genetic is None:
        return None
    if gene != GENE:
        said = " or ".join(words(p) for p in genetic.phenotypes) or INDETERMINATE
        return State(gene=gene, genetic=genetic, calls=genetic.calls, said=f"{gene} {said}")
    known = converted(genetic, patient, evidence)
    copies = ("gene.cyp2d6.activity_score",) if genetic.copies_unknown else ()
    said = as_text(known) if genetic.calls else f"{gene} {INDETERMINATE}"
    return State(
        gene=gene, genetic=genetic, calls=known.calls, said=said,
        missing=(*known.missing, *copies), with_medicines=known,
    )  # fmt: skip


# -- the table ------------------------------------------------------------------------------------


@cache
def lines_of(drug: str) -> tuple[Line, ...]:
    """The lines of the table that are about one medicine."""
    return tuple(line for line in table("gene_advice").rows if drug in line["drugs"].split())


def genes_of(drug: str) -> tuple[str, ...]:
    """The genes by which a medicine has advice."""
    both = [g for line in lines_of(drug) for g in (line["gene"], line["gene_2"]) if g]
    return tuple(sorted(dict.fromkeys(both)))


def advice(
    drug: str, readings: Mapping[str, tuple[str, float | None]]
) -> dict[str, tuple[Line, ...]]:
    """The lines of each guideline for one reading of every gene that is known.

    Several lines of one guideline only where a phenotype without its score leaves them open.
    """
    known = {g: r for g, r in readings.items() if r[0] != INDETERMINATE}
    found: dict[str, tuple[Line, ...]] = {}
    for line in lines_of(drug):
        # Beside a gene that is indeterminate nobody says that the dose is the usual one.
        cautious = len(readings) > len(known) and line["action"] in INERT
        if line["when"] == "alone" and (len(known) > 1 or cautious):
            continue
        if _fits(line, "gene", "phenotype", known) and (
            not line["gene_2"] or _fits(line, "gene_2", "phenotype_2", known)
        ):
            found[line["holder"]] = (*found.get(line["holder"], ()), line)
    return found


def _fits(
    line: Line, gene: str, phenotype: str, known: Mapping[str, tuple[str, float | None]]
) -> bool:
    if line[gene] not in known:
        return False
    said, score = known[line[gene]]
    if said.removeprefix("likely_") not in line[phenotype].split():
        return False
    return gene != "gene" or not line["score"] or score is None or float(line["score"]) == score


@cache
def _row_of(base: Row, drug: str, number: int) -> Row:
    """The evidence behind one line of the table."""
    line = lines_of(drug)[number]
    return row_with(
        base,
        name=f"{base.name}.{drug}.{line['phenotype'].replace(' ', '_or_')}",
        says=filled(line, drug),
        strength=line["strength"],
        verified=line["mark"] != "U-H",
        mark=line["mark"],
    )  # fmt: skip


def row_of(line: Line, drug: str, evidence: Evidence) -> Row:
    """The evidence row of a line: that of its guideline, with the line's own words and mark."""
    return _row_of(evidence.row(line["row"]), drug, lines_of(drug).index(line))


def filled(line: Line, drug: str) -> str:
    """A line's words with the medicine's name in them."""
    return line["says"].replace("{drug}", concept(f"medicine.{drug}").name)


# -- one medicine that is taken -------------------------------------------------------------------


class Advised(Struct, frozen=True, kw_only=True):
    """What the guidelines say of one medicine for one person.

    Attributes
    ----------
    drug, states
        The medicine, and what is known of its genes.
    by_holder
        The lines of each guideline that the readings leave open.
    silent
        Guidelines that say nothing on some of the readings.
    default
        The guideline that gives the category; empty where none can.
    """

    drug: str
    states: tuple[State, ...]
    by_holder: Mapping[str, tuple[Line, ...]]
    silent: tuple[str, ...]
    default: str

    @property
    def lines(self) -> tuple[Line, ...]:
        """Those of the guideline that gives the category."""
        return self.by_holder.get(self.default, ())

    @property
    def actions(self) -> tuple[str, ...]:
        """Every class of action that its lines leave open."""
        return tuple(dict.fromkeys(line["action"] for line in self.lines))

    @property
    def all_actions(self) -> tuple[str, ...]:
        """Those of every guideline."""
        every = (line["action"] for lines in self.by_holder.values() for line in lines)
        return tuple(dict.fromkeys(every))


def advised(drug: str, states: Iterable[State], evidence: Evidence) -> Advised:
    """All lines that the readings of the genes leave open, by guideline."""
    there = tuple(states)
    genes = [s.gene for s in there]
    by_holder: dict[str, tuple[Line, ...]] = {}
    each = [
        advice(drug, dict(zip(genes, reading, strict=True)))
        for reading in product(*(s.readings for s in there))
    ]
    for said in each:
        for holder, lines in said.items():
            by_holder[holder] = tuple(_unique((*by_holder.get(holder, ()), *lines)))
    # A guideline that is silent on one reading does not say what holds for the person.
    silent = tuple(h for h in by_holder if not all(h in said for said in each))
    whole = [holder for holder in by_holder if holder not in silent]
    wanted = evidence.choice("medicines.gene_guideline").use
    default = wanted if wanted in whole else next(iter(whole), "")
    return Advised(drug=drug, states=there, by_holder=by_holder, silent=silent, default=default)


def _unique(lines: Iterable[Line]) -> Iterator[Line]:
    seen: list[Line] = []
    for line in lines:
        if line not in seen:
            seen.append(line)
            yield line


def _of_drug(drug: str, patient: Patient, evidence: Evidence) -> Finding | None:
    """The finding on one medicine that is taken and has a result for one of its genes."""
    taken = systemic(patient, f"medicine.{drug}")
    if not taken:
        return None
    genes = genes_of(drug)
    states = [s for s in (state(g, patient, evidence) for g in genes) if s is not None]
    if not states:
        return None
    found = advised(drug, states, evidence)
    without = tuple(concepts(g)[0] for g in genes if g not in {s.gene for s in states})
    missing = tuple(dict.fromkeys((*without, *(m for s in states for m in s.missing))))
    because = tuple(dict.fromkeys((
        *taken, *(s.genetic.fact for s in states),
        *(t.fact for s in states if s.with_medicines for t in s.with_medicines.taken),
    )))  # fmt: skip
    name = concept(f"medicine.{drug}").name
    said = "; ".join(s.said for s in states)
    limits = tuple(_limits(found, patient, evidence))
    parts = _parts(found)
    if not found.lines:
        return Finding(
            says=f"{said}: no advice on {name} follows from it.",
            about=drug, status=Status.UNKNOWN, parts=parts, because=because,
            missing=(*(concepts(s.gene)[0] for s in states), *missing),
            rests_on=_guidelines(drug, evidence), limits=limits,
        )  # fmt: skip
    urgency = _urgency(found.all_actions)
    settled = len(found.actions) == 1
    rows = tuple(row_of(line, drug, evidence) for line in found.lines)
    more = _low_dose(drug, evidence)
    conditional = tuple(_if_copied(found, evidence))
    views = "; ".join(
        f"{holder}: {either(_actions(lines))}{_for_some(holder, found)}"
        for holder, lines in in_order(found)
    )
    sentence = f"{sentence_of(name)}, by {said}. {views}."
    if not settled:
        sentence = f"{sentence_of(name)}, by {said}: which advice holds is open. {views}."
        missing = (*_deciding(found), *missing)
    sentence += _copies(found, conditional)
    shared: dict[str, Any] = {
        "says": sentence + "".join(f" {sentence_of(r.says)}." for r in more),
        "about": drug,
        "status": Status.ANSWERED if settled else Status.UNKNOWN,
        "category": found.actions[0] if settled else None,
        "parts": parts,
        "because": because,
        "missing": missing,
        "rests_on": (*rows, *more, *_gene_rows(found, evidence)),
        "strength": _joined(line["strength"] for line in found.lines),
        "positions": tuple(_positions(found, evidence)),
        "limits": limits,
        "stage": Stage.NOW,
        "urgency": urgency,
    }
    if urgency is Urgency.INFORMATION:
        return Finding(**shared | {"limits": (*conditional, *limits)})
    acting = next(
        (lines for holder, lines in in_order(found) if _urgency(_actions(lines)) is urgency), ()
    )
    return Recommendation(
        **shared,
        action=_told(acting, found),
        who="the clinician who prescribes it",
        would_change=(*conditional, *(f"{s.gene} known with certainty" for s in states
                                      if len(s.readings) > 1)),
    )  # fmt: skip


def in_order(found: Advised) -> Iterator[tuple[str, tuple[Line, ...]]]:
    """The guidelines, that of the category first."""
    yield from sorted(found.by_holder.items(), key=lambda item: item[0] != found.default)


def _actions(lines: Iterable[Line]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(line["action"] for line in lines))


def _urgency(actions: Iterable[str]) -> Urgency:
    there = set(actions)
    if there & set(_SOON):
        return Urgency.SOON
    return Urgency.ROUTINE if there - set(INERT) else Urgency.INFORMATION


def either(actions: Iterable[str]) -> str:
    """Classes of action in words."""
    return " or ".join(_INTO_WORDS[action] for action in actions)


def _joined(strengths: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(s for s in strengths if s))


def sentence_of(text: str) -> str:
    """A text with a capital at its beginning."""
    return text[0].upper() + text[1:]


def _guidelines(drug: str, evidence: Evidence) -> tuple[Row, ...]:
    return tuple(evidence.row(name) for name in dict.fromkeys(x["row"] for x in lines_of(drug)))


def _low_dose(drug: str, evidence: Evidence) -> tuple[Row, ...]:
    wanted = drug in TRICYCLICS
    return (evidence.row("medicines.advice.tricyclics_low_dose"),) if wanted else ()


def _gene_rows(found: Advised, evidence: Evidence) -> Iterator[Row]:
    for each in found.states:
        yield evidence.row(f"medicines.{each.gene.lower()}.phenotype")
        if each.with_medicines is not None and each.with_medicines.row is not None:
            yield each.with_medicines.row
            yield evidence.row("medicines.inhibitors.cyp2d6")


def _deciding(found: Advised) -> Iterator[str]:
    """What would settle which of several lines holds."""
    for each in found.states:
        if len(each.readings) > 1:
            yield concepts(each.gene)[0]
        elif each.readings[0][1] is None and any(line["score"] for line in found.lines):
            yield f"gene.{each.gene.lower()}.activity_score"


def _positions(found: Advised, evidence: Evidence) -> Iterator[Position]:
    for holder, lines in in_order(found):
        yield Position(
            holder=holder,
            says=_told(lines, found),
            rests_on=tuple(row_of(line, found.drug, evidence) for line in lines),
            default=holder == found.default,
        )


def _for_some(holder: str, found: Advised) -> str:
    return " for some of the readings" if holder in found.silent else ""


def _told(lines: Iterable[Line], found: Advised) -> str:
    """The lines' own words, each with its phenotype where it is open which holds."""
    there = list(lines)
    open_still = len(there) > 1 or any(len(s.readings) > 1 for s in found.states)
    return " ".join(
        f"If {_condition(line)}: {filled(line, found.drug)}" if open_still
        else filled(line, found.drug)
        for line in there
    )  # fmt: skip


def _condition(line: Line) -> str:
    """For whom a line is."""
    both = [(line["gene"], line["phenotype"]), (line["gene_2"], line["phenotype_2"])]
    said = [f"{g} {' or '.join(words(p) for p in ps.split())}" for g, ps in both if g]
    score = f" with a score of {line['score']}" if line["score"] else ""
    return " and ".join(said) + score


def _if_copied(found: Advised, evidence: Evidence) -> Iterator[str]:
    """What a deletion or duplication that variants do not show would make of the advice."""
    for each in found.states:
        known = each.with_medicines
        if known is None or not each.genetic.copies_unknown or len(each.genetic.calls) != 1:
            continue
        factor = 1.0 if known.row is None else known.row.number
        for what, calls in other_copies(each.genetic):
            changed = tuple(scaled(each.gene, call, factor) for call in calls)
            states = [replace(s, calls=changed) if s is each else s for s in found.states]
            other = advised(found.drug, states, evidence)
            if other.all_actions != found.all_actions:
                said = " or ".join(words(p) for p in possible(changed))
                yield f"If a CYP2D6 gene is {what}: {said}, {either(other.all_actions)}."


def _copies(found: Advised, conditional: tuple[str, ...]) -> str:
    """What is to be said of a copy number that nobody knows."""
    unknown = [s.genetic for s in found.states if s.genetic.copies_unknown]
    if not unknown:
        return ""
    decided = len(unknown[0].calls) == 1 and not conditional
    return " Copy number is unknown: a deletion or duplication would " + (
        "not change this." if decided else "change it."
    )


def _limits(found: Advised, patient: Patient, evidence: Evidence) -> Iterator[str]:
    yield RARE
    outdated = table("gene_advice").outdated(patient.on)
    if outdated:
        yield outdated
    for row in _guidelines(found.drug, evidence):
        if row.not_for:
            yield f"Not for: {row.not_for}"
    if any(s.gene == _SLOW for s in found.states):
        for ingredient in _SLOWED_BY:
            if systemic(patient, ingredient):
                name = concept(ingredient).name
                yield f"{sentence_of(name)} inhibits {_SLOW} besides, by no known factor."


def _parts(found: Advised) -> dict[str, PartValue]:
    parts: dict[str, PartValue] = {
        "drug": found.drug,
        "guideline": found.default,
        "table_dated": table("gene_advice").dated.isoformat(),
    }
    for each in found.states:
        gene, genetic = each.gene.lower(), each.genetic
        details = genetic.fact.details
        parts |= {
            f"{gene}_diplotype": " or ".join(c.diplotype for c in genetic.calls) or None,
            f"{gene}_source": str(details.get("called_from", genetic.fact.source)),
            f"{gene}_phenotype": " or ".join(genetic.phenotypes) or None,
        }
        if any(c.score is not None for c in genetic.calls):
            parts[f"{gene}_activity_score"] = " or ".join(score_text(c) for c in genetic.calls)
        if "copy_number" in details:
            parts[f"{gene}_copy_number"] = details["copy_number"]
        if each.with_medicines is not None:
            parts[f"{gene}_phenotype_with_medicines"] = " or ".join(each.with_medicines.phenotypes)
    for holder, lines in found.by_holder.items():
        parts[holder.lower()] = " or ".join(_actions(lines))
        parts[f"{holder.lower()}_strength"] = _joined(x["strength"] for x in lines) or None
    return parts


def _asked(genes: Iterable[str]) -> tuple[str, ...]:
    return tuple(what for gene in genes for what in concepts(gene))


def _named(drugs: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"medicine.{drug}" for drug in drugs)


def _each(drugs: Iterable[str], patient: Patient, evidence: Evidence) -> Iterator[Finding]:
    for drug in drugs:
        found = _of_drug(drug, patient, evidence)
        if found is not None:
            yield found


_CO_MEDICINES = (*INHIBITORS, ANY)


@rule(
    "medicines.opioid_genes",
    reads=dict.fromkeys((*_named(OPIOIDS), *_asked((GENE,)), *_CO_MEDICINES)),
)
def opioid_genes(patient: Patient, evidence: Evidence) -> Iterator[Finding]:
    """What CYP2D6 means for an opioid that is taken.

    Source      CPIC and DPWG (medicines.advice.cpic_opioids, medicines.advice.dpwg_opioids)
    Population  adults who take or are ordered an opioid, with a CYP2D6 result
    Not for     children under 12; genes of research such as OPRM1 and COMT, which change no dose
                (medicines.advice.research_genes)
    """
    return _each(OPIOIDS, patient, evidence)


@rule(
    "medicines.nsaid_genes",
    reads=dict.fromkeys((*_named(ANTI_INFLAMMATORIES), *_asked((_SLOW,)), *_SLOWED_BY)),
)
def nsaid_genes(patient: Patient, evidence: Evidence) -> Iterator[Finding]:
    """What CYP2C9 means for an anti-inflammatory medicine that is taken: by the activity score.

    Source      CPIC (medicines.advice.cpic_nsaids)
    Population  adults who take or are ordered one, with a CYP2C9 result
    Not for     whether such a medicine may be taken at all: kidneys, heart and stomach decide that
    """
    return _each(ANTI_INFLAMMATORIES, patient, evidence)


@rule(
    "medicines.antidepressant_genes",
    reads=dict.fromkeys((*_named(ANTIDEPRESSANTS), *_asked((GENE, _OTHER_GENE)), *_CO_MEDICINES)),
)
def antidepressant_genes(patient: Patient, evidence: Evidence) -> Iterator[Finding]:
    """What CYP2D6 and CYP2C19 mean for an antidepressant that is taken, for pain or otherwise.

    Source      CPIC and DPWG (medicines.advice.cpic_tricyclics,
                medicines.advice.tricyclics_low_dose, medicines.advice.dpwg_tricyclics,
                medicines.advice.cpic_venlafaxine, medicines.advice.dpwg_venlafaxine)
    Population  adults who take or are ordered one, with a result of either gene
    Not for     doses as low as for nerve pain: they stay, with more vigilance
    """
    return _each(ANTIDEPRESSANTS, patient, evidence)
