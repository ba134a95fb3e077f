"""Entities: the frozen values that cross module borders. Standard library only."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

# Twitch allows 4 to 25 of these characters today; old accounts may have shorter logins.
_LOGIN = re.compile(r"[a-z0-9_]{1,25}")
_MAX_ID = 10**18 - 1
FIRST_OWN_ID = 10**12  # Twitch uses none from here on
# Without leading zeros a path has exactly one spelling; 18 digits always fit PostgreSQL's BIGINT.
_PATH = re.compile(r"([1-9][0-9]{0,17})/([a-z0-9_]{1,25})-([1-9][0-9]{0,17})\.jpg")


def is_login(text: str) -> bool:
    """Return whether `text` can be a login: 1 to 25 of a-z, 0-9 and _, so it is safe as a part of a file name."""
    return _LOGIN.fullmatch(text) is not None


def is_game_id(number: int) -> bool:
    """Return whether `number` can be a game's id: 1 to 18 digits, so it fits a path and PostgreSQL's BIGINT."""
    return 1 <= number <= _MAX_ID


def is_own_id(game_id: int) -> bool:
    """Return whether a game's id is one of our own: no id of Twitch's was known when the game was added."""
    return game_id >= FIRST_OWN_ID


@dataclass(frozen=True, slots=True)
class Game:
    """A Twitch category that is a game."""

    id: int  # Helix's id as a number; it may exceed 32 bits. From 10**12 on one of our own
    name: str  # in any script

    def is_same(self, category: Game) -> bool:
        """Return whether this is the game of a category of Twitch, whose name may have changed since."""
        # By id: Twitch renames games. A game without Helix's id has its name only.
        if is_own_id(self.id):
            return self.name.casefold() == category.name.casefold()
        return self.id == category.id


@dataclass(frozen=True, slots=True)
class Stream:
    """A live stream as Helix lists it."""

    login: str  # `user_login`, the last part of the channel's URL; the display name is no key, since it may be empty
    game_id: int  # id of the category; 0 when the streamer has set none
    title: str
    language: str  # ISO 639-1 code, or "other"
    viewers: int
    game_name: str = ""  # the category's name; empty when the streamer has set none

    @property
    def category(self) -> Game | None:
        """The category that the streamer declares; None when the streamer has set none."""
        return Game(self.game_id, self.game_name) if self.game_id else None


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of a stream, as JPEG bytes: training and recognition see identical pixels."""

    number: int  # 1, 2, … within one grab
    jpeg: bytes  # img_size x img_size pixels, RGB
    date: float | None = None  # epoch seconds of its segment, by the stream's clock; None without a clock


@dataclass(frozen=True, slots=True)
class FrameDetails:
    """What is known of a frame beyond its file: a line of the manifest, columns of its row."""

    grabbed_at: float | None = None  # epoch seconds; None: unknown
    language: str = ""  # of the stream, as in Stream; empty: unknown
    viewers: int | None = None  # of the stream at that time; None: unknown
    title: str = ""  # of the stream
    origin: str = ""  # where the frame came from: the address of a channel or recording, or the path of a file


NO_DETAILS = FrameDetails()


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """One frame of the dataset: the file `<game_id>/<login>-<number>.jpg`."""

    game_id: int
    login: str
    number: int
    sha256: bytes = field(default=b"", compare=False, repr=False)  # of the file; empty: unknown
    details: FrameDetails = field(default=NO_DETAILS, compare=False, repr=False)

    @property
    def path(self) -> str:
        """The path below the frames folder, with `/` on every system; it is the key of the frame's row."""
        return f"{self.game_id}/{self.login}-{self.number}.jpg"

    @classmethod
    def parse(cls, path: str) -> StoredFrame:
        """Return the frame with this `path`. Raises ValueError for an invalid path."""
        match = _PATH.fullmatch(path)
        if match is None:
            raise ValueError(f"invalid frame path {path!r}: expected <game_id>/<login>-<number>.jpg")
        return cls(int(match[1]), match[2], int(match[3]))
