"""``endplate model``: train a model from a table of people, and validate one on another."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from endplate.cli.main import print_json
from endplate.cli.output import console, progress, table
from endplate.evidence.model import Model, Validation
from endplate.exchange.files import write_files
from endplate.facts import InputProblem, Problem
from endplate.registry.cohort_table import Cohort, read_cohort, read_map
from endplate.registry.model_file import held_against, read_model, text_of
from endplate.registry.training import Plan, trained


def train(
    data: Path, outcome: str, map_file: Path | None, out: Path, plan: Plan, on: date,
    *, title: str, version: str, describes: str, as_json: bool,
) -> None:  # fmt: skip
    """Train, validate by cross-validation, write the model, and print how well it does."""
    if out.is_dir():
        raise InputProblem(
            f"{out.name}: a model cannot be written there. A file is needed; it is a folder. Give "
            f"a file's name with --out."
        )
    _needs_scikit_learn()
    cohort = read_cohort(data, outcome, read_map(map_file) if map_file else None)
    steps = [f"cross-validation {n}" for n in range(1, plan.repeats + 1)] + ["control", "model"]
    with progress(steps, is_wanted=not as_json) as begin:
        model = trained(
            cohort, plan, title=title or data.stem, version=version,
            describes=describes or f"the table {data.name}", on=on,
            begin=begin,
        )  # fmt: skip
    write_files(out.parent, {out.name: text_of(model).encode()})
    problems = _noted(cohort)
    if as_json:
        print_json(problems=problems, model=model)
        return
    _say(model, model.validation, problems)
    text = console()
    text.print(f"Model: {out}", soft_wrap=True, highlight=False, markup=False)
    text.print("It is for research and not for diagnosis.")


def validate(file: Path, data: Path, outcome: str | None, *, as_json: bool) -> None:
    """Print how well a model does on the people of a table."""
    model = read_model(file)
    cohort, found = held_against(model, data, outcome or model.outcome)
    problems = _noted(cohort)
    if cohort.sha256 == model.data.sha256:
        problems.append(
            Problem(
                problem="model.validated_on_its_own_data",
                says="The model was trained on this very table: the figures are too good.",
                where=data.name,
                try_=("Give a table of other people.", "See the model file's own validation."),
            )
        )
    if as_json:
        print_json(problems=problems, validation=found, model=_head(model))
        return
    _say(model, found, problems)


def _head(model: Model) -> dict[str, object]:
    return {
        "title": model.title,
        "version": model.version,
        "trained_on": model.trained_on,
        "classes": model.classes,
    }


def _noted(cohort: Cohort) -> list[Problem]:
    """What of a table was left out or filled."""
    found = [
        Problem(
            problem="model.without_outcome",
            says="People without an outcome were left out.",
            where=cohort.outcome,
            count=cohort.without_outcome,
        ),
        Problem(
            problem="model.blanks_filled",
            says="Blank cells were filled with the commoner answer, or the median, of the training "
            "part.",
            where=cohort.file,
            count=cohort.blanks,
        ),
        Problem(
            problem="model.people_again",
            says="Lines of a person who stands in an earlier one: in cross-validation parts know "
            "each other's people, and the figures are too good.",
            where=cohort.file,
            try_=("Give one line for each person.",),
            count=cohort.again,
        ),
        Problem(
            problem="model.columns_unused",
            says="Columns that are in no map, or that number people or lines, were not used.",
            where=", ".join(cohort.unused),
            count=len(cohort.unused),
        ),
    ]
    return [problem for problem in found if problem.count]


def _say(model: Model, found: Validation, problems: list[Problem]) -> None:
    text = console()
    text.print(found.how, markup=False, highlight=False)
    rows = [
        ("classed right", str(found.accuracy), f"{found.majority:.2f} by the commonest class"),
        ("area under the curve", str(found.auc), "0.50 by chance"),
        ("Brier score", str(found.brier), f"{found.brier_of_shares:.2f} by the classes' shares"),
    ]
    if found.permuted:
        told = f"area {found.permuted.auc:.2f}, {found.permuted.times} times"
        rows.append(("outcomes dealt out by chance", f"{found.permuted.accuracy:.2f}", told))
    text.print(table(f"{model.title}, {found.rows} people", ("figure", "value", "beside"), rows))
    lines = [
        (
            name,
            f"{found.auc_by_class[name]:.3f}",
            f"{found.calibration[name].intercept:.2f}",
            f"{found.calibration[name].slope:.2f}",
            *map(str, found.confusion[n]),
        )
        for n, name in enumerate(model.classes)
    ]
    columns = ("class", "area", "intercept", "slope", *(f"as {c}" for c in model.classes))
    text.print(table("Each class against the others", columns, lines))
    for problem in problems:
        text.print(f"{problem.where}: {problem.says} ({problem.count})", markup=False)


def _needs_scikit_learn() -> None:
    try:
        import sklearn  # noqa: F401
    except ImportError:
        raise InputProblem(
            "model train: cannot start. It needs scikit-learn, which is not installed. Install "
            "'endplate[registry]'; applying and validating a model needs it not."
        ) from None
