"""Layout of an export: its games, columns and shards, and the interface (Protocol) of its format."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from data.entities import StoredFrame
from data.exchange.sample import Column, Sample, Split


@dataclass(frozen=True)
class Layout:
    """What all samples of an export have in common."""

    games: Mapping[int, str]  # names by id, in the order of their labels
    columns: Mapping[str, Column]
    pictures: bool = True
    feature_size: int = 0  # of a sample's vector; 0: there are none
    network: str = ""  # that computed the vectors

    @cached_property
    def labels(self) -> dict[int, str]:
        """Names of the classes by the games' ids: the games' names, with the id where two have the same."""
        return unique_names(self.games)


@dataclass(frozen=True, slots=True)
class Shard:
    """Frames of one split that are packed together."""

    split: Split
    name: str  # `data/train-00000-of-00002`: a set of shards that lacks one is seen to lack it
    frames: tuple[StoredFrame, ...]


@dataclass(frozen=True, slots=True)
class IndexFile:
    """A file that describes samples which lie in other files."""

    name: str
    content: bytes
    samples: int  # that it names; 0: it names none


class Format(Protocol):
    """A format of exports: turns samples into files and back. It touches no file itself."""

    max_frames: int | None  # of a shard; None: a shard is as large as its bytes may be

    def pack(self, shard: Shard, samples: Iterable[Sample]) -> dict[str, bytes]:
        """Return the files of a shard by name. `samples` are read once, in their order."""

    def paths(self, files: Mapping[str, bytes]) -> Iterator[str]:
        """Yield each sample's path in the dataset from the files of a shard, which are as `pack` returned them."""

    def finish(self) -> list[IndexFile]:
        """Return the files that follow the last shard."""


def unique_names(names: Mapping[int, str]) -> dict[int, str]:
    """Return the names by id; those that are equal without regard to case get their id: "Chess (743)"."""
    unique: dict[int, str] = {}
    taken: set[str] = set()
    for game_id in sorted(names):
        name = names[game_id]
        while name.casefold() in taken:
            name = f"{name} ({game_id})"
        unique[game_id] = name
        taken.add(name.casefold())
    return {game_id: unique[game_id] for game_id in names}
