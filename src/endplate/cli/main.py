"""The command line: ``endplate <command>``. Heavy parts are imported when they are needed."""

from __future__ import annotations

import functools
import inspect
import os
import sys
import traceback
from collections.abc import Callable
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
    image: Annotated[
        Path | None, typer.Option("--image", help="CT or MR: NIfTI, NRRD, DICOM folder.")
    ] = None,
    mask: Annotated[
        list[Path] | None,
        typer.Option("--mask", help="Labels: NIfTI, NRRD, DICOM SEG. May be repeated."),
    ] = None,
    segment: Annotated[
        str | None,
        typer.Option(metavar="PROGRAM", help="Instead of --mask: totalsegmentator or spineps."),
    ] = None,
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
    only: Annotated[
        str | None, typer.Option(help="Only these quantities, such as geometry,canal.")
    ] = None,
    height: Annotated[
        float | None, typer.Option(help="Body height in cm, for the muscle index.")
    ] = None,
    also: Annotated[
        list[str] | None,
        typer.Option(help="A registered image: fat=FILE and water=FILE, or T1=FILE, T2=FILE."),
    ] = None,
    disc_calibration: Annotated[
        Path | None,
        typer.Option(help="TOML or JSON file by which Pfirrmann grades are suggested."),
    ] = None,
    confirm_levels: Annotated[
        bool,
        typer.Option(
            "--confirm-levels", help="I have counted the vertebrae: the labels are right."
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="DIR", help="Write JSON, pictures, DICOM here.", readable=False
        ),
    ] = None,
    earlier_image: Annotated[
        Path | None,
        typer.Option("--earlier-image", help="An earlier study of the same person: what changed."),
    ] = None,
    earlier_mask: Annotated[
        list[Path] | None, typer.Option("--earlier-mask", help="Its labels. May be repeated.")
    ] = None,
    earlier_labels: Annotated[
        str | None, typer.Option("--earlier-labels", help="Its label system, if another.")
    ] = None,
    earlier_posture: Annotated[
        str | None, typer.Option("--earlier-posture", help="Its posture, where it does not say.")
    ] = None,
    batch: Annotated[
        Path | None,
        typer.Option(
            "--batch", metavar="LIST", help="Many cases: a CSV with columns case, image, mask."
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Batch: processes on this machine.")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Batch: a Dask scheduler, such as tcp://host:8786."),
    ] = None,
    json: AsJson = False,
) -> None:
    """Measure bone, muscle and discs on an image with a mask: attenuation, heights, areas …"""
    from endplate.facts import InputProblem

    if batch is not None and image is None and not mask and not (workers and scheduler):
        from endplate.cli import batch as many

        options = {"labels": labels, "posture": posture, "modality": modality, "levels": levels}
        many.batch(batch, out, options, workers, scheduler, as_json=json)
        return
    if batch is not None or image is None or workers or scheduler:
        raise InputProblem(
            "measure: cannot start. It needs --image and --mask for one case, or --batch and --out "
            "for many, there with --workers or --scheduler if wanted; got another mixture. See "
            "'endplate measure --help'."
        )
    from endplate.cli import measure as command

    request = command.Request(
        image=image, masks=mask or [], segmenter=segment, labels=labels, posture=posture,
        modality=modality, levels=levels, levels_confirmed=confirm_levels,
        quantities=command.chosen(only),
        tissue=command.Tissue(height, tuple(also or ()), disc_calibration),
    )  # fmt: skip
    earlier = command.earlier_study(
        request, earlier_image, earlier_mask or [], earlier_posture, earlier_labels
    )
    command.measure(request, out, earlier=earlier, as_json=json)


# -- alignment ------------------------------------------------------------------------------------


def _given(
    *,
    view: Annotated[str | None, typer.Option(help="lateral or frontal.")] = None,
    posture: Annotated[
        str | None, typer.Option(help="standing, sitting, supine, prone or lateral.")
    ] = None,
    pixel_spacing: Annotated[
        float | None, typer.Option("--pixel-spacing", help="mm per pixel at the detector.")
    ] = None,
    magnification: Annotated[
        float | None, typer.Option(help="How much larger the patient is at the detector.")
    ] = None,
    uncalibrated: Annotated[
        bool, typer.Option("--uncalibrated", help="No length is known: angles alone.")
    ] = False,
    anterior: Annotated[
        str | None, typer.Option(help="Side of the picture that the person faces: left, right.")
    ] = None,
    patient_left: Annotated[
        str | None,
        typer.Option("--patient-left", help="Side of the picture with the patient's left."),
    ] = None,
    landmark_error: Annotated[
        str | None,
        typer.Option("--landmark-error", help="Standard error of a point: '1.5 mm' or '3 px'."),
    ] = None,
    eos_lateral: Annotated[
        Path | None,
        typer.Option("--eos-lateral", metavar="DICOM", help="Slot scanner's lateral picture."),
    ] = None,
    eos_frontal: Annotated[
        Path | None,
        typer.Option("--eos-frontal", metavar="DICOM", help="Slot scanner's frontal picture."),
    ] = None,
    sr: Annotated[
        list[Path] | None,
        typer.Option(
            "--sr",
            metavar="IMAGE.dcm",
            help="The radiograph that was marked; 'measure' writes its DICOM report too.",
        ),
    ] = None,
) -> dict[str, Any]:
    """What every command about films can be told beside their files."""
    pictures = {"lateral": eos_lateral, "frontal": eos_frontal}
    return {
        "said": {
            "view": view, "posture": posture, "pixel_spacing": pixel_spacing,
            "magnification": magnification, "anterior": anterior, "patient_left": patient_left,
            "calibration": "uncalibrated" if uncalibrated else None,
            "landmark_error": landmark_error,
        },
        "images": tuple(sr or ()),
        "scans": {name: path for name, path in pictures.items() if path is not None},
    }  # fmt: skip


def _about_films(command: Callable[..., None]) -> Callable[..., None]:
    """A command with the options of `_given` after its own; it takes what they say as `given`."""
    shared = inspect.signature(_given, eval_str=True).parameters
    own = inspect.signature(command, eval_str=True).parameters

    @functools.wraps(command)
    def run(**options: Any) -> None:
        given = _given(**{name: options.pop(name) for name in shared})
        command(**options, given=given)

    every = [p for p in own.values() if p.name != "given"] + [*shared.values()]
    by_name = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in every]
    # Typer reads a command's options from its signature, and functools keeps the command's own.
    run.__signature__ = inspect.Signature(by_name)  # type: ignore[attr-defined]
    return run


alignment = typer.Typer(
    help="How a whole spine stands over the hips, from landmarks of radiographs.",
    no_args_is_help=True,
)
app.add_typer(alignment, name="alignment")

LandmarkFiles = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE …", help="Landmarks: JSON, CSV, 3D Slicer, DICOM SR or GSPS; one per view."
    ),
]
Words = Annotated[
    list[str], typer.Argument(metavar="FILE … [KEY=VALUE …]", help="Landmarks; typed values.")
]
Age = Annotated[float | None, typer.Option("--age", help="Age in years.")]
Sex = Annotated[str | None, typer.Option("--sex", help="female, male or other.")]
Instrumented = Annotated[
    str | None,
    typer.Option(
        "--upper-instrumented",
        metavar="LEVEL",
        help="Upper instrumented vertebra on the film: the junction above it is measured.",
    ),
]


@alignment.command("measure")
@_about_films
def alignment_measure(
    files: LandmarkFiles,
    given: dict[str, Any],
    upper_instrumented: Instrumented = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Write JSON and pictures here.", readable=False),
    ] = None,
    json: AsJson = False,
) -> None:
    """Measure alignment on landmarks of standing radiographs: incidence, tilts, angles, offsets."""
    from endplate.cli import alignment as command

    command.measure(files, command.Given(**given, upper=upper_instrumented), out, as_json=json)


@alignment.command("classify")
@_about_films
def alignment_classify(
    words: Words,
    given: dict[str, Any],
    age: Age = None,
    sex: Sex = None,
    upper_instrumented: Instrumented = None,
    on: Day = None,
    evidence: ClinicFile = None,
    json: AsJson = False,
) -> None:
    """Give every class and score that landmarks allow, and say why the others cannot be given."""
    from endplate.cli import alignment_classes as command

    films = command.Given(**given, upper=upper_instrumented)
    command.classify(
        command.Said(words=words, given=films, age=age, sex=sex, on=day(on), clinic_file=evidence),
        as_json=json,
    )


@alignment.command("targets")
@_about_films
def alignment_targets(
    words: Words,
    given: dict[str, Any],
    age: Age = None,
    sex: Sex = None,
    on: Day = None,
    evidence: ClinicFile = None,
    json: AsJson = False,
) -> None:
    """Show every published target of alignment side by side, and how far off each one is."""
    from endplate.cli import alignment_classes as command

    films = command.Given(**given)
    command.targets(
        command.Said(words=words, given=films, age=age, sex=sex, on=day(on), clinic_file=evidence),
        as_json=json,
    )


@alignment.command("plan")
@_about_films
def alignment_plan(
    files: LandmarkFiles,
    given: dict[str, Any],
    age: Age = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            help="What to aim at: t4_l1_hip_axis, srs_schwab …, or PT=10..20. Repeatable."
        ),
    ] = None,
    levels: Annotated[
        str | None, typer.Option(help="Levels at which it may act, such as L1-S1.")
    ] = None,
    approach: Annotated[
        list[str] | None, typer.Option(help="anterior, lateral, posterior. Repeatable.")
    ] = None,
    grade: Annotated[int | None, typer.Option(help="Highest osteotomy grade, 0 for none.")] = None,
    most: Annotated[float | None, typer.Option(help="Most degrees at one level.")] = None,
    upper: Annotated[str | None, typer.Option(help="Upper instrumented vertebra.")] = None,
    lower: Annotated[str | None, typer.Option(help="Lower instrumented vertebra.")] = None,
    compensation: Annotated[
        str | None, typer.Option(help="Pelvic tilt afterwards: current, pt=20, regression, c2.")
    ] = None,
    thorax: Annotated[
        str | None, typer.Option(help="Unfused thoracic spine: rigid or reciprocal.")
    ] = None,
    action: Annotated[
        list[str] | None,
        typer.Option(help="Evaluate this instead: 'cage L4-L5 lordosis=12'. Repeatable."),
    ] = None,
    facts: Annotated[
        Path | None, typer.Option(metavar="CASE.toml", help="Facts of the person: bone density.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Write a page, pictures, JSON.", readable=False),
    ] = None,
    on: Day = None,
    json: AsJson = False,
) -> None:
    """Plan a correction: closest to the targets within your limits, or what your actions do."""
    from endplate.cli import alignment_plan as command

    request = command.Request(
        age=age, targets=tuple(target or ()), levels=levels, approaches=tuple(approach or ()),
        grade=grade, most=most, upper=upper, lower=lower, compensation=compensation,
        thorax=thorax, actions=tuple(action or ()), facts=facts,
    )  # fmt: skip
    command.plan(files, command.Given(**given), request, day(on), out, as_json=json)


@app.command()
def segment(
    image: Annotated[Path, typer.Option("--image", help="CT or MR: NIfTI, NRRD, DICOM folder.")],
    program: Annotated[
        str, typer.Option("--with", metavar="PROGRAM", help="totalsegmentator or spineps.")
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="MASK.nii.gz", help="Where the mask is written.")
    ],
    task: Annotated[
        str | None, typer.Option(help="The program's model; by default the image's modality's.")
    ] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="TotalSegmentator's model for voxels of 3 mm.")
    ] = False,
    modality: Annotated[
        str | None, typer.Option(help="CT or MR, where the image's file does not say which.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Segment an image with TotalSegmentator or SPINEPS, where they are installed."""
    from endplate.cli import segment as command

    command.segment(image, program, out, task, modality, fast=fast, as_json=json)


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
def medicines(
    given: Annotated[
        list[str],
        typer.Argument(
            metavar="CASE_OR_TEXT …",
            help="A case folder, a FHIR file, or lines such as 'oxycodone 10 mg every 6 hours'.",
        ),
    ],
    on: Day = None,
    locale: Annotated[
        str | None, typer.Option(help="Whose label sets kidney doses: eu or us.")
    ] = None,
    evidence: ClinicFile = None,
    json: AsJson = False,
) -> None:
    """Show medicines with their doses, morphine equivalents, interactions and kidney doses."""
    from endplate.cli import medicines as command

    command.medicines(given, day(on), locale, evidence, as_json=json)


@app.command()
def genotype(
    files: Annotated[
        list[Path] | None, typer.Argument(metavar="FILE.vcf …", help="VCF, plain or packed.")
    ] = None,
    outside_calls: Annotated[
        Path | None,
        typer.Option(metavar="TSV", help="A laboratory's calls: gene, diplotype, phenotype …"),
    ] = None,
    assembly: Annotated[
        str | None, typer.Option(help="GRCh37 or GRCh38, where the files do not say it.")
    ] = None,
    sample: Annotated[
        str | None, typer.Option(metavar="NAME", help="One sample of the files, or all.")
    ] = None,
    on: Day = None,
    evidence: ClinicFile = None,
    json: AsJson = False,
) -> None:
    """Call the genes of medicines from VCF files and outside calls, and say what follows."""
    from endplate.cli import genotype as command

    command.genotype(files or [], outside_calls, assembly, sample, day(on), evidence, as_json=json)


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


# -- models ---------------------------------------------------------------------------------------

model = typer.Typer(
    help="Prediction models of a clinic's own: train one from a table, validate one on another.",
    no_args_is_help=True,
)
app.add_typer(model, name="model")

PeopleTable = Annotated[Path, typer.Argument(metavar="DATA.csv", help="A person a line.")]


@model.command("train")
def model_train(
    data: PeopleTable,
    outcome: Annotated[str, typer.Option(help="The column of the class.")],
    out: Annotated[
        Path, typer.Option("--out", metavar="MODEL.toml", help="Where the model is written.")
    ],
    map_file: Annotated[
        Path | None,
        typer.Option("--map", metavar="MAP.csv", help="column,concept: what the predictors are."),
    ] = None,
    title: Annotated[str, typer.Option(help="What the model is called.")] = "",
    describes: Annotated[
        str, typer.Option("--people", metavar="TEXT", help="Whom it is trained on, in words.")
    ] = "",
    version: Annotated[str, typer.Option(help="The model's edition.")] = "1",
    folds: Annotated[int, typer.Option(min=2, help="Parts of the cross-validation.")] = 10,
    repeats: Annotated[int, typer.Option(min=1, help="Times it is run.")] = 3,
    permutations: Annotated[
        int, typer.Option(min=0, help="Times outcomes are dealt out by chance.")
    ] = 5,
    seed: Annotated[int, typer.Option(min=0, help="From which all chance follows.")] = 1,
    on: Day = None,
    json: AsJson = False,
) -> None:
    """Train a calibrated model of classes, cross-validate it, and write it with its figures."""
    from endplate.cli import model as command

    plan = command.Plan(folds=folds, repeats=repeats, seed=seed, permutations=permutations)
    command.train(
        data, outcome, map_file, out, plan, day(on), title=title, version=version,
        describes=describes, as_json=json,
    )  # fmt: skip


@model.command("validate")
def model_validate(
    file: Annotated[Path, typer.Argument(metavar="MODEL", help="The model's file.")],
    data: PeopleTable,
    outcome: Annotated[
        str | None, typer.Option(help="The column of the class, if named otherwise.")
    ] = None,
    json: AsJson = False,
) -> None:
    """Hold a model against the people of another table: accuracy, area, error, calibration."""
    from endplate.cli import model as command

    command.validate(file, data, outcome, as_json=json)


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
        code = app(arguments, standalone_mode=False)  # what typer.Exit was given, else None
        if code == INTERRUPTED:  # typer makes that of Ctrl-C
            raise KeyboardInterrupt
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
    return code or DONE


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
