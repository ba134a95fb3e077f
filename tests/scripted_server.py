"""Scripted HTTP server: sends the responses of a test in order, for failures that the stand-in does not have."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

_Server = TypeVar("_Server", bound="LoopbackServer")


@dataclass
class Reply:
    """One response. A `body` that is not bytes is sent as JSON."""

    status: int = 200
    body: Any = b""
    headers: dict[str, str] = field(default_factory=dict)
    promised: int | None = None  # Content-Length, if it differs from the body's: a truncated response
    byte_pause_s: float = 0.0  # pause after each byte, seconds: a trickle
    silence_s: float = 0.0  # pause before the response, seconds


class LoopbackServer:
    """An HTTP server on the loopback address, at a free port unless one is given, with a thread for each connection."""

    def __init__(self, handler: type[BaseHTTPRequestHandler], port: int = 0) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self: _Server) -> _Server:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class ScriptedServer(LoopbackServer):
    """Sends its replies in order, whatever the requests. Further requests get status 599. All are recorded."""

    def __init__(self, replies: Iterable[Reply]) -> None:
        self._replies = deque(replies)
        self.requests: list[tuple[str, str, dict[str, list[str]], dict[str, str]]] = []
        self.bodies: list[bytes] = []  # of the requests, in their order
        script = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # headers and body are two writes, which Nagle's algorithm delays by 40 ms

            def do_GET(self) -> None:
                script.bodies.append(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
                parts = urlsplit(self.path)
                host = self.headers.get("Host", "")
                script.requests.append((host, parts.path, parse_qs(parts.query), dict(self.headers)))
                script._send(self, script._replies.popleft() if script._replies else Reply(599))

            do_POST = do_GET  # noqa: N815 - http.server calls this name

            def log_message(self, *_: object) -> None:
                pass

        super().__init__(Handler)

    @property
    def left(self) -> int:
        """Number of replies that were not requested."""
        return len(self._replies)

    @staticmethod
    def _send(handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        time.sleep(reply.silence_s)
        try:
            handler.send_response(reply.status)
            for name, value in reply.headers.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(body) if reply.promised is None else reply.promised))
            handler.end_headers()
            step = 1 if reply.byte_pause_s else len(body)
            for start in range(0, len(body), step or 1):
                handler.wfile.write(body[start : start + step])
                time.sleep(reply.byte_pause_s)
        except OSError:
            pass  # the client closed the connection, as it should
        if reply.promised is not None:
            handler.close_connection = True
