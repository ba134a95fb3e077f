"""Grab pool: the streams that a download grabs at the same time, in threads or on a cluster, and their rounds.

The workers touch no counter and no round: a result stays in the pool until the loop's thread fetches it.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

from data.collection.interfaces import Claim
from data.collection.stream_grabs import GrabResult, GrabTask
from data.entities import Game, Stream
from data.errors import StopRequested, StreamClaimed
from data.pool.pool import Finished, Pool
from data.text import plural

_POLL_S = 0.1  # between two looks at the stop


class StopEvent(threading.Event):
    """Event that ends the run, and at once each `pause`: those of Helix, and those of the loop without grabs in flight.

    A wait for grabs ends when the next one finishes, at its next frame. The catalog uses `wait` instead: when it gives
    up waiting for PostgreSQL, its own error says so.
    """

    def pause(self, seconds: float) -> None:
        """Wait for `seconds`. Raises StopRequested when the event is set before their end."""
        if self.wait(seconds):
            raise StopRequested


@dataclass
class GameRound:
    """One round of a game: grab some of its selected streams; replace streams that fail."""

    game: Game
    target: int  # number of streams that have to succeed
    remaining: deque[Stream]  # streams still to try, in order
    quotas: Mapping[str, int]  # by login, the maximum number of frames
    existing: Mapping[str, int]  # by login, the number of the game's frames before the round
    missing: float = math.inf  # number of frames that the game needs, less the maximum of its grabs in flight
    in_flight: int = field(default=0, init=False)
    succeeded: int = field(default=0, init=False)
    claimed: int = field(default=0, init=False)  # number of streams that another download grabs

    @property
    def needs_stream(self) -> bool:
        """Whether to start another stream now; a replacement starts only when a stream has failed."""
        return bool(self.remaining) and self.missing > 0 and self.succeeded + self.in_flight < self.target

    @property
    def is_finished(self) -> bool:
        """Whether no stream is in flight and none will start."""
        return not self.in_flight and not self.needs_stream


class GrabPool:
    """The grabs in flight on `pool`, each with its round and claim. A context manager, as the pool is.

    Args:
        pool: where the grabs run.
        stop: ends a wait.
        claim: claims a stream while it is grabbed; called in the thread of `start`, so it must not take long.
    """

    def __init__(self, pool: Pool[GrabTask, GrabResult], stop: StopEvent, claim: Claim) -> None:
        self._pool = pool
        self._stop = stop
        self._claim = claim
        self._cancelled = False
        self._in_flight: dict[GrabTask, tuple[GameRound, ExitStack]] = {}

    def __enter__(self) -> GrabPool:
        self._pool.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.cancel()
        self._pool.__exit__(*error)
        for task in list(self._in_flight):
            self._remove(task)

    def __len__(self) -> int:
        return len(self._in_flight)

    @property
    def has_free_slot(self) -> bool:
        """Whether a task may start now. A cluster without a worker has no slot."""
        return self._pool.free_slots > 0

    @property
    def pending_frames(self) -> int:
        """Maximum number of frames that the tasks in flight can bring."""
        return sum(task.max_frames for task in self._in_flight)

    @property
    def status(self) -> str:
        """Text for the display, such as "8 streams of 3 games"; a single stream is named, with its game."""
        tasks = list(self._in_flight)
        if len(tasks) == 1:
            return f"{tasks[0].stream.login} ({tasks[0].game.name})"
        games = len({task.game.id for task in tasks})
        return f"{len(tasks)} streams of {plural(games, 'game')}"

    def start(self, task: GrabTask, game_round: GameRound) -> None:
        """Start the task in the background. The caller checks `has_free_slot` first.

        Raises StreamClaimed: another download grabs the stream, or this one does: the streamer has changed the game.
        """
        login = task.stream.login
        if any(other.stream.login == login for other in self._in_flight):
            raise StreamClaimed(f"{login}: this stream is being grabbed")
        with ExitStack() as claims:
            claims.enter_context(self._claim(login))
            self._pool.submit(task)
            self._in_flight[task] = game_round, claims.pop_all()

    def finished(self, timeout_s: float) -> Iterator[tuple[GameRound, Finished[GrabTask, GrabResult]]]:
        """Yield finished tasks with their rounds; each leaves the pool when it is yielded.

        Wait up to `timeout_s` seconds for the first one, or for a free slot if there is none; the stop ends the wait,
        and `cancel` allows another one.
        """
        end = time.monotonic() + timeout_s
        while not (done := self._pool.finished(_POLL_S)) and time.monotonic() < end:
            is_idle = not self._in_flight and self.has_free_slot
            if is_idle or (self._stop.is_set() and not self._cancelled):
                break
        for each in done:
            yield self._remove(each.task), each

    def abandoned(self) -> Iterator[tuple[GrabTask, GameRound]]:
        """Yield the tasks that are still in flight, and leave their workers behind."""
        for task in list(self._in_flight):
            yield task, self._remove(task)

    def cancel(self) -> None:
        """Let every grab end at its next frame; `finished` still yields the frames until then."""
        if not self._cancelled:
            self._cancelled = True
            for task in self._pool.cancel():
                self._remove(task)

    def _remove(self, task: GrabTask) -> GameRound:
        """Free the claim of a task that is not in flight any more; return its round."""
        game_round, claims = self._in_flight.pop(task)
        claims.close()
        return game_round
