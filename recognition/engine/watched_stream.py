"""State machine of one watched source: open, poll, retry after outages, reopen, report the verdict at its end.

    state      in `poll`                                            next state
    closed     open the source                                      polling; offline; outage
    polling    classify its new frames, emit changes                polling; offline at its end; outage
    outage     servers fail, or a live stream causes an error
               nobody foresaw: wait twice as long, reopen       polling; offline; finished after 5 min
    offline    the stream has ended or is not live: emit its        finished; with `wait`, closed after 60 s
               verdict, or a failure if there was no frame
    finished   (`finished` is true)

States are implied by `_follower`, `_backoff` and `finished`. With `wait`, outages have no time limit. An unknown login
and the end of a recording always finish.

A source can move to another process at any event: its `state` there goes on with the frame numbers, the answer and the
sums of the verdict, and skips the frames that were classified.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from data.backoff import Backoff
from data.capture.follower import Follower
from data.entities import Frame
from data.errors import (
    SourceNotFound,
    StreamError,
    StreamOffline,
    StreamUnavailable,
    UndecodableVideo,
    UnexpectedStreamError,
    translate_unexpected,
)
from data.filters.frame_filter import is_flat
from data.video.images import decode_jpeg
from model.inference.probabilities import softmax
from recognition.decision.change_detector import ChangeDetector, DetectorState
from recognition.decision.verdict import VerdictAccumulator, VerdictSums
from recognition.engine.batching import ImageClassifier
from recognition.engine.best_frame import BestFrame
from recognition.events import Event, FrameClassified, GameChanged, SourceFailed, VerdictReached, now

_INITIAL_FRAMES = 4  # of the live window: one more than the change detector needs for its first answer
_MAX_BACKLOG = 2  # segments; under load, what streams show now matters more than what they showed
_OFFLINE_POLL_S = 60.0  # between two polls of a stream that is not live
_REPORT_OUTAGE_AFTER_S = 30.0  # shorter outages are only logged
_MAX_OUTAGE_S = 300.0  # then a stream is finished, unless `wait` is set
_RETRY_S, _MAX_RETRY_S = 2.0, 60.0  # the first pause of an outage, which doubles, and the longest one
_DUPLICATE_WINDOW_S = 60.0  # a reopened playlist repeats at most its own live window

log = logging.getLogger(__name__)

Emit = Callable[[Event], None]
OpenFollower = Callable[[str, int, int], Follower]  # (source, initial_frames, max_backlog)


@dataclass(frozen=True, slots=True)
class StreamState:
    """What another process needs to go on with a source after the source's latest event.

    number, newest_date: of the latest frame; epoch seconds. sums, changes: of the accumulator and the change detector.
    reported_reason: of the failure that was emitted since that frame; "" if none was. is_recording: the frames up to
    `number` come again. finished: nothing is left to do. The picture of the verdict stays behind.
    """

    number: int
    newest_date: float
    sums: VerdictSums
    changes: DetectorState
    reported_reason: str
    is_recording: bool
    finished: bool


class WatchedStream:
    """Watches one source. Any thread may poll it, one at a time, until it is `finished`."""

    def __init__(
        self,
        source: str,
        open_follower: OpenFollower,
        classifier: ImageClassifier,
        new_accumulator: Callable[[], VerdictAccumulator],
        *,
        wait: bool = False,
        clock: Callable[[], float] = time.monotonic,
        state: StreamState | None = None,
    ) -> None:
        """Open nothing yet. `new_accumulator` is called for each stream of the source.

        wait: wait for a stream that is not live yet or has ended. state: of the process that watched the source before.
        """
        self.source = source
        self.finished = False
        self.removed = False  # set by who watches it no longer: its events do not count
        self._open_follower = open_follower
        self._classifier = classifier
        self._new_accumulator = new_accumulator
        self._wait = wait
        self._clock = clock
        self._follower: Follower | None = None
        self._number = 0  # of the latest frame, over all streams of the source
        self._reported_missed = 0  # of this follower's missed segments
        self._follower_gave_frame = False
        self._newest_date = 0.0  # epoch seconds
        self._reported_reason = ""  # of the latest failure event, until the next frame
        self._backoff: Backoff | None = None  # of the current outage
        self._skip = 0  # frames of a recording that were classified before its state came here
        self._reset()
        if state:
            self._number, self._newest_date = state.number, state.newest_date
            self._accumulator.restore(state.sums)
            self._detector.restore(state.changes)
            self._reported_reason, self._skip = state.reported_reason, state.number * state.is_recording

    @property
    def state(self) -> StreamState:
        """Return the state after the latest event. Call it while that is being emitted."""
        return StreamState(
            self._number,
            self._newest_date,
            self._accumulator.sums,
            self._detector.state,
            self._reported_reason,
            is_recording=self._follower is not None and not self._follower.live,
            finished=self.finished,
        )

    def poll(self, emit: Emit, stop: threading.Event) -> float:
        """Poll once; return the seconds from the start of this poll to the next one. `stop` skips remaining frames."""
        try:
            with translate_unexpected(self.source):
                if not self._follower:
                    self._reported_missed, self._follower_gave_frame = 0, False
                    self._follower = self._open_follower(self.source, _INITIAL_FRAMES, _MAX_BACKLOG)
                follower = self._follower
                self._poll_follower(follower, emit, stop)
        except StreamError as error:
            return self._on_error(error, emit)
        if follower.ended:
            self.finished = not follower.live
            ended = StreamOffline(f"{self.source}: the stream has ended")
            empty = UndecodableVideo(f"{self.source}: no picture could be decoded")  # nobody sees it after a frame
            return self._on_offline(ended if follower.live else empty, emit)
        return follower.poll_interval_s

    def close(self, emit: Emit) -> None:
        """Emit the verdict of the frames so far, if there are any. The source is finished."""
        self.finished = True
        self._emit_verdict(emit)

    def _reset(self) -> None:
        """Forget the frames of the previous stream."""
        self._accumulator, self._detector = self._new_accumulator(), ChangeDetector(self._classifier.classes)
        self._best = BestFrame()

    def _poll_follower(self, follower: Follower, emit: Emit, stop: threading.Event) -> None:
        # The frames of the first poll are of any age: their lag says nothing about this program.
        has_lag = self._follower_gave_frame and follower.live
        for frame in follower.poll():
            if stop.is_set():
                return
            if not self._was_classified(frame):
                self._follower_gave_frame = True
                self._classify(frame, frame.date if has_lag else None, follower.missed_segments, emit)

    def _was_classified(self, frame: Frame) -> bool:
        """Return whether the frame came before, from the stream's previous playlist or in another process."""
        if self._skip:
            self._skip -= 1
            return True
        if frame.date is None:
            return False
        is_duplicate = self._newest_date - _DUPLICATE_WINDOW_S < frame.date <= self._newest_date
        self._newest_date = self._newest_date if is_duplicate else frame.date
        return is_duplicate

    def _classify(self, frame: Frame, created_at: float | None, missed: int, emit: Emit) -> None:
        """Classify a frame, emit it, and emit the change that it causes.

        created_at: when its segment began, epoch seconds. missed: all missed segments of this follower.
        """
        scored = self._classifier.predict(decode_jpeg(frame.jpeg)[None])  # (1, H, W, 3)
        logits = scored.logits[0]  # (classes,)
        prediction = self._accumulator.add_scored(scored)
        self._best.add(frame.jpeg, prediction, self._accumulator.leader)
        self._number, self._reported_reason, self._backoff = self._number + 1, "", None
        lag_s = None if created_at is None else max(0.0, time.time() - created_at)
        missed, self._reported_missed = missed - self._reported_missed, missed
        before = self._detector.game
        # A frame of one colour says nothing about the game, however confident the model is.
        self._detector.vote(softmax(logits), prediction.known and not is_flat(frame.jpeg))
        emit(FrameClassified(self.source, now(), self._number, prediction, frame.jpeg, lag_s, missed))
        if self._detector.decide():  # not before: after a move, the frame's state must not say what nobody knows
            game, number, confidence = self._detector.game, self._number, self._detector.confidence
            known = game is not None
            emit(GameChanged(self.source, now(), before, game, known, number, confidence, jpeg=frame.jpeg))

    def _on_error(self, error: StreamError, emit: Emit) -> float:
        """End the source, or try again where that may help; return the pause before the next poll."""
        is_recording = self._follower is not None and not self._follower.live
        # What a live stream sends next may be sound; a recording would begin again and fail again.
        if isinstance(error, StreamUnavailable) or (isinstance(error, UnexpectedStreamError) and not is_recording):
            return self._on_outage(error, emit)
        self.finished = is_recording
        return self._on_offline(error, emit)

    def _on_outage(self, error: StreamError, emit: Emit) -> float:
        """Servers fail, the stream may continue: return the pause before the next attempt."""
        self._follower = None
        if not self._backoff:
            self._backoff = Backoff(math.inf, first_s=_RETRY_S, max_s=_MAX_RETRY_S, jitter=0.5)
            self._outage_since = self._clock()
        if (outage_s := self._clock() - self._outage_since) >= _REPORT_OUTAGE_AFTER_S:
            self._emit_failure(error, emit)
        else:
            log.info("%s; trying again", error)
        if outage_s >= _MAX_OUTAGE_S and not self._wait:
            self.close(emit)
        return self._backoff.next_pause_s() or _MAX_RETRY_S  # never None: the budget has no end

    def _on_offline(self, error: StreamError, emit: Emit) -> float:
        """The stream has ended or does not exist: return the pause before the next poll."""
        self._follower = self._backoff = None
        self.finished = self.finished or not self._wait or isinstance(error, SourceNotFound)
        if not self._emit_verdict(emit):
            self._emit_failure(error, emit)
        return _OFFLINE_POLL_S

    def _emit_verdict(self, emit: Emit) -> bool:
        """Emit the stream's verdict and forget its frames; return whether there were any."""
        if self._accumulator.is_empty:
            return False
        event = VerdictReached(self.source, now(), self._accumulator.verdict(), jpeg=self._best.jpeg)
        self._reset()
        emit(event)
        return True

    def _emit_failure(self, error: StreamError, emit: Emit) -> None:
        """Emit a failure, unless the one before it has the same reason."""
        if self._reported_reason != error.reason:
            self._reported_reason = error.reason
            emit(SourceFailed(self.source, now(), error))
