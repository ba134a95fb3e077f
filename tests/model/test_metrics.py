"""Classification metrics, checked by hand and against Keras."""

from __future__ import annotations

import numpy as np
import pytest

from data.entities import Game, StoredFrame
from model.evaluation.metrics import auroc, evaluate, negative_log_likelihood
from tests.model.lazily import keras

GAMES = [Game(5, "A"), Game(7, "B")]


def test_stream_verdict_is_the_sum_of_softmax():
    """Two frames barely wrong and one certainly right: the stream is right although most of its frames are not."""
    frames = [StoredFrame(5, "ann", n) for n in (1, 2, 3)] + [StoredFrame(7, "ann", 1), StoredFrame(7, "ben", 1)]
    logits = np.array([[0.0, 0.1], [0.0, 0.1], [9.0, 0.0], [0.0, 1.0], [1.0, 0.0]], np.float32)
    evaluation = evaluate(logits, frames, GAMES)
    assert evaluation.confusion.tolist() == [[1, 2], [1, 1]]
    assert evaluation.stream_confusion.tolist() == [[1, 0], [1, 1]]
    assert evaluation.frame_accuracy == 2 / 5
    assert (evaluation.streams, evaluation.stream_accuracy) == (3, 2 / 3)
    assert evaluation.recall_per_game == [1 / 3, 1 / 2]
    assert evaluation.stream_recall_per_game == [1, 1 / 2]


def test_large_logits_do_not_overflow():
    """exp(1000) overflows; softmax does not."""
    frames = [StoredFrame(5, "a", 1), StoredFrame(7, "b", 1)]
    evaluation = evaluate(np.array([[1000.0, 0.0], [0.0, 1000.0]]), frames, GAMES)
    assert (evaluation.stream_accuracy, evaluation.negative_log_likelihood, evaluation.ece) == (1, 0, 0)


def test_top3_accuracy_and_likelihood_equal_keras():
    """The definitions are the standard ones: Keras computes the same from the same logits."""
    rng = np.random.default_rng(3)
    logits = rng.normal(size=(200, 7)).astype(np.float32)
    labels = rng.integers(0, 7, 200)
    frames = [StoredFrame(int(label) + 1, f"s{number}", 1) for number, label in enumerate(labels)]
    evaluation = evaluate(logits, frames, [Game(number, str(number)) for number in range(1, 8)])
    top3_accuracy = keras.metrics.sparse_top_k_categorical_accuracy(labels, logits, k=3)
    loss = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    assert evaluation.top3_accuracy == pytest.approx(float(np.mean(top3_accuracy)))
    assert evaluation.negative_log_likelihood == pytest.approx(float(np.mean(loss)), abs=1e-5)
    assert evaluation.negative_log_likelihood == negative_log_likelihood(logits, labels)


def test_calibration_error_of_two_bins():
    """Four frames at 70 %, three of them right, and one at 90 % that is wrong: ECE is (4 * 0.05 + 0.9) / 5."""
    logits = np.log(np.array([[0.7, 0.3]] * 4 + [[0.1, 0.9]]))
    frames = [StoredFrame(5, "ann", n) for n in (1, 2, 3)] + [StoredFrame(7, "ben", 1), StoredFrame(5, "cat", 1)]
    evaluation = evaluate(logits, frames, GAMES)
    assert evaluation.ece == pytest.approx((4 * 0.05 + 0.9) / 5)
    seven, nine = evaluation.bins[10], evaluation.bins[13]
    assert (seven.frames, seven.accuracy, nine.frames, nine.accuracy) == (4, 0.75, 1, 0.0)
    assert (seven.confidence, nine.confidence) == (pytest.approx(0.7), pytest.approx(0.9))
    assert sum(bin.frames for bin in evaluation.bins) == 5
    assert len(evaluation.bins) == 15


def test_recall_of_a_game_without_frames_is_nan():
    """There is nothing to divide by, and zero would be wrong."""
    evaluation = evaluate(np.array([[1.0, 0.0]]), [StoredFrame(5, "ann", 1)], GAMES)
    assert evaluation.recall_per_game[0] == 1
    assert np.isnan(evaluation.recall_per_game[1])


@pytest.mark.parametrize(
    ("known", "unknown", "area"),
    [([3, 4], [1, 2], 1.0), ([1, 2], [3, 4], 0.0), ([1, 1], [1], 0.5), ([1, 3], [2, 0], 0.75), ([2, 3], [2], 0.75)],
)
def test_auroc_counts_ordered_pairs(known, unknown, area):
    """AUROC is the fraction of pairs in the right order, with ties counted half."""
    assert auroc(np.array(known), np.array(unknown)) == area


def test_auroc_without_pairs_is_nan():
    """Known frames alone form no pairs."""
    assert np.isnan(auroc(np.array([1.0]), np.array([])))
