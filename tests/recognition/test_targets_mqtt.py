"""MQTT target, against a real broker: topics, Home Assistant's discovery, the last will, restarts and refusals."""

from __future__ import annotations

import json
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Template
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from config import Settings
from data.entities import Game
from data.errors import SettingsError
from recognition.outputs.targets.base import END, DeliveryError
from recognition.outputs.targets.factory import make_target
from recognition.outputs.targets.mqtt import MqttTarget, node_id
from tests.receivers.broker import MqttBroker
from tests.receivers.ports import free_port
from tests.recognition.alerts import alert, picture


@pytest.fixture
def broker() -> Iterator[MqttBroker]:
    """Run a broker."""
    with MqttBroker() as running:
        yield running


@contextmanager
def opened(broker: MqttBroker, path: str = "", deadline_s: float = 10.0) -> Iterator[MqttTarget]:
    """Yield a target of the broker and close it."""
    target = MqttTarget(f"mqtt://me:Secret@{broker.address}{path}", timeout_s=2, deadline_s=deadline_s)
    try:
        yield target
    finally:
        target.close()


def last(broker: MqttBroker, topic: str) -> Any:
    """Return the last JSON of a topic."""
    return json.loads(broker.payloads(topic)[-1])


def wait_until(broker: MqttBroker, topic: str, payload: bytes) -> None:
    """Wait until this is the last payload of the topic."""
    end = time.monotonic() + 20
    while broker.payloads(topic)[-1:] != [payload]:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_alert_becomes_state_frame_and_event(broker):
    """State and frame are retained, the event is not; all have QoS 1, and the event comes last."""
    with opened(broker) as target:
        target.deliver(alert(5, jpeg=picture()))
    state = last(broker, "twitchcategory/someone/state")
    assert (state["game"], state["before"], state["category"], state["mismatch"]) == (
        "VALORANT",
        "Chess",
        "VALORANT",
        False,
    )
    assert (state["id"], state["live"], state["url"]) == (f"{5:032x}", True, "https://www.twitch.tv/someone")
    assert broker.payloads("twitchcategory/someone/image") == [picture()]
    assert last(broker, "twitchcategory/someone/event")["id"] == f"{5:032x}"
    parts = [(m.topic.rpartition("/")[2], m.retained) for m in broker.published if "someone" in m.topic]
    assert parts == [("config", True), ("image", True), ("state", True), ("event", False)]
    assert {message.qos for message in broker.published} == {1}


def test_discovery_describes_three_entities(broker):
    """Home Assistant gets a device with a sensor, a binary sensor and an image, once for each source."""
    with opened(broker) as target:
        target.deliver(alert(1))
        target.deliver(alert(2))
    [text] = broker.payloads("homeassistant/device/twitchcategory/someone/config")
    config = json.loads(text)
    components = config["components"]
    assert {key: entity["platform"] for key, entity in components.items()} == {
        "game": "sensor",
        "mismatch": "binary_sensor",
        "frame": "image",
    }
    topics = {components["game"]["state_topic"], components["frame"]["image_topic"]}
    assert topics == {"twitchcategory/someone/state", "twitchcategory/someone/image"}
    assert config["availability"] == [{"topic": "twitchcategory/status"}]
    assert len({entity["unique_id"] for entity in components.values()}) == 3
    assert config["device"]["configuration_url"] == "https://www.twitch.tv/someone"


def test_state_when_the_mismatch_is_not_reported_yet_has_none(broker):
    """A mismatch that ends within two minutes ends without an alert: the retained state must not keep it."""
    with opened(broker) as target:
        target.deliver(alert(mismatch=True))
    assert last(broker, "twitchcategory/someone/state")["mismatch"] is False


@pytest.mark.parametrize(("mismatch", "state"), [(True, "ON"), (False, "OFF"), (None, "None")])
def test_templates_of_the_discovery_read_the_state(broker, mismatch, state):
    """Home Assistant's templates are Jinja; "None" is its word for unknown."""
    with opened(broker) as target:
        game = None if mismatch is None else Game(1, "Go")
        target.deliver(alert(mismatch=mismatch, mismatch_reported=True, game=game))
    components = last(broker, "homeassistant/device/twitchcategory/someone/config")["components"]
    values = {"value_json": last(broker, "twitchcategory/someone/state")}
    assert Template(components["mismatch"]["value_template"]).render(values) == state
    assert Template(components["game"]["value_template"]).render(values) == ("None" if mismatch is None else "Go")


def test_prefix_and_discovery_come_from_the_url(broker):
    """Path and `discovery=` replace the prefixes; an empty one sends no discovery."""
    with opened(broker, "/home/tv?discovery=") as target:
        target.deliver(alert())
    assert {message.topic for message in broker.published} == {
        "home/tv/status",
        "home/tv/someone/state",
        "home/tv/someone/event",
    }


def test_status_is_online_until_close(broker):
    """The target is online before its first alert, and offline after close."""
    with opened(broker):
        wait_until(broker, "twitchcategory/status", b"online")
    wait_until(broker, "twitchcategory/status", b"offline")


def test_last_will_says_offline_when_the_watch_dies(broker):
    """The broker publishes the will of a process that was killed."""
    code = (
        "from recognition.outputs.targets.mqtt import MqttTarget as T; import sys, time; T(sys.argv[1]); time.sleep(60)"
    )
    watching = subprocess.Popen([sys.executable, "-c", code, f"mqtt://{broker.address}"])
    wait_until(broker, "twitchcategory/status", b"online")
    reader = Client(CallbackAPIVersion.VERSION2)
    states: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    reader.on_message = lambda *arguments: states.put(arguments[2].payload)
    reader.connect("127.0.0.1", broker.port)
    reader.loop_start()
    reader.subscribe("twitchcategory/status", 1)
    assert states.get(timeout=20) == b"online"
    watching.kill()
    watching.wait()
    assert states.get(timeout=20) == b"offline"
    reader.disconnect()
    reader.loop_stop()


def test_end_of_a_stream_clears_the_game(broker):
    """After its end, a stream has no game and no mismatch, and is not live."""
    with opened(broker) as target:
        target.deliver(alert(kind=END, mismatch=True))
    state = last(broker, "twitchcategory/someone/state")
    assert (state["game"], state["known"], state["mismatch"], state["live"]) == (None, False, None, False)


@pytest.mark.parametrize(
    ("source", "readable"),
    [("someone", "someone"), ("https://www.twitch.tv/SomeOne", "someone"), ("a/#+$\0b\n", "b-"), ("видео", "source-")],
)
def test_node_id_is_safe(source, readable):
    """A source of any text has an id of letters, digits, _ and -; a channel's is its login."""
    assert node_id(source).startswith(readable)
    assert set(node_id(source)) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-")


def test_node_ids_of_different_sources_differ():
    """Sources with the same readable part do not share topics."""
    assert len({node_id(source) for source in ("a.mp4", "x/a.mp4", "a?mp4", "a mp4")}) == 4


def test_hostile_game_stays_json(broker):
    """A name of any length and characters is one short JSON text."""
    with opened(broker) as target:
        target.deliver(alert(game=Game(1, '"}\x1b\ud800{{ x }}' + "é" * 500), source="a" * 5000))
    [state] = [m.payload for m in broker.published if m.topic.endswith("/state")]
    assert len(json.loads(state)["game"]) <= 255
    assert len(state) < 2000


def test_alert_during_a_restart_of_the_broker_arrives_once(broker):
    """A delivery that fails while the broker is down succeeds afterwards, without a second event."""
    with opened(broker, deadline_s=0.2) as target:
        wait_until(broker, "twitchcategory/status", b"online")
        broker.stop()
        with pytest.raises(DeliveryError) as caught:
            target.deliver(alert(3))
        assert caught.value.retryable
        broker.start()
        for _ in range(100):
            try:
                target.deliver(alert(3))
            except DeliveryError:
                continue
            break
    assert len(broker.payloads("twitchcategory/someone/event")) == 1


def test_close_during_a_delivery_ends_it(broker):
    """A delivery that waits for a silent broker ends when the target closes, long before its deadline."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        target = MqttTarget(f"mqtt://127.0.0.1:{silent.getsockname()[1]}", deadline_s=60)
        timer = threading.Timer(0.1, target.close)
        timer.start()
        began = time.monotonic()
        with pytest.raises(DeliveryError):
            target.deliver(alert())
        assert time.monotonic() - began < 20
        timer.join()
    del broker


def test_broker_that_sends_a_huge_packet_is_left():
    """A packet of 256 MiB is not read: the connection ends after its length."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        target = MqttTarget(f"mqtt://127.0.0.1:{server.getsockname()[1]}")
        connection = server.accept()[0]
        with connection:
            connection.settimeout(20)
            connection.recv(1000)
            connection.sendall(b"\x20\x02\x00\x00" + b"\x30\xff\xff\xff\x7f" + bytes(1000))
            with suppress(ConnectionResetError):
                while connection.recv(1000):
                    pass
        target.close()


def test_broker_that_is_down_is_retryable_and_names_no_secret():
    """The error and the name of the target hold neither user nor password."""
    target = MqttTarget(f"mqtt://me:Secret@127.0.0.1:{free_port()}/Secret", deadline_s=0.2)
    with pytest.raises(DeliveryError) as caught:
        target.deliver(alert())
    target.close()
    assert caught.value.retryable
    assert target.name == "mqtt://127.0.0.1"
    assert "Secret" not in f"{caught.value!r}{target.name}{target.key}"


@pytest.mark.parametrize(
    "url",
    [
        "mqtt://",
        "mqtt://:Secret@",
        "mqtt://host:Secret",
        "mqtt://host/Secret/%23",
        "mqtt://host/$SYS",
        "mqtt://h?discovery=+",
    ],
)
def test_url_when_invalid_raises_without_its_secret(url):
    """The error says what a URL looks like, not what was given."""
    with pytest.raises(SettingsError, match="MQTT") as caught:
        MqttTarget(url)
    assert "Secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["ntfy://topic\ud800", "mqtt://host/a b", "discord://1/\n2", "mqtt://a..b"])
def test_factory_refuses_urls_that_no_target_can_use(tmp_path: Path, url: str):
    """A URL with a space, a line end or half a character is an invalid setting, as is an invalid host."""
    with pytest.raises(SettingsError, match="--alert"):
        make_target(url, Settings(_env_file=None, download_path=tmp_path))


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://127.0.0.1:1/hook", "127.0.0.1"),
        ("mqtt://127.0.0.1:1", "mqtt://127.0.0.1"),
        ("discord://123456789012345678/Secret", "discord"),
        ("https://discord.com/api/webhooks/123456789012345678/Secret", "discord"),
        ("https://hooks.slack.com/services/T1JJ3T3L2/A1BRTD4JD/Slack0Secret0TIiajkdnlazk", "slack"),
    ],
)
def test_factory_makes_the_target_of_each_scheme(tmp_path: Path, url: str, name: str):
    """A URL leads to a webhook, a broker or a service; also Discord's own address does."""
    target = make_target(url, Settings(_env_file=None, download_path=tmp_path))
    target.close()
    assert name in target.name
    assert "Secret" not in target.name
    assert len(target.key) == 64
