"""data.capture.follower: a source look by look, as who follows many of them reads it."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from data.capture.follower import Follower
from data.capture.grabber import Grabber
from data.errors import StreamOffline, UndecodableVideo
from tests.data.hls_server import LIVE, PICTURE, TOKEN, grabber, playlist
from tests.scripted_server import Reply, ScriptedServer

END = ["#EXT-X-ENDLIST"]
START = datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp()


def looked(follower: Follower) -> list[tuple[int, float]]:
    """One look's frames: their numbers, and the seconds since the first segment of these tests would have begun."""
    return [(frame.number, (frame.date or 0) - START) for frame in follower.poll()]


def test_look_by_look():
    """Each look gives what is new and when it was made, numbered on; then it says when to look again, and the end."""
    script = [playlist("live", "live", "live"), PICTURE, PICTURE, playlist("live", "live", first=3), PICTURE]
    script += [playlist("live", "live", first=3), playlist("live", first=9, tail=END), PICTURE]
    with ScriptedServer([*LIVE, *script]) as server, grabber(server.url) as opened:
        follower = opened.open_follower("someone", initial_frames=2)
        looks = [(looked(follower), follower.poll_interval_s, follower.missed_segments, follower.ended) for _ in range(4)]
        assert server.left == 0
    assert looks == [
        ([(1, 4.0), (2, 6.0)], 1.9, 0, False),
        ([(3, 8.0)], 1.9, 0, False),
        ([], 1.0, 0, False),
        ([(4, 18.0)], 1.9, 4, True),
    ]
    assert follower.live


def test_a_look_waits_for_nothing():
    """Whoever asks does the waiting: the grabber's own `sleep` is never called."""

    def sleep(seconds: float) -> None:
        raise AssertionError(f"{seconds} s")

    looks = [playlist("ad", "ad"), playlist("ad", "live", first=2), PICTURE]
    with ScriptedServer([*LIVE, *looks]) as server, grabber(server.url, sleep=sleep) as opened:
        follower = opened.open_follower("someone")
        assert [looked(follower), looked(follower)] == [[], [(1, 6.0)]]


@pytest.mark.parametrize(("interval_s", "expected"), [(0.0, [7, 8, 9]), (4.0, [7, 9])])
def test_who_is_late_may_catch_up(interval_s, expected):
    """Of a look that brings more than one segment and two behind it the oldest are passed over, and count as lost."""
    script = [playlist("live"), PICTURE, playlist(*["live"] * 8, first=2), *[PICTURE] * 3]
    with ScriptedServer([*LIVE, *script]) as server, grabber(server.url, frame_interval_s=interval_s) as opened:
        follower = opened.open_follower("someone", max_backlog=2)
        assert [looked(follower), follower.missed_segments] == [[(1, 2.0)], 0]
        seen = [round(at / 2) for _, at in looked(follower)]
    assert (seen, follower.missed_segments) == (expected, 8 - (3 if interval_s == 0 else 4))


@pytest.mark.parametrize(("interval_s", "poll_interval_s"), [(2.0, 2.0), (6.0, 6.0), (60.0, 10.0)])
def test_frames_that_come_seldom_are_looked_for_seldom(interval_s, poll_interval_s):
    """As often as there are segments, or frames to take; but before the window has moved on."""
    script = [*LIVE, playlist("live"), PICTURE]
    with ScriptedServer(script) as server, grabber(server.url, frame_interval_s=interval_s) as opened:
        follower = opened.open_follower("someone")
        next(follower.poll())
        assert follower.poll_interval_s == poll_interval_s


def test_a_recording_is_one_look(world):
    """A file: all of it, and it is over; a playlist with its end on it as well. Neither is live."""
    file = str(world.channel("stk_hacienda").file)
    with Grabber(img_size=32, jpeg_quality=90) as opened:
        follower = opened.open_follower(file)
        assert [frame.number for frame in follower.poll()] == [*range(1, 16)]
        assert (follower.ended, follower.live) == (True, False)
    script = [*LIVE, playlist("live", "live", tail=END), PICTURE, PICTURE]
    with ScriptedServer(script) as server, grabber(server.url) as opened:
        follower = opened.open_follower("someone")
        assert [number for number, _ in looked(follower)] == [1, 2]
        assert (follower.ended, follower.live) == (True, False)


def test_no_channel_and_no_picture():
    """What cannot be opened is an error at once; segments that are all bad are one when the stream is over."""
    script = [TOKEN, Reply(404)]
    with ScriptedServer(script) as server, grabber(server.url) as opened, pytest.raises(StreamOffline, match="someone"):
        opened.open_follower("someone")
    bad = Reply(body=b"no video")
    script = [*LIVE, playlist("live"), bad, playlist("live", first=2, tail=END), bad]
    with ScriptedServer(script) as server, grabber(server.url) as opened:
        follower = opened.open_follower("someone")
        assert looked(follower) == []
        with pytest.raises(UndecodableVideo, match="someone: no segment could be decoded"):
            looked(follower)
