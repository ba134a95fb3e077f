"""Verdicts: a prediction for each frame, one verdict for the stream. NumPy only.

The game with the largest sum of softmax outputs wins, all frames counted: the original's rule. Whether the stream is
known is another question, asked of each frame: it is not, when more than half of its frames are unlike all that the
model was made for. A few loading screens do not make a stream unknown, nor does one lucky frame make it known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data.entities import Game
from model.evaluation import log_softmax


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one frame shows: the most probable game, and its probability, 0 to 1.

    `known`: false where the frame resembles none of the games; then the game is only the closest of them.
    """

    game: Game
    confidence: float
    known: bool = True

    def line(self, number: int) -> str:
        """The line printed for the frame with this number."""
        words = f"{self.game.name} with a {100 * self.confidence:.2f}% confidence"
        return f"Frame {number}: {words}." if self.known else f"Frame {number}: Unknown (closest: {words})."


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

    @property
    def unknown(self) -> int:
        """How many of the frames are unknown."""
        return sum(not prediction.known for prediction in self.predictions)

    @property
    def known(self) -> bool:
        """Whether at least half of the frames are like those of the games that the model knows."""
        return 2 * self.unknown <= len(self.predictions)

    def line(self) -> str:
        """The last line printed for a stream. Unknown scores a point a frame, as a game does that is certain."""
        if self.known:
            return f"{self.game.name} with a score of {self.score:.1f}"
        return f"Unknown with a score of {self.unknown:.1f} (closest: {self.game.name})"


class Jury:
    """Adds up the softmax outputs of a stream's frames as they come."""

    def __init__(self, classes: Sequence[Game]) -> None:
        """`classes[i]` is the game of logit i; there is one at least."""
        self._classes = tuple(classes)
        self._sum = np.zeros(len(self._classes))
        self._predictions: list[Prediction] = []

    def hear(self, logits: np.ndarray, known: bool = True) -> Prediction:
        """Judge one frame by its logits, shape (classes,), over the temperature; `known`: whether it is like any game.

        Raises ValueError for another shape.
        """
        if logits.shape != self._sum.shape:
            raise ValueError(f"{logits.shape} logits for {len(self._classes)} classes")
        probabilities = softmax(logits)
        winner = int(probabilities.argmax())
        prediction = Prediction(self._classes[winner], float(probabilities[winner]), known)
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
    return np.exp(log_softmax(logits))
