"""Threads: daemon threads, which never keep the process alive, with a future or for the time of a block."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import TypeVar

Result = TypeVar("Result")


def start_thread(work: Callable[[], Result], name: str) -> Future[Result]:
    """Run `work` in a daemon thread; return the future of its result, which also has the error that it raises."""
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - `future.result` raises it
            future.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


@contextmanager
def thread_beside(work: Callable[[], object], stop: threading.Event, name: str) -> Iterator[None]:
    """Run `work` in a thread during the block. The end of the block sets `stop`, then waits for the thread.

    `work` must return soon after `stop` is set, which happens after an error in the block too. What it raises is raised
    at the end of the block, unless the block has an error of its own.
    """
    thread = start_thread(work, name)
    try:
        yield
    finally:
        stop.set()
        wait([thread])
    thread.result()
