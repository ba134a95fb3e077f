"""Clients of the stand-in: Streamlink's own plugin, a session for Helix, and what they make of the answers."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import av
import numpy as np
import requests
from streamlink import Streamlink
from streamlink.stream.hls import parse_m3u8

from data.http import session as web
from tests.standin import Standin

HELIX = "https://api.twitch.tv/helix"
_TIMEOUT_S = 20  # a first segment is transcoded while its viewer waits


@contextmanager
def viewer(standin: Standin) -> Iterator[Streamlink]:
    """Streamlink as it comes, its requests led to the stand-in."""
    session = Streamlink({"webbrowser": False})
    web.equip(session.http, _TIMEOUT_S, standin.url)
    yield session
    session.http.close()


def channel_streams(streamlink: Streamlink, login: str) -> dict[str, Any]:
    """What Streamlink's Twitch plugin makes of a channel: streams by rendition, {} for none."""
    return streamlink.streams(f"https://www.twitch.tv/{login}")


def playlist_of(streamlink: Streamlink, stream: Any) -> Any:
    """The media playlist now, read by the plugin's own parser."""
    text = streamlink.http.get(stream.url).text
    return parse_m3u8(text, base_uri=stream.url, parser=type(stream).__parser__)


def listed(playlist: Any) -> list[Any]:
    """The playlist's segments, without the one to prefetch."""
    return [segment for segment in playlist.segments if not segment.prefetch]


def window_of(streamlink: Streamlink, stream: Any) -> list[Any]:
    """The segments listed now."""
    return listed(playlist_of(streamlink, stream))


def frames_of(data: bytes) -> list[av.VideoFrame]:
    """All frames of a segment. Raises av.FFmpegError, or IndexError where there is no video."""
    with av.open(io.BytesIO(data)) as container:
        return list(container.decode(video=0))


def picture(streamlink: Streamlink, segment: Any) -> np.ndarray:
    """The first frame of a segment, uint8 RGB (height, width, 3)."""
    return frames_of(streamlink.http.get(segment.uri).content)[0].to_ndarray(format="rgb24")


def ask_token(standin: Standin, session: requests.Session, **form: str) -> requests.Response:
    """Ask for a token with the stand-in's credentials, but for what `form` says."""
    env = standin.environment
    credentials = {"client_id": env["CLIENT_ID"], "client_secret": env["CLIENT_SECRET"]}
    data = {**credentials, "grant_type": "client_credentials", **form}
    return session.post("https://id.twitch.tv/oauth2/token", data=data)


def helix_session(standin: Standin) -> requests.Session:
    """A session with the headers that Helix asks for; the caller closes it."""
    session = web.new_session(_TIMEOUT_S, standin.url)
    bearer = ask_token(standin, session).json()["access_token"]
    session.headers.update({"Authorization": f"Bearer {bearer}", "Client-Id": standin.environment["CLIENT_ID"]})
    return session
