"""Tile: what the events of one watched channel say of it.

opening    no frame yet
live       frames come
offline    not live now; asked again every minute
failing    its servers fail, which may pass, or there is no such source
ended      a recording is over
"""

from __future__ import annotations

import secrets
from collections import deque
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, ClassVar

from data.entities import Game
from data.errors import StreamOffline
from data.text import printable_line, valid_unicode
from data.twitch.addresses import twitch_url
from recognition.events import Event, FrameClassified, GameChanged, VerdictReached

if TYPE_CHECKING:
    from recognition.engine.watched_stream import WatchedStream

_MAX_POINTS = 120
_POINT_S = 5.0  # from one point of the history to the next: they reach ten minutes back
_DIGITS = 4


class Tile:
    """One channel of the wall. The caller holds a lock."""

    # Attributes that clients get as they are. What they get besides stands in `_values`.
    _PLAIN: ClassVar[tuple[str, ...]] = ("id", "source", "url", "state", "reason", "message", "known", "frames")

    def __init__(self, source: str) -> None:
        """Begin with a channel that gave no event. `source`: as its events name it."""
        self.id, self.source, self.url = secrets.token_hex(5), source, page_of(source)
        self.stream: WatchedStream | None = None  # None: it is not watched yet
        self.state, self.reason, self.message = "opening", "", ""
        self.game: Game | None = None
        self.category: Game | None = None
        self.known = False
        self.confidence: float | None = None  # of the newest frame that shows `game`
        self.lag_s: float | None = None
        self.frames, self.jpeg = 0, b""
        self.since: datetime | None = None
        self.history: deque[list[Any]] = deque(maxlen=_MAX_POINTS)
        self.sent_at = 0.0  # when `delta` was called, monotonic seconds
        self._point: list[Any] | None = None  # the newest one, unless it was sent
        self._sent: dict[str, Any] = {}

    def whole(self) -> dict[str, Any]:
        """Return all that clients get."""
        return {**self._values(), "history": list(self.history)}

    def delta(self, now: float) -> dict[str, Any]:
        """Return the id, what changed since the call before, and the new point of the history."""
        values, point, self.sent_at = self._values(), self._point, now
        changed = {key: value for key, value in values.items() if self._sent.get(key, self) != value}
        self._sent, self._point = values, None
        return {"id": self.id, **changed, **({"point": point} if point else {})}

    def first(self) -> dict[str, Any]:
        """Return the whole tile, as the first message of a new channel."""
        self._sent, self._point = self._values(), None
        return self.whole()

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
            self.game, self.known, self.confidence = None, False, None

    def _on_frame(self, event: FrameClassified) -> None:
        self._set_state("live", event.at)
        self.frames, self.jpeg = event.number, event.jpeg
        self.lag_s = None if event.lag_s is None else round(event.lag_s, 1)
        prediction = event.prediction
        game = prediction.game if prediction.known else None
        if game == self.game:
            self.confidence = prediction.confidence
        time = event.at.timestamp()
        while self.history and self.history[-1][0] > time + _POINT_S:  # the clock has gone back
            self.history.pop()
        if not self.history or time - self.history[-1][0] >= _POINT_S:
            self._point = [round(time, 1), _probability(prediction.confidence), str(game.id) if game else None]
            self.history.append(self._point)

    def _on_verdict(self, event: VerdictReached) -> None:
        verdict, is_recording = event.verdict, self.stream is not None and self.stream.finished
        self._set_state("ended" if is_recording else "offline", event.at)
        self._show(verdict.game if verdict.known else None, verdict.confidence, event.at)
        if not is_recording:
            self.fail("The stream has ended", StreamOffline.reason, event.at, "offline")

    def _show(self, game: Game | None, confidence: float, at: datetime) -> None:
        self.game, self.known, self.confidence, self.since = game, game is not None, confidence, at

    def _set_state(self, state: str, at: datetime) -> None:
        if state != self.state:
            self.state, self.since = state, at
        self.reason = self.message = ""

    def _values(self) -> dict[str, Any]:
        differs = not self.game.is_same(self.category) if self.game and self.category else None
        return {name: getattr(self, name) for name in self._PLAIN} | {
            "game": _as_json(self.game),
            "confidence": None if self.confidence is None else _probability(self.confidence),
            "since": _time(self.since),
            "category": _as_json(self.category),
            "mismatch": differs,
            "lag_s": self.lag_s,
            "picture": f"/api/v1/watch/{self.id}/picture?n={self.frames}" if self.jpeg else None,
        }


def page_of(source: str) -> str:
    """Return the address of a canonical source's page: on Twitch, or its own https address; "" if it has none."""
    return twitch_url(source) or (source if source.startswith("https://") else "")


def _as_json(game: Game | None) -> dict[str, str] | None:
    return {"id": str(game.id), "name": valid_unicode(game.name)} if game else None


def _probability(value: float) -> float:
    return round(min(max(0.0, value), 1.0), _DIGITS)  # a broken model gives NaN, which becomes 0


def _time(at: datetime | None) -> str | None:
    return at.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z") if at else None
