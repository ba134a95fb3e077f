"""Sampling: which segments, and which times of a recording, frames are taken from. Standard library only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import TypeVar

_T = TypeVar("_T")

_SEGMENT_S = 2.0


def evenly_spaced(items: Sequence[_T], max_items: int) -> list[_T]:
    """At most so many of them, spread over all, as segments over a recording."""
    count_kept = min(max_items, len(items))
    return [items[index * len(items) // count_kept] for index in range(count_kept)]


def bit_reversed(items: Sequence[_T]) -> list[_T]:
    """All of them, in an order whose every beginning is spread over all: van der Corput's, by the bits in reverse."""
    bits = max(1, (len(items) - 1).bit_length())
    return [items[index] for index in sorted(range(len(items)), key=lambda index: int(f"{index:0{bits}b}"[::-1], 2))]


def sample_times(seconds: float, interval_s: float, max_items: int | None, *, spread_first: bool = False) -> Iterator[float]:
    """Where in a recording of so many seconds pictures are taken: one each `interval_s`, or with 0 `at_most` of all.

    With neither interval nor number one every two seconds. `scatter`: those of all in the order of `scattered`.
    """
    if not interval_s and max_items and seconds:
        spread = [index * seconds / max_items for index in range(max_items)]
        yield from bit_reversed(spread) if spread_first else spread
    else:
        yield from (index * (interval_s or _SEGMENT_S) for index in (range(max_items) if max_items else count()))
