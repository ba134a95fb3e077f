"""Verdicts: a prediction for each frame, one verdict for the stream. NumPy only.

The game with the largest sum of softmax outputs wins, all frames counted: the original's rule. Whether the stream is
known is another question, asked of each frame: it is not, when more than half of its frames are unlike all that the
model was made for. A few loading screens do not make a stream unknown, nor does one lucky frame make it known.
Who wants more than that says how confident an answer must be: a frame's that is less so is unknown, and a stream's too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data.entities import Game
from model.evaluation.metrics import log_softmax
from recognition.decision.early_stopping import doubt

_KEPT = 100


@dataclass(frozen=True, slots=True)
class Ranked:
    """A game among others, and how much speaks for it: a probability, 0 to 1."""

    game: Game
    confidence: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one frame shows: the most probable game, and its probability, 0 to 1.

    `known`: false where the frame resembles none of the games; then the game is only the closest of them.
    `ranking`: the most probable games, best first, as many as were asked for; the first is `game`.
    """

    game: Game
    confidence: float
    known: bool = True
    ranking: tuple[Ranked, ...] = ()

    def line(self, number: int) -> str:
        """The line printed for the frame with this number."""
        words = f"{self.game.name} with a {100 * self.confidence:.2f}% confidence"
        return f"Frame {number}: {words}." if self.known else f"Frame {number}: Unknown (closest: {words})."


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the stream shows.

    `score`: the winner's probabilities, summed over the frames, so at most their number.
    `confidence`: the score for one frame, 0 to 1. `predictions`: the frames' own, in order; of a stream that is watched
    for hours the newest hundred, behind `past` frames of which `past_unknown` were unknown.
    `ranking`: the games with the largest sums, best first, as many as were asked for, each with its sum for one frame.
    `sure`: whether the confidence is as high as was asked for.
    """

    game: Game
    score: float
    confidence: float
    predictions: tuple[Prediction, ...]
    ranking: tuple[Ranked, ...] = ()
    sure: bool = True
    past: int = 0
    past_unknown: int = 0

    @property
    def frames(self) -> int:
        """How many there were."""
        return self.past + len(self.predictions)

    @property
    def unknown(self) -> int:
        """How many of the frames are unknown."""
        return self.past_unknown + sum(not prediction.known for prediction in self.predictions)

    @property
    def known(self) -> bool:
        """Whether at least half of the frames are known, and the answer is as sure as was asked for."""
        return self.sure and self._mostly_known

    @property
    def unknown_score(self) -> float:
        """What speaks for unknown: a point for each unknown frame, as a game has that is certain.

        Of frames that are known and disagree, what they leave to games that did not win.
        """
        return float(self.unknown) if not self._mostly_known else self.frames - self.score

    @property
    def _mostly_known(self) -> bool:
        return 2 * self.unknown <= self.frames

    def line(self) -> str:
        """The last line printed for a stream."""
        if self.known:
            return f"{self.game.name} with a score of {self.score:.1f}"
        return f"Unknown with a score of {self.unknown_score:.1f} (closest: {self.game.name})"


class Jury:
    """Adds up the softmax outputs of a stream's frames as they come."""

    def __init__(self, classes: Sequence[Game], top: int = 1, min_confidence: float = 0.0) -> None:
        """`classes[i]` is the game of logit i; there is one at least. `top`: how many of them each ranking holds.

        `min_confidence`, 0 to 1: below it, a frame is unknown, and so is the stream.
        """
        self._classes = tuple(classes)
        self._top = top
        self._min_confidence = min_confidence
        self._sum = np.zeros(len(self._classes))
        self._past = self._past_unknown = 0
        self._predictions: deque[Prediction] = deque()

    def hear(self, logits: np.ndarray, known: bool = True) -> Prediction:
        """Judge one frame by its logits, shape (classes,), over the temperature; `known`: whether it is like any game.

        Raises ValueError for another shape.
        """
        if logits.shape != self._sum.shape:
            raise ValueError(f"{logits.shape} logits for {len(self._classes)} classes")
        probabilities = softmax(logits)
        ranking = self._ranking(probabilities)
        best = ranking[0]
        prediction = Prediction(best.game, best.confidence, known and best.confidence >= self._min_confidence, ranking)
        self._sum += probabilities
        self._predictions.append(prediction)
        if len(self._predictions) > _KEPT:
            self._past_unknown += not self._predictions.popleft().known
            self._past += 1
        return prediction

    def verdict(self) -> Verdict:
        """The stream's verdict so far. Raises ValueError before the first frame."""
        kept = tuple(self._predictions)
        if not kept:
            raise ValueError("no frame was judged")
        ranking = self._ranking(self._sum / (self._past + len(kept)))
        best, score = ranking[0], float(self._sum.max())
        sure = best.confidence >= self._min_confidence
        return Verdict(best.game, score, best.confidence, kept, ranking, sure, self._past, self._past_unknown)

    def doubt(self, frames: int) -> float:
        """How likely it is, 0 to 1, that the verdict of `frames` frames will not be this one."""
        return doubt(self.verdict(), frames, self._min_confidence)

    def _ranking(self, shares: np.ndarray) -> tuple[Ranked, ...]:
        """The games with the largest shares, best first; of equal ones the first in the classes' order."""
        order = np.argsort(-shares, kind="stable")[: self._top]
        return tuple(Ranked(self._classes[i], float(shares[i])) for i in order)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities of logits, along the last axis, in float64; safe for any finite values."""
    return np.exp(log_softmax(logits))
