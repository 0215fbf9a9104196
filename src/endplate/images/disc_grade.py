"""A Pfirrmann grade suggested from measured ratios, by a calibration that the user supplies.

No cut-offs are published (see ``not_implementable.pfirrmann_grade``), and the signal moves with
scanner and sequence: without a calibration of the user's own nothing is suggested.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import numpy as np

from endplate.images.result import Missing, Result
from endplate.images.vertebra import Estimate

METHOD = "endplate.disc.pfirrmann_suggestion/1"
GRADES = ("1", "2", "3", "4", "5")
# What a calibration may build on, and under which concept it is measured.
INPUTS = {"signal_ratio": "mr.disc_signal_ratio", "height_index": "disc.height_index"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """An ordinal logistic model: P(grade <= k) = 1 / (1 + exp(sum of coefficient x - threshold k)).

    Attributes
    ----------
    name, population, on
        What it is called, in whom it was fitted, and when.
    coefficients
        Input (one of `INPUTS`) → coefficient.
    thresholds
        Four, ascending: between grades 1 and 2, and so on.
    ranges
        Input → the range that it was fitted in, where that is given.
    """

    name: str
    population: str
    on: date
    coefficients: Mapping[str, float]
    thresholds: tuple[float, float, float, float]
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def probabilities(self, inputs: Mapping[str, float]) -> tuple[float, ...]:
        """The probability of each grade, 1 to 5.

        Examples
        --------
        >>> even = Calibration(
        ...     name="even", population="none", on=date(2026, 1, 1),
        ...     coefficients={"signal_ratio": 1.0}, thresholds=(-1.0, 0.0, 1.0, 2.0))
        >>> [round(p, 3) for p in even.probabilities({"signal_ratio": 0.0})]
        [0.269, 0.231, 0.231, 0.15, 0.119]
        """
        return self._at(sum(c * inputs[n] for n, c in self.coefficients.items()))

    def _at(self, predictor: float) -> tuple[float, ...]:
        below = 1 / (1 + np.exp(np.clip(predictor - np.array(self.thresholds), -700, 700)))
        return tuple(float(p) for p in np.diff(below, prepend=0.0, append=1.0))

    def reach(self, inputs: Mapping[str, Estimate]) -> tuple[str, str]:
        """The most probable grades at both ends of the 95 % interval of the predictor."""
        value = sum(c * inputs[n].value for n, c in self.coefficients.items())
        error = float(np.sqrt(sum((c * inputs[n].error) ** 2
                                  for n, c in self.coefficients.items())))  # fmt: skip
        low, high = Estimate(value, error).interval
        grades = sorted(GRADES[int(np.argmax(self._at(x)))] for x in (low, high))
        return grades[0], grades[1]


def suggestion(
    level: str, measured: Sequence[Result], calibration: Calibration
) -> Result | Missing:
    """The most probable grade of one disc, with the probability of each in its details."""
    by_what = {r.what: r for r in measured if r.level == level}
    used = {n: by_what.get(INPUTS[n]) for n in calibration.coefficients}
    absent = [n.replace("_", " ") for n, r in used.items() if r is None]
    if absent:
        return Missing(
            what=f"{level}: a suggested Pfirrmann grade",
            reason=f"its calibration asks for the {' and the '.join(absent)}",
            code="disc_grade",
            try_="Give a T2 image with a label of the cerebrospinal fluid, and labelled vertebrae.",
        )
    results = {n: r for n, r in used.items() if r is not None}
    inputs = {n: r.value for n, r in results.items() if isinstance(r.value, Estimate)}
    chances = calibration.probabilities({n: x.value for n, x in inputs.items()})
    best = GRADES[int(np.argmax(chances))]
    doubts = [d for r in results.values() for d in r.doubts]
    for name, (low, high) in calibration.ranges.items():
        if name in inputs and not low <= inputs[name].value <= high:
            doubts.append(f"its {name.replace('_', ' ')} is outside what the calibration knows")
    first, last = calibration.reach(inputs)
    if first != last:
        doubts.append(f"the error of the ratios reaches from grade {first} to {last}")
    return Result(
        what="disc.pfirrmann_suggestion", method=METHOD, level=level, value=best,
        doubts=tuple(dict.fromkeys(doubts)),
        details={
            **{f"probability_{g}": round(p, 4) for g, p in zip(GRADES, chances, strict=True)},
            **{n: round(x.value, 4) for n, x in inputs.items()},
            "calibration": calibration.name, "population": calibration.population,
            "calibrated_on": calibration.on.isoformat(),
        },
    )  # fmt: skip
