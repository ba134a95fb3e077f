"""Grabbing: a login becomes the frames of its live window. The only importer of streamlink.

Twitch serves HLS (RFC 8216): a playlist of about fifteen two-second segments, each starting with a key
frame, and one frame of each is kept. Ads are segments among them; Streamlink's Twitch plugin knows which.
"""

from __future__ import annotations

import logging
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import quote

import requests
from streamlink import Streamlink
from streamlink.exceptions import NoStreamsError, StreamlinkError
from streamlink.plugins.twitch import Twitch, TwitchHLSStream
from streamlink.stream.hls import HLSStream, parse_m3u8

from data import web
from data.entities import Frame, is_login
from data.errors import NoPicture, OnlyAds, StreamOffline, StreamUnavailable, UnknownLogin
from data.segments import Segments, smallest_covering
from data.video import first_frame

_PLAYLIST_BYTES = 4 << 20
_ENOUGH_FRAMES = 5  # ads are waited out only until this many frames are there
_UNREADABLE = (ValueError, OverflowError)  # what Streamlink's parsers let pass; the latter for absurd dates

log = logging.getLogger(__name__)


class Grabber:
    """Takes frames from live channels. One instance keeps one connection pool; `close` ends it.

    `frames` may be called from several threads at once.
    """

    def __init__(
        self,
        *,
        img_size: int,
        jpeg_quality: int,
        quality: str = "auto",
        timeout_s: float = 10.0,
        deadline_s: float = 30.0,
        standin: str = "",
        pool_size: int = 16,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        """Take the settings of the same names; no request is made yet.

        `quality`: auto, best, worst or a rendition's name; a channel without it gives what auto would choose.
        `pool_size`: connections kept open.
        `sleep`: how to wait for the next segments; true when there is no more waiting, as a stop event's `wait` is.
        """
        self._img_size = img_size
        self._jpeg_quality = jpeg_quality
        self._quality = quality
        self._deadline_s = deadline_s
        self._sleep = sleep
        # Without `webbrowser` False a refused token would start a Chromium on this machine.
        self._streamlink = Streamlink({"webbrowser": False, "http-timeout": timeout_s})
        self._shareable()
        web.equip(self._streamlink.http, timeout_s, standin, deadline_s=deadline_s, pool_size=pool_size)

    def _shareable(self) -> None:
        """Leave nothing to change in the session that every grab uses, so that threads may share it.

        Of a session, requests reads headers and cookies for each request; another thread that adds or drops one just
        then breaks that. Pools are locked. The plugin adds two headers (here already: it then sets equal values, which
        adds nothing), Twitch sends cookies (it needs none back). Plugin, playlist and container belong to one grab.
        """
        self._streamlink.http.headers.update(
            {"referer": "https://player.twitch.tv", "origin": "https://player.twitch.tv"}
        )
        self._streamlink.http.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def close(self) -> None:
        """Close the connections; safe to call twice."""
        self._streamlink.http.close()

    def __enter__(self) -> Grabber:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def frames(self, login: str, at_most: int, ad_wait_s: float = 0.0) -> Iterator[Frame]:
        """The first frame of each of the live window's newest `at_most` segments, oldest first, ads left out.

        Where ads have taken the window, waits up to `ad_wait_s` seconds for more. A segment that fails
        is left out. Raises, at the first frame at the latest: UnknownLogin, StreamOffline, OnlyAds,
        StreamUnavailable, or NoPicture when no segment could be decoded.
        """
        stream = self._rendition(login)
        segments = Segments(self._request, self._deadline_s, _bandwidth(stream))
        number, failure = 0, None
        for segment in self._content(stream, login, at_most, ad_wait_s):
            try:
                with segments.opened(segment) as file:
                    jpeg = first_frame(file, self._img_size, self._jpeg_quality)
            except (NoPicture, StreamUnavailable, requests.RequestException) as error:
                log.info("%s: segment %s left out: %s", login, segment.num, error)
                failure = _no_answer(error) if isinstance(error, requests.RequestException) else error
                continue
            number += 1
            yield Frame(number, jpeg)
        if failure and not number:
            kind = NoPicture if isinstance(failure, NoPicture) else StreamUnavailable
            raise kind(f"{login}: not one segment gave a picture ({failure})") from failure

    def _rendition(self, login: str) -> HLSStream:
        """The channel's rendition of the wanted quality."""
        if not is_login(login):
            raise UnknownLogin(f"{login!r} is no Twitch login: 1 to 25 lower-case letters, digits or _")
        try:
            streams = _Channel(self._streamlink, f"https://www.twitch.tv/{quote(login)}").streams()
        except (StreamlinkError, *_UNREADABLE) as error:
            reason = textwrap.shorten(str(error), 200, placeholder=" …")
            raise StreamUnavailable(f"{login}: {reason}; if every channel fails, upgrade streamlink") from error
        if not streams:
            raise StreamOffline(f"{login} is not live")
        stream = streams.get(self._quality) or streams.get(smallest_covering(list(streams), self._img_size))
        if stream is None:
            raise NoPicture(f"{login} has no rendition to take frames from, only {', '.join(streams)}")
        return stream

    def _content(self, stream: HLSStream, login: str, at_most: int, ad_wait_s: float) -> Iterator[Any]:
        """Segments of the stream itself, oldest first: the window's, and while ads hide too many, those to come."""
        end = time.monotonic() + ad_wait_s
        last, count, ads = -1, 0, False
        while True:
            playlist = self._playlist(stream, login)
            fresh = [s for s in playlist.segments if s.num > last and not s.prefetch]
            ads = ads or any(segment.ad for segment in fresh)
            for segment in [s for s in fresh if not s.ad][count - at_most :]:
                count += 1
                yield segment
            last = max([last, *(segment.num for segment in fresh)])
            pause = max(1.0, float(playlist.targetduration or 2))  # in this order NaN counts as 1
            if count >= min(at_most, _ENOUGH_FRAMES) or not ads or playlist.is_endlist:
                break
            if time.monotonic() + pause > end:
                break
            log.info("%s: ads; waiting for the stream", login)
            if self._sleep(pause):
                break
        if not count:
            raise OnlyAds(f"{login} shows nothing but ads") if ads else StreamOffline(f"{login} has no segments")

    def _playlist(self, stream: HLSStream, login: str) -> Any:
        """The media playlist now, each segment with `num`, `uri`, `map`, and the plugin's own `ad` and `prefetch`."""
        try:
            text = self._get(stream.url, _PLAYLIST_BYTES).decode("utf-8", "replace")
            return _with_offsets(parse_m3u8(text, base_uri=stream.url, parser=type(stream).__parser__))
        except StreamUnavailable as error:
            if isinstance(error, _HTTPStatus) and error.status < 500:
                raise StreamOffline(f"{login} is over: its playlist answers {error.status}") from error
            raise StreamUnavailable(f"{login}: {error}") from error
        except _UNREADABLE as error:
            raise StreamUnavailable(f"{login}: its playlist cannot be read: {error}") from error

    def _get(self, url: str, limit_bytes: int) -> bytes:
        """The whole of a small file."""
        response = self._request(url, {})
        try:
            return web.read_body(response, self._deadline_s, limit_bytes)
        except requests.RequestException as error:
            raise _no_answer(error) from error

    def _request(self, url: str, headers: Mapping[str, str]) -> requests.Response:
        """An answer whose body is still to be read. Raises StreamUnavailable."""
        try:
            response = self._streamlink.http.get(url, stream=True, headers=headers, raise_for_status=False)
        except (StreamlinkError, requests.RequestException) as error:
            raise _no_answer(error) from error
        if response.status_code >= 400:
            response.close()
            raise _HTTPStatus(response.status_code)
        return response


def _no_answer(error: Exception) -> StreamUnavailable:
    cause = type(error.__cause__ or error).__name__  # Streamlink packs it
    return StreamUnavailable(f"the video server does not answer: {cause}")


def _bandwidth(stream: HLSStream) -> int:
    """What the multivariant playlist says of this rendition, bit/s; 0 where it says nothing."""
    playlists = stream.multivariant.playlists if stream.multivariant else []
    return next((p.stream_info.bandwidth or 0 for p in playlists if p.uri == stream.url), 0)


class _HTTPStatus(StreamUnavailable):
    """The video server answered with an error status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the video server answers {status}")
        self.status = status


class _Channel(Twitch):
    """Streamlink's Twitch plugin, changed in two places.

    It keeps apart what the plugin reports as one: no such channel, not live, and servers that fail or refuse. And
    it fetches the multivariant playlist alone, where the plugin fetches each rendition's own besides, to see
    whether the channel is live still: the grabber sees that by the one that it reads.
    """

    def _access_token(self, is_live: bool, channel_or_vod: str) -> Any:
        try:
            return super()._access_token(is_live, channel_or_vod)
        except NoStreamsError as error:
            raise UnknownLogin(f"Twitch has no channel {channel_or_vod!r}, or it is banned") from error

    def _get_hls_streams(self, url: str, restricted_bitrates: list[str], **extra_params: Any) -> Any:
        del restricted_bitrates  # qualities for subscribers alone: the playlist does not list them
        try:
            return TwitchHLSStream.parse_variant_playlist(self.session, url, **extra_params)
        except OSError as error:  # Streamlink's way to say that the request failed, the cause in its context
            answer = getattr(error.__context__, "response", None)
            status = getattr(answer, "status_code", 0)
            if status == 404:
                raise StreamOffline(f"{self.channel} is not live") from error
            reason = f"answers {status}" if status else "does not answer"
            raise StreamUnavailable(f"{self.channel}: Twitch's playlist server {reason}") from error


def _with_offsets(playlist: Any) -> Any:
    """The playlist, each byte range with its start: one without follows the last of that file (RFC 8216 4.3.2.2)."""
    ends: dict[str, int] = {}
    for segment in playlist.segments:
        if segment.byterange:
            start = segment.byterange.offset
            start = ends.get(segment.uri, 0) if start is None else start
            ends[segment.uri] = start + segment.byterange.range
            segment.byterange = segment.byterange._replace(offset=start)
    return playlist
