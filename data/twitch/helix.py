"""Helix client: popular games, their live streams, and categories by name or id.

https://dev.twitch.tv/docs/api/reference · rate limits: https://dev.twitch.tv/docs/api/guide#twitch-rate-limits
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

import requests

from data.backoff import Backoff
from data.entities import Game, Stream, is_login
from data.errors import CategoryNotFound, DirectoryError, DirectoryUnauthorized, DirectoryUnavailable, SettingsError
from data.http.session import read_body
from data.text import valid_unicode
from data.twitch import responses
from data.twitch.paging import paginate

HELIX_URL = "https://api.twitch.tv/helix/"
TOKEN_URL = "https://id.twitch.tv/oauth2/token"

_PAGE = 100  # items: the maximum of a page, and of ids or logins in one request
_MAX_RESPONSE_BYTES = 8 << 20  # a page of 100 streams has about 100 kB
_MAX_REFUSALS = 5  # of one kind of request, in a row

T = TypeVar("T")
Parse = Callable[[Any], T | None]  # of an item; None: it is not wanted. Raises InvalidItem.

log = logging.getLogger(__name__)


class Helix:
    """A client of the Twitch API: the directory of games and live streams.

    Args:
        session: sends the requests; the caller closes it.
        client_id: of the application, https://dev.twitch.tv/console/apps.
        access_token: app access token; "": request one with the client secret.
        client_secret: of the application; "": the access token cannot be renewed.
        retry_budget_s: seconds that one request may wait for retries and rate limits in total.
        deadline_s: seconds for one response.
        languages: of the streams to list, up to 100 ISO 639-1 codes or `other`; none: all languages.
        sleep: waits a number of seconds; a true result, as of a stop event's `wait`, ends the retries.

    Raises:
        SettingsError: the credentials are incomplete; from the constructor.
        DirectoryUnavailable: Twitch is down, slow or rate-limited; from every method. Try again later.
        DirectoryUnauthorized: the credentials, or the requests again and again, are refused; from every method.

    Example:
        with new_session(timeout_s=10) as session:
            helix = Helix(session, "my_client_id", client_secret="my_secret")
            game = helix.game_by_name("Minetest")
            logins = [stream.login for stream in helix.streams_by_game(game.id, max_streams=20)]
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
        if not client_id:
            raise SettingsError("CLIENT_ID is empty; register an application at https://dev.twitch.tv/console/apps")
        if not (access_token or client_secret):
            raise SettingsError("ACCESS_TOKEN and CLIENT_SECRET are empty; set one of them")
        self._session = session
        self._client_id, self._token, self._secret = client_id, access_token, client_secret
        self._retry_budget_s, self._deadline_s = retry_budget_s, deadline_s
        self._languages = list(languages)
        self._sleep = sleep
        self._rate_limited_until = 0.0  # monotonic seconds: the clock may be set
        self._refusals: Counter[str] = Counter()  # by path, since its last success
        self.invalid_items = 0  # games and streams that were malformed, and skipped

    def top_games(self, non_games: Iterable[int] = ()) -> Iterator[Game]:
        """Yield games by their number of viewers, descending.

        Categories in `non_games`, or without an IGDB id (Just Chatting, Music …), are not games.
        """
        excluded = frozenset(non_games)
        games = self._paginate("games/top", {}, "id", responses.parse_listed_game)
        try:
            yield from (game for game in games if game.id not in excluded)
        except _BadRequest as error:
            self._count_refusal("games/top", error)
            raise

    def games_by_id(self, ids: Iterable[int]) -> dict[int, Game]:
        """Return the games with these ids, by id. Unknown ids are absent."""
        wanted = sorted(set(ids))
        pages = (wanted[start : start + _PAGE] for start in range(0, len(wanted), _PAGE))
        found = (responses.parse_items(self._request_with_retry("games", {"id": page})) for page in pages)
        return {game.id: game for items in found for _, game in self._parse(items, responses.parse_game) if game}

    def game_by_name(self, name: str) -> Game:
        """Return the category with this name, spelled as Twitch spells it. Raises CategoryNotFound."""
        items = responses.parse_items(self._request_with_retry("games", {"name": valid_unicode(name)}))
        if not items:
            raise CategoryNotFound(f"Twitch has no category {name!r}; spell the name as Twitch does")
        return next(game for _, game in self._parse(items, responses.parse_game) if game)

    def streams_by_game(self, game_id: int, max_streams: int = _PAGE) -> list[Stream]:
        """Return up to `max_streams` live streams of a game, by viewers, descending. Some may have ended already."""
        try:
            return list(islice(self.iter_streams(game_id), max_streams))
        except _BadRequest as error:
            self._count_refusal("streams", error)
            log.warning("%s; taking no streams of game %d", error, game_id)  # those of other games may be listed
            return []

    def iter_streams(self, game_id: int | None = None) -> Iterator[Stream]:
        """Yield the live streams of a game, or of all games (None), by viewers, descending.

        Pages are requested on demand. Some streams may have ended already.
        """
        params = {"game_id": game_id, "type": "live", "language": self._languages}  # requests leaves out a None
        return self._paginate("streams", params, "user_login", responses.parse_stream)

    def streams_by_login(self, logins: Iterable[str]) -> dict[str, Stream]:
        """Return the live streams of these logins, by login. Logins that are not live, or invalid, are absent."""
        wanted = sorted(filter(is_login, set(logins)))
        pages = (wanted[start : start + _PAGE] for start in range(0, len(wanted), _PAGE))
        return {stream.login: stream for page in pages for stream in self._live_bisecting(page)}

    def _live_bisecting(self, logins: Sequence[str]) -> list[Stream]:
        """Return the live streams of up to 100 logins."""
        # One malformed login fails the whole request (twitchdev/issues 700), so bisect to isolate it.
        try:
            return list(self._paginate("streams", {"user_login": logins}, "user_login", responses.parse_stream))
        except _BadRequest:
            if len(logins) == 1:
                return []
        half = len(logins) // 2
        return [*self._live_bisecting(logins[:half]), *self._live_bisecting(logins[half:])]

    def _paginate(self, path: str, params: dict[str, Any], key: str, parse: Parse[T]) -> Iterator[T]:
        def request(cursor: str) -> dict[str, Any]:
            try:  # requests leaves out a parameter that is None
                return self._request_with_retry(path, {**params, "first": _PAGE, "after": cursor or None})
            except _BadRequest:
                if not cursor:
                    raise
                return {"data": []}  # an invalid cursor ends the paging

        return paginate(request, key, lambda items: self._parse(items, parse))

    def _parse(self, items: Iterable[Any], parse: Parse[T]) -> list[tuple[dict[str, Any], T | None]]:
        """Return the valid items, each with its value; count the others.

        Raises DirectoryUnavailable if there are games, but no valid one: then the API has changed.
        """
        valid, error = [], None
        for item in items:
            try:
                valid.append((item, parse(item)))
            except responses.InvalidItem as invalid:  # the first one is reported
                error, level = invalid, logging.DEBUG if self.invalid_items else logging.WARNING
                log.log(level, "an item of Twitch is skipped: %s", error)
                self.invalid_items += 1
        if error and not valid and parse is not responses.parse_stream:
            raise DirectoryUnavailable(f"Twitch sent invalid games: {error}")
        return valid

    def _count_refusal(self, path: str, error: DirectoryError) -> None:
        """Raise DirectoryUnauthorized after many rejections in a row: no later request will succeed."""
        self._refusals[path] += 1
        if self._refusals[path] >= _MAX_REFUSALS:
            raise DirectoryUnauthorized(f"{error}, {_MAX_REFUSALS} times in a row; check LANGUAGES") from error

    def _request_with_retry(self, path: str, params: dict[str, Any]) -> dict[str, Any]:
        """Return the response to a GET; wait for rate limits and retry failures, within the budget."""
        backoff, renewed = Backoff(self._retry_budget_s, jitter=0.5), False
        while True:
            self._wait_for_rate_limit(backoff)
            try:
                self._token = self._token or self._new_token()
                headers = {"Authorization": f"Bearer {self._token}", "Client-Id": self._client_id}
                response = self._send("GET", HELIX_URL + path, params=params, headers=headers)
                if response.status == 200:
                    self._refusals.pop(path, None)
                    return response.json_object()
                if response.status >= 500 or response.status < 400:
                    raise DirectoryUnavailable(f"Twitch returned HTTP {response.status}")
            except DirectoryUnavailable as error:
                self._pause(backoff.next_pause_s(), error, warn=backoff.attempts == 4)  # after 3.5 s
                continue
            if response.status == 401 and self._secret and not renewed:
                self._token, renewed = "", True  # revoked before its expiry: renew it once
            elif response.status in (401, 403):
                what = f"the credentials (HTTP {response.status}: {response.message})"
                raise DirectoryUnauthorized(f"Twitch rejected {what}; check CLIENT_ID and the token")
            elif response.status != 429:  # after a 429 the loop waits for the rate limit
                raise _BadRequest(f"Twitch rejected {path} (HTTP {response.status}: {response.message})")

    def _wait_for_rate_limit(self, backoff: Backoff) -> None:
        pause_s = self._rate_limited_until - time.monotonic()
        if pause_s > 0:
            error = DirectoryUnavailable(f"Twitch's rate limit is exhausted; it resets in {pause_s:.0f} s")
            self._pause(pause_s if backoff.allows(pause_s) else None, error)

    def _pause(self, pause_s: float | None, error: DirectoryUnavailable, warn: bool = False) -> None:
        """Wait; raise `error` if the budget does not allow it (None), or if the wait is stopped."""
        if pause_s is None:
            raise error
        log.log(logging.WARNING if warn else logging.INFO, "%s; retrying in %.1f s", error, pause_s)
        if self._sleep(pause_s):
            raise error

    def _new_token(self) -> str:
        """Request an app access token (client credentials flow, which has no refresh tokens)."""
        form = {"client_id": self._client_id, "client_secret": self._secret, "grant_type": "client_credentials"}
        response = self._send("POST", TOKEN_URL, data=form, allow_redirects=False)  # a redirect would get the secret
        if response.status in (400, 401, 403):
            reason = f"HTTP {response.status}: {response.message}"
            raise DirectoryUnauthorized(f"Twitch rejected CLIENT_ID and CLIENT_SECRET ({reason}); check them")
        if response.status != 200:
            raise DirectoryUnavailable(f"Twitch returned HTTP {response.status} instead of a token")
        return responses.parse_token(response.json_object())

    def _send(self, method: str, url: str, **kwargs: Any) -> responses.HelixResponse:
        """Send one request, read its whole body within the deadline, and note the rate limit in its headers."""
        try:
            response = self._session.request(method, url, stream=True, **kwargs)
            body = read_body(response, self._deadline_s, _MAX_RESPONSE_BYTES)
        except requests.RequestException as error:
            raise DirectoryUnavailable(f"Twitch cannot be reached: {type(error).__name__}") from error
        if response.headers.get("Ratelimit-Remaining") == "0" or response.status_code == 429:
            pause_s = responses.parse_rate_limit_pause_s(response.headers.get("Ratelimit-Reset"))
            self._rate_limited_until = time.monotonic() + pause_s
        return responses.HelixResponse(response.status_code, body)


class _BadRequest(DirectoryUnavailable):
    """Twitch rejected this request, with a 4xx other than 401, 403 and 429; the client does not retry it.

    It counts as unavailable, so that a download waits and goes on with other requests, but not for ever.
    """
