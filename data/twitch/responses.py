"""Answers of the API, checked where they enter: behind this module there are values of ours alone."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from data.entities import Game, Stream
from data.errors import DirectoryUnavailable


@dataclass(frozen=True)
class HelixResponse:
    """Status and body of an answer, checked where they enter."""

    status: int
    body: bytes

    @property
    def message(self) -> str:
        """Twitch's own words for an error, for people alone: never branch on them."""
        try:
            return str(self.json_object().get("message", ""))[:200]
        except DirectoryUnavailable:
            return "no reason given"

    def json_object(self) -> dict[str, Any]:
        """The body as a JSON object; anything else (an HTML page, a cut-off answer) is DirectoryUnavailable."""
        try:
            value = json.loads(self.body)
        except ValueError as error:
            raise DirectoryUnavailable("Twitch's answer is not JSON") from error
        if not isinstance(value, dict):
            raise DirectoryUnavailable("Twitch's answer is not an object")
        return value


def parse_items(response: dict[str, Any]) -> list[dict[str, Any]]:
    """The list under `data`: a page's items. Raises DirectoryUnavailable where there is none."""
    items = response.get("data")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise DirectoryUnavailable("Twitch's answer holds no list of data")
    return items


def parse_game(item: dict[str, Any]) -> Game:
    """A category, its id as a number. Raises DirectoryUnavailable for anything else."""
    try:
        return Game(int(item["id"]), str(item["name"]))
    except (KeyError, ValueError, TypeError) as error:
        raise DirectoryUnavailable(f"Twitch sent a game that is none: {error!r}") from error


def parse_stream(item: dict[str, Any]) -> Stream:
    """A live stream, its login in lower case. Raises DirectoryUnavailable for anything else."""
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
        raise DirectoryUnavailable(f"Twitch sent a stream that is none: {error!r}") from error


def parse_cursor(response: dict[str, Any]) -> str:
    """Where the next page starts; "" on the last one, whose `pagination` is {}."""
    pagination = response.get("pagination")
    return str(pagination.get("cursor") or "") if isinstance(pagination, dict) else ""
