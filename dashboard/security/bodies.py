"""Bodies of requests: received within limits of size and time, and JSON checked before anything parses it."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from dashboard.security.requests import Asked, Refusal

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

UPLOAD = "/api/v1/recognitions/upload"
MAX_BYTES = 1 << 20
_MAX_BYTES_OF = {
    UPLOAD: 64 << 20,
    "/api/v1/dataset/changes": 4 << 20,  # paths of 50,000 frames
    "/api/v1/session": 8 << 10,  # a token; anybody may send it
}
_MAX_DEPTH, _MAX_LISTS = 32, 1000
_CHUNK_S = 10.0  # between two parts of a body
_MIN_BYTES_PER_S = 16 << 10  # on average, after _CHUNK_S
_DRAIN_BYTES, _DRAIN_S = 4 << 20, 2.0  # of a refused body: a client that still sends would not read the response
# The end is optional: the search for the end of a string without one would begin again at each of its quotes.
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_NUL = rb"\u0000"  # PostgreSQL cannot store it
_HALVES = (rb"\ud", rb"\uD")  # of characters: UTF-8 has none; in pairs they are fine


class BodyRefused(Exception):
    """The body exceeds a limit. `refusal`: the response."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.detail)
        self.refusal = refusal


def check_headers(asked: Asked) -> Refusal | None:
    """Return why the body is refused before any of it is read; None: it is not."""
    if asked.content_encoding.lower() not in ("", "identity"):  # a small body may decompress to an endless one
        return Refusal(415, "Send the body without Content-Encoding")
    if asked.content_length and asked.transfer_encoding:  # a proxy may have taken the other one (RFC 9112, 6.1)
        return Refusal(400, "Send Content-Length or Transfer-Encoding", ((b"connection", b"close"),))
    if asked.content_length.isdecimal() and int(asked.content_length[:20]) > limit_bytes(asked):
        return _too_large(asked)
    if not has_body(asked):
        return None
    kind = asked.content_type.partition(";")[0].strip().lower()
    # Never one of the three types that a form of another site can send.
    if asked.path == UPLOAD:
        is_media = kind == "application/octet-stream" or kind.startswith(("image/", "video/"))
        return None if is_media else Refusal(415, "Send the file as application/octet-stream, image/… or video/…")
    return None if kind == "application/json" else Refusal(415, "Send the body as application/json")


def has_body(asked: Asked) -> bool:
    """Return whether a body follows the headers."""
    return asked.content_length not in ("", "0") or bool(asked.transfer_encoding)


def limit_bytes(asked: Asked) -> int:
    """Return the largest size of this request's body."""
    return _MAX_BYTES_OF.get(asked.path, MAX_BYTES)


class BoundedBody:
    """The `receive` of a request, which raises BodyRefused: too large a body, or too slow a client."""

    def __init__(self, asked: Asked, receive: Receive) -> None:
        self.gone = False  # the client left
        self.complete = not has_body(asked)
        self._asked, self._receive = asked, receive
        self._size, self._start = 0, time.monotonic()

    async def __call__(self) -> Message:
        """Return the next message."""
        if self.complete:  # only the client's leaving is still to come, and no limit holds for that
            message = await self._receive()
        else:
            message = await self._next(self._wait_s())
        self.gone = message["type"] == "http.disconnect"
        self._size += len(message.get("body", b""))
        self.complete = self.complete or not message.get("more_body", False)
        if self._size > limit_bytes(self._asked):
            raise BodyRefused(_too_large(self._asked))
        return message

    async def whole(self) -> Receive:
        """Read a body of JSON; return a `receive` that repeats it. Raises BodyRefused."""
        parts = []
        while not self.complete and not self.gone:
            parts.append((await self()).get("body", b""))
        body = b"".join(parts)
        if refusal := check_json(body):
            raise BodyRefused(refusal)
        messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            return messages.pop() if messages else await self()

        return receive

    async def drain(self) -> None:
        """Skip the rest of a small body, so that the client reads the response; give up on a large or slow one."""
        end, size = time.monotonic() + _DRAIN_S, 0
        while not (self.complete or self.gone) and size < _DRAIN_BYTES and (left_s := end - time.monotonic()) > 0:
            try:
                message = await self._next(left_s)
            except BodyRefused:
                return
            size += len(message.get("body", b""))
            self.complete = not message.get("more_body", False)

    def _wait_s(self) -> float:
        elapsed = time.monotonic() - self._start
        return min(_CHUNK_S, _CHUNK_S + self._size / _MIN_BYTES_PER_S - elapsed)

    async def _next(self, wait_s: float) -> Message:
        try:
            return await asyncio.wait_for(self._receive(), wait_s)
        except asyncio.TimeoutError:
            raise BodyRefused(Refusal(408, "The body arrives too slowly")) from None


def check_json(body: bytes) -> Refusal | None:
    """Return why a body of JSON is refused: it is nested too deeply, or holds what is no text; None: it is not."""
    if b"\0" in body:  # UTF-16 and UTF-32, which parsers take as well, and the rules below do not see through
        return Refusal(400, "The JSON must be UTF-8")
    if not _is_flat(body):
        return Refusal(400, f"The JSON has more than {_MAX_DEPTH} levels or {_MAX_LISTS} lists and objects")
    if _NUL in body or (any(half in body for half in _HALVES) and not _is_text(body)):
        return Refusal(400, "The JSON holds a NUL or half a character")
    return None


def _is_flat(body: bytes) -> bool:
    """Return whether brackets outside of strings are few, and nested in few levels."""
    if body.count(b"[") + body.count(b"{") <= _MAX_DEPTH:
        return True
    brackets, depth = _STRING.sub(b"", body).translate(None, _NO_BRACKETS), 0
    if len(brackets) > 2 * _MAX_LISTS:
        return False
    for bracket in brackets:
        depth += 1 if bracket in b"[{" else -1
        if depth > _MAX_DEPTH:
            return False
    return True


def _is_text(body: bytes) -> bool:
    try:
        return bool(json.dumps(json.loads(body), ensure_ascii=False).encode())
    except ValueError:  # half a character; what is no JSON is refused where it is parsed
        return False


def _too_large(asked: Asked) -> Refusal:
    return Refusal(413, f"The body is larger than {limit_bytes(asked):,} bytes")
