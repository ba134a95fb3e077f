"""TCP relay: makes a server that listens on a Unix socket or at another address reachable at one address more."""

from __future__ import annotations

import socket
import socketserver
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from data.threads import start_thread


@contextmanager
def relay(host: str, target: str | tuple[str, int]) -> Iterator[int]:
    """Forward connections at a free TCP port of `host` to `target`: a Unix socket's path, or host and port.

    The embedded PostgreSQL listens only on a Unix socket: its nodes reach it through a relay.
    """

    def handle(client: socket.socket, *_: object) -> None:
        with suppress(OSError), socket.socket(socket.AF_UNIX if isinstance(target, str) else socket.AF_INET) as server:
            server.connect(target)
            back = start_thread(lambda: _forward(server, client), "relay")
            _forward(client, server)
            back.result()

    with socketserver.ThreadingTCPServer((host, 0), handle) as server:  # type: ignore[arg-type]
        server.daemon_threads = True
        server.socket.listen()  # more than the five that may wait by default
        start_thread(server.serve_forever, "relay")
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()


def _forward(source: socket.socket, target: socket.socket) -> None:
    """Send `target` what `source` receives; shut both down when either has ended."""
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
