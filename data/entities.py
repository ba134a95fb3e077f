"""The values that flow between modules: frozen, standard library only."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Game:
    """A Twitch category that is a game.

    `id` is Helix's id as a number; it may exceed 32 bits.
    """

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Stream:
    """A live stream as Helix lists it.

    `login` is `user_login`: lower-case ASCII, the last part of the channel's address. The display
    name may be empty or in any script and is no key for anything.
    """

    login: str
    game_id: int
    title: str
    language: str
    viewers: int


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a stream.

    `number` counts from 1 within one grab. `jpeg` holds img_size x img_size pixels, RGB content.
    """

    number: int
    jpeg: bytes


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """One file of the dataset: `<game_id>/<login>-<number>.jpg`."""

    game_id: int
    login: str
    number: int

    @property
    def path(self) -> str:
        """The file's path below the frames folder, with `/` on every system: the key of its row."""
        return f"{self.game_id}/{self.login}-{self.number}.jpg"
