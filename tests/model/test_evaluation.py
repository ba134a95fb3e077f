"""Accuracy by frame and by stream, by hand."""

from __future__ import annotations

import numpy as np

from data.entities import Game, StoredFrame
from model.evaluation import evaluate


def test_a_stream_is_judged_by_the_sum_of_its_softmax():
    """Two frames barely wrong and one surely right: the stream is right although most of its frames are not."""
    games = [Game(5, "A"), Game(7, "B")]
    frames = [StoredFrame(5, "ann", n) for n in (1, 2, 3)] + [StoredFrame(7, "ann", 1), StoredFrame(7, "ben", 1)]
    logits = np.array([[0.0, 0.1], [0.0, 0.1], [9.0, 0.0], [0.0, 1.0], [1.0, 0.0]], np.float32)
    judged = evaluate(logits, frames, games)
    assert judged.confusion.tolist() == [[1, 2], [1, 1]]
    assert judged.by_frame == 2 / 5
    assert (judged.streams, judged.by_stream) == (3, 2 / 3)
    assert judged.per_game == [1 / 3, 1 / 2]


def test_large_logits_do_not_overflow():
    """exp(1000) is infinite; a softmax is not."""
    judged = evaluate(
        np.array([[1000.0, 0.0], [0.0, 1000.0]]),
        [StoredFrame(1, "a", 1), StoredFrame(2, "b", 1)],
        [Game(1, "A"), Game(2, "B")],
    )
    assert judged.by_stream == 1.0
