"""Helix, the Twitch API: popular games, their live streams, and the names of games.

https://dev.twitch.tv/docs/api/reference · rate limits: https://dev.twitch.tv/docs/api/guide#twitch-rate-limits
"""

from __future__ import annotations

import logging
import math
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import requests

from data.entities import Game, Stream, is_login
from data.errors import CategoryNotFound, DirectoryUnauthorized, DirectoryUnavailable, SettingsError
from data.http.session import read_body
from data.twitch.responses import HelixResponse, parse_cursor, parse_game, parse_items, parse_stream

HELIX_URL = "https://api.twitch.tv/helix/"
TOKEN_URL = "https://id.twitch.tv/oauth2/token"

_PAGE = 100  # items a page: Helix's maximum, and its maximum of ids in one call
_MAX_RESPONSE_BYTES = 8 << 20  # a page of 100 streams is about 100 kB
_MAX_RATE_LIMIT_S = 60.0  # after which all points are back, whatever a header says
_EMPTY_PAGES = 2  # Helix may send one empty page in the middle (twitchdev/issues 543)

log = logging.getLogger(__name__)


class Helix:
    """A client of the API. It owns no session: the caller closes the one it passes.

    Every method raises DirectoryUnavailable (ask again later) or DirectoryUnauthorized (fix the credentials).
    """

    def __init__(
        self,
        session: requests.Session,
        client_id: str,
        *,
        access_token: str = "",
        client_secret: str = "",
        retry_budget_s: float = 120.0,
        deadline_s: float = 30.0,
        languages: Iterable[str] = (),
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Take the credentials; nothing is asked yet.

        `budget_s`: what one request may spend on retries and waiting. `deadline_s`: for one answer.
        `languages`: of the streams to list, ISO 639-1 codes or `other`, a hundred at most; none for all.
        `sleep`: how to wait; a download passes its stop event's `wait`, so that Enter ends it.
        Raises SettingsError when the credentials are incomplete.
        """
        if not client_id:
            raise SettingsError("CLIENT_ID: is empty; make an application at https://dev.twitch.tv/console/apps")
        if not (access_token or client_secret):
            raise SettingsError("ACCESS_TOKEN: is empty, and so is CLIENT_SECRET; one of them is needed")
        self._session = session
        self._client_id = client_id
        self._token = access_token
        self._secret = client_secret
        self._retry_budget_s = retry_budget_s
        self._deadline_s = deadline_s
        self._languages = list(languages)
        self._sleep = sleep
        self._rate_limited_until = 0.0  # epoch seconds: the bucket is empty until then

    def top_games(self, non_games: Iterable[int] = ()) -> Iterator[Game]:
        """Games by viewers, most first; `non_games` and what has no IGDB id (Just Chatting, Music …) are left out."""
        left_out = frozenset(non_games)
        for item in self._paginate("games/top", {}, key="id"):
            game = parse_game(item)
            if item.get("igdb_id") and game.id not in left_out:
                yield game

    def games_by_id(self, ids: Iterable[int]) -> dict[int, Game]:
        """The games of these ids, a hundred in one call. Ids that Helix does not know are absent."""
        wanted = sorted(set(ids))
        found: dict[int, Game] = {}
        for start in range(0, len(wanted), _PAGE):
            response = self._request_with_retry("games", {"id": wanted[start : start + _PAGE]})
            found.update({game.id: game for game in map(parse_game, parse_items(response))})
        return found

    def game_by_name(self, name: str) -> Game:
        """The category of this name, written as Twitch writes it. Raises CategoryNotFound."""
        games = [parse_game(item) for item in parse_items(self._request_with_retry("games", {"name": name}))]
        if not games:
            raise CategoryNotFound(f"Twitch has no category {name!r}; the name must be written as Twitch writes it")
        return games[0]

    def list_streams(self, game_id: int, max_streams: int = _PAGE) -> list[Stream]:
        """Live streams of a game, most viewers first, `at_most` of them. Some may be over already: the list lags."""
        return list(islice(self.iter_streams(game_id), max_streams))

    def iter_streams(self, game_id: int | None = None) -> Iterator[Stream]:
        """The same of any number, or of all games; a page is asked for when it is needed."""
        game = {} if game_id is None else {"game_id": game_id}
        for item in self._paginate("streams", {**game, "type": "live", "language": self._languages}, key="user_id"):
            stream = parse_stream(item)
            if is_login(stream.login):
                yield stream

    def live_streams(self, logins: Iterable[str]) -> dict[str, Stream]:
        """The streams of these logins that are live, a hundred in one call. Others are absent; the list lags."""
        wanted = sorted(filter(is_login, set(logins)))
        found: dict[str, Stream] = {}
        for start in range(0, len(wanted), _PAGE):
            found.update({stream.login: stream for stream in self._live_bisecting(wanted[start : start + _PAGE])})
        return found

    def _live_bisecting(self, logins: Sequence[str]) -> list[Stream]:
        """A login that Twitch takes for malformed spoils a call for others (twitchdev/issues 700): it is searched."""
        try:
            return [parse_stream(item) for item in self._paginate("streams", {"user_login": logins}, key="user_id")]
        except _BadRequest:
            if len(logins) == 1:
                return []
        half = len(logins) // 2
        return [*self._live_bisecting(logins[:half]), *self._live_bisecting(logins[half:])]

    def _paginate(self, path: str, params: dict[str, Any], key: str) -> Iterator[dict[str, Any]]:
        """Items of all pages, each once.

        A short page is no end. It ends when the cursor is missing or repeats, after two empty pages,
        on a page that brings nothing new, or on `invalid cursor` (twitchdev/issues 2, 91, 93, 240, 543).
        """
        seen: set[str] = set()
        cursors: set[str] = set()
        empty, cursor = 0, ""
        while empty < _EMPTY_PAGES:
            try:
                response = self._request_with_retry(path, {**params, "first": _PAGE, **({"after": cursor} if cursor else {})})
            except _BadRequest:
                if not cursor:
                    raise
                return
            items = parse_items(response)
            fresh = {str(item.get(key)): item for item in items if str(item.get(key)) not in seen}
            seen.update(fresh)
            yield from fresh.values()
            empty = 0 if items else empty + 1
            cursor = parse_cursor(response)
            if not cursor or cursor in cursors or (items and not fresh):
                return
            cursors.add(cursor)

    def _request_with_retry(self, path: str, params: dict[str, Any]) -> dict[str, Any]:
        """One answer, whatever it takes within the budget: rate limits waited for, failures tried again."""
        end = time.monotonic() + self._retry_budget_s
        renewed, tries = False, 0
        while True:
            self._wait(self._rate_limited_until - time.time(), end)
            try:
                response = self._send("GET", HELIX_URL + path, params=params, headers=self._headers())
                if response.status == 200:
                    return response.json_object()
                if response.status >= 500:
                    raise DirectoryUnavailable(f"Twitch answers {response.status}")
            except DirectoryUnavailable as error:
                tries = self._back_off(tries, end, error)
                continue
            if response.status == 401 and self._secret and not renewed:
                self._token, renewed = "", True  # revoked before its time: one new token, then give up
            elif response.status in (401, 403):
                raise DirectoryUnauthorized(f"Twitch refuses CLIENT_ID with this access token: {response.message}; renew them")
            elif response.status != 429:  # after a 429 the wait at the top of the loop does what is needed
                raise _BadRequest(f"Twitch refuses {path}: {response.status} {response.message}")

    def _headers(self) -> dict[str, str]:
        if not self._token:
            self._token = self._new_token()
        return {"Authorization": f"Bearer {self._token}", "Client-Id": self._client_id}

    def _new_token(self) -> str:
        """An app access token by client credentials; it has no refresh token, one asks again."""
        form = {"client_id": self._client_id, "client_secret": self._secret, "grant_type": "client_credentials"}
        response = self._send("POST", TOKEN_URL, data=form)
        if response.status in (400, 401, 403):
            raise DirectoryUnauthorized(f"Twitch refuses CLIENT_ID and CLIENT_SECRET: {response.message}")
        if response.status != 200:
            raise DirectoryUnavailable(f"Twitch gives no token: {response.status}")
        token = response.json_object().get("access_token")
        if not isinstance(token, str) or not token:
            raise DirectoryUnavailable("Twitch's answer holds no token")
        return token

    def _send(self, method: str, url: str, **kwargs: Any) -> HelixResponse:
        """One request, its whole body within the deadline, and what its headers say of the rate limit."""
        try:
            raw = self._session.request(method, url, stream=True, **kwargs)
            body = read_body(raw, self._deadline_s, _MAX_RESPONSE_BYTES)
        except requests.RequestException as error:
            raise DirectoryUnavailable(f"Twitch cannot be reached: {type(error).__name__}") from error
        response = HelixResponse(raw.status_code, body)
        if raw.headers.get("Ratelimit-Remaining") == "0" or response.status == 429:
            self._rate_limited_until = _rate_limit_reset(raw.headers.get("Ratelimit-Reset"))
        return response

    def _back_off(self, tries: int, end: float, error: DirectoryUnavailable) -> int:
        """Wait 0.5, 1, 2 … s, with jitter, before the next try; raises `error` when the budget would not last."""
        pause = 0.5 * 2**tries * random.uniform(1, 1.5)
        if time.monotonic() + pause > end:
            raise error
        log.info("%s; again in %.1f s", error, pause)
        self._sleep(pause)
        return tries + 1

    def _wait(self, pause: float, end: float) -> None:
        if pause <= 0:
            return
        if time.monotonic() + pause > end:
            raise DirectoryUnavailable(f"Twitch's rate limit is used up for another {pause:.0f} s")
        log.info("rate limit used up; again in %.1f s", pause)
        self._sleep(pause)


class _BadRequest(DirectoryUnavailable):
    """A 4xx that is about the request itself; the same one would fail again."""


def _rate_limit_reset(header: str | None) -> float:
    """When to send again, epoch seconds: the header may be absent, unreadable, in the past or absurdly far away."""
    now = time.time()
    try:
        reset = float(header or 0)
    except ValueError:
        reset = 0.0
    if not math.isfinite(reset):
        reset = 0.0
    return min(max(reset, now + 1), now + _MAX_RATE_LIMIT_S) + random.uniform(0, 0.5)
