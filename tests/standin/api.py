"""API hosts: id.twitch.tv and Helix, with the response formats of https://dev.twitch.tv/docs/api/reference."""

from __future__ import annotations

import base64
import secrets
import threading
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timezone
from difflib import get_close_matches
from typing import Any
from urllib.parse import parse_qs

from data.entities import is_login
from tests.standin.clock import Clock
from tests.standin.http import Request, Response, json_response
from tests.standin.preview import HOST as PREVIEW_HOST
from tests.standin.world import Channel, World

CLIENT_ID, CLIENT_SECRET = "standinclientid0123456789abcde", "standinclientsecret0123456789a"
POINTS = 800  # a minute, for each client
# Kinds of paging: three items a page whatever `first` says ("short" and the others); an empty page with a cursor after
# the first page; a cursor from the last page to the first; cursors that Helix rejects.
PAGING = frozenset({"", "short", "empty", "loop", "invalid"})
_SHORT = 3
_EMPTY = -100  # where the empty page starts


class Api:
    """Both hosts, the valid tokens and the remaining points. Thread safe."""

    def __init__(self, world: World, clock: Clock, paging: str = "") -> None:
        if paging not in PAGING:
            raise ValueError(f"unknown paging {paging!r}")
        self._world = world
        self._paging = paging
        self._clock = clock
        self._lock = threading.Lock()
        self._tokens: set[str] = set()
        self._points, self._points_at = float(POINTS), self._clock.now()
        self.minutes: Counter[int] = Counter()  # requests, by minutes since the epoch
        self.over_budget = 0  # requests answered 429
        self._started = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")

    def new_token(self) -> str:
        """Return a new token, valid until `revoke`."""
        token = secrets.token_hex(15)
        with self._lock:
            self._tokens.add(token)
        return token

    def revoke(self) -> None:
        """Revoke every token, as Twitch may at any time."""
        with self._lock:
            self._tokens.clear()

    def token(self, request: Request) -> Response | None:
        """Respond to POST /oauth2/token; None for another path. Errors of this host have no `error` key."""
        if request.path != "/oauth2/token":
            return None
        form = {name: values[-1] for name, values in parse_qs(request.body.decode()).items()}
        if form.get("grant_type") != "client_credentials":
            return json_response({"status": 400, "message": "invalid grant type"}, 400)
        if form.get("client_id") != CLIENT_ID:
            return json_response({"status": 400, "message": "invalid client"}, 400)
        if form.get("client_secret") != CLIENT_SECRET:
            return json_response({"status": 403, "message": "invalid client secret"}, 403)
        return json_response({"access_token": self.new_token(), "expires_in": 5011271, "token_type": "bearer"})

    def helix(self, request: Request) -> Response | None:
        """Respond to a GET from api.twitch.tv; None for an unknown endpoint."""
        with self._lock:
            self.minutes[int(self._clock.now() // 60)] += 1
        endpoints = {
            "/helix/games/top": self._top_games,
            "/helix/games": self._games,
            "/helix/search/categories": self._search,
            "/helix/streams": self._streams,
            "/helix/users": self._users,
        }
        endpoint = endpoints.get(request.path)
        if endpoint is None:
            return None
        if error := self._credentials_error(request):
            return error
        allowed, headers = self._take_point()
        if not allowed:
            return json_response({"error": "Too Many Requests", "status": 429, "message": "slow down"}, 429, headers)
        response = endpoint(request)
        return Response(response.status, response.body, response.content_type, {**headers, **response.headers})

    def _credentials_error(self, request: Request) -> Response | None:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        with self._lock:
            known = scheme == "Bearer" and token in self._tokens
        if not known:
            return _error(401, "Invalid OAuth token")
        if request.headers.get("client-id") != CLIENT_ID:
            return _error(401, "Client ID and OAuth token do not match")
        return None

    def _take_point(self) -> tuple[bool, dict[str, str]]:
        """Take a point from the bucket, which refills evenly in a minute; return whether there was one, and headers."""
        with self._lock:
            now = self._clock.now()
            self._points = min(POINTS, self._points + (now - self._points_at) * POINTS / 60)
            self._points_at = now
            allowed = self._points >= 1
            self._points -= allowed
            self.over_budget += not allowed
            full = now + (POINTS - self._points) * 60 / POINTS
            headers = {"Limit": POINTS, "Remaining": int(self._points), "Reset": int(full) + 1}
        return allowed, {f"Ratelimit-{name}": str(value) for name, value in headers.items()}

    def _top_games(self, request: Request) -> Response:
        viewers: Counter[int] = Counter()
        for channel in self._world.channels:
            viewers[channel.game_id] += channel.viewers
        games = {channel.game_id: channel for channel in self._world.channels}
        return _page(request, [_game(games[game_id]) for game_id, _ in viewers.most_common()], self._paging)

    def _games(self, request: Request) -> Response:
        ids, names = request.query.get("id", []), request.query.get("name", [])
        if not 1 <= len(ids) + len(names) <= 100:
            return _error(400, 'The parameter "id" or "name" must be given 1 to 100 times')
        games = {c.game_id: c for c in self._world.channels if str(c.game_id) in ids or c.game in names}
        return json_response({"data": [_game(channel) for channel in games.values()]})

    def _search(self, request: Request) -> Response:
        """Search names by the beginnings of their words; close misspellings match, too."""
        query = request.param("query").casefold()
        if not query:
            return _error(400, 'The parameter "query" was malformed: the value must not be empty')
        games = {channel.game.casefold(): channel for channel in self._world.channels}
        close = get_close_matches(query, games, cutoff=0.75)
        found = [name for name in games if name in close or _matches(name, query)]
        keys = ("id", "name", "box_art_url")  # no igdb_id, unlike the other lists of games
        return _page(request, [{key: _game(games[name])[key] for key in keys} for name in found], self._paging)

    def _streams(self, request: Request) -> Response:
        logins, game_ids = request.query.get("user_login", []), request.query.get("game_id", [])
        languages = request.query.get("language", [])
        if not all(map(is_login, logins)) or not all(game_id.isdigit() for game_id in game_ids):
            return _error(400, "Malformed query params.")
        chosen = [
            channel
            for channel in self._world.channels
            if (not logins or channel.login in logins)
            and (not game_ids or str(channel.game_id) in game_ids)
            and (not languages or channel.language in languages)
        ]
        chosen.sort(key=lambda channel: -channel.viewers)
        return _page(request, [self._stream(channel) for channel in chosen], self._paging)

    def _stream(self, channel: Channel) -> dict[str, Any]:
        return {
            "id": channel.user_id[::-1],
            "user_id": channel.user_id,
            "user_login": channel.login,
            "user_name": channel.user_name,
            "game_id": str(channel.game_id),
            "game_name": channel.game,
            "type": "live",
            "title": channel.title,
            "tags": [],
            "viewer_count": channel.viewers,
            "started_at": self._started,
            "language": channel.language,
            "thumbnail_url": f"https://{PREVIEW_HOST}/previews-ttv/live_user_{channel.login}-{{width}}x{{height}}.jpg",
            "tag_ids": [],
            "is_mature": False,
        }

    def _users(self, request: Request) -> Response:
        logins = request.query.get("login", [])
        if not logins or not all(map(is_login, logins)):
            return _error(400, "Malformed query params.")
        return json_response({"data": [self._user(c) for c in self._world.channels if c.login in logins]})

    def _user(self, channel: Channel) -> dict[str, Any]:
        return {
            "id": channel.user_id,
            "login": channel.login,
            "display_name": channel.user_name,
            "type": "",
            "broadcaster_type": "partner",
            "description": "",
            "profile_image_url": f"https://static-cdn.jtvnw.net/jtv_user_pictures/{channel.login}.png",
            "offline_image_url": "",
            "view_count": 0,
            "created_at": "2016-12-14T20:32:28Z",
        }


def _game(channel: Channel) -> dict[str, Any]:
    box = f"https://static-cdn.jtvnw.net/ttv-boxart/{channel.game_id}-{{width}}x{{height}}.jpg"
    return {"id": str(channel.game_id), "name": channel.game, "box_art_url": box, "igdb_id": channel.igdb_id}


def _matches(name: str, query: str) -> bool:
    words = name.split()
    asked = query.split()
    return any(word.startswith(query) for word in [name, *words]) or all(
        any(word.startswith(part) for word in words) for part in asked
    )


def _page(request: Request, items: Sequence[dict[str, Any]], paging: str) -> Response:
    """Return a page of `first` items after the cursor. The next page repeats its last item, as live lists do."""
    first = request.param("first", "20")
    if not first.isdigit() or not 1 <= int(first) <= 100:
        return _error(400, 'The parameter "first" was malformed: the value must be between 1 and 100')
    size = min(int(first), _SHORT) if paging else int(first)
    try:
        start = int(base64.b64decode(request.param("after"), validate=True) or 0)
    except ValueError:
        start = -1
    if paging == "empty" and start == _EMPTY:
        return json_response({"data": [], "pagination": {"cursor": _cursor(size - 1)}})
    if start < 0 or (paging == "invalid" and request.param("after")):
        return _error(400, "invalid cursor")
    end = start + size
    following: int | None = max(start + 1, end - 1) if end < len(items) else None
    if paging == "empty" and not start:
        following = _EMPTY
    if paging == "loop" and following is None:
        following = 0
    pagination = {} if following is None else {"cursor": _cursor(following)}
    return json_response({"data": list(items[start:end]), "pagination": pagination})


def _cursor(start: int) -> str:
    """Return the cursor of the page that starts at this item."""
    return base64.b64encode(str(start).encode()).decode()


def _error(status: int, message: str) -> Response:
    names = {400: "Bad Request", 401: "Unauthorized", 404: "Not Found"}
    return json_response({"error": names[status], "status": status, "message": message}, status)
