"""Channels of the stand-in, seen by Streamlink's own Twitch plugin and a real decoder."""

from __future__ import annotations

import itertools
import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import av
import numpy as np
import pytest

from tests.standin import Standin, looks_like_ad
from tests.standin.clients import (
    channel_streams,
    first_image,
    frames_of,
    listed_segments,
    playlist_of,
    streamlink_session,
    window_of,
)
from tests.standin.conftest import PREROLL_S
from tests.standin.media import TRANSCODES, Media
from tests.standin.transcode import Rendition


def test_renditions_are_named_as_twitch_names_them(streamlink):
    """A channel has its source and two transcodes; Streamlink finds the best and the worst among them."""
    streams = channel_streams(streamlink, "live")
    assert set(streams) == {"480p60", "360p", "160p", "best", "worst"}
    assert (streams["best"].url, streams["worst"].url) == (streams["480p60"].url, streams["160p"].url)
    assert set(channel_streams(streamlink, "source_only")) == {"480p60", "best", "worst"}


def test_metadata_queries_are_answered(streamlink):
    """The plugin's other queries give id, author, category and title."""
    _, plugin_class, url = streamlink.resolve_url("https://www.twitch.tv/live")
    plugin = plugin_class(streamlink, url)
    assert plugin.get_id().isdigit()
    assert (plugin.get_category(), plugin.get_author()) == ("Dungeon Crawl Stone Soup", plugin.author)
    assert plugin.get_title()


def test_the_live_window(streamlink, running):
    """Fifteen two-second segments, dated one after the other, none an ad, and one to prefetch."""
    playlist = playlist_of(streamlink, channel_streams(streamlink, "live")["worst"])
    window = listed_segments(playlist)
    assert len(window) == 15
    assert len(playlist.segments) == 16
    assert not any(segment.ad for segment in playlist.segments)
    assert {(segment.duration, segment.title) for segment in window} == {(2.0, "live")}
    assert {b.date - a.date for a, b in itertools.pairwise(window)} == {timedelta(seconds=2)}
    age = running.clock.now() - window[-1].date.timestamp()
    assert 2 <= age < 5  # the newest one is complete, and just so


def test_the_window_moves_with_the_clock(streamlink, running):
    """Some seconds later the old segments are gone, new ones are there, and the rest kept number, date and address."""
    stream = channel_streams(streamlink, "live")["worst"]
    before = playlist_of(streamlink, stream)
    running.clock.advance(4.2)
    after = playlist_of(streamlink, stream)
    moved = after.media_sequence - before.media_sequence
    assert moved in (2, 3)

    def key(segment):
        return segment.num, segment.date, segment.uri

    assert [key(s) for s in listed_segments(before)[moved:]] == [key(s) for s in listed_segments(after)[:-moved]]


def test_every_segment_can_be_decoded_alone(streamlink):
    """Each is two seconds at 30 frames a second, and its first frame is its only key frame: H.264, an IDR frame."""
    for segment in window_of(streamlink, channel_streams(streamlink, "live")["worst"]):
        data = streamlink.http.get(segment.uri).content
        assert data[0] == 0x47  # MPEG-TS, ISO 13818-1
        frames = frames_of(data)
        assert [frame.key_frame for frame in frames] == [True] + [False] * 59
        assert _is_about(frames[0], 284, 160)
        units = [match[1][0] & 31 for match in re.finditer(b"\\x00\\x00\\x01(.)", data, re.DOTALL)]
        before_slice = units[: units.index(5)]  # H.264 7.4.1: 7 and 8 are parameter sets, 5 an IDR slice, 1 another
        assert {7, 8} <= set(before_slice)
        assert 1 not in before_slice


def _is_about(frame, width, height):
    """Return whether the frame has this size, up to the borders that tell the viewers apart."""
    return 0 <= width - frame.width < 24 and 0 <= height - frame.height < 24


def test_renditions_have_their_size_rate_and_bitrate(streamlink, running):
    """The source is larger, at 60 frames a second, and each rendition's bytes are about what is announced."""
    streams = channel_streams(streamlink, "live")
    for name, size, rate, limit in [("480p60", (854, 480), 60, 1_400_000), ("360p", (640, 360), 30, 630_000)]:
        window = window_of(streamlink, streams[name])
        segments = [streamlink.http.get(segment.uri).content for segment in window]
        frames = frames_of(segments[0])
        assert _is_about(frames[0], *size)
        assert len(frames) == 2 * rate
        assert sum(map(len, segments)) * 8 / 30 < 1.3 * limit  # MPEG-TS adds some to the video's own


def test_the_clip_loops(streamlink, running):
    """What is seen now was seen one clip's length ago: the window holds each of the 15 segments once."""
    stream = channel_streams(streamlink, "live")["worst"]
    window = window_of(streamlink, stream)
    contents = [streamlink.http.get(segment.uri).content for segment in window]
    assert len(set(contents)) == 15
    running.clock.advance(2)
    newest = window_of(streamlink, stream)[-1]
    assert streamlink.http.get(newest.uri).content == contents[newest.num - window[0].num - 15]


def test_each_viewer_sees_other_pictures(streamlink):
    """The same segment is two different ones for two viewers, whose pictures differ in their borders only."""
    windows = [window_of(streamlink, channel_streams(streamlink, "live")["worst"]) for _ in range(2)]
    number = windows[1][3].num
    contents = [streamlink.http.get(s.uri).content for window in windows for s in window if s.num == number]
    pixels = [frames_of(data)[0].reformat(64, 64).to_ndarray(format="gray").astype(int) for data in contents]
    assert np.any(pixels[0] != pixels[1])
    assert np.abs(pixels[0] - pixels[1]).mean() < 12


def test_preroll_is_shown_to_each_viewer_first(streamlink, running):
    """The window is all ads, then the stream follows; another viewer starting then gets ads again."""
    stream = channel_streams(streamlink, "preroll")["worst"]
    first = playlist_of(streamlink, stream)
    assert all(segment.ad for segment in first.segments)
    assert looks_like_ad(first_image(streamlink, first.segments[-1]))
    running.clock.advance(PREROLL_S + 4)
    newest = window_of(streamlink, stream)[-1]
    assert not newest.ad
    assert not looks_like_ad(first_image(streamlink, newest))
    again = playlist_of(streamlink, channel_streams(streamlink, "preroll")["worst"])
    assert all(segment.ad for segment in again.segments)


def test_midroll_window_shows_both_and_the_plugin_tells_them_apart(streamlink):
    """Whatever the plugin calls an ad looks like one, all else does not, and there are both."""
    segments = window_of(streamlink, channel_streams(streamlink, "midroll")["worst"])
    flags = [segment.ad for segment in segments]
    assert [looks_like_ad(first_image(streamlink, segment)) for segment in segments] == flags
    assert 0 < sum(flags) < 15


def test_only_ads(streamlink):
    """The channel is live, and there is nothing but ads."""
    playlist = playlist_of(streamlink, channel_streams(streamlink, "only_ads")["worst"])
    assert all(segment.ad for segment in playlist.segments)
    assert looks_like_ad(first_image(streamlink, playlist.segments[0]))


def test_offline_and_unknown_channels_have_no_streams(streamlink, running):
    """Both give {}: the one by usher's 404 with a JSON list, the other by a token that is null."""
    assert channel_streams(streamlink, "offline") == {}
    last = running.requests[-1]
    assert [r.status for r in running.requests if r.path.endswith("/offline.m3u8")] == [404]
    assert channel_streams(streamlink, "nobody_of_that_name") == {}
    assert [r.host for r in running.requests[running.requests.index(last) + 1 :]] == ["gql.twitch.tv"]


def test_usher_refuses_a_token_that_is_not_its_own(http):
    """Signature and token are checked: 403, with Twitch's list of errors as body."""
    answer = http.get("https://usher.ttvnw.net/api/v2/channel/hls/live.m3u8", params={"sig": "x", "token": "{}"})
    assert answer.status_code == 403
    assert answer.json()[0]["type"] == "error"


def test_fmp4_needs_its_init_section(streamlink):
    """The playlist names an init section for each segment; a fragment decodes with it in front, and only then."""
    segments = window_of(streamlink, channel_streams(streamlink, "fmp4")["worst"])
    (init_uri,) = {segment.map.uri for segment in segments}
    init = streamlink.http.get(init_uri).content
    for segment in segments[::5]:
        fragment = streamlink.http.get(segment.uri).content
        frames = frames_of(init + fragment)
        assert (len(frames), frames[0].key_frame) == (60, True)
        with pytest.raises(av.FFmpegError):
            frames_of(fragment)


def test_broken_has_segments_without_video(streamlink):
    """Every third segment cannot be decoded, noise and HTML in turn; the others can."""
    outcomes = []
    for segment in window_of(streamlink, channel_streams(streamlink, "broken")["worst"]):
        try:
            outcomes.append(bool(frames_of(streamlink.http.get(segment.uri).content)))
        except (av.FFmpegError, IndexError):  # IndexError: opened as something without video
            outcomes.append(False)
    assert outcomes.count(False) == 5
    assert {tuple(outcomes[i::3]) for i in range(3)} == {(True,) * 5, (False,) * 5}


def test_old_segments_are_gone(streamlink, http):
    """A segment that left the window a while ago is a 404, as is a session that nobody began."""
    segment = playlist_of(streamlink, channel_streams(streamlink, "live")["worst"]).segments[0]
    folder, _, _ = segment.uri.rpartition("/")
    assert http.get(f"{folder}/{segment.num - 20}.ts").status_code == 404
    assert http.get(f"{folder}/nonsense.ts").status_code == 404
    session = folder.split("/")[-2]
    assert http.get(segment.uri.replace(session, "someoneelse")).status_code == 404


def test_a_part_of_a_segment(streamlink, http):
    """A Range header gets exactly its bytes, with 206; one past the end gets 416."""
    uri = playlist_of(streamlink, channel_streams(streamlink, "live")["worst"]).segments[5].uri
    whole = http.get(uri).content
    part = http.get(uri, headers={"Range": "bytes=188-563"})
    assert (part.status_code, part.content) == (206, whole[188:564])
    assert part.headers["Content-Range"] == f"bytes 188-563/{len(whole)}"
    assert http.get(uri, headers={"Range": "bytes=188-"}).content == whole[188:]
    assert http.get(uri, headers={"Range": f"bytes={len(whole)}-"}).status_code == 416


def newest_segment(standin: Standin) -> bytes:
    """What a viewer of the channel `live` sees in the smallest rendition."""
    with streamlink_session(standin) as session:
        newest = window_of(session, channel_streams(session, "live")["worst"])[-1]
        return session.http.get(newest.uri).content


def test_nothing_is_transcoded_twice(zoo, tmp_path):
    """Eight viewers at once cause one transcode, and a second start with the same cache none."""
    with Standin(zoo, cache=tmp_path) as standin, ThreadPoolExecutor(8) as viewers:
        assert all(viewers.map(newest_segment, [standin] * 8))
        assert standin.transcoder.transcode_count == 1
        standin.transcoder.prepare(zoo.channel("live").file, TRANSCODES[-1])
    with Standin(zoo, cache=tmp_path) as standin:
        assert newest_segment(standin)
        assert standin.transcoder.transcode_count == 0
    assert len(list(tmp_path.iterdir())) == 1


def test_playlists_alone_transcode_nothing(zoo, tmp_path):
    """Streamlink looks into every rendition's playlist; that costs no encoding."""
    with Standin(zoo, cache=tmp_path) as standin, streamlink_session(standin) as session:
        assert channel_streams(session, "live")
        assert standin.transcoder.transcode_count == 0
        assert not list(tmp_path.iterdir())


def test_nobody_waits_for_a_whole_clip(zoo, tmp_path):
    """The segment asked for is made first, wherever in the clip it is; after a stop half-way the next one goes on."""
    file, source = zoo.channel("live").file, Rendition(1280, 720, 60, 3_400_000)
    media = Media(tmp_path)
    for index in (11, 12):
        frames = frames_of(media.segment(file, source, index))
        assert (len(frames), frames[0].key_frame, frames[0].height) == (120, True, 720)
    media.close()
    (folder,) = tmp_path.iterdir()  # the work folder is gone
    kept = {path: path.read_bytes() for path in folder.iterdir()}
    assert 2 <= len(kept) < 10
    assert {len(frames_of(data)) for data in kept.values()} == {120}
    media = Media(tmp_path)
    assert len(frames_of(media.segment(file, source, 5))) == 120
    media.close()
    assert {path: path.read_bytes() for path in kept} == kept


def test_order_does_not_change_the_pictures(zoo, tmp_path):
    """A clip made from its middle on has the same segments as one made from its start."""
    file, rendition = zoo.channel("live").file, TRANSCODES[-1]
    pictures = []
    for name, first in (("start", 0), ("middle", 7)):
        media = Media(tmp_path / name)
        media.segment(file, rendition, first)
        media.prepare(file, rendition)
        segments = [frames_of(media.segment(file, rendition, index)) for index in range(15)]
        assert [len(frames) for frames in segments] == [60] * 15
        assert [frames[0].time for frames in segments] == pytest.approx(
            [segments[0][0].time + 2 * i for i in range(15)]
        )
        pictures.append([frames[0].to_ndarray(format="rgb24").astype(int) for frames in segments])
        media.close()
    assert max(np.abs(a - b).mean() for a, b in zip(*pictures, strict=True)) < 3


def test_a_channel_switches_its_game_when_it_was_planned(world, cache):
    """From the planted segment on, and no earlier, the other clip is played, after a discontinuity."""
    one, other = world.channel("etr_bumpy_ride"), world.channel("dcss_minotaur_berserker")
    at = (time.time() // 2 - 5) * 2  # in the middle of the window
    with (
        Standin(world.with_switches([(one.login, at, other.login)]), cache=cache) as standin,
        streamlink_session(standin) as session,
    ):
        stream = channel_streams(session, one.login)["worst"]
        window, text = window_of(session, stream), session.http.get(stream.url).text
        pictures = [first_image(session, segment) for segment in window]
        of_the_other = first_image(session, window_of(session, channel_streams(session, other.login)["worst"])[-1])
    later = [segment.date.timestamp() >= at for segment in window]
    assert 3 < sum(later) < 12
    assert [image.mean() < (pictures[0].mean() + of_the_other.mean()) / 2 for image in pictures] == later
    date = datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    assert f"#EXT-X-DISCONTINUITY\n#EXT-X-PROGRAM-DATE-TIME:{date}" in text
