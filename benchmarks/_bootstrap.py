"""Cluster bootstrap: 95 % intervals of figures over repositories, and weighted figures. numpy only.

Frames of a repository are alike, so repositories are resampled with replacement, not frames (Efron & Tibshirani, An
Introduction to the Bootstrap, 1993). A draw says how often it takes each repository: the weight of its frames in all
its games. Every function with `weights` (n,) accepts weights of 0; a figure of no weight is NaN.
"""

from __future__ import annotations

import numpy as np

from model.evaluation.metrics import BINS

DRAWS = 2000
_LEVEL = 0.95


def draw_weights(repositories: int, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """Return how often each draw takes each repository, int64 (draws, repositories); each row sums to their number."""
    return np.random.default_rng(seed).multinomial(repositories, np.full(repositories, 1 / repositories), draws)


def interval(values: np.ndarray) -> tuple[float, float]:
    """Return the limits between which 95 % of the draws' values (draws,) lie; draws without a value do not count."""
    tail = (1 - _LEVEL) / 2
    low, high = np.nanquantile(values, (tail, 1 - tail)) if not np.isnan(values).all() else (np.nan, np.nan)
    return float(low), float(high)


def mean(values: np.ndarray, weights: np.ndarray) -> float:
    """Return the weighted mean of `values` (n,)."""
    total = weights.sum()
    return float(values @ weights / total) if total else float("nan")


def macro_mean(values: np.ndarray, groups: np.ndarray, weights: np.ndarray) -> float:
    """Return the mean over groups of their weighted means; `groups`: int64 (n,). A group without weight is left out."""
    totals = np.bincount(groups, weights)
    sums = np.bincount(groups, weights * values)
    present = totals > 0
    return float((sums[present] / totals[present]).mean()) if present.any() else float("nan")


def ece(confidence: np.ndarray, is_right: np.ndarray, weights: np.ndarray) -> float:
    """Return the expected calibration error, 0 to 1, with the bins of model.evaluation.metrics."""
    bin_of_frame = np.digitize(confidence, np.linspace(0, 1, BINS + 1)[1:-1], right=True)  # (n,)
    gaps = np.bincount(bin_of_frame, weights * (confidence - is_right), BINS)  # (BINS,)
    total = weights.sum()
    return float(np.abs(gaps).sum() / total) if total else float("nan")


def auroc(scores: np.ndarray, is_known: np.ndarray, weights: np.ndarray) -> float:
    """Return the probability that a known sample's score exceeds an unknown one's, 0 to 1; ties count half."""
    _values, rank = np.unique(scores, return_inverse=True)  # (n,), equal scores have equal ranks
    known = np.bincount(rank, weights * is_known)  # weight of each rank, (ranks,)
    unknown = np.bincount(rank, weights * ~is_known)
    below = np.cumsum(unknown) - unknown / 2
    pairs = known.sum() * unknown.sum()
    return float(known @ below / pairs) if pairs else float("nan")
