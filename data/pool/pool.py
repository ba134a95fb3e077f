"""Worker pool: the interface (Protocol) that the threads of `data.pool.threads` and a Ray cluster implement.

    with pool:
        while tasks are left or pool:
            submit tasks while pool.free_slots
            for each of pool.finished(): use its result, or count its error

A pool is bounded: what runs and what waits for its turn has a slot. The caller's thread makes every call.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar, cast

from data.errors import ToolkitError

Task = TypeVar("Task")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Finished(Generic[Task, Result]):
    """A task that has ended: `error` says why it has no result.

    The error is what the task raised; or WorkerLost, when each worker that had the task was lost.
    """

    task: Task
    result: Result | None
    error: ToolkitError | None = None
    node: str = ""  # id of the node of the cluster that ran it

    def value(self) -> Result:
        """Return the result. Raises `error`."""
        if self.error:
            raise self.error
        return cast("Result", self.result)


class Pool(AbstractContextManager[Any], Protocol[Task, Result]):
    """Runs tasks on workers. A context manager: after the block no worker of the pool runs."""

    @property
    def free_slots(self) -> int:
        """Number of tasks that `submit` takes now."""

    def __bool__(self) -> bool:
        """Return whether tasks are in flight."""

    def submit(self, task: Task, avoid: str = "") -> None:
        """Start a task, or put it into the queue of a worker. Call it only while there is a free slot.

        avoid: `Finished.node` of an earlier try; another node takes the task if one has room.
        """

    def finished(self, timeout_s: float | None = None) -> list[Finished[Task, Result]]:
        """Wait until a task has ended, up to `timeout_s` seconds; return all that have ended. Empty without tasks.

        Raises what a task raised if that is no ToolkitError: a defect.
        """

    def cancel(self) -> list[Task]:
        """Drop the tasks that have not begun, and ask those that run to end; `finished` still returns their results.

        Return those of the dropped tasks that no worker has; the others leave the pool without a result.
        """
