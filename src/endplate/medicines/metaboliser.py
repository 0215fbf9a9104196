"""What a person's genes say of how medicines are broken down, one finding for each gene.

A result is a diplotype, or a laboratory's own activity score or phenotype. Several diplotypes that
fit the data are all kept: where they agree the phenotype is known, where not it is open.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from msgspec import Struct

from endplate.evidence import Evidence
from endplate.facts import Fact
from endplate.findings import Finding, PartValue, Position, Status
from endplate.medicines.phenotype import (
    BY_SCORE,
    COPIED,
    GENES,
    INDETERMINATE,
    Call,
    calls,
    functions,
    of_score,
)
from endplate.medicines.tables import table
from endplate.record import Patient
from endplate.rules import Question, rule

RARE = "Alleles that the test does not look for are read as *1: rare ones are not excluded."
_COPIES_UNKNOWN = (
    "The variants alone do not show copy number: a deletion, a duplication or a hybrid gene could "
    "change it."
)


class Result(Struct, frozen=True, kw_only=True):
    """What is known of one gene of one person.

    Attributes
    ----------
    gene, fact
        The gene, and the fact that counts.
    calls
        All that the fact may stand for; empty where it cannot be read.
    others
        Further results of the same gene that say something else, each with what it says.
    """

    gene: str
    fact: Fact
    calls: tuple[Call, ...]
    others: tuple[tuple[Fact, tuple[Call, ...]], ...] = ()

    @property
    def phenotypes(self) -> tuple[str, ...]:
        """Every phenotype that it may be."""
        return possible(self.calls)

    @property
    def copies_unknown(self) -> bool:
        """Whether the diplotype was read from variants that do not show copy number."""
        return copies_unknown(self.fact, self.gene)


def possible(calls: tuple[Call, ...]) -> tuple[str, ...]:
    """Every phenotype that the calls allow, in their order."""
    return tuple(dict.fromkeys(p for call in calls for p in call.phenotypes))


def copies_unknown(fact: Fact, gene: str) -> bool:
    """Whether a result of a gene that is copied was read without the number of its copies."""
    return gene == COPIED and fact.details.get("copy_number") == "unknown"


def concepts(gene: str) -> tuple[str, ...]:
    """What a laboratory can have said of a gene."""
    score = ("activity_score",) if gene in BY_SCORE else ()
    return tuple(f"gene.{gene.lower()}.{name}" for name in ("diplotype", *score, "phenotype"))


def words(phenotype: str) -> str:
    """A phenotype as it is printed."""
    return phenotype.replace("_", " ")


def result(gene: str, patient: Patient) -> Result | None:
    """The result of a gene that counts: a diplotype whose copies are known before a laboratory's
    score, that before its phenotype, and a diplotype from variants alone last.

    Diplotypes of one day that differ are all taken.
    """
    found = sorted(_results(gene, patient), key=lambda one: one[0])
    if not found:
        return None
    (rank, _), fact, said = found[0]
    same = [one for one in found if one[0][0] == rank and one[1].what == fact.what
            and one[1].on == fact.on]  # fmt: skip
    together = tuple(dict.fromkeys(call for _, _, each in same for call in each))
    others = tuple(
        (other, each) for _, other, each in found[len(same) :]
        if possible(each) != possible(together)
    )  # fmt: skip
    return Result(gene=gene, fact=fact, calls=together if all(s for _, _, s in same) else said,
                  others=others)  # fmt: skip


_Found = tuple[tuple[int, int], Fact, tuple[Call, ...]]


# Which kind of result goes before which.
_RANKS = ("call", "from_variants", "activity_score", "phenotype", "copies_unknown")


def _results(gene: str, patient: Patient) -> Iterator[_Found]:
    """Every result of a gene with its rank, the one that counts first having the lowest."""
    for what in concepts(gene):
        kind = what.rpartition(".")[2]
        for fact in patient.facts(what):
            if kind == "diplotype":
                from_variants = fact.details.get("called_from") == "variants"
                rank = "from_variants" if from_variants else "call"
                rank = "copies_unknown" if copies_unknown(fact, gene) else rank
                said = calls(gene, str(fact.value))
            else:
                rank = kind
                said = (_stated(gene, fact),)
            yield (_RANKS.index(rank), _age(fact, patient.on)), fact, said


def _stated(gene: str, fact: Fact) -> Call:
    """What a laboratory's own score or phenotype says."""
    if isinstance(fact.value, str):
        return Call(phenotypes=(fact.value,))
    bound = str(fact.details.get("comparator", "")).startswith(">")
    return of_score(gene, float(fact.value), at_least=bound)


def _age(fact: Fact, on: date) -> int:
    return (on - (fact.on or on)).days


# -- the finding ----------------------------------------------------------------------------------


def _finding(gene: str, patient: Patient, evidence: Evidence) -> Finding | None:
    known = result(gene, patient)
    if known is None:
        return None
    row = evidence.row(f"medicines.{gene.lower()}.phenotype")
    rows = (row, evidence.row("medicines.cyp2d6.copy_number")) if known.copies_unknown else (row,)
    because = (known.fact, *(fact for fact, _ in known.others))
    limits = (RARE, *_limits(known, patient.on), f"Not for: {_NOT_FOR}")
    if not known.calls:
        return Finding(
            says=f"{gene}: the diplotype on record cannot be read; two alleles such as *1/*4 are "
            f"needed.",
            status=Status.UNKNOWN, because=because, missing=(known.fact.what,), rests_on=rows,
            parts={"unreadable": known.fact.what}, limits=limits,
        )  # fmt: skip
    positions = [
        Position(holder=f"another result ({_source(fact)})", says=_told(each), rests_on=(row,))
        for fact, each in known.others
    ]
    if positions:
        here = f"the result that counts ({_source(known.fact)})"
        positions.insert(
            0, Position(holder=here, says=_told(known.calls), rests_on=(row,), default=True)
        )
    one = known.calls[0]
    agreed = known.phenotypes[0] if len(known.phenotypes) == 1 else None
    scores = {(call.score, call.at_least) for call in known.calls}
    return Finding(
        says=_says(known, agreed),
        status=Status.ANSWERED if agreed else Status.UNKNOWN,
        value=one.score if len(scores) == 1 else None,
        unit="1" if len(scores) == 1 and one.score is not None else "",
        category=agreed,
        parts=_parts(known),
        because=because,
        missing=_missing(known, agreed),
        rests_on=rows,
        positions=tuple(positions),
        limits=limits,
    )


def _says(known: Result, agreed: str | None) -> str:
    gene = known.gene
    if agreed is None:
        listed = "; ".join(_told((call,)) for call in known.calls)
        return f"{gene}: the phenotype is open, as several readings fit: {listed}."
    disagree = "" if not known.others else " Another result says otherwise."
    copies = f" {_COPIES_UNKNOWN}" if known.copies_unknown else ""
    said = _told(known.calls[:1]) if len(known.calls) == 1 else (
        f"{' or '.join(c.diplotype for c in known.calls)}, each {words(agreed)}"
    )  # fmt: skip
    return f"{gene} {said}.{_why_open(known, agreed)}{disagree}{copies}"


def _why_open(known: Result, agreed: str) -> str:
    """Why a phenotype is indeterminate."""
    if agreed != INDETERMINATE:
        return ""
    unlisted = dict.fromkeys(a for call in known.calls for s in call.sides for a in s.unlisted)
    if unlisted:
        return f" CPIC's table of {_edition(known.gene)} does not hold {', '.join(unlisted)}."
    if known.fact.what.endswith(".diplotype"):
        return " What an allele of it does is not known well enough."
    return ""


def _told(each: tuple[Call, ...]) -> str:
    """The calls in words: ``*1/*4, activity score 1, intermediate metaboliser``."""
    said = []
    for call in each:
        score = "" if call.score is None else f"activity score {score_text(call)}"
        phenotype = " or ".join(words(p) for p in call.phenotypes)
        said.append(", ".join(part for part in (call.diplotype, score, phenotype) if part))
    return "; ".join(said) or "cannot be read"


def score_text(call: Call) -> str:
    """A score as it is printed, with its sign where it is a lower bound."""
    return "" if call.score is None else f"{'≥' if call.at_least else ''}{call.score:g}"


def _missing(known: Result, agreed: str | None) -> tuple[str, ...]:
    if agreed is None:
        return (concepts(known.gene)[0],)
    return ("gene.cyp2d6.activity_score",) if known.copies_unknown else ()


def _limits(known: Result, on: date) -> Iterator[str]:
    untested = str(known.fact.details.get("not_tested", ""))
    if untested:
        yield f"Not tested: {untested}."
    if "not_excluded" in known.fact.details:
        yield f"Alleles not excluded by what was tested: {known.fact.details['not_excluded']}."
    if less := str(known.fact.details.get("less_likely", "")):
        said = possible(calls(known.gene, less))
        yield f"Less likely: {less} ({' or '.join(words(p) for p in said) or 'cannot be read'})."
    if known.fact.what.endswith(".diplotype"):
        for rows in (functions(known.gene), table(_second_table(known.gene))):
            if outdated := rows.outdated(on):
                yield outdated
        if known.gene == COPIED and "copy_number" not in known.fact.details:
            yield "Whether copy number was tested is not on record."


def _second_table(gene: str) -> str:
    return "score_phenotypes" if gene in BY_SCORE else "function_phenotypes"


def _edition(gene: str) -> str:
    return functions(gene).dated.isoformat()


def _source(fact: Fact) -> str:
    return str(fact.details.get("called_from", fact.source)).replace("_", " ") or "no source given"


_FROM_THE_CALL = (
    "copy_number", "phased", "tested", "not_tested", "not_excluded", "less_likely", "reference",
)  # fmt: skip


def _parts(known: Result) -> dict[str, PartValue]:
    details = known.fact.details
    parts: dict[str, PartValue] = {
        "given": known.fact.what.rpartition(".")[2],
        "source": _source(known.fact),
        **{name: details[name] for name in _FROM_THE_CALL if name in details},
    }
    if len(known.calls) == 1:
        (call,) = known.calls
        parts |= {"diplotype": call.diplotype or None, "phenotype": call.phenotypes[0]
                  if len(call.phenotypes) == 1 else None}  # fmt: skip
        if known.gene in BY_SCORE:
            parts["activity_score"] = score_text(call) or None
        parts |= _sides(call)
    else:
        parts |= {f"reading_{n}": _told((call,)) for n, call in enumerate(known.calls, 1)}
    if known.copies_unknown and len(known.calls) == 1:
        parts |= {f"if_{what}": " or ".join(possible(each)) for what, each in other_copies(known)}
    return parts


def _sides(call: Call) -> dict[str, PartValue]:
    parts: dict[str, PartValue] = {}
    for n, side in enumerate(call.sides, 1):
        if side.function:
            parts[f"function_{n}"] = side.function
        if side.value is not None:
            parts[f"activity_value_{n}"] = side.value
    return parts


def other_copies(known: Result) -> Iterator[tuple[str, tuple[Call, ...]]]:
    """What a further copy, or a deletion behind two equal alleles, would make of one call."""
    (call,) = known.calls
    one, other = (side.value for side in call.sides)
    if one is None or other is None or call.score is None:
        return
    more = dict.fromkeys(call.score + value for value in (one, other))
    yield "duplicated", tuple(of_score(known.gene, score) for score in more)
    if len(set(call.diplotype.split("/"))) == 1:  # a deletion shows as a second equal allele
        yield "deleted", (of_score(known.gene, one),)


_NOT_FOR = "children in whom the enzyme has not matured; what other medicines do to the enzyme"
_NOTES = """{gene}: how the enzyme works, by the genotype.

Source      CPIC's table (medicines.{low}.phenotype{more})
Population  anybody with a {gene} result
Not for     {not_for}
"""


def _register(gene: str) -> None:
    def question(patient: Patient, evidence: Evidence) -> Finding | None:
        return _finding(gene, patient, evidence)

    more = ", medicines.cyp2d6.copy_number" if gene == COPIED else ""
    question.__doc__ = _NOTES.format(gene=gene, low=gene.lower(), more=more, not_for=_NOT_FOR)
    asked: Question = question
    rule(f"medicines.{gene.lower()}", reads=concepts(gene), scores=gene.lower())(asked)


for _gene in GENES:
    _register(_gene)
