"""One quality of a stream: its address as Streamlink found it, and its media playlist (RFC 8216), read and checked."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import Any

import requests
from streamlink.exceptions import StreamlinkError
from streamlink.stream.hls import HLSStream, parse_m3u8
from streamlink.stream.http import HTTPStream

from data.errors import StreamOffline, StreamUnavailable, UndecodableVideo
from data.hls.playlist import ByteRange, Playlist, Segment
from data.hls.segment_reader import SegmentReader
from data.http.session import read_body

_PLAYLIST_BYTES = 16 << 20  # a recording of two days
_UNREADABLE = (ValueError, OverflowError)  # what Streamlink's parsers let pass; the latter for absurd dates
_MOST_S = 3600.0  # a segment's or target duration beyond it is none


class MediaUrl:
    """An address that Streamlink found, asked for with what its site wants to see."""

    def __init__(self, stream: HLSStream | HTTPStream, deadline_s: float) -> None:
        self.url = stream.url
        self._session = stream.session.http
        args = self._session.valid_request_args(**stream.args)
        self._args = {name: value for name, value in args.items() if name != "url"}
        self._deadline_s = deadline_s

    def request(self, url: str, headers: Mapping[str, str]) -> requests.Response:
        """An answer whose body is still to be read. Raises StreamUnavailable."""
        args = {**self._args, "headers": {**self._args.get("headers", {}), **headers}}
        try:
            response = self._session.get(url, **args, stream=True, raise_for_status=False)
        except (StreamlinkError, requests.RequestException) as error:
            raise server_unreachable(error) from error
        if response.status_code >= 400:
            response.close()
            raise HttpStatusError(response.status_code)
        return response

    def content(self, limit_bytes: int) -> bytes:
        """All that is at the address. Raises StreamUnavailable."""
        try:
            return read_body(self.request(self.url, {}), self._deadline_s, limit_bytes)
        except requests.RequestException as error:
            raise server_unreachable(error) from error


class Rendition:
    """One quality of a stream, or of a recording. `opened` is that of its data.hls.segment_reader.SegmentReader."""

    def __init__(self, name: str, stream: HLSStream, deadline_s: float) -> None:
        self.name = name
        self._media = MediaUrl(stream, deadline_s)
        self._parser = type(stream).__parser__
        self._start_s = float(stream.start_offset or 0)
        self.open_segment = SegmentReader(self._media.request, deadline_s, _bandwidth(stream)).open

    def playlist(self) -> Playlist:
        """The media playlist now. Raises StreamOffline (it is gone), StreamUnavailable, UndecodableVideo (encrypted)."""
        try:
            text = self._media.content(_PLAYLIST_BYTES).decode("utf-8", "replace")
            return _to_playlist(parse_m3u8(text, base_uri=self._media.url, parser=self._parser), self._start_s)
        except StreamUnavailable as error:
            if isinstance(error, HttpStatusError) and error.status < 500:
                raise StreamOffline(f"{self.name} is over: its playlist answers {error.status}") from error
            raise StreamUnavailable(f"{self.name}: {error}") from error
        except UndecodableVideo as error:
            raise UndecodableVideo(f"{self.name}: {error}") from error
        except _UNREADABLE as error:
            raise StreamUnavailable(f"{self.name}: its playlist cannot be read: {error}") from error


def server_unreachable(error: Exception) -> StreamUnavailable:
    """The same as an error of this stream alone."""
    cause = type(getattr(error, "err", None) or error).__name__  # Streamlink packs it
    return StreamUnavailable(f"the video server does not answer: {cause}")


class HttpStatusError(StreamUnavailable):
    """The video server answered with an error status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the video server answers {status}")
        self.status = status


def _bandwidth(stream: HLSStream) -> int:
    """What the multivariant playlist says of this rendition, bit/s; 0 where it says nothing."""
    playlists = stream.multivariant.playlists if stream.multivariant else []
    return next((p.stream_info.bandwidth or 0 for p in playlists if p.uri == stream.url), 0)


def _to_playlist(found: Any, start_s: float) -> Playlist:
    """Streamlink's playlist in our own values, of a recording what comes after its first `start_s` seconds.

    Segments to prefetch are left out: the next look has them whole.
    """
    target_s = _valid_duration(found.targetduration, 2.0)
    segments: list[Segment] = []
    ends: dict[str, int] = {}
    for segment in found.segments:
        if segment.key and segment.key.method != "NONE":
            raise UndecodableVideo("it is encrypted")
        byte_range = _byte_range(segment.uri, segment.byterange, ends.get(segment.uri, 0))
        ends[segment.uri] = byte_range.end or 0
        if not getattr(segment, "prefetch", False):
            init = _byte_range(segment.map.uri, segment.map.byterange, 0) if segment.map else None
            date = segment.date.timestamp() if segment.date else None
            # `ad` is the Twitch plugin's own, and not documented: other sites' segments have none.
            ad = bool(getattr(segment, "ad", False))
            segments.append(Segment(segment.num, byte_range, init, _valid_duration(segment.duration, target_s), date, ad))
    ended = bool(found.is_endlist)
    ends_s = accumulate(segment.seconds for segment in segments)
    kept = tuple(s for s, end_s in zip(segments, ends_s, strict=True) if not ended or end_s > start_s)
    return Playlist(kept, target_s, ended)


def _byte_range(uri: str, byterange: Any, after: int) -> ByteRange:
    """A range without a start follows the last one of that file (RFC 8216, 4.3.2.2), which ended before `after`."""
    if byterange is None:
        return ByteRange(uri)
    start = after if byterange.offset is None else byterange.offset
    return ByteRange(uri, start, start + byterange.range)


def _valid_duration(value: Any, otherwise: float) -> float:
    """A duration as a playlist gives it, or `otherwise` where that makes no sense: it may be NaN, or below 0."""
    seconds = float(value or 0)
    return seconds if 0 < seconds < _MOST_S else otherwise
