"""data.http.session: the one way to the network, against real sockets on this machine."""

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
from tests.scripted_server import Reply, ScriptedServer
from tests.standin import Fault, faults

ROOT = Path(__file__).resolve().parents[2]


# --- the stand-in's address -----------------------------------------------------------------------


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
def test_a_loopback_address_is_accepted(url, base):
    """Whatever names this machine and a port is taken, without path and query."""
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
def test_any_other_address_is_refused(url):
    """Credentials travel to the stand-in: what is not plainly this machine raises ValueError."""
    with pytest.raises(ValueError, match=r"."):
        loopback_url(url)


# --- the detour -----------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [new_session, lambda t, s: configure_session(Streamlink().http, t, s)], ids=["", "hls"])
def test_the_detour_keeps_host_path_and_method(make):
    """Requests for any host, https or http, reach the stand-in as they were, `Host` header included."""
    with ScriptedServer([Reply(body=b"1"), Reply(body=b"2"), Reply(body=b"3")]) as server, make(5, server.url) as session:
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
def test_nothing_waits_for_more_to_send(make):
    """TCP_NODELAY is on, also on Streamlink's sockets: a POST's body does not wait for the acknowledged headers."""
    with ScriptedServer([Reply()]) as server, make() as session:
        configure_session(session, 5, server.url)
        with session.post("https://gql.twitch.tv/gql", data=b"x", stream=True) as response:
            descriptor = socket.socket(fileno=os.dup(response.raw._connection.sock.fileno()))
            with descriptor as connection:
                assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_redirects_stay_within_the_detour():
    """A redirect to another host is followed to the stand-in, with that host's name and without the token."""
    moved = Reply(302, headers={"Location": "https://elsewhere.example/new?x=1"})
    with ScriptedServer([moved, Reply(body=b"here")]) as server, new_session(5, server.url) as session:
        answer = session.get("https://old.example/a", headers={"Authorization": "Bearer secret"})
        assert (answer.text, answer.url) == ("here", "https://elsewhere.example/new?x=1")
        (host, path, query, headers) = server.requests[1]
    assert (host, path, query) == ("elsewhere.example", "/new", {"x": ["1"]})
    assert "Authorization" not in headers


def test_without_a_standin_requests_go_to_their_own_host():
    """No detour is made where none is set."""
    with ScriptedServer([Reply(body=b"me")]) as server, new_session(5) as session:
        assert session.get(f"{server.url}/x").text == "me"
        assert server.requests[0][0] == server.url.removeprefix("http://")


FETCH = """
import sys
from data.http.loopback import loopback_url
from data.http.session import ResponseTooLarge, ResponseTooSlow, configure_session, new_session, read_body
with new_session(5, sys.argv[2]) as session:
    print(session.get(sys.argv[1]).text)
"""


def fetched_behind(proxy: str, url: str, standin: str) -> str:
    """What a process whose environment names `proxy` for everything gets from `url`."""
    command = [sys.executable, "-c", FETCH, url, standin]
    env = {**os.environ, "http_proxy": proxy, "https_proxy": proxy, "ALL_PROXY": proxy, "no_proxy": "", "NO_PROXY": ""}
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True).stdout.strip()


def test_proxies_of_the_environment_count_for_the_network_alone():
    """Behind a proxy requests go through it, but those for a stand-in never do."""
    with ScriptedServer([Reply(body=b"proxy")]) as proxy, ScriptedServer([Reply(body=b"stand-in")]) as standin:
        assert fetched_behind(proxy.url, "https://api.twitch.tv/x", standin.url) == "stand-in"
        assert not proxy.requests
        assert fetched_behind(proxy.url, "http://api.twitch.tv/x", "") == "proxy"
        assert proxy.requests[0][0] == "api.twitch.tv"


# --- timeouts and retries -------------------------------------------------------------------------


def test_a_timeout_is_applied_where_the_caller_set_none():
    """A server that says nothing is left after the session's timeout, or after the caller's own."""
    with ScriptedServer([Reply(silence_s=20)] * 2) as server, new_session(0.3, server.url) as session:
        for timeout_s, own in [(0.3, {}), (1.0, {"timeout": 1.0})]:
            start = time.monotonic()
            with pytest.raises(requests.Timeout):
                session.get("https://silent.example/", **own)
            assert timeout_s <= time.monotonic() - start < timeout_s + 2
        assert len(server.requests) == 2  # silence is not asked again: the request may have been understood


def test_a_refused_connection_is_tried_again():
    """A server that begins to listen a moment later is reached, with one request."""
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


def test_an_answer_is_never_asked_for_twice():
    """A 503 is an answer: what to do with it is the caller's to say."""
    with ScriptedServer([Reply(503)]) as server, new_session(5, server.url) as session:
        assert session.get("https://busy.example/").status_code == 503
        assert len(server.requests) == 1


def test_nobody_there_ends_in_an_error_soon():
    """Connections are tried three times, not for ever."""
    with ScriptedServer([]) as server:
        url = server.url
    start = time.monotonic()
    with new_session(5, url) as session, pytest.raises(requests.ConnectionError):
        session.get("https://gone.example/")
    assert time.monotonic() - start < 5


# --- bodies ---------------------------------------------------------------------------------------


def body(reply: Reply, deadline_s: float = 5, limit_bytes: int = 1_000_000) -> bytes:
    """What read_body makes of an answer; afterwards the response is closed, whatever happened."""
    with ScriptedServer([reply]) as server, new_session(1, server.url) as session:
        response = session.get("https://files.example/x", stream=True)
        try:
            return read_body(response, deadline_s, limit_bytes)
        finally:
            assert response.raw.closed


def test_a_body_is_read_whole_and_unpacked():
    """Plain and compressed bodies come back byte for byte, also when they fill the limit."""
    data = bytes(range(256)) * 2000
    assert body(Reply(body=data), limit_bytes=len(data)) == data
    assert body(Reply(body=gzip.compress(data), headers={"Content-Encoding": "gzip"})) == data
    assert body(Reply()) == b""


def test_a_trickle_ends_at_the_deadline():
    """Bytes that keep coming reset no clock: the deadline is for the whole body."""
    start = time.monotonic()
    with pytest.raises(ResponseTooSlow, match=r"files\.example"):
        body(Reply(body=b"x" * 1000, byte_pause_s=0.05), deadline_s=0.5)
    assert 0.5 <= time.monotonic() - start < 3


def test_a_trickle_cannot_hold_a_plain_request_either():
    """What reads a body at once, as Streamlink does, has a deadline as well."""
    with ScriptedServer([Reply(body=b"x" * 1000, byte_pause_s=0.05)]) as server, requests.Session() as session:
        configure_session(session, 1, server.url, deadline_s=0.5)
        start = time.monotonic()
        with pytest.raises(ResponseTooSlow):
            session.get("https://gql.example/")
        assert time.monotonic() - start < 3


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_a_trickling_head_ends_at_the_deadline(standin, stream):
    """A status line that comes a byte at a time resets the socket's timeout with each one; the deadline holds."""
    standin.add_fault(Fault("trickle", faults.trickle(0.05)))
    with requests.Session() as session:
        configure_session(session, 1, standin.url, deadline_s=0.5)
        start = time.monotonic()
        with pytest.raises(requests.exceptions.ReadTimeout):
            session.get("https://api.twitch.tv/helix/games/top", stream=stream)
        assert time.monotonic() - start < 3


def test_a_trickling_size_of_a_chunk_ends_at_the_deadline():
    """A line within the body, the size of a chunk, has no longer."""
    reply = Reply(body=b"5;" + b"x" * 1000, headers={"Transfer-Encoding": "chunked"}, byte_pause_s=0.05)
    with ScriptedServer([reply]) as server, requests.Session() as session:
        configure_session(session, 1, server.url, deadline_s=0.5)
        start = time.monotonic()
        with pytest.raises(requests.exceptions.RequestException):
            session.get("https://gql.example/")
        assert time.monotonic() - start < 3


def test_chunks_and_long_heads_are_read_as_ever():
    """Bounded heads are heads still: a long header, none, chunks, and one connection for two answers."""
    body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (b"a" * 70, b"b", b""))
    chunked = Reply(body=body, headers={"Transfer-Encoding": "chunked", "X-Long": "y" * 9000})
    with ScriptedServer([chunked, Reply(body=b"second")]) as server, new_session(2, server.url) as session:
        first = session.get("https://a.example/")
        assert (first.content, len(first.headers["X-Long"])) == (b"a" * 70 + b"b", 9000)
        assert session.get("https://a.example/").content == b"second"


def test_closing_a_session_closes_its_connections(standin):
    """At once, even while an error's traceback holds an answer, and with it the pool that it came from."""
    threads = set(threading.enumerate())
    with new_session(2, standin.url) as session:
        answer = session.get("https://api.twitch.tv/helix/games/top", stream=True)
        read_body(answer, 2, 10**6)
    end = time.monotonic() + 3
    while set(threading.enumerate()) - threads and time.monotonic() < end:
        time.sleep(0.02)
    assert set(threading.enumerate()) == threads  # the server's thread has seen it
    assert answer.raw is not None


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzip bomb"])
def test_a_body_past_the_limit_is_dropped(packed):
    """The limit holds for what is unpacked, not for what travels."""
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
def test_a_broken_body_is_requests_own_error(reply):
    """Callers need to know requests' exceptions alone."""
    with pytest.raises(requests.RequestException):
        body(reply)


def test_silence_in_the_middle_is_a_timeout():
    """A body that stops for longer than the session's timeout ends there."""
    with pytest.raises(requests.Timeout):
        body(Reply(body=b"xx", byte_pause_s=3), deadline_s=20)
