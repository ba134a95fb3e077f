"""Worker pools: threads and the workers of a Ray cluster have one interface."""

from __future__ import annotations

import os
import time

import pytest

from data.errors import StreamOffline
from data.pool.nodes import Cluster
from data.pool.ray_pool import RayPool

pytestmark = pytest.mark.xdist_group("cluster")


def _make_run():
    def run(task):
        if task == "offline":
            raise StreamOffline("offline: the stream is over")
        time.sleep(0.01)
        return task, os.getpid()

    return run


def test_ray_pool_when_tasks_are_submitted_returns_each_result_once(connected: Cluster):
    """200 tasks and a failing one, on two workers: nothing is lost, nothing comes twice."""
    with RayPool(connected, _make_run, 8) as pool:
        tasks = iter([*range(200), "offline"])
        done = []
        task = next(tasks, None)
        while task is not None or pool:
            while task is not None and pool.free_slots > 0:
                pool.submit(task)
                task = next(tasks, None)
            done += pool.finished()
    assert sorted(d.task for d in done if d.result) == list(range(200))
    assert len({d.result[1] for d in done if d.result}) == 2
    assert [str(d.error) for d in done if d.error] == ["offline: the stream is over"]
