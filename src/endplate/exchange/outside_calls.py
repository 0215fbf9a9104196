"""What a laboratory called by itself: diplotypes, phenotypes and activity scores of genes.

In PharmCAT's form: lines of gene, diplotype, phenotype and activity score, separated by tabs; the
last two may be left out, and so may a diplotype where one of them is given. A line that
begins with ``#`` is a comment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from endplate import vocabulary
from endplate.exchange.intake import Intake
from endplate.facts import InputProblem
from endplate.medicines.star_alleles import WITH_COPIES

CALLED_FROM = "outside_call"
_LONGEST = 1 << 20
_GENE = re.compile(r"[A-Z][A-Z0-9]*(-[A-Z0-9]+)?")
# A star allele with its copies, joined ones with a plus: *1, *2x2, *1x>=3, *36+*10, *4.001.
_STAR = r"\*\d+[A-Za-z]?(\.\d+)?(x(\d+|>=\d+|≥\d+|N))?"
_COPY = rf"{_STAR}( ?\+ ?{_STAR})*"
_DIPLOTYPE = re.compile(rf"{_COPY}/{_COPY}")
# HLA alleles by their first two fields, which name the protein; a null allele makes none.
_HLA = re.compile(r"\*(\d+)(?::(\d+))?(?::\d+)*([A-Z]?)")
_HLA_SIGN = re.compile(r"\*(\d+:\d+)\s+(positive|negative)", re.IGNORECASE)


def is_outside_calls(path: Path) -> bool:
    """Whether a file is a table of outside calls: each line a gene and what was called of it."""
    lines = [cells for cells in _lines(path) if cells[0].lower() != "gene"]
    are_calls = all(_GENE.fullmatch(cells[0]) and any(cells[1:4]) for cells in lines)
    return are_calls and any(_concepts(cells[0]) for cells in lines)


def _lines(path: Path) -> Iterator[list[str]]:
    try:
        with path.open("rb") as file:
            text = file.read(_LONGEST).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError):
        return
    if "\0" in text:
        return
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            yield [cell.strip() for cell in line.split("\t")]


def _concepts(gene: str) -> tuple[str, ...]:
    """What of a gene the vocabulary has."""
    below = f"gene.{gene.lower().replace('-', '_')}"
    return tuple(c for c in vocabulary.concepts() if c.startswith((f"{below}.", f"{below}_")))


def read_outside_calls(path: Path, intake: Intake) -> None:
    """Take in a table of outside calls.

    Raises
    ------
    InputProblem
        If it has no line of a gene and a call.
    """
    by_gene: dict[str, list[list[str]]] = {}
    for cells in _lines(path):
        if len(cells) == 1 or not _GENE.fullmatch(cells[0].upper()):
            intake.problem(
                "genes.not_a_call", "a line is no gene with a call, separated by tabs; not used.",
                path.name, ("Write gene, diplotype, phenotype and activity score.",),
            )  # fmt: skip
        elif cells[0].lower() != "gene":
            by_gene.setdefault(cells[0].upper(), []).append([*cells[1:], "", "", ""])
    if not by_gene:
        raise InputProblem(
            f"{path.name}: cannot be used. Lines of gene, diplotype, phenotype and activity score, "
            f"separated by tabs, are needed; there are none. Give the table of outside calls."
        )
    for gene, lines in by_gene.items():
        where = f"{path.name}: {gene}"
        known = _concepts(gene)
        if not known:
            intake.ignore("genes.not_used", "is a gene that no rule reads.", where)
        elif gene.startswith("HLA-"):
            _hla(known, lines, intake, path.name, where)
        else:
            _gene(gene, known, lines, intake, path.name, where)


def _gene(
    gene: str,
    known: Iterable[str],
    lines: list[list[str]],
    intake: Intake,
    source: str,
    where: str,
) -> None:
    """The diplotypes, phenotype and score of one gene."""
    details = {"called_from": CALLED_FROM}
    if gene == WITH_COPIES:
        details["copy_number"] = "known"
    prefix = f"gene.{gene.lower()}"
    called = []
    for cells in lines:
        if diplotype := diplotype_in(gene, cells[0]):
            called.append(diplotype)
        elif cells[0].replace(gene, "").strip():
            intake.problem(
                "genes.diplotype",
                f"{gene}: the diplotype is not understood and was not used.",
                where, ("Write it like *1/*4, *1/*2x2 or *10/*36+*10.",),
            )  # fmt: skip
    if called:
        value = " or ".join(dict.fromkeys(called))
        _take(intake, f"{prefix}.diplotype", value, source, details, where)
    for name, cell in (("phenotype", 1), ("activity_score", 2)):
        said = {cells[cell] for cells in lines if cells[cell]}
        if len(said) > 1:
            intake.problem(
                "genes.several", f"{gene}: has several values of {name.replace('_', ' ')}; none "
                "was used.", where, ("Give one.",),
            )  # fmt: skip
        elif said and f"{prefix}.{name}" in known:
            (text,) = said
            _take_result(intake, f"{prefix}.{name}", text, source, details, where)


def diplotype_in(gene: str, text: str) -> str:
    """A diplotype as it is held, from a text that may name the gene; empty where it is none."""
    plain = text.replace(gene, "").strip()
    return plain.replace("≥", ">=") if _DIPLOTYPE.fullmatch(plain) else ""


def phenotype_word(text: str) -> str:
    """A phenotype in the words of the vocabulary: ``Poor Metabolizer``, poor_metaboliser."""
    return re.sub(r"metaboliz", "metabolis", text.strip().lower()).replace(" ", "_")


def _take_result(
    intake: Intake, what: str, text: str, source: str, details: dict[str, str], where: str
) -> None:
    """A laboratory's phenotype or score; one that says that it has none is left aside."""
    if text.lower() in ("not available", "n/a", "na", "none", "-"):
        return
    if what.endswith("activity_score"):
        bound = re.fullmatch(r"(>=|≥)\s*([\d.]+)", text)
        if bound:
            text, details = bound[2], {**details, "comparator": ">="}
        _take(intake, what, text, source, details, where)
        return
    _take(intake, what, phenotype_word(text), source, details, where)


def _take(
    intake: Intake, what: str, value: str, source: str, details: dict[str, str], where: str
) -> None:
    intake.take(vocabulary.concept(what), value, source=source, details=details, where=where)


def _hla(
    known: Iterable[str], lines: list[list[str]], intake: Intake, source: str, where: str
) -> None:
    """Whether each HLA allele that rules ask for is carried; unknown where that is not said."""
    for what in known:
        wanted = tuple(what.rsplit("_", 2)[1:])
        answers = {
            answer for cells in lines
            if (answer := carried(wanted, cells[0], cells[1])) is not None
        }  # fmt: skip
        if len(answers) == 1:
            (answer,) = answers
            intake.take(
                vocabulary.concept(what), answer, source=source,
                details={"called_from": CALLED_FROM}, where=where,
            )  # fmt: skip
        elif answers:
            intake.problem(
                "genes.several", f"{vocabulary.concept(what).name}: is called as carried and as "
                "not carried; not used.", where, ("Give one of them.",),
            )  # fmt: skip


def carried(wanted: tuple[str, ...], alleles_said: str, phenotype: str = "") -> bool | None:
    """Whether a call of an HLA gene says that an allele is carried; None where it does not say.

    Parameters
    ----------
    wanted
        The first two fields of the allele.
    alleles_said, phenotype
        The alleles with a slash between them, and what stands beside: by the name among two
        alleles, or by a sign, it is carried or not.
    """
    sign = _HLA_SIGN.search(f"{alleles_said} {phenotype}")
    if sign and sign[1] == ":".join(wanted):
        return sign[2].lower() == "positive"
    alleles = [_HLA.search(part) for part in alleles_said.split("/") if part.strip()]
    there = [(a[1], a[2], a[3]) for a in alleles if a]
    if (*wanted, "") in there:
        return True
    # Only two alleles that are both told apart from it, to the same resolution, say no.
    apart = [a for a in there if a[0] != wanted[0] or (a[1] and a[1] != wanted[1])]
    return False if len(apart) == 2 and len(there) == 2 else None
