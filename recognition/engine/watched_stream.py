"""One source that is watched: opened, looked at again and again, missed, found again, and what it showed."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable

from data.capture.follower import Tail
from data.entities import Frame
from data.errors import StreamError, StreamOffline, StreamUnavailable, SourceNotFound
from data.filters.frame_filter import is_flat
from data.video.decoder import decode
from recognition.decision.change_detector import Window
from recognition.decision.verdict import Jury, softmax
from recognition.engine.batching import Judge
from recognition.events import VerdictReached, GameChanged, Event, SourceFailed, FrameClassified, now

_FIRST = 4  # frames of the live window to begin with: one more than the window's answer takes
_BEHIND = 2  # segments: where there is no time for all, what streams show now matters more than what they showed
_ABSENT_S = 60.0  # between two looks for a stream that is not live
_BEAR_S = 30.0  # servers may fail for so long before that is told
_OUTAGE_S = 300.0  # and for so long before a stream that is not waited for is given up
_RETRY_S, _RETRY_MOST_S = 2.0, 60.0  # the first pause before another try, which doubles, and the longest
_REPEATED_S = 60.0  # what is found again at another address is no older than its window

log = logging.getLogger(__name__)

Tell = Callable[[Event], None]


class Watched:
    """A source. `over`: nothing more is to be seen of it. Its turns may be in any threads, one at a time.

    `opened(source, at_first, behind)`: what `data.capture.grabber.Grabber.tail` gives. `wait`: for a stream that is not live
    yet, or any more; without, it is over with its first stream. A recording is over with its end in any case.
    """

    def __init__(
        self,
        source: str,
        opened: Callable[[str, int, int], Tail],
        judge: Judge,
        jury: Callable[[], Jury],
        *,
        wait: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.source = source
        self.over = False
        self._opened = opened
        self._judge = judge
        self._new_jury = jury
        self._wait = wait
        self._clock = clock
        self._tail: Tail | None = None
        self._number = 0
        self._lost = 0  # of this tail's segments, as far as it was told
        self._joined = False  # whether this tail gave a frame
        self._newest = 0.0  # the latest frame's date
        self._told = ""  # the failure that was told last, and no frame since
        self._tries, self._since = 0, 0.0  # of an outage: vain tries, and when the first one was
        self._begin()

    def turn(self, tell: Tell, stop: threading.Event) -> float:
        """Look once; how many seconds after this turn's beginning the next one is due. `stop`: leave what is left."""
        try:
            tail = self._tail = self._tail or self._open()
            self._look(tail, tell, stop)
        except StreamUnavailable as error:
            return self._trouble(error, tell)
        except StreamError as error:
            return self._absent(error, tell)
        if tail.over:
            self.over = not tail.live
            return self._absent(StreamOffline(f"{self.source} is over"), tell)
        return tail.pause_s

    def close(self, tell: Tell) -> None:
        """Tell what it showed so far. It is over."""
        self.over = True
        self._answer(tell)

    def _begin(self) -> None:
        """A stream begins: what another one showed before it does not count."""
        self._jury, self._window = self._new_jury(), Window(self._judge.classes)
        self._heard = False

    def _open(self) -> Tail:
        self._lost, self._joined = 0, False
        return self._opened(self.source, _FIRST, _BEHIND)

    def _look(self, tail: Tail, tell: Tell, stop: threading.Event) -> None:
        known_age = self._joined and tail.live  # what is there at first is of any age
        for frame in tail.look():
            if stop.is_set():
                return
            if not self._was_seen(frame):
                self._joined = True
                self._see(frame, frame.date if known_age else None, tail.lost, tell)

    def _was_seen(self, frame: Frame) -> bool:
        """Whether it came already, at the stream's address before this one."""
        if frame.date is None:
            return False
        seen = self._newest - _REPEATED_S < frame.date <= self._newest
        self._newest = self._newest if seen else frame.date
        return seen

    def _see(self, frame: Frame, made: float | None, lost: int, tell: Tell) -> None:
        """Judge a frame, made then (epoch seconds), before which so many were lost; tell of it, and what it changes."""
        judged = self._judge.judge(decode(frame.jpeg)[None])
        logits = judged.logits[0]
        prediction = self._jury.hear(logits, bool(judged.known[0]))
        self._number, self._heard, self._told, self._tries = self._number + 1, True, "", 0
        lag_s = None if made is None else max(0.0, time.time() - made)
        lost, self._lost = lost - self._lost, lost
        tell(FrameClassified(self.source, now(), self._number, prediction, frame.jpeg, lag_s, lost))
        before = self._window.game
        if self._window.hear(softmax(logits), prediction.known and not is_flat(frame.jpeg)):
            game, confidence = self._window.game, self._window.confidence
            tell(GameChanged(self.source, now(), before, game, game is not None, self._number, confidence))

    def _trouble(self, error: StreamUnavailable, tell: Tell) -> float:
        """Its servers fail: the stream may go on where it was. Each pause is twice the one before it."""
        self._tail = None
        since = self._since = self._since if self._tries else self._clock()
        self._tries += 1
        if (lasted := self._clock() - since) >= _BEAR_S:
            self._fail(error, tell)
        else:
            log.info("%s; trying again", error)
        if lasted >= _OUTAGE_S and not self._wait:
            self.close(tell)
        return min(_RETRY_S * 2.0 ** min(self._tries - 1, 10), _RETRY_MOST_S) * random.uniform(1, 1.5)

    def _absent(self, error: StreamError, tell: Tell) -> float:
        """Its stream has ended, or there is none."""
        self._tail, self._tries = None, 0
        if not self._answer(tell):
            self._fail(error, tell)
        self.over = self.over or not self._wait or isinstance(error, SourceNotFound)
        return _ABSENT_S

    def _answer(self, tell: Tell) -> bool:
        """Tell the verdict on the stream, if there was a frame of it, and begin anew; whether there was."""
        heard = self._heard
        if heard:
            tell(VerdictReached(self.source, now(), self._jury.verdict()))
            self._begin()
        return heard

    def _fail(self, error: StreamError, tell: Tell) -> None:
        """Tell of a failure once, however often it is met."""
        if self._told != error.reason:
            self._told = error.reason
            tell(SourceFailed(self.source, now(), error))
