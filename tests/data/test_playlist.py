"""data.hls.playlist: which segments are new, and when a picture is due."""

from __future__ import annotations

from itertools import islice

import pytest

from data.capture.follower import FrameSchedule
from data.hls.playlist import ByteRange, Playlist, Segment, SegmentTracker
from data.video.sampling import bit_reversed, evenly_spaced, sample_times

START = 1_700_000_000.0


def look(*numbers: int, dated: bool = True, shift_s: float = 0.0, ended: bool = False) -> Playlist:
    """A playlist of two-second segments; their dates follow their numbers, `shift_s` later."""
    segments = [
        Segment(number, ByteRange(f"{number}.ts"), None, 2.0, START + 2 * number + shift_s if dated else None, ad=False)
        for number in numbers
    ]
    return Playlist(tuple(segments), 2.0, ended)


def numbers(segments: list[Segment]) -> list[int]:
    return [segment.number for segment in segments]


@pytest.mark.parametrize("dated", [True, False])
def test_each_segment_is_new_once(dated):
    """Overlapping looks, the same look twice and an empty one: every number comes once, in order."""
    seen = SegmentTracker()
    looks = [look(5, 6, 7, dated=dated), look(6, 7, 8, dated=dated), look(6, 7, 8, dated=dated), look(dated=dated)]
    assert [numbers(seen.new_segments(one)) for one in looks] == [[5, 6, 7], [8], [], []]
    assert numbers(seen.new_segments(look(9, 10, dated=dated))) == [9, 10]


def test_an_old_copy_brings_nothing():
    """A server that answers with the playlist of a moment ago does not make its segments new again."""
    seen = SegmentTracker()
    seen.new_segments(look(5, 6, 7, dated=False))
    seen.new_segments(look(6, 7, 8, dated=False))
    assert not seen.new_segments(look(5, 6, 7, dated=False))
    assert numbers(seen.new_segments(look(7, 8, 9, dated=False))) == [9]


def test_numbers_that_begin_anew():
    """After an encoder's restart segments are numbered from 0: all of them are new, and again each once."""
    seen = SegmentTracker()
    seen.new_segments(look(500, 501, 502))
    assert numbers(seen.new_segments(look(0, 1, shift_s=1006))) == [0, 1]
    assert numbers(seen.new_segments(look(0, 1, 2, shift_s=1006))) == [2]


def test_dates_tell_what_another_address_repeats():
    """At a new address the same segments have other numbers: by their dates none comes twice, and none is lost."""
    seen = SegmentTracker()
    seen.new_segments(look(5, 6, 7))
    seen.reset_numbering()
    assert numbers(seen.new_segments(look(105, 106, 107, 108, shift_s=-200))) == [108]
    assert numbers(seen.new_segments(look(106, 107, 108, 109, shift_s=-200))) == [109]


@pytest.mark.parametrize(
    ("interval_s", "seconds", "expected"),
    [
        (0, 2.0, [[0.0]] * 6),
        (2, 2.0, [[0.0]] * 6),
        (4, 2.0, [[0.0], [], [0.0], [], [0.0], []]),
        (5, 2.0, [[0.0], [], [0.0], [], [], [0.0]]),
        (1, 2.0, [[0.0, 1.0]] * 6),
        (1.5, 2.0, [[0.0, 1.5], [1.0], [0.5], [0.0, 1.5], [1.0], [0.5]]),
        (30, 10.0, [[0.0], [], [], [0.0], [], []]),
    ],
)
def test_pace(interval_s, seconds, expected):
    """Of six segments, the places at which pictures are due; a long interval keeps to first pictures."""
    pace = FrameSchedule(interval_s)
    segment = Segment(1, ByteRange("1.ts"), None, seconds, None, ad=False)
    assert [pace.offsets(segment) for _ in range(6)] == expected


def test_evenly():
    """Of ten segments three are from start, middle and end; of three ten are all three."""
    ten = look(*range(10)).segments
    assert numbers(evenly_spaced(ten, 3)) == [0, 3, 6]
    assert numbers(evenly_spaced(ten[:3], 10)) == [0, 1, 2]
    assert not evenly_spaced(ten, 0)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 13, 15, 16, 100])
def test_scattered(count):
    """All are there, once; the first few of them, however few, leave no gap much larger than the others."""
    order = bit_reversed(range(count))
    assert sorted(order) == list(range(count))
    for few in range(2, count):
        seen = sorted(order[:few])
        gaps = [after - before for before, after in zip(seen, [*seen[1:], count], strict=True)]
        assert max(gaps) <= 4 * count / few


def test_places_in_a_recording():
    """One each interval; or so many of all, in their order or scattered; or one every two seconds, on and on."""
    assert list(sample_times(100.0, 30.0, 3)) == [0, 30, 60]
    assert list(sample_times(100.0, 0.0, 4)) == [0, 25, 50, 75]
    assert list(sample_times(100.0, 0.0, 4, spread_first=True)) == [0, 50, 25, 75]
    assert list(sample_times(100.0, 30.0, 3, spread_first=True)) == [0, 30, 60]
    assert list(sample_times(0.0, 0.0, 3)) == [0, 2, 4]
    assert list(islice(sample_times(5.0, 0.0, None), 4)) == [0, 2, 4, 6]


def test_what_came_and_went_between_two_looks_is_counted():
    """A look that comes too late misses segments: so many are lost. Numbers that begin anew lose none."""
    seen = SegmentTracker()
    for one in (look(5, 6, 7), look(7, 8, 9), look(12, 13), look(13, 14), look(20, 21)):
        seen.new_segments(one)
    assert seen.missed_segments == 2 + 5
    seen.new_segments(look(0, 1, shift_s=5000))
    assert seen.missed_segments == 7
