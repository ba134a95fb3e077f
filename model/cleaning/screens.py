"""Frame check: frames that fit neither their stream nor their game, and what they show instead. numpy only.

closeness   cosine to the mean of the frame's own stream without the frame, or to the mean of its game's streams of
            other streamers, whichever is higher: a menu is unlike both, another map is like one of them
kind        of an outlier: another game, if it is close to that one; else the nearest kind of the example screens
clusters    outliers alike in several games show no game: intermissions and the like
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from model.cleaning.findings import GAMEPLAY, OTHER_GAME
from model.cleaning.space import group_means, unit_rows
from model.cleaning.streams import Streams
from model.inference import linear_head

# Limits of closeness: fractions of the usual closeness of the dataset, which is the median of all frames. Chosen on
# planted menus and intermissions in 44 streams of 14 free games, seeds below 100.
OUTLIER = 0.6
_INLIER = 0.5  # to the frame's stream: what the whitening is fitted to
_CLUSTER = 1.15  # times OUTLIER: how close members of a cluster that spans games may still be
_ALIKE = 0.8  # cosine within such a cluster
_MIN_USUAL = 0.05  # usual closeness: below it nothing is an outlier. 0 of equal features, 0.7 to 0.9 of real streams
_MIN_FRAMES = 4  # of a stream: fewer say nothing about what is usual in it
# A whole stream that shows no game is like no game at all, and like the examples: a game that few play is unlike, too.
_SCREEN_MARGIN = 0.3  # of the head that tells screens from gameplay, mean over the stream; 1 % of gameplay exceeds 0.2
_SCREEN_CLOSENESS = 0.4  # fraction of the usual closeness, to any game
_MAX_CLUSTERED = 8192  # frames; 256 MiB of cosines
_FOLDS = 5  # of streamers, for the head
_MAX_TRAINING = 20_000  # frames of the head


@dataclass(frozen=True, slots=True, eq=False)
class FrameEvidence:
    """What speaks against each of n frames."""

    closeness: np.ndarray  # relative to the usual one of the dataset, (n,)
    is_outlier: np.ndarray  # bool (n,)
    spans: np.ndarray  # number of games in the frame's cluster, 0 without one, int64 (n,)
    kinds: np.ndarray  # one of KINDS for each frame, also for those that are no outliers, (n,)
    games: np.ndarray  # the game that a frame of OTHER_GAME shows, otherwise -1, int64 (n,)
    is_screen: np.ndarray  # of streams: whether the whole stream shows no game, bool (s,)
    screen_kinds: np.ndarray  # of streams: the kind that this would be, (s,)


def examine(
    features: np.ndarray, streams: Streams, labels: np.ndarray, classes: int, examples: Mapping[str, np.ndarray]
) -> FrameEvidence:
    """Examine whitened features (n, k). labels: of streams, corrected. examples: whitened screens of each kind."""
    unit = unit_rows(features)
    own, games = _closeness_to_stream(unit, streams), _closeness_to_games(unit, streams, labels, classes)
    rows, label_of = np.arange(len(unit)), labels[streams.of_frame]
    closest = np.maximum(own, games[rows, label_of])
    usual = max(float(np.median(closest)), 1e-6)
    relative = closest / usual
    is_judged = (np.bincount(streams.of_frame)[streams.of_frame] >= _MIN_FRAMES) & (usual > _MIN_USUAL)
    spans = _spanning_clusters(unit, streams, labels, np.flatnonzero((relative < OUTLIER * _CLUSTER) & is_judged))
    is_outlier = is_judged & ((relative < OUTLIER) | (spans > 1))
    kinds, margins = _screens(unit, streams, examples)
    other = games.copy()
    other[rows, label_of] = -1
    best = other.argmax(axis=1)
    shows_other = is_outlier & (other[rows, best] > OUTLIER * usual)
    stream_margin = group_means(margins[:, None], streams.of_frame)[:, 0]
    any_game = group_means(games, streams.of_frame).max(axis=1)
    return FrameEvidence(
        relative,
        is_outlier,
        spans,
        np.where(shows_other, OTHER_GAME, np.where(is_outlier, kinds, GAMEPLAY)),
        np.where(shows_other, best, -1),
        (stream_margin > _SCREEN_MARGIN) & (any_game < _SCREEN_CLOSENESS * usual) & (usual > _MIN_USUAL),
        _most_frequent(kinds, streams),
    )


def is_inlier(unit: np.ndarray, streams: Streams) -> np.ndarray:
    """Return which frames are close to their stream's mean, bool (n,)."""
    closeness = _closeness_to_stream(unit, streams)
    return closeness >= _INLIER * np.median(closeness)


def _closeness_to_stream(unit: np.ndarray, streams: Streams) -> np.ndarray:
    """Return the cosine of each frame to the mean of its stream without itself and outliers, (n,); 0 if alone."""
    weights = np.ones(len(unit), np.float32)
    order, ends = np.argsort(streams.of_frame, kind="stable"), np.cumsum(np.bincount(streams.of_frame))
    for _ in range(2):  # the second time without outliers
        totals = np.bincount(streams.of_frame, weights)  # (s,)
        sums = np.stack([weights[rows] @ unit[rows] for rows in np.split(order, ends[:-1])])  # (s, k)
        others = sums[streams.of_frame] - weights[:, None] * unit  # (n, k)
        cosine = (unit * unit_rows(others)).sum(axis=1)
        weights = (cosine > np.median(cosine) / 2).astype(np.float32)
    return np.where(totals[streams.of_frame] > 1, cosine, 0.0)


def _closeness_to_games(unit: np.ndarray, streams: Streams, labels: np.ndarray, classes: int) -> np.ndarray:
    """Return the cosine of each frame to the mean of each game's streams of other streamers, (n, classes)."""
    means = group_means(unit, streams.of_frame)  # (s, k)
    sums = np.zeros((classes, unit.shape[1]), np.float32)
    np.add.at(sums, labels, means)
    counts, closeness = np.bincount(labels, minlength=classes), unit @ unit_rows(sums).T
    for own, label, mine in streams.by_streamer(labels, np.arange(len(unit))):
        others = sums[[label]] - means[mine].sum(axis=0)  # (1, k); a rest of rounding errors is no direction
        closeness[own, label] = unit[own] @ unit_rows(others)[0] if counts[label] > len(mine) else 0
    return closeness


def _screens(unit: np.ndarray, streams: Streams, examples: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return the most likely kind of screen of each frame, and how far it exceeds gameplay, both (n,).

    By folds over streams: no frame is judged by a head that was fitted to its stream as gameplay.
    """
    names = np.array(list(examples))
    screens = np.concatenate([unit_rows(values) for values in examples.values()])
    screen_labels = np.repeat(np.arange(len(names)), [len(values) for values in examples.values()]) + 1
    logits = np.zeros((len(unit), len(names) + 1))
    fold = streams.logins[streams.of_frame] % _FOLDS
    for number in np.unique(fold):
        training = np.flatnonzero(fold != number)
        training = training[:: max(1, len(training) // _MAX_TRAINING)]
        both = np.concatenate([unit[training], screens])
        targets = np.concatenate([np.zeros(len(training), np.int64), screen_labels])
        logits[fold == number] = linear_head.fit(both, targets, len(names) + 1).logits(unit[fold == number])
    best = logits[:, 1:].argmax(axis=1)
    return names[best], logits[np.arange(len(unit)), best + 1] - logits[:, 0]


def _spanning_clusters(unit: np.ndarray, streams: Streams, labels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return for each frame how many games the frames like it come from, int64 (n,); 0 for frames not in `rows`."""
    spans = np.zeros(len(unit), np.int64)
    rows = rows[:_MAX_CLUSTERED]
    if not len(rows):
        return spans
    alike = unit[rows] @ unit[rows].T > _ALIKE
    games = np.eye(int(labels.max()) + 1, dtype=np.float32)[labels[streams.of_frame[rows]]]  # (m, classes)
    spans[rows] = ((alike.astype(np.float32) @ games) > 0).sum(axis=1)
    return spans


def _most_frequent(kinds: np.ndarray, streams: Streams) -> np.ndarray:
    names, numbers = np.unique(kinds, return_inverse=True)
    counts = np.zeros((len(streams.labels), len(names)), np.int64)
    np.add.at(counts, (streams.of_frame, numbers), 1)
    return names[counts.argmax(axis=1)]
