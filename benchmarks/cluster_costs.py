"""Costs of a survey's coordinator: a reply of a worker, a result in it, its row in PostgreSQL. Linux, as root.

    python -m benchmarks.cluster_costs [--replies 200]

The worker of a node, a network namespace of benchmarks._netns with one core, answers every stream at once with the same
verdict; the coordinator is the survey's own code. Prints the defaults of `cluster_simulation` as a JSON object:

    call_ms     CPU of the coordinator's process for a reply: the call, and the message with the worker's next streams
    result_ms   CPU of the coordinator's process for each result in it, and the time in which its row is stored
    store_ms    time for the statement that stores the rows of a reply, beside that for each row

and what they come from: `alone` and `together` for replies of one and of ten results. cpu_ms: of a reply, without what
the process needs at rest (rest_percent of a core). store_ms: from the results to their rows, median.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks._netns import NodeCluster
from config import Settings
from data import factories
from data.entities import Game
from data.http.traffic import Traffic
from data.pool.cluster import open_cluster
from data.pool.links import Replied
from data.pool.nodes import Cluster
from data.storage.embedded_postgres import PORT, running_server
from data.storage.surveys import SurveyStore
from recognition.cluster.stored_survey import open_stored_survey
from recognition.cluster.survey_worker import NodeResult, SurveyPool
from recognition.decision.verdict import Prediction, RankedGame, Verdict
from recognition.engine.survey import Store, SurveyTask
from recognition.events import Result, VerdictReached, now
from recognition.stored_results import portable

_GAME = Game(509_658, "A game of some words")
_FRAMES = 13
_THREADS, _AHEAD = 8, 2  # of a worker: all results of a turn come in one reply
_WARM_UP = 40  # replies
_REST_S = 4.0


class CountingPool(SurveyPool):
    """A survey's workers. replies: how many of them have come with results."""

    replies = 0

    def _handle(self, event: Any) -> list[Any]:
        self.replies += isinstance(event, Replied) and bool(event.replies)
        return super()._handle(event)


def main(argv: list[str] | None = None) -> int:
    """Measure, print a JSON object, and return the exit code."""
    parser = argparse.ArgumentParser(description="Measure what a reply and its results cost a survey's coordinator.")
    parser.add_argument("--replies", type=int, default=200, help="of each kind (default: %(default)s)")
    args = parser.parse_args(argv)
    with NodeCluster(1) as nodes:
        os.environ.update(nodes.environment)
        with open_cluster(Settings(_env_file=None), workers=True) as cluster:
            alone = _replies(cluster, args.replies, 1, 0)
            together = _replies(cluster, args.replies, _THREADS, _AHEAD)
    stored = _statements(args.replies)
    each = (together["cpu_ms"] - alone["cpu_ms"]) / (together["results"] - alone["results"])
    row = (stored[_THREADS + _AHEAD] - stored[1]) / (_THREADS + _AHEAD - 1)
    values = {
        "call_ms": alone["cpu_ms"] - alone["results"] * each,
        "result_ms": each + row,
        "store_ms": stored[1] - row,
        "alone": alone | {"store_ms": stored[1]},
        "together": together | {"store_ms": stored[_THREADS + _AHEAD]},
    }
    print(json.dumps({"name": "cluster_costs", **_rounded(values)}), flush=True)
    return 0


def _replies(cluster: Cluster, count: int, threads: int, ahead: int) -> dict[str, float]:
    """Run a survey of some `count` replies; return the mean CPU of one, and how many results it had."""
    size = threads + ahead
    pool = CountingPool(cluster, _make_run, threads, ahead=ahead)
    with pool:
        sources = [f"channel_{number}" for number in range((count + _WARM_UP) * size)]
        with closing(pool.survey(sources, max_frames=_FRAMES)) as results:
            for _ in range(_WARM_UP * size):
                next(results)
            replies, cpu, began = pool.replies, time.process_time(), time.perf_counter()
            done = sum(1 for _ in results)
        cpu, wall, replies = time.process_time() - cpu, time.perf_counter() - began, pool.replies - replies
        at_rest = time.process_time()
        time.sleep(_REST_S)
        rest = (time.process_time() - at_rest) / _REST_S
    return {"cpu_ms": 1e3 * (cpu - rest * wall) / replies, "results": done / replies, "rest_percent": 100 * rest}


def _make_run() -> Callable[[SurveyTask], NodeResult]:
    """Return what recognises nothing: its verdict was made before."""
    verdict = _verdict()
    return lambda task: NodeResult(VerdictReached(task.name, now(), verdict), 0.06, Traffic(20, 1_000_000))


def _verdict() -> Verdict:
    """Return a verdict as workers send it."""
    ranking = (RankedGame(_GAME, 0.9171234567890123),)
    verdict = Verdict(_GAME, 0.9171234567890123, 0.9, (Prediction(_GAME, 0.9, True, ranking),) * _FRAMES, ranking)
    result = portable(VerdictReached("channel", now(), verdict))
    assert isinstance(result, VerdictReached)
    return result.verdict


def _statements(count: int) -> dict[int, float]:
    """Store the results of `count` replies of each size; return the median milliseconds of a reply by its size."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="costs-")))
        socket = stack.enter_context(running_server(home))
        database = {"db_host": str(socket), "db_port": PORT, "db_name": "postgres", "db_user": "postgres"}
        catalog = stack.enter_context(factories.open_catalog(Settings(_env_file=None, **database)))
        store, verdict = SurveyStore(catalog.transactions), _verdict()
        medians: dict[int, float] = {}
        for size in (1, _THREADS + _AHEAD):
            times: list[float] = []
            with open_stored_survey(store, f"replies of {size}", "model", 60.0) as stored:
                survey = partial(_survey, verdict, size, times)
                deque(stored(survey, [f"channel_{number}" for number in range(count * size)]), 0)
            medians[size] = 1e3 * statistics.median(times)
    return medians


def _survey(
    verdict: Verdict, size: int, times: list[float], sources: Iterable[Any], *, store: Store
) -> Generator[Result, None, None]:
    """Store results, `size` at a time, and yield them; note the seconds of each storing in `times`."""
    results: list[Result] = [VerdictReached(source, now(), verdict) for source in sources]
    for start in range(0, len(results), size):
        began = time.perf_counter()
        store(results[start : start + size])
        times.append(time.perf_counter() - began)
        yield from results[start : start + size]


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {name: _rounded(each) if isinstance(each, dict) else round(each, 3) for name, each in values.items()}


if __name__ == "__main__":
    sys.exit(main())
