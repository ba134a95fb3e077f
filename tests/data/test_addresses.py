"""Forms of a source: what users write for a channel, a recording, a clip, another site's stream, a file."""

from __future__ import annotations

import logging

import pytest

from data.errors import SourceNotFound
from data.twitch.addresses import canonical
from tests.data.hls_server import LIVE, PICTURE, TOKEN, grab, grabber, playlist, renditions
from tests.sample_images import RED, flat, segment
from tests.scripted_server import ScriptedServer

CHANNEL = [
    "some_login",
    "SOME_Login",
    "@Some_login",
    " some_login ",
    "twitch.tv/some_login",
    "www.twitch.tv/Some_Login/",
    "m.twitch.tv/some_login",
    "HTTPS://WWW.Twitch.TV/some_login",
    "http://es.twitch.tv:80/some_login",
    "twitch.tv/some_login?referrer=raid",
    "twitch.tv/some_login#top",
    "twitch.tv/some%5Flogin",
    "twitch.tv/@Some_login",
    "//www.twitch.tv/some_login",
    "https://www.twitch.tv/some_login/videos?filter=archives&sort=time",
    "twitch.tv/some_login/about",
    "twitch.tv/some_login/schedule",
    "twitch.tv/some_login/clips?range=7d",
    "twitch.tv/some_login/chat",
    "https://www.twitch.tv/popout/some_login/chat?popout=",
    "https://www.twitch.tv/embed/some_login/chat?parent=example.com",
    "https://www.twitch.tv/moderator/some_login",
    "https://www.twitch.tv/popout/moderator/some_login/chat",
    "https://dashboard.twitch.tv/u/some_login/stream-manager",
    "https://player.twitch.tv/?channel=Some_Login&parent=example.com",
    "https://embed.twitch.tv/?channel=some_login",
]
OTHERS = {
    "twitch.tv/videos/123": "https://www.twitch.tv/videos/123",
    "https://m.twitch.tv/videos/123?t=1h2m3s&filter=x": "https://www.twitch.tv/videos/123?t=1h2m3s",
    "https://www.twitch.tv/someone/v/123": "https://www.twitch.tv/videos/123",
    "twitch.tv/someone/video/123/": "https://www.twitch.tv/videos/123",
    "https://player.twitch.tv/?video=v123&parent=example.com": "https://www.twitch.tv/videos/123",
    "clips.twitch.tv/Brave-Owl_1": "https://clips.twitch.tv/Brave-Owl_1",
    "HTTPS://Clips.Twitch.TV/BraveOwl?x=1": "https://clips.twitch.tv/BraveOwl",
    "twitch.tv/someone/clip/BraveOwl": "https://clips.twitch.tv/BraveOwl",
    "https://m.twitch.tv/clip/BraveOwl": "https://clips.twitch.tv/BraveOwl",
    "https://clips.twitch.tv/embed?clip=BraveOwl&parent=example.com": "https://clips.twitch.tv/BraveOwl",
    "HTTPS://Me:Pw@Example.COM/Live/A.m3u8?Key=B": "https://Me:Pw@example.com/Live/A.m3u8?Key=B",
    "HLS://Example.com/A.m3u8": "hls://example.com/A.m3u8",
    "hls://HTTPS://Example.com/A": "hls://https://example.com/A",
    "file:///a%20b/%C3%BC.mp4": "/a b/ü.mp4",
    "FILE://localhost/a.mp4": "/a.mp4",
    "file:/a.mp4": "/a.mp4",
}
NOT_UNDERSTOOD = [
    "twitch.tv",
    "https://www.twitch.tv/directory/category/chess",
    "https://www.twitch.tv/directory",
    "twitch.tv/videos",
    "https://www.twitch.tv/videos/abc",
    "https://www.twitch.tv/a-b",
    "https://www.twitch.tv/[",
    "https://player.twitch.tv/?channel=",
    "file://other.machine/a.mp4",
    "file://[x",
    "rtmp://example.com/live",
    "@",
    "@a b",
    "https:/twitch.tv",
    "youtube.com/watch?v=1",
    "x" * 100_000,
    "twitch.tv/" + "popout/" * 100_000,
]


@pytest.mark.parametrize("source", CHANNEL)
def test_each_form_of_a_channel_opens_it(source):
    """By Streamlink, which asks for the channel's login."""
    with ScriptedServer([*LIVE, playlist("live"), PICTURE]) as server:
        assert len(grab(server.url, source, max_frames=1)) == 1
        assert server.requests[1][1].endswith("/some_login.m3u8")


@pytest.mark.parametrize(("source", "expected"), OTHERS.items())
def test_other_addresses_have_one_form_each(source, expected):
    """Recordings, clips, other sites and files; that form stays as it is."""
    assert canonical(source) == expected
    assert canonical(expected) == expected


def test_address_that_nests_without_end_is_kept():
    """Thousands of schemes in front of each other cost neither time nor stack."""
    assert canonical("HLS://" * 100_000 + "X") == "hls://" * 100_000 + "x"


@pytest.mark.parametrize("source", NOT_UNDERSTOOD, ids=lambda source: source[:50])
def test_what_is_not_understood_is_one_line_that_names_the_forms(source):
    """Without a request."""
    with ScriptedServer([]) as server, pytest.raises(SourceNotFound, match=r"login.*address.*https.*folder") as raised:
        grab(server.url, source)
    assert not server.requests
    assert str(raised.value).isprintable()
    assert len(str(raised.value)) < 600


@pytest.mark.parametrize(
    "source", ["hls://site.example/live", "HLS://https://Site.example/live", "HTTPS://Site.example/x.m3u8"]
)
def test_playlist_is_read_from_streamlinks_forms_of_an_address(source):
    """Also where the address does not end in .m3u8."""
    with ScriptedServer([renditions("360p"), playlist("live"), PICTURE]) as server:
        assert len(grab(server.url, source, max_frames=1)) == 1
        assert server.requests[0][0] == "site.example"


@pytest.mark.parametrize("form", ["file://{}", "FILE://localhost{}", "file:{}", "{}"])
def test_file_url_is_the_file(tmp_path, form):
    """Spaces and other letters are percent-encoded in it."""
    path = tmp_path / "ü 1#.mp4"
    path.write_bytes(segment(flat(RED), container="mp4"))
    written = form.format(path.as_uri().removeprefix("file://") if form != "{}" else path)
    with ScriptedServer([]) as server:
        assert len(grab(server.url, written, max_frames=1)) == 1
        assert not server.requests


def test_unknown_quality_is_named_once_with_those_of_the_stream(caplog):
    """The stream gives the rendition of auto. Other streams, other polls and other frames give no second warning."""
    caplog.set_level(logging.WARNING)
    replies = [*LIVE, playlist("live"), PICTURE] * 2
    with ScriptedServer(replies) as server, grabber(server.url, quality="foo") as open_grabber:
        for login in ("first", "second"):
            assert len(list(open_grabber.frames(login, 1))) == 1
    (message,) = caplog.messages
    assert message == "first has no quality 'foo', only 360p; taking 360p"


@pytest.mark.parametrize("quality", ["auto", "AUTO", "best", "worst", "360p", "360P"])
def test_known_quality_gives_no_warning(caplog, quality):
    """In any case of its letters."""
    with ScriptedServer([TOKEN, renditions("360p", "160p"), playlist("live"), PICTURE]) as server:
        assert len(grab(server.url, "some_login", max_frames=1, quality=quality)) == 1
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
