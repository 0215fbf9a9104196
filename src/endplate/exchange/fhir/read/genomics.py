"""Genetic results: diplotypes, phenotypes, activity scores and HLA alleles that a laboratory gave.

In the form of HL7's Genomics Reporting: the gene stands in a component, the diplotype as words or
as the display of some database's code, the phenotype as a value or in a component. Variants and
sequences are left aside: whether all positions of an allele were tested cannot be told from them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date

from endplate.exchange import outside_calls
from endplate.exchange.fhir import genes
from endplate.exchange.fhir.read import elements
from endplate.exchange.fhir.read.elements import Codeable, Json, Odd, Target
from endplate.exchange.fhir.read.resource import Left, Resource
from endplate.exchange.fhir.read.value import Found, Refused, value_of
from endplate.vocabulary import LOCAL_SYSTEM, concept

_WRITTEN = "detail."
_SUBALLELE = re.compile(r"(?<=\*)(\d+)\.\d{3}(?!\d)")
_ACTIVITY = re.compile(r"\bactivity score\b", re.IGNORECASE)
_CARRIED = frozenset({"present", "positive", "detected"})
# In a GL string a plus joins the two alleles; these say that it is open which they are.
_OPEN = re.compile(r"[|^~]|\+.*/|/.*\+")
_NOT_CARRIED = frozenset({"absent", "negative", "not detected"})


def concerns(json: Json, target: Target | None) -> bool:
    """Whether an Observation is a genetic result."""
    if target is not None:  # a score by its own code is a number like any other
        return target.id.startswith("gene.") and target.concept.kind != "number"
    holders = [json, *elements.items(json, "component")]
    return any(_is(h, *_ANY) for h in holders if "code" in h)


_ANY = (genes.GENOTYPE, genes.METABOLISM, genes.IMPLICATION, genes.GENE_STUDIED)


def genetic(
    resource: Resource, target: Target | None, on: date | None, doubts: tuple[str, ...]
) -> None:
    """The facts of one genetic result."""
    json = resource.json
    gene = genes.symbol_of(target.id) if target else _gene(resource)
    if not gene:
        raise Left(
            "fhir.gene_not_used", "Observation: a genetic result of a gene that no rule reads."
        )
    details = _details(json)
    there = list(_found(json, gene, target))
    if not there and target is not None and _is_own(json, target):
        # What we wrote ourselves comes back as it was, for the rule to say that it is unreadable.
        there = [(target.id, found)] if (found := _as_said(json, target)) else []
    for what, found in there:
        more = details | dict(found.details or {})
        resource.take(
            Target(concept(what)), found.value, unit=found.unit, on=on,
            doubts=doubts + found.doubts, details=more,
        )  # fmt: skip
    if there:
        return
    if target is None and not _is(json, genes.GENOTYPE, genes.METABOLISM):
        raise Left(
            "fhir.variant_not_read",
            "Observation: a variant or another genetic result; no alleles are made of it.",
        )
    if json.get("dataAbsentReason"):
        raise Left("fhir.result_absent", f"{gene}: the record says that there is no result.")
    if gene.startswith("HLA-"):
        raise Left("fhir.allele_not_asked", f"{gene}: does not settle an allele that rules read.")
    resource.problem(
        "fhir.genotype_not_understood", f"{gene}: neither a diplotype nor a phenotype was found.",
        "Write it like *1/*4, *1/*2x2 or *10/*36+*10, in the words of the value.",
    )  # fmt: skip


def _is_own(json: Json, target: Target) -> bool:
    codings = elements.coded_item(json, "code").codings
    return any(c.system == LOCAL_SYSTEM and c.code == target.id for c in codings)


def _is(holder: Json, *names: str) -> bool:
    codes = {(c.system, c.code) for c in elements.coded_item(holder, "code").codings}
    return not codes.isdisjoint(map(genes.pair, names))


# -- which gene -------------------------------------------------------------------------------


def _gene(resource: Resource) -> str:
    """The gene by its component, or by the words of the value or the code."""
    json = resource.json
    named = {g for g in map(_studied, elements.items(json, "component")) if g}
    if not named:
        said = (*_texts(json), *elements.coded_item(json, "code").texts)
        named = {g for g in genes.concepts_by_gene() for text in said if _names(text, g)}
    if len(named) > 1:
        raise Left("fhir.several_genes", "Observation: a result of several genes; not used.")
    return named.pop() if named else ""


def _names(text: str, gene: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(gene)}(?![A-Za-z0-9])", text) is not None


def _studied(part: Json) -> str:
    if not _is(part, genes.GENE_STUDIED):
        return ""
    spoken = elements.coded_item(part, "valueCodeableConcept")
    words = elements.word(part, "valueString")
    codings = spoken.codings or (elements.Coding("", "", ""),)
    named = (genes.gene_named(c.system, c.code, c.display or words) for c in codings)
    return next((g for g in named if g), "") or genes.gene_named("", "", spoken.text or words)


# -- what is said of it -----------------------------------------------------------------------


def _found(json: Json, gene: str, target: Target | None) -> Iterator[tuple[str, Found]]:
    """Each concept of the gene with what the result and its components say of it."""
    known = genes.concepts_by_gene()[gene]
    plain = not target or target.id.endswith((".diplotype", ".phenotype"))
    if target is not None and (not plain or genes.is_research(target.id)):
        found = _direct(json, target)
        if found is not None:
            yield target.id, found
        return
    below = f"gene.{gene.lower()}"
    if gene.startswith("HLA-"):
        yield from _hla(known, json)
    elif f"{below}.diplotype" in known and (called := _diplotype(json, gene)):
        yield f"{below}.diplotype", Found(called)
    said = {p for text in _phenotypes(json, gene) if (p := _phenotype(text, below, known))}
    if len(said) > 1:
        raise Odd("valueCodeableConcept")
    if said:
        yield f"{below}.phenotype", Found(said.pop())
    for part in elements.items(json, "component"):
        spoken = elements.coded_item(part, "code")
        if f"{below}.activity_score" in known and any(map(_ACTIVITY.search, spoken.texts)):
            score = _score(part, f"{below}.activity_score")
            if score is not None:
                yield f"{below}.activity_score", score


def _direct(json: Json, target: Target) -> Found | None:
    """The value of a concept's own code: an allele that is carried or not, a score, bases."""
    words = {text.strip().lower() for text in _texts(json)}
    if target.concept.kind == "yes_no" and words:
        if words & _NOT_CARRIED:
            return None if words & _CARRIED else Found(False)
        if words & _CARRIED:
            return Found(True)
    if genes.is_research(target.id):
        return _as_said(json, target)
    try:
        return value_of(json, target.concept)
    except Refused as refused:
        raise Left(refused.id, f"{target.concept.name}: {refused.says}") from None


def _as_said(json: Json, target: Target) -> Found | None:
    """The words of the value, as they were typed or found."""
    said = next(iter(_texts(json)), "")
    return Found(elements.clipped(genes.unnamed(target.id, said))) if said else None


def _score(part: Json, what: str) -> Found | None:
    try:
        return value_of(part, concept(what))
    except Refused:
        return None


def _spoken(holder: Json) -> Codeable:
    return elements.coded_item(holder, "valueCodeableConcept")


def _texts(holder: Json) -> tuple[str, ...]:
    """Everything that the value says in words; the code itself may be the name of an allele."""
    spoken = _spoken(holder)
    words = elements.word(holder, "valueString") if "valueString" in holder else ""
    said = (*spoken.texts, *(c.code for c in spoken.codings if "*" in c.code), words)
    return tuple(dict.fromkeys(t for t in said if t))


def _diplotype(json: Json, gene: str) -> str:
    """The diplotype that the value names; several that differ are damage."""
    called = {c for text in _texts(json) if (c := _called(text, gene))}
    if len(called) > 1:
        raise Odd("valueCodeableConcept")
    return called.pop() if called else ""


def _called(text: str, gene: str) -> str:
    """``CYP2D6*7.001 / CYP2D6*1.001`` as ``*7/*1``; empty where any part is no diplotype."""
    plain = text.replace(gene, "").replace("_", " ").replace('"', "")
    plain = re.sub(r"\s*([/+])\s*", r"\1", _SUBALLELE.sub(r"\1", plain)).replace("×", "x")
    each = [outside_calls.diplotype_in(gene, part) for part in plain.split(" or ")]
    return " or ".join(dict.fromkeys(each)) if all(each) else ""


def _phenotypes(json: Json, gene: str) -> Iterator[str]:
    holders = [json, *(p for p in elements.items(json, "component")
                       if _is(p, genes.METABOLISM, genes.IMPLICATION))]  # fmt: skip
    for holder in holders:
        for text in _texts(holder):
            yield text.replace(gene, "").strip()


def _phenotype(text: str, below: str, known: Iterable[str]) -> str:
    what = f"{below}.phenotype"
    if what not in known:
        return ""
    word = outside_calls.phenotype_word(text).replace("-", "").replace("extensive", "normal")
    word = "normal_metaboliser" if word == "normal_(normal)_metaboliser" else word
    return word if word in concept(what).choices else ""


def _hla(known: Iterable[str], json: Json) -> Iterator[tuple[str, Found]]:
    """The alleles that rules ask for, where the result says whether they are carried."""
    for what in known:
        wanted = tuple(what.rsplit("_", 2)[1:])
        said = {
            answer
            for text in _texts(json)
            if not _OPEN.search(text)
            and (answer := outside_calls.carried(wanted, text.replace("+", "/"))) is not None
        }  # fmt: skip
        if len(said) == 1:
            yield what, Found(said.pop())


def _details(json: Json) -> dict[str, float | str]:
    """What a genotype of ours carries of how it was called, such as that copies are not known."""
    found: dict[str, float | str] = {}
    for part in elements.items(json, "component"):
        for one in elements.coded_item(part, "code").codings:
            if one.system == LOCAL_SYSTEM and one.code.startswith(_WRITTEN):
                text = elements.clipped(elements.word(part, "valueString"))
                if text:
                    found[one.code.removeprefix(_WRITTEN)] = text
    return found
