"""In which order frames are learned: a function of seed and epoch, for trainings that go on. No TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from data.entities import StoredFrame

STREAMERS, GAMES, FRAMES = "streamers", "games", "none"


class Order:
    """The rows of `frames` that each epoch learns from: as many draws as there are frames.

    `balance`: streamers draws evenly from the games, and within each from its streamers; games evenly from
    the games; none takes each frame once. `batch_size`: of all workers together. Of several `workers` each
    takes its part of every batch, and draws go on at the beginning until the last batch is whole; `local_batch`
    is what one of its `devices` gets at once.
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
        self.local_batch = batch_size // (workers * devices) if workers > 1 else batch_size
        self.steps = -(-self._frames // batch_size)

    def epoch(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """This worker's rows of an epoch, counted from 0, and their places among all draws ever: int64 (n,) each."""
        chooser = np.random.default_rng((self._seed, number))
        rows = chooser.permutation(np.concatenate([_even(game, n, chooser) for game, n in self._shares(chooser)]))
        places = np.arange(len(rows)) + number * self.steps * self.batch_size
        if self._workers > 1:
            rows = np.resize(rows, self.steps * self.batch_size)
            places = np.arange(len(rows)) + number * len(rows)
            rows, places = self._part(rows), self._part(places)
        return rows.astype(np.int64), places.astype(np.int64)

    def _shares(self, chooser: np.random.Generator) -> list[tuple[list[np.ndarray], int]]:
        return list(zip(self._groups, _quotas(self._frames, len(self._groups), chooser), strict=True))

    def _part(self, values: np.ndarray) -> np.ndarray:
        """This worker's part of each batch."""
        part = self.batch_size // self._workers
        start = self._worker * part
        return values.reshape(self.steps, self.batch_size)[:, start : start + part].ravel()


def _groups(frames: Sequence[StoredFrame], balance: str) -> list[list[np.ndarray]]:
    """Rows by game and, within it, by streamer; one of either where it is not balanced over."""
    games: dict[int, dict[str, list[int]]] = {}
    for row, frame in enumerate(frames):
        game = 0 if balance == FRAMES else frame.game_id
        login = frame.login if balance == STREAMERS else ""
        games.setdefault(game, {}).setdefault(login, []).append(row)
    return [[np.array(rows) for rows in logins.values()] for logins in games.values()]


def _even(streamers: list[np.ndarray], count: int, chooser: np.random.Generator) -> np.ndarray:
    """`count` rows, evenly from each; a streamer's come again only when all of them were drawn."""
    quotas = _quotas(count, len(streamers), chooser)
    drawn = [_cycled(rows, quota, chooser) for rows, quota in zip(streamers, quotas, strict=True)]
    return np.concatenate(drawn)


def _cycled(rows: np.ndarray, count: int, chooser: np.random.Generator) -> np.ndarray:
    rounds = -(-count // len(rows))
    return np.concatenate([chooser.permutation(rows) for _ in range(rounds)] or [rows[:0]])[:count]


def _quotas(count: int, parts: int, chooser: np.random.Generator) -> np.ndarray:
    """`count` in `parts` of the same size, but for ones left over that fall to some by chance."""
    quotas = np.full(parts, count // parts)
    quotas[chooser.permutation(parts)[: count % parts]] += 1
    return quotas
