"""Channels whose games change at known times: a folder for the stand-in, and what a watcher should tell of them."""

from __future__ import annotations

import csv
import dataclasses
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.standin import CLIPS, World
from tests.standin.media import TRANSCODES, Media, default_cache
from tests.standin.world import Channel

_APART_S = (40, 120)  # seconds from one switch of a channel to the next
_STEADY = 5  # one channel in so many never switches
_SLOW_S = 10.0
_MARGIN_S = 30  # neither at the beginning nor at the end


@dataclass(frozen=True)
class Plan:
    """The channels, all live; by login, what each plays from when on, epoch seconds, first what it begins with."""

    channels: tuple[Channel, ...]
    played: dict[str, list[tuple[float, int]]]

    @property
    def clips(self) -> dict[int, str]:
        """By game, the name of its clip."""
        return {channel.game_id: channel.file.stem for channel in self.channels}

    @property
    def switches(self) -> int:
        """How many there are."""
        return sum(len(games) - 1 for games in self.played.values())


def planned(count: int, start: float, seconds: float, seed: int) -> Plan:
    """So many channels, on the clips that no dataset contains, which switch between `start` and `seconds` later."""
    world, chance = World.load(CLIPS), random.Random(seed)
    sources = [channel for channel in world.channels if channel.login in world.held_out]
    channels, played = [], {}
    for index in range(count):
        login, source = f"channel_{index:03}", sources[index % len(sources)]
        channels.append(dataclasses.replace(source, login=login, user_name=login))
        played[login] = [(0.0, source.game_id)]
        at = start + _MARGIN_S + chance.uniform(0, _APART_S[1])
        while index % _STEADY and at < start + seconds - _MARGIN_S:
            others = [other.game_id for other in sources if other.game_id != played[login][-1][1]]
            played[login].append((at // 2 * 2, chance.choice(others)))
            at += chance.uniform(*_APART_S)
    return Plan(tuple(channels), played)


def write(plan: Plan, folder: Path) -> None:
    """clips.tsv and switches.tsv, and the segments that the channels will play, made beforehand."""
    names = [field.name for field in dataclasses.fields(Channel) if field.name != "switches"]
    rows = [[getattr(channel, name) for name in names] for channel in plan.channels]
    _write(folder / "clips.tsv", names, rows)
    by_game = {channel.game_id: channel.login for channel in plan.channels}
    switches = [[login, at, by_game[game]] for login, games in plan.played.items() for at, game in games[1:]]
    _write(folder / "switches.tsv", ["login", "at", "plays"], switches)
    media = Media(default_cache())
    for file in {channel.file for channel in plan.channels}:
        media.prepare(file, TRANSCODES[0])
    media.close()


def _write(path: Path, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, delimiter="\t", lineterminator="\n")
        table.writerows([head, *rows])


def compared(plan: Plan, changes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The switches found, missed, and made up, and how late they were told. `changes`: as --json prints them."""
    told: dict[str, list[dict[str, Any]]] = {login: [] for login in plan.played}
    for change in changes:
        told[change["source"]].append(change)
    delays: list[tuple[float, str]] = []
    wrong: list[str] = []
    for login, games in plan.played.items():
        ends = [at for at, _ in games[1:]] + [float("inf")]
        for (at, game), end in zip(games, ends, strict=True):
            here = [change for change in told[login] if at <= _time(change) < end]
            right = [change for change in here if _game(change) == game]
            wrong += [
                f"{change['time']} {_name(change)} on {plan.clips[game]}" for change in here if _game(change) != game
            ]
            if right and at:
                delays.append((round(_time(right[0]) - at, 1), f"to {plan.clips[game]}"))
    delays.sort()
    slow = [delay for delay in delays if delay[0] > _SLOW_S]
    return {
        "planted": plan.switches,
        "found": len(delays),
        "missed": plan.switches - len(delays),
        "false": len(wrong),
        "delay_s": {"median": delays[len(delays) // 2][0], "worst": delays[-1][0]} if delays else {},
        "within_10_s": len(delays) - len(slow),
        "slow_ones": slow,
        "false_ones": wrong,
    }


def _time(change: dict[str, Any]) -> float:
    return datetime.fromisoformat(change["time"].replace("Z", "+00:00")).timestamp()


def _game(change: dict[str, Any]) -> int:
    return change["game"]["id"] if change["known"] else 0


def _name(change: dict[str, Any]) -> str:
    return change["game"]["name"] if change["known"] else "Unknown"
