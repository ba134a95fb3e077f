"""Clients for the stand-in's tests: Streamlink with its own Twitch plugin, and a session for Helix."""

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

from data.http.session import configure_session, new_session
from tests.standin import Standin

HELIX = "https://api.twitch.tv/helix"
_TIMEOUT_S = 20  # the first segment of a clip is transcoded on demand


@contextmanager
def streamlink_session(standin: Standin) -> Iterator[Streamlink]:
    """Yield a Streamlink session whose requests go to the stand-in."""
    session = Streamlink({"webbrowser": False})
    configure_session(session.http, _TIMEOUT_S, standin.url)
    yield session
    session.http.close()


def channel_streams(streamlink: Streamlink, login: str) -> dict[str, Any]:
    """Return the streams that Streamlink's Twitch plugin finds, by rendition; {} for none."""
    return streamlink.streams(f"https://www.twitch.tv/{login}")


def playlist_of(streamlink: Streamlink, stream: Any) -> Any:
    """Return the current media playlist, parsed by the plugin's own parser."""
    text = streamlink.http.get(stream.url).text
    return parse_m3u8(text, base_uri=stream.url, parser=type(stream).__parser__)


def listed_segments(playlist: Any) -> list[Any]:
    """Return the playlist's segments without the one to prefetch."""
    return [segment for segment in playlist.segments if not segment.prefetch]


def window_of(streamlink: Streamlink, stream: Any) -> list[Any]:
    """Return the segments in the current playlist."""
    return listed_segments(playlist_of(streamlink, stream))


def frames_of(data: bytes) -> list[av.VideoFrame]:
    """Return all frames of a segment. Raises av.FFmpegError, or IndexError where there is no video."""
    with av.open(io.BytesIO(data)) as container:
        return list(container.decode(video=0))


def first_image(streamlink: Streamlink, segment: Any) -> np.ndarray:
    """Return the first frame of a segment, uint8 RGB (height, width, 3)."""
    return frames_of(streamlink.http.get(segment.uri).content)[0].to_ndarray(format="rgb24")


def request_token(standin: Standin, session: requests.Session, **form: str) -> requests.Response:
    """Request a token with the stand-in's credentials; `form` replaces fields."""
    env = standin.environment
    credentials = {"client_id": env["CLIENT_ID"], "client_secret": env["CLIENT_SECRET"]}
    data = {**credentials, "grant_type": "client_credentials", **form}
    return session.post("https://id.twitch.tv/oauth2/token", data=data)


def helix_session(standin: Standin) -> requests.Session:
    """Return a session with Helix's headers and a new token; the caller closes it."""
    session = new_session(_TIMEOUT_S, standin.url)
    bearer = request_token(standin, session).json()["access_token"]
    session.headers.update({"Authorization": f"Bearer {bearer}", "Client-Id": standin.environment["CLIENT_ID"]})
    return session
