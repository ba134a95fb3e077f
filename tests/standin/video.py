"""gql.twitch.tv, usher.ttvnw.net and the video servers: playback tokens, playlists, segments."""

from __future__ import annotations

import hashlib
import json
import secrets
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

from tests.standin import playlist
from tests.standin.http import Request, Response, answer, text
from tests.standin.media import TRANSCODES, Media, segment_count
from tests.standin.playlist import Session
from tests.standin.spoiled import spoiled
from tests.standin.transcode import SEGMENT_S, Rendition
from tests.standin.world import STILLS, Channel, World

_HLS = "application/vnd.apple.mpegurl"
_CLOSED = {"gone": 404, "expired": 403}  # what their playlists answer in the end
_OPERATIONS = ("PlaybackAccessToken", "ChannelShell", "StreamMetadata")


class Video:
    """The three hosts; it holds the viewers' sessions."""

    def __init__(self, world: World, media: Media, source: Rendition, preroll_s: float, lives_s: float) -> None:
        self._world = world
        self._media = media
        self._source = source
        self._preroll_s = preroll_s
        self._lives_s = lives_s
        self._lock = threading.Lock()
        self._sessions: dict[str, Session] = {}
        self._key = secrets.token_hex(8)

    def gql(self, request: Request) -> Response | None:
        """POST /gql: persisted queries by name, one or a list of them; None for a name that is not here."""
        if request.path != "/gql":
            return None
        try:
            queries = json.loads(request.body)
        except ValueError:
            return None
        listed = queries if isinstance(queries, list) else [queries]
        if not listed or any(query.get("operationName") not in _OPERATIONS for query in listed):
            return None
        answers = [{"data": self._operation(query["operationName"], query["variables"])} for query in listed]
        return answer(answers if isinstance(queries, list) else answers[0])

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
                "expires": int(time.time()) + 1200,
            }
        )
        return {"value": value, "signature": self._signature(value)}

    def _signature(self, value: str) -> str:
        return hashlib.sha1((self._key + value).encode()).hexdigest()

    def usher(self, request: Request) -> Response | None:
        """GET /api/v2/channel/hls/<login>.m3u8: a session begins; the playlist of its renditions."""
        prefix, _, file = request.path.rpartition("/")
        login, _, suffix = file.rpartition(".")
        if prefix != "/api/v2/channel/hls" or suffix != "m3u8":
            return None
        token, channel = request.one("token"), self._world.channel(login)
        if request.one("sig") != self._signature(token) or json.loads(token)["channel"] != login:
            return _usher_error(403, "nauth token is invalid")
        if channel is None or channel.behaviour == "offline":
            return _usher_error(404, "transcode does not exist")
        session = Session(secrets.token_urlsafe(12), channel, time.time(), self._preroll_s, self._lives_s)
        with self._lock:
            self._sessions[session.id] = session
        return text(playlist.variants(session, self._renditions(session)), _HLS)

    def media(self, request: Request) -> Response | None:
        """GET /v1/playlist/<session>/<rendition>.m3u8 and /v1/segment/<session>/<rendition>/<file>."""
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
        now, behaviour = time.time(), session.channel.behaviour
        if session.is_over(now) and behaviour in _CLOSED:
            return Response(_CLOSED[behaviour])
        # Nothing is transcoded for a playlist: Streamlink fetches those of all renditions, and uses one.
        return text(playlist.media(session, rendition, partial(_begins, session.channel), now), _HLS)

    def _segment(self, session: Session, rendition: Rendition, file: str) -> Response:
        channel, (stem, _, suffix) = session.channel, file.partition(".")
        fmp4 = channel.behaviour == "fmp4"
        now, origin = session.edge(time.time()), session.origin(time.time())
        if file == "init.mp4" and fmp4:
            clip, index = _played(channel, now - playlist.WINDOW)
            return Response(200, self._media.init(clip, rendition, index), "video/mp4")
        number = int(stem) if stem.isdigit() else -1
        if 0 <= number <= now - origin:  # after the encoder began again; before it, numbers were larger
            number += origin
        if suffix != playlist.suffix(session) or not now - 2 * playlist.WINDOW <= number <= now:
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
        return spoiled(channel.behaviour, number, Response(200, body, "video/mp4" if fmp4 else "video/mp2t"))


def _played(channel: Channel, number: int) -> tuple[Path, int]:
    """The clip that the channel's segment is taken from, and which one of its segments that is."""
    clip = channel.file_at(number * SEGMENT_S)
    return clip, number % segment_count(clip)


def _begins(channel: Channel, number: int) -> bool:
    """Whether a clip begins with the channel's segment, again or another one."""
    clip, index = _played(channel, number)
    return index == 0 or clip != _played(channel, number - 1)[0]


def _usher_error(status: int, message: str) -> Response:
    """As usher says it: a list with one object."""
    return answer([{"url": "", "error": message, "error_code": message.replace(" ", "_"), "type": "error"}], status)
