"""Source resolver: a Twitch login, a URL or a path becomes a rendition or a file that frames can be read from."""

from __future__ import annotations

import io
import logging
import os.path
import re
import textwrap
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.cookiejar import DefaultCookiePolicy
from typing import IO, Any

from streamlink import Streamlink
from streamlink.exceptions import NoPluginError
from streamlink.stream.hls import HLSStream, MuxedHLSStream
from streamlink.stream.http import HTTPStream

from data.capture.pictures import PictureFiles, find_pictures
from data.errors import SourceNotFound, StopRequested, StreamOffline, StreamUnavailable, ToolkitError, UndecodableVideo
from data.hls.parser import check_response
from data.hls.rendition import MediaUrl, Rendition, describe
from data.http.session import configure_session
from data.readers import open_regular_file
from data.twitch.addresses import FORMS, canonical, is_twitch, is_url, twitch_url
from data.twitch.streamlink_plugin import TwitchPlugin

# Twitch's tokens and multivariant playlists have some kB; JSON takes 25 times its size in memory.
_TOKEN_BYTES = 2 << 20
_PAGE_BYTES = 16 << 20  # of other sites
_CLIP_BYTES = 256 << 20  # a minute of the best quality has about 70 MB
_shorten = partial(textwrap.shorten, width=200, placeholder=" …")
_SYNONYMS = ("best", "worst", "best-unfiltered", "worst-unfiltered")  # Streamlink adds these to a stream's own names
_HEIGHT = re.compile(r"([0-9]{1,5})p[0-9]*")  # of a rendition's name, such as 720p60

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class VideoFile:
    """A recording in one file. `open()` returns it, readable and seekable; raises OSError, StreamUnavailable."""

    name: str
    open: Callable[[], IO[bytes]]

    @contextmanager
    def reading(self) -> Iterator[IO[bytes]]:
        """Open the file for a block. Raises UndecodableVideo and StreamUnavailable, which name the file."""
        try:
            with self.open() as file:
                yield file
        except UndecodableVideo as error:
            raise UndecodableVideo(f"{self.name}: {error}") from error
        except (OSError, StreamUnavailable) as error:
            raise StreamUnavailable(f"{self.name}: {error}") from error


class SourceResolver:
    """Finds the streams of sources. Several threads may share a resolver; `close` ends it.

    Args:
        img_size: height that a rendition should cover, pixels.
        quality: auto, best, worst, or a rendition's name.
        timeout_s, deadline_s, standin, pool_size: those of `data.http.session.configure_session`.
        public_only: also of it; files of this machine are not found then.
    """

    def __init__(
        self,
        *,
        img_size: int,
        quality: str,
        timeout_s: float,
        deadline_s: float,
        standin: str,
        pool_size: int,
        public_only: bool = False,
    ) -> None:
        self._img_size = img_size
        self._quality = quality
        self._deadline_s = deadline_s
        self._timeout_s = timeout_s
        self._public_only = public_only
        self._configure = partial(
            configure_session, standin=standin, deadline_s=deadline_s, pool_size=pool_size, public_only=public_only
        )
        self._twitch = self._new_session(plugins=False)
        self._plugin_session: Streamlink | None = None
        self._lock = threading.Lock()
        self._warned = False  # of a rendition that a stream lacks
        # Threads share this session, and requests reads its headers and cookies for each request: a thread that adds
        # or drops one meanwhile breaks that. So the plugin's two headers are set here already; setting equal values
        # again adds nothing. Cookies are refused, because Twitch needs none.
        self._twitch.http.headers.update({"referer": "https://player.twitch.tv", "origin": "https://player.twitch.tv"})
        self._twitch.http.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def close(self) -> None:
        """Close the connections. Calling it again does nothing."""
        self._twitch.http.close()
        if self._plugin_session:
            self._plugin_session.http.close()

    def open(self, source: str) -> Rendition | VideoFile | PictureFiles:
        """Return the stream or the files of a source; `data.twitch.addresses` says in which forms it is understood.

        Raises SourceNotFound, StreamOffline, StreamUnavailable; UndecodableVideo if no rendition has video.
        """
        name = canonical(source)
        if url := twitch_url(name):
            return self._select_rendition(source, self._twitch_streams(source, url))
        if is_url(name) and not is_twitch(name):
            return self._select_rendition(source, self._plugin_streams(name))
        if not self._public_only and (found := _find_file(name)):
            return found
        raise SourceNotFound(f"{_shorten(repr(source))} is not found: name {FORMS}")

    def open_stream(self, source: str) -> Rendition:
        """Return the stream of a source that had segments before; a file raises StreamOffline."""
        found = self.open(source)
        if not isinstance(found, Rendition):
            raise StreamOffline(f"{source} has become a file")
        return found

    def _select_rendition(self, source: str, streams: Mapping[str, Any]) -> Rendition | VideoFile:
        if not streams:
            raise StreamOffline(f"{source} is not live")
        stream = streams.get(self._choose_name(source, streams))
        if isinstance(stream, MuxedHLSStream):
            stream = stream.substreams[0]  # the other substreams are audio
        with _streamlink_errors(source):  # such as an invalid address
            if isinstance(stream, HLSStream):
                return Rendition(source, stream, self._deadline_s)
            if isinstance(stream, HTTPStream):
                media = MediaUrl(stream, self._deadline_s)
                return VideoFile(source, lambda: io.BytesIO(media.fetch(_CLIP_BYTES)[0]))
        raise UndecodableVideo(f"{source} has no rendition with video, only {', '.join(streams)}")

    def _choose_name(self, source: str, streams: Mapping[str, Any]) -> str:
        """Return the name of the rendition that QUALITY asks for; if there is none, of the one that auto takes."""
        if name := next((name for name in streams if name.lower() == self._quality.lower()), ""):
            return name
        chosen = choose_rendition(list(streams), self._img_size)
        if self._quality.lower() != "auto":
            names = ", ".join(name for name in streams if name not in _SYNONYMS)
            # Once is enough for a misspelt name; many channels lack a name that others have.
            log.log(logging.INFO if self._warned else logging.WARNING, "%s has no quality %r, only %s; taking %s",
                source, self._quality, _shorten(names), chosen)  # fmt: skip
            self._warned = True
        return chosen

    def _twitch_streams(self, source: str, url: str) -> Mapping[str, Any]:
        """Return the renditions of the URL of a channel, a recording or a clip, by name."""
        with _streamlink_errors(source, "; if every channel fails, upgrade streamlink"):
            return TwitchPlugin(self._twitch, url).streams()

    def _plugin_streams(self, url: str) -> Mapping[str, Any]:
        """Return the renditions that Streamlink's other plugins find at a URL, by name."""
        with self._lock:  # load the plugins once, and only when needed
            self._plugin_session = self._plugin_session or self._new_session(plugins=True)
        with _streamlink_errors(url):
            return self._plugin_session.streams(url)

    def _new_session(self, plugins: bool) -> Streamlink:
        # Without `webbrowser` False, a refused token starts a Chromium on this machine, whose token the cache keeps.
        options = {"webbrowser": False, "no-plugin-cache": True, "http-timeout": self._timeout_s}
        session = Streamlink(options, plugins_builtin=plugins)
        limit_bytes = _PAGE_BYTES if plugins else _TOKEN_BYTES
        self._configure(session.http, self._timeout_s, limit_bytes=limit_bytes, check=check_response)
        return session


def _find_file(path: str) -> VideoFile | PictureFiles | None:
    """Return the video, the picture or the folder of pictures at a path; None if there is none of them."""
    if "." not in path and "/" not in path:  # a word is never taken for a file
        return None
    try:
        pictures = find_pictures(path)
    except OSError as error:
        raise StreamUnavailable(f"{path}: {error.strerror}") from error
    # `isfile` is False for a text that is too long for a path, where `Path.is_file` raises an error.
    if pictures or not os.path.isfile(path):  # noqa: PTH113
        return pictures
    return VideoFile(path, lambda: open_regular_file(path))


@contextmanager
def _streamlink_errors(source: str, advice: str = "") -> Iterator[None]:
    """Raise StreamUnavailable for whatever Streamlink raises, SourceNotFound if it supports no stream there."""
    try:
        yield
    except (ToolkitError, StopRequested):
        raise
    except NoPluginError as error:
        raise SourceNotFound(f"{source}: Streamlink supports no stream there") from error
    except Exception as error:
        log.debug("%s: exception of Streamlink", source, exc_info=True)
        raise StreamUnavailable(f"{source}: {describe(error)}{advice}") from error


def choose_rendition(names: list[str], img_size: int) -> str:
    """Return the rendition with the fewest lines that cover `img_size`, else the largest one.

    `names`: such as 720p60 or audio_only. Return "best" if no name has a height.
    """
    heights = {name: int(match[1]) for name in names if (match := _HEIGHT.fullmatch(name))}
    return min(heights, key=lambda n: (heights[n] < img_size, abs(heights[n] - img_size)), default="best")
