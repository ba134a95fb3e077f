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

from data.entities import Game, Stream, is_login
from data.errors import CategoryNotFound, DirectoryError, DirectoryUnauthorized, DirectoryUnavailable
from data.text import valid_unicode
from data.twitch import responses
from data.twitch.helix_requests import BadRequest, HelixRequests
from data.twitch.paging import paginate

_PAGE = 100  # items: the maximum of a page, and of ids or logins in one request
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
        self._requests = HelixRequests(
            session,
            client_id,
            access_token=access_token,
            client_secret=client_secret,
            retry_budget_s=retry_budget_s,
            deadline_s=deadline_s,
            sleep=sleep,
        )
        self._languages = list(languages)
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
        except BadRequest as error:
            self._count_refusal("games/top", error)
            raise

    def games_by_id(self, ids: Iterable[int]) -> dict[int, Game]:
        """Return the games with these ids, by id. Unknown ids are absent."""
        wanted = sorted(set(ids))
        pages = (wanted[start : start + _PAGE] for start in range(0, len(wanted), _PAGE))
        found = (responses.parse_items(self._get("games", {"id": page})) for page in pages)
        return {game.id: game for items in found for _, game in self._parse(items, responses.parse_game) if game}

    def game_by_name(self, name: str) -> Game:
        """Return the category with this name, spelled as Twitch spells it. Raises CategoryNotFound."""
        items = responses.parse_items(self._get("games", {"name": valid_unicode(name)}))
        if not items:
            raise CategoryNotFound(f"Twitch has no category {name!r}; spell the name as Twitch does")
        return next(game for _, game in self._parse(items, responses.parse_game) if game)

    def games_by_name(self, names: Iterable[str]) -> dict[str, Game]:
        """Return the categories with these names, by the name as given. Letter case is no matter; others are absent."""
        wanted = sorted(set(names))
        found: dict[str, Game] = {}
        for start in range(0, len(wanted), _PAGE):
            page = [valid_unicode(name) for name in wanted[start : start + _PAGE]]
            items = responses.parse_items(self._get("games", {"name": page}))
            found |= {game.name.casefold(): game for _, game in self._parse(items, responses.parse_game) if game}
        return {name: found[name.casefold()] for name in wanted if name.casefold() in found}

    def search_categories(self, query: str, max_games: int = 20) -> list[Game]:
        """Return up to `max_games` categories whose names match the query, best first, games or not."""
        page = self._get("search/categories", {"query": valid_unicode(query), "first": max_games})
        return [game for _, game in self._parse(responses.parse_items(page), responses.parse_game) if game]

    def streams_by_game(self, game_id: int, max_streams: int = _PAGE) -> list[Stream]:
        """Return up to `max_streams` live streams of a game, by viewers, descending. Some may have ended already."""
        try:
            return list(islice(self.iter_streams(game_id), max_streams))
        except BadRequest as error:
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
        except BadRequest:
            if len(logins) == 1:
                return []
        half = len(logins) // 2
        return [*self._live_bisecting(logins[:half]), *self._live_bisecting(logins[half:])]

    def _paginate(self, path: str, params: dict[str, Any], key: str, parse: Parse[T]) -> Iterator[T]:
        def request(cursor: str) -> dict[str, Any]:
            try:  # requests leaves out a parameter that is None
                return self._get(path, {**params, "first": _PAGE, "after": cursor or None})
            except BadRequest:
                if not cursor:
                    raise
                return {"data": []}  # an invalid cursor ends the paging

        return paginate(request, key, lambda items: self._parse(items, parse))

    def _get(self, path: str, params: dict[str, Any]) -> dict[str, Any]:
        response = self._requests.get(path, params)
        self._refusals.pop(path, None)
        return response

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
