"""Write the reference pages from the code: ``python docs/generate.py [--check]``.

With ``--check`` nothing is written; the names of pages that differ from the code are printed and
the exit code is 1. A test runs it that way, so that the pages cannot fall behind.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from endplate import __version__, codec, evidence, rules, vocabulary
from endplate.cli.rules import rows_named_by
from endplate.evidence import Evidence, Row
from endplate.facts import Fact, Problem
from endplate.findings import Finding, Recommendation
from endplate.plan.care_plan import CarePlan
from endplate.record import PatientRecord

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
PUBLISHED = ROOT / "tests" / "published"
STAMP = f"*Generated from Endplate {__version__} by `make docs`; edit the code, not this page.*\n"


def pages() -> dict[str, str]:
    """Every generated page by its name below docs/reference."""
    grounds = evidence.shipped()
    found = {
        "rules.md": _rules(grounds),
        "evidence.md": _evidence(grounds),
        "references.md": _references(grounds),
        "vocabulary.md": _vocabulary(),
        "label-systems.md": _label_systems(),
        "command-line.md": _command_line(),
    }
    for kind in (Fact, Problem, PatientRecord, Finding, Recommendation, CarePlan):
        schema = codec.encode(codec.schema(kind), indent=2).decode() + "\n"
        found[f"schema/{_file_name(kind.__name__)}.json"] = schema
    return found


def _file_name(name: str) -> str:
    return "".join(f"-{c.lower()}" if c.isupper() else c for c in name).lstrip("-")


def _table(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    out = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    out += ["| " + " | ".join(_cell(c) for c in line) + " |" for line in lines]
    return "\n".join(out) + "\n"


def _cell(text: str) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")


def _places(row: Row) -> str:
    return "; ".join(f"{c.key}{' (' + c.where + ')' if c.where else ''}" for c in row.cites)


def _verified(row: Row) -> str:
    if row.mark == "choice":
        return "our choice"
    return "yes" if row.verified else f"no ({row.mark})"


def _number(row: Row) -> str:
    if row.value is not None:
        return row.text
    return f"table of {len(row.table)}" if row.table else ""


def _rules(grounds: Evidence) -> str:
    out = ["# Rules\n", STAMP]
    found = rules.find()
    out.append(f"{len(found)} rules. `endplate rules ID` prints one of them.\n")
    for rule in found:
        rows = [grounds.row(n) for n in rows_named_by(rule, grounds)]
        out.append(f"\n## {rule.id}\n\n{rule.summary}\n")
        out.append(f"- **Source:** {rule.source}\n- **Population:** {rule.population}")
        out.append(f"- **Not for:** {rule.not_for}")
        if rule.scores:
            out.append(f"- **Score:** `endplate score {rule.scores}`")
        out.append("- **Reads:** " + (", ".join(f"`{w}`" for w in rule.reads) or "nothing"))
        out.append(f"- **Cases:** {_cases(rule.id)}\n")
        out.append(
            _table(
                ("row", "value", "says", "source", "verified"),
                [(f"`{r.name}`", _number(r), r.says, _places(r), _verified(r)) for r in rows],
            )
        )
    return "\n".join(out)


def _cases(rule: str) -> str:
    path = PUBLISHED / f"{rule}.toml"
    if not path.exists():
        return "none"
    text = path.read_text(encoding="utf-8")
    kinds = [
        f"{text.count(f'kind = {chr(34)}{kind}{chr(34)}')} {kind}"
        for kind in ("quoted", "derived", "independent", "invented")
        if f'kind = "{kind}"' in text
    ]
    return f"{', '.join(kinds) or 'none'}; {text.count('[[boundary]]')} cut-offs on both sides"


def _evidence(grounds: Evidence) -> str:
    out = ["# Evidence\n", STAMP]
    not_verified = [r for r in grounds.rows.values() if not r.verified and r.mark != "choice"]
    choices = [r for r in grounds.rows.values() if r.mark == "choice"]
    out.append(
        f"{len(grounds.rows)} rows: {len(grounds.rows) - len(not_verified) - len(choices)} read in "
        f"a source, {len(not_verified)} not yet verified, {len(choices)} choices of this project. "
        f"No row has been reviewed by a clinician unless it says so.\n"
    )
    out.append("## Choices between sources\n")
    out.append(
        _table(
            ("choice", "used", "options", "reason"),
            [
                (f"`{c.name}`", c.use, ", ".join(c.options), c.reason)
                for c in grounds.choices.values()
            ],
        )
    )
    out.append("## Published tools that are not built in\n")
    out.append(
        _table(
            ("tool", "reason", "instead"),
            [(f"`{n.name}`", n.reason, n.instead) for n in grounds.not_implementable],
        )
    )
    out.append("## Rules without a case from outside our heads\n")
    out.append(
        _table(
            ("rule", "reason", "where we looked"),
            [(f"`{n}`", c["reason"], c.get("looked_in", "")) for n, c in _without_case().items()],
        )
    )
    out.append("## All rows\n")
    out.append(
        _table(
            ("row", "value", "says", "source", "population", "edition", "verified"),
            [
                (
                    f"`{r.name}`",
                    _number(r),
                    r.says,
                    _places(r),
                    r.population,
                    r.edition,
                    _verified(r),
                )
                for r in grounds.rows.values()
            ],
        )
    )
    return "\n".join(out)


def _without_case() -> dict[str, dict[str, str]]:
    import tomllib  # noqa: PLC0415

    path = ROOT / "src" / "endplate" / "evidence" / "no_published_case.toml"
    if not path.exists():
        return {}
    found: dict[str, dict[str, str]] = tomllib.loads(path.read_text(encoding="utf-8")).get(
        "no_published_case", {}
    )
    return found


def _references(grounds: Evidence) -> str:
    lines = [
        (
            f"`{r.key}`",
            ". ".join(p for p in (r.title, r.authors, r.published_in, str(r.year or "")) if p),
            r.doi,
            r.read,
            r.read_at,
            r.note,
        )
        for r in sorted(grounds.references.values(), key=lambda r: r.key)
    ]
    intro = (
        "What each source is, and what of it was really read. A title is in our words where only "
        "a part of the source was reached.\n"
    )
    columns = ("key", "source", "DOI", "read", "read at", "note")
    return "\n".join(["# References\n", STAMP, intro, _table(columns, lines)])


def _vocabulary() -> str:
    lines = [
        (
            f"`{c.id}`",
            c.name,
            c.unit or c.kind,
            f"{c.plausible[0]:g} to {c.plausible[1]:g}" if c.plausible else "",
            str(c.max_age_days or ""),
            ", ".join(f"{k.system} {k.code}" for k in vocabulary.codes_of(c.id)),
        )
        for c in vocabulary.concepts().values()
        if ".item" not in c.id or c.id.endswith(".item1")  # a form's other items are as its first
    ]
    intro = (
        "What a fact can be about. Of a questionnaire's items, all numbered, the first stands for "
        "all (`endplate score ID --inputs` lists them). Outside the plausible range a value is "
        "refused as a slip. Each code was seen in the source named in `codes.csv`; a concept "
        f"without a code is read and written with its own id under `{vocabulary.LOCAL_SYSTEM}`.\n"
    )
    columns = ("concept", "name", "unit or kind", "plausible", "days it counts", "codes")
    return "\n".join(["# Vocabulary\n", STAMP, intro, _table(columns, lines)])


def _label_systems() -> str:
    from endplate.images import labels  # noqa: PLC0415

    out = ["# Label systems\n", STAMP]
    out.append("Which number stands for which structure, by segmentation program.\n")
    for name, system in sorted(labels.systems().items()):
        out.append(f"\n## {name}\n\n{system.name}. Source: {system.source}\n")
        pairs = ", ".join(f"{n} {s}" for n, s in sorted(system.labels.items()))
        out.append(pairs + "\n")
    return "\n".join(out)


def _command_line() -> str:
    import os  # noqa: PLC0415

    os.environ["COLUMNS"] = "96"
    os.environ["TERM"] = "dumb"
    from typer.testing import CliRunner  # noqa: PLC0415

    from endplate.cli.main import app  # noqa: PLC0415

    out = ["# Command line\n", STAMP]
    out.append(
        "Exit codes: 0 done; 2 the input cannot be used (one message, nothing written half); 1 a "
        "defect of ours. Every command prints JSON with `--json`.\n"
    )
    names = [c.name or c.callback.__name__ for c in app.registered_commands if c.callback]
    for group in app.registered_groups:
        names += [f"{group.name} {c.name}" for c in group.typer_instance.registered_commands]
    for name in ["", *sorted(names)]:
        arguments = [*name.split(), "--help"]
        text = CliRunner().invoke(app, arguments, prog_name="endplate").output
        lines = [line.rstrip() for line in text.strip().splitlines()]
        body = "\n".join(lines)
        out.append(f"## endplate {name}".rstrip() + f"\n\n```\n{body}\n```\n")
    return "\n".join(out)


def main(arguments: list[str]) -> int:
    """Write or check all pages."""
    changed = []
    for name, text in pages().items():
        path = REFERENCE / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            changed.append(name)
            if "--check" not in arguments:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
    if "--check" in arguments and changed:
        print("Not current, run `make docs`: " + ", ".join(changed))  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
