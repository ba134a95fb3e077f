"""Followers of live streams and recordings."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from data.capture.follower import Follower
from data.capture.grabber import Grabber
from data.errors import StreamOffline, UndecodableVideo, UnexpectedStreamError
from data.video.images import encode_jpeg
from tests.data.hls_server import LIVE, PICTURE, TOKEN, grabber, playlist
from tests.sample_images import RED, flat
from tests.sample_videos import recording
from tests.scripted_server import Reply, ScriptedServer

END = ["#EXT-X-ENDLIST"]
START = datetime(2026, 1, 1, tzinfo=timezone.utc).timestamp()


def polled(follower: Follower) -> list[tuple[int, float]]:
    """Return the frames of one poll: their numbers, and their dates in seconds after START."""
    return [(frame.number, (frame.date or 0) - START) for frame in follower.poll()]


def test_poll_returns_new_frames_until_the_end():
    """Each poll returns the new frames, numbered on and dated, and states the next interval."""
    script = [playlist("live", "live", "live"), PICTURE, PICTURE, playlist("live", "live", first=3), PICTURE]
    script += [playlist("live", "live", first=3), playlist("live", first=9, tail=END), PICTURE]
    with ScriptedServer([*LIVE, *script]) as server, grabber(server.url) as opened:
        follower = opened.open_follower("someone", initial_frames=2)
        polls = [
            (polled(follower), follower.poll_interval_s, follower.missed_segments, follower.ended) for _ in range(4)
        ]
        assert server.left == 0
    assert polls == [
        ([(1, 4.0), (2, 6.0)], 1.9, 0, False),
        ([(3, 8.0)], 1.9, 0, False),
        ([], 1.0, 0, False),
        ([(4, 18.0)], 1.9, 4, True),
    ]
    assert follower.live


def test_poll_never_waits():
    """The caller waits: the grabber's `sleep` is not called."""

    def sleep(seconds: float) -> None:
        raise AssertionError(f"{seconds} s")

    polls = [playlist("ad", "ad"), playlist("ad", "live", first=2), PICTURE]
    with ScriptedServer([*LIVE, *polls]) as server, grabber(server.url, sleep=sleep) as opened:
        follower = opened.open_follower("someone")
        assert [polled(follower), polled(follower)] == [[], [(1, 6.0)]]


@pytest.mark.parametrize(("interval_s", "expected"), [(0.0, [7, 8, 9]), (4.0, [7, 9])])
def test_late_poll_skips_segments_beyond_the_backlog(interval_s, expected):
    """Skipped segments count as missed."""
    script = [playlist("live"), PICTURE, playlist(*["live"] * 8, first=2), *[PICTURE] * 3]
    with ScriptedServer([*LIVE, *script]) as server, grabber(server.url, frame_interval_s=interval_s) as opened:
        follower = opened.open_follower("someone", max_backlog=2)
        assert [polled(follower), follower.missed_segments] == [[(1, 2.0)], 0]
        segments = [round(at / 2) for _, at in polled(follower)]
    assert (segments, follower.missed_segments) == (expected, 8 - (3 if interval_s == 0 else 4))


@pytest.mark.parametrize(("interval_s", "poll_interval_s"), [(2.0, 2.0), (6.0, 6.0), (60.0, 10.0)])
def test_poll_interval_follows_the_frame_interval(interval_s, poll_interval_s):
    """Up to a limit, so that no segment leaves the playlist unseen."""
    script = [*LIVE, playlist("live"), PICTURE]
    with ScriptedServer(script) as server, grabber(server.url, frame_interval_s=interval_s) as opened:
        follower = opened.open_follower("someone")
        next(follower.poll())
        assert follower.poll_interval_s == poll_interval_s


def test_recording_is_returned_by_one_poll(world):
    """A file, and a playlist with ENDLIST; neither is live."""
    file = str(world.channel("stk_hacienda").file)
    with Grabber(img_size=32, jpeg_quality=90) as opened:
        follower = opened.open_follower(file)
        assert [frame.number for frame in follower.poll()] == [*range(1, 16)]
        assert (follower.ended, follower.live) == (True, False)
    script = [*LIVE, playlist("live", "live", tail=END), PICTURE, PICTURE]
    with ScriptedServer(script) as server, grabber(server.url) as opened:
        follower = opened.open_follower("someone")
        assert [number for number, _ in polled(follower)] == [1, 2]
        assert (follower.ended, follower.live) == (True, False)


def test_failures_raise_at_opening_or_at_the_end():
    """An offline channel at once; a stream whose segments all fail when it ends."""
    script = [TOKEN, Reply(404)]
    with ScriptedServer(script) as server, grabber(server.url) as opened, pytest.raises(StreamOffline, match="someone"):
        opened.open_follower("someone")
    bad = Reply(body=b"no video")
    script = [*LIVE, playlist("live"), bad, playlist("live", first=2, tail=END), bad]
    with ScriptedServer(script) as server, grabber(server.url) as opened:
        follower = opened.open_follower("someone")
        assert polled(follower) == []
        with pytest.raises(UndecodableVideo, match="someone: no segment could be decoded"):
            polled(follower)


def test_unforeseen_exception_of_a_poll_is_an_error_of_this_stream():
    """One poll fails; the next one goes on."""
    times = iter([*[0.0] * 2, None, *[1.0] * 99])  # None is no time: a TypeError inside of the second poll
    script = [*LIVE, playlist("live"), PICTURE, *[playlist("live")] * 2]
    with ScriptedServer(script) as server, grabber(server.url, clock=lambda: next(times)) as opened:
        follower = opened.open_follower("someone")
        assert len(polled(follower)) == 1
        with pytest.raises(UnexpectedStreamError, match="someone: unexpected TypeError"):
            polled(follower)


def test_pictures_and_videos_are_followed_once(tmp_path):
    """One poll returns all frames; a damaged file raises there."""
    (tmp_path / "a.jpg").write_bytes(encode_jpeg(flat(RED), 90))
    (tmp_path / "b.gif").write_bytes(recording("gif", 4.0, codec="gif", pix_fmt="rgb8"))
    (tmp_path / "c.mkv").write_bytes(b"no video")
    with Grabber(img_size=32, jpeg_quality=90) as opened:
        for name, count in {"a.jpg": 1, "b.gif": 2}.items():
            follower = opened.open_follower(str(tmp_path / name))
            assert [len(polled(follower)), follower.ended] == [count, True]
        with pytest.raises(UndecodableVideo, match=r"c\.mkv: "):
            polled(opened.open_follower(str(tmp_path / "c.mkv")))
