"""The command line: ``endplate <command>``. Heavy parts are imported when they are needed."""

from __future__ import annotations

import os
import sys
import traceback
from datetime import date
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer

DONE, DEFECT, UNUSABLE, INTERRUPTED = 0, 1, 2, 130

app = typer.Typer(
    name="endplate",
    help="Precision spine care: from what is known about one spine to a plan that can be checked.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

CaseFolder = Annotated[Path, typer.Argument(metavar="CASE", help="Folder of one person's data.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]
Day = Annotated[
    str | None, typer.Option("--on", metavar="DATE", help="The day to plan for; today if left out.")
]
ClinicFile = Annotated[
    Path | None,
    typer.Option("--evidence", metavar="FILE", help="The clinic's own evidence (TOML)."),
]


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]")] = Path("endplate-demo"),
    json: AsJson = False,
) -> None:
    """Write the demonstration case, plan it, and say where the report is."""
    from endplate.cli import plan as command

    command.demo(folder, as_json=json)


@app.command()
def plan(
    case: CaseFolder,
    out: Annotated[
        Path,
        typer.Option("--out", metavar="DIR", help="Where the plan is written.", readable=False),
    ],
    on: Day = None,
    evidence: ClinicFile = None,
    pdf: Annotated[bool, typer.Option("--pdf", help="Write the report as PDF as well.")] = False,
    json: AsJson = False,
) -> None:
    """Turn a case folder into a cited care plan: plan.json, report.html, fhir.json."""
    from endplate.cli import plan as command

    command.plan(case, out, day(on), evidence, with_pdf=pdf, as_json=json)


@app.command()
def read(
    case: CaseFolder,
    on: Day = None,
    population: Annotated[
        bool, typer.Option("--population", help="Many persons' FHIR data: print counts per type.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Show what was understood of a case folder, what was not, and why."""
    from endplate.cli import read as command

    if population:
        command.population(case, day(on), as_json=json)
    else:
        command.read(case, day(on), as_json=json)


@app.command()
def measure(
    image: Annotated[Path, typer.Option("--image", help="CT or MR: NIfTI, NRRD, DICOM folder.")],
    mask: Annotated[
        list[Path], typer.Option("--mask", help="Labels: NIfTI, NRRD, DICOM SEG. May be repeated.")
    ],
    labels: Annotated[
        str, typer.Option(help="The mask's label system, or a map file; auto recognises it.")
    ] = "auto",
    posture: Annotated[
        str | None, typer.Option(help="standing, sitting, supine, prone or lateral.")
    ] = None,
    modality: Annotated[
        str | None, typer.Option(help="CT or MR, where the image's file does not say which.")
    ] = None,
    levels: Annotated[
        str | None, typer.Option(help="Only these levels, such as L1-L4 or L1,L3.")
    ] = None,
    confirm_levels: Annotated[
        bool,
        typer.Option(
            "--confirm-levels", help="I have counted the vertebrae: the labels are right."
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Write JSON and pictures here.", readable=False),
    ] = None,
    json: AsJson = False,
) -> None:
    """Measure bone on an image with a mask: attenuation, heights, deformity, bone quality."""
    from endplate.cli import measure as command

    command.measure(
        image, mask, labels, posture, modality, levels, out,
        levels_confirmed=confirm_levels, as_json=json,
    )  # fmt: skip


@app.command()
def score(
    id: Annotated[str | None, typer.Argument(metavar="ID", help="A score or a rule.")] = None,
    inputs_given: Annotated[
        list[str] | None, typer.Argument(metavar="KEY=VALUE …", help="Its inputs.")
    ] = None,
    list_all: Annotated[bool, typer.Option("--list", help="All ids.")] = False,
    inputs: Annotated[bool, typer.Option("--inputs", help="The inputs of ID.")] = False,
    on: Day = None,
    evidence: ClinicFile = None,
    json: AsJson = False,
) -> None:
    """Apply one score or rule to typed values: score ost weight=52 age=71 sex=female."""
    from endplate.cli import score as command

    if list_all or id is None:
        command.list_all(as_json=json)
    elif inputs:
        command.inputs(id, as_json=json)
    else:
        command.score(id, inputs_given or [], day(on), evidence, as_json=json)


@app.command()
def rules(
    id: Annotated[str | None, typer.Argument(metavar="[ID]", help="One rule in full.")] = None,
    concepts: Annotated[
        bool, typer.Option("--concepts", help="The vocabulary instead of the rules.")
    ] = False,
    not_built_in: Annotated[
        bool, typer.Option("--not-built-in", help="Published tools left out, and why.")
    ] = False,
    evidence: ClinicFile = None,
    json: AsJson = False,
) -> None:
    """List every rule with its source; or one rule with its numbers."""
    from endplate.cli import rules as command

    if concepts:
        command.concepts(as_json=json)
    elif not_built_in:
        command.not_built_in(as_json=json)
    elif id:
        command.one(id, evidence, as_json=json)
    else:
        command.every(evidence, as_json=json)


@app.command()
def surgery(
    what: Annotated[str, typer.Argument(metavar="materials")],
    json: AsJson = False,
) -> None:
    """Reference tables for surgery: ``materials`` lists implant materials and their properties."""
    from endplate.cli import rules as command

    command.surgery(what, as_json=json)


@app.command()
def doctor(json: AsJson = False) -> None:
    """Show versions, optional parts, and whether this folder can be written to."""
    from endplate.cli import doctor as command

    command.doctor(as_json=json)


def day(text: str | None) -> date:
    """The date that an option names; today if it was left out."""
    from endplate.facts import InputProblem

    if text is None:
        return date.today()
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputProblem(
            f"--on: is not understood. It needs a date like 2026-01-31; got {text!r}. "
            f"Correct it and try again."
        ) from None


def run(arguments: list[str] | None = None) -> None:
    """The program: runs a command and ends with its exit code."""
    sys.exit(main(arguments))


def main(arguments: list[str] | None = None) -> int:
    """Run a command; 0 done, 1 a defect of ours, 2 the input cannot be used."""
    from endplate.facts import InputProblem

    try:
        app(arguments, standalone_mode=False)
    except InputProblem as problem:
        print(problem, file=sys.stderr)
        return UNUSABLE
    except typer.TyperException as problem:
        problem.show()
        return UNUSABLE
    except (KeyboardInterrupt, typer.Abort):
        print("Stopped. Nothing was left half-written.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output went away (`| head`): that is its right.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as problem:  # the last net: a defect is said to be one, and can be reported
        return _defect(problem)
    return DONE


def _defect(problem: Exception) -> int:
    if os.environ.get("ENDPLATE_TRACE"):
        traceback.print_exception(problem)
    print(
        f"Endplate: stopped because of a defect of its own ({type(problem).__name__}, reference "
        f"{uuid4().hex[:8]}). Nothing was left half-written. Run the command again with "
        f"ENDPLATE_TRACE=1 set, and report what it prints; it holds no patient data by intent, "
        f"but look before you send it.",
        file=sys.stderr,
    )
    return DEFECT


def print_json(**parts: Any) -> None:
    """Print ``{"endplate": version, ...}`` on standard output."""
    from endplate.cli.output import envelope

    sys.stdout.buffer.write(envelope(**parts) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    run()
