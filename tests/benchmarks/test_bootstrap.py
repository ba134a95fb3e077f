"""Weighted figures equal those of repeated samples; intervals are those of known distributions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks import _bootstrap
from data.entities import Game, StoredFrame
from model.evaluation import metrics
from model.inference.probabilities import softmax

RNG = np.random.default_rng(5)
LOGITS, LABELS, WEIGHTS = RNG.normal(size=(60, 4)), RNG.integers(0, 4, 60), RNG.integers(0, 4, 60)


def test_weighted_mean_and_ece_equal_those_of_repeated_frames():
    """A frame of weight 3 counts as three equal frames do in the product's own metrics."""
    rows = np.repeat(np.arange(60), WEIGHTS)
    frames = [StoredFrame(int(LABELS[row]), "ann", number) for number, row in enumerate(rows)]
    expected = metrics.evaluate(LOGITS[rows], frames, [Game(label, str(label)) for label in range(4)])
    probabilities = softmax(LOGITS)
    is_right = probabilities.argmax(axis=1) == LABELS
    assert _bootstrap.mean(is_right, WEIGHTS) == pytest.approx(expected.frame_accuracy)
    assert _bootstrap.ece(probabilities.max(axis=1), is_right, WEIGHTS) == pytest.approx(expected.ece)
    assert _bootstrap.macro_mean(is_right, LABELS, WEIGHTS) == pytest.approx(np.mean(expected.recall_per_game))


def test_weighted_auroc_equals_that_of_repeated_samples():
    """Ties between known and unknown samples count half, with weights too."""
    scores, is_known = RNG.integers(0, 5, 60), LABELS > 1
    rows = np.repeat(np.arange(60), WEIGHTS)
    expected = metrics.auroc(scores[rows][is_known[rows]], scores[rows][~is_known[rows]])
    assert _bootstrap.auroc(scores, is_known, WEIGHTS) == pytest.approx(expected)


def test_macro_mean_leaves_out_groups_without_weight():
    """A game whose repositories are in no draw does not count as a game without right frames."""
    assert _bootstrap.macro_mean(np.array([1, 0, 0]), np.array([0, 0, 2]), np.array([1, 1, 0])) == 0.5


def test_figures_without_weight_are_nan():
    """A draw may take none of the samples of a figure; the interval is over the other draws."""
    nothing = np.zeros(2, int)
    values, known = np.array([0.0, 1.0]), np.array([True, False])
    assert math.isnan(_bootstrap.mean(values, nothing))
    assert math.isnan(_bootstrap.ece(values, values, nothing))
    assert math.isnan(_bootstrap.macro_mean(values, nothing, nothing))
    assert math.isnan(_bootstrap.auroc(values, known, np.array([1, 0])))
    assert _bootstrap.interval(np.array([np.nan, 2.0, 2.0])) == (2, 2)
    assert all(map(math.isnan, _bootstrap.interval(np.full(3, np.nan))))


def test_draws_resample_with_replacement_and_are_the_same_each_time():
    """Each draw takes as many repositories as there are; e**-1 of them are in none."""
    weights = _bootstrap.draw_weights(50)
    assert weights.shape == (_bootstrap.DRAWS, 50)
    assert set(weights.sum(axis=1)) == {50}
    assert (weights == 0).mean() == pytest.approx(math.exp(-1), abs=0.01)
    assert np.array_equal(weights, _bootstrap.draw_weights(50))


def test_interval_of_a_mean_is_the_binomial_one():
    """Half of 100 repositories are right: the standard error of the mean is 5 %."""
    values = np.arange(100) % 2
    low, high = _bootstrap.interval(np.array([_bootstrap.mean(values, row) for row in _bootstrap.draw_weights(100)]))
    assert low == pytest.approx(0.5 - 1.96 * 0.05, abs=0.015)
    assert high == pytest.approx(0.5 + 1.96 * 0.05, abs=0.015)
