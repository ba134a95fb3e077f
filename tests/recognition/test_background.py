"""Background tasks."""

from __future__ import annotations

import threading

import pytest

from data.errors import ModelError
from recognition.engine.background import in_background


def test_background_task_starts_at_once_and_gives_its_result_each_time():
    """It runs in another thread, once."""
    started, threads = threading.Event(), []

    def work() -> int:
        threads.append(threading.current_thread())
        started.set()
        return 5

    result = in_background(work)
    assert started.wait(10)
    assert (result(), result(), len(threads)) == (5, 5, 1)
    assert threads != [threading.current_thread()]


def test_error_of_a_background_task_is_raised_where_its_result_is_needed():
    """Such as a missing model, after the settings of the command were checked."""

    def work() -> None:
        raise ModelError("model.onnx is missing")

    with pytest.raises(ModelError, match="is missing"):
        in_background(work)()
