"""data.twitch.previews: pictures of the stand-in's channels, and whatever else a server may send."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from data.errors import StreamOffline, StreamUnavailable, UndecodableVideo
from data.twitch import previews as preview
from data.twitch.previews import PreviewClient
from data.video.images import decode_jpeg, encode_jpeg
from tests.sample_images import RED, by_area, flat, likeness
from tests.scripted_server import Reply, ScriptedServer
from tests.standin.faults import Fault, cut_off, html, status, trickle
from tests.standin.preview import HOST, preview_image, preview_segment


def previews(url: str, **settings) -> PreviewClient:
    return PreviewClient(img_size=240, jpeg_quality=95, standin=url, **settings)


def test_a_preview_is_a_frame_like_any_other(standin, world):
    """240 x 240 pixels of what the channel showed when its preview was made, scaled as a stream's frames are."""
    channel = next(channel for channel in world.channels if channel.behaviour == "live")
    with previews(standin.url) as fetched:
        frame = fetched.fetch(channel.login)
    sent = decode_jpeg(preview_image(channel.file, "", preview_segment(time.time()), 440, 248))
    assert frame.number == 1
    assert decode_jpeg(frame.jpeg).shape == (240, 240, 3)
    assert likeness(decode_jpeg(frame.jpeg), by_area(sent, 240)) > 0.97
    assert [request.host for request in standin.requests] == [HOST]  # no token, no playlist, no Helix


@pytest.mark.parametrize(
    ("img_size", "size"), [(96, "320x180"), (240, "440x248"), (360, "640x360"), (1080, "1920x1080")]
)
def test_no_larger_than_needed(standin, world, img_size, size):
    """Of the sizes that Twitch has ready, the smallest that covers the images."""
    with PreviewClient(img_size=img_size, jpeg_quality=95, standin=standin.url) as fetched:
        frame = fetched.fetch(world.channels[0].login)
    assert decode_jpeg(frame.jpeg).shape == (img_size, img_size, 3)
    assert standin.requests[-1].path.endswith(f"-{size}.jpg")


@pytest.mark.parametrize("login", ["already_over", "nobody_of_that_name"])
def test_no_stream_no_preview(standin, login):
    """The picture that Twitch shows instead is not taken for the channel's."""
    with previews(standin.url) as fetched, pytest.raises(StreamOffline, match=f"{login} has no preview"):
        fetched.fetch(login)
    assert len(standin.requests) == 1


@pytest.mark.parametrize(
    ("does", "error"),
    [
        (status(503), StreamUnavailable),
        (status(404), StreamOffline),
        (html(), UndecodableVideo),
        (cut_off(), StreamUnavailable),
        (trickle(0.05), StreamUnavailable),
    ],
)
def test_what_may_come_instead(standin, world, does, error):
    """Each trouble is one of this stream alone, and none takes longer than the deadline."""
    standin.add_fault(Fault("trouble", does, HOST))
    start = time.monotonic()
    with previews(standin.url, deadline_s=1.0) as fetched, pytest.raises(error):
        fetched.fetch(world.channels[0].login)
    assert time.monotonic() - start < 4


def test_a_picture_without_end():
    """What is larger than any preview is not read to its end."""
    huge = encode_jpeg(flat(RED), 95) + b"\0" * preview._LIMIT_BYTES
    with ScriptedServer([Reply(body=huge)]) as server, previews(server.url) as fetched, pytest.raises(StreamUnavailable):
        fetched.fetch("someone")


def test_many_threads_share_one(standin, world):
    """Sixteen at once each get their own channel's picture."""
    logins = [channel.login for channel in world.channels if channel.behaviour == "live"]
    with previews(standin.url) as fetched, ThreadPoolExecutor(16) as pool:
        alone = {login: fetched.fetch(login).jpeg for login in logins}
        together = list(pool.map(lambda login: fetched.fetch(login).jpeg, logins * 4))
    assert together == [alone[login] for login in logins * 4]
    assert len(set(together)) > 20
