"""recognition.engine.due_queue: items come out when they are due, in the order of their times."""

from __future__ import annotations

import threading
import time

from recognition.engine.due_queue import Rota


def test_in_the_order_of_their_times():
    """Whatever the order in which they were put in; of equal times the first one first."""
    rota: Rota[str] = Rota(lambda: 10.0)
    for name, at in [("c", 3.0), ("a", 1.0), ("d", 3.0), ("b", 2.0)]:
        rota.put(name, at)
    assert [next(rota) for _ in range(4)] == [(1.0, "a"), (2.0, "b"), (3.0, "c"), (3.0, "d")]


def test_nothing_comes_before_its_time():
    """An item is waited for; one that is put in meanwhile and is due earlier comes first."""
    rota: Rota[str] = Rota()
    start = time.monotonic()
    rota.put("late", start + 0.4)
    threading.Timer(0.1, rota.put, ["early", start + 0.2]).start()
    came = [(item, time.monotonic() - start >= at - start) for at, item in (next(rota), next(rota))]
    assert came == [("early", True), ("late", True)]
    assert 0.4 <= time.monotonic() - start < 5


def test_closing_ends_the_waiting():
    """Whoever waits, with items or without, is told that there is nothing more."""
    for rota in (Rota[str](), Rota[str]()):
        threading.Timer(0.1, rota.close).start()
        assert list(rota) == []
    rota.put("never", time.monotonic() + 3600)
    assert list(rota) == []
