"""``endplate read``: what was understood of a case, what was not, and why."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from endplate import vocabulary
from endplate.cli.main import print_json
from endplate.cli.output import console, problems_table, table
from endplate.exchange.case import read_case
from endplate.facts import InputProblem
from endplate.report.html import fact_value


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
                    "structures": {str(n): s for n, s in m.structures.items()},
                }
                for m in case.masks
            ],
        )
        return
    out = console()
    out.print(table("Files", ("file", "kind", "what it holds"),
                    [(f.name, f.kind, f.says) for f in case.files]))  # fmt: skip
    rows = [
        (
            vocabulary.concept(f.what).name,
            " ".join(p for p in (f.level, f.side) if p),
            fact_value(f),
            str(f.on or ""),
            f.source,
            "; ".join(f.doubts),
        )
        for f in case.record.facts
    ]
    columns = ("fact", "where", "value", "date", "source", "doubt")
    out.print(table(f"{len(rows)} facts", columns, rows))
    if case.problems:
        out.print(problems_table("Problems", case.problems))
    if case.ignored:
        out.print(problems_table("Left aside", case.ignored))


def population(folder: Path, today: date, *, as_json: bool) -> None:
    """Print counts per type for a folder of many persons' FHIR data."""
    from endplate.exchange.fhir.read import read_population

    paths = sorted(p for p in folder.rglob("*") if p.is_file()) if folder.is_dir() else []
    if not paths:
        raise InputProblem(
            f"{folder.name}: cannot be read. A folder of FHIR files is needed; there are none. "
            f"Give the folder of a bulk export."
        )
    found = read_population(paths, today)
    totals = found.totals()
    if as_json:
        print_json(
            persons=len(found),
            problems=found.problems,
            ignored=found.ignored,
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
    if found.problems:
        out.print(problems_table("Problems", found.problems))
    out.print(problems_table("Left aside", found.ignored))
