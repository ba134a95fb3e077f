"""Live stream: a playlist that is polled until the stream ends. Each new segment is returned once.

    poll:  fetch the playlist
           not found            → reopen the stream at its new address; not live any more: ended
           server error         → tolerate it for 60 s, then raise StreamUnavailable
           nothing new for long → reopen; nothing new there either: ended
           else                 → return the new usable segments: no ads, none encrypted, no gaps

Nothing here waits: `poll_interval_s` says when the next poll is due.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from data.errors import StreamOffline, StreamUnavailable
from data.hls.playlist import Segment, SegmentTracker
from data.hls.rendition import Rendition

# After 3 target durations without a new segment a stream has ended, or its address has expired (streamlink 3628, 5536).
_STALL_FACTOR = 3
_OUTAGE_S = 60.0  # server errors are tolerated for so long after the last response
_MIN_POLL_S, _MAX_POLL_S = 1.0, 15.0  # limits of the poll interval, whatever a playlist says

# Poll at 95 % of the segment duration, to drift towards the publication of segments. A poll that comes too early finds
# nothing; then poll again after half a segment.
_POLL_FACTOR = 0.95

log = logging.getLogger(__name__)


class LiveStream:
    """One live stream, or the recording of one.

    `reopen()` returns the rendition at the stream's current address; it raises StreamOffline, StreamUnavailable,
    SourceNotFound or UndecodableVideo.
    `ended`: no more segments will come. `poll_interval_s`: seconds between the start of a poll and the next one.
    `missed_segments`: number that left the playlist between two polls, or that `max_segments` skipped.
    """

    def __init__(self, rendition: Rendition, reopen: Callable[[], Rendition], clock: Callable[[], float]) -> None:
        self._rendition = rendition
        self._reopen = reopen
        self._clock = clock
        self._tracker = SegmentTracker()
        self.ended = False
        self.poll_interval_s = _MIN_POLL_S
        self.missed_segments = 0
        self._no_content_yet = True  # only ads came so far
        self._skipped = 0  # segments beyond `max_segments`
        self._reopened = False  # and no new segment came since
        self._segment_s = _MIN_POLL_S
        self._last_response_at = self._last_segment_at = clock()

    def poll(self, initial_segments: int, max_segments: int | None = None) -> list[tuple[Rendition, Segment]]:
        """Return the new usable segments, oldest first, each with the rendition that opens it.

        The first poll returns the newest `initial_segments`, later ones the newest `max_segments` (None: all).
        For a recording, return all segments. Raises StreamUnavailable after 60 s of server errors,
        and SourceNotFound or UndecodableVideo.
        """
        new = self._refresh()
        content = [segment for segment in new if segment.usable]
        limit = len(content) if self.ended else initial_segments if self._no_content_yet else max_segments
        skipped = 0 if limit is None else max(0, len(content) - limit)
        self._skipped += 0 if self._no_content_yet else skipped
        self.missed_segments = self._tracker.missed_segments + self._skipped
        self._no_content_yet = self._no_content_yet and not content
        self.poll_interval_s = max(_MIN_POLL_S, self._segment_s * (_POLL_FACTOR if new else 0.5))
        return [(self._rendition, segment) for segment in content[skipped:]]

    def _refresh(self) -> list[Segment]:
        """Fetch the playlist, update the stream's state, and return the new segments, ads included."""
        try:
            playlist = self._rendition.playlist()
        except StreamOffline as error:
            self._reopen_or_end(str(error))
            return []
        except StreamUnavailable as error:
            self._tolerate_outage(error)
            return []
        now = self._clock()
        self._last_response_at, self.ended = now, playlist.ended
        target_s = min(playlist.target_s, _MAX_POLL_S)
        new = self._tracker.new_segments(playlist)
        if new:
            self._last_segment_at, self._reopened = now, False
            self._segment_s = min(new[-1].seconds or target_s, target_s)
        elif now - self._last_segment_at > _STALL_FACTOR * max(_MIN_POLL_S, target_s):
            self._reopen_or_end(f"{self._rendition.name} sends no new segments")
        return new

    def _reopen_or_end(self, reason: str) -> None:
        """Continue at a new address, because addresses expire after about a day; end if it gives nothing either."""
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
        """Tolerate server errors for up to 60 s after the last response, then raise `error`."""
        now = self._clock()
        if now - self._last_response_at > _OUTAGE_S:
            raise error
        log.info("%s; retrying", error)
        self._last_segment_at = now  # an outage is no stall
