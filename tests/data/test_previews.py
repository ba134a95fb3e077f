"""Preview client, against the stand-in's previews and scripted failures."""

from __future__ import annotations

import struct
import time
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from data.errors import StreamOffline, StreamUnavailable, UndecodableVideo
from data.twitch.previews import _LIMIT_BYTES, PreviewClient
from data.video.images import decode_jpeg, encode_jpeg
from tests.sample_images import RED, flat, resize_by_area, ssim
from tests.scripted_server import Reply, ScriptedServer
from tests.standin import Standin
from tests.standin.clock import Clock
from tests.standin.faults import Fault, cut_off, html, status, trickle
from tests.standin.preview import HOST, preview_image, preview_segment


def previews(url: str, **settings) -> PreviewClient:
    return PreviewClient(img_size=240, jpeg_quality=95, standin=url, **settings)


def test_fetch_returns_a_frame_like_the_grabbers(world):
    """240 x 240 pixels of what the channel showed at its last preview; one request gets it."""
    channel = next(channel for channel in world.channels if channel.behaviour == "live")
    clock = Clock(speed=0)  # the preview is not renewed
    with Standin(world, clock=clock) as standin, previews(standin.url) as fetched:
        frame = fetched.fetch(channel.login)
    sent = decode_jpeg(preview_image(channel.file, "", preview_segment(clock.now()), 440, 248))
    assert frame.number == 1
    assert decode_jpeg(frame.jpeg).shape == (240, 240, 3)
    assert ssim(decode_jpeg(frame.jpeg), resize_by_area(sent, 240)) > 0.97
    assert [request.host for request in standin.requests] == [HOST]  # no token, no playlist, no Helix


@pytest.mark.parametrize(
    ("img_size", "size"), [(96, "320x180"), (240, "440x248"), (360, "640x360"), (1080, "1920x1080")]
)
def test_fetch_requests_the_smallest_size_that_covers_the_image(standin, world, img_size, size):
    """Of the sizes that Twitch's own pages use."""
    with PreviewClient(img_size=img_size, jpeg_quality=95, standin=standin.url) as fetched:
        frame = fetched.fetch(world.channels[0].login)
    assert decode_jpeg(frame.jpeg).shape == (img_size, img_size, 3)
    assert standin.requests[-1].path.endswith(f"-{size}.jpg")


@pytest.mark.parametrize("login", ["already_over", "nobody_of_that_name"])
def test_fetch_of_an_offline_channel_raises(standin, login):
    """Twitch's placeholder image is not taken for the channel's."""
    with previews(standin.url) as fetched, pytest.raises(StreamOffline, match=f"{login} has no preview"):
        fetched.fetch(login)
    assert len(standin.requests) == 1


@pytest.mark.parametrize(
    ("response_fault", "error"),
    [
        (status(503), StreamUnavailable),
        (status(404), StreamOffline),
        (html(), UndecodableVideo),
        (cut_off(), StreamUnavailable),
        (trickle(0.05), StreamUnavailable),
    ],
)
def test_fetch_when_the_server_fails_raises_within_the_deadline(standin, world, response_fault, error):
    """Each failure is an error of this stream only."""
    standin.add_fault(Fault("trouble", response_fault, HOST))
    start = time.monotonic()
    with previews(standin.url, deadline_s=1.0) as fetched, pytest.raises(error):
        fetched.fetch(world.channels[0].login)
    assert time.monotonic() - start < 20


def test_fetch_of_a_huge_response_raises():
    """A response larger than any preview is not read to its end."""
    huge = encode_jpeg(flat(RED), 95) + b"\0" * _LIMIT_BYTES
    with (
        ScriptedServer([Reply(body=huge)]) as server,
        previews(server.url) as fetched,
        pytest.raises(StreamUnavailable),
    ):
        fetched.fetch("someone")


def test_threads_share_a_client(standin, world):
    """Sixteen threads each get the preview of their own channel, of a clip of its own."""
    logins = list({channel.file: channel.login for channel in world.channels if channel.behaviour == "live"}.values())
    logins = logins[:16]  # the stand-in decodes half a clip for each
    with previews(standin.url) as fetched, ThreadPoolExecutor(16) as pool:
        alone = {login: fetched.fetch(login).jpeg for login in logins}
        together = list(pool.map(lambda login: fetched.fetch(login).jpeg, logins * 4))
    assert together == [alone[login] for login in logins * 4]
    assert len(set(together)) == 16


def png_header(width: int, height: int) -> bytes:
    """Return the start of a PNG of this size, with an empty image."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (header, b"IDAT" + zlib.compress(b""), b"IEND")
    parts = (struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


NO_PREVIEWS = {
    "empty": b"",
    "HTML": b"<html>",
    "SVG": b'<svg xmlns="http://www.w3.org/2000/svg" width="440" height="248"/>',
    "JSON": b"[" * 100_000,
    "MP4": b"\0\0\0\x18ftypisom" + bytes(5000),
    "cut off": encode_jpeg(flat(RED), 95)[:100],
    "huge PNG": png_header(40_000, 40_000),
    "wide PNG": png_header(2**31 - 1, 1),
    "empty PNG": png_header(0, 0),
    "JPEG bomb": encode_jpeg(flat(RED), 95).replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc0\x00\x11\x08\xff\xff\xff\xff"),
}


@pytest.mark.parametrize("body", NO_PREVIEWS.values(), ids=NO_PREVIEWS)
@pytest.mark.parametrize("content_type", ["image/jpeg", "text/html", ""], ids=["jpeg", "html", "none"])
def test_fetch_of_what_is_no_picture_raises(body, content_type):
    """Whatever the header says: an error of this stream, without the memory of a picture that is too large."""
    reply = Reply(body=body, headers={"Content-Type": content_type})
    with ScriptedServer([reply]) as server, previews(server.url) as fetched, pytest.raises(UndecodableVideo):
        fetched.fetch("someone")
