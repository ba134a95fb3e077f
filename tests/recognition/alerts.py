"""Alerts for tests."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from data.entities import Game
from recognition.outputs.targets.base import CHANGE, Alert

CHESS, VALORANT = Game(743, "Chess"), Game(516575, "VALORANT")


def alert(number: int = 1, kind: str = CHANGE, source: str = "someone", **fields: Any) -> Alert:
    """Return an alert: from Chess to VALORANT, unless the fields say otherwise."""
    values: dict[str, Any] = {"before": CHESS, "game": VALORANT, "known": True, "confidence": 0.934}
    values |= {"category": VALORANT, "mismatch": False, "event": {"event": "change", "source": source}}
    return Alert(
        f"{number:032x}", kind, source, datetime(2026, 11, 26, 12, 0, tzinfo=timezone.utc), **(values | fields)
    )


def picture() -> bytes:
    """Return bytes that begin as a JPEG does."""
    return b"\xff\xd8\xff\xe0 a picture"
