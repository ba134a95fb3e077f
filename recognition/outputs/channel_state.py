"""Channel state: what the events of one watched channel say of it now.

opening    no frame yet
live       frames come
offline    not live now; asked again every minute
failing    its servers fail, which may pass, or there is no such source
ended      a recording or a stream is over, and is not watched further
"""

from __future__ import annotations

from datetime import datetime

from data.entities import Game
from data.errors import StreamOffline
from data.text import printable_line, valid_unicode
from recognition.events import Event, FrameClassified, GameChanged, VerdictReached


class ChannelState:
    """The state of one channel. Not thread-safe.

    game: the current answer; None if it is "unknown", and before the first one.
    answered: whether there is an answer.
    confidence: of the newest frame that shows `game`, 0 to 1.
    since: since when the channel has this game and state.
    reason, message: why there are no frames; "" if there are.
    """

    def __init__(self, source: str) -> None:
        """Begin with a channel that gave no event. `source`: as its events name it."""
        self.source = source
        self.state, self.reason, self.message = "opening", "", ""
        self.game: Game | None = None
        self.category: Game | None = None
        self.answered = False
        self.confidence: float | None = None
        self.since: datetime | None = None
        self.frames = 0

    @property
    def known(self) -> bool:
        """Return whether the answer is a game."""
        return self.game is not None

    @property
    def mismatch(self) -> bool | None:
        """Return whether the declared category is another game than the current one; None if one is missing."""
        return not self.game.is_same(self.category) if self.game and self.category else None

    @property
    def returns(self) -> bool:
        """Return whether the channel is watched further after its verdict."""
        return False

    def apply(self, event: Event, category: Game | None) -> None:
        """Take an event into account, and the category that the streamer declares now."""
        self.category = category
        if isinstance(event, FrameClassified):
            self._on_frame(event)
        elif isinstance(event, GameChanged):
            self._show(event.after, event.confidence, event.at)
        elif isinstance(event, VerdictReached):
            self._on_verdict(event)
        else:
            is_offline = isinstance(event.error, StreamOffline)
            self.fail(str(event.error), event.error.reason, event.at, "offline" if is_offline else "failing")

    def fail(self, message: str, reason: str, at: datetime, state: str = "failing") -> None:
        """Show that the channel gives no frames, and why."""
        self._set_state(state, at)
        self.reason, self.message = reason, valid_unicode(printable_line(message))
        if state == "offline":
            self.game, self.answered, self.confidence = None, False, None

    def _on_frame(self, event: FrameClassified) -> None:
        self._set_state("live", event.at)
        self.frames = event.number
        prediction = event.prediction
        if self.game == (prediction.game if prediction.known else None):
            self.confidence = prediction.confidence

    def _on_verdict(self, event: VerdictReached) -> None:
        verdict = event.verdict
        self._set_state("offline" if self.returns else "ended", event.at)
        self._show(verdict.game if verdict.known else None, verdict.confidence, event.at)
        if self.returns:
            self.fail("The stream has ended", StreamOffline.reason, event.at, "offline")

    def _show(self, game: Game | None, confidence: float, at: datetime) -> None:
        self.game, self.answered, self.confidence, self.since = game, True, confidence, at

    def _set_state(self, state: str, at: datetime) -> None:
        if state != self.state:
            self.state, self.since = state, at
        self.reason = self.message = ""
