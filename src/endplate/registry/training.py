"""Training: from a table of people to a calibrated multinomial model, validated by the way.

Everything that is learned from data, the filling of blanks, the scaling, the penalty and the
calibration, is learned anew inside each training part; the people a figure is about were not seen
by any of it. Scikit-learn fits; it is imported when somebody trains.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date

import numpy as np

from endplate import __version__
from endplate.evidence.model import Control, Data, Model, Numbers, Predictor
from endplate.facts import InputProblem
from endplate.registry.cohort_table import Cohort
from endplate.registry.validation import Classes, accuracy, area, validated

# Inverse strengths of the penalty that are tried, parts of the inner cross-validation, the range
# in which the divisor that calibrates is looked for, and the most rounds of a fit: method.
PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
_INNER, _DIVISORS, _ROUNDS = 5, (0.2, 5.0), 1000


@dataclass(frozen=True, slots=True)
class Plan:
    """How a model is trained and validated: folds, repeats, seed, rounds of the control."""

    folds: int = 10
    repeats: int = 3
    seed: int = 1
    permutations: int = 5


@dataclass(frozen=True, slots=True)
class Fitted:
    """What was learned from one training part."""

    fill: Numbers
    mean: Numbers
    scale: Numbers
    coefficients: Numbers
    intercepts: Numbers
    penalty: float
    temperature: float

    def probabilities(self, values: Numbers) -> Numbers:
        """The probability of each class for each row, blanks filled."""
        sums = _scaled(values, self.fill, self.mean, self.scale) @ self.coefficients
        return _shares(sums + self.intercepts)


def trained(
    cohort: Cohort,
    plan: Plan,
    *,
    title: str,
    version: str,
    describes: str,
    on: date,
    begin: Callable[[str], None] = lambda step: None,
) -> Model:
    """The model of a cohort, with the figures of its cross-validation and of the control.

    Raises
    ------
    InputProblem
        If there are too few people for the folds, one class alone, or a predictor that is the
        same in everybody.
    """
    _check(cohort, plan)
    runs = []
    for run in range(plan.repeats):
        begin(f"cross-validation {run + 1}")
        runs.append(cross_validated(cohort.values, cohort.of_class, plan.folds, plan.seed + run))
    begin("control")
    control = permuted(cohort, plan) if plan.permutations else None
    begin("model")
    fitted = fit(cohort.values, cohort.of_class, plan.seed)
    seeds = ", ".join(str(plan.seed + run) for run in range(plan.repeats))
    how = (
        f"{plan.folds}-fold stratified cross-validation of the training data, run "
        f"{plan.repeats} time{'s' if plan.repeats > 1 else ''} (seeds {seeds}); blanks, scale, "
        f"penalty and calibration learned inside each training part; intervals from people drawn "
        f"anew. No other clinic's people."
    )
    filled = int(np.isnan(cohort.values).any(axis=1).sum())
    return Model(
        title=title,
        version=version,
        trained_on=on,
        made_with=_made_with(),
        outcome=cohort.outcome,
        classes=cohort.classes,
        intercepts=_rounded(fitted.intercepts),
        penalty=fitted.penalty,
        temperature=round(fitted.temperature, 6),
        penalties_tried=PENALTIES,
        data=Data(
            describes=describes, file=cohort.file, sha256=cohort.sha256,
            rows=len(cohort.of_class), blanks=cohort.blanks, classes=cohort.counts,
        ),
        validation=validated(
            how, cohort.of_class, runs, cohort.classes, filled=filled, seed=plan.seed,
            control=control,
        ),
        predictor=tuple(
            Predictor(
                concept=concept, column=column, mean=_rounded(fitted.mean)[n],
                scale=_rounded(fitted.scale)[n], fill=_rounded(fitted.fill)[n],
                coefficients=_rounded(fitted.coefficients[n]),
            )
            for n, (concept, column) in enumerate(
                zip(cohort.concepts, cohort.columns, strict=True)
            )
        ),
    )  # fmt: skip


def cross_validated(values: Numbers, of_class: Classes, folds: int, seed: int) -> Numbers:
    """The probabilities that each person has from a model that never saw this person."""
    found = np.full((len(of_class), of_class.max() + 1), np.nan)
    with _one_thread():
        for seen, unseen in _parts(of_class, folds, seed):
            found[unseen] = fit(values[seen], of_class[seen], seed).probabilities(values[unseen])
    return found


def _one_thread() -> AbstractContextManager[object]:
    """The thousands of small fits wait for each other's threads more than they gain by them."""
    from threadpoolctl import threadpool_limits  # noqa: PLC0415

    return threadpool_limits(1)


def permuted(cohort: Cohort, plan: Plan) -> Control:
    """The whole pipeline on outcomes that were dealt out anew: it must find nothing."""
    rng = np.random.default_rng(plan.seed)
    right, areas = [], []
    for run in range(plan.permutations):
        dealt = rng.permutation(cohort.of_class)
        given = cross_validated(cohort.values, dealt, plan.folds, plan.seed + run)
        right.append(accuracy(dealt, given))
        areas.append(area(dealt, given))
    return Control(
        times=plan.permutations,
        accuracy=round(float(np.mean(right)), 4),
        auc=round(float(np.mean(areas)), 4),
    )


def fit(values: Numbers, of_class: Classes, seed: int) -> Fitted:
    """Penalty by the least loss of an inner cross-validation; then a divisor that calibrates.

    The sums that the inner models give their own unseen people decide both, and the fit to all of
    this part is divided by that divisor.
    """
    inner = list(_parts(of_class, _INNER, seed))
    unseen_sums = np.empty((len(PENALTIES), len(of_class), of_class.max() + 1))
    for seen, unseen in inner:
        fill, mean, scale = _scale_of(values[seen])
        ready, other = (_scaled(values[rows], fill, mean, scale) for rows in (seen, unseen))
        for n, (coefficients, intercepts) in enumerate(_path(ready, of_class[seen], PENALTIES)):
            unseen_sums[n, unseen] = other @ coefficients + intercepts
    losses = [_loss(sums, of_class) for sums in unseen_sums]
    best = int(np.argmin(losses))
    temperature = _temperature(unseen_sums[best], of_class)
    fill, mean, scale = _scale_of(values)
    ready = _scaled(values, fill, mean, scale)
    ((coefficients, intercepts),) = _path(ready, of_class, PENALTIES[best : best + 1])
    return Fitted(
        fill=fill, mean=mean, scale=scale, coefficients=coefficients / temperature,
        intercepts=intercepts / temperature, penalty=PENALTIES[best], temperature=temperature,
    )  # fmt: skip


def _path(
    ready: Numbers, of_class: Classes, penalties: Sequence[float]
) -> list[tuple[Numbers, Numbers]]:
    """Coefficients and intercepts for each penalty, each fit begun where the last one ended."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - slow, and few train

    model = LogisticRegression(max_iter=_ROUNDS, warm_start=True)
    found = []
    for penalty in penalties:
        model.set_params(C=penalty).fit(ready, of_class)
        weights, level = model.coef_.T, model.intercept_
        if len(level) == 1:  # of two classes the library keeps the second alone
            weights, level = np.hstack([-weights, weights]) / 2, np.array([-1, 1]) * level / 2
        found.append((weights.copy(), level.copy()))
    return found


def _parts(of_class: Classes, folds: int, seed: int) -> list[tuple[Classes, Classes]]:
    from sklearn.model_selection import StratifiedKFold  # noqa: PLC0415

    split = StratifiedKFold(folds, shuffle=True, random_state=seed)
    return list(split.split(np.zeros(len(of_class)), of_class))


def _scale_of(values: Numbers) -> tuple[Numbers, Numbers, Numbers]:
    """What fills a blank, the commoner of yes and no or the median, and the mean and spread."""
    known = [cells[~np.isnan(cells)] for cells in values.T]
    fill = np.array([np.median(cells) if len(cells) else 0.0 for cells in known])
    binary = np.all(np.isnan(values) | (values == 0) | (values == 1), axis=0)
    fill[binary] = np.round(fill[binary])
    whole = np.where(np.isnan(values), fill, values)
    spread = whole.std(axis=0)
    return fill, whole.mean(axis=0), np.where(spread > 0, spread, 1.0)


def _scaled(values: Numbers, fill: Numbers, mean: Numbers, scale: Numbers) -> Numbers:
    scaled: Numbers = (np.where(np.isnan(values), fill, values) - mean) / scale
    return scaled


def _shares(sums: Numbers) -> Numbers:
    raised = np.exp(sums - sums.max(axis=1, keepdims=True))
    shares: Numbers = raised / raised.sum(axis=1, keepdims=True)
    return shares


def _loss(sums: Numbers, of_class: Classes) -> float:
    top = sums.max(axis=1)
    whole = top + np.log(np.exp(sums - top[:, None]).sum(axis=1))
    return float(np.mean(whole - sums[np.arange(len(of_class)), of_class]))


def _temperature(sums: Numbers, of_class: Classes) -> float:
    from scipy.optimize import minimize_scalar  # noqa: PLC0415

    found = minimize_scalar(
        lambda log: _loss(sums / np.exp(log), of_class),
        bounds=np.log(_DIVISORS), method="bounded",
    )  # fmt: skip
    return float(np.exp(found.x))


def _check(cohort: Cohort, plan: Plan) -> None:
    name, fewest = min(cohort.counts.items(), key=lambda pair: pair[1], default=("", 0))
    # An inner part must hold every class as well: of `folds` parts one is taken away first.
    needed = max(plan.folds, _INNER + 2)
    if len(cohort.classes) < 2 or fewest < needed:
        raise InputProblem(
            f"{cohort.file}: a model cannot be trained. It needs two classes or more with at least "
            f"{needed} people in each for {plan.folds} folds; there are {len(cohort.classes)} "
            f"classes{f', and {fewest} people in {name}' if name else ''}. Give more people, join "
            f"classes, or use fewer --folds."
        )
    alike = [
        column
        for column, cells in zip(cohort.columns, cohort.values.T, strict=True)
        if len(np.unique(cells[~np.isnan(cells)])) < 2
    ]
    if alike:
        raise InputProblem(
            f"{cohort.file}: a model cannot be trained. A predictor differs between people; "
            f"{', '.join(alike)} is the same in everybody. Leave it out of the table or the map."
        )


def _rounded(values: Numbers) -> tuple[float, ...]:
    return tuple(round(float(x), 6) for x in values)


def _made_with() -> str:
    from sklearn import __version__ as library  # noqa: PLC0415

    return f"endplate {__version__}, scikit-learn {library}"
