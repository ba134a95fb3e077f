"""Clients that are slow, stalled or many: a real server closes their connections and serves the others."""

from __future__ import annotations

import contextlib
import socket
import time
from types import SimpleNamespace

import pytest

from dashboard.security import bodies, middleware, protocol
from dashboard.security.policy import Security
from dashboard.services import make_services
from tests.dashboard import raw_http
from tests.dashboard.conftest import make_settings, running_server

SESSION = "/api/v1/session"


@pytest.fixture
def url(tmp_path, listener, monkeypatch):
    """Yield the address of a server whose limits of time are short; its services are not started."""
    monkeypatch.setattr(protocol, "_REQUEST_S", 0.3)
    monkeypatch.setattr(protocol, "_STALL_S", 0.3)
    monkeypatch.setattr(bodies, "_CHUNK_S", 0.3)
    monkeypatch.setattr(bodies, "_DRAIN_S", 0.1)
    settings = make_settings(tmp_path)
    with running_server(make_services(settings, Security.create(settings, "127.0.0.1", 0)), listener) as server:
        yield server.url


def _is_served(url):
    """Return whether others get answers; on a busy machine one of them may exceed the short limits, too."""
    return any(raw_http.exchange(url, raw_http.request(target=SESSION)).status == 200 for _ in range(5))


@pytest.mark.parametrize("start", [b"", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "])
def test_request_that_does_not_end_is_cut_off(url, start):
    """Slowloris: each byte of a header would keep a connection alive."""
    with raw_http.connect(url) as connection:
        end = time.monotonic() + 15
        with contextlib.suppress(ConnectionError):
            connection.sendall(start)
            connection.settimeout(0.05)
            while time.monotonic() < end:
                with contextlib.suppress(TimeoutError):
                    if not connection.recv(1):
                        break
                connection.send(start[-1:])
    assert time.monotonic() < end
    assert _is_served(url)


def test_kept_connection_that_begins_a_request_is_cut_off(url):
    """After a whole request the next one has the same time."""
    with raw_http.connect(url) as connection:
        connection.sendall(raw_http.request(target=SESSION, headers={"Connection": "keep-alive"}))
        assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET /")
        assert raw_http.read(connection).status == 0


@pytest.mark.parametrize("kind", ["application/json", "image/png"])
def test_slow_body_is_answered_with_408(url, kind):
    """JSON and uploads: the response comes, and the connection ends."""
    target = SESSION if kind == "application/json" else bodies.UPLOAD
    sent = raw_http.request("POST", target, {"Content-Type": kind, "Content-Length": "1000"})
    assert raw_http.exchange(url, sent + b"{").status == 408
    assert _is_served(url)


def test_body_that_trickles_is_answered_with_408(url):
    """Each part comes in time, but all of them too slowly."""
    with raw_http.connect(url) as connection:
        headers = {"Content-Type": "image/png", "Content-Length": "1000000"}
        connection.sendall(raw_http.request("POST", bodies.UPLOAD, headers))
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                connection.sendall(b"x")
                time.sleep(0.02)
        assert raw_http.read(connection).status in (0, 408)  # 0: reset, because more arrived than was read
    assert _is_served(url)


def test_refused_body_ends_in_time(url):
    """A client that goes on to send a body after its refusal holds no connection."""
    with raw_http.connect(url) as connection:
        headers = {"Content-Type": "text/plain", "Transfer-Encoding": "chunked", "Connection": "keep-alive"}
        connection.sendall(raw_http.request("POST", SESSION, headers))
        assert raw_http.read(connection).status == 415


def test_client_that_reads_nothing_is_cut_off(url):
    """A stalled client holds no response in the server's memory."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        host, port = url.removeprefix("http://").split(":")
        connection.connect((host, int(port)))
        connection.settimeout(20)
        request = raw_http.request(target="/static/base/style.css", headers={"Connection": "keep-alive"})
        with contextlib.suppress(ConnectionError):  # the server has closed the connection
            for _ in range(1000):
                connection.sendall(request * 50)
                time.sleep(0.05)
            pytest.fail("the connection is still open")
    assert _is_served(url)


def test_connections_beyond_the_limit_are_closed(url, monkeypatch):
    """A client that holds many idle connections cannot open more; when they are gone, all is as before."""
    monkeypatch.setattr(protocol, "_MAX_CONNECTIONS", 5)
    monkeypatch.setattr(protocol, "_REQUEST_S", 60)
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(raw_http.connect(url))
        assert raw_http.exchange(url, raw_http.request(target=SESSION)).status == 0
    end = time.monotonic() + 15
    while not _is_served(url):
        assert time.monotonic() < end


def test_operations_beyond_the_limit_are_told_to_try_again(url, monkeypatch):
    """Recognitions at a time are few."""
    monkeypatch.setitem(middleware._MAX_AT_ONCE, "recognitions", 1)
    monkeypatch.setattr(bodies, "_CHUNK_S", 60)
    upload = raw_http.request("POST", bodies.UPLOAD, {"Content-Type": "image/png", "Content-Length": "9"})
    with raw_http.connect(url) as first:
        first.sendall(upload)
        end = time.monotonic() + 15
        while (found := raw_http.exchange(url, upload + b"x" * 9)).status != 503:
            assert time.monotonic() < end
        assert int(found.headers["retry-after"]) >= 1
        assert _is_served(url)


def test_slow_clients_of_what_is_open_to_all_take_no_place(url, monkeypatch):
    """A client that begins to sign in, or to read a file, and goes no further locks nobody out."""
    monkeypatch.setitem(middleware._MAX_AT_ONCE, "other", 1)
    monkeypatch.setattr(bodies, "_CHUNK_S", 60)
    monkeypatch.setattr(protocol, "_STALL_S", 60)
    length = {"Content-Type": "application/json", "Content-Length": "9"}
    file = raw_http.request(target="/static/base/style.css", headers={"Connection": "keep-alive"})
    with contextlib.ExitStack() as stack:
        for sent in (raw_http.request("POST", SESSION, length) + b"{", file * 500):
            stack.enter_context(raw_http.connect(url)).sendall(sent)
        time.sleep(0.3)
        assert raw_http.exchange(url, raw_http.request(target="/jobs")).status == 200


def test_request_with_two_lengths_is_refused_and_ends_the_connection(url):
    """A proxy may take the other one: what it calls a body would be a request here."""
    headers = {"Content-Type": "application/json", "Content-Length": "50", "Transfer-Encoding": "chunked"}
    sent = raw_http.request("POST", SESSION, headers | {"Connection": "keep-alive"})
    answer = raw_http.exchange(url, sent + b"0\r\n\r\n" + raw_http.request(target=SESSION))
    assert (answer.status, answer.headers["connection"]) == (400, "close")
    assert b"HTTP/1.1" not in answer.body


@pytest.mark.parametrize(
    ("addresses", "crowded"),
    [
        ([f"2001:db8::{number:x}" for number in range(1, 66)], True),  # a network of one client
        ([f"2001:db8:0:{number:x}::1" for number in range(1, 66)], False),
        ([f"::ffff:192.0.2.{number}" for number in range(1, 66)], False),
        (["192.0.2.1"] * 65, True),
        (["127.0.0.1"] * 65, False),
    ],
)
def test_connections_of_one_client_are_counted(addresses, crowded):
    """One client leaves room for others; this machine is many clients."""
    connections = [SimpleNamespace(client=(address, 1)) for address in addresses]
    for connection in connections:
        connection.connections = connections
    assert protocol._is_crowded(connections[0]) is crowded


def test_response_is_not_delayed(url):
    """Headers and body are two writes: without TCP_NODELAY each response would take 40 ms."""
    with raw_http.connect(url) as connection:
        times = []
        for _ in range(15):
            start = time.perf_counter()
            connection.sendall(raw_http.request(target=SESSION, headers={"Connection": "keep-alive"}))
            data = b""
            while b"csrf_token" not in data:
                data += connection.recv(1 << 16)
            times.append(time.perf_counter() - start)
    assert sorted(times)[2] < 0.03
