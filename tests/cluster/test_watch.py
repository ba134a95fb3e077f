"""Watch on a Ray cluster: a node that dies costs no channel, no change comes twice, and none is missed or false."""

from __future__ import annotations

import json
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import RayNodes
from tests.recognition.commands import BRIGHT, DARK, ROOT, command, environment, save_model
from tests.standin import Clock, Standin, World

pytestmark = pytest.mark.xdist_group("cluster")

CHANNELS = [f"channel{number}" for number in range(6)]
SPEED = 2  # of the stand-in's time
SESSIONS = 8  # of viewers: one for each channel, and for the third that moves to a second node at least
STARTS_S = 60


class RunningWatch:
    """The command, and the events that it has printed so far."""

    def __init__(self, process: subprocess.Popen[str], file: Path) -> None:
        self.process, self._file = process, file

    def events(self) -> list[dict[str, Any]]:
        """Return the events up to now."""
        lines = self._file.read_text().split("\n")[:-1]
        return [json.loads(line) for line in lines]

    def wait_for(self, condition: Callable[[list[dict[str, Any]]], bool], seconds: float) -> float:
        """Wait until the events meet the condition; return the seconds that it took."""
        start = time.monotonic()
        while not condition(self.events()):
            assert self.process.poll() is None, self.process.communicate()[1]
            assert time.monotonic() - start < seconds
            time.sleep(0.1)
        return time.monotonic() - start


@contextmanager
def watching(twitch: Standin, folder: Path, *options: str, **own: str) -> Iterator[RunningWatch]:
    """Watch all channels; kill the command at the end of the block if it still runs."""
    file, model_path = folder / "events", save_model(folder / "model", (DARK, BRIGHT))
    with file.open("w") as output:
        process = subprocess.Popen(
            command("--watch", "--json", *options, *CHANNELS),
            env=environment(twitch, model_path, **own),
            cwd=ROOT,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
        )
    with process:
        try:
            yield RunningWatch(process, file)
        finally:
            process.kill()


def shown_by(events: list[dict[str, Any]]) -> dict[str, list[tuple[str, str]]]:
    """Return the changes of each channel, as the names of the game before and the game after."""
    changes = defaultdict(list)
    for event in events:
        if event["event"] == "change":
            changes[event["source"]].append((event["before"] and event["before"]["name"], event["game"]["name"]))
    return changes


def longest_gap_s(events: list[dict[str, Any]]) -> float:
    """Return the longest time between two frames of a channel."""
    times = defaultdict(list)
    for event in events:
        if event["event"] == "frame":
            times[event["source"]].append(datetime.fromisoformat(event["time"].replace("Z", "+00:00")).timestamp())
    return max(after - before for at in times.values() for before, after in pairwise(at))


def test_watch_when_a_node_joins_and_is_killed_goes_on_with_every_channel(
    cluster: RayNodes, world: World, tmp_path: Path
):
    """A node joins and takes its share; after kill -9 of it, all channels switch their game.

    Each channel has its two changes once, with the game before. Frames are numbered on, the verdict counts all of them,
    and no channel is watched by two workers. The time without a frame is measured.
    """
    bright, dark = (world.channel(login) for login in ("etr_bumpy_ride", "dcss_minotaur_berserker"))
    assert bright
    assert dark
    channels = World((*(replace(bright, login=name) for name in CHANNELS), replace(dark, login="dark")))
    clock, own = Clock(speed=SPEED), {"RAY_ADDRESS": cluster.address, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    switch_at = clock.now() + 3 * SPEED * STARTS_S
    channels = channels.with_switches([(name, switch_at, "dark") for name in CHANNELS])
    with Standin(channels, clock=clock) as twitch, watching(twitch, tmp_path, **own) as watch:
        watch.wait_for(lambda events: len(shown_by(events)) == len(CHANNELS), STARTS_S)
        node = cluster.add()
        watch.wait_for(lambda _: sum(map(len, twitch.viewings().values())) >= SESSIONS, STARTS_S)
        clock.advance(max(0.0, switch_at - clock.now()) - 1)
        cluster.kill(node)
        watch.wait_for(lambda events: sum(map(len, shown_by(events).values())) == 2 * len(CHANNELS), STARTS_S)
        time.sleep(1)
        watch.process.terminate()
        assert watch.process.wait(20) == 0
        events = watch.events()
        viewings = twitch.viewings()
    assert shown_by(events) == {name: [(None, BRIGHT.name), (BRIGHT.name, DARK.name)] for name in CHANNELS}
    numbers = defaultdict(list)
    for event in events:
        if event["event"] == "frame":
            numbers[event["source"]].append(event["number"])
    assert all(found == [*range(1, len(found) + 1)] for found in numbers.values())
    verdicts = {event["source"]: event["frames"] for event in events if event["event"] == "verdict"}
    assert verdicts == {source: len(found) for source, found in numbers.items()}
    assert not any(event["event"] == "failure" for event in events)
    assert not [login for login, viewers in viewings.items() for a, b in pairwise(viewers) if a[-1] >= b[0]]
    assert longest_gap_s(events) < 30
