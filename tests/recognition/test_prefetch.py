"""recognition.engine.prefetch: the next item is made while this one is read, and errors arrive in their place."""

from __future__ import annotations

import threading

import pytest

from recognition.engine.prefetch import ahead


def test_order_and_end():
    """Every item arrives, in order, and the end is an end."""
    with ahead(iter(range(100))) as items:
        assert list(items) == list(range(100))


def test_the_next_item_is_made_meanwhile():
    """While the reader holds item 1, item 2 is being made: the maker waits for a sign that only the reader gives."""
    making_second, reader_has_first = threading.Event(), threading.Event()

    def source():
        yield 1
        making_second.set()
        assert reader_has_first.wait(10)
        yield 2

    with ahead(source()) as items:
        assert next(items) == 1
        assert making_second.wait(10)
        reader_has_first.set()
        assert list(items) == [2]


def test_the_first_item_is_begun_at_once():
    """Work starts on entering the block, before anything is read."""
    begun = threading.Event()

    def source():
        begun.set()
        yield 1

    with ahead(source()):
        assert begun.wait(10)


def test_an_error_comes_where_its_item_would():
    """Items made before an error are not lost to it."""

    def source():
        yield 1
        raise KeyError("broken")

    with ahead(source()) as items:
        assert next(items) == 1
        with pytest.raises(KeyError, match="broken"):
            next(items)


def test_leaving_makes_nothing_more_and_leaves_no_thread():
    """A reader that leaves early stops the maker: an endless source makes one item more at most."""
    made = []

    def endless():
        while True:
            made.append(1)
            yield 1

    with ahead(endless()) as items:
        next(items)
    for thread in [t for t in threading.enumerate() if t.name.startswith("ahead")]:
        thread.join(10)
        assert not thread.is_alive()
    assert len(made) <= 3
