"""MQTT broker: amqtt in a thread of its own, which records each message that it accepts."""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import dataclass
from typing import Any

from amqtt.broker import Broker
from amqtt.plugins.base import BasePlugin

from tests.receivers.ports import free_port


@dataclass(frozen=True)
class Published:
    """A message that the broker accepted."""

    topic: str
    payload: bytes
    qos: int
    retained: bool


class MqttBroker:
    """A broker on a free port of the loopback address. `published` holds all messages, also over restarts."""

    def __init__(self) -> None:
        self.port = free_port()
        self.published: list[Published] = []
        _RECORDS[self.port] = self.published
        self.start()

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Listen; retained messages of before are forgotten."""
        started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(started)), daemon=True)
        self._thread.start()
        assert started.wait(10)

    def stop(self) -> None:
        """Close all connections and stop."""
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(10)

    def __enter__(self) -> MqttBroker:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def payloads(self, topic: str) -> list[bytes]:
        """Return the payloads of a topic, in their order."""
        return [message.payload for message in [*self.published] if message.topic == topic]

    async def _serve(self, started: threading.Event) -> None:
        logging.getLogger("amqtt").setLevel(logging.CRITICAL)
        logging.getLogger("transitions").setLevel(logging.CRITICAL)
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        plugins: dict[str, Any] = {
            "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True},
            "tests.receivers.broker.Recorder": {"port": self.port},
        }
        listeners = {"default": {"type": "tcp", "bind": self.address}}
        broker = Broker({"listeners": listeners, "plugins": plugins})
        await broker.start()
        started.set()
        await self._stopping.wait()
        await broker.shutdown()


_RECORDS: dict[int, list[Published]] = {}  # by port: amqtt makes the plugin itself


class Recorder(BasePlugin[Any]):
    """Records what the broker accepts."""

    @dataclass
    class Config:
        """Options of the plugin. port: of the broker."""

        port: int = 0

    async def on_broker_message_received(self, *, client_id: str, message: Any) -> None:
        """Record a message."""
        retained = bool(message.publish_packet.retain_flag)
        published = Published(message.topic, bytes(message.data), message.qos, retained)
        _RECORDS[self.config.port].append(published)
