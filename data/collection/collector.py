"""The download loop: always fill the game with the fewest frames, from streams chosen at random.

while not stopped:
    while fewer than PARALLEL_STREAMS are being grabbed:
        add popular games, while there are fewer than MAX_GAMES
        take the game with the fewest frames that no streams are being grabbed for
        of up to 10 of its live streams, chosen at random, grab 5 in the background; for each that fails, another
            streamers who have their share of the game's frames are passed over, those with few come first
    wait for a grab to end; save its files; add their rows

All of it happens in the caller's thread; only the grabs themselves run beside it, in `data.collection.grab_pool`.
"""

from __future__ import annotations

import logging
import random
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Protocol

from data.collection.grab_pool import Frames, Grab, Grabbed, Grabs, Judge, Stop, Stopped, Turn
from data.collection.state import Plan, Tally
from data.collection.stream_selector import Chooser
from data.entities import Game, StoredFrame, Stream
from data.errors import DirectoryUnauthorized, DirectoryUnavailable

log = logging.getLogger(__name__)


class Games(Protocol):
    """What the loop needs of `data.twitch.helix.Helix`."""

    def top_games(self, non_games: Iterable[int]) -> Iterator[Game]: ...
    def streams(self, game_id: int, at_most: int) -> list[Stream]: ...


class Files(Protocol):
    """What the loop needs of `data.storage.frame_folder.Folder`."""

    def save(self, game_id: int, login: str, jpegs: Sequence[bytes]) -> list[StoredFrame]: ...
    def delete(self, frames: Iterable[StoredFrame]) -> None: ...
    def remember(self, games: Iterable[Game]) -> None: ...


class Rows(Protocol):
    """What the loop needs of `data.storage.catalog.Catalog`."""

    def add_games(self, games: Iterable[Game]) -> list[Game]: ...
    def game_ids(self) -> set[int]: ...
    def smallest_game(self, excluding: Iterable[int]) -> Game | None: ...
    def streamer_frames(self, game_id: int) -> Mapping[str, int]: ...
    def add_frames(self, frames: Sequence[StoredFrame]) -> object: ...


class Collector:
    """The loop, with its collaborators as arguments; see the module's pseudocode."""

    def __init__(
        self,
        *,
        helix: Games,
        grabber: Frames,
        sieve: Judge,
        folder: Files,
        catalog: Rows,
        plan: Plan,
        stop: Stop,
        rng: random.Random,
    ) -> None:
        self._helix = helix
        self._folder = folder
        self._catalog = catalog
        self._plan = plan
        self._stop = stop
        self._chooser = Chooser(plan.stream_tries, plan.frames_per_stream, plan.streamer_share, rng)
        self._grabs = Grabs(grabber, sieve, plan.parallel_streams, stop)
        self._turns: list[Turn] = []  # under way, oldest first
        self._next_look = 0.0  # monotonic seconds
        self._resting: dict[int, float] = {}  # game id → until when, monotonic seconds
        self.tally = Tally()

    def run(self) -> Tally:
        """Collect until stopped; once. Helix being down is waited for; trouble with one stream is counted.

        Raises DirectoryUnauthorized, FolderError or CatalogUnavailable: they end the run, and nothing saved is lost.
        """
        with self._grabs:
            try:
                self._loop()
            except Stopped:
                self._drain()
            except DirectoryUnauthorized:
                self._drain()
                raise
        return self.tally

    def _loop(self) -> None:
        while not self._done():
            try:
                self._fill()
            except DirectoryUnavailable as error:
                log.warning("%s; waiting %.0f s", error, self._plan.helix_pause_s)
                self._wait("waiting for Twitch")
            else:
                self._collect(self._plan.helix_pause_s)  # then look again: a game may have rested enough
        self._drain()

    def _fill(self) -> None:
        """Start grabs until no more may run at once, the frames wanted are all on their way, or no game is left."""
        while self._grabs.room and self._frames_wanted() > 0 and not self._done():
            turn = next((turn for turn in self._turns if turn.wants), None) or self._next_turn()
            if turn is None:
                break
            if turn.wants:
                self._start(turn)
            else:
                self._end(turn)
        if not self._grabs and not self._done():
            log.warning("no game has live streams to take; waiting %.0f s", self._plan.helix_pause_s)
            self._wait("waiting for live streams")

    def _next_turn(self) -> Turn | None:
        """A turn of the game with the fewest frames, of those not resting and not under way."""
        self._add_games()
        busy = {turn.game.id for turn in self._turns}
        game = self._catalog.smallest_game(excluding=self._resting_games() | busy)
        if game is None:
            return None
        self.tally.doing = f"listing the streams of {game.name}"
        streams = self._helix.streams(game.id, at_most=100)
        choice = self._chooser.choose(streams, self._catalog.streamer_frames(game.id))
        self.tally.passed_over |= choice.passed_over
        self._turns.append(Turn(game, self._plan.streams_per_game, deque(choice.streams), choice.room))
        return self._turns[-1]

    def _start(self, turn: Turn) -> None:
        stream = turn.left.popleft()
        self._grabs.start(Grab(turn, stream, min(self._frames_wanted(), turn.room[stream.login])))
        turn.flying += 1
        self.tally.streams += 1
        self.tally.doing = self._grabs.doing

    def _end(self, turn: Turn) -> None:
        """A game whose turn gave nothing rests."""
        self._turns.remove(turn)
        if not turn.good:
            self._resting[turn.game.id] = time.monotonic() + self._plan.rest_s

    def _collect(self, timeout_s: float | None = None) -> None:
        """Keep what the grabs that have ended gave; waits for one up to `timeout_s` seconds, or until there is one."""
        for grab, grabbed in self._grabs.finished(timeout_s):
            self._settle(grab, grabbed)

    def _settle(self, grab: Grab, grabbed: Grabbed) -> None:
        """Keep what a stream gave, also where it broke off, and count it for its turn."""
        turn = grab.turn
        turn.flying -= 1
        turn.good += bool(grabbed.jpegs)
        self.tally.left_out.update(grabbed.left_out)
        if grabbed.failure:
            log.info("%s", grabbed.failure)
            self.tally.failures[grabbed.failure.reason] += 1
        if grabbed.jpegs:
            self._keep(turn.game, grab.stream.login, grabbed.jpegs)
        if turn.over:
            self._end(turn)
        self.tally.doing = self._grabs.doing

    def _drain(self) -> None:
        """Have what is in flight end at its next frame, and keep what it gave."""
        self._grabs.halt()
        while self._grabs:
            self._collect()

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
        """How many frames the next grab may bring: those in flight are counted as if they brought all of theirs."""
        if self._plan.frames is None:
            return self._plan.frames_per_stream
        return min(self._plan.frames_per_stream, self._plan.frames - self.tally.total - self._grabs.reserved)

    def _resting_games(self) -> set[int]:
        now = time.monotonic()
        self._resting = {game_id: until for game_id, until in self._resting.items() if until > now}
        return set(self._resting)

    def _wait(self, doing: str) -> None:
        """Wait `helix_pause_s`, and keep meanwhile what the grabs in flight bring."""
        left = self._plan.helix_pause_s
        end = time.monotonic() + left
        while self._grabs and left > 0:
            self.tally.doing = f"{doing}; {self._grabs.doing}"
            self._collect(left)
            left = end - time.monotonic()
        self.tally.doing = doing
        if not self._done():
            self._stop.pause(max(left, 0))

    def _done(self) -> bool:
        enough = self._plan.frames is not None and self.tally.total >= self._plan.frames
        return enough or self._stop.is_set()
