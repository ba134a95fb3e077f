"""Interfaces (Protocols) of the download loop's collaborators, so that the loop runs unchanged on fakes in tests."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol, TypeAlias

from data.entities import Frame, FrameDetails, Game, StoredFrame, Stream

# Claims the stream of a login for the block, or raises StreamClaimed (`data.storage.claims.StreamClaims.claimed`).
Claim: TypeAlias = Callable[[str], AbstractContextManager[None]]


def no_claim(_login: str) -> AbstractContextManager[None]:
    """Claim nothing: no other process grabs streams."""
    return nullcontext()


class StreamDirectory(Protocol):
    """Directory of games and live streams (`data.twitch.helix.Helix`); the seam for another site than Twitch.

    Both methods raise DirectoryUnavailable or DirectoryUnauthorized.
    """

    def top_games(self, non_games: Iterable[int]) -> Iterator[Game]: ...  # most viewers first
    def streams_by_game(self, game_id: int, max_streams: int) -> list[Stream]: ...  # most viewers first


class FrameWriter(Protocol):
    """The part of a `data.storage.frame_store.FrameStore` that the loop needs."""

    def save(
        self, game_id: int, login: str, jpegs: Sequence[bytes], details: Sequence[FrameDetails]
    ) -> list[StoredFrame]: ...  # with sha256 and details
    def delete(self, frames: Iterable[StoredFrame]) -> None: ...
    def add_games(self, games: Iterable[Game]) -> None: ...
    def removed_games(self) -> Mapping[int, Game]: ...  # by id


class FrameIndex(Protocol):
    """The part of `data.storage.catalog.Catalog` that the loop needs."""

    def add_games(self, games: Iterable[Game]) -> None: ...
    def game_frames(self) -> Mapping[Game, int]: ...  # number of frames
    def streamer_frames(self, game_id: int) -> Mapping[str, int]: ...
    def add_frames(self, frames: Sequence[StoredFrame]) -> Collection[StoredFrame] | None: ...  # those without a row
    def remove_frames(self, frames: Iterable[StoredFrame]) -> None: ...


class FrameSource(Protocol):
    """Source of a stream's frames (`data.capture.grabber.Grabber`). Several threads call it at the same time."""

    def frames(self, login: str, max_frames: int) -> Iterator[Frame]: ...


class FrameFilter(Protocol):
    """Filter of frames (`data.filters.frame_filter`): "" keeps a frame. Several threads call it at the same time."""

    def reject_reason(self, login: str, jpeg: bytes) -> str: ...
