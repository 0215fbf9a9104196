"""Reading FHIR R4: bundles, single resources and bulk NDJSON become facts, or a stated reason.

A bad resource costs one line of the report, not the file. What is not used is counted with its
reason, so that nothing disappears. No problem ever quotes what the record says of the person.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path

from msgspec import field

from endplate.exchange.fhir.forms import Forms
from endplate.exchange.fhir.read.person import Identity
from endplate.exchange.fhir.read.stream import Count, Stream
from endplate.exchange.intake import Understood
from endplate.facts import Problem

__all__ = ["Count", "FhirReading", "Identity", "Population", "read_fhir", "read_population"]


class FhirReading(Understood, frozen=True, kw_only=True):
    """What the files say of one person, and of whom they say it.

    Attributes
    ----------
    identities
        What each Patient resource says of who it is.
    subjects
        How many resources name each subject; more than one subject may mean two people.
    counts
        Per file and kind of resource.
    """

    identities: tuple[Identity, ...] = ()
    subjects: Mapping[str, int] = field(default_factory=dict)
    counts: Mapping[str, Mapping[str, Count]] = field(default_factory=dict)


class Population(dict[str, Understood]):
    """What the files say of each of many persons, by the id under which they are referred to.

    Attributes
    ----------
    problems, ignored
        What is not about one person: files, lines, kinds and codes.
    identities
        What each Patient resource says of who it is.
    counts
        Per file and kind of resource.
    """

    def __init__(self) -> None:
        super().__init__()
        self.problems: tuple[Problem, ...] = ()
        self.ignored: tuple[Problem, ...] = ()
        self.identities: tuple[Identity, ...] = ()
        self.counts: Mapping[str, Mapping[str, Count]] = {}

    def totals(self) -> dict[str, Count]:
        """Resources, facts and problems of all files by kind of resource."""
        found: dict[str, Count] = {}
        for by_kind in self.counts.values():
            for kind, count in by_kind.items():
                total = found.setdefault(kind, Count())
                total.resources += count.resources
                total.facts += count.facts
                total.problems += count.problems
        return found


def read_fhir(paths: Iterable[Path], today: date, forms: Forms | None = None) -> FhirReading:
    """Everything that FHIR files say of one person.

    Parameters
    ----------
    paths
        JSON or NDJSON files, plain or packed (gzip, zstandard), in any order.
    today
        Facts dated later are refused.
    forms
        Which linkIds of a clinic's forms are which items of an instrument.

    Returns
    -------
    FhirReading
        Also for files that cannot be used at all: `problems` says why (``json.invalid``,
        ``file.not_readable``), and `ignored` names JSON that is not FHIR.
    """
    stream = Stream(today, each=False, forms=forms)
    stream.read(paths)
    whole = stream.understood(stream.common)
    return FhirReading(
        facts=whole.facts,
        problems=whole.problems,
        ignored=whole.ignored,
        identities=tuple(stream.people.identities),
        subjects=stream.people.subjects(),
        counts=stream.counts,
    )


def read_population(paths: Iterable[Path], today: date) -> Population:
    """Everything that FHIR files say of each of many persons, such as a bulk export."""
    stream = Stream(today, each=True)
    stream.read(paths)
    population = Population()
    for person in stream.people.persons.values():
        population[person.key] = stream.understood(person.intake)
    whole = stream.understood(stream.common)
    population.problems = whole.problems
    population.ignored = whole.ignored
    population.identities = tuple(stream.people.identities)
    population.counts = stream.counts
    return population
