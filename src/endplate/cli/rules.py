"""``endplate rules``: what is built in, on which source, and what is not, with the reason."""

from __future__ import annotations

import re
from pathlib import Path

from endplate import evidence, rules, vocabulary
from endplate.cli.main import print_json
from endplate.cli.output import console, overrides_table, table
from endplate.evidence import Evidence
from endplate.facts import InputProblem
from endplate.rules import Rule


def _grounds(clinic_file: Path | None) -> Evidence:
    shipped = evidence.shipped()
    return evidence.with_clinic_file(shipped, clinic_file) if clinic_file else shipped


def rows_named_by(rule: Rule, grounds: Evidence) -> list[str]:
    """The evidence rows that a rule's source line names, ``bone.ost.*`` standing for all below."""
    found: dict[str, None] = {}
    for name in row_names(rule.source):
        if name.endswith("*"):
            found |= dict.fromkeys(r.name for r in grounds.under(name.rstrip("*")))
        else:
            found[name] = None
    return list(found)


def row_names(source: str) -> list[str]:
    """The names of evidence rows in a rule's source line, as they are written there."""
    rooms = "alignment|bone|medicines|pain|questionnaires|recovery|risk|surgery|measurement"
    return re.findall(rf"\b(?:{rooms})\.[a-z0-9_.]*[a-z0-9_*]", source)


def every(clinic_file: Path | None, *, as_json: bool) -> None:
    """Print every rule: id, sentence, source, whether its numbers are verified."""
    grounds = _grounds(clinic_file)
    found = []
    for rule in rules.find():
        rows = [grounds.row(n) for n in rows_named_by(rule, grounds)]
        open_rows = [r.name for r in rows if not r.verified and r.mark != "choice"]
        found.append((rule, rows, open_rows))
    if as_json:
        print_json(
            rules=[
                {
                    "id": rule.id,
                    "score": rule.scores or None,
                    "says": rule.summary,
                    "source": rule.source,
                    "population": rule.population,
                    "not_for": rule.not_for,
                    "reads": rule.reads,
                    "rows": [r.name for r in rows],
                    "not_verified": open_rows,
                }
                for rule, rows, open_rows in found
            ],
            overrides=grounds.overrides,
        )
        return
    lines = [
        (r.id, r.summary, r.source, "yes" if not open_rows else f"{len(open_rows)} not yet")
        for r, _, open_rows in found
    ]
    out = console()
    out.print(
        table(f"{len(lines)} rules", ("rule", "what it says", "source", "numbers verified"), lines)
    )
    if grounds.overrides:
        out.print(overrides_table(grounds))


def one(id: str, clinic_file: Path | None, *, as_json: bool) -> None:
    """Print one rule with the numbers it goes by."""
    grounds = _grounds(clinic_file)
    known = {r.id: r for r in rules.find()} | {r.scores: r for r in rules.find() if r.scores}
    rule = known.get(id)
    if rule is None:
        near = ", ".join(vocabulary.nearest(id, known)) or "see 'endplate rules'"
        raise InputProblem(f"{id}: is no rule. Nearest: {near}. Write one of these.")
    rows = [grounds.row(n) for n in rows_named_by(rule, grounds)]
    if as_json:
        print_json(rule={"id": rule.id, "says": rule.summary, "source": rule.source,
                         "population": rule.population, "not_for": rule.not_for,
                         "reads": rule.reads}, rows=rows,
                   overrides=grounds.overrides)  # fmt: skip
        return
    out = console()
    for name, text in (
        (rule.id, rule.summary),
        ("Source", rule.source),
        ("Population", rule.population),
        ("Not for", rule.not_for),
        ("Reads", ", ".join(rule.reads)),
    ):
        out.print(f"{name}: {text}", markup=False)
    lines = [
        (
            r.name,
            r.text if r.value is not None else "",
            r.says,
            "; ".join(f"{c.key} {c.where}".strip() for c in r.cites),
            "yes" if r.verified else r.mark or "no",
        )
        for r in rows
    ]
    out.print(table("Numbers", ("row", "value", "says", "source", "verified"), lines))
    if grounds.overrides:
        out.print(overrides_table(grounds))


def concepts(*, as_json: bool) -> None:
    """Print the vocabulary."""
    known = vocabulary.concepts().values()
    if as_json:
        print_json(concepts=list(known))
        return
    lines = [
        (
            c.id,
            c.name,
            c.unit or c.kind,
            ", ".join(f"{k.system} {k.code}" for k in vocabulary.codes_of(c.id)[:4]),
        )
        for c in known
    ]
    console().print(table(f"{len(lines)} concepts", ("id", "name", "unit or kind", "codes"), lines))


def not_built_in(*, as_json: bool) -> None:
    """Print published tools that are not built in, with the reason."""
    found = evidence.shipped().not_implementable
    if as_json:
        print_json(not_implementable=found)
        return
    lines = [(n.name, n.reason, n.instead) for n in found]
    console().print(table("Not built in", ("tool", "reason", "instead"), lines))


def surgery(what: str, *, as_json: bool) -> None:
    """Print a reference table for surgery."""
    from endplate.surgery import materials

    if what != "materials":
        raise InputProblem(f"{what}: is no table for surgery. There is: materials. Write that.")
    found = materials.properties(evidence.shipped())
    if as_json:
        print_json(materials=found)
        return
    lines = [
        (p.material, p.property, p.value, p.cites, "yes" if p.verified else "no") for p in found
    ]
    columns = ("material", "property", "value", "source", "verified")
    console().print(table("Implant materials", columns, lines))
