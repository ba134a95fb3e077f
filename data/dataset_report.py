"""Report on the dataset: its numbers, from the catalog and the store, and as JSON."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from data.errors import FolderError
from data.storage.manifest import to_iso
from data.storage.suspects import SuspectCount, count_suspects

if TYPE_CHECKING:
    from data.entities import Game
    from data.storage.catalog import Catalog, GameSummary
    from data.storage.frame_store import FrameStore

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DatasetReport:
    """Numbers of the dataset."""

    path: str  # of the frames
    size_bytes: int  # of all files
    games: Sequence[GameSummary]  # by name, without regard to case
    suspects: Mapping[int, SuspectCount] | None = None  # of the last check, by game id; None: not checked
    removed_games: Sequence[Game] = ()  # by name
    trash: int = 0  # number of frames
    forgotten: int = 0  # number of streamers

    @property
    def frames(self) -> int:
        """Number of frames of all games."""
        return sum(summary.frames for summary in self.games)

    @property
    def languages(self) -> Counter[str]:
        """Number of frames by language, of all games."""
        return sum((Counter(summary.languages) for summary in self.games), Counter())

    @property
    def dates(self) -> tuple[float | None, float | None]:
        """Times of the oldest and the newest frame, epoch seconds; None: unknown."""
        first = [summary.first for summary in self.games if summary.first is not None]
        last = [summary.last for summary in self.games if summary.last is not None]
        return min(first, default=None), max(last, default=None)

    @property
    def checked(self) -> SuspectCount | None:
        """Numbers of the last check, of all games; None: not checked."""
        if self.suspects is None:
            return None
        counts = self.suspects.values()
        return SuspectCount(sum(count.checked for count in counts), sum(count.suspects for count in counts))

    @property
    def smallest(self) -> GameSummary:
        """The game with the fewest frames, the lowest id among equals. Raises ValueError without games."""
        return min(self.games, key=lambda summary: (summary.frames, summary.game.id))

    @property
    def largest(self) -> GameSummary:
        """The game with the most frames, the lowest id among equals. Raises ValueError without games."""
        return max(self.games, key=lambda summary: (summary.frames, -summary.game.id))


def report(store: FrameStore, catalog: Catalog | None) -> DatasetReport:
    """Return the numbers: of frames from the catalog, if any, the others from the store.

    Raises CatalogUnavailable, FolderError.
    """

    def by_name(game: Game) -> tuple[str, int]:
        # casefold: "apex" stands before "Zelda"; the id makes the order of equal names stable.
        return game.name.casefold(), game.id

    return DatasetReport(
        path=store.location,
        size_bytes=store.size_bytes(),
        games=sorted(catalog.games() if catalog else (), key=lambda summary: by_name(summary.game)),
        suspects=_count_suspects(store),
        removed_games=sorted(store.removed_games().values(), key=by_name),
        trash=store.trashed_frames(),
        forgotten=store.forgotten.count(),
    )


def _count_suspects(store: FrameStore) -> Mapping[int, SuspectCount] | None:
    """Return the numbers of the last check; None, after a warning, if they cannot be read."""
    try:
        return count_suspects(store)
    except FolderError as error:
        log.warning("%s", error)
        return None


def as_json(found: DatasetReport) -> str:
    """Return the report as the JSON object that `--help` describes."""
    # Scripts read these keys: add new ones, never rename or remove one.
    first, last = map(iso_time, found.dates)
    content = {
        "path": found.path,
        "size_bytes": found.size_bytes,
        "game_count": len(found.games),
        "frame_count": found.frames,
        "smallest_game": _values(found, found.smallest) if found.games else None,
        "largest_game": _values(found, found.largest) if found.games else None,
        "games": [_values(found, summary) for summary in found.games],
        "languages": found.languages,
        "first": first,
        "last": last,
        "checked": found.checked and found.checked.checked,
        "suspects": found.checked and found.checked.suspects,
        "removed_games": [asdict(game) for game in found.removed_games],
        "trash_count": found.trash,
        "forgotten_count": found.forgotten,
    }
    return json.dumps(content, indent=2)


def _values(found: DatasetReport, summary: GameSummary) -> dict[str, Any]:
    count = None if found.suspects is None else found.suspects.get(summary.game.id, SuspectCount())
    return asdict(summary.game) | {
        "frames": summary.frames,
        "streamers": summary.streamers,
        "languages": summary.languages,
        "first": iso_time(summary.first),
        "last": iso_time(summary.last),
        "checked": count and count.checked,
        "suspects": count and count.suspects,
    }


def iso_time(epoch_s: float | None) -> str | None:
    """Return epoch seconds in ISO 8601, UTC; None for None."""
    return to_iso(epoch_s) or None
