"""Thread pool that grabs several streams at the same time: the only threads of the download loop.

A worker takes frames from the source and asks the filter which ones to keep. It touches no file, row or counter: its
result stays in a future until the loop fetches it. Therefore nothing else in the loop has to be thread-safe.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from data.collection.interfaces import Claim, FrameFilter, FrameSource, no_claim
from data.entities import Frame, FrameDetails, Game, Stream
from data.errors import AllFramesRejected, StopRequested, StreamError, translate_unexpected
from data.text import plural

_CHANNEL_URL = "https://www.twitch.tv/"
_MAX_CLOCK_ERROR_S = 86_400.0  # a live segment is a minute old
_POLL_S = 0.1  # between two looks at the stop
GRACE_S = 2.0  # after the stop, for streams that hang in a request


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


@dataclass
class GrabResult:
    """Frames of one stream until its end, a failure or the stop. A worker fills it in."""

    frames: list[tuple[bytes, FrameDetails]] = field(default_factory=list)  # JPEGs to keep, oldest first
    rejected: Counter[str] = field(default_factory=Counter)  # number of rejected frames by reason
    failure: StreamError | None = None  # why the stream broke off


@dataclass(frozen=True, eq=False)  # eq=False: compare and hash by identity
class GrabTask:
    """A stream to grab for a round, `max_frames` at most."""

    round: GameRound
    stream: Stream
    max_frames: int


class GrabPool:
    """Grabs up to `parallel` streams at the same time.

    A context manager: after the block no thread runs, except those that hang in a request for `GRACE_S`.
    """

    def __init__(
        self, source: FrameSource, frame_filter: FrameFilter, parallel: int, stop: StopEvent, claim: Claim = no_claim
    ) -> None:
        self._source = source
        self._claim = claim
        self._filter = frame_filter
        self._parallel = parallel
        self._stop = stop
        self._cancelled = threading.Event()  # ends the workers of this pool; `stop` ends the whole run
        self._executor = ThreadPoolExecutor(parallel, thread_name_prefix="grab")  # starts threads on demand
        self._in_flight: dict[Future[None], tuple[GrabTask, GrabResult]] = {}
        self._hang = False  # whether a worker was left behind

    def __enter__(self) -> GrabPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()
        self._hang |= bool(wait(list(self._in_flight), GRACE_S).not_done)
        self._executor.shutdown(wait=not self._hang, cancel_futures=True)

    def __len__(self) -> int:
        return len(self._in_flight)

    @property
    def free_slots(self) -> int:
        """Number of tasks that may start now."""
        return self._parallel - len(self._in_flight)

    @property
    def pending_frames(self) -> int:
        """Maximum number of frames that the tasks in flight can bring."""
        return sum(task.max_frames for task, _ in self._in_flight.values())

    @property
    def status(self) -> str:
        """Text for the display, such as "8 streams of 3 games"; a single stream is named, with its game."""
        tasks = [task for task, _ in self._in_flight.values()]
        if len(tasks) == 1:
            return f"{tasks[0].stream.login} ({tasks[0].round.game.name})"
        games = len({task.round.game.id for task in tasks})
        return f"{len(tasks)} streams of {plural(games, 'game')}"

    def start(self, task: GrabTask) -> None:
        """Start the task in the background. The caller checks `free_slots` first."""
        result = GrabResult()
        self._in_flight[self._executor.submit(self._work, task, result)] = task, result

    def finished(self, timeout_s: float) -> Iterator[tuple[GrabTask, GrabResult]]:
        """Yield finished tasks with their results; each leaves the pool when it is yielded.

        Wait up to `timeout_s` seconds for the first one; the stop ends the wait, and `cancel` allows another one.
        """
        end = time.monotonic() + timeout_s
        while not (done := wait(list(self._in_flight), _POLL_S, FIRST_COMPLETED).done) and time.monotonic() < end:
            if self._stop.is_set() and not self._cancelled.is_set():
                break
        for future in done:
            future.result()  # raises a defect of `_work` here, in the loop's thread
            yield self._in_flight.pop(future)

    def abandoned(self) -> Iterator[tuple[GrabTask, GrabResult]]:
        """Yield the tasks that are still in flight with their frames so far; leave their workers behind."""
        self._hang |= bool(self._in_flight)
        while self._in_flight:
            task, result = self._in_flight.popitem()[1]
            yield task, GrabResult(list(result.frames), Counter(result.rejected))

    def cancel(self) -> None:
        """Let every worker end at its next frame; `finished` still yields the frames until then."""
        self._cancelled.set()

    def _work(self, task: GrabTask, result: GrabResult) -> None:
        """Fill in `result`. Whatever goes wrong is this stream's failure; its frames until then stay."""
        try:
            with translate_unexpected(task.stream.login):
                if not self._should_stop():
                    with self._claim(task.stream.login):
                        self._collect(task, result)
        except StreamError as error:
            result.failure = error
        except StopRequested:  # a source may wait with `StopEvent.pause`; the stop is no failure
            pass

    def _collect(self, task: GrabTask, result: GrabResult) -> None:
        """Add frames to `result` until the stream or the run ends. Raises StreamError or StopRequested."""
        login = task.stream.login
        for frame in self._source.frames(login, task.max_frames):
            if reason := self._filter.reject_reason(login, frame.jpeg):
                result.rejected[reason] += 1
            else:
                result.frames.append((frame.jpeg, _details(task.stream, frame)))
            if self._should_stop():  # the frames not seen might have been good ones: report no failure
                return
        if result.rejected and not result.frames:
            reasons = ", ".join(f"{count} {reason}" for reason, count in result.rejected.most_common())
            raise AllFramesRejected(f"{login}: all frames were rejected ({reasons})")

    def _should_stop(self) -> bool:
        return self._stop.is_set() or self._cancelled.is_set()


def _details(stream: Stream, frame: Frame) -> FrameDetails:
    """Return what is known of a live frame. Its time is that of its segment, unless the stream's clock is wrong."""
    now = time.time()
    right = frame.date is not None and abs(frame.date - now) < _MAX_CLOCK_ERROR_S
    return FrameDetails(
        grabbed_at=frame.date if right else now,
        language=stream.language,
        viewers=stream.viewers,
        title=stream.title,
        origin=f"{_CHANNEL_URL}{stream.login}",
    )
