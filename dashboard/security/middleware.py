"""Middleware: applies the policy to each request and WebSocket, and adds the headers of security to each response.

Pure ASGI: nothing is buffered but bodies of JSON, and streams of events pass through.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from urllib.parse import quote

from dashboard.security.bodies import UPLOAD, BodyRefused, BoundedBody, Message, Receive, check_headers, has_body
from dashboard.security.requests import Asked, Refusal, Scope

Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
_HEADERS = (
    (b"content-security-policy", _CSP.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)
_RECHECK_S = 15.0  # between two looks at the session of a stream of events
_NO_STORE = (b"cache-control", b"no-store")
# Operations at a time, by kind: threads are few, and each recognition has a decoder or a stream of its own.
_MAX_AT_ONCE = {"recognitions": 4, "streams": 64, "other": 64}


class SecurityMiddleware:
    """Refuses what the policy's `check` forbids; everything else reaches the app."""

    def __init__(self, app: App, check: Callable[[Asked], Refusal | None]) -> None:
        self._app, self._check = app, check
        self._running: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request, a WebSocket, or the app's start and end."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        asked = Asked.read(scope)
        refusal = self._check(asked)
        with self._counted(asked, refusal) as crowded:
            refusal = refusal or crowded
            receive = self._until_signed_out(asked, receive) if asked.is_stream else receive
            if scope["type"] == "http":
                await self._handle(scope, asked, BoundedBody(asked, receive), Response(asked, send), refusal)
            elif refusal:
                await _refuse_socket(scope, receive, send, refusal)
            else:
                await self._app(scope, receive, send)

    async def _handle(
        self, scope: Scope, asked: Asked, body: BoundedBody, response: Response, refusal: Refusal | None
    ) -> None:
        try:
            if refusal := refusal or check_headers(asked):
                raise BodyRefused(refusal)
            is_json = has_body(asked) and asked.path != UPLOAD
            await self._app(scope, await body.whole() if is_json else body, response.send)
            if asked.is_stream and body.gone:  # perhaps only for the app, which ended then
                await response.send({"type": "http.response.body", "body": b""})
        except BodyRefused as error:
            await body.drain()
            await response.refuse(error.refusal, close=not body.complete)
        except Exception:
            if body.gone:  # the app could not read the rest of a body
                return
            await response.refuse(Refusal(500, "This is a defect; the server's log has its traceback"), close=True)
            raise

    def _until_signed_out(self, asked: Asked, receive: Receive) -> Receive:
        """Return a `receive` that tells the app that the client has left when its session has ended."""

        async def receive_or_end() -> Message:
            while True:
                try:
                    return await asyncio.wait_for(receive(), _RECHECK_S)
                except asyncio.TimeoutError:
                    if (refusal := self._check(asked)) and refusal.status == 401:
                        kind = "websocket" if asked.method == "WEBSOCKET" else "http"
                        return {"type": f"{kind}.disconnect", "code": 1008}

        return receive_or_end

    @contextmanager
    def _counted(self, asked: Asked, refusal: Refusal | None) -> Iterator[Refusal | None]:
        """Count the operation while it runs; yield a refusal if too many run already.

        What is open to all takes no place: slow clients, who may be anybody, would take those of all others.
        """
        if refusal or asked.is_open:
            yield None
            return
        is_recognition = asked.method == "POST" and asked.path.startswith("/api/v1/recognitions")
        kind = "streams" if asked.is_stream else "recognitions" if is_recognition else "other"
        if self._running[kind] >= _MAX_AT_ONCE[kind]:
            yield Refusal(503, "The server is busy; try again", ((b"retry-after", b"2"),))
            return
        self._running[kind] += 1
        try:
            yield None
        finally:
            self._running[kind] -= 1


class Response:
    """The `send` of a request: adds headers, and replaces the app's response by a refusal."""

    def __init__(self, asked: Asked, send: Send) -> None:
        self._asked, self._send = asked, send
        self._started = False

    async def send(self, message: Message) -> None:
        """Send a message of the app."""
        if message["type"] == "http.response.start":
            self._started = True
            own = list(message.get("headers", ()))
            if not any(name.lower() == b"cache-control" for name, _ in own):
                own += [_NO_STORE] if not self._asked.path.startswith("/static/") else []
            message = {**message, "headers": [*own, *_HEADERS]}
        await self._send(message)

    async def refuse(self, refusal: Refusal, *, close: bool) -> None:
        """Send a problem, or lead a browser to the page where it signs in. `close`: a part of the body is unread."""
        if self._started:
            return
        headers = [*refusal.headers, *([(b"connection", b"close")] if close else [])]
        is_page = self._asked.method == "GET" and not self._asked.is_api
        if refusal.status == 401 and is_page:
            headers += [(b"location", b"/login?next=" + _quoted(self._asked)), (b"content-length", b"0")]
            await self.send({"type": "http.response.start", "status": 303, "headers": headers})
            await self.send({"type": "http.response.body", "body": b""})
            return
        for message in problem(refusal, headers):
            await self.send(message)


def problem(refusal: Refusal, headers: list[tuple[bytes, bytes]]) -> list[Message]:
    """Return the messages of a response of the type application/problem+json (RFC 9457)."""
    status = refusal.status
    fields = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": refusal.detail}
    body = json.dumps(fields).encode()
    own = [(b"content-type", b"application/problem+json"), (b"content-length", b"%d" % len(body))]
    start = {"type": "http.response.start", "status": status, "headers": [*own, *headers]}
    return [start, {"type": "http.response.body", "body": body}]


def _quoted(asked: Asked) -> bytes:
    query = asked.query.decode("latin-1")
    return quote(asked.path + (f"?{query}" if query else ""), safe="/")[:2000].encode()


async def _refuse_socket(scope: Scope, receive: Receive, send: Send, refusal: Refusal) -> None:
    """Refuse a WebSocket before it is accepted, with a response of HTTP where the server can send one."""
    await receive()
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1008})
        return
    for message in problem(refusal, [*refusal.headers, *_HEADERS]):
        await send({**message, "type": f"websocket.{message['type']}"})
