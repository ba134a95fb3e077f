"""A live stream followed to its end: every new segment once, whatever happens to its playlist meanwhile."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from data.errors import StreamOffline, StreamUnavailable
from data.hls.playlist import Playlist, Segment, SegmentTracker

_STALL_TARGETS = 3  # no new segment for so many target durations: over, or a dead address (streamlink 3628, 5536)
_OUTAGE_S = 60.0  # servers may fail for so long
_MIN_POLL_S, _MAX_POLL_S = 1.0, 15.0  # between two looks, whatever a playlist says

# Looks come a little oftener than segments do. So each comes sooner after its segment than the one before, until one is
# too early and the next one follows after half the time: half a segment's length at most is lost to waiting.
_POLL_FACTOR = 0.95

log = logging.getLogger(__name__)


class PlaylistSource(Protocol):
    """What is needed of a `data.hls.rendition.Rendition`."""

    name: str

    def playlist(self) -> Playlist: ...


_R = TypeVar("_R", bound=PlaylistSource)


class LiveStream(Generic[_R]):
    """One stream. `reopen()` finds its rendition anew, as data.capture.source_resolver.SourceResolver.stream does.

    `over`: nothing more will come. `pause_s`: seconds after a look at which the next one should come.
    `sleep`: how to wait; true when there is no more waiting. `clock`: seconds that only grow.
    """

    def __init__(
        self,
        rendition: _R,
        reopen: Callable[[], _R],
        sleep: Callable[[float], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rendition = rendition
        self._reopen = reopen
        self._sleep = sleep
        self._clock = clock
        self._tracker = SegmentTracker()
        self.ended = False
        self.poll_interval_s = _MIN_POLL_S
        self._first = True  # nothing but ads was seen
        self._skipped = 0
        self._reopened = False  # and nothing new came since
        self._target_s = self._segment_s = _MIN_POLL_S
        self._last_response_at = self._last_segment_at = clock()  # the last answer, and the last new segment

    @property
    def missed_segments(self) -> int:
        """Segments that had come and gone between two looks, and those passed over."""
        return self._tracker.missed_segments + self._skipped

    def segments(self, initial_segments: int) -> Iterator[tuple[_R, Segment]]:
        """What `look` gives, look after look, until the stream ends."""
        while not self.ended:
            looked_at = self._clock()
            yield from self.poll(initial_segments)
            if not self.ended and self._sleep(max(0.0, looked_at + self.poll_interval_s - self._clock())):
                return

    def poll(self, initial_segments: int, max_segments: int | None = None) -> list[tuple[_R, Segment]]:
        """New segments that are no ads, with what opens them; of a live stream's first ones, the newest `at_first`.

        `at_most`: of later ones no more than so many, the newest, for whom being late is worse than missing some.
        Of a recording all. Raises StreamUnavailable when its servers have failed for a minute.
        """
        new = self._refresh()
        content = [segment for segment in new if not segment.ad]
        most = len(content) if self.ended else initial_segments if self._first else max_segments
        past = 0 if most is None else max(0, len(content) - most)
        self._skipped += 0 if self._first else past
        self._first = self._first and not content
        self.poll_interval_s = max(_MIN_POLL_S, self._segment_s * (_POLL_FACTOR if new else 0.5))
        return [(self._rendition, segment) for segment in content[past:]]

    def _refresh(self) -> list[Segment]:
        """What is new in the playlist; notes what that says of the stream."""
        try:
            playlist = self._rendition.playlist()
        except StreamOffline as error:
            self._reopen_or_end(error)
            return []
        except StreamUnavailable as error:
            self._tolerate_outage(error)
            return []
        now = self._clock()
        self._last_response_at, self.ended = now, playlist.ended
        self._target_s = min(playlist.target_s, _MAX_POLL_S)
        new = self._tracker.new_segments(playlist)
        if new:
            self._last_segment_at, self._reopened = now, False
            self._segment_s = min(new[-1].seconds or self._target_s, self._target_s)
        elif now - self._last_segment_at > _STALL_TARGETS * max(_MIN_POLL_S, self._target_s):
            self._reopen_or_end(StreamOffline(f"{self._rendition.name} has fallen silent"))
        return new

    def _reopen_or_end(self, reason: StreamOffline) -> None:
        """Go on at a new address: the old one dies after a day or so. If that one gave nothing either, it is over."""
        log.info("%s", reason)
        self.ended = self._reopened
        if not self.ended:
            try:
                self._rendition = self._reopen()
            except StreamOffline:
                self.ended = True
            except StreamUnavailable as error:
                self._tolerate_outage(error)
            else:
                self._reopened = True
                self._last_response_at = self._last_segment_at = self._clock()
                self._tracker.reset_numbering()

    def _tolerate_outage(self, error: StreamUnavailable) -> None:
        """Servers in trouble are no end of the stream, for a while."""
        now = self._clock()
        if now - self._last_response_at > _OUTAGE_S:
            raise error
        log.info("%s; trying again", error)
        self._last_segment_at = now
