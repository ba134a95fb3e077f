"""Stream check: which streams look like streams of another game, by two judges.

prototype   softmax of a frame's closeness to each game's mean over its streams, all streams counting alike
neighbours  votes of the 5 streams with the nearest frames

No judge sees the streamer that it judges: the streamer's streams, in all games, are left out. Confident learning
(https://arxiv.org/abs/1911.00068) judges each sample; a stream has one label, so that its frames are judged together.

    labels = the folders
    repeat: probabilities of each stream = mean of both judges over 24 of its frames, given `labels`
        give the 2 % most obvious streams the other game's label, for the judges only: wrong labels mislead them
    until no stream prefers another game by MARGIN
    probabilities of all frames, given `labels`; margins of each stream against the label of its folder
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from data.entities import StoredFrame
from model.cleaning.space import group_means, unit_rows
from model.inference.probabilities import softmax

# Limits of judgement: chosen on planted noise in 44 streams of 14 free games, seeds below 100 (benchmarks.planted_noise
# reports other seeds).
NEIGHBOURS = 5  # streams that vote for each frame
MARGIN = 0.4  # of probability, between the other game and its own
_SHARPNESS = 20.0  # of votes: a similarity that is 0.05 lower has a vote of 1/e
_TEMPERATURES = np.geomspace(0.002, 1, 25)  # factors of the scores that are tried
_WRONG_LABEL = 1e-3  # least probability of a label in the calibration: wrong labels must not decide it
# Limits of cost: benchmarks.check_100k measures them on 100,000 frames of 2,000 streams.
_MAX_REPRESENTATIVES = 16384  # frames that stand for all streams in the search of neighbours
_MIN_PER_STREAM = 4  # representatives
_FRAMES_PER_STREAM = 24  # that are asked for the stream's margin in a round
_MAX_ROUNDS = 60
_MAX_CALIBRATION = 4096  # frames
_CHUNK_BYTES = 64 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Streams:
    """Frames by stream: all frames of a login within a game."""

    of_frame: np.ndarray  # int64 (n,)
    labels: np.ndarray  # given label of each stream, int64 (s,)
    logins: np.ndarray  # number of its streamer, int64 (s,)

    @classmethod
    def of(cls, frames: Sequence[StoredFrame], label_of_game: dict[int, int]) -> Streams:
        """Return the streams of these frames, in the order of their first frames."""
        numbers: dict[tuple[int, str], int] = {}
        of_frame = [numbers.setdefault((frame.game_id, frame.login), len(numbers)) for frame in frames]
        logins: dict[str, int] = {}
        return cls(
            np.array(of_frame, np.int64),
            np.array([label_of_game[game_id] for game_id, _login in numbers], np.int64),
            np.array([logins.setdefault(login, len(logins)) for _game_id, login in numbers], np.int64),
        )

    def sample(self, per_stream: int) -> np.ndarray:
        """Return rows of at most `per_stream` frames of each stream, evenly spread, sorted by stream, int64 (m,)."""
        order = np.argsort(self.of_frame, kind="stable")
        sizes = np.bincount(self.of_frame)
        rank = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)  # of each frame in its stream
        size = np.repeat(sizes, sizes)
        kept = np.minimum(size, per_stream)
        return order[rank * kept // size != (rank - 1) * kept // size]

    def by_streamer(self, labels: np.ndarray, rows: np.ndarray) -> Iterator[tuple[np.ndarray, int, np.ndarray]]:
        """Yield (positions of a streamer's frames in `rows`, label, the streamer's streams with it) for each label.

        labels: of all streams, int64 (s,). rows: of frames, int64 (m,).
        """
        streams_of = _positions(self.logins)
        for login, own in enumerate(_positions(self.logins[self.of_frame[rows]], len(streams_of))):
            for label in set(labels[streams_of[login]].tolist()):
                yield own, label, streams_of[login][labels[streams_of[login]] == label]


@dataclass(frozen=True, slots=True, eq=False)
class StreamMatch:
    """What the judges say: probabilities of each game, for streams and frames."""

    probabilities: np.ndarray  # of streams, (s, classes)
    of_frames: np.ndarray  # float32 (n, classes)
    labels: np.ndarray  # after the obvious corrections, int64 (s,)
    margins: np.ndarray  # best other game's probability minus that of the given one, (s,), -1 to 1
    best: np.ndarray  # the other game, int64 (s,)
    is_alone: np.ndarray  # whether no other streamer is left in its game, bool (s,): nothing to compare it with


def match(features: np.ndarray, streams: Streams, classes: int) -> StreamMatch:
    """Judge all streams by whitened features, float32 (n, k)."""
    judges = Judges.of(features, streams, classes)
    labels, changes = streams.labels.copy(), np.zeros(len(streams.labels), np.int64)
    for _ in range(_MAX_ROUNDS):
        margins, best = _margins(judges.of_streams(labels), labels, _is_alone(labels, labels, streams, classes))
        margins[changes > 1] = -1  # two games that each claim the stream: leave it
        most = np.argsort(-margins)[: max(1, len(labels) // 50)]  # few at a time: each changes the others' judges
        obvious = most[margins[most] > MARGIN]
        if not len(obvious):
            break
        labels[obvious], changes[obvious] = best[obvious], changes[obvious] + 1
    of_frames = judges.of_frames(labels)
    probabilities = group_means(of_frames, streams.of_frame)
    is_alone = _is_alone(streams.labels, labels, streams, classes)
    margins, best = _margins(probabilities, streams.labels, is_alone)
    return StreamMatch(probabilities, of_frames, labels, margins, best, is_alone)


def _margins(probabilities: np.ndarray, labels: np.ndarray, is_alone: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the margin of each stream's best other class over its label, and that class, both (s,).

    is_alone: whose own class has no other streamer to compare with: a margin of 0 at most, bool (s,).
    """
    rows, others = np.arange(len(labels)), probabilities.copy()
    others[rows, labels] = -1
    best = others.argmax(axis=1)
    margins = probabilities[rows, best] - probabilities[rows, labels]
    return np.where(is_alone, np.minimum(margins, 0), margins), best


def _is_alone(labels: np.ndarray, judged: np.ndarray, streams: Streams, classes: int) -> np.ndarray:
    """Return for each stream whether no other streamer has its label, bool (s,). judged: the labels of the others."""
    players = np.zeros((classes, int(streams.logins.max()) + 1), bool)
    players[judged, streams.logins] = True
    return players.sum(axis=1)[labels] == players[labels, streams.logins]


@dataclass(frozen=True, slots=True, eq=False)
class Judges:
    """Both judges, with all that does not depend on the labels."""

    features: np.ndarray  # float32 (n, k)
    means: np.ndarray  # of streams, float32 (s, k)
    streams: Streams
    classes: int
    neighbours: np.ndarray  # streams, int32 (n, NEIGHBOURS)
    votes: np.ndarray  # of each neighbour, float32 (n, NEIGHBOURS), adding up to 1

    @classmethod
    def of(cls, features: np.ndarray, streams: Streams, classes: int) -> Judges:
        """Return the judges of whitened features, float32 (n, k)."""
        neighbours, votes = nearest_streams(unit_rows(features), streams)
        return cls(features, group_means(features, streams.of_frame), streams, classes, neighbours, votes)

    def of_streams(self, labels: np.ndarray) -> np.ndarray:
        """Return probabilities (s, classes) from some frames of each stream. labels: of all streams, int64 (s,)."""
        rows = self.streams.sample(_FRAMES_PER_STREAM)
        return group_means(self.of_frames(labels, rows), self.streams.of_frame[rows])

    def of_frames(self, labels: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Return the mean of both judges' probabilities, float32 (n, classes)."""
        rows = np.arange(len(self.features)) if rows is None else rows
        return (self._by_prototype(labels, rows) + self._by_neighbours(labels, rows)) / 2

    def _by_neighbours(self, labels: np.ndarray, rows: np.ndarray) -> np.ndarray:
        cells = np.arange(len(rows))[:, None] * self.classes + labels[self.neighbours[rows]]  # (m, NEIGHBOURS)
        votes = np.bincount(cells.ravel(), self.votes[rows].ravel(), len(rows) * self.classes)
        return votes.reshape(len(rows), self.classes).astype(np.float32)

    def _by_prototype(self, labels: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the softmax of the closeness to each game's mean over the streams of other streamers."""
        sums = np.zeros((self.classes, self.means.shape[1]), np.float32)
        np.add.at(sums, labels, self.means)
        counts = np.bincount(labels, minlength=self.classes)
        features = self.features[rows]
        scores = _closeness(features, sums, counts)  # (m, classes)
        for own, label, mine in self.streams.by_streamer(labels, rows):
            others = sums[[label]] - self.means[mine].sum(axis=0)  # (1, k)
            scores[own, label] = _closeness(features[own], others, counts[[label]] - len(mine))[:, 0]
        temperature = _fit_temperature(scores, labels[self.streams.of_frame[rows]])
        return softmax(scores * temperature).astype(np.float32)


def nearest_streams(unit: np.ndarray, streams: Streams) -> tuple[np.ndarray, np.ndarray]:
    """Return for each frame the streams of other streamers with the nearest frames, and their votes.

    unit: features of length 1, float32 (n, k). Returns int32 (n, NEIGHBOURS) and float32 (n, NEIGHBOURS), which adds
    up to 1; fewer columns if there are fewer streams. Each stream is represented by some of its frames, by all of a
    small dataset.
    """
    count = len(streams.labels)
    rows = streams.sample(max(_MIN_PER_STREAM, _MAX_REPRESENTATIVES // count))
    starts = np.flatnonzero(np.diff(streams.of_frame[rows], prepend=-1))  # sorted by stream, and none is empty
    representatives, kept = np.ascontiguousarray(unit[rows].T), min(NEIGHBOURS, count)  # (k, r)
    nearest, similarity = np.empty((len(unit), kept), np.int32), np.empty((len(unit), kept), np.float32)
    step = max(1, _CHUNK_BYTES // (4 * len(rows)))
    for start in range(0, len(unit), step):
        part = slice(start, start + step)
        best = np.maximum.reduceat(unit[part] @ representatives, starts, axis=1)  # (m, streams)
        best[streams.logins[streams.of_frame[part]][:, None] == streams.logins] = -np.inf
        nearest[part] = np.argpartition(-best, kept - 1, axis=1)[:, :kept]
        similarity[part] = np.take_along_axis(best, nearest[part].astype(np.int64), axis=1)
    return nearest, softmax(_SHARPNESS * similarity.astype(np.float64)).astype(np.float32)


def _closeness(features: np.ndarray, sums: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return -|x - mean|² / 2 + |x|² / 2 for each mean, (n, means); -inf for a mean of nothing."""
    means = sums / np.maximum(counts, 1)[:, None]
    scores = features @ means.T - (means * means).sum(axis=1) / 2
    scores[:, counts == 0] = -np.inf
    return scores


def _fit_temperature(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the factor of the scores (n, classes) at which most labels are likely: they are out of sample."""
    rows = np.linspace(0, len(scores) - 1, min(len(scores), _MAX_CALIBRATION)).astype(np.int64)

    def likelihood(factor: float) -> float:
        chosen = softmax(scores[rows] * factor)[np.arange(len(rows)), labels[rows]]
        return float(np.log(chosen + _WRONG_LABEL).mean())

    return float(max(_TEMPERATURES, key=likelihood))


def _positions(numbers: np.ndarray, count: int = 0) -> list[np.ndarray]:
    """Return the positions of each number from 0 on."""
    order = np.argsort(numbers, kind="stable")
    return np.split(order, np.searchsorted(numbers[order], np.arange(1, max(count, int(numbers.max()) + 1))))
