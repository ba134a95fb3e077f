"""Download loop: always fill the game with the fewest frames, from randomly selected live streams.

    while not stopped:
        while fewer than PARALLEL_STREAMS grabs are in flight:
            start a round of the game with the fewest frames, without a round or a cooldown (game_selector):
                select up to STREAM_TRIES of its live streams at random, without excluded streamers and those over
                quota, those with few frames first
            grab STREAMS_PER_GAME of them in the background; replace each that fails by the next one
        wait for a grab to finish; save its files, then add their rows, but not those of frames in the trash;
            delete files that the dataset has already, and those of streamers who were forgotten meanwhile
        a round in which no stream succeeded gives its game a cooldown

Everything runs in the caller's thread; only the grabs run in a pool (data.collection.stream_grabs). On a cluster its
workers save the frames, and their results have counts only.
"""

from __future__ import annotations

import logging
import random
import time
from collections import deque
from collections.abc import Callable, Container

from data.collection.frame_saver import FrameSaver
from data.collection.game_selector import GameSelector
from data.collection.grab_pool import GameRound, GrabPool, StopEvent
from data.collection.interfaces import Claim, FrameIndex, FrameWriter, StreamDirectory, no_claim
from data.collection.state import CollectionStats, CollectorSettings
from data.collection.stream_grabs import GrabResult, GrabTask
from data.collection.stream_selector import StreamSelector
from data.errors import DirectoryUnauthorized, DirectoryUnavailable, StopRequested, StreamClaimed, WorkerLost
from data.pool.pool import Finished, Pool

log = logging.getLogger(__name__)

_LISTED_STREAMS = 100  # to select from; a directory may return fewer
_GRACE_S = 2.5  # after the stop, for grabs in flight; longer than a stream may hang in a request


class Collector:
    """The download loop; the module's docstring has it in pseudocode.

    Args:
        directory: where games and live streams are listed.
        pool: where streams are grabbed; `run` opens and closes it. Its results have frames, or the number of those
            that its workers have saved.
        store: where frames are saved.
        index: rows of the saved frames.
        settings: numbers that control the loop.
        stop: ends the run.
        claim: keeps other downloads away from a stream while it is grabbed; by default there are none.
        rng: source of randomness.
        is_excluded: says whether the streams of a login must not be grabbed; what it raises ends the run.
        trashed: SHA-256 of frames that must not be saved again.
    """

    def __init__(
        self,
        *,
        directory: StreamDirectory,
        pool: Pool[GrabTask, GrabResult],
        store: FrameWriter,
        index: FrameIndex,
        settings: CollectorSettings,
        stop: StopEvent,
        claim: Claim = no_claim,
        rng: random.Random,
        is_excluded: Callable[[str], bool] = lambda _login: False,
        trashed: Container[bytes] = (),
    ) -> None:
        self._directory = directory
        self._index = index
        self._settings = settings
        self._stop = stop
        self._is_excluded = is_excluded
        self._selector = StreamSelector(
            settings.stream_tries, settings.frames_per_stream, settings.max_streamer_fraction, rng
        )
        self._pool = GrabPool(pool, stop, claim)
        self._rounds: list[GameRound] = []  # unfinished, oldest first
        self._full: set[int] = set()  # ids of games with live streams of which each is over quota
        self.stats = CollectionStats()
        self._saver = FrameSaver(store, index, is_excluded, trashed)
        self._games = GameSelector(directory, store, index, settings, self.stats)

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
                if self._pool or not self._pool.has_free_slot:
                    self._process_finished(self._settings.helix_retry_interval_s)
        self._finish_in_flight()

    def _start_grabs(self) -> None:
        """Start grabs until the pool is full, enough frames are pending, or no game is left."""
        while self._pool.has_free_slot and self._wanted_frames() > 0 and not self._is_finished():
            game_round = next((each for each in self._rounds if each.needs_stream), None) or self._next_round()
            if game_round is None:
                break  # every game has a round, a cooldown or enough frames
            if game_round.needs_stream:
                self._start(game_round)
            else:  # the game has no stream to try
                self._finish_round(game_round)
        if not self._pool and self._pool.has_free_slot and not self._is_finished():
            but = ", but those of streamers over MAX_STREAMER_FRACTION" if self._full else ""
            interval_s = self._settings.helix_retry_interval_s
            log.warning("no game has live streams to grab%s; waiting %.0f s", but, interval_s)
            self._wait("waiting for live streams")

    def _next_round(self) -> GameRound | None:
        """Begin a round of the next game; return None when there is no game to fill now."""
        following = self._games.next_game({each.game.id for each in self._rounds}, self._is_finished)
        if following is None:
            return None
        game, missing = following
        self.stats.status = f"listing the streams of {game.name}"
        listed = self._directory.streams_by_game(game.id, max_streams=_LISTED_STREAMS)
        streams = [stream for stream in listed if not self._is_excluded(stream.login)]
        existing = self._index.streamer_frames(game.id)
        selection = self._selector.select(streams, existing)
        self.stats.over_quota |= selection.over_quota
        target = self._settings.streams_per_game
        (self._full.add if streams and not selection.streams else self._full.discard)(game.id)
        self._rounds.append(GameRound(game, target, deque(selection.streams), selection.quota, existing, missing))
        return self._rounds[-1]

    def _start(self, game_round: GameRound) -> None:
        stream = game_round.remaining.popleft()
        most = int(min(self._wanted_frames(), game_round.quotas[stream.login], game_round.missing))
        task = GrabTask(game_round.game, stream, most)
        game_round.in_flight += 1
        game_round.missing -= most
        self.stats.streams += 1
        try:
            self._pool.start(task, game_round)
        except StreamClaimed as error:
            self._record(game_round, task, GrabResult(failure=error))
        self.stats.status = self._pool.status

    def _finish_round(self, game_round: GameRound) -> None:
        """Remove the round; a game whose round gave no frame gets a cooldown, a short one if claims are the reason."""
        self._rounds.remove(game_round)
        if not game_round.succeeded:
            settings = self._settings
            cooldown_s = settings.helix_retry_interval_s if game_round.claimed else settings.game_cooldown_s
            self._games.rest(game_round.game, cooldown_s)

    def _process_finished(self, timeout_s: float) -> None:
        """Save the frames of finished grabs, also of those that broke off; update the counters and the rounds.

        Wait up to `timeout_s` seconds for a grab to finish, or until the stop.
        """
        for game_round, finished in self._pool.finished(timeout_s):
            self._record(game_round, finished.task, self._result(game_round, finished))

    def _result(self, game_round: GameRound, finished: Finished[GrabTask, GrabResult]) -> GrabResult:
        """Return the result of a grab, with its frames saved. Raises an error that is not the stream's."""
        if isinstance(finished.error, WorkerLost):
            return GrabResult(failure=finished.error, saved=self._saved_unseen(finished.task, game_round))
        return self._saver.save(finished.task, finished.value())

    def _saved_unseen(self, task: GrabTask, game_round: GameRound) -> int:
        """Return how many frames the worker of a lost grab has saved: those of the streamer that are new."""
        login = task.stream.login
        frames = self._index.streamer_frames(task.game.id).get(login, 0) - game_round.existing.get(login, 0)
        return max(0, min(frames, task.max_frames))

    def _record(self, game_round: GameRound, task: GrabTask, result: GrabResult) -> None:
        """Update the counters and the round with the result of a grab."""
        if result.saved:
            self.stats.add_saved(task.game, result.saved)
        game_round.missing += task.max_frames - result.saved
        game_round.in_flight -= 1
        game_round.succeeded += bool(result.saved)
        game_round.claimed += isinstance(result.failure, StreamClaimed)
        self.stats.rejected.update(result.rejected)
        if failure := result.failure:
            log.info("%s", failure)
            self.stats.failures[failure.reason] += 1
        if game_round.is_finished:
            self._finish_round(game_round)
        self.stats.status = self._pool.status

    def _finish_in_flight(self) -> None:
        """Let the grabs in flight end at their next frame; record their results. Count what lost workers have saved."""
        self._pool.cancel()
        remaining_s = _GRACE_S
        end = time.monotonic() + remaining_s
        while self._pool and remaining_s > 0:
            self._process_finished(remaining_s)
            remaining_s = end - time.monotonic()
        self._process_finished(0)  # also what ended while others were saved
        for task, game_round in self._pool.abandoned():
            self._record(game_round, task, GrabResult(saved=self._saved_unseen(task, game_round)))

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
        reached = limit is not None and self.stats.total >= limit
        return self._stop.is_set() or reached or self._games.is_complete
