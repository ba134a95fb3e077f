"""Download loop: always fill the game with the fewest frames, from randomly selected live streams.

    while not stopped:
        while fewer than PARALLEL_STREAMS grabs are in flight:
            add popular games while the dataset has fewer than MAX_GAMES
            start a round of the game with the fewest frames, among games without a round or a cooldown:
                select up to STREAM_TRIES of its live streams at random, without streamers over quota,
                those with few frames first
            grab STREAMS_PER_GAME of them in the background; replace each that fails by the next one
        wait for a grab to finish; save its files, then add their rows; delete files that the dataset has already
        a round in which no stream succeeded gives its game a cooldown

Everything runs in the caller's thread; only the grabs run in threads of their own (data.collection.grab_pool).
"""

from __future__ import annotations

import hashlib
import logging
import random
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

from data.collection.grab_pool import GRACE_S, GameRound, GrabPool, GrabResult, GrabTask, StopEvent
from data.collection.interfaces import (
    Claim,
    FrameFilter,
    FrameIndex,
    FrameSource,
    FrameWriter,
    StreamDirectory,
    no_claim,
)
from data.collection.state import CollectionStats, CollectorSettings
from data.collection.stream_selector import StreamSelector
from data.entities import Game
from data.errors import AllFramesRejected, DirectoryUnauthorized, DirectoryUnavailable, StopRequested, StreamClaimed

log = logging.getLogger(__name__)

_LISTED_STREAMS = 100  # to select from; a directory may return fewer
_IDENTICAL = "identical"  # reason for a rejection: the dataset has the frame already, byte for byte


class Collector:
    """The download loop; the module's docstring has it in pseudocode.

    Args:
        directory: where games and live streams are listed.
        source: source of the streams' frames.
        frame_filter: decides which frames to keep.
        store: where frames are saved.
        index: rows of the saved frames.
        settings: numbers that control the loop.
        stop: ends the run.
        rng: source of randomness.
        claim: keeps other downloads away from a stream while it is grabbed; by default there are none.
    """

    def __init__(
        self,
        *,
        directory: StreamDirectory,
        source: FrameSource,
        frame_filter: FrameFilter,
        store: FrameWriter,
        index: FrameIndex,
        settings: CollectorSettings,
        stop: StopEvent,
        rng: random.Random,
        claim: Claim = no_claim,
    ) -> None:
        self._directory = directory
        self._store = store
        self._index = index
        self._settings = settings
        self._stop = stop
        self._selector = StreamSelector(
            settings.stream_tries, settings.frames_per_stream, settings.max_streamer_fraction, rng
        )
        self._pool = GrabPool(source, frame_filter, settings.parallel_streams, stop, claim)
        self._rounds: list[GameRound] = []  # unfinished, oldest first
        self._next_games_refresh = 0.0  # monotonic seconds
        self._cooldown_until: dict[int, float] = {}  # by game id, monotonic seconds
        self.stats = CollectionStats()

    def run(self) -> CollectionStats:
        """Collect until stopped; call once. Wait while the directory is down; count failures of streams.

        Raises DirectoryUnauthorized, FolderError or CatalogUnavailable: they end the run, and saved frames stay.
        """
        with self._pool:
            try:
                self._loop()
            except StopRequested:
                self._finish_in_flight()
            except DirectoryUnauthorized:
                self._finish_in_flight()  # the frames in flight need no credentials
                raise
        return self.stats

    def _loop(self) -> None:
        while not self._is_finished():
            try:
                self._start_grabs()
            except DirectoryUnavailable as error:
                log.warning("%s; waiting %.0f s", error, self._settings.helix_retry_interval_s)
                self._wait("waiting for the directory of streams")
            else:
                # The timeout ends the wait although nothing finished: the cooldown of a game may be over.
                self._process_finished(self._settings.helix_retry_interval_s)
        self._finish_in_flight()

    def _start_grabs(self) -> None:
        """Start grabs until the pool is full, enough frames are pending, or no game is left."""
        while self._pool.free_slots and self._wanted_frames() > 0 and not self._is_finished():
            game_round = next((each for each in self._rounds if each.needs_stream), None) or self._next_round()
            if game_round is None:
                break  # every game has a round or a cooldown
            if game_round.needs_stream:
                self._start(game_round)
            else:  # the game has no stream to try
                self._finish_round(game_round)
        if not self._pool and not self._is_finished():
            log.warning("no game has live streams to grab; waiting %.0f s", self._settings.helix_retry_interval_s)
            self._wait("waiting for live streams")

    def _next_round(self) -> GameRound | None:
        """Begin a round of the game with the fewest frames; return None when every game has a round or a cooldown."""
        self._add_games()
        now = time.monotonic()
        excluded = {game_id for game_id, until in self._cooldown_until.items() if until > now}
        excluded |= {game_round.game.id for game_round in self._rounds}
        game = self._index.smallest_game(excluding=excluded)
        if game is None:
            return None
        self.stats.status = f"listing the streams of {game.name}"
        streams = self._directory.streams_by_game(game.id, max_streams=_LISTED_STREAMS)
        selection = self._selector.select(streams, self._index.streamer_frames(game.id))
        self.stats.over_quota |= selection.over_quota
        self._rounds.append(GameRound(game, self._settings.streams_per_game, deque(selection.streams), selection.quota))
        return self._rounds[-1]

    def _start(self, game_round: GameRound) -> None:
        stream = game_round.remaining.popleft()
        self._pool.start(GrabTask(game_round, stream, min(self._wanted_frames(), game_round.quotas[stream.login])))
        game_round.in_flight += 1
        self.stats.streams += 1
        self.stats.status = self._pool.status

    def _finish_round(self, game_round: GameRound) -> None:
        """Remove the round; a game whose round gave no frame gets a cooldown, a short one if claims are the reason."""
        self._rounds.remove(game_round)
        if not game_round.succeeded:
            settings = self._settings
            cooldown_s = settings.helix_retry_interval_s if game_round.claimed else settings.game_cooldown_s
            self._cooldown_until[game_round.game.id] = time.monotonic() + cooldown_s

    def _process_finished(self, timeout_s: float) -> None:
        """Save the frames of finished grabs, also of those that broke off; update the counters and the rounds.

        Wait up to `timeout_s` seconds for a grab to finish, or until the stop.
        """
        for task, result in self._pool.finished(timeout_s):
            self._process(task, result)

    def _process(self, task: GrabTask, result: GrabResult) -> None:
        saved = self._save(task.round.game, task.stream.login, result.jpegs) if result.jpegs else 0
        failure = result.failure
        if identical := len(result.jpegs) - saved:
            self.stats.rejected[_IDENTICAL] += identical
            if not saved and failure is None:
                failure = AllFramesRejected(f"{task.stream.login}: the dataset has all of these frames")
        task.round.in_flight -= 1
        task.round.succeeded += bool(saved)
        task.round.claimed += isinstance(failure, StreamClaimed)
        self.stats.rejected.update(result.rejected)
        if failure:
            log.info("%s", failure)
            self.stats.failures[failure.reason] += 1
        if task.round.is_finished:
            self._finish_round(task.round)
        self.stats.status = self._pool.status

    def _finish_in_flight(self) -> None:
        """Let the grabs in flight end at their next frame; record their results, and the frames of those that hang."""
        self._pool.cancel()
        end = time.monotonic() + GRACE_S
        while self._pool and (remaining_s := end - time.monotonic()) > 0:
            self._process_finished(remaining_s)
        for task, result in self._pool.abandoned():
            self._process(task, result)

    def _add_games(self) -> None:
        """Add popular games with enough live streams, at most once every `games_interval_s`."""
        missing = self._settings.max_games - len(known := self._index.game_ids())
        if missing <= 0 or time.monotonic() < self._next_games_refresh:
            return
        self.stats.status = "looking for games"
        minimum = self._settings.min_streamers
        # Only the most popular games: one request per game counts its streams.
        for game in islice(self._directory.top_games(self._settings.non_games), 2 * self._settings.max_games):
            if missing == 0 or self._is_finished():
                break
            if game.id not in known and len(self._directory.streams_by_game(game.id, minimum)) >= minimum:
                self._store.add_games([game])
                self._index.add_games([game])
                missing -= 1
        self._next_games_refresh = time.monotonic() + self._settings.games_interval_s

    def _save(self, game: Game, login: str, jpegs: Sequence[bytes]) -> int:
        """Write the files, then their rows; delete files that get no row. Return the number of rows."""
        saved = self._store.save(game.id, login, jpegs)
        pairs = zip(saved, jpegs, strict=True)
        hashed = [replace(frame, sha256=hashlib.sha256(jpeg).digest()) for frame, jpeg in pairs]
        try:
            # A kill before this line leaves files without rows, which dbSync adopts.
            identical = self._index.add_frames(hashed) or ()
        except BaseException:
            self._store.delete(saved)
            raise
        self._store.delete(identical)
        self.stats.frames[game.name] += len(saved) - len(identical)
        return len(saved) - len(identical)

    def _wanted_frames(self) -> int:
        """Return the maximum number of frames of the next grab; grabs in flight count with their maximum."""
        if self._settings.frames is None:
            return self._settings.frames_per_stream
        missing = self._settings.frames - self.stats.total - self._pool.pending_frames
        return min(self._settings.frames_per_stream, missing)

    def _wait(self, status: str) -> None:
        """Wait `helix_retry_interval_s`; meanwhile record the results of the grabs in flight."""
        remaining_s = self._settings.helix_retry_interval_s
        end = time.monotonic() + remaining_s
        while self._pool and remaining_s > 0 and not self._is_finished():
            self.stats.status = f"{status}; {self._pool.status}"
            self._process_finished(remaining_s)
            remaining_s = end - time.monotonic()
        self.stats.status = status
        if not self._is_finished():
            self._stop.pause(max(remaining_s, 0))

    def _is_finished(self) -> bool:
        limit = self._settings.frames
        return self._stop.is_set() or (limit is not None and self.stats.total >= limit)
