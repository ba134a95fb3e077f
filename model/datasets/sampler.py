"""Balanced sampler: which frames each epoch trains on, a pure function of (seed, epoch). No TensorFlow.

Because an epoch depends on nothing else, a resumed training draws the same frames as an uninterrupted one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass

import numpy as np

from data.entities import StoredFrame

STREAMERS, GAMES, UNBALANCED = "streamers", "games", "none"  # SAMPLING_BALANCE


@dataclass(eq=False)
class EpochSampler:
    """Draws as many rows of `frames` for an epoch as there are frames.

    STREAMERS draws evenly from the games, and within a game from its streamers. GAMES draws evenly from the games.
    UNBALANCED draws each frame once. Of several `workers`, each gets its part of every batch, and the last batch is
    filled up.
    """

    frames: Sequence[StoredFrame]  # a row is an index into them
    batch_size: int  # images in a step of all workers together
    seed: int
    _: KW_ONLY
    balance: str = STREAMERS
    workers: int = 1  # processes that train together
    worker: int = 0  # number of this process, from 0
    devices: int = 1  # of this process

    def __post_init__(self) -> None:
        self._groups = _groups(self.frames, self.balance)
        # A single process gives whole batches to tf.distribute, which splits them over its devices.
        self.per_replica_batch = self.batch_size // (self.workers * self.devices if self.workers > 1 else 1)
        self.steps = math.ceil(len(self.frames) / self.batch_size)  # in an epoch; the last batch may be smaller

    def rows_and_ids(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Return this worker's rows of an epoch, counted from 0, and their sample ids, int64 (n,) both.

        A sample id is the number of a draw over all epochs, unique in a training run.
        """
        rng = np.random.default_rng((self.seed, epoch))
        quotas = zip(self._groups, _quotas(len(self.frames), len(self._groups), rng), strict=True)
        rows = rng.permutation(np.concatenate([_draw_evenly(game, quota, rng) for game, quota in quotas]))
        full = self.steps * self.batch_size  # draws of an epoch whose last batch is full
        draws = np.arange(len(rows))
        if self.workers > 1:
            parts = np.arange(full).reshape(self.steps, self.workers, -1)
            draws = parts[:, self.worker].ravel()  # (full / workers,)
            rows = np.resize(rows, full)[draws]  # repeats from the beginning
        return rows.astype(np.int64), (draws + epoch * full).astype(np.int64)


def _groups(frames: Sequence[StoredFrame], balance: str) -> list[list[np.ndarray]]:
    """Return the rows by game and, within a game, by streamer; without balance there is one game or streamer."""
    games: dict[int, dict[str, list[int]]] = {}
    for row, frame in enumerate(frames):
        game = 0 if balance == UNBALANCED else frame.game_id
        login = frame.login if balance == STREAMERS else ""
        games.setdefault(game, {}).setdefault(login, []).append(row)
    return [[np.array(rows) for rows in logins.values()] for logins in games.values()]


def _draw_evenly(streamers: list[np.ndarray], count: int, rng: np.random.Generator) -> np.ndarray:
    """Draw `count` rows, equally many from each streamer; a row repeats only after all others of its streamer."""
    quotas = _quotas(count, len(streamers), rng)
    drawn: list[np.ndarray] = []
    for rows, quota in zip(streamers, quotas, strict=True):
        rounds = math.ceil(quota / len(rows))  # complete permutations, of which the last one is cut
        drawn.append(np.concatenate([rows[:0], *(rng.permutation(rows) for _ in range(rounds))])[:quota])
    return np.concatenate(drawn)


def _quotas(count: int, groups: int, rng: np.random.Generator) -> np.ndarray:
    """Split `count` into equal integers, (groups,); a random few of them get one of the remainder."""
    quotas = np.full(groups, count // groups)
    quotas[rng.permutation(groups)[: count % groups]] += 1
    return quotas
