"""Attacks on a running dashboard: hostile requests of many kinds, byte by byte, made from its OpenAPI description.

Each attack yields requests; `run` sends them and counts the answers. What must never come is a status of 500, silence,
or a byte of the secret that lies beside the dataset. The short form is a test, the long one
benchmarks/dashboard_attacks.py.
"""

from __future__ import annotations

import json
import random
import socket
import struct
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any
from urllib.parse import quote

from config import Settings
from dashboard.app import create_app
from dashboard.security import bodies, protocol
from dashboard.security.policy import Security, cookie_names
from dashboard.security.rates import Attempts
from dashboard.security.sessions import Sessions
from dashboard.services import open_services
from tests.dashboard import raw_http
from tests.dashboard.conftest import running_server

SECRET = b"a-secret-that-lies-beside-the-dataset"
TRAVERSAL = (
    *(
        f"../../{'secret.txt'}",
        f"..%2f..%2f{'secret.txt'}",
        f"%2e%2e%2f{'secret.txt'}",
        f"..%252f..%252f{'secret.txt'}",
    ),
    *(
        f"..%c0%af{'secret.txt'}",
        f"..%5c..%5c{'secret.txt'}",
        f"....//....//{'secret.txt'}",
        "/etc/passwd",
        "%2fetc%2fpasswd",
    ),
    *(f"..;/{'secret.txt'}", f"..%00/{'secret.txt'}", "file:%2f%2f%2fetc%2fpasswd", ".", "..", "~root", "%2e", "con"),
)
HUGE = ("9" * 400, "-1", "0", "1e999", "NaN", "Infinity", "0x10", str(2**63), str(2**64), "1_0", "٣", "+1", "1.5", " 1")
ODD = (
    *("%00", "%ff%fe", "%c3%28", "%ed%a0%80", "%f5%80%80%80", "%0d%0aSet-Cookie:a=b", "%e2%80%aeabc", "%1b[2J", "%7f"),
    *(
        "<script>alert(1)</script>",
        "'%20OR%201=1--",
        '";DROP%20TABLE%20frames;--',
        "${7*7}",
        "{{7*7}}",
        "%",
        "a" * 5000,
    ),
)
# Values of JSON that no field expects.
JSON_ODD: tuple[Any, ...] = (
    *(
        None,
        True,
        -1,
        0,
        10**400,
        2**63,
        1e308,
        "",
        " ",
        "a" * 5000,
        [],
        {},
        [[]],
        [None],
        {"a": {}},
        "\x00",
        "\u202eabc",
    ),
    *(
        "<img src=x onerror=alert(1)>",
        "../../secret.txt",
        "/etc/passwd",
        "\x1b[2J",
        "\r\nX: y",
        "\ud800",
        [1] * 2000,
        "𝕏" * 99,
    ),
)
SOURCES = (
    *("file:///etc/passwd", "/etc/passwd", "-", "hls://file:///etc/passwd", "http://127.0.0.1:5432/", "http://[::1]/"),
    *("http://169.254.169.254/latest/meta-data/", "http://2130706433/", "http://0x7f.1/", "http://localhost:22/x.m3u8"),
    *(
        "https://www.twitch.tv@127.0.0.1/",
        "http://①②⑦.⓪.⓪.①/",
        "https://kick.com http-proxy=http://10.0.0.1",
        "ftp://a/",
    ),
)
HOSTS = (
    "evil.example",
    "127.0.0.1.evil.example",
    "0.0.0.0",
    "",
    "[::1",
    "localhost:80@evil.example",
    "a" * 300,
    "169.254.1.1",
)
ORIGINS = (
    "http://evil.example",
    "null",
    "http://127.0.0.1:1",
    "file://",
    "https://127.0.0.1.evil.example",
    "\xff",
    "x" * 999,
)
_WORKERS = 4
_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Target:
    """A running server. token: "" where it asks for none. cookie: of a session."""

    url: str
    schema: dict[str, Any]
    sessions: Sessions
    token: str = ""
    cookie: str = ""

    @property
    def authorized(self) -> dict[str, str]:
        """The header of a program that knows the token."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def operations(self, method: str = "") -> list[tuple[str, str, dict[str, Any]]]:
        """Return method, path and description of each operation that ends; of all methods without `method`."""
        return [
            (name.upper(), path, operation)
            for path, operations in self.schema["paths"].items()
            for name, operation in operations.items()
            if not path.endswith("/events") and method in ("", name.upper())
        ]

    def request(self, method: str, target: str, headers: dict[str, Any] | None = None, body: bytes = b"") -> bytes:
        """Return a request of a program that knows the token."""
        return raw_http.request(method, target, self.authorized | (headers or {}), body)

    def post(self, path: str, content: Any, headers: dict[str, Any] | None = None) -> bytes:
        """Return a request with a body: bytes as they are, anything else as JSON."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self.request("POST", path, {"Content-Type": "application/json"} | (headers or {}), body)


@dataclass
class Outcome:
    """What came of an attack. statuses: by status; 0: the connection was closed without an answer."""

    statuses: Counter[int] = field(default_factory=Counter)
    leaks: list[bytes] = field(default_factory=list)
    silent: int = 0
    example: bytes = b""  # of a request that led to a defect

    @property
    def defects(self) -> int:
        """Answers that are defects, and answers that did not come."""
        return self.statuses[500] + self.silent + len(self.leaks)


def run(target: Target, name: str, count: int, step: int = 1) -> Outcome:
    """Send `count` requests of an attack, each `step`-th one, over a few connections; return what came back."""
    outcome, whole = Outcome(), ATTACKS[name][0] is not event_ids

    def send(sent: bytes) -> None:
        try:
            response = raw_http.exchange(target.url, sent, _TIMEOUT_S, whole=whole)
        except TimeoutError:
            outcome.silent, outcome.example = outcome.silent + 1, sent[:2000]
            return
        outcome.statuses[response.status] += 1
        if response.status == 500:
            outcome.example = sent[:2000]
        if SECRET in response.body or b"root:x:0" in response.body:
            outcome.leaks.append(sent[:2000])

    with ThreadPoolExecutor(_WORKERS) as pool:
        list(pool.map(send, islice(ATTACKS[name][0](target), 0, count * step, step)))
    return outcome


def _filled(path: str, operation: dict[str, Any], value: str) -> str:
    """Return a path whose parameters all are this value."""
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", value)
    return path


def path_parameters(target: Target, values: tuple[str, ...]) -> Iterator[bytes]:
    """Each value in place of the path parameters of each operation, and of a static file."""
    with_parameter = [each for each in target.operations() if "{" in each[1]]
    for value in cycle(values):
        for method, path, operation in with_parameter:
            yield target.request(method, _filled(path, operation, quote(value, safe="%/;.~:")))
        yield target.request("GET", f"/static/{quote(value, safe='%/;.~:')}")


def query_parameters(target: Target, values: tuple[str, ...]) -> Iterator[bytes]:
    """Each value in place of each query parameter of each operation."""
    operations = [
        (path, parameter["name"])
        for _, path, operation in target.operations("GET")
        for parameter in operation.get("parameters", ())
        if parameter["in"] == "query"
    ]
    for value in cycle(values):
        for path, name in operations:
            filled = path.replace("{", "").replace("}", "")
            yield target.request("GET", f"{filled}?{name}={quote(value, safe='%')}")


def _examples(target: Target) -> list[tuple[str, dict[str, Any]]]:
    """Return the example of each body of JSON, but those with which a job or a survey could begin."""
    schemas, found = target.schema["components"]["schemas"], []
    for _, path, operation in target.operations("POST"):
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        for reference in (content, *content.get("oneOf", ())):
            schema = schemas.get(reference.get("$ref", "").rpartition("/")[2], {})
            found += [(path, example) for example in schema.get("examples", ())]
    return [(path, example) for path, example in found if example.get("kind") not in ("train", "check", "download")]


def odd_bodies(target: Target) -> Iterator[bytes]:
    """Each odd value in place of each field of each body."""
    examples = _examples(target)
    for value in cycle(JSON_ODD):
        for path, example in examples:
            if not path.endswith(("/surveys", "/watch")):
                for name in example:
                    yield target.post(path, example | {name: value})
            yield target.post(path, value)
            yield target.post(path, {"unknown": value, "kind": value, "sources": value, "options": value})


def broken_json(target: Target) -> Iterator[bytes]:
    """Bodies that are no JSON, no text, or nested without end."""
    texts = [
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b'{"a":"' + b"\\" * 100_001,
        b"\xff\xfe{}",
        b'{"token": "\xed\xa0\x80"}',
    ]
    texts += [
        b"NaN",
        b"1e999",
        b"9" * 100_000,
        b'{"a":1,"a":2}',
        b'"\\ud800"',
        b'{"token":"\\u0000"}',
        b"{",
        b"\x00" * 99,
    ]
    texts += [b"[" * 33 + b"]" * 33, b'{"frames":[' + b'"x",' * 100_000, b"\xef\xbb\xbf{}", b'{"__proto__":{}}', b"'a'"]
    texts += [b"[" * 33 + b'"' + rb"\"" * 100_000, '{"token": "\0"}'.encode("utf-16"), "[]".encode("utf-32")]
    for text in cycle(texts):
        for _, path, _operation in target.operations("POST"):
            yield target.post(path.replace("{", "").replace("}", ""), text)


def compressed(target: Target) -> Iterator[bytes]:
    """Small bodies that decompress to large ones."""
    bomb = zlib.compress(b" " * (32 << 20), 9)
    for encoding in cycle(("gzip", "deflate", "br", "zstd", "gzip, gzip", "x-gzip")):
        yield target.post("/api/v1/recognitions", bomb, {"Content-Encoding": encoding})
        yield target.post(
            "/api/v1/recognitions/upload", bomb, {"Content-Encoding": encoding, "Content-Type": "image/png"}
        )


def foreign_sources(target: Target) -> Iterator[bytes]:
    """Files, and addresses of the own network, as sources."""
    for source in cycle(SOURCES):
        yield target.post("/api/v1/recognitions", {"source": source})
        yield target.post("/api/v1/watch", {"sources": [source]})
        yield target.post("/api/v1/recognitions/frame", {"path": source})


def rebinding(target: Target) -> Iterator[bytes]:
    """Host headers of other names, at pages, files, operations and the WebSocket."""
    paths = ("/dataset", "/static/base/style.css", "/api/v1/dataset", "/metrics", "/api/v1/watch/events")
    for host in cycle(HOSTS):
        for path in paths:
            yield target.request("GET", path, {"Host": host})
        yield target.request("GET", "/api/v1/watch/socket", UPGRADE | {"Host": host})


def cross_site(target: Target) -> Iterator[bytes]:
    """What a page of another site makes a browser send: with the visitor's cookie, without the page's token."""
    browser = {"User-Agent": "Mozilla/5.0", "Cookie": target.cookie, "Authorization": None}
    kinds = ("application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a")
    for origin in cycle(ORIGINS):
        for kind in kinds:
            for _, path, _operation in target.operations("POST"):
                headers = browser | {"Origin": origin, "Content-Type": kind}
                yield target.post(path.replace("{", "").replace("}", ""), {"action": "delete", "filter": {}}, headers)
        yield target.request("DELETE", "/api/v1/session", browser | {"Sec-Fetch-Site": "cross-site"})
        yield target.request(
            "GET", "/api/v1/dataset", browser | {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}
        )
        yield target.request("GET", "/api/v1/watch/socket", browser | UPGRADE | {"Origin": origin})
        yield target.request("GET", "/api/v1/watch/events", browser | {"Origin": origin, "Accept": "text/event-stream"})


def wrong_tokens(target: Target) -> Iterator[bytes]:
    """Guessed tokens and forged cookies."""
    name, _, value = target.cookie.partition("=")
    forged = (
        value[:-1] + "0",
        value.replace(".", ".9", 1),
        "a" * 22 + ".9999999999." + "0" * 64,
        "",
        "." * 99,
        "\xff" * 30,
    )
    for number, cookie in enumerate(cycle(forged)):
        yield target.request("GET", "/api/v1/dataset", {"Authorization": None, "Cookie": f"{name}={cookie}"})
        yield target.request("GET", "/api/v1/dataset", {"Authorization": f"Bearer guess-{number}"})
        yield target.request(
            "GET", "/metrics", {"Authorization": random.choice(("Basic YTpi", "Bearer", "Bearer \xff", "x" * 9000))}
        )


def injected_headers(_: Target) -> Iterator[bytes]:
    """Requests that one reader understands as two, or whose headers do not end where they seem to."""
    start = b"GET /api/v1/session HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
    parts = [
        start + b"X: a\r\n\tb\r\n\r\n",
        start + b"X\r\n: a\r\n\r\n",
        start + b"Host: evil.example\r\n\r\n",
        start + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        start + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /dataset HTTP/1.1\r\n\r\n",
        start + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        start + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        start + b"Content-Length: +5\r\n\r\nhello",
        start + b"Content-Length: -1\r\n\r\n",
        start + b"X-Long: " + b"a" * 100_000 + b"\r\n\r\n",
        start + b"".join(b"X-%d: a\r\n" % number for number in range(500)) + b"\r\n",
        start + b"Cookie: " + b"a=b;" * 5000 + b"\r\n\r\n",
        start + b"X-\x00: a\r\n\r\n",
        start + b"X: \x00\x01\xff\r\n\r\n",
        start + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"GET http://evil.example/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
        b"GET //evil.example/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
        b"GET * HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
        b"GET /a b HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,
        b"TRACE / HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
        b"CONNECT evil.example:443 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n",
        b"A" * 70_000,
    ]
    yield from cycle(parts)


def chunked(target: Target) -> Iterator[bytes]:
    """Bodies in chunks that are tiny, endless, or no chunks."""
    headers = {"Transfer-Encoding": "chunked", "Content-Type": "application/json"}
    floods = [
        b"1\r\n \r\n" * 300_000 + b"0\r\n\r\n",
        b"1;" + b"a" * 50_000 + b"\r\n \r\n0\r\n\r\n",
        b"ffffffffffffffffff\r\n",
        b"-1\r\n\r\n",
        b"zz\r\n",
        b"0\r\n" + b"".join(b"T%d: a\r\n" % number for number in range(5000)) + b"\r\n",
        b"200001\r\n" + b" " * 0x200001 + b"\r\n0\r\n\r\n",
    ]
    for flood in cycle(floods):
        for path in ("/api/v1/session", "/api/v1/recognitions", "/api/v1/dataset/changes"):
            yield target.request("POST", path, headers) + flood


def uploads(target: Target) -> Iterator[bytes]:
    """Files that are no pictures, or pictures of 900 megapixels in few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    size = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 0, 0, 0, 0)
    png = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", size)
        + chunk(b"IDAT", zlib.compress(b"\0" * 1_000_000))
        + chunk(b"IEND", b"")
    )
    files = [
        png,
        b"\xff\xd8\xff\xe0" + b"\0" * 500,
        b"GIF89a\xff\xff\xff\xff" + b"\0" * 50,
        b"RIFF\xff\xff\xff\xffWEBPVP8 ",
    ]
    files += [b"<svg xmlns='x'><image href='file:///etc/passwd'/></svg>", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n"]
    files += [b"ffconcat version 1.0\nfile /etc/passwd\n", b"\0\0\0\x20ftypisom" + b"\xff" * 200, b"", b"\0" * 100_000]
    for file in cycle(files):
        for kind in ("application/octet-stream", "image/png", "video/mp4"):
            yield target.request("POST", "/api/v1/recognitions/upload", {"Content-Type": kind}, file)


def event_ids(target: Target) -> Iterator[bytes]:
    """Made-up values of Last-Event-ID and of its parameter."""
    ids = ("-1", "0", "9" * 400, "NaN", "a\x01b", "<b>", "../..", "1-2-3", " ", "\xff\xfe", "x" * 9000, "٣", "1\t2")
    for identity in cycle(ids):
        yield target.request("GET", "/api/v1/watch/events?after=" + quote(identity))
        yield target.request("GET", "/api/v1/watch/events", {"Last-Event-ID": identity})


def methods(target: Target) -> Iterator[bytes]:
    """Methods that no operation has."""
    for method in cycle(("PUT", "PATCH", "OPTIONS", "HEAD", "PROPFIND", "DELETE", "POST", "X" * 500, "get", "\xff")):
        for path in ("/dataset", "/api/v1/dataset", "/static/base/style.css", "/metrics", "/login"):
            yield target.request(method, path)


UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}

Attack = Callable[[Target], Iterator[bytes]]
ATTACKS: dict[str, tuple[Attack, str]] = {
    "path traversal": (lambda t: path_parameters(t, TRAVERSAL), "no file is read"),
    "path traversal in parameters": (lambda t: query_parameters(t, TRAVERSAL), "no file is read"),
    "huge and odd numbers": (lambda t: path_parameters(t, HUGE), "refused by their form"),
    "huge and odd numbers in parameters": (lambda t: query_parameters(t, HUGE), "refused by their form"),
    "NUL, invalid UTF-8, markup, escapes": (lambda t: path_parameters(t, ODD), "refused, or found nowhere"),
    "the same in parameters": (lambda t: query_parameters(t, ODD), "refused, or found nowhere"),
    "odd values in JSON": (odd_bodies, "refused by their type; text stays text"),
    "broken and deep JSON": (broken_json, "refused before it is parsed"),
    "compressed bodies (zip bombs)": (compressed, "refused before a byte is unpacked"),
    "addresses of the own network, files": (foreign_sources, "no connection is made, no file opened"),
    "names of other hosts (DNS rebinding)": (rebinding, "refused, static files and WebSockets too"),
    "pages of other sites (CSRF)": (cross_site, "refused, although the cookie is right"),
    "injected headers, request smuggling": (injected_headers, "refused; one request stays one"),
    "floods of chunks": (chunked, "cut off at the limit"),
    "files that are no pictures": (uploads, "the worker that decodes them says no, or dies"),
    "made-up Last-Event-ID": (event_ids, "refused, or a reset"),
    "methods that nothing has": (methods, "refused"),
    "guessed tokens, forged cookies": (wrong_tokens, "refused; after ten not even tried"),
}


@contextmanager
def attacked_server(settings: Settings, token: str) -> Iterator[Target]:
    """Run a server without limits of rate, so that each request reaches what it attacks. A secret lies beside it."""
    (settings.download_path.parent / "secret.txt").write_bytes(SECRET)
    (settings.download_path / "secret.txt").write_bytes(SECRET)
    with ExitStack() as stack, socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        security = Security.create(settings, "127.0.0.1", listener.getsockname()[1])
        security._buckets.clear()
        security._attempts = Attempts(lambda: 100 * time.monotonic())  # forgives wrong tokens soon
        stack.enter_context(_short_waits())
        with open_services(settings, security) as services, running_server(services, listener) as server:
            _, value = security.sessions.issue()
            cookie = f"{cookie_names(listener.getsockname()[1])[1]}={value}"
            schema = create_app(services).openapi()
            yield Target(server.url, schema, security.sessions, token, cookie)


@contextmanager
def _short_waits() -> Iterator[None]:
    """Let slow clients be cut off after a second instead of ten."""
    before = protocol._REQUEST_S, bodies._CHUNK_S, bodies._DRAIN_S
    protocol._REQUEST_S, bodies._CHUNK_S, bodies._DRAIN_S = 1.0, 1.0, 0.2
    try:
        yield
    finally:
        protocol._REQUEST_S, bodies._CHUNK_S, bodies._DRAIN_S = before
