"""HTTP server for fuzzing: one handler function decides each response, status line and headers included."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler

from tests.scripted_server import LoopbackServer

Respond = Callable[[str], bytes]  # from the request's path to the whole response, status line included


def response(body: bytes, status: int = 200, headers: Mapping[str, str | bytes] | None = None) -> bytes:
    """Return a whole HTTP response. A header of the same name replaces the true Content-Length."""
    fields: dict[str, str | bytes] = {"Content-Length": str(len(body)), **(headers or {})}
    raw = b"".join(
        name.encode()
        + b": "
        + (value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass"))
        + b"\r\n"
        for name, value in fields.items()
    )
    return f"HTTP/1.1 {status} X\r\n".encode() + raw + b"Connection: close\r\n\r\n" + body


class FuzzServer(LoopbackServer):
    """Sends what `respond` returns, and closes the connection. A test may replace `respond` at any time."""

    def __init__(self) -> None:
        self.respond: Respond = lambda _: response(b"", 404)
        server = self

        class Handler(BaseHTTPRequestHandler):
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with contextlib.suppress(OSError):  # the client stopped to read
                    self.wfile.write(server.respond(self.path))

            do_POST = do_GET  # noqa: N815 - the name that http.server calls

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        super().__init__(Handler)
