"""Channels: which ones exist, which clips they play, and how they behave."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import Any

CLIPS = Path(__file__).resolve().parent / "clips"
STILLS = frozenset({"black", "frozen", "test_card"})  # one image all the time, encoded as video
# Behaviours of the channels in clips.tsv.
USUAL = STILLS | {"live", "offline", "source_only", "preroll", "midroll", "only_ads", "fmp4", "broken"}
# Further behaviours, for tests. Each viewer's session ends so after Standin's `lifetime_s`:
ENDINGS = frozenset(
    {
        "ended",  # the playlist gets EXT-X-ENDLIST and stays
        "silent",  # no new segment comes, without EXT-X-ENDLIST
        "gone",  # the playlist is a 404
        "expired",  # the playlist's address is a 403; a new session continues the stream
        "rewound",  # the encoder restarts: media numbers begin at 0
    }
)
ODD_PLAYLISTS = frozenset(
    {
        "discontinuity",  # at every fifth segment, without an ad
        "hidden_ad",  # ads as in midroll, marked by their titles only
        "skipping",  # every seventh segment is missing
    }
)
# All segments are bad: 8K video, no key frame, no bytes, half of Content-Length, an HTML page, a 404.
BAD_SEGMENTS = frozenset({"bomb", "no_key_frame", "empty", "cut_off", "not_video", "segment_404"})
BEHAVIOURS = USUAL | ENDINGS | ODD_PLAYLISTS | BAD_SEGMENTS
_NO_FRAMES = frozenset({"offline", "only_ads", "black", "test_card"}) | BAD_SEGMENTS


@dataclass(frozen=True)
class Switch:
    """A channel's change to another game's clip, from the first segment that starts at `at`, epoch seconds, on."""

    at: float
    game_id: int
    game: str
    file: Path


@dataclass(frozen=True)
class Channel:
    """A row of clips.tsv.

    Args:
        igdb_id: "" for a category that is not a game.
        file: absolute path of the clip.
        switches: later changes of game, in the order of time. Helix keeps the first game: streamers forget.
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
        """Return the clip that the channel plays at this time, epoch seconds."""
        return next((switch.file for switch in reversed(self.switches) if switch.at <= at), self.file)

    @property
    def user_id(self) -> str:
        """Return a numeric id, derived from the login."""
        return str(int.from_bytes(hashlib.sha256(self.login.encode()).digest()[:4], "big"))

    @property
    def has_frames(self) -> bool:
        """Return whether the channel shows its game at some time."""
        return self.behaviour not in _NO_FRAMES


@dataclass(frozen=True)
class World:
    """All channels. `held_out`: logins of one channel a game, which the demo keeps out of its dataset."""

    channels: tuple[Channel, ...]
    held_out: frozenset[str] = frozenset()

    @classmethod
    def load(cls, folder: Path) -> World:
        """Read `folder`/clips.tsv, and held_out.txt and switches.tsv where they exist. Raises ValueError if invalid.

        switches.tsv has the columns `login`, `at` (epoch seconds) and `plays` (the login whose clip is played then).
        """
        with (folder / "clips.tsv").open(encoding="utf-8", newline="") as file:
            channels = tuple(_channel(row, folder) for row in csv.DictReader(file, delimiter="\t"))
        logins = [channel.login for channel in channels]
        if twice := {login for login in logins if logins.count(login) > 1}:
            raise ValueError(f"{folder}/clips.tsv: duplicate logins {sorted(twice)}")
        held_out, switches = folder / "held_out.txt", folder / "switches.tsv"
        world = cls(channels, frozenset(held_out.read_text().split()) if held_out.exists() else frozenset())
        return world.with_switches(_rows(switches)) if switches.exists() else world

    def with_switches(self, plan: Iterable[tuple[str, float, str]]) -> World:
        """Return this world with switches: for each the login, epoch seconds, and the login whose clip is played.

        Raises ValueError for an unknown login.
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
        """Return this world without these channels."""
        return World(tuple(c for c in self.channels if c.login not in logins), self.held_out)

    def only(self, logins: Collection[str]) -> World:
        """Return this world with these channels only."""
        return World(tuple(c for c in self.channels if c.login in logins), self.held_out)

    def channel(self, login: str) -> Channel | None:
        """Return the channel with this login, or None."""
        return next((channel for channel in self.channels if channel.login == login), None)


def _channel(row: dict[str, str], folder: Path) -> Channel:
    if row["behaviour"] not in BEHAVIOURS:
        raise ValueError(f"{folder}/clips.tsv: {row['login']}: unknown behaviour {row['behaviour']!r}")
    file = (folder / row["file"]).resolve()
    if not file.is_file():
        raise ValueError(f"{folder}/clips.tsv: {row['login']}: file not found: {file}")
    numbers = {"game_id": int(row["game_id"]), "viewers": int(row["viewers"])}
    values: dict[str, Any] = {**row, **numbers, "file": file}
    return Channel(**values)


def _rows(file: Path) -> Iterator[tuple[str, float, str]]:
    with file.open(encoding="utf-8", newline="") as text:
        for row in csv.DictReader(text, delimiter="\t"):
            yield row["login"], float(row["at"]), row["plays"]
