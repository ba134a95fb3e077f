"""Planted switches: channels that change their game at known times, and the comparison with reported changes."""

from __future__ import annotations

import csv
import dataclasses
import random
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from tests.standin import CLIPS, World
from tests.standin.media import TRANSCODES, Media, default_cache
from tests.standin.world import Channel

_APART_S = (40, 120)  # seconds from one switch of a channel to the next
_STEADY = 5  # every fifth channel never switches
_SLOW_S = 10.0
_REPOSITORY = Path(__file__).parent.parent
_MARGIN_S = 30  # without a switch at the beginning and at the end


@dataclass(frozen=True)
class Plan:
    """Live channels, and by login their games in the order of time: (start in epoch seconds, game id).

    The first entry is the game at the beginning.
    """

    channels: tuple[Channel, ...]
    played: dict[str, list[tuple[float, int]]]

    @property
    def clips(self) -> dict[int, str]:
        """Return the name of each game's clip, by game id."""
        return {channel.game_id: channel.file.stem for channel in self.channels}

    @property
    def switches(self) -> int:
        """Return the number of switches."""
        return sum(len(games) - 1 for games in self.played.values())


def planned(count: int, start: float, seconds: float, seed: int) -> Plan:
    """Return a plan of `count` channels that play held-out clips and switch within `seconds` after `start`."""
    world, chance = World.load(CLIPS), random.Random(seed)
    sources = [channel for channel in world.channels if channel.login in world.held_out][:count]
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
    """Write clips.tsv and switches.tsv, and transcode the segments that the channels will play."""
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


@contextmanager
def running_standin(folder: Path) -> Iterator[tuple[psutil.Process, dict[str, str]]]:
    """Run the stand-in as a process; yield it and the settings that lead to it."""
    command = [sys.executable, "-m", "tests.standin", "--clips", str(folder)]
    process = subprocess.Popen(command, cwd=_REPOSITORY, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        lines = [process.stdout.readline() for _ in range(4)]
        yield psutil.Process(process.pid), dict(re.findall(r"export (\w+)=(\S+)", "".join(lines)))
    finally:
        process.terminate()
        process.communicate(timeout=60)


def compared(plan: Plan, changes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the switches found, missed and falsely reported, and the delays. `changes`: as --json prints them."""
    reported: dict[str, list[dict[str, Any]]] = {login: [] for login in plan.played}
    for change in changes:
        reported[change["source"]].append(change)
    delays: list[tuple[float, str]] = []
    wrong: list[str] = []
    for login, games in plan.played.items():
        ends = [at for at, _ in games[1:]] + [float("inf")]
        for (at, game), end in zip(games, ends, strict=True):
            here = [change for change in reported[login] if at <= _time(change) < end]
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
