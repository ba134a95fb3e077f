"""data.pool.ray_pool: which worker gets a task, without a cluster."""

from __future__ import annotations

from collections import deque
from typing import Any

from config import Settings
from data.errors import WorkerLost
from data.pool.links import Event, Joined, Lost, Replied
from data.pool.nodes import Cluster, Node
from data.pool.ray_pool import RayPool, _Outcome
from data.pool.shipping import Model


class _Workers:
    """A worker on one CPU that does its newest task, and dies of the task "killer". Named fake of RemoteWorkers."""

    expected = 1

    def __init__(self) -> None:
        self.node = Node("a", "10.0.0.1", 1)
        self.worker, self.has = 1, list[tuple[int, str]]()
        self.most_with_killer: list[int] = []  # tasks beside it, each time that it killed
        self._events: deque[Event] = deque([Joined(1, self.node)])

    def send(self, worker: int, message: Any) -> None:
        if worker == self.worker:
            self.has.append(message)

    def events(self, timeout_s: float | None = None) -> list[Event]:
        if not self._events and any(task == "killer" for _, task in self.has):
            self.most_with_killer.append(len(self.has) - 1)
            self._events += Lost(self.worker, "ActorDiedError"), Joined(self.worker + 1, self.node)
            self.worker, self.has = self.worker + 1, []
        elif not self._events and self.has:
            number, task = self.has.pop()
            self._events.append(Replied(self.worker, [_Outcome(number, task.upper())]))
        return [self._events.popleft()] if self._events else []


def test_ray_pool_when_a_task_kills_its_workers_loses_only_that_task():
    """The tasks that were in the same workers have their results: the last try of each one is alone in a worker."""
    tasks = ["killer", *(f"task{number}" for number in range(20))]
    pool = RayPool(Cluster("x:1", Settings(_env_file=None), Model()), list, 8)
    pool._workers = workers = _Workers()
    waiting, done = list(reversed(tasks)), []
    while waiting or pool:
        while waiting and pool.free_slots > 0:
            pool.submit(waiting.pop())
        done += pool.finished(0.1)
    assert sorted(ended.task for ended in done) == sorted(tasks)
    assert [ended.task for ended in done if ended.error] == ["killer"]
    assert isinstance(next(ended.error for ended in done if ended.error), WorkerLost)
    assert workers.most_with_killer == [9, 9, 0]
