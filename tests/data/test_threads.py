"""A thread that works while a block runs."""

from __future__ import annotations

import threading

import pytest

from data.threads import thread_beside


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
