"""Events: immutable records of what happens during recognition; every output consumes them.

Each event has `source`, the normalised source, and `at`, a time with its time zone. `as_json` converts an event to the
JSON that docs/events.schema.json specifies for other programs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from data.entities import Game
from data.errors import StreamError
from data.text import valid_unicode
from recognition.decision.verdict import Prediction, Verdict

SCHEMA = 1  # version of the JSON; increase it when a reader of the old version would misread the new one
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class FrameClassified:
    """A frame was classified.

    number: counts from 1 within the source.
    prediction: the frame's own prediction.
    jpeg: the frame as JPEG, img_size x img_size pixels.
    lag_s: age of the frame's segment in seconds; None if unknown.
    missed_segments: segments of a watched stream that were missed since the previous frame.
    """

    source: str
    at: datetime
    number: int
    prediction: Prediction
    jpeg: bytes = field(default=b"", repr=False)
    lag_s: float | None = None
    missed_segments: int = 0


@dataclass(frozen=True, slots=True)
class VerdictReached:
    """A source has its verdict.

    verdict: the answer for the whole stream.
    category: the category that the streamer has set; None if it was not requested or is not known.
    stopped_early: whether the verdict was certain before all requested frames had come.
    from_preview: whether only the channel's preview image was classified.
    jpeg: the frame that speaks most for the verdict's game, as JPEG, img_size x img_size pixels; not in the JSON.
    """

    source: str
    at: datetime
    verdict: Verdict
    category: Game | None = None
    stopped_early: bool = False
    from_preview: bool = False
    jpeg: bytes = field(default=b"", repr=False)

    @property
    def mismatch(self) -> bool | None:
        """Return whether the streamer and the verdict name different games; None if one of them names none."""
        return _is_mismatch(self.category, self.verdict.game if self.verdict.known else None)


@dataclass(frozen=True, slots=True)
class GameChanged:
    """A watched source shows another game, or its first one.

    before: the previous game; None if there was no answer yet, or it was "unknown".
    after: the new game; None if it is "unknown".
    known: whether `after` is a game.
    number: number of the frame that decided the change.
    confidence: mean probability of the new answer, 0 to 1.
    category: the category that the streamer has set; None if it was not requested or is not known.
    jpeg: the frame that decided, as JPEG, img_size x img_size pixels; not in the JSON.
    """

    source: str
    at: datetime
    before: Game | None
    after: Game | None
    known: bool
    number: int
    confidence: float
    category: Game | None = None
    jpeg: bytes = field(default=b"", repr=False)

    @property
    def mismatch(self) -> bool | None:
        """Return whether the streamer and the new answer name different games; None if one of them names none."""
        return _is_mismatch(self.category, self.after)


@dataclass(frozen=True, slots=True)
class SourceFailed:
    """A source gave no answer; `error` says why."""

    source: str
    at: datetime
    error: StreamError


Result = VerdictReached | SourceFailed
Event = FrameClassified | GameChanged | Result


def _is_mismatch(category: Game | None, game: Game | None) -> bool | None:
    return not game.is_same(category) if category and game else None


def now() -> datetime:
    """Return the current time, in UTC."""
    return datetime.now(timezone.utc)


def as_json(event: Event) -> dict[str, Any]:
    """Return the event as the JSON object that docs/events.schema.json specifies.

    Its texts are valid Unicode: the bytes of a file's name that are not UTF-8 become U+FFFD.
    """
    return _valid_unicode(_as_json(event))


def _valid_unicode(value: Any) -> Any:
    """Return a JSON value whose texts UTF-8 can encode."""
    if isinstance(value, str):
        return valid_unicode(value)
    if isinstance(value, dict):
        return {key: _valid_unicode(item) for key, item in value.items()}
    return [_valid_unicode(item) for item in value] if isinstance(value, list) else value


def _as_json(event: Event) -> dict[str, Any]:
    if isinstance(event, FrameClassified):
        lag_s = None if event.lag_s is None else round(event.lag_s, 3)
        frame = {"number": event.number, "lag_s": lag_s, "lost": event.missed_segments}
        return _head("frame", event) | frame | _answer(event.prediction)
    if isinstance(event, VerdictReached):
        verdict = event.verdict
        return _head("verdict", event) | {
            **_answer(verdict),
            "score": round(max(0.0, verdict.score if verdict.known else verdict.unknown_score), _DIGITS),
            "frames": verdict.frames,
            "unknown_frames": verdict.unknown_frames,
            "screen": verdict.screen or None,
            "early": event.stopped_early,
            "preview": event.from_preview,
            "category": _game(event.category),
            "mismatch": event.mismatch,
        }
    if isinstance(event, GameChanged):
        return _head("change", event) | {
            "number": event.number,
            "known": event.known,
            "game": _game(event.after),
            "before": _game(event.before),
            "confidence": _rounded_probability(event.confidence),
            "category": _game(event.category),
            "mismatch": event.mismatch,
        }
    error = event.error
    return _head("failure", event) | {"reason": error.reason, "message": str(error), "exit_code": error.exit_code}


def _head(name: str, event: Event) -> dict[str, Any]:
    """Return the keys that all events have. `time` is RFC 3339 with milliseconds, in UTC."""
    time = event.at.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"schema": SCHEMA, "event": name, "source": event.source, "time": time}


def _answer(answer: Prediction | Verdict) -> dict[str, Any]:
    """Return the keys that frames and verdicts share. `game` is null if it is only the closest game."""
    return {
        "known": answer.known,
        "game": _game(answer.game if answer.known else None),
        "closest": _game(answer.game),
        "confidence": _rounded_probability(answer.confidence),
        "top": [
            {"id": ranked.game.id, "name": ranked.game.name, "confidence": _rounded_probability(ranked.confidence)}
            for ranked in answer.ranking
        ],
    }


def _game(game: Game | None) -> dict[str, Any] | None:
    return {"id": game.id, "name": game.name} if game else None


def _rounded_probability(value: float) -> float:
    # A sum of many float probabilities may exceed 1 in its last digit. JSON has no NaN, which a broken model gives.
    return round(min(max(0.0, value), 1.0), _DIGITS)
