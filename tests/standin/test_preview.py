"""Previews of the stand-in: what a channel showed when its preview was last made."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest

from data.http.session import new_session
from tests.standin import Standin
from tests.standin.clients import HELIX, channel_streams, first_image, frames_of, helix_session, window_of
from tests.standin.clock import Clock
from tests.standin.frame_sources import clip_frames
from tests.standin.media import TRANSCODES, segment_count
from tests.standin.preview import EVERY_S, HOST, preview_image, preview_segment
from tests.standin.transcode import SEGMENT_S

_URL = f"https://{HOST}/previews-ttv/live_user_{{}}-{{}}x{{}}.jpg"


def seen(jpeg: bytes) -> np.ndarray:
    """A JPEG as uint8 RGB."""
    return frames_of(jpeg)[0].to_ndarray(format="rgb24")


def test_helix_tells_the_address(standin, world):
    """`thumbnail_url`, with a size in place of {width} and {height}, is a JPEG of just that size."""
    login = world.channels[0].login
    with helix_session(standin) as session:
        [stream] = session.get(f"{HELIX}/streams", params={"user_login": login}).json()["data"]
        answer = session.get(stream["thumbnail_url"].replace("{width}", "440").replace("{height}", "248"))
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/jpeg")
    assert seen(answer.content).shape == (248, 440, 3)
    assert len(answer.content) < 100_000


@pytest.fixture
def stopped(zoo, cache):
    """A stand-in whose time stands still: no preview is renewed."""
    with Standin(zoo, cache=cache, clock=Clock(speed=0)) as standin:
        yield standin


def test_it_is_a_picture_of_the_channel_of_the_last_five_minutes(stopped, zoo):
    """The first frame of the segment that was complete when the last five minutes began; for all the same one."""
    channel = zoo.channel("live")
    moment = stopped.clock.now()
    with new_session(20, stopped.url) as session:
        jpeg = session.get(_URL.format(channel.login, 640, 360)).content
    number = preview_segment(moment)
    assert moment - EVERY_S - 2 * SEGMENT_S < number * SEGMENT_S <= moment - SEGMENT_S
    frame = next(clip_frames(channel.file, TRANSCODES[0], number % segment_count(channel.file), 100))
    difference = seen(jpeg).astype(int) - frame.to_ndarray(format="rgb24")
    assert np.abs(difference).mean() < 5
    assert preview_image(channel.file, "", preview_segment(moment), 640, 360) == jpeg


def test_a_channel_that_switches_has_a_preview_of_what_it_showed(world):
    """What it plays since its preview was made is not in it yet."""
    one, other = [channel for channel in world.channels if channel.behaviour == "live"][:2]
    clock = Clock(speed=0)  # no preview is renewed
    shown = preview_segment(clock.now()) * SEGMENT_S
    for at, file in ((shown, other.file), (shown + SEGMENT_S, one.file)):
        switching = world.only({one.login, other.login}).with_switches([(one.login, at, other.login)])
        with Standin(switching, clock=clock) as standin, new_session(20, standin.url) as session:
            jpeg = session.get(_URL.format(one.login, 320, 180)).content
        assert jpeg == preview_image(file, "", shown // SEGMENT_S, 320, 180)


def test_a_new_one_is_made_every_five_minutes():
    """Within five minutes it stays, then it is another one."""
    start = 1_800_000_000 // EVERY_S * EVERY_S
    assert {preview_segment(start + second) for second in range(EVERY_S)} == {start // SEGMENT_S - 1}
    assert preview_segment(start + EVERY_S) == (start + EVERY_S) // SEGMENT_S - 1


@pytest.mark.parametrize("still", ["black", "test_card"])
def test_stills_are_shown_as_they_are(running, streamlink, http, still):
    """A channel that sends one picture for ever has it as its preview, too."""
    preview = seen(http.get(_URL.format(still, 284, 160)).content).astype(int)
    sent = first_image(streamlink, window_of(streamlink, channel_streams(streamlink, still)["worst"])[0])
    assert np.abs(preview - sent).mean() < 10
    assert (preview.mean() < 2) == (still == "black")


@pytest.mark.parametrize("login", ["offline", "nobody_of_that_name"])
def test_without_a_stream_it_leads_to_a_grey_picture(http, login):
    """302, as Twitch does; who follows gets a picture and a 200, and learns nothing."""
    answer = http.get(_URL.format(login, 320, 180), allow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (
        302,
        f"https://{HOST}/ttv-static/404_preview-320x180.jpg",
    )
    followed = http.get(_URL.format(login, 320, 180))
    assert (followed.status_code, seen(followed.content).shape) == (200, (180, 320, 3))
    assert seen(followed.content).std() == 0


@pytest.mark.parametrize("size", [(0, 180), (9000, 180), (320, 4)])
def test_sizes_that_make_no_sense(http, size):
    """They are not served."""
    assert http.get(_URL.format("live", *size)).status_code == 404


def test_ads_are_not_in_previews(stopped):
    """They are shown to viewers, each their own; the channel's picture has none."""
    with new_session(20, stopped.url) as session:
        with_ads, live = (session.get(_URL.format(login, 320, 180)).content for login in ("only_ads", "live"))
    assert np.array_equal(seen(with_ads), seen(live))


def test_pictures_are_plain_jpegs(http, running):
    """Any decoder reads them: FFmpeg's calls it mjpeg."""
    with av.open(io.BytesIO(http.get(_URL.format("live", 440, 248)).content)) as file:
        assert file.streams.video[0].codec_context.name == "mjpeg"
