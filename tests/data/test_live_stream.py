"""data.hls.live_stream: a stream followed to its end, on addresses that a test wrote down and a clock that it turns."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import pytest

from data.errors import StreamOffline, StreamUnavailable
from data.hls.live_stream import LiveStream
from data.hls.playlist import ByteRange, Playlist, Segment

START = 1_700_000_000.0
GONE, DOWN = StreamOffline("gone"), StreamUnavailable("down")


class FakeRendition:
    """A stream's address: each look takes the next of its playlists or errors, the last one again and again."""

    name = "someone"

    def __init__(self, *looks: Playlist | Exception) -> None:
        self._looks = deque(looks)

    def playlist(self) -> Playlist:
        found = self._looks.popleft() if len(self._looks) > 1 else self._looks[0]
        if isinstance(found, Exception):
            raise found
        return found


class Clock:
    """Time passes in waits alone, which are noted; after `at_most` of them there is no more waiting."""

    def __init__(self, at_most: int = 1000) -> None:
        self.now = 0.0
        self.waits: list[float] = []
        self._at_most = at_most

    def sleep(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.now += seconds
        return len(self.waits) >= self._at_most


def look(*numbers: int, ads: Sequence[int] = (), shift: int = 0, target_s: float = 2.0, ended: bool = False) -> Playlist:
    """A playlist of these segments; `shift`: how much larger their numbers are at this address."""
    segments = [Segment(n + shift, ByteRange(f"{n}"), None, 2.0, START + 2 * n, ad=n in ads) for n in numbers]
    return Playlist(tuple(segments), target_s, ended)


def segments(stream: LiveStream, clock: Clock, initial_segments: int) -> Iterator[Segment]:
    """The segments of all polls, until the stream ends or the clock says to stop."""
    while not stream.ended:
        polled_at = clock.now
        yield from (segment for _, segment in stream.poll(initial_segments))
        if not stream.ended and clock.sleep(max(0.0, polled_at + stream.poll_interval_s - clock.now)):
            return


def followed(
    first: FakeRendition, *others: FakeRendition | Exception, clock: Clock | None = None, initial_segments: int = 100
) -> list[int]:
    """The segments that following gives; the other addresses are what reopening finds."""
    clock, later = clock or Clock(), iter(others)

    def reopen() -> FakeRendition:
        found = next(later, StreamOffline("not live"))
        if isinstance(found, Exception):
            raise found
        return found

    stream = LiveStream(first, reopen, lambda: clock.now)
    return [int(segment.byte_range.uri) for segment in segments(stream, clock, initial_segments)]


def test_every_segment_once_until_the_end():
    """Three looks that overlap, the last with ENDLIST: each segment once, in order, and no wait after the end."""
    clock = Clock()
    stream = FakeRendition(look(1, 2, 3), look(2, 3, 4), look(4, 5, 6, ended=True))
    assert followed(stream, clock=clock) == [1, 2, 3, 4, 5, 6]
    assert clock.waits == [1.9, 1.9]


def test_it_looks_sooner_where_nothing_was_new():
    """After a change nearly as long as its segments last, whatever the longest may be; else half as long as they do."""
    clock = Clock()
    followed(FakeRendition(look(1), look(1), look(1, 2, target_s=6), look(2, 3, ended=True)), clock=clock)
    assert clock.waits == [1.9, 1.0, 1.9]


def test_looks_come_soon_after_segments():
    """Of a segment each two seconds: once a look was too early, none comes more than a second after its segment."""
    clock, late = Clock(at_most=400), []

    class Made:
        name = "someone"

        def playlist(self) -> Playlist:
            return look(*range(int(clock.now / 2) + 1))

    stream = LiveStream(Made(), Made, lambda: clock.now)
    for segment in segments(stream, clock, 1):
        late.append(clock.now - 2 * int(segment.byte_range.uri))
    assert len(late) > 300
    assert max(late[25:]) <= 1.0 + 1e-6


@pytest.mark.parametrize(("initial_segments", "expected"), [(0, [4]), (1, [3, 4]), (2, [2, 3, 4]), (9, [1, 2, 3, 4])])
def test_how_much_of_the_past(initial_segments, expected):
    """Of the first look so many of the newest, of the others all."""
    assert followed(FakeRendition(look(1, 2, 3), look(3, 4), look(4, ended=True)), initial_segments=initial_segments) == expected


def test_a_recording_is_gone_through_from_its_start():
    """Where the first look has ENDLIST already, all of it comes."""
    assert followed(FakeRendition(look(*range(50), ended=True)), initial_segments=1) == [*range(50)]


def test_ads_are_left_out():
    """A pre-roll and a break: the stream around them comes, and its first picture is the newest behind the pre-roll."""
    stream = FakeRendition(
        look(1, 2, ads=(1, 2)), look(1, 2, 3, 4, ads=(1, 2)), look(4, 5, 6, ads=(5,)), look(6, 7, ended=True)
    )
    assert followed(stream, initial_segments=1) == [4, 6, 7]


def test_silence_ends_it():
    """Without ENDLIST: three target durations of nothing new, then a new address, which has nothing new either."""
    clock = Clock()
    assert followed(FakeRendition(look(1, 2)), FakeRendition(look(1, 2, shift=70)), clock=clock) == [1, 2]
    assert 6 < clock.now < 20


def test_a_stream_that_is_over_when_its_address_dies():
    """The playlist is gone, and the channel is not live: no error, the end."""
    assert followed(FakeRendition(look(1, 2), GONE), StreamOffline("not live")) == [1, 2]


def test_an_address_that_dies_is_renewed():
    """Its segments have other numbers at the new address: none twice, none lost."""
    old = FakeRendition(look(1, 2, 3), GONE)
    assert followed(old, FakeRendition(look(2, 3, 4, 5, shift=-2), look(5, 6, shift=-2, ended=True))) == [*range(1, 7)]


def test_it_is_renewed_as_often_as_it_takes():
    """Addresses die every few hours of a long stream."""
    addresses = [FakeRendition(look(n, n + 1, shift=100 * n), GONE) for n in range(1, 9)]
    assert followed(*addresses) == [*range(1, 10)]


def test_dead_addresses_alone_are_the_end():
    """A channel that is listed, at addresses that are gone at once, is not asked for ever."""
    clock = Clock()
    assert followed(FakeRendition(look(1)), *[FakeRendition(GONE)] * 50, clock=clock) == [1]
    assert len(clock.waits) < 20


def test_trouble_of_the_servers_is_waited_out():
    """Half a minute of failures, at the playlist or in finding a new one, loses nothing; it is no silence either."""
    stream = FakeRendition(look(1, 2), *[DOWN] * 20, look(2, 3), GONE)
    assert followed(stream, DOWN, DOWN, FakeRendition(look(3, 4, shift=9, ended=True))) == [1, 2, 3, 4]


def test_trouble_without_end_is_an_error():
    """After a minute of failures it is StreamUnavailable."""
    clock = Clock()
    with pytest.raises(StreamUnavailable, match="down"):
        followed(FakeRendition(look(1), DOWN), clock=clock)
    assert 60 < clock.now < 70


def test_a_stop_ends_it():
    """When the wait says that there is no more waiting, it ends there."""
    assert followed(FakeRendition(look(1), look(1, 2), look(1, 2, 3)), clock=Clock(at_most=2)) == [1, 2]
