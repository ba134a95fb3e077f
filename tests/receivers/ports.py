"""Free ports of this machine."""

from __future__ import annotations

import socket


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port of the address that nobody uses now."""
    with socket.socket() as free:
        free.bind((host, 0))
        return int(free.getsockname()[1])
