"""Where pictures come from: a Twitch login, an address or a file becomes something to read."""

from __future__ import annotations

import io
import re
import textwrap
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote

from streamlink import Streamlink
from streamlink.exceptions import NoPluginError, StreamlinkError
from streamlink.stream.hls import HLSStream, MuxedHLSStream
from streamlink.stream.http import HTTPStream

from data.entities import is_login
from data.errors import SourceNotFound, StreamOffline, StreamUnavailable, UndecodableVideo
from data.hls.rendition import MediaUrl, Rendition
from data.http.session import configure_session
from data.twitch.streamlink_plugin import TwitchPlugin

_CLIP_BYTES = 256 << 20  # a minute of the best quality is about 70 MB
_HEIGHT = re.compile(r"(\d+)p\d*")
_UNREADABLE = (ValueError, OverflowError)  # what Streamlink's parsers let pass; the latter for absurd dates


@dataclass(frozen=True, slots=True)
class VideoFile:
    """A recording in one file. `opened()` gives it, open for reading and seeking; raises OSError, StreamUnavailable."""

    name: str
    open: Callable[[], IO[bytes]]


class SourceResolver:
    """Finds them. One instance keeps one connection pool; several threads may use it at once; `close` ends it."""

    def __init__(
        self, *, img_size: int, quality: str, timeout_s: float, deadline_s: float, standin: str, pool_size: int
    ) -> None:
        """Take the settings of these names; no request is made yet."""
        self._img_size = img_size
        self._quality = quality
        self._deadline_s = deadline_s
        self._http_options: dict[str, Any] = {"standin": standin, "deadline_s": deadline_s, "pool_size": pool_size}
        self._timeout_s = timeout_s
        self._twitch = self._session(plugins=False)
        self._plugin_session: Streamlink | None = None
        self._lock = threading.Lock()
        # Leave nothing to change in the session that every grab uses, so that threads may share it. Of a session,
        # requests reads headers and cookies for each request; another thread that adds or drops one just then breaks
        # that. The plugin adds two headers (here already: it then sets equal values, which adds nothing), Twitch
        # sends cookies (it needs none back).
        self._twitch.http.headers.update({"referer": "https://player.twitch.tv", "origin": "https://player.twitch.tv"})
        self._twitch.http.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def close(self) -> None:
        """Close the connections; safe to call twice."""
        self._twitch.http.close()
        if self._plugin_session:
            self._plugin_session.http.close()

    def open(self, source: str) -> Rendition | VideoFile:
        """What `source` names: a login, an address (of a stream, a recording, a clip), or a file on this disk.

        Raises SourceNotFound, StreamOffline, StreamUnavailable, or UndecodableVideo where there is nothing to take frames from.
        """
        if is_login(source):
            return self._select_rendition(source, self._twitch_streams(f"https://www.twitch.tv/{quote(source)}", source))
        if TwitchPlugin.matches_url(source):
            return self._select_rendition(source, self._twitch_streams(source, source))
        if source.startswith(("http://", "https://")):
            return self._select_rendition(source, self._plugin_streams(source))
        if ("." in source or "/" in source) and _is_file(source):
            return VideoFile(source, lambda: Path(source).open("rb"))
        raise SourceNotFound(
            f"{source!r} is no Twitch login (1 to 25 lower-case letters, digits or _), no address and no file"
        )

    def open_stream(self, source: str) -> Rendition:
        """The same where `source` is known to be a stream in segments."""
        found = self.open(source)
        if isinstance(found, VideoFile):
            raise StreamOffline(f"{source} is a file by now")
        return found

    def _select_rendition(self, source: str, streams: Mapping[str, Any]) -> Rendition | VideoFile:
        """The stream of the wanted quality among those found."""
        stream = streams.get(self._quality) or streams.get(choose_rendition(list(streams), self._img_size))
        if isinstance(stream, MuxedHLSStream):
            stream = stream.substreams[0]  # the others are sound
        if isinstance(stream, HLSStream):
            return Rendition(source, stream, self._deadline_s)
        if isinstance(stream, HTTPStream):
            media = MediaUrl(stream, self._deadline_s)
            return VideoFile(source, lambda: io.BytesIO(media.content(_CLIP_BYTES)))
        raise UndecodableVideo(f"{source} has no rendition to take frames from, only {', '.join(streams)}")

    def _twitch_streams(self, url: str, source: str) -> Mapping[str, Any]:
        """What Twitch has at an address of its own: a channel, a recording or a clip."""
        try:
            streams = TwitchPlugin(self._twitch, url).streams()
        except (StreamlinkError, *_UNREADABLE) as error:
            raise StreamUnavailable(f"{source}: {_shorten(error)}; if every channel fails, upgrade streamlink") from error
        if not streams:
            raise StreamOffline(f"{source} is not live")
        return streams

    def _plugin_streams(self, url: str) -> Mapping[str, Any]:
        """What Streamlink's other plugins find at an address. They are loaded when first needed."""
        with self._lock:
            self._plugin_session = self._plugin_session or self._session(plugins=True)
        try:
            streams = self._plugin_session.streams(url)
        except NoPluginError as error:
            raise SourceNotFound(f"{url}: Streamlink knows no stream there") from error
        except (StreamlinkError, OSError, *_UNREADABLE) as error:
            raise StreamUnavailable(f"{url}: {_shorten(error)}") from error
        if not streams:
            raise StreamOffline(f"{url} shows nothing now")
        return streams

    def _session(self, plugins: bool) -> Streamlink:
        # Without `webbrowser` False a refused token would start a Chromium on this machine. The cache is for its token.
        options = {"webbrowser": False, "no-plugin-cache": True, "http-timeout": self._timeout_s}
        session = Streamlink(options, plugins_builtin=plugins)
        configure_session(session.http, self._timeout_s, **self._http_options)
        return session


def choose_rendition(names: list[str], img_size: int) -> str:
    """Of renditions named like 720p60, the one with the fewest lines that are at least `img_size`; else the largest.

    `best` counts where no name tells a height.
    """
    heights = {name: int(match[1]) for name in names if (match := _HEIGHT.fullmatch(name))}
    if not heights:
        return "best"
    covering = {name: height for name, height in heights.items() if height >= img_size}
    return min(covering, key=covering.__getitem__) if covering else max(heights, key=heights.__getitem__)


def _is_file(path: str) -> bool:
    """Whether there is such a file; a name that is too long for one is none."""
    try:
        return Path(path).is_file()
    except OSError:
        return False


def _shorten(error: Exception) -> str:
    """What Streamlink says, in a line: it quotes whole answers."""
    return textwrap.shorten(str(error), 200, placeholder=" …")
