"""Watch on a Ray cluster whose nodes and coordinator die: what that costs the channels. Linux, as root.

    python -m benchmarks.cluster_watch [--channels 30] [--every 40]

Three nodes of one CPU, each a network namespace (benchmarks._netns), watch channels of the stand-in, each of which
changes its game every 40 s or so. One after the other: kill -9 of a node; its link is cut, for longer than a worker's
lease; it hangs (SIGSTOP), and goes on; kill -9 of the command, which is started again. Prints one JSON object:

    faults       by name: channels that gave no frame for 5 s or more, seconds until the last of them had one again
    longest_s    longest time of a channel without a frame; lost: channels that had none for more than 30 s
    twice        channels of which a worker requested video after the next worker had begun; requests; most
                 seconds from the first to the last of one worker. A single one was on its way when the fault began
    switches     planted; missed; false: reported with the wrong game before or after, or more than once
    alerts       delivered; switches without one; doubled
    renumbered   frames whose number does not follow that of the frame before; a new command begins at 1

Returns 1 if a channel was lost, watched twice, or a switch was missed, false or doubled.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks._grabbing import REPOSITORY
from benchmarks._logged import LoggedCommand, logged_command
from benchmarks._netns import NodeCluster
from tests.recognition.commands import BRIGHT, DARK, command, environment, save_model
from tests.recognition.receiver import Receiver
from tests.standin import CLIPS, Standin, World

_LOST_S, _GAP_S = 30.0, 5.0
_FIRST_S, _MAX_S = 20, 600  # planted switches: none before the watch has begun
_SETTLE_S = 12  # after each fault, until the next one
_STEADY_S = 10  # without a fault, at the beginning
_WAIT_S = 60
_EVERY_S = 0.2  # between two looks for frames: each reads all events, beside the stand-in
_LATE_S = 1.0  # a process that was stopped sends what it had begun before it notices
_LAST_SWITCH_S = 20  # a later switch may not be found before the end

Switches = dict[str, list[tuple[float, str]]]  # by login: (epoch seconds, name of the game from then on)


class Bench:
    """The running commands, one after the other: their events are in one file each. `stack` ends them."""

    command: LoggedCommand

    def __init__(self, folder: Path, arguments: list[str], environment: dict[str, str], stack: ExitStack) -> None:
        self._folder, self._arguments, self._environment, self._stack = folder, arguments, environment, stack
        self._files: list[Path] = []
        self.faults: dict[str, Any] = {}
        self.began: dict[str, float] = {}  # epoch seconds of each fault

    def start(self) -> None:
        """Start the command."""
        self._files.append(self._folder / f"events{len(self._files)}")
        with self._files[-1].open("w") as output:
            running = logged_command(self._arguments, self._environment, cwd=REPOSITORY, stdout=output)
            self.command = self._stack.enter_context(running)

    def events(self) -> list[list[dict[str, Any]]]:
        """Return the events of each command up to now."""
        return [[json.loads(line) for line in file.read_text().split("\n")[:-1]] for file in self._files]

    def frames(self) -> dict[str, list[float]]:
        """Return when each channel had its frames."""
        times = defaultdict(list)
        for event in (event for part in self.events() for event in part if event["event"] == "frame"):
            times[event["source"]].append(_time(event))
        return times

    def wait_for_frames(self, channels: int, since: float) -> None:
        """Wait until all channels have had a frame since then. Raises RuntimeError after a minute."""

        def have_frames() -> bool:
            return sum(times[-1] > since for times in self.frames().values()) >= channels

        self.command.wait_until(have_frames, _WAIT_S, _EVERY_S)

    def disturb(self, name: str, fault: Callable[[], object], channels: int) -> None:
        """Cause a fault, and note what it costs the channels."""
        began = self.began[name] = time.time()
        fault()
        time.sleep(2)
        self.wait_for_frames(channels, began + 2)
        time.sleep(_SETTLE_S)
        gaps = [
            after - began
            for times in self.frames().values()
            for before, after in pairwise(times)
            if after - before >= _GAP_S and before < began + 2 and after > began
        ]
        self.faults[name] = {"channels": len(gaps), "recovered_s": round(max(gaps, default=0.0), 1)}


def main(argv: list[str] | None = None) -> int:
    """Run the cluster, the stand-in and the command; disturb them; print, and return the exit code."""
    parser = argparse.ArgumentParser(description="Watch on a cluster whose nodes and coordinator die.")
    parser.add_argument("--channels", type=int, default=30, help="default: %(default)s")
    parser.add_argument("--every", type=float, default=40, help="seconds between two switches of a channel")
    parser.add_argument("--seed", type=int, default=0, help="of the switches (%(default)s)")
    args = parser.parse_args(argv)
    world, switches = _planted(args.channels, args.every, args.seed)
    with (
        tempfile.TemporaryDirectory(prefix="cluster-watch-") as folder,
        NodeCluster(3) as cluster,
        Standin(world, host=cluster.loopback) as twitch,
        Receiver() as hook,
        _watching(Path(folder), cluster, twitch, [*switches], f"{hook.url}?kinds=change") as bench,
    ):
        _run(bench, cluster, args.channels)
        ended, viewings, alerts = time.time(), twitch.viewings(), [json.loads(hook.bodies[i]) for i in hook.accepted]
        events, frames = bench.events(), bench.frames()
    until = min(ended, max(_time(commands[-1]) for commands in events)) - _LAST_SWITCH_S
    result = {"faults": bench.faults, **_gaps(frames), **_twice(viewings, bench.began)}
    result |= {"switches": _compared(switches, events, until), "alerts": _alerts(switches, alerts, until)}
    result |= _renumbered(events)
    print(json.dumps({"name": "cluster_watch", "channels": args.channels, **result}))
    wrong = [result["lost"], result["twice"]["seconds"] > _LATE_S, result["renumbered"]]
    wrong += [result[of].get(what) for of in ("switches", "alerts") for what in ("missed", "false", "doubled")]
    return int(any(wrong))


def _planted(count: int, every_s: float, seed: int) -> tuple[World, Switches]:
    """Return channels that change between two games, each `every_s` seconds give or take a quarter."""
    world, chance, start = World.load(CLIPS), random.Random(seed), time.time()
    bright, dark = (
        replace(clip, login=name)
        for name, login in (("bright", "etr_bumpy_ride"), ("dark", "dcss_minotaur_berserker"))
        if (clip := world.channel(login))
    )
    channels, switches = [bright, dark], Switches()
    plays = {BRIGHT.name: bright.login, DARK.name: dark.login}
    for number in range(count):
        channels.append(replace(bright, login=f"channel{number:03}"))
        at, planned = start + _FIRST_S, [(0.0, BRIGHT.name)]
        while (at := at + every_s * chance.uniform(0.75, 1.25)) < start + _MAX_S:
            planned.append((at // 2 * 2, DARK.name if len(planned) % 2 else BRIGHT.name))
        switches[channels[-1].login] = planned
    plan = [(login, at, plays[game]) for login, planned in switches.items() for at, game in planned[1:]]
    return World(tuple(channels)).with_switches(plan), switches


@contextmanager
def _watching(
    folder: Path, cluster: NodeCluster, twitch: Standin, logins: Sequence[str], target: str
) -> Iterator[Bench]:
    model = save_model(folder / "model", (DARK, BRIGHT))
    own = {**cluster.environment, "OUTBOX_PATH": str(folder / "outbox.sqlite")}
    arguments = command("--watch", "--json", "--alert", target, *logins)
    with ExitStack() as stack:
        yield Bench(folder, arguments, environment(twitch, model, **own), stack)


def _run(bench: Bench, cluster: NodeCluster, channels: int) -> None:
    """Start the command, cause each fault, and stop it by SIGTERM. Raises RuntimeError if it does not go on."""
    began = bench.began["start"] = time.time()
    bench.start()
    bench.wait_for_frames(channels, began)
    bench.faults["start"] = {"channels": channels, "recovered_s": round(time.time() - began, 1)}
    time.sleep(_STEADY_S)
    bench.disturb("kill_node", lambda: cluster.kill_node(0), channels)
    cluster.start_node(0)
    bench.disturb("cut_link", lambda: cluster.cut_link(1), channels)
    bench.began["restore_link"] = time.time()
    cluster.restore_link(1)
    cluster.start_node(1)
    bench.disturb("hang", lambda: cluster.pause_node(2), channels)
    bench.began["resume"] = time.time()
    cluster.resume_node(2)
    time.sleep(_SETTLE_S)
    bench.disturb("kill_coordinator", lambda: _kill_and_restart(bench), channels)
    bench.command.process.terminate()
    stopped = time.monotonic()
    bench.command.succeed(_WAIT_S)
    bench.faults["stop"] = {"channels": channels, "recovered_s": round(bench.command.ended - stopped, 1)}


def _kill_and_restart(bench: Bench) -> None:
    bench.command.process.kill()
    bench.command.process.wait()
    bench.start()


def _gaps(frames: dict[str, list[float]]) -> dict[str, Any]:
    longest = [max(after - before for before, after in pairwise(times)) for times in frames.values()]
    return {"longest_s": round(max(longest), 1), "lost": sum(gap > _LOST_S for gap in longest)}


def _twice(viewings: dict[str, list[list[float]]], began: dict[str, float]) -> dict[str, Any]:
    """Find the requests of a viewer after the first one of the next viewer of the same channel, by the fault before."""
    pairs = {name: [[t for t in a if t >= b[0]] for a, b in pairwise(viewers)] for name, viewers in viewings.items()}
    late = {name: [t for times in each for t in times] for name, each in pairs.items()}
    seconds = max((times[-1] - times[0] for each in pairs.values() for times in each if times), default=0.0)
    counts = {"channels": sum(map(bool, late.values())), "requests": sum(map(len, late.values()))}
    causes = Counter(
        max(began, key=lambda name: (began[name] <= t, began[name])) for times in late.values() for t in times
    )
    return {"viewers": sum(map(len, viewings.values())), "twice": {**counts, "seconds": round(seconds, 2), **causes}}


def _compared(switches: Switches, events: list[list[dict[str, Any]]], until: float) -> dict[str, Any]:
    """Return how many switches before `until` were reported, and what was reported besides."""
    reported = [(part, event) for part, events_ in enumerate(events) for event in events_ if event["event"] == "change"]
    planted = missed = false = 0
    delays = []
    for login, planned in switches.items():
        own = [(part, event) for part, event in reported if event["source"] == login]
        ends = [at for at, _ in planned[1:]] + [float("inf")]
        for (at, game), end in zip(planned, ends, strict=True):
            if at and at < until:
                planted += 1
                found = [_time(event) - at for _, event in own if at <= _time(event) < end and _game(event) == game]
                missed += not found
                delays += found[:1]
        for part in range(len(events)):
            shown = [(event["before"] and event["before"]["name"], _game(event)) for p, event in own if p == part]
            chain = [None, *(game for _, game in shown)]
            false += sum(pair[0] != before or pair[0] == pair[1] for pair, before in zip(shown, chain, strict=False))
    delay_s = {"median": round(sorted(delays)[len(delays) // 2], 1), "worst": round(max(delays), 1)} if delays else {}
    return {"planted": planted, "missed": missed, "false": false, "delay_s": delay_s}


def _alerts(switches: Switches, alerts: list[dict[str, Any]], until: float) -> dict[str, Any]:
    """Count the switches without an alert, and the alerts after one with the same game."""
    doubled = missed = 0
    for login, planned in switches.items():
        own = sorted((_time(alert), _game(alert)) for alert in alerts if alert["source"] == login)
        doubled += sum(one[1] == two[1] for one, two in pairwise(own))
        for (at, game), (end, _) in pairwise([*planned, (float("inf"), "")]):
            missed += 0 < at < until and not any(at <= time < end and shown == game for time, shown in own)
    return {"delivered": len(alerts), "missed": missed, "doubled": doubled}


def _renumbered(events: list[list[dict[str, Any]]]) -> dict[str, int]:
    wrong = 0
    for part in events:
        last: dict[str, int] = defaultdict(int)
        for event in part:
            if event["event"] == "frame":
                wrong += event["number"] != last[event["source"]] + 1
                last[event["source"]] = event["number"]
    return {"renumbered": wrong}


def _game(event: dict[str, Any]) -> str:
    return event["game"]["name"] if event["game"] else ""


def _time(event: dict[str, Any]) -> float:
    return datetime.fromisoformat(event["time"].replace("Z", "+00:00")).timestamp()


if __name__ == "__main__":
    sys.exit(main())
