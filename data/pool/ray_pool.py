"""Ray pool: runs tasks on the workers of a cluster, which hold threads; gives the tasks of a lost worker to others.

    submit: the task goes to the worker with the fewest tasks, if it has room; else it waits
    finished: the results of all workers; a worker with fewer tasks gets waiting ones

A worker has room for its threads and some tasks that wait there, so that no thread waits for the network. While there
are fewer tasks than that, all workers get the same number.

A task may kill its worker, and take the others there with it. So a task that has one loss left runs alone in a worker.
"""

from __future__ import annotations

import itertools
import math
import pickle
import time
import traceback
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic

from data.errors import StopRequested, ToolkitError, WorkerLost
from data.pool.links import Joined, Lost, Replied
from data.pool.nodes import Cluster
from data.pool.pool import Finished, Result, Task
from data.pool.threads import ThreadPool
from data.pool.worker_host import GATHER_S, portable
from data.pool.workers import RemoteWorkers
from data.text import plural

_CANCEL = "cancel"
# Results wait so long for others where tasks wait in the worker: no thread waits for the coordinator.
AHEAD_GATHER_S = 0.25
_TICK_S = 0.5  # after which a worker that has not started is not waited for any more


@dataclass(eq=False)
class _Job:
    """A task in flight."""

    number: int
    task: Any
    losses: int = 0
    avoid: str = ""  # node


@dataclass(eq=False)
class _Load:
    """What a worker has: the numbers of its tasks. is_alone: its task runs without others."""

    node: str
    tasks: set[int] = field(default_factory=set)
    is_alone: bool = False


@dataclass(frozen=True, slots=True)
class _Outcome:
    """How a task ended: one of the fields, or none after `cancel`."""

    number: int
    result: Any = None
    error: ToolkitError | None = None
    defect: str = ""  # traceback of an exception that is no ToolkitError
    cancelled: bool = False


class RayPool(Generic[Task, Result]):
    """Pool on the workers of a cluster.

    Args:
        make_run: returns what runs a task; picklable. Each worker calls it once. If the result has methods `cancel` and
            `close`, they ask its tasks to end, and free what it holds.
        slots_per_worker: number of threads of a worker, all on one CPU.
        ahead: tasks that wait in a worker for a thread; a quarter of the threads if None.
        losses: number of workers that a task may lose before WorkerLost is its error.
    """

    def __init__(
        self,
        cluster: Cluster,
        make_run: Callable[[], Callable[[Task], Result]],
        slots_per_worker: int,
        *,
        ahead: int | None = None,
        losses: int = 3,
    ) -> None:
        ahead = max(1, slots_per_worker // 4) if ahead is None else ahead
        self._room = slots_per_worker + ahead
        self._losses = losses
        make_worker = partial(TaskWorker, make_run, slots_per_worker)
        self._workers = RemoteWorkers(cluster, make_worker, gather_s=AHEAD_GATHER_S if ahead else GATHER_S)
        self._numbers = itertools.count()
        self._jobs: dict[int, _Job] = {}
        self._waiting: deque[_Job] = deque()
        self._loads: dict[int, _Load] = {}
        self._cancelled = False

    def __enter__(self) -> RayPool[Task, Result]:
        self._workers.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._workers.__exit__(*error)

    def __bool__(self) -> bool:
        return bool(self._jobs)

    @property
    def free_slots(self) -> int:
        """Number of tasks that `submit` takes now."""
        return self._workers.expected * self._room - len(self._jobs)

    def submit(self, task: Task, avoid: str = "") -> None:
        """Start the task, or let it wait for a worker. It must be picklable."""
        job = _Job(next(self._numbers), task, avoid=avoid)
        self._jobs[job.number] = job
        self._waiting.append(job)
        self._assign()

    def finished(self, timeout_s: float | None = None) -> list[Finished[Task, Result]]:
        """Wait until a task has ended, up to `timeout_s` seconds; return all that have ended.

        Without tasks, wait until there is a free slot. Raises ClusterError; RuntimeError, the traceback of a defect.
        """
        end = math.inf if timeout_s is None else time.monotonic() + timeout_s
        done: list[Finished[Task, Result]] = []
        while (self._jobs or (self.free_slots <= 0 and not self._cancelled)) and not done:
            if (left_s := end - time.monotonic()) < 0:
                break
            for event in self._workers.events(min(left_s, _TICK_S)):
                done += self._handle(event)
            self._assign()
        return done

    def cancel(self) -> list[Task]:
        """Drop the tasks that have not begun, and ask those that run to end. Return those that no worker has."""
        self._cancelled = True
        dropped = [self._jobs.pop(job.number).task for job in self._waiting]
        self._waiting.clear()
        for worker in self._loads:
            self._workers.send(worker, _CANCEL)
        return dropped

    def _assign(self) -> None:
        """Give waiting tasks, oldest first, to the workers with the fewest."""
        share = -(-len(self._jobs) // max(1, self._workers.expected))  # rounded up
        while self._waiting:
            job = self._waiting[0]
            is_last_try = 0 < job.losses == self._losses - 1
            room = 1 if is_last_try else min(self._room, share)
            free = [each for each in self._loads.items() if len(each[1].tasks) < room and not each[1].is_alone]
            if not free:
                break
            worker, load = min(free, key=lambda each: (each[1].node == job.avoid, len(each[1].tasks)))
            load.tasks.add(job.number)
            load.is_alone = is_last_try
            self._workers.send(worker, (job.number, job.task))
            self._waiting.popleft()

    def _handle(self, event: Joined | Replied | Lost) -> list[Finished[Task, Result]]:
        if isinstance(event, Joined):
            self._loads[event.worker] = _Load(event.node.id)
            return []
        if isinstance(event, Lost):
            lost = sorted(self._loads.pop(event.worker).tasks, reverse=True)
            return [ended for number in lost if (ended := self._lost(self._jobs[number], event))]
        load = self._loads[event.worker]
        load.tasks -= {outcome.number for outcome in event.replies}
        load.is_alone &= bool(load.tasks)
        return [ended for outcome in event.replies if (ended := self._ended(outcome, load.node))]

    def _lost(self, job: _Job, event: Lost) -> Finished[Task, Result] | None:
        job.losses += 1
        if job.losses < self._losses and not self._cancelled:
            self._waiting.appendleft(job)
            return None
        del self._jobs[job.number]
        if self._cancelled:
            return None
        lost = f"lost {plural(job.losses, 'worker')} that had this task ({event.reason})"
        return Finished(job.task, None, WorkerLost(lost))

    def _ended(self, outcome: _Outcome, node: str) -> Finished[Task, Result] | None:
        job = self._jobs.pop(outcome.number)
        if outcome.defect:
            raise RuntimeError(f"a task failed on a worker\n{outcome.defect}")
        return None if outcome.cancelled else Finished(job.task, outcome.result, outcome.error, node)


class TaskWorker:
    """Worker of a RayPool: a thread pool that takes numbered tasks and replies with numbered outcomes."""

    def __init__(self, make_run: Callable[[], Callable[[Any], Any]], threads: int) -> None:
        self._run = make_run()
        stop = getattr(self._run, "cancel", lambda: None)
        self._pool: ThreadPool[tuple[int, Any], _Outcome] = ThreadPool(self._outcome, threads, threads, stop)

    def exchange(self, messages: list[Any], timeout_s: float) -> list[_Outcome]:
        """Start the tasks; return the outcomes of those that have ended."""
        outcomes = []
        for message in messages:
            if message == _CANCEL:
                outcomes += [_Outcome(number, cancelled=True) for number, _ in self._pool.cancel()]
            else:
                self._pool.submit(message)
        if not self._pool:
            time.sleep(timeout_s)
        return outcomes + [ended.result for ended in self._pool.finished(timeout_s) if ended.result]

    def close(self) -> None:
        """Close what runs the tasks. The end of the process ends them."""
        getattr(self._run, "close", lambda: None)()

    def _outcome(self, numbered: tuple[int, Any]) -> _Outcome:
        """Run a task. Whatever it raises becomes an outcome that can be pickled."""
        number, task = numbered
        try:
            result = self._run(task)
            pickle.dumps(result)
            return _Outcome(number, result)
        except StopRequested:
            return _Outcome(number, cancelled=True)
        except ToolkitError as error:
            return _Outcome(number, error=portable(error))
        except Exception:  # noqa: BLE001 - a defect: the coordinator raises it
            return _Outcome(number, defect=traceback.format_exc()[-4000:])
