"""State of a download: its settings, and its counters so far."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True)
class CollectorSettings:
    """The settings of the same names (config.py says what each means), and the limit of one run."""

    max_games: int
    min_streamers: int
    non_games: frozenset[int]
    streams_per_game: int
    stream_tries: int
    frames_per_stream: int
    max_streamer_fraction: float
    games_interval_s: float
    game_cooldown_s: float
    helix_retry_interval_s: float
    parallel_streams: int
    frames: int | None = None  # stop after this number of frames; None: no limit


@dataclass
class CollectionStats:
    """Counters of one run. The loop's thread writes them; the display's thread reads them."""

    frames: Counter[str] = field(default_factory=Counter)  # saved frames by game name
    rejected: Counter[str] = field(default_factory=Counter)  # rejected frames by reason
    streams: int = 0  # tried
    failures: Counter[str] = field(default_factory=Counter)  # failed streams by reason
    over_quota: set[str] = field(default_factory=set)  # logins of streamers with their fraction of a game's frames
    status: str = "starting"  # what the loop does now, for the display

    @property
    def total(self) -> int:
        """Number of saved frames of all games."""
        return sum(self.frames.values())
