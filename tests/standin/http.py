"""What travels between the stand-in's server and its parts."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Request:
    """One request, by the host it was meant for. Header names are in lower case."""

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

    def one(self, name: str, default: str = "") -> str:
        """The last value of a query parameter."""
        return self.query.get(name, [default])[-1]


@dataclass(frozen=True)
class Delivery:
    """How an answer travels. Whatever is sent of the body, all of it is promised.

    `silence_s`: before anything is sent. `byte_pause_s`: after each byte, those of the head included. `share`: of the
    body is sent, then the connection ends. `reset`: nothing is sent, and the connection is reset.
    """

    silence_s: float = 0.0
    byte_pause_s: float = 0.0
    share: float = 1.0
    reset: bool = False


@dataclass(frozen=True)
class Response:
    """One answer."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    delivery: Delivery = Delivery()

    def delivered(self, **how: Any) -> Response:
        """The same answer, travelling so: the fields of Delivery."""
        return replace(self, delivery=replace(self.delivery, **how))

    @property
    def sent(self) -> bytes:
        """What is sent of the body."""
        return b"" if self.delivery.reset else self.body[: int(len(self.body) * self.delivery.share)]


def answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer."""
    return Response(status, json.dumps(value).encode(), headers=headers or {})


def text(value: str, content_type: str) -> Response:
    """An answer in text."""
    return Response(200, value.encode(), content_type)
