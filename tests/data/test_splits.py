"""Split by streamer: no streamer in two splits, every game in train, fractions, seeds."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from data.entities import StoredFrame
from data.exchange.sample import SPLITS
from data.exchange.splits import split_by_streamer

FRACTIONS = (0.8, 0.1, 0.1)


def frames(logins: dict[int, list[str]]) -> list[StoredFrame]:
    """Return two frames of each login in each game."""
    return [StoredFrame(game, login, n) for game, names in logins.items() for login in names for n in (1, 2)]


@pytest.mark.parametrize("seed", range(20))
def test_every_game_is_in_train_whoever_plays_what(seed: int):
    """With streamers of many games, games of one streamer, and any fractions; the order of frames does not matter."""
    rng = random.Random(seed)
    everyone = [f"login_{number}" for number in range(rng.randint(1, 60))]
    logins = {game: rng.sample(everyone, rng.randint(1, min(len(everyone), 30))) for game in range(1, 20)}
    fractions = rng.choice([FRACTIONS, (0.1, 0.45, 0.45), (0.5, 0.5, 0.0), (1.0, 0.0, 0.0)])
    split_of = split_by_streamer(frames(logins), fractions, seed)
    assert set(split_of) == {login for names in logins.values() for login in names}
    assert all("train" in {split_of[login] for login in names} for names in logins.values())
    used = {("train", "validation", "test")[index] for index, fraction in enumerate(fractions) if fraction}
    assert set(split_of.values()) <= used
    shuffled = frames(logins)
    rng.shuffle(shuffled)
    assert split_by_streamer(shuffled, fractions, seed) == split_of


@pytest.mark.parametrize(
    ("streamers", "expected"),
    [
        (1, (1, 0, 0)),
        (2, (1, 1, 0)),
        (3, (2, 1, 0)),
        (4, (2, 1, 1)),
        (5, (3, 1, 1)),
        (10, (8, 1, 1)),
        (100, (80, 10, 10)),
    ],
)
def test_each_game_gives_its_streamers_in_proportion(streamers: int, expected: tuple[int, ...]):
    """One for each split as long as train has half of them, then by the fractions; games share no streamer here."""
    logins = {game: [f"login_{game}_{number}" for number in range(streamers)] for game in (1, 2, 3)}
    split_of = split_by_streamer(frames(logins), FRACTIONS, 0)
    for names in logins.values():
        counts = Counter(split_of[login] for login in names)
        assert tuple(counts[split] for split in SPLITS) == expected


def test_another_seed_splits_otherwise():
    """The same seed gives the same split."""
    logins = {1: [f"login_{number}" for number in range(30)]}
    splits = [split_by_streamer(frames(logins), FRACTIONS, seed) for seed in (1, 1, 2)]
    assert splits[0] == splits[1] != splits[2]
