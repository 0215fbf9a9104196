"""Rules: how a clinical question becomes a function, and what is known about that function.

A rule is one small pure function from a `Patient` and the `Evidence` to findings, under a
stable dotted id. It registers by existing: `find` imports the clinical rooms and collects
what was decorated there.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterable
from copy import copy
from fnmatch import fnmatchcase
from functools import cache, lru_cache

from msgspec import Struct
from msgspec.structs import force_setattr

from endplate import vocabulary
from endplate.evidence import Citation, Evidence, Row
from endplate.facts import Fact
from endplate.findings import AnyFinding, Finding, Status
from endplate.record import Patient

Answer = AnyFinding | Iterable[AnyFinding] | None
Question = Callable[[Patient, Evidence], Answer]

# Where rules are looked for: a room, or the one module of it that holds rules, where the others
# measure and take ten times as long to import.
ROOMS = (
    "images.gates", "images.comparison", "alignment", "bone", "medicines", "pain",
    "questionnaires.questions", "recovery", "risk", "surgery",
)  # fmt: skip

_rules: dict[str, Rule] = {}


class Rule(Struct, frozen=True, kw_only=True):
    """One rule: its id, what it reads, what its author says of it, and the function.

    Calling it gives all findings, each completed with the rule's id and with the citations,
    edition, strength and verification that follow from the evidence rows it rests on.
    """

    id: str
    reads: tuple[str, ...]
    question: Question
    summary: str
    source: str
    population: str
    not_for: str
    scores: str = ""
    needs: tuple[str, ...] = ()
    begins: tuple[str, ...] = ()
    unless: str = ""
    headline: int | None = None

    def __call__(self, patient: Patient, evidence: Evidence) -> tuple[AnyFinding, ...]:
        """All findings of this rule about this person.

        Rules ask other rules, and a rule is pure: what it says of one person under the same
        evidence is found once and kept with that person.
        """
        kept = patient.answered.get(self.question)
        if kept is not None and kept[0] is evidence:
            return kept[1]
        said = self.completed(self.question(patient, evidence))
        for fact, changed in patient.extremes:
            if any(fnmatchcase(fact.what, pattern) for pattern in self.reads):
                said = _where_both_agree(said, self(changed, evidence), fact, self)
        patient.answered[self.question] = (evidence, said)
        return said

    def completed(self, answer: Answer) -> tuple[AnyFinding, ...]:
        """Findings with this rule's id, and with what follows from the rows they rest on."""
        found = (answer,) if isinstance(answer, Finding) else answer or ()
        return tuple(_completed(f, self) for f in found)

    def one(self, patient: Patient, evidence: Evidence) -> AnyFinding:
        """The finding of a rule that gives exactly one."""
        (only,) = self(patient, evidence)
        return only


def rule(
    id: str,
    *,
    reads: Iterable[str],
    scores: str = "",
    needs: Iterable[str] = (),
    begins: Iterable[str] = (),
    unless: str = "",
    headline: int | None = None,
) -> Callable[[Question], Rule]:
    """Make a function a rule.

    Parameters
    ----------
    id
        Stable dotted id; never used again for something else.
    reads
        The concepts that can change its answer; ``bone.t_score.*`` stands for all below.
    scores
        The short name under which ``endplate score`` offers it, for a score or formula.
    needs
        For a score: those of `reads` without which it has no value.
    begins
        What the concepts begin with of which one must be on record before a plan asks this rule,
        where the others stand in records of any kind.
    unless
        The rule that says the same of the same facts: in a plan in which that one speaks, this
        one does not.
    headline
        Its place in a plan's summary, if what it says belongs there.
    """

    def register(question: Question) -> Rule:
        if id in _rules:
            raise KeyError(f"{id}: two rules have this id.")
        notes = _notes(question)
        made = Rule(
            id=id,
            reads=tuple(dict.fromkeys(reads)),
            question=question,
            summary=(inspect.getdoc(question) or "").split("\n\n")[0].replace("\n", " "),
            source=notes.get("Source", ""),
            population=notes.get("Population", ""),
            not_for=notes.get("Not for", ""),
            scores=scores,
            needs=tuple(needs),
            begins=tuple(begins),
            unless=unless,
            headline=headline,
        )
        _rules[id] = made
        return made

    return register


def _notes(question: Question) -> dict[str, str]:
    """The ``Source``, ``Population`` and ``Not for`` lines of a rule's docstring."""
    text = inspect.getdoc(question) or ""
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        match = re.match(r"^(Source|Population|Not for|Differs|Error) {2,}(.+)$", line)
        if match:
            name = match[1]
            found[name] = match[2].strip()
        elif name and line.startswith("  "):
            found[name] += " " + line.strip()
        else:
            name = ""
    return found


@cache
def find() -> tuple[Rule, ...]:
    """All rules of all clinical rooms, by id."""
    for name in ROOMS:
        _enter(name)
    return tuple(_rules[id] for id in sorted(_rules))


@cache
def of_room(name: str) -> tuple[Rule, ...]:
    """The rules of one clinical room, by id; the other rooms are not imported for them."""
    _enter(name)
    return tuple(_rules[id] for id in sorted(_rules) if id.startswith(f"{name}."))


def _enter(name: str) -> None:
    room = importlib.import_module(f"endplate.{name}")
    for module in pkgutil.iter_modules(getattr(room, "__path__", ())):
        importlib.import_module(f"endplate.{name}.{module.name}")


@cache
def named(id: str) -> Rule:
    """The rule of that id; `KeyError` if there is none."""
    find()
    return _rules[id]


def _where_both_agree(
    said: tuple[AnyFinding, ...], at_extreme: tuple[AnyFinding, ...], fact: Fact, by: Rule
) -> tuple[AnyFinding, ...]:
    """What holds wherever a result lies of which only a bound is known; the rest is unknown."""
    others = {f.key: f for f in at_extreme}
    kept = []
    for one in said:
        other = others.pop(one.key, None)
        same = other is not None and (other.status, other.category) == (one.status, one.category)
        kept.append(one if same else _undecided(one, fact, "at that bound", by))
    kept += [_undecided(f, fact, "far from that bound", by) for f in others.values()]
    return tuple(kept)


def _undecided(finding: AnyFinding, fact: Fact, where: str, by: Rule) -> AnyFinding:
    """A finding that holds on one side only of what a result may be."""
    if finding.status is Status.UNKNOWN:
        return finding
    concept = vocabulary.concept(fact.what)
    bound = f"{fact.number:g} {concept.unit}".removesuffix(" 1")
    made = Finding(
        says=f"Open, as {concept.name} is known only as {bound}. Only {where}: {finding.says}",
        about=finding.about,
        status=Status.UNKNOWN,
        because=tuple(dict.fromkeys((fact, *finding.because))),
        missing=tuple(dict.fromkeys((fact.what, *finding.missing))),
        assumed=finding.assumed,
        rests_on=finding.rests_on,
        positions=finding.positions,
        stage=finding.stage,
        urgency=finding.urgency,
    )
    return _completed(made, by)


def _completed(finding: AnyFinding, by: Rule) -> AnyFinding:
    positions = finding.positions
    rows = (*finding.rests_on, *[r for p in positions for r in p.rests_on])
    cites, edition, strength, verified, overrides = _following(rows)
    if positions:  # the strength is that of the finding's own sentence
        strength = _following(finding.rests_on)[2]
    made = copy(finding)  # its fields were checked, and those that follow need no check
    force_setattr(made, "rule", by.id)
    force_setattr(made, "cites", cites)
    force_setattr(made, "edition", edition)
    force_setattr(made, "strength", finding.strength or strength)
    force_setattr(made, "verified", verified)
    force_setattr(made, "overrides", overrides)
    if not finding.limits and by.not_for:
        force_setattr(made, "limits", (f"Not for: {by.not_for}",))
    return made


@lru_cache(maxsize=4096)  # the same few rows stand under the findings of everybody
def _following(
    rows: tuple[Row, ...],
) -> tuple[tuple[Citation, ...], str, str, bool, tuple[str, ...]]:
    """Citations, edition, strength, whether verified, and a clinic's own, as follows from rows."""
    return (
        tuple(dict.fromkeys([c for row in rows for c in row.cites])),
        _joined([row.edition for row in rows]),
        _joined([row.strength for row in rows]),
        all(row.verified or row.mark == "choice" for row in rows),
        tuple(dict.fromkeys([r.name for r in rows if r.overridden])),
    )


def _joined(words: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys([w for w in words if w]))


def rows_of(finding: AnyFinding) -> tuple[Row, ...]:
    """Every evidence row that a finding rests on, in its own sentence or in its positions."""
    rows = [*finding.rests_on, *(r for p in finding.positions for r in p.rests_on)]
    return tuple({row.name: row for row in rows}.values())
