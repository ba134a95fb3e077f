"""HTTP session and loopback URLs, against real sockets on this machine."""

from __future__ import annotations

import gzip
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import requests
from streamlink import Streamlink

from data.http.loopback import loopback_url
from data.http.session import ResponseTooLarge, ResponseTooSlow, configure_session, new_session, read_body
from data.http.traffic import COUNTER
from tests.scripted_server import Reply, ScriptedServer
from tests.standin import Fault, faults

ROOT = Path(__file__).resolve().parents[2]


# --- loopback URLs --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("http://127.0.0.1:8080/helix?a=b#c", "http://127.0.0.1:8080"),
        ("http://127.1.2.3:1", "http://127.1.2.3:1"),
        ("http://localhost:65535", "http://localhost:65535"),
        ("http://LocalHost:80", "http://localhost:80"),
        ("http://[::1]:9", "http://[::1]:9"),
    ],
)
def test_loopback_url_is_reduced_to_its_address(url, base):
    """Each spelling of this machine with a port is accepted, without path and query."""
    assert loopback_url(url) == base


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:8080",
        "http://",
        "http://127.0.0.1",
        "http://127.0.0.1:0",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:http",
        "https://127.0.0.1:8080",
        "ftp://127.0.0.1:8080",
        "file:///etc/passwd",
        "http://192.168.0.1:8080",
        "http://0.0.0.0:8080",
        "http://api.twitch.tv:80",
        "http://127.0.0.1.example.com:80",
        "http://127.0.0.1:80@example.com:80",
        "http://example.com\\@127.0.0.1:80",
        "http://user:password@127.0.0.1:80",
        "http://[::2]:80",
        "http://[::1:80",
    ],
)
def test_loopback_url_of_another_machine_raises(url):
    """Credentials travel to the stand-in, so anything that is not clearly this machine is refused."""
    with pytest.raises(ValueError, match=r"."):
        loopback_url(url)


# --- stand-in routing -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make", [new_session, lambda t, s: configure_session(Streamlink().http, t, s)], ids=["", "hls"]
)
def test_standin_receives_requests_unchanged(make):
    """Requests to any host, https or http, arrive with their original `Host` header."""
    with (
        ScriptedServer([Reply(body=b"1"), Reply(body=b"2"), Reply(body=b"3")]) as server,
        make(5, server.url) as session,
    ):
        assert session.get("https://api.twitch.tv/helix/games?id=1&id=2").text == "1"
        assert session.post("http://example.com/a/b", data="x").text == "2"
        assert session.get("https://video.example:8443/1.ts").text == "3"
        asked = [(host, path, query) for host, path, query, _ in server.requests]
    assert asked == [
        ("api.twitch.tv", "/helix/games", {"id": ["1", "2"]}),
        ("example.com", "/a/b", {}),
        ("video.example:8443", "/1.ts", {}),
    ]


@pytest.mark.parametrize("make", [requests.Session, lambda: Streamlink({"webbrowser": False}).http])
def test_configured_session_sets_tcp_nodelay(make):
    """Also on Streamlink's sockets, a POST's body does not wait for an acknowledgement of its headers."""
    with ScriptedServer([Reply()]) as server, make() as session:
        configure_session(session, 5, server.url)
        with session.post("https://gql.twitch.tv/gql", data=b"x", stream=True) as response:
            descriptor = socket.socket(fileno=os.dup(response.raw._connection.sock.fileno()))
            with descriptor as connection:
                assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_redirect_goes_to_the_standin_without_the_token():
    """The stand-in receives the new host's name, but not the Authorization header."""
    moved = Reply(302, headers={"Location": "https://elsewhere.example/new?x=1"})
    with ScriptedServer([moved, Reply(body=b"here")]) as server, new_session(5, server.url) as session:
        response = session.get("https://old.example/a", headers={"Authorization": "Bearer secret"})
        assert (response.text, response.url) == ("here", "https://elsewhere.example/new?x=1")
        (host, path, query, headers) = server.requests[1]
    assert (host, path, query) == ("elsewhere.example", "/new", {"x": ["1"]})
    assert "Authorization" not in headers


def test_session_without_a_standin_uses_the_urls_host():
    """Stand-in routing is off by default."""
    with ScriptedServer([Reply(body=b"me")]) as server, new_session(5) as session:
        assert session.get(f"{server.url}/x").text == "me"
        assert server.requests[0][0] == server.url.removeprefix("http://")


FETCH = """
import sys
from data.http.session import new_session
with new_session(5, sys.argv[2]) as session:
    print(session.get(sys.argv[1]).text)
"""


def fetched_behind(proxy: str, url: str, standin: str) -> str:
    """Return what a process gets from `url` if its environment names `proxy` for all protocols."""
    command = [sys.executable, "-c", FETCH, url, standin]
    env = {**os.environ, "http_proxy": proxy, "https_proxy": proxy, "ALL_PROXY": proxy, "no_proxy": "", "NO_PROXY": ""}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True).stdout.strip()


def test_proxy_settings_apply_only_without_a_standin():
    """Requests use the proxy, but those to a stand-in never do."""
    with ScriptedServer([Reply(body=b"proxy")]) as proxy, ScriptedServer([Reply(body=b"stand-in")]) as standin:
        assert fetched_behind(proxy.url, "https://api.twitch.tv/x", standin.url) == "stand-in"
        assert not proxy.requests
        assert fetched_behind(proxy.url, "http://api.twitch.tv/x", "") == "proxy"
        assert proxy.requests[0][0] == "api.twitch.tv"


# --- timeouts and retries -------------------------------------------------------------------------


def test_silent_server_raises_after_the_timeout():
    """The session's timeout counts, or the caller's own; a silent server gets no second request."""
    with ScriptedServer([Reply(silence_s=20)] * 2) as server, new_session(0.3, server.url) as session:
        for timeout_s, own in [(0.3, {}), (1.0, {"timeout": 1.0})]:
            start = time.monotonic()
            with pytest.raises(requests.Timeout):
                session.get("https://silent.example/", **own)
            assert timeout_s <= time.monotonic() - start < timeout_s + 10
        assert len(server.requests) == 2  # no retry after silence: the server may have processed the request


def test_refused_connection_is_retried():
    """A server that starts to listen a moment later receives one request."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))  # bound, not listening: connections are refused

        def serve() -> None:
            time.sleep(0.2)
            listener.listen()
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nlate")

        thread = threading.Thread(target=serve)
        thread.start()
        with new_session(5) as session:
            assert session.get(f"http://127.0.0.1:{listener.getsockname()[1]}/").text == "late"
        thread.join(5)


def test_error_status_is_not_retried():
    """The caller decides what to do about a 503."""
    with ScriptedServer([Reply(503)]) as server, new_session(5, server.url) as session:
        assert session.get("https://busy.example/").status_code == 503
        assert len(server.requests) == 1


def test_unreachable_server_raises_soon():
    """Three attempts to connect, then an error."""
    with ScriptedServer([]) as server:
        url = server.url
    start = time.monotonic()
    with new_session(5, url) as session, pytest.raises(requests.ConnectionError):
        session.get("https://gone.example/")
    assert time.monotonic() - start < 20


# --- bodies ---------------------------------------------------------------------------------------


def body(reply: Reply, deadline_s: float = 5, limit_bytes: int = 1_000_000) -> bytes:
    """Return the result of read_body; check that the response is closed, also after an error."""
    with ScriptedServer([reply]) as server, new_session(1, server.url) as session:
        response = session.get("https://files.example/x", stream=True)
        try:
            return read_body(response, deadline_s, limit_bytes)
        finally:
            assert response.raw.closed


def test_read_body_returns_the_decompressed_body():
    """Plain and gzip bodies are returned exactly, also at the size limit."""
    data = bytes(range(256)) * 2000
    assert body(Reply(body=data), limit_bytes=len(data)) == data
    assert body(Reply(body=gzip.compress(data), headers={"Content-Encoding": "gzip"})) == data
    assert body(Reply()) == b""


def test_trickling_body_raises_at_the_deadline():
    """The deadline is for the whole body; bytes that keep coming do not extend it."""
    start = time.monotonic()
    with pytest.raises(ResponseTooSlow, match=r"files\.example"):
        body(Reply(body=b"x" * 1000, byte_pause_s=0.05), deadline_s=0.5)
    assert 0.5 <= time.monotonic() - start < 20


def test_trickling_body_without_stream_raises_at_the_deadline():
    """Requests without stream=True, such as Streamlink's, have a deadline too."""
    with ScriptedServer([Reply(body=b"x" * 1000, byte_pause_s=0.05)]) as server, requests.Session() as session:
        configure_session(session, 1, server.url, deadline_s=0.5)
        start = time.monotonic()
        with pytest.raises(ResponseTooSlow):
            session.get("https://gql.example/")
        assert time.monotonic() - start < 20


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_trickling_headers_raise_at_the_deadline(standin, stream):
    """A status line that comes byte by byte restarts the socket's timeout, but not the deadline."""
    standin.add_fault(Fault("trickle", faults.trickle(0.05)))
    with requests.Session() as session:
        configure_session(session, 1, standin.url, deadline_s=0.5)
        start = time.monotonic()
        with pytest.raises(requests.exceptions.ReadTimeout):
            session.get("https://api.twitch.tv/helix/games/top", stream=stream)
        assert time.monotonic() - start < 20


def test_trickling_chunk_size_raises_at_the_deadline():
    """The line with the size of a chunk has the same deadline."""
    reply = Reply(body=b"5;" + b"x" * 1000, headers={"Transfer-Encoding": "chunked"}, byte_pause_s=0.05)
    with ScriptedServer([reply]) as server, requests.Session() as session:
        configure_session(session, 1, server.url, deadline_s=0.5)
        start = time.monotonic()
        with pytest.raises(requests.exceptions.RequestException):
            session.get("https://gql.example/")
        assert time.monotonic() - start < 20


def test_chunked_body_and_long_headers_are_read():
    """The header deadline changes neither of them, nor the reuse of the connection."""
    body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (b"a" * 70, b"b", b""))
    chunked = Reply(body=body, headers={"Transfer-Encoding": "chunked", "X-Long": "y" * 9000})
    with ScriptedServer([chunked, Reply(body=b"second")]) as server, new_session(2, server.url) as session:
        first = session.get("https://a.example/")
        assert (first.content, len(first.headers["X-Long"])) == (b"a" * 70 + b"b", 9000)
        assert session.get("https://a.example/").content == b"second"


def test_close_closes_connections_that_a_response_still_holds(standin):
    """Also while a response, and so its connection pool, is still referenced."""
    threads = set(threading.enumerate())
    with new_session(2, standin.url) as session:
        response = session.get("https://api.twitch.tv/helix/games/top", stream=True)
        read_body(response, 2, 10**6)
    end = time.monotonic() + 30
    while set(threading.enumerate()) - threads and time.monotonic() < end:
        time.sleep(0.02)
    assert not set(threading.enumerate()) - threads  # the server's thread has noticed the end
    assert response.raw is not None


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip bomb"])
def test_body_beyond_the_limit_raises(packed):
    """The limit is for the decompressed size, so a gzip bomb is stopped."""
    data = b"\0" * 3_000_000
    reply = Reply(body=gzip.compress(data), headers={"Content-Encoding": "gzip"}) if packed else Reply(body=data)
    with pytest.raises(ResponseTooLarge, match="1000000"):
        body(reply)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=b"half", promised=8),
        Reply(body=b"no gzip", headers={"Content-Encoding": "gzip"}),
        Reply(body=gzip.compress(b"x" * 9999)[:-20], headers={"Content-Encoding": "gzip"}, promised=9999),
    ],
    ids=["cut off", "not what it says", "cut off and packed"],
)
def test_broken_body_raises_an_exception_of_requests(reply):
    """Callers have to handle only exceptions of requests."""
    with pytest.raises(requests.RequestException):
        body(reply)


def test_pause_within_the_body_raises_a_timeout():
    """A body that pauses for longer than the session's timeout ends there."""
    with pytest.raises(requests.Timeout):
        body(Reply(body=b"xx", byte_pause_s=3), deadline_s=20)


# --- traffic --------------------------------------------------------------------------------------


def test_traffic_counts_responses_and_what_was_received_of_them():
    """Each response counts, a redirect too; the bytes are those on the wire, headers included, not those unpacked."""
    body = gzip.compress(bytes(1_000_000))
    replies = [Reply(302, headers={"Location": "/next"}), Reply(body=body, headers={"Content-Encoding": "gzip"})]
    before = COUNTER.total()
    with ScriptedServer(replies) as server, new_session(5) as session:
        assert len(session.get(server.url).content) == 1_000_000
    difference = COUNTER.total() - before
    assert difference.requests == 2
    assert len(body) < difference.bytes < len(body) + 2000
