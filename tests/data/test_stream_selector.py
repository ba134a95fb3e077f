"""data.collection.stream_selector: whose streams are tried, in which order, and how much each may give."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from data.collection.stream_selector import Chooser
from data.entities import Stream


def chooser(tries: int = 10, always: int = 15, share: float = 0.1, seed: int = 1) -> Chooser:
    return Chooser(tries, always, share, random.Random(seed))


def live(*logins: str) -> list[Stream]:
    return [Stream(login, 7, "", "en", 1) for login in logins]


@pytest.mark.parametrize(
    ("given", "total", "share", "expected"),
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
def test_room(given, total, share, expected):
    """Fifteen frames are everybody's; beyond them the share counts, that of the frames to come included."""
    assert chooser(share=share).room(given, total) == expected


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 1 / 3, 0.7, 0.99])
def test_room_is_as_much_as_the_share_allows(share):
    """Whatever the figures: with `room` more the rule holds, and with one frame more it would not."""
    luck = random.Random(3)
    for _ in range(2000):
        total = luck.randrange(2000)
        given = luck.randint(0, total)
        room = chooser(share=share).room(given, total)
        kept = given + room <= max(15, share * (total + room) + 1e-6)
        assert room == 0 or kept
        assert room == 15 or given + room + 1 > max(15, share * (total + room + 1) - 1e-6)


def test_whoever_has_the_share_is_passed_over():
    """Of three streamers one may give nothing more: he is not tried, and named."""
    choice = chooser().choose(live("new", "some", "full"), {"some": 5, "full": 15, "gone": 100})
    assert [stream.login for stream in choice.streams] == ["new", "some"]
    assert choice.room == {"new": 15, "some": 10, "full": 0}
    assert choice.passed_over == {"full"}


def test_few_frames_go_first_and_equals_by_chance():
    """The order is that of the frames given; among streamers without any, each comes first at some time."""
    given = {"c": 3, "d": 7}
    firsts = Counter()
    for seed in range(50):
        order = [stream.login for stream in chooser(seed=seed).choose(live("d", "c", "b", "a"), given).streams]
        assert order[2:] == ["c", "d"]
        firsts[order[0]] += 1
    assert set(firsts) == {"a", "b"}


def test_streams_that_never_give_anything_do_not_hide_the_others():
    """Of thirty streamers twenty have no frame, since they always fail: the ten others are among those drawn, too."""
    given = {f"good{i}": 5 for i in range(10)}
    streams = live(*given, *(f"bad{i}" for i in range(20)))
    drawn = Counter(
        stream.login[:3] for seed in range(100) for stream in chooser(seed=seed).choose(streams, given).streams
    )
    assert 250 < drawn["goo"] < 420
    assert sum(drawn.values()) == 1000


def test_no_streams_are_no_choice():
    """A game that nobody streams, or all of whose streamers have enough."""
    assert chooser().choose([], {}).streams == ()
    assert chooser().choose(live("full"), {"full": 15}).streams == ()
