"""The live wall through the API of a real server: channels of the stand-in, events by SSE and WebSocket."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, timezone
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2 as httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from config import Settings
from dashboard.live import service, streams
from dashboard.live.service import MAX_CHANNELS, WatchService
from dashboard.live.tile import Tile, page_of
from dashboard.security.policy import Security
from dashboard.security.sources import AllowedSources
from dashboard.services import open_services
from data.errors import ModelError
from recognition.decision.verdict import Prediction
from recognition.engine import watched_stream
from recognition.engine.watched_stream import WatchedStream
from recognition.events import FrameClassified
from tests.dashboard.conftest import RunningServer, make_settings
from tests.recognition.commands import BRIGHT, DARK, save_model
from tests.recognition.schema import valid
from tests.standin import Clock, Fault, Standin, World
from tests.standin.faults import USHER, status

API = "/api/v1/watch"
KEY = f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {'A' * 22}==\r\n"
UPGRADE = {"events": "", "socket": f"Upgrade: websocket\r\nConnection: Upgrade\r\n{KEY}"}


@pytest.fixture(scope="module")
def twitch(world: World) -> Iterator[Standin]:
    """Run the stand-in with a bright channel, a dark one that declares the bright game, and an offline one."""
    bright, dark = world.channel("etr_bumpy_ride"), world.channel("dcss_minotaur_berserker")
    assert bright
    assert dark
    liar = dataclasses.replace(dark, login="liar", game_id=BRIGHT.id, game=BRIGHT.name)
    offline = dataclasses.replace(bright, login="sleeper", behaviour="offline")
    broken = dataclasses.replace(bright, login="broken_one")
    names = ("bright", *(f"more{n}" for n in range(8)))
    others = (dataclasses.replace(bright, login=name) for name in names)
    with Standin(World((*others, liar, offline, broken)), clock=Clock(speed=2)) as running:
        yield running


@pytest.fixture(scope="module")
def model_path(tmp_path_factory) -> Path:
    """Return the folder of a model that separates a dark game from a bright one."""
    return save_model(tmp_path_factory.mktemp("model"), (DARK, BRIGHT))


@pytest.fixture
def settings(tmp_path: Path, twitch: Standin, model_path: Path) -> Settings:
    """Return settings for the stand-in; there is no database."""
    return make_settings(tmp_path, model_path=model_path, **twitch.environment)


@pytest.fixture
def api(server: RunningServer) -> Iterator[httpx.Client]:
    """Yield a client of the real server."""
    with httpx.Client(base_url=server.url, timeout=20) as client:
        yield client


def wall(api: httpx.Client) -> dict[str, Any]:
    """Return the tiles by source."""
    return {tile["source"]: tile for tile in api.get(API).raise_for_status().json()["streams"]}


def wait_for(api: httpx.Client, holds: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """Ask for the wall until `holds` it; return the tiles by source."""
    end = time.monotonic() + 30
    while not holds(tiles := wall(api)):
        assert time.monotonic() < end, tiles
        time.sleep(0.05)
    return tiles


def add(api: httpx.Client, *sources: str) -> dict[str, Any]:
    """Add channels; return the answer."""
    return api.post(API, json={"sources": sources}).raise_for_status().json()


@contextmanager
def events(api: httpx.Client, after: str = "", header: str = "") -> Iterator[Iterator[tuple[str, str, dict[str, Any]]]]:
    """Yield the server-sent events as (id, name, data), as they come."""

    def parsed(lines: Iterator[str]) -> Iterator[tuple[str, str, dict[str, Any]]]:
        fields: dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(": ")
            if line:
                fields[name] = value
            elif "data" in fields:
                yield fields.pop("id"), fields.pop("event"), json.loads(fields.pop("data"))

    headers = {"Last-Event-ID": header} if header else {}
    with api.stream("GET", f"{API}/events", params={"after": after}, headers=headers) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        yield parsed(response.iter_lines())


def number(event_id: str) -> int:
    """Return the number in an event's id."""
    return int(event_id.partition("-")[2])


def test_wall_with_live_offline_and_lying_channels_tells_them_apart(api, settings):
    """Tiles show state, game, declared category and picture; hostile and repeated sources are refused."""
    hostile = ["/etc/passwd", "http://127.0.0.1:1/x.m3u8", "<script>", "a\nb", "file:///etc/passwd", "-"]
    answer = add(api, "bright", "https://www.twitch.tv/Liar", "sleeper", "nobody_here", *hostile, "BRIGHT")
    assert [tile["source"] for tile in answer["added"]] == ["bright", "liar", "sleeper", "nobody_here"]
    assert [refused["source"] for refused in answer["refused"]] == [*hostile, "BRIGHT"]
    tiles = wait_for(
        api, lambda all: all["bright"]["mismatch"] is False and all["liar"]["mismatch"] and all["sleeper"]["reason"]
    )
    bright, liar = tiles["bright"], tiles["liar"]
    assert (bright["state"], bright["game"]) == ("live", {"id": str(BRIGHT.id), "name": BRIGHT.name})
    assert (liar["game"]["name"], liar["category"]["name"]) == (DARK.name, BRIGHT.name)
    assert bright["confidence"] > 0.9
    assert bright["history"][0][2] == str(BRIGHT.id)
    assert (tiles["sleeper"]["state"], tiles["sleeper"]["reason"]) == ("offline", "offline")
    assert (tiles["nobody_here"]["state"], tiles["nobody_here"]["reason"]) == ("failing", "unknown login")
    assert "nobody_here" in tiles["nobody_here"]["message"]
    picture = api.get(bright["picture"])
    assert (picture.status_code, picture.content[:2]) == (200, b"\xff\xd8")
    logged = [valid(entry["event"]) for entry in api.get(f"{API}/log").json()["entries"]]
    assert {(event["source"], event["event"]) for event in logged} >= {("liar", "change"), ("sleeper", "failure")}
    saved = json.loads((settings.download_path / "dashboard" / "watch.json").read_text())
    assert saved == {"sources": ["bright", "liar", "sleeper", "nobody_here"]}


def test_events_when_the_client_resumes_come_once_and_in_order(api):
    """A client that leaves and resumes by Last-Event-ID, or by `after`, gets what another one gets without a break."""
    before = api.get(API).json()["last_event_id"]
    add(api, "bright")
    wait_for(api, lambda all: all["bright"]["game"])
    add(api, "liar", "more0", "more1")
    with events(api, after=before) as stream:
        whole = [next(stream) for _ in range(8)]
    with events(api, after=before) as stream:
        parts = [next(stream) for _ in range(3)]
    with events(api, after="ignored-1", header=parts[-1][0]) as stream:
        parts += [next(stream) for _ in range(2)]
    with events(api, after=parts[-1][0]) as stream:
        parts += [next(stream) for _ in range(3)]
    assert parts == whole
    assert [number(id) for id, _, _ in whole] == list(range(number(before) + 1, number(before) + 9))
    assert whole[0][1:] == ("tile", {"tile": whole[0][2]["tile"], "event": None})
    assert {"change", "tile"} == {name for _, name, _ in whole}
    tile = whole[0][2]["tile"]
    for _, name, data in whole[1:]:
        if data["event"]:
            assert valid(data["event"])["event"] == {"tile": "frame"}.get(name, name)
        if data["tile"]["id"] == tile["id"]:
            tile |= data["tile"]
    assert tile["game"] == {"id": str(BRIGHT.id), "name": BRIGHT.name}
    assert "source" not in whole[1][2]["tile"]


def test_events_after_an_id_that_is_gone_begin_with_a_reset(api, server):
    """So do those after an id of another start, of the future, or none at all; then the stream goes on."""
    log = server.services.watch.log
    for _ in range(5000):  # more than the log holds
        log.append("tile", {"id": "x"})
    boot = log.last_id.partition("-")[0]
    for seen in ("0-0", f"{boot}-999999", f"{boot}-1", f"{boot}-x", f"{boot}-", "-", "☃", f"{boot}--1"):
        with events(api, after=seen) as stream:
            assert next(stream) == (log.last_id, "reset", {"tile": None, "event": None})
            log.append("tile", {"id": "y"})
            assert next(stream) == (log.last_id, "tile", {"tile": {"id": "y"}, "event": None})


def test_socket_gives_the_events_of_the_stream(api, server):
    """A WebSocket gives what the stream gives; a message to it, or another site's Origin, ends it."""
    url = f"{server.url.replace('http', 'ws')}{API}/socket"
    before = api.get(API).json()["last_event_id"]
    add(api, "bright", "liar")
    wait_for(api, lambda all: all["liar"]["game"])
    with connect(f"{url}?after={before}", origin=server.url) as socket, events(api, after=before) as stream:
        for _ in range(6):
            message = json.loads(socket.recv(timeout=20))
            assert (message["id"], message["event"], message["data"]) == next(stream)
        socket.send("x" * 1000)
        with pytest.raises(ConnectionClosed, match="1008"):
            list(iter(lambda: socket.recv(timeout=20), None))
    with pytest.raises(InvalidStatus, match="403"):
        connect(url, origin="http://evil.example")


def test_channels_when_removed_leave_and_others_go_on(api, server):
    """The tile, its picture and its polls are gone, every client learns it, and the other channel gives frames."""
    added = add(api, "bright", "liar")["added"]
    tiles = wait_for(api, lambda all: all["bright"]["frames"] and all["liar"]["frames"])
    before = api.get(API).json()["last_event_id"]
    assert api.delete(f"{API}/{added[0]['id']}").status_code == 204
    assert api.delete(f"{API}/{added[0]['id']}").json()["status"] == 404
    assert api.get(tiles["bright"]["picture"]).status_code == 404
    with events(api, after=before) as stream:
        assert any(name == "removed" and data["tile"] == {"id": added[0]["id"]} for _, name, data in stream)
        assert {data["tile"]["id"] for _, _, data in islice(stream, 3)} == {added[1]["id"]}
    assert set(wall(api)) == {"liar"}
    assert add(api, "bright")["added"][0]["id"] != added[0]["id"]
    wait_for(api, lambda all: all["bright"]["frames"])


def test_many_adds_and_removes_leave_nothing_behind(api, server):
    """After 120 channels that came and went there are no more threads than before, and no state of a stream."""
    logins = ["bright", *(f"more{n}" for n in range(8)), *(f"nobody{n}" for n in range(31))]
    for turn in range(3):
        added = add(api, *logins)["added"]
        if turn == 1:
            wait_for(api, lambda all: all["more7"]["frames"])
        assert all(server.services.watch.remove(tile["id"]) for tile in added)
    assert wall(api) == {}
    end = time.monotonic() + 30
    while leftovers := [t.name for t in threading.enumerate() if t.name.startswith(("watch", "wall", "batcher"))]:
        assert time.monotonic() < end, leftovers
        time.sleep(0.05)
    gc.collect()
    assert not [one for one in gc.get_objects() if type(one) is WatchedStream]


@pytest.mark.parametrize(("path", "answer"), [("events", b"HTTP/1.1 200"), ("socket", b"HTTP/1.1 101")])
def test_client_that_stalls_is_cut_off_and_delays_nobody(api, server, monkeypatch, path, answer):
    """It reads nothing: the server ends its connection, while another client gets every event."""
    monkeypatch.setattr(streams, "_STALL_S", 1.0)
    log, address = server.services.watch.log, urlsplit(server.url)
    with closing(socket.socket()) as stalled, events(api) as stream:
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stalled.connect((address.hostname, address.port))
        stalled.sendall(f"GET {API}/{path} HTTP/1.1\r\nHost: {address.netloc}\r\n{UPGRADE[path]}\r\n".encode())
        assert stalled.recv(100).startswith(answer)
        first = number(log.last_id) + 1
        for _ in range(10):
            for _ in range(30):
                log.append("tile", {"id": "x", "filler": "x" * 20_000})
            assert [number(next(stream)[0]) for _ in range(30)] == list(range(first, first + 30))
            first += 30
        time.sleep(1.5)
        size = 0
        stalled.settimeout(1)  # a WebSocket's end waits for the client to agree
        with contextlib.suppress(ConnectionError, TimeoutError):
            while part := stalled.recv(1 << 20):
                size += len(part)
        assert size < 10 * 30 * 20_000


def test_restart_goes_on_with_the_channels(api, settings, listener):
    """A new server on the same folder watches the same channels, in the same order, and events of the former reset."""
    add(api, "liar", "bright")
    former = api.get(API).json()
    security = Security.create(settings, "127.0.0.1", 1)
    with open_services(settings, security) as again:
        assert [tile["source"] for tile in again.watch.tiles()[0]] == ["liar", "bright"]
        end = time.monotonic() + 30
        while not all(tile["game"] for tile in again.watch.tiles()[0]):
            assert time.monotonic() < end
            time.sleep(0.05)
        assert again.watch.log.after(former["last_event_id"])[0].name == "reset"
        assert again.watch.tiles()[0][0]["id"] != former["streams"][0]["id"]


def test_restart_with_an_invalid_file_begins_with_what_is_allowed(settings):
    """Whatever stands in the file, the server starts; its sources must pass the same check as those of a visitor."""
    file = settings.download_path / "dashboard" / "watch.json"
    file.parent.mkdir(parents=True)
    empty = WatchService(settings, lambda: pytest.fail("no channel"), AllowedSources(()).check)
    huge = json.dumps({"sources": ["x" * 1000] * 5000}).encode()
    for content in (b"", b"[]", b'{"sources": 5}', b"\xff", b"[" * 100_000, b'{"sources": [1, null]}', huge):
        file.write_bytes(content)
        empty.start()
        assert empty.tiles()[0] == []
    hostile = ["/etc/passwd", "http://127.0.0.1/", "http://10.0.0.1/x.m3u8", "file:///etc/passwd", "\ud800", "a\nb", ""]
    file.write_text(json.dumps({"sources": [*hostile, "Bright", "https://www.twitch.tv/BRIGHT/", "@bright", "liar"]}))
    with open_services(settings, Security.create(settings, "127.0.0.1", 1)) as again:
        assert [tile["source"] for tile in again.watch.tiles()[0]] == ["bright", "liar"]


def test_channel_whose_servers_fail_is_failing_and_comes_back(api, twitch, monkeypatch):
    """Its tile says why, while the others are live; it is live again when its servers are."""
    monkeypatch.setattr(watched_stream, "_REPORT_OUTAGE_AFTER_S", 0.0)
    monkeypatch.setattr(watched_stream, "_RETRY_S", 0.2)
    twitch.add_fault(Fault("down", status(503), USHER, "*broken_one*", for_s=2.0))
    add(api, "broken_one", "bright")
    tiles = wait_for(api, lambda all: all["broken_one"]["reason"] and all["bright"]["frames"])
    assert (tiles["broken_one"]["state"], tiles["broken_one"]["reason"]) == ("failing", "unavailable")
    assert tiles["bright"]["state"] == "live"
    assert wait_for(api, lambda all: all["broken_one"]["state"] == "live")["broken_one"]["reason"] == ""


def test_wall_without_a_model_says_so_until_there_is_one(tmp_path, twitch, monkeypatch):
    """A channel is refused with what to do; after a restart, its tile says it, until a model is there."""
    monkeypatch.setattr(service, "_RETRY_S", 0.2)
    settings = make_settings(tmp_path, model_path=tmp_path / "none", **twitch.environment)
    security = Security.create(settings, "127.0.0.1", 1)
    file = settings.download_path / "dashboard" / "watch.json"
    with open_services(settings, security) as services:
        with pytest.raises(ModelError):
            services.watch.add(["bright"])
        assert (services.watch.tiles()[0], file.exists()) == ([], False)
    file.write_text('{"sources": ["bright"]}')
    with open_services(settings, security) as services:
        end = time.monotonic() + 20
        while (tile := services.watch.tiles()[0][0])["state"] != "failing":
            assert time.monotonic() < end
            time.sleep(0.02)
        assert tile["reason"] == "model"
        save_model(settings.model_path, (DARK, BRIGHT))
        while (tile := services.watch.tiles()[0][0])["state"] != "live":
            assert time.monotonic() < end
            time.sleep(0.02)
        assert tile["reason"] == ""


def test_history_when_the_clock_goes_back_goes_on():
    """Points of the time that comes again are dropped; the chart does not stand still until then."""
    tile, start = Tile("bright"), datetime(2026, 11, 26, 12, tzinfo=timezone.utc)
    for after_s in (0, 6, 3600, 3606, 12, 18):
        at = start + timedelta(seconds=after_s)
        tile.apply(FrameClassified("bright", at, 1, Prediction(BRIGHT, 0.9)), None)
    times = [time - start.timestamp() for time, *_ in tile.whole()["history"]]
    assert times == [0, 6, 12, 18]


def test_wall_that_is_full_refuses_more(api, server):
    """At most 200 channels; the answer says what to do."""
    with server.services.watch._lock:
        server.services.watch._tiles |= {str(n): Tile(str(n)) for n in range(MAX_CHANNELS)}
    answer = add(api, "bright")
    assert answer["added"] == []
    assert "Remove one" in answer["refused"][0]["message"]
    assert api.post(API, json={"sources": ["x"] * 201}).status_code == 422


def test_page_of_a_source_is_an_https_address_or_none():
    """A file of results may hold any text as a source: none but these becomes a link."""
    clip = "https://clips.twitch.tv/Slug"
    pages = {"ann": "https://www.twitch.tv/ann", clip: clip, "https://kick.com/ann": "https://kick.com/ann"}
    for source in (*pages, "http://kick.com/ann", "javascript:alert(1)", "./a.mp4", "<b>", ""):
        assert page_of(source) == pages.get(source, "")
