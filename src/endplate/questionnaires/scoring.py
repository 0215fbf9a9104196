"""The scorer: answers of one person or of a million, by the key of the instrument."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from numpy.typing import ArrayLike, NDArray

from endplate import vocabulary
from endplate.facts import InputProblem
from endplate.questionnaires.instrument import Scale, instruments, key
from endplate.questionnaires.values import values_of

Numbers = NDArray[np.float64]
# Rows that are scored at once: ten columns of them stay in the processor's second cache.
_ROWS = 4096


class Scores(Struct, frozen=True, kw_only=True):
    """What a questionnaire gives for each row: NaN where it cannot be scored.

    Attributes
    ----------
    scales
        Every result by name; an EQ-5D has ``total``, its value.
    answered
        How many items have an answer.
    """

    scales: Mapping[str, Numbers]
    answered: NDArray[np.int64]

    @property
    def total(self) -> Numbers:
        """The score itself; NaN throughout for an instrument that has none."""
        return self.scales.get("total", np.full(len(self.answered), np.nan))


def score(
    id: str,
    answers: Sequence[ArrayLike] | NDArray[Any],
    *,
    country: str = "",
    sex: ArrayLike | None = None,
    reading: str = "",
) -> Scores:
    """Score one instrument for any number of filled-in forms.

    Parameters
    ----------
    id
        Of the instrument, such as ``odi``.
    answers
        One array for each item, in the order of the form; NaN for a blank.
    country
        For EQ-5D: whose value set.
    sex
        For the Opioid Risk Tool: ``female`` or ``male`` for each row.
    reading
        Which reading of the missing-item rule, where sources disagree; the key's default else.

    Raises
    ------
    InputProblem
        If an item has an answer that its form has not, or the number of items is another.
    """
    form, instrument = key(id), instruments()[id]
    limits = _limits(id)
    columns = [np.asarray(a, dtype=np.float64).reshape(-1) for a in answers]
    count = len(instrument.items)
    if len(columns) != count or len({len(c) for c in columns}) > 1:
        raise InputProblem(
            f"{id}: cannot be scored. It has {count} items, each an array of one length; "
            f"{len(columns)} arrays of {sorted({len(c) for c in columns})} were given. Give all "
            f"items, with NaN for a blank."
        )
    rows = len(columns[0])
    names = ["total"] if form.values else list(form.scale)
    made = {name: np.empty(rows) for name in names}
    answered = np.empty(rows, dtype=np.int64)
    who = None if sex is None else np.asarray(sex, dtype=object).reshape(-1)
    space = np.empty((count, min(rows, _ROWS)))
    for start in range(0, rows, _ROWS):
        here = slice(start, min(start + _ROWS, rows))
        for item, column in enumerate(columns):
            space[item, : here.stop - start] = column[here]
        block = space[:, : here.stop - start]
        blank = np.isnan(block)
        if limits.least.any():
            block -= limits.least
        np.copyto(block, 0.0, where=blank)
        _refuse(id, block, limits)
        there = count - _counted(blank)
        answered[here] = there
        if form.values:
            made["total"][here] = values_of(id, block, there == count, country)
            continue
        sexes = None if who is None else who[here]
        of = _Rows(block, blank, there, limits, sexes, reading)
        for name, scale in form.scale.items():
            made[name][here] = of.scaled(scale, {n: made[n][here] for n in names})
    return Scores(scales=made, answered=answered)


class _Limits(Struct, frozen=True):
    """The least answer of each item, how far the highest lies above it, and the step between."""

    least: Numbers
    range: Numbers
    step: Numbers | None


_known: dict[str, _Limits] = {}


def _limits(id: str) -> _Limits:
    if id not in _known:
        found = []
        for name in instruments()[id].items:
            concept = vocabulary.concept(name)
            low, high = concept.plausible or (0, 1)
            found.append((low, high - low, concept.step or 1))
        least, range_, step = (
            np.array(column, dtype=np.float64).reshape(-1, 1) for column in zip(*found, strict=True)
        )
        _known[id] = _Limits(least, range_, None if (step == 1).all() else step)
    return _known[id]


def _counted(yes: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many are true in each column; a form has fewer items than a byte can count."""
    count: NDArray[np.int8] = np.add.reduce(yes.view(np.int8), axis=0, dtype=np.int8)
    return count.astype(np.int64)


def _refuse(id: str, block: Numbers, limits: _Limits) -> None:
    """Refuse answers that a form has not; a blank is the least answer here."""
    steps = block if limits.step is None else block / limits.step
    whole = np.rint(steps)
    if not block.size or (
        block.min() >= 0
        and (block.max(axis=1) <= limits.range[:, 0]).all()
        and (whole == steps).all()
    ):
        return
    wrong = (block < 0) | (block > limits.range) | (whole != steps)
    item = int(np.argmax(wrong.any(axis=1)))
    low = float(limits.least[item, 0])
    high = low + float(limits.range[item, 0])
    step = 1.0 if limits.step is None else float(limits.step[item, 0])
    raise InputProblem(
        f"{id}: cannot be scored. Item {item + 1} takes {low:g} to {high:g} in steps of {step:g}; "
        f"other numbers were given. Give the numbers that the form prints, and NaN for a blank."
    )


class _Rows(Struct, frozen=True):
    """Some rows of answers, each counted from the least that its item takes; blanks are 0."""

    block: Numbers
    blank: NDArray[np.bool_]
    answered: NDArray[np.int64]
    limits: _Limits
    sex: NDArray[Any] | None
    reading: str

    def scaled(self, scale: Scale, made: Mapping[str, Numbers]) -> Numbers:
        """One scale of every row; NaN where too little was answered."""
        if scale.from_:
            return _of_scales(scale, made)
        every = not scale.of
        chosen = np.arange(len(self.block)) if every else np.array(scale.of) - 1
        counted = self._counted(scale, chosen, every)
        low = self.limits.least[chosen]
        range_ = self.limits.range[chosen]
        count = len(chosen)
        given = self.answered if every else count - _counted(self.blank[chosen])
        found: Numbers = counted.sum(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            if scale.how == "percent":
                found *= 100 / range_[0, 0]
                found /= given
            elif scale.how == "highest":
                found = (counted + low).max(axis=0)
            else:
                uneven = len(set(low[:, 0])) > 1
                if uneven:
                    found += np.where(self.blank[chosen], 0.0, low).sum(axis=0)
                elif low[0, 0]:
                    found += low[0, 0] * given
                if scale.how == "mean":
                    found /= given
                elif scale.blank == "mean":
                    found *= count / given
        found[given < _least(scale, count, self.reading)] = np.nan
        if scale.points_by_sex:
            found[self._without_sex(scale)] = np.nan
        return found

    def _counted(self, scale: Scale, chosen: NDArray[np.int64], every: bool) -> Numbers:
        """The items of a scale as they count: reversed, or with the points of a yes."""
        counted = self.block if every else self.block[chosen]
        if scale.reverse:
            turned = [int(np.flatnonzero(chosen == n - 1)[0]) for n in scale.reverse]
            counted = counted.copy()
            counted[turned] = np.where(
                self.blank[chosen][turned], 0.0, self.limits.range[chosen][turned] - counted[turned]
            )
        if scale.points:
            worth_of_all: Numbers = np.array(scale.points, dtype=np.float64).reshape(-1, 1)
            return counted * worth_of_all
        if scale.points_by_sex and self.sex is not None:
            points = np.zeros_like(counted)
            for sex, worth in scale.points_by_sex.items():
                points[:, self.sex == sex] = np.array(worth, dtype=np.float64).reshape(-1, 1)
            return counted * points
        return counted

    def _without_sex(self, scale: Scale) -> NDArray[np.bool_]:
        if self.sex is None:
            return np.ones(self.block.shape[1], dtype=bool)
        return ~np.isin(self.sex, list(scale.points_by_sex))


def _of_scales(scale: Scale, made: Mapping[str, Numbers]) -> Numbers:
    """A scale that is made of others."""
    if scale.how == "t_score":
        (raw,) = (made[name] for name in scale.from_)
        nowhere = len(scale.t_score)
        table = np.array([*scale.t_score, np.nan])
        index = np.where(np.isnan(raw), nowhere, raw - scale.t_from).astype(np.intp)
        return table[index]
    together: Numbers = np.mean([made[name] for name in scale.from_], axis=0)
    return together


def _least(scale: Scale, count: int, reading: str) -> int:
    """How many items must be answered."""
    if isinstance(scale.least, dict):
        return scale.least[reading or next(iter(scale.least))]
    return count if scale.least is None else scale.least
