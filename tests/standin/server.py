"""The server: one socket for all of Twitch's hosts, told apart by the Host header; it notes every request."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.standin.api import CLIENT_ID, CLIENT_SECRET, Api
from tests.standin.http import Request, Response, answer
from tests.standin.media import Media, default_cache
from tests.standin.playlist import MEDIA_HOST
from tests.standin.transcode import FAST, Rendition
from tests.standin.video import Video
from tests.standin.world import World

SOURCE = Rendition(1280, 720, 30, 3_400_000)
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass(frozen=True)
class Recorded:
    """A request that was answered. `time`: epoch seconds; `bytes`: of the answer's body."""

    method: str
    host: str
    path: str
    query: dict[str, list[str]]
    status: int
    bytes: int
    time: float


class Standin:
    """A running Twitch; a context manager.

    `preroll_s`: length of the ad that channels of that behaviour show each viewer first, seconds.
    `source`: the best rendition, scaled up from the clips. `preset`: x264's, for all renditions.
    """

    def __init__(
        self,
        world: World,
        port: int = 0,
        cache: Path | None = None,
        *,
        preroll_s: float = 15.0,
        source: Rendition = SOURCE,
        preset: str = FAST,
    ) -> None:
        self.world = world
        self.transcoder = Media(cache or default_cache(), preset)
        self.requests: list[Recorded] = []
        self.unknown: list[Recorded] = []
        self._failures: list[tuple[str, int]] = []
        self._lock = threading.Lock()
        self._api = Api(world)
        self._video = Video(world, self.transcoder, source, preroll_s)
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self), bind_and_activate=False)
        self._server.daemon_threads = True
        self._server.request_queue_size = 128
        self._server.allow_reuse_address = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="standin", daemon=True)

    def __enter__(self) -> Standin:
        self._server.server_bind()
        self._server.server_activate()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self.transcoder.close()

    @property
    def url(self) -> str:
        """What TWITCH_STANDIN is set to."""
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def environment(self) -> dict[str, str]:
        """The settings with which the toolkit takes this for Twitch."""
        return {"TWITCH_STANDIN": self.url, "CLIENT_ID": CLIENT_ID, "CLIENT_SECRET": CLIENT_SECRET}

    def revoke_tokens(self) -> None:
        """Make every Helix token bad."""
        self._api.revoke()

    def fail(self, host: str, status: int, times: int) -> None:
        """Answer the next `times` requests to `host` with this status alone."""
        with self._lock:
            self._failures += [(host, status)] * times

    def respond(self, request: Request) -> Response:
        """The answer to a request; what no part of the stand-in knows is noted in `unknown`, and answered 501."""
        with self._lock:
            failure = next((f for f in self._failures if f[0] == request.host), None)
            if failure:
                self._failures.remove(failure)
        known = Response(failure[1]) if failure else self._dispatch(request)
        response = known or answer({"message": f"the stand-in does not know {request.host}{request.path}"}, 501)
        note = Recorded(
            request.method,
            request.host,
            request.path,
            request.query,
            response.status,
            len(response.body),
            time.time(),
        )
        with self._lock:
            self.requests.append(note)
            if known is None:
                self.unknown.append(note)
        return response

    def _dispatch(self, request: Request) -> Response | None:
        if request.host == "id.twitch.tv" and (request.method, request.path) == ("POST", "/oauth2/token"):
            return self._api.token(request)
        if request.host == "api.twitch.tv":
            return self._api.helix(request)
        if request.host == "gql.twitch.tv" and (request.method, request.path) == ("POST", "/gql"):
            return self._video.gql(request)
        if request.method == "GET" and request.host == "usher.ttvnw.net":
            return self._video.usher(request)
        if request.method == "GET" and request.host == MEDIA_HOST:
            return _part(request, self._video.media(request))
        return None


def _part(request: Request, response: Response | None) -> Response | None:
    """The bytes that a Range header asks for, as a video server gives them."""
    wanted = _RANGE.fullmatch(request.headers.get("range", ""))
    if not wanted or response is None or response.status != 200:
        return response
    size = len(response.body)
    first, last = int(wanted[1]), min(int(wanted[2] or size - 1), size - 1)
    if first >= size:
        return Response(416, headers={"Content-Range": f"bytes */{size}"})
    headers = {"Content-Range": f"bytes {first}-{last}/{size}"}
    return Response(206, response.body[first : last + 1], response.content_type, headers)


def _handler(standin: Standin) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle(self) -> None:
            with contextlib.suppress(ConnectionError):  # a viewer that is killed says no goodbye
                super().handle()

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            response = standin.respond(Request(self.command, headers.get("host", ""), self.path, headers, body))
            try:
                self._send(response)
            except OSError:
                self.close_connection = True  # the viewer left

        do_POST = do_GET  # noqa: N815 - the name that http.server calls

        def _send(self, response: Response) -> None:
            self.send_response(response.status)
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Type", response.content_type)
            self.send_header("Content-Length", str(len(response.body)))
            self.end_headers()
            self.wfile.write(response.body)

        def log_message(self, *_: Any) -> None:
            """Requests are noted, not printed."""

    return Handler
