"""``endplate read``: what was understood of a case, what was not, and why."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from itertools import chain
from pathlib import Path

from endplate import vocabulary
from endplate.cli.main import print_json
from endplate.cli.output import console, problems_table, table
from endplate.exchange.case import read_case
from endplate.facts import Fact, InputProblem, Problem
from endplate.report.values import fact_value

_MOST_SHOWN = 20


def read(folder: Path, today: date, *, as_json: bool) -> None:
    """Print what was understood of one person's folder."""
    case = read_case(folder, today)
    if as_json:
        print_json(
            facts=case.record.facts,
            problems=case.problems,
            ignored=case.ignored,
            files=[{"name": f.name, "kind": f.kind, "says": f.says} for f in case.files],
            images=[{"name": i.name, "modality": i.acquisition.modality} for i in case.images],
            masks=[
                {
                    "name": m.volume.name,
                    "system": m.system,
                    "algorithm": m.algorithm,
                    "structures": {str(n): s for n, s in m.structures.items()},
                }
                for m in case.masks
            ],
        )
        return
    out = console()
    out.print(table("Files", ("file", "kind", "what it holds"),
                    [(f.name, f.kind, f.says) for f in case.files]))  # fmt: skip
    answers = _forms(case.record.facts)
    rows = [
        (
            answers[f][0] if f in answers else vocabulary.concept(f.what).name,
            " ".join(p for p in (f.level, f.side) if p),
            answers[f][1] if f in answers else _value(f),
            str(f.on or ""),
            f.source,
            "; ".join(f.doubts),
        )
        for f in case.record.facts
        if not (f in answers and answers[f] == _NOT_AGAIN)
    ]
    columns = ("fact", "where", "value", "date", "source", "doubt")
    out.print(table(f"{len(case.record.facts)} facts", columns, rows))
    if case.problems:
        out.print(problems_table("Problems", case.problems))
    if case.ignored:
        out.print(problems_table("Left aside", case.ignored))


_NOT_AGAIN = ("", "")


def _forms(facts: Iterable[Fact]) -> dict[Fact, tuple[str, str]]:
    """The answers to one form as one line, at the first of them: its name, and item by item."""
    forms: dict[tuple[str, date | None, str], list[tuple[int, Fact]]] = {}
    for fact in facts:
        form, _, item = fact.what.rpartition(".item")
        if form.startswith("questionnaire.") and item.isdecimal() and not fact.doubts:
            forms.setdefault((form, fact.on, fact.source), []).append((int(item), fact))
    found: dict[Fact, tuple[str, str]] = {}
    for each in forms.values():
        found |= {fact: _NOT_AGAIN for _, fact in each}
        first = vocabulary.concept(each[0][1].what).name.rpartition(", item")[0]
        said = ", ".join(f"{n}: {fact_value(f)}" for n, f in sorted(each, key=lambda e: e[0]))
        found[each[0][1]] = (f"{first}, {len(each)} answers", said)
    return found


def _value(fact: Fact) -> str:
    """A value with what is known beside it: a medicine's dose, how a gene was called."""
    if fact.what.startswith("medicine.") and fact.value is True:
        return f"yes, {_dose(fact)}"
    if fact.what.startswith("gene.") and fact.details.get("copy_number") == "unknown":
        return f"{fact_value(fact)}, copy number unknown"
    return fact_value(fact)


def _dose(fact: Fact) -> str:
    details = fact.details
    ordered = f" ({details['dosage']})" if details.get("dosage") else ""
    if "daily_dose" not in details:
        return f"dose not known{ordered}"
    high, unit = float(details["daily_dose"]), str(details.get("daily_dose_unit", ""))
    least = float(details.get("daily_dose_least", high))
    is_patch = unit == "ug/h"
    span = f"{high:g}" if least == high else f"{least:g} to {high:g}"
    needed = " as needed" if details.get("as_needed") == "yes" else ""
    return f"{span} {'µg/h as a patch' if is_patch else f'{unit} a day'}{needed}{ordered}"


def population(folder: Path, today: date, *, as_json: bool) -> None:
    """Print counts per type and what was wrong, for a folder of many persons' FHIR data."""
    from endplate.exchange.fhir.read import read_population

    paths = sorted(p for p in folder.rglob("*") if p.is_file()) if folder.is_dir() else []
    if not paths:
        raise InputProblem(
            f"{folder.name}: cannot be read. A folder of FHIR files is needed; there are none. "
            f"Give the folder of a bulk export."
        )
    found = read_population(paths, today)
    everybody = list(found.values())
    problems = _kinds(found.problems, chain.from_iterable(u.problems for u in everybody))
    ignored = _kinds(found.ignored, chain.from_iterable(u.ignored for u in everybody))
    if not everybody:
        why = problems[0].says if problems else "There are no FHIR resources in it."
        raise InputProblem(
            f"{folder.name}: no person could be read from it. FHIR R4 as JSON or NDJSON is needed; "
            f"none was found that is about a person. {why} Give the folder of a bulk export."
        )
    totals = found.totals()
    if as_json:
        print_json(
            persons=len(found),
            problems=problems,
            ignored=ignored,
            counts={
                kind: {"resources": c.resources, "facts": c.facts, "problems": c.problems}
                for kind, c in sorted(totals.items())
            },
        )
        return
    out = console()
    rows = [
        (kind, str(c.resources), str(c.facts), str(c.problems))
        for kind, c in sorted(totals.items())
    ]
    columns = ("kind of resource", "resources", "facts", "problems")
    out.print(table(f"{len(found)} persons", columns, rows))
    if problems:
        out.print(problems_table("Problems", problems[:_MOST_SHOWN]))
    if len(problems) > _MOST_SHOWN:
        out.print(f"and {len(problems) - _MOST_SHOWN} more kinds", highlight=False)
    if ignored:
        out.print(problems_table("Left aside", ignored))


def _kinds(of_files: Iterable[Problem], of_persons: Iterable[Problem]) -> list[Problem]:
    """Each different problem once with how often it was met, most frequent first.

    Its place is kept where it is one place and not one person's.
    """
    places: dict[tuple[str, str, tuple[str, ...]], set[str]] = {}
    counts: dict[tuple[str, str, tuple[str, ...]], int] = {}
    for problems, is_person in ((of_files, False), (of_persons, True)):
        for p in problems:
            kind = (p.problem, p.says, p.try_)
            counts[kind] = counts.get(kind, 0) + p.count
            places.setdefault(kind, set()).add("" if is_person else p.where)
    found = [
        Problem(
            problem=kind[0],
            says=kind[1],
            where=min(places[kind]) if len(places[kind]) == 1 else "",
            try_=kind[2],
            count=count,
        )
        for kind, count in counts.items()
    ]
    return sorted(found, key=lambda p: (-p.count, p))
