"""Balanced sampler: which frames each epoch trains on, a pure function of (seed, epoch). No TensorFlow.

Because an epoch depends on nothing else, a resumed training draws the same frames as an uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data.entities import StoredFrame

STREAMERS, GAMES, UNBALANCED = "streamers", "games", "none"  # SAMPLING_BALANCE


class EpochSampler:
    """Draws as many rows of `frames` for an epoch as there are frames.

    Args:
        frames: training frames; a row is an index into them.
        batch_size: images in a step of all workers together.
        seed: seed of all draws.
        balance: STREAMERS draws evenly from the games, and within a game from its streamers. GAMES draws evenly from
            the games. UNBALANCED draws each frame once.
        workers: processes that train together. Each gets its part of every batch, and the last batch is filled up.
        worker: number of this process, from 0.
        devices: devices of this process; `per_replica_batch` is what one of them gets in a step.
    """

    def __init__(
        self,
        frames: Sequence[StoredFrame],
        batch_size: int,
        seed: int,
        *,
        balance: str = STREAMERS,
        workers: int = 1,
        worker: int = 0,
        devices: int = 1,
    ) -> None:
        self._groups = _groups(frames, balance)
        self._frames = len(frames)
        self._seed = seed
        self._workers = workers
        self._worker = worker
        self.batch_size = batch_size
        # A single process gives whole batches to tf.distribute, which splits them over its devices.
        self.per_replica_batch = batch_size // (workers * devices) if workers > 1 else batch_size
        self.steps = -(-self._frames // batch_size)  # in an epoch; the last batch may be smaller

    def rows_and_ids(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Return this worker's rows of an epoch, counted from 0, and their sample ids, int64 (n,) both.

        A sample id is the number of a draw over all epochs, unique in a training.
        """
        rng = np.random.default_rng((self._seed, epoch))
        rows = rng.permutation(np.concatenate([_draw_evenly(game, n, rng) for game, n in self._game_quotas(rng)]))
        sample_ids = np.arange(len(rows)) + epoch * self.steps * self.batch_size
        if self._workers > 1:
            rows = np.resize(rows, self.steps * self.batch_size)  # repeats from the beginning
            sample_ids = np.arange(len(rows)) + epoch * len(rows)
            rows, sample_ids = self._worker_shard(rows), self._worker_shard(sample_ids)
        return rows.astype(np.int64), sample_ids.astype(np.int64)

    def _game_quotas(self, rng: np.random.Generator) -> list[tuple[list[np.ndarray], int]]:
        return list(zip(self._groups, _quotas(self._frames, len(self._groups), rng), strict=True))

    def _worker_shard(self, values: np.ndarray) -> np.ndarray:
        """Return this worker's part of each batch: (steps · batch_size,) → (steps · batch_size / workers,)."""
        size = self.batch_size // self._workers
        start = self._worker * size
        return values.reshape(self.steps, self.batch_size)[:, start : start + size].ravel()


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
    return np.concatenate([_cycle(rows, quota, rng) for rows, quota in zip(streamers, quotas, strict=True)])


def _cycle(rows: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    rounds = -(-count // len(rows))  # complete permutations, of which the last one is cut
    return np.concatenate([rng.permutation(rows) for _ in range(rounds)] or [rows[:0]])[:count]


def _quotas(count: int, groups: int, rng: np.random.Generator) -> np.ndarray:
    """Split `count` into equal integers, (groups,); a random few of them get one of the remainder."""
    quotas = np.full(groups, count // groups)
    quotas[rng.permutation(groups)[: count % groups]] += 1
    return quotas
