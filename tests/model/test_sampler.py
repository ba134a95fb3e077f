"""Balanced sampler."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from data.entities import StoredFrame
from model.datasets.sampler import EpochSampler

# One game of a streamer with many frames and two with few; one game of a single streamer.
FRAMES = [
    *(StoredFrame(1, "much", number) for number in range(1, 41)),
    *(StoredFrame(1, login, number) for login in ("few", "fewer") for number in range(1, 5)),
    *(StoredFrame(2, "alone", number) for number in range(1, 13)),
]


def counted(sampler: EpochSampler, epoch: int = 0, *, of: str) -> Counter:
    return Counter(getattr(FRAMES[row], of) for row in sampler.rows_and_ids(epoch)[0])


@pytest.mark.parametrize(
    ("balance", "logins"),
    [
        ("streamers", {"much": 10, "few": 10, "fewer": 10, "alone": 30}),
        ("none", {"much": 40, "few": 4, "fewer": 4, "alone": 12}),
    ],
)
def test_epoch_draws_evenly_over_the_balanced_groups(balance, logins):
    """60 draws: half from each game, and a third of that from each streamer, whatever their number of frames."""
    assert counted(EpochSampler(FRAMES, 8, 1, balance=balance), of="login") == logins


def test_balance_over_games_keeps_the_proportions_of_their_streamers():
    """30 draws from each game; a streamer with ten times the frames gets about ten times the draws."""
    sampler = EpochSampler(FRAMES, 8, 1, balance="games")
    assert counted(sampler, of="game_id") == {1: 30, 2: 30}
    drawn = sum((counted(sampler, epoch, of="login") for epoch in range(20)), Counter())
    assert drawn["much"] > 5 * drawn["few"] > 0


def test_frame_repeats_only_after_all_others_of_its_streamer():
    """Ten draws of four frames: each is drawn twice or three times."""
    rows = EpochSampler(FRAMES, 8, 1).rows_and_ids(0)[0]
    times = Counter(row for row in rows if FRAMES[row].login == "few")
    assert sorted(times.values()) == [2, 2, 3, 3]


def test_epoch_depends_on_seed_and_number_only():
    """A sampler that begins with the fourth epoch draws the same rows, as a resumed training needs."""
    sampler, again = EpochSampler(FRAMES, 8, 5), EpochSampler(FRAMES, 8, 5)
    epochs = [sampler.rows_and_ids(number)[0].tolist() for number in range(4)]
    assert again.rows_and_ids(3)[0].tolist() == epochs[3]
    assert len({tuple(rows) for rows in epochs}) == 4
    assert EpochSampler(FRAMES, 8, 6).rows_and_ids(3)[0].tolist() != epochs[3]


def test_workers_parts_join_to_the_batches_of_one_process():
    """The last batch is filled up with rows from the beginning, under sample ids of their own."""
    whole, sample_ids = EpochSampler(FRAMES, 16, 5).rows_and_ids(2)
    parts = [EpochSampler(FRAMES, 16, 5, workers=2, worker=worker).rows_and_ids(2) for worker in (0, 1)]
    rows, ids = (np.concatenate([part[k].reshape(4, 8) for part in parts], 1).ravel() for k in (0, 1))
    assert rows[:60].tolist() == whole.tolist()
    assert rows[60:].tolist() == whole[:4].tolist()
    assert ids[:60].tolist() == sample_ids.tolist()
    assert len(set(ids)) == 64
