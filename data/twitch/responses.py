"""Helix responses: validation where they enter; all other modules see only values of our own."""

from __future__ import annotations

import json
import math
import random
import time
from dataclasses import dataclass
from typing import Any

from data.entities import Game, Stream
from data.errors import DirectoryUnavailable

_MAX_RATE_LIMIT_S = 60.0  # the rate limit is restored completely after so long, whatever a header says


@dataclass(frozen=True)
class HelixResponse:
    """Status and body of a response."""

    status: int
    body: bytes

    @property
    def message(self) -> str:
        """Twitch's message for an error. It is for people: never branch on it."""
        try:
            return str(self.json_object().get("message", ""))[:200]
        except DirectoryUnavailable:
            return "no reason given"

    def json_object(self) -> dict[str, Any]:
        """Return the body as a JSON object. Raises DirectoryUnavailable for an HTML page or a truncated body."""
        try:
            value = json.loads(self.body)
        except ValueError as error:
            raise DirectoryUnavailable("Twitch's response is not JSON") from error
        if not isinstance(value, dict):
            raise DirectoryUnavailable("Twitch's response is not a JSON object")
        return value


def parse_items(response: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the items of a page, which are the list under `data`. Raises DirectoryUnavailable if it is missing."""
    items = response.get("data")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise DirectoryUnavailable("Twitch's response has no list `data`")
    return items


def parse_game(item: dict[str, Any]) -> Game:
    """Return a category, with its id as int. Raises DirectoryUnavailable if it is invalid."""
    try:
        return Game(int(item["id"]), str(item["name"]))
    except (KeyError, ValueError, TypeError) as error:
        raise DirectoryUnavailable(f"Twitch sent an invalid game: {error!r}") from error


def parse_stream(item: dict[str, Any]) -> Stream:
    """Return a live stream, with its login in lower case. Raises DirectoryUnavailable if it is invalid."""
    try:
        return Stream(
            login=str(item["user_login"]).lower(),
            game_id=int(item["game_id"] or 0),  # "" where no category is set
            title=str(item["title"]),
            language=str(item["language"]),
            viewers=int(item["viewer_count"]),
            game_name=str(item.get("game_name", "")),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise DirectoryUnavailable(f"Twitch sent an invalid stream: {error!r}") from error


def parse_cursor(response: dict[str, Any]) -> str:
    """Return the cursor of the next page; "" on the last page, whose `pagination` is {}."""
    pagination = response.get("pagination")
    return str(pagination.get("cursor") or "") if isinstance(pagination, dict) else ""


def parse_rate_limit_reset(header: str | None) -> float:
    """Return when to send again, epoch seconds, for a Ratelimit-Reset header, which may be absent, invalid or past."""
    earliest = time.time() + 1
    try:
        reset = float(header or 0)
    except ValueError:
        reset = 0.0
    reset = max(reset, earliest) if math.isfinite(reset) else earliest
    # Jitter keeps clients that wait for the same reset apart.
    return min(reset, earliest - 1 + _MAX_RATE_LIMIT_S) + random.uniform(0, 0.5)
