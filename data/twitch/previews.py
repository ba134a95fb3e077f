"""Previews: the small picture of a live channel that Twitch makes anew every five minutes, for its own lists.

One request, without a token or a playlist; the address is the `thumbnail_url` of
https://dev.twitch.tv/docs/api/reference#get-streams.
"""

from __future__ import annotations

from http.cookiejar import DefaultCookiePolicy

import requests

from data.entities import Frame
from data.errors import StreamOffline, StreamUnavailable
from data.http.session import new_session, read_body
from data.video.images import decode_resized, encode_jpeg

PREVIEW_URL = "https://static-cdn.jtvnw.net/previews-ttv/live_user_{login}-{width}x{height}.jpg"

_SIZES = ((320, 180), (440, 248), (640, 360), (1280, 720), (1920, 1080))  # those of Twitch's own pages: others are made
_LIMIT_BYTES = 4 << 20  # 440x248 pixels take 20 to 40 kB


class PreviewClient:
    """Fetches them, as frames like those of a stream. Several threads may use one at once; `close` ends it."""

    def __init__(
        self,
        *,
        img_size: int,
        jpeg_quality: int,
        timeout_s: float = 10.0,
        deadline_s: float = 30.0,
        standin: str = "",
        pool_size: int = 16,
    ) -> None:
        """Take the settings of the same names; no request is made yet. `pool_size`: connections kept open."""
        self._img_size = img_size
        self._jpeg_quality = jpeg_quality
        self._deadline_s = deadline_s
        self._size = next((size for size in _SIZES if size[1] >= img_size), _SIZES[-1])
        self._session = new_session(timeout_s, standin, deadline_s=deadline_s, pool_size=pool_size)
        # Threads share the session: a cookie that one stores changes what another reads just then. None is needed.
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def close(self) -> None:
        """Close the connections; safe to call twice."""
        self._session.close()

    def __enter__(self) -> PreviewClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fetch(self, login: str) -> Frame:
        """What the channel showed at some time in the last five minutes.

        Raises StreamOffline: there is none, as for a stream that is over or has just begun. StreamUnavailable: the
        server failed. UndecodableVideo: it sent something else.
        """
        width, height = self._size
        url = PREVIEW_URL.format(login=login, width=width, height=height)
        try:
            # Followed, the answer for a channel that is not live leads to a picture that says so, and a 200.
            response = self._session.get(url, stream=True, allow_redirects=False)
            body = read_body(response, self._deadline_s, _LIMIT_BYTES)
        except requests.RequestException as error:
            raise StreamUnavailable(f"{login}: the preview does not come: {type(error).__name__}") from error
        if response.is_redirect or response.status_code == 404:
            raise StreamOffline(f"{login} has no preview")
        if response.status_code != 200:
            raise StreamUnavailable(f"{login}: the preview's server answers {response.status_code}")
        return Frame(1, encode_jpeg(decode_resized(body, self._img_size), self._jpeg_quality))
