"""Simulation: surveys and watches on 1 to 100 nodes, from service times that were measured on two cores.

    python -m benchmarks.cluster_simulation [--cores 4] [--service-ms 64] [--call-ms 2] [--result-ms 0.18]

Survey, event by event. A worker has a core, looks at `slots` streams at a time, and has some more that wait. The
coordinator handles one reply of a worker after another: each costs --call-ms, and --store-ms for the statement that
stores its results; each result in it costs --result-ms. A worker replies 0.25 s after its first result, with all
results until then, and not before the coordinator has handled its last reply. `minute`: streams per minute;
`efficiency`: compared with as many machines of their own; `coordinator`: fraction of the time in which it handles
replies, waits for PostgreSQL included. Then some nodes die (--deaths) in the middle of the same survey, and nobody
replaces them. The coordinator notices it after 10 s and gives their streams to others: `repeated` streams, and how many
times `longer` it takes.

Watch, by formula. A worker watches as many channels as --load of its core allows. `cycle_s`: between two replies of a
worker; above 2 s the coordinator does not keep up. `back_s`: after the death of a node, until all of its channels have
a frame again: 10 s to notice it, and the time in which the others open them beside their own work.

Sources of the defaults: `cluster_survey` for service_ms, `watch` for look_ms (50 channels on 0.48 cores),
`cluster_costs` for call_ms, store_ms and result_ms. The replies of several workers, which share a statement where they
arrive together, are counted as one statement each.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from data.pool.ray_pool import AHEAD_GATHER_S
from data.pool.worker_host import GATHER_S, LOST_S

_NODES = (1, 2, 3, 5, 10, 20, 50, 100)
_MAX_CYCLE_S = 2.0


@dataclass(frozen=True)
class Costs:
    """Times in seconds. `wait`: for the network, of a stream. `trip`: of a message, one way"""

    service: float
    spread: float  # coefficient of variation of `service`
    wait: float
    call: float
    store: float
    result: float
    trip: float = 0.0005
    gather: float = AHEAD_GATHER_S  # a reply waits for more results


@dataclass
class Worker:
    """A core of a node. The times are when its core and each of its slots are free."""

    node: int
    slots: list[float]
    free: float = 0.0
    streams: int = 0  # in the worker, those with a result included
    results: int = 0  # of the next reply
    called: bool = False  # whether the coordinator waits for a reply
    gathers: bool = False
    dead: bool = False


@dataclass
class Survey:
    """One run. `left`: streams that no worker has."""

    costs: Costs
    workers: list[Worker]
    left: int
    room: int
    random: np.random.Generator
    events: list[tuple[float, int, str, int, int]] = field(default_factory=list)  # time, order, kind, worker, results
    order: Iterator[int] = field(default_factory=itertools.count)
    busy_until: float = 0.0
    busy: float = 0.0  # seconds in which the coordinator handles replies
    done: int = 0
    repeated: int = 0
    _times: deque[float] = field(default_factory=deque)

    def run(self, dead: frozenset[int] = frozenset(), dies_at: float = 0.0) -> float:
        """Return the seconds until every stream has its result. The nodes `dead` die at `dies_at`."""
        total = self.left
        for number in range(len(self.workers)):
            self._put(0.0, "reply", number, 0)
        for number, worker in enumerate(self.workers):
            if worker.node in dead:
                self._put(dies_at, "death", number, 0)
        while self.done < total:
            now, _, kind, number, count = heapq.heappop(self.events)
            worker = self.workers[number]
            if kind == "death":
                worker.dead = True
                self._put(now + LOST_S, "lost", number, 0)
            elif kind == "lost":
                self._lose(worker, now)
            elif not worker.dead:
                getattr(self, f"_{kind}")(number, worker, now, count)
        return self.busy_until

    def _put(self, at: float, kind: str, number: int, count: int) -> None:
        heapq.heappush(self.events, (at, next(self.order), kind, number, count))

    def _done(self, number: int, worker: Worker, now: float, _count: int) -> None:
        """A stream has its result, in the worker."""
        worker.results += 1
        self._gather(number, worker, now)

    def _called(self, number: int, worker: Worker, now: float, _count: int) -> None:
        worker.called = True
        self._gather(number, worker, now)

    def _gather(self, number: int, worker: Worker, now: float) -> None:
        if worker.called and worker.results and not worker.gathers:
            worker.gathers = True
            self._put(now + self.costs.gather, "sent", number, 0)

    def _sent(self, number: int, worker: Worker, now: float, _count: int) -> None:
        """The worker's reply leaves with all results that there are."""
        self._put(now + self.costs.trip, "reply", number, worker.results)
        worker.called, worker.gathers, worker.results = False, False, 0

    def _reply(self, number: int, worker: Worker, now: float, count: int) -> None:
        """The coordinator takes a reply when it is free, gives the worker new streams, and calls it again."""
        cost = self.costs.call + count * self.costs.result + (self.costs.store if count else 0)
        self.busy += cost
        self.busy_until = max(now, self.busy_until) + cost
        self.done += count
        worker.streams -= count
        self._assign(number, worker)
        self._put(self.busy_until + self.costs.trip, "called", number, 0)

    def _assign(self, number: int, worker: Worker) -> None:
        share = -(-(self.left + worker.streams) // len(self.workers))
        for _ in range(min(self.left, max(0, min(self.room, max(1, share)) - worker.streams))):
            self.left -= 1
            worker.streams += 1
            begun = max(self.busy_until + self.costs.trip, heapq.heappop(worker.slots))
            worker.free = max(worker.free, begun + self.costs.wait) + self._service()
            heapq.heappush(worker.slots, worker.free)
            self._put(worker.free, "done", number, 0)

    def _lose(self, worker: Worker, now: float) -> None:
        """Give the streams of a lost worker to others."""
        self.repeated += worker.streams
        self.left += worker.streams
        worker.streams = 0
        self.busy_until = max(now, self.busy_until)
        for number, other in enumerate(self.workers):
            if not other.dead:
                self._assign(number, other)

    def _service(self) -> float:
        if not self._times:
            shape = 1 / self.costs.spread**2
            self._times.extend(self.random.gamma(shape, self.costs.service / shape, 10_000).tolist())
        return self._times.popleft()


def main(argv: list[str] | None = None) -> int:
    """Simulate, print two tables and a line of JSON, and return the exit code."""
    parser = argparse.ArgumentParser(description="Surveys and watches on 1 to 100 nodes.")
    for name, default, text in (
        ("cores", 4, "of a node, a worker on each"),
        ("slots", 8, "streams of a worker at a time"),
        ("streams", 200, "of a survey for each worker"),
        ("seed", 0, "of the service times"),
        ("service-ms", 64.0, "CPU of a worker for a stream"),
        ("spread", 0.5, "coefficient of variation of that"),
        ("wait-ms", 300.0, "a stream waits for the network"),
        ("call-ms", 2.0, "CPU of the coordinator for a reply"),
        ("store-ms", 0.37, "time of the coordinator for the statement that stores its results"),
        ("result-ms", 0.18, "time of the coordinator for a result in it, with its row in the database"),
        ("deaths", 0.1, "fraction of the nodes that die"),
        ("look-ms", 19.2, "CPU of a worker for a frame of a watched channel"),
        ("every", 2.0, "seconds between two frames of a channel"),
        ("load", 0.7, "of a worker's core"),
        ("event-ms", 0.012, "CPU of the coordinator for a frame"),
        ("open-ms", 60.0, "CPU of a worker to open a channel and look at it"),
    ):
        parser.add_argument(f"--{name}", type=type(default), default=default, help=f"{text} (default: %(default)s)")
    args = parser.parse_args(argv)
    surveys = [_survey(args, nodes) for nodes in _NODES]
    watches = [_watch(args, nodes) for nodes in _NODES]
    for rows in (surveys, watches):
        _print_table(rows)
    print(json.dumps({"name": "cluster_simulation", "surveys": surveys, "watches": watches}))
    return 0


def _print_table(rows: Sequence[Mapping[str, float | None]]) -> None:
    print("  ".join(f"{name:>11}" for name in rows[0]))
    for row in rows:
        print("  ".join(f"{'-' if value is None else value:>11}" for value in row.values()))
    print()


def _survey(args: argparse.Namespace, nodes: int) -> dict[str, float | None]:
    """Simulate a survey without deaths, then the same one with them."""
    names = ("service", "wait", "call", "store", "result")
    costs = Costs(spread=args.spread, **{name: getattr(args, f"{name}_ms") / 1e3 for name in names})
    count = nodes * args.cores * args.streams

    def start() -> Survey:
        workers = [Worker(number // args.cores, [0.0] * args.slots) for number in range(nodes * args.cores)]
        room = args.slots + args.slots // 4
        return Survey(costs, workers, count, room, np.random.default_rng(args.seed))

    survey = start()
    seconds = survey.run()
    row = {
        "nodes": nodes,
        "workers": nodes * args.cores,
        "minute": round(60 * count / seconds),
        "efficiency": round(count * costs.service / args.cores / nodes / seconds, 2),
        "coordinator": round(survey.busy / seconds, 2),
    }
    deaths = min(nodes - 1, max(1, round(args.deaths * nodes))) if args.deaths else 0
    failed = start()
    longer = failed.run(frozenset(range(deaths)), seconds / 2) / seconds
    return {**row, "deaths": deaths, "repeated": failed.repeated, "longer": round(longer, 2)}


def _watch(args: argparse.Namespace, nodes: int) -> dict[str, float | None]:
    """Return how many channels the nodes watch, and how often the coordinator comes to each worker."""
    workers = nodes * args.cores
    channels = int(args.load * args.every * 1e3 / args.look_ms)  # of a worker
    rate = channels * workers / args.every
    spare = 1 - rate * args.event_ms / 1e3
    cycle = max(GATHER_S, workers * args.call_ms / 1e3 / spare) if spare > 0 else None
    others = workers - args.cores
    opening = channels * args.cores / others * args.open_ms / 1e3 / (1 - args.load) if others else None
    return {
        "nodes": nodes,
        "workers": workers,
        "channels": channels * workers,
        "frames_s": round(rate),
        "cycle_s": cycle and round(cycle, 3),
        "keeps_up": int(cycle is not None and cycle <= _MAX_CYCLE_S),
        "back_s": opening and round(LOST_S + opening, 1),
    }


if __name__ == "__main__":
    sys.exit(main())
