"""``endplate medicines``: the list of medicines as understood, and what follows from it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from msgspec.structs import replace

from endplate import evidence, rules, vocabulary
from endplate.cli.main import print_json
from endplate.cli.output import console, problems_table, table
from endplate.evidence import Evidence
from endplate.exchange.dosage_text import is_meant, is_not_taken, typed_line
from endplate.exchange.intake import Intake, Understood
from endplate.facts import Fact, InputProblem, Problem
from endplate.findings import AnyFinding, Recommendation
from endplate.record import PatientRecord

ROOM = "medicines"
_MEDICINE = "medicine."
_LABEL = "medicines.renal_label"
_OTHER = vocabulary.concept("medicine.other")


def medicines(
    given: Sequence[str],
    on: date,
    locale: str | None,
    clinic_file: Path | None,
    *,
    as_json: bool,
) -> None:
    """Print the list of medicines as understood, and every finding of the room about it."""
    facts, problems = _read(given, on)
    grounds = evidence.shipped()
    if clinic_file is not None:
        grounds = evidence.with_clinic_file(grounds, clinic_file)
    if locale is not None:
        grounds = _with_label(grounds, locale)
    patient = PatientRecord.of(facts).known_on(on)
    findings = [finding for rule in rules.of_room(ROOM) for finding in rule(patient, grounds)]
    if as_json:
        print_json(
            facts=facts, findings=findings, problems=problems, overrides=grounds.overrides,
            locale=grounds.choice(_LABEL).use,
        )  # fmt: skip
        return
    _print(patient.record.facts, findings, problems)


def _with_label(grounds: Evidence, locale: str) -> Evidence:
    choice = grounds.choice(_LABEL)
    if locale.lower() not in choice.options:
        raise InputProblem(
            f"medicines: --locale cannot be used. It is {' or '.join(choice.options)}; got "
            f"something else. Write one of these."
        )
    chosen = replace(choice, use=locale.lower())
    return replace(grounds, choices={**grounds.choices, _LABEL: chosen})


# -- what is given ----------------------------------------------------------------------------


def _read(given: Sequence[str], on: date) -> tuple[tuple[Fact, ...], tuple[Problem, ...]]:
    """Facts of a case folder, of a FHIR file, or of typed lines; each may be given with others."""
    facts: list[Fact] = []
    problems: list[Problem] = []
    typed = Intake(today=on)
    for one in given:
        path = Path(one)
        if _is_path(one, path):
            found = _of_path(path, on)
            facts += found.facts
            problems += found.problems
        else:
            _take_line(one, on, typed)
    understood = typed.understood()
    return (*facts, *understood.facts), (*problems, *understood.problems)


def _is_path(one: str, path: Path) -> bool:
    try:
        return bool(one.strip()) and path.exists()
    except OSError:  # a line that is too long for a file's name
        return False


def _of_path(path: Path, on: date) -> Understood:
    if path.is_dir():
        from endplate.exchange.case import read_case

        case = read_case(path, on)
        return Understood(facts=case.record.facts, problems=case.problems)
    if path.suffix.lower() == ".toml":
        from endplate.exchange.typed import read_case_file

        intake = Intake(today=on)
        read_case_file(path, intake)
        return intake.understood()
    if path.suffix.lower() in (".csv", ".tsv"):
        from endplate.exchange.typed import read_table

        intake = Intake(today=on)
        read_table(path, intake)
        return intake.understood()
    if path.suffix.lower() == ".txt":
        intake = Intake(today=on)
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.strip():
                _take_line(line.strip(), on, intake)
        return intake.understood()
    from endplate.exchange.fhir.read import read_fhir

    found = read_fhir([path], on)
    if not found.facts:
        why = found.problems[0].says if found.problems else "There is no FHIR resource in it."
        raise InputProblem(
            f"{path.name}: no medicine could be read from it. FHIR as JSON or NDJSON is needed. "
            f"{why} Give a FHIR file, a case folder, or lines of text."
        )
    return Understood(facts=found.facts, problems=found.problems)


def _take_line(line: str, on: date, intake: Intake) -> None:
    """A typed line: a medicine with its dosage, or a fact such as ``creatinine=1.4 mg/dL``."""
    if "=" in line:
        intake.add(_fact(line, on))
        return
    found = typed_line(line)
    if not found:
        first = line.split(maxsplit=1)[0] if line.split() else "medicines"
        near = vocabulary.nearest(f"{_MEDICINE}{first.lower()}")
        hint = f" Nearest: {', '.join(n.removeprefix(_MEDICINE) for n in near)}." if near else ""
        raise InputProblem(
            f"{first}: is no medicine that is known, no file and no folder. A line begins like "
            f"'oxycodone 10 mg every 6 hours'.{hint} "
            f"Correct the name or the path."
        )
    if is_not_taken(line):
        names = ", ".join(vocabulary.concept(name).name for name, _, _ in found)
        intake.problem(
            "typed.not_taken", f"{names}: its line says that it is not taken; it was left out.",
            "typed", ("Leave such lines out, or write what is taken.",),
        )  # fmt: skip
        return
    for ingredient, details, why in found:
        if not is_meant(ingredient, line):
            intake.take(_OTHER, line, on=on, source="typed", details={"product": line})
            continue
        concept = vocabulary.concept(ingredient)
        intake.take(concept, True, on=on, source="typed", details={"product": line} | details)
        if why:
            intake.problem(
                "typed.dosage_not_understood",
                f"{concept.name}: no dose was taken from its line: {why}.",
                "typed",
                ('Write it like "oxycodone 10 mg every 6 hours".',),
            )


def _fact(line: str, on: date) -> Understood:
    """A typed fact; one that cannot be is refused, as in a score."""
    intake = Intake(today=on)
    key, _, text = line.partition("=")
    known = vocabulary.concepts()
    matching = [key.strip()] if key.strip() in known else vocabulary.ids_named(key, known)
    of_room = {what for r in rules.of_room(ROOM) for what in r.reads}
    matching = [m for m in matching if m in of_room] or list(matching)
    if len(matching) != 1:
        near = ", ".join(matching or vocabulary.nearest(key.strip(), of_room))
        raise InputProblem(
            f"{key.strip()}: is {'ambiguous' if matching else 'no input'} of medicines. It reads "
            f"{near or 'concepts such as lab.creatinine'}. Write one of these."
        )
    concept = vocabulary.concept(matching[0])
    value, unit = text.strip(), concept.unit
    if concept.kind == "number" and " " in value:
        value, unit = value.split(None, 1)
    intake.take(
        concept, value, unit=unit, on=None if concept.kind == "date" else on, source="typed"
    )
    understood = intake.understood()
    if understood.problems:
        first = understood.problems[0]
        raise InputProblem(f"{key.strip()}: cannot be used. {first.says} {' '.join(first.try_)}")
    return understood


# -- what is printed --------------------------------------------------------------------------


def _print(
    facts: Sequence[Fact], findings: Sequence[AnyFinding], problems: Sequence[Problem]
) -> None:
    out = console()
    rows = [_row(f) for f in facts if f.what.startswith(_MEDICINE) and f.value is True]
    columns = ("medicine", "a day", "at the least", "as needed", "assumed", "until")
    out.print(table("Medicines as understood", columns, rows))
    for finding in findings:
        out.print(finding.says, markup=False)
        if isinstance(finding, Recommendation):
            out.print(f"  do: {finding.action}", markup=False)
        for position in finding.positions:
            out.print(f"  {position.holder}: {position.says}", markup=False)
        if finding.missing:
            out.print(f"  missing: {', '.join(finding.missing)}", markup=False)
        if not finding.verified:
            out.print("  not all of its numbers were read in their sources", markup=False)
    if problems:
        out.print(problems_table("Problems", problems))


def _row(fact: Fact) -> tuple[str, ...]:
    details = fact.details
    unit = str(details.get("daily_dose_unit", ""))
    high, least = details.get("daily_dose"), details.get("daily_dose_least")
    why = details.get("dose_not_understood")
    return (
        vocabulary.concept(fact.what).name,
        f"{high:g} {unit}" if isinstance(high, float) else f"unknown{f': {why}' if why else ''}",
        f"{least:g} {unit}" if isinstance(least, float) else "",
        str(details.get("as_needed", "")),
        str(details.get("dose_assumed", "")),
        str(fact.until or ""),
    )
