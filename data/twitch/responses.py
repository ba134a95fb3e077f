"""Helix responses: validation where they enter; all other modules see only values of our own."""

from __future__ import annotations

import json
import math
import random
import re
import time
from dataclasses import dataclass
from typing import Any

from data.entities import Game, Stream, is_login
from data.errors import DirectoryUnavailable
from data.text import printable, printable_line

_NUMBER = re.compile(r"[0-9]{1,18}")  # always fits PostgreSQL's BIGINT
_MAX_CHARS = 2000  # of a text; Twitch's longest are titles, of 140
_MAX_RATE_LIMIT_S = 60.0  # the rate limit is restored completely after so long, whatever a header says


class InvalidItem(ValueError):
    """An item of a page that is no game or stream. The other items may be valid."""


@dataclass(frozen=True)
class HelixResponse:
    """Status and body of a response."""

    status: int
    body: bytes

    @property
    def message(self) -> str:
        """Twitch's message for an error. It is for people: never branch on it."""
        try:
            return printable(_text(self.json_object(), "message"))[:200]
        except (DirectoryUnavailable, InvalidItem):
            return "no reason given"

    def json_object(self) -> dict[str, Any]:
        """Return the body as a JSON object. Raises DirectoryUnavailable for an HTML page or a truncated body."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise DirectoryUnavailable("Twitch's response is not JSON") from error
        if not isinstance(value, dict):
            raise DirectoryUnavailable("Twitch's response is not a JSON object")
        return value


def parse_items(response: dict[str, Any]) -> list[Any]:
    """Return the items of a page, which are the list under `data`. Raises DirectoryUnavailable if it is missing."""
    items = response.get("data")
    if not isinstance(items, list):
        raise DirectoryUnavailable("Twitch's response has no list `data`")
    return items


def parse_game(item: Any) -> Game:
    """Return a category, with its id as int. Raises InvalidItem."""
    name = printable_line(_text(item, "name"))
    if not name:
        raise InvalidItem("a name is empty")
    return Game(_number(item, "id", 1), name)


def parse_listed_game(item: Any) -> Game | None:
    """Return a category; None if it has no IGDB id, as Just Chatting, Music and others. Raises InvalidItem."""
    game = parse_game(item)
    return game if item.get("igdb_id") else None


def parse_stream(item: Any) -> Stream:
    """Return a live stream, with its login in lower case. Raises InvalidItem."""
    login = _text(item, "user_login").lower()
    if not is_login(login):  # logins become names of files
        raise InvalidItem("a user_login is invalid")
    return Stream(
        login=login,
        game_id=_number(item, "game_id") if item.get("game_id") != "" else 0,  # "" where no category is set
        title=printable(_text(item, "title")),
        language=printable_line(_text(item, "language")),
        viewers=_number(item, "viewer_count"),
        game_name=printable_line(_text(item, "game_name")) if "game_name" in item else "",
    )


def _text(item: Any, key: str) -> str:
    value = item.get(key) if isinstance(item, dict) else None
    if not isinstance(value, str) or len(value) > _MAX_CHARS:
        raise InvalidItem(f"a {key} is no text, or too long")
    return value


def _number(item: dict[str, Any], key: str, least: int = 0) -> int:
    """Return an integer, which Helix sends as text or as a number."""
    value = item.get(key)
    text = str(value) if type(value) is int else value
    if not isinstance(text, str) or not _NUMBER.fullmatch(text) or int(text) < least:
        raise InvalidItem(f"a {key} is no number, or out of range")
    return int(text)


def parse_cursor(response: dict[str, Any]) -> str:
    """Return the cursor of the next page; "" on the last page, whose `pagination` is {}, and for an invalid cursor."""
    pagination = response.get("pagination")
    cursor = pagination.get("cursor") if isinstance(pagination, dict) else None
    valid = isinstance(cursor, str) and cursor.isascii() and cursor.isprintable() and len(cursor) <= _MAX_CHARS
    return cursor if isinstance(cursor, str) and valid else ""


def parse_token(response: dict[str, Any]) -> str:
    """Return an access token. Raises DirectoryUnavailable for what no header can carry."""
    token = response.get("access_token")
    if not isinstance(token, str) or not re.fullmatch(r"[!-~]{1,2000}", token):
        raise DirectoryUnavailable("Twitch's response has no token")
    return token


def parse_rate_limit_pause_s(header: str | None) -> float:
    """Return the seconds to wait, 1 to 60, for a Ratelimit-Reset header, which may be absent, invalid or past."""
    try:
        pause_s = float(header or 0) - time.time()
    except ValueError:
        pause_s = 0.0
    pause_s = max(pause_s, 1.0) if math.isfinite(pause_s) else 1.0
    # Jitter keeps clients that wait for the same reset apart.
    return min(pause_s, _MAX_RATE_LIMIT_S) + random.uniform(0, 0.5)
