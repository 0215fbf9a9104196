"""``endplate alignment classify`` and ``targets``: what the landmarks of one person mean."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

from msgspec import Struct
from rich.console import Console

from endplate import evidence, rules, vocabulary
from endplate.alignment.aims import Target, targets_of
from endplate.alignment.norms import Norm, norms_of
from endplate.alignment.standing import called
from endplate.alignment.together import RULE as NOT_STANDING
from endplate.alignment.together import told_once
from endplate.cli.alignment import Given, of_films
from endplate.cli.main import print_json
from endplate.cli.output import console, overrides_table, problems_table, table
from endplate.evidence import Evidence
from endplate.exchange.intake import Intake
from endplate.facts import Fact, InputProblem, Problem
from endplate.findings import AnyFinding, Finding, Status
from endplate.posture import Posture
from endplate.record import Patient, PatientRecord
from endplate.rules import Rule
from endplate.vocabulary import concept

_ROOM = "alignment."
_SOURCE = "typed"
_PIPE_WIDTH = 80
# What is measured on the radiographs, so that a typed value is taken to be of them too.
_MEASURED = ("spine.", "pelvis.", "lower_limb.", "segment.", "junction.")
_TARGET_RULES = (
    "age_adjusted", "ideal_lordosis", "t4_l1_hip_axis", "lordosis_distribution", "srs_schwab",
    "gap",
)  # fmt: skip


class Said(Struct, frozen=True, kw_only=True):
    """What was said on the command line: landmark files, values, and about the radiographs."""

    words: Sequence[str]
    given: Given
    age: float | None = None
    sex: str | None = None
    on: date
    clinic_file: Path | None = None


class _Asked(Struct, frozen=True, kw_only=True):
    """The person that was measured, with what could not be."""

    facts: tuple[Fact, ...]
    patient: Patient
    problems: list[Problem]
    grounds: Evidence


def classify(said: Said, *, as_json: bool) -> None:
    """Print every class and score that landmarks and typed values allow, and why not the others.

    Raises
    ------
    InputProblem
        If a file cannot be used or a typed value is not understood.
    """
    asked = _asked(said)
    own = _rules()
    found = told_once(f for r in own for f in r(asked.patient, asked.grounds))
    spoke = {f.rule for f in found} | _told_together(found)
    known = {f.what for f in asked.facts}
    # What needs nothing and is asked of something known has looked, and found nothing to say.
    silent = {r.id for r in own if not r.scores or (not r.needs and known & {*r.reads})}
    findings = (*found, *(_not_given(r, known) for r in own if r.id not in spoke | silent))
    norms = [
        n for f in asked.patient.record.facts for n in norms_of(f, asked.patient, asked.grounds)
    ]
    if as_json:
        print_json(
            facts=asked.facts, findings=findings, problems=asked.problems, norms=norms,
            overrides=asked.grounds.overrides,
        )  # fmt: skip
        return
    out = _console()
    answered = [f for f in findings if f.status is Status.ANSWERED and f.category != "consistent"]
    lines = [(_name(f), f.says, "yes" if f.verified else "no") for f in answered]
    out.print(table("Classes and scores", ("what", "answer", "read"), lines))
    against = [f.says for f in findings if f.category == "contradiction"]
    if against:
        out.print(
            table("Contradictions", ("values that cannot all be right",), [(s,) for s in against])
        )
    out.print(table("Cannot be given", ("why", "what"), _grouped(findings)))
    if norms:
        out.print(table("Beside people without complaints", _NORM_COLUMNS, _norm_lines(norms)))
    _end(out, asked)


def targets(said: Said, *, as_json: bool) -> None:
    """Print every target side by side, with the measured value and how far off it is.

    Raises
    ------
    InputProblem
        If a file cannot be used or a typed value is not understood.
    """
    asked = _asked(said)
    ids = {_ROOM + name for name in _TARGET_RULES}
    findings = [f for r in _rules() if r.id in ids for f in r(asked.patient, asked.grounds)]
    aims = targets_of(asked.patient, asked.grounds)
    if as_json:
        print_json(
            facts=asked.facts, findings=findings, problems=asked.problems, targets=aims,
            overrides=asked.grounds.overrides,
        )  # fmt: skip
        return
    out = _console()
    if not aims:
        out.print("Targets of alignment are for adults.")
    for what in dict.fromkeys(a.what for a in aims):
        of_it = [a for a in aims if a.what == what]
        out.print(table(_heading(of_it), _TARGET_COLUMNS, [_target_line(a) for a in of_it]))
        if (spread := _spread(of_it)) is not None:
            out.print(f"The sources differ: {spread}.\n")
    if aims:
        out.print(
            "* the default, by a choice that a clinic can make otherwise. 'read': whether the "
            "number was read in its source."
        )
    _end(out, asked)


def _end(out: Console, asked: _Asked) -> None:
    if asked.problems:
        out.print(problems_table("Problems", asked.problems))
    if asked.grounds.overrides:
        out.print(overrides_table(asked.grounds))


def _console() -> Console:
    """As wide as a terminal, and in a pipe as wide as the narrowest usual one."""
    out = console()
    if not out.is_terminal:
        out.width = _PIPE_WIDTH
    return out


def _rules() -> list[Rule]:
    return [r for r in rules.find() if r.id.startswith(_ROOM)]


# -- who was measured -----------------------------------------------------------------------------


def _asked(said: Said) -> _Asked:
    """The person of the films and of the typed values."""
    pairs = [w for w in said.words if "=" in w and not Path(w).exists()]
    files = [Path(w) for w in said.words if w not in pairs]
    if not files:
        raise InputProblem(
            "alignment: nothing can be measured. A file of landmarks is needed; only values were "
            "given. Name the file, or use 'endplate score ID' for values alone."
        )
    films = of_films(files, said.given)
    measured, problems = films.facts, films.problems
    grounds = evidence.shipped()
    if said.clinic_file is not None:
        grounds = evidence.with_clinic_file(grounds, said.clinic_file)
    typed = _typed(pairs, said, measured)
    record = PatientRecord.of((*measured, *typed))
    late = [f for f in record.facts if f.on is not None and f.on > said.on]
    if late:
        raise InputProblem(
            f"{late[0].source}: cannot be used. A radiograph taken by {said.on} is needed; its "
            f"date lies after that. Correct the date, or give a later day as --on."
        )
    return _Asked(
        facts=record.facts, patient=record.known_on(said.on), problems=problems, grounds=grounds
    )


def _typed(pairs: Iterable[str], said: Said, measured: Sequence[Fact]) -> tuple[Fact, ...]:
    """The typed values as facts: of the day and posture of the radiographs, where of them."""
    reads = tuple(dict.fromkeys(w for r in _rules() for w in r.reads))
    known = {f.what for f in measured}
    day = max((f.on for f in measured if f.on), default=None)
    postures = {f.posture for f in measured}
    posture = postures.pop() if len(postures) == 1 else Posture.UNKNOWN
    intake = Intake(today=said.on)
    person = (("age", said.age), ("sex", said.sex))
    for pair in (*pairs, *(f"person.{key}={value}" for key, value in person if value is not None)):
        key, _, text = pair.partition("=")
        name, _, level = key.partition("@")
        what = _concept_of(name, reads)
        if what in known and not level:
            raise InputProblem(
                f"{name}: cannot be used. One value is needed; it is measured on the landmarks and "
                f"typed as well. Leave out the typed one."
            )
        asked, of_the_film = concept(what), what.startswith(_MEASURED)
        value, unit = text.strip(), asked.unit
        if asked.kind == "number" and " " in value:
            value, unit = value.split(None, 1)
        intake.take(
            asked, value, unit=unit, level=level or None, source=_SOURCE,
            on=day if of_the_film else None if asked.kind == "date" else said.on,
            posture=posture if of_the_film else None,
        )  # fmt: skip
    understood = intake.understood()
    if understood.problems:
        first = understood.problems[0]
        raise InputProblem(f"{first.where}: cannot be used. {first.says} Correct it and try again.")
    return understood.facts


def _concept_of(name: str, reads: Sequence[str]) -> str:
    """The one concept that is called so, or whose last words are that."""
    people = ("person.age", "person.sex", "person.birth_date")
    among = tuple(dict.fromkeys((*reads, *people)))
    matching = [w for w in among if name == w] or [w for w in among if w.endswith(f".{name}")]
    matching = matching or list(vocabulary.ids_named(name, among))
    if len(matching) == 1:
        return matching[0]
    near = ", ".join(matching or vocabulary.nearest(name, among))
    raise InputProblem(
        f"{name}: is {'ambiguous' if matching else 'no input'} of an alignment class or score. One "
        f"of those that 'endplate score ID --inputs' lists is needed; {near} come nearest. Write "
        f"one of these."
    )


# -- what is printed ------------------------------------------------------------------------------


def _told_together(findings: Iterable[AnyFinding]) -> set[str]:
    """The rules whose refusal stands in the one finding that nobody stood."""
    ids = {r.scores: r.id for r in _rules()}
    return {ids[score] for f in findings if f.rule == NOT_STANDING for score in f.parts}


def _not_given(rule: Rule, known: set[str]) -> Finding:
    lacking = tuple(what for what in rule.needs if what not in known)
    some = lacking and known & set(rule.reads)
    why = f"{' and '.join(map(called, lacking))} not" if some else "nothing that it asks for is"
    return Finding(
        rule=rule.id,
        says=f"Cannot be given: {why} known.",
        status=Status.UNKNOWN,
        missing=lacking or rule.reads,
    )


def _name(finding: AnyFinding) -> str:
    rule = next(r for r in _rules() if r.id == finding.rule)
    name = (rule.scores or rule.id.removeprefix(_ROOM)).replace("_", " ")
    return f"{name} {finding.about}".strip() if not finding.about.count(".") else name


def _grouped(findings: Iterable[AnyFinding]) -> list[tuple[str, str]]:
    """Each reason once, with all that cannot be given for it."""
    groups: dict[str, list[str]] = {}
    for finding in findings:
        if finding.status is Status.ANSWERED or finding.category == "contradiction":
            continue
        nothing = finding.says.startswith("Cannot be given: nothing")
        if finding.rule == NOT_STANDING:
            why, name = "nobody was measured standing", finding.says
        elif nothing:
            why, name = "nothing that it asks for is known", _name(finding)
        elif finding.status is Status.NOT_APPLICABLE:
            why, name = "does not apply: " + finding.says, _name(finding)
        else:
            names = [called(w) for w in dict.fromkeys(finding.missing)]
            why, name = "not known: " + ", ".join(names), _name(finding)
        groups.setdefault(why, []).append(name)
    return [(why, ", ".join(dict.fromkeys(names))) for why, names in groups.items()]


_NORM_COLUMNS = ("what", "population", "there", "place")
_UNITS = {"deg": "°", "1": ""}


def _number(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    return f"{value:.1f}{_UNITS.get(unit, ' ' + unit)}"


def _norm_lines(norms: Iterable[Norm]) -> list[tuple[str, ...]]:
    lines: list[tuple[str, ...]] = []
    last = ""
    for norm in norms:
        there = _number(norm.mean, norm.unit) + (f" ± {norm.sd:g}" if norm.sd else "")
        if norm.low is not None:
            there += f"{'; ' if there else ''}{norm.low:g} to {norm.high:g} ({norm.band})"
        place = "" if norm.z is None else f"{norm.z:+.1f} SD"
        place += f"{', ' if place else ''}{norm.place}" if norm.place else ""
        place += f"{', ' if place else ''}{norm.unlike}" if norm.unlike else ""
        name = concept(norm.what).name.split(" (")[0].split(", ")[0]
        where = f" {norm.level}" if norm.level and norm.level not in name else ""
        what = f"{name}{where}: {_number(norm.value, norm.unit)}"
        lines.append(("" if what == last else what, norm.population, there, place))
        last = what
    return lines


_TARGET_COLUMNS = ("source", "in whom", "target", "off by", "read")


def _heading(of_it: Sequence[Target]) -> str:
    first = of_it[0]
    name = concept(first.what).name.split(" (")[0]
    now = "not known" if first.now is None else _number(first.now, first.unit)
    return f"{name[0].upper()}{name[1:]}: now {now}"


def _target_line(target: Target) -> tuple[str, ...]:
    printed = _number(target.value, target.unit)
    ends = (target.low, target.high)
    if target.low is not None and target.high is not None:
        printed += f"{'; ' if printed else ''}{ends[0]:.1f} to {ends[1]:.1f}"
    elif target.high is not None:
        printed = f"{'below' if target.below else 'up to'} {_number(target.high, target.unit)}"
    printed += f"{'; ' if printed and target.note else ''}{target.note}"
    off = "" if target.off is None else "in range" if target.reached else f"{target.off:+.1f}"
    mark = " *" if target.default else ""
    return (
        target.holder + mark, target.population, printed, off,
        "yes" if target.verified else "no",
    )  # fmt: skip


def _spread(of_it: Sequence[Target]) -> str | None:
    """How far the targets of one parameter lie apart, where several give a number."""
    values = [t.value for t in of_it if t.value is not None]
    if len(set(values)) < 2:
        return None
    unit = of_it[0].unit
    return f"from {_number(min(values), unit)} to {_number(max(values), unit)}"
