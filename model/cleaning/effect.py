"""Effect of cleaning: what a classifier gains on held-out streamers when the suspects are not trained on.

Detection alone is no gain: a classifier may learn as well beside wrong labels (https://arxiv.org/abs/2407.05528).

for each fold of the streamers who have no suspect:
    check the other streamers again, without the fold: what it shows must not decide what the others train on
    train a linear head on all frames of the other streamers, and one on the same frames as cleaning leaves them
    predict the fold's frames with both
average the difference over the streamers; bootstrap the streamers for its interval

Only streamers without a suspect are held out, since the labels of the others are in doubt: both accuracies are those
of streamers that a check agrees with. One check of all streamers would be too good a judge, since it removes what
disagrees with the held-out frames. It read +7.0 points instead of +4.1: mean of 6 plantings of 10 % wrong labels among
44 streams of 14 free games.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from data.entities import Game, StoredFrame
from data.errors import DatasetError
from model.cleaning.findings import DUPLICATE, CheckResult
from model.inference import linear_head

# Folds: each leaves out streamers whom the second check lacks. With three streams a game, 5 folds hide the gain and 20
# hardly do; in a large dataset each game keeps its streams, and 20 checks take long.
_MIN_FOLDS, _MAX_FOLDS, _FOLD_STREAMERS = 5, 20, 1000  # folds times streamers, between the limits
_MIN_STREAMERS = 5  # of an interval
_DRAWS = 2000  # of the bootstrap
_MIN_FRAMES, _MAX_FRAMES = 4, 40  # of a stream: more are alike
_MAX_ROWS = 20_000  # of all streams together
_DROPPED = -1  # label of a frame that cleaning removes


@dataclass(frozen=True, slots=True)
class Effect:
    """Accuracies on the frames of held-out streamers, 0 to 1, each the mean over the streamers."""

    streamers: int
    before: float  # trained with the suspects
    after: float  # trained without them
    gain: float  # after - before
    low: float  # limits of the gain's 95 % interval
    high: float


def cleaning_effect(
    frames: Sequence[StoredFrame],
    features: np.ndarray,
    games: Sequence[Game],
    result: CheckResult,
    check_rows: Callable[[np.ndarray], CheckResult],
    *,
    relabel: bool = False,
) -> Effect:
    """Return the effect of cleaning on the accuracy. features: of each frame, as `check` gets them, (n, d).

    result: the check of all frames: it says which streamers have no suspect.
    check_rows: checks some frames only, by their rows, int64 (m,).
    relabel: whether suspects with a suggested game train that game, instead of none.
    Raises DatasetError: no suspect, fewer than five streamers without one, too little left to check or to train on.
    """
    clean = _clean_streamers(result)
    rows = _sample(frames)
    frames = [frames[row] for row in rows.tolist()]
    labels = {game.id: label for label, game in enumerate(games)}
    logins, login_of = np.unique([frame.login for frame in frames], return_inverse=True)  # (l,), (n,)
    given = np.array([labels[frame.game_id] for frame in frames])  # (n,)
    features = features[rows].astype(np.float32)
    right, tested_frames = np.zeros((2, len(logins))), np.zeros(len(logins))  # correct before and after, of how many
    for held_out in _folds(np.flatnonzero(np.isin(logins, clean))):
        training = ~np.isin(login_of, held_out)  # (n,)
        tested = ~training & np.isin(given, given[training])  # (n,): a game that nobody else plays cannot be learned
        if tested.any():
            tested_frames += np.bincount(login_of[tested], minlength=len(logins))
            cleaned = _cleaned(frames, given, labels, check_rows(rows[training]), relabel)  # (n,)
            for side, trained in enumerate((given, cleaned)):
                hits = _predict(features, trained, training, tested) == given[tested]
                right[side] += np.bincount(login_of[tested], hits, len(logins))
    if not (found := tested_frames > 0).any():
        raise DatasetError("no game has a second streamer to train on.")
    return _bootstrap(right[:, found] / tested_frames[found])


def _predict(features: np.ndarray, labels: np.ndarray, training: np.ndarray, tested: np.ndarray) -> np.ndarray:
    """Return the label that a head trained with `labels` predicts for each tested row, int64 (tested,)."""
    own = training & (labels != _DROPPED)
    if not own.any():
        raise DatasetError("cleaning leaves nothing to train on.")
    head = linear_head.fit(features[own], labels[own], labels.max() + 1)
    return head.logits(features[tested]).argmax(axis=1)


def _clean_streamers(result: CheckResult) -> list[str]:
    """Return the logins without a suspect other than duplicates, sorted. Raises DatasetError: fewer than five."""
    suspects = [finding for finding in result.frames if finding.suspect]
    if not suspects:
        raise DatasetError("nothing is suspect.")
    doubtful = {finding.frame.login for finding in suspects if finding.kind != DUPLICATE}
    clean = sorted({finding.frame.login for finding in result.frames} - doubtful)
    if len(clean) < _MIN_STREAMERS:
        raise DatasetError(f"it takes {_MIN_STREAMERS} streamers without a suspect, and there are {len(clean)}.")
    return clean


def _sample(frames: Sequence[StoredFrame]) -> np.ndarray:
    """Return the rows of some frames of each stream, evenly spread, sorted, int64 (m,)."""
    streams: dict[tuple[int, str], list[int]] = {}
    for row, frame in enumerate(frames):
        streams.setdefault((frame.game_id, frame.login), []).append(row)
    most = min(_MAX_FRAMES, max(_MIN_FRAMES, _MAX_ROWS // len(streams)))
    rows: list[int] = []
    for own in streams.values():
        rows += [own[int(at)] for at in np.linspace(0, len(own) - 1, min(len(own), most))]
    return np.array(sorted(rows), np.int64)


def _cleaned(
    frames: Sequence[StoredFrame], given: np.ndarray, labels: dict[int, int], result: CheckResult, relabel: bool
) -> np.ndarray:
    """Return the labels after cleaning, int64 (n,); _DROPPED for frames that are gone."""
    suspects = {finding.frame: finding.suggested for finding in result.frames if finding.suspect}
    cleaned = given.copy()
    for row, frame in enumerate(frames):  # held-out ones are not in `result`
        if frame in suspects:
            suggested = suspects[frame] if relabel else None
            cleaned[row] = labels.get(suggested.id, _DROPPED) if suggested else _DROPPED
    return cleaned


def _folds(logins: np.ndarray) -> list[np.ndarray]:
    """Return the logins, int64 (n,), of each fold."""
    count = min(max(_MIN_FOLDS, _FOLD_STREAMERS // len(logins)), _MAX_FOLDS, len(logins))
    return np.array_split(np.random.default_rng(0).permutation(logins), count)


def _bootstrap(accuracies: np.ndarray) -> Effect:
    """Return the effect, from each streamer's accuracies before and after, (2, streamers)."""
    gains = accuracies[1] - accuracies[0]  # (streamers,)
    draws = np.random.default_rng(0).integers(0, len(gains), (_DRAWS, len(gains)))
    low, high = np.quantile(gains[draws].mean(axis=1), (0.025, 0.975))
    before, after = accuracies.mean(axis=1)
    return Effect(len(gains), float(before), float(after), float(gains.mean()), float(low), float(high))
