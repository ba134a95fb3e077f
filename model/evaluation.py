"""How good the model is on streamers that it never saw: numpy in, numbers out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data.entities import Game, StoredFrame


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Accuracies are 0 to 1. A stream is all frames of one login in one game.

    `confusion`: int64 (classes, classes), frames by true class (row) and predicted class (column).
    """

    by_frame: float
    by_stream: float
    frames: int
    streams: int
    confusion: np.ndarray

    @property
    def per_game(self) -> list[float]:
        """Each class's share of frames that were recognised, in label order."""
        return [float(value) for value in np.diag(self.confusion) / self.confusion.sum(axis=1)]


def evaluate(logits: np.ndarray, frames: Sequence[StoredFrame], classes: Sequence[Game]) -> Evaluation:
    """Judge `logits` (frames, classes) of `frames`, of which every class has at least one.

    A stream's verdict is the class with the largest sum of softmax outputs over its frames, as in
    recognition.
    """
    place = {game.id: label for label, game in enumerate(classes)}
    labels = np.array([place[frame.game_id] for frame in frames])
    predicted = logits.argmax(axis=1)
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(confusion, (labels, predicted), 1)
    scores: dict[tuple[int, str], np.ndarray] = {}
    for frame, row in zip(frames, _softmax(logits), strict=True):
        stream = (frame.game_id, frame.login)
        scores[stream] = scores.get(stream, 0) + row
    right = [int(score.argmax()) == place[game_id] for (game_id, _), score in scores.items()]
    return Evaluation(
        by_frame=float((predicted == labels).mean()),
        by_stream=sum(right) / len(right),
        frames=len(frames),
        streams=len(right),
        confusion=confusion,
    )


def _softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)
