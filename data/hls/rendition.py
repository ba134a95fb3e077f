"""Rendition: one quality of a stream, which has a media playlist (RFC 8216) and opens its segments.

Range requests fetch about as many bytes of a segment as its first frame takes, learnt from the segments before.
"""

from __future__ import annotations

import logging
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial

import requests
from streamlink.exceptions import StreamlinkError
from streamlink.stream.hls import HLSStream
from streamlink.stream.http import HTTPStream

from data.errors import StreamOffline, StreamUnavailable, UndecodableVideo
from data.hls.parser import parse
from data.hls.playlist import Playlist, Segment, parse_playlist
from data.http.range_reader import ByteRange, RangeReader
from data.http.session import read_body
from data.readers import ChainedReader, Readable
from data.text import printable, redacted

_PLAYLIST_BYTES = 16 << 20  # the playlist of a recording of two days
_SEGMENT_BYTES = 64 << 20  # two seconds at 250 Mbit/s
_INIT_BYTES = 4 << 20  # an init section has about a kilobyte
_MIN_REQUEST_BYTES, _MAX_REQUEST_BYTES = 32 << 10, 1 << 20  # limits of the first request's size before any was read
_FIRST_FRAME_FRACTION = 0.15  # upper limit of the first frame's fraction of a two-second segment
_HEADROOM = 1.5  # of the first request, over the largest first frame so far: a second request costs more than bytes

log = logging.getLogger(__name__)


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

    def fetch(self, limit_bytes: int) -> tuple[bytes, str]:
        """Return the content, and the URL that it came from, after redirects. Raises StreamUnavailable."""
        try:
            response = self.request(self.url, {})
            return read_body(response, self._deadline_s, limit_bytes), response.url
        except requests.RequestException as error:
            raise server_unreachable(error) from error


class Rendition:
    """One quality of a stream or of a recording. Each response must arrive within `deadline_s` seconds."""

    def __init__(self, name: str, stream: HLSStream, deadline_s: float) -> None:
        self.name = name
        self._media = MediaUrl(stream, deadline_s)
        self._open_range = partial(RangeReader, self._media.request, deadline_s=deadline_s, limit_bytes=_SEGMENT_BYTES)
        self._parser = type(stream).__parser__
        self._start_s = float(stream.start_offset or 0)
        playlists = stream.multivariant.playlists if stream.multivariant else []
        bandwidth = next((p.stream_info.bandwidth or 0 for p in playlists if p.uri == stream.url), 0)  # bit/s
        first_frame_bytes = int(bandwidth / 8 * 2 * _FIRST_FRAME_FRACTION)
        self._initial_bytes = min(max(_MIN_REQUEST_BYTES, first_frame_bytes), _MAX_REQUEST_BYTES)
        self._init: tuple[ByteRange, bytes] | None = None  # the latest init section

    def playlist(self) -> Playlist:
        """Fetch the media playlist.

        Raises StreamOffline for 4xx (the stream has ended, or its address expired), StreamUnavailable if the
        server fails or the playlist is invalid, UndecodableVideo if all segments are encrypted.
        """
        try:
            body, url = self._media.fetch(_PLAYLIST_BYTES)
            found = parse_playlist(parse(body.decode("utf-8", "replace"), url, self._parser), self._start_s)
        except StreamUnavailable as error:
            if isinstance(error, HttpStatusError) and error.status < 500:
                raise StreamOffline(f"{self.name} has ended: its playlist returned HTTP {error.status}") from error
            raise StreamUnavailable(f"{self.name}: {error}") from error
        except Exception as error:  # Streamlink's parser lets many types pass
            log.debug("%s: invalid playlist", self.name, exc_info=True)
            raise StreamUnavailable(f"{self.name}: invalid playlist: {describe(error)}") from error
        if any(segment.encrypted for segment in found.segments) and not any(s.usable for s in found.segments):
            raise UndecodableVideo(f"{self.name}: the video is encrypted")
        return found

    @contextmanager
    def open_segment(self, segment: Segment, *, whole: bool = False) -> Iterator[Readable]:
        """Open a segment as a file, fMP4 with its init section in front. `whole`: request all of it at once.

        This and `read` raise StreamUnavailable, and the errors of data.http.session.iter_body.
        """
        init = self.init_section(segment)
        initial_bytes = _SEGMENT_BYTES if whole else self._initial_bytes
        with self._open_range(segment.byte_range, initial_bytes=initial_bytes) as file:
            yield ChainedReader(init, file)
            if not whole:
                self._initial_bytes = max(self._initial_bytes, int(file.bytes_read * _HEADROOM))

    def open_bytes(self, byte_range: ByteRange) -> RangeReader:
        """Open a part of a segment, of which the caller may not read all. `read` raises as `open_segment` does."""
        return self._open_range(byte_range, initial_bytes=self._initial_bytes)

    def init_section(self, segment: Segment) -> bytes:
        """Return the init section, which fMP4 needs for decoding; fetch it again only when it changes."""
        if (byte_range := segment.init) is None:
            return b""
        if self._init is None or self._init[0] != byte_range:
            size = _INIT_BYTES if byte_range.end is None else byte_range.end - byte_range.start
            with self._open_range(byte_range, initial_bytes=size, limit_bytes=_INIT_BYTES) as file:
                self._init = byte_range, b"".join(iter(partial(file.read, _INIT_BYTES), b""))
        return self._init[1]


def describe(error: Exception) -> str:
    """Return an error of Streamlink as a short text without secrets; those that it does not name, with their type."""
    if isinstance(cause := getattr(error, "err", None), (requests.ConnectionError, requests.Timeout)):
        return f"its server does not answer: {type(cause).__name__}"
    named = isinstance(error, (StreamlinkError, OSError, ValueError))
    text = redacted(printable(str(error)[:1000]))  # it may quote whole responses
    return textwrap.shorten(text if named else f"{type(error).__name__}: {text}", 200, placeholder=" …")


def server_unreachable(error: Exception) -> StreamUnavailable:
    """Return a connection error of requests or Streamlink as an error of this stream."""
    cause = type(getattr(error, "err", None) or error).__name__  # Streamlink wraps the error of requests
    return StreamUnavailable(f"the video server does not answer: {cause}")


class HttpStatusError(StreamUnavailable):
    """The video server responded with an error status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"the video server returned HTTP {status}")
        self.status = status
