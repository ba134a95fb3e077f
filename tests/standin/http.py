"""Request and response types between the HTTP server and the hosts behind it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Request:
    """A request with the host from its Host header; header names in lower case."""

    method: str
    host: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, list[str]]:
        return parse_qs(urlsplit(self.target).query, keep_blank_values=True)

    def param(self, name: str, default: str = "") -> str:
        """Return the last value of a query parameter."""
        return self.query.get(name, [default])[-1]


@dataclass(frozen=True)
class Delivery:
    """How a response is sent; Content-Length is always that of the whole body.

    Args:
        silence_s: pause before the first byte, seconds.
        byte_pause_s: pause after each byte, head included, seconds.
        fraction: part of the body that is sent before the connection is closed, 0 to 1.
        reset: send nothing and reset the connection.
    """

    silence_s: float = 0.0
    byte_pause_s: float = 0.0
    fraction: float = 1.0
    reset: bool = False


@dataclass(frozen=True)
class Response:
    """A response and the way in which it is sent."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    delivery: Delivery = Delivery()

    def delivered(self, **how: Any) -> Response:
        """Return a copy with these fields of its delivery."""
        return replace(self, delivery=replace(self.delivery, **how))

    @property
    def sent(self) -> bytes:
        """Return the part of the body that is sent."""
        return b"" if self.delivery.reset else self.body[: int(len(self.body) * self.delivery.fraction)]


def json_response(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a response with a JSON body."""
    return Response(status, json.dumps(value).encode(), headers=headers or {})


def text_response(value: str, content_type: str) -> Response:
    """Return a 200 response with a text body."""
    return Response(200, value.encode(), content_type)
