"""Grabber, against the stand-in's channels and scripted server failures."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import av
import numpy as np
import psutil
import pytest

from data.capture.source_resolver import choose_rendition
from data.errors import (
    OnlyAds,
    SourceNotFound,
    StreamError,
    StreamOffline,
    StreamUnavailable,
    UndecodableVideo,
    UnexpectedStreamError,
)
from data.video.images import decode_jpeg
from tests.data.hls_server import (
    IMG_SIZE,
    LIVE,
    PICTURE,
    TOKEN,
    VIDEO,
    SleepRecorder,
    grab,
    grabber,
    playlist,
    renditions,
)
from tests.sample_images import BLUE, GREEN, RED, flat, resize_by_area, segment, split_init_section
from tests.sample_videos import recording
from tests.scripted_server import Reply, ScriptedServer
from tests.standin import Standin, World, looks_like_ad
from tests.standin.media import TRANSCODES
from tests.standin.playlist import MEDIA_HOST
from tests.standin.server import SOURCE
from tests.standin.world import BEHAVIOURS

CLIP = "stk_hacienda"  # a race, in which each second looks different


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Return the mean absolute difference, in levels of 255."""
    return float(np.abs(one.astype(int) - other).mean())


# --- the stand-in ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def zoo(world):
    """Return channels of each behaviour, named after it, that all play one clip."""
    clip = world.channel(CLIP)
    return World(tuple(dataclasses.replace(clip, login=name, behaviour=name) for name in sorted(BEHAVIOURS)))


@pytest.fixture
def twitch(zoo):
    """Run the stand-in with these channels."""
    with Standin(zoo, preroll_s=2.0) as running:
        yield running
    assert not running.unknown


@pytest.fixture(scope="module")
def expected_images(world) -> list[np.ndarray]:
    """Return the clip's frame at the start of each two seconds, scaled as a grabber should."""
    with av.open(str(world.channel(CLIP).file)) as clip:
        per_segment = round(2 * clip.streams.video[0].average_rate)
        frames = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
    return [resize_by_area(frame, IMG_SIZE) for frame in frames[::per_segment]]


def segment_indexes(frames: Sequence, expected_images: list[np.ndarray]) -> list[int]:
    """Return the segment of the clip that each frame shows; check that it clearly shows one."""
    found = []
    for frame in frames:
        distances = [difference(decode_jpeg(frame.jpeg), picture) for picture in expected_images]
        nearest = int(np.argmin(distances))
        assert distances[nearest] < 8
        assert sorted(distances)[1] > 2 * distances[nearest]
        found.append(nearest)
    return found


def check(frames: Sequence) -> None:
    """Check that frames are numbered from 1, are JPEGs of the right size, and show no ad."""
    assert [frame.number for frame in frames] == list(range(1, len(frames) + 1))
    assert all(frame.jpeg.startswith(b"\xff\xd8") and frame.jpeg.endswith(b"\xff\xd9") for frame in frames)
    assert {decode_jpeg(frame.jpeg).shape for frame in frames} == {(IMG_SIZE, IMG_SIZE, 3)}
    assert not any(looks_like_ad(decode_jpeg(frame.jpeg)) for frame in frames)


@pytest.mark.parametrize("behaviour", ["live", "fmp4", "source_only"])
def test_frames_of_a_live_stream_are_the_first_of_each_segment(twitch, expected_images, behaviour):
    """Fifteen frames, oldest first, equal to the clip's own ones."""
    frames = grab(twitch.url, behaviour)
    check(frames)
    assert len(frames) == 15
    assert {(b - a) % len(expected_images) for a, b in pairwise(segment_indexes(frames, expected_images))} == {1}


def test_frames_skip_undecodable_segments(twitch, expected_images):
    """A third of the segments is damaged; the other ten come in order."""
    frames = grab(twitch.url, "broken")
    check(frames)
    assert len(frames) == 10
    assert {(b - a) % len(expected_images) for a, b in pairwise(segment_indexes(frames, expected_images))} == {1, 2}


def test_frames_skip_an_ad_break_without_waiting(twitch):
    """The stream around the ads gives its frames."""
    recorder = SleepRecorder()
    frames = grab(twitch.url, "midroll", recorder=recorder, ad_wait_s=30)
    check(frames)
    assert 7 <= len(frames) <= 11
    assert not recorder.slept


def test_frames_wait_for_the_end_of_a_preroll(twitch):
    """The frames are those of the stream after the ads."""
    recorder = SleepRecorder(clock=twitch.clock)
    frames = grab(twitch.url, "preroll", max_frames=1, ad_wait_s=30, recorder=recorder)
    check(frames)
    assert len(frames) == 1
    assert 1 <= len(recorder.slept) <= 4


def test_preroll_without_ad_wait_raises_only_ads(twitch):
    """At once, so that a download takes another stream."""
    recorder = SleepRecorder()
    with pytest.raises(OnlyAds, match="preroll"):
        grab(twitch.url, "preroll", recorder=recorder)
    assert not recorder.slept


def test_endless_ads_raise_only_ads_after_the_wait(twitch):
    """No ad is fetched."""
    recorder = SleepRecorder(clock=twitch.clock)
    with pytest.raises(OnlyAds, match="only_ads"):
        grab(twitch.url, "only_ads", ad_wait_s=3, recorder=recorder)
    assert recorder.slept == [2.0]  # a second pause would end after the wait
    assert not [r for r in twitch.requests if "/segment/" in r.path]


@pytest.mark.parametrize(
    ("login", "error", "hosts"),
    [
        ("offline", StreamOffline, "gql usher"),
        ("nobody_of_that_name", SourceNotFound, "gql"),
        ("Li ve", SourceNotFound, ""),
        ("../live", SourceNotFound, ""),
        ("live?x=1", SourceNotFound, ""),
        ("v/1", SourceNotFound, ""),
        ("", SourceNotFound, ""),
        ("x" * 26, SourceNotFound, ""),
    ],
)
def test_missing_channels_raise_errors_that_name_them(twitch, login, error, hosts):
    """Offline, unknown and invalid logins differ; an invalid one makes no request."""
    with pytest.raises(error) as raised:
        grab(twitch.url, login)
    assert login in str(raised.value)
    assert [r.host.split(".")[0] for r in twitch.requests] == hosts.split()


@pytest.mark.parametrize(
    ("quality", "rendition"),
    [("auto", "360p"), ("360p", "360p"), ("best", "720p"), ("worst", "160p"), ("160p", "160p"), ("1080p60", "360p")],
)
def test_quality_selects_the_rendition(twitch, quality, rendition):
    """If no rendition has that name, the smallest that covers the image."""
    check(grab(twitch.url, "live", max_frames=1, quality=quality))
    assert {r.path.split("/")[-2] for r in twitch.requests if "/segment/" in r.path} == {rendition}


def test_max_frames_takes_the_newest_segments(twitch, expected_images):
    """Three frames are the last three of the playlist."""
    with grabber(twitch.url) as open_grabber:
        newest = int(time.time() // 2) - 1
        frames = list(open_grabber.frames("live", 3))
    last = segment_indexes(frames, expected_images)[-1]
    assert len(frames) == 3
    assert (last - newest) % len(expected_images) in (0, 1, 2)  # the playlist may have advanced meanwhile


def test_frames_make_four_requests_and_one_each(twitch):
    """One for the token, one for the renditions, one for the segments, and a part of each segment."""
    grab(twitch.url, "live", max_frames=4)
    assert Counter(r.host for r in twitch.requests) == {"gql.twitch.tv": 1, "usher.ttvnw.net": 1, MEDIA_HOST: 1 + 4}
    assert [r.status for r in twitch.requests] == [200] * 3 + [206] * 4


@pytest.mark.parametrize(("login", "besides"), [("live", 3), ("source_only", 3), ("fmp4", 4)])
def test_frames_fetch_a_part_of_each_segment(twitch, login, besides):
    """One request for each frame in every rendition; fMP4 needs one more for the init section."""
    frames = grab(twitch.url, login, max_frames=10)
    assert len(twitch.requests) <= besides + len(frames)
    fetched = [r.bytes for r in twitch.requests if r.status == 206]
    whole = twitch.transcoder.segment(
        twitch.world.channel(login).file, SOURCE if login == "source_only" else TRANSCODES[0], 0
    )
    assert sum(fetched) / len(fetched) < len(whole) / 2


def test_frames_are_yielded_before_the_next_segment_is_requested(twitch):
    """Leaving early makes no further requests."""
    with grabber(twitch.url) as open_grabber:
        frames = open_grabber.frames("live", 15)
        assert next(frames).number == 1
        frames.close()
    assert len([r for r in twitch.requests if "/segment/" in r.path]) == 1


def test_grabber_is_usable_after_errors(twitch):
    """An offline, an unknown and an invalid channel come before a live one."""
    with grabber(twitch.url) as open_grabber:
        for login in ("offline", "nobody_here", "No!", "live"):
            try:
                assert len(list(open_grabber.frames(login, 2))) == 2
            except StreamError:
                assert login != "live"


@pytest.mark.parametrize(
    ("host", "status", "times", "error"),
    [
        ("gql.twitch.tv", 500, 9, StreamUnavailable),
        ("usher.ttvnw.net", 404, 1, StreamOffline),
        ("usher.ttvnw.net", 403, 1, StreamUnavailable),
        ("usher.ttvnw.net", 500, 1, StreamUnavailable),
        (MEDIA_HOST, 404, 1, StreamOffline),
        (MEDIA_HOST, 503, 99, StreamUnavailable),
    ],
)
def test_server_failures_raise_stream_errors(twitch, host, status, times, error):
    """Each of Twitch's hosts in turn; the error names the login."""
    twitch.fail(host, status, times)
    with pytest.raises(error, match="live"):
        grab(twitch.url, "live")


def test_close_leaves_no_connection_or_thread(twitch):
    """Also after a grab that was left early; a second call is harmless."""
    threads = set(threading.enumerate())
    given_up = grabber(twitch.url)
    next(given_up.frames("live", 15))
    given_up.close()
    given_up.close()
    port, deadline = int(twitch.url.rpartition(":")[2]), time.monotonic() + 5

    def connections() -> list:
        return [c for c in psutil.Process().net_connections("tcp") if c.raddr and c.raddr.port == port]

    while time.monotonic() < deadline and any(c.status == "ESTABLISHED" for c in connections()):
        time.sleep(0.05)
    assert not any(c.status == "ESTABLISHED" for c in connections())
    assert not [t for t in set(threading.enumerate()) - threads if "process_request" not in t.name]


# --- scripted responses ---------------------------------------------------------------------------


def requested_paths(server: ScriptedServer) -> list[str]:
    """Return the requested paths after those of LIVE."""
    return [path for _, path, _, _ in server.requests[len(LIVE) :]]


def test_only_live_segments_are_fetched():
    """No ads, and no segment to prefetch."""
    with ScriptedServer([*LIVE, playlist("live", "ad", "live", "ad", "live", "prefetch"), PICTURE, PICTURE]) as server:
        assert len(grab(server.url, "someone", max_frames=2)) == 2
        assert requested_paths(server) == ["/360p.m3u8", "/3.ts", "/5.ts"]


def test_spread_first_fetches_in_bit_reversed_order():
    """Frames are numbered in the order in which they come."""
    with ScriptedServer([*LIVE, playlist(*["live"] * 10), *[PICTURE] * 8]) as server:
        frames = grab(server.url, "someone", max_frames=8, spread_first=True)
        assert requested_paths(server)[1:] == [f"/{number}.ts" for number in (3, 7, 5, 9, 4, 8, 6, 10)]
    assert [frame.number for frame in frames] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_max_frames_holds_across_a_wait_for_ads():
    """Frames from before and after the wait together; none comes twice."""
    media_playlists = [playlist(*["live"] * 4, *["ad"] * 11), playlist(*["ad"] * 2, *["live"] * 13, first=14)]
    recorder = SleepRecorder(0)
    with ScriptedServer([*LIVE, media_playlists[0], *[PICTURE] * 4, media_playlists[1], *[PICTURE] * 13]) as server:
        frames = grab(server.url, "someone", max_frames=6, ad_wait_s=30, recorder=recorder)
        numbers = [path for path in requested_paths(server) if path.endswith(".ts")]
    assert [frame.number for frame in frames] == [1, 2, 3, 4, 5, 6]
    assert numbers == ["/1.ts", "/2.ts", "/3.ts", "/4.ts", "/27.ts", "/28.ts"]
    assert recorder.slept == [2.0]


def test_ads_of_an_ended_stream_raise_at_once():
    """After ENDLIST no more segments come."""
    recorder = SleepRecorder(0)
    with ScriptedServer([*LIVE, playlist("ad", tail=["#EXT-X-ENDLIST"])]) as server, pytest.raises(OnlyAds):
        grab(server.url, "someone", ad_wait_s=60, recorder=recorder)
    assert not recorder.slept


def test_stop_event_ends_the_wait_for_ads():
    """A true result of `sleep` ends it."""
    stop = threading.Event()
    stop.set()
    with ScriptedServer([*LIVE, *[playlist("ad")] * 5]) as server:
        with pytest.raises(OnlyAds):
            grab(server.url, "someone", ad_wait_s=60, sleep=stop.wait)
        assert server.left == 4


@pytest.mark.parametrize("duration", ["0", "0.0001", "-3", "nan", "inf", "1e9"])
def test_invalid_target_duration_keeps_waits_within_limits(duration):
    """Between a second and the time that is left."""
    media_playlist, recorder = playlist("ad", tail=[f"#EXT-X-TARGETDURATION:{duration}"]), SleepRecorder(0.2)
    with ScriptedServer([*LIVE, *[media_playlist] * 30]) as server, pytest.raises(OnlyAds):
        grab(server.url, "someone", ad_wait_s=1.3, recorder=recorder)
    assert all(1 <= pause_s <= 1.3 for pause_s in recorder.slept)


def test_byte_ranges_are_requested_exactly():
    """The init section once; a range without a start follows the one before."""
    init, red = split_init_section(segment(flat(RED), container="mp4"))
    _, blue = split_init_section(segment(flat(BLUE), container="mp4"))
    media_playlist = playlist(
        head=[
            f'#EXT-X-MAP:URI="all.mp4",BYTERANGE="{len(init)}@0"',
            *["#EXTINF:2.0,live", f"#EXT-X-BYTERANGE:{len(red)}@{len(init)}", "all.mp4"],
            *["#EXTINF:2.0,live", f"#EXT-X-BYTERANGE:{len(blue)}", "all.mp4"],
        ]
    )
    parts = [Reply(206, part) for part in (init, red, blue)]
    with ScriptedServer([*LIVE, media_playlist, *parts]) as server:
        frames = grab(server.url, "someone")
        ranges = [headers.get("Range") for _, path, _, headers in server.requests if path == "/all.mp4"]
    ends = [len(init), len(init) + len(red), len(init) + len(red) + len(blue)]
    of_init, of_red, of_blue = f"0-{ends[0] - 1}", f"{ends[0]}-{ends[1] - 1}", f"{ends[1]}-{ends[2] - 1}"
    assert ranges == [f"bytes={part}" for part in (of_init, of_red, of_blue)]
    for frame, colour in zip(frames, (RED, BLUE), strict=True):
        assert difference(decode_jpeg(frame.jpeg), flat(colour, IMG_SIZE, IMG_SIZE)) < 6


def test_status_200_for_a_byte_range_is_cut_here():
    """The frame is that of the range."""
    red, green = segment(flat(RED)), segment(flat(GREEN))
    parts = [f"#EXT-X-BYTERANGE:{len(red)}@0", f"#EXT-X-BYTERANGE:{len(green)}@{len(red)}"]
    media_playlist = playlist(head=[line for part in parts for line in ("#EXTINF:2.0,live", part, "all.ts")])
    with ScriptedServer([*LIVE, media_playlist, *[Reply(body=red + green)] * 2]) as server:
        frames = grab(server.url, "someone")
    for frame, colour in zip(frames, (RED, GREEN), strict=True):
        assert difference(decode_jpeg(frame.jpeg), flat(colour, IMG_SIZE, IMG_SIZE)) < 6


BAD_SEGMENTS = {
    "404": Reply(404),
    "503": Reply(503, b"busy"),
    "empty": Reply(),
    "HTML": Reply(body=b"<html>no</html>"),
    "cut off": Reply(body=b"\x47\x40", promised=5000),
    "redirect in a circle": Reply(302, headers={"Location": f"{VIDEO}/1.ts"}),
    "redirect to nowhere": Reply(302, headers={"Location": "gopher://x"}),
}


@pytest.mark.parametrize("bad", BAD_SEGMENTS.values(), ids=BAD_SEGMENTS)
def test_bad_segment_costs_one_frame(bad):
    """The other segments give their frames, numbered without a gap."""
    bads = [bad] * 6 if bad.status == 302 and "video" in bad.headers["Location"] else [bad]
    with ScriptedServer([*LIVE, playlist("live", "live", "live"), PICTURE, *bads, PICTURE]) as server:
        assert [frame.number for frame in grab(server.url, "someone")] == [1, 2]


@pytest.mark.parametrize(
    ("bad", "error"),
    [("404", StreamUnavailable), ("HTML", UndecodableVideo), ("empty", UndecodableVideo), ("503", StreamUnavailable)],
)
def test_only_bad_segments_raise_the_reason(bad, error):
    """The error names the stream and the failure."""
    script = [*LIVE, playlist("live", "live"), *[BAD_SEGMENTS[bad]] * 2]
    with ScriptedServer(script) as server, pytest.raises(error, match=r"^someone: no segment could be decoded"):
        grab(server.url, "someone")


PLAYLISTS = {
    "empty": b"",
    "HTML": b"<!doctype html><p>busy",
    "zeros": b"\0" * 999,
    "no segments": b"#EXTM3U\n",
    "no number": b"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:many\n#EXTINF:2,\n1.ts\n",
    "no duration": b"#EXTM3U\n#EXT-X-TARGETDURATION:long\n#EXTINF:2,\n1.ts\n",
    "endless dates": b'#EXTM3U\n#EXT-X-DATERANGE:ID="a",DURATION=99999999999999999999.0\n#EXTINF:2,\n1.ts\n',
    "end of time": (
        b"#EXTM3U\n#EXT-X-PROGRAM-DATE-TIME:9999-12-31T23:59:59Z\n#EXTINF:9,\n1.ts\n#EXT-X-TWITCH-PREFETCH:2.ts\n"
    ),
    "strange addresses": b"#EXTM3U\n#EXTINF:2,\nhttp://[\n#EXTINF:2,\nhttps://a b\x00c/\n#EXTINF:2,\nfile:///etc/passwd\n",
    "a thousand renditions": renditions(*[f"{n}p" for n in range(1000)]).body,
}


@pytest.mark.parametrize("body", PLAYLISTS.values(), ids=PLAYLISTS)
def test_invalid_playlist_raises_a_stream_error(body):
    """It ends this stream only, and the error names it."""
    with ScriptedServer([*LIVE, Reply(body=body)]) as server, pytest.raises(StreamError, match="someone"):
        grab(server.url, "someone")


@pytest.mark.parametrize(("status", "error"), [(404, StreamOffline), (403, StreamOffline), (503, StreamUnavailable)])
def test_playlist_status_decides_between_ended_and_unavailable(status, error):
    """Not found is the stream's end; a server error is not."""
    with ScriptedServer([*LIVE, Reply(status)]) as server, pytest.raises(error, match="someone"):
        grab(server.url, "someone")


ERRORS = [{"message": "failed integrity check"}]
TOKENS = {
    "401": Reply(401, {"error": "Unauthorized", "status": 401, "message": "no"}),
    "500": Reply(500),
    "HTML": Reply(body=b"<html>"),
    "null": Reply(body=b"null"),
    "list": Reply(body=[]),
    "nothing": Reply(body={}),
    "no data": Reply(body={"data": None}),
    "errors": Reply(body={"errors": ERRORS}),
    "errors and data": Reply(body={"errors": ERRORS, "data": {"streamPlaybackAccessToken": None}}),
    "other types": Reply(body={"data": {"streamPlaybackAccessToken": {"value": 1, "signature": 2}}}),
}


@pytest.mark.parametrize("reply", TOKENS.values(), ids=TOKENS)
def test_invalid_token_response_raises_unavailable(reply):
    """The error says what may help, and no browser is started."""
    line = r"^someone: .*; if every channel fails, upgrade streamlink$"
    with ScriptedServer([reply] * 3) as server, pytest.raises(StreamUnavailable, match=line):
        grab(server.url, "someone")


def test_null_token_raises_source_not_found():
    """That is Twitch's response for an unknown channel."""
    null = Reply(body={"data": {"streamPlaybackAccessToken": None}})
    with ScriptedServer([null]) as server, pytest.raises(SourceNotFound, match="someone"):
        grab(server.url, "someone")


@pytest.mark.parametrize("names", [["audio_only"], ["360p_portrait"], []], ids=["sound", "portrait", "none"])
def test_channel_without_a_usable_rendition_raises(names):
    """Such as one that has only sound."""
    media_playlists = [playlist("live")] * len(names)
    with (
        ScriptedServer([TOKEN, renditions(*names), *media_playlists]) as server,
        pytest.raises(StreamError, match="someone"),
    ):
        grab(server.url, "someone")


STEPS = {"token": 0, "renditions": 1, "check": 2, "playlist": 3, "segment": 4}


@pytest.mark.parametrize("trickle", [False, True], ids=["silent", "trickling"])
@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_slow_server_raises_within_the_deadline(step, trickle):
    """Silence or a trickle, at each step."""
    slow = {"body": b"#EXTM3U\n" + b"#" * 9000, "byte_pause_s": 0.1} if trickle else {"silence_s": 30.0}
    replies = [*LIVE, playlist("live")][:step]
    start = time.monotonic()
    with ScriptedServer([*replies, *[Reply(**slow)] * 3]) as server, pytest.raises(StreamError, match="someone"):
        grab(server.url, "someone", timeout_s=0.5, deadline_s=1)
    assert time.monotonic() - start < 20


# --- renditions -----------------------------------------------------------------------------------

TWITCH = ["audio_only", "160p", "360p", "480p", "720p60", "1080p60", "worst", "best"]


@pytest.mark.parametrize(
    ("names", "img_size", "expected"),
    [
        (TWITCH, 240, "360p"),
        (TWITCH, 160, "160p"),
        (TWITCH, 161, "360p"),
        (TWITCH, 720, "720p60"),
        (TWITCH, 1081, "1080p60"),
        (["1080p60", "worst", "best"], 240, "1080p60"),
        (["160p", "audio_only", "best"], 240, "160p"),
        (["best", "worst"], 240, "best"),
        (["live", "360p_alt", "best"], 240, "best"),
    ],
)
def test_choose_rendition(names, img_size, expected):
    """The fewest lines that cover the image, else the largest; `best` if no name states a height."""
    assert choose_rendition(names, img_size) == expected


# --- whatever nobody foresaw ----------------------------------------------------------------------


def test_unforeseen_exception_costs_this_stream_only(caplog):
    """It becomes a StreamError with a line that says where, and its traceback at -vv; the grabber goes on."""

    def sleep(seconds: float) -> None:
        raise AttributeError(f"no one thought of {seconds}")

    caplog.set_level("DEBUG", "data.errors")
    script = [*LIVE, playlist("ad", "live"), PICTURE, *LIVE, playlist("live"), PICTURE]
    with ScriptedServer(script) as server, grabber(server.url, sleep=sleep) as opened:
        frames = opened.frames("someone", 5, ad_wait_s=60)
        assert next(frames).number == 1
        with pytest.raises(UnexpectedStreamError, match=r"^someone: unexpected AttributeError; run with -vv"):
            next(frames)
        assert len(list(opened.frames("another_one", 5))) == 1
    assert any("no one thought of" in str(record.exc_info) for record in caplog.records)


def test_frames_before_a_break_in_a_segment_are_kept():
    """A frame every half second of a segment whose server stops in the middle."""
    whole = recording("mpegts", 8.0, key_every_s=1.0, size=(320, 240))
    broken = Reply(body=whole[: len(whole) // 2], promised=len(whole))
    script = [*LIVE, playlist("live", tail=["#EXT-X-ENDLIST"]), broken]
    with ScriptedServer(script) as server:
        frames = grab(server.url, "someone", frame_interval_s=0.5)
    assert [frame.number for frame in frames] == [1, 2, 3, 4]


def test_closed_grabber_ends_the_reading_of_a_file(tmp_path):
    """A command that ends does not wait for a long file."""
    (tmp_path / "a.ts").write_bytes(recording("mpegts"))
    opened = grabber("", frame_interval_s=0.5)
    frames = opened.frames(str(tmp_path / "a.ts"), 1000)
    assert next(frames).number == 1
    opened.close()
    assert len(list(frames)) < 30  # of 39: those that were read already
    with pytest.raises(StreamUnavailable, match=r"a\.ts: the reading was stopped"):
        list(opened.frames(str(tmp_path / "a.ts"), 5))
