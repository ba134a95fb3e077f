"""Source resolver through the grabber: recordings, clips, other sites, files, and streams followed to their end."""

from __future__ import annotations

import dataclasses
import json
import re
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from data.errors import SourceNotFound, StreamOffline, StreamUnavailable, UndecodableVideo
from data.video.images import decode_jpeg
from tests.data.hls_server import (
    IMG_SIZE,
    LIVE,
    PICTURE,
    TOKEN,
    TOKEN_VALUE,
    VIDEO,
    SleepRecorder,
    follow,
    grab,
    grabber,
    playlist,
    renditions,
)
from tests.sample_images import BLUE, GREEN, RED, flat, resize_by_area, segment
from tests.scripted_server import Reply, ScriptedServer
from tests.standin import Standin, World
from tests.standin.media import TRANSCODES

COLOURS = {"red": RED, "green": GREEN, "blue": BLUE}
RECORDING_TOKEN = Reply(body={"data": {"videoPlaybackAccessToken": {"value": TOKEN_VALUE, "signature": "s"}}})
END = ["#EXT-X-ENDLIST"]


def colours(frames: Sequence) -> list[str]:
    """Return the name of the color that each frame shows."""
    means = [decode_jpeg(frame.jpeg).mean(axis=(0, 1)) for frame in frames]
    return [min(COLOURS, key=lambda name: np.abs(COLOURS[name] - mean).sum()) for mean in means]


def painted(*colours: str) -> list[Reply]:
    """Return one segment of each color."""
    return [Reply(body=segment(flat(COLOURS[colour]))) for colour in colours]


# --- recordings -----------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["https://www.twitch.tv/videos/123456", "https://twitch.tv/someone/v/123456"])
def test_recording_gives_frames_spread_over_its_length(address):
    """Of six segments three are fetched."""
    six = playlist(*["live"] * 6, tail=END)
    with ScriptedServer([RECORDING_TOKEN, renditions("360p"), six, *painted("red", "green", "blue")]) as server:
        frames = grab(server.url, address, max_frames=3)
        fetched = [path for _, path, _, _ in server.requests[3:]]
        assert server.requests[1][1] == "/vod/v2/123456.m3u8"
    assert colours(frames) == ["red", "green", "blue"]
    assert fetched == ["/1.ts", "/3.ts", "/5.ts"]


def test_recording_url_with_a_start_time_skips_to_it():
    """`?t=` is honored."""
    six = playlist(*["live"] * 6, tail=END)
    with ScriptedServer([RECORDING_TOKEN, renditions("360p"), six, *[PICTURE] * 3]) as server:
        assert len(grab(server.url, "https://www.twitch.tv/videos/123456?t=0h0m6s")) == 3
        assert [path for _, path, _, _ in server.requests[3:]] == ["/4.ts", "/5.ts", "/6.ts"]


def test_unknown_recording_raises():
    """The error has the recording's number."""
    null = Reply(body={"data": {"videoPlaybackAccessToken": None}})
    with ScriptedServer([null]) as server, pytest.raises(SourceNotFound, match="no recording '123456'"):
        grab(server.url, "https://www.twitch.tv/videos/123456")


# --- clips ----------------------------------------------------------------------------------------


def clip(*qualities: int) -> Reply:
    """Return Twitch's response for a clip of these heights."""
    listed = [{"frameRate": 30, "quality": str(q), "sourceURL": f"{VIDEO}/{q}.mp4"} for q in qualities]
    token = {"signature": "s", "value": json.dumps({})}
    return Reply(body={"data": {"clip": {"playbackAccessToken": token, "videoQualities": listed}}})


def test_clip_gives_frames_spread_over_its_length():
    """The smallest MP4 that covers the image is fetched once."""
    film = segment(*[flat(RED)] * 30, *[flat(GREEN)] * 30, *[flat(BLUE)] * 30, container="mp4")
    with ScriptedServer([clip(1080, 720, 360), Reply(body=film)]) as server:
        frames = grab(server.url, "https://clips.twitch.tv/BraveOwl", max_frames=3)
        assert [path for _, path, _, _ in server.requests] == ["/gql", "/360.mp4"]
    assert colours(frames) == ["red", "green", "blue"]


@pytest.mark.parametrize(
    ("replies", "error"),
    [
        ([Reply(body={"data": {"clip": None}})], StreamOffline),
        ([clip(360), Reply(404)], StreamUnavailable),
        ([clip(360), Reply(body=b"<html>")], UndecodableVideo),
    ],
    ids=["unknown", "file gone", "no video"],
)
def test_unusable_clip_raises(replies, error):
    """The error names the clip."""
    with ScriptedServer(replies) as server, pytest.raises(error, match="BraveOwl"):
        grab(server.url, "https://clips.twitch.tv/BraveOwl")


# --- other sites ----------------------------------------------------------------------------------


def test_multivariant_playlist_url_gives_frames():
    """From its rendition that covers the image."""
    with ScriptedServer([renditions("360p", "160p"), playlist("live", "live"), *painted("red", "blue")]) as server:
        frames = grab(server.url, "https://site.example/live/master.m3u8")
        assert [path for _, path, _, _ in server.requests] == ["/live/master.m3u8", "/360p.m3u8", "/1.ts", "/2.ts"]
    assert colours(frames) == ["red", "blue"]


def test_separate_sound_playlist_is_not_fetched():
    """Only the video's playlist is."""
    master = "\n".join([
        "#EXTM3U",
        f'#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="English",DEFAULT=YES,AUTOSELECT=YES,URI="{VIDEO}/sound.m3u8"',
        '#EXT-X-STREAM-INF:BANDWIDTH=630000,RESOLUTION=640x360,AUDIO="a"',
        f"{VIDEO}/picture.m3u8",
    ])  # fmt: skip
    with ScriptedServer([Reply(body=master.encode()), playlist("live"), PICTURE]) as server:
        assert len(grab(server.url, "https://site.example/master.m3u8")) == 1
        assert [path for _, path, _, _ in server.requests] == ["/master.m3u8", "/picture.m3u8", "/1.ts"]


def test_encrypted_stream_raises():
    """No key is requested."""
    key = '#EXT-X-KEY:METHOD=AES-128,URI="https://site.example/key"'
    with ScriptedServer([renditions("360p"), playlist("live", head=[key])]) as server:
        with pytest.raises(UndecodableVideo, match="encrypted"):
            grab(server.url, "https://site.example/master.m3u8")
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("address", "error"),
    [
        ("https://site.example/", SourceNotFound),
        ("https://site.example/a.html", SourceNotFound),
        ("https://[/x", SourceNotFound),
    ],
)
def test_url_without_a_stream_raises(address, error):
    """Streamlink has no plugin for it, or cannot parse it; the error names the URL."""
    with ScriptedServer([]) as server, pytest.raises(error, match=re.escape(address)):
        grab(server.url, address)


@pytest.mark.parametrize(
    "source",
    ["film.mp4", "./film", "ftp://x/y.mp4", "/etc", "a b", "no such.mkv", "~", "\x1b[2J.mp4", 5000 * "x" + ".mp4"],
)
def test_invalid_source_raises_without_a_request(source):
    """The message is one printable line."""
    with ScriptedServer([]) as server, pytest.raises(SourceNotFound) as raised:
        grab(server.url, source)
    assert not server.requests
    assert str(raised.value).isprintable()


# --- files ----------------------------------------------------------------------------------------


@pytest.fixture
def film(tmp_path) -> Path:
    """Return a film of three seconds (red, green, blue) with one key frame at its start."""
    path = tmp_path / "film.mp4"
    path.write_bytes(segment(*[flat(RED)] * 30, *[flat(GREEN)] * 30, *[flat(BLUE)] * 30, container="mp4"))
    return path


def test_file_gives_frames_spread_over_its_length(film):
    """Without any request."""
    with ScriptedServer([]) as server:
        frames = grab(server.url, str(film), max_frames=6)
        assert not server.requests
    assert colours(frames) == ["red", "red", "green", "green", "blue", "blue"]
    assert [frame.number for frame in frames] == [1, 2, 3, 4, 5, 6]


def test_file_with_spread_first_gives_its_middle_second(film):
    """The order is bit-reversed."""
    with ScriptedServer([]) as server:
        assert colours(grab(server.url, str(film), max_frames=4, spread_first=True)) == ["red", "green", "red", "blue"]


def test_file_with_more_sound_than_video_is_spread_over_the_video(tmp_path):
    """Not over the sound, which is twice as long."""
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as file:
        picture, sound = file.add_stream("libx264", rate=10), file.add_stream("aac", rate=48000)
        picture.height, picture.width, picture.pix_fmt = 72, 128, "yuv420p"
        for colour in [RED] * 10 + [GREEN] * 10:
            file.mux(picture.encode(av.VideoFrame.from_ndarray(flat(colour), "rgb24")))
        file.mux(picture.encode(None))
        for number in range(190):  # four seconds
            frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
            frame.sample_rate, frame.pts = 48000, 1024 * number
            file.mux(sound.encode(frame))
        file.mux(sound.encode(None))
    with ScriptedServer([]) as server:
        assert colours(grab(server.url, str(path), max_frames=4, spread_first=True)) == ["red", "green", "red", "green"]
        assert colours(grab(server.url, str(path), max_frames=4)) == ["red", "red", "green", "green"]


@pytest.mark.parametrize(
    ("interval_s", "expected"), [(1.0, ["red", "green", "blue"]), (0.75, ["red", "red", "green", "blue"]), (9, ["red"])]
)
def test_file_with_an_interval_gives_one_frame_each(film, interval_s, expected):
    """Up to its end."""
    with ScriptedServer([]) as server:
        assert colours(grab(server.url, str(film), max_frames=50, frame_interval_s=interval_s)) == expected


def test_seeking_finds_the_frames_that_full_decoding_finds(world):
    """In 40 seconds of gameplay, with frames 7.3 s apart."""
    path = world.channel("stk_hacienda").file
    with av.open(str(path)) as whole:
        truth = [
            resize_by_area(f.to_ndarray(format="rgb24"), IMG_SIZE) for f in whole.decode(video=0) if f.time is not None
        ]
        rate = float(whole.streams.video[0].average_rate)
    with ScriptedServer([]) as server:
        frames = grab(server.url, str(path), max_frames=50, frame_interval_s=7.3)
    assert len(frames) == 1 + int((len(truth) - 1) / rate / 7.3)
    for index, frame in enumerate(frames):
        near = [np.abs(decode_jpeg(frame.jpeg).astype(int) - picture).mean() for picture in truth]
        assert abs(int(np.argmin(near)) - 7.3 * index * rate) <= 1


@pytest.mark.parametrize(
    "content", [b"", b"text", b"#EXTM3U\n#EXTINF:2,\n/etc/passwd\n", b"ffconcat version 1.0\nfile x"]
)
def test_file_without_video_raises(tmp_path, content):
    """The error names the file; a playlist on the disk does not open the files that it names."""
    path = tmp_path / "film.m3u8"
    path.write_bytes(content)
    with ScriptedServer([]) as server, pytest.raises(UndecodableVideo, match=r"film\.m3u8"):
        grab(server.url, str(path))


# --- intervals ------------------------------------------------------------------------------------


def test_interval_longer_than_segments_skips_some():
    """With four seconds, three of six segments are fetched."""
    with ScriptedServer([*LIVE, playlist(*["live"] * 6), *painted("red", "green", "blue")]) as server:
        assert colours(grab(server.url, "someone", frame_interval_s=4)) == ["red", "green", "blue"]
        assert [path for _, path, _, _ in server.requests[3:]] == ["/1.ts", "/3.ts", "/5.ts"]


def test_interval_shorter_than_segments_takes_several_frames():
    """With one second, a segment of two seconds gives two frames."""
    two = Reply(body=segment(*[flat(RED)] * 30, *[flat(BLUE)] * 30))
    with ScriptedServer([*LIVE, playlist("live", "live"), two, two]) as server:
        frames = grab(server.url, "someone", frame_interval_s=1)
    assert colours(frames) == ["red", "blue", "red", "blue"]


# --- following ------------------------------------------------------------------------------------


def followed_frames(url: str, source: str, recorder: SleepRecorder | None = None) -> list:
    """Return all frames until the stream ends."""
    with grabber(url) as open_grabber:
        return list(follow(open_grabber, source, (recorder or SleepRecorder()).sleep))


def test_follow_returns_each_new_segment_until_the_end():
    """Across an ad and a missing segment."""
    media_playlists = [
        playlist("live", "live", "live"),
        playlist("live", "live", "ad", "live", first=2),
        playlist("live", "live", "live", first=5, tail=END),
    ]
    script = [*LIVE, media_playlists[0], PICTURE, media_playlists[1], PICTURE, media_playlists[2], Reply(404), PICTURE]
    recorder = SleepRecorder(0)
    with ScriptedServer(script) as server:
        assert [frame.number for frame in followed_frames(server.url, "someone", recorder=recorder)] == [1, 2, 3]
        fetched = [path for _, path, _, _ in server.requests if path.endswith(".ts")]
        assert server.left == 0
    assert fetched == ["/3.ts", "/5.ts", "/6.ts", "/7.ts"]
    assert len(recorder.slept) == 2


def test_follow_reopens_an_expired_address():
    """After a 403 a new token and a new playlist are requested; it ends when the channel is offline."""
    over = Reply(404, [{"error": "transcode does not exist"}])
    first, second = playlist("live", "live"), playlist("live", "live", "live", first=1)
    script = [*LIVE, first, PICTURE, Reply(403), *LIVE, second, PICTURE, Reply(404), TOKEN, over]
    with ScriptedServer(script) as server:
        assert len(followed_frames(server.url, "someone", recorder=SleepRecorder(0))) == 2
        assert server.left == 0


def test_follow_of_an_offline_channel_raises():
    """As `frames` does, before the first frame."""
    with ScriptedServer([TOKEN, Reply(404)]) as server, pytest.raises(StreamOffline, match="someone"):
        followed_frames(server.url, "someone")


FOLLOWED = ("live", "ended", "silent", "gone", "expired", "rewound", "skipping", "midroll")


@pytest.mark.parametrize("behaviour", FOLLOWED)
def test_follow_survives_what_happens_to_live_channels(world, behaviour):
    """A channel is followed for half a minute of the stand-in's time: no segment comes twice, and only ads are missing.

    After four seconds of the viewer's session its event happens: ENDLIST ends the stream; a stalled or missing
    playlist is reopened; numbering restarts.
    """
    channel = dataclasses.replace(world.channel("stk_hacienda"), login=behaviour, behaviour=behaviour)
    with Standin(World((channel,)), lifetime_s=4.0) as twitch:
        twitch.transcoder.prepare(channel.file, TRANSCODES[0])
        clock, end = twitch.clock, twitch.clock.now() + 30

        def sleep(seconds: float) -> bool:
            clock.advance(seconds)
            return clock.now() > end

        with grabber(twitch.url, clock=clock.now) as open_grabber:
            count = sum(1 for _ in follow(open_grabber, behaviour, sleep, clock=clock.now))
        files = [r.path.rpartition("/")[2] for r in twitch.requests if "/segment/" in r.path]
    assert (clock.now() > end) == (behaviour != "ended")
    assert count == len(files) == len(set(files))
    steps = {b - a for a, b in pairwise(int(name.partition(".")[0]) for name in files)}
    assert behaviour in ("rewound", "skipping", "midroll") or steps == {1}
    assert count >= {"ended": 2, "midroll": 7}.get(behaviour, 12)


def test_follow_in_real_time_makes_one_request_each_segment(world):
    """One frame each two seconds, in the clip's order."""
    clip_ = world.channel("stk_hacienda")
    with Standin(World((dataclasses.replace(clip_, login="live", behaviour="live"),))) as twitch:
        start, times = time.monotonic(), []
        with grabber(twitch.url) as open_grabber:
            for frame in follow(open_grabber, "live"):
                times.append(time.monotonic() - start)
                if frame.number == 5:
                    break
        segments = [r.path for r in twitch.requests if "/segment/" in r.path]
        media_playlists = [r for r in twitch.requests if "/v1/playlist/" in r.path]
    files = [int(Path(path).stem) for path in segments]
    assert {b - a for a, b in pairwise(files)} == {1}
    assert 6 <= times[-1] - times[0] <= 12
    assert len(media_playlists) <= 8
