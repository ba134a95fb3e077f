"""Raw HTTP: requests byte by byte, as no library would send them."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True)
class RawResponse:
    """What came back. status: 0 if the connection was closed without a response."""

    status: int
    headers: dict[str, str]
    body: bytes


def request(
    method: str = "GET",
    target: str = "/dataset",
    headers: Mapping[str, str | None] | None = None,
    body: bytes = b"",
    host: str = "127.0.0.1",
) -> bytes:
    """Return the bytes of a request, whatever is wrong with its parts. A header of None is left out."""
    length = str(len(body)) if body else None
    given = {"Host": host, "Connection": "close", "Content-Length": length, **(headers or {})}
    lines = [f"{name}: {value}" for name, value in given.items() if value is not None]
    return "\r\n".join([f"{method} {target} HTTP/1.1", *lines, "", ""]).encode("utf-8", "surrogateescape") + body


def connect(url: str, timeout_s: float = 20.0) -> socket.socket:
    """Return a connection to the server."""
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port or 80), timeout=timeout_s)


def exchange(url: str, sent: bytes, timeout_s: float = 20.0, *, whole: bool = True) -> RawResponse:
    """Send bytes and read the response to the connection's end. A reset ends it, too; a timeout raises.

    whole: False reads what comes first only, as of a stream of events.
    """
    with connect(url, timeout_s) as connection:
        with contextlib.suppress(ConnectionError):  # refused before the end; the response may be there
            connection.sendall(sent)
        return read(connection, whole=whole)


def read(connection: socket.socket, *, whole: bool = True) -> RawResponse:
    """Read a response until the server closes the connection."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while (whole or not data) and (part := connection.recv(1 << 16)):
            data += part
    head, _, body = data.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    status = int(first.split()[1]) if first.startswith("HTTP/") else 0
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return RawResponse(status, headers, body)
