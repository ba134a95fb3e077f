"""Chats: one HTTP server that answers as Discord, Slack, Telegram, ntfy and a webhook do, by the request's host.

It is also the proxy that clients reach it through: a CONNECT to any host leads to the server itself, by TLS with a
certificate of a test authority. With HTTPS_PROXY and REQUESTS_CA_BUNDLE a client uses the real hosts' names.
"""

from __future__ import annotations

import email.parser
import email.policy
import json
import ssl
import tempfile
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import trustme

from tests.scripted_server import Reply

HOSTS = ("discord.com", "hooks.slack.com", "slack.com", "files.slack.com", "api.telegram.org", "ntfy.sh")
# Targets that lead to the server. {url}: its host and port.
WEBHOOK, DISCORD, SLACK, SLACK_BOT, TELEGRAM, NTFY = (
    "http://{address}/hook",
    "discord://123456789012345678/Discord-Secret_4d2f8a",
    "slack://T1JJ3T3L2/A1BRTD4JD/Slack0Secret0TIiajkdnlazk",
    "slack://xoxb-123456789012-123456789012-SlackSecretSlackSecret/#games",
    "tgram://123456789:TelegramSecretTelegramSecretTelegra/12315544/",
    "ntfy://{address}/topic-secret-91c7",
)


@dataclass(frozen=True)
class Received:
    """A request that the server accepted as an alert.

    service: discord, slack, telegram, ntfy or webhook.
    id: of the alert, from the request's header.
    text: what people read: the JSON of an embed or a message, or plain text.
    payload: the request's JSON or form. picture: its file; empty without one.
    """

    service: str
    id: str
    text: str
    payload: dict[str, Any]
    picture: bytes = field(default=b"", repr=False)


class Chats:
    """The server, on a port of its own or a given one. `received` holds all that it accepted, also over restarts."""

    def __init__(self, port: int = 0) -> None:
        self.received: list[Received] = []
        self.requests: list[tuple[str, str]] = []  # host and path of each
        self.replies: deque[Reply] = deque()  # sent instead of a service's own response, in their order
        self.port = port
        self._server: _Server | None = None
        self.start()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """Variables that lead clients of HTTPS to this server."""
        return {"HTTPS_PROXY": f"http://{self.address}", "REQUESTS_CA_BUNDLE": _authority()[1], "NO_PROXY": ""}

    def start(self) -> None:
        """Listen, again on the same port after `stop`."""
        handler = type("Handler", (_Handler,), {"chats": self})
        self._server = _Server(("127.0.0.1", self.port), handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Stop listening and close all connections, as a crash does."""
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()
        for connection in [*self._server.connections]:
            with suppress(OSError):
                connection.shutdown(2)

    def __enter__(self) -> Chats:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class _Server(ThreadingHTTPServer):
    """Remembers its connections, so that it can break them."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, *args: Any) -> None:
        self.connections: set[Any] = set()
        super().__init__(*args)

    def handle_error(self, *_: object) -> None:
        """Stay silent when a client goes away."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    chats: Chats

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        with suppress(OSError):
            super().finish()

    def do_CONNECT(self) -> None:
        """Open TLS for the host and handle its requests here."""
        self.send_response(200)
        self.end_headers()
        connections = self.server.connections
        connections.discard(self.connection)
        self.connection = _tls_context().wrap_socket(self.connection, server_side=True)
        connections.add(self.connection)
        self.rfile = self.connection.makefile("rb", -1)
        self.wfile = self.connection.makefile("wb", 0)
        self.handle()
        self.close_connection = True

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        host, parts = self.headers.get("Host", "").partition(":")[0], urlsplit(self.path)
        self.chats.requests.append((host, parts.path))
        if self.chats.replies:
            self._send(self.chats.replies.popleft())
            return
        payload, files = _parse(self.headers.get("Content-Type", ""), body)
        payload |= dict(parse_qsl(parts.query))
        reply, received = _respond(host, parts.path, payload, files, body)
        if received:
            service, text, picture = received
            alert_id = self.headers.get("X-TwitchCategory-Delivery", "")
            self.chats.received.append(Received(service, alert_id, text, payload, picture))
        self._send(reply)

    do_POST = do_PUT = do_GET  # noqa: N815 - http.server calls these names

    def _send(self, reply: Reply) -> None:
        time.sleep(reply.silence_s)
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if reply.promised is None else reply.promised))
        self.end_headers()
        step = 1 if reply.byte_pause_s else len(body) or 1
        for start in range(0, len(body), step):
            self.wfile.write(body[start : start + step])
            time.sleep(reply.byte_pause_s)
        self.close_connection = self.close_connection or reply.promised is not None

    def log_message(self, *_: object) -> None:
        pass


def _parse(content_type: str, body: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """Return the fields of a JSON or multipart body, and the files of the latter."""
    if content_type.startswith("application/json"):
        found = json.loads(body)
        return (found if isinstance(found, dict) else {}), []
    if not content_type.startswith("multipart/form-data"):
        return {}, []
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head + body)
    fields: dict[str, Any] = {}
    files: list[bytes] = []
    for part in message.iter_parts():
        content: Any = part.get_payload(decode=True)
        if part.get_filename():
            files.append(content)
        else:
            fields[str(part.get_param("name", header="content-disposition"))] = content.decode()
    return fields | json.loads(fields.get("payload_json", "{}")), files


def _respond(
    host: str, path: str, payload: dict[str, Any], files: list[bytes], body: bytes
) -> tuple[Reply, tuple[str, str, bytes] | None]:
    """Return the service's response, and what it received as an alert: service, text and picture."""
    picture = files[0] if files else b""
    if host == "discord.com":
        [embed] = payload["embeds"]
        return Reply(200, {"id": "1"}), ("discord", f"{embed['title']}\n{embed['description']}", picture)
    if host == "hooks.slack.com":
        return Reply(200, b"ok"), ("slack", _slack_text(payload), b"")
    if host == "api.telegram.org":
        return Reply(200, {"ok": True, "result": {}}), (
            "telegram",
            payload.get("caption", payload.get("text", "")),
            picture,
        )
    if host.endswith("slack.com"):
        return _slack_bot(path, payload, picture)
    if path == "/hook":
        return Reply(204), ("webhook", body.decode(), b"")
    picture = body if body.startswith(b"\xff\xd8") else b""
    return Reply(200, {"id": "1"}), ("ntfy", f"{payload.get('title')}\n{payload.get('message')}", picture)


def _slack_bot(path: str, payload: dict[str, Any], picture: bytes) -> tuple[Reply, tuple[str, str, bytes] | None]:
    if path == "/api/chat.postMessage":
        return Reply(200, {"ok": True, "channel": "C123", "ts": "1.2"}), ("slack", _slack_text(payload), b"")
    if path == "/api/files.getUploadURLExternal":
        return Reply(200, {"ok": True, "upload_url": "https://files.slack.com/upload/v1/ABC", "file_id": "F1"}), None
    if path == "/upload/v1/ABC":
        return Reply(200, f"OK - {len(picture)}".encode()), ("slack file", "", picture)
    return Reply(200, {"ok": True, "files": [{"id": "F1"}]}), None


def _slack_text(payload: dict[str, Any]) -> str:
    [attachment] = payload["attachments"]
    return f"{attachment['title']}\n{attachment['text']}"


@cache
def _authority() -> tuple[trustme.CA, str]:
    """Return a test authority, and the path of its certificate."""
    authority = trustme.CA()
    path = Path(tempfile.mkdtemp(prefix="receivers-")) / "authority.pem"
    authority.cert_pem.write_to_path(str(path))
    return authority, str(path)


@cache
def _tls_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _authority()[0].issue_cert(*HOSTS).configure_cert(context)
    return context
