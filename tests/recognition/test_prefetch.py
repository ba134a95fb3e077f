"""Prefetch: the next item is computed while the consumer works, and errors keep their position."""

from __future__ import annotations

import threading

import pytest

from recognition.engine.single_source import prefetch


def test_all_items_come_in_order():
    """Every item arrives, in order, and then the iteration ends."""
    with prefetch(iter(range(100))) as items:
        assert list(items) == list(range(100))


def test_next_item_is_computed_while_the_consumer_works():
    """Item 2 is computed while the consumer holds item 1: its source waits for an event that only the consumer sets."""
    computing_second, consumer_has_first = threading.Event(), threading.Event()

    def source():
        yield 1
        computing_second.set()
        assert consumer_has_first.wait(10)
        yield 2

    with prefetch(source()) as items:
        assert next(items) == 1
        assert computing_second.wait(10)
        consumer_has_first.set()
        assert list(items) == [2]


def test_first_item_starts_when_the_block_is_entered():
    """The work starts before anything is consumed."""
    started = threading.Event()

    def source():
        started.set()
        yield 1

    with prefetch(source()):
        assert started.wait(10)


def test_error_is_raised_at_the_position_of_its_item():
    """Items before an error are not lost."""

    def source():
        yield 1
        raise KeyError("broken")

    with prefetch(source()) as items:
        assert next(items) == 1
        with pytest.raises(KeyError, match="broken"):
            next(items)


def test_leaving_the_block_starts_no_item_and_leaves_no_thread():
    """A consumer that leaves early stops an endless source after at most one more item."""
    computed = []

    def endless():
        while True:
            computed.append(1)
            yield 1

    with prefetch(endless()) as items:
        next(items)
    for thread in [t for t in threading.enumerate() if t.name.startswith("prefetch")]:
        thread.join(10)
        assert not thread.is_alive()
    assert len(computed) <= 3
