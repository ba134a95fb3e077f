"""Verdicts: a prediction for each frame, one verdict for the stream. NumPy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data.entities import Game


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one frame shows: the most probable game, and its probability, 0 to 1."""

    game: Game
    confidence: float

    def line(self, number: int) -> str:
        """The line printed for the frame with this number."""
        return f"Frame {number}: {self.game.name} with a {100 * self.confidence:.2f}% confidence."


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the stream shows.

    `score`: the winner's probabilities, summed over the frames, so at most their number.
    `confidence`: the score for one frame, 0 to 1. `predictions`: the frames' own, in order.
    """

    game: Game
    score: float
    confidence: float
    predictions: tuple[Prediction, ...]

    def line(self) -> str:
        """The last line printed for a stream."""
        return f"{self.game.name} with a score of {self.score:.1f}"


class Jury:
    """Adds up the softmax outputs of a stream's frames as they come."""

    def __init__(self, classes: Sequence[Game]) -> None:
        """`classes[i]` is the game of logit i; there is one at least."""
        self._classes = tuple(classes)
        self._sum = np.zeros(len(self._classes))
        self._predictions: list[Prediction] = []

    def hear(self, logits: np.ndarray) -> Prediction:
        """Judge one frame by its logits, shape (classes,). Raises ValueError for another shape."""
        if logits.shape != self._sum.shape:
            raise ValueError(f"{logits.shape} logits for {len(self._classes)} classes")
        probabilities = softmax(logits)
        winner = int(probabilities.argmax())
        prediction = Prediction(self._classes[winner], float(probabilities[winner]))
        self._sum += probabilities
        self._predictions.append(prediction)
        return prediction

    def verdict(self) -> Verdict:
        """The stream's verdict so far. Raises ValueError before the first frame."""
        if not self._predictions:
            raise ValueError("no frame was judged")
        winner = int(self._sum.argmax())
        score = float(self._sum[winner])
        return Verdict(self._classes[winner], score, score / len(self._predictions), tuple(self._predictions))


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of logits, along the last axis, in float64; safe for any finite values."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)
