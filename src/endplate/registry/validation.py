"""How well probabilities of classes fit what was found: discrimination, error, calibration."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from endplate.evidence.model import Calibration, Control, Estimate, Numbers, Validation

Classes = NDArray[np.intp]
# Resamplings of the people for an interval, steps of Newton's method, and how near to 0 and 1 a
# probability counts as it is: method.
_RESAMPLES, _STEPS, _NEAREST = 300, 50, 1e-9


def validated(
    how: str,
    of_class: Classes,
    runs: Sequence[Numbers],
    classes: Sequence[str],
    *,
    filled: int,
    seed: int,
    control: Control | None = None,
) -> Validation:
    """The figures of one or more runs over the same people, as means over the runs."""
    shares = np.bincount(of_class, minlength=len(classes)) / len(of_class)
    calibrated = [
        [calibration(of_class == k, run[:, k]) for run in runs] for k in range(len(classes))
    ]
    return Validation(
        how=how,
        rows=len(of_class),
        filled=filled,
        accuracy=_estimate(accuracy, of_class, runs, seed),
        auc=_estimate(area, of_class, runs, seed),
        brier=_estimate(brier, of_class, runs, seed),
        auc_by_class={
            name: _round(np.mean([area_of(of_class == k, run[:, k]) for run in runs]))
            for k, name in enumerate(classes)
        },
        calibration={
            name: Calibration(
                intercept=_round(np.mean([c.intercept for c in calibrated[k]])),
                slope=_round(np.mean([c.slope for c in calibrated[k]])),
            )
            for k, name in enumerate(classes)
        },
        confusion=confusion(of_class, runs[0], len(classes)),
        majority=_round(shares.max()),
        brier_of_shares=_round(1 - float(shares @ shares)),
        permuted=control,
    )


def accuracy(of_class: Classes, probabilities: Numbers) -> float:
    """The share of people whose likeliest class is theirs."""
    return float(np.mean(probabilities.argmax(axis=1) == of_class))


def brier(of_class: Classes, probabilities: Numbers) -> float:
    """The squared error over all classes, meaned over people: 0 at best, 2 at worst."""
    happened = np.eye(probabilities.shape[1])[of_class]
    return float(((probabilities - happened) ** 2).sum(axis=1).mean())


def area(of_class: Classes, probabilities: Numbers) -> float:
    """The area under the curve of one class against the others, meaned over classes."""
    there = range(probabilities.shape[1])
    return float(np.mean([area_of(of_class == k, probabilities[:, k]) for k in there]))


def area_of(is_so: NDArray[np.bool_], probability: Numbers) -> float:
    """How often somebody with it has the higher probability than somebody without; ties half."""
    with_it = int(is_so.sum())
    without = len(is_so) - with_it
    if not with_it or not without:
        return float("nan")
    ranks = rankdata(probability)
    return float((ranks[is_so].sum() - with_it * (with_it + 1) / 2) / (with_it * without))


def calibration(is_so: NDArray[np.bool_], probability: Numbers) -> Calibration:
    """The intercept with a slope of 1, and the slope, of what was found on the log odds given."""
    near = np.clip(probability, _NEAREST, 1 - _NEAREST)
    odds = np.log(near / (1 - near))
    found = is_so.astype(np.float64)
    level = _logistic(np.ones((len(odds), 1)), found, odds)
    line = _logistic(np.column_stack([np.ones_like(odds), odds]), found, np.zeros_like(odds))
    return Calibration(intercept=float(level[0]), slope=float(line[1]))


def _logistic(terms: Numbers, found: Numbers, offset: Numbers) -> Numbers:
    """The plain logistic fit, by Newton's method; not a number where there is none."""
    weights = np.zeros(terms.shape[1])
    for _ in range(_STEPS):
        fitted = 1 / (1 + np.exp(-np.clip(terms @ weights + offset, -500, 500)))
        bend = terms.T @ (terms * (fitted * (1 - fitted))[:, None])
        try:
            step = np.linalg.solve(bend, terms.T @ (found - fitted))
        except np.linalg.LinAlgError:
            break
        weights = weights + step
        if np.abs(step).max() < 1e-8:
            return weights
    return np.full(terms.shape[1], np.nan)


def confusion(
    of_class: Classes, probabilities: Numbers, classes: int
) -> tuple[tuple[int, ...], ...]:
    """People by true class (lines) and given class (columns)."""
    found = np.zeros((classes, classes), dtype=np.intp)
    np.add.at(found, (of_class, probabilities.argmax(axis=1)), 1)
    return tuple(tuple(int(n) for n in line) for line in found)


def _estimate(
    figure: Callable[[Classes, Numbers], float], of_class: Classes, runs: Sequence[Numbers],
    seed: int,
) -> Estimate:  # fmt: skip
    """A figure as its mean over runs, with what resampled people give."""
    rng = np.random.default_rng(seed)
    value = float(np.mean([figure(of_class, run) for run in runs]))
    drawn = []
    for _ in range(_RESAMPLES):
        people = rng.integers(0, len(of_class), len(of_class))
        drawn.append(figure(of_class[people], runs[0][people]))
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    return Estimate(value=_round(value), low=_round(min(low, value)), high=_round(max(high, value)))


def _round(value: float | np.floating) -> float:
    return round(float(value), 4)
