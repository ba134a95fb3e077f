"""Best frame: the one frame to show for a stream's answer, found in constant memory while the frames arrive."""

from __future__ import annotations

from data.entities import Game
from recognition.decision.verdict import Prediction


class BestFrame:
    """Keeps the most confident frame of the leading game; before it has one, the frame that it had."""

    def __init__(self) -> None:
        self.jpeg = b""
        self._game: Game | None = None  # whose frame it is
        self._confidence = 0.0

    def add(self, jpeg: bytes, prediction: Prediction, leader: Game) -> None:
        """Add the next frame. `leader`: the game that leads after it."""
        is_better = self._game != leader or prediction.confidence > self._confidence
        if not self.jpeg or (prediction.game == leader and is_better):
            self.jpeg, self._game, self._confidence = jpeg, prediction.game, prediction.confidence
