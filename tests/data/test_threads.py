"""Threads: their results and errors, and the end of a block beside one."""

from __future__ import annotations

import threading

import pytest

from data.threads import start_thread, thread_beside


@pytest.mark.parametrize("error", [None, ValueError("of the block")], ids=["end", "error"])
def test_thread_when_the_block_ends_is_stopped_and_waited_for(error: Exception | None):
    """Also after an error, which the block raises unchanged."""
    stop, lines = threading.Event(), []

    def work() -> None:
        lines.append(threading.current_thread().name)
        stop.wait(10)
        lines.append("stopped")

    def block() -> None:
        with thread_beside(work, stop, "worker"):
            assert not stop.is_set()
            if error:
                raise error

    if error:
        with pytest.raises(ValueError, match="of the block"):
            block()
    else:
        block()
    assert lines == ["worker", "stopped"]


def _fail() -> None:
    raise KeyboardInterrupt("of the thread")


def test_thread_when_its_work_fails_raises_that_where_the_caller_waits():
    """Whatever it is: at the end of the block, unless that has an error of its own, or with the future's result."""
    with pytest.raises(KeyboardInterrupt, match="of the thread"), thread_beside(_fail, threading.Event(), "worker"):
        pass
    with pytest.raises(ValueError, match="of the block"), thread_beside(_fail, threading.Event(), "worker"):
        raise ValueError("of the block")
    assert start_thread(lambda: threading.current_thread().daemon, "worker").result(10)
    with pytest.raises(KeyboardInterrupt, match="of the thread"):
        start_thread(_fail, "worker").result(10)
