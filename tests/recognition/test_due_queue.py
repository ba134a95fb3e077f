"""recognition.engine.due_queue: items come out when they are due, ordered by due time."""

from __future__ import annotations

import threading
import time

from recognition.engine.due_queue import DelayQueue


def test_items_come_in_the_order_of_their_due_times():
    """The order of `put` does not matter, except for items that are due at the same time."""
    queue: DelayQueue[str] = DelayQueue(lambda: 10.0)
    for name, at in [("c", 3.0), ("a", 1.0), ("d", 3.0), ("b", 2.0)]:
        queue.put(name, at)
    assert [next(queue) for _ in range(4)] == [(1.0, "a"), (2.0, "b"), (3.0, "c"), (3.0, "d")]


def test_no_item_comes_before_it_is_due():
    """The queue waits for an item; an item that is put meanwhile and is due earlier comes first."""
    queue: DelayQueue[str] = DelayQueue()
    start = time.monotonic()
    queue.put("late", start + 0.4)
    threading.Timer(0.1, queue.put, ["early", start + 0.2]).start()
    came = [(item, time.monotonic() - start >= at - start) for at, item in (next(queue), next(queue))]
    assert came == [("early", True), ("late", True)]
    assert 0.4 <= time.monotonic() - start < 20


def test_close_ends_the_iteration():
    """A waiting iteration ends, whether items are left or not."""
    for queue in (DelayQueue[str](), DelayQueue[str]()):
        threading.Timer(0.1, queue.close).start()
        assert list(queue) == []
    queue.put("never", time.monotonic() + 3600)
    assert list(queue) == []


def test_discarded_item_does_not_come():
    """The others come in their order; to discard an item that is not there does nothing."""
    queue: DelayQueue[str] = DelayQueue(lambda: 10.0)
    for index, name in enumerate("abcde"):
        queue.put(name, float(5 - index))
    for name in ("d", "b", "b"):
        queue.discard(name)
    assert [next(queue)[1] for _ in range(3)] == ["e", "c", "a"]
