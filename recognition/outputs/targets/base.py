"""Target: the interface of everything that receives alerts, and the alert itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from data.entities import Game

START, CHANGE, UNKNOWN, MISMATCH, MATCH, END, FAILURE = KINDS = (
    "start",  # the first answer of a source
    "change",  # another game
    "unknown",  # no known game any more
    "mismatch",  # the category and the picture name different games; besides a change
    "match",  # the mismatch is over
    "end",  # the stream ended
    "failure",  # the source gave no answer
)


@dataclass(frozen=True, slots=True)
class Alert:
    """What happened to one source, as a target delivers it.

    id: uuid4 in hexadecimal digits, the same at each attempt: a receiver that has seen the id ignores the alert.
    kind: one of KINDS.
    source: the normalised source, a login for a channel of Twitch.
    at: time of the event, with its time zone.
    before: the game before; None if there was none or it was unknown.
    game: the game that the picture shows; None if it is unknown.
    known: whether `game` is a game.
    confidence: probability of the answer, 0 to 1.
    category: the category that the streamer has set; None if it was not requested or is not known.
    mismatch: whether `category` and `game` differ; None if one of them is None.
    mismatch_reported: whether a `mismatch` of the source was reported, with this alert or before, and is not over.
    message: what failed; empty for the other kinds.
    event: the event as docs/events.schema.json specifies it.
    jpeg: the frame that decided; empty if there is none.
    """

    id: str
    kind: str
    source: str
    at: datetime
    before: Game | None = None
    game: Game | None = None
    known: bool = False
    confidence: float = 0.0
    category: Game | None = None
    mismatch: bool | None = None
    mismatch_reported: bool = False
    message: str = ""
    event: Mapping[str, Any] = field(default_factory=dict)
    jpeg: bytes = field(default=b"", repr=False)


class DeliveryError(Exception):
    """A target did not accept an alert; the caller delivers it again later.

    reason: what happened, for a log; it holds no secret.
    retryable: whether the same attempt may succeed soon; False: the receiver must be repaired first.
    retry_after_s: seconds that the receiver asks to wait; None: it did not say.
    """

    def __init__(self, reason: str, retryable: bool, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason, self.retryable, self.retry_after_s = reason, retryable, retry_after_s


class Target(Protocol):
    """A receiver of alerts. One thread at a time calls `deliver`.

    name: scheme and host, for logs: the rest of a target's URL is secret.
    key: stable id of the target, made from its URL by SHA-256.
    """

    name: str
    key: str

    def deliver(self, alert: Alert) -> None:
        """Deliver the alert; return when the receiver has accepted it. Raises DeliveryError."""

    def close(self) -> None:
        """Free all resources. Any thread may call this, also during `deliver`, which then ends soon."""
