"""Rows of audits: the values that cross the border of `data.storage.audits`, and their columns."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import sqlalchemy as sa

from data.entities import Game
from data.storage.run_store import RunRecord
from data.text import printable_line

_MAX_REASON = 500  # characters
# Fields of AuditRow that are columns of the same name.
_SAME = (
    "login",
    "viewers",
    "language",
    "stratum",
    "weight",
    "outcome",
    "screen",
    "confidence",
    "frames",
    "looks",
    "at",
)


@dataclass(frozen=True, slots=True)
class AuditRow:
    """A stream of an audit. category, shown: None for none. outcome: "" until it has been looked at."""

    login: str
    category: Game | None
    viewers: int
    language: str
    stratum: str
    weight: float
    outcome: str = ""
    shown: Game | None = None
    screen: str = ""
    confidence: float = 0.0
    frames: int = 0
    looks: int = 0
    at: datetime | None = None
    reason: str = ""
    jpeg: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class AuditCost:
    """What an audit has cost so far: wall-clock and CPU seconds, frames, HTTP requests and bytes received."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    frames: int = 0
    requests: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class AuditRecord(RunRecord):
    """An audit. scope: the same text for audits that can be compared.

    listed: number of live streams, not judged ones included. not_judged: (category, streams, viewers) of those.
    """

    listed: int
    not_judged: tuple[tuple[str, int, int], ...] = ()
    cost: AuditCost = AuditCost()
    summary: dict[str, Any] | None = None


def to_columns(row: AuditRow) -> dict[str, Any]:
    """Return the values of a row by the names of the columns."""
    values = {name: getattr(row, name) for name in _SAME}
    for name, game in (("category", row.category), ("shown", row.shown)):
        values |= {f"{name}_id": game.id if game else None, name: game.name if game else None}
    return values | {"reason": printable_line(row.reason)[:_MAX_REASON], "jpeg": row.jpeg or None}


def to_row(columns: sa.RowMapping) -> AuditRow:
    """Return the row with these values by the names of the columns; the picture may be missing."""
    games: dict[str, Any] = {
        name: None if columns[f"{name}_id"] is None else Game(columns[f"{name}_id"], columns[name] or "")
        for name in ("category", "shown")
    }
    values = {name: columns[name] for name in _SAME}
    return AuditRow(**values, **games, reason=columns["reason"], jpeg=bytes(columns.get("jpeg") or b""))


def to_record(row: sa.Row[Any]) -> AuditRecord:
    """Return the audit of a row. JSON that somebody has damaged counts as none."""
    cost = AuditCost(row.seconds, row.cpu_seconds, row.frames, row.requests, row.bytes)
    summary = _json(row.summary or "null")
    try:
        counts = tuple((str(name), int(streams), int(viewers)) for name, streams, viewers in _json(row.not_judged))
    except (TypeError, ValueError):
        counts = ()
    summary = summary if isinstance(summary, dict) else None
    started = row.started.astimezone(timezone.utc)  # the server's time zone is that of somebody else
    return AuditRecord(row.id, row.scope, row.model, started, row.listed, counts, cost, summary)


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
