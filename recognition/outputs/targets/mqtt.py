"""MQTT target: retained topics of what each source shows, with Home Assistant's discovery.

    <prefix>/status                   online or offline, by the last will too; retained
    <prefix>/<source>/state           the current state as JSON; retained
    <prefix>/<source>/image           the last frame as JPEG; retained
    <prefix>/<source>/event           each alert as JSON, for automations; not retained
    homeassistant/device/…/config     discovery of the source as a device; retained

All messages have QoS 1. The event comes last: who sees it has the state and the frame.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from data.entities import Game, is_login
from data.errors import SettingsError
from data.text import printable, printable_line, valid_unicode
from recognition.outputs.targets.base import END, FAILURE, KINDS, Alert, DeliveryError
from recognition.outputs.targets.home_assistant import discovery_message, discovery_topic
from recognition.sources import twitch_login

_SCHEMES = {"mqtt": 1883, "mqtts": 8883}
_TOPIC = re.compile(r"[^/+#\s\0$][^+#\0]{0,99}")
_QOS = 1
_CLOSE_S = 1.0
_MIN_RECONNECT_S, _MAX_RECONNECT_S = 1, 60
_MAX_READ_BYTES = 1 << 16


class _BoundedClient(Client):
    """A client that loses the connection to a broker that announces a large packet: paho would read 256 MiB of it."""

    def _sock_recv(self, bufsize: int) -> bytes:
        # We subscribe to nothing: what a broker sends us has a few bytes.
        if bufsize > _MAX_READ_BYTES:
            raise ConnectionError("the broker sends too much")
        return super()._sock_recv(bufsize)


class MqttTarget:
    """A broker: publishes alerts, state and frames. It connects at once, so that `status` says whether we run."""

    default_kinds = frozenset(KINDS)

    def __init__(self, url: str, *, timeout_s: float = 10.0, deadline_s: float = 30.0) -> None:
        """Connect in the background. Raises SettingsError for an invalid URL.

        url: mqtt:// or mqtts://[user:password@]host[:port][/prefix][?discovery=PREFIX]; without a value: no discovery.
        timeout_s: for a connection. deadline_s: longest time of one delivery.
        """
        address = urlsplit(url)
        self._prefix, self._discovery = _topics(url)
        self.name = f"{address.scheme}://{address.hostname}"
        self.key = hashlib.sha256(url.encode(errors="surrogateescape")).hexdigest()
        self._deadline_s = deadline_s
        self._changed = threading.Condition()  # guards the next four
        self._connected = self._closing = False
        self._refusal = ""  # why the broker refuses us
        self._acknowledged: set[int] = set()  # numbers of messages
        # Messages of the last alert: paho sends them again after a lost connection, so a retry only waits for them.
        self._alert_id, self._sent = "", set[int]()
        self._announced: set[str] = set()
        self._client = self._new_client(url, timeout_s)
        self._client.connect_async(address.hostname or "", address.port or _SCHEMES[address.scheme])
        self._client.loop_start()

    def deliver(self, alert: Alert) -> None:
        """Publish the alert, and return when the broker has acknowledged all messages. Raises DeliveryError."""
        deadline = time.monotonic() + self._deadline_s
        self._wait_for(lambda: self._connected or self._refusal, deadline, "does not respond")
        if self._refusal:
            raise DeliveryError(f"refused the connection ({self._refusal})", retryable=False)
        if alert.id != self._alert_id:
            with self._changed:
                self._acknowledged.clear()
            self._sent = {self._publish(*message) for message in self._messages(alert)}
            self._alert_id = alert.id
        self._wait_for(lambda: self._sent <= self._acknowledged, deadline, "does not acknowledge")

    def close(self) -> None:
        """Publish that we are offline and disconnect. A broker without an answer delays this by one second."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
            connected = self._connected
        if connected:
            offline = self._publish(f"{self._prefix}/status", b"offline", True)
            with self._changed:
                self._changed.wait_for(lambda: offline in self._acknowledged, _CLOSE_S)
        self._client.disconnect()  # its thread ends then

    def _new_client(self, url: str, timeout_s: float) -> Client:
        address = urlsplit(url)
        client = _BoundedClient(CallbackAPIVersion.VERSION2)  # a random id: two watches must not displace each other
        client.connect_timeout = timeout_s
        client.reconnect_delay_set(_MIN_RECONNECT_S, _MAX_RECONNECT_S)
        client.will_set(f"{self._prefix}/status", b"offline", _QOS, retain=True)
        if address.username is not None:
            client.username_pw_set(unquote(address.username), unquote(address.password or ""))
        if address.scheme == "mqtts":
            client.tls_set()
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_publish = self._on_publish
        return client

    def _on_connect(self, client: Client, _: Any, __: Any, reason: ReasonCode, ___: Any) -> None:
        with self._changed:
            self._refusal = printable_line(str(reason)) if reason.is_failure else ""
            self._connected = not reason.is_failure
            self._announced.clear()  # a broker without a memory has lost them
            self._changed.notify_all()
        if not reason.is_failure:
            client.publish(f"{self._prefix}/status", b"online", _QOS, retain=True)

    def _on_disconnect(self, *_: Any) -> None:
        with self._changed:
            self._connected = False

    def _on_publish(self, _: Client, __: Any, number: int, *___: Any) -> None:
        with self._changed:
            self._acknowledged.add(number)
            self._changed.notify_all()

    def _wait_for(self, condition: Callable[[], Any], deadline: float, reason: str) -> None:
        """Wait until the condition holds. Raises DeliveryError with the reason at the deadline, or at `close`."""
        with self._changed:
            self._changed.wait_for(lambda: condition() or self._closing, deadline - time.monotonic())
            if not condition():
                raise DeliveryError(reason, retryable=True)

    def _publish(self, topic: str, payload: bytes, retain: bool) -> int:
        """Publish a message and return its number. Without the lock: paho's thread takes it too, holding its own."""
        return self._client.publish(topic, payload, _QOS, retain).mid

    def _messages(self, alert: Alert) -> list[tuple[str, bytes, bool]]:
        """Return the messages of an alert: topic, payload, whether it is retained."""
        node = node_id(alert.source)
        topic, state = f"{self._prefix}/{node}", _state(alert)
        messages = [(f"{topic}/image", alert.jpeg, True)] if alert.jpeg else []
        messages.append((f"{topic}/state", _json(state), True))
        messages.append((f"{topic}/event", _json({**alert.event, "id": alert.id, "kind": alert.kind}), False))
        if self._discovery and node not in self._announced:
            self._announced.add(node)
            config = discovery_message(self._prefix, node, state["source"], state["url"])
            messages.insert(0, (discovery_topic(self._discovery, self._prefix, node), _json(config), True))
        return messages


def node_id(source: str) -> str:
    """Return the source's part of topics and ids: a login, else what is readable and a hash, in a-z, 0-9, _ and -."""
    if login := twitch_login(source):
        return login
    readable = re.sub("[^a-z0-9]+", "_", source.partition("?")[0].rpartition("/")[2].lower()).strip("_")[:40]
    digest = hashlib.sha256(source.encode(errors="surrogatepass")).hexdigest()[:12]
    return f"{readable or 'source'}-{digest}"  # a login has no -


def _state(alert: Alert) -> dict[str, Any]:
    """Return the state that an alert leads to; it is the attributes of the sensor too."""
    login = twitch_login(alert.source)
    is_live = alert.kind not in (END, FAILURE)
    game = alert.game if is_live else None
    return {
        "source": login or printable(valid_unicode(alert.source.partition("?")[0]))[:200],
        "url": f"https://www.twitch.tv/{login}" if is_login(login) else "",
        "game": _name(game),
        "game_id": game.id if game else None,
        "known": bool(game),
        "confidence": round(alert.confidence, 4) if game else None,
        "before": _name(alert.before),
        "category": _name(alert.category),
        # A mismatch of less than two minutes may end without an alert: the retained state would keep it.
        "mismatch": alert.mismatch and alert.mismatch_reported if is_live else None,
        "live": is_live,
        "kind": alert.kind,
        "message": printable_line(alert.message)[:200],
        "time": alert.at.isoformat(timespec="seconds"),
        "id": alert.id,
    }


def _name(game: Game | None) -> str | None:
    """Return a game's name; Home Assistant accepts states of at most 255 characters."""
    return printable_line(valid_unicode(game.name))[:255] if game else None


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _topics(url: str) -> tuple[str, str]:
    """Return the prefix of our topics and that of discovery. Raises SettingsError for an invalid URL."""
    try:
        address = urlsplit(url)
        hostname, _ = address.hostname, address.port  # reading the port checks it
        (hostname or "").encode("idna")  # raises UnicodeError for a host that no server can have
        prefix = unquote(address.path.strip("/")) or "twitchcategory"
        discovery = parse_qs(address.query, keep_blank_values=True).get("discovery", ["homeassistant"])[-1].strip("/")
        valid = hostname and all(map(_TOPIC.fullmatch, filter(None, (prefix, discovery))))
    except ValueError:
        valid = False
    if not valid or address.scheme not in _SCHEMES:
        raise SettingsError(
            "--alert: invalid URL of an MQTT broker; give one like mqtt://user:password@host:1883/prefix"
        )
    return prefix, discovery
