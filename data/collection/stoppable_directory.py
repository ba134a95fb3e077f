"""Stoppable directory: its requests run in a thread, so that a server that hangs does not hold the download loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from threading import Event
from typing import TypeVar

from data.collection.interfaces import StreamDirectory
from data.entities import Game, Stream
from data.errors import StopRequested

_CHECK_S = 0.1  # between two looks at the stop
_T = TypeVar("_T")


class StoppableDirectory:
    """A StreamDirectory that raises StopRequested when `stop` is set during a request; the request is left behind."""

    def __init__(self, directory: StreamDirectory, stop: Event) -> None:
        self._directory = directory
        self._stop = stop
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="directory")

    def close(self) -> None:
        """End the thread after its request."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def top_games(self, non_games: Iterable[int]) -> Iterator[Game]:
        """Yield games, most viewers first."""
        games = self._directory.top_games(non_games)
        while (game := self._call(lambda: next(games, None))) is not None:
            yield game

    def streams_by_game(self, game_id: int, max_streams: int) -> list[Stream]:
        """Return live streams of a game, most viewers first."""
        return self._call(lambda: self._directory.streams_by_game(game_id, max_streams))

    def _call(self, function: Callable[[], _T]) -> _T:
        future = self._executor.submit(function)
        while not wait([future], _CHECK_S).done:
            if self._stop.is_set():
                raise StopRequested
        return future.result()
