"""Scores of a check of planted noise, and of cleanlab with the same probabilities and features. numpy, cleanlab.

Each function returns counts (right, flagged, planted) of precision and recall, to be added over plantings, or values
of one planting.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from typing import Any

import numpy as np

from benchmarks._noise_plan import CLEAN, COPY, INTERMISSION, MENU, RELABELLED, Planting
from model.cleaning.findings import DUPLICATE, OTHER_GAME, CheckResult
from model.cleaning.space import fit_whitening, group_means
from model.cleaning.streams import Judges, Streams
from model.inference import linear_head

_FOLDS = 5
Counts = tuple[int, int, int]


def counts(flagged: np.ndarray, planted: np.ndarray) -> Counts:
    """Return (right, flagged, planted) of two bool arrays."""
    return int((flagged & planted).sum()), int(flagged.sum()), int(planted.sum())


def of_check(planting: Planting, result: CheckResult) -> dict[str, Counts]:
    """Return the counts of our check, by streams, frames, and duplicates; suggested: right suggestions of streams."""
    flagged = {(one.game_id, one.login) for one in result.streams if one.suspect and one.kind == OTHER_GAME}
    true_game = {(f.game_id, f.login): game for f, game in zip(planting.frames, planting.games.tolist(), strict=True)}
    named = {
        (one.game_id, one.login)
        for one in result.streams
        if one.suspect and one.suggested and one.suggested.id == true_game[one.game_id, one.login]
    }
    found = {one.frame: one for one in result.frames}
    ours = [found[frame] for frame in planting.frames]
    is_repeat = np.array([one.kind == DUPLICATE for one in ours])
    suspect = np.array([one.suspect for one in ours])
    # A repeated frame is reported as that, whatever else it is.
    rest = ~is_repeat & (planting.truth != COPY)
    faults = planting.truth != CLEAN
    screens = np.isin(planting.truth, (MENU, INTERMISSION))
    return {
        "streams": (len(flagged & planting.moved), len(flagged), len(planting.moved)),
        "suggested": (len(named & planting.moved), len(planting.moved), len(planting.moved)),
        "frames": counts(suspect[rest], faults[rest]),
        "screens": (int((suspect & screens)[rest].sum()), 0, int(screens[rest].sum())),
        "copies": _found_copies(planting, is_repeat),
    }


def _found_copies(planting: Planting, is_repeat: np.ndarray) -> Counts:
    """Return the counts of copies: found if the copy or what it repeats is flagged."""
    copies = np.flatnonzero(planting.copied >= 0)
    return int((is_repeat[copies] | is_repeat[planting.copied[copies]]).sum()), 0, len(copies)


def of_cleanlab(planting: Planting, features: np.ndarray, classes: dict[int, int]) -> dict[str, Counts]:
    """Return the counts of Datalab: a stream is flagged if most of its frames have a label issue.

    It gets our whitened features, and our probabilities before labels are corrected, which are out of sample.
    """
    streams = Streams.of(planting.frames, classes)
    whitened = fit_whitening(features, streams.of_frame).apply(features)
    probabilities = Judges.of(whitened, streams, len(classes)).of_frames(streams.labels).astype(np.float64)
    present, given = np.unique(streams.labels, return_inverse=True)  # cleanlab skips labels of which one is absent
    probabilities = probabilities[:, present] + 1e-12
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    issues = _datalab(given[streams.of_frame], probabilities, whitened)
    by_stream = group_means(issues["is_label_issue"].to_numpy(float)[:, None], streams.of_frame)[:, 0] > 0.5
    keys = list(dict.fromkeys((frame.game_id, frame.login) for frame in planting.frames))
    planted = np.array([key in planting.moved for key in keys])
    either = (issues["is_label_issue"] | issues["is_outlier_issue"]).to_numpy(bool)
    rest = planting.truth != COPY
    repeated = issues["is_near_duplicate_issue"].to_numpy(bool)
    screens = np.isin(planting.truth, (MENU, INTERMISSION))
    return {
        "streams": counts(by_stream, planted),
        "frames": counts(either[rest], (planting.truth != CLEAN)[rest]),
        "screens": (int((either & screens).sum()), 0, int(screens.sum())),
        "copies": _found_copies(planting, repeated),
    }


def _datalab(labels: np.ndarray, probabilities: np.ndarray, features: np.ndarray) -> Any:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        from cleanlab import Datalab  # type: ignore[import-untyped]

        lab = Datalab({"label": labels}, label_name="label", task="classification", verbosity=0)
        kinds: dict[str, dict[str, Any]] = {"label": {}, "outlier": {}, "near_duplicate": {}}
        lab.find_issues(pred_probs=probabilities, features=features, issue_types=kinds)
        logging.disable(logging.NOTSET)
    return lab.get_issues()


def accuracies(
    planting: Planting, features: np.ndarray, classes: dict[int, int], result: CheckResult
) -> dict[str, float]:
    """Return the accuracy of a linear head on held-out streamers without faults, by what it was trained on.

    noisy: all frames. without: no suspects. relabelled: suspects with the suggested game, without the others. true: the
    right labels without screens and copies, the most that cleaning can reach.
    """
    found = {one.frame: one for one in result.frames}
    ours = [found[frame] for frame in planting.frames]
    given = np.array([classes[frame.game_id] for frame in planting.frames])
    right = np.array([classes[game] for game in planting.games.tolist()])
    suspect = np.array([one.suspect for one in ours])
    suggested = np.array([classes[one.suggested.id] if one.suggested else -1 for one in ours])
    shows_game = np.isin(planting.truth, (CLEAN, RELABELLED))
    ways = {
        "noisy": given,
        "without": np.where(suspect, -1, given),
        "relabelled": np.where(suspect, suggested, given),
        "true": np.where(shows_game, right, -1),
    }
    logins, login_of = np.unique([frame.login for frame in planting.frames], return_inverse=True)
    fold = np.random.default_rng(0).permutation(len(logins))[login_of] % _FOLDS
    tested = planting.truth == CLEAN
    hits = {way: 0 for way in ways}
    for number in range(_FOLDS):
        side = tested & (fold == number)
        for way, labels in ways.items():
            training = (fold != number) & (labels >= 0)
            head = linear_head.fit(features[training], labels[training], len(classes))
            hits[way] += int((head.logits(features[side]).argmax(axis=1) == right[side]).sum())
    return {way: hit / int(tested.sum()) for way, hit in hits.items()}
