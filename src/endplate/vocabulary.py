"""The vocabulary: every concept that a fact can be about, with its unit, names and codes.

Concepts stand in ``evidence/vocabulary/*.toml`` and their codes in ``codes.csv`` beside them.
A code is there only with the source in which it was seen; a concept without one is written and
read with its own id under `LOCAL_SYSTEM`.
"""

from __future__ import annotations

import csv
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from msgspec import Struct, convert

Kind = Literal["number", "yes_no", "category", "text", "date", "levels"]

# Codes and texts come from outside: what is remembered of them is bounded.
_MOST_REMEMBERED = 2**16

LOCAL_SYSTEM = "https://endplate.example/fhir/CodeSystem/concept"
# Of findings, by their key; what carries such a code was made by Endplate.
FINDING_SYSTEM = "https://endplate.example/fhir/CodeSystem/finding"
# The forms whose linkIds are ids of concepts.
OWN_QUESTIONNAIRES = "https://endplate.example/fhir/Questionnaire/"

# The short names of the code systems in codes.csv and their FHIR addresses.
CODE_SYSTEMS: Mapping[str, str] = MappingProxyType(
    {
        "loinc": "http://loinc.org",
        "snomed": "http://snomed.info/sct",
        "rxnorm": "http://www.nlm.nih.gov/research/umls/rxnorm",
        "icd10": "http://hl7.org/fhir/sid/icd-10",
        "icd10cm": "http://hl7.org/fhir/sid/icd-10-cm",
        "atc": "http://www.whocc.no/atc",
        "endplate": LOCAL_SYSTEM,
    }
)
# Those of genetic results in genomics.csv besides: they are no codes of concepts.
GENOMIC_SYSTEMS: Mapping[str, str] = MappingProxyType(
    {
        "loinc": CODE_SYSTEMS["loinc"],
        "hgnc": "http://www.genenames.org",
        "genomics_tbd": "http://hl7.org/fhir/uv/genomics-reporting/CodeSystem/tbd-codes-cs",
        "v2_0074": "http://terminology.hl7.org/CodeSystem/v2-0074",
    }
)
_SYSTEM_BY_ADDRESS = {address: short for short, address in CODE_SYSTEMS.items()} | {
    "urn:oid:2.16.840.1.113883.6.1": "loinc",
    "urn:oid:2.16.840.1.113883.6.96": "snomed",
    "urn:oid:2.16.840.1.113883.6.88": "rxnorm",
    "urn:oid:2.16.840.1.113883.6.90": "icd10cm",
    "urn:oid:2.16.840.1.113883.6.3": "icd10",
    "urn:oid:2.16.840.1.113883.6.73": "atc",
}


class Concept(Struct, frozen=True, kw_only=True):
    """One thing that can be known about a person.

    Attributes
    ----------
    id, name
        Dotted id, and what a clinician calls it.
    kind
        What its value is.
    unit, also_written
        The UCUM unit in which its value is held, and further spellings of that same unit.
    substance
        Which substance's molar mass converts between mass and amount, where that applies.
    plausible, usual
        Outside `plausible` a value is refused as a wrong unit or a slip; outside `usual` it
        is kept and marked doubtful.
    max_age_days
        How old a fact may be to still speak for today; None means that it does not age.
    choices
        The allowed words of a category.
    implies
        Concepts that are true whenever this one is.
    names
        Further names by which it is recognised in typed facts and in records' texts.
    decimals
        How many decimals are printed.
    step
        The distance between the values that it takes, from the lowest plausible one: of a count,
        points, or the answers of a form. Any other is refused.
    """

    id: str
    name: str
    kind: Kind = "number"
    unit: str = ""
    also_written: tuple[str, ...] = ()
    substance: str = ""
    plausible: tuple[float, float] | None = None
    usual: tuple[float, float] | None = None
    max_age_days: int | None = None
    choices: tuple[str, ...] = ()
    implies: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    decimals: int = 1
    step: float | None = None


class Code(Struct, frozen=True, kw_only=True):
    """One code of a concept, with the source in which it was seen."""

    concept: str
    system: str
    code: str
    display: str
    match: Literal["exact", "prefix"] = "exact"
    side: str = ""
    source: str = ""


class BodySite(Struct, frozen=True, kw_only=True):
    """One code of a place in the body: a densitometry site, a vertebra or a disc level."""

    site: str
    system: str
    code: str
    display: str
    source: str = ""


class AlsoSaid(Struct, frozen=True, kw_only=True):
    """A further word that a clinician types: for a concept, or, with `choice`, for its value.

    Too short to mean the same thing everywhere (``body``, ``class``), a name of a concept holds
    only among the inputs of one score. A word with ``=`` stands for name and value in one.
    """

    concept: str
    choice: str = ""
    word: str


class AnswerCode(Struct, frozen=True, kw_only=True):
    """One coded answer to a question, such as a smoking status."""

    concept: str
    value: Literal["yes", "no", "unknown"]
    system: str
    code: str
    display: str
    source: str = ""


class GenomicCode(Struct, frozen=True, kw_only=True):
    """One code that genetic results share, such as that of a genotype, a gene or a phenotype."""

    use: Literal["code", "gene", "phenotype"]
    what: str
    system: str
    code: str
    display: str
    source: str = ""


class MeasurementName(Struct, frozen=True, kw_only=True):
    """What a DICOM report calls a measured quantity: a wider name, so the concept stands beside.

    `derivation` is ``mean`` or ``median``, where the value is one of many.
    """

    concept: str
    scheme: str
    code: str
    meaning: str
    derivation: str = ""
    source: str = ""


@cache
def concepts() -> Mapping[str, Concept]:
    """All concepts by id."""
    found: dict[str, Concept] = {}
    for path in sorted(_folder().iterdir(), key=lambda p: p.name):
        if not path.name.endswith(".toml"):
            continue
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
        for name, cells in tables["concept"].items():
            if name in found:
                raise KeyError(f"{path.name}: {name!r} is there twice.")
            for column in ("also_written", "choices", "implies", "names", "plausible", "usual"):
                if column in cells:
                    cells[column] = tuple(cells[column])
            found[name] = Concept(id=name, **cells)
        for name, cells in tables.get("form", {}).items():
            found |= {c.id: c for c in _form(name, cells)}
    return MappingProxyType(found)


def _form(name: str, cells: Mapping[str, Any]) -> Iterator[Concept]:
    """The concepts of a questionnaire: its items by number, its score, and scores of scales."""
    title = cells["name"]
    for number in range(1, cells["items"] + 1):
        id, called = f"{name}.item{number}", f"{title}, item {number}"
        taken = cells.get("other", {}).get(f"item{number}", cells.get("range"))
        if taken is None:
            yield Concept(id=id, name=called, kind="yes_no")
        else:
            low, high, *step = taken
            yield Concept(
                id=id, name=called, unit="1", plausible=(low, high), decimals=0,
                step=step[0] if step else 1,
            )  # fmt: skip
    if "score" in cells:
        yield Concept(id=f"{name}.score", name=f"score of {title}", unit="1",
                      plausible=tuple(cells["score"]),
                      names=(name.rpartition(".")[2],))  # fmt: skip
    for scale, limits in cells.get("scales", {}).items():
        words = scale.replace("_", " ")
        yield Concept(
            id=f"{name}.{scale}", name=f"score of {title}, {words}", unit="1",
            plausible=tuple(limits), step=1, decimals=0,
            names=(f"{name.rpartition('.')[2]} {words}",),
        )  # fmt: skip


def _folder() -> Traversable:
    return files("endplate.evidence") / "vocabulary"


def concept(name: str) -> Concept:
    """The concept with that id; `KeyError` if there is none."""
    return concepts()[name]


@cache
def codes() -> tuple[Code, ...]:
    """All codes, in the order of the file."""
    return _lines("codes.csv", Code)


T = TypeVar("T")


def _lines(file: str, kind: type[T]) -> tuple[T, ...]:
    text = (_folder() / file).read_text(encoding="utf-8")
    return tuple(convert(line, kind) for line in csv.DictReader(text.splitlines()))


@cache
def also_said() -> tuple[AlsoSaid, ...]:
    """The further words for the inputs of scores."""
    return _lines("also_said.csv", AlsoSaid)


@cache
def _choices_said() -> Mapping[tuple[str, str], str]:
    return {(a.concept, _joined(a.word)): a.choice for a in also_said() if a.choice}


def choice_said(name: str, word: str) -> str:
    """The choice of a concept that another word for it means; empty if there is none."""
    return _choices_said().get((name, _joined(word)), "")


@cache
def body_sites() -> Mapping[tuple[str, str], BodySite]:
    """Every place in the body that has a code, by system address and code."""
    return {(CODE_SYSTEMS[b.system], b.code): b for b in _lines("body_sites.csv", BodySite)}


@cache
def measurement_names() -> Mapping[str, MeasurementName]:
    """The names of DICOM for measured quantities, by concept."""
    return {n.concept: n for n in _lines("dicom_names.csv", MeasurementName)}


@cache
def genomic_codes() -> Mapping[tuple[str, str], GenomicCode]:
    """The codes that genetic results share, by their use and what they stand for."""
    return {(g.use, g.what): g for g in _lines("genomics.csv", GenomicCode)}


@cache
def answers() -> Mapping[tuple[str, str], AnswerCode]:
    """Every coded answer, by system address and code."""
    return {(CODE_SYSTEMS[a.system], a.code): a for a in _lines("answers.csv", AnswerCode)}


def codes_of(name: str) -> tuple[Code, ...]:
    """The codes of one concept, preferred ones first."""
    return _codes_by_concept().get(name, ())


@cache
def _codes_by_concept() -> dict[str, tuple[Code, ...]]:
    found: dict[str, tuple[Code, ...]] = {}
    for code in codes():
        found[code.concept] = (*found.get(code.concept, ()), code)
    return found


@cache
def _exact() -> dict[tuple[str, str], Code]:
    return {(c.system, c.code): c for c in codes() if c.match == "exact"}


@cache
def _prefixes() -> dict[str, list[Code]]:
    found: dict[str, list[Code]] = {}
    for code in codes():
        if code.match == "prefix":
            found.setdefault(code.system, []).append(code)
    for system in found.values():
        system.sort(key=lambda c: -len(c.code))  # the most precise prefix wins
    return found


@lru_cache(maxsize=_MOST_REMEMBERED)
def coded(address: str, code: str) -> Code | None:
    """The concept's entry that a coding (system address and code) stands for, if any.

    A code under `LOCAL_SYSTEM` is a concept's own id.
    """
    system = _SYSTEM_BY_ADDRESS.get(address)
    if system is None:
        return None
    if system == "endplate":
        known = concepts().get(code)
        if known is None:
            return None
        return Code(concept=code, system=system, code=code, display=known.name)
    found = _exact().get((system, code))
    if found is not None:
        return found
    plain = code.replace(".", "")
    for candidate in _prefixes().get(system, ()):
        if plain.startswith(candidate.code.replace(".", "")):
            return candidate
    return None


@cache
def ancestors(name: str) -> tuple[str, ...]:
    """Every concept that `name` implies, directly or through others."""
    found: dict[str, None] = {}
    queue = list(concepts()[name].implies) if name in concepts() else []
    while queue:
        parent = queue.pop(0)
        if parent not in found:
            found[parent] = None
            queue.extend(concepts()[parent].implies)
    return tuple(found)


@cache
def _patterns(prefix: str) -> tuple[tuple[re.Pattern[str], str], ...]:
    """Whole-word patterns of all names of the concepts under a prefix, longest names first."""
    pairs = [
        (name, c.id)
        for c in concepts().values()
        if c.id.startswith(prefix)
        for name in (c.name, *c.names)
    ]
    pairs.sort(key=lambda pair: -len(pair[0]))
    return tuple(
        (re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])", re.IGNORECASE), concept_id)
        for name, concept_id in pairs
    )


@lru_cache(maxsize=_MOST_REMEMBERED)
def named_in(text: str, prefix: str) -> str | None:
    """The concept under `prefix` whose name stands as a whole word in a text, if any.

    Used for medicines, whose records give products (``Alendronic acid 70 MG Oral Tablet``)
    more often than ingredients.
    """
    for pattern, name in _patterns(prefix):
        if pattern.search(text):
            return name
    return None


def ids_named(word: str, among: Iterable[str]) -> tuple[str, ...]:
    """Those of `among` that a word names, however it is cased and joined (``ts_cl``: TS-CL).

    Where no name is met, a further word of the concept counts (`AlsoSaid`), then the words of a
    name in another order (``motor_l3``).
    """
    among = tuple(among)
    said: dict[str, list[str]] = {}
    for also in also_said():
        if not also.choice and also.concept in among:
            said.setdefault(also.concept, []).append(also.word)
    own = {
        id: (id, id.partition(".")[2], id.rpartition(".")[2], concept(id).name, *concept(id).names)
        for id in among
    }
    tries = (
        (_joined, own), (_joined, said),
        (_words, {id: (*names, *said.get(id, ())) for id, names in own.items()}),
    )  # fmt: skip
    for told, names_of in tries:
        wanted = told(word)
        found = tuple(id for id, names in names_of.items() if wanted and wanted in map(told, names))
        if found:
            return found
    return ()


_FILLERS = frozenset({"of", "or", "and", "with", "at", "in", "the", "to"})


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"[a-z0-9]+", text.lower())) - _FILLERS


def _joined(word: str) -> str:
    return re.sub(r"[^a-z0-9]", "", word.lower())


def nearest(word: str, among: Iterable[str] | None = None, count: int = 3) -> tuple[str, ...]:
    """The known concept ids that a mistyped one most resembles."""
    from difflib import get_close_matches  # noqa: PLC0415 - only needed to answer an error

    known = list(concepts() if among is None else among)
    close = get_close_matches(word, known, n=count, cutoff=0.6)
    if len(close) < count:  # a short word is often the end of a longer id
        tails = {name.rsplit(".", 1)[-1]: name for name in known}
        close += [tails[t] for t in get_close_matches(word, tails, n=count, cutoff=0.6)]
    return tuple(dict.fromkeys(close))[:count]
