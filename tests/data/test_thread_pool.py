"""Thread pool: results, errors and the end of what runs."""

from __future__ import annotations

import threading
import time

import pytest

from data.errors import StopRequested, StreamOffline
from data.pool.pool import Finished
from data.pool.threads import ThreadPool


def _run(task: int) -> int:
    if task == 3:
        raise StreamOffline("over")
    return 10 * task


def test_finished_when_tasks_end_returns_each_result_or_error_once():
    """Tasks beyond the threads wait; a ToolkitError comes back as itself; an empty pool has nothing to wait for."""
    with ThreadPool(_run, workers=2, queued=3) as pool:
        done: list[Finished[int, int]] = []
        for task in range(5):
            assert pool.free_slots == 5 - task
            pool.submit(task)
        while pool:
            done += pool.finished()
        assert pool.finished() == []
        assert pool.free_slots == 5
    (failed,) = (end for end in done if end.error)
    with pytest.raises(StreamOffline, match="over"):
        failed.value()
    assert {end.task: end.value() for end in done if end != failed} == {0: 0, 1: 10, 2: 20, 4: 40}


def test_finished_when_a_task_has_a_defect_raises_it():
    """An exception that is no ToolkitError is not counted as a failure."""
    with ThreadPool(lambda _: 1 // 0, workers=1) as pool:
        pool.submit(1)
        with pytest.raises(ZeroDivisionError):
            pool.finished()


def test_finished_when_no_task_ends_in_time_returns_nothing():
    """The timeout is in seconds, and 0 does not wait."""
    stop = threading.Event()
    with ThreadPool(lambda _: stop.wait(10), workers=1, stop=stop.set) as pool:
        pool.submit(1)
        assert pool.finished(0) == []
        assert pool.finished(0.01) == []
        assert pool


def test_cancel_when_tasks_run_and_wait_drops_these_and_stops_those():
    """Tasks that have not begun come back from `cancel`; what runs ends, with its result or without one."""
    stop = threading.Event()

    def run(task: str) -> str:
        stop.wait(10)
        if task == "without":
            raise StopRequested
        return f"{task} result"

    with ThreadPool(run, workers=2, queued=2, stop=stop.set) as pool:
        for task in ("with", "without", "third", "fourth"):
            pool.submit(task)
        assert pool.cancel() == ["third", "fourth"]
        done = []
        while pool:
            done += pool.finished()
    assert done == [Finished("with", "with result")]


@pytest.mark.parametrize("grace_s", [0.0, 0.05])
def test_end_of_the_block_when_a_task_hangs_waits_for_the_grace_period_only(grace_s: float):
    """A thread that waits for a server is left behind."""
    hang = threading.Event()
    began = time.monotonic()
    pool: ThreadPool[int, bool] = ThreadPool(lambda _: hang.wait(30), workers=1, grace_s=grace_s)
    with pool:
        pool.submit(1)
    assert time.monotonic() - began < 10
    hang.set()
