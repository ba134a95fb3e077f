"""Facts of an export: what its card, its description for machines and its report say, counted while it is written."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from data.entities import StoredFrame
from data.exchange.layout import Layout
from data.exchange.sample import SPLITS, Split
from data.storage.manifest import to_iso


@dataclass(frozen=True)
class ExportedFile:
    """A file that holds samples, or lists those in other files."""

    samples: int
    size_bytes: int
    sha256: str  # hexadecimal


@dataclass
class Facts:
    """What an export holds so far."""

    format: str  # a name of `data.exchange.formats.FORMATS`
    layout: Layout
    logins: bool  # whether it has logins instead of pseudonyms
    samples: Counter[tuple[Split, int]] = field(default_factory=Counter)  # by split and game
    streamers: dict[tuple[Split, int], set[str]] = field(default_factory=lambda: defaultdict(set))
    languages: Counter[str] = field(default_factory=Counter)
    days: set[str] = field(default_factory=set)  # on which the frames were grabbed, YYYY-MM-DD in UTC
    files: dict[str, ExportedFile] = field(default_factory=dict)  # shards and lists of samples, by name
    size_bytes: int = 0  # of all files
    left_out: int = 0  # frames that could not be read

    def add(self, split: Split, frames: Iterable[StoredFrame]) -> None:
        """Count samples."""
        for frame in frames:
            self.samples[split, frame.game_id] += 1
            self.streamers[split, frame.game_id].add(frame.login)
            self.languages[frame.details.language] += 1
            if day := to_iso(frame.details.grabbed_at)[:10]:
                self.days.add(day)

    def samples_of(self, split: Split) -> int:
        """Return the number of a split's samples."""
        return sum(count for (other, _), count in self.samples.items() if other == split)

    def streamers_of(self, split: Split) -> int:
        """Return the number of a split's streamers."""
        return len(set().union(*(logins for (other, _), logins in self.streamers.items() if other == split)))

    def games_without(self, split: Split) -> int:
        """Return the number of games that have no sample in a split."""
        return sum(not self.samples[split, game_id] for game_id in {game_id for _, game_id in self.samples})

    @property
    def splits(self) -> list[Split]:
        """The splits that have samples, in order."""
        return [split for split in SPLITS if self.samples_of(split)]

    @property
    def total(self) -> int:
        """Number of samples."""
        return self.samples.total()
