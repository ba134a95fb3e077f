"""Playlists that are unusual, damaged or too large, through real Streamlink: what is usable is used, in little time."""

from __future__ import annotations

import json
import os
import time

import pytest

from data.capture import follower
from data.errors import StreamError, StreamOffline, StreamUnavailable, UndecodableVideo
from data.hls.live_stream import LiveStream
from data.hls.parser import check_size
from tests.data.hls_server import LIVE, PICTURE, TOKEN, VIDEO, grab, grabber, playlist, renditions
from tests.sample_images import RED, flat, segment, split_init_section
from tests.scripted_server import Reply, ScriptedServer

SITE = "https://site.example/live/master.m3u8"
MASTER = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=630000,RESOLUTION=640x360\n{}\n"
MEDIA = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n"
END = "#EXT-X-ENDLIST"
CLEAR = "#EXT-X-KEY:METHOD=NONE"
KEY = '#EXT-X-KEY:METHOD={},URI="https://keys.example/1"'


def text(*parts: str) -> Reply:
    return Reply(body="".join(parts).encode())


def moved(url: str) -> Reply:
    return Reply(302, b"elsewhere", {"Location": url})


def media(*lines: str, segments: int = 0) -> Reply:
    """Return a media playlist of these lines and, after them, some segments."""
    return text(MEDIA, "\n".join([*lines, *(f"#EXTINF:2,live\n{n}.ts" for n in range(1, segments + 1))]), "\n")


def fetched(server: ScriptedServer) -> list[str]:
    """Return the paths of the segments that were requested."""
    return [path for _, path, _, _ in server.requests if path.endswith((".ts", ".mp4", ".m4s"))]


# --- redirects ------------------------------------------------------------------------------------


def test_relative_segments_of_a_redirected_playlist_are_found():
    """They are relative to the address that answered (RFC 3986, 5.1.3), on another host and in another folder."""
    script = [*LIVE, moved("https://cdn.example/b/c/list.m3u8?x=1"), media(segments=2), PICTURE, PICTURE]
    with ScriptedServer(script) as server:
        assert len(grab(server.url, "someone")) == 2
        assert [(host, path) for host, path, _, _ in server.requests[-2:]] == [
            ("cdn.example", "/b/c/1.ts"),
            ("cdn.example", "/b/c/2.ts"),
        ]


def test_relative_init_section_and_keys_follow_the_redirect():
    """The init section is found beside the playlist that answered."""
    init, fragment = split_init_section(segment(flat(RED), container="mp4"))
    list_ = media('#EXT-X-MAP:URI="init.mp4"', "#EXTINF:2,", "../1.m4s")
    with ScriptedServer([*LIVE, moved("/b/c/list.m3u8"), list_, Reply(body=init), Reply(body=fragment)]) as server:
        assert len(grab(server.url, "someone")) == 1
        assert fetched(server) == ["/b/c/init.mp4", "/b/1.m4s"]


@pytest.mark.parametrize("hops", [1, 3])
def test_relative_renditions_of_a_redirected_multivariant_playlist_are_found(hops):
    """Of Twitch's, and of another site's, which Streamlink reads itself; after several redirects, too."""
    redirects = [moved(f"https://cdn{hop}.example/{hop}/master.m3u8") for hop in range(hops)]
    rest = [text(MASTER.format("v/list.m3u8")), media(segments=1), PICTURE]
    for source, token in ((SITE, []), ("someone", [TOKEN])):
        with ScriptedServer([*token, *redirects, *rest]) as server:
            assert len(grab(server.url, source)) == 1
            host, path, _, _ = server.requests[-1]
        assert (host, path) == (f"cdn{hops - 1}.example", f"/{hops - 1}/v/1.ts")


def test_every_response_decides_about_relative_addresses_anew():
    """A live playlist may be redirected to another host at each poll."""
    script = [
        *LIVE,
        *(moved("https://one.example/a/list.m3u8"), media("#EXT-X-MEDIA-SEQUENCE:1", segments=1)),
        *(moved("https://two.example/b/list.m3u8"), media("#EXT-X-MEDIA-SEQUENCE:2", segments=1)),
    ]
    with ScriptedServer(script) as server, grabber(server.url) as open_grabber:
        rendition = open_grabber._resolver.open_stream("someone")
        stream = LiveStream(rendition, lambda: rendition, time.monotonic)
        found = [segment.byte_range.uri for _ in range(2) for _, segment in stream.poll(1)]
    assert found == ["https://one.example/a/1.ts", "https://two.example/b/1.ts"]


def test_huge_init_section_is_not_read():
    """It stays in memory: 4 MB are enough for any."""
    list_ = media('#EXT-X-MAP:URI="init.mp4"', "#EXTINF:2,", "1.m4s")
    with ScriptedServer([*LIVE, list_, Reply(body=bytes(5 << 20))]) as server, pytest.raises(StreamUnavailable):
        grab(server.url, "someone")


@pytest.mark.parametrize("name", ["fifo", "/dev/zero", "/etc/passwd"])
def test_local_file_is_no_stream(name, tmp_path):
    """Streamlink would read one without an end, and wait for a FIFO."""
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(StreamUnavailable, match="No connection adapters"):
        grab("http://127.0.0.1:1", f"hls://file://{tmp_path / name}")


def test_segments_that_fail_for_long_end_the_grab(monkeypatch):
    """A recording may list 100,000 segments, each of which takes the whole deadline."""
    monkeypatch.setattr(follower, "_MAX_FAILING_S", 0.5)
    trickle = Reply(body=PICTURE.body, byte_pause_s=0.2)
    with ScriptedServer([*LIVE, media(END, segments=40), *[trickle] * 40]) as server:
        with pytest.raises(StreamUnavailable, match="no segment could be decoded"):
            grab(server.url, "someone", max_frames=40, deadline_s=0.2)
        assert 20 < server.left < 40


# --- encrypted segments and gaps ------------------------------------------------------------------


@pytest.mark.parametrize("method", ["AES-128", "SAMPLE-AES", "SAMPLE-AES-CTR", "aes-128", "X"])
def test_encrypted_segments_among_clear_ones_are_left_out(method):
    """The clear ones are used, and no encrypted one is requested."""
    lines = ["#EXTINF:2,", "1.ts", KEY.format(method), "#EXTINF:2,", "2.ts", CLEAR, "#EXTINF:2,", "3.ts"]
    with ScriptedServer([*LIVE, media(*lines), PICTURE, PICTURE]) as server:
        assert len(grab(server.url, "someone")) == 2
        assert fetched(server) == ["/1.ts", "/3.ts"]


def test_encrypted_segments_with_rotating_keys_raise():
    """If all are encrypted, the stream is refused as before, and the error says why."""
    lines = [f'#EXT-X-KEY:METHOD=AES-128,URI="k{n}"\n#EXTINF:2,\n{n}.ts' for n in range(3)]
    with ScriptedServer([*LIVE, media(*lines)]) as server, pytest.raises(UndecodableVideo, match=r"someone.*encrypted"):
        grab(server.url, "someone")


def test_ads_beside_encrypted_segments_raise():
    """Clear ads are no picture of the stream."""
    lines = ["#EXTINF:2,Amazon", "1.ts", KEY.format("AES-128"), "#EXTINF:2,live", "2.ts"]
    with ScriptedServer([*LIVE, media(*lines)]) as server, pytest.raises(UndecodableVideo, match="encrypted"):
        grab(server.url, "someone")


@pytest.mark.parametrize(("method", "frames"), [("AES-128", 0), ("SAMPLE-AES", 1)])
def test_init_section_with_a_key(method, frames):
    """AES-128 encrypts the init section, so that its clear fragments are of no use; SAMPLE-AES leaves it clear."""
    init, fragment = split_init_section(segment(flat(RED), container="mp4"))
    lines = [KEY.format(method), '#EXT-X-MAP:URI="init.mp4"', CLEAR, "#EXTINF:2,", "1.m4s"]
    with ScriptedServer([*LIVE, media(*lines), Reply(body=init), Reply(body=fragment)]) as server:
        if frames:
            assert len(grab(server.url, "someone")) == frames
        else:
            with pytest.raises(UndecodableVideo, match="encrypted"):
                grab(server.url, "someone")


def test_gaps_are_not_requested():
    """A segment after EXT-X-GAP does not exist; the tag is valid for one segment."""
    lines = ["#EXTINF:2,", "1.ts", "#EXT-X-GAP", "#EXTINF:2,", "2.ts", "#EXTINF:2,", "#EXT-X-GAP", "3.ts"]
    with ScriptedServer([*LIVE, media(*lines, "#EXTINF:2,", "4.ts"), PICTURE, PICTURE]) as server:
        assert len(grab(server.url, "someone")) == 2
        assert fetched(server) == ["/1.ts", "/4.ts"]


def test_gaps_alone_are_a_stream_without_segments():
    """The error is the same as for an empty playlist."""
    with ScriptedServer([*LIVE, media("#EXT-X-GAP", "#EXTINF:2,", "1.ts")]) as server, pytest.raises(StreamOffline):
        grab(server.url, "someone")


# --- damaged playlists ----------------------------------------------------------------------------

BAD_VARIANTS = {
    "bare": "#EXT-X-STREAM-INF:\n1.m3u8\n",
    "without a colon": "#EXT-X-STREAM-INF\n1.m3u8\n",
    "stray attribute": "#EXT-X-STREAM-INF:BANDWIDTH=1,X\n1.m3u8\n",
    "comma": "#EXT-X-STREAM-INF:,\n1.m3u8\n",
    "no id": "#EXT-X-STREAM-INF:BANDWIDTH=630000\n1.m3u8\n",
    "huge numbers": f'#EXT-X-STREAM-INF:BANDWIDTH={"9" * 4000},STABLE-VARIANT-ID="a"\n1.m3u8\n',
    "huge height": f'#EXT-X-STREAM-INF:STABLE-VARIANT-ID="{"9" * 5000}p"\n1.m3u8\n',
    "odd name": '#EXT-X-STREAM-INF:BANDWIDTH=1,STABLE-VARIANT-ID="\x1b[2J\u202e"\n1.m3u8\n',
}


@pytest.mark.parametrize(
    ("name", "source"), [(name, "someone") for name in BAD_VARIANTS] + [(name, SITE) for name in list(BAD_VARIANTS)[:5]]
)
def test_malformed_rendition_among_good_ones_is_left_out(name, source):
    """Before the good one and after it; alone it is an error of this stream."""
    good = f'#EXT-X-STREAM-INF:BANDWIDTH=630000,RESOLUTION=640x360,STABLE-VARIANT-ID="360p"\n{VIDEO}/good.m3u8\n'
    token = [TOKEN] if source == "someone" else []
    lines = BAD_VARIANTS[name]
    for order in (lines + good, good + lines):
        with ScriptedServer([*token, text("#EXTM3U\n", order), media(segments=1), PICTURE]) as server:
            assert len(grab(server.url, source)) == 1
            assert "/good.m3u8" in [path for _, path, _, _ in server.requests]
    with ScriptedServer([*token, text("#EXTM3U\n", lines)]) as server, pytest.raises(StreamError):
        grab(server.url, source)


@pytest.mark.parametrize("source", ["someone", SITE])
@pytest.mark.parametrize(
    "url", ["https://a:99999/x", "https://a:b/x", "https://[", "https://" + "a" * 80 + ".example/", "ftp://a/", "//"]
)
def test_rendition_at_an_invalid_address_raises_a_stream_error(url, source):
    """In words of ours, with the name of the source."""
    token = [TOKEN] if source == "someone" else []
    master = f'#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=640x360,STABLE-VARIANT-ID="360p"\n{url}\n'
    with ScriptedServer([*token, text(master)]) as server, pytest.raises(StreamError, match=r"someone|site"):
        grab(server.url, source)


@pytest.mark.parametrize("zones", [("", "Z"), ("Z", ""), ("", ""), ("+05:30", "")])
def test_dates_with_and_without_a_time_zone_are_compared(zones):
    """A date without one is UTC: the ad is left out, the segment after it is used."""
    ad = f'#EXT-X-DATERANGE:ID="stitched-ad-1",START-DATE="2026-01-01T00:00:00{zones[0]}",DURATION=86400'
    dated = [f"#EXT-X-PROGRAM-DATE-TIME:2026-01-0{day}T12:00:00{zones[1]}\n#EXTINF:2,live\n{day}.ts" for day in (1, 3)]
    with ScriptedServer([*LIVE, media(ad, *dated), PICTURE]) as server:
        assert len(grab(server.url, "someone")) == 1
        assert fetched(server) == ["/3.ts"]


@pytest.mark.parametrize(
    "line",
    [
        *("#EXT-X-VERSION:x", "#EXT-X-TARGETDURATION:" + "9" * 5000, "#EXT-X-MEDIA-SEQUENCE:-", "#EXT-X-START:X"),
        '#EXT-X-START:TIME-OFFSET="a"',
        *(f'#EXT-X-DATERANGE:ID="stitched-ad-1",{x}' for x in ("DURATION=x", "DURATION=1e999", "START-DATE=9")),
        *(f"#EXT-X-PROGRAM-DATE-TIME:{x}" for x in ("", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00Z", "x")),
        *('#EXT-X-MAP:URI="http://["', '#EXT-X-KEY:METHOD=AES-128,URI="file:///x"', "#EXT-X-BYTERANGE:x\n2.ts"),
        *(
            "#EXTINF:9e9,\nhttp://[/x.ts",
            "#EXTINF:nan,\n2.ts",
            "#EXT-X-TWITCH-PREFETCH:http://[",
            "#\0",
            "#EXT-X-GAP:x",
        ),
    ],
    ids=range(20),
)
def test_invalid_line_costs_no_more_than_its_segment(line):
    """The first and the last segment are used, whatever stands between them."""
    list_ = media("#EXTINF:2,live", "1.ts", line, CLEAR, "#EXTINF:2,live", "9.ts", "#EXTINF:2,live", "10.ts")
    with ScriptedServer([*LIVE, list_, *[PICTURE] * 5]) as server:
        assert len(grab(server.url, "someone")) >= 2
        assert {"/1.ts", "/10.ts"} <= set(fetched(server))


@pytest.mark.parametrize("number", ["9" * 4300, "-9", str(1 << 64)], ids=["long", "negative", "65 bits"])
def test_segments_with_absurd_numbers_are_used_once(number):
    """Also as byte ranges, which no server has."""
    live = media(f"#EXT-X-MEDIA-SEQUENCE:{number}", "#EXT-X-BYTERANGE:1@" + number, "#EXTINF:2,", "0.ts", segments=2)
    with ScriptedServer([*LIVE, live, live, *[PICTURE] * 3]) as server, grabber(server.url) as open_grabber:
        rendition = open_grabber._resolver.open_stream("someone")
        stream = LiveStream(rendition, lambda: rendition, time.monotonic)
        assert [len(stream.poll(9)) for _ in range(2)] == [3, 0]
        assert stream.missed_segments == 0
    with ScriptedServer([*LIVE, live, Reply(416), PICTURE, PICTURE]) as server:
        assert len(grab(server.url, "someone")) == 2


@pytest.mark.parametrize(
    "body",
    [b"[" * 100_000, b'{"data": 1e999}', b"\xff\xfe", b"9" * 5000, b'"\\ud800"', b"null", b"[]", b""],
    ids=range(8),
)
def test_token_that_is_no_token_raises_a_stream_error(body):
    """Whatever Streamlink's JSON parser and schemas raise."""
    with ScriptedServer([Reply(body=body)] * 3) as server, pytest.raises(StreamError, match="someone"):
        grab(server.url, "someone")


def test_token_of_many_megabytes_is_not_parsed():
    """JSON takes up to 25 times its size in memory."""
    reply = Reply(body=b"[" + b"{}," * 1_000_000 + b"{}]")
    with ScriptedServer([reply]) as server, pytest.raises(StreamUnavailable, match="more than 2097152 bytes"):
        grab(server.url, "someone")


@pytest.mark.parametrize("value", ["[" * 100_000, "x", "null", '{"chansub": 1}', "\ud800", ""], ids=range(6))
def test_token_whose_value_is_invalid_raises_a_stream_error(value):
    """The token is JSON in JSON."""
    token = {"data": {"streamPlaybackAccessToken": {"value": value, "signature": "s"}}}
    with ScriptedServer([Reply(body=json.dumps(token).encode())] * 3) as server, pytest.raises(StreamError):
        grab(server.url, "someone")


# --- playlists that take too much time or memory --------------------------------------------------

DATE = "#EXT-X-PROGRAM-DATE-TIME:2026-01-01T00:00:00Z\n"
AD = '#EXT-X-DATERANGE:ID="stitched-ad-1",START-DATE="2025-01-01T00:00:00Z",DURATION=1\n'
SOUND = '#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="n",URI="s.m3u8"\n'
LARGE = {
    "prefetches": f"{DATE}#EXTINF:2,live\n1.ts\n#EXT-X-TWITCH-PREFETCH:2.ts\n" * 26_000,
    "ads": AD * 9_000 + f"{DATE}#EXTINF:2,live\n1.ts\n" * 20_000,
    "segments": "#EXTINF:2\n1\n" * 150_000,
    "carriage returns": "#EXTINF:2\r1\r" * 150_000,
    "lines": "#\n" * 1_000_000,
    "one line": "#EXT-X-KEY:" + "A=1," * 500_000,
    "ranges": "#EXT-X-BYTERANGE:1@1\n1\n" * 150_000,
}


@pytest.mark.parametrize("body", LARGE.values(), ids=LARGE)
def test_media_playlist_that_takes_quadratic_time_raises_soon(body):
    """Streamlink's parser would take minutes or gigabytes; it is an error of this stream."""
    start = time.monotonic()
    with ScriptedServer([*LIVE, text(MEDIA, body)]) as server, pytest.raises(StreamUnavailable, match="too many"):
        grab(server.url, "someone")
    assert time.monotonic() - start < 30


@pytest.mark.parametrize("source", ["someone", SITE])
@pytest.mark.parametrize(
    "body",
    [
        "#EXTM3U\n" + SOUND * 8000 + '#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"\nv\n' * 8000,
        "\r\n\x1c\x85\u2028#EXTM3U\n" + '#EXT-X-STREAM-INF:RESOLUTION=1x2,STABLE-VARIANT-ID="{}"\nv\n' * 30_000,
        "#EXTM3U\n" + "x" * (8 << 20),
        "x" * (8 << 20),
    ],
    ids=["sound tracks", "renditions", "one line", "one line of nothing"],
)
def test_multivariant_playlist_that_takes_quadratic_time_raises_soon(body, source):
    """Also that of another site, which Streamlink requests and parses by itself."""
    token = [TOKEN] if source == "someone" else []
    start = time.monotonic()
    with (
        ScriptedServer([*token, text(body)]) as server,
        pytest.raises(StreamError, match=r"too many|Missing|playlist server"),
    ):
        grab(server.url, source)
    assert time.monotonic() - start < 30


def test_long_address_of_many_segments_raises():
    """Each relative address would hold the playlist's: a redirect makes that as long as it likes."""
    with pytest.raises(ValueError, match="addresses"):
        check_size("#EXTINF:2\n1\n" * 50_000, f"https://a/{'b' * 8000}/c")


def test_playlist_of_a_long_recording_is_read():
    """Two days in segments of two seconds, with dates, are no attack."""
    check_size(f"{DATE}#EXTINF:2.000,live\n123456.ts\n" * 86_400, f"https://a/{'b' * 700}/c")


def test_renditions_and_segments_of_usual_playlists_are_read():
    """Fifty renditions; fifteen segments with ads and prefetches."""
    names = [f"{n}p" for n in range(100, 150)]
    with ScriptedServer([TOKEN, renditions(*names), playlist("ad", *["live"] * 12, "prefetch", "prefetch")]) as server:
        with pytest.raises(StreamUnavailable):  # the segments are missing
            grab(server.url, "someone")
        assert len(fetched(server)) == 12
