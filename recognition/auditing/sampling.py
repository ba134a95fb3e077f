"""Stratified random sampling of live streams. Standard library only.

A stratum is a category and a band of viewers. Its sampled streams are drawn without replacement, each with the same
probability, and stand for N/n streams each: N are live, n are sampled. So sum(weight * y) over the sampled streams is
an unbiased estimate of the sum of y over all (Cochran, Sampling Techniques, 5.3), whatever the allocation.

The allocation is proportional to the sizes, but at least two streams of each stratum are sampled, or all of a smaller
one: a variance needs two. Where these minimums would take more than half of the sample, the smallest strata are merged,
first with their neighbour in the same category, then with other categories.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from data.entities import Stream
from data.text import plural

_BANDS = (0, 10, 100, 1000, 10_000)  # least viewers of each
_LEAST = 2  # sampled streams of a stratum


@dataclass(frozen=True, slots=True)
class PlannedStream:
    """A stream that an audit looks at. weight: live streams of the stratum for each planned one, at least 1."""

    stream: Stream
    stratum: str
    weight: float


@dataclass(frozen=True, slots=True)
class _Stratum:
    """Streams of adjacent bands of one category, or of all bands of several categories."""

    categories: frozenset[int]
    bands: tuple[int, int]  # the first and the last one
    streams: tuple[Stream, ...]

    @property
    def order(self) -> tuple[int, list[int], tuple[int, int]]:
        """By size; ties by content, so that the order of the listing does not matter."""
        return len(self.streams), sorted(self.categories), self.bands

    @property
    def name(self) -> str:
        """The name, such as: Chess, 10 to 99 viewers."""
        category = min(stream.game_name for stream in self.streams)
        if others := len(self.categories) - 1:
            category += f" and {plural(others, 'other')}"
        low, last = _BANDS[self.bands[0]], self.bands[1] + 1
        high = f"to {_BANDS[last] - 1:,}" if last < len(_BANDS) else "or more"
        return f"{category}, {low:,} {high} viewers"

    def merged_with(self, other: _Stratum) -> _Stratum:
        """Return the union."""
        first, last = min(self.bands[0], other.bands[0]), max(self.bands[1], other.bands[1])
        return _Stratum(self.categories | other.categories, (first, last), self.streams + other.streams)


def census(streams: Iterable[Stream]) -> list[PlannedStream]:
    """Return all streams, each of which stands for itself."""
    return [PlannedStream(stream, stream.game_name, 1.0) for stream in streams]


def stratified_sample(streams: Sequence[Stream], count: int, seed: int) -> list[PlannedStream]:
    """Return `count` of the streams in random order, the same ones for the same streams and seed; all if they are few.

    Raises ValueError for a count below 1.
    """
    if count < 1:
        raise ValueError("a sample has at least one stream")
    generator = random.Random(seed)
    strata = sorted(_merged(_strata(streams), count), key=lambda stratum: stratum.name)
    sizes = [len(stratum.streams) for stratum in strata]
    planned: list[PlannedStream] = []
    parts = allocation(sizes, min(count, len(streams)))
    for number, (stratum, taken) in enumerate(zip(strata, parts, strict=True), 1):
        drawn = generator.sample(sorted(stratum.streams, key=lambda stream: stream.login), taken)
        name, weight = f"{number}. {stratum.name}", len(stratum.streams) / taken  # the number makes it unique
        planned += [PlannedStream(stream, name, weight) for stream in drawn]
    generator.shuffle(planned)  # an audit that is ended early has looked at all strata
    return planned


def allocation(sizes: Sequence[int], count: int) -> list[int]:
    """Return how many of each stratum to sample: `count` in total, proportional to the sizes, at least two or all.

    count: at least the sum of these minimums, or of the only one; at most the sum of the sizes.
    """
    least = [min(_LEAST, size, count) for size in sizes]
    low, high = 0.0, 1.0  # bisect for the sampling fraction at which the strata sum to `count`
    for _ in range(60):
        middle = (low + high) / 2
        total = sum(max(minimum, middle * size) for minimum, size in zip(least, sizes, strict=True))
        low, high = (middle, high) if total <= count else (low, middle)
    exact = [max(minimum, low * size) for minimum, size in zip(least, sizes, strict=True)]
    taken = [int(number + 1e-9) for number in exact]
    by_remainder = sorted(range(len(sizes)), key=lambda index: (taken[index] - exact[index], index))
    for index in by_remainder[: count - sum(taken)]:
        taken[index] += 1
    return taken


def _strata(streams: Iterable[Stream]) -> list[_Stratum]:
    cells: dict[tuple[int, int], list[Stream]] = {}
    for stream in streams:
        band = max(index for index, least in enumerate(_BANDS) if stream.viewers >= least)
        cells.setdefault((stream.game_id, band), []).append(stream)
    return [_Stratum(frozenset([game]), (band, band), tuple(found)) for (game, band), found in sorted(cells.items())]


def _merged(strata: list[_Stratum], count: int) -> list[_Stratum]:
    """Return the strata, the smallest ones merged until their minimums take at most half of `count` streams."""
    while len(strata) > 1 and sum(min(_LEAST, len(stratum.streams)) for stratum in strata) > count / 2:
        per_category = Counter(stratum.categories for stratum in strata)
        divided = [stratum for stratum in strata if per_category[stratum.categories] > 1]
        smallest = min(divided or strata, key=lambda stratum: stratum.order)
        others = [stratum for stratum in strata if stratum is not smallest]
        bands = [other for other in others if other.categories == smallest.categories]
        partner = min(bands or others, key=lambda other: (_gap(other, smallest) if bands else 0, other.order))
        strata = [other for other in others if other is not partner] + [smallest.merged_with(partner)]
    return strata


def _gap(one: _Stratum, other: _Stratum) -> int:
    """Return how far the bands are apart."""
    return max(one.bands[0] - other.bands[1], other.bands[0] - one.bands[1])
