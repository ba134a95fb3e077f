"""Train/validation split by streamer."""

from __future__ import annotations

import random

import pytest

from data.entities import Game, StoredFrame
from data.errors import DatasetError
from model.datasets.split import Split, k_folds, split_by_fraction, split_by_login


def dataset(seed: int) -> tuple[list[StoredFrame], list[Game]]:
    """Return 2 to 8 games of 2 to 30 streamers with 1 to 5 frames; every tenth also streams a second game."""
    rng = random.Random(seed)
    games = [Game(rng.randrange(10**10), f"game {number}") for number in range(rng.randint(2, 8))]
    frames = []
    for game in games:
        for number in range(rng.randint(2, 30)):
            login = f"streamer_{game.id}_{number}"
            played = [game, rng.choice(games)] if rng.random() < 0.1 else [game]
            for each in dict.fromkeys(played):
                frames += [StoredFrame(each.id, login, n) for n in range(1, rng.randint(2, 6))]
    return frames, games


def logins(frames: tuple[StoredFrame, ...], game: Game | None = None) -> set[str]:
    return {frame.login for frame in frames if game is None or frame.game_id == game.id}


@pytest.mark.parametrize("seed", range(30))
def test_split_separates_streamers_and_keeps_every_game_on_both_sides(seed):
    """Every frame is used once, no login is on both sides, and every game has streamers on each side."""
    frames, games = dataset(seed)
    split = split_by_fraction(frames, games, 0.2, seed)
    assert sorted(split.training + split.validation, key=repr) == sorted(frames, key=repr)
    assert not logins(split.training) & logins(split.validation)
    for game in games:
        assert logins(split.training, game)
        assert logins(split.validation, game)


def test_fraction_counts_streamers_of_each_game():
    """A fifth of 10 streamers is 2, and of 50 is 10, whatever number of frames each has."""
    small, large = Game(1, "small"), Game(2, "large")
    frames = [StoredFrame(1, f"s{n}", k) for n in range(10) for k in range(1, 2 + n * 3)]
    frames += [StoredFrame(2, f"l{n}", 1) for n in range(50)]
    split = split_by_fraction(frames, [small, large], 0.2, 7)
    assert len(logins(split.validation, small)) == 2
    assert len(logins(split.validation, large)) == 10


@pytest.mark.parametrize("fraction", [0.01, 0.5, 0.99])
def test_extreme_fraction_leaves_one_streamer_on_each_side(fraction):
    """Two streamers are separated whatever the fraction."""
    frames = [StoredFrame(game_id, f"{name}{game_id}", 1) for game_id in (1, 2) for name in "ab"]
    split = split_by_fraction(frames, [Game(1, "one"), Game(2, "two")], fraction, 0)
    assert len(split.training) == len(split.validation) == 2


def test_login_in_two_games_is_on_the_same_side_in_both():
    """This holds for every seed, and either side occurs."""
    games = [Game(1, "one"), Game(2, "two")]
    frames = [StoredFrame(game.id, login, 1) for game in games for login in ("both", f"a{game.id}", f"b{game.id}")]
    found = set()
    for seed in range(20):
        split = split_by_fraction(frames, games, 0.34, seed)
        assert ("both" in logins(split.training)) != ("both" in logins(split.validation))
        found.add("both" in logins(split.validation))
    assert found == {True, False}


def test_split_depends_on_the_seed_and_not_on_the_order_of_files():
    """A folder lists its files in any order. The same seed gives the same split, another seed another one."""
    frames, games = dataset(3)
    mixed = random.Random(1).sample(frames, len(frames))
    first: Split = split_by_fraction(frames, games, 0.2, 5)
    assert split_by_fraction(mixed, games, 0.2, 5) == first
    assert split_by_fraction(frames, games, 0.2, 6) != first


def test_games_with_too_few_streamers_are_named():
    """The message names each such game, also one that has lost all its frames, and says what to do."""
    games = [Game(1, "Fine"), Game(2, "Lonely"), Game(3, "Gone")]
    frames = [StoredFrame(1, "a", 1), StoredFrame(1, "b", 1), StoredFrame(2, "c", 1), StoredFrame(2, "c", 2)]
    with pytest.raises(DatasetError, match=r"Lonely \(1\), Gone \(0\).*data\.download.*move") as caught:
        split_by_fraction(frames, games, 0.2, 0)
    assert "Fine" not in str(caught.value)


def test_inseparable_streamers_raise_an_error():
    """Three streamers each play two of three games: every split leaves a game without one side."""
    pairs = {1: "ab", 2: "bc", 3: "ca"}
    frames = [StoredFrame(game_id, login, 1) for game_id, pair in pairs.items() for login in pair]
    with pytest.raises(DatasetError, match="cannot be split"):
        split_by_fraction(frames, [Game(game_id, str(game_id)) for game_id in pairs], 0.5, 0)


@pytest.mark.parametrize("seed", range(20))
def test_k_folds_validate_each_streamer_once(seed):
    """No login is on both sides of a fold, each frame validates once, every game always has streamers to train on."""
    frames, games = dataset(seed)
    folds = k_folds(frames, games, 2, seed)
    assert sorted((frame for split in folds for frame in split.validation), key=repr) == sorted(frames, key=repr)
    for split in folds:
        assert not logins(split.training) & logins(split.validation)
        assert all(logins(split.training, game) for game in games)
        assert len(split.training) + len(split.validation) == len(frames)
    assert folds == k_folds(random.Random(1).sample(frames, len(frames)), games, 2, seed)


def test_k_folds_spread_the_streamers_of_each_game_evenly():
    """Ten streamers of each of three games in five folds: two of each game validate in every fold."""
    games = [Game(number, f"game {number}") for number in (1, 2, 3)]
    frames = [StoredFrame(game.id, f"s{game.id}_{n}", 1) for game in games for n in range(10)]
    for split in k_folds(frames, games, 5, 3):
        assert [len(logins(split.validation, game)) for game in games] == [2, 2, 2]


def test_more_folds_than_streamers_raise_an_error():
    """The message says what to change."""
    frames = [StoredFrame(game_id, f"{name}{game_id}", 1) for game_id in (1, 2) for name in "ab"]
    with pytest.raises(DatasetError, match="lower --folds"):
        k_folds(frames, [Game(1, "one"), Game(2, "two")], 5, 0)


def test_named_streamers_validate_in_all_their_games():
    """Only they validate. A login without frames, or a game that only they play, raises an error."""
    frames = [StoredFrame(game, login, n) for game, login in ((1, "a"), (1, "b"), (2, "a"), (2, "c")) for n in (1, 2)]
    games = [Game(1, "one"), Game(2, "two")]
    split = split_by_login(frames, games, ["a"])
    assert logins(split.validation) == {"a"}
    assert len(split.validation) == 4
    assert logins(split.training) == {"b", "c"}
    with pytest.raises(DatasetError, match=r"^VALIDATION_STREAMERS: there is no frame of zoe\."):
        split_by_login(frames, games, ["a", "zoe"])
    with pytest.raises(DatasetError, match=r"no streamer remains to train on for two\."):
        split_by_login(frames, games, ["a", "c"])
