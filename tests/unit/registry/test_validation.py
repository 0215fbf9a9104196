"""The figures of validation, against closed forms, scikit-learn and made calibration."""

from __future__ import annotations

import numpy as np
import pytest

from endplate.registry.validation import (
    accuracy,
    area,
    area_of,
    brier,
    calibration,
    confusion,
    validated,
)

RNG = np.random.default_rng(7)
OF_CLASS = RNG.integers(0, 3, 400)
GIVEN = RNG.dirichlet([1, 1, 1], 400) * 0.5 + 0.5 * np.eye(3)[OF_CLASS] * RNG.random((400, 1))
GIVEN /= GIVEN.sum(axis=1, keepdims=True)


def test_discrimination_and_error_agree_with_scikit_learn():
    from sklearn.metrics import accuracy_score, confusion_matrix, roc_auc_score

    assert accuracy(OF_CLASS, GIVEN) == accuracy_score(OF_CLASS, GIVEN.argmax(axis=1))
    assert area(OF_CLASS, GIVEN) == pytest.approx(
        roc_auc_score(OF_CLASS, GIVEN, multi_class="ovr", average="macro")
    )
    assert confusion(OF_CLASS, GIVEN, 3) == tuple(
        map(tuple, confusion_matrix(OF_CLASS, GIVEN.argmax(axis=1)).tolist())
    )


def test_the_brier_score_by_hand():
    # Class 0 given 0.5, 0.3, 0.2: 0.25 + 0.09 + 0.04; class 1 given for sure: 0.
    given = np.array([[0.5, 0.3, 0.2], [0.0, 1.0, 0.0]])
    assert brier(np.array([0, 1]), given) == pytest.approx(0.19)
    assert brier(np.array([1, 0]), np.eye(3)[[0, 1]]) == 2


def test_ties_count_half_and_one_class_alone_has_no_area():
    assert area_of(np.array([True, False]), np.array([0.5, 0.5])) == 0.5
    assert np.isnan(area_of(np.array([True, True]), np.array([0.1, 0.2])))


@pytest.mark.parametrize("shift, stretch", [(0.0, 1.0), (0.5, 1.0), (0.0, 0.5), (-0.4, 2.0)])
def test_calibration_finds_what_was_put_in(shift, stretch):
    rng = np.random.default_rng(11)
    odds = rng.normal(0, 1.5, 60_000)
    so = rng.random(len(odds)) < 1 / (1 + np.exp(-(shift + stretch * odds)))
    found = calibration(so, 1 / (1 + np.exp(-odds)))
    assert found.slope == pytest.approx(stretch, abs=0.06)
    if stretch == 1:
        assert found.intercept == pytest.approx(shift, abs=0.04)


def test_where_classes_part_wholly_there_is_no_calibration():
    so = np.array([False] * 20 + [True] * 20)
    assert np.isnan(calibration(so, np.linspace(0.1, 0.9, 40)).slope)


def test_an_interval_holds_its_figure_and_narrows_with_people():
    few = validated("x", OF_CLASS[:60], [GIVEN[:60]], "abc", filled=0, seed=1)
    many = validated("x", OF_CLASS, [GIVEN], "abc", filled=0, seed=1)
    for found in (few, many):
        assert found.accuracy.low <= found.accuracy.value <= found.accuracy.high
    assert many.accuracy.high - many.accuracy.low < few.accuracy.high - few.accuracy.low
    assert many == validated("x", OF_CLASS, [GIVEN], "abc", filled=0, seed=1)
