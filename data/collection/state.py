"""A download's plan, and the tally of what has come of it so far."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Plan:
    """How much of what: the settings of the same names."""

    max_games: int
    min_streamers: int
    non_games: frozenset[int]
    streams_per_game: int
    stream_tries: int
    frames_per_stream: int
    streamer_share: float
    games_interval_s: float
    rest_s: float
    helix_pause_s: float
    parallel_streams: int
    frames: int | None = None  # stop after so many


@dataclass
class Tally:
    """What a run has done so far; the display reads it while the loop writes it."""

    frames: Counter[str] = field(default_factory=Counter)  # by game's name
    left_out: Counter[str] = field(default_factory=Counter)  # frames that were not kept, by reason
    streams: int = 0
    failures: Counter[str] = field(default_factory=Counter)  # by reason
    passed_over: set[str] = field(default_factory=set)  # logins of streamers who have their share
    doing: str = "starting"

    @property
    def total(self) -> int:
        """Frames of all games."""
        return sum(self.frames.values())
