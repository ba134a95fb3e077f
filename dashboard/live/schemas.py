"""Schemas of the wall's operations."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from dashboard.live.service import MAX_CHANNELS

_GAME = {"id": "743", "name": "Chess"}
_TILE = {
    "id": "5f0c2a91d3",
    "source": "some_login",
    "url": "https://www.twitch.tv/some_login",
    "state": "live",
    "reason": "",
    "message": "",
    "game": _GAME,
    "known": True,
    "confidence": 0.97,
    "since": "2026-11-26T13:05:12.040Z",
    "category": {"id": "509658", "name": "Just Chatting"},
    "mismatch": True,
    "frames": 412,
    "lag_s": 3.1,
    "picture": "/api/v1/watch/5f0c2a91d3/picture?n=412",
    "history": [[1795266312.0, 0.96, "743"], [1795266317.1, 0.97, "743"]],
}
_ENTRY = {
    "id": 17,
    "tile_id": "5f0c2a91d3",
    "event": {
        "schema": 1,
        "event": "change",
        "source": "some_login",
        "time": "2026-11-26T13:05:12.040Z",
        "number": 380,
        "known": True,
        "game": {"id": 743, "name": "Chess"},
        "before": None,
        "confidence": 0.97,
        "category": {"id": 509658, "name": "Just Chatting"},
        "mismatch": True,
    },
}
Source = Annotated[str, StringConstraints(min_length=1, max_length=2000)]


def _example(value: dict[str, Any]) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [value]})


class TileGame(BaseModel):
    """A game; its id is text, since JavaScript has no integers of that size."""

    id: str
    name: str


class StreamTile(BaseModel):
    """A watched channel."""

    model_config = _example(_TILE)

    id: str
    source: str
    url: str = Field(description='Address of its page; "" if it has none.')
    state: Literal["opening", "live", "offline", "failing", "ended"]
    reason: str = Field(description='Why there are no frames, such as "offline" or "unavailable"; "" if there are.')
    message: str
    game: TileGame | None
    known: bool
    confidence: float | None = Field(description="Of the newest frame that shows `game`, 0 to 1.")
    since: str | None = Field(description="Since when it has this game and state: ISO 8601, UTC.")
    category: TileGame | None = Field(description="What the streamer declares; null if that is not known.")
    mismatch: bool | None
    frames: int
    lag_s: float | None = Field(description="Age of the newest frame when it was classified, seconds.")
    picture: str | None = Field(description="Address of the newest frame.")
    history: list[tuple[float, float, str | None]] = Field(
        description="Up to 120 frames, one per 5 s: epoch seconds, confidence, id of the game or null if unknown."
    )


class Wall(BaseModel):
    """All channels. `last_event_id`: the events after it are not contained."""

    model_config = _example({"streams": [_TILE], "last_event_id": "9b3f02aa-1841"})

    streams: list[StreamTile]
    last_event_id: str


class Sources(BaseModel):
    """Channels to watch."""

    model_config = _example({"sources": ["some_login", "https://www.twitch.tv/other_login"]})

    sources: Annotated[list[Source], Field(min_length=1, max_length=MAX_CHANNELS)]


class Refused(BaseModel):
    """A source that is not watched, and why."""

    source: str
    message: str


class AddedSources(BaseModel):
    """What came of each source."""

    model_config = _example({"added": [_TILE], "refused": [{"source": "x y", "message": "Only a Twitch login …"}]})

    added: list[StreamTile]
    refused: list[Refused]


class LogEntry(BaseModel):
    """A change, verdict or failure; `event` is one of docs/events.schema.json."""

    model_config = _example(_ENTRY)

    id: int
    tile_id: str
    event: dict[str, Any]


class ChangeLog(BaseModel):
    """The latest entries, newest first."""

    model_config = _example({"entries": [_ENTRY]})

    entries: list[LogEntry]
