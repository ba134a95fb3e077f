"""Numbers about a model, by hand and by the definitions they have elsewhere."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from data.entities import Game, StoredFrame
from model.evaluation.metrics import auroc, evaluate, nll

GAMES = [Game(5, "A"), Game(7, "B")]


def test_a_stream_is_judged_by_the_sum_of_its_softmax():
    """Two frames barely wrong and one surely right: the stream is right although most of its frames are not."""
    frames = [StoredFrame(5, "ann", n) for n in (1, 2, 3)] + [StoredFrame(7, "ann", 1), StoredFrame(7, "ben", 1)]
    logits = np.array([[0.0, 0.1], [0.0, 0.1], [9.0, 0.0], [0.0, 1.0], [1.0, 0.0]], np.float32)
    judged = evaluate(logits, frames, GAMES)
    assert judged.confusion.tolist() == [[1, 2], [1, 1]]
    assert judged.stream_confusion.tolist() == [[1, 0], [1, 1]]
    assert judged.by_frame == 2 / 5
    assert (judged.streams, judged.by_stream) == (3, 2 / 3)
    assert judged.per_game == [1 / 3, 1 / 2]
    assert judged.per_game_streams == [1, 1 / 2]


def test_large_logits_do_not_overflow():
    """exp(1000) is infinite; a softmax is not."""
    frames = [StoredFrame(5, "a", 1), StoredFrame(7, "b", 1)]
    judged = evaluate(np.array([[1000.0, 0.0], [0.0, 1000.0]]), frames, GAMES)
    assert (judged.by_stream, judged.nll, judged.ece) == (1, 0, 0)


def test_top_3_and_likelihood_are_those_of_keras():
    """The definitions are the known ones: Keras counts the same on the same logits."""
    chance = np.random.default_rng(3)
    logits = chance.normal(size=(200, 7)).astype(np.float32)
    labels = chance.integers(0, 7, 200)
    frames = [StoredFrame(int(label) + 1, f"s{number}", 1) for number, label in enumerate(labels)]
    judged = evaluate(logits, frames, [Game(number, str(number)) for number in range(1, 8)])
    top3 = keras.metrics.sparse_top_k_categorical_accuracy(labels, logits, k=3)
    loss = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    assert judged.top3 == pytest.approx(float(np.mean(top3)))
    assert judged.nll == pytest.approx(float(np.mean(loss)), abs=1e-5)
    assert judged.nll == nll(logits, labels)


def test_calibration_by_hand():
    """Four frames at 70 %, three of them right, and one at 90 % that is wrong: ECE (4 * 0.05 + 0.9) / 5."""
    logits = np.log(np.array([[0.7, 0.3]] * 4 + [[0.1, 0.9]]))
    frames = [StoredFrame(5, "ann", n) for n in (1, 2, 3)] + [StoredFrame(7, "ben", 1), StoredFrame(5, "cat", 1)]
    judged = evaluate(logits, frames, GAMES)
    assert judged.ece == pytest.approx((4 * 0.05 + 0.9) / 5)
    seven, nine = judged.bins[10], judged.bins[13]
    assert (seven.frames, seven.accuracy, nine.frames, nine.accuracy) == (4, 0.75, 1, 0.0)
    assert (seven.confidence, nine.confidence) == (pytest.approx(0.7), pytest.approx(0.9))
    assert sum(step.frames for step in judged.bins) == 5
    assert len(judged.bins) == 15


def test_a_game_without_frames_has_no_accuracy():
    """Nothing is known of it: not a zero, and no division by it."""
    judged = evaluate(np.array([[1.0, 0.0]]), [StoredFrame(5, "ann", 1)], GAMES)
    assert judged.per_game[0] == 1
    assert np.isnan(judged.per_game[1])


@pytest.mark.parametrize(
    ("known", "unknown", "area"),
    [([3, 4], [1, 2], 1.0), ([1, 2], [3, 4], 0.0), ([1, 1], [1], 0.5), ([1, 3], [2, 0], 0.75), ([2, 3], [2], 0.75)],
)
def test_the_area_under_the_roc_curve(known, unknown, area):
    """Pairs in the right order, ties counted half."""
    assert auroc(np.array(known), np.array(unknown)) == area


def test_no_area_without_pairs():
    """Known frames alone cannot be told from anything."""
    assert np.isnan(auroc(np.array([1.0]), np.array([])))
