"""Pool on a Ray cluster: results, lost nodes, hung workers, workers that cannot start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import psutil
import pytest

from config import Settings
from data.errors import ClusterError, ModelError, StreamError, StreamOffline, ToolkitError, WorkerLost
from data.pool.links import Joined, Lost, Replied
from data.pool.nodes import Cluster, Node
from data.pool.pool import Finished
from data.pool.ray_pool import RayPool
from data.pool.shipping import Model
from data.pool.worker_host import portable
from data.pool.workers import RemoteWorkers
from tests.cluster.conftest import RayNodes

pytestmark = pytest.mark.xdist_group("cluster")

_MANY = 5000


class _OwnError(StreamOffline):
    """An error whose class pickle cannot rebuild."""

    def __init__(self, login: str, minutes: int) -> None:
        super().__init__(f"{login} ended {minutes} min ago")


def _make_run(seconds: float) -> Callable[[int], int]:
    def run(task: int) -> int:
        time.sleep(seconds)
        if task == 1:
            raise _OwnError("anna", 5)
        if task == 2:
            return lambda: task  # type: ignore[return-value]  # it cannot be pickled
        return os.getpid()

    return run


def _work(pool: RayPool[int, int], tasks: range, see: Callable[[Finished[int, int]], object]) -> None:
    """Run tasks; call `see` with each outcome, and submit no more when it says so."""
    left = list(reversed(tasks))
    while left or pool:
        while left and pool.free_slots > 0:
            pool.submit(left.pop())
        for outcome in pool.finished():
            if see(outcome):
                left.clear()


def test_ray_pool_when_a_node_joins_and_is_killed_returns_each_outcome_once(cluster: RayNodes, connected: Cluster):
    """A node that joins gets tasks; when it is killed, others get them; an error keeps its class's reason."""
    done: list[Finished[int, int]] = []
    node = None

    def see(outcome: Finished[int, int]) -> bool:
        done.append(outcome)
        if node and outcome.node == node.node_id:
            cluster.kill(node)
            return True
        return False

    with RayPool(connected, partial(_make_run, 0.1), 2) as pool:
        _work(pool, range(3, 20), see)  # without the new node
        node = cluster.add()
        nodes = 1 + len(cluster.ray.worker_nodes)
        try:
            _work(pool, range(20, _MANY), see)  # until it is used, and killed
        finally:
            cluster.kill(node)
        _work(pool, range(2), see)
        pool.submit(2)
        with pytest.raises(RuntimeError, match="pickle"):
            pool.finished()
    assert sorted(outcome.task for outcome in done) == [0, 1, *range(3, len(done) + 1)]
    assert len(done) < _MANY / 2
    assert len({outcome.node for outcome in done}) == nodes
    (failed,) = [outcome for outcome in done if outcome.error]
    assert isinstance(failed.error, StreamError)
    assert (failed.task, failed.error.reason, str(failed.error)) == (1, "offline", "anna ended 5 min ago")


class _Echo:
    """Worker that replies with its process's number and the messages."""

    def exchange(self, messages: list[Any], timeout_s: float) -> list[Any]:
        if not messages:
            time.sleep(timeout_s)
        return [(os.getpid(), message) for message in messages]

    def close(self) -> None: ...


def _replies(events: list[Any]) -> list[Any]:
    return [reply for event in events if isinstance(event, Replied) for reply in event.replies]


def _lost(events: list[Any]) -> list[Lost]:
    return [event for event in events if isinstance(event, Lost)]


def _joined(events: list[Any], node: Node) -> list[Joined]:
    """Return the workers of this node; an earlier test may have left another one."""
    return [event for event in events if isinstance(event, Joined) and event.node == node]


def _events(workers: RemoteWorkers, enough: Callable[[list[Any]], object]) -> list[Any]:
    events: list[Any] = []
    end = time.monotonic() + 30
    while not enough(events):
        assert time.monotonic() < end, events
        events += workers.events(0.2)
    return events


@pytest.fixture
def other_node(cluster: RayNodes) -> Iterator[None]:
    """Add a node, which leaves the cluster at the end."""
    node = cluster.add()
    yield
    cluster.ray.remove_node(node)


@pytest.mark.usefixtures("other_node")
def test_remote_worker_when_it_hangs_is_lost_and_replaced(connected: Cluster):
    """Messages arrive in order. A stopped process is lost after the bound, ends, and another one takes its place.

    The workers of other nodes go on.
    """
    with RemoteWorkers(connected, _Echo, lost_s=2.5) as workers:
        joined, *_, second = _events(workers, lambda events: len(events) >= 2)
        assert isinstance(joined, Joined)
        assert isinstance(second, Joined)
        assert joined.node != second.node
        first = joined.worker
        for number in range(100):
            workers.send(first, number)
        replies = _events(workers, lambda events: len(_replies(events)) == 100)
        texts = _replies(replies)
        assert [number for _, number in texts] == list(range(100))
        os.kill(pid := texts[0][0], signal.SIGSTOP)
        events = _events(workers, lambda events: _lost(events) and _joined(events, joined.node))
        assert _lost(events) == [Lost(first, "no answer for 2 s")]
        [replacement] = _joined(events, joined.node)
        assert replacement.worker != first
        with suppress(psutil.NoSuchProcess):
            psutil.Process(pid).wait(10)
        workers.send(first, "a lost worker gets nothing")
        for worker in (replacement.worker, second.worker):
            workers.send(worker, "x")
        events = _events(workers, lambda events: len(_replies(events)) == 2)
        assert {event.worker for event in events if isinstance(event, Replied)} == {replacement.worker, second.worker}
        assert [text for process, text in _replies(events) if process != pid] == ["x", "x"]


def _raise_model_error() -> _Echo:
    raise ModelError("the model is broken")


def test_remote_workers_when_none_can_start_raise_its_error(connected: Cluster):
    """A worker that cannot be created ends the command with the reason, instead of starting again for ever."""
    with RemoteWorkers(connected, _raise_model_error) as workers, pytest.raises(ModelError, match="broken"):
        _events(workers, lambda _: False)


class _SilentHead(Cluster):
    """A cluster whose head is gone: its list of nodes never comes. Named fake."""

    def nodes(self) -> list[Node]:
        time.sleep(30)
        return []

    def put(self, value: Any) -> Any:
        return value


def test_remote_workers_when_the_head_is_gone_end_with_one_line(monkeypatch: pytest.MonkeyPatch):
    """Ray itself would end the process after a minute; here the command ends first, again at each call."""
    monkeypatch.setattr("data.pool.workers._HEAD_S", 0.2)
    cluster = _SilentHead("10.0.0.1:6379", Settings(_env_file=None), Model())
    with RemoteWorkers(cluster, _Echo) as workers:
        for _ in range(2):
            with pytest.raises(ClusterError, match=r"the head of the cluster .* does not answer"):
                workers.events(20)


_FENCED = """
import time
from data.pool.checks import versions
from data.pool.worker_host import WorkerHost
class Worker:
    def exchange(self, messages, timeout_s): return [1]
    def close(self): pass
print(WorkerHost().start({}.popitem, versions(), 2.0))
host = WorkerHost()
host.start(Worker, versions(), 2.0)
for _ in range(3):
    host.exchange(True)
    time.sleep(0.5)  # longer than the lease altogether
print("exchanged", flush=True)
time.sleep(30)
"""


def test_worker_host_when_the_coordinator_is_silent_ends_its_process():
    """The lease of 1.6 s is renewed by each question; without one the process ends, whatever its threads do.

    A worker that a defect keeps from its start is one line for the coordinator.
    """
    done = subprocess.run([sys.executable, "-c", _FENCED], capture_output=True, text=True, check=False, timeout=20)
    defect = "the worker cannot be created: KeyError: 'popitem(): dictionary is empty'"
    assert (done.returncode, done.stdout.splitlines()) == (1, [defect, "exchanged"])
    assert done.stderr.count("Traceback") == 1


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (StreamOffline("over"), StreamOffline),
        (_OwnError("anna", 5), StreamOffline),
        (WorkerLost("gone"), WorkerLost),
        (ToolkitError("x"), ToolkitError),
    ],
)
def test_portable_when_an_error_crosses_processes_keeps_class_and_text(error: ToolkitError, kind: type):
    """An error that pickle cannot rebuild becomes one of its base class in data.errors."""
    copy = portable(error)
    assert type(copy) is kind
    assert str(copy) == str(error)
