"""Stream grabs: what a download's workers do. One call takes the frames of one stream and asks the filter about each.

Each stream has a thread of its own. So a request that hangs at the stop holds nobody: its thread is left behind, and
the frames until then are the result.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from functools import partial

from data.collection.interfaces import FrameFilter, FrameSource
from data.entities import Frame, FrameDetails, Game, Stream
from data.errors import AllFramesRejected, StopRequested, StreamError, WorkerLost, translate_unexpected
from data.pool.threads import ThreadPool
from data.threads import start_thread

_CHANNEL_URL = "https://www.twitch.tv/"
_MAX_CLOCK_ERROR_S = 86_400.0  # a live segment is a minute old
_HANG_S = 1.5  # after the stop, for a stream that hangs in a request


@dataclass(frozen=True, eq=False)  # eq=False: compare and hash by identity
class GrabTask:
    """A stream to grab, `max_frames` at most."""

    game: Game
    stream: Stream
    max_frames: int


@dataclass
class GrabResult:
    """What a stream gave until its end, a failure or the stop."""

    frames: list[tuple[bytes, FrameDetails]] = field(default_factory=list)  # JPEGs to save, oldest first
    rejected: Counter[str] = field(default_factory=Counter)  # number of frames that are not kept, by reason
    failure: StreamError | WorkerLost | None = None  # why the stream broke off
    saved: int = 0  # frames that are in the dataset


class StreamGrabs:
    """Grabs streams: call it with a task in as many threads as streams shall run at the same time.

    Args:
        source: source of the streams' frames.
        frame_filter: decides which frames to keep.
        stop: ends the grabs, as `cancel` does.
    """

    def __init__(self, source: FrameSource, frame_filter: FrameFilter, stop: threading.Event) -> None:
        self._source = source
        self._filter = frame_filter
        self._stop = stop
        self._cancelled: Future[None] = Future()

    def __call__(self, task: GrabTask) -> GrabResult:
        """Return the result of one stream. Errors of the stream are its failure; its frames until then stay."""
        result = GrabResult()
        ended = start_thread(partial(self._grab, task, result), "grab")
        wait((ended, self._cancelled), return_when=FIRST_COMPLETED)
        if wait((ended,), _HANG_S).done:
            ended.result()
            return result
        return GrabResult(list(result.frames), Counter(result.rejected))  # the thread may still add to its own result

    def cancel(self) -> None:
        """Let each grab end at its next frame, or without it after a moment."""
        if not self._cancelled.done():
            self._cancelled.set_result(None)

    def _grab(self, task: GrabTask, result: GrabResult) -> None:
        """Fill in `result`. Raises ToolkitErrors that are not the stream's."""
        try:
            with translate_unexpected(task.stream.login):
                if not self._should_stop():
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
        return self._stop.is_set() or self._cancelled.done()


def grabs_in_threads(
    source: FrameSource, frame_filter: FrameFilter, parallel: int, stop: threading.Event
) -> ThreadPool[GrabTask, GrabResult]:
    """Return a pool that grabs up to `parallel` streams at the same time in this process. Arguments: of StreamGrabs."""
    grabs = StreamGrabs(source, frame_filter, stop)
    return ThreadPool(grabs, parallel, stop=grabs.cancel)


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
