"""A clinic's own model of the pain mechanism, shown as research beside the graded criteria."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

import numpy as np

from endplate import vocabulary
from endplate.evidence import Evidence
from endplate.evidence.model import Model, Numbers
from endplate.findings import Finding, PartValue, Status
from endplate.pain.red_flags import FLAGS, emergency, held_back
from endplate.record import Known, Patient
from endplate.rules import rule

_RULE = "pain.mechanism_model"
_CRITERIA = tuple(c for c in vocabulary.concepts() if c.startswith("pain.criterion."))


@rule(_RULE, reads=(*_CRITERIA, *FLAGS), scores="mechanism_model")
def mechanism_model(patient: Patient, evidence: Evidence) -> Finding | None:
    """What a model that the clinic trained says of the pain mechanism, with how well it does.

    Source      a file that the clinic trained (pain.mechanism_model, pain.mechanism_model.*)
    Population  the people whom it was trained on, as its file describes them
    Not for     diagnosis: it is research, and stands beside the graded criteria; people unlike
                those whom it was trained on
    """
    asked = {what: patient.has(what) for what in _CRITERIA}
    if all(known.unknown for known in asked.values()):
        return None
    rows = (evidence.row(_RULE), *evidence.under(f"{_RULE}."))
    first = emergency(patient, evidence)
    if first is not None:
        return held_back("The clinic's model of the mechanism", first, rows)
    model = evidence.models.get(_RULE)
    if model is None:
        return Finding(
            says="Criteria of the pain mechanism are on record, and no model was supplied that "
            "reads them.",
            status=Status.NOT_APPLICABLE,
            rests_on=rows,
        )
    known = {what: asked[what] for what in model.concepts}
    because = tuple(f for k in known.values() for f in k.because)
    gaps = tuple(what for what, k in known.items() if k.unknown)
    about = f"Research, not for diagnosis: the clinic's model ({model.title}, {model.version})"
    if not evidence.row(f"{_RULE}.most_missing").met(len(gaps)):
        return Finding(
            says=f"{about} gives no answer: {len(gaps)} of its {len(known)} criteria are unknown.",
            status=Status.UNKNOWN, missing=gaps, because=because, parts=_judged(model),
            rests_on=rows,
        )  # fmt: skip
    given = model.probabilities(_completions(known))
    leading = {model.classes[n] for n in given.argmax(axis=1)}
    category = leading.pop() if len(leading) == 1 else None
    low, high = given.min(axis=0), given.max(axis=0)
    return Finding(
        says=f"{about} gives {_told(model, low, high)}{_open(gaps, category)}. {_validated(model)}",
        status=Status.ANSWERED if category else Status.UNKNOWN,
        value=None if gaps else round(float(high.max()), 4),
        unit="" if gaps else "1",
        category=category,
        parts=_probabilities(model, low, high, exact=not gaps) | _judged(model),
        because=because,
        missing=gaps,
        rests_on=rows,
    )


def _completions(known: Mapping[str, Known]) -> Numbers:
    """A row for each way in which the unknown criteria could have been answered; one for none."""
    gaps = [n for n, k in enumerate(known.values()) if k.unknown]
    base = np.array([float(k.yes) for k in known.values()])
    rows = np.tile(base, (2 ** len(gaps), 1))
    if gaps:
        rows[:, gaps] = list(product((0.0, 1.0), repeat=len(gaps)))
    return rows


def _told(model: Model, low: Numbers, high: Numbers) -> str:
    likeliest = sorted(range(len(model.classes)), key=lambda n: -high[n])
    return ", ".join(
        f"{model.classes[n].replace('_', ' ')} {low[n]:.2f}"
        + (f" to {high[n]:.2f}" if f"{low[n]:.2f}" != f"{high[n]:.2f}" else "")
        for n in likeliest
    )


def _open(gaps: tuple[str, ...], category: str | None) -> str:
    if not gaps:
        return ""
    names = "; ".join(vocabulary.concept(what).name for what in gaps)
    either = "the likeliest is the same" if category else "even the likeliest is open"
    return f", whatever is true of what is unknown ({names}): {either}"


def _validated(model: Model) -> str:
    found = model.validation
    control = found.permuted
    chance = f"; trained on outcomes dealt out by chance {control.accuracy:.2f}" if control else ""
    return (
        f"Of people whom it had not seen it classed {found.accuracy} right (naming the commonest "
        f"class {found.majority:.2f}{chance}), with an area under the curve of {found.auc}; "
        f"trained on {model.data.rows} people ({model.data.describes})."
    )


def _probabilities(
    model: Model, low: Numbers, high: Numbers, *, exact: bool
) -> dict[str, PartValue]:
    parts: dict[str, PartValue] = {}
    for n, name in enumerate(model.classes):
        if exact:
            parts[name] = round(float(high[n]), 4)
        else:
            parts[name] = None
            parts[f"{name}_least"] = round(float(low[n]), 4)
            parts[f"{name}_most"] = round(float(high[n]), 4)
    return parts


def _judged(model: Model) -> dict[str, PartValue]:
    """The figures of its validation, under the names that the model file has."""
    found = model.validation
    parts: dict[str, PartValue] = {
        "model": model.title,
        "model_version": model.version,
        "model_trained_on": model.trained_on.isoformat(),
        "model_people": model.data.rows,
        "model_validation": found.how,
    }
    for name in ("accuracy", "auc", "brier"):
        figure = getattr(found, name)
        parts[f"model_{name}"] = figure.value
        parts[f"model_{name}_least"], parts[f"model_{name}_most"] = figure.low, figure.high
    for name, fits in found.calibration.items():
        parts[f"model_calibration_intercept_{name}"] = fits.intercept
        parts[f"model_calibration_slope_{name}"] = fits.slope
    return parts
