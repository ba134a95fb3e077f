"""Model errors: how often the model misses or mistakes a game, on validation streams of the audited categories."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from data.entities import Game
from recognition.reports.outcomes import Judgement
from recognition.reports.shares import ErrorRates, weighted_share

_MOST = 100_000  # validation streams with one answer that count: a damaged file costs no memory


def error_rates(weights: Mapping[Game, float], judgement: Judgement, taken_back: float = 0.0) -> ErrorRates | None:
    """Return the model's error rates on the validation streams of these categories; None without such streams.

    The validation streams of a category have its weight together. Their answers are those to one look.
    taken_back: share of the live streams whose mismatch the second look has taken back. False mismatches are rarer by
    it; it is assumed that no true one is taken back.
    """
    hits, others, each, strata = [], [], [], []
    for number, (category, weight) in enumerate(weights.items()):
        metrics = judgement.metrics(category)
        if metrics is None:
            continue
        rest = max(metrics.right - metrics.sure, 0) + metrics.no_game + metrics.unknown
        counts = np.array([metrics.sure, metrics.other_game, rest])
        answers = np.repeat(np.arange(3), np.minimum(counts, _MOST))
        hits.append(answers == 0)
        others.append(answers != 1)
        each.append(np.full(len(answers), weight / max(len(answers), 1)))
        strata.append(np.full(len(answers), number))
    if not each or sum(map(np.sum, each)) <= 0:
        return None
    sensitivity, specificity = (
        weighted_share(np.concatenate(side), np.concatenate(each), np.concatenate(strata)) for side in (hits, others)
    )
    return ErrorRates(
        sensitivity.value,
        min(sensitivity.low_n, sensitivity.high_n),
        min(specificity.value + taken_back, 1.0),
        min(specificity.low_n, specificity.high_n),
    )
