"""HTTP sessions against servers that send what no server should: raw bytes over real sockets."""

from __future__ import annotations

import gzip
import socket
import threading
import time
import tracemalloc
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
import requests
from streamlink import Streamlink
from streamlink.exceptions import PluginError

from data.http.session import configure_session, new_session, read_body
from tests.scripted_server import Reply, ScriptedServer

ERRORS = (requests.RequestException, PluginError)  # of our own sessions, of Streamlink's
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BLOCK = bytes(1 << 16)


class RawServer:
    """Sends the pieces that `answer(request)` yields, until the client closes the connection."""

    def __init__(self, answer: Callable[[bytes], Iterator[bytes]]) -> None:
        self.sent = 0  # bytes
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> RawServer:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                while request := connection.recv(65536):
                    for piece in self._answer(request):
                        connection.sendall(piece)
                        self.sent += len(piece)
        except OSError:
            pass  # the client has enough


def own_session(timeout_s: float, **options) -> requests.Session:
    return new_session(timeout_s, **options)


def streamlink_session(timeout_s: float, **options) -> requests.Session:
    session = Streamlink({"webbrowser": False, "http-timeout": timeout_s}, plugins_builtin=False).http
    return configure_session(session, timeout_s, **options)


SESSIONS = pytest.mark.parametrize("make", [own_session, streamlink_session], ids=["own", "streamlink"])


def forever(start: bytes, piece: bytes, pause_s: float = 0.0) -> Callable[[bytes], Iterator[bytes]]:
    """Return an answer that begins with `start` and goes on with `piece` for ever."""

    def answer(_: bytes) -> Iterator[bytes]:
        yield start
        while True:
            yield piece
            time.sleep(pause_s)

    return answer


def redirecting(headers: bytes, piece: bytes = b"", pause_s: float = 0.0) -> Callable[[bytes], Iterator[bytes]]:
    """Return an answer that redirects /old to /new with an endless body (`piece`, if any); /new is fine."""

    def answer(request: bytes) -> Iterator[bytes]:
        if request.startswith(b"GET /new"):
            yield OK
            return
        yield b"HTTP/1.1 302 Found\r\nLocation: /new\r\n" + headers + b"\r\n"
        while piece:
            yield piece
            time.sleep(pause_s)

    return answer


def closing(data: bytes) -> Callable[[bytes], Iterator[bytes]]:
    """Return an answer that sends `data` and closes the connection."""

    def answer(_: bytes) -> Iterator[bytes]:
        yield data
        raise ConnectionError

    return answer


# --- what never ends ------------------------------------------------------------------------------

ENDLESS = {
    "status lines, slowly": forever(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.02),
    "status lines": forever(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "headers": forever(b"HTTP/1.1 200 OK\r\n", b"X: " + b"y" * 9000 + b"\r\n"),
    "headers, slowly": forever(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n", 0.02),
    "header": forever(b"HTTP/1.1 200 OK\r\nX: ", BLOCK),
    "body": forever(b"HTTP/1.1 200 OK\r\n\r\n", BLOCK),
    "body, slowly": forever(b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n", b"x", 0.02),
    "chunks": forever(CHUNKED, b"1\r\nx\r\n" * 1000),
    "chunk, slowly": forever(CHUNKED + b"ffffff\r\n", b"x", 0.02),
    "negative chunk": forever(CHUNKED + b"-5\r\n", BLOCK),
    "trailers": forever(CHUNKED + b"0\r\n", b"X: y\r\n" * 1000),
    "trailers, slowly": forever(CHUNKED + b"0\r\n", b"X: y\r\n", 0.02),
    "deflated nothing": forever(
        b"HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\n\r\n\x78\x9c", b"\0\0\0\xff\xff" * 9000
    ),
    "gzipped nothing": forever(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", gzip.compress(b"") * 1000),
    "redirects": lambda _: iter([b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"]),
}


def slow_redirects(_: bytes) -> Iterator[bytes]:
    time.sleep(0.2)
    yield b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"


@SESSIONS
@pytest.mark.parametrize("answer", [*ENDLESS.values(), slow_redirects], ids=[*ENDLESS, "redirects, slowly"])
def test_endless_response_when_read_raises_at_the_deadline(make, answer):
    """Whatever never ends, fast or slowly, is an error of requests or Streamlink, in little memory."""
    tracemalloc.start()
    try:
        with RawServer(answer) as server, make(0.4, deadline_s=0.1) as session:
            start = time.monotonic()
            with pytest.raises(ERRORS):
                session.get(server.url)
            assert time.monotonic() - start < 20
        assert tracemalloc.get_traced_memory()[1] < 80 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", ["body, slowly", "chunks", "trailers", "deflated nothing"])
def test_endless_response_when_streamed_raises_at_the_deadline(name):
    """The same for a body that is read in pieces, as segments are."""
    with RawServer(ENDLESS[name]) as server, new_session(0.4, deadline_s=0.1) as session:
        start = time.monotonic()
        with pytest.raises(requests.RequestException):
            read_body(session.get(server.url, stream=True), 30, 8 << 20)
        assert time.monotonic() - start < 20


@SESSIONS
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(
    "answer",
    [
        redirecting(b"Content-Length: 1500000000\r\n", BLOCK),
        redirecting(b"Content-Length: 1500000000\r\n", b"x", 0.05),
        redirecting(b"Transfer-Encoding: chunked\r\n", b"1\r\nx\r\n", 0.05),
        redirecting(b"Content-Encoding: gzip\r\n", gzip.compress(BLOCK)),
        redirecting(b"Content-Length: 0\r\n"),
        redirecting(b"Content-Length: 9999\r\n"),
    ],
    ids=["1.5 GB", "trickling", "trickling chunks", "gzip bombs", "none", "silent"],
)
def test_redirect_with_any_body_is_followed_without_reading_it(make, stream, answer):
    """Of a redirect's body at most some 100 kB are read."""
    with RawServer(answer) as server, make(0.3, deadline_s=10) as session:
        assert session.get(f"{server.url}/old", stream=stream).text == "ok"
        assert server.sent < 20 << 20  # mostly in the sockets' buffers


# --- bombs ----------------------------------------------------------------------------------------


def packed(mib: int, levels: int, window_bits: int) -> bytes:
    """Return `mib` MiB of zeros, compressed `levels` times."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, window_bits)
    data = b"".join(compressor.compress(bytes(1 << 20)) for _ in range(mib)) + compressor.flush()
    for _ in range(levels - 1):
        data = gzip.compress(data)
    return data


@pytest.mark.parametrize(
    ("make", "encoding", "levels", "window_bits"),
    [
        (own_session, "gzip", 1, 31),
        (own_session, "x-gzip", 1, 31),
        (own_session, "deflate", 1, 15),
        (own_session, "deflate", 1, -15),
        (own_session, "gzip, gzip", 2, 31),
        (streamlink_session, "gzip", 1, 31),
    ],
    ids=["gzip", "x-gzip", "zlib", "deflate", "gzip twice", "streamlink"],
)
def test_decompression_bomb_raises_in_little_memory(make, encoding, levels, window_bits):
    """25 kB that are 25 MB decompressed stop at 16 MB."""
    body = packed(24, levels, window_bits)
    with ScriptedServer([Reply(body=body, headers={"Content-Encoding": encoding})]) as server, make(5) as session:
        tracemalloc.start()
        try:
            with pytest.raises(ERRORS, match="16777216"):
                session.get(server.url)
            assert tracemalloc.get_traced_memory()[1] < 38 << 20
        finally:
            tracemalloc.stop()


# --- malformed responses --------------------------------------------------------------------------


@SESSIONS
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(
    "location",
    [
        *(b"\xff\xfe", b"http://[", b"http://a:99999/", b"http://a:x/", b"http://" + b"a" * 80 + b".example/"),
        *(b"http://a..example/", b"file:///etc/passwd", b"http://", b"//", b"http://\x01/", b"gopher://a/"),
    ],
)
def test_invalid_location_raises_an_exception_of_requests(make, stream, location):
    """Whatever exception requests, urllib3 or the URL parser has for it."""
    reply = b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n\r\n"
    with RawServer(lambda _: iter([reply])) as server, make(1) as session, pytest.raises(ERRORS):
        session.get(server.url, stream=stream)


@SESSIONS
@pytest.mark.parametrize(
    "header",
    [
        *(f"Content-Length: {value}".encode() for value in ("9" * 5000, "-1", "x", "1, 2", "0x10", "")),
        *(f"Transfer-Encoding: {value}".encode() for value in ("chunked, chunked", "gzip", "x")),
        *(f"Content-Encoding: {value}".encode() for value in ("gzip", "br", "x", ",".join(["gzip"] * 50), ",")),
        *(f"Content-Type: text/plain; charset={value}".encode() for value in ("idna", "undefined", "hex", "\x00", "x")),
        b"Set-Cookie: a=b; max-age=" + b"9" * 400,
        b'Set-Cookie: a="\\\xff; expires=\x01; domain=[',
        b"Set-Cookie: " + b'\\"' * 9000,
        b"Retry-After: " + b"9" * 5000,
        b"no header at all",
        b": empty name",
        b"\xff\xfe: \x00",
    ],
    ids=range(26),
)
def test_malformed_header_raises_only_exceptions_of_requests(make, header):
    """The body is returned as text, or an exception of requests or Streamlink is raised; nothing is printed."""
    with (
        RawServer(closing(b"HTTP/1.1 200 OK\r\n" + header + b"\r\nConnection: close\r\n\r\nab")) as server,
        make(5) as session,
        warnings.catch_warnings(record=True) as seen,
        suppress(*ERRORS),
    ):
        assert isinstance(session.get(server.url).text, str)
    assert not seen


@SESSIONS
@pytest.mark.parametrize(
    "line", [b"", b"HTTP/1.1\r\n", b"HTTP/9 200 OK\r\n\r\n", b"HTTP/1.1 9999999 x\r\n\r\n", b"\xff" * 99]
)
def test_malformed_status_line_raises_an_exception_of_requests(make, line):
    """An empty one, too."""
    with RawServer(closing(line)) as server, make(5) as session, pytest.raises(ERRORS):
        session.get(server.url)


@SESSIONS
@pytest.mark.parametrize("status", [100, 102, 103])
def test_interim_responses_are_skipped(make, status):
    """The response after them is returned, and the next request on the connection gets its own."""
    interim = f"HTTP/1.1 {status} x\r\nLink: x\r\n\r\n".encode()
    bodies = iter([b"a", b"b"])
    answer = lambda _: iter([interim * 3, b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + next(bodies)])  # noqa: E731
    with RawServer(answer) as server, make(1) as session:
        assert [session.get(server.url).text for _ in range(2)] == ["a", "b"]


def test_text_of_an_unknown_encoding_is_utf_8():
    """Without a charset, and for codecs that are slow or no text encoding; a usual charset counts."""
    types = {
        "video/x": "ü",
        "text/plain; charset=punycode": "ü",
        "text/plain; charset=latin-1": "Ã¼",
        "a/b; charset=q": "ü",
    }
    replies = [Reply(body="ü".encode(), headers={"Content-Type": each}) for each in types]
    with ScriptedServer(replies) as server, new_session(5, server.url) as session:
        assert [session.get("https://a.example/").text for _ in types] == list(types.values())


def test_lines_of_a_body_are_complete():
    """Line ends of each kind, with and without decoding."""
    body = "a\r\nb\n\nü".encode() + b"x" * 2000
    with ScriptedServer([Reply(body=body)]) as server, new_session(5, server.url) as session:
        response = session.get("https://a.example/")
    assert list(response.iter_lines()) == body.splitlines()
    assert list(response.iter_lines(decode_unicode=True)) == body.decode().splitlines()


# --- credentials ----------------------------------------------------------------------------------


@pytest.fixture
def netrc(tmp_path, monkeypatch):
    """A .netrc with credentials for every host."""
    (tmp_path / "netrc").write_text("default login somebody password secret\n", encoding="utf-8")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


@SESSIONS
def test_netrc_never_replaces_the_token(netrc, make):
    """Of .netrc nothing is sent, with a token, without one, or after redirects to the same host and to another one."""
    same, other = (Reply(302, headers={"Location": url}) for url in ("/x", "http://localhost:{port}/x"))
    with ScriptedServer([Reply(), Reply(), same, Reply(), other, Reply()]) as server, make(5) as session:
        other.headers["Location"] = server.url.replace("127.0.0.1", "localhost")
        token = {"Authorization": "Bearer token"}
        for headers in (token, {}, token, token):
            session.get(server.url, headers=headers)
        sent = [headers.get("Authorization") for *_, headers in server.requests]
    assert sent == ["Bearer token", None, "Bearer token", "Bearer token", "Bearer token", None]


@SESSIONS
def test_credentials_in_a_url_are_sent(make):
    """As HTTP basic authentication."""
    with ScriptedServer([Reply()]) as server, make(5) as session:
        session.get(server.url.replace("//", "//user:pass@"))
        assert server.requests[0][3]["Authorization"] == "Basic dXNlcjpwYXNz"


def test_own_session_stores_no_cookies():
    """Servers cannot fill the memory of a run of weeks."""
    with ScriptedServer([Reply(headers={"Set-Cookie": "a=b"}), Reply()]) as server, new_session(5) as session:
        session.get(server.url)
        session.get(server.url)
        assert "Cookie" not in server.requests[1][3]
        assert not session.cookies


def test_streamlink_session_stores_few_cookies():
    """Sites may need cookies, but not an endless number."""
    replies = [Reply(headers={"Set-Cookie": f"a{number}=b"}) for number in range(120)]
    with ScriptedServer(replies) as server, streamlink_session(5) as session:
        for _ in replies:
            session.get(server.url)
        assert len(session.cookies) == 100
        assert "a0=b" in server.requests[-1][3]["Cookie"]
