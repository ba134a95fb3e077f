"""A live stream followed to its end: every new segment once, whatever happens to its playlist meanwhile."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import Generic, Protocol, TypeVar

from data.errors import StreamOffline, StreamUnavailable
from data.hls.playlist import Playlist, Seen, Segment

_SILENT_TARGETS = 3  # no new segment for so many target durations: over, or a dead address (streamlink 3628, 5536)
_OUTAGE_S = 60.0  # servers may fail for so long
_LEAST_S, _MOST_S = 1.0, 15.0  # between two looks, whatever a playlist says

# Looks come a little oftener than segments do. So each comes sooner after its segment than the one before, until one is
# too early and the next one follows after half the time: half a segment's length at most is lost to waiting.
_EARLY = 0.95

log = logging.getLogger(__name__)


class Listed(Protocol):
    """What is needed of a `data.hls.rendition.Rendition`."""

    name: str

    def playlist(self) -> Playlist: ...


_R = TypeVar("_R", bound=Listed)


class Live(Generic[_R]):
    """One stream. `reopen()` finds its rendition anew, as data.capture.source_resolver.Sources.stream does.

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
        self._seen = Seen()
        self.over = False
        self.pause_s = _LEAST_S
        self._first = True  # nothing but ads was seen
        self._passed = 0
        self._renewed = False  # and nothing new came since
        self._target_s = self._beat_s = _LEAST_S
        self._heard_at = self._moved_at = clock()  # the last answer, and the last new segment

    @property
    def lost(self) -> int:
        """Segments that had come and gone between two looks, and those passed over."""
        return self._seen.lost + self._passed

    def segments(self, at_first: int) -> Iterator[tuple[_R, Segment]]:
        """What `look` gives, look after look, until the stream ends."""
        while not self.over:
            looked_at = self._clock()
            yield from self.look(at_first)
            if not self.over and self._sleep(max(0.0, looked_at + self.pause_s - self._clock())):
                return

    def look(self, at_first: int, at_most: int | None = None) -> list[tuple[_R, Segment]]:
        """New segments that are no ads, with what opens them; of a live stream's first ones, the newest `at_first`.

        `at_most`: of later ones no more than so many, the newest, for whom being late is worse than missing some.
        Of a recording all. Raises StreamUnavailable when its servers have failed for a minute.
        """
        fresh = self._look()
        content = [segment for segment in fresh if not segment.ad]
        most = len(content) if self.over else at_first if self._first else at_most
        past = 0 if most is None else max(0, len(content) - most)
        self._passed += 0 if self._first else past
        self._first = self._first and not content
        self.pause_s = max(_LEAST_S, self._beat_s * (_EARLY if fresh else 0.5))
        return [(self._rendition, segment) for segment in content[past:]]

    def _look(self) -> list[Segment]:
        """What is new in the playlist; notes what that says of the stream."""
        try:
            playlist = self._rendition.playlist()
        except StreamOffline as error:
            self._renew(error)
            return []
        except StreamUnavailable as error:
            self._bear(error)
            return []
        now = self._clock()
        self._heard_at, self.over = now, playlist.over
        self._target_s = min(playlist.target_s, _MOST_S)
        fresh = self._seen.fresh(playlist)
        if fresh:
            self._moved_at, self._renewed = now, False
            self._beat_s = min(fresh[-1].seconds or self._target_s, self._target_s)
        elif now - self._moved_at > _SILENT_TARGETS * max(_LEAST_S, self._target_s):
            self._renew(StreamOffline(f"{self._rendition.name} has fallen silent"))
        return fresh

    def _renew(self, reason: StreamOffline) -> None:
        """Go on at a new address: the old one dies after a day or so. If that one gave nothing either, it is over."""
        log.info("%s", reason)
        self.over = self._renewed
        if not self.over:
            try:
                self._rendition = self._reopen()
            except StreamOffline:
                self.over = True
            except StreamUnavailable as error:
                self._bear(error)
            else:
                self._renewed = True
                self._heard_at = self._moved_at = self._clock()
                self._seen.renumbered()

    def _bear(self, error: StreamUnavailable) -> None:
        """Servers in trouble are no end of the stream, for a while."""
        now = self._clock()
        if now - self._heard_at > _OUTAGE_S:
            raise error
        log.info("%s; trying again", error)
        self._moved_at = now
