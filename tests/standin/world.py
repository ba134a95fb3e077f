"""The stand-in's world: which channels there are, what they play, and how they behave."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from operator import itemgetter
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
class Switch:
    """A channel goes over to another clip, of `game`, with its first segment that starts at `at`, epoch seconds."""

    at: float
    game_id: int
    game: str
    file: Path


@dataclass(frozen=True)
class Channel:
    """A row of clips.tsv. `igdb_id` is "" for a category that is no game; `file` is absolute.

    `switches`: what it plays later, in the order of time. Helix goes on naming the first game: streamers forget.
    """

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
    switches: tuple[Switch, ...] = ()

    def file_at(self, at: float) -> Path:
        """The clip that it plays at this time, epoch seconds."""
        return next((switch.file for switch in reversed(self.switches) if switch.at <= at), self.file)

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
        """Read `folder`/clips.tsv, and held_out.txt and switches.tsv if they are there. Raises ValueError for a slip.

        switches.tsv says who switches (`login`), when (`at`, epoch seconds) and whose game is played then (`plays`).
        """
        with (folder / "clips.tsv").open(encoding="utf-8", newline="") as file:
            channels = tuple(_channel(row, folder) for row in csv.DictReader(file, delimiter="\t"))
        logins = [channel.login for channel in channels]
        if twice := {login for login in logins if logins.count(login) > 1}:
            raise ValueError(f"{folder}/clips.tsv: {sorted(twice)} stand there twice")
        held_out, switches = folder / "held_out.txt", folder / "switches.tsv"
        world = cls(channels, frozenset(held_out.read_text().split()) if held_out.exists() else frozenset())
        return world.switching(_rows(switches)) if switches.exists() else world

    def switching(self, plan: Iterable[tuple[str, float, str]]) -> World:
        """The world in which channels switch: of each switch the login, the epoch seconds, and the login it then plays.

        Raises ValueError for a login that is none.
        """
        known = {channel.login: channel for channel in self.channels}
        switches: dict[str, list[Switch]] = {login: [] for login in known}
        for login, at, played in sorted(plan, key=itemgetter(1)):
            if login not in known or played not in known:
                raise ValueError(f"no channel {login!r} can switch to {played!r}")
            other = known[played]
            switches[login].append(Switch(at, other.game_id, other.game, other.file))
        switching = (replace(c, switches=(*c.switches, *switches[c.login])) for c in self.channels)
        return World(tuple(switching), self.held_out)

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


def _rows(file: Path) -> Iterator[tuple[str, float, str]]:
    with file.open(encoding="utf-8", newline="") as text:
        for row in csv.DictReader(text, delimiter="\t"):
            yield row["login"], float(row["at"]), row["plays"]
