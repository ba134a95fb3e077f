"""Stream answers: what recognition would answer for labelled streams, and how far each answer can be trusted.

Accuracy asks how many streams of a game are recognised. Who reads answers asks for the precision: how many of the
streams that are called a game show it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data.entities import Game, StoredFrame
from model.evaluation.metrics import rows_by_stream
from model.inference.calibration import Calibration, ScoredLogits, is_sure, stream_confidence
from model.inference.probabilities import softmax

STREAM_FRAMES = 15  # frames of a stream that are judged together at most, about as many as recognition takes
ANSWERS = ("right", "other_game", "no_game", "unknown")  # the keys in metrics.json, which has "sure" as well


@dataclass(frozen=True, slots=True)
class StreamAnswers:
    """The answers for n streams."""

    labels: np.ndarray  # int64 (n,)
    predicted: np.ndarray  # the closest game, int64 (n,)
    known: np.ndarray  # whether recognition names it, bool (n,)
    sure: np.ndarray  # whether it is known and the answer is sure, as `is_sure` says, bool (n,)
    is_screen: np.ndarray  # whether the screen head sees no gameplay in the stream as a whole, bool (n,)

    @property
    def false_no_game(self) -> float:
        """Fraction of the streams that are called no game."""
        return float((self.is_screen & ~self._right).mean())

    @property
    def _right(self) -> np.ndarray:
        return self.known & (self.predicted == self.labels)

    def of_game(self, label: int) -> dict[str, object]:
        """Return the keys of a game in metrics.json.

        Only a sure answer counts as called, and as another game: one that is less sure contradicts no streamer.
        """
        own, right = self.labels == label, self._right
        sure = self.sure & ~self.is_screen
        called, wrong = sure & (self.predicted == label), sure & ~right
        masks = (right, wrong, self.is_screen & ~right, ~right & ~wrong & ~self.is_screen)
        counts = {name: int((own & mask).sum()) for name, mask in zip(ANSWERS, masks, strict=True)}
        return {
            "precision_by_stream": float((called & own).sum() / called.sum()) if called.any() else None,
            "called_streams": int(called.sum()),
            "streams_by_answer": {**counts, "sure": int((called & own).sum())},
        }


def answer_streams(
    scored: ScoredLogits, frames: Sequence[StoredFrame], classes: Sequence[Game], calibration: Calibration
) -> StreamAnswers:
    """Answer each stream of the n `frames` by the predictions of at most 15 frames of it, n at least 1."""
    label_of = {game.id: label for label, game in enumerate(classes)}
    rows = [((game_id, login), scored.take(own)) for (game_id, login), own in sampled_streams(frames).items()]
    known = np.array([calibration.knows_stream(own) for _, own in rows])
    return StreamAnswers(
        np.array([label_of[game_id] for (game_id, _login), _ in rows]),
        np.array([softmax(own.logits).sum(axis=0).argmax() for _, own in rows]),
        known,
        known & [is_sure(stream_confidence(own.logits), 1 - own.known.mean()) for _, own in rows],
        np.array([own.screens is not None and own.screens.mean(axis=0).max() > 0 for _, own in rows]),
    )


def sampled_streams(frames: Sequence[StoredFrame]) -> dict[tuple[int, str], list[int]]:
    """Return rows of each stream, as `rows_by_stream`, but at most 15 of each, from all of its parts."""
    # With more frames, a mean probability scatters less than in recognition.
    streams = rows_by_stream(frames).items()
    return {stream: rows[:: math.ceil(len(rows) / STREAM_FRAMES)] for stream, rows in streams}
