"""Stratified samples of an audit: allocation, weights, and estimates over many seeds."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise
from statistics import mean, pstdev

import pytest

from data.entities import Stream
from recognition.auditing.sampling import allocation, census, stratified_sample


def _population(games: int = 12, seed: int = 5) -> list[Stream]:
    """Return streams of games of many sizes, from one stream to several hundred, with few viewers each but for some."""
    generator = random.Random(seed)
    sizes = [max(1, 600 // rank**2) for rank in range(1, games + 1)]
    return [
        Stream(f"g{game}_{number}", game, "", "en", int(generator.paretovariate(0.6)), f"Game {game}")
        for game, size in enumerate(sizes, 1)
        for number in range(size)
    ]


def _is_wrong(stream: Stream) -> bool:
    """A planted answer that depends on category and viewers, as in life."""
    number = int(stream.login.rpartition("_")[2])
    return number % (3 + stream.game_id) == 0 or stream.viewers > 500


@pytest.mark.parametrize("count", [40, 150])
def test_estimates_over_many_seeds_are_unbiased(count):
    """The mean of 150 estimates of streams and of viewers differs from the truth by less than 4 standard errors."""
    streams = _population()
    truths = [sum(map(_is_wrong, streams)), sum(stream.viewers * _is_wrong(stream) for stream in streams)]
    estimates: list[list[float]] = [[], []]
    for seed in range(150):
        planned = stratified_sample(streams, count, seed)
        assert sum(item.weight for item in planned) == pytest.approx(len(streams))
        estimates[0].append(sum(item.weight * _is_wrong(item.stream) for item in planned))
        estimates[1].append(sum(item.weight * item.stream.viewers * _is_wrong(item.stream) for item in planned))
    for truth, found in zip(truths, estimates, strict=True):
        assert abs(mean(found) - truth) < 4 * pstdev(found) / len(found) ** 0.5


def test_stratified_sample_when_answers_differ_by_viewers_varies_less_than_a_simple_one():
    """The estimate of the viewers has less than half of the standard deviation of a simple random sample's."""
    streams, count = _population(), 120
    stratified, simple = [], []
    for seed in range(80):
        planned = stratified_sample(streams, count, seed)
        stratified.append(sum(item.weight * item.stream.viewers for item in planned))
        drawn = random.Random(seed).sample(streams, count)
        simple.append(sum(stream.viewers for stream in drawn) * len(streams) / count)
    assert pstdev(stratified) < pstdev(simple) / 2


@pytest.mark.parametrize("count", [1, 2, 3, 7, 25, 60, 300, 956, 2000])
def test_sample_has_count_distinct_streams_and_two_of_each_stratum(count):
    """Each stratum has two sampled streams or all of its streams, one stream only for a sample of one."""
    streams = _population()
    planned = stratified_sample(streams, count, 1)
    assert len({item.stream.login for item in planned}) == len(planned) == min(count, len(streams))
    sampled = Counter(item.stratum for item in planned)
    for item in planned:
        assert sampled[item.stratum] >= min(2, count) or item.weight == 1.0
        assert item.weight >= 1.0


def test_small_strata_when_the_sample_is_small_are_merged_bands_first():
    """A category whose bands are too small is one stratum; only a sample that is smaller still merges categories."""
    streams = _population()
    by_count = {n: {item.stratum for item in stratified_sample(streams, n, 1)} for n in (3, 25, 60)}
    assert by_count[3] == {"1. Game 1 and 11 others, 0 or more viewers"}
    assert not [name for name in by_count[60] if "other" in name]
    assert {name.partition(". ")[2] for name in by_count[60]} >= {
        "Game 1, 10 to 99 viewers",
        "Game 10, 0 to 999 viewers",
    }
    assert [name for name in by_count[25] if "and 3 others" in name]
    assert len({name.partition(".")[0] for name in by_count[60]}) == len(by_count[60])


def test_sample_depends_on_the_seed_and_not_on_the_order_of_the_listing():
    """The same streams and seed give the same sample in any order; another seed gives another one."""
    streams = _population()
    shuffled = random.Random(1).sample(streams, len(streams))
    assert stratified_sample(streams, 50, 7) == stratified_sample(shuffled, 50, 7)
    assert stratified_sample(streams, 50, 7) != stratified_sample(streams, 50, 8)


@pytest.mark.parametrize(
    ("sizes", "count", "expected"),
    [
        ([100, 100], 10, [5, 5]),
        ([900, 90, 10], 20, [16, 2, 2]),
        ([1, 1, 50], 10, [1, 1, 8]),
        ([3, 4], 7, [3, 4]),
        ([10], 1, [1]),
        ([], 0, []),
    ],
)
def test_allocation_is_proportional_with_two_of_each_stratum(sizes, count, expected):
    """The parts add up, none exceeds its stratum, and small strata get two or all."""
    assert allocation(sizes, count) == expected


def test_allocation_of_any_sizes_adds_up_within_bounds():
    """Random sizes: the sum is exact, each part is between its minimum and its size, larger strata get no less."""
    generator = random.Random(3)
    for _ in range(100):
        sizes = [generator.choice([1, 2, 3, 10, 500, 10_000]) for _ in range(generator.randint(1, 30))]
        count = generator.randint(sum(min(2, size) for size in sizes), sum(sizes))
        taken = allocation(sizes, count)
        assert sum(taken) == count
        assert all(min(2, size) <= part <= size for size, part in zip(sizes, taken, strict=True))
        by_size = [part for _, part in sorted(zip(sizes, taken, strict=True))]
        assert all(later >= earlier - 1 for earlier, later in pairwise(by_size))


def test_census_gives_each_stream_the_weight_of_one():
    """Without sampling each stream stands for itself."""
    streams = _population(3)
    assert [item.weight for item in census(streams)] == [1.0] * len(streams)


def test_sample_of_nothing_is_empty():
    """No live stream: no sample, no error; a count below 1 is an error of the caller."""
    assert stratified_sample([], 10, 1) == []
    with pytest.raises(ValueError, match="at least one"):
        stratified_sample([], 0, 1)
