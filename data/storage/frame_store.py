"""Frame store: the interface (Protocol) to the dataset's frames. Only the store knows where a frame's bytes are.

`data.storage.frame_folder.FrameFolder` is the implementation on a local disk and documents the methods.
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
    def location(self) -> str: ...
    def frames(self) -> Iterator[StoredFrame]: ...
    def read(self, frame: StoredFrame) -> bytes: ...
    def sha256(self, frame: StoredFrame) -> bytes: ...
    def save(self, game_id: int, login: str, jpegs: Sequence[bytes]) -> list[StoredFrame]: ...
    def delete(self, frames: Iterable[StoredFrame]) -> None: ...
    def game_names(self) -> Mapping[int, str]: ...
    def add_games(self, games: Iterable[Game]) -> None: ...
    def scan(self) -> FolderScan: ...
    def remove_stale_files(self, scan: FolderScan) -> None: ...
    def size_bytes(self) -> int: ...
