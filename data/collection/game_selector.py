"""Game selection: which game a download fills next, and how many frames it needs.

    games = those that were asked for; otherwise all games of the dataset that Twitch knows, and popular ones while
        it has fewer than MAX_GAMES, without EXCLUDE_GAMES
    leave out removed games, games with UNTIL frames, and those that have a round or a cooldown
    take the game with the fewest frames

A game is removed if the user has deleted its folder: see `data.storage.frame_folder.FrameFolder.removed_games`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping
from itertools import islice

from data.collection.interfaces import FrameIndex, FrameWriter, StreamDirectory
from data.collection.state import CollectionStats, CollectorSettings
from data.entities import Game, is_own_id


class GameSelector:
    """Selects games. The arguments are those of the `Collector`; `should_stop` ends a search for popular games.

    After `next_game`, `is_complete` says whether every game has `until` frames.
    """

    def __init__(
        self,
        directory: StreamDirectory,
        store: FrameWriter,
        index: FrameIndex,
        settings: CollectorSettings,
        stats: CollectionStats,
    ) -> None:
        self._directory = directory
        self._store = store
        self._index = index
        self._settings = settings
        self._stats = stats
        self._until = math.inf if settings.until is None else settings.until
        self._next_search = 0.0  # monotonic seconds
        self._cooldown_until: dict[int, float] = {}  # by game id, monotonic seconds
        self.is_complete = False

    def next_game(self, busy: Collection[int], should_stop: Callable[[], bool]) -> tuple[Game, float] | None:
        """Return the game to fill next and the number of frames that it needs; None: there is no such game now.

        busy: ids of games that have a round. Raises DirectoryUnavailable, DirectoryUnauthorized.
        """
        removed = self._store.removed_games()
        frames = {game: count for game, count in self._index.game_frames().items() if game.id not in removed}
        if self._settings.games is None:
            self._add_games(frames, removed, should_stop)
        missing = {game: self._until - count for game, count in frames.items() if self._is_wanted(game)}
        if self._settings.until is not None:
            self._stats.missing = int(sum(max(0, count) for count in missing.values()))
            self.is_complete = bool(missing) and not self._stats.missing
        now = time.monotonic()
        resting = {game_id for game_id, until in self._cooldown_until.items() if until > now}.union(busy)
        free = [game for game, count in missing.items() if count > 0 and game.id not in resting]
        if not free:
            return None
        game = min(free, key=lambda game: (frames[game], game.id))
        return game, missing[game]

    def rest(self, game: Game, seconds: float) -> None:
        """Give the game a cooldown."""
        self._cooldown_until[game.id] = time.monotonic() + seconds

    def _is_wanted(self, game: Game) -> bool:
        if self._settings.games is not None:
            return game.id in self._settings.games
        # Nobody streams a game that Twitch does not know, and Helix refuses its id.
        return not (is_own_id(game.id) or self._settings.excluded_games & {str(game.id), game.name.casefold()})

    def _add_games(self, frames: dict[Game, int], removed: Mapping[int, Game], should_stop: Callable[[], bool]) -> None:
        """Add popular games with enough live streams to the dataset and to `frames`, once every `games_interval_s`."""
        slots = self._settings.max_games - len(frames)
        if slots <= 0 or time.monotonic() < self._next_search:
            return
        self._stats.status = "looking for games"
        known = {game.id for game in frames} | removed.keys()
        minimum = self._settings.min_streamers
        # Only the most popular games: one request per game counts its streams.
        for game in islice(self._directory.top_games(self._settings.non_games), 2 * self._settings.max_games):
            if slots == 0 or should_stop():
                break
            if game.id in known or not self._is_wanted(game):
                continue
            if len(self._directory.streams_by_game(game.id, minimum)) >= minimum:
                self._store.add_games([game])
                self._index.add_games([game])
                frames[game] = 0
                slots -= 1
        self._next_search = time.monotonic() + self._settings.games_interval_s
