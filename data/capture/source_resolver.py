"""Source resolver: a Twitch login, a URL or a path becomes a rendition or a file that frames can be read from."""

from __future__ import annotations

import io
import os.path
import re
import textwrap
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import IO, Any

from streamlink import Streamlink
from streamlink.exceptions import NoPluginError, StreamlinkError
from streamlink.stream.hls import HLSStream, MuxedHLSStream
from streamlink.stream.http import HTTPStream

from data.entities import is_login
from data.errors import SourceNotFound, StreamOffline, StreamUnavailable, UndecodableVideo
from data.hls.rendition import PARSE_ERRORS, MediaUrl, Rendition
from data.http.session import configure_session
from data.twitch.streamlink_plugin import TwitchPlugin

_CLIP_BYTES = 256 << 20  # a minute of the best quality has about 70 MB
_shorten = partial(textwrap.shorten, width=200, placeholder=" …")  # Streamlink's messages quote whole responses
_HEIGHT = re.compile(r"(\d+)p\d*")  # of a rendition's name, such as 720p60


@dataclass(frozen=True, slots=True)
class VideoFile:
    """A recording in one file. `open()` returns it, readable and seekable; raises OSError, StreamUnavailable."""

    name: str
    open: Callable[[], IO[bytes]]


class SourceResolver:
    """Finds the streams of sources. Several threads may share a resolver; `close` ends it.

    Args:
        img_size: height that a rendition should cover, pixels.
        quality: auto, best, worst, or a rendition's name.
        timeout_s, deadline_s, standin, pool_size: those of `data.http.session.configure_session`.
    """

    def __init__(
        self, *, img_size: int, quality: str, timeout_s: float, deadline_s: float, standin: str, pool_size: int
    ) -> None:
        self._img_size = img_size
        self._quality = quality
        self._deadline_s = deadline_s
        self._timeout_s = timeout_s
        self._configure = partial(configure_session, standin=standin, deadline_s=deadline_s, pool_size=pool_size)
        self._twitch = self._new_session(plugins=False)
        self._plugin_session: Streamlink | None = None
        self._lock = threading.Lock()
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

    def open(self, source: str) -> Rendition | VideoFile:
        """Return the stream or the file of a login, a URL (a stream, a recording, a clip) or a path.

        Raises SourceNotFound, StreamOffline, StreamUnavailable; UndecodableVideo if no rendition has video.
        """
        if is_login(source) or TwitchPlugin.matches_url(source):
            return self._select_rendition(source, self._twitch_streams(source))
        if source.startswith(("http://", "https://")):
            return self._select_rendition(source, self._plugin_streams(source))
        # `Path.is_file` raises an error for a text that is too long for a path.
        if ("." in source or "/" in source) and os.path.isfile(source):  # noqa: PTH113
            return VideoFile(source, lambda: Path(source).open("rb"))
        raise SourceNotFound(
            f"{source!r} is not a Twitch login (1 to 25 lower-case letters, digits or _), a URL or a file"
        )

    def open_stream(self, source: str) -> Rendition:
        """Return the stream of a source that had segments before; a file raises StreamOffline."""
        found = self.open(source)
        if isinstance(found, VideoFile):
            raise StreamOffline(f"{source} has become a file")
        return found

    def _select_rendition(self, source: str, streams: Mapping[str, Any]) -> Rendition | VideoFile:
        if not streams:
            raise StreamOffline(f"{source} is not live")
        stream = streams.get(self._quality) or streams.get(choose_rendition(list(streams), self._img_size))
        if isinstance(stream, MuxedHLSStream):
            stream = stream.substreams[0]  # the other substreams are audio
        if isinstance(stream, HLSStream):
            return Rendition(source, stream, self._deadline_s)
        if isinstance(stream, HTTPStream):
            media = MediaUrl(stream, self._deadline_s)
            return VideoFile(source, lambda: io.BytesIO(media.content(_CLIP_BYTES)))
        raise UndecodableVideo(f"{source} has no rendition with video, only {', '.join(streams)}")

    def _twitch_streams(self, source: str) -> Mapping[str, Any]:
        """Return the renditions of a login, or of the URL of a channel, a recording or a clip, by name."""
        try:
            url = f"https://www.twitch.tv/{source}" if is_login(source) else source
            return TwitchPlugin(self._twitch, url).streams()
        except (StreamlinkError, *PARSE_ERRORS) as error:
            advice = "if every channel fails, upgrade streamlink"
            raise StreamUnavailable(f"{source}: {_shorten(str(error))}; {advice}") from error

    def _plugin_streams(self, url: str) -> Mapping[str, Any]:
        """Return the renditions that Streamlink's other plugins find at a URL, by name."""
        with self._lock:  # load the plugins once, and only when needed
            self._plugin_session = self._plugin_session or self._new_session(plugins=True)
        try:
            return self._plugin_session.streams(url)
        except NoPluginError as error:
            raise SourceNotFound(f"{url}: Streamlink supports no stream there") from error
        except (StreamlinkError, OSError, *PARSE_ERRORS) as error:
            raise StreamUnavailable(f"{url}: {_shorten(str(error))}") from error

    def _new_session(self, plugins: bool) -> Streamlink:
        # Without `webbrowser` False, a refused token starts a Chromium on this machine, whose token the cache keeps.
        options = {"webbrowser": False, "no-plugin-cache": True, "http-timeout": self._timeout_s}
        session = Streamlink(options, plugins_builtin=plugins)
        self._configure(session.http, self._timeout_s)
        return session


def choose_rendition(names: list[str], img_size: int) -> str:
    """Return the rendition with the fewest lines that cover `img_size`, else the largest one.

    `names`: such as 720p60 or audio_only. Return "best" if no name has a height.
    """
    heights = {name: int(match[1]) for name in names if (match := _HEIGHT.fullmatch(name))}
    return min(heights, key=lambda n: (heights[n] < img_size, abs(heights[n] - img_size)), default="best")
