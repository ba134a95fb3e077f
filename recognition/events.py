"""What happens while streams are recognised: values that every output consumes. Standard library only.

`as_json` puts them as docs/events.schema.json has it, which is what other programs read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from data.entities import Game
    from data.errors import StreamError
    from recognition.decision.verdict import Prediction, Ranked, Verdict

SCHEMA = 1  # of the JSON; what a reader of this version would misread is another version
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class FrameClassified:
    """A frame was judged. `at`: when, with its time zone. `number` counts from 1 within the source.

    `jpeg`: the frame, img_size x img_size pixels, for those who show or keep it. `lag_s`: how long ago its segment was
    made, seconds, None where that is not known; `lost`: how many segments before it came and went unseen, of a stream
    that is watched.
    """

    source: str
    at: datetime
    number: int
    prediction: Prediction
    jpeg: bytes = field(default=b"", repr=False)
    lag_s: float | None = None
    lost: int = 0


@dataclass(frozen=True, slots=True)
class VerdictReached:
    """A source has its verdict. `category`: what its streamer says it shows; None: not asked for, or not known.

    `early`: whether the verdict was certain before all the frames that were asked for had come. `preview`: whether it
    is of the channel's preview picture alone.
    """

    source: str
    at: datetime
    verdict: Verdict
    category: Game | None = None
    early: bool = False
    preview: bool = False

    @property
    def mismatch(self) -> bool | None:
        """Whether streamer and recogniser name different games; None where one of them names none."""
        return _mismatch(self.category, self.verdict.game if self.verdict.known else None)


@dataclass(frozen=True, slots=True)
class GameChanged:
    """A source shows something else. `before`: None at the beginning, and where the picture was unknown until now.

    `after`: None where the picture is unknown, and then alone `known` is false. `number`: of the frame that settled it.
    `confidence`: of what it shows now, 0 to 1. `category`: what its streamer says, as in Answered.
    """

    source: str
    at: datetime
    before: Game | None
    after: Game | None
    known: bool
    number: int
    confidence: float
    category: Game | None = None

    @property
    def mismatch(self) -> bool | None:
        """As in Answered, of what it shows now."""
        return _mismatch(self.category, self.after)


@dataclass(frozen=True, slots=True)
class SourceFailed:
    """A source gave no answer."""

    source: str
    at: datetime
    error: StreamError


Event = FrameClassified | VerdictReached | GameChanged | SourceFailed


class Output(Protocol):
    """Where events go: a terminal, a file, a server."""

    def tell(self, event: Event) -> None:
        """Take it in, at once; whoever tells is not kept waiting."""

    def close(self) -> None:
        """Everything told is out; safe to call twice."""


def _mismatch(category: Game | None, game: Game | None) -> bool | None:
    """By Twitch's ids: a game's name may have changed, or be spelled in another way."""
    return category.id != game.id if category and game else None


def now() -> datetime:
    """The time of an event that happens now."""
    return datetime.now(timezone.utc)


def as_json(event: Event) -> dict[str, Any]:
    """The event as docs/events.schema.json describes it."""
    if isinstance(event, FrameClassified):
        return _head("frame", event) | _frame(event) | _answer(event.prediction)
    if isinstance(event, VerdictReached):
        return _head("verdict", event) | _verdict(event)
    if isinstance(event, GameChanged):
        return _head("change", event) | {
            "number": event.number,
            "known": event.known,
            "game": _game(event.after),
            "before": _game(event.before),
            "confidence": _share(event.confidence),
            **_category(event),
        }
    return _head("failure", event) | {
        "reason": event.error.reason,
        "message": str(event.error),
        "exit_code": event.error.exit_code,
    }


def _head(kind: str, event: Event) -> dict[str, Any]:
    time = event.at.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return {"schema": SCHEMA, "event": kind, "source": event.source, "time": time}


def _answer(said: Prediction | Verdict) -> dict[str, Any]:
    """What a frame and a verdict have in common. `game` is null where it would only be the closest."""
    return {
        "known": said.known,
        "game": _game(said.game if said.known else None),
        "closest": _game(said.game),
        "confidence": _share(said.confidence),
        "top": _ranking(said.ranking),
    }


def _frame(event: FrameClassified) -> dict[str, Any]:
    lag_s = None if event.lag_s is None else round(event.lag_s, 3)
    return {"number": event.number, "lag_s": lag_s, "lost": event.lost}


def _verdict(event: VerdictReached) -> dict[str, Any]:
    verdict = event.verdict
    return _answer(verdict) | {
        "score": round(verdict.score if verdict.known else verdict.unknown_score, _DIGITS),
        "frames": verdict.frames,
        "unknown_frames": verdict.unknown,
        "early": event.early,
        "preview": event.preview,
        **_category(event),
    }


def _category(event: VerdictReached | GameChanged) -> dict[str, Any]:
    return {"category": _game(event.category), "mismatch": event.mismatch}


def _game(game: Game | None) -> dict[str, Any] | None:
    return {"id": game.id, "name": game.name} if game else None


def _ranking(ranking: Sequence[Ranked]) -> list[dict[str, Any]]:
    return [{"id": one.game.id, "name": one.game.name, "confidence": _share(one.confidence)} for one in ranking]


def _share(value: float) -> float:
    """A probability; sums of many may exceed 1 in the last digit."""
    return round(min(value, 1.0), _DIGITS)
