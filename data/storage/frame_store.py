"""Frame store: the interface (Protocol) to the dataset's frames. `FrameFolder` is the implementation on a local disk.

Build the store with `data.factories.make_frame_store`; only the store knows where a frame's bytes are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from data.entities import Game, StoredFrame


@dataclass(frozen=True, slots=True)
class FolderScan:
    """Everything in a store, read once. Paths are relative to its root and may hold undecodable bytes."""

    frames: tuple[StoredFrame, ...]  # in no order
    games: frozenset[int]  # ids of all games, also of those without a frame
    unrecognised: tuple[str, ...]  # paths whose names are not ours, sorted
    stale_files: tuple[str, ...]  # temporary files whose writers are gone, sorted
    unreadable: tuple[str, ...]  # folders of games that cannot be listed, such as a link to an unmounted disk


class FrameStore(Protocol):
    """Frames and the names of their games. Every method raises FolderError; several processes may use one store."""

    @property
    def location(self) -> str:
        """Where the frames are, for messages: a path or a URL."""

    def frames(self) -> Iterator[StoredFrame]:
        """Yield every frame, in no order; nothing when the store does not exist yet."""

    def read(self, frame: StoredFrame) -> bytes:
        """Return the frame's JPEG bytes."""

    def save(self, game_id: int, login: str, jpegs: Sequence[bytes]) -> list[StoredFrame]:
        """Store each of `jpegs` as the login's next frame in this game, all or none; return the frames in order."""

    def delete(self, frames: Iterable[StoredFrame]) -> None:
        """Delete these frames; a frame that is already gone is no error."""

    def game_names(self) -> Mapping[int, str]:
        """Return the games' names by id."""

    def add_games(self, games: Iterable[Game]) -> None:
        """Add these games, or rename those that are there."""

    def scan(self) -> FolderScan:
        """Return everything in the store. Raises FolderError also when the store does not exist."""

    def remove_stale_files(self, scan: FolderScan) -> None:
        """Delete the stale temporary files that `scan` found."""

    def size_bytes(self) -> int:
        """Return the size of all files, in bytes."""
