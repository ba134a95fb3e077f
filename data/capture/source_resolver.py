"""Where pictures come from: a Twitch login, an address or a file becomes something to read."""

from __future__ import annotations

import io
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
from data.errors import UndecodableVideo, StreamOffline, StreamUnavailable, SourceNotFound
from data.hls.rendition import Link, Rendition
from data.hls.segment_reader import smallest_covering
from data.http import session as web
from data.twitch.streamlink_plugin import TwitchAddress

_CLIP_BYTES = 256 << 20  # a minute of the best quality is about 70 MB
_UNREADABLE = (ValueError, OverflowError)  # what Streamlink's parsers let pass; the latter for absurd dates


@dataclass(frozen=True, slots=True)
class File:
    """A recording in one file. `opened()` gives it, open for reading and seeking; raises OSError, StreamUnavailable."""

    name: str
    opened: Callable[[], IO[bytes]]


class Sources:
    """Finds them. One instance keeps one connection pool; several threads may use it at once; `close` ends it."""

    def __init__(
        self, *, img_size: int, quality: str, timeout_s: float, deadline_s: float, standin: str, pool_size: int
    ) -> None:
        """Take the settings of these names; no request is made yet."""
        self._img_size = img_size
        self._quality = quality
        self._deadline_s = deadline_s
        self._equipment: dict[str, Any] = {"standin": standin, "deadline_s": deadline_s, "pool_size": pool_size}
        self._timeout_s = timeout_s
        self._twitch = self._session(plugins=False)
        self._others: Streamlink | None = None
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
        if self._others:
            self._others.http.close()

    def open(self, source: str) -> Rendition | File:
        """What `source` names: a login, an address (of a stream, a recording, a clip), or a file on this disk.

        Raises SourceNotFound, StreamOffline, StreamUnavailable, or UndecodableVideo where there is nothing to take frames from.
        """
        if is_login(source):
            return self._opened(source, self._channel(f"https://www.twitch.tv/{quote(source)}", source))
        if TwitchAddress.knows(source):
            return self._opened(source, self._channel(source, source))
        if source.startswith(("http://", "https://")):
            return self._opened(source, self._elsewhere(source))
        if ("." in source or "/" in source) and _is_file(source):
            return File(source, lambda: Path(source).open("rb"))
        raise SourceNotFound(
            f"{source!r} is no Twitch login (1 to 25 lower-case letters, digits or _), no address and no file"
        )

    def stream(self, source: str) -> Rendition:
        """The same where `source` is known to be a stream in segments."""
        found = self.open(source)
        if isinstance(found, File):
            raise StreamOffline(f"{source} is a file by now")
        return found

    def _opened(self, source: str, streams: Mapping[str, Any]) -> Rendition | File:
        """The stream of the wanted quality among those found."""
        stream = streams.get(self._quality) or streams.get(smallest_covering(list(streams), self._img_size))
        if isinstance(stream, MuxedHLSStream):
            stream = stream.substreams[0]  # the others are sound
        if isinstance(stream, HLSStream):
            return Rendition(source, stream, self._deadline_s)
        if isinstance(stream, HTTPStream):
            link = Link(stream, self._deadline_s)
            return File(source, lambda: io.BytesIO(link.content(_CLIP_BYTES)))
        raise UndecodableVideo(f"{source} has no rendition to take frames from, only {', '.join(streams)}")

    def _channel(self, url: str, source: str) -> Mapping[str, Any]:
        """What Twitch has at an address of its own: a channel, a recording or a clip."""
        try:
            streams = TwitchAddress(self._twitch, url).streams()
        except (StreamlinkError, *_UNREADABLE) as error:
            raise StreamUnavailable(f"{source}: {_brief(error)}; if every channel fails, upgrade streamlink") from error
        if not streams:
            raise StreamOffline(f"{source} is not live")
        return streams

    def _elsewhere(self, url: str) -> Mapping[str, Any]:
        """What Streamlink's other plugins find at an address. They are loaded when first needed."""
        with self._lock:
            self._others = self._others or self._session(plugins=True)
        try:
            streams = self._others.streams(url)
        except NoPluginError as error:
            raise SourceNotFound(f"{url}: Streamlink knows no stream there") from error
        except (StreamlinkError, OSError, *_UNREADABLE) as error:
            raise StreamUnavailable(f"{url}: {_brief(error)}") from error
        if not streams:
            raise StreamOffline(f"{url} shows nothing now")
        return streams

    def _session(self, plugins: bool) -> Streamlink:
        # Without `webbrowser` False a refused token would start a Chromium on this machine. The cache is for its token.
        options = {"webbrowser": False, "no-plugin-cache": True, "http-timeout": self._timeout_s}
        session = Streamlink(options, plugins_builtin=plugins)
        web.equip(session.http, self._timeout_s, **self._equipment)
        return session


def _is_file(path: str) -> bool:
    """Whether there is such a file; a name that is too long for one is none."""
    try:
        return Path(path).is_file()
    except OSError:
        return False


def _brief(error: Exception) -> str:
    """What Streamlink says, in a line: it quotes whole answers."""
    return textwrap.shorten(str(error), 200, placeholder=" …")
