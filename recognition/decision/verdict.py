"""Verdict: one prediction for each frame, one answer for the whole stream. NumPy only.

The game with the largest sum of softmax outputs over all frames wins, which is the original's rule. The stream is known
if the mean of these outputs reaches the threshold that was fitted for streams: frames that agree prove a game, although
each may be doubtful, and frames of an unknown game scatter. One frame at least has to be known. An older model has no
such threshold. There, a stream is unknown if more than half of its frames are. With `min_confidence`, a frame or a
stream of lower confidence is unknown as well.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from data.entities import Game
from model.inference.calibration import ScoredLogits
from model.inference.probabilities import softmax
from model.inference.screens import SCREEN_KINDS
from recognition.decision.early_stopping import probability_of_change

_MAX_PREDICTIONS = 100  # a stream is watched for hours: older predictions are only counted


@dataclass(frozen=True, slots=True)
class RankedGame:
    """A game in a ranking, with its probability, 0 to 1."""

    game: Game
    confidence: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """The prediction for one frame.

    game: the most probable game. Of an unknown frame it is only the closest game.
    confidence: its probability, 0 to 1.
    known: whether the frame resembles the training data and its confidence suffices.
    ranking: the most probable games, best first, as many as the caller of the accumulator chose.
    """

    game: Game
    confidence: float
    known: bool = True
    ranking: tuple[RankedGame, ...] = ()

    def to_line(self, number: int) -> str:
        """Return the line that is printed for the frame with this number."""
        text = f"{self.game.name} with a {100 * self.confidence:.2f}% confidence"
        return f"Frame {number}: {text}." if self.known else f"Frame {number}: Unknown (closest: {text})."


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer for one stream.

    game: the winner. Of an unknown stream it is only the closest game.
    score: the winner's probabilities, summed over all frames: 0 to `frames`.
    confidence: the score divided by the number of frames, 0 to 1.
    predictions: the newest 100 predictions, oldest first.
    ranking: the games with the largest sums, best first; `confidence` is the sum divided by the number of frames.
    is_confident: whether the confidence reaches the stream threshold and `min_confidence`.
    dropped, dropped_unknown: frames before `predictions`, and the unknown ones among them.
    by_majority: whether the stream is also unknown if most frames are: the rule of models without a stream threshold.
    screen: the kind of screen, one of SCREEN_KINDS, that the stream shows instead of gameplay by the mean margin of all
        frames; "" for gameplay, and if the model has no screen head.
    """

    game: Game
    score: float
    confidence: float
    predictions: tuple[Prediction, ...]
    ranking: tuple[RankedGame, ...] = ()
    is_confident: bool = True
    dropped: int = 0
    dropped_unknown: int = 0
    by_majority: bool = True
    screen: str = ""

    @property
    def frames(self) -> int:
        """Return the number of frames."""
        return self.dropped + len(self.predictions)

    @property
    def unknown_frames(self) -> int:
        """Return the number of unknown frames."""
        return self.dropped_unknown + sum(not prediction.known for prediction in self.predictions)

    @property
    def known(self) -> bool:
        """Return whether the confidence suffices and a frame, or with `by_majority` half of them, is known."""
        enough = self._mostly_known if self.by_majority else self.unknown_frames < self.frames
        return self.is_confident and enough

    @property
    def unknown_score(self) -> float:
        """Return the score of the answer "unknown": the number of unknown frames.

        If most frames are known but disagree, it is what the frames gave to all games but the winner.
        """
        return self.frames - self.score if self._mostly_known else float(self.unknown_frames)

    @property
    def _mostly_known(self) -> bool:
        return 2 * self.unknown_frames <= self.frames

    def to_line(self) -> str:
        """Return the last line that is printed for a stream."""
        if self.known:
            return f"{self.game.name} with a score of {self.score:.1f}"
        return f"Unknown with a score of {self.unknown_score:.1f} (closest: {self.game.name})"


class VerdictSums(NamedTuple):
    """Sums over the frames of a stream: the games' probabilities (classes,), the screens' margins (kinds,), counts."""

    games: np.ndarray
    screens: np.ndarray
    frames: int
    unknown_frames: int


class VerdictAccumulator:
    """Sums the softmax outputs of one stream's frames as they arrive. Not thread-safe."""

    def __init__(
        self,
        classes: Sequence[Game],
        top: int = 1,
        min_confidence: float = 0.0,
        stream_threshold: float | None = None,
    ) -> None:
        """Start without frames.

        classes: the games in the order of the logits, at least one.
        top: length of the rankings.
        min_confidence: frames and streams of a lower confidence are unknown, 0 to 1.
        stream_threshold: streams of a lower confidence are unknown, 0 to 1; None: if most of their frames are.
        """
        self._min_confidence = min_confidence
        self._min_stream_confidence = max(min_confidence, stream_threshold or 0.0)
        self._by_majority = stream_threshold is None
        self._classes = tuple(classes)
        self._top = top
        self._sum = np.zeros(len(self._classes))  # (classes,)
        self._screens = np.zeros(len(SCREEN_KINDS))  # sums of the margins, (kinds,)
        self._dropped = self._dropped_unknown = 0
        self._predictions: deque[Prediction] = deque()

    def add_frame(self, logits: np.ndarray, known: bool = True, screens: np.ndarray | None = None) -> Prediction:
        """Add a frame and return its prediction.

        logits: float (classes,), divided by the temperature.
        known: whether the frame is in distribution.
        screens: margins of SCREEN_KINDS over gameplay, float (kinds,); None: the model has no screen head.
        Raises ValueError for another shape.
        """
        if logits.shape != self._sum.shape:
            raise ValueError(f"logits have the shape {logits.shape}; expected ({len(self._classes)},)")
        probabilities = softmax(logits)  # (classes,)
        ranking = self._ranking(probabilities)
        best = ranking[0]
        prediction = Prediction(best.game, best.confidence, known and best.confidence >= self._min_confidence, ranking)
        self._sum += probabilities
        if screens is not None:
            self._screens += screens
        self._predictions.append(prediction)
        if len(self._predictions) > _MAX_PREDICTIONS:
            self._dropped_unknown += not self._predictions.popleft().known
            self._dropped += 1
        return prediction

    def add_scored(self, scored: ScoredLogits) -> Prediction:
        """Add the first frame of `scored`, as the classifier returns it; return its prediction."""
        screens = None if scored.screens is None else scored.screens[0]
        return self.add_frame(scored.logits[0], bool(scored.known[0]), screens)

    @property
    def is_empty(self) -> bool:
        """Return whether no frame was added."""
        return not self._dropped + len(self._predictions)

    @property
    def sums(self) -> VerdictSums:
        """Return what another accumulator for the same model needs to go on."""
        unknown = self._dropped_unknown + sum(not prediction.known for prediction in self._predictions)
        frames = self._dropped + len(self._predictions)
        return VerdictSums(self._sum.copy(), self._screens.copy(), frames, unknown)

    def restore(self, sums: VerdictSums) -> None:
        """Go on after the frames of another accumulator; their predictions are only counted."""
        self._sum, self._screens = sums.games.copy(), sums.screens.copy()
        self._dropped, self._dropped_unknown = sums.frames, sums.unknown_frames
        self._predictions.clear()

    @property
    def leader(self) -> Game:
        """Return the game with the largest sum so far."""
        return self._classes[int(self._sum.argmax())]

    def verdict(self) -> Verdict:
        """Return the verdict of the frames so far. Raises ValueError before the first frame."""
        predictions = tuple(self._predictions)
        if self.is_empty:
            raise ValueError("no frame was added")
        ranking = self._ranking(self._sum / (self._dropped + len(predictions)))
        best, score = ranking[0], float(self._sum.max())
        is_confident = best.confidence >= self._min_stream_confidence
        dropped = self._dropped, self._dropped_unknown
        screen = SCREEN_KINDS[int(self._screens.argmax())] if self._screens.max() > 0 else ""
        return Verdict(
            best.game, score, best.confidence, predictions, ranking, is_confident, *dropped, self._by_majority, screen
        )

    def probability_of_change(self, total: int) -> float:
        """Return the probability, 0 to 1, that the verdict of `total` frames differs from that of the frames so far."""
        verdict = self.verdict()
        if not self._by_majority and verdict.unknown_frames == verdict.frames:
            return 1.0  # the first known frame may change the verdict
        unknown_frames = verdict.unknown_frames if self._by_majority else None
        return probability_of_change(verdict.frames, verdict.score, unknown_frames, total, self._min_stream_confidence)

    def _ranking(self, probabilities: np.ndarray) -> tuple[RankedGame, ...]:
        """Return the `top` most probable games, best first; ties keep the order of the classes."""
        order = np.argsort(-probabilities, kind="stable")[: self._top]
        return tuple(RankedGame(self._classes[i], float(probabilities[i])) for i in order)
