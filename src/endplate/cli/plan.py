"""``endplate plan`` and ``endplate demo``: from a case folder to a plan on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from endplate import __version__, evidence
from endplate.cli.main import print_json
from endplate.cli.output import console, envelope
from endplate.exchange.case import Case, paired, read_case
from endplate.exchange.files import write_files
from endplate.facts import Fact, InputProblem, Problem
from endplate.findings import AnyFinding
from endplate.images.gates import told
from endplate.images.volume import Volume
from endplate.plan.care_plan import CarePlan, arranged, findings_of
from endplate.posture import Posture
from endplate.record import PatientRecord
from endplate.report.alignment import alignment_section
from endplate.report.html import Picture, ReportInput, html, pdf


@dataclass(frozen=True, slots=True)
class Planned:
    """A case's plan, and the files that hold it."""

    record: PatientRecord
    findings: tuple[AnyFinding, ...]
    plan: CarePlan
    problems: tuple[Problem, ...]
    files: dict[str, bytes]


def plan(
    folder: Path,
    out: Path,
    on: date,
    clinic_file: Path | None,
    *,
    with_pdf: bool,
    as_json: bool,
) -> None:
    """Plan a case folder and write the plan; print where it is, or the plan itself."""
    if out.exists() and not out.is_dir():
        raise InputProblem(
            f"{out.name}: cannot be written to. A folder is needed; it is a file. Choose another "
            f"folder with --out."
        )
    planned = planned_case(folder, on, clinic_file, with_pdf=with_pdf)
    write_files(out, planned.files)
    if as_json:
        print_json(
            facts=planned.record.facts,
            findings=planned.findings,
            problems=planned.problems,
            plan=planned.plan,
        )
        return
    _say(planned, out)


def planned_case(
    folder: Path, on: date, clinic_file: Path | None, *, with_pdf: bool = False
) -> Planned:
    """Read, measure and plan a case folder; nothing is written."""
    grounds = evidence.shipped()
    if clinic_file is not None:
        grounds = evidence.with_clinic_file(grounds, clinic_file)
    case = read_case(folder, on, grounds)
    measured, pictures, problems = _measured(case)
    known = _without_copies(case.record.facts, measured)
    record = PatientRecord.of(told((*known, *measured)))
    findings = findings_of(record, on, grounds)
    care_plan = arranged(findings, on, grounds)
    problems = (*case.problems, *problems)
    alignment = alignment_section(record.known_on(on), findings, grounds, case.films)
    synthetic = case.title.startswith("Demonstration")
    report = ReportInput(
        record=record,
        findings=findings,
        plan=care_plan,
        evidence=grounds,
        problems=problems,
        ignored=case.ignored,
        pictures=tuple(pictures),
        alignment=alignment,
        title=case.title or "Care plan for the spine",
        synthetic=synthetic,
    )
    from endplate.exchange.fhir.write import bundle_bytes

    files = {
        "plan.json": envelope(
            facts=record.facts, findings=findings, problems=problems, plan=care_plan
        ),
        "report.html": html(report).encode(),
        "fhir.json": bundle_bytes(
            record, findings, care_plan, on=on, version=__version__, synthetic=synthetic
        ),
        **{f"pictures/{p.name}": p.content for p in pictures},
        **{
            f"pictures/alignment-{figure.name}": figure.svg.encode()
            for figure in (alignment.figures if alignment else ())
        },
    }
    if with_pdf:
        files["report.pdf"] = pdf(report)
    return Planned(record, findings, care_plan, problems, files)


def _measured(case: Case) -> tuple[list[Fact], list[Picture], list[Problem]]:
    """What the case's images give, each with its masks."""
    from endplate.images.measure import UnknownModality, measure

    pairs, noted = paired(case.images, case.masks)
    facts: list[Fact] = []
    pictures: list[Picture] = []
    problems = list(noted)
    tall = [f for f in case.record.facts if f.what == "person.height"]
    newest = max(tall, key=lambda f: f.on or date.min, default=None)
    for number, (image, mask) in enumerate(pairs, 1):
        problems += _said_otherwise(case, image)
        posture = "" if image.acquisition.posture is not Posture.UNKNOWN else case.posture
        try:
            found = measure(
                image, mask, posture=posture or None, modality=case.modality or None,
                body_height=newest.number if newest else None,
                levels_confirmed=case.levels_confirmed,
            )  # fmt: skip
        except UnknownModality as unknown:  # the rest of the case can be planned all the same
            problems.append(
                Problem(problem="measurement.modality", says=str(unknown), where=image.name)
            )
            continue
        facts += found.facts
        problems += found.problems
        prefix = f"{number}-" if len(pairs) > 1 else ""
        pictures += [
            Picture(f"{prefix}{p.name}", p.content, p.caption, p.alt) for p in found.pictures
        ]
    return facts, pictures, problems


def _said_otherwise(case: Case, image: Volume) -> list[Problem]:
    """Where case.toml and an image's own header disagree, that the header counts for that image."""
    header = {
        "modality": image.acquisition.modality,
        "posture": str(image.acquisition.posture).removesuffix(Posture.UNKNOWN),
    }
    stated = {"modality": case.modality, "posture": case.posture}
    return [
        Problem(
            problem=f"case.{what}_said_otherwise",
            where=image.name,
            says=f"The image's header says {header[what]} and case.toml {said}. For this image its "
            f"header counts; case.toml speaks for images whose files do not say it.",
            try_=(f"Correct {what} in case.toml if it is meant for this image.",),
        )
        for what, said in stated.items()
        if said and header[what] and said != header[what]
    ]


def _without_copies(known: Sequence[Fact], measured: Sequence[Fact]) -> list[Fact]:
    """The facts without those, of an earlier report, that were measured again just now."""

    def result(fact: Fact) -> tuple[object, ...]:
        return fact.what, fact.level, fact.side, fact.on, fact.method, fact.value, fact.interval

    again = {result(fact) for fact in measured if fact.method}
    return [fact for fact in known if not (fact.method and result(fact) in again)]


def _say(planned: Planned, out: Path) -> None:
    text = console()
    for sentence in planned.plan.summary:
        text.print(f"- {sentence}", markup=False, highlight=False)
    text.print(
        f"{len(planned.findings)} findings, {len(planned.plan.open_questions)} open questions, "
        f"{len(planned.problems)} problems.",
        highlight=False,
    )
    if planned.plan.overrides:
        text.print(f"The clinic's own evidence was used in {len(planned.plan.overrides)} places.")
    text.print(f"Report: {out / 'report.html'}", soft_wrap=True, highlight=False)


def demo(folder: Path, *, as_json: bool) -> None:
    """Write the demonstration case into ``case``, its plan into ``plan``, and say where."""
    from endplate.demo.case import write_case
    from endplate.demo.person import PLAN_FOR

    write_case(folder / "case")
    plan(folder / "case", folder / "plan", PLAN_FOR, None, with_pdf=False, as_json=as_json)
