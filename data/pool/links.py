"""Actors as the coordinator sees them, and the events that it makes of what happens to them."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

from data.pool.nodes import Node


@dataclass(frozen=True, slots=True)
class Joined:
    """A worker has started. Its number is never used for another one."""

    worker: int
    node: Node


@dataclass(frozen=True, slots=True)
class Replied:
    """A worker has sent replies."""

    worker: int
    replies: list[Any]


@dataclass(frozen=True, slots=True)
class Lost:
    """A worker is gone: nothing more comes from it. If its process still runs, it ends within its lease."""

    worker: int
    reason: str


Event = Joined | Replied | Lost


@dataclass(eq=False)
class Link:
    """An actor, seen from here."""

    number: int
    node: Node
    actor: Any
    place: tuple[str, int]  # node's id, number of its CPU
    began: float = field(default_factory=time.monotonic)
    joined: bool = False
    asked_at: float = math.inf
    outgoing: list[bytes] = field(default_factory=list)
    delivering: bool = False


@dataclass
class Place:
    """A CPU of a node: failures in a row, and when the next actor may start there."""

    failures: int = 0
    retry_at: float = 0.0
