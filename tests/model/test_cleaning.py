"""The check of a dataset: streams with another game's label, outliers, parts of streams, duplicates, its limits."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from data.entities import Game, StoredFrame
from data.errors import DatasetError
from model.augmentation.screens import SCREENS, draw_screens
from model.cleaning import near_duplicates, space, streams
from model.cleaning.check import check
from model.cleaning.findings import DUPLICATE, GAMEPLAY, KINDS, MENU, OTHER_GAME, CheckResult
from model.cleaning.streams import Streams

GAMES = tuple(Game(number, f"Game {number}") for number in range(1, 6))
STREAMERS, LENGTH, WIDTH = 4, 24, 40


class Dataset:
    """Streams whose features are their game's direction, the streamer's, and noise."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.centers = 4 * self.rng.standard_normal((len(GAMES), WIDTH))
        self.frames: list[StoredFrame] = []
        self.features: list[np.ndarray] = []
        self.negatives = {
            kind: 4 * self.rng.standard_normal(WIDTH) + self.rng.standard_normal((20, WIDTH)) for kind in SCREENS
        }
        for game in GAMES:
            for number in range(STREAMERS):
                self.add(game.id, f"s{game.id}_{number}", game.id)

    def add(self, folder: int, login: str, shown: int, length: int = LENGTH) -> None:
        style = self.rng.standard_normal(WIDTH)
        for number in range(length):
            self.frames.append(StoredFrame(folder, login, number + 1))
            self.features.append(self.centers[shown - 1] + style + self.rng.standard_normal(WIDTH))

    def relabel(self, login: str, target: int) -> None:
        self.frames = [replace(one, game_id=target) if one.login == login else one for one in self.frames]

    def row(self, login: str, number: int) -> int:
        return next(row for row, one in enumerate(self.frames) if (one.login, one.number) == (login, number))

    def check(self, **options) -> CheckResult:
        return check(self.frames, np.array(self.features, np.float32), GAMES, negatives=self.negatives, **options)


def _suspects(result: CheckResult) -> set[str]:
    return {one.login for one in result.streams if one.suspect}


def test_check_of_a_clean_dataset_suspects_nothing():
    """All streams and frames are in the result, ranked, and none is a suspect."""
    dataset = Dataset()
    result = dataset.check()
    assert len(result.streams) == len(GAMES) * STREAMERS
    assert {one.frame for one in result.frames} == set(dataset.frames)
    assert not any(one.suspect for one in (*result.streams, *result.frames))
    assert {one.kind for one in result.frames} == {GAMEPLAY}
    ranked = [one.suspicion for one in result.frames]
    assert ranked == sorted(ranked, reverse=True)
    assert 0 <= ranked[-1] <= ranked[0] < 0.5
    assert result.agreement == 1


def test_check_names_relabelled_streams_and_the_games_that_they_show():
    """Two streams of a game with four got other labels: both are found, their frames with them, and no neighbour."""
    dataset = Dataset()
    dataset.relabel("s1_0", 2)
    dataset.relabel("s1_1", 3)
    result = dataset.check()
    assert _suspects(result) == {"s1_0", "s1_1"}
    first = result.streams[0]
    assert (first.suspect, first.kind, first.suggested, first.frames) == (True, OTHER_GAME, GAMES[0], LENGTH)
    assert first.suspicion > 0.5
    assert "Game 1" in first.reason
    frames = [one for one in result.frames if one.suspect]
    assert len(frames) == 2 * LENGTH
    assert all(one.suggested == GAMES[0] for one in frames)


def test_check_does_not_depend_on_the_order_of_frames():
    """The same dataset, listed in another order, has the same suspects."""
    dataset = Dataset()
    dataset.relabel("s4_2", 5)
    mixed = np.random.default_rng(1).permutation(len(dataset.frames))
    once = dataset.check()
    dataset.frames = [dataset.frames[row] for row in mixed]
    dataset.features = [dataset.features[row] for row in mixed]
    assert _suspects(dataset.check()) == _suspects(once) == {"s4_2"}


def test_check_finds_a_screen_among_gameplay_and_its_kind():
    """A frame like an example of a menu is a suspect of that kind; its stream stays."""
    dataset = Dataset()
    row = dataset.row("s2_1", 5)
    dataset.features[row] = dataset.negatives[MENU][0]
    result = dataset.check()
    suspects = [one for one in result.frames if one.suspect]
    assert [(one.frame, one.kind, one.suggested) for one in suspects] == [(dataset.frames[row], MENU, None)]
    assert not _suspects(result)


def test_check_finds_a_part_of_a_stream_with_another_game():
    """A streamer who changes the game keeps the label of the first one: the last frames are suspects, with the game."""
    dataset = Dataset()
    dataset.add(1, "changes", 1, 12)
    dataset.add(1, "changes", 4, 12)
    dataset.frames[-12:] = [replace(one, number=one.number + 12) for one in dataset.frames[-12:]]
    result = dataset.check()
    found = {one.frame.number for one in result.frames if one.suspect and one.suggested == GAMES[3]}
    assert found >= set(range(17, 25))
    assert found.isdisjoint(range(1, 9))


def test_check_calls_screens_alike_in_several_games_a_cluster():
    """An intermission that streamers of three games show is no game, and its reason says so."""
    dataset = Dataset()
    picture = 6 * dataset.rng.standard_normal(WIDTH)
    rows = [dataset.row(f"s{game}_0", number) for game in (1, 2, 3) for number in (3, 4)]
    for row in rows:
        dataset.features[row] = picture + 0.1 * dataset.rng.standard_normal(WIDTH)
    suspects = {one.frame: one for one in dataset.check().frames if one.suspect}
    assert set(suspects) == {dataset.frames[row] for row in rows}
    assert all("alike in 3 games" in one.reason for one in suspects.values())


def without_others(dataset: Dataset) -> None:
    """Leave the last game with one streamer."""
    kept = [row for row, one in enumerate(dataset.frames) if one.login not in ("s5_1", "s5_2", "s5_3")]
    dataset.frames, dataset.features = [dataset.frames[row] for row in kept], [dataset.features[row] for row in kept]


def test_a_game_with_one_streamer_is_no_suspect_for_want_of_others():
    """Nobody else plays the game: there is nothing to compare the stream with, however like another game it is."""
    dataset = Dataset()
    without_others(dataset)
    dataset.features[-LENGTH:] = [one + dataset.centers[3] - dataset.centers[4] for one in dataset.features[-LENGTH:]]
    assert not any(one.suspect for one in dataset.check().frames)


def test_a_right_stream_beside_a_wrong_one_is_no_suspect():
    """Of the two streams of a game one shows another: nobody is left to compare the right one with."""
    dataset = Dataset()
    without_others(dataset)
    dataset.relabel("s1_0", 5)
    assert _suspects(dataset.check()) == {"s1_0"}


def test_streamer_of_two_games_does_not_vouch_for_itself():
    """A login's stream in another folder is no other streamer: the neighbours of a frame are never its own login's."""
    dataset = Dataset()
    dataset.add(2, "s1_0", 1)
    numbers = Streams.of(dataset.frames, {game.id: label for label, game in enumerate(GAMES)})
    unit = space.unit_rows(np.array(dataset.features, np.float32))
    neighbours, votes = streams.nearest_streams(unit, numbers)
    own = numbers.logins[neighbours] == numbers.logins[numbers.of_frame][:, None]
    assert not votes[own].any()
    assert np.allclose(votes.sum(axis=1), 1)
    assert "s1_0" in _suspects(dataset.check())


def test_frame_is_not_compared_with_its_streamer_in_another_game():
    """The only stream of a game is the frame's own streamer's: it does not say that the frame shows that game."""
    dataset = Dataset()
    kept = [row for row, one in enumerate(dataset.frames) if one.game_id != GAMES[4].id]
    dataset.frames, dataset.features = [dataset.frames[row] for row in kept], [dataset.features[row] for row in kept]
    dataset.add(5, "s1_0", 5)
    dataset.features[0] = dataset.features[-1].copy()
    found = next(one for one in dataset.check().frames if one.frame == dataset.frames[0])
    assert (found.suspect, found.suggested) == (True, None)


@pytest.mark.parametrize("games", [1, 2])
def test_check_of_too_few_streams_raises_dataset_error(games):
    """The message says what to do."""
    frames = [StoredFrame(game, "only", number) for game in range(1, games + 1) for number in range(1, 9)]
    with pytest.raises(DatasetError, match=r"data\.add"):
        check(frames, np.ones((len(frames), 4), np.float32), GAMES, negatives={MENU: np.zeros((2, 4))})


def test_check_of_equal_features_is_finite():
    """Frames that are all alike, and zeros, are judged without a warning about numbers, and none is an outlier."""
    dataset = Dataset()
    dataset.features = [np.zeros(WIDTH) for _ in dataset.frames]
    with np.errstate(all="raise"):
        result = dataset.check()
    assert all(np.isfinite(one.suspicion) for one in result.frames)
    assert {one.kind for one in result.frames} <= {GAMEPLAY, OTHER_GAME}


def test_duplicates_keep_the_copy_in_a_stream_without_suspicion():
    """Of equal files the one in the unsuspected stream stays, whatever its name."""
    dataset = Dataset()
    dataset.relabel("s1_0", 2)
    same = hashlib.sha256(b"same").digest()
    for row in (dataset.row("s1_0", 1), dataset.row("s5_3", 9)):
        dataset.frames[row] = replace(dataset.frames[row], sha256=same)
    repeated = [one for one in dataset.check().frames if one.kind == DUPLICATE]
    assert [(one.frame.login, one.reason) for one in repeated] == [("s1_0", "same file as 5/s5_3-9.jpg")]


def _pictures(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rough = rng.integers(0, 256, (count, 6, 6))
    return np.kron(rough, np.ones((5, 5))).reshape(count, 900).astype(np.uint8)


def _find(pictures: np.ndarray, order: Sequence[int] | None = None) -> list[int]:
    ranks = np.arange(len(pictures)) if order is None else np.array(order)
    return near_duplicates.find(pictures, [b""] * len(pictures), ranks)[0].tolist()


def test_near_duplicates_are_found_at_another_exposure():
    """A darker copy with less contrast and noise of the encoder repeats the first; different pictures do not."""
    pictures = _pictures(40)
    noise = np.random.default_rng(1).integers(-2, 3, 900)
    copy = np.clip(pictures[7] * 0.8 + 10 + noise, 0, 255).astype(np.uint8)
    assert _find(np.concatenate([pictures, copy[None]])) == [*[-1] * 40, 7]
    assert _find(np.concatenate([pictures, copy[None]]), [*range(1, 41), 0])[7] == 40  # the copy has the lowest rank


def test_near_duplicates_with_one_cell_moved_are_different():
    """A figure that walks over a still background is another picture."""
    pictures = _pictures(1).repeat(2, axis=0)
    pictures[1, 400] ^= 128
    assert _find(pictures) == [-1, -1]


def test_near_duplicates_of_flat_pictures_are_none():
    """Black frames have no texture to compare; equal files are still found by their hashes."""
    flat = np.full((5, 900), 16, np.uint8)
    assert _find(flat) == [-1] * 5
    hashes = [hashlib.sha256(bytes([number // 2])).digest() for number in range(5)]
    repeats, is_exact = near_duplicates.find(flat, hashes, np.arange(5))
    assert repeats.tolist() == [-1, 0, -1, 2, -1]
    assert is_exact.tolist() == [False, True, False, True, False]


def test_near_duplicates_among_many_copies_of_one_picture_take_no_time():
    """A still picture of an hour is one cell of thousands: each is compared with some of it only."""
    pictures = np.concatenate([_pictures(50), _pictures(1, seed=9).repeat(3000, axis=0)])
    repeats = _find(pictures)
    assert sum(one == -1 for one in repeats) == 51


def test_project_keeps_the_distances_of_few_dimensions():
    """Features of rank 8 lie in 8 axes: their distances stay, read in batches."""
    rng = np.random.default_rng(3)
    values = (rng.standard_normal((300, 8)) @ rng.standard_normal((8, 500))).astype(np.float16)
    parts = np.array_split(rng.permutation(300), 4)
    coordinates, projection = space.project(lambda: [(rows, values[rows]) for rows in parts], 300)
    before, after = (np.linalg.norm(one[:100] - one[100:200], axis=1) for one in (values.astype(float), coordinates))
    assert np.allclose(before, after, rtol=0.02)
    assert np.allclose(projection.apply(values[:5]), coordinates[:5], atol=0.05)


@pytest.mark.parametrize("kind", SCREENS)
def test_screens_depend_on_the_seed_only(kind):
    """The same call draws the same pictures: stored features of them stay valid. The kinds are those of findings."""
    assert kind in KINDS
    pictures = draw_screens(kind, 3, seed=5)
    assert pictures.shape == (3, 240, 240, 3)
    assert pictures.dtype == np.uint8
    assert np.array_equal(pictures, draw_screens(kind, 3, seed=5))
    assert not np.array_equal(pictures[0], pictures[1])
