"""Segment tracker, frame schedule and sampling."""

from __future__ import annotations

from itertools import islice

import pytest

from data.capture.follower import FrameSchedule
from data.hls.playlist import Playlist, Segment, SegmentTracker
from data.http.range_reader import ByteRange
from data.video.sampling import bit_reversed, evenly_spaced, sample_times

START = 1_700_000_000.0


def media_playlist(*numbers: int, dated: bool = True, shift_s: float = 0.0, ended: bool = False) -> Playlist:
    """Return a playlist of two-second segments, whose dates follow their numbers, `shift_s` later."""
    segments = [
        Segment(number, ByteRange(f"{number}.ts"), None, 2.0, START + 2 * number + shift_s if dated else None, ad=False)
        for number in numbers
    ]
    return Playlist(tuple(segments), 2.0, ended)


def numbers(segments: list[Segment]) -> list[int]:
    return [segment.number for segment in segments]


@pytest.mark.parametrize("dated", [True, False])
def test_new_segments_of_overlapping_playlists_come_once(dated):
    """Overlapping, repeated and empty playlists: each number comes once, in order."""
    tracker = SegmentTracker()
    playlists = [
        media_playlist(5, 6, 7, dated=dated),
        media_playlist(6, 7, 8, dated=dated),
        media_playlist(6, 7, 8, dated=dated),
        media_playlist(dated=dated),
    ]
    assert [numbers(tracker.new_segments(one)) for one in playlists] == [[5, 6, 7], [8], [], []]
    assert numbers(tracker.new_segments(media_playlist(9, 10, dated=dated))) == [9, 10]


def test_outdated_playlist_has_no_new_segments():
    """A server's older copy does not make its segments new again."""
    tracker = SegmentTracker()
    tracker.new_segments(media_playlist(5, 6, 7, dated=False))
    tracker.new_segments(media_playlist(6, 7, 8, dated=False))
    assert not tracker.new_segments(media_playlist(5, 6, 7, dated=False))
    assert numbers(tracker.new_segments(media_playlist(7, 8, 9, dated=False))) == [9]


def test_restarted_numbering_makes_segments_new():
    """After an encoder's restart numbers begin at 0: each segment is new once."""
    tracker = SegmentTracker()
    tracker.new_segments(media_playlist(500, 501, 502))
    assert numbers(tracker.new_segments(media_playlist(0, 1, shift_s=1006))) == [0, 1]
    assert numbers(tracker.new_segments(media_playlist(0, 1, 2, shift_s=1006))) == [2]


def test_reset_numbering_compares_dates():
    """At a new address segments have other numbers; by their dates none comes twice and none is missing."""
    tracker = SegmentTracker()
    tracker.new_segments(media_playlist(5, 6, 7))
    tracker.reset_numbering()
    assert numbers(tracker.new_segments(media_playlist(105, 106, 107, 108, shift_s=-200))) == [108]
    assert numbers(tracker.new_segments(media_playlist(106, 107, 108, 109, shift_s=-200))) == [109]


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
def test_frame_schedule_offsets(interval_s, seconds, expected):
    """For six segments, the offsets of the frames; a long interval uses only first frames."""
    schedule = FrameSchedule(interval_s)
    segment = Segment(1, ByteRange("1.ts"), None, seconds, None, ad=False)
    assert [schedule.offsets(segment) for _ in range(6)] == expected


def test_evenly_spaced_items():
    """Three of ten come from start, middle and end; ten of three are all three."""
    ten = media_playlist(*range(10)).segments
    assert numbers(evenly_spaced(ten, 3)) == [0, 3, 6]
    assert numbers(evenly_spaced(ten[:3], 10)) == [0, 1, 2]
    assert not evenly_spaced(ten, 0)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 13, 15, 16, 100])
def test_bit_reversed_prefixes_cover_the_sequence(count):
    """Each item comes once, and no prefix leaves a gap much larger than the others."""
    order = bit_reversed(range(count))
    assert sorted(order) == list(range(count))
    for few in range(2, count):
        tracker = sorted(order[:few])
        gaps = [after - before for before, after in zip(tracker, [*tracker[1:], count], strict=True)]
        assert max(gaps) <= 4 * count / few


def test_sample_times_of_a_recording():
    """One each interval, or spread over the duration, in order or bit-reversed, or one each two seconds."""
    assert list(sample_times(100.0, 30.0, 3)) == [0, 30, 60]
    assert list(sample_times(100.0, 0.0, 4)) == [0, 25, 50, 75]
    assert list(sample_times(100.0, 0.0, 4, spread_first=True)) == [0, 50, 25, 75]
    assert list(sample_times(100.0, 30.0, 3, spread_first=True)) == [0, 30, 60]
    assert list(sample_times(0.0, 0.0, 3)) == [0, 2, 4]
    assert list(islice(sample_times(5.0, 0.0, None), 4)) == [0, 2, 4, 6]


def test_segments_missed_between_polls_are_counted():
    """A restarted numbering counts none as missed."""
    tracker = SegmentTracker()
    for one in (
        media_playlist(5, 6, 7),
        media_playlist(7, 8, 9),
        media_playlist(12, 13),
        media_playlist(13, 14),
        media_playlist(20, 21),
    ):
        tracker.new_segments(one)
    assert tracker.missed_segments == 2 + 5
    tracker.new_segments(media_playlist(0, 1, shift_s=5000))
    assert tracker.missed_segments == 7
