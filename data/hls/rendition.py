"""Rendition: one quality of a stream, its address and its media playlist (RFC 8216), validated."""

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

_PLAYLIST_BYTES = 16 << 20  # the playlist of a recording of two days
_PARSE_ERRORS = (ValueError, OverflowError)  # errors that Streamlink's parsers let pass; the latter for absurd dates
_MAX_DURATION_S = 3600.0  # a longer segment or target duration is invalid
_DEFAULT_TARGET_S = 2.0  # Twitch's target duration, where a playlist states an invalid one


class MediaUrl:
    """A URL that Streamlink found, with the headers and parameters that its site requires."""

    def __init__(self, stream: HLSStream | HTTPStream, deadline_s: float) -> None:
        self.url = stream.url
        self._session = stream.session.http
        args = self._session.valid_request_args(**stream.args)
        self._args = {name: value for name, value in args.items() if name != "url"}
        self._deadline_s = deadline_s

    def request(self, url: str, headers: Mapping[str, str]) -> requests.Response:
        """Return a response whose body is not read yet. Raises StreamUnavailable, for error statuses too."""
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
        """Return the whole content of the URL. Raises StreamUnavailable."""
        try:
            return read_body(self.request(self.url, {}), self._deadline_s, limit_bytes)
        except requests.RequestException as error:
            raise server_unreachable(error) from error


class Rendition:
    """One quality of a stream or of a recording.

    `open_segment(segment, whole=False)` is `data.hls.segment_reader.SegmentReader.open`.
    """

    def __init__(self, name: str, stream: HLSStream, deadline_s: float) -> None:
        self.name = name
        self._media = MediaUrl(stream, deadline_s)
        self._parser = type(stream).__parser__
        self._start_s = float(stream.start_offset or 0)
        self.open_segment = SegmentReader(self._media.request, deadline_s, _bandwidth(stream)).open

    def playlist(self) -> Playlist:
        """Fetch the media playlist.

        Raises StreamOffline for 4xx (the stream has ended, or its address expired), StreamUnavailable if the
        server fails or the playlist is invalid, UndecodableVideo if the segments are encrypted.
        """
        try:
            text = self._media.content(_PLAYLIST_BYTES).decode("utf-8", "replace")
            return _to_playlist(parse_m3u8(text, base_uri=self._media.url, parser=self._parser), self._start_s)
        except StreamUnavailable as error:
            if isinstance(error, HttpStatusError) and error.status < 500:
                raise StreamOffline(f"{self.name} has ended: its playlist answers {error.status}") from error
            raise StreamUnavailable(f"{self.name}: {error}") from error
        except UndecodableVideo as error:
            raise UndecodableVideo(f"{self.name}: {error}") from error
        except _PARSE_ERRORS as error:
            raise StreamUnavailable(f"{self.name}: invalid playlist: {error}") from error


def server_unreachable(error: Exception) -> StreamUnavailable:
    """Return a connection error of requests or Streamlink as an error of this stream."""
    cause = type(getattr(error, "err", None) or error).__name__  # Streamlink wraps the error of requests
    return StreamUnavailable(f"the video server does not answer: {cause}")


class HttpStatusError(StreamUnavailable):
    """The video server responded with an error status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the video server answers {status}")
        self.status = status


def _bandwidth(stream: HLSStream) -> int:
    """Return the rendition's bandwidth in the multivariant playlist, bit/s; 0 if it is not stated."""
    playlists = stream.multivariant.playlists if stream.multivariant else []
    return next((p.stream_info.bandwidth or 0 for p in playlists if p.uri == stream.url), 0)


def _to_playlist(found: Any, start_s: float) -> Playlist:
    """Convert Streamlink's playlist to our own values; of a recording, drop the first `start_s` seconds.

    Segments to prefetch are dropped: the next poll finds them complete.
    """
    target_s = _valid_duration(found.targetduration, _DEFAULT_TARGET_S)
    segments: list[Segment] = []
    ends: dict[str, int] = {}  # by URI, the end of the byte range before
    for segment in found.segments:
        if segment.key and segment.key.method != "NONE":
            raise UndecodableVideo("it is encrypted")
        media = _byte_range(segment.uri, segment.byterange, ends.get(segment.uri, 0))
        ends[segment.uri] = media.end or 0
        if not getattr(segment, "prefetch", False):
            init = _byte_range(segment.map.uri, segment.map.byterange, 0) if segment.map else None
            date = segment.date.timestamp() if segment.date else None
            # `ad` is an undocumented attribute of the Twitch plugin; other plugins' segments lack it.
            ad = bool(getattr(segment, "ad", False))
            segments.append(Segment(segment.num, media, init, _valid_duration(segment.duration, target_s), date, ad))
    ended = bool(found.is_endlist)
    ends_s = accumulate(segment.seconds for segment in segments)
    kept = tuple(s for s, end_s in zip(segments, ends_s, strict=True) if not ended or end_s > start_s)
    return Playlist(kept, target_s, ended)


def _byte_range(uri: str, byterange: Any, previous_end: int) -> ByteRange:
    """Return the bytes of a segment; a range without a start follows the previous one (RFC 8216, 4.3.2.2)."""
    if byterange is None:
        return ByteRange(uri)
    start = previous_end if byterange.offset is None else byterange.offset
    return ByteRange(uri, start, start + byterange.range)


def _valid_duration(value: Any, default: float) -> float:
    """Return a playlist's duration in seconds, or `default` where it is invalid, such as NaN or negative."""
    seconds = float(value or 0)
    return seconds if 0 < seconds < _MAX_DURATION_S else default
