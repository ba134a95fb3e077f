"""Survey on a Ray cluster: speed beside threads, and what dies meanwhile. Linux, as root, two cores.

    python -m benchmarks.cluster_survey [--channels 200] [--rounds 3] [--no-faults]

A node is a network namespace of benchmarks._netns with one core. The stand-in for Twitch has the other core for itself
while one node is measured; the command is pinned to the node's core, so that threads and Ray have the same one core.
With three nodes, two share the node's core and one the stand-in's: on two cores that can only show how far it scales.

    threads, ray1, ray3   streams per minute between the first and the last answer: median of the rounds, taken in turn
    cpu_ms               CPU of the first core for each stream, whatever ran on it: the service time of a simulation
    overhead              how much longer Ray on one node takes than threads, in percent; starts do not count.
    cpu_overhead          how much more CPU time it takes
    start_s               from the start of the command to the first answer
    kill_node, cut_link, kill_coordinator
                          a survey on three nodes, disturbed when a third of the answers is there. lost, twice: sources.
                          noticed_s: until the command says that a worker is lost, or has its first new answer.
                          end_s: from the disturbance to the end

Exit code 1: a source is lost, or has two answers.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from benchmarks._grabbing import REPOSITORY
from benchmarks._logged import LoggedCommand, logged_command
from benchmarks._netns import NodeCluster
from benchmarks._surveying import channels
from data.storage.embedded_postgres import running_server

_FRAMES = 13  # of a playlist of 15 segments, of which the oldest may expire during the run
_LOST = "a worker is lost"
_MAX_RUN_S = 300


@dataclass
class Run:
    """A command that surveys, the CSV file that it writes, and its start in monotonic seconds."""

    command: LoggedCommand
    table: Path
    began: float

    def rows(self) -> list[dict[str, str]]:
        """Return the lines of its CSV file."""
        if not self.table.exists():
            return []
        with self.table.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def wait_for_rows(self, count: int) -> None:
        """Wait until `count` sources have a result. Raises RuntimeError if the command ends before."""
        self.command.wait_until(lambda: len(self.rows()) >= count, _MAX_RUN_S)


@dataclass(frozen=True)
class Speed:
    """A finished survey. a_minute: streams from the first answer to the last. cpu_ms: for each. start_s: till then."""

    a_minute: float
    cpu_ms: float
    start_s: float


class Bench:
    """The surveys of one stand-in. `cores`: the node's, and that of the stand-in and this process."""

    def __init__(self, logins: Sequence[str], environment: Mapping[str, str], folder: Path, cores: list[int]) -> None:
        self._logins, self._environment, self._folder, self.cores = logins, environment, folder, cores
        self._number = 0

    @contextmanager
    def survey(self, cluster: NodeCluster | None, table: Path | None = None) -> Iterator[Run]:
        """Start a survey in threads, or on a cluster; kill it at the end of the block if it still runs."""
        self._number += 1
        table = table or self._folder / f"{self._number}.csv"
        environment = {**os.environ, **self._environment, **(cluster.environment if cluster else {})}
        where = ["--ray", environment.pop("RAY_ADDRESS")] if cluster else ["--parallel", "8"]
        options = ["--frames", str(_FRAMES), "--csv", str(table), *where]
        command = ["taskset", "-c", str(self.cores[0]), sys.executable, "-m", "recognition.recognize"]
        words = [*command, *self._logins, *options]
        with logged_command(words, environment, cwd=REPOSITORY, start_new_session=True) as run:
            yield Run(run, table, time.monotonic())

    def speed(self, cluster: NodeCluster | None) -> Speed:
        """Run a survey to its end and return its speed."""
        with self.survey(cluster) as run:
            run.wait_for_rows(1)
            first, spent, done = time.monotonic(), _cpu_s(run, cluster), len(run.rows())
            run.wait_for_rows(len(self._logins))
            spent, count = _cpu_s(run, cluster) - spent, len(self._logins) - done
            self.check(run)
        times = sorted(datetime.fromisoformat(row["time"].replace("Z", "+00:00")).timestamp() for row in run.rows())
        return Speed(60 * (len(times) - 1) / (times[-1] - times[0]), 1e3 * spent / count, first - run.began)

    def check(self, run: Run) -> dict[str, int]:
        """Wait for the end; return how many sources are lost, and have several results; print the failures."""
        code, rows = run.command.end(_MAX_RUN_S), run.rows()
        counts = Counter(row["source"] for row in rows)
        failed = [row["message"] for row in rows if row["reason"]]
        if failed or code:
            print(f"exit code {code}; failures: {failed[:3]}; {run.command.log[-3:]}", file=sys.stderr)
        found = {"lost": len(set(self._logins) - counts.keys()), "twice": sum(n > 1 for n in counts.values())}
        return found | {"failed": len(failed)}

    def fault(self, cluster: NodeCluster, disturb: Callable[[], object]) -> dict[str, Any]:
        """Disturb a survey when a third of the answers is there; return what became of it."""
        with self.survey(cluster) as run:
            run.wait_for_rows(len(self._logins) // 3)
            disturb()
            at = time.monotonic()
            values = self._end(run, at)
            return values | {"noticed_s": run.command.seconds_until(_LOST, at)}

    def killed_coordinator(self, cluster: NodeCluster) -> dict[str, Any]:
        """Kill the command at a third of the answers and start it again; return what became of the survey."""
        with self.survey(cluster) as run:
            run.wait_for_rows(len(self._logins) // 3)
            os.killpg(run.command.process.pid, signal.SIGKILL)
        at, stored = time.monotonic(), len(run.rows())
        with self.survey(cluster, run.table) as again:
            again.wait_for_rows(1)  # the first line replaces the old table
            again.wait_for_rows(stored + 1)
            noticed_s = round(time.monotonic() - at, 1)
            return {"stored": stored, "noticed_s": noticed_s} | self._end(again, at)

    def _end(self, run: Run, at: float) -> dict[str, Any]:
        """Wait for the end of a survey that was disturbed at `at`, monotonic; return what became of it."""
        values = self.check(run)
        return values | {"end_s": round(run.command.ended - at, 1)}


def main(argv: list[str] | None = None) -> int:
    """Measure, print, and return the exit code."""
    parser = argparse.ArgumentParser(description="Measure surveys on a Ray cluster, and break it.")
    parser.add_argument("--channels", type=int, default=200, help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=3, help="of threads and Ray in turn (%(default)s)")
    parser.add_argument("--no-faults", action="store_true", help="measure the speed only")
    args = parser.parse_args(argv)
    cores = sorted(os.sched_getaffinity(0))[:2]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="survey-")))
        cluster = stack.enter_context(NodeCluster(nodes=1))
        os.sched_setaffinity(0, cores[1:])  # of the stand-in's threads too
        standin, logins, _ = stack.enter_context(channels(args.channels, cluster.loopback))
        socket = stack.enter_context(running_server(folder / "postgres"))
        database = {"DB_HOST": str(socket), "DB_NAME": "postgres", "DB_USER": "postgres"}
        bench = Bench(logins, {**standin.environment, **database}, folder, cores)
        values = _speeds(bench, cluster, args.rounds, cores)
        if not args.no_faults:
            values |= _faults(bench, cluster)
    print(json.dumps({"name": "cluster_survey", "channels": args.channels, **values}), flush=True)
    faults = [value for value in values.values() if isinstance(value, dict) and "lost" in value]
    return int(any(fault["lost"] or fault["twice"] for fault in faults))


def _speeds(bench: Bench, cluster: NodeCluster, rounds: int, cores: list[int]) -> dict[str, Any]:
    """Measure threads and one node in turn, then three nodes."""
    threads, ray = [], []
    for _ in range(rounds):
        threads.append(bench.speed(None))
        ray.append(bench.speed(cluster))
    os.sched_setaffinity(0, cores)  # the new nodes choose their cores from these
    for _ in range(2):
        cluster.add_node()
    os.sched_setaffinity(0, cores[1:])
    three = [bench.speed(cluster)]
    names = {"threads": threads, "ray1": ray, "ray3": three}
    values: dict[str, Any] = {name: round(_median(speeds, "a_minute")) for name, speeds in names.items()}
    overheads = [100 * (own.a_minute / other.a_minute - 1) for own, other in zip(threads, ray, strict=True)]
    return values | {
        "cpu_ms": {name: round(_median(names[name], "cpu_ms"), 1) for name in names},
        "start_s": {name: round(_median(speeds, "start_s"), 1) for name, speeds in names.items()},
        "overhead": round(statistics.median(overheads), 1),
        "cpu_overhead": round(100 * (_median(ray, "cpu_ms") / _median(threads, "cpu_ms") - 1), 1),
        "scaling": round(values["ray3"] / values["ray1"], 2),
    }


def _faults(bench: Bench, cluster: NodeCluster) -> dict[str, Any]:
    """Break three surveys on three nodes."""
    values = {"kill_coordinator": bench.killed_coordinator(cluster)}
    values["kill_node"] = bench.fault(cluster, lambda: cluster.kill_node(2))
    cluster.start_node(2)
    values["cut_link"] = bench.fault(cluster, lambda: cluster.cut_link(1))
    return values


def _cpu_s(run: Run, cluster: NodeCluster | None) -> float:
    """Return the CPU seconds of the command; with a cluster also those of its head and nodes, and of PostgreSQL."""
    command = psutil.Process(run.command.process.pid)
    total = 0.0
    for process in psutil.Process().children(recursive=True) if cluster else [command, *command.children(True)]:
        with suppress(psutil.Error):  # it has ended
            times = process.cpu_times()
            total += times.user + times.system
    return total


def _median(speeds: Sequence[Speed], name: str) -> float:
    return statistics.median(getattr(speed, name) for speed in speeds)


if __name__ == "__main__":
    sys.exit(main())
