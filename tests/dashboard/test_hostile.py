"""Hostile requests against a real server: no defect, no silence, no file from outside the dataset, memory bounded."""

from __future__ import annotations

import contextlib
import socket

import psutil
import pytest
from sqlalchemy import text
from websockets.exceptions import InvalidStatus, WebSocketException
from websockets.sync.client import connect

from dashboard.security import middleware, protocol
from data.factories import connect_database
from data.storage.catalog import Catalog
from tests.dashboard import attacks, datasets, raw_http
from tests.dashboard.conftest import make_settings

TOKEN = "a-token-of-enough-characters"
_REQUESTS, _STEP = 40, 11  # of each attack each 11th; benchmarks/dashboard_attacks.py sends 10,000 in all
_GROWTH_BYTES = 150 << 20


@pytest.fixture(scope="module")
def target(tmp_path_factory, postgres, dataset_files):
    """Yield a server with a dataset, a token and a session; beside the dataset lies a secret."""
    settings = make_settings(tmp_path_factory.mktemp("hostile"), dashboard_token=TOKEN, timeout_s=5, **postgres)
    datasets.copy_files(dataset_files, settings.download_path)
    with connect_database(settings) as engine, engine.begin() as connection:
        connection.execute(text("TRUNCATE games, frames RESTART IDENTITY"))
    with connect_database(settings) as engine:
        datasets.fill_catalog(settings, Catalog(engine))
    with attacks.attacked_server(settings, TOKEN) as target:
        yield target


@pytest.mark.parametrize("name", attacks.ATTACKS)
def test_attack_finds_no_defect(target, name):
    """Each request is answered, none with a defect or a secret; memory stays, and a visitor is served meanwhile."""
    process = psutil.Process()
    before = process.memory_info().rss
    outcome = attacks.run(target, name, 2 if "pictures" in name else _REQUESTS, _STEP)
    assert not outcome.defects, (outcome, outcome.example)
    assert process.memory_info().rss - before < _GROWTH_BYTES
    assert _is_served(target)


def _is_served(target):
    headers = {"Cookie": target.cookie}
    return raw_http.exchange(target.url, raw_http.request(target="/api/v1/health", headers=headers)).status == 200


def _open_socket(target, **options):
    address = target.url.replace("http", "ws", 1) + "/api/v1/watch/socket"
    return connect(address, additional_headers={"Cookie": target.cookie}, proxy=None, open_timeout=20, **options)


@pytest.mark.parametrize(
    "message", ["a" * 200_000, "a", b"\xff" * 1000, ["a"] * 500], ids=["large", "text", "bytes", "fragments"]
)
def test_socket_that_is_talked_to_stays_bounded(target, message):
    """A WebSocket is there to listen: what is sent is ignored, or ends it."""
    with contextlib.suppress(WebSocketException, OSError), _open_socket(target) as opened:
        for _ in range(50):
            opened.send(message)
    assert _is_served(target)


def test_flood_of_pings_ends_with_the_connection(target, monkeypatch):
    """The answers to pings are not read: the server stops to read, then closes."""
    monkeypatch.setattr(protocol, "_STALL_S", 0.3)
    upgrade = raw_http.request(target="/api/v1/watch/socket", headers=attacks.UPGRADE | {"Cookie": target.cookie})
    before = psutil.Process().memory_info().rss
    with raw_http.connect(target.url) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(upgrade)
        pings = (b"\x89\xfd" + b"\0" * 4 + b"p" * 125) * 500
        with contextlib.suppress(ConnectionError):
            for _ in range(2000):  # 130 MB
                connection.sendall(pings)
            pytest.fail("the connection is still open")
    assert psutil.Process().memory_info().rss - before < _GROWTH_BYTES
    assert _is_served(target)


def test_sockets_beyond_the_limit_are_refused(target, monkeypatch):
    """Streams of events and sockets are few; the others go on."""
    monkeypatch.setitem(middleware._MAX_AT_ONCE, "streams", 3)
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(_open_socket(target))
        with pytest.raises(InvalidStatus, match="503"):
            _open_socket(target)
        assert _is_served(target)


@pytest.mark.parametrize(
    ("kind", "end"),
    [("events", b"0\r\n\r\n"), ("socket", b"\x88\x02\x03\xf0")],  # the last chunk; a closing frame, code 1008
    ids=["events", "socket"],
)
def test_stream_ends_with_its_session(target, monkeypatch, kind, end):
    """A sign-out in another window ends what the session still watches; a stream of a valid session goes on."""
    monkeypatch.setattr(middleware, "_RECHECK_S", 0.1)
    session, value = target.sessions.issue()
    name = target.cookie.partition("=")[0]
    headers = {"Cookie": f"{name}={value}"} | (attacks.UPGRADE if kind == "socket" else {})
    with raw_http.connect(target.url) as connection:
        connection.sendall(raw_http.request(target=f"/api/v1/watch/{kind}", headers=headers))
        assert connection.recv(1 << 16)[9:12] in (b"200", b"101")
        connection.settimeout(0.5)  # five looks at the session
        with pytest.raises(TimeoutError):
            raw_http.read(connection)
        target.sessions.revoke(session)
        connection.settimeout(20)
        assert connection.recv(1 << 16) == end


def test_hostile_names_are_shown_as_text(target):
    """The API's answers are JSON, whatever a name holds, and no page has a name in it."""
    headers = {"Cookie": target.cookie, "User-Agent": "Mozilla/5.0"}
    answer = raw_http.exchange(target.url, raw_http.request(target="/api/v1/dataset", headers=headers))
    assert b"onerror" in answer.body
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    page = raw_http.exchange(target.url, raw_http.request(target="/dataset?q=<script>", headers=headers))
    assert page.status == 200
    assert b"onerror" not in page.body
    assert b"<script>" not in page.body
