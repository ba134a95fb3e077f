"""Streams grabbed side by side: the only threads of a download's loop.

A worker does nothing but take frames from the grabber, and ask the sieve which to keep; it touches no file, row or
count. What it got waits in its future until the loop asks, so nothing else in the project has to be thread safe.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Protocol

from data.entities import Frame, Game, Stream
from data.errors import AllFramesRejected, StreamError


class Stopped(Exception):
    """The user, a signal or a limit asks the loop to end; raised from `Stop.pause` alone."""


class Stop(threading.Event):
    """Set when the run shall end. Waiting anywhere in a run is `pause`, so that a stop ends every wait.

    The catalogue waits by `wait`: to give up waiting for PostgreSQL is an error of its own.
    """

    def pause(self, seconds: float) -> None:
        """Wait; raises Stopped when the stop comes, or has come already."""
        if self.wait(seconds):
            raise Stopped


class Frames(Protocol):
    """What a worker needs of `data.capture.grabber.Grabber`; several call it at once."""

    def frames(self, login: str, at_most: int) -> Iterator[Frame]: ...


class Judge(Protocol):
    """What a worker needs of `data.filters.frame_filter.Sieve`; several call it at once."""

    def sift(self, login: str, jpeg: bytes) -> str: ...


@dataclass
class Turn:
    """A game being filled: streams still to try, in order, and how many are hoped for, `enough` being the most.

    `room`: by login, how many frames the streamer may give.
    """

    game: Game
    enough: int
    left: deque[Stream]
    room: Mapping[str, int]
    flying: int = field(default=0, init=False)
    good: int = field(default=0, init=False)

    @property
    def wants(self) -> bool:
        """Whether another stream is to be tried now: a replacement only when one has failed."""
        return bool(self.left) and self.good + self.flying < self.enough

    @property
    def over(self) -> bool:
        """Whether nothing is in flight and nothing will be."""
        return not self.flying and not self.wants


@dataclass(frozen=True)
class Grabbed:
    """What a stream gave before it ended, broke off (`failure`) or was stopped: JPEGs, oldest first.

    `left_out`: how many frames were not kept, by reason.
    """

    jpegs: tuple[bytes, ...]
    left_out: Mapping[str, int]
    failure: StreamError | None = None


@dataclass(frozen=True, eq=False)
class Grab:
    """A stream in flight, for `turn`, which may give `at_most` frames."""

    turn: Turn
    stream: Stream
    at_most: int


class Grabs:
    """The streams in flight, `at_once` at most. A context manager: at its end no thread is left."""

    def __init__(self, grabber: Frames, sieve: Judge, at_once: int, stop: Stop) -> None:
        """No thread starts before the first grab."""
        self._grabber = grabber
        self._sieve = sieve
        self._at_once = at_once
        self._stop = stop
        self._halted = threading.Event()
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="grab")
        self._flying: dict[Future[Grabbed], Grab] = {}

    def __enter__(self) -> Grabs:
        return self

    def __exit__(self, *_: object) -> None:
        self.halt()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def __len__(self) -> int:
        return len(self._flying)

    def __iter__(self) -> Iterator[Grab]:
        return iter(self._flying.values())

    @property
    def room(self) -> int:
        """How many more may start now."""
        return self._at_once - len(self._flying)

    @property
    def reserved(self) -> int:
        """Frames that those in flight may still bring."""
        return sum(grab.at_most for grab in self)

    @property
    def doing(self) -> str:
        """For the display: 8 streams of 3 games; or the stream and its game, where there is one only."""
        if len(self) == 1:
            return next(f"{grab.stream.login} ({grab.turn.game.name})" for grab in self)
        games = len({grab.turn.game.id for grab in self})
        return f"{len(self)} streams of {games} {'game' if games == 1 else 'games'}"

    def start(self, grab: Grab) -> None:
        """Grab in the background. The caller sees to `room`."""
        self._flying[self._pool.submit(self._work, grab)] = grab

    def finished(self, timeout_s: float | None = None) -> Iterator[tuple[Grab, Grabbed]]:
        """Those that have ended, waiting for the first one up to `timeout_s` seconds, or as long as it takes.

        Each leaves the streams in flight as it is handed over.
        """
        for future in wait(list(self._flying), timeout_s, FIRST_COMPLETED).done:
            yield self._flying.pop(future), future.result()

    def halt(self) -> None:
        """Have every worker end at its next frame; what it has got until then can still be asked for."""
        self._halted.set()

    def _work(self, grab: Grab) -> Grabbed:
        jpegs: list[bytes] = []
        left_out: Counter[str] = Counter()
        try:
            if not self._ending():
                self._take(grab, jpegs, left_out)
        except StreamError as error:
            return Grabbed(tuple(jpegs), left_out, error)
        except Stopped:  # the grabber waited for segments, and the stop ended that
            pass
        return Grabbed(tuple(jpegs), left_out)

    def _take(self, grab: Grab, jpegs: list[bytes], left_out: Counter[str]) -> None:
        """Add to `jpegs` and `left_out` until the stream or the run ends. Raises StreamError or Stopped."""
        login = grab.stream.login
        for frame in self._grabber.frames(login, grab.at_most):
            if reason := self._sieve.sift(login, frame.jpeg):
                left_out[reason] += 1
            else:
                jpegs.append(frame.jpeg)
            if self._ending():
                return
        if left_out and not jpegs:
            reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.most_common())
            raise AllFramesRejected(f"{login}: of all its frames none is to be kept ({reasons})")

    def _ending(self) -> bool:
        return self._stop.is_set() or self._halted.is_set()
