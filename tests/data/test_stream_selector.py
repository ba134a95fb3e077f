"""data.collection.stream_selector: which streams are selected, their order, and each streamer's quota."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from data.collection.stream_selector import StreamSelector
from data.entities import Stream


def selector(max_streams: int = 10, base_quota: int = 15, fraction: float = 0.1, seed: int = 1) -> StreamSelector:
    return StreamSelector(max_streams, base_quota, fraction, random.Random(seed))


def live(*logins: str) -> list[Stream]:
    return [Stream(login, 7, "", "en", 1) for login in logins]


@pytest.mark.parametrize(
    ("existing", "total", "fraction", "expected"),
    [
        (0, 0, 0.1, 15),
        (10, 20, 0.1, 5),
        (15, 15, 0.1, 0),
        (15, 150, 0.1, 0),
        (15, 168, 0.1, 2),
        (90, 1000, 0.1, 11),
        (100, 1000, 0.1, 0),
        (500, 1000, 0.1, 0),
        (0, 100_000, 0.1, 15),
        (15, 30, 0.5, 0),
        (20, 20, 1.0, 15),
    ],
)
def test_quota(existing, total, fraction, expected):
    """Every streamer may give 15 frames; beyond them the fraction counts, of a total that includes the new frames."""
    assert selector(fraction=fraction).quota(existing, total) == expected


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.3, 1 / 3, 0.7, 0.99])
def test_quota_for_random_counts_is_the_largest_allowed(fraction):
    """With `quota` more frames the rule holds; with one frame more it does not."""
    rng = random.Random(3)
    for _ in range(2000):
        total = rng.randrange(2000)
        existing = rng.randint(0, total)
        quota = selector(fraction=fraction).quota(existing, total)
        kept = existing + quota <= max(15, fraction * (total + quota) + 1e-6)
        assert quota == 0 or kept
        assert quota == 15 or existing + quota + 1 > max(15, fraction * (total + quota + 1) - 1e-6)


def test_select_skips_streamers_over_quota():
    """One of three streamers is over quota: the selection names that login and leaves its stream out."""
    selection = selector().select(live("new", "some", "full"), {"some": 5, "full": 15, "gone": 100})
    assert [stream.login for stream in selection.streams] == ["new", "some"]
    assert selection.quota == {"new": 15, "some": 10, "full": 0}
    assert selection.over_quota == {"full"}


def test_select_puts_few_frames_first_and_shuffles_equals():
    """Streams are sorted by existing frames; among streamers without frames, each comes first for some seed."""
    existing = {"c": 3, "d": 7}
    firsts = Counter()
    for seed in range(50):
        order = [stream.login for stream in selector(seed=seed).select(live("d", "c", "b", "a"), existing).streams]
        assert order[2:] == ["c", "d"]
        firsts[order[0]] += 1
    assert set(firsts) == {"a", "b"}


def test_select_with_many_failing_streams_still_draws_the_others():
    """20 of 30 streamers have no frame because they always fail; the other 10 are drawn as often."""
    existing = {f"good{i}": 5 for i in range(10)}
    streams = live(*existing, *(f"bad{i}" for i in range(20)))
    drawn = Counter(
        stream.login[:3] for seed in range(100) for stream in selector(seed=seed).select(streams, existing).streams
    )
    assert 250 < drawn["goo"] < 420
    assert sum(drawn.values()) == 1000


def test_select_without_eligible_streams_is_empty():
    """A game without streams, and a game whose streamers are all over quota."""
    assert selector().select([], {}).streams == ()
    assert selector().select(live("full"), {"full": 15}).streams == ()
