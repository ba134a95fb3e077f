"""Tile: the state of one watched channel, with its newest frame and its history, as JSON for clients."""

from __future__ import annotations

import secrets
from collections import deque
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, ClassVar

from data.entities import Game
from data.text import valid_unicode
from data.twitch.addresses import twitch_url
from recognition.events import FrameClassified
from recognition.outputs.channel_state import ChannelState

if TYPE_CHECKING:
    from recognition.engine.watched_stream import WatchedStream

_MAX_POINTS = 120
_POINT_S = 5.0  # from one point of the history to the next: they reach ten minutes back
_DIGITS = 4


class Tile(ChannelState):
    """One channel of the wall. The caller holds a lock."""

    # Attributes that clients get as they are. What they get besides stands in `_values`.
    _PLAIN: ClassVar[tuple[str, ...]] = ("id", "source", "url", "state", "reason", "message", "known", "frames")

    def __init__(self, source: str) -> None:
        """Begin with a channel that gave no event. `source`: as its events name it."""
        super().__init__(source)
        self.id, self.url = secrets.token_hex(5), page_of(source)
        self.stream: WatchedStream | None = None  # None: it is not watched yet
        self.lag_s: float | None = None
        self.jpeg = b""
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

    @property
    def returns(self) -> bool:
        """Return whether the channel is watched further after its verdict: a recording is not."""
        return self.stream is None or not self.stream.finished

    def _on_frame(self, event: FrameClassified) -> None:
        super()._on_frame(event)
        self.jpeg = event.jpeg
        self.lag_s = None if event.lag_s is None else round(event.lag_s, 1)
        prediction, time = event.prediction, event.at.timestamp()
        while self.history and self.history[-1][0] > time + _POINT_S:  # the clock has gone back
            self.history.pop()
        if not self.history or time - self.history[-1][0] >= _POINT_S:
            game_id = str(prediction.game.id) if prediction.known else None
            self._point = [round(time, 1), _probability(prediction.confidence), game_id]
            self.history.append(self._point)

    def _values(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._PLAIN} | {
            "game": _as_json(self.game),
            "confidence": None if self.confidence is None else _probability(self.confidence),
            "since": _time(self.since),
            "category": _as_json(self.category),
            "mismatch": self.mismatch,
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
