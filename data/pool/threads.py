"""Thread pool: runs tasks in threads of this process."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Generic

from data.errors import StopRequested, ToolkitError
from data.pool.pool import Finished, Result, Task


class ThreadPool(Generic[Task, Result]):
    """Pool of threads. They start on demand.

    Args:
        run: does a task; any number of threads call it. It raises ToolkitError for a failure, and StopRequested when
            `cancel` ended the task: such a task has no result.
        workers: maximum number of threads.
        queued: maximum number of tasks that wait for a thread.
        stop: asks the tasks that run to end. `cancel` calls it, perhaps more than once.
        grace_s: seconds that the end of the block waits for tasks that run.
    """

    def __init__(
        self,
        run: Callable[[Task], Result],
        workers: int,
        queued: int = 0,
        stop: Callable[[], object] = lambda: None,
        grace_s: float = 2.0,
    ) -> None:
        self._run = run
        self._slots = workers + queued
        self._stop = stop
        self._grace_s = grace_s
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix="pool")
        self._in_flight: dict[Future[Result], Task] = {}
        self._done: SimpleQueue[Future[Result]] = SimpleQueue()

    def __enter__(self) -> ThreadPool[Task, Result]:
        return self

    def __exit__(self, *_: object) -> None:
        """Cancel all tasks; leave behind those that still run after the grace period."""
        self.cancel()
        hang = wait(self._in_flight, self._grace_s).not_done
        self._executor.shutdown(wait=not hang)

    def __bool__(self) -> bool:
        return bool(self._in_flight)

    @property
    def free_slots(self) -> int:
        """Number of tasks that `submit` takes now."""
        return self._slots - len(self._in_flight)

    def submit(self, task: Task, avoid: str = "") -> None:  # noqa: ARG002 - there is one node
        """Start the task, or let it wait for a thread."""
        future = self._executor.submit(self._run, task)
        self._in_flight[future] = task
        future.add_done_callback(self._done.put)

    def finished(self, timeout_s: float | None = None) -> list[Finished[Task, Result]]:
        """Wait until a task has ended, up to `timeout_s` seconds; return those that have ended."""
        done: list[Future[Result]] = []
        with suppress(Empty):
            if self._in_flight:
                done.append(self._done.get(timeout=timeout_s))
            while True:
                done.append(self._done.get_nowait())
        return [ended for future in done if (ended := self._ended(future))]

    def cancel(self) -> list[Task]:
        """Drop the tasks that have not begun, and ask those that run to end. Return the dropped ones."""
        self._stop()
        return [self._in_flight.pop(future) for future in list(self._in_flight) if future.cancel()]

    def _ended(self, future: Future[Result]) -> Finished[Task, Result] | None:
        """Return the outcome of a task; None if it was dropped or ended by `cancel`. Raises a defect."""
        if future.cancelled():
            return None
        task = self._in_flight.pop(future)
        try:
            return Finished(task, future.result())
        except StopRequested:
            return None
        except ToolkitError as error:
            return Finished(task, None, error)
