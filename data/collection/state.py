"""State of a download: its settings, and its counters so far."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from data.entities import Game


@dataclass(frozen=True)
class CollectorSettings:
    """The settings of the same names (config.py says what each means), and what one run is asked for."""

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
    frames: int | None = None  # stop after this number of frames; None: no limit
    until: int | None = None  # number of frames that each game gets, then the run stops; None: no limit
    games: frozenset[int] | None = None  # ids of the only games to collect; None: all
    excluded_games: frozenset[str] = frozenset()  # ids and case-folded names of games to leave out, if `games` is None


@dataclass
class CollectionStats:
    """Counters of one run. The loop's thread writes them; the display's thread reads them."""

    frames: Counter[str] = field(default_factory=Counter)  # saved frames by game name
    rejected: Counter[str] = field(default_factory=Counter)  # rejected frames by reason
    streams: int = 0  # tried
    failures: Counter[str] = field(default_factory=Counter)  # failed streams by reason
    over_quota: set[str] = field(default_factory=set)  # logins of streamers with their fraction of a game's frames
    missing: int | None = None  # frames until every game has `until`; None: no such limit, or not counted yet
    status: str = "starting"  # what the loop does now, for the display

    @property
    def total(self) -> int:
        """Number of saved frames of all games."""
        return sum(self.frames.values())

    def add_saved(self, game: Game, frames: int) -> None:
        """Count saved frames of a game."""
        self.frames[game.name] += frames
        if self.missing is not None:
            self.missing = max(0, self.missing - frames)
