"""The server: one socket for all of Twitch's hosts, told apart by the Host header; it notes every request."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.standin.api import CLIENT_ID, CLIENT_SECRET, Api
from tests.standin.faults import Fault, Faults, Weather, status
from tests.standin.http import Request, Response, answer
from tests.standin.media import Media, default_cache
from tests.standin.playlist import MEDIA_HOST
from tests.standin.preview import HOST as PREVIEW_HOST
from tests.standin.preview import Previews
from tests.standin.transcode import FAST, Rendition
from tests.standin.video import Video
from tests.standin.world import World

SOURCE = Rendition(1280, 720, 30, 3_400_000)
_NOTED = 100_000  # of the requests, the newest: a run of a day would fill the memory
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass(frozen=True)
class Recorded:
    """A request that was answered. `time`: epoch seconds; `bytes`: of the answer's body, as far as it is sent."""

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
    `lives_s`: after so many seconds of a viewer's session happens what channels that end, fall silent … do.
    `source`: the best rendition, scaled up from the clips. `preset`: x264's, for all renditions.
    `faults`, `weather`: what goes wrong, planned and by chance.
    `paging`: how Helix pages, one of tests.standin.api.PAGING.
    """

    def __init__(
        self,
        world: World,
        port: int = 0,
        cache: Path | None = None,
        *,
        preroll_s: float = 15.0,
        lives_s: float = 4.0,
        source: Rendition = SOURCE,
        preset: str = FAST,
        faults: Sequence[Fault] = (),
        weather: Weather | None = None,
        paging: str = "",
    ) -> None:
        self.world = world
        self.transcoder = Media(cache or default_cache(), preset)
        self.requests: list[Recorded] = []
        self.unknown: list[Recorded] = []
        self.stopped = threading.Event()
        self._faults = Faults(faults, weather)
        self._lock = threading.Lock()
        self._api = Api(world, paging)
        video = Video(world, self.transcoder, source, preroll_s, lives_s)
        self._parts: dict[tuple[str, str], Callable[[Request], Response | None]] = {
            ("POST", "id.twitch.tv"): self._api.token,
            ("GET", "api.twitch.tv"): self._api.helix,
            ("POST", "gql.twitch.tv"): video.gql,
            ("GET", "usher.ttvnw.net"): video.usher,
            ("GET", MEDIA_HOST): lambda request: _part(request, video.media(request)),
            ("GET", PREVIEW_HOST): Previews(world).answer,
        }
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
        self.stopped.set()
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

    def fail(self, host: str, code: int, times: int) -> None:
        """Answer the next `times` requests to `host` with this status alone."""
        self.add_fault(Fault(str(code), status(code), host, times=times))

    def add_fault(self, fault: Fault) -> None:
        """From now on this goes wrong, too; of two faults that hit a request, the older one happens."""
        self._faults.add(fault)

    @property
    def faults_met(self) -> Counter[str]:
        """How often each fault happened, by its name."""
        return self._faults.met

    @property
    def helix_minutes(self) -> Counter[int]:
        """Requests to api.twitch.tv, by minutes since the epoch."""
        return self._api.minutes

    @property
    def over_budget(self) -> int:
        """How often Helix answered 429 because its points were used up; those that a fault made up do not count."""
        return self._api.over_budget

    def respond(self, request: Request) -> Response:
        """The answer to a request; what no part of the stand-in knows is noted in `unknown`, and answered 501."""
        known = self._dispatch(request)
        proper = known or answer({"message": f"the stand-in does not know {request.host}{request.path}"}, 501)
        response = self._faults.harmed(request, proper)
        note = Recorded(
            request.method,
            request.host,
            request.path,
            request.query,
            response.status,
            len(response.sent),
            time.time(),
        )
        with self._lock:
            self.requests.append(note)
            if len(self.requests) > 2 * _NOTED:
                del self.requests[:_NOTED]
            if known is None:
                self.unknown.append(note)
        return response

    def _dispatch(self, request: Request) -> Response | None:
        part = self._parts.get((request.method, request.host))
        return part(request) if part else None


def _part(request: Request, response: Response | None) -> Response | None:
    """The bytes that a Range header asks for, as a video server gives them; an empty file as it is."""
    wanted = _RANGE.fullmatch(request.headers.get("range", ""))
    if not wanted or response is None or response.status != 200 or not response.body:
        return response
    size = len(response.body)
    first, last = int(wanted[1]), min(int(wanted[2] or size - 1), size - 1)
    if first >= size:
        return Response(416, headers={"Content-Range": f"bytes */{size}"})
    headers = {"Content-Range": f"bytes {first}-{last}/{size}"}
    return replace(response, status=206, body=response.body[first : last + 1], headers=headers)


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
                _deliver(self, response, standin.stopped)
            except OSError:
                self.close_connection = True  # the viewer left

        do_POST = do_GET  # noqa: N815 - the name that http.server calls

        def log_message(self, *_: Any) -> None:
            """Requests are noted, not printed."""

    return Handler


def _deliver(handler: BaseHTTPRequestHandler, response: Response, stopped: threading.Event) -> None:
    """Send it the way its delivery says; a stand-in that stops ends every pause. Raises OSError: the viewer left."""
    how = response.delivery
    stopped.wait(how.silence_s)
    if how.reset:
        # To close with a linger of no time is to reset: socket(7), SO_LINGER.
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        socket.close(handler.connection.detach())
        handler.close_connection = True
        return
    data = _head(response) + response.sent
    step = 1 if how.byte_pause_s else len(data)
    for start in range(0, len(data), step):
        handler.wfile.write(data[start : start + step])
        if stopped.wait(how.byte_pause_s):
            break
    handler.close_connection = handler.close_connection or len(response.sent) < len(response.body)


def _head(response: Response) -> bytes:
    """Status line and headers."""
    phrase = HTTPStatus(response.status).phrase
    headers = {"Content-Type": response.content_type, "Content-Length": str(len(response.body)), **response.headers}
    lines = [f"HTTP/1.1 {response.status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")
