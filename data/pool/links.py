"""Actors as the coordinator sees them, and the events that it makes of what happens to them."""

from __future__ import annotations

import logging
import math
import re
import time
from dataclasses import dataclass, field
from typing import Any

from data.pool.nodes import Node

log = logging.getLogger(__name__)

_WARNING_S = 60.0  # between two warnings of a node


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
    """A worker is gone: nothing more comes from it. Its work has ended, or ends within the next 10 s at the latest."""

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


class NodeWarnings:
    """Logs warnings of nodes, at most one a minute for each: a node may have a hundred CPUs."""

    def __init__(self) -> None:
        self._logged: dict[str, float] = {}  # by node's id

    def add(self, node: Node, text: str) -> None:
        """Log a warning of a node; a debug message if there was one within a minute."""
        now = time.monotonic()
        level = logging.WARNING if now - self._logged.get(node.id, -math.inf) > _WARNING_S else logging.DEBUG
        if level == logging.WARNING:
            self._logged[node.id] = now
        log.log(level, "%s: %s", node.address, text)


def loss_reason(error: Exception) -> str:
    """Return why an actor is lost, in words: its class, or that its node lacks the package."""
    missing = re.search(r"No module named '?([\w.]+)", str(error))
    return f"{missing[1]} is not installed there" if missing else type(error).__name__
