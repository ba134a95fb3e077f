"""Video hosts: gql.twitch.tv, usher.ttvnw.net and the video servers give playback tokens, playlists and segments."""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
from functools import partial
from pathlib import Path
from typing import Any

from tests.standin import playlist
from tests.standin.bad_segments import damaged
from tests.standin.clock import Clock
from tests.standin.http import Request, Response, json_response, text_response
from tests.standin.media import TRANSCODES, Media, segment_count
from tests.standin.playlist import Session
from tests.standin.transcode import SEGMENT_S, Rendition
from tests.standin.variation import varied
from tests.standin.world import STILLS, Channel, World

_HLS = "application/vnd.apple.mpegurl"
_CLOSED = {"gone": 404, "expired": 403}  # status of their playlists after the end
_OPERATIONS = ("PlaybackAccessToken", "ChannelShell", "StreamMetadata")


class Video:
    """The three hosts and the viewers' sessions; arguments as in `Standin`. Thread safe."""

    def __init__(
        self,
        world: World,
        media: Media,
        clock: Clock,
        source: Rendition,
        *,
        preroll_s: float,
        lifetime_s: float,
    ) -> None:
        self._world = world
        self._media = media
        self._clock = clock
        self._source = source
        self._preroll_s = preroll_s
        self._lifetime_s = lifetime_s
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}
        self._key = secrets.token_hex(8)

    def gql(self, request: Request) -> Response | None:
        """Respond to POST /gql: one persisted query or a list of them, by name; None for an unknown name."""
        if request.path != "/gql":
            return None
        try:
            queries = json.loads(request.body)
        except ValueError:
            return None
        listed = queries if isinstance(queries, list) else [queries]
        if not listed or any(query.get("operationName") not in _OPERATIONS for query in listed):
            return None
        results = [{"data": self._operation(query["operationName"], query["variables"])} for query in listed]
        return json_response(results if isinstance(queries, list) else results[0])

    def _operation(self, name: str, variables: dict[str, Any]) -> dict[str, Any]:
        login = variables.get("login") or variables.get("channelLogin") or ""
        channel = self._world.channel(login.lower())
        if name == "PlaybackAccessToken":
            return {"streamPlaybackAccessToken": self._token(login.lower()) if channel else None}
        if name == "ChannelShell":
            return {"userOrError": {"displayName": channel.user_name} if channel else {}}
        if channel is None or channel.behaviour == "offline":
            return {"user": None}
        stream = {"id": channel.user_id, "game": {"name": channel.game}}
        return {"user": {"lastBroadcast": {"title": channel.title}, "stream": stream}}

    def _token(self, login: str) -> dict[str, str]:
        value = json.dumps(
            {
                "channel": login,
                "chansub": {"restricted_bitrates": [], "view_until": 1924905600},
                "adblock": False,
                "geoblock_reason": "",
                "hide_ads": False,
                "server_ads": True,
                "show_ads": True,
                "expires": int(self._clock.now()) + 1200,
            }
        )
        return {"value": value, "signature": self._signature(value)}

    def _signature(self, value: str) -> str:
        return hashlib.sha1((self._key + value).encode()).hexdigest()

    def usher(self, request: Request) -> Response | None:
        """Respond to GET /api/v2/channel/hls/<login>.m3u8: begin a session and return its multivariant playlist."""
        prefix, _, file = request.path.rpartition("/")
        login, _, suffix = file.rpartition(".")
        if prefix != "/api/v2/channel/hls" or suffix != "m3u8":
            return None
        token, channel = request.param("token"), self._world.channel(login)
        if request.param("sig") != self._signature(token) or json.loads(token)["channel"] != login:
            return _usher_error(403, "nauth token is invalid")
        if channel is None or channel.behaviour == "offline":
            return _usher_error(404, "transcode does not exist")
        id_, now = secrets.token_urlsafe(12), self._clock.now()
        with self._lock:
            earlier = sum(other.channel.file == channel.file for other in self._sessions.values())
            session = Session(id_, channel, now, self._preroll_s, self._lifetime_s, earlier)
            self._sessions[session.id] = session
        return text_response(playlist.multivariant_playlist(session, self._renditions(session)), _HLS)

    @property
    def viewers(self) -> dict[str, str]:
        """Return the logins that were viewed, by the sessions' ids."""
        with self._lock:
            return {session.id: session.channel.login for session in self._sessions.values()}

    def media(self, request: Request) -> Response | None:
        """Respond to GET /v1/playlist/<session>/<rendition>.m3u8 and /v1/segment/<session>/<rendition>/<file>."""
        match request.path.strip("/").split("/"):
            case ["v1", "playlist", id_, name] if name.endswith(".m3u8"):
                found = self._find(id_, name.removesuffix(".m3u8"))
                return self._playlist(*found) if found else Response(404)
            case ["v1", "segment", id_, name, file]:
                found = self._find(id_, name)
                return self._segment(*found, file) if found else Response(404)
        return None

    def _find(self, session_id: str, name: str) -> tuple[Session, Rendition] | None:
        with self._lock:
            session = self._sessions.get(session_id)
        if session is None:
            return None
        return next(((session, r) for r in self._renditions(session) if r.name == name), None)

    def _renditions(self, session: Session) -> tuple[Rendition, ...]:
        return (self._source,) if session.channel.behaviour == "source_only" else (self._source, *TRANSCODES)

    def _playlist(self, session: Session, rendition: Rendition) -> Response:
        now, behaviour = self._clock.now(), session.channel.behaviour
        if session.has_ended(now) and behaviour in _CLOSED:
            return Response(_CLOSED[behaviour])
        # A playlist starts no transcode: Streamlink fetches the playlists of all renditions and uses one.
        return text_response(playlist.media_playlist(session, rendition, partial(_begins, session.channel), now), _HLS)

    def _segment(self, session: Session, rendition: Rendition, file: str) -> Response:
        channel, (stem, _, suffix) = session.channel, file.partition(".")
        fmp4 = channel.behaviour == "fmp4"
        now = self._clock.now()
        newest, origin = session.edge(now), session.origin(now)
        if file == "init.mp4" and fmp4:
            clip, index = _played(channel, newest - playlist.WINDOW)
            return Response(200, self._media.init(clip, rendition, index), "video/mp4")
        number = int(stem) if stem.isdigit() else -1
        if 0 <= number <= newest - origin:  # numbers after the encoder's restart begin at 0; earlier ones are larger
            number += origin
        if suffix != playlist.suffix(session) or not newest - 2 * playlist.WINDOW <= number <= newest:
            return Response(404)
        if session.is_ad(number):
            return Response(200, self._media.ad(rendition), "video/mp2t")
        if channel.behaviour == "bomb":
            return Response(200, self._media.bomb(), "video/mp2t")
        clip, index = _played(channel, number)
        if channel.behaviour in STILLS:
            body = self._media.still(channel.behaviour, clip, rendition, index)
        else:
            body = self._media.segment(clip, rendition, index, fmp4=fmp4)
            body = body if fmp4 else varied(body, session.number)
        return damaged(channel.behaviour, number, Response(200, body, "video/mp4" if fmp4 else "video/mp2t"))


def _played(channel: Channel, number: int) -> tuple[Path, int]:
    """Return the clip behind a channel's segment, and the index of the clip's segment."""
    clip = channel.file_at(number * SEGMENT_S)
    return clip, number % segment_count(clip)


def _begins(channel: Channel, number: int) -> bool:
    """Return whether a clip starts at this segment of the channel, in a loop or after a switch."""
    clip, index = _played(channel, number)
    return index == 0 or clip != _played(channel, number - 1)[0]


def _usher_error(status: int, message: str) -> Response:
    """Return an error in usher's format: a list with one object."""
    return json_response(
        [{"url": "", "error": message, "error_code": message.replace(" ", "_"), "type": "error"}], status
    )
