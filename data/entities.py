"""The values that flow between modules: frozen, standard library only."""

from __future__ import annotations

import re
from dataclasses import dataclass

# Twitch's own rule for a login; old accounts may be shorter than today's four characters.
_LOGIN = re.compile(r"[a-z0-9_]{1,25}")
# Numbers without leading zeros, so that a path has one spelling; 18 digits always fit a BIGINT.
_PATH = re.compile(r"([1-9][0-9]{0,17})/([a-z0-9_]{1,25})-([1-9][0-9]{0,17})\.jpg")


def is_login(text: str) -> bool:
    """Whether `text` can be a login: lower-case ASCII letters, digits, `_`; so it is safe in a file's name."""
    return _LOGIN.fullmatch(text) is not None


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
    name may be empty or in any script and is no key for anything. `game_id`: 0 where the streamer has set no category.
    """

    login: str
    game_id: int
    title: str
    language: str
    viewers: int
    game: str = ""

    @property
    def category(self) -> Game | None:
        """What the streamer says it shows, by the name that Twitch gives it; None: nothing."""
        return Game(self.game_id, self.game) if self.game_id else None


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a stream.

    `number` counts from 1 within one grab. `jpeg` holds img_size x img_size pixels, RGB content.
    `date`: when its segment was made, epoch seconds by the stream's own clock; None where the stream does not say.
    """

    number: int
    jpeg: bytes
    date: float | None = None


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

    @classmethod
    def parse(cls, path: str) -> StoredFrame:
        """The frame that `path` (as above) names. Raises ValueError: it is no frame's path."""
        match = _PATH.fullmatch(path)
        if match is None:
            raise ValueError(f"{path!r} is no <game_id>/<login>-<number>.jpg")
        return cls(int(match[1]), match[2], int(match[3]))
