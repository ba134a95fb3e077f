"""Which frames train and which validate."""

from __future__ import annotations

import random

import pytest

from data.entities import Game, StoredFrame
from data.errors import DatasetError
from model.datasets.split import Split, k_folds, split_by_login, split_by_fraction


def dataset(seed: int) -> tuple[list[StoredFrame], list[Game]]:
    """2 to 8 games of 2 to 30 streamers with 1 to 5 frames; every tenth streams a second game too."""
    chance = random.Random(seed)
    games = [Game(chance.randrange(10**10), f"game {number}") for number in range(chance.randint(2, 8))]
    frames = []
    for game in games:
        for number in range(chance.randint(2, 30)):
            login = f"streamer_{game.id}_{number}"
            places = [game, chance.choice(games)] if chance.random() < 0.1 else [game]
            for place in dict.fromkeys(places):
                frames += [StoredFrame(place.id, login, n) for n in range(1, chance.randint(2, 6))]
    return frames, games


def logins(frames: tuple[StoredFrame, ...], game: Game | None = None) -> set[str]:
    return {frame.login for frame in frames if game is None or frame.game_id == game.id}


@pytest.mark.parametrize("seed", range(30))
def test_no_streamer_is_on_both_sides_and_every_game_is(seed):
    """All frames are used once, no login is on both sides in any game, every game has streamers on each."""
    frames, games = dataset(seed)
    sides = split_by_fraction(frames, games, 0.2, seed)
    assert sorted(sides.training + sides.validation, key=repr) == sorted(frames, key=repr)
    assert not logins(sides.training) & logins(sides.validation)
    for game in games:
        assert logins(sides.training, game)
        assert logins(sides.validation, game)


def test_the_share_is_of_each_games_streamers():
    """A fifth of ten streamers is two and of fifty ten, however many frames each of them has."""
    small, large = Game(1, "small"), Game(2, "large")
    frames = [StoredFrame(1, f"s{n}", k) for n in range(10) for k in range(1, 2 + n * 3)]
    frames += [StoredFrame(2, f"l{n}", 1) for n in range(50)]
    sides = split_by_fraction(frames, [small, large], 0.2, 7)
    assert len(logins(sides.validation, small)) == 2
    assert len(logins(sides.validation, large)) == 10


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_one_streamer_at_least_on_each_side(share):
    """Two streamers are parted whatever the share."""
    frames = [StoredFrame(game_id, f"{name}{game_id}", 1) for game_id in (1, 2) for name in "ab"]
    sides = split_by_fraction(frames, [Game(1, "one"), Game(2, "two")], share, 0)
    assert len(sides.training) == len(sides.validation) == 2


def test_a_login_in_two_games_is_on_one_side_in_both():
    """Whatever the seed."""
    games = [Game(1, "one"), Game(2, "two")]
    frames = [StoredFrame(game.id, login, 1) for game in games for login in ("both", f"a{game.id}", f"b{game.id}")]
    found = set()
    for seed in range(20):
        sides = split_by_fraction(frames, games, 0.34, seed)
        assert ("both" in logins(sides.training)) != ("both" in logins(sides.validation))
        found.add("both" in logins(sides.validation))
    assert found == {True, False}


def test_the_seed_decides_and_the_order_of_the_files_does_not():
    """A folder is listed in any order; the same seed must give the same split, another seed another one."""
    frames, games = dataset(3)
    mixed = random.Random(1).sample(frames, len(frames))
    answers: list[Split] = [split_by_fraction(frames, games, 0.2, 5), split_by_fraction(mixed, games, 0.2, 5), split_by_fraction(frames, games, 0.2, 6)]
    assert answers[0] == answers[1] != answers[2]


def test_too_few_streamers_are_named():
    """The line names each such game, also one that has lost all its frames, and says what to do."""
    games = [Game(1, "Fine"), Game(2, "Lonely"), Game(3, "Gone")]
    frames = [StoredFrame(1, "a", 1), StoredFrame(1, "b", 1), StoredFrame(2, "c", 1), StoredFrame(2, "c", 2)]
    with pytest.raises(DatasetError, match=r"Lonely \(1\), Gone \(0\).*data\.download.*move") as caught:
        split_by_fraction(frames, games, 0.2, 0)
    assert "Fine" not in str(caught.value)


def test_streamers_that_cannot_be_parted_are_an_error():
    """Three streamers, each in two of three games: whichever side one takes, a game lacks the other."""
    pairs = {1: "ab", 2: "bc", 3: "ca"}
    frames = [StoredFrame(game_id, login, 1) for game_id, pair in pairs.items() for login in pair]
    with pytest.raises(DatasetError, match="cannot be split"):
        split_by_fraction(frames, [Game(game_id, str(game_id)) for game_id in pairs], 0.5, 0)


@pytest.mark.parametrize("seed", range(20))
def test_in_folds_each_streamer_validates_once(seed):
    """No login is on both sides of a fold, each frame is validated once, every game always has some to train on."""
    frames, games = dataset(seed)
    made = k_folds(frames, games, 2, seed)
    assert sorted((frame for sides in made for frame in sides.validation), key=repr) == sorted(frames, key=repr)
    for sides in made:
        assert not logins(sides.training) & logins(sides.validation)
        assert all(logins(sides.training, game) for game in games)
        assert len(sides.training) + len(sides.validation) == len(frames)
    assert made == k_folds(random.Random(1).sample(frames, len(frames)), games, 2, seed)


def test_folds_share_out_each_games_streamers():
    """Ten streamers of each of three games in five folds: two of each game validate in every one."""
    games = [Game(number, f"game {number}") for number in (1, 2, 3)]
    frames = [StoredFrame(game.id, f"s{game.id}_{n}", 1) for game in games for n in range(10)]
    for sides in k_folds(frames, games, 5, 3):
        assert [len(logins(sides.validation, game)) for game in games] == [2, 2, 2]


def test_more_folds_than_streamers_are_too_many():
    """The error says what to change."""
    frames = [StoredFrame(game_id, f"{name}{game_id}", 1) for game_id in (1, 2) for name in "ab"]
    with pytest.raises(DatasetError, match="lower --folds"):
        k_folds(frames, [Game(1, "one"), Game(2, "two")], 5, 0)


def test_named_streamers_validate():
    """Those and no others, in all their games; a game that only they play, or a login without frames, is refused."""
    frames = [StoredFrame(game, login, n) for game, login in ((1, "a"), (1, "b"), (2, "a"), (2, "c")) for n in (1, 2)]
    games = [Game(1, "one"), Game(2, "two")]
    sides = split_by_login(frames, games, ["a"])
    assert logins(sides.validation) == {"a"}
    assert len(sides.validation) == 4
    assert logins(sides.training) == {"b", "c"}
    with pytest.raises(DatasetError, match=r"^VALIDATION_STREAMERS: no frame is of zoe\."):
        split_by_login(frames, games, ["a", "zoe"])
    with pytest.raises(DatasetError, match=r"nobody to train on of two\."):
        split_by_login(frames, games, ["a", "c"])
