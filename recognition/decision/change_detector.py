"""Change detection: a sliding-window CUSUM test with hysteresis. NumPy only.

Each frame distributes one vote among the games by their probabilities; an unknown frame votes for "unknown" instead.
A candidate becomes the new answer when it leads all others by a margin, summed over the newest k frames, for any k up
to the window's length. Taking the best k is Page's CUSUM test (Biometrika 41, 1954) with a limited memory. Frames
before the last change are dropped.

With a margin of 2.1, two frames of another game (a menu, a wrong prediction) never change the answer. A third one does
if the model is confident; otherwise a later one does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from data.entities import Game

WINDOW_FRAMES = 12
CHANGE_MARGIN = 2.1  # three confident frames, which arrive within ten seconds at one frame in two seconds
UNKNOWN_MARGIN = 9.1  # ten unknown frames, about 20 s: menus, breaks and one frame in twenty of any game are unknown


class DetectorState(NamedTuple):
    """The state of a detector: index of the answer, the number of classes for "unknown"; votes (n, classes + 1)."""

    answer: int | None
    confidence: float
    votes: np.ndarray


class ChangeDetector:
    """Detects when a stream switches to another game. At first it has no answer, which differs from "unknown".

    confidence: the mean vote per frame for the answer when it was decided, 0 to 1; 0 before the first answer.
    """

    def __init__(self, classes: Sequence[Game], window_frames: int = WINDOW_FRAMES) -> None:
        """Start without an answer. Raises ValueError for a window that is shorter than the margins.

        classes: the games in the order of the probabilities.
        window_frames: how many of the newest frames vote.
        """
        if window_frames <= UNKNOWN_MARGIN:
            raise ValueError(
                f"a window of {window_frames} frames is shorter than the margin of {UNKNOWN_MARGIN} frames"
            )
        self._classes = tuple(classes)
        self._votes: deque[np.ndarray] = deque(maxlen=window_frames)  # each (classes + 1,): "unknown" comes last
        self._margins = np.append(np.full(len(self._classes), CHANGE_MARGIN), UNKNOWN_MARGIN)  # (classes + 1,)
        self._answer: int | None = None
        self.confidence = 0.0

    @property
    def game(self) -> Game | None:
        """Return the game of the answer; None if it is "unknown", and before the first answer."""
        if self._answer is None or self._answer == len(self._classes):
            return None
        return self._classes[self._answer]

    @property
    def state(self) -> DetectorState:
        """Return what another detector for the same classes needs to go on."""
        votes = np.asarray([*self._votes], np.float32).reshape(-1, len(self._margins))
        return DetectorState(self._answer, self.confidence, votes)

    def restore(self, state: DetectorState) -> None:
        """Go on where another detector was."""
        self._answer, self.confidence = state.answer, state.confidence
        self._votes.clear()
        self._votes.extend(state.votes.astype(float))

    def add_frame(self, probabilities: np.ndarray, known: bool) -> bool:
        """Add the next frame and return whether it changes the answer: `vote`, then `decide`."""
        self.vote(probabilities, known)
        return self.decide()

    def vote(self, probabilities: np.ndarray, known: bool) -> None:
        """Add the next frame; `decide` takes it into account.

        probabilities: float (classes,), sum 1. Raises ValueError for another shape.
        known: whether the frame shows one of the games at all.
        """
        if probabilities.shape != (len(self._classes),):
            raise ValueError(f"probabilities have the shape {probabilities.shape}; expected ({len(self._classes)},)")
        self._votes.append(np.append(probabilities * known, float(not known)))

    def decide(self) -> bool:
        """Return whether the frames, at least one, change the answer."""
        sums = np.cumsum(np.stack(self._votes)[::-1], axis=0)  # (k, classes + 1): row i sums the newest i + 1 frames
        winners = sums.argmax(axis=1)  # (k,)
        ranked = np.sort(sums, axis=1)
        decided = (ranked[:, -1] - ranked[:, -2] >= self._margins[winners]) & (winners != self._answer)
        if not decided.any():
            return False
        row = int(decided.argmax())  # the fewest frames that suffice
        self._answer = int(winners[row])
        self.confidence = float(ranked[row, -1] / (row + 1))
        while len(self._votes) > row + 1:  # frames of the old answer must not vote for a return to it
            self._votes.popleft()
        return True
