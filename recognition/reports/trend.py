"""Trend: the shares of earlier audits of one scope, and their line in a chart."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from data.text import printable_line
from recognition.reports.shares import Share

MAX_POINTS = 200
HASH = 12  # characters of a model's hash that tell models apart


@dataclass(frozen=True, slots=True)
class Observation:
    """The share of streams that show another game, in one audit.

    judged: streams that were looked at. corrected: whether the shares are without the model's errors. model: begin of
    its hash; "" if unknown.
    """

    at: datetime
    judged: int
    by_streams: Share
    by_viewers: Share
    corrected: bool
    model: str = ""

    def to_summary(self) -> dict[str, Any]:
        """Return JSON values from which `read_history` makes this observation."""
        shares = {"by_streams": asdict(self.by_streams), "by_viewers": asdict(self.by_viewers)}
        return {"judged": self.judged, "corrected": self.corrected, "model": self.model, **shares}


def read_history(history: Iterable[tuple[datetime, Mapping[str, Any]]]) -> list[Observation]:
    """Return the observations of earlier audits; invalid summaries, as another version may write, are left out."""
    found = []
    for at, summary in history:
        try:
            by_streams, by_viewers = _share(summary["by_streams"]), _share(summary["by_viewers"])
            model = printable_line(str(summary.get("model", "")))[:HASH]
            judged, corrected = int(summary["judged"]), bool(summary["corrected"])
            found.append(Observation(at, judged, by_streams, by_viewers, corrected, model))
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
            continue
    return found[-MAX_POINTS:]


def _share(stored: Mapping[str, Any]) -> Share:
    """Return a stored share. Raises ValueError, TypeError or KeyError: invalid values."""
    share = Share(*(float(stored[key]) for key in ("value", "low", "high", "low_n", "high_n")))
    if not 0 <= share.low <= share.value <= share.high <= 1:
        raise ValueError("invalid share")
    return share


@dataclass(frozen=True, slots=True)
class ChartPoint:
    """A point with its interval in a chart; all coordinates in its units, y downwards."""

    x: float
    y: float
    low: float
    high: float
    observation: Observation


def chart_points(observations: Sequence[Observation], width: float, height: float) -> tuple[list[ChartPoint], float]:
    """Return the points by time from left to right, and the share at the upper edge, at most 1."""
    top = min(1.0, 1.15 * max((o.by_streams.high for o in observations), default=1.0) or 1.0)
    times = [o.at.timestamp() for o in observations]
    first = min(times, default=0.0)
    span = max(max(times, default=0.0) - first, 1.0)

    def y(share: float) -> float:
        return round(height * (1 - share / top), 1)

    points = []
    for time, o in zip(times, observations, strict=True):
        x = round(width * (time - first) / span, 1)
        points.append(ChartPoint(x, y(o.by_streams.value), y(o.by_streams.low), y(o.by_streams.high), o))
    return points, top
