"""Sampling: the segments and the times of a recording that become frames. Standard library only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from math import inf
from typing import TypeVar

_T = TypeVar("_T")

_DEFAULT_INTERVAL_S = 2.0  # the length of Twitch's segments, of which each gives one frame


@dataclass(frozen=True, slots=True)
class FrameRequest:
    """A wish for a frame of a recording at `time_s`, or for any later than `after_s` that takes less work.

    Times are seconds from the recording's start.
    """

    time_s: float
    after_s: float = -inf


@dataclass(frozen=True, slots=True)
class RecordedFrame:
    """A frame of a recording: its time in seconds from the start, and the frame as JPEG."""

    time_s: float
    jpeg: bytes


def evenly_spaced(items: Sequence[_T], max_items: int) -> list[_T]:
    """Return up to `max_items` of `items`, in order and at equal distances, beginning with the first one."""
    size = min(max_items, len(items))
    return [items[index * len(items) // size] for index in range(size)]


def bit_reversed(items: Sequence[_T]) -> list[_T]:
    """Return all `items` in bit-reversal order: each prefix of the result is spread over the whole sequence.

    The order is the van der Corput sequence of base 2: https://en.wikipedia.org/wiki/Van_der_Corput_sequence
    """
    bits = max(1, (len(items) - 1).bit_length())
    return [items[index] for index in sorted(range(len(items)), key=lambda index: int(f"{index:0{bits}b}"[::-1], 2))]


def sample_times(
    duration_s: float, interval_s: float, max_frames: int | None, *, spread_first: bool = False
) -> Iterator[float]:
    """Yield the times of a recording at which frames are taken, in seconds from its start.

    With an interval, one each `interval_s`; without one (0), `max_frames` spread over the duration, in the order
    of `bit_reversed` if `spread_first`. Without a duration (0), one each two seconds. `max_frames` None: no end.
    """
    if not interval_s and max_frames and duration_s:
        times = [index * duration_s / max_frames for index in range(max_frames)]
        yield from bit_reversed(times) if spread_first else times
    else:
        # A duration in a container's header may be wrong: the caller stops at the last frame.
        indexes = range(max_frames) if max_frames else count()
        yield from (index * (interval_s or _DEFAULT_INTERVAL_S) for index in indexes)
