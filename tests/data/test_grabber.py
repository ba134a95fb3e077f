"""data.capture.grabber: against the stand-in for how channels behave, against scripted answers for how servers misbehave."""

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
from data.errors import OnlyAds, SourceNotFound, StreamError, StreamOffline, StreamUnavailable, UndecodableVideo
from data.video.images import decode_jpeg
from tests.data.hls_server import IMG_SIZE, LIVE, PICTURE, TOKEN, VIDEO, Naps, grab, grabber, playlist, renditions
from tests.sample_images import BLUE, GREEN, RED, by_area, flat, segment, split
from tests.scripted_server import Reply, ScriptedServer
from tests.standin import Standin, World, looks_like_ad
from tests.standin.media import TRANSCODES
from tests.standin.playlist import MEDIA_HOST
from tests.standin.server import SOURCE
from tests.standin.world import BEHAVIOURS

CLIP = "stk_hacienda"  # a race: no two of its seconds look the same


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """Mean absolute difference, in levels of 255."""
    return float(np.abs(one.astype(int) - other).mean())


# --- the stand-in ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def zoo(world):
    """A channel of each behaviour, named after it, all playing one clip."""
    clip = world.channel(CLIP)
    return World(tuple(dataclasses.replace(clip, login=name, behaviour=name) for name in sorted(BEHAVIOURS)))


@pytest.fixture
def twitch(zoo):
    """The stand-in with these channels; its transcodes are kept for the next time."""
    with Standin(zoo, preroll_s=2.0) as running:
        yield running
    assert not running.unknown


@pytest.fixture(scope="module")
def truth(world) -> list[np.ndarray]:
    """The clip's own frame at the start of each two seconds, as a grabber should show it."""
    with av.open(str(world.channel(CLIP).file)) as clip:
        per_segment = round(2 * clip.streams.video[0].average_rate)
        frames = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
    return [by_area(frame, IMG_SIZE) for frame in frames[::per_segment]]


def places(frames: Sequence, truth: list[np.ndarray]) -> list[int]:
    """Which of the clip's segments each frame shows; asserts that it shows one, clearly."""
    found = []
    for frame in frames:
        distances = [difference(decode_jpeg(frame.jpeg), picture) for picture in truth]
        nearest = int(np.argmin(distances))
        assert distances[nearest] < 8
        assert sorted(distances)[1] > 2 * distances[nearest]
        found.append(nearest)
    return found


def check(frames: Sequence) -> None:
    """Numbered from 1, each a JPEG of the size asked for, none of an ad."""
    assert [frame.number for frame in frames] == list(range(1, len(frames) + 1))
    assert all(frame.jpeg.startswith(b"\xff\xd8") and frame.jpeg.endswith(b"\xff\xd9") for frame in frames)
    assert {decode_jpeg(frame.jpeg).shape for frame in frames} == {(IMG_SIZE, IMG_SIZE, 3)}
    assert not any(looks_like_ad(decode_jpeg(frame.jpeg)) for frame in frames)


@pytest.mark.parametrize("behaviour", ["live", "fmp4", "source_only"])
def test_the_live_window_becomes_frames(twitch, truth, behaviour):
    """Fifteen frames, oldest first, each the first of its segment as the clip itself shows it."""
    frames = grab(twitch.url, behaviour)
    check(frames)
    assert len(frames) == 15
    assert {(b - a) % len(truth) for a, b in pairwise(places(frames, truth))} == {1}


def test_broken_segments_are_left_out(twitch, truth):
    """A third of the segments is no video; the other ten are there, in order."""
    frames = grab(twitch.url, "broken")
    check(frames)
    assert len(frames) == 10
    assert {(b - a) % len(truth) for a, b in pairwise(places(frames, truth))} == {1, 2}


def test_ads_between_are_left_out(twitch):
    """The stream around an ad break gives its frames, without a wait."""
    naps = Naps()
    frames = grab(twitch.url, "midroll", naps=naps, ad_wait_s=30)
    check(frames)
    assert 7 <= len(frames) <= 11
    assert not naps.slept


def test_a_preroll_is_waited_out(twitch):
    """With time to wait, the frames are those of the stream behind the ads."""
    naps = Naps()
    frames = grab(twitch.url, "preroll", at_most=1, ad_wait_s=30, naps=naps)
    check(frames)
    assert len(frames) == 1
    assert 1 <= len(naps.slept) <= 4


def test_without_time_to_wait_a_preroll_is_only_ads(twitch):
    """A download takes another stream at once: OnlyAds, and no wait."""
    naps = Naps()
    with pytest.raises(OnlyAds, match="preroll"):
        grab(twitch.url, "preroll", naps=naps)
    assert not naps.slept


def test_ads_without_end_end_the_wait(twitch):
    """Where nothing but ads comes, it is OnlyAds when the time is over; no ad was fetched."""
    start = time.monotonic()
    with pytest.raises(OnlyAds, match="only_ads"):
        grab(twitch.url, "only_ads", ad_wait_s=3)
    assert 2 <= time.monotonic() - start < 6
    assert not [r for r in twitch.requests if "/segment/" in r.path]


@pytest.mark.parametrize(
    ("login", "error", "hosts"),
    [
        ("offline", StreamOffline, "gql usher"),
        ("nobody_of_that_name", SourceNotFound, "gql"),
        ("Live", SourceNotFound, ""),
        ("../live", SourceNotFound, ""),
        ("live?x=1", SourceNotFound, ""),
        ("v/1", SourceNotFound, ""),
        ("", SourceNotFound, ""),
        ("x" * 26, SourceNotFound, ""),
    ],
)
def test_channels_that_are_not_there(twitch, login, error, hosts):
    """Over, unknown and impossible are told apart, by errors that name the login; the last without a request."""
    with pytest.raises(error) as raised:
        grab(twitch.url, login)
    assert login in str(raised.value)
    assert [r.host.split(".")[0] for r in twitch.requests] == hosts.split()


@pytest.mark.parametrize(
    ("quality", "rendition"),
    [("auto", "360p"), ("360p", "360p"), ("best", "720p"), ("worst", "160p"), ("160p", "160p"), ("1080p60", "360p")],
)
def test_quality(twitch, quality, rendition):
    """The wanted rendition is used, and the smallest that covers the image where there is none of that name."""
    check(grab(twitch.url, "live", at_most=1, quality=quality))
    assert {r.path.split("/")[-2] for r in twitch.requests if "/segment/" in r.path} == {rendition}


def test_at_most_takes_the_newest(twitch, truth):
    """Three frames are the window's last three."""
    with grabber(twitch.url) as open_grabber:
        newest = int(time.time() // 2) - 1
        frames = list(open_grabber.frames("live", 3))
    last = places(frames, truth)[-1]
    assert len(frames) == 3
    assert (last - newest) % len(truth) in (0, 1, 2)  # it may have moved on meanwhile


def test_requests(twitch):
    """At most 3 + n for n frames: one token, one playlist of renditions, one of segments, a part of each segment."""
    grab(twitch.url, "live", at_most=4)
    assert Counter(r.host for r in twitch.requests) == {"gql.twitch.tv": 1, "usher.ttvnw.net": 1, MEDIA_HOST: 1 + 4}
    assert [r.status for r in twitch.requests] == [200] * 3 + [206] * 4


@pytest.mark.parametrize(("login", "besides"), [("live", 3), ("source_only", 3), ("fmp4", 4)])
def test_few_requests_and_bytes(twitch, login, besides):
    """One request a frame, whatever the rendition (fMP4: one for the init section), and a part of each segment."""
    frames = grab(twitch.url, login, at_most=10)
    assert len(twitch.requests) <= besides + len(frames)
    fetched = [r.bytes for r in twitch.requests if r.status == 206]
    whole = twitch.transcoder.segment(
        twitch.world.channel(login).file, SOURCE if login == "source_only" else TRANSCODES[0], 0
    )
    assert sum(fetched) / len(fetched) < len(whole) / 2


def test_frames_come_as_they_are_made(twitch):
    """The first frame is handed over before a second segment is asked for, and leaving early asks for no more."""
    with grabber(twitch.url) as open_grabber:
        frames = open_grabber.frames("live", 15)
        assert next(frames).number == 1
        frames.close()
    assert len([r for r in twitch.requests if "/segment/" in r.path]) == 1


def test_one_grabber_serves_many_channels(twitch):
    """An offline channel, an unknown one and a malformed one leave the grabber as it was."""
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
def test_servers_that_fail(twitch, host, status, times, error):
    """Each of Twitch's hosts failing is a StreamError that names the login."""
    twitch.fail(host, status, times)
    with pytest.raises(error, match="live"):
        grab(twitch.url, "live")


def test_closing_leaves_nothing_behind(twitch):
    """After close no connection and no thread is left, even when a grab was given up half-way; twice is fine."""
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


# --- scripted answers -----------------------------------------------------------------------------


def asked(server: ScriptedServer) -> list[str]:
    """The paths asked for after LIVE."""
    return [path for _, path, _, _ in server.requests[len(LIVE) :]]


def test_what_is_fetched_of_a_playlist():
    """Of ads, live segments and one to prefetch, the live ones are fetched, the newest two of them."""
    with ScriptedServer([*LIVE, playlist("live", "ad", "live", "ad", "live", "prefetch"), PICTURE, PICTURE]) as server:
        assert len(grab(server.url, "someone", at_most=2)) == 2
        assert asked(server) == ["/360p.m3u8", "/3.ts", "/5.ts"]


def test_scattered_frames_come_from_all_of_the_window():
    """The newest segments, the first of them and the middle before those between; numbers count as they come."""
    with ScriptedServer([*LIVE, playlist(*["live"] * 10), *[PICTURE] * 8]) as server:
        frames = grab(server.url, "someone", at_most=8, spread_first=True)
        assert asked(server)[1:] == [f"/{number}.ts" for number in (3, 7, 5, 9, 4, 8, 6, 10)]
    assert [frame.number for frame in frames] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_waiting_for_ads_keeps_to_at_most():
    """Frames from before and after a wait are together no more than asked for, and none comes twice."""
    looks = [playlist(*["live"] * 4, *["ad"] * 11), playlist(*["ad"] * 2, *["live"] * 13, first=14)]
    naps = Naps(0)
    with ScriptedServer([*LIVE, looks[0], *[PICTURE] * 4, looks[1], *[PICTURE] * 13]) as server:
        frames = grab(server.url, "someone", at_most=6, ad_wait_s=30, naps=naps)
        numbers = [path for path in asked(server) if path.endswith(".ts")]
    assert [frame.number for frame in frames] == [1, 2, 3, 4, 5, 6]
    assert numbers == ["/1.ts", "/2.ts", "/3.ts", "/4.ts", "/27.ts", "/28.ts"]
    assert naps.slept == [2.0]


def test_a_stream_that_ended_is_not_waited_for():
    """ENDLIST says that nothing more will come, ads or not."""
    naps = Naps(0)
    with ScriptedServer([*LIVE, playlist("ad", tail=["#EXT-X-ENDLIST"])]) as server, pytest.raises(OnlyAds):
        grab(server.url, "someone", ad_wait_s=60, naps=naps)
    assert not naps.slept


def test_who_sleeps_may_end_the_wait():
    """A stop event's `wait`, given as `sleep`, ends the wait for ads when the event is set."""
    stop = threading.Event()
    stop.set()
    with ScriptedServer([*LIVE, *[playlist("ad")] * 5]) as server:
        with pytest.raises(OnlyAds):
            grab(server.url, "someone", ad_wait_s=60, sleep=stop.wait)
        assert server.left == 4


@pytest.mark.parametrize("duration", ["0", "0.0001", "-3", "nan", "inf", "1e9"])
def test_an_absurd_target_duration_makes_no_absurd_wait(duration):
    """Whatever a playlist says, looks are a second apart or more, and never beyond the time there is."""
    look, naps = playlist("ad", tail=[f"#EXT-X-TARGETDURATION:{duration}"]), Naps(0.2)
    with ScriptedServer([*LIVE, *[look] * 30]) as server, pytest.raises(OnlyAds):
        grab(server.url, "someone", ad_wait_s=1.3, naps=naps)
    assert all(1 <= nap <= 1.3 for nap in naps.slept)


def test_byte_ranges():
    """Parts of a file are asked for by Range, the init section once; one without a start follows the one before."""
    init, red = split(segment(flat(RED), container="mp4"))
    _, blue = split(segment(flat(BLUE), container="mp4"))
    look = playlist(
        head=[
            f'#EXT-X-MAP:URI="all.mp4",BYTERANGE="{len(init)}@0"',
            *["#EXTINF:2.0,live", f"#EXT-X-BYTERANGE:{len(red)}@{len(init)}", "all.mp4"],
            *["#EXTINF:2.0,live", f"#EXT-X-BYTERANGE:{len(blue)}", "all.mp4"],
        ]
    )
    parts = [Reply(206, part) for part in (init, red, blue)]
    with ScriptedServer([*LIVE, look, *parts]) as server:
        frames = grab(server.url, "someone")
        ranges = [headers.get("Range") for _, path, _, headers in server.requests if path == "/all.mp4"]
    ends = [len(init), len(init) + len(red), len(init) + len(red) + len(blue)]
    of_init, of_red, of_blue = f"0-{ends[0] - 1}", f"{ends[0]}-{ends[1] - 1}", f"{ends[1]}-{ends[2] - 1}"
    assert ranges == [f"bytes={part}" for part in (of_init, of_red, of_blue)]
    for frame, colour in zip(frames, (RED, BLUE), strict=True):
        assert difference(decode_jpeg(frame.jpeg), flat(colour, IMG_SIZE, IMG_SIZE)) < 6


def test_a_server_that_ignores_ranges():
    """A whole file sent instead of its part is cut here: the frame is the part's own."""
    red, green = segment(flat(RED)), segment(flat(GREEN))
    parts = [f"#EXT-X-BYTERANGE:{len(red)}@0", f"#EXT-X-BYTERANGE:{len(green)}@{len(red)}"]
    look = playlist(head=[line for part in parts for line in ("#EXTINF:2.0,live", part, "all.ts")])
    with ScriptedServer([*LIVE, look, *[Reply(body=red + green)] * 2]) as server:
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
def test_a_bad_segment_costs_one_frame(bad):
    """Whatever comes in place of a segment, the others give their frames, numbered without a gap."""
    bads = [bad] * 6 if bad.status == 302 and "video" in bad.headers["Location"] else [bad]
    with ScriptedServer([*LIVE, playlist("live", "live", "live"), PICTURE, *bads, PICTURE]) as server:
        assert [frame.number for frame in grab(server.url, "someone")] == [1, 2]


@pytest.mark.parametrize(
    ("bad", "error"),
    [("404", StreamUnavailable), ("HTML", UndecodableVideo), ("empty", UndecodableVideo), ("503", StreamUnavailable)],
)
def test_bad_segments_alone_are_an_error(bad, error):
    """Where no segment could be decoded gives a picture, the error says why, and of whom."""
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
def test_a_garbage_playlist_is_a_stream_error(body):
    """A playlist that makes no sense ends this stream alone, and the error names it."""
    with ScriptedServer([*LIVE, Reply(body=body)]) as server, pytest.raises(StreamError, match="someone"):
        grab(server.url, "someone")


@pytest.mark.parametrize(("status", "error"), [(404, StreamOffline), (403, StreamOffline), (503, StreamUnavailable)])
def test_a_playlist_that_is_gone(status, error):
    """A playlist that is no longer there is the stream's end; a server in trouble is not."""
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
def test_a_refused_token_is_unavailable(reply):
    """Anything but a token ends in StreamUnavailable, says what may help, and starts no browser."""
    line = r"^someone: .*; if every channel fails, upgrade streamlink$"
    with ScriptedServer([reply] * 3) as server, pytest.raises(StreamUnavailable, match=line):
        grab(server.url, "someone")


def test_a_null_token_is_an_unknown_login():
    """Twitch's word for a channel that does not exist."""
    null = Reply(body={"data": {"streamPlaybackAccessToken": None}})
    with ScriptedServer([null]) as server, pytest.raises(SourceNotFound, match="someone"):
        grab(server.url, "someone")


@pytest.mark.parametrize("names", [["audio_only"], ["360p_portrait"], []], ids=["sound", "portrait", "none"])
def test_renditions_that_are_no_use(names):
    """Sound alone and the like are a StreamError, not a surprise."""
    looks = [playlist("live")] * len(names)
    with ScriptedServer([TOKEN, renditions(*names), *looks]) as server, pytest.raises(StreamError, match="someone"):
        grab(server.url, "someone")


STEPS = {"token": 0, "renditions": 1, "check": 2, "playlist": 3, "segment": 4}


@pytest.mark.parametrize("trickle", [False, True], ids=["silent", "trickling"])
@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_no_server_can_hold_it(step, trickle):
    """A server that falls silent, or sends a byte now and then, costs a bounded time at every step."""
    slow = {"body": b"#EXTM3U\n" + b"#" * 9000, "byte_pause_s": 0.1} if trickle else {"silence_s": 30.0}
    replies = [*LIVE, playlist("live")][:step]
    start = time.monotonic()
    with ScriptedServer([*replies, *[Reply(**slow)] * 3]) as server, pytest.raises(StreamError, match="someone"):
        grab(server.url, "someone", timeout_s=0.5, deadline_s=1)
    assert time.monotonic() - start < 5


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
def test_smallest_covering(names, img_size, expected):
    """The fewest lines that still cover the image; else the most there are; `best` where no name says."""
    assert choose_rendition(names, img_size) == expected
