"""Event log: the newest messages of the wall, numbered; each client reads on from the last one that it has.

A message's id is `<boot>-<n>`: `boot` differs from start to start of the server, `n` counts from 1. There is no queue
for each client: one that stalls falls behind, finds that the oldest messages are gone, and gets a reset. So the log's
size bounds the memory, and no client slows another one.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import Any

_MAX_MESSAGES = 4096  # a few minutes of 50 channels, some 3 MB
_MAX_DIGITS = 15


@dataclass(frozen=True, slots=True)
class Message:
    """What clients get. `data`: JSON."""

    id: str
    name: str
    data: str


class EventLog:
    """A ring of messages. Thread-safe."""

    def __init__(self, size: int = _MAX_MESSAGES) -> None:
        self.closed = False  # whether clients shall leave
        self._boot = secrets.token_hex(4)
        self._count = 0
        self._messages: deque[Message] = deque(maxlen=size)
        self._lock = threading.Lock()

    @property
    def last_id(self) -> str:
        """Return the id of the newest message."""
        return f"{self._boot}-{self._count}"

    def append(self, name: str, tile: dict[str, Any] | None, event: dict[str, Any] | None = None) -> None:
        """Add a message: what changed of a tile, and the event that changed it."""
        data = json.dumps({"tile": tile, "event": event}, ensure_ascii=False, separators=(",", ":"))
        with self._lock:
            self._count += 1
            self._messages.append(Message(self.last_id, name, data))

    def after(self, seen: str) -> list[Message]:
        """Return the messages that follow the one with the id `seen`; a `reset` if they are not all here any more."""
        with self._lock:
            missing = self._count - self._number(seen)
            if 0 <= missing <= len(self._messages):
                return list(islice(reversed(self._messages), missing))[::-1]
            return [Message(self.last_id, "reset", '{"tile":null,"event":null}')]

    def _number(self, seen: str) -> int:
        """Return the number of a message with this id; of an invalid id or one of another start, -1."""
        boot, _, number = seen.partition("-")
        is_valid = boot == self._boot and number.isascii() and number.isdecimal() and len(number) <= _MAX_DIGITS
        # -1 is further back than any message: the log may be empty, or hold all messages.
        return int(number) if is_valid else -1 - len(self._messages)
