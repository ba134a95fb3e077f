"""Channels of the stand-in that something is wrong with, seen by Streamlink's own Twitch plugin and a real decoder."""

from __future__ import annotations

import io
import itertools

import av
import pytest

from data.http.session import new_session
from tests.standin import Standin, looks_like_ad
from tests.standin.bad_segments import damaged, without_key_frame
from tests.standin.clients import (
    channel_streams,
    first_image,
    listed_segments,
    playlist_of,
    streamlink_session,
    window_of,
)
from tests.standin.faults import cut_off
from tests.standin.http import Response
from tests.standin.media import TRANSCODES, Media, segment_count
from tests.standin.transcode import Rendition
from tests.standin.variation import varied

LIFETIME_S = 2.5


@pytest.fixture
def ending(zoo, cache):
    """A stand-in whose sessions end early, where they end."""
    with Standin(zoo, cache=cache, lifetime_s=LIFETIME_S, source=Rendition(854, 480, 60, 1_400_000)) as standin:
        yield standin
    assert not standin.unknown


def before_and_after_the_end(standin, login):
    """The playlist before the session's end, and some seconds after it."""
    with streamlink_session(standin) as session:
        stream = channel_streams(session, login)["worst"]
        before = playlist_of(session, stream)
        standin.clock.advance(LIFETIME_S + 2.5)
        return before, playlist_of(session, stream)


def addresses(playlist) -> list[str]:
    return [segment.uri for segment in listed_segments(playlist)]


@pytest.mark.parametrize(("login", "says_so"), [("ended", True), ("silent", False)])
def test_streams_that_stop(ending, login, says_so):
    """Both move until their time has come and then stay as they are; one says that it ended. Nothing to prefetch."""
    before, after = before_and_after_the_end(ending, login)
    with streamlink_session(ending) as session:
        assert [before.is_endlist, after.is_endlist] == [False, says_so]
        assert after.media_sequence - before.media_sequence in (1, 2)
        assert [segment.prefetch for segment in after.segments] == [False] * 15
        assert session.http.get(after.segments[0].uri).content[:1] == b"\x47"


@pytest.mark.parametrize(("login", "status"), [("gone", 404), ("expired", 403)])
def test_playlists_that_close(ending, login, status):
    """The address answers so from then on; a new token and a new address give the stream as it goes on by then."""
    with streamlink_session(ending) as session, new_session(5, ending.url) as plain:
        stream = channel_streams(session, login)["worst"]
        before = playlist_of(session, stream)
        ending.clock.advance(LIFETIME_S)
        assert plain.get(stream.url).status_code == status
        again = channel_streams(session, login)["worst"]
        assert again.url != stream.url
        assert playlist_of(session, again).media_sequence > before.media_sequence


def test_an_encoder_that_begins_again(ending):
    """The numbers start at 0, and with them the addresses; dates go on, and each address gives its own segment."""
    before, after = before_and_after_the_end(ending, "rewound")
    assert before.media_sequence > 1_000_000 > after.media_sequence == 0
    assert 1 <= len(listed_segments(after)) < 5
    assert addresses(after)[0].endswith("/0.ts")
    assert after.segments[0].date > before.segments[-4].date
    with streamlink_session(ending) as session:
        assert [session.http.get(uri).status_code for uri in addresses(after)] == [200] * len(listed_segments(after))
        contents = [session.http.get(segment.uri).content for segment in listed_segments(after)]
    file, places = ending.world.channel("rewound").file, [int(s.date.timestamp()) // 2 for s in listed_segments(after)]
    whole = [ending.transcoder.segment(file, TRANSCODES[-1], place % segment_count(file)) for place in places]
    pairs = zip(contents, whole, strict=True)
    assert all(content in [varied(segment, viewer) for viewer in range(9)] for content, segment in pairs)


def test_breaks_without_ads(streamlink):
    """Two or more of the breaks are neither an ad's nor the clip's; the segments around them are the stream's."""
    text = streamlink.http.get(channel_streams(streamlink, "discontinuity")["worst"].url).text
    assert text.count("#EXT-X-DISCONTINUITY") >= 3
    playlist = playlist_of(streamlink, channel_streams(streamlink, "discontinuity")["worst"])
    assert not any(segment.ad for segment in listed_segments(playlist))


def test_ads_told_by_their_titles_alone(streamlink):
    """No date range is there, and the plugin tells the ads all the same."""
    stream = channel_streams(streamlink, "hidden_ad")["worst"]
    assert "DATERANGE" not in streamlink.http.get(stream.url).text
    segments = window_of(streamlink, stream)
    flags = [segment.ad for segment in segments]
    assert [looks_like_ad(first_image(streamlink, segment)) for segment in segments] == flags
    assert 0 < sum(flags) < 15


def test_segments_that_are_missing(streamlink, running):
    """Twice in a window a segment is not there; each of the others keeps its number from look to look."""
    stream = channel_streams(streamlink, "skipping")["worst"]
    before = playlist_of(streamlink, stream)
    gaps = [(b.date - a.date).total_seconds() for a, b in itertools.pairwise(listed_segments(before))]
    assert set(gaps) == {2, 4}
    assert len(listed_segments(before)) + gaps.count(4) in (13, 14, 15)
    running.clock.advance(4.1)
    numbers = {segment.uri: segment.num for segment in listed_segments(before)}
    kept = [segment for segment in window_of(streamlink, stream) if segment.uri in numbers]
    assert len(kept) >= 10
    assert all(numbers[segment.uri] == segment.num for segment in kept)


@pytest.mark.parametrize("login", ["bomb", "no_key_frame", "empty", "not_video", "segment_404", "cut_off"])
def test_segments_that_are_no_use(running, login):
    """Each segment is bad in its channel's own way, whether asked for whole or in part."""
    with streamlink_session(running) as session, new_session(20, running.url) as plain:
        uri = addresses(playlist_of(session, channel_streams(session, login)["worst"]))[-1]
        for headers in ({}, {"Range": "bytes=0-999999"}):
            if login == "cut_off":
                with pytest.raises(OSError, match="IncompleteRead"):
                    plain.get(uri, headers=headers)
                continue
            answer = plain.get(uri, headers=headers)
            assert answer.status_code == (
                404 if login == "segment_404" else 200 if login == "empty" else answer.status_code
            )
            assert (answer.content[:1] == b"\x47") == (login in ("bomb", "no_key_frame"))
            assert bool(answer.content) == (login not in ("empty", "segment_404"))


def test_the_bomb_is_small_until_it_is_decoded(tmp_path):
    """A real H.264 stream of 7680 x 4320 pixels in less than half a megabyte; made once, found after that."""
    for transcoded in (1, 0):
        media = Media(tmp_path)
        bomb = media.bomb()
        assert media.transcode_count == transcoded
        media.close()
        assert len(bomb) < 500_000
    with av.open(io.BytesIO(bomb)) as container:
        frame = next(container.decode(video=0))
    assert (frame.width, frame.height) == (7680, 4320)


def test_without_its_key_frame_a_segment_has_no_picture(zoo, cache):
    """The parameters are there, and packets for all frames but one; a decoder finds none to begin with."""
    media = Media(cache)
    whole = media.segment(zoo.channel("live").file, TRANSCODES[-1], 3)
    media.close()
    with av.open(io.BytesIO(without_key_frame(whole))) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        assert len(packets) == 59
        assert (container.streams.video[0].width, container.streams.video[0].height) == (284, 160)
        assert not [frame for packet in packets for frame in packet.decode()]


def test_a_good_segment_stays_as_it_is():
    """Channels that nothing is wrong with are not touched, and a cut keeps what is promised."""
    response = Response(200, b"x" * 1000)
    assert damaged("live", 3, response) is response
    assert damaged("cut_off", 3, response) == cut_off()(response)
    assert (len(damaged("cut_off", 3, response).body), len(damaged("cut_off", 3, response).sent)) == (1000, 500)
