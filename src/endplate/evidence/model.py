"""Models: what a clinic's own prediction model knows, read from its file and applied to rows.

A model file is written by ``endplate model train`` from a clinic's data; none comes with Endplate.
It holds everything that is needed to apply it and to judge it: predictors, coefficients, the people
it was trained on, and how well it did on people that it had not seen.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from datetime import date

import numpy as np
from msgspec import Struct, ValidationError, convert
from numpy.typing import NDArray

from endplate.facts import InputProblem

Numbers = NDArray[np.float64]


class Predictor(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One input: a concept, how it is standardised, and what it adds for each class.

    Attributes
    ----------
    concept, column
        What it is, and the column of the training data that held it; the same where no map said
        which concept a column is, and no rule can apply such a model.
    mean, scale
        Taken from a value, and what it is then divided by. Yes is 1, no is 0.
    fill
        What stood in for a blank in training and validation; never for a person on record.
    coefficients
        One for each class, in the order of the model's classes.
    """

    concept: str
    column: str
    mean: float
    scale: float
    fill: float
    coefficients: tuple[float, ...]


class Estimate(Struct, frozen=True, kw_only=True):
    """A figure of validation, with its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


class Calibration(Struct, frozen=True, kw_only=True):
    """Of one class against the others: 0 and 1 where probabilities are what happens."""

    intercept: float
    slope: float


class Control(Struct, frozen=True, kw_only=True):
    """The same pipeline where there is nothing to learn: the outcomes dealt out anew by chance."""

    times: int
    accuracy: float
    auc: float


class Validation(Struct, frozen=True, kw_only=True):
    """How well a model did on people that it had not seen.

    Attributes
    ----------
    how
        In words: which people, which folds, which seeds.
    rows, filled
        People, and how many of them had a blank that was filled.
    accuracy, auc, brier
        The share that was classed right; the mean over classes of the area under the curve of one
        class against the others; the squared error over all classes, 0 at best and 2 at worst.
    auc_by_class, calibration
        For each class against the others.
    confusion
        A line for each true class, a column for each class that was given.
    majority, brier_of_shares
        What naming the commonest class, or the shares of the classes, for everybody would reach.
    permuted
        The control, for a model's own training.
    """

    how: str
    rows: int
    filled: int
    accuracy: Estimate
    auc: Estimate
    brier: Estimate
    auc_by_class: Mapping[str, float]
    calibration: Mapping[str, Calibration]
    confusion: tuple[tuple[int, ...], ...]
    majority: float
    brier_of_shares: float
    permuted: Control | None = None

    @property
    def is_possible(self) -> bool:
        """Whether each figure lies where such a figure can lie."""
        figures = ((self.accuracy, 1), (self.auc, 1), (self.brier, 2))
        return all(0 <= x <= most for e, most in figures for x in (e.low, e.value, e.high))


class Data(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The people that a model was trained on.

    `sha256` is that of the file, by which it is known again; the people themselves stand nowhere.
    """

    describes: str
    file: str
    sha256: str
    rows: int
    blanks: int
    classes: Mapping[str, int]


class Model(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A multinomial logistic model of a clinic's own, calibrated, with its validation.

    Attributes
    ----------
    title, version, trained_on, made_with
        What it is called, its edition, the day, and the software.
    outcome, classes, intercepts
        The column that it predicts, its classes, and what each begins with.
    penalty, temperature, penalties_tried
        How training was held back: the inverse strength chosen out of those tried, and the divisor
        that calibrated the result. Coefficients are already divided by it.
    """

    title: str
    version: str
    trained_on: date
    made_with: str
    outcome: str
    classes: tuple[str, ...]
    intercepts: tuple[float, ...]
    penalty: float
    temperature: float
    penalties_tried: tuple[float, ...]
    data: Data
    validation: Validation
    predictor: tuple[Predictor, ...]

    def __post_init__(self) -> None:
        every = [*self.intercepts, *(c for p in self.predictor for c in p.coefficients)]
        every += [x for p in self.predictor for x in (p.mean, p.scale, p.fill)]
        concepts = [p.concept for p in self.predictor]
        if len(self.classes) < 2 or len(set(self.classes)) < len(self.classes):
            raise ValueError("it needs two classes or more, each with a name of its own")
        if not concepts or len(set(concepts)) < len(concepts):
            raise ValueError("it needs predictors, each of another concept")
        if any(len(c) != len(self.classes) for c in (self.intercepts, *self._lines)):
            raise ValueError("intercepts and coefficients go with the classes, one for each")
        if not np.isfinite(every).all() or min(p.scale for p in self.predictor) <= 0:
            raise ValueError("its numbers are finite, and a scale is above 0")
        tuned = (self.penalty, self.temperature, self.data.rows, self.validation.rows)
        if not (self.validation.is_possible and all(n > 0 for n in tuned)):
            raise ValueError("the figures of its training and validation must be possible ones")

    @property
    def _lines(self) -> tuple[tuple[float, ...], ...]:
        return tuple(p.coefficients for p in self.predictor)

    @property
    def concepts(self) -> tuple[str, ...]:
        """What it asks for."""
        return tuple(p.concept for p in self.predictor)

    def probabilities(self, values: Numbers) -> Numbers:
        """The probability of each class for each row; a column of `values` for each predictor."""
        mean = np.array([p.mean for p in self.predictor])
        scale = np.array([p.scale for p in self.predictor])
        sums = (values - mean) / scale @ np.array(self._lines) + np.array(self.intercepts)
        raised = np.exp(sums - sums.max(axis=1, keepdims=True))
        shares: Numbers = raised / raised.sum(axis=1, keepdims=True)
        return shares


def model_from(text: str, file: str) -> Model:
    """The model that a file's text holds.

    Raises
    ------
    InputProblem
        If it is no model file.
    """
    try:
        return convert(tomllib.loads(text), Model)
    except (tomllib.TOMLDecodeError, ValidationError, ValueError) as problem:
        raise InputProblem(
            f"{file}: cannot be used as a model. A file that 'endplate model train' wrote is "
            f"needed; {problem}. Train it again, or restore the file."
        ) from None
