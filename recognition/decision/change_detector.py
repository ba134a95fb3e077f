"""What a stream shows now: its newest frames, and what they must say before the answer changes. NumPy only.

Each frame speaks for the games by their probabilities; one that is unknown speaks for unknown alone. What leads
everything else by a margin in sum, over the newest frame or the newest few, is the answer from then on. A frame has one
vote to give. With a margin of 2.1 two frames of something else, a glance at a menu or a mistake, never change the
answer; a third does where the model is sure, a later one where it is less so. Taking as many of the newest frames as
are best for what is new is Page's CUSUM test (Biometrika 41, 1954), with a memory of `FRAMES`, and none of what was
before the last change.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import numpy as np

from data.entities import Game

FRAMES = 12
MARGIN = 2.1  # frames; at one each two seconds the third comes within ten seconds of a new game's first picture
UNKNOWN_MARGIN = 9.1  # twenty seconds: menus and breaks are unknown as well, and one frame in twenty of any game is


class Window:
    """The answer for one stream as its frames come. It starts as unsettled, which is neither a game nor unknown."""

    def __init__(
        self,
        classes: Sequence[Game],
        *,
        frames: int = FRAMES,
        margin: float = MARGIN,
        unknown_margin: float = UNKNOWN_MARGIN,
    ) -> None:
        """`classes[i]` is the game of probability i. A margin is in frames; both are less than `frames`."""
        if not 0 < margin <= unknown_margin < frames:
            raise ValueError(f"margins of {margin} and {unknown_margin} in a window of {frames}")
        self._classes = tuple(classes)
        self._votes: deque[np.ndarray] = deque(maxlen=frames)  # (classes + 1,): the last is for unknown
        self._needed = np.append(np.full(len(self._classes), margin), unknown_margin)
        self._answer: int | None = None
        self.confidence = 0.0

    @property
    def settled(self) -> bool:
        """Whether there is an answer yet."""
        return self._answer is not None

    @property
    def game(self) -> Game | None:
        """The answer; None where it is unknown, and before there is one. `confidence`: what it had, a frame, 0 to 1."""
        known = self._answer is not None and self._answer < len(self._classes)
        return self._classes[self._answer] if known and self._answer is not None else None

    def hear(self, probabilities: np.ndarray, known: bool) -> bool:
        """Take in the next frame: its games' probabilities, shape (classes,); whether this changes the answer.

        Raises ValueError for another shape.
        """
        if probabilities.shape != (len(self._classes),):
            raise ValueError(f"{probabilities.shape} probabilities for {len(self._classes)} classes")
        self._votes.append(np.append(probabilities * known, float(not known)))
        sums = np.cumsum(np.stack(self._votes)[::-1], axis=0)  # row i: of the newest i + 1 frames
        winners = sums.argmax(axis=1)
        ranked = np.sort(sums, axis=1)
        decided = (ranked[:, -1] - ranked[:, -2] >= self._needed[winners]) & (winners != self._answer)
        if not decided.any():
            return False
        row = int(decided.argmax())
        self._answer = int(winners[row])
        self.confidence = float(ranked[row, -1] / (row + 1))
        while len(self._votes) > row + 1:  # what was before has lost: it does not vote again
            self._votes.popleft()
        return True
