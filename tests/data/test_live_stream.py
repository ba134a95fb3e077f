"""Live stream polled to its end: scripted playlists, and a clock that the test advances."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import pytest

from data.errors import StreamOffline, StreamUnavailable
from data.hls.live_stream import LiveStream
from data.hls.playlist import Playlist, Segment
from data.hls.rendition import Rendition
from data.http.range_reader import ByteRange

START = 1_700_000_000.0
GONE, DOWN = StreamOffline("gone"), StreamUnavailable("down")


class FakeRendition(Rendition):
    """A stream's address: each request gets the next playlist or error; the last one repeats."""

    def __init__(self, *responses: Playlist | Exception) -> None:
        self.name = "someone"
        self._responses = deque(responses)

    def playlist(self) -> Playlist:
        found = self._responses.popleft() if len(self._responses) > 1 else self._responses[0]
        if isinstance(found, Exception):
            raise found
        return found


class Clock:
    """A clock that only waits advance, and record; it asks to stop after `max_waits`."""

    def __init__(self, max_waits: int = 1000) -> None:
        self.now = 0.0
        self.waits: list[float] = []
        self._max_waits = max_waits

    def sleep(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now += seconds
        return len(self.waits) >= self._max_waits


def media_playlist(
    *numbers: int, ads: Sequence[int] = (), shift: int = 0, target_s: float = 2.0, ended: bool = False
) -> Playlist:
    """Return a playlist of these segments; `shift` is added to their numbers at this address."""
    segments = [Segment(n + shift, ByteRange(f"{n}"), None, 2.0, START + 2 * n, ad=n in ads) for n in numbers]
    return Playlist(tuple(segments), target_s, ended)


def segments(stream: LiveStream, clock: Clock, initial_segments: int) -> Iterator[Segment]:
    """Yield the segments of all polls, until the stream ends or the clock asks to stop."""
    while not stream.ended:
        polled_at = clock.now
        yield from (segment for _, segment in stream.poll(initial_segments))
        if not stream.ended and clock.sleep(max(0.0, polled_at + stream.poll_interval_s - clock.now)):
            return


def followed_segments(
    first: FakeRendition, *others: FakeRendition | Exception, clock: Clock | None = None, initial_segments: int = 100
) -> list[int]:
    """Return the URIs of all segments as numbers; `others` are the addresses that reopening finds."""
    clock, later = clock or Clock(), iter(others)

    def reopen() -> FakeRendition:
        found = next(later, StreamOffline("not live"))
        if isinstance(found, Exception):
            raise found
        return found

    stream = LiveStream(first, reopen, lambda: clock.now)
    return [int(segment.byte_range.uri) for segment in segments(stream, clock, initial_segments)]


def test_poll_until_endlist_returns_each_segment_once():
    """Three overlapping playlists, the last with ENDLIST: in order, and no wait after the end."""
    clock = Clock()
    stream = FakeRendition(media_playlist(1, 2, 3), media_playlist(2, 3, 4), media_playlist(4, 5, 6, ended=True))
    assert followed_segments(stream, clock=clock) == [1, 2, 3, 4, 5, 6]
    assert clock.waits == [1.9, 1.9]


def test_poll_interval_is_halved_when_nothing_is_new():
    """Otherwise it is nearly the length of a segment, whatever the target duration."""
    clock = Clock()
    followed_segments(
        FakeRendition(
            media_playlist(1), media_playlist(1), media_playlist(1, 2, target_s=6), media_playlist(2, 3, ended=True)
        ),
        clock=clock,
    )
    assert clock.waits == [1.9, 1.0, 1.9]


def test_polls_follow_new_segments_within_a_second():
    """With a segment each two seconds, once one poll was too early."""
    clock, late = Clock(max_waits=400), []

    class Made(FakeRendition):
        def playlist(self) -> Playlist:
            return media_playlist(*range(int(clock.now / 2) + 1))

    stream = LiveStream(Made(), Made, lambda: clock.now)
    late.extend(clock.now - 2 * int(segment.byte_range.uri) for segment in segments(stream, clock, 1))
    assert len(late) > 300
    assert max(late[25:]) <= 1.0 + 1e-6


@pytest.mark.parametrize(("initial_segments", "expected"), [(0, [4]), (1, [3, 4]), (2, [2, 3, 4]), (9, [1, 2, 3, 4])])
def test_first_poll_returns_the_initial_segments(initial_segments, expected):
    """Later polls return all new ones."""
    assert (
        followed_segments(
            FakeRendition(media_playlist(1, 2, 3), media_playlist(3, 4), media_playlist(4, ended=True)),
            initial_segments=initial_segments,
        )
        == expected
    )


def test_first_playlist_with_endlist_returns_all_segments():
    """It is a recording, so `initial_segments` does not apply."""
    assert followed_segments(FakeRendition(media_playlist(*range(50), ended=True)), initial_segments=1) == [*range(50)]


def test_poll_drops_ads():
    """Before and within the stream; the first segment is the newest one after the pre-roll."""
    stream = FakeRendition(
        media_playlist(1, 2, ads=(1, 2)),
        media_playlist(1, 2, 3, 4, ads=(1, 2)),
        media_playlist(4, 5, 6, ads=(5,)),
        media_playlist(6, 7, ended=True),
    )
    assert followed_segments(stream, initial_segments=1) == [4, 6, 7]


def test_stalled_stream_is_reopened_then_ends():
    """Three target durations without a new segment, at the old and then at the new address."""
    clock = Clock()
    assert followed_segments(
        FakeRendition(media_playlist(1, 2)), FakeRendition(media_playlist(1, 2, shift=70)), clock=clock
    ) == [1, 2]
    assert 6 < clock.now < 20


def test_expired_address_of_an_offline_channel_ends_the_stream():
    """It is not an error."""
    assert followed_segments(FakeRendition(media_playlist(1, 2), GONE), StreamOffline("not live")) == [1, 2]


def test_expired_address_is_reopened():
    """Segments have other numbers at the new address: none comes twice, none is missing."""
    old = FakeRendition(media_playlist(1, 2, 3), GONE)
    assert followed_segments(
        old, FakeRendition(media_playlist(2, 3, 4, 5, shift=-2), media_playlist(5, 6, shift=-2, ended=True))
    ) == [*range(1, 7)]


def test_expired_addresses_are_reopened_again_and_again():
    """Addresses expire many times within a long stream."""
    addresses = [FakeRendition(media_playlist(n, n + 1, shift=100 * n), GONE) for n in range(1, 9)]
    assert followed_segments(*addresses) == [*range(1, 10)]


def test_addresses_that_never_work_end_the_stream():
    """A channel that is listed but has no playlist is not requested forever."""
    clock = Clock()
    assert followed_segments(FakeRendition(media_playlist(1)), *[FakeRendition(GONE)] * 50, clock=clock) == [1]
    assert len(clock.waits) < 20


def test_outage_of_half_a_minute_loses_nothing():
    """At the playlist or while reopening; an outage does not count as a stall."""
    stream = FakeRendition(media_playlist(1, 2), *[DOWN] * 20, media_playlist(2, 3), GONE)
    assert followed_segments(stream, DOWN, DOWN, FakeRendition(media_playlist(3, 4, shift=9, ended=True))) == [
        1,
        2,
        3,
        4,
    ]


def test_outage_of_a_minute_raises():
    """StreamUnavailable, after 60 s without a response."""
    clock = Clock()
    with pytest.raises(StreamUnavailable, match="down"):
        followed_segments(FakeRendition(media_playlist(1), DOWN), clock=clock)
    assert 60 < clock.now < 70


def test_stop_ends_the_polling():
    """The caller stops when its wait returns true."""
    assert followed_segments(
        FakeRendition(media_playlist(1), media_playlist(1, 2), media_playlist(1, 2, 3)), clock=Clock(max_waits=2)
    ) == [1, 2]
