"""TCP relay: makes a server that listens on a Unix socket or at another address reachable at one address more."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def relay(host: str, target: str | tuple[str, int]) -> Iterator[int]:
    """Forward connections at a free TCP port of `host` to `target`: a Unix socket's path, or host and port.

    The embedded PostgreSQL listens only on a Unix socket: its nodes reach it through a relay.
    """
    with socket.create_server((host, 0)) as listener:
        threading.Thread(target=_accept, args=(listener, target), name="relay", daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, target: str | tuple[str, int]) -> None:
    with suppress(OSError):  # the listener is closed
        while True:
            client, _ = listener.accept()
            server = socket.socket(socket.AF_UNIX if isinstance(target, str) else socket.AF_INET)
            try:
                server.connect(target)
            except OSError:  # the server is down, so the client sees a closed connection
                client.close()
                server.close()
                continue
            for ends in ((client, server), (server, client)):
                threading.Thread(target=_forward, args=ends, name="relay", daemon=True).start()


def _forward(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
