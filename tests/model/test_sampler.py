"""In which order frames are learned."""

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


def counted(order: EpochSampler, epoch: int = 0, *, of: str) -> Counter:
    return Counter(getattr(FRAMES[row], of) for row in order.rows_and_ids(epoch)[0])


@pytest.mark.parametrize(
    ("balance", "logins"),
    [
        ("streamers", {"much": 10, "few": 10, "fewer": 10, "alone": 30}),
        ("none", {"much": 40, "few": 4, "fewer": 4, "alone": 12}),
    ],
)
def test_an_epoch_draws_evenly_from_what_it_is_balanced_over(balance, logins):
    """Sixty draws: half of a game each, and a third of that a streamer, however many frames either has."""
    assert counted(EpochSampler(FRAMES, 8, 1, balance=balance), of="login") == logins


def test_games_alone_are_balanced_by_their_frames():
    """Thirty draws of each; a streamer with ten times the frames gets about ten times the draws."""
    order = EpochSampler(FRAMES, 8, 1, balance="games")
    assert counted(order, of="game_id") == {1: 30, 2: 30}
    drawn = sum((counted(order, epoch, of="login") for epoch in range(20)), Counter())
    assert drawn["much"] > 5 * drawn["few"] > 0


def test_a_frame_comes_again_only_after_all_others_of_its_streamer():
    """Ten draws of four frames: each of them twice or three times."""
    rows = EpochSampler(FRAMES, 8, 1).rows_and_ids(0)[0]
    times = Counter(row for row in rows if FRAMES[row].login == "few")
    assert sorted(times.values()) == [2, 2, 3, 3]


def test_an_epochs_order_depends_on_seed_and_number_alone():
    """Asked for the fourth epoch first, the same comes out: what a resumed training needs."""
    order, again = EpochSampler(FRAMES, 8, 5), EpochSampler(FRAMES, 8, 5)
    epochs = [order.rows_and_ids(number)[0].tolist() for number in range(4)]
    assert again.rows_and_ids(3)[0].tolist() == epochs[3]
    assert len({tuple(rows) for rows in epochs}) == 4
    assert EpochSampler(FRAMES, 8, 6).rows_and_ids(3)[0].tolist() != epochs[3]


def test_workers_share_every_batch():
    """Their parts, put together batch by batch, are the batches that one process draws; the last is made whole."""
    whole, places = EpochSampler(FRAMES, 16, 5).rows_and_ids(2)
    parts = [EpochSampler(FRAMES, 16, 5, workers=2, worker=worker).rows_and_ids(2) for worker in (0, 1)]
    rows, where = (np.concatenate([part[k].reshape(4, 8) for part in parts], 1).ravel() for k in (0, 1))
    assert rows[:60].tolist() == whole.tolist()
    assert rows[60:].tolist() == whole[:4].tolist()
    assert where[:60].tolist() == places.tolist()
    assert len(set(where)) == 64
