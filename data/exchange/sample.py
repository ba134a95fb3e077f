"""Sample: one frame of an exported dataset, its picture, and the columns that every format has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from data.entities import StoredFrame
from data.storage.manifest import to_iso

Split = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the samples' table."""

    kind: Literal["integer", "text", "time"]
    description: str


COLUMNS: Mapping[str, Column] = {
    "game_id": Column("integer", "id of the category on Twitch; from 1000000000000 on an id that Twitch does not use"),
    "game": Column("text", "name of the game, the label"),
    "login": Column("text", "the streamer"),
    "number": Column("integer", "number of the frame among those of the streamer in this game"),
    "grabbed_at": Column("time", "time of the frame, UTC"),
    "language": Column("text", "language of the stream, ISO 639-1"),
    "viewers": Column("integer", "viewers of the stream at that time"),
    "sha256": Column("text", "SHA-256 of the JPEG file, hexadecimal"),
    "title": Column("text", "title of the stream"),
    "origin": Column("text", "where the frame came from: an address, or the path of a file"),
}
_WITH_LOGINS = frozenset({"title", "origin"})  # texts that may name people


@dataclass(frozen=True, slots=True)
class Sample:
    """One frame as it is exported."""

    frame: StoredFrame  # with SHA-256 and details; its login may be a pseudonym
    game: str  # its name
    jpeg: bytes = b""  # empty in an export without pictures
    features: bytes = b""  # its vector as float16, if there are any

    @property
    def file_name(self) -> str:
        """Name of the picture's file, the same as in the dataset: `<login>-<number>.jpg`."""
        return self.frame.path.partition("/")[2]


def columns(*, logins: bool) -> dict[str, Column]:
    """Return the columns by name. logins: whether the samples have logins, titles and origins."""
    shown = {name: column for name, column in COLUMNS.items() if logins or name not in _WITH_LOGINS}
    if not logins:
        shown["login"] = Column("text", "the streamer, as a keyed hash of the login")
    return shown


def to_values(sample: Sample, names: Mapping[str, object]) -> dict[str, Any]:
    """Return the values of the columns `names`, in their order; None for an unknown one. Times are in ISO 8601."""
    frame, details = sample.frame, sample.frame.details
    values = {
        "game_id": frame.game_id,
        "game": sample.game,
        "login": frame.login,
        "number": frame.number,
        "grabbed_at": to_iso(details.grabbed_at),
        "language": details.language,
        "viewers": details.viewers,
        "sha256": frame.sha256.hex(),
        "title": details.title,
        "origin": details.origin,
    }
    return {name: None if values[name] == "" else values[name] for name in names}
