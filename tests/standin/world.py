"""The stand-in's world: which channels there are, what they play, and how they behave."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CLIPS = Path(__file__).resolve().parent / "clips"
STILLS = frozenset({"black", "frozen", "test_card"})  # one picture for ever, encoded as video
# What the channels of clips.tsv do.
USUAL = STILLS | {"live", "offline", "source_only", "preroll", "midroll", "only_ads", "fmp4", "broken"}
# What may happen besides, and tests ask for. Of each viewer's session, after Standin's `lives_s`:
ENDINGS = frozenset(
    {
        "ended",  # the playlist says that it ended, and stays
        "silent",  # no new segment comes, and nothing says why
        "gone",  # the playlist is a 404
        "expired",  # the playlist's address is a 403; whoever asks for a new one goes on
        "rewound",  # the encoder begins again: the numbers start at 0
    }
)
ODD_PLAYLISTS = frozenset(
    {
        "discontinuity",  # now and then, without an ad
        "hidden_ad",  # ads as in midroll, told by their titles alone
        "skipping",  # now and then a segment is missing
    }
)
# All segments are bad: 8K video, no frame to begin with, nothing, half of what is promised, a page, a 404.
BAD_SEGMENTS = frozenset({"bomb", "no_key_frame", "empty", "cut_off", "not_video", "segment_404"})
BEHAVIOURS = USUAL | ENDINGS | ODD_PLAYLISTS | BAD_SEGMENTS
_NO_FRAMES = frozenset({"offline", "only_ads", "black", "test_card"}) | BAD_SEGMENTS


@dataclass(frozen=True)
class Channel:
    """A row of clips.tsv. `igdb_id` is "" for a category that is no game; `file` is absolute."""

    game_id: int
    game: str
    igdb_id: str
    login: str
    user_name: str
    language: str
    viewers: int
    title: str
    file: Path
    behaviour: str

    @property
    def user_id(self) -> str:
        """A number as Twitch gives one, made from the login."""
        return str(int.from_bytes(hashlib.sha256(self.login.encode()).digest()[:4], "big"))

    @property
    def gives_frames(self) -> bool:
        """Whether a patient viewer sees something of the game at some time."""
        return self.behaviour not in _NO_FRAMES


@dataclass(frozen=True)
class World:
    """All channels. `held_out`: logins of one channel a game, which no dataset of the demo may contain."""

    channels: tuple[Channel, ...]
    held_out: frozenset[str] = frozenset()

    @classmethod
    def load(cls, folder: Path) -> World:
        """Read `folder`/clips.tsv and, if it is there, `folder`/held_out.txt. Raises ValueError naming the line."""
        with (folder / "clips.tsv").open(encoding="utf-8", newline="") as file:
            channels = tuple(_channel(row, folder) for row in csv.DictReader(file, delimiter="\t"))
        logins = [channel.login for channel in channels]
        if twice := {login for login in logins if logins.count(login) > 1}:
            raise ValueError(f"{folder}/clips.tsv: {sorted(twice)} stand there twice")
        held_out = folder / "held_out.txt"
        return cls(channels, frozenset(held_out.read_text().split()) if held_out.exists() else frozenset())

    def without(self, logins: Collection[str]) -> World:
        """The world in which these channels do not exist."""
        return World(tuple(c for c in self.channels if c.login not in logins), self.held_out)

    def only(self, logins: Collection[str]) -> World:
        """The world in which these channels alone exist."""
        return World(tuple(c for c in self.channels if c.login in logins), self.held_out)

    def channel(self, login: str) -> Channel | None:
        """The channel of this login, if there is one."""
        return next((channel for channel in self.channels if channel.login == login), None)


def _channel(row: dict[str, str], folder: Path) -> Channel:
    if row["behaviour"] not in BEHAVIOURS:
        raise ValueError(f"{folder}/clips.tsv: {row['login']}: no behaviour {row['behaviour']!r}")
    file = (folder / row["file"]).resolve()
    if not file.is_file():
        raise ValueError(f"{folder}/clips.tsv: {row['login']}: no file {file}")
    numbers = {"game_id": int(row["game_id"]), "viewers": int(row["viewers"])}
    values: dict[str, Any] = {**row, **numbers, "file": file}
    return Channel(**values)
