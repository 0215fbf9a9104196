"""What every command prints: the JSON envelope, and plain tables."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.table import Table

from endplate import __version__, codec
from endplate.evidence import Evidence
from endplate.facts import Fact, Problem
from endplate.findings import AnyFinding


def envelope(
    *,
    facts: Iterable[Fact] = (),
    findings: Iterable[AnyFinding] = (),
    problems: Iterable[Problem] = (),
    **more: Any,
) -> bytes:
    """``{"endplate", "facts", "findings", "problems", ...}`` as indented JSON."""
    parts = {
        "endplate": __version__,
        "facts": list(facts),
        "findings": list(findings),
        "problems": list(problems),
        **more,
    }
    return codec.encode(parts, indent=2)


def console() -> Console:
    """Where text goes: as wide as a terminal, or wide enough for a pipe."""
    found = Console()
    return found if found.is_terminal else Console(width=160, force_terminal=False)


@contextmanager
def progress(steps: Sequence[str], *, is_wanted: bool) -> Iterator[Callable[[str], None]]:
    """A bar of steps, on a terminal alone; what it gives is told the name of each as it begins."""
    if not is_wanted or not sys.stderr.isatty():
        yield lambda step: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    bar = Progress(
        BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"),
        console=Console(stderr=True), transient=True,
    )  # fmt: skip
    task = bar.add_task("", total=len(steps))

    def begin(step: str) -> None:
        bar.update(task, description=step, completed=steps.index(step))
        bar.start()  # with the first step: before it others may write to the terminal
        bar.refresh()  # a step that is quicker than the bar's own beat is seen too

    try:
        yield begin
    finally:
        bar.stop()


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A plain table."""
    made = Table(title=title, title_justify="left", show_lines=False, expand=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*(_escaped(cell) for cell in row))
    return made


def _escaped(text: str) -> str:
    return text.replace("[", r"\[")  # rich would read a unit such as [hnsf'U] as a style


def overrides_table(grounds: Evidence) -> Table:
    """What a clinic's own evidence puts in the place of the shipped one."""
    title = f"The clinic's own evidence: {_escaped(grounds.clinic)}".removesuffix(": ")
    rows = [(o.name, o.clinic, o.shipped, o.reason) for o in grounds.overrides]
    return table(title, ("row or choice", "the clinic's", "instead of", "reason"), rows)


def problems_table(title: str, problems: Sequence[Problem]) -> Table:
    """Problems with where they are and what can be done."""
    rows = [(p.where, " ".join((p.says, *p.try_)), str(p.count)) for p in problems]
    return table(f"{title}: {len(rows)}", ("where", "what", "times"), rows)
