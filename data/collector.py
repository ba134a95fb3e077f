"""The download loop: always fill the game with the fewest frames, from streams chosen at random.

while not stopped:
    add popular games, while there are fewer than MAX_GAMES
    take the game with the fewest frames
    for up to 10 of its live streams, in random order, until 5 gave frames:
        grab the stream's frames; save the files; add their rows
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

from data.entities import Frame, Game, StoredFrame, Stream
from data.errors import HelixUnavailable, StreamError

log = logging.getLogger(__name__)


class Games(Protocol):
    """What the loop needs of `data.helix.Helix`."""

    def top_games(self, non_games: Iterable[int]) -> Iterator[Game]: ...
    def streams(self, game_id: int, at_most: int) -> list[Stream]: ...


class Frames(Protocol):
    """What the loop needs of `data.grabber.Grabber`."""

    def frames(self, login: str, at_most: int) -> Iterator[Frame]: ...


class Files(Protocol):
    """What the loop needs of `data.folder.Folder`."""

    def save(self, game_id: int, login: str, jpegs: Sequence[bytes]) -> list[StoredFrame]: ...
    def delete(self, frames: Iterable[StoredFrame]) -> None: ...
    def remember(self, games: Iterable[Game]) -> None: ...


class Rows(Protocol):
    """What the loop needs of `data.catalog.Catalog`."""

    def add_games(self, games: Iterable[Game]) -> list[Game]: ...
    def game_ids(self) -> set[int]: ...
    def smallest_game(self, excluding: Iterable[int]) -> Game | None: ...
    def add_frames(self, frames: Sequence[StoredFrame]) -> object: ...


@dataclass(frozen=True)
class Plan:
    """How much of what: the settings of the same names."""

    max_games: int
    min_streamers: int
    non_games: frozenset[int]
    streams_per_game: int
    stream_tries: int
    frames_per_stream: int
    games_interval_s: float
    rest_s: float
    helix_pause_s: float
    frames: int | None = None  # stop after so many


@dataclass
class Tally:
    """What a run has done so far; the display reads it while the loop writes it."""

    frames: Counter[str] = field(default_factory=Counter)  # by game's name
    streams: int = 0
    failures: Counter[str] = field(default_factory=Counter)  # by reason
    doing: str = "starting"

    @property
    def total(self) -> int:
        return sum(self.frames.values())


class Stopped(Exception):
    """The user, a signal or a limit asks the loop to end; raised from `Stop.pause` alone."""


class Stop(threading.Event):
    """Set when the run shall end. Waiting anywhere in a run is `pause`, so that a stop ends every wait."""

    def pause(self, seconds: float) -> None:
        """Wait; raises Stopped when the stop comes, or has come already."""
        if self.wait(seconds):
            raise Stopped


class Collector:
    """The loop, with its collaborators as arguments; see the module's pseudocode."""

    def __init__(
        self, *, helix: Games, grabber: Frames, folder: Files, catalog: Rows, plan: Plan, stop: Stop, rng: random.Random
    ) -> None:
        self._helix = helix
        self._grabber = grabber
        self._folder = folder
        self._catalog = catalog
        self._plan = plan
        self._stop = stop
        self._rng = rng
        self._next_look = 0.0  # monotonic seconds
        self._resting: dict[int, float] = {}  # game id → until when, monotonic seconds
        self.tally = Tally()

    def run(self) -> Tally:
        """Collect until stopped. Helix being down is waited for; trouble with one stream is counted.

        Raises HelixRefused, FolderError or CatalogUnavailable: they end the run, and nothing is lost.
        """
        try:
            while not self._done():
                try:
                    self._turn()
                except HelixUnavailable as error:
                    log.warning("%s; waiting %.0f s", error, self._plan.helix_pause_s)
                    self._wait("waiting for Twitch")
        except Stopped:
            pass
        return self.tally

    def _turn(self) -> None:
        self._add_games()
        game = self._catalog.smallest_game(excluding=self._resting_games())
        if game is None:
            log.warning("no game has live streams to take; waiting %.0f s", self._plan.helix_pause_s)
            return self._wait("waiting for live streams")
        self.tally.doing = f"listing the streams of {game.name}"
        streams = self._helix.streams(game.id, at_most=100)
        good = 0
        for stream in self._rng.sample(streams, min(len(streams), self._plan.stream_tries)):
            if good == self._plan.streams_per_game or self._done():
                return None
            good += self._take(game, stream)
        if not good:
            self._resting[game.id] = time.monotonic() + self._plan.rest_s
        return None

    def _add_games(self) -> None:
        """Add popular games with enough live streams, at most once in `games_interval_s`."""
        room = self._plan.max_games - len(known := self._catalog.game_ids())
        if room <= 0 or time.monotonic() < self._next_look:
            return
        self.tally.doing = "looking for games"
        popular = islice(self._helix.top_games(self._plan.non_games), 2 * self._plan.max_games)
        for game in popular:
            if room == 0 or self._done():
                break
            if game.id not in known and self._has_streamers(game):
                self._folder.remember([game])
                self._catalog.add_games([game])
                room -= 1
        self._next_look = time.monotonic() + self._plan.games_interval_s

    def _has_streamers(self, game: Game) -> bool:
        return len(self._helix.streams(game.id, at_most=self._plan.min_streamers)) >= self._plan.min_streamers

    def _take(self, game: Game, stream: Stream) -> bool:
        """Grab a stream and keep what it gave, also where it broke off; whether that was anything."""
        self.tally.streams += 1
        self.tally.doing = f"{stream.login} ({game.name})"
        jpegs: list[bytes] = []
        try:
            for frame in self._grabber.frames(stream.login, self._frames_wanted()):
                jpegs.append(frame.jpeg)
                if self._stop.is_set():
                    break
        except StreamError as error:
            log.info("%s", error)
            self.tally.failures[error.reason] += 1
        if jpegs:
            self._keep(game, stream.login, jpegs)
        return bool(jpegs)

    def _keep(self, game: Game, login: str, jpegs: Sequence[bytes]) -> None:
        """Files first, then their rows; without rows the files go again. A kill in between is dbSync's to mend."""
        saved = self._folder.save(game.id, login, jpegs)
        try:
            self._catalog.add_frames(saved)
        except BaseException:
            self._folder.delete(saved)
            raise
        self.tally.frames[game.name] += len(saved)

    def _frames_wanted(self) -> int:
        left = self._plan.frames - self.tally.total if self._plan.frames else self._plan.frames_per_stream
        return min(self._plan.frames_per_stream, left)

    def _resting_games(self) -> set[int]:
        now = time.monotonic()
        self._resting = {game_id: until for game_id, until in self._resting.items() if until > now}
        return set(self._resting)

    def _wait(self, doing: str) -> None:
        self.tally.doing = doing
        self._stop.pause(self._plan.helix_pause_s)

    def _done(self) -> bool:
        enough = self._plan.frames is not None and self.tally.total >= self._plan.frames
        return enough or self._stop.is_set()
