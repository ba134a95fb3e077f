"""HTTP server: one socket serves all of Twitch's hosts by the Host header, and records every request."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.standin.api import CLIENT_ID, CLIENT_SECRET, Api
from tests.standin.clock import Clock
from tests.standin.faults import Fault, Faults, RandomFaults, status
from tests.standin.http import Request, Response, json_response
from tests.standin.media import Media, default_cache
from tests.standin.playlist import MEDIA_HOST
from tests.standin.preview import HOST as PREVIEW_HOST
from tests.standin.preview import Previews
from tests.standin.transcode import FAST, Rendition
from tests.standin.video import Video
from tests.standin.vods import HOST as VOD_HOST
from tests.standin.vods import Vods
from tests.standin.world import World

SOURCE = Rendition(1280, 720, 30, 3_400_000)
_MAX_RECORDED = 100_000  # the newest requests: those of a whole day would fill the memory
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")


@dataclass(frozen=True)
class RecordedRequest:
    """A request and its response. `time`: epoch seconds of the stand-in's clock; `bytes`: of the body, as sent."""

    method: str
    host: str
    path: str
    query: dict[str, list[str]]
    status: int
    bytes: int
    time: float


class Standin:
    """A running stand-in for Twitch; a context manager.

    Args:
        world: the channels.
        port: TCP port; 0: any free one.
        cache: folder of transcoded segments; None: see `default_cache`.
        preroll_s: length of the pre-roll ad of channels with that behaviour, seconds, for each viewer.
        lifetime_s: seconds until a viewer's session reaches its channel's scripted ending.
        source: the best rendition, scaled up from the clips.
        preset: x264's preset for all renditions.
        faults: the planned faults.
        random_faults: the faults by chance.
        paging: how Helix pages, one of tests.standin.api.PAGING.
        clock: the time by which streams, ads, previews and rate limits pass; None: the machine's.
        vods: folder of the recordings, as in tests.standin.vods; None: there are none.
        host: loopback address to listen on.
    """

    def __init__(
        self,
        world: World,
        port: int = 0,
        cache: Path | None = None,
        *,
        preroll_s: float = 15.0,
        lifetime_s: float = 4.0,
        source: Rendition = SOURCE,
        preset: str = FAST,
        faults: Sequence[Fault] = (),
        random_faults: RandomFaults | None = None,
        paging: str = "",
        clock: Clock | None = None,
        vods: Path | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.world, self._host = world, host
        self.clock = clock or Clock()
        self.transcoder = Media(cache or default_cache(), preset)
        self.requests: list[RecordedRequest] = []
        self.unknown: list[RecordedRequest] = []
        self.stopped = threading.Event()
        self._faults = Faults(faults, random_faults, self.clock)
        self._lock = threading.Lock()
        self._api = Api(world, self.clock, paging)
        recordings = Vods(vods)
        self._video = video = Video(
            world, self.transcoder, self.clock, source, preroll_s=preroll_s, lifetime_s=lifetime_s
        )
        self._routes: dict[tuple[str, str], Callable[[Request], Response | None]] = {
            ("POST", "id.twitch.tv"): self._api.token,
            ("GET", "api.twitch.tv"): self._api.helix,
            ("POST", "gql.twitch.tv"): lambda request: recordings.gql(request) or video.gql(request),
            ("GET", "usher.ttvnw.net"): lambda request: recordings.usher(request) or video.usher(request),
            ("GET", MEDIA_HOST): lambda request: _byte_range(request, video.media(request)),
            ("GET", VOD_HOST): lambda request: _byte_range(request, recordings.media(request)),
            ("GET", PREVIEW_HOST): Previews(world, self.clock).respond,
        }
        self._server = ThreadingHTTPServer((host, port), _handler(self), bind_and_activate=False)
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
        """Return the value for TWITCH_STANDIN."""
        return f"http://{self._host}:{self._server.server_port}"

    @property
    def environment(self) -> dict[str, str]:
        """Return the environment variables with which the toolkit uses this server as Twitch."""
        return {"TWITCH_STANDIN": self.url, "CLIENT_ID": CLIENT_ID, "CLIENT_SECRET": CLIENT_SECRET}

    def viewings(self) -> dict[str, list[list[float]]]:
        """Return by login the times of each viewer's requests for video; viewers in the order of their first one."""
        times: dict[str, list[float]] = {}
        for request in [*self.requests]:
            if request.host == MEDIA_HOST:
                times.setdefault(request.path.split("/")[3], []).append(request.time)
        by_login: dict[str, list[list[float]]] = {}
        logins = self._video.viewers
        for session, requested in times.items():
            by_login.setdefault(logins[session], []).append(requested)
        return by_login

    def revoke_tokens(self) -> None:
        """Revoke every Helix token."""
        self._api.revoke()

    def fail(self, host: str, code: int, times: int) -> None:
        """Respond to the next `times` requests to `host` with this status and no body."""
        self.add_fault(Fault(str(code), status(code), host, times=times))

    def add_fault(self, fault: Fault) -> None:
        """Add a fault; of two faults that match a request, the one added first applies."""
        self._faults.add(fault)

    @property
    def fault_counts(self) -> Counter[str]:
        """Return how often each fault happened, by name."""
        return self._faults.counts

    @property
    def helix_minutes(self) -> Counter[int]:
        """Return the numbers of requests to api.twitch.tv by minutes since the epoch."""
        return self._api.minutes

    @property
    def over_budget(self) -> int:
        """Return how often Helix responded 429 because its points were used up; 429s of faults do not count."""
        return self._api.over_budget

    def respond(self, request: Request) -> Response:
        """Return the response to a request; a request without a route is recorded in `unknown` and gets a 501."""
        known = self._dispatch(request)
        proper = known or json_response({"message": f"the stand-in does not know {request.host}{request.path}"}, 501)
        response = self._faults.apply(request, proper)
        record = RecordedRequest(
            request.method,
            request.host,
            request.path,
            request.query,
            response.status,
            len(response.sent),
            self.clock.now(),
        )
        with self._lock:
            self.requests.append(record)
            if len(self.requests) > 2 * _MAX_RECORDED:
                del self.requests[:_MAX_RECORDED]
            if known is None:
                self.unknown.append(record)
        return response

    def _dispatch(self, request: Request) -> Response | None:
        route = self._routes.get((request.method, request.host))
        return route(request) if route else None


def _byte_range(request: Request, response: Response | None) -> Response | None:
    """Return the part of a response that the Range header asks for; an empty or failed response stays as it is."""
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
            with contextlib.suppress(ConnectionError):  # a killed client closes no connection
                super().handle()

        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(length)
            if len(body) < length:  # the client was killed while it sent: there is no request to respond to
                self.close_connection = True
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            response = standin.respond(Request(self.command, headers.get("host", ""), self.path, headers, body))
            try:
                _deliver(self, response, standin.stopped)
            except OSError:
                self.close_connection = True  # the client disconnected

        do_POST = do_GET  # noqa: N815 - the name that http.server calls

        def log_message(self, *_: Any) -> None:
            """Print nothing: requests are recorded."""

    return Handler


def _deliver(handler: BaseHTTPRequestHandler, response: Response, stopped: threading.Event) -> None:
    """Send a response as its delivery says; `stopped` ends every pause. Raises OSError when the client disconnected."""
    how = response.delivery
    stopped.wait(how.silence_s)
    if how.reset:
        # Closing with a linger time of 0 resets the connection: socket(7), SO_LINGER.
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
    """Return the status line and the headers."""
    phrase = HTTPStatus(response.status).phrase
    headers = {"Content-Type": response.content_type, "Content-Length": str(len(response.body)), **response.headers}
    lines = [f"HTTP/1.1 {response.status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")
