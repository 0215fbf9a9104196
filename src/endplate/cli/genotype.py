"""``endplate genotype``: genes from VCF files and outside calls, and what rules say of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from msgspec import Struct

from endplate import evidence, rules, vocabulary
from endplate.cli.main import print_json
from endplate.cli.output import console, problems_table, table
from endplate.evidence import Evidence
from endplate.exchange import genotype as genes
from endplate.exchange.intake import Intake
from endplate.exchange.outside_calls import read_outside_calls
from endplate.facts import Fact, InputProblem, Problem
from endplate.findings import AnyFinding, Status
from endplate.record import PatientRecord

_ROOM = "medicines"
_MOST_NAMED = 6


class Person(Struct, frozen=True, kw_only=True):
    """One sample: its facts, what rules say of them, and what could not be used."""

    sample: str
    facts: tuple[Fact, ...]
    findings: tuple[AnyFinding, ...]
    problems: tuple[Problem, ...]
    ignored: tuple[Problem, ...]


def genotype(
    paths: Sequence[Path],
    outside: Path | None,
    assembly: str | None,
    sample: str | None,
    on: date,
    clinic_file: Path | None,
    *,
    as_json: bool,
) -> None:
    """Print each gene's diplotypes, where they are from, what was not tested, and what follows."""
    if not paths and outside is None:
        raise InputProblem(
            "genotype: nothing to read. VCF files or --outside-calls are needed; neither was "
            "given. Give one of them."
        )
    grounds = evidence.shipped()
    if clinic_file is not None:
        grounds = evidence.with_clinic_file(grounds, clinic_file)
    found = people(paths, outside, assembly, sample, on, grounds)
    if as_json:
        _print_json(found, grounds, is_list=sample == "all")
        return
    for person in found:
        _print(person, with_name=len(found) > 1)


def people(
    paths: Sequence[Path],
    outside: Path | None,
    assembly: str | None,
    sample: str | None,
    on: date,
    grounds: Evidence,
) -> list[Person]:
    """Every person asked for, with their facts and findings."""
    files = genes.read_files(paths, assembly)
    samples: Iterable[str] = genes.chosen(files, sample) if paths else ("",)
    samples = tuple(samples)
    if outside is not None and len(samples) > 1:
        raise InputProblem(
            f"{outside.name}: cannot be used. Outside calls are of one person; {len(samples)} "
            f"samples were asked for. Give --sample NAME."
        )
    asked = rules.of_room(_ROOM)
    found = []
    for name in samples:
        intake = Intake(on)
        if outside is not None:
            read_outside_calls(outside, intake)
        genes.take(files, name, intake)
        understood = intake.understood()
        record = PatientRecord.of(understood.facts)
        patient = record.known_on(on)
        findings = tuple(f for rule in asked for f in rule(patient, grounds))
        found.append(
            Person(
                sample=name, facts=record.facts, findings=findings,
                problems=understood.problems, ignored=understood.ignored,
            )
        )  # fmt: skip
    return found


def _print_json(found: Sequence[Person], grounds: Evidence, *, is_list: bool) -> None:
    if not is_list:
        (one,) = found
        print_json(
            facts=one.facts, findings=one.findings, problems=one.problems, ignored=one.ignored,
            overrides=grounds.overrides,
        )  # fmt: skip
        return
    samples: list[dict[str, Any]] = [
        {name: getattr(one, name) for name in one.__struct_fields__} for one in found
    ]
    print_json(samples=samples, overrides=grounds.overrides)


def _not_tested(fact: Fact) -> str:
    """The first positions that were not tested, and how many more there are."""
    names = str(fact.details.get("not_tested", "")).split(", ")
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _print(person: Person, *, with_name: bool) -> None:
    out = console()
    title = f"Genes of {person.sample}" if with_name else "Genes"
    rows = [
        (
            vocabulary.concept(fact.what).name,
            "yes" if fact.value is True else "no" if fact.value is False else str(fact.value),
            str(fact.details.get("called_from", "")).replace("_", " "),
            "; ".join(fact.doubts),
            _not_tested(fact),
        )
        for fact in person.facts
    ]
    columns = ("gene", "what was found", "called from", "doubt", "not tested")
    out.print(table(title, columns, rows))
    for finding in person.findings:
        if finding.status is Status.ANSWERED:
            out.print(finding.says, markup=False)
    if person.problems:
        out.print(problems_table("Problems", person.problems))
    if person.ignored:
        out.print(problems_table("Left aside", person.ignored))
