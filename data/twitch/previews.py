"""Preview client: the image of a live channel that Twitch renders every five minutes.

One request gets it, without a token or a playlist. The address is the `thumbnail_url` of
https://dev.twitch.tv/docs/api/reference#get-streams.
"""

from __future__ import annotations

import requests

from data.entities import Frame
from data.errors import StreamOffline, StreamUnavailable
from data.http.session import new_session, read_body
from data.video.images import decode_resized, encode_jpeg

PREVIEW_URL = "https://static-cdn.jtvnw.net/previews-ttv/live_user_{login}-{width}x{height}.jpg"

# The sizes that Twitch's own pages use; another size is rendered on request.
_SIZES = ((320, 180), (440, 248), (640, 360), (1280, 720), (1920, 1080))
_LIMIT_BYTES = 4 << 20  # a preview of 440x248 pixels has 20 to 40 kB


class PreviewClient:
    """Fetches previews as frames. Several threads may share a client; `close` ends it.

    Args:
        img_size: width and height of a frame, pixels; the aspect ratio is not kept.
        jpeg_quality: 1 to 100.
        timeout_s, deadline_s, standin, pool_size: those of `data.http.session.configure_session`.
    """

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
        self._img_size, self._jpeg_quality, self._deadline_s = img_size, jpeg_quality, deadline_s
        self._size = next((size for size in _SIZES if size[1] >= img_size), _SIZES[-1])
        self._session = new_session(timeout_s, standin, deadline_s=deadline_s, pool_size=pool_size)

    def close(self) -> None:
        """Close the connections. Calling it again does nothing."""
        self._session.close()

    def __enter__(self) -> PreviewClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def fetch(self, login: str) -> Frame:
        """Return the preview of a channel, which is up to five minutes old.

        Raises StreamOffline if there is none (the stream has ended or just begun), StreamUnavailable, UndecodableVideo.
        """
        width, height = self._size
        url = PREVIEW_URL.format(login=login, width=width, height=height)
        try:
            # Do not follow redirects: for an offline channel they lead to a placeholder with status 200.
            response = self._session.get(url, stream=True, allow_redirects=False)
            body = read_body(response, self._deadline_s, _LIMIT_BYTES)
        except requests.RequestException as error:
            raise StreamUnavailable(f"{login}: the preview cannot be fetched: {type(error).__name__}") from error
        if response.is_redirect or response.status_code == 404:
            raise StreamOffline(f"{login} has no preview")
        if response.status_code != 200:
            raise StreamUnavailable(f"{login}: the preview server returned HTTP {response.status_code}")
        return Frame(1, encode_jpeg(decode_resized(body, self._img_size), self._jpeg_quality))
